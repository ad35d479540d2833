/* config_rope.c - rotary positions in config.json: base, scaling (arch.h) and how much of a head turns. transformers 5
 * keeps all of it in rope_parameters, 4 in rope_theta, rope_scaling and partial_rotary_factor. */
#include <math.h>
#include <string.h>

#include "file/json.h"
#include "model/config_keys.h"

static const struct kind_name {
    const char *name;
    enum rope_kind kind;
} kinds[] = {
    {"default", ROPE_PLAIN}, {"linear", ROPE_LINEAR}, {"dynamic", ROPE_DYNAMIC}, {"llama3", ROPE_LLAMA3},
    {"yarn", ROPE_YARN},     {"longrope", ROPE_LONG}, {"su", ROPE_LONG}, /* the first name of a kind is written */
};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

/* ---- reading --------------------------------------------------------------------------------- */

static bool get_kind(const json_t *rope, enum rope_kind *kind, struct talc_error *err) {
    const char *type, *old_type;
    if (!json_get_string(rope, "type", "default", &old_type, err) ||
        !json_get_string(rope, "rope_type", old_type, &type, err))
        return false;
    for (int i = 0; i < N_KINDS; i++)
        if (strcmp(kinds[i].name, type) == 0) {
            *kind = kinds[i].kind;
            /* what Phi-3's first files called it */
            if (*kind == ROPE_YARN && json_object_get(rope, "short_factor")) *kind = ROPE_LONG;
            return true;
        }
    return talc_fail(err, "it asks for '%.40s', which talc does not do", type);
}

/* A number that has no default: 0, which arch_check refuses, says that it is missing. */
static bool need_number(const json_t *rope, const char *key, float *out, struct talc_error *err) {
    return config_get_float(rope, key, 0, out, err) && (*out != 0 || talc_fail(err, "%s is missing", key));
}

/* By which YaRN raises attention for a factor (Peng et al. 2023, 3.4). */
static double yarn_attention(double factor, double scale) { return factor > 1 ? 0.1 * scale * log(factor) + 1 : 1; }

static double default_attention(const struct rope_scaling *s, double factor) {
    if (s->kind == ROPE_YARN) return yarn_attention(factor, 1);
    return factor > 1 ? sqrt(1 + log(factor) / log(s->original_context)) : 1;
}

static bool get_yarn(const json_t *rope, double ratio, struct rope_scaling *s, struct talc_error *err) {
    float scale, scale_all;
    if (!config_get_float(rope, "factor", ratio, &s->factor, err) ||
        !config_get_float(rope, "beta_fast", 32, &s->high, err) ||
        !config_get_float(rope, "beta_slow", 1, &s->low, err) || !config_get_float(rope, "mscale", 0, &scale, err) ||
        !config_get_float(rope, "mscale_all_dim", 0, &scale_all, err) ||
        !json_get_bool(rope, "truncate", true, &s->whole, err))
        return false;
    double attention = default_attention(s, (double)s->factor);
    if (scale != 0 && scale_all != 0)
        attention =
            yarn_attention((double)s->factor, (double)scale) / yarn_attention((double)s->factor, (double)scale_all);
    return config_get_float(rope, "attention_factor", attention, &s->attention_factor, err);
}

/* One for each angle. */
static bool get_factors(const json_t *rope, const char *key, int n, float *out, struct talc_error *err) {
    const json_t *list = json_object_get(rope, key);
    if (!json_is_array(list) || json_array_size(list) != (size_t)n)
        return talc_fail(err, "%s is not a list of %d numbers", key, n);
    for (int i = 0; i < n; i++) {
        const json_t *x = json_array_get(list, (size_t)i);
        if (!json_is_number(x)) return talc_fail(err, "%s[%d] is no number", key, i);
        out[i] = (float)json_number_value(x);
    }
    return true;
}

/* Beyond the original context other factors hold for every token, so talc's context ends there. */
static bool get_long(const json_t *rope, double ratio, struct rope_scaling *s, struct arch *a, struct talc_error *err) {
    int n = arch_rotary_dim(a) / 2;
    if (n > MOST_HEAD_DIM / 2) return talc_fail(err, "a head turns %d numbers; talc does %d", 2 * n, MOST_HEAD_DIM);
    if (!get_factors(rope, "short_factor", n, a->rope_long.short_factor, err) ||
        !get_factors(rope, "long_factor", n, a->rope_long.long_factor, err) ||
        !config_get_float(rope, "factor", ratio, &s->factor, err) ||
        !config_get_float(rope, "attention_factor", default_attention(s, (double)s->factor), &s->attention_factor, err))
        return false;
    a->rope_long.full_context = a->context_length;
    if (s->original_context < a->context_length) a->context_length = s->original_context;
    return true;
}

static bool get_scaling(const json_t *c, const json_t *rope, struct rope_scaling *s, struct arch *a,
                        struct talc_error *err) {
    if (!get_kind(rope, &s->kind, err)) return false;
    if (s->kind == ROPE_PLAIN) return true;
    if (s->kind == ROPE_LINEAR || s->kind == ROPE_DYNAMIC) return need_number(rope, "factor", &s->factor, err);
    if (!config_get_size(rope, "original_max_position_embeddings", a->context_length, &s->original_context, err) ||
        !config_get_size(c, "original_max_position_embeddings", s->original_context, &s->original_context, err))
        return false;
    double ratio = (double)a->context_length / s->original_context;
    if (s->kind == ROPE_YARN) return get_yarn(rope, ratio, s, err);
    if (s->kind == ROPE_LONG) return get_long(rope, ratio, s, a, err);
    return need_number(rope, "factor", &s->factor, err) && need_number(rope, "low_freq_factor", &s->low, err) &&
           need_number(rope, "high_freq_factor", &s->high, err);
}

bool config_get_rope_of(const json_t *c, const json_t *rope, struct layer_arch *layer, struct arch *a,
                        struct talc_error *err) {
    return config_get_float(rope, "rope_theta", (double)layer->rope_base, &layer->rope_base, err) &&
           get_scaling(c, rope, &layer->scaling, a, err);
}

/* How much of a head turns, as a share of it: the product counts without its fraction. */
static bool get_part(const json_t *c, const json_t *rope, struct arch *a, struct talc_error *err) {
    double part;
    if (!json_get_number(c, "partial_rotary_factor", 1, &part, err) ||
        !json_get_number(rope, "partial_rotary_factor", part, &part, err))
        return false;
    if (!(part > 0 && part <= 1)) return talc_fail(err, "partial_rotary_factor is %g; it must be above 0, to 1", part);
    int turned = (int)(a->head_dim * part);
    if (turned == a->head_dim) return true;
    if (turned < 2 || turned % 2 != 0)
        return talc_fail(err, "partial_rotary_factor %g turns %d numbers of a head of %d, which talc does not do", part,
                         turned, a->head_dim);
    a->rotary_dim = turned;
    return true;
}

bool config_get_rope(const json_t *c, struct arch *a, struct talc_error *err) {
    const char *key = json_object_size(json_object_get(c, "rope_scaling")) > 0 ? "rope_scaling" : "rope_parameters";
    const json_t *rope = json_object_get(c, key);
    struct layer_arch layer = {0};
    if (rope && !json_is_null(rope) && !json_is_object(rope)) return talc_fail(err, "%s is not an object", key);
    if (json_object_get(rope, "full_attention") || json_object_get(rope, "sliding_attention"))
        return talc_fail(err, "%s differs from layer to layer, which talc does not do for this family", key);
    if (!config_get_float(c, "rope_theta", 10000, &layer.rope_base, err) || !get_part(c, rope, a, err)) return false;
    if (!config_get_rope_of(c, rope, &layer, a, err)) return talc_fail_in(err, "%s", key);
    for (int l = 0; l < a->n_layers; l++) {
        a->layers[l].rope_base = layer.rope_base;
        a->layers[l].scaling = layer.scaling;
    }
    return true;
}

bool config_get_whole_rope(const json_t *c, struct arch *a, struct talc_error *err) {
    if (!config_get_rope(c, a, err)) return false;
    return a->rotary_dim == 0 ||
           talc_fail(err, "partial_rotary_factor turns a part of a head, which talc does not do for this family");
}

/* ---- writing --------------------------------------------------------------------------------- */

static void set_factors(json_t *rope, const char *key, const float *x, int n) {
    json_t *list = json_array();
    for (int i = 0; i < n; i++) json_array_append_new(list, config_number(x[i]));
    json_object_set_new(rope, key, list);
}

/* Where it is not what the other keys give. */
static void set_attention(json_t *rope, const struct rope_scaling *s, double factor) {
    if (s->attention_factor != (float)default_attention(s, factor))
        config_set_float(rope, "attention_factor", s->attention_factor);
}

static void set_yarn(json_t *rope, const struct rope_scaling *s) {
    config_set_float(rope, "beta_fast", s->high);
    config_set_float(rope, "beta_slow", s->low);
    if (!s->whole) config_set_bool(rope, "truncate", false);
    set_attention(rope, s, (double)s->factor);
}

/* "type", and no key more than is needed: transformers 4 refuses others. */
static void set_long(json_t *rope, const struct rope_scaling *s, const struct arch *a) {
    int n = arch_rotary_dim(a) / 2;
    config_set_text(rope, "type", "longrope");
    set_factors(rope, "short_factor", a->rope_long.short_factor, n);
    set_factors(rope, "long_factor", a->rope_long.long_factor, n);
    float ratio = (float)((double)a->rope_long.full_context / s->original_context); /* as get_long keeps it */
    set_attention(rope, s, (double)ratio);
}

json_t *config_rope_of(const struct arch *a, const struct layer_arch *layer) {
    const struct rope_scaling *s = &layer->scaling;
    if (s->kind == ROPE_PLAIN) return json_null();
    json_t *rope = json_object();
    if (s->kind == ROPE_LONG) {
        set_long(rope, s, a);
        return rope;
    }
    for (int i = N_KINDS - 1; i >= 0; i--)
        if (kinds[i].kind == s->kind) config_set_text(rope, "rope_type", kinds[i].name);
    config_set_float(rope, "factor", s->factor);
    if (s->original_context) config_set_int(rope, "original_max_position_embeddings", s->original_context);
    if (s->kind == ROPE_YARN) set_yarn(rope, s);
    if (s->kind == ROPE_LLAMA3) {
        config_set_float(rope, "low_freq_factor", s->low);
        config_set_float(rope, "high_freq_factor", s->high);
    }
    return rope;
}

/* The least share of a head whose product with it is the number that turns. */
static double part_of(const struct arch *a) {
    double part = (double)a->rotary_dim / a->head_dim;
    while ((int)(a->head_dim * part) < a->rotary_dim) part = nextafter(part, 2);
    return part;
}

void config_set_rope(json_t *o, const struct arch *a) {
    const struct layer_arch *layer = &a->layers[0];
    bool is_long = layer->scaling.kind == ROPE_LONG;
    config_set_int(o, "max_position_embeddings", is_long ? a->rope_long.full_context : a->context_length);
    if (is_long) config_set_int(o, "original_max_position_embeddings", layer->scaling.original_context);
    config_set_float(o, "rope_theta", layer->rope_base);
    json_object_set_new(o, "rope_scaling", config_rope_of(a, layer));
    if (a->rotary_dim) json_object_set_new(o, "partial_rotary_factor", json_real(part_of(a)));
}
