#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What a message costs the daemon with the framings for both directions, compared with binary.

    WEBSOCKSY=build/gcc/websocksy bench/framings.py [ROUNDS]

Prints for each framing the processor time of the daemon per message of 64 bytes, from the client to the peer and from
the peer to the client. Messages come many at a time, so that system calls count little; with binary, which knows no
messages of a peer, what comes at once is one message, and the figure is for 64 bytes of it. Processor time is counted,
and the framings take turns, so that other processes do not matter much; the best of the rounds counts.
"""
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "e2e"))

from tools.daemon import Daemon  # noqa: E402
from tools.frames import BIN, frame  # noqa: E402
from tools.peers import TcpPeer  # noqa: E402

PAYLOAD = bytes(range(32, 96))
MESSAGES = 20000
AT_ONCE = 500

# A message as the peer sends and receives it, and the length of the header of a frame to the client.
FRAMINGS = {
    "binary": PAYLOAD,
    "typed": struct.pack(">BI", BIN, len(PAYLOAD)) + PAYLOAD,
    "lines": PAYLOAD + b"\n",
    "length": struct.pack(">I", len(PAYLOAD)) + PAYLOAD,
}
FRAME_HEADER = 2


class Bench:
    """A daemon with one connection."""

    def __init__(self, framing):
        self.message = FRAMINGS[framing]
        self.has_frames = framing != "binary"
        self.peer = TcpPeer().__enter__()
        self.daemon = Daemon("-c", f"framing={framing}", peer=self.peer.url).__enter__()
        self.client = self.daemon.open()
        self.connection = self.peer.accept()

    def close(self):
        self.client.close()
        self.daemon.__exit__(None, None, None)
        self.peer.__exit__(None, None, None)

    def to_peer(self):
        data = frame(BIN, PAYLOAD) * AT_ONCE
        before = self.daemon.cpu_ns()
        for _ in range(MESSAGES // AT_ONCE):
            self.client.send_raw(data)
            self.connection.recv_exactly(len(self.message) * AT_ONCE)
        return (self.daemon.cpu_ns() - before) / MESSAGES

    def to_client(self):
        data = self.message * AT_ONCE
        before = self.daemon.cpu_ns()
        for _ in range(MESSAGES // AT_ONCE):
            self.connection.send(data)
            if self.has_frames:
                self.client.take((FRAME_HEADER + len(PAYLOAD)) * AT_ONCE)
            else:
                self.client.recv_bytes(len(data))
        return (self.daemon.cpu_ns() - before) / MESSAGES


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    benches = {name: Bench(name) for name in FRAMINGS}
    best = {name: (float("inf"), float("inf")) for name in FRAMINGS}
    for _ in range(rounds):
        for name, bench in benches.items():
            best[name] = tuple(map(min, best[name], (bench.to_peer(), bench.to_client())))
    for bench in benches.values():
        bench.close()
    print("framing    to the peer           to the client")
    for name, (to_peer, to_client) in best.items():
        ratios = to_peer / best["binary"][0], to_client / best["binary"][1]
        print(f"{name:8} {to_peer:6.1f} ns {ratios[0]:6.2f}    {to_client:8.1f} ns {ratios[1]:6.2f}")


if __name__ == "__main__":
    main()
