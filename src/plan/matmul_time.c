/* matmul_time.c - time of one product by shape; see matmul_time.h. */
#include "plan/matmul_time.h"

#include <math.h>

/* Tiles that libraries choose from, with the share of the full rate that one reaches by its reuse of operands. */
static const struct tile {
    int m, n;
    double share;
} tiles[] = {{256, 128, 1.0}, {128, 256, 1.0}, {128, 128, 0.95}, {128, 64, 0.85}, {64, 128, 0.85}, {64, 64, 0.75}};

double alignment_factor(double misaligned, int k) {
    double factor = 1;
    for (int whole = 8; whole > 1 && k % whole; whole /= 2) factor *= misaligned;
    return factor;
}

double matmul_seconds(const struct matmul_rates *r, double count, double m, double n, double k) {
    if (count <= 0 || m <= 0 || n <= 0 || k <= 0) return 0;
    double best = INFINITY, per_unit = r->rate / r->units;
    for (unsigned i = 0; i < sizeof tiles / sizeof *tiles; i++) {
        const struct tile *t = &tiles[i];
        double n_tiles = ceil(m / t->m) * ceil(n / t->n) * count, waves = n_tiles / r->units;
        /* The last wave is not full; splitting K over idle units wins back about half of what it leaves. */
        double whole = ceil(waves);
        waves = waves + 0.5 * (whole - waves);
        double operands = n_tiles * (t->m + t->n) * k * r->bytes_in / r->memory_rate;
        double seconds = waves * (2.0 * t->m * t->n * k / (per_unit * t->share) + r->fill) + r->operands * operands;
        if (seconds < best) best = seconds;
    }
    best /= alignment_factor(r->misaligned, (int)ceil(k));
    double traffic = count * ((m * k + k * n) * r->bytes_in + m * n * r->bytes_out) / r->memory_rate;
    return best > traffic ? best : traffic;
}
