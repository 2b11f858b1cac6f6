# SPDX-License-Identifier: BSD-2-Clause
"""A blocking WebSocket client that checks every byte the server sends."""
import os
import socket
import struct
import threading

from tools.frames import (
    BINARY_OP, CLOSE, CONTINUATION, PING, PONG, TEXT, CloseFrame, Frame, close_payload, frame,
)
from tools.http import KEY, HttpResponse, accept_for, build_request
from tools.sockets import send_all, unix_name
from tools.tls import TlsSocket
from tools.waiting import TIMEOUT


class ConnectionEnded(AssertionError):
    """The server ended the connection where something else was expected. `reset`: by RST."""

    def __init__(self, text, reset=False):
        super().__init__(text)
        self.reset = reset


class RawClient:
    """A blocking client that sends whatever it is told and trusts nothing that it receives.

    `tls`: an ssl.SSLContext; None: plain. `source`: the address to come from.
    """

    def __init__(self, address, timeout=None, rcvbuf=None, sock=None, tls=None, source=None):
        self.timeout = TIMEOUT if timeout is None else timeout
        self.buffer = bytearray()
        self.eof = False
        self.response = None
        self.daemon = None
        self.in_message = None  # opcode of a fragmented message that the server has begun
        self.skips_pings = False  # for a close frame, where the daemon pings after a short silence
        self.sock = sock or self.connect(address, rcvbuf, source)
        if self.sock.family != socket.AF_UNIX:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self.sock = TlsSocket(self.sock, tls)

    def connect(self, address, rcvbuf, source):
        if isinstance(address, (str, os.PathLike)):
            sock, address = socket.socket(socket.AF_UNIX), unix_name(str(address))
        else:
            sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        if rcvbuf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        if source:
            sock.bind((source, 0))
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

    def messages_until_close(self, code, fragments=True):
        """All messages up to a close frame with `code`, which is answered; then the connection ends."""
        messages = []
        while True:
            got = self.recv_frame()
            if got.opcode == CLOSE:
                assert got.payload[:2] == close_payload(code), got.payload
                self.send_close(code)
                self.expect_eof()
                self.close()
                return messages
            assert got.fin or fragments
            if got.opcode in (TEXT, BINARY_OP):
                messages.append((got.opcode, b""))
            assert got.opcode <= BINARY_OP, "a control frame"
            messages[-1] = (messages[-1][0], messages[-1][1] + got.payload)

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


def status_of(daemon, address=None, source=None, **request):
    """The status of an upgrade request, and the connection."""
    client = daemon.connect(address, source=source)
    client.send_raw(build_request(**request))
    response = client.recv_http()
    return response.status, client


def exchange(client, target, method="GET", version="HTTP/1.1", **headers):
    """One request on a connection that may have had others; the answer, whose end is where the next begins."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    client.send_raw("\r\n".join([f"{method} {target} {version}", "Host: localhost", *lines, "", ""]).encode())
    return receive(client, method)


def receive(client, method="GET"):
    answer = client.recv_http(head_only=True)
    if method != "HEAD" and answer.status != 304:
        answer.body = client.take(int(answer.header("Content-Length")))
    return answer


def chat(client, path="/"):
    """Upgrades, sends a message that an echo peer sends back, and closes."""
    client.upgrade(path)
    client.send_text("hello")
    assert client.recv_message() == (TEXT, b"hello")
    client.close_handshake(1000)
