/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Credentials of the Basic authentication scheme.
 *
 * Must not know: requests, users, hashes.
 * Invariant: credentials are not left behind in memory that is given back.
 * Implements RFC 7617 section 2.
 */
#include "http/basic.h"

#include "base/text.h"
#include "base/utf8.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include <nettle/base64.h>

static bool has_controls(const char *text, size_t len) {
	for(size_t i = 0; i < len; i++) {
		if(text_is_control(text[i])) {
			return true;
		}
	}
	return false;
}

bool basic_is_text(const char *text, size_t len) {
	return !has_controls(text, len) && utf8_valid((const uint8_t *)text, len);
}

/* The decoder would ignore white space, which the grammar (token68) does not allow. */
static bool is_base64(const char *text, size_t len) {
	size_t padding = 0;
	while(padding < len && padding < 2 && text[len - 1 - padding] == '=') {
		padding++;
	}
	for(size_t i = 0; i < len - padding; i++) {
		if(!text_is_base64(text[i])) {
			return false;
		}
	}
	return len > 0;
}

/* The user name ends at the first colon; the password may contain colons. */
static int split_credentials(const char *text, size_t len, struct basic_credentials *out) {
	const char *colon = memchr(text, ':', len);
	if(!colon) {
		return -EINVAL;
	}
	size_t user = (size_t)(colon - text);
	size_t password = len - user - 1;
	if(user > BASIC_USER_MAX || password > BASIC_PASSWORD_MAX) {
		return -E2BIG;
	}
	if(!utf8_valid((const uint8_t *)text, len)) {
		return -EILSEQ;
	}
	if(has_controls(text, len)) {
		return -EINVAL;
	}
	memcpy(out->user, text, user);
	memcpy(out->password, colon + 1, password);
	return 0;
}

int basic_parse(const char *value, size_t len, struct basic_credentials *out) {
	static const char scheme[] = "Basic";
	const size_t scheme_len = sizeof(scheme) - 1;
	uint8_t text[BASE64_DECODE_LENGTH(BASE64_ENCODE_RAW_LENGTH(sizeof(*out)))];
	size_t text_len = sizeof(text);
	struct base64_decode_ctx ctx;
	*out = (struct basic_credentials){0};
	if(len <= scheme_len || strncasecmp(value, scheme, scheme_len) != 0 ||
		value[scheme_len] != ' ') {
		return -EPROTONOSUPPORT;
	}
	size_t i = scheme_len;
	while(i < len && value[i] == ' ') {
		i++;
	}
	if(!is_base64(value + i, len - i)) {
		return -EINVAL;
	}
	if(len - i > BASE64_ENCODE_RAW_LENGTH(sizeof(*out))) {
		return -E2BIG;
	}
	base64_decode_init(&ctx);
	int result = -EINVAL;
	if(base64_decode_update(&ctx, &text_len, text, len - i, value + i) &&
		base64_decode_final(&ctx)) {
		result = split_credentials((const char *)text, text_len, out);
	}
	explicit_bzero(text, sizeof(text));
	return result;
}

void basic_wipe(struct basic_credentials *credentials) {
	explicit_bzero(credentials, sizeof(*credentials));
}
