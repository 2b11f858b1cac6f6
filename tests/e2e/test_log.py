# SPDX-License-Identifier: BSD-2-Clause
"""The log on a terminal and in a file that is rotated. What is logged is tested with its subject."""
import os
import pty
import select
import signal
import subprocess

from tools.client import RawClient
from tools.daemon import BINARY, Daemon, environment
from tools.http import build_request
from tools.waiting import TIMEOUT, eventually

# Each is an error line of more than 100 bytes: together they are more than a terminal holds.
ERRORS = 2000 * (80 * "x" + " = 1\n")


class TerminalDaemon:
    """A daemon whose standard error is a terminal; `master` is the side that a user would look at."""

    def __init__(self, folder):
        self.socket = str(folder / "socket")
        self.config = folder / "config"
        self.config.write_text("[core]\n")
        self.master, terminal = pty.openpty()
        os.set_blocking(self.master, False)
        self.process = subprocess.Popen(
            [BINARY, "-l", f"unix:{self.socket}", f"--config={self.config}", f"--web={folder}"],
            stdin=subprocess.DEVNULL, stderr=terminal, env=environment())
        os.close(terminal)

    def __enter__(self):
        eventually(lambda: b"listening on" in self.read(), "the listener")
        self.request()
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.master)

    def request(self):
        """One whose response is logged."""
        with RawClient(self.socket) as client:
            client.send_raw(build_request("/absent", plain=True))
            assert client.recv_http().status == 404

    def read(self):
        """What has been written and not read yet."""
        data = b""
        try:
            while piece := os.read(self.master, 65536):
                data += piece
        except BlockingIOError:
            pass
        return data


def test_terminal_that_is_not_read_stops_nothing(run, tmp_path):
    """poll() calls it writable as soon as it has room for one byte, and a write of more than that blocks."""
    daemon = run(TerminalDaemon(tmp_path))
    eventually(lambda: b"/absent" in daemon.read(), "the last line before the reload")
    daemon.config.write_text("[core]\n" + ERRORS)
    daemon.process.send_signal(signal.SIGHUP)
    assert select.select([daemon.master], [], [], TIMEOUT)[0], "the reload has not begun"
    daemon.request()
    log = b""

    def reports_the_loss():
        nonlocal log
        log += daemon.read()
        daemon.request()
        return b"lines lost, standard error was full\r\n" in log

    eventually(reports_the_loss, "the number of lost lines")
    daemon.process.terminate()
    assert daemon.process.wait(TIMEOUT) == 0


def test_truncated_log_goes_on_at_its_beginning(run, tmp_path):
    """As copytruncate of logrotate does it."""
    daemon = run(Daemon("--web", tmp_path))
    daemon.http("/before", plain=True)
    daemon.wait_log("/before")
    os.truncate(daemon.log_path, 0)
    daemon.http("/after", plain=True)
    daemon.wait_log("/after")
    with open(daemon.log_path, "rb") as log:
        assert b"\0" not in log.read()
