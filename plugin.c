/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Loads shared objects, keeps the registry of framing functions and asks the backend for peers.
 *
 * It must not know connections, HTTP or how a peer is reached: requests come in and answers go out
 * as plain data.
 *
 * What is loaded is a mutable global: functions of plugin API version 1, such as core_refuse(), have
 * no argument that could carry a context.
 *
 * Invariants: while code of a backend runs, it is the owner of what is registered; `view` is set
 * only during its query().
 */
#include "plugin.h"

#include "base/log.h"
#include "base/passes.h"

#include <assert.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The daemon serves nobody else during a query: a longer one is worth a line. */
#define SLOW_QUERY_MS 10

#define REFUSED_STATUS 403
#define REFUSED_MESSAGE "refused by the backend"

/* How often another descriptor number is tried for a private copy, see copy_resident(). */
#define COPY_TRIES 16
#define COPY_PIECE (1 << 20) /* bytes copied at once */

/* A loaded framing plugin. */
struct object {
	struct object *next;
	void *handle;
	dev_t device;
	ino_t inode;
	char path[];
};

/* The view that a backend gets, and what core_refuse() left behind it. */
struct query_view {
	websocket ws;
	unsigned status;
	char message[PLUGIN_MESSAGE_MAX];
};

struct backend {
	struct framing_owner owner;
	size_t references;
	char *name;
	const struct backend_builtin *builtin; /* NULL: a shared object */
	void *state; /* of the built-in one */
	void *handle;
	int copy_fd; /* the private copy that `handle` was loaded from, or -1 */
	ws_backend api;
	bool initialised; /* cleanup() is due */
	struct query_view view;
};

static struct {
	struct object *objects; /* newest first */
	const struct backend_builtin *builtin;
	struct query_view *view;
	size_t backends;
	struct log_limit limit;
} registry;

static uint64_t now_ms(void) {
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Not isalnum(): the rule must not follow a locale. */
static bool is_name(const char *name) {
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
	return name && *name && name[strspn(name, allowed)] == 0;
}

/*
 * May the file `path` in `directory` be run as code? A file that anybody could have written may
 * not; where everybody may create files (sticky directories such as the one for temporary files),
 * only those of root and our own. 0, or negative errno with a static text.
 */
static int check_trust(
	const char *directory, const char *path, struct stat *file, const char **why) {
	struct stat parent;
	if(stat(path, file) || stat(directory, &parent)) {
		int result = -errno;
		*why = strerror(-result);
		return result;
	}
	*why = NULL;
	if(!S_ISREG(file->st_mode)) {
		*why = "not a regular file";
	} else if(file->st_mode & S_IWOTH) {
		*why = "refused, because every user may write to it (chmod o-w)";
	} else if((parent.st_mode & S_IWOTH) && !(parent.st_mode & S_ISVTX)) {
		*why = "refused, because every user may write to its directory (chmod o-w)";
	} else if((parent.st_mode & S_IWOTH) && file->st_uid != 0 && file->st_uid != geteuid()) {
		*why = "refused, because every user may write to its directory and it is owned "
		       "neither by "
		       "root nor by the user of this process";
	}
	return *why ? -EPERM : 0;
}

static bool is_loaded(const char *path, const struct stat *file) {
	for(const struct object *object = registry.objects; object; object = object->next) {
		bool same_file = object->device == file->st_dev && object->inode == file->st_ino;
		if(same_file || !strcmp(object->path, path)) {
			return true;
		}
	}
	return false;
}

/* 0 (also for a plugin that is skipped) or -ENOMEM. */
static int load_object(const char *directory, const char *path) {
	const char *why;
	struct stat file;
	if(check_trust(directory, path, &file, &why)) {
		log_write(LOG_ERROR, "plugin %s: %s; not loaded", path, why);
		return 0;
	}
	if(is_loaded(path, &file)) {
		return 0;
	}
	size_t size = strlen(path) + 1;
	struct object *object = calloc(1, sizeof(*object) + size);
	if(!object) {
		return -ENOMEM;
	}
	memcpy(object->path, path, size);
	object->device = file.st_dev;
	object->inode = file.st_ino;
	object->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if(!object->handle) {
		log_write(LOG_ERROR, "plugin %s: %s; not loaded", path, dlerror());
		free(object);
		return 0;
	}
	object->next = registry.objects;
	registry.objects = object;
	log_write(LOG_DEBUG, "plugin %s: loaded", path);
	return 0;
}

static int load_name(const char *directory, const char *name) {
	char *path;
	if(asprintf(&path, "%s/%s", directory, name) < 0) {
		return -ENOMEM;
	}
	int result = load_object(directory, path);
	free(path);
	return result;
}

static int is_framing_plugin(const struct dirent *file) {
	const char *name = file->d_name;
	size_t len = strlen(name);
	return len > 3 && !strcmp(name + len - 3, ".so") && name[0] != '.' &&
		strncmp(name, "backend_", 8) != 0;
}

/* Not alphasort(): the order must not follow a locale. */
static int compare_names(const struct dirent **left, const struct dirent **right) {
	return strcmp((*left)->d_name, (*right)->d_name);
}

int plugin_load_directory(const char *directory) {
	if(directory[0] != '/') {
		log_write(LOG_ERROR, "plugin directory %s: must be an absolute path", directory);
		return -EINVAL;
	}
	struct dirent **file;
	int files = scandir(directory, &file, is_framing_plugin, compare_names);
	if(files < 0) {
		int error = errno;
		log_write(error == ENOENT ? LOG_DEBUG : LOG_WARNING,
			"plugin directory %s: %s; no plugins are loaded", directory,
			strerror(error));
		return error == ENOMEM ? -ENOMEM : 0;
	}
	int result = 0;
	for(int i = 0; i < files; i++) {
		if(!result) {
			result = load_name(directory, file[i]->d_name);
		}
		free(file[i]);
	}
	free(file);
	return result;
}

void plugin_set_builtin_backend(const struct backend_builtin *builtin) {
	registry.builtin = builtin;
}

static int __attribute__((format(printf, 3, 4)))
fail(char error[PLUGIN_ERROR_MAX], int result, const char *format, ...) {
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(error, PLUGIN_ERROR_MAX, format, arguments);
	va_end(arguments);
	return result;
}

/*
 * Does the dynamic linker hold an object under this path, or the same file under another? dlopen()
 * would then give us that one, even if the path names a newer file meanwhile.
 */
static bool is_resident(const char *path) {
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
	if(handle) {
		dlclose(handle);
	}
	return handle != NULL;
}

/* The bytes that a file has now: one that grows meanwhile is not followed. 0 or negative errno. */
static int copy_bytes(int from, int to) {
	struct stat status;
	if(fstat(from, &status) < 0) {
		return -errno;
	}
	for(off_t left = status.st_size; left > 0;) {
		size_t piece = left < COPY_PIECE ? (size_t)left : COPY_PIECE;
		ssize_t copied = RETRY_INTERRUPTED(sendfile(to, from, NULL, piece));
		if(copied < 0) {
			return -errno;
		}
		if(copied == 0) {
			return 0; /* it has shrunk: the dynamic linker will tell */
		}
		left -= copied;
	}
	return 0;
}

/* A descriptor of memory with the contents of the file, or negative errno. */
static int copy_to_memory(const char *path) {
	int from = open(path, O_RDONLY | O_CLOEXEC);
	if(from < 0) {
		return -errno;
	}
	int memory = memfd_create("backend", MFD_CLOEXEC);
	int result = memory < 0 ? -errno : copy_bytes(from, memory);
	if(result < 0 && memory >= 0) {
		close(memory);
	}
	close(from);
	return result < 0 ? result : memory;
}

/*
 * The dynamic linker keeps one instance, and so one set of globals, for each file; a v1 backend
 * keeps its configuration in globals. For a new configuration to be tried while the old one serves,
 * the second instance must be another file: a copy in memory. Its descriptor stays open as long as
 * it is loaded, because the linker remembers objects by path too, and the number is in the path; an
 * object that cannot be unloaded may still hold a number that is free again, then the next one is
 * taken. (Dependencies found through $ORIGIN are in memory already, with the first instance.)
 */
static int copy_resident(const char *file, char *path, size_t cap) {
	int fd = copy_to_memory(file);
	for(int tries = 0; fd >= 0 && tries < COPY_TRIES; tries++) {
		snprintf(path, cap, "/proc/self/fd/%d", fd);
		if(!is_resident(path)) {
			return fd;
		}
		int next = fcntl(fd, F_DUPFD_CLOEXEC, fd + 1);
		int error = errno;
		close(fd);
		fd = next >= 0 ? next : -error;
	}
	if(fd >= 0) {
		close(fd);
		fd = -EBUSY;
	}
	return fd;
}

static int open_object(struct backend *backend, const char *path, char error[PLUGIN_ERROR_MAX]) {
	char copy[32];
	const char *from = path;
	if(is_resident(path)) {
		backend->copy_fd = copy_resident(path, copy, sizeof(copy));
		if(backend->copy_fd < 0) {
			int result = backend->copy_fd;
			backend->copy_fd = -1;
			return fail(error, result, "%s: cannot be loaded a second time: %s", path,
				strerror(-result));
		}
		from = copy;
	}
	backend->handle = dlopen(from, RTLD_NOW | RTLD_LOCAL);
	if(!backend->handle) {
		return fail(error, -ENOEXEC, "%s: %s", path, dlerror());
	}
	return 0;
}

/* POSIX lets dlsym() return functions as data pointers, ISO C does not let us cast those: copy. */
static bool find_function(void *handle, const char *name, void *function) {
	void *symbol = dlsym(handle, name);
	memcpy(function, &symbol, sizeof(symbol));
	return symbol != NULL;
}

static int start_object(struct backend *backend, const char *path, char error[PLUGIN_ERROR_MAX]) {
	ws_backend *api = &backend->api;
	bool has_init = find_function(backend->handle, "init", &api->init);
	if(!has_init || !find_function(backend->handle, "query", &api->query)) {
		return fail(error, -ENOEXEC, "%s: is no backend, it exports no function \"%s\"",
			path, has_init ? "query" : "init");
	}
	find_function(backend->handle, "configure", &api->config);
	find_function(backend->handle, "cleanup", &api->cleanup);
	uint64_t version = api->init();
	if(version != WEBSOCKSY_API_VERSION) {
		return fail(error, -ENOEXEC,
			"%s: was built for plugin API version %llu, this program has version %d; "
			"rebuild it",
			path, (unsigned long long)version, WEBSOCKSY_API_VERSION);
	}
	backend->initialised = true;
	return 0;
}

static int load_backend(
	struct backend *backend, const char *directory, char error[PLUGIN_ERROR_MAX]) {
	if(!is_name(backend->name)) {
		return fail(error, -EINVAL,
			"backend \"%s\": a name has letters, digits, _ and - only", backend->name);
	}
	if(directory[0] != '/') {
		return fail(
			error, -EINVAL, "plugin directory %s: must be an absolute path", directory);
	}
	char *path;
	if(asprintf(&path, "%s/backend_%s.so", directory, backend->name) < 0) {
		return fail(error, -ENOMEM, "out of memory");
	}
	const char *why;
	struct stat file;
	int result = check_trust(directory, path, &file, &why);
	if(result < 0) {
		fail(error, result, "backend \"%s\": %s: %s", backend->name, path, why);
	} else {
		result = open_object(backend, path, error);
	}
	if(!result) {
		result = start_object(backend, path, error);
	}
	free(path);
	return result;
}

static int open_builtin(struct backend *backend, char error[PLUGIN_ERROR_MAX]) {
	backend->builtin = registry.builtin;
	if(!backend->builtin) {
		return fail(error, -ENOENT, "there is no built-in backend");
	}
	backend->state = backend->builtin->open();
	backend->initialised = backend->state != NULL;
	return backend->state ? 0 : fail(error, -ENOMEM, "out of memory");
}

static void clean_up(struct backend *backend) {
	if(!backend->initialised) {
		return;
	}
	if(backend->builtin) {
		backend->builtin->close(backend->state);
	} else if(backend->api.cleanup) {
		framing_set_owner(&backend->owner);
		backend->api.cleanup();
		framing_set_owner(NULL);
	}
}

static void destroy(struct backend *backend) {
	clean_up(backend);
	framing_drop(&backend->owner);
	if(backend->handle) {
		dlclose(backend->handle);
	}
	if(backend->copy_fd >= 0) {
		close(backend->copy_fd);
	}
	free(backend->name);
	free(backend);
	registry.backends--;
}

int backend_load(const char *directory, const char *name, struct backend **out,
	char error[PLUGIN_ERROR_MAX]) {
	struct backend *backend = calloc(1, sizeof(*backend));
	char *copy = strdup(name ? name : "");
	if(!backend || !copy) {
		free(backend);
		free(copy);
		return fail(error, -ENOMEM, "out of memory");
	}
	backend->owner.is_backend = true;
	backend->references = 1;
	backend->name = copy;
	backend->copy_fd = -1;
	registry.backends++;
	framing_set_owner(name ? &backend->owner : NULL);
	int result = name ? load_backend(backend, directory, error) : open_builtin(backend, error);
	framing_set_owner(NULL);
	if(result < 0) {
		destroy(backend);
		return result;
	}
	*out = backend;
	return 0;
}

/* The v1 function takes writable strings. */
static int configure_object(struct backend *backend, const char *key, const char *value) {
	if(!backend->api.config) {
		return -ENOTSUP;
	}
	char *key_copy = strdup(key);
	char *value_copy = strdup(value);
	int result = -ENOMEM;
	if(key_copy && value_copy) {
		framing_set_owner(&backend->owner);
		result = backend->api.config(key_copy, value_copy) ? -EINVAL : 0;
		framing_set_owner(NULL);
	}
	free(key_copy);
	free(value_copy);
	return result;
}

int backend_configure(struct backend *backend, const char *key, const char *value) {
	if(backend->builtin) {
		return backend->builtin->configure(backend->state, key, value);
	}
	return configure_object(backend, key, value);
}

int backend_check(struct backend *backend, char error[PLUGIN_ERROR_MAX]) {
	return backend->builtin ? backend->builtin->check(backend->state, error) : 0;
}

/*
 * The built-in backend reads the request itself and needs the view for nothing but core_refuse(): clearing those
 * 33 KB would cost as many instructions as all the rest of a handshake.
 */
static void fill_view(struct backend *backend, const struct backend_request *request) {
	struct query_view *view = &backend->view;
	websocket *ws = &view->ws;
	view->status = 0;
	view->message[0] = '\0';
	if(backend->builtin) {
		return;
	}
	memset(ws, 0, sizeof(*ws));
	ws->ws_fd = request->fd;
	ws->state = ws_http;
	ws->headers = request->headers < WS_HEADER_LIMIT ? request->headers : WS_HEADER_LIMIT;
	for(size_t i = 0; i < ws->headers; i++) {
		ws->header[i] = request->header[i];
	}
	ws->request_path = request->endpoint;
	ws->websocket_version = 13;
	ws->socket_key = request->key;
	ws->want_upgrade = 1;
	ws->protocols = request->protocols;
	ws->protocol = request->protocol;
	ws->peer_fd = -1;
}

static int ask(struct backend *backend, const struct backend_request *request, ws_peer_info *peer) {
	int result = 0;
	registry.view = &backend->view;
	framing_set_owner(&backend->owner);
	if(backend->builtin) {
		result = backend->builtin->query(backend->state, request, &backend->view.ws, peer);
	} else {
		*peer = backend->api.query(request->endpoint, request->protocols, request->protocol,
			request->headers, request->header, &backend->view.ws);
	}
	framing_set_owner(NULL);
	registry.view = NULL;
	return result;
}

static void report_duration(const struct backend *backend, uint64_t start_ms) {
	uint64_t end_ms = now_ms();
	uint64_t took_ms = end_ms - start_ms;
	if(took_ms > SLOW_QUERY_MS && log_limit_pass(&registry.limit, end_ms)) {
		log_write(LOG_WARNING,
			"backend %s: query took %llu ms, during which nobody else was served",
			backend->builtin ? backend->builtin->name : backend->name,
			(unsigned long long)took_ms);
	}
}

int backend_query(struct backend *backend, const struct backend_request *request,
	struct backend_answer *answer) {
	assert(!registry.view);
	memset(answer, 0, sizeof(*answer));
	fill_view(backend, request);
	uint64_t start_ms = now_ms();
	int result = ask(backend, request, &answer->peer);
	report_duration(backend, start_ms);
	if(result == 0 && answer->peer.host) {
		answer->framing = framing_of_function(answer->peer.framing, &backend->owner);
		result = answer->framing ? 0 : -ENOMEM;
	}
	if(result < 0 || !answer->peer.host) {
		const struct query_view *view = &backend->view;
		backend_answer_free(answer);
		answer->status = view->status ? view->status : REFUSED_STATUS;
		snprintf(answer->message, sizeof(answer->message), "%s",
			view->message[0] ? view->message : REFUSED_MESSAGE);
	}
	return result;
}

void backend_answer_free(struct backend_answer *answer) {
	free(answer->peer.host);
	free(answer->peer.port);
	free(answer->peer.framing_config);
	answer->peer = (ws_peer_info){0};
}

struct backend *backend_ref(struct backend *backend) {
	backend->references++;
	return backend;
}

void backend_unref(struct backend *backend) {
	if(!backend) {
		return;
	}
	assert(backend->references > 0);
	if(--backend->references == 0) {
		destroy(backend);
	}
}

const char *backend_name(const struct backend *backend) {
	return backend->name;
}

void plugin_shutdown(void) {
	assert(registry.backends == 0);
	framing_drop(NULL);
	while(registry.objects) {
		struct object *object = registry.objects;
		registry.objects = object->next;
		dlclose(object->handle);
		free(object);
	}
	registry.builtin = NULL;
}

ws_framing core_framing(char *name) {
	const struct framing *framing = framing_find(name);
	if(!framing && log_limit_pass(&registry.limit, now_ms())) {
		log_write(LOG_WARNING, "framing function \"%s\": there is none of that name",
			name ? name : "auto");
	}
	return framing ? framing_function(framing) : NULL;
}

int core_register_framing(char *name, ws_framing func) {
	if(!is_name(name) || !func) {
		log_write(LOG_ERROR,
			"framing function \"%s\": not registered, it needs code and a name of "
			"letters, digits, _ and -",
			name ? name : "");
		return 1;
	}
	int result = framing_register_function(name, func);
	if(result) {
		log_write(LOG_ERROR, "framing function \"%s\": not registered%s", name,
			result == -EEXIST ? " again, the name is taken" : ", out of memory");
	}
	return result ? 1 : 0;
}

int core_register_framing_check(char *name, ws_framing_check check) {
	if(!name || framing_register_check(name, check)) {
		log_write(LOG_ERROR,
			"framing function \"%s\": no check registered, there is none of that name",
			name ? name : "");
		return 1;
	}
	return 0;
}

void core_refuse(websocket *ws, unsigned status, const char *message) {
	struct query_view *view = registry.view;
	if(!view || ws != &view->ws) {
		if(log_limit_pass(&registry.limit, now_ms())) {
			log_write(LOG_WARNING,
				"core_refuse: ignored, the connection given is not "
				"being asked about");
		}
		return;
	}
	view->status = status >= 400 && status <= 599 ? status : REFUSED_STATUS;
	snprintf(view->message, sizeof(view->message), "%s", message ? message : "");
	for(char *at = view->message; *at; at++) {
		/* It becomes a line of an HTTP answer; ASCII only, because its cut end could split
		 * a character. */
		if(*at < ' ' || *at > '~') {
			*at = '?';
		}
	}
}

/* Not tolower(): the rule must not follow a locale. */
char *xstr_lower(char *in) {
	for(char *at = in; *at; at++) {
		if(*at >= 'A' && *at <= 'Z') {
			*at = (char)(*at - 'A' + 'a');
		}
	}
	return in;
}
