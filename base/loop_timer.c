/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The timers of the event loop.
 *
 * Must not know: descriptors.
 * Invariants: the heap holds exactly the timers whose slot is not 0, none earlier than its parent,
 * and has room for all that are open. Each pass over the timers that are due takes one out of the
 * heap, and none that is due is put in meanwhile.
 */
#include "base/loop_timer.h"

#include "base/loop.h"
#include "base/passes.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define HEAP_MIN 64

static void heap_put(struct loop *loop, size_t slot, struct ev_timer *timer) {
	loop->timers.heap[slot] = timer;
	timer->slot = slot;
}

static void heap_up(struct loop *loop, size_t slot, struct ev_timer *timer) {
	while(slot > 1 && loop->timers.heap[slot / 2]->due_ms > timer->due_ms) {
		heap_put(loop, slot, loop->timers.heap[slot / 2]);
		slot /= 2;
	}
	heap_put(loop, slot, timer);
}

static void heap_down(struct loop *loop, size_t slot, struct ev_timer *timer) {
	for(;;) {
		size_t child = slot * 2;
		if(child > loop->timers.armed) {
			break;
		}
		if(child < loop->timers.armed &&
			loop->timers.heap[child + 1]->due_ms < loop->timers.heap[child]->due_ms) {
			child++;
		}
		if(loop->timers.heap[child]->due_ms >= timer->due_ms) {
			break;
		}
		heap_put(loop, slot, loop->timers.heap[child]);
		slot = child;
	}
	heap_put(loop, slot, timer);
}

/* Room for one more open timer; place 0 is not used. */
static int heap_grow(struct loop *loop) {
	if(loop->timers.open + 1 < loop->timers.cap) {
		return 0;
	}
	size_t cap = loop->timers.cap ? loop->timers.cap * 2 : HEAP_MIN;
	/* An array of pointers it is. NOLINTNEXTLINE(bugprone-sizeof-expression) */
	struct ev_timer **heap = reallocarray(loop->timers.heap, cap, sizeof(*heap));
	if(!heap) {
		return -ENOMEM;
	}
	loop->timers.heap = heap;
	loop->timers.cap = cap;
	return 0;
}

int loop_timer_open(struct loop *loop, struct ev_timer *timer, ev_timer_fn *fn) {
	assert(!timer->fn);
	if(heap_grow(loop)) {
		return -ENOMEM;
	}
	loop->timers.open++;
	*timer = (struct ev_timer){.fn = fn};
	return 0;
}

void loop_timer_close(struct loop *loop, struct ev_timer *timer) {
	if(timer->fn) {
		loop_timer_cancel(loop, timer);
		timer->fn = NULL;
		loop->timers.open--;
	}
}

void loop_timer_set(struct loop *loop, struct ev_timer *timer, uint64_t due_ms) {
	assert(timer->fn);
	if(loop->timers.running && due_ms <= loop->now_ms) {
		due_ms = loop->now_ms + 1;
	}
	bool later = timer->slot && due_ms > timer->due_ms;
	timer->due_ms = due_ms;
	if(!timer->slot) {
		loop->timers.armed++;
		heap_up(loop, loop->timers.armed, timer);
	} else if(later) {
		heap_down(loop, timer->slot, timer);
	} else {
		heap_up(loop, timer->slot, timer);
	}
}

void loop_timer_cancel(struct loop *loop, struct ev_timer *timer) {
	size_t slot = timer->slot;
	if(slot == 0) {
		return;
	}
	timer->slot = 0;
	struct ev_timer *last = loop->timers.heap[loop->timers.armed];
	loop->timers.armed--;
	if(last == timer) {
		return;
	}
	/* The last timer takes the free place and moves whichever way its time asks for. */
	if(slot > 1 && loop->timers.heap[slot / 2]->due_ms > last->due_ms) {
		heap_up(loop, slot, last);
	} else {
		heap_down(loop, slot, last);
	}
}

void loop_timer_run(struct loop *loop) {
	PASSES(due, loop->timers.armed);
	loop->timers.running = true;
	while(loop->timers.armed > 0 && loop->timers.heap[1]->due_ms <= loop->now_ms) {
		PASS(due);
		struct ev_timer *timer = loop->timers.heap[1];
		loop_timer_cancel(loop, timer);
		timer->fn(timer);
	}
	loop->timers.running = false;
}

void loop_timer_clear(struct loop *loop) {
	free(loop->timers.heap);
	loop->timers = (struct loop_timers){0};
}
