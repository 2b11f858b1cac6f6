# SPDX-License-Identifier: BSD-2-Clause
"""The option inetd: with sockets of the test, Debian's inetd, and systemd-socket-activate."""
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest

from tools.client import RawClient
from tools.configuration import write_config
from tools.daemon import BINARY, ROOT, Daemon, environment, failed_start
from tools.http import build_request
from tools.ports import free_port
from tools.sockets import is_open
from tools.tls_files import client_context, shared
from tools.waiting import TIMEOUT, eventually


class Inetd(Daemon):
    """A daemon whose standard input is a socket; with `streams`, the others are that socket, too."""

    def __init__(self, sock, *args, streams=False, **kwargs):
        super().__init__("--inetd", "-c", "host=echo://", *args, listening=False, tls=False, **kwargs)
        self.sock = sock
        self.streams = streams

    def start(self):
        self.folder = tempfile.mkdtemp(prefix="websocksy-test-")
        self.log_path = os.path.join(self.folder, "log")
        with open(self.log_path, "wb") as log:
            output = self.sock if self.streams else log
            self.process = subprocess.Popen(
                [BINARY, *self.args], stdin=self.sock, stdout=output, stderr=output, env=self.env, **self.popen)
        Daemon.running.append(self)


def listener(family, tmp_path):
    sock = socket.socket(family)
    sock.bind(f"{tmp_path}/socket" if family == socket.AF_UNIX else ("127.0.0.1", 0))
    sock.listen()
    return sock


families = pytest.mark.parametrize("family", (socket.AF_INET, socket.AF_UNIX), ids=("tcp", "unix"))


# --- wait ---------------------------------------------------------------------------------------


@families
@pytest.mark.parametrize("streams", (False, True))
def test_listening_socket(run, tmp_path, family, streams):
    with listener(family, tmp_path) as sock:
        daemon = run(Inetd(sock, streams=streams))
        clients = [RawClient(sock.getsockname()) for _ in range(3)]
        for client in clients:
            client.upgrade()
            client.round_trip()
        for client in clients:
            client.close_handshake()
        assert daemon.process.poll() is None
        daemon.stop()
        assert not os.path.exists(tmp_path / "socket") or family == socket.AF_UNIX


def test_port_and_listen_do_not_count(run, tmp_path):
    port = free_port()
    with listener(socket.AF_INET, tmp_path) as sock:
        daemon = run(Inetd(sock, "-p", port))
        daemon.wait_log(rf"listening on 127\.0\.0\.1:{sock.getsockname()[1]}")
        assert not is_open(("127.0.0.1", port))


def test_standard_input_becomes_free(run, tmp_path):
    with listener(socket.AF_INET, tmp_path) as sock:
        daemon = run(Inetd(sock))
        daemon.wait_log("listening on")
        assert os.readlink(f"/proc/{daemon.process.pid}/fd/0") == "/dev/null"


def test_wait_with_exit_idle_gives_the_socket_back(run, tmp_path):
    """inetd takes it again, and nothing is lost."""
    with listener(socket.AF_INET, tmp_path) as sock:
        with RawClient(sock.getsockname()) as client:  # before the daemon, as with inetd
            daemon = run(Inetd(sock, "--exit-idle=200ms"))
            client.upgrade()
            client.close_handshake()
        assert daemon.wait() == 0
        late = RawClient(sock.getsockname())
        run(Inetd(sock, "--run-once"))
        late.upgrade()
        late.close_handshake()


def test_reload_in_wait_mode(run, tmp_path):
    with listener(socket.AF_INET, tmp_path) as sock:
        daemon = run(Inetd(sock))
        daemon.wait_log("listening on")
        daemon.signal(signal.SIGHUP)
        daemon.wait_log("has been read again")
        with RawClient(sock.getsockname()) as client:
            client.upgrade()
            client.close_handshake()


# --- nowait -------------------------------------------------------------------------------------


@families
@pytest.mark.parametrize("streams", (False, True))
def test_accepted_connection(run, tmp_path, family, streams):
    with listener(family, tmp_path) as sock:
        client = RawClient(sock.getsockname())
        accepted, _ = sock.accept()
    daemon = run(Inetd(accepted, streams=streams))
    accepted.close()
    client.upgrade()  # nothing but the response comes from the daemon
    client.round_trip()
    client.close_handshake()
    assert daemon.wait() == 0
    if not streams and family == socket.AF_INET:
        assert re.search(r"#1 127\.0\.0\.1:\d+: closed", daemon.log())
        assert "listening on" not in daemon.log()


def test_requests_for_pages_on_an_accepted_connection(run, tmp_path):
    with listener(socket.AF_INET, tmp_path) as sock:
        client = RawClient(sock.getsockname())
        accepted, _ = sock.accept()
    daemon = run(Inetd(accepted, "--web", ROOT / "index.html"))
    accepted.close()
    client.send_raw(build_request("/", plain=True))
    assert client.recv_http().status == 200
    client.expect_eof()
    client.close()
    assert daemon.wait() == 0


def test_tls_on_an_accepted_connection(run, tmp_path):
    authority, pair = shared()
    with listener(socket.AF_INET, tmp_path) as sock:
        accepted = []
        daemon = None

        def serve():
            nonlocal daemon
            accepted.append(sock.accept()[0])
            daemon = run(Inetd(accepted[0], f"--cert={pair.cert}", f"--key={pair.key}"))
            accepted[0].close()

        raw = socket.create_connection(sock.getsockname())
        serve()
        raw.settimeout(TIMEOUT)
        with client_context(authority).wrap_socket(raw, server_hostname="localhost") as client:
            client.sendall(build_request("/", plain=True))
            assert client.recv(4096).startswith(b"HTTP/1.1 426")
        assert daemon.wait() == 0


def test_client_that_has_gone(run, tmp_path):
    with listener(socket.AF_INET, tmp_path) as sock:
        client = RawClient(sock.getsockname())
        accepted, _ = sock.accept()
    client.abort()
    daemon = run(Inetd(accepted))
    accepted.close()
    assert daemon.wait() == 0


def test_signal_ends_an_accepted_connection(run, tmp_path):
    with listener(socket.AF_INET, tmp_path) as sock:
        client = RawClient(sock.getsockname())
        accepted, _ = sock.accept()
    daemon = run(Inetd(accepted))
    accepted.close()
    client.upgrade()
    daemon.signal(signal.SIGTERM)
    client.expect_close(1001)
    client.send_close(1001)
    client.expect_eof()
    assert daemon.wait() == 0


# --- errors -------------------------------------------------------------------------------------


def test_standard_input_that_is_no_socket():
    assert failed_start("--inetd") == [
        "inetd: standard input is not a stream socket that listens or is connected (Socket operation on "
        "non-socket)"]


@pytest.mark.parametrize("kind", (socket.SOCK_DGRAM, socket.SOCK_STREAM))
def test_socket_that_is_neither(run, kind):
    with socket.socket(socket.AF_INET, kind) as sock:
        daemon = run(Inetd(sock))
        assert daemon.wait() == 1
        assert "inetd: standard input is not a stream socket that listens or is connected" in daemon.log()


def test_errors_are_not_written_to_the_client(run, tmp_path):
    with listener(socket.AF_INET, tmp_path) as sock:
        client = RawClient(sock.getsockname())
        accepted, _ = sock.accept()
    daemon = run(Inetd(accepted, "--ping=x", streams=True))
    accepted.close()
    assert daemon.wait() == 1
    client.expect_eof()


def test_log_target_of_a_daemon_whose_standard_error_is_the_client(run, tmp_path):
    """An explicit one counts."""
    log = tmp_path / "websocksy.log"
    with listener(socket.AF_INET, tmp_path) as sock:
        client = RawClient(sock.getsockname())
        accepted, _ = sock.accept()
    daemon = run(Inetd(accepted, f"--log-target=file:{log}", streams=True))
    accepted.close()
    client.upgrade()
    client.close_handshake()
    assert daemon.wait() == 0
    assert re.search(r"#1 127\.0\.0\.1:\d+: closed", log.read_text())


@pytest.mark.parametrize("args, text", (
    (("--version",), b"websocksy "),
    (("--help",), b"Usage: websocksy "),
    (("--dump-config",), b"[core]"),
    (("-t", "-c", "host=echo://"), b"the configuration is fine"),
    (("-p", "0", "-c", "host=echo://"), b"listening on "),
))
def test_a_socket_as_all_streams_without_inetd(args, text):
    """As programs have it that socat or a remote shell starts."""
    near, far = socket.socketpair()
    with near, subprocess.Popen([BINARY, *args], stdin=far, stdout=far, stderr=far, env=environment()) as process:
        far.close()
        near.settimeout(TIMEOUT)
        output = b""
        while text not in output and (piece := near.recv(65536)):
            output += piece
        process.terminate()
    assert text in output


def test_inetd_and_daemon(tmp_path):
    text = "inetd and daemon exclude each other: inetd has detached already (give one of them)"
    assert failed_start("-D", "--inetd") == [f"command line: --inetd: {text}"]
    path = write_config(tmp_path, (("inetd", "yes"), ("daemon", "yes")))
    assert failed_start(path) == [f"{path}:3: daemon: {text}"]


# --- inetd --------------------------------------------------------------------------------------


class OpenbsdInetd:
    """Debian's inetd with one service; runs the daemon as the user of the tests."""

    def __init__(self, tmp_path, flags, *args):
        self.port = free_port()
        self.log = tmp_path / "log"
        script = tmp_path / "serve"
        command = " ".join([BINARY, "--inetd", "-c", "host=echo://", *args])
        script.write_text(f"#!/bin/sh\necho $$ >>{self.log}\nexec {command}\n")
        script.chmod(0o755)
        user = "root" if os.geteuid() == 0 else os.environ["USER"]
        self.config = tmp_path / "inetd.conf"
        self.config.write_text(f"127.0.0.1:{self.port} stream tcp {flags} {user} {script} serve\n")

    def __enter__(self):
        self.process = subprocess.Popen([shutil.which("inetd") or "/usr/sbin/inetd", "-i", self.config],
                                        env=environment())
        eventually(lambda: self.listens(), "inetd")
        return self

    def listens(self):
        """Looked up, because a connection would start a daemon."""
        text = open("/proc/net/tcp", encoding="ascii").read()
        return re.search(rf" 0100007F:{self.port:04X} 00000000:0000 0A ", text)

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(TIMEOUT)

    def started(self):
        return len(self.log.read_text().split()) if self.log.exists() else 0

    def open(self):
        client = RawClient(("127.0.0.1", self.port))
        client.upgrade()
        return client


needs_inetd = pytest.mark.skipif(
    not (shutil.which("inetd") or os.path.exists("/usr/sbin/inetd")) or os.geteuid() != 0,
    reason="needs openbsd-inetd, and root to run it")


@needs_inetd
def test_openbsd_inetd_nowait(run, tmp_path):
    inetd = run(OpenbsdInetd(tmp_path, "nowait"))
    clients = [inetd.open() for _ in range(3)]
    for client in clients:
        client.round_trip()
    assert inetd.started() == 3
    for client in clients:
        client.close_handshake()


@needs_inetd
def test_openbsd_inetd_wait(run, tmp_path):
    inetd = run(OpenbsdInetd(tmp_path, "wait", "--exit-idle=200ms"))
    clients = [inetd.open() for _ in range(3)]
    for client in clients:
        client.round_trip()
    assert inetd.started() == 1
    for client in clients:
        client.close_handshake()
    pid = int(inetd.log.read_text())
    eventually(lambda: not os.path.exists(f"/proc/{pid}"), "the end of the daemon")
    late = inetd.open()
    late.close_handshake()
    assert inetd.started() == 2


# --- systemd-socket-activate --------------------------------------------------------------------


class Activated:
    """systemd-socket-activate, which becomes the daemon at the first connection, or starts one for each."""

    def __init__(self, options, address, *args):
        self.address = address
        where = address if isinstance(address, str) else f"127.0.0.1:{address[1]}"
        self.command = ["systemd-socket-activate", *options, "-l", where, BINARY, "--inetd", "-c", "host=echo://",
                        *args]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                                        env=environment())
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(TIMEOUT)

    def open(self):
        def connect():
            try:
                return RawClient(self.address)
            except OSError:
                return None

        client = eventually(connect, "systemd-socket-activate")
        client.upgrade()
        return client


@pytest.mark.skipif(not shutil.which("systemd-socket-activate"), reason="no systemd-socket-activate")
@pytest.mark.parametrize("options", ((), ("--inetd",), ("--accept",), ("--accept", "--inetd")), ids="-".join)
@families
def test_systemd_socket_activate(run, tmp_path, options, family):
    address = str(tmp_path / "socket") if family == socket.AF_UNIX else ("127.0.0.1", free_port())
    activated = run(Activated(options, address))
    first = activated.open()
    second = activated.open()
    first.round_trip()
    second.round_trip()
    first.close_handshake()
    second.close_handshake()
