/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The password file: lines of a user name and the hash of the user's password.
 *
 * Must not know: connections, how a password is verified against its hash.
 * Invariants: a hash that crypt(3) cannot compute, or not within a tolerable time, never gets into
 * `struct passwords`; messages name the file and the line, never a hash.
 */
#include "http/passwords.h"

#include "base/file.h"
#include "base/text.h"
#include "http/basic.h"

#include <assert.h>
#include <crypt.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nettle/sha2.h>

/* crypt(5): with fewer rounds or a longer salt, no password would match. */
#define SHA_ROUNDS_MIN 1000
#define SHA_SALT_MAX 16
#define YESCRYPT_PARAMETERS 3 /* flags, cost and block size, one character each */
/*
 * Hashes of higher cost take longer than clients wait, and the shutdown waits for the current one.
 */
#define BCRYPT_COST_MAX 15
#define SHA_ROUNDS_MAX 10000000
#define BCRYPT_PASSWORD_MAX 72 /* crypt(5): further bytes do not matter */
#define YESCRYPT_COST_MAX 'C' /* 8 for mkpasswd(1) */

struct user {
	const char *name; /* in the text of the file */
	const char *hash;
	size_t line;
	uint64_t fingerprint;
};

struct passwords {
	char *text;
	size_t count;
	struct user *user; /* sorted by name */
	uint64_t *fingerprint; /* sorted */
};

/* ---- hashes ---- */

static const char crypt_alphabet[] =
	"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

static const char too_costly[] = "the hash takes too long to compute (use a lower cost)";

/* "$2y$NN$" and 53 characters of salt and hash. */
static const char *check_bcrypt(const char *hash) {
	if(strlen(hash) != 60 || !text_is_digit(hash[4]) || !text_is_digit(hash[5]) ||
		hash[6] != '$' || strspn(hash + 7, crypt_alphabet) != 53) {
		return "this bcrypt hash is not complete";
	}
	int cost = (hash[4] - '0') * 10 + (hash[5] - '0');
	if(cost < 4 || cost > 31) {
		return "the cost of this bcrypt hash is invalid (use 4 to 15)";
	}
	return cost > BCRYPT_COST_MAX ? too_costly : NULL;
}

/* Does the last segment have `len` characters, and does it begin behind the first `prefix` ones? */
static bool ends_in(const char *hash, size_t prefix, size_t len) {
	const char *last = strrchr(hash, '$');
	return last >= hash + prefix && strlen(last + 1) == len &&
		strspn(last + 1, crypt_alphabet) == len;
}

/* Steps over "rounds=N$". NULL, or the error. */
static const char *check_rounds(const char **salt) {
	static const char start[] = "rounds=";
	if(strncmp(*salt, start, strlen(start)) != 0) {
		return NULL;
	}
	const char *digits = *salt + strlen(start);
	char *end;
	unsigned long rounds = text_is_digit(*digits) ? strtoul(digits, &end, 10) : 0;
	if(*digits == '0' || rounds < SHA_ROUNDS_MIN || *end != '$') {
		return "the number of rounds of this SHA hash is invalid";
	}
	*salt = end + 1;
	return rounds > SHA_ROUNDS_MAX ? too_costly : NULL;
}

/* "$6$", optionally "rounds=N$", "SALT$" and the hash. */
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
	bool fits = salt_len <= SHA_SALT_MAX && salt + salt_len == strrchr(hash, '$');
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
	if(hash[3] != 'j' || strcspn(hash + 3, "$") != YESCRYPT_PARAMETERS) {
		return "the parameters of this yescrypt hash are not supported (use mkpasswd)";
	}
	const char *cost = strchr(crypt_alphabet, hash[4]);
	const char *most = strchr(crypt_alphabet, YESCRYPT_COST_MAX);
	return !cost ? "this yescrypt hash is malformed" : cost > most ? too_costly : NULL;
}

static const struct {
	const char *prefix;
	const char *(*check)(const char *hash); /* NULL, or the error */
} hash_kinds[] = {
	{"$2a$", check_bcrypt},
	{"$2y$", check_bcrypt},
	{"$2b$", check_bcrypt},
	{"$6$", check_sha512},
	{"$5$", check_sha256},
	{"$y$", check_yescrypt},
};

/* Legacy methods and low costs are accepted, only invalid and disabled hashes are not. */
static bool is_supported(const char *hash) {
	int result = crypt_checksalt(hash);
	return result != CRYPT_SALT_INVALID && result != CRYPT_SALT_METHOD_DISABLED;
}

static const char *check_hash(const char *hash) {
	if(strlen(hash) >= PASSWORDS_HASH_MAX) {
		return "the hash is too long";
	}
	for(size_t i = 0; i < sizeof(hash_kinds) / sizeof(hash_kinds[0]); i++) {
		const char *prefix = hash_kinds[i].prefix;
		if(strncmp(hash, prefix, strlen(prefix)) == 0) {
			const char *wrong = hash_kinds[i].check(hash);
			return wrong || is_supported(hash) ? wrong
							   : "crypt(3) does not support this hash";
		}
	}
	return "unknown kind of hash (use bcrypt, sha512, sha256 or yescrypt: htpasswd -B, "
	       "mkpasswd)";
}

/* ---- users ---- */

/* Of name and hash, neither of which contains a NUL. Never 0. */
static uint64_t make_fingerprint(const char *name, const char *hash) {
	struct sha256_ctx sha;
	uint8_t digest[SHA256_DIGEST_SIZE];
	uint64_t fingerprint;
	sha256_init(&sha);
	sha256_update(&sha, strlen(name) + 1, (const uint8_t *)name);
	sha256_update(&sha, strlen(hash), (const uint8_t *)hash);
	sha256_digest(&sha, sizeof(digest), digest);
	memcpy(&fingerprint, digest, sizeof(fingerprint));
	return fingerprint | 1;
}

/* Splits a line, without its end, into `user`. NULL, or the error. */
static const char *read_user(char *line, struct user *user) {
	char *colon = strchr(line, ':');
	if(!colon) {
		return "missing colon (lines are name:hash)";
	}
	*colon = '\0';
	size_t len = (size_t)(colon - line);
	if(len == 0 || len > BASIC_USER_MAX || !basic_is_text(line, len)) {
		return "the user name is empty, too long or not UTF-8 text";
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

static int compare_fingerprints(const void *a, const void *b) {
	const uint64_t *left = a;
	const uint64_t *right = b;
	return (*left > *right) - (*left < *right);
}

static const struct user *find_user(const struct passwords *users, const char *name) {
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

/* ---- mistakes ---- */

struct report {
	const struct passwords_errors *errors;
	const char *path;
	size_t count;
};

static void report_file(const struct report *report, const char *why) {
	char text[512];
	snprintf(text, sizeof(text), "%.300s: %s", report->path, why);
	report->errors->fn(report->errors->ctx, text);
}

static void report_line(struct report *report, size_t line, const char *why) {
	char text[512];
	report->count++;
	if(report->count <= PASSWORDS_ERRORS_MAX) {
		snprintf(text, sizeof(text), "%.300s:%zu: %s", report->path, line, why);
		report->errors->fn(report->errors->ctx, text);
	}
}

/* 0, or -EINVAL if there were mistakes. */
static int report_end(const struct report *report) {
	char text[64];
	if(report->count > PASSWORDS_ERRORS_MAX) {
		snprintf(text, sizeof(text), "%zu further lines have mistakes",
			report->count - PASSWORDS_ERRORS_MAX);
		report_file(report, text);
	}
	return report->count > 0 ? -EINVAL : 0;
}

/* ---- the file ---- */

static void check_duplicates(const struct passwords *users, struct report *report) {
	for(size_t i = 1; i < users->count; i++) {
		if(strcmp(users->user[i - 1].name, users->user[i].name) == 0) {
			report_line(report, users->user[i].line,
				"this user is already on an earlier line");
		}
	}
}

/* Splits users->text into users->user, which has an entry for each line. */
static void split_lines(struct passwords *users, struct report *report) {
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
			report_line(report, number, why);
			continue;
		}
		user->line = number;
		users->count++;
	}
	qsort(users->user, users->count, sizeof(*users->user), compare_users);
	for(size_t i = 0; i < users->count; i++) {
		struct user *user = &users->user[i];
		user->fingerprint = make_fingerprint(user->name, user->hash);
		users->fingerprint[i] = user->fingerprint;
	}
	qsort(users->fingerprint, users->count, sizeof(uint64_t), compare_fingerprints);
	check_duplicates(users, report);
}

/* How many lines there are; 0 after a report that this is no text. */
static size_t count_lines(struct slice text, struct report *report) {
	size_t lines = 1;
	for(size_t i = 0; i < text.len; i++) {
		lines += text.at[i] == '\n';
		if(text.at[i] == '\0') {
			report_line(report, lines, "not a text file (NUL byte)");
			return 0;
		}
	}
	return lines;
}

static struct passwords *passwords_new(struct slice text, size_t lines) {
	struct passwords *users = calloc(1, sizeof(*users));
	if(!users) {
		return NULL;
	}
	users->text = strndup(text.at, text.len);
	users->user = calloc(lines, sizeof(*users->user));
	users->fingerprint = calloc(lines, sizeof(*users->fingerprint));
	if(!users->text || !users->user || !users->fingerprint) {
		passwords_free(users);
		return NULL;
	}
	return users;
}

int passwords_parse(const char *path, struct slice text, struct passwords **out,
	const struct passwords_errors *errors) {
	struct report report = {.errors = errors, .path = path};
	size_t lines = count_lines(text, &report);
	if(lines == 0) {
		return -EINVAL;
	}
	struct passwords *users = passwords_new(text, lines);
	if(!users) {
		report_file(&report, "out of memory");
		return -ENOMEM;
	}
	split_lines(users, &report);
	if(report_end(&report)) {
		passwords_free(users);
		return -EINVAL;
	}
	*out = users;
	return 0;
}

int passwords_read(
	const char *path, struct passwords **out, const struct passwords_errors *errors) {
	struct report report = {.errors = errors, .path = path};
	char *text;
	size_t len;
	int result = file_read(path, PASSWORDS_FILE_MAX, &text, &len);
	if(result) {
		report_file(&report, file_error(result));
		return result;
	}
	result = passwords_parse(path, (struct slice){text, len}, out, errors);
	explicit_bzero(text, len);
	free(text);
	return result;
}

size_t passwords_count(const struct passwords *users) {
	return users->count;
}

bool passwords_has_user(const struct passwords *users, const char *name) {
	return find_user(users, name) != NULL;
}

const char *passwords_find_hash(const struct passwords *users, const char *name) {
	const struct user *user = find_user(users, name);
	return user ? user->hash : NULL;
}

const char *passwords_hash_at(const struct passwords *users, size_t index) {
	assert(index < users->count);
	return users->user[index].hash;
}

size_t passwords_hash_limit(const char *hash) {
	return hash[0] == '$' && hash[1] == '2' ? BCRYPT_PASSWORD_MAX : BASIC_PASSWORD_MAX;
}

uint64_t passwords_fingerprint(const struct passwords *users, const char *name) {
	const struct user *user = find_user(users, name);
	return user ? user->fingerprint : 0;
}

bool passwords_has_fingerprint(const struct passwords *users, uint64_t fingerprint) {
	return bsearch(&fingerprint, users->fingerprint, users->count, sizeof(fingerprint),
		       compare_fingerprints) != NULL;
}

void passwords_free(struct passwords *users) {
	if(users) {
		/* Splitting has put NULs into the text. */
		for(size_t i = 0; users->user && i < users->count; i++) {
			explicit_bzero((char *)(uintptr_t)users->user[i].hash,
				strlen(users->user[i].hash));
		}
		free(users->text);
		free(users->user);
		free(users->fingerprint);
		free(users);
	}
}
