# SPDX-License-Identifier: BSD-2-Clause
"""Requests: rules of the RFCs that few clients meet, and clients that end their side behind the request."""
import base64
import ctypes

import pytest

from tools.client import exchange
from tools.daemon import Daemon
from tools.http import build_request
from tools.peers import TcpPeer

LIBCRYPT = ctypes.CDLL("libcrypt.so.1")
LIBCRYPT.crypt.restype = ctypes.c_char_p
PAGE = b"a page"


@pytest.fixture(scope="module")
def daemon():
    with Daemon("-c", "protocol=*", peer="echo://") as daemon:
        yield daemon


def answer_to(daemon, request):
    client = daemon.connect()
    client.send_raw(request)
    return client.recv_http()


# --- rules --------------------------------------------------------------------------------------


@pytest.mark.parametrize("value, status", (
    ("permessage-deflate; client_max_window_bits", 101), ('foo; a="b", bar', 101), ("", 400), (",", 400), ("foo;", 400),
    ("foo bar", 400), ("foo; a=", 400), ('foo; a="b c"', 400), ('foo; a=""', 400), ("foo; a=b=c", 400), ("@", 400)))
def test_extensions_have_to_be_well_formed(daemon, value, status):
    """A malformed Sec-WebSocket-Extensions field fails the handshake (RFC 6455, 9.1)."""
    assert answer_to(daemon, build_request(extra=[("Sec-WebSocket-Extensions", value)])).status == status


@pytest.mark.parametrize("value", ("", ",", " , "))
def test_no_subprotocol_in_the_field_is_no_offer(daemon, value):
    """A Sec-WebSocket-Protocol field without a name counts as absent: a documented exception."""
    answer = answer_to(daemon, build_request(protocols=value))
    assert answer.status == 101 and answer.header("Sec-WebSocket-Protocol") is None


@pytest.mark.parametrize("count, status", ((64, 101), (65, 400), (3000, 400)))
def test_number_of_subprotocols_is_limited(daemon, count, status):
    """Backends compare each offered subprotocol, so one request may not offer thousands."""
    assert answer_to(daemon, build_request(protocols=",".join(f"p{i}" for i in range(count)))).status == status


@pytest.mark.parametrize("plain", (False, True))
def test_asterisk_is_for_options_only(daemon, plain):
    """The asterisk form is malformed for other methods than OPTIONS (RFC 9112, 3.2.4)."""
    assert answer_to(daemon, build_request("*", plain=plain)).status == 400
    assert answer_to(daemon, build_request("*", method="OPTIONS", plain=True)).status == 405


@pytest.mark.parametrize("host", ("exa%zzmple", "a%2", "%"))
def test_host_with_a_malformed_escape(daemon, host):
    """An invalid Host value is answered with 400 (RFC 9112, 3.2)."""
    assert answer_to(daemon, build_request(headers={"Host": host})).status == 400


def test_long_target_is_414(daemon):
    """A request line that does not end in time is a target that is too long, not a head (RFC 9112, 3)."""
    client = daemon.connect()
    sender = client.send_in_background(b"GET /" + b"x" * 100000)
    assert client.recv_http().status == 414
    client.close()
    sender.join()
    assert answer_to(daemon, b"GET / HTTP/1.1\r\nX: " + b"x" * 33000).status == 431


@pytest.mark.parametrize("head, status", (
    (b"* HTTP/1.1\r\nHost: x\r\n\r\n", 400), (b"/ HTTP/2.0\r\n\r\n", 505),
    (b"/ HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 33000 + b"\r\n\r\n", 431)), ids=("400", "505", "431"))
def test_refused_head_has_no_content(daemon, head, status):
    """The response to HEAD has none, also if the request cannot be read (RFC 9110, 9.3.2)."""
    client = daemon.connect()
    client.send_raw(b"HEAD " + head)
    assert client.recv_http(head_only=True).status == status
    client.expect_eof()


def test_absolute_form_with_query_and_without_path(run, tmp_path):
    """The path of an absolute target may be empty before a query; the backend sees a slash (RFC 9110, 4.2.3)."""
    (tmp_path / "right").write_text("echo:// *\n")
    routes = run(Daemon("-b", "file", "-c", f"path={tmp_path}", "-c", "expression=%query:name%"))
    client = routes.open("http://localhost?name=right")
    client.send_text("hello")
    assert client.recv_message()[1] == b"hello"


# --- the end of the client's side is not a hang-up ----------------------------------------------


@pytest.fixture
def locked(run, tmp_path):
    """A daemon whose password check takes long enough for the client's end to be read meanwhile."""
    stored = LIBCRYPT.crypt(b"secret", b"$2y$12$abcdefghijklmnopqrstuu").decode()
    (tmp_path / "users").write_text(f"alice:{stored}\n")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_bytes(PAGE)
    return run(Daemon(f"--auth-file={tmp_path}/users", f"--web={tmp_path}/site", peer="echo://"))


def credentials(password):
    return {"Authorization": "Basic " + base64.b64encode(f"alice:{password}".encode()).decode()}


@pytest.mark.parametrize("password, status", (("secret", 200), ("wrong", 401)))
def test_half_close_while_a_password_is_verified(locked, password, status):
    """A client that ends its side behind the request still gets the response (RFC 9112, 9.6)."""
    client = locked.connect(tls=None) if not locked.tls else pytest.skip("TLS sockets do not half-close")
    client.send_raw(build_request(plain=True, headers=credentials(password)))
    client.finish()
    answer = client.recv_http()
    assert answer.status == status
    client.expect_eof()


def test_half_close_while_the_peer_is_connected(run):
    """The same while the connection to the peer is being made, here up to the failure of its TLS handshake."""
    peer = run(TcpPeer())
    daemon = run(Daemon(peer=peer.url.replace("tcp", "tls")))
    if daemon.tls:
        pytest.skip("TLS sockets do not half-close")
    client = daemon.connect()
    client.send_raw(build_request())
    connection = peer.accept()
    client.finish()
    daemon.settle()
    connection.abort()
    answer = client.recv_http()
    assert (answer.status, answer.body) == (502, b"the peer cannot be reached\n")
    client.expect_eof()


def test_half_close_before_the_upgrade(run):
    """A client that has ended its side before the 101 is told that the connection ends."""
    daemon = run(Daemon(peer="echo://"))
    if daemon.tls:
        pytest.skip("TLS sockets do not half-close")
    client = daemon.connect()
    client.send_raw(build_request())
    client.finish()
    client.recv_upgrade()
    daemon.wait_log(": closed: ")


# --- the per-IP limit and health checks ---------------------------------------------------------


def test_pages_beyond_the_limit_of_an_address(run, tmp_path):
    """The files of a page are not refused because a browser loads them over more connections than allowed."""
    (tmp_path / "index.html").write_bytes(PAGE)
    daemon = run(Daemon("--max-clients-per-ip=2", f"--web={tmp_path}", peer="echo://"))
    kept = [daemon.open(), daemon.open()]
    for _ in range(3):
        client = daemon.connect()
        answer = exchange(client, "/")
        assert (answer.status, answer.body) == (200, PAGE)
        assert answer.header("Connection") == "close"
        client.expect_eof()
    assert daemon.http().status == 503
    kept[0].close_handshake()
    daemon.open()


def test_options_for_the_health_path(run):
    """A health check with OPTIONS, as haproxy sends it by default, is answered as one with GET."""
    daemon = run(Daemon("--health=/healthz", peer="echo://"))
    answer = daemon.http("/healthz", method="OPTIONS", plain=True)
    assert answer.status == 200 and answer.header("Allow") == "GET, HEAD, OPTIONS"
    old = daemon.connect()
    old.send_raw(b"OPTIONS /healthz HTTP/1.0\r\n\r\n")
    assert old.recv_http().status == 200
    assert daemon.http("/", method="OPTIONS", plain=True).status == 405
