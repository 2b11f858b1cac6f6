/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The parts of a backend's answer that few answers have.
 */
#ifndef WEBSOCKSY_PLUGIN_TERMS_H
#define WEBSOCKSY_PLUGIN_TERMS_H
#include "websocksy_plugin.h"

#include <stddef.h>
#include <stdint.h>

struct terms {
	size_t others;
	char **other; /* addresses of further peers, in order */
	char *port; /* for those that name none; NULL: every address names one */
	int64_t expires; /* Unix time; 0: never */
	char *session; /* NULL: none */
	uint8_t *prelude; /* NULL: none */
	size_t prelude_len;
	char *reply_end; /* NULL: there is no reply */
	char *reply_has; /* NULL: any reply */
};

/* Those of `answer`; `*out` is NULL if it has none. 0 or -ENOMEM. */
int terms_make(const struct websocksy_answer *answer, struct terms **out);

/* NULL: nothing. */
void terms_free(struct terms *terms);
#endif
