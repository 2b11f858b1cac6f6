/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Reads the options on the command line.
 *
 * It must not know which options there are.
 */
#include "config/cmdline.h"

#include "base/address.h"
#include "base/text.h"

#include <string.h>
#include <unistd.h>

/* The arguments that are left; the first is the one in hand. */
struct arguments {
	char **at;
	size_t left;
};

/* Takes an option's value from the next argument. NULL, with an error, if there is none. */
static const char *take_value(
	struct reader *reader, struct arguments *arguments, const struct option *option) {
	if(arguments->left < 2) {
		reader_error(reader, "a value is missing (%s)", option->argument);
		return NULL;
	}
	arguments->at++;
	arguments->left--;
	return arguments->at[0];
}

/* The answer to an option that may stand alone: the next argument if it is one, otherwise yes. */
static const char *take_answer(struct arguments *arguments) {
	const char *next = arguments->left > 1 ? arguments->at[1] : "";
	if(strcmp(next, "yes") != 0 && strcmp(next, "no") != 0) {
		return "yes";
	}
	arguments->at++;
	arguments->left--;
	return next;
}

static void read_long(struct reader *reader, struct arguments *arguments) {
	struct slice rest = text_slice(arguments->at[0] + 2);
	struct slice name;
	const char *value = NULL;
	if(text_split(&rest, '=', &name)) {
		value = rest.at;
	} else {
		name = rest;
	}
	const struct option *option = reader_find(reader, name);

	reader_name(reader, "--", name);
	if(!option) {
		reader_error(reader, "unknown option (--help lists all)");
	} else if(!option->argument && value) {
		reader_error(reader, "takes no value");
	} else if(!option->argument) {
		reader_set(reader, option, NULL);
	} else if(option->optional && !value) {
		reader_set(reader, option, take_answer(arguments));
	} else {
		value = value ? value : take_value(reader, arguments, option);
		if(value) {
			reader_set(reader, option, value);
		}
	}
}

/* One or more letters: "-vv", "-p8001", "-p 8001", "-tp8001". */
static void read_short(struct reader *reader, struct arguments *arguments) {
	const char *letter = arguments->at[0] + 1;

	for(; *letter != '\0' && !reader->stop; letter++) {
		const struct option *option = reader_find_letter(reader, *letter);
		reader_name(reader, "-", (struct slice){letter, 1});
		if(!option) {
			reader_error(reader, "unknown option (--help lists all)");
			return;
		}
		if(option->argument && !option->optional) {
			const char *value = letter[1] != '\0'
				? letter + 1
				: take_value(reader, arguments, option);
			if(value) {
				reader_set(reader, option, value);
			}
			return;
		}
		reader_set(reader, option, option->optional ? "yes" : NULL);
	}
}

/* As in "websocksy 6080 localhost:5900" or "websocksy localhost:5900". */
static bool looks_like_port(const char *argument) {
	const char *colon = strrchr(argument, ':');
	uint16_t port;
	return address_parse_port(text_slice(colon ? colon + 1 : argument), &port) == 0 &&
		access(argument, F_OK) < 0;
}

/* One argument may be a configuration file without an option in front of it. */
static void read_file_argument(struct reader *reader, const char *argument) {
	if(reader->has_file) {
		reader_name(reader, "", text_slice(argument));
		reader_error(reader,
			"no option (only one argument may be a configuration file, give others as "
			"--config FILE)");
		return;
	}
	reader->has_file = true;
	reader_name(reader, "", text_slice("FILE"));
	if(looks_like_port(argument)) {
		reader_error(reader,
			"cannot read \"%.80s\" (to listen on a port and connect to a peer use -p "
			"PORT "
			"-c host=tcp://HOST:PORT)",
			argument);
		return;
	}
	reader_set(reader, reader_find(reader, text_slice("config")), argument);
}

/* All the rest. */
static void read_program(struct reader *reader, struct arguments *arguments) {
	reader_name(reader, "", text_slice("--"));
	if(arguments->left < 2) {
		reader_error(reader, "a program is missing behind it (-- PROGRAM ARGUMENT...)");
	} else {
		reader->config->program = arguments->at + 1;
		reader->program = reader->place;
	}
	arguments->left = 1;
}

static void read_argument(struct reader *reader, struct arguments *arguments) {
	const char *argument = arguments->at[0];

	if(strcmp(argument, "--") == 0) {
		read_program(reader, arguments);
	} else if(strncmp(argument, "--", 2) == 0) {
		read_long(reader, arguments);
	} else if(argument[0] == '-' && argument[1] != '\0') {
		read_short(reader, arguments);
	} else {
		read_file_argument(reader, argument);
	}
}

void cmdline_read(struct reader *reader, int argc, char **argv) {
	struct arguments arguments = {argv + 1, argc > 1 ? (size_t)argc - 1 : 0};

	while(arguments.left > 0 && !reader->stop) {
		reader->place = (struct reader_place){.order = reader->place.order + 1};
		read_argument(reader, &arguments);
		arguments.at++;
		arguments.left--;
	}
}
