# SPDX-License-Identifier: BSD-2-Clause
"""docs/websockify.md: each command in its tables is run as it stands there, and the guide for migration is right.

Only ports, and directories that belong to the system, are replaced.
"""
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tools.daemon import BINARY, ROOT, TLS, Daemon, environment, run_once
from tools.ports import free_port
from tools.tls_files import self_signed
from tools.waiting import TIMEOUT

TEXT = (ROOT / "docs/websockify.md").read_text()
COMPAT = Path(BINARY).parent / "compat"
FOLDERS = ("/run/", "/var/lib/websocksy/", "/var/log/", "/etc/")

# Commands whose configuration is checked, but which are not started here.
CHECKED_ONLY = {
    "vncserver": "starts a server in the background",
    "-D ": "detaches, see test_detach.py",
    "--log-target=file:": "is not seen to listen",
    "syslog:log.example.org": "needs this host",
    "-b redis": "needs this server",
}

pytestmark = [pytest.mark.once, pytest.mark.skipif(TLS, reason="the commands choose themselves where there is TLS")]


def table_commands():
    """The commands in the last column of all tables, each once."""
    found = []
    for line in TEXT.partition("\n## Migration\n")[0].splitlines():
        if line.startswith("| "):
            last = re.split(r"(?<!\\)\|", line)[-2]
            found += [text.replace("\\|", "|") for text in re.findall(r"`([^`]*)`", last)]
    return list(dict.fromkeys(found))


COMMANDS = [text for text in table_commands() if re.match(r"(websocksy|websockify|wsproxy) ", text)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Everything that the commands name."""
    base = tmp_path_factory.mktemp("folder")
    pair = self_signed(base, "localhost")
    together = Path(pair.cert).read_text() + Path(pair.key).read_text()
    for name, text in (("self.pem", together), ("server.pem", Path(pair.cert).read_text()),
                       ("server.key", Path(pair.key).read_text()), ("ca.pem", Path(pair.cert).read_text()),
                       ("passphrases", "secret\n")):
        (base / name).touch(0o600)
        (base / name).write_text(text)
    (base / "users").touch(0o600)
    (base / "users").write_text("alice:$2y$04$" + 53 * "a" + "\n")
    (base / "index.html").symlink_to(ROOT / "index.html")
    for name in ("pages", *(f"root{path}" for path in FOLDERS)):
        (base / name).mkdir(parents=True)
    (base / "root/etc/tokens").mkdir()
    return base


def adapted(command, folder, port):
    """The arguments, with files below `folder` and the port `port`."""
    command = re.sub(r"(?<=-p )\d+|\b2023\b", str(port), command)
    for path in FOLDERS:
        command = re.sub(rf"(?<![\w/]){path}|(?<=://){path}", f"{folder}/root{path}", command)
    return shlex.split(command.partition(" & ")[0])


def run_compat(program, *args, cwd):
    """The equivalent configuration of a command line of websockify."""
    return subprocess.run([COMPAT / program, "--dump-config", *args], capture_output=True, text=True, cwd=cwd,
                          env=environment(), timeout=TIMEOUT, check=False)


@pytest.mark.parametrize("command", COMMANDS)
def test_command(run, folder, command):
    """Those of websocksy are started, those with the command line of websockify are translated."""
    program, *args = adapted(command, folder, free_port())
    if program != "websocksy":
        result = run_compat(program, *args, cwd=folder)
        assert (result.returncode, result.stderr) == (0, "")
        return
    split = args.index("--") if "--" in args else len(args)
    result = run_once(*args[:split], "-t", *args[split:], cwd=folder)
    assert result.returncode == 0, result.stderr
    if not any(part in command for part in CHECKED_ONLY):
        if "-p" not in args:
            args[:0] = ["-p", "0"]
        if "-l" not in args:
            args[:0] = ["-l", "127.0.0.1"]
        run(Daemon(*args, defaults=False, cwd=folder))


def test_all_commands_are_known():
    """The others are programs of the system, or (`file`) a backend."""
    others = [text.split()[0] for text in table_commands() if text not in COMMANDS]
    assert set(others) <= {"systemd-socket-activate", "mkpasswd", "make", "file"}, others
    assert len(COMMANDS) > 30


def test_every_option_has_a_row():
    for name in ("websockify", "wsproxy"):
        output = subprocess.run([COMPAT / name, "--help"], capture_output=True, text=True, check=True).stdout
        options = re.findall(r"^  (--[a-z0-9-]+)", output, re.MULTILINE)
        assert len(options) > 5
        missing = [option for option in options if option != "--help" and option not in TEXT]
        assert missing == []


def lines_below(heading):
    """The indented blocks of a section."""
    section = TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"(?:^    .*\n|^\n(?=    ))+", section, re.MULTILINE)


def test_migration(folder, tmp_path):
    """The configuration file is the command line: they differ in what is said about passwords only."""
    before, after = lines_below("Migration")[:2]
    for old, new in (("/etc/ssl/vnc.pem", f"{folder}/self.pem"), ("/etc/websocksy.users", f"{folder}/users")):
        before, after = before.replace(old, new), after.replace(old, new)
    args = shlex.split(before.replace("\\\n", " "))
    assert args[0] == "websockify"
    text = re.sub(r"^    ", "", after, flags=re.MULTILINE).partition("\n#")[0]
    (tmp_path / "conf").write_text(text)
    results = [run_compat(*args, cwd=tmp_path), run_once(tmp_path / "conf", "--dump-config", cwd=tmp_path)]
    assert [result.returncode for result in results] == [0, 0], results
    first, second = (set(result.stdout.splitlines()) for result in results)
    assert {line.partition(" =")[0] for line in first ^ second} == {"auth-file", "insecure-auth"}, first ^ second


def test_migration_table(folder):
    """What is before is accepted, and so is what comes after it."""
    rows = re.findall(r"^\| `(websockify [^`]*)` \| `([^`]*)` \|$", TEXT.partition("| before | after |")[2], re.MULTILINE)
    assert len(rows) >= 3
    for before, after in rows:
        if shutil.which("vncserver") or "vncserver" not in before:
            program, *args = adapted(before, folder, free_port())
            assert run_compat(program, *args, cwd=folder).returncode == 0, before
            args = adapted(after, folder, free_port())[1:]
            split = args.index("--") if "--" in args else len(args)
            assert run_once(*args[:split], "-t", *args[split:], cwd=folder).returncode == 0, after
