# SPDX-License-Identifier: BSD-2-Clause
"""A daemon that detaches: the process that was started exits, and a pid file tells which one goes on."""
import contextlib
import os
import re
import select
import signal
import subprocess

from tools.client import RawClient
from tools.daemon import BINARY, REPORT, Daemon, environment
from tools.waiting import TIMEOUT


class Detached:
    """Started with -D, a pid file and a log file in the folder; `stderr` is what was written before it detached."""

    def __init__(self, folder, *args, pid_file=None, **popen):
        self.pid_file = pid_file or folder / "websocksy.pid"
        self.log_path = folder / "websocksy.log"
        self.args = [*Daemon.DEFAULTS, "-c", "host=echo://", "-D", f"--pid-file={self.pid_file}",
                     f"--log-target=file:{self.log_path}", *map(str, args)]
        self.popen = popen

    def __enter__(self):
        result = subprocess.run(
            [BINARY, *self.args], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT,
            env=environment(self.popen.pop("env", None)), check=False, **self.popen)
        self.stderr = result.stderr
        assert not REPORT.search(self.stderr), self.stderr
        assert result.returncode == 0, self.stderr
        folder = self.popen.get("cwd") or "/"
        self.pid = int(open(os.path.join(folder, self.pid_file), encoding="ascii").read())
        self.pidfd = os.pidfd_open(self.pid)
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        os.close(self.pidfd)

    def signal(self, number):
        signal.pidfd_send_signal(self.pidfd, number)

    def stop(self):
        """Ends it; nothing of it runs any more afterwards."""
        self.signal(signal.SIGTERM)
        self.wait()

    def wait(self):
        assert select.select([self.pidfd], [], [], TIMEOUT)[0], "the daemon does not end"

    def log(self):
        return self.log_path.read_text()

    @property
    def port(self):
        return int(re.search(r"listening on 127\.0\.0\.1:(\d+)", self.log())[1])

    def open(self, path="/"):
        client = RawClient(("127.0.0.1", self.port))
        client.upgrade(path)
        return client

    def status(self, key):
        """The text behind the key in /proc/PID/status."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            return re.search(rf"^{key}:\s*(.*)$", file.read(), re.MULTILINE)[1]

    def link(self, name):
        return os.readlink(f"/proc/{self.pid}/{name}")
