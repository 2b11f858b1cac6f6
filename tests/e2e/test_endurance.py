# SPDX-License-Identifier: BSD-2-Clause
"""Slow readers are kept, dead ones are closed, floods delay no other client, nothing is
left unread, and closing takes the time that it was given."""
import fcntl
import os
import select
import socket
import struct
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tools.client import RawClient
from tools.daemon import Daemon, standing_still
from tools.fifos import FifoWriter
from tools.floods import (
    MIB, Bridge, Flood, check_bystander, in_circles_and_swallowed, numbers, same,
)
from tools.frames import BIN, CLOSE, PING, PONG, Frame, frame
from tools.http import build_request
from tools.peers import TcpPeer, UnixPeer, source
from tools.sockets import kernel_holds
from tools.waiting import LONG, LONG_MS, eventually, observed


# --- slow is not dead ---------------------------------------------------------------------------


class SlowClient(RawClient):
    """Reads a little (its receive buffer is small), rests, and so on. The kernel holds megabytes for such a
    client and reports room late: whole seconds pass in which nothing that the daemon has queued moves."""

    PAUSE = 0.1

    def fill(self, timeout=None):
        time.sleep(self.PAUSE)
        super().fill(timeout)


def slow_session(run, data, *arguments):
    """Everything that the peer has said arrives, then the close frame. Returns a function that does it, and
    then returns how long it took and what the daemon has logged."""
    peer = run(TcpPeer(source(data)))
    daemon = run(Daemon(*arguments, peer=peer.url))
    client = run(SlowClient(daemon.address, rcvbuf=32768))

    def session():
        begun = time.monotonic()
        client.upgrade()
        same(client.recv_bytes(len(data)), data)
        got = client.recv_frame()
        while got.opcode == PING:
            got = client.recv_frame()
        assert (got.opcode, got.payload[:2]) == (CLOSE, b"\x03\xe8"), got
        took = time.monotonic() - begun
        client.send_close(1000)
        client.expect_eof()
        client.close()
        return took, daemon.wait_log(": closed: .*")[0]

    return session


def test_slow_client_gets_megabytes(run):
    """All at once, since most of the time is spent asleep. Each timeout is shorter than the transfer."""
    data = numbers(5 * MIB)
    sessions = [slow_session(run, data, *arguments) for arguments in (
        (f"--close-timeout={LONG_MS}ms",), (f"--stall-timeout={LONG_MS}ms",),
        ("--ping=300ms", f"--pong-timeout={LONG_MS}ms"))]
    with ThreadPoolExecutor(len(sessions)) as pool:
        for result in [pool.submit(session) for session in sessions]:
            took, line = result.result()
            assert took > 2 * LONG, f"the client was not slow: {took} s"
            assert 'side=peer code=1000 reason="the peer has closed"' in line


def test_slow_client_that_closes_gets_what_was_sent_before_the_echo(run):
    """Much longer than close-timeout, without a gap and without a reset."""
    peer = run(TcpPeer())
    daemon = run(Daemon(f"--close-timeout={LONG_MS}ms", peer=peer.url))
    client = run(SlowClient(daemon.address, rcvbuf=32768))
    client.PAUSE = 0.15
    client.upgrade()
    data, got = numbers(4 * MIB + kernel_holds() // MIB * MIB), bytearray()
    flood = Flood(peer.accept().sock, data)
    flood.wait_stuck()
    client.send_close(1000)
    begun = time.monotonic()
    while (received := client.recv_frame()).opcode != CLOSE:
        got += received.payload
    assert time.monotonic() - begun > 2 * LONG, "the client was not slow"
    assert received.payload == b"\x03\xe8"
    same(bytes(got), data[:len(got)])
    client.expect_eof()
    flood.stop()


@pytest.mark.latency
@pytest.mark.parametrize("option, line", (
    ("stall-timeout", "the client takes no data"), ("close-timeout", "the client did not answer the close"),
    ("pong-timeout", "no answer to a ping")))
def test_client_that_reads_nothing_is_cut_in_time(run, option, line):
    """The other side of it: bytes that only the kernel has taken are no sign of life."""
    peer = run(TcpPeer())
    daemon = run(Daemon("--ping=100ms", "--pong-timeout=0", f"--{option}=400ms", peer=peer.url))
    begun = time.monotonic()
    daemon.open(rcvbuf=4096)
    connection = peer.accept()
    if option == "close-timeout":
        connection.send(bytes(MIB))
        connection.finish()
    else:
        flood = Flood(connection.sock, bytes(4 * MIB + kernel_holds()))
    with observed("end of a client that reads nothing"):
        daemon.wait_log(line)
    assert 0.35 < time.monotonic() - begun
    if option != "close-timeout":
        flood.stop()
    connection.close()
    daemon.wait_log(": closed: ")


# --- fairness -----------------------------------------------------------------------------------


@pytest.mark.latency
def test_flood_of_empty_messages_does_not_delay_others(run):
    """Six bytes of a client make two of an answer and, each alone, a system call."""
    daemon = run(Daemon(peer="echo://"))
    client, bystander = daemon.open(), daemon.open()
    with in_circles_and_swallowed(client.sock, frame(BIN) * 50000, client.sock):
        check_bystander(bystander, 20)


@pytest.mark.latency
def test_large_file_does_not_delay_others(run, tmp_path):
    """A file without blocks is read as fast as memory, and a client that takes it as fast never lets the
    daemon wait."""
    size = 1024 * MIB
    with open(tmp_path / "large.bin", "wb") as file:
        file.truncate(size)
    daemon = run(Daemon(f"--web={tmp_path}", peer="echo://"))
    bystander = daemon.open()

    def download():
        client = run(RawClient(daemon.address))
        client.send_raw(build_request("/large.bin", plain=True))
        assert client.recv_http(head_only=True).status == 200
        got, room = len(client.buffer), bytearray(MIB)
        while piece := client.sock.recv_into(room, 0, socket.MSG_TRUNC):  # not even copied, see tcp(7)
            got += piece
        return got

    with ThreadPoolExecutor(2) as pool:
        downloads = [pool.submit(download) for _ in range(2)]
        rounds = 0
        while not all(result.done() for result in downloads):
            with observed("round trip beside downloads"):
                bystander.round_trip()
            rounds += 1
    assert [result.result() for result in downloads] == [size, size]
    assert rounds > 10, "others were served between the downloads, not beside them"


# --- pings --------------------------------------------------------------------------------------


def test_all_pings_of_a_segment_are_answered(run):
    daemon = run(Daemon(peer="echo://"))
    client = daemon.open()
    pings = [struct.pack("!B", number) * 125 for number in range(40)]
    client.send_raw(b"".join(frame(PING, payload) for payload in pings))
    assert [client.recv_frame() for _ in pings] == [Frame(True, PONG, payload) for payload in pings]


def test_newest_of_very_many_pings_is_answered(run):
    """Not each of them has to be (RFC 6455, 5.5.3), but in order, and the last."""
    daemon = run(Daemon(peer="echo://"))
    client = daemon.open()
    count = 100000
    sender = client.send_in_background(b"".join(
        frame(PING, struct.pack("!I", number)) for number in range(count)))
    last = -1
    while last != count - 1:
        got = client.recv_frame()
        assert got.opcode == PONG
        number = struct.unpack("!I", got.payload)[0]
        assert number > last
        last = number
    sender.join()
    client.close_handshake()


# --- nothing is left unread ---------------------------------------------------------------------


def expect_bytes(client, data):
    """Without anything else that wakes the daemon: a ping would be seen, and none is due for an hour."""
    got = b""
    while len(got) < len(data):
        got += client.recv_message()[1]
    assert got == data


def test_what_follows_urgent_data_of_the_peer(run):
    """A read stops in front of it and is short, though there is more (tcp(7))."""
    peer = run(TcpPeer())
    daemon = run(Daemon("--ping=1h", peer=peer.url))
    client, connection = daemon.open(), peer.accept()
    with standing_still(daemon):
        connection.send(b"abc")
        connection.sock.send(b"!", socket.MSG_OOB)
        connection.send(b"def")
    expect_bytes(client, b"abcdef")
    connection.send(b"ghi")
    expect_bytes(client, b"ghi")


def test_what_follows_urgent_data_of_a_client(run):
    daemon = run(Daemon("--ping=1h", peer="echo://"))
    client = daemon.open()
    message = frame(BIN, b"abcdef")
    with standing_still(daemon):
        client.send_raw(message[:8])
        client.sock.send(b"!", socket.MSG_OOB)
        client.send_raw(message[8:])
    expect_bytes(client, b"abcdef")


def test_what_follows_descriptors_of_a_unix_peer(run, tmp_path):
    """A read stops behind the bytes that a message with descriptors belongs to (unix(7))."""
    peer = run(UnixPeer(tmp_path / "peer"))
    daemon = run(Daemon("--ping=1h", peer=peer.url))
    client, connection = daemon.open(), peer.accept()
    before = daemon.fds()
    with standing_still(daemon), open(os.devnull) as file:
        socket.send_fds(connection.sock, [b"abc"], [file.fileno()])
        connection.send(b"def")
    expect_bytes(client, b"abcdef")
    assert daemon.fds() == before


def test_what_follows_descriptors_of_a_unix_client(run, tmp_path):
    path = f"{tmp_path}/front"
    daemon = run(Daemon("--ping=1h", "-l", f"unix:{path}", defaults=False, peer="echo://"))
    client = daemon.open(address=path)
    before, message = daemon.fds(), frame(BIN, b"abcdef")
    with standing_still(daemon), open(os.devnull) as file:
        socket.send_fds(client.sock, [message[:8]], [file.fileno()])
        client.send_raw(message[8:])
    expect_bytes(client, b"abcdef")
    assert daemon.fds() == before


def test_packets_in_a_fifo(run, tmp_path):
    """A writer with O_DIRECT makes packets of its writes, and a read takes one of them (pipe(2))."""
    fifo = run(FifoWriter(tmp_path / "fifo"))
    daemon = run(Daemon("--ping=1h", peer=fifo.url))
    client = daemon.open()
    fifo.open()
    fcntl.fcntl(fifo.fd, fcntl.F_SETFL, os.O_DIRECT)
    with standing_still(daemon):
        fifo.send(b"abc")
        fifo.send(b"def")
    expect_bytes(client, b"abcdef")


def test_unix_peer_that_reads_no_more(run, tmp_path):
    """Only its reading side is shut: no end to be seen, but what is written is lost. The client is told, and
    gets what the peer had said before."""
    peer = run(UnixPeer(tmp_path / "peer"))
    daemon = run(Daemon("--ping=1h", peer=peer.url))
    client, connection = daemon.open(), peer.accept()
    connection.sock.shutdown(socket.SHUT_RD)
    with standing_still(daemon):
        connection.send(b"before")
        client.send_binary(b"unread")
    expect_bytes(client, b"before")
    client.expect_close(1011)
    daemon.wait_log("failed: Broken pipe")
    client.send_close(1011)
    client.expect_eof()


# --- closing ------------------------------------------------------------------------------------


def test_nothing_follows_the_close_frame_of_the_idle_timeout(run, tmp_path):
    """The client takes nothing, and so the peer is not read either: idle, with lines waiting in the daemon.
    They must not come behind the close frame (RFC 6455, 5.5.1)."""
    bridge = Bridge(run, tmp_path, "unix", f"--idle-timeout={LONG_MS}ms", "--close-timeout=1h",
                    "-c", "framing=newline", "-c", "framing-config=lf")
    client, connection = bridge.pair()
    flood = Flood(connection.sock, b"\n" * bridge.size)
    flood.wait_stuck()
    flood.wait_done()  # after its close frame the daemon reads the peer and throws away
    ending, wire = b"no data for too long (idle-timeout)", client.buffer
    client.sock.settimeout(client.timeout)
    while ending not in wire:
        piece = client.sock.recv(MIB)
        assert piece, "no close frame"
        wire += piece
    assert wire.endswith(ending), f"{wire[wire.index(ending) + len(ending):][:60]!r} behind the close frame"
    eventually(lambda: bridge.daemon.state() == "S", "the daemon to be done")
    assert not select.select([client.sock], [], [], 0.3)[0], client.sock.recv(100)
    wire.clear()
    client.send_close(1001)
    client.expect_eof()


@pytest.mark.parametrize("option", ("ping", "idle-timeout", "stall-timeout"))
def test_closing_has_a_deadline_of_its_own(run, tmp_path, option):
    """While we wait for the client's close frame only close-timeout counts, also when what the client still
    sends has to wait for a peer that does not read."""
    bridge = Bridge(run, tmp_path, "unix", f"--{option}=500ms", "--close-timeout=1h", rcvbuf=4096)
    client, connection = bridge.pair()
    client.skips_pings = True
    connection.finish()
    client.expect_close(1000)
    data = numbers(bridge.size)
    flood = Flood(client.sock, frame(BIN, data))
    flood.wait_stuck()
    time.sleep(1)  # twice the option
    same(connection.recv_exactly(len(data)), data)
    flood.wait_done()
    time.sleep(1)
    client.send_text("late")
    assert connection.recv_exactly(4) == b"late"
    client.send_close(1000)
    client.expect_eof()
    client.close()
    connection.expect_eof()
    bridge.daemon.wait_log(r': closed: .* side=peer code=1000 reason="the peer has closed"')


def test_peer_gets_what_a_client_said_that_never_answers_the_close(run):
    """The client is dropped; what the daemon had taken from it is still on its way to a slow peer."""
    peer = run(TcpPeer(rcvbuf=4096))
    daemon = run(Daemon(f"--close-timeout={LONG_MS}ms", "--buffer-high=16M", peer=peer.url))
    client, connection = daemon.open(), peer.accept()
    connection.finish()
    client.expect_close(1000)
    data = numbers(8 * MIB)
    client.send_raw(frame(BIN, data))
    daemon.settle()
    daemon.wait_log("the client did not answer the close frame")
    same(connection.recv_all(), data)
    assert not connection.reset
