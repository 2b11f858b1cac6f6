# SPDX-License-Identifier: BSD-2-Clause
"""Pages behind reverse proxies, certificates, deployments, and clients that are slow on purpose."""
import os
import re
import shutil
import socket

import pytest

from tools.client import exchange, receive
from tools.counting import can_trace
from tools.daemon import BINARY, SANITIZED, Daemon, run_once, standing_still
from tools.frames import PING
from tools.http import build_request
from tools.waiting import eventually

PAST = (1000, 1000)


@pytest.fixture
def site(tmp_path):
    folder = tmp_path / "site"
    (folder / "app").mkdir(parents=True)
    (folder / "app" / "index.html").write_bytes(b"app")
    (folder / "index.html").write_bytes(b"index")
    return folder


def test_redirect_of_a_directory_is_relative(run, site):
    """Behind a proxy that removes a prefix, an absolute path would lead out of the prefix."""
    answer = exchange(run(Daemon(f"--web={site}")).connect(), "/app?x=1")
    assert answer.status == 301 and answer.header("Location") == "app/?x=1"


def test_etag_does_not_tell_the_inode(run, site):
    """Entity tags do not describe the file system."""
    tag = exchange(run(Daemon(f"--web={site}")).connect(), "/").header("ETag")
    inode = os.stat(site / "index.html").st_ino
    assert f"{inode:x}" not in tag and str(inode) not in tag


# --- /.well-known -------------------------------------------------------------------------------


@pytest.fixture
def challenge(site):
    folder = site / ".well-known" / "acme-challenge"
    folder.mkdir(parents=True)
    (folder / "token").write_bytes(b"proof")
    (site / ".well-known" / "other").write_bytes(b"other")
    (site / ".secret").write_bytes(b"hidden")
    return "/.well-known/acme-challenge/token"


def test_well_known_is_public(run, site, challenge):
    """Files in /.well-known (RFC 8615) are served; other hidden names are not."""
    client = run(Daemon(f"--web={site}")).connect()
    assert exchange(client, challenge).body == b"proof"
    assert exchange(client, "/.well-known/other").body == b"other"
    for path in ("/.secret", "/.well-known/../.secret", "/.well-known/.secret", "/app/.well-known/x"):
        assert exchange(client, path).status == 404


def test_acme_challenge_needs_no_password(run, site, challenge, tmp_path):
    """Certificate authorities have no password; everything else in /.well-known needs one."""
    (tmp_path / "users").write_text("alice:$2y$04$abcdefghijklmnopqrstuu" + "u" * 31 + "\n")
    daemon = run(Daemon(f"--web={site}", f"--auth-file={tmp_path}/users"))
    assert daemon.http(challenge, plain=True).body == b"proof"
    assert daemon.http("/.well-known/acme-challenge/none", plain=True).status == 404
    for path in ("/", "/.well-known/other", "/.well-known/acme-challenge"):
        assert daemon.http(path, plain=True).status == 401
    assert daemon.http(challenge).status == 401  # an upgrade


def test_acme_challenge_is_not_redirected(run, site, challenge):
    """Certificate authorities ask without TLS, and may not trust the certificate that https would show."""
    daemon = run(Daemon(f"--web={site}", "--redirect-https=yes", tls=True))
    for path, status in ((challenge, 200), ("/", 308)):
        client = daemon.connect(tls=None)
        client.send_raw(build_request(path, plain=True))
        assert client.recv_http().status == status


# --- configured header fields -------------------------------------------------------------------


def test_web_header(run, site):
    """Pages can have header fields of the operator, which replace defaults of the same name."""
    daemon = run(Daemon(
        f"--web={site}", "--web-header=Cross-Origin-Opener-Policy: same-origin", "--web-header=cache-control:max-age=60"))
    answer = exchange(daemon.connect(), "/")
    assert answer.header("Cross-Origin-Opener-Policy") == "same-origin"
    assert [value for name, value in answer.headers if name.lower() == "cache-control"] == ["max-age=60"]
    assert answer.header("X-Content-Type-Options") == "nosniff"


@pytest.mark.parametrize("value, message", (
    ("X", "is not a header field (Name: value)"), ("X Y: z", "is not a header field (Name: value)"),
    ("X:", "has no value (Name: value)"), ("X: a\x01b", "has a control character in its value"),
    ("Content-Length: 1", "is a header field that depends on the response and cannot be set"),
    ("X: " + "y" * 1100, "makes the values of this option too long (1024 bytes together)")))
def test_invalid_web_header(value, message):
    result = run_once("-t", f"--web-header={value}")
    assert result.returncode != 0 and message in result.stderr


def test_frame_ancestors(run, site):
    """Pages can be shown in frames of other sites, as dashboards do."""
    daemon = run(Daemon(f"--web={site}", "--frame-ancestors=self", "--frame-ancestors=https://*.example.com:8123"))
    policy = exchange(daemon.connect(), "/").header("Content-Security-Policy")
    assert policy == "frame-ancestors 'self' https://*.example.com:8123"


@pytest.mark.parametrize("value", ("'self'", "example.com", "https://a;b", "null"))
def test_invalid_frame_ancestors(value):
    result = run_once("-t", f"--frame-ancestors={value}")
    assert result.returncode != 0 and "must be self, none, * or scheme://host[:port]" in result.stderr


# --- deployments --------------------------------------------------------------------------------


def test_switched_link(run, tmp_path):
    """A deployment that switches a symbolic link is served from the next request on."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "index.html").write_text(name)
    (tmp_path / "current").symlink_to("one")
    daemon = run(Daemon(f"--web={tmp_path}/current"))
    client = daemon.connect()
    assert exchange(client, "/").body == b"one"
    (tmp_path / "next").symlink_to("two")
    os.rename(tmp_path / "next", tmp_path / "current")
    assert exchange(client, "/").body == b"two"
    daemon.wait_log("web: .*/current has been replaced; the new files are served")


def test_replaced_directory(run, tmp_path):
    """The same for a directory that is moved away and replaced; in between, the old one is served."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "index.html").write_text(name)
    daemon = run(Daemon(f"--web={tmp_path}/one"))
    client = daemon.connect()
    os.rename(tmp_path / "one", tmp_path / "old")
    assert exchange(client, "/").body == b"one"
    os.rename(tmp_path / "two", tmp_path / "one")
    assert exchange(client, "/").body == b"two"


# --- listings -----------------------------------------------------------------------------------


@pytest.fixture
def large(tmp_path):
    folder = tmp_path / "large"
    folder.mkdir()
    for number in range(2000):
        (folder / f"{number:04d}{'&' * 200}").touch()
    os.utime(folder, PAST)
    return folder


def test_listing_is_made_once(run, large):
    """A listing of a directory that does not change costs its work once, and nothing for HEAD."""
    daemon = run(Daemon(f"--web={large}", "--web-listing=yes"))
    client = daemon.connect()
    before = daemon.cpu_ns()
    assert exchange(client, "/").body.count(b"<li>") == 2000
    once = daemon.cpu_ns() - before
    before = daemon.cpu_ns()
    for _ in range(200):
        assert exchange(client, "/", "HEAD").header("Content-Length") is None
    for _ in range(5):
        exchange(client, "/")
    assert daemon.cpu_ns() - before < 100 * once
    (large / "new").touch()
    assert b'"./new"' in exchange(client, "/").body


@pytest.mark.skipif(SANITIZED, reason="the leak check does not work under strace")
def test_pipelined_listings_leave_turns_to_others(run, tmp_path):
    """A client that asks for many listings at once does not delay others until all are made: the order counts in
    which the daemon sends."""
    if not can_trace():
        pytest.skip("strace is not installed, or tracing is not allowed here")
    site, record = tmp_path / "site", tmp_path / "record"
    for number in range(15):
        (site / f"{number}").mkdir(parents=True)
        for name in range(100):
            (site / f"{number}" / f"{name:03d}").touch()
    daemon = run(Daemon("-D", "-o", record, "-e", "trace=sendto,sendmsg", BINARY, "-p", "0", "-l", "127.0.0.1",
                        f"--web={site}", "--web-listing=yes", peer="echo://", tls=False, defaults=False,
                        executable=shutil.which("strace")))
    greedy, other = daemon.connect(), daemon.open()
    requests = "".join(f"GET /{number}/ HTTP/1.1\r\nHost: x\r\n\r\n" for number in range(15))
    with standing_still(daemon):
        greedy.send_raw(requests.encode())
        other.send_frame(PING, b"behind the listings")
    assert other.recv_frame().payload == b"behind the listings"
    for _ in range(15):
        assert receive(greedy).body.count(b"<li>") == 101
    daemon.stop()
    text = eventually(lambda: re.search(r"(?s).*\+\+\+ exited", record.read_text()), "the end of the record").group()
    before, _, after = text.partition("behind the listings")
    assert before.count('"HTTP/1.1 200 OK') <= 1
    assert after.count('"HTTP/1.1 200 OK') >= 14


# --- slow clients -------------------------------------------------------------------------------


def test_client_that_takes_a_response_too_slowly(run, site):
    """A byte now and then does not keep a response, its file and its place for ever."""
    with open(site / "large", "wb") as file:
        file.truncate(64 << 20)
    daemon = run(Daemon(f"--web={site}", defaults=False, listening=True,
                        *("-p", "0", "-l", "127.0.0.1", "--handshake-timeout=500ms")))
    client = daemon.connect(rcvbuf=4096)
    client.send_raw(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
    client.sock.settimeout(0.02)

    def gone():
        try:
            client.sock.recv(1)
        except (TimeoutError, socket.timeout):
            pass
        except OSError:
            return True
        return "takes the response too slowly" in daemon.log()

    eventually(gone, "the daemon to close the connection")
    daemon.wait_log("closed: the client takes the response too slowly")
