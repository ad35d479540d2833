/* config_keys.h - reading and writing single keys of a config.json, for the files of the families. Whoever reads gets
 * false with the key's name in the message; an absent key, or null, gives the fallback. */
#ifndef TALC_MODEL_CONFIG_KEYS_H
#define TALC_MODEL_CONFIG_KEYS_H

#include "model/arch.h"

/* arch_from_config, of an object that need not come from such a file. */
bool config_to_arch(const json_t *config, struct arch *arch, struct talc_error *err);

/* A size; a fallback of 0 means that the key must be there. Limits that depend on meaning are arch_check's. */
bool config_get_size(const json_t *c, const char *key, int fallback, int *out, struct talc_error *err);
bool config_get_float(const json_t *c, const char *key, double fallback, float *out, struct talc_error *err);
/* An id, or a list of ids of which the first counts; -1 for one that the vocabulary does not have. */
bool config_get_id(const json_t *c, const char *key, int vocab_size, int *out, struct talc_error *err);
/* Settings that talc does in one way only: refused where they say otherwise. */
bool config_need_bool(const json_t *c, const char *key, bool needed, struct talc_error *err);
bool config_need_null(const json_t *c, const char *key, struct talc_error *err);
/* Of attention (each family has its key), embd_pdrop and resid_pdrop, which must agree. */
bool config_get_dropout(const json_t *c, const char *attention_key, double fallback, struct arch *a,
                        struct talc_error *err);
/* One window for all layers: sliding_window, which null turns off; `fallback` where it is absent (0: none). */
bool config_get_window(const json_t *c, int fallback, struct arch *a, struct talc_error *err);
/* The layers' windows where layer_types names them, `window` (0: none) for those that slide; else they stay. */
bool config_get_layer_types(const json_t *c, int window, struct arch *a, struct talc_error *err);
/* The layers' windows: layer_types, use_sliding_window, sliding_window, max_window_layers. */
bool config_get_windows(const json_t *c, struct arch *a, struct talc_error *err);
/* Rotary positions, the same for all layers: rope_theta, rope_scaling or rope_parameters, partial_rotary_factor. The
 * context length, the sizes of heads and the number of layers must be there; ROPE_LONG cuts the context. */
bool config_get_rope(const json_t *c, struct arch *a, struct talc_error *err);
/* The same, of families whose heads turn whole. */
bool config_get_whole_rope(const json_t *c, struct arch *a, struct talc_error *err);
/* One object with the keys of rope_scaling (NULL: as empty), for one kind of layers; layer->rope_base is the base where
 * it gives none. */
bool config_get_rope_of(const json_t *c, const json_t *rope, struct layer_arch *layer, struct arch *a,
                        struct talc_error *err);

/* Out of memory is left to whoever writes the whole. */
void config_set_int(json_t *o, const char *key, int64_t x);
void config_set_bool(json_t *o, const char *key, bool x);
void config_set_text(json_t *o, const char *key, const char *x);
void config_set_id(json_t *o, const char *key, int id); /* -1: null */
void config_set_float(json_t *o, const char *key, float x);
/* The shortest decimal that gives the same float back: 1e-6 and not 9.99999997e-07. A new reference. */
json_t *config_number(float x);
void config_set_layer_types(json_t *o, const struct arch *a); /* and sliding_window */
void config_set_windows(json_t *o, const struct arch *a);
/* What config_get_rope reads, of the first layer, with max_position_embeddings; and what config_get_rope_of reads, as a
 * new reference (null where nothing is stretched), without the base. */
void config_set_rope(json_t *o, const struct arch *a);
json_t *config_rope_of(const struct arch *a, const struct layer_arch *layer);

#endif
