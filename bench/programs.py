#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Time to start a program for a client (exec://true), alone and next to many idle connections.

    WEBSOCKSY=./websocksy bench/programs.py [CONNECTIONS]

Each start is a connection: TCP, upgrade, start, exit, close frame. With fork(2), which copies the tables of the memory
of the daemon, the time would grow with the connections.
"""
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/e2e"))

from tools.daemon import Daemon  # noqa: E402
from tools.http import build_request  # noqa: E402

STARTS = 300


def start_once(daemon):
    begun = time.perf_counter()
    with daemon.connect() as client:
        client.upgrade("/program")
        client.recv_frame()
    daemon.clients.clear()
    return time.perf_counter() - begun


def report(daemon, idle):
    times = sorted(start_once(daemon) for _ in range(STARTS))
    print(f"{idle:6d} idle connections, {daemon.rss() >> 10:6d} KiB: shortest {times[0] * 1000:.2f} ms, "
          f"median {statistics.median(times) * 1000:.2f} ms, "
          f"99 % {times[STARTS * 99 // 100] * 1000:.2f} ms")


def main(count):
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory() as routes:
        Path(routes, "program").write_text("exec://true *\n")
        Path(routes, "idle").write_text("echo:// *\n")
        with Daemon("--exec=yes", f"--max-clients={count + 100}", "-b", "file", "-c", f"path={routes}",
                    "-c", "expression=%endpoint%") as daemon:
            report(daemon, 0)
            idle = []
            for _ in range(count):
                client = daemon.connect()
                client.send_raw(build_request("/idle"))
                client.recv_upgrade()
                idle.append(client)
            daemon.clients.clear()
            report(daemon, count)
            for client in idle:
                client.close()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9000)
