/* family.c - the table of families. */
#include "model/family.h"

#include <stdio.h>
#include <string.h>

static const struct family *const families[] = {&family_gpt2,        &family_llama, &family_mistral, &family_qwen2,
                                                &family_qwen3,       &family_phi3,  &family_gemma,   &family_gemma2,
                                                &family_gemma3_text, &family_gemma3};
enum { N_FAMILIES = sizeof families / sizeof *families };

const struct family *family_find(const char *name) {
    for (int i = 0; i < N_FAMILIES; i++)
        if (strcmp(families[i]->name, name) == 0) return families[i];
    return NULL;
}

void family_names(char *text, size_t size) {
    size_t used = 0;
    for (int i = 0; i < N_FAMILIES && used < size; i++) {
        const char *before = i == 0 ? "" : i < N_FAMILIES - 1 ? ", " : " and ";
        used += (size_t)snprintf(text + used, size - used, "%s%s", before, families[i]->name);
    }
}
