/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The types of option values.
 */
#ifndef WEBSOCKSY_TYPES_H
#define WEBSOCKSY_TYPES_H
#include "config/option.h"

/* Numbers. */
extern const struct option_type type_port;
extern const struct option_type type_time;
extern const struct option_type type_pong;
extern const struct option_type type_query; /* a time, or "auto" */
extern const struct option_type type_size;
extern const struct option_type type_count;

/* Words and switches. */
extern const struct option_type type_switch; /* yes, no */
extern const struct option_type type_tls; /* enum settings_tls */
extern const struct option_type type_verify; /* enum tls_verify */
extern const struct option_type type_wrap; /* enum settings_wrap */
extern const struct option_type type_wrap_mode; /* enum program_mode */
extern const struct option_type type_level; /* enum log_level */
extern const struct option_type type_log_format; /* enum log_format */
extern const struct option_type type_record_format; /* enum record_format */
extern const struct option_type type_drain_code; /* enum settings_drain_code */
extern const struct option_type type_access_log; /* enum settings_access */
extern const struct option_type type_per_key;
extern const struct option_type type_legacy; /* SETTINGS_LEGACY_* */

/* Texts; empty: none. */
extern const struct option_type type_text;
extern const struct option_type type_path; /* made absolute, see config/paths.h */
extern const struct option_type type_directory;
extern const struct option_type type_web;
extern const struct option_type type_url_path;
extern const struct option_type type_field_name;
extern const struct option_type type_flash_domain;
extern const struct option_type type_flash_ports;
extern const struct option_type type_resolver;
extern const struct option_type type_log_target;
extern const struct option_type type_record;

/* Lists: each value is added, an empty one or "*" begins anew. */
extern const struct option_type type_texts;
extern const struct option_type type_paths;
extern const struct option_type type_server_names;
extern const struct option_type type_web_header;
extern const struct option_type type_frame_ancestors;
extern const struct option_type type_listen;
extern const struct option_type type_origin;
extern const struct option_type type_network;

/* Options that take effect when they are read, or are noted for config/build.c. */
extern const struct option_type type_backend;
extern const struct option_type type_backend_option;
extern const struct option_type type_verbosity;
extern const struct option_type type_action;

/* Words that are values. */
#define TYPE_WORD_ALL "*" /* a list as if the option had not been given */
#define TYPE_WORD_AUTO "auto" /* of times that follow another one */
#define TYPE_WORD_ORIGIN "auto" /* of origin: same if clients are authenticated, otherwise any */
#endif
