# SPDX-License-Identifier: BSD-2-Clause
"""TLS to the peer: servers that other people wrote, names and certificates that are right or wrong, files,
PROXY headers in front, bulk data, every way to end, and handshakes that stall or are cut.

The peers insist on close_notify with the end of the stream right behind it.
"""
import contextlib
import os
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest

from tools import tls_files
from tools.client import chat
from tools.configuration import routes_daemon
from tools.counting import can_trace
from tools.daemon import BINARY, SANITIZED, Daemon, run_once
from tools.frames import BIN, TEXT, frame
from tools.gnutls_session import GnutlsSession
from tools.http import build_request
from tools.peers import TcpPeer, TlsPeer, check_unreachable, echo, source
from tools.ports import free_port
from tools.proxies import Haproxy
from tools.proxy_header import read_line, read_v2
from tools.sockets import is_open
from tools.tls_files import der
from tools.waiting import TIMEOUT, eventually

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
each_version = pytest.mark.parametrize("version", VERSIONS, ids=["1.2", "1.3"])
UNREACHABLE = "the peer cannot be reached"
CONTENT_ALERT = b"\x15\x03\x03\0\x02"
BULK = 4 << 20


# --- helpers ------------------------------------------------------------------------------------


@pytest.fixture
def serve(run, pair):
    """serve(handler=None, ...): a peer with the shared certificate, or another `pair`."""

    def start(handler=None, pair=pair, ca=None, version=None, **kwargs):
        return run(TlsPeer(tls_files.server_context(pair, ca, version), handler, **kwargs))

    return start


@pytest.fixture
def bridge(run, authority):
    """bridge(peer, *daemon arguments, **parameters): a daemon whose peer is this one, or this URL."""

    def start(peer, *args, **parameters):
        return run(Daemon(*args, peer=address(peer, authority, **parameters)))

    return start


def address(peer, authority, **parameters):
    """The peer's URL with parameters; `ca` is the shared authority unless it is said to be None."""
    parameters.setdefault("ca", authority.cert)
    given = [f"{key}={value}" for key, value in parameters.items() if value is not None]
    url = peer if isinstance(peer, str) else peer.url
    return url + ("?" + "&".join(given) if given else "")


def check_growth(daemon, idle, limit=2 << 20):
    if not SANITIZED:  # freed memory is kept in quarantine there
        assert daemon.rss() - idle < limit


def random_bytes(size):
    return os.urandom(1 << 16) * (size >> 16)


class Program:
    """A server that is a program; `send` and `wait` are its standard input and output."""

    def __init__(self, *command):
        self.process = subprocess.Popen(
            list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        self.output = bytearray()
        self.thread = threading.Thread(target=self.read, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.thread.join(TIMEOUT)

    def read(self):
        while True:
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                return
            self.output += data

    def send(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def wait(self, pattern):
        return eventually(lambda: re.search(pattern, self.output), f"{pattern} in {self.output}")


@pytest.fixture
def s_server(run, pair):
    """s_server(arguments...): openssl's server, and its URL."""

    def start(*args):
        port = free_port()
        server = run(Program("stdbuf", "-oL", "openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert", pair.cert,
                             "-key", pair.key, "-cert_chain", tls_files.shared()[0].cert, *args))
        server.wait(rb"ACCEPT")
        return server, f"tls://localhost:{port}"

    return start


# --- servers that other people wrote ------------------------------------------------------------


@each_version
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_python(serve, bridge, version, host):
    peer = serve(echo, version=version)
    daemon = bridge(peer.url.replace("127.0.0.1", host))
    chat(daemon.connect())
    chat(daemon.connect())
    assert peer.accept().sock.tls.version() == version.name.replace("_", ".")


def test_ipv6(serve, bridge):
    try:
        peer = serve(echo, host="::1")
    except OSError:
        pytest.skip("no IPv6 here")
    chat(bridge(peer).connect())


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl(s_server, bridge, version):
    _, url = s_server(version, "-rev")
    client = bridge(url).open()
    client.send_text("hello\n")
    assert client.recv_bytes(6) == b"olleh\n"
    client.close_handshake(1000)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_gnutls(run, pair, bridge, version):
    port = free_port()
    server = run(Program(
        "gnutls-serv", "--echo", "-p", port, "--x509certfile", pair.cert, "--x509keyfile", pair.key,
        "--priority", f"NORMAL:-VERS-ALL:+VERS-TLS{version}"))
    server.wait(rb"listening")
    eventually(lambda: is_open(("127.0.0.1", port)), "gnutls-serv")
    client = bridge(f"tls://localhost:{port}").open()
    client.send_text("hello\n")
    assert client.recv_bytes(6) == b"hello\n"
    client.close_handshake(1000)


def test_key_update(s_server, bridge):
    """A server of TLS 1.3 may ask for new keys at any time."""
    server, url = s_server("-tls1_3")
    client = bridge(url).open()
    client.send_text("first\n")
    server.wait(rb"first")
    server.send(b"K\n")
    server.wait(rb"SSL_do_handshake -> 1")
    server.send(b"answer\n")
    assert client.recv_bytes(7) == b"answer\n"
    client.send_text("second\n")
    server.wait(rb"second")
    client.close_handshake(1000)


def test_renegotiation_is_declined(s_server, bridge):
    """A server of TLS 1.2 may ask for a second handshake. A client may ignore that, and the session goes
    on; OpenSSL would not bear a spoken no."""
    server, url = s_server("-tls1_2")
    client = bridge(url).open()
    client.send_text("first\n")
    server.wait(rb"first")
    server.send(b"r\n")
    server.wait(rb"SSL_do_handshake -> 1")
    client.send_text("second\n")
    server.wait(rb"second")
    server.send(b"answer\n")
    assert client.recv_bytes(7) == b"answer\n"
    client.close_handshake(1000)


# --- names and certificates ---------------------------------------------------------------------


BAD = {
    "expired": "has expired",
    "early": "is not valid yet",
    "wrong name": "is for another name",
    "self-signed": "is self-signed",
    "unknown issuer": "its issuer is unknown",
    "client's": "is for another purpose",
    "name that is an address": "is for another name",
}


def make_bad(kind, authority, folder):
    return {
        "expired": lambda: authority.issue("localhost", "127.0.0.1", expired=True),
        "early": lambda: authority.issue("localhost", "127.0.0.1", early=True),
        "wrong name": lambda: authority.issue("other.example", "127.0.0.2"),
        "self-signed": lambda: tls_files.self_signed(folder, "127.0.0.1"),
        "unknown issuer": lambda: tls_files.Authority(folder).issue("localhost", "127.0.0.1"),
        "client's": lambda: authority.issue("localhost", "127.0.0.1", purpose="clientAuth"),
        "name that is an address": lambda: authority.issue("localhost", "DNS:127.0.0.1"),
    }[kind]()


@pytest.mark.parametrize("kind", BAD)
def test_bad_certificate(serve, run, authority, tmp_path, kind):
    """502 and the reason, unless verification is off; the server learns that it was refused."""
    peer = serve(echo, pair=make_bad(kind, authority, tmp_path))
    daemon = routes_daemon(run, tmp_path, {
        "strict": f"{address(peer, authority)} *", "lax": f"{address(peer, authority, verify='off')} *"})
    answer = daemon.http("/strict")
    assert answer.status == 502
    assert UNREACHABLE in answer.body.decode() and BAD[kind] not in answer.body.decode()
    daemon.wait_log(r"warning: #1 .*cannot connect to tls://127\.0\.0\.1:\d+\?ca=\S+: "
                    f"TLS failed: the certificate is not trusted: .*{BAD[kind]}")
    assert isinstance(peer.failed.get(timeout=TIMEOUT).error, ssl.SSLError)
    chat(daemon.connect(), "/lax")


def test_address_of_the_certificate(serve, bridge, authority):
    """For an address the certificate has to have just this address; a common name is not looked at."""
    chat(bridge(serve(echo, pair=authority.issue("some.example", "127.0.0.1"))).connect())
    peer = serve(echo, pair=authority.issue("some.example", "127.0.0.3"))
    check_unreachable(bridge(peer), 502, UNREACHABLE, "is for another name")


def test_self_signed_certificate_that_is_known(serve, run, tmp_path):
    """It can be its own authority, for what it is made for only."""
    one = tls_files.self_signed(tmp_path, "127.0.0.1")
    peer = serve(echo, pair=one)
    daemon = routes_daemon(run, tmp_path, {
        "right": f"{peer.url}?ca={one.cert} *", "wrong": f"{peer.url}?ca={one.cert}&sni=localhost *"})
    chat(daemon.connect(), "/right")
    answer = daemon.http("/wrong")
    assert answer.status == 502
    daemon.wait_log(BAD["wrong name"])


def test_system_authorities_are_the_default(serve, bridge):
    """Which do not know ours."""
    check_unreachable(bridge(serve(echo), ca=None), 502, UNREACHABLE, "its issuer is unknown")


def may_mount():
    tool = shutil.which("unshare")
    return bool(tool) and subprocess.run(
        [tool, "-Urm", "true"], capture_output=True, check=False).returncode == 0


BUNDLE = "/etc/ssl/certs/ca-certificates.crt"


@pytest.mark.skipif(not os.path.exists(BUNDLE), reason="the system keeps its authorities elsewhere")
@pytest.mark.skipif(not may_mount(), reason="there are no user namespaces here")
def test_system_authorities_are_believed(serve, run, authority):
    """Ours is the system's in a namespace of its own."""
    peer = serve(echo)
    command = f'mount --bind "{authority.cert}" {BUNDLE} && exec "$0" "$@"'
    daemon = run(Daemon("-Urm", "sh", "-c", command, BINARY, "-p", "0", "-l", "127.0.0.1",
                        peer=peer.url, defaults=False, executable=shutil.which("unshare")))
    chat(daemon.connect())


@pytest.mark.skipif(SANITIZED, reason="a sanitizer does not like to be traced")
def test_system_authorities_are_read_once(serve, run, tmp_path):
    """At start, for the check of the address, and with the first connection."""
    if not can_trace():
        pytest.skip("strace is not installed, or tracing is not allowed here")
    record = tmp_path / "record"
    daemon = run(Daemon("-D", "-f", "-e", "trace=open,openat", "-o", record, BINARY,
                        "-p", "0", "-l", "127.0.0.1", peer=serve(echo).url, defaults=False,
                        executable=shutil.which("strace")))
    check_unreachable(daemon, 502, UNREACHABLE, "its issuer is unknown")
    before = record.read_text().count("ca-certificates")
    assert before <= 2
    for _ in range(5):
        assert daemon.http().status == 502
    assert record.read_text().count("ca-certificates") == before


def seen_names(peer):
    names = []
    peer.context.sni_callback = lambda _, name, __: names.append(name)
    return names


def test_name_that_cannot_be_asked_for(serve, run, authority):
    """It would be verified, but a server with several names would not know which is wanted."""
    peer = serve(echo)
    for parameters in ({}, {"verify": "off"}):
        daemon = run(Daemon(peer=address(peer, authority, sni=".".join(["a" * 50] * 8), **parameters)))
        assert daemon.http().status == 502
        daemon.wait_log("TLS cannot ask for that name")


def test_name_with_a_percent_sign(serve, run, authority):
    """Only an address has a zone, which is not part of the verified name."""
    peer = serve(echo)
    daemon = run(Daemon(peer=address(peer, authority, sni="localhost%25x")))
    assert daemon.http().status == 502
    daemon.wait_log("TLS failed: the certificate is not trusted: it is for another name")


def test_server_name(serve, run, authority, tmp_path):
    """The host's name is asked for, an address is not; sni replaces both, for asking and for verifying."""
    peer = serve(echo, pair=authority.issue("localhost", "127.0.0.1", "inner.example"))
    names = seen_names(peer)
    local = peer.url.replace("127.0.0.1", "localhost")
    daemon = routes_daemon(run, tmp_path, {
        "name": f"{address(local, authority)} *",
        "address": f"{address(peer, authority)} *",
        "sni": f"{address(peer, authority, sni='inner.example')} *",
        "literal": f"{address(local, authority, sni='127.0.0.1')} *",
        "lax": f"{address(local, authority, sni='outer.example', verify='off')} *",
        "wrong": f"{address(local, authority, sni='outer.example')} *"})
    for path in ("name", "address", "sni", "literal", "lax"):
        chat(daemon.connect(), "/" + path)
    assert daemon.http("/wrong").status == 502
    assert names == ["localhost", None, "inner.example", None, "outer.example", "outer.example"]


@each_version
def test_client_certificate(serve, bridge, authority, tmp_path, version):
    mine = authority.issue("The Bridge")
    both = tmp_path / "both.pem"
    both.write_text(mine.cert.read_text() + mine.key.read_text())
    peer = serve(echo, ca=authority, version=version)
    for files in ({"cert": mine.cert, "key": mine.key}, {"cert": both}):
        chat(bridge(peer, **files).connect())
        assert peer.accept().sock.tls.getpeercert(True) == der(mine)


def test_client_certificate_is_missing(serve, bridge, authority):
    """TLS 1.2: the handshake fails. With 1.3 a server says so after it, so the client has its 101."""
    daemon = bridge(serve(echo, ca=authority, version=VERSIONS[0]))
    check_unreachable(daemon, 502, UNREACHABLE, r"TLS failed: the other side sent the alert ")
    daemon = bridge(serve(echo, ca=authority, version=VERSIONS[1]))
    client = daemon.open()
    client.expect_close(1011)
    daemon.wait_log(r"tls://\S+ failed: the other side sent the alert .*[Cc]ertificate.*1011")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_versions(run, pair, bridge):
    """Nothing below 1.2."""
    context = tls_files.server_context(pair)
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    check_unreachable(bridge(run(TlsPeer(context, echo))), 502, UNREACHABLE, "TLS failed: ")


# --- files --------------------------------------------------------------------------------------


def make_trouble(kind, authority, pair, folder):
    """Parameters that cannot be used, the file that is to be named, and a word about why."""
    missing, rubbish = folder / "missing.pem", folder / "rubbish.pem"
    rubbish.write_text("no certificate\n")
    other = authority.issue("other")
    return {
        "no ca": ({"ca": missing}, missing, "No such file"),
        "rubbish as ca": ({"ca": rubbish}, rubbish, "authorities"),
        "no cert": ({"cert": missing, "key": pair.key}, missing, "No such file"),
        "no key": ({"cert": pair.cert, "key": missing}, missing, "No such file"),
        "rubbish as key": ({"cert": pair.cert, "key": rubbish}, rubbish, "cannot use"),
        "no key in cert": ({"cert": pair.cert}, pair.cert, "there is no private key"),
        "mismatch": ({"cert": pair.cert, "key": other.key}, other.key, "does not belong"),
    }[kind]


@pytest.mark.parametrize("kind", [
    "no ca", "rubbish as ca", "no cert", "no key", "rubbish as key", "no key in cert", "mismatch"])
def test_unusable_files(serve, bridge, authority, pair, tmp_path, kind):
    """A warning at start, and each client gets 502; only the log names the file."""
    parameters, file, why = make_trouble(kind, authority, pair, tmp_path)
    peer = serve(echo)
    daemon = bridge(peer, **parameters)
    line = f".*{re.escape(str(file))}.*"
    daemon.wait_log(f"warning: command line: -c host: .*{line}{why}.*; clients will get 502" if kind != "mismatch" else
                    f"warning: command line: -c host: .*{why}{line}; clients will get 502")
    answer = check_unreachable(daemon, 502, UNREACHABLE, f"warning: #1 .*cannot connect to tls://.*{why}")
    assert str(tmp_path) not in answer.body.decode()
    assert not peer.connections  # no peer was connected


def test_unreadable_key(run, pair):
    """As a user who may not read it; root becomes one."""
    folder = Path(run(tempfile.TemporaryDirectory(prefix="websocksy-test-")))
    folder.chmod(0o755)
    cert, key = shutil.copy(pair.cert, folder / "cert.pem"), shutil.copy(pair.key, folder / "key.pem")
    key.chmod(0)
    # A copy, as the checkout itself may be where only root gets to.
    other = {"user": 65534, "group": 65534, "extra_groups": ()} if os.geteuid() == 0 else {}
    result = run_once("-t", f"--plugin-path={folder}", "-c", f"host=tls://localhost:1?cert={cert}&key={key}",
                      executable=shutil.copy(BINARY, folder), **other)
    assert re.search(f"warning: command line: -c host: .*: cannot read {key}: Permission denied; clients will get 502",
                     result.stderr)


def test_check_names_the_file(tmp_path):
    missing = tmp_path / "missing.pem"
    result = run_once("-t", "-c", f"host=tls://localhost:1?ca={missing}")
    assert result.returncode == 1
    assert re.search(f"warning: command line: -c host: .*{missing}: No such file", result.stderr)


def test_files_are_read_once_and_again_on_reload(serve, bridge, authority, tmp_path):
    """What was read stays in use, whatever becomes of the files, until SIGHUP."""
    ca = tmp_path / "ca.pem"
    daemon = bridge(serve(echo), ca=ca)
    check_unreachable(daemon, 502, UNREACHABLE, f"cannot connect .*{ca}: No such file")
    shutil.copy(authority.cert, ca)
    chat(daemon.connect())  # trouble is not remembered
    client = daemon.open()
    shutil.copy(tls_files.Authority(tmp_path).cert, ca)
    chat(daemon.connect())
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("configuration has been read again")
    check_unreachable(daemon, 502, UNREACHABLE, "its issuer is unknown")
    client.send_text("still here")
    assert client.recv_bytes(10) == b"still here"
    ca.unlink()
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("configuration has been read again", count=2)
    daemon.wait_log(f"warning: command line: -c host: .*{ca}: No such file", count=2)
    assert daemon.http().status == 502


@pytest.mark.parametrize("parameters, why", [
    ("ca=", "has no value"), ("key=/k", "key= without cert="), ("verify=on", "verify: invalid value"),
    ("verify=off&verify=off", "given twice"), ("name=a", "unknown parameter")])
def test_wrong_parameters(run, parameters, why):
    daemon = run(Daemon(peer=f"tls://localhost:443?{parameters}"))
    daemon.wait_log(f"warning: command line: -c host: .*{why}.*clients will get 502")
    check_unreachable(daemon, 502, "the address of the peer is wrong", f"error: #1 .*{why}")


# --- PROXY headers ------------------------------------------------------------------------------


@each_version
def test_proxy_header_in_front(serve, bridge, version):
    """In the clear, before the first byte of TLS, as haproxy's send-proxy does and accept-proxy expects."""
    headers = []
    peer = serve(echo, version=version, before=lambda one: headers.append(read_line(one)))
    client = bridge(peer, proxy="v1").open()
    client.send_text("hello")
    assert client.recv_bytes(5) == b"hello"
    own = client.sock.getsockname()
    assert headers == [["PROXY", "TCP4", own[0], "127.0.0.1", str(own[1]), str(client.daemon.port)]]
    client.close_handshake(1000)
    peer = serve(echo, version=version, before=lambda one: headers.append(read_v2(one)))
    client = bridge(peer, proxy="v2").open()
    assert headers[1][2:4] == ("127.0.0.1", "127.0.0.1")
    assert headers[1][4] == (client.sock.getsockname()[1], client.daemon.port)
    client.close_handshake(1000)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_haproxy(run, bridge, authority, pair, tmp_path, version):
    """As PROXY headers and TLS are mostly met: haproxy takes off both and tells its own server."""
    peer = run(TcpPeer())
    chain = tmp_path / "chain.pem"
    chain.write_text(pair.cert.read_text() + pair.key.read_text())
    front = run(Haproxy(
        tmp_path, f"127.0.0.1:{peer.port}", f"accept-proxy ssl crt {chain}", "send-proxy"))
    client = bridge(f"tls://localhost:{front.port}", proxy=version).open()
    client.send_text("hello")
    connection = peer.accept()
    assert read_line(connection)[2:5:2] == list(map(str, client.sock.getsockname()))
    assert connection.recv_exactly(5) == b"hello"
    connection.send(b"and back")
    assert client.recv_bytes(8) == b"and back"
    connection.finish()
    client.expect_close()
    client.send_close(1000)
    client.expect_eof()
    connection.expect_eof()


# --- data ---------------------------------------------------------------------------------------


@each_version
def test_bulk_both_ways(serve, bridge, version):
    data = random_bytes(BULK)
    client = bridge(serve(echo, version=version), "-c", "framing=binary").open()
    sender = client.send_in_background(*(frame(BIN, data[at:at + 100000]) for at in range(0, BULK, 100000)))
    assert client.recv_bytes(BULK, timeout=TIMEOUT) == data
    sender.join(TIMEOUT)
    client.close_handshake(1000)


def test_peer_that_reads_late(serve, bridge, flood):
    """The daemon stops reading the client; memory stays bounded, and nothing is lost."""
    unit = 65536
    data = random_bytes(16 * BULK)  # more than the kernel's buffers, which grow with a daemon that reads in bursts
    peer = serve(rcvbuf=4096)
    daemon = bridge(peer)
    client = daemon.open()
    connection = peer.accept()
    idle = daemon.rss()
    sender = flood(client.sock, b"".join(frame(BIN, data[at:at + unit]) for at in range(0, len(data), unit)))
    sender.wait_stuck()
    check_growth(daemon, idle)
    size = unit * sender.cut(len(frame(BIN, data[:unit])))
    assert connection.recv_exactly(size) == data[:size]
    sender.wait_done()
    client.close_handshake(1000)
    connection.expect_eof()


def test_client_that_reads_late(serve, bridge):
    data = random_bytes(3 * BULK)
    sent = []

    def give(connection):
        for at in range(0, len(data), 65536):
            connection.send(data[at:at + 65536])
            sent.append(at)
        connection.finish()
        connection.recv_all()

    peer = serve(give, sndbuf=65536)
    daemon = bridge(peer, "-c", "framing=binary")
    client = daemon.connect(rcvbuf=4096)
    client.upgrade()
    connection = peer.accept()
    idle = daemon.rss()
    eventually(lambda: len(sent) > 16)
    got = b"".join(part for _, part in client.messages_until_close(1000))
    assert got == data
    check_growth(daemon, idle)
    peer.wait_handled(connection)


@each_version
def test_tls_on_both_sides(serve, run, authority, version):
    """Which share the buffer that ciphertext is read into."""
    data = random_bytes(BULK)
    peer = serve(echo, version=version)
    client = run(Daemon("-c", "framing=binary", peer=address(peer, authority), tls=True)).open()
    sender = client.send_in_background(*(frame(BIN, data[at:at + 70000]) for at in range(0, BULK, 70000)))
    assert client.recv_bytes(BULK, timeout=TIMEOUT) == data
    sender.join(TIMEOUT)
    client.close_handshake(1000)


def test_long_and_short_lines(serve, bridge):
    """Messages are cut out of plaintext, whatever records and reads it comes in."""
    lines = [b"x" * size + b"\n" for size in (0, 1, 16383, 16384, 300000, 5, 16385, 1 << 20, 2)]
    peer = serve(source(b"".join(lines)))
    client = bridge(peer, "-c", "framing=newline", "-c", "framing-config=lf").open()
    assert client.messages_until_close(1000) == [(TEXT, line) for line in lines]


def test_early_data(serve, bridge):
    """What the client sends without waiting for the 101 waits for the peer's handshake."""
    gate = threading.Event()
    peer = serve(echo, before=lambda _: gate.wait(TIMEOUT))
    client = bridge(peer).connect()
    client.send_raw(build_request() + frame(TEXT, b"early"))
    eventually(lambda: peer.connections)
    gate.set()
    client.recv_upgrade()
    assert client.recv_bytes(5) == b"early"
    client.close_handshake(1000)


# --- ends ---------------------------------------------------------------------------------------


@each_version
def test_client_closes(serve, bridge, version):
    """The peer gets all data, close_notify, and the end."""
    data = random_bytes(1 << 20)
    peer = serve(version=version)
    client = bridge(peer).open()
    connection = peer.accept()
    sender = client.send_in_background(frame(BIN, data), frame(BIN, b"end"))
    assert connection.recv_exactly(len(data) + 3) == data + b"end"
    sender.join(TIMEOUT)
    client.close_handshake(1000)
    connection.expect_eof()


@each_version
def test_client_vanishes(serve, bridge, version):
    peer = serve(version=version)
    client = bridge(peer).open()
    connection = peer.accept()
    client.send_text("last")
    client.abort()
    assert connection.recv_all() == b"last"
    assert not connection.reset


@each_version
def test_peer_closes(serve, bridge, version):
    """close_notify is an orderly end; what the client still says reaches the peer (TLS 1.3 allows this, and
    servers of 1.2 do read)."""
    peer = serve(version=version)
    daemon = bridge(peer)
    client = daemon.open()
    connection = peer.accept()
    connection.send(b"last words")
    connection.finish()
    assert client.recv_bytes(10) == b"last words"
    client.expect_close(1000)
    client.send_text("noted")
    client.send_close(1000)
    client.expect_eof()
    if version == VERSIONS[1]:
        assert connection.recv_all() == b"noted"


@each_version
@pytest.mark.parametrize("data", [b"", b"last words"], ids=["alone", "behind data"])
def test_goodbye_without_an_end(serve, bridge, version, data):
    """Many servers wait for the other side's close_notify before they end the stream: theirs counts, also when
    it has come in one piece with data."""
    peer = serve(version=version)
    client = bridge(peer).open()
    connection = peer.accept()
    tls = connection.sock
    if data:
        tls.tls.write(data)
    tls.send_close_notify()
    assert client.recv_bytes(len(data)) == data
    client.expect_close(1000)
    client.send_close(1000)
    client.expect_eof()
    connection.expect_eof()


@each_version
def test_peer_ends_without_goodbye(serve, bridge, version):
    """The stream may have been truncated by an attacker: the client gets what came, and learns that more may be missing."""
    data = random_bytes(1 << 20)
    peer = serve(version=version)
    daemon = bridge(peer, "-c", "framing=binary")
    client = daemon.open()
    connection = peer.accept()
    feeder = threading.Thread(target=lambda: (connection.send(data), connection.sock.sock.shutdown(1)))
    feeder.start()
    got = b"".join(part for _, part in client.messages_until_close(1011))
    feeder.join(TIMEOUT)
    assert got == data
    daemon.wait_log(r"notice: .*tls://\S+ failed: .*without close_notify.*; closing with 1011")


def test_peer_resets(serve, bridge):
    peer = serve()
    daemon = bridge(peer)
    client = daemon.open()
    connection = peer.accept()
    connection.sock.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.sock.sock.close()
    client.expect_close(1011)
    daemon.wait_log("failed: Connection reset by peer; closing with 1011")


@each_version
@pytest.mark.parametrize("data", [b"", b"last words"], ids=["alone", "behind data"])
def test_peer_sends_rubbish(serve, bridge, version, data):
    """What came before it is delivered, in one piece or not; nothing need follow."""
    peer = serve(version=version)
    daemon = bridge(peer)
    client = daemon.open()
    tls = peer.accept().sock
    if data:
        tls.tls.write(data)
    tls.sock.sendall(tls.outgoing.read() + b"this is not a TLS record")
    assert client.recv_bytes(len(data)) == data
    client.expect_close(1011)
    daemon.wait_log(r"tls://\S+ failed: .*TLS packet.*1011")


def test_peer_that_takes_nothing(serve, bridge):
    peer = serve(rcvbuf=4096)
    daemon = bridge(peer, "--stall-timeout=500ms")
    client = daemon.open()
    peer.accept()
    client.send_in_background(*[frame(BIN, bytes(1 << 20))] * 16)
    client.expect_close(1011, timeout=TIMEOUT)
    daemon.wait_log("takes no data .stall-timeout.")


def test_error_behind_data(run, bridge, pair):
    """GnuTLS says only once that there were too many new keys, here in the read that brought data."""

    def fail(connection):
        session = GnutlsSession(connection.sock, pair)
        session.handshake()
        session.recv()
        session.send_and_fail(b"data")
        connection.recv_all(keep=False)
        session.close()

    daemon = bridge(run(TcpPeer(fail)).url.replace("tcp", "tls"))
    for _ in range(2):
        client = daemon.open()
        client.send_text("go")
        assert client.recv_bytes(4) == b"data"
        client.expect_close(1011)
    daemon.stop()


# --- handshakes that do not end -----------------------------------------------------------------


def mute(connection):
    """Handler: takes what comes, says nothing, until the end."""
    connection.recv_all()


def test_stalled_handshake(run, bridge):
    peer = run(TcpPeer(mute))
    daemon = bridge(peer.url.replace("tcp", "tls"), "--connect-timeout=300ms")
    check_unreachable(daemon, 504, "in time", r"TLS: the handshake has not ended in time \(connect-timeout\)")
    peer.wait_handled(peer.accept())  # its connection was closed


def first_flight(context, hello):
    """What a server says to a client's first words."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(hello)
    with contextlib.suppress(ssl.SSLWantReadError):
        session.do_handshake()
    return outgoing.read()


class CutServer:
    """Ends the connection after so many bytes of its first flight, or stalls there."""

    def __init__(self, context):
        self.context = context
        self.at, self.stall = 0, False

    def __call__(self, connection):
        flight = first_flight(self.context, connection.recv())
        connection.send(flight[:self.at])
        if not self.stall:
            connection.finish()
        connection.recv_all()  # closing with something unread would be a reset


@each_version
def test_cut_handshake(run, bridge, pair, version):
    server = CutServer(tls_files.server_context(pair, version=version))
    daemon = bridge(run(TcpPeer(server)).url.replace("tcp", "tls"), "--connect-timeout=1h")
    for server.at in (0, 1, 4, 5, 6, 50, 90, 100, 127, 128, 300, 500):
        answer = daemon.http()
        assert answer.status == 502, server.at
    daemon.wait_log(r"cannot connect to tls://.*: TLS failed: the connection ended within the handshake", count=12)


@each_version
def test_handshake_that_stalls_halfway(run, bridge, pair, version):
    server = CutServer(tls_files.server_context(pair, version=version))
    server.stall = True
    daemon = bridge(run(TcpPeer(server)).url.replace("tcp", "tls"), "--connect-timeout=300ms")
    for server.at in (1, 60, 300):
        assert daemon.http().status == 504


@pytest.mark.parametrize("words", [
    b"HTTP/1.1 400 Bad Request\r\n\r\n", b"RFB 003.008\n", b"\x16\x03\x03\xff\xff" + bytes(70000),
    CONTENT_ALERT + b"\x02\x28"], ids=["http", "vnc", "oversized", "alert"])
def test_peer_without_tls(run, bridge, words):
    daemon = bridge(run(TcpPeer(source(words))).url.replace("tcp", "tls"), "--connect-timeout=1h")
    check_unreachable(daemon, 502, UNREACHABLE, r"cannot connect to tls://.*: TLS failed: ")


def test_reset_in_the_handshake(run, bridge):
    def reset(connection):
        connection.recv()
        connection.abort()

    daemon = bridge(run(TcpPeer(reset)).url.replace("tcp", "tls"), "--connect-timeout=1h")
    check_unreachable(daemon, 502, UNREACHABLE, "cannot connect to tls://.*Connection reset by peer")


def test_nobody_listens(run, bridge):
    check_unreachable(bridge(f"tls://127.0.0.1:{free_port()}"), 502, UNREACHABLE, "Connection refused")


def test_slow_handshake_delays_nobody(run, serve, authority, tmp_path):
    """Forty that wait for their peer's handshake, and others that come and go meanwhile."""
    stuck = run(TcpPeer(mute))
    daemon = routes_daemon(run, tmp_path, {
        "stuck": f"{address(stuck.url.replace('tcp', 'tls'), authority)} *",
        "fine": f"{address(serve(echo), authority)} *", "echo": "echo:// *"}, "--connect-timeout=1h")
    waiting = []
    for _ in range(40):
        client = daemon.connect()
        client.send_raw(build_request("/stuck"))
        waiting.append(client)
    eventually(lambda: len(stuck.connections) == 40)
    for _ in range(10):
        chat(daemon.connect(), "/echo")
        chat(daemon.connect(), "/fine")
    assert not any(client.buffer or client.eof for client in waiting)


def test_client_leaves_during_the_handshake(run, bridge):
    peer = run(TcpPeer(mute))
    daemon = bridge(peer.url.replace("tcp", "tls"), "--connect-timeout=1h")
    client = daemon.connect()
    client.send_raw(build_request())
    connection = peer.accept()
    client.abort()
    peer.wait_handled(connection)
    daemon.wait_log("the client went away before tls://.* was connected")


def test_stop_during_the_handshake(run, bridge):
    peer = run(TcpPeer(mute))
    daemon = bridge(peer.url.replace("tcp", "tls"), "--connect-timeout=1h")
    client = daemon.connect()
    client.send_raw(build_request())
    peer.accept()
    daemon.signal(signal.SIGTERM)
    assert client.recv_http().status == 503
    client.close()
    assert daemon.wait() == 0


# --- many ---------------------------------------------------------------------------------------


def test_many_sessions_leave_nothing(serve, bridge):
    daemon = bridge(serve(echo))
    fds = daemon.fds()
    for _ in range(50):
        chat(daemon.connect())
    rss = daemon.rss()
    for _ in range(200):
        chat(daemon.connect())
    eventually(lambda: daemon.fds() == fds, "descriptors to be closed")
    check_growth(daemon, rss, 200 << 10)
