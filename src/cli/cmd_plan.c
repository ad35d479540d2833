/* cmd_plan.c - talc plan: what a training run, answering users, or alignment takes on given hardware,
 * before it starts. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/plan_text.h"
#include "file/atomic.h"
#include "file/run_folder.h"
#include "model/model.h"
#include "plan/host.h"
#include "plan/plan_json.h"
#include "plan/report.h"

struct plan_options {
    const char *preset, *model, *gpu, *tokens, *precision, *network, *software, *recompute, *price_date, *currency,
        *grid, *failures, *tables, *html, *critic;
    int64_t gpus, batch, context, tp, pp, vpp, dp, cp, ep, micro_batch, zero, n_layers, hidden_size, n_heads,
        n_kv_heads, head_dim, intermediate_size, vocab_size;
    double price, exchange_rate, pue, users, requests, prompt_tokens, output_tokens, cached, token_ms, first_ms;
    bool offload, serve, rlhf, what_fits, list, json, no_failures;
};

/* Everything that a request points into. */
struct planner {
    struct plan_options o;
    struct catalog catalog;
    struct plan_model model, critic;
    struct arch *arch; /* of the model, if `own`: talc itself can train it; owned */
    bool own;
    struct plan_chip chip;
    struct plan_network network;
    struct plan_software software;
    struct plan_request request;
    char folder[4096];
    bool has_folder;
};

/* "300B", "1.5T", "250M", "1e12". */
static bool parse_count(const char *text, double *out, struct talc_error *err) {
    static const struct {
        char letter;
        double factor;
    } suffixes[] = {{'k', 1e3}, {'K', 1e3}, {'M', 1e6}, {'B', 1e9}, {'G', 1e9}, {'T', 1e12}};
    char *end;
    double value = strtod(text, &end), factor = 1;
    for (size_t i = 0; *end && i < sizeof suffixes / sizeof *suffixes; i++)
        if (*end == suffixes[i].letter && !end[1]) factor = suffixes[i].factor, end++;
    if (*end || end == text || !isfinite(value * factor) || value <= 0)
        return talc_fail(err, "--tokens wants a number such as 300B or 1.5T, not '%.40s'", text);
    *out = value * factor;
    return true;
}

/* ---- what is asked --------------------------------------------------------------------------- */

/* Tables of the user's: --tables, else TALC_HOME/plan, else XDG_DATA_HOME/talc/plan (~/.local/share). */
static void find_folder(struct planner *p) {
    const char *home = getenv("TALC_HOME"), *data = getenv("XDG_DATA_HOME"), *user = getenv("HOME");
    int n = 0;
    if (p->o.tables)
        n = snprintf(p->folder, sizeof p->folder, "%s", p->o.tables);
    else if (home && *home)
        n = snprintf(p->folder, sizeof p->folder, "%s/plan", home);
    else if (data && *data)
        n = snprintf(p->folder, sizeof p->folder, "%s/talc/plan", data);
    else if (user && *user)
        n = snprintf(p->folder, sizeof p->folder, "%s/.local/share/talc/plan", user);
    p->has_folder = n > 0 && n < (int)sizeof p->folder;
}

static bool read_model(const char *path, struct arch *arch, struct talc_error *err) {
    char *place = run_folder_find_model(path, false, err);
    bool ok = place && model_read_arch(place, arch, err);
    free(place);
    return ok;
}

/* Not where a row of the tables has that name: then the row is meant. */
static bool is_preset(const struct planner *p, const char *name) { return table_find(&p->catalog.models, name) < 0; }

static const char *note_of(const struct planner *p, const char *name) {
    for (int i = 0; name && presets[i].name; i++)
        if (strcmp(presets[i].name, name) == 0) return is_preset(p, name) ? presets[i].note : NULL;
    return NULL;
}

static bool find_model(struct planner *p, struct talc_error *err) {
    const struct plan_options *o = &p->o;
    struct plan_model *m = &p->model;
    const char *preset = o->preset ? o->preset : "gpt3-175b";
    p->own = o->model || (is_preset(p, preset) && arch_preset(preset, p->arch, NULL));
    if (o->model && !read_model(o->model, p->arch, err)) return false;
    if (o->model)
        *m = plan_model_of_arch(o->model, p->arch);
    else if (!catalog_model(&p->catalog, preset, m, err))
        return false;
    if (o->n_layers || o->hidden_size || o->n_heads || o->n_kv_heads || o->head_dim || o->intermediate_size ||
        o->vocab_size)
        p->own = false; /* not what the trainer would build */
    if (o->n_layers) m->layers = (int)o->n_layers;
    if (o->hidden_size && !o->intermediate_size)
        m->ffn = (int)llround((double)m->ffn / m->hidden * (double)o->hidden_size);
    if (o->hidden_size) m->hidden = (int)o->hidden_size;
    if (o->n_heads) m->kv_heads = m->kv_heads == m->heads ? (int)o->n_heads : m->kv_heads, m->heads = (int)o->n_heads;
    if (o->n_kv_heads) m->kv_heads = (int)o->n_kv_heads;
    if (o->head_dim)
        m->head_dim = (int)o->head_dim;
    else if (o->hidden_size || o->n_heads)
        m->head_dim = m->hidden / m->heads;
    if (o->intermediate_size) m->ffn = (int)o->intermediate_size;
    if (o->vocab_size) m->vocab = (int)o->vocab_size;
    return plan_model_check(m, err);
}

static bool find_prices(struct planner *p, struct talc_error *err) {
    const struct plan_options *o = &p->o;
    struct plan_prices *prices = &p->request.prices;
    if (o->price > 0) {
        prices->rent = (struct plan_price){.low = o->price, .mid = o->price, .high = o->price, .source = "--price"};
        snprintf(prices->rent.month, sizeof prices->rent.month, "given");
    } else if (strcmp(p->chip.name, HOST_CHIP) == 0) {
        prices->rent = (struct plan_price){.source = "your own"};
        snprintf(prices->rent.month, sizeof prices->rent.month, "none");
    } else if (!catalog_price(&p->catalog, p->chip.name, o->price_date, &prices->rent, err))
        return false;
    size_t letters = strspn(o->currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
    if (letters == 0 || letters > 7 || o->currency[letters])
        return talc_fail(err, "--currency is a few letters such as RMB, not '%.20s'", o->currency);
    snprintf(prices->currency, sizeof prices->currency, "%s", o->currency);
    prices->purchase = p->chip.purchase;
    prices->per_usd = o->exchange_rate;
    return o->exchange_rate > 0 || catalog_currency(&p->catalog, o->currency, &prices->per_usd, err);
}

static bool find_rates(struct planner *p, struct talc_error *err) {
    struct plan_request *r = &p->request;
    r->failures = FAILURE_MODEL_DEFAULT;
    if (!catalog_grid(&p->catalog, p->o.grid, &r->energy, err) ||
        !catalog_failures(&p->catalog, p->o.failures, &r->failures.per_1000_node_days, err))
        return false;
    if (p->o.pue > 0 && p->o.pue < 1)
        return talc_fail(err, "--pue is what the building draws for each watt of the machines: 1 or more, not %g",
                         p->o.pue);
    if (p->o.pue > 0) r->energy.pue = p->o.pue;
    if (p->o.no_failures) r->failures.per_1000_node_days = 0;
    return true;
}

static bool find_chip(struct planner *p, struct talc_error *err) {
    struct cli_device device;
    if (*p->chip.name) return true; /* of a question asked of many models: this machine is measured once */
    if (strcmp(p->o.gpu, HOST_CHIP) != 0) return catalog_chip(&p->catalog, p->o.gpu, &p->chip, err);
    if (p->o.gpus > 1) return talc_fail(err, "there is one this-machine, not %lld", (long long)p->o.gpus);
    if (!cli_device_open(&device, NULL, 0, err)) return false;
    bool ok = host_measure(&device.stream, device.pool, &p->chip, err);
    cli_device_close(&device);
    return ok;
}

/* On this machine talc's own trainer runs: one rank, which recomputes whole layers (--recompute full) or nothing. */
static bool keep_to_trainer(struct planner *p, struct talc_error *err) {
    const struct plan_options *o = &p->o;
    struct plan_wish *wish = &p->request.wish;
    if (strcmp(p->chip.name, HOST_CHIP) != 0) return true;
    const struct {
        const char *name;
        int64_t value;
    } degrees[] = {{"tp", o->tp}, {"pp", o->pp}, {"vpp", o->vpp}, {"dp", o->dp}, {"cp", o->cp}, {"ep", o->ep}};
    for (size_t i = 0; i < sizeof degrees / sizeof *degrees; i++)
        if (degrees[i].value > 1)
            return talc_fail(err, "--%s %lld: there is one this-machine", degrees[i].name, (long long)degrees[i].value);
    if (o->zero > 0 || o->offload || wish->recompute == RECOMPUTE_SELECTIVE)
        return talc_fail(err, "on this-machine talc's own trainer runs, which has no %s",
                         o->zero > 0  ? (const char *[]){"--zero 1", "--zero 2", "--zero 3"}[o->zero - 1]
                         : o->offload ? "--offload"
                                      : "--recompute selective (none and full it has)");
    p->request.job.own = p->own ? p->arch : NULL;
    wish->tp = wish->pp = wish->vpp = wish->dp = wish->cp = wish->ep = 1;
    wish->zero = 0;
    if (wish->recompute < 0) wish->recompute = RECOMPUTE_NONE;
    return true;
}

static bool find_job(struct planner *p, struct talc_error *err) {
    const struct plan_options *o = &p->o;
    struct plan_request *r = &p->request;
    bool host = strcmp(o->gpu, HOST_CHIP) == 0;
    if (!find_chip(p, err) || !find_model(p, err) ||
        !catalog_network(&p->catalog, o->network ? o->network : p->chip.network, &p->network, err) ||
        !catalog_software(&p->catalog, o->software ? o->software : p->chip.software, &p->software, err))
        return false;
    r->job = (struct plan_job){.model = &p->model,
                               .chip = &p->chip,
                               .network = &p->network,
                               .software = &p->software,
                               .chips = o->gpus ? (int)o->gpus
                                        : host  ? 1
                                                : 8,
                               .sequence = o->context                ? (int)o->context
                                           : p->model.context > 8192 ? 8192
                                                                     : p->model.context};
    r->job.batch = o->batch ? (int)o->batch : plan_default_batch(&p->model, r->job.sequence);
    r->preset_note = o->model ? NULL : note_of(p, o->preset);
    r->wish = (struct plan_wish){.tp = (int)o->tp,
                                 .pp = (int)o->pp,
                                 .vpp = (int)o->vpp,
                                 .dp = (int)o->dp,
                                 .cp = (int)o->cp,
                                 .ep = (int)o->ep,
                                 .micro_batch = (int)o->micro_batch,
                                 .zero = (int)o->zero,
                                 .recompute = -1,
                                 .offload = o->offload};
    for (int i = 0; i < 3; i++)
        if (o->recompute && strcmp(o->recompute, recompute_names[i]) == 0) r->wish.recompute = i;
    if (o->recompute && r->wish.recompute < 0)
        return talc_fail(err, "--recompute is none, selective or full, not '%.20s'", o->recompute);
    if (!parse_count(o->tokens, &r->tokens, err) || !precision_find(o->precision ? o->precision
                                                                    : host       ? "fp32"
                                                                                 : "bf16",
                                                                    &r->job.precision, err))
        return false;
    if (o->critic && !catalog_model(&p->catalog, o->critic, &p->critic, err)) return false;
    return keep_to_trainer(p, err) && find_prices(p, err) && find_rates(p, err);
}

/* ---- what is answered ------------------------------------------------------------------------ */

static bool write_report(const struct planner *p, const struct training_plan *plan, struct talc_error *err) {
    struct plan_point points[PLAN_POINTS];
    struct buffer page = {0};
    bool host = strcmp(p->chip.name, HOST_CHIP) == 0; /* of which there is one */
    int n = host ? 0 : plan_scaling(&p->request, points);
    plan_report(&page, &p->request, plan, points, n);
    bool ok = buffer_ok(&page) ? atomic_write_file(p->o.html, page.data, page.length, err)
                               : talc_fail(err, "out of memory for the report");
    buffer_free(&page);
    if (ok) cli_say(p->o.json, "report: %s\n", p->o.html);
    return ok;
}

static bool answer_training(const struct planner *p, struct talc_error *err) {
    struct training_plan plan;
    if (!plan_training(&p->request, &plan, err)) return false;
    bool ok = !p->o.html || write_report(p, &plan, err);
    if (ok && p->o.json)
        ok = cli_print_json(stdout, training_plan_json(&p->request, &plan), err);
    else if (ok)
        plan_text_training(&p->request, &plan);
    training_plan_free(&plan);
    return ok;
}

static bool answer_serving(const struct planner *p, struct talc_error *err) {
    const struct plan_options *o = &p->o;
    struct serving_load load = {o->users,  o->requests,        o->prompt_tokens,   o->output_tokens,
                                o->cached, o->token_ms / 1000, o->first_ms / 1000, SERVING_LOAD_DEFAULT.busy};
    struct serving_plan plan;
    if (!serving_plan(&p->request.job, &load, &p->request.prices, &plan, err)) return false;
    if (strcmp(p->chip.name, HOST_CHIP) == 0 && plan.chips > 1)
        return talc_fail(err, "%g users take %d of this-machine, and there is one", o->users, plan.chips);
    if (o->json) return cli_print_json(stdout, serving_plan_json(&p->request, &load, &plan), err);
    plan_text_serving(&p->request, &load, &plan);
    return true;
}

static bool answer_rlhf(const struct planner *p, struct talc_error *err) {
    struct rlhf_load load = RLHF_LOAD_DEFAULT;
    struct rlhf_plan plan;
    load.small = p->o.critic ? &p->critic : NULL;
    if (p->o.prompt_tokens > 0) load.prompt_tokens = p->o.prompt_tokens;
    if (p->o.output_tokens > 0) load.answer_tokens = p->o.output_tokens;
    if (!rlhf_plan(&p->request, &load, &plan, err)) return false;
    if (p->o.json) return cli_print_json(stdout, rlhf_plan_json(&p->request, &plan), err);
    plan_text_rlhf(&p->request, &load, &plan);
    return true;
}

/* One model in one precision: a line, or an object in `rows`. */
static bool add_fit(struct planner *one, json_t *rows, struct talc_error *err) {
    struct training_plan plan;
    struct talc_error why = {0};
    char text[128] = "";
    if (!find_job(one, err)) return false;
    const char *model = one->model.name, *precision = precision_names[one->request.job.precision];
    if (one->chip.peak[one->request.job.precision] <= 0) return true;
    bool fits = plan_training(&one->request, &plan, &why);
    if (fits) plan_layout_text(&plan.best.layout, text);
    if (one->o.json)
        json_array_append_new(
            rows, json_pack("{s:s,s:s,s:b,s:o,s:o,s:s}", "model", model, "precision", precision, "fits", fits, "days",
                            fits ? json_real(plan.failures.wall_seconds / 86400) : json_null(), "memory_bytes_per_gpu",
                            fits ? json_real(plan.best.memory.total) : json_null(), "layout", text));
    else if (fits)
        printf("%-12s %-5s %10.4g %12.1f  %s\n", model, precision, plan.failures.wall_seconds / 86400,
               plan.best.memory.total / (1 << 30), text);
    else
        printf("%-12s %-5s %10s  %s\n", model, precision, "-", why.message);
    if (fits) training_plan_free(&plan);
    return true;
}

static bool add_fits(const struct planner *p, const char *preset, json_t *rows, struct talc_error *err) {
    const char *precisions[] = {p->o.precision ? p->o.precision : "bf16", "fp8"};
    bool ok = true;
    for (int k = 0; k < (p->o.precision ? 1 : 2) && ok; k++) {
        struct planner one = *p;
        one.o.preset = preset, one.o.precision = precisions[k];
        ok = add_fit(&one, rows, err);
    }
    return ok;
}

/* Every GPT-3 size, or the model that is named, on this hardware. */
static bool answer_what_fits(struct planner *p, struct talc_error *err) {
    if (!find_chip(p, err)) return false;
    json_t *rows = json_array();
    bool ok = true, named = p->o.preset || p->o.model;
    if (!p->o.json) printf("%-12s %-5s %10s %12s  layout\n", "model", "", "days", "GiB a GPU");
    for (int i = 0; presets[i].name && !named && ok; i++)
        if (strncmp(presets[i].name, "gpt3-", 5) == 0) ok = add_fits(p, presets[i].name, rows, err);
    if (named) ok = add_fits(p, p->o.preset, rows, err);
    if (ok && p->o.json) return cli_print_json(stdout, rows, err);
    json_decref(rows);
    return ok;
}

static void list_table(const char *title, const struct table *t) {
    printf("%s:", title);
    for (int r = 0; r < t->n_rows; r++) printf(" %s", t->cells[r * t->n_columns]);
    printf("\n");
}

static void list_all(const struct planner *p) {
    printf("models:");
    for (int i = 0; presets[i].name; i++) printf(" %s", presets[i].name);
    for (int r = 0; r < p->catalog.models.n_rows; r++)
        printf(" %s", p->catalog.models.cells[r * p->catalog.models.n_columns]);
    printf("\n");
    list_table("gpus", &p->catalog.chips);
    list_table("networks", &p->catalog.networks);
    list_table("software", &p->catalog.software);
    list_table("failure rates", &p->catalog.failures);
    list_table("grids", &p->catalog.grids);
    list_table("currencies", &p->catalog.currencies);
    printf("\nRows of your own: %s/chips.tsv, networks.tsv, prices.tsv, ... (docs/planning.md)\n",
           p->has_folder ? p->folder : "--tables DIR");
}

static bool answer(struct planner *p, struct talc_error *err) {
    p->arch = malloc(sizeof *p->arch);
    if (!p->arch) return talc_fail(err, "out of memory");
    find_folder(p);
    if (p->o.tables && !folder_exists(p->o.tables)) return talc_fail(err, "%s: no such folder of tables", p->o.tables);
    if (!catalog_open(&p->catalog, p->has_folder ? p->folder : NULL, err)) return false;
    if (p->o.list) return list_all(p), true;
    if (p->o.serve + p->o.rlhf + p->o.what_fits > 1)
        return talc_fail(err, "--serve, --rlhf and --what-fits are different questions; ask one");
    if (p->o.html && (p->o.serve || p->o.rlhf || p->o.what_fits))
        return talc_fail(err, "--html reports a training run; there is no page of --serve, --rlhf or --what-fits");
    if (p->o.what_fits) return answer_what_fits(p, err);
    if (!find_job(p, err)) return false;
    if (p->o.serve) return answer_serving(p, err);
    if (p->o.rlhf) return answer_rlhf(p, err);
    return answer_training(p, err);
}

#define COUNT_OPTION(option_name, field, text)                                                                         \
    {                                                                                                                  \
        .name = option_name, .kind = OPTION_INT, .value = &p.o.field, .argument = "N", .help = text, .min = 1,         \
        .max = 1e8                                                                                                     \
    }
#define NUMBER_OPTION(option_name, field, unit, text)                                                                  \
    {                                                                                                                  \
        .name = option_name, .kind = OPTION_NUMBER, .value = &p.o.field, .argument = unit, .help = text, .min = 1e-6,  \
        .max = 1e12                                                                                                    \
    }
#define TEXT_OPTION(option_name, field, unit, text)                                                                    \
    { .name = option_name, .kind = OPTION_TEXT, .value = &p.o.field, .argument = unit, .help = text }
#define FLAG_OPTION(option_name, field, text)                                                                          \
    { .name = option_name, .kind = OPTION_FLAG, .value = &p.o.field, .help = text }

int cmd_plan(int argc, char **argv) {
    struct planner p = {.o = {.gpu = "a100-80",
                              .tokens = "300B",
                              .currency = "USD",
                              .grid = "us",
                              .failures = "llama3",
                              .zero = -1,
                              .requests = 1,
                              .cached = 0.5,
                              .token_ms = 50,
                              .first_ms = 2000}};
    /* clang-format off */
    struct option options[] = {
        TEXT_OPTION("preset", preset, "NAME",
                    "a known model: gpt3-175b (default), llama3-70b, deepseek-v3, ... (--list)"),
        {.name = "model",
         .letter = 'm',
         .kind = OPTION_TEXT,
         .instead_of = "preset",
         .value = &p.o.model,
         .argument = "DIR",
         .help = "the model in this folder instead"},
        TEXT_OPTION("gpu", gpu, "NAME",
                    "v100 ... gb300, mi300x, tpu-v5p, ... (default a100-80; --list), or this-machine"),
        COUNT_OPTION("gpus", gpus, "how many (default 8)"),
        TEXT_OPTION("tokens", tokens, "N", "to train on: 300B (default), 1.5T, ..."),
        COUNT_OPTION("batch", batch, "sequences a step (default: as GPT-3's table chooses by size)"),
        COUNT_OPTION("context", context, "tokens of a sequence (default: the model's, at most 8192)"),
        TEXT_OPTION("precision", precision, "NAME", "bf16 (default; this-machine: fp32), fp16, fp32, fp8, mxfp8, fp4"),
        TEXT_OPTION("network", network, "NAME", "how the GPUs are connected (default: as is usual for them; --list)"),
        TEXT_OPTION("software", software, "NAME", "what trains (default: of the GPU's time; --list)"),
        COUNT_OPTION("tp", tp, "tensor parallel (default: the best, as for all that follow)"),
        COUNT_OPTION("pp", pp, "pipeline stages"),
        COUNT_OPTION("vpp", vpp, "chunks of layers a stage (interleaving)"),
        COUNT_OPTION("dp", dp, "data-parallel replicas"),
        COUNT_OPTION("cp", cp, "context parallel"),
        COUNT_OPTION("ep", ep, "expert parallel"),
        COUNT_OPTION("micro-batch", micro_batch, "sequences of one forward and backward"),
        {.name = "zero",
         .kind = OPTION_INT,
         .value = &p.o.zero,
         .argument = "N",
         .help = "ZeRO stage 0..3 (default: the best)",
         .min = 0,
         .max = 3},
        TEXT_OPTION("recompute", recompute, "WHAT", "none, selective or full (default: the best)"),
        FLAG_OPTION("offload", offload, "optimizer in the host's memory"),
        COUNT_OPTION("n-layers", n_layers, "layers: another shape than the preset's; likewise:"),
        COUNT_OPTION("hidden-size", hidden_size, "width"),
        COUNT_OPTION("n-heads", n_heads, "query heads"),
        COUNT_OPTION("n-kv-heads", n_kv_heads, "key and value heads"),
        COUNT_OPTION("head-dim", head_dim, "width of a head"),
        COUNT_OPTION("intermediate-size", intermediate_size, "of the MLP"),
        COUNT_OPTION("vocab-size", vocab_size, "entries of the vocabulary"),
        NUMBER_OPTION("price", price, "USD", "of a GPU-hour (default: the price table)"),
        TEXT_OPTION("price-date", price_date, "MONTH", "prices of then: 2020-06 (default: the latest)"),
        TEXT_OPTION("currency", currency, "NAME", "USD (default), RMB, EUR, ..."),
        NUMBER_OPTION("exchange-rate", exchange_rate, "N", "units of the currency for a dollar (default: the table)"),
        TEXT_OPTION("grid", grid, "NAME", "electricity: us (default), eu, france, china, world, gpt3"),
        NUMBER_OPTION("pue", pue, "N", "power usage effectiveness of the building"),
        TEXT_OPTION("failures", failures, "NAME", "rate of failures: llama3 (default), rsc-1, bloom, opt"),
        FLAG_OPTION("no-failures", no_failures, "plan without failures"),
        FLAG_OPTION("what-fits", what_fits, "every GPT-3 size (or the model that is named) on this hardware, in bf16 and FP8"),
        FLAG_OPTION("serve", serve, "plan answering --users instead of training"),
        NUMBER_OPTION("users", users, "N", "online at once"),
        NUMBER_OPTION("requests", requests, "N", "a minute from each user (default 1)"),
        NUMBER_OPTION("prompt-tokens", prompt_tokens, "N", "of a request (default 1500; --rlhf: 256)"),
        NUMBER_OPTION("output-tokens", output_tokens, "N", "of an answer (default 300; --rlhf: 256)"),
        {.name = "cached",
         .kind = OPTION_NUMBER,
         .value = &p.o.cached,
         .argument = "SHARE",
         .help = "of a prompt that is in the prefix cache (default 0.5)",
         .min = 0,
         .max = 1},
        NUMBER_OPTION("token-ms", token_ms, "MS", "longest time between tokens (default 50)"),
        NUMBER_OPTION("first-ms", first_ms, "MS", "longest time to the first token (default 2000)"),
        FLAG_OPTION("rlhf", rlhf, "plan SFT, reward model and PPO instead"),
        TEXT_OPTION("critic", critic, "NAME", "model of reward and critic (default: as large as the policy)"),
        TEXT_OPTION("html", html, "FILE", "also write a report with plots"),
        TEXT_OPTION("tables", tables, "DIR", "your own chips.tsv, prices.tsv, ... (default: TALC_HOME/plan)"),
        FLAG_OPTION("list", list, "what the tables hold"),
        FLAG_OPTION("json", json, "one JSON object"),
    };
    /* clang-format on */
    struct command_line line = {
        .command = "plan",
        .summary = "what a training run costs on given hardware, before it starts",
        .arguments = "",
        .example = "talc plan --preset gpt3-175b --gpu v100 --gpus 10000 --tokens 300B --price-date 2020-06\n"
                   "  talc plan --preset llama3-70b --gpu h100 --precision fp8 --serve --users 10000\n"
                   "  talc plan --preset opt-13b --critic opt-1.3b --rlhf --gpu a100-80 --gpus 8",
        .options = options,
        .n_options = OPTIONS_COUNT(options),
        .max_operands = 0};
    struct talc_error err = {0};
    int code = options_parse(&line, argc, argv);
    if (code >= 0) return code;
    if (!p.o.rlhf && p.o.prompt_tokens == 0) p.o.prompt_tokens = SERVING_LOAD_DEFAULT.prompt_tokens;
    if (!p.o.rlhf && p.o.output_tokens == 0) p.o.output_tokens = SERVING_LOAD_DEFAULT.output_tokens;
    code = answer(&p, &err) ? EXIT_DONE : cli_fail("plan", &err);
    catalog_close(&p.catalog);
    free(p.arch);
    options_free(&line);
    return code;
}
