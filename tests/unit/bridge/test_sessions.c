/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Connections with a time or a key of the backend.
 */
#include "bridge/sessions.h"

#include "bridge/connection.h"
#include "support.h"

#include <errno.h>

#define MANY 600

static struct loop loop;
static struct connection_env env;
static struct connection connections[MANY];

static void never(struct ev_timer *timer) {
	(void)timer;
	fail();
}

static int setup(void **unused) {
	(void)unused;
	memset(&env, 0, sizeof(env));
	memset(&loop, 0, sizeof(loop));
	env.loop = &loop;
	sessions_init(&env.sessions);
	for(size_t i = 0; i < MANY; i++) {
		connections[i] =
			(struct connection){.env = &env, .id = i + 1, .phase = CONNECTION_OPEN};
	}
	return loop_open(&loop);
}

static int teardown(void **unused) {
	(void)unused;
	for(size_t i = 0; i < MANY; i++) {
		sessions_leave(&connections[i]);
		assert_false(connections[i].bound);
	}
	for(size_t i = 0; i < SESSIONS_BUCKETS; i++) {
		assert_true(list_is_empty(&env.sessions.by_connection[i]));
		assert_true(list_is_empty(&env.sessions.by_key[i]));
	}
	loop_close(&loop);
	return 0;
}

static struct connection *oldest(const char *key, size_t expected) {
	size_t count;
	struct session *session = sessions_find(&connections[0], key, &count);
	assert_int_equal(count, expected);
	return session ? session->connection : NULL;
}

static void test_oldest_of_a_key(void **unused) {
	(void)unused;
	assert_null(oldest("a", 0));
	for(size_t i = 1; i < 4; i++) {
		assert_non_null(sessions_add(&connections[i], "a", never));
		assert_true(connections[i].bound);
	}
	assert_non_null(sessions_add(&connections[4], "b", never));
	assert_ptr_equal(oldest("a", 3), &connections[1]);
	assert_ptr_equal(oldest("b", 1), &connections[4]);
	sessions_leave(&connections[1]);
	sessions_leave(&connections[1]); /* of no effect */
	assert_ptr_equal(oldest("a", 2), &connections[2]);
	assert_ptr_equal(oldest("b", 1), &connections[4]);
}

/* One that closes counts no longer, so that the next one can take its place at once. */
static void test_only_open_connections_count(void **unused) {
	(void)unused;
	assert_non_null(sessions_add(&connections[1], "a", never));
	assert_non_null(sessions_add(&connections[2], "a", never));
	connections[1].phase = CONNECTION_CLOSING;
	assert_ptr_equal(oldest("a", 1), &connections[2]);
	connections[2].phase = CONNECTION_CLOSING;
	assert_null(oldest("a", 0));
}

static void test_without_a_key(void **unused) {
	(void)unused;
	assert_non_null(sessions_add(&connections[1], "", never));
	assert_true(connections[1].bound);
	assert_null(oldest("", 0));
}

/* More than there are buckets: neighbours in a bucket are told apart. */
static void test_many(void **unused) {
	char key[32];
	(void)unused;
	for(size_t i = 0; i < MANY; i++) {
		snprintf(key, sizeof(key), "key %zu", i / 2);
		assert_non_null(sessions_add(&connections[i], key, never));
	}
	for(size_t i = 0; i < MANY; i += 2) {
		snprintf(key, sizeof(key), "key %zu", i / 2);
		assert_ptr_equal(oldest(key, 2), &connections[i]);
		sessions_leave(&connections[i]);
		assert_ptr_equal(oldest(key, 1), &connections[i + 1]);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_oldest_of_a_key, setup, teardown),
		cmocka_unit_test_setup_teardown(test_only_open_connections_count, setup, teardown),
		cmocka_unit_test_setup_teardown(test_without_a_key, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
