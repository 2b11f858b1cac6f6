/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The event loop.
 *
 * Must not know: what the descriptors are for.
 * Invariants: an io is in a run queue exactly while `ready & want`; a turn first collects all events and
 * then runs, so closing an io never leaves a stale pointer in the batch; the kernel is given numbers and no
 * pointers, so an event for what is gone meets nobody; nothing that was buried is freed before the end of the
 * turn; the heap holds exactly the timers whose slot is not 0.
 */
#include "base/loop.h"

#include "base/log.h"
#include "base/passes.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#define LOOP_EVENTS 256 /* taken from the kernel at once */
#define LOOP_EVERYTHING (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET)
#define LOOP_HEAP_MIN 64
#define LOOP_IOS_MIN 64
#define LOOP_SIGNALS 16 /* taken in one turn */
#define LOOP_LAST_ROUNDS                                                                           \
	8 /* what is freed at the end may bury something, and that, too, but not for long */

static uint64_t clock_ms(void) {
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Keeps the invariant of the run queues after a change of ready or want. */
static void io_update(struct loop *loop, struct ev_io *io) {
	bool runnable = io->ready & io->want;
	if(runnable && !list_is_linked(&io->run)) {
		list_append(io->ready & LOOP_LOW ? &loop->low : &loop->run, &io->run);
	} else if(!runnable && list_is_linked(&io->run)) {
		list_remove(&io->run);
	}
}

/* Nothing wanted: a hang-up would be reported all the same, in every turn if it were not for EPOLLET. */
static uint32_t level_mask(unsigned want) {
	return want ? (want & LOOP_IN ? EPOLLIN : 0u) | (want & LOOP_OUT ? EPOLLOUT : 0u) : EPOLLET;
}

static int epoll_change(
	struct loop *loop, int operation, int fd, uint16_t generation, uint32_t events) {
	struct epoll_event event = {
		.events = events, .data.u64 = (uint64_t)generation << 32 | (uint32_t)fd};
	return epoll_ctl(loop->epoll_fd, operation, fd, &event) < 0 ? -errno : 0;
}

/* Whose event is it? NULL: of a registration that is gone. */
static struct ev_io *io_of(const struct loop *loop, uint64_t data) {
	struct ev_io *io = loop->ios[(uint32_t)data];
	return io && io->generation == (uint16_t)(data >> 32) ? io : NULL;
}

/* Room for a descriptor in the table. */
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
	/* No place is read before a registration of its number has written it, so what is never used stays untouched. */
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

static void heap_put(struct loop *loop, size_t slot, struct ev_timer *timer) {
	loop->heap[slot] = timer;
	timer->slot = slot;
}

static void heap_up(struct loop *loop, size_t slot, struct ev_timer *timer) {
	while(slot > 1 && loop->heap[slot / 2]->due_ms > timer->due_ms) {
		heap_put(loop, slot, loop->heap[slot / 2]);
		slot /= 2;
	}
	heap_put(loop, slot, timer);
}

static void heap_down(struct loop *loop, size_t slot, struct ev_timer *timer) {
	for(;;) {
		size_t child = slot * 2;
		if(child > loop->timers) {
			break;
		}
		if(child < loop->timers &&
			loop->heap[child + 1]->due_ms < loop->heap[child]->due_ms) {
			child++;
		}
		if(loop->heap[child]->due_ms >= timer->due_ms) {
			break;
		}
		heap_put(loop, slot, loop->heap[child]);
		slot = child;
	}
	heap_put(loop, slot, timer);
}

/* Room for one more open timer; place 0 is not used. */
static int heap_grow(struct loop *loop) {
	if(loop->timers_open + 1 < loop->heap_cap) {
		return 0;
	}
	size_t cap = loop->heap_cap ? loop->heap_cap * 2 : LOOP_HEAP_MIN;
	/* An array of pointers it is. NOLINTNEXTLINE(bugprone-sizeof-expression) */
	struct ev_timer **heap = reallocarray(loop->heap, cap, sizeof(*heap));
	if(!heap) {
		return -ENOMEM;
	}
	loop->heap = heap;
	loop->heap_cap = cap;
	return 0;
}

/* Milliseconds until something is due, for epoll_wait. */
static int turn_timeout(const struct loop *loop) {
	bool runnable = !list_is_empty(&loop->run) || !list_is_empty(&loop->low);
	if(runnable || loop->deferred || !list_is_empty(&loop->tasks)) {
		return 0;
	}
	if(loop->timers == 0) {
		return -1;
	}
	uint64_t due = loop->heap[1]->due_ms;
	if(due <= loop->now_ms) {
		return 0;
	}
	return due - loop->now_ms > INT_MAX ? INT_MAX : (int)(due - loop->now_ms);
}

/* Collects what the kernel reports; nothing runs yet. */
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
		/* The reader takes what arrived before the hang-up and then meets it itself. */
		if(got & (EPOLLHUP | EPOLLERR)) {
			ready |= LOOP_IN | LOOP_OUT | LOOP_HUP;
		}
		io->ready |= (uint8_t)ready;
		io_update(loop, io);
	}
	return 0;
}

/* Those in front of the heavy ones join the batch; the others keep their places. */
static void take_low_priority(struct loop *loop, struct list *batch) {
	for(int i = 0; i < LOOP_LOW_PER_TURN && !list_is_empty(&loop->low); i++) {
		struct list *first = loop->low.next;
		list_remove(first);
		list_append(batch, first);
	}
}

/* Runs what is in the run queue now, each entry once; what becomes runnable meanwhile is for the next turn. */
static void turn_run(struct loop *loop) {
	struct list batch;
	list_take(&batch, &loop->run);
	take_low_priority(loop, &batch);
	while(!list_is_empty(&batch)) {
		struct ev_io *io = container_of(batch.next, struct ev_io, run);
		list_remove(&io->run);
		io->fn(io);
		/* Closed ios are still in memory (dead list) and have nothing that they want. */
		if(io->ready & LOOP_LEVEL) {
			io->ready = LOOP_LEVEL;
		}
		io_update(loop, io);
	}
}

/* What a task schedules is for the turn after this one. */
static void turn_tasks(struct loop *loop) {
	struct list batch;
	list_take(&batch, &loop->tasks);
	while(!list_is_empty(&batch)) {
		struct loop_task *task = container_of(batch.next, struct loop_task, link);
		list_remove(&task->link);
		task->fn(task);
	}
}

/* Each pass takes one that is due out of the heap, and loop_timer_set() puts none in that is due already. */
static void turn_timers(struct loop *loop) {
	PASSES(due, loop->timers);
	loop->in_timers = true;
	while(loop->timers > 0 && loop->heap[1]->due_ms <= loop->now_ms) {
		PASS(due);
		struct ev_timer *timer = loop->heap[1];
		loop_timer_cancel(loop, timer);
		timer->fn(timer);
	}
	loop->in_timers = false;
}

/* What is buried meanwhile is for the next turn. */
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

static void signals_deliver(struct loop *loop, const struct signalfd_siginfo *info, size_t count) {
	sigset_t seen;
	sigemptyset(&seen);
	for(size_t i = 0; i < count; i++) {
		int number = (int)info[i].ssi_signo;
		if(!sigismember(&seen, number)) {
			sigaddset(&seen, number);
			loop->on_signal(loop, number);
		}
	}
}

/* Those that are there now; others have their turn before those that arrive meanwhile. */
static void signals_run(struct ev_io *io) {
	struct loop *loop = container_of(io, struct loop, signal_io);
	struct signalfd_siginfo info[LOOP_SIGNALS];
	ssize_t got = read(io->fd, info, sizeof(info));
	int error = got < 0 ? errno : 0;
	if(error && error != EAGAIN) {
		/* A signal may wait there, and no event would tell: the next turn tries again. */
		if(error != EINTR && log_limit_pass(&loop->unread_signals, loop->now_ms)) {
			log_write(LOG_ERROR, "cannot read signals: %s", strerror(error));
		}
		return;
	}
	if(got < (ssize_t)sizeof(info)) {
		loop_used_up(io, LOOP_IN);
	}
	signals_deliver(loop, info, error ? 0 : (size_t)got / sizeof(info[0]));
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
	return heap_grow(loop);
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
	free(loop->heap);
	loop->heap = NULL;
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

int loop_signals(
	struct loop *loop, const sigset_t *set, void (*fn)(struct loop *loop, int signal)) {
	if(sigprocmask(SIG_BLOCK, set, NULL) < 0) {
		return -errno;
	}
	int fd = signalfd(-1, set, SFD_NONBLOCK | SFD_CLOEXEC);
	if(fd < 0) {
		return -errno;
	}
	loop->on_signal = fn;
	int result = loop_add(loop, &loop->signal_io, fd, LOOP_IN, LOOP_IN, signals_run);
	if(result) {
		close(fd);
	}
	return result;
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
		/* If there is a copy of the descriptor, it would be reported in every turn. */
		loop_remove(loop, io);
	} else {
		io_forget(loop, io);
	}
	close(fd);
}

void loop_want(struct loop *loop, struct ev_io *io, unsigned want) {
	if(io->want == want) {
		return;
	}
	io->want = (uint8_t)want;
	if(io->ready & LOOP_LEVEL) {
		/* MOD of a registered descriptor fails only for want of memory; the old mask then stays. */
		if(epoll_change(loop, EPOLL_CTL_MOD, io->fd, io->generation, level_mask(want))) {
			log_write(LOG_ERROR, "epoll: cannot change what descriptor %d waits for",
				io->fd);
		}
	}
	io_update(loop, io);
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

int loop_timer_open(struct loop *loop, struct ev_timer *timer, ev_timer_fn *fn) {
	assert(!timer->fn);
	if(heap_grow(loop)) {
		return -ENOMEM;
	}
	loop->timers_open++;
	*timer = (struct ev_timer){.fn = fn};
	return 0;
}

void loop_timer_close(struct loop *loop, struct ev_timer *timer) {
	if(timer->fn) {
		loop_timer_cancel(loop, timer);
		timer->fn = NULL;
		loop->timers_open--;
	}
}

void loop_timer_set(struct loop *loop, struct ev_timer *timer, uint64_t due_ms) {
	assert(timer->fn);
	if(loop->in_timers && due_ms <= loop->now_ms) {
		due_ms = loop->now_ms + 1;
	}
	bool later = timer->slot && due_ms > timer->due_ms;
	timer->due_ms = due_ms;
	if(!timer->slot) {
		loop->timers++;
		heap_up(loop, loop->timers, timer);
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
	struct ev_timer *last = loop->heap[loop->timers];
	loop->timers--;
	if(last == timer) {
		return;
	}
	/* The last timer takes the free place and moves whichever way its time asks for. */
	if(slot > 1 && loop->heap[slot / 2]->due_ms > last->due_ms) {
		heap_up(loop, slot, last);
	} else {
		heap_down(loop, slot, last);
	}
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
		turn_timers(loop);
		turn_free_deferred(loop);
		turn_check(loop);
	}
	return 0;
}
