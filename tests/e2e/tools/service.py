# SPDX-License-Identifier: BSD-2-Clause
"""A service manager: the socket of sd_notify, and passed sockets."""
import fcntl
import os
import select
import socket
import subprocess
import tempfile

from tools.daemon import BINARY, Daemon
from tools.waiting import TIMEOUT


class Manager:
    """The service manager's end of NOTIFY_SOCKET."""

    def __init__(self, name):
        self.name = name
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind("\0" + name[1:] if name.startswith("@") else name)
        self.sock.settimeout(TIMEOUT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def recv(self):
        """The next message as {variable: value}."""
        text = self.sock.recv(4096).decode()
        return dict(line.split("=", 1) for line in text.splitlines())

    def nothing(self, seconds):
        return not select.select([self.sock], [], [], seconds)[0]


class Spawned(Daemon):
    """A daemon that a shell becomes: variables with its own process number, descriptors from 3 on."""

    def __init__(self, command, env, sockets=(), **kwargs):
        super().__init__(defaults=False, env=env, **kwargs)
        self.command = command
        self.sockets = sockets

    def start(self):
        self.folder = tempfile.mkdtemp(prefix="websocksy-test-")
        self.log_path = os.path.join(self.folder, "log")
        numbers = [sock.fileno() for sock in self.sockets]

        def move():
            # First out of the way, then into place: a number may be both.
            high = [fcntl.fcntl(number, fcntl.F_DUPFD, 100) for number in numbers]
            for at, number in enumerate(high):
                os.dup2(number, 3 + at)
                os.close(number)

        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env,
                pass_fds=[*range(3, 3 + len(numbers)), *numbers], preexec_fn=move)
        Daemon.running.append(self)
        if self.listening:
            self.wait_log(r"listening on ")


def activated(run, sockets, *args, pid="$$", count=None, **kwargs):
    count = len(sockets) if count is None else count
    command = ["/bin/sh", "-c", f'LISTEN_PID={pid} LISTEN_FDS={count} exec "$0" "$@"', BINARY, *args]
    return run(Spawned(command, {}, sockets, **kwargs))


def journal_stream(path):
    status = os.stat(path)
    return f"{status.st_dev}:{status.st_ino}"


class JournalDaemon(Daemon):
    """JOURNAL_STREAM names the log file (or something else), as the service manager does it."""

    def __init__(self, *args, right=True, **kwargs):
        super().__init__(*args, **kwargs)
        self.right = right

    def start(self):
        self.folder = tempfile.mkdtemp(prefix="websocksy-test-")
        self.log_path = os.path.join(self.folder, "log")
        with open(self.log_path, "wb") as log:
            env = dict(self.env, JOURNAL_STREAM=journal_stream(self.log_path if self.right else "/"))
            self.process = subprocess.Popen([BINARY, *self.args], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=env)
        Daemon.running.append(self)
        self.wait_log(r"listening on ")
