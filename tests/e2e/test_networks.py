# SPDX-License-Identifier: BSD-2-Clause
"""What happens in the network between the daemon and others: lost machines, link-local name servers."""
import pytest

from tools.daemon import Daemon
from tools.dns import NameServer
from tools.frames import CLOSE, PING, PONG, close_payload
from tools.mounts import system_files
from tools.networks import Network
from tools.peers import TcpPeer
from tools.waiting import TIMEOUT


def test_peer_whose_machine_is_gone(run):
    """The link to the peer was cut: a client that only listens stayed connected for ever."""
    here, there = run(Network()), run(Network())
    here.connect(there, "192.0.2.1", "192.0.2.2")
    peer = there.call(lambda: run(TcpPeer(host="192.0.2.2")))
    daemon = run(Daemon("--ping=1s", "--pong-timeout=1s", "--stall-timeout=1s", peer=peer.url, preexec_fn=here.enter))
    client = here.call(daemon.open)
    connection = peer.accept()
    connection.send(b"hello")
    assert client.recv_message()[1] == b"hello"
    there.ip("link", "set", "cable", "down")
    for _ in range(round(TIMEOUT)):  # a ping each second
        got = client.recv_frame()
        if got.opcode != PING:
            break
        client.send_frame(PONG, got.payload)
    assert got.opcode == CLOSE and got.payload[:2] == close_payload(1011)
    daemon.wait_log("failed: .*; closing with 1011")


@pytest.mark.parametrize("where", ("option", "resolv.conf"))
def test_link_local_name_server(run, tmp_path, where):
    """The zone was refused in `resolver`, and such servers of resolv.conf were not used."""
    network = run(Network())
    network.ip("address", "add", "fe80::53/64", "dev", "lo", "nodad")
    port = 0 if where == "option" else 53
    dns = network.call(lambda: run(NameServer({"db.test": {"A": ["127.0.0.1"]}}, "fe80::53%lo", port)))
    peer = network.call(lambda: run(TcpPeer()))
    enter, arguments = network.enter, [f"--resolver={dns.address}"]
    if where == "resolv.conf":
        files = system_files(tmp_path, {"/etc/resolv.conf": "# ours\nnameserver fe80::53%lo\n"})
        arguments = []

        def enter():
            files.enter()
            network.enter()

    daemon = run(Daemon(*arguments, peer=f"tcp://db.test:{peer.port}", preexec_fn=enter))
    client = network.call(daemon.open)
    peer.accept().send(b"hello")
    assert client.recv_message()[1] == b"hello"
    assert "is not used" not in daemon.log()


def test_link_local_name_server_without_its_interface(run):
    """Not an error at start, because interfaces come and go; the next name server is asked."""
    network = run(Network())
    dns = network.call(lambda: run(NameServer({"db.test": {"A": ["127.0.0.1"]}})))
    peer = network.call(lambda: run(TcpPeer()))
    daemon = run(Daemon(f"--resolver=[fe80::53%gone]:{dns.port},{dns.address}",
                        peer=f"tcp://db.test:{peer.port}", preexec_fn=network.enter))
    network.call(daemon.open)
