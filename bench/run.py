#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Compares websocksy with a plain TCP forwarder and with the bridges people use.

Every figure is CPU (or memory) of the bridge, children included, for the same bytes. Rounds are
interleaved: each round measures every contestant once, so that a change of the machine's mood meets
all of them. `--short` takes less than two minutes; without it five rounds of two seconds each are
measured, which takes about a quarter of an hour. See docs/performance.md.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

import chart
import contestants
from contestants import (
    Account, Certificates, HaproxyTls, Peer, Rawfwd, RawfwdSplice, Websocksy, WebsocksyTls)

GB = 1e9


class Workload:
    """What the load does, and what its cost is divided by."""

    def __init__(self, name, title, unit, *load, forks=True, tls=False):
        self.name = name
        self.title = title
        self.unit = unit  # of the figure in the table
        self.load = load
        self.forks = forks  # bearable for a process per connection in the short version
        self.tls = tls

    def cost(self, cpu, result):
        if self.unit == "µs/msg":
            return cpu * 1e6 / max(1, result["messages"])
        return cpu * GB / max(1, result["bytes"])


CPU_WORKLOADS = (
    Workload("echo-64", "echo 64 B, 64 connections", "µs/msg", "--connections=64", "echo"),
    Workload("echo-512", "echo 64 B, 512 connections", "µs/msg", "--connections=512", "echo",
             forks=False),
    Workload("echo-deep", "echo 64 B, 64 connections, 16 in flight", "µs/msg",
             "--connections=64", "--in-flight=16", "echo"),
    Workload("echo-4k", "echo 4 KiB, 64 connections", "µs/msg",
             "--connections=64", "--size=4096", "echo"),
    Workload("echo-1m", "echo 1 MiB, 4 connections", "CPU s/GB",
             "--connections=4", "--size=1048576", "echo"),
    Workload("down", "peer to client, 1 connection", "CPU s/GB", "--segment=4194304", "down"),
    Workload("up-64k", "client to peer, 64 KiB messages", "CPU s/GB",
             "--size=65536", "--segment=4194304", "up"),
    Workload("up-256", "client to peer, 256 B messages, 16 connections", "CPU s/GB",
             "--connections=16", "--size=256", "--segment=65536", "up"),
    Workload("connect", "connect, handshake, one byte, close", "µs/msg",
             "--connections=16", "connect"),
)
TLS_WORKLOADS = (
    Workload("tls-echo-64", "echo 64 B, 64 connections", "µs/msg", "--connections=64", "echo",
             tls=True),
    Workload("tls-down", "peer to client, 1 connection", "CPU s/GB", "--segment=4194304", "down",
             tls=True),
    Workload("tls-up", "client to peer, 64 KiB messages", "CPU s/GB",
             "--size=65536", "--segment=4194304", "up", tls=True),
    Workload("tls-connect", "full handshake (P-256), one byte, close", "µs/msg",
             "--connections=16", "connect", tls=True),
    Workload("tls-connect-rsa", "full handshake (RSA 2048), one byte, close", "µs/msg",
             "--connections=16", "--rsa", "connect", tls=True),
)
TLS_IDLE = Workload("tls-idle", "memory per idle connection", "B", "idle", tls=True)
IDLE = Workload("idle", "memory per idle connection", "B", "idle")
SLOW = Workload("slow", "growth with a client that never reads", "MB", "slow")
BESIDE = Workload("beside", "echo 64 B, 64 connections, beside idle ones", "µs/msg",
                  "--connections=64", "echo")
MEMORY_WORKLOADS = (IDLE, SLOW, TLS_IDLE)


class Load:
    """One run of the load generator, held at READY and after its result."""

    def __init__(self, options, contestant, *arguments):
        command = [options.programs / "load", "--wait", *arguments, str(contestant.port)]
        if contestant.raw:
            command.insert(1, "--raw")
        if contestant.tls:
            command[1:1] = ["--tls", f"--cipher={options.cipher}"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, preexec_fn=contestants.prepare(options.cores[0]))
        if self.line() != "READY":
            raise RuntimeError("the load generator gave up")

    def line(self):
        return self.process.stdout.readline().strip()

    def word(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def result(self):
        self.word()
        return json.loads(self.line())

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def complaint(result):
    """What went wrong in a run; None: nothing."""
    for key in ("errors", "lost", "wrong"):
        if result[key]:
            return f"{result[key]} {key}: {result['first_error'] or 'see the load generator'}"
    return None


class Bench:
    def __init__(self, options):
        self.options = options
        self.peer = Peer(options.programs, options.cores[0])
        options.certificates = Certificates()
        self.contestants = []
        self.notices = []
        self.figures = {}  # (workload, contestant) -> list of dicts
        for kind in contestants.ALL:
            if not options.only or kind.name in options.only:
                self.admit(kind)
        for text in options.variant:
            for kind in contestants.variants(text):
                self.admit(kind)

    def notice(self, text):
        print(f"  note: {text}", file=sys.stderr)
        self.notices.append(text)

    def admit(self, kind):
        contestant = kind(self.options)
        missing = contestant.missing()
        if missing:
            self.notice(f"{kind.name} is skipped: {missing}")
        else:
            self.contestants.append(contestant)

    def takes(self, contestant, workload):
        if contestant.tls != workload.tls:
            return False
        if contestant.only and workload.name not in contestant.only:
            return False
        return not (contestant.forks and self.options.short and not workload.forks)

    def record(self, workload, contestant, figure):
        self.figures.setdefault((workload.name, contestant.name), []).append(figure)

    def failed(self, workload, contestant, why):
        self.notice(f"{contestant.name}, {workload.title}: {why}")
        self.record(workload, contestant, {"failed": str(why)})

    def measure_cpu(self, workload, contestant):
        duration = f"--duration={self.options.duration}"
        load = Load(self.options, contestant, duration, *workload.load)
        try:
            before = contestant.account.cpu_seconds()
            result = load.result()
            cpu = contestant.account.cpu_seconds() - before
        finally:
            load.close()
        wrong = complaint(result)
        if wrong:
            self.failed(workload, contestant, wrong)
            return
        self.record(workload, contestant, {"cost": workload.cost(cpu, result), **result})

    def attempt(self, measure, workload, contestant):
        try:
            measure(workload, contestant)
        except (RuntimeError, OSError, ValueError) as error:
            self.failed(workload, contestant, error)

    def start(self, contestant):
        contestant.start(self.peer.port, self.options.cores[1])

    def run_cpu(self, workloads):
        for contestant in list(self.contestants):
            try:
                self.start(contestant)
            except RuntimeError as error:
                self.notice(f"{contestant.name} is skipped: {error}")
                self.contestants.remove(contestant)
        for workload in workloads:
            print(workload.title, file=sys.stderr)
            for number in range(self.options.rounds):
                # The order changes: the first one finds the caches as the previous work has left them.
                at = number % len(self.contestants)
                for contestant in self.contestants[at:] + self.contestants[:at]:
                    if self.takes(contestant, workload):
                        self.attempt(self.measure_cpu, workload, contestant)
        for contestant in self.contestants:
            contestant.stop()

    def fresh(self, measure, workload, contestant):
        """Memory is measured on a process that has not done anything before."""
        self.start(contestant)
        try:
            measure(workload, contestant)
        finally:
            contestant.stop()

    def measure_idle(self, count):
        def measure(workload, contestant):
            time.sleep(0.1)
            before = contestant.account.memory_bytes()
            connections = min(count, 100) if contestant.forks else count
            load = Load(self.options, contestant, "--duration=1",
                        f"--connections={connections}", *workload.load)
            time.sleep(0.1)
            after = contestant.account.memory_bytes()
            try:
                wrong = complaint(load.result())
            finally:
                load.close()
            if wrong:
                self.failed(workload, contestant, wrong)
                return
            self.record(workload, contestant, {"cost": (after - before) / connections})
        return measure

    def measure_slow(self, workload, contestant):
        time.sleep(0.1)
        before = contestant.account.memory_bytes()
        load = Load(self.options, contestant, f"--duration={self.options.duration}", *workload.load)
        try:
            load.result()
            growth = contestant.account.memory_bytes() - before
            wrong = complaint(load.result())
        finally:
            load.close()
        if wrong:
            self.failed(workload, contestant, wrong)
        else:
            self.record(workload, contestant, {"cost": growth / 1e6})

    def run_memory(self):
        print("memory", file=sys.stderr)
        for contestant in self.contestants:
            if isinstance(contestant, RawfwdSplice):
                continue
            self.attempt(lambda w, c: self.fresh(self.measure_idle(self.options.idle), w, c),
                         TLS_IDLE if contestant.tls else IDLE, contestant)
            if not contestant.tls:
                self.attempt(lambda w, c: self.fresh(self.measure_slow, w, c), SLOW, contestant)

    def run_beside(self):
        """Does a message cost more when many others are connected and silent?"""
        for count in self.options.beside:
            workload = Workload(f"beside-{count}", f"{BESIDE.title}: {count}", "µs/msg",
                                *BESIDE.load)
            print(workload.title, file=sys.stderr)
            chosen = [c for c in self.contestants
                      if isinstance(c, (Rawfwd, Websocksy)) and not c.tls]
            crowds = []
            peers = []  # one for each: a crowd needs most of the descriptors that a process may have
            for contestant in chosen:
                peers.append(Peer(self.options.programs, self.options.cores[0]))
                contestant.start(peers[-1].port, self.options.cores[1])
                if count:
                    crowds.append(Load(self.options, contestant, f"--connections={count}", "idle"))
            for _ in range(self.options.rounds):
                for contestant in chosen:
                    self.attempt(self.measure_cpu, workload, contestant)
            for crowd in crowds:
                crowd.close()
            for process in chosen:
                process.stop()
            for peer in peers:
                peer.close()
            yield workload

    def close(self):
        self.peer.close()
        self.options.certificates.close()
        Account.close_all()

    # ---- what is reported ----

    def costs(self, workload, name, key="cost"):
        rows = self.figures.get((workload.name, name), [])
        return [row[key] for row in rows if key in row]

    def median(self, workload, name, key="cost"):
        values = self.costs(workload, name, key)
        return statistics.median(values) if values else None


def spread(values):
    """Half the distance between best and worst, as a share of the median."""
    middle = statistics.median(values)
    return (max(values) - min(values)) / 2 / middle if middle else 0


def significant(value):
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 1 else f"{value:.2f}"


def cell(bench, workload, name):
    values = bench.costs(workload, name)
    if not values:
        failed = (workload.name, name) in bench.figures
        return "failed" if failed else "–"
    middle = statistics.median(values)
    text = significant(middle)
    yardstick = HaproxyTls.name if workload.tls else Rawfwd.name
    yard = bench.median(workload, yardstick)
    if len(values) > 1:
        text += f" ± {spread(values) * 100:.0f} %"
    if yard and yard > 0 and name != yardstick and workload.unit != "MB":
        text += f" (**{middle / yard:.2f}**)"
    return text


def table(bench, workloads, tls):
    names = [contestant.name for contestant in bench.contestants if contestant.tls == tls]
    workloads = [workload for workload in workloads if workload.tls == tls]
    if not names or not workloads:
        return ""
    lines = ["| workload | unit | " + " | ".join(names) + " |",
             "|---|---|" + "---|" * len(names)]
    for workload in workloads:
        cells = [cell(bench, workload, name) for name in names]
        lines.append(f"| {workload.title} | {workload.unit} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def latencies(bench, workloads, tls):
    names = [c.name for c in bench.contestants
             if c.tls == tls and not isinstance(c, RawfwdSplice)]
    workloads = [workload for workload in workloads
                 if workload.tls == tls and workload.name.startswith(
                     ("echo", "connect", "tls-echo", "tls-connect"))]
    if not names or not workloads:
        return ""
    lines = ["| p50 / p99, µs | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for workload in workloads:
        cells = []
        for name in names:
            half = bench.median(workload, name, "p50_us")
            tail = bench.median(workload, name, "p99_us")
            cells.append("–" if half is None else f"{significant(half)} / {significant(tail)}")
        lines.append(f"| {workload.title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def machine():
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        for line in info:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    release = ".".join(platform.release().split("-")[0].split(".")[:2])
    return f"{model}, {os.cpu_count()} cores, Linux {release}"


def report(bench, workloads, network):
    options = bench.options
    kind = "short run" if options.short else "full run"
    lines = [
        f"{datetime.date.today().isoformat()}, {machine()}, {kind}: {options.rounds} interleaved "
        f"rounds of {options.duration} ms; bridge on core {options.cores[1]}, load and peer on core "
        f"{options.cores[0]}; {network}; CPU from {Account.describe()}. Median ± half the range; "
        f"in bold: how many times {Rawfwd.name}, with TLS how many times {HaproxyTls.name}, in the same run."]
    for tls in (False, True):
        tables = list(filter(None, (table(bench, workloads, tls), latencies(bench, workloads, tls))))
        if tls and tables:
            tables.insert(
                0, f"TLS 1.3 towards the client, {options.cipher}, X25519, no resumption:")
        lines += [line for text in tables for line in ("", text)]
    if bench.notices:
        lines += ["", "Notes:", ""] + [f"- {text}" for text in bench.notices]
    return "\n".join(lines) + "\n"


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    bench = contestants.BENCH
    parser.add_argument("--short", action="store_true", help="less than two minutes")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--duration", type=int, help="milliseconds of one measurement")
    parser.add_argument("--idle", type=int, help="idle connections whose memory is measured")
    parser.add_argument("--beside", type=int, nargs="*",
                        help="numbers of idle connections beside 64 busy ones")
    parser.add_argument("--only", action="append", help="contestant (repeatable); rawfwd is kept")
    parser.add_argument("--workload", action="append",
                        help="name of a workload, tls for all with TLS, or memory (repeatable)")
    parser.add_argument("--websocksy", type=pathlib.Path, default=bench.parent / "websocksy")
    parser.add_argument("--variant", action="append", default=[], metavar="NAME=PATH",
                        help="another build of websocksy in the same rounds (repeatable)")
    parser.add_argument("--programs", type=pathlib.Path, default=bench / "bin",
                        help="where load, peer and rawfwd are")
    parser.add_argument("--node-modules", type=pathlib.Path, default=bench / "node_modules")
    parser.add_argument("--nginx-modules", type=pathlib.Path,
                        default=pathlib.Path("/usr/lib/nginx/modules"))
    parser.add_argument("--cipher", default="TLS_AES_128_GCM_SHA256",
                        help="of TLS 1.3, the same for all")
    parser.add_argument("--out", type=pathlib.Path, default=bench / "results")
    options = parser.parse_args()
    short = options.short
    options.rounds = options.rounds or (3 if short else 5)
    options.duration = options.duration or (200 if short else 2000)
    options.idle = options.idle or (1000 if short else 9000)
    if options.beside is None:
        options.beside = [] if short else [0, 1000, 9000]
    if options.only:
        options.only.append(Rawfwd.name)
    cores = sorted(os.sched_getaffinity(0))
    options.cores = (cores[0], cores[-1])
    return options


def write_results(bench, workloads, text):
    options = bench.options
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "table.md").write_text(text, encoding="utf-8")
    figures = [{"workload": workload, "contestant": name, "rounds": rows}
               for (workload, name), rows in bench.figures.items()]
    (options.out / "results.json").write_text(json.dumps(figures, indent=1), encoding="utf-8")
    names = [c.name for c in bench.contestants if c.name != Rawfwd.name and not c.tls]
    groups = []
    for workload in workloads:
        yard = bench.median(workload, "rawfwd")
        if yard and workload.unit not in ("MB", "B"):
            bars = [(name, bench.median(workload, name)) for name in names]
            groups.append((workload.title,
                           [(name, value / yard) for name, value in bars if value is not None]))
    (options.out / "chart.svg").write_text(chart.draw(groups, names), encoding="utf-8")


def main():
    options = parse_options()
    contestants.become_subreaper()
    network = contestants.enter_namespace()
    print(f"{network}; cores {options.cores}", file=sys.stderr)
    if options.cores[0] == options.cores[1]:
        print("  note: one core only; bridge and load share it", file=sys.stderr)
    chosen = [w for w in CPU_WORKLOADS + TLS_WORKLOADS
              if not options.workload or w.name in options.workload
              or (w.tls and "tls" in options.workload)]
    bench = Bench(options)
    try:
        bench.run_cpu(chosen)
        for workload in bench.run_beside():
            chosen.append(workload)
        if not options.workload or "memory" in options.workload:
            bench.run_memory()
            chosen += MEMORY_WORKLOADS
    finally:
        bench.close()
    text = report(bench, chosen, network)
    write_results(bench, chosen, text)
    print(text)
    print(f"written to {options.out}: table.md, chart.svg, results.json", file=sys.stderr)
    failed = any("failed" in row for (_, name), rows in bench.figures.items()
                 for row in rows if name in (Websocksy.name, WebsocksyTls.name, Rawfwd.name))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
