/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The kinds of stream for named pipes, each in one direction.
 */
#ifndef WEBSOCKSY_FIFO_H
#define WEBSOCKSY_FIFO_H
#include "network/stream.h"

extern const struct stream_ops fifo_tx_ops; /* writing end */
extern const struct stream_ops fifo_rx_ops; /* reading end */
#endif
