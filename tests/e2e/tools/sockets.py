# SPDX-License-Identifier: BSD-2-Clause
"""What daemon, peers and clients of the tests share about sockets."""
import contextlib
import fcntl
import os
import socket
import struct
import termios
from pathlib import Path

import pytest


def kernel_holds():
    """The most bytes that the sockets on the way from a sender through the daemon to a receiver may hold over
    TCP: a receive buffer and two send buffers as large as the kernel lets them grow. A receiver that reads
    nothing and is to hold up its sender limits its own buffer (rcvbuf)."""
    largest = [int(Path(f"/proc/sys/net/ipv4/{name}").read_text().split()[2])
               for name in ("tcp_rmem", "tcp_wmem", "tcp_wmem")]
    return sum(largest)


def send_all(sock, data):
    """sendall() whose time limit is one without progress, as that of recv() is."""
    view = memoryview(data)
    for at in range(0, len(view), 1 << 18):
        sock.sendall(view[at:at + (1 << 18)])


def unix_name(path):
    return "\0" + path[1:] if path.startswith("@") else path


HAS_IPV6 = os.path.exists("/proc/net/if_inet6") and "00000001 01" in open("/proc/net/if_inet6").read()
needs_ipv6 = pytest.mark.skipif(not HAS_IPV6, reason="this machine has no ::1")


def is_open(address):
    """Whether there is a listener at the address, (host, port) or a path."""
    if isinstance(address, tuple):
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    else:
        family, address = socket.AF_UNIX, unix_name(str(address))
    with socket.socket(family) as sock:
        try:
            sock.connect(address)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        return True


def descriptors(pid):
    """What the descriptors of a process lead to."""
    links = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            links[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
    return links


def listening_ports(process, family):
    """The TCP ports that a process listens on. Unlike is_open(), it is not misled by another process that has
    the same port of another address, or has got it since."""
    opened = descriptors(process.pid).values()
    table = Path("/proc/net/tcp6" if family == socket.AF_INET6 else "/proc/net/tcp").read_text("ascii")
    rows = (line.split() for line in table.splitlines()[1:])
    return {int(row[1].rpartition(":")[2], 16)
            for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in opened}


def unsent(sock):
    """Bytes that the other end has not acknowledged (SIOCOUTQ)."""
    return struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, b"\0" * 4))[0]


def kernel_timer(port):
    """The timer (proc(5): 02 is keepalive) of the established connection to this port of 127.0.0.1."""
    remote = struct.pack("<I", struct.unpack("!I", socket.inet_aton("127.0.0.1"))[0])[::-1]
    wanted = f"{int.from_bytes(remote, 'little'):08X}:{port:04X}"
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in table:
            fields = line.split()
            if fields[2] == wanted and fields[3] == "01":
                return fields[5].split(":")[0]
    return None
