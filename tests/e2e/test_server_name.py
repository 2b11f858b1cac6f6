# SPDX-License-Identifier: BSD-2-Clause
"""The server's own names, and the origins that are accepted without the option `origin`."""
import ssl

import pytest

from tools import tls_files
from tools.client import chat, status_of
from tools.daemon import Daemon, run_once
from tools.tls import open_tls
from tools.users import basic, write_users

NAMES = ("--server-name=chat.example.org", "--server-name=*.example.net", "--server-name=127.0.0.1",
         "--server-name=[::1]")


def answer(client, origin, host="localhost"):
    """The status of an upgrade."""
    lines = ["GET / HTTP/1.1", f"Host: {host}", "Connection: Upgrade", "Upgrade: websocket",
             "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    lines += [f"Origin: {origin}"] if origin else []
    client.send_raw("\r\n".join([*lines, "", ""]).encode())
    return client.recv_http().status


@pytest.mark.parametrize("host, status", [
    ("chat.example.org", 101), ("CHAT.example.org:8001", 101), ("chat.example.org.", 101),
    ("a.example.net", 101), ("a.b.example.net:1", 101), ("127.0.0.1:8001", 101), ("[0::1]", 101),
    ("example.org", 421), ("example.net", 421), ("evilexample.net", 421), ("rebound.attacker.example", 421),
    ("127.0.0.2", 421), ("[::2]", 421),
])
def test_host(run, host, status):
    """A page whose name was bound to this address (DNS rebinding) reached the daemon as a page of its own."""
    daemon = run(Daemon("-c", "protocol=*", *NAMES, peer="echo://", tls=False))
    assert answer(daemon.connect(tls=None), None, host) == status


def test_pages_and_redirects_but_not_health(run, pair, tmp_path):
    """Every request is checked before it is answered or redirected, except those for health."""
    (tmp_path / "index.html").write_text("hello")
    daemon = run(Daemon(*NAMES, f"--web={tmp_path}", "--health=/healthz", f"--cert={pair.cert}",
                        f"--key={pair.key}", "--redirect-https=yes", tls=False))
    for path, host, status in (("/", "other.example", 421), ("/", "chat.example.org", 308),
                               ("/healthz", "other.example", 200)):
        client = daemon.connect(tls=None)
        client.send_raw(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert client.recv_http().status == status


def test_other_server_name_in_tls(serve, authority):
    """TLS for a name that is not the server's is refused with the alert unrecognized_name."""
    daemon = serve("--server-name=localhost")
    context = tls_files.client_context(authority)
    chat(open_tls(daemon, context))
    context.check_hostname = False
    with pytest.raises(ssl.SSLError, match="(?i)unrecognized.name"):
        open_tls(daemon, context, "other.example")
    daemon.wait_log('TLS handshake failed: the client asks for the server name "other.example", '
                    "which is not one of server-name")


def test_dot_at_the_end_of_the_server_name(serve, authority):
    """A name with a final dot got the first certificate instead of its own."""
    pairs = [authority.issue("one.example"), authority.issue("two.example")]
    daemon = serve(pairs=pairs)
    context = tls_files.client_context(authority)
    context.check_hostname = False
    for name, one in (("two.example.", pairs[1]), ("one.example.", pairs[0]), ("two.example", pairs[1])):
        client = open_tls(daemon, context, name)
        assert client.sock.tls.getpeercert(True) == tls_files.der(one), name
        client.close()


def test_errors():
    """A value that is not a name is an error."""
    for value in ("*", "https://example.org", "example.org:80", "*.", "a b", "::1", "*.127.0.0.1"):
        result = run_once(f"--server-name={value}", "-t")
        assert result.returncode == 1
        assert f'error: command line: --server-name: "{value}" is not a host name' in result.stderr


# --- origin -------------------------------------------------------------------------------------


def test_same_compares_the_scheme(serve, authority):
    """With TLS, a page that was loaded without TLS counted as a page of the same origin."""
    daemon = serve("--origin=same")
    for origin, status in (("https://localhost", 101), ("http://localhost", 403)):
        assert answer(open_tls(daemon, tls_files.client_context(authority)), origin) == status
        assert answer(daemon.connect(tls=None), origin) == 101  # TLS may end at a proxy


def test_same_believes_the_scheme_of_a_proxy(run):
    """Behind a proxy that ends TLS the page has to be one that was loaded with TLS."""
    daemon = run(Daemon("-c", "protocol=*", "--origin=same", "--trusted-proxy=127.0.0.1", peer="echo://", tls=False))
    for origin, status in (("https://localhost", 101), ("http://localhost", 403)):
        host = "localhost\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https"
        assert answer(daemon.connect(tls=None), origin, host) == status


ORIGIN_OPTIONS = pytest.mark.parametrize("option, other", [
    ((), 403), (("--origin=*",), 101), (("--origin=https://evil.example",), 101)], ids=["auto", "any", "given"])


@ORIGIN_OPTIONS
def test_default_with_passwords(run, tmp_path, option, other):
    """Pages of other sites could connect with the password that a browser has kept, unless origin was set."""
    users = write_users(tmp_path / "users", alice="secret")
    daemon = run(Daemon(f"--auth-file={users}", *option, peer="echo://", tls=False))
    user = basic("alice", "secret")
    assert status_of(daemon, headers={"Origin": "https://evil.example", **user})[0] == other
    if not option:
        assert status_of(daemon, headers=user)[0] == 101  # not a browser
        assert status_of(daemon, headers={"Origin": "http://localhost", "Host": "localhost", **user})[0] == 101


@ORIGIN_OPTIONS
def test_default_with_client_certificates(serve, authority, option, other):
    """Pages of other sites could connect with the certificate of a browser's user, unless origin was set."""
    daemon = serve(f"--client-ca={authority.cert}", "--client-verify=optional", *option)
    context = tls_files.client_context(authority)
    assert answer(open_tls(daemon, context), "https://evil.example") == other
    if not option:
        assert answer(open_tls(daemon, context), "https://localhost") == 101
        assert answer(open_tls(daemon, context), None) == 101  # not a browser


def test_origin_of_files(run):
    """file:// is sent by embedded browsers and could not be allowed."""
    daemon = run(Daemon("-c", "protocol=*", "--origin=file://", peer="echo://", tls=False))
    for origin, status in (("file://", 101), ("null", 403), ("https://a.example", 403)):
        assert answer(daemon.connect(tls=None), origin) == status
