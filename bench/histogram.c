/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The histogram.
 *
 * Must not know: what is counted.
 * Invariants: values below HISTOGRAM_STEPS have a bucket each; above, the first six bits behind the
 * leading one choose it.
 */
#include "histogram.h"

#define STEP_BITS 6

static unsigned bucket_of(uint64_t ns) {
	if(ns < HISTOGRAM_STEPS) {
		return (unsigned)ns;
	}
	unsigned power = 63 - (unsigned)__builtin_clzll(ns);
	unsigned step = (unsigned)(ns >> (power - STEP_BITS)) & (HISTOGRAM_STEPS - 1);
	unsigned bucket = (power - STEP_BITS + 1) * HISTOGRAM_STEPS + step;
	unsigned last = HISTOGRAM_POWERS * HISTOGRAM_STEPS - 1;
	return bucket < last ? bucket : last;
}

/* Middle of a bucket. */
static double value_of(unsigned bucket) {
	if(bucket < HISTOGRAM_STEPS) {
		return bucket;
	}
	unsigned shift = bucket / HISTOGRAM_STEPS - 1;
	uint64_t low = (uint64_t)(HISTOGRAM_STEPS + bucket % HISTOGRAM_STEPS) << shift;
	return (double)low + (double)(UINT64_C(1) << shift) / 2;
}

void histogram_add(struct histogram *histogram, uint64_t ns, uint64_t times) {
	histogram->count[bucket_of(ns)] += times;
	histogram->total += times;
	if(ns > histogram->max_ns) {
		histogram->max_ns = ns;
	}
}

double histogram_quantile(const struct histogram *histogram, double share) {
	double wanted = share * (double)histogram->total;
	uint64_t seen = 0;
	for(unsigned i = 0; i < HISTOGRAM_POWERS * HISTOGRAM_STEPS; i++) {
		seen += histogram->count[i];
		if(seen > 0 && (double)seen >= wanted) {
			return value_of(i);
		}
	}
	return 0;
}
