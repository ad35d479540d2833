/* run_activation.c - names what a training pass has computed, so that a value that went wrong can be traced to its
 * place. */
#include <stddef.h>
#include <stdio.h>

#include "model/run_internal.h"

/* Of one layer, in the order of computation; the first is kept by runs that compute the others again. */
static const struct named_place {
    const char *name;
    size_t place;
} places[] = {
    {"input", offsetof(struct layer_activations, input)},
    {"attention_norm", offsetof(struct layer_activations, normed)},
    {"q", offsetof(struct layer_activations, q)},
    {"k", offsetof(struct layer_activations, k)},
    {"v", offsetof(struct layer_activations, v)},
    {"attention", offsetof(struct layer_activations, attended)},
    {"middle", offsetof(struct layer_activations, middle)},
    {"mlp_norm", offsetof(struct layer_activations, mlp_normed)},
    {"up", offsetof(struct layer_activations, up)},
    {"activation", offsetof(struct layer_activations, activated)},
};
enum { N_PLACES = sizeof places / sizeof *places, N_KEPT_PLACES = 1 };

bool run_activation(const struct run *run, int i, char name[64], struct tensor *out) {
    int n_layers = run->model->arch.n_layers, n_places = run->options.recompute ? N_KEPT_PLACES : N_PLACES,
        layer = i / n_places;
    if (!run->options.training || run->pass->n_tokens == 0 || i > n_layers * n_places) return false;
    if (layer == n_layers) {
        snprintf(name, 64, "final_norm");
        *out = run->hidden;
        return true;
    }
    struct layer_activations a = layer_rows(run, layer);
    const struct named_place *place = &places[i % n_places];
    snprintf(name, 64, "blocks.%d.%s", layer, place->name);
    *out = *(const struct tensor *)(const void *)((const char *)&a + place->place);
    return true;
}
