/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Admission: limits in all and per address, without sockets.
 */
#include "bridge/admission.h"
#include "bridge/connection.h"
#include "support.h"

#include <arpa/inet.h>

#define CONNECTIONS 200

struct test {
	struct settings settings;
	struct connection_env env;
	struct connection *connection[CONNECTIONS];
	size_t count;
};

static void begin(struct test *test, size_t max_clients, size_t per_ip) {
	*test = (struct test){0};
	test->settings.max_clients = max_clients;
	test->settings.max_clients_per_ip = per_ip;
	test->env.settings = &test->settings;
	test->env.admission.settings = &test->settings;
}

static struct connection *make(struct test *test, const char *address) {
	struct connection *connection = calloc(1, sizeof(*connection));
	assert_non_null(connection);
	connection->env = &test->env;
	if(strchr(address, ':')) {
		connection->address.in6.sin6_family = AF_INET6;
		assert_int_equal(
			inet_pton(AF_INET6, address, &connection->address.in6.sin6_addr), 1);
	} else {
		connection->address.in.sin_family = AF_INET;
		assert_int_equal(inet_pton(AF_INET, address, &connection->address.in.sin_addr), 1);
	}
	test->connection[test->count++] = connection;
	return connection;
}

static struct connection *enter(struct test *test, const char *address) {
	struct connection *connection = make(test, address);
	assert_true(admission_enter(connection));
	return connection;
}

static void leave(struct connection **connection) {
	if(*connection) {
		admission_leave(*connection);
		free(*connection);
		*connection = NULL;
	}
}

static void end(struct test *test) {
	for(size_t i = 0; i < test->count; i++) {
		leave(&test->connection[i]);
	}
	assert_int_equal(test->env.admission.count, 0);
	assert_int_equal(test->env.admission.over_limit, 0);
	assert_null(test->env.admission.ip_counters);
}

static void test_limit_from_descriptors(void **state) {
	(void)state;
	struct test test;
	begin(&test, 0, 0);
	test.env.admission.fd_limit = 1024;
	assert_int_equal(admission_limit(&test.env.admission), (1024 - 128) / 2);
	test.env.admission.fd_limit = 100;
	assert_int_equal(admission_limit(&test.env.admission), 1);
	test.settings.max_clients = 7;
	assert_int_equal(admission_limit(&test.env.admission), 7);
}

static void test_limit_in_all(void **state) {
	(void)state;
	struct test test;
	begin(&test, 2, 0);
	assert_false(enter(&test, "192.0.2.1")->over_limit);
	assert_false(admission_is_full(&test.env.admission));
	assert_false(enter(&test, "192.0.2.1")->over_limit);
	assert_true(admission_is_full(&test.env.admission));
	assert_true(enter(&test, "192.0.2.2")->over_limit);
	/* One that is above the limit leaves no room when it goes. */
	leave(&test.connection[2]);
	assert_true(admission_is_full(&test.env.admission));
	leave(&test.connection[0]);
	assert_false(enter(&test, "192.0.2.3")->over_limit);
	end(&test);
}

static void test_too_many_above_the_limit(void **state) {
	(void)state;
	struct test test;
	begin(&test, 1, 0);
	enter(&test, "192.0.2.1");
	for(int i = 0; i < ADMISSION_OVER_LIMIT; i++) {
		assert_false(admission_is_closed(&test.env.admission));
		assert_true(enter(&test, "192.0.2.1")->over_limit);
	}
	assert_true(admission_is_closed(&test.env.admission));
	assert_false(admission_enter(make(&test, "192.0.2.1")));
	end(&test);
}

static void test_limit_per_address(void **state) {
	(void)state;
	struct test test;
	begin(&test, 100, 2);
	struct connection *first = enter(&test, "192.0.2.1");
	assert_false(admission_at_limit(first));
	assert_false(enter(&test, "::ffff:192.0.2.1")->over_limit); /* the same client */
	assert_true(admission_at_limit(first));
	assert_true(enter(&test, "192.0.2.1")->over_limit);
	assert_false(enter(&test, "192.0.2.2")->over_limit);
	/* Half of an IPv6 address is one customer's. */
	assert_false(enter(&test, "2001:db8:0:1::1")->over_limit);
	assert_false(enter(&test, "2001:db8:0:1:ffff::2")->over_limit);
	assert_true(enter(&test, "2001:db8:0:1::3")->over_limit);
	assert_false(enter(&test, "2001:db8:0:2::1")->over_limit);
	leave(&test.connection[0]);
	assert_false(enter(&test, "192.0.2.1")->over_limit);
	end(&test);
}

static void test_proxied(void **state) {
	(void)state;
	struct test test;
	begin(&test, 100, 1);
	enter(&test, "192.0.2.1");
	for(int i = 0; i < 3; i++) {
		struct connection *connection = make(&test, "192.0.2.1");
		connection->proxied = true;
		assert_true(admission_enter(connection));
		assert_false(connection->over_limit); /* its address is not known yet */
	}
	/* One stands for a client of its own, one for the first. */
	assert_int_equal(
		inet_pton(AF_INET, "198.51.100.1", &test.connection[1]->address.in.sin_addr), 1);
	assert_true(admission_identify(test.connection[1]));
	assert_false(test.connection[1]->over_limit);
	assert_true(admission_identify(test.connection[2]));
	assert_true(test.connection[2]->over_limit);
	/* Again for one that is above the limit already: it counts once. */
	assert_true(admission_identify(test.connection[2]));
	assert_int_equal(test.env.admission.over_limit, 1);
	end(&test);
}

/* The limit may change while connections are counted. */
static void test_reload(void **state) {
	(void)state;
	struct test test;
	begin(&test, 2, 1);
	enter(&test, "192.0.2.1");
	test.settings.max_clients_per_ip = 0;
	enter(&test, "192.0.2.1");
	assert_true(admission_is_full(&test.env.admission));
	test.settings.max_clients = 3;
	assert_false(admission_is_full(&test.env.admission));
	test.settings.max_clients_per_ip = 2;
	enter(&test, "192.0.2.1");
	end(&test);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limit_from_descriptors),
		cmocka_unit_test(test_limit_in_all),
		cmocka_unit_test(test_too_many_above_the_limit),
		cmocka_unit_test(test_limit_per_address),
		cmocka_unit_test(test_proxied),
		cmocka_unit_test(test_reload),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
