# SPDX-License-Identifier: BSD-2-Clause
"""The options run-once, exit-after and exit-idle."""
import signal
import time

from tools.client import exchange
from tools.configuration import BASE, ECHO, reload, write_config
from tools.daemon import ROOT, Daemon, failed_start, standing_still
from tools.http import build_request
from tools.peers import TcpPeer, echo
from tools.ports import StuckPort
from tools.sockets import is_open
from tools.waiting import eventually


# --- run-once -----------------------------------------------------------------------------------


def test_run_once_ends_with_the_connection(run):
    daemon = run(Daemon("--run-once", peer="echo://"))
    client = daemon.open()
    client.round_trip()
    client.close_handshake()
    assert daemon.wait() == 0
    assert "notice: stopping (run-once)" in daemon.log()


def test_plain_requests_do_not_count(run):
    daemon = run(Daemon("--run-once", "--web", ROOT / "index.html", peer="echo://"))
    for _ in range(3):
        assert daemon.http(plain=True).status == 200
    client = daemon.open()
    client.round_trip()
    assert daemon.http(plain=True).status == 200  # a page may load more while it is connected
    client.close_handshake()
    assert daemon.wait() == 0


def test_second_connection_is_refused(run):
    daemon = run(Daemon("--run-once", peer="echo://"))
    first = daemon.open()
    answer = daemon.http()
    assert answer.status == 503 and b"this server takes a single connection" in answer.body
    first.round_trip()
    first.close_handshake()
    assert daemon.wait() == 0


def test_second_connection_that_was_being_connected_is_refused(run):
    """Both requests came before the first peer was connected."""
    peer = run(TcpPeer(echo))
    daemon = run(Daemon("--run-once", peer=peer.url))
    first, second = daemon.connect(), daemon.connect()
    with standing_still(daemon):
        for client in (first, second):
            client.send_raw(build_request("/"))
    assert sorted(client.recv_http(head_only=True).status for client in (first, second)) == [101, 503]


def test_failed_connection_does_not_count(run):
    stuck = run(StuckPort())
    daemon = run(Daemon("--run-once", "--connect-timeout=50ms", peer=stuck.url))
    assert daemon.http().status == 504
    assert daemon.http().status == 504


def test_client_that_is_lost_counts(run):
    daemon = run(Daemon("--run-once", peer="echo://"))
    daemon.open().close()
    assert daemon.wait() == 0


class Timed:
    """A daemon that is told by a reload, when all clients are there, that it is to end. (From its start on the time
    would be over before that if the machine is slow.)"""

    def __init__(self, run, tmp_path, option, *others):
        self.tmp_path, self.option, self.others = tmp_path, option, others
        self.daemon = run(Daemon(self.write("1h"), defaults=False))

    def write(self, value):
        return write_config(self.tmp_path, (*BASE, *self.others, (self.option, value)), ECHO)

    def set(self, value):
        self.write(value)
        reload(self.daemon)


# --- exit-after ---------------------------------------------------------------------------------


def test_exit_after_without_connections(run):
    begun = time.monotonic()
    daemon = run(Daemon("--exit-after=300ms", peer="echo://"))
    assert daemon.wait() == 0
    assert time.monotonic() - begun >= 0.3
    assert "notice: no longer listening (exit-after)" in daemon.log()


def test_exit_after_lets_connections_go_on(run, tmp_path):
    timed = Timed(run, tmp_path, "exit-after", ("grace", "0"))
    daemon = timed.daemon
    client, other = daemon.open(), daemon.open()
    timed.set("1ms")
    daemon.wait_log("no longer listening")
    assert not is_open(daemon.address)
    client.round_trip()
    client.close_handshake()
    other.round_trip()
    assert daemon.process.poll() is None
    other.close_handshake()
    assert daemon.wait() == 0


def test_exit_after_ends_idle_keep_alive(run, tmp_path):
    """A page's connection is closed behind its next response."""
    timed = Timed(run, tmp_path, "exit-after", ("web", ROOT / "index.html"))
    daemon = timed.daemon
    client = daemon.connect()
    assert exchange(client, "/").status == 200
    timed.set("1ms")
    daemon.wait_log("no longer listening")
    assert exchange(client, "/").status == 200
    client.expect_eof()
    client.close()
    assert daemon.wait() == 0


def test_reload_after_the_end_of_listening(run, tmp_path):
    timed = Timed(run, tmp_path, "exit-after")
    daemon = timed.daemon
    client = daemon.open()
    timed.set("1ms")
    daemon.wait_log("no longer listening")
    reload(daemon)
    assert not is_open(daemon.address)
    client.round_trip()
    assert daemon.log().count("no longer listening") == 1
    client.close_handshake()
    assert daemon.wait() == 0


# --- exit-idle ----------------------------------------------------------------------------------


def test_exit_idle_is_measured_from_the_start(run):
    begun = time.monotonic()
    daemon = run(Daemon("--exit-idle=300ms", peer="echo://"))
    assert daemon.wait() == 0
    assert time.monotonic() - begun >= 0.3
    assert "notice: stopping (exit-idle)" in daemon.log()


def test_exit_idle_waits_for_the_end_of_connections(run, tmp_path):
    timed = Timed(run, tmp_path, "exit-idle")
    daemon = timed.daemon
    client = daemon.open()
    timed.set("250ms")
    time.sleep(0.6)  # longer than the time; that it has not ended cannot be seen otherwise
    client.round_trip()
    begun = time.monotonic()
    client.close_handshake()
    assert daemon.wait() == 0
    assert time.monotonic() - begun >= 0.25


def test_plain_requests_do_not_prolong_it(run, tmp_path):
    timed = Timed(run, tmp_path, "exit-idle", ("health", "/alive"))
    daemon = timed.daemon
    client = daemon.connect()
    assert exchange(client, "/alive").status == 200
    timed.set("500ms")

    def ended():
        try:
            return exchange(client, "/alive").status == 503
        except (ConnectionError, AssertionError):
            return True

    eventually(ended, "the end", every=0.05)
    client.close()
    assert daemon.wait() == 0


def test_reload_changes_it(run, tmp_path):
    timed = Timed(run, tmp_path, "exit-idle")
    timed.write("1ms")
    timed.daemon.signal(signal.SIGHUP)
    assert timed.daemon.wait() == 0


def test_signal_comes_first(run):
    daemon = run(Daemon("--exit-idle=1h", "--exit-after=1h", "--run-once", peer="echo://"))
    client = daemon.open()
    daemon.signal(signal.SIGTERM)
    client.expect_close(1001)
    client.send_close(1001)
    client.expect_eof()
    client.close()
    assert daemon.wait() == 0
    assert "run-once" not in daemon.log()


def test_invalid_values():
    for option in ("exit-after", "exit-idle"):
        assert failed_start(f"--{option}=x") == [
            f'command line: --{option}: "x" is not a time (use seconds, or a number with ms, s, m or h)']
    assert failed_start("--run-once=1") == ['command line: --run-once: "1" is neither yes nor no']
