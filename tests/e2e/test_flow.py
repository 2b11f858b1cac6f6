# SPDX-License-Identifier: BSD-2-Clause
"""Flow control: a side that does not read stops its source, costs bounded memory, and delays no other connection."""
import contextlib
import select
import socket
import threading
import time

import pytest

from tools.daemon import Daemon
from tools.fifos import FifoReader
from tools.floods import (
    CHUNK, HIGH, KIB, MIB, READ, Bridge, Echo, Flood, Gauge, check_bystander, collect,
    daemons_wait, in_circles_and_swallowed, lines, numbers, same,
)
from tools.frames import BIN, CLOSE, PING, PONG, frame
from tools.peers import TcpPeer, UdpPeer, UnixDgramPeer, echo
from tools.waiting import LONG, LONG_MS, TIMEOUT, eventually

BOUND = HIGH + 2 * READ + 2 * CHUNK
# Several floods at once, so that what belongs to the process and not to a connection weighs little.
FLOODS = 4


# --- a client that never reads ------------------------------------------------------------------


@pytest.mark.latency
@pytest.mark.parametrize("kind, framing", (("tcp", "auto"), ("unix", "auto"), ("unix", "newline")))
def test_client_that_never_reads(run, flood, tmp_path, kind, framing):
    """The peer is held up, memory is bounded, others are served; then nothing is lost or reordered."""
    bridge = Bridge(run, tmp_path, kind, "-c", f"framing={framing}", "--log-level=notice")
    gauge = bridge.warm_up()
    bystander, _ = bridge.pair()
    data = lines(bridge.size // 10) if framing == "newline" else numbers(bridge.size)
    pairs = [bridge.pair() for _ in range(FLOODS)]
    floods = [flood(connection.sock, data) for _, connection in pairs]
    check_bystander(bystander)
    for one in floods:
        one.wait_stuck()
    check_bystander(bystander)
    gauge.check(FLOODS * BOUND)
    unit = 10 if framing == "newline" else 8
    sizes = [unit * one.cut(unit) for one in floods]
    for (client, connection), one, size in zip(pairs, floods, sizes):
        same(collect(client, size), data[:size])
        one.wait_done()
        connection.finish()
        client.expect_close(1000)
        client.send_close(1000)
        client.expect_eof()


def test_messages_of_one_byte_wait_in_bounded_memory(run, flood, tmp_path):
    """Framing may multiply the bytes: one byte becomes a frame of three."""
    bridge = Bridge(run, tmp_path, "unix", "-c", "framing=newline", "-c", "framing-config=lf")
    gauge = bridge.warm_up()
    pairs = [bridge.pair() for _ in range(FLOODS)]
    data = b"\n" * MIB
    floods = [flood(connection.sock, data) for _, connection in pairs]
    for one in floods:
        one.wait_stuck()
    gauge.check(FLOODS * BOUND)
    same(collect(pairs[0][0], len(data)), data)


@pytest.mark.latency
@pytest.mark.parametrize("kind", ("udp", "unix-dgram"))
def test_client_that_never_reads_and_datagrams(run, tmp_path, kind):
    """UDP may lose; what arrives is whole and in order. A Unix socket loses nothing."""
    peer = run(UdpPeer() if kind == "udp" else UnixDgramPeer(tmp_path / "peer"))
    bridge = Bridge(run, tmp_path, "unix", "-c", "framing=binary", peer=peer)
    bystander, client = bridge.client(), bridge.client()
    client.send_binary(b"hello")
    address = peer.recv()[1]
    gauge = Gauge(bridge.daemon)
    total, sent = 3000, 0
    peer.sock.settimeout(0)
    while sent < total:
        try:
            peer.send(numbers(8, sent) + bytes(992), address)
            sent += 1
        except BlockingIOError:  # a Unix socket holds its sender up
            if not select.select([], [peer.sock], [], Flood.PATIENCE)[1] and daemons_wait():
                break
    assert kind == "udp" or sent < total, "nothing held the peer up"
    check_bystander(bystander)
    gauge.check(BOUND)

    def rest():
        peer.sock.settimeout(TIMEOUT)
        for number in range(sent, total):
            peer.send(numbers(8, number) + bytes(992), address)
        # The marker may be lost as well, so it is sent until it has been seen.
        while not seen or seen[-1] != total:
            peer.send(numbers(8, total) + bytes(992), address)
            time.sleep(0.01)

    seen = []
    sender = threading.Thread(target=rest, daemon=True)
    sender.start()
    while not seen or seen[-1] != total:
        message = client.recv_message()[1]
        assert len(message) == 1000
        seen.append(int.from_bytes(message[:8], "big"))
    sender.join()
    assert seen == sorted(set(seen)), "reordered or doubled"
    assert len(seen) == total + 1 or (kind == "udp" and len(seen) > 200), f"{len(seen)} came"


# --- a peer that never reads --------------------------------------------------------------------


@pytest.mark.latency
@pytest.mark.parametrize("kind", ("tcp", "unix"))
@pytest.mark.parametrize("size", (1000, 65544), ids=("small", "large"))
def test_peer_that_never_reads(run, flood, tmp_path, kind, size):
    bridge = Bridge(run, tmp_path, kind, rcvbuf=4096)
    gauge = bridge.warm_up()
    bystander, _ = bridge.pair()
    data = numbers(bridge.size)
    stream = b"".join(frame(BIN, data[at:at + size]) for at in range(0, len(data), size))
    pairs = [bridge.pair() for _ in range(FLOODS)]
    floods = [flood(client.sock, stream) for client, _ in pairs]
    check_bystander(bystander)
    for one in floods:
        one.wait_stuck()
    check_bystander(bystander)
    gauge.check(FLOODS * BOUND)
    sizes = [min(size * one.cut(len(frame(BIN, data[:size]))), len(data)) for one in floods]
    for (client, connection), one, taken_size in zip(pairs, floods, sizes):
        same(connection.recv_exactly(taken_size), data[:taken_size])
        one.wait_done()
        client.close_handshake(1000)
        connection.expect_eof()


def test_fifo_that_nobody_empties(run, flood, tmp_path):
    fifo = run(FifoReader(tmp_path / "fifo"))
    bridge = Bridge(run, tmp_path, "unix", peer=fifo)
    client, bystander = bridge.client(), bridge.client()
    gauge = Gauge(bridge.daemon)
    data = numbers(bridge.size)
    one = flood(client.sock, frame(BIN, data))
    one.wait_stuck()
    check_bystander(bystander)
    gauge.check(BOUND + READ)  # this daemon's first read touches its scratch buffer
    same(fifo.recv_exactly(len(data)), data)
    one.wait_done()
    client.close_handshake(1000)


def test_unix_datagram_peer_that_never_reads(run, flood, tmp_path):
    peer = run(UnixDgramPeer(tmp_path / "peer"))
    bridge = Bridge(run, tmp_path, "unix", peer=peer)
    client, bystander = bridge.client(), bridge.client()
    gauge = Gauge(bridge.daemon)
    count = 4000
    one = flood(client.sock, b"".join(
        frame(BIN, numbers(8, number) + bytes(992)) for number in range(count)))
    one.wait_stuck()
    check_bystander(bystander)
    gauge.check(BOUND + READ)
    for number in range(count):
        data, _ = peer.recv()
        assert len(data) == 1000 and data[:8] == numbers(8, number)
    one.wait_done()
    client.close_handshake(1000)


# --- echo and pings -----------------------------------------------------------------------------


@pytest.mark.parametrize("size", (8, 8192, 65544), ids=("tiny", "small", "large"))
def test_echo_to_a_client_that_never_reads(run, flood, tmp_path, size):
    """The client's own bytes are its source: it is the one that is paused."""
    bridge = Bridge(run, tmp_path, "unix", peer=Echo)
    data = numbers(bridge.size)
    stream = b"".join(frame(BIN, data[at:at + size]) for at in range(0, len(data), size))
    with bridge.client() as first:
        first.send_in_background(frame(BIN, data[:65536]) * 8)
        collect(first, 8 * 65536)
        first.close_handshake(1000)
    gauge = Gauge(bridge.daemon)
    bystander = bridge.client()
    clients = [bridge.client() for _ in range(FLOODS)]
    floods = [flood(client.sock, stream) for client in clients]
    check_bystander(bystander)
    for one in floods:
        one.wait_stuck()
    check_bystander(bystander)
    gauge.check(FLOODS * BOUND)
    for client, one in zip(clients, floods):
        same(collect(client, len(data)), data)
        one.wait_done()
        client.close_handshake(1000)


def test_ping_flood_of_a_client_that_does_not_read(run, flood, tmp_path):
    """Pongs in order; those that had no room are left out (RFC 6455, 5.5.3), but never the newest."""
    bridge = Bridge(run, tmp_path, "unix", peer=Echo)
    bystander, client = bridge.client(), bridge.client()
    gauge = Gauge(bridge.daemon)
    count = 60000
    pings = [b"%0100d" % number for number in range(count)]
    one = flood(client.sock, b"".join(frame(PING, ping) for ping in pings))
    check_bystander(bystander)
    one.wait_done()
    check_bystander(bystander)
    gauge.check(BOUND + READ)
    pongs = []
    while not pongs or pongs[-1] != pings[-1]:
        got = client.recv_frame()
        assert got.opcode == PONG
        pongs.append(got.payload)
    assert pongs == sorted(set(pongs)) and set(pongs) <= set(pings)
    assert len(pongs) < count, "this was no flood"
    client.close_handshake(1000)


def test_newest_ping_is_answered_between_data(run, flood, tmp_path):
    """A client that is slow to read a flood of the peer, and pings meanwhile."""
    bridge = Bridge(run, tmp_path, "unix")
    client, connection = bridge.pair()
    data = numbers(bridge.size)
    flood(connection.sock, data).wait_stuck()
    for number in range(1000):
        client.send_frame(PING, b"%d" % number)
    bridge.daemon.settle()
    pongs = []
    same(collect(client, len(data), pongs=pongs), data)
    while pongs[-1:] != [b"999"]:
        got = client.recv_frame()
        assert got.opcode == PONG
        pongs.append(got.payload)
    assert pongs == [b"999"], "older pings were kept"
    client.close_handshake(1000)


@pytest.mark.latency
@pytest.mark.parametrize("kind", ("ping", "echo", "udp", "lines"))
def test_tiny_messages_do_not_delay_others(run, kind):
    """Everybody reads here. But one read may hold 40,000 frames of six bytes from a client, or 260,000 lines
    of one byte from a peer, and each of them may cost the daemon a system call."""
    peer = run({"udp": UdpPeer, "lines": TcpPeer}.get(kind, lambda: contextlib.nullcontext(Echo))())
    daemon = run(Daemon("-c", "framing=newline", "-c", "framing-config=lf", peer=peer.url))
    client, bystander = daemon.open(), daemon.open()
    data = {"ping": frame(PING), "lines": b"\n"}.get(kind, frame(BIN, b"x")) * 50000
    source = peer.accept().sock if kind == "lines" else client.sock
    with in_circles_and_swallowed(source, data, client.sock):
        check_bystander(bystander, 20)


# --- marks --------------------------------------------------------------------------------------


def taken(run, flood, tmp_path, *args):
    """A client that does not read, and a peer that floods it until the daemon takes no more."""
    bridge = Bridge(run, tmp_path, "unix", *args)
    client, connection = bridge.pair()
    one = flood(connection.sock, numbers(8 * MIB))
    one.wait_stuck()
    return client, one


def folder(tmp_path, name):
    (tmp_path / name).mkdir()
    return tmp_path / name


def test_high_mark(run, flood, tmp_path):
    small = taken(run, flood, folder(tmp_path, "a"), "--buffer-high=64K", "--buffer-low=16K")[1].sent
    large = taken(run, flood, folder(tmp_path, "b"), "--buffer-high=3M", "--buffer-low=16K")[1].sent
    # What the sockets hold is the same; what the last read overshoots is not.
    assert abs((large - small) - (3 * MIB - 64 * KIB)) <= READ, (small, large)


def test_low_mark(run, flood, tmp_path):
    """Nothing is read from the peer until the backlog is down to the mark."""
    client, one = taken(run, flood, folder(tmp_path, "a"), "--buffer-high=3M", "--buffer-low=64K")
    before = one.sent
    collect_some(client, MIB)
    client.daemon.settle()
    one.wait_stuck()  # what must not happen has had its chance
    assert one.sent == before, "the peer was read above the low mark"
    collect_some(client, 2 * MIB + 512 * KIB)
    eventually(lambda: one.sent > before + MIB, "the peer to be read below the low mark")
    client, one = taken(run, flood, folder(tmp_path, "b"), "--buffer-high=3M", "--buffer-low=2900K")
    before = one.sent
    collect_some(client, MIB)
    # Of that MiB what may be missing: the last read's overshoot, the room between the marks, the socket's buffer.
    least = MIB - READ - (3072 - 2900) * KIB - 256 * KIB
    eventually(lambda: one.sent > before + least, "the peer to be read below the low mark")


def collect_some(client, size):
    """Takes raw bytes off the wire."""
    client.sock.settimeout(client.timeout)
    while size > 0:
        size -= len(client.sock.recv(min(size, 65536)))


# --- short writes -------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", ("auto", "newline"))
def test_small_socket_buffers_in_both_directions(run, framing):
    """Everything is written in small parts, both ways at once."""
    peer = run(TcpPeer(echo, rcvbuf=2048, sndbuf=2048))
    daemon = run(Daemon("-c", f"framing={framing}", peer=peer.url))
    client = daemon.open(rcvbuf=2048)
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    data = lines(60000)
    sizes = (1, 7, 125, 126, 1000, 65535, 65536, 100000)
    stream, at, number = [], 0, 0
    while at < len(data):
        size = sizes[number % len(sizes)]
        stream.append(frame(BIN, data[at:at + size]))
        at, number = at + size, number + 1
    client.send_in_background(b"".join(stream))
    same(collect(client, len(data)), data)
    client.close_handshake(1000)


# --- stalls -------------------------------------------------------------------------------------


def test_client_that_stalls_is_dropped(run, flood, tmp_path):
    bridge = Bridge(run, tmp_path, "unix", "--stall-timeout=400ms")
    idle = bridge.daemon.fds()
    begun = time.monotonic()
    client, connection = bridge.pair()
    one = flood(connection.sock, numbers(bridge.size))
    bridge.daemon.wait_log("the client takes no data")
    assert time.monotonic() - begun > 0.35
    one.stop()
    while connection.recv():
        pass
    connection.close()
    eventually(lambda: bridge.daemon.fds() <= idle, "both descriptors to be closed")
    client.close()


@pytest.mark.parametrize("kind", ("tcp", "unix"))
def test_peer_that_stalls_closes_with_1011(run, flood, tmp_path, kind):
    bridge = Bridge(run, tmp_path, kind, "--stall-timeout=400ms", rcvbuf=4096)
    data = frame(BIN, numbers(bridge.size))
    client = bridge.client()
    flood(client.sock, data)
    client.expect_close(1011)
    bridge.daemon.wait_log("takes no data")
    client.close()


def test_slow_client_does_not_stall(run, flood):
    """Progress is what counts: a backlog all the time, but one that moves."""
    peer = run(TcpPeer())
    daemon = run(Daemon(f"--stall-timeout={LONG_MS}ms", peer=peer.url))
    client = daemon.open(rcvbuf=8192)
    data = numbers(MIB)
    flood(peer.accept().sock, data)
    begun = time.monotonic()
    same(collect(client, len(data), pause=2.5 * LONG / 256, step=4096), data)
    assert time.monotonic() - begun > 2 * LONG, "the client was not slow"
    client.close_handshake(1000)


def test_slow_peer_does_not_stall(run, flood):
    peer = run(TcpPeer(rcvbuf=8192))
    daemon = run(Daemon(f"--stall-timeout={LONG_MS}ms", peer=peer.url))
    client = daemon.open()
    data = numbers(MIB)
    flood(client.sock, frame(BIN, data))
    connection = peer.accept()
    begun = time.monotonic()
    while len(connection.received) < len(data):
        assert connection.recv(4096)
        time.sleep(2.5 * LONG / 256)
    assert time.monotonic() - begun > 2 * LONG, "the peer was not slow"
    same(bytes(connection.received), data)
    client.close_handshake(1000)


def test_pong_deadline_waits_while_the_client_is_paused(run, flood, tmp_path):
    """Its pong lies behind data that we do not take: that is our doing."""
    bridge = Bridge(run, tmp_path, "unix", "--ping=150ms", f"--pong-timeout={LONG_MS}ms")
    client, connection = bridge.pair()
    data = numbers(bridge.size)
    one = flood(client.sock, frame(BIN, data))
    one.wait_stuck()
    time.sleep(2 * LONG)  # longer than both deadlines
    assert "given up" not in bridge.daemon.log()
    same(connection.recv_exactly(len(data)), data)
    one.wait_done()
    # Now it is seen again, and has to answer.
    while client.recv_frame().opcode != PING:
        pass
    client.send_frame(PONG)
    client.send_close(1000)
    while client.recv_frame().opcode != CLOSE:
        pass
    client.expect_eof()


@pytest.mark.parametrize("kind", ("tcp", "unix"))
def test_slow_client_that_answers_pings_is_not_given_up(run, flood, tmp_path, kind):
    """The ping stands behind all that waits for a slow client, in the daemon and in the kernel. While that
    moves, the client is alive."""
    bridge = Bridge(run, tmp_path, kind, "--ping=200ms", f"--pong-timeout={LONG_MS}ms")
    client, connection = bridge.pair()
    data = numbers(3 * MIB // 2)
    flood(connection.sock, data)
    begun = time.monotonic()
    same(collect(client, len(data), pause=2.5 * LONG / 192, step=8192), data)
    assert time.monotonic() - begun > 2 * LONG, "the client was not slow"
    assert "given up" not in bridge.daemon.log()


# --- the end, slowly ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ("tcp", "unix"))
@pytest.mark.parametrize("talks", (False, True), ids=("listens", "talks"))
def test_slow_client_gets_all_that_a_peer_sent_before_its_end(run, tmp_path, kind, talks):
    """Longer than close-timeout and stall-timeout. A client that says something meanwhile must not make the
    kernel reset the connection, and with it destroy what is under way."""
    bridge = Bridge(run, tmp_path, kind, f"--close-timeout={LONG_MS}ms", f"--stall-timeout={LONG_MS}ms")
    client, connection = bridge.pair()
    data = numbers(300 * KIB if kind == "tcp" else 800 * KIB)
    sender = threading.Thread(target=lambda: (connection.send(data), connection.finish()), daemon=True)
    sender.start()
    begun, got, step = time.monotonic(), bytearray(), len(data) // 80
    client.sock.settimeout(client.timeout)
    while True:
        try:
            piece = client.sock.recv(step)
            if talks:
                client.send_text("still here")
        except OSError as error:
            raise AssertionError(f"{error} after {len(client.buffer)} of {len(data)} bytes") from None
        assert piece, f"end after {len(client.buffer)} of {len(data)} bytes"
        client.buffer += piece
        if client.buffer.endswith(b"the peer has closed"):
            break
        time.sleep(2.5 * LONG / 80)
    while len(got) < len(data):
        got += client.recv_message()[1]
    same(got, data)
    assert time.monotonic() - begun > 2 * LONG, "the client was not slow"
    client.expect_close(1000)
    sender.join()


def test_client_that_never_reads_the_end_is_dropped(run, tmp_path):
    """The peer's end and a client that does not move: after close-timeout nothing is left."""
    bridge = Bridge(run, tmp_path, "unix", "--close-timeout=300ms")
    idle = bridge.daemon.fds()
    client, connection = bridge.pair()
    connection.send(bytes(400 * KIB))
    connection.close()
    eventually(lambda: bridge.daemon.fds() == idle, "the connection to be dropped")
    client.close()
