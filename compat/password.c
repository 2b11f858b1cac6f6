/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Files in memory, for passwords that were given as arguments.
 *
 * It must not know options.
 * Invariant: the password of a user is written nowhere.
 */
#include "compat/password.h"

#include <crypt.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The hash never leaves the process, so that its default cost, a few milliseconds, is enough. */
#define PASSWORD_HASH "$6$"
#define PASSWORD_LINE_MAX 1024

/* The hash of `password` in `out`. 0 or negative errno. */
static int hash(const char *password, char out[CRYPT_OUTPUT_SIZE]) {
	char salt[CRYPT_GENSALT_OUTPUT_SIZE];
	if(!crypt_gensalt_rn(PASSWORD_HASH, 0, NULL, 0, salt, sizeof(salt))) {
		return -errno;
	}
	struct crypt_data *data = calloc(1, sizeof(*data));
	if(!data) {
		return -ENOMEM;
	}
	const char *result = crypt_r(password, salt, data);
	int error = result && result[0] == '$' ? 0 : -EINVAL;
	if(error == 0) {
		snprintf(out, CRYPT_OUTPUT_SIZE, "%s", result);
	}
	explicit_bzero(data, sizeof(*data));
	free(data);
	return error;
}

/* A file in memory with this text. Its descriptor or negative errno. */
static int make_file(const char *text) {
	int fd = memfd_create("websocksy-passwords", MFD_CLOEXEC);
	if(fd < 0) {
		return -errno;
	}
	size_t len = strlen(text);
	ssize_t written = write(fd, text, len);
	if(written != (ssize_t)len || fchmod(fd, S_IRUSR | S_IWUSR) < 0) {
		int error = written >= 0 && written != (ssize_t)len ? ENOSPC : errno;
		close(fd);
		return -error;
	}
	return fd;
}

static int name_file(int fd, char path[PASSWORD_PATH_MAX]) {
	snprintf(path, PASSWORD_PATH_MAX, "/proc/self/fd/%d", fd);
	return fd;
}

int password_file(const char *text, char path[PASSWORD_PATH_MAX]) {
	const char *colon = strchr(text, ':');
	char hashed[CRYPT_OUTPUT_SIZE];
	char line[PASSWORD_LINE_MAX];
	if(!colon || colon == text || colon - text > PASSWORD_LINE_MAX / 2 ||
		strpbrk(text, "\r\n")) {
		return -EINVAL;
	}
	int error = hash(colon + 1, hashed);
	if(error) {
		return error;
	}
	snprintf(line, sizeof(line), "%.*s:%s\n", (int)(colon - text), text, hashed);
	int fd = make_file(line);
	if(fd < 0) {
		return fd;
	}
	return name_file(fd, path);
}

int password_key_file(const char *passphrase, char path[PASSWORD_PATH_MAX]) {
	if(!*passphrase || strpbrk(passphrase, "\r\n")) {
		return -EINVAL;
	}
	int fd = make_file(passphrase);
	return fd < 0 ? fd : name_file(fd, path);
}
