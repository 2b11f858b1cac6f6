# SPDX-License-Identifier: BSD-2-Clause
"""Closing: codes (RFC 6455, 7.4), the handshake (5.5.1, 7.1), and every way in which an end comes."""
import contextlib
import select
import signal
import threading
import time

import pytest

from tools.daemon import Daemon
from tools.floods import noise
from tools.frames import BIN, CLOSE, CONTINUATION, PING, TEXT, close_payload, frame
from tools.peers import TcpPeer, source
from tools.waiting import LONG, LONG_MS, TIMEOUT, eventually, observed

# What an endpoint may send: defined by RFC 6455, registered since, for libraries, for private use.
ACCEPTED = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014,
            3000, 3001, 3999, 4000, 4001, 4999)


# Out of range, undefined, or reserved for what never stands on the wire (7.4.1, 7.4.2).
REFUSED = (0, 1, 100, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 9999, 32768, 65535)


# --- codes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ACCEPTED)
def test_code_is_echoed(client, code):
    client.close_handshake(code)


@pytest.mark.parametrize("code", ACCEPTED[:3] + (3000, 4999))
def test_code_with_a_reason_is_echoed(client, code):
    client.close_handshake(code, "because")


@pytest.mark.parametrize("reason", (b"", b"x"), ids=("bare", "reason"))
@pytest.mark.parametrize("code", REFUSED)
def test_code_that_must_not_be_sent_fails(client, code, reason):
    client.send_close(code, reason)
    client.expect_failed(1002)


def test_empty_close_is_answered_by_an_empty_one(client):
    client.send_close()
    client.expect_close(None)
    client.expect_eof()


@pytest.mark.parametrize("byte", (b"\0", b"\x03", b"\xff"), ids=("00", "03", "ff"))
def test_close_with_one_byte_fails(client, byte):
    client.send_frame(CLOSE, byte)
    client.expect_failed(1002)


@pytest.mark.parametrize("size", (1, 2, 122, 123))
def test_reason_of_any_length_is_accepted(client, size):
    client.close_handshake(1000, b"r" * size)


@pytest.mark.parametrize("reason", (
    b"\xff", b"\xc3", b"ok \xe2\x82", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80", b"r" * 122 + b"\xc3"),
    ids=("ff", "cut-2", "cut-3", "surrogate", "range", "overlong", "cut-at-end"))
def test_reason_that_is_no_utf8_fails(client, reason):
    client.send_close(1000, reason)
    client.expect_failed(1007)


def test_close_byte_by_byte(client):
    client.send_pieces([bytes([byte]) for byte in frame(CLOSE, close_payload(4321, "bye"))])
    client.expect_close(4321)
    client.expect_eof()


# --- the handshake ------------------------------------------------------------------------------


def test_server_ends_tcp_first(client):
    """7.1.1: the side that waits in TIME_WAIT is the server's. Nothing is closed on our side here."""
    client.send_close(1000)
    client.expect_close(1000)
    client.expect_eof()


@pytest.mark.parametrize("after", (
    frame(TEXT, "after"), frame(PING, b"after"), frame(CLOSE, close_payload(1001)), frame(3), b"\xff" * 50,
    frame(TEXT, b"\xff")), ids=("text", "ping", "close", "reserved", "noise", "utf8"))
def test_what_follows_a_close_frame_is_ignored(client, after):
    client.send_raw(frame(CLOSE, close_payload(1000)) + after)
    client.expect_close(1000)
    client.expect_eof()


def test_much_that_follows_a_close_frame_is_no_reset(client):
    client.send_raw(frame(CLOSE, close_payload(1000)) + b"x" * 50000)
    client.expect_close(1000)
    client.expect_eof()


def test_message_before_the_close_is_answered_before_it(client):
    client.send_raw(frame(TEXT, "last") + frame(CLOSE, close_payload(1000)))
    assert client.recv_message() == (TEXT, b"last")
    client.expect_close(1000)
    client.expect_eof()


def test_close_within_a_fragmented_message(run):
    peer = run(TcpPeer())
    client = run(Daemon(peer=peer.url)).open()
    client.send_raw(frame(TEXT, "half", fin=False) + frame(CLOSE, close_payload(1001)))
    client.expect_close(1001)
    client.expect_eof()
    assert peer.accept().recv_all() == b"half"


def test_no_echo_of_a_close_that_answers_ours(run):
    """We close first (the peer did); the client's answer is not answered again."""
    peer = run(TcpPeer(source(b"bye")))
    client = run(Daemon(peer=peer.url)).open()
    assert client.recv_message() == (TEXT, b"bye")
    client.expect_close(1000)
    client.send_close(1000)
    client.expect_eof()


# --- towards the peer ---------------------------------------------------------------------------


@pytest.fixture
def peer(run):
    return run(TcpPeer())


@pytest.fixture
def daemon(run, peer):
    return run(Daemon(f"--close-timeout={LONG_MS}ms", peer=peer.url))


def test_peer_gets_all_before_the_close_and_then_the_end(daemon, peer):
    client = daemon.open()
    data = noise(3 << 20)
    client.send_in_background(
        frame(BIN, data) + frame(CLOSE, close_payload(1000)) + frame(TEXT, "after"))
    connection = peer.accept()
    assert connection.recv_exactly(len(data)) == data
    connection.expect_eof()
    client.expect_close(1000)
    client.expect_eof()


def test_peer_that_is_slow_gets_all_before_the_end(run):
    """What is queued for the peer when the client closes is not dropped."""
    peer = run(TcpPeer(rcvbuf=4096))
    client = run(Daemon(peer=peer.url)).open()
    data = noise(400000)
    client.send_in_background(frame(BIN, data) + frame(CLOSE, close_payload(1000))).join()
    connection = peer.accept()
    assert connection.recv_all() == data
    assert not connection.reset


def test_frame_in_progress_is_finished_before_the_echo(run):
    """The client closes while a frame to it is half on the wire: the strict reader must see whole frames."""
    peer = run(TcpPeer(source(noise(4 << 20), then_close=False)))
    client = run(Daemon(peer=peer.url)).open(rcvbuf=4096)
    client.recv_frame()
    client.send_close(1000)
    got = client.recv_frame()
    while got.opcode != CLOSE:
        got = client.recv_frame()
    assert got.payload == close_payload(1000)
    client.expect_eof()


@pytest.mark.parametrize("size", (0, 1, 1000, 100000, 5 << 20))
def test_all_that_the_peer_sent_comes_before_its_end(daemon, peer, size):
    client = daemon.open()
    connection = peer.accept()
    data = b"x" * size
    sender = threading.Thread(target=lambda: (connection.send(data), connection.close()))
    sender.start()
    assert client.recv_bytes(size) == data
    sender.join()
    client.expect_close(1000)
    client.send_close(1000)
    client.expect_eof()


def test_client_may_go_on_sending_after_the_end_of_the_peer(daemon, peer):
    """Half-closed: bytes of the client keep flowing to the peer until its close frame."""
    client = daemon.open()
    connection = peer.accept()
    connection.finish()
    client.expect_close(1000)
    client.send_text("to the end")
    assert connection.recv_exactly(10) == b"to the end"
    client.send_close(1000)
    connection.expect_eof()
    client.expect_eof()


def test_client_that_does_not_answer_a_close_is_dropped(daemon, peer):
    client = daemon.open()
    begun = time.monotonic()
    peer.accept().finish()
    client.expect_close(1000)
    client.expect_eof(reset_ok=True)
    assert time.monotonic() - begun > LONG - 0.1, "close-timeout was not waited for"


def test_client_that_goes_on_forever_after_a_close_is_dropped(daemon, peer):
    """Sending does not extend the deadline."""
    client = daemon.open()
    connection = peer.accept()
    connection.finish()
    client.expect_close(1000)
    deadline = time.monotonic() + TIMEOUT
    with contextlib.suppress(OSError):
        while True:
            client.send_text("still")
            if select.select([client.sock], [], [], 0.05)[0] and not client.sock.recv(10):
                break
            if time.monotonic() > deadline:
                pytest.fail("the client was not dropped")
    assert set(connection.recv_all().decode().split("still")) == {""}


def test_reset_of_the_peer_closes_with_1011(daemon, peer):
    client = daemon.open()
    connection = peer.accept()
    connection.send(b"before")
    assert client.recv_message() == (TEXT, b"before")
    connection.abort()
    client.expect_close(1011)
    client.send_close(1011)
    client.expect_eof()


def test_what_the_peer_sent_before_its_reset_is_delivered(run):
    """The reset may overtake nothing that the daemon has read or could have read."""
    peer = run(TcpPeer())
    daemon = run(Daemon(peer=peer.url))
    client = daemon.open()
    connection = peer.accept()
    connection.send(b"y" * 20000)
    assert client.recv_bytes(20000) == b"y" * 20000
    connection.abort()
    client.expect_close(1011)
    client.send_close(1011)
    client.expect_eof()


def test_client_that_vanishes_without_a_close_frame(daemon, peer):
    """What it sent before is the peer's; then the peer sees an orderly end."""
    client = daemon.open()
    client.send_text("last words")
    client.close()
    connection = peer.accept()
    assert connection.recv_all() == b"last words"
    assert not connection.reset


def test_client_that_half_closes_without_a_close_frame(daemon, peer):
    client = daemon.open()
    client.send_text("last words")
    client.finish()
    assert peer.accept().recv_all() == b"last words"


def test_client_that_resets(daemon, peer):
    client = daemon.open()
    client.send_text("last words")
    connection = peer.accept()
    assert connection.recv_exactly(10) == b"last words"
    client.abort()
    connection.expect_eof()


def test_client_that_vanishes_within_a_frame(daemon, peer):
    client = daemon.open()
    client.send_frame(BIN, b"half", length=100)
    client.close()
    assert peer.accept().recv_all() == b"half"


def test_nothing_is_left_behind(daemon, peer):
    """Descriptors: after many connections with all kinds of ends the daemon has as many as before."""
    first = daemon.open()
    peer.accept()
    before = daemon.fds()
    for number in range(40):
        client = daemon.open()
        connection = peer.accept()
        if number % 5 == 0:
            client.close_handshake(1000)
        elif number % 5 == 1:
            client.close()
        elif number % 5 == 2:
            connection.close()
            client.expect_close(1000)
            client.close()
        elif number % 5 == 3:
            client.send_frame(3, b"")
            client.expect_failed(1002)
        else:
            connection.abort()
            client.expect_close(1011)
            client.close()
    eventually(lambda: daemon.fds() == before, "the descriptors to be closed")
    first.close_handshake(1000)


# --- the end of the daemon ----------------------------------------------------------------------


@pytest.mark.parametrize("number", (signal.SIGTERM, signal.SIGINT), ids=("TERM", "INT"))
def test_signal_closes_with_1001(run, number):
    daemon = run(Daemon(peer="echo://"))
    clients = [daemon.open() for _ in range(10)]
    daemon.signal(number)
    for client in clients:
        client.expect_close(1001)
    for client in clients:
        client.send_close(1001)
        client.expect_eof()
        client.close()
    assert daemon.wait() == 0


def test_signal_within_a_message_of_the_peer(run):
    """The frame that is on the wire is finished first."""
    peer = run(TcpPeer(source(noise(4 << 20), then_close=False)))
    daemon = run(Daemon(peer=peer.url))
    client = daemon.open(rcvbuf=4096)
    client.recv_frame()
    daemon.signal(signal.SIGTERM)
    got = client.recv_frame()
    while got.opcode != CLOSE:
        got = client.recv_frame()
    assert got.payload[:2] == close_payload(1001)
    client.send_close(1001)
    client.expect_eof()
    client.close()
    assert daemon.wait() == 0


@pytest.mark.latency
def test_signal_is_not_waited_for_without_clients(run):
    daemon = run(Daemon("--grace=1h", peer="echo://"))
    with observed("stop without clients"):
        daemon.stop()


def test_grace_is_the_longest_wait(run):
    daemon = run(Daemon("--grace=300ms", "--close-timeout=1h", peer="echo://"))
    client = daemon.open()
    begun = time.monotonic()
    daemon.stop(close_clients=False)
    assert time.monotonic() - begun > 0.2
    client.expect_close(1001)
    client.expect_eof(reset_ok=True)


@pytest.mark.latency
def test_second_signal_drops_at_once(run):
    daemon = run(Daemon("--grace=1h", "--close-timeout=1h", peer="echo://"))
    client = daemon.open()
    daemon.signal(signal.SIGTERM)
    client.expect_close(1001)
    with observed("end after a second signal"):
        daemon.stop(close_clients=False)


def test_signal_stops_listening(run):
    daemon = run(Daemon("--grace=1h", "--close-timeout=1h", peer="echo://"))
    client = daemon.open()
    daemon.signal(signal.SIGTERM)
    client.expect_close(1001)
    with pytest.raises(OSError):
        daemon.connect().recv_http()
    client.send_close(1001)
    client.expect_eof()
    client.close()
    assert daemon.wait() == 0


def test_signal_during_a_handshake(run):
    """A client whose request is not complete gets an answer; one that has not asked is dropped."""
    daemon = run(Daemon("--grace=1h", "--handshake-timeout=1h", peer="echo://"))
    half, silent = daemon.connect(), daemon.connect()
    half.send_raw(b"GET / HTTP/1.1\r\n")
    daemon.settle()
    daemon.barrier.close()
    daemon.signal(signal.SIGTERM)
    assert half.recv_http().status == 503
    half.expect_eof()
    half.close()
    silent.expect_eof()
    silent.close()
    assert daemon.wait() == 0


def test_fragmented_text_across_the_signal(run):
    """While draining, the client may still finish what it began and close in its own time."""
    peer = run(TcpPeer())
    daemon = run(Daemon(peer=peer.url))
    client = daemon.open()
    connection = peer.accept()
    client.send_frame(TEXT, "first ", fin=False)
    assert connection.recv_exactly(6) == b"first "
    daemon.signal(signal.SIGTERM)
    client.expect_close(1001)
    client.send_frame(CONTINUATION, "second")
    client.send_close(1001)
    assert connection.recv_all() == b"second"
    client.expect_eof()
    client.close()
    assert daemon.wait() == 0
