/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Recordings: the queue and the thread that writes.
 *
 * Must not know: connections, sockets, what a file looks like.
 * Invariants: callers never wait for a disk; the queue is bounded; after an error nothing more is
 * written to a file. Fields of a recording belong to the thread, except those that the lock protects.
 */
#include "service/record.h"

#include "base/list.h"
#include "service/record_file.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define RECORD_BUCKETS 1024
#define RECORD_WRITE (64 * 1024) /* bytes of output that are written at once */

enum task_kind {
	TASK_OPEN,
	TASK_PART,
	TASK_CLOSE
};

struct recording {
	struct recording *next; /* in its bucket */
	struct record_about about;
	uint64_t begun_ns; /* monotonic */
	size_t queued; /* under the lock: bytes that wait */
	bool failed; /* under the lock */
	/* of the thread */
	const struct record_writer *writer;
	struct record_state state;
	struct record_file file;
	struct dynbuf message; /* of the client, incomplete */
	struct dynbuf out; /* not written yet */
	char template[];
};

struct task {
	struct task *next;
	struct recording *recording;
	enum task_kind kind;
	uint64_t t_ns;
	bool from_client;
	bool last;
	uint8_t opcode;
	size_t len;
	uint8_t data[];
};

/* An error of the thread on its way to the loop. */
struct failure {
	struct failure *next;
	struct record_about about;
	int error;
};

struct recorder {
	struct loop *loop;
	recorder_failed_fn *failed;
	void *ctx;
	struct ev_io io; /* an eventfd, signalled by the thread for `failures` */
	struct failure *failures; /* under the lock, as all below */
	pthread_t thread;
	bool started;
	pthread_mutex_t lock;
	pthread_cond_t work;
	bool stop;
	size_t queued; /* of all recordings */
	struct task *first;
	struct task **end;
	struct recording *bucket[RECORD_BUCKETS]; /* of the callers */
};

static uint64_t now_ns(clockid_t clock) {
	struct timespec now;
	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- the thread ---- */

static void flush(struct recording *recording) {
	int result = record_file_write(&recording->file, recording->out.data, recording->out.len);
	recording->out.len = 0;
	if(result) {
		recording->file.error = result;
	}
}

/* The message is complete. */
static int put_message(
	struct recording *recording, const struct task *task, const uint8_t *data, size_t len) {
	const struct record_message message = {
		task->t_ns, task->from_client, task->opcode, data, len};
	return recording->writer->message(
		&recording->state, &recording->about, &message, &recording->out);
}

static int put_part(struct recording *recording, const struct task *task) {
	struct dynbuf *partial = &recording->message;
	if(task->last && (!task->from_client || partial->len == 0)) {
		return put_message(recording, task, task->data, task->len);
	}
	if(task->len > RECORD_MESSAGE_MAX - partial->len) {
		return -EMSGSIZE;
	}
	if(task->len > 0 && dynbuf_append(partial, task->data, task->len)) {
		return -ENOMEM;
	}
	if(!task->last) {
		return 0;
	}
	int result = put_message(recording, task, partial->data, partial->len);
	dynbuf_free(partial);
	return result;
}

static int put_task(struct recording *recording, const struct task *task) {
	const struct record_writer *writer = recording->writer;
	if(task->kind == TASK_OPEN) {
		int result =
			record_file_open(&recording->file, recording->template, &recording->about);
		return result
			? result
			: writer->begin(&recording->state, &recording->about, &recording->out);
	}
	return task->kind == TASK_PART
		? put_part(recording, task)
		: writer->end(&recording->state, &recording->about, task->t_ns, &recording->out);
}

/* After an error the file ends with the last message that is in it as a whole. */
static void fail(struct recorder *recorder, struct recording *recording, int error) {
	static const uint64_t one = 1;
	struct failure *failure = malloc(sizeof(*failure));
	struct dynbuf trailer = {0};
	recording->file.error = error;
	if(recording->writer->end(&recording->state, &recording->about, 0, &trailer) == 0) {
		record_file_cut(&recording->file, trailer.data, trailer.len);
	}
	dynbuf_free(&trailer);
	dynbuf_free(&recording->out);
	dynbuf_free(&recording->message);
	pthread_mutex_lock(&recorder->lock);
	recording->failed = true;
	if(failure) {
		*failure = (struct failure){recorder->failures, recording->about, error};
		recorder->failures = failure;
	}
	pthread_mutex_unlock(&recorder->lock);
	/* It fails if it is signalled already. */
	if(write(recorder->io.fd, &one, sizeof(one)) < 0) {
		return;
	}
}

static void recording_free(struct recording *recording) {
	record_file_close(&recording->file);
	dynbuf_free(&recording->out);
	dynbuf_free(&recording->message);
	free(recording);
}

/* `more`: the next task is for the same recording. */
static void run(struct recorder *recorder, const struct task *task, bool more) {
	struct recording *recording = task->recording;
	if(recording->file.error == 0) {
		int result = put_task(recording, task);
		if(result == 0 && (!more || recording->out.len >= RECORD_WRITE)) {
			flush(recording);
			result = recording->file.error;
		}
		if(result) {
			fail(recorder, recording, result);
		}
	}
	if(task->kind == TASK_CLOSE) {
		recording_free(recording);
	}
}

/* Runs a list and frees it. Returns the number of bytes; those of recordings that go on are their own. */
static void run_all(struct recorder *recorder, struct task *task) {
	while(task) {
		struct task *next = task->next;
		size_t len = task->len;
		bool closed = task->kind == TASK_CLOSE;
		struct recording *recording = task->recording;
		run(recorder, task, next && next->recording == recording);
		free(task);
		pthread_mutex_lock(&recorder->lock);
		recorder->queued -= len;
		if(!closed) {
			/* Closing is the last task. */
			recording->queued -= len; /* NOLINT(clang-analyzer-unix.Malloc) */
		}
		pthread_mutex_unlock(&recorder->lock);
		task = next;
	}
}

static void *thread_main(void *argument) {
	struct recorder *recorder = argument;
	pthread_mutex_lock(&recorder->lock);
	while(recorder->first || !recorder->stop) {
		struct task *tasks = recorder->first;
		if(!tasks) {
			pthread_cond_wait(&recorder->work, &recorder->lock);
			continue;
		}
		recorder->first = NULL;
		recorder->end = &recorder->first;
		pthread_mutex_unlock(&recorder->lock);
		run_all(recorder, tasks);
		pthread_mutex_lock(&recorder->lock);
	}
	pthread_mutex_unlock(&recorder->lock);
	return NULL;
}

static void report(struct recorder *recorder) {
	pthread_mutex_lock(&recorder->lock);
	struct failure *failure = recorder->failures;
	recorder->failures = NULL;
	pthread_mutex_unlock(&recorder->lock);
	while(failure) {
		struct failure *next = failure->next;
		recorder->failed(recorder->ctx, &failure->about, failure->error);
		free(failure);
		failure = next;
	}
}

static void signalled(struct ev_io *io) {
	uint64_t count;
	struct recorder *recorder = container_of(io, struct recorder, io);
	if(read(io->fd, &count, sizeof(count)) > 0) {
		report(recorder);
	}
}

/* All signals are the loop's. */
static int start(struct recorder *recorder) {
	sigset_t all, before;
	if(recorder->started) {
		return 0;
	}
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	int result = fd < 0 ? -errno
			    : loop_add_level(recorder->loop, &recorder->io, fd, LOOP_IN, signalled);
	if(result) {
		return result;
	}
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int error = pthread_create(&recorder->thread, NULL, thread_main, recorder);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	recorder->started = error == 0;
	if(error) {
		loop_close_io(recorder->loop, &recorder->io);
	}
	return -error;
}

/* ---- callers ---- */

int recorder_open(struct recorder **out, struct loop *loop, recorder_failed_fn *failed, void *ctx) {
	struct recorder *recorder = calloc(1, sizeof(*recorder));
	*out = recorder;
	if(!recorder) {
		return -ENOMEM;
	}
	pthread_mutex_init(&recorder->lock, NULL);
	pthread_cond_init(&recorder->work, NULL);
	recorder->end = &recorder->first;
	recorder->loop = loop;
	recorder->failed = failed;
	recorder->ctx = ctx;
	return 0;
}

static struct recording **find(struct recorder *recorder, uint64_t id) {
	struct recording **at = &recorder->bucket[id % RECORD_BUCKETS];
	while(*at && (*at)->about.id != id) {
		at = &(*at)->next;
	}
	return at;
}

static struct task *task_new(struct recording *recording, enum task_kind kind, size_t len) {
	struct task *task = malloc(sizeof(*task) + len);
	if(task) {
		*task = (struct task){.recording = recording,
			.kind = kind,
			.t_ns = now_ns(CLOCK_MONOTONIC) - recording->begun_ns,
			.last = true,
			.len = len};
	}
	return task;
}

/* Hands the task over, unless that would exceed a limit or the recording has failed. */
static int enqueue(struct recorder *recorder, struct task *task) {
	struct recording *recording = task->recording;
	pthread_mutex_lock(&recorder->lock);
	int result = recording->failed;
	bool closes = task->kind == TASK_CLOSE;
	if(result == 0 && !closes &&
		(recording->queued + task->len > RECORD_QUEUE_MAX ||
			recorder->queued + task->len > RECORD_QUEUE_TOTAL)) {
		result = -ENOBUFS;
	}
	if(result == 0 || closes) {
		bool idle = !recorder->first;
		recording->queued += task->len;
		recorder->queued += task->len;
		*recorder->end = task;
		recorder->end = &task->next;
		if(idle) {
			pthread_cond_signal(&recorder->work);
		}
	}
	pthread_mutex_unlock(&recorder->lock);
	if(result && !closes) {
		free(task);
	}
	return result;
}

int recorder_begin(struct recorder *recorder, const char *template, enum record_format format,
	const struct record_about *about) {
	size_t size = strlen(template) + 1;
	struct recording *recording = calloc(1, sizeof(*recording) + size);
	int result = recording ? start(recorder) : -ENOMEM;
	if(result) {
		free(recording);
		return result;
	}
	recording->about = *about;
	recording->about.begun_ns = now_ns(CLOCK_REALTIME);
	recording->begun_ns = now_ns(CLOCK_MONOTONIC);
	recording->writer = record_writer_of(format);
	recording->file.fd = -1;
	memcpy(recording->template, template, size);
	struct task *task = task_new(recording, TASK_OPEN, 0);
	if(!task) {
		free(recording);
		return -ENOMEM;
	}
	enqueue(recorder, task); /* without data nothing is exceeded */
	struct recording **at = find(recorder, about->id);
	recording->next = *at;
	*at = recording;
	return 0;
}

/* Without memory for the last task the recording stays until the end of the process. */
static void finish(struct recorder *recorder, struct recording **at) {
	struct recording *recording = *at;
	*at = recording->next;
	struct task *task = task_new(recording, TASK_CLOSE, 0);
	if(task) {
		enqueue(recorder, task);
	}
}

int recorder_add(struct recorder *recorder, uint64_t id, const struct record_part *part) {
	struct recording **at = find(recorder, id);
	struct task *task = *at ? task_new(*at, TASK_PART, part->len) : NULL;
	int result = -ENOMEM;
	if(task) {
		task->from_client = part->from_client;
		task->last = part->last;
		task->opcode = part->opcode;
		if(part->len > 0) {
			memcpy(task->data, part->data, part->len);
		}
		result = enqueue(recorder, task);
	}
	if(result && *at) {
		finish(recorder, at);
	}
	return result;
}

void recorder_end(struct recorder *recorder, uint64_t id) {
	struct recording **at = find(recorder, id);
	if(*at) {
		finish(recorder, at);
	}
}

const char *recorder_error(int error) {
	return error == -ENOBUFS     ? "the disk is too slow"
		: error == -EEXIST   ? "too many files have this name"
		: error == -EMSGSIZE ? "a message is too large"
				     : strerror(-error);
}

void recorder_close(struct recorder *recorder) {
	if(!recorder) {
		return;
	}
	for(size_t i = 0; i < RECORD_BUCKETS; i++) {
		while(recorder->bucket[i]) {
			finish(recorder, &recorder->bucket[i]);
		}
	}
	if(recorder->started) {
		pthread_mutex_lock(&recorder->lock);
		recorder->stop = true;
		pthread_cond_signal(&recorder->work);
		pthread_mutex_unlock(&recorder->lock);
		pthread_join(recorder->thread, NULL);
		report(recorder);
		loop_close_io(recorder->loop, &recorder->io);
	}
	pthread_cond_destroy(&recorder->work);
	pthread_mutex_destroy(&recorder->lock);
	free(recorder);
}
