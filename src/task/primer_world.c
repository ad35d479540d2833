/* primer_world.c - drawing a world from a seed, and names; see primer_world.h. */
#include "task/primer_world.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STREAM_NAMES = 1, STREAM_VALUES = 2, MAX_HOME_TOWNS = 30 };

/* ---- names ----------------------------------------------------------------------------------- */

static const char *const onsets[] = {"b", "br", "d", "dr", "f",  "g",  "gr", "h",  "j",  "k", "kr", "l", "m",
                                     "n", "p",  "r", "s",  "sh", "st", "t",  "th", "tr", "v", "w",  "y", "z"};
static const char *const vowels[] = {"a", "e", "i", "o", "u", "a", "e", "i", "o", "u", "ai", "ea", "au"};
static const char *const codas[] = {"", "", "", "n", "r", "l", "s", "k", "m", "nd", "rk", "sk", "lt", "x"};

/* Of these a fifth is kept for tests too; they make it likely that a newcomer's own name is no surprise. */
static const char *const people[] = {
    "Anna",    "Ben",       "Clara",   "David",    "Emma",    "Frank",   "Grace",   "Henry",    "Ida",       "Jack",
    "Kate",    "Leo",       "Maria",   "Noah",     "Olga",    "Paul",    "Rosa",    "Sam",      "Tina",      "Victor",
    "Wendy",   "Yusuf",     "Zoe",     "Adam",     "Bella",   "Carl",    "Diana",   "Erik",     "Fatima",    "Georg",
    "Hanna",   "Ivan",      "Julia",   "Kevin",    "Laura",   "Martin",  "Nina",    "Oscar",    "Peter",     "Rita",
    "Simon",   "Tom",       "Ursula",  "Walter",   "Alice",   "Bob",     "Chen",    "Dora",     "Elena",     "Felix",
    "Gina",    "Hugo",      "Ines",    "John",     "Karen",   "Lucas",   "Mei",     "Nadia",    "Omar",      "Priya",
    "Ruth",    "Sofia",     "Thomas",  "Vera",     "Wei",     "Lisa",    "Max",     "Eva",      "James",     "Amina",
    "Aaron",   "Abdul",     "Agnes",   "Ahmed",    "Aiko",    "Akira",   "Albert",  "Alex",     "Alfred",    "Ali",
    "Alma",    "Amara",     "Amelia",  "Amir",     "Amy",     "Ana",     "Andrea",  "Andrew",   "Angela",    "Anita",
    "Anton",   "Arjun",     "Arthur",  "Asha",     "Ava",     "Axel",    "Barbara", "Beatrice", "Bernard",   "Bianca",
    "Boris",   "Brenda",    "Brian",   "Bruno",    "Camila",  "Carla",   "Carlos",  "Carmen",   "Caroline",  "Cathy",
    "Charles", "Charlotte", "Chloe",   "Chris",    "Claire",  "Claudia", "Conrad",  "Cristina", "Daniel",    "Daria",
    "Debora",  "Deepak",    "Dennis",  "Diego",    "Dimitri", "Dominic", "Donna",   "Doris",    "Edith",     "Edgar",
    "Edward",  "Eleanor",   "Eli",     "Elias",    "Elisa",   "Ella",    "Ellen",   "Eliot",    "Emil",      "Emily",
    "Emre",    "Enzo",      "Eric",    "Ernest",   "Esther",  "Ethan",   "Eugene",  "Faisal",   "Farah",     "Felicia",
    "Fiona",   "Florence",  "Francis", "Freya",    "Gabriel", "George",  "Gerald",  "Gloria",   "Gordon",    "Greta",
    "Gustav",  "Hana",      "Harold",  "Harry",    "Hassan",  "Heidi",   "Helen",   "Helga",    "Hiro",      "Holly",
    "Ian",     "Ibrahim",   "Igor",    "Imran",    "Ingrid",  "Irene",   "Iris",    "Isaac",    "Isabel",    "Ismail",
    "Jacob",   "Jamal",     "Jan",     "Jane",     "Janet",   "Jasmine", "Jason",   "Javier",   "Jenny",     "Jerome",
    "Jessica", "Joan",      "Joel",    "Johanna",  "Jonas",   "Jordan",  "Jorge",   "Josef",    "Joshua",    "Judith",
    "Jun",     "Karl",      "Karim",   "Kavya",    "Keiko",   "Kenji",   "Khalid",  "Kim",      "Kofi",      "Kurt",
    "Lara",    "Lena",      "Leon",    "Leonard",  "Leila",   "Liam",    "Lily",    "Linda",    "Lorenzo",   "Louis",
    "Lucia",   "Lucy",      "Luis",    "Luke",     "Lydia",   "Magnus",  "Malik",   "Manuel",   "Marco",     "Margaret",
    "Mark",    "Marta",     "Mary",    "Mateo",    "Matthew", "Maya",    "Mehmet",  "Melissa",  "Mia",       "Michael",
    "Miguel",  "Mila",      "Milo",    "Miriam",   "Mohamed", "Monica",  "Murat",   "Nancy",    "Naomi",     "Natalie",
    "Nathan",  "Neil",      "Nicole",  "Niko",     "Nils",    "Nora",    "Oliver",  "Olivia",   "Otto",      "Pablo",
    "Pamela",  "Patrick",   "Paula",   "Pedro",    "Petra",   "Philip",  "Pierre",  "Rachel",   "Rafael",    "Rahul",
    "Ralph",   "Ravi",      "Raymond", "Rebecca",  "Richard", "Robert",  "Robin",   "Roland",   "Roman",     "Ron",
    "Rosie",   "Rudolf",    "Sadia",   "Sakura",   "Salma",   "Samir",   "Samuel",  "Sandra",   "Sara",      "Sergei",
    "Shirin",  "Silvia",    "Sonia",   "Stefan",   "Stella",  "Steven",  "Susan",   "Svenja",   "Tamara",    "Tanya",
    "Tariq",   "Tatiana",   "Teresa",  "Theo",     "Tim",     "Tobias",  "Tony",    "Uma",      "Valentina", "Vanessa",
    "Viktor",  "Vincent",   "Viola",   "Virginia", "Wanda",   "William", "Xavier",  "Yan",      "Yasmin",    "Yuki",
    "Yvonne",  "Zainab",
};

static const char *pick(const char *const *items, size_t n, struct rng *rng) { return items[rng_below(rng, n)]; }
#define PICK(array, rng) pick(array, sizeof(array) / sizeof((array)[0]), rng)

/* Two syllables: a long name is many tokens. Five letters at least, so that few are words of the language. */
static void name_make(struct rng *rng, char out[MAX_NAME]) {
    size_t length = 0;
    do {
        length = 0;
        for (int i = 0; i < 2; i++) {
            const char *coda = i == 1 || rng_below(rng, 4) == 0 ? PICK(codas, rng) : "";
            length +=
                (size_t)snprintf(out + length, MAX_NAME - length, "%s%s%s", PICK(onsets, rng), PICK(vowels, rng), coda);
        }
    } while (length < 5 || length > 9);
    out[0] = (char)toupper((unsigned char)out[0]);
}

bool name_is_held_out(const char *name) { return text_hash(name) % 5 == 0; }

/* A name must not be a value that sentences are made of ("Salt", "Marble"): it would be known from them. */
static bool is_value_word(const char *name) {
    for (int k = 0; k < N_KINDS; k++)
        for (int a = 0; a < N_ATTRIBUTES; a++) {
            struct phrases values = primer_kinds[k]->attributes[a].values;
            for (int v = 0; v < values.n; v++) {
                const char *last = strrchr(values.items[v], ' ');
                if (strcasecmp(last ? last + 1 : values.items[v], name) == 0) return true;
            }
        }
    return false;
}

void name_draw(const struct world *world, enum split split, struct rng *rng, char out[MAX_NAME]) {
    do name_make(rng, out);
    while (name_is_held_out(out) != (split == SPLIT_TEST) || world_knows(world, out) || is_value_word(out) ||
           strncmp(out, "The", 3) ==
               0); /* half of all sentences begin so: a name must be told from them by its first piece */
}

const char *name_of_people(enum split split, struct rng *rng) {
    for (;;) {
        const char *name = PICK(people, rng);
        if (name_is_held_out(name) == (split == SPLIT_TEST)) return name;
    }
}

/* ---- the table of names ---------------------------------------------------------------------- */

static size_t slot_of(const struct world *world, const char *name) {
    size_t at = text_hash(name) % world->n_slots;
    while (world->table[at] && strcmp(world->entities[world->table[at] - 1].name, name) != 0)
        at = (at + 1) % world->n_slots;
    return at;
}

bool world_knows(const struct world *world, const char *name) { return world->table[slot_of(world, name)] != 0; }

/* ---- the world ------------------------------------------------------------------------------- */

static int n_towns(const struct world *world) { return (world->n_entities + N_KINDS - 1 - KIND_TOWN) / N_KINDS; }

/* Persons live in the first towns, ships sail from the last ones: at most MAX_HOME_TOWNS each. */
static int n_values(const struct world *world, const struct attribute *a) {
    if (a->source == VALUES_TABLE) return a->values.n;
    int half = n_towns(world) / 2;
    return half < 1 ? 1 : half > MAX_HOME_TOWNS ? MAX_HOME_TOWNS : half;
}

bool world_open(struct world *world, uint64_t seed, int n_entities, struct talc_error *err) {
    *world = (struct world){.n_entities = n_entities, .n_slots = 4 * (size_t)n_entities + 1};
    world->entities = calloc((size_t)n_entities, sizeof *world->entities);
    world->table = calloc(world->n_slots, sizeof *world->table);
    if (!world->entities || !world->table) {
        world_close(world);
        return talc_fail(err, "primer: no memory for a world of %d things", n_entities);
    }
    struct rng names = rng_make(seed, STREAM_NAMES), values = rng_make(seed, STREAM_VALUES);
    for (int i = 0; i < n_entities; i++) {
        struct entity *e = &world->entities[i];
        char name[MAX_NAME];
        name_draw(world, SPLIT_TRAIN, &names, name);
        memcpy(e->name, name, sizeof name);
        world->table[slot_of(world, name)] = i + 1;
        e->kind = i % N_KINDS;
        e->female = rng_below(&values, 2) == 0;
        for (int a = 0; a < N_ATTRIBUTES; a++) {
            int n = n_values(world, &primer_kinds[e->kind]->attributes[a]);
            e->values[a] = (int)rng_below(&values, (uint64_t)n);
        }
    }
    return true;
}

void world_close(struct world *world) {
    free(world->entities);
    free(world->table);
    *world = (struct world){0};
}

const struct attribute *world_attribute(const struct world *world, int entity, int attribute) {
    return &primer_kinds[world->entities[entity].kind]->attributes[attribute];
}

const char *world_value(const struct world *world, int entity, int attribute) {
    const struct attribute *a = world_attribute(world, entity, attribute);
    int value = world->entities[entity].values[attribute];
    if (a->source == VALUES_TABLE) return a->values.items[value];
    int town = a->source == VALUES_FIRST_TOWNS ? value : n_towns(world) - 1 - value;
    return world->entities[town * N_KINDS + KIND_TOWN].name;
}

void entity_append_kind(const struct entity *e, struct buffer *out) {
    buffer_printf(out, "%s is %s %s.", e->name, primer_kinds[e->kind]->article, primer_kinds[e->kind]->noun);
}

void world_append_fact(const struct world *world, int entity, int attribute, struct buffer *out) {
    struct slot slots[] = {
        {"X", world->entities[entity].name}, {"v", world_value(world, entity, attribute)}, {NULL, NULL}};
    text_fill(out, world_attribute(world, entity, attribute)->answer, slots);
}
