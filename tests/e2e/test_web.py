# SPDX-License-Identifier: BSD-2-Clause
"""The option `web`: plain HTTP beside WebSocket, and nothing but what lies in the directory."""
import email.utils
import hashlib
import os
import re
import socket
import time

import pytest

from harness import BIN, Daemon, ROOT, RawClient, build_request, eventually, scaled

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


def ask(daemon, target, method="GET", version="HTTP/1.1", head="Host: localhost\r\n"):
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
    answer = ask(daemon, "/index.html")
    modified = email.utils.parsedate_to_datetime(answer.header("Last-Modified"))
    assert int(modified.timestamp()) == int(os.stat(site / "index.html").st_mtime)
    assert abs(email.utils.parsedate_to_datetime(answer.header("Date")).timestamp() - time.time()) < scaled(5)


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


# --- what is not --------------------------------------------------------------------------------


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
    ("/sub", "/sub/"), ("/sub?x=1", "/sub/?x=1"), ("/sub/deep", "/sub/deep/"), ("/%73ub", "/sub/"),
    ("/empty", "/empty/")))
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
        client.send_raw(b"GET " + target.encode("latin-1") + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
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


def test_file_that_may_not_be_read(run, tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    (tmp_path / "closed").write_text("x")
    (tmp_path / "closed").chmod(0)
    assert ask(run(Daemon(f"--web={tmp_path}")), "/closed").status == 403


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


@pytest.mark.parametrize("target", ("/", "/index.html", "/../secret", "*"))
def test_without_web_a_plain_request_gets_426(run, target):
    daemon = run(Daemon(peer="echo://"))
    for method in ("GET", "HEAD"):
        answer = ask(daemon, target, method=method)
        assert answer.status in ((426,) if target.startswith("/") else (400, 426))
        if answer.status == 426:
            assert answer.header("Sec-WebSocket-Version") == "13"
            assert "websocket" in answer.tokens("Upgrade")
    assert ask(daemon, "/", method="POST").status == 405


# --- size, speed, company -----------------------------------------------------------------------


def test_big_file_to_a_slow_reader(daemon, site):
    """It does not lie in the daemon's memory, nor does it hold anybody up, and comes whole."""
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
    client = daemon.connect(rcvbuf=4096)
    client.send_raw(build_request("/big.bin", plain=True))
    assert client.sock.recv(100)
    before = daemon.fds()
    eventually(lambda: daemon.fds() < before, "the connection to be dropped")


def test_slow_but_steady_reader_is_not_dropped(run, site, tmp_path):
    """handshake-timeout is for the request; a download may take longer as long as it moves."""
    daemon = run(Daemon(f"--web={site}", f"--handshake-timeout={int(scaled(300))}ms"))
    client = daemon.connect(rcvbuf=65536)
    client.send_raw(build_request("/big.bin", plain=True))
    size, begin, length = 0, time.monotonic(), scaled(1)
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


def test_upgrade_works_on_every_path_at_the_same_time(daemon):
    clients = [daemon.open(path) for path in ("/", "/index.html", "/none", "/sub", "/big.bin?x")]
    assert ask(daemon, "/").body == INDEX
    for client in clients:
        client.send_text("still a WebSocket")
        assert client.recv_message()[1] == b"still a WebSocket"
        client.close_handshake()


def test_pipelined_request_is_not_answered(daemon):
    """Every answer says Connection: close, so there is exactly one."""
    client = daemon.connect()
    client.send_raw(2 * build_request("/index.html", plain=True))
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


def test_request_target_in_the_log_forges_no_line(daemon):
    ask(daemon, b"/\x1b[31mred")
    ask(daemon, b"/\xc2\x9b31m")
    assert "\x1b" not in daemon.log() and "\x9b" not in daemon.log()


def test_unix_listener_serves_pages_too(run, tmp_path, site):
    daemon = run(Daemon("-l", f"unix:{tmp_path}/socket", f"--web={site}", defaults=False))
    with RawClient(f"{tmp_path}/socket") as client:
        client.send_raw(build_request("/", plain=True))
        assert client.recv_http().body == INDEX
    daemon.stop()
