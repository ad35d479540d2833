/* feedforward.c - GELU, SwiGLU, GEGLU and squared ReLU, and backward. */
#include "tensor/cpu/isa/rows.h"
#include "tensor/cpu/isa/kernels.h"
#include "tensor/cpu/isa/simd.h"

struct activation_work {
    enum activation_kind kind;
    struct tensor out, x, d_out, d_x;
};

#define GELU_SCALE 0.7978845608028654f /* sqrt(2/pi) */
#define GELU_CUBE 0.044715f

/* (1 + tanh(u)) / 2 = sigmoid(2u): fewer instructions, and no digits are lost where that is near 0. */
static inline vf gelu_gate(vf x) {
    return vf_sigmoid(x * vf_fma(vf_set(2 * GELU_SCALE * GELU_CUBE) * x, x, vf_set(2 * GELU_SCALE)));
}

static inline vf gelu(vf x) { return x * gelu_gate(x); }

static inline vf gelu_slope(vf x) {
    vf s = gelu_gate(x), slope = vf_fma(vf_set(6 * GELU_SCALE * GELU_CUBE) * x, x, vf_set(2 * GELU_SCALE));
    return vf_fma(x * slope, s - s * s, s);
}

static void forward_row(enum activation_kind kind, float *out, const float *x, int64_t f) {
    for (int64_t c = 0; c < f; c += VF_LANES) {
        vf a = vf_load_some(x + c, f - c), y;
        if (kind == ACTIVATION_SWIGLU)
            y = a * vf_sigmoid(a) * vf_load_some(x + f + c, f - c);
        else if (kind == ACTIVATION_GEGLU)
            y = gelu(a) * vf_load_some(x + f + c, f - c);
        else if (kind == ACTIVATION_GELU_TANH)
            y = gelu(a);
        else
            y = vf_max(a, vf_set(0)) * vf_max(a, vf_set(0));
        vf_store_some(out + c, f - c, y);
    }
}

static void backward_row(enum activation_kind kind, float *d_x, const float *d_out, const float *x, int64_t f) {
    for (int64_t c = 0; c < f; c += VF_LANES) {
        int64_t left = f - c;
        vf a = vf_load_some(x + c, left), g = vf_load_some(d_out + c, left);
        if (kind == ACTIVATION_SWIGLU) {
            vf up = vf_load_some(x + f + c, left), s = vf_sigmoid(a);
            vf_store_some(d_x + c, left, g * up * s * (vf_set(1) + a * (vf_set(1) - s)));
            vf_store_some(d_x + f + c, left, g * a * s);
        } else if (kind == ACTIVATION_GEGLU) {
            vf_store_some(d_x + c, left, g * vf_load_some(x + f + c, left) * gelu_slope(a));
            vf_store_some(d_x + f + c, left, g * gelu(a));
        } else if (kind == ACTIVATION_GELU_TANH) {
            vf_store_some(d_x + c, left, g * gelu_slope(a));
        } else {
            vf_store_some(d_x + c, left, g * vf_set(2) * vf_max(a, vf_set(0)));
        }
    }
}

static void forward_task(void *context, int task, int worker) {
    (void)worker;
    const struct activation_work *w = context;
    for (int64_t r = task_begin(task); r < task_end(task, w->out.rows); r++)
        forward_row(w->kind, row_f32(w->out, r), row_f32(w->x, r), w->out.cols);
}

static void backward_task(void *context, int task, int worker) {
    (void)worker;
    const struct activation_work *w = context;
    for (int64_t r = task_begin(task); r < task_end(task, w->d_out.rows); r++)
        backward_row(w->kind, row_f32(w->d_x, r), row_f32(w->d_out, r), row_f32(w->x, r), w->d_out.cols);
}

void ISA_NAME(cpu_activation_forward)(struct stream *s, enum activation_kind kind, struct tensor out, struct tensor x) {
    struct activation_work w = {.kind = kind, .out = out, .x = x};
    cpu_run(s, row_tasks(out.rows), forward_task, &w);
}

void ISA_NAME(cpu_activation_backward)(struct stream *s, enum activation_kind kind, struct tensor d_x,
                                       struct tensor d_out, struct tensor x) {
    struct activation_work w = {.kind = kind, .d_x = d_x, .d_out = d_out, .x = x};
    cpu_run(s, row_tasks(d_out.rows), backward_task, &w);
}
