# SPDX-License-Identifier: BSD-2-Clause
"""Clients that other people wrote: websockets and websocket-client for Python, ws for Node.

Each is driven through the same small interface, so that every case runs with each of them. With WEBSOCKSY_TLS=1
they speak wss and verify the certificate.
"""
import asyncio
import base64
import json
import os
import queue
import random
import shutil
import struct
import subprocess
import threading
from pathlib import Path

import pytest
import websocket
import websockets

from tools import tls_files
from tools.daemon import TLS, Daemon
from tools.peers import TcpPeer, echo, source
from tools.waiting import TIMEOUT

HERE = Path(__file__).resolve().parent


class Websockets:
    """python3-websockets, which is asynchronous: a loop runs for each call."""

    def __init__(self, url, protocols=None):
        self.loop = asyncio.new_event_loop()
        self.socket = self.run(
            websockets.connect, url, subprotocols=protocols, max_size=None, open_timeout=TIMEOUT,
            close_timeout=TIMEOUT, ssl=tls_files.client_context(tls_files.shared()[0]) if TLS else None)
        self.protocol = self.socket.subprotocol

    def run(self, function, *args, **kwargs):
        """Calls the function within the loop, to which it may bind itself, and awaits its result."""

        async def call():
            return await function(*args, **kwargs)

        return self.loop.run_until_complete(asyncio.wait_for(call(), TIMEOUT))

    def send(self, data, parts=None):
        self.run(self.socket.send, parts or data)

    def recv(self):
        return self.run(self.socket.recv)

    def ping(self, data):
        async def there_and_back():
            await (await self.socket.ping(data))

        self.run(there_and_back)

    def close(self, code, reason=""):
        self.run(self.socket.close, code, reason)
        return self.socket.close_code

    def wait_close(self):
        self.run(self.socket.wait_closed)
        return self.socket.close_code

    def end(self):
        self.socket.transport.abort()
        self.run(self.socket.wait_closed)  # its tasks have to end before their loop
        self.loop.close()


class WebsocketClient:
    """python3-websocket, which blocks."""

    def __init__(self, url, protocols=None):
        self.socket = websocket.create_connection(
            url, timeout=TIMEOUT, subprotocols=protocols,
            sslopt={"ca_certs": str(tls_files.shared()[0].cert)} if TLS else None)
        self.protocol = self.socket.getsubprotocol()

    def send(self, data, parts=None):
        kind = websocket.ABNF.OPCODE_TEXT if isinstance(data, str) else websocket.ABNF.OPCODE_BINARY
        parts = parts or [data]
        for number, part in enumerate(parts):
            part = part.encode() if isinstance(part, str) else part
            self.socket.send_frame(websocket.ABNF.create_frame(
                part, websocket.ABNF.OPCODE_CONT if number else kind, int(number == len(parts) - 1)))

    def recv(self):
        return self.socket.recv()

    def ping(self, data):
        self.socket.ping(data)
        opcode, answer = self.socket.recv_data_frame(control_frame=True)
        assert (opcode, answer.data) == (websocket.ABNF.OPCODE_PONG, data)

    def close(self, code, reason=""):
        self.socket.send_close(code, reason.encode())
        return self.wait_close()

    def wait_close(self):
        opcode, answer = self.socket.recv_data_frame()
        assert opcode == websocket.ABNF.OPCODE_CLOSE
        self.socket.shutdown()
        return struct.unpack("!H", answer.data[:2])[0]

    def end(self):
        self.socket.shutdown()


class NodeProcess:
    """One process of Node for all clients, see ws_client.js."""

    def __enter__(self):
        self.process = subprocess.Popen(
            [shutil.which("node"), str(HERE / "ws_client.js")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self.environment())
        self.events = []  # one queue for each client
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.thread.join()
        self.process.communicate()

    @staticmethod
    def environment():
        # Where Debian's node-ws is; other places may be given as usual.
        places = filter(None, (os.environ.get("NODE_PATH"), "/usr/share/nodejs"))
        env = dict(os.environ, NODE_PATH=os.pathsep.join(places))
        if TLS:
            env["NODE_EXTRA_CA_CERTS"] = str(tls_files.shared()[0].cert)
        return env

    def read(self):
        for line in self.process.stdout:
            event = json.loads(line)
            self.events[event["client"]].put(event)
        for events in self.events:  # for a client that waits
            events.put({"event": "the end of the process"})

    def add(self):
        self.events.append(queue.Queue())
        return len(self.events) - 1

    def tell(self, **command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()


class NodeWs:
    """Node's ws."""

    def __init__(self, url, protocols=None, *, node):
        self.node = node
        self.number = node.add()
        self.tell("open", url=url, protocols=protocols or [])
        self.protocol = self.wait("open")["protocol"] or None

    def wait(self, name):
        event = self.node.events[self.number].get(timeout=TIMEOUT)
        assert event["event"] == name, event
        return event

    def tell(self, command, **parameters):
        self.node.tell(client=self.number, command=command, **parameters)

    def send(self, data, parts=None):
        raw = [part.encode() if isinstance(part, str) else part for part in parts or [data]]
        self.tell("send", binary=not isinstance(data, str),
                  parts=[base64.b64encode(part).decode() for part in raw])

    def recv(self):
        event = self.wait("message")
        data = base64.b64decode(event["data"])
        return data if event["binary"] else data.decode()

    def ping(self, data):
        self.tell("ping", data=base64.b64encode(data).decode())
        assert base64.b64decode(self.wait("pong")["data"]) == data

    def close(self, code, reason=""):
        self.tell("close", code=code, reason=reason)
        return self.wait_close()

    def wait_close(self):
        return self.wait("close")["code"]

    def end(self):
        self.tell("end")


@pytest.fixture(scope="module")
def node(run_module):
    return run_module(NodeProcess())


@pytest.fixture(params=(Websockets, WebsocketClient, NodeWs))
def connect(request):
    """A function that connects the library under test."""
    clients = []
    more = {"node": request.getfixturevalue("node")} if request.param is NodeWs else {}

    def connect_client(*args, **kwargs):
        clients.append(request.param(*args, **kwargs, **more))
        return clients[-1]

    yield connect_client
    for client in clients:
        client.end()


@pytest.fixture(scope="module")
def tcp_echo_daemon(run_module):
    peer = run_module(TcpPeer(echo))
    return run_module(Daemon(peer=peer.url))


def test_connects_and_closes(connect, echo_daemon):
    client = connect(echo_daemon.url())
    assert client.protocol is None
    assert client.close(1000) == 1000


@pytest.mark.parametrize("text", ("hello", "", "κόσμε 😀", "x" * 126, "x" * 65536),
                         ids=("short", "empty", "all-lengths", "126", "65536"))
def test_text(connect, echo_daemon, text):
    client = connect(echo_daemon.url())
    client.send(text)
    assert client.recv() == text


@pytest.mark.parametrize("size", (0, 1, 125, 126, 65535, 65536))
def test_binary(connect, echo_daemon, size):
    client = connect(echo_daemon.url())
    data = random.Random(size).randbytes(size)
    client.send(data)
    assert client.recv() == data


def test_fragmented_text(connect, echo_daemon):
    client = connect(echo_daemon.url())
    client.send("x", parts=["one ", "", "two ", "three €"])
    assert client.recv() == "one two three €"


def test_fragmented_binary(connect, echo_daemon):
    client = connect(echo_daemon.url())
    client.send(b"x", parts=[b"\xff", b"\x00" * 70000, b"\xfe"])
    assert client.recv() == b"\xff" + b"\x00" * 70000 + b"\xfe"


def test_many_messages(connect, echo_daemon):
    client = connect(echo_daemon.url())
    for number in range(200):
        client.send(f"message {number}" if number % 2 else b"message %d" % number)
    for number in range(200):
        assert client.recv() == (f"message {number}" if number % 2 else b"message %d" % number)


def test_a_mebibyte(connect, echo_daemon):
    client = connect(echo_daemon.url())
    data = random.Random(1).randbytes(1 << 20)
    client.send(data)
    assert client.recv() == data


def test_a_mebibyte_through_a_tcp_peer(connect, tcp_echo_daemon):
    """A stream has no messages: what comes back is cut as the reads cut it."""
    client = connect(tcp_echo_daemon.url())
    data = random.Random(2).randbytes(1 << 20)
    client.send(data)
    got = b""
    while len(got) < len(data):
        part = client.recv()
        got += part.encode() if isinstance(part, str) else part
    assert got == data


def test_text_through_a_tcp_peer(connect, tcp_echo_daemon):
    client = connect(tcp_echo_daemon.url())
    client.send("there and back")
    assert client.recv() == "there and back"


@pytest.mark.parametrize("data", (b"", b"are you there", bytes(range(125))), ids=("empty", "text", "full"))
def test_ping(connect, echo_daemon, data):
    client = connect(echo_daemon.url())
    client.ping(data)
    client.send("still open")
    assert client.recv() == "still open"


@pytest.mark.parametrize("code", (1000, 1001, 3000, 4999))
def test_close_with_a_code(connect, echo_daemon, code):
    client = connect(echo_daemon.url())
    assert client.close(code, "because") == code


@pytest.mark.parametrize("offer, chosen", ((["chat"], "chat"), (["b", "a"], "b")), ids=("one", "two"))
def test_subprotocol(connect, echo_daemon, offer, chosen):
    client = connect(echo_daemon.url(), protocols=offer)
    assert client.protocol == chosen


def test_server_closes(connect, run):
    peer = run(TcpPeer(source(b"all there is")))
    client = connect(run(Daemon(peer=peer.url)).url())
    got = client.recv()
    assert got in ("all there is", b"all there is")
    assert client.wait_close() == 1000


def test_server_goes_away(connect, run):
    daemon = run(Daemon(peer="echo://"))
    client = connect(daemon.url())
    client.send("before")
    assert client.recv() == "before"
    stopper = threading.Thread(target=daemon.stop)
    stopper.start()
    assert client.wait_close() == 1001
    stopper.join()
