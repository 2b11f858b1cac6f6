# SPDX-License-Identifier: BSD-2-Clause
"""The options user, group and chroot."""
import grp
import os
import pwd
import re
import shutil
import signal

import pytest

from tools.configuration import ECHO, UNCHANGED, reload, write_config
from tools.daemon import SANITIZED, Daemon, Unprivileged, failed_start, run_once
from tools.detached import Detached
from tools.tls_files import self_signed
from tools.waiting import eventually

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the user")
# Without /proc the sanitizer cannot look for leaks.
IN_CHROOT = {"ASAN_OPTIONS": "detect_leaks=0"} if SANITIZED else {}
NOBODY = pwd.getpwnam("nobody")
AS_ROOT = r"warning: running as root; set user to a user without privileges"


def values(daemon, key):
    """The words behind a key of /proc/PID/status, the same for all threads."""
    found = set()
    for task in os.listdir(f"/proc/{daemon.process.pid}/task"):
        text = open(f"/proc/{daemon.process.pid}/task/{task}/status").read()
        found.add(re.search(rf"^{key}:\s*(.*)$", text, re.MULTILINE)[1])
    assert len(found) == 1
    return found.pop().split()


def expect_no_capabilities(daemon):
    for key in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(values(daemon, key)[0], 16) == 0, key


@pytest.fixture
def place(run):
    """A folder that every user may enter."""
    return run(Unprivileged()).folder


# --- user and group -----------------------------------------------------------------------------


@as_root
@pytest.mark.parametrize("name", ("nobody", str(NOBODY.pw_uid)))
def test_user(run, name):
    daemon = run(Daemon(f"--user={name}", peer="echo://"))
    assert values(daemon, "Uid") == 4 * [str(NOBODY.pw_uid)]
    assert values(daemon, "Gid") == 4 * [str(NOBODY.pw_gid)]
    expect_no_capabilities(daemon)
    assert not re.search(AS_ROOT, daemon.log())
    daemon.open().close_handshake()
    daemon.stop()


@as_root
def test_all_threads_change_the_user(run, tmp_path):
    users = tmp_path / "users"
    users.write_text("a:$2y$05$abcdefghijklmnopqrstuuJ0gTpYvWFPUQLXyPq6MWBWfTfkKHSLK\n")
    users.chmod(0o600)
    daemon = run(Daemon("--user=nobody", f"--auth-file={users}", peer="echo://"))
    assert daemon.status("Threads") == 2
    assert values(daemon, "Uid") == 4 * [str(NOBODY.pw_uid)]
    expect_no_capabilities(daemon)


@as_root
def test_supplementary_groups_are_those_of_the_user(run):
    """With a user that is a member of several, if there is one."""
    members = [user for group in grp.getgrall() for user in group.gr_mem if user != "root"]
    name = members[0] if members else "nobody"
    user = pwd.getpwnam(name)
    daemon = run(Daemon(f"--user={name}", peer="echo://"))
    assert sorted(map(int, values(daemon, "Groups"))) == sorted(os.getgrouplist(name, user.pw_gid))


@as_root
@pytest.mark.parametrize("group", ("daemon", str(grp.getgrnam("daemon").gr_gid)))
def test_group(run, group):
    number = str(grp.getgrnam("daemon").gr_gid)
    daemon = run(Daemon("--user=nobody", f"--group={group}", peer="echo://"))
    assert values(daemon, "Gid") == 4 * [number]
    assert set(values(daemon, "Groups")) == {number}


@as_root
def test_group_alone(run):
    number = str(grp.getgrnam("daemon").gr_gid)
    daemon = run(Daemon("--group=daemon", peer="echo://"))
    assert values(daemon, "Uid")[0] == "0" and values(daemon, "Gid") == 4 * [number]
    assert values(daemon, "Groups") == [number]


@as_root
def test_user_number_without_an_entry(run):
    daemon = run(Daemon("--user=54321", "--group=54322", peer="echo://"))
    assert values(daemon, "Uid")[0] == "54321" and values(daemon, "Groups") == ["54322"]
    assert failed_start("--user=54321") == [
        "command line: --user: 54321 has no entry in the user database: a group is needed, too"]


@as_root
def test_sockets_are_bound_and_keys_read_before(run, tmp_path):
    """A port that only root may bind, and files that only root may read."""
    pair = self_signed(tmp_path, "localhost")
    os.chmod(pair.key, 0o600)
    path = tmp_path / "socket"
    daemon = run(Daemon("--user=nobody", "-l", f"unix:{path}", f"--cert={pair.cert}", f"--key={pair.key}",
                        peer="echo://", tls=False))
    daemon.open(address=str(path)).close_handshake()
    text = daemon.log()
    assert f'warning: user: a reload needs "{pair.key}" (key), which is not readable any more' in text
    daemon.stop()


@as_root
def test_files_that_a_reload_cannot_read_are_reported(run, place):
    core = (("port", 0), ("listen", "127.0.0.1"), ("user", "nobody"))
    secret = write_config(place, core, ECHO, name="secret.conf")
    secret.chmod(0o600)
    users = place / "users"
    users.write_text("")
    daemon = run(Daemon(secret, f"--auth-file={users}", "--web-auth=no", defaults=False))
    daemon.wait_log(rf'warning: user: a reload needs "{secret}" \(configuration file\), which is not readable '
                    "any more: Permission denied")
    assert str(users) not in re.findall('reload needs "([^"]*)"', daemon.log())
    reload(daemon, UNCHANGED)
    daemon.wait_log("Permission denied")


@as_root
def test_reload_and_new_certificates_as_another_user(run, place):
    pair = self_signed(place, "localhost")
    for path in (os.path.dirname(pair.cert), pair.cert, pair.key):
        os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
    core = (("port", 0), ("listen", "127.0.0.1"), ("user", "nobody"), ("cert", pair.cert), ("key", pair.key))
    path = write_config(place, core, ECHO)
    daemon = run(Daemon(path, defaults=False))
    assert "a reload needs" not in daemon.log()
    reload(daemon)
    os.utime(pair.cert)
    daemon.wait_log("the certificates have been read again")


@as_root
def test_pid_file_of_a_daemon_that_may_not_remove_it_becomes_empty(run, tmp_path):
    """It may be removed where the directory is the user's."""
    own = tmp_path / "own"
    own.mkdir()
    os.chown(own, NOBODY.pw_uid, NOBODY.pw_gid)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() == "root" and folder != folder.parent:
            folder.chmod(folder.stat().st_mode | 0o111)
    for path in (tmp_path / "pid", own / "pid"):
        daemon = run(Detached(tmp_path, "--user=nobody", pid_file=path))
        assert path.stat().st_uid == 0
        daemon.stop()
    assert (tmp_path / "pid").read_text() == ""
    assert not (own / "pid").exists()


@as_root
def test_warning_about_root(run):
    daemon = run(Daemon(peer="echo://"))
    assert len(re.findall(AS_ROOT, daemon.log())) == 1


@as_root
def test_core_dumps_after_a_change_of_the_user(run):
    """The kernel switches them off then, which the option is to undo."""
    for answer, owner in (("yes", NOBODY.pw_uid), ("no", 0)):
        daemon = run(Daemon("--user=nobody", f"--core-dump={answer}", peer="echo://"))
        assert os.stat(f"/proc/{daemon.process.pid}/environ").st_uid == owner


@pytest.mark.parametrize("option, value, text", (
    ("user", "no-such-user", '"no-such-user" is not a user of this system (use its name or number)'),
    ("group", "no-such-group", '"no-such-group" is not a group of this system (use its name or number)'),
    ("chroot", "/no/such/directory", '"/no/such/directory": No such file or directory'),
    ("chroot", "/etc/passwd", '"/etc/passwd" is not a directory'),
))
def test_names_that_do_not_exist(option, value, text, tmp_path):
    assert failed_start(f"--{option}={value}") == [f"command line: --{option}: {text}"]
    assert failed_start(f"--{option}={value}", "-t") == [f"command line: --{option}: {text}"]
    path = write_config(tmp_path, ((option, value),))
    assert failed_start(path, "-D") == [f"{path}:2: {option}: {text}"]


@pytest.mark.parametrize("option", ("user=root", "group=root", "chroot=/"))
def test_other_users_than_root_cannot_change(run, option):
    place = run(Unprivileged())
    result = run_once(*place.args, f"--{option}", **place.popen)
    assert result.returncode == 1
    assert re.search(rf"command line: --{option.split('=')[0]}: needs a start as root \(this is user \d+\)",
                     result.stderr)


def test_own_user_is_no_change(run):
    place = run(Unprivileged())
    name = str(place.popen.get("user", os.getuid()))
    daemon = run(Daemon(*place.args, f"--user={name}", f"--group={place.popen.get('group', os.getgid())}",
                        peer="echo://", **place.popen))
    daemon.open().close_handshake()


# --- chroot -------------------------------------------------------------------------------------


@as_root
def test_chroot(run, place):
    daemon = run(Daemon(f"--chroot={place}", "--user=nobody", peer="echo://", env=IN_CHROOT))
    assert os.readlink(f"/proc/{daemon.process.pid}/root") == str(place)
    assert os.readlink(f"/proc/{daemon.process.pid}/cwd") == str(place)
    expect_no_capabilities(daemon)
    daemon.open().close_handshake()
    for name in ("/etc/hosts", "/etc/resolv.conf"):
        assert f"chroot: name lookups need {name} in the new root directory" in daemon.log()
    daemon.stop()


@as_root
def test_no_descriptor_leads_out_of_the_root(run, place):
    (place / "index.html").write_text("x")
    daemon = run(Detached(place, f"--chroot={place}", "--user=nobody", "--web", place, env=IN_CHROOT))
    for fd in os.listdir(f"/proc/{daemon.pid}/fd"):
        path = daemon.link(f"fd/{fd}")
        assert not os.path.isdir(path) or path.startswith(str(place)), path


@as_root
def test_paths_beneath_the_root_keep_their_meaning(run, place):
    """Options name paths as seen from outside, before and after the change, and at a reload."""
    web = place / "web"
    web.mkdir()
    (web / "index.html").write_text("inside")
    pair = self_signed(place, "localhost")
    for path in (os.path.dirname(pair.cert), pair.cert, pair.key):
        os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
    (place / "etc").mkdir()
    for name in ("hosts", "resolv.conf"):
        shutil.copy(f"/etc/{name}", place / "etc" / name)
    run_dir = place / "run"
    run_dir.mkdir()
    os.chown(run_dir, NOBODY.pw_uid, NOBODY.pw_gid)
    core = (("port", 0), ("listen", "127.0.0.1"), ("listen", f"unix:{run_dir}/socket"), ("user", "nobody"),
            ("chroot", place), ("web", web), ("cert", pair.cert), ("key", pair.key),
            ("pid-file", run_dir / "pid"))
    path = write_config(place, core, ECHO)
    daemon = run(Daemon(path, defaults=False, env=IN_CHROOT))
    assert "a reload needs" not in daemon.log() and "name lookups need" not in daemon.log()
    assert b"inside" in daemon.http(plain=True).body
    write_config(place, (*core, ("health", "/alive")), ECHO)
    assert "changes only" not in reload(daemon)
    assert daemon.http("/alive", plain=True).status == 200
    assert b"inside" in daemon.http(plain=True).body
    daemon.open(address=str(run_dir / "socket")).close_handshake()
    os.utime(pair.cert)
    daemon.wait_log("the certificates have been read again")
    daemon.stop()
    assert os.listdir(run_dir) == []


@as_root
def test_files_outside_of_the_root_are_reported(run, place, tmp_path):
    path = write_config(tmp_path, (("port", 0), ("listen", "127.0.0.1")), ECHO)
    daemon = run(Daemon(path, f"--chroot={place}", "--user=nobody", defaults=False, env=IN_CHROOT))
    daemon.wait_log(rf'warning: chroot: a reload needs "{path}" \(configuration file\), which is not readable any '
                    "more: No such file or directory")
    reload(daemon, UNCHANGED)
    daemon.open().close_handshake()


@as_root
def test_chroot_of_root_alone(run, place):
    daemon = run(Daemon(f"--chroot={place}", peer="echo://", env=IN_CHROOT))
    daemon.wait_log("warning: chroot: root can leave it; set user, too")


@as_root
def test_reload_does_not_change_user_or_root(run, place):
    core = (("port", 0), ("listen", "127.0.0.1"), ("user", "nobody"))
    path = write_config(place, core, ECHO)
    daemon = run(Daemon(path, defaults=False, env=IN_CHROOT))
    write_config(place, (*core, ("user", "daemon"), ("chroot", place)), ECHO)
    text = reload(daemon)
    for option in ("user", "chroot"):
        assert f"{option}: changes only when the daemon is started again" in text
    assert values(daemon, "Uid")[0] == str(NOBODY.pw_uid)
    daemon.signal(signal.SIGHUP)
    eventually(lambda: daemon.log().count("has been read again") == 2, "the second reload")
