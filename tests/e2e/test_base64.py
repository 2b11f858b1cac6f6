# SPDX-License-Identifier: BSD-2-Clause
"""The framing and the subprotocol base64, for clients that have no binary messages (noVNC before 0.5)."""
import base64
import itertools
import os
import random
import threading

import pytest

from tools.daemon import Daemon
from tools.frames import BIN, CONTINUATION, PING, PONG, TEXT, Frame, bytewise, cut_once, frame
from tools.http import build_request
from tools.peers import TcpPeer, UdpPeer

RAW = bytes(range(256)) + b"\xff\0 RFB 003.008\n"
# What is accepted: the alphabet of RFC 4648, section 4, and padding at the end. The bits of the last character
# that belong to no byte may be set, as for base64.b64decode().
BAD = (b"A", b"AAA", b"A===", b"=", b"AA=A", b"AA==AA==", b"AAAA=", b"AA AA", b"AAAA\r\n", b"AA-_", b"AAA\xc3\xa9")


def encode(data):
    return base64.b64encode(data)


def old_websock(protocols=("binary", "base64")):
    """The offer of include/websock.js of noVNC 0.3 to 0.8: the second alone where there are no typed arrays."""
    return {"protocols": ", ".join(protocols)}


@pytest.fixture
def peer(run):
    return run(TcpPeer())


@pytest.fixture
def daemon(run, peer):
    return run(Daemon("-c", "protocol=binary,base64", peer=peer.url))


def pair(daemon, peer, **request):
    request = request or old_websock(["base64"])
    return daemon.open(**request), peer.accept()


# --- negotiation --------------------------------------------------------------------------------


@pytest.mark.parametrize("offer, chosen", (
    ("binary, base64", "binary"), ("base64, binary", "binary"), ("base64", "base64"), ("base64,chat", "base64")))
def test_the_subprotocol_implies_the_framing(daemon, peer, offer, chosen):
    client, service = pair(daemon, peer, protocols=offer)
    assert client.response.header("Sec-WebSocket-Protocol") == chosen
    service.send(RAW)
    assert client.recv_message() == ((TEXT, encode(RAW)) if chosen == "base64" else (BIN, RAW))
    client.send_frame(*((TEXT, encode(RAW)) if chosen == "base64" else (BIN, RAW)))
    assert service.recv_exactly(len(RAW)) == RAW


@pytest.mark.parametrize("preference", ("binary,base64", "base64,binary"))
def test_the_order_of_a_route_counts(run, peer, tmp_path, preference):
    """The same in the files of the backend `file`, whose lines have such a list, too."""
    (tmp_path / "route").write_text(f"{peer.url} {preference}\necho:// chat\n")
    daemon = run(Daemon("-b", "file", "-c", f"path={tmp_path}", "-c", "expression=route"))
    for offer in ("binary, base64", "base64, binary"):
        client, service = pair(daemon, peer, protocols=offer)
        assert client.response.header("Sec-WebSocket-Protocol") == preference.split(",")[0]
        service.send(RAW)
        assert client.recv_message() == ((TEXT, encode(RAW)) if preference[1] == "a" else (BIN, RAW))
    client, service = pair(daemon, peer, protocols="base64")
    service.send(RAW)
    assert client.recv_message() == (TEXT, encode(RAW))
    client = daemon.open(protocols="chat")
    assert client.response.header("Sec-WebSocket-Protocol") == "chat"


def test_a_configured_framing_is_not_replaced(run, peer):
    daemon = run(Daemon("-c", "protocol=base64", "-c", "framing=newline", "-c", "framing-config=lf", peer=peer.url))
    client, service = pair(daemon, peer)
    service.send(b"line\n")
    assert client.recv_message() == (TEXT, b"line\n")


def test_a_client_that_offers_nothing_and_assumes_base64(run, peer):
    daemon = run(Daemon("-c", "framing=base64", peer=peer.url))
    client = daemon.open()
    service = peer.accept()
    assert client.response.header("Sec-WebSocket-Protocol") is None
    service.send(RAW)
    assert client.recv_message() == (TEXT, encode(RAW))
    client.send_text(encode(RAW))
    assert service.recv_exactly(len(RAW)) == RAW


# --- from the peer ------------------------------------------------------------------------------


def test_each_read_is_a_message_of_its_own(daemon, peer):
    """Padding at the end of each, nothing carried from one to the next."""
    client, service = pair(daemon, peer)
    for length in (1, 2, 3, 4, 125, 126, 1000, 49149):
        data = os.urandom(length)
        service.send(data)
        received = b""
        while len(received) < length:
            opcode, text = client.recv_message()
            assert opcode == TEXT
            received += base64.b64decode(text, validate=True)
        assert received == data


def test_a_message_has_no_length_of_64_bits(daemon, peer):
    """What is read at once, a quarter of a megabyte, becomes messages that old clients can take."""
    client, service = pair(daemon, peer)
    data = os.urandom(1 << 20)
    service.send(data)
    service.finish()
    received = b""
    for opcode, text in client.messages_until_close(1000):
        assert opcode == TEXT
        assert len(text) <= 65535
        received += base64.b64decode(text, validate=True)
    assert received == data


def test_a_slow_client_pauses_the_peer(run, peer):
    """Flow control holds for what the framing makes, too, and nothing is lost."""
    daemon = run(Daemon("-c", "framing=base64", "--buffer-high=64K", "--buffer-low=16K", peer=peer.url))
    client = daemon.open(rcvbuf=4096)
    service = peer.accept()
    data = os.urandom(4 << 20)
    thread = threading.Thread(target=lambda: (service.send(data), service.finish()))
    thread.start()
    received = b"".join(base64.b64decode(text) for _, text in client.messages_until_close(1000))
    thread.join()
    assert received == data


def test_datagrams_are_messages(run):
    peer = run(UdpPeer())
    daemon = run(Daemon("-c", "framing=base64", peer=peer.url))
    client = daemon.open()
    sizes = (1, 2, 3, 100, 40000, 60000)
    for size in sizes:
        data = os.urandom(size)
        client.send_text(encode(data))
        got, address = peer.recv()
        assert got == data
        peer.send(data, address)
        assert client.recv_message() == (TEXT, encode(data))
    client.send_text(b"")
    got, address = peer.recv()
    assert got == b""
    peer.send(b"", address)
    assert client.recv_message() == (TEXT, b"")
    for piece in cut_once(encode(b"in pieces")):
        client.send_raw(frame(TEXT, piece[0], fin=False) + frame(CONTINUATION, piece[1]))
        assert peer.recv()[0] == b"in pieces"
    client.send_text(encode(bytes(65520)))
    client.expect_failed(1009)


# --- from the client ----------------------------------------------------------------------------


def fragments(text, sizes):
    """Frames of one message whose fragments have these sizes; the last has the rest."""
    pieces, at = [], 0
    for size in sizes:
        pieces.append(text[at:at + size])
        at += size
    pieces.append(text[at:])
    last = len(pieces) - 1
    return [frame(TEXT if number == 0 else CONTINUATION, piece, fin=number == last)
            for number, piece in enumerate(pieces)]


def test_text_and_binary_messages_are_decoded_each_on_its_own(daemon, peer):
    client, service = pair(daemon, peer)
    for opcode, length in itertools.product((TEXT, BIN), range(20)):
        client.send_frame(opcode, encode(RAW[:length]))
        assert service.recv_exactly(length) == RAW[:length]


def test_fragments_are_joined(daemon, peer):
    """A fragment may end anywhere in a group of four, and control frames may come between."""
    client, service = pair(daemon, peer)
    text = encode(b"0123456")
    for first in range(len(text) + 1):
        for second in range(len(text) - first + 1):
            pieces = fragments(text, [first, second])
            client.send_raw(pieces[0] + frame(PING, b"between") + b"".join(pieces[1:]))
            assert service.recv_exactly(7) == b"0123456"
            assert client.recv_frame() == Frame(True, PONG, b"between")


def test_a_frame_may_be_cut_by_reads(daemon, peer):
    client, service = pair(daemon, peer)
    stream = frame(TEXT, encode(b"first!!")) + frame(BIN, encode(b"2nd"))
    for pieces in [bytewise(stream), *cut_once(stream)]:
        client.send_pieces(pieces)
        assert service.recv_exactly(10) == b"first!!2nd"


def test_what_is_there_of_a_message_goes_on_at_once(daemon, peer):
    client, service = pair(daemon, peer)
    text = encode(b"abcdefgh")
    client.send_raw(frame(TEXT, text[:7], fin=False))
    assert service.recv_exactly(3) == b"abc"
    client.send_raw(frame(CONTINUATION, text[7:9], fin=False))
    assert service.recv_exactly(3) == b"def"
    client.send_raw(frame(CONTINUATION, text[9:]))
    assert service.recv_exactly(2) == b"gh"


def test_many_messages_at_once_are_one_block(daemon, peer):
    client, service = pair(daemon, peer)
    client.send_raw(b"".join(frame(TEXT, encode(b"%d." % number)) for number in range(1000)))
    expected = b"".join(b"%d." % number for number in range(1000))
    assert service.recv_exactly(len(expected)) == expected


def test_a_long_message(daemon, peer):
    client, service = pair(daemon, peer)
    data = os.urandom(1 << 20)
    client.send_in_background(frame(TEXT, encode(data)))
    assert service.recv_exactly(len(data)) == data


@pytest.mark.parametrize("text", BAD)
@pytest.mark.parametrize("opcode", (TEXT, BIN))
def test_bad_base64(daemon, peer, opcode, text):
    """1007; the messages before it have reached the peer."""
    client, service = pair(daemon, peer)
    client.send_raw(frame(TEXT, encode(b"before")) + frame(opcode, text))
    close = client.expect_failed(1007)
    assert close.reason == "message is not valid for its framing"
    assert service.recv_all() == b"before"


def test_bad_base64_for_a_datagram_peer(run):
    peer = run(UdpPeer())
    daemon = run(Daemon("-c", "framing=base64", peer=peer.url))
    client = daemon.open()
    client.send_raw(frame(TEXT, encode(b"before")) + frame(TEXT, b"=") + frame(TEXT, encode(b"after")))
    client.expect_failed(1007)
    assert peer.recv()[0] == b"before"


def test_an_incomplete_message_does_not_end_in_the_next(daemon, peer):
    client, service = pair(daemon, peer)
    client.send_raw(frame(TEXT, b"QUJ") + frame(TEXT, b"D"))
    client.expect_failed(1007)
    assert service.recv_all() == b""


def test_a_close_frame_inside_of_a_message(daemon, peer):
    """The peer gets what was complete, as without a framing."""
    client, service = pair(daemon, peer)
    client.send_raw(frame(TEXT, b"QUJDR", fin=False))
    client.close_handshake(1000)
    assert service.recv_all() == b"ABC"


def test_early_frames(daemon, peer):
    """What comes with the request is decoded, too."""
    client = daemon.connect()
    client.send_raw(build_request(protocols="base64") + frame(TEXT, encode(b"early")))
    client.recv_upgrade()
    assert peer.accept().recv_exactly(5) == b"early"


def test_the_last_words_of_the_peer_and_of_the_client(daemon, peer):
    client, service = pair(daemon, peer)
    service.send(b"bye")
    service.finish()
    assert client.recv_message() == (TEXT, encode(b"bye"))
    client.expect_close(1000)
    client.send_text(encode(b"last"))
    client.send_close(1000)
    assert service.recv_all() == b"last"


# --- both ---------------------------------------------------------------------------------------


def test_random_streams(daemon, peer):
    """decode(encode(x)) is x, whatever is cut where: Python's codec is on the other side."""
    choice = random.Random(64)
    client, service = pair(daemon, peer)
    for _ in range(60):
        messages = [choice.randbytes(choice.choice((0, 1, 2, 3, 5, 30, 97, 700, 5000)))
                    for _ in range(choice.randrange(1, 6))]
        stream = b""
        for message in messages:
            text = encode(message)
            sizes = [choice.randrange(0, len(text) // 3 + 2) for _ in range(choice.randrange(3))]
            stream += b"".join(fragments(text, sizes))
        at = 0
        while at < len(stream):
            size = choice.randrange(1, len(stream) + 1)
            client.send_raw(stream[at:at + size])
            at += size
        expected = b"".join(messages)
        assert service.recv_exactly(len(expected)) == expected
        service.send(expected)
        received = b""
        while len(received) < len(expected):
            received += base64.b64decode(client.recv_message()[1], validate=True)
        assert received == expected


def test_echo_has_no_framing(run):
    """Messages of the echo peer come back as they went."""
    daemon = run(Daemon("-c", "framing=base64", peer="echo://"))
    client = daemon.open()
    client.send_binary(b"no base64 at all")
    assert client.recv_message() == (BIN, b"no base64 at all")
