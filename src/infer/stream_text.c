/* stream_text.c - see stream_text.h. */
#include "infer/stream_text.h"

#include <string.h>

#include "base/utf8.h"

/* Bytes at the end of text that are a proper beginning of `stop`. */
static size_t overlap(const char *text, size_t n, const char *stop) {
    size_t length = strlen(stop), most = length ? length - 1 : 0;
    if (most > n) most = n;
    for (; most > 0; most--)
        if (memcmp(text + n - most, stop, most) == 0) return most;
    return 0;
}

bool stream_text_ready(const struct buffer *pending, const char *const *stops, int n_stops, size_t *n_ready) {
    size_t n = pending->length, hold = 0, found = n;
    bool stopped = false;
    *n_ready = 0;
    if (n == 0) return false;
    for (int i = 0; i < n_stops; i++) {
        size_t length = strlen(stops[i]);
        if (length == 0) continue;
        const char *at = memmem(pending->data, n, stops[i], length);
        if (at && (size_t)(at - pending->data) <= found) {
            found = (size_t)(at - pending->data);
            stopped = true;
        }
        size_t held = overlap(pending->data, n, stops[i]);
        if (held > hold) hold = held;
    }
    *n_ready = stopped ? found : utf8_complete_prefix(pending->data, n - hold);
    return stopped;
}

void stream_text_append(struct buffer *out, const char *text, size_t n) {
    for (size_t i = 0; i < n;) {
        int32_t c;
        int step = utf8_decode(text + i, n - i, &c);
        if (c < 0)
            buffer_append(out, "\xef\xbf\xbd", 3);
        else
            buffer_append(out, text + i, (size_t)step);
        i += (size_t)step;
    }
}
