/* failures.h - what checkpoints and failures add to a run: Young's and Daly's formulas, and a simulation of the same
 * run. */
#ifndef TALC_PLAN_FAILURES_H
#define TALC_PLAN_FAILURES_H

#include "plan/catalog.h"

struct failure_model {
    double per_1000_node_days; /* unplanned interruptions; a node is 8 chips */
    double restart_seconds;    /* from a failure to the first new step: noticed, restarted, loaded */
    double store_rate;         /* bytes/s that one node writes of a checkpoint, while the run waits */
    double spare_share;        /* nodes in reserve, of the job's */
    double repair_seconds;     /* until a failed node is back in reserve */
};
#define FAILURE_NODE_CHIPS 8
/* Restart: 12 minutes, which gives the 90% and more of effective time that Llama 3 reports at 3.1 hours between
 * interruptions. Writing: 1.2 GB/s a node, as BLOOM's 2.3 TB in 40 s from 48 nodes. Two percent of spare nodes, back
 * after a day. */
#define FAILURE_MODEL_DEFAULT ((struct failure_model){3.8, 720, 1.2e9, 0.02, 86400})

struct failure_plan {
    double nodes, mttf_seconds; /* of the job */
    double checkpoint_bytes, checkpoint_seconds, interval_seconds;
    double goodput;       /* share of wall time that makes new steps (Daly 2006, complete formula) */
    double young_goodput; /* 1 - C/tau - (tau/2 + R)/MTTF (Young 1974) */
    double wall_seconds;  /* work / goodput */
    double failures;      /* expected */
    double simulated_goodput, wall_p10, wall_p90; /* of the simulation's runs */
    double waits_for_spares;                      /* mean of a simulated run */
};

/* `work`: seconds of steps without failures or checkpoints. The simulation's seed is fixed. */
struct failure_plan failures_plan(const struct failure_model *model, double chips, double work,
                                  double checkpoint_bytes);

#endif
