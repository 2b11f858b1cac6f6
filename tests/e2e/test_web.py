# SPDX-License-Identifier: BSD-2-Clause
"""The option `web`: plain HTTP beside WebSocket, and nothing but what lies in the directory."""
import email.utils
import hashlib
import html.parser
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.parse

import pytest

from tools.client import RawClient, exchange
from tools.counting import can_trace
from tools.daemon import BINARY, ROOT, SANITIZED, Daemon, Unprivileged, run_once
from tools.frames import BIN, frame
from tools.http import build_request
from tools.waiting import LONG, LONG_MS, TIMEOUT, eventually, observed

SECRET = b"this is outside of the site"
INDEX = b"<!doctype html><title>index</title>"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A directory full of things that may be served, and things around and in it that may not."""
    top = tmp_path_factory.mktemp("top")
    (top / "secret").write_bytes(SECRET)
    (top / "site-evil").mkdir()
    (top / "site-evil" / "secret").write_bytes(SECRET)
    folder = top / "site"
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / ".git").mkdir()
    (folder / "index.html").write_bytes(INDEX)
    (folder / "sub" / "index.html").write_bytes(b"sub")
    (folder / "sub" / "deep" / "a.txt").write_bytes(b"deep")
    (folder / "a b+c%.txt").write_bytes(b"odd")
    (folder / "gr\u00fc\u00dfe.txt").write_bytes(b"utf-8")
    (folder / "nothing.bin").write_bytes(b"")
    (folder / ".htpasswd").write_bytes(SECRET)
    (folder / ".git" / "config").write_bytes(SECRET)
    (folder / "up").symlink_to("..")
    (folder / "out").symlink_to("../secret")
    (folder / "absolute").symlink_to(top / "secret")
    (folder / "root").symlink_to("/")
    (folder / "proc").symlink_to("/proc/self")
    (folder / "inside").symlink_to("sub/deep/a.txt")
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "fifo")
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(folder / "socket"))
    sock.close()
    for suffix in ("html", "css", "js", "mjs", "json", "txt", "svg", "png", "jpg", "wasm", "ico", "PNG", "unknown"):
        (folder / f"type.{suffix}").write_bytes(suffix.encode())
    (folder / "big.bin").write_bytes(os.urandom(1 << 20) * 20)
    return folder


@pytest.fixture(scope="module")
def daemon(run_module, site):
    return run_module(Daemon(f"--web={site}", peer="echo://"))


def ask(daemon, target, method="GET", version="HTTP/1.1", head="Host: localhost\r\nConnection: close\r\n"):
    """One request, byte for byte; the answer, which ends the connection."""
    if isinstance(target, str):
        target = target.encode("latin-1")
    client = daemon.connect()
    client.send_raw(method.encode() + b" " + target + b" " + version.encode() + b"\r\n" + head.encode() + b"\r\n")
    answer = client.recv_http(head_only=method == "HEAD")
    assert "close" in answer.tokens("Connection")
    client.expect_eof()  # of HEAD too: no body
    client.close()
    daemon.clients.remove(client)
    return answer


# --- what is served -----------------------------------------------------------------------------


def test_index(daemon):
    answer = ask(daemon, "/")
    assert (answer.status, answer.body) == (200, INDEX)
    assert answer.header("Content-Type") == "text/html; charset=utf-8"
    assert answer.header("X-Content-Type-Options") == "nosniff"


@pytest.mark.parametrize("target, body", (
    ("/index.html", INDEX), ("/sub/", b"sub"), ("/sub/deep/a.txt", b"deep"), ("/sub/deep/a.txt?x=y&z", b"deep"),
    ("/?page", INDEX), ("/a%20b+c%25.txt", b"odd"), ("/%61%20b+c%25.txt", b"odd"),
    ("/gr%C3%BC%C3%9Fe.txt", b"utf-8"), ("/%67r%c3%bc%c3%9fe.txt", b"utf-8"), ("/nothing.bin", b""),
    ("/inside", b"deep"), ("/sub%2Fdeep%2Fa.txt", b"deep")))
def test_file(daemon, target, body):
    answer = ask(daemon, target)
    assert (answer.status, answer.body) == (200, body)


@pytest.mark.parametrize("suffix, kind", (
    ("html", "text/html; charset=utf-8"), ("css", "text/css; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"), ("mjs", "text/javascript; charset=utf-8"),
    ("json", "application/json"), ("txt", "text/plain; charset=utf-8"), ("svg", "image/svg+xml; charset=utf-8"),
    ("png", "image/png"), ("jpg", "image/jpeg"), ("wasm", "application/wasm"),
    ("ico", "image/vnd.microsoft.icon"), ("PNG", "image/png"), ("unknown", "application/octet-stream")))
def test_type(daemon, suffix, kind):
    answer = ask(daemon, f"/type.{suffix}")
    assert answer.status == 200
    assert answer.header("Content-Type") == kind
    assert answer.body == suffix.encode()


def test_dates(daemon, site):
    before = int(time.time())
    answer = ask(daemon, "/index.html")
    after = time.time()
    modified = email.utils.parsedate_to_datetime(answer.header("Last-Modified"))
    assert int(modified.timestamp()) == int(os.stat(site / "index.html").st_mtime)
    # The daemon may use the second of its last wake-up.
    assert before - 1 <= email.utils.parsedate_to_datetime(answer.header("Date")).timestamp() <= after


@pytest.mark.parametrize("target", ("/", "/index.html", "/big.bin", "/nothing.bin", "/none", "/sub", "/.git"))
def test_head_is_get_without_body(daemon, target):
    get, head = ask(daemon, target), ask(daemon, target, method="HEAD")
    assert head.status == get.status
    assert head.body == b""
    hidden = ("Date",)
    assert [field for field in head.headers if field[0] not in hidden] == [
        field for field in get.headers if field[0] not in hidden]


def test_http_1_0(daemon):
    answer = ask(daemon, "/", version="HTTP/1.0", head="")
    assert (answer.status, answer.body) == (200, INDEX)


def test_absolute_target(daemon):
    """RFC 9112, 3.2.2: servers accept it, though clients send it to proxies only."""
    assert ask(daemon, "http://localhost/index.html").status in (200, 400)


def test_file_is_read_anew_for_each_request(daemon, site):
    path = site / "changing.txt"
    for text in (b"one", b"another one", b""):
        path.write_bytes(text)
        assert ask(daemon, "/changing.txt").body == text
    path.unlink()
    assert ask(daemon, "/changing.txt").status == 404


# --- other names --------------------------------------------------------------------------------


@pytest.mark.parametrize("target", (
    "/none", "/index.html/", "/index.html/x", "/sub/none", "/empty/", "/sub/deep/", "/INDEX.HTML", "/fifo",
    "/socket", "/loop", "/type", "/sub//index.html", "/" + 300 * "x", "/" + 100 * "x/"))
def test_not_found(daemon, target):
    answer = ask(daemon, target)
    assert answer.status == 404
    assert answer.header("Content-Type").startswith("text/plain")
    assert answer.body.count(b"\n") == 1


def test_no_listing(daemon):
    for target in ("/empty/", "/sub/deep/"):
        assert b"a.txt" not in ask(daemon, target).body


@pytest.mark.parametrize("target, location", (
    ("/sub", "sub/"), ("/sub?x=1", "sub/?x=1"), ("/sub/deep", "deep/"), ("/%73ub", "sub/"), ("/empty", "empty/")))
def test_directory_without_its_slash(daemon, target, location):
    answer = ask(daemon, target)
    assert (answer.status, answer.header("Location")) == (301, location)


@pytest.mark.parametrize("target", ("//evil.example/..", "//evil.example", "/\\evil.example", "//sub", "/%2Fsub",
                                    "/sub%0d%0aX-Evil:1", "/%5cevil.example"))
def test_redirect_never_leads_to_another_host(daemon, target):
    answer = ask(daemon, target)
    assert answer.status in (400, 404)
    assert answer.header("Location") is None and answer.header("X-Evil") is None


@pytest.mark.parametrize("method", ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "get", "X"))
def test_other_methods(daemon, method):
    answer = ask(daemon, "/", method=method)
    assert answer.status == 405
    assert sorted(answer.tokens("Allow")) == ["get", "head"]


def test_body_of_a_refused_request_does_not_destroy_the_answer(daemon):
    client = daemon.connect()
    client.send_raw(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000\r\n\r\n" + bytes(200000))
    assert client.recv_http().status == 405
    client.expect_eof()


# Ways out that worked somewhere once: plain, encoded once, twice and wrongly, with backslashes, NULs,
# parameters, links, other forms of the target. Each also with `secret` beneath a directory that exists.
TRAVERSALS = [
    "/../secret", "/..", "/../", "/../../secret", "/" + 20 * "../" + "etc/passwd", "/sub/../../secret",
    "/sub/deep/../../../secret", "/./../secret", "/.//../secret", "//../secret", "///../secret", "/..//secret",
    "/sub/..%2f..%2fsecret", "/%2e%2e/secret", "/%2e%2e%2fsecret", "/..%2fsecret", "/%2e./secret", "/.%2e/secret",
    "/%2E%2E/secret", "/%2E%2E%2Fsecret", "/sub/%2e%2e/%2e%2e/secret", "/sub%2f..%2f..%2fsecret",
    "/%252e%252e/secret", "/%252e%252e%252fsecret", "/..%252fsecret", "/..%255csecret", "/%25%32%65%25%32%65/secret",
    "/..\\secret", "/..%5csecret", "/..%5Csecret", "/sub/..\\..\\secret", "/%5c..%5csecret", "/\\../secret",
    "/..%c0%afsecret", "/%c0%ae%c0%ae/secret", "/..%e0%80%afsecret", "/..%c1%9csecret", "/%uff0e%uff0e/secret",
    "/%u002e%u002e/secret", "/..%u2215secret", "/..%00/secret", "/..%00", "/../secret%00", "/../secret%00.html",
    "/index.html%00/../../secret", "/%00../secret", "/..;/secret", "/..;x=y/secret", "/;/../secret", "/..?/../secret",
    "/../secret?x", "/../secret#x", "/.../secret", "/..../secret", "/....//secret", "/.. /secret", "/..%20/secret",
    "/..%09/secret", "/..%0a/secret", "/..%0d%0a/secret", "/ ../secret", "/..%ff/secret", "/../site-evil/secret",
    "/..%2fsite-evil%2fsecret", "/../site/../secret", "../secret", "..", "secret", "%2e%2e/secret", "/up/secret",
    "/up/site-evil/secret", "/up/", "/up", "/out", "/absolute", "/root/etc/passwd", "/root/", "/proc/environ",
    "/proc/cwd/secret", "/proc/root/etc/passwd", "/proc/fd/3", "/sub/../up/secret", "/inside/../../../secret",
    "/.htpasswd", "/.git/config", "/.git/", "/.git", "/%2egit/config", "/sub/../.git/config", "/.", "/./", "/sub/.",
    "/./index.html", "http://localhost/../secret", "http://localhost/%2e%2e/secret", "http://../secret",
    "file:///etc/passwd", "/etc/passwd", "//etc/passwd", "/%2fetc%2fpasswd", "//%2fetc/passwd", "*", "?", "%", "/%",
    "/%2", "/%zz", "/%%32%65%%32%65/secret",
]


def test_traversal_list_is_long_enough():
    assert len(set(TRAVERSALS)) == len(TRAVERSALS) >= 60


@pytest.mark.parametrize("form", ("path", "sub"))
def test_nothing_from_outside(daemon, form):
    """No answer has a byte of what lies outside, and the daemon opens nothing that it should not."""
    wrong = []
    for target in TRAVERSALS:
        if form == "sub":
            target = "/sub" + target if target.startswith("/") else "/sub/" + target
        client = daemon.connect()
        client.send_raw(b"GET " + target.encode("latin-1") +
                        b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        received = bytearray()
        while data := client.sock.recv(1 << 16):
            received += data
        client.close()
        daemon.clients.remove(client)
        status = int(received.split(b" ", 2)[1])
        inside = status == 200 and target == "/sub/?"  # an empty query behind what is there
        if SECRET in received or b"root:" in received or b"PATH=" in received:
            wrong.append((target, status, bytes(received[:200])))
        if status not in (400, 404, 301) and not inside:
            wrong.append((target, status, bytes(received[:200])))
        if status == 301 and not re.search(rb"\r\nLocation: /sub[/\w]*(\?[^\r]*)?\r\n", received):
            wrong.append((target, status, bytes(received[:200])))
    assert wrong == []


def test_traversal_of_one_file(run, site):
    daemon = run(Daemon(f"--web={site / 'index.html'}", peer="echo://"))
    for target in ("/../secret", "/secret", "/index.html", "/sub/", "/.", "//", "/..", "/index.html/../../secret"):
        answer = ask(daemon, target)
        assert answer.status == 404, target
    for target in ("/", "/?x"):
        assert ask(daemon, target).body == INDEX


def test_descriptors_are_given_back(daemon):
    ask(daemon, "/")
    before = daemon.fds()
    for target in ("/", "/none", "/sub", "/fifo", "/up/secret", "/type.png") * 3:
        ask(daemon, target)
        ask(daemon, target, method="HEAD")
    eventually(lambda: daemon.fds() <= before, "the descriptors to be closed")


def test_file_that_may_not_be_read(run):
    unprivileged = run(Unprivileged())
    site = unprivileged.folder / "site"
    for name in ("closed", "sealed"):
        (site / name).mkdir(parents=True)
        (site / name / "file").write_text("x")
    (site / "closed" / "file").chmod(0)
    (site / "sealed").chmod(0)
    daemon = run(Daemon(f"--web={site}", "--web-listing=yes", *unprivileged.args, **unprivileged.popen))
    assert ask(daemon, "/closed/file").status == 403
    assert ask(daemon, "/sealed/").status == 403
    assert ask(daemon, "/sealed/file").status == 403
    assert ask(daemon, "/sealed/none").status == 403  # does not tell what is there
    assert ask(daemon, "/closed/").status == 200
    (site / "sealed").chmod(0o755)  # for the cleaning up


# --- one file, no site --------------------------------------------------------------------------


def test_one_file_is_the_console_page(run):
    daemon = run(Daemon(f"--web={ROOT / 'index.html'}", peer="echo://"))
    answer = ask(daemon, "/")
    assert answer.body == (ROOT / "index.html").read_bytes()
    assert answer.header("Content-Type") == "text/html; charset=utf-8"
    assert ask(daemon, "/", method="HEAD").status == 200
    assert ask(daemon, "/favicon.ico").status == 404
    assert ask(daemon, "/", method="POST").status == 405


def test_one_file_that_is_replaced(run, tmp_path):
    """Editors and deployments rename a new file over the old one."""
    page = tmp_path / "page.html"
    page.write_bytes(b"old")
    daemon = run(Daemon(f"--web={page}"))
    assert ask(daemon, "/").body == b"old"
    (tmp_path / "new").write_bytes(b"new")
    os.replace(tmp_path / "new", page)
    assert ask(daemon, "/").body == b"new"
    page.unlink()
    assert ask(daemon, "/").status == 404


def test_relative_path_is_that_of_the_start(run, tmp_path):
    (tmp_path / "page.html").write_bytes(b"page")
    assert ask(run(Daemon("--web=page.html", cwd=tmp_path)), "/").body == b"page"
    assert ask(run(Daemon("--web=.", cwd=tmp_path)), "/page.html").body == b"page"


@pytest.mark.parametrize("target", ("/", "/index.html", "/../secret"))
def test_without_web_a_plain_request_gets_426(run, target):
    daemon = run(Daemon(peer="echo://"))
    for method in ("GET", "HEAD"):
        answer = ask(daemon, target, method=method)
        assert answer.status == 426
        if answer.status == 426:
            assert answer.header("Sec-WebSocket-Version") == "13"
            assert "websocket" in answer.tokens("Upgrade")
    assert ask(daemon, "/", method="POST").status == 405


# --- size, speed, company -----------------------------------------------------------------------


def test_big_file_to_a_slow_reader(daemon, site):
    """It does not lie in the daemon's memory, it delays no other client, and it is complete."""
    want = (site / "big.bin").read_bytes()
    before = daemon.rss()
    slow = daemon.connect(rcvbuf=16384)
    slow.send_raw(build_request("/big.bin", plain=True))
    received = bytearray(slow.sock.recv(1000))
    # The daemon has sent what fits; others are served meanwhile.
    for _ in range(5):
        client = daemon.open()
        client.send_binary(b"quick")
        assert client.recv_message() == (BIN, b"quick")
        client.close_handshake()
        assert ask(daemon, "/").body == INDEX
    assert daemon.rss() - before < 4 << 20
    while data := slow.sock.recv(1 << 16):
        received += data
        if len(received) < 1 << 20:
            time.sleep(0.001)
    head, _, body = bytes(received).partition(b"\r\n\r\n")
    assert f"Content-Length: {len(want)}".encode() in head
    assert hashlib.sha256(body).digest() == hashlib.sha256(want).digest()


def test_reader_that_goes_away_in_the_middle(daemon):
    before = daemon.fds()
    for _ in range(5):
        client = daemon.connect(rcvbuf=4096)
        client.send_raw(build_request("/big.bin", plain=True))
        assert client.sock.recv(100)
        client.abort()
    eventually(lambda: daemon.fds() <= before, "the descriptors to be closed")


def test_reader_that_stops_is_dropped(run, site):
    daemon = run(Daemon(f"--web={site}", "--handshake-timeout=300ms"))
    before = daemon.fds()
    client = daemon.connect(rcvbuf=4096)
    client.send_raw(build_request("/big.bin", plain=True))
    assert client.sock.recv(100)
    eventually(lambda: daemon.fds() == before, "the connection to be dropped")


def test_slow_but_steady_reader_is_not_dropped(run, site, tmp_path):
    """handshake-timeout is for the request; a download may take longer as long as it moves."""
    daemon = run(Daemon(f"--web={site}", f"--handshake-timeout={LONG_MS}ms"))
    client = daemon.connect(rcvbuf=65536)
    client.send_raw(build_request("/big.bin", plain=True))
    size, begin, length = 0, time.monotonic(), 2 * LONG
    while data := client.sock.recv(1 << 16):
        size += len(data)
        time.sleep(max(0, begin + length * size / (20 << 20) - time.monotonic()))
    assert time.monotonic() - begin > length
    assert size > 20 << 20


def test_file_that_shrinks_while_it_is_sent(daemon, site):
    """The promised length cannot be kept: the connection ends early, nothing else is made up."""
    path = site / "shrinking.bin"
    path.write_bytes(bytes(20 << 20))
    client = daemon.connect(rcvbuf=4096)
    client.send_raw(build_request("/shrinking.bin", plain=True))
    received = len(client.sock.recv(1000))
    os.truncate(path, 1000)
    while True:
        try:
            data = client.sock.recv(1 << 20)
        except ConnectionResetError:
            break
        if not data:
            break
        received += len(data)
    assert received < 20 << 20
    path.unlink()
    assert ask(daemon, "/").status == 200


def test_file_that_grows_while_it_is_sent(daemon, site):
    """What was promised is sent, and the next answer begins behind it."""
    path = site / "growing.bin"
    path.write_bytes(bytes(20 << 20))
    client = daemon.connect(rcvbuf=4096)
    client.send_raw(b"GET /growing.bin HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = client.recv_http(head_only=True)
    with open(path, "ab") as file:
        file.write(b"x" * (1 << 20))
    assert int(answer.header("Content-Length")) == 20 << 20
    assert client.take(20 << 20) == bytes(20 << 20)
    assert exchange(client, "/").body == INDEX
    path.unlink()


def test_plain_files_go_with_sendfile(run, site, tmp_path):
    """A file's bytes never pass through the daemon's memory."""
    if SANITIZED or not can_trace():
        pytest.skip("strace is not installed, or tracing is not allowed here")
    record = tmp_path / "record"
    kinds = "trace=sendfile,read,pread64,readv,sendto,sendmsg,write"
    daemon = run(Daemon("-D", "-f", "-o", record, "-e", kinds, BINARY, "-p", "0", "-l", "127.0.0.1",
                        f"--web={site}", defaults=False, tls=False, executable=shutil.which("strace")))
    body = exchange(daemon.connect(), "/big.bin").body
    daemon.stop()
    text = eventually(lambda: re.search(r"(?s).*\+\+\+ exited", record.read_text()), "the end of the record").group()
    calls = re.findall(r"(\w+)\(.*\) = (\d+)", text)
    assert sum(int(count) for name, count in calls if name == "sendfile") == len(body) == 20 << 20
    # The program's libraries are read, too.
    assert all(int(count) < 65536 for name, count in calls if name != "sendfile")


def test_upgrade_works_on_every_path_at_the_same_time(daemon):
    clients = [daemon.open(path) for path in ("/", "/index.html", "/none", "/sub", "/big.bin?x")]
    assert ask(daemon, "/").body == INDEX
    for client in clients:
        client.send_text("still a WebSocket")
        assert client.recv_message()[1] == b"still a WebSocket"
        client.close_handshake()


def test_what_follows_the_last_request_is_not_answered(daemon):
    client = daemon.connect()
    client.send_raw(2 * build_request("/index.html", plain=True))  # each says Connection: close
    assert client.recv_http().body == INDEX
    client.expect_eof()


def test_many_requests_at_once(daemon):
    clients = [daemon.connect() for _ in range(50)]
    for client in clients:
        client.send_raw(build_request("/sub/deep/a.txt", plain=True))
    for client in clients:
        assert client.recv_http().body == b"deep"
        client.expect_eof()
        client.close()


def test_request_target_in_the_log_forges_no_line(run, site):
    daemon = run(Daemon(f"--web={site}"))  # of its own, whose lines are not suppressed
    ask(daemon, b"/\x1b[31mred")
    ask(daemon, b"/\xc2\x9b31m")
    ask(daemon, b"/\x9b31m\xff\xc3")
    assert "\x1b" not in daemon.log() and "\x9b" not in daemon.log() and "\ufffd" not in daemon.log()
    daemon.wait_log(r"GET /\?31m\?\? answered 404")


def test_unix_listener_serves_pages_too(run, tmp_path, site):
    daemon = run(Daemon("-l", f"unix:{tmp_path}/socket", f"--web={site}", defaults=False))
    with RawClient(f"{tmp_path}/socket") as client:
        client.send_raw(build_request("/", plain=True))
        assert client.recv_http().body == INDEX
    daemon.stop()


# --- several requests on one connection ---------------------------------------------------------


def test_connection_is_kept(daemon):
    client = daemon.connect()
    assert exchange(client, "/").status == 200
    before = daemon.fds()
    for _ in range(20):
        for target, method, status in (
                ("/", "GET", 200), ("/none", "GET", 404), ("/sub", "GET", 301), ("/nothing.bin", "GET", 200),
                ("/index.html", "HEAD", 200), ("/%00", "GET", 404), ("/%zz", "GET", 400), ("/.git", "HEAD", 404),
                ("/type.png", "GET", 200), ("/" + 5000 * "x", "GET", 414)):
            answer = exchange(client, target, method)
            assert answer.status == status
            assert answer.tokens("Connection") == ["keep-alive"]
        assert exchange(client, "/", Range="bytes=99999-").status == 416
        assert exchange(client, "/", If_None_Match="*").status == 304
    assert daemon.fds() <= before  # less, if a connection of another test has ended meanwhile


@pytest.mark.parametrize("version, headers", (
    ("HTTP/1.0", {}), ("HTTP/1.0", {"Connection": "keep-alive"}), ("HTTP/1.1", {"Connection": "close"}),
    ("HTTP/1.1", {"Connection": "foo, CLOSE"})))
@pytest.mark.parametrize("target", ("/", "/none", "/sub"))
def test_connection_is_not_kept(daemon, target, version, headers):
    client = daemon.connect()
    assert exchange(client, "/").status == 200
    assert exchange(client, target, version=version, **headers).tokens("Connection") == ["close"]
    client.expect_eof()


@pytest.mark.parametrize("method, status", (("GET", 200), ("HEAD", 200), ("POST", 405)))
def test_nobody_is_asked_to_continue(daemon, method, status):
    """RFC 9110, 10.1.1: there is no body to wait for, or the final answer says that none is wanted."""
    client = daemon.connect()
    fields = {"Content_Length": 3} if method == "POST" else {}
    answer = exchange(client, "/", method, Expect="100-continue", **fields)
    assert (answer.status, answer.tokens("Connection")) == (status, ["keep-alive" if status == 200 else "close"])


def test_nothing_is_answered_behind_a_refused_upgrade(daemon):
    """What follows may be frames."""
    client = daemon.connect()
    client.send_raw(build_request("/", remove=["Sec-WebSocket-Key"]) + build_request("/", plain=True))
    assert client.recv_http().status == 400
    client.expect_eof()


@pytest.mark.parametrize("raw, status", (
    (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 405),
    (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 3\r\n\r\nabc", 400),
    (b"HEAD / HTTP/1.1\r\nHost: x\r\nContent-Length: 0, 3\r\n\r\nabc", 400),
    (b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: x\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (b"GET / HTTP/1.0\r\nTransfer-Encoding: identity\r\n\r\n", 400),
    (b"DELETE / HTTP/1.1\r\nHost: x\r\n\r\n", 405),
    (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 400), (b"nonsense\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + 40000 * b"x", 431)),
    ids=("post", "two lengths", "list of lengths", "blank", "bare line feed", "old", "delete", "body", "malformed",
         "chunked", "large"))
def test_what_may_be_out_of_step_ends_the_connection(daemon, raw, status):
    client = daemon.connect()
    assert exchange(client, "/").status == 200
    client.send_raw(raw + (build_request("/index.html", plain=True) if status != 431 else b""))
    answer = client.recv_http(head_only=raw.startswith(b"HEAD"))
    assert (answer.status, answer.tokens("Connection")) == (status, ["close"])
    client.expect_eof()


PAIR = b"GET /sub/ HTTP/1.1\r\nHost: x\r\n\r\n" + b"GET /inside HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def expect_pair(client):
    first, second = client.recv_http(), client.recv_http()
    assert (first.status, first.body, first.tokens("Connection")) == (200, b"sub", ["keep-alive"])
    assert (second.status, second.body, second.tokens("Connection")) == (200, b"deep", ["close"])
    client.expect_eof()
    client.close()


@pytest.mark.parametrize("way", ("whole", "bytewise", "cut"))
def test_pipelining(run, site, way):
    """A pair of requests, cut at every place; the daemon has seen each part before the next is sent."""
    daemon = run(Daemon(f"--web={site}", peer="echo://"))
    cuts = {"whole": [()], "bytewise": [range(1, len(PAIR))], "cut": [(at,) for at in range(1, len(PAIR))]}[way]
    for places in cuts:
        client = daemon.connect()
        ends = [*places, len(PAIR)]
        for begin, end in zip([0, *ends], ends):
            client.send_raw(PAIR[begin:end])
            if end < len(PAIR):
                daemon.settle()
        expect_pair(client)
        daemon.clients.remove(client)


def test_many_pipelined_requests(daemon):
    """More than a turn has, in order, and no more than a connection may have."""
    client = daemon.connect()
    targets = ["/sub/", "/none", "/inside", "/nothing.bin"]
    client.send_in_background(b"".join(
        f"GET {targets[number % 4]} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for number in range(1000)))
    for number in range(1000):
        answer = client.recv_http()
        assert (answer.status, answer.body[:5]) == (
            (200, b"sub"), (404, b"file "), (200, b"deep"), (200, b""))[number % 4]
        assert answer.tokens("Connection") == ["close" if number == 999 else "keep-alive"]
    client.expect_eof()


def test_requests_beyond_the_limit_are_not_answered(daemon):
    client = daemon.connect()
    client.send_in_background(1010 * b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
    for _ in range(1000):
        assert client.recv_http(head_only=True).status == 200
    client.expect_eof()


def test_client_that_asks_without_reading(run, site):
    daemon = run(Daemon(f"--web={site}", f"--handshake-timeout={LONG_MS}ms", peer="echo://"))
    before = daemon.rss()
    client = daemon.connect(rcvbuf=4096)
    daemon.settle()
    fds = daemon.fds()
    client.send_raw(900 * b"GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n")
    daemon.wait_log(r"GET /big.bin answered 200")
    for _ in range(20):
        daemon.settle()
    assert daemon.rss() - before < 2 << 20
    eventually(lambda: daemon.fds() <= fds - 1, "connection and file to be closed")
    assert daemon.log().count("GET /big.bin answered") == 1


def test_upgrade_after_pages(daemon):
    client = daemon.connect()
    for _ in range(3):
        assert exchange(client, "/").body == INDEX
    client.upgrade("/chat")
    client.send_text("after pages")
    assert client.recv_message()[1] == b"after pages"
    client.close_handshake()


def test_upgrade_pipelined_behind_a_page(daemon):
    """Page, upgrade and first frame in one packet."""
    client = daemon.connect()
    client.send_raw(b"GET /sub/ HTTP/1.1\r\nHost: x\r\n\r\n" + build_request("/") + frame(BIN, b"early"))
    assert client.recv_http().body == b"sub"
    client.recv_upgrade()
    assert client.recv_message() == (BIN, b"early")
    client.close_handshake()


def test_pipelined_behind_a_big_file(daemon, site):
    """Requests that are unread while a response is sent are answered afterwards."""
    want = (site / "big.bin").read_bytes()
    client = daemon.connect(rcvbuf=65536)
    client.send_raw(b"GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = client.recv_http(head_only=True)
    client.send_raw(b"GET /sub/ HTTP/1.1\r\nHost: x\r\n\r\n")
    assert hashlib.sha256(client.take(int(answer.header("Content-Length")))).digest() == \
        hashlib.sha256(want).digest()
    assert client.recv_http().body == b"sub"
    assert exchange(client, "/").body == INDEX


@pytest.mark.latency
def test_idle_connection_is_closed_without_a_word(run, site):
    daemon = run(Daemon(f"--web={site}", f"--handshake-timeout={LONG_MS}ms"))
    client = daemon.connect()
    for _ in range(3):
        assert exchange(client, "/").status == 200
        time.sleep(LONG / 2)  # each request has its own time
    with observed("end of an idle connection after 5 s"):
        client.expect_eof()


def test_request_that_stays_a_part_gets_408(run, site):
    daemon = run(Daemon(f"--web={site}", f"--handshake-timeout={LONG_MS}ms"))
    client = daemon.connect()
    assert exchange(client, "/").status == 200
    client.send_raw(b"GET / HTTP/1.1\r\nHo")
    assert client.recv_http().status == 408
    client.expect_eof()


def test_client_that_ends_behind_its_requests(daemon):
    client = daemon.connect()
    client.send_raw(b"GET /sub/ HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
    client.finish()
    for _ in range(3):
        assert client.recv_http().body == b"sub"
    client.expect_eof()


@pytest.mark.latency
def test_shutdown_closes_idle_connections(run, site):
    daemon = run(Daemon(f"--web={site}", "--grace=1h", "--handshake-timeout=1h"))
    client = daemon.connect()
    assert exchange(client, "/").status == 200
    with observed("end with idle connections"):
        daemon.signal(signal.SIGTERM)
        client.expect_eof()
        assert daemon.wait() == 0


@pytest.mark.parametrize("limit", ("--max-clients=1", "--max-clients-per-ip=1"))
def test_page_does_not_hold_the_place_of_its_websocket(run, site, limit):
    daemon = run(Daemon(f"--web={site}", limit, peer="echo://"))
    client = daemon.connect()
    assert exchange(client, "/").tokens("Connection") == ["close"]
    client.expect_eof()
    client.close()

    def upgrades():
        with daemon.connect() as other:
            other.send_raw(build_request())
            return other.recv_http().status == 101

    eventually(upgrades, "the place to be free")


def test_connection_is_kept_while_there_is_room(run, site):
    daemon = run(Daemon(f"--web={site}", "--max-clients=3", "--max-clients-per-ip=2", peer="echo://"))
    client = daemon.connect()
    assert exchange(client, "/").tokens("Connection") == ["keep-alive"]
    other = daemon.open()
    assert exchange(client, "/").tokens("Connection") == ["close"]
    client.expect_eof()
    other.close_handshake()


def test_curl_uses_one_connection(daemon, tmp_path):
    result = subprocess.run(
        ["curl", "-sv", "-o", tmp_path / "a", "-o", tmp_path / "b", f"http://127.0.0.1:{daemon.port}/big.bin",
         f"http://127.0.0.1:{daemon.port}/sub/"], capture_output=True, text=True, timeout=TIMEOUT, check=True)
    assert "Re-using existing connection" in result.stderr
    assert (tmp_path / "b").read_bytes() == b"sub"


# --- ranges and conditions ----------------------------------------------------------------------


ALPHABET = b"abcdefghijklmnopqrstuvwxyz"


@pytest.fixture(scope="module")
def alphabet(site):
    (site / "abc.txt").write_bytes(ALPHABET)
    os.utime(site / "abc.txt", (784111777, 784111777))  # Sun, 06 Nov 1994 08:49:37 GMT
    return "/abc.txt"


@pytest.mark.parametrize("value, first, last", (
    ("bytes=0-0", 0, 0), ("bytes=0-25", 0, 25), ("bytes=0-", 0, 25), ("bytes=25-25", 25, 25), ("bytes=25-", 25, 25),
    ("bytes=3-9", 3, 9), ("bytes=20-99", 20, 25), ("bytes=5-18446744073709551615", 5, 25),
    ("bytes=5-99999999999999999999999", 5, 25), ("bytes=-1", 25, 25), ("bytes=-26", 0, 25), ("bytes=-27", 0, 25),
    ("bytes=-99999999999999999999999", 0, 25), ("BYTES=1-2", 1, 2), ("bytes= 1-2 ", 1, 2), ("bytes=,1-2,", 1, 2)))
def test_range(daemon, alphabet, value, first, last):
    client = daemon.connect()
    answer = exchange(client, alphabet, Range=value)
    assert (answer.status, answer.body) == (206, ALPHABET[first:last + 1])
    assert answer.header("Content-Range") == f"bytes {first}-{last}/26"
    assert exchange(client, "/").body == INDEX
    head = exchange(client, alphabet, "HEAD", Range=value)
    assert (head.status, head.header("Content-Length")) == (200, "26")


@pytest.mark.parametrize("value", ("bytes=26-", "bytes=26-26", "bytes=99-100", "bytes=-0",
                                   "bytes=99999999999999999999999-", "bytes=18446744073709551615-"))
def test_range_that_is_not_there(daemon, alphabet, value):
    answer = exchange(daemon.connect(), alphabet, Range=value)
    assert answer.status == 416
    assert answer.header("Content-Range") == "bytes */26"


@pytest.mark.parametrize("value", (
    "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=1", "bytes=2-1", "bytes=1-2x", "bytes=1--2", "bytes=--1",
    "bytes=+1-2", "bytes=1-2,4-5", "bytes=1-2, 4-", "lines=1-2", "1-2", "bytes 1-2", "bytes=0x1-2", "bytes=1.0-2"))
def test_range_that_is_ignored(daemon, alphabet, value):
    answer = exchange(daemon.connect(), alphabet, Range=value)
    assert (answer.status, answer.body) == (200, ALPHABET)
    assert answer.header("Content-Range") is None
    assert answer.header("Accept-Ranges") == "bytes"


def test_two_range_fields_are_ignored(daemon, alphabet):
    client = daemon.connect()
    client.send_raw(b"GET /abc.txt HTTP/1.1\r\nHost: x\r\nRange: bytes=1-2\r\nRange: bytes=1-2\r\n\r\n")
    assert client.recv_http().status == 200


def test_range_of_an_empty_file(daemon):
    for value in ("bytes=0-", "bytes=0-0", "bytes=-1"):
        assert exchange(daemon.connect(), "/nothing.bin", Range=value).status == 416


def test_if_range(daemon, alphabet):
    client = daemon.connect()
    tag = exchange(client, alphabet).header("ETag")
    assert re.fullmatch(r'"[^"]+"', tag)
    for value, status in ((tag, 206), ("W/" + tag, 200), ('"other"', 200), (tag[:-1], 200), ("*", 200),
                          ("Sun, 06 Nov 1994 08:49:37 GMT", 206), ("Sun, 06 Nov 1994 08:49:38 GMT", 200),
                          ("Sun, 06 Nov 1994 08:49:36 GMT", 200), ("yesterday", 200)):
        answer = exchange(client, alphabet, Range="bytes=1-2", If_Range=value)
        assert (value, answer.status) == (value, status)
        assert answer.body == (b"bc" if status == 206 else ALPHABET)
    # A request within the second of the change cannot tell the state before from the one after.
    assert exchange(client, alphabet, If_Range=tag).status == 200


@pytest.mark.parametrize("name, value, status", (
    ("If-None-Match", "TAG", 304), ("If-None-Match", "W/TAG", 304), ("If-None-Match", '"a", TAG', 304),
    ("If-None-Match", '"a",W/TAG ,"b"', 304), ("If-None-Match", "*", 304), ("If-None-Match", '"a"', 200),
    ("If-None-Match", "", 200), ("If-None-Match", "TAG-", 200), ("If-None-Match", "w/TAG", 200),
    ("If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT", 304),
    ("If-Modified-Since", "Sunday, 06-Nov-94 08:49:37 GMT", 304),
    ("If-Modified-Since", "Sun Nov  6 08:49:37 1994", 304),
    ("If-Modified-Since", "Mon, 07 Nov 1994 00:00:00 GMT", 304),
    ("If-Modified-Since", "Sun, 06 Nov 1994 08:49:36 GMT", 200),
    ("If-Modified-Since", "Sunday, 06-Nov-94 08:49:36 GMT", 200),
    ("If-Modified-Since", "Sun Nov  6 08:49:36 1994", 200),
    ("If-Modified-Since", "Sun, 06 Nov 2094 08:49:37", 200),
    ("If-Modified-Since", "Sun, 06 Foo 2094 08:49:37 GMT", 200),
    ("If-Modified-Since", "Sun, 66 Nov 2094 08:49:37 GMT", 200), ("If-Modified-Since", "x", 200),
    ("If-Modified-Since", "Sun, 06 Nov 2094 08:49:37 GMT" + 100 * " x", 200)))
@pytest.mark.parametrize("method", ("GET", "HEAD"))
def test_condition(daemon, alphabet, method, name, value, status):
    client = daemon.connect()
    tag = exchange(client, alphabet).header("ETag")
    answer = exchange(client, alphabet, method, **{name: value.replace("TAG", tag)})
    assert answer.status == status
    assert answer.header("ETag") == tag
    assert answer.header("Cache-Control") == "no-cache"
    assert answer.header("Vary") == "Accept-Encoding"
    assert exchange(client, "/").body == INDEX  # a 304 ends with its head


@pytest.mark.parametrize("name, value, status", (
    ("If-Match", "TAG", 200), ("If-Match", '"a", TAG', 200), ("If-Match", "*", 200), ("If-Match", '"a"', 412),
    ("If-Match", "W/TAG", 412), ("If-Match", "", 412),
    ("If-Unmodified-Since", "Sun, 06 Nov 1994 08:49:37 GMT", 200),
    ("If-Unmodified-Since", "Sun, 06 Nov 1994 08:49:36 GMT", 412), ("If-Unmodified-Since", "x", 200)))
@pytest.mark.parametrize("method", ("GET", "HEAD"))
def test_demand(daemon, alphabet, method, name, value, status):
    """RFC 9110, 13.1.1 and 13.1.4: a part of another state of the file must not be taken for one of this."""
    client = daemon.connect()
    tag = exchange(client, alphabet).header("ETag")
    answer = exchange(client, alphabet, method, **{name: value.replace("TAG", tag)}, If_None_Match='"a"')
    assert answer.status == status
    assert answer.header("ETag") == (tag if status == 200 else None)
    assert exchange(client, "/").body == INDEX


def test_tag_takes_precedence_over_date(daemon, alphabet):
    answer = exchange(daemon.connect(), alphabet, If_None_Match='"other"',
                      If_Modified_Since="Mon, 07 Nov 1994 00:00:00 GMT", Range="bytes=0-0")
    assert (answer.status, answer.body) == (206, b"a")


def test_tag_changes_with_the_file(daemon, site):
    path, tags = site / "tagged.txt", set()
    client = daemon.connect()
    for number, content in enumerate((b"one", b"two", b"three")):
        path.write_bytes(content)
        os.utime(path, ns=(0, 10**18 + number))  # a nanosecond is enough
        tags.add(exchange(client, "/tagged.txt").header("ETag"))
    (site / "tagged.new").write_bytes(b"tiger")
    os.utime(site / "tagged.new", ns=(0, 10**18 + 2))  # same time, same length, another file
    os.replace(site / "tagged.new", path)
    tags.add(exchange(client, "/tagged.txt").header("ETag"))
    assert len(tags) == 4


def test_ranges_of_a_big_file_at_once(daemon, site):
    """Several slow readers of parts, which together are the file."""
    want = (site / "big.bin").read_bytes()
    part = len(want) // 5
    clients = [daemon.connect(rcvbuf=32768) for _ in range(5)]
    for number, client in enumerate(clients):
        client.send_raw(f"GET /big.bin HTTP/1.1\r\nHost: x\r\nRange: bytes={number * part}-{(number + 1) * part - 1}"
                        "\r\n\r\n".encode())
    answers = [client.recv_http(head_only=True) for client in clients]
    assert [answer.status for answer in answers] == 5 * [206]
    received = [b"".join(client.take(part // 8) for _ in range(8)) for client in clients]
    assert hashlib.sha256(b"".join(received)).digest() == hashlib.sha256(want).digest()
    for client in clients:
        assert exchange(client, "/").body == INDEX


def test_curl_resumes_a_download(daemon, site, tmp_path):
    want = (site / "big.bin").read_bytes()
    (tmp_path / "part").write_bytes(want[:1234567])
    subprocess.run(["curl", "-s", "-C", "-", "-o", tmp_path / "part", f"http://127.0.0.1:{daemon.port}/big.bin"],
                   timeout=TIMEOUT, check=True)
    assert (tmp_path / "part").read_bytes() == want


def test_big_file_over_a_unix_socket(run, tmp_path, site):
    daemon = run(Daemon("-l", f"unix:{tmp_path}/socket", f"--web={site}", defaults=False))
    with RawClient(f"{tmp_path}/socket") as client:
        assert exchange(client, "/big.bin").body == (site / "big.bin").read_bytes()
        assert exchange(client, "/").body == INDEX
    daemon.stop()


def test_security_fields(daemon):
    client = daemon.connect()
    for target in ("/", "/type.svg"):
        answer = exchange(client, target)
        assert answer.header("X-Content-Type-Options") == "nosniff"
        assert answer.header("Referrer-Policy") == "no-referrer"
        assert answer.header("Content-Security-Policy") == "frame-ancestors 'self'"


# --- compressed neighbours ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def packed(site):
    """Files with neighbours of all kinds. What is in them is not compressed: the daemon does not look into it."""
    files = {"both.js": ("br", "gz"), "gz.css": ("gz",), "br.html": ("br",), "old.js": (), "half.js": ("gz",)}
    for name, suffixes in files.items():
        (site / name).write_bytes(b"plain")
        os.utime(site / name, ns=(0, 10**18))
        for suffix in suffixes:
            (site / f"{name}.{suffix}").write_bytes(suffix.encode())
            os.utime(site / f"{name}.{suffix}", ns=(0, 10**18))
    for name in ("old.js.gz", "old.js.br", "half.js.br"):
        (site / name).write_bytes(b"stale")
        os.utime(site / name, ns=(0, 10**18 - 1))
    (site / "trap.js").write_bytes(b"plain")
    (site / "trap.js.br").symlink_to("../secret")
    os.mkfifo(site / "trap.js.gz")
    (site / "folder.js").write_bytes(b"plain")
    (site / "folder.js.gz").mkdir()
    return site


@pytest.mark.parametrize("accept, coding", (
    (None, None), ("", None), ("gzip", "gz"), ("br", "br"), ("gzip, br", "br"), ("br, gzip", "br"), ("GZIP", "gz"),
    ("gzip, deflate, br, zstd", "br"), ("gzip;q=1, br;q=0.9", "gz"), ("gzip;q=0.5, br;q=0.500", "br"),
    ("gzip;q=0, br;q=0", None), ("br;q=0, gzip", "gz"), ("br;q=0.000", None), ("*", "br"), ("*;q=0.1", "br"),
    ("*;q=0", None), ("br;q=0, *", "gz"), ("gzip;q=0.001", "gz"), ("identity", None), ("identity, gzip", "gz"),
    ("identity;q=1, gzip;q=0.5", None), ("identity;q=0.5, gzip;q=1", "gz"), ("gzip ; q=0.3", "gz"),
    ("gzip;q=2", None), ("gzip;q=x", None), ("gzip;q=", None), ("gzip;q=0.1234", None), ("gzip;x=1", None),
    ("deflate", None), ("gzi", None), ("gzipx", None), (",,gzip,,", "gz")))
def test_coding(daemon, packed, accept, coding):
    client = daemon.connect()
    answer = exchange(client, "/both.js", **({} if accept is None else {"Accept-Encoding": accept}))
    assert (answer.status, answer.body) == (200, (coding or "plain").encode())
    assert answer.header("Content-Encoding") == {None: None, "gz": "gzip", "br": "br"}[coding]
    assert answer.header("Content-Type") == "text/javascript; charset=utf-8"
    assert answer.header("Vary") == "Accept-Encoding"


@pytest.mark.parametrize("name, coding", (
    ("gz.css", "gzip"), ("br.html", "br"), ("old.js", None), ("half.js", "gzip"), ("trap.js", None),
    ("folder.js", None), ("both.js.gz", None), ("abc.txt", None)))
def test_neighbour(daemon, packed, alphabet, name, coding):
    answer = exchange(daemon.connect(), f"/{name}", Accept_Encoding="gzip, br")
    assert answer.status == 200
    assert answer.header("Content-Encoding") == coding
    assert SECRET not in answer.body and b"stale" not in answer.body


def test_each_coding_has_its_tag(daemon, packed):
    client = daemon.connect()
    tags = {coding: exchange(client, "/both.js", Accept_Encoding=coding).header("ETag")
            for coding in ("identity", "gzip", "br")}
    assert len(set(tags.values())) == 3
    for coding, tag in tags.items():
        assert exchange(client, "/both.js", Accept_Encoding=coding, If_None_Match=tag).status == 304
        others = ", ".join(other for other in tags.values() if other != tag)
        assert exchange(client, "/both.js", Accept_Encoding=coding, If_None_Match=others).status == 200
    part = exchange(client, "/both.js", Accept_Encoding="gzip", Range="bytes=1-", If_Range=tags["gzip"])
    assert (part.status, part.body, part.header("Content-Range")) == (206, b"z", "bytes 1-1/2")


def test_neighbour_of_an_index(run, tmp_path):
    (tmp_path / "index.html").write_bytes(b"<p>hello")
    subprocess.run(["gzip", "-k", tmp_path / "index.html"], check=True)
    daemon = run(Daemon(f"--web={tmp_path}"))
    result = subprocess.run(["curl", "-s", "--compressed", "-D", "-", f"http://127.0.0.1:{daemon.port}/"],
                            capture_output=True, timeout=TIMEOUT, check=True).stdout
    assert b"Content-Encoding: gzip" in result and result.endswith(b"\r\n\r\n<p>hello")


# --- listing ------------------------------------------------------------------------------------


EVIL = ["a b", "<script>alert(1)<", "&amp;", '"quoted"', "'", "100%", "%41", "?x", "#y", "javascript:alert(1)",
        "new\nline", "\\back", "gr\u00fc\u00dfe", "tab\t", "z", "A", "//"]


class Links(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found, self.tags, self.inside = [], set(), False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag == "a":
            self.inside = True
            self.found.append([dict(attrs)["href"], ""])

    def handle_endtag(self, tag):
        self.inside = self.inside and tag != "a"

    def handle_data(self, data):
        if self.inside:
            self.found[-1][1] += data


@pytest.fixture
def evil(tmp_path):
    folder = tmp_path / "site" / "evil <b>"
    folder.mkdir(parents=True)
    for name in EVIL[:-1]:
        (folder / name).write_bytes(name.encode())
    (folder / "sub").mkdir()
    (folder / "Dir&").mkdir()
    (folder / ".hidden").write_bytes(SECRET)
    (folder / ".git").mkdir()
    (folder / "with-index").mkdir()
    (folder / "with-index" / "index.html").write_bytes(b"the index")
    os.mkfifo(folder / "fifo")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "name").write_bytes(SECRET)
    (folder / "way out").symlink_to("../../outside")
    return tmp_path / "site"


def test_listing(run, evil):
    daemon = run(Daemon(f"--web={evil}", "--web-listing=yes", peer="echo://"))
    client = daemon.connect()
    answer = exchange(client, "/evil%20%3Cb%3E/")
    assert answer.status == 200
    assert answer.header("Content-Type") == "text/html; charset=utf-8"
    assert answer.header("Content-Security-Policy").startswith("default-src 'none'")
    page = Links(answer.body.decode())
    assert not page.tags & {"script", "b"}
    folders = ["Dir&/", "sub/", "with-index/"]
    files = sorted([*EVIL[:-1], "way out"], key=str.encode)
    assert [text for _, text in page.found] == ["../", *folders, *files]
    for link, text in page.found[1:]:
        assert re.fullmatch(r"\./[\w.~!$()*+,;=@%-]+/?", link, re.ASCII)
        target = urllib.parse.urljoin("/evil%20%3Cb%3E/", link)
        answer = exchange(client, target)
        if text == "way out":
            assert answer.status == 404
        elif text == "with-index/":
            assert answer.body == b"the index"
        elif text.endswith("/"):
            assert answer.status == 200 and b"<ul>" in answer.body
        else:
            assert answer.body == text.encode()
    for target in ("/evil%20%3Cb%3E/way%20out/", "/evil%20%3Cb%3E/.git/", "/../outside/", "/evil%20%3Cb%3E/fifo/"):
        assert exchange(client, target).status == 404
    assert exchange(client, "/").body.count(b"<li>") == 1
    assert exchange(client, "/evil%20%3Cb%3E").status == 301
    head = exchange(client, "/", "HEAD")
    assert head.status == 200 and head.header("Content-Length") is None  # it would cost as much as GET


def test_long_listing(run, tmp_path):
    for number in range(2001):
        (tmp_path / f"{number:04d}").touch()
    daemon = run(Daemon(f"--web={tmp_path}", "--web-listing=yes"))
    body = exchange(daemon.connect(), "/").body
    assert body.count(b"<li>") == 2000 and b"more than 2000" in body


@pytest.mark.parametrize("options", ((), ("--web-listing=no",)))
def test_listing_is_off(run, evil, options):
    daemon = run(Daemon(f"--web={evil}", *options))
    assert exchange(daemon.connect(), "/").status == 404


# --- health -------------------------------------------------------------------------------------


def test_health(run, site):
    daemon = run(Daemon("--health=/healthz", f"--web={site}", peer="echo://"))
    client = daemon.connect()
    for target in ("/healthz", "/healthz?verbose"):
        answer = exchange(client, target)
        assert (answer.status, answer.body) == (200, b"ok\n")
        assert answer.header("Cache-Control") == "no-store"
    assert exchange(client, "/healthz", "HEAD").status == 200
    for target in ("/healthz/", "/healthzz", "/health", "/%68ealthz"):
        assert exchange(client, target).status == 404
    daemon.open("/healthz").close_handshake()  # the path is free for upgrades
    assert exchange(client, "/healthz", "POST").status == 405
    assert "healthz answered 2" not in daemon.log() and "health is" not in daemon.log()


def test_health_without_a_site(run):
    daemon = run(Daemon("--health=/up", "--log-level=debug", peer="echo://"))
    client = daemon.connect()
    assert exchange(client, "/up").body == b"ok\n"
    assert exchange(client, "/healthz").status == 426
    client.expect_eof()
    daemon.wait_log(r"debug: #\d+ .*health is answered with 200")


def test_health_at_the_limit(run):
    daemon = run(Daemon("--health=/healthz", "--max-clients=2", peer="echo://"))
    kept = daemon.connect()
    assert exchange(kept, "/healthz").status == 200
    other = daemon.open()
    assert exchange(kept, "/healthz").status == 503
    answer = daemon.http("/healthz", plain=True)
    assert (answer.status, answer.body) == (503, b"too many connections\n")
    other.close_handshake()
    eventually(lambda: exchange(kept, "/healthz").status == 200, "the place to be free again")
    assert daemon.http("/healthz", plain=True).status == 200


def test_health_needs_no_password(run, site, tmp_path):
    (tmp_path / "users").write_text("")
    daemon = run(Daemon("--health=/healthz", f"--web={site}", f"--auth-file={tmp_path / 'users'}"))
    assert daemon.http("/healthz", plain=True).status == 200
    assert daemon.http("/", plain=True).status == 401


def test_health_while_draining(run, site):
    """A connection that is busy with a download asks behind it."""
    daemon = run(Daemon("--health=/healthz", f"--web={site}", peer="echo://"))
    client = daemon.connect(rcvbuf=65536)
    client.send_raw(b"GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = client.recv_http(head_only=True)
    daemon.settle()
    daemon.barrier.close_handshake()
    daemon.signal(signal.SIGTERM)
    eventually(lambda: refuses(daemon), "the listener to be closed")
    assert hashlib.sha256(client.take(int(answer.header("Content-Length")))).digest() == \
        hashlib.sha256((site / "big.bin").read_bytes()).digest()
    answer = client.recv_http()
    assert (answer.status, answer.body) == (503, b"the server is shutting down\n")
    assert answer.tokens("Connection") == ["close"]
    client.expect_eof()
    client.close()
    assert daemon.wait() == 0


def refuses(daemon):
    with socket.socket() as sock:
        return sock.connect_ex(daemon.address) != 0


@pytest.mark.parametrize("value", ("healthz", "/a b", "/a?b", "/a#b", "/\u00e4"))
def test_bad_health(value):
    result = run_once(f"--health={value}", "-t")
    assert result.returncode != 0
    assert re.search(rf'--health: "{re.escape(value)}" is not a (URL )?path', result.stderr)


def test_bad_listing():
    result = run_once("--web-listing=maybe", "-t")
    assert result.returncode != 0
    assert '--web-listing: "maybe" is neither yes nor no' in result.stderr
