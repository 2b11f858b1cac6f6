/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The parts of a backend's answer that few answers have.
 *
 * It must not know their meaning.
 */
#include "plugin/terms.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void terms_free(struct terms *terms) {
	if(!terms) {
		return;
	}
	for(size_t i = 0; terms->other && i < terms->others; i++) {
		free(terms->other[i]);
	}
	free(terms->other);
	free(terms->port);
	free(terms->session);
	free(terms->prelude);
	free(terms->reply_end);
	free(terms->reply_has);
	free(terms);
}

static bool copy_text(char **out, const char *text) {
	*out = text && text[0] ? strdup(text) : NULL;
	return *out || !text || !text[0];
}

static bool copy_peers(struct terms *terms, const struct websocksy_answer *answer) {
	terms->others = answer->peers - 1;
	terms->other = calloc(answer->peers, sizeof(*terms->other));
	for(size_t i = 0; terms->other && i < terms->others; i++) {
		terms->other[i] = strdup(answer->peer[i + 1]);
		if(!terms->other[i]) {
			return false;
		}
	}
	return terms->other;
}

static bool copy_prelude(struct terms *terms, const struct websocksy_answer *answer) {
	if(!answer->prelude || answer->prelude_len == 0) {
		return true;
	}
	terms->prelude = malloc(answer->prelude_len);
	if(!terms->prelude) {
		return false;
	}
	memcpy(terms->prelude, answer->prelude, answer->prelude_len);
	terms->prelude_len = answer->prelude_len;
	return true;
}

int terms_make(const struct websocksy_answer *answer, struct terms **out) {
	*out = NULL;
	if(answer->peers == 1 && !answer->expires && !answer->session && !answer->prelude &&
		!answer->reply_end) {
		return 0;
	}
	struct terms *terms = calloc(1, sizeof(*terms));
	if(!terms) {
		return -ENOMEM;
	}
	terms->expires = answer->expires;
	if(!copy_peers(terms, answer) || !copy_text(&terms->port, answer->port) ||
		!copy_text(&terms->session, answer->session) || !copy_prelude(terms, answer) ||
		!copy_text(&terms->reply_end, answer->reply_end) ||
		!copy_text(&terms->reply_has, answer->reply_has)) {
		terms_free(terms);
		return -ENOMEM;
	}
	*out = terms;
	return 0;
}
