# SPDX-License-Identifier: BSD-2-Clause
"""The daemon as a service: readiness, watchdog, passed sockets, reload, signals, log, and the examples."""
import contextlib
import fcntl
import os
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import time

import pytest

from tools.client import RawClient
from tools.configuration import BASE, ECHO, READ_AGAIN, UNCHANGED, reload
from tools.daemon import BINARY, ROOT, SANITIZED, Daemon, environment, run_once
from tools.frames import BIN, PING, TEXT
from tools.http import build_request
from tools.peers import TcpPeer, echo, source
from tools.plugin_builder import build_plugin
from tools.ports import free_port
from tools.service import JournalDaemon, Manager, Spawned, activated
from tools.sockets import is_open, listening_ports
from tools.tls_files import self_signed
from tools.waiting import TIMEOUT, eventually, observed


# --- sd_notify ----------------------------------------------------------------------------------


@pytest.fixture(params=("path", "abstract"))
def manager(request, run, tmp_path):
    name = f"{tmp_path}/notify"
    if request.param == "abstract":
        name = f"@websocksy test {os.getpid()} {tmp_path.name}"
    return run(Manager(name))


def monotonic_usec():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def test_ready_reloading_stopping(run, manager, config):
    path = config(BASE, ECHO)
    daemon = run(Daemon(path, defaults=False, env={"NOTIFY_SOCKET": manager.name}))
    assert manager.recv() == {"READY": "1"}
    before = monotonic_usec()
    daemon.signal(signal.SIGHUP)
    reloading = manager.recv()
    assert reloading.pop("RELOADING") == "1"
    assert before <= int(reloading.pop("MONOTONIC_USEC")) <= monotonic_usec()
    assert reloading == {}
    assert manager.recv() == {"READY": "1"}
    daemon.signal(signal.SIGTERM)
    assert manager.recv() == {"STOPPING": "1"}
    assert daemon.wait() == 0
    assert manager.nothing(0)


def test_ready_comes_when_it_listens(run, manager, tmp_path):
    path = f"{tmp_path}/socket"
    daemon = run(Daemon("-l", f"unix:{path}", defaults=False, peer="echo://", listening=False,
                        env={"NOTIFY_SOCKET": manager.name}))
    assert manager.recv() == {"READY": "1"}
    daemon.open(address=path).close_handshake()


def test_reload_that_fails_is_over_too(run, manager, config):
    """A manager would wait for READY=1 for ever otherwise."""
    path = config(BASE, ECHO)
    daemon = run(Daemon(path, defaults=False, env={"NOTIFY_SOCKET": manager.name}))
    manager.recv()
    config((*BASE, ("ping", "x")), ECHO)
    daemon.signal(signal.SIGHUP)
    assert "RELOADING" in manager.recv()
    assert manager.recv() == {"READY": "1"}
    daemon.wait_log(UNCHANGED)


def test_start_that_fails_is_never_ready(run, manager):
    first = run(Daemon())
    result = run_once("-l", "127.0.0.1", "-p", first.port, env={"NOTIFY_SOCKET": manager.name})
    assert result.returncode == 1
    assert manager.nothing(0)


@pytest.mark.parametrize("name", ("", "/no/such/socket", "relative", "/" + 200 * "x"))
def test_notify_socket_that_is_not_there_does_no_harm(run, name):
    daemon = run(Daemon(peer="echo://", env={"NOTIFY_SOCKET": name}))
    daemon.open().close_handshake()
    daemon.stop()


def test_notify_socket_that_is_full_does_not_block(run, manager, config):
    path = config(BASE, ECHO)
    daemon = run(Daemon(path, defaults=False, env={
        "NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": str(20000)}))
    # The queue (net.unix.max_dgram_qlen) is full after a few messages that are not read.
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        probe.connect("\0" + manager.name[1:] if manager.name.startswith("@") else manager.name)
        eventually(lambda: not select.select([], [probe], [], 0)[1], "a full queue")
    reload(daemon)
    daemon.open().close_handshake()
    daemon.stop()


def test_messages_that_found_no_room_come_later(run, manager, config):
    path = config(BASE, ECHO)
    daemon = run(Daemon(path, defaults=False, env={"NOTIFY_SOCKET": manager.name}))
    assert manager.recv() == {"READY": "1"}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler:
        filler.connect("\0" + manager.name[1:] if manager.name.startswith("@") else manager.name)
        filler.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                filler.send(b"FILLER=1")
    reload(daemon)
    got = []
    while not got or got[-1] != {"READY": "1"}:
        message = manager.recv()
        if message != {"FILLER": "1"}:
            got.append(message)
    assert [list(message)[0] for message in got] == ["RELOADING", "READY"]


# Loaded as a framing plugin: long before the daemon has its event loop.
EARLY = r"""
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((constructor)) static void begin(void){
    kill(getpid(), SIGHUP);
    fprintf(stderr, "left over: %s%s%s\n", getenv("NOTIFY_SOCKET") ? "NOTIFY_SOCKET" : "",
        getenv("WATCHDOG_USEC") ? "WATCHDOG_USEC" : "", getenv("LISTEN_FDS") ? "LISTEN_FDS" : "");
}
"""


def test_before_the_loop_runs(run, manager, config, tmp_path):
    """A SIGHUP is not the end, and what the service manager has set is not for the children of plugins."""
    build_plugin(tmp_path, "early", EARLY)
    path = config((*BASE, ("plugin-path", tmp_path)), ECHO)
    daemon = run(Daemon(path, defaults=False, env={
        "NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "60000000", "LISTEN_FDS": "0"}))
    daemon.wait_log(READ_AGAIN)
    assert "left over: \n" in daemon.log()
    daemon.open().close_handshake()


# A start that never gets as far as the event loop.
WAITING = r"""
#include <stdio.h>
#include <unistd.h>

__attribute__((constructor)) static void begin(void){
    fprintf(stderr, "waiting\n");
    for(;;) pause();
}
"""


def test_stop_while_starting(run, config, tmp_path):
    """SIGTERM ends a daemon whose start waits for something."""
    build_plugin(tmp_path, "waiting", WAITING)
    path = config((*BASE, ("plugin-path", tmp_path)), ECHO)
    daemon = run(Daemon(path, defaults=False, listening=False))
    daemon.wait_log("waiting")
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == -signal.SIGTERM


def watchdog_times(manager, count):
    times = []
    while len(times) < count:
        with observed("message to the watchdog within 500 ms"):
            while manager.recv() != {"WATCHDOG": "1"}:
                pass
        times.append(time.monotonic())
    return times


@pytest.mark.latency
@pytest.mark.parametrize("own_pid", (False, True))
def test_watchdog(run, manager, own_pid):
    interval = 0.5
    env = {"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": str(int(interval * 1e6))}
    args = ("-l", "127.0.0.1", "-p", "0")
    if own_pid:
        # Only a shell that becomes the daemon knows the number beforehand.
        daemon = run(Spawned(["/bin/sh", "-c", 'WATCHDOG_PID=$$ exec "$0" "$@"', BINARY, *args], env))
    else:
        daemon = run(Daemon(env=env))
    begun = time.monotonic()
    watchdog_times(manager, 5)
    # Twice an interval, and no flood.
    assert time.monotonic() - begun > 3 * interval * 0.45
    daemon.stop()


def test_watchdog_of_another_process(run, manager):
    run(Daemon(env={"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": "1"}))
    assert manager.recv() == {"READY": "1"}
    assert manager.nothing(0.2)


@pytest.mark.parametrize("value", ("", "0", "x", "-1", "12x"))
def test_watchdog_that_is_none(run, manager, value):
    run(Daemon(env={"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": value}))
    assert manager.recv() == {"READY": "1"}
    assert manager.nothing(0.05)


# --- socket activation --------------------------------------------------------------------------


@pytest.fixture
def tcp_socket():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(64)
        yield sock


def test_activation_by_tcp(run, tcp_socket):
    daemon = activated(run, [tcp_socket], "-c", "host=echo://")
    address = tcp_socket.getsockname()
    assert daemon.port == address[1]
    assert len(re.findall("listening on", daemon.log())) == 1  # `port` and `listen` do not count
    daemon.open(address=address).close_handshake()


def test_activation_by_unix_socket(run, tmp_path):
    path = f"{tmp_path}/socket"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
        sock.listen(64)
        daemon = activated(run, [sock], "-c", "host=echo://")
        daemon.open(address=path).close_handshake()
        daemon.stop()
        # Its owner is the service manager, who goes on with it.
        assert os.path.exists(path)


def test_activation_by_several_sockets(run, tcp_socket, tmp_path):
    path = f"{tmp_path}/socket"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
        sock.listen(64)
        daemon = activated(run, [sock, tcp_socket], "-c", "host=echo://")
        daemon.wait_log("listening on ", count=2)
        daemon.open(address=path).close_handshake()
        daemon.open(address=tcp_socket.getsockname()).close_handshake()


def test_client_that_waited_before_the_start_is_served(run, tcp_socket):
    with socket.create_connection(tcp_socket.getsockname()) as early:
        early.sendall(build_request("/", plain=True))
        activated(run, [tcp_socket], "-c", "host=echo://")
        early.settimeout(TIMEOUT)
        assert early.recv(1 << 16).startswith(b"HTTP/1.1 426 ")


def test_passed_socket_is_not_inherited_blocking(run, tcp_socket):
    """The manager's socket may block; the loop must not, when a client is gone before it is accepted."""
    tcp_socket.setblocking(True)
    daemon = activated(run, [tcp_socket], "-c", "host=echo://")
    for _ in range(20):
        sock = socket.create_connection(tcp_socket.getsockname())
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()
    daemon.open(address=tcp_socket.getsockname()).close_handshake()


def test_passed_socket_survives_a_reload(run, tcp_socket):
    daemon = activated(run, [tcp_socket], "-c", "host=echo://", "-p", "0")
    client = daemon.open(address=tcp_socket.getsockname())
    reload(daemon)
    client.round_trip()
    daemon.open(address=tcp_socket.getsockname()).close_handshake()
    assert len(re.findall("listening on", daemon.log())) == 1


def test_sockets_for_another_process_are_not_touched(run, tcp_socket):
    daemon = activated(run, [tcp_socket], "-l", "127.0.0.1", "-p", "0", "-c", "host=echo://", pid="1")
    assert daemon.port != tcp_socket.getsockname()[1]
    daemon.open().close_handshake()


@pytest.mark.parametrize("count", ("0", "x", "''", "-1"))
def test_no_passed_sockets(run, count):
    daemon = activated(run, [], "-l", "127.0.0.1", "-p", "0", "-c", "host=echo://", count=count)
    daemon.open().close_handshake()


@pytest.mark.parametrize("kind", (socket.SOCK_STREAM, socket.SOCK_DGRAM), ids=("not listening", "datagram"))
def test_passed_socket_that_takes_no_connections_is_refused(run, kind):
    """Waiting for clients there would use up a processor: a socket without clients is writable for ever."""
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        daemon = activated(run, [sock], "-c", "host=echo://", listening=False)
        assert daemon.wait() == 1
        errors = [line for line in daemon.log().splitlines() if " error: " in line]
        assert len(errors) == 1 and re.search(r"\b3\b", errors[0]), daemon.log()


# --- reload -------------------------------------------------------------------------------------


def test_reload_gives_new_clients_the_new_peer(run, config):
    old, new = run(TcpPeer(source(b"old", then_close=False))), run(TcpPeer(source(b"new", then_close=False)))
    daemon = run(Daemon(config(BASE, (("host", old.url),)), defaults=False))
    port = daemon.port
    first = daemon.open()
    assert first.recv_message() == (TEXT, b"old")
    config(BASE, (("host", new.url), ("framing", "binary")))
    reload(daemon)
    second = daemon.open(address=("127.0.0.1", port))
    assert second.recv_message() == (BIN, b"new")
    # The old connection has its peer and its framing function as before.
    old.connections[0].send(b"still")
    assert first.recv_message() == (TEXT, b"still")
    first.send_text("from the client")
    eventually(lambda: old.connections[0].received == b"from the client", "the bytes at the old peer")
    for client in (first, second):
        client.close_handshake()


def test_reload_opens_the_new_port_and_closes_the_old(run, config):
    before, after = free_port(), free_port()
    daemon = run(Daemon(config((("listen", "127.0.0.1"), ("port", before)), ECHO), defaults=False))
    client = daemon.open(address=("127.0.0.1", before))
    config((("listen", "127.0.0.1"), ("port", after)), ECHO)
    reload(daemon)
    daemon.open(address=("127.0.0.1", after)).close_handshake()
    assert listening_ports(daemon.process, socket.AF_INET) == {after}
    client.round_trip()
    client.close_handshake()


def test_reload_keeps_a_listener_that_stays(run, config):
    """It is never closed: clients in its queue are served, and port 0 does not become another."""
    daemon = run(Daemon(config(BASE, ECHO), defaults=False))
    with socket.create_connection(daemon.address) as waiting:
        reload(daemon)
        waiting.sendall(build_request("/", plain=True))
        waiting.settimeout(TIMEOUT)
        assert waiting.recv(1 << 16).startswith(b"HTTP/1.1 426 ")
    assert len(re.findall("listening on", daemon.log())) == 1


def test_reload_adds_and_removes_a_unix_socket(run, config, tmp_path):
    path = tmp_path / "socket"
    daemon = run(Daemon(config(BASE, ECHO), defaults=False))
    config((*BASE, ("listen", f"unix:{path},mode=0600")), ECHO)
    reload(daemon)
    daemon.open(address=path).close_handshake()
    daemon.open().close_handshake()
    config(BASE, ECHO)
    reload(daemon)
    assert not path.exists()
    daemon.open().close_handshake()


@pytest.mark.parametrize("broken", (
    "line", "option", "value", "backend", "backend option", "framing", "port", "path", "web", "no file"))
def test_broken_configuration_changes_nothing(run, config, broken, tmp_path):
    old = run(TcpPeer(echo))
    other = run(Daemon())
    path = config((*BASE, ("ping", "100ms")), (("host", old.url), ("protocol", "one")))
    daemon = run(Daemon(path, defaults=False))
    port = daemon.port
    client = daemon.open(protocols="one")
    good = (("host", "echo://"), ("protocol", "two"))
    socket_path = tmp_path / "fresh-socket"
    fresh = (*BASE, ("ping", "0"), ("listen", f"unix:{socket_path}"))
    says = {
        "line": (lambda: config(fresh, good, raw="nonsense\n"), rf"{path}:\d+: syntax: "),
        "option": (lambda: config((*fresh, ("pin", "1")), good), rf"{path}:6: pin: unknown option"),
        "value": (lambda: config((*fresh, ("grace", "ten")), good), rf'{path}:6: grace: "ten" is not a time'),
        "backend": (lambda: config((*fresh, ("backend", "none")), good),
                    rf"{path}:6: backend: .*backend_none\.so"),
        "backend option": (lambda: config(fresh, (*good, ("hots", "1"))), rf"{path}:9: hots: "),
        "framing": (lambda: config(fresh, (*good, ("framing", "none"))), rf"{path}:9: framing: "),
        "port": (lambda: config((*fresh[1:], ("port", other.port)), good),
                 rf"cannot listen on 127\.0\.0\.1, port {other.port}: Address already in use"),
        "path": (lambda: config((*fresh, ("listen", f"unix:{tmp_path}/none/socket")), good),
                 rf"cannot listen on unix:{tmp_path}/none/socket: No such file"),
        "web": (lambda: config((*fresh, ("web", tmp_path / "none")), good),
                rf'{path}:6: web: ".*/none" does not exist'),
        "no file": (path.unlink, rf'cannot read "{path}": No such file'),
    }
    change, line = says[broken]
    change()
    log = reload(daemon, UNCHANGED)
    assert re.search(f"error: .*{line}" if broken != "port" else line, log), log
    assert len(re.findall(r" error: ", log)) == 2, log
    # Old port, old backend, old options, for old and new clients; and nothing of the new is left open.
    assert not socket_path.exists()
    client.send_text("still here")
    assert client.recv_message() == (TEXT, b"still here")
    fresh_client = daemon.open(address=("127.0.0.1", port), protocols="one")
    assert fresh_client.response.header("Sec-WebSocket-Protocol") == "one"
    assert fresh_client.recv_frame().opcode == PING
    # And the daemon goes on.
    config((*BASE, ("ping", "0")), good)
    reload(daemon)
    assert daemon.open(protocols="two").response.header("Sec-WebSocket-Protocol") == "two"


def test_reload_of_ping_reaches_running_connections(run, config):
    daemon = run(Daemon(config((*BASE, ("ping", "0")), ECHO), defaults=False))
    client = daemon.open()
    config((*BASE, ("ping", "100ms")), ECHO)
    reload(daemon)
    assert client.recv_frame().opcode == PING


def test_reload_of_origin_and_limits(run, config):
    daemon = run(Daemon(config(BASE, ECHO), defaults=False))
    kept = daemon.open(headers={"Origin": "https://b.example"})
    config((*BASE, ("origin", "https://a.example"), ("max-clients", "2")), ECHO)
    reload(daemon)
    assert daemon.http(headers={"Origin": "https://b.example"}).status == 403
    second = daemon.open(headers={"Origin": "https://a.example"})
    assert daemon.http(headers={"Origin": "https://a.example"}).status == 503
    kept.round_trip()
    config(BASE, ECHO)
    reload(daemon)
    daemon.open(headers={"Origin": "https://b.example"}).close_handshake()
    second.close_handshake()


def test_reload_of_the_limit_per_address(run, config):
    """Clients from before the limit were not counted; the number must not go below zero when they leave."""
    daemon = run(Daemon(config(BASE, ECHO), defaults=False))
    old = [daemon.open() for _ in range(3)]
    config((*BASE, ("max-clients-per-ip", "1")), ECHO)
    reload(daemon)
    for client in old:
        client.close_handshake()
    daemon.open()
    assert daemon.http().status == 503


def test_reload_of_the_log_level(run, config):
    daemon = run(Daemon(config((*BASE, ("log-level", "notice")), ECHO), defaults=False))
    daemon.open().close_handshake()
    assert " info: " not in daemon.log()
    config((*BASE, ("log-level", "debug")), ECHO)
    reload(daemon)
    daemon.open().close_handshake()
    daemon.wait_log(r" debug: #2 .*connected to echo://")
    daemon.wait_log(r" info: #2 .*: closed: ")


def test_reload_of_web(run, config, tmp_path):
    (tmp_path / "page").write_text("one")
    daemon = run(Daemon(config((*BASE, ("web", tmp_path / "page")), ECHO), defaults=False))
    assert daemon.http(plain=True).body == b"one"
    (tmp_path / "other").write_text("two")
    config((*BASE, ("web", tmp_path / "other")), ECHO)
    reload(daemon)
    assert daemon.http(plain=True).body == b"two"
    config(BASE, ECHO)
    reload(daemon)
    assert daemon.http(plain=True).status == 426


def test_reload_of_a_site_on_a_kept_connection(run, config, tmp_path):
    """What a kept connection asks after a reload is answered as the new configuration says."""
    def ask(path):
        client.send_raw(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return client.recv_http()

    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "name").write_text("x")
    web = ("web", tmp_path / "site")
    daemon = run(Daemon(config((*BASE, web), ECHO), defaults=False))
    client = daemon.connect()
    assert ask("/").status == 404 and ask("/up").status == 404
    config((*BASE, web, ("web-listing", "yes"), ("health", "/up")), ECHO)
    reload(daemon)
    assert b"name" in ask("/").body and ask("/up").body == b"ok\n"
    config((*BASE, web, ("health", "/other")), ECHO)
    reload(daemon)
    assert ask("/").status == 404 and ask("/up").status == 404 and ask("/other").status == 200
    config(BASE, ECHO)
    reload(daemon)
    assert ask("/").status == 426
    client.expect_eof()


def test_reload_reads_the_command_line_too(run, config):
    """What stands on it still overrides, or is overridden by, the file."""
    path = config((("idle-timeout", "1h"),), ECHO)
    daemon = run(Daemon("--config", path, "--idle-timeout=0"))
    config((("idle-timeout", "50ms"),), ECHO)
    reload(daemon)
    client = daemon.open()
    time.sleep(0.2)  # several times the idle-timeout, which must not count
    client.round_trip()


def test_reload_keeps_the_plugin_path(run, config, tmp_path):
    """Code that is in use cannot be exchanged: a notice says that a start is needed."""
    dump = run_once("--dump-config").stdout
    plugins = re.search(r"^plugin-path = (.*)$", dump, re.MULTILINE)[1]
    copy = tmp_path / "plugins"
    shutil.copytree(plugins, copy)
    framed = (*ECHO, ("framing", "fixedlength"), ("framing-config", "4"))
    daemon = run(Daemon(config(BASE, framed), defaults=False))
    path = config((*BASE, ("plugin-path", copy)), framed)
    log = reload(daemon)
    assert re.search(rf"notice: {path}:4: plugin-path: changes only when the daemon is started", log), log
    assert str(copy) not in open(f"/proc/{daemon.process.pid}/maps").read()
    daemon.open().close_handshake()


LATE_FRAMING = r"""
#include "websocksy.h"

static int64_t late(uint8_t *data, size_t length, size_t last_read, ws_operation *opcode, void **framing_data,
	const char *config) {
	(void) data; (void) last_read; (void) opcode; (void) framing_data; (void) config;
	return (int64_t) length;
}

static void __attribute__((constructor)) start(void) {
	core_register_framing("late", late);
}
"""


def test_failed_reload_leaves_no_plugins_loaded(run, config, tmp_path):
    """Whole or not at all: a plugin that has been added is there after the first reload that succeeds."""
    def is_loaded():
        return "late.so" in open(f"/proc/{daemon.process.pid}/maps").read()

    folder = tmp_path / "plugins"
    folder.mkdir()
    core = (*BASE, ("plugin-path", folder))
    late = (*ECHO, ("framing", "late"))
    daemon = run(Daemon(config(core, ECHO), defaults=False))
    build_plugin(folder, "late", LATE_FRAMING)
    config((*core, ("ping", "never")), late)
    reload(daemon, UNCHANGED)
    assert not is_loaded()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config((*core, ("port", taken.getsockname()[1])), late)
        reload(daemon, UNCHANGED)
    assert not is_loaded()
    config(core, late)
    reload(daemon)
    assert is_loaded()
    config((*core, ("ping", "never")), late)
    reload(daemon, UNCHANGED)
    assert is_loaded()
    daemon.open().close_handshake()


@pytest.fixture
def routes(tmp_path):
    folder = tmp_path / "routes"
    folder.mkdir()
    (folder / "a").write_text("echo:// *\n")
    (folder / "b-x").write_text("echo:// *\n")
    return folder


def test_reload_of_the_file_backend(run, config, routes):
    def backend(expression):
        return (("path", routes), ("expression", expression))

    core = (*BASE, ("backend", "file"))
    daemon = run(Daemon(config(core, backend("%endpoint%")), defaults=False))
    client = daemon.open("/a")
    assert daemon.http("/x").status == 404
    config(core, backend("b-%endpoint%"))
    reload(daemon)
    daemon.open("/x").close_handshake()
    assert daemon.http("/a").status == 404  # the old expression is gone, not just outranked
    client.round_trip()
    # The same again, and back to the built-in one while a connection of the other is open.
    config(core, backend("%endpoint%"))
    reload(daemon)
    daemon.open("/a").close_handshake()
    config(BASE, ECHO)
    reload(daemon)
    client.round_trip()
    daemon.open("/whatever").close_handshake()
    client.close_handshake()


def test_fifty_reloads_under_traffic(run, config, routes):
    peer = run(TcpPeer(echo))
    (routes / "tcp").write_text(f"{peer.url} *\n")
    core = (*BASE, ("backend", "file"))

    def write(turn):
        more = [("expression", f"none{turn}")] * (turn % 3)
        config((*core, ("ping", 30 + turn), ("listen", "127.0.0.2") if turn % 2 else ("grace", "5")),
               (("path", routes), ("expression", "%endpoint%"), *more))

    write(0)
    daemon = run(Daemon(routes.parent / "test.conf", defaults=False))
    steady = daemon.open("/tcp")
    sent = received = 0

    def turn(number):
        nonlocal sent, received
        block = bytes([number]) * 40000
        steady.send_binary(block)
        sent += len(block)
        write(number)
        daemon.signal(signal.SIGHUP)
        with contextlib.closing(daemon.open("/a")) as client:  # in the middle of it
            client.send_binary(b"x" * number)
            assert client.recv_message() == (BIN, b"x" * number)
        daemon.clients.remove(client)
        daemon.wait_log(READ_AGAIN, count=number)
        assert steady.recv_bytes(40000) == block
        received += 40000

    for number in range(1, 7):
        turn(number)
    fds, memory = daemon.fds(), daemon.rss()
    for number in range(7, 51):
        turn(number)
    assert sent == received
    eventually(lambda: daemon.fds() <= fds, "the descriptors to be closed")
    # 44 backends with their copies would be megabytes; sanitizers keep freed memory for a while.
    assert SANITIZED or daemon.rss() - memory < 512 * 1024
    maps = open(f"/proc/{daemon.process.pid}/maps").read()
    assert len(set(re.findall(r"\S*(?:backend_file\S*|memfd:\S*)", maps))) <= 2
    assert "not usable" not in daemon.log()
    steady.close_handshake()


def test_reload_while_stopping_is_harmless(run, config):
    daemon = run(Daemon(config(BASE, ECHO), defaults=False))
    client = daemon.open()
    daemon.signal(signal.SIGTERM)
    client.expect_close(1001)
    daemon.signal(signal.SIGHUP)
    client.send_close(1001)
    client.expect_eof()
    client.close()
    assert daemon.wait() == 0
    assert len(re.findall("listening on", daemon.log())) == 1


# --- signals, limits, surroundings --------------------------------------------------------------


@pytest.mark.parametrize("number", (signal.SIGTERM, signal.SIGINT))
@pytest.mark.parametrize("clients", (0, 2))
def test_stop_is_exit_status_0(run, number, clients):
    daemon = run(Daemon(peer="echo://"))
    opened = [daemon.open() for _ in range(clients)]
    daemon.signal(number)
    for client in opened:
        client.expect_close(1001)
        client.send_close(1001)
        client.expect_eof()
        client.close()
    assert daemon.wait() == 0
    assert not is_open(("127.0.0.1", daemon.port))


def test_second_signal_drops_what_is_left(run):
    daemon = run(Daemon("--grace=1h", peer="echo://"))
    client = daemon.open()
    daemon.signal(signal.SIGTERM)
    client.expect_close(1001)
    assert daemon.process.poll() is None
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0


def test_stopping_daemon_takes_nobody_new(run):
    daemon = run(Daemon(peer="echo://"))
    client = daemon.open()
    daemon.signal(signal.SIGTERM)
    client.expect_close(1001)
    assert not listening_ports(daemon.process, socket.AF_INET)
    client.send_close(1001)


def test_sigpipe_means_nothing(run):
    daemon = run(Daemon(peer="echo://"))
    daemon.signal(signal.SIGPIPE)
    daemon.open().close_handshake()


def test_descriptor_limit_is_raised_to_the_hard_one(run):
    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 2000))

    daemon = run(Daemon(peer="echo://", preexec_fn=limit))
    text = open(f"/proc/{daemon.process.pid}/limits").read()
    assert re.search(r"^Max open files\s+2000\s+2000\s", text, re.MULTILINE), text
    assert int(daemon.wait_log(r"at most (\d+) connections")[1]) == (2000 - 128) // 2


def test_needs_neither_terminal_nor_standard_input(run):
    """A new session without a terminal, and descriptor 0 closed."""
    daemon = run(Daemon(peer="echo://", start_new_session=True, preexec_fn=lambda: os.close(0)))
    fields = open(f"/proc/{daemon.process.pid}/stat").read().rsplit(")", 1)[1].split()
    assert fields[4] == "0"  # tty_nr
    daemon.open().close_handshake()
    daemon.stop()


def test_stays_in_the_foreground_as_one_process_with_one_thread(run):
    daemon = run(Daemon(peer="echo://"))
    daemon.open().round_trip()
    assert daemon.children() == []
    assert daemon.status("Threads") == 1


def test_working_directory_does_not_matter_later(run, tmp_path):
    folder = tmp_path / "gone"
    folder.mkdir()
    daemon = run(Daemon(peer="echo://", cwd=folder))
    folder.rmdir()
    daemon.open().close_handshake()


# --- the log ------------------------------------------------------------------------------------


def test_journal_gets_priorities_in_place_of_times(run):
    daemon = run(JournalDaemon("-v", peer="tcp://127.0.0.1:1"))
    assert daemon.http().status == 502
    assert daemon.http(plain=True).status == 426
    daemon.stop()
    lines = daemon.log().splitlines()
    assert lines[0].startswith("<5>listening on ") or "<7>" in lines[0]
    assert all(re.match(r"<[3-7]>[^<\d]", line) or re.match(r"<[3-7]>#", line) for line in lines), lines
    assert any(line.startswith("<4>#1 ") for line in lines)
    assert any(line.startswith("<6>#2 ") for line in lines)


def test_journal_of_somebody_else(run):
    """The variable is inherited by everything a service starts; standard error may be redirected."""
    daemon = run(JournalDaemon(right=False))
    daemon.stop()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (error|warning|notice|info): ", line)
               for line in daemon.log().splitlines())


class PipedDaemon:
    """A daemon whose standard error is a pipe that is not read."""

    def __init__(self, *args):
        self.args = args

    def __enter__(self):
        self.read, write = os.pipe()
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
        self.process = subprocess.Popen([BINARY, *self.args], stdin=subprocess.DEVNULL, stderr=write,
                                        stdout=subprocess.DEVNULL, env=environment())
        os.close(write)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        if self.read is not None:
            os.close(self.read)


def test_full_pipe_for_the_log_does_not_block(run, tmp_path):
    path = f"{tmp_path}/socket"
    piped = run(PipedDaemon("-l", f"unix:{path}", "-c", "host=echo://", "-vv"))
    eventually(lambda: is_open(path), "the socket")
    for _ in range(200):  # more lines than 4096 bytes can hold
        with RawClient(path) as client:
            client.upgrade()
            client.send_text("x")
            client.recv_message()
            client.close_handshake()
    # Once the pipe is read, lines come again, and the first says how many are missing.
    assert select.select([piped.read], [], [], 0)[0]
    os.read(piped.read, 1 << 16)
    text = ""

    def reports_the_loss():
        nonlocal text
        with RawClient(path) as client:  # whose lines may be suppressed in this second
            client.upgrade()
            client.close_handshake()
        while select.select([piped.read], [], [], 0)[0]:
            text += os.read(piped.read, 1 << 16).decode()
        return "lines lost" in text

    eventually(reports_the_loss, "the number of lost lines")
    assert re.search(r"warning: log: \d+ lines lost, standard error was full", text)
    piped.process.send_signal(signal.SIGTERM)
    assert piped.process.wait(TIMEOUT) == 0


def test_reader_of_the_log_that_goes_away(run, tmp_path):
    path = f"{tmp_path}/socket"
    piped = run(PipedDaemon("-l", f"unix:{path}", "-c", "host=echo://", "-vv"))
    eventually(lambda: is_open(path), "the socket")
    os.close(piped.read)
    piped.read = None
    for _ in range(3):
        with RawClient(path) as client:
            client.upgrade()
            client.close_handshake()
    piped.process.send_signal(signal.SIGTERM)
    assert piped.process.wait(TIMEOUT) == 0


# --- the examples -------------------------------------------------------------------------------

CONFIGS = sorted(path.name for path in (ROOT / "examples").glob("websocksy*.conf"))


def local_config(name, tmp_path):
    """The example, with the places of an installation replaced by those of this tree; port chosen freely."""
    text = (ROOT / "examples" / name).read_text()
    text = text.replace("/etc/websocksy/routes", str(ROOT / "examples" / "routes"))
    path = tmp_path / name
    path.write_text(text.replace("port = 8001", "port = 0"))
    return path


@pytest.mark.parametrize("name", CONFIGS)
def test_example_configuration_is_fine(name, tmp_path):
    result = run_once("-t", "--config", local_config(name, tmp_path))
    assert result.returncode == 0, result.stderr
    assert re.search("the configuration is fine", result.stderr)


def test_there_are_examples_for_both_backends():
    assert {"websocksy.conf", "websocksy-file.conf"} <= set(CONFIGS)


@pytest.mark.parametrize("name", CONFIGS)
def test_example_configuration_runs(run, name, tmp_path):
    daemon = run(Daemon(local_config(name, tmp_path), defaults=False))
    assert daemon.http(plain=True).status == 426


def test_values_that_an_example_shows_in_comments_are_accepted(tmp_path):
    """`#key = value` is there to be uncommented."""
    text = local_config("websocksy.conf", tmp_path).read_text()
    web = tmp_path / "index.html"
    web.write_text("x")
    text = re.sub(r"(?m)^#([a-z-]+ = )", r"\1", text)
    text = re.sub(r"(?m)^web = .*$", f"web = {web}", text)
    pair = self_signed(tmp_path, "localhost")
    text = re.sub(r"(?m)^cert = .*$", f"cert = {pair.cert}", text)
    text = re.sub(r"(?m)^key = .*$", f"key = {pair.key}", text)
    text = re.sub(r"\?ca=/[^&\s]+", f"?ca={pair.cert}", text)
    path = tmp_path / "all.conf"
    path.write_text(text)
    result = run_once("-t", "--config", path)
    assert result.returncode == 0, result.stderr


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze (Debian package systemd)")
def test_units_are_accepted_by_systemd(tmp_path):
    """Only the programs that a unit names are replaced: they are not installed where the tests run."""
    units = sorted((ROOT / "examples").glob("*.service")) + sorted((ROOT / "examples").glob("*.socket"))
    assert len(units) >= 2
    paths = []
    for unit in units:
        path = tmp_path / unit.name
        path.write_text(re.sub(r"/\S*/bin/websocksy\b", BINARY, unit.read_text()))
        paths.append(path)
    result = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *paths], text=True, capture_output=True,
        env=dict(os.environ, SYSTEMD_UNIT_PATH=f"{tmp_path}:"), timeout=TIMEOUT)
    ours = [line for line in (result.stderr + result.stdout).splitlines() if "websocksy" in line]
    assert result.returncode == 0 and ours == [], result.stderr


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze (Debian package systemd)")
def test_unit_confines_the_daemon(tmp_path):
    """Users, resources and system calls that the daemon does not need were not taken from it."""
    unit = ROOT / "examples" / "websocksy.service"
    result = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=13", "--no-pager", unit],
                            text=True, capture_output=True, timeout=TIMEOUT)
    if "unrecognized option" in result.stderr:
        pytest.skip("this systemd-analyze cannot judge a file")
    assert result.returncode == 0, result.stdout[-2000:]


def test_unit_fits_the_daemon():
    """What the unit relies on is what the daemon does."""
    text = (ROOT / "examples" / "websocksy.service").read_text()
    assert re.search(r"(?m)^Type=notify", text)
    assert re.search(r"(?m)^WatchdogSec=", text)
    assert re.search(r"(?m)^ExecReload=.*HUP", text)
    stop = int(re.search(r"(?m)^TimeoutStopSec=(\d+)", text)[1])
    grace = int(re.search(r"(?m)^grace = (\d+)", run_once("--dump-config").stdout)[1])
    assert stop > grace
