/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Latencies: a logarithmic histogram, exact to 1.6 percent, of constant size.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H
#include <stdint.h>

#define HISTOGRAM_STEPS 64 /* buckets for each power of two */
#define HISTOGRAM_POWERS 40 /* up to 18 minutes */

/* Zero is empty. */
struct histogram {
	uint64_t total;
	uint64_t max_ns;
	uint64_t count[HISTOGRAM_POWERS * HISTOGRAM_STEPS];
};

void histogram_add(struct histogram *histogram, uint64_t ns, uint64_t times);

/*
 * The latency that `share` (0 to 1) of all stay at or below, in nanoseconds; 0 if there are none.
 */
double histogram_quantile(const struct histogram *histogram, double share);
#endif
