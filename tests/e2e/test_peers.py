# SPDX-License-Identifier: BSD-2-Clause
"""Peers: every transport with real sockets, addresses that are wrong, and the lookup of names."""
import contextlib
import itertools
import os
import select
import signal
import socket
import tempfile
import threading
import time

import pytest

from tools.configuration import routes_daemon
from tools.daemon import Daemon, standing_still
from tools.dns import NXDOMAIN, REFUSED, SERVFAIL, SILENCE, Answer, NameServer
from tools.fifos import FifoReader, FifoWriter
from tools.frames import BIN, CLOSE, CONTINUATION, TEXT, close_payload, frame
from tools.http import build_request
from tools.peers import TcpPeer, UdpPeer, UnixDgramPeer, UnixPeer, check_unreachable, echo, source
from tools.plugin_builder import CLASSIC_BACKEND, build_plugin
from tools.ports import ClosedPort, StuckPort
from tools.waiting import eventually, observed

UDP_MAX = 65507  # the largest payload over IPv4


def count_up(size):
    return (bytes(range(256)) * (size // 256 + 1))[:size]


# --- byte streams -------------------------------------------------------------------------------


def check_stream(daemon, peer):
    client = daemon.open()
    connection = peer.accept()
    client.send_binary(count_up(100_000))
    assert connection.recv_exactly(100_000) == count_up(100_000)
    client.send_text("grün")
    assert connection.recv_exactly(5) == "grün".encode()
    connection.send(count_up(100_000))
    assert client.recv_bytes(100_000) == count_up(100_000)
    connection.send(b"last words")
    assert client.recv_message() == (TEXT, b"last words")
    client.send_close(1000)
    connection.expect_eof()
    client.expect_close(1000)
    client.expect_eof()


@pytest.mark.parametrize("host", ("127.0.0.1", "::1"))
def test_tcp_literal(run, host):
    peer = run(TcpPeer(host=host))
    check_stream(run(Daemon(peer=peer.url)), peer)


@pytest.mark.parametrize("name", ("localhost", "LocalHost", "localhost.", "service.localhost", "a.b.localhost."))
@pytest.mark.parametrize("host", ("127.0.0.1", "::1"))
def test_tcp_localhost(run, host, name):
    """Both loopback addresses are tried, and no name server is asked; RFC 6761, section 6.3."""
    peer = run(TcpPeer(host=host))
    dns = run(NameServer({}))
    check_stream(run(Daemon(f"--resolver={dns.address}", peer=f"tcp://{name}:{peer.port}")), peer)
    assert dns.queries == []


@pytest.mark.parametrize("name", ("notlocalhost", "localhost.test", "local", "xlocalhost"))
def test_tcp_names_that_only_look_like_localhost(run, name):
    peer = run(TcpPeer())
    dns = run(NameServer({name: {"A": ["127.0.0.1"]}}))
    check_stream(run(Daemon(f"--resolver={dns.address}", peer=f"tcp://{name}:{peer.port}")), peer)
    assert dns.count(name, "A") == 1


def test_tcp_port_as_an_option(run):
    peer = run(TcpPeer())
    check_stream(run(Daemon("-c", f"port={peer.port}", peer="tcp://127.0.0.1")), peer)


@pytest.mark.parametrize("abstract", (False, True), ids=("path", "abstract"))
def test_unix(run, tmp_path, abstract):
    path = f"@websocksy-test-{os.getpid()}" if abstract else tmp_path / "service"
    peer = run(UnixPeer(path))
    check_stream(run(Daemon(peer=peer.url)), peer)


def test_unix_path_of_full_length(run):
    """107 bytes; the kernel needs no NUL behind them."""
    with tempfile.TemporaryDirectory(prefix="ws-") as folder:
        path = os.path.join(folder, "")
        peer = run(UnixPeer(path + "s" * (107 - len(path))))
        check_stream(run(Daemon(peer=peer.url)), peer)


def test_stream_peer_that_closes_at_once(run):
    """Its last words come before the close frame."""
    peer = run(TcpPeer(source(count_up(300_000))))
    daemon = run(Daemon("-c", "framing=binary", peer=peer.url))
    messages = daemon.open().messages_until_close(1000)
    assert b"".join(payload for _, payload in messages) == count_up(300_000)


def test_stream_peer_that_resets(run):
    peer = run(TcpPeer())
    daemon = run(Daemon(peer=peer.url))
    client = daemon.open()
    connection = peer.accept()
    connection.send(b"before")
    assert client.recv_message() == (TEXT, b"before")
    connection.abort()
    assert client.messages_until_close(1011) == []
    daemon.wait_log(r"failed: Connection reset by peer; closing with 1011")


# --- udp ----------------------------------------------------------------------------------------

DATAGRAMS = (b"a", b"", b"b" * 1472, b"", b"", count_up(9000), b"c")


def check_datagrams(daemon, peer, largest):
    """Boundaries are kept both ways, empty datagrams and the largest ones included."""
    sizes = DATAGRAMS + (count_up(largest),)
    client = daemon.open()
    for payload in sizes:
        client.send_binary(payload)
    address = None
    for payload in sizes:
        data, address = peer.recv()
        assert data == payload
    assert address, "the client of the service has no address"
    for payload in sizes:
        peer.send(payload, address)
        got = client.recv_message()
        assert got[1] == payload
    client.send_raw(frame(TEXT, b"one ", fin=False) + frame(CONTINUATION, b"datagram ", fin=False)
                    + frame(CONTINUATION, b"only"))
    assert peer.recv()[0] == b"one datagram only"
    client.close_handshake(1000)


@pytest.mark.parametrize("host", ("127.0.0.1", "::1"))
def test_udp(run, host):
    peer = run(UdpPeer(host))
    check_datagrams(run(Daemon(peer=peer.url)), peer, UDP_MAX)


def test_udp_by_name(run):
    peer = run(UdpPeer())
    dns = run(NameServer({"udp.test": {"A": ["127.0.0.1"]}}))
    daemon = run(Daemon(f"--resolver={dns.address}", peer=f"udp://udp.test:{peer.port}"))
    check_datagrams(daemon, peer, 1000)


@pytest.mark.parametrize("framing, expected", (
    ("auto", (TEXT, TEXT, BIN)),
    ("text", (TEXT, TEXT, BIN)),
    ("binary", (BIN, BIN, BIN)),
    ("newline", (TEXT, TEXT, BIN)),
))
def test_udp_type_comes_from_the_framing(run, framing, expected):
    """A datagram is a message; the framing function says only whether it is text."""
    peer = run(UdpPeer())
    daemon = run(Daemon("-c", f"framing={framing}", peer=peer.url))
    client = daemon.open()
    client.send_text("hello")
    address = peer.recv()[1]
    for payload, opcode in zip((b"line\r\n", "schön\r\nund mehr\r\n".encode(), b"\xff\r\n"), expected):
        peer.send(payload, address)
        assert client.recv_message() == (opcode, payload)
    client.close_handshake()


def test_udp_message_larger_than_a_datagram(run):
    peer = run(UdpPeer())
    daemon = run(Daemon(peer=peer.url))
    client = daemon.open()
    client.send_binary(bytes(UDP_MAX + 1))
    client.expect_failed(1009)


def test_udp_message_above_the_limit(run):
    peer = run(UdpPeer())
    daemon = run(Daemon("--max-message=1000", peer=peer.url))
    client = daemon.open()
    client.send_binary(bytes(1000))
    assert peer.recv()[0] == bytes(1000)
    client.send_raw(frame(BIN, bytes(600), fin=False) + frame(CONTINUATION, bytes(401)))
    client.expect_failed(1009)


def test_udp_datagram_above_the_limit(run):
    peer = run(UdpPeer())
    daemon = run(Daemon("--max-message=1000", peer=peer.url))
    client = daemon.open()
    client.send_binary(b"x")
    address = peer.recv()[1]
    peer.send(bytes(1000), address)
    assert client.recv_message() == (TEXT, bytes(1000))
    peer.send(bytes(1001), address)
    client.expect_failed(1009)
    daemon.wait_log(r"datagram from .* above 1000 bytes")


@pytest.mark.parametrize("count", (1, 2, 20), ids=("one", "two together", "many together"))
def test_udp_nobody_listens(run, count):
    """The kernel tells by ICMP, to whichever call comes next: the reader must hear of it in any case."""
    peer = UdpPeer()
    url = peer.url
    peer.sock.close()
    daemon = run(Daemon(peer=url))
    client = daemon.open()
    client.send_raw(frame(BIN, b"is it there?") * count)
    assert client.messages_until_close(1011) == []
    daemon.wait_log(r"udp://127.0.0.1:\d+ failed: Connection refused; closing with 1011")


def test_udp_from_a_stranger_is_not_heard(run):
    peer, other = run(UdpPeer()), run(UdpPeer())
    daemon = run(Daemon(peer=peer.url))
    client = daemon.open()
    client.send_binary(b"x")
    address = peer.recv()[1]
    other.send(b"forged", address)
    peer.send(b"real", address)
    assert client.recv_message() == (TEXT, b"real")
    client.close_handshake()


# --- unix-dgram ---------------------------------------------------------------------------------


def abstract_name(purpose):
    return f"@websocksy-{purpose}-{os.getpid()}"


@pytest.mark.parametrize("abstract", (False, True), ids=("path", "abstract"))
def test_unix_dgram(run, tmp_path, abstract):
    peer = run(UnixDgramPeer(abstract_name("dgram") if abstract else tmp_path / "service"))
    check_datagrams(run(Daemon(peer=peer.url)), peer, 100_000)


def test_unix_dgram_clients_have_addresses_of_their_own(run, tmp_path):
    peer = run(UnixDgramPeer(tmp_path / "service"))
    daemon = run(Daemon(peer=peer.url))
    clients = [daemon.open() for _ in range(3)]
    addresses = []
    for number, client in enumerate(clients):
        client.send_text(str(number))
        addresses.append(peer.recv()[1])
    assert len(set(addresses)) == 3
    for number in (2, 0, 1):
        peer.send(b"to %d" % number, addresses[number])
    for number, client in enumerate(clients):
        assert client.recv_message() == (TEXT, b"to %d" % number)


@pytest.mark.parametrize("size, count", ((1000, 700), (0, 300), (150_000, 6)), ids=("medium", "empty", "large"))
def test_unix_dgram_service_that_does_not_read(run, tmp_path, size, count):
    """Its queue holds a few datagrams. The rest waits in the daemon; nothing is lost, cut or reordered."""
    peer = run(UnixDgramPeer(tmp_path / "service"))
    daemon = run(Daemon(peer=peer.url))
    client = daemon.open()
    payloads = [(b"%06d" % number + bytes(size))[:size] for number in range(count)]
    client.send_in_background(b"".join(frame(BIN, payload) for payload in payloads)
                              + frame(CLOSE, close_payload(1000)))
    daemon.settle()
    for payload in payloads:
        assert peer.sock.recv(1 << 20) == payload
    client.expect_close(1000)
    client.expect_eof()


def test_unix_dgram_message_too_large_for_the_kernel(run, tmp_path):
    peer = run(UnixDgramPeer(tmp_path / "service"))
    daemon = run(Daemon(peer=peer.url))
    client = daemon.open()
    client.send_binary(bytes(4 << 20))
    client.expect_failed(1009)


@pytest.mark.parametrize("count", (1, 5))
def test_unix_dgram_service_goes(run, tmp_path, count):
    peer = run(UnixDgramPeer(tmp_path / "service"))
    daemon = run(Daemon(peer=peer.url))
    client = daemon.open()
    client.send_text("hello")
    assert peer.recv()[0] == b"hello"
    peer.sock.close()
    client.send_raw(frame(TEXT, b"still there?") * count)
    assert client.messages_until_close(1011) == []
    daemon.wait_log(r"unix-dgram://\S+ failed: .*; closing with 1011")


# --- fifos --------------------------------------------------------------------------------------


def has_ended(reader):
    try:
        return os.read(reader.fd, 1) == b""
    except BlockingIOError:
        return False


def test_fifotx(run, tmp_path):
    reader = run(FifoReader(tmp_path / "fifo"))
    daemon = run(Daemon(peer=reader.url))
    client = daemon.open()
    client.send_text("text ")
    client.send_binary(b"")
    client.send_binary(count_up(5000))
    assert reader.recv_exactly(5005) == b"text " + count_up(5000)
    client.close_handshake()
    eventually(lambda: has_ended(reader), "the end of the fifo")


def test_fifotx_reader_that_waits(run, tmp_path):
    """A fifo holds 64 KiB. The rest waits, and arrives even though the client has closed meanwhile."""
    reader = run(FifoReader(tmp_path / "fifo"))
    daemon = run(Daemon(peer=reader.url))
    client = daemon.open()
    client.send_in_background(frame(BIN, count_up(1 << 20)) + frame(CLOSE, close_payload(1000)))
    daemon.settle()
    assert reader.recv_exactly(1 << 20) == count_up(1 << 20)
    client.expect_close(1000)
    client.expect_eof()


@pytest.mark.parametrize("busy", (False, True), ids=("idle", "with a backlog"))
def test_fifotx_reader_goes(run, tmp_path, busy):
    reader = run(FifoReader(tmp_path / "fifo"))
    daemon = run(Daemon(peer=reader.url))
    client = daemon.open()
    client.send_binary(bytes(200_000) if busy else b"x")
    daemon.settle()
    reader.close()
    assert client.messages_until_close(1011) == []
    daemon.wait_log(r"fifotx://\S+ failed: Broken pipe; closing with 1011")


def test_fifotx_without_reader(run, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    daemon = run(Daemon(peer=f"fifotx://{tmp_path}/fifo"))
    check_unreachable(daemon, 502, "cannot be reached",
            r"cannot connect to fifotx://\S+: no process has the fifo open for reading")


def test_fiforx(run, tmp_path):
    """Data until the last writer closes; then 1000, with everything delivered."""
    writer = run(FifoWriter(tmp_path / "fifo"))
    daemon = run(Daemon("-c", "framing=newline", "-c", "framing-config=lf", peer=writer.url))
    client = daemon.open()
    writer.send(b"first\nsec")
    assert client.recv_message() == (TEXT, b"first\n")
    writer.send(b"ond\n" + b"x" * 100_000 + b"\nrest")
    writer.close()
    assert client.messages_until_close(1000) == [
        (TEXT, b"second\n"), (TEXT, b"x" * 100_000 + b"\n"), (TEXT, b"rest")]


def test_fiforx_second_writer(run, tmp_path):
    """As long as one process has it open for writing the fifo has no end."""
    writer, other = run(FifoWriter(tmp_path / "fifo")), run(FifoWriter(tmp_path / "fifo"))
    daemon = run(Daemon(peer=writer.url))
    client = daemon.open()
    writer.send(b"one")
    assert client.recv_message() == (TEXT, b"one")
    other.open()
    writer.close()
    other.send(b"two")
    assert client.recv_message() == (TEXT, b"two")
    other.close()
    assert client.messages_until_close(1000) == []


def test_fiforx_takes_nothing(run, tmp_path):
    writer = run(FifoWriter(tmp_path / "fifo"))
    daemon = run(Daemon(peer=writer.url))
    client = daemon.open()
    client.send_text("x")
    client.expect_failed(1003)


@pytest.mark.parametrize("kind", ("fifotx", "fiforx"))
@pytest.mark.parametrize("what", ("file", "directory", "device", "socket"))
def test_fifo_that_is_none(run, tmp_path, kind, what):
    path = tmp_path / "thing"
    if what == "file":
        path.write_text("content")
    elif what == "directory":
        path.mkdir()
    elif what == "socket":
        run(UnixPeer(path))
    else:
        path = "/dev/null"
    daemon = run(Daemon(peer=f"{kind}://{path}"))
    check_unreachable(daemon, 502, "cannot be reached", rf"cannot connect to {kind}://\S+: the path is not a fifo")
    if what == "file":
        assert path.read_text() == "content"


# --- echo ---------------------------------------------------------------------------------------


def test_echo_keeps_types_and_boundaries(client):
    script = [(TEXT, b"text"), (BIN, b"binary"), (TEXT, b""), (BIN, b""), (BIN, b"\xff"), (BIN, b"text"),
              (TEXT, "größer".encode()), (BIN, count_up(70_000)), (TEXT, b"z" * 70_000)]
    for opcode, payload in script:
        client.send_frame(opcode, payload)
    for message in script:
        assert client.recv_message() == message
    client.close_handshake()


def test_echo_of_a_mebibyte(client):
    client.send_in_background(frame(BIN, count_up(1 << 20)) + frame(TEXT, b"x" * (1 << 20)))
    assert client.recv_message() == (BIN, count_up(1 << 20))
    assert client.recv_message() == (TEXT, b"x" * (1 << 20))


def test_echo_puts_fragments_together(client):
    client.send_raw(frame(TEXT, b"", fin=False) + frame(CONTINUATION, b"a", fin=False)
                    + frame(CONTINUATION, b"", fin=False) + frame(CONTINUATION, b"b"))
    assert client.recv_message() == (TEXT, b"ab")


def test_echo_message_above_the_limit(run):
    daemon = run(Daemon("--max-message=1000", peer="echo://"))
    client = daemon.open()
    client.send_binary(bytes(1000))
    assert client.recv_message() == (BIN, bytes(1000))
    client.send_binary(bytes(1001))
    client.expect_failed(1009)


# --- a backend that names the transport ---------------------------------------------------------


@pytest.fixture(scope="module")
def classic(tmp_path_factory):
    """A folder with a backend of the first API that answers what its options say."""
    folder = tmp_path_factory.mktemp("classic")
    build_plugin(folder, "backend_classic", CLASSIC_BACKEND)
    return folder


def classic_daemon(run, folder, **options):
    arguments = [f"--plugin-path={folder}", "-b", "classic"]
    for key, value in options.items():
        arguments += ["-c", f"{key.replace('_', '-')}={value}"]
    return run(Daemon(*arguments))


def test_transport_tcp(run, classic):
    peer = run(TcpPeer(echo))
    client = classic_daemon(run, classic, transport=1, host="127.0.0.1", port=peer.port).open()
    client.send_text("x")
    assert client.recv_message() == (TEXT, b"x")


def test_transport_udp(run, classic):
    peer = run(UdpPeer("::1"))
    client = classic_daemon(run, classic, transport=2, host="::1", port=peer.port).open()
    client.send_text("x")
    peer.echo(1)
    assert client.recv_message() == (TEXT, b"x")


def test_transport_fifo_tx(run, classic, tmp_path):
    reader = run(FifoReader(tmp_path / "fifo"))
    client = classic_daemon(run, classic, transport=3, host=reader.path).open()
    client.send_text("x")
    assert reader.recv_exactly(1) == b"x"


def test_transport_fifo_rx(run, classic, tmp_path):
    writer = run(FifoWriter(tmp_path / "fifo"))
    client = classic_daemon(run, classic, transport=4, host=writer.path).open()
    writer.send(b"x")
    assert client.recv_message() == (TEXT, b"x")


def test_transport_unix_stream(run, classic, tmp_path):
    peer = run(UnixPeer(tmp_path / "service", echo))
    client = classic_daemon(run, classic, transport=5, host=peer.path, port=99).open()
    client.send_text("x")
    assert client.recv_message() == (TEXT, b"x")


def test_transport_unix_dgram(run, classic, tmp_path):
    peer = run(UnixDgramPeer(tmp_path / "service"))
    client = classic_daemon(run, classic, transport=6, host=peer.path).open()
    client.send_text("x")
    peer.echo(1)
    assert client.recv_message() == (TEXT, b"x")


def test_transport_unknown(run, classic):
    daemon = classic_daemon(run, classic, transport=7, host="127.0.0.1", port=80)
    check_unreachable(daemon, 502, "address of the peer", "the transport is unknown")


# --- addresses that are wrong -------------------------------------------------------------------


@pytest.mark.parametrize("host, log", (
    ("tcp://127.0.0.1", "the port is missing"),
    ("udp://127.0.0.1", "the port is missing"),
    ("tcp://127.0.0.1:0", "the port is not a number"),
    ("tcp://127.0.0.1:65536", "the port is not a number"),
    ("tcp://127.0.0.1:80x", "the port is not a number"),
    ("tcp://:80", "the host is missing"),
    ("tcp://[::1", r"a \[ without a matching \]"),
    ("tcp://[::zz]:80", "the host is not a valid IPv6 address"),
    ("http://127.0.0.1:80", "the transport is unknown"),
    ("unix://relative", "the path is neither absolute nor @name"),
    ("unix:///" + "x" * 107, "too long for a Unix socket"),
    ("unix-dgram://@" + "x" * 107, "too long for a Unix socket"),
    ("fifotx://relative", "the path is not absolute"),
    ("echo://somewhere", "does not take an address"),
), ids=lambda value: value[:24])
def test_wrong_address(run, classic, host, log):
    daemon = classic_daemon(run, classic, host=host)
    check_unreachable(daemon, 502, "the address of the peer is wrong", rf"error: .*peer address \"{host[:4]}.*{log}")


def test_host_without_scheme(run, classic):
    peer = run(TcpPeer(echo))
    daemon = classic_daemon(run, classic, host=f"127.0.0.1:{peer.port}")
    client = daemon.open()
    client.send_text("x")
    assert client.recv_message() == (TEXT, b"x")
    daemon.wait_log(rf"notice: .*\"127.0.0.1:{peer.port}\" names no transport, tcp:// is assumed")


@pytest.mark.parametrize("host", ("127.0.0.1", "::1"))
def test_refused_port(run, host):
    closed = run(ClosedPort(host))
    daemon = run(Daemon(peer=closed.url))
    check_unreachable(daemon, 502, "cannot be reached", r"cannot connect to tcp://\S+: Connection refused")


@pytest.mark.latency
def test_port_that_does_not_answer(run):
    stuck = run(StuckPort())
    daemon = run(Daemon("--connect-timeout=300ms", peer=stuck.url))
    start = time.monotonic()
    with observed("end by a timeout of 300 ms"):
        check_unreachable(daemon, 504, "did not answer in time", r"no answer in time \(connect-timeout\)")
    assert 0.25 < time.monotonic() - start


@pytest.mark.parametrize("kind", ("unix", "unix-dgram", "fifotx", "fiforx"))
def test_path_that_does_not_exist(run, tmp_path, kind):
    daemon = run(Daemon(peer=f"{kind}://{tmp_path}/nothing"))
    check_unreachable(daemon, 502, "cannot be reached", rf"cannot connect to {kind}://\S+: No such file or directory")


@pytest.mark.parametrize("kind", ("unix", "unix-dgram"))
def test_path_where_nobody_listens(run, tmp_path, kind):
    peer = UnixPeer(tmp_path / "stale") if kind == "unix" else UnixDgramPeer(tmp_path / "stale")
    peer.sock.close()
    daemon = run(Daemon(peer=peer.url))
    check_unreachable(daemon, 502, "cannot be reached", r"cannot connect to \S+: Connection refused")


def full_queue(run, path):
    """A Unix service that does not accept, and whose queue is full."""
    service = run(contextlib.closing(socket.socket(socket.AF_UNIX)))
    service.bind(str(path))
    service.listen(0)
    while True:
        filler = run(contextlib.closing(socket.socket(socket.AF_UNIX)))
        filler.setblocking(False)
        try:
            filler.connect(str(path))
        except BlockingIOError:
            return service


@pytest.mark.latency
def test_unix_service_whose_queue_is_full(run, tmp_path):
    """The kernel does not wait as it does for TCP: the daemon tries again until connect-timeout."""
    full_queue(run, tmp_path / "service")
    daemon = run(Daemon("--connect-timeout=300ms", peer=f"unix://{tmp_path}/service"))
    start = time.monotonic()
    with observed("end by a timeout of 300 ms"):
        check_unreachable(daemon, 504, "did not answer in time", r"no answer in time \(connect-timeout\)")
    assert 0.25 < time.monotonic() - start


def test_unix_service_whose_queue_gets_room(run, tmp_path):
    service = full_queue(run, tmp_path / "service")
    daemon = run(Daemon(peer=f"unix://{tmp_path}/service"))
    gone = daemon.connect()
    gone.send_raw(build_request())
    client = daemon.connect()
    client.send_raw(build_request())
    daemon.settle()
    gone.abort()
    daemon.wait_log(r"the client went away before")
    run(service.accept()[0])
    client.recv_upgrade()
    connection = run(service.accept()[0])
    client.send_text("x")
    assert connection.recv(10) == b"x"


def test_unix_socket_of_the_other_type(run, tmp_path):
    peer = run(UnixDgramPeer(tmp_path / "service"))
    daemon = run(Daemon(peer=f"unix://{peer.path}"))
    check_unreachable(daemon, 502, "cannot be reached", r"cannot connect to \S+: Protocol wrong type for socket")


# --- lookup -------------------------------------------------------------------------------------


def lookup_daemon(run, dns, port, *arguments, name="peer.test"):
    return run(Daemon(f"--resolver={dns.address}", *arguments, peer=f"tcp://{name}:{port}"))


def timed_open(daemon, name):
    """A client and how long it took, for a lower bound; the upper one is that of bench/latency.py."""
    start = time.monotonic()
    with observed(name):
        client = daemon.open()
    return client, time.monotonic() - start


def same_port(run, first, second):
    """Two peers on the same port number: second(port) may fail as long as first() gets a taken one."""
    for _ in range(20):
        peer = first()
        try:
            return run(peer), run(second(peer.port))
        except OSError:
            peer.sock.close()
    raise AssertionError("no port that is free on both addresses")


@pytest.mark.parametrize("script", (
    {"A": ["127.0.0.1"]},
    {"A": Answer(["127.0.0.1"], alias="real.test")},
    {"A": Answer(["127.0.0.1"], truncated=True)},
    {"A": ["127.0.0.1"], "AAAA": Answer(rcode=NXDOMAIN)},
    {"A": ["127.0.0.1"], "AAAA": Answer(rcode=SERVFAIL)},
), ids=("plain", "alias", "truncated", "no such IPv6 name", "IPv6 fails"))
def test_name(run, script):
    peer = run(TcpPeer(echo))
    dns = run(NameServer({"peer.test": script}))
    daemon = lookup_daemon(run, dns, peer.port)
    client = daemon.open()
    client.send_text("x")
    assert client.recv_message() == (TEXT, b"x")
    assert dns.count("peer.test", "A") >= 1 and dns.count("peer.test", "AAAA") >= 1
    assert (dns.count("peer.test", "A", "tcp") > 0) == (
        isinstance(script["A"], Answer) and script["A"].truncated)


def test_name_with_one_ipv6_address(run):
    peer = run(TcpPeer(echo, host="::1"))
    dns = run(NameServer({"peer.test": {"AAAA": ["::1"]}}))
    client = lookup_daemon(run, dns, peer.port).open()
    client.send_text("x")
    assert client.recv_message() == (TEXT, b"x")


def test_name_in_upper_case(run):
    peer = run(TcpPeer(echo))
    dns = run(NameServer({"peer.test": {"A": ["127.0.0.1"]}}))
    lookup_daemon(run, dns, peer.port, name="PEER.Test").open()


def test_ipv6_is_preferred(run):
    """Whichever answer comes first."""
    six, four = same_port(run, lambda: TcpPeer(host="::1"), lambda port: TcpPeer(port=port))
    for first in ("A", "AAAA"):
        open_with_both_answers(run, six.port, first)
        six.accept()
    assert four.connections == []


def open_with_both_answers(run, port, first):
    """The daemon finds both answers at once, that for `first` in front, however slow the machine is."""
    held = {"A": threading.Event(), "AAAA": threading.Event()}
    dns = run(NameServer({"peer.test": {
        "A": Answer(["127.0.0.1"], after=held["A"]), "AAAA": Answer(["::1"], after=held["AAAA"])}}))
    daemon = lookup_daemon(run, dns, port)
    client = daemon.connect()
    client.send_raw(build_request())
    eventually(lambda: dns.count("peer.test", "A") and dns.count("peer.test", "AAAA"), "both questions")
    with standing_still(daemon):
        for kind in sorted(held, key=lambda kind: kind != first):
            dns.release(held[kind])
    client.recv_upgrade()


@pytest.mark.latency
@pytest.mark.parametrize("script", (
    {"A": ["127.0.0.1"], "AAAA": ["::1"]},
    {"A": ["127.0.0.3", "127.0.0.2", "127.0.0.1", "127.0.0.4"], "AAAA": ["::1"]},
    {"A": ["127.0.0.3", "127.0.0.2", "127.0.0.1", "127.0.0.4"]},
), ids=("the other family", "one of many", "one family"))
def test_refused_address_is_followed_by_the_next(run, script):
    """Without waiting for the delay between attempts."""
    closed, peer = same_port(run, lambda: ClosedPort("::1"), lambda port: TcpPeer(echo, port=port))
    dns = run(NameServer({"peer.test": script}))
    daemon = lookup_daemon(run, dns, peer.port)
    for _ in range(4):
        client, _ = timed_open(daemon, "connection to the next address")
    client.send_text("x")
    assert client.recv_message() == (TEXT, b"x")


def test_all_addresses_refuse(run):
    closed = run(ClosedPort())
    dns = run(NameServer({"peer.test": {"A": ["127.0.0.1", "127.0.0.2"]}}))
    check_unreachable(lookup_daemon(run, dns, closed.port), 502, "cannot be reached",
            r"cannot connect to tcp://peer.test:\d+: Connection refused")


@pytest.mark.latency
def test_address_that_swallows_everything(run):
    """The second address is tried after the connection attempt delay; RFC 8305, section 5."""
    stuck, peer = same_port(run, lambda: StuckPort("::1"), lambda port: TcpPeer(echo, port=port))
    dns = run(NameServer({"peer.test": {"A": ["127.0.0.1"], "AAAA": ["::1"]}}))
    client, took = timed_open(lookup_daemon(run, dns, peer.port), "connection after the attempt delay")
    assert 0.2 < took
    client.send_text("x")
    assert client.recv_message() == (TEXT, b"x")


def test_slow_address_may_still_win(run):
    """The first attempt goes on while the second runs; the one that is refused ends only itself."""
    stuck, closed = same_port(run, lambda: StuckPort("::1"), lambda port: ClosedPortAt(port))
    dns = run(NameServer({"peer.test": {"A": ["127.0.0.1"], "AAAA": ["::1"]}}))
    daemon = lookup_daemon(run, dns, closed.port, "--connect-timeout=1h")
    client = daemon.connect()
    client.send_raw(build_request())

    def free_the_queue():
        for _ in stuck.fillers:
            stuck.sock.accept()[0].close()

    timer = threading.Timer(0.5, free_the_queue)
    timer.start()
    client.recv_upgrade()
    timer.join()


class ClosedPortAt(ClosedPort):
    def __init__(self, port):
        self.host = "127.0.0.1"
        self.sock = socket.socket()
        self.sock.bind((self.host, port))
        self.port = port


def test_address_that_swallows_everything_alone(run):
    stuck = run(StuckPort())
    dns = run(NameServer({"peer.test": {"A": ["127.0.0.1"]}}))
    daemon = lookup_daemon(run, dns, stuck.port, "--connect-timeout=500ms")
    check_unreachable(daemon, 504, "did not answer in time", r"no answer in time \(connect-timeout\)")


@pytest.mark.latency
@pytest.mark.parametrize("answer", (Answer(["::1"], delay=1), SILENCE), ids=("slow", "none"))
def test_ipv6_answer_that_does_not_come(run, answer):
    """IPv4 begins after the resolution delay; RFC 8305, section 3."""
    peer = run(TcpPeer(echo))
    dns = run(NameServer({"peer.test": {"A": ["127.0.0.1"], "AAAA": answer}}))
    daemon = lookup_daemon(run, dns, peer.port)
    client, took = timed_open(daemon, "connection after the resolution delay")
    assert 0.045 < took
    client.send_text("x")
    assert client.recv_message() == (TEXT, b"x")
    client.close_handshake()


def test_ipv6_answer_within_the_resolution_delay(run):
    """It comes 10 ms after the one for IPv4. On a busy machine this may become too late, but not each time."""
    six, four = same_port(run, lambda: TcpPeer(host="::1"), lambda port: TcpPeer(port=port))
    dns = run(NameServer({"peer.test": {"A": ["127.0.0.1"], "AAAA": Answer(["::1"], delay=0.01)}}))
    tries = itertools.count(1)

    def reaches_six():
        with Daemon(f"--resolver={dns.address}", peer=f"tcp://peer.test:{six.port}") as daemon:
            daemon.open()
            count = next(tries)
            eventually(lambda: len(six.connections) + len(four.connections) == count, "the connection")
            for connection in (*six.connections, *four.connections):
                connection.close()
        return six.connections

    eventually(reaches_six, "a connection over IPv6")


@pytest.mark.latency
def test_ipv4_answer_that_is_late(run):
    """IPv6 begins at once and is refused; then the answer for IPv4 is awaited."""
    closed, peer = same_port(run, lambda: ClosedPort("::1"), lambda port: TcpPeer(port=port))
    dns = run(NameServer({"peer.test": {"A": Answer(["127.0.0.1"], delay=0.3), "AAAA": ["::1"]}}))
    client, took = timed_open(lookup_daemon(run, dns, peer.port), "connection after an answer of 300 ms")
    assert 0.28 < took
    peer.accept()


@pytest.mark.parametrize("script, body", (
    (None, "no such host name"),
    ({}, "no such host name"),
    ({"A": Answer(rcode=SERVFAIL), "AAAA": Answer(rcode=SERVFAIL)}, ""),
    ({"A": Answer(rcode=REFUSED), "AAAA": Answer(rcode=REFUSED)}, ""),
), ids=("unknown", "without addresses", "server failure", "server refuses"))
def test_name_without_addresses(run, script, body):
    dns = run(NameServer({"peer.test": script} if script is not None else {}))
    daemon = lookup_daemon(run, dns, 80)
    check_unreachable(daemon, 502, "the peer cannot be reached", rf"cannot connect to tcp://peer.test:80: {body}")


@pytest.mark.latency
def test_no_server_answers(run):
    dns = run(NameServer({"peer.test": {"A": SILENCE, "AAAA": SILENCE}}))
    daemon = lookup_daemon(run, dns, 80, "--connect-timeout=500ms")
    start = time.monotonic()
    with observed("end by a timeout of 500 ms"):
        check_unreachable(daemon, 504, "did not answer in time", r"no answer in time \(connect-timeout\)")
    assert 0.45 < time.monotonic() - start


@pytest.mark.latency
def test_no_server_is_there(run):
    """ICMP says so, but not to every question; connect-timeout holds in any case."""
    closed = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    closed.bind(("127.0.0.1", 0))
    port = closed.getsockname()[1]
    closed.close()
    daemon = run(Daemon(f"--resolver=127.0.0.1:{port}", "--connect-timeout=500ms", peer="tcp://peer.test:80"))
    with observed("end by a timeout of 500 ms"):
        assert daemon.http().status in (502, 504)


def test_second_server_answers(run):
    """The first refuses to serve; the second is asked."""
    peer = run(TcpPeer(echo))
    first = run(NameServer({"peer.test": {"A": Answer(rcode=REFUSED), "AAAA": Answer(rcode=REFUSED)}}))
    second = run(NameServer({"peer.test": {"A": ["127.0.0.1"]}}))
    daemon = run(Daemon(f"--resolver={first.address},{second.address}", peer=f"tcp://peer.test:{peer.port}"))
    client = daemon.open()
    client.send_text("x")
    assert client.recv_message() == (TEXT, b"x")


# --- no connection waits for another ------------------------------------------------------------


@pytest.mark.latency
def test_slow_lookup_and_connect_delay_nobody(run, tmp_path):
    """Each lookup is for a name of its own, as clients that wait for the same name share a question."""
    mute = [f"mute{number}" for number in range(5)]
    dns = run(NameServer({f"{name}.test": {"A": SILENCE, "AAAA": SILENCE} for name in mute}))
    stuck = run(StuckPort())
    daemon = routes_daemon(
        run, tmp_path,
        {"stuck": f"{stuck.url} *", "echo": "echo:// *", **{name: f"tcp://{name}.test:80 *" for name in mute}},
        f"--resolver={dns.address}", "--connect-timeout=1500ms")
    begun, waiting = time.monotonic(), []
    for path in [path for name in mute for path in ("/" + name, "/stuck")]:
        client = daemon.connect()
        client.send_raw(build_request(path))
        waiting.append(client)
    eventually(lambda: all(dns.count(f"{name}.test") >= 2 for name in mute), "the questions")
    with observed("twenty connections beside those that wait"):
        for _ in range(20):
            client = daemon.open("/echo")
            client.send_text("x")
            assert client.recv_message() == (TEXT, b"x")
            client.close_handshake()
    answered = select.select([client.sock for client in waiting], [], [], 0)[0]
    assert not answered or time.monotonic() - begun > 1.4
    for client in waiting:
        assert client.recv_http().status == 504


@pytest.mark.latency
def test_many_lookups_at_once(run, tmp_path):
    """None of them waits for another: the first answer is given when all questions have come."""
    peer = run(TcpPeer(source(b"hello")))
    count = 150
    everything = threading.Event()
    names = {f"host{number}.test": {"A": Answer(["127.0.0.1"], after=everything)} for number in range(count)}
    dns = run(NameServer(names))
    routes = {f"r{number}": f"tcp://host{number}.test:{peer.port} *" for number in range(count)}
    daemon = routes_daemon(run, tmp_path, routes, f"--resolver={dns.address}", "--connect-timeout=1h")
    clients = []
    for number in range(count):
        client = daemon.connect()
        client.send_raw(build_request(f"/r{number}"))
        clients.append(client)
    eventually(lambda: all(dns.count(name, "A") for name in names), "all questions")
    with observed("answers to many lookups"):
        dns.release(everything)
        for client in clients:
            client.recv_upgrade()
            assert client.recv_message() == (TEXT, b"hello")


def test_client_goes_away_during_a_lookup(run, tmp_path):
    dns = run(NameServer({
        "slow.test": {"A": Answer(["127.0.0.1"], delay=0.3), "AAAA": Answer(["::1"], delay=0.3)},
        "mute.test": {"A": SILENCE, "AAAA": SILENCE}}))
    peer = run(TcpPeer())
    daemon = routes_daemon(
        run, tmp_path, {"slow": f"tcp://slow.test:{peer.port} *", "mute": "tcp://mute.test:80 *", "echo": "echo:// *"},
        f"--resolver={dns.address}")
    daemon.settle()
    before = daemon.fds()
    for path in ("/slow", "/mute"):
        for _ in range(3):
            client = daemon.connect()
            client.send_raw(build_request(path))
            eventually(lambda: dns.count() > 0, "a question")
            daemon.settle()
            client.abort()
    daemon.wait_log(r"the client went away before", count=6)
    # The resolver may keep its sockets for the next questions: UDP only, two for two families at most.
    eventually(lambda: daemon.fds() <= before + 2, "the descriptors of the clients")
    eventually(lambda: dns.due == [], "the late answers")
    client = daemon.open("/echo")
    client.send_text("x")
    assert client.recv_message() == (TEXT, b"x")
    assert peer.connections == []


def test_frames_sent_during_a_lookup_are_kept(run):
    peer = run(TcpPeer())
    dns = run(NameServer({"peer.test": {"A": Answer(["127.0.0.1"], delay=0.2)}}))
    daemon = lookup_daemon(run, dns, peer.port)
    client = daemon.connect()
    client.send_raw(build_request() + frame(TEXT, b"first "))
    eventually(lambda: dns.count() > 0, "a question")
    client.send_in_background(frame(BIN, count_up(500_000)))
    client.recv_upgrade()
    assert peer.accept().recv_exactly(500_006) == b"first " + count_up(500_000)


@pytest.mark.latency
@pytest.mark.parametrize("where", ("lookup", "connect"))
def test_sigterm_while_connecting(run, where):
    dns = run(NameServer({"peer.test": {"A": SILENCE if where == "lookup" else ["127.0.0.1"], "AAAA": SILENCE}}))
    stuck = run(StuckPort())
    daemon = lookup_daemon(run, dns, stuck.port, "--connect-timeout=1h", "--grace=1h")
    clients = []
    for _ in range(3):
        client = daemon.connect()
        client.send_raw(build_request())
        clients.append(client)
    eventually(lambda: dns.count("peer.test", "A") >= 1, "the question that they share")
    if where == "connect":
        time.sleep(0.1)  # the resolution delay; in either phase the outcome has to be the same
    daemon.settle()
    daemon.signal(signal.SIGTERM)
    with observed("end with connections under way"):
        for client in clients:
            assert client.recv_http().status == 503
            client.expect_eof()
            client.close()
        assert daemon.wait() == 0


def test_reload_during_a_lookup(run):
    """The question that runs gets its answer."""
    peer = run(TcpPeer(echo))
    dns = run(NameServer({"peer.test": {"A": Answer(["127.0.0.1"], delay=0.4)}}))
    daemon = lookup_daemon(run, dns, peer.port)
    client = daemon.connect()
    client.send_raw(build_request())
    eventually(lambda: dns.count() > 0, "a question")
    daemon.signal(signal.SIGHUP)
    daemon.settle()
    client.recv_upgrade()
    client.send_text("x")
    assert client.recv_message() == (TEXT, b"x")
