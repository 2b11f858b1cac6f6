# SPDX-License-Identifier: BSD-2-Clause
"""Names of peers: /etc/hosts, /etc/resolv.conf, the search list, and answers that are shared and kept."""
import threading

import pytest

from tools.configuration import BASE, reload, write_config
from tools.daemon import Daemon, run_once
from tools.dns import SERVFAIL, SILENCE, Answer, NameServer
from tools.frames import BIN, frame
from tools.http import build_request
from tools.mounts import system_files
from tools.peers import TcpPeer, UdpPeer

HOSTS, RESOLV = "/etc/hosts", "/etc/resolv.conf"


def open_and_greet(daemon, peer):
    client = daemon.open()
    connection = peer.accept()
    connection.send(b"hello")
    assert client.recv_message()[1] == b"hello"
    client.close()
    connection.close()


class Place:
    """A daemon with files of its own, whose peer is `name`."""

    def __init__(self, run, folder, name, port, script, hosts="127.0.0.1 localhost\n", resolv="options ndots:1\n"):
        self.dns = run(NameServer(script))
        self.files = system_files(folder, {HOSTS: hosts, RESOLV: resolv})
        self.daemon = run(Daemon(f"--resolver={self.dns.address}", peer=f"tcp://{name}:{port}",
                                 preexec_fn=self.files.enter))


# --- /etc/hosts -----------------------------------------------------------------------------------


@pytest.mark.parametrize("host, other, kind", (("127.0.0.1", "::1", "AAAA"), ("::1", "127.0.0.1", "A")))
def test_hosts_file_hides_the_other_family_of_dns(run, tmp_path, host, other, kind):
    """A host of /etc/hosts was looked up in DNS as well, for the family that the file does not have."""
    with TcpPeer(host=host) as right:
        place = Place(run, tmp_path, "db.test", right.port, {"db.test": {kind: [other]}}, f"{host} db.test\n")
        open_and_greet(place.daemon, right)
    assert place.daemon.http().status == 502
    assert place.dns.queries == []


def test_hosts_file_is_read_each_time(run, tmp_path):
    """An entry that is added takes effect although an answer of DNS is kept."""
    peer = run(TcpPeer())
    other = run(TcpPeer(host="127.0.0.2", port=peer.port))
    place = Place(run, tmp_path, "db.test", peer.port, {"db.test": {"A": ["127.0.0.1"]}})
    open_and_greet(place.daemon, peer)
    place.files.write(HOSTS, "127.0.0.2 db.test\n")
    open_and_greet(place.daemon, other)
    place.files.write(HOSTS, "")
    open_and_greet(place.daemon, peer)


# --- the search list ------------------------------------------------------------------------------


def test_both_families_are_from_one_name_of_the_search_list(run, tmp_path):
    """The first name that exists counts, also for the family of which it has no address."""
    peer = run(TcpPeer())
    run(TcpPeer(host="::1", port=peer.port))
    script = {"db.one.test": {"A": ["127.0.0.1"]}, "db.two.test": {"AAAA": ["::1"]}}
    place = Place(run, tmp_path, "db", peer.port, script, resolv="search zero.test one.test two.test\n")
    open_and_greet(place.daemon, peer)
    assert [name for name, kind, _ in place.dns.queries if kind == "A"] == ["db.zero.test", "db.one.test"]
    assert place.dns.count("db.two.test") == 0


@pytest.mark.parametrize("name, asked", (
    ("db.example", ["db.example", "db.example.one.test"]),
    ("db.example.", ["db.example"]),
    ("db", ["db.one.test", "db"]),
))
def test_order_of_the_search_list(run, tmp_path, name, asked):
    place = Place(run, tmp_path, name, 9, {}, resolv="search one.test\n")
    assert place.daemon.http().status == 502
    assert [name for name, kind, _ in place.dns.queries if kind == "AAAA"] == asked


def test_an_error_ends_the_search(run, tmp_path):
    """That a name server fails does not prove that the name is missing: no other host is taken."""
    peer = run(TcpPeer())
    script = {"db.one.test": {"A": Answer(rcode=SERVFAIL), "AAAA": Answer(rcode=SERVFAIL)},
              "db.two.test": {"A": ["127.0.0.1"]}}
    place = Place(run, tmp_path, "db", peer.port, script, resolv="search one.test two.test\n")
    assert place.daemon.http().status == 502
    assert place.dns.count("db.two.test") == 0


def test_search_list_of_the_root(run, tmp_path):
    """`search .`, which systemd-resolved writes, made single names fail without a question."""
    peer = run(TcpPeer())
    place = Place(run, tmp_path, "db", peer.port, {"db": {"A": ["127.0.0.1"]}}, resolv="search .\n")
    open_and_greet(place.daemon, peer)


def test_missing_name_with_a_search_list_of_the_root(run, tmp_path):
    """The message was about a misformatted name."""
    place = Place(run, tmp_path, "missing.test", 9, {}, resolv="search .\n")
    assert place.daemon.http().status == 502
    place.daemon.wait_log("cannot connect to tcp://missing.test:9: no such host name")


# --- resolv.conf and reload -----------------------------------------------------------------------


def test_reload_reaches_lookups_that_run(run, tmp_path):
    """With a silent name server the new one was asked only after all lookups had ended."""
    peer = run(TcpPeer())
    silent = run(NameServer({"db.test": {"A": SILENCE, "AAAA": SILENCE}}))
    good = run(NameServer({"db.test": {"A": ["127.0.0.1"]}}))
    backend = [("host", f"tcp://db.test:{peer.port}")]
    path = write_config(tmp_path, [*BASE, ("resolver", silent.address)], backend)
    daemon = run(Daemon(path, defaults=False))
    client = daemon.connect()
    client.send_raw(build_request())
    daemon.settle()
    write_config(tmp_path, [*BASE, ("resolver", good.address)], backend)
    reload(daemon)
    assert b" 101 " in client.take(20)
    peer.accept()


def test_changed_resolv_conf_is_read(run, tmp_path):
    """The search list of a file that has changed was used only after a reload."""
    peer = run(TcpPeer())
    place = Place(run, tmp_path, "db", peer.port, {"db.one.test": {"A": ["127.0.0.1"]}}, resolv="")
    assert place.daemon.http().status == 502
    place.files.write(RESOLV, "search one.test\n")
    open_and_greet(place.daemon, peer)


@pytest.mark.parametrize("server, used", (("fe80::1%lo", True), ("nonsense", False), ("fe80::1%", False)))
def test_name_server_that_is_not_used(run, tmp_path, server, used):
    """Name servers of resolv.conf were left out without a word."""
    files = system_files(tmp_path, {RESOLV: f"nameserver {server}\nnameserver 127.0.0.1\n"})
    daemon = run(Daemon(peer="echo://", preexec_fn=files.enter))
    found = f"the name server {server} of /etc/resolv.conf is not used" in daemon.log()
    assert found != used
    assert "name server 127.0.0.1" not in daemon.log()


# --- shared and kept ------------------------------------------------------------------------------


def test_clients_share_a_lookup(run):
    """Each client had two questions of its own: a flood of clients was one of questions."""
    peer = run(TcpPeer())
    release = threading.Event()
    dns = run(NameServer({"db.test": {"A": Answer(["127.0.0.1"], after=release), "AAAA": []}}))
    daemon = run(Daemon(f"--resolver={dns.address}", peer=f"tcp://db.test:{peer.port}"))
    clients = [daemon.connect() for _ in range(20)]
    for client in clients:
        client.send_raw(build_request())
    daemon.settle()
    dns.release(release)
    for client in clients:
        assert b" 101 " in client.take(20)
    assert len(dns.queries) == 2


# --- udp ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ("localhost", "db.test"))
def test_udp_service_of_one_family(run, tmp_path, name):
    """Connecting a UDP socket always succeeds: the IPv6 address won, and the first datagram ended the session."""
    peer = run(UdpPeer("127.0.0.1"))
    files = system_files(tmp_path, {HOSTS: "::1 db.test\n127.0.0.3 db.test\n127.0.0.1 db.test\n"})
    daemon = run(Daemon(peer=f"udp://{name}:{peer.port}", preexec_fn=files.enter))
    client = daemon.open()
    client.send_raw(frame(BIN, b"first") + frame(BIN, b"") + frame(BIN, b"third"))
    address = None
    for wanted in (b"first", b"", b"third"):
        data, address = peer.recv()
        assert data == wanted
    peer.send(b"answer", address)
    assert client.recv_message()[1] == b"answer"
    client.close_handshake()


def test_udp_service_that_is_nowhere(run, tmp_path):
    with UdpPeer("127.0.0.1") as peer:
        port = peer.port
    daemon = run(Daemon(peer=f"udp://localhost:{port}"))
    client = daemon.open()
    client.send_binary(b"first")
    client.expect_failed(1011)


# --- addresses that cannot be ---------------------------------------------------------------------


@pytest.mark.parametrize("host, why", (
    ("/run/service.sock", "is a path (a Unix socket is unix:///path)"),
    ("tcp://a b:80", "neither a host name nor an address"),
    ("tcp://db/path:80", "neither a host name nor an address"),
    ("tcp://user@db:80", "neither a host name nor an address"),
    ("tcp://10.0.0.300:80", "neither a host name nor an address"),
))
def test_host_that_cannot_be(host, why):
    """Such hosts were taken for names, and the configuration for fine."""
    done = run_once("-t", "-c", f"host={host}")
    assert why in done.stderr and "clients will get 502" in done.stderr
