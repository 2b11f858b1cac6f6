# SPDX-License-Identifier: BSD-2-Clause
"""Frames of RFC 6455 as bytes."""
import collections
import struct

CONTINUATION, TEXT, BINARY_OP, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
BIN = BINARY_OP


def apply_mask(payload, key):
    """XORs the payload with the four bytes of `key`."""
    size = len(payload)
    pad = key * (size // 4 + 1)
    number = int.from_bytes(payload, "big") ^ int.from_bytes(pad[:size], "big")
    return number.to_bytes(size, "big")


def frame(opcode, payload=b"", fin=True, rsv=0, mask=True, length_form=None, length=None):
    """A client frame as bytes.

    mask         True: some fixed key; None or False: unmasked; four bytes: that key
    length_form  7, 16 or 64: bits of the length field, minimal or not
    length       the number to write there, if it is not the payload's length
    """
    if isinstance(payload, str):
        payload = payload.encode()
    size = len(payload) if length is None else length
    if length_form is None:
        length_form = 7 if size < 126 else 16 if size < 65536 else 64
    first = (0x80 if fin else 0) | (rsv << 4) | opcode
    masked = 0x80 if mask else 0
    if length_form == 7:
        head = struct.pack("!BB", first, masked | size)
    elif length_form == 16:
        head = struct.pack("!BBH", first, masked | 126, size)
    else:
        head = struct.pack("!BBQ", first, masked | 127, size)
    if not mask:
        return head + payload
    key = b"\x37\xfa\x21\x3d" if mask is True else mask
    return head + key + apply_mask(payload, key)


def close_payload(code, reason=b""):
    if isinstance(reason, str):
        reason = reason.encode()
    return struct.pack("!H", code) + reason


def cut_once(data):
    """Every way to cut `data` in two."""
    return [(data[:at], data[at:]) for at in range(1, len(data))]


def bytewise(data):
    return [data[at:at + 1] for at in range(len(data))]


Frame = collections.namedtuple("Frame", "fin opcode payload")
CloseFrame = collections.namedtuple("CloseFrame", "code reason")
