# SPDX-License-Identifier: BSD-2-Clause
"""PROXY headers of versions 1 and 2, written and read."""
import socket
import struct

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
CLIENT, SERVICE = "203.0.113.9", "198.51.100.1"


def v1(source=CLIENT, destination=SERVICE, ports=(4711, 8001)):
    family = "TCP6" if ":" in source else "TCP4"
    return f"PROXY {family} {source} {destination} {ports[0]} {ports[1]}\r\n".encode()


def v2(source=CLIENT, destination=SERVICE, ports=(4711, 8001), command=0x21, extensions=b""):
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    block = socket.inet_pton(family, source) + socket.inet_pton(family, destination)
    block += struct.pack(">HH", *ports) + extensions
    kind = 0x21 if family == socket.AF_INET6 else 0x11
    return SIGNATURE + struct.pack(">BBH", command, kind, len(block)) + block


def read_line(connection):
    """The PROXY header of version 1 at the start of a peer's connection, byte by byte, as words."""
    line = b""
    while not line.endswith(b"\r\n"):
        line += connection.recv_exactly(1)
        assert len(line) <= 107
    return line.decode().split()


def read_v2(connection):
    """The one of version 2: (command, family, source, destination, ports)."""
    start = connection.recv_exactly(16)
    assert start[:12] == SIGNATURE
    command, kind, size = struct.unpack(">BBH", start[12:])
    block = connection.recv_exactly(size)
    if kind == 0:
        assert size == 0
        return (command, kind)
    family, width = {0x11: (socket.AF_INET, 4), 0x21: (socket.AF_INET6, 16)}[kind]
    assert size == 2 * width + 4
    return (command, kind, socket.inet_ntop(family, block[:width]),
            socket.inet_ntop(family, block[width:2 * width]), struct.unpack(">HH", block[2 * width:]))
