/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Media types of files.
 */
#include "http/site_bench.h"

static void test_types(void **state) {
	static const struct {
		const char *name;
		const char *type;
	} types[] = {
		{"t.html", "text/html; charset=utf-8"},
		{"t.HTM", "text/html; charset=utf-8"},
		{"t.css", "text/css; charset=utf-8"},
		{"t.js", "text/javascript; charset=utf-8"},
		{"t.mjs", "text/javascript; charset=utf-8"},
		{"t.json", "application/json"},
		{"t.js.map", "application/json"},
		{"t.svg", "image/svg+xml; charset=utf-8"},
		{"t.png", "image/png"},
		{"t.JPG", "image/jpeg"},
		{"t.jpeg", "image/jpeg"},
		{"t.gif", "image/gif"},
		{"t.webp", "image/webp"},
		{"t.avif", "image/avif"},
		{"t.ico", "image/vnd.microsoft.icon"},
		{"t.wasm", "application/wasm"},
		{"t.txt", "text/plain; charset=utf-8"},
		{"t.md", "text/markdown; charset=utf-8"},
		{"t.xml", "text/xml; charset=utf-8"},
		{"t.csv", "text/csv; charset=utf-8"},
		{"t.pdf", "application/pdf"},
		{"t.woff", "font/woff"},
		{"t.woff2", "font/woff2"},
		{"t.ttf", "font/ttf"},
		{"t.otf", "font/otf"},
		{"t.mp3", "audio/mpeg"},
		{"t.mp4", "video/mp4"},
		{"t.webm", "video/webm"},
		{"t.ogg", "audio/ogg"},
		{"t.webmanifest", "application/manifest+json"},
		{"t.html.bak", "application/octet-stream"},
		{"t.", "application/octet-stream"},
		{"html", "application/octet-stream"},
	};
	const struct tree *tree = *state;
	char name[64];
	for(size_t i = 0; i < COUNT(types); i++) {
		snprintf(name, sizeof(name), "root/%s", types[i].name);
		put(tree, name, "x");
		struct answer answer = get(tree->site, name + 4);
		assert_complete(&answer, 200);
		assert_field(&answer, "Content-Type", types[i].type);
	}
}

int main(void) {
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_types),
	};
	return cmocka_run_group_tests_name("mime", tests, set_up, tear_down);
}
