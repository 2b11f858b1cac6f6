# SPDX-License-Identifier: BSD-2-Clause
"""Programs as peers, one process for each connection: exec://PROGRAM ARG..., with a socket and with a terminal."""
import os
import re
import signal
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest

from tools.daemon import SANITIZED, Daemon, failed_start, run_once
from tools.frames import BINARY_OP, CLOSE, TEXT, frame
from tools.http import build_request
from tools.waiting import eventually


def exec_url(*argv):
    return "exec://" + " ".join(quote(str(word), safe="/-=,.:") or '""' for word in argv)


def shell(script):
    return exec_url("/bin/sh", "-c", script)


def start(run, peer, *args, **kwargs):
    return run(Daemon("--exec=yes", *args, peer=peer, **kwargs))


def received(client):
    """All that comes until the close frame, and its code."""
    data, code = b"", None
    while code is None:
        got = client.recv_frame()
        if got.opcode == CLOSE:
            code = int.from_bytes(got.payload[:2], "big")
        else:
            data += got.payload
    return data, code


def output_of(run, peer, *args, path="/", daemon=None, **kwargs):
    """What a program writes until it exits."""
    daemon = daemon or start(run, peer, *args, **kwargs)
    client = daemon.open(path)
    data, code = received(client)
    assert code == 1000
    client.send_close(1000)
    return data.decode()


def no_children(daemon):
    eventually(lambda: not daemon.children(), "the end of all programs")


def foreground_name(pid):
    """Of the process that gets the signals of its terminal, as soon as it has been executed."""
    group = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[5]
    return Path(f"/proc/{group}/comm").read_text().strip()


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def settled(daemon, fds):
    no_children(daemon)
    eventually(lambda: daemon.fds() <= fds, f"{fds} descriptors")


# --- both directions ----------------------------------------------------------------------------


def test_a_program_for_each_client(run):
    daemon = start(run, "exec://cat")
    first, second = daemon.open(), daemon.open()
    assert len(daemon.children()) == 2
    first.send_text("one")
    second.send_binary(b"\xff\x00two")
    assert first.recv_message() == (TEXT, b"one")
    assert second.recv_message() == (BINARY_OP, b"\xff\x00two")
    first.close_handshake()
    eventually(lambda: len(daemon.children()) == 1, "the end of the first program")
    second.close_handshake()
    no_children(daemon)


def test_bc_calculates(run):
    client = start(run, "exec://bc -q").open()
    client.send_text("2^100\n")
    assert client.recv_message() == (TEXT, b"1267650600228229401496703205376\n")
    client.send_text("quit\n")
    assert received(client) == (b"", 1000)


def test_all_output_before_the_exit_arrives(run):
    daemon = start(run, "exec://seq 1 300000")
    client = daemon.open()
    data, code = received(client)
    assert code == 1000
    assert data.decode().split() == [str(i) for i in range(1, 300001)]
    client.send_close(1000)
    no_children(daemon)


def test_all_input_before_the_close_frame_arrives(run, tmp_path):
    """The close frame is the end of file for the program, which may take its time to finish."""
    file = tmp_path / "copy"
    daemon = start(run, shell(f"cat > {file}.part; sleep 0.05; mv {file}.part {file}"))
    client = daemon.open()
    data = os.urandom(3_000_000)
    client.send_binary(data)
    client.close_handshake(1000)
    eventually(file.exists, "the end of the program")
    assert file.read_bytes() == data
    no_children(daemon)


def test_exit_without_reading_the_input_is_no_failure(run):
    daemon = start(run, "exec://head -n 1")
    client = daemon.open()
    client.send_text("first\n" + "more\n" * 2000)
    data, code = received(client)
    assert (data, code) == (b"first\n", 1000)


@pytest.mark.parametrize("script", ("exit 3", "kill -SEGV $$", "exec 1>&- 0<&-; exit 0"))
def test_every_exit_is_the_end(run, script):
    daemon = start(run, shell(f"echo said; {script}"), "-v")
    client = daemon.open()
    assert received(client) == (b"said\n", 1000)
    client.send_close(1000)
    no_children(daemon)
    daemon.wait_log(r"process \d+: (exit status [03]|killed by signal 11 )")


@pytest.mark.parametrize("pty", ("no", "yes"))
def test_exit_is_the_end_although_a_background_process_holds_the_output(run, pty):
    daemon = start(run, shell("trap '' HUP; sleep 1000 & echo $!"), f"--pty={pty}", "--close-timeout=100ms")
    client = daemon.open()
    data, code = received(client)
    assert code == 1000
    client.send_close(1000)
    eventually(lambda: not is_alive(int(data)), "the end of the background process")


def test_standard_error_is_that_of_the_daemon(run):
    daemon = start(run, shell("echo complaint >&2"))
    assert received(daemon.open()) == (b"", 1000)
    daemon.wait_log("^complaint$")


# --- what a program inherits --------------------------------------------------------------------


def test_environment_describes_the_request(run):
    env = {"HTTP_X_FORGED": "yes", "REMOTE_USER": "root", "KEPT": "value", "CONTENT_LENGTH": "3"}
    daemon = start(run, "exec://env", env=env)
    client = daemon.open("/a%20path/x?key=%20value&b", headers={
        "X-Custom": "one, two", "Proxy": "http://evil", "Authorization": "Basic QTpC", "Cookie": "a=b",
        "X_Under": "score", "Websocksy-User": "root", "Origin": "http://localhost"})
    data, _ = received(client)
    got = dict(line.split("=", 1) for line in data.decode().splitlines())
    port = str(client.sock.getsockname()[1])
    for name, value in {
            "GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/a path/x",
            "REQUEST_URI": "/a%20path/x?key=%20value&b", "QUERY_STRING": "key=%20value&b",
            "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "127.0.0.1", "REMOTE_PORT": port, "KEPT": "value",
            "HTTP_X_CUSTOM": "one, two", "HTTP_ORIGIN": "http://localhost"}.items():
        assert got.get(name) == value, name
    assert got["SERVER_SOFTWARE"].startswith("websocksy/")
    assert got["SERVER_NAME"] and got["SERVER_PORT"].isdigit()
    assert ("HTTPS" in got) == bool(daemon.tls)
    missing = {"HTTP_PROXY", "HTTP_AUTHORIZATION", "HTTP_COOKIE", "HTTP_X_UNDER", "HTTP_WEBSOCKSY_USER",
               "HTTP_X_FORGED", "REMOTE_USER", "CONTENT_LENGTH"}
    assert not missing & set(got)


def test_user_is_in_the_environment(run, tmp_path):
    users = tmp_path / "users"
    users.write_text(subprocess.run(["htpasswd", "-nbB", "-C", "4", "ann", "secret"], capture_output=True, text=True,
                                    check=True).stdout)
    users.chmod(0o600)
    daemon = start(run, "exec://env", f"--auth-file={users}", "--insecure-auth=yes")
    client = daemon.connect()
    client.upgrade(headers={"Authorization": "Basic YW5uOnNlY3JldA=="})
    data, _ = received(client)
    assert b"\nREMOTE_USER=ann\n" in data and b"QTpC" not in data and b"YW5u" not in data


@pytest.mark.parametrize("pty", ("no", "yes"))
def test_nothing_but_the_standard_descriptors_is_open(run, pty):
    """Not even a descriptor that the daemon was started with."""
    read, write = os.pipe()
    try:
        daemon = start(run, exec_url("/bin/ls", "-1", "/proc/self/fd"), f"--pty={pty}", pass_fds=(read, write))
    finally:
        os.close(read)
        os.close(write)
    for _ in range(3):
        daemon.open()
    # The fourth is the directory that ls reads.
    assert output_of(run, None, daemon=daemon).split() == ["0", "1", "2", "3"]


def test_signals_limits_and_the_umask(run):
    def prepare():
        os.umask(0o037)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGQUIT, signal.SIG_IGN)

    script = "umask; ulimit -Sn; grep -E '^Sig(Blk|Ign)' /proc/self/status"
    lines = output_of(run, shell(script), preexec_fn=prepare).split()
    assert lines[0] == "0037"
    assert int(lines[1]) <= 1024
    assert [int(value, 16) for value in lines[3::2]] == [0, 0]


@pytest.mark.parametrize("pty", ("no", "yes"))
def test_session_of_its_own(run, pty):
    pid, _, state = output_of(run, exec_url("/bin/cat", "/proc/self/stat"), f"--pty={pty}").partition(" ")
    fields = state.rsplit(")", 1)[1].split()
    group, session, terminal = fields[2:5]
    assert group == session == pid
    assert (terminal != "0") == (pty == "yes")


# --- the end ------------------------------------------------------------------------------------


def test_signals_in_turn(run, tmp_path):
    """A program that does not end with its input gets SIGHUP, SIGTERM and SIGKILL, each after close-timeout."""
    log = tmp_path / "signals"
    script = f"trap 'echo HUP >> {log}' HUP; trap 'echo TERM >> {log}' TERM; echo up; while :; do sleep 0.01; done"
    daemon = start(run, shell(script), "--close-timeout=300ms")
    client = daemon.open()
    assert client.recv_message() == (TEXT, b"up\n")
    client.close_handshake()
    no_children(daemon)
    assert log.read_text() == "HUP\nTERM\n"


def test_program_that_ends_with_its_input_gets_no_signal(run, tmp_path):
    log = tmp_path / "log"
    daemon = start(run, shell(f"trap 'echo HUP >> {log}' HUP TERM; echo up; cat; sleep 0.1; echo end >> {log}"))
    client = daemon.open()
    assert client.recv_message() == (TEXT, b"up\n")
    client.close_handshake()
    no_children(daemon)
    assert log.read_text() == "end\n"


@pytest.mark.parametrize("pty", ("no", "yes"))
@pytest.mark.parametrize("second", (False, True))
def test_programs_end_with_the_daemon(run, pty, second):
    trap = "HUP TERM" if second else "USR1"
    daemon = start(run, shell(f"trap '' {trap}; echo $$; while :; do sleep 0.01; done"), f"--pty={pty}",
                   "--close-timeout=1h" if second else "--close-timeout=200ms", "--grace=100ms")
    client = daemon.open()
    pid = int(client.recv_message()[1])
    daemon.signal(signal.SIGTERM)
    if second:
        client.recv_frame()
        daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    eventually(lambda: not is_alive(pid), "the end of the program")


def test_killed_daemon_takes_its_programs_along(run):
    daemon = start(run, shell("echo $$; while :; do sleep 0.01; done"))
    pid = int(daemon.open().recv_message()[1])
    daemon.process.kill()
    eventually(lambda: not is_alive(pid), "the end of the program")
    daemon.kill()


def test_client_that_is_gone_before_the_program_has_started(run):
    daemon = start(run, "exec://cat")
    fds = daemon.fds()
    for _ in range(20):
        client = daemon.connect()
        client.send_raw(build_request("/"))
        client.abort()
    settled(daemon, fds)


def test_nothing_remains_of_a_thousand_programs(run):
    daemon = start(run, "exec://true")
    fds, before = daemon.fds(), None
    for number in range(2 if SANITIZED else 10):
        clients = [daemon.connect() for _ in range(100)]
        for client in clients:
            client.send_raw(build_request("/"))
        for client in clients:
            client.recv_upgrade()
            assert received(client) == (b"", 1000)
        daemon.close_clients()
        if number == 1:
            before = daemon.rss()
    settled(daemon, fds)
    assert SANITIZED or daemon.rss() < before + 200_000


# --- flow control -------------------------------------------------------------------------------


def is_blocked(pid):
    """Does it wait in a system call, with no progress between two looks?"""
    def written():
        return re.search(r"wchar: (\d+)", Path(f"/proc/{pid}/io").read_text())[1]
    before = written()
    state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    return state == "S" and before == written()


@pytest.mark.parametrize("pty", ("no", "yes"))
def test_program_that_writes_endlessly_is_throttled(run, pty):
    daemon = start(run, "exec://yes", f"--pty={pty}", "--close-timeout=100ms")
    client = daemon.open(rcvbuf=4096)
    pid = daemon.children()[0]
    eventually(lambda: is_blocked(pid), "the program to wait")
    assert SANITIZED or daemon.rss() < 8 << 20
    other = daemon.open()
    assert other.recv_message()[1].startswith(b"y")
    other.close()
    # It goes on when the client reads, and ends with it.
    for _ in range(100):
        assert set(client.recv_message()[1]) <= set(b"y\r\n")
    client.close()
    no_children(daemon)


@pytest.mark.parametrize("pty", ("no", "yes"))
def test_program_that_does_not_read_pauses_its_client(run, pty):
    daemon = start(run, shell("stty raw -echo 2>/dev/null; echo up; sleep 1000"), f"--pty={pty}",
                   "--close-timeout=100ms", "--stall-timeout=500ms")
    client = daemon.open()
    client.recv_message()
    client.send_in_background(frame(BINARY_OP, bytes(16 << 20)))
    data, _ = received(client)  # by stall-timeout
    assert data == b""
    assert SANITIZED or daemon.rss() < 8 << 20
    client.close()
    no_children(daemon)


# --- terminals ----------------------------------------------------------------------------------


def test_terminal(run):
    text = output_of(run, shell("tty; stty size; echo $TERM; test -t 2 && echo all"), "--pty=yes")
    lines = text.split("\r\n")
    assert re.fullmatch(r"/dev/pts/\d+", lines[0])
    assert lines[1:] == ["24 80", "xterm-256color", "all", ""]


def test_bash_in_a_terminal(run):
    env = {"PS1": "ready> ", "HISTFILE": "", "HOME": "/nonexistent"}
    daemon = start(run, exec_url("/bin/bash", "--norc", "--noprofile", "-i"), "--pty=yes", env=env)
    client = daemon.open()
    seen = ""

    def wait_for(pattern):
        nonlocal seen
        while not (match := re.search(pattern, seen)):
            seen += client.recv_message()[1].decode()
        seen = seen[match.end():]

    wait_for("ready> ")
    client.send_text("echo $((6*7))\n")
    wait_for(r"\b42\r\n(.*\n)*.*ready> ")
    client.send_text("sleep 1000\n")
    wait_for(r"sleep 1000\r\n")
    bash = daemon.children()[0]
    eventually(lambda: foreground_name(bash) == "sleep", "sleep in the foreground")
    client.send_text("\x03")  # the terminal makes a signal of it
    wait_for("ready> ")
    client.send_text("exit 0\n")
    assert received(client)[1] == 1000
    client.send_close(1000)
    no_children(daemon)


def test_terminal_is_hung_up_when_the_client_leaves(run, tmp_path):
    log = tmp_path / "log"
    script = f"trap 'echo HUP >> {log}; exit' HUP; echo up; while :; do sleep 0.01; done"
    daemon = start(run, shell(script), "--pty=yes")
    client = daemon.open()
    assert client.recv_message()[1] == b"up\r\n"
    client.close()
    no_children(daemon)
    assert log.read_text() == "HUP\n"


# --- errors -------------------------------------------------------------------------------------


def test_not_without_permission(run):
    daemon = run(Daemon(peer="exec://cat"))
    client = daemon.connect()
    client.send_raw(build_request("/"))
    assert client.recv_http().status == 502
    daemon.wait_log(r'error: #1 \S+: peer address "exec://cat": programs are started only with exec = yes')
    assert not daemon.children()


def test_not_without_permission_whatever_a_backend_returns(run, tmp_path):
    (tmp_path / "routes").write_text("exec://cat *\n")
    daemon = run(Daemon("-b", "file", "-c", f"path={tmp_path}", "-c", "expression=routes"))
    client = daemon.connect()
    client.send_raw(build_request("/"))
    assert client.recv_http().status == 502
    daemon.wait_log("programs are started only with exec = yes")


@pytest.mark.parametrize("program, why", (
    ("/nonexistent/program", "No such file or directory"),
    ("no-such-program", "No such file or directory"),
    ("/etc/passwd", "Permission denied"),
    ("/etc", "Is a directory"),
))
def test_program_that_cannot_be_started(run, program, why):
    daemon = start(run, f"exec://{program}")
    fds = daemon.fds()
    client = daemon.connect()
    client.send_raw(build_request("/"))
    assert client.recv_http().status == 502
    daemon.wait_log(f"cannot connect to exec://{program}: {why}")
    client.close()
    settled(daemon, fds)


def test_file_that_the_kernel_does_not_execute(run, tmp_path):
    file = tmp_path / "program"
    file.write_text("no program\n")
    file.chmod(0o755)
    daemon = start(run, f"exec://{file}")
    client = daemon.connect()
    client.send_raw(build_request("/"))
    assert client.recv_http().status == 502
    daemon.wait_log("Exec format error")
    no_children(daemon)


@pytest.mark.parametrize("peer, why", (
    ("exec://", "the program is missing"),
    ("exec:// ", "the program is missing"),
    ("exec://./cat", "the program is neither an absolute path nor a name without slashes"),
    ("exec://cat%zz", "% is not followed by two hexadecimal digits"),
    ("exec://cat%00", "% is not followed by two hexadecimal digits"),
    ("exec://cat?pty=yes", "unknown parameter behind the"),
    ("exec:///nonexistent/program", "there is no such program"),
    ("exec:///etc/passwd", "this is not a program that can be executed"),
))
def test_check_of_the_configuration(peer, why):
    lines = failed_start("-t", "--exec=yes", "-c", f"host={peer}")
    result = run_once("-t", "--exec=yes", "-c", f"host={peer}")
    assert f'-c host: "{peer}": ' in result.stderr and why in result.stderr
    assert lines[-1] == "the configuration is not usable: every client would be refused"


def test_check_of_the_permission():
    result = run_once("-t", "-c", "host=exec://cat")
    assert result.returncode == 1
    assert "command line: -c host: programs are started only with exec = yes; clients will get 502" in result.stderr
