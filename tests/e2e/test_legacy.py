# SPDX-License-Identifier: BSD-2-Clause
"""The option legacy: versions of WebSocket before RFC 6455 (hixie-75, hixie-76, HyBi 7 and 8), and the policy
request of Flash. Off by default."""
import base64
import ctypes
import os
import re
import threading

import pytest

from tools.client import ConnectionEnded
from tools.configuration import BASE, ECHO, reload, write_config
from tools.daemon import TLS, Daemon, run_once
from tools.frames import BIN, TEXT, bytewise, cut_once, frame
from tools.http import build_request
from tools.peers import TcpPeer, UdpPeer
from tools.sockets import kernel_timer
from tools.waiting import eventually

# Key1, Key2, the bytes behind the request, the answer: draft-ietf-hybi-thewebsocketprotocol-00, 1.3, and -76.
VECTORS = (
    ("4 @1  46546xW%0l 1 5", "12998 5 Y3 1  .P00", b"^n:ds[4U", b"8jKS'y:G*Co,Wxa-"),
    ("18x 6]8vM;54 *(5:  {   U1]8  z [  8", "1_ tx7X d  <  nw  334J702) 7]o}` 0", b"Tm[K T2u", b"fQJ,fN/4F4!~K~MH"),
)
ORIGIN = "http://example.com"
POLICY_REQUEST = b"<policy-file-request/>\0"
TLS_STATES = pytest.mark.parametrize("tls", (False, True), ids=("plain", "tls"))


def hixie_request(version, path="/demo", protocol=None, keys=VECTORS[0], origin=ORIGIN, host="example.com", extra=()):
    prefix = "Sec-" if version == 76 else ""
    lines = [f"GET {path} HTTP/1.1", "Upgrade: WebSocket", "Connection: Upgrade"]
    lines += [f"Host: {host}"] if host else []
    lines += [f"Origin: {origin}"] if origin else []
    lines += [f"Sec-WebSocket-Key1: {keys[0]}", f"Sec-WebSocket-Key2: {keys[1]}"] if version == 76 else []
    lines += [f"{prefix}WebSocket-Protocol: {protocol}"] if protocol else []
    lines += extra
    return "\r\n".join([*lines, "", ""]).encode() + (keys[2] if version == 76 else b"")


def hixie_response(version, path="/demo", protocol=None, keys=VECTORS[0], origin=ORIGIN, host="example.com",
                   tls=False):
    prefix = "Sec-" if version == 76 else ""
    lines = ["HTTP/1.1 101 Web Socket Protocol Handshake", "Upgrade: WebSocket", "Connection: Upgrade",
             f"{prefix}WebSocket-Origin: {origin}", f"{prefix}WebSocket-Location: ws{'s' * tls}://{host}{path}"]
    lines += [f"{prefix}WebSocket-Protocol: {protocol}"] if protocol else []
    return "\r\n".join([*lines, "", ""]).encode() + (keys[3] if version == 76 else b"")


def text_frame(text):
    return b"\0" + text + b"\xff"


class HixieClient:
    """A client whose connection is open."""

    def __init__(self, daemon, version, pieces=None, **request):
        self.daemon = daemon
        self.client = daemon.connect()
        self.version = version
        if pieces:
            self.client.send_pieces(pieces)
        else:
            self.client.send_raw(hixie_request(version, **request))
        expected = hixie_response(version, tls=daemon.tls is not None, **request)
        assert self.client.take(len(expected)) == expected

    def send(self, *texts):
        self.client.send_raw(b"".join(map(text_frame, texts)))

    def recv(self):
        """The text of the next frame; None: a closing frame."""
        first = self.client.take(1)
        if first == b"\xff":
            assert self.client.take(1) == b"\0"
            return None
        assert first == b"\0"
        while b"\xff" not in self.client.buffer:
            self.client.fill()
        text = self.client.take(self.client.buffer.index(b"\xff") + 1)[:-1]
        text.decode()
        return text

    def expect_end(self):
        if self.version == 76:
            assert self.recv() is None
        self.client.expect_eof()


def legacy_daemon(run, peer, *args, legacy="hixie,hybi,flash", **kwargs):
    kwargs.setdefault("tls", TLS)
    return run(Daemon(f"--legacy={legacy}", *args, peer=peer if isinstance(peer, str) else peer.url, **kwargs))


VERSIONS = pytest.mark.parametrize("version", (75, 76))


# --- the handshakes -----------------------------------------------------------------------------


@pytest.mark.parametrize("keys", VECTORS, ids=("first", "second"))
@TLS_STATES
def test_answers_of_the_drafts(run, keys, tls):
    """The examples of the drafts, and the response byte for byte."""
    daemon = legacy_daemon(run, "echo://", tls=tls)
    client = HixieClient(daemon, 76, keys=keys, path="/demo?a=b")
    client.send(b"hello")
    assert client.recv() == b"hello"


@TLS_STATES
def test_version_75(run, tls):
    client = HixieClient(legacy_daemon(run, "echo://", tls=tls), 75)
    client.send(b"hello", "grüße".encode())
    assert client.recv() == b"hello"
    assert client.recv() == "grüße".encode()


@VERSIONS
@TLS_STATES
def test_a_request_that_is_cut_anywhere(run, version, tls):
    """And the frame behind it. Over TLS, where each cut is a handshake, only around its end."""
    daemon = legacy_daemon(run, "echo://", tls=tls)
    stream = hixie_request(version) + text_frame(b"early")
    cuts = cut_once(stream)
    for pieces in [bytewise(stream), *(cuts[-24:] if tls else cuts)]:
        client = HixieClient(daemon, version, pieces=pieces)
        assert client.recv() == b"early"
        client.client.close()


def test_the_key_behind_the_request_counts_to_handshake_timeout(run):
    daemon = legacy_daemon(run, "echo://", "--handshake-timeout=300ms")
    client = daemon.connect()
    client.send_raw(hixie_request(76)[:-1])
    assert client.recv_http().status == 408


def test_a_client_that_leaves_before_its_key(run):
    daemon = legacy_daemon(run, "echo://")
    client = daemon.connect()
    client.send_raw(hixie_request(76)[:-1])
    daemon.settle()
    client.close()
    HixieClient(daemon, 76)


BAD_KEYS = ({"keys": ("123", *VECTORS[0][1:])}, {"keys": ("1  1", *VECTORS[0][1:])},
            {"keys": (VECTORS[0][0], "4294967296 0", *VECTORS[0][2:])})
BAD_FIELDS = ({"origin": None}, {"host": None}, {"extra": ["Origin: http://other"]})


@pytest.mark.parametrize("version, change", [
    *((version, change) for version in (75, 76) for change in BAD_FIELDS), *((76, change) for change in BAD_KEYS)],
    ids=str)
def test_requests_that_are_not_valid(run, version, change):
    client = legacy_daemon(run, "echo://").connect()
    client.send_raw(hixie_request(version, **change))
    assert client.recv_http().status == 400
    client.expect_eof()


@VERSIONS
def test_the_rules_of_other_requests_hold(run, version):
    daemon = legacy_daemon(run, "echo://", "--origin=http://good.example", "--server-name=example.com", tls=False)
    HixieClient(daemon, version, origin="http://good.example")
    for request, status in (({"origin": "http://bad.example"}, 403),
                            ({"origin": "http://good.example", "host": "other"}, 421)):
        client = daemon.connect()
        client.send_raw(hixie_request(version, **request))
        assert client.recv_http().status == status


def test_a_password(run, tmp_path):
    """The request begins anew when the password has been verified, with the key behind it."""
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p
    users = tmp_path / "users"
    users.write_bytes(b"alice:" + crypt(b"secret", b"$2y$04$abcdefghijklmnopqrstuu") + b"\n")
    users.chmod(0o600)
    daemon = legacy_daemon(run, "echo://", f"--auth-file={users}", "--insecure-auth=yes", f"--origin={ORIGIN}")
    client = daemon.connect()
    client.send_raw(hixie_request(76))
    assert client.recv_http().status == 401
    password = "Authorization: Basic " + base64.b64encode(b"alice:secret").decode()
    client = HixieClient(daemon, 76, pieces=[hixie_request(76, extra=[password]) + text_frame(b"early")])
    assert client.recv() == b"early"


@VERSIONS
def test_a_peer_that_cannot_be_reached(run, version):
    daemon = legacy_daemon(run, "unix:///nowhere/at/all")
    client = daemon.connect()
    client.send_raw(hixie_request(version))
    assert client.recv_http().status == 502


@pytest.mark.parametrize("version", (7, 8))
@pytest.mark.parametrize("field", ("Sec-WebSocket-Origin", "Origin"))
@TLS_STATES
def test_hybi(run, version, field, tls):
    """Its frames are those of RFC 6455."""
    daemon = legacy_daemon(run, "echo://", "--origin=http://good.example", tls=tls)
    client = daemon.open(headers={"Sec-WebSocket-Version": str(version), field: "http://good.example"})
    client.send_binary(b"hello")
    assert client.recv_message() == (BIN, b"hello")
    client.close_handshake()
    for bad in ({field: "http://bad.example"}, {}):
        client = daemon.connect()
        client.send_raw(build_request(headers={"Sec-WebSocket-Version": str(version), **bad}))
        assert client.recv_http().status == 403


def test_hybi_lists_its_versions(run):
    """RFC 6455, 4.4: for a client with another one."""
    response = legacy_daemon(run, "echo://").http(headers={"Sec-WebSocket-Version": "6"})
    assert response.status == 426
    assert response.header("Sec-WebSocket-Version") == "13, 8, 7"


# --- frames -------------------------------------------------------------------------------------


@VERSIONS
@TLS_STATES
def test_frames_that_are_cut_anywhere(run, version, tls):
    """Empty ones are skipped."""
    peer = run(TcpPeer())
    daemon = legacy_daemon(run, peer, "-c", "framing=newline", "-c", "framing-config=lf", tls=tls)
    client, service = HixieClient(daemon, version), peer.accept()
    stream = text_frame(b"first") + text_frame(b"") + text_frame("zweitü".encode())
    expected = "firstzweitü".encode()
    for pieces in [bytewise(stream), *cut_once(stream)]:
        client.client.send_pieces(pieces)
        assert service.recv_exactly(len(expected)) == expected
    answer = b"one\n" + "zweiß\n".encode() + b"rest"
    for piece in bytewise(answer):
        service.send(piece)
    service.finish()
    assert [client.recv() for _ in range(3)] == [b"one\n", "zweiß\n".encode(), b"rest"]


@VERSIONS
def test_base64(run, version):
    """The payload is base64 if that subprotocol is negotiated: the only way to send binary data."""
    peer = run(TcpPeer())
    daemon = legacy_daemon(run, peer, "-c", "protocol=base64")
    client, service = HixieClient(daemon, version, protocol="base64"), peer.accept()
    for size in (1, 2, 3, 100, 30000, 200000):
        data = os.urandom(size)
        client.client.send_in_background(text_frame(base64.b64encode(data)))
        assert service.recv_exactly(size) == data
        service.send(data)
        received = b""
        while len(received) < size:
            received += base64.b64decode(client.recv(), validate=True)
        assert received == data
    client.send(b"A")
    client.expect_end()
    assert service.recv_all() == b""


@VERSIONS
def test_a_stream_of_text(run, version):
    """Without a framing the text is not cut inside of a character."""
    peer = run(TcpPeer())
    daemon = legacy_daemon(run, peer)
    client, service = HixieClient(daemon, version), peer.accept()
    text = "ä€😀".encode()
    for piece in bytewise(text):
        service.send(piece)
        daemon.settle()
    received = b""
    while len(received) < len(text):
        received += client.recv()
    assert received == text


@VERSIONS
def test_binary_data_ends_the_connection(run, version):
    """Nothing is sent that is no text, and nothing is left out."""
    peer = run(TcpPeer())
    daemon = legacy_daemon(run, peer)
    client, service = HixieClient(daemon, version), peer.accept()
    service.send(b"text")
    assert client.recv() == b"text"
    service.send(b"\xff\xfe")
    client.expect_end()
    daemon.wait_log("is not text, which the client's version of WebSocket cannot carry")


@VERSIONS
@pytest.mark.parametrize("bad", (b"\x01a\xff", b"\x80\x01a", b"\0\xc0\x80\xff", b"\0\xe2\x82\xff", frame(TEXT, b"hello")))
def test_frames_that_are_not_valid(run, version, bad):
    """What came before has reached the peer."""
    peer = run(TcpPeer())
    client, service = HixieClient(legacy_daemon(run, peer), version), peer.accept()
    client.client.send_raw(text_frame(b"before") + bad + text_frame(b"after"))
    client.expect_end()
    assert service.recv_all() == b"before"


@VERSIONS
def test_messages_are_datagrams(run, version):
    peer = run(UdpPeer())
    client = HixieClient(legacy_daemon(run, peer), version)
    client.send(b"one", b"two")
    got, address = peer.recv()
    assert (got, peer.recv()[0]) == (b"one", b"two")
    peer.send(b"answer", address)
    assert client.recv() == b"answer"
    for piece in bytewise(text_frame(b"cut")):
        client.client.send_raw(piece)
    assert peer.recv()[0] == b"cut"


@VERSIONS
def test_max_message(run, version):
    """Where messages have to be complete."""
    client = HixieClient(legacy_daemon(run, "echo://", "--max-message=100"), version)
    client.send(bytes(100))
    assert client.recv() == bytes(100)
    client.send(b"x" * 101)
    client.expect_end()


@VERSIONS
def test_a_slow_client_pauses_the_peer(run, version):
    peer = run(TcpPeer())
    daemon = legacy_daemon(run, peer, "--buffer-high=64K", "--buffer-low=16K", "-c", "framing=newline", "-c",
                           "framing-config=lf")
    client, service = HixieClient(daemon, version), peer.accept()
    lines = [b"%d " % number + b"x" * (number * 7 % 5000) + b"\n" for number in range(800)]
    thread = threading.Thread(target=lambda: (service.send(b"".join(lines)), service.finish()))
    thread.start()
    assert [client.recv() for _ in lines] == lines
    thread.join()


def test_many_small_lines_at_once(run):
    peer = run(TcpPeer())
    daemon = legacy_daemon(run, peer, "-c", "framing=newline", "-c", "framing-config=lf")
    client, service = HixieClient(daemon, 76), peer.accept()
    service.send(b"".join(b"%d\n" % number for number in range(5000)))
    assert [client.recv() for _ in range(5000)] == [b"%d\n" % number for number in range(5000)]


# --- the end ------------------------------------------------------------------------------------


def test_the_client_closes_76(run):
    """FF 00 is answered with FF 00, then the stream ends; what follows it is not looked at."""
    peer = run(TcpPeer())
    client, service = HixieClient(legacy_daemon(run, peer), 76), peer.accept()
    client.client.send_raw(text_frame(b"bye") + b"\xff\0" + text_frame(b"more"))
    client.expect_end()
    assert service.recv_all() == b"bye"


def test_the_client_closes_75(run):
    """There is no closing frame: the end of the stream is the end."""
    peer = run(TcpPeer())
    client, service = HixieClient(legacy_daemon(run, peer), 75), peer.accept()
    client.send(b"bye")
    client.client.finish()
    assert service.recv_all() == b"bye"
    client.client.expect_eof()


@VERSIONS
def test_the_peer_closes(run, version):
    """The client's last words reach the peer."""
    peer = run(TcpPeer())
    client, service = HixieClient(legacy_daemon(run, peer), version), peer.accept()
    service.send(b"bye")
    service.finish()
    assert client.recv() == b"bye"
    if version == 76:
        assert client.recv() is None
    client.send(b"last")
    if version == 76:
        client.client.send_raw(b"\xff\0")
    else:
        client.client.finish()
    assert service.recv_all() == b"last"
    client.client.expect_eof()


@VERSIONS
def test_the_daemon_stops(run, version):
    daemon = legacy_daemon(run, "echo://", "--grace=1h")
    client = HixieClient(daemon, version)
    client.send(b"x")
    assert client.recv() == b"x"
    daemon.stop(close_clients=False, patience=0.2)
    client.expect_end()


def test_no_pings(run):
    """These versions have none, so that silence is no reason to give a client up."""
    daemon = legacy_daemon(run, "echo://", "--ping=50ms", "--pong-timeout=50ms")
    client = HixieClient(daemon, 76)
    pinged = daemon.open()
    assert pinged.recv_frame().opcode == 9
    pinged.expect_eof()
    client.send(b"still here")
    assert client.recv() == b"still here"


@VERSIONS
def test_the_machine_of_the_client_is_probed(run, version):
    """Instead: a client whose link has been cut does not stay for ever."""
    client = HixieClient(legacy_daemon(run, "echo://", "--ping=50ms", tls=False), version)
    port = client.client.sock.getsockname()[1]
    eventually(lambda: kernel_timer(port) == "02", "the kernel's timer")


@VERSIONS
def test_idle_timeout(run, version):
    HixieClient(legacy_daemon(run, "echo://", "--idle-timeout=100ms"), version).expect_end()


# --- Flash --------------------------------------------------------------------------------------


def policy(domain="*", ports="*"):
    return (f'<cross-domain-policy><allow-access-from domain="{domain}" to-ports="{ports}" />'
            "</cross-domain-policy>\n").encode()


def ask_for_policy(daemon, *pieces, **kwargs):
    client = daemon.connect(tls=None, **kwargs)
    client.send_pieces(pieces or (POLICY_REQUEST,))
    received = b""
    try:
        while True:
            received += client.take(1)
    except ConnectionEnded as error:
        assert not error.reset
    client.close()
    return received


@TLS_STATES
def test_flash_policy(run, tls):
    """On the port of everything else, the default being this port; with a certificate beside TLS."""
    daemon = legacy_daemon(run, "echo://", tls=tls)
    assert ask_for_policy(daemon) == policy(ports=daemon.port)
    for pieces in [bytewise(POLICY_REQUEST), *cut_once(POLICY_REQUEST)]:
        assert ask_for_policy(daemon, *pieces) == policy(ports=daemon.port)
    daemon.wait_log("answered a policy request of Flash")


def test_flash_policy_of_options(run):
    daemon = legacy_daemon(run, "echo://", "--legacy-flash-domain=*.example.org", "--legacy-flash-ports=80,8000-8010")
    assert ask_for_policy(daemon) == policy("*.example.org", "80,8000-8010")


def test_flash_policy_is_not_sent_where_tls_is_required(run):
    """Neither in front of it nor inside of it."""
    daemon = legacy_daemon(run, "echo://", "--tls=required", tls=True)
    assert b"policy" not in ask_for_policy(daemon)
    client = daemon.connect()
    client.send_raw(POLICY_REQUEST)
    assert client.recv_http().status == 400


def test_flash_policy_on_a_unix_socket(run, tmp_path):
    daemon = run(Daemon("-l", f"unix:{tmp_path}/socket", "-p", "4711", "--legacy=flash", peer="echo://",
                        defaults=False, tls=False))
    client = daemon.connect(f"{tmp_path}/socket")
    client.send_raw(POLICY_REQUEST)
    assert client.take(len(policy(ports=4711))) == policy(ports=4711)


@pytest.mark.parametrize("request_bytes", (
    b"<policy-file-request/> HTTP/1.1\r\n\r\n", b"<policy-file-request>\0", b" <policy-file-request/>\0"))
def test_what_is_no_policy_request(run, request_bytes):
    client = legacy_daemon(run, "echo://", tls=False).connect()
    client.send_raw(request_bytes)
    assert client.recv_http().status == 400


# --- off by default -----------------------------------------------------------------------------


OLD_REQUESTS = {
    "hixie-75": hixie_request(75), "hixie-76": hixie_request(76),
    "HyBi 7": build_request(headers={"Sec-WebSocket-Version": "7", "Sec-WebSocket-Origin": ORIGIN}),
    "HyBi 8": build_request(headers={"Sec-WebSocket-Version": "8", "Sec-WebSocket-Origin": ORIGIN}),
    "Flash": POLICY_REQUEST,
}
# What answers them when only the others are switched on.
OTHERS = {"hixie-75": "hybi,flash", "hixie-76": "hybi,flash", "HyBi 7": "hixie,flash", "HyBi 8": "hixie,flash",
          "Flash": "hixie,hybi"}


def whole_answer(daemon, request):
    client = daemon.connect(tls=daemon.tls)
    client.send_raw(request)
    answer = b""
    try:
        while True:
            answer += client.take(1)
    except ConnectionEnded:
        return re.sub(rb"\r\nDate: [^\r]*", b"", answer)


@pytest.mark.parametrize("name", OLD_REQUESTS)
def test_off_by_default(run, name):
    """Error responses: those of a client that has forgotten the version, and of a request that is none."""
    status, text = ((400, b"malformed") if name == "Flash" else (426, b"this server speaks WebSocket version 13"))
    default = whole_answer(run(Daemon(peer="echo://")), OLD_REQUESTS[name])
    assert default.startswith(b"HTTP/1.1 %d " % status)
    assert status == 400 or text in default
    assert (b"Sec-WebSocket-Version: 13\r\n" in default) == (status == 426)
    none = whole_answer(run(Daemon("--legacy=none", peer="echo://")), OLD_REQUESTS[name])
    assert none == default
    others = whole_answer(run(Daemon(f"--legacy={OTHERS[name]}", peer="echo://")), OLD_REQUESTS[name])
    assert others.replace(b"13, 8, 7", b"13") == default


def test_later_versions_are_never_taken_for_old_ones(run):
    daemon = legacy_daemon(run, "echo://")
    for missing in ("Sec-WebSocket-Version", "Sec-WebSocket-Key"):
        response = daemon.http(remove=(missing,), headers={"Origin": ORIGIN})
        assert response.status in (400, 426)
    response = daemon.http(remove=("Sec-WebSocket-Version", "Sec-WebSocket-Key"),
                           headers={"Origin": ORIGIN, "Sec-WebSocket-Key1": VECTORS[0][0]})
    assert response.status == 426


def test_reload(run, tmp_path):
    """The option holds for requests from then on."""
    path = write_config(tmp_path, (*BASE, ("legacy", "hixie")), ECHO)
    daemon = run(Daemon(path, defaults=False, tls=False))
    client = HixieClient(daemon, 76)
    write_config(tmp_path, BASE, ECHO)
    reload(daemon)
    response = whole_answer(daemon, hixie_request(76))
    assert response.startswith(b"HTTP/1.1 426 ")
    client.send(b"still open")
    assert client.recv() == b"still open"


# --- the options --------------------------------------------------------------------------------


@pytest.mark.parametrize("value, shown", (
    ("", "none"), ("none", "none"), ("hixie", "hixie"), ("flash, hybi", "hybi,flash"), ("hixie,hybi,flash,hixie",
                                                                                       "hixie,hybi,flash")))
def test_values_of_legacy(value, shown):
    result = run_once(f"--legacy={value}", "--dump-config")
    assert f"\nlegacy = {shown}\n" in result.stdout


@pytest.mark.parametrize("option, value, text", (
    ("legacy", "yes", "must be a list such as hixie,hybi,flash"), ("legacy", "hixie,", "must be a list"),
    ("legacy", "none,hixie", "must be a list"), ("legacy-flash-domain", 'a"b', "must be a domain such as example.org"),
    ("legacy-flash-domain", "x" * 300, "must be a domain"), ("legacy-flash-ports", "http", "must be ports and ranges"),
    ("legacy-flash-ports", "0", "must be ports"), ("legacy-flash-ports", "9-8", "must be ports"),
    ("legacy-flash-ports", "80,", "must be ports"), ("legacy-flash-ports", "65536", "must be ports")))
def test_values_that_are_not_valid(tmp_path, option, value, text):
    result = run_once(f"--{option}={value}", "-t")
    assert result.returncode == 1
    assert re.search(rf"error: command line: --{option}: \"[^\n]*\" {re.escape(text)}", result.stderr), result.stderr
    path = tmp_path / "websocksy.conf"
    path.write_text(f"[core]\n{option} = {value}\n")
    result = run_once("-t", path)
    assert result.returncode == 1
    assert re.search(rf"{path}:2: {option}: \"[^\n]*\" {re.escape(text)}", result.stderr), result.stderr
