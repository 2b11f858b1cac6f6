# SPDX-License-Identifier: BSD-2-Clause
"""Transfers that are larger than all buffers on the way."""
import array
import contextlib
import random
import select
import socket
import sys
import threading
import time

from tools.client import ConnectionEnded
from tools.daemon import SANITIZED, Daemon
from tools.frames import BIN, PING, PONG, frame
from tools.peers import TcpPeer, UnixPeer
from tools.sockets import kernel_holds
from tools.waiting import eventually, observed

KIB, MIB = 1 << 10, 1 << 20
# What docs/design.md says of one direction of one connection: the source is paused above the high mark
# (buffer-high), which one more read (of the loop's scratch buffer) may have overshot. Cut into messages, the
# bytes of that read wait for the client in one block, which has grown by doubling. Chunks are 16 KiB.
HIGH, READ, CHUNK = 256 * KIB, 256 * KIB, 16 * KIB


def numbers(size, start=0):
    """`size` bytes that tell their place: 64-bit numbers that count up."""
    values = array.array("Q", range(start, start + size // 8))
    if sys.byteorder == "little":
        values.byteswap()
    return values.tobytes()


def lines(count):
    return b"".join(b"%08d\r\n" % number for number in range(count))


class Flood:
    """Sends from a thread whatever the other side takes.

    `sent` counts bytes. `stuck` is true while the socket has taken nothing for a moment, though no daemon of
    the test has anything to do: it has not just been kept from running.
    """

    PATIENCE = 0.25

    def __init__(self, sock, data):
        self.sock = sock.dup()
        self.data = memoryview(data)
        self.end = len(data)
        self.sent = 0
        self.stuck = False
        self.done = False
        self.stopped = False
        self.error = None
        self.lock = threading.Lock()  # for what is sent, and for the end of it
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        # The description is shared with the test's socket, so it stays as it is (MSG_DONTWAIT instead).
        while self.sent < self.end and not self.stopped:
            _, writable, _ = select.select([], [self.sock], [], self.PATIENCE)
            if not writable:
                self.stuck = daemons_wait()
                continue
            try:
                with self.lock:
                    piece = self.data[self.sent:min(self.sent + 256 * KIB, self.end)]
                    self.sent += self.sock.send(piece, socket.MSG_DONTWAIT)
                self.stuck = False
            except BlockingIOError:
                pass
            except OSError as error:
                self.error = error
                break
        self.done = self.sent == self.end
        self.sock.close()

    def wait_stuck(self):
        eventually(lambda: self.stuck or self.done or self.error, "a sender that is held up")
        assert self.stuck and not self.done, f"all {self.sent} bytes were taken ({self.error})"

    def cut(self, unit=1):
        """Makes what has been sent so far, to the end of a unit of so many bytes, all that there is. Returns
        the number of units."""
        with self.lock:
            count = -(-self.sent // unit)
            self.end = min(count * unit, len(self.data))
        return count

    def wait_done(self):
        eventually(lambda: self.done or self.error, "the end of a flood")
        assert self.done, self.error

    def stop(self):
        self.stopped = True
        self.thread.join()


def daemons_wait():
    """Each daemon of the test waits for an event (or has been stopped, or has ended)."""
    states = []
    for daemon in list(Daemon.running):
        with contextlib.suppress(OSError):
            states.append(daemon.state())
    return not set(states) & set("RD")


class Gauge:
    """Memory of the daemon since now."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.before = daemon.rss()

    def growth(self):
        return self.daemon.rss() - self.before

    def check(self, limit):
        if not SANITIZED:  # a sanitizer keeps freed memory and shadows all of it
            grown = self.growth()
            assert grown <= limit, f"{grown / KIB:.0f} KiB more than before, limit {limit / KIB:.0f}"


def check_bystander(client, rounds=40):
    """Round trips of one client while others flood."""
    for number in range(rounds):
        with observed("round trip beside a flood"):
            client.round_trip(b"%d" % number)


def collect(client, size, pause=0, step=MIB, pongs=None):
    """Payload of data frames until `size` bytes are there; pongs go to the list. Fast, few checks."""
    data, got, at = bytearray(), client.buffer, 0
    client.sock.settimeout(client.timeout)
    client.buffer = bytearray()
    while True:
        while len(got) - at >= 2:
            length, head = got[at + 1], 2
            if length == 126 and len(got) - at >= 4:
                length, head = int.from_bytes(got[at + 2:at + 4], "big"), 4
            elif length == 127 and len(got) - at >= 10:
                length, head = int.from_bytes(got[at + 2:at + 10], "big"), 10
            elif length >= 126:
                break
            if len(got) - at < head + length:
                break
            opcode = got[at] & 15
            payload = got[at + head:at + head + length]
            if opcode < 8:
                data += payload
            elif opcode == PONG:
                assert pongs is not None, "a pong among the data"
                pongs.append(bytes(payload))
            elif opcode == PING:
                client.send_frame(PONG, payload)
            else:
                raise ConnectionEnded(f"close frame {bytes(payload)!r} after {len(data)} bytes")
            at += head + length
            if len(data) >= size:
                client.buffer = got[at:]
                assert len(data) == size, f"{len(data)} bytes instead of {size}"
                return bytes(data)
        del got[:at]
        at = 0
        try:
            piece = client.sock.recv(step)
        except ConnectionResetError:
            raise ConnectionEnded(f"reset after {len(data)} of {size} bytes", reset=True) from None
        if not piece:
            raise ConnectionEnded(f"end after {len(data)} of {size} bytes")
        got += piece
        if pause:
            time.sleep(pause)


def same(got, wanted):
    """Equality without a diff of megabytes."""
    if got != wanted:
        at = next((i for i, (a, b) in enumerate(zip(got, wanted)) if a != b), min(len(got), len(wanted)))
        raise AssertionError(
            f"{len(got)} bytes instead of {len(wanted)}, different from offset {at}: "
            f"{got[at:at + 32]!r} instead of {wanted[at:at + 32]!r}")


class Bridge:
    """A daemon between clients and peers of one kind.

    The kernel's own buffers of a TCP connection may grow to tens of megabytes, those of a Unix socket hold
    some 200 KiB. A flood of `size` bytes is more than both and what the daemon holds.
    """

    def __init__(self, run, tmp_path, kind, *args, peer=None, **buffers):
        self.size = 4 * MIB + kernel_holds() // MIB * MIB if kind == "tcp" else 2 * MIB
        self.peer = peer or run(
            TcpPeer(**buffers) if kind == "tcp" else UnixPeer(tmp_path / "peer", **buffers))
        front = str(tmp_path / "front")
        self.daemon = run(Daemon("-l", f"unix:{front}", *args, peer=self.peer.url))
        self.daemon.wait_log("listening on unix:")
        self.address = front if kind == "unix" else None

    def client(self):
        """A client whose own buffers are small."""
        client = self.daemon.open(address=self.address, rcvbuf=4096)
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        return client

    def pair(self):
        return self.client(), self.peer.accept()

    def warm_up(self):
        """The first connection makes the process touch its code and its scratch buffer of 256 KiB."""
        client, connection = self.pair()
        data = lines(2 * READ // 10)
        sender = Flood(connection.sock, data)
        collect(client, len(data))
        sender.stop()
        client.send_in_background(frame(BIN, data))
        connection.recv_exactly(len(data))
        client.close_handshake(1000)
        connection.expect_eof()
        return Gauge(self.daemon)


class Echo:
    """Stands for the peer of a Bridge."""

    url = "echo://"


def in_circles(sock, data, stop):
    view, at = memoryview(data), 0
    with sock:
        while not stop.is_set():
            if not select.select([], [sock], [], 0.05)[1]:
                continue
            try:
                at += sock.send(view[at:], socket.MSG_DONTWAIT)
            except BlockingIOError:
                pass
            except OSError:
                return
            at %= len(view)


def swallow(sock, stop):
    with sock:
        while not stop.is_set():
            if select.select([sock], [], [], 0.05)[0] and not sock.recv(MIB):
                return


@contextlib.contextmanager
def in_circles_and_swallowed(source, data, client):
    """Meanwhile `source` sends the data over and over, and the client's socket reads whatever comes."""
    stop = threading.Event()
    threads = [
        threading.Thread(target=in_circles, args=(source.dup(), data, stop), daemon=True),
        threading.Thread(target=swallow, args=(client.dup(), stop), daemon=True)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def noise(size, seed=0):
    """Random bytes, the same for each seed."""
    return random.Random(seed).randbytes(size)
