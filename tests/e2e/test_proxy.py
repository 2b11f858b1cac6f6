# SPDX-License-Identifier: BSD-2-Clause
"""Who is calling, as proxies tell it: header fields, PROXY headers both ways, limits, and attempts to lie.

Clients from 127.0.0.9 are the trusted proxy here; those that a daemon makes come from 127.0.0.1, which is not.
"""
import signal
import socket
import ssl
import subprocess

import pytest

from tools.client import ConnectionEnded, RawClient, exchange
from tools.daemon import Daemon, run_once
from tools.frames import TEXT, bytewise, frame
from tools.http import build_request
from tools.peers import TcpPeer, UnixPeer, echo
from tools.proxies import Haproxy, TcpNginx, TellingNginx
from tools.proxy_header import CLIENT, SERVICE, SIGNATURE, read_line, read_v2, v1, v2
from tools.sockets import needs_ipv6
from tools.waiting import TIMEOUT, eventually

PROXY = "127.0.0.9"
TRUST = f"--trusted-proxy={PROXY}"


# --- helpers ------------------------------------------------------------------------------------


def connect(daemon, source=PROXY, first=b"", port=None):
    """A client whose address is `source`, which has sent `first`."""
    client = daemon.connect(("::1" if ":" in source else "127.0.0.1", port or daemon.port), source=source)
    if first:
        client.send_raw(first)
    return client


def status(daemon, source=PROXY, first=b"", fields=(), **request):
    """The status of an upgrade request with these additional `fields`, and the connection."""
    client = connect(daemon, source, first)
    request["extra"] = [field.split(":", 1) for field in fields]
    client.send_raw(build_request(**request))
    return client.recv_http().status, client


def forwarded(address):
    return {"X-Forwarded-For": address}


class Watched:
    """A daemon whose peer is told who is calling."""

    def __init__(self, run, *args, **kwargs):
        self.peer = run(TcpPeer())
        self.daemon = run(Daemon(*args, peer=f"{self.peer.url}?proxy=v1", **kwargs))

    def seen(self, source=PROXY, first=b"", **request):
        """Connects, and returns the source address and port that the peer is told."""
        code, client = status(self.daemon, source, first, **request)
        assert code == 101
        connection = self.peer.accept()
        words = read_line(connection)
        client.send_text("x")
        assert connection.recv_exactly(1) == b"x"
        connection.close()
        client.close()
        return (words[2], int(words[4])) if len(words) > 2 else words[1]


@pytest.fixture
def watched(run):
    return Watched(run, TRUST)


@pytest.fixture
def proxied(run):
    """The same with PROXY headers."""
    return Watched(run, TRUST, "--proxy-protocol=yes")


@pytest.fixture
def proxied_echo(run):
    return run(Daemon(TRUST, "--proxy-protocol=yes", peer="echo://"))


# --- header fields ------------------------------------------------------------------------------


@pytest.mark.parametrize("fields, expected", (
    (("X-Forwarded-For: 203.0.113.9",), ("203.0.113.9", 0)),
    (("X-Forwarded-For: 203.0.113.9:4711",), ("203.0.113.9", 4711)),
    (("X-Forwarded-For: 2001:db8::9",), ("2001:db8::9", 0)),
    (("x-forwarded-for: 6.6.6.6, 203.0.113.9, 127.0.0.9",), ("203.0.113.9", 0)),
    (("X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 127.0.0.9"),
     ("203.0.113.9", 0)),
    (("X-Forwarded-For: 127.0.0.9",), ("127.0.0.9", 0)),
    (("Forwarded: for=203.0.113.9;proto=https",), ("203.0.113.9", 0)),
    (('Forwarded: for="[2001:db8::9]:4711"',), ("2001:db8::9", 4711)),
    (("Forwarded: for=6.6.6.6, for=203.0.113.9", "Forwarded: for=127.0.0.9"), ("203.0.113.9", 0)),
    (("X-Real-IP: 203.0.113.9",), ("203.0.113.9", 0)),
    (("X-Real-IP: 203.0.113.9", "X-Forwarded-For: 6.6.6.6, 203.0.113.9:80"), ("203.0.113.9", 80)),
    (("X-Forwarded-For: 203.0.113.9, 127.0.0.9", "X-Real-IP: 127.0.0.9"), ("203.0.113.9", 0)),
    (("Forwarded: for=127.0.0.9", "X-Forwarded-For: 203.0.113.9"), ("203.0.113.9", 0)),
    (("X-Forwarded-For:", "X-Real-IP: 203.0.113.9"), ("203.0.113.9", 0)),
))
def test_trusted_fields(watched, fields, expected):
    assert watched.seen(fields=fields) == expected


@pytest.mark.parametrize("fields", (
    ("Forwarded: for=unknown",), ("Forwarded: for=_hidden, for=127.0.0.9",), ("X-Forwarded-For: unknown",),
))
def test_field_that_hides_the_client(watched, fields):
    """Its address is unknown, and not that of the proxy, which may be trusted by others."""
    assert watched.seen(fields=fields) == "UNKNOWN"
    watched.daemon.wait_log(r"#1 unknown: closed: ")


def test_request_without_fields_is_the_proxys_own(watched):
    assert watched.seen()[0] == PROXY


def test_hidden_clients_share_one_limit(run):
    daemon = run(Daemon(TRUST, "--max-clients-per-ip=1", peer="echo://"))
    first = status(daemon, headers=forwarded("unknown"))
    assert first[0] == 101
    assert status(daemon, headers=forwarded("unknown"))[0] == 503
    assert status(daemon, headers=forwarded(CLIENT))[0] == 101


@pytest.mark.parametrize("fields, name", (
    (("X-Forwarded-For: nonsense",), "X-Forwarded-For"),
    (("X-Forwarded-For: 203.0.113.9, nonsense",), "X-Forwarded-For"),
    (("X-Forwarded-For: nonsense", "X-Real-IP: 6.6.6.6"), "X-Forwarded-For"),
    (("Forwarded: 203.0.113.9", "X-Forwarded-For: 6.6.6.6"), "Forwarded"),
    (("Forwarded: for=2001:db8::9",), "Forwarded"),
    (("X-Real-IP: 203.0.113.9, 203.0.113.9",), "X-Real-IP"),
    (("X-Real-IP: 203.0.113.9", "X-Real-IP: 203.0.113.9"), "X-Real-IP"),
))
def test_malformed_field_is_refused(watched, fields, name):
    """A client must not have the address of the proxy because it has sent such a field."""
    assert status(watched.daemon, fields=fields)[0] == 400
    watched.daemon.wait_log(
        rf"info: #1 127\.0\.0\.9:\d+: answered 400: a proxy's header .* is malformed, GET \"/\", header {name}$")


@pytest.mark.parametrize("fields, name", (
    (("Forwarded: for=6.6.6.6", "X-Forwarded-For: 203.0.113.9"), "X-Forwarded-For"),
    (("X-Real-IP: 6.6.6.6", "X-Forwarded-For: 203.0.113.9"), "X-Real-IP"),
    (("X-Real-IP: 6.6.6.6", "X-Forwarded-For: 6.6.6.6, 203.0.113.9", "Forwarded: for=6.6.6.6"), "X-Forwarded-For"),
    (("Forwarded: for=unknown", "X-Forwarded-For: 203.0.113.9"), "X-Forwarded-For"),
))
def test_client_cannot_choose_the_field_that_counts(watched, fields, name):
    """Most proxies write one kind of field and pass on the others as the client has sent them."""
    assert status(watched.daemon, fields=fields)[0] == 400
    watched.daemon.wait_log(
        rf"info: #1 127\.0\.0\.9:\d+: answered 400: headers .* contradict each other .* header {name}$")


@pytest.mark.parametrize("name, fields, expected", (
    ("X-Forwarded-For", ("Forwarded: for=6.6.6.6", "X-Forwarded-For: 7.7.7.7, 203.0.113.9", "X-Real-IP: x"), CLIENT),
    ("forwarded", ("Forwarded: for=203.0.113.9", "X-Forwarded-For: 6.6.6.6"), CLIENT),
    ("x-real-ip", ("X-Real-IP: 203.0.113.9", "X-Forwarded-For: 6.6.6.6"), CLIENT),
    ("CF-Connecting-IP", ("CF-Connecting-IP: 203.0.113.9", "X-Forwarded-For: 6.6.6.6"), CLIENT),
    ("X-Real-IP", ("X-Forwarded-For: 6.6.6.6",), PROXY),
))
def test_one_field_counts(run, name, fields, expected):
    """The option real-ip-header: others may come from the client as they are."""
    watched = Watched(run, TRUST, f"--real-ip-header={name}")
    assert watched.seen(fields=fields)[0] == expected


@pytest.mark.parametrize("value", ("nonsense", "203.0.113.9, 203.0.113.9", "for=203.0.113.9"))
def test_malformed_value_of_the_one_field(run, value):
    daemon = run(Daemon(TRUST, "--real-ip-header=True-Client-IP", peer="echo://"))
    assert status(daemon, headers={"True-Client-IP": value})[0] == 400


def test_one_field_from_a_file_and_its_error(configured):  # noqa: F811
    daemon = configured(("trusted-proxy", PROXY), ("real-ip-header", "X-Client"), ("log-level", "debug"))
    assert status(daemon, headers={"X-Client": CLIENT})[0] == 101
    daemon.wait_log(rf"#1 {CLIENT}: connected")
    result = run_once("--real-ip-header=X Client", "-t")
    assert result.returncode != 0
    assert 'real-ip-header: "X Client" must be the name of a header' in result.stderr


def test_chain_of_proxies(run):
    """Two networks of them; the fields are long, and as many as a request may have."""
    watched = Watched(run, TRUST, "--trusted-proxy=10.0.0.0/8", "--trusted-proxy=2001:db8:1::/48")
    chain = ", ".join(f"10.{n}.{n}.{n}:{n + 1}" for n in range(250))
    assert watched.seen(headers=forwarded(f"6.6.6.6, 203.0.113.9, {chain}, 2001:db8:1::7"))[0] == CLIENT
    many = [f"X-Forwarded-For: 10.0.0.{n}" for n in range(100)]
    assert watched.seen(fields=("X-Forwarded-For: 6.6.6.6, 203.0.113.9", *many))[0] == CLIENT
    quoted = ", ".join('for="[2001:db8:1::%x]:80";by=10.0.0.1' % n for n in range(200))
    assert watched.seen(fields=(f'Forwarded: for="[2001:db8::9]:1", {quoted}',))[0] == "2001:db8::9"
    assert status(watched.daemon, headers=forwarded("6.6.6.6, nonsense, " + chain))[0] == 400
    assert watched.seen(headers=forwarded(10000 * "," + CLIENT + 5000 * " ,"))[0] == CLIENT


def test_malformed_fields_are_logged_with_a_rate_limit(run):
    daemon = run(Daemon(TRUST, peer="echo://"))
    for _ in range(60):
        status(daemon, headers=forwarded("nonsense"))[1].close()
    daemon.settle()
    assert 1 <= daemon.log().count("is malformed") < 60


@pytest.mark.parametrize("name, value", (
    ("X-Forwarded-For", CLIENT), ("Forwarded", f"for={CLIENT}"), ("X-Real-IP", CLIENT),
    ("X-Forwarded-For", f"{CLIENT}, {PROXY}"), ("X-Forwarded-For", "nonsense"),
))
def test_strangers_cannot_lie(watched, name, value):
    assert watched.seen(source="127.0.0.2", headers={name: value})[0] == "127.0.0.2"
    assert "malformed" not in watched.daemon.log()


def test_nobody_is_trusted_by_default(run):
    watched = Watched(run)
    assert watched.seen(headers=forwarded(CLIENT))[0] == PROXY


def test_log_lines_show_the_real_address(configured):  # noqa: F811
    daemon = configured(("trusted-proxy", "10.0.0.0/8"), ("trusted-proxy", PROXY), ("log-level", "debug"))
    code, client = status(daemon, headers=forwarded(CLIENT))
    assert code == 101
    client.close_handshake()
    daemon.wait_log(rf"#1 {CLIENT}: the address is from the X-Forwarded-For header of 127\.0\.0\.9")
    daemon.wait_log(rf"#1 {CLIENT}: closed: ")
    assert status(daemon, headers={**forwarded("2001:db8::9"), "Sec-WebSocket-Key": "x"})[0] == 400
    daemon.wait_log(r"#2 2001:db8::9: answered 400")


def test_plain_requests_are_logged_with_it(run, tmp_path):
    (tmp_path / "index.html").write_text("hello")
    daemon = run(Daemon(TRUST, f"--web={tmp_path}"))
    assert status(daemon, plain=True, headers=forwarded(CLIENT))[0] == 200
    daemon.wait_log(rf"#1 {CLIENT}: GET / answered 200")


@pytest.mark.parametrize("fields", ({}, {"X-Forwarded-For": CLIENT}, {"X-Forwarded-For": "unknown,"}))
def test_connection_whose_fields_tell_the_client_is_not_kept(run, tmp_path, fields):
    """The next request may be another client's."""
    page = tmp_path / "page"
    page.write_text("hello")
    client = connect(run(Daemon(TRUST, f"--web={page}")))
    answer = exchange(client, "/", **fields)
    assert answer.status == 200
    assert answer.tokens("Connection") == ["close"]
    client.expect_eof()


def test_connection_whose_header_has_told_the_client_is_kept(run, tmp_path):
    page = tmp_path / "page"
    page.write_text("hello")
    daemon = run(Daemon(TRUST, "--proxy-protocol=yes", f"--web={page}"))
    client = connect(daemon, first=v1())
    for _ in range(3):
        assert exchange(client, "/", **{"X-Forwarded-For": "192.0.2.77"}).tokens("Connection") == ["keep-alive"]
    daemon.wait_log(rf"{CLIENT}:4711.*GET / answered 200", count=3)


def test_network_of_unix_sockets(run, tmp_path):
    peer = run(TcpPeer())
    path = tmp_path / "socket"
    daemon = run(Daemon(
        "--trusted-proxy=unix", "-l", f"unix:{path}", peer=f"{peer.url}?proxy=v1", defaults=False))
    daemon.open(address=path, headers=forwarded(CLIENT))
    assert read_line(peer.accept()) == ["PROXY", "TCP4", CLIENT, "0.0.0.0", "0", "0"]


def test_proxy_header_on_a_unix_socket(run, tmp_path):
    peer = run(TcpPeer())
    path = tmp_path / "socket"
    daemon = run(Daemon(
        "--trusted-proxy=unix", "--proxy-protocol=yes", "-l", f"unix:{path}", peer=f"{peer.url}?proxy=v2",
        defaults=False))
    client = daemon.connect(path)
    client.send_raw(v2() + build_request())
    client.recv_upgrade()
    assert read_v2(peer.accept()) == (0x21, 0x11, CLIENT, SERVICE, (4711, 8001))


@needs_ipv6
def test_ipv4_network_on_a_dual_stack_listener(run):
    peer = run(TcpPeer())
    daemon = run(Daemon("-p", "0", "-l", "::", TRUST, peer=f"{peer.url}?proxy=v1", defaults=False))
    assert status(daemon, headers=forwarded(CLIENT))[0] == 101
    assert read_line(peer.accept())[1:4] == ["TCP4", CLIENT, "127.0.0.1"]
    assert status(daemon, source="::1", headers=forwarded(CLIENT))[0] == 101
    assert read_line(peer.accept())[1:4] == ["TCP6", "::1", "::1"]


def test_reload_takes_other_proxies(run, tmp_path):
    peer = run(TcpPeer())
    path = tmp_path / "conf"
    text = f"[core]\nport = 0\nlisten = 127.0.0.1\ntrusted-proxy = %s\n[backend]\nhost = {peer.url}?proxy=v1\n"
    path.write_text(text % PROXY)
    daemon = run(Daemon(path, defaults=False))
    early = connect(daemon)  # trusted when it came; what counts are the networks at its request
    daemon.settle()
    assert status(daemon, headers=forwarded(CLIENT))[0] == 101
    assert read_line(peer.accept())[2] == CLIENT
    path.write_text(text % "127.0.0.8")
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("configuration")
    assert status(daemon, headers=forwarded(CLIENT))[0] == 101
    assert read_line(peer.accept())[2] == PROXY
    assert status(daemon, source="127.0.0.8", headers=forwarded(CLIENT))[0] == 101
    assert read_line(peer.accept())[2] == CLIENT
    early.send_raw(build_request(headers=forwarded(CLIENT)))
    assert early.recv_http().status == 101
    assert read_line(peer.accept())[2] == PROXY


# --- limits -------------------------------------------------------------------------------------


def test_limit_counts_the_real_address(run):
    daemon = run(Daemon(TRUST, "--max-clients-per-ip=2", peer="echo://"))
    idle = [connect(daemon) for _ in range(5)]  # the proxy itself is not limited
    first = [status(daemon, headers=forwarded(CLIENT)) for _ in range(2)]
    assert [code for code, _ in first] == [101, 101]
    assert status(daemon, headers=forwarded(CLIENT))[0] == 503
    assert status(daemon, headers=forwarded(f"6.6.6.6, {CLIENT}"))[0] == 503
    assert status(daemon, plain=True, headers=forwarded(CLIENT))[0] == 503
    assert status(daemon, headers=forwarded("203.0.113.10"))[0] == 101
    daemon.wait_log(rf"{CLIENT}: answered 503")
    first[0][1].close_handshake()
    eventually(lambda: status(daemon, headers=forwarded(CLIENT))[0] == 101, "room for one more")
    for client in idle:
        client.close()


def test_surplus_of_one_client_takes_nobody_elses_place(run):
    """More requests above the limit than are kept to be told, from a client that does not take its 503."""
    daemon = run(Daemon(TRUST, "--max-clients-per-ip=1", "--close-timeout=1h", peer="echo://"))
    assert status(daemon, headers=forwarded(CLIENT))[0] == 101
    hogs = [connect(daemon, first=build_request(headers=forwarded(CLIENT))) for _ in range(100)]
    ends = 0
    for client in hogs:
        try:
            assert client.recv_http().status == 503
        except ConnectionEnded:
            ends += 1
    assert 0 < ends < 60
    for source, address in (("127.0.0.2", CLIENT), ("127.0.0.3", CLIENT), (PROXY, "203.0.113.10")):
        code, client = status(daemon, source=source, headers=forwarded(address))
        assert code == 101
        client.round_trip()
    for client in hogs:
        client.close()


def test_limit_counts_one_network_of_ipv6(run):
    daemon = run(Daemon(TRUST, "--max-clients-per-ip=1", peer="echo://"))
    assert status(daemon, headers=forwarded("2001:db8::1"))[0] == 101
    assert status(daemon, headers=forwarded("2001:db8::2"))[0] == 503
    assert status(daemon, headers=forwarded("2001:db8:0:1::1"))[0] == 101


def test_limit_counts_strangers_and_proxied_clients_together(run):
    daemon = run(Daemon(TRUST, "--max-clients-per-ip=1", peer="echo://"))
    assert status(daemon, source="127.0.0.2")[0] == 101
    assert status(daemon, headers=forwarded("127.0.0.2"))[0] == 503
    # An untrusted client is counted for its own address, whatever it sends.
    assert status(daemon, source="127.0.0.2", headers=forwarded("203.0.113.77"))[0] == 503


def test_limit_with_proxy_headers(run):
    daemon = run(Daemon(TRUST, "--proxy-protocol=yes", "--max-clients-per-ip=1", peer="echo://"))
    code, client = status(daemon, first=v2())
    assert code == 101
    assert status(daemon, first=v1())[0] == 503
    assert status(daemon, first=v1("203.0.113.10"))[0] == 101
    client.close_handshake()
    eventually(lambda: status(daemon, first=v1())[0] == 101, "room for one more")


# --- backends -----------------------------------------------------------------------------------


def test_backends_get_the_address(run, tmp_path):
    """And nothing that a client calls so: with any spelling, several times, or beside the real one."""
    peer = run(TcpPeer(echo))
    for name in (CLIENT, "127.0.0.2", "2001:db8::9"):
        (tmp_path / name).write_text(f"{peer.url} *\n")
    daemon = run(Daemon(
        TRUST, "-b", "file", "-c", f"path={tmp_path}", "-c", "expression=%header:Websocksy-Client-Address%"))
    assert status(daemon, headers=forwarded(CLIENT))[0] == 101
    assert status(daemon, headers=forwarded("2001:db8::9"))[0] == 101
    assert status(daemon, source="127.0.0.2")[0] == 101
    assert status(daemon, source="127.0.0.3")[0] == 404
    for name in ("Websocksy-Client-Address", "websocksy-client-address", "WEBSOCKSY-CLIENT-ADDRESS",
                 "Websocksy_Client_Address", "Websocksy-Client_Address"):
        lie = (f"{name}: {CLIENT}", f"{name}: {CLIENT}")
        assert status(daemon, source="127.0.0.3", fields=lie)[0] == 404
        assert status(daemon, fields=(*lie, "X-Forwarded-For: 127.0.0.3"))[0] == 404
        assert status(daemon, source="127.0.0.2", fields=lie)[0] == 101


# --- PROXY headers from clients -----------------------------------------------------------------


@pytest.mark.parametrize("header, expected", (
    (v1(), (CLIENT, 4711)), (v2(), (CLIENT, 4711)),
    (v1("2001:db8::9", "2001:db8::1"), ("2001:db8::9", 4711)),
    (v2("2001:db8::9", "2001:db8::1"), ("2001:db8::9", 4711)),
    (v2("::ffff:203.0.113.9", "::ffff:198.51.100.1"), (CLIENT, 4711)),
    (v2(extensions=b"\x01\0\x08http/1.1\x04\0\x03abc"), (CLIENT, 4711)),
    (v2(extensions=b"\x04\x0f\xa0" + bytes(4000)), (CLIENT, 4711)),
    (v2(extensions=b"\x04\x3f\xe1" + bytes(0x3fe1)), (CLIENT, 4711)),
), ids=("v1", "v2", "v1-ipv6", "v2-ipv6", "v2-mapped", "v2-extensions", "v2-long", "v2-longest"))
def test_proxy_header(proxied, header, expected):
    assert proxied.seen(first=header) == expected
    assert "wrong PROXY" not in proxied.daemon.log()


@pytest.mark.parametrize("header", (
    b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", v2(command=0x20),
    SIGNATURE + b"\x20\0\0\0", SIGNATURE + b"\x21\0\0\0",
), ids=("v1", "v1-addresses", "v2-local-addresses", "v2-local", "v2-unspec"))
def test_proxy_header_that_names_nobody(proxied, header):
    assert proxied.seen(first=header)[0] == PROXY


def test_proxy_header_of_a_unix_client(proxied):
    assert proxied.seen(first=SIGNATURE + b"\x21\x31\0\xd8" + bytes(216)) == "UNKNOWN"


@pytest.mark.parametrize("header", (v1(), v2(extensions=b"\x01\0\x08http/1.1")), ids=("v1", "v2"))
def test_proxy_header_cut_anywhere(proxied_echo, header):
    """With the rest, the request and a first frame right behind it."""
    data = header + build_request() + frame(TEXT, "early")
    for cut in range(len(header) + 2):
        client = connect(proxied_echo, first=data[:cut])
        proxied_echo.settle()
        client.send_raw(data[cut:])
        client.recv_upgrade()
        assert client.recv_message() == (TEXT, b"early")
        client.close_handshake()
    assert "wrong PROXY" not in proxied_echo.log()


@pytest.mark.parametrize("header", (v1(), v2()), ids=("v1", "v2"))
def test_proxy_header_byte_by_byte(proxied_echo, header):
    client = connect(proxied_echo)
    client.send_pieces(bytewise(header + build_request()))
    client.recv_upgrade()
    client.close_handshake()
    proxied_echo.wait_log(rf"{CLIENT}:4711: closed: ")


@pytest.mark.parametrize("data, why", (
    (build_request(), "missing signature"),
    (b"\x16\x03\x01\x02\0\x01", "missing signature"),
    (b"PROXY TCP4 203.0.113.9 198.51.100.1 4711\r\n", "malformed"),
    (b"PROXY TCP4 203.0.113.9 198.51.100.1 4711 8001\n", "malformed"),
    (b"PROXY TCP4 2001:db8::9 2001:db8::1 4711 8001\r\n", "malformed"),
    (b"PROXY UNKNOWN " + b"x" * 200, "too long"),
    (SIGNATURE + b"\x31\x11\0\x0c" + bytes(12), "unknown version"),
    (SIGNATURE + b"\x21\x51\0\x0c" + bytes(12), "unknown address family"),
    (SIGNATURE + b"\x21\x11\0\x0b" + bytes(11), "too short"),
    (SIGNATURE + b"\x21\x11\xff\xff", "too long"),
    (v2(extensions=b"\x01\0\x09http/1.1"), "malformed extensions"),
), ids=("http", "tls", "v1-short", "v1-lf", "v1-family", "v1-long", "v2-version", "v2-family", "v2-short",
        "v2-long", "v2-extension"))
def test_wrong_proxy_header_closes(proxied_echo, data, why):
    """Without a response, since the protocol of the other side is unknown."""
    client = connect(proxied_echo, first=data)
    client.expect_eof(reset_ok=True)
    proxied_echo.wait_log(rf"notice: #1 127\.0\.0\.9:\d+: closed, wrong PROXY header: .*{why}")


def test_wrong_proxy_headers_are_logged_with_a_rate_limit(proxied_echo):
    for _ in range(60):
        connect(proxied_echo, first=b"nonsense").expect_eof(reset_ok=True)
    assert 1 <= proxied_echo.log().count("wrong PROXY header") < 60


@pytest.mark.parametrize("start", (b"", b"PROXY TCP4 203", SIGNATURE + b"\x21\x11\0\x0c\0"),
                         ids=("nothing", "v1", "v2"))
def test_proxy_header_that_is_late(run, start):
    daemon = run(Daemon(TRUST, "--proxy-protocol=yes", "--handshake-timeout=300ms", peer="echo://"))
    client = connect(daemon, first=start)
    client.expect_eof(reset_ok=True)
    daemon.wait_log("wrong PROXY header: it is not complete in time")


def test_time_runs_on_behind_the_proxy_header(run):
    daemon = run(Daemon(TRUST, "--proxy-protocol=yes", "--handshake-timeout=5s", peer="echo://"))
    client = connect(daemon, first=v1())
    assert client.recv_http().status == 408


def test_client_that_leaves_within_the_proxy_header(proxied_echo):
    for header in (v1(), v2()):
        connect(proxied_echo, first=header[:20]).close()
        connect(proxied_echo, first=header).close()
        connect(proxied_echo).close()
    proxied_echo.settle()
    proxied_echo.open().close_handshake()


def test_shutdown_within_the_proxy_header(run):
    daemon = run(Daemon(TRUST, "--proxy-protocol=yes", peer="echo://"))
    client = connect(daemon, first=v1()[:20])
    daemon.settle()
    daemon.signal(signal.SIGTERM)
    client.expect_eof(reset_ok=True)


@pytest.mark.parametrize("header", (v1(), v2()), ids=("v1", "v2"))
def test_stranger_needs_none_and_may_send_none(proxied, header):
    assert proxied.seen(source="127.0.0.2")[0] == "127.0.0.2"
    assert status(proxied.daemon, source="127.0.0.2", first=header)[0] == 400


def test_second_proxy_header_is_refused(proxied_echo):
    assert status(proxied_echo, first=v1() + v1())[0] == 400
    assert status(proxied_echo, first=v2() + v2())[0] == 400


def test_without_the_option_a_proxy_header_is_refused(watched):
    assert status(watched.daemon, first=v1())[0] == 400


def test_client_of_a_proxy_cannot_lie(proxied):
    """The PROXY header names an untrusted client, so its header fields do not count."""
    assert proxied.seen(first=v1(), headers=forwarded("6.6.6.6")) == (CLIENT, 4711)


def test_fields_count_when_the_proxy_header_names_a_proxy(proxied):
    first = v1(PROXY, "127.0.0.1")
    assert proxied.seen(first=first, headers=forwarded("6.6.6.6, 203.0.113.7")) == ("203.0.113.7", 0)


@pytest.mark.parametrize("first", (b"PROXY UNKNOWN\r\n", v2(command=0x20), SIGNATURE + b"\x21\0\0\0"))
def test_fields_do_not_count_when_the_proxy_header_names_no_client(proxied, first):
    """A proxy of this kind passes on header fields as the client has sent them."""
    assert proxied.seen(first=first, headers=forwarded("203.0.113.7"))[0] == PROXY


def test_file_with_both_options(configured):  # noqa: F811
    daemon = configured(("trusted-proxy", PROXY), ("proxy-protocol", "yes"))
    code, client = status(daemon, first=v2())
    assert code == 101
    client.close_handshake()
    daemon.wait_log(rf"#1 {CLIENT}:4711: closed: ")


# --- PROXY headers to peers ---------------------------------------------------------------------


def peer_of(run, tmp_path, kind):
    return run(TcpPeer() if kind == "tcp" else UnixPeer(f"{tmp_path}/peer"))


@pytest.mark.parametrize("kind", ("tcp", "unix"))
def test_peer_is_told_in_front_of_early_frames(run, tmp_path, kind):
    peer = peer_of(run, tmp_path, kind)
    for version in ("v1", "v2"):
        daemon = run(Daemon(peer=f"{peer.url}?proxy={version}"))
        client = daemon.connect()
        port = client.sock.getsockname()[1]
        client.send_raw(build_request() + frame(TEXT, "early"))
        client.recv_upgrade()
        connection = peer.accept()
        if version == "v1":
            words = ["PROXY", "TCP4", "127.0.0.1", "127.0.0.1", str(port), str(daemon.port)]
            assert read_line(connection) == words
        else:
            assert read_v2(connection) == (0x21, 0x11, "127.0.0.1", "127.0.0.1", (port, daemon.port))
        assert connection.recv_exactly(5) == b"early"
        connection.send(b"answer")
        assert client.recv_message() == (TEXT, b"answer")
        client.close_handshake()


def test_peer_that_speaks_first(run):
    peer = run(TcpPeer())
    client = run(Daemon(peer=f"{peer.url}?proxy=v2")).open()
    connection = peer.accept()
    connection.send(b"welcome")
    assert client.recv_message() == (TEXT, b"welcome")
    assert read_v2(connection)[2] == "127.0.0.1"


@needs_ipv6
def test_peer_is_told_ipv6(run):
    peer = run(TcpPeer())
    for version in ("v1", "v2"):
        daemon = run(Daemon("-p", "0", "-l", "::1", peer=f"{peer.url}?proxy={version}", defaults=False))
        assert status(daemon, source="::1")[0] == 101
        told = read_line(peer.accept())[1:4] if version == "v1" else read_v2(peer.accept())[1:4]
        assert told == (["TCP6", "::1", "::1"] if version == "v1" else (0x21, "::1", "::1"))


def test_peer_is_told_of_a_unix_client(run, tmp_path):
    peer = run(TcpPeer())
    for version in ("v1", "v2"):
        path = tmp_path / version
        daemon = run(Daemon("-l", f"unix:{path}", peer=f"{peer.url}?proxy={version}", defaults=False))
        client = daemon.open(address=path)
        connection = peer.accept()
        told = read_line(connection) if version == "v1" else read_v2(connection)
        assert told == (["PROXY", "UNKNOWN"] if version == "v1" else (0x20, 0))
        client.send_text("x")
        assert connection.recv_exactly(1) == b"x"


def test_proxy_header_is_passed_on_as_it_came(run):
    peer = run(TcpPeer())
    daemon = run(Daemon(TRUST, "--proxy-protocol=yes", peer=f"{peer.url}?proxy=v2"))
    assert status(daemon, first=v1())[0] == 101
    assert read_v2(peer.accept()) == (0x21, 0x11, CLIENT, SERVICE, (4711, 8001))
    assert status(daemon, first=v1(), headers={})[0] == 101
    assert read_v2(peer.accept())[2] == CLIENT


def test_peer_without_the_parameter_gets_nothing(run):
    peer = run(TcpPeer())
    client = run(Daemon(TRUST, peer=peer.url)).open()
    client.send_text("x")
    assert peer.accept().recv_exactly(1) == b"x"


def test_unix_peer_whose_path_has_a_question_mark(run, tmp_path):
    peer = run(UnixPeer(f"{tmp_path}/a?proxy=v1"))
    client = run(Daemon(peer=f"unix://{tmp_path}/a%3Fproxy=v1")).open()
    client.send_text("x")
    assert peer.accept().recv_exactly(1) == b"x"


@pytest.mark.parametrize("query, why", (
    ("?proxy=v3", "proxy: invalid value"), ("?", "unknown parameter"), ("?proxy=v1&x=1", "unknown parameter"),
    ("?proxy=v1&proxy=v1", "given twice"),
))
def test_wrong_parameter_is_a_502(run, query, why):
    peer = run(TcpPeer())
    daemon = run(Daemon(peer=peer.url + query))
    assert daemon.http().status == 502
    daemon.wait_log(f"error: #1 .*peer address .*{why}")
    assert not peer.connections


def test_file_backend_names_the_parameter(run, tmp_path):
    peer = run(TcpPeer())
    (tmp_path / "x").write_text(f"{peer.url}?proxy=v1 *\n")
    daemon = run(Daemon("-b", "file", "-c", f"path={tmp_path}", "-c", "expression=x"))
    assert status(daemon, source="127.0.0.2")[0] == 101
    assert read_line(peer.accept())[2] == "127.0.0.2"


# --- haproxy and nginx --------------------------------------------------------------------------


def through(port, source):
    return RawClient(("127.0.0.1", port), source=source)


@pytest.mark.parametrize("send", ("send-proxy", "send-proxy-v2"))
def test_behind_haproxy(run, tmp_path, send):
    peer = run(TcpPeer())
    daemon = run(Daemon(
        "--trusted-proxy=127.0.0.1", "--proxy-protocol=yes", peer=f"{peer.url}?proxy=v1"))
    haproxy = run(Haproxy(tmp_path, f"127.0.0.1:{daemon.port}", server_more=send))
    client = run(through(haproxy.port, "127.0.0.5"))
    port = client.sock.getsockname()[1]
    client.upgrade(headers=forwarded("6.6.6.6"))
    connection = peer.accept()
    # The address that the client connected to is haproxy's.
    words = ["PROXY", "TCP4", "127.0.0.5", "127.0.0.1", str(port), str(haproxy.port)]
    assert read_line(connection) == words
    client.send_text("through haproxy")
    assert connection.recv_exactly(15) == b"through haproxy"
    connection.send(b"and back")
    assert client.recv_message() == (TEXT, b"and back")
    connection.close()
    client.close_handshake()
    daemon.wait_log(rf"127\.0\.0\.5:{port}: closed: ")


@pytest.mark.parametrize("version", ("v1", "v2"))
def test_in_front_of_haproxy(run, tmp_path, version):
    """haproxy reads our header and tells the peer in its own words what it has read."""
    peer = run(TcpPeer())
    haproxy = run(Haproxy(tmp_path, f"127.0.0.1:{peer.url.rsplit(':', 1)[1]}", "accept-proxy", "send-proxy"))
    daemon = run(Daemon(TRUST, peer=f"tcp://127.0.0.1:{haproxy.port}?proxy={version}"))
    for source, headers, expected in (
            ("127.0.0.2", {}, "127.0.0.2"), (PROXY, forwarded(CLIENT), CLIENT)):
        code, client = status(daemon, source=source, headers=headers)
        assert code == 101
        connection = peer.accept()
        assert read_line(connection)[:4] == ["PROXY", "TCP4", expected, "127.0.0.1"]
        client.send_text("through haproxy")
        assert connection.recv_exactly(15) == b"through haproxy"
        connection.send(b"and back")
        assert client.recv_message() == (TEXT, b"and back")
        client.close_handshake()


@pytest.mark.parametrize("version", ("v1", "v2"))
def test_in_front_of_nginx(run, tmp_path, version):
    nginx = run(TellingNginx(tmp_path))
    daemon = run(Daemon(TRUST, "--proxy-protocol=yes", peer=f"tcp://127.0.0.1:{nginx.port}?proxy={version}"))
    for first, told in ((v1(), f"<{CLIENT} 4711>"), (v2("2001:db8::9", "2001:db8::1"), "<2001:db8::9 4711>")):
        code, client = status(daemon, first=first)
        assert code == 101
        client.send_binary(b"GET / HTTP/1.0\r\n\r\n")
        answer = bytearray()
        while told.encode() not in answer:
            answer += client.recv_message()[1]
        assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("way", ("tcp", "unix"))
def test_behind_nginx(run, tmp_path, way):
    """The example site tells who is calling, and what a client claims itself does not get through."""
    peer = run(TcpPeer())
    path = f"{tmp_path}/websocksy.sock"
    listen = f"unix:{path}" if way == "unix" else "127.0.0.1"
    trusted = "unix" if way == "unix" else "127.0.0.1"
    daemon = run(Daemon(
        "-p", "0", "-l", listen, f"--trusted-proxy={trusted}", peer=f"{peer.url}?proxy=v1", defaults=False))
    nginx = run(TcpNginx(tmp_path, f"unix:{path}" if way == "unix" else f"127.0.0.1:{daemon.port}"))
    for name, value in (
            ("X-Lie", "none"), ("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-For", "127.0.0.1"),
            ("X-Forwarded-For", '"'), ("X-Real-IP", "6.6.6.6"), ("Forwarded", "for=6.6.6.6"),
            ("Forwarded", '"'), ("Websocksy-Client-Address", "6.6.6.6")):
        with through(nginx.port, "127.0.0.5") as client:
            client.upgrade("/ws/", headers={name: value})
            connection = peer.accept()
            assert read_line(connection)[2] == "127.0.0.5", (name, value)
            connection.close()
    daemon.wait_log(r"#\d+ 127\.0\.0\.5: ")


def test_tls_begins_behind_the_proxy_header(run, tmp_path):
    """As haproxy sends it with `send-proxy` in front of a port that speaks TLS."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-days", "2", "-subj", "/CN=localhost", "-keyout", key, "-out", cert],
                   check=True, capture_output=True)
    daemon = run(Daemon("--trusted-proxy=127.0.0.1", "--proxy-protocol=yes", f"--cert={cert}", f"--key={key}",
                        "--tls=required", peer="echo://"))
    with socket.create_connection(daemon.address, timeout=TIMEOUT) as plain:
        plain.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.1 5000 443\r\n")
        context = ssl.create_default_context(cafile=cert)
        context.check_hostname = False
        with context.wrap_socket(plain) as wire:
            wire.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert wire.recv(1 << 16).startswith(b"HTTP/1.1 426 ")
    daemon.wait_log(r"192\.0\.2\.7.* answered 426")
