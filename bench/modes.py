#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Processor time of the daemon for a gigabyte, as it is, with base64, and while it is recorded, at a given rate.

    WEBSOCKSY=./websocksy bench/modes.py [MB_PER_SECOND [SECONDS [FOLDER]]]

One connection, in one direction after the other, at 200 MB/s for three seconds. Recordings are written to FOLDER (a
temporary one in memory, so that the daemon is measured and not a disk), and the last column tells whether they are
complete. The time of the thread that writes is part of the figure.
"""
import os
import sys
import tempfile
import threading
import time
from base64 import b64encode
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/e2e"))

from tools.daemon import Daemon  # noqa: E402
from tools.frames import BIN, TEXT, frame  # noqa: E402
from tools.peers import TcpPeer  # noqa: E402

BLOCK = 48 * 1024
MODES = (
    ("binary", None, ()),
    ("base64", "base64", ("-c", "protocol=base64")),
    *((f"recorded, {form}", None, (f"--record-format={form}",)) for form in ("novnc", "jsonl", "pcapng")),
)


def cpu_seconds(pid):
    """Of all threads, in user space and in the kernel."""
    return sum(int(Path(path, "schedstat").read_text().split()[0])
               for path in Path(f"/proc/{pid}/task").iterdir()) / 1e9


def send_paced(sock, block, size, total, rate):
    """`block` carries `size` bytes."""
    begun, sent = time.monotonic(), 0
    while sent < total:
        sock.sendall(block)
        sent += size
        time.sleep(max(0, begun + sent / rate - time.monotonic()))


def drain(sock, total):
    room = memoryview(bytearray(1 << 20))
    while total > 0:
        got = sock.recv_into(room)
        if not got:
            raise EOFError
        total -= got


def transfer(daemon, client, peer, down, setting):
    """Processor time for a gigabyte."""
    base64, rate, seconds = setting
    total = int(rate * seconds) // BLOCK * BLOCK
    payload = os.urandom(BLOCK)
    text = b64encode(payload) if base64 else payload
    message = frame(TEXT if base64 else BIN, text)
    before = cpu_seconds(daemon.process.pid)
    if down:
        source, sink, block = peer.sock, client.sock, payload
        expected = total // BLOCK * len(text)  # and headers, which are not counted
    else:
        source, sink, block, expected = client.sock, peer.sock, message, total
    sender = threading.Thread(target=send_paced, args=(source, block, BLOCK, total, rate))
    sender.start()
    drain(sink, expected)
    sender.join()
    time.sleep(0.5)  # for the thread that writes
    return (cpu_seconds(daemon.process.pid) - before) / total * 1e9


def measure(mode, rate, seconds, folder):
    name, protocol, options = mode
    recorded = name.startswith("recorded")
    figures = []
    complete = True
    for down in (True, False):
        path = Path(folder, f"{name.split()[-1]}-{down}")
        arguments = [*options, *([f"--record={path}"] if recorded else []), "-c", "framing=binary"]
        with TcpPeer() as peer, Daemon(*arguments, peer=peer.url, tls=False) as daemon:
            client = daemon.open(protocols=protocol)
            figures.append(transfer(daemon, client, peer.accept(), down, (protocol, rate, seconds)))
            client.close()
            complete &= "the recording has ended" not in daemon.log()
        if recorded:
            path.unlink()
    print(f"{name:18}  {figures[0]:.2f}  {figures[1]:.2f}  {'' if complete else 'the recording is incomplete'}",
          flush=True)


def main(rate=200, seconds=3, folder=None):
    print("CPU s/GB            to the client, to the peer")
    with tempfile.TemporaryDirectory(dir=folder or "/dev/shm") as place:
        for mode in MODES:
            measure(mode, float(rate) * 1e6, float(seconds), place)


if __name__ == "__main__":
    main(*sys.argv[1:])
