# SPDX-License-Identifier: BSD-2-Clause
"""Logins under attack, over plain HTTP, by cookie, and after the users have changed."""
import array
import base64
import itertools
import os
import re

import pytest

from tools import tls_files
from tools.configuration import BASE, ECHO, reload
from tools.daemon import Daemon, run_once
from tools.http import build_request
from tools.tls import open_tls
from tools.users import PAGE, SLOW, basic, begin, check_challenge, check_open, write_users
from tools.waiting import TIMEOUT, eventually

PROXY = "--trusted-proxy=127.0.0.1"


def client_of(address, **headers):
    """Header fields of a request that a trusted proxy forwards."""
    return {"X-Forwarded-For": address, **headers}


# --- floods and guessing ------------------------------------------------------------------------


def test_flood_of_one_address_does_not_lock_users_out(run, tmp_path):
    """A right password from elsewhere is accepted while one address floods the queue of hashes."""
    users = write_users(tmp_path / "users", alice=("secret", SLOW))
    daemon = run(Daemon(f"--auth-file={users}", "--handshake-timeout=1h", PROXY, peer="echo://"))
    flood = [begin(daemon, f"user {number}", "wrong", extra=[("X-Forwarded-For", "192.0.2.1")]) for number in range(80)]
    daemon.wait_log("answered 429: too many passwords of this address or user are being verified", count=5)
    check_open(daemon, headers=client_of("192.0.2.2", **basic("alice", "secret")))
    answer = flood[-1].recv_http()
    assert answer.status == 429 and int(answer.header("Retry-After")) > 0


def test_guesses_are_delayed(run, tmp_path):
    """After some failures an address is not verified for a time; other addresses and names are not concerned."""
    users = write_users(tmp_path / "users", alice="secret", bob="secret")
    daemon = run(Daemon(f"--auth-file={users}", PROXY, peer="echo://"))
    guesses = [daemon.http(headers=client_of("192.0.2.1", **basic("alice", f"{number}"))) for number in range(20)]
    assert {answer.status for answer in guesses[:6]} == {401}
    refused = [answer for answer in guesses if answer.status == 429]
    assert refused and all(1 <= int(answer.header("Retry-After")) <= 60 for answer in refused)
    daemon.wait_log(r'answered 429: too many failed logins, try again later \(user "alice"\)')
    check_open(daemon, headers=client_of("192.0.2.1", **basic("bob", "secret")))
    check_open(daemon, headers=client_of("192.0.2.2", **basic("alice", "secret")))
    check_open(daemon, headers=client_of("192.0.2.1", **basic("alice", "secret")))  # verified lately


# --- what credentials may be --------------------------------------------------------------------


@pytest.fixture
def daemon(run, tmp_path):
    page = tmp_path / "page.html"
    page.write_bytes(PAGE)
    users = write_users(tmp_path / "users", alice="secret", long="x" * 72, sha=("y" * 128, "$5$rounds=1000$salt"))
    return run(Daemon(f"--auth-file={users}", f"--web={page}", "--auth-cookie=10m", peer="echo://"))


def test_log_names_another_encoding(daemon):
    """Credentials in ISO 8859-1 are not UTF-8, which the log says."""
    value = "Basic " + base64.b64encode("alice:\xe9".encode("latin-1")).decode()
    check_challenge(daemon.http(headers={"Authorization": value}))
    daemon.wait_log("answered 401: the user and the password are not UTF-8")


@pytest.mark.parametrize("user, password, error", (
    ("long", 72 * "x" + "y", "the password is longer than its hash allows"),
    ("sha", 129 * "y", "the user or the password is too long")))
def test_password_that_is_longer_than_what_is_verified(daemon, user, password, error):
    """bcrypt ignores what follows 72 bytes, and long passwords cost more with other hashes."""
    check_open(daemon, headers=basic(user, password[:-1]))
    check_challenge(daemon.http(headers=basic(user, password)))
    daemon.wait_log(f"answered 401: {re.escape(error)}")


# --- plain HTTP beside TLS ----------------------------------------------------------------------


@pytest.fixture
def users(tmp_path):
    path = write_users(tmp_path / "users", alice="secret")
    path.chmod(0o600)
    return path


def secure(*args):
    _, pair = tls_files.shared()
    return Daemon(f"--cert={pair.cert}", f"--key={pair.key}", *args, peer="echo://", tls=False)


def over_tls(daemon, **request):
    authority, _ = tls_files.shared()
    client = open_tls(daemon, tls_files.client_context(authority))
    client.send_raw(build_request(**request))
    return client


@pytest.mark.parametrize("plain", (True, False), ids=("page", "upgrade"))
def test_no_password_in_clear_text_beside_tls(run, users, plain):
    """Plain HTTP is neither asked for a password nor accepted with one if there is a certificate."""
    daemon = run(secure(f"--auth-file={users}"))
    for headers in ({}, basic("alice", "secret")):
        answer = daemon.http(plain=plain, headers=headers)
        assert answer.status == 403 and not answer.header("WWW-Authenticate")
    daemon.wait_log("answered 403: passwords are accepted over https only")
    over_tls(daemon, headers=basic("alice", "secret")).recv_upgrade()


def test_insecure_auth(run, users):
    daemon = run(secure(f"--auth-file={users}", "--insecure-auth=yes"))
    daemon.wait_log("warning: command line: --insecure-auth: passwords are accepted over plain HTTP")
    check_open(daemon, headers=basic("alice", "secret"))


def test_trusted_proxy_may_use_plain_http(run, users):
    daemon = run(secure(f"--auth-file={users}", PROXY))
    check_open(daemon, headers=client_of("192.0.2.1", **basic("alice", "secret")))


def test_hsts(run):
    """Over TLS alone, with pages, errors and upgrades (RFC 6797, 7.2)."""
    daemon = run(secure("--hsts=1h", "--health=/healthz"))
    for path, plain in (("/none", True), ("/healthz", True), ("/", False)):
        answer = over_tls(daemon, path=path, plain=plain).recv_http()
        assert answer.header("Strict-Transport-Security") == "max-age=3600"
        client = daemon.connect()
        client.send_raw(build_request(path, plain=plain))
        assert not client.recv_http().header("Strict-Transport-Security")


@pytest.mark.parametrize("option", ("hsts", "auth-cookie"))
def test_bad_times(option):
    result = run_once("-t", f"--{option}=x")
    assert result.returncode == 1 and f"--{option}: \"x\"" in result.stderr


# --- login cookies ------------------------------------------------------------------------------


def take_cookie(daemon, **headers):
    answer = daemon.http(plain=True, headers=headers or basic("alice", "secret"))
    assert answer.status == 200
    return answer.header("Set-Cookie")


def test_cookie_of_a_page_opens_a_websocket(daemon):
    """Safari sends no password with a WebSocket; the cookie of the page stands for it."""
    cookie = take_cookie(daemon)
    assert "; Path=/; Max-Age=600; HttpOnly; SameSite=Strict" in cookie and "Secure" not in cookie
    value = cookie.split(";")[0]
    check_open(daemon, headers={"Cookie": f"other=1; {value}"})
    daemon.wait_log('user "alice" authenticated')
    check_challenge(daemon.http(plain=True, headers={"Cookie": value}))  # pages need the password
    check_challenge(daemon.http(headers={"Cookie": value[:-1]}))
    check_challenge(daemon.http(headers={"Cookie": value, **basic("alice", "wrong")}))
    refused = daemon.http(plain=True, headers=basic("alice", "wrong"))
    assert refused.status == 401 and not refused.header("Set-Cookie")


def test_cookie_over_tls_is_secure(run, users, tmp_path):
    page = tmp_path / "page.html"
    page.write_bytes(PAGE)
    daemon = run(secure(f"--auth-file={users}", f"--web={page}", "--auth-cookie=1h"))
    answer = over_tls(daemon, plain=True, headers=basic("alice", "secret")).recv_http()
    assert answer.header("Set-Cookie").endswith("; SameSite=Strict; Secure")


def test_no_cookie_by_default(run, users, tmp_path):
    page = tmp_path / "page.html"
    page.write_bytes(PAGE)
    daemon = run(Daemon(f"--auth-file={users}", f"--web={page}", peer="echo://"))
    assert not take_cookie(daemon)


def test_backend_does_not_get_the_cookie(run, users, tmp_path):
    page, routes = tmp_path / "page.html", tmp_path / "routes"
    page.write_bytes(PAGE)
    routes.mkdir()
    (routes / "1").write_text("echo:// *\n")
    daemon = run(Daemon(f"--auth-file={users}", f"--web={page}", "--auth-cookie=1h", "-b", "file", "-c",
                        f"path={routes}", "-c", "expression=%header:Cookie%"))
    value = take_cookie(daemon).split(";")[0]
    check_open(daemon, headers={"Cookie": f"{value}; 1"})


# --- users that change --------------------------------------------------------------------------


def test_reload_ends_sessions_of_users_that_changed(run, tmp_path, config):
    """A user who is removed, or has another hash, keeps neither a WebSocket nor a cookie."""
    page = tmp_path / "page.html"
    page.write_bytes(PAGE)
    path = write_users(tmp_path / "users", alice="secret", bob="secret", carl="secret")
    daemon = run(Daemon(config((*BASE, ("auth-file", path), ("web", page), ("auth-cookie", "1h")), ECHO),
                        defaults=False))
    clients = {name: daemon.open(headers=basic(name, "secret")) for name in ("alice", "bob", "carl")}
    cookies = {name: take_cookie(daemon, **basic(name, "secret")).split(";")[0] for name in clients}
    write_users(path, bob="new", carl="secret")
    reload(daemon)
    for name in ("alice", "bob"):
        clients[name].expect_close(1008)
        clients[name].close()
        check_challenge(daemon.http(headers={"Cookie": cookies[name]}))
    clients["carl"].round_trip()
    check_open(daemon, headers={"Cookie": cookies["carl"]})


# --- files and memory ---------------------------------------------------------------------------


@pytest.mark.parametrize("mode, warning", (
    (0o600, None), (0o640, None), (0o644, "all users may read"), (0o660, "its group may write to"),
    (0o666, "all users may write to")))
def test_warning_about_modes(users, tmp_path, mode, warning):
    """Secrets that others can read, and files that others can write."""
    _, pair = tls_files.shared()
    key, conf = tmp_path / "key.pem", tmp_path / "test.conf"
    key.write_bytes(pair.key.read_bytes())
    conf.write_text(f"[core]\nauth-file = {users}\ncert = {pair.cert}\nkey = {key}\n")
    for path in (key, conf, users):
        path.chmod(mode)
    result = run_once("-t", "--config", conf)
    assert result.returncode == 0
    warnings = [line for line in result.stderr.splitlines() if "warning" in line]
    # A configuration may be read by all.
    assert len(warnings) == (0 if not warning else 2 if "read" in warning else 3), result.stderr
    assert all(warning in line for line in warnings)


PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")
USED = 3 << 62  # flags in /proc/PID/pagemap: in memory or swapped out
SHADOW = 1 << 30  # terabytes in which a sanitizer describes the rest; there is no data in them


def used_ranges(pid, start, end):
    """The pages that have been written to: to read the others would take long with a sanitizer."""
    with open(f"/proc/{pid}/pagemap", "rb", 0) as pagemap:
        pagemap.seek(start // PAGE_SIZE * 8)
        pages = array.array("Q", pagemap.read((end - start) // PAGE_SIZE * 8))
    for used, run in itertools.groupby(enumerate(pages), lambda page: page[1] & USED != 0):
        numbers = [number for number, _ in run]
        if used:
            yield start + numbers[0] * PAGE_SIZE, len(numbers) * PAGE_SIZE


def memory_of(pid):
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            bounds, mode = line.split()[:2]
            start, end = (int(number, 16) for number in bounds.split("-"))
            if not mode.startswith("rw") or end - start >= SHADOW:
                continue
            for at, size in used_ranges(pid, start, end):
                try:
                    memory.seek(at)
                    yield memory.read(size)
                except OSError:
                    pass


@pytest.mark.skipif(os.getuid() != 0, reason="reads the memory of another process")
def test_password_does_not_stay_in_memory(run, tmp_path):
    """Neither the password nor its base64 form is there when the connections have gone."""
    users = write_users(tmp_path / "users", alice="Xq7-ZweiVier-Pass")
    daemon = run(Daemon(f"--auth-file={users}", peer="echo://"))
    request = build_request(headers=basic("alice", "Xq7-ZweiVier-Pass"))
    secret = basic("alice", "Xq7-ZweiVier-Pass")
    with daemon.connect() as client:  # gone before the request is complete
        client.send_raw(request[:-3])
        daemon.open(headers=secret).close_handshake()
    with daemon.connect() as client:  # one behind the other
        client.send_raw(build_request(plain=True, headers=secret) + request)
        client.recv_http()
    # While the first password is verified, more comes than the buffer has room for.
    with daemon.connect() as client:
        client.send_raw(build_request(headers=basic("alice", "Xq7-ZweiVier-Pass?")))
        client.send_in_background(request * 50).join(TIMEOUT)
        client.recv_http()
    for cut in (len(request), len(request) - 3, 20):  # at once, and in two pieces
        client = daemon.connect()
        client.send_raw(request[:cut])
        if cut < len(request):
            daemon.open(headers=basic("alice", "Xq7-ZweiVier-Pass")).close_handshake()  # the piece has been read
            client.send_raw(request[cut:])
        client.recv_upgrade()
        client.close_handshake()
    needles = (b"Xq7-ZweiVier-Pass", base64.b64encode(b"alice:Xq7-ZweiVier-Pass")[:-4])
    eventually(lambda: not any(needle in block for block in memory_of(daemon.process.pid) for needle in needles))
    hash_of_alice = users.read_bytes().strip().partition(b":")[2]  # something that is there can be found
    assert any(hash_of_alice in block for block in memory_of(daemon.process.pid))


def limits(daemon):
    return re.search(r"Max core file size +(\S+)", open(f"/proc/{daemon.process.pid}/limits").read())[1]


def test_no_core_dumps(run):
    """No core is written of the passwords and keys in memory, and other processes cannot read it."""
    daemon = run(Daemon(peer="echo://"))
    assert limits(daemon) == "0"
    assert os.stat(f"/proc/{daemon.process.pid}/maps").st_uid == 0  # the kernel's mark of such a process


def test_core_dump_yes(run):
    before = re.search(r"Max core file size +(\S+)", open("/proc/self/limits").read())[1]
    assert limits(run(Daemon("--core-dump=yes", peer="echo://"))) == before


@pytest.mark.parametrize("option", ("insecure-auth", "core-dump"))
def test_bad_switches(option):
    result = run_once("-t", f"--{option}=maybe")
    assert result.returncode == 1 and "is neither yes nor no" in result.stderr
