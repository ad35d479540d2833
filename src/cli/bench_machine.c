/* bench_machine.c - talc bench machine: what this machine does at best, as `talc plan --gpu this-machine` counts with
 * it. */
#include "cli/bench.h"
#include "plan/host.h"

bool bench_machine(struct bench *b, struct talc_error *err) {
    struct plan_chip chip;
    if (!host_measure(&b->opened.stream, b->opened.pool, &chip, err)) return false;
    bench_row(b, "matrix product, f32", chip.matmul[PRECISION_FP32] / 1e9, "GFLOP/s", 0);
    bench_row(b, "matrix product, bf16", chip.matmul[PRECISION_BF16] / 1e9, "GFLOP/s", 0);
    bench_row(b, "copying memory, read and written", chip.memory_rate / 1e9, "GB/s", 0);
    bench_row(b, "memory", chip.memory / (1 << 30), "GiB", 0);
    bench_row(b, "threads", chip.units, "threads", 0);
    return true;
}
