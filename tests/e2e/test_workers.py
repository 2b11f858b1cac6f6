# SPDX-License-Identifier: BSD-2-Clause
"""The option workers: several processes that share the ports."""
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tools import tls_files
from tools.client import RawClient
from tools.configuration import BASE, ECHO, UNCHANGED, reload
from tools.daemon import BINARY, Daemon, environment, failed_start, run_once
from tools.detached import Detached
from tools.frames import CLOSE
from tools.http import build_request
from tools.ports import free_port
from tools.service import Manager
from tools.sockets import descriptors, is_open
from tools.tls import open_tls
from tools.users import PAGE, basic, write_users
from tools.waiting import eventually

NOBODY = 65534
SERVER = """
import os, socket, sys
s = socket.socket(socket.AF_UNIX if len(sys.argv) > 1 else socket.AF_INET)
s.bind(sys.argv[1] if len(sys.argv) > 1 else ("127.0.0.1", %d))
s.listen()
while True:
    c, _ = s.accept()
    c.sendall(b"from %%d" %% os.getpid())
    c.close()
"""


class Workers(Daemon):
    """A daemon with workers: `process` is the supervisor."""

    def __init__(self, *args, count=2, **kwargs):
        kwargs.setdefault("peer", "echo://")
        super().__init__("--access-log=both", f"--workers={count}", *args, **kwargs)
        self.count = count

    def start(self):
        super().start()
        if self.listening:
            self.wait_ready()

    def wait_ready(self):
        eventually(lambda: len(self.workers()) == self.count, "the workers")

    def workers(self):
        """The process numbers of those that are ready."""
        ready = re.findall(r"worker \d+ \(process (\d+)\) is ready", self.log())
        return [int(pid) for pid in self.children() if pid in ready]

    def worker_of(self, client):
        """The number of the worker that has logged the connection of a client."""
        port = client.sock.getsockname()[1]
        return int(self.wait_log(rf"worker (\d+): #\d+ 127\.0\.0\.1:{port}: open").group(1))

    def number_of(self, pid):
        return int(re.search(rf"worker (\d+) \(process {pid}\)", self.log()).group(1))

    def open_on(self, number, **request):
        """A client of this worker."""
        while True:
            client = self.open(**request)
            if self.worker_of(client) == number:
                return client
            client.close_handshake()

    def open_on_each(self):
        return [self.open_on(number + 1) for number in range(self.count)]


@pytest.fixture(scope="module")
def daemon(run_module):
    return run_module(Workers())


def kill_one(daemon, how=signal.SIGKILL):
    """Ends a worker; returns when another one has taken its place."""
    before = set(daemon.workers())
    victim = min(before)
    os.kill(victim, how)
    daemon.wait_log(rf"worker \d+ \(process {victim}\): .*; starting another one")
    eventually(lambda: victim not in daemon.workers() and len(daemon.workers()) == daemon.count, "another worker")


def test_all_workers_serve(daemon):
    clients = [daemon.open() for _ in range(40)]
    assert {daemon.worker_of(client) for client in clients} == {1, 2}
    for client in clients:
        client.round_trip()
    numbers = re.findall(r"worker \d: #(\d+) \S+: open", daemon.log())
    assert len(set(numbers)) == len(numbers)
    daemon.close_clients()


def test_what_is_open_in_a_worker(daemon):
    """The socket of the other worker, and all that belongs to the supervisor, is closed."""
    def kinds_of(pid):
        links = descriptors(pid).values()
        return sorted(re.sub(r"[:\[].*", "", link) for link in links if link.startswith(("socket", "anon", "/proc")))

    expected = ["anon_inode", "anon_inode", "socket", "socket"]  # epoll, signals; the listener, the link
    for pid in daemon.workers():
        eventually(lambda one=pid: kinds_of(one) == expected, "the end of earlier connections")
    sockets = [set(descriptors(pid).values()) for pid in daemon.workers()]
    assert not any(link.startswith("socket") for link in sockets[0] & sockets[1])


def test_one_worker_is_the_process_itself(run):
    daemon = run(Daemon("--workers=1", peer="echo://"))
    daemon.open().round_trip()
    assert daemon.children() == []
    assert "worker" not in daemon.log()


def test_killed_worker_is_replaced(run):
    """Clients of the others go on; what it has counted is counted no more."""
    daemon = run(Workers("--max-clients=6"))
    clients = daemon.open_on_each()
    clients += [daemon.open() for _ in range(4)]
    assert daemon.http().status == 503
    survivors, lost = [], []
    victim = daemon.workers()[0]
    os.kill(victim, signal.SIGKILL)
    daemon.wait_log(rf"error: worker \d \(process {victim}\): killed by signal 9 \(Killed\); starting another one in 0\.1 s")
    dead = daemon.number_of(victim)
    for client in clients:
        (lost if daemon.worker_of(client) == dead else survivors).append(client)
    assert lost and survivors
    for client in survivors:
        client.round_trip()
    eventually(lambda: len(daemon.workers()) == 2, "another worker")
    for _ in lost:
        daemon.open()
    assert daemon.http().status == 503


def test_worker_that_is_told_to_stop_is_replaced(run):
    daemon = run(Workers())
    victim = daemon.workers()[0]
    os.kill(victim, signal.SIGTERM)
    daemon.wait_log(rf"info: worker \d \(process {victim}\): exit status 0; starting another one")
    daemon.wait_ready()
    daemon.open_on_each()


def test_waiting_connections_are_accepted_by_the_next_worker(run):
    daemon = run(Workers())
    pids = daemon.workers()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    clients = [daemon.connect() for _ in range(12)]
    for client in clients:
        client.send_raw(build_request("/", plain=True))
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    assert {client.recv_http().status for client in clients} == {426}


def test_limits_are_for_all_workers(run):
    daemon = run(Workers("--max-clients-per-ip=4", "--trusted-proxy=127.0.0.1"))
    address = {"X-Forwarded-For": "192.0.2.1"}
    clients = [daemon.open(headers=address) for _ in range(4)]
    assert daemon.http(headers=address).status in (429, 503)
    daemon.open(headers={"X-Forwarded-For": "192.0.2.2"})
    clients[0].close_handshake()
    eventually(lambda: daemon.http(plain=True, headers=address).status == 426, "a place")
    for _ in range(2):
        kill_one(daemon)
    [daemon.open(headers=address) for _ in range(3)]


# --- signals, reload ----------------------------------------------------------------------------


def test_reload_reaches_all(run, config):
    path = config((*BASE, ("health", "/one"), ("workers", "2"), ("access-log", "both")), ECHO)
    daemon = run(Workers(path, defaults=False, peer=None))
    old = daemon.open()
    config((*BASE, ("health", "/two"), ("workers", "2"), ("access-log", "both")), ECHO)
    reload(daemon)
    assert {daemon.http("/two", plain=True).status for _ in range(20)} == {200}
    assert len(re.findall("peers: ", daemon.log())) == 2  # told once by each reading
    old.round_trip()
    config((*BASE, ("health", "/three"), ("ping", "x")), ECHO)
    reload(daemon, UNCHANGED)
    daemon.wait_log(r'error: worker 1: .*ping.*"x"')
    assert {daemon.http("/two", plain=True).status for _ in range(20)} == {200}
    kill_one(daemon)
    old.close()


def test_reload_changes_the_addresses(run, config):
    first, second = free_port(), free_port()
    core = (("listen", "127.0.0.1"), ("workers", "2"), ("access-log", "both"))
    daemon = run(Workers(config((*core, ("port", first)), ECHO), defaults=False, peer=None))
    old = daemon.open()
    config((*core, ("port", second)), ECHO)
    reload(daemon)
    eventually(lambda: not is_open(("127.0.0.1", first)), "the end of the old sockets")
    clients = [daemon.open(address=("127.0.0.1", second)) for _ in range(20)]
    assert {daemon.worker_of(client) for client in clients} == {1, 2}
    old.round_trip()
    taken = run(Daemon())
    config((*core, ("port", taken.port)), ECHO)
    reload(daemon, UNCHANGED)
    daemon.open(address=("127.0.0.1", second)).round_trip()
    kill_one(daemon)


def test_stopping_ends_all(run):
    daemon = run(Workers())
    clients = daemon.open_on_each()
    daemon.signal(signal.SIGTERM)
    for client in clients:
        client.expect_close(1001)
        client.close()
    assert daemon.wait() == 0
    assert len(re.findall(r"worker \d \(process \d+\): exit status 0$", daemon.log(), re.MULTILINE)) == 2


def test_second_signal_drops_the_connections(run):
    daemon = run(Workers("--grace=1h", "--close-timeout=1h"))
    clients = daemon.open_on_each()
    pids = daemon.workers()
    for pid in pids:  # as a service manager does
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGTERM)
    daemon.signal(signal.SIGTERM)
    daemon.wait_log(r"stopping \(Terminated\)")
    for client in clients:
        assert client.recv_frame().opcode == CLOSE
    assert daemon.process.poll() is None
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0


def test_workers_end_with_the_supervisor(run):
    daemon = run(Workers())
    daemon.open_on_each()
    pids = [os.pidfd_open(pid) for pid in daemon.workers()]
    port = daemon.port
    daemon.process.kill()
    daemon.process.wait()
    daemon.close_clients()
    for pid in pids:
        eventually(lambda fd=pid: ended(fd), "the end of a worker")
        os.close(pid)
    assert not is_open(("127.0.0.1", port))
    daemon.process.returncode = 0  # expected


def ended(pidfd):
    try:
        signal.pidfd_send_signal(pidfd, 0)
    except ProcessLookupError:
        return True
    status = Path(f"/proc/self/fdinfo/{pidfd}").read_text()
    pid = re.search(r"^Pid:\s+(-?\d+)", status, re.MULTILINE).group(1)
    return pid == "-1" or Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"


# --- service ------------------------------------------------------------------------------------


def test_daemon_with_pid_file_and_log(run, tmp_path):
    """The parent exits when all workers are ready; the pid is that of the supervisor; a log is opened again."""
    daemon = run(Detached(tmp_path, "--workers=2", "--access-log=both"))
    address = ("127.0.0.1", daemon.port)
    clients = [opened(address) for _ in range(20)]
    assert set(re.findall(r"worker (\d): #\d+ \S+ open", daemon.log())) == {"1", "2"}
    daemon.log_path.rename(tmp_path / "old")
    daemon.signal(signal.SIGUSR1)
    eventually(daemon.log_path.exists, "the new file")
    children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()
    eventually(lambda: all(has_open(pid, daemon.log_path) for pid in children), "the new file in all")
    more = [opened(address) for _ in range(20)]
    assert set(re.findall(r"worker (\d): #\d+ \S+ open", daemon.log())) == {"1", "2"}
    for client in clients + more:
        client.close_handshake()
    victim = int(children[0])
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: len(set(Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split())
                           - {children[0]}) == 2, "another worker")
    opened(address).close_handshake()
    daemon.stop()
    assert not daemon.pid_file.exists()
    for line in daemon.log().splitlines():
        assert re.match(r"\d{4}-\d\d-\d\dT\S+Z \w+: ", line)


def opened(address):
    client = RawClient(address)
    client.upgrade("/")
    return client


def has_open(pid, path):
    return str(path) in descriptors(pid).values()


def test_service_manager(run, tmp_path):
    """Ready when all are; a worker that hangs is replaced."""
    manager = run(Manager(f"{tmp_path}/notify"))
    daemon = run(Workers(env={"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "2000000"}))
    assert manager.recv() == {"READY": "1"}
    assert len(daemon.workers()) == 2
    victim = daemon.workers()[0]
    os.kill(victim, signal.SIGSTOP)
    daemon.wait_log(rf"error: worker \d \(process {victim}\) hangs; killing it")
    eventually(lambda: victim not in daemon.workers() and len(daemon.workers()) == 2, "another worker")
    assert manager.recv() == {"WATCHDOG": "1"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the user")
def test_user_and_chroot(run):
    """Workers have the user, the supervisor stays what it is; a worker that is started again reads a file of root."""
    with tempfile.TemporaryDirectory(prefix="websocksy-test-") as folder:
        os.chmod(folder, 0o755)
        users = write_users(Path(folder) / "users", alice="secret")
        users.chmod(0o600)
        daemon = run(Workers(f"--user={NOBODY}", f"--chroot={folder}", f"--auth-file={users}", "--core-dump=yes"))
        for _ in range(2):
            assert {os.stat(f"/proc/{pid}").st_uid for pid in daemon.workers()} == {NOBODY}
            daemon.open(headers=basic("alice", "secret")).close_handshake()
            kill_one(daemon)
        assert os.stat(f"/proc/{daemon.process.pid}").st_uid == 0
        assert {os.readlink(f"/proc/{pid}/root") for pid in daemon.workers()} == {folder}


def exclusive(pid):
    """How many descriptors a process waits for so that the kernel wakes one of several processes (EPOLLEXCLUSIVE)."""
    events = []
    for fd, link in descriptors(pid).items():
        if link == "anon_inode:[eventpoll]":
            text = Path(f"/proc/{pid}/fdinfo/{fd}").read_text()
            events += [int(value, 16) for value in re.findall(r"^tfd:.*events:\s*([0-9a-f]+)", text, re.MULTILINE)]
    return sum(value >> 28 & 1 for value in events)


def test_unix_socket_is_shared(run, tmp_path):
    """A connection woke all workers; those that accept take turns."""
    path = tmp_path / "socket"
    daemon = run(Workers("-l", f"unix:{path},mode=0600", "-l", "127.0.0.1", "-p", "0", defaults=False))
    assert [exclusive(pid) for pid in daemon.workers()] == [1, 1]
    opened_by = set()
    while opened_by != {"1", "2"}:
        daemon.open(address=str(path)).close_handshake()
        opened_by = set(re.findall(r"worker (\d): #\d+ unix\S*: open", daemon.log()))
    reload(daemon)
    assert [exclusive(pid) for pid in daemon.workers()] == [1, 1]
    kill_one(daemon)
    daemon.open(address=str(path)).close_handshake()
    daemon.stop()
    assert not path.exists()


def inetd(sock, *args):
    return subprocess.Popen([BINARY, "--inetd", "--workers=2", "-c", "host=echo://", *args], stdin=sock,
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment())


def test_sockets_of_inetd():
    """A listening one is shared; a client cannot be."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        with inetd(sock) as process:
            clients = [RawClient(sock.getsockname()) for _ in range(4)]
            for client in clients:
                client.upgrade("/")
                client.close_handshake()
            process.terminate()
            assert process.wait() == 0
        with socket.create_connection(sock.getsockname()) as client, inetd(client) as process:
            assert process.wait() == 1
            assert "is a connection, which one process serves (use workers = 1)" in process.stderr.read()


# --- secrets of all workers ---------------------------------------------------------------------


def test_tls_sessions_are_resumed_by_all(run, authority, pair):
    daemon = run(Workers(f"--cert={pair.cert}", f"--key={pair.key}", tls=False))
    context = tls_files.client_context(authority)
    first = open_tls(daemon, context)
    first.send_raw(build_request("/", plain=True))
    first.recv_http()
    session = first.sock.tls.session
    for _ in range(12):
        client = open_tls(daemon, context, session=session)
        assert client.sock.tls.session_reused


def test_logins_are_shared(run, tmp_path):
    """The cookie of one worker is accepted by all, and guesses count whichever worker has seen them."""
    page = tmp_path / "page.html"
    page.write_bytes(PAGE)
    users = write_users(tmp_path / "users", alice="secret")
    daemon = run(Workers(f"--auth-file={users}", f"--web={page}", "--auth-cookie=1h", "--trusted-proxy=127.0.0.1"))
    answer = daemon.http(plain=True, headers={**basic("alice", "secret"), "X-Forwarded-For": "192.0.2.9"})
    cookie = answer.header("Set-Cookie").split(";")[0]
    for _ in range(12):
        daemon.open(headers={"Cookie": cookie, "X-Forwarded-For": "192.0.2.9"})
    assert set(re.findall(r"worker (\d): #\d+ 192\.0\.2\.9: open", daemon.log())) == {"1", "2"}
    wrong = {"X-Forwarded-For": "192.0.2.1", **basic("alice", "wrong")}
    guesses = [daemon.http(headers=wrong).status for _ in range(8)]
    assert guesses[:5] == 5 * [401] and guesses[6:] == 2 * [429]
    for _ in range(2):
        kill_one(daemon)
    assert daemon.http(headers=wrong).status == 429
    daemon.open(headers={"Cookie": cookie, "X-Forwarded-For": "192.0.2.9"})


# --- the program --------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", ("port", "unix"))
def test_one_program_for_all(run, wrap):
    port = free_port()
    options = [f"--wrap={wrap}", "--close-timeout=1s"] + ([f"--wrap-port={port}"] if wrap == "port" else [])
    program = [sys.executable, "-c", SERVER % port] + (["{SOCKET}"] if wrap == "unix" else [])
    daemon = run(Workers(*options, "--", *program, peer=None))
    answers = set()
    clients = [daemon.open() for _ in range(12)]
    assert {daemon.worker_of(client) for client in clients} == {1, 2}
    for client in clients:
        answers.add(bytes(client.recv_frame().payload))
    assert len(answers) == 1
    kill_one(daemon)
    assert {bytes(daemon.open().recv_frame().payload) for _ in range(6)} == answers
    os.kill(int(answers.pop().split()[1]), signal.SIGTERM)
    assert daemon.wait() == 128 + signal.SIGTERM


def test_program_for_each_client(run):
    daemon = run(Workers("--wrap=stdio", "--", "cat", peer=None))
    for client in daemon.open_on_each():
        client.send_text("hello")
        assert client.recv_frame().payload == b"hello"
        client.close_handshake()


# --- starts that fail, planned ends -------------------------------------------------------------


def test_errors_of_a_start(tmp_path):
    """Each is reported once, before the process detaches; nothing is left."""
    options = ("-l", "127.0.0.1", "-p", "0", "--workers=3", "-D", f"--pid-file={tmp_path}/pid")
    for wrong, line in (
            (("-b", "nonsense"), r'error: worker 1: command line: backend: backend "nonsense"'),
            (("-c", "host=echo://", "--run-once"),
             "worker 1: command line: --run-once: run-once and workers exclude each other: one process serves the one "
             r"connection \(use workers = 1\)"),
            (("-c", "host=echo://", "--web=/no/such"), "web"),
            (("--workers=0",), "workers"), (("--workers=65",), "workers"), (("--workers=x",), "workers")):
        result = run_once(*options, *wrong)
        assert result.returncode == 1
        assert len(re.findall(line, result.stderr)) == 1, result.stderr
        assert not (tmp_path / "pid").exists()


def test_port_in_use_is_an_error(run):
    """Also if the other process has workers, which share theirs."""
    first = run(Workers())
    for count in (1, 2):
        [line] = failed_start("-l", "127.0.0.1", "-p", first.port, f"--workers={count}", "-c", "host=echo://")
        assert line.endswith("Address already in use")


def test_values_are_read_back(tmp_path):
    dump = run_once("--workers=4", "-c", "host=echo://", "--dump-config")
    assert "\nworkers = 4\n" in dump.stdout
    assert run_once("--workers=4", "-c", "host=echo://", "-t").returncode == 0


def test_number_stays_until_the_next_start(run, config):
    core = (*BASE, ("access-log", "both"))
    daemon = run(Workers(config((*core, ("workers", "2")), ECHO), defaults=False, peer=None))
    config((*core, ("workers", "3")), ECHO)
    # The arguments of Workers come first, so the file decides.
    assert "workers: changes only when the daemon is started again" in reload(daemon)
    assert len(daemon.children()) == 2


def test_exit_idle_counts_all(run):
    daemon = run(Workers("--exit-idle=300ms"))
    clients = daemon.open_on_each()
    clients[0].close_handshake()
    client = clients[1]
    for _ in range(3):
        client.round_trip()
    client.close_handshake()
    daemon.wait_log(r"stopping \(exit-idle\)")
    assert daemon.wait() == 0


def test_exit_after_ends_with_the_last_connection(run):
    daemon = run(Workers("--exit-after=1s"))
    client = daemon.open()
    port = daemon.port
    daemon.wait_log(r"no longer listening \(exit-after\)")
    eventually(lambda: not is_open(("127.0.0.1", port)), "the end of the sockets")
    client.round_trip()
    client.close_handshake()
    assert daemon.wait() == 0
