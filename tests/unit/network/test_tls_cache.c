/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Credentials for TLS peers: what is read when, what is the same, what is forgotten, and what is
 * said of files that cannot be used.
 */
#include "network/tls_cache.h"

#include "network/key_files.h"
#include "support.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <limits.h>
#include <sys/stat.h>
#include <time.h>

struct files {
	char folder[128];
	char cert[144];
	char key[144];
	char other[144]; /* a key that belongs to no certificate */
	char copy[144]; /* of `cert`, for tests to change */
	gnutls_datum_t text; /* of `cert` */
};

static void make_certificate(struct files *files, gnutls_x509_privkey_t key) {
	gnutls_x509_crt_t crt;
	time_t now = time(NULL);
	assert_int_equal(gnutls_x509_crt_init(&crt), 0);
	assert_int_equal(gnutls_x509_crt_set_version(crt, 3), 0);
	assert_int_equal(gnutls_x509_crt_set_serial(crt, "\1\2\3", 3), 0);
	assert_int_equal(gnutls_x509_crt_set_activation_time(crt, now - 86400), 0);
	assert_int_equal(gnutls_x509_crt_set_expiration_time(crt, now + 86400), 0);
	assert_int_equal(gnutls_x509_crt_set_dn(crt, "CN=me", NULL), 0);
	assert_int_equal(gnutls_x509_crt_set_key(crt, key), 0);
	assert_int_equal(gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0), 0);
	assert_int_equal(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &files->text), 0);
	gnutls_x509_crt_deinit(crt);
}

static int make_files(void **state) {
	struct files *files = calloc(1, sizeof(*files));
	const char *base = getenv("TMPDIR");
	assert_non_null(files);
	snprintf(files->folder, sizeof(files->folder), "%s/websocksy-unit-XXXXXX",
		base ? base : "/tmp");
	assert_non_null(mkdtemp(files->folder));
	snprintf(files->cert, sizeof(files->cert), "%s/cert.pem", files->folder);
	snprintf(files->key, sizeof(files->key), "%s/key.pem", files->folder);
	snprintf(files->other, sizeof(files->other), "%s/other.pem", files->folder);
	snprintf(files->copy, sizeof(files->copy), "%s/copy.pem", files->folder);
	gnutls_x509_privkey_t key = make_key(files->key);
	make_certificate(files, key);
	write_file(files->cert, files->text.data, files->text.size);
	gnutls_x509_privkey_deinit(key);
	gnutls_x509_privkey_deinit(make_key(files->other));
	*state = files;
	return 0;
}

static int remove_files(void **state) {
	struct files *files = *state;
	unlink(files->cert);
	unlink(files->key);
	unlink(files->other);
	unlink(files->copy);
	rmdir(files->folder);
	gnutls_free(files->text.data);
	free(files);
	return 0;
}

/* The context, of which the cache alone holds a reference then. */
static struct tls_credentials *find(struct tls_cache *cache, const struct peer_tls *tls) {
	char error[TLS_ERROR_MAX] = "";
	struct tls_credentials *context = NULL;
	if(tls_cache_find(cache, tls, &context, error)) {
		fail_msg("%s", error);
	}
	assert_non_null(context);
	tls_credentials_unref(context);
	return context;
}

static void test_same_files(void **state) {
	struct files *files = *state;
	struct peer_tls set[] = {
		{.ca = files->cert},
		{.ca = files->cert, .cert = files->cert, .key = files->key},
		{.cert = files->cert, .key = files->key, .insecure = true},
		{.ca = files->cert, .insecure = true},
		{.insecure = true},
		{0},
	};
	struct tls_credentials *found[COUNT(set)];
	struct tls_cache cache;
	tls_cache_init(&cache);
	for(size_t i = 0; i < COUNT(set); i++) {
		found[i] = find(&cache, &set[i]);
		for(size_t j = 0; j < i; j++) {
			assert_ptr_not_equal(found[i], found[j]);
		}
	}
	for(size_t i = 0; i < COUNT(set); i++) {
		char *name = strdup(files->cert); /* the text counts, not where it is */
		struct peer_tls again = set[i];
		again.ca = again.ca ? name : NULL;
		again.sni = "any"; /* of a session, not of the files */
		assert_ptr_equal(find(&cache, &again), found[i]);
		free(name);
	}
	assert_int_equal(cache.count, COUNT(set));
	tls_cache_clear(&cache);
	assert_int_equal(cache.count, 0);
}

/*
 * Files are read once, and again after tls_cache_clear(); a session's own reference outlives that.
 */
static void test_read_once(void **state) {
	struct files *files = *state;
	struct peer_tls tls = {.ca = files->copy};
	struct tls_credentials *kept;
	struct tls_credentials *none = NULL;
	char error[TLS_ERROR_MAX];
	struct tls_cache cache;
	tls_cache_init(&cache);
	unlink(files->copy);
	assert_int_equal(tls_cache_find(&cache, &tls, &none, error), -ENOENT);
	assert_non_null(strstr(error, files->copy));
	write_file(files->copy, files->text.data, files->text.size);
	/* That it was not there is not remembered. */
	assert_int_equal(tls_cache_find(&cache, &tls, &kept, error), 0);
	unlink(files->copy);
	assert_ptr_equal(find(&cache, &tls), kept);
	tls_cache_clear(&cache);
	assert_int_equal(tls_cache_find(&cache, &tls, &none, error), -ENOENT);
	assert_null(none);
	assert_ptr_equal(tls_credentials_ref(kept), kept);
	tls_credentials_unref(kept);
	tls_credentials_unref(kept);
	tls_cache_clear(&cache);
}

/* Beyond the limit the one that was not used for the longest time goes. */
static void test_limit(void **state) {
	struct files *files = *state;
	struct tls_cache cache;
	struct tls_credentials *first;
	struct tls_credentials *none;
	char error[TLS_ERROR_MAX];
	struct peer_tls old = {.ca = files->cert};
	struct peer_tls other = {.ca = files->copy};
	tls_cache_init(&cache);
	write_file(files->copy, files->text.data, files->text.size);
	first = find(&cache, &old);
	find(&cache, &other);
	unlink(files->copy);
	for(size_t i = 0; i < TLS_CACHE_ENTRIES; i++) {
		char name[200];
		struct peer_tls next = {.ca = name};
		/* another text for the same file each time */
		snprintf(name, sizeof(name), "%s/%.*scert.pem", files->folder, (int)i,
			"////////////////////////////////");
		assert_ptr_equal(find(&cache, &old), first);
		find(&cache, &next);
		assert_true(cache.count <= TLS_CACHE_ENTRIES);
	}
	assert_int_equal(cache.count, TLS_CACHE_ENTRIES);
	assert_int_equal(tls_cache_find(&cache, &other, &none, error), -ENOENT);
	tls_cache_clear(&cache);
}

static void expect_trouble(const struct peer_tls *tls, const char *file, const char *word) {
	char error[TLS_ERROR_MAX] = "";
	assert_true(tls_cache_check(tls, error) < 0);
	assert_null(strchr(error, '\n'));
	if(!strstr(error, file) || !strstr(error, word)) {
		fail_msg("\"%s\" or \"%s\" is not in \"%s\"", file, word, error);
	}
}

static void test_trouble(void **state) {
	struct files *files = *state;
	char nowhere[] = "/nowhere/x";
	write_file(files->copy, "no PEM\n", 7);
	expect_trouble(&(struct peer_tls){.ca = nowhere}, nowhere, "No such file");
	expect_trouble(&(struct peer_tls){.ca = files->copy}, files->copy, "none");
	expect_trouble(&(struct peer_tls){.ca = files->folder}, files->folder, "Is a directory");
	expect_trouble(&(struct peer_tls){.cert = nowhere}, nowhere, "No such file");
	expect_trouble(
		&(struct peer_tls){.cert = files->cert, .key = nowhere}, nowhere, "No such file");
	expect_trouble(&(struct peer_tls){.cert = files->cert}, files->cert, "no private key");
	expect_trouble(&(struct peer_tls){.cert = files->cert, .key = files->other}, files->other,
		"does not belong");
	expect_trouble(&(struct peer_tls){.cert = files->copy, .insecure = true}, files->copy,
		"no private key");
	char error[TLS_ERROR_MAX];
	assert_int_equal(tls_cache_check(&(struct peer_tls){.ca = files->cert}, error), 0);
	/* Without verification no authorities are read. */
	assert_int_equal(
		tls_cache_check(&(struct peer_tls){.ca = nowhere, .insecure = true}, error), 0);
}

/* A fifo in place of a file would make the daemon wait for a writer for ever. */
static void test_fifo(void **state) {
	struct files *files = *state;
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/fifo", files->folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	alarm(600);
	expect_trouble(&(struct peer_tls){.ca = path}, path, "Not a regular file");
	expect_trouble(&(struct peer_tls){.cert = path}, path, "Not a regular file");
	expect_trouble(
		&(struct peer_tls){.cert = files->cert, .key = path}, path, "Not a regular file");
	alarm(0);
	unlink(path);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_files),
		cmocka_unit_test(test_read_once),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_trouble),
		cmocka_unit_test(test_fifo),
	};
	return cmocka_run_group_tests_name("tls_cache", tests, make_files, remove_files);
}
