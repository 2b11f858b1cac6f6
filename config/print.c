/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Prints the help and the effective configuration.
 */
#include "config/print.h"

#include "base/text.h"
#include "config/ini.h"
#include "config/table.h"

#include <stdio.h>
#include <string.h>

#define PRINT_COLUMN 30 /* of the help texts */
#define PRINT_WIDTH 80
#define PRINT_TEXT_MAX 1024

/* Prints `text` in lines that begin at the help column; the cursor is at `column` now. */
static void print_wrapped(const char *text, size_t column) {
	while(text[0] != '\0') {
		size_t len = strcspn(text, " ");
		bool first = column <= PRINT_COLUMN;
		if(!first && column + 1 + len >= PRINT_WIDTH) {
			printf("\n");
			column = 0;
			first = true;
		}
		if(first) {
			printf("%*s", (int)(PRINT_COLUMN - column), "");
			column = PRINT_COLUMN;
		}
		column += (size_t)printf("%s%.*s", first ? "" : " ", (int)len, text);
		text += text[len] == ' ' ? len + 1 : len;
	}
	printf("\n");
}

static void print_option(const struct option *option) {
	char head[PRINT_WIDTH], help[PRINT_TEXT_MAX];
	char letter[3] = {'-', option->letter, '\0'};
	bool preset = option->preset && option->preset[0] != '\0';
	int len = snprintf(head, sizeof(head), "  %2s%s%s%s%s%s%s", option->letter ? letter : "",
		option->letter && option->name ? ", " : "  ", option->name ? "--" : "",
		option->name ? option->name : "",
		!option->argument || !option->name ? ""
			: option->optional         ? "[="
						   : "=",
		option->argument ? option->argument : "", option->optional ? "]" : "");

	snprintf(help, sizeof(help), "%s%s%s%s", option->help, preset ? " (default: " : "",
		preset ? option->preset : "", preset ? ")" : "");
	printf("%s", head);
	if(len >= PRINT_COLUMN) {
		printf("\n");
		len = 0;
	}
	print_wrapped(help, (size_t)len);
}

void print_help(void) {
	printf("Usage: websocksy [OPTION]... [FILE] [-- PROGRAM ARGUMENT...]\n\n"
	       "Bridges WebSocket clients to TCP, UDP and Unix sockets, and to programs.\n"
	       "Long options with a value, but --config, are also keys in FILE's [core] "
	       "section.\n");
	for(size_t group = 0; group < OPTION_GROUPS; group++) {
		printf("\n%s:\n", table_groups[group]);
		for(size_t i = 0; i < table.count; i++) {
			if(table.option[i].group == (enum option_group)group) {
				print_option(&table.option[i]);
			}
		}
	}
	printf("\nSee websocksy(8) and websocksy.conf(5).\n");
}

/*
 * All values of an option of a backend, which may have several. False: it was not given, or the
 * backend is the built-in one, whose options have one value each.
 */
static bool print_given(const struct config *config, const char *name) {
	bool given = false;
	for(size_t i = 0; config->backend_name && i < config->backend_options; i++) {
		struct slice value = text_slice(config->backend_option[i]);
		if(text_is(text_take(&value, '='), name)) {
			ini_print(name, value.at);
			given = true;
		}
	}
	return given;
}

void print_config(const struct config *config) {
	printf("[core]\n");
	for(size_t i = 0; i < table.count; i++) {
		const struct option *option = &table.option[i];
		if(option->key) {
			option->type->print(option, config);
		}
	}
	printf("\n[backend]\n");
	const char *name, *effective;
	size_t known = 0;
	for(; backend_option(config->backend, known, &name, &effective); known++) {
		if(!print_given(config, name) && effective) {
			ini_print(name, effective);
		}
	}
	if(known > 0) {
		return;
	}
	for(size_t i = 0; i < config->backend_options; i++) {
		struct slice value = text_slice(config->backend_option[i]);
		struct slice key = text_take(&value, '=');
		printf("%.*s", (int)key.len, key.at);
		ini_print("", value.at);
	}
}
