/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Framing function `fixedlength`: cuts the peer's stream into binary messages of a fixed length.
 *
 * Must not know: anything of the core but websocksy.h.
 * Invariant: it has no state. The configuration has a few digits: parsing it again for each call is
 * cheaper than keeping a number for each connection.
 */
#include "websocksy.h"

#include <stdbool.h>
#include <stddef.h>

#define FIXEDLENGTH_USAGE                                                                          \
	"fixedlength takes the segment length in bytes as a decimal number above 0, for example "  \
	"512"

/* Digits only: strtoull would also take signs, white space and, unless told otherwise, octal. */
static bool fixedlength_parse(const char *config, int64_t *out) {
	int64_t value = 0;
	for(const char *at = config; *at; at++) {
		if(*at < '0' || *at > '9' || __builtin_mul_overflow(value, 10, &value) ||
			__builtin_add_overflow(value, *at - '0', &value)) {
			return false;
		}
	}
	*out = value;
	return value > 0;
}

static const char *fixedlength_check(const char *config) {
	int64_t segment;
	return fixedlength_parse(config, &segment) ? NULL : FIXEDLENGTH_USAGE;
}

static int64_t fixedlength_frame(uint8_t *data, size_t length, size_t last_read,
	ws_operation *opcode, void **framing_data, const char *config) {
	(void)last_read;
	(void)framing_data;
	int64_t segment;
	if(!data) {
		return 0;
	}
	if(!config || !fixedlength_parse(config, &segment)) {
		return -1;
	}
	*opcode = ws_frame_binary;
	return (uint64_t)segment <= length ? segment : 0;
}

__attribute__((constructor)) static void fixedlength_register(void) {
	if(core_register_framing("fixedlength", fixedlength_frame) == 0) {
		core_register_framing_check("fixedlength", fixedlength_check);
	}
}
