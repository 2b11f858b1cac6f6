# SPDX-License-Identifier: BSD-2-Clause
"""Where the log goes: files that are rotated, syslog, the journal, and disks that are full."""
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tools.daemon import Daemon, failed_start, run_once
from tools.log_files import json_lines, text_events
from tools.mounts import system_folder
from tools.waiting import TIMEOUT, eventually

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")


def started(run, target, *arguments, **kwargs):
    """A daemon that logs to `target`; its standard error says nothing, so it is asked for the port instead."""
    daemon = run(Daemon(f"--log-target={target}", *arguments, peer="echo://", listening=False, tls=False, **kwargs))
    return daemon


def session(daemon, port, path="/"):
    client = daemon.open(path, address=("127.0.0.1", port))
    client.close_handshake()


def logged(path, pattern, count=1):
    """The last of so many matches in a file, once they are there."""

    def found():
        matches = list(re.finditer(pattern, path.read_text(), re.MULTILINE)) if path.exists() else []
        return matches[-1] if len(matches) >= count else None

    return eventually(found, f"{pattern} in {path.name}")


def port_of(path):
    return int(logged(path, r"listening on 127\.0\.0\.1:(\d+)")[1])


# --- files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", (signal.SIGUSR1, signal.SIGHUP))
def test_renamed_file_is_opened_again(run, tmp_path, number):
    log, old = tmp_path / "log", tmp_path / "log.1"
    daemon = started(run, f"file:{log}")
    port = port_of(log)
    session(daemon, port, "/before")
    logged(log, "closed: .* path=/before ")
    log.rename(old)
    session(daemon, port, "/between")
    logged(old, "closed: .* path=/between ")
    daemon.signal(number)
    eventually(log.exists, "the new file")
    session(daemon, port, "/after")
    logged(log, "closed: .* path=/after ")
    assert "/after" not in old.read_text() and "/before" not in log.read_text()
    assert log.stat().st_mode & 0o7777 == 0o640
    assert daemon.log() == ""


def test_logrotate(run, tmp_path):
    """The example, with other paths."""
    logrotate = shutil.which("logrotate") or "/usr/sbin/logrotate"
    if not os.path.exists(logrotate):
        pytest.skip("logrotate is not installed")
    folder = tmp_path / "log"
    folder.mkdir(mode=0o755)
    log = folder / "websocksy.log"
    daemon = started(run, f"file:{log}")
    port = port_of(log)
    session(daemon, port, "/before")
    logged(log, "closed: ")
    example = (Path(__file__).resolve().parents[2] / "examples/websocksy.logrotate").read_text()
    config = tmp_path / "conf"
    text = example.replace("/var/log/websocksy.log", str(log))
    text = re.sub(r"create .*", "create 0640", text)
    config.write_text(re.sub(r"(?m)^\t\tsystemctl .*$", f"\t\tkill -USR1 {daemon.process.pid}", text))
    config.chmod(0o644)
    subprocess.run([logrotate, "--force", "--state", tmp_path / "state", config], check=True, timeout=TIMEOUT)
    session(daemon, port, "/after")
    logged(log, "closed: .* path=/after ")
    assert [path.name for path in folder.iterdir() if path != log] == ["websocksy.log.1"]


def test_file_that_cannot_be_opened_again(run, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    log = folder / "log"
    daemon = started(run, f"file:{log}")
    port = port_of(log)
    moved = folder.rename(tmp_path / "moved") / "log"
    daemon.signal(signal.SIGUSR1)
    logged(moved, f'error: log-target: "file:{log}": No such file or directory$')
    daemon.signal(signal.SIGHUP)
    logged(moved, "error: the new configuration is not usable; nothing has changed$")
    session(daemon, port, "/goes-on")
    logged(moved, "closed: .* path=/goes-on ")


@ROOT_ONLY
def test_full_disk(run, tmp_path):
    """Connections go on; once there is room, the log says how much it has lost."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", disk], check=True)
    with contextlib.ExitStack() as stack:
        stack.callback(subprocess.run, ["umount", "-l", disk], check=True)
        log = disk / "log"
        daemon = started(run, f"file:{log}", "--access-log=both")
        port = port_of(log)
        filler = disk / "filler"

        def is_full():
            session(daemon, port)
            with contextlib.suppress(OSError):
                filler.write_bytes(bytes(16384))
            return os.statvfs(disk).f_bavail == 0

        eventually(is_full, "a full disk")
        for i in range(100):
            session(daemon, port, f"/lost{i}")
        filler.unlink()

        def reports():
            session(daemon, port, "/room")
            return re.search(r"\d+ lines lost, the log file was full", log.read_text())

        eventually(reports, "the number of lost lines")
        logged(log, "closed: .* path=/room ")


@pytest.mark.parametrize("target, error", (
    ("stdout", '"stdout" is not a target of the log (use stderr, syslog, syslog:HOST:PORT, syslog:/PATH, journal or '
               'file:/PATH)'),
    ("file:relative", '"file:relative" is not a target of the log (use stderr, syslog, syslog:HOST:PORT, '
                      'syslog:/PATH, journal or file:/PATH)'),
))
def test_invalid_target(target, error):
    assert failed_start(f"--log-target={target}") == [f"command line: --log-target: {error}"]


@pytest.mark.parametrize("target, error", (
    ("file:/absent/log", "No such file or directory"),
    ("file:/", "Is a directory"),
    ("syslog:/absent", "/absent: No such file or directory"),
))
def test_target_that_cannot_be_opened(target, error):
    assert failed_start("-l", "127.0.0.1", "-p", "0", f"--log-target={target}") == [f'log-target: "{target}": {error}']


def test_dump_and_check():
    assert "\nlog-target = syslog:[::1]:514\n" in run_once("--log-target=syslog:[::1]:514", "--dump-config").stdout
    assert "\nlog-target = stderr\n" in run_once("--dump-config").stdout
    assert run_once("--log-target=file:/absent/log", "-t").returncode == 0


# --- syslog -------------------------------------------------------------------------------------


class Receiver:
    """A datagram socket that log lines come to."""

    def __init__(self, family, address):
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        self.sock.bind(address)
        self.sock.settimeout(TIMEOUT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def recv(self, pattern):
        """The first line that matches, and the match."""
        while True:
            line = self.sock.recv(65536).decode()
            match = re.search(pattern, line)
            if match:
                return line, match


RFC_5424 = r"<(\d+)>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \S+ websocksy (\d+) - - (.*)"
LOCAL = r"<(\d+)>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d websocksy\[(\d+)\]: (.*)"


@pytest.mark.parametrize("kind", ("udp", "unix"))
def test_syslog(run, tmp_path, kind):
    if kind == "udp":
        receiver = run(Receiver(socket.AF_INET, ("127.0.0.1", 0)))
        target, form = "syslog:127.0.0.1:%d" % receiver.sock.getsockname()[1], RFC_5424
    else:
        receiver = run(Receiver(socket.AF_UNIX, str(tmp_path / "socket")))
        target, form = f"syslog:{tmp_path}/socket", LOCAL
    daemon = started(run, target)
    line, match = receiver.recv(r"listening on 127\.0\.0\.1:(\d+)")
    assert re.fullmatch(form, line).groups() == ("29", str(daemon.process.pid), match[0])  # daemon.notice
    session(daemon, int(match[1]), "/path")
    line, _ = receiver.recv("closed")
    priority, _, text = re.fullmatch(form, line).groups()
    assert priority == "30"
    assert text_events(text)[0]["path"] == "/path"


def test_syslog_of_json(run):
    receiver = run(Receiver(socket.AF_INET, ("127.0.0.1", 0)))
    started(run, "syslog:127.0.0.1:%d" % receiver.sock.getsockname()[1], "--log-format=json")
    line, _ = receiver.recv("listening on")
    assert json_lines(re.fullmatch(RFC_5424, line)[3])[0]["msg"].startswith("listening on ")


def test_syslog_daemon_that_does_not_read(run, tmp_path):
    """Its socket is full after a few lines; connections go on, and it learns later what it has missed."""
    receiver = run(Receiver(socket.AF_UNIX, str(tmp_path / "socket")))
    daemon = started(run, f"syslog:{tmp_path}/socket", "--access-log=both")
    _, match = receiver.recv(r"listening on 127\.0\.0\.1:(\d+)")
    port = int(match[1])
    for _ in range(400):
        session(daemon, port)
    for _ in range(3):
        receiver.recv("#")
    session(daemon, port)
    receiver.recv(r"log: \d+ lines lost, syslog was full")


# --- the journal --------------------------------------------------------------------------------


@ROOT_ONLY
def test_journal(run, tmp_path):
    folder = tmp_path / "run"
    (folder / "systemd/journal").mkdir(parents=True)
    mounts = system_folder(folder, "/run")
    receiver = run(Receiver(socket.AF_UNIX, str(folder / "systemd/journal/socket")))
    daemon = started(run, "journal", "-c", "protocol=*", preexec_fn=mounts.enter)
    entry, match = receiver.recv(r"listening on 127\.0\.0\.1:(\d+)")
    assert entry == f"PRIORITY=5\nSYSLOG_IDENTIFIER=websocksy\nMESSAGE={match[0]}\n"
    session(daemon, int(match[1]), "/path")
    entry, _ = receiver.recv("closed")
    fields = dict(line.split("=", 1) for line in entry.splitlines())
    assert fields["PRIORITY"] == "6"
    assert fields["WEBSOCKSY_PATH"] == "/path" and fields["WEBSOCKSY_CODE"] == "1000"
    assert text_events(fields["MESSAGE"])[0]["path"] == "/path"


def test_journal_that_is_absent(tmp_path):
    if os.path.exists("/run/systemd/journal/socket"):
        pytest.skip("this machine has a journal")
    assert failed_start("-l", "127.0.0.1", "-p", "0", "--log-target=journal") == [
        'log-target: "journal": /run/systemd/journal/socket: No such file or directory']
