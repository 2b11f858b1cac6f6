/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The built-in backend, asked as the core asks it.
 */
#include "builtins.h"
#include "plugin.h"
#include "plugin/backend.h"
#include "plugin/framing.h"
#include "plugin/services.h"
#include "support.h"

#include <errno.h>

static struct plugin_host host; /* without a loop: the backend answers at once */

static struct backend *new_backend(const char *const *options) {
	char error[BACKEND_ERROR_MAX] = "";
	struct backend *backend;
	assert_int_equal(backend_load("/nowhere", NULL, &backend, error), 0);
	for(; options && options[0]; options += 2) {
		assert_int_equal(backend_configure(backend, options[0], options[1]), 0);
	}
	backend_start(backend, &host);
	return backend;
}

static struct backend_answer ask(struct backend *backend, size_t protocols, char **protocol) {
	char endpoint[] = "/";
	char key[] = "dGhlIHNhbXBsZSBub25jZQ==";
	struct backend_request request = {.fd = 7,
		.endpoint = endpoint,
		.key = key,
		.protocols = protocols,
		.protocol = protocol};
	struct backend_answer answer;
	assert_int_equal(backend_query(backend, &request, &answer, NULL), 0);
	return answer;
}

static void test_default_peer(void **unused) {
	(void)unused;
	struct backend *backend = new_backend(NULL);
	struct backend_answer answer = ask(backend, 0, NULL);
	assert_string_equal(backend_name(backend), "");
	assert_string_equal(answer.peer.host, "tcp://localhost");
	assert_string_equal(answer.peer.port, "5900");
	assert_int_equal(answer.peer.transport, peer_transport_detect);
	assert_ptr_equal(answer.framing, framings_find(NULL));
	assert_null(answer.peer.framing_config);
	backend_answer_free(&answer);
	assert_null(answer.peer.host);
	backend_unref(backend);
}

static void test_options_are_answered(void **unused) {
	(void)unused;
	static const char *const options[] = {"host", "udp://first", "host", "unix:///run/x",
		"port", "80", "framing", "separator", "framing-config", "\\0", NULL};
	char error[BACKEND_ERROR_MAX] = "";
	struct backend *backend = new_backend(options);
	assert_int_equal(backend_check(backend, error), 0);
	struct backend_answer answer = ask(backend, 0, NULL);
	assert_string_equal(answer.peer.host, "unix:///run/x");
	assert_string_equal(answer.peer.port, "80");
	assert_string_equal(answer.peer.framing_config, "\\0");
	assert_ptr_equal(answer.framing, framings_find("separator"));
	backend_answer_free(&answer);
	backend_unref(backend);
}

/* A reload configures a new instance while the old one answers. */
static void test_instances_are_separate(void **unused) {
	(void)unused;
	static const char *const options[] = {"host", "old", NULL};
	struct backend *old = new_backend(options);
	struct backend *new = new_backend(NULL);
	struct backend_answer answer = ask(new, 0, NULL);
	assert_string_equal(answer.peer.host, "tcp://localhost");
	backend_answer_free(&answer);
	backend_unref(new);
	answer = ask(old, 0, NULL);
	assert_string_equal(answer.peer.host, "old");
	backend_answer_free(&answer);
	backend_unref(old);
}

static void test_unknown_option_is_refused(void **unused) {
	(void)unused;
	struct backend *backend = new_backend(NULL);
	assert_int_equal(backend_configure(backend, "hots", "x"), -ENOENT);
	assert_int_equal(backend_configure(backend, "", "x"), -ENOENT);
	assert_int_equal(backend_configure(backend, "Host", "x"), -ENOENT);
	backend_unref(backend);
}

static void test_check_names_the_option(void **unused) {
	(void)unused;
	static const struct {
		const char *options[5];
		const char *begins;
	} cases[] = {
		{{"host", ""}, "host: "},
		{{"port", "0"}, "port: "},
		{{"port", "65536"}, "port: "},
		{{"port", "99999999999999999999"}, "port: "},
		{{"port", ""}, "port: "},
		{{"port", "80 "}, "port: "},
		{{"port", "http"}, "port: "},
		{{"host", "ftp://x"}, "host: "},
		{{"host", "tcp://x:0"}, "host: "},
		{{"framing", "seperator"}, "framing: "},
		{{"framing", "separator"}, "framing-config: "},
		{{"framing", "separator", "framing-config", "\\xZZ"}, "framing-config: "},
		{{"framing", "newline", "framing-config", "nl"}, "framing-config: "},
		{{"port", "65535"}, NULL},
		{{"port", "1"}, NULL},
		{{"framing", "newline"}, NULL},
		{{"framing", "newline", "framing-config", "lf"}, NULL},
	};
	for(size_t i = 0; i < COUNT(cases); i++) {
		char error[BACKEND_ERROR_MAX] = "";
		struct backend *backend = new_backend(cases[i].options);
		int result = backend_check(backend, error);
		/* With an invalid host the start only warns. */
		bool is_host = cases[i].begins && cases[i].options[1][0] &&
			!strcmp(cases[i].options[0], "host");
		int unusable = is_host ? BACKEND_REFUSES_ALL : -EINVAL;
		assert_int_equal(result, cases[i].begins ? unusable : 0);
		if(cases[i].begins) {
			assert_memory_equal(error, cases[i].begins, strlen(cases[i].begins));
			assert_null(strchr(error, '\n'));
		}
		backend_unref(backend);
	}
}

struct protocol_case {
	const char *option; /* NULL: not set */
	char *offer[4];
	size_t answer; /* with `status` 0 */
	unsigned status;
};

static const struct protocol_case protocol_cases[] = {
	{NULL, {0}, 0, 0},
	{NULL, {"binary"}, 0, 400},
	{"", {"binary"}, 0, 400},
	{" , ", {"binary"}, 0, 400},
	{"binary", {0}, 0, 0},
	{"binary", {"binary"}, 0, 0},
	{"binary", {"base64", "binary"}, 1, 0},
	{"binary", {"Binary"}, 0, 400},
	{"binary", {"binary2"}, 0, 400},
	{"binary", {"binar"}, 0, 400},
	{"binary,base64", {"base64", "binary"}, 1, 0},
	{"base64,binary", {"binary", "base64"}, 1, 0},
	{" binary ,\tbase64 ", {"other", "base64"}, 1, 0},
	{"*", {0}, 0, 0},
	{"*", {"what", "ever"}, 0, 0},
	{"binary,*", {"what", "binary"}, 1, 0},
	{"binary,*", {"what", "ever"}, 0, 0},
	{"a,b", {"c", "d", "e"}, 0, 400},
	{"*", {"*"}, 0, 0},
};

static void check_protocol_case(const struct protocol_case *c) {
	const char *const options[] = {"protocol", c->option, NULL};
	struct backend *backend = new_backend(c->option ? options : NULL);
	char *offer[4];
	size_t offers = 0;
	while(offers < 4 && c->offer[offers]) {
		offer[offers] = c->offer[offers];
		offers++;
	}
	struct backend_answer answer = ask(backend, offers, offer);
	assert_int_equal(answer.status, c->status);
	if(c->status) {
		assert_null(answer.peer.host);
		assert_non_null(strstr(answer.message, "subprotocol"));
	} else {
		assert_non_null(answer.peer.host);
		assert_int_equal(answer.peer.protocol, c->answer);
	}
	backend_answer_free(&answer);
	backend_unref(backend);
}

static void test_subprotocols(void **unused) {
	(void)unused;
	for(size_t i = 0; i < COUNT(protocol_cases); i++) {
		check_protocol_case(&protocol_cases[i]);
	}
}

/* Why an offer is refused differs, and the text says it. */
static void test_refusals_say_why(void **unused) {
	(void)unused;
	static const char *const options[] = {"protocol", "binary", NULL};
	char *offer[] = {"chat"};
	struct backend *backend = new_backend(NULL);
	struct backend_answer answer = ask(backend, 1, offer);
	assert_non_null(strstr(answer.message, "none is configured"));
	backend_unref(backend);
	backend = new_backend(options);
	answer = ask(backend, 1, offer);
	assert_non_null(strstr(answer.message, "none of the offered"));
	backend_unref(backend);
}

static int setup(void **unused) {
	(void)unused;
	return builtins_register();
}

static int teardown(void **unused) {
	(void)unused;
	plugin_shutdown();
	return 0;
}

int main(void) {
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_default_peer),
		cmocka_unit_test(test_options_are_answered),
		cmocka_unit_test(test_instances_are_separate),
		cmocka_unit_test(test_unknown_option_is_refused),
		cmocka_unit_test(test_check_names_the_option),
		cmocka_unit_test(test_subprotocols),
		cmocka_unit_test(test_refusals_say_why),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
