/* SPDX-License-Identifier: BSD-2-Clause
 *
 * site.c against a tree with traps: whatever is asked for, nothing from outside the root is
 * answered.
 */
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

/* A uid without any rights, for what root would be allowed to read. */
#define NOBODY 65534

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

static void put(const struct tree *tree, const char *name, const char *content) {
	char path[256];
	snprintf(path, sizeof(path), "%s/%s", tree->base, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(content, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void make_directory(const struct tree *tree, const char *name) {
	char path[256];
	snprintf(path, sizeof(path), "%s/%s", tree->base, name);
	assert_int_equal(mkdir(path, 0755), 0);
}

static void make_link(const struct tree *tree, const char *name, const char *target) {
	char path[256];
	snprintf(path, sizeof(path), "%s/root/%s", tree->base, name);
	assert_int_equal(symlink(target, path), 0);
}

static void make_links(const struct tree *tree) {
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

static void make_specials(const struct tree *tree) {
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

static int set_up(void **state) {
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

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *place) {
	(void)info;
	(void)type;
	(void)place;
	return remove(path);
}

static int tear_down(void **state) {
	struct tree *tree = *state;
	site_close(tree->site);
	nftw(tree->base, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	free(tree);
	return 0;
}

static struct request request_for(const char *method, const char *target, size_t len) {
	return (struct request){
		.method = {.at = method, .len = strlen(method)},
		.target = {.at = target, .len = len},
		.minor = 1,
	};
}

/* Asks, with a target that ends at an unreadable page, and reads the whole answer. */
static struct answer ask(
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

static int interruptions; /* so many lookups end with EINTR (--wrap in the Makefile) */

long __real_syscall(long number, long a, long b, long c, long d);
long __wrap_syscall(long number, long a, long b, long c, long d);

long __wrap_syscall(long number, long a, long b, long c, long d) {
	if(number == SYS_openat2 && interruptions > 0) {
		interruptions--;
		errno = EINTR;
		return -1;
	}
	return __real_syscall(number, a, b, c, d);
}

static struct answer get(const struct site *site, const char *target) {
	return ask(site, "GET", target, strlen(target));
}

/* The value of a field, in a buffer of the caller; empty when it is missing. */
static const char *field(const struct answer *answer, const char *name, char *out, size_t cap) {
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

static void assert_field(const struct answer *answer, const char *name, const char *value) {
	char out[SITE_HEAD_MAX];
	assert_string_equal(field(answer, name, out, sizeof(out)), value);
}

/* Checks the fields that all responses have. */
static void assert_complete(const struct answer *answer, unsigned status) {
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
static int next_descriptor(void) {
	int fd = dup(0);
	close(fd);
	return fd;
}

static void test_files(void **state) {
	const struct tree *tree = *state;
	int before = next_descriptor();
	for(size_t i = 0; i < COUNT(files); i++) {
		struct answer answer = get(tree->site, files[i].target);
		assert_complete(&answer, 200);
		assert_string_equal(answer.text + answer.head_len, files[i].body);
		assert_field(&answer, "Content-Type", files[i].type);
		assert_field(&answer, "Referrer-Policy", "no-referrer");
		assert_field(&answer, "Cache-Control", "no-cache");
		struct answer head =
			ask(tree->site, "HEAD", files[i].target, strlen(files[i].target));
		char length[32];
		assert_int_equal(head.status, 200);
		assert_false(head.has_file);
		assert_int_equal(head.len, head.head_len);
		assert_field(&head, "Content-Length",
			field(&answer, "Content-Length", length, sizeof(length)));
	}
	assert_int_equal(next_descriptor(), before);
}

/* Links that stay inside work; without openat2 no links do. */
static void test_links_inside(void **state) {
	const struct tree *tree = *state;
	static const char *const targets[] = {"/inside", "/inside-up"};
	for(size_t i = 0; i < COUNT(targets); i++) {
		struct answer answer = get(tree->site, targets[i]);
		assert_complete(&answer, 200);
		assert_string_equal(answer.text + answer.head_len, "page");
	}
	struct answer answer = get(tree->site, "/inside-dir/deep/file.txt");
	assert_complete(&answer, 200);
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
static bool yields_nothing(const struct site *site, const char *target, size_t len) {
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

static bool all_yield_nothing(const struct site *site) {
	int before = next_descriptor();
	bool good = true;
	for(size_t i = 0; i < COUNT(traps); i++) {
		good = yields_nothing(site, traps[i].target, traps[i].len) && good;
	}
	return good && next_descriptor() == before;
}

static void test_traps(void **state) {
	const struct tree *tree = *state;
	assert_true(all_yield_nothing(tree->site));
}

static void test_long_targets(void **state) {
	static const char *const parts[] = {"/../", "/a", "a", "%2e%2e%2f", "/sub/..", "%41", "//"};
	static const size_t lens[] = {
		254, 255, 256, 1023, 4070, 4084, 4085, 4086, 4095, 4096, 4097, 20000};
	const struct tree *tree = *state;
	char target[20001];
	for(size_t part = 0; part < COUNT(parts); part++) {
		for(size_t i = 0; i < COUNT(lens); i++) {
			target[0] = '/';
			for(size_t fill = 1; fill < lens[i]; fill++) {
				target[fill] = parts[part][(fill - 1) % strlen(parts[part])];
			}
			assert_true(yields_nothing(tree->site, target, lens[i]));
		}
	}
	/* A path of 4084 bytes leaves just the room for index.html and its NUL. */
	memset(target, '/', sizeof(target));
	for(size_t i = 1; i < sizeof(target); i += 2) {
		target[i] = 'a';
	}
	for(size_t len = 4070; len < 4110; len++) {
		assert_int_equal(
			ask(tree->site, "GET", target, len).status, len <= 4084 ? 404 : 414);
	}
	memset(target + 1, 'a', 20000);
	assert_int_equal(ask(tree->site, "GET", target, 20001).status, 414);
}

/* Makes openat2 fail in this process from now on. */
static bool forbid_openat2(int error) {
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), /* the number of the system call */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = COUNT(filter), .filter = filter};
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0 &&
		syscall(SYS_openat2, AT_FDCWD, ".", NULL, 0) == -1 && errno == error;
}

/* Runs `check` in a child after openat2 has been taken away; 0: good, 1: bad, 2: not possible here.
 */
static int without_openat2(
	int error, const struct site *site, bool (*check)(const struct site *site)) {
	int status = 0;
	pid_t child = fork();
	assert_true(child >= 0);
	if(child == 0) {
		_exit(forbid_openat2(error) ? !check(site) : 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* As it happens on network file systems. */
static void test_interrupted_lookup(void **state) {
	const struct tree *tree = *state;
	interruptions = 3;
	struct answer answer = get(tree->site, files[0].target);
	assert_int_equal(interruptions, 0);
	assert_int_equal(answer.status, 200);
}

static bool serves_without_openat2(const struct site *site) {
	bool good = all_yield_nothing(site) && yields_nothing(site, TEXT("/inside"));
	for(size_t i = 0; i < COUNT(files); i++) {
		struct answer answer = get(site, files[i].target);
		if(answer.status != 200 ||
			strcmp(answer.text + answer.head_len, files[i].body) != 0) {
			fprintf(stderr, "%s: %u\n", files[i].target, answer.status);
			good = false;
		}
	}
	return good;
}

static void test_without_openat2(void **state) {
	static const int errors[] = {ENOSYS, EPERM};
	const struct tree *tree = *state;
	for(size_t i = 0; i < COUNT(errors); i++) {
		int result = without_openat2(errors[i], tree->site, serves_without_openat2);
		if(result == 2) {
			skip();
		}
		assert_int_equal(result, 0);
	}
}

static const struct {
	const char *target;
	const char *location;
} redirects[] = {
	{"/sub", "sub/"},
	{"/sub?a=b&c", "sub/?a=b&c"},
	{"/s%75b", "sub/"},
	{"/sub%2fdeep", "sub/deep/"},
	{"/sub/deep", "deep/"},
	{"/inside-dir", "inside-dir/"},
	{"/empty", "empty/"},
	{"/\\evil.example", "%5Cevil.example/"},
	{"/%5cevil.example", "%5Cevil.example/"},
	{"/r%c3%a4%22%0a%3c", "r%C3%A4%22%0A%3C/"},
	{"/.well-known", ".well-known/"},
};

static void test_redirects(void **state) {
	const struct tree *tree = *state;
	char target[4096];
	for(size_t i = 0; i < COUNT(redirects); i++) {
		struct answer answer = get(tree->site, redirects[i].target);
		assert_complete(&answer, 301);
		assert_field(&answer, "Location", redirects[i].location);
	}
	for(size_t len = 5; len < sizeof(target); len++) {
		memcpy(target, "/sub?", 5);
		memset(target + 5, 'q', len - 5);
		struct answer answer = ask(tree->site, "GET", target, len);
		assert_complete(&answer, len < 1024 ? 301 : answer.status);
		assert_true(answer.status == 301 || (answer.status == 414 && len >= 1024));
		if(answer.status == 301) { /* whole, or not at all */
			char location[SITE_HEAD_MAX];
			assert_int_equal(
				strlen(field(&answer, "Location", location, sizeof(location))),
				len);
		}
	}
}

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

static void test_last_modified(void **state) {
	const struct tree *tree = *state;
	const struct timespec known[2] = {{.tv_sec = KNOWN_TIME}, {.tv_sec = KNOWN_TIME}};
	const struct timespec future[2] = {{.tv_sec = 4102444800}, {.tv_sec = 4102444800}};
	char path[256];
	char date[64];
	snprintf(path, sizeof(path), "%s/page.html", tree->root);
	assert_int_equal(utimensat(AT_FDCWD, path, known, 0), 0);
	struct answer answer = get(tree->site, "/page.html");
	assert_field(&answer, "Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT");
	assert_int_equal(utimensat(AT_FDCWD, path, future, 0), 0);
	answer = get(tree->site, "/page.html");
	assert_field(&answer, "Last-Modified", field(&answer, "Date", date, sizeof(date)));
}

static void test_methods(void **state) {
	static const char *const methods[] = {"POST", "PUT", "DELETE", "OPTIONS", "TRACE",
		"CONNECT", "get", "head", "GETX", "GE", "HEADER", "PRI"};
	const struct tree *tree = *state;
	const struct site *sites[] = {NULL, tree->site};
	for(size_t i = 0; i < COUNT(methods) * COUNT(sites); i++) {
		struct answer answer = ask(sites[i % 2], methods[i / 2], "/page.html", 10);
		assert_complete(&answer, 405);
		assert_field(&answer, "Allow", "GET, HEAD");
	}
}

static void test_no_site(void **state) {
	static const char *const targets[] = {"/", "/x", "*", "/%", "/../secret.txt"};
	(void)state;
	for(size_t i = 0; i < COUNT(targets); i++) {
		struct answer answer = get(NULL, targets[i]);
		assert_complete(&answer, 426);
		assert_field(&answer, "Upgrade", "websocket");
		assert_field(&answer, "Sec-WebSocket-Version", "13");
		assert_non_null(strstr(answer.text, "\r\nConnection: Upgrade\r\n"));
		assert_field(&answer, "Content-Type", "text/plain; charset=utf-8");
		const char *body = answer.text + answer.head_len;
		assert_ptr_equal(strchr(body, '\n'), body + strlen(body) - 1); /* one line */
		struct answer head = ask(NULL, "HEAD", targets[i], strlen(targets[i]));
		assert_int_equal(head.status, 426);
		assert_int_equal(head.len, head.head_len);
	}
}

/* One file as the site: an edit shows, also when the editor writes a new file and renames it. */
static void test_single_file(void **state) {
	const struct tree *tree = *state;
	struct site *site;
	const char *error = NULL;
	char path[256];
	char other[256];
	put(tree, "single.html", "first");
	snprintf(path, sizeof(path), "%s/single.html", tree->base);
	snprintf(other, sizeof(other), "%s/other", tree->base);
	assert_int_equal(site_open(path, &site, &error), 0);
	assert_true(all_yield_nothing(site));
	static const char *const missing[] = {
		"/single.html", "/index.html", "/page.html", "/secret.txt"};
	for(size_t i = 0; i < COUNT(missing); i++) {
		assert_true(yields_nothing(site, missing[i], strlen(missing[i])));
	}
	struct answer answer = get(site, "/?query");
	assert_complete(&answer, 200);
	assert_field(&answer, "Content-Type", "text/html; charset=utf-8");
	assert_string_equal(answer.text + answer.head_len, "first");
	put(tree, "other", "second");
	assert_int_equal(rename(other, path), 0);
	answer = get(site, "/");
	assert_string_equal(answer.text + answer.head_len, "second");
	assert_int_equal(unlink(path), 0);
	assert_true(yields_nothing(site, TEXT("/")));
	assert_int_equal(mkfifo(path, 0666), 0);
	assert_true(yields_nothing(site, TEXT("/")));
	assert_int_equal(unlink(path), 0);
	site_close(site);
}

/* A relative path means the working directory of the start. */
static void test_relative_path(void **state) {
	static const char *const paths[] = {"root", "./root/", "root/page.html", "root/inside"};
	static const char *const bodies[] = {"<h1>start</h1>", "<h1>start</h1>", "page", "page"};
	const struct tree *tree = *state;
	int before = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	for(size_t i = 0; i < COUNT(paths); i++) {
		struct site *site;
		const char *error = NULL;
		assert_int_equal(chdir(tree->base), 0);
		assert_int_equal(site_open(paths[i], &site, &error), 0);
		assert_int_equal(chdir("/"), 0);
		struct answer answer = get(site, "/");
		assert_complete(&answer, 200);
		assert_string_equal(answer.text + answer.head_len, bodies[i]);
		site_close(site);
	}
	assert_int_equal(fchdir(before), 0);
	close(before);
}

static void test_open_errors(void **state) {
	static const struct {
		const char *name;
		int result;
	} cases[] = {
		{"nowhere", -ENOENT},
		{"nowhere/page.html", -ENOENT},
		{"root/page.html/", -ENOTDIR},
		{"root/dangling", -ENOENT},
		{"root/loop", -ELOOP},
		{"root/fifo", -EINVAL},
		{"root/socket", -EINVAL},
		{"root/etc/../dev/null", -EINVAL},
	};
	const struct tree *tree = *state;
	for(size_t i = 0; i < COUNT(cases); i++) {
		struct site *site = tree->site;
		const char *error = NULL;
		char path[256];
		snprintf(path, sizeof(path), "%s/%s", tree->base, cases[i].name);
		alarm(600);
		assert_int_equal(site_open(path, &site, &error), cases[i].result);
		alarm(0);
		assert_null(site);
		assert_non_null(error);
	}
	struct site *site;
	const char *error = NULL;
	assert_int_equal(site_open("", &site, &error), -ENOENT);
	site_close(NULL);
}

/* In a child without rights: 0 when all is refused as it should be, else the number of the check.
 */
static int check_unreadable(const struct tree *tree) {
	struct site *site;
	const char *error = NULL;
	char path[256];
	if(geteuid() == 0 && (setgid(NOBODY) < 0 || setuid(NOBODY) < 0)) {
		return 1;
	}
	if(get(tree->site, "/locked.txt").status != 403 ||
		get(tree->site, "/locked/").status != 403 ||
		get(tree->site, "/locked/x").status != 403) {
		return 2;
	}
	snprintf(path, sizeof(path), "%s/locked.txt", tree->root);
	if(site_open(path, &site, &error) != -EACCES || !strstr(error, "permission denied")) {
		return 3;
	}
	snprintf(path, sizeof(path), "%s/locked", tree->root);
	if(site_open(path, &site, &error) != -EACCES || !strstr(error, "permission denied")) {
		return 4;
	}
	snprintf(path, sizeof(path), "%s/listed", tree->root);
	return site_open(path, &site, &error) != -EACCES ? 5 : 0;
}

static void test_unreadable(void **state) {
	const struct tree *tree = *state;
	char path[256];
	int status = 0;
	put(tree, "root/locked.txt", "SECRET");
	snprintf(path, sizeof(path), "%s/locked.txt", tree->root);
	assert_int_equal(chmod(path, 0), 0);
	snprintf(path, sizeof(path), "%s/locked", tree->root);
	assert_int_equal(mkdir(path, 0), 0);
	snprintf(path, sizeof(path), "%s/listed", tree->root);
	assert_int_equal(mkdir(path, 0), 0);
	assert_int_equal(chmod(path, 0444), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if(child == 0) {
		_exit(check_unreadable(tree));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* Without a free descriptor the response is 503, and the site stays usable. */
static void test_no_descriptors(void **state) {
	const struct tree *tree = *state;
	struct rlimit before;
	int next = next_descriptor();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	struct rlimit tight = {.rlim_cur = (rlim_t)next, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	struct answer answer = get(tree->site, "/page.html");
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_complete(&answer, 503);
	answer = get(tree->site, "/page.html");
	assert_complete(&answer, 200);
}

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

/* Off, then on: what is listed, and that all traps stay what they are. */
static void test_listing(void **state) {
	const struct tree *tree = *state;
	int before = next_descriptor();
	struct answer answer = get(tree->site, "/empty/");
	assert_complete(&answer, 404);
	assert_int_equal(site_set_listing(tree->site, true), 0);
	answer = get(tree->site, "/sub/deep/");
	assert_complete(&answer, 200);
	assert_non_null(strstr(answer.text, "<a href=\"./file.txt\">file.txt</a>"));
	answer = get(tree->site, "/r%c3%a4%22%0a%3c/");
	assert_complete(&answer, 200);
	assert_non_null(strstr(answer.text, "&lt;/</title>"));
	answer = get(tree->site, "/");
	assert_non_null(strstr(answer.text, "start"));
	for(size_t i = 0; i < COUNT(traps); i++) {
		bool listed = strcmp(traps[i].target, "/empty/") == 0;
		assert_true(listed || yields_nothing(tree->site, traps[i].target, traps[i].len));
	}
	assert_int_equal(site_set_listing(tree->site, false), 0);
	assert_int_equal(next_descriptor(), before);
}

/* An absolute form may have a query and no path (RFC 9110, 4.2.3). */
static void test_empty_path(void **state) {
	const struct tree *tree = *state;
	struct answer answer = get(tree->site, "?/../secret.txt");
	assert_complete(&answer, 200);
	assert_non_null(strstr(answer.text, "start"));
}

/* RFC 8615: the one hidden name that is public; those in it are hidden as everywhere. */
static void test_well_known(void **state) {
	static const char *const hidden[] = {"/.well-known/.git", "/.well-known/../secret.txt",
		"/.well-known//token", "/sub/.well-known/token", "/.well-knownx",
		"/.well-known/.."};
	const struct tree *tree = *state;
	struct answer answer = get(tree->site, "/.well-known/token");
	assert_complete(&answer, 200);
	assert_string_equal(answer.text + answer.head_len, "public");
	for(size_t i = 0; i < COUNT(hidden); i++) {
		answer = get(tree->site, hidden[i]);
		assert_complete(&answer, 404);
	}
}

/* A configured field replaces the default of its name; that of a listing is not loosened. */
static void test_configured_fields(void **state) {
	static char *headers[] = {"X-Own: 1", "cache-control: max-age=9",
		"Content-Security-Policy: script-src 'self'"};
	static char *sites[] = {"self", "https://*.example.com:8443"};
	const struct tree *tree = *state;
	assert_int_equal(
		site_set_fields(tree->site, (struct page_fields_values){headers, COUNT(headers)},
			(struct page_fields_values){sites, COUNT(sites)}),
		0);
	assert_int_equal(site_set_listing(tree->site, true), 0);
	struct answer answer = get(tree->site, "/page.html");
	assert_complete(&answer, 200);
	assert_field(&answer, "X-Own", "1");
	assert_field(&answer, "cache-control", "max-age=9");
	assert_field(&answer, "Cache-Control", "");
	assert_field(&answer, "Content-Security-Policy", "script-src 'self'");
	answer = get(tree->site, "/sub/deep/");
	assert_complete(&answer, 200);
	assert_field(&answer, "Content-Security-Policy",
		"default-src 'none'; frame-ancestors 'self' https://*.example.com:8443");
	assert_int_equal(site_set_fields(tree->site, (struct page_fields_values){0},
				 (struct page_fields_values){sites, 1}),
		0);
	answer = get(tree->site, "/page.html");
	assert_field(&answer, "Content-Security-Policy", "frame-ancestors 'self'");
	assert_field(&answer, "Cache-Control", "no-cache");
	assert_int_equal(site_set_listing(tree->site, false), 0);
}

/* The inode is no part of the tag; a file that replaces another one has a different tag. */
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
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_links_inside),
		cmocka_unit_test(test_traps),
		cmocka_unit_test(test_long_targets),
		cmocka_unit_test(test_interrupted_lookup),
		cmocka_unit_test(test_without_openat2),
		cmocka_unit_test(test_redirects),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_last_modified),
		cmocka_unit_test(test_methods),
		cmocka_unit_test(test_no_site),
		cmocka_unit_test(test_single_file),
		cmocka_unit_test(test_relative_path),
		cmocka_unit_test(test_open_errors),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_no_descriptors),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_tags),
		cmocka_unit_test(test_variants),
		cmocka_unit_test(test_listing),
		cmocka_unit_test(test_empty_path),
		cmocka_unit_test(test_well_known),
		cmocka_unit_test(test_configured_fields),
		cmocka_unit_test(test_tag_of_replaced_file),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
