/* primer_lines.c - reading one JSON object a line; see primer_lines.h. */
#include "task/primer_lines.h"

#include "data/input_stream.h"

static bool use_line(const char *line, size_t n_bytes, const char *where,
                     bool (*use)(void *context, json_t *object, const char *where, struct talc_error *err),
                     void *context, struct talc_error *err) {
    json_t *object = json_parse(line, n_bytes, where, err);
    if (!object) return false;
    bool ok =
        json_is_object(object) ? use(context, object, where, err) : talc_fail(err, "%s: not a JSON object", where);
    json_decref(object);
    return ok;
}

bool json_lines_read(const char *path, const volatile sig_atomic_t *stop,
                     bool (*use)(void *context, json_t *object, const char *where, struct talc_error *err),
                     void *context, struct talc_error *err) {
    struct line_reader reader;
    if (!line_reader_open(&reader, path, stop, err)) return false;
    struct buffer where = {0};
    const char *line;
    size_t n_bytes;
    bool ok;
    while ((ok = line_reader_next(&reader, &line, &n_bytes, err)) && line) {
        if (line_is_blank(line, n_bytes)) continue;
        buffer_clear(&where);
        buffer_printf(&where, "%s:%zu", path, reader.line);
        ok = buffer_ok(&where) ? use_line(line, n_bytes, where.data, use, context, err)
                               : talc_fail(err, "out of memory");
        if (!ok) break;
    }
    buffer_free(&where);
    line_reader_close(&reader);
    return ok;
}
