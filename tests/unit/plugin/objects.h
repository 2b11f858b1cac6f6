/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the tests of plugins share: shared objects that are compiled from the few lines that a test
 * needs, with the compiler in CC, and reading the log.
 */
#ifndef WEBSOCKSY_TESTS_OBJECTS_H
#define WEBSOCKSY_TESTS_OBJECTS_H
#include "builtins.h"
#include "plugin.h"
#include "plugin/backend.h"
#include "plugin/framing.h"
#include "support.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

/* The source of a plugin that registers a function which always returns the same. */
#define FRAMING(name, result)                                                                      \
	"static int64_t f(uint8_t *d, size_t l, size_t r, ws_operation *o, void **p, const char "  \
	"*c)"                                                                                      \
	"{ return " result "; }"                                                                   \
	"static void __attribute__((constructor)) start(void) { core_register_framing(\"" name     \
	"\", f); }"

static struct {
	char root[256];
	char include[PATH_MAX]; /* where websocksy.h is */
	int kept_stderr;
	char error[BACKEND_ERROR_MAX];
} test;

static inline char *in_root(const char *name, char out[PATH_MAX]) {
	snprintf(out, PATH_MAX, "%s/%s", test.root, name);
	return out;
}

/* Compiles `source`, with websocksy.h in front, to root/`name`.so. */
static inline void compile_with(const char *name, const char *flags, const char *source) {
	char path[PATH_MAX];
	char command[5 * PATH_MAX];
	const char *compiler = getenv("CC");
	snprintf(command, sizeof(command), "%s/%s.c", test.root, name);
	FILE *file = fopen(command, "w");
	assert_non_null(file);
	fprintf(file, "#include <websocksy.h>\n#include <string.h>\n%s", source);
	assert_int_equal(fclose(file), 0);
	snprintf(command, sizeof(command),
		"%s -D_GNU_SOURCE -I'%s' -fPIC -shared %s -o '%s.so' '%s.c'",
		compiler && *compiler ? compiler : "cc", test.include, flags, in_root(name, path),
		path);
	assert_int_equal(system(command), 0);
}

static inline void compile(const char *name, const char *source) {
	compile_with(name, "", source);
}

static inline int setup(void **unused) {
	(void)unused;
	const char *temporary = getenv("TMPDIR");
	snprintf(
		test.root, sizeof(test.root), "%s/plugin.XXXXXX", temporary ? temporary : P_tmpdir);
	assert_non_null(mkdtemp(test.root));
	test.error[0] = 0;
	return builtins_register();
}

static inline int teardown(void **unused) {
	char command[300];
	(void)unused;
	plugin_shutdown();
	snprintf(command, sizeof(command), "rm -rf '%s'", test.root);
	return system(command);
}

/* ---- a function of version 1 ---- */

static inline int64_t decode_one(uint8_t *data, size_t length, size_t last_read,
	ws_operation *opcode, void **framing_data, const char *config) {
	(void)data;
	(void)last_read;
	(void)opcode;
	(void)framing_data;
	(void)config;
	return length > 0;
}

static inline const char *check_digit(const char *config) {
	return *config >= '0' && *config <= '9' ? NULL : "must be a digit";
}

/* ---- the log ---- */

static inline void log_capture(void) {
	char path[PATH_MAX];
	test.kept_stderr = dup(STDERR_FILENO);
	int fd = open(in_root("log", path), O_CREAT | O_TRUNC | O_WRONLY | O_APPEND, 0600);
	assert_true(fd >= 0 && test.kept_stderr >= 0);
	assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	close(fd);
}

/* Is `text` in what was logged since log_capture()? */
static inline bool log_release(const char *text) {
	char path[PATH_MAX];
	char logged[8192];
	dup2(test.kept_stderr, STDERR_FILENO);
	close(test.kept_stderr);
	FILE *file = fopen(in_root("log", path), "r");
	assert_non_null(file);
	logged[fread(logged, 1, sizeof(logged) - 1, file)] = 0;
	fclose(file);
	return strstr(logged, text) != NULL;
}

static inline int find_include(void **unused) {
	(void)unused;
	char path[PATH_MAX];
	umask(022); /* what is compiled must not be writable for everybody */
	snprintf(path, sizeof(path), "%s", __FILE__);
	char *slash = strrchr(path, '/');
	snprintf(slash ? slash : path, 16, "%s", slash ? "/../../.." : "../../..");
	return realpath(path, test.include) ? 0 : -1;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#endif
