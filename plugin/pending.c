/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Queries to backends of plugin API version 2.
 *
 * It must not know connections, or how a peer is reached.
 *
 * Invariants: a query is answered once; the bridge is told in a turn of its own, never from within
 * the plugin, unless the answer comes before query() has returned; a query that is over is not
 * passed to the plugin again. In a check build queries that are over are kept for a while, so that
 * their use is detected.
 */
#include "plugin/pending.h"

#include "base/clock.h"
#include "base/log.h"
#include "network/peer.h"
#include "plugin/find.h"
#include "plugin/protocols.h"
#include "plugin/terms.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef LOOP_CHECK
#define PENDING_KEPT 64 /* queries that are over, for each instance */
#else
#define PENDING_KEPT 0
#endif

enum pending_state {
	PENDING_ASKED, /* query() runs */
	PENDING_WAITS,
	PENDING_ANSWERED,
	PENDING_CANCELLED
};

struct pending {
	struct websocksy_query query; /* passed to the plugin; first */
	struct instance *instance;
	struct backend_request request;
	size_t protocol; /* that the option `protocol` chooses */
	enum pending_state state;
	bool over; /* the bridge knows */
	bool given_up; /* check builds: it is reported */
	struct found *found;
	struct loop_task task;
	struct list link; /* of instance->queries, or of those that are kept */
	struct backend_answer answer; /* last: its message is not cleared */
};

static struct pending *pending_of(struct websocksy_query *query) {
	return container_of(query, struct pending, query);
}

/* ---- memory ---- */

/* The oldest of those that are kept. */
static void forget_one(struct instance *instance) {
	struct pending *oldest = container_of(instance->kept.next, struct pending, link);
	list_remove(&oldest->link);
	instance->keeps--;
	if(instance->spare) {
		free(oldest);
	} else {
		instance->spare = oldest;
	}
}

void pending_clear(struct instance *instance) {
	while(instance->keeps > 0) {
		forget_one(instance);
	}
	free(instance->spare);
	instance->spare = NULL;
}

static void pending_free(struct pending *pending) {
	struct instance *instance = pending->instance;
	list_append(&instance->kept, &pending->link);
	if(++instance->keeps > PENDING_KEPT) {
		forget_one(instance);
	}
}

/* The query is over. */
static void pending_end(struct pending *pending) {
	list_remove(&pending->link);
	find_free(pending->found);
	pending->found = NULL;
	free(pending->request.memory);
	pending->request.memory = NULL;
	pending->over = true;
	pending_free(pending);
}

/* ---- the answer ---- */

static void set_refusal(struct pending *pending, unsigned status, const char *text) {
	backend_answer_free(&pending->answer);
	pending->answer.framing = NULL;
	backend_answer_refuse(&pending->answer, status, text);
}

/* The plugin has answered badly: the log tells more than the client. */
static void set_invalid(struct pending *pending, const char *why) {
	services_log(&pending->instance->services.core, WEBSOCKSY_ERROR,
		"invalid answer: %s; refused with 502", why);
	set_refusal(pending, 502, "the answer of the backend is invalid");
}

/* NULL: fine, otherwise the reason. */
static const char *check_peer(const struct pending *pending, const char *text, const char *port) {
	struct peer_address address;
	const char *why = NULL;
	int result = peer_parse(peer_transport_detect, text, port, &address, &why);
	if(result == 0) {
		why = instance_allows(pending->instance, address.kind->scheme)
			? NULL
			: "the option schemes does not allow this kind of peer";
	}
	peer_address_free(&address);
	return result == -ENOMEM ? "out of memory" : why;
}

static const char *check_peers(
	const struct pending *pending, const struct websocksy_answer *answer) {
	const char *why = answer->peers > 0 && answer->peer ? NULL : "it names no peer";
	for(size_t i = 0; !why && i < answer->peers; i++) {
		why = answer->peer[i] ? check_peer(pending, answer->peer[i], answer->port)
				      : "a peer is missing";
	}
	return why;
}

/* The index of the subprotocol that the answer names; -1: it was not offered. */
static int64_t find_protocol(const struct pending *pending, const char *name) {
	const struct backend_request *request = &pending->request;
	if(!name) {
		return (int64_t)pending->protocol;
	}
	for(size_t i = 0; i < request->protocols; i++) {
		if(!strcmp(request->protocol[i], name)) {
			return (int64_t)i;
		}
	}
	return name[0] ? -1 : (int64_t)request->protocols;
}

static const struct websocksy_framing *find_framing(
	const struct pending *pending, const char *name, size_t index) {
	const struct backend_request *request = &pending->request;
	const struct instance *instance = pending->instance;
	if(!name && index == request->protocols && instance->framing) {
		return instance->framing; /* no subprotocol implies another */
	}
	const struct framings_owner *before = framings_set_owner(instance->owner);
	const char *protocol = index < request->protocols ? request->protocol[index] : NULL;
	const struct websocksy_framing *framing = name
		? framings_find(name)
		: protocols_framing(instance_value(instance, INSTANCE_FRAMING), protocol);
	framings_set_owner(before);
	return framing;
}

/* False: out of memory. */
static bool copy_answer(struct pending *pending, const struct websocksy_answer *answer) {
	ws_peer_info *peer = &pending->answer.peer;
	const char *config = answer->framing_config
		? answer->framing_config
		: instance_value(pending->instance, INSTANCE_FRAMING_CONFIG);
	peer->transport = peer_transport_detect;
	peer->host = strdup(answer->peer[0]);
	peer->port = answer->port ? strdup(answer->port) : NULL;
	peer->framing_config = config[0] ? strdup(config) : NULL;
	return peer->host && (peer->framing_config || !config[0]) &&
		(peer->port || !answer->port) && terms_make(answer, &pending->answer.terms) == 0;
}

static void take_answer(struct pending *pending, const struct websocksy_answer *answer) {
	const char *wrong = pending->instance->is_builtin ? NULL : check_peers(pending, answer);
	int64_t protocol = find_protocol(pending, answer->protocol);
	if(wrong) {
		set_invalid(pending, wrong);
		return;
	}
	if(protocol < 0) {
		set_refusal(pending, 400, "the subprotocol of the peer is not offered");
		return;
	}
	pending->answer.framing = find_framing(pending, answer->framing, (size_t)protocol);
	if(!pending->answer.framing) {
		char why[128];
		snprintf(why, sizeof(why), "framing \"%.64s\": there is none of that name",
			answer->framing ? answer->framing : "");
		set_invalid(pending, why);
		return;
	}
	pending->answer.peer.protocol = (size_t)protocol;
	if(!copy_answer(pending, answer)) {
		set_refusal(pending, 503, "out of memory");
	}
}

/* Without the unused rest of the message. */
static void move_answer(const struct backend_answer *from, struct backend_answer *to) {
	to->peer = from->peer;
	to->framing = from->framing;
	to->terms = from->terms;
	to->status = from->status;
	memcpy(to->message, from->message, strlen(from->message) + 1);
}

static void tell_answer(struct loop_task *task) {
	struct pending *pending = container_of(task, struct pending, task);
	struct backend_answer answer = pending->answer;
	backend_answered_fn *answered = pending->request.answered;
	void *ctx = pending->request.ctx;
	pending_end(pending);
	answered(ctx, &answer);
}

/* Whether the query may be answered now; then it has been. */
static bool enter_answer(struct pending *pending, const char *function) {
	struct services *services = &pending->instance->services;
	if(!services_enter(&services->core, function)) {
		return false;
	}
	if(pending->state == PENDING_ANSWERED || pending->state == PENDING_CANCELLED) {
		services_blame(services,
			pending->state == PENDING_ANSWERED ? "has answered a query twice"
							   : "has answered a query after cancel()");
		return false;
	}
	if(pending->state == PENDING_WAITS) {
		loop_next_turn(services->host->loop, &pending->task);
	}
	pending->state = PENDING_ANSWERED;
	return true;
}

/* Fields that the plugin does not know are zero. */
static struct websocksy_answer whole_answer(const struct websocksy_answer *answer) {
	struct websocksy_answer whole = {0};
	memcpy(&whole, answer, answer->size < sizeof(whole) ? answer->size : sizeof(whole));
	return whole;
}

void pending_answer(struct websocksy_query *query, const struct websocksy_answer *theirs) {
	struct pending *pending = pending_of(query);
	struct websocksy_answer answer = whole_answer(theirs);
	if(!enter_answer(pending, "answer")) {
		return;
	}
	take_answer(pending, &answer);
	if(answer.cache_key && answer.cache_ms > 0 && pending->answer.peer.host) {
		answer_cache_add(&pending->instance->cache, &answer, clock_ms());
	}
}

void pending_refuse(struct websocksy_query *query, unsigned status, const char *text) {
	struct pending *pending = pending_of(query);
	if(enter_answer(pending, "refuse")) {
		set_refusal(pending, status, text);
	}
}

bool pending_cached(struct websocksy_query *query, const char *key) {
	struct pending *pending = pending_of(query);
	const struct websocksy_answer *answer =
		answer_cache_find(&pending->instance->cache, key, clock_ms());
	if(!answer || !enter_answer(pending, "cached")) {
		return false;
	}
	take_answer(pending, answer);
	return true;
}

static bool is_over(struct pending *pending) {
	if(pending->over) {
		services_blame(&pending->instance->services, "uses a query that is over");
	}
	return pending->over;
}

const char *pending_find(struct websocksy_query *query, const char *source) {
	struct pending *pending = pending_of(query);
	return is_over(pending) ? NULL : find_text(&pending->request, source, &pending->found);
}

const char *pending_field(struct websocksy_query *query, size_t index, const char **name) {
	struct pending *pending = pending_of(query);
	if(is_over(pending) || index >= pending->request.headers) {
		return NULL;
	}
	*name = pending->request.header[index].tag;
	return pending->request.header[index].value;
}

/* ---- the question ---- */

static void log_protocol(struct instance *instance, const char *offer, const char *list) {
	if(!log_limit_pass(&instance->limit, "refused subprotocols", clock_ms())) {
		return;
	}
	if(list) {
		log_write(LOG_WARNING,
			"a client that offers subprotocol \"%.64s\" is refused: backend option "
			"protocol accepts only \"%s\"",
			offer, list);
	} else {
		log_write(LOG_WARNING,
			"a client that offers subprotocol \"%.64s\" is refused: backend option "
			"protocol is not set (protocol=* accepts any)",
			offer);
	}
}

/* What clients may speak is known before the lookup. False: the query is refused. */
static bool choose_protocol(struct pending *pending) {
	const struct backend_request *request = &pending->request;
	pending->protocol = request->protocols;
	if(request->protocols == 0) {
		return true;
	}
	const char *list = instance_value(pending->instance, INSTANCE_PROTOCOL);
	int64_t index = protocols_choose(list, request);
	if(index < 0) {
		bool configured = index == PROTOCOLS_NONE_OFFERED;
		log_protocol(pending->instance, request->protocol[0], configured ? list : NULL);
		set_refusal(pending, 400,
			configured ? "none of the offered subprotocols is accepted here"
				   : "the offered subprotocols are not accepted, because none is "
				     "configured here");
		return false;
	}
	pending->protocol = (size_t)index;
	return true;
}

/*
 * A backend that waits has something that calls it: a timer, a descriptor, a lookup or a stream.
 * Otherwise it has forgotten its queries, which the check builds report in the turn after that.
 */
#ifdef LOOP_CHECK
static void find_given_up(struct loop_task *task) {
	struct instance *instance = container_of(task, struct instance, idle);
	struct list *queries = &instance->queries;
	if(!list_is_empty(&instance->services.handles)) {
		return;
	}
	for(struct list *at = queries->next; at != queries; at = at->next) {
		struct pending *pending = container_of(at, struct pending, link);
		if(pending->state == PENDING_WAITS && !pending->given_up) {
			pending->given_up = true;
			services_blame(&instance->services,
				"has given up a query without an answer: no timer, descriptor, "
				"lookup or stream is left");
		}
	}
}

static void watch_given_up(struct services *services) {
	struct instance *instance = container_of(services, struct instance, services);
	instance->idle.fn = find_given_up;
	loop_next_turn(services->host->loop, &instance->idle);
}

static void detect_given_up(struct services *services) {
	services->idle = watch_given_up;
	if(list_is_empty(&services->handles)) {
		watch_given_up(services);
	}
}
#else
static void detect_given_up(struct services *services) {
	(void)services;
}
#endif

int pending_start(struct instance *instance, struct backend_request *request,
	struct backend_answer *answer, struct pending **out) {
	struct pending *pending = instance->spare;
	instance->spare = NULL;
	if(!pending) {
		/* Not calloc(), which takes no memory from the cache of its thread. */
		pending = malloc(sizeof(*pending));
	}
	if(!pending) {
		return -ENOMEM;
	}
	memset(pending, 0, offsetof(struct pending, answer.message));
	pending->answer.message[0] = '\0';
	pending->query.core = &instance->services.core;
	pending->instance = instance;
	pending->request = *request;
	pending->task.fn = tell_answer;
	list_append(&instance->queries, &pending->link);
	if(choose_protocol(pending)) {
		instance->api.query(instance->state, &pending->query);
	} else {
		pending->state = PENDING_ANSWERED;
	}
	if(pending->state == PENDING_ANSWERED) {
		move_answer(&pending->answer, answer);
		pending->request.memory = NULL; /* stays the caller's */
		pending_end(pending);
		return 0;
	}
	pending->state = PENDING_WAITS;
	detect_given_up(&instance->services);
	request->memory = NULL;
	*out = pending;
	return -EINPROGRESS;
}

void pending_cancel(struct pending *pending) {
	const struct websocksy_backend *api = &pending->instance->api;
	loop_task_cancel(&pending->task);
	if(pending->state == PENDING_ANSWERED) {
		backend_answer_free(&pending->answer);
	} else {
		pending->state = PENDING_CANCELLED;
		if(api->cancel) {
			api->cancel(pending->instance->state, &pending->query);
		}
	}
	pending_end(pending);
}
