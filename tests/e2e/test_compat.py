# SPDX-License-Identifier: BSD-2-Clause
"""The command lines of websockify and wsproxy, and programs that use them. tests/unit/compat has the translation."""
import os
import re
import signal
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from tools.client import ConnectionEnded, RawClient
from tools.configuration import reload
from tools.daemon import BINARY, TLS, Daemon, environment
from tools.frames import BIN, TEXT
from tools.http import build_request
from tools.peers import TcpPeer, TlsPeer, UnixPeer, echo
from tools.ports import free_port
from tools.sockets import is_open
from tools.tls_files import Authority, client_context, openssl, self_signed, server_context
from tools.users import basic
from tools.waiting import TIMEOUT, eventually

COMPAT = Path(BINARY).parent / "compat"
NOVNC = Path("/usr/share/novnc")
GREETING = b"RFB 003.008\n"

pytestmark = pytest.mark.skipif(TLS, reason="the tests choose themselves where there is TLS")


class Compat(Daemon):
    """The daemon under another name; `port` is the one that its log names."""

    def __init__(self, *args, name="websockify", **kwargs):
        super().__init__(*args, defaults=False, tls=False, program=COMPAT / name, **kwargs)

    def lines(self):
        """The log without time stamps and levels."""
        return [re.sub(r"^\S+Z \w+: ", "", line) for line in self.log().splitlines()]


def greet(connection):
    connection.send(GREETING)
    echo(connection)


def run_compat(*args, name="websockify", **kwargs):
    return subprocess.run(
        [COMPAT / name, *map(str, args)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT,
        env=environment(), check=False, **kwargs)


def page_of(daemon, path, **headers):
    return daemon.http(path, plain=True, headers=headers)


def status_of(daemon, **headers):
    """Of the answer to an upgrade request."""
    client = daemon.connect()
    client.send_raw(build_request(headers=headers))
    return client.recv_http().status


def check_session(client, path="/websockify", **request):
    """A session as noVNC has it: binary messages, with and without a subprotocol."""
    client.upgrade(path, **request)
    assert client.recv_message() == (BIN, GREETING)
    client.send_binary(b"\x01\xff")
    assert client.recv_message() == (BIN, b"\x01\xff")
    client.close_handshake()


def detached(port):
    """The process numbers of daemons that were started with this port."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if os.fsencode(str(COMPAT)) in words[0] and any(str(port).encode() in word for word in words[1:]):
            found.append(int(path.parent.name))
    return found


@pytest.fixture
def background():
    """Ports of daemons that detach, which are killed after the test."""
    ports = []

    def choose():
        ports.append(free_port())
        return ports[-1]

    yield choose
    for pid in (pid for port in ports for pid in detached(port)):
        os.kill(pid, signal.SIGKILL)


# --- forms ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ("websockify", "run"))
@pytest.mark.parametrize(
    "options", (("--heartbeat", "30", 0), ("127.0.0.1:0", "--heartbeat=30")), ids=("before", "behind"))
def test_target(run, tmp_path, name, options):
    peer = run(TcpPeer(greet))
    target = f"127.0.0.1:{peer.port}"
    daemon = run(Compat(*options, target, name=name, cwd=tmp_path))
    for protocols in (None, "binary", "base64, binary"):
        check_session(daemon.connect(), protocols=protocols)
    lines = daemon.lines()
    source = options[-1] if options[-1] != 0 else ":0"
    source = "127.0.0.1:0" if "127.0.0.1:0" in options else source
    assert lines[lines.index("WebSocket server settings:"):][:4] == [
        "WebSocket server settings:", f"  - Listen on {source}", "  - No SSL/TLS support (no cert file)",
        f"  - proxying from {source} to {target}"]


def test_old_clients_get_base64(run, tmp_path):
    peer = run(TcpPeer(greet))
    daemon = run(Compat("0", f"127.0.0.1:{peer.port}", cwd=tmp_path))
    client = daemon.open(protocols="base64")
    assert client.recv_message() == (TEXT, b"UkZCIDAwMy4wMDgK")


def test_recording(run, tmp_path):
    """Names and format are those of websockify."""
    peer = run(TcpPeer(greet))
    daemon = run(Compat("0", f"127.0.0.1:{peer.port}", "--record=se%sion", cwd=tmp_path))
    assert f"  - Recording to '{tmp_path}/se%sion.*'" in daemon.lines()
    check_session(daemon.connect())
    daemon.stop()
    recording = (tmp_path / "se%sion.1").read_text()
    assert re.fullmatch(
        r"var VNC_frame_data = \[\n'\{\d+\{RFB 003\.008\\n',\n'\}\d+\}\\x01\\xff',\n"
        r"'\{\d+\{\\x01\\xff',\n'EOF'\];\n", recording), recording


def test_unix_sockets_on_both_sides(run, tmp_path):
    peer = run(UnixPeer(tmp_path / "target", greet))
    run(Compat("--unix-target", "target", "--unix-listen=listen", cwd=tmp_path))
    assert stat.S_IMODE((tmp_path / "listen").stat().st_mode) == 0o600
    check_session(RawClient(str(tmp_path / "listen")))
    assert peer.connections


def test_target_with_tls_is_verified(run, tmp_path):
    pair = self_signed(tmp_path, "localhost")
    peer = run(TlsPeer(server_context(pair), greet))
    daemon = run(Compat("--ssl-target", "0", f"localhost:{peer.port}", cwd=tmp_path))
    assert status_of(daemon) == 502
    assert " (using SSL)" in daemon.log()


def test_inetd(run, tmp_path):
    peer = run(TcpPeer(greet))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with subprocess.Popen(
                [COMPAT / "websockify", "--inetd", "--run-once", f"127.0.0.1:{peer.port}"], stdin=listener,
                stderr=subprocess.DEVNULL, cwd=tmp_path, env=environment()) as process:
            check_session(RawClient(listener.getsockname()))
            assert process.wait(TIMEOUT) == 0


PROGRAM = """
import socket, sys
name = sys.argv[1]
listener = socket.create_server(("", int(name))) if name.isdigit() else socket.socket(socket.AF_UNIX)
if not name.isdigit():
    listener.bind(name)
    listener.listen()
peer = listener.accept()[0]
peer.sendall(b"RFB 003.008\\n")
while peer.recv(100):
    pass
sys.exit(7)
"""


@pytest.mark.parametrize("by", ("port", "path"))
def test_program(run, tmp_path, by):
    port = free_port()
    name = str(port) if by == "port" else str(tmp_path / "socket")
    options = () if by == "port" else ("--unix-target", name)
    (tmp_path / "program").write_text(PROGRAM)
    daemon = run(Compat(*options, f"127.0.0.1:{port}", "--", "/usr/bin/python3", "program", name, cwd=tmp_path))
    eventually(lambda: status_of(daemon) == 101, "the program to listen")
    assert f"  - proxying from 127.0.0.1:{port} to '/usr/bin/python3 program {name}'" in daemon.lines()
    daemon.close_clients()
    assert daemon.wait() == 7


# --- TLS, pages, authentication --------------------------------------------------------------------


def test_certificate_in_the_working_directory(run, tmp_path):
    pair = self_signed(tmp_path, "localhost")
    pem = Path(pair.cert).read_text() + Path(pair.key).read_text()
    (tmp_path / "self.pem").touch(0o600)
    (tmp_path / "self.pem").write_text(pem)
    peer = run(TcpPeer(greet))
    daemon = run(Compat("0", f"127.0.0.1:{peer.port}", cwd=tmp_path))
    assert "  - SSL/TLS support" in daemon.lines()
    check_session(daemon.connect())
    check_session(RawClient(daemon.address, tls=client_context(pair)))
    only = run(Compat("--ssl-only", "0", f"127.0.0.1:{peer.port}", cwd=tmp_path))
    with pytest.raises(ConnectionEnded):
        status_of(only)
    check_session(RawClient(only.address, tls=client_context(pair)))


def test_clients_with_certificates(run, tmp_path):
    authority = Authority(tmp_path)
    server, person = authority.issue("localhost"), authority.issue("person", purpose="clientAuth")
    peer = run(TcpPeer(greet))
    daemon = run(Compat(
        "--cert", server.cert, "--key", server.key, "--verify-client", "--cafile", authority.cert, "0",
        f"127.0.0.1:{peer.port}", cwd=tmp_path))
    check_session(RawClient(daemon.address, tls=client_context(authority, person)))


def s_client(daemon, *arguments):
    """The output of openssl s_client, which connects and ends."""
    result = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{daemon.port}", *map(str, arguments)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    return result.stdout + result.stderr


def test_key_with_a_password_and_a_list_of_ciphers(run, tmp_path):
    """Again after a reload."""
    pair = Authority(tmp_path).issue("localhost", key="rsa")
    locked = tmp_path / "locked.key"
    openssl("pkey", "-in", pair.key, "-aes256", "-passout", "pass:the secret", "-out", locked)
    locked.chmod(0o600)
    daemon = run(Compat(
        "--cert", pair.cert, "--key", locked, "--key-password", "the secret", "--ssl-ciphers",
        "ECDHE+AESGCM:!AES256:!aNULL:!DES-CBC3-SHA", "0", "localhost:1", cwd=tmp_path))
    for cipher, used in (("ECDHE-RSA-AES128-GCM-SHA256", True), ("ECDHE-RSA-AES256-GCM-SHA384", False),
                         ("ECDHE-RSA-CHACHA20-POLY1305", False), ("ECDHE-RSA-AES128-SHA", False)):
        output = s_client(daemon, "-tls1_2", "-cipher", cipher)
        assert (f"Cipher is {cipher}" in output) == used, (cipher, output)
    assert "Cipher is TLS_AES_128_GCM_SHA256" in s_client(daemon, "-tls1_3")
    reload(daemon)
    assert "Cipher is TLS_AES_128_GCM_SHA256" in s_client(daemon, "-tls1_3")
    wrong = run_compat("--cert", pair.cert, "--key", locked, "--key-password", "no", "0", "localhost:1", cwd=tmp_path)
    assert wrong.returncode == 1
    assert "is encrypted, and no line of /proc/self/fd/" in wrong.stderr


def test_common_names_of_clients(run, tmp_path):
    authority = Authority(tmp_path)
    server, jane, john = (authority.issue(name) for name in ("localhost", "jane", "john"))
    peer = run(TcpPeer(greet))
    daemon = run(Compat(
        "--cert", server.cert, "--key", server.key, "--verify-client", "--cafile", authority.cert, "--auth-plugin",
        "ClientCertCNAuth", "--auth-source", "jane joan", "0", f"127.0.0.1:{peer.port}", cwd=tmp_path))
    check_session(RawClient(daemon.address, tls=client_context(authority, jane)))
    client = RawClient(daemon.address, tls=client_context(authority, john))
    client.send_raw(build_request())
    assert client.recv_http().status == 403


def test_pages(run, tmp_path):
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages/vnc.html").write_text("a page")
    daemon = run(Compat("--web", "pages", "0", "localhost:1", cwd=tmp_path))
    answer = page_of(daemon, "/vnc.html")
    assert (answer.status, answer.body) == (200, b"a page")
    assert answer.header("Content-Security-Policy") is None or "'self'" not in answer.header("Content-Security-Policy")
    assert b"vnc.html" in page_of(daemon, "/").body
    without = run(Compat("--web", "pages", "--file-only", "0", "localhost:1", cwd=tmp_path))
    assert page_of(without, "/").status == 404
    assert page_of(without, "/vnc.html").status == 200


def test_password_of_the_command_line(run, tmp_path):
    (tmp_path / "page").write_text("a page")
    peer = run(TcpPeer(greet))
    arguments = ("--auth-plugin", "BasicHTTPAuth", "--auth-source", "user:pass:word", "--web", ".", "0",
                 f"127.0.0.1:{peer.port}")
    daemon = run(Compat(*arguments, cwd=tmp_path))
    for _ in range(2):
        assert status_of(daemon) == 401
        check_session(daemon.connect(), headers=basic("user", "pass:word"))
        assert page_of(daemon, "/page").status == 200
        reload(daemon)
    with_pages = run(Compat("--web-auth", *arguments, cwd=tmp_path))
    assert page_of(with_pages, "/page").status == 401
    assert page_of(with_pages, "/page", **basic("user", "pass:word")).status == 200


def test_expected_origins(run, tmp_path):
    peer = run(TcpPeer(greet))
    daemon = run(Compat(
        "--auth-plugin", "ExpectOrigin", "--auth-source", "https://a.example http://b.example:81", "0",
        f"127.0.0.1:{peer.port}", cwd=tmp_path))
    for origin, status in (("https://a.example", 101), ("http://b.example:81", 101), ("https://c.example", 403)):
        assert status_of(daemon, Origin=origin) == status


# --- running ---------------------------------------------------------------------------------------


def test_daemon_keeps_the_passwords(run, tmp_path, background):
    """Of the user and of the key."""
    peer = run(TcpPeer(greet))
    port = background()
    authority = Authority(tmp_path)
    pair = authority.issue("localhost")
    openssl("pkey", "-in", pair.key, "-aes256", "-passout", "pass:secret", "-out", tmp_path / "locked.key")
    result = run_compat(
        "-D", "--log-file", "log", "--auth-plugin", "BasicHTTPAuth", "--auth-source", "user:word", "--cert", pair.cert,
        "--key", "locked.key", "--key-password", "secret", f"127.0.0.1:{port}", f"127.0.0.1:{peer.port}", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "  - Backgrounding (daemon)" in (tmp_path / "log").read_text()
    check_session(RawClient(("127.0.0.1", port)), headers=basic("user", "word"))
    check_session(RawClient(("127.0.0.1", port), tls=client_context(authority)), headers=basic("user", "word"))


def test_wsproxy_detaches_unless_told_otherwise(run, tmp_path, background):
    peer = run(TcpPeer(greet))
    port = background()
    result = run_compat(f"127.0.0.1:{port}", f"127.0.0.1:{peer.port}", name="wsproxy", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    check_session(RawClient(("127.0.0.1", port)))
    daemon = run(Compat("-f", "0", f"127.0.0.1:{peer.port}", name="wsproxy", cwd=tmp_path))
    check_session(daemon.connect())


def test_end_by_plan(run, tmp_path):
    daemon = run(Compat("--idle-timeout", "1", "0", "localhost:1", cwd=tmp_path))
    assert daemon.wait() == 0


@pytest.mark.parametrize("option", ("-v", "--traffic"))
def test_traffic_characters(run, tmp_path, option):
    """On standard output, with the legend for each connection."""
    peer = run(TcpPeer(greet))
    with open(tmp_path / "out", "wb") as out:
        daemon = run(Compat(option, "0", f"127.0.0.1:{peer.port}", cwd=tmp_path,
                            preexec_fn=lambda: os.dup2(out.fileno(), 1)))
        check_session(daemon.connect())
        daemon.stop()
    text = (tmp_path / "out").read_text()
    legend, _, characters = text.partition("    <. - Client send partial\n")
    assert legend.startswith("\nTraffic Legend:\n    }  - Client receive\n")
    assert characters == "{<}>{<"


def test_traffic_that_nothing_reads(run, tmp_path):
    """A pipe that is full holds up no connection."""
    peer = run(TcpPeer(echo))
    read, write = os.pipe()
    try:
        daemon = run(Compat("--traffic", "0", f"127.0.0.1:{peer.port}", cwd=tmp_path,
                            preexec_fn=lambda: os.dup2(write, 1)))
        client = daemon.open()
        os.set_blocking(write, False)
        try:
            while True:
                os.write(write, bytes(4096))
        except BlockingIOError:
            os.set_blocking(write, True)
        for _ in range(20):
            client.send_binary(b"x")
            assert client.recv_message() == (BIN, b"x")
        daemon.stop()
    finally:
        os.close(read)
        os.close(write)


def test_port_that_is_taken(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run_compat(f"127.0.0.1:{taken.getsockname()[1]}", "localhost:1", cwd=tmp_path)
    assert result.returncode == 1
    assert "Address already in use" in result.stderr


# --- errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments, error", (
    ("", "Too few arguments"),
    ("6080 localhost:5900 more", "Too many arguments"),
    ("6080 localhost", "Error parsing target"),
    ("port localhost:5900", "Error parsing listen port"),
    ("6080 localhost:5900 --unknown", "no such option: --unknown"),
    ("--ssl-only --cert=none 6080 localhost:5900", "SSL only and none not found"),
), ids=lambda value: value.replace(" ", "_"))
def test_errors_of_usage(tmp_path, arguments, error):
    result = run_compat(*arguments.split(), cwd=tmp_path)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("Usage: \n    websockify [options] [source_addr:]source_port target_addr:")
    assert result.stderr.endswith(f"\n\nwebsockify: error: {error}\n")


def test_what_is_not_supported_is_one_line(tmp_path):
    for arguments in (
            "--auth-plugin ClientCertCNAuth --auth-source a 0 a:1", "--token-plugin my.Class 0", "--auth-plugin BasicHTTPAuth 0 a:1"):
        result = run_compat("-D", *arguments.split(), cwd=tmp_path)
        assert result.returncode == 1
        assert re.fullmatch(r"websockify: error: --.*\n", result.stderr)


def test_options_without_a_meaning_are_noticed(run, tmp_path):
    daemon = run(Compat("--libserver", "-6", "0", "localhost:1", cwd=tmp_path))
    assert "websockify: --libserver: there is one engine only" in daemon.lines()


def test_help_and_equivalent_configuration(tmp_path):
    result = run_compat("--help")
    assert result.returncode == 0
    for option in ("--token-plugin=CLASS", "--daemon, -D", "--unix-listen-mode=MODE"):
        assert option in result.stdout
    assert "--foreground, -f" in run_compat("-h", name="wsproxy").stdout
    dumped = run_compat("--dump-config", "--web", ".", "127.0.0.1:6080", "localhost:5900", cwd=tmp_path).stdout
    for line in ("port = 6080", "listen = 127.0.0.1:6080", f"web = {tmp_path}/.", "host = tcp://localhost:5900"):
        assert line in dumped.splitlines()


# --- programs that call websockify -----------------------------------------------------------------


@pytest.mark.skipif(not NOVNC.exists(), reason="needs the package novnc")
def test_launcher_of_novnc(run, tmp_path):
    peer = run(TcpPeer(greet))
    port = free_port()
    command = [NOVNC / "utils/novnc_proxy", "--listen", str(port), "--vnc", f"127.0.0.1:{peer.port}",
               "--web", str(NOVNC), "--heartbeat", "30", "--idle-timeout", "600"]
    env = environment({"PATH": f"{COMPAT}:{os.environ['PATH']}"})
    with open(tmp_path / "log", "wb") as log:
        with subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, cwd=tmp_path) as process:
            try:
                eventually(lambda: is_open(("127.0.0.1", port)), "novnc_proxy")
                check_session(RawClient(("127.0.0.1", port)))
                page = RawClient(("127.0.0.1", port))
                page.send_raw(build_request("/vnc.html", plain=True))
                assert b"<title>noVNC</title>" in page.recv_http().body
                eventually(lambda: b"Navigate to this URL" in (tmp_path / "log").read_bytes(), "the address")
            finally:
                process.send_signal(signal.SIGTERM)
            process.wait(TIMEOUT)
    assert f"Using installed websockify at {COMPAT}/websockify" in (tmp_path / "log").read_text()
    eventually(lambda: not is_open(("127.0.0.1", port)), "the end of the daemon")
