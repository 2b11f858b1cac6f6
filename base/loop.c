/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The event loop.
 *
 * Must not know: the purpose of the descriptors.
 * Invariants: an io is in a run queue exactly while `ready & want`; a turn first collects all
 * events and then runs, so closing an io never leaves a stale pointer in the batch; the data of an
 * event is a descriptor with its generation and not a pointer, so events of a registration that has
 * ended are recognised and discarded; no deferred free happens before the end of the turn.
 */
#include "base/loop.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/passes.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define LOOP_EVENTS 256 /* taken from the kernel at once */
#define LOOP_EVERYTHING (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET)
#define LOOP_IOS_MIN 64
#define LOOP_LAST_ROUNDS                                                                           \
	8 /* at the end: a deferred free may defer others, which may do so as well */

/* Keeps the invariant of the run queues after a change of ready or want. */
static void io_update(struct loop *loop, struct ev_io *io) {
	bool runnable = io->ready & io->want;
	if(runnable && !list_is_linked(&io->run)) {
		list_append(io->ready & LOOP_LOW ? &loop->low : &loop->run, &io->run);
	} else if(!runnable && list_is_linked(&io->run)) {
		list_remove(&io->run);
	}
}

/*
 * Nothing wanted: a hang-up would be reported all the same, in every turn if it were not for
 * EPOLLET.
 */
static uint32_t level_mask(unsigned want) {
	uint32_t exclusive = want & LOOP_EXCLUSIVE ? EPOLLEXCLUSIVE : 0u;
	return want
		? (want & LOOP_IN ? EPOLLIN | exclusive : 0u) | (want & LOOP_OUT ? EPOLLOUT : 0u)
		: EPOLLET;
}

static int epoll_change(
	struct loop *loop, int operation, int fd, uint16_t generation, uint32_t events) {
	struct epoll_event event = {
		.events = events, .data.u64 = (uint64_t)generation << 32 | (uint32_t)fd};
	return epoll_ctl(loop->epoll_fd, operation, fd, &event) < 0 ? -errno : 0;
}

/*
 * Changes the registration of a level-triggered io. One that is or becomes exclusive cannot be
 * modified, and what is registered again is behind all others (epoll_ctl(2)). It fails only without
 * memory; an exclusive one is not registered then, and `want` is LOOP_EXCLUSIVE alone. 0 or negative
 * errno.
 */
static int level_change(struct loop *loop, struct ev_io *io, unsigned before) {
	uint32_t mask = level_mask(io->want);
	if(!((before | io->want) & LOOP_EXCLUSIVE)) {
		return epoll_change(loop, EPOLL_CTL_MOD, io->fd, io->generation, mask);
	}
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, io->fd, NULL);
	int result = epoll_change(loop, EPOLL_CTL_ADD, io->fd, io->generation, mask);
	if(result) {
		io->want = LOOP_EXCLUSIVE;
	}
	return result;
}

/* The io that an event is for; NULL: its registration has ended. */
static struct ev_io *io_of(const struct loop *loop, uint64_t data) {
	struct ev_io *io = loop->ios[(uint32_t)data];
	return io && io->generation == (uint16_t)(data >> 32) ? io : NULL;
}

/* Makes room for a descriptor in the table. */
static int ios_grow(struct loop *loop, int fd) {
	size_t cap = loop->ios_cap ? loop->ios_cap : LOOP_IOS_MIN;
	while(cap <= (size_t)fd) {
		cap *= 2;
	}
	if(cap == loop->ios_cap) {
		return 0;
	}
	/* An array of pointers it is. NOLINTNEXTLINE(bugprone-sizeof-expression) */
	struct ev_io **ios = reallocarray(loop->ios, cap, sizeof(*ios));
	if(!ios) {
		return -ENOMEM;
	}
	/* Not cleared: a place is written by the registration of its number before it is read. */
	loop->ios = ios;
	loop->ios_cap = cap;
	return 0;
}

static void io_init(struct loop *loop, struct ev_io *io, unsigned want, ev_io_fn *fn) {
	io->want = (uint8_t)want;
	io->fn = fn;
	loop->ios[io->fd] = io;
#ifdef LOOP_CHECK
	list_append(&loop->all, &io->all);
#endif
	io_update(loop, io);
}

static int io_add(struct loop *loop, struct ev_io *io, int fd, uint32_t events) {
	uint16_t generation = ++loop->generation;
	int result = fd < 0 ? -EBADF : ios_grow(loop, fd);
	if(result == 0) {
		result = epoll_change(loop, EPOLL_CTL_ADD, fd, generation, events);
	}
	if(result == 0) {
		*io = (struct ev_io){.fd = fd, .generation = generation};
	}
	return result;
}

/* Forgets the io without touching the descriptor or its registration. */
static void io_forget(struct loop *loop, struct ev_io *io) {
	if(list_is_linked(&io->run)) {
		list_remove(&io->run);
	}
#ifdef LOOP_CHECK
	list_remove(&io->all);
#endif
	loop->ios[io->fd] = NULL;
	io->fd = -1;
	io->ready = 0;
	io->want = 0;
}

/* Milliseconds until something is due, for epoll_wait. */
static int turn_timeout(const struct loop *loop) {
	bool runnable = !list_is_empty(&loop->run) || !list_is_empty(&loop->low);
	if(runnable || loop->deferred || !list_is_empty(&loop->tasks)) {
		return 0;
	}
	uint64_t left = loop_timer_left(&loop->timers, loop->now_ms);
	if(left == LOOP_TIMER_NONE) {
		return -1;
	}
	return left > INT_MAX ? INT_MAX : (int)left;
}

/* Collects the kernel's events; nothing runs yet. */
static int turn_collect(struct loop *loop) {
	struct epoll_event events[LOOP_EVENTS];
	int count = epoll_wait(loop->epoll_fd, events, LOOP_EVENTS, turn_timeout(loop));
	int error = errno;
	loop->now_ms = clock_ms();
	loop->turns++;
	if(count < 0) {
		return error == EINTR ? 0 : -error;
	}
	for(int i = 0; i < count; i++) {
		struct ev_io *io = io_of(loop, events[i].data.u64);
		uint32_t got = events[i].events;
		if(!io) {
			continue;
		}
		unsigned ready = (got & EPOLLIN ? LOOP_IN : 0) | (got & EPOLLOUT ? LOOP_OUT : 0);
		/* A read stops at urgent data, so a short one proves nothing any more (tcp(7)). */
		if(got & (EPOLLRDHUP | EPOLLPRI)) {
			ready |= LOOP_IN | LOOP_HUP;
		}
		/*
		 * The reader takes the bytes that arrived before the hang-up, and then sees it
		 * itself.
		 */
		if(got & (EPOLLHUP | EPOLLERR)) {
			ready |= LOOP_IN | LOOP_OUT | LOOP_HUP | LOOP_LOST;
		}
		io->ready |= (uint8_t)ready;
		io_update(loop, io);
	}
	return 0;
}

/* Calls the function of the first entry. */
static void run_first(struct loop *loop, struct list *batch) {
	struct ev_io *io = container_of(batch->next, struct ev_io, run);
	list_remove(&io->run);
	io->fn(io);
	/* Closed ios are still in memory (their free is deferred), and they want nothing. */
	if(io->ready & LOOP_LEVEL) {
		io->ready = LOOP_LEVEL;
	}
	io_update(loop, io);
}

/*
 * Runs ios of low priority until their time in this turn is over, and one at least. The others keep
 * their places, before those that become runnable meanwhile.
 */
static void turn_run_low(struct loop *loop) {
	struct list batch;
	if(list_is_empty(&loop->low)) {
		return;
	}
	list_take(&batch, &loop->low);
	uint64_t begin_us = clock_us();
	while(!list_is_empty(&batch)) {
		run_first(loop, &batch);
		if(clock_us() - begin_us >= LOOP_LOW_MS * 1000) {
			break;
		}
	}
	while(!list_is_empty(&loop->low)) {
		struct list *later = loop->low.next;
		list_remove(later);
		list_append(&batch, later);
	}
	list_take(&loop->low, &batch);
}

/*
 * Runs the entries of the run queue once each; those that become runnable meanwhile run in the next
 * turn.
 */
static void turn_run(struct loop *loop) {
	struct list batch;
	list_take(&batch, &loop->run);
	while(!list_is_empty(&batch)) {
		run_first(loop, &batch);
	}
	turn_run_low(loop);
}

/* Tasks that are scheduled meanwhile run in the turn after this one. */
static void turn_tasks(struct loop *loop) {
	struct list batch;
	list_take(&batch, &loop->tasks);
	while(!list_is_empty(&batch)) {
		struct loop_task *task = container_of(batch.next, struct loop_task, link);
		list_remove(&task->link);
		task->fn(task);
	}
}

/* Frees that are deferred meanwhile happen in the next turn. */
static void turn_free_deferred(struct loop *loop) {
	struct deferred_free *dead = loop->deferred;
	loop->deferred = NULL;
	while(dead) {
		struct deferred_free *next = dead->next;
		dead->free(dead);
		dead = next;
	}
}

static void turn_check(const struct loop *loop) {
#ifdef LOOP_CHECK
	for(const struct list *at = loop->all.next; at != &loop->all; at = at->next) {
		const struct ev_io *io = container_of(at, struct ev_io, all);
		assert(!(io->ready & io->want) == !list_is_linked(&io->run));
	}
#else
	(void)loop;
#endif
}

int loop_open(struct loop *loop) {
	list_init(&loop->run);
	list_init(&loop->low);
	list_init(&loop->tasks);
#ifdef LOOP_CHECK
	list_init(&loop->all);
#endif
	loop->epoll_fd = -1;
	loop->signal_io.fd = -1;
	loop->now_ms = clock_ms();
	uint8_t *memory = malloc(LOOP_SCRATCH_HEAD + LOOP_SCRATCH_SIZE + LOOP_SCRATCH_TAIL);
	if(!memory) {
		return -ENOMEM;
	}
	loop->scratch = memory + LOOP_SCRATCH_HEAD;
	loop->ciphertext = malloc(LOOP_SCRATCH_SIZE);
	if(!loop->ciphertext) {
		return -ENOMEM;
	}
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if(loop->epoll_fd < 0) {
		return -errno;
	}
	return 0;
}

void loop_close(struct loop *loop) {
	PASSES(rounds, LOOP_LAST_ROUNDS);
	while(loop->deferred) {
		PASS(rounds);
		turn_free_deferred(loop);
	}
	loop_close_io(loop, &loop->signal_io);
	if(loop->epoll_fd >= 0) {
		close(loop->epoll_fd);
		loop->epoll_fd = -1;
	}
	loop_timer_clear(loop);
	free(loop->ios);
	loop->ios = NULL;
	loop->ios_cap = 0;
	if(loop->scratch) {
		free(loop->scratch - LOOP_SCRATCH_HEAD);
		loop->scratch = NULL;
	}
	free(loop->ciphertext);
	loop->ciphertext = NULL;
	bufq_pool_clear(&loop->pool);
}

int loop_add(
	struct loop *loop, struct ev_io *io, int fd, unsigned ready, unsigned want, ev_io_fn *fn) {
	int result = io_add(loop, io, fd, LOOP_EVERYTHING);
	if(result == 0) {
		io->ready = (uint8_t)ready;
		io_init(loop, io, want, fn);
	}
	return result;
}

int loop_add_level(struct loop *loop, struct ev_io *io, int fd, unsigned want, ev_io_fn *fn) {
	int result = io_add(loop, io, fd, level_mask(want));
	if(result == 0) {
		io->ready = LOOP_LEVEL;
		io_init(loop, io, want, fn);
	}
	return result;
}

void loop_move(
	struct loop *loop, struct ev_io *from, struct ev_io *to, unsigned want, ev_io_fn *fn) {
	assert(!(from->ready & LOOP_LEVEL));
	*to = (struct ev_io){.fd = from->fd, .generation = from->generation, .ready = from->ready};
	io_forget(loop, from);
	io_init(loop, to, want, fn);
}

void loop_remove(struct loop *loop, struct ev_io *io) {
	if(io->fd >= 0) {
		epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, io->fd, NULL);
		io_forget(loop, io);
	}
}

void loop_close_io(struct loop *loop, struct ev_io *io) {
	int fd = io->fd;
	if(fd < 0) {
		return;
	}
	if(io->ready & LOOP_LEVEL) {
		/*
		 * While another process has a copy of the descriptor it would be reported in every
		 * turn.
		 */
		loop_remove(loop, io);
	} else {
		io_forget(loop, io);
	}
	close(fd);
}

void loop_want(struct loop *loop, struct ev_io *io, unsigned want) {
	unsigned before = io->want;
	if(before == want) {
		return;
	}
	io->want = (uint8_t)want;
	if((io->ready & LOOP_LEVEL) && level_change(loop, io, before)) {
		log_write(LOG_ERROR, "epoll: cannot change the events of descriptor %d", io->fd);
	}
	io_update(loop, io);
}

int loop_queue_behind(struct loop *loop, struct ev_io *io) {
	return io->fd >= 0 && (io->want & LOOP_EXCLUSIVE) ? level_change(loop, io, io->want) : 0;
}

void loop_used_up(struct ev_io *io, unsigned bits) {
	io->ready &= (uint8_t)~bits;
	if(!(io->ready & io->want) && list_is_linked(&io->run)) {
		list_remove(&io->run);
	}
}

void loop_set_ready(struct loop *loop, struct ev_io *io, unsigned bits) {
	io->ready |= (uint8_t)bits;
	io_update(loop, io);
}

void loop_set_low_priority(struct loop *loop, struct ev_io *io, bool low) {
	unsigned ready = low ? io->ready | LOOP_LOW : io->ready & ~LOOP_LOW;
	if(io->ready != ready && list_is_linked(&io->run)) {
		list_remove(&io->run);
	}
	io->ready = (uint8_t)ready;
	io_update(loop, io);
}

void loop_next_turn(struct loop *loop, struct loop_task *task) {
	if(!list_is_linked(&task->link)) {
		list_append(&loop->tasks, &task->link);
	}
}

void loop_task_cancel(struct loop_task *task) {
	if(list_is_linked(&task->link)) {
		list_remove(&task->link);
	}
}

void loop_defer_free(struct loop *loop, struct deferred_free *dead) {
	dead->next = loop->deferred;
	loop->deferred = dead;
}

int loop_run(struct loop *loop) {
	while(!loop->stop) {
		int result = turn_collect(loop);
		if(result) {
			return result;
		}
		turn_run(loop);
		turn_tasks(loop);
		if(loop_timer_left(&loop->timers, loop->now_ms) == 0) {
			loop_timer_run(loop);
		}
		turn_free_deferred(loop);
		turn_check(loop);
	}
	return 0;
}
