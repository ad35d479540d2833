/* op_devices.h - every back end of this build, in every variant that this machine has, with 1, 2 and 4 threads. */
#ifndef TALC_TESTS_SUPPORT_OP_DEVICES_H
#define TALC_TESTS_SUPPORT_OP_DEVICES_H

#include "tensor/device.h"

enum { THREADS_1, THREADS_2, THREADS_4, N_THREAD_COUNTS };

struct op_device {
    char name[32]; /* "cpu:avx2" */
    struct stream streams[N_THREAD_COUNTS];
};

struct op_devices {
    struct op_device devices[16];
    int n_devices;
    struct stream reference;
    struct thread_pool *pools[N_THREAD_COUNTS];
};

/* Opens all; a variant that the machine lacks is skipped, with a line on stderr. False where a back end fails. */
bool op_devices_open(struct op_devices *d);
void op_devices_close(struct op_devices *d);

#endif
