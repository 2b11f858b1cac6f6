# SPDX-License-Identifier: BSD-2-Clause
"""Users and passwords (auth-file, web-auth), and what a backend is told of them."""
import base64
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tools import tls_files
from tools.client import exchange, receive
from tools.configuration import BASE, ECHO, UNCHANGED, reload
from tools.daemon import Daemon, Unprivileged, run_once
from tools.frames import BIN, TEXT, frame
from tools.http import build_request
from tools.peers import TcpPeer
from tools.plugin_builder import build_plugin
from tools.tls import open_tls
from tools.users import (
    KINDS, LIBCRYPT, PAGE, SALT, SLOW, SLOWER, basic, begin, check_challenge, check_open, hashed, write_users)
from tools.waiting import eventually, observed


@pytest.fixture
def users(tmp_path):
    return write_users(tmp_path / "users", alice="secret", bob="p:a:ß€ ", nobody="", **{"zoé": "x"})


@pytest.fixture
def site(tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "index.html").write_bytes(PAGE)
    return folder


@pytest.fixture
def daemon(run, users, site):
    return run(Daemon(f"--auth-file={users}", f"--web={site}", peer="echo://"))


# --- who is let in ------------------------------------------------------------------------------


@pytest.mark.parametrize("user, password", (("alice", "secret"), ("bob", "p:a:ß€ "), ("zoé", "x"), ("nobody", "")))
def test_right_password(daemon, user, password):
    for _ in range(2):  # the second time it is remembered
        check_open(daemon, headers=basic(user, password))
        answer = daemon.http(plain=True, headers=basic(user, password))
        assert (answer.status, answer.body) == (200, PAGE)
    daemon.wait_log(rf'user "{user}" authenticated', count=2)
    daemon.wait_log(rf'GET / answered 200 \(user "{user}"\)', count=2)
    assert password not in daemon.log() or len(password) < 2


@pytest.mark.parametrize("user, password", (
    ("alice", "Secret"), ("alice", ""), ("alice", "secret "), ("alice", "p:a:ß€ "), ("bob", "p"), ("", "secret"),
    ("Alice", "secret"), ("mallory", "secret"), ("# users of a test", ""), ("zoe", "x"), ("nobody", "x"),
), ids=repr)
@pytest.mark.parametrize("plain", (True, False), ids=("page", "upgrade"))
def test_wrong_password(daemon, plain, user, password):
    for _ in range(2):
        check_challenge(daemon.http(plain=plain, headers=basic(user, password)))
    known = user in ("alice", "bob", "nobody")
    shown = rf' \(user "{user}"\)' if known else ""
    expected = rf'wrong user or password{shown}, GET "/"$'
    daemon.wait_log(rf"answered 401: {expected}", count=2)
    assert known or "mallory" not in daemon.log()


MALFORMED = {
    "other scheme": "Bearer c2VjcmV0", "no scheme": "YWxpY2U6c2VjcmV0", "scheme alone": "Basic", "empty": "",
    "no base64": "Basic alice:secret", "no padding": "Basic YTo", "no colon": "Basic YWxpY2U=",
    "white space inside": "Basic YWxpY2U6 c2VjcmV0", "NUL": "Basic YWxpY2U6c2VjcmV0AA==",
    "latin 1": "Basic " + base64.b64encode("alice:\xe9".encode("latin-1")).decode(),
    "long": "Basic " + base64.b64encode(b"alice:" + 600 * b"x").decode(),
    "very long": "Basic " + base64.b64encode(b"alice:" + 15000 * b"x").decode(),
}


@pytest.mark.parametrize("value", MALFORMED.values(), ids=MALFORMED.keys())
@pytest.mark.parametrize("plain", (True, False), ids=("page", "upgrade"))
def test_malformed_credentials(daemon, plain, value):
    check_challenge(daemon.http(plain=plain, headers={"Authorization": value}))


@pytest.mark.parametrize("plain", (True, False), ids=("page", "upgrade"))
def test_credentials_that_are_missing_or_there_twice(daemon, plain):
    check_challenge(daemon.http(plain=plain))
    good = basic("alice", "secret")
    check_challenge(daemon.http(plain=plain, headers=good, extra=list(good.items())))


def test_head_and_missing_pages(daemon):
    client = daemon.connect()
    client.send_raw(build_request(method="HEAD", plain=True, headers=basic("alice", "wrong")))
    check_challenge(client.recv_http(head_only=True))
    client.expect_eof()
    check_challenge(daemon.http("/none", plain=True))  # does not tell what is there
    assert daemon.http("/none", plain=True, headers=basic("alice", "secret")).status == 404


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_hashes(run, tmp_path, kind):
    path = write_users(tmp_path / "users", other="other", alice=("secret ß", KINDS[kind]))
    daemon = run(Daemon(f"--auth-file={path}", peer="echo://"))
    check_challenge(daemon.http(headers=basic("alice", "secret")))
    check_open(daemon, headers=basic("alice", "secret ß"))
    check_challenge(daemon.http(headers=basic("alice", "secret")))


TOOLS = (
    "htpasswd -nbB alice secret", "htpasswd -nb2 alice secret", "htpasswd -nb5 alice secret",
    "mkpasswd secret", "mkpasswd -m yescrypt secret", "mkpasswd -m bcrypt -R 4 secret", "mkpasswd -m bcrypt-a -R 4 secret", "mkpasswd -m sha-512 secret",
    "mkpasswd -m sha-256 secret",
)


@pytest.mark.parametrize("command", TOOLS)
def test_tools_that_make_hashes(run, tmp_path, command):
    output = subprocess.run(command.split(), check=True, capture_output=True, text=True).stdout
    path = tmp_path / "users"
    path.write_text(output if command.startswith("htpasswd") else f"alice:{output}")
    daemon = run(Daemon(f"--auth-file={path}", peer="echo://"))
    check_open(daemon, headers=basic("alice", "secret"))
    check_challenge(daemon.http(headers=basic("alice", "secret2")))


def test_curl(daemon):
    def status(*args):
        command = ("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", *args, f"http://127.0.0.1:{daemon.port}/")
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    assert status() == "401"
    assert status("-u", "bob:p:a:ß€ ") == "200"
    assert status("--anyauth", "-u", "alice:secret") == "200"  # asks without them first
    assert status("-u", "alice:wrong") == "401"


def test_web_auth_no(run, users, site):
    daemon = run(Daemon(f"--auth-file={users}", f"--web={site}", "--web-auth=no", peer="echo://"))
    assert daemon.http(plain=True).body == PAGE
    assert daemon.http(plain=True, headers=basic("alice", "wrong")).body == PAGE
    check_challenge(daemon.http())
    check_open(daemon, headers=basic("alice", "secret"))


def test_rules_come_before_the_password(run, users):
    daemon = run(Daemon(f"--auth-file={users}", "--origin=http://a", "--max-clients=1", peer="echo://"))
    assert daemon.http(remove=["Sec-WebSocket-Key"]).status == 400
    assert daemon.http(headers={"Origin": "http://b"}).status == 403
    check_challenge(daemon.http(headers={"Origin": "http://a"}))
    client = daemon.open(headers={"Origin": "http://a", **basic("alice", "secret")})
    assert daemon.http(plain=True).status == 503
    client.close_handshake()


def test_request_in_pieces_and_early_frames(run, tmp_path):
    path = write_users(tmp_path / "users", alice=("secret", f"$2y$10${SALT}"))
    peer = run(TcpPeer())
    daemon = run(Daemon(f"--auth-file={path}", peer=peer.url))
    request = build_request(headers=basic("alice", "secret"))
    early = [os.urandom(1000), os.urandom(70000), b"end"]
    client = daemon.connect()
    client.send_raw(request[:20])
    client.send_raw(request[20:] + frame(BIN, early[0]))
    for payload in early[1:]:
        client.send_frame(BIN, payload)
    client.recv_upgrade()
    assert peer.accept().recv_exactly(71003) == b"".join(early)


# --- what the backend is told -------------------------------------------------------------------

TELL = r"""
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "websocksy.h"
uint64_t init(void) { return WEBSOCKSY_API_VERSION; }
uint64_t configure(char *key, char *value) { (void)key; (void)value; return 0; }
ws_peer_info query(char *endpoint, size_t protocols, char **protocol, size_t headers,
	ws_http_header *header, websocket *ws) {
	ws_peer_info peer = {0};
	char text[250] = "";
	(void)endpoint; (void)protocols; (void)protocol;
	for(size_t i = 0; i < headers; i++) {
		if(!strncasecmp(header[i].tag, "websocksy", 9) || !strcasecmp(header[i].tag, "authorization")
			|| !strcasecmp(header[i].tag, "x-other")) {
			size_t len = strlen(text);
			snprintf(text + len, sizeof(text) - len, "<%s=%s>", header[i].tag, header[i].value);
		}
	}
	snprintf(text + strlen(text), sizeof(text) - strlen(text), "(%zu)", headers);
	core_refuse(ws, 418, text);
	return peer;
}
void cleanup(void) {}
"""
FORGED = [("Websocksy-User", "root"), ("WEBSOCKSY-USER", "root"), ("websocksy-anything", "x"), ("Websocksy-", "x"),
          ("Websocksy-Client-Address", "::1"), ("Websocksy_User", "root"), ("wEBSOCKSY_cLIENT-aDDRESS", "::1"),
          ("Websocksy", "kept"), ("WebsocksyX-User", "kept"), ("X-Other", "kept")]


@pytest.fixture
def telling(tmp_path):
    folder = tmp_path / "plugins"
    folder.mkdir()
    build_plugin(folder, "backend_tell", TELL)
    return [f"--plugin-path={folder}", "-b", "tell"]


def test_backend_gets_the_user_and_no_password(run, telling, users):
    daemon = run(Daemon(f"--auth-file={users}", *telling))
    for _ in range(2):
        answer = daemon.http(headers=basic("alice", "secret"), extra=FORGED)
        assert answer.status == 418
        # Host, Upgrade, Connection, Key, Version, and the five that are told
        assert answer.body.decode().strip() == (
            "<Websocksy=kept><WebsocksyX-User=kept><X-Other=kept><Websocksy-User=alice>"
            "<Websocksy-Client-Address=127.0.0.1>(10)")


def test_backend_without_auth_file(run, telling):
    header = basic("alice", "secret")
    answer = run(Daemon(*telling)).http(headers=header, extra=FORGED)
    assert answer.body.decode().strip() == (
        f"<Authorization={header['Authorization']}><Websocksy=kept><WebsocksyX-User=kept><X-Other=kept>"
        "<Websocksy-Client-Address=127.0.0.1>(10)")


def client_pair(folder, ca, subject):
    """A client's certificate with any subject that openssl takes, and its key."""
    pair = tls_files.Pair(folder / "client.pem", folder / "client.key")
    tls_files.openssl("req", "-new", *tls_files.KEYS["ec"], "-nodes", "-keyout", pair.key, "-out",
                      folder / "client.csr", "-subj", subject)
    tls_files.openssl("x509", "-req", "-in", folder / "client.csr", "-CA", ca.cert, "-CAkey", ca.key,
                      "-days", "2", "-out", pair.cert)
    return pair


@pytest.mark.parametrize("subject, told", (
    (None, None), ("/O=Example/CN=Jane Doe", "CN=Jane Doe,O=Example"),
    ("/CN=evil\r\nWebsocksy-User: root\x01\x7f", r"CN=evil\0D\0AWebsocksy-User: root\01\7F"),
    ("/CN=" + 64 * "\n" + "".join(f"/OU={n}{60 * chr(10)}" for n in range(2)), None),
), ids=("none", "plain", "controls", "long"))
def test_backend_gets_the_subject_of_a_certificate(run, telling, tmp_path, subject, told):
    """Only a verified one, and no byte of it ends the field (RFC 4514, 2.4)."""
    authority, server = tls_files.shared()
    ca = tls_files.Authority(tmp_path, "People")
    daemon = run(Daemon(f"--cert={server.cert}", f"--key={server.key}", "--tls=required",
                        f"--client-ca={ca.cert}", "--client-verify=optional", *telling, tls=False))
    pair = client_pair(tmp_path, ca, subject) if subject else None
    client = open_tls(daemon, tls_files.client_context(authority, pair=pair))
    client.send_raw(build_request(extra=[("Websocksy-Client-Subject", "CN=forged"),
                                         ("Websocksy-Client-Issuer", "CN=forged")]))
    answer = client.recv_http()
    fields = f"<Websocksy-Client-Subject={told}>" if told else ""
    fields += "<Websocksy-Client-Issuer=CN=People>" if subject else ""
    assert answer.body.decode().startswith(f"{fields}<Websocksy-Client-Address=127.0.0.1>")


def test_backend_is_not_asked_before(run, telling, users):
    daemon = run(Daemon(f"--auth-file={users}", *telling))
    check_challenge(daemon.http(headers=basic("alice", "wrong")))
    check_challenge(daemon.http())


def test_routes_by_user(run, tmp_path, users):
    routes = tmp_path / "routes"
    routes.mkdir()
    for name in ("alice", "zoé"):
        (routes / name).write_text("echo:// *\n")
    daemon = run(Daemon(f"--auth-file={users}", "-b", "file", "-c", f"path={routes}",
                        "-c", "expression=%header:Websocksy-User%"))
    check_open(daemon, headers=basic("alice", "secret"))
    check_open(daemon, headers=basic("zoé", "x"))
    answer = daemon.http(headers=basic("bob", "p:a:ß€ "), extra=[("Websocksy-User", "alice")])
    assert answer.status == 404


# --- slow hashes --------------------------------------------------------------------------------


@pytest.fixture
def slow(run, tmp_path):
    """A daemon with slow users, and a client that was let in by a fast one."""
    path = write_users(tmp_path / "users", slow=("secret", SLOW), slower=("secret", SLOWER), fast="secret",
                       **{f"slow{number}": ("secret", SLOW) for number in range(6)})
    daemon = run(Daemon(f"--auth-file={path}", "--handshake-timeout=1h", peer="echo://"))
    return daemon, daemon.open(headers=basic("fast", "secret"))


@pytest.mark.measures
@pytest.mark.latency
def test_slow_hashes_delay_nobody_else(slow):
    """Forty round trips are done before six hashes are."""
    daemon, other = slow
    with observed("slow hash"):
        LIBCRYPT.crypt(b"x", SLOW.encode())
    waiting = [begin(daemon, f"slow{number}", "wrong") for number in range(6)]
    waiting.append(begin(daemon, "slow", "secret"))
    for number in range(40):
        with observed("round trip beside slow hashes"):
            other.round_trip(b"%d" % number)
    assert daemon.log().count("answered 401") < 6
    for client in waiting[:-1]:
        check_challenge(client.recv_http())
    waiting[-1].recv_upgrade()
    waiting[-1].close_handshake()


@pytest.mark.measures
def test_same_credentials_cost_one_hash(slow):
    """Ten connections of a browser are let in by one hash, and an eleventh by none."""
    daemon, _ = slow
    before = daemon.cpu_ns()
    first = begin(daemon, "slow", "secret")
    first.recv_upgrade()
    one_hash = daemon.cpu_ns() - before
    before = daemon.cpu_ns()
    for _ in range(10):
        daemon.open(headers=basic("slow", "secret")).close_handshake()
    assert daemon.cpu_ns() - before < one_hash


@pytest.mark.measures
def test_unknown_name_costs_a_hash(run, tmp_path):
    """Time does not tell which names there are."""
    daemon = run(Daemon(f"--auth-file={write_users(tmp_path / 'users', slow=('secret', SLOW))}", peer="echo://"))
    costs = []
    for name in ("slow", "mallory", "", "slow", "eve"):
        before = daemon.cpu_ns()
        check_challenge(begin(daemon, name, f"wrong {len(costs)}").recv_http())
        costs.append(daemon.cpu_ns() - before)
    assert min(costs) > max(costs) / 3, costs


@pytest.mark.measures
@pytest.mark.latency
def test_too_many_at_once(run, tmp_path):
    path = write_users(tmp_path / "users", slow=("secret", SLOW))
    daemon = run(Daemon(f"--auth-file={path}", "--handshake-timeout=1h", "--trusted-proxy=127.0.0.1", peer="echo://"))
    other = daemon.open(headers=basic("slow", "secret"))
    waiting = [begin(daemon, f"user {number}", "wrong", extra=[("X-Forwarded-For", f"192.0.2.{number}")])
               for number in range(80)]
    daemon.wait_log("answered 503: too many passwords are being verified", count=5)
    answer = waiting[-1].recv_http()
    assert answer.status == 503 and answer.header("Retry-After") == "5"
    other.round_trip()
    for client in waiting:
        client.abort()
    # Who has left costs nothing: this one does not wait for sixty hashes.
    before = daemon.cpu_ns()
    client = begin(daemon, "slow", "another")
    with observed("answer behind clients that have left"):
        check_challenge(client.recv_http())
    begun = time.thread_time_ns()
    LIBCRYPT.crypt(b"x", SLOW.encode())
    one_hash = time.thread_time_ns() - begun
    assert daemon.cpu_ns() - before < 10 * one_hash


def test_client_leaves_while_it_waits(slow):
    daemon, other = slow
    first, second = begin(daemon, "slower", "secret"), begin(daemon, "slower", "wrong")
    check_challenge(daemon.http())  # the requests before have been read
    first.abort()
    second.abort()
    daemon.wait_log("the client went away before its password was verified", count=2)
    other.round_trip()
    check_open(daemon, headers=basic("fast", "secret"))


def test_timeout(run, tmp_path):
    path = write_users(tmp_path / "users", slow=("secret", SLOWER))
    daemon = run(Daemon(f"--auth-file={path}", "--handshake-timeout=400ms", peer="echo://"))
    client = begin(daemon, "slow", "secret")
    answer = client.recv_http()
    assert answer.status == 503 and answer.header("Retry-After")
    daemon.wait_log(r"not verified in time \(handshake-timeout\)")


@pytest.mark.parametrize("number", (signal.SIGTERM, signal.SIGINT))
def test_stop_while_it_waits(slow, number):
    daemon, other = slow
    waiting = [begin(daemon, name, "wrong", plain=name == "slow0") for name in ("slower", "slow", "slow0")]
    daemon.open(headers=basic("fast", "secret")).close_handshake()  # the requests before have been read
    daemon.signal(number)
    for client in waiting:
        assert client.recv_http().status == 503
        client.expect_eof()
        client.close()
    other.expect_close(1001)
    other.close()
    assert daemon.wait() == 0


# --- the file -----------------------------------------------------------------------------------


def test_reload_changes_the_users(run, tmp_path, config):
    path = write_users(tmp_path / "users", alice="old", bob="secret", dave="secret")
    daemon = run(Daemon(config((*BASE, ("auth-file", path)), ECHO), defaults=False))
    kept = daemon.open(headers=basic("dave", "secret"))
    check_open(daemon, headers=basic("alice", "old"))
    write_users(path, alice="new", carl="secret", dave="secret")
    check_open(daemon, headers=basic("alice", "old"))  # not read before it is told to
    reload(daemon)
    check_challenge(daemon.http(headers=basic("alice", "old")))
    check_challenge(daemon.http(headers=basic("bob", "secret")))  # not from memory either
    check_open(daemon, headers=basic("alice", "new"))
    check_open(daemon, headers=basic("carl", "secret"))
    kept.round_trip()
    kept.close_handshake()


def test_reload_turns_it_on_and_off(run, users, config):
    daemon = run(Daemon(config(BASE, ECHO), defaults=False))
    check_open(daemon)
    for _ in range(2):
        config((*BASE, ("auth-file", users)), ECHO)
        reload(daemon)
        check_challenge(daemon.http())
        check_open(daemon, headers=basic("alice", "secret"))
        config(BASE, ECHO)
        reload(daemon)
        check_open(daemon)


def test_reload_that_fails_changes_nothing(run, tmp_path, config):
    path = write_users(tmp_path / "users", alice="secret")
    daemon = run(Daemon(config((*BASE, ("auth-file", path)), ECHO), defaults=False))
    write_users(path, alice="new")
    path.write_text(path.read_text() + "bob:plain\n")
    log = reload(daemon, UNCHANGED)
    assert f"test.conf:4: auth-file: {path}:4: unknown kind of hash" in log
    check_open(daemon, headers=basic("alice", "secret"))
    path.unlink()
    assert f"{path}: No such file or directory" in reload(daemon, UNCHANGED)
    check_open(daemon, headers=basic("alice", "secret"))
    check_challenge(daemon.http(headers=basic("alice", "new")))


@pytest.mark.parametrize("after, answer", (("new", 401), ("secret", 101), (None, 101)))
def test_reload_while_it_waits(run, tmp_path, config, after, answer):
    """The new users are asked, whatever the old ones would have said."""
    path = write_users(tmp_path / "users", alice=("secret", SLOWER))
    patient = (*BASE, ("handshake-timeout", "1h"))
    daemon = run(Daemon(config((*patient, ("auth-file", path)), ECHO), defaults=False))
    client = begin(daemon, "alice", "secret")
    check_challenge(daemon.http())  # the request before has been read
    if after:
        write_users(path, alice=after)
    else:
        config(patient, ECHO)
    reload(daemon)
    assert client.recv_http().status == answer


BAD = {
    "no colon": ("# x\nalice\n", ":2: missing colon"),
    "kind": ("alice:$apr1$x$y\n", ":1: unknown kind of hash"),
    "twice": (f"a:{hashed('x')}\n\nb:{hashed('x')}\na:{hashed('y')}\n", ":4: this user is already on an earlier line"),
    "cost": (f"alice:$2y$31${SALT}{31 * 'a'}\n", ":1: the hash takes too long"),
    "rounds": (f"alice:$6$rounds=x$salt${86 * 'a'}\n", ":1: the number of rounds of this SHA hash is invalid"),
    "salt": (f"alice:$6$sa lt${86 * 'a'}\n", ":1: crypt(3) does not support this hash"),
    "binary": ("a\0b", ":1: not a text file (NUL byte)"),
}


@pytest.mark.parametrize("text, error", BAD.values(), ids=BAD.keys())
def test_bad_file(tmp_path, text, error):
    path = tmp_path / "users"
    path.write_text(text)
    for more in ((), ("-t",)):
        result = run_once("-p", "0", "-l", "127.0.0.1", f"--auth-file={path}", *more)
        assert result.returncode == 1
        assert len(result.stderr.splitlines()) == 1
        assert f"command line: --auth-file: {path}{error}" in result.stderr


def test_file_that_cannot_be_read(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for name, error in (("", "Is a directory"), ("none", "No such file"), ("fifo", "Not a regular file")):
        result = run_once("-t", f"--auth-file={tmp_path / name}")
        assert result.returncode == 1 and error in result.stderr


@pytest.mark.parametrize("option, error", (
    ("auth-file", r"command line: --auth-file: .*/secret: Permission denied"),
    ("web", r'web: ".*/secret": permission denied'), ("cert", r"command line: --cert: cannot read .*/secret.*")))
def test_file_that_may_not_be_read(run, option, error):
    """One line, and no daemon that does without it."""
    unprivileged = run(Unprivileged())
    secret = unprivileged.folder / "secret"
    secret.write_text(f"alice:{hashed('secret')}\n")
    secret.chmod(0)
    result = run_once("-p", "0", "-l", "127.0.0.1", f"--{option}={secret}", *unprivileged.args, **unprivileged.popen)
    assert result.returncode == 1
    assert re.fullmatch(rf".*error: {error}\n", result.stderr)


def test_file_of_windows(run, tmp_path):
    path = tmp_path / "users"
    path.write_bytes(f"# users\r\n\r\nalice:{hashed('secret')}\r\nbob:{hashed('x')}".encode())
    daemon = run(Daemon(f"--auth-file={path}", peer="echo://"))
    check_open(daemon, headers=basic("alice", "secret"))
    check_open(daemon, headers=basic("bob", "x"))


def test_file_without_users(run, tmp_path):
    path = write_users(tmp_path / "users")
    daemon = run(Daemon(f"--auth-file={path}", peer="echo://"))
    daemon.wait_log("warning: command line: --auth-file: there is no user in this file")
    check_challenge(daemon.http(headers=basic("alice", "secret")))


@pytest.mark.parametrize("value", ("", "maybe", "1", "Yes"))
def test_bad_switch(value):
    result = run_once("-t", f"--web-auth={value}")
    assert result.returncode == 1
    assert f'command line: --web-auth: "{value}" is neither yes nor no' in result.stderr


def test_dump(tmp_path, users):
    result = run_once(f"--auth-file={users}", "--web-auth=no", "--dump-config")
    assert f"auth-file = {users}\nweb-auth = no\n" in result.stdout
    assert "$2y$" not in result.stdout


# --- the process --------------------------------------------------------------------------------


def test_thread_blocks_all_signals(daemon):
    tasks = Path(f"/proc/{daemon.process.pid}/task")
    others = [task for task in tasks.iterdir() if task.name != str(daemon.process.pid)]
    assert others
    blocked = [int(re.search(r"^SigBlk:\s+(\w+)", (task / "status").read_text(), re.M)[1], 16) for task in others]
    wanted = sum(1 << (number - 1) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1))
    assert any(mask & wanted == wanted for mask in blocked)


def test_failed_attempts_do_not_flood_the_log(daemon):
    for _ in range(100):
        daemon.http()
    eventually(lambda: "answered 401" in daemon.log())
    assert daemon.log().count("answered 401") < 100


# --- several requests on one connection ---------------------------------------------------------


def test_each_request_of_a_connection_has_its_own_user(daemon):
    client = daemon.connect()
    for user, password in (("alice", "secret"), ("bob", "p:a:ß€ "), ("alice", "secret")):
        answer = exchange(client, "/", **basic(user, password))
        assert (answer.status, answer.body) == (200, PAGE)
        assert answer.tokens("Connection") == ["keep-alive"]
        daemon.wait_log(rf'GET / answered 200 \(user "{user}"\)')
    answer = exchange(client, "/", **basic("bob", "secret"))
    check_challenge(answer)
    assert answer.tokens("Connection") == ["close"]
    client.expect_eof()


def test_password_is_not_remembered_for_the_connection(daemon):
    client = daemon.connect()
    assert exchange(client, "/", **basic("alice", "secret")).status == 200
    check_challenge(exchange(client, "/"))
    client.expect_eof()


@pytest.mark.parametrize("last, status", (("secret", 200), ("wrong", 401)))
def test_requests_behind_one_that_waits_for_its_password(run, tmp_path, site, last, status):
    users = write_users(tmp_path / "slow", alice=("secret", SLOW), bob=("secret", SLOW))
    client = run(Daemon(f"--auth-file={users}", f"--web={site}")).connect()
    client.send_raw(b"".join(
        build_request("/", headers={"Host": "localhost", **basic(user, password)}, plain=True,
                      remove=["Connection"])
        for user, password in (("alice", "secret"), ("alice", "secret"), ("bob", "secret"), ("alice", last))))
    for _ in range(3):
        answer = receive(client)
        assert (answer.status, answer.body) == (200, PAGE)
    assert receive(client).status == status


def test_upgrade_behind_pages_has_its_own_user(daemon):
    client = daemon.connect()
    assert exchange(client, "/", **basic("alice", "secret")).status == 200
    client.upgrade(headers=basic("bob", "p:a:ß€ "))
    client.send_text("through")
    assert client.recv_message() == (TEXT, b"through")
    client.close_handshake()
    daemon.wait_log(r'user "bob" authenticated')


def test_health_needs_no_password(run, users, site):
    daemon = run(Daemon(f"--auth-file={users}", f"--web={site}", "--health=/healthz"))
    client = daemon.connect()
    assert exchange(client, "/healthz").status == 200
    assert exchange(client, "/healthz?x", method="HEAD").status == 200
    check_challenge(exchange(client, "/healthz/"))
