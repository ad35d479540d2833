/* primer_kinds.h - the five kinds of things, each in a file of its own, and the values that several of them share. */
#ifndef TALC_TASK_PRIMER_KINDS_H
#define TALC_TASK_PRIMER_KINDS_H

#include "task/primer_world.h"

#define TABLE(...)                                                                                                     \
    { (const char *const[]){__VA_ARGS__}, (int)(sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)) }

#define COLOURS                                                                                                        \
    TABLE("red", "blue", "green", "yellow", "purple", "orange", "brown", "black", "white", "grey", "pink", "silver",   \
          "golden", "crimson", "violet", "turquoise")
#define NUMBERS                                                                                                        \
    TABLE("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "twenty")

extern const struct kind primer_person, primer_town, primer_beast, primer_planet, primer_ship;

#endif
