# SPDX-License-Identifier: BSD-2-Clause
"""The end of the daemon in steps: drain-delay, drain-time and drain-code."""
import re
import select
import signal
import socket

import pytest

from tools.daemon import SANITIZED, Daemon
from tools.frames import CLOSE, close_payload, frame
from tools.http import build_request
from tools.service import Manager
from tools.sockets import is_open
from tools.waiting import TIMEOUT, eventually

CLIENTS = 1000 if SANITIZED else 5000
BOTH = pytest.mark.parametrize("workers", (1, 2))


def start(run, workers, *args, **kwargs):
    """Its first line about the address is that of the supervisor, which comes before workers are ready."""
    daemon = run(Daemon(f"--workers={workers}", "--health=/healthz", "--grace=1h", "--close-timeout=1h", *args,
                        peer="echo://", **kwargs))
    if workers > 1:
        daemon.wait_log(r"is ready$", count=workers)
    return daemon


def is_refusing(daemon):
    return daemon.http("/healthz", plain=True).status == 503


def begin(daemon):
    """From here on each worker has been told."""
    daemon.signal(signal.SIGTERM)
    daemon.wait_log(r"stopping \(Terminated\)")


# --- drain-delay --------------------------------------------------------------------------------


@BOTH
def test_connections_are_accepted_during_the_delay(run, tmp_path, workers):
    manager = run(Manager(f"{tmp_path}/notify"))
    daemon = start(run, workers, "--drain-delay=1h", "--drain-time=1h", env={"NOTIFY_SOCKET": manager.name})
    assert manager.recv()["READY"] == "1"
    before = daemon.open()
    assert daemon.http("/healthz", plain=True).status == 200
    begin(daemon)
    assert manager.recv() == {"STOPPING": "1"}
    eventually(lambda: all(is_refusing(daemon) for _ in range(4 * workers)), "503 for health checks")
    daemon.open().round_trip()
    before.round_trip()
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert before.recv_frame().opcode == CLOSE
    before.expect_eof(reset_ok=True)


@BOTH
def test_end_of_the_delay(run, workers):
    daemon = start(run, workers, "--drain-delay=200ms", "--drain-code=1012")
    clients = [daemon.open() for _ in range(8)]
    port = daemon.port
    begin(daemon)
    for client in clients:
        client.expect_close(1012, "the server is shutting down")
    eventually(lambda: not is_open(("127.0.0.1", port)), "the end of listening")
    for client in clients:
        client.send_close(1012)
        client.expect_eof()
        client.close()
    assert daemon.wait() == 0


def test_socket_in_the_file_system_stays_during_the_delay(run, tmp_path):
    path = tmp_path / "socket"
    daemon = start(run, 2, f"--listen=unix:{path}", "--drain-delay=1h")
    begin(daemon)
    eventually(lambda: is_refusing(daemon), "503 for health checks")
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(TIMEOUT)
        client.connect(str(path))
        client.sendall(build_request("/"))
        assert client.recv(4096).startswith(b"HTTP/1.1 101 ")
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert not path.exists()


def test_no_delay_for_the_end_by_an_option(run):
    """Clients that are told where to go by a health check have nothing to do with it."""
    daemon = run(Daemon("--run-once", "--drain-delay=1h", "--drain-time=1h", peer="echo://"))
    daemon.open().close_handshake()
    assert daemon.wait() == 0


# --- drain-time ---------------------------------------------------------------------------------


@BOTH
def test_connections_end_one_after_another(run, workers):
    daemon = start(run, workers, "--drain-time=300ms")
    clients = [daemon.open() for _ in range(8)]
    begin(daemon)
    for client in clients:
        client.expect_close(1001)
        client.send_close(1001)
        client.expect_eof()
        client.close()
    assert daemon.wait() == 0


def test_a_connection_works_until_its_turn(run):
    daemon = start(run, 1, "--drain-time=1h", "--ping=0")
    clients = [daemon.open() for _ in range(3)]
    begin(daemon)
    daemon.wait_log("drain: 3 connections")
    assert not is_open(daemon.address)
    for client in clients:
        client.round_trip()
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0


@BOTH
def test_second_signal_ends_all(run, workers):
    daemon = start(run, workers, "--drain-time=1h")
    clients = [daemon.open() for _ in range(4)]
    begin(daemon)
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    for client in clients:
        assert client.recv_frame().opcode == CLOSE
        client.expect_eof(reset_ok=True)


# --- many clients -------------------------------------------------------------------------------


class Client:
    """Connects to a daemon, and once that ends the connection to another one."""

    request = build_request("/")

    def __init__(self, daemon):
        self.connect(daemon)

    def connect(self, daemon):
        self.sock = socket.create_connection(daemon.address, TIMEOUT)
        self.sock.sendall(self.request)
        head = self.sock.recv(4096)
        assert head.startswith(b"HTTP/1.1 101 ") and head.endswith(b"\r\n\r\n")

    def move(self, daemon):
        """The close code."""
        received = self.sock.recv(4096)
        assert received[0] == 0x80 | CLOSE
        self.sock.sendall(frame(CLOSE, close_payload(1001)))
        self.sock.close()
        self.connect(daemon)
        return int.from_bytes(received[2:4], "big")


def move_all(clients, daemon):
    poll = select.epoll()
    by_fd = {}
    for client in clients:
        by_fd[client.sock.fileno()] = client
        poll.register(client.sock, select.EPOLLIN)
    codes = []
    while by_fd:
        events = poll.poll(TIMEOUT)
        assert events, f"{len(by_fd)} clients are still waiting"
        for fd, _ in events:
            codes.append(by_fd.pop(fd).move(daemon))
    poll.close()
    return codes


@pytest.mark.once
def test_clients_that_connect_elsewhere_at_once(run):
    """Their number in each tenth of drain-time, by the times of the closes and not by those of the test."""
    quiet = ("--log-level=notice", "--grace=1h", "--close-timeout=1h")
    first = run(Daemon("--drain-time=2s", *quiet, peer="echo://", tls=False))
    second = run(Daemon(*quiet, peer="echo://", tls=False))
    clients = [Client(first) for _ in range(CLIENTS)]
    first.signal(signal.SIGTERM)
    assert move_all(clients, second) == [1001] * CLIENTS
    assert first.wait() == 0
    counts = re.findall(rf"drain: (\d+) of {CLIENTS} connections have been asked to end", first.log())
    sums = [0, *map(int, counts)]
    closes = [after - before for before, after in zip(sums, sums[1:])]
    assert len(closes) == 10 and sum(closes) == CLIENTS
    assert max(closes) <= 1.5 * CLIENTS / len(closes)
    for client in clients:
        client.sock.close()
