/* skill_outline.c - outlines in Markdown: a heading and four numbered sections that speak of the topic: a subject
 * ("ink"), an aspect of one ("the trade in ink") or two subjects ("ink and kites"). A fifth of all topics never occurs
 * in training. */
#include <stdio.h>
#include <string.h>

#include "task/primer_phrases.h"
#include "task/skill.h"

static const char *const aspects[] = {
    "the history of {s}", "the art of {s}",     "the future of {s}", "the price of {s}", "the making of {s}",
    "the trade in {s}",   "the secrets of {s}", "the beauty of {s}", "the use of {s}",   "the dangers of {s}",
    "the science of {s}", "the love of {s}",    "the names of {s}",
};
static const char *const subjects[] = {
    "bread",     "kites",     "bees",        "clocks",    "rivers",   "horses",    "music",    "maps",    "glass",
    "gardens",   "bridges",   "tea",         "wool",      "stars",    "ships",     "chess",    "paper",   "trees",
    "fishing",   "dreams",    "letters",     "soap",      "birds",    "winter",    "rockets",  "cheese",  "trains",
    "puppets",   "mountains", "robots",      "salt",      "lamps",    "windmills", "cooking",  "poems",   "volcanoes",
    "shoes",     "dancing",   "castles",     "numbers",   "whales",   "painting",  "coffee",   "markets", "roses",
    "games",     "schools",   "oceans",      "apples",    "boats",    "books",     "boots",    "brooms",  "butter",
    "candles",   "caves",     "chairs",      "clouds",    "coins",    "corn",      "cotton",   "dice",    "doors",
    "dragons",   "drums",     "engines",     "farms",     "feathers", "fences",    "fire",     "flags",   "flour",
    "flowers",   "flutes",    "forests",     "fountains", "friends",  "frogs",     "fruit",    "gloves",  "gold",
    "hats",      "harbours",  "hills",       "holidays",  "honey",    "houses",    "ice",      "ink",     "insects",
    "islands",   "jewels",    "jokes",       "juggling",  "keys",     "kitchens",  "knots",    "lakes",   "leather",
    "libraries", "light",     "lighthouses", "machines",  "magnets",  "masks",     "medicine", "milk",    "mirrors",
    "money",     "moss",      "mushrooms",   "nests",     "onions",   "owls",      "parks",    "pencils", "pepper",
    "pianos",    "pies",      "pirates",     "plants",    "pottery",  "rain",      "recipes",  "riddles", "rice",
    "roads",     "roofs",     "ropes",       "running",   "sailing",  "sand",      "singing",  "sleep",   "snow",
    "spiders",   "spoons",    "storms",      "sugar",     "swimming", "tents",     "theatres", "thunder", "tools",
    "towers",    "toys",      "tunnels",     "villages",  "violins",  "walking",   "walls",    "watches", "water",
    "waves",     "weather",   "wheels",      "wind",      "wine",     "wood",      "writing",  "zoos",
};

struct format {
    const char *noun, *article, *sections[4]; /* {t} the topic, {s} its subject */
};
static const struct format formats[] = {
    {"talk", "a", {"A question about {s}", "What {t} means to us", "A short story", "Thanks and questions"}},
    {"essay", "an", {"Introduction to {t}", "Reasons to study {s}", "Doubts and answers", "Conclusion on {t}"}},
    {"lesson", "a", {"Goals of the lesson", "First steps with {s}", "Exercises on {t}", "Review"}},
    {"guide", "a", {"What you need", "Getting ready for {s}", "Step by step through {t}", "Common mistakes"}},
    {"report", "a", {"Summary", "Facts about {s}", "Findings on {t}", "Open questions"}},
};

static bool outline_topic_is_held_out(const char *topic) { return text_hash(topic) % 5 == 0; }

/* A subject alone as often as all its aspects together would be too often; a quarter is enough. Two subjects put any
 * word of the table where a topic begins, next to any other: what is copied cannot be guessed. */
static void draw_topic(enum split split, struct rng *rng, struct buffer *subject, struct buffer *topic) {
    do {
        buffer_clear(subject);
        buffer_clear(topic);
        int kind = (int)rng_below(rng, 4);
        buffer_append_text(subject, phrase_any(PHRASES(subjects), rng));
        if (kind == 0) buffer_printf(subject, " and %s", phrase_any(PHRASES(subjects), rng));
        if (!buffer_ok(subject)) return;
        struct slot slots[] = {{"s", subject->data}, {NULL, NULL}};
        text_fill(topic, kind < 2 ? "{s}" : phrase_any(PHRASES(aspects), rng), slots);
    } while (buffer_ok(topic) && outline_topic_is_held_out(topic->data) != (split == SPLIT_TEST));
}

static void append_outline(const struct format *format, const char *topic, const char *subject, struct buffer *out,
                           json_t *sections) {
    struct slot slots[] = {{"t", topic}, {"s", subject}, {NULL, NULL}};
    size_t at;
    buffer_printf(out, "# On %s", topic); /* as it was asked for: a capital would make other tokens of an unseen word */
    for (int i = 0; i < 4; i++) {
        buffer_printf(out, "\n%d. ", i + 1);
        at = out->length;
        text_fill(out, format->sections[i], slots);
        if (sections && buffer_ok(out)) json_array_append_new(sections, json_string(out->data + at));
    }
}

static bool add_outline(const struct world *world, int subject_index, enum split split, struct rng *rng,
                        struct dialog *dialog, json_t *check) {
    (void)world;
    (void)subject_index;
    const struct format *format = &formats[rng_below(rng, sizeof formats / sizeof formats[0])];
    char with_article[32];
    snprintf(with_article, sizeof with_article, "%s %s", format->article, format->noun);
    struct buffer topic = {0}, subject = {0};
    draw_topic(split, rng, &subject, &topic);
    struct buffer *prompt = dialog_next(dialog), *answer = dialog_next(dialog);
    if (buffer_ok(&subject) && buffer_ok(&topic)) {
        struct slot slots[] = {{"k", format->noun}, {"K", with_article}, {"t", topic.data}, {NULL, NULL}};
        text_fill(prompt, phrase_pick(primer_phrases[PHRASES_OUTLINE], split, rng), slots);
        prompt_finish(prompt, split, rng);
        json_t *sections = check ? json_array() : NULL;
        append_outline(format, topic.data, subject.data, answer, sections);
        if (check) {
            json_object_set_new(check, "topic", json_sprintf("On %s", topic.data));
            json_object_set_new(check, "sections", sections);
        }
    } else {
        answer->failed = true; /* no memory: whoever writes the dialog sees it */
    }
    buffer_free(&topic);
    buffer_free(&subject);
    return true;
}

const struct skill skill_outline = {"outline", add_outline};
