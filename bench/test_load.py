# SPDX-License-Identifier: BSD-2-Clause
"""The load generator must notice what it is there to notice: loss, corruption, repetition, swapping.

Run with pytest after `make -C bench`. BENCH_BIN names another directory of programs.
"""
import asyncio
import json
import os
import pathlib
import socket
import ssl
import subprocess
import threading

import pytest

from contestants import Certificates

BIN = pathlib.Path(os.environ.get("BENCH_BIN", pathlib.Path(__file__).parent / "bin"))
SAFE = 4096  # bytes that pass untouched: setting up


class Meddler:
    """A forwarder on a port of its own, with TLS towards the client if it has a context for it;
    `meddle(data)` changes what the peer sends, once."""

    def __init__(self, peer_port, meddle, tls=None):
        self.peer_port = peer_port
        self.meddle = meddle
        self.tls = tls
        self.done = False
        self.port = None
        listening = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self.serve(listening)), daemon=True).start()
        assert listening.wait(120)

    async def serve(self, listening):
        server = await asyncio.start_server(self.accept, "127.0.0.1", ssl=self.tls)
        self.port = server.sockets[0].getsockname()[1]
        listening.set()
        await server.serve_forever()

    async def accept(self, reader, writer):
        peer_reader, peer_writer = await asyncio.open_connection("127.0.0.1", self.peer_port)
        await asyncio.gather(self.pump(reader, peer_writer, False), self.pump(peer_reader, writer, True))

    async def pump(self, source, sink, meddling):
        passed = 0
        try:
            while data := await source.read(65536):
                passed += len(data)
                if meddling and not self.done and passed > SAFE and len(data) >= 64:
                    self.done = True
                    data = self.meddle(data)
                sink.write(data)
                await sink.drain()
            # TLS as asyncio has it ends in both directions at once, so that is for the peer's end only.
            sink.write_eof() if sink.can_write_eof() else sink.close()
        except OSError:
            sink.transport.abort()


@pytest.fixture(scope="module")
def tls():
    certificates = Certificates()
    if certificates.missing:
        pytest.skip(certificates.missing)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    for cert, key in certificates.pairs:
        context.load_cert_chain(cert, key)
    yield context
    certificates.close()


@pytest.fixture
def peer():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = subprocess.Popen([BIN / "peer", str(port)])
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except ConnectionRefusedError:
            assert process.poll() is None
    yield port
    process.terminate()
    process.wait()


def load(port, *options):
    result = subprocess.run([BIN / "load", "--raw", *options, str(port)], capture_output=True,
                            text=True, timeout=600, check=False)
    return result.returncode, json.loads(result.stdout.splitlines()[-1])


ECHO = ("--connections=2", "--in-flight=4", "--size=64", "--count=2000", "echo")
DOWN = ("--segment=100000", "--count=20", "down")
each_workload = pytest.mark.parametrize("workload", [ECHO, DOWN], ids=["echo", "down"])
each_wire = pytest.mark.parametrize("wire", ["plain", "tls"])


@pytest.fixture
def forward(peer, request):
    """A function that starts a forwarder; with what the load generator needs for it."""
    def start(meddle, wire):
        if wire == "plain":
            return Meddler(peer, meddle), ()
        return Meddler(peer, meddle, request.getfixturevalue("tls")), ("--tls",)
    return start


def unchanged(data):
    return data


@each_wire
@each_workload
def test_an_honest_forwarder_passes(forward, workload, wire):
    forwarder, options = forward(unchanged, wire)
    status, result = load(forwarder.port, *options, *workload)
    assert status == 0
    assert result["wrong"] == result["lost"] == result["errors"] == 0
    assert result["messages"] > 0


@pytest.mark.parametrize("meddle", [
    lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    lambda data: data[:8] + data[16:24] + data[8:16] + data[24:],
    lambda data: data[:8] + data,
], ids=["flipped", "swapped", "repeated"])
@each_wire
@each_workload
def test_changed_bytes_are_seen(forward, workload, meddle, wire):
    forwarder, options = forward(meddle, wire)
    status, result = load(forwarder.port, *options, *workload)
    assert forwarder.done
    assert status == 1
    assert result["wrong"] > 0


@each_wire
def test_a_dropped_connection_is_seen(forward, wire):
    def cut(data):
        raise OSError
    forwarder, options = forward(cut, wire)
    status, result = load(forwarder.port, *options, *ECHO, "--connections=1")
    assert status == 1
    assert result["lost"] > 0


@pytest.mark.parametrize("size", [1, 7, 64, 4099, 65536])
@each_wire
def test_up_is_counted_by_the_peer(forward, size, wire):
    forwarder, options = forward(unchanged, wire)
    status, result = load(
        forwarder.port, *options, f"--size={size}", "--segment=200000", "--count=50", "up")
    assert status == 0
    assert result["bytes"] == result["messages"] * size
    assert result["bytes"] % (-(-200000 // size) * size) == 0


@pytest.mark.parametrize("cipher", ["TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"])
@pytest.mark.parametrize("key", [(), ("--rsa",)], ids=["ecdsa", "rsa"])
def test_cipher_and_key_are_what_was_asked_for(peer, tls, cipher, key):
    """Every connection of this run has a handshake of its own."""
    forwarder = Meddler(peer, unchanged, tls)
    before = tls.session_stats()
    status, result = load(forwarder.port, "--tls", f"--cipher={cipher}", *key, "--connections=3",
                          "--count=20", "connect")
    after = tls.session_stats()
    assert status == 0
    assert result["messages"] == 20
    assert result["tls"] == f"TLSv1.3 {cipher}"
    assert after["accept_good"] - before["accept_good"] == 20
    assert after["hits"] == before["hits"]


@pytest.mark.usefixtures("tls")  # skips where there are no certificates
def test_a_server_without_the_key_is_refused(peer):
    """With --rsa nothing else is taken, or the figures would be those of another key."""
    certificates = Certificates()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificates.pairs[0])
    certificates.close()
    status, result = load(Meddler(peer, unchanged, context).port, "--tls", "--rsa", "--count=1", "connect")
    assert status == 1
    assert result["messages"] == 0


def test_a_plain_server_is_no_tls(peer):
    status, result = load(Meddler(peer, unchanged).port, "--tls", "--count=1", "connect")
    assert status == 1
    assert result["first_error"].startswith("TLS handshake")
