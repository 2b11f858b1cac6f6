# SPDX-License-Identifier: BSD-2-Clause
"""Peers with real sockets: streams, TLS, datagrams."""
import os
import queue
import select
import socket
import struct
import threading

from tools.sockets import send_all, unix_name
from tools.tls import TlsSocket
from tools.waiting import TIMEOUT


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
                connection.sock = connection.sock.sock  # no close_notify, which could wait for a reader
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


def check_unreachable(daemon, status, body, log):
    """A request gets this status with a line about why, and the log has one, too."""
    answer = daemon.http()
    assert answer.status == status, answer
    assert body in answer.body.decode(), answer
    daemon.wait_log(log)
    return answer
