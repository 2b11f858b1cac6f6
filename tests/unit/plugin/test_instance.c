/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Options of a backend of plugin API version 2: its own, and those of all backends.
 */
#include "host_bench.h"

static char last[64];

static int configure(
	void *state, const char *key, const char *value, char error[WEBSOCKSY_ERROR_MAX]) {
	(void)state;
	snprintf(error, WEBSOCKSY_ERROR_MAX, "must be good");
	snprintf(last, sizeof(last), "%s=%s", key, value);
	return strcmp(value, "bad") ? 0 : -EINVAL;
}

static const struct websocksy_option options[] = {{"server", "preset", "asked"},
	{"password", NULL, "for it"}, {"protocol", "own", "its own"}, {NULL, NULL, NULL}};

static const struct websocksy_backend keeps = {
	.size = sizeof(keeps), .name = "keeps", .options = options, .query = bench_query};

static const struct websocksy_backend checks = {.size = sizeof(checks),
	.name = "checks",
	.options = options,
	.flags = WEBSOCKSY_REMOTE,
	.configure = configure,
	.query = bench_query,
	.close = bench_closed};

static void test_kept_values(void **unused) {
	(void)unused;
	bench_open(&keeps);
	assert_string_equal(bench.core->option(bench.core, "server"), "preset");
	assert_null(bench.core->option(bench.core, "password"));
	assert_null(bench.core->option(bench.core, "framing"));
	assert_null(bench.core->option(bench.core, "other"));
	assert_int_equal(instance_configure(&bench.instance, "server", "a"), 0);
	assert_int_equal(instance_configure(&bench.instance, "server", "b"), 0);
	assert_int_equal(instance_configure(&bench.instance, "password", ""), 0);
	assert_string_equal(bench.core->option(bench.core, "server"), "b");
	assert_string_equal(bench.core->option(bench.core, "password"), "");
	bench_close();
}

static void test_framings_have_no_options(void **unused) {
	struct services services;
	(void)unused;
	services_init(&services, "framings", &core_table);
	assert_null(services.core.option(&services.core, "server"));
	services_close(&services);
}

static void test_refused_values(void **unused) {
	(void)unused;
	bench_open(&checks);
	assert_int_equal(instance_configure(&bench.instance, "server", "good"), 0);
	assert_int_equal(instance_configure(&bench.instance, "server", "bad"), -EINVAL);
	assert_string_equal(last, "server=bad");
	assert_string_equal(bench.instance.error, "must be good");
	assert_string_equal(bench.core->option(bench.core, "server"), "good");
	assert_int_equal(instance_configure(&bench.instance, "nosuch", "good"), -ENOENT);
	assert_string_equal(bench.instance.error, "");
	bench_close();
	assert_int_equal(bench.closed, 1);
}

/* The backend's own option takes the place of the core's; `schemes` is for remote answers. */
static void test_common_options(void **unused) {
	(void)unused;
	bench_open(&keeps);
	assert_int_equal(instance_configure(&bench.instance, "framing-config", "x"), 0);
	assert_string_equal(instance_value(&bench.instance, INSTANCE_FRAMING_CONFIG), "x");
	assert_int_equal(instance_configure(&bench.instance, "protocol", "x"), 0);
	assert_string_equal(instance_value(&bench.instance, INSTANCE_PROTOCOL), "*");
	assert_int_equal(instance_configure(&bench.instance, "schemes", "udp"), -ENOENT);
	assert_true(instance_allows(&bench.instance, "unix://"));
	bench_close();
	bench_open(&checks);
	assert_true(instance_allows(&bench.instance, "tls://"));
	assert_false(instance_allows(&bench.instance, "udp://"));
	assert_int_equal(instance_configure(&bench.instance, "schemes", "udp, unix"), 0);
	assert_true(instance_allows(&bench.instance, "unix://"));
	assert_false(instance_allows(&bench.instance, "tcp://"));
	assert_false(instance_allows(&bench.instance, "un://"));
	bench_close();
}

static void test_list_of_options(void **unused) {
	static const char *const expected[] = {"server=b", "password=-", "protocol=own",
		"framing=", "framing-config=", "schemes=tcp,tls"};
	const char *name;
	const char *value;
	char text[64];
	size_t count = 0;
	(void)unused;
	bench_open(&checks);
	assert_int_equal(instance_configure(&bench.instance, "server", "b"), 0);
	while(instance_option(&bench.instance, count, &name, &value)) {
		assert_true(count < COUNT(expected));
		snprintf(text, sizeof(text), "%s=%s", name, value ? value : "-");
		assert_string_equal(text, expected[count++]);
	}
	assert_int_equal(count, COUNT(expected));
	bench_close();
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kept_values),
		cmocka_unit_test(test_framings_have_no_options),
		cmocka_unit_test(test_refused_values),
		cmocka_unit_test(test_common_options),
		cmocka_unit_test(test_list_of_options),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
