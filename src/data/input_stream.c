/* input_stream.c - plain and zstd files as a stream, cut into lines; see input_stream.h. */
#include "data/input_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

#ifdef __APPLE__
#define MODIFIED st_mtimespec
#else
#define MODIFIED st_mtim
#endif

struct input_stream {
    int fd;
    char *path;
    struct file_version version;
    const volatile sig_atomic_t *stop; /* or NULL */
    uint64_t position, offset;
    char begin[3]; /* the first bytes, read to look for a byte order mark */
    size_t begin_at, n_begin;
#ifdef HAVE_ZSTD
    ZSTD_DStream *unpacker; /* NULL for a plain file */
    ZSTD_inBuffer packed;
    char *packed_bytes;
    bool inside_frame; /* the end of the file here means that it is cut short */
#endif
};

bool path_has_extension(const char *path, const char *extension) {
    size_t n = strlen(path), m = strlen(extension);
    if (n > 4 && strcasecmp(path + n - 4, ".zst") == 0) n -= 4;
    return n > m + 1 && path[n - m - 1] == '.' && strncasecmp(path + n - m, extension, m) == 0;
}

/* ---- versions -------------------------------------------------------------------------------- */

bool file_version_equal(const struct file_version *a, const struct file_version *b) {
    return a->n_bytes == b->n_bytes && a->modified.tv_sec == b->modified.tv_sec &&
           a->modified.tv_nsec == b->modified.tv_nsec;
}

bool fail_file_changed(const char *path, struct talc_error *err) {
    return talc_fail(err, "%s: has changed while it was read; run this again when nothing writes to it", path);
}

static bool read_version(const struct input_stream *s, struct file_version *version, struct talc_error *err) {
    struct stat st;
    if (fstat(s->fd, &st) != 0) return talc_fail_errno(err, "%s: cannot be read", s->path);
    *version = (struct file_version){0};
    if (S_ISREG(st.st_mode)) *version = (struct file_version){(uint64_t)st.st_size, st.MODIFIED};
    return true;
}

/* At the end of the file. */
static bool check_version(const struct input_stream *s, struct talc_error *err) {
    struct file_version now;
    if (!read_version(s, &now, err)) return false;
    return file_version_equal(&now, &s->version) ? true : fail_file_changed(s->path, err);
}

/* ---- bytes ----------------------------------------------------------------------------------- */

/* Reads until n_bytes are there or the file ends. A pipe may have no writer yet, or one that says nothing for long:
 * whoever waits for it wants to be able to stop. */
static bool read_file(struct input_stream *s, void *out, size_t n_bytes, size_t *n_read, struct talc_error *err) {
    enum { WAIT_MILLISECONDS = 200 };
    *n_read = 0;
    while (*n_read < n_bytes) {
        struct pollfd input = {.fd = s->fd, .events = POLLIN};
        int ready = poll(&input, 1, WAIT_MILLISECONDS);
        if (s->stop && *s->stop) return talc_fail(err, "%s: reading was stopped", s->path);
        if (ready == 0) continue;
        ssize_t n = read(s->fd, (char *)out + *n_read, n_bytes - *n_read);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (n < 0) return talc_fail_errno(err, "%s: cannot be read", s->path);
        if (n == 0 && !check_version(s, err)) return false;
        if (n == 0) break;
        *n_read += (size_t)n;
    }
    s->position += *n_read;
    return true;
}

#ifdef HAVE_ZSTD
static bool open_unpacker(struct input_stream *s, struct talc_error *err) {
    s->unpacker = ZSTD_createDStream();
    s->packed_bytes = malloc(ZSTD_DStreamInSize());
    s->packed.src = s->packed_bytes;
    return (s->unpacker && s->packed_bytes) || talc_fail(err, "%s: out of memory", s->path);
}

static bool read_unpacked(struct input_stream *s, void *out, size_t n_bytes, size_t *n_read, struct talc_error *err) {
    ZSTD_outBuffer to = {.dst = out, .size = n_bytes};
    while (to.pos < to.size) {
        size_t before = to.pos;
        if (s->packed.pos == s->packed.size) {
            s->packed.pos = 0;
            if (!read_file(s, s->packed_bytes, ZSTD_DStreamInSize(), &s->packed.size, err)) return false;
            if (s->packed.size == 0 && !s->inside_frame) break;
        }
        bool no_more = s->packed.size == 0;
        size_t code = ZSTD_decompressStream(s->unpacker, &to, &s->packed);
        if (ZSTD_isError(code)) return talc_fail(err, "%s: cannot be unpacked: %s", s->path, ZSTD_getErrorName(code));
        s->inside_frame = code != 0;
        if (no_more && to.pos == before && s->inside_frame)
            return talc_fail(err, "%s: is cut short; copy or download it again", s->path);
    }
    *n_read = to.pos;
    return true;
}
#endif

static bool read_bytes(struct input_stream *s, void *out, size_t n_bytes, size_t *n_read, struct talc_error *err) {
#ifdef HAVE_ZSTD
    if (s->unpacker) return read_unpacked(s, out, n_bytes, n_read, err);
#endif
    return read_file(s, out, n_bytes, n_read, err);
}

static bool open_stream(struct input_stream *s, const char *path, struct talc_error *err) {
    s->path = strdup(path);
    if (!s->path) return talc_fail(err, "out of memory");
    s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (s->fd < 0) return talc_fail_errno(err, "%s: cannot be read", path);
    if (!read_version(s, &s->version, err)) return false;
    size_t n = strlen(path);
    if (n > 4 && strcasecmp(path + n - 4, ".zst") == 0) {
#ifdef HAVE_ZSTD
        if (!open_unpacker(s, err)) return false;
#else
        return talc_fail(err, "%s: this talc was built without zstd; unpack the file first (zstd -d)", path);
#endif
    }
    if (!read_bytes(s, s->begin, sizeof s->begin, &s->n_begin, err)) return false;
    if (s->n_begin == 3 && memcmp(s->begin, "\xef\xbb\xbf", 3) == 0) s->begin_at = s->offset = 3;
    return true;
}

struct input_stream *input_stream_open(const char *path, const volatile sig_atomic_t *stop, struct talc_error *err) {
    struct input_stream *s = calloc(1, sizeof *s);
    if (!s) {
        talc_fail(err, "out of memory");
        return NULL;
    }
    s->stop = stop;
    s->fd = -1;
    if (open_stream(s, path, err)) return s;
    input_stream_close(s);
    return NULL;
}

void input_stream_close(struct input_stream *s) {
    if (!s) return;
#ifdef HAVE_ZSTD
    ZSTD_freeDStream(s->unpacker);
    free(s->packed_bytes);
#endif
    if (s->fd >= 0) close(s->fd);
    free(s->path);
    free(s);
}

bool input_stream_read(struct input_stream *s, void *out, size_t n_bytes, size_t *n_read, struct talc_error *err) {
    size_t n = 0, more = 0;
    if (s->stop && *s->stop) return talc_fail(err, "%s: reading was stopped", s->path);
    while (n < n_bytes && s->begin_at < s->n_begin) ((char *)out)[n++] = s->begin[s->begin_at++];
    if (n < n_bytes && !read_bytes(s, (char *)out + n, n_bytes - n, &more, err)) return false;
    *n_read = n + more;
    s->offset += *n_read;
    return true;
}

struct file_version input_stream_version(const struct input_stream *s) {
    return s->version;
}

uint64_t input_stream_position(const struct input_stream *s) { return s->position; }

uint64_t input_stream_offset(const struct input_stream *s) { return s->offset; }

/* ---- lines ----------------------------------------------------------------------------------- */

bool line_reader_open(struct line_reader *r, const char *path, const volatile sig_atomic_t *stop,
                      struct talc_error *err) {
    *r = (struct line_reader){.path = strdup(path)};
    if (!r->path) return talc_fail(err, "out of memory");
    r->stream = input_stream_open(path, stop, err);
    if (!r->stream) line_reader_close(r);
    return r->stream != NULL;
}

void line_reader_close(struct line_reader *r) {
    input_stream_close(r->stream);
    free((char *)r->path);
    free(r->bytes);
    *r = (struct line_reader){0};
}

static bool line_too_long(const struct line_reader *r, size_t line, struct talc_error *err) {
    return talc_fail(err, "%s:%zu: this line has more than %zu MiB; is it JSON, one object a line?", r->path, line,
                     LINE_MAX_BYTES >> 20);
}

/* Reads more behind what is there, moving or growing the buffer as needed. */
static bool read_more(struct line_reader *r, struct talc_error *err) {
    enum { FIRST_CAPACITY = 1 << 18 };
    if (r->begin) {
        memmove(r->bytes, r->bytes + r->begin, r->end - r->begin);
        r->end -= r->begin;
        r->begin = 0;
    }
    if (r->end > LINE_MAX_BYTES) return line_too_long(r, r->line + 1, err);
    if (r->end == r->capacity) {
        size_t capacity = r->capacity ? 2 * r->capacity : FIRST_CAPACITY;
        if (capacity >= LINE_MAX_BYTES) capacity = LINE_MAX_BYTES + 1;
        char *bytes = realloc(r->bytes, capacity);
        if (!bytes) return talc_fail(err, "%s:%zu: out of memory", r->path, r->line + 1);
        r->bytes = bytes;
        r->capacity = capacity;
    }
    size_t n;
    if (!input_stream_read(r->stream, r->bytes + r->end, r->capacity - r->end, &n, err)) return false;
    r->at_end = n < r->capacity - r->end;
    r->end += n;
    return true;
}

bool line_reader_next(struct line_reader *r, const char **line, size_t *n_bytes, struct talc_error *err) {
    const char *end = NULL;
    size_t searched = 0;
    for (;;) {
        size_t n = r->end - r->begin;
        if (n > searched) end = memchr(r->bytes + r->begin + searched, '\n', n - searched);
        if (end || r->at_end) break;
        searched = n;
        if (!read_more(r, err)) return false;
    }
    *line = NULL;
    *n_bytes = 0;
    if (!end && r->begin == r->end) return true;
    *line = r->bytes + r->begin;
    *n_bytes = end ? (size_t)(end - *line) : r->end - r->begin;
    r->begin += *n_bytes + (end != NULL);
    r->line++;
    if (*n_bytes > LINE_MAX_BYTES) return line_too_long(r, r->line, err);
    if (*n_bytes && (*line)[*n_bytes - 1] == '\r') --*n_bytes;
    return true;
}

bool line_is_blank(const char *line, size_t n_bytes) {
    while (n_bytes && (line[n_bytes - 1] == ' ' || line[n_bytes - 1] == '\t')) n_bytes--;
    return n_bytes == 0;
}
