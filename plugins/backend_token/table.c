/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Lines "TOKEN: TARGET" as in the token files of websockify. The token ends at the first colon that
 * white space follows, so that it may contain colons.
 *
 * Must not know: files, nor the core.
 * Invariant: the rows are sorted by token, and those with the same token by line.
 */
#include "plugins/backend_token/table.h"

#include "plugins/common/target.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_BLANKS " \t\r\v\f"

/* Takes a line off the front, without its end and surrounding blanks; NULL: there are no more. */
static char *take_line(char **at, char *end, size_t *len) {
	char *line = *at;
	if(line >= end) {
		return NULL;
	}
	char *stop = memchr(line, '\n', (size_t)(end - line));
	stop = stop ? stop : end;
	*at = stop + 1;
	while(line < stop && *line && strchr(TABLE_BLANKS, *line)) {
		line++;
	}
	while(stop > line && stop[-1] && strchr(TABLE_BLANKS, stop[-1])) {
		stop--;
	}
	*stop = '\0';
	*len = (size_t)(stop - line);
	return line;
}

/* Splits a line in place. */
static bool split_line(char *line, size_t len, struct table_row *row) {
	char address[TARGET_MAX];
	char *colon = line;
	if(memchr(line, '\0', len)) {
		return false;
	}
	do {
		colon = strchr(colon, ':');
	} while(colon && !(colon[1] && strchr(TABLE_BLANKS, colon[1])) && colon++);
	if(!colon || colon == line) {
		return false;
	}
	*colon = '\0';
	*row = (struct table_row){line, colon + 2};
	return target_from_text(row->target, strlen(row->target), address);
}

static int compare_rows(const void *a, const void *b) {
	const struct table_row *first = a;
	const struct table_row *second = b;
	int result = strcmp(first->token, second->token);
	return result ? result : (first->token > second->token) - (first->token < second->token);
}

static size_t count_lines(struct reading_text text) {
	size_t count = 1;
	for(size_t i = 0; i < text.len; i++) {
		count += text.at[i] == '\n';
	}
	return count;
}

int table_fill(struct table *table, struct reading_text text) {
	char *at = text.at;
	size_t len;
	size_t number = 0;
	*table = (struct table){.text = text};
	table->rows = calloc(count_lines(text), sizeof(*table->rows));
	if(!table->rows) {
		table_free(table);
		return -ENOMEM;
	}
	for(char *line; (line = take_line(&at, text.at + text.len, &len));) {
		number++;
		if(len == 0 || line[0] == '#') {
			continue;
		}
		if(split_line(line, len, &table->rows[table->count])) {
			table->count++;
		} else if(table->wrong == 0) {
			table->wrong = number;
		}
	}
	qsort(table->rows, table->count, sizeof(*table->rows), compare_rows);
	return 0;
}

const char *table_find(const struct table *table, const char *token) {
	size_t low = 0;
	size_t high = table->count;
	/* The rows in front of `low` are not behind the token, those from `high` on are. */
	while(low < high) {
		size_t middle = low + (high - low) / 2;
		if(strcmp(table->rows[middle].token, token) <= 0) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	bool found = low > 0 && strcmp(table->rows[low - 1].token, token) == 0;
	return found ? table->rows[low - 1].target : NULL;
}

void table_free(struct table *table) {
	free(table->text.at);
	free(table->rows);
	*table = (struct table){.count = 0};
}
