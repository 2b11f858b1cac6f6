# SPDX-License-Identifier: BSD-2-Clause
"""The options daemon and pid-file."""
import os
import re
import signal
import socket
import subprocess

import pytest

from tools.configuration import ECHO, reload, write_config
from tools.daemon import BINARY, SANITIZED, Daemon, Unprivileged, environment, failed_start, run_once
from tools.detached import Detached
from tools.plugin_builder import build_plugin
from tools.ports import free_port
from tools.sockets import is_open
from tools.tls_files import self_signed
from tools.waiting import TIMEOUT, eventually


# --- detaching ----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ("-D", "--daemon", "--daemon=yes", "file"))
def test_start_returns_when_the_daemon_listens(run, tmp_path, way):
    args = [way]
    if way == "file":
        args = [write_config(tmp_path, (("daemon", "yes"),))]
    pid_file = tmp_path / "pid"
    port = free_port()
    result = run_once(*Daemon.DEFAULTS, "-p", port, f"--pid-file={pid_file}", f"--log-target=file:{tmp_path}/log", *args)
    assert result.returncode == 0, result.stderr
    try:
        assert is_open(("127.0.0.1", port))
    finally:
        os.kill(int(pid_file.read_text()), signal.SIGTERM)


def test_daemon_is_in_a_session_of_its_own_without_being_its_leader(run, tmp_path):
    daemon = run(Detached(tmp_path))
    fields = open(f"/proc/{daemon.pid}/stat").read().rsplit(")", 1)[1].split()
    session, terminal = int(fields[3]), fields[4]
    assert session != daemon.pid and session != os.getsid(0)
    assert terminal == "0"


def test_surroundings_of_the_daemon(run, tmp_path):
    daemon = run(Detached(tmp_path))
    assert daemon.link("cwd") == "/"
    assert daemon.status("Umask") == "0027"
    assert [daemon.link(f"fd/{fd}") for fd in range(3)] == 3 * ["/dev/null"]
    daemon.open().close_handshake()
    daemon.stop()


def test_log_goes_on_after_detaching(run, tmp_path):
    daemon = run(Detached(tmp_path))
    assert daemon.stderr == ""
    daemon.open().close_handshake()
    eventually(lambda: re.search(r"#1 127\.0\.0\.1:\d+: closed", daemon.log()), "the line of the connection")
    daemon.stop()
    assert "stopping (Terminated)" in daemon.log()


def test_standard_error_stays_if_it_is_asked_for(run, tmp_path):
    with open(tmp_path / "error", "w", encoding="ascii") as error:
        subprocess.run([BINARY, *Daemon.DEFAULTS, "-c", "host=echo://", "-D", f"--pid-file={tmp_path}/pid",
                        "--log-target=stderr"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=error,
                       timeout=TIMEOUT, env=environment(), check=True)
    pid = int((tmp_path / "pid").read_text())
    os.kill(pid, signal.SIGTERM)
    eventually(lambda: "stopping (Terminated)" in (tmp_path / "error").read_text(), "the last line")


def test_program_does_not_keep_the_streams(tmp_path):
    """Whoever reads the output of the start would wait for the end of the program."""
    result = run_once(*Daemon.DEFAULTS, "-D", f"--pid-file={tmp_path}/pid", f"--log-target=file:{tmp_path}/log",
                      "--wrap=unix", "--", "/bin/sleep", "1000")
    assert result.returncode == 0, result.stderr
    pid = int((tmp_path / "pid").read_text())
    try:
        program = open(f"/proc/{pid}/task/{pid}/children", encoding="ascii").read().split()[0]
        assert [os.readlink(f"/proc/{program}/fd/{fd}") for fd in range(3)] == 3 * ["/dev/null"]
    finally:
        os.kill(pid, signal.SIGTERM)


def test_program_that_cannot_be_started_is_reported(tmp_path):
    """Although standard error is not the one of the start any more."""
    program = tmp_path / "program"
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)
    result = run_once(*Daemon.DEFAULTS, "-D", f"--log-target=file:{tmp_path}/log", "--wrap=unix", "--", program)
    assert result.returncode == 1
    assert re.search(f"error: cannot start {program}: No such file or directory", result.stderr), result.stderr


def test_log_goes_to_syslog_by_default():
    assert "log-target = syslog" in run_once("-D", "--dump-config").stdout
    assert "log-target = stderr" in run_once("--dump-config").stdout


@pytest.mark.skipif(os.path.exists("/dev/log"), reason="there is a syslog daemon")
def test_start_without_a_syslog_daemon(run, tmp_path):
    """A container has none; the daemon starts all the same."""
    port = free_port()
    result = run_once("-D", "-l", "127.0.0.1", "-p", port, f"--pid-file={tmp_path}/pid")
    assert result.returncode == 0
    assert re.search(r'warning: log-target: "syslog" \(default\): /dev/log: .*; nothing is logged from here on',
                     result.stderr)
    assert is_open(("127.0.0.1", port))
    pid = int((tmp_path / "pid").read_text())
    assert os.readlink(f"/proc/{pid}/fd/2") == "/dev/null"
    os.kill(pid, signal.SIGTERM)


@pytest.mark.skipif(SANITIZED, reason="sanitizers have descriptors of their own")
def test_inherited_descriptors_are_closed(run, tmp_path):
    read, write = os.pipe()
    daemon = run(Detached(tmp_path, pass_fds=[write]))
    os.close(write)
    assert os.read(read, 1) == b""  # no process has the other end any more
    os.close(read)
    daemon.open().close_handshake()


def test_status_of_a_daemon_that_does_not_start():
    port = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        lines = failed_start("-D", "-l", "127.0.0.1", "-p", port, "--log-target=stderr")
    assert lines == [f"cannot listen on 127.0.0.1, port {port}: Address already in use"]


def test_errors_of_the_configuration_come_before_detaching(tmp_path):
    assert failed_start("-D", "--ping=x") == [
        'command line: --ping: "x" is not a time (use seconds, or a number with ms, s, m or h)']
    assert failed_start("-D", "-b", "nosuch")[0].startswith("command line: backend: ")
    assert failed_start("--daemon=maybe") == ['command line: --daemon: "maybe" is neither yes nor no']


def test_checks_and_output_do_not_detach(tmp_path):
    assert "the configuration is fine" in run_once("-D", "-t").stderr
    assert "daemon = yes" in run_once("-D", "--dump-config").stdout
    assert run_once("-D", "--version").stdout


def test_relative_paths_begin_where_the_daemon_was_started(run, tmp_path):
    """Also for a reload, when the working directory is another one."""
    (tmp_path / "index.html").write_text("first")
    self_signed(tmp_path, "localhost")
    write_config(tmp_path, (("web", "index.html"),), name="relative.conf")
    (tmp_path / "users").write_text("")
    daemon = run(Detached(tmp_path, "relative.conf", "--auth-file=users", "--web-auth=no",
                          pid_file="relative.pid", cwd=tmp_path))
    assert daemon.link("cwd") == "/"
    with open(tmp_path / "relative.conf", "a", encoding="ascii") as file:
        file.write("[core]\nhealth = /alive\n")
    daemon.signal(signal.SIGHUP)

    def answer():
        with socket.create_connection(("127.0.0.1", daemon.port)) as sock:
            sock.sendall(b"GET /alive HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            return sock.recv(4096)

    eventually(lambda: answer().startswith(b"HTTP/1.1 200"), "the new configuration")
    with socket.create_connection(("127.0.0.1", daemon.port)) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert b"first" in b"".join(iter(lambda: sock.recv(4096), b""))
    daemon.stop()
    assert not (tmp_path / "relative.pid").exists()


def test_paths_are_absolute_in_the_dump(tmp_path):
    (tmp_path / "page.html").write_text("x")
    result = run_once("--web=page.html", "--pid-file=a/b", "--dump-config", cwd=tmp_path)
    assert f"web = {tmp_path}/page.html" in result.stdout
    assert f"pid-file = {tmp_path}/a/b" in result.stdout


# Loaded as a framing plugin: while the daemon starts.
FATAL = r"""
#include <signal.h>

__attribute__((constructor)) static void begin(void){
    raise(SIGKILL);
}
"""


def test_daemon_that_dies_early_is_reported_with_its_signal(tmp_path):
    """The process that was started exits like a shell does for a program that a signal has ended."""
    build_plugin(tmp_path, "fatal", FATAL)
    assert run_once("-D", "-p", "0", f"--plugin-path={tmp_path}").returncode == 128 + signal.SIGKILL


# --- pid-file -----------------------------------------------------------------------------------


def test_pid_file(run, tmp_path):
    path = tmp_path / "pid"
    daemon = run(Daemon(f"--pid-file={path}", peer="echo://"))
    assert path.read_text() == f"{daemon.process.pid}\n"
    assert path.stat().st_mode & 0o7777 == 0o644
    daemon.stop()
    assert not path.exists()


def test_pid_file_is_removed_after_a_start_that_fails(tmp_path):
    failed_start(f"--pid-file={tmp_path}/pid", "-l", "no-such-name.invalid")
    assert not (tmp_path / "pid").exists()


@pytest.mark.parametrize("detach", ((), ("-D",)))
def test_second_instance_reports_the_running_process(run, tmp_path, detach):
    path = tmp_path / "pid"
    daemon = run(Daemon(f"--pid-file={path}", peer="echo://"))
    lines = failed_start("-p", daemon.port, "-l", "127.0.0.1", f"--pid-file={path}", "--log-target=stderr", *detach)
    assert lines == [f'pid-file: "{path}" is locked by the running process {daemon.process.pid}']
    assert path.read_text() == f"{daemon.process.pid}\n"
    daemon.open().close_handshake()
    daemon.stop()


@pytest.mark.parametrize("content", ("", "1\n", "99999999 and a long rest of an older file\n", "x"))
def test_file_of_a_process_that_runs_no_more_is_taken_over(run, tmp_path, content):
    """Process 1 exists, but it has not locked the file."""
    path = tmp_path / "pid"
    path.write_text(content)
    path.chmod(0o600)
    daemon = run(Daemon(f"--pid-file={path}", peer="echo://"))
    assert path.read_text() == f"{daemon.process.pid}\n"
    assert path.stat().st_mode & 0o7777 == 0o644


def test_file_after_a_kill_is_taken_over(run, tmp_path):
    path = tmp_path / "pid"
    first = run(Daemon(f"--pid-file={path}", peer="echo://"))
    first.kill()
    assert path.exists()
    second = run(Daemon(f"--pid-file={path}", peer="echo://"))
    assert path.read_text() == f"{second.process.pid}\n"


def test_file_of_another_daemon_is_not_removed(run, tmp_path):
    path = tmp_path / "pid"
    daemon = run(Daemon(f"--pid-file={path}", peer="echo://"))
    path.unlink()
    path.write_text("other\n")
    daemon.stop()
    assert path.read_text() == "other\n"


def test_pid_file_that_cannot_be_written(tmp_path):
    assert failed_start(f"--pid-file={tmp_path}/no/pid") == [
        f'pid-file: "{tmp_path}/no/pid" cannot be written: No such file or directory']
    assert failed_start(f"--pid-file={tmp_path}") == [
        f'pid-file: "{tmp_path}" cannot be written: Is a directory']


def test_links_are_not_followed(tmp_path):
    target = tmp_path / "target"
    target.write_text("precious")
    (tmp_path / "symbolic").symlink_to(target)
    (tmp_path / "hard").hardlink_to(target)
    assert failed_start(f"--pid-file={tmp_path}/symbolic") == [
        f'pid-file: "{tmp_path}/symbolic" cannot be written: symbolic links are not followed']
    assert failed_start(f"--pid-file={tmp_path}/hard") == [
        f'pid-file: "{tmp_path}/hard" has several hard links (remove it)']
    assert target.read_text() == "precious"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to other users")
def test_file_of_another_user_is_not_used(run):
    place = run(Unprivileged())
    path = place.folder / "pid"
    path.write_text("1\n")
    os.chown(path, 65534, 65534)
    assert failed_start(f"--pid-file={path}") == [
        f'pid-file: "{path}" belongs to another user (remove it)']


def test_other_files_than_regular_ones_are_not_used(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    assert failed_start(f"--pid-file={tmp_path}/fifo") == [
        f'pid-file: "{tmp_path}/fifo" is not a regular file (remove it)']


def test_reload_does_not_change_it(run, tmp_path):
    core = (("port", 0), ("listen", "127.0.0.1"), ("pid-file", tmp_path / "pid"))
    path = write_config(tmp_path, core, ECHO)
    daemon = run(Daemon(path, defaults=False))
    write_config(tmp_path, (*core, ("pid-file", tmp_path / "other"), ("daemon", "yes")), ECHO)
    text = reload(daemon)
    assert f"{path}:5: pid-file: changes only when the daemon is started again" in text
    assert f"{path}:6: daemon: changes only when the daemon is started again" in text
    assert (tmp_path / "pid").exists() and not (tmp_path / "other").exists()
    daemon.stop()
    assert not (tmp_path / "pid").exists()
