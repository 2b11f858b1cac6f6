# SPDX-License-Identifier: BSD-2-Clause
"""TLS over sockets of the tests, strict about the end of the stream."""
import errno
import ssl
import threading


class TlsSocket:
    """TLS over a connected socket, as client or server, with the methods of a socket that RawClient uses.

    Python's own wrapper takes TLS off when a direction is shut down and cannot be duplicated for a thread
    that sends. This one is strict in addition: the other side has to send close_notify before it
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
        self.duplicate = False  # closing without close_notify
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
        """Sends close_notify and goes on reading."""
        self.send_close_notify()
        self.sock.shutdown(how)

    def send_close_notify(self):
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
                    self.send_close_notify()
            except OSError:
                pass  # no room, or no connection
        self.sock.close()


def open_tls(daemon, context, name="localhost", session=None):
    """A connected client with TLS and nothing sent yet; closed with the daemon."""
    client = daemon.connect(tls=None)
    client.sock = TlsSocket(client.sock, context, name, session)
    return client
