# SPDX-License-Identifier: BSD-2-Clause
"""The load generator must notice what it is there to notice: loss, corruption, repetition, swapping.

Run with pytest after `make -C bench`. BENCH_BIN names another directory of programs.
"""
import contextlib
import json
import os
import pathlib
import socket
import subprocess
import threading

import pytest

BIN = pathlib.Path(os.environ.get("BENCH_BIN", pathlib.Path(__file__).parent / "bin"))
SAFE = 4096  # bytes that pass untouched: setting up


class Meddler:
    """A forwarder on a port of its own; `meddle(data)` changes what the peer sends, once."""

    def __init__(self, peer_port, meddle):
        self.peer_port = peer_port
        self.meddle = meddle
        self.lock = threading.Lock()
        self.done = False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            peer = socket.create_connection(("127.0.0.1", self.peer_port))
            threading.Thread(target=self.pump, args=(client, peer, False), daemon=True).start()
            threading.Thread(target=self.pump, args=(peer, client, True), daemon=True).start()

    def pump(self, source, sink, meddling):
        passed = 0
        try:
            while data := source.recv(65536):
                passed += len(data)
                with self.lock:
                    if meddling and not self.done and passed > SAFE and len(data) >= 64:
                        self.done = True
                        data = self.meddle(data)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            for end in (source, sink):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)


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
                            text=True, timeout=60, check=False)
    return result.returncode, json.loads(result.stdout.splitlines()[-1])


ECHO = ("--connections=2", "--in-flight=4", "--size=64", "--count=2000", "echo")
DOWN = ("--segment=100000", "--count=20", "down")


@pytest.mark.parametrize("workload", [ECHO, DOWN], ids=["echo", "down"])
def test_an_honest_forwarder_passes(peer, workload):
    status, result = load(Meddler(peer, lambda data: data).port, *workload)
    assert status == 0
    assert result["wrong"] == result["lost"] == result["errors"] == 0
    assert result["messages"] > 0


@pytest.mark.parametrize("meddle", [
    lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    lambda data: data[:8] + data[16:24] + data[8:16] + data[24:],
    lambda data: data[:8] + data,
], ids=["flipped", "swapped", "repeated"])
@pytest.mark.parametrize("workload", [ECHO, DOWN], ids=["echo", "down"])
def test_changed_bytes_are_seen(peer, workload, meddle):
    forwarder = Meddler(peer, meddle)
    status, result = load(forwarder.port, *workload)
    assert forwarder.done
    assert status == 1
    assert result["wrong"] > 0


def test_a_dropped_connection_is_seen(peer):
    def cut(data):
        raise OSError
    status, result = load(Meddler(peer, cut).port, *ECHO, "--connections=1")
    assert status == 1
    assert result["lost"] > 0


@pytest.mark.parametrize("size", [1, 7, 64, 4099, 65536])
def test_up_is_counted_by_the_peer(peer, size):
    status, result = load(peer, f"--size={size}", "--segment=200000", "--count=50", "up")
    assert status == 0
    assert result["bytes"] == result["messages"] * size
    assert result["bytes"] % (-(-200000 // size) * size) == 0
