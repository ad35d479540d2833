/* op_devices.c - opens every back end and variant; see op_devices.h. */
#include "op_devices.h"

#include <stdio.h>

static const struct {
    const char *backend, *variant;
} variants[] = {{"cpu", "avx512bf16"}, {"cpu", "avx512"}, {"cpu", "avx2"}, {"cpu", "neon"}, {"cpu", "portable"}};

/* False if the back end must open (it has no variant) and does not. */
static bool device_open(struct op_devices *d, const char *backend, const char *variant) {
    struct op_device *device = &d->devices[d->n_devices];
    struct talc_error err = {{0}};
    snprintf(device->name, sizeof device->name, "%s%s%s", backend, variant ? ":" : "", variant ? variant : "");
    for (int i = 0; i < N_THREAD_COUNTS; i++) {
        if (stream_open(&device->streams[i], device->name, d->pools[i], &err)) continue;
        fprintf(stderr, "%s %s: %s\n", variant ? "skipped" : "FAILED", device->name, err.message);
        while (i--) stream_close(&device->streams[i]);
        return variant != NULL;
    }
    d->n_devices++;
    return true;
}

bool op_devices_open(struct op_devices *d) {
    static const int n_threads[N_THREAD_COUNTS] = {1, 2, 4};
    bool opened = true;
    *d = (struct op_devices){0};
    for (int i = 0; i < N_THREAD_COUNTS; i++) opened &= (d->pools[i] = thread_pool_open(n_threads[i], NULL)) != NULL;
    opened = opened && stream_open(&d->reference, "ref", d->pools[THREADS_1], NULL);
    for (const struct backend *const *b = backends; opened && *b; b++) {
        opened &= device_open(d, (*b)->name, NULL);
        for (size_t i = 0; i < sizeof variants / sizeof *variants; i++)
            if (strcmp(variants[i].backend, (*b)->name) == 0) opened &= device_open(d, (*b)->name, variants[i].variant);
    }
    return opened;
}

void op_devices_close(struct op_devices *d) {
    stream_close(&d->reference);
    for (int i = 0; i < d->n_devices; i++)
        for (int j = 0; j < N_THREAD_COUNTS; j++) stream_close(&d->devices[i].streams[j]);
    for (int i = 0; i < N_THREAD_COUNTS; i++) thread_pool_close(d->pools[i]);
}
