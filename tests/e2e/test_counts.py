# SPDX-License-Identifier: BSD-2-Clause
"""What a message costs, counted: system calls, allocations, copies, instructions. Noise cannot touch it.

    system calls    strace's record between two marker messages; nothing but receiving, sending and
                    waiting may be in it, and of those exactly so many
    allocations,    a library put in front of the C library (counting.c) counts calls of the daemon;
    copies, clock   its counters are read before and after the messages
    instructions    callgrind, a run with few messages and one with more; the difference is theirs alone

The test is client and peer in one thread, and each message goes out when the one before has arrived,
so the daemon sees the same on every run.

The budgets of instructions are in counts-budget.json, with the compiler and the C library they hold for;
anything else is skipped with a notice. After a change that is meant to cost or to save something:

    python3 tests/e2e/test_counts.py            what each workload costs now, beside its budget
    python3 tests/e2e/test_counts.py --write    and make that the budget
"""
import contextlib
import json
import math
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tools.counting import (
    FIRST, LAST, NO_MASK, Counted, Session, arguments, can_trace, count_calls, under,
    wait_until_arrived,
)
from tools.daemon import BINARY, ROOT, SANITIZED, standing_still
from tools.frames import BIN, PONG, Frame, frame
from tools.peers import TcpPeer
from tools.waiting import eventually

sys.path.insert(0, str(ROOT / "bench"))
from counts import Callgrind  # noqa: E402

pytestmark = [
    pytest.mark.measures,
    pytest.mark.skipif(SANITIZED, reason="a sanitizer's own calls and instructions count too")]

BUDGET = Path(__file__).with_name("counts-budget.json")
SLACK = 1.03
SMALL = bytes(range(64))
RECORD = 1 << 14  # the most that a TLS record holds
RECORD_OVERHEAD = 5 + 1 + 16  # header, type and tag of TLS 1.3 with AES-GCM
LARGE = 50000  # fits into the window that a connection begins with


# --- system calls -------------------------------------------------------------------------------


@pytest.fixture
def traced(run, tmp_path):
    """A function that starts a session under strace, runs its argument between two markers, and returns
    {"receive": n, "send": n, "wait": n, and any other call by its name}."""
    if not can_trace():
        pytest.skip("strace is not installed, or tracing is not allowed here")

    def trace(work, connections=1, tls=False):
        record = tmp_path / "record"
        peer = run(TcpPeer())
        # -D: the daemon is the child of the test, so that stopping it is as always.
        tool = ("strace", "-D", "-f", "-o", record)
        session = Session(run, under(tool, peer, *arguments(), tls=tls), peer, connections)
        session.echo(FIRST)
        work(session)
        session.echo(LAST)
        session.stop()
        text = eventually(lambda: re.search(r"(?s).*\+\+\+ exited", record.read_text()),
                          "the end of strace's record").group()
        return count_calls(text.splitlines())

    return trace


@pytest.mark.parametrize("size", [64, 4096])
def test_calls_of_an_echo(traced, size):
    messages = 200
    payload = os.urandom(size)

    def work(session):
        for _ in range(messages):
            session.echo(payload)

    calls = traced(work)
    # Each half of an echo is waited for; the last wait is for the marker.
    assert calls == {"receive": 2 * messages, "send": 2 * messages, "wait": 2 * messages + 1}


def test_calls_of_an_echo_on_many_connections(traced):
    connections, rounds = 64, 5
    messages = connections * rounds

    def work(session):
        for _ in range(rounds):
            with standing_still(session.daemon):
                for client, _ in session.pairs:
                    client.send_frame(BIN, SMALL, mask=NO_MASK)
            for _, service in session.pairs:
                assert service.recv_exactly(len(SMALL)) == SMALL
            with standing_still(session.daemon):
                for _, service in session.pairs:
                    service.send(SMALL)
            for client, _ in session.pairs:
                assert client.recv_frame() == Frame(True, BIN, SMALL)

    calls = traced(work, connections)
    # For each half of a round: the wait that the stop interrupts, the one that brings 64 events, and
    # perhaps one that begins before the stop.
    assert calls.pop("wait") <= 6 * rounds + 1
    assert calls == {"receive": 2 * messages, "send": 2 * messages}


def test_calls_of_many_messages_in_one_read(traced):
    """A block of messages to the peer is one message to the system, and so is a block of answers."""
    blocks = 100

    def work(session):
        for _ in range(blocks):
            session.up(bytes(256), 32)

    assert traced(work) == {"receive": blocks, "send": blocks, "wait": blocks + 1}


def test_calls_of_pings(traced):
    def work(session):
        for _ in range(100):
            session.ping(b"are you there?")

    assert traced(work) == {"receive": 100, "send": 100, "wait": 101}


def test_calls_of_a_connection(traced):
    connections = 30

    def work(session):
        for _ in range(connections):
            session.connection()

    calls = traced(work)
    assert calls.pop("brk", 0) <= 4  # the first is the first to need so much memory
    # Accepting, the request, the peer, a byte each way, the close frame, both ends; some may come together.
    assert 5 * connections <= calls.pop("wait") <= 9 * connections
    assert calls == {name: count * connections for name, count in {
        "accept4": 1, "socket": 1, "setsockopt": 1, "connect": 1,
        "epoll_ctl": 2,  # each descriptor is registered once, and closing is enough to end that
        "receive": 6,  # what rawfwd needs and the request and the close frame
        "send": 4,  # the same: the 101 and the close frame
        "shutdown": 2, "close": 2}.items()}


def test_the_close_frame_and_the_end_are_one_segment(traced, tmp_path):
    """Seen in the record: the kernel is told that more comes, and the end does, right behind."""
    traced(lambda session: session.connection())
    record = (tmp_path / "record").read_text()
    assert re.search(r"sendto\((\d+), .*MSG_MORE, NULL, 0\) += 4\n.* shutdown\(\1, SHUT_WR", record)


# With TLS markers can be read on the side of the peer only, so the counting begins one half of an echo earlier and
# ends one later: a send and a receive more.

@pytest.mark.parametrize("size", [64, 4096])
def test_calls_of_an_echo_over_tls(traced, size):
    """Encryption needs no call of its own: a record is received with its header and sent with it."""
    messages = 200
    payload = os.urandom(size)

    def work(session):
        for _ in range(messages):
            session.echo(payload)

    calls = traced(work, tls=True)
    assert calls == {
        "receive": 2 * messages + 1, "send": 2 * messages + 1, "wait": 2 * messages + 1}


def test_calls_of_many_records(traced):
    """All records that are there are received at once, and all that a block makes are sent at once."""
    blocks = 20
    block = os.urandom(LARGE)
    assert LARGE > 3 * RECORD

    def work(session):
        for _ in range(blocks):
            with standing_still(session.daemon):
                session.client.send_frame(BIN, block, mask=NO_MASK)
                wait_until_arrived(session.client.sock.sock)
            assert session.service.recv_exactly(LARGE) == block
            with standing_still(session.daemon):
                session.service.send(block)
                wait_until_arrived(session.service.sock)
            assert session.client.recv_frame().payload == block

    calls = traced(work, tls=True)
    assert calls.pop("wait") <= 6 * blocks + 1
    assert calls.pop("brk", 0) <= 4  # the first blocks are the first to need so much memory
    assert calls == {"receive": 2 * blocks + 1, "send": 2 * blocks + 1}


# --- allocations, copies, clock -----------------------------------------------------------------


@pytest.fixture
def counted(run, tmp_path):
    """A function that starts a session with the counting library and a framing function."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if not compiler:
        pytest.skip("no compiler is installed")
    library = tmp_path / "counting.so"
    subprocess.run(
        (compiler, "-std=gnu11", "-D_GNU_SOURCE", "-O1", "-fno-builtin", "-Wall", "-Wextra", "-Werror",
         "-fPIC", "-shared", "-o", library, Path(__file__).with_name("tools") / "counting.c"), check=True)
    return lambda framing="binary", tls=False: Counted(
        run, library, tmp_path / "counters", framing, tls)


def assert_nothing(cost, *names):
    assert {name: cost[name] for name in names} == dict.fromkeys(names, 0)


def test_the_counting_library_sees_what_there_is_to_see(counted):
    """A line that comes in two pieces is the one thing that has to be kept: room for it is taken, and it
    is copied there and back."""
    session = counted("newline")

    def work():
        session.service.send(b"begin ")
        session.daemon.settle()
        session.service.send(b"end\n")
        assert session.client.recv_frame().payload == b"begin end\n"

    cost = session.cost(work, 5)
    assert cost["allocations"] >= 5
    assert cost["frees"] >= 5
    assert cost["copied_bytes"] >= 5 * 2 * len(b"begin ")
    assert cost["clocks"] >= 10
    session.stop()


@pytest.mark.parametrize("size", [1, 64, 4096, 32768])
def test_binary_messages_are_neither_copied_nor_allocated_for(counted, size):
    session = counted()
    payload = os.urandom(size)
    cost = session.cost(lambda: session.echo(payload))
    # The one in-place move of the way to the peer is not a call; the test of instructions for each byte shows
    # that it is made once.
    assert_nothing(cost, "allocations", "frees", "copies", "copied_bytes")
    session.stop()


@pytest.mark.parametrize("size", [1, 64, 4096, 16000, 32768])
def test_tls_copies_ciphertext_once_each_way(counted, size):
    """From the buffer of all connections to GnuTLS, and from GnuTLS to the queue. What GnuTLS does besides, its
    own affair, is not counted."""
    session = counted(tls=True)
    payload = os.urandom(size)
    cost = session.cost(lambda: session.echo(payload))
    up, down = (len(frame(BIN, payload, mask=mask)) for mask in (NO_MASK, None))
    records = [-(-length // RECORD) for length in (up, down)]
    assert cost["own_allocations"] == 0
    assert cost["own_copied_bytes"] == 200 * (up + down + sum(records) * RECORD_OVERHEAD)
    session.stop()


def test_no_allocation_for_lines_and_control_frames(counted):
    session = counted("newline")
    lines = b"".join(b"this is line %6d\n" % at for at in range(10))

    def work():
        session.ping(b"")
        session.down(lines, 10)
        session.ping(b"are you there?")
        session.client.send_frame(PONG, b"unasked")
        session.up(SMALL, 10)

    cost = session.cost(work)
    assert_nothing(cost, "allocations", "frees")
    # Lines are gathered with their headers, so that they go out with one call: one copy of each but the
    # first, which has room for a header in front. A pong's payload is put behind its header.
    assert cost["copied_bytes"] == 200 * (len(lines) // 10 * 9 + len(b"are you there?"))
    session.stop()


def test_allocations_of_a_connection(counted):
    session = counted()

    def work():
        session.connection()
        session.echo(SMALL)  # memory is given back at the end of the turn that closed the descriptors

    cost = session.cost(work, 50)
    assert cost["allocations"] == cost["frees"]
    # The connection, its handshake, its connecting and one attempt at that; the request's copy; the peer's address
    # on its way through backend, parser and C library.
    assert cost["allocations"] <= 50 * 11
    session.stop()


@pytest.mark.parametrize("framing", ["auto", "text"])
def test_no_allocation_for_text(counted, framing):
    session = counted(framing)
    text = "Grüße aus dem Tunnel: žluťoučký kůň. ".encode() * 20
    cost = session.cost(lambda: session.down(text))
    assert_nothing(cost, "allocations", "frees", "copied_bytes")
    session.stop()


def test_the_clock_is_read_once_a_turn(counted):
    session = counted()
    cost = session.cost(lambda: session.echo(SMALL))
    # The reading of the last turn before and after may be counted or not.
    assert abs(cost["clocks"] - cost["waits"]) <= 1
    session.stop()


# --- instructions -------------------------------------------------------------------------------

# Each takes a session and does some messages; `per` is how many.
WORKLOADS = {
    "echo of 64 bytes": {
        "framing": "binary", "work": lambda s: s.echo(SMALL), "per": 1},
    "line of 20 bytes to the client": {
        "framing": "newline", "work": lambda s: s.down(b"nineteen letters...\n" * 50, 50), "per": 50},
    "256 bytes to the peer, 64 at once": {
        "framing": "binary", "work": lambda s: s.up(SMALL * 4, 64), "per": 64},
    "ping": {
        "framing": "binary", "work": lambda s: s.ping(b"are you there?"), "per": 1},
    "connection with a byte each way": {
        "framing": "binary", "work": lambda s: s.connection(), "per": 1},
}
FEW, MANY = 100, 400
ATTEMPTS = 3
# Instructions for each byte, from messages of two sizes: who touches payload shows here.
SMALLER, LARGER = 4096, 32768
BYTES = {
    "byte to the client": lambda s, size: s.down(bytes(size)),
    "byte to the peer": lambda s, size: s.up(bytes(size)),
}


def instructions(enter, folder, framing, work, times):
    """All that a daemon executes in user space from start to end, with `work` done so many times."""
    findings = folder / "callgrind"
    peer = enter(TcpPeer())
    # glibc chooses its routines by processor; these are chosen on every one of this kind.
    tunables = "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX2,-AVX_Fast_Unaligned_Load,-ERMS,-FSRM"
    with contextlib.ExitStack() as stack:
        # How many lines about connections are written depends on the time: they are limited per second.
        daemon = under(Callgrind.wrapper(findings), peer, *arguments(framing))
        daemon.env["GLIBC_TUNABLES"] = tunables
        session = Session(stack.enter_context, daemon, peer)
        for _ in range(times):
            work(session)
        session.stop()
    return Callgrind.read(findings)["instructions"]


def per_message(enter, folder, name, allowed=math.inf):
    """On a busy machine the daemon logs calls that took long, which costs more than a message. So what is
    above `allowed` is counted again, and of each count the least is taken."""
    workload = WORKLOADS[name]
    least = {}
    for _ in range(ATTEMPTS):
        for times in (FEW, MANY):
            count = instructions(enter, folder, workload["framing"], workload["work"], times)
            least[times] = min(count, least.get(times, count))
        cost = (least[MANY] - least[FEW]) / (MANY - FEW) / workload["per"]
        if cost <= allowed:
            break
    return cost


def per_byte(enter, folder, name):
    small, large = (
        instructions(enter, folder, "binary", lambda s, size=size: BYTES[name](s, size), FEW)
        for size in (SMALLER, LARGER))
    return (large - small) / FEW / (LARGER - SMALLER)


def built_with():
    """What decides about instructions: compiler, optimization, C library, kind of machine."""
    debug = subprocess.run(("readelf", "--debug-dump=info", "--dwarf-depth=1", BINARY),
                           capture_output=True, text=True, check=False).stdout
    producers = set()
    for name, version, options in re.findall(
            r"DW_AT_producer .*\): (\D*?(?:C\d\d )?(?:clang version )?)(\d+\.\d+)(.*)", debug):
        chosen = re.findall(r" (-O\w*|-m\w+=\S+)", options)
        producers.add(" ".join([name.strip(), version, *sorted(chosen)]))
    wide = "avx2" in Path("/proc/cpuinfo").read_text().split()
    return {"compiler": ", ".join(sorted(producers)) or "unknown",
            "libc": " ".join(platform.libc_ver()),
            "machine": platform.machine() + " with AVX2" * wide}


@pytest.fixture
def budget():
    committed = json.loads(BUDGET.read_text())
    if not shutil.which("valgrind"):
        pytest.skip("valgrind is not installed")
    here = built_with()
    if here != committed["built with"]:
        pytest.skip(f"the budget holds for {committed['built with']}, this is {here}")
    return committed["instructions"]


def check_budget(budget, name, cost, grain=0):
    """`grain`: what measuring cannot tell from nothing."""
    allowed = budget[name] * SLACK + grain
    assert cost <= allowed, (
        f"{name}: {cost:.4g} instructions, the budget is {budget[name]:.4g} and 3 %; if they are worth "
        "it: python3 tests/e2e/test_counts.py --write")


@pytest.mark.parametrize("name", WORKLOADS)
def test_instructions_of_a_message(run, tmp_path, budget, name):
    check_budget(budget, name, per_message(run, tmp_path, name, budget[name] * SLACK))


@pytest.mark.parametrize("name", BYTES)
def test_instructions_of_a_byte(run, tmp_path, budget, name):
    """To the peer one pass (load, unmask, store, 32 bytes at once); to the client none at all."""
    check_budget(budget, name, per_byte(run, tmp_path, name), grain=0.001)


def main():
    """Prints what is executed today beside the budget; with --write it becomes the budget."""
    old = json.loads(BUDGET.read_text())["instructions"] if BUDGET.exists() else {}
    measured = {}
    for names, measure in ((WORKLOADS, per_message), (BYTES, per_byte)):
        for name in names:
            with contextlib.ExitStack() as stack:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                cost = measure(stack.enter_context, folder, name)
            measured[name] = round(cost, 1 if names is WORKLOADS else 4)
            print(f"{name}: {measured[name]} (budget {old.get(name, 'none')})", flush=True)
    if "--write" in sys.argv[1:]:
        text = json.dumps({"built with": built_with(), "instructions": measured}, indent="\t")
        BUDGET.write_text(text + "\n")


if __name__ == "__main__":
    main()
