# SPDX-License-Identifier: BSD-2-Clause
"""Every core option, given by flag and by file, shown to have its effect; every error in giving one."""
import os
import re
import select
import shutil
import signal
import socket
import stat
import time

import pytest

from tools.client import status_of
from tools.configuration import write_config
from tools.daemon import ROOT, SANITIZED, Daemon, failed_start, run_once
from tools.dns import SILENCE, NameServer
from tools.frames import BIN, CLOSE, CONTINUATION, PING, PONG, TEXT, frame
from tools.http import build_request
from tools.peers import TcpPeer, UdpPeer, echo, sink
from tools.plugin_builder import build_plugin
from tools.ports import StuckPort, free_port
from tools.sockets import HAS_IPV6, is_open, kernel_holds, listening_ports, needs_ipv6
from tools.waiting import LONG, LONG_MS, eventually, observed

DEFAULTS = {  # in the order of --dump-config
    "port": "8001", "listen": "*", "origin": "auto", "server-name": "", "web": "", "web-listing": "no",
    "web-header": "", "frame-ancestors": "", "health": "", "auth-file": "", "web-auth": "yes",
    "auth-cookie": "0", "insecure-auth": "no", "legacy": "none", "legacy-flash-domain": "",
    "legacy-flash-ports": "", "cert": "", "key": "", "key-password-file": "", "tls": "auto", "tls-priority": "",
    "client-ca": "", "client-crl": "", "client-verify": "off", "client-name": "", "redirect-https": "no", "hsts": "0",
    "trusted-proxy": "", "real-ip-header": "", "proxy-protocol": "no", "backend": "", "resolver": "",
    "wrap": "port", "wrap-port": "0", "wrap-mode": "exit", "exec": "no", "pty": "no",
    "ping": "30", "pong-timeout": "60", "handshake-timeout": "10", "connect-timeout": "10",
    "query-timeout": "10", "close-timeout": "5", "idle-timeout": "0", "stall-timeout": "60", "grace": "10",
    "drain-delay": "0", "drain-time": "0", "drain-code": "1001",
    "max-message": "16M", "max-memory": "0", "max-clients": "0", "max-clients-per-ip": "0",
    "max-per-key": "0", "max-per-key-action": "refuse",
    "buffer-high": "256K", "buffer-low": "64K", "daemon": "no", "pid-file": "", "user": "", "group": "",
    "chroot": "", "workers": "1", "inetd": "no", "run-once": "no", "exit-after": "0", "exit-idle": "0",
    "core-dump": "no", "log-level": "info",
    "log-target": "stderr", "log-format": "text", "access-log": "close", "record": "", "record-format": "novnc",
    "traffic": "no",
}
KEYS = (*DEFAULTS, "plugin-path", "wrap-library")
FOLLOWERS = ("pong-timeout", "query-timeout")  # whose default is auto: the value of another option


# --- helpers ------------------------------------------------------------------------------------


def dumped(*args, **kwargs):
    """The values that --dump-config prints, {"core": {key: [value, ...]}, "backend": ...}."""
    result = run_once(*args, "--dump-config", **kwargs)
    assert result.returncode == 0, result.stderr
    sections, section = {}, None
    for line in result.stdout.splitlines():
        if line.startswith("["):
            section = sections.setdefault(line[1:-1], {})
        elif line:
            key, _, value = line.partition(" =")
            section.setdefault(key, []).append(value.strip())
    return sections


def elapsed_until(action, name):
    """For a lower bound; the upper one is that of bench/latency.py for the name."""
    start = time.monotonic()
    with observed(name):
        action()
    return time.monotonic() - start


# --- port, listen -------------------------------------------------------------------------------


def test_port(configured):
    port = free_port()
    daemon = configured(("port", port))
    assert daemon.port == port
    assert daemon.open(address=("127.0.0.1", port)).close_handshake()


def test_port_zero_is_chosen_by_the_kernel_and_logged(configured):
    daemon = configured()
    assert daemon.port > 0
    daemon.open().close_handshake()


def test_second_daemon_on_the_same_port(run):
    first = run(Daemon(peer="echo://"))
    lines = failed_start("-l", "127.0.0.1", "-p", first.port)
    assert lines == [f"cannot listen on 127.0.0.1, port {first.port}: Address already in use"]
    first.open().close_handshake()


def test_several_listeners(configured, tmp_path):
    path = tmp_path / "socket"
    daemon = configured(("listen", "127.0.0.2"), ("listen", f"unix:{path}"))
    first, second = daemon.wait_log(r"listening on 127\.0\.0\.1:(\d+)"), daemon.wait_log(
        r"listening on 127\.0\.0\.2:(\d+)")
    for address in (("127.0.0.1", int(first[1])), ("127.0.0.2", int(second[1])), str(path)):
        daemon.open(address=address).close_handshake()


@needs_ipv6
@pytest.mark.parametrize("given", ("::1", "[::1]"))
def test_listen_on_one_ipv6_address(configured, given):
    daemon = configured(("port", "0"), ("listen", given), defaults=False)
    port = int(daemon.wait_log(r"listening on \[::1\]:(\d+)")[1])
    daemon.open(address=("::1", port)).close_handshake()
    assert listening_ports(daemon.process, socket.AF_INET6) == {port}
    assert not listening_ports(daemon.process, socket.AF_INET)


@needs_ipv6
def test_listen_on_all_addresses_is_dual_stack(configured):
    daemon = configured(("port", "0"), ("listen", "::"), defaults=False)
    port = int(daemon.wait_log(r"listening on \[::\]:(\d+)")[1])
    for host in ("::1", "127.0.0.1"):
        daemon.open(address=(host, port)).close_handshake()
    daemon.wait_log(r" #2 127\.0\.0\.1:\d+: closed")  # not [::ffff:127.0.0.1]


@needs_ipv6
def test_listen_default_is_all_addresses(configured):
    port = free_port()
    daemon = configured(("port", port), defaults=False)
    for host in ("::1", "127.0.0.1"):
        daemon.open(address=(host, port)).close_handshake()


def test_listen_ipv4_wildcard(started):
    daemon = started(("port", "0"), ("listen", "0.0.0.0"), defaults=False)
    daemon.open(address=("127.0.0.5", daemon.port)).close_handshake()
    assert listening_ports(daemon.process, socket.AF_INET) == {daemon.port}
    assert not HAS_IPV6 or not listening_ports(daemon.process, socket.AF_INET6)


def test_listen_on_a_host_name(configured):
    daemon = configured(("port", free_port()), ("listen", "localhost"), defaults=False)
    host, port = daemon.wait_log(r"listening on (\S+):(\d+)").groups()
    daemon.open(address=(host.strip("[]"), int(port))).close_handshake()


def test_listen_on_a_host_name_that_does_not_exist():
    lines = failed_start("-p", "0", "-l", "no-such-name.invalid")
    assert "no-such-name.invalid" in lines[0] and "cannot listen" in lines[0]


def test_star_forgets_addresses_given_before(tmp_path):
    assert dumped("-l", "127.0.0.1", "-l", "*")["core"]["listen"] == ["*"]
    assert dumped("-l", "127.0.0.1", "-l", "*", "-l", "::1")["core"]["listen"] == ["::1"]


@pytest.mark.parametrize("mode", ("0600", "0660", "666", "0777", "0"))
def test_unix_listener_has_its_mode(started, tmp_path, mode):
    path = tmp_path / "socket"
    daemon = started(("listen", f"unix:{path},mode={mode}"), defaults=False)
    status = os.stat(path)
    assert stat.S_ISSOCK(status.st_mode)
    assert stat.S_IMODE(status.st_mode) == int(mode, 8)
    if os.geteuid() == 0 or int(mode, 8) & 0o200:
        daemon.open(address=path).close_handshake()


def test_unix_listener_without_mode_follows_the_umask(started, tmp_path):
    path = tmp_path / "socket"
    started(("listen", f"unix:{path}"), defaults=False, preexec_fn=lambda: os.umask(0o027))
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o750


def test_abstract_listener(configured, tmp_path):
    name = f"@websocksy test {os.getpid()} {tmp_path.name}"
    daemon = configured(("listen", f"unix:{name}"), defaults=False)
    daemon.wait_log(re.escape(f"listening on unix:{name}"))
    daemon.open(address=name).close_handshake()


def test_stale_socket_file_is_replaced(started, tmp_path):
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert not is_open(str(path)) and path.exists()
    daemon = started(("listen", f"unix:{path}"), defaults=False)
    daemon.open(address=path).close_handshake()


def test_socket_file_of_a_killed_daemon_is_replaced(run, tmp_path):
    path = tmp_path / "socket"
    first = Daemon("-l", f"unix:{path}", defaults=False, peer="echo://")
    first.start()
    first.kill()
    assert path.exists()
    run(Daemon("-l", f"unix:{path}", defaults=False, peer="echo://")).open(address=path).close_handshake()


def test_live_socket_is_refused_and_left_alone(run, tmp_path):
    path = tmp_path / "socket"
    first = run(Daemon("-l", f"unix:{path}", defaults=False, peer="echo://"))
    lines = failed_start("-l", f"unix:{path}")
    assert lines == [f"cannot listen on unix:{path}: Address already in use"]
    first.open(address=path).close_handshake()


def test_file_that_is_no_socket_is_left_alone(tmp_path):
    path = tmp_path / "precious"
    path.write_text("data")
    lines = failed_start("-l", f"unix:{path}")
    assert lines[0].startswith(f"cannot listen on unix:{path}: ") and "not a socket" in lines[0]
    assert path.read_text() == "data"


def test_unix_listener_in_a_directory_that_does_not_exist(tmp_path):
    lines = failed_start("-l", f"unix:{tmp_path}/none/socket")
    assert lines[0] == f"cannot listen on unix:{tmp_path}/none/socket: No such file or directory"


@pytest.mark.parametrize("number", (signal.SIGTERM, signal.SIGINT))
def test_socket_file_is_removed_at_the_end(started, tmp_path, number):
    path = tmp_path / "socket"
    daemon = started(("listen", f"unix:{path},mode=0600"), defaults=False)
    assert path.exists()
    daemon.stop(number)
    assert not path.exists()


def test_start_that_fails_leaves_no_socket_file(run, tmp_path):
    first = run(Daemon())
    path = tmp_path / "socket"
    failed_start("-l", f"unix:{path}", "-l", "127.0.0.1", "-p", first.port)
    assert not path.exists()


# --- ping, pong-timeout -------------------------------------------------------------------------


def test_ping_after_silence_and_again(configured):
    daemon = configured(("ping", "150ms"), ("pong-timeout", "1h"))
    begin = time.monotonic()
    client = daemon.open()
    for _ in range(3):
        got = client.recv_frame()
        assert got.opcode == PING
        assert time.monotonic() - begin > 0.1
        begin = time.monotonic()
        client.send_frame(PONG, got.payload)


@pytest.mark.latency
@pytest.mark.parametrize("pong_timeout", ("auto", "10m", "0"))
def test_answered_ping_does_not_make_the_next_one_late(started, pong_timeout):
    """The time that an answer might have taken is not waited for when it has come."""
    client = started(("ping", "2"), ("pong-timeout", pong_timeout)).open()
    for _ in range(3):
        with observed("next ping after 2 s"):
            client.send_frame(PONG, client.recv_frame().payload)


def test_short_letter_of_ping(run):
    client = run(Daemon("-k", "0.1", peer="echo://")).open()
    assert client.recv_frame().opcode == PING


def test_bytes_from_the_client_put_the_ping_off(started):
    """A client that is never silent for the whole time is never pinged."""
    daemon = started(("ping", f"{LONG_MS}ms"))
    client = daemon.open()
    end = time.monotonic() + 2 * LONG
    while time.monotonic() < end:
        client.send_binary(b"x")
        assert client.recv_message() == (BIN, b"x")  # recv_message would answer a ping, so look:
        assert not client.buffer
        time.sleep(0.02)
    control = []
    client.send_binary(b"y")
    client.recv_message(control=control)
    assert control == []


@pytest.mark.latency
def test_unanswered_ping_is_sent_once_and_ends_the_connection(started):
    """An earlier bridge pinged on every turn of its loop, and never gave a client up."""
    daemon = started(("ping", "100ms"), ("pong-timeout", "400ms"))
    got = []

    def to_the_end():
        client = daemon.open()
        try:
            while True:
                got.append(client.recv_frame().opcode)
        except AssertionError:
            assert client.eof

    took = elapsed_until(to_the_end, "end by a ping of 100 ms and a pong-timeout of 400 ms")
    assert got in ([PING], [PING, CLOSE])
    assert 0.45 < took
    daemon.wait_log(r"no answer to a ping \(pong-timeout\)")


def test_any_byte_counts_as_an_answer(started):
    daemon = started(("ping", "150ms"), ("pong-timeout", f"{LONG_MS}ms"))
    client = daemon.open()
    for _ in range(3):
        assert client.recv_frame().opcode == PING
        client.send_frame(PONG, b"not what was asked")
    client.skips_pings = True
    client.close_handshake()


def test_pong_timeout_zero_waits_for_ever(started):
    daemon = started(("ping", "50ms"), ("pong-timeout", "0"))
    client = daemon.open()
    assert client.recv_frame().opcode == PING
    time.sleep(0.5)  # ten times what `auto` would be patient for, twice over
    client.round_trip()


@pytest.mark.latency
def test_pong_timeout_is_twice_ping_by_default(started):
    daemon = started(("ping", "200ms"))

    def to_the_end():
        assert daemon.open().recv_frame().opcode == PING
        daemon.wait_log("no answer to a ping")

    took = elapsed_until(to_the_end, "end by a ping of 200 ms and a pong-timeout of 400 ms")
    assert 0.55 < took


def test_ping_zero_is_never(started):
    daemon = started(("ping", "0"), ("pong-timeout", "50ms"))
    client = daemon.open()
    readable, _, _ = select.select([client.sock], [], [], 0.4)
    assert not readable
    client.round_trip()


# --- backend, -c, plugin-path -------------------------------------------------------------------


@pytest.fixture
def routes(tmp_path):
    folder = tmp_path / "routes"
    folder.mkdir()
    (folder / "echo").write_text("echo:// *\n")
    return folder


def test_backend(configured, routes):
    daemon = configured(
        ("backend", "file"), peer=None, backend=(("path", routes), ("expression", "%endpoint%")))
    daemon.open("/echo").close_handshake()
    assert daemon.http("/none").status == 404


def test_backend_letters(run, routes):
    daemon = run(Daemon("-b", "file", "-c", f"path={routes}", "-c", "expression=%endpoint%"))
    daemon.open("/echo").close_handshake()


COMMON = {"framing": [""], "framing-config": [""], "protocol": ["*"]}  # options of every backend


def test_backend_drops_the_one_before_and_its_options(run, routes):
    dump = dumped("-c", "host=tcp://a.example", "-b", "file", "-c", f"path={routes}",
                  "-c", "expression=%endpoint%")
    assert dump["backend"] == {"path": [str(routes)], "expression": ["%endpoint%"], **COMMON}
    daemon = run(Daemon("-b", "file", "-c", f"path={routes}", "-c", "expression=x", "-b", "", "-c",
                        "host=echo://"))
    daemon.open("/").close_handshake()


def test_file_with_backend_behind_its_section_warns(tmp_path, routes):
    path = tmp_path / "order.conf"
    path.write_text("[backend]\nhost = echo://\n[core]\nbackend = file\n[backend]\n"
                    f"path = {routes}\nexpression = x\n")
    result = run_once("--config", path, "-t")
    assert result.returncode == 0
    assert re.search(rf"warning: {path}:4: backend: drops the 1 ", result.stderr), result.stderr


def test_unknown_backend():
    lines = failed_start("-b", "nothing_like_it")
    assert len(lines) == 1
    assert lines[0].startswith("command line: backend: ") and "backend_nothing_like_it.so" in lines[0]


@pytest.mark.parametrize("name", ("../x", "a/b", "a.b", "x y", "file.so"))
def test_backend_name_that_could_lead_elsewhere(name):
    lines = failed_start("-b", name)
    assert lines == [f'command line: -b: "{name}" is not the name of a backend (use letters, digits, _ and -)']


def test_option_that_the_backend_does_not_know():
    lines = failed_start("-c", "hots=echo://")
    assert len(lines) == 1
    assert lines[0].startswith("command line: -c hots: ") and "no such option" in lines[0]


def test_backend_option_without_equals():
    assert failed_start("-c", "host") == ['command line: -c: "host" is not an option (use KEY=VALUE)']


def test_value_of_a_backend_option_is_taken_as_it_is():
    dump = dumped("-c", "framing=separator", "-c", "framing-config= a=b ", "-c", "host=echo://")
    assert dump["backend"]["framing-config"] == ['" a=b "']


def test_unknown_framing_is_found_at_start(tmp_path):
    path = write_config(tmp_path, (), (("host", "echo://"), ("framing", "seperator")))
    lines = failed_start(path)
    assert len(lines) == 1
    assert lines[0].startswith(f"{path}:4: framing: ") and "seperator" in lines[0]


def test_bad_framing_configuration_is_found_at_start(tmp_path):
    path = write_config(tmp_path, (), (
        ("host", "echo://"), ("framing", "newline"), ("framing-config", "crfl")))
    lines = failed_start(path)
    assert len(lines) == 1
    assert lines[0].startswith(f"{path}:5: framing-config: ")


OTHER_BACKEND = """#include <websocksy_plugin.h>
static void query(void *state, struct websocksy_query *query) {
    (void)state;
    websocksy_answer_peer(query, "echo://");
}
static const struct websocksy_backend other = {.size = sizeof(other), .name = "other", .query = query};
WEBSOCKSY_PLUGIN_WITH_BACKEND("other", "1.0", &other);
"""


def test_plugin_path(configured, tmp_path):
    build_plugin(tmp_path, "backend_other", OTHER_BACKEND)
    # The path comes last: it counts for the backend all the same.
    daemon = configured(("backend", "other"), ("plugin-path", tmp_path), peer=None)
    daemon.open("/echo").close_handshake()


def test_plugin_path_has_to_be_absolute():
    lines = failed_start("--plugin-path=plugins")
    assert lines == ['command line: --plugin-path: "plugins" is not an absolute path (it has to begin with /)']


def test_plugin_path_without_the_framing_plugins(tmp_path):
    args = ("-c", "host=echo://", "-c", "framing=fixedlength", "-c", "framing-config=4")
    assert run_once(*args, "-t").returncode == 0
    lines = failed_start(*args, f"--plugin-path={tmp_path}")
    assert len(lines) == 1 and "fixedlength" in lines[0]


def test_plugins_in_the_working_directory_are_never_loaded(tmp_path):
    source = dumped()["core"]["plugin-path"][0]
    for folder in (tmp_path, tmp_path / "plugins"):
        folder.mkdir(exist_ok=True)
        shutil.copy(f"{source}/backend_file.so", folder / "backend_mine.so")
    lines = failed_start("-b", "mine", cwd=tmp_path)
    assert len(lines) == 1 and f"{source}/backend_mine.so" in lines[0]


# --- resolver -----------------------------------------------------------------------------------


def test_resolver(configured, run):
    dns = run(NameServer({"service.test": {"A": ["127.0.0.1"]}}))
    peer = run(TcpPeer(echo))
    daemon = configured(("resolver", dns.address), peer=f"tcp://service.test:{peer.port}")
    client = daemon.open()
    client.send_text("hello")
    assert client.recv_message() == (TEXT, b"hello")
    assert {name for name, *_ in dns.queries} == {"service.test"}
    client.close_handshake()


def test_second_resolver_is_asked_when_the_first_is_not_there(run):
    dns = run(NameServer({"service.test": {"A": ["127.0.0.1"]}}))
    peer = run(TcpPeer(echo))
    gone = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    gone.bind(("127.0.0.1", 0))
    dead = gone.getsockname()[1]
    gone.close()
    daemon = run(Daemon(f"--resolver=127.0.0.1:{dead},{dns.address}",
                        peer=f"tcp://service.test:{peer.port}"))
    daemon.open().close_handshake()


@pytest.mark.parametrize("text", ("localhost", "127.0.0.1:0", "1.2.3.4,", "[::1", "1.2.3.4:99999"))
def test_bad_resolver(text):
    lines = failed_start(f"--resolver={text}")
    assert len(lines) == 1
    assert lines[0].startswith(f'command line: --resolver: "{text}" is not a list of name servers')


# --- timeouts -----------------------------------------------------------------------------------


@pytest.mark.latency
@pytest.mark.parametrize("sent", (b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: localhost\r\n"),
                         ids=("nothing", "line", "header"))
def test_handshake_timeout(configured, sent):
    daemon = configured(("handshake-timeout", f"{LONG_MS}ms"))
    begin = time.monotonic()
    client = daemon.connect()
    client.send_raw(sent)
    with observed("end by a timeout of 5 s"):
        answer = client.recv_http()
    assert answer.status == 408
    assert LONG - 0.1 < time.monotonic() - begin
    assert b"handshake-timeout" in answer.body
    client.expect_eof()


def test_handshake_timeout_is_not_put_off_by_a_trickle(started):
    daemon = started(("handshake-timeout", "300ms"))
    client = daemon.connect()
    for byte in b"GET / HTTP/1.1\r\nX: " + 10000 * b"x":
        client.send_raw(bytes([byte]))
        if select.select([client.sock], [], [], 0.01)[0]:
            break
    assert client.recv_http().status == 408


def test_handshake_timeout_does_not_end_open_connections(started):
    daemon = started(("handshake-timeout", f"{LONG_MS}ms"))
    client, late = daemon.open(), daemon.connect()
    assert late.recv_http().status == 408  # its time began later and is over
    client.round_trip()


@pytest.mark.latency
def test_connect_timeout(configured, run):
    stuck = run(StuckPort())
    daemon = configured(("connect-timeout", "300ms"), peer=stuck.url)
    begin = time.monotonic()
    with observed("end by a timeout of 300 ms"):
        answer = daemon.http()
    assert answer.status == 504
    assert 0.25 < time.monotonic() - begin
    daemon.wait_log(rf"cannot connect to {stuck.url}: no answer in time \(connect-timeout\)")


def test_connect_timeout_covers_the_lookup(started, run):
    dns = run(NameServer({"slow.test": {"A": SILENCE, "AAAA": SILENCE}}))
    daemon = started(("connect-timeout", "300ms"), ("resolver", dns.address), peer="tcp://slow.test:1")
    assert daemon.http().status == 504


@pytest.mark.latency
def test_close_timeout(configured, run):
    """The client does not answer our close frame."""
    peer = run(TcpPeer(lambda connection: None))
    daemon = configured(("close-timeout", "300ms"), peer=peer.url)
    begin = time.monotonic()
    client = daemon.open()
    client.expect_close(1000)
    with observed("end by a timeout of 300 ms"):
        client.expect_eof()
    assert 0.25 < time.monotonic() - begin
    daemon.wait_log(r"did not answer the close frame in time")


@pytest.mark.latency
def test_idle_timeout(configured):
    daemon = configured(("idle-timeout", "300ms"))
    begin = time.monotonic()
    client = daemon.open()
    with observed("end by a timeout of 300 ms"):
        client.expect_close(1001)
    assert 0.25 < time.monotonic() - begin
    client.send_close(1001)
    client.expect_eof()


def test_pings_are_no_data_for_the_idle_timeout(started):
    daemon = started(("idle-timeout", f"{LONG_MS}ms"), ("ping", "50ms"), ("pong-timeout", "1h"))
    client = daemon.open()
    seen = []
    while (got := client.recv_frame()).opcode != CLOSE:
        seen.append(got.opcode)
        if got.opcode == PING:
            client.send_frame(PONG, got.payload)
            client.send_frame(PING, b"mine")
    assert got.payload[:2] == b"\x03\xe9"
    assert PING in seen and PONG in seen


@pytest.mark.parametrize("direction", ("from client", "from peer"))
def test_data_in_one_direction_puts_the_idle_timeout_off(started, run, direction):
    peer = run(TcpPeer())
    daemon = started(("idle-timeout", f"{LONG_MS}ms"), peer=peer.url)
    client, other = daemon.open(), peer.accept()
    end = time.monotonic() + 2 * LONG
    while time.monotonic() < end:
        if direction == "from client":
            client.send_binary(b"x")
            other.recv_exactly(1)
        else:
            other.send(b"x")
            assert client.recv_message()[1] == b"x"
        time.sleep(0.02)
    client.expect_close(1001)


def endless(connection):
    while True:
        connection.send(bytes(1 << 16))


def test_stall_timeout(configured, run):
    """A client that does not read is dropped; the peer's connection ends with it."""
    peer = run(TcpPeer(endless))
    daemon = configured(("stall-timeout", "300ms"), ("close-timeout", "100ms"), peer=peer.url)
    daemon.open(rcvbuf=4096)
    daemon.wait_log(r"the client takes no data \(stall-timeout\)")
    with pytest.raises(OSError):
        peer.wait_handled(peer.connections[0])


def test_stall_timeout_zero_is_never(started, run):
    peer = run(TcpPeer(endless))
    daemon = started(("stall-timeout", "0"), ("ping", "0"), peer=peer.url)
    client = daemon.open(rcvbuf=4096)
    time.sleep(0.4)
    assert "stall-timeout" not in daemon.log()
    client.abort()


@pytest.mark.latency
@pytest.mark.parametrize("grace, least", (("400ms", 0.35), ("0", 0)))
def test_grace(configured, grace, least):
    daemon = configured(("grace", grace), ("close-timeout", "1h"))
    client = daemon.open()
    # The client does not answer the close frame.
    took = elapsed_until(lambda: daemon.stop(close_clients=False), "end by a grace of 400 ms or 0")
    assert least <= took
    client.expect_close(1001)
    client.expect_eof(reset_ok=True)


@pytest.mark.latency
def test_grace_is_not_used_up_when_clients_close(started):
    daemon = started(("grace", "1h"))
    client = daemon.open()
    daemon.signal(signal.SIGTERM)
    client.expect_close(1001)
    client.send_close(1001)
    client.expect_eof()
    client.close()
    with observed("end when the clients have closed"):
        assert daemon.wait() == 0


# --- limits -------------------------------------------------------------------------------------


def test_max_message_to_a_datagram_peer(configured, run):
    peer = run(UdpPeer())
    daemon = configured(("max-message", "1K"), peer=peer.url)
    client = daemon.open()
    client.send_binary(1024 * b"x")
    assert peer.recv()[0] == 1024 * b"x"
    client.send_raw(fragments(1024))
    assert peer.recv()[0] == 1024 * b"f"
    client.send_raw(fragments(1025))
    client.expect_failed(1009)


def fragments(size):
    half = size // 2
    return frame(BIN, half * b"f", fin=False) + frame(CONTINUATION, (size - half) * b"f")


def test_max_message_of_echo(configured):
    daemon = configured(("max-message", "64K"))
    client = daemon.open()
    client.send_binary(bytes(65536))
    assert client.recv_message() == (BIN, bytes(65536))
    client.send_binary(bytes(65537))
    client.expect_failed(1009)


def test_max_message_does_not_limit_what_is_streamed(started, run):
    peer = run(TcpPeer(echo))
    daemon = started(("max-message", "1"), ("ping", "0"), peer=peer.url)
    client = daemon.open()
    client.send_binary(100000 * b"s")
    assert client.recv_bytes(100000) == 100000 * b"s"
    client.close_handshake()


def test_max_clients(configured):
    daemon = configured(("max-clients", "3"))
    clients = [daemon.open() for _ in range(3)]
    for request in ({}, {"plain": True}):
        answer = daemon.http(**request)
        assert answer.status == 503
        assert int(answer.header("Retry-After")) > 0
        assert answer.body.count(b"\n") == 1
    clients[1].close_handshake()
    # The 503 answers linger for as long as their clients do, the closed one until the loop has seen it.
    eventually(lambda: status_of(daemon)[0] == 101, "a place for the next client")
    clients[0].round_trip()
    clients[2].round_trip()


def test_max_clients_counts_those_without_a_request(started):
    daemon = started(("max-clients", "2"))
    idle = [daemon.connect(), daemon.connect()]
    assert daemon.http().status == 503
    for client in idle:
        client.close()
    eventually(lambda: daemon.http(plain=True).status == 426, "recovery")


def test_max_clients_of_the_descriptor_limit(run):
    import resource
    limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (150, 150))
    daemon = run(Daemon(peer="echo://", preexec_fn=limit))
    most = int(daemon.wait_log(r"at most (\d+) connections at once")[1])
    assert most == (150 - 128) // 2
    for _ in range(most):
        daemon.open()
    assert daemon.http().status == 503


@pytest.fixture
def per_ip(started):
    """A daemon on all addresses that takes two clients from each; and a way to connect to it."""
    daemon = started(("port", "0"), ("listen", "::" if HAS_IPV6 else "0.0.0.0"),
                     ("max-clients-per-ip", "2"), defaults=False)
    port = int(daemon.wait_log(r"listening on \S*:(\d+)")[1])

    def status(source="127.0.0.1", **request):
        return status_of(daemon, (("::1" if ":" in source else "127.0.0.1"), port), source, **request)

    status.daemon = daemon
    return status


def test_max_clients_per_ip_by_flag_and_file(configured):
    daemon = configured(("max-clients-per-ip", "1"))
    daemon.open()
    assert daemon.http().status == 503


def test_max_clients_per_ip(per_ip):
    first, second = per_ip(), per_ip()
    assert (first[0], second[0]) == (101, 101)
    status, client = per_ip()
    assert status == 503
    client.expect_eof()
    # Others are not affected, and have the same limit.
    assert [per_ip("127.0.0.2")[0] for _ in range(3)] == [101, 101, 503]
    second[1].close_handshake()
    eventually(lambda: per_ip()[0] == 101, "a place for the next client")
    assert per_ip()[0] == 503
    first[1].round_trip()


def test_max_clients_per_ip_goes_down_however_a_connection_ends(per_ip):
    for way in ("close", "abort", "close_handshake", "finish", "plain", "silent"):
        for _ in range(2):
            if way == "plain":
                status, client = per_ip(plain=True)
                assert status == 426
                client.close()
            elif way == "silent":
                client = per_ip.daemon.connect(("127.0.0.1", per_ip.daemon.port))
                client.close()
            else:
                status, client = per_ip()
                assert status == 101, way
                getattr(client, way)()
                client.close()
        both = []

        def two_places():
            while len(both) < 2:
                status, client = per_ip()
                if status != 101:
                    client.close()
                    return False
                both.append(client)
            return True

        eventually(two_places, f"two places after {way}", every=0.02)
        for client in both:
            client.close()

        def free_again():
            status, client = per_ip()
            client.close()
            return status == 101

        eventually(free_again, "a free place", every=0.02)
        per_ip.daemon.wait_log(": closed: ")


@needs_ipv6
def test_max_clients_per_ip_counts_ipv6_apart_from_mapped_ipv4(per_ip):
    """On a dual-stack listener 127.0.0.1 is ::ffff:127.0.0.1; all of IPv4 would be in one /64."""
    assert [per_ip("::1")[0] for _ in range(3)] == [101, 101, 503]
    assert [per_ip("127.0.0.1")[0] for _ in range(3)] == [101, 101, 503]
    assert [per_ip("127.0.0.9")[0] for _ in range(3)] == [101, 101, 503]


def test_max_clients_per_ip_does_not_count_unix_clients(started, tmp_path):
    path = tmp_path / "socket"
    daemon = started(("listen", f"unix:{path}"), ("max-clients-per-ip", "1"), defaults=False)
    clients = [daemon.open(address=path) for _ in range(4)]
    for client in clients:
        client.close_handshake()


# --- flow control -------------------------------------------------------------------------------

MiB = 1 << 20


def push(sock, limit, daemon, quiet=0.3):
    """Sends until `limit` bytes are gone or nothing has been accepted for `quiet` seconds, though the daemon
    had nothing to do."""
    sock.setblocking(False)
    block, sent = bytes(MiB // 4), 0
    while sent < limit:
        if select.select([], [sock], [], quiet)[1]:
            sent += sock.send(block)
        elif daemon.state() == "S":
            break
    return sent


def is_full(sock):
    return not select.select([], [sock], [], 0)[1]


def stuffed(configured, run, *core):
    """A client that does not read and a source that has sent what it could."""
    peer = run(TcpPeer(sndbuf=65536, rcvbuf=65536))
    daemon = configured(*core, ("ping", "0"), ("stall-timeout", "0"), peer=peer.url)
    client = daemon.open(rcvbuf=MiB)
    return daemon, client, peer.accept()


def test_buffer_high_is_what_one_direction_may_hold(configured, run):
    daemon, client, source = stuffed(configured, run, ("buffer-high", "96M"))
    before = daemon.rss()
    assert push(source.sock, 64 * MiB, daemon, quiet=5) >= 64 * MiB
    assert daemon.rss() - before > 40 * MiB or SANITIZED
    client.abort()


def test_buffer_high_default_stops_the_source_early(started, run):
    daemon, client, source = stuffed(started, run)
    before = daemon.rss()
    limit = kernel_holds() + 8 * MiB
    sent = push(source.sock, limit, daemon)
    assert sent < limit
    assert daemon.rss() - before < 2 * MiB * (8 if SANITIZED else 1)
    assert client.recv_bytes(sent) == bytes(sent)
    client.abort()


@pytest.mark.parametrize("low, resumes", (("0", False), ("31M", True)))
def test_buffer_low_is_where_the_source_goes_on(configured, run, low, resumes):
    daemon, client, source = stuffed(configured, run, ("buffer-high", "32M"), ("buffer-low", low))
    limit = kernel_holds() + 128 * MiB
    sent = push(source.sock, limit, daemon)
    assert 32 * MiB < sent < limit
    taken = 16 * MiB
    got = 0
    while got < taken:
        got += len(client.recv_message()[1])
    if resumes:
        eventually(lambda: not is_full(source.sock), "the source to go on")
    else:
        daemon.settle()
        eventually(lambda: daemon.state() == "S", "the daemon to be done")
        assert is_full(source.sock)
        while got < sent:
            got += len(client.recv_message()[1])
        eventually(lambda: not is_full(source.sock), "the source to go on")
    client.abort()


# --- origin -------------------------------------------------------------------------------------


def origin_status(daemon, origin, host="localhost"):
    headers = {"Host": host}
    if origin is not None:
        headers["Origin"] = origin
    status, client = status_of(daemon, headers=headers)
    client.close()
    return status


def check_origins(daemon, good=(), bad=(), **kwargs):
    for origin in good:
        assert origin_status(daemon, origin, **kwargs) == 101, origin
    for origin in bad:
        assert origin_status(daemon, origin, **kwargs) == 403, origin


def test_origin_default_is_any(configured):
    check_origins(configured(), good=(None, "null", "https://example.org", "file://", "what is this"))


def test_origin_exact(configured):
    check_origins(
        configured(("origin", "https://Example.org")),
        good=("https://example.org", "https://example.org:443", "HTTPS://EXAMPLE.ORG"),
        bad=("http://example.org", "https://example.org:444", "https://a.example.org", "https://example.or",
             "https://example.org.evil.net", "https://evilexample.org", "https://example.org/",
             "https://example.org@evil.net", "null", "", "example.org",
             "https://example.org https://example.org"))


def test_origin_with_port(started):
    check_origins(
        started(("origin", "http://[::1]:8080")), good=("http://[::1]:8080",),
        bad=("http://[::1]", "http://[::1]:80", "http://[::2]:8080", "http://::1:8080"))


def test_origin_wildcard(configured):
    check_origins(
        configured(("origin", "https://*.example.org")),
        good=("https://a.example.org", "https://a.b.example.org", "https://A.EXAMPLE.org"),
        bad=("https://example.org", "https://evil-example.org", "https://.example.org",
             "http://a.example.org", "https://a.example.org:8443", "https://a.example.org.evil.net"))


def test_origin_same(configured):
    daemon = configured(("origin", "same"))
    check_origins(daemon, host="chat.example.org:8001", good=("http://chat.example.org:8001",),
                  bad=("http://chat.example.org", "http://chat.example.org:8002", "http://example.org:8001",
                       "null"))
    check_origins(daemon, host="chat.example.org",
                  good=("http://chat.example.org", "https://chat.example.org"),
                  bad=("http://chat.example.org:8001",))


def test_origin_null(configured):
    check_origins(configured(("origin", "null")), good=("null",),
                  bad=("https://example.org", "NULL", "file://", ""))


def test_several_origins(configured):
    check_origins(
        configured(("origin", "https://a.example"), ("origin", "null"), ("origin", "http://*.b.example")),
        good=("https://a.example", "null", "http://x.b.example"),
        bad=("http://a.example", "https://x.b.example"))


@pytest.mark.parametrize("pattern", ("https://example.org", "same", "null", "https://*.example.org"))
def test_missing_origin_is_refused_once_there_is_a_list(started, pattern):
    check_origins(started(("origin", pattern)), bad=(None,))


def test_two_origins_in_one_request_are_refused(started):
    daemon = started(("origin", "https://a.example"))
    status, _ = status_of(daemon, extra=(("Origin", "https://a.example"), ("Origin", "https://a.example")))
    assert status == 403


def test_refused_origin_reaches_no_peer(started, run):
    peer = run(TcpPeer(sink))
    daemon = started(("origin", "https://a.example"), peer=peer.url)
    check_origins(daemon, bad=("https://b.example", None))
    check_origins(daemon, good=("https://a.example",))
    peer.accept()
    assert len(peer.connections) == 1


def test_star_forgets_origins_given_before(started):
    check_origins(started(("origin", "https://a.example"), ("origin", "*")),
                  good=(None, "https://b.example"))


@pytest.mark.parametrize("text", (
    "example.org", "https://", "https://example.org/", "https://example.org:0", "https://ex ample.org",
    "https://*", "https://a.*.org", "Same", "https://example.org:99999", ""))
def test_bad_origin(text):
    lines = failed_start(f"--origin={text}")
    assert len(lines) == 1
    assert lines[0].startswith(f'command line: --origin: "{text}": ')


# --- web ----------------------------------------------------------------------------------------


def test_web_file(configured, tmp_path):
    (tmp_path / "page.html").write_text("<p>hello")
    daemon = configured(("web", tmp_path / "page.html"))
    answer = daemon.http("/", plain=True)
    assert (answer.status, answer.body) == (200, b"<p>hello")
    assert daemon.http("/page.html", plain=True).status == 404
    daemon.open().close_handshake()


def test_web_directory(configured, tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    (site / "a.txt").write_text("a")
    daemon = configured(("web", site))
    assert daemon.http("/a.txt", plain=True).body == b"a"
    assert daemon.http("/", plain=True).status == 404
    daemon.open().close_handshake()


@pytest.mark.parametrize("kind", ("missing", "fifo"))
def test_bad_web(tmp_path, kind):
    path = tmp_path / "x"
    if kind == "fifo":
        os.mkfifo(path)
    config = write_config(tmp_path, (("web", path),))
    lines = failed_start(config)
    assert len(lines) == 1
    assert lines[0].startswith(f'{config}:2: web: "{path}" ')


# --- log ----------------------------------------------------------------------------------------

LEVELS = ("error", "warning", "notice", "info", "debug")
# One line of each level that is easy to cause.
SIGNS = {
    "warning": r" warning: #\d+ .*cannot connect to tcp://127\.0\.0\.1:\d+",
    "notice": r" notice: listening on ",
    "info": r" info: #\d+ .*GET / answered 426",
    "debug": r" debug: #\d+ .*health is answered with 200",
}


def seen_levels(run, tmp_path, *args):
    path = tmp_path / "socket"
    peer = TcpPeer(echo)
    daemon = run(Daemon(
        "-l", f"unix:{path}", "--health=/health", *args, defaults=False, listening=False, peer=peer.url))
    eventually(lambda: is_open(str(path)), "the socket")
    with peer:
        daemon.open(address=path).close_handshake()
    for target, plain, status in (("/health", True, 200), ("/", True, 426), ("/", False, 502)):
        client = daemon.connect(path)
        client.send_raw(build_request(target, plain=plain))
        assert client.recv_http().status == status
        client.expect_eof()
    daemon.stop()
    log = daemon.log()
    assert set(re.findall(r"Z (\w+): ", log)) <= set(LEVELS[:len(SIGNS) + 1])
    return [level for level, sign in SIGNS.items() if re.search(sign, log)]


@pytest.mark.parametrize("args, most", (
    (("--log-level=error",), 0), (("--log-level", "warning"), 1), (("--log-level=notice",), 2),
    (("--log-level=info",), 3), (("--log-level=debug",), 4), ((), 3), (("-v",), 4), (("--verbose",), 4),
    (("-vvvv",), 4), (("-q",), 2), (("-qq",), 1), (("-qqq",), 0), (("-q", "--quiet"), 1), (("-vq",), 3),
    (("--log-level=error", "-v"), 1), (("-v", "--log-level=warning"), 1)), ids=str)
def test_log_level(run, tmp_path, args, most):
    assert seen_levels(run, tmp_path, *args) == list(LEVELS[1:most + 1])


def test_log_level_in_a_file(run, tmp_path):
    path = write_config(tmp_path, (("log-level", "notice"),))
    assert seen_levels(run, tmp_path, "--config", path) == ["warning", "notice"]
    assert seen_levels(run, tmp_path, "--config", path, "-v") == ["warning", "notice", "info"]


def test_bad_log_level():
    assert failed_start("--log-level=loud") == [
        'command line: --log-level: "loud" is not a level (use error, warning, notice, info or debug)']


# --- --help, --version, -t, --dump-config -------------------------------------------------------


def options_of_help():
    """[(letter or None, long name or None), ...]"""
    text = run_once("--help").stdout
    found = re.findall(r"^  (?:-(\w)|  )(?:, |  )(?:--([\w-]+))?", text, re.MULTILINE)
    options = [(letter or None, name or None) for letter, name in found if letter or name]
    assert len(options) > 20
    return options


@pytest.mark.parametrize("flag", ("--help", "-h"))
def test_help(flag):
    result = run_once(flag)
    assert result.returncode == 0 and result.stderr == ""
    assert result.stdout.startswith("Usage: websocksy ")
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_help_lists_every_option():
    options = options_of_help()
    letters = {letter: name for letter, name in options if letter}
    assert letters == {
        "p": "port", "l": "listen", "k": "ping", "b": "backend", "c": None, "v": "verbose", "q": "quiet",
        "h": "help", "V": "version", "t": "test-config",
        "D": "daemon"}
    names = [name for _, name in options if name]
    assert len(names) == len(set(names))
    assert set(names) == {*KEYS, "config", "verbose", "quiet", "help", "version", "test-config",
                          "dump-config", "plugins"}


def test_help_tells_the_defaults():
    text = " ".join(run_once("--help").stdout.split())
    for key, value in DEFAULTS.items():
        if value:
            value = "auto" if key in FOLLOWERS else value
            assert re.search(rf"--{key}\[?=\S+ [^()]*(\([^()]*\)[^()]*)*\(default: {re.escape(value)}\)", text), key


@pytest.mark.parametrize("flag", ("--version", "-V"))
def test_version(flag):
    result = run_once(flag)
    assert result.returncode == 0 and result.stderr == ""
    assert re.fullmatch(r"websocksy \d+(\.\d+)+\S* \(plugin API version 1\)\n", result.stdout)


def test_help_and_version_need_nothing_of_what_follows():
    assert run_once("--help", "--nonsense").returncode == 0
    assert run_once("-V", "-p").returncode == 0


@pytest.mark.parametrize("flag", ("-t", "--test-config"))
def test_test_config_accepts(flag, tmp_path):
    path = write_config(tmp_path, (("ping", "1m"),), (("host", "echo://"),))
    result = run_once(flag, "--config", path)
    assert result.returncode == 0 and result.stdout == ""
    assert re.fullmatch(r"\S+ notice: the configuration is fine\n", result.stderr)


def test_test_config_does_not_listen(run):
    first = run(Daemon())
    assert run_once("-t", "-l", "127.0.0.1", "-p", first.port).returncode == 0


def test_test_config_names_every_mistake(tmp_path):
    path = tmp_path / "bad.conf"
    path.write_text("[core]\nport = 99999\nnonsense = 1\nping = 1x\n\n[backend]\nhots = x\n")
    lines = failed_start("-t", "--config", path)
    assert [line.split(" ")[0] + " " + line.split(" ")[1] for line in lines] == [
        f"{path}:2: port:", f"{path}:3: nonsense:", f"{path}:4: ping:", f"{path}:7: hots:"]


def test_test_config_and_file_name(tmp_path):
    """`-t FILE` is what people type."""
    path = write_config(tmp_path)
    for args in (("-t", path), (path, "-t"), ("-p", "0", "-t", path)):
        result = run_once(*args)
        assert result.returncode == 0 and "the configuration is fine" in result.stderr
    path.write_text("[core]\nping = x\n")
    assert failed_start("-t", path) == [
        f'{path}:2: ping: "x" is not a time (use seconds, or a number with ms, s, m or h)']
    assert "only one argument may be a configuration file" in failed_start("-t", write_config(tmp_path), "x")[0]


BACKEND_DEFAULTS = {
    "host": ["tcp://localhost"], "port": ["5900"], "framing": [""], "framing-config": [""], "protocol": [""]}


def test_dump_of_the_defaults():
    dump = dumped()
    path = dump["core"].pop("plugin-path")
    library = dump["core"].pop("wrap-library")
    assert library[0].endswith("/preload/rebind.so")
    assert len(path) == 1 and path[0].startswith("/")
    assert dump == {"core": {key: [value] for key, value in DEFAULTS.items()}, "backend": BACKEND_DEFAULTS}
    assert list(dump["core"]) == list(DEFAULTS)


EVERYTHING = (
    ("port", "1234"), ("listen", "127.0.0.1"), ("listen", "::1"), ("listen", "unix:/run/a b,mode=0640"),
    ("listen", "unix:@name"), ("listen", "localhost"), ("origin", "https://a.example:8443"),
    ("origin", "http://*.b.example:80"), ("origin", "same"), ("origin", "null"), ("web", "/"),
    ("web-listing", "yes"), ("health", "/healthz"), ("legacy", "hixie,flash"),
    ("legacy-flash-domain", "*.example.org"), ("legacy-flash-ports", "80,8000-8010"),
    ("trusted-proxy", "10.0.0.0/8"), ("trusted-proxy", "2001:db8::1/128"), ("trusted-proxy", "unix"),
    ("real-ip-header", "X-Client"), ("proxy-protocol", "yes"),
    ("resolver", "127.0.0.1:53,[::1]:5353"), ("ping", "1500ms"), ("pong-timeout", "90"),
    ("handshake-timeout", "3"), ("connect-timeout", "250ms"), ("close-timeout", "1"),
    ("idle-timeout", "3600"), ("stall-timeout", "0"), ("grace", "60"), ("max-message", "1M"), ("max-memory", "3G"),
    ("drain-delay", "5"), ("drain-time", "90"), ("drain-code", "1012"),
    ("max-clients", "17"), ("max-clients-per-ip", "3"), ("buffer-high", "1G"), ("buffer-low", "1"),
    ("log-level", "debug"), ("cert", "/a b/1.pem"), ("cert", "/2.pem"), ("key", "/1.key"), ("key", "/2.key"),
    ("tls", "off"), ("tls-priority", "SECURE256:%SERVER_PRECEDENCE"), ("client-ca", "/ca.pem"),
    ("redirect-https", "yes"), ("hsts", "31536000"), ("auth-cookie", "600"), ("insecure-auth", "yes"),
    ("daemon", "yes"), ("pid-file", "/run/a.pid"), ("run-once", "yes"),
    ("exit-after", "3600"), ("exit-idle", "90"), ("core-dump", "yes"),
)


def test_dump_reads_back(tmp_path, routes):
    args = [f"--{key}={value}" for key, value in EVERYTHING]
    args += ["-b", "file", "-c", f"path={routes}", "-c", "expression=x", "-c", "expression=%endpoint%"]
    first = run_once(*args, "--dump-config")
    assert first.returncode == 0, first.stderr
    dump = dumped(*args)
    for key in dict(EVERYTHING):
        assert dump["core"][key] == [value for name, value in EVERYTHING if name == key]
    assert dump["core"]["backend"] == ["file"]
    assert dump["backend"] == {"path": [str(routes)], "expression": ["x", "%endpoint%"], **COMMON}
    path = tmp_path / "dump.conf"
    path.write_text(first.stdout)
    assert run_once("--config", path, "--dump-config").stdout == first.stdout


@pytest.mark.parametrize("other", ("daemon", "inetd"))
def test_traffic_needs_an_output(tmp_path, other):
    text = f"traffic and {other} exclude each other: there is no standard output to write to (give one of them)"
    assert failed_start(f"--{other}", "--traffic") == [f"command line: --traffic: {text}"]
    path = write_config(tmp_path, (("traffic", "yes"), (other, "yes")))
    assert failed_start(path) == [f"{path}:3: {other}: {text}"]


def test_daemon_runs_from_a_dump(run, tmp_path):
    text = run_once("-p", "0", "-l", "127.0.0.1", "-c", "host=echo://", "--idle-timeout=300ms",
                    "--dump-config").stdout
    path = tmp_path / "dump.conf"
    path.write_text(text)
    daemon = run(Daemon(path, defaults=False))
    daemon.open().expect_close(1001)


def test_units():
    for given, shown in (("90", "90"), ("1.5", "1500ms"), ("2m", "120"), ("1h", "3600"), ("250ms", "250ms"),
                         ("1.5h", "5400"), ("0.001", "1ms"), ("2000ms", "2")):
        assert dumped(f"--idle-timeout={given}")["core"]["idle-timeout"] == [shown], given
    for given, shown in (("1048576", "1M"), ("1k", "1K"), ("3M", "3M"), ("1g", "1G"), ("1025", "1025")):
        assert dumped(f"--max-message={given}")["core"]["max-message"] == [shown], given
        assert dumped(f"--max-memory={given}")["core"]["max-memory"] == [shown], given


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("args, line", (
    (("--nonsense",), "command line: --nonsense: unknown option (--help lists all)"),
    (("--nonsense=3",), "command line: --nonsense: unknown option (--help lists all)"),
    (("--pin=3",), "command line: --pin: unknown option (--help lists all)"),
    (("-x",), "command line: -x: unknown option (--help lists all)"),
    (("-vx",), "command line: -x: unknown option (--help lists all)"),
    (("-p",), "command line: -p: a value is missing (PORT)"),
    (("-c",), "command line: -c: a value is missing (KEY=VALUE)"),
    (("--listen",), "command line: --listen: a value is missing (ADDRESS[:PORT])"),
    (("--config",), "command line: --config: a value is missing (FILE)"),
    (("--verbose=2",), "command line: --verbose: takes no value"),
    (("-p", "65536"), 'command line: -p: "65536" is out of range (0 to 65535)'),
    (("-p8001x",), 'command line: -p: "8001x" is not a port number (use 0 to 65535)'),
    (("--port=-1",), 'command line: --port: "-1" is not a port number (use 0 to 65535)'),
    (("-k", "1 s"), 'command line: -k: "1 s" is not a time (use seconds, or a number with ms, s, m or h)'),
    (("--grace=",), 'command line: --grace: "" is not a time (use seconds, or a number with ms, s, m or h)'),
    (("--handshake-timeout=0",),
     'command line: --handshake-timeout: "0" is out of range (1ms to 31536000)'),
    (("--max-message=16MB",), 'command line: --max-message: "16MB" is not a size (use bytes, or a number with K, '
                              'M or G)'),
    (("--max-memory=half",), 'command line: --max-memory: "half" is not a size (use bytes, or a number with K, '
                             'M or G)'),
    (("--max-memory=1025G",), 'command line: --max-memory: "1025G" is out of range (0 to 1024G)'),
    (("--max-clients=many",), 'command line: --max-clients: "many" is not a number (use digits only)'),
    (("--log-format=xml",), 'command line: --log-format: "xml" is none of text, json'),
    (("--drain-code=1000",), 'command line: --drain-code: "1000" is none of 1001, 1012'),
    (("--access-log=yes",), 'command line: --access-log: "yes" is none of off, close, both'),
    (("-l", "127.0.0.1:x"), 'command line: -l: "127.0.0.1:x" has an invalid port (use 0 to 65535)'),
    (("-l", "unix:relative"), 'command line: -l: "unix:relative" is not an absolute path (use '
                              'unix:/path[,mode=0660] or unix:@name)'),
    (("-l", "unix:/a,mode=999"), 'command line: -l: "unix:/a,mode=999" has an invalid mode (use octal digits, 0 '
                                 'to 0777)'),
    (("-l", "unix:/" + 107 * "x"), f'command line: -l: "unix:/{107 * "x"}" is too long for the path of a '
                                   'socket (at most 107 bytes)'),
    (("--buffer-high=64K",),
     "command line: --buffer-high: buffer-low (64K) has to be below buffer-high (64K)"),
    (("--config", "/no/such/file"),
     'command line: --config: cannot read "/no/such/file": No such file or directory'),
    (("/no/such/file",), 'command line: FILE: cannot read "/no/such/file": No such file or directory'),
    (("--",), "command line: --: a program is missing behind it (-- PROGRAM ARGUMENT...)"),
    (("--", "/nonexistent"), 'command line: --: "/nonexistent": there is no such program (use -- PROGRAM ARGUMENT...)'),
), ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else "")
def test_mistake_on_the_command_line(args, line):
    assert failed_start(*args) == [line]


@pytest.mark.parametrize("text, at, part", (
    ("port = 1\n", 1, "syntax: an option before any section"),
    ("# only\n\nport = 1\n[core]\n", 3, "syntax: an option before any section"),
    ("[core]\nprot = 1\n", 2, "prot: unknown option in [core]"),
    ("[core]\nPort = 1\n", 2, "Port: unknown option in [core]"),
    ("[core]\nconfig = x\n", 2, "config: not possible in a file"),
    ("[core]\nhelp = 1\n", 2, "help: not possible in a file"),
    ("[core]\nport = 80 # web\n", 2, 'port: "80 # web" is not a port number'),
    ("[core]\nport = 0x50\n", 2, 'port: "0x50" is not a port number'),
    ("[core]\nport = 99999\n", 2, 'port: "99999" is out of range'),
    ("[core]\nport = 99999999999999999999999\n", 2, "is out of range"),
    ("[core]\nport =\n", 2, 'port: "" is not a port number'),
    ("[core]\nport\n", 2, 'syntax: no "=" in this line'),
    ("[core]\n= 3\n", 2, "syntax: no option name"),
    ("[core]\n\n\nping = 5 s\n", 4, 'ping: "5 s" is not a time'),
    ("[core]\nping = 0.0001\n", 2, 'ping: "0.0001" is not a time'),
    ("[core]\nping = -1\n", 2, 'ping: "-1" is not a time'),
    ("[core]\nmax-message = 1T\n", 2, 'max-message: "1T" is not a size'),
    ("[core]\nmax-message = 2G\n", 2, 'max-message: "2G" is out of range'),
    ("[core]\nmax-memory = -1\n", 2, 'max-memory: "-1" is not a size'),
    ("[core]\nlisten = nowhere:x\n", 2, 'listen: "nowhere:x" has an invalid port'),
    ("[core]\norigin = nowhere\n", 2, 'origin: "nowhere": '),
    ("[core]\ntrusted-proxy = 10.0.0.0/33\n", 2, 'trusted-proxy: "10.0.0.0/33" has an invalid prefix length'),
    ("[core]\n\ntrusted-proxy = 10.0.0.1/8\n", 3, 'trusted-proxy: "10.0.0.1/8" has bits behind its prefix'),
    ("[core]\ntrusted-proxy = proxy.example\n", 2, 'trusted-proxy: "proxy.example" is not a network'),
    ("[core]\nproxy-protocol = yes\n", 2, "proxy-protocol: needs a trusted-proxy"),
    ("[core]\nproxy-protocol = 1\n", 2, 'proxy-protocol: "1" is neither yes nor no'),
    ("[core]\nbuffer-low = 1M\n", 2, "buffer-low: buffer-low (1M) has to be below buffer-high (256K)"),
    ("[core]\nlog-level = all\n", 2, 'log-level: "all" is not a level'),
    ("[core]\nplugin-path = plugins\n", 2, 'plugin-path: "plugins" is not an absolute path'),
    ("[core]\nbackend = none\n", 2, "backend: "),
    ("[core]\nresolver = dns\n", 2, 'resolver: "dns" is not a list of name servers'),
    ("[core\nport = 1\n", 1, "syntax: the section name lacks its closing bracket"),
    ("[core] x\nport = 1\n", 1, "syntax: nothing may follow the section name"),
    ("[other]\nport = 1\n", 1, "other: unknown section (use [core] or [backend])"),
    ("[Core]\n", 1, "Core: unknown section"),
    ("[backend]\nhost = echo://\nhoost = x\n", 3, "hoost: "),
    ("[backend]\nport = x y\n", 2, "port: "),
    ("[core]\r\nport = 1\r\nfoo = 1\r\n", 3, "foo: unknown option in [core]"),
    ("[core]\nfoo = 1", 2, "foo: unknown option in [core]"),
    ("[core]\nport = \0001\n", 2, "syntax: a NUL byte"),
), ids=lambda value: repr(value)[:40] if isinstance(value, str) else "")
def test_mistake_in_a_file(tmp_path, text, at, part):
    path = tmp_path / "bad.conf"
    path.write_bytes(text.encode())
    lines = failed_start(path)
    assert len(lines) == 1, lines
    assert lines[0].startswith(f"{path}:{at}: ")
    assert part in lines[0]


def test_file_that_is_a_directory_or_no_file(tmp_path):
    assert failed_start(tmp_path) == [f'command line: FILE: cannot read "{tmp_path}": Is a directory']
    os.mkfifo(tmp_path / "fifo")
    assert failed_start(tmp_path / "fifo") == [f'command line: FILE: cannot read "{tmp_path}/fifo": Not a regular file']


# --- files and their order ----------------------------------------------------------------------


def test_single_argument_is_a_file(run, tmp_path):
    path = write_config(tmp_path, (("port", "0"), ("listen", "127.0.0.1")), (("host", "echo://"),))
    run(Daemon(path, defaults=False)).open().close_handshake()


def test_file_with_everything_that_is_allowed(tmp_path):
    path = tmp_path / "odd.conf"
    path.write_bytes(b"\xef\xbb\xbf# comment\r\n; another\r\n\r\n  [core]  \r\n\tport=1\r\nport = 2 \r\n"
                     b"[backend]\r\nhost = \"echo://\"\r\n[core]\r\nping=7")
    dump = dumped("--config", path)
    assert (dump["core"]["port"], dump["core"]["ping"]) == (["2"], ["7"])
    assert dump["backend"] == {**BACKEND_DEFAULTS, "host": ["echo://"]}


def test_options_apply_in_order(tmp_path):
    path = write_config(tmp_path, (("port", "2"), ("ping", "5")))
    other = write_config(tmp_path, (("port", "3"),), name="other.conf")
    for args, port in (
            (("-p", "1", "--config", path), "2"), (("--config", path, "-p", "1"), "1"),
            (("--config", path, "--config", other), "3"), ((f"--config={other}", f"--config={path}"), "2"),
            (("-p", "1", path), "2"), ((path, "-p", "1"), "1"), ((path, "--config", other), "3"),
            (("-p", "1", "-p", "4"), "4")):
        dump = dumped(*args)["core"]
        assert dump["port"] == [port], args
        assert dump["ping"] == (["5"] if path in args or f"--config={path}" in args else ["30"])


def test_listen_of_file_and_flags_add_up(tmp_path):
    path = write_config(tmp_path, (("listen", "127.0.0.1"),))
    assert dumped("-l", "::1", "--config", path)["core"]["listen"] == ["::1", "127.0.0.1"]


def test_all_ways_to_write_an_option():
    for args in (("-p", "5"), ("-p5",), ("--port=5",), ("--port", "5"), ("-vp5",), ("-vp", "5")):
        assert dumped(*args)["core"]["port"] == ["5"], args


# --- the manuals describe every option -----------------------------------------------------------


def manual(name):
    return (ROOT / "man" / name).read_text().replace("\\-", "-").replace("\\&", "")


def test_manual_of_the_file_has_every_key():
    """Options are documented here and in --help, nowhere else."""
    core = manual("websocksy.conf.5").split(".Sh BACKEND SECTION")[0]
    assert sorted(re.findall(r"^\.It Ic (\S+) No = ", core, re.MULTILINE)) == sorted(KEYS)


def test_manual_of_the_daemon_has_what_only_the_command_line_has():
    text = manual("websocksy.8")
    only = {letter if name is None else name for letter, name in options_of_help() if name not in KEYS}
    found = re.findall(r"^\.It Fl (?:(\w)\b)?(?: , )?(?:-([\w-]+))?", text, re.MULTILINE)
    assert {name or letter for letter, name in found} == only


def test_manuals_have_every_short_option():
    daemon, file = manual("websocksy.8"), manual("websocksy.conf.5")
    for letter, name in options_of_help():
        if letter and name in KEYS:
            entry = re.search(rf"^\.It Ic {name} No = (.*?)(?=^\.It Ic )", file, re.MULTILINE | re.DOTALL)[1]
            assert f"Short option:\n.Fl {letter} ." in entry, name
            assert re.search(rf"^\.Op Fl ({letter} Ar |\w*{letter})", daemon, re.MULTILINE), letter
        elif letter and name:
            assert re.search(rf"^\.It Fl {letter} , -{name}$", daemon, re.MULTILINE), letter


def test_manual_of_the_file_has_the_right_defaults():
    core = manual("websocksy.conf.5").split(".Sh BACKEND SECTION")[0]
    for key, value in DEFAULTS.items():
        entry = re.search(rf"^\.It Ic {key} No = (.*?)(?=^\.It Ic |^\.El\n\.Pp\nA conn|\Z)", core, re.M | re.S)[1]
        default = re.search(r"^Default:\n?\s*(?:\.\w\w )?(\S+?)[\s.,]", entry, re.M)[1]
        assert default == ("auto" if key in FOLLOWERS else value or "empty"), key
