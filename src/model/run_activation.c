/* run_activation.c - names what a training pass has computed, so that a value that went wrong can be traced to its
 * place. */
#include <stddef.h>
#include <stdio.h>

#include "model/run_internal.h"

/* Of one layer, in the order of computation; the first is kept by runs that compute the others again. An arch may be
 * without some. */
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
    {"attention_branch", offsetof(struct layer_activations, attention_branch)},
    {"middle", offsetof(struct layer_activations, middle)},
    {"mlp_norm", offsetof(struct layer_activations, mlp_normed)},
    {"up", offsetof(struct layer_activations, up)},
    {"activation", offsetof(struct layer_activations, activated)},
    {"mlp_branch", offsetof(struct layer_activations, mlp_branch)},
};
enum { N_PLACES = sizeof places / sizeof *places, N_KEPT_PLACES = 1 };

static struct tensor place_in(const struct layer_activations *a, int place) {
    return *(const struct tensor *)(const void *)((const char *)a + places[place].place);
}

/* The places that a run has, in order; returns how many. */
static int list_places(const struct run *run, int list[N_PLACES]) {
    struct layer_activations a = layer_rows(run, 0);
    int n = 0;
    for (int i = 0; i < (run->options.recompute ? N_KEPT_PLACES : N_PLACES); i++)
        if (tensor_present(place_in(&a, i))) list[n++] = i;
    return n;
}

bool run_activation(const struct run *run, int i, char name[64], struct tensor *out) {
    if (!run->options.training || run->pass->n_tokens == 0) return false;
    int list[N_PLACES], n_layers = run->model->arch.n_layers, n_places = list_places(run, list), layer = i / n_places;
    if (i > n_layers * n_places) return false;
    if (layer == n_layers) {
        snprintf(name, 64, "final_norm");
        *out = run->hidden;
        return true;
    }
    struct layer_activations a = layer_rows(run, layer);
    int place = list[i % n_places];
    snprintf(name, 64, "blocks.%d.%s", layer, places[place].name);
    *out = place_in(&a, place);
    return true;
}
