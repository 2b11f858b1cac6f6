#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What noise cannot touch: system calls and instructions of the bridge for each message.

Each workload runs twice, with few and with many messages, under strace and under callgrind; the
difference divided by the difference in messages is the cost of one, starting and stopping left out.
"""
import argparse
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

import contestants
from contestants import Account, Peer, Rawfwd, Websocksy

# name, title, load, messages: few, many
WORKLOADS = (
    ("echo-64", "echo 64 B, 1 connection", ("echo",), 200, 1200),
    ("echo-4k", "echo 4 KiB, 1 connection", ("--size=4096", "echo"), 200, 1200),
    ("echo-busy", "echo 64 B, 64 connections", ("--connections=64", "echo"), 640, 6400),
    ("echo-deep", "echo 64 B, 16 in flight", ("--in-flight=16", "echo"), 1600, 16000),
    ("echo-1m", "echo 1 MiB, 1 connection", ("--size=1048576", "echo"), 4, 24),
    ("up-256", "256 B messages to the peer", ("--size=256", "--segment=262144", "up"),
     4096, 65536),
    ("up-64k", "64 KiB messages to the peer", ("--size=65536", "--segment=1048576", "up"),
     64, 512),
    ("down", "1 MiB from the peer", ("--segment=1048576", "down"), 4, 68),
    ("connect", "connect, one byte, close", ("connect",), 100, 600),
)


class Wrapped:
    """A contestant under a tool that writes its findings to a file when it ends."""

    def __init__(self, kind, options, tool):
        self.contestant = kind(options)
        self.tool = tool
        self.options = options

    def run(self, peer, load, count):
        with tempfile.TemporaryDirectory(prefix="websocksy-bench-") as directory:
            findings = pathlib.Path(directory) / "findings"
            self.contestant.wrapper = self.tool.wrapper(findings)
            self.contestant.start(peer.port, None)
            try:
                self.load(load, count)
            finally:
                self.end()
            return self.tool.read(findings)

    def load(self, load, count):
        command = [self.options.programs / "load", f"--count={count}", *load,
                   f"127.0.0.1:{self.contestant.port}"]
        if self.contestant.raw:
            command.insert(1, "--raw")
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True, timeout=300)

    def end(self):
        """The tool has to see the end of its program, so the program alone is told."""
        process = self.contestant.process
        for pid in contestants.children_of(process.pid)[::-1][:1]:
            os.kill(pid, signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            pass
        self.contestant.stop()


class Strace:
    """System calls by name."""

    title = "system calls"

    @staticmethod
    def wrapper(findings):
        return ("strace", "-f", "-c", "-U", "calls,name", "-o", findings)

    @staticmethod
    def read(findings):
        lines = re.findall(r"^\s*(\d+)\s+(\w+)$", findings.read_text("ascii"), re.MULTILINE)
        return {name: int(calls) for calls, name in lines if name != "total"}


class Callgrind:
    """Instructions in user space."""

    title = "instructions"

    @staticmethod
    def wrapper(findings):
        return ("valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={findings}")

    @staticmethod
    def read(findings):
        found = re.search(r"^(?:summary|totals): (\d+)", findings.read_text("utf-8"), re.MULTILINE)
        return {"instructions": int(found.group(1))}


def per_message(wrapped, peer, workload):
    _, _, load, few, many = workload
    small = wrapped.run(peer, load, few)
    large = wrapped.run(peer, load, many)
    return {name: (large[name] - small.get(name, 0)) / (many - few) for name in large}


def calls_text(costs):
    shown = sorted(((cost, name) for name, cost in costs.items() if abs(cost) >= 0.005),
                   reverse=True)
    return f"{sum(costs.values()):.2f}: " + ", ".join(f"{name} {cost:.2f}" for cost, name in shown)


def number_text(costs):
    return f"{costs['instructions']:,.0f}"


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    bench = contestants.BENCH
    parser.add_argument("--websocksy", type=pathlib.Path, default=bench.parent / "websocksy")
    parser.add_argument("--programs", type=pathlib.Path, default=bench / "bin")
    parser.add_argument("--workload", action="append", help="name of a workload (repeatable)")
    options = parser.parse_args()
    options.node_modules = None
    return options


def main():
    options = parse_options()
    contestants.become_subreaper()
    print(contestants.enter_namespace(), file=sys.stderr)
    peer = Peer(options.programs, None)
    try:
        for tool, text in ((Strace, calls_text), (Callgrind, number_text)):
            if not contestants.find_program(tool.wrapper("")[0]):
                print(f"  note: {tool.wrapper('')[0]} is not installed", file=sys.stderr)
                continue
            print(f"| {tool.title} per message | rawfwd | websocksy |\n|---|---|---|")
            for workload in WORKLOADS:
                if options.workload and workload[0] not in options.workload:
                    continue
                cells = [text(per_message(Wrapped(kind, options, tool), peer, workload))
                         for kind in (Rawfwd, Websocksy)]
                print(f"| {workload[1]} | " + " | ".join(cells) + " |", flush=True)
            print()
    finally:
        peer.close()
        Account.close_all()


if __name__ == "__main__":
    main()
