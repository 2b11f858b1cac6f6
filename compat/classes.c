/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Classes of token and authentication plugins of websockify, and the options that are equivalent.
 *
 * It must not know how these options are implemented.
 */
#include "compat/classes.h"

#include "base/file.h"
#include "compat/parts.h"
#include "compat/password.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define TOKEN "--token-plugin"
#define AUTH "--auth-plugin"
#define KEY_FILE_MAX 65536

struct class {
	const char *name;
	const char *backend;
	void (*translate)(struct compat *compat, const char *source);
};

/* Classes may be given with their module. Other modules are not those of websockify. */
static const char *without_module(const char *name, const char *module) {
	size_t len = strlen(module);
	return strncmp(name, module, len) == 0 ? name + len : name;
}

static void add_backend_file(struct compat *compat, const char *key, const char *path) {
	char *absolute = parts_path(compat, path);
	if(absolute) {
		parts_add_backend(compat, TOKEN, key, absolute);
	}
	free(absolute);
}

/* ---- tokens ---- */

static void translate_file_class(struct compat *compat, const char *source) {
	struct stat status;
	if(stat(source, &status) < 0) {
		compat_fail(compat, "--token-source: \"%s\": %s", source, strerror(errno));
		return;
	}
	add_backend_file(compat, S_ISDIR(status.st_mode) ? "directory" : "file", source);
}

static void translate_names_class(struct compat *compat, const char *source) {
	add_backend_file(compat, "names", source);
}

static void translate_sockets_class(struct compat *compat, const char *source) {
	add_backend_file(compat, "sockets", source);
}

static void translate_url_class(struct compat *compat, const char *source) {
	parts_add_backend(compat, TOKEN, "url", source);
}

/* HMAC with a key of its own bytes, a signature with a PEM key. */
static void translate_jwt_class(struct compat *compat, const char *source) {
	static const char *const secret[] = {"HS256", "HS384", "HS512", NULL};
	static const char *const public[] = {"RS256", "RS384", "RS512", "ES256", "ES384", "ES512",
		"PS256", "PS384", "PS512", NULL};
	char *key;
	size_t len;
	int error = file_read(source, KEY_FILE_MAX, &key, &len);
	if(error) {
		compat_fail(compat, "--token-source: \"%s\": %s", source, file_error(error));
		return;
	}
	const char *const *name = strstr(key, "-----BEGIN ") ? public : secret;
	explicit_bzero(key, len);
	free(key);
	add_backend_file(compat, "key", source);
	for(; *name; name++) {
		parts_add_backend(compat, TOKEN, "alg", *name);
	}
}

/* Takes a field of "a:b:\"c:d\"" off the front. The caller frees it; NULL: out of memory. */
static char *take_field(const char **source) {
	const char *at = *source;
	bool quoted = *at == '"' && strchr(at + 1, '"');
	at += quoted;
	size_t len = strcspn(at, quoted ? "\"" : ":");
	char *field = strndup(at, len);
	at += len + quoted;
	*source = at + (*at == ':');
	return field;
}

/* HOST[:PORT[:DB[:PASSWORD[:NAMESPACE]]]] */
static void translate_redis_class(struct compat *compat, const char *source) {
	static const char *const keys[] = {"server", NULL, "db", "password", "namespace"};
	char *field[5] = {NULL};
	const char *rest = source;
	for(size_t i = 0; i < 5; i++) {
		field[i] = take_field(&rest);
		compat->arguments.no_memory |= !field[i];
	}
	if(*rest || !field[0] || !field[0][0]) {
		compat_fail(compat,
			"--token-source: the form of TokenRedis is "
			"HOST[:PORT[:DB[:PASSWORD[:NAMESPACE]]]]");
	}
	for(size_t i = 0; i < 5 && !compat->arguments.no_memory; i++) {
		if(i == 0 && field[1][0]) {
			texts_add(&compat->arguments, TOKEN, "-c");
			texts_add(&compat->arguments, TOKEN, "server=%s:%s", field[0], field[1]);
		} else if(keys[i] && field[i][0]) {
			parts_add_backend(compat, TOKEN, keys[i], field[i]);
		}
	}
	for(size_t i = 0; i < 5; i++) {
		free(field[i]);
	}
}

static const struct class token_classes[] = {
	{"ReadOnlyTokenFile", "token", translate_file_class},
	{"TokenFile", "token", translate_file_class},
	{"TokenFileName", "token", translate_names_class},
	{"UnixDomainSocketDirectory", "token", translate_sockets_class},
	{"BaseTokenAPI", "http", translate_url_class},
	{"JSONTokenApi", "http", translate_url_class},
	{"JWTTokenApi", "jwt", translate_jwt_class},
	{"TokenRedis", "redis", translate_redis_class},
};
#define TOKEN_CLASSES (sizeof(token_classes) / sizeof(token_classes[0]))

const char *classes_token_name(const struct given *given) {
	if(given->value[GIVEN_TARGET_CONFIG]) {
		return "TokenFile";
	}
	const char *name = given->value[GIVEN_TOKEN_PLUGIN];
	return name ? without_module(name, "websockify.token_plugins.") : NULL;
}

void classes_translate_token(struct compat *compat, const struct given *given) {
	const char *name = classes_token_name(given);
	const char *config = given->value[GIVEN_TARGET_CONFIG];
	const char *source = config ? config : given->value[GIVEN_TOKEN_SOURCE];
	for(size_t i = 0; i < TOKEN_CLASSES; i++) {
		const struct class *class = &token_classes[i];
		if(strcmp(class->name, name) != 0) {
			continue;
		}
		if(!source) {
			compat_fail(compat, "--token-plugin %s needs --token-source", name);
			return;
		}
		compat->backend = class->backend;
		texts_add(&compat->arguments, TOKEN, "--backend=%s", class->backend);
		class->translate(compat, source);
		if(given->value[GIVEN_HOST_TOKEN]) {
			parts_add_backend(compat, TOKEN, "from", "host");
		}
		return;
	}
	compat_fail(compat,
		"--token-plugin: \"%s\" is not one of the classes that come with websockify, and "
		"Python classes cannot be loaded; write a backend (docs/plugins.md)",
		given->value[GIVEN_TOKEN_PLUGIN]);
}

/* ---- authentication ---- */

/* websockify checks pages only if asked to, and takes passwords on plain connections. */
static void translate_basic(struct compat *compat, const struct given *given) {
	char path[PASSWORD_PATH_MAX];
	const char *source = given->value[GIVEN_AUTH_SOURCE];
	int fd = source ? password_file(source, path) : -EINVAL;
	if(fd == -EINVAL) {
		compat_fail(compat, "--auth-source: the form of BasicHTTPAuth is USER:PASSWORD");
		return;
	}
	if(fd < 0) {
		compat_fail(compat, "--auth-source: cannot keep the password: %s", strerror(-fd));
		return;
	}
	compat->secret_fd[compat->secrets++] = fd;
	texts_add(&compat->arguments, AUTH, "--auth-file=%s", path);
	texts_add(&compat->arguments, AUTH, "--web-auth=%s",
		given->value[GIVEN_WEB_AUTH] ? "yes" : "no");
	texts_add(&compat->arguments, AUTH, "--insecure-auth=yes");
}

/* Patterns of `origin` that websockify takes literally match more than they did. */
static bool is_plain_origin(const char *origin) {
	return strcmp(origin, "null") == 0 || (strstr(origin, "://") && !strchr(origin, '*'));
}

static void translate_origin(struct compat *compat, const struct given *given) {
	const char *source = given->value[GIVEN_AUTH_SOURCE];
	char *list = strdup(source ? source : "");
	size_t origins = 0;
	char *position;
	if(!list) {
		compat->arguments.no_memory = true;
		return;
	}
	for(char *origin = strtok_r(list, " \t\n", &position); origin;
		origin = strtok_r(NULL, " \t\n", &position)) {
		origins++;
		texts_add(&compat->arguments, AUTH, "--origin=%s", origin);
		if(!is_plain_origin(origin)) {
			compat_fail(compat,
				"--auth-source: \"%s\" is not an origin (the form is "
				"scheme://host[:port])",
				origin);
		}
	}
	free(list);
	if(origins == 0) {
		compat_fail(compat, "--auth-plugin ExpectOrigin needs origins in --auth-source");
	} else if(given->value[GIVEN_WEB_AUTH]) {
		compat_fail(compat,
			"--web-auth: requests for pages have no Origin, ExpectOrigin would refuse "
			"all of them");
	}
}

/* Common names of client certificates; without certificates none could be right. */
static void translate_names(struct compat *compat, const struct given *given) {
	const char *source = given->value[GIVEN_AUTH_SOURCE];
	char *list = strdup(source ? source : "");
	size_t names = 0;
	char *position;
	if(!list) {
		compat->arguments.no_memory = true;
		return;
	}
	for(char *name = strtok_r(list, " \t\n", &position); name;
		name = strtok_r(NULL, " \t\n", &position)) {
		names++;
		texts_add(&compat->arguments, AUTH, "--client-name=%s", name);
	}
	free(list);
	if(names == 0) {
		compat_fail(compat, "--auth-plugin ClientCertCNAuth needs names in --auth-source");
	} else if(!given->value[GIVEN_VERIFY_CLIENT]) {
		compat_fail(compat, "--auth-plugin ClientCertCNAuth needs --verify-client");
	}
	texts_add(&compat->arguments, AUTH, "--web-auth=%s",
		given->value[GIVEN_WEB_AUTH] ? "yes" : "no");
}

void classes_translate_auth(struct compat *compat, const struct given *given) {
	const char *name = given->value[GIVEN_AUTH_PLUGIN];
	if(!name) {
		return;
	}
	const char *class = without_module(name, "websockify.auth_plugins.");
	if(strcmp(class, "BasicHTTPAuth") == 0) {
		translate_basic(compat, given);
	} else if(strcmp(class, "ExpectOrigin") == 0) {
		translate_origin(compat, given);
	} else if(strcmp(class, "ClientCertCNAuth") == 0) {
		translate_names(compat, given);
	} else {
		compat_fail(compat,
			"--auth-plugin: \"%s\" is not one of the classes that come with "
			"websockify, and Python classes cannot be loaded",
			name);
	}
}
