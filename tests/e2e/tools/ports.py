# SPDX-License-Identifier: BSD-2-Clause
"""TCP ports: one that is free, one that refuses connections, one that never answers a SYN."""
import random
import socket
import struct
from pathlib import Path

from tools.waiting import TIMEOUT

reserved_ports = []  # sockets with abstract names, held until this process ends


def free_port():
    """A TCP port that is unused, from below those that the kernel gives to outgoing connections: such a
    connection of another test could have taken it by the time that it is used. Tests of other processes do
    not get it either, because an abstract name in the same network namespace reserves it."""
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(max(low - 12000, 1024), low)
        reservation = socket.socket(socket.AF_UNIX)
        try:
            reservation.bind(f"\0websocksy-test-port-{port}")
            for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET, "127.0.0.1")):
                with socket.socket(family) as sock:
                    sock.bind((host, port))
        except OSError:
            reservation.close()
            continue
        reserved_ports.append(reservation)
        return port


class ClosedPort:
    """A TCP port that is taken but refuses connections."""

    def __init__(self, host="127.0.0.1"):
        self.host = host
        self.sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.sock.bind((host, 0))
        self.port = self.sock.getsockname()[1]

    @property
    def url(self):
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp://{host}:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()


class StuckPort:
    """A TCP port whose queue is full: a connection attempt gets no answer at all, as from a host behind
    a firewall that drops packets."""

    def __init__(self, host="127.0.0.1"):
        self.host = host
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sock = socket.socket(family)
        self.sock.bind((host, 0))
        self.sock.listen(0)
        self.port = self.sock.getsockname()[1]
        self.fillers = []

    def __enter__(self):
        while not self.is_full():
            assert len(self.fillers) < 16, "the queue does not fill"
            filler = socket.socket(self.sock.family)
            filler.settimeout(TIMEOUT)
            self.fillers.append(filler)
            filler.connect((self.host, self.port))
        return self

    def is_full(self):
        """For a listening socket the kernel puts the length of its queue, and the limit, into two fields of
        struct tcp_info (tcpi_unacked and tcpi_sacked). It drops a SYN when the length is above the limit."""
        information = self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        length, limit = struct.unpack_from("=II", information, 24)
        return length > limit

    @property
    def url(self):
        return f"tcp://{self.host}:{self.port}"

    def __exit__(self, *_):
        for filler in self.fillers:
            filler.close()
        self.sock.close()
