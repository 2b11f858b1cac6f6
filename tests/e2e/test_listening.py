# SPDX-License-Identifier: BSD-2-Clause
"""Listening sockets: passed by a service manager, exchanged by a reload, replaced by others; who gets a
place; and a daemon that was started with nothing open."""
import os
import re
import signal
import socket
import stat

import pytest

from tools.client import ConnectionEnded, status_of
from tools.configuration import ECHO, READ_AGAIN, UNCHANGED, reload, write_config
from tools.daemon import Daemon
from tools.frames import TEXT, frame
from tools.http import build_request
from tools.peers import TcpPeer, UnixPeer, echo
from tools.ports import free_port
from tools.service import Manager, activated
from tools.sockets import HAS_IPV6, is_open
from tools.waiting import TIMEOUT, eventually


# --- socket activation --------------------------------------------------------------------------


@pytest.fixture
def passed():
    """A listening socket of which the manager, here the test, keeps its own copy."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(64)
        yield sock


def test_clients_that_come_while_a_passed_socket_drains(run, passed):
    """Closing our copy of the socket does not end what the kernel reports of it. The session that runs ends
    properly, and the new clients are there for the next process."""
    peer = run(TcpPeer())
    daemon = activated(run, [passed], "-c", f"host={peer.url}", "--grace=60")
    client, connection = daemon.open(address=passed.getsockname()), peer.accept()
    daemon.signal(signal.SIGTERM)
    client.expect_close(1001)
    late = []
    for number in range(20):
        late.append(run(socket.create_connection(passed.getsockname())))
        late[-1].sendall(build_request())
        # Handled by the daemon, which therefore has handled the new client too, if it does.
        client.send_text(f"{number:02}")
        assert connection.recv_exactly(2) == b"%02d" % number
    client.send_close(1001)
    client.expect_eof()
    client.close()
    connection.expect_eof()
    assert daemon.wait() == 0
    passed.settimeout(TIMEOUT)
    for _ in late:
        with passed.accept()[0] as sock:
            sock.settimeout(TIMEOUT)
            assert sock.recv(1 << 16) == build_request()


def test_successor_serves_who_came_while_it_was_not_there(run, passed):
    daemon = activated(run, [passed], "-c", "host=echo://")
    daemon.stop()
    early = daemon.connect(passed.getsockname())
    early.send_raw(build_request())
    activated(run, [passed], "-c", "host=echo://")
    early.recv_upgrade()
    early.close_handshake()


def test_passed_socket_sends_at_once(run, passed):
    """TCP_NODELAY of a listening socket is inherited by what it accepts, so it is set there, once."""
    assert passed.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 0
    activated(run, [passed], "-c", "host=echo://")
    assert passed.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


# --- who gets a place ---------------------------------------------------------------------------


def test_surplus_of_one_address_takes_nobody_elses_place(run):
    """Silent connections above max-clients-per-ip wait to be told 503; they count for nothing else."""
    daemon = run(Daemon("--max-clients=5", "--max-clients-per-ip=1", peer="echo://"))
    # More than there are places and more than are kept to be told.
    hogs = [run(socket.create_connection(daemon.address)) for _ in range(100)]
    for number in (2, 3, 4, 5):
        status, client = status_of(daemon, source=f"127.0.0.{number}")
        assert status == 101, number
        client.round_trip()
    # Now it is full indeed, and so many are waiting to be told that this one is not.
    with pytest.raises(ConnectionEnded):
        status_of(daemon, source="127.0.0.6")
    for sock in hogs:
        sock.close()

    def place():
        try:
            return status_of(daemon)[0] == 101
        except ConnectionEnded:
            return False

    eventually(place, "a place for 127.0.0.1", every=0.02)


# --- reload while stopping ----------------------------------------------------------------------


def test_reload_while_stopping_opens_and_announces_nothing(run, tmp_path):
    manager = run(Manager(f"{tmp_path}/notify"))
    path = tmp_path / "front"
    peer = run(TcpPeer())
    backend = (("host", peer.url),)
    base = (("port", "0"), ("listen", "127.0.0.1"))
    config = write_config(tmp_path, base, backend)
    daemon = run(Daemon(config, defaults=False, env={"NOTIFY_SOCKET": f"{tmp_path}/notify"}))
    assert manager.recv() == {"READY": "1"}
    client, connection = daemon.open(), peer.accept()
    daemon.signal(signal.SIGTERM)
    assert manager.recv() == {"STOPPING": "1"}
    client.expect_close(1001)
    write_config(tmp_path, (*base, ("listen", f"unix:{path}")), backend)
    daemon.signal(signal.SIGHUP)
    for _ in range(3):  # what is sent after the signal is handled after it
        client.send_text("x")
        assert connection.recv_exactly(1) == b"x"
    assert manager.nothing(0)
    assert not path.exists()
    client.send_close(1001)
    client.expect_eof()
    client.close()
    connection.expect_eof()
    assert daemon.wait() == 0
    assert manager.nothing(0)
    assert len(re.findall("listening on", daemon.log())) == 1


# --- reload of listeners ------------------------------------------------------------------------


class Reloaded:
    """A daemon with the echo peer and a configuration file that changes."""

    def __init__(self, run, folder, *core):
        self.folder = folder
        self.daemon = run(Daemon(write_config(folder, core, ECHO), defaults=False))

    def reload(self, *core, line=READ_AGAIN):
        """Returns what was logged meanwhile."""
        write_config(self.folder, core, ECHO)
        return reload(self.daemon, line)


# An address of this machine that is not 127.0.0.1.
OTHER = "127.0.0.2"
WILDCARDS = ["0.0.0.0", *(["*", "::"] if HAS_IPV6 else [])]


@pytest.mark.parametrize("wide", WILDCARDS)
def test_reload_to_a_narrower_address_on_the_same_port_and_back(run, tmp_path, wide):
    """The kernel gives 127.0.0.1 only when no socket, of this daemon either, has all addresses of that port."""
    port = free_port()
    wide, narrow = (("port", port), ("listen", wide)), (("port", port), ("listen", "127.0.0.1"))
    bridge = Reloaded(run, tmp_path, *wide)
    clients = [bridge.daemon.open()]
    assert is_open((OTHER, port))
    for core, everywhere in ((narrow, False), (wide, True), (narrow, False)):
        assert "error" not in bridge.reload(*core)
        assert is_open((OTHER, port)) == everywhere
        clients.append(bridge.daemon.open())
    for client in clients:
        client.round_trip()


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def test_reload_of_the_mode_of_a_unix_socket(run, tmp_path):
    path = f"{tmp_path}/front"
    bridge = Reloaded(run, tmp_path, ("listen", f"unix:{path},mode=0660"))
    client = bridge.daemon.open(address=path)
    assert mode_of(path) == 0o660
    assert "error" not in bridge.reload(("listen", f"unix:{path},mode=0600"))
    assert mode_of(path) == 0o600
    bridge.daemon.open(address=path).close_handshake()
    client.close_handshake()
    bridge.daemon.stop()
    assert not os.path.exists(path)


@pytest.fixture
def occupied(run, tmp_path):
    """`listen` of a Unix socket that another process serves."""
    return f"unix:{run(UnixPeer(tmp_path / 'occupied', echo)).path}"


@pytest.mark.parametrize("port", ("fixed", "chosen"))
def test_old_address_stays_when_the_new_ones_cannot_be_had(run, tmp_path, occupied, port):
    """Our own listener is in the way of the first and is shut; then the second fails for another reason."""
    given = free_port() if port == "fixed" else 0
    base = (("port", given), ("listen", "0.0.0.0"))
    bridge = Reloaded(run, tmp_path, *base)
    real = bridge.daemon.port
    client = bridge.daemon.open()
    log = bridge.reload(("port", real), ("listen", "127.0.0.1"), ("listen", occupied), line=UNCHANGED)
    assert occupied in log
    assert is_open((OTHER, real))
    bridge.daemon.open().close_handshake()
    client.round_trip()
    # And it is still the one that the old configuration means: nothing to be done for that.
    assert "listening on" not in bridge.reload(*base)
    bridge.daemon.open().close_handshake()


@pytest.mark.parametrize("port", ("fixed", "chosen"))
def test_failure_elsewhere_leaves_the_listener_alone(run, tmp_path, occupied, port):
    """It is wanted by both configurations: it is not shut, not even for a moment."""
    base = (("port", free_port() if port == "fixed" else 0), ("listen", "127.0.0.1"))
    bridge = Reloaded(run, tmp_path, *base)
    log = bridge.reload(*base, ("listen", occupied), line=UNCHANGED)
    assert occupied in log and "listening on" not in log
    bridge.daemon.open().close_handshake()


def test_listener_makes_way_only_for_what_it_is_in_the_way_of(run, tmp_path, occupied):
    """It is not wanted any more, but a Unix socket of another process does not need its port."""
    base = (("port", free_port()), ("listen", "127.0.0.1"))
    bridge = Reloaded(run, tmp_path, *base)
    log = bridge.reload(base[0], ("listen", occupied), line=UNCHANGED)
    assert occupied in log and "listening on" not in log
    path = f"unix:{tmp_path}/front"
    bridge.reload(*base, ("listen", path))
    log = bridge.reload(base[0], ("listen", "127.0.0.1"), ("listen", occupied), line=UNCHANGED)
    assert "listening on" not in log
    bridge.daemon.open(address=path[5:]).close_handshake()
    bridge.daemon.open().close_handshake()


def test_old_mode_stays_when_the_new_configuration_cannot_be_had(run, tmp_path, occupied):
    path = f"{tmp_path}/front"
    bridge = Reloaded(run, tmp_path, ("listen", f"unix:{path},mode=0660"))
    bridge.reload(("listen", f"unix:{path},mode=0600"), ("listen", occupied), line=UNCHANGED)
    assert mode_of(path) == 0o660
    bridge.daemon.open(address=path).close_handshake()
    bridge.daemon.stop()
    assert not os.path.exists(path)


def test_address_that_is_not_ours_changes_nothing(run, tmp_path):
    """192.0.2.1 is for documentation (RFC 5737): no machine has it."""
    port = free_port()
    bridge = Reloaded(run, tmp_path, ("port", port), ("listen", "0.0.0.0"))
    log = bridge.reload(("port", port), ("listen", "127.0.0.1"), ("listen", "192.0.2.1"), line=UNCHANGED)
    assert "192.0.2.1" in log
    assert is_open((OTHER, port))
    bridge.daemon.open().close_handshake()


# --- socket files -------------------------------------------------------------------------------


def test_socket_file_of_a_successor_is_not_removed(run, tmp_path):
    path = tmp_path / "front"
    daemon = run(Daemon("-l", f"unix:{path}", defaults=False, peer="echo://"))
    path.unlink()
    successor = run(Daemon("-l", f"unix:{path}", defaults=False, peer="echo://"))
    daemon.stop()
    successor.open(address=path).close_handshake()
    successor.stop()
    assert not path.exists()


def test_other_file_in_place_of_the_socket_is_not_removed(run, tmp_path):
    path = tmp_path / "front"
    config = write_config(tmp_path, (("listen", f"unix:{path}"),), ECHO)
    daemon = run(Daemon(config, defaults=False))
    path.unlink()
    path.write_text("mine")
    write_config(tmp_path, (("port", "0"), ("listen", "127.0.0.1")), ECHO)
    reload(daemon)
    assert path.read_text() == "mine"
    daemon.stop()
    assert path.read_text() == "mine"


# --- started with nothing open ------------------------------------------------------------------


def test_log_reaches_no_client_when_the_standard_descriptors_are_closed(run, tmp_path):
    """The next sockets would get the numbers 0 to 2, and the log goes to 2. A reload makes such numbers free
    for clients."""
    first, second = tmp_path / "first", tmp_path / "second"
    peer = run(TcpPeer(echo))
    core, backend = (("log-level", "debug"),), (("host", peer.url), ("protocol", "*"))
    config = write_config(tmp_path, (*core, ("listen", f"unix:{first}")), backend)
    daemon = run(Daemon(config, defaults=False, listening=False, preexec_fn=lambda: os.closerange(0, 3)))
    eventually(lambda: first.exists() and is_open(str(first)), "a listener")
    clients = [daemon.open(address=first) for _ in range(4)]
    write_config(tmp_path, (*core, ("listen", f"unix:{second}")), backend)
    daemon.signal(signal.SIGHUP)
    eventually(lambda: second.exists() and is_open(str(second)), "the new listener")
    clients += [daemon.open(address=second) for _ in range(4)]
    bad = daemon.connect(second)  # something to log a line about
    bad.send_raw(build_request(method="PUT"))
    assert bad.recv_http().status == 405
    for client in clients:
        client.send_text("hello")
        assert client.recv_message() == (TEXT, b"hello")
    for connection in peer.connections:
        assert bytes(connection.received) == b"hello"
    for client in clients:
        client.close_handshake()
    assert daemon.log() == ""
    daemon.stop()


# --- a service with a short queue ---------------------------------------------------------------


class ShortQueue(UnixPeer):
    def listen(self, rcvbuf, sndbuf):
        sock = super().listen(rcvbuf, sndbuf)
        sock.listen(1)
        return sock


def test_many_clients_for_a_service_with_a_short_queue(run, tmp_path):
    """A Unix socket refuses for the moment what TCP would let wait. All get through in the end."""
    peer = ShortQueue(tmp_path / "service", echo)
    daemon = run(Daemon(peer=peer.url))
    clients = [daemon.connect() for _ in range(20)]
    for client in clients:
        client.send_raw(build_request() + frame(TEXT, b"early"))
    daemon.settle()  # they all have come to it; none is accepted yet
    run(peer)
    for client in clients:
        client.recv_upgrade()
        assert client.recv_message() == (TEXT, b"early")
        client.close_handshake()
