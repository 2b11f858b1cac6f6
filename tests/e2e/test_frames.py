# SPDX-License-Identifier: BSD-2-Clause
"""Frames, RFC 6455 section 5: reserved bits, opcodes, masks, lengths, fragments, control frames."""
import itertools
import random

import pytest

from tools.daemon import SANITIZED, TYPED, Daemon
from tools.floods import noise
from tools.frames import (
    BIN, CLOSE, CONTINUATION, PING, PONG, TEXT, Frame, bytewise, close_payload, cut_once, frame,
)
from tools.peers import TcpPeer, echo

NAMES = {0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}
RESERVED = (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
# Around every border of the length forms, of a vector register, and of a read.
SIZES = (0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 124, 125, 126, 127, 128, 129, 255, 256,
         1000, 4095, 4096, 65534, 65535, 65536, 65537, 131072, 1000000)


# Messages are behind what the daemon itself sends if they come from a peer at a port.
# With WEBSOCKSY_TYPED=1 the messages come back from a peer, and pongs and close frames from the daemon itself, which does
# not wait for the peer: there is an order among the messages, and one among the control frames. An error ends the
# connection with all that is under way, so that a test of messages before an error compares nothing then.
no_error_behind_messages = pytest.mark.skipif(TYPED, reason="an error does not wait for messages that are with the peer")


def by_origin(events):
    """(opcode, payload) of messages, and of control frames; as they are if both come from the daemon."""
    if not TYPED:
        return events
    return [[event for event in events if (event[0] >= CLOSE) == control] for control in (False, True)]


def letters(size):
    """Text of `size` bytes in which every position can be told from its neighbours."""
    return (b"abcdefghijklmnopqrstuvwxyz0123456789-" * (size // 37 + 1))[:size]


# --- reserved bits and opcodes, 5.2 -------------------------------------------------------------


@pytest.mark.parametrize("opcode", NAMES, ids=NAMES.get)
@pytest.mark.parametrize("rsv", range(1, 8))
def test_reserved_bits_fail(client, rsv, opcode):
    client.send_frame(opcode, b"", rsv=rsv)
    client.expect_failed(1002)


@pytest.mark.parametrize("rsv", (1, 2, 4))
def test_reserved_bit_in_a_later_fragment_fails(client, rsv):
    client.send_frame(TEXT, "one", fin=False)
    client.send_frame(CONTINUATION, "two", rsv=rsv)
    client.expect_failed(1002)


@pytest.mark.parametrize("fin", (True, False), ids=("fin", "more"))
@pytest.mark.parametrize("opcode", RESERVED)
def test_reserved_opcode_fails(client, opcode, fin):
    client.send_frame(opcode, b"", fin=fin)
    client.expect_failed(1002)


@pytest.mark.parametrize("opcode", RESERVED)
def test_reserved_opcode_with_payload_fails(client, opcode):
    client.send_frame(opcode, b"payload")
    client.expect_failed(1002)


@pytest.mark.parametrize("opcode", (3, 11))
def test_reserved_opcode_inside_a_message_fails(client, opcode):
    client.send_frame(TEXT, "one", fin=False)
    client.send_frame(opcode, b"")
    client.expect_failed(1002)


@pytest.mark.parametrize("opcode", (CLOSE, PING, PONG), ids=NAMES.get)
def test_fragmented_control_frame_fails(client, opcode):
    client.send_frame(opcode, b"", fin=False)
    client.expect_failed(1002)


@pytest.mark.parametrize("opcode", (CLOSE, PING, PONG), ids=NAMES.get)
def test_fragmented_control_frame_inside_a_message_fails(client, opcode):
    client.send_frame(BIN, b"one", fin=False)
    client.send_frame(opcode, b"", fin=False)
    client.expect_failed(1002)


# --- masks, 5.3 ---------------------------------------------------------------------------------


@pytest.mark.parametrize("payload", (b"", b"\x03\xe8"), ids=("empty", "two"))
@pytest.mark.parametrize("opcode", NAMES, ids=NAMES.get)
def test_unmasked_frame_fails(client, opcode, payload):
    client.send_frame(opcode, payload, mask=False)
    client.expect_failed(1002)


@no_error_behind_messages
def test_unmasked_frame_after_a_masked_one_fails(client):
    client.send_text("good")
    client.send_frame(TEXT, "bad", mask=False)
    assert client.recv_message() == (TEXT, b"good")
    client.expect_failed(1002)


@pytest.mark.parametrize("key", (
    b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\x01", b"\x12\x34\x56\x78", b"abcd"))
def test_any_mask_is_removed(client, key):
    for size in (1, 2, 3, 4, 5, 6, 7, 8, 31, 100, 5000):
        data = noise(size, size)
        client.send_frame(BIN, data, mask=key)
        assert client.recv_message() == (BIN, data)


# --- lengths, 5.2 -------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_text_of_any_length_comes_back(client, size):
    client.send_frame(TEXT, letters(size))
    assert client.recv_message() == (TEXT, letters(size))


@pytest.mark.parametrize("size", SIZES)
def test_binary_of_any_length_comes_back(client, size):
    data = noise(size)
    client.send_frame(BIN, data)
    assert client.recv_message() == (BIN, data)


@pytest.mark.parametrize("size", (0, 1, 2, 124, 125))
def test_length_in_16_bits_that_fits_in_7_fails(client, size):
    client.send_frame(BIN, letters(size), length_form=16)
    client.expect_failed(1002)


@pytest.mark.parametrize("size", (0, 1, 125, 126, 127, 65534, 65535))
def test_length_in_64_bits_that_fits_in_less_fails(client, size):
    client.send_frame(BIN, letters(size), length_form=64)
    client.expect_failed(1002)


@pytest.mark.parametrize("opcode", (CLOSE, PING, PONG), ids=NAMES.get)
@pytest.mark.parametrize("form", (16, 64))
def test_control_frame_with_a_longer_length_form_fails(client, opcode, form):
    client.send_frame(opcode, close_payload(1000), length_form=form)
    client.expect_failed(1002)


@pytest.mark.parametrize("length", (
    1 << 63, (1 << 63) + 1, 0xFFFFFFFFFFFFFFF8, 0xFFFFFFFFFFFFFFF2, 0xFFFFFFFFFFFFFFFF), ids=hex)
@pytest.mark.parametrize("opcode", (TEXT, BIN, PING), ids=NAMES.get)
def test_length_with_its_highest_bit_fails(client, opcode, length):
    client.send_frame(opcode, b"x" * 20, length_form=64, length=length)
    client.expect_failed(1002)


@pytest.mark.parametrize("size", (126, 127, 1000, 65535, 65536))
@pytest.mark.parametrize("opcode", (CLOSE, PING, PONG), ids=NAMES.get)
def test_control_frame_above_125_bytes_fails(client, opcode, size):
    client.send_frame(opcode, close_payload(1000) + letters(size - 2))
    client.expect_failed(1002)


def test_length_is_not_believed_before_payload_came(run):
    """The largest legal length: what is there is forwarded, nothing is set aside for the rest."""
    peer = run(TcpPeer())
    daemon = run(Daemon(peer=peer.url))
    client = daemon.open()
    before = daemon.rss()
    client.send_frame(BIN, b"x" * 5000, length_form=64, length=(1 << 63) - 1)
    assert peer.accept().recv_exactly(5000) == b"x" * 5000
    assert daemon.rss() < before + (16 << 20 if SANITIZED else 1 << 20)


# --- fragments, 5.4 -----------------------------------------------------------------------------


def fragments(opcode, parts):
    """Frames that carry `parts` as one message."""
    return [
        frame(opcode if number == 0 else CONTINUATION, part, fin=number == len(parts) - 1)
        for number, part in enumerate(parts)]


FRAGMENTS = {
    "two": [b"one", b"two"],
    "three": [b"one", b"two", b"three"],
    "bytes": bytewise(b"a message in pieces"),
    "empty-first": [b"", b"rest"],
    "empty-middle": [b"one", b"", b"three"],
    "empty-last": [b"one", b""],
    "empty-around": [b"", b"middle", b""],
    "all-empty": [b"", b"", b""],
    "many-empty": [b""] * 100 + [b"x"],
    "large": [letters(70000), letters(126), letters(65536)],
    "hundreds": [b"%d " % number for number in range(500)],
}


@pytest.mark.parametrize("opcode", (TEXT, BIN), ids=NAMES.get)
@pytest.mark.parametrize("parts", FRAGMENTS.values(), ids=FRAGMENTS)
def test_fragments_make_one_message(client, parts, opcode):
    client.send_raw(b"".join(fragments(opcode, parts)))
    assert client.recv_message() == (opcode, b"".join(parts))


@pytest.mark.parametrize("parts", FRAGMENTS.values(), ids=FRAGMENTS)
def test_ping_between_fragments_is_answered_at_once(client, parts):
    """5.4: control frames may be injected; their answers do not wait for the end of the message."""
    frames = fragments(TEXT, parts)[:20]
    for number, piece in enumerate(frames[:-1]):
        client.send_raw(piece + frame(PING, b"ping %d" % number))
    pongs = []
    while len(pongs) < len(frames) - 1:
        got = client.recv_frame()
        if got.opcode == PONG:
            pongs.append(got.payload)
    assert pongs == [b"ping %d" % number for number in range(len(frames) - 1)]


def test_pong_between_fragments_is_ignored(client):
    first, last = fragments(TEXT, [b"one ", b"message"])
    client.send_raw(first + frame(PONG, b"unasked") + last)
    assert client.recv_message() == (TEXT, b"one message")


def test_close_between_fragments_closes(client):
    client.send_frame(TEXT, "unfinished", fin=False)
    client.send_close(1000)
    got = client.recv_frame()
    while got.opcode != CLOSE:
        got = client.recv_frame()
    assert got.payload == close_payload(1000)
    client.expect_eof()


@pytest.mark.parametrize("fin", (True, False), ids=("fin", "more"))
@pytest.mark.parametrize("second", (TEXT, BIN), ids=NAMES.get)
@pytest.mark.parametrize("first", (TEXT, BIN), ids=NAMES.get)
def test_new_message_inside_a_message_fails(client, first, second, fin):
    client.send_frame(first, "", fin=False)
    client.send_frame(second, "new", fin=fin)
    client.expect_failed(1002)


@pytest.mark.parametrize("fin", (True, False), ids=("fin", "more"))
@pytest.mark.parametrize("payload", (b"", b"x"), ids=("empty", "payload"))
def test_continuation_of_nothing_fails(client, payload, fin):
    client.send_frame(CONTINUATION, payload, fin=fin)
    client.expect_failed(1002)


@no_error_behind_messages
@pytest.mark.parametrize("fin", (True, False), ids=("fin", "more"))
def test_continuation_after_a_whole_message_fails(client, fin):
    client.send_text("whole")
    client.send_frame(CONTINUATION, "more", fin=fin)
    assert client.recv_message() == (TEXT, b"whole")
    client.expect_failed(1002)


@no_error_behind_messages
def test_continuation_after_a_fragmented_message_fails(client):
    client.send_raw(b"".join(fragments(BIN, [b"one", b"two"])) + frame(CONTINUATION, b"three"))
    assert client.recv_message() == (BIN, b"onetwo")
    client.expect_failed(1002)


def test_continuation_after_a_ping_fails(client):
    client.send_raw(frame(PING, b"p") + frame(CONTINUATION, b"x"))
    assert client.recv_frame() == Frame(True, PONG, b"p")
    client.expect_failed(1002)


def test_types_alternate(client):
    """The type belongs to the message: nothing of the one before is left."""
    kinds = [TEXT, BIN, TEXT, TEXT, BIN, BIN, TEXT]
    for opcode in kinds:
        client.send_raw(b"".join(fragments(opcode, [b"a", b"", b"b"])) + frame(opcode, b"c"))
    for opcode in kinds:
        assert client.recv_message() == (opcode, b"ab")
        assert client.recv_message() == (opcode, b"c")


# --- control frames, 5.5 ------------------------------------------------------------------------


@pytest.mark.parametrize("size", (0, 1, 2, 3, 4, 5, 8, 16, 33, 124, 125))
def test_pong_has_the_payload_of_the_ping(client, size):
    data = noise(size)
    client.send_frame(PING, data)
    assert client.recv_frame() == Frame(True, PONG, data)


@pytest.mark.parametrize("payload", (b"", b"\xff\xfe\x00", noise(125)), ids=("empty", "bytes", "full"))
def test_unasked_pong_is_ignored(client, payload):
    client.send_frame(PONG, payload)
    client.round_trip()


def test_pings_are_answered_in_order(client):
    client.send_raw(b"".join(frame(PING, b"%d" % number) for number in range(1000)))
    for number in range(1000):
        assert client.recv_frame() == Frame(True, PONG, b"%d" % number)


def test_ping_among_messages_keeps_its_place(client):
    client.send_raw(frame(TEXT, "one") + frame(PING, b"two") + frame(TEXT, "three"))
    events = [(got.opcode, got.payload) for got in (client.recv_frame() for _ in range(3))]
    assert by_origin(events) == by_origin([(TEXT, b"one"), (PONG, b"two"), (TEXT, b"three")])


def test_empty_mask_and_payload_of_every_kind(client):
    client.send_raw(frame(TEXT) + frame(BIN) + frame(PING) + frame(PONG))
    events = [(got.opcode, got.payload) for got in (client.recv_frame() for _ in range(3))]
    assert by_origin(events) == by_origin([(TEXT, b""), (BIN, b""), (PONG, b"")])


# --- cuts between reads -------------------------------------------------------------------------

CUT = {
    "text": (frame(TEXT, "a short text"), [(TEXT, b"a short text")]),
    "16-bit": (frame(BIN, letters(130)), [(BIN, letters(130))]),
    "ping": (frame(PING, b"are you there") + frame(TEXT, "x"), [(TEXT, b"x")]),
    "fragments": (
        frame(TEXT, "ab", fin=False) + frame(PING, b"p") + frame(CONTINUATION, "", fin=False)
        + frame(CONTINUATION, "cd") + frame(BIN, b"\xff"), [(TEXT, b"abcd"), (BIN, b"\xff")]),
    "empty": (frame(TEXT) + frame(BIN) + frame(TEXT), [(TEXT, b""), (BIN, b""), (TEXT, b"")]),
}


@pytest.mark.parametrize("data, messages", CUT.values(), ids=CUT)
def test_cut_at_every_offset(client, data, messages):
    for pieces in cut_once(data):
        client.send_pieces(pieces)
        for message in messages:
            assert client.recv_message() == message


@pytest.mark.parametrize("data, messages", CUT.values(), ids=CUT)
def test_byte_by_byte(client, data, messages):
    client.send_pieces(bytewise(data))
    for message in messages:
        assert client.recv_message() == message


def test_64_bit_header_byte_by_byte(client):
    data = frame(BIN, noise(65536))
    client.send_pieces([*bytewise(data[:20]), data[20:]])
    assert client.recv_message() == (BIN, noise(65536))


def test_ping_byte_by_byte_is_answered(client):
    client.send_pieces(bytewise(frame(PING, noise(125))))
    assert client.recv_frame() == Frame(True, PONG, noise(125))


def test_bad_header_is_seen_as_soon_as_it_is_there(client):
    """Neither mask nor payload have to come before a reserved opcode fails."""
    client.send_raw(b"\x83\x85")
    client.expect_failed(1002)


def test_unmasked_is_seen_before_the_payload(client):
    client.send_raw(b"\x82\x7e\x10\x00")
    client.expect_failed(1002)


def test_many_messages_in_one_send(client):
    messages = [(TEXT if number % 3 else BIN, b"message %d" % number) for number in range(2000)]
    client.send_raw(b"".join(frame(*message) for message in messages))
    for message in messages:
        assert client.recv_message() == message


# --- what surrounds an error --------------------------------------------------------------------


@no_error_behind_messages
def test_message_before_an_error_is_delivered(client):
    client.send_raw(frame(TEXT, "before") + frame(3, b""))
    assert client.recv_message() == (TEXT, b"before")
    client.expect_failed(1002)


def test_input_after_an_error_is_discarded(client):
    client.send_raw(frame(3, b"") + frame(TEXT, "after") + frame(PING, b"after"))
    client.expect_failed(1002)


def test_much_input_after_an_error_does_not_reset(client):
    """The close frame has to arrive although megabytes are under way behind the error."""
    client.send_raw(frame(3, b"") + letters(100000))
    client.expect_close(1002)
    try:
        for _ in range(20):
            client.send_raw(letters(100000))
    except OSError:
        pass  # the deadline for closing is the server's right


def test_error_has_a_reason(client):
    client.send_frame(3, b"")
    assert client.expect_close(1002).reason


def test_error_after_an_error_is_not_answered_twice(client):
    client.send_raw(frame(3, b"") + frame(TEXT, b"\xff") + frame(CLOSE, close_payload(1000)))
    client.expect_failed(1002)


def test_others_are_not_disturbed_by_an_error(echo_daemon, client):
    other = echo_daemon.open()
    client.send_frame(3, b"")
    client.expect_failed(1002)
    other.send_text("fine")
    assert other.recv_message() == (TEXT, b"fine")
    other.close_handshake()


# --- the same towards a TCP peer ----------------------------------------------------------------


@pytest.fixture(scope="module")
def sink_peer(run_module):
    return run_module(TcpPeer())


@pytest.fixture(scope="module")
def sink_daemon(run_module, sink_peer):
    return run_module(Daemon(peer=sink_peer.url))


@pytest.fixture
def pair(sink_daemon, sink_peer):
    """A client and the connection that it has at the peer."""
    connection = sink_daemon.open()
    yield connection, sink_peer.accept()
    connection.close()


def test_peer_gets_payload_only(pair):
    client, peer = pair
    client.send_raw(
        frame(TEXT, "one ") + frame(BIN, b"two ") + frame(PING, b"not this") + frame(TEXT, "th", fin=False)
        + frame(PONG, b"nor this") + frame(CONTINUATION, "", fin=False) + frame(CONTINUATION, "ree"))
    assert peer.recv_exactly(13) == b"one two three"
    assert client.recv_frame() == Frame(True, PONG, b"not this")
    client.close_handshake(1000)
    peer.expect_eof()


def test_peer_gets_payload_as_it_arrives(pair):
    """A message need not be complete, nor a frame."""
    client, peer = pair
    client.send_frame(BIN, b"x" * 10, length=1000, length_form=16)
    assert peer.recv_exactly(10) == b"x" * 10
    client.send_raw(frame(BIN, b"\0" * 990, mask=b"\0\0\0\0")[8:])
    assert len(peer.recv_exactly(990)) == 990
    client.send_frame(TEXT, "first fragment", fin=False)
    assert peer.recv_exactly(14) == b"first fragment"
    client.send_frame(CONTINUATION, "last")
    assert peer.recv_exactly(4) == b"last"


@pytest.mark.parametrize("bad, code", (
    (frame(3, b"bad"), 1002), (frame(TEXT, b"\xff"), 1007), (frame(TEXT, "bad", mask=False), 1002)),
    ids=("opcode", "utf8", "unmasked"))
def test_peer_gets_what_came_before_an_error(pair, bad, code):
    client, peer = pair
    client.send_raw(frame(TEXT, "before") + bad + frame(TEXT, "after"))
    client.expect_failed(code)
    assert peer.recv_all() == b"before"


@pytest.mark.parametrize("chop", (
    [1 << 24], [125], [126], [1000], [65535], [65536], [1, 1 << 20], [7, 0, 4096, 300000], [1460]),
    ids=lambda sizes: "-".join(map(str, sizes)))
def test_big_message_in_frames_of_all_sizes(pair, chop):
    """16 MiB and some bytes as one message, whatever its frames; more than `max-message`."""
    client, peer = pair
    size = (16 << 20) + 12345 if max(chop) > 60000 else (1 << 20) + 123
    data = noise(size)
    parts, at = [], 0
    for length in itertools.cycle(chop):
        parts.append(data[at:at + length])
        at += length
        if at >= size:
            break
    client.send_in_background(b"".join(fragments(BIN, parts)) + frame(PING, b"end"))
    assert peer.recv_exactly(size) == data
    assert client.recv_frame() == Frame(True, PONG, b"end")


@pytest.mark.parametrize("opcode", (TEXT, BIN), ids=NAMES.get)
def test_big_frame_there_and_back(run, opcode):
    peer = run(TcpPeer(echo))
    daemon = run(Daemon(peer=peer.url))
    client = daemon.open()
    data = letters((16 << 20) + 1) if opcode == TEXT else noise((16 << 20) + 1)
    client.send_in_background(frame(opcode, data))
    assert client.recv_bytes(len(data)) == data
    client.close_handshake(1000)


def test_message_beyond_the_limit_closes_where_it_has_to_be_held(run):
    """The echo peer gives messages back whole, so `max-message` counts; 7.4.1: 1009."""
    daemon = run(Daemon("--max-message=64K", peer="echo://"))
    client = daemon.open()
    client.send_binary(letters(65536))
    assert client.recv_message() == (BIN, letters(65536))
    client.send_binary(letters(65537))
    client.expect_failed(1009)


# --- sessions made up at random, from fixed seeds -----------------------------------------------


class Session:
    """A stream of frames, mostly good, and what a server has to answer to it, in order."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.frames = []
        self.answers = []
        self.over = False
        for _ in range(self.random.randrange(1, 30)):
            if not self.over:
                self.random.choice((
                    self.whole, self.whole, self.fragmented, self.ping, self.pong, self.maybe_break))()
        if not self.over:
            self.add(CLOSE, close_payload(1000))
            self.answers.append((CLOSE, 1000))
        self.frames.append(self.random.randbytes(self.random.randrange(100)))

    def add(self, opcode, payload=b"", **kwargs):
        self.frames.append(frame(opcode, payload, mask=self.random.randbytes(4), **kwargs))

    def payload(self, opcode):
        size = self.random.choice((0, 1, 3, 125, 126, 127, self.random.randrange(2000), 65535, 65536))
        if opcode == BIN:
            return self.random.randbytes(size)
        return "".join(self.random.choices("aé€😀 ", weights=(90, 3, 3, 3, 1), k=size)).encode()

    def whole(self):
        opcode = self.random.choice((TEXT, BIN))
        data = self.payload(opcode)
        self.add(opcode, data)
        self.answers.append((opcode, data))

    def fragmented(self):
        opcode = self.random.choice((TEXT, BIN))
        data = self.payload(opcode)
        cuts = sorted(self.random.choices(range(len(data) + 1), k=self.random.randrange(1, 6)))
        parts = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)])]
        for number, part in enumerate(parts):
            self.add(opcode if number == 0 else CONTINUATION, part, fin=number == len(parts) - 1)
            if number < len(parts) - 1:
                self.random.choice((self.ping, self.pong, self.nothing, self.maybe_break_message))()
            if self.over:
                return
        self.answers.append((opcode, data))

    def nothing(self):
        pass

    def ping(self):
        data = self.random.randbytes(self.random.randrange(126))
        self.add(PING, data)
        self.answers.append((PONG, data))

    def pong(self):
        self.add(PONG, self.random.randbytes(self.random.randrange(126)))

    def fail(self, code, *args, **kwargs):
        self.add(*args, **kwargs)
        self.answers.append((CLOSE, code))
        self.over = True

    def maybe_break(self):
        """One of the errors that are possible between messages."""
        if self.random.random() < 0.7:
            return
        self.random.choice((
            lambda: self.fail(1002, CONTINUATION, b"x"),
            lambda: self.fail(1007, TEXT, b"ok\xc0\x80"),
            lambda: self.fail(1002, CLOSE, b"\x03"),
            lambda: self.fail(1002, CLOSE, close_payload(1005)),
            self.break_frame))()

    def maybe_break_message(self):
        """One of the errors that are possible inside a message."""
        if self.random.random() < 0.7:
            return
        self.random.choice((
            lambda: self.fail(1002, TEXT, b"x"), lambda: self.fail(1002, BIN, b"", fin=False),
            self.break_frame))()

    def break_frame(self):
        """One of the errors that are possible everywhere."""
        self.random.choice((
            lambda: self.fail(1002, PING, b"x" * 126),
            lambda: self.fail(1002, PING, b"", fin=False),
            lambda: self.fail(1002, self.random.choice(RESERVED), b"x"),
            lambda: self.fail(1002, BIN, b"x", rsv=self.random.randrange(1, 8)),
            lambda: self.fail(1002, PONG, b"x", length_form=16)))()


def receive_session(client):
    """Everything up to the close frame: (opcode, payload) of messages and pongs, (CLOSE, code)."""
    answers, kind, message = [], None, b""
    while True:
        got = client.recv_frame()
        if got.opcode == CLOSE:
            answers.append((CLOSE, int.from_bytes(got.payload[:2], "big")))
            client.expect_eof()
            return answers
        if got.opcode == PONG:
            answers.append((PONG, got.payload))
            continue
        kind = got.opcode or kind
        message += got.payload
        if got.fin:
            answers.append((kind, message))
            message = b""


@pytest.mark.parametrize("seed", range(60))
def test_random_session(echo_daemon, seed):
    session = Session(seed)
    stream = b"".join(session.frames)
    cuts = sorted(session.random.choices(range(len(stream) + 1), k=session.random.choice((0, 1, 5, 20))))
    client = echo_daemon.open()
    client.send_in_background(
        *(stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)])))
    answers = receive_session(client)
    if not TYPED:
        assert answers == session.answers
    else:
        # The messages that have come back when the session ends are the first ones.
        (messages, control), (sent, expected) = by_origin(answers), by_origin(session.answers)
        assert control == expected
        assert messages == sent[:len(messages)]
    client.close()
