/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The thread that hashes passwords, and the requests that wait for it.
 *
 * Must not know: connections, requests, the format of the password file.
 * Invariants: the thread accesses only the queue and the list of results, under the lock, and the
 * task it has taken; it never logs, calls back or reads the users; callbacks run in the loop. Tasks
 * are wiped before they are freed. The queue is bounded and shared between addresses, see
 * login_queue.c.
 */
#include "http/verifier.h"

#include "base/list.h"
#include "base/passes.h"
#include "http/login_cache.h"
#include "http/login_cookie.h"
#include "http/login_limits.h"
#include "http/login_queue.h"

#include <assert.h>
#include <crypt.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include <nettle/hmac.h>
#include <nettle/memops.h>

#define KEY_SIZE LOGIN_CACHE_KEY

/* ---- the thread ---- */

/* One hash to be computed, for all requests with the same credentials. */
struct task {
	struct login_ticket ticket; /* in `queue` until the thread takes it */
	struct list done; /* in verifier->done */
	struct list link; /* in verifier->tasks; only for the loop, as `jobs` */
	struct list jobs; /* requests that wait for it; none: all have been cancelled */
	struct verifier *verifier;
	uint64_t generation; /* of the users */
	bool known; /* the user exists; otherwise `hash` is of another user and the result DENIED */
	enum verifier_result result;
	uint8_t key[KEY_SIZE]; /* of the credentials */
	char hash[PASSWORDS_HASH_MAX];
	char password[BASIC_PASSWORD_MAX + 1];
};

/* A request that waits. */
struct verifier_job {
	struct list link; /* in task->jobs */
	struct task *task;
	struct login_source source;
	verifier_fn *fn;
	void *ctx;
};

struct verifier {
	struct loop *loop;
	const struct passwords *users;
	struct login_limits *limits;
	struct verifier_shared shared; /* zero: nothing is */
	uint64_t generation;
	struct login_cache cache;
	uint8_t secret[KEY_SIZE]; /* random; keys are HMACs under it */
	uint8_t cookie_key[LOGIN_COOKIE_KEY]; /* random */
	struct list tasks; /* all that have not been reported */
	struct ev_io io; /* an eventfd, signalled by the thread for `done` */
	pthread_t thread;
	pthread_mutex_t lock; /* of the fields below, and of the links of tasks in them */
	pthread_cond_t work;
	struct login_queue queue;
	struct list done;
	bool stop;
	struct crypt_data data; /* only for the thread */
};

static void task_wipe(struct task *task) {
	explicit_bzero(task, sizeof(*task));
	free(task);
}

static void task_free(struct task *task) {
	list_remove(&task->link);
	task_wipe(task);
}

/* Without the lock. Compares in constant time. */
static enum verifier_result verify(struct crypt_data *data, const struct task *task) {
	size_t len = strlen(task->hash);
	const char *hash = crypt_r(task->password, task->hash, data);
	enum verifier_result result = VERIFIER_DENIED;
	if(!hash || hash[0] == '*') {
		result = VERIFIER_BROKEN;
	} else {
		bool equal = strlen(hash) == len && memeql_sec(hash, task->hash, len);
		result = equal && task->known ? VERIFIER_GRANTED : VERIFIER_DENIED;
	}
	explicit_bzero(data, sizeof(*data));
	return result;
}

static void *thread_main(void *ctx) {
	struct verifier *verifier = ctx;
	static const uint64_t one = 1;
	pthread_mutex_lock(&verifier->lock);
	while(!verifier->stop) {
		struct login_ticket *ticket = login_queue_take(&verifier->queue);
		if(!ticket) {
			pthread_cond_wait(&verifier->work, &verifier->lock);
			continue;
		}
		struct task *task = container_of(ticket, struct task, ticket);
		pthread_mutex_unlock(&verifier->lock);
		enum verifier_result result = verify(&verifier->data, task);
		pthread_mutex_lock(&verifier->lock);
		task->result = result;
		list_append(&verifier->done, &task->done);
		/* Fails only if the counter is at its maximum; the loop is woken then anyway. */
		ssize_t written = write(verifier->io.fd, &one, sizeof(one));
		(void)written;
	}
	pthread_mutex_unlock(&verifier->lock);
	return NULL;
}

/* ---- the loop's side ---- */

/* Neither part contains a NUL, so different credentials are different input. */
static void make_key(const struct verifier *verifier, const struct basic_credentials *credentials,
	uint8_t out[KEY_SIZE]) {
	struct hmac_sha256_ctx hmac;
	hmac_sha256_set_key(&hmac, sizeof(verifier->secret), verifier->secret);
	hmac_sha256_update(
		&hmac, strlen(credentials->user) + 1, (const uint8_t *)credentials->user);
	hmac_sha256_update(
		&hmac, strlen(credentials->password), (const uint8_t *)credentials->password);
	hmac_sha256_digest(&hmac, KEY_SIZE, out);
	explicit_bzero(&hmac, sizeof(hmac));
}

/*
 * Failures count even if the client has left before the answer. Equal guesses from one address are
 * one failure.
 */
static void note_result(struct verifier *verifier, const struct task *task) {
	const struct login_source *first = &task->ticket.source;
	uint64_t now_ms = verifier->loop->now_ms;
	if(task->result == VERIFIER_DENIED) {
		login_limits_failed(verifier->limits, first, now_ms);
	}
	if(task->result != VERIFIER_GRANTED) {
		return;
	}
	login_cache_put(&verifier->cache, task->key, now_ms);
	for(const struct list *at = task->jobs.next; at != &task->jobs; at = at->next) {
		const struct verifier_job *job =
			container_of((uintptr_t)at, struct verifier_job, link);
		login_limits_succeeded(verifier->limits, &job->source, now_ms);
	}
}

/* The first of the waiting requests leaves the list. NULL: there is none. */
static struct verifier_job *take_job(struct list *jobs) {
	if(list_is_empty(jobs)) {
		return NULL;
	}
	struct verifier_job *job = container_of(jobs->next, struct verifier_job, link);
	list_remove(&job->link);
	return job;
}

/* Callbacks may cancel other jobs of the task and start new ones, which get a task of their own. */
static void task_finished(struct verifier *verifier, struct task *task) {
	struct verifier_job *job;
	bool stale = task->generation != verifier->generation;
	if(stale) {
		task->result = VERIFIER_STALE;
	}
	note_result(verifier, task);
	task->generation = 0; /* none: no further request joins it */
	while((job = take_job(&task->jobs))) {
		verifier_fn *fn = job->fn;
		void *ctx = job->ctx;
		free(job);
		fn(ctx, task->result);
	}
	task_free(task);
}

/* The tasks that are done now. The thread wakes the loop again for those it finishes meanwhile. */
static void collect(struct ev_io *io) {
	struct verifier *verifier = container_of(io, struct verifier, io);
	struct list batch;
	uint64_t count;
	/* Resets the counter, whose value does not matter. */
	ssize_t got = RETRY_INTERRUPTED(read(io->fd, &count, sizeof(count)));
	(void)got;
	loop_used_up(io, LOOP_IN);
	pthread_mutex_lock(&verifier->lock);
	list_take(&batch, &verifier->done);
	pthread_mutex_unlock(&verifier->lock);
	while(!list_is_empty(&batch)) {
		struct task *task = container_of(batch.next, struct task, done);
		list_remove(&task->done);
		task_finished(verifier, task);
	}
}

/*
 * An unknown user gets the hash of another user, always the same one, so that the time does not
 * tell.
 */
static const char *choose_hash(struct verifier *verifier, const char *name, bool *known) {
	const struct passwords *users = verifier->users;
	const char *hash = passwords_find_hash(users, name);
	struct basic_credentials nameless = {0};
	uint8_t digest[KEY_SIZE];
	uint64_t number;
	*known = hash != NULL;
	if(hash) {
		return hash;
	}
	snprintf(nameless.user, sizeof(nameless.user), "%s", name);
	make_key(verifier, &nameless, digest);
	memcpy(&number, digest, sizeof(number));
	return passwords_hash_at(users, number % passwords_count(users));
}

/* A browser that opens several connections at once sends the same credentials repeatedly. */
static struct task *find_equal(struct verifier *verifier, const uint8_t key[KEY_SIZE]) {
	for(struct list *at = verifier->tasks.next; at != &verifier->tasks; at = at->next) {
		struct task *task = container_of(at, struct task, link);
		if(task->generation == verifier->generation &&
			memeql_sec(task->key, key, KEY_SIZE)) {
			return task;
		}
	}
	return NULL;
}

/* Queues a task, which is freed on failure. 0, -EDQUOT or -EBUSY. */
static int task_enqueue(struct verifier *verifier, struct task *task) {
	pthread_mutex_lock(&verifier->lock);
	int result = login_queue_put(&verifier->queue, &task->ticket);
	if(result == 0) {
		pthread_cond_signal(&verifier->work);
	}
	pthread_mutex_unlock(&verifier->lock);
	if(result) {
		task_free(task);
	}
	return result;
}

static int task_new(struct verifier *verifier, struct verifier_request *request,
	const struct login_source *source, struct task **out) {
	const struct basic_credentials *credentials = request->credentials;
	uint64_t now_ms = verifier->loop->now_ms;
	bool known;
	const char *hash = choose_hash(verifier, credentials->user, &known);
	if(strlen(credentials->password) > passwords_hash_limit(hash)) {
		return -E2BIG;
	}
	uint64_t delay_ms = login_limits_delay(verifier->limits, source, now_ms);
	if(delay_ms > 0) {
		request->retry_s = (unsigned)((delay_ms + 999) / 1000);
		return -EAGAIN;
	}
	struct task *task = calloc(1, sizeof(*task));
	if(!task) {
		return -ENOMEM;
	}
	task->verifier = verifier;
	task->generation = verifier->generation;
	task->known = known;
	task->ticket.source = *source;
	task->ticket.known = login_limits_known(verifier->limits, source, now_ms);
	list_init(&task->jobs);
	list_append(&verifier->tasks, &task->link);
	snprintf(task->hash, sizeof(task->hash), "%s", hash);
	memcpy(task->password, credentials->password, sizeof(task->password));
	make_key(verifier, credentials, task->key);
	*out = task;
	return task_enqueue(verifier, task);
}

int verifier_check(
	struct verifier *verifier, struct verifier_request *request, struct verifier_job **out) {
	uint8_t key[KEY_SIZE];
	int result = 0;
	assert(verifier->users);
	request->retry_s = VERIFIER_RETRY_S;
	if(passwords_count(verifier->users) == 0) {
		return -EACCES;
	}
	make_key(verifier, request->credentials, key);
	if(login_cache_has(&verifier->cache, key, verifier->loop->now_ms)) {
		return 0;
	}
	struct verifier_job *job = calloc(1, sizeof(*job));
	if(!job) {
		return -ENOMEM;
	}
	login_limits_identify(
		verifier->limits, request->address, request->credentials->user, &job->source);
	job->fn = request->fn;
	job->ctx = request->ctx;
	job->task = find_equal(verifier, key);
	if(!job->task) {
		result = task_new(verifier, request, &job->source, &job->task);
	}
	if(result) {
		free(job);
		return result;
	}
	list_append(&job->task->jobs, &job->link);
	*out = job;
	return -EINPROGRESS;
}

void verifier_cancel(struct verifier_job *job) {
	if(!job) {
		return;
	}
	struct task *task = job->task;
	struct verifier *verifier = task->verifier;
	list_remove(&job->link);
	free(job);
	if(!list_is_empty(&task->jobs)) {
		return;
	}
	pthread_mutex_lock(&verifier->lock);
	bool queued = list_is_linked(&task->ticket.link);
	if(queued) {
		login_queue_remove(&verifier->queue, &task->ticket);
	}
	pthread_mutex_unlock(&verifier->lock);
	if(queued) {
		task_free(task);
	}
}

void verifier_set_passwords(struct verifier *verifier, const struct passwords *users) {
	verifier->users = users;
	verifier->generation++;
	explicit_bzero(&verifier->cache, sizeof(verifier->cache));
}

const struct passwords *verifier_get_passwords(const struct verifier *verifier) {
	return verifier ? verifier->users : NULL;
}

const uint8_t *verifier_cookie_key(const struct verifier *verifier) {
	return verifier->shared.cookie_key ? verifier->shared.cookie_key : verifier->cookie_key;
}

/* Signals are handled by the loop, so the thread inherits a mask that blocks all. */
static int start_thread(struct verifier *verifier) {
	sigset_t all;
	sigset_t before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int error = pthread_create(&verifier->thread, NULL, thread_main, verifier);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -error;
}

static int draw_keys(struct verifier *verifier) {
	bool drawn = getentropy(verifier->secret, sizeof(verifier->secret)) == 0 &&
		getentropy(verifier->cookie_key, sizeof(verifier->cookie_key)) == 0;
	return drawn ? 0 : -errno;
}

int verifier_open(struct verifier **out, struct loop *loop, const struct verifier_shared *shared) {
	struct verifier *verifier = calloc(1, sizeof(*verifier));
	if(!verifier) {
		return -ENOMEM;
	}
	verifier->loop = loop;
	login_queue_init(&verifier->queue);
	list_init(&verifier->done);
	list_init(&verifier->tasks);
	pthread_mutex_init(&verifier->lock, NULL);
	pthread_cond_init(&verifier->work, NULL);
	int result = draw_keys(verifier);
	if(shared) {
		verifier->shared = *shared;
		verifier->limits = shared->limits;
	} else if(result == 0) {
		result = login_limits_open(&verifier->limits);
	}
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if(result == 0 && fd < 0) {
		result = -errno;
	}
	if(result) {
		goto fail;
	}
	result = loop_add(loop, &verifier->io, fd, 0, LOOP_IN, collect);
	if(result) {
		goto fail;
	}
	result = start_thread(verifier);
	if(result) {
		loop_remove(loop, &verifier->io);
		goto fail;
	}
	*out = verifier;
	return 0;
fail:
	if(fd >= 0) {
		close(fd);
	}
	login_limits_close(verifier->shared.limits ? NULL : verifier->limits);
	pthread_cond_destroy(&verifier->work);
	pthread_mutex_destroy(&verifier->lock);
	free(verifier);
	return result;
}

void verifier_close(struct verifier *verifier) {
	if(!verifier) {
		return;
	}
	pthread_mutex_lock(&verifier->lock);
	verifier->stop = true;
	pthread_cond_signal(&verifier->work);
	pthread_mutex_unlock(&verifier->lock);
	pthread_join(verifier->thread, NULL);
	for(struct list *link = verifier->tasks.next; link != &verifier->tasks;) {
		struct task *task = container_of(link, struct task, link);
		link = link->next;
		task_wipe(task); /* the list ends with it */
	}
	login_limits_close(verifier->shared.limits ? NULL : verifier->limits);
	loop_close_io(verifier->loop, &verifier->io);
	pthread_cond_destroy(&verifier->work);
	pthread_mutex_destroy(&verifier->lock);
	explicit_bzero(verifier, sizeof(*verifier));
	free(verifier);
}
