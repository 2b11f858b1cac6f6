/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A directory that is served, files beside it that must never be, and requests for both.
 */
#ifndef WEBSOCKSY_TESTS_SITE_BENCH_H
#define WEBSOCKSY_TESTS_SITE_BENCH_H
#include "support.h"

#include "http/response.h"
#include "http/site.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#define TEXT(literal) (literal), sizeof(literal) - 1

/* 1994-11-06 08:49:37 */
#define KNOWN_TIME 784111777

/* The scratch directory: `root` is served, what lies beside it must never be. */
struct tree {
	char base[64];
	char root[80];
	struct site *site;
};

struct answer {
	unsigned status;
	size_t head_len; /* up to and with the empty line */
	size_t len;
	bool has_file;
	char text[SITE_HEAD_MAX + 8192]; /* head and body, NUL-terminated */
};

static inline void put(const struct tree *tree, const char *name, const char *content) {
	char path[256];
	snprintf(path, sizeof(path), "%s/%s", tree->base, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(content, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static inline void make_directory(const struct tree *tree, const char *name) {
	char path[256];
	snprintf(path, sizeof(path), "%s/%s", tree->base, name);
	assert_int_equal(mkdir(path, 0755), 0);
}

static inline void make_link(const struct tree *tree, const char *name, const char *target) {
	char path[256];
	snprintf(path, sizeof(path), "%s/root/%s", tree->base, name);
	assert_int_equal(symlink(target, path), 0);
}

static inline void make_links(const struct tree *tree) {
	char path[256];
	make_link(tree, "inside", "page.html");
	make_link(tree, "inside-up", "sub/deep/../../page.html");
	make_link(tree, "inside-dir", "sub");
	make_link(tree, "out", "../secret.txt");
	make_link(tree, "out-twice", "out");
	make_link(tree, "out-dir", "..");
	make_link(tree, "out-and-in", "../root/page.html");
	make_link(tree, "sub/out-deep", "../../secret.txt");
	make_link(tree, "etc", "/etc");
	make_link(tree, "passwd", "/etc/passwd");
	make_link(tree, "slash", "/");
	make_link(tree, "magic", "/proc/self/root");
	make_link(tree, "cwd", "/proc/self/cwd");
	make_link(tree, "loop", "loop");
	make_link(tree, "dangling", "nowhere");
	snprintf(path, sizeof(path), "%s/secret.txt", tree->base);
	make_link(tree, "out-absolute", path);
	make_link(tree, "out-base", tree->base);
}

static inline void make_specials(const struct tree *tree) {
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char path[256];
	snprintf(path, sizeof(path), "%s/fifo", tree->root);
	assert_int_equal(mkfifo(path, 0666), 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", tree->root);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
}

static inline int set_up(void **state) {
	struct tree *tree = calloc(1, sizeof(*tree));
	const char *error = NULL;
	assert_non_null(tree);
	strcpy(tree->base, P_tmpdir "/websocksy-web-XXXXXX");
	assert_non_null(mkdtemp(tree->base));
	assert_int_equal(chmod(tree->base, 0755), 0);
	snprintf(tree->root, sizeof(tree->root), "%s/root", tree->base);
	put(tree, "secret.txt", "SECRET");
	static const char *const directories[] = {"root", "rootx", "root/sub", "root/sub/deep",
		"root/empty", "root/.git", "root/\\evil.example", "root/r\xc3\xa4\"\n<",
		"root/index", "root/.well-known", "root/.well-known/.git"};
	for(size_t i = 0; i < COUNT(directories); i++) {
		make_directory(tree, directories[i]);
	}
	put(tree, "rootx/secret.txt", "SECRET");
	put(tree, "root/.secret", "SECRET");
	put(tree, "root/.git/config", "SECRET");
	put(tree, "root/sub/.secret", "SECRET");
	put(tree, "root/.well-known/token", "public");
	put(tree, "root/index.html", "<h1>start</h1>");
	put(tree, "root/page.html", "page");
	put(tree, "root/a b+c.txt", "blank");
	put(tree, "root/back\\slash.txt", "backslash");
	put(tree, "root/%2e%2e", "percent");
	put(tree, "root/a..b", "dots");
	put(tree, "root/empty.txt", "");
	put(tree, "root/sub/index.html", "sub");
	put(tree, "root/sub/deep/file.txt", "deep");
	make_directory(tree, "root/index/index.html");
	make_links(tree);
	make_specials(tree);
	if(site_open(tree->root, &tree->site, &error) < 0) {
		fail_msg("%s", error);
	}
	*state = tree;
	return 0;
}

static inline int remove_entry(
	const char *path, const struct stat *info, int type, struct FTW *place) {
	(void)info;
	(void)type;
	(void)place;
	return remove(path);
}

static inline int tear_down(void **state) {
	struct tree *tree = *state;
	site_close(tree->site);
	nftw(tree->base, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	free(tree);
	return 0;
}

static inline struct request request_for(const char *method, const char *target, size_t len) {
	return (struct request){
		.method = {.at = method, .len = strlen(method)},
		.target = {.at = target, .len = len},
		.minor = 1,
	};
}

/* Asks, with a target that ends at an unreadable page, and reads the whole answer. */
static inline struct answer ask(
	const struct site *site, const char *method, const char *target, size_t len) {
	struct answer answer = {.status = 0};
	struct guard guard = guard_new(target, len);
	struct request request = request_for(method, (const char *)guard.data, len);
	struct site_response response;
	memset(&response, 0xa5, sizeof(response));
	alarm(600); /* a fifo that is opened the wrong way blocks */
	site_respond(site, &request, false, &response);
	alarm(0);
	guard_free(&guard);
	answer.status = response.status;
	answer.has_file = response.fd >= 0;
	memcpy(answer.text, response.head, response.head_len);
	answer.len = response.head_len;
	if(answer.has_file) {
		ssize_t got =
			pread(response.fd, answer.text + answer.len, 4096, (off_t)response.offset);
		close(response.fd);
		answer.len += got > 0 ? (size_t)got : 0;
		answer.status = got == (ssize_t)response.body_len ? answer.status : 0;
	} else if(response.body_len != 0) {
		answer.status = 0;
	}
	answer.text[answer.len] = '\0';
	const char *end = strstr(answer.text, "\r\n\r\n");
	answer.head_len = end ? (size_t)(end - answer.text) + 4 : 0;
	return answer;
}

static inline struct answer get(const struct site *site, const char *target) {
	return ask(site, "GET", target, strlen(target));
}

/* The value of a field, in a buffer of the caller; empty when it is missing. */
static inline const char *field(
	const struct answer *answer, const char *name, char *out, size_t cap) {
	char line[64];
	snprintf(line, sizeof(line), "\r\n%s: ", name);
	const char *at = strstr(answer->text, line);
	out[0] = '\0';
	if(at && (size_t)(at - answer->text) < answer->head_len) {
		at += strlen(line);
		snprintf(out, cap, "%.*s", (int)strcspn(at, "\r"), at);
	}
	return out;
}

static inline void assert_field(const struct answer *answer, const char *name, const char *value) {
	char out[SITE_HEAD_MAX];
	assert_string_equal(field(answer, name, out, sizeof(out)), value);
}

/* Checks the fields that all responses have. */
static inline void assert_complete(const struct answer *answer, unsigned status) {
	char line[64];
	char length[32];
	snprintf(line, sizeof(line), "HTTP/1.1 %u %s\r\n", status, response_status_text(status));
	assert_int_equal(answer->status, status);
	assert_memory_equal(answer->text, line, strlen(line));
	assert_true(answer->head_len > 0);
	assert_field(answer, "Connection", "close");
	assert_field(answer, "X-Content-Type-Options", "nosniff");
	field(answer, "Content-Length", length, sizeof(length));
	assert_int_equal(strtoul(length, NULL, 10), answer->len - answer->head_len);
}

static const struct {
	const char *target;
	const char *body;
	const char *type;
} files[] = {
	{"/", "<h1>start</h1>", "text/html; charset=utf-8"},
	{"/?x=/../y", "<h1>start</h1>", "text/html; charset=utf-8"},
	{"/index.html", "<h1>start</h1>", "text/html; charset=utf-8"},
	{"/page.html?", "page", "text/html; charset=utf-8"},
	{"/p%61ge%2Ehtml", "page", "text/html; charset=utf-8"},
	{"/a%20b+c.txt", "blank", "text/plain; charset=utf-8"},
	{"/back\\slash.txt", "backslash", "text/plain; charset=utf-8"},
	{"/back%5cslash.txt", "backslash", "text/plain; charset=utf-8"},
	{"/%252e%252e", "percent", "application/octet-stream"},
	{"/a..b", "dots", "application/octet-stream"},
	{"/empty.txt", "", "text/plain; charset=utf-8"},
	{"/sub/", "sub", "text/html; charset=utf-8"},
	{"/sub%2f", "sub", "text/html; charset=utf-8"},
	{"/sub/deep/file.txt", "deep", "text/plain; charset=utf-8"},
};

/* The lowest free descriptor: higher than before when one has been left open. */
static inline int next_descriptor(void) {
	int fd = dup(0);
	close(fd);
	return fd;
}

/* No target here may be served. */
static const struct {
	const char *target;
	size_t len;
} traps[] = {
	{TEXT("/../secret.txt")},
	{TEXT("/..")},
	{TEXT("/../")},
	{TEXT("/.")},
	{TEXT("/./")},
	{TEXT("/./page.html")},
	{TEXT("/../rootx/secret.txt")},
	{TEXT("/../root/page.html")},
	{TEXT("/sub/../../secret.txt")},
	{TEXT("/sub/../page.html")},
	{TEXT("/sub/..")},
	{TEXT("/../../../../../../../../etc/passwd")},
	{TEXT("/....//....//secret.txt")},
	{TEXT("/.../secret.txt")},
	{TEXT("/..;/secret.txt")},
	{TEXT("/%2e%2e/secret.txt")},
	{TEXT("/%2E%2E/secret.txt")},
	{TEXT("/.%2e/secret.txt")},
	{TEXT("/%2e./secret.txt")},
	{TEXT("/%2e%2e%2fsecret.txt")},
	{TEXT("/..%2fsecret.txt")},
	{TEXT("/..%2F..%2F..%2Fetc%2Fpasswd")},
	{TEXT("/%2f%2e%2e%2fsecret.txt")},
	{TEXT("/sub%2f..%2f..%2fsecret.txt")},
	{TEXT("/%252e%252e/secret.txt")},
	{TEXT("/%252e%252e%252fsecret.txt")},
	{TEXT("/..%252fsecret.txt")},
	{TEXT("/%25252e%25252e/secret.txt")},
	{TEXT("/%c0%ae%c0%ae/secret.txt")},
	{TEXT("/%c0%ae%c0%ae%c0%afsecret.txt")},
	{TEXT("/..%c0%afsecret.txt")},
	{TEXT("/%e0%80%ae%e0%80%ae/secret.txt")},
	{TEXT("/%uff0e%uff0e/secret.txt")},
	{TEXT("/\xc0\xae\xc0\xae/secret.txt")},
	{TEXT("/..\\secret.txt")},
	{TEXT("/..%5csecret.txt")},
	{TEXT("/sub\\..\\..\\secret.txt")},
	{TEXT("\\..\\secret.txt")},
	{TEXT("//etc/passwd")},
	{TEXT("///etc/passwd")},
	{TEXT("/%2fetc/passwd")},
	{TEXT("/%2fetc%2fpasswd")},
	{TEXT("//page.html")},
	{TEXT("//")},
	{TEXT("/sub//index.html")},
	{TEXT("/sub//")},
	{TEXT("/etc/passwd")},
	{TEXT("/passwd")},
	{TEXT("/etc")},
	{TEXT("/etc/")},
	{TEXT("/slash")},
	{TEXT("/slash/etc/passwd")},
	{TEXT("/magic")},
	{TEXT("/magic/etc/passwd")},
	{TEXT("/cwd/")},
	{TEXT("/out")},
	{TEXT("/out-twice")},
	{TEXT("/out-dir")},
	{TEXT("/out-dir/")},
	{TEXT("/out-dir/secret.txt")},
	{TEXT("/out-dir/root/page.html")},
	{TEXT("/out-and-in")},
	{TEXT("/out-absolute")},
	{TEXT("/out-base/secret.txt")},
	{TEXT("/sub/out-deep")},
	{TEXT("/inside-dir/out-deep")},
	{TEXT("/loop")},
	{TEXT("/loop/")},
	{TEXT("/dangling")},
	{TEXT("/.secret")},
	{TEXT("/%2esecret")},
	{TEXT("/sub/.secret")},
	{TEXT("/sub%2f.secret")},
	{TEXT("/.git")},
	{TEXT("/.git/config")},
	{TEXT("/%2egit/config")},
	{TEXT("/inside-dir/.secret")},
	{TEXT("/page.html%00")},
	{TEXT("/page.html%00.png")},
	{TEXT("/%00")},
	{TEXT("/%00/../secret.txt")},
	{TEXT("/..%00/secret.txt")},
	{TEXT("/page.html\0")},
	{TEXT("/\0")},
	{TEXT("/page.html/")},
	{TEXT("/page.html/.")},
	{TEXT("/page.html/x")},
	{TEXT("/page.html/..%2fsecret.txt")},
	{TEXT("/page.htm")},
	{TEXT("/PAGE.HTML")},
	{TEXT("/page.html ")},
	{TEXT("/page.html%20")},
	{TEXT("/page.html.")},
	{TEXT("/page.html~")},
	{TEXT("/page.html::$DATA")},
	{TEXT("/empty/")},
	{TEXT("/index/")},
	{TEXT("/fifo")},
	{TEXT("/fifo/")},
	{TEXT("/socket")},
	{TEXT("/%")},
	{TEXT("/%2")},
	{TEXT("/%zz")},
	{TEXT("/page.html%")},
	{TEXT("*")},
	{TEXT("secret.txt")},
	{TEXT("../secret.txt")},
	{TEXT("%2e%2e/secret.txt")},
	{TEXT("file:///etc/passwd")},
	{TEXT("/file:///etc/passwd")},
	{TEXT("/~root/")},
	{TEXT("/proc/self/environ")},
	{TEXT("/dev/null")},
};

/* No assertion: also runs in children, which must not go on with the tests when one fails. */
static inline bool yields_nothing(const struct site *site, const char *target, size_t len) {
	static const char *const methods[] = {"GET", "HEAD"};
	bool good = true;
	for(size_t i = 0; i < COUNT(methods); i++) {
		struct answer answer = ask(site, methods[i], target, len);
		if((answer.status != 404 && answer.status != 400 && answer.status != 414) ||
			answer.has_file || strstr(answer.text, "SECRET") ||
			strstr(answer.text, "root:")) {
			fprintf(stderr, "%s %.*s: %u\n%s\n", methods[i], (int)len, target,
				answer.status, answer.text);
			good = false;
		}
	}
	return good;
}

static inline bool all_yield_nothing(const struct site *site) {
	int before = next_descriptor();
	bool good = true;
	for(size_t i = 0; i < COUNT(traps); i++) {
		good = yields_nothing(site, traps[i].target, traps[i].len) && good;
	}
	return good && next_descriptor() == before;
}
#endif
