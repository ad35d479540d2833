/* primer_prose.c - bios, stories and notes from templates; see primer_prose.h. Between two slots no template has more
 * than seven words: however often a model comes back to a template, eight words in a row repeat only if it has also
 * chosen the same things again. */
#include "task/primer_prose.h"

#include <stdio.h>

/* ---- bios ------------------------------------------------------------------------------------ */

/* A bio begins with the name: where the model must come up with one nothing else can stand, and what it copies later is
 * the first word of the text. Behind "called" or in a first sentence like "Hunters fear the horns of X" it would now
 * and then take a word that begins sentences for a name, and repeat it for ever. */
static const char *const introductions[] = {"{X} is {k}.", "{X}: {k}.", "{X} is the name of {k}.", "{X}, {k}."};

static const char *pronoun(const struct entity *e) { return e->kind != KIND_PERSON ? "It" : e->female ? "She" : "He"; }

static void append_statement(const struct world *world, int entity, int attribute, bool by_name, struct rng *rng,
                             struct buffer *out) {
    const struct entity *e = &world->entities[entity];
    const struct attribute *a = world_attribute(world, entity, attribute);
    struct slot slots[] = {{"X", e->name},
                           {"S", by_name ? e->name : pronoun(e)},
                           {"v", world_value(world, entity, attribute)},
                           {NULL, NULL}};
    bool canonical = rng_below(rng, 5) < 2;
    text_fill(out, canonical ? a->answer : phrase_any(PHRASES(a->statements), rng), slots);
}

/* Always in the same order: what was said already follows from what was said last, so that a bio says nothing twice. */
void prose_append_bio(const struct world *world, int entity, struct rng *rng, struct buffer *out) {
    const struct entity *e = &world->entities[entity];
    char kind[32];
    snprintf(kind, sizeof kind, "%s %s", primer_kinds[e->kind]->article, primer_kinds[e->kind]->noun);
    struct slot slots[] = {{"X", e->name}, {"k", kind}, {NULL, NULL}};
    text_fill(out, phrase_any(PHRASES(introductions), rng), slots);
    for (int i = 0; i < N_ATTRIBUTES; i++) {
        buffer_append_char(out, ' ');
        append_statement(world, entity, i, rng_below(rng, 10) < 6, rng, out);
    }
}

/* ---- stories --------------------------------------------------------------------------------- */

static const char *const girls[] = {"Mara",  "Lina",  "Tessa", "Nora",  "Elsa",  "Petra", "Runa",  "Signe",
                                    "Olive", "Hilda", "Cora",  "Jutta", "Wilma", "Dagny", "Flora", "Greta"};
static const char *const boys[] = {"Oskar", "Milo",  "Jonas", "Edwin", "Theo",  "Ralf", "Casper", "Arne",
                                   "Bruno", "Linus", "Otto",  "Silas", "Rufus", "Emil", "Anton",  "Viggo"};
static const char *const times[] = {"One morning",    "One evening",     "On a warm day",  "On a cold day",
                                    "Last winter",    "In early spring", "Late in summer", "After the harvest",
                                    "Before sunrise", "On market day",   "At noon",        "One quiet night"};
static const char *const weathers[] = {
    "it rained",      "the sun shone",     "a wind blew",        "snow fell",       "fog lay over the fields",
    "thunder rolled", "the air was clear", "clouds raced along", "it was very hot", "frost covered the roofs"};
static const char *const places[] = {"the mill",    "the harbour",    "the old bridge", "the market", "the forest",
                                     "the orchard", "the lighthouse", "the castle",     "the meadow", "the school",
                                     "the barn",    "the river bank", "the bakery",     "the tower",  "the garden",
                                     "the cave",    "the station",    "the library",    "the well",   "the hill",
                                     "the beach",   "the workshop"};
static const char *const things[] = {"lantern", "key",    "kite", "drum",   "letter", "basket",  "coin",   "blanket",
                                     "compass", "map",    "ring", "hammer", "mirror", "whistle", "bell",   "boot",
                                     "ladder",  "button", "book", "bottle", "scarf",  "rope",    "candle", "pearl"};
static const char *const qualities[] = {"small", "heavy",    "golden",  "broken", "shiny", "worn",
                                        "green", "strange",  "blue",    "wooden", "round", "dusty",
                                        "red",   "precious", "painted", "rusty"};
static const char *const animals[] = {"fox",    "crow",  "badger", "goat",   "hare",  "heron",
                                      "beaver", "dog",   "cat",    "donkey", "stork", "magpie",
                                      "bear",   "mouse", "swan",   "wolf",   "pony",  "hedgehog"};
static const char *const foods[] = {"bread",    "soup",      "cheese",    "apples",     "honey cake", "nuts",
                                    "pancakes", "plums",     "porridge",  "roast fish", "berries",    "pie",
                                    "carrots",  "warm milk", "dumplings", "pears"};
static const char *const moods[] = {"glad",  "tired",  "proud",   "calm",     "merry",   "thankful",
                                    "brave", "sleepy", "curious", "relieved", "hopeful", "content"};

static const char *const story_openings[] = {
    "{t} {h} walked to {p} with {f}.",        "{t}, while {w}, {h} met {f} near {p}.",
    "{h} and {f} lived not far from {p}.",    "{t} {w}, and {h} went to {p} alone.",
    "{h} was on the way to {p} when {w}.",    "{f} had asked {h} to come to {p}.",
    "{t} nobody was at {p} but {h} and {f}.", "{h} liked {p} best of all when {w}."};
static const char *const story_wishes[] = {
    "{h} carried a {a} {o} for {f}.",         "There {h} found a {a} {o} under some leaves.",
    "{f} had lost a {a} {o} near {q}.",       "In a bag {h} kept {e} and a {a} {o}.",
    "{f} showed {h} a {a} {o} from {q}.",     "{h} wanted to sell a {a} {o} for {e}.",
    "Someone had left a {a} {o} beside {p}.", "{h} dreamt of a {a} {o} every night."};
static const char *const story_meetings[] = {"Then a {b} came out of {q}.",
                                             "A hungry {b} sat near {q} and watched {f}.",
                                             "Suddenly {f} saw a {b} behind {p}.",
                                             "Over {q} they heard a {b}.",
                                             "A {a} sack moved, and out jumped a {b}.",
                                             "Near {q} a {b} was looking for {e}.",
                                             "{h} heard a {b} before {f} could see it.",
                                             "Out of {q} ran a {b} with {e} in its mouth."};
static const char *const story_troubles[] = {
    "The {b} took the {o} and ran to {q}.",     "Before {h} could speak, the {o} fell into {q}.",
    "The {b} hid the {o} somewhere in {q}.",    "{f} cried out, for the {o} was gone.",
    "Then {w}, and {h} lost the {o} near {q}.", "The {o} broke when the {b} jumped on it.",
    "{h} slipped, and the {b} got the {o}.",    "With the {o} around its neck the {b} ran past {f}."};
static const char *const story_talks[] = {
    "\"Give back the {o},\" said {f} to the {b}.",  "\"We must go to {q},\" said {h}.",
    "\"Do you like {e}?\" {f} asked the {b}.",      "\"I am not {m},\" said {h}, \"but I will try.\"",
    "\"Look behind {q},\" whispered {f}.",          "\"Without the {o} I cannot go home,\" said {h}.",
    "\"A {b} never lies,\" said {f} with a smile.", "\"Who wants {e}?\" called {h} across {q}."};
static const char *const story_turns[] = {
    "{f} shared {e} with the {b}.",         "So {h} climbed up to {q} and waited.",
    "They followed the {b} as far as {q}.", "{h} put {e} on the ground and stepped back.",
    "In {q} {f} lit a small fire.",         "For an hour {h} looked all over {q}.",
    "{f} sang until the {b} felt {m}.",     "At last the {b} grew {m} and came closer."};
static const char *const story_ends[] = {"The {b} gave the {o} to {h}.",
                                         "In {q} lay the {o}, as {a} as before.",
                                         "{h} thanked {f} and took the {o} home.",
                                         "They ate {e} together and felt {m}.",
                                         "Since then the {b} visits {h} at {p}.",
                                         "{h} was {m}, and {f} was too.",
                                         "The {o} still hangs in {p}.",
                                         "When {w} again, {h} and {f} were at home with {e}."};

/* The same people, places and things all through one story. */
struct cast {
    struct slot slots[14];
};

static const char *other(struct phrases set, const char *taken, struct rng *rng) {
    const char *text;
    do text = phrase_any(set, rng);
    while (text == taken);
    return text;
}

static struct cast cast_draw(struct rng *rng) {
    const char *hero = phrase_any(rng_below(rng, 2) ? PHRASES(girls) : PHRASES(boys), rng);
    const char *friend = other(rng_below(rng, 2) ? PHRASES(girls) : PHRASES(boys), hero, rng);
    const char *place = phrase_any(PHRASES(places), rng);
    return (struct cast){{{"h", hero},
                          {"f", friend},
                          {"p", place},
                          {"q", other(PHRASES(places), place, rng)},
                          {"t", phrase_any(PHRASES(times), rng)},
                          {"w", phrase_any(PHRASES(weathers), rng)},
                          {"o", phrase_any(PHRASES(things), rng)},
                          {"a", phrase_any(PHRASES(qualities), rng)},
                          {"b", phrase_any(PHRASES(animals), rng)},
                          {"e", phrase_any(PHRASES(foods), rng)},
                          {"m", phrase_any(PHRASES(moods), rng)},
                          {NULL, NULL}}};
}

static void append_sentence(struct phrases templates, const struct cast *cast, struct rng *rng, struct buffer *out) {
    if (out->length > 0 && out->data[out->length - 1] != '\n') buffer_append_char(out, ' ');
    size_t at = out->length;
    text_fill(out, phrase_any(templates, rng), cast->slots);
    text_capitalise(out, at);
}

void prose_append_story(struct rng *rng, struct buffer *out) {
    const struct phrases parts[] = {PHRASES(story_openings), PHRASES(story_wishes), PHRASES(story_meetings),
                                    PHRASES(story_troubles), PHRASES(story_talks),  PHRASES(story_turns),
                                    PHRASES(story_ends)};
    struct cast cast = cast_draw(rng);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        bool optional = i == 4 || i == 5;
        if (!optional || rng_below(rng, 4) > 0) append_sentence(parts[i], &cast, rng, out);
    }
}

/* ---- notes ----------------------------------------------------------------------------------- */

struct everyday {
    const char *noun, *class, *made_of, *use, *place;
};
static const struct everyday everyday[] = {
    {"hammer", "tool", "wood and iron", "driving nails", "the workshop"},
    {"saw", "tool", "steel", "cutting boards", "the workshop"},
    {"kettle", "vessel", "copper", "boiling water", "the kitchen"},
    {"needle", "tool", "steel", "mending clothes", "the sewing box"},
    {"basket", "container", "willow", "carrying fruit", "the orchard"},
    {"lamp", "light", "glass and brass", "reading at night", "the bedroom"},
    {"ladder", "tool", "wood", "reaching the roof", "the barn"},
    {"plough", "machine", "iron", "turning the soil", "the field"},
    {"oven", "stove", "brick", "baking bread", "the bakery"},
    {"net", "tool", "string", "catching fish", "the harbour"},
    {"clock", "instrument", "brass", "telling the time", "the hall"},
    {"broom", "tool", "twigs", "sweeping floors", "the corner"},
    {"barrel", "container", "oak", "storing wine", "the cellar"},
    {"compass", "instrument", "brass and glass", "finding north", "the ship"},
    {"pencil", "tool", "wood and graphite", "writing notes", "the school"},
    {"mirror", "thing of the house", "glass and silver", "seeing one's face", "the hall"},
    {"umbrella", "cover", "cloth and wire", "keeping off rain", "the stand"},
    {"spade", "tool", "steel and ash wood", "digging holes", "the garden"},
    {"wheel", "part of a machine", "wood or rubber", "rolling loads", "the cart"},
    {"bell", "instrument", "bronze", "calling people", "the tower"},
    {"candle", "light", "wax", "lighting a room", "the table"},
    {"boat", "vehicle", "planks", "crossing water", "the lake"},
    {"loom", "machine", "beams and threads", "weaving cloth", "the weaver's house"},
    {"anvil", "tool", "solid iron", "shaping metal", "the forge"},
    {"telescope", "instrument", "lenses and a tube", "watching stars", "the roof"},
    {"bucket", "container", "tin", "carrying water", "the well"},
    {"blanket", "cover", "wool", "keeping warm", "the bed"},
    {"mill", "building", "stone and timber", "grinding grain", "the hill"},
    {"bridge", "building", "stone", "crossing rivers", "the valley"},
    {"kite", "toy", "paper and sticks", "playing in the wind", "the meadow"},
    {"spoon", "tool", "wood or silver", "stirring soup", "the drawer"},
    {"scale", "instrument", "brass pans", "weighing goods", "the shop"},
    {"lock", "device", "iron", "closing doors", "the gate"},
    {"rope", "cord", "hemp", "tying boats", "the deck"},
    {"book", "work", "paper and ink", "learning things", "the library"},
    {"fiddle", "instrument", "thin wood and gut", "making music", "the dance hall"},
    {"whistle", "instrument", "reed", "calling dogs", "the pocket"},
    {"map", "drawing", "paper", "finding the way", "the bag"},
    {"cradle", "bed", "light wood", "rocking a child", "the nursery"},
    {"sieve", "tool", "wire", "sorting flour", "the kitchen"},
};

/* {n} with article, {N} without; {S} starts a sentence. */
static const char *const note_starts[] = {
    "{n} is {ac}.",         "{n} is {ac} one finds in {p}.", "People keep {n} in {p}.",
    "A useful {c} is {n}.", "In {p} there is often {n}.",    "Most people know {n}, {ac}."};
static const char *const note_materials[] = {"It is made of {m}.", "Most are made of {m}.", "A good one is of {m}.",
                                             "For making it one needs {m}.", "The best {N} is made of {m}."};
static const char *const note_uses[] = {
    "It is used for {u}.", "One needs it for {u}.",           "With it {u} is easy.",
    "It helps with {u}.",  "Without {n}, {u} would be hard.", "For {u} nothing is better."};
static const char *const note_ends[] = {"Its place is {p}.",
                                        "After {u} one puts it back in {p}.",
                                        "Look for it in {p}.",
                                        "Keep the {N} dry and clean.",
                                        "Children should not touch the {N} alone.",
                                        "Every {c} needs some care.",
                                        "An old {N} of {m} can be mended."};
static const char *const note_comparisons[] = {
    "{n} is for {u}, but {n2} is for {u2}.", "Unlike {n}, {n2} is made of {m2}.", "In {p2} one finds {n2} instead.",
    "But {n2} is of {m2}, unlike {n}.", "Where {n} serves for {u}, {n2} serves for {u2}."};

static void with_article(const char *noun, char out[40]) {
    bool vowel = noun[0] == 'a' || noun[0] == 'e' || noun[0] == 'i' || noun[0] == 'o' || noun[0] == 'u';
    snprintf(out, 40, "%s %s", vowel ? "an" : "a", noun);
}

void prose_append_note(struct rng *rng, struct buffer *out) {
    const size_t n = sizeof everyday / sizeof everyday[0];
    size_t i = rng_below(rng, n), j = (i + 1 + rng_below(rng, n - 1)) % n;
    char noun[40], noun2[40], class[40];
    with_article(everyday[i].noun, noun);
    with_article(everyday[j].noun, noun2);
    with_article(everyday[i].class, class);
    struct cast cast = {{{"n", noun},
                         {"N", everyday[i].noun},
                         {"c", everyday[i].class},
                         {"ac", class},
                         {"m", everyday[i].made_of},
                         {"u", everyday[i].use},
                         {"p", everyday[i].place},
                         {"n2", noun2},
                         {"m2", everyday[j].made_of},
                         {"u2", everyday[j].use},
                         {"p2", everyday[j].place},
                         {NULL, NULL}}};
    append_sentence(PHRASES(note_starts), &cast, rng, out);
    append_sentence(PHRASES(note_materials), &cast, rng, out);
    append_sentence(PHRASES(note_uses), &cast, rng, out);
    if (rng_below(rng, 2) == 0) append_sentence(PHRASES(note_comparisons), &cast, rng, out);
    if (rng_below(rng, 3) > 0) append_sentence(PHRASES(note_ends), &cast, rng, out);
}
