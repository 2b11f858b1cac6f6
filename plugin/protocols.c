/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Subprotocols: choosing one, and the framing that one implies.
 *
 * It must not know options.
 */
#include "plugin/protocols.h"

#include <string.h>

/* Takes the next name off the front of a list such as "binary, base64"; false: there is none. */
static bool next_name(const char **list, const char **name, size_t *len) {
	static const char gap[] = ", \t";
	*name = *list + strspn(*list, gap);
	*len = strcspn(*name, gap);
	*list = *name + *len;
	return *len > 0;
}

int64_t protocols_choose(const char *list, const struct backend_request *request) {
	const char *name;
	size_t len;
	int64_t result = PROTOCOLS_EMPTY_LIST;
	while(next_name(&list, &name, &len)) {
		if(len == 1 && *name == '*') {
			return 0;
		}
		for(size_t i = 0; i < request->protocols; i++) {
			const char *offer = request->protocol[i];
			if(strlen(offer) == len && !memcmp(offer, name, len)) {
				return (int64_t)i;
			}
		}
		result = PROTOCOLS_NONE_OFFERED;
	}
	return result;
}

/*
 * Subprotocols whose messages are binary, whatever their bytes look like, or base64. NULL: any
 * other.
 */
static const char *framing_of_protocol(const char *name) {
	static const struct {
		const char *protocol;
		const char *framing;
	} known[] = {{"binary", "binary"}, {"mqtt", "binary"}, {"mqttv3.1", "binary"},
		{"base64", "base64"}};
	for(size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if(!strcmp(name, known[i].protocol)) {
			return known[i].framing;
		}
	}
	return NULL;
}

const struct websocksy_framing *protocols_framing(const char *name, const char *protocol) {
	const char *implied = protocol ? framing_of_protocol(protocol) : NULL;
	bool configured = name && name[0];
	if(!configured || (implied && !strcmp(name, "binary"))) {
		name = implied;
	}
	return framings_find(name);
}
