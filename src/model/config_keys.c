/* config_keys.c - see config_keys.h. */
#include "model/config_keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file/json.h"

/* ---- reading --------------------------------------------------------------------------------- */

bool config_get_size(const json_t *c, const char *key, int fallback, int *out, struct talc_error *err) {
    int64_t x;
    if (!json_get_int(c, key, fallback, 1, 1 << 24, &x, err)) return false;
    *out = (int)x;
    return x > 0 ? true : talc_fail(err, "%s is missing", key);
}

bool config_get_float(const json_t *c, const char *key, double fallback, float *out, struct talc_error *err) {
    double x;
    if (!json_get_number(c, key, fallback, &x, err)) return false;
    *out = (float)x;
    return true;
}

bool config_get_id(const json_t *c, const char *key, int vocab_size, int *out, struct talc_error *err) {
    const json_t *value = json_object_get(c, key);
    *out = -1;
    if (json_is_array(value)) value = json_array_get(value, 0);
    if (!value || json_is_null(value)) return true;
    if (!json_is_integer(value)) return talc_fail(err, "%s is no whole number", key);
    json_int_t id = json_integer_value(value);
    if (id >= 0 && id < vocab_size) *out = (int)id;
    return true;
}

bool config_need_bool(const json_t *c, const char *key, bool needed, struct talc_error *err) {
    bool x;
    if (!json_get_bool(c, key, needed, &x, err)) return false;
    return x == needed ? true : talc_fail(err, "%s is %s, which talc does not do", key, x ? "true" : "false");
}

bool config_need_null(const json_t *c, const char *key, struct talc_error *err) {
    const json_t *value = json_object_get(c, key);
    return !value || json_is_null(value) ? true : talc_fail(err, "%s is set, which talc does not do", key);
}

/* Dropout has three keys and talc has one. */
bool config_get_dropout(const json_t *c, const char *attention_key, double fallback, struct arch *a,
                        struct talc_error *err) {
    float embedding, residual;
    if (!config_get_float(c, attention_key, fallback, &a->dropout, err) ||
        !config_get_float(c, "embd_pdrop", fallback, &embedding, err) ||
        !config_get_float(c, "resid_pdrop", fallback, &residual, err))
        return false;
    if (a->dropout == embedding && a->dropout == residual) return true;
    return talc_fail(err, "%s %g, embd_pdrop %g and resid_pdrop %g differ; talc has one dropout: set all three to it",
                     attention_key, (double)a->dropout, (double)embedding, (double)residual);
}

bool config_get_window(const json_t *c, int fallback, struct arch *a, struct talc_error *err) {
    int64_t window = 0;
    const json_t *value = json_object_get(c, "sliding_window");
    if (!value) window = fallback;
    if (!json_get_int(c, "sliding_window", window, 1, 1 << 24, &window, err)) return false;
    for (int l = 0; l < a->n_layers; l++) a->layers[l].window = (int)window;
    return true;
}

bool config_get_layer_types(const json_t *c, int window, struct arch *a, struct talc_error *err) {
    const json_t *types = json_object_get(c, "layer_types");
    if (!types || json_is_null(types)) return true;
    if (!json_is_array(types) || json_array_size(types) != (size_t)a->n_layers)
        return talc_fail(err, "layer_types has %zu entries for %d layers", json_array_size(types), a->n_layers);
    for (int l = 0; l < a->n_layers; l++) {
        const char *type = json_string_value(json_array_get(types, (size_t)l));
        bool slides = type && strcmp(type, "sliding_attention") == 0;
        if (!slides && (!type || strcmp(type, "full_attention") != 0))
            return talc_fail(err, "layer_types[%d] is '%.40s', which talc does not do", l,
                             type ? type : "not a string");
        if (slides && window == 0)
            return talc_fail(err,
                             "layer %d has sliding_attention, but sliding_window (and use_sliding_window, in families "
                             "that have it) gives no window",
                             l);
        a->layers[l].window = slides ? window : 0;
    }
    return true;
}

/* layer_types names them, or, in older files, all layers from max_window_layers on have one. */
bool config_get_windows(const json_t *c, struct arch *a, struct talc_error *err) {
    bool use;
    int64_t window = json_object_get(c, "sliding_window") ? 0 : 4096, first;
    if (!json_get_bool(c, "use_sliding_window", false, &use, err) ||
        !json_get_int(c, "sliding_window", window, 1, 1 << 24, &window, err) ||
        !json_get_int(c, "max_window_layers", 28, 0, 1 << 24, &first, err))
        return false;
    if (!use) window = 0;
    for (int l = 0; l < a->n_layers; l++) a->layers[l].window = l >= first ? (int)window : 0;
    return config_get_layer_types(c, (int)window, a, err);
}

/* ---- writing --------------------------------------------------------------------------------- */

void config_set_int(json_t *o, const char *key, int64_t x) { json_object_set_new(o, key, json_integer(x)); }
void config_set_bool(json_t *o, const char *key, bool x) { json_object_set_new(o, key, json_boolean(x)); }
void config_set_text(json_t *o, const char *key, const char *x) { json_object_set_new(o, key, json_string(x)); }
void config_set_id(json_t *o, const char *key, int id) {
    json_object_set_new(o, key, id >= 0 ? json_integer(id) : json_null());
}

json_t *config_number(float x) {
    char text[32];
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)x);
        if (strtof(text, NULL) == x) break;
    }
    return json_real(strtod(text, NULL));
}

void config_set_float(json_t *o, const char *key, float x) { json_object_set_new(o, key, config_number(x)); }

void config_set_layer_types(json_t *o, const struct arch *a) {
    json_t *types = json_array();
    int window = 0;
    for (int l = 0; l < a->n_layers; l++) {
        json_array_append_new(types, json_string(a->layers[l].window ? "sliding_attention" : "full_attention"));
        if (a->layers[l].window) window = a->layers[l].window;
    }
    json_object_set_new(o, "sliding_window", window ? json_integer(window) : json_null());
    json_object_set_new(o, "layer_types", types);
}

void config_set_windows(json_t *o, const struct arch *a) {
    int first = 0;
    while (first < a->n_layers && a->layers[first].window == 0) first++;
    config_set_bool(o, "use_sliding_window", first < a->n_layers);
    if (first < a->n_layers)
        config_set_int(o, "max_window_layers", first); /* for programs that do not know the types */
    config_set_layer_types(o, a);
}
