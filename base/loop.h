/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The event loop: one edge-triggered epoll instance with readiness kept in user space, timers,
 * tasks for the next turn, a clock, and frees that are deferred to the end of a turn.
 */
#ifndef WEBSOCKSY_LOOP_H
#define WEBSOCKSY_LOOP_H
#include "base/bufq.h"
#include "base/list.h"
#include "base/log_limit.h"
#include "base/loop_timer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOOP_IN 1u /* reading is worth a try */
#define LOOP_OUT 2u /* writing is worth a try */
/* The other side has hung up or there is an error: reading will not block any more. Stays set. */
#define LOOP_HUP 4u
/* Both directions are shut down, or there is an error: nothing can be sent any more. Stays set. */
#define LOOP_LOST 8u
/* With LOOP_IN, of loop_add_level(): one of several processes that wait is to be woken. */
#define LOOP_EXCLUSIVE 16u
/* Marks in `ready` that cannot be wanted; see loop_add_level() and loop_set_low_priority(). */
#define LOOP_LEVEL 128u
#define LOOP_LOW 64u

struct ev_io;
typedef void ev_io_fn(struct ev_io *io);

/*
 * One registered descriptor, embedded in its owner. `ready` has the bits that the kernel has
 * reported and that have not been used up, `want` those on which the owner would act now. `fn` is
 * called once a turn while the two have a bit in common. Owners change both only through the
 * functions below.
 */
struct ev_io {
	int fd; /* -1: not registered */
	uint16_t generation; /* tells events of this registration from those of older ones */
	uint8_t ready; /* and LOOP_LEVEL, LOOP_LOW */
	uint8_t want;
	ev_io_fn *fn;
	struct list run; /* in one of the two run queues exactly while ready & want */
#ifdef LOOP_CHECK
	struct list all;
#endif
};

struct loop_task;
typedef void loop_task_fn(struct loop_task *task);

/*
 * A function to be called in the next turn, embedded in its owner. Initialised by zero, with `fn`
 * set.
 */
struct loop_task {
	struct list link; /* in the queue exactly while it is scheduled */
	loop_task_fn *fn;
};

/* A deferred free, embedded in the object that is freed at the end of the turn. */
struct deferred_free {
	struct deferred_free *next;
	void (*free)(struct deferred_free *dead);
};

#define LOOP_LOW_MS 4 /* time for ios of low priority in one turn; one runs in any case */

/* The destination of reads: one buffer, which the function that runs may use until it returns. */
#define LOOP_SCRATCH_HEAD 64 /* room in front, for a frame header */
#define LOOP_SCRATCH_SIZE (256 * 1024) /* one read */
#define LOOP_SCRATCH_TAIL 64 /* room behind, for a NUL */

struct loop {
	int epoll_fd;
	struct ev_io **ios; /* by descriptor; NULL: not registered, or no longer */
	size_t ios_cap;
	uint16_t generation;
	uint64_t now_ms; /* monotonic clock, read once a turn */
	uint64_t turns;
	struct list run; /* the run queue */
	struct list low; /* the same for low priority */
	struct loop_timers timers;
	struct list tasks; /* scheduled for the next turn */
	struct deferred_free *deferred;
	bool stop;
	uint8_t *scratch; /* LOOP_SCRATCH_SIZE bytes with head room in front and tail room behind */
	uint8_t *ciphertext; /* as large; for input that is decrypted or inflated into `scratch` */
	struct bufq_pool pool;
	struct ev_io signal_io;
	struct log_limit unread_signals;
	void (*on_signal)(struct loop *loop, int signal);
#ifdef LOOP_CHECK
	struct list all;
#endif
};

/* Prepares a zeroed loop. 0 or negative errno; loop_close() in either case. */
int loop_open(struct loop *loop);

/* Does the deferred frees and frees the loop's memory. All ios and timers have been closed. */
void loop_close(struct loop *loop);

/*
 * Registers `fd` for its lifetime, edge-triggered for all events. `ready` has the bits that the
 * owner knows already (LOOP_OUT for a new connected socket). 0 or negative errno.
 */
int loop_add(
	struct loop *loop, struct ev_io *io, int fd, unsigned ready, unsigned want, ev_io_fn *fn);

/*
 * Registers a descriptor that is not always read until it is empty, such as those of a library:
 * level-triggered for `want`, so `ready` is cleared after each call and reported again while it
 * holds. loop_want() changes the registration; 0 ends all reports.
 */
int loop_add_level(struct loop *loop, struct ev_io *io, int fd, unsigned want, ev_io_fn *fn);

/*
 * One with LOOP_EXCLUSIVE: the other processes that wait for it are woken before this one. 0; or
 * negative errno, and nothing is reported until loop_want() has succeeded: `want` has neither LOOP_IN
 * nor LOOP_OUT then.
 */
int loop_queue_behind(struct loop *loop, struct ev_io *io);

/*
 * `to` takes the place of `from` (edge-triggered), with its readiness and with `fn`. No system
 * call.
 */
void loop_move(
	struct loop *loop, struct ev_io *from, struct ev_io *to, unsigned want, ev_io_fn *fn);

/* Takes the io out of the loop; the descriptor stays open. No effect on an io with fd -1. */
void loop_remove(struct loop *loop, struct ev_io *io);

/*
 * Takes the io out of the loop and closes the descriptor, which ends its registration, unless
 * another process holds a copy of it (one that a plugin has started): events that the kernel goes
 * on reporting are discarded.
 */
void loop_close_io(struct loop *loop, struct ev_io *io);

/* Sets `want`; if something wanted is ready the io runs without waiting for the kernel. */
void loop_want(struct loop *loop, struct ev_io *io, unsigned want);

/* The owner has seen (EAGAIN, a short read) that these bits hold no longer. */
void loop_used_up(struct ev_io *io, unsigned bits);

/* The owner knows that these bits hold (bytes in the buffer of a library). */
void loop_set_ready(struct loop *loop, struct ev_io *io, unsigned bits);

/*
 * Sets or ends low priority, for an io whose function may compute for long: these run after the
 * others, in the order in which they became runnable, and those that do not begin within
 * LOOP_LOW_MS wait for the next turn.
 */
void loop_set_low_priority(struct loop *loop, struct ev_io *io, bool low);

/* Calls task->fn once in the next turn. No effect on a task that is scheduled already. */
void loop_next_turn(struct loop *loop, struct loop_task *task);
void loop_task_cancel(struct loop_task *task);

/*
 * Frees `dead` at the end of the turn; if that is called while the others are freed, at the end of
 * the next one.
 */
void loop_defer_free(struct loop *loop, struct deferred_free *dead);

/* Runs turns until loop->stop. 0 or negative errno if epoll itself fails. */
int loop_run(struct loop *loop);
#endif
