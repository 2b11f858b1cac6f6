/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The event loop: one edge-triggered epoll instance with readiness kept in user space, timers, signals,
 * a clock, and the list of what is to be freed at the end of a turn.
 */
#ifndef WEBSOCKSY_LOOP_H
#define WEBSOCKSY_LOOP_H
#include "base/bufq.h"
#include "base/list.h"
#include "base/log.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOOP_IN 1u /* reading is worth a try */
#define LOOP_OUT 2u /* writing is worth a try */
/* The other side has hung up or there is an error: reading will not block any more. Stays set. */
#define LOOP_HUP 4u
/* In `ready`, but nothing that could be wanted: registered level-triggered, see loop_add_level(); loop_set_low_priority(). */
#define LOOP_LEVEL 128u
#define LOOP_LOW 64u

struct ev_io;
typedef void ev_io_fn(struct ev_io *io);

/*
 * One registered descriptor, embedded in its owner. `ready` holds what the kernel reported and has not
 * been used up; `want` what the owner would act on now. `fn` is called once a turn while the two have a
 * bit in common. Owners change both only through the functions below.
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

struct ev_timer;
typedef void ev_timer_fn(struct ev_timer *timer);

/* A one-shot timer, embedded in its owner; loop_timer_open() reserves its place, so that arming cannot fail. */
struct ev_timer {
	uint64_t due_ms;
	size_t slot; /* position in the heap; 0: not armed */
	ev_timer_fn *fn; /* NULL: not open */
};

struct loop_task;
typedef void loop_task_fn(struct loop_task *task);

/* Something to be done in the next turn, embedded in its owner. Zero with `fn` set is ready. */
struct loop_task {
	struct list link; /* in the queue exactly while it is scheduled */
	loop_task_fn *fn;
};

/* Something to be freed at the end of the turn, embedded in its owner. */
struct deferred_free {
	struct deferred_free *next;
	void (*free)(struct deferred_free *dead);
};

#define LOOP_LOW_PER_TURN 4 /* heavy ones that run in one turn */

/* Where reads go: one buffer for all, lent to whoever runs. */
#define LOOP_SCRATCH_HEAD 64 /* room in front, for a frame header */
#define LOOP_SCRATCH_SIZE (256 * 1024) /* one read */
#define LOOP_SCRATCH_TAIL 64 /* room behind, for a NUL */

struct loop {
	int epoll_fd;
	struct ev_io **ios; /* by descriptor; NULL: not registered, or no longer */
	size_t ios_cap;
	uint16_t generation;
	uint64_t now_ms; /* steady clock, read once a turn */
	uint64_t turns;
	struct list run; /* the run queue */
	struct list low; /* that of those who take long */
	struct ev_timer **heap; /* 1-based */
	size_t timers; /* armed */
	size_t timers_open; /* places that are reserved in the heap */
	size_t heap_cap;
	struct list tasks; /* scheduled for the next turn */
	struct deferred_free *deferred;
	bool stop;
	uint8_t *scratch; /* LOOP_SCRATCH_SIZE bytes with head room in front and tail room behind */
	uint8_t *ciphertext; /* as large, for who decrypts or inflates what arrives in it */
	struct bufq_pool pool;
	bool in_timers; /* their functions are being called */
	struct ev_io signal_io;
	struct log_limit unread_signals;
	void (*on_signal)(struct loop *loop, int signal);
#ifdef LOOP_CHECK
	struct list all;
#endif
};

/* Prepares a zeroed loop. 0 or negative errno; loop_close() in either case. */
int loop_open(struct loop *loop);

/* Frees what is on the dead list and everything of the loop's own. All ios and timers are gone by then. */
void loop_close(struct loop *loop);

/*
 * Blocks the signals in `set` and delivers them to `fn` in the loop, each at most once in a turn. 0 or negative errno.
 */
int loop_signals(struct loop *loop, const sigset_t *set, void (*fn)(struct loop *loop, int signal));

/*
 * Registers `fd` for the life of the descriptor, edge-triggered for everything. `ready` is what the owner
 * knows already (LOOP_OUT for a fresh connected socket), `want` what it acts on. 0 or negative errno.
 */
int loop_add(
	struct loop *loop, struct ev_io *io, int fd, unsigned ready, unsigned want, ev_io_fn *fn);

/*
 * Registers a descriptor that nobody reads until it is empty, like those of a library: level-triggered for `want`,
 * so `ready` is forgotten after each call and reported again while it holds. loop_want() changes the registration;
 * 0 ends all reports.
 */
int loop_add_level(struct loop *loop, struct ev_io *io, int fd, unsigned want, ev_io_fn *fn);

/* `to` takes the place of `from` (edge-triggered), with its readiness and with `fn`. No system call. */
void loop_move(
	struct loop *loop, struct ev_io *from, struct ev_io *to, unsigned want, ev_io_fn *fn);

/* Takes the io out of the loop; the descriptor stays open. No effect on an io with fd -1. */
void loop_remove(struct loop *loop, struct ev_io *io);

/*
 * Takes the io out of the loop and closes the descriptor, which ends its registration, unless somebody holds a
 * copy of it (a process that a plugin has started): what the kernel goes on reporting then is nobody's.
 */
void loop_close_io(struct loop *loop, struct ev_io *io);

/* Sets `want`; if something wanted is ready the io runs without waiting for the kernel. */
void loop_want(struct loop *loop, struct ev_io *io, unsigned want);

/* The owner has proof (EAGAIN, a short read) that these bits hold no longer. */
void loop_used_up(struct ev_io *io, unsigned bits);

/* The owner knows that these bits hold (bytes inside a library). */
void loop_set_ready(struct loop *loop, struct ev_io *io, unsigned bits);

/*
 * While an io is heavy, running it may compute for long, so only LOOP_LOW_PER_TURN of these run in each turn, in the order
 * in which they became runnable, behind the others.
 */
void loop_set_low_priority(struct loop *loop, struct ev_io *io, bool low);

/* Reserves a place for a timer that will call `fn`. 0 or -ENOMEM; then it is not open. */
int loop_timer_open(struct loop *loop, struct ev_timer *timer, ev_timer_fn *fn);

/* Disarms the timer and gives its place back. No effect on one that is not open. */
void loop_timer_close(struct loop *loop, struct ev_timer *timer);

/*
 * Arms or re-arms an open timer for `due_ms` on the loop's clock. A time that has passed already means this turn, but
 * from a timer's function a millisecond later, because a timer that arms itself again would stop the loop.
 */
void loop_timer_set(struct loop *loop, struct ev_timer *timer, uint64_t due_ms);
void loop_timer_cancel(struct loop *loop, struct ev_timer *timer);

/* Calls task->fn once in the next turn. No effect on a task that is scheduled already. */
void loop_next_turn(struct loop *loop, struct loop_task *task);
void loop_task_cancel(struct loop_task *task);

/* Frees `dead` at the end of the turn; if that is called while the others are freed, at the end of the next one. */
void loop_defer_free(struct loop *loop, struct deferred_free *dead);

/* Runs turns until loop->stop. 0 or negative errno if epoll itself fails. */
int loop_run(struct loop *loop);
#endif
