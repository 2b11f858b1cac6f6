# SPDX-License-Identifier: BSD-2-Clause
"""The daemon under test as a process."""
import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from tools import tls_files
from tools.client import RawClient
from tools.http import build_request
from tools.waiting import TIMEOUT, eventually

ROOT = Path(__file__).resolve().parents[3]
BINARY = os.path.abspath(os.environ.get("WEBSOCKSY") or ROOT / "websocksy")
SANITIZED = os.environ.get("SANITIZED", "0") not in ("", "0")
# Every daemon gets a certificate and every client that a daemon makes speaks TLS.
TLS = os.environ.get("WEBSOCKSY_TLS", "0") not in ("", "0")
# The fixture echo_daemon has a TCP peer that sends everything back, with the framing `typed`.
TYPED = os.environ.get("WEBSOCKSY_TYPED", "0") not in ("", "0")
# What a sanitizer or the C library writes when the daemon is about to die.
REPORT = re.compile(
    r"(ERROR: (Address|Leak|Thread|Memory)Sanitizer|runtime error:|Assertion .* failed|SUMMARY: )"
)


class DaemonFailed(AssertionError):
    """The daemon ended before it listened."""


def environment(extra=None):
    """The environment for a daemon: ours, without what a service manager may have left in it."""
    env = {
        name: value
        for name, value in os.environ.items()
        if name not in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM")
        and not name.startswith("LISTEN_")
    }
    env.update(extra or {})
    return env


def run_once(*args, timeout=None, **kwargs):
    """Runs the daemon to its end (--help, -t, errors); the result has returncode, stdout, stderr."""
    env = environment(kwargs.pop("env", None))
    result = subprocess.run(
        [BINARY, *map(str, args)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=TIMEOUT if timeout is None else timeout, env=env, **kwargs)
    assert not REPORT.search(result.stderr), result.stderr
    return result


@contextlib.contextmanager
def standing_still(daemon):
    """What happens meanwhile is all there when the daemon looks again."""
    daemon.signal(signal.SIGSTOP)
    eventually(lambda: daemon.state() in "tT", "the daemon to stop")
    try:
        yield
    finally:
        daemon.signal(signal.SIGCONT)


class Unprivileged:
    """A folder that everybody may enter, and what starts a daemon there that may not do what root may."""

    def __enter__(self):
        self.holder = tempfile.TemporaryDirectory(prefix="websocksy-test-")
        self.folder = Path(self.holder.name)
        self.folder.chmod(0o755)
        # A copy, and plugins from here, as the checkout itself may be where only root gets to.
        self.popen = {"executable": shutil.copy(BINARY, self.folder)}
        self.args = [f"--plugin-path={self.folder}"]
        if os.geteuid() == 0:
            self.popen.update(user=65534, group=65534, extra_groups=())
        return self

    def __exit__(self, *_):
        self.holder.cleanup()


class Daemon:
    """One running daemon.

    args        further arguments, after DEFAULTS
    peer        shorthand for `-c host=PEER`
    defaults    False: leave out DEFAULTS (the test gives its own)
    env         variables to set
    listening   False: do not wait for a listener (the test does it itself)
    tls         True: with a certificate, and its clients speak TLS; default: what the environment says
    program     another name of the binary
    Everything else (cwd, pass_fds, preexec_fn, ...) goes to subprocess.Popen.
    """

    # The deadlines are for those that are slow on purpose, not for a test on a slow machine. No ping comes
    # between the frames of a test that is silent for longer than usual.
    DEFAULTS = ("-p", "0", "-l", "127.0.0.1", "--handshake-timeout=1h", "--connect-timeout=1h", "--ping=1h",
                "--stall-timeout=1h")
    running = []  # for the report of a failed test

    def __init__(self, *args, peer=None, defaults=True, env=None, listening=True, tls=TLS,
                 program=BINARY, **popen):
        self.args = list(self.DEFAULTS) if defaults else []
        self.tls = None
        if tls:
            ca, pair = tls_files.shared()
            self.args += [f"--cert={pair.cert}", f"--key={pair.key}"]
            self.tls = tls_files.client_context(ca)
        self.args += [str(arg) for arg in args]
        if peer is not None:
            self.args += ["-c", f"host={peer}"]
        self.peer = peer
        self.env = environment(env)
        self.program = program
        self.popen = popen
        self.listening = listening
        self.process = None
        self.clients = []
        self.barrier = None
        self.first_port = None
        self.folder = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        try:
            if self.process and self.process.returncode is None:
                self.stop(patience=0.3)
        finally:
            self.kill()

    # starting and stopping

    def start(self):
        self.folder = tempfile.mkdtemp(prefix="websocksy-test-")
        self.log_path = os.path.join(self.folder, "log")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [self.program, *self.args], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self.env, **self.popen)
        Daemon.running.append(self)
        if self.listening:
            self.wait_log(r"listening on ")
            # Files are read behind that line, which a test must not count among the descriptors.
            eventually(lambda: self.state() not in "RD", "the end of the start")

    def stop(self, how=signal.SIGTERM, timeout=None, close_clients=True, patience=None):
        """Ends the daemon by a signal, and checks that it ended well: status 0, nothing bad in the log.

        Clients made by connect() and open() are closed first, so that there is little to wait for. With
        `patience` a second signal follows after so many seconds: some peer of the test may still hold
        its connection, and the daemon is right to give it its time.
        """
        if close_clients:
            self.close_clients()
        self.process.send_signal(how)
        if patience is not None:
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                self.process.send_signal(signal.SIGINT)
        self.wait(timeout)
        assert self.process.returncode == 0, f"exit status {self.process.returncode}:\n{self.tail()}"

    def wait(self, timeout=None):
        """Waits for the end of the process, checks the log, and returns the exit status."""
        try:
            self.process.wait(TIMEOUT if timeout is None else timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the daemon does not end:\n{self.tail()}") from None
        self.check_log()
        return self.process.returncode

    def kill(self):
        """Ends the daemon at once and forgets it. No checks."""
        self.close_clients()
        if self.process and self.process.returncode is None:
            self.process.kill()
            self.process.wait()
        if self in Daemon.running:
            Daemon.running.remove(self)
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None

    def close_clients(self):
        for client in self.clients:
            client.close()
        self.clients.clear()
        self.barrier = None

    def signal(self, number):
        self.process.send_signal(number)

    # the log

    def log(self):
        with open(self.log_path, "rb") as log:
            return log.read().decode("utf-8", "replace")

    def tail(self, lines=60):
        return "\n".join(self.log().splitlines()[-lines:])

    def check_log(self):
        text = self.log()
        assert not REPORT.search(text), text

    def wait_log(self, pattern, timeout=None, count=1):
        """Waits for `count` matches of a regular expression and returns the last of them."""

        def found():
            text = self.log()
            matches = list(re.finditer(pattern, text, re.MULTILINE))
            if len(matches) >= count:
                return matches[-1]
            if self.process.poll() is not None:
                raise DaemonFailed(f"exit status {self.process.returncode}:\n{text}")
            return None

        try:
            return eventually(found, pattern, timeout)
        except DaemonFailed:
            raise
        except AssertionError as error:
            raise AssertionError(f"{error}; the log:\n{self.tail()}") from None

    # where it listens

    @property
    def port(self):
        """The port of the first TCP listener."""
        if self.first_port is None:
            self.first_port = int(self.wait_log(r"listening on \S*:(\d+)").group(1))
        return self.first_port

    @property
    def address(self):
        return ("127.0.0.1", self.port)

    def url(self, path="/", scheme="ws"):
        """For other people's clients; `scheme` is "ws" or "http", to which "s" is added where there is TLS."""
        return f"{scheme}{'s' if self.tls else ''}://127.0.0.1:{self.port}{path}"

    # clients

    def connect(self, address=None, **kwargs):
        """A client with a TCP connection and nothing sent yet."""
        kwargs.setdefault("tls", self.tls)
        client = RawClient(address or self.address, **kwargs)
        client.daemon = self
        self.clients.append(client)
        return client

    def open(self, path="/", address=None, rcvbuf=None, **request):
        """A client that has been upgraded; `request` as for build_request()."""
        client = self.connect(address, rcvbuf=rcvbuf)
        client.upgrade(path, **request)
        return client

    def http(self, path="/", **request):
        """One request that gets an HTTP answer; returns the HttpResponse after the connection ended."""
        client = self.connect()
        client.send_raw(build_request(path, **request))
        answer = client.recv_http()
        client.expect_eof()
        client.close()
        return answer

    def settle(self):
        """Returns when the daemon has read and handled all that was sent to it before the call.

        The kernel reports events in the order in which they happened, and the loop handles them in the
        order in which they were reported. So once a later client has had its answer, earlier bytes have
        been handled. A connection that is new takes a turn to be accepted, hence two round trips. With
        the echo peer this is a ping of an idle client; otherwise it is a small HTTP request.
        """
        if self.peer != "echo://":
            client = self.connect()
            client.send_raw(build_request("/", plain=True))
            client.recv_http()
            client.close()
            self.clients.remove(client)
            return
        if self.barrier is None:
            self.barrier = self.open()
        for _ in range(2):
            self.barrier.round_trip()

    # what the kernel knows of the process

    def status(self, key):
        """A number of kibibytes (or a count) from /proc/PID/status."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"^{key}:\s+(\d+)", text, re.MULTILINE).group(1))

    def rss(self):
        """Bytes of anonymous memory that the process has resident: heap and stack, not its code."""
        return self.status("RssAnon") * 1024

    def fds(self):
        """How many descriptors are open."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def cpu_ns(self):
        """Nanoseconds of processor time that the process has used so far, its threads included."""
        tasks = Path(f"/proc/{self.process.pid}/task")
        return sum(int((tasks / task / "schedstat").read_text().split()[0]) for task in os.listdir(tasks))

    def state(self):
        """The letter of /proc/PID/stat: R for one that runs or could, S for one that waits for an event."""
        return Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0]

    def voluntary_switches(self):
        """How often the process has waited so far."""
        return self.status("voluntary_ctxt_switches")

    def children(self):
        return Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()


def failed_start(*args, **kwargs):
    """The lines, without their time, of a start that has to fail."""
    result = run_once(*args, **kwargs)
    assert result.returncode == 1, (result.returncode, result.stderr)
    assert result.stdout == ""
    return [re.sub(r"^\S+Z error: ", "", line) for line in result.stderr.splitlines()]
