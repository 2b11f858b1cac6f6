/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Answers of backends.
 *
 * It must not know backends.
 */
#include "plugin/backend.h"
#include "plugin/terms.h"

#include <stdio.h>
#include <stdlib.h>

#define ANSWER_REFUSED_STATUS 403

void backend_answer_free(struct backend_answer *answer) {
	free(answer->peer.host);
	free(answer->peer.port);
	free(answer->peer.framing_config);
	terms_free(answer->terms);
	answer->peer = (ws_peer_info){0};
	answer->terms = NULL;
}

void backend_answer_refuse(struct backend_answer *answer, unsigned status, const char *message) {
	answer->status = status >= 400 && status <= 599 ? status : ANSWER_REFUSED_STATUS;
	snprintf(answer->message, sizeof(answer->message), "%s", message ? message : "");
	for(char *at = answer->message; *at; at++) {
		/*
		 * It becomes a line of an HTTP response; ASCII only, because truncation could split
		 * a character.
		 */
		if(*at < ' ' || *at > '~') {
			*at = '?';
		}
	}
}
