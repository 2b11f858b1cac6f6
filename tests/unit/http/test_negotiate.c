/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Ranges, conditions and codings of requests for files.
 */
#include "http/site_bench.h"

/* Asks for a file with one field; `keep`: the connection may be used again. */
static struct answer ask_with(const struct site *site, const char *target, const char *name,
	const char *value, bool keep) {
	struct answer answer = {.status = 0};
	struct request request = request_for("GET", target, strlen(target));
	struct site_response response;
	request.headers = 1;
	request.header[0] = (struct request_header){
		.name = {.at = name, .len = strlen(name)},
		.value = {.at = value, .len = strlen(value)},
	};
	site_respond(site, &request, keep, &response);
	answer.status = response.status;
	answer.head_len = response.head_len;
	answer.has_file = response.fd >= 0;
	memcpy(answer.text, response.head, response.head_len);
	if(answer.has_file) {
		ssize_t got = pread(response.fd, answer.text + answer.head_len,
			(size_t)response.body_len, (off_t)response.offset);
		assert_int_equal(got, response.body_len);
		close(response.fd);
	}
	answer.len = response.head_len + (size_t)response.body_len;
	answer.text[answer.len] = '\0';
	assert_string_equal(
		strstr(answer.text, keep ? "Connection: keep-alive" : "Connection: close")
			? "said"
			: answer.text,
		"said");
	assert_int_equal(response.keep, keep);
	return answer;
}

/* Every range of a small file, against the plain computation. */
static void test_ranges(void **state) {
	const struct tree *tree = *state;
	static const char content[] = "0123456789";
	const int size = sizeof(content) - 1;
	char value[64];
	put(tree, "root/range.txt", content);
	for(int first = 0; first < size + 2; first++) {
		for(int last = -1; last < size + 2; last++) { /* -1: to the end */
			char end[16] = "";
			char want[16];
			if(last >= 0) {
				snprintf(end, sizeof(end), "%d", last);
			}
			snprintf(value, sizeof(value), "bytes=%d-%s", first, end);
			struct answer answer =
				ask_with(tree->site, "/range.txt", "Range", value, true);
			int stop = last < 0 || last >= size ? size - 1 : last;
			bool invalid = last >= 0 && last < first;
			assert_int_equal(answer.status, invalid ? 200 : first >= size ? 416 : 206);
			if(answer.status == 206) {
				snprintf(want, sizeof(want), "%.*s", stop - first + 1,
					content + first);
				assert_string_equal(answer.text + answer.head_len, want);
			}
		}
	}
	for(int len = 0; len < size + 2; len++) {
		snprintf(value, sizeof(value), "bytes=-%d", len);
		struct answer answer = ask_with(tree->site, "/range.txt", "Range", value, false);
		assert_int_equal(answer.status, len == 0 ? 416 : 206);
		if(len > 0) {
			assert_string_equal(answer.text + answer.head_len,
				content + (len < size ? size - len : 0));
		}
	}
}

/* A 304 has the validators, and no body. */
static void test_tags(void **state) {
	const struct tree *tree = *state;
	char tag[SITE_HEAD_MAX];
	char other[SITE_HEAD_MAX];
	struct answer answer = get(tree->site, "/a%20b+c.txt");
	field(&answer, "ETag", tag, sizeof(tag));
	assert_int_equal(tag[0], '"');
	answer = ask_with(tree->site, "/a%20b+c.txt", "If-None-Match", tag, true);
	assert_int_equal(answer.status, 304);
	assert_int_equal(answer.len, answer.head_len);
	assert_field(&answer, "ETag", tag);
	assert_field(&answer, "Content-Length", "");
	answer = get(tree->site, "/back%5cslash.txt");
	assert_string_not_equal(field(&answer, "ETag", other, sizeof(other)), tag);
	answer = ask_with(tree->site, "/a%20b+c.txt", "If-None-Match", other, false);
	assert_complete(&answer, 200);
}

/* Variants never lead out of the root, and the descriptors of unused ones are closed. */
static void test_variants(void **state) {
	const struct tree *tree = *state;
	put(tree, "root/n.txt", "plain");
	make_link(tree, "n.txt.br", "../secret.txt");
	make_directory(tree, "root/n.txt.gz");
	int before = next_descriptor();
	struct answer answer = ask_with(tree->site, "/n.txt", "Accept-Encoding", "br, gzip", true);
	assert_string_equal(answer.text + answer.head_len, "plain");
	assert_field(&answer, "Content-Encoding", "");
	put(tree, "root/m.txt", "plain");
	put(tree, "root/m.txt.gz", "packed");
	answer = ask_with(tree->site, "/m.txt", "Accept-Encoding", "br, gzip", true);
	assert_string_equal(answer.text + answer.head_len, "packed");
	assert_field(&answer, "Content-Encoding", "gzip");
	assert_field(&answer, "Content-Type", "text/plain; charset=utf-8");
	answer = get(tree->site, "/m.txt");
	assert_string_equal(answer.text + answer.head_len, "plain");
	assert_field(&answer, "Vary", "Accept-Encoding");
	assert_int_equal(next_descriptor(), before);
}

/* The inode is not part of the tag; a file that replaces another one has a different tag. */
static void test_tag_of_replaced_file(void **state) {
	const struct timespec times[] = {{.tv_sec = KNOWN_TIME}, {.tv_sec = KNOWN_TIME}};
	const struct tree *tree = *state;
	char path[2][128];
	char tag[2][SITE_HEAD_MAX];
	struct stat info;
	char inode[32];
	for(int i = 0; i < 2; i++) {
		snprintf(path[i], sizeof(path[i]), "%s/tag%d", tree->root, i);
		put(tree, i ? "root/tag1" : "root/tag0", "same size");
		assert_int_equal(utimensat(AT_FDCWD, path[i], times, 0), 0);
	}
	assert_int_equal(stat(path[0], &info), 0);
	snprintf(inode, sizeof(inode), "%llx", (unsigned long long)info.st_ino);
	struct answer answer = get(tree->site, "/tag0");
	field(&answer, "ETag", tag[0], sizeof(tag[0]));
	assert_null(strstr(tag[0], inode));
	struct stat before = info;
	do { /* the clock of the file system has ticks */
		assert_int_equal(utimensat(AT_FDCWD, path[1], times, 0), 0);
		assert_int_equal(stat(path[1], &info), 0);
	} while(info.st_ctim.tv_sec == before.st_ctim.tv_sec &&
		info.st_ctim.tv_nsec == before.st_ctim.tv_nsec);
	assert_int_equal(rename(path[1], path[0]), 0);
	answer = get(tree->site, "/tag0");
	assert_string_not_equal(field(&answer, "ETag", tag[1], sizeof(tag[1])), tag[0]);
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_tags),
		cmocka_unit_test(test_tag_of_replaced_file),
		cmocka_unit_test(test_variants),
	};
	return cmocka_run_group_tests_name("negotiate", tests, set_up, tear_down);
}
