# SPDX-License-Identifier: BSD-2-Clause
"""Bounds on what connections may hold: messages, memory as a whole, and peers that are gone."""
import socket

import pytest

from tools.client import exchange
from tools.daemon import Daemon
from tools.floods import MIB, numbers
from tools.frames import BIN, CONTINUATION, TEXT, frame
from tools.peers import TcpPeer, UdpPeer, UnixDgramPeer, source
from tools.sockets import kernel_timer
from tools.waiting import eventually

KIB = 1024


# --- max-message ----------------------------------------------------------------------------------


@pytest.mark.parametrize("pieces", (1, 2))
def test_line_above_max_message(run, pieces):
    """A line above max-message was delivered when it came in one read, and was 1009 in two."""
    peer = run(TcpPeer())
    daemon = run(Daemon("--max-message=1000", "-c", "framing=newline", "-c", "framing-config=lf", peer=peer.url))
    client = daemon.open()
    connection = peer.accept()
    data = b"short\n" + b"x" * 1500 + b"\n"
    connection.send(data[:len(data) // pieces])
    if pieces > 1:
        assert client.recv_message() == (TEXT, b"short\n")
        connection.send(data[len(data) // pieces:])
    messages = client.messages_until_close(1009)
    assert messages == ([(TEXT, b"short\n")] if pieces == 1 else [])


def test_line_of_max_message(run):
    peer = run(TcpPeer())
    daemon = run(Daemon("--max-message=1000", "-c", "framing=newline", "-c", "framing-config=lf", peer=peer.url))
    client = daemon.open()
    peer.accept().send(b"x" * 999 + b"\n")
    assert client.recv_message() == (TEXT, b"x" * 999 + b"\n")


@pytest.mark.parametrize("framing", ("auto", "binary", "text"))
def test_framings_without_messages_of_their_own(run, framing):
    """max-message is not a limit on what one read brings."""
    peer = run(TcpPeer())
    daemon = run(Daemon("--max-message=1000", "-c", f"framing={framing}", peer=peer.url))
    client = daemon.open()
    peer.accept().send(b"x" * 5000)
    assert client.recv_bytes(5000) == b"x" * 5000


@pytest.mark.parametrize("kind", ("udp", "unix-dgram"))
def test_incomplete_message_for_a_datagram_peer(run, tmp_path, kind):
    """It was collected up to max-message, although no datagram is as large."""
    peer = run(UdpPeer() if kind == "udp" else UnixDgramPeer(tmp_path / "service"))
    daemon = run(Daemon(peer=peer.url))
    limit = 65507
    if kind != "udp":
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            limit = sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    client = daemon.open()
    piece = b"x" * (16 * KIB)
    client.send_raw(frame(BIN, piece, fin=False))
    for _ in range(limit // len(piece)):
        client.send_raw(frame(CONTINUATION, piece, fin=False))
    client.expect_failed(1009)


# --- max-memory -----------------------------------------------------------------------------------


def test_memory_of_all_connections(run):
    """There was no limit on all incomplete messages together."""
    daemon = run(Daemon("--max-memory=1M", peer="echo://"))
    large, other = daemon.open(), daemon.open()
    large.send_raw(frame(BIN, b"x" * 600 * KIB, fin=False))
    large.round_trip()
    assert daemon.http().status == 503
    other.send_binary(b"small")
    assert other.recv_message() == (BIN, b"small")
    other.send_raw(frame(BIN, b"x" * 100 * KIB, fin=False))
    other.expect_failed(1013)
    daemon.wait_log(r"max-memory\); closed with 1013")
    large.send_raw(frame(CONTINUATION, b"y"))
    assert large.recv_message() == (BIN, b"x" * 600 * KIB + b"y")
    daemon.open().close_handshake()


def test_memory_of_queues(run):
    """At the limit a source is paused as soon as anything is queued; nothing is lost."""
    data = numbers(8 * MIB)
    peer = run(TcpPeer(source(data)))
    daemon = run(Daemon("--max-memory=64K", "--buffer-high=64M", "--buffer-low=1K", "-c", "framing=binary",
                        peer=peer.url))
    client = daemon.open(rcvbuf=4 * KIB)
    eventually(lambda: exchange(daemon.connect(), "/").status == 503, "the limit")
    assert client.recv_bytes(len(data)) == data


# --- peers that are gone --------------------------------------------------------------------------


@pytest.mark.parametrize("options, probed", (((), True), (("--pong-timeout=0",), False)))
def test_machine_of_the_peer_is_probed(run, options, probed):
    """A client that only listens stayed connected for ever when the link to its peer was cut."""
    peer = run(TcpPeer())
    daemon = run(Daemon("--ping=200ms", *options, peer=peer.url))
    client = daemon.open()
    peer.accept()
    if probed:
        eventually(lambda: kernel_timer(peer.port) == "02", "the kernel's timer")
    else:
        for _ in range(2):
            client.recv_frame()
            client.send_frame(10)
        assert kernel_timer(peer.port) == "00"
