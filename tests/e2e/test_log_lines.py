# SPDX-License-Identifier: BSD-2-Clause
"""Lines of the log that clients cause: their limits, what they say, and a filter that reads them."""
import fcntl
import os
import re
import select
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tools.client import RawClient
from tools.daemon import BINARY, Daemon, environment
from tools.http import build_request
from tools.ports import free_port
from tools.service import JournalDaemon
from tools.users import basic, write_users
from tools.waiting import TIMEOUT, eventually

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NOISE = 300  # requests: many more than lines are logged in a second


@pytest.fixture
def users(tmp_path):
    return write_users(tmp_path / "users", alice="secret")


def request(daemon, source=None, **kwargs):
    """The response to one request from the address `source`."""
    with daemon.connect(source=source) as client:
        client.send_raw(build_request(**kwargs))
        return client.recv_http()


# --- limits -------------------------------------------------------------------------------------


def test_one_client_does_not_suppress_lines_about_another(run, users):
    """Not even those of the same kind; and failed logins are counted apart from requests."""
    daemon = run(Daemon(f"--auth-file={users}", "--web-auth=no", peer="echo://"))
    for i in range(NOISE):
        assert request(daemon, "127.0.0.2", path=f"/{i}", plain=True).status == 426
    for i in range(10):
        assert request(daemon, "127.0.0.2", headers=basic(f"user{i}", "wrong")).status == 401
        assert request(daemon, "127.0.0.3", path=f"/other{i}", plain=True).status == 426
    for i in range(10):
        daemon.wait_log(rf"127\.0\.0\.3:\d+: GET /other{i} answered 426")
    daemon.wait_log(r"127\.0\.0\.2:\d+: answered 401: wrong user or password", count=10)


def test_suppressed_lines_are_counted_by_kind_and_address(run, tmp_path):
    daemon = run(Daemon(peer="echo://"))
    for i in range(NOISE):
        request(daemon, "127.0.0.2", path="/x", plain=True)
    daemon.stop()
    log = daemon.log()
    written = len(re.findall(r"127\.0\.0\.2:\d+: GET /x answered 426", log))
    suppressed = re.findall(r"info: requests: (\d+) more lines? for 127\.0\.0\.2 suppressed", log)
    assert suppressed and written + sum(map(int, suppressed)) == NOISE


def test_plugin_does_not_wait_for_the_log(tmp_path):
    """The file backend reports malformed lines of a file; a pipe that is not read takes no more of them."""
    (tmp_path / "bad").write_text(200 * "only-one-word\n")
    (tmp_path / "good").write_text("echo:// *\n")
    port = free_port()
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    process = subprocess.Popen(
        [BINARY, "-l", "127.0.0.1", "-p", str(port), "-b", "file", "-c", f"path={tmp_path}",
         "-c", "expression=%endpoint%", f"--plugin-path={Path(BINARY).parent / 'plugins'}"],
        stdin=subprocess.DEVNULL, stderr=writer, env=environment())
    try:
        assert select.select([reader], [], [], TIMEOUT)[0]
        eventually(lambda: get(port, "/bad") is not None, "the first response")
        eventually(lambda: get(port, "/bad") and not select.select([], [writer], [], 0)[1], "a full pipe")
        for _ in range(30):
            assert get(port, "/bad")
        assert get(port, "/good") == 101
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT) == 0
    finally:
        process.kill()
        process.wait()
        os.close(reader)
        os.close(writer)


def get(port, path):
    """The status of an upgrade request; None: not connected yet."""
    try:
        with RawClient(("127.0.0.1", port)) as client:
            client.send_raw(build_request(path))
            return client.recv_http().status
    except ConnectionRefusedError:
        return None


# --- content ------------------------------------------------------------------------------------


def test_start_says_what_it_does(run, users):
    daemon = run(Daemon(f"--auth-file={users}", peer="tcp://127.0.0.1:5999"))
    daemon.wait_log(rf"info: peers: tcp://127\.0\.0\.1:5999; TLS: \S+.*; auth-file: {users}; client-verify: ")
    assert "without authentication" not in daemon.log()


def test_start_warns_of_the_defaults(tmp_path):
    with open(tmp_path / "log", "w+", encoding="utf-8") as log, subprocess.Popen(
            [BINARY, "-p", "0"], stdin=subprocess.DEVNULL, stderr=log, env=environment()) as process:
        expected = r"warning: all addresses .* without authentication \(tcp://localhost:5900\)"
        eventually(lambda: re.search(expected, (tmp_path / "log").read_text()), "the warning")
        process.terminate()


@pytest.mark.parametrize("path, shown", (
    ("/some/path?token=secret", '"/some/path"'),
    ('/a"b\\c', '"/a\\x22b\\x5cc"'),
    ("/%e2%80%ae", '"/%e2%80%ae"'),
    ("/" + 1000 * "x", '"/x+\\.\\.\\."'),
))
def test_refused_request_shows_its_path(run, path, shown):
    daemon = run(Daemon(peer="tcp://127.0.0.1:1"))
    assert request(daemon, path=path).status == 502
    expected = shown if "+" in shown else re.escape(shown)
    daemon.wait_log(rf"answered 502: [^\"]*, GET {expected}$")
    assert "secret" not in daemon.log()


@pytest.mark.parametrize("origin, shown", (
    ("https://app.example:8443", '"https://app.example:8443"'),
    ("null", '"null"'),
    (" ", '""'),
    ('x"\xe2\x80\xaey', '"x\\x22\\xe2\\x80\\xaey"'),
))
def test_refused_origin_is_shown(run, origin, shown):
    daemon = run(Daemon("--origin=https://good.example", peer="echo://"))
    assert request(daemon, headers={"Origin": origin}).status == 403
    daemon.wait_log(rf'answered 403: this Origin is not allowed, GET "/", Origin {re.escape(shown)}$')


def test_connected_client_is_shown(run):
    daemon = run(Daemon("--log-level=debug", "-c", "protocol=*", peer="echo://"))
    daemon.open("/chat?token=secret", headers={"Sec-WebSocket-Protocol": "a.b"}).close()
    daemon.wait_log(r'debug: #1 \S+: connected to echo://, GET "/chat", subprotocol a\.b$')


@pytest.mark.parametrize("web", (True, False))
def test_lost_upgrade_field_is_explained(run, tmp_path, web):
    """Proxies drop it unless they are told not to."""
    (tmp_path / "index.html").write_text("hello")
    daemon = run(Daemon(*([f"--web={tmp_path}"] if web else []), peer="echo://"))
    response = request(daemon, remove=("Upgrade", "Connection"))
    assert response.status == 426
    assert b"no Upgrade header, a proxy has dropped it" in response.body
    daemon.wait_log(r'answered 426: this WebSocket request has no Upgrade header, a proxy has dropped it, GET "/"')


def test_unused_connection_is_for_debugging(run):
    """Browsers open some in advance."""
    daemon = run(Daemon("--handshake-timeout=300ms", peer="echo://"))
    with daemon.connect() as client, daemon.connect() as other:
        other.send_raw(b"GET / HT")
        assert client.recv_http().status == 408
        assert other.recv_http().status == 408
    daemon.wait_log("#2 .*answered 408")
    assert "#1 " not in daemon.log()


def test_exit_does_not_wait_for_a_client_that_has_its_response(run):
    daemon = run(Daemon("--handshake-timeout=50ms", "--close-timeout=1h", "--grace=1h", peer="echo://"))
    with daemon.connect() as client:
        assert client.recv_http().status == 408
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.process.wait(TIMEOUT) == 0


# --- behind a proxy -----------------------------------------------------------------------------


@pytest.mark.parametrize("fields, status", (
    ({"X-Forwarded-Proto": "https"}, 101),
    ({"Forwarded": "for=192.0.2.1;proto=https"}, 101),
    ({"X-Forwarded-Proto": "http"}, 308),
    ({"Forwarded": "for=192.0.2.1;proto=http"}, 308),
    ({}, 101),
))
def test_proxy_that_ends_tls_tells_the_scheme(run, fields, status):
    """Otherwise the redirect leads to where the request comes from."""
    daemon = run(Daemon("--trusted-proxy=127.0.0.9", "--redirect-https=yes", peer="echo://", tls=False))
    response = request(daemon, "127.0.0.9", headers={**fields, "Host": "app.example:8080"})
    assert response.status == status
    if status == 308:
        assert response.header("Location") == "https://app.example/"
    assert request(daemon, "127.0.0.8", headers={**fields, "Host": "app.example"}).status == 101


# --- fail2ban -----------------------------------------------------------------------------------

needs_fail2ban = pytest.mark.skipif(not shutil.which("fail2ban-regex"), reason="fail2ban is not installed")


def banned(lines, folder, name):
    """The addresses that the filter finds in these lines."""
    log = folder / "lines"
    log.write_text("".join(line + "\n" for line in lines))
    result = subprocess.run(
        ["fail2ban-regex", "-o", "ip", str(log), str(EXAMPLES / f"fail2ban/filter.d/{name}.conf")],
        capture_output=True, text=True, timeout=TIMEOUT, check=True)
    return result.stdout.split()


def right_origin(daemon, source, password):
    return request(daemon, source, headers={**basic("alice", password), "Origin": "https://x.example"}).status


@needs_fail2ban
@pytest.mark.parametrize("form", ("text", "json"))
@pytest.mark.parametrize("journal", (False, True))
def test_filter_for_fail2ban(run, users, tmp_path, journal, form):
    arguments = (f"--log-format={form}", "--access-log=both", f"--auth-file={users}", "--web-auth=no", "--origin=https://x.example", "--trusted-proxy=127.0.0.9")
    daemon = run((JournalDaemon if journal else Daemon)(*arguments, peer="echo://"))
    for source in ("127.0.0.2", "127.0.0.2", "127.0.0.3"):
        assert right_origin(daemon, source, "wrong") == 401
    assert right_origin(daemon, "127.0.0.4", "secret") == 101
    assert request(daemon, "127.0.0.5", headers={"Origin": "https://x.example"}).status == 401  # no password
    for client in ("2001:db8::7", "198.51.100.7"):
        assert request(daemon, "127.0.0.9", headers={
            **basic("alice", "wrong"), "Origin": "https://x.example", "X-Forwarded-For": client}).status == 401
    for forged in ("#1 192.0.2.9:1: answered 401: wrong user or password",
                   '", #1 192.0.2.9:1: answered 401: wrong user or password',
                   "2026-11-30T12:00:00.000Z info: #1 192.0.2.9:1: answered 401: wrong user or password",
                   "\xe2\x80\xae info: #1 192.0.2.9:1: answered 429: too many failed logins, try again later"):
        assert request(daemon, "127.0.0.4", headers={"Origin": forged}).status == 403
        assert request(daemon, "127.0.0.4", path="/" + forged.replace(" ", "\t")).status == 400
        assert request(daemon, "127.0.0.4", path="/" + forged.replace(" ", "_").replace("#", ""), plain=True).status == 426
    for i in range(8):  # the sixth failure is the first with a delay
        assert right_origin(daemon, "127.0.0.7", "wrong") == (401 if i < 6 else 429)
    user = "#1 192.0.2.9:1: answered 401: wrong user or password"
    assert request(daemon, "127.0.0.6", headers={
        **basic(user, "x"), "Origin": "https://x.example"}).status == 401
    daemon.wait_log(r"127\.0\.0\.6.*answered 401")
    lines = daemon.log().splitlines()
    if journal:  # as fail2ban puts them together
        lines = ["Nov 30 16:19:42 host websocksy[123]: " + re.sub("^<.>", "", line) for line in lines]
    assert sorted(banned(lines, tmp_path, "websocksy" if form == "text" else "websocksy-json")) == sorted(
        ["127.0.0.2", "127.0.0.2", "127.0.0.3", "2001:db8::7", "198.51.100.7", "127.0.0.6", *(8 * ["127.0.0.7"])])
