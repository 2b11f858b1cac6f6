/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Media types (RFC 9110, section 8.3.1) of files, by the extensions of their names.
 */
#ifndef WEBSOCKSY_MIME_H
#define WEBSOCKSY_MIME_H

/*
 * The media type of the file at `path`; "application/octet-stream" for unknown extensions. Static.
 */
const char *mime_type(const char *path);
#endif
