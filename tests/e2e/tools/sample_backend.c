/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A backend of plugin API version 2 for tests: the first segment of the path tells what it does.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <websocksy_plugin.h>

struct sample {
	const struct websocksy_core *core;
	char peer[256];
	char server[256];
	unsigned delay;
};

struct lookup {
	struct sample *sample;
	struct websocksy_query *query;
	struct websocksy_stream *stream;
	struct websocksy_timer *timer;
	char line[256];
	size_t len;
};

static void answer_with(struct sample *sample, struct websocksy_query *query, const char *peer) {
	const struct websocksy_core *core = sample->core;
	const char *const peers[] = {peer, sample->peer};
	const char *framing = core->find(query, "query:framing");
	const char *expires = core->find(query, "query:expires");
	struct websocksy_answer answer = {.size = sizeof(answer), .peer = peers, .peers = 1};
	answer.framing = framing;
	answer.framing_config = core->find(query, "query:config");
	answer.protocol = core->find(query, "query:protocol");
	answer.session = core->find(query, "query:session");
	answer.prelude = core->find(query, "query:prelude");
	answer.prelude_len = answer.prelude ? strlen(answer.prelude) : 0;
	answer.reply_end = core->find(query, "query:end");
	answer.reply_has = core->find(query, "query:has");
	answer.expires = expires ? atoll(expires) : 0;
	if(core->find(query, "query:second")) {
		answer.peers = 2;
	}
	core->answer(query, &answer);
}

static void finish(struct lookup *lookup) {
	const struct websocksy_core *core = lookup->sample->core;
	if(lookup->stream) {
		core->close(lookup->stream);
	}
	if(lookup->timer) {
		core->timer_stop(lookup->timer);
	}
	free(lookup);
}

static void timer_due(void *ctx) {
	struct lookup *lookup = ctx;
	struct websocksy_query *query = lookup->query;
	struct sample *sample = lookup->sample;
	lookup->timer = NULL;
	finish(lookup);
	answer_with(sample, query, sample->peer);
}

static void stream_event(void *ctx, const struct websocksy_event *event) {
	struct lookup *lookup = ctx;
	struct sample *sample = lookup->sample;
	struct websocksy_query *query = lookup->query;
	if(event->kind == WEBSOCKSY_CONNECTED) {
		const char *token = sample->core->find(query, "query:token");
		sample->core->write(lookup->stream, token ? token : "", strlen(token ? token : ""));
		sample->core->write(lookup->stream, "\n", 1);
		return;
	}
	if(event->kind == WEBSOCKSY_DATA && event->len < sizeof(lookup->line) - lookup->len) {
		memcpy(lookup->line + lookup->len, event->data, event->len);
		lookup->len += event->len;
		char *end = memchr(lookup->line, '\n', lookup->len);
		if(!end) {
			return;
		}
		*end = '\0';
		char peer[256];
		strcpy(peer, lookup->line);
		finish(lookup);
		answer_with(sample, query, peer);
		return;
	}
	sample->core->log(sample->core, WEBSOCKSY_WARNING, "lookup failed: %s",
		event->error ? event->error : "no complete answer");
	finish(lookup);
	sample->core->refuse(query, 502, "the lookup failed");
}

static void found(void *ctx, const struct websocksy_addresses *addresses) {
	struct lookup *lookup = ctx;
	struct websocksy_query *query = lookup->query;
	struct sample *sample = lookup->sample;
	char text[256];
	snprintf(text, sizeof(text), "%s", addresses->error ? addresses->error : addresses->address[0]);
	finish(lookup);
	sample->core->refuse(query, 404, text);
}

static void *other_thread(void *ctx) {
	struct lookup *lookup = ctx;
	lookup->sample->core->refuse(lookup->query, 403, "from another thread");
	return NULL;
}

static struct lookup *new_lookup(struct sample *sample, struct websocksy_query *query) {
	struct lookup *lookup = calloc(1, sizeof(*lookup));
	lookup->sample = sample;
	lookup->query = query;
	query->state = lookup;
	return lookup;
}

static void query_sample(void *state, struct websocksy_query *query) {
	struct sample *sample = state;
	const struct websocksy_core *core = sample->core;
	const char *path = core->find(query, "path");
	if(!strcmp(path, "/now")) {
		answer_with(sample, query, sample->peer);
	} else if(!strcmp(path, "/text")) {
		const char *source = core->find(query, "query:source");
		const char *text = core->find(query, source);
		core->refuse(query, 418, text ? text : "none");
	} else if(!strcmp(path, "/peer")) {
		answer_with(sample, query, core->find(query, "query:peer"));
	} else if(!strcmp(path, "/timer")) {
		struct lookup *lookup = new_lookup(sample, query);
		lookup->timer = core->timer(core, sample->delay, timer_due, lookup);
	} else if(!strcmp(path, "/stream")) {
		struct lookup *lookup = new_lookup(sample, query);
		const char *server = core->find(query, "query:server");
		lookup->stream = core->connect(
			core, server ? server : sample->server, stream_event, lookup);
	} else if(!strcmp(path, "/lookup")) {
		struct lookup *lookup = new_lookup(sample, query);
		core->lookup(core, core->find(query, "query:name"), found, lookup);
	} else if(!strcmp(path, "/twice")) {
		core->refuse(query, 404, "first");
		core->refuse(query, 403, "second");
	} else if(!strcmp(path, "/cancelled")) {
		query->state = NULL; /* cancel() answers */
	} else if(!strcmp(path, "/thread")) {
		pthread_t thread;
		struct lookup lookup = {.sample = sample, .query = query};
		pthread_create(&thread, NULL, other_thread, &lookup);
		pthread_join(thread, NULL);
		core->refuse(query, 404, "from the right one");
	} else {
		new_lookup(sample, query);
	}
}

static void cancel_sample(void *state, struct websocksy_query *query) {
	struct sample *sample = state;
	sample->core->log(sample->core, WEBSOCKSY_NOTICE, "cancelled");
	if(query->state) {
		finish(query->state);
	} else {
		sample->core->refuse(query, 404, "too late");
	}
}

static int open_sample(const struct websocksy_core *core, void **state) {
	struct sample *sample = calloc(1, sizeof(*sample));
	sample->core = core;
	sample->delay = 50;
	*state = sample;
	return 0;
}

static int configure_sample(
	void *state, const char *key, const char *value, char error[WEBSOCKSY_ERROR_MAX]) {
	struct sample *sample = state;
	if(!strcmp(key, "delay")) {
		sample->delay = (unsigned)atoi(value);
		snprintf(error, WEBSOCKSY_ERROR_MAX, "must be a number of milliseconds");
		return sample->delay ? 0 : -22;
	}
	snprintf(!strcmp(key, "peer") ? sample->peer : sample->server, 256, "%s", value);
	return 0;
}

static int check_sample(void *state, char error[WEBSOCKSY_ERROR_MAX]) {
	const struct sample *sample = state;
	const char *wrong = sample->peer[0] ? sample->core->check_address(sample->peer) : "is missing";
	if(wrong) {
		snprintf(error, WEBSOCKSY_ERROR_MAX, "peer: %s", wrong);
		return -22;
	}
	return 0;
}

static void close_sample(void *state) {
	struct sample *sample = state;
	sample->core->log(sample->core, WEBSOCKSY_NOTICE, "closed");
	free(sample);
}

static const struct websocksy_option options[] = {
	{"peer", NULL, "the peer of all clients"},
	{"server", NULL, "the server that is asked"},
	{"delay", "50", "time of /timer in milliseconds"},
	{NULL, NULL, NULL},
};

static const struct websocksy_backend backend = {
	.size = sizeof(struct websocksy_backend),
	.name = "sample",
	.description = "answers in many ways",
	.options = options,
	.open = open_sample,
	.configure = configure_sample,
	.check = check_sample,
	.query = query_sample,
	.cancel = cancel_sample,
	.close = close_sample,
};

static const struct websocksy_backend outside = {
	.size = sizeof(struct websocksy_backend),
	.name = "outside",
	.flags = WEBSOCKSY_REMOTE,
	.options = options,
	.open = open_sample,
	.configure = configure_sample,
	.query = query_sample,
	.cancel = cancel_sample,
	.close = close_sample,
};

static const struct websocksy_backend *const backends[] = {&backend, &outside, NULL};

const struct websocksy_plugin websocksy_plugin = {
	.api = WEBSOCKSY_PLUGIN_API,
	.size = sizeof(websocksy_plugin),
	.name = "sample",
	.version = "1.0",
	.description = "for tests",
	.backends = backends,
};
