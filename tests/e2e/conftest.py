# SPDX-License-Identifier: BSD-2-Clause
"""Fixtures of the end-to-end tests; see tools/ for what they hand out."""
import contextlib
import functools
import os

import pytest

from tools import tls_files
from tools.configuration import starter, write_config
from tools.daemon import TYPED, Daemon
from tools.floods import Flood
from tools.peers import TcpPeer, echo

MARKERS = (
    "measures: needs the machine for itself, because it compares processor time or counts events",
    "once: does not depend on how the daemon was built, so one build is enough",
    "latency: takes a time that bench/latency.py has a limit for",
    "xdist_group(name): tests that one process has to run",
)


class Progress:
    """Writes to the file $TEST_PROGRESS how many tests have ended, for the reports of run.sh."""

    def __init__(self, path):
        self.path = path
        self.done = 0
        self.total = None

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids):
        self.total = len(ids)

    def pytest_collection_finish(self, session):
        self.total = len(session.items) or self.total

    def pytest_runtest_logfinish(self):
        self.done += 1
        with open(self.path, "w", encoding="ascii") as file:
            file.write(f"{self.done} of {self.total} tests")


def pytest_configure(config):
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    path = os.environ.get("TEST_PROGRESS")
    if path and not hasattr(config, "workerinput"):  # a process of xdist that runs tests for another
        config.pluginmanager.register(Progress(path))


@pytest.fixture
def run():
    """Starts context managers of tools/; closes them after the test, last first."""
    with contextlib.ExitStack() as stack:
        yield stack.enter_context


@pytest.fixture(scope="module")
def run_module():
    """The same for things that all tests of a file share."""
    with contextlib.ExitStack() as stack:
        yield stack.enter_context


@pytest.fixture(scope="module")
def echo_daemon(run_module):
    """A daemon with the built-in echo peer, or one at a TCP port (tools/), that accepts any subprotocol."""
    if TYPED:
        peer = run_module(TcpPeer(echo))
        return run_module(Daemon("-c", "protocol=*", "-c", "framing=typed", peer=peer.url))
    return run_module(Daemon("-c", "protocol=*", peer="echo://"))


@pytest.fixture
def client(echo_daemon):
    """A client that is connected to the echo peer; closed after the test."""
    connection = echo_daemon.open()
    yield connection
    connection.close()


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """One Chromium for all tests that are marked with xdist_group("browser")."""
    from tools.browser import start  # needs selenium

    driver = start(tmp_path_factory.mktemp("chromium"))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def authority():
    """Who has issued the certificate that most tests of TLS use."""
    return tls_files.shared()[0]


@pytest.fixture(scope="module")
def pair():
    """That certificate, for localhost, and its key."""
    return tls_files.shared()[1]


@pytest.fixture
def serve(run, pair):
    """Starts a daemon for `echo://` with the certificates of `pairs`; its clients choose TLS themselves."""
    def start(*args, pairs=(pair,), **kwargs):
        files = [f"--cert={one.cert}" for one in pairs] + [f"--key={one.key}" for one in pairs]
        return run(Daemon(*files, "-c", "protocol=*", *args, peer="echo://", tls=False, **kwargs))

    return start


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the end of the log of every daemon that was running."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for daemon in Daemon.running:
            command = " ".join(daemon.args)
            state = daemon.process.poll()
            report.sections.append((f"log of websocksy {command} (exit {state})", daemon.tail()))


@pytest.fixture(params=("flags", "file"))
def configured(request, run, tmp_path):
    """Starts a daemon whose options stand on the command line, and then one that has them from a file.

    configured(("ping", "1s"), ..., peer="echo://", backend=(("protocol", "*"),))
    """
    return starter(run, tmp_path, request.param)


@pytest.fixture
def started(run, tmp_path):
    """The same on the command line only, for the second look at an option."""
    return starter(run, tmp_path, "flags")


@pytest.fixture
def config(tmp_path):
    """Writes the configuration of a test; config(core, backend) -> path."""
    return functools.partial(write_config, tmp_path)


@pytest.fixture
def flood(run):
    """Starts floods; stops them before the daemon and the peers of the test go."""
    floods = []

    def start(*args):
        floods.append(Flood(*args))
        return floods[-1]

    yield start
    for one in floods:
        one.stop()
