# SPDX-License-Identifier: BSD-2-Clause
"""Thousands of idle connections: little memory, no processor time, and everybody else is served.

One process may hold only as many descriptors as its hard limit says, and a bridge needs two for each client.
So the clients and the peer live in helper processes: this file, run as a program.
"""
import resource
import selectors
import signal
import socket
import subprocess
import sys
import time

import pytest

from tools.daemon import SANITIZED, Daemon
from tools.frames import CLOSE, close_payload, frame
from tools.http import build_request
from tools.waiting import TIMEOUT, eventually, observed

pytestmark = pytest.mark.measures

HARD_LIMIT = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
if HARD_LIMIT == resource.RLIM_INFINITY:
    HARD_LIMIT = 1 << 20


WANTED = 400 if SANITIZED else 9000  # a multiple of HELPERS
# 128 descriptors are the daemon's reserve, and some more are for clients that come later.
HELPERS = 2
COUNT = min(WANTED, (HARD_LIMIT - 200) // 2 // HELPERS * HELPERS)
MEMORY = 560  # bytes of the daemon for each idle connection, whether there are few or many


# --- helper processes ---------------------------------------------------------------------------


def serve_peers():
    """A peer: takes connections, echoes, closes at the end of each. Prints its port first."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    print(listener.getsockname()[1], flush=True)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                selector.register(listener.accept()[0], selectors.EVENT_READ)
                continue
            data = key.fileobj.recv(4096)
            if data:
                key.fileobj.send(data)
            else:
                selector.unregister(key.fileobj)
                key.fileobj.close()


def hold_clients(port, count):
    """Opens `count` connections; then each line of input is an order, answered by one line."""
    clients = []
    for _ in range(count):
        client = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        client.sendall(build_request("/"))
        head = client.recv(4096)
        assert head.startswith(b"HTTP/1.1 101 ") and head.endswith(b"\r\n\r\n"), head
        clients.append(client)
    print("open", len(clients), flush=True)
    for order in sys.stdin:
        if order.strip() == "echo":
            # One in fifty: the connection still works, and so does its peer's.
            for client in clients[::50]:
                client.sendall(frame(1, "ping"))
                assert client.recv(100) == b"\x81\x04ping"
            print("echoed", flush=True)
        else:
            ended = sum(expect_end(client) for client in clients)
            print("ended", ended, flush=True)


def expect_end(client):
    """1001, answered, then an end of stream."""
    wanted = close_payload(1001)
    data = client.recv(200)
    assert data[0] == 0x80 | CLOSE and data[2:4] == wanted, data
    client.sendall(frame(CLOSE, wanted))
    assert client.recv(1) == b""
    client.close()
    return 1


class Helper:
    """This file as a process of its own."""

    def __init__(self, *args):
        self.args = [sys.executable, __file__, *map(str, args)]

    def __enter__(self):
        self.process = subprocess.Popen(
            self.args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def answer(self):
        line = self.process.stdout.readline().split()
        assert line, "the helper has failed, see above"
        return line

    def order(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()


# --- the test -----------------------------------------------------------------------------------


def check_new_clients(daemon):
    """A client that comes now is served at once."""
    for _ in range(20):
        with observed("life of a connection beside idle ones"):
            client = daemon.open()
            client.send_text("hello")
            assert client.recv_message() == (1, b"hello")
            client.close_handshake(1000)


def check_memory(daemon, before, fds, count):
    eventually(lambda: daemon.fds() == fds + 2 * count, "two descriptors for each connection")
    each = (daemon.rss() - before) / count
    if not SANITIZED:  # the sanitizer's own bookkeeping is far larger
        assert each <= MEMORY, f"{each:.0f} bytes for each of {count} idle connections"


def check_processor(daemon):
    """No client sends and nothing is due: the process sleeps, all the time."""
    eventually(lambda: daemon.state() == "S", "the daemon to be done")
    before = daemon.voluntary_switches(), daemon.cpu_ns()
    time.sleep(2)  # what is measured, not what is waited for
    assert (daemon.voluntary_switches(), daemon.cpu_ns()) == before


def start(run, *arguments):
    """A peer and a daemon that has served a few clients already, its descriptors and its memory."""
    peer = run(Helper("peer"))
    peer_port = int(peer.answer()[0])
    daemon = run(Daemon("--log-level=notice", *arguments, peer=f"tcp://127.0.0.1:{peer_port}"))
    fds = daemon.fds()
    check_new_clients(daemon)
    eventually(lambda: daemon.fds() == fds, "the first clients to be gone")
    return daemon, fds, daemon.rss()


@pytest.mark.latency
def test_memory_of_a_thousand_connections(run):
    """With timers, unlike below, and with what the access log says of each."""
    count = 400 if SANITIZED else 1000
    daemon, fds, before = start(run, "--log-level=info")
    helper = run(Helper("clients", daemon.port, count))
    assert helper.answer() == ["open", str(count)]
    check_memory(daemon, before, fds, count)


@pytest.mark.latency
@pytest.mark.skipif(COUNT < 100, reason=f"descriptor limit of {HARD_LIMIT} is too low to tell anything")
def test_idle_connections(run):
    daemon, fds, before = start(run, "--ping=0", "--grace=1h", "--close-timeout=1h")
    helpers = [run(Helper("clients", daemon.port, COUNT // HELPERS)) for _ in range(HELPERS)]
    for helper in helpers:
        assert helper.answer() == ["open", str(COUNT // HELPERS)]
    check_memory(daemon, before, fds, COUNT)
    check_processor(daemon)
    check_new_clients(daemon)
    for helper in helpers:
        helper.order("echo")
        assert helper.answer() == ["echoed"]
    check_processor(daemon)
    daemon.signal(signal.SIGTERM)
    for helper in helpers:
        helper.order("end")
    for helper in helpers:
        assert helper.answer() == ["ended", str(COUNT // HELPERS)]
    assert daemon.wait() == 0


def test_pings_of_idle_connections_are_spread_and_cheap(run):
    """A ping each second for each of them, and an answer: no more work than that."""
    daemon = run(Daemon("--ping=1", "--pong-timeout=1h", "--log-level=notice", peer="echo://"))
    clients = [daemon.open() for _ in range(200)]
    # What a message and its echo cost, the dearer pair: once more than all rounds of pings.
    before = daemon.cpu_ns()
    for _ in range(10):
        for client in clients:
            client.send_text("x")
        for client in clients:
            assert client.recv_message()[1] == b"x"
    echoes = daemon.cpu_ns() - before
    before = daemon.cpu_ns()
    for _ in range(2):
        for client in clients:
            assert client.recv_frame().opcode == 9
            client.send_frame(10)
    assert daemon.cpu_ns() - before < echoes
    for client in clients:
        client.close_handshake(1000)


if __name__ == "__main__":
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    if sys.argv[1] == "peer":
        serve_peers()
    else:
        hold_clients(int(sys.argv[2]), int(sys.argv[3]))
