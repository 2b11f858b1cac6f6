/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The thread that hashes passwords, its queue, and the cache of verified credentials.
 *
 * Must not know: connections, requests, the format of the password file.
 * Invariants: the thread accesses only the lists, under the lock, and the job it has taken; it
 * never logs, calls back or reads the users; callbacks run in the loop. Jobs are wiped before they
 * are freed. At most VERIFIER_QUEUE_MAX of them wait, so the delay that a flood of requests causes
 * is bounded; further ones are rejected.
 */
#include "http/verifier.h"

#include "base/list.h"
#include "base/passes.h"

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

#define KEY_SIZE SHA256_DIGEST_SIZE

/* ---- the thread ---- */

struct verifier_job {
	struct list link; /* in `queue` or `done` */
	struct verifier *verifier;
	verifier_fn *fn; /* only for the loop; NULL: cancelled */
	void *ctx;
	uint64_t generation; /* of the users */
	bool queued; /* the thread has not taken it yet */
	bool known; /* the user exists; otherwise `hash` is of another user and the result DENIED */
	enum verifier_result result;
	uint8_t key[KEY_SIZE]; /* of the credentials */
	char hash[PASSWORDS_HASH_MAX];
	char password[BASIC_PASSWORD_MAX + 1];
};

struct cached {
	uint64_t until_ms; /* 0: empty */
	uint8_t key[KEY_SIZE];
};

struct verifier {
	struct loop *loop;
	const struct passwords *users;
	uint64_t generation;
	struct cached cache[VERIFIER_CACHE_MAX];
	uint8_t secret[KEY_SIZE]; /* random; keys are HMACs under it */
	struct ev_io io; /* an eventfd, signalled by the thread for `done` */
	pthread_t thread;
	pthread_mutex_t lock; /* of the fields below, and of the links of the jobs */
	pthread_cond_t work;
	struct list queue;
	struct list done;
	size_t queued;
	bool stop;
	struct crypt_data data; /* only for the thread */
};

static struct verifier_job *job_of(struct list *link) {
	return container_of(link, struct verifier_job, link);
}

static void job_free(struct verifier_job *job) {
	explicit_bzero(job, sizeof(*job));
	free(job);
}

/* Under the lock: removes and returns the first job of a list, or NULL. */
static struct verifier_job *take_first(struct list *list) {
	if(list->next == list) {
		return NULL;
	}
	struct verifier_job *job = job_of(list->next);
	list_remove(&job->link);
	return job;
}

/* Without the lock. Compares in constant time. */
static enum verifier_result verify(struct crypt_data *data, const struct verifier_job *job) {
	size_t len = strlen(job->hash);
	const char *hash = crypt_r(job->password, job->hash, data);
	enum verifier_result result = VERIFIER_DENIED;
	if(!hash || hash[0] == '*') {
		result = VERIFIER_BROKEN;
	} else {
		bool equal = strlen(hash) == len && memeql_sec(hash, job->hash, len);
		result = equal && job->known ? VERIFIER_GRANTED : VERIFIER_DENIED;
	}
	explicit_bzero(data, sizeof(*data));
	return result;
}

/*
 * Under the lock. A browser that opens several connections at once queues the same credentials
 * repeatedly.
 */
static void finish_equal(struct verifier *verifier, const struct verifier_job *job) {
	for(struct list *at = verifier->queue.next; at != &verifier->queue;) {
		struct verifier_job *other = job_of(at);
		at = at->next;
		if(other->generation == job->generation &&
			memeql_sec(other->key, job->key, sizeof(job->key))) {
			list_remove(&other->link);
			other->queued = false;
			other->result = job->result;
			verifier->queued--;
			list_append(&verifier->done, &other->link);
		}
	}
}

static void *thread_main(void *ctx) {
	struct verifier *verifier = ctx;
	static const uint64_t one = 1;
	pthread_mutex_lock(&verifier->lock);
	while(!verifier->stop) {
		struct verifier_job *job = take_first(&verifier->queue);
		if(!job) {
			pthread_cond_wait(&verifier->work, &verifier->lock);
			continue;
		}
		verifier->queued--;
		job->queued = false;
		pthread_mutex_unlock(&verifier->lock);
		enum verifier_result result = verify(&verifier->data, job);
		pthread_mutex_lock(&verifier->lock);
		job->result = result;
		list_append(&verifier->done, &job->link);
		finish_equal(verifier, job);
		/* Fails only if the counter is at its maximum; the loop is woken then anyway. */
		ssize_t written = write(verifier->io.fd, &one, sizeof(one));
		(void)written;
	}
	pthread_mutex_unlock(&verifier->lock);
	return NULL;
}

/* ---- cache ---- */

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

static bool cache_has(const struct verifier *verifier, const uint8_t key[KEY_SIZE]) {
	bool found = false;
	for(size_t i = 0; i < VERIFIER_CACHE_MAX; i++) {
		const struct cached *at = &verifier->cache[i];
		found |=
			at->until_ms > verifier->loop->now_ms && memeql_sec(at->key, key, KEY_SIZE);
	}
	return found;
}

/* Replaces the entry with the same key, or the one that expires first. */
static void cache_put(struct verifier *verifier, const uint8_t key[KEY_SIZE]) {
	struct cached *place = &verifier->cache[0];
	for(size_t i = 0; i < VERIFIER_CACHE_MAX; i++) {
		struct cached *at = &verifier->cache[i];
		if(memeql_sec(at->key, key, KEY_SIZE)) {
			place = at;
			break;
		}
		if(at->until_ms < place->until_ms) {
			place = at;
		}
	}
	memcpy(place->key, key, KEY_SIZE);
	place->until_ms = verifier->loop->now_ms + VERIFIER_CACHE_MS;
}

/* ---- the loop's side ---- */

static void job_finished(struct verifier *verifier, struct verifier_job *job) {
	verifier_fn *fn = job->fn;
	void *ctx = job->ctx;
	enum verifier_result result =
		job->generation == verifier->generation ? job->result : VERIFIER_STALE;
	if(result == VERIFIER_GRANTED) {
		cache_put(verifier, job->key);
	}
	job_free(job);
	if(fn) {
		fn(ctx, result);
	}
}

/* The jobs that are done now. The thread wakes the loop again for those it finishes meanwhile. */
static void collect(struct ev_io *io) {
	struct verifier *verifier = container_of(io, struct verifier, io);
	struct verifier_job *job;
	struct list batch;
	uint64_t count;
	/* Resets the counter, whose value does not matter. */
	ssize_t got = RETRY_INTERRUPTED(read(io->fd, &count, sizeof(count)));
	(void)got;
	loop_used_up(io, LOOP_IN);
	list_init(&batch);
	pthread_mutex_lock(&verifier->lock);
	while((job = take_first(&verifier->done))) {
		list_append(&batch, &job->link);
	}
	pthread_mutex_unlock(&verifier->lock);
	while((job = take_first(&batch))) {
		job_finished(verifier, job);
	}
}

/*
 * An unknown user gets the hash of another user, always the same one, so that the time does not
 * tell.
 */
static void job_set_hash(struct verifier_job *job, const char *name) {
	const struct passwords *users = job->verifier->users;
	const char *hash = passwords_find_hash(users, name);
	struct basic_credentials nameless = {0};
	uint8_t digest[KEY_SIZE];
	uint64_t number;
	snprintf(nameless.user, sizeof(nameless.user), "%s", name);
	make_key(job->verifier, &nameless, digest);
	memcpy(&number, digest, sizeof(number));
	job->known = hash != NULL;
	if(!hash) {
		hash = passwords_hash_at(users, number % passwords_count(users));
	}
	snprintf(job->hash, sizeof(job->hash), "%s", hash);
}

static struct verifier_job *job_new(
	struct verifier *verifier, const struct basic_credentials *credentials) {
	struct verifier_job *job = calloc(1, sizeof(*job));
	if(job) {
		job->verifier = verifier;
		job->generation = verifier->generation;
		job->queued = true;
		job_set_hash(job, credentials->user);
		memcpy(job->password, credentials->password, sizeof(job->password));
	}
	return job;
}

/* False: the queue is full. */
static bool job_enqueue(struct verifier *verifier, struct verifier_job *job) {
	pthread_mutex_lock(&verifier->lock);
	bool room = verifier->queued < VERIFIER_QUEUE_MAX;
	if(room) {
		list_append(&verifier->queue, &job->link);
		verifier->queued++;
		pthread_cond_signal(&verifier->work);
	}
	pthread_mutex_unlock(&verifier->lock);
	return room;
}

int verifier_check(struct verifier *verifier, const struct basic_credentials *credentials,
	verifier_fn *fn, void *ctx, struct verifier_job **out) {
	uint8_t key[KEY_SIZE];
	assert(verifier->users);
	if(passwords_count(verifier->users) == 0) {
		return -EACCES;
	}
	make_key(verifier, credentials, key);
	if(cache_has(verifier, key)) {
		return 0;
	}
	struct verifier_job *job = job_new(verifier, credentials);
	if(!job) {
		return -ENOMEM;
	}
	memcpy(job->key, key, sizeof(key));
	job->fn = fn;
	job->ctx = ctx;
	if(!job_enqueue(verifier, job)) {
		job_free(job);
		return -EBUSY;
	}
	*out = job;
	return -EINPROGRESS;
}

void verifier_cancel(struct verifier_job *job) {
	if(!job) {
		return;
	}
	struct verifier *verifier = job->verifier;
	pthread_mutex_lock(&verifier->lock);
	bool queued = job->queued;
	if(queued) {
		list_remove(&job->link);
		verifier->queued--;
	}
	pthread_mutex_unlock(&verifier->lock);
	job->fn = NULL;
	if(queued) {
		job_free(job);
	}
}

void verifier_set_passwords(struct verifier *verifier, const struct passwords *users) {
	verifier->users = users;
	verifier->generation++;
	explicit_bzero(verifier->cache, sizeof(verifier->cache));
}

const struct passwords *verifier_get_passwords(const struct verifier *verifier) {
	return verifier ? verifier->users : NULL;
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

int verifier_open(struct verifier **out, struct loop *loop) {
	struct verifier *verifier = calloc(1, sizeof(*verifier));
	if(!verifier) {
		return -ENOMEM;
	}
	verifier->loop = loop;
	list_init(&verifier->queue);
	list_init(&verifier->done);
	pthread_mutex_init(&verifier->lock, NULL);
	pthread_cond_init(&verifier->work, NULL);
	int result = getentropy(verifier->secret, sizeof(verifier->secret)) < 0 ? -errno : 0;
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
	pthread_cond_destroy(&verifier->work);
	pthread_mutex_destroy(&verifier->lock);
	free(verifier);
	return result;
}

static void free_all(struct list *list) {
	for(struct list *at = list->next; at != list;) {
		struct verifier_job *job = job_of(at);
		at = at->next;
		job_free(job);
	}
	list_init(list);
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
	free_all(&verifier->queue);
	free_all(&verifier->done);
	loop_close_io(verifier->loop, &verifier->io);
	pthread_cond_destroy(&verifier->work);
	pthread_mutex_destroy(&verifier->lock);
	explicit_bzero(verifier, sizeof(*verifier));
	free(verifier);
}
