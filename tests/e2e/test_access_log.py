# SPDX-License-Identifier: BSD-2-Clause
"""The access log: its lines and fields, as text and as JSON."""
import re
import signal

import pytest

from tools import tls_files
from tools.client import RawClient
from tools.daemon import Daemon
from tools.frames import BIN, CLOSE, CONTINUATION, PING, PONG, TEXT, close_payload, frame
from tools.log_files import json_events, json_lines, text_events
from tools.peers import TcpPeer, echo
from tools.users import basic, write_users
from tools.waiting import eventually

FORMATS = {"text": text_events, "json": json_events}
CONNECTIONS = 300  # many more than lines of other kinds are written in a second


@pytest.fixture(params=FORMATS)
def form(request):
    return request.param


def logging(run, form, *arguments, **kwargs):
    """A daemon, and a function that returns the lines of its access log once there are so many."""
    daemon = run(Daemon(f"--log-format={form}", *arguments, **kwargs))

    def events(count):
        return eventually(lambda: (found := FORMATS[form](daemon.log())) and len(found) >= count and found,
                          f"{count} lines of the access log")

    return daemon, events


# --- fields -------------------------------------------------------------------------------------


def test_fields_of_a_connection(run, form):
    peer = run(TcpPeer(echo))
    daemon, events = logging(run, form, "-c", "protocol=*", peer=peer.url, tls=False)
    client = daemon.open("/chat/room?token=secret", headers={"Sec-WebSocket-Protocol": "a.b"})
    client.send_binary(b"12345")
    client.recv_bytes(5)
    address = "127.0.0.1:%d" % client.sock.getsockname()[1]
    client.close_handshake(1001)
    line, = events(1)
    connect, total = line.pop("ms_connect"), line.pop("ms_total")
    assert 0 <= connect <= total
    assert 1 <= line.pop("messages_out") <= 5
    assert line == {
        "id": 1, "client": address, "msg": "closed", "peer": peer.url, "listener": f"127.0.0.1:{daemon.port}",
        "path": "/chat/room", "subprotocol": "a.b", "bytes_in": 5, "bytes_out": 5, "messages_in": 1,
        "side": "client", "code": 1001, "reason": "closed by the client"}
    assert "secret" not in daemon.log()


def test_fields_of_tls_and_user(run, form, tmp_path):
    users = write_users(tmp_path / "users", alice="secret")
    users.chmod(0o600)
    ca, pair = tls_files.shared()
    path = tmp_path / "socket"
    daemon, events = logging(
        run, form, f"--auth-file={users}", f"--cert={pair.cert}", f"--key={pair.key}", f"--listen=unix:{path}",
        "--origin=*", peer="echo://", tls=False)
    with RawClient(daemon.address, tls=tls_files.client_context(ca)) as client:
        client.upgrade(headers=basic("alice", "secret"))
        client.close_handshake()
    line, = events(1)
    assert (line["tls"], line["sni"], line["user"]) == ("TLS1.3", "localhost", "alice")
    with RawClient(str(path), tls=tls_files.client_context(ca)) as client:
        client.upgrade(headers=basic("alice", "secret"))
        client.close_handshake()
    line = events(2)[1]
    assert (line["listener"], line["client"]) == (f"unix:{path}", "unix")


def test_address_is_that_of_the_client_behind_a_proxy(run, form):
    daemon, events = logging(run, form, "--trusted-proxy=127.0.0.1", peer="echo://")
    daemon.open(headers={"X-Forwarded-For": "2001:db8::7"}).close_handshake()
    assert events(1)[0]["client"] == "2001:db8::7"


def test_messages_and_bytes_are_those_of_data(run, form):
    """Fragments are one message, control frames none; a close frame in the same read hides nothing."""
    daemon, events = logging(run, form, peer="echo://")
    client = daemon.open()
    client.send_raw(b"".join((
        frame(TEXT, "one"), frame(BIN, b"tw", fin=False), frame(PING, b"ping"), frame(CONTINUATION, b"o"),
        frame(TEXT, ""), frame(BIN, bytes(70000)), frame(CLOSE, close_payload(1000)))))
    for kind in (TEXT, PONG, BIN, TEXT, BIN, CLOSE):
        assert client.recv_frame().opcode == kind
    line, = events(1)
    assert (line["messages_in"], line["bytes_in"]) == (4, 70006)
    assert (line["messages_out"], line["bytes_out"]) == (4, 70006)


def test_messages_of_a_stream(run, form):
    """Many at once, both ways, through the framing function."""
    peer = run(TcpPeer(echo))
    daemon, events = logging(run, form, "-c", "framing=newline", "-c", "framing-config=lf", peer=peer.url)
    client = daemon.open()
    client.send_raw(b"".join(frame(TEXT, f"line {i}\n") for i in range(100)))
    for i in range(100):
        assert client.recv_message() == (TEXT, b"line %d\n" % i)
    client.send_raw(frame(TEXT, "cut", fin=False) + frame(CONTINUATION, " in two\n"))
    assert client.recv_message() == (TEXT, b"cut in two\n")
    client.close_handshake()
    line, = events(1)
    assert (line["messages_in"], line["messages_out"]) == (101, 101)
    assert line["bytes_in"] == line["bytes_out"] == sum(len(f"line {i}\n") for i in range(100)) + 11


# --- how it ends --------------------------------------------------------------------------------


def end_of(events):
    line, = events(1)
    return line["side"], line["code"], line["reason"]


def test_end_by_the_peer(run, form):
    peer = run(TcpPeer(lambda connection: None))
    _, events = opened = logging(run, form, peer=peer.url)
    client = opened[0].open()
    client.expect_close(1000)
    client.send_close(1000)
    assert end_of(events) == ("peer", 1000, "the peer has closed")


def test_end_by_the_server(run, form):
    daemon, events = logging(run, form, peer="echo://")
    client = daemon.open()
    client.send_raw(b"\x83\x80\0\0\0\0")
    client.expect_failed(1002)
    side, code, reason = end_of(events)
    assert (side, code) == ("server", 1002) and reason


def test_end_by_shutdown(run, form):
    daemon, events = logging(run, form, peer="echo://")
    client = daemon.open()
    daemon.signal(signal.SIGTERM)
    client.expect_close(1001)
    client.send_close(1001)
    assert end_of(events) == ("server", 1001, "the server is shutting down")


def test_end_without_a_close_frame(run, form):
    daemon, events = logging(run, form, peer="echo://")
    daemon.open().finish()
    assert end_of(events) == ("client", 1006, "the client ended without a close frame")


def test_end_without_a_code(run, form):
    daemon, events = logging(run, form, peer="echo://")
    client = daemon.open()
    client.send_close()
    client.expect_close(None)
    assert end_of(events) == ("client", 1005, "closed by the client")


def test_dropped_connection_has_its_line(run, form):
    daemon, events = logging(run, form, "--grace=0", peer="echo://")
    daemon.open()
    daemon.stop(close_clients=False)
    assert end_of(events)[:2] == ("server", 1001)


# --- which lines --------------------------------------------------------------------------------


def test_both_lines(run, form):
    daemon, events = logging(run, form, "--access-log=both", peer="echo://")
    client = daemon.open("/x")
    first, = events(1)
    assert first["msg"] == "opened" and first["path"] == "/x"
    client.close_handshake()
    _, second = events(2)
    assert second["msg"] == "closed"
    assert {name: second[name] for name in first} == {**first, "msg": "closed"}


def test_off(run, form):
    daemon, _ = logging(run, form, "--access-log=off", peer="echo://")
    daemon.open().close_handshake()
    daemon.stop()
    assert not FORMATS[form](daemon.log())


def test_lines_have_the_level_info(run, form):
    daemon, _ = logging(run, form, "--access-log=both", "--log-level=notice", peer="echo://")
    daemon.open().close_handshake()
    daemon.stop()
    assert not FORMATS[form](daemon.log())


def test_reload_changes_the_lines(run, tmp_path):
    config = tmp_path / "conf"
    config.write_text("[core]\naccess-log = off\n")
    daemon = run(Daemon("--config", config, peer="echo://"))
    first = daemon.open("/first")
    config.write_text("[core]\naccess-log = both\nlog-format = json\n")
    daemon.signal(signal.SIGHUP)
    daemon.wait_log('"the configuration has been read again"')
    daemon.open("/second").close_handshake()
    first.close_handshake()
    daemon.wait_log('"msg":"closed"', count=2)
    lines = json_events("\n".join(line for line in daemon.log().splitlines() if line.startswith("{")))
    assert [(line["id"], line["msg"], line.get("path")) for line in lines] == [
        (2, "opened", "/second"), (2, "closed", "/second"), (1, "closed", None)]


def test_lines_are_not_limited(run, form):
    daemon, _ = logging(run, form, peer="echo://")
    for _ in range(CONNECTIONS):
        daemon.open().close()
    daemon.stop()
    assert sorted(line["id"] for line in FORMATS[form](daemon.log())) == list(range(1, CONNECTIONS + 1))
    assert "suppressed" not in daemon.log()


# --- text of clients ----------------------------------------------------------------------------

HOSTILE = (
    '/"quoted\\"', "/x=1", "/\xe2\x80\xae\xc3\xa4", "/\xff\xfe", "/_2_192.0.2.9:1:_closed:_code=1000",
    '/","level":"error","msg":"forged', "/" + 250 * "\"", "/" + 5000 * "x", "/%0a%0d",
)


@pytest.mark.parametrize("path", HOSTILE)
def test_text_of_clients_is_escaped(run, form, path):
    daemon, events = logging(run, form, "-c", "protocol=*", peer="echo://")
    daemon.open(path, headers={"Sec-WebSocket-Protocol": "x!#$%&'*+^_`|~" + 300 * "y"}).close_handshake()
    line, = events(1)
    wanted = path.encode("latin-1").decode("utf-8", "replace")
    assert line["path"] == wanted or (line["path"].endswith("...") and wanted.startswith(line["path"][:-3]))
    assert len(line["path"]) > 30 or line["path"] == wanted
    assert line["subprotocol"].startswith("x!#$%&'*+^_`|~yyy")
    assert line["code"] == 1000 and line["id"] == 1
    assert daemon.log().count("\n") == len(daemon.log().splitlines())
    assert not re.search(r"[^\n -~]", daemon.log()) or form == "json"


def test_every_line_of_a_busy_run_is_json(run, tmp_path):
    users = write_users(tmp_path / "users", alice="secret")
    users.chmod(0o600)
    daemon = run(Daemon(
        "--log-format=json", "--log-level=debug", "--access-log=both", f"--auth-file={users}", f"--web={tmp_path}",
        "--trusted-proxy=127.0.0.9", peer="echo://"))
    for path in HOSTILE:
        for headers in ({}, basic("alice", "secret"), basic('"\\', "x"), {"Origin": 'x"\xe2\x80\xae'},
                        {**basic("alice", "secret"), "X-Forwarded-For": '"\xff'}):
            with daemon.connect(source="127.0.0.9") as client:
                client.send_raw(b"GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n" % (
                    path.encode("latin-1"), b"".join(
                        b"%s: %s\r\n" % (name.encode(), value.encode("latin-1")) for name, value in headers.items())))
                client.recv_http()
            with daemon.connect() as client:
                client.send_raw(path.encode("latin-1") + b"\r\n\r\n")
                client.recv_http()
    daemon.open(headers=basic("alice", "secret")).close_handshake()
    daemon.stop()
    lines = json_lines(daemon.log())
    assert sum(line["msg"].startswith("answered") for line in lines) > 10
    assert {line["msg"] for line in lines} >= {"opened", "closed"}
