/* catalog.c - rows of the planner's tables as checked structs; see catalog.h. */
#include "plan/catalog.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char *const precision_names[PRECISION_COUNT] = {"fp32", "bf16", "fp8", "mxfp8", "fp4"};

bool precision_find(const char *name, enum plan_precision *out, struct talc_error *err) {
    static const struct {
        const char *name;
        enum plan_precision precision;
    } also[] = {{"fp16", PRECISION_BF16}, {"nvfp4", PRECISION_FP4}};
    for (int i = 0; i < PRECISION_COUNT; i++)
        if (strcasecmp(name, precision_names[i]) == 0) return *out = (enum plan_precision)i, true;
    for (size_t i = 0; i < sizeof also / sizeof *also; i++)
        if (strcasecmp(name, also[i].name) == 0) return *out = also[i].precision, true;
    return talc_fail(err, "there is no precision '%.20s'; there are fp32, bf16, fp16, fp8, mxfp8, fp4", name);
}

double precision_bytes(enum plan_precision precision) { return precision == PRECISION_FP32 ? 4 : 2; }

bool plan_precision_check(const struct plan_chip *chip, enum plan_precision precision, struct talc_error *err) {
    return chip->peak[precision] > 0 || talc_fail(err, "%s has no %s (or its rate is not known); say --precision bf16",
                                                  chip->name, precision_names[precision]);
}

bool catalog_open(struct catalog *c, const char *folder, struct talc_error *err) {
    *c = (struct catalog){0};
    bool ok =
        table_open(&c->chips, "chips", folder, false, err) &&
        table_open(&c->networks, "networks", folder, false, err) &&
        table_open(&c->software, "software", folder, false, err) &&
        table_open(&c->models, "models", folder, false, err) && table_open(&c->prices, "prices", folder, true, err) &&
        table_open(&c->currencies, "currencies", folder, false, err) &&
        table_open(&c->failures, "failures", folder, false, err) && table_open(&c->grids, "grids", folder, false, err);
    if (!ok) catalog_close(c);
    return ok;
}

void catalog_close(struct catalog *c) {
    struct table *tables[] = {&c->chips,  &c->networks,   &c->software, &c->models,
                              &c->prices, &c->currencies, &c->failures, &c->grids};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) table_free(tables[i]);
}

/* ---- reading a row --------------------------------------------------------------------------- */

/* Reads cells of one row; the first failure stays. */
struct row {
    const struct table *table;
    int index;
    bool ok;
    struct talc_error *err;
};

static double cell(struct row *row, const char *column, double fallback, double min, double max) {
    double value = fallback;
    if (!row->ok) return fallback;
    row->ok = table_number(row->table, row->index, column, fallback, &value, row->err);
    if (row->ok && (value < min || value > max))
        row->ok = talc_fail(row->err, "%s: %s is %g; it must be %g .. %g",
                            row->table->cells[row->index * row->table->n_columns], column, value, min, max);
    return value;
}

static int cell_int(struct row *row, const char *column, int fallback, int min, int max) {
    double value = cell(row, column, fallback, min, max);
    if (row->ok && value != floor(value))
        row->ok = talc_fail(row->err, "%s: %s must be a whole number",
                            row->table->cells[row->index * row->table->n_columns], column);
    return row->ok ? (int)value : fallback;
}

/* A name of fewer than `size` bytes. */
static void cell_name(struct row *row, const char *column, char *out, size_t size) {
    const char *text = table_text(row->table, row->index, column);
    if (row->ok && strlen(text) >= size)
        row->ok = talc_fail(row->err, "%s: %s has at most %zu bytes, not %zu",
                            row->table->cells[row->index * row->table->n_columns], column, size - 1, strlen(text));
    snprintf(out, size, "%s", text);
}

static bool open_row(struct row *row, const struct table *table, const char *what, const char *name,
                     struct talc_error *err) {
    char names[700] = "";
    *row = (struct row){.table = table, .index = table_find(table, name), .ok = true, .err = err};
    if (row->index >= 0) return true;
    for (int r = 0; r < table->n_rows; r++) {
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", r ? ", " : "", table->cells[r * table->n_columns]);
    }
    return talc_fail(err, "there is no %s '%.40s'; there are %s", what, name, names);
}

bool catalog_chip(const struct catalog *catalog, const char *name, struct plan_chip *out, struct talc_error *err) {
    struct row row;
    static const struct { const char *name, *full; } short_names[] = {{"v100", "v100-32"}, {"a100", "a100-80"}};
    for (size_t i = 0; i < sizeof short_names / sizeof *short_names; i++)
        if (strcasecmp(name, short_names[i].name) == 0) name = short_names[i].full;
    if (!open_row(&row, &catalog->chips, "chip", name, err)) return false;
    *out = (struct plan_chip){.units = cell_int(&row, "sms", 100, 1, 100000),
                              .async_mma = cell_int(&row, "async_mma", 0, 0, 1)};
    cell_name(&row, "name", out->name, sizeof out->name);
    cell_name(&row, "software", out->software, sizeof out->software);
    cell_name(&row, "network", out->network, sizeof out->network);
    out->source = table_text(row.table, row.index, "source");
    double bf16 = cell(&row, "bf16_tf", 0, 1e-6, 1e6) * 1e12, fp8 = cell(&row, "fp8_tf", 0, 0, 1e6) * 1e12;
    double fp4 = cell(&row, "fp4_tf", 0, 0, 1e6) * 1e12, fp32 = cell(&row, "fp32_tf", 0, 0, 1e6) * 1e12;
    double m16 = cell(&row, "matmul_bf16", 0, 0, 1e6) * 1e12, m8 = cell(&row, "matmul_fp8", 0, 0, 1e6) * 1e12;
    double peaks[PRECISION_COUNT] = {fp32, bf16, fp8, fp8, fp4};
    memcpy(out->peak, peaks, sizeof peaks);
    if (m16 == 0) m16 = MATMUL_SHARE * bf16;
    if (m8 == 0) m8 = fp8 * m16 / bf16;
    double rates[PRECISION_COUNT] = {MATMUL_SHARE * fp32, m16, m8, m8, fp4 * m16 / bf16};
    memcpy(out->matmul, rates, sizeof rates);
    out->memory = cell(&row, "memory_gb", 0, 1e-3, 1e6) * (1 << 30);
    out->memory_rate = cell(&row, "hbm_tbs", 0, 1e-6, 1e4) * 1e12;
    out->scale_up_rate = cell(&row, "scale_up_gbs", 0, 1e-6, 1e6) * 1e9;
    out->watts = cell(&row, "system_watts", 0, 0, 1e6);
    out->purchase = cell(&row, "purchase_usd", 0, 0, 1e9);
    return row.ok;
}

bool catalog_network(const struct catalog *catalog, const char *name, struct plan_network *out,
                     struct talc_error *err) {
    struct row row;
    if (!open_row(&row, &catalog->networks, "network", name, err)) return false;
    *out = (struct plan_network){.island = cell_int(&row, "island", 8, 1, 1 << 20),
                                 .pod = cell_int(&row, "pod_gpus", 0, 0, 1 << 30)};
    cell_name(&row, "name", out->name, sizeof out->name);
    out->nic_rate = cell(&row, "nic_gbs", 0, 1e-6, 1e6) * 1e9;
    out->latency = cell(&row, "latency_us", 0, 0, 1e7) * 1e-6;
    out->oversubscription = cell(&row, "oversubscription", 1, 1, 1e4);
    return row.ok;
}

bool catalog_software(const struct catalog *catalog, const char *name, struct plan_software *out,
                      struct talc_error *err) {
    struct row row;
    if (!open_row(&row, &catalog->software, "software", name, err)) return false;
    const char *attention = table_text(row.table, row.index, "attention");
    *out = (struct plan_software){.flash = strncmp(attention, "flash", 5) == 0,
                                  .flash3 = strcmp(attention, "flash3") == 0,
                                  .one_ring = strcmp(table_text(row.table, row.index, "rings"), "one") == 0};
    cell_name(&row, "name", out->name, sizeof out->name);
    out->fusion = (enum plan_fusion)cell_int(&row, "fused", 0, FUSION_NONE, FUSION_COMPILED);
    out->sequence_parallel = cell_int(&row, "sequence_parallel", 0, 0, 1);
    out->interleave = cell_int(&row, "interleave", 0, 0, 1);
    out->tp_overlap = cell_int(&row, "tp_overlap", 0, 0, 1);
    out->dp_overlap = cell_int(&row, "dp_overlap", 0, 0, 1);
    out->graphs = cell_int(&row, "graphs", 0, 0, 1);
    out->balance = cell_int(&row, "balance", 0, 0, 1);
    out->grad_bytes = cell_int(&row, "grad_bytes", 4, 1, 8);
    return row.ok;
}

/* ---- models ---------------------------------------------------------------------------------- */

struct plan_model plan_model_of_arch(const char *name, const struct arch *a) {
    struct plan_model m = {.layers = a->n_layers,
                           .hidden = a->hidden_size,
                           .heads = a->n_heads,
                           .kv_heads = a->n_kv_heads,
                           .head_dim = a->head_dim,
                           .ffn = a->intermediate_size,
                           .vocab = a->vocab_size,
                           .context = a->context_length,
                           .gated = activation_is_gated(a->activation),
                           .tied = a->tie_embeddings,
                           .learned_positions = a->learned_positions,
                           .biases = a->norm == NORM_LAYER};
    snprintf(m.name, sizeof m.name, "%s", name);
    bool alike = a->n_layers > 0; /* a window is one of every layer */
    for (int l = 1; l < a->n_layers; l++) alike &= a->layers[l].window == a->layers[0].window;
    if (alike) m.window = a->layers[0].window;
    return m;
}

bool plan_model_check(const struct plan_model *m, struct talc_error *err) {
    if (m->layers < 1 || m->hidden < 1 || m->heads < 1 || m->kv_heads < 1 || m->head_dim < 1 || m->ffn < 1 ||
        m->vocab < 1 || m->context < 1)
        return talc_fail(
            err, "%s: layers, hidden, heads, kv_heads, head_dim, ffn, vocab and context must all be above 0", m->name);
    if (m->layers > 10000 || m->hidden > 1 << 24 || m->heads > 1 << 14 || m->head_dim > 1 << 14 || m->ffn > 1 << 26 ||
        m->vocab > 1 << 26 || m->context > 1 << 28)
        return talc_fail(err, "%s: no model has such a size", m->name);
    if (m->heads % m->kv_heads)
        return talc_fail(err, "%s: %d heads cannot share %d key and value heads", m->name, m->heads, m->kv_heads);
    if (m->experts && (m->active < 1 || m->active > m->experts || m->expert_ffn < 1))
        return talc_fail(err, "%s: of %d experts a token uses %d of width %d", m->name, m->experts, m->active,
                         m->expert_ffn);
    return true;
}

bool catalog_model(const struct catalog *catalog, const char *name, struct plan_model *out, struct talc_error *err) {
    struct row row;
    struct arch arch;
    if (table_find(&catalog->models, name) < 0) {
        struct talc_error why = {0};
        if (arch_preset(name, &arch, &why)) {
            *out = plan_model_of_arch(name, &arch);
            return true;
        }
        char names[600] = "";
        for (int r = 0; r < catalog->models.n_rows; r++) {
            size_t used = strlen(names);
            snprintf(names + used, sizeof names - used, ", %s", catalog->models.cells[r * catalog->models.n_columns]);
        }
        return talc_fail(err, "%s%s", why.message, names);
    }
    if (!open_row(&row, &catalog->models, "model", name, err)) return false;
    *out = (struct plan_model){0};
    cell_name(&row, "name", out->name, sizeof out->name);
    out->layers = cell_int(&row, "layers", 0, 1, 10000);
    out->hidden = cell_int(&row, "hidden", 0, 1, 1 << 24);
    out->heads = cell_int(&row, "heads", 0, 1, 1 << 16);
    out->kv_heads = cell_int(&row, "kv_heads", out->heads, 1, 1 << 16);
    out->head_dim = cell_int(&row, "head_dim", out->hidden / (out->heads ? out->heads : 1), 1, 1 << 16);
    out->ffn = cell_int(&row, "ffn", 4 * out->hidden, 1, 1 << 26);
    out->gated = cell_int(&row, "gated", 0, 0, 1);
    out->vocab = cell_int(&row, "vocab", 0, 1, 1 << 26);
    out->context = cell_int(&row, "context", 2048, 1, 1 << 28);
    out->tied = cell_int(&row, "tied", 0, 0, 1);
    out->experts = cell_int(&row, "experts", 0, 0, 1 << 16);
    out->active = cell_int(&row, "active", 0, 0, 1 << 16);
    out->expert_ffn = cell_int(&row, "expert_ffn", 0, 0, 1 << 26);
    out->shared_ffn = cell_int(&row, "shared_ffn", 0, 0, 1 << 26);
    out->dense_layers = cell_int(&row, "dense_layers", 0, 0, 10000);
    out->attention_params = cell(&row, "attention_params", 0, 0, 1e12);
    out->kv_values = cell_int(&row, "kv_values", 0, 0, 1 << 24);
    out->parallel_block = cell_int(&row, "parallel_block", 0, 0, 1);
    out->biases = !out->gated;
    out->learned_positions = !out->gated;
    return row.ok && plan_model_check(out, err);
}

double plan_attention_params(const struct plan_model *m) {
    if (m->attention_params > 0) return m->attention_params;
    double q = (double)m->heads * m->head_dim, kv = (double)m->kv_heads * m->head_dim;
    return m->hidden * (2 * q + 2 * kv) + (m->biases ? q + 2 * kv + m->hidden : 0);
}

double plan_ffn_params(const struct plan_model *m, double width) {
    return (m->gated ? 3.0 : 2.0) * m->hidden * width + (m->biases ? (double)width + m->hidden : 0);
}

static double block_params(const struct plan_model *m, int experts_counted) {
    double norms = (m->biases ? 4.0 : 2.0) * m->hidden, each = plan_attention_params(m) + norms;
    int dense = !m->experts ? m->layers : m->dense_layers < m->layers ? m->dense_layers : m->layers;
    double of_experts = experts_counted * plan_ffn_params(m, m->expert_ffn) + (double)m->hidden * m->experts +
                        (m->shared_ffn ? plan_ffn_params(m, m->shared_ffn) : 0);
    return m->layers * each + dense * plan_ffn_params(m, m->ffn) + (m->layers - dense) * of_experts + norms / 2;
}

static double table_params(const struct plan_model *m) {
    return (m->tied ? 1.0 : 2.0) * m->vocab * m->hidden + (m->learned_positions ? (double)m->context * m->hidden : 0);
}

double plan_expert_params(const struct plan_model *m) {
    return m->experts && m->layers > m->dense_layers
               ? (double)(m->layers - m->dense_layers) * plan_ffn_params(m, m->expert_ffn) * m->experts
               : 0;
}
double plan_model_params(const struct plan_model *m) { return block_params(m, m->experts) + table_params(m); }
double plan_model_active_params(const struct plan_model *m) { return block_params(m, m->active) + table_params(m); }

struct plan_flops plan_model_flops(const struct plan_model *m, int sequence) {
    double in_products = block_params(m, m->active) + (double)m->vocab * m->hidden;
    double keys = m->window && m->window < sequence ? m->window : sequence;
    double attention = 12.0 * m->layers * m->heads * m->head_dim * keys;
    bool banded = keys < sequence;
    return (struct plan_flops){.six_n = 6 * plan_model_active_params(m),
                               .causal = 6 * in_products + attention * (banded ? 1 : 0.5),
                               .full = 6 * in_products + attention};
}

/* ---- money ----------------------------------------------------------------------------------- */

static int months_of(const char *month) {
    int year, in_year;
    char rest;
    if (sscanf(month, "%4d-%2d%c", &year, &in_year, &rest) != 2 || year < 1900 || in_year < 1 || in_year > 12)
        return -1;
    return year * 12 + in_year;
}

bool catalog_price(const struct catalog *catalog, const char *chip, const char *month, struct plan_price *out,
                   struct talc_error *err) {
    const struct table *t = &catalog->prices;
    int wanted = month ? months_of(month) : 1 << 24, best = -1, distance = 0;
    if (wanted < 0) return talc_fail(err, "a price date is written as 2026-05, not '%.20s'", month);
    for (int r = 0; r < t->n_rows; r++) {
        int of_row = months_of(table_text(t, r, "month"));
        if (strcasecmp(table_text(t, r, "chip"), chip) != 0) continue;
        if (of_row < 0)
            return talc_fail(err, "prices of %s: a month is written as 2026-05, not '%.20s'", chip,
                             table_text(t, r, "month"));
        if (best < 0 || abs(of_row - wanted) <= distance) best = r, distance = abs(of_row - wanted);
    }
    if (best < 0)
        return talc_fail(err, "no price of %s is known; say --price DOLLARS (an hour) or add a row to prices.tsv",
                         chip);
    struct row row = {.table = t, .index = best, .ok = true, .err = err};
    *out = (struct plan_price){.mid = cell(&row, "mid", 0, 0, 1e9), .source = table_text(t, best, "source")};
    out->low = cell(&row, "low", out->mid, 0, 1e9);
    out->high = cell(&row, "high", out->mid, 0, 1e9);
    snprintf(out->month, sizeof out->month, "%s", table_text(t, best, "month"));
    if (row.ok && (out->low > out->mid || out->mid > out->high))
        return talc_fail(err, "prices of %s in %s: low %g, mid %g, high %g are not in order", chip, out->month,
                         out->low, out->mid, out->high);
    return row.ok;
}

bool catalog_currency(const struct catalog *catalog, const char *name, double *per_usd, struct talc_error *err) {
    struct row row;
    if (!open_row(&row, &catalog->currencies, "currency", name, err)) return false;
    *per_usd = cell(&row, "per_usd", 1, 1e-9, 1e12);
    return row.ok;
}

bool catalog_grid(const struct catalog *catalog, const char *name, struct plan_grid *out, struct talc_error *err) {
    struct row row;
    if (!open_row(&row, &catalog->grids, "electricity grid", name, err)) return false;
    *out = (struct plan_grid){.pue = cell(&row, "pue", 1.1, 1, 10), .kg_per_kwh = cell(&row, "kg_per_kwh", 0.4, 0, 10)};
    return row.ok;
}

bool catalog_failures(const struct catalog *catalog, const char *name, double *per_1000_node_days,
                      struct talc_error *err) {
    struct row row;
    if (!open_row(&row, &catalog->failures, "rate of failures", name, err)) return false;
    *per_1000_node_days = cell(&row, "per_1000_node_days", 3.8, 0, 1e9);
    return row.ok;
}
