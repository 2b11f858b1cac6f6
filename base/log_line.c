/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Puts lines of the log together.
 *
 * Must not know: where a line goes, who writes it.
 * Invariants: a line is shorter than PIPE_BUF, valid UTF-8 and without control characters; a line
 * of JSON is a valid object also if something had to be cut.
 * Implements RFC 5424 section 6, RFC 8259.
 */
#include "base/log_line.h"

#include "base/log_escape.h"
#include "base/text.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static_assert(LOG_LINE_MAX <= PIPE_BUF, "a longer line could block");

#define IDENTIFIER "websocksy"
#define FACILITY_DAEMON 3 /* RFC 5424, table 1 */
#define FIELD_MAX 512 /* bytes of the value of a field, escaped */
#define PREFIX_MAX 256
#define HOST_MAX 64

const char *const log_line_levels[LOG_LEVELS] = {
	[LOG_ERROR] = "error",
	[LOG_WARNING] = "warning",
	[LOG_NOTICE] = "notice",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
};

/* RFC 5424, table 2. */
static const unsigned severities[] = {
	[LOG_ERROR] = 3,
	[LOG_WARNING] = 4,
	[LOG_NOTICE] = 5,
	[LOG_INFO] = 6,
	[LOG_DEBUG] = 7,
};
static_assert(sizeof(severities) / sizeof(severities[0]) == LOG_LEVELS, "one for each level");

/* Text that is being written to memory of a fixed size. What does not fit is cut. */
struct writer {
	char *at;
	size_t len;
	size_t cap;
};

static size_t room(const struct writer *out) {
	return out->cap - out->len;
}

static void put(struct writer *out, const char *text, size_t len) {
	size_t fits = len < room(out) ? len : room(out);
	memcpy(out->at + out->len, text, fits);
	out->len += fits;
}

static void put_text(struct writer *out, const char *text) {
	put(out, text, strlen(text));
}

static void put_number(struct writer *out, uint64_t number) {
	char text[24];
	put(out, text, (size_t)snprintf(text, sizeof(text), "%" PRIu64, number));
}

static void put_time(struct writer *out) {
	struct timespec now;
	struct tm utc;
	char text[64];
	size_t len = 0;
	clock_gettime(CLOCK_REALTIME, &now);
	if(gmtime_r(&now.tv_sec, &utc)) {
		len = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &utc);
	}
	len += (size_t)snprintf(text + len, sizeof(text) - len, ".%03ldZ", now.tv_nsec / 1000000);
	put(out, text, len);
}

/* ---- envelopes ---- */

/* The time of syslog(3): of the place where the daemon is, without the year. */
static void put_local_time(struct writer *out) {
	static const char months[12][4] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	time_t now = time(NULL);
	struct tm local;
	char text[64];
	if(!localtime_r(&now, &local)) {
		return;
	}
	put(out, text,
		(size_t)snprintf(text, sizeof(text), "%s %2d %02d:%02d:%02d", months[local.tm_mon],
			local.tm_mday, local.tm_hour, local.tm_min, local.tm_sec));
}

static void put_host(struct writer *out) {
	char host[HOST_MAX + 1] = "";
	if(gethostname(host, HOST_MAX) < 0 || host[0] == '\0') {
		host[0] = '-';
	}
	put_text(out, host);
}

static void put_syslog(struct writer *out, enum log_envelope envelope, unsigned severity) {
	put_text(out, "<");
	put_number(out, FACILITY_DAEMON * 8 + severity);
	if(envelope == LOG_ENVELOPE_LOCAL) {
		put_text(out, ">");
		put_local_time(out);
		put_text(out, " " IDENTIFIER "[");
		put_number(out, (uint64_t)getpid());
		put_text(out, "]: ");
		return;
	}
	put_text(out, ">1 ");
	put_time(out);
	put_text(out, " ");
	put_host(out);
	put_text(out, " " IDENTIFIER " ");
	put_number(out, (uint64_t)getpid());
	put_text(out, " - - ");
}

static void put_prefix(struct writer *out, const struct log_style *style, enum log_level level) {
	switch(style->envelope) {
	case LOG_ENVELOPE_TIME:
		if(style->format == LOG_FORMAT_TEXT) {
			put_time(out);
			put_text(out, " ");
			put_text(out, log_line_levels[level]);
			put_text(out, ": ");
		}
		break;
	case LOG_ENVELOPE_PRIORITY:
		put_text(out, "<");
		put_number(out, severities[level]);
		put_text(out, ">");
		break;
	case LOG_ENVELOPE_LOCAL:
	case LOG_ENVELOPE_SYSLOG:
		put_syslog(out, style->envelope, severities[level]);
		break;
	case LOG_ENVELOPE_JOURNAL:
		break;
	}
}

/* ---- text ---- */

static bool needs_quotes(struct slice value) {
	for(size_t i = 0; i < value.len; i++) {
		uint8_t byte = (uint8_t)value.at[i];
		if(byte <= 0x20 || byte >= 0x7f || byte == '"' || byte == '\\' || byte == '=') {
			return true;
		}
	}
	return value.len == 0;
}

/* " name=value", for values that a client may have chosen with quotes and escapes. */
static void put_text_field(struct writer *out, const struct log_field *field) {
	char quoted[FIELD_MAX];
	put_text(out, " ");
	put_text(out, field->name);
	put_text(out, "=");
	if(!field->text) {
		put_number(out, field->number);
		return;
	}
	struct slice value = text_slice(field->text);
	if(value.len < sizeof(quoted) && !needs_quotes(value)) {
		put(out, value.at, value.len);
	} else {
		put(out, quoted, text_quote(value, quoted, sizeof(quoted)));
	}
}

static void put_body_text(struct writer *out, unsigned worker, const struct log_entry *entry) {
	if(worker > 0) {
		put_text(out, "worker ");
		put_number(out, worker);
		put_text(out, ": ");
	}
	if(entry->subject) {
		put_text(out, "#");
		put_number(out, entry->subject->id);
		put_text(out, " ");
		put_text(out, entry->subject->client);
		put_text(out, ": ");
	}
	put_text(out, entry->message);
	if(entry->fields > 0) {
		put_text(out, ":");
	}
	for(size_t i = 0; i < entry->fields; i++) {
		put_text_field(out, &entry->field[i]);
	}
}

static void put_text_line(struct writer *out, unsigned worker, const struct log_entry *entry) {
	static const char cut_mark[] = {'.', '.', '.'};
	char body[LOG_ESCAPE_MAX];
	/* One byte is left free to see whether something was cut. */
	size_t cap = room(out) - 1;
	struct writer text = {body, 0, cap + 1};
	put_body_text(&text, worker, entry);
	if(text.len > cap) {
		text.len = cap;
		memcpy(body + cap - sizeof(cut_mark), cut_mark, sizeof(cut_mark));
	}
	put(out, body, log_escape_line(body, text.len, cap));
}

/* ---- JSON ---- */

/* `reserve`: bytes that have to fit behind it. */
static void put_json_string(struct writer *out, const char *text, size_t max, size_t reserve) {
	size_t cap = room(out) > reserve + 2 ? room(out) - reserve - 2 : 0;
	cap = cap < max ? cap : max;
	put_text(out, "\"");
	if(cap >= 3) {
		out->len += log_escape_json(text, strlen(text), out->at + out->len, cap);
	}
	put_text(out, "\"");
}

static void put_json_field(struct writer *out, const struct log_field *field, size_t reserve) {
	/* With the longest number. */
	if(room(out) < strlen(field->name) + 26 + reserve) {
		return;
	}
	put_text(out, ",\"");
	put_text(out, field->name);
	put_text(out, "\":");
	if(field->text) {
		put_json_string(out, field->text, FIELD_MAX, reserve);
	} else {
		put_number(out, field->number);
	}
}

static void put_json_line(struct writer *out, unsigned worker, const struct log_entry *entry) {
	static const char end[] = "}\n";
	size_t reserve = sizeof(end);
	put_text(out, "{\"ts\":\"");
	put_time(out);
	put_text(out, "\",\"level\":\"");
	put_text(out, log_line_levels[entry->level]);
	put_text(out, "\"");
	if(worker > 0) {
		const struct log_field number = {.name = "worker", .number = worker};
		put_json_field(out, &number, reserve);
	}
	if(entry->subject) {
		const struct log_field id = {.name = "id", .number = entry->subject->id};
		const struct log_field client = {.name = "client", .text = entry->subject->client};
		put_json_field(out, &id, reserve);
		put_json_field(out, &client, reserve);
	}
	put_text(out, ",\"msg\":");
	put_json_string(out, entry->message, LOG_LINE_MAX, reserve);
	for(size_t i = 0; i < entry->fields; i++) {
		put_json_field(out, &entry->field[i], reserve);
	}
	put_text(out, "}");
}

static void put_body(
	struct writer *out, const struct log_style *style, const struct log_entry *entry) {
	if(style->format == LOG_FORMAT_JSON) {
		put_json_line(out, style->worker, entry);
	} else {
		put_text_line(out, style->worker, entry);
	}
}

/* ---- the journal ---- */

/* "WEBSOCKSY_NAME=value\n": without a line feed in the value this is the whole encoding. */
static void put_journal_field(struct writer *out, const struct log_field *field) {
	char value[FIELD_MAX];
	put_text(out, "WEBSOCKSY_");
	for(const char *at = field->name; *at; at++) {
		char upper = *at >= 'a' && *at <= 'z' ? (char)(*at - 'a' + 'A') : *at;
		put(out, &upper, 1);
	}
	put_text(out, "=");
	if(field->text) {
		size_t len = strnlen(field->text, sizeof(value));
		memcpy(value, field->text, len);
		put(out, value, log_escape_line(value, len, sizeof(value)));
	} else {
		put_number(out, field->number);
	}
	put_text(out, "\n");
}

static void put_journal(
	struct writer *out, const struct log_style *style, const struct log_entry *entry) {
	size_t cap = out->cap;
	put_text(out, "PRIORITY=");
	put_number(out, severities[entry->level]);
	put_text(out, "\nSYSLOG_IDENTIFIER=" IDENTIFIER "\nMESSAGE=");
	out->cap = out->len + LOG_LINE_MAX - PREFIX_MAX;
	put_body(out, style, entry);
	out->cap = cap;
	put_text(out, "\n");
	if(style->worker > 0) {
		const struct log_field number = {.name = "worker", .number = style->worker};
		put_journal_field(out, &number);
	}
	if(entry->subject) {
		const struct log_field id = {.name = "id", .number = entry->subject->id};
		const struct log_field client = {.name = "client", .text = entry->subject->client};
		put_journal_field(out, &id);
		put_journal_field(out, &client);
	}
	for(size_t i = 0; i < entry->fields && room(out) > 2 * FIELD_MAX; i++) {
		put_journal_field(out, &entry->field[i]);
	}
}

size_t log_line_format(
	const struct log_style *style, const struct log_entry *entry, char out[LOG_ENTRY_MAX]) {
	if(style->envelope == LOG_ENVELOPE_JOURNAL) {
		struct writer fields = {out, 0, LOG_ENTRY_MAX};
		put_journal(&fields, style, entry);
		return fields.len;
	}
	/* One byte is left for the line feed. */
	struct writer line = {out, 0, LOG_LINE_MAX - 1};
	put_prefix(&line, style, entry->level);
	put_body(&line, style, entry);
	if(style->envelope == LOG_ENVELOPE_TIME || style->envelope == LOG_ENVELOPE_PRIORITY) {
		out[line.len++] = '\n';
	}
	return line.len;
}
