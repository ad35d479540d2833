/* device.c - opens streams on back ends by name; see device.h. */
#include "tensor/device.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/progress.h"

extern const struct backend backend_cpu, backend_ref;
const struct backend *const backends[] = {&backend_cpu, &backend_ref, NULL};

bool stream_open(struct stream *stream, const char *device, struct thread_pool *pool, struct talc_error *err) {
    *stream = (struct stream){0};
    const char *colon = strchr(device, ':');
    size_t length = colon ? (size_t)(colon - device) : strlen(device);
    for (const struct backend *const *b = backends; *b; b++)
        if (strlen((*b)->name) == length && memcmp((*b)->name, device, length) == 0)
            return (*b)->open(stream, colon ? colon + 1 : NULL, pool, err);
    return talc_fail(err, "there is no device '%s'; this build has: cpu, ref", device);
}

void stream_close(struct stream *stream) {
    if (stream->backend) stream->backend->close(stream);
    *stream = (struct stream){0};
}

bool stream_synchronize(struct stream *stream, struct talc_error *err) {
    return stream->backend->synchronize(stream, err);
}

void *stream_memory_take(struct stream *stream, size_t n_bytes, struct talc_error *err) {
    size_t available = stream->backend->own_memory ? SIZE_MAX : memory_available();
    if (n_bytes <= available) return stream->backend->memory_take(stream, n_bytes, err);
    char needed[32], left[32];
    talc_fail(err, "out of memory: %s are needed and %s are free; use a smaller model, batch or context",
              format_bytes((double)n_bytes, needed), format_bytes((double)available, left));
    return NULL;
}

void stream_fail(struct stream *stream, const char *format, ...) {
    if (stream->failed) return;
    stream->failed = true;
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    talc_fail(&stream->error, "%s", text);
}
