# SPDX-License-Identifier: BSD-2-Clause
"""The program that the daemon is started with (-- PROGRAM): wrap, wrap-mode, existing servers."""
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tools.daemon import SANITIZED, Daemon, failed_start, run_once
from tools.frames import CLOSE, TEXT
from tools.http import build_request
from tools.ports import free_port
from tools.sockets import needs_ipv6
from tools.waiting import eventually

PYTHON = sys.executable
# How a program binds {port}, and what it answers.
SERVE = """
import os, socket, sys, threading
def serve(s):
    s.listen()
    while True:
        c, _ = s.accept()
        c.sendall(b"from %d: " % os.getpid() + c.recv(100))
        c.close()
def bound(family, address, reuse=False, only=False):
    s = socket.socket(family)
    if reuse:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if only:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind(address)
    return s
"""
PORT = "port = int(sys.argv[1])\n"
FOUR = "bound(socket.AF_INET, ('', port))"
SIX = "bound(socket.AF_INET6, ('::', port))"


def wrapped(run, *argv, options=(), port=None, **kwargs):
    """A daemon with a program; `port`: wrap = port."""
    options = (f"--wrap-port={port}", *options) if port else options
    return run(Daemon(*options, "--close-timeout=1s", "--", *argv, **kwargs))


def python(code):
    return PYTHON, "-c", SERVE + code


def answer(daemon, text="hello"):
    client = daemon.open()
    client.send_text(text)
    data = b""
    while True:
        got = client.recv_frame()
        if got.opcode == CLOSE:
            client.send_close(1000)
            client.close()
            return data.decode()
        data += got.payload


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


# --- wrap = port --------------------------------------------------------------------------------


@pytest.mark.parametrize("code", (
    f"serve({FOUR})",
    pytest.param(f"serve({SIX})", marks=needs_ipv6),
    pytest.param(f"a = {FOUR}; b = bound(socket.AF_INET6, ('::1', port), only=True)\n"
                 "threading.Thread(target=serve, args=(b,), daemon=True).start(); serve(a)", marks=needs_ipv6),
    "serve(bound(socket.AF_INET, ('127.0.0.1', port), reuse=True))",
    # twice: a first look whether the port is free, then for good
    f"s = {FOUR}; s.close(); serve({FOUR})",
    # in a child, after a fork, in a program that another one starts
    f"if os.fork(): os.wait()\nelse: serve({FOUR})",
    f"s = {FOUR}\nif os.fork(): s.close(); os.wait()\nelse: serve(s)",
    # several sockets that share the port
    "s = [bound(socket.AF_INET, ('', port), reuse=True) for _ in range(3)]\n"
    "for one in s: threading.Thread(target=serve, args=(one,), daemon=True).start()\nthreading.Event().wait()",
), ids=("ipv4", "ipv6", "both", "reuseport", "twice", "child", "after-a-fork", "shared"))
def test_port_that_a_program_binds(run, code):
    port = free_port()
    daemon = wrapped(run, *python(PORT + code), str(port), port=port)
    for _ in range(4):
        assert re.fullmatch(r"from \d+: hello", answer(daemon))
    daemon.wait_log("the program listens on ")


def test_port_that_is_bound_again_later(run):
    """The new one counts."""
    port = free_port()
    daemon = wrapped(run, *python(PORT + f"s = {FOUR}; s.listen(); s.close(); serve({FOUR})"), str(port), port=port)
    daemon.wait_log("the program listens on ", count=2)
    assert answer(daemon).endswith(": hello")


def test_port_that_another_program_binds(run):
    """Programs that it starts have its environment."""
    port = free_port()
    daemon = wrapped(run, "sh", "-c", '"$@" & wait', "sh", *python(PORT + f"serve({FOUR})"), str(port), port=port)
    assert answer(daemon).endswith(": hello")


def test_port_of_the_daemon_is_the_default(run):
    port = free_port()
    program = (*python(PORT + f"serve({FOUR})"), str(port))
    daemon = run(Daemon("-l", "127.0.0.1", "-p", port, "--", *program, defaults=False))
    assert answer(daemon).endswith(": hello")


def test_other_ports_and_other_sockets_are_left_alone(run):
    port, other = free_port(), free_port()
    daemon = wrapped(run, *python(
        PORT + f"s = bound(socket.AF_INET, ('127.0.0.1', {other})); assert s.getsockname()[1] == {other}\n"
        "u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); u.bind(('127.0.0.1', port))\n"
        "assert u.getsockname()[1] == port\n"
        "x = socket.socket(socket.AF_UNIX); x.bind(b'\\0' + b'%d' % os.getpid())\n"
        f"serve({FOUR})"), str(port), port=port)
    assert answer(daemon).endswith(": hello")


def test_program_that_binds_late(run, tmp_path):
    """Clients wait for it."""
    port, file = free_port(), tmp_path / "now"
    daemon = wrapped(run, *python(
        PORT + f"import time\nwhile not os.path.exists('{file}'): time.sleep(0.01)\nserve({FOUR})"), str(port),
                     port=port)
    clients = [daemon.connect() for _ in range(3)]
    for client in clients:
        client.send_raw(build_request("/"))
    daemon.settle()
    file.touch()
    for client in clients:
        client.recv_upgrade()
        client.send_text("waited")
        assert client.recv_message()[1].endswith(b": waited")


@pytest.mark.parametrize("wrap", ("port", "unix"))
def test_program_that_never_binds(run, wrap):
    daemon = wrapped(run, "sleep", "1000", options=(f"--wrap={wrap}", "--connect-timeout=300ms"),
                     port=free_port() if wrap == "port" else None)
    client = daemon.connect()
    client.send_raw(build_request("/"))
    assert client.recv_http().status == 504
    daemon.wait_log("cannot connect to program://sleep: no answer in time")


def test_forged_report_is_not_believed(run):
    port = free_port()
    daemon = wrapped(run, *python(PORT + """
import socket
name = os.environ['WEBSOCKSY_REBIND'].split(':')[1]
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
for text in (b'', b'x', b'0' * 32 + b' 4 22', b'0' * 90):
    s.sendto(text, b'\\0' + name.encode())
""" + f"serve({FOUR})"), str(port), port=port)
    daemon.wait_log("a report about a port that is not from the program", count=4)
    assert answer(daemon).endswith(": hello")


def test_forged_reports_do_not_fill_the_log(run):
    port = free_port()
    daemon = wrapped(run, *python(PORT + """
import socket
name = os.environ['WEBSOCKSY_REBIND'].split(':')[1]
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
for _ in range(100):
    s.sendto(b'x', b'\\0' + name.encode())
""" + f"serve({FOUR})"), str(port), port=port)
    assert answer(daemon).endswith(": hello")
    lines = re.findall("a report about a port that is not from the program.*", daemon.log())
    assert len(lines) == 8 and lines[-1].endswith(" (further ones are not logged)")


def test_variables_of_the_library_of_websockify(tmp_path):
    library = Path(os.environ.get("WEBSOCKSY", "websocksy")).resolve().parent / "preload/rebind.so"
    for old, new in (("REBIND_OLD_PORT", "REBIND_NEW_PORT"), ("REBIND_PORT_OLD", "REBIND_PORT_NEW")):
        port = free_port()
        text = subprocess.run(
            [PYTHON, "-c", "import socket; s = socket.socket(); s.bind(('', 5901)); print(s.getsockname())"],
            env={"LD_PRELOAD": str(library), old: "5901", new: str(port)}, capture_output=True, text=True, check=True)
        assert text.stdout == f"('127.0.0.1', {port})\n"


@pytest.mark.skipif(SANITIZED, reason="the sanitizer has to be the first library")
def test_preloaded_libraries_of_others_stay(run):
    port = free_port()
    daemon = wrapped(run, *python(PORT + "assert os.environ['LD_PRELOAD'].endswith('rebind.so:libm.so.6')\n"
                                  f"serve({FOUR})"), str(port), port=port, env={"LD_PRELOAD": "libm.so.6"})
    assert answer(daemon).endswith(": hello")


# --- wrap = unix --------------------------------------------------------------------------------


UNIX = """
s = socket.socket(socket.AF_UNIX)
s.bind(os.environ['SOCKET'])
assert sys.argv[1] == 'a' + os.environ['SOCKET'] + 'b'
serve(s)
"""


def test_unix_socket(run):
    daemon = wrapped(run, *python(UNIX), "a{SOCKET}b", options=("--wrap=unix",))
    assert answer(daemon).endswith(": hello")
    pid = daemon.children()[0]
    path = re.search(rb"\0SOCKET=([^\0]+)", Path(f"/proc/{pid}/environ").read_bytes())[1].decode()
    assert oct(Path(path).parent.stat().st_mode)[-3:] == "700"
    daemon.stop()
    assert not is_alive(int(pid))
    assert not Path(path).parent.exists()


def test_directory_of_the_service_manager(run, tmp_path):
    daemon = wrapped(run, *python(UNIX), "a{SOCKET}b", options=("--wrap=unix",),
                     env={"RUNTIME_DIRECTORY": f"{tmp_path}:/nonexistent"})
    assert answer(daemon).endswith(": hello")
    assert [path.name[:10] for path in tmp_path.iterdir()] == ["websocksy-"]


def test_directory_that_cannot_be_made():
    lines = failed_start("-p", "0", "-l", "127.0.0.1", "--wrap=unix", "--", "cat",
                         env={"RUNTIME_DIRECTORY": "/nonexistent"})
    assert re.fullmatch(r"wrap: cannot make a directory for the socket: /nonexistent/websocksy-\w+: "
                        "No such file or directory", lines[-1])


# --- wrap = stdio -------------------------------------------------------------------------------


def test_stdio(run):
    daemon = wrapped(run, "sh", "-c", 'echo "$1|$2|$3"; cat', "x", "a b", "", '""%?', options=("--wrap=stdio",))
    client = daemon.open()
    assert client.recv_message() == (TEXT, b'a b||""%?\n')
    client.send_text("echo")
    assert client.recv_message() == (TEXT, b"echo")
    client.close_handshake()


def test_relative_program(run, tmp_path):
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho here\n")
    program.chmod(0o755)
    daemon = wrapped(run, "./program", options=("--wrap=stdio",), cwd=tmp_path)
    assert answer(daemon) == "here\n"


def test_dump_reads_back(tmp_path):
    first = run_once("--wrap=stdio", "--pty=yes", "--dump-config", "--", "cat", "a b?")
    assert first.returncode == 0, first.stderr
    assert "host = exec:///usr/bin/cat a%20b%3F" in first.stdout or "host = exec:///bin/cat a%20b%3F" in first.stdout
    file = tmp_path / "dump"
    file.write_text(first.stdout)
    for extra in ((), ("--", "cat", "a b?")):
        again = run_once(file, "--dump-config", *extra)
        assert (again.returncode, again.stdout) == (0, first.stdout), again.stderr


# --- wrap-mode ----------------------------------------------------------------------------------


@pytest.mark.parametrize("script, status", (("exit 0", 0), ("exit 7", 7), ("kill -KILL $$", 137)))
def test_exit_ends_the_daemon_with_its_status(run, script, status):
    daemon = wrapped(run, "sh", "-c", script, options=("--wrap=unix",))
    assert daemon.wait() == status
    assert re.search(r"/sh \(process \d+\): (exit status|killed by signal)", daemon.log())
    assert "stopping (wrap-mode = exit)" in daemon.log()


def test_exit_closes_connections(run):
    daemon = wrapped(run, *python("""
s = socket.socket(socket.AF_UNIX); s.bind(os.environ['SOCKET']); s.listen()
c, _ = s.accept(); c.recv(1); os._exit(3)
"""), options=("--wrap=unix",))
    client = daemon.open()
    client.send_text("x")
    assert client.recv_frame().opcode == CLOSE
    client.send_close(1000)
    assert daemon.wait() == 3


def test_ignore_goes_on_with_what_is_in_the_background(run):
    port = free_port()
    daemon = wrapped(run, *python(PORT + f"s = {FOUR}\nif os.fork(): os._exit(0)\nserve(s)"), str(port), port=port,
                     options=("--wrap-mode=ignore",))
    daemon.wait_log(r"python\S* \(process \d+\): exit status 0")
    pid = int(re.match(r"from (\d+)", answer(daemon))[1])
    assert is_alive(pid) and not daemon.children()
    daemon.stop()
    eventually(lambda: not is_alive(pid), "the end of the process in the background")


def test_respawn(run):
    port = free_port()
    daemon = wrapped(run, *python(PORT + "s = bound(socket.AF_INET, ('', port)); s.listen(); c, _ = s.accept()\n"
                                  "c.sendall(b'from %d' % os.getpid()); os._exit(1)"), str(port), port=port,
                     options=("--wrap-mode=respawn",))
    seen = {answer(daemon) for _ in range(3)}
    assert len(seen) == 3


def test_respawn_unix_socket(run):
    daemon = wrapped(run, *python("s = socket.socket(socket.AF_UNIX); s.bind(os.environ['SOCKET']); s.listen()\n"
                                  "c, _ = s.accept(); c.sendall(b'%d' % os.getpid()); os._exit(1)"),
                     options=("--wrap-mode=respawn", "--wrap=unix"))
    assert len({answer(daemon) for _ in range(3)}) == 3


def test_respawn_too_fast_is_delayed(run):
    daemon = wrapped(run, "false", options=("--wrap-mode=respawn", "--wrap=unix"))
    daemon.wait_log("/false is started too often; the next time in 1 s")
    assert len(re.findall(r"started \S*/false ", daemon.log())) == 3
    daemon.wait_log("/false is started too often; the next time in 2 s")
    daemon.stop()


@pytest.mark.parametrize("mode", ("exit", "ignore", "respawn"))
def test_program_and_its_group_end_with_the_daemon(run, tmp_path, mode):
    pids = tmp_path / "pids"
    script = f"trap '' TERM; sleep 1000 & echo $$ $! > {pids}.part; mv {pids}.part {pids}; wait"
    daemon = wrapped(run, "sh", "-c", script, options=("--wrap=unix", f"--wrap-mode={mode}", "--close-timeout=200ms"))
    eventually(pids.exists, "the start")
    daemon.stop()
    eventually(lambda: not any(is_alive(int(pid)) for pid in pids.read_text().split()), "the end of the group")


def test_reload(run, tmp_path):
    """It goes on as it is, also if its file cannot be found from where the daemon is now."""
    file = tmp_path / "config"
    file.write_text("[core]\nwrap = unix\n")
    (tmp_path / "python").symlink_to(PYTHON)
    daemon = wrapped(run, "./python", "-c", SERVE + UNIX, "a{SOCKET}b", options=(f"--config={file}",), cwd=tmp_path)
    before = answer(daemon)
    file.write_text("[core]\nwrap = stdio\nwrap-mode = ignore\n")
    (tmp_path / "python").unlink()
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("the configuration has been read again")
    daemon.wait_log(f"{file}:2: wrap: changes only when the daemon is started again")
    assert answer(daemon) == before


def test_daemon_in_the_background_leaves_no_stream_to_the_program(tmp_path):
    """A pipe that its output goes to ends when the daemon has detached."""
    pid_file, log = tmp_path / "pid", tmp_path / "log"
    result = run_once("-D", f"--pid-file={pid_file}", f"--log-target=file:{log}", "-p", "0", "-l", "127.0.0.1",
                      "--wrap=unix", "--", "sleep", "1000")
    assert result.returncode == 0
    pid = int(pid_file.read_text())
    program = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0]
    assert [os.readlink(f"/proc/{program}/fd/{fd}") for fd in range(3)] == ["/dev/null"] * 3
    os.kill(pid, signal.SIGTERM)
    eventually(lambda: not is_alive(pid) and not is_alive(program), "the end of both")


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("args, error", (
    (("--",), "command line: --: a program is missing behind it (-- PROGRAM ARGUMENT...)"),
    (("--wrap=stdio", "--", "no-such-program"),
     'command line: --: "no-such-program": there is no such program (use -- PROGRAM ARGUMENT...)'),
    (("--wrap=stdio", "--", "/etc/passwd"),
     'command line: --: "/etc/passwd": this is not a program that can be executed (use -- PROGRAM ARGUMENT...)'),
    (("--wrap=unix", "--pty=yes", "--", "cat"),
     "command line: --pty: needs wrap = stdio: other programs have no client of their own"),
    (("--wrap=stdio", "--wrap-mode=respawn", "--", "cat"),
     "command line: --wrap-mode: has no effect with wrap = stdio, where each client has a process of its own "
     "(use wrap = port or unix)"),
    (("--wrap=stdio", "--wrap-port=1", "--", "cat"), "command line: --wrap-port: needs wrap = port"),
    (("-p", "0", "--", "cat"),
     "command line: --port: is chosen by the kernel, so the port that the program binds has to be given "
     "(wrap-port = PORT)"),
    (("--wrap-library=/nonexistent.so", "--", "cat"),
     'command line: --wrap-library: cannot read "/nonexistent.so": No such file or directory '
     "(use wrap = unix or stdio, or name the file rebind.so)"),
    (("--wrap=unix", "-c", "host=tcp://a:1", "--", "cat"),
     "command line: host: contradicts the program behind --, which is the only peer (leave one of them out)"),
    (("--wrap=unix", "-b", "file", "--", "cat"),
     "command line: backend: contradicts the program behind --, which is the only peer (leave one of them out)"),
    (("--wrap=pipe",), 'command line: --wrap: "pipe" is none of port, unix, stdio'),
    (("--wrap-mode=restart",), 'command line: --wrap-mode: "restart" is none of exit, ignore, respawn'),
))
def test_mistakes(args, error):
    assert failed_start(*args)[0] == error
    assert failed_start("-t", *args)[0] == error


def test_program_peer_without_a_program(run):
    daemon = run(Daemon(peer="program://x"))
    client = daemon.connect()
    client.send_raw(build_request("/"))
    assert client.recv_http().status == 502
    daemon.wait_log("the daemon has not been started with a program")


def test_second_daemon_starts_no_program(run, tmp_path):
    """The port is taken: nothing has been started when that is found out."""
    first = run(Daemon(peer="echo://"))
    file = tmp_path / "started"
    failed_start("-l", "127.0.0.1", "-p", first.port, "--wrap=unix", "--", "touch", file)
    assert not file.exists()


# --- existing servers ---------------------------------------------------------------------------


def http_get(daemon):
    client = daemon.open()
    client.send_text("GET / HTTP/1.0\r\n\r\n")
    data = b""
    while (got := client.recv_frame()).opcode != CLOSE:
        data += got.payload
    return data


def test_http_server_of_python(run, tmp_path):
    port = free_port()
    daemon = wrapped(run, PYTHON, "-m", "http.server", str(port), port=port, cwd=tmp_path)
    assert http_get(daemon).startswith(b"HTTP/1.0 200 OK\r\n")


def test_http_server_of_busybox(run, tmp_path):
    (tmp_path / "index.html").write_text("page\n")
    port = free_port()
    daemon = wrapped(run, "busybox", "httpd", "-f", "-p", str(port), "-h", str(tmp_path), port=port)
    assert b"200 OK" in http_get(daemon)


def test_http_server_that_puts_itself_into_the_background(run, tmp_path):
    (tmp_path / "index.html").write_text("page\n")
    port = free_port()
    daemon = wrapped(run, "busybox", "httpd", "-p", str(port), "-h", str(tmp_path), port=port,
                     options=("--wrap-mode=ignore",))
    try:
        assert b"200 OK" in http_get(daemon)
    finally:
        # It has a session of its own, out of reach for the daemon.
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                command = path.read_bytes()
                if command.startswith(b"busybox") and str(tmp_path).encode() in command:
                    os.kill(int(path.parent.name), signal.SIGKILL)
            except OSError:
                pass


@pytest.mark.parametrize("wrap", ("port", "unix"))
def test_redis(run, tmp_path, wrap):
    port = free_port()
    where = ("--port", str(port)) if wrap == "port" else ("--port", "0", "--unixsocket", "{SOCKET}")
    daemon = wrapped(run, "redis-server", *where, "--save", "", "--dir", str(tmp_path), options=(f"--wrap={wrap}",),
                     port=port if wrap == "port" else None)
    client = daemon.open()
    client.send_text("SET key value\r\nGET key\r\n")
    seen = b""
    while not seen.endswith(b"$5\r\nvalue\r\n"):
        seen += client.recv_message()[1]


@pytest.mark.skipif(os.geteuid() != 0, reason="telnetd starts login as root")
def test_telnetd_for_each_client(run):
    daemon = wrapped(run, shutil.which("telnetd", path="/usr/sbin:/usr/libexec"), options=("--wrap=stdio",))
    client = daemon.open()
    assert client.recv_frame().payload.startswith(b"\xff")  # IAC: the negotiation begins


@pytest.mark.skipif(os.geteuid() != 0, reason="sshd runs as root")
def test_sshd_for_each_client(run, tmp_path):
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    Path("/run/sshd").mkdir(exist_ok=True)
    daemon = wrapped(run, "/usr/sbin/sshd", "-i", "-f", "/dev/null", "-h", str(key), options=("--wrap=stdio",))
    client = daemon.open()
    client.send_text("SSH-2.0-test\r\n")
    assert client.recv_frame().payload.startswith(b"SSH-2.0-OpenSSH")


def test_vnc_server(run, tmp_path):
    port = free_port()
    daemon = wrapped(run, "Xtigervnc", f":{port}", "-rfbport", str(port), "-SecurityTypes", "None", "-nolisten", "tcp",
                     port=port, env={"HOME": str(tmp_path)})
    client = daemon.open()
    assert client.recv_message()[1] == b"RFB 003.008\n"
