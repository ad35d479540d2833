/* config.c - Hugging Face's config.json to an arch and back: what all families share. What a file asks for and talc
 * does not do is refused by name. */
#include <stdio.h>
#include <string.h>

#include "file/json.h"
#include "model/config_keys.h"
#include "model/family.h"

static bool refuse_family(const char *type, struct talc_error *err) {
    char names[256];
    family_names(names, sizeof names);
    return talc_fail(err, "model_type '%.40s' is not supported; talc opens %s", type, names);
}

static bool get_ids(const json_t *c, struct arch *a, struct talc_error *err) {
    return config_get_id(c, "bos_token_id", a->vocab_size, &a->bos_id, err) &&
           config_get_id(c, "eos_token_id", a->vocab_size, &a->eos_id, err) &&
           config_get_id(c, "pad_token_id", a->vocab_size, &a->pad_id, err);
}

bool config_to_arch(const json_t *c, struct arch *a, struct talc_error *err) {
    const json_t *whole = c;
    memset(a, 0, sizeof *a);
    const char *type;
    if (!json_is_object(c)) return talc_fail(err, "not a JSON object");
    if (!json_get_string(c, "model_type", "", &type, err)) return false;
    const struct family *family = family_find(type);
    if (!family) return refuse_family(type, err);
    if (!config_need_null(c, "quantization_config", err)) return false;
    if (family->text) {
        family = family->text;
        c = json_object_get(c, "text_config");
        if (!json_is_object(c)) return talc_fail(err, "text_config is not an object");
    }
    snprintf(a->family, sizeof a->family, "%s", family->name);
    if (!family->read(c, a, err)) return false;
    if (a->n_layers > ARCH_MAX_LAYERS) return talc_fail(err, "%d layers; talc does %d", a->n_layers, ARCH_MAX_LAYERS);
    return family->read_layers(c, a, err) && get_ids(json_object_get(c, "eos_token_id") ? c : whole, a, err) &&
           arch_check(a, err);
}

bool arch_from_config(const json_t *config, struct arch *a, struct talc_error *err) {
    return config_to_arch(config, a, err) || talc_fail_in(err, "config.json");
}

json_t *arch_to_config(const struct arch *a) {
    const struct family *family = family_find(a->family);
    json_t *o = family ? json_object() : NULL;
    if (!o) return NULL;
    config_set_text(o, "model_type", family->name);
    json_object_set_new(o, "architectures", json_pack("[s]", family->architecture));
    config_set_int(o, "vocab_size", a->vocab_size);
    family->write(o, a);
    config_set_float(o, "embd_pdrop", a->dropout);
    config_set_float(o, "resid_pdrop", a->dropout);
    config_set_bool(o, "tie_word_embeddings", a->tie_embeddings);
    config_set_id(o, "bos_token_id", a->bos_id);
    config_set_id(o, "eos_token_id", a->eos_id);
    config_set_id(o, "pad_token_id", a->pad_id);
    config_set_text(o, "torch_dtype", "float32");
    config_set_bool(o, "use_cache", true);
    return o;
}
