# SPDX-License-Identifier: BSD-2-Clause
"""Backends of plugin API version 2: answers at once and later, services of the core, limits."""
import shutil
import signal
import socket
import time

import pytest

from tools.daemon import ROOT, SANITIZED, Daemon, run_once
from tools.frames import BIN, CONTINUATION, TEXT, frame
from tools.http import build_request
from tools.peers import TcpPeer
from tools.plugin_builder import build_plugin

SOURCE = (ROOT / "tests/e2e/tools/sample_backend.c").read_text()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("plugins")
    build_plugin(path, "backend_sample", SOURCE)
    shutil.copy(path / "backend_sample.so", path / "backend_outside.so")
    return path


def sample(folder, *options, backend="sample", **kwargs):
    arguments = [part for option in options for part in ("-c", option)]
    return Daemon(f"--plugin-path={folder}", "-b", backend, *arguments, **kwargs)


@pytest.fixture(scope="module")
def service():
    with TcpPeer() as peer:
        yield peer


@pytest.fixture(scope="module")
def lookups():
    with TcpPeer() as peer:
        yield peer


@pytest.fixture(scope="module")
def daemon(folder, service, lookups):
    with sample(folder, f"peer={service.url}", f"server={lookups.url}", "delay=20") as daemon:
        yield daemon


def echo_once(client, service):
    connection = service.accept()
    client.send_binary(b"ping")
    assert connection.recv_exactly(4) == b"ping"
    connection.send(b"pong\0")
    assert client.recv_message()[1] == b"pong\0"
    client.close()


def request(daemon, path, **fields):
    """Sends an upgrade request and returns the client, which waits for the answer."""
    client = daemon.connect()
    client.send_raw(build_request(path, **fields))
    return client


def refused(daemon, path, **fields):
    """(status, text) of the response to an upgrade request."""
    with request(daemon, path, **fields) as client:
        response = client.recv_http()
        return response.status, response.body.decode().strip()


def text_of(daemon, source, path="/text", **fields):
    status, text = refused(daemon, f"{path}?source={source}", **fields)
    assert status == 418
    return text


@pytest.mark.parametrize("path", ("/now", "/timer"))
def test_an_answer_at_once_and_later(daemon, service, path):
    echo_once(daemon.open(path), service)


def test_frames_behind_the_request_wait_for_the_answer(daemon, service):
    with request(daemon, "/timer") as client:
        client.send_raw(frame(BIN, b"early"))
        client.recv_upgrade()
        assert service.accept().recv_exactly(5) == b"early"


def test_a_lookup_over_a_stream_of_the_core(daemon, service, lookups):
    with request(daemon, "/stream?token=a%20b") as client:
        asked = lookups.accept()
        assert asked.recv_exactly(4) == b"a b\n"
        for byte in service.url.encode() + b"\n":
            asked.send(bytes([byte]))
        client.recv_upgrade()
        echo_once(client, service)
        asked.expect_eof()


def test_a_server_that_closes_or_cannot_be_reached(daemon, lookups):
    with request(daemon, "/stream") as client:
        asked = lookups.accept()
        asked.recv_exactly(1)
        asked.close()
        assert client.recv_http().status == 502
    daemon.wait_log("lookup failed: no complete answer")
    assert refused(daemon, "/stream?server=tcp://127.0.0.1:1") == (502, "the lookup failed")
    assert refused(daemon, "/stream?server=udp://127.0.0.1:1") == (502, "the lookup failed")
    daemon.wait_log("lookup failed: must be the address of a server")
    assert refused(daemon, "/stream?server=tls://127.0.0.1:1%3Fca=/nonexistent")[0] == 502
    daemon.wait_log("lookup failed: .*/nonexistent")


def test_name_lookup(daemon):
    assert refused(daemon, "/lookup?name=127.0.0.2") == (404, "127.0.0.2")
    assert refused(daemon, "/lookup?name=localhost")[1] in ("127.0.0.1", "::1")


def test_texts_of_the_request(daemon):
    assert text_of(daemon, "path") == "/text"
    assert text_of(daemon, "query") == "source=query"
    assert text_of(daemon, "query:a&a=1%2b+2&a=3") == "1+ 2"
    assert text_of(daemon, "query:a&a=%00") == "none"
    assert text_of(daemon, "query:a&a=%4") == "none"
    assert text_of(daemon, "cookie:b", headers={"Cookie": "a=1; b=\"two\"; c=3"}) == "two"
    assert text_of(daemon, "bearer", headers={"Authorization": "bearer abc"}) == "abc"
    assert text_of(daemon, "bearer", headers={"Authorization": "Basic abc"}) == "none"
    assert text_of(daemon, "header:x-a", headers={"X-A": "1"}) == "1"
    assert text_of(daemon, "client") == "127.0.0.1"
    assert text_of(daemon, "user") == "none"
    assert text_of(daemon, "nonsense") == "none"


def test_host_is_the_first_label(daemon):
    assert text_of(daemon, "host", headers={"Host": "vm7.example.org:80"}) == "vm7"


def test_a_client_that_disconnects_cancels_the_query(daemon):
    request(daemon, "/never").close()
    daemon.wait_log("cancelled")
    request(daemon, "/stream?server=tcp://127.0.0.1:9").close()


def test_the_next_peer_is_tried(daemon, service):
    echo_once(daemon.open("/peer?peer=tcp://127.0.0.1:1&second=1"), service)
    assert refused(daemon, "/peer?peer=tcp://127.0.0.1:1")[0] == 502


def test_invalid_answers_are_not_used(daemon):
    assert refused(daemon, "/peer?peer=nonsense://x") == (502, "the answer of the backend is invalid")
    daemon.wait_log("sample: invalid answer: ")
    assert refused(daemon, "/now?framing=nonsense")[0] == 502


def test_subprotocols(daemon, service):
    client = daemon.open("/now", headers={"Sec-WebSocket-Protocol": "one, two"})
    assert client.response.header("Sec-WebSocket-Protocol") == "one"
    client.close()
    client = daemon.open("/now?protocol=two", headers={"Sec-WebSocket-Protocol": "one, two"})
    assert client.response.header("Sec-WebSocket-Protocol") == "two"
    client.close()
    assert refused(daemon, "/now?protocol=two", headers={"Sec-WebSocket-Protocol": "one"})[0] == 400
    service.accept()
    service.accept()


def test_a_session_that_expires_is_closed_with_1008(daemon):
    client = daemon.open(f"/peer?peer=echo://&expires={int(time.time()) + 2}")
    client.round_trip()
    client.expect_close(1008)
    client.close()
    assert refused(daemon, "/peer?peer=echo://&expires=1")[0] == 403


CONNECT = "/now?prelude=CONNECT%20x%0d%0a%0d%0a&end=%0d%0a%0d%0a&has=200"


@pytest.mark.parametrize("behind", (b"", b"hello"))
@pytest.mark.parametrize("size", (1, 1000))
def test_the_reply_to_a_prelude_is_removed(daemon, service, behind, size):
    with request(daemon, CONNECT) as client:
        connection = service.accept()
        assert connection.recv_exactly(13) == b"CONNECT x\r\n\r\n"
        reply = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n" + behind
        for start in range(0, len(reply), size):
            connection.send(reply[start:start + size])
        client.recv_upgrade()
        connection.send(b"!")
        assert client.recv_bytes(len(behind) + 1) == behind + b"!"
        client.send_binary(b"ping")
        assert connection.recv_exactly(4) == b"ping"


@pytest.mark.parametrize("reply", (b"HTTP/1.1 403 200\n", b"HTTP/1.1 404\r\nA: 200\r\n\r\n", bytes(9000), b""))
def test_another_reply_is_answered_with_502(daemon, service, reply):
    with request(daemon, CONNECT) as client:
        connection = service.accept()
        connection.recv_exactly(13)
        connection.send(reply)
        connection.sock.shutdown(socket.SHUT_WR)
        assert client.recv_http().status == 502
        connection.close()


def test_a_prelude_without_a_reply(daemon, service):
    client = daemon.open("/now?prelude=hello%0a")
    connection = service.accept()
    client.send_binary(b"ping")
    assert connection.recv_exactly(10) == b"hello\nping"
    client.close()


# --- with a daemon of their own -------------------------------------------------------------------


def test_query_timeout(run, folder):
    daemon = run(Daemon(
        f"--plugin-path={folder}", "--query-timeout=100ms", "-b", "sample", "-c", "peer=echo://"))
    assert refused(daemon, "/never") == (504, "the backend did not answer in time")
    daemon.wait_log(r"backend sample did not answer in time \(query-timeout\)")
    daemon.wait_log("cancelled")


def test_a_reload_leaves_waiting_queries_to_the_old_instance(run, folder):
    daemon = run(sample(folder, "peer=echo://"))
    with request(daemon, "/stream?server=tcp://127.0.0.1:1") as client:
        assert client.recv_http().status == 502
    waiting = request(daemon, "/never")
    daemon.settle()
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("configuration")
    daemon.open("/now").close()
    assert "sample: closed" not in daemon.log()
    waiting.close()
    daemon.wait_log("sample: closed")


def test_answers_from_outside_have_restricted_schemes(run, folder):
    daemon = run(sample(folder, "peer=echo://", backend="outside"))
    assert refused(daemon, "/now")[0] == 502
    daemon.wait_log("the option schemes does not allow this kind of peer")
    daemon = run(sample(folder, "peer=echo://", "schemes=tcp, echo", backend="outside"))
    daemon.open("/now").round_trip()


@pytest.mark.parametrize("option, text", (
    ("nosuch=1", "no such option (options: peer, server, delay, framing, framing-config, protocol)"),
    ("delay=x", '"x": must be a number of milliseconds'),
    ("framing=nosuch", 'there is no framing function "nosuch"'),
    ("peer=", "is missing"),
))
def test_wrong_options_are_reported_at_start(folder, option, text):
    result = run_once("-t", f"--plugin-path={folder}", "-b", "sample", "-c", "peer=echo://", "-c", option)
    assert result.returncode == 1
    assert text in result.stderr


def test_a_thousand_waiting_clients_delay_nobody(run, folder):
    """No turn of the loop waits: while lookups wait for their timers, other requests are answered."""
    daemon = run(sample(folder, "peer=echo://", "delay=60000"))
    count = 100 if SANITIZED else 1000
    waiting = [request(daemon, "/timer") for _ in range(count)]
    daemon.settle()
    before = daemon.voluntary_switches()
    client = daemon.open("/now")
    for _ in range(20):
        client.round_trip()
    # A turn for each message, and none for those that wait.
    assert daemon.voluntary_switches() - before < 60
    for one in waiting:
        one.close()


@pytest.mark.parametrize("action", ("refuse", "evict"))
def test_max_per_key(run, folder, action):
    daemon = run(Daemon(f"--plugin-path={folder}", "--max-per-key=2", f"--max-per-key-action={action}",
                        "-b", "sample", "-c", "peer=echo://"))
    first = daemon.open("/now?session=a")
    second = daemon.open("/now?session=a")
    daemon.open("/now?session=b").round_trip()
    if action == "refuse":
        assert refused(daemon, "/now?session=a")[0] == 503
        first.close_handshake()
        daemon.settle()
        daemon.open("/now?session=a").round_trip()
    else:
        daemon.open("/now?session=a").round_trip()
        first.expect_close(1008)
    second.round_trip()


# --- the examples of the documentation ------------------------------------------------------------


@pytest.fixture(scope="module")
def documented(tmp_path_factory):
    path = tmp_path_factory.mktemp("documented")
    text = (ROOT / "docs/plugins.md").read_text()
    for name in ("sameline", "backend_line"):
        source = text.split(f"/* file: {name}.c */\n")[1].split("```")[0]
        build_plugin(path, name, source)
    return path


def test_documented_framing(run, documented):
    peer = run(TcpPeer())
    daemon = run(Daemon(f"--plugin-path={documented}", "-c", "framing=sameline", peer=peer.url))
    client = daemon.open()
    connection = peer.accept()
    client.send_text(b"first")
    assert connection.recv_exactly(6) == b"first\n"
    connection.send(b"one\r\n\r\nt")
    assert [client.recv_message() for _ in range(2)] == [(TEXT, b"one"), (TEXT, b"")]
    client.send_raw(frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"b") + frame(BIN, b""))
    assert connection.recv_exactly(6) == b"ab\r\n\r\n"
    connection.send(b"wo\n\xff\nrest")
    assert [client.recv_message() for _ in range(2)] == [(TEXT, b"two"), (BIN, b"\xff")]
    client.send_text(b"last")
    assert connection.recv_exactly(5) == b"last\n"
    client.send_text(b"a\nb")
    client.expect_failed(1007)


def test_documented_backend(run, documented):
    service, server = run(TcpPeer()), run(TcpPeer())
    daemon = run(Daemon(f"--plugin-path={documented}", "-b", "line", "-c", f"server={server.url}"))
    with request(daemon, "/a%0Ab?c") as client:
        asked = server.accept()
        assert asked.recv_exactly(7) == b"/a%0Ab\n"
        asked.send(service.url.encode() + b"\n")
        client.recv_upgrade()
        echo_once(client, service)
    for invalid in (b"unix:///tmp/x\n", b"\n", b"x" * 300):
        with request(daemon, "/") as client:
            server.accept().send(invalid)
            assert client.recv_http().status == 502
    with request(daemon, "/"):
        asked = server.accept()
        assert asked.recv_exactly(2) == b"/\n"
    assert asked.recv() == b""  # cancelled


def test_documented_examples_are_short():
    text = (ROOT / "docs/plugins.md").read_text()
    for name in ("sameline", "backend_line"):
        source = text.split(f"/* file: {name}.c */\n")[1].split("```")[0]
        assert len(source.splitlines()) < 40


needs_check_build = pytest.mark.skipif(not SANITIZED, reason="only check builds detect it")


def test_a_second_answer_is_detected(daemon):
    assert refused(daemon, "/twice") == (404, "first")
    daemon.wait_log("plugin sample has answered a query twice")


@needs_check_build
def test_mistakes_that_a_check_build_detects(daemon):
    assert refused(daemon, "/thread") == (404, "from the right one")
    daemon.wait_log("plugin sample calls refuse from another thread; ignored")
    request(daemon, "/cancelled").close()
    daemon.wait_log(r"plugin sample has answered a query after cancel\(\)")


@needs_check_build
def test_a_query_that_is_given_up_is_detected(run, folder):
    daemon = run(sample(folder, "peer=echo://", "delay=60000"))
    with request(daemon, "/timer"):
        daemon.settle()
        assert "given up" not in daemon.log()  # the timer will call the backend
    with request(daemon, "/never"):
        daemon.wait_log("plugin sample has given up a query without an answer")


def test_list_of_plugins(folder, documented):
    result = run_once(f"--plugin-path={folder}", "--plugins")
    assert result.returncode == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "backend_outside.so: sample 1.0, for tests"
    assert "\tbackend sample: answers in many ways" in lines
    assert "\t\tdelay: time of /timer in milliseconds (default: 50)" in lines
    result = run_once(f"--plugin-path={documented}", "--plugins")
    assert "\tframing sameline: lines that end as those of the peer do" in result.stdout
    assert "\t\tserver: the server that is asked (default: tcp://localhost:7001)" in result.stdout
