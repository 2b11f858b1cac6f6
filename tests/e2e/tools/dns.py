# SPDX-License-Identifier: BSD-2-Clause
"""A small name server that follows a script: answers, errors, delays, silence, truncation.

    dns = run(NameServer({
        "both.test": {"A": ["127.0.0.1"], "AAAA": Answer(["::1"], delay=0.5)},
        "alias.test": {"A": Answer(["127.0.0.1"], alias="real.test")},
        "mute.test": {"A": SILENCE, "AAAA": SILENCE},
    }))
    daemon = run(Daemon(f"--resolver={dns.address}", ...))

A name without an entry does not exist (NXDOMAIN); a type that an entry leaves out has no records. It
listens on UDP and TCP, on one port. `queries` lists what was asked as (name, type, "udp" or "tcp").
"""
import heapq
import itertools
import os
import select
import socket
import struct
import threading
import time

from tools.waiting import TIMEOUT

TYPES = {1: "A", 28: "AAAA"}
NXDOMAIN, SERVFAIL, REFUSED = 3, 2, 5


class Answer:
    """What one question gets.

    addresses   of the records
    rcode       0, NXDOMAIN, SERVFAIL, REFUSED
    delay       seconds before the answer goes out
    truncated   over UDP the answer is cut off to nothing and says so; over TCP it is whole
    alias       the records belong to this name, to which a CNAME record leads
    silent      no answer at all
    after       a threading.Event: the answer goes out when release() has set it
    """

    def __init__(self, addresses=(), rcode=0, delay=0, truncated=False, alias=None, silent=False, after=None):
        self.addresses = list(addresses)
        self.rcode = rcode
        self.delay = delay
        self.truncated = truncated
        self.alias = alias
        self.silent = silent
        self.after = after


SILENCE = Answer(silent=True)


def encode_name(name):
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"


def parse_question(query):
    """The name, the type, and the bytes of the question section."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1"))
        at += 1 + query[at]
    kind = struct.unpack_from("!H", query, at + 1)[0]
    return ".".join(labels).lower(), TYPES.get(kind, str(kind)), query[12:at + 5]


def record(owner, kind, data):
    return owner + struct.pack("!HHIH", kind, 1, 5, len(data)) + data


def build_answer(query, question, kind, answer, cut):
    records = []
    owner = b"\xc0\x0c"
    if not cut and not answer.rcode:
        if answer.alias:
            target = encode_name(answer.alias)
            records.append(record(owner, 5, target))
            owner = target
        family, number = (socket.AF_INET6, 28) if kind == "AAAA" else (socket.AF_INET, 1)
        records += [record(owner, number, socket.inet_pton(family, text))
                    for text in answer.addresses]
    flags = 0x8180 | (0x0200 if cut else 0) | answer.rcode
    return query[:2] + struct.pack("!HHHHH", flags, 1, len(records), 0, 0) + question + b"".join(records)


class NameServer:
    def __init__(self, script=None, host="127.0.0.1", port=0):
        self.script = script or {}
        self.queries = []
        self.streams = {}  # socket: bytes received
        self.due = []  # heap of (time, number, function)
        self.numbers = itertools.count()
        self.held = []  # (event, function)
        self.udp, self.tcp = self.bind(host, port)
        self.port = self.udp.getsockname()[1]
        self.address = f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    @staticmethod
    def bind(host, port):
        """Two sockets with the same number; the kernel chooses it for one of them."""
        family, *_, address = socket.getaddrinfo(host, port, flags=socket.AI_NUMERICHOST)[0]
        for _ in range(50):
            tcp = socket.socket(family, socket.SOCK_STREAM)
            tcp.bind(address)
            udp = socket.socket(family, socket.SOCK_DGRAM)
            try:
                udp.bind(tcp.getsockname())
            except OSError:
                udp.close()
                tcp.close()
                continue
            tcp.listen(64)
            return udp, tcp
        raise AssertionError("no port that is free for both UDP and TCP")

    def __enter__(self):
        self.wake_read, self.wake_write = os.pipe()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        os.write(self.wake_write, b"x")
        self.thread.join(TIMEOUT)
        for sock in [self.udp, self.tcp, *self.streams]:
            sock.close()
        os.close(self.wake_read)
        os.close(self.wake_write)

    def count(self, name=None, kind=None, transport=None):
        """How many questions like this have come."""
        return sum(
            1 for query in list(self.queries)
            if all(want in (None, got) for want, got in zip((name, kind, transport), query)))

    def serve(self):
        while True:
            timeout = max(0, self.due[0][0] - time.monotonic()) if self.due else None
            readable, _, _ = select.select(
                [self.wake_read, self.udp, self.tcp, *self.streams], [], [], timeout)
            for sock in readable:
                if sock != self.wake_read:
                    self.receive(sock)
            if self.wake_read in readable and os.read(self.wake_read, 1) == b"x":
                return
            while self.due and self.due[0][0] <= time.monotonic():
                try:
                    heapq.heappop(self.due)[2]()
                except OSError:
                    pass  # the client has gone
            for event, function in list(self.held):
                if event.is_set():
                    self.held.remove((event, function))
                    function()

    def receive(self, sock):
        try:
            if sock is self.udp:
                query, client = sock.recvfrom(4096)
                self.handle(query, "udp", lambda data: self.udp.sendto(data, client))
            elif sock is self.tcp:
                self.streams[sock.accept()[0]] = b""
            else:
                self.receive_stream(sock)
        except OSError:
            pass  # an answer to a socket that is closed comes back as an error of ours

    def receive_stream(self, sock):
        data = sock.recv(4096)
        if not data:
            del self.streams[sock]
            sock.close()
            return
        data = self.streams[sock] + data
        while len(data) >= 2 and len(data) >= 2 + (size := struct.unpack("!H", data[:2])[0]):
            self.handle(data[2:2 + size], "tcp", lambda answer: sock.sendall(
                struct.pack("!H", len(answer)) + answer))
            data = data[2 + size:]
        self.streams[sock] = data

    def handle(self, query, transport, send):
        if len(query) < 17:
            return
        name, kind, question = parse_question(query)
        self.queries.append((name, kind, transport))
        entry = self.script.get(name)
        answer = Answer(rcode=NXDOMAIN) if entry is None else entry.get(kind, Answer())
        if isinstance(answer, list):
            answer = Answer(answer)
        if answer.silent:
            return
        cut = answer.truncated and transport == "udp"
        data = build_answer(query, question, kind, answer, cut)
        if answer.after and not answer.after.is_set():
            self.held.append((answer.after, lambda: send(data)))
            return
        heapq.heappush(self.due, (
            time.monotonic() + answer.delay, next(self.numbers), lambda: send(data)))

    def release(self, event):
        """Sets the event and gives the answers that have waited for it."""
        waiting = sum(held is event for held, _ in self.held)
        event.set()
        os.write(self.wake_write, b"r")
        deadline = time.monotonic() + TIMEOUT
        while waiting and any(held is event for held, _ in list(self.held)):
            assert time.monotonic() < deadline, "the name server does not run"
            time.sleep(0.001)
