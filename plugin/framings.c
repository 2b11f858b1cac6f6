/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The registry of framings by name, and the adapter for version 1 functions.
 *
 * It must not know connections, how objects are loaded, or the log.
 *
 * The registry is a mutable global, because the functions of plugin API version 1 have no argument
 * that could carry a context, and constructors call them.
 *
 * Invariants: a name is unique among the program and the framing plugins. Framings of a backend are
 * found by that backend alone and removed with it, so no entry points into unloaded code, and no
 * connection uses code of a backend that it holds no reference to. A version 1 function is called
 * as websocksy.h describes it, and its results are checked before they are used.
 */
#include "plugin/framings.h"

#include "base/list.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define DEFAULT_FRAMING "auto"
#define UNNAMED "of the backend" /* a function that was not registered */

/* One framing in the registry. */
struct entry {
	struct websocksy_framing
		adapter; /* of a version 1 function; `name` is this entry's memory */
	const struct websocksy_framing *framing; /* `adapter`, or the program's object */
	ws_framing function;
	ws_framing_check check; /* of a version 1 function; NULL: none */
	bool is_named;
	const struct framings_owner *owner; /* NULL: the program */
	struct entry *next;
};

static struct {
	struct entry *entries; /* newest first */
	const struct framings_owner *owner;
} registry;

/* ---- the adapter for version 1 ---- */

static struct entry *entry_of(const struct websocksy_framing *adapter) {
	return container_of((uintptr_t)adapter, struct entry, adapter);
}

static const char *adapter_check(const struct websocksy_framing *framing, const char *config) {
	const struct entry *entry = entry_of(framing);
	return entry->check ? entry->check(config) : NULL;
}

static void adapter_close(struct websocksy_framing_stream *stream) {
	if(stream->state) {
		ws_operation opcode = ws_frame_binary;
		entry_of(stream->framing)
			->function(NULL, 0, 0, &opcode, &stream->state, stream->config);
		stream->state = NULL;
	}
}

static int64_t adapter_decode(struct websocksy_framing_stream *stream,
	struct websocksy_input *input, struct websocksy_message *message) {
	/* A function is called for bytes that it has not seen, and only then. */
	ws_operation type = (ws_operation)message->type;
	int64_t result = 0;
	if(input->fresh > 0) {
		type = ws_frame_binary;
		result = entry_of(stream->framing)
				 ->function(input->data, input->len, input->fresh, &type,
					 &stream->state, stream->config);
	}
	if(input->end) {
		adapter_close(stream);
	}
	message->type = (enum websocksy_type)type;
	if(result < 0) {
		return -EPROTO;
	}
	if((uint64_t)result > input->len) {
		return -ERANGE;
	}
	if(type != ws_frame_binary && type != ws_frame_text && type != ws_frame_discard) {
		return -EINVAL;
	}
	return result;
}

int64_t framings_call(const struct websocksy_framing *framing, const struct framings_call *call) {
	struct websocksy_framing_stream stream = {
		framing, call->config ? call->config : "", *call->framing_data};
	struct websocksy_message message = {.type = WEBSOCKSY_BINARY};
	struct websocksy_output room = {.reserve = framing_reserve};
	int64_t result = 0;
	if(!call->data) {
		if(stream.state) {
			framing->close(&stream);
		}
		*call->framing_data = NULL;
		return 0;
	}
	if(!stream.state && framing->open) {
		result = framing->open(&stream, framings_core(framing));
	}
	*call->framing_data = stream.state;
	if(result == 0) {
		struct websocksy_input input = {.data = call->data,
			.len = call->length,
			.fresh = call->last_read,
			.room = &room};
		result = framing->decode(&stream, &input, &message);
	}
	framing_output_free(&room);
	if(message.type == WEBSOCKSY_TEXT) {
		*call->opcode = ws_frame_text;
	}
	return result;
}

/*
 * Functions of version 1 for framings of version 2 plugins, so that version 1 backends can choose
 * them. They are taken in turn; a framing beyond their number has none.
 */
#define SLOTS FRAMINGS_FOR_VERSION1
static const struct websocksy_framing *slots[SLOTS];

static int64_t call_slot(size_t slot, const struct framings_call *call) {
	return slots[slot] ? framings_call(slots[slot], call) : -1;
}

#define SLOT(number)                                                                               \
	static int64_t slot_##number(uint8_t *data, size_t length, size_t last_read,               \
		ws_operation *opcode, void **framing_data, const char *config) {                   \
		return call_slot(number,                                                           \
			&(struct framings_call){                                                   \
				data, length, last_read, opcode, framing_data, config});           \
	}
SLOT(0)
SLOT(1)
SLOT(2)
SLOT(3)
SLOT(4)
SLOT(5)
SLOT(6)
SLOT(7)
SLOT(8)
SLOT(9)
SLOT(10)
SLOT(11)
SLOT(12)
SLOT(13)
SLOT(14)
SLOT(15)

static const ws_framing slot_functions[SLOTS] = {slot_0, slot_1, slot_2, slot_3, slot_4, slot_5,
	slot_6, slot_7, slot_8, slot_9, slot_10, slot_11, slot_12, slot_13, slot_14, slot_15};

static ws_framing take_slot(const struct websocksy_framing *framing) {
	for(size_t i = 0; i < SLOTS; i++) {
		if(!slots[i]) {
			slots[i] = framing;
			return slot_functions[i];
		}
	}
	return NULL;
}

static void leave_slot(const struct websocksy_framing *framing) {
	for(size_t i = 0; i < SLOTS; i++) {
		if(slots[i] == framing) {
			slots[i] = NULL;
		}
	}
}

/* ---- the registry ---- */

static bool is_visible(const struct entry *entry) {
	return !entry->owner || !entry->owner->is_backend || entry->owner == registry.owner;
}

static struct entry *find_entry(const char *name) {
	struct entry *entry = registry.entries;
	while(entry &&
		(!entry->is_named || !is_visible(entry) ||
			strcmp(entry->framing->name, name) != 0)) {
		entry = entry->next;
	}
	return entry;
}

/* For a plugin, names of backends are taken too; two instances of a backend may use the same. */
static bool is_taken(const char *name) {
	bool by_backend = registry.owner && registry.owner->is_backend;
	for(const struct entry *entry = registry.entries; entry; entry = entry->next) {
		if(entry->is_named && !strcmp(entry->framing->name, name) &&
			(is_visible(entry) || !by_backend)) {
			return true;
		}
	}
	return false;
}

static void add_entry(struct entry *entry) {
	entry->owner = registry.owner;
	entry->next = registry.entries;
	registry.entries = entry;
}

static struct entry *new_adapter(const char *name, ws_framing function) {
	size_t size = strlen(name) + 1;
	struct entry *entry = calloc(1, sizeof(*entry) + size);
	if(entry) {
		char *copy = memcpy(entry + 1, name, size);
		entry->adapter = (struct websocksy_framing){.size = sizeof(entry->adapter),
			.name = copy,
			.check = adapter_check,
			.decode = adapter_decode,
			.close = adapter_close};
		entry->framing = &entry->adapter;
		entry->function = function;
	}
	return entry;
}

const struct websocksy_framing *framings_find(const char *name) {
	const struct entry *entry = find_entry(name ? name : DEFAULT_FRAMING);
	return entry ? entry->framing : NULL;
}

const struct websocksy_framing *framings_of_function(
	ws_framing function, const struct framings_owner *owner) {
	if(!function) {
		return framings_find(NULL);
	}
	struct entry *entry = registry.entries;
	while(entry &&
		(entry->function != function ||
			(entry->owner != owner && entry->owner && entry->owner->is_backend))) {
		entry = entry->next;
	}
	if(!entry) {
		entry = new_adapter(UNNAMED, function);
		if(!entry) {
			return NULL;
		}
		add_entry(entry);
		entry->owner = owner;
	}
	return entry->framing;
}

ws_framing framings_function(const struct websocksy_framing *framing) {
	const struct entry *entry = registry.entries;
	while(entry && entry->framing != framing) {
		entry = entry->next;
	}
	return entry ? entry->function : NULL;
}

int framings_register(const struct websocksy_framing *framing, ws_framing function) {
	struct entry *entry = calloc(1, sizeof(*entry));
	assert(!is_taken(framing->name));
	if(!entry) {
		return -ENOMEM;
	}
	*entry = (struct entry){.framing = framing, .function = function, .is_named = true};
	add_entry(entry);
	return 0;
}

int framings_register_function(const char *name, ws_framing function) {
	if(is_taken(name)) {
		return -EEXIST;
	}
	struct entry *entry = new_adapter(name, function);
	if(!entry) {
		return -ENOMEM;
	}
	entry->is_named = true;
	add_entry(entry);
	return 0;
}

int framings_register_plugin(const struct websocksy_framing *framing) {
	if(is_taken(framing->name)) {
		return -EEXIST;
	}
	struct entry *entry = calloc(1, sizeof(*entry));
	if(!entry) {
		return -ENOMEM;
	}
	/* Fields that the plugin does not know yet stay zero. */
	size_t size =
		framing->size < sizeof(entry->adapter) ? framing->size : sizeof(entry->adapter);
	memcpy(&entry->adapter, framing, size);
	entry->framing = &entry->adapter;
	entry->function = take_slot(entry->framing);
	entry->is_named = true;
	add_entry(entry);
	return 0;
}

const struct websocksy_core *framings_core(const struct websocksy_framing *framing) {
	const struct entry *entry = registry.entries;
	while(entry && entry->framing != framing) {
		entry = entry->next;
	}
	return entry && entry->owner ? entry->owner->core : NULL;
}

const struct websocksy_framing *framings_at(size_t number, const struct framings_owner **owner) {
	size_t count = 0;
	for(const struct entry *entry = registry.entries; entry; entry = entry->next) {
		count += entry->is_named;
	}
	for(const struct entry *entry = registry.entries; entry; entry = entry->next) {
		if(entry->is_named && --count == number) {
			*owner = entry->owner;
			return entry->framing;
		}
	}
	return NULL;
}

int framings_register_check(const char *name, ws_framing_check check) {
	struct entry *entry = find_entry(name);
	if(!entry || entry->owner != registry.owner || entry->adapter.decode != adapter_decode ||
		entry->framing != &entry->adapter) {
		return -ENOENT;
	}
	entry->check = check;
	return 0;
}

const struct framings_owner *framings_set_owner(const struct framings_owner *owner) {
	const struct framings_owner *before = registry.owner;
	registry.owner = owner;
	return before;
}

void framings_drop(const struct framings_owner *owner) {
	struct entry **at = &registry.entries;
	while(*at) {
		struct entry *entry = *at;
		if(entry->owner != owner) {
			at = &entry->next;
			continue;
		}
		*at = entry->next;
		leave_slot(entry->framing);
		free(entry);
	}
}
