#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What a lookup through the backends redis and http costs the daemon.

    WEBSOCKSY=build/gcc/websocksy bench/lookups.py [CLIENTS]

Prints for each backend the processor time of the daemon per client that is looked up and refused, from accept() to
close(), and how many of them one core can do in a second; then the memory of a client that waits for a reply, above
that of one whose request is not complete yet. Processor time is counted, not elapsed time, so that other processes and
the servers, which run beside it, do not matter much.
"""
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "e2e"))

from tools import tls_files  # noqa: E402
from tools.daemon import Daemon  # noqa: E402
from tools.http import build_request  # noqa: E402
from tools.lookups import HttpServer, Redis  # noqa: E402
from tools.peers import TcpPeer  # noqa: E402

BATCH = 50
REQUEST = build_request("/?token=unknown")


def processor_time(daemon, clients):
    """Nanoseconds for each of the clients, which come BATCH at a time."""
    before = daemon.cpu_ns()
    for _ in range(clients // BATCH):
        batch = [daemon.connect() for _ in range(BATCH)]
        for client in batch:
            client.send_raw(REQUEST)
        for client in batch:
            assert client.recv_http(head_only=True).status == 404
        daemon.close_clients()
    return (daemon.cpu_ns() - before) / (clients // BATCH * BATCH)


def memory(daemon, clients):
    """Bytes for each client that waits, in addition to one that has sent a part of its request."""
    warm = [daemon.connect() for _ in range(clients)]
    for client in warm:
        client.send_raw(REQUEST[:-2])
    daemon.settle()
    before = daemon.rss()
    for client in warm:
        client.send_raw(REQUEST[-2:])
    daemon.settle()
    return (daemon.rss() - before) / clients


def report(name, options, silent, clients):
    with Daemon("-b", name, *options) as daemon:
        processor_time(daemon, clients // 4)
        spent = processor_time(daemon, clients)
    with Daemon("-b", name, *silent) as daemon:
        bytes_each = memory(daemon, 2000)
    print(f"{name:8} {spent / 1000:8.1f} us {1e9 / spent:10.0f} /s {bytes_each:8.0f} bytes")


def main():
    clients = int(sys.argv[1]) if len(sys.argv) > 1 else 10000
    with tempfile.TemporaryDirectory() as folder:
        pair = tls_files.Authority(folder).issue("localhost")
        with Redis(Path(folder), pair) as redis, HttpServer() as server, TcpPeer() as silent:
            print("backend   processor    one core    memory of a waiting client")
            report("redis", ("-c", f"server=unix:{redis.socket}", "-c", f"password={redis.PASSWORD}"),
                   ("-c", f"server=127.0.0.1:{silent.port}", "-c", "timeout=1h"), clients)
            report("http", ("-c", f"url=http://127.0.0.1:{server.port}/%s"),
                   ("-c", f"url=http://127.0.0.1:{silent.port}/%s", "-c", "connections=2000", "-c", "timeout=1h"),
                   clients)


if __name__ == "__main__":
    main()
