# SPDX-License-Identifier: BSD-2-Clause
"""What the end-to-end tests share: the daemon as a process, peers with real sockets, a strict client.

The pieces, each of them a context manager:

    Daemon          runs the binary under test and reads its log
    TcpPeer         a stream service, driven by the test or by a handler function
    TlsPeer         the same under TLS
    UnixPeer        the same on a Unix socket, with a path or an abstract name
    UdpPeer         a datagram service
    UnixDgramPeer   the same on a Unix datagram socket
    FifoReader      the reading end of a fifo (for fifotx:// peers)
    FifoWriter      the writing end of a fifo (for fiforx:// peers)
    ClosedPort      a TCP port that refuses connections
    StuckPort       a TCP port that never answers a SYN
    DnsServer       a name server with a table of answers, which may stay silent
    RawClient       a blocking WebSocket client that checks every byte the server sends

A test gets them through the fixture `run` (conftest.py), which closes what it started, last first:

    def test_echo(run):
        peer = run(TcpPeer(echo))
        daemon = run(Daemon(peer=peer.url))
        client = daemon.open()                  # connected and upgraded
        client.send_text("hello")
        assert client.recv_message() == (TEXT, b"hello")
        client.close_handshake(1000)

Rules that keep the suite reliable on a slow and on a loaded machine:

- No sleep stands for "now it must have happened"; wait for something that can be seen (a log line, a byte, an
  end of file) with `eventually`, `wait_log`, or a receive.
- Every wait has a limit, TIMEOUT, which only a failing test reaches. It is the time without any progress.
- No assertion is an upper bound on elapsed time. A test may take a time with `observed`; the limits are in
  bench/latency.py, which `make bench-check` runs on a quiet machine. Lower bounds are fine.
- A deadline of the daemon that has to expire is short. One that must not expire while the test does something
  is LONG_MS or more; where a transfer has to outlive it, the transfer is slow by intention.
- Tests run side by side, except those marked `measures`. What they share (a port that is not chosen by the
  kernel, an abstract name) is reserved or has a name of its own.

With WEBSOCKSY_TLS=1 all of it happens over TLS: daemons get a certificate, and the clients that they make
(connect(), open(), http()) encrypt. Leaving a Daemon's block stops it by SIGTERM and fails the test if the
exit status is not 0 or the log holds a sanitizer report or a failed assertion.
"""
import base64
import collections
import contextlib
import errno
import hashlib
import os
import queue
import random
import re
import select
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import tls_files

ROOT = Path(__file__).resolve().parents[2]
BINARY = os.path.abspath(os.environ.get("WEBSOCKSY") or ROOT / "websocksy")
SANITIZED = os.environ.get("SANITIZED", "0") not in ("", "0")
# Every daemon gets a certificate and every client that a daemon makes speaks TLS.
TLS = os.environ.get("WEBSOCKSY_TLS", "0") not in ("", "0")
# The limit of every single wait, in seconds without progress. Lower it to see failures sooner while writing tests.
TIMEOUT = float(os.environ.get("TEST_TIMEOUT", 120))
# A deadline of the daemon that must not expire, for its options: far longer than a loaded machine keeps a process
# from running, short enough for a slow transfer to outlive it.
LONG_MS = 5000
LONG = LONG_MS / 1000

CONTINUATION, TEXT, BINARY_OP, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
BIN = BINARY_OP
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
# Sixteen bytes as RFC 6455, section 1.3, has them, so that a dump can be compared with the text.
KEY = base64.b64encode(b"the sample nonce").decode()
# What a sanitizer or the C library writes when the daemon is about to die.
REPORT = re.compile(
    r"(ERROR: (Address|Leak|Thread|Memory)Sanitizer|runtime error:|Assertion .* failed|SUMMARY: )"
)


def eventually(predicate, what="condition", timeout=None, every=0.005):
    """Waits until `predicate()` is true and returns its value; fails after `timeout` seconds."""
    deadline = time.monotonic() + (TIMEOUT if timeout is None else timeout)
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited in vain for {what}")
        time.sleep(every)


observations = []  # (name, seconds)


@contextlib.contextmanager
def observed(name):
    """Takes the time of a block. It is judged by bench/latency.py alone: no test fails because it took long."""
    begun = time.perf_counter()
    yield
    observations.append((name, time.perf_counter() - begun))


def kernel_holds():
    """The most bytes that the sockets on the way from a sender through the daemon to a receiver may hold over
    TCP: a receive buffer and two send buffers as large as the kernel lets them grow. A receiver that reads
    nothing and is to hold up its sender limits its own buffer (rcvbuf)."""
    largest = [int(Path(f"/proc/sys/net/ipv4/{name}").read_text().split()[2])
               for name in ("tcp_rmem", "tcp_wmem", "tcp_wmem")]
    return sum(largest)


def send_all(sock, data):
    """sendall() whose time limit is one without progress, as that of recv() is."""
    view = memoryview(data)
    for at in range(0, len(view), 1 << 18):
        sock.sendall(view[at:at + (1 << 18)])


# --- the daemon ---------------------------------------------------------------------------------


reserved_ports = []  # sockets with abstract names, held until this process ends


def free_port():
    """A TCP port that nobody has, from below those that the kernel gives to outgoing connections: such a
    connection of another test could have taken it by the time that it is used. Tests of other processes do
    not get it either, because an abstract name in the same network namespace reserves it."""
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(max(low - 12000, 1024), low)
        reservation = socket.socket(socket.AF_UNIX)
        try:
            reservation.bind(f"\0websocksy-test-port-{port}")
            for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET, "127.0.0.1")):
                with socket.socket(family) as sock:
                    sock.bind((host, port))
        except OSError:
            reservation.close()
            continue
        reserved_ports.append(reservation)
        return port


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
    """Runs the daemon to its end (--help, -t, mistakes); the result has returncode, stdout, stderr."""
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


class Nobody:
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
    Everything else (cwd, pass_fds, preexec_fn, ...) goes to subprocess.Popen.
    """

    # The deadlines are for those that are slow on purpose, not for a test on a slow machine.
    DEFAULTS = ("-p", "0", "-l", "127.0.0.1", "--handshake-timeout=1h", "--connect-timeout=1h")
    running = []  # for the report of a failed test

    def __init__(self, *args, peer=None, defaults=True, env=None, listening=True, tls=TLS,
                 **popen):
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
                [BINARY, *self.args], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self.env, **self.popen)
        Daemon.running.append(self)
        if self.listening:
            self.wait_log(r"listening on ")

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


# --- peers --------------------------------------------------------------------------------------


class PeerConnection:
    """The peer's end of one connection. Everything received is kept in `received`."""

    def __init__(self, sock, address):
        self.sock = sock
        self.address = address
        self.received = bytearray()
        self.eof = False
        self.reset = False
        self.error = None  # what a handler raised
        self.thread = None
        sock.settimeout(TIMEOUT)

    def recv(self, size=65536):
        """Some bytes, b"" at the end of the stream."""
        try:
            data = self.sock.recv(size)
        except ConnectionResetError:
            self.reset = True
            data = b""
        self.received += data
        if not data:
            self.eof = True
        return data

    def recv_exactly(self, size):
        start = len(self.received)
        while len(self.received) < start + size:
            left = start + size - len(self.received)
            if not self.recv(min(left, 1 << 20)):
                raise AssertionError(
                    f"end of stream after {len(self.received) - start} of {size} bytes")
        return bytes(self.received[start:])

    def recv_all(self, keep=False):
        """Reads to the end of the stream and returns what came since the call. Then the connection is
        closed, as a service does; `keep` leaves our half open."""
        start = len(self.received)
        while self.recv(1 << 20):
            pass
        if not keep:
            self.close()
        return bytes(self.received[start:])

    def expect_eof(self, keep=False):
        """The stream ends here, in order; then as recv_all()."""
        data = self.recv()
        assert data == b"", f"more bytes: {data[:80]!r}"
        assert not self.reset, "reset instead of an end of stream"
        if not keep:
            self.close()

    def send(self, data):
        send_all(self.sock, data)

    def finish(self):
        """Half-closes: the daemon sees an end of stream, and we can still read."""
        self.sock.shutdown(socket.SHUT_WR)

    def abort(self):
        """Closes with a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self):
        self.sock.close()


def echo(connection):
    """Handler: sends everything back until the end of the stream."""
    while True:
        data = connection.recv()
        if not data:
            return
        connection.send(data)


def sink(connection):
    """Handler: reads everything, sends nothing."""
    connection.recv_all()


def source(data, then_close=True):
    """Handler: sends `data` (bytes, or an iterable of chunks), then closes or reads to the end."""

    def handler(connection):
        for chunk in [data] if isinstance(data, (bytes, bytearray)) else data:
            connection.send(chunk)
        if then_close:
            connection.finish()
        connection.recv_all()

    return handler


class StreamPeer:
    """A stream service. With a handler each connection runs it in a thread of its own; without one the
    test takes the connections with accept() and drives them. `connections` lists all of them in order.
    """

    def __init__(self, handler=None, rcvbuf=None, sndbuf=None):
        self.handler = handler
        self.connections = []
        self.waiting = queue.Queue()
        self.stopping = False
        self.sock = self.listen(rcvbuf, sndbuf)

    def make_socket(self, family, rcvbuf, sndbuf):
        sock = socket.socket(family, socket.SOCK_STREAM)
        if rcvbuf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        if sndbuf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sndbuf)
        return sock

    def __enter__(self):
        self.wake_read, self.wake_write = os.pipe()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        return self

    def serve(self):
        while True:
            readable, _, _ = select.select([self.sock, self.wake_read], [], [])
            if self.wake_read in readable:
                return
            sock, address = self.sock.accept()
            connection = PeerConnection(sock, address)
            self.connections.append(connection)
            if self.handler:
                connection.thread = threading.Thread(
                    target=self.handle, args=(connection,), daemon=True)
                connection.thread.start()
            self.waiting.put(connection)

    def handle(self, connection):
        try:
            self.handler(connection)
        except (OSError, AssertionError) as error:
            connection.error = error
        finally:
            connection.close()

    def accept(self, timeout=None):
        """The next connection."""
        try:
            return self.waiting.get(timeout=TIMEOUT if timeout is None else timeout)
        except queue.Empty:
            raise AssertionError("no connection reached the peer") from None

    def wait_handled(self, connection, timeout=None):
        """Waits for the end of a connection's handler and raises what it raised."""
        connection.thread.join(TIMEOUT if timeout is None else timeout)
        assert not connection.thread.is_alive(), "the handler is still busy"
        if connection.error:
            raise connection.error

    def __exit__(self, *_):
        os.write(self.wake_write, b"x")
        self.thread.join(TIMEOUT)
        for connection in self.connections:
            try:
                connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            connection.close()
        self.sock.close()
        os.close(self.wake_read)
        os.close(self.wake_write)


class TcpPeer(StreamPeer):
    def __init__(self, handler=None, host="127.0.0.1", port=0, **kwargs):
        self.host = host
        self.wanted = port
        super().__init__(handler, **kwargs)

    def listen(self, rcvbuf, sndbuf):
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        sock = self.make_socket(family, rcvbuf, sndbuf)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((self.host, self.wanted))
        sock.listen(1024)
        self.port = sock.getsockname()[1]
        return sock

    @property
    def url(self):
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp://{host}:{self.port}"


class TlsPeer(TcpPeer):
    """The same under TLS, strict about the end (see TlsSocket). accept() gives connections whose handshake is
    done; those where it failed are in the queue `failed`, with their `error`.

    context     an ssl.SSLContext of a server
    before      called with the connection before TLS begins, for what comes in front of it
    """

    def __init__(self, context, handler=None, before=None, **kwargs):
        self.context = context
        self.before = before
        self.driven = handler is None
        self.secured, self.failed = queue.Queue(), queue.Queue()
        super().__init__(handler or sink, **kwargs)

    def handle(self, connection):
        try:
            if self.before:
                self.before(connection)
            connection.sock = TlsSocket(connection.sock, self.context, server=True)
        except (OSError, AssertionError) as error:
            connection.error = error
            connection.close()
            self.failed.put(connection)
            return
        self.secured.put(connection)
        if not self.driven:
            super().handle(connection)

    def accept(self, timeout=None):
        try:
            return self.secured.get(timeout=TIMEOUT if timeout is None else timeout)
        except queue.Empty:
            raise AssertionError("no connection reached the peer") from None

    def __exit__(self, *args):
        for connection in self.connections:
            if isinstance(connection.sock, TlsSocket):
                connection.sock = connection.sock.sock  # no goodbye that could wait for a reader
        super().__exit__(*args)

    @property
    def url(self):
        return super().url.replace("tcp:", "tls:")


class UnixPeer(StreamPeer):
    """`path` may begin with '@' for an abstract name."""

    def __init__(self, path, handler=None, **kwargs):
        self.path = str(path)
        super().__init__(handler, **kwargs)

    def listen(self, rcvbuf, sndbuf):
        sock = self.make_socket(socket.AF_UNIX, rcvbuf, sndbuf)
        sock.bind(unix_name(self.path))
        sock.listen(1024)
        return sock

    @property
    def url(self):
        return f"unix://{self.path}"


def unix_name(path):
    return "\0" + path[1:] if path.startswith("@") else path


class DatagramPeer:
    """A datagram service that the test drives; `received` keeps (data, address) of everything."""

    def __init__(self, sock):
        self.sock = sock
        self.sock.settimeout(TIMEOUT)
        self.received = []
        self.thread = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def recv(self):
        """The next datagram, as (data, address)."""
        datagram = self.sock.recvfrom(1 << 17)
        self.received.append(datagram)
        return datagram

    def send(self, data, address):
        self.sock.sendto(data, address)

    def echo(self, count):
        """Sends the next `count` datagrams back to where they came from."""
        for _ in range(count):
            self.send(*self.recv())


class UdpPeer(DatagramPeer):
    def __init__(self, host="127.0.0.1"):
        self.host = host
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.bind((host, 0))
        self.port = sock.getsockname()[1]
        super().__init__(sock)

    @property
    def url(self):
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"udp://{host}:{self.port}"


class UnixDgramPeer(DatagramPeer):
    def __init__(self, path):
        self.path = str(path)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sock.bind(unix_name(self.path))
        super().__init__(sock)

    @property
    def url(self):
        return f"unix-dgram://{self.path}"


class FifoEnd:
    def __init__(self, path, flags):
        self.path = str(path)
        if not os.path.exists(self.path):
            os.mkfifo(self.path)
        self.flags = flags
        self.fd = None

    def __enter__(self):
        self.fd = os.open(self.path, self.flags | os.O_NONBLOCK)
        return self

    def close(self):
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None

    def __exit__(self, *_):
        self.close()


class FifoReader(FifoEnd):
    """Makes the fifo if needed and opens it for reading, which does not wait for a writer."""

    def __init__(self, path):
        super().__init__(path, os.O_RDONLY)
        self.received = bytearray()

    @property
    def url(self):
        return f"fifotx://{self.path}"

    def recv_exactly(self, size):
        start = len(self.received)

        def complete():
            if len(self.received) - start >= size:
                return True
            try:
                self.received += os.read(self.fd, size - (len(self.received) - start))
            except BlockingIOError:
                pass
            return len(self.received) - start >= size

        eventually(complete, f"{size} bytes from {self.path}")
        return bytes(self.received[start:])


class FifoWriter(FifoEnd):
    """Makes the fifo if needed; the writing end is opened by open(), once the daemon reads."""

    def __init__(self, path):
        super().__init__(path, os.O_WRONLY)

    @property
    def url(self):
        return f"fiforx://{self.path}"

    def __enter__(self):
        return self

    def open(self):
        def opened():
            try:
                self.fd = os.open(self.path, self.flags | os.O_NONBLOCK)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                return False
            return True

        eventually(opened, f"a reader of {self.path}")
        os.set_blocking(self.fd, True)

    def send(self, data):
        if self.fd is None:
            self.open()
        view = memoryview(data)
        while view:
            view = view[os.write(self.fd, view):]


class ClosedPort:
    """A TCP port that is taken but refuses connections."""

    def __init__(self, host="127.0.0.1"):
        self.host = host
        self.sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.sock.bind((host, 0))
        self.port = self.sock.getsockname()[1]

    @property
    def url(self):
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp://{host}:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()


class StuckPort:
    """A TCP port whose queue is full: a connection attempt gets no answer at all, as from a host behind
    a firewall that drops packets."""

    def __init__(self, host="127.0.0.1"):
        self.host = host
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sock = socket.socket(family)
        self.sock.bind((host, 0))
        self.sock.listen(0)
        self.port = self.sock.getsockname()[1]
        self.fillers = []

    def __enter__(self):
        while not self.is_full():
            assert len(self.fillers) < 16, "the queue does not fill"
            filler = socket.socket(self.sock.family)
            filler.settimeout(TIMEOUT)
            self.fillers.append(filler)
            filler.connect((self.host, self.port))
        return self

    def is_full(self):
        """For a listening socket the kernel puts the length of its queue, and the limit, into two fields of
        struct tcp_info (tcpi_unacked and tcpi_sacked). It drops a SYN when the length is above the limit."""
        information = self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        length, limit = struct.unpack_from("=II", information, 24)
        return length > limit

    @property
    def url(self):
        return f"tcp://{self.host}:{self.port}"

    def __exit__(self, *_):
        for filler in self.fillers:
            filler.close()
        self.sock.close()


class DnsServer:
    """A name server for the option `resolver` (`daemon = Daemon(f"--resolver={dns.address}", ...)`).

    records     {"name": ["127.0.0.1", "::1"]}; other names do not exist
    silent      names that are never answered; each query is listed in `queries` as (name, type)
    """

    A, AAAA = 1, 28

    def __init__(self, records=None, silent=()):
        self.records = records or {}
        self.silent = set(silent)
        self.queries = []
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.sock.getsockname()[1]}"
        self.stopped = False

    def __enter__(self):
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped = True
        waker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        waker.sendto(b"", self.sock.getsockname())
        waker.close()
        self.thread.join(TIMEOUT)
        self.sock.close()

    def serve(self):
        while not self.stopped:
            query, client = self.sock.recvfrom(4096)
            if len(query) >= 17:
                answer = self.answer(query)
                if answer:
                    self.sock.sendto(answer, client)

    def answer(self, query):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        at += 1
        kind = struct.unpack_from("!H", query, at)[0]
        name = ".".join(labels).lower()
        self.queries.append((name, kind))
        if name in self.silent:
            return None
        family = {self.A: socket.AF_INET, self.AAAA: socket.AF_INET6}.get(kind)
        known = name in self.records
        addresses = [
            socket.inet_pton(family, text) for text in self.records.get(name, ())
            if family and (":" in text) == (family == socket.AF_INET6)]
        flags = 0x8580 if known else 0x8583
        head = query[:2] + struct.pack("!HHHHH", flags, 1, len(addresses), 0, 0)
        records = b"".join(
            b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 1, len(data)) + data for data in addresses)
        return head + query[12:at + 4] + records


# --- the client ---------------------------------------------------------------------------------


def accept_for(key):
    """Sec-WebSocket-Accept for a key, RFC 6455 section 4.2.2."""
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


UPGRADE_HEADERS = (
    ("Host", "localhost"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", KEY),
    ("Sec-WebSocket-Version", "13"),
)


def build_request(path="/", method="GET", version="HTTP/1.1", headers=None, remove=(), extra=(),
                  protocols=None, plain=False, eol="\r\n", raw=None):
    """An upgrade request as bytes.

    headers     {name: value} that replace those of UPGRADE_HEADERS of the same name, or are added;
                the name is written as it is given
    remove      names to leave out
    extra       (name, value) pairs to append, duplicates included
    protocols   value of Sec-WebSocket-Protocol
    plain       no upgrade: only Host, and Connection: close
    raw         bytes to append after the headers, before the empty line
    """
    fields = [UPGRADE_HEADERS[0], ("Connection", "close")] if plain else list(UPGRADE_HEADERS)
    headers = dict(headers or {})
    if protocols is not None:
        headers["Sec-WebSocket-Protocol"] = protocols
    gone = {name.lower() for name in remove}
    lines = []
    for name, value in fields:
        for given in list(headers):
            if given.lower() == name.lower():
                name, value = given, headers.pop(given)
        lines.append((name, value))
    lines += list(headers.items()) + list(extra)
    text = f"{method} {path} {version}{eol}"
    text += "".join(f"{name}: {value}{eol}" for name, value in lines if name.lower() not in gone)
    return text.encode("latin-1") + (raw or b"") + eol.encode()


def apply_mask(payload, key):
    """XORs the payload with the four bytes of `key`."""
    size = len(payload)
    pad = key * (size // 4 + 1)
    number = int.from_bytes(payload, "big") ^ int.from_bytes(pad[:size], "big")
    return number.to_bytes(size, "big")


def frame(opcode, payload=b"", fin=True, rsv=0, mask=True, length_form=None, length=None):
    """A client frame as bytes.

    mask         True: some fixed key; None or False: unmasked; four bytes: that key
    length_form  7, 16 or 64: bits of the length field, minimal or not
    length       the number to write there, if it is not the payload's length
    """
    if isinstance(payload, str):
        payload = payload.encode()
    size = len(payload) if length is None else length
    if length_form is None:
        length_form = 7 if size < 126 else 16 if size < 65536 else 64
    first = (0x80 if fin else 0) | (rsv << 4) | opcode
    masked = 0x80 if mask else 0
    if length_form == 7:
        head = struct.pack("!BB", first, masked | size)
    elif length_form == 16:
        head = struct.pack("!BBH", first, masked | 126, size)
    else:
        head = struct.pack("!BBQ", first, masked | 127, size)
    if not mask:
        return head + payload
    key = b"\x37\xfa\x21\x3d" if mask is True else mask
    return head + key + apply_mask(payload, key)


def close_payload(code, reason=b""):
    if isinstance(reason, str):
        reason = reason.encode()
    return struct.pack("!H", code) + reason


def cut_once(data):
    """Every way to cut `data` in two."""
    return [(data[:at], data[at:]) for at in range(1, len(data))]


def bytewise(data):
    return [data[at:at + 1] for at in range(len(data))]


Frame = collections.namedtuple("Frame", "fin opcode payload")
CloseFrame = collections.namedtuple("CloseFrame", "code reason")


class ConnectionEnded(AssertionError):
    """The server ended the connection where something else was expected. `reset`: by RST."""

    def __init__(self, text, reset=False):
        super().__init__(text)
        self.reset = reset


class HttpResponse:
    """An HTTP answer: version, status, reason, headers (list of pairs), body."""

    def __init__(self, head, body=b""):
        lines = head.decode("latin-1").split("\r\n")
        match = re.fullmatch(r"(HTTP/\d\.\d) (\d{3}) (.*)", lines[0])
        assert match, f"status line {lines[0]!r}"
        self.version, self.status, self.reason = match[1], int(match[2]), match[3]
        self.headers = []
        for line in lines[1:]:
            match = re.fullmatch(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*", line)
            assert match, f"header line {line!r}"
            self.headers.append((match[1], match[2]))
        self.body = body

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name):
        values = self.all(name)
        assert len(values) <= 1, f"{name} occurs {len(values)} times"
        return values[0] if values else None

    def tokens(self, name):
        """The elements of a list header, in lower case."""
        return [part.strip().lower() for value in self.all(name) for part in value.split(",")]

    def __repr__(self):
        return f"<HTTP {self.status} {self.headers} {self.body[:200]!r}>"


class TlsSocket:
    """TLS over a connected socket, as client or server, with the methods of a socket that RawClient uses.

    Python's own wrapper takes TLS off when a direction is shut down and cannot be duplicated for a thread
    that sends. This one is strict in addition: the other side has to say goodbye (close_notify) before it
    ends the stream, and ends it right then; anything else counts as a reset.
    """

    def __init__(self, sock, context, name="localhost", session=None, server=False):
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(
            self.incoming, self.outgoing, server_side=server, server_hostname=None if server else name,
            session=session)
        self.lock = threading.Lock()  # for the session
        self.order = threading.Lock()  # what is encrypted first is sent first
        self.ended = False
        self.duplicate = False  # closing that says no goodbye
        self.until_done(self.tls.do_handshake)

    def __getattr__(self, name):
        return getattr(self.sock, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def dup(self):
        """The same session, but with a timeout of its own."""
        other = object.__new__(TlsSocket)
        other.__dict__.update(self.__dict__, sock=self.sock.dup(), duplicate=True)
        return other

    def flush(self, wait=True):
        if self.outgoing.pending and self.order.acquire(wait):
            try:
                with self.lock:
                    data = self.outgoing.read()
                self.sock.sendall(data)
            finally:
                self.order.release()

    def until_done(self, call):
        """Calls a function of the session until it has the bytes that it needs."""
        while True:
            try:
                with self.lock:
                    result = call()
                self.flush(wait=False)
                return result
            except ssl.SSLWantReadError:
                self.flush(wait=False)
            except ssl.SSLError:
                self.flush(wait=False)  # the alert
                raise
            data = self.sock.recv(1 << 16)
            with self.lock:
                self.incoming.write(data) if data else self.incoming.write_eof()

    def sendall(self, data):
        view = memoryview(data)
        with self.order:
            for at in range(0, len(view), 1 << 18):
                with self.lock:
                    self.tls.write(view[at:at + (1 << 18)])
                    out = self.outgoing.read()
                self.sock.sendall(out)

    def send(self, data):
        self.sendall(data)
        return len(data)

    def recv(self, size):
        if self.ended:
            return b""
        try:
            return self.until_done(lambda: self.tls.read(size))
        except ssl.SSLZeroReturnError:
            self.ended = True
        except ssl.SSLEOFError:
            raise ConnectionResetError(errno.ECONNRESET, "the stream ended without close_notify") from None
        if self.incoming.pending or self.sock.recv(1):
            raise AssertionError("bytes behind close_notify")
        return b""

    def shutdown(self, how):
        """Says goodbye and goes on reading."""
        self.say_goodbye()
        self.sock.shutdown(how)

    def say_goodbye(self):
        try:
            with self.lock:
                self.tls.unwrap()
        except ssl.SSLError:
            pass  # it waits for the other side's
        self.flush()

    def close(self):
        if self.sock.fileno() >= 0:
            try:
                if not self.ended and not self.duplicate:
                    self.sock.settimeout(0)
                    self.say_goodbye()
            except OSError:
                pass  # no room, or nobody there
        self.sock.close()


class RawClient:
    """A blocking client that sends whatever it is told and trusts nothing that it receives.

    `tls`: an ssl.SSLContext; None: plain.
    """

    def __init__(self, address, timeout=None, rcvbuf=None, sock=None, tls=None):
        self.timeout = TIMEOUT if timeout is None else timeout
        self.buffer = bytearray()
        self.eof = False
        self.response = None
        self.daemon = None
        self.in_message = None  # opcode of a fragmented message that the server has begun
        self.skips_pings = False  # for a close frame, where the daemon pings after a short silence
        self.sock = sock or self.connect(address, rcvbuf)
        if self.sock.family != socket.AF_UNIX:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.sock = TlsSocket(self.sock, tls)

    def connect(self, address, rcvbuf):
        if isinstance(address, (str, os.PathLike)):
            sock, address = socket.socket(socket.AF_UNIX), unix_name(str(address))
        else:
            sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        if rcvbuf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        sock.settimeout(self.timeout)
        sock.connect(address)
        return sock

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Closes the socket, without a close frame."""
        self.sock.close()

    def abort(self):
        """Closes the socket with a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def finish(self):
        """Half-closes the socket."""
        self.sock.shutdown(socket.SHUT_WR)

    # sending

    def send_raw(self, data):
        self.sock.settimeout(self.timeout)
        send_all(self.sock, data)

    def send_in_background(self, *pieces):
        """Sends from a thread, for more than the sockets on the way can hold. The caller reads meanwhile."""
        # A socket object of its own: the timeout of receiving must not be that of sending.
        sock = self.sock.dup()
        sock.settimeout(self.timeout)

        def send():
            with sock:
                try:
                    for piece in pieces:
                        send_all(sock, piece)
                except OSError:
                    pass  # the receiving side of the test sees what is missing

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        return thread

    def send_pieces(self, pieces):
        """Sends each piece when the daemon has handled the one before: cuts that the server really sees."""
        for number, piece in enumerate(pieces):
            if number:
                self.daemon.settle()
            self.send_raw(piece)

    def send_frame(self, opcode, payload=b"", **kwargs):
        self.send_raw(frame(opcode, payload, **kwargs))

    def send_text(self, text):
        self.send_frame(TEXT, text)

    def send_binary(self, data):
        self.send_frame(BINARY_OP, data)

    def send_close(self, code=None, reason=b""):
        self.send_frame(CLOSE, b"" if code is None else close_payload(code, reason))

    # receiving

    def fill(self, timeout=None):
        """Receives more bytes into the buffer; `timeout` is the limit of the wait for the first of them."""
        self.sock.settimeout(self.timeout if timeout is None else timeout)
        try:
            data = self.sock.recv(1 << 20)
        except TimeoutError:
            raise AssertionError(
                f"nothing more from the server; so far {bytes(self.buffer[:200])!r}") from None
        except ConnectionResetError:
            raise ConnectionEnded(
                f"reset by the server after {bytes(self.buffer[:200])!r}", reset=True) from None
        if not data:
            self.eof = True
            raise ConnectionEnded(f"end of stream after {bytes(self.buffer[:200])!r}")
        self.buffer += data

    def take(self, size, timeout=None):
        while len(self.buffer) < size:
            self.fill(timeout)
        data = bytes(self.buffer[:size])
        del self.buffer[:size]
        return data

    def recv_http(self, timeout=None, head_only=False):
        """An HTTP answer; a body has to have the length that Content-Length says."""
        while b"\r\n\r\n" not in self.buffer:
            self.fill(timeout)
        end = self.buffer.index(b"\r\n\r\n")
        head = self.take(end + 4, timeout)[:-4]
        response = HttpResponse(head)
        if response.status != 101 and not head_only:
            length = response.header("Content-Length")
            assert length is not None, "no Content-Length"
            response.body = self.take(int(length), timeout)
        return response

    def upgrade(self, path="/", timeout=None, **request):
        """Sends an upgrade request, expects 101 and checks it. Frames that follow stay in the buffer."""
        self.send_raw(build_request(path, **request))
        return self.recv_upgrade(timeout, request.get("headers"))

    def recv_upgrade(self, timeout=None, headers=None):
        key = {k.lower(): v for k, v in (headers or {}).items()}.get("sec-websocket-key", KEY)
        response = self.recv_http(timeout)
        assert response.status == 101, response
        assert response.version == "HTTP/1.1"
        assert response.header("Upgrade").lower() == "websocket"
        assert response.header("Connection").lower() == "upgrade"
        assert response.header("Sec-WebSocket-Accept") == accept_for(key)
        assert response.header("Sec-WebSocket-Extensions") is None
        self.response = response
        return response

    def recv_frame(self, timeout=None):
        """The next frame, checked against RFC 6455 section 5."""
        first, second = self.take(2, timeout)
        fin, opcode, size = bool(first & 0x80), first & 0x0f, second & 0x7f
        assert not first & 0x70, "reserved bits are set"
        assert opcode in (0, 1, 2, 8, 9, 10), f"opcode {opcode}"
        assert not second & 0x80, "the server masks"
        if size == 126:
            size = struct.unpack("!H", self.take(2, timeout))[0]
            assert size > 125, "16-bit length is not minimal"
        elif size == 127:
            size = struct.unpack("!Q", self.take(8, timeout))[0]
            assert 65535 < size < 1 << 63, "64-bit length is not minimal or too large"
        if opcode >= 8:
            assert fin and size <= 125, "control frame is fragmented or too long"
        payload = self.take(size, timeout)
        self.check_order(fin, opcode)
        if opcode == CLOSE:
            self.check_close(payload)
        return Frame(fin, opcode, payload)

    def check_order(self, fin, opcode):
        if opcode >= 8:
            return
        if opcode == CONTINUATION:
            assert self.in_message is not None, "a continuation of nothing"
        else:
            assert self.in_message is None, "a message inside a message"
        self.in_message = None if fin else opcode or self.in_message

    @staticmethod
    def check_close(payload):
        assert len(payload) != 1, "a close frame with one byte"
        if payload:
            code = struct.unpack("!H", payload[:2])[0]
            assert code in (1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)), code
            payload[2:].decode()

    def recv_message(self, timeout=None, control=None):
        """The next data message as (opcode, payload), put together from its fragments; text is valid.

        A ping is answered; control frames are appended to the list `control`, if there is one. A close
        frame in place of the message raises ConnectionEnded.
        """
        kind, parts = None, []
        while True:
            got = self.recv_frame(timeout)
            if got.opcode == CLOSE:
                raise ConnectionEnded(f"close frame in place of a message: {got.payload!r}")
            if got.opcode >= 8:
                if control is not None:
                    control.append(got)
                if got.opcode == PING:
                    self.send_frame(PONG, got.payload)
                continue
            kind = got.opcode or kind
            parts.append(got.payload)
            if got.fin:
                payload = b"".join(parts)
                if kind == TEXT:
                    payload.decode("utf-8")
                return kind, payload

    def recv_bytes(self, size, timeout=None):
        """Payload of data messages until `size` bytes have come; the messages' ends do not matter."""
        data = bytearray()
        while len(data) < size:
            data += self.recv_message(timeout)[1]
        assert len(data) == size, f"{len(data)} bytes instead of {size}"
        return bytes(data)

    def expect_close(self, code=..., reason=None, timeout=None):
        """The next frame is a close frame; `code` None: without a payload; left out: any code."""
        got = self.recv_frame(timeout)
        while self.skips_pings and got.opcode == PING:
            got = self.recv_frame(timeout)
        assert got.opcode == CLOSE, f"{got.opcode} {got.payload[:80]!r} instead of a close frame"
        has = struct.unpack("!H", got.payload[:2])[0] if got.payload else None
        text = got.payload[2:].decode()
        assert code is ... or has == code, f"close code {has} ({text!r}) instead of {code}"
        assert reason is None or text == reason
        return CloseFrame(has, text)

    def expect_eof(self, timeout=None, reset_ok=False):
        """The server ends the stream, without another byte and without a reset."""
        try:
            if not self.buffer:
                self.fill(timeout)
        except ConnectionEnded as error:
            assert reset_ok or not error.reset, "the server reset the connection"
            return
        raise AssertionError(f"more bytes: {bytes(self.buffer[:200])!r}")

    def expect_failed(self, code, timeout=None):
        """The server fails the connection (RFC 6455, 7.1.7) with a close code and ends the stream first."""
        close = self.expect_close(code, timeout=timeout)
        self.expect_eof(timeout)
        return close

    def close_handshake(self, code=1000, reason=b"", timeout=None):
        """Sends a close frame, expects its echo and that the server ends the stream, and closes."""
        self.send_close(code, reason)
        close = self.expect_close(code, timeout=timeout)
        self.expect_eof(timeout)
        self.close()
        return close

    def round_trip(self, token=b"still here"):
        """A ping and its pong: everything sent before has been handled by the server."""
        self.send_frame(PING, token)
        got = self.recv_frame()
        assert got == Frame(True, PONG, token), got
