/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Passwords: the file, the credentials of a request, and the thread that hashes.
 *
 * Must not know: connections, HTTP beyond the value of one field.
 * Invariants: the thread touches only the lists, under the lock, and the job it has taken; it never logs, calls
 * back or sees the users; callbacks run in the loop. Jobs are wiped before their memory is given back. At
 * most AUTH_QUEUE_MAX of them wait, so a flood costs a bounded time and is told so.
 * Implements RFC 7617 section 2.
 */
#include "http/auth.h"

#include "base/passes.h"
#include "base/utf8.h"

#include <assert.h>
#include <crypt.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nettle/base64.h>
#include <nettle/hmac.h>
#include <nettle/memops.h>

#define AUTH_HASH_MAX 256 /* of the accepted kinds, parameters and NUL included */
#define AUTH_KEY_SIZE SHA256_DIGEST_SIZE
/* crypt(5): below, and with longer salts, no password would ever be right. */
#define AUTH_SHA_ROUNDS_MIN 1000
#define AUTH_SHA_SALT_MAX 16
#define AUTH_YESCRYPT_PARAMETERS 3 /* flags, cost and block size, a character each */
/* Dearer hashes would take longer than a client waits, and a stop waits for the one that runs. */
#define AUTH_BCRYPT_COST_MAX 15
#define AUTH_SHA_ROUNDS_MAX 10000000
#define AUTH_YESCRYPT_COST_MAX 'C' /* 8 as mkpasswd(1) counts */

struct user {
	const char *name; /* in the text of the file */
	const char *hash;
	size_t line;
};

struct auth_users {
	char *text;
	size_t count;
	struct user *user; /* sorted by name */
};

/* ---- the password file ---- */

static const char crypt_alphabet[] =
	"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

static const char too_dear[] = "the hash takes too long to compute (use a lower cost)";

static bool is_digit(char c) {
	return c >= '0' && c <= '9';
}

/* "$2y$NN$" and 53 characters of salt and hash. */
static const char *check_bcrypt(const char *hash) {
	if(strlen(hash) != 60 || !is_digit(hash[4]) || !is_digit(hash[5]) || hash[6] != '$' ||
		strspn(hash + 7, crypt_alphabet) != 53) {
		return "this bcrypt hash is not complete";
	}
	int cost = (hash[4] - '0') * 10 + (hash[5] - '0');
	if(cost < 4 || cost > 31) {
		return "there is no such cost of a bcrypt hash";
	}
	return cost > AUTH_BCRYPT_COST_MAX ? too_dear : NULL;
}

/* Does the last segment have so many characters, and something in front of it? */
static bool ends_in(const char *hash, size_t prefix, size_t len) {
	const char *last = strrchr(hash, '$');
	return last >= hash + prefix && strlen(last + 1) == len &&
		strspn(last + 1, crypt_alphabet) == len;
}

/* Steps over "rounds=N$". NULL, or what is wrong with it. */
static const char *check_rounds(const char **at) {
	static const char start[] = "rounds=";
	if(strncmp(*at, start, strlen(start)) != 0) {
		return NULL;
	}
	const char *digits = *at + strlen(start);
	char *end;
	unsigned long rounds = is_digit(*digits) ? strtoul(digits, &end, 10) : 0;
	if(*digits == '0' || rounds < AUTH_SHA_ROUNDS_MIN || *end != '$') {
		return "there is no such number of rounds of a SHA hash";
	}
	*at = end + 1;
	return rounds > AUTH_SHA_ROUNDS_MAX ? too_dear : NULL;
}

/* "$6$", perhaps "rounds=N$", "SALT$" and the hash. */
static const char *check_sha(const char *hash, size_t len) {
	const char *salt = hash + 3;
	if(!ends_in(hash, 3, len)) {
		return "this SHA hash is not complete";
	}
	const char *wrong = check_rounds(&salt);
	if(wrong) {
		return wrong;
	}
	size_t salt_len = strcspn(salt, "$");
	bool fits = salt_len <= AUTH_SHA_SALT_MAX && salt + salt_len == strrchr(hash, '$');
	return fits ? NULL : "the salt of this SHA hash is malformed";
}

static const char *check_sha512(const char *hash) {
	return check_sha(hash, 86);
}

static const char *check_sha256(const char *hash) {
	return check_sha(hash, 43);
}

/* "$y$j" and parameters, of which the first is the cost, "$SALT$" and the hash. */
static const char *check_yescrypt(const char *hash) {
	if(!ends_in(hash, 6, 43)) {
		return "this yescrypt hash is not complete";
	}
	if(hash[3] != 'j' || strcspn(hash + 3, "$") != AUTH_YESCRYPT_PARAMETERS) {
		return "this yescrypt hash has other parameters than mkpasswd writes";
	}
	const char *cost = strchr(crypt_alphabet, hash[4]);
	const char *most = strchr(crypt_alphabet, AUTH_YESCRYPT_COST_MAX);
	return !cost ? "this yescrypt hash is malformed" : cost > most ? too_dear : NULL;
}

static const struct {
	const char *prefix;
	const char *(*check)(const char *hash); /* NULL, or what is wrong with it */
} hash_kinds[] = {
	{"$2a$", check_bcrypt},
	{"$2y$", check_bcrypt},
	{"$2b$", check_bcrypt},
	{"$6$", check_sha512},
	{"$5$", check_sha256},
	{"$y$", check_yescrypt},
};

/* Old and cheap kinds are another matter than those that it cannot read. */
static bool is_taken(const char *hash) {
	int result = crypt_checksalt(hash);
	return result != CRYPT_SALT_INVALID && result != CRYPT_SALT_METHOD_DISABLED;
}

static const char *check_hash(const char *hash) {
	if(strlen(hash) >= AUTH_HASH_MAX) {
		return "the hash is too long";
	}
	for(size_t i = 0; i < sizeof(hash_kinds) / sizeof(hash_kinds[0]); i++) {
		const char *prefix = hash_kinds[i].prefix;
		if(strncmp(hash, prefix, strlen(prefix)) == 0) {
			const char *wrong = hash_kinds[i].check(hash);
			return wrong || is_taken(hash) ? wrong : "crypt(3) does not take this hash";
		}
	}
	return "unknown kind of hash (use bcrypt, sha512, sha256 or yescrypt: htpasswd -B, "
	       "mkpasswd)";
}

/* RFC 7617, section 2: neither has control characters. */
static bool is_text(const char *text, size_t len) {
	for(size_t i = 0; i < len; i++) {
		if((unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
			return false;
		}
	}
	return utf8_valid((const uint8_t *)text, len);
}

/* A line without its end, cut into `user`. NULL, or what is wrong with it. */
static const char *read_user(char *line, struct user *user) {
	char *colon = strchr(line, ':');
	if(!colon) {
		return "there is no colon (lines are name:hash)";
	}
	*colon = '\0';
	size_t len = (size_t)(colon - line);
	if(len == 0 || len > AUTH_USER_MAX || !is_text(line, len)) {
		return "the user's name is empty, too long or no UTF-8 text";
	}
	user->name = line;
	user->hash = colon + 1;
	return check_hash(user->hash);
}

static int compare_users(const void *a, const void *b) {
	const struct user *left = a;
	const struct user *right = b;
	int order = strcmp(left->name, right->name);
	return order ? order : (left->line > right->line) - (left->line < right->line);
}

static const struct user *find_user(const struct auth_users *users, const char *name) {
	size_t low = 0;
	size_t high = users->count;
	while(low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(name, users->user[middle].name);
		if(order == 0) {
			return &users->user[middle];
		}
		if(order < 0) {
			high = middle;
		} else {
			low = middle + 1;
		}
	}
	return NULL;
}

static int users_fail(char error[AUTH_ERROR_MAX], const char *path, size_t line, const char *why) {
	snprintf(error, AUTH_ERROR_MAX, "%.300s:%zu: %s", path, line, why);
	return -EINVAL;
}

static int users_check_twice(
	const struct auth_users *users, const char *path, char error[AUTH_ERROR_MAX]) {
	for(size_t i = 1; i < users->count; i++) {
		if(strcmp(users->user[i - 1].name, users->user[i].name) == 0) {
			return users_fail(error, path, users->user[i].line,
				"this user has been named on an earlier line");
		}
	}
	return 0;
}

/* Cuts users->text into users, for which there is room. */
static int users_split(struct auth_users *users, const char *path, char error[AUTH_ERROR_MAX]) {
	char *rest = users->text;
	char *line;
	for(size_t number = 1; (line = strsep(&rest, "\n")) != NULL; number++) {
		size_t len = strlen(line);
		while(len > 0 && strchr(" \t\r", line[len - 1])) {
			line[--len] = '\0';
		}
		if(len == 0 || line[0] == '#') {
			continue;
		}
		struct user *user = &users->user[users->count];
		const char *why = read_user(line, user);
		if(why) {
			return users_fail(error, path, number, why);
		}
		user->line = number;
		users->count++;
	}
	qsort(users->user, users->count, sizeof(*users->user), compare_users);
	return users_check_twice(users, path, error);
}

int auth_users_parse(const char *path, const char *text, size_t len, struct auth_users **out,
	char error[AUTH_ERROR_MAX]) {
	size_t lines = 1;
	for(size_t i = 0; i < len; i++) {
		lines += text[i] == '\n';
		if(text[i] == '\0') {
			return users_fail(error, path, lines, "this is no text");
		}
	}
	struct auth_users *users = calloc(1, sizeof(*users));
	int result = -ENOMEM;
	if(!users) {
		goto fail;
	}
	users->text = strndup(text, len);
	users->user = calloc(lines, sizeof(*users->user));
	if(!users->text || !users->user) {
		goto fail;
	}
	result = users_split(users, path, error);
	if(result) {
		goto fail;
	}
	*out = users;
	return 0;
fail:
	if(result == -ENOMEM) {
		snprintf(error, AUTH_ERROR_MAX, "%.300s: out of memory", path);
	}
	auth_users_free(users);
	return result;
}

/* The file's content in `*out` (the caller's). Length or negative errno. */
static ssize_t read_regular(int fd, char **out) {
	struct stat status;
	size_t used = 0;
	ssize_t got;
	*out = NULL;
	if(fstat(fd, &status) < 0) {
		return -errno;
	}
	if(!S_ISREG(status.st_mode)) {
		return S_ISDIR(status.st_mode) ? -EISDIR : -EINVAL;
	}
	*out = malloc(AUTH_FILE_MAX + 1);
	if(!*out) {
		return -ENOMEM;
	}
	do {
		got = RETRY_INTERRUPTED(read(fd, *out + used, AUTH_FILE_MAX + 1 - used));
		used += got > 0 ? (size_t)got : 0;
	} while(got > 0);
	if(got < 0) {
		return -errno;
	}
	return used > AUTH_FILE_MAX ? -EFBIG : (ssize_t)used;
}

int auth_users_read(const char *path, struct auth_users **out, char error[AUTH_ERROR_MAX]) {
	char *text = NULL;
	/* Opening a fifo must not wait for its writer. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	ssize_t len = fd < 0 ? -errno : read_regular(fd, &text);
	int result = (int)len;
	if(fd >= 0) {
		close(fd);
	}
	if(len >= 0 && text) {
		result = auth_users_parse(path, text, (size_t)len, out, error);
	} else {
		snprintf(error, AUTH_ERROR_MAX, "%.300s: %s", path,
			result == -EINVAL ? "this is no regular file" : strerror(-result));
	}
	free(text);
	return result;
}

size_t auth_users_count(const struct auth_users *users) {
	return users->count;
}

bool auth_users_has(const struct auth_users *users, const char *name) {
	return find_user(users, name) != NULL;
}

void auth_users_free(struct auth_users *users) {
	if(users) {
		free(users->text);
		free(users->user);
		free(users);
	}
}

/* ---- the credentials of a request ---- */

/* The decoder forgives white space; the grammar (token68) does not. */
static bool is_base64(const char *text, size_t len) {
	size_t padding = 0;
	while(padding < len && padding < 2 && text[len - 1 - padding] == '=') {
		padding++;
	}
	for(size_t i = 0; i < len - padding; i++) {
		char c = text[i];
		if(!is_digit(c) && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && c != '+' &&
			c != '/') {
			return false;
		}
	}
	return len > 0;
}

/* The name ends at the first colon; the password may have others. */
static int split_credentials(const char *text, size_t len, struct auth_credentials *out) {
	const char *colon = memchr(text, ':', len);
	if(!colon) {
		return -EINVAL;
	}
	size_t user = (size_t)(colon - text);
	size_t password = len - user - 1;
	if(user > AUTH_USER_MAX || password > AUTH_PASSWORD_MAX || !is_text(text, user) ||
		!is_text(colon + 1, password)) {
		return -EINVAL;
	}
	memcpy(out->user, text, user);
	memcpy(out->password, colon + 1, password);
	return 0;
}

int auth_parse_basic(const char *value, size_t len, struct auth_credentials *out) {
	static const char scheme[] = "Basic";
	const size_t scheme_len = sizeof(scheme) - 1;
	uint8_t text[BASE64_DECODE_LENGTH(BASE64_ENCODE_RAW_LENGTH(sizeof(*out)))];
	size_t text_len = sizeof(text);
	struct base64_decode_ctx ctx;
	*out = (struct auth_credentials){0};
	if(len <= scheme_len || strncasecmp(value, scheme, scheme_len) != 0 ||
		value[scheme_len] != ' ') {
		return -EPROTONOSUPPORT;
	}
	size_t at = scheme_len;
	while(at < len && value[at] == ' ') {
		at++;
	}
	if(len - at > BASE64_ENCODE_RAW_LENGTH(sizeof(*out)) || !is_base64(value + at, len - at)) {
		return -EINVAL;
	}
	base64_decode_init(&ctx);
	int result = -EINVAL;
	if(base64_decode_update(&ctx, &text_len, text, len - at, value + at) &&
		base64_decode_final(&ctx)) {
		result = split_credentials((const char *)text, text_len, out);
	}
	explicit_bzero(text, sizeof(text));
	return result;
}

void auth_credentials_wipe(struct auth_credentials *credentials) {
	explicit_bzero(credentials, sizeof(*credentials));
}

/* ---- the thread ---- */

struct auth_job {
	struct list link; /* in the queue or among the done */
	struct auth *auth;
	auth_fn *fn; /* the loop's own; NULL: cancelled */
	void *ctx;
	uint64_t generation; /* of the users */
	bool queued; /* the thread has not taken it yet */
	bool known; /* there is such a user; otherwise `hash` is somebody else's and the answer no */
	enum auth_result result;
	uint8_t key[AUTH_KEY_SIZE]; /* of the credentials */
	char hash[AUTH_HASH_MAX];
	char password[AUTH_PASSWORD_MAX + 1];
};

struct cached {
	uint64_t until_ms; /* 0: empty */
	uint8_t key[AUTH_KEY_SIZE];
};

struct auth {
	struct loop *loop;
	const struct auth_users *users;
	uint64_t generation;
	struct cached cache[AUTH_CACHE_MAX];
	uint8_t secret[AUTH_KEY_SIZE]; /* of this process alone */
	struct ev_io io; /* an eventfd: jobs are done */
	pthread_t thread;
	pthread_mutex_t lock; /* of what follows, and of the jobs' place */
	pthread_cond_t work;
	struct list queue;
	struct list done;
	size_t queued;
	bool stop;
	struct crypt_data data; /* the thread's own */
};

static struct auth_job *job_of(struct list *link) {
	return container_of(link, struct auth_job, link);
}

static void job_free(struct auth_job *job) {
	explicit_bzero(job, sizeof(*job));
	free(job);
}

/* Under the lock: takes the job out of its list, or NULL. */
static struct auth_job *take_first(struct list *list) {
	if(list->next == list) {
		return NULL;
	}
	struct auth_job *job = job_of(list->next);
	list_remove(&job->link);
	return job;
}

/* Without the lock. Looks at every byte of a hash, whether or not an earlier one differs. */
static enum auth_result verify(struct crypt_data *data, const struct auth_job *job) {
	size_t len = strlen(job->hash);
	const char *hash = crypt_r(job->password, job->hash, data);
	enum auth_result result = AUTH_DENIED;
	if(!hash || hash[0] == '*') {
		result = AUTH_BROKEN;
	} else {
		bool equal = strlen(hash) == len && memeql_sec(hash, job->hash, len);
		result = equal && job->known ? AUTH_GRANTED : AUTH_DENIED;
	}
	explicit_bzero(data, sizeof(*data));
	return result;
}

/* Under the lock. The same credentials wait once more when a browser opens several connections. */
static void finish_alike(struct auth *auth, const struct auth_job *job) {
	for(struct list *at = auth->queue.next; at != &auth->queue;) {
		struct auth_job *other = job_of(at);
		at = at->next;
		if(other->generation == job->generation &&
			memeql_sec(other->key, job->key, sizeof(job->key))) {
			list_remove(&other->link);
			other->queued = false;
			other->result = job->result;
			auth->queued--;
			list_append(&auth->done, &other->link);
		}
	}
}

static void *thread_main(void *ctx) {
	struct auth *auth = ctx;
	static const uint64_t one = 1;
	pthread_mutex_lock(&auth->lock);
	while(!auth->stop) {
		struct auth_job *job = take_first(&auth->queue);
		if(!job) {
			pthread_cond_wait(&auth->work, &auth->lock);
			continue;
		}
		auth->queued--;
		job->queued = false;
		pthread_mutex_unlock(&auth->lock);
		enum auth_result result = verify(&auth->data, job);
		pthread_mutex_lock(&auth->lock);
		job->result = result;
		list_append(&auth->done, &job->link);
		finish_alike(auth, job);
		/* Fails only when the counter is full: then the loop knows already. */
		ssize_t written = write(auth->io.fd, &one, sizeof(one));
		(void)written;
	}
	pthread_mutex_unlock(&auth->lock);
	return NULL;
}

/* ---- what is remembered ---- */

/* Neither part holds a NUL, so nothing else has the same bytes. */
static void make_key(const struct auth *auth, const struct auth_credentials *credentials,
	uint8_t out[AUTH_KEY_SIZE]) {
	struct hmac_sha256_ctx hmac;
	hmac_sha256_set_key(&hmac, sizeof(auth->secret), auth->secret);
	hmac_sha256_update(
		&hmac, strlen(credentials->user) + 1, (const uint8_t *)credentials->user);
	hmac_sha256_update(
		&hmac, strlen(credentials->password), (const uint8_t *)credentials->password);
	hmac_sha256_digest(&hmac, AUTH_KEY_SIZE, out);
	explicit_bzero(&hmac, sizeof(hmac));
}

static bool cache_has(const struct auth *auth, const uint8_t key[AUTH_KEY_SIZE]) {
	bool found = false;
	for(size_t i = 0; i < AUTH_CACHE_MAX; i++) {
		const struct cached *at = &auth->cache[i];
		found |= at->until_ms > auth->loop->now_ms &&
			memeql_sec(at->key, key, AUTH_KEY_SIZE);
	}
	return found;
}

/* In the place of its former self, or of what would be forgotten first. */
static void cache_put(struct auth *auth, const uint8_t key[AUTH_KEY_SIZE]) {
	struct cached *place = &auth->cache[0];
	for(size_t i = 0; i < AUTH_CACHE_MAX; i++) {
		struct cached *at = &auth->cache[i];
		if(memeql_sec(at->key, key, AUTH_KEY_SIZE)) {
			place = at;
			break;
		}
		if(at->until_ms < place->until_ms) {
			place = at;
		}
	}
	memcpy(place->key, key, AUTH_KEY_SIZE);
	place->until_ms = auth->loop->now_ms + AUTH_CACHE_MS;
}

/* ---- in the loop ---- */

static void job_finished(struct auth *auth, struct auth_job *job) {
	auth_fn *fn = job->fn;
	void *ctx = job->ctx;
	enum auth_result result = job->generation == auth->generation ? job->result : AUTH_STALE;
	if(result == AUTH_GRANTED) {
		cache_put(auth, job->key);
	}
	job_free(job);
	if(fn) {
		fn(ctx, result);
	}
}

/* What is done by now. The thread goes on; what it does meanwhile raises the counter again, which is an event. */
static void collect(struct ev_io *io) {
	struct auth *auth = container_of(io, struct auth, io);
	struct auth_job *job;
	struct list batch;
	uint64_t count;
	/* Takes the whole counter. It is only a bell: its number does not matter. */
	ssize_t got = RETRY_INTERRUPTED(read(io->fd, &count, sizeof(count)));
	(void)got;
	loop_used_up(io, LOOP_IN);
	list_init(&batch);
	pthread_mutex_lock(&auth->lock);
	while((job = take_first(&auth->done))) {
		list_append(&batch, &job->link);
	}
	pthread_mutex_unlock(&auth->lock);
	while((job = take_first(&batch))) {
		job_finished(auth, job);
	}
}

/* A name that is not there is hashed like that of some user, always the same one. */
static void job_set_hash(struct auth_job *job, const char *name) {
	const struct auth_users *users = job->auth->users;
	const struct user *user = find_user(users, name);
	struct auth_credentials nameless = {0};
	uint8_t digest[AUTH_KEY_SIZE];
	uint64_t number;
	snprintf(nameless.user, sizeof(nameless.user), "%s", name);
	make_key(job->auth, &nameless, digest);
	memcpy(&number, digest, sizeof(number));
	job->known = user != NULL;
	const char *hash = user ? user->hash : users->user[number % users->count].hash;
	snprintf(job->hash, sizeof(job->hash), "%s", hash);
}

static struct auth_job *job_new(struct auth *auth, const struct auth_credentials *credentials) {
	struct auth_job *job = calloc(1, sizeof(*job));
	if(job) {
		job->auth = auth;
		job->generation = auth->generation;
		job->queued = true;
		job_set_hash(job, credentials->user);
		memcpy(job->password, credentials->password, sizeof(job->password));
	}
	return job;
}

/* False: there are too many already. */
static bool job_enqueue(struct auth *auth, struct auth_job *job) {
	pthread_mutex_lock(&auth->lock);
	bool room = auth->queued < AUTH_QUEUE_MAX;
	if(room) {
		list_append(&auth->queue, &job->link);
		auth->queued++;
		pthread_cond_signal(&auth->work);
	}
	pthread_mutex_unlock(&auth->lock);
	return room;
}

int auth_check(struct auth *auth, const struct auth_credentials *credentials, auth_fn *fn,
	void *ctx, struct auth_job **out) {
	uint8_t key[AUTH_KEY_SIZE];
	assert(auth->users);
	if(auth->users->count == 0) {
		return -EACCES;
	}
	make_key(auth, credentials, key);
	if(cache_has(auth, key)) {
		return 0;
	}
	struct auth_job *job = job_new(auth, credentials);
	if(!job) {
		return -ENOMEM;
	}
	memcpy(job->key, key, sizeof(key));
	job->fn = fn;
	job->ctx = ctx;
	if(!job_enqueue(auth, job)) {
		job_free(job);
		return -EBUSY;
	}
	*out = job;
	return -EINPROGRESS;
}

void auth_cancel(struct auth_job *job) {
	if(!job) {
		return;
	}
	struct auth *auth = job->auth;
	pthread_mutex_lock(&auth->lock);
	bool queued = job->queued;
	if(queued) {
		list_remove(&job->link);
		auth->queued--;
	}
	pthread_mutex_unlock(&auth->lock);
	job->fn = NULL;
	if(queued) {
		job_free(job);
	}
}

void auth_set_users(struct auth *auth, const struct auth_users *users) {
	auth->users = users;
	auth->generation++;
	explicit_bzero(auth->cache, sizeof(auth->cache));
}

const struct auth_users *auth_get_users(const struct auth *auth) {
	return auth ? auth->users : NULL;
}

/* Signals are the loop's: the thread inherits a mask that has all of them. */
static int start_thread(struct auth *auth) {
	sigset_t all;
	sigset_t before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int error = pthread_create(&auth->thread, NULL, thread_main, auth);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -error;
}

int auth_open(struct auth **out, struct loop *loop) {
	struct auth *auth = calloc(1, sizeof(*auth));
	if(!auth) {
		return -ENOMEM;
	}
	auth->loop = loop;
	list_init(&auth->queue);
	list_init(&auth->done);
	pthread_mutex_init(&auth->lock, NULL);
	pthread_cond_init(&auth->work, NULL);
	int result = getentropy(auth->secret, sizeof(auth->secret)) < 0 ? -errno : 0;
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if(result == 0 && fd < 0) {
		result = -errno;
	}
	if(result) {
		goto fail;
	}
	result = loop_add(loop, &auth->io, fd, 0, LOOP_IN, collect);
	if(result) {
		goto fail;
	}
	result = start_thread(auth);
	if(result) {
		loop_remove(loop, &auth->io);
		goto fail;
	}
	*out = auth;
	return 0;
fail:
	if(fd >= 0) {
		close(fd);
	}
	pthread_cond_destroy(&auth->work);
	pthread_mutex_destroy(&auth->lock);
	free(auth);
	return result;
}

static void free_all(struct list *list) {
	for(struct list *at = list->next; at != list;) {
		struct auth_job *job = job_of(at);
		at = at->next;
		job_free(job);
	}
	list_init(list);
}

void auth_close(struct auth *auth) {
	if(!auth) {
		return;
	}
	pthread_mutex_lock(&auth->lock);
	auth->stop = true;
	pthread_cond_signal(&auth->work);
	pthread_mutex_unlock(&auth->lock);
	pthread_join(auth->thread, NULL);
	free_all(&auth->queue);
	free_all(&auth->done);
	loop_close_io(auth->loop, &auth->io);
	pthread_cond_destroy(&auth->work);
	pthread_mutex_destroy(&auth->lock);
	explicit_bzero(auth, sizeof(*auth));
	free(auth);
}
