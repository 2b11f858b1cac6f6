# SPDX-License-Identifier: BSD-2-Clause
"""The opening handshake (RFC 6455, section 4; RFC 9110 and 9112) and the HTTP responses to other requests."""
import base64
import select
import signal
import time

import pytest

from tools.daemon import Daemon
from tools.dns import SILENCE, NameServer
from tools.frames import (
    BIN, CONTINUATION, PING, PONG, TEXT, Frame, bytewise, close_payload, cut_once, frame,
)
from tools.http import KEY, accept_for, build_request
from tools.peers import TcpPeer
from tools.ports import ClosedPort, StuckPort
from tools.waiting import LONG, LONG_MS, eventually


def check_error(answer, status):
    """What every error answer has: its length, the end of the connection, one line of plain text."""
    assert answer.version == "HTTP/1.1"
    assert answer.status == status, answer
    assert answer.reason
    assert answer.header("Content-Length") == str(len(answer.body))
    assert "close" in answer.tokens("Connection")
    assert answer.header("Content-Type").split(";")[0] == "text/plain"
    assert answer.header("Upgrade") is None or status == 426
    assert answer.header("Sec-WebSocket-Accept") is None
    line = answer.body.decode("utf-8")
    assert line.endswith("\n") and line.count("\n") == 1 and len(line) > 4, line
    assert line.strip().isprintable()


def expect_error(daemon, raw, status):
    """Sends raw bytes and expects an error answer and an orderly end of the stream behind it."""
    client = daemon.connect()
    client.send_raw(raw)
    answer = client.recv_http()
    client.expect_eof()
    client.close()
    check_error(answer, status)
    return answer


def accepted(daemon, raw, key=KEY):
    """Sends raw bytes and expects an upgraded connection that works."""
    client = daemon.connect()
    client.send_raw(raw)
    response = client.recv_upgrade(headers={"Sec-WebSocket-Key": key})
    client.send_text("works")
    assert client.recv_message() == (TEXT, b"works")
    client.close_handshake()
    return response


def ids(pairs):
    return [name for name, *_ in pairs]


# --- requests that are fine ---------------------------------------------------------------------

GOOD = (
    ("plain", {}),
    ("lower-case-names", {"raw_request":
        b"GET / HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        b"sec-websocket-key: " + KEY.encode() + b"\r\nsec-websocket-version: 13\r\n\r\n"}),
    ("upper-case-names", {"raw_request":
        b"GET / HTTP/1.1\r\nHOST: x\r\nUPGRADE: websocket\r\nCONNECTION: upgrade\r\n"
        b"SEC-WEBSOCKET-KEY: " + KEY.encode() + b"\r\nSEC-WEBSOCKET-VERSION: 13\r\n\r\n"}),
    ("no-space-after-colon", {"raw_request":
        b"GET / HTTP/1.1\r\nHost:x\r\nUpgrade:websocket\r\nConnection:Upgrade\r\n"
        b"Sec-WebSocket-Key:" + KEY.encode() + b"\r\nSec-WebSocket-Version:13\r\n\r\n"}),
    ("white-space-around-values", {"raw_request":
        b"GET / HTTP/1.1\r\nHost: \t x \t\r\nUpgrade:  websocket \r\nConnection:\tUpgrade\t\r\n"
        b"Sec-WebSocket-Key: " + KEY.encode() + b"  \r\nSec-WebSocket-Version: 13 \r\n\r\n"}),
    ("reversed-order", {"raw_request":
        b"GET / HTTP/1.1\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + KEY.encode()
        + b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nHost: x\r\n\r\n"}),
    ("upgrade-any-case", {"headers": {"Upgrade": "WebSocket"}}),
    ("upgrade-upper-case", {"headers": {"Upgrade": "WEBSOCKET"}}),
    ("upgrade-list-first", {"headers": {"Upgrade": "websocket, h2c"}}),
    ("upgrade-list-last", {"headers": {"Upgrade": "h2c,websocket"}}),
    ("upgrade-list-empty-elements", {"headers": {"Upgrade": ",, websocket ,"}}),
    ("upgrade-two-fields", {"headers": {"Upgrade": "h2c"}, "extra": [("Upgrade", "websocket")]}),
    ("connection-lower-case", {"headers": {"Connection": "upgrade"}}),
    ("connection-firefox", {"headers": {"Connection": "keep-alive, Upgrade"}}),
    ("connection-list-no-space", {"headers": {"Connection": "Upgrade,keep-alive"}}),
    ("connection-list-spaces", {"headers": {"Connection": "keep-alive ,\tUPGRADE ,"}}),
    ("connection-two-fields", {
        "headers": {"Connection": "keep-alive"}, "extra": [("Connection", "Upgrade")]}),
    ("http-1.2", {"version": "HTTP/1.2"}),
    ("path", {"path": "/a/b/c"}),
    ("query", {"path": "/?token=a%20b&c=d"}),
    ("percent", {"path": "/%41%ff%00"}),
    ("absolute-form", {"path": "http://localhost/path"}),
    ("absolute-form-bare", {"path": "http://localhost"}),
    ("absolute-form-ws", {"path": "ws://localhost:80/?x"}),
    ("long-path", {"path": "/" + "x" * 8000}),
    ("host-port", {"headers": {"Host": "localhost:8001"}}),
    ("host-ipv6", {"headers": {"Host": "[::1]:8001"}}),
    ("other-headers", {"extra": [("User-Agent", "test"), ("Accept-Language", "de;q=0.5"), ("X-Empty", "")]}),
    ("value-with-colon", {"extra": [("Referer", "http://localhost:80/:")]}),
    ("value-with-tab", {"extra": [("X-Tab", "a\tb")]}),
    ("value-obs-text", {"extra": [("X-Latin", "\xe9\xff")]}),
    ("name-with-all-token-characters", {"extra": [("x!#$%&'*+-.^_`|~9", "v")]}),
    ("content-length-zero", {"extra": [("Content-Length", "0")]}),
    ("extension-offered", {"extra": [
        ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")]}),
    ("origin", {"extra": [("Origin", "http://example.com")]}),
    ("big-cookie", {"extra": [("Cookie", "c=" + "x" * 8000)]}),
    ("hundred-headers", {"extra": [(f"X-{number}", "v") for number in range(100)]}),
)


def request_of(spec):
    return spec["raw_request"] if "raw_request" in spec else build_request(**spec)


@pytest.mark.parametrize("name, spec", GOOD, ids=ids(GOOD))
def test_accepted(echo_daemon, name, spec):
    accepted(echo_daemon, request_of(spec))


@pytest.mark.parametrize("count", (1, 2, 3, 4))
def test_empty_lines_in_front_are_skipped(echo_daemon, count):
    """RFC 9112, 2.2."""
    accepted(echo_daemon, b"\r\n" * count + build_request())


@pytest.mark.parametrize("nonce", (b"\0" * 16, b"\xff" * 16, b"\xfb\xef\xbe" * 5 + b"\xfb", bytes(range(16))))
def test_accept_is_computed_from_any_key(echo_daemon, nonce):
    key = base64.b64encode(nonce).decode()
    response = accepted(echo_daemon, build_request(headers={"Sec-WebSocket-Key": key}), key)
    assert response.header("Sec-WebSocket-Accept") == accept_for(key)


def test_example_of_the_standard(echo_daemon):
    """RFC 6455, 1.3: the key and the answer to it stand there."""
    response = accepted(echo_daemon, build_request(headers={"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}))
    assert response.header("Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_answer_to_an_upgrade_has_no_body_and_no_length(echo_daemon):
    client = echo_daemon.connect()
    client.send_raw(build_request())
    response = client.recv_upgrade()
    assert response.header("Content-Length") is None
    assert response.header("Transfer-Encoding") is None
    assert response.header("Sec-WebSocket-Protocol") is None
    client.round_trip()


# --- what is malformed: 400 ---------------------------------------------------------------------

HEAD = b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" \
    b"Sec-WebSocket-Key: " + KEY.encode() + b"\r\nSec-WebSocket-Version: 13\r\n"

MALFORMED = (
    ("no-version", b"GET /\r\n\r\n"),
    ("no-target", b"GET HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("method-only", b"GET\r\n\r\n"),
    ("four-words", b"GET / HTTP/1.1 x\r\nHost: x\r\n\r\n"),
    ("two-spaces", b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("two-spaces-later", b"GET /  HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("tabs", b"GET\t/\tHTTP/1.1\r\nHost: x\r\n\r\n"),
    ("leading-space", b" GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("trailing-space", b"GET / HTTP/1.1 \r\nHost: x\r\n\r\n"),
    ("lower-case-version", b"GET / http/1.1\r\nHost: x\r\n\r\n"),
    ("no-minor", b"GET / HTTP/1\r\nHost: x\r\n\r\n"),
    ("two-digits", b"GET / HTTP/1.10\r\nHost: x\r\n\r\n"),
    ("letters-in-version", b"GET / HTTP/1.x\r\nHost: x\r\n\r\n"),
    ("other-protocol", b"GET / RTSP/1.0\r\nHost: x\r\n\r\n"),
    ("relative-target", b"GET path HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("fragment", b"GET /#x HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("bad-method", b"G{T / HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("nul-in-target", b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("control-in-target", b"GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("delete-in-target", b"GET /\x7f HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("carriage-return-in-target", b"GET /\r HTTP/1.1\r\nHost: x\r\n\r\n"),
    ("binary", b"\x00\x01\x02\x03\r\n\r\n"),
    ("tls", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"r" * 200),
    ("five-empty-lines", b"\r\n" * 5 + HEAD + b"\r\n"),
    ("line-feeds", build_request(eol="\n")),
    ("line-feed-in-the-head", HEAD + b"X: y\n\r\n"),
    ("line-feed-at-the-end", HEAD + b"\n"),
    ("carriage-return-in-a-value", HEAD + b"X: a\rb\r\n\r\n"),
    ("two-carriage-returns", HEAD + b"X: a\r\r\n\r\n"),
    ("nul-in-a-value", HEAD + b"X: a\0b\r\n\r\n"),
    ("control-in-a-value", HEAD + b"X: a\x01b\r\n\r\n"),
    ("escape-in-a-value", HEAD + b"X: a\x1b[31mb\r\n\r\n"),
    ("delete-in-a-value", HEAD + b"X: a\x7fb\r\n\r\n"),
    ("no-colon", HEAD + b"Nonsense\r\n\r\n"),
    ("empty-name", HEAD + b": value\r\n\r\n"),
    ("space-before-colon", HEAD + b"X : value\r\n\r\n"),
    ("tab-before-colon", HEAD + b"X\t: value\r\n\r\n"),
    ("space-in-name", HEAD + b"X Y: value\r\n\r\n"),
    ("bad-character-in-name", HEAD + b"X(Y): value\r\n\r\n"),
    ("non-ascii-name", HEAD + b"X\xe9: value\r\n\r\n"),
    ("folded-by-space", HEAD + b"X: a\r\n b\r\n\r\n"),
    ("folded-by-tab", HEAD + b"X: a\r\n\tb\r\n\r\n"),
    ("first-line-folded", b"GET / HTTP/1.1\r\n Host: x\r\n\r\n"),
    ("body-announced", build_request(extra=[("Content-Length", "5")]) + b"hello"),
    ("body-length-nonsense", build_request(extra=[("Content-Length", "x")])),
    ("body-length-negative", build_request(extra=[("Content-Length", "-1")])),
    ("chunked", build_request(extra=[("Transfer-Encoding", "chunked")]) + b"0\r\n\r\n"),
)


@pytest.mark.parametrize("name, raw", MALFORMED, ids=ids(MALFORMED))
def test_malformed_is_400(echo_daemon, name, raw):
    expect_error(echo_daemon, raw, 400)


HOSTS = (
    ("missing", {"remove": ["Host"]}),
    ("twice", {"extra": [("Host", "other")]}),
    ("twice-the-same", {"extra": [("host", "localhost")]}),
    ("empty", {"headers": {"Host": ""}}),
    ("space", {"headers": {"Host": "a b"}}),
    ("path", {"headers": {"Host": "a/b"}}),
    ("user", {"headers": {"Host": "user@a"}}),
    ("missing-in-absolute-form", {"path": "http://localhost/", "remove": ["Host"]}),
)


@pytest.mark.parametrize("name, spec", HOSTS, ids=ids(HOSTS))
def test_bad_host_is_400(echo_daemon, name, spec):
    expect_error(echo_daemon, build_request(**spec), 400)


KEYS = (
    ("empty", ""),
    ("short", base64.b64encode(b"x" * 15).decode()),
    ("long", base64.b64encode(b"x" * 17).decode()),
    ("very-long", base64.b64encode(b"x" * 3000).decode()),
    ("eighteen-bytes-24-characters", base64.b64encode(b"x" * 18).decode()),
    ("no-padding", KEY[:-2]),
    ("one-padding", KEY[:-1]),
    ("three-padding", KEY + "="),
    ("padding-in-front", "==" + KEY[:-2]),
    ("padding-inside", KEY[:10] + "==" + KEY[10:-2]),
    ("url-alphabet", "-_" + KEY[2:]),
    ("bad-character", "!" + KEY[1:]),
    ("space-inside", KEY[:10] + " " + KEY[11:]),
    ("non-ascii", "\xe9" + KEY[1:]),
    ("a-list", KEY + ", " + KEY),
    ("text", "sixteen bytes ok"),
)


@pytest.mark.parametrize("name, key", KEYS, ids=ids(KEYS))
def test_bad_key_is_400(echo_daemon, name, key):
    answer = expect_error(echo_daemon, build_request(headers={"Sec-WebSocket-Key": key}), 400)
    assert b"Key" in answer.body


def test_missing_key_is_400(echo_daemon):
    answer = expect_error(echo_daemon, build_request(remove=["Sec-WebSocket-Key"]), 400)
    assert b"Key" in answer.body


@pytest.mark.parametrize("second", (KEY, "AAAAAAAAAAAAAAAAAAAAAA=="), ids=("same", "other"))
def test_two_keys_are_400(echo_daemon, second):
    expect_error(echo_daemon, build_request(extra=[("sec-websocket-key", second)]), 400)


def test_many_keys_are_400(echo_daemon):
    expect_error(echo_daemon, build_request(extra=[("Sec-WebSocket-Key", KEY)] * 100), 400)


@pytest.mark.parametrize("second", ("13", "8"))
def test_two_versions_are_400(echo_daemon, second):
    expect_error(echo_daemon, build_request(extra=[("Sec-WebSocket-Version", second)]), 400)


CONNECTIONS = (
    ("missing", {"remove": ["Connection"]}),
    ("noupgrade", {"headers": {"Connection": "noupgrade"}}),
    ("upgrade-insecure", {"headers": {"Connection": "upgrade-insecure"}}),
    ("upgrades", {"headers": {"Connection": "keep-alive, Upgrades"}}),
    ("two-words", {"headers": {"Connection": "please Upgrade"}}),
    ("semicolon", {"headers": {"Connection": "keep-alive; Upgrade"}}),
    ("keep-alive", {"headers": {"Connection": "keep-alive"}}),
    ("close", {"headers": {"Connection": "close"}}),
    ("empty", {"headers": {"Connection": ""}}),
)


@pytest.mark.parametrize("name, spec", CONNECTIONS, ids=ids(CONNECTIONS))
def test_connection_without_the_token_is_400(echo_daemon, name, spec):
    answer = expect_error(echo_daemon, build_request(**spec), 400)
    assert b"Connection" in answer.body


UPGRADES = (
    ("missing", {"remove": ["Upgrade"]}),
    ("other", {"headers": {"Upgrade": "h2c"}}),
    ("empty", {"headers": {"Upgrade": ""}}),
    ("substring", {"headers": {"Upgrade": "websockets"}}),
    ("prefix", {"headers": {"Upgrade": "nowebsocket"}}),
    ("two-words", {"headers": {"Upgrade": "web socket"}}),
)


@pytest.mark.parametrize("name, spec", UPGRADES, ids=ids(UPGRADES))
def test_upgrade_without_the_token_is_no_upgrade(echo_daemon, name, spec):
    """A plain request then, for which there is no page here: 426 says that this is a WebSocket server."""
    answer = expect_error(echo_daemon, build_request(**spec), 426)
    assert answer.header("Upgrade") == "websocket"
    assert answer.header("Sec-WebSocket-Version") == "13"


@pytest.mark.parametrize("version", ("HTTP/1.0",))
def test_upgrade_from_http_1_0_is_400(echo_daemon, version):
    expect_error(echo_daemon, build_request(version=version), 400)


@pytest.mark.parametrize("version", ("HTTP/2.0", "HTTP/0.9", "HTTP/3.0"))
def test_other_http_is_505(echo_daemon, version):
    expect_error(echo_daemon, build_request(version=version), 505)


def test_http_2_without_a_word_is_505(echo_daemon):
    """RFC 9113, 3.3: clients with prior knowledge begin like this."""
    expect_error(echo_daemon, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505)


@pytest.mark.parametrize("method", ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "get", "Get", "X"))
def test_upgrade_by_another_method_is_405(echo_daemon, method):
    answer = expect_error(echo_daemon, build_request(method=method), 405)
    assert "get" in answer.tokens("Allow")


@pytest.mark.parametrize("version", ("", "0", "7", "8", "12", "14", "25", "113", "130", "13a", "+13", "013",
                                     "13, 8", "8, 13", "13.0", "-13", "256", "4294967309", "xiii"))
def test_other_version_is_426(echo_daemon, version):
    answer = expect_error(echo_daemon, build_request(headers={"Sec-WebSocket-Version": version}), 426)
    assert answer.header("Sec-WebSocket-Version") == "13"


def test_missing_version_is_426(echo_daemon):
    answer = expect_error(echo_daemon, build_request(remove=["Sec-WebSocket-Version"]), 426)
    assert answer.header("Sec-WebSocket-Version") == "13"


# --- too much: 431 ------------------------------------------------------------------------------


def test_too_many_headers_are_431(echo_daemon):
    expect_error(echo_daemon, build_request(extra=[(f"X-{number}", "v") for number in range(200)]), 431)


@pytest.mark.parametrize("size", (40000, 200000, 2000000))
def test_too_large_a_head_is_431(echo_daemon, size):
    """The answer has to arrive though most of the head is still under way."""
    client = echo_daemon.connect()
    sender = client.send_in_background(build_request(extra=[("X-Large", "x" * size)]))
    check_error(client.recv_http(), 431)
    client.close()
    sender.join()


def test_head_without_end_is_431(echo_daemon):
    client = echo_daemon.connect()
    sender = client.send_in_background(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 100000)
    check_error(client.recv_http(), 431)
    client.expect_eof()
    client.close()
    sender.join()


def test_request_line_without_end_is_refused(echo_daemon):
    client = echo_daemon.connect()
    sender = client.send_in_background(b"GET /" + b"x" * 100000)
    assert client.recv_http().status == 414
    client.close()
    sender.join()


def test_cookie_as_the_fiftieth_header_is_there(run, tmp_path):
    """Trap: headers beyond some number vanish, the authorisation with them."""
    peer = run(TcpPeer())
    (tmp_path / "routes").mkdir()
    (tmp_path / "routes" / "secret").write_text(f"{peer.url} *\n")
    daemon = run(Daemon("-b", "file", "-c", f"path={tmp_path}/routes", "-c", "expression=%cookie:session%"))
    others = [(f"X-Header-{number}", "v") for number in range(49)]
    client = daemon.open(extra=[*others, ("Cookie", "a=b; session=secret; c=d")])
    client.send_text("through")
    assert peer.accept().recv_exactly(7) == b"through"
    expect_error(daemon, build_request(extra=[*others, ("Cookie", "a=b")]), 404)


# --- no upgrade ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ("/", "/path", "/?query"))
def test_plain_request_without_pages_is_426(echo_daemon, path):
    answer = expect_error(echo_daemon, build_request(path, plain=True), 426)
    assert answer.header("Upgrade") == "websocket"
    assert answer.header("Sec-WebSocket-Version") == "13"


def test_plain_request_by_http_1_0(echo_daemon):
    expect_error(echo_daemon, b"GET / HTTP/1.0\r\n\r\n", 426)


def test_head_has_the_length_and_no_body(echo_daemon):
    get = echo_daemon.http(plain=True)
    client = echo_daemon.connect()
    client.send_raw(build_request(plain=True, method="HEAD"))
    head = client.recv_http(head_only=True)
    client.expect_eof()
    assert head.status == get.status
    assert head.header("Content-Length") == get.header("Content-Length")


@pytest.mark.parametrize("method", ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "BREW"))
def test_other_methods_are_405(echo_daemon, method):
    answer = expect_error(echo_daemon, build_request(plain=True, method=method), 405)
    assert answer.header("Allow") == "GET, HEAD"


def test_post_with_a_body_is_405(echo_daemon):
    """The body is not read, and the answer gets through all the same."""
    raw = build_request(plain=True, method="POST", headers={"Content-Length": "100000"}) + b"x" * 100000
    client = echo_daemon.connect()
    sender = client.send_in_background(raw)
    check_error(client.recv_http(), 405)
    client.expect_eof()
    sender.join()


def test_client_that_half_closes_behind_its_request_is_answered(echo_daemon):
    client = echo_daemon.connect()
    client.send_raw(build_request(plain=True))
    client.finish()
    check_error(client.recv_http(), 426)
    client.expect_eof()


def test_connect_and_go_is_no_error(run):
    """What load balancers do to see whether we live: not worth a warning."""
    daemon = run(Daemon(peer="echo://"))
    before = daemon.log()
    for _ in range(5):
        daemon.connect().close()
    daemon.settle()
    log = daemon.log()[len(before):].lower()
    assert "warning" not in log and "error" not in log


@pytest.mark.parametrize("raw", (
    b"nonsense\r\n\r\n", build_request(remove=["Host"]), build_request(headers={"Sec-WebSocket-Version": "8"}),
    build_request(plain=True)), ids=("malformed", "host", "version", "plain"))
def test_answer_is_not_destroyed_by_what_follows(echo_daemon, raw):
    """Unread bytes make the kernel send a reset on close, and a reset destroys what is under way."""
    for _ in range(5):
        client = echo_daemon.connect(rcvbuf=2048)
        sender = client.send_in_background(raw + b"y" * 150000)
        answer = client.recv_http()
        assert answer.status in (400, 426)
        client.expect_eof()
        client.close()
        sender.join()


# --- subprotocols -------------------------------------------------------------------------------


@pytest.mark.parametrize("offer, chosen", (
    ("chat", "chat"), ("a, b", "a"), ("b,a", "b"), (",, x ,", "x"), (" spaced ", "spaced"),
    ("v1.json.example", "v1.json.example"), ("!#$%&'*+-.^_`|~", "!#$%&'*+-.^_`|~"), ("Chat, chat", "Chat"),
    ("x" * 3000, "x" * 3000)),
    ids=("one", "first", "other-order", "empty-elements", "spaces", "dots", "all-characters", "case", "long"))
def test_first_offer_is_chosen_by_star(echo_daemon, offer, chosen):
    response = accepted(echo_daemon, build_request(protocols=offer))
    assert response.header("Sec-WebSocket-Protocol") == chosen


def test_offers_in_two_fields(echo_daemon):
    response = accepted(echo_daemon, build_request(
        extra=[("Sec-WebSocket-Protocol", "one"), ("sec-websocket-protocol", "two, three")]))
    assert response.header("Sec-WebSocket-Protocol") == "one"


def test_no_offer_no_answer(echo_daemon):
    assert accepted(echo_daemon, build_request()).header("Sec-WebSocket-Protocol") is None


def test_many_offers(echo_daemon):
    offer = ",".join(f"p{number}" for number in range(64))
    assert accepted(echo_daemon, build_request(protocols=offer)).header("Sec-WebSocket-Protocol") == "p0"


@pytest.mark.parametrize("offer", (b"a b", b"a;b", b"a/b", b'"a"', b"a\x7f", b"a\xe9", b"a@b", b"{}", b"a=b"))
def test_offer_that_is_no_token_is_400(echo_daemon, offer):
    expect_error(echo_daemon, build_request(raw=b"Sec-WebSocket-Protocol: " + offer + b"\r\n"), 400)


@pytest.mark.parametrize("offer", (
    b"foo\nX-Evil: 1", b"foo\rX-Evil: 1", b"foo\n\nevil", b"\nX-Evil: 1", b"foo,\nX-Evil: 1", b"foo\0X-Evil: 1"))
def test_line_feed_in_an_offer_injects_nothing(echo_daemon, offer):
    client = echo_daemon.connect()
    client.send_raw(build_request(raw=b"Sec-WebSocket-Protocol: " + offer + b"\r\n"))
    answer = client.recv_http()
    client.expect_eof()
    check_error(answer, 400)
    assert answer.header("X-Evil") is None
    assert b"Evil" not in answer.body and b"evil" not in answer.body


@pytest.fixture(scope="module")
def plain_daemon(run_module):
    return run_module(Daemon(peer="echo://"))


def test_offer_without_the_option_is_400_and_says_so(plain_daemon):
    answer = expect_error(plain_daemon, build_request(protocols="chat"), 400)
    assert b"protocol" in answer.body.lower()
    plain_daemon.wait_log(r"protocol")


def test_no_offer_without_the_option_is_accepted(plain_daemon):
    assert accepted(plain_daemon, build_request()).header("Sec-WebSocket-Protocol") is None


@pytest.fixture(scope="module")
def choosy_daemon(run_module):
    return run_module(Daemon("-c", "protocol=binary,base64", peer="echo://"))


@pytest.mark.parametrize("offer, chosen", (
    ("binary", "binary"), ("base64", "base64"), ("base64, binary", "binary"), ("x, base64, y", "base64")))
def test_preferred_offer_is_chosen(choosy_daemon, offer, chosen):
    response = accepted(choosy_daemon, build_request(protocols=offer))
    assert response.header("Sec-WebSocket-Protocol") == chosen


@pytest.mark.parametrize("offer", ("chat", "binaryx", "x-base64", "Binary", "binary64, b"))
def test_offer_that_is_not_listed_gets_no_answer_of_ours(choosy_daemon, offer):
    """The client would take a subprotocol that it did not offer for a failure, and rightly."""
    client = choosy_daemon.connect()
    client.send_raw(build_request(protocols=offer))
    answer = client.recv_http()
    assert answer.header("Sec-WebSocket-Protocol") is None
    check_error(answer, 400)


# --- cuts between reads -------------------------------------------------------------------------


def test_request_cut_at_every_offset(echo_daemon):
    """Trap: a CRLF that is cut by a read is not found again."""
    for pieces in cut_once(build_request()):
        client = echo_daemon.connect()
        client.send_pieces(pieces)
        client.recv_upgrade()
        client.close()


def test_request_and_frames_cut_at_every_offset(echo_daemon):
    """What comes with the handshake is neither lost nor doubled nor taken for a header."""
    raw = build_request() + frame(TEXT, "one\r\n") + frame(PING, b"\r\n\r\n") + frame(BIN, b"two")
    for pieces in cut_once(raw):
        client = echo_daemon.connect()
        client.send_pieces(pieces)
        client.recv_upgrade()
        assert client.recv_message() == (TEXT, b"one\r\n")
        assert client.recv_frame() == Frame(True, PONG, b"\r\n\r\n")
        assert client.recv_message() == (BIN, b"two")
        client.close()


def test_request_byte_by_byte(echo_daemon):
    client = echo_daemon.connect()
    client.send_pieces(bytewise(build_request() + frame(TEXT, "and a message")))
    client.recv_upgrade()
    assert client.recv_message() == (TEXT, b"and a message")


def test_request_cut_at_every_line_end_twice(echo_daemon):
    raw = build_request()
    pieces = []
    for line in raw.split(b"\r\n")[:-1]:
        pieces += [line, b"\r", b"\n"] if line else [b"\r", b"\n"]
    assert b"".join(pieces) == raw
    client = echo_daemon.connect()
    client.send_pieces(pieces)
    client.recv_upgrade()
    client.round_trip()


@pytest.mark.parametrize("raw, status", (
    (b"GET / HTTP/1.1\r\nHost: x\r\nX : y\r\n\r\n", 400), (build_request(remove=["Host"]), 400)),
    ids=("malformed", "no-host"))
def test_error_cut_at_every_offset(echo_daemon, raw, status):
    """What is malformed may be answered before the head is complete; the rest must not disturb that."""
    for first, second in cut_once(raw):
        client = echo_daemon.connect()
        client.send_raw(first)
        echo_daemon.settle()
        try:
            client.send_raw(second)
        except OSError:
            pass
        check_error(client.recv_http(), status)
        client.close()


def test_malformed_is_answered_before_the_head_is_complete(echo_daemon):
    client = echo_daemon.connect()
    client.send_raw(b"nonsense\r\n")
    check_error(client.recv_http(), 400)
    client.expect_eof()


# --- what comes behind the handshake ------------------------------------------------------------


@pytest.mark.parametrize("count", (1, 2, 10, 100))
def test_empty_lines_behind_the_handshake_are_no_second_handshake(run, count):
    """Trap: each of them made another query, another peer connection and another 101. They are frame bytes,
    and wrong ones."""
    peer = run(TcpPeer())
    daemon = run(Daemon(peer=peer.url))
    client = daemon.connect()
    client.send_raw(build_request() + b"\r\n" * count)
    client.recv_upgrade()
    client.expect_failed(1002)
    assert peer.accept().recv_all() == b""
    daemon.settle()
    assert len(peer.connections) == 1


def test_second_request_behind_the_handshake_is_no_second_handshake(run):
    peer = run(TcpPeer())
    daemon = run(Daemon(peer=peer.url))
    client = daemon.connect()
    client.send_raw(build_request() * 3)
    client.recv_upgrade()
    client.expect_failed(1002)
    assert peer.accept().recv_all() == b""
    daemon.settle()
    assert len(peer.connections) == 1


def test_frames_with_the_handshake_reach_a_tcp_peer(run):
    """They wait while the peer is being connected, in order and complete."""
    peer = run(TcpPeer())
    daemon = run(Daemon(peer=peer.url))
    for size in (1, 100, 5000, 50000, 300000):
        client = daemon.connect()
        data = bytes(number % 251 for number in range(size))
        client.send_in_background(
            build_request() + frame(BIN, data[:size // 2], fin=False)
            + frame(CONTINUATION, data[size // 2:]) + frame(PING, b"end"))
        client.recv_upgrade()
        assert peer.accept().recv_exactly(size) == data
        assert client.recv_frame() == Frame(True, PONG, b"end")
        client.close_handshake()


def test_close_with_the_handshake(echo_daemon):
    client = echo_daemon.connect()
    client.send_raw(build_request() + frame(TEXT, "hello") + frame(8, close_payload(1000)))
    client.recv_upgrade()
    assert client.recv_message() == (TEXT, b"hello")
    client.expect_close(1000)
    client.expect_eof()


def test_violation_with_the_handshake(echo_daemon):
    client = echo_daemon.connect()
    client.send_raw(build_request() + frame(TEXT, "bad", mask=False))
    client.recv_upgrade()
    client.expect_failed(1002)


def test_bytes_of_the_peer_follow_the_101_at_once(run):
    """A peer that speaks first (a banner): nothing of it may come before the 101 or be lost."""
    peer = run(TcpPeer(lambda connection: (connection.send(b"banner"), connection.recv_all())))
    daemon = run(Daemon(peer=peer.url))
    for _ in range(20):
        client = daemon.open()
        assert client.recv_message() == (TEXT, b"banner")
        client.close()


# --- the peer: 502, 504 -------------------------------------------------------------------------


def test_peer_that_refuses_is_502(run):
    port = run(ClosedPort())
    daemon = run(Daemon(peer=port.url))
    answer = expect_error(daemon, build_request(), 502)
    assert answer.body == b"the peer cannot be reached\n"  # why is not for the client
    daemon.wait_log(r"cannot connect to .*%d: Connection refused" % port.port)


def test_peer_name_that_does_not_exist_is_502(run):
    dns = run(NameServer())
    daemon = run(Daemon(f"--resolver={dns.address}", peer="tcp://nowhere.test:80"))
    expect_error(daemon, build_request(), 502)
    daemon.wait_log(r"nowhere\.test")


@pytest.mark.parametrize("peer", ("unix:///nonexistent/socket", "unix://@websocksy-nobody-listens",
                                  "unix-dgram:///nonexistent/socket", "fifotx:///nonexistent/fifo",
                                  "unix:///" + "x" * 200))
def test_peer_path_that_does_not_work_is_502(run, peer):
    daemon = run(Daemon(peer=peer))
    expect_error(daemon, build_request(), 502)


def test_peer_that_does_not_answer_is_504(run):
    port = run(StuckPort())
    daemon = run(Daemon("--connect-timeout=300ms", peer=port.url))
    begun = time.monotonic()
    expect_error(daemon, build_request(), 504)
    assert time.monotonic() - begun > 0.25
    daemon.wait_log(r"cannot connect to")


def test_name_server_that_does_not_answer_is_504(run):
    dns = run(NameServer({"slow.test": {"A": SILENCE, "AAAA": SILENCE}}))
    daemon = run(Daemon("--connect-timeout=300ms", f"--resolver={dns.address}", peer="tcp://slow.test:80"))
    expect_error(daemon, build_request(), 504)


@pytest.mark.parametrize("half_closed", (False, True), ids=("at-once", "half-closed-before"))
def test_client_that_leaves_while_the_peer_is_connected(run, half_closed):
    """Nothing is left to answer; the attempt ends and its descriptors are closed."""
    port = run(StuckPort())
    daemon = run(Daemon("--connect-timeout=1h", peer=port.url))
    before = daemon.fds()
    client = daemon.connect()
    client.send_raw(build_request())
    eventually(lambda: daemon.fds() >= before + 2, "the connection attempt")
    if half_closed:
        client.finish()
        daemon.settle()
        assert daemon.fds() >= before + 2, "it may still wait for the response"
    client.abort()
    eventually(lambda: daemon.fds() == before, "the descriptors to be closed")


def test_origin_that_is_not_listed_is_403(run):
    daemon = run(Daemon("--origin=https://good.example", peer="echo://"))
    expect_error(daemon, build_request(headers={"Origin": "https://evil.example"}), 403)
    expect_error(daemon, build_request(), 403)
    accepted(daemon, build_request(headers={"Origin": "https://good.example"}))


def test_more_clients_than_allowed_is_503(run):
    daemon = run(Daemon("--max-clients=2", peer="echo://"))
    first, second = daemon.open(), daemon.open()
    expect_error(daemon, build_request(), 503)
    first.close_handshake()
    second.round_trip()
    eventually(lambda: daemon.http(plain=True).status == 426, "the place to be free again")
    accepted(daemon, build_request())


# --- too slow: 408 ------------------------------------------------------------------------------


@pytest.mark.parametrize("part", (b"G", b"GET / HTTP/1.1\r\n", build_request()[:-2], build_request()[:-1]),
                         ids=("byte", "line", "all-but-the-end", "all-but-a-byte"))
def test_incomplete_request_is_408(run, part):
    daemon = run(Daemon(f"--handshake-timeout={LONG_MS}ms", peer="echo://"))
    begun = time.monotonic()
    client = daemon.connect()
    client.send_raw(part)
    check_error(client.recv_http(), 408)
    client.expect_eof()
    assert time.monotonic() - begun > LONG - 0.1


@pytest.mark.parametrize("status", (408, 503))
def test_incomplete_head_request(run, status):
    """The method was not known, and the response had content."""
    daemon = run(Daemon("--handshake-timeout=300ms" if status == 408 else "--grace=1h", peer="echo://"))
    client = daemon.connect()
    client.send_raw(b"HEAD / HTTP/1.1\r\nHost: x\r\n")
    if status == 503:
        daemon.settle()
        daemon.signal(signal.SIGTERM)
    answer = client.recv_http(head_only=True)
    assert answer.status == status and int(answer.header("Content-Length")) > 0
    client.expect_eof()


def test_silent_connection_is_ended(run):
    daemon = run(Daemon("--handshake-timeout=300ms", peer="echo://"))
    client = daemon.connect()
    check_error(client.recv_http(), 408)
    client.expect_eof()


def test_trickle_does_not_extend_the_time(run):
    """Trap: a client that sends a byte now and then holds its place for ever."""
    daemon = run(Daemon("--handshake-timeout=500ms", peer="echo://"))
    client = daemon.connect()
    raw = build_request(extra=[("X", "x" * 30000)])
    sent = 0
    while not select.select([client.sock], [], [], 0.02)[0]:
        client.send_raw(raw[sent:sent + 1])
        sent += 1
    assert sent < len(raw) - 1, "the request was complete"
    check_error(client.recv_http(), 408)


def test_time_of_the_handshake_is_over_once_it_is_done(run):
    daemon = run(Daemon(f"--handshake-timeout={LONG_MS}ms", "--connect-timeout=300ms", peer="echo://"))
    client, slow = daemon.open(), daemon.connect()
    check_error(slow.recv_http(), 408)  # opened later, so the first one's time is over too
    client.round_trip()
    client.close_handshake()
