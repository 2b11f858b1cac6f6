/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The bridge.
 *
 * Must not know: frames, HTTP.
 * Invariants: a reload either takes over everything or changes nothing.
 */
#include "bridge/bridge.h"

#include "base/cidr.h"
#include "base/log.h"
#include "bridge/announce.h"
#include "bridge/connection.h"
#include "bridge/handshake.h"
#include "bridge/pages.h"
#include "bridge/phases.h"
#include "bridge/recording.h"
#include "bridge/reload.h"
#include "bridge/stopping.h"
#include "bridge/worker.h"
#include "config/certificates.h"
#include "config/wrap.h"
#include "http/site.h"
#include "http/verifier.h"
#include "network.h"
#include "network/listeners.h"
#include "network/resolve.h"
#include "network/tls_cache.h"
#include "network/tls_credentials.h"
#include "network/watch.h"
#include "service/link.h"
#include "service/record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct bridge {
	struct connection_env env;
	struct config config;
	struct listeners listeners;
	struct watch *watch; /* of the certificate files; NULL: there are none */
	struct tls_cache tls_cache; /* a reload empties it */
	struct stopping stopping;
	const struct bridge_worker *worker; /* NULL: there is only this process */
	int exit_status; /* of the program, with wrap-mode = exit */
	struct reload reload;
};

/* A connection above a limit is answered with 503; with too many of those it is closed. */
static void admit(struct listeners *listeners, const struct listener_client *client) {
	struct bridge *bridge = container_of(listeners, struct bridge, listeners);
	struct connection_env *env = &bridge->env;
	if(admission_is_closed(&env->admission)) {
		close(client->fd);
		return;
	}
	struct connection *connection =
		connection_new(env, client->fd, client->address, client->len);
	if(!connection) {
		return;
	}
	connection->tls = client->tls & 3u;
	connection->proxied = cidr_list_contains(env->settings->trusted, &connection->address.any);
	if(admission_enter(connection)) {
		handshake_begin(connection, client->listener);
	} else {
		connection_close(connection);
	}
}

/* ---- configuration ---- */

static void use_tls(struct bridge *bridge) {
	bridge->env.tls = bridge->config.tls;
	worker_share_tickets(&bridge->env);
	bridge->env.tls_port = listeners_tls_port(&bridge->listeners);
	bridge->env.tls_detect = bridge->config.settings.tls == SETTINGS_TLS_AUTO;
}

/* The certificate files have changed. New connections get the new ones, if they are fine. */
static void certificates_changed(void *ctx) {
	struct bridge *bridge = ctx;
	struct tls_credentials *fresh;
	struct tls_error error;
	if(!bridge->config.tls) {
		return; /* switched off since */
	}
	if(certificates_open(&bridge->config.settings, &fresh, &error)) {
		log_write(LOG_ERROR, "%s: %s; the old certificates stay in use", error.option,
			error.text);
		return;
	}
	tls_credentials_unref(bridge->config.tls);
	bridge->config.tls = fresh;
	use_tls(bridge);
	reload_connections(&bridge->reload, &bridge->env);
	log_write(LOG_NOTICE, "the certificates have been read again");
}

/* Without a watch SIGHUP still reads them. */
static void watch_certificates(struct bridge *bridge) {
	/* With tls = off they are not read. */
	size_t count = 0;
	const char **paths = NULL;
	int result = bridge->config.tls
		? certificates_files(&bridge->config.settings, &paths, &count)
		: 0;
	if(!bridge->watch && result == 0 && count > 0) {
		result = watch_open(&bridge->watch, bridge->env.loop, certificates_changed, bridge);
	}
	if(bridge->watch && result == 0) {
		result = watch_files(bridge->watch, count, paths);
	}
	free(paths);
	if(result) {
		log_write(LOG_WARNING, "cannot watch the certificates: %s", strerror(-result));
	}
}

/* From here on the reload cannot fail: everything that the new configuration needs is open. */
static void bridge_adopt(struct bridge *bridge, struct config *config, struct site *site) {
	config_free(&bridge->config);
	bridge->config = *config;
	*config = (struct config){0};
	site_close(bridge->env.web);
	bridge->env.web = site;
	bridge->env.settings = &bridge->config.settings;
	bridge->env.admission.settings = &bridge->config.settings;
	lifetime_set(&bridge->env.lifetime,
		&(struct lifetime_limits){
			.after_ms = bridge->config.settings.exit_after_ms,
			.idle_ms = bridge->config.settings.exit_idle_ms,
			.once = bridge->config.settings.run_once,
		});
	bridge->env.memory.limit = memory_limit(bridge->config.settings.max_memory);
	bridge->env.backend = bridge->config.backend;
	bridge->env.host.resolver = bridge->env.resolver;
	bridge->env.host.connect_timeout_ms = bridge->config.settings.connect_timeout_ms;
	backend_start(bridge->env.backend, &bridge->env.host);
	if(bridge->config.settings.exec || bridge->config.program) {
		process_set_reserve(&bridge->env.processes);
	}
	bridge->env.processes.patience_ms = bridge->config.settings.close_timeout_ms;
	if(bridge->env.auth) {
		verifier_set_passwords(bridge->env.auth, bridge->config.users);
	}
	tls_cache_clear(&bridge->tls_cache);
	use_tls(bridge);
	watch_certificates(bridge);
}

int bridge_reload(struct bridge *bridge, struct config *config) {
	const struct settings *settings = &config->settings;
	struct site *site;
	int result = pages_open(settings, &site);
	if(result) {
		return result;
	}
	result = worker_open_auth(&bridge->env, bridge->worker, config);
	if(result == 0 && !bridge->env.ending) {
		result = listeners_open(
			&bridge->listeners, settings->listens, settings->listen, settings->port);
	}
	if(result) {
		site_close(site);
		return result;
	}
	int resolver_error = resolver_reload(bridge->env.resolver, settings->resolver);
	if(resolver_error) {
		log_write(LOG_ERROR,
			"name lookup: cannot read the new settings (%s), the old ones stay",
			strerror(-resolver_error));
	}
	bridge_adopt(bridge, config, site);
	announce_configuration(&bridge->env);
	reload_connections(&bridge->reload, &bridge->env);
	return 0;
}

/* ---- the end ---- */

/* The last process has ended. */
static void processes_idle(struct process_set *set) {
	connection_check_end(container_of(set, struct connection_env, processes));
}

void bridge_end(struct bridge *bridge) {
	bridge->env.ending = true;
	listeners_close(&bridge->listeners);
	connection_check_end(&bridge->env);
}

static void lifetime_stop_listening(struct lifetime *lifetime, const char *option) {
	struct bridge *bridge = container_of(lifetime, struct bridge, env.lifetime);
	log_write(LOG_NOTICE, "no longer listening (%s)", option);
	worker_tell(bridge->worker, LINK_ENDING);
	bridge_end(bridge);
}

static void lifetime_stop(struct lifetime *lifetime, const char *option) {
	struct bridge *bridge = container_of(lifetime, struct bridge, env.lifetime);
	log_write(LOG_NOTICE, "stopping (%s)", option);
	worker_tell(bridge->worker, LINK_ENDING_NOW);
	bridge_stop(bridge);
}

static void end_listening(struct stopping *stopping) {
	struct bridge *bridge = container_of(stopping, struct bridge, stopping);
	listeners_close(&bridge->listeners);
	worker_tell(bridge->worker, LINK_LEAVING);
}

/* ---- the start ---- */

int bridge_follow(struct bridge *bridge, const struct listener_share *shares, size_t count) {
	int result = listeners_follow(&bridge->listeners, shares, count);
	bridge->env.tls_port = listeners_tls_port(&bridge->listeners);
	return result;
}

static int bridge_init(struct bridge *bridge, struct loop *loop, const struct bridge_start *start) {
	tls_cache_init(&bridge->tls_cache);
	list_init(&bridge->env.connections);
	sessions_init(&bridge->env.sessions);
	process_set_init(&bridge->env.processes, loop);
	announced_init(&bridge->env.announced);
	bridge->env.processes.idle = processes_idle;
	bridge->env.tls_cache = &bridge->tls_cache;
	bridge->env.host = (struct plugin_host){
		.loop = loop, .tls_cache = &bridge->tls_cache, .account = memory_account};
	bridge->env.loop = loop;
	bridge->env.listeners = &bridge->listeners;
	bridge->env.phases = phases;
	bridge->env.room.reserve = framing_reserve;
	bridge->env.admission.fd_limit = start->fd_limit;
	bridge->worker = start->worker;
	if(recorder_open(&bridge->env.recorder, loop, recording_failed, &bridge->env)) {
		return -ENOMEM;
	}
	int result = listeners_init(&bridge->listeners, loop, admit);
	if(result == 0) {
		result = lifetime_open(
			&bridge->env.lifetime, loop, lifetime_stop_listening, lifetime_stop);
	}
	if(result == 0 && start->worker) {
		result = worker_join(&bridge->env, start->worker);
	}
	return result
		? result
		: stopping_open(&bridge->stopping, &bridge->env, &bridge->reload, end_listening);
}

static int open_resolver(struct bridge *bridge, const struct settings *settings) {
	int result = resolver_open(&bridge->env.resolver, bridge->env.loop, settings->resolver);
	if(result) {
		log_write(LOG_ERROR, "name lookup: cannot start (resolver = %s): %s",
			settings->resolver ? settings->resolver : "as the system is configured",
			strerror(-result));
	}
	return result;
}

/* The listening sockets, and then what privileges are needed for no longer. */
static int bind_sockets(
	struct bridge *bridge, struct config *config, const struct bridge_start *start) {
	const struct settings *settings = &config->settings;
	int result = start->worker
		? bridge_follow(bridge, start->worker->share, start->worker->shares)
		: start->passed > 0 || start->client_fd > 0
		? listeners_take(&bridge->listeners, start->first_fd, start->passed)
		: listeners_open(
			  &bridge->listeners, settings->listens, settings->listen, settings->port);
	if(result == 0 && start->bound) {
		result = start->bound(start->ctx, config);
	}
	if(result > 0) {
		int failed = listeners_set_root(&bridge->listeners, config->root);
		result = failed ? failed : result;
	}
	return result;
}

/* Pages are opened with the rights that the daemon has while it serves them. */
static int open_sockets_and_site(struct bridge *bridge, struct config *config,
	const struct bridge_start *start, struct site **site) {
	int result = pages_open(&config->settings, site);
	if(result == 0) {
		result = bind_sockets(bridge, config, start);
	}
	if(result > 0) {
		site_close(*site);
		result = pages_open(&config->settings, site);
	}
	return result;
}

/* A connection that another program has accepted. */
static void serve_client(struct bridge *bridge, int fd) {
	struct socket_address from = {.len = sizeof(from.un)};
	if(getpeername(fd, &from.any, &from.len) < 0) {
		log_write(LOG_INFO, "the client has gone: %s", strerror(errno));
		close(fd);
	} else {
		struct listener_client client = {fd, &from.any, from.len, ADDRESS_TLS_DEFAULT, 0};
		network_tune(fd);
		admit(&bridge->listeners, &client);
	}
	bridge_end(bridge);
}

int bridge_open(struct bridge **out, struct loop *loop, struct config *config,
	const struct bridge_start *start) {
	struct bridge *bridge = calloc(1, sizeof(*bridge));
	struct site *site = NULL;
	if(!bridge) {
		log_write(LOG_ERROR, "cannot start: out of memory");
		return -ENOMEM;
	}
	int result = bridge_init(bridge, loop, start);
	if(result) {
		log_write(LOG_ERROR, "cannot start: out of memory");
		goto fail;
	}
	result = open_resolver(bridge, &config->settings);
	if(result == 0) {
		result = open_sockets_and_site(bridge, config, start, &site);
	}
	if(result == 0) {
		result = worker_open_auth(&bridge->env, bridge->worker, config);
	}
	if(result) {
		site_close(site);
		goto fail;
	}
	bridge_adopt(bridge, config, site);
	if(start->client_fd > 0) {
		serve_client(bridge, start->client_fd);
	}
	log_write(LOG_INFO, "at most %zu connections at once, %zu MiB of queued data",
		admission_limit(&bridge->env.admission), bridge->env.memory.limit >> 20);
	announce_configuration(&bridge->env);
	if(start->passed == 0 && start->client_fd == 0) {
		announce_open_access(&bridge->env);
	}
	*out = bridge;
	return 0;
fail:
	bridge_close(bridge);
	return result;
}

bool bridge_is_stopping(const struct bridge *bridge) {
	return bridge->stopping.state != STOPPING_NOT;
}

const struct config *bridge_config(const struct bridge *bridge) {
	return &bridge->config;
}

struct announced *bridge_announced(struct bridge *bridge) {
	return &bridge->env.announced;
}

/* ---- stopping ---- */

void bridge_drain(struct bridge *bridge) {
	stopping_drain(&bridge->stopping);
}

void bridge_stop(struct bridge *bridge) {
	stopping_at_once(&bridge->stopping);
}

void bridge_drop(struct bridge *bridge) {
	stopping_drop(&bridge->stopping);
}

static void program_ended(void *ctx, int status) {
	struct bridge *bridge = ctx;
	bridge->exit_status = status;
	if(!bridge->env.draining) {
		log_write(LOG_NOTICE, "stopping (wrap-mode = exit)");
		bridge_stop(bridge);
	}
}

int bridge_start_program(struct bridge *bridge) {
	struct connection_env *env = &bridge->env;
	env->program.fn = program_ended;
	env->program.ctx = bridge;
	return wrap_start(&bridge->config, &env->program, &env->processes, &env->announced);
}

int bridge_exit_status(const struct bridge *bridge) {
	return bridge->exit_status;
}

void bridge_close(struct bridge *bridge) {
	if(!bridge) {
		return;
	}
	reload_cancel(&bridge->reload);
	connection_close_all(&bridge->env);
	program_close(&bridge->env.program);
	process_set_close(&bridge->env.processes);
	log_limit_report(&bridge->env.log_limits);
	listeners_close(&bridge->listeners);
	memory_leave(&bridge->env);
	watch_close(bridge->watch);
	stopping_close(&bridge->stopping);
	lifetime_close(&bridge->env.lifetime);
	recorder_close(bridge->env.recorder);
	/* Before what its services use; no connection has a reference any more. */
	backend_unref(bridge->config.backend);
	bridge->config.backend = NULL;
	verifier_close(bridge->env.auth);
	resolver_close(bridge->env.resolver);
	site_close(bridge->env.web);
	tls_cache_clear(&bridge->tls_cache);
	config_free(&bridge->config);
	framing_output_free(&bridge->env.room);
	/* Listeners and connections whose free is deferred have no pointer to the bridge. */
	free(bridge);
}
