/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The kinds of stream for named pipes, each in one direction.
 */
#ifndef WEBSOCKSY_FIFO_H
#define WEBSOCKSY_FIFO_H
#include "network/stream.h"

extern const struct stream_ops fifo_tx_ops; /* writing end */
extern const struct stream_ops fifo_rx_ops; /* reading end */

/*
 * Opens a fifo for one direction (`access`: O_RDONLY or O_WRONLY) without waiting for the other
 * end. The descriptor; -EINVAL: something else has this path; or other negative errno. `*why`:
 * static text, or untouched.
 */
int fifo_open(const char *path, int access, const char **why);

/* `write` and `flush` for any descriptor that is not a socket, see struct stream_ops. */
int fifo_write(struct stream *stream, const struct iovec *iov, int count, size_t total);
int fifo_flush(struct stream *stream);
#endif
