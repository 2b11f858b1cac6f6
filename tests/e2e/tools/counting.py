# SPDX-License-Identifier: BSD-2-Clause
"""System calls and library calls of the daemon, counted."""
import mmap
import re
import shutil
import struct
import subprocess

from tools import tls_files
from tools.daemon import BINARY, Daemon
from tools.frames import BIN, PING, PONG, Frame, frame
from tools.peers import TcpPeer
from tools.sockets import unsent
from tools.waiting import TIMEOUT, eventually

# A mask of zeros, so that a marker can be read in the record; unmasking costs the same with any mask.
NO_MASK = bytes(4)


class Session:
    """A daemon with `connections` clients and the test at the other ends of theirs."""

    def __init__(self, run, daemon, peer, connections=1):
        self.daemon = run(daemon)
        self.pairs = []
        for _ in range(connections):
            client = self.daemon.open()
            self.pairs.append((client, peer.accept()))
        self.client, self.service = self.pairs[0]
        self.peer = peer
        self.fds = self.daemon.fds()

    def up(self, payload, repeat=1):
        """Messages from the client to the peer, in one block."""
        self.client.send_raw(frame(BIN, payload, mask=NO_MASK) * repeat)
        assert self.service.recv_exactly(len(payload) * repeat) == payload * repeat

    def down(self, payload, count=1):
        """Bytes from the peer, which become `count` equal messages."""
        self.service.send(payload)
        got = [self.client.recv_frame() for _ in range(count)]
        assert b"".join(message.payload for message in got) == payload
        assert {message.opcode for message in got} <= {1, 2}

    def echo(self, payload):
        self.up(payload)
        self.down(payload)

    def ping(self, payload):
        self.client.send_frame(PING, payload)
        assert self.client.recv_frame() == Frame(True, PONG, payload)

    def connection(self):
        """A whole life: handshake, a byte each way, the client's close frame, both ends."""
        client = self.daemon.open()
        service = self.peer.accept()
        client.send_raw(frame(BIN, b"1", mask=NO_MASK))
        assert service.recv_exactly(1) == b"1"
        service.send(b"2")
        assert client.recv_frame() == Frame(True, BIN, b"2")
        client.close_handshake()
        self.daemon.clients.remove(client)
        assert service.recv() == b""
        service.close()
        # Two descriptors for each connection that stays.
        eventually(lambda: self.daemon.fds() == self.fds, "the connection's descriptors to be closed")

    def stop(self):
        self.daemon.close_clients()
        for _, service in self.pairs:
            service.close()
        self.daemon.stop()


def arguments(framing="binary"):
    # Without a line of the log for each connection, which is two system calls.
    return ("--log-level=notice", "-c", f"framing={framing}",
            *(("-c", "framing-config=lf") if framing == "newline" else ()))


def under(tool, peer, *args, tls=False):
    """A daemon that is started by a tool, which takes the place of the program and gets it as arguments."""
    program, *options = tool
    return secured(tls, *options, BINARY, "-p", "0", "-l", "127.0.0.1", *args, peer=peer.url,
                   defaults=False, executable=shutil.which(program))


def secured(tls, *args, **kwargs):
    """A daemon that may have a certificate. It is started in the directory of that: with an absolute path it would
    watch what happens in /tmp, too, and the files of others there would cost it calls."""
    if not tls:
        return Daemon(*args, **kwargs, tls=False)
    authority, pair = tls_files.shared()
    daemon = Daemon(*args, f"--cert={pair.cert.name}", f"--key={pair.key.name}", **kwargs, tls=False,
                    cwd=pair.cert.parent)
    daemon.tls = tls_files.client_context(authority)
    return daemon


RECEIVES = {"recv", "recvfrom", "recvmsg", "read", "readv"}
SENDS = {"send", "sendto", "sendmsg", "write", "writev"}
# Which calls these are does not matter; that there are no others does.
KINDS = {**dict.fromkeys(RECEIVES, "receive"), **dict.fromkeys(SENDS, "send"),
         "epoll_wait": "wait", "epoll_pwait": "wait", "epoll_pwait2": "wait"}


FIRST, LAST = b"first marker", b"last marker"


def can_trace():
    if not shutil.which("strace"):
        return False
    return subprocess.run(("strace", "-D", "-o", "/dev/null", "true"), capture_output=True,
                          timeout=TIMEOUT, check=False).returncode == 0


def count_calls(lines):
    """The calls after the first marker has left and before the last one is received."""
    begin = max(at for at, line in enumerate(lines) if FIRST.decode() in line)
    end = min(at for at, line in enumerate(lines) if LAST.decode() in line)
    calls = {}
    for line in without_file_watch(lines[begin + 1:end]):
        match = re.match(r"\d+ +(\w+)\(", line)
        if match:
            name = KINDS.get(match[1], match[1])
            calls[name] = calls.get(name, 0) + 1
    return calls


def without_file_watch(lines):
    """Once a second the status of certificate and key is compared, whatever is sent; the wait may end for that."""
    kept = []
    for line in lines:
        if re.match(r"\d+ +(newfstatat|statx?)\(.*\.(pem|key)\"", line):
            if kept and re.match(r"\d+ +epoll_p?wait2?\(.*= 0$", kept[-1]):
                kept.pop()
        else:
            kept.append(line)
    return kept


def wait_until_arrived(sock):
    """All that was sent is where the other side reads."""
    eventually(lambda: unsent(sock) == 0, "the bytes to arrive")


COUNTERS = ("allocations", "frees", "copies", "copied_bytes", "clocks", "waits", "own_allocations",
            "own_copied_bytes")


class Counted(Session):
    """A session whose daemon has the counting library in front of the C library."""

    def __init__(self, run, library, path, framing, tls):
        path.write_bytes(bytes(8 * len(COUNTERS)))
        peer = run(TcpPeer())
        environment = {"LD_PRELOAD": str(library), "COUNTING": str(path)}
        daemon = secured(tls, *arguments(framing), peer=peer.url, env=environment)
        super().__init__(run, daemon, peer)
        with open(path, "rb") as file:
            self.memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def counters(self):
        return dict(zip(COUNTERS, struct.unpack(f"{len(COUNTERS)}Q", self.memory[:])))

    def cost(self, work, messages=200):
        """What `messages` times `work` adds to each counter; once before, for what is done at first."""
        work()
        before = self.counters()
        for _ in range(messages):
            work()
        after = self.counters()
        return {name: after[name] - before[name] for name in COUNTERS}
