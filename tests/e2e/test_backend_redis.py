# SPDX-License-Identifier: BSD-2-Clause
"""The backend redis: Debian's redis-server, and servers that are slow, silent or broken."""
from pathlib import Path

import pytest

from tools import tls_files
from tools.client import status_of
from tools.daemon import BINARY, TLS, Daemon, failed_start
from tools.http import build_request
from tools.lookups import Redis
from tools.peers import TcpPeer, echo

WAITING = 1000


@pytest.fixture(scope="module")
def redis(run_module, tmp_path_factory, authority):
    return run_module(Redis(tmp_path_factory.mktemp("redis"), authority.issue("localhost")))


@pytest.fixture(scope="module")
def peer(run_module):
    return run_module(TcpPeer(echo))


def options(server, *more):
    return ["-b", "redis", "-c", f"server={server}", *(word for option in more for word in ("-c", option))]


@pytest.fixture(scope="module")
def daemon(run_module, redis):
    """With a password, a database and a namespace, over the Unix socket."""
    return run_module(Daemon(*options(
        f"unix:{redis.socket}", f"password={redis.PASSWORD}", "db=3", "namespace=ns")))


@pytest.fixture
def scripted(run):
    """A server that the test drives, and a daemon that asks it."""
    server = run(TcpPeer())
    return server, run(Daemon(*options(f"127.0.0.1:{server.port}", "connections=1")))


def test_values_name_the_peer(daemon, redis, peer):
    values = (f"127.0.0.1:{peer.port}", f" {peer.url}\n", f'{{"host": "127.0.0.1:{peer.port}"}}')
    for number, value in enumerate(values):
        redis.command("SET", f"ns:key{number}", value, db=3)
        daemon.open(f"/?token=key{number}").round_trip()


def test_refused_clients(daemon, redis):
    redis.command("SET", "other", "127.0.0.1:1", db=3)
    redis.command("SET", "ns:secret1", "no peer", db=3)
    redis.command("LPUSH", "ns:secret2", "x", db=3)
    redis.command("SET", "ns:secret3", "unix:///run/x", db=3)
    redis.command("SET", "ns:secret4", "x" * 100000, db=3)
    for path in ("/", "/?token=", "/?token=unknown", "/?token=other", "/?token=" + "x" * 1025):
        assert status_of(daemon, path=path)[0] == 404
    for number in range(1, 5):
        assert status_of(daemon, path=f"/?token=secret{number}")[0] == 502
    daemon.wait_log("does not name a peer")
    daemon.wait_log("error WRONGTYPE")
    assert "secret" not in daemon.log() and redis.PASSWORD not in daemon.log()


def test_lookups_over_tls(run, redis, peer, authority, tmp_path):
    redis.command("SET", "key", f"127.0.0.1:{peer.port}")
    server = f"tls://localhost:{redis.tls_port}"
    with Daemon(*options(f"{server}?ca={authority.cert}", f"password={redis.PASSWORD}")) as trusting:
        trusting.open("/?token=key").round_trip()
    other = tls_files.Authority(tmp_path, "Another Authority")
    with Daemon(*options(f"{server}?ca={other.cert}", f"password={redis.PASSWORD}")) as wary:
        assert status_of(wary, path="/?token=key")[0] == 502
        wary.wait_log("clients refused with 502: 1")


def test_a_wrong_password(run, redis):
    daemon = run(Daemon(*options(f"127.0.0.1:{redis.port}", "password=wrong secret")))
    assert status_of(daemon, path="/?token=key")[0] == 502
    daemon.wait_log("AUTH or SELECT is the error WRONGPASS")
    assert "wrong secret" not in daemon.log()


def test_a_restart_of_the_server(daemon, redis, peer):
    value = f"127.0.0.1:{peer.port}"
    redis.command("SET", "ns:key", value, db=3)
    client = daemon.open("/?token=key")
    redis.stop()
    assert status_of(daemon, path="/?token=key")[0] == 502
    redis.start()
    redis.command("SET", "ns:key", value, db=3)
    daemon.open("/?token=key").round_trip()
    client.round_trip()


def ask(daemon, count=1, token="key"):
    """Clients whose lookup has begun."""
    clients = [daemon.connect() for _ in range(count)]
    for client in clients:
        client.send_raw(build_request(f"/?token={token}"))
    return clients


GET = b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n"


def test_a_connection_that_is_lost_during_a_lookup(scripted, peer):
    server, daemon = scripted
    client, = ask(daemon)
    first = server.accept()
    assert first.recv_exactly(len(GET)) == GET
    first.sock.sendall(b"$15\r\n127.0")
    first.close()
    second = server.accept()
    assert second.recv_exactly(len(GET)) == GET
    value = f"127.0.0.1:{peer.port}".encode()
    second.sock.sendall(b"$%d\r\n%s\r\n" % (len(value), value))
    client.recv_upgrade()
    client.round_trip()


@pytest.mark.parametrize(
    "reply", (b"", b"$4\r\n12", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"*1\r\n", b"+OK\r\n"),
    ids=("nothing", "half a value", "another protocol", "an array", "a status"))
def test_servers_that_break_off_or_send_garbage(scripted, reply):
    server, daemon = scripted
    client, = ask(daemon)
    for _ in range(2):
        connection = server.accept()
        assert connection.recv_exactly(len(GET)) == GET
        connection.sock.sendall(reply)
        connection.close()
    assert client.recv_http().status == 502
    daemon.wait_log("clients refused with 502: 1")
    assert len(server.connections) == 2


def test_a_silent_server(run):
    server = run(TcpPeer())
    daemon = run(Daemon(*options(f"127.0.0.1:{server.port}", "timeout=100ms")))
    client, = ask(daemon)
    assert client.recv_http().status == 504
    daemon.wait_log("no reply in time")


def test_clients_that_leave_while_they_wait(scripted, peer):
    server, daemon = scripted
    ask(daemon)
    connection = server.accept()
    connection.recv_exactly(len(GET))
    daemon.close_clients()
    daemon.settle()
    client, = ask(daemon)
    connection.recv_exactly(len(GET))
    value = f"127.0.0.1:{peer.port}".encode()
    connection.sock.sendall(b"$-1\r\n$%d\r\n%s\r\n" % (len(value), value))
    client.recv_upgrade()
    client.round_trip()


def answer_get(connection, peer):
    connection.recv_exactly(len(GET))
    value = f"127.0.0.1:{peer.port}".encode()
    connection.sock.sendall(b"$%d\r\n%s\r\n" % (len(value), value))


def test_a_thousand_clients_wait_and_delay_nobody(scripted, peer):
    server, daemon = scripted
    talking, = ask(daemon)
    connection = server.accept()
    answer_get(connection, peer)
    talking.recv_upgrade()
    clients = ask(daemon, WAITING)
    # Commands are sent without waiting for replies, up to a limit.
    connection.recv_exactly(len(GET) * 256)
    daemon.settle()
    for _ in range(20):
        talking.round_trip()
    # None of them has been answered meanwhile, so no echo has waited for one.
    for number in range(WAITING):
        if number >= 256:
            connection.recv_exactly(len(GET))
        connection.sock.sendall(b"$-1\r\n")
    for client in clients:
        assert client.recv_http(head_only=True).status == 404
    assert len(server.connections) == 1


def test_errors_in_options():
    assert failed_start("-b", "redis") == [
        "command line: backend: server is missing, as in server=localhost:6379"]


def test_cached_replies(run, peer):
    server = run(TcpPeer())
    daemon = run(Daemon(*options(f"127.0.0.1:{server.port}", "ttl=1h")))
    client, = ask(daemon)
    connection = server.accept()
    answer_get(connection, peer)
    client.recv_upgrade()
    daemon.open("/?token=key").round_trip()


@pytest.mark.skipif(TLS, reason="the command line of websockify has TLS of its own")
def test_the_class_of_websockify(run, redis, peer):
    redis.command("SET", "ns:key", f'{{"host": "127.0.0.1:{peer.port}"}}', db=1)
    source = f'127.0.0.1:{redis.port}:1:"{redis.PASSWORD}":ns'
    daemon = run(Daemon("--token-plugin", "TokenRedis", "--token-source", source, "127.0.0.1:0", defaults=False,
                        program=Path(BINARY).parent / "compat" / "websockify"))
    daemon.open("/websockify?token=key").round_trip()
    assert status_of(daemon, path="/websockify?token=unknown")[0] == 404
