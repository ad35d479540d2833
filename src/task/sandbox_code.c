/* sandbox_code.c - which commands compile and run generated code, and what they say. */
#include "task/sandbox_code.h"

#include <string.h>
#include <unistd.h>

#include "task/sandbox.h"

static const struct language {
    const char *name, *file;
    const char *const argv[8];
    const char *needs; /* a program, in one of `places` (where the job's shell looks, too) */
    const char *const places[4];
} languages[] = {
    {"c",
     "t.c",
     {"/bin/sh", "-c", "cc -std=c11 -O0 -Werror=return-type -o t t.c -lm && exec ./t", NULL},
     "a C compiler called cc",
     {"/usr/local/bin/cc", "/usr/bin/cc", "/bin/cc", NULL}},
    {"python", "t.py", {"/usr/bin/python3", "-I", "-S", "t.py", NULL}, "/usr/bin/python3", {"/usr/bin/python3", NULL}},
};

static const struct language *language_find(const char *name) {
    for (size_t i = 0; i < sizeof languages / sizeof *languages; i++)
        if (strcmp(languages[i].name, name) == 0) return &languages[i];
    return NULL;
}

const char *sandbox_code_lacks(const char *name) {
    const struct language *language = language_find(name);
    if (!language) return NULL;
    for (int i = 0; language->places[i]; i++)
        if (access(language->places[i], X_OK) == 0) return NULL;
    return language->needs;
}

bool sandbox_run_code(void *context, const char *name, const char *program, size_t n_bytes,
                      struct code_outcome *outcome, struct talc_error *err) {
    (void)context;
    const struct language *language = language_find(name);
    if (!language) return talc_fail(err, "programs in '%s' are not run here", name);
    *outcome = (struct code_outcome){.lacks = sandbox_code_lacks(name)};
    if (outcome->lacks) return true;
    struct sandbox_file file = {language->file, program, n_bytes};
    struct sandbox_job job = {.files = &file, .n_files = 1, .argv = language->argv, .limits = sandbox_default_limits()};
    struct sandbox_result result;
    if (!sandbox_run(&job, &result, err)) return false;
    size_t n = result.output.length, most = sizeof outcome->output - 1;
    outcome->ended_well = result.end == SANDBOX_EXITED && result.value == 0;
    if (n) memcpy(outcome->output, result.output.data + (n > most ? n - most : 0), n > most ? most : n);
    buffer_free(&result.output);
    return true;
}
