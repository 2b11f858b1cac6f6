# SPDX-License-Identifier: BSD-2-Clause
"""TLS towards the clients: one port for wss and ws, certificates and names, clients that prove who they are,
handshakes that are slow, cut or rubbish, and certificates that are exchanged while the daemon runs.

That everything else works over TLS, too, is shown by the conformance tests, which run a second time with
WEBSOCKSY_TLS=1.
"""
import asyncio
import collections
import contextlib
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest
import websockets

from tools import tls_files
from tools.client import ConnectionEnded, RawClient, chat, exchange, receive
from tools.counting import can_trace
from tools.daemon import BINARY, SANITIZED, Daemon, Unprivileged, run_once, standing_still
from tools.frames import BIN, PING, PONG, Frame, frame
from tools.gnutls_session import GnutlsSession
from tools.http import build_request
from tools.peers import TcpPeer, echo
from tools.proxies import Haproxy
from tools.sockets import kernel_holds
from tools.tls import TlsSocket, open_tls
from tools.tls_files import der
from tools.waiting import LONG, LONG_MS, TIMEOUT, eventually

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
VERSION_IDS = ["1.2", "1.3"]
FAILED = r"info: #\d+ \S+: TLS (?:handshake )?failed: "
NOT_DONE = r"info: #\d+ \S+: TLS handshake failed: "
each_version = pytest.mark.parametrize("version", VERSIONS, ids=VERSION_IDS)


# --- helpers ------------------------------------------------------------------------------------


@pytest.fixture
def serve(run, pair):
    """serve(arguments..., pairs=[pair]): an echo daemon with these certificates, for clients that bring
    their own idea of TLS."""

    def start(*args, pairs=(pair,), peer="echo://", **kwargs):
        files = [f"--cert={one.cert}" for one in pairs] + [f"--key={one.key}" for one in pairs]
        return run(Daemon(*files, "-c", "protocol=*", *args, peer=peer, tls=False, **kwargs))

    return start


def shown(daemon, context, name="localhost"):
    """The certificate (DER) that the server shows to a client that asks for `name`."""
    client = open_tls(daemon, context, name)
    chat(client)
    return client.sock.tls.getpeercert(True)


def client_hello(name="localhost", version=None):
    """The first bytes that a client sends."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = tls_files.client_context(version=version).wrap_bio(
        incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        session.do_handshake()
    return outgoing.read()


def end_of(sock, timeout=None):
    """Everything until the end of the stream, however it ends."""
    sock.settimeout(TIMEOUT if timeout is None else timeout)
    data = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while True:
            more = sock.recv(65536)
            if not more:
                break
            data += more
    return bytes(data)


def talk(command, request, pause=None):
    """Runs a client program, gives it `request` and returns what it printed until it ended by itself. With
    `pause` the second part of the request follows when the output has that pattern."""
    with subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as process:
        timer = threading.Timer(TIMEOUT, process.kill)
        timer.start()
        output = b""
        try:
            first, second = request if pause else (request, b"")
            process.stdin.write(first)
            process.stdin.flush()
            while pause and not re.search(pause, output):
                more = os.read(process.stdout.fileno(), 4096)
                assert more, output
                output += more
            if second:
                process.stdin.write(second)
                process.stdin.flush()
            while True:
                more = os.read(process.stdout.fileno(), 65536)
                if not more:
                    break
                output += more
            process.wait(TIMEOUT)
        finally:
            timer.cancel()
            process.kill()
    return output


def s_client(daemon, *arguments, ca=None):
    return ["openssl", "s_client", "-connect", f"127.0.0.1:{daemon.port}", "-servername", "localhost",
            *(["-CAfile", ca.cert, "-verify_return_error"] if ca else []), *arguments]


# --- clients that other people wrote ------------------------------------------------------------


@each_version
def test_websockets_library(serve, authority, version):
    daemon = serve()
    context = tls_files.client_context(authority, version=version)
    big = os.urandom(3 << 20)

    async def session():
        url = f"wss://localhost:{daemon.port}/"
        async with websockets.connect(url, ssl=context, max_size=None) as client:
            assert client.transport.get_extra_info("ssl_object").version() == \
                version.name.replace("_", ".")
            await client.send("text")
            assert await client.recv() == "text"
            await client.send(big)
            assert await client.recv() == big

    asyncio.run(asyncio.wait_for(session(), TIMEOUT))
    daemon.wait_log(r'code=1000 reason="closed by the client"')


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_curl(serve, authority, version):
    daemon = serve()
    result = subprocess.run(
        ["curl", "-sS", "--cacert", authority.cert, f"--tlsv{version}", "--tls-max", version, "-i",
         "--resolve", f"localhost:{daemon.port}:127.0.0.1", f"https://localhost:{daemon.port}/"],
        capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("HTTP/1.1 426 ")


def test_curl_follows_to_https(serve, authority, tmp_path):
    page = tmp_path / "page.html"
    page.write_bytes(b"the page")
    daemon = serve(f"--web={page}", "--redirect-https=yes")
    result = subprocess.run(
        ["curl", "-sSfL", "--cacert", authority.cert, "--resolve", f"localhost:{daemon.port}:127.0.0.1",
         "-w", "|%{http_code}|%{num_redirects}|%{url_effective}|%{ssl_verify_result}",
         f"http://localhost:{daemon.port}/"], capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"the page|200|1|https://localhost:{daemon.port}/|0"


def test_curl_gets_a_large_page(serve, authority, tmp_path):
    page = tmp_path / "page.bin"
    page.write_bytes(os.urandom(5 << 20))
    daemon = serve(f"--web={page}")
    result = subprocess.run(
        ["curl", "-sSf", "--cacert", authority.cert, "--resolve", f"localhost:{daemon.port}:127.0.0.1",
         f"https://localhost:{daemon.port}/"], capture_output=True, timeout=TIMEOUT, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout == page.read_bytes()


@each_version
def test_connection_is_kept(serve, authority, tmp_path, version):
    (tmp_path / "index.html").write_bytes(b"index")
    (tmp_path / "big").write_bytes(os.urandom(3 << 20))
    daemon = serve(f"--web={tmp_path}", f"--handshake-timeout={LONG_MS}ms")
    client = open_tls(daemon, tls_files.client_context(authority, version=version))
    for _ in range(3):
        assert exchange(client, "/").body == b"index"
        assert exchange(client, "/big").body == (tmp_path / "big").read_bytes()
        assert exchange(client, "/big", Range="bytes=-5").body == (tmp_path / "big").read_bytes()[-5:]
    request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    client.send_raw(50 * request)  # in one record
    for _ in range(50):
        assert receive(client).body == b"index"
    client.expect_eof()  # idle; the client waits for close_notify


def test_upgrade_after_a_page(serve, authority, tmp_path):
    (tmp_path / "index.html").write_bytes(b"index")
    client = open_tls(serve(f"--web={tmp_path}"), tls_files.client_context(authority))
    client.send_raw(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + build_request() + frame(1, b"early"))
    assert receive(client).body == b"index"
    client.recv_upgrade()
    assert client.recv_message() == (1, b"early")
    client.close_handshake(1000)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_old_versions_are_refused(serve, version):
    daemon = serve()
    result = subprocess.run(
        ["curl", "-sSk", f"--tlsv{version}", "--tls-max", version, "--ciphers", "DEFAULT@SECLEVEL=0",
         f"https://127.0.0.1:{daemon.port}/"], capture_output=True, text=True, timeout=TIMEOUT,
        check=False)
    assert result.returncode == 35, result
    assert "protocol version" in result.stderr
    daemon.wait_log(FAILED + ".*version")


def test_priority_string(serve, authority):
    daemon = serve("--tls-priority=NORMAL:-VERS-ALL:+VERS-TLS1.3")
    with pytest.raises(ssl.SSLError):
        open_tls(daemon, tls_files.client_context(authority, version=VERSIONS[0]))
    client = open_tls(daemon, tls_files.client_context(authority))
    assert client.sock.tls.version() == "TLSv1.3"
    chat(client)


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl(serve, authority, version):
    daemon = serve()
    output = talk(s_client(daemon, version, "-ign_eof", ca=authority), build_request("/", plain=True))
    assert b"Verify return code: 0 (ok)" in output
    assert b"HTTP/1.1 426 " in output


def gnutls_cli(daemon, authority, priority, *arguments):
    return ["gnutls-cli", *arguments, "--x509cafile", authority.cert, "--priority", priority,
            "--sni-hostname=localhost", "--verify-hostname=localhost", "-p", daemon.port, "127.0.0.1"]


@pytest.mark.parametrize("priority", ["NORMAL:-VERS-ALL:+VERS-TLS1.2", "NORMAL:-VERS-ALL:+VERS-TLS1.3"])
def test_gnutls(serve, authority, priority):
    daemon = serve()
    output = talk(gnutls_cli(daemon, authority, priority), build_request("/", plain=True))
    assert b"The certificate is trusted" in output
    assert b"HTTP/1.1 426 " in output


@pytest.mark.parametrize("priority", ["NORMAL:-VERS-ALL:+VERS-TLS1.2", "NORMAL:-VERS-ALL:+VERS-TLS1.3"])
def test_gnutls_resumes(serve, authority, priority):
    """It connects twice by itself; the second time with what it got the first time."""
    daemon = serve()
    output = talk(gnutls_cli(daemon, authority, priority, "--resume"), build_request("/", plain=True))
    assert b"This is a resumed session" in output
    assert b"HTTP/1.1 426 " in output


def test_key_update(serve):
    """A client of TLS 1.3 may ask for new keys at any time."""
    daemon = serve()
    request = build_request("/", plain=True)
    output = talk(s_client(daemon, "-tls1_3"), (b"K\n", request), pause=b"KEYUPDATE")
    assert b"HTTP/1.1 426 " in output


def test_renegotiation_is_refused(serve):
    """TLS 1.2 lets a client ask for a second handshake, which costs the server more than the client."""
    daemon = serve()
    output = talk(s_client(daemon, "-tls1_2"), (b"R\n", b""), pause=b"RENEGOTIATING")
    assert b"HTTP" not in output
    daemon.wait_log(FAILED)
    chat(open_tls(daemon, tls_files.client_context()))


def test_no_early_data(serve, tmp_path):
    """An attacker could replay it (RFC 8446, section 8)."""
    daemon = serve("-v")
    request, ticket, early = build_request("/", plain=True), tmp_path / "ticket", tmp_path / "early"
    early.write_bytes(build_request("/early", plain=True))
    talk(s_client(daemon, "-tls1_3", "-ign_eof", "-sess_out", ticket), request)
    assert b"Max Early Data: 0" in subprocess.run(
        ["openssl", "sess_id", "-in", ticket, "-noout", "-text"], capture_output=True, check=True).stdout
    output = talk(s_client(daemon, "-tls1_3", "-ign_eof", "-sess_in", ticket, "-early_data", early), request)
    assert b"Early data was not sent" in output
    assert b"HTTP/1.1 426 " in output
    assert "/early" not in daemon.log()


# --- proxies in front ----------------------------------------------------------------------------


@pytest.mark.parametrize("send", ["", "send-proxy", "send-proxy-v2"])
def test_haproxy_passes_tls_on(run, serve, authority, pair, tmp_path, send):
    """Bytes pass as they are; what haproxy says in front of them is not encrypted."""
    trust = ["--trusted-proxy=127.0.0.1", "--proxy-protocol=yes"] if send else []
    daemon = serve("--tls=required", *trust)
    haproxy = run(Haproxy(tmp_path, f"127.0.0.1:{daemon.port}", server_more=send))
    sock = socket.create_connection(("127.0.0.1", haproxy.port), TIMEOUT, ("127.0.0.9", 0))
    with RawClient(None, sock=sock, tls=tls_files.client_context(authority)) as client:
        assert client.sock.tls.getpeercert(True) == der(pair)
        port = client.sock.getsockname()[1]
        chat(client)
    daemon.wait_log(rf"127\.0\.0\.9:{port}: .*closed" if send else "127.0.0.1:.*closed")


def test_haproxy_encrypts_again(run, serve, authority, tmp_path):
    """Its own certificate for the client; ours, which it verifies, behind it. Its first check, by TLS too, may take
    its time: haproxy gives a server up that fails in it."""
    outer = authority.issue("localhost")
    both = tmp_path / "outer.pem"
    both.write_text(outer.cert.read_text() + outer.key.read_text())
    daemon = serve("--tls=required")
    haproxy = run(Haproxy(
        tmp_path, f"127.0.0.1:{daemon.port}", f"ssl crt {both} alpn http/1.1",
        f"ssl verify required ca-file {authority.cert} sni str(localhost) verifyhost localhost "
        "alpn http/1.1 check inter 100s"))
    for version in VERSIONS:
        sock = socket.create_connection(("127.0.0.1", haproxy.port), TIMEOUT)
        with RawClient(None, sock=sock, tls=tls_files.client_context(authority, version=version)) as client:
            assert client.sock.tls.getpeercert(True) == der(outer)
            client.upgrade()
            client.send_in_background(frame(2, b"x" * (1 << 20)))
            assert client.recv_bytes(1 << 20) == b"x" * (1 << 20)
            client.close_handshake(1000)


# --- one port -----------------------------------------------------------------------------------


def test_plain_and_tls_on_one_port(serve, authority):
    daemon = serve()
    context = tls_files.client_context(authority)
    for _ in range(3):
        chat(daemon.connect())
        chat(open_tls(daemon, context))
    assert daemon.http(plain=True).status == 426


def test_first_byte_alone(serve):
    """The byte that decides is looked at, not taken."""
    daemon = serve()
    plain = daemon.connect()
    request = build_request("/")
    plain.send_pieces([request[:1], request[1:]])
    plain.recv_upgrade()
    plain.round_trip()

    class FirstAlone(socket.socket):
        alone = True

        def sendall(self, data, *args):
            if self.alone:
                self.alone = False
                super().sendall(data[:1])
                daemon.settle()
                data = data[1:]
            super().sendall(data)

    sock = FirstAlone()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.settimeout(TIMEOUT)
    sock.connect(daemon.address)
    with RawClient(None, sock=sock, tls=tls_files.client_context()) as client:
        chat(client)


@pytest.mark.parametrize("tls", (False, True), ids=["plain", "tls"])
@pytest.mark.parametrize("mode", ("auto", "required"))
def test_what_follows_descriptors_of_a_unix_client(serve, tmp_path, mode, tls):
    """A read stops behind the bytes that a message with descriptors belongs to (unix(7)), and is not the last."""
    if (mode, tls) == ("required", False):
        pytest.skip("nothing plain is read there")
    path = f"{tmp_path}/front"
    daemon = serve("-l", f"unix:{path}", f"--tls={mode}", defaults=False)
    client = daemon.connect(address=path)
    message = client_hello() if tls else build_request("/")
    with standing_still(daemon), open(os.devnull) as file:
        socket.send_fds(client.sock, [message[:60]], [file.fileno()])
        client.send_raw(message[60:])
    if tls:
        assert client.sock.recv(1) == b"\x16", "no ServerHello"
    else:
        client.recv_upgrade()


def test_required(serve):
    daemon = serve("--tls=required")
    chat(open_tls(daemon, tls_files.client_context()))
    client = daemon.connect()
    client.send_raw(build_request("/"))
    answer = end_of(client.sock)
    assert b"HTTP" not in answer
    daemon.wait_log(FAILED)


def test_off(serve):
    daemon = serve("--tls=off")
    chat(daemon.connect())
    client = daemon.connect()
    client.send_raw(client_hello())
    assert b"\x16\x03" not in end_of(client.sock)


def test_off_needs_no_files(serve, tmp_path):
    missing = tls_files.Pair(tmp_path / "none.pem", tmp_path / "none.key")
    chat(serve("--tls=off", pairs=[missing]).connect())


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_redirect(serve, method):
    daemon = serve("--redirect-https=yes")
    client = daemon.connect()
    client.send_raw(build_request("/a/b?c=d%20", plain=True, method=method,
                                  headers={"Host": "example.org:8443"}))
    answer = client.recv_http(head_only=method == "HEAD")
    assert answer.status == 308
    assert answer.header("Location") == "https://example.org:8443/a/b?c=d%20"
    client.expect_eof()


def test_redirect_of_an_upgrade_and_not_of_tls(serve):
    daemon = serve("--redirect-https=yes")
    client = daemon.connect()
    client.send_raw(build_request("/x"))
    answer = client.recv_http()
    assert (answer.status, answer.header("Location")[-2:]) == (308, "/x")
    client = open_tls(daemon, tls_files.client_context())
    client.send_raw(build_request("/x", plain=True))
    assert client.recv_http().status == 426
    chat(open_tls(daemon, tls_files.client_context()))


def test_redirect_spares_health(serve):
    """Balancers ask plainly, and with TLS if they are told to."""
    daemon = serve("--redirect-https=yes", "--health=/healthz")
    client = daemon.connect()
    assert exchange(client, "/healthz").status == 200
    assert exchange(client, "/healthz/").status == 308
    assert exchange(open_tls(daemon, tls_files.client_context()), "/healthz").status == 200
    upgrade = daemon.connect()
    upgrade.send_raw(build_request("/healthz"))
    assert upgrade.recv_http().status == 308


@pytest.mark.parametrize("target, status", (
    ("/" + 3000 * "x", 308), ("/" + 5000 * "x", 414), ("*", 400), ("//evil.example/", 308)))
def test_redirect_of_odd_targets(serve, target, status):
    client = serve("--redirect-https=yes").connect()
    client.send_raw(build_request(target, plain=True, method="HEAD", headers={"Host": "example.org"}))
    answer = client.recv_http(head_only=True)
    assert answer.status == status
    assert answer.header("Location") == (f"https://example.org{target}" if status == 308 else None)
    client.expect_eof()


def test_redirect_without_a_host(serve):
    client = serve("--redirect-https=yes").connect()
    client.send_raw(b"GET / HTTP/1.0\r\n\r\n")
    answer = client.recv_http()
    assert (answer.status, answer.header("Location")) == (400, None)


# --- certificates -------------------------------------------------------------------------------


def test_chain_is_sent(serve, authority):
    output = talk(s_client(serve(), "-showcerts", "-ign_eof"), build_request("/", plain=True))
    assert output.count(b"-----BEGIN CERTIFICATE-----") >= 2


@pytest.mark.parametrize("kind", ["expired", "wrong name", "self-signed", "unknown issuer"])
def test_clients_notice_bad_certificates(serve, authority, tmp_path, kind):
    """The daemon uses what it is given; a client that verifies refuses it, and the log says why."""
    made = {
        "expired": lambda: authority.issue("localhost", expired=True),
        "wrong name": lambda: authority.issue("other.example"),
        "self-signed": lambda: tls_files.self_signed(tmp_path, "localhost"),
        "unknown issuer": lambda: tls_files.Authority(tmp_path).issue("localhost"),
    }
    daemon = serve(pairs=[made[kind]()])
    with pytest.raises(ssl.SSLCertVerificationError):
        open_tls(daemon, tls_files.client_context(authority, version=VERSIONS[0]))
    daemon.wait_log(FAILED + "the other side sent the alert")
    # OpenSSL's alert of TLS 1.3 comes in the clear, where the server can only see that it is not a record.
    with pytest.raises(ssl.SSLCertVerificationError):
        open_tls(daemon, tls_files.client_context(authority, version=VERSIONS[1]))
    daemon.wait_log(FAILED, count=2)
    chat(open_tls(daemon, tls_files.client_context()))


def test_server_name_chooses(serve, authority):
    one, two = authority.issue("one.example"), authority.issue("two.example", "www.two.example")
    daemon = serve(pairs=[one, two])
    context = tls_files.client_context(authority)
    assert shown(daemon, context, "one.example") == der(one)
    assert shown(daemon, context, "two.example") == der(two)
    assert shown(daemon, context, "www.two.example") == der(two)
    assert shown(daemon, tls_files.client_context(), "three.example") == der(one)


def test_server_name_chooses_by_pattern(serve, authority, people):
    """GnuTLS itself compares names letter by letter. A name of its own comes before a pattern, whichever is
    given first, and the algorithms of the client decide between certificates with the same pattern."""
    one, wild = authority.issue("one.example"), authority.issue("*.two.example")
    rsa, own = authority.issue("*.two.example", key="rsa"), authority.issue("own.two.example")
    ca, clients = people
    daemon = serve(f"--client-ca={ca.cert}", "--client-verify=required", "--tls=required",
                   pairs=[one, wild, rsa, own])
    for version in VERSIONS:
        context = tls_files.client_context(authority, pair=clients["valid"], version=version)
        assert shown(daemon, context, "any.two.example") == der(wild)
        assert shown(daemon, context, "own.two.example") == der(own)
        assert shown(daemon, context, "one.example") == der(one)
        context.check_hostname = False
        assert shown(daemon, context, "ANY.Two.EXAMPLE") == der(wild)
        assert shown(daemon, context, "ONE.example") == der(one)
        context.verify_mode = ssl.CERT_NONE
        for name in ("two.example", "a.b.two.example", "xtwo.example"):
            assert shown(daemon, context, name) == der(one)
    context = tls_files.client_context(authority, pair=clients["valid"], version=VERSIONS[0])
    context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
    assert shown(daemon, context, "any.two.example") == der(rsa)


def test_no_server_name(serve, authority, pair):
    """Addresses are not names, so none is sent: the first pair answers."""
    daemon = serve(pairs=[pair, authority.issue("two.example")])
    assert shown(daemon, tls_files.client_context(authority), "127.0.0.1") == der(pair)


def test_key_in_the_file_of_the_certificate(run, authority, pair, tmp_path):
    both = tmp_path / "both.pem"
    both.write_text(pair.cert.read_text() + pair.key.read_text())
    daemon = run(Daemon(f"--cert={both}", peer="echo://", tls=False))
    assert shown(daemon, tls_files.client_context(authority)) == der(pair)


@pytest.mark.parametrize("first", ["ec", "rsa"])
def test_the_first_of_two_kinds_of_keys_is_preferred(serve, authority, pair, first):
    """Which one costs the server a quarter of the other, so the order must mean something."""
    rsa = authority.issue("localhost", key="rsa")
    pairs = [pair, rsa] if first == "ec" else [rsa, pair]
    daemon = serve(pairs=pairs)
    assert shown(daemon, tls_files.client_context(authority)) == der(pairs[0])
    old = tls_files.client_context(authority, version=VERSIONS[0])
    assert shown(daemon, old) == der(pair)  # GnuTLS goes by its order of ciphers


def test_rsa_and_ec_for_the_same_name(serve, authority, pair):
    rsa = authority.issue("localhost", key="rsa")
    daemon = serve(pairs=[pair, rsa])
    context = tls_files.client_context(authority, version=VERSIONS[0])
    for ciphers, expected in (("ECDHE-RSA-AES128-GCM-SHA256", rsa),
                              ("ECDHE-ECDSA-AES128-GCM-SHA256", pair)):
        context.set_ciphers(ciphers)
        assert shown(daemon, context) == der(expected)


@each_version
def test_alpn(serve, version):
    daemon = serve()
    for offered, selected in ((["http/1.1"], "http/1.1"), (["h2", "http/1.1"], "http/1.1"), (None, None)):
        context = tls_files.client_context(version=version)
        if offered:
            context.set_alpn_protocols(offered)
        client = open_tls(daemon, context)
        assert client.sock.tls.selected_alpn_protocol() == selected
        chat(client)


@each_version
def test_only_other_protocols_are_offered(serve, version):
    """A client of HTTP/2 alone would not understand our answers: RFC 7301, 3.2."""
    daemon = serve()
    context = tls_files.client_context(version=version)
    context.set_alpn_protocols(["h2"])
    with pytest.raises(ssl.SSLError, match="no application protocol"):
        open_tls(daemon, context)
    daemon.wait_log(NOT_DONE + ".*application protocol")
    assert "answered" not in daemon.log()


@each_version
def test_resumption(serve, authority, version):
    daemon = serve()
    context = tls_files.client_context(authority, version=version)
    first = open_tls(daemon, context)
    chat(first)
    assert not first.sock.tls.session_reused
    second = open_tls(daemon, context, session=first.sock.tls.session)
    assert second.sock.tls.session_reused
    chat(second)


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_resumes(serve, tmp_path, version):
    daemon = serve()
    request, ticket = build_request("/", plain=True), tmp_path / "ticket"
    first = talk(s_client(daemon, version, "-ign_eof", "-sess_out", ticket), request)
    assert b"\nNew, TLSv" in first
    second = talk(s_client(daemon, version, "-ign_eof", "-sess_in", ticket), request)
    assert b"\nReused, TLSv" in second
    assert b"HTTP/1.1 426 " in second


def test_openssl_reconnects(serve):
    daemon = serve()
    output = talk(s_client(daemon, "-tls1_2", "-ign_eof", "-reconnect"), build_request("/", plain=True))
    assert output.count(b"\nReused, TLSv1.2") == 5
    assert b"HTTP/1.1 426 " in output


@each_version
def test_new_certificates_end_old_tickets(changing, authority, version):
    """A session cannot be taken up again that began under a certificate that is gone."""
    daemon, live = changing
    context = tls_files.client_context(authority, version=version)
    first = open_tls(daemon, context)
    chat(first)
    new = authority.issue("localhost")
    copy(new, live)
    daemon.wait_log("read again")
    second = open_tls(daemon, context, session=first.sock.tls.session)
    assert not second.sock.tls.session_reused
    assert second.sock.tls.getpeercert(True) == der(new)
    chat(second)


# --- certificates of clients --------------------------------------------------------------------


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """An authority for clients, and certificates good and bad."""
    folder = tmp_path_factory.mktemp("people")
    ca = tls_files.Authority(folder, "People")
    return ca, {
        "none": None,
        "valid": ca.issue("Jane Doe", organization="Example"),
        "expired": ca.issue("Jane Doe", expired=True),
        "other issuer": tls_files.Authority(folder, "People").issue("Jane Doe"),
        "self-signed": tls_files.self_signed(folder, "Jane"),
    }


@each_version
@pytest.mark.parametrize("mode,who,welcome", [
    ("off", "none", True), ("off", "other issuer", True),
    ("optional", "none", True), ("optional", "valid", True), ("optional", "expired", False),
    ("optional", "other issuer", False), ("optional", "self-signed", False),
    ("required", "none", False), ("required", "valid", True), ("required", "expired", False),
    ("required", "other issuer", False), ("required", "self-signed", False),
])
def test_client_certificates(serve, authority, people, version, mode, who, welcome):
    ca, pairs = people
    daemon = serve(f"--client-ca={ca.cert}", f"--client-verify={mode}", "--tls=required")
    context = tls_files.client_context(authority, pair=pairs[who], version=version)
    if welcome:
        chat(open_tls(daemon, context))
        return
    with pytest.raises((ssl.SSLError, ConnectionResetError, BrokenPipeError)):
        client = open_tls(daemon, context)  # with TLS 1.3 the client is done before it is refused
        client.sock.recv(1)
    log = daemon.wait_log(FAILED + "(.*)").group(1).lower()
    expected = {"expired": "expired", "other issuer": "", "self-signed": "", "none": "certificate"}[who]
    assert expected in log
    assert "connected to" not in daemon.log()


@each_version
def test_resumption_with_a_client_certificate(serve, authority, people, version):
    ca, pairs = people
    daemon = serve(f"--client-ca={ca.cert}", "--client-verify=required", "--tls=required")
    context = tls_files.client_context(authority, pair=pairs["valid"], version=version)
    first = open_tls(daemon, context)
    chat(first)
    second = open_tls(daemon, context, session=first.sock.tls.session)
    assert second.sock.tls.session_reused
    chat(second)


@each_version
def test_other_authority_after_reload(run, authority, pair, people, tmp_path, version):
    """A client whose authority a reload removes cannot resume its session, and its open connection ends."""
    ca, pairs = people
    path = tmp_path / "websocksy.conf"

    def configure(client_ca):
        path.write_text(
            "[core]\nport = 0\nlisten = 127.0.0.1\ntls = required\nclient-verify = required\n"
            f"cert = {pair.cert}\nkey = {pair.key}\nclient-ca = {client_ca}\n"
            "[backend]\nhost = echo://\n")

    configure(ca.cert)
    daemon = run(Daemon(path, defaults=False, tls=False))
    context = tls_files.client_context(authority, pair=pairs["valid"], version=version)
    first = open_tls(daemon, context)
    first.upgrade()
    first.round_trip()
    configure(authority.cert)
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("(?i)reload|read again")
    first.expect_close(1008)
    with pytest.raises((ssl.SSLError, ConnectionResetError, BrokenPipeError)):
        open_tls(daemon, context, session=first.sock.tls.session).sock.recv(1)
    daemon.wait_log(FAILED)
    first.send_close(1008)
    first.expect_eof()


def test_subject_reaches_the_backend(run, serve, authority, people, tmp_path):
    """Under a name that no other process can use."""
    ca, pairs = people
    peer = run(TcpPeer(echo))
    (tmp_path / "CN=Jane Doe,O=Example").write_text(f"{peer.url} *\n")
    daemon = serve(f"--client-ca={ca.cert}", "--client-verify=optional", "-b", "file", "-c",
                   f"path={tmp_path}", "-c", "expression=%header:Websocksy-Client-Subject%", peer=None)
    client = open_tls(daemon, tls_files.client_context(authority, pair=pairs["valid"]))
    client.upgrade(headers={"Websocksy-Client-Subject": "CN=Somebody Else"})
    client.send_text("it is me")
    assert client.recv_message() == (1, b"it is me")
    client.close_handshake()
    forged = {"Websocksy-Client-Subject": "CN=Jane Doe,O=Example",
              "websocksy-client-subject": "CN=Jane Doe,O=Example"}
    for client in (open_tls(daemon, tls_files.client_context(authority)), daemon.connect()):
        client.send_raw(build_request("/", headers=forged))
        assert client.recv_http().status == 404


# --- handshakes that are slow, cut, or rubbish --------------------------------------------------


@each_version
def test_handshake_byte_by_byte(serve, version):
    daemon = serve()

    class Bytewise(socket.socket):
        def sendall(self, data, *args):
            for at in range(len(data)):
                super().sendall(data[at:at + 1])
                daemon.settle()

    sock = Bytewise()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.settimeout(TIMEOUT)
    sock.connect(daemon.address)
    with RawClient(None, sock=sock, tls=tls_files.client_context(version=version)) as client:
        chat(client)


@each_version
def test_hello_in_many_records(serve, version):
    """A message may be cut into records at any place, and each may come alone."""
    daemon = serve()

    class ManyRecords(socket.socket):
        first = True

        def sendall(self, data, *args):
            if self.first:
                self.first = False
                header, message = data[:3], data[5:]
                pieces = [message[:1], message[1:4], *(message[at:at + 50] for at in range(4, len(message), 50))]
                data = b"".join(header + len(piece).to_bytes(2, "big") + piece for piece in pieces)
            super().sendall(data, *args)

    sock = ManyRecords()
    sock.settimeout(TIMEOUT)
    sock.connect(daemon.address)
    with RawClient(None, sock=sock, tls=tls_files.client_context(version=version)) as client:
        chat(client)


@pytest.mark.parametrize("sent", ["nothing", "one byte", "half", "hello"])
def test_stalled_handshake(serve, sent):
    """It ends at handshake-timeout, and meanwhile others are served."""
    daemon = serve(f"--handshake-timeout={LONG_MS}ms")
    hello = client_hello()
    begun = time.monotonic()
    stalled = daemon.connect()
    stalled.send_raw({"nothing": b"", "one byte": hello[:1], "half": hello[:100], "hello": hello}[sent])
    for _ in range(3):
        chat(open_tls(daemon, tls_files.client_context()))
    answer = end_of(stalled.sock)
    assert time.monotonic() - begun > LONG - 0.05
    # A client that has not sent anything may be one for plain HTTP.
    assert (b"HTTP/1.1 408 " in answer) == (sent == "nothing")
    assert answer[:1] == {"nothing": b"H", "hello": b"\x16"}.get(sent, b"")
    if sent != "nothing":
        daemon.wait_log(NOT_DONE + r"it is not done in time \(handshake-timeout\)")
        assert "answered" not in daemon.log()


@pytest.mark.parametrize("sent", ["nothing", "half"])
def test_stalled_handshake_where_tls_is_required(serve, sent):
    daemon = serve("--handshake-timeout=300ms", "--tls=required")
    stalled = daemon.connect()
    stalled.send_raw({"nothing": b"", "half": client_hello()[:100]}[sent])
    assert end_of(stalled.sock) == b""
    daemon.wait_log(NOT_DONE + "it is not done in time")
    assert "answered" not in daemon.log()


def test_stop_within_a_handshake(serve):
    """There is nothing to say to a client that has not got so far."""
    daemon = serve("--grace=100ms")
    daemon.settle()
    stalled = daemon.connect()
    stalled.send_raw(client_hello()[:100])
    daemon.settle()
    daemon.stop(close_clients=False)
    assert end_of(stalled.sock) == b""
    assert "answered" not in daemon.log()


def test_timeout_behind_the_handshake(serve):
    """A client that has TLS and asks for nothing gets its 408 encrypted."""
    daemon = serve(f"--handshake-timeout={LONG_MS}ms")
    client = open_tls(daemon, tls_files.client_context())
    assert client.recv_http().status == 408
    client.expect_eof()


@pytest.mark.skipif(SANITIZED, reason="the leak check does not work under strace")
def test_burst_of_handshakes_delays_nobody(run, pair, tmp_path):
    """Signatures take long: they are made after all that is ready of other connections. What counts is the order in
    which the daemon sends; the time for signatures in a turn is tested with the event loop."""
    if not can_trace():
        pytest.skip("strace is not installed, or tracing is not allowed here")
    record = tmp_path / "record"
    daemon = run(Daemon(
        "-D", "-o", record, "-e", "trace=epoll_wait,epoll_pwait,sendto,sendmsg", BINARY, "-p", "0",
        "-l", "127.0.0.1", f"--cert={pair.cert}", f"--key={pair.key}", "-c", "protocol=*", peer="echo://",
        tls=False, defaults=False, executable=shutil.which("strace")))
    client = daemon.connect(tls=None)
    client.upgrade()
    hello = client_hello()
    burst = [daemon.connect(tls=None) for _ in range(40)]
    for _ in range(2):
        client.round_trip()  # all are accepted
    with standing_still(daemon):
        for each in burst:
            each.send_raw(hello)
        client.send_frame(PING, b"behind the burst")
    assert client.recv_frame() == Frame(True, PONG, b"behind the burst")
    for each in burst:
        assert each.sock.recv(1) == b"\x16"
    daemon.stop()
    text = eventually(lambda: re.search(r"(?s).*\+\+\+ exited", record.read_text()),
                      "the end of strace's record").group()
    turns = [turn.count(r'"\26\3\3') for turn in text.split("epoll_")]
    assert sum(turns) == 40
    assert text.split("behind the burst")[0].count(r'"\26\3\3') == 0


@each_version
def test_stalled_record(serve, version):
    """Half a record delays no other client; with the other half the message is there."""
    daemon = serve()
    client = open_tls(daemon, tls_files.client_context(version=version))
    client.upgrade()
    client.sock.tls.write(frame(1, b"x" * 5000))
    record = client.sock.outgoing.read()
    for part in (record[:1], record[1:4], record[4:3000], record[3000:-1]):
        client.sock.sock.sendall(part)
        chat(open_tls(daemon, tls_files.client_context()))
    client.sock.sock.sendall(record[-1:])
    assert client.recv_message() == (1, b"x" * 5000)
    client.close_handshake()


def test_cut_handshakes(serve):
    """Clients that vanish at any place leave nothing."""
    daemon = serve()
    daemon.settle()
    fds = daemon.fds()
    hello = client_hello()
    for number, at in enumerate([1, 2, 4, 5, 6, *range(10, len(hello) + 1, 29), len(hello)]):
        client = daemon.connect()
        client.send_raw(hello[:at])
        if number % 3 == 0:
            daemon.settle()
        if number % 2:
            client.abort()
        else:
            client.close()
    eventually(lambda: daemon.fds() == fds, "the descriptors to be closed")
    chat(open_tls(daemon, tls_files.client_context()))


@each_version
@pytest.mark.parametrize("how", ["close", "abort", "stall"])
def test_cut_in_each_flight(serve, version, how):
    """Behind each piece that the client sends, and within it."""
    daemon = serve()
    daemon.settle()
    fds = daemon.fds()
    flights = 0
    for flight in range(8):
        for share in (0.5, 1):
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            session = tls_files.client_context(version=version).wrap_bio(
                incoming, outgoing, server_hostname="localhost")
            client = daemon.connect()
            done = False
            for _ in range(flight):
                with contextlib.suppress(ssl.SSLWantReadError):
                    session.do_handshake()
                    done = True
                client.sock.sendall(outgoing.read())
                if not done:
                    incoming.write(client.sock.recv(1 << 16))
            with contextlib.suppress(ssl.SSLWantReadError):
                session.do_handshake()
            data = outgoing.read()
            client.sock.sendall(data[:int(len(data) * share)])
            if how == "close":
                client.close()
            elif how == "abort":
                client.abort()
        flights = flight
        if done:
            break
    assert 1 <= flights < 8
    daemon.barrier.round_trip()  # those that stall delay no other
    chat(open_tls(daemon, tls_files.client_context()))
    barrier = daemon.barrier
    daemon.clients.remove(barrier)
    daemon.close_clients()
    eventually(lambda: daemon.fds() == fds, "the descriptors to be closed")
    barrier.close()


def test_many_stalled_handshakes(serve):
    """Two hundred clients that stop in the middle, in the handshake or in a record, delay no other."""
    daemon = serve()
    daemon.settle()
    hello = client_hello()
    for number in range(200):
        client = daemon.connect()
        client.send_raw(hello[:1 + number * len(hello) // 200])
    for _ in range(20):
        client = open_tls(daemon, tls_files.client_context())
        client.upgrade()
        client.sock.tls.write(frame(1, b"x" * 100))
        client.sock.sock.sendall(client.sock.outgoing.read()[:50])
    for _ in range(10):
        daemon.barrier.round_trip()
        chat(open_tls(daemon, tls_files.client_context()))


def test_cut_handshake_is_logged_and_a_mere_connection_is_not(serve):
    """A monitor that connects and leaves should not fill the log."""
    daemon = serve("--tls=required")
    for _ in range(5):
        daemon.connect().close()
    daemon.connect().abort()
    client = daemon.connect()
    client.send_raw(client_hello()[:100])
    client.close()
    daemon.wait_log(NOT_DONE)
    client = daemon.connect()
    client.send_raw(client_hello())
    assert client.sock.recv(1) == b"\x16"
    client.abort()
    daemon.wait_log(NOT_DONE, count=2)
    assert len(re.findall("failed", daemon.log())) == 2


RUBBISH = {
    "zeros": b"\x16" + bytes(300),
    "ones": b"\x16" + b"\xff" * 300,
    "text": b"\x16GET / HTTP/1.1\r\n\r\n" + b"x" * 300,
    "long record": b"\x16\x03\x01\xff\xff" + b"x" * 70000,
    "empty record": b"\x16\x03\x01\x00\x00" * 20 + b"x" * 300,
    "alert": b"\x16\x03\x03\x00\x04\x01\x00\x00\x00\x15\x03\x03\x00\x02\x02\x28" + b"x" * 300,
    "random": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc" + bytes((i * 73 + 11) & 255 for i in range(2000)),
}


@pytest.mark.parametrize("name", RUBBISH)
def test_rubbish(serve, name):
    daemon = serve()
    client = daemon.connect()
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        client.send_raw(RUBBISH[name])
    assert b"HTTP" not in end_of(client.sock)
    daemon.wait_log(FAILED)
    chat(open_tls(daemon, tls_files.client_context()))


def test_failures_do_not_fill_the_log(serve):
    """Twenty lines in each second of the daemon's clock, of which a second of its log may show two, and the
    others are counted."""
    daemon = serve()
    total = 300

    def rubbish():
        client = daemon.connect()
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            client.send_raw(RUBBISH["ones"])
        end_of(client.sock)
        client.close()

    def counted():
        rubbish()  # what was suppressed is told with the next line
        text = daemon.log()
        suppressed = sum(map(int, re.findall(r"TLS: (\d+) more lines? for 127\.0\.0\.1 suppressed", text)))
        return suppressed and suppressed + len(re.findall(FAILED, text)) >= total

    for _ in range(total):
        rubbish()
    eventually(counted, "the number of lines that were suppressed", every=0.2)
    seconds = collections.Counter(
        line[:len("2000-01-01T00:00:00")] for line in daemon.log().splitlines() if re.search(FAILED, line))
    assert max(seconds.values()) <= 40


@pytest.mark.parametrize("upgraded", [False, True], ids=["before the request", "upgraded"])
def test_error_behind_data(serve, authority, upgraded):
    """GnuTLS says only once that there were too many new keys, here in the read that brought data."""
    daemon = serve()
    client = daemon.connect(tls=None)
    session = GnutlsSession(client.sock)
    session.handshake()
    if upgraded:
        session.send(build_request())
        assert session.recv().startswith(b"HTTP/1.1 101 ")
    session.send_and_fail(frame(BIN, b"x") if upgraded else b"GET / HT")
    end_of(client.sock)
    daemon.wait_log("#1 .*Too many handshake packets|#1 .*Protocol error")
    chat(open_tls(daemon, tls_files.client_context(authority)))
    session.close()
    daemon.stop()


@each_version
def test_damaged_record(serve, version):
    """A record that was changed on its way ends the connection, and the peer gets nothing of it."""
    peer = TcpPeer()
    with peer:
        daemon = serve(peer=peer.url)
        client = open_tls(daemon, tls_files.client_context(version=version))
        client.upgrade()
        client.send_text("good")
        connection = peer.accept()
        assert connection.recv_exactly(4) == b"good"
        client.sock.tls.write(frame(1, b"bad"))
        record = bytearray(client.sock.outgoing.read())
        record[-3] ^= 1
        client.sock.sock.sendall(record)
        end_of(client.sock.sock)
        assert connection.recv_all() == b""


# --- data ---------------------------------------------------------------------------------------


@each_version
def test_big_messages_both_ways(run, serve, version):
    peer = run(TcpPeer(echo))
    daemon = serve(peer=peer.url)
    client = open_tls(daemon, tls_files.client_context(version=version))
    client.upgrade()
    data = os.urandom(12 << 20)
    client.send_in_background(frame(2, data))
    assert client.recv_bytes(len(data), 6 * TIMEOUT) == data
    for size in (1, 16383, 16384, 16385, 65535, 262143, 262144, 262145):
        client.send_binary(data[:size])
        assert client.recv_bytes(size) == data[:size]
    client.close_handshake()


def test_many_small_records(serve):
    """Each frame in a record of its own, all sent at once."""
    daemon = serve()
    client = open_tls(daemon, tls_files.client_context())
    client.upgrade()
    records = bytearray()
    for number in range(20000):
        client.sock.tls.write(frame(1, b"%d" % number))
        if number % 500 == 499:
            records += client.sock.outgoing.read()
    sender = client.sock.sock.dup()
    thread = threading.Thread(target=sender.sendall, args=(records,), daemon=True)
    thread.start()
    for number in range(20000):
        assert client.recv_message(TIMEOUT) == (1, b"%d" % number)
    thread.join()
    sender.close()
    client.close_handshake()


# The buffers of a socket may grow to tens of megabytes (tcp_rmem, tcp_wmem) before the daemon's own count.
MORE_THAN_KERNELS_HOLD = (8 << 20) + (kernel_holds() >> 20 << 20)


def settled(counter, daemon):
    """Waits until a number has grown and then stands still, though the daemon has nothing to do; returns it."""
    last, since = counter(), time.monotonic()

    def still():
        nonlocal last, since
        now = counter()
        if now != last or daemon.state() != "S":
            last, since = now, time.monotonic()
        return now > 0 and time.monotonic() - since > 0.5

    eventually(still, "the flow to stop")
    return last


def test_client_that_does_not_read(run, serve):
    data = os.urandom(1 << 20) * (MORE_THAN_KERNELS_HOLD >> 20)
    progress = [0]

    def send(connection):
        connection.sock.settimeout(5 * TIMEOUT)
        view = memoryview(data)
        while progress[0] < len(data):
            progress[0] += connection.sock.send(view[progress[0]:progress[0] + 65536])
        connection.finish()
        connection.recv_all()

    daemon = serve(peer=run(TcpPeer(send, sndbuf=65536)).url)
    before = daemon.rss()
    client = daemon.connect(rcvbuf=32768)
    client.sock = TlsSocket(client.sock, tls_files.client_context())
    client.upgrade()
    assert settled(lambda: progress[0], daemon) < MORE_THAN_KERNELS_HOLD - (2 << 20)
    if not SANITIZED:
        assert daemon.rss() - before < 3 << 20
    assert client.recv_bytes(len(data), TIMEOUT) == data
    client.expect_close(1000)
    client.send_close(1000)
    client.expect_eof()


def test_peer_that_does_not_read(run, serve):
    peer = run(TcpPeer(rcvbuf=65536))
    daemon = serve(peer=peer.url)
    before = daemon.rss()
    client = open_tls(daemon, tls_files.client_context())
    client.upgrade()
    connection = peer.accept()
    data = os.urandom(1 << 20) * (MORE_THAN_KERNELS_HOLD >> 20)
    progress = [0]

    def send():
        for at in range(0, len(data), 65536):
            client.sock.sendall(frame(2, data[at:at + 65536]))
            progress[0] = at + 65536

    client.sock.settimeout(5 * TIMEOUT)
    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    assert settled(lambda: progress[0], daemon) < MORE_THAN_KERNELS_HOLD - (2 << 20)
    if not SANITIZED:
        assert daemon.rss() - before < 3 << 20
    assert connection.recv_exactly(len(data)) == data
    thread.join(TIMEOUT)
    client.close_handshake()


def test_end_without_goodbye(run, serve):
    """Many clients just close the socket: what they sent before arrives, and the peer sees the end."""
    peer = run(TcpPeer())
    daemon = serve(peer=peer.url)
    client = open_tls(daemon, tls_files.client_context())
    client.upgrade()
    connection = peer.accept()
    client.send_binary(b"z" * 100000)
    client.sock.sock.close()
    assert connection.recv_all() == b"z" * 100000
    assert not connection.reset
    daemon.wait_log(r'code=1006 reason="the connection ended without close_notify"')


def test_thousand_sessions(serve, authority):
    daemon = serve()
    fds = daemon.fds()
    contexts = [tls_files.client_context(authority, version=version) for version in VERSIONS]
    for context in contexts * 100:
        chat(open_tls(daemon, context))
    daemon.close_clients()
    eventually(lambda: daemon.fds() == fds, "the descriptors to be closed")
    memory = daemon.rss()
    for number in range(1000):
        client = open_tls(daemon, contexts[number % 2])
        if number % 3:
            chat(client)
        else:
            client.sock.sock.close()  # in the middle
        client.close()
        daemon.clients.clear()
    eventually(lambda: daemon.fds() == fds, "the descriptors to be closed")
    if not SANITIZED:
        assert daemon.rss() - memory < 512 << 10


# --- other certificates while it runs -----------------------------------------------------------


@pytest.fixture
def changing(serve, authority, tmp_path):
    """A daemon whose files may be changed, and what is in them: (daemon, pair)."""
    live = tls_files.Pair(tmp_path / "live.pem", tmp_path / "live.key")
    copy(authority.issue("localhost"), live)
    return serve(pairs=[live]), live


def copy(new, live, atomic=True):
    for source_path, path in zip(new, live):
        if atomic:
            shutil.copy(source_path, f"{path}.new")
            os.rename(f"{path}.new", path)
        else:
            shutil.copy(source_path, path)


def test_change_that_tls_off_overtakes(run, authority, tmp_path):
    live = tls_files.Pair(tmp_path / "live.pem", tmp_path / "live.key")
    copy(authority.issue("localhost"), live)
    file = tmp_path / "websocksy.conf"
    text = f"[core]\ncert = {live.cert}\nkey = {live.key}\ntls = %s\n[backend]\nhost = echo://\n"
    file.write_text(text % "auto")
    daemon = run(Daemon("--config", file, tls=False))
    copy(authority.issue("localhost"), live)
    file.write_text(text % "off")
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("the configuration has been read again")
    time.sleep(1)  # what is watched for: three times as long as a change may take to be noticed
    assert "certificates" not in daemon.log()


def test_new_certificate_by_signal(changing, authority):
    daemon, live = changing
    context = tls_files.client_context(authority)
    old = open_tls(daemon, context)
    old.upgrade()
    before = shown(daemon, context)
    new = authority.issue("localhost")
    copy(new, live)
    daemon.signal(signal.SIGHUP)
    eventually(lambda: shown(daemon, context) == der(new), "the new certificate")
    assert before != der(new)
    old.send_text("still here")
    assert old.recv_message() == (1, b"still here")
    old.close_handshake()


@pytest.mark.parametrize("atomic", [True, False], ids=["renamed", "rewritten"])
def test_new_certificate_without_signal(changing, authority, atomic):
    daemon, live = changing
    context = tls_files.client_context(authority)
    old = open_tls(daemon, context)
    old.upgrade()
    for _ in range(2):
        new = authority.issue("localhost")
        copy(new, live, atomic)
        eventually(lambda: shown(daemon, context) == der(new), "the new certificate")
    daemon.wait_log("notice: the certificates have been read again", count=2)
    old.round_trip()
    old.close_handshake()


def put(new, folder):
    folder.mkdir(parents=True)
    shutil.copy(new.cert, folder / "cert.pem")
    shutil.copy(new.key, folder / "key.pem")
    return folder


def link(path, target):
    """As ln -sfn with care: there is no moment without a link."""
    (path.parent / "next-link").symlink_to(target)
    os.rename(path.parent / "next-link", path)


def replace_directory(base, number, new):
    live = base / "live"
    put(new, base / "next")
    if number > 0:
        os.rename(live, base / f"old-{number}")
    os.rename(base / "next", live)
    return live


def replace_directory_above(base, number, new):
    put(new, base / "next/etc/tls")
    if number > 0:
        shutil.rmtree(base / "live")
    os.rename(base / "next", base / "live")
    return base / "live/etc/tls"


def replace_as_kubernetes(base, number, new):
    """Files are links to ..data/FILE, and ..data is a link to a directory with a date."""
    put(new, base / f"..2026_{number}")
    link(base / "..data", f"..2026_{number}")
    if number == 0:
        for name in ("cert.pem", "key.pem"):
            (base / name).symlink_to(f"..data/{name}")
    else:
        shutil.rmtree(base / f"..2026_{number - 1}")
    return base


def replace_as_certbot(base, number, new):
    """live/NAME/FILE is a link to ../../archive/NAME/FILE with a number, and is removed and made anew."""
    live, archive = base / "live/example.org", base / "archive/example.org"
    live.mkdir(parents=True, exist_ok=True)
    archive.mkdir(parents=True, exist_ok=True)
    for name, source in (("cert", new.cert), ("key", new.key)):
        shutil.copy(source, archive / f"{name}{number}.pem")
    for name in ("cert", "key"):
        (live / f"{name}.pem").unlink(missing_ok=True)
        (live / f"{name}.pem").symlink_to(f"../../archive/example.org/{name}{number}.pem")
    return live


def replace_link_above(base, number, new):
    put(new, base / f"releases/{number}/tls")
    link(base / "current", base / f"releases/{number}")
    link(base / "here", "./releases/../current")
    return base / "here/tls"


def replace_behind_links(base, number, new):
    """The links stay as they are."""
    real, links = base / "real", base / "links"
    if number == 0:
        put(new, real)
        links.mkdir()
        for name in ("cert.pem", "key.pem"):
            (links / name).symlink_to(real / name)
    else:
        copy(new, (real / "cert.pem", real / "key.pem"), number % 2)
    return links


@pytest.mark.parametrize("replace, relative", [
    (replace_directory, False), (replace_directory, True), (replace_directory_above, False),
    (replace_as_kubernetes, False), (replace_as_certbot, False), (replace_link_above, False),
    (replace_link_above, True), (replace_behind_links, False),
], ids=lambda value: getattr(value, "__name__", "relative" if value else "absolute"))
def test_new_certificate_on_its_way(serve, authority, tmp_path, replace, relative):
    """Whatever on the way to the files is exchanged, a directory or a link, is noticed, each time."""
    context = tls_files.client_context(authority)
    new = authority.issue("localhost")
    folder = replace(tmp_path, 0, new)
    if relative:
        folder = folder.relative_to(tmp_path)
    daemon = serve(pairs=[tls_files.Pair(folder / "cert.pem", folder / "key.pem")], cwd=tmp_path)
    assert shown(daemon, context) == der(new)
    for number in (1, 2):
        new = authority.issue("localhost")
        replace(tmp_path, number, new)
        eventually(lambda: shown(daemon, context) == der(new), "the new certificate")


def test_certificates_that_were_gone(serve, authority, tmp_path):
    context = tls_files.client_context(authority)
    old, new = authority.issue("localhost"), authority.issue("localhost")
    live = put(old, tmp_path / "a/live")
    daemon = serve(pairs=[tls_files.Pair(live / "cert.pem", live / "key.pem")])
    assert shown(daemon, context) == der(old)
    os.rename(tmp_path / "a", tmp_path / "b")
    (tmp_path / "a").mkdir()
    daemon.wait_log(r"error: cert: cannot read .*cert\.pem: No such file.*; the old certificates stay in use")
    assert shown(daemon, context) == der(old)
    put(new, live)
    eventually(lambda: shown(daemon, context) == der(new), "the new certificate")


def test_certificates_become_readable(run, authority):
    """Tools make a file, and give it to the daemon's user afterwards."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    unprivileged = run(Unprivileged())
    context = tls_files.client_context(authority)
    live = tls_files.Pair(unprivileged.folder / "live.pem", unprivileged.folder / "live.key")
    new = authority.issue("localhost")
    copy(authority.issue("localhost"), live)
    live.key.chmod(0o644)
    daemon = run(Daemon(f"--cert={live.cert}", f"--key={live.key}", "-c", "protocol=*", *unprivileged.args,
                        peer="echo://", tls=False, cwd="/", **unprivileged.popen))
    shown(daemon, context)
    copy(new, live)  # renamed into place as a file of root's
    daemon.wait_log(r"error: key: cannot read .*live\.key: Permission denied; the old certificates stay")
    live.key.chmod(0o644)
    eventually(lambda: shown(daemon, context) == der(new), "the new certificate")


def test_new_authorities_without_signal(serve, authority, people, tmp_path):
    ca, clients = people
    live = tmp_path / "clients.pem"
    shutil.copy(ca.cert, live)
    daemon = serve("--tls=required", "--client-verify=required", f"--client-ca={live}")
    context = tls_files.client_context(authority, pair=clients["valid"], version=VERSIONS[0])

    def is_welcome():
        try:
            client = open_tls(daemon, context)
            client.upgrade()  # the change can also close the connection behind it, with 1008
            client.close()
        except (ssl.SSLError, ConnectionEnded, ConnectionResetError, BrokenPipeError):
            return False
        return True

    assert is_welcome()
    shutil.copy(authority.cert, live)
    eventually(lambda: not is_welcome(), "the new authority", every=0.05)
    live.write_text("rubbish")
    daemon.wait_log(r"error: client-ca: .*clients\.pem.*; the old certificates stay in use")
    shutil.copy(ca.cert, live)
    eventually(is_welcome, "the old authority", every=0.05)


def test_files_beside_do_not_matter(serve, authority, tmp_path):
    """The timeout of a client that asks for nothing is later than that of a change."""
    live = tls_files.Pair(tmp_path / "live.pem", tmp_path / "live.key")
    copy(authority.issue("localhost"), live)
    daemon = serve("--handshake-timeout=1500ms", pairs=[live])
    daemon.settle()
    daemon.close_clients()
    for name in ("other.pem", "live.pem.new", "live", "live.key2"):
        (tmp_path / name).write_text("x")
    os.rename(tmp_path / "other.pem", tmp_path / "another.pem")
    client = daemon.connect()
    assert client.recv_http().status == 408
    assert "certificates" not in daemon.log()
    os.utime(live.key)
    daemon.wait_log("the certificates have been read again")


@pytest.mark.parametrize("how", ["signal", "watch"])
def test_broken_file_keeps_the_old(changing, authority, how):
    daemon, live = changing
    context = tls_files.client_context(authority)
    before = shown(daemon, context)
    live.cert.write_text("rubbish")
    if how == "signal":
        daemon.signal(signal.SIGHUP)
    daemon.wait_log(r"error: .*cert.*live\.pem")
    assert shown(daemon, context) == before
    if how == "watch":
        daemon.wait_log("the old certificates stay in use")
    new = authority.issue("localhost")
    copy(new, live)
    eventually(lambda: shown(daemon, context) == der(new), "the new certificate")


def test_mismatched_pair_keeps_the_old(changing, authority):
    daemon, live = changing
    context = tls_files.client_context(authority)
    before = shown(daemon, context)
    shutil.copy(authority.issue("localhost").cert, live.cert)
    daemon.wait_log(r"error: .*live\.pem does not belong to .*live\.key.*old certificates stay")
    assert shown(daemon, context) == before


# --- errors at start ----------------------------------------------------------------------------


def test_mistakes_at_start(authority, pair, people, tmp_path):
    """One line each, which names the option and what is wrong, and exit status 1."""
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("rubbish\n")
    empty = tmp_path / "empty.pem"
    empty.touch()
    other = authority.issue("localhost")
    locked = tmp_path / "locked.key"
    tls_files.openssl("pkey", "-in", pair.key, "-aes256", "-passout", "pass:secret", "-out", locked)
    good = (f"--cert={pair.cert}", f"--key={pair.key}")
    cases = [
        ("cert", (f"--cert={tmp_path}/none.pem", f"--key={pair.key}"), r"none\.pem: No such file"),
        ("key", (f"--cert={pair.cert}", f"--key={tmp_path}/none.key"), r"none\.key: No such file"),
        ("cert", (f"--cert={pair.cert}",), re.escape(str(pair.cert))),
        ("cert", (f"--cert={rubbish}", f"--key={pair.key}"), r"rubbish\.pem"),
        ("key", (f"--cert={pair.cert}", f"--key={rubbish}"), r"rubbish\.pem"),
        ("key", (f"--cert={pair.cert}", f"--key={empty}"), r"empty\.pem"),
        ("key", (f"--cert={pair.cert}", f"--key={tmp_path}"), re.escape(str(tmp_path))),
        ("cert", (f"--cert={tmp_path}", f"--key={pair.key}"), re.escape(str(tmp_path))),
        ("key", (f"--cert={pair.cert}", f"--key={other.key}"), "does not belong to"),
        ("key", (f"--cert={pair.cert}", f"--key={locked}"), r"locked\.key is encrypted with a passphrase"),
        ("key", (*good, f"--cert={other.cert}", f"--key={pair.key}"), "does not belong to"),
        ("key", (*good, f"--key={other.key}"), "2 keys for 1 certificate"),
        ("key", (f"--key={pair.key}",), "1 keys? for 0 certificates"),
        ("tls-priority", (*good, "--tls-priority=NORMAL:+RUBBISH"), r"RUBBISH"),
        ("tls-priority", (*good, "--tls-priority=RUBBISH"), "RUBBISH"),
        ("tls", (*good, "--tls=maybe"), "maybe.*auto, required, off"),
        ("tls", ("--tls=required",), "needs a certificate"),
        ("client-verify", (*good, "--client-verify=required"), "client-ca"),
        ("client-verify", (*good, f"--client-ca={pair.cert}", "--client-verify=required"),
         "plain connections.*tls = required or redirect-https = yes"),
        ("client-verify", (f"--client-ca={pair.cert}", "--client-verify=optional"), "no effect without TLS"),
        ("client-verify", (*good, "--client-verify=sometimes"), "sometimes.*off, optional, required"),
        ("client-ca", (*good, f"--client-ca={tmp_path}/none.pem", "--client-verify=optional"),
         r"none\.pem: No such file"),
        ("client-ca", (*good, f"--client-ca={rubbish}", "--client-verify=optional"), r"rubbish\.pem"),
        ("client-ca", (*good, f"--client-ca={empty}"), r"empty\.pem"),
        ("redirect-https", (*good, "--redirect-https=perhaps"), "perhaps.*neither yes nor no"),
    ]
    for key, arguments, pattern in cases:
        for extra in ((), ("-t",)):
            result = run_once(*arguments, "-p", "0", "-l", "127.0.0.1", "-c", "host=echo://", *extra)
            lines = result.stderr.splitlines()
            assert (result.returncode, len(lines)) == (1, 1), (arguments, lines)
            assert re.search(rf"error: command line: --{key}: .*{pattern}", lines[0]), lines


def test_mistakes_in_a_file(authority, pair, tmp_path):
    """The line is that of the value, also where an option is given several times."""
    other = authority.issue("localhost")
    path = tmp_path / "websocksy.conf"
    top = ["[core]", "cert = /forgotten", "cert =", f"cert = {pair.cert}", f"cert = {other.cert}"]
    keys = [f"key = {pair.key}", f"key = {other.key}"]
    cases = [
        (4, "cert", ["[core]", "cert = /forgotten", "cert =", "cert = /none.pem", *top[4:], *keys], "none"),
        (5, "cert", [*top[:4], "cert = /none.pem", *keys], "none"),
        (6, "key", [*top, "key = /none.key", keys[1]], "none"),
        (7, "key", [*top, keys[0], "key = /none.key"], "none"),
        (7, "key", [*top, keys[0], keys[0]], "does not belong"),
        (8, "tls-priority", [*top, *keys, "tls-priority = RUBBISH", "port = 1"], "RUBBISH"),
        (8, "client-ca", [*top, *keys, "client-ca = /none.pem", "port = 1"], "none"),
    ]
    for line, key, lines, pattern in cases:
        path.write_text("\n".join(lines))
        result = run_once("-t", "--config", path)
        assert result.returncode == 1
        assert re.fullmatch(rf".*error: {re.escape(str(path))}:{line}: {key}: .*{pattern}.*\n",
                            result.stderr), (lines, result.stderr)


def test_unreadable_key(run, pair):
    """As a user who may not read it."""
    unprivileged = run(Unprivileged())
    key, cert = unprivileged.folder / "secret.key", unprivileged.folder / "public.pem"
    shutil.copy(pair.cert, cert)
    shutil.copy(pair.key, key)
    key.chmod(0)
    result = run_once(f"--cert={cert}", f"--key={key}", "-t", *unprivileged.args, **unprivileged.popen)
    assert result.returncode == 1
    assert re.fullmatch(r".*error: command line: --key: cannot read .*secret\.key.*\n", result.stderr)
