# SPDX-License-Identifier: BSD-2-Clause
"""The backend http: a server for the test, one behind nginx, and servers that are slow, silent or broken."""
import os
import threading
from pathlib import Path

import pytest

from tools import tls_files
from tools.client import status_of
from tools.daemon import BINARY, TLS, Daemon, failed_start
from tools.http import build_request
from tools.lookups import HttpServer, found
from tools.peers import TcpPeer, TlsPeer, echo
from tools.ports import free_port
from tools.proxies import MAIN, Nginx, is_listening
from tools.waiting import TIMEOUT, eventually

WAITING = 300


@pytest.fixture(scope="module")
def peer(run_module):
    return run_module(TcpPeer(echo))


@pytest.fixture(scope="module")
def server(run_module):
    return run_module(HttpServer())


def options(url, *more):
    return ["-b", "http", "-c", f"url={url}", *(word for option in more for word in ("-c", option))]


@pytest.fixture(scope="module")
def daemon(run_module, server):
    return run_module(Daemon(*options(
        f"http://127.0.0.1:{server.port}/peer?t=%s&p=%path%", "pass-header=Cookie", "pass-header=X-Tenant")))


@pytest.fixture
def scripted(run):
    """A server that the test drives, and a daemon that asks it."""
    server = run(TcpPeer())
    return server, run(Daemon(*options(f"http://127.0.0.1:{server.port}/%s")))


def target(token, path="%2F"):
    return f"/peer?t={token}&p={path}"


def test_responses_name_the_peer(daemon, server, peer):
    address = f"127.0.0.1:{peer.port}"
    json = f'{{"host": "127.0.0.1", "port": {peer.port}}}'
    bodies = {
        "text": found(address),
        "address": found(f"tcp://{address}\n", "201 Created"),
        "json": found(json),
        "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (
            json[:2].encode(), len(json) - 2, json[2:].encode()),
    }
    before = len(server.connections)
    for token, body in bodies.items():
        server.responses[target(token)] = body
        daemon.open(f"/?token={token}").round_trip()
    # One connection serves them all; it may have been opened by an earlier test.
    assert len(server.connections) <= before + 1


def test_statuses(daemon, server):
    passed_on = {401: 401, 403: 403, 404: 404, 400: 502, 302: 502, 500: 502}
    for status, expected in passed_on.items():
        server.responses[target(f"secret{status}")] = found("x", f"{status} Reason")
        assert status_of(daemon, path=f"/?token=secret{status}")[0] == expected
    server.responses[target("secret204")] = b"HTTP/1.1 204 No Content\r\n\r\n"
    server.responses[target("secretunix")] = found("unix:///run/x")
    for token in ("secret204", "secretunix"):
        assert status_of(daemon, path=f"/?token={token}")[0] == 502
    daemon.wait_log("the response 500 does not name a peer; the client is refused with 502")
    assert "secret" not in daemon.log()
    assert status_of(daemon, path="/")[0] == 404


def test_texts_of_clients_are_encoded(daemon, server):
    headers = {"Cookie": "a=b; c=d", "X-Other": "x"}
    assert status_of(
        daemon, path="/chat/a%20b?token=%2e%2e/%0d%0aX:%20y%26p=1", headers=headers)[0] == 404
    head = server.heads[-1]
    assert head.splitlines() == [
        "GET /peer?t=..%2F%0D%0AX%3A%20y%26p%3D1&p=%2Fchat%2Fa%2520b HTTP/1.1",
        f"Host: 127.0.0.1:{server.port}", "User-Agent: websocksy", "Accept: application/json, text/plain",
        "Cookie: a=b; c=d", ""]


class AuthNginx(Nginx):
    """nginx that asks an endpoint before it serves the file with the peer."""

    def __init__(self, folder, endpoint, address):
        self.folder = folder
        self.socket = f"{folder}/nginx.sock"
        self.port = free_port()
        (folder / "peer").write_text(address + "\n")
        (folder / "site.conf").write_text(f"""
server {{
    listen unix:{self.socket};
    listen 127.0.0.1:{self.port};
    location = /peer {{ auth_request /auth; root {folder}; }}
    location = /auth {{ internal; proxy_pass http://127.0.0.1:{endpoint}/check; }}
}}
""")
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(MAIN.format(folder=folder, user=user))

    def listens(self):
        return super().listens() and is_listening(self.port)


def test_an_endpoint_behind_nginx(run, peer, tmp_path):
    def check(connection):
        """nginx speaks HTTP/1.0 to it."""
        status = "204 No Content" if b"session=good" in connection.recv() else "401 Unauthorized"
        connection.sock.sendall(f"HTTP/1.0 {status}\r\n\r\n".encode())

    endpoint = run(TcpPeer(check))
    nginx = run(AuthNginx(tmp_path, endpoint.port, f"127.0.0.1:{peer.port}"))
    daemon = run(Daemon(*options(f"http://127.0.0.1:{nginx.port}/peer", "pass-header=Cookie")))
    daemon.open("/", headers={"Cookie": "session=good"}).round_trip()
    assert status_of(daemon, headers={"Cookie": "session=bad"})[0] == 401


def test_certificates(run, peer, authority, tmp_path):
    other = tls_files.Authority(tmp_path, "Another Authority")
    pairs = (
        (authority.issue("localhost"), None),
        (authority.issue("localhost", expired=True), "expired"),
        (authority.issue("example.org"), "name"),
        (other.issue("localhost"), "issuer|authority|signed"),
    )
    for pair, problem in pairs:
        with TlsPeer(tls_files.server_context(pair), respond_with(found(f"127.0.0.1:{peer.port}"))) as server, Daemon(
                *options(f"https://localhost:{server.port}/%s", f"ca={authority.cert}")) as daemon:
            if problem:
                assert status_of(daemon, path="/?token=key")[0] == 502
                daemon.wait_log(f"https://localhost:{server.port}: .*({problem}).*refused with 502")
            else:
                daemon.open("/?token=key").round_trip()


def respond_with(response):
    """A handler that responds to one request and closes."""
    def handler(connection):
        while b"\r\n\r\n" not in connection.received:
            if not connection.recv():
                return
        connection.sock.sendall(response)
    return handler


def ask(daemon, count=1, token="key"):
    """Clients whose lookup has begun."""
    clients = [daemon.connect() for _ in range(count)]
    for client in clients:
        client.send_raw(build_request(f"/?token={token}"))
    return clients


def read_request(connection):
    while not connection.received.endswith(b"\r\n\r\n"):
        assert connection.recv()


@pytest.mark.parametrize("response", (
    b"", b"HTTP/1.1 200 OK\r\nConte", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n127.", b"SSH-2.0-x\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5000),
    ids=("nothing", "half a head", "half a body", "another protocol", "two lengths", "too long"))
def test_servers_that_break_off_or_send_garbage(scripted, response):
    server, daemon = scripted
    client, = ask(daemon)
    connection = server.accept()
    read_request(connection)
    connection.sock.sendall(response)
    connection.close()
    assert client.recv_http().status == 502
    daemon.wait_log(f"http://127.0.0.1:{server.port}: .*; the client is refused with 502")
    assert len(server.connections) == 1


def test_a_silent_server(run):
    server = run(TcpPeer())
    daemon = run(Daemon(*options(f"http://127.0.0.1:{server.port}/%s", "timeout=100ms")))
    client, = ask(daemon)
    connection = server.accept()
    read_request(connection)
    assert client.recv_http().status == 504
    connection.expect_eof()


def test_a_server_that_is_down(run):
    daemon = run(Daemon(*options(f"http://127.0.0.1:{free_port()}/%s")))
    assert status_of(daemon, path="/?token=key")[0] == 502


def test_clients_that_leave_while_they_wait(scripted):
    server, daemon = scripted
    ask(daemon)
    connection = server.accept()
    read_request(connection)
    daemon.close_clients()
    connection.expect_eof()


def test_many_clients_wait_and_delay_nobody(run, server, peer):
    daemon = run(Daemon(*options(f"http://127.0.0.1:{server.port}/%s")))
    server.responses["/key"] = found(f"127.0.0.1:{peer.port}")
    talking = daemon.open("/?token=key")
    gate = threading.Event()
    server.responses["/slow"] = lambda head: gate.wait(TIMEOUT) and server.NOT_FOUND
    before = len(server.connections), len(server.heads)
    clients = ask(daemon, WAITING, "slow")
    # As many lookups as there are connections, one of which existed already.
    eventually(lambda: len(server.heads) == before[1] + 256, "256 requests")
    daemon.settle()
    for _ in range(20):
        talking.round_trip()
    # None of them has been answered meanwhile, so no echo has waited for one.
    gate.set()
    for client in clients:
        assert client.recv_http(head_only=True).status == 404
    assert len(server.heads) == before[1] + WAITING
    assert len(server.connections) == before[0] + 255


def test_errors_in_options():
    assert failed_start("-b", "http") == [
        "command line: backend: url is missing, as in url=http://localhost:8000/peer?token=%s"]


@pytest.mark.skipif(TLS, reason="the command line of websockify has TLS of its own")
def test_the_classes_of_websockify(run, server, peer):
    server.responses["/api/key"] = found(f'{{"host": "127.0.0.1", "port": {peer.port}}}')
    for name in ("BaseTokenAPI", "JSONTokenApi"):
        daemon = run(Daemon(
            "--token-plugin", name, "--token-source", f"http://127.0.0.1:{server.port}/api/%s", "127.0.0.1:0",
            defaults=False, program=Path(BINARY).parent / "compat" / "websockify"))
        daemon.open("/websockify?token=key").round_trip()
