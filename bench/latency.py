# SPDX-License-Identifier: BSD-2-Clause
"""How long things may take by the clock: limits for the times that the end-to-end tests take with `observed`.

A busy machine stretches any time, so no test fails because of one. This plugin of pytest runs the tests that
take times, alone and one after the other, fails those that are above a limit, and prints each time beside its
limit. Run it on a machine that has nothing else to do:

    make bench-check
"""
import statistics

import pytest

from tools import waiting


def second_longest(times):
    """A single long one may be the machine's."""
    return sorted(times)[-2] if len(times) > 1 else times[0]


MEAN, MEDIAN, LONGEST, SHORTEST = statistics.mean, statistics.median, max, min

# Name of what was timed: (which of the times of a test, its limit in seconds), ... A limit may also be relative:
# (factor, name of another time of the same test).
LIMITS = {
    # One client is not delayed by others.
    "round trip beside a flood": ((MEDIAN, 0.05), (LONGEST, 0.5)),
    "round trip beside downloads": ((second_longest, 0.1),),
    "slow hash": (),
    "round trip beside slow hashes": ((MEDIAN, (0.25, "slow hash")),),
    "answer behind clients that have left": ((LONGEST, 5),),
    "life of a connection beside idle ones": ((LONGEST, 0.5),),
    "twenty connections beside those that wait": ((LONGEST, 0.5),),
    "forty round trips beside slow connects": ((LONGEST, 0.8),),
    "answers to many lookups": ((LONGEST, 2.5),),
    "slow query of a backend": ((LONGEST, 1),),
    # A deadline expires when it is due.
    "next ping after 2 s": ((LONGEST, 3.4),),
    "end by a timeout of 5 s": ((LONGEST, 7),),
    "end by a timeout of 300 ms": ((LONGEST, 2),),
    "end by a timeout of 500 ms": ((LONGEST, 2),),
    "end by a grace of 400 ms or 0": ((LONGEST, 5),),
    "end by a ping of 100 ms and a pong-timeout of 400 ms": ((LONGEST, 5),),
    "end by a ping of 200 ms and a pong-timeout of 400 ms": ((LONGEST, 5),),
    "end of a client that reads nothing": ((LONGEST, 3),),
    "end of an idle connection after 5 s": ((LONGEST, 7),),
    "rest of a grace of 5 s": ((LONGEST, 8),),
    # Twice within that time.
    "message to the watchdog within 500 ms": ((MEAN, 0.375), (LONGEST, 0.5)),
    # What need not be waited for is not waited for.
    "stop without clients": ((LONGEST, 5),),
    "end after a second signal": ((LONGEST, 5),),
    "end of a flood after a second signal": ((LONGEST, 3),),
    "end when the clients have closed": ((LONGEST, 4),),
    "end with connections under way": ((LONGEST, 2),),
    "end with idle connections": ((LONGEST, 3),),
    # RFC 8305: attempt delay 250 ms, resolution delay 50 ms. The best of some for the one without a delay.
    "connection to the next address": ((SHORTEST, 0.2),),
    "connection after the attempt delay": ((LONGEST, 1),),
    "connection after the resolution delay": ((LONGEST, 0.8),),
    "connection after an answer of 300 ms": ((LONGEST, 1.05),),
    # The aim is 0.01.
    "first answer after a start": ((SHORTEST, 0.1),),
}


def pytest_collection_modifyitems(config, items):
    timed = [item for item in items if item.get_closest_marker("latency")]
    config.hook.pytest_deselected(items=[item for item in items if item not in timed])
    items[:] = timed


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    """Judges the times of a test that has passed otherwise."""
    waiting.observations.clear()
    outcome = yield
    outcome.get_result()
    times = {}
    for name, seconds in waiting.observations:
        times.setdefault(name, []).append(seconds)
    assert times, "a test marked `latency` takes a time"
    above = []
    for name, all_times in times.items():
        for choose, limit in LIMITS[name]:
            if isinstance(limit, tuple):
                limit = limit[0] * min(times[limit[1]])
            took = choose(all_times)
            print(f"\n{took / limit:7.1%} of {limit:g} s: {name} ({choose.__name__} of {len(all_times)})", end="")
            if took > limit:
                above.append(f"{name}: {choose.__name__} {took:.3f} s, limit {limit:g} s")
    assert not above, "; ".join(above)
