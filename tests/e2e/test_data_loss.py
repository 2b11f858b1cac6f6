# SPDX-License-Identifier: BSD-2-Clause
"""Deadlines and data: a transfer that goes on is not cut, and a cut is never taken for an end.

A deadline that must expire is a second. One that must not is three, and a side that is slow moves data hundreds of
times within them, for longer than they last. Data is made before the connection, so that no deadline waits for it.
"""
import threading
import time

import pytest

from tools.daemon import Daemon
from tools.floods import KIB, MIB, Flood, collect, numbers, same
from tools.frames import BIN, CLOSE, close_payload, frame
from tools.peers import TcpPeer
from tools.sockets import kernel_holds, unsent

PAUSE = 0.01  # between two reads of a side that is slow


class Sender(threading.Thread):
    """Sends in the background; the other side may stop listening at any time."""

    def __init__(self, sock, data):
        super().__init__(daemon=True)
        self.sock = sock
        self.data = data
        self.error = None
        self.start()

    def run(self):
        try:
            self.sock.sendall(self.data)
        except OSError as error:
            self.error = error


def read_slowly(connection, step=16 * KIB):
    """Everything until the end, and whether that was a reset."""
    data = bytearray()
    connection.sock.settimeout(60)
    try:
        while piece := connection.sock.recv(step):
            data += piece
            time.sleep(PAUSE)
    except ConnectionResetError:
        return bytes(data), True
    return bytes(data), False


@pytest.fixture
def slow_peer(run):
    return run(TcpPeer(rcvbuf=16 * KIB))


def frames_of(data, close=True):
    """The frames of a client that sends `data` and then a close frame."""
    step = 64 * KIB
    frames = [frame(BIN, data[at:at + step]) for at in range(0, len(data), step)]
    if close:
        frames.append(frame(CLOSE, close_payload(1000)))
    return b"".join(frames)


# --- idle-timeout -------------------------------------------------------------------------------


def test_a_transfer_to_a_slow_client_is_not_idle(run):
    data = numbers(10 * MIB)
    peer = run(TcpPeer())
    daemon = run(Daemon("--idle-timeout=3s", "-c", "framing=binary", peer=peer.url))
    client = daemon.open(rcvbuf=8 * KIB)
    connection = peer.accept()
    Sender(connection.sock, data)
    same(collect(client, len(data), pause=PAUSE, step=16 * KIB), data)


def test_a_transfer_to_a_slow_peer_is_not_idle(run, slow_peer):
    data = numbers(8 * MIB)
    frames = frames_of(data)
    daemon = run(Daemon("--idle-timeout=3s", peer=slow_peer.url))
    client = daemon.open()
    connection = slow_peer.accept()
    Sender(client.sock, frames)
    got, reset = read_slowly(connection)
    same(got, data)
    assert not reset
    client.expect_close(1000)


def test_a_connection_on_which_nothing_is_taken_is_idle(run):
    """What one side has not taken is not activity by itself."""
    peer = run(TcpPeer())
    daemon = run(Daemon("--idle-timeout=1s", "--close-timeout=1s", "--stall-timeout=0", "-c", "framing=binary",
                        peer=peer.url))
    daemon.open(rcvbuf=8 * KIB)
    flood = Flood(peer.accept().sock, numbers(24 * MIB))
    daemon.wait_log(r'code=1001 reason="no data for too long \(idle-timeout\)"', timeout=60)
    flood.stop()


# --- close-timeout ------------------------------------------------------------------------------


def test_a_slow_peer_gets_all_behind_its_own_end(run, slow_peer):
    """The client's close frame comes behind data that waits for the peer."""
    data = numbers(8 * MIB)
    frames = frames_of(data)
    daemon = run(Daemon("--close-timeout=3s", peer=slow_peer.url))
    client = daemon.open()
    connection = slow_peer.accept()
    Sender(client.sock, frames)
    connection.finish()
    client.expect_close(1000)
    got, reset = read_slowly(connection)
    same(got, data)
    assert not reset


def test_a_peer_that_stops_reading_behind_its_own_end_is_reset(run, slow_peer):
    data = numbers(24 * MIB)
    frames = frames_of(data)
    daemon = run(Daemon("--close-timeout=1s", "--stall-timeout=0", peer=slow_peer.url))
    client = daemon.open()
    connection = slow_peer.accept()
    Sender(client.sock, frames)
    connection.finish()
    daemon.wait_log(r"did not take the client's data in time \(close-timeout\)", timeout=60)
    got, reset = read_slowly(connection, MIB)
    assert reset and len(got) < len(data), "a part of the data looks like all of it"
    same(got, data[:len(got)])


def test_a_client_that_does_not_answer_ends_the_peer_in_order(run):
    """Nothing was dropped, so nothing is to be told."""
    peer = run(TcpPeer())
    daemon = run(Daemon("--close-timeout=1s", peer=peer.url))
    client = daemon.open()
    connection = peer.accept()
    client.send_text("all")
    assert connection.recv_exactly(3) == b"all"
    connection.finish()
    client.expect_close(1000)
    daemon.wait_log(r"did not answer the close frame in time")
    connection.expect_eof()


# --- stall-timeout, grace -----------------------------------------------------------------------


def test_a_peer_that_takes_nothing_is_reset(run, slow_peer):
    data = numbers(24 * MIB)
    frames = frames_of(data)
    daemon = run(Daemon("--stall-timeout=1s", peer=slow_peer.url))
    client = daemon.open()
    connection = slow_peer.accept()
    Sender(client.sock, frames)
    client.expect_close(1011)
    got, reset = read_slowly(connection, MIB)
    assert reset and len(got) < len(data), "a part of the data looks like all of it"


def test_a_client_that_takes_nothing_leaves_a_reset_if_it_sent_more(run, slow_peer):
    """Neither side reads: the data of the client that is dropped with it has not all come to the peer."""
    data = numbers(24 * MIB)
    frames = frames_of(data)
    daemon = run(Daemon("--stall-timeout=2s", "-c", "framing=binary", peer=slow_peer.url))
    client = daemon.open(rcvbuf=8 * KIB)
    connection = slow_peer.accept()
    sender = Sender(connection.sock, numbers(24 * MIB))
    Sender(client.sock, frames)
    daemon.wait_log(r"takes no data \(stall-timeout\)", timeout=60)
    got, reset = read_slowly(connection, MIB)
    sender.join()
    # The kernel tells it once: to the first who asks.
    reset = reset or isinstance(sender.error, ConnectionResetError)
    assert reset and len(got) < len(data), "a part of the data looks like all of it"


def test_the_end_of_grace_resets_a_peer_that_has_not_got_all(run, slow_peer):
    daemon = run(Daemon("--grace=1s", "--close-timeout=60s", "--stall-timeout=0", peer=slow_peer.url))
    client = daemon.open()
    connection = slow_peer.accept()
    data = numbers(24 * MIB)
    flood = Flood(client.sock, frame(BIN, data))
    flood.wait_stuck()
    daemon.stop(close_clients=False, patience=60)
    flood.stop()
    assert "1 connection has not ended in time (grace)" in daemon.log()
    got, reset = read_slowly(connection, MIB)
    assert reset and len(got) < len(data), "a part of the data looks like all of it"


# --- a client that is gone ----------------------------------------------------------------------


def test_what_a_client_sent_before_its_reset_comes_to_the_peer(run, slow_peer):
    """Writing to the client fails while its data still waits to be read."""
    daemon = run(Daemon("--stall-timeout=0", "--close-timeout=60s", "-c", "framing=binary", peer=slow_peer.url))
    client = daemon.open()
    connection = slow_peer.accept()
    data = numbers(8 * MIB + kernel_holds())  # more than the sockets on the way take
    whole = frame(BIN, data, mask=bytes(4))
    flood = Flood(client.sock, whole)
    flood.wait_stuck()
    flood.stop()
    arrived = flood.sent - unsent(client.sock) - (len(whole) - len(data))
    client.abort()
    connection.send(b"this cannot be delivered")
    daemon.settle()
    got, _ = read_slowly(connection, MIB)
    assert len(got) >= arrived, f"{len(got)} of {arrived} bytes"
    same(got, data[:len(got)])


# --- the log ------------------------------------------------------------------------------------


def test_a_close_frame_without_a_code_is_logged_as_1005(run):
    peer = run(TcpPeer())
    daemon = run(Daemon(peer=peer.url))
    client = daemon.open()
    client.send_frame(CLOSE)
    assert client.recv_frame() == (True, CLOSE, b"")
    daemon.wait_log(r'code=1005 reason="closed by the client"')
