#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Memory of the supervisor and of each worker, and how connections are distributed.

    workers.py [--websocksy PATH] [--workers 2,4,8] [--connections 1000] [--rounds 5]

Neither depends on the load of the machine: memory is the proportional set size (a page that several processes share
counts in parts) and what a process has for itself alone; the distribution is the number of sockets of each worker.
"""
import argparse
import os
import re
import resource
import signal
import socket
import statistics
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REQUEST = (b"GET / HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def start(binary, workers):
    process = subprocess.Popen(
        [binary, "-p", "0", "-l", "127.0.0.1", "-c", "host=echo://", f"--workers={workers}", "--ping=0"],
        stderr=subprocess.PIPE, text=True)
    port, ready = None, 0
    while port is None or ready < workers:
        line = process.stderr.readline()
        found = re.search(r"listening on \S+:(\d+)", line)
        port = int(found.group(1)) if found else port
        ready += "is ready" in line or (workers == 1 and "peers: " in line)
    time.sleep(0.2)  # the start of the last one ends
    return process, port


def memory(pid):
    """kB: proportional, private"""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    kb = {key: int(value) for key, value in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE)}
    return kb["Pss"], kb["Private_Clean"] + kb["Private_Dirty"]


def sockets(pid):
    return sum(os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket") for fd in os.listdir(f"/proc/{pid}/fd"))


def connect(port):
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(REQUEST)
    head = b""
    while b"\r\n\r\n" not in head:
        head += client.recv(4096)
    assert head.startswith(b"HTTP/1.1 101 "), head
    return client


def spread(binary, workers, connections):
    """How many connections each worker has."""
    process, port = start(binary, workers)
    pids = children(process.pid) or [process.pid]
    before = [sockets(pid) for pid in pids]
    clients = [connect(port) for _ in range(connections)]
    counts = [sockets(pid) - idle for pid, idle in zip(pids, before)]
    for client in clients:
        client.close()
    process.send_signal(signal.SIGTERM)
    process.wait()
    return counts


def show_memory(binary, numbers):
    print("| workers | supervisor, Pss / private | each worker, Pss / private | all, Pss |")
    print("|---|---|---|---|")
    for workers in (1, *numbers):
        process, _ = start(binary, workers)
        own = memory(process.pid)
        each = [memory(pid) for pid in children(process.pid)]
        total = own[0] + sum(pss for pss, _ in each)
        one = [statistics.median(values) for values in zip(*each)] if each else None
        supervisor = f"{own[0]} / {own[1]} kB" if each else "–"
        worker = f"{one[0]:.0f} / {one[1]:.0f} kB" if each else f"{own[0]} / {own[1]} kB"
        print(f"| {workers} | {supervisor} | {worker} | {total} kB |")
        process.send_signal(signal.SIGTERM)
        process.wait()


def show_spread(binary, numbers, connections, rounds):
    print(f"\n| workers | max/min at {connections:,} connections, {rounds} rounds |")
    print("|---|---|")
    for workers in numbers:
        ratios = []
        for _ in range(rounds):
            counts = spread(binary, workers, connections)
            assert sum(counts) == connections, counts
            ratios.append(max(counts) / max(min(counts), 1))
        print(f"| {workers} | {' '.join(f'{ratio:.2f}' for ratio in sorted(ratios))} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--websocksy", default=str(ROOT / "websocksy"))
    parser.add_argument("--workers", default="2,4,8")
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    numbers = [int(number) for number in args.workers.split(",")]
    show_memory(args.websocksy, numbers)
    show_spread(args.websocksy, numbers, args.connections, args.rounds)


if __name__ == "__main__":
    main()
