# SPDX-License-Identifier: BSD-2-Clause
"""The example site for nginx, in front of the daemon, with its ports replaced and nothing else."""
import random

import pytest

from tools import tls_files
from tools.client import RawClient
from tools.daemon import Daemon
from tools.frames import BIN, PING, PONG, TEXT, Frame, frame
from tools.http import build_request
from tools.peers import TcpPeer, echo
from tools.proxies import Nginx
from tools.waiting import eventually


@pytest.fixture(scope="module")
def echo_peer(run_module):
    return run_module(TcpPeer(echo))


@pytest.fixture(scope="module", params=("tcp", "tls", "unix"))
def behind(request, run_module, echo_peer, tmp_path_factory):
    """The daemon and the nginx in front of it, which reaches it over TCP, with or without TLS, or over a Unix socket."""
    folder = tmp_path_factory.mktemp("nginx")
    authority = tls_files.shared()[0] if request.param == "tls" else None
    if request.param != "unix":
        required = ["--tls=required"] if authority else []
        daemon = run_module(Daemon("-c", "protocol=*", *required, peer=echo_peer.url, tls=bool(authority)))
        upstream = f"127.0.0.1:{daemon.port}"
    else:
        path = f"{folder}/websocksy.sock"
        daemon = run_module(Daemon(
            "-l", f"unix:{path}", "-c", "protocol=*", peer=echo_peer.url, defaults=False))
        upstream = f"unix:{path}"
    return run_module(Nginx(folder, upstream, authority))


@pytest.fixture
def client(behind):
    with RawClient(behind.socket) as connection:
        connection.upgrade("/ws/chat")
        yield connection


def test_messages_both_ways(client):
    client.send_text("through nginx")
    assert client.recv_message() == (TEXT, b"through nginx")
    client.send_binary(b"\xff\x00")
    assert client.recv_message() == (BIN, b"\xff\x00")


def test_big_message_both_ways(client):
    data = random.Random(1).randbytes(4 << 20)
    client.send_in_background(frame(BIN, data))
    assert client.recv_bytes(len(data)) == data


def test_ping_passes(client):
    client.send_frame(PING, b"through")
    assert client.recv_frame() == Frame(True, PONG, b"through")


@pytest.mark.parametrize("code", (1000, 1001, 4321))
def test_close_code_passes(client, code):
    client.close_handshake(code)


def test_protocol_error_passes(client):
    client.send_frame(3, b"")
    client.expect_close(1002)


def test_subprotocol_passes(behind):
    with RawClient(behind.socket) as connection:
        response = connection.upgrade("/ws/", protocols="chat, other")
        assert response.header("Sec-WebSocket-Protocol") == "chat"


def test_frames_with_the_handshake_pass(behind):
    with RawClient(behind.socket) as connection:
        connection.send_raw(build_request("/ws/") + frame(TEXT, "early"))
        connection.recv_upgrade()
        assert connection.recv_message() == (TEXT, b"early")


def test_bad_key_is_answered_by_the_daemon(behind):
    with RawClient(behind.socket) as connection:
        connection.send_raw(build_request("/ws/", headers={"Sec-WebSocket-Key": "bad"}))
        answer = connection.recv_http()
        assert answer.status == 400
        assert b"Sec-WebSocket-Key" in answer.body


def test_plain_request_is_answered_by_the_daemon(behind):
    with RawClient(behind.socket) as connection:
        connection.send_raw(build_request("/ws/", plain=True))
        assert connection.recv_http().status == 426


def test_end_of_the_peer_passes(behind, echo_peer):
    with RawClient(behind.socket) as connection:
        before = len(echo_peer.connections)
        connection.upgrade("/ws/")
        eventually(lambda: len(echo_peer.connections) > before, "the peer connection")
        echo_peer.connections[-1].send(b"last words")
        echo_peer.connections[-1].finish()
        assert connection.recv_message() == (TEXT, b"last words")
        connection.expect_close(1000)
        connection.send_close(1000)


def test_path_and_client_address_reach_the_backend(run, tmp_path):
    """/ws/NAME arrives as /NAME, and X-Real-IP is what nginx saw, whatever the client claims."""
    peer = run(TcpPeer(echo))
    (tmp_path / "routes").mkdir()
    (tmp_path / "routes" / "room-unix:").write_text(f"{peer.url} *\n")
    daemon = run(Daemon(
        "-b", "file", "-c", f"path={tmp_path}/routes", "-c", "expression=%endpoint%-%header:X-Real-IP%"))
    nginx = run(Nginx(tmp_path, f"127.0.0.1:{daemon.port}"))
    with RawClient(nginx.socket) as connection:
        connection.upgrade("/ws/room", headers={"X-Real-IP": "6.6.6.6"})
        connection.send_text("found")
        assert connection.recv_message() == (TEXT, b"found")


def test_going_away_passes(run, tmp_path):
    daemon = run(Daemon(peer="echo://"))
    nginx = run(Nginx(tmp_path, f"127.0.0.1:{daemon.port}"))
    connection = run(RawClient(nginx.socket))
    connection.upgrade("/ws/")
    connection.send_text("there")
    assert connection.recv_message() == (TEXT, b"there")
    daemon.process.terminate()
    connection.expect_close(1001)
    connection.send_close(1001)
    connection.close()
    assert daemon.wait() == 0
    with RawClient(nginx.socket) as late:
        late.send_raw(build_request("/ws/"))
        assert late.recv_http().status == 502
