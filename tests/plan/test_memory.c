/* test_memory.c - what the planner says of memory: Korthikanti et al.'s table of activations exactly, ZeRO's bytes a
 * parameter, and that stages, context parallelism and recomputation do what they must. */
#include <math.h>
#include <string.h>

#include "plan/memory.h"
#include "plan/step.h"
#include "support/cmocka_all.h"

#define GIB ((double)(1 << 30))

struct fixture {
    struct catalog catalog;
    struct plan_chip chip;
    struct plan_network network;
    struct plan_software software;
};

static int open_fixture(void **state) {
    static struct fixture f;
    bool ok = catalog_open(&f.catalog, NULL, NULL) && catalog_chip(&f.catalog, "a100-80", &f.chip, NULL) &&
              catalog_network(&f.catalog, "dgx-a100", &f.network, NULL) &&
              catalog_software(&f.catalog, "megatron-2022", &f.software, NULL);
    *state = &f;
    return ok ? 0 : -1;
}

static int close_fixture(void **state) {
    catalog_close(&((struct fixture *)*state)->catalog);
    return 0;
}

/* 2205.05198, tables 3 and 5; figure 7 for the relative activations. */
static const struct {
    int layers, hidden, heads, pp, vpp, chips, batch, micro_batch;
    double none, sp_selective, states; /* GiB */
    double relative[4];                /* percent: SP, selective, both, full */
    double seconds, mfu, hfu;          /* SP and selective */
} rows[] = {
    {48, 6144, 64, 1, 1, 8, 4, 4, 59.25, 9.56, 46.25, {66.84, 49.42, 16.18, 7.64}, 1.10, 41.65, 43.81},
    {96, 12288, 96, 8, 3, 64, 64, 1, 66.84, 12.35, 45.74, {62.04, 56.53, 18.49, 8.71}, 13.75, 51.39, 52.77},
    {105, 20480, 128, 35, 3, 280, 280, 1, 114.02, 23.08, 31.71, {58.31, 62.04, 20.27, 9.42}, 37.83, 56.05, 56.96},
    {128, 25600, 160, 64, 1, 512, 512, 1, 131.25, 26.56, 33.01, {58.31, 62.04, 20.27, 9.42}, 71.49, 56.27, 57.01},
};

static struct plan_model gpt(int i) {
    return (struct plan_model){.name = "gpt",
                               .layers = rows[i].layers,
                               .hidden = rows[i].hidden,
                               .heads = rows[i].heads,
                               .kv_heads = rows[i].heads,
                               .head_dim = rows[i].hidden / rows[i].heads,
                               .ffn = 4 * rows[i].hidden,
                               .vocab = 51200,
                               .context = 2048,
                               .tied = true,
                               .biases = true,
                               .learned_positions = true};
}

static double activations(const struct plan_job *job, struct plan_layout l, bool sp, enum plan_recompute recompute) {
    l.sequence_parallel = sp, l.recompute = recompute;
    return plan_layer_activations(job, &l) * plan_layers_in_flight(job, &l, 0);
}

static void korthikanti_activations_are_exact(void **state) {
    const struct fixture *f = *state;
    for (int i = 0; i < 4; i++) {
        struct plan_model m = gpt(i);
        struct plan_job job = {.model = &m,
                               .chip = &f->chip,
                               .network = &f->network,
                               .software = &f->software,
                               .precision = PRECISION_BF16,
                               .chips = rows[i].chips,
                               .batch = rows[i].batch,
                               .sequence = 2048};
        struct plan_layout l = {.tp = 8,
                                .pp = rows[i].pp,
                                .vpp = rows[i].vpp,
                                .dp = 1,
                                .cp = 1,
                                .ep = 1,
                                .micro_batch = rows[i].micro_batch};
        assert_true(plan_layout_check(&job, &l, NULL));
        double none = activations(&job, l, false, RECOMPUTE_NONE);
        assert_float_equal(none / GIB, rows[i].none, 0.005);
        assert_float_equal(activations(&job, l, true, RECOMPUTE_SELECTIVE) / GIB, rows[i].sp_selective, 0.006);
        double relative[4] = {
            activations(&job, l, true, RECOMPUTE_NONE), activations(&job, l, false, RECOMPUTE_SELECTIVE),
            activations(&job, l, true, RECOMPUTE_SELECTIVE), activations(&job, l, false, RECOMPUTE_FULL)};
        for (int k = 0; k < 4; k++) assert_float_equal(100 * relative[k] / none, rows[i].relative[k], 0.15);
    }
}

static void korthikanti_states_and_utilisation_follow(void **state) {
    const struct fixture *f = *state;
    for (int i = 0; i < 4; i++) {
        struct plan_model m = gpt(i);
        struct plan_job job = {.model = &m,
                               .chip = &f->chip,
                               .network = &f->network,
                               .software = &f->software,
                               .precision = PRECISION_BF16,
                               .chips = rows[i].chips,
                               .batch = rows[i].batch,
                               .sequence = 2048};
        struct plan_layout l = {.tp = 8,
                                .pp = rows[i].pp,
                                .vpp = rows[i].vpp,
                                .dp = 1,
                                .cp = 1,
                                .ep = 1,
                                .micro_batch = rows[i].micro_batch,
                                .recompute = RECOMPUTE_SELECTIVE,
                                .sequence_parallel = true};
        assert_float_equal(18 * plan_model_params(&m) / rows[i].chips / GIB, rows[i].states, 0.2);
        struct plan_step step = plan_step_of(&job, &l, &plan_fitted);
        double available = rows[i].seconds * rows[i].chips * f->chip.peak[PRECISION_BF16];
        assert_float_equal(100 * step.model_flops / available, rows[i].mfu, 0.1);
        assert_float_equal(100 * step.hardware_flops / available, rows[i].hfu, 0.1);
    }
}

/* 1910.02054: 16 bytes a parameter, of which each stage shares out more. */
static void zero_stages_share_out(void **state) {
    struct fixture *f = *state;
    struct plan_model m = gpt(0);
    struct plan_job job = {.model = &m,
                           .chip = &f->chip,
                           .network = &f->network,
                           .software = &f->software,
                           .precision = PRECISION_BF16,
                           .chips = 64,
                           .batch = 64,
                           .sequence = 2048};
    struct plan_software fsdp;
    assert_true(catalog_software(&f->catalog, "fsdp", &fsdp, NULL));
    job.software = &fsdp;
    double p = plan_model_params(&m), expected[4] = {2 + 2 + 16, 2 + 2 + 16.0 / 64, 2 + (2 + 12.0) / 64, 16.0 / 64};
    for (int zero = 0; zero <= 3; zero++) {
        struct plan_layout l = {.tp = 1, .pp = 1, .vpp = 1, .dp = 64, .cp = 1, .ep = 1, .micro_batch = 1, .zero = zero};
        struct plan_memory of = plan_memory_of(&job, &l);
        assert_float_equal((of.weights + of.gradients + of.optimizer) / p, expected[zero], 0.01 * expected[zero]);
        l.offload = true;
        struct plan_memory off = plan_memory_of(&job, &l);
        assert_true(off.optimizer == 0 && off.host > 0 && off.total < of.total);
    }
}

static void stages_add_up(void **state) {
    const struct fixture *f = *state;
    struct plan_model m = gpt(1);
    struct plan_job job = {.model = &m,
                           .chip = &f->chip,
                           .network = &f->network,
                           .software = &f->software,
                           .precision = PRECISION_BF16,
                           .chips = 64,
                           .batch = 64,
                           .sequence = 2048};
    for (int pp = 1; pp <= 16; pp++) {
        struct plan_layout l = {.tp = 1, .pp = pp, .vpp = 1, .dp = 1, .cp = 1, .ep = 1, .micro_batch = 1};
        double weights = 0;
        int layers = 0;
        for (int i = 0; i < pp; i++)
            weights += plan_stage_memory(&job, &l, i).weights, layers += plan_stage_layers(&job, &l, i);
        assert_true(layers >= m.layers && layers < m.layers + pp);
        if (layers != m.layers) continue; /* what is left over is counted as if every stage were full */
        double all = 2 * (plan_model_params(&m) +
                          (pp > 1 ? (double)m.vocab * m.hidden : 0)); /* the tied table is on both ends */
        assert_float_equal(weights / all, 1, 0.001);
    }
}

static void experts_and_context_are_shared(void **state) {
    struct fixture *f = *state;
    struct plan_model m;
    assert_true(catalog_model(&f->catalog, "deepseek-v3", &m, NULL));
    assert_float_equal(plan_model_params(&m) / 671e9, 1, 0.01); /* 671B, of which 37B work on a token */
    assert_float_equal(plan_model_active_params(&m) / 37e9, 1, 0.03);
    struct plan_job job = {.model = &m,
                           .chip = &f->chip,
                           .network = &f->network,
                           .software = &f->software,
                           .precision = PRECISION_BF16,
                           .chips = 1024,
                           .batch = 1024,
                           .sequence = 4096};
    struct plan_layout l = {.tp = 1, .pp = 16, .vpp = 1, .dp = 64, .cp = 1, .ep = 1, .micro_batch = 1, .zero = 1};
    double whole = plan_memory_of(&job, &l).weights;
    l.ep = 64;
    assert_true(plan_memory_of(&job, &l).weights < whole / 20);
    double activations_of = plan_layer_activations(&job, &l);
    l.cp = 4;
    assert_float_equal(plan_layer_activations(&job, &l), activations_of / 4, 1);
}

/* Expert parallelism that spans tensor-parallel ranks: whole experts a rank instead of slices, the same bytes. */
static void experts_span_tensor_parallel_ranks(void **state) {
    struct fixture *f = *state;
    struct plan_model m;
    struct talc_error err = {0};
    assert_true(catalog_model(&f->catalog, "qwen3-235b-a22b", &m, &err));
    struct plan_job job = {.model = &m,
                           .chip = &f->chip,
                           .network = &f->network,
                           .software = &f->software,
                           .precision = PRECISION_BF16,
                           .chips = 256,
                           .batch = 1024,
                           .sequence = 4096};
    struct plan_layout across = {.tp = 2, .pp = 8, .vpp = 1, .dp = 16, .cp = 1, .ep = 16, .micro_batch = 1, .zero = 1},
                       spanning = across;
    spanning.ep = 32;
    assert_true(plan_layout_check(&job, &across, &err) && plan_layout_check(&job, &spanning, &err));
    assert_int_equal(plan_expert_tp(&across), 2);
    assert_int_equal(plan_expert_tp(&spanning), 1);
    struct plan_memory a = plan_memory_of(&job, &across), b = plan_memory_of(&job, &spanning);
    assert_float_equal(a.weights, b.weights, 1);
    assert_float_equal(a.optimizer, b.optimizer, 1);
    struct plan_step sliced = plan_step_of(&job, &across, &plan_fitted),
                     whole = plan_step_of(&job, &spanning, &plan_fitted);
    assert_true(whole.matmul < sliced.matmul);           /* of twice the width */
    assert_true(whole.tensor_comm < sliced.tensor_comm); /* nothing to add up */
    spanning.ep = 64;
    assert_false(plan_layout_check(&job, &spanning, &err));
}

/* What is two bytes in bf16 is four in fp32: what layers keep, gather and send. */
static void fp32_doubles_what_is_kept_and_sent(void **state) {
    struct fixture *f = *state;
    struct plan_model m = gpt(0);
    struct plan_software plain;
    m.biases = false; /* no dropout, whose masks are a byte either way */
    assert_true(catalog_software(&f->catalog, "megatron-2020", &plain, NULL));
    struct plan_job half = {.model = &m,
                            .chip = &f->chip,
                            .network = &f->network,
                            .software = &plain,
                            .precision = PRECISION_BF16,
                            .chips = 16,
                            .batch = 64,
                            .sequence = 2048},
                    full = half;
    full.precision = PRECISION_FP32;
    struct plan_layout l = {.tp = 8, .pp = 2, .vpp = 1, .dp = 1, .cp = 1, .ep = 1, .micro_batch = 1};
    for (int r = RECOMPUTE_NONE; r <= RECOMPUTE_FULL; r++) {
        l.recompute = (enum plan_recompute)r;
        assert_float_equal(plan_layer_activations(&full, &l) / plan_layer_activations(&half, &l), 2, 1e-9);
    }
    l.recompute = RECOMPUTE_NONE, l.micro_batch = 8; /* messages long enough that their hops do not count */
    struct plan_step a = plan_step_of(&half, &l, &plan_fitted), b = plan_step_of(&full, &l, &plan_fitted);
    assert_true(b.tensor_comm > 1.9 * a.tensor_comm && b.pipeline_comm > 1.9 * a.pipeline_comm);
    assert_true(b.elementwise > 1.8 * a.elementwise);
    assert_true(b.matmul > 10 * a.matmul); /* 19.5 TFLOP/s instead of 312 */
    struct plan_layout sharded = {.tp = 1, .pp = 1, .vpp = 1, .dp = 16, .cp = 1, .ep = 1, .micro_batch = 1, .zero = 3};
    a = plan_step_of(&half, &sharded, &plan_fitted), b = plan_step_of(&full, &sharded, &plan_fitted);
    assert_true(b.data_comm > 1.3 * a.data_comm); /* weights of four bytes; gradients have four in both */
    /* 16 bytes a parameter instead of 18 (2 + 4 + 12), which ZeRO-3 shares out. */
    struct plan_memory of = plan_memory_of(&full, &sharded);
    assert_float_equal((of.weights + of.gradients + of.optimizer) / plan_model_params(&m), 1, 1e-6);
}

/* Without tensor cores, as the data sheets have it. */
static void fp32_has_a_rate_of_its_own(void **state) {
    struct fixture *f = *state;
    static const struct {
        const char *name;
        double peak;
    } chips[] = {{"v100-32", 15.7e12}, {"a100-80", 19.5e12}, {"h100", 67e12}, {"mi300x", 163.4e12}};
    struct plan_chip chip;
    for (size_t i = 0; i < sizeof chips / sizeof *chips; i++) {
        assert_true(catalog_chip(&f->catalog, chips[i].name, &chip, NULL));
        assert_float_equal(chip.peak[PRECISION_FP32], chips[i].peak, 1e9);
        assert_float_equal(chip.matmul[PRECISION_FP32], MATMUL_SHARE * chips[i].peak, 1e9);
    }
    assert_true(catalog_chip(&f->catalog, "tpu-v4", &chip, NULL));
    assert_true(chip.peak[PRECISION_FP32] == 0);
}

/* A shared expert is a part of its layer: what ZeRO-3 gathers and micro-batches add up. */
static void a_shared_expert_is_a_part_of_the_layer(void **state) {
    struct fixture *f = *state;
    struct plan_model m;
    assert_true(catalog_model(&f->catalog, "deepseek-v3", &m, NULL));
    struct plan_layout l = {.tp = 2, .pp = 1, .vpp = 1, .dp = 1, .cp = 1, .ep = 1, .micro_batch = 1};
    double with = plan_layer_share(&m, &l), shared = plan_ffn_params(&m, m.shared_ffn);
    assert_true(m.shared_ffn > 0);
    m.shared_ffn = 0;
    assert_float_equal(with - plan_layer_share(&m, &l), shared / 2, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(korthikanti_activations_are_exact),
        cmocka_unit_test(korthikanti_states_and_utilisation_follow),
        cmocka_unit_test(zero_stages_share_out),
        cmocka_unit_test(stages_add_up),
        cmocka_unit_test(experts_and_context_are_shared),
        cmocka_unit_test(fp32_doubles_what_is_kept_and_sent),
        cmocka_unit_test(fp32_has_a_rate_of_its_own),
        cmocka_unit_test(a_shared_expert_is_a_part_of_the_layer),
        cmocka_unit_test(experts_span_tensor_parallel_ranks),
    };
    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
