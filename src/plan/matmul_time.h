/* matmul_time.h - how long a matrix product takes on a chip: whole tiles, in waves over the chip's units, each K deep
 * and with the time to fill and drain its pipeline; or the traffic of its operands, where that is longer. */
#ifndef TALC_PLAN_MATMUL_TIME_H
#define TALC_PLAN_MATMUL_TIME_H

struct matmul_rates {
    double rate;        /* FLOP/s of a product that fills the chip */
    double memory_rate; /* bytes/s */
    double fill;        /* seconds that a tile costs besides its own arithmetic */
    double operands;    /* share of the time that a tile's operands take at memory_rate which is not hidden */
    double misaligned;  /* factor of the rate for each halving of alignment below 16 bytes */
    int units;
    double bytes_in, bytes_out; /* of an element */
};

/* Seconds of `count` independent products of m x k with k x n. */
double matmul_seconds(const struct matmul_rates *rates, double count, double m, double n, double k);
/* The factor for rows of k 2-byte elements: 1 when they are whole 16-byte words. */
double alignment_factor(double misaligned, int k);

#endif
