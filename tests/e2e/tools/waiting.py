# SPDX-License-Identifier: BSD-2-Clause
"""Waiting for something that can be seen, and the times that tests take."""
import contextlib
import os
import time

# The limit of every single wait, in seconds without progress. Lower it to see failures sooner while writing tests.
TIMEOUT = float(os.environ.get("TEST_TIMEOUT", 120))
# A deadline of the daemon that must not expire, for its options: far longer than a loaded machine keeps a process
# from running, short enough for a slow transfer to outlive it.
LONG_MS = 5000
LONG = LONG_MS / 1000


def eventually(predicate, what="condition", timeout=None, every=None):
    """Waits until `predicate()` is true and returns its value; fails after `timeout` seconds. It looks
    every `every` seconds; by default less often the longer it takes, which leaves the processor to others."""
    deadline = time.monotonic() + (TIMEOUT if timeout is None else timeout)
    pause = every or 0.002
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited in vain for {what}")
        time.sleep(pause)
        if every is None:
            pause = min(pause * 1.25, 0.03)


observations = []  # (name, seconds)


@contextlib.contextmanager
def observed(name):
    """Takes the time of a block. It is judged by bench/latency.py alone: no test fails because it took long."""
    begun = time.perf_counter()
    yield
    observations.append((name, time.perf_counter() - begun))
