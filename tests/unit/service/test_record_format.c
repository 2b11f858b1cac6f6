/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What each format of recordings writes, byte by byte; packets are taken apart again.
 */
#include "support.h"

#include "service/record_format.h"

#include <netinet/in.h>

#define MS UINT64_C(1000000)
#define BEGUN (UINT64_C(1764547200) * 1000 * MS)
#define PACKETS_MAX 32

/* The whole file: beginning, messages, end. */
static struct dynbuf written(enum record_format format, const struct record_about *about,
	const struct record_message *message, size_t count) {
	const struct record_writer *writer = record_writer_of(format);
	struct record_state state = {0};
	struct dynbuf out = {0};
	assert_int_equal(writer->begin(&state, about, &out), 0);
	for(size_t i = 0; i < count; i++) {
		assert_int_equal(writer->message(&state, about, &message[i], &out), 0);
	}
	assert_int_equal(writer->end(&state, about, 5000 * MS, &out), 0);
	return out;
}

static void assert_written(enum record_format format, const struct record_message *message,
	size_t count, const char *expected) {
	const struct record_about about = {.id = 1, .begun_ns = BEGUN};
	struct dynbuf out = written(format, &about, message, count);
	assert_int_equal(out.len, strlen(expected));
	assert_memory_equal(out.data, expected, out.len);
	dynbuf_free(&out);
}

static const uint8_t tricky[] = {
	'a', '\'', '\\', '\t', '\n', '\r', 0, 0x1f, ' ', '~', 0x7f, 0x80, 0xff, '}', '{', '"'};

static const struct record_message messages[] = {
	{0, false, 2, (const uint8_t *)"RFB 003.008\n", 12},
	{999999, true, 2, tricky, sizeof(tricky)},
	{MS, true, 1, (const uint8_t *)"", 0},
	{123456 * MS + 1, false, 1, (const uint8_t *)"ab", 2},
};

/* As Python's unicode_escape, and then the quote. */
static void test_novnc(void **state) {
	(void)state;
	assert_written(RECORD_NOVNC, messages, COUNT(messages),
		"var VNC_frame_data = [\n"
		"'{0{RFB 003.008\\n',\n"
		"'}0}a\\'\\\\\\t\\n\\r\\x00\\x1f ~\\x7f\\x80\\xff}{\"',\n"
		"'}1}',\n"
		"'{123456{ab',\n"
		"'EOF'];\n");
	assert_written(RECORD_NOVNC, NULL, 0, "var VNC_frame_data = [\n'EOF'];\n");
}

/* Long messages take another way: every byte on it, at the end of readable memory. */
static void test_novnc_of_long_messages(void **state) {
	struct guard data = guard_new(NULL, 4096);
	const struct record_message message = {0, false, 2, data.data, 4096};
	char expected[5 * 4096] = "var VNC_frame_data = [\n'{0{";
	static const char specials[] = "\\'\t\n\r";
	char *at = expected + strlen(expected);
	(void)state;
	for(size_t i = 0; i < 4096; i++) {
		uint8_t byte = (uint8_t)(i * 7 + (i >> 8));
		const char *special = byte ? strchr(specials, byte) : NULL;
		data.data[i] = byte;
		if(special) {
			at += sprintf(at, "\\%c", "\\'tnr"[special - specials]);
		} else {
			at += sprintf(at, byte >= 0x20 && byte < 0x7f ? "%c" : "\\x%02x", byte);
		}
	}
	strcpy(at, "',\n'EOF'];\n");
	assert_written(RECORD_NOVNC, &message, 1, expected);
	guard_free(&data);
}

static void test_jsonl(void **state) {
	(void)state;
	assert_written(RECORD_JSONL, messages, COUNT(messages),
		"{\"t\":0,\"dir\":\"tx\",\"op\":2,\"data\":\"UkZCIDAwMy4wMDgK\"}\n"
		"{\"t\":999999,\"dir\":\"rx\",\"op\":2,\"data\":\"YSdcCQoNAB8gfn+A/317Ig==\"}\n"
		"{\"t\":1000000,\"dir\":\"rx\",\"op\":1,\"data\":\"\"}\n"
		"{\"t\":123456000001,\"dir\":\"tx\",\"op\":1,\"data\":\"YWI=\"}\n");
	assert_written(RECORD_JSONL, NULL, 0, "");
}

/* ---- pcapng ---- */

static uint32_t word(const uint8_t *at) {
	uint32_t value;
	memcpy(&value, at, sizeof(value));
	return value;
}

static uint32_t big(const uint8_t *at, size_t bytes) {
	uint32_t value = 0;
	for(size_t i = 0; i < bytes; i++) {
		value = value << 8 | at[i];
	}
	return value;
}

/* A packet as it is in the file. */
struct seen {
	bool ip6, from_client;
	uint8_t flags;
	uint32_t sequence, acknowledged;
	uint64_t at_ns;
	uint16_t source, target;
	const uint8_t *data;
	size_t len;
};

/* RFC 1071 in its simplest form; right checksums make the sum of all 0xffff. */
static uint32_t plain_sum(const uint8_t *data, size_t len, uint32_t total) {
	for(size_t i = 0; i < len; i++) {
		total += i % 2 ? data[i] : (uint32_t)data[i] << 8;
		total = (total & 0xffff) + (total >> 16);
	}
	return total;
}

static void take_packet(const uint8_t *packet, size_t len, struct seen *seen) {
	seen->ip6 = packet[0] >> 4 == 6;
	size_t ip = seen->ip6 ? 40 : 20;
	assert_true(len >= ip + 20);
	size_t total = seen->ip6 ? 40 + big(packet + 4, 2) : big(packet + 2, 2);
	assert_int_equal(total, len);
	assert_int_equal(packet[seen->ip6 ? 6 : 9], IPPROTO_TCP);
	if(!seen->ip6) {
		assert_int_equal(plain_sum(packet, 20, 0), 0xffff);
	}
	uint32_t check = seen->ip6 ? plain_sum(packet + 8, 32, 0) : plain_sum(packet + 12, 8, 0);
	check += IPPROTO_TCP + (uint32_t)(len - ip);
	assert_int_equal(plain_sum(packet + ip, len - ip, check), 0xffff);
	const uint8_t *tcp = packet + ip;
	seen->source = (uint16_t)big(tcp, 2);
	seen->target = (uint16_t)big(tcp + 2, 2);
	seen->sequence = big(tcp + 4, 4);
	seen->acknowledged = big(tcp + 8, 4);
	seen->flags = tcp[13];
	seen->data = tcp + 20;
	seen->len = len - ip - 20;
}

/* Takes the file apart; each block has its length at both ends. */
static size_t take_apart(
	const struct dynbuf *file, struct seen seen[PACKETS_MAX], uint16_t client) {
	size_t packets = 0;
	assert_int_equal(word(file->data), 0x0a0d0d0a);
	assert_int_equal(word(file->data + 8), 0x1a2b3c4d);
	for(size_t at = 0; at < file->len;) {
		const uint8_t *block = file->data + at;
		uint32_t len = word(block + 4);
		assert_true(len % 4 == 0 && len >= 12 && len <= file->len - at);
		assert_int_equal(word(block + len - 4), len);
		if(word(block) == 6) {
			assert_true(packets < PACKETS_MAX);
			assert_int_equal(word(block + 20), word(block + 24));
			take_packet(block + 28, word(block + 20), &seen[packets]);
			seen[packets].at_ns = (uint64_t)word(block + 12) << 32 | word(block + 16);
			seen[packets].from_client = seen[packets].source == client;
			packets++;
		}
		at += len;
	}
	return packets;
}

/* Nothing is missing and nothing comes twice, and each side has acknowledged all of the other's. */
static void check_sequence(const struct seen *seen, size_t count) {
	uint32_t next[2] = {0};
	for(size_t i = 0; i < count; i++) {
		bool side = seen[i].from_client;
		assert_int_equal(seen[i].sequence, next[side]);
		assert_int_equal(seen[i].acknowledged, seen[i].flags & 0x10 ? next[!side] : 0);
		next[side] += (uint32_t)seen[i].len + (seen[i].flags & 0x03 ? 1 : 0);
	}
}

static union address address_from(const char *text) {
	union address address;
	assert_int_equal(address_parse_endpoint((struct slice){text, strlen(text)}, &address), 0);
	return address;
}

static void test_pcapng(void **state) {
	struct record_about about = {
		.id = 1, .begun_ns = BEGUN, .path = "/path", .protocol = "binary"};
	struct seen seen[PACKETS_MAX];
	(void)state;
	about.client = address_from("192.0.2.1:40000");
	about.server = address_from("192.0.2.2:8001");
	struct dynbuf file = written(RECORD_PCAPNG, &about, messages, COUNT(messages));
	size_t count = take_apart(&file, seen, 40000);
	assert_int_equal(count, 3 + 2 + COUNT(messages) + 2);
	check_sequence(seen, count);
	assert_memory_equal(seen[3].data, "GET /path HTTP/1.1\r\n", 20);
	assert_memory_equal(seen[4].data, "HTTP/1.1 101 ", 13);
	/* The first message, from the server, and the second, masked with zeros. */
	assert_int_equal(seen[5].len, 2 + 12);
	assert_memory_equal(seen[5].data, "\x82\x0cRFB 003.008\n", 14);
	assert_int_equal(seen[6].len, 2 + 4 + sizeof(tricky));
	assert_memory_equal(seen[6].data, "\x82\x90\0\0\0\0", 6);
	assert_memory_equal(seen[6].data + 6, tricky, sizeof(tricky));
	assert_true(seen[6].at_ns == BEGUN + 999999);
	assert_int_equal(seen[count - 1].flags & 0x01, 0x01);
	dynbuf_free(&file);
}

static void test_pcapng_cuts_large_messages(void **state) {
	struct record_about about = {.id = 1, .begun_ns = BEGUN, .path = "/"};
	struct guard large = guard_new(NULL, 100000);
	struct record_message message = {0, false, 2, large.data, 100000};
	struct seen seen[PACKETS_MAX];
	(void)state;
	about.client = address_from("[2001:db8::1]:40000");
	about.server = address_from("[2001:db8::2]:8001");
	struct dynbuf file = written(RECORD_PCAPNG, &about, &message, 1);
	size_t count = take_apart(&file, seen, 40000);
	size_t total = 0;
	check_sequence(seen, count);
	for(size_t i = 5; i < count; i++) {
		assert_true(seen[i].ip6);
		total += seen[i].len;
	}
	assert_int_equal(total, 10 + 100000);
	dynbuf_free(&file);
	guard_free(&large);
}

/* Clients of Unix sockets have no address, and a proxy may have told one of another kind. */
static void test_pcapng_needs_no_addresses(void **state) {
	struct record_about about = {.id = 1, .begun_ns = BEGUN, .path = "/"};
	struct seen seen[PACKETS_MAX];
	(void)state;
	about.client.any.sa_family = AF_UNIX;
	about.server.any.sa_family = AF_UNIX;
	struct dynbuf file = written(RECORD_PCAPNG, &about, messages, 1);
	size_t count = take_apart(&file, seen, 49152);
	check_sequence(seen, count);
	assert_int_equal(seen[0].target, 80);
	dynbuf_free(&file);
	about.client = address_from("192.0.2.1:40000");
	about.server = address_from("[2001:db8::2]:8001");
	file = written(RECORD_PCAPNG, &about, messages, 1);
	count = take_apart(&file, seen, 40000);
	check_sequence(seen, count);
	assert_true(seen[0].ip6 && seen[1].ip6);
	dynbuf_free(&file);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_novnc),
		cmocka_unit_test(test_novnc_of_long_messages),
		cmocka_unit_test(test_jsonl),
		cmocka_unit_test(test_pcapng),
		cmocka_unit_test(test_pcapng_cuts_large_messages),
		cmocka_unit_test(test_pcapng_needs_no_addresses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
