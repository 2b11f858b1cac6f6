# SPDX-License-Identifier: BSD-2-Clause
"""What earlier bridges got wrong, and a torture with random sessions."""
import os
import random
import resource
import select
import signal
import socket
import subprocess
import threading
import time

import pytest

from tools.client import ConnectionEnded
from tools.daemon import ROOT, SANITIZED, Daemon
from tools.floods import KIB, MIB, Flood, check_bystander, collect, noise, same
from tools.frames import BIN, CLOSE, CONTINUATION, PING, PONG, TEXT, close_payload, frame
from tools.http import build_request
from tools.peers import TcpPeer, UdpPeer, UnixPeer, echo, sink, source
from tools.ports import StuckPort
from tools.sockets import descriptors, kernel_holds, unsent
from tools.waiting import LONG, LONG_MS, TIMEOUT, eventually, observed


# --- bytes lost at the end of a peer ------------------------------------------------------------


@pytest.mark.parametrize("size", (1, 5000, 300 * KIB, 6 * MIB))
@pytest.mark.parametrize("kind", ("tcp", "unix"))
def test_all_before_the_end_of_the_peer_arrives(run, tmp_path, kind, size):
    data = noise(size)
    peer = run(TcpPeer(source(data)) if kind == "tcp" else UnixPeer(tmp_path / "peer", source(data)))
    client = run(Daemon("-c", "framing=binary", peer=peer.url)).open()
    same(collect(client, size), data)
    client.expect_close(1000)
    client.send_close(1000)
    client.expect_eof()


@pytest.mark.parametrize("size", (1, 5000, 60000))
def test_all_before_the_reset_of_the_peer_arrives(run, size):
    """SO_LINGER 0 with empty queues: everything is at the daemon already, and then comes the RST."""
    peer = run(TcpPeer())
    daemon = run(Daemon("-c", "framing=binary", peer=peer.url))
    for number in range(10):
        client = daemon.open()
        connection = peer.accept()
        data = noise(size, number)
        connection.send(data)
        eventually(lambda: unsent(connection.sock) == 0, "the kernel to have delivered all")
        connection.abort()
        same(collect(client, size), data)
        assert client.expect_close().code in (1000, 1011)
        client.send_close(1000)
        client.expect_eof()


def test_tail_without_separator_arrives(run):
    peer = run(TcpPeer(source(b"one\r\ntwo\r\nrest")))
    client = run(Daemon("-c", "framing=newline", peer=peer.url)).open()
    assert collect(client, 14) == b"one\r\ntwo\r\nrest"
    client.expect_close(1000)


def test_reset_of_the_peer_while_the_client_floods(run):
    """Writing fails before reading does: what the peer said last must still come, then 1011."""
    peer = run(TcpPeer(rcvbuf=4096))
    daemon = run(Daemon(peer=peer.url))
    for _ in range(5):
        client = daemon.open()
        connection = peer.accept()
        one = Flood(client.sock, frame(BIN, noise(8 * MIB)))
        connection.recv_exactly(100000)
        connection.send(b"last words")
        assert client.recv_message() == (TEXT, b"last words")
        connection.abort()
        client.expect_close(1011)
        one.stop()
        client.close()
    daemon.open().close_handshake(1000)


def test_client_that_goes_while_the_peer_floods(run):
    """With and without a close frame, and by a reset: the peer sees an end, the daemon goes on."""
    peer = run(TcpPeer())
    daemon = run(Daemon(f"--close-timeout={LONG_MS}ms", peer=peer.url))
    idle = daemon.fds()
    for end in ("close", "abort", "close frame", "half") * 2:
        client = daemon.open()
        connection = peer.accept()
        one = Flood(connection.sock, noise(16 * MIB))
        client.recv_frame()
        if end == "close frame":
            client.send_close(1000)
            while client.recv_frame().opcode != CLOSE:
                pass
            client.expect_eof()
        elif end == "half":
            client.finish()
        client.abort() if end == "abort" else client.close()
        eventually(lambda: one.error or one.done or one.stuck, "the flood to end")
        one.stop()
        connection.close()
    eventually(lambda: daemon.fds() == idle, "all descriptors to be closed")


@pytest.mark.parametrize("end", ("close frame", "close", "half", "abort"))
def test_slow_peer_gets_all_and_then_an_end(run, end):
    """The client is gone long before; no reset destroys what is under way to the peer."""
    peer = run(TcpPeer(rcvbuf=4096))
    daemon = run(Daemon(f"--close-timeout={LONG_MS}ms", peer=peer.url))
    client = daemon.open()
    connection = peer.accept()
    data = noise(600 * KIB)
    client.send_raw(frame(BIN, data) + (frame(CLOSE, close_payload(1000)) if end == "close frame" else b""))
    if end == "close frame":
        client.expect_close(1000)
    daemon.settle()
    eventually(lambda: unsent(client.sock) == 0, "the daemon's kernel to have all")
    if end == "half":
        client.finish()
    elif end == "abort":
        # A reset destroys what the daemon has not read; its socket takes all this, and it reads at once.
        daemon.settle()
        client.abort()
    else:
        client.close()
    begun = time.monotonic()
    while connection.recv(8192):
        time.sleep(LONG / 50)
    assert not connection.reset
    assert time.monotonic() - begun > LONG, "the peer was not slow"
    same(bytes(connection.received), data)


def test_bytes_of_the_peer_do_not_reset_it_when_the_client_has_closed(run):
    """The peer goes on sending while it is told the end: unread bytes would turn our close into a reset."""
    peer = run(TcpPeer(rcvbuf=4096))
    client = run(Daemon(peer=peer.url)).open()
    connection = peer.accept()
    data = noise(300 * KIB)
    client.send_in_background(frame(BIN, data) + frame(CLOSE, close_payload(1000)))
    client.expect_close(1000)
    connection.sock.settimeout(TIMEOUT)
    while True:
        connection.send(b"talk " * 100)
        if not connection.recv(8192):
            break
    assert not connection.reset
    same(bytes(connection.received), data)


# --- the handshake ------------------------------------------------------------------------------


def test_frames_in_the_segment_of_the_handshake(run):
    """Cut at every place around the end of the head; nothing is lost and nothing waits for a next read."""
    peer = run(TcpPeer(echo))
    daemon = run(Daemon("--log-level=notice", peer=peer.url))
    request = build_request("/")
    wire = request + frame(TEXT, "a\r\n\r\n") + frame(BIN, b"GET / HTTP/1.1\r\n\r\n") + frame(PING, b"p")
    for at in range(len(request) - 6, len(wire) + 1):
        client = daemon.connect()
        client.send_pieces([piece for piece in (wire[:at], wire[at:]) if piece])
        client.recv_upgrade()
        pongs = []
        assert collect(client, 23, pongs=pongs) == b"a\r\n\r\nGET / HTTP/1.1\r\n\r\n"
        if not pongs:
            assert client.recv_frame().opcode == PONG
        client.close()


def test_lower_case_headers(run):
    """As HTTP/2 front ends send them."""
    client = run(Daemon("-c", "protocol=*", peer="echo://")).connect()
    client.send_raw(
        b"GET / HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n"
        b"sec-websocket-protocol: binary\r\n\r\n")
    response = client.recv_http()
    assert (response.status, response.header("Sec-WebSocket-Protocol")) == (101, "binary")


def test_line_ends_cut_between_reads(run):
    daemon = run(Daemon(peer="echo://"))
    client = daemon.connect()
    client.send_pieces(build_request("/").replace(b"\r\n", b"\r|\n|").split(b"|")[:-1])
    client.recv_upgrade()
    client.close_handshake(1000)


@pytest.mark.parametrize("count", (1, 2, 50))
def test_empty_lines_behind_the_handshake_are_one_bad_frame(run, count):
    """CR LF is a frame header with reserved bits or no mask: 1002. And one peer connection, not `count`."""
    peer = run(TcpPeer(sink))
    daemon = run(Daemon(peer=peer.url))
    client = daemon.connect()
    client.send_raw(build_request("/") + b"\r\n" * count)
    client.recv_upgrade()
    client.expect_failed(1002)
    daemon.open().close_handshake(1000)
    peer.accept(), peer.accept()  # in order: there would have been more between the two
    assert len(peer.connections) == 2


@pytest.mark.parametrize("length", ((1 << 64) - 1, (1 << 64) - 8, (1 << 63), (1 << 64) - 34))
@pytest.mark.parametrize("target", ("tcp", "echo"))
def test_length_that_wraps(run, target, length):
    url = run(TcpPeer(sink)).url if target == "tcp" else "echo://"
    daemon = run(Daemon(peer=url))
    client = daemon.open()
    client.send_raw(frame(BIN, b"x" * 20, length_form=64, length=length))
    client.expect_failed(1002)
    daemon.open().close_handshake(1000)


def test_length_that_is_huge_but_valid_costs_nothing(run):
    """2^63 - 1 bytes are announced: a stream peer gets what comes; echo holds what comes up to its limit."""
    peer = run(TcpPeer())
    daemon = run(Daemon(peer=peer.url))
    client = daemon.open()
    before = daemon.rss()
    client.send_raw(frame(BIN, b"x" * 20, length_form=64, length=(1 << 63) - 1))
    assert peer.accept().recv_exactly(20) == b"x" * 20
    assert SANITIZED or daemon.rss() - before < 256 * KIB
    holder = run(Daemon("--max-message=64K", peer="echo://"))
    client = holder.open()
    before = holder.rss()
    client.send_raw(frame(BIN, b"x" * 20, length_form=64, length=(1 << 63) - 1))
    client.send_in_background(b"x" * 65536)
    client.expect_failed(1009)
    assert SANITIZED or holder.rss() - before < 512 * KIB


@pytest.mark.parametrize("offer", ("foo\nX-Evil: 1", "foo\rX-Evil: 1", "foo\r\n X-Evil: 1", "foo\n"))
def test_line_feed_in_a_subprotocol_is_not_reflected(run, offer):
    client = run(Daemon("-c", "protocol=*", peer="echo://")).connect()
    client.send_raw(build_request("/", protocols=offer))
    response = client.recv_http()
    assert response.status == 400 or response.header("Sec-WebSocket-Protocol") == "foo"
    assert response.header("X-Evil") is None


# --- the file backend ---------------------------------------------------------------------------


@pytest.fixture
def routes(run, tmp_path):
    """A daemon with the file backend; `routes/NAME` are its files, `secret` lies beside them."""
    folder = tmp_path / "routes"
    folder.mkdir()
    (tmp_path / "secret").write_text("echo:// *\n")
    (folder / "good").write_text("echo:// *\n")
    daemon = run(Daemon(
        "-b", "file", "-c", f"path={folder}", "-c", "expression=%cookie:route%",
        "-c", "expression=%header:X-Route%", "-c", "expression=%endpoint%"))
    return daemon


def test_cookie_as_the_fiftieth_header(routes):
    extra = [(f"X-Filler-{number}", "x" * 20) for number in range(44)]
    client = routes.open("/none", extra=extra + [("cookie", "a=b; route=good; c=d")])
    client.close_handshake(1000)
    assert routes.http("/none", extra=extra + [("cookie", "a=b; route=bad")]).status == 404


@pytest.mark.parametrize("name", ("../secret", "..%2fsecret", "%2e%2e/secret", "..", ".", "good/../../secret",
                                  "/../secret", "good%00", "....//secret", "%2e%2e%2fsecret"))
@pytest.mark.parametrize("how", ("cookie", "header", "endpoint"))
def test_dots_in_a_variable_leave_the_folder_nowhere(routes, how, name):
    extra = {"cookie": [("Cookie", f"route={name}")], "header": [("X-Route", name)], "endpoint": []}[how]
    path = "/" + name if how == "endpoint" else "/none"
    assert routes.http(path, extra=extra).status in (400, 404)


# --- framing ------------------------------------------------------------------------------------


def test_separator_cut_by_reads(run):
    """Found wherever the reads of the peer's bytes cut it, and bytes that only begin like it are not an end."""
    peer = run(TcpPeer())
    daemon = run(Daemon("-c", "framing=separator", "-c", r"framing-config=\r\n--\r\n", peer=peer.url))
    wire = b"one\r\n--\r\ntwo\r\n-\r\n--\r\n"
    for at in range(1, len(wire)):
        client = daemon.open()
        connection = peer.accept()
        connection.send(wire[:at])
        eventually(lambda: unsent(connection.sock) == 0, "the first part to be delivered")
        daemon.settle()
        connection.send(wire[at:])
        assert client.recv_message()[1] == b"one\r\n--\r\n"
        assert client.recv_message()[1] == b"two\r\n-\r\n--\r\n"
        client.close()


@pytest.mark.parametrize("framing", ("auto", "binary", "newline", "text"))
def test_framing_without_configuration(run, framing):
    peer = run(TcpPeer(source(b"line\r\n", then_close=False)))
    daemon = run(Daemon("-c", f"framing={framing}", peer=peer.url))
    client = daemon.open()
    assert client.recv_message()[1] == b"line\r\n"
    client.close_handshake(1000)


@pytest.mark.parametrize("framing", ("fixedlength", "separator", "dynamic32", "json"))
def test_framing_that_needs_a_configuration_says_so(run, framing):
    """Without one: at start, or by closing that connection with a line in the log; never by a crash."""
    peer = run(TcpPeer(source(b"\0\0\0\4abcdefgh" * 20, then_close=False)))
    try:
        daemon = run(Daemon("-c", f"framing={framing}", peer=peer.url))
    except AssertionError as error:
        assert "framing" in str(error) and "exit status 1" in str(error)
        return
    client = daemon.connect()
    client.send_raw(build_request("/"))
    response = client.recv_http()
    assert response.status in (101, 500)
    if response.status == 101:
        client.send_frame(PING)
        while client.recv_frame().opcode not in (PONG, CLOSE):
            pass
    daemon.settle()
    assert daemon.process.poll() is None


BAD_FRAMING = r"""
#include <string.h>
#include "websocksy.h"

/* Answers what its configuration says, once it has seen a byte; counts calls so that spinning shows. */
static int64_t bad(uint8_t *data, size_t length, size_t last_read, ws_operation *opcode,
	void **framing_data, const char *config) {
	static size_t calls;
	if(!data) {
		free(*framing_data);
		*framing_data = NULL;
		return 0;
	}
	if(!*framing_data) {
		*framing_data = malloc(16);
	}
	if(++calls > 10000) {
		abort();
	}
	if(!strcmp(config, "opcode")) {
		*opcode = (ws_operation)9;
		return (int64_t)length;
	}
	if(!strcmp(config, "more")) {
		return (int64_t)length + 1;
	}
	if(!strcmp(config, "most")) {
		return INT64_MAX;
	}
	return strcmp(config, "min") ? -1 : INT64_MIN;
}

static void __attribute__((constructor)) start(void) {
	core_register_framing("bad", bad);
}
"""


@pytest.fixture(scope="module")
def bad_plugin(tmp_path_factory):
    """A folder with a plugin whose framing function gives wrong answers."""
    folder = tmp_path_factory.mktemp("plugins")
    (folder / "bad.c").write_text(BAD_FRAMING)
    subprocess.run(
        [os.environ.get("CC", "cc"), "-shared", "-fPIC", f"-I{ROOT}", "-o", folder / "bad.so",
         folder / "bad.c"], check=True)
    return folder


@pytest.mark.parametrize("config", ("minus", "min", "more", "most", "opcode"))
def test_framing_function_with_a_wrong_answer(run, bad_plugin, config):
    peer = run(TcpPeer())
    daemon = run(Daemon(f"--plugin-path={bad_plugin}", "-c", "framing=bad", "-c", f"framing-config={config}",
                        peer=peer.url))
    for _ in range(3):
        client = daemon.open()
        connection = peer.accept()
        connection.send(b"something")
        client.expect_close(1011)
        client.send_close(1011)
        client.expect_eof()
        connection.expect_eof()
    daemon.wait_log("framing function bad (returned|set) ")


# --- pings --------------------------------------------------------------------------------------


def test_one_ping_for_each_interval(run):
    """Not one for each turn of the loop, and none into the handshake."""
    daemon = run(Daemon("--ping=200ms", "--pong-timeout=1h", "--handshake-timeout=1h", peer="echo://"))
    early = daemon.connect()
    early.send_raw(build_request("/")[:-2])
    begun, pings = time.monotonic(), 0
    client, busy = daemon.open(), daemon.open()
    while pings < 3 or time.monotonic() - begun < 1.1:
        busy.send_text("x")  # keeps the loop turning
        busy.recv_message()
        if not select.select([client.sock], [], [], 0.005)[0]:
            continue
        assert client.recv_frame().opcode == PING
        pings += 1
        client.send_frame(PONG)
    assert pings <= (time.monotonic() - begun) / 0.2 + 1
    early.send_raw(b"\r\n")
    early.recv_upgrade()


def test_unanswered_ping_is_not_repeated(run):
    daemon = run(Daemon("--ping=100ms", "--pong-timeout=1", peer="echo://"))
    client = daemon.open()
    assert client.recv_frame().opcode == PING
    client.expect_eof(reset_ok=True)


def test_dead_client_is_reaped(run):
    """And its peer is told."""
    peer = run(TcpPeer())
    daemon = run(Daemon("--ping=100ms", "--pong-timeout=200ms", peer=peer.url))
    idle = daemon.fds()
    client = daemon.open()
    peer.accept().expect_eof()
    daemon.wait_log("no answer to a ping")
    eventually(lambda: daemon.fds() == idle, "both descriptors to be closed")
    client.close()


# --- others are not delayed ---------------------------------------------------------------------


@pytest.mark.latency
def test_slow_connect_delays_nobody(run, tmp_path):
    stuck = run(StuckPort())
    routes = tmp_path / "routes"
    routes.mkdir()
    (routes / "stuck").write_text(f"{stuck.url} *\n")
    (routes / "echo").write_text("echo:// *\n")
    daemon = run(Daemon("-b", "file", "-c", f"path={routes}", "-c", "expression=%endpoint%",
                        "--connect-timeout=1500ms"))
    begun = time.monotonic()
    waiting = [daemon.connect() for _ in range(20)]
    for client in waiting:
        client.send_raw(build_request("/stuck"))
    with observed("forty round trips beside slow connects"):
        bystander = daemon.open("/echo")
        check_bystander(bystander)
    answered = select.select([client.sock for client in waiting], [], [], 0)[0]
    assert not answered or time.monotonic() - begun > 1.4
    for client in waiting:
        assert client.recv_http().status == 504


# --- descriptors --------------------------------------------------------------------------------


@pytest.mark.measures
def test_out_of_descriptors(run):
    """It lives, sleeps, says so now and then, and serves again when there is room."""
    limit = 60
    peer = run(TcpPeer(sink))
    daemon = run(Daemon(
        "--max-clients=1000", "--close-timeout=200ms", peer=peer.url,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))))
    first = daemon.open()
    clients = []
    for _ in range(100):
        client = daemon.connect()
        client.send_raw(build_request("/"))
        clients.append(client)
    daemon.wait_log("cannot accept connections")
    before, begun = daemon.cpu_ns(), time.monotonic_ns()
    time.sleep(1)  # what is measured: a second of being full
    assert daemon.cpu_ns() - before < (time.monotonic_ns() - begun) / 10, "the daemon is busy with being full"
    assert daemon.fds() <= limit
    assert daemon.log().count("cannot accept connections") <= 12, "one line for each attempt"
    first.round_trip()
    for client in clients:
        client.close()
    daemon.clients.clear()
    # It is accepted and answered behind all that still waited, which would take the room again.
    daemon.http("/", plain=True)
    for _ in range(5):
        eventually(lambda: daemon.fds() < limit // 2, "room")
        client = daemon.open()
        client.round_trip()
        client.close_handshake(1000)
    assert len(daemon.log().splitlines()) < 400


def test_no_descriptor_leaks(run, tmp_path):
    """500 connections with all kinds of beginnings and ends."""
    peer = run(TcpPeer(echo))
    daemon = run(Daemon("--log-level=warning", f"--close-timeout={LONG_MS}ms", f"--handshake-timeout={LONG_MS}ms",
                        listening=False, peer=peer.url))
    eventually(lambda: len(os.listdir(f"/proc/{daemon.process.pid}/fd")) > 5, "the daemon")
    daemon.first_port = listening_port(daemon)
    chance = random.Random(500)
    first = daemon.open()
    first.round_trip()
    before = daemon.fds()
    for _ in range(500):
        kind = chance.randrange(10)
        if kind == 0:
            daemon.connect().close()
        elif kind == 1:
            client = daemon.connect()
            client.send_raw(build_request("/")[:chance.randrange(1, 100)])
            client.close()
        elif kind == 2:
            assert daemon.http("/", plain=True).status in (404, 426)
        elif kind == 3:
            client = daemon.connect()
            client.send_raw(build_request("/") + frame(TEXT, "x"))
            client.abort()
        else:
            client = daemon.open()
            if kind > 4:
                client.send_text("hello")
            if kind == 5:
                client.abort()
            elif kind == 6:
                client.finish()
            elif kind == 7:
                client.send_raw(b"\xff" * 20)
            elif kind == 8:
                client.recv_message()
                client.close_handshake(1000)
            client.close()
        daemon.clients.clear()
        daemon.clients.append(first)
    first.round_trip()
    eventually(lambda: daemon.fds() == before, "as many descriptors as before")


def listening_port(daemon):
    """The port from /proc, for a daemon that does not log it."""
    def find():
        mine = descriptors(daemon.process.pid).values()
        with open("/proc/net/tcp") as table:
            for line in table.read().splitlines()[1:]:
                field = line.split()
                if field[3] == "0A" and f"socket:[{field[9]}]" in mine:
                    return int(field[1].split(":")[1], 16)
        return None
    return eventually(find, "a listener")


# --- the end of the daemon ----------------------------------------------------------------------


def test_sigterm_tells_every_client(run, tmp_path):
    """1001 to all that are open, 503 to all that have asked, nothing to those that have not."""
    stuck = run(StuckPort())
    peer = run(TcpPeer(sink))
    routes = tmp_path / "routes"
    routes.mkdir()
    (routes / "stuck").write_text(f"{stuck.url} *\n")
    (routes / "open").write_text(f"{peer.url} *\n")
    daemon = run(Daemon("-b", "file", "-c", f"path={routes}", "-c", "expression=%endpoint%", "--grace=1h",
                        "--connect-timeout=1h", "--handshake-timeout=1h"))
    clients = [daemon.open("/open") for _ in range(100)]
    connecting, asking, silent = (daemon.connect() for _ in range(3))
    connecting.send_raw(build_request("/stuck"))
    asking.send_raw(build_request("/open")[:40])
    daemon.settle()
    daemon.signal(signal.SIGTERM)
    for client in clients:
        client.expect_close(1001)
    assert connecting.recv_http().status == 503
    assert asking.recv_http().status == 503
    silent.expect_eof()
    for client in clients:
        client.send_close(1001)
        client.expect_eof()
    for client in (*clients, connecting, asking, silent):
        client.close()
    assert daemon.wait() == 0


def test_nothing_follows_the_close_frame_of_a_shutdown(run):
    """The client is slow, lines that it has not been sent wait in the daemon: they must not come behind the
    close frame (RFC 6455, 5.5.1)."""
    peer = run(TcpPeer())
    daemon = run(Daemon("-c", "framing=newline", "-c", "framing-config=lf", "--grace=1h", peer=peer.url))
    client = daemon.open(rcvbuf=4096)
    one = Flood(peer.accept().sock, b"\n" * (4 * MIB + kernel_holds()))
    one.wait_stuck()
    daemon.signal(signal.SIGTERM)
    daemon.wait_log("SIGTERM|stop|shut")
    one.stop()
    client.sock.settimeout(client.timeout)
    wire = client.buffer
    ending = b"the server is shutting down"
    while ending not in wire[-4096:]:
        piece = client.sock.recv(MIB)
        assert piece, "no close frame"
        wire += piece
    assert wire.endswith(ending), f"{wire[wire.index(ending) + len(ending):][:60]!r} behind the close frame"
    eventually(lambda: daemon.state() == "S", "the daemon to be done")
    assert not select.select([client.sock], [], [], 0.3)[0], f"{client.sock.recv(100)!r} behind the close frame"
    client.buffer.clear()
    client.send_close(1001)
    client.expect_eof()


def test_closing_is_not_cut_short_by_the_ping_interval(run):
    """While we wait for the client's close frame only close-timeout counts."""
    peer = run(TcpPeer(rcvbuf=4096))
    daemon = run(Daemon("--ping=300ms", "--close-timeout=1h", peer=peer.url))
    client = daemon.open()
    client.skips_pings = True
    connection = peer.accept()
    connection.finish()
    client.expect_close(1000)
    data = noise(6 * MIB)
    client.send_in_background(frame(BIN, data))
    same(connection.recv_exactly(len(data)), data)
    time.sleep(0.8)  # longer than the interval
    client.send_text("late")
    assert connection.recv_exactly(4) == b"late"
    client.send_close(1000)
    client.expect_eof()


@pytest.mark.latency
def test_second_signal_ends_a_flood(run):
    peer = run(TcpPeer())
    daemon = run(Daemon("--grace=1h", "--close-timeout=1h", peer=peer.url))
    client = daemon.open(rcvbuf=4096)
    one = Flood(peer.accept().sock, bytes(4 * MIB + kernel_holds()))
    one.wait_stuck()
    daemon.signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        daemon.process.wait(0.5)
    daemon.signal(signal.SIGTERM)
    with observed("end of a flood after a second signal"):
        assert daemon.wait() == 0
    one.stop()
    client.close()


@pytest.mark.latency
def test_grace_is_given(run):
    """A client that goes on for a while after the signal is not cut; then it is."""
    peer = run(TcpPeer())
    daemon = run(Daemon(f"--grace={LONG_MS}ms", "--close-timeout=1h", peer=peer.url))
    client = daemon.open()
    connection = peer.accept()
    begun = time.monotonic()
    daemon.signal(signal.SIGTERM)
    client.expect_close(1001)
    for number in range(5):
        client.send_text(f"{number}")
        assert connection.recv_exactly(1) == b"%d" % number
        time.sleep(0.1)
    with observed("rest of a grace of 5 s"):
        assert daemon.wait() == 0
    assert LONG - 0.1 < time.monotonic() - begun


# --- torture ------------------------------------------------------------------------------------


class Session:
    """A client that does what its random numbers say. Everything sent and received is verified."""

    def __init__(self, daemon, seed):
        self.chance = random.Random(seed)
        self.seed = seed
        self.client = daemon.open(rcvbuf=self.chance.choice((None, 2048, 16384)))
        self.sent = bytearray()
        self.got = bytearray()
        self.pings = []

    def frames(self):
        """Some frames of one message, with pings between them."""
        chance = self.chance
        size = chance.choice((0, 1, 125, 126, 1000, 20000, 65536, 150000))
        data = chance.randbytes(size)
        parts = chance.randrange(1, 5)
        cuts = [0, *sorted(chance.randrange(size + 1) for _ in range(parts - 1)), size]
        wire = b""
        for number in range(parts):
            if chance.random() < 0.3:
                self.pings.append(chance.randbytes(chance.randrange(126)))
                wire += frame(PING, self.pings[-1])
            if chance.random() < 0.1:
                wire += frame(PONG, b"unasked")
            wire += frame(BIN if number == 0 else CONTINUATION, data[cuts[number]:cuts[number + 1]],
                          fin=number == parts - 1, mask=chance.randbytes(4))
        self.sent += data
        return wire

    def send(self, wire):
        """In pieces of random sizes; reads when the way is full."""
        sock, view = self.client.sock, memoryview(wire)
        deadline = time.monotonic() + TIMEOUT
        while view:
            assert time.monotonic() < deadline, f"seed {self.seed}: nothing moves"
            size = self.chance.choice((1, 2, 7, 100, 5000, 100000))
            try:
                view = view[sock.send(view[:size], socket.MSG_DONTWAIT):]
                deadline = time.monotonic() + TIMEOUT
            except BlockingIOError:
                self.read(wait=0.01)
            if self.chance.random() < 0.05:
                time.sleep(0.001)

    def read(self, wait=0.0):
        """Takes what is there."""
        self.client.sock.settimeout(wait or 0.0001)
        try:
            piece = self.client.sock.recv(self.chance.choice((1, 100, 4096, 1 << 20)))
        except TimeoutError:
            return
        if not piece:
            raise ConnectionEnded(f"seed {self.seed}: the end")
        self.client.buffer += piece

    def take(self, size):
        """Whole frames until `size` bytes have come."""
        while len(self.got) < size:
            got = self.client.recv_frame()
            self.check(got)

    def check(self, got):
        if got.opcode == PONG:
            assert self.pings and got.payload in self.pings, "a pong that answers nothing"
            del self.pings[:self.pings.index(got.payload) + 1]
        else:
            assert got.opcode in (TEXT, BIN), got
            self.got += got.payload

    def run(self, kind):
        for _ in range(self.chance.randrange(1, 6)):
            self.send(self.frames())
            if self.chance.random() < 0.4:
                self.read()
        end = self.chance.choice(("close", "close", "close", "abort", "vanish", "half", "bad"))
        if kind == "echo" and end in ("close", "half", "bad"):
            self.take(len(self.sent))
            same(bytes(self.got), bytes(self.sent))
        self.finish(end)
        return end

    def finish(self, end):
        client = self.client
        if end == "abort":
            client.abort()
        elif end == "half":
            client.finish()
            with pytest.raises(ConnectionEnded) as ended:
                while True:
                    self.check(client.recv_frame())
            assert not ended.value.reset
        elif end in ("close", "bad"):
            client.send_raw(frame(CLOSE, close_payload(4000)) if end == "close" else b"\xf0\x80")
            while True:
                got = client.recv_frame()
                if got.opcode == CLOSE:
                    break
                self.check(got)
            assert got.payload[:2] == close_payload(4000 if end == "close" else 1002), got
            client.expect_eof()
        client.close()


SESSIONS = 100  # of each kind


@pytest.mark.parametrize("kind", ("echo", "sink", "source", "builtin"))
def test_random_sessions(run, kind):
    if kind == "source":
        random_sources(run)
        return
    peer = run(TcpPeer(echo if kind == "echo" else sink)) if kind != "builtin" else None
    daemon = run(Daemon("--log-level=warning", f"--close-timeout={LONG_MS}ms", listening=False,
                        peer=peer.url if peer else "echo://"))
    eventually(lambda: len(os.listdir(f"/proc/{daemon.process.pid}/fd")) > 5, "the daemon")
    daemon.first_port = listening_port(daemon)
    for seed in range(SESSIONS):
        session = Session(daemon, seed)
        try:
            end = session.run("echo" if kind == "builtin" else kind)
            if kind == "sink":
                connection = peer.accept()
                eventually(lambda: connection.sock.fileno() < 0, "the end at the peer")
                got, sent = bytes(connection.received), bytes(session.sent)
                # A reset (a close with unread pongs is one, too) destroys the end of what was sent.
                same(got, sent[:len(got)] if end in ("abort", "vanish") else sent)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        assert daemon.process.poll() is None


def random_sources(run):
    """Peers that send random amounts and end in some way; all that they sent arrives."""
    peer = run(TcpPeer())
    daemon = run(Daemon("-c", "framing=binary", f"--close-timeout={LONG_MS}ms", peer=peer.url))
    for seed in range(SESSIONS):
        chance = random.Random(seed)
        client = daemon.open(rcvbuf=chance.choice((None, 2048)))
        connection = peer.accept()
        data = chance.randbytes(chance.choice((0, 1, 70000, 300000)))
        end = chance.choice(("finish", "close", "close"))

        def send():
            at = 0
            while at < len(data):
                size = chance.choice((1, 1000, 65536))
                connection.send(data[at:at + size])
                at += size
            connection.finish() if end == "finish" else connection.close()

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        if end == "finish":  # a service that closes with unread input resets its own last bytes
            client.send_text("crossing")
        same(collect(client, len(data)) if data else b"", data)
        assert client.expect_close().code in (1000, 1011)
        thread.join()
        client.send_close(1000)
        client.expect_eof()
        client.close()
        connection.close()


def test_unix_and_udp_clients_at_once(run, tmp_path):
    """All kinds of listeners and peers in one process, at the same time."""
    udp = run(UdpPeer())
    routes = tmp_path / "routes"
    routes.mkdir()
    stream = run(UnixPeer(tmp_path / "stream", echo))
    (routes / "udp").write_text(f"{udp.url} *\n")
    (routes / "unix").write_text(f"{stream.url} *\n")
    (routes / "echo").write_text("echo:// *\n")
    daemon = run(Daemon("-l", f"unix:{tmp_path}/front", "-b", "file", "-c", f"path={routes}",
                        "-c", "expression=%endpoint%"))
    daemon.wait_log("listening on unix:")
    clients = []
    for number in range(60):
        name = ("udp", "unix", "echo")[number % 3]
        address = str(tmp_path / "front") if number % 2 else None
        clients.append((name, daemon.open("/" + name, address=address)))
    for number, (name, client) in enumerate(clients):
        client.send_text(f"message {number}")
        if name == "udp":
            udp.echo(1)
    for number, (_, client) in enumerate(clients):
        assert client.recv_message() == (TEXT, b"message %d" % number)
    for _, client in clients:
        client.close_handshake(1000)
