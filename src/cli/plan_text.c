/* plan_text.c - what talc plan prints; see plan_text.h. */
#include "cli/plan_text.h"

#include <stdio.h>
#include <string.h>

#include "base/progress.h"
#include "plan/host.h"
#include "plan/report.h"

static const char *gib(double bytes, char out[32]) {
    snprintf(out, 32, "%.1f GiB", bytes / (1 << 30));
    return out;
}

static const char *money(double usd, const struct plan_prices *prices, char out[48]) {
    double x = usd * prices->per_usd;
    const char *unit = x >= 1e9 ? "B" : x >= 1e6 ? "M" : x >= 1e4 ? "k" : "";
    double by = x >= 1e9 ? 1e9 : x >= 1e6 ? 1e6 : x >= 1e4 ? 1e3 : 1;
    snprintf(out, 48, "%.*f%s %s", x / by < 10 ? 2 : x / by < 100 ? 1 : 0, x / by, unit, prices->currency);
    return out;
}

static void print_memory(const struct plan_memory *m, double limit) {
    char text[32];
    printf("\nmemory of the fullest GPU (stage %d)\n", m->stage);
    for (int i = 0; i < PLAN_MEMORY_PARTS; i++)
        printf("  %-12s %12s\n", plan_memory_parts[i].label, gib(plan_part_value(&plan_memory_parts[i], m), text));
    printf("  %-12s %12s\n", "total", gib(m->total, text));
    printf("  %-12s %12s\n", "of", gib(limit, text));
    if (m->host > 0) printf("  %-12s %12s in the host's memory\n", "offloaded", gib(m->host, text));
}

static void print_step(const struct plan_step *s) {
    printf("\nstep %.3f s\n", s->seconds);
    for (int i = 0; i < PLAN_STEP_PARTS; i++) {
        double seconds = plan_part_value(&plan_step_parts[i], s);
        if (seconds > 0.0005 * s->seconds)
            printf("  %-16s %8.3f s %5.1f%%\n", plan_step_parts[i].label, seconds, 100 * seconds / s->seconds);
    }
}

static void print_others(const struct training_plan *p) {
    char text[128], reason[160];
    printf("\nlayouts (%ld tried, %ld fit)\n", p->ranking.n_tried, p->ranking.n_fit);
    for (int i = 0; i < p->ranking.n_best && i < 6; i++) {
        const struct plan_candidate *c = &p->ranking.best[i];
        plan_layout_text(&c->layout, text);
        plan_reason(&p->best, c, plan_memory_limit(p->job.chip), reason);
        printf("  %5.1f%%  %-62s %s\n", 100 * c->tokens_per_second / p->best.tokens_per_second, text,
               i ? reason : "the best");
    }
    for (int i = 0; i < p->ranking.n_lost && i < 3; i++) {
        const struct plan_candidate *c = &p->ranking.lost[i];
        plan_layout_text(&c->layout, text);
        plan_reason(&p->best, c, plan_memory_limit(p->job.chip), reason);
        printf("  (%3.0f%%)  %-62s %s\n", 100 * c->tokens_per_second / p->best.tokens_per_second, text, reason);
    }
}

static void print_money(const struct plan_request *r, const struct training_plan *p) {
    const struct plan_cost *c = &p->cost;
    char low[48], mid[48], high[48], buy[48];
    printf("GPU-hours    %.4g\n", c->chip_hours);
    if (r->prices.rent.mid <= 0 && r->prices.purchase <= 0) return; /* one's own machine */
    printf("rent         %s (low %s, high %s) at %.2f USD a GPU-hour, prices of %s\n", money(c->mid, &r->prices, mid),
           money(c->low, &r->prices, low), money(c->high, &r->prices, high), r->prices.rent.mid, r->prices.rent.month);
    if (r->prices.purchase > 0)
        printf("purchase     %s: %d x %s with their share of servers and network (assumed %.0f USD each)\n",
               money(c->purchase, &r->prices, buy), r->job.chips, p->job.chip->name, r->prices.purchase);
    else
        printf("purchase     unknown: no purchase_usd of %s in chips.tsv\n", p->job.chip->name);
    if (p->job.chip->watts > 0)
        printf("energy       %.4g MWh (%.0f W a GPU with its share of the server, PUE %.2f), %.4g t CO2e\n", c->mwh,
               p->job.chip->watts, r->energy.pue, c->co2_tonnes);
    else
        printf("energy       unknown: no system_watts of %s in chips.tsv\n", p->job.chip->name);
}

static void print_failures(const struct training_plan *p) {
    const struct failure_plan *f = &p->failures;
    char bytes[32], write[32], interval[32], mttf[32];
    printf("checkpoint   %s, written in %s, every %s\n", format_bytes(f->checkpoint_bytes, bytes),
           format_seconds(f->checkpoint_seconds, write), format_seconds(f->interval_seconds, interval));
    if (f->failures > 0)
        printf("failures     %.0f expected, one in %s; goodput %.1f%% (simulated %.1f%%, wall days %.1f .. %.1f)\n",
               f->failures, format_seconds(f->mttf_seconds, mttf), 100 * f->goodput, 100 * f->simulated_goodput,
               f->wall_p10 / 86400, f->wall_p90 / 86400);
}

void plan_text_training(const struct plan_request *r, const struct training_plan *p) {
    const struct plan_job *job = &p->job;
    char layout[128], n[32], t[32], a[32], b[32];
    int batch = plan_true_batch(job, &p->best.layout);
    plan_layout_text(&p->best.layout, layout);
    printf("%s (%s parameters) on %d x %s, %s tokens in %s\n", job->model->name,
           plan_count_text(plan_model_params(job->model), n), job->chips, job->chip->name,
           plan_count_text(r->tokens, t), precision_names[job->precision]);
    if (strcmp(job->chip->name, HOST_CHIP) == 0)
        printf("measured     %.3g GFLOP/s in %s, %.3g GB/s of memory, %.1f GiB (as talc bench machine does)\n",
               job->chip->matmul[job->precision] / 1e9, precision_names[job->precision], job->chip->memory_rate / 1e9,
               job->chip->memory / (1 << 30));
    printf("assumed      batch %d sequences of %d (%s tokens), network %s, software %s\n\n", batch, job->sequence,
           plan_count_text((double)batch * job->sequence, b), job->network->name, job->software->name);
    printf("layout       %s\n", layout);
    printf("time         %.3g days (%.3g of steps, goodput %.1f%%)\n", p->failures.wall_seconds / 86400,
           p->compute_seconds / 86400, 100 * p->failures.goodput);
    printf("speed        %s tokens/s; %.3g TFLOP/s a GPU by 6ND\n", format_count(p->best.tokens_per_second, a),
           p->best.step.six_n_flops / p->best.step.seconds / job->chips / 1e12);
    printf(
        "utilisation  MFU %.1f%% (full attention), %.1f%% (causal), %.1f%% (6ND); HFU %.1f%%; of %.3g TFLOP/s dense\n",
        100 * p->mfu, 100 * p->mfu_causal, 100 * p->mfu_six_n, 100 * p->hfu, job->chip->peak[job->precision] / 1e12);
    print_money(r, p);
    print_failures(p);
    print_memory(&p->best.memory, plan_memory_limit(job->chip));
    print_step(&p->best.step);
    print_others(p);
    for (int i = 0; i < p->warnings.n; i++) printf("%s  %s\n", i ? "" : "\nwarnings\n", p->warnings.text[i]);
}

void plan_text_serving(const struct plan_request *r, const struct serving_load *load, const struct serving_plan *p) {
    const struct plan_prices *prices = &r->prices;
    char a[48], b[48], c[48], t[32];
    printf("%s in %s for %.0f users online, %g requests a minute each (%.0f tokens in, %.0f%% of them cached, %.0f "
           "out)\n\n",
           r->job.model->name, precision_names[r->job.precision], load->users, load->requests_per_minute,
           load->prompt_tokens, 100 * load->prefix_cached, load->output_tokens);
    printf("GPUs         %d x %s: %d replicas of %d, up to %d answers at once each\n", p->chips, r->job.chip->name,
           p->replicas, p->replica.chips, p->replica.batch);
    printf("latency      %.2f s to the first token, %.1f ms a token, %.1f s an answer (replicas at %.0f%% of their "
           "capacity)\n",
           p->first_token_seconds, 1000 * p->token_seconds, p->answer_seconds, 100 * p->load);
    printf("speed        %s tokens/s in all; one user alone %.0f tokens/s\n", format_count(p->tokens_per_second, t),
           p->single_stream);
    printf("rent         %s an hour (low %s, high %s), prices of %s\n", money(p->cost_per_hour[1], prices, a),
           money(p->cost_per_hour[0], prices, b), money(p->cost_per_hour[2], prices, c), prices->rent.month);
    printf("a million    %s of output tokens (low %s, high %s)\n", money(p->cost_per_million_tokens[1], prices, a),
           money(p->cost_per_million_tokens[0], prices, b), money(p->cost_per_million_tokens[2], prices, c));
    printf("memory       weights %.0f GB, keys and values %.2f GB an answer\n", p->replica.weight_bytes / 1e9,
           p->replica.kv_bytes_per_sequence / 1e9);
    if (p->watts > 0)
        printf("power        %.1f kW\n", p->watts / 1000);
    else
        printf("power        unknown\n");
}

void plan_text_rlhf(const struct plan_request *r, const struct rlhf_load *load, const struct rlhf_plan *p) {
    char mid[48], low[48], high[48], t[32];
    printf("aligning %s on %d x %s: %.0fM tokens of SFT, %.0fM of comparisons, %.0fM of PPO (%.0f + %.0f a row, %d "
           "rows an update), reward model and critic %s\n\n",
           r->job.model->name, r->job.chips, r->job.chip->name, load->sft_tokens / 1e6, load->reward_tokens / 1e6,
           load->ppo_tokens / 1e6, load->prompt_tokens, load->answer_tokens, load->rows,
           load->small ? load->small->name : "as large");
    for (int i = 0; i < 3; i++)
        printf("%-13s %10s  %8.4g GPU-hours  %s (low %s, high %s)\n", p->stages[i].name,
               format_seconds(p->stages[i].seconds, t), p->stages[i].chip_hours,
               money(p->stages[i].cost[1], &r->prices, mid), money(p->stages[i].cost[0], &r->prices, low),
               money(p->stages[i].cost[2], &r->prices, high));
    double ppo = p->stages[2].seconds;
    printf("\nPPO is %.0f%% generating (on %d GPUs a replica), %.0f%% scoring, %.0f%% training, %.0f%% moving weights; "
           "%.1f GiB a GPU%s\n",
           100 * p->generate_seconds / ppo, p->generate_chips, 100 * p->score_seconds / ppo,
           100 * p->train_seconds / ppo, 100 * p->switch_seconds / ppo, p->memory / (1 << 30),
           p->offload ? ", optimizer in the host's memory" : "");
}
