# SPDX-License-Identifier: BSD-2-Clause
"""Text is UTF-8 (RFC 6455, 8.1; RFC 3629): valid and invalid in every position, however it is cut."""
import pytest

from tools.daemon import Daemon
from tools.frames import (
    BIN, CONTINUATION, PING, PONG, TEXT, Frame, bytewise, close_payload, cut_once, frame,
)
from tools.peers import TcpPeer

VALID = {
    "ascii": "plain text",
    "nul": "\0",
    "del": "\x7f",
    "first-2": "\x80",
    "last-2": "\u07ff",
    "first-3": "\u0800",
    "before-surrogates": "\ud7ff",
    "after-surrogates": "\ue000",
    "byte-order-mark": "\ufeff",
    "replacement": "\ufffd",
    "noncharacter-fffe": "\ufffe",
    "noncharacter-ffff": "\uffff",
    "first-4": "\U00010000",
    "noncharacter-1ffff": "\U0001ffff",
    "last": "\U0010ffff",
    "greek": "κόσμε",
    "mixed": "aé€😀",
    "all-lengths-twice": "😀€éaaé€😀",
    "combining": "e\u0301\u0327",
    "right-to-left": "שלום עולם",
    "cjk": "漢字かな交じり文",
}

INVALID = {
    "lone-continuation-80": b"\x80",
    "lone-continuation-bf": b"\xbf",
    "two-continuations": b"\x80\xbf",
    "overlong-c0": b"\xc0\x80",
    "overlong-c0-slash": b"\xc0\xaf",
    "overlong-c1": b"\xc1\xbf",
    "overlong-e0": b"\xe0\x80\x80",
    "overlong-e0-last": b"\xe0\x9f\xbf",
    "overlong-f0": b"\xf0\x80\x80\x80",
    "overlong-f0-last": b"\xf0\x8f\xbf\xbf",
    "surrogate-first": b"\xed\xa0\x80",
    "surrogate-last-high": b"\xed\xaf\xbf",
    "surrogate-first-low": b"\xed\xb0\x80",
    "surrogate-last": b"\xed\xbf\xbf",
    "surrogate-pair": b"\xed\xa0\xbd\xed\xb8\x80",
    "above-10ffff": b"\xf4\x90\x80\x80",
    "f5": b"\xf5\x80\x80\x80",
    "f7": b"\xf7\xbf\xbf\xbf",
    "five-bytes": b"\xf8\x88\x80\x80\x80",
    "six-bytes": b"\xfc\x84\x80\x80\x80\x80",
    "fe": b"\xfe",
    "ff": b"\xff",
    "2-then-ascii": b"\xc3a",
    "3-then-ascii": b"\xe2\x82a",
    "4-then-ascii": b"\xf0\x9f\x98a",
    "2-then-start": b"\xc3\xc3\xa9",
    "3-then-start": b"\xe2\xe2\x82\xac",
    "3-then-start-late": b"\xe2\x82\xe2\x82\xac",
    "4-then-start": b"\xf0\x9f\xf0\x9f\x98\x80",
    "latin-1": "été".encode("latin-1"),
}

# Valid so far, but the message ends inside a character.
INCOMPLETE = {
    "2-of-1": b"\xc3",
    "3-of-1": b"\xe2",
    "3-of-2": b"\xe2\x82",
    "4-of-1": b"\xf0",
    "4-of-2": b"\xf0\x9f",
    "4-of-3": b"\xf0\x9f\x98",
}

ALL_BAD = {**INVALID, **INCOMPLETE}


# --- valid --------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", VALID.values(), ids=VALID)
def test_valid_text_comes_back(client, text):
    client.send_text(text)
    assert client.recv_message() == (TEXT, text.encode())


@pytest.mark.parametrize("text", VALID.values(), ids=VALID)
def test_valid_text_in_fragments_of_one_byte(client, text):
    data = text.encode()
    client.send_frame(TEXT, b"", fin=False)
    for byte in bytewise(data):
        client.send_frame(CONTINUATION, byte, fin=False)
    client.send_frame(CONTINUATION, b"")
    assert client.recv_message() == (TEXT, data)


@pytest.mark.parametrize("name", ("mixed", "all-lengths-twice", "cjk", "last"))
def test_valid_text_in_two_fragments_cut_anywhere(client, name):
    data = VALID[name].encode()
    for first, second in cut_once(data):
        client.send_raw(frame(TEXT, first, fin=False) + frame(PING, b"p") + frame(CONTINUATION, second))
        control = []
        assert client.recv_message(control=control) == (TEXT, data)
        if not control:  # the pong may come behind the message
            control.append(client.recv_frame())
        assert control == [Frame(True, PONG, b"p")]


@pytest.mark.parametrize("name", ("mixed", "greek", "last"))
def test_valid_text_cut_by_reads(client, name):
    data = VALID[name].encode()
    for pieces in cut_once(frame(TEXT, data)):
        client.send_pieces(pieces)
        assert client.recv_message() == (TEXT, data)


@pytest.mark.parametrize("name", ("mixed", "all-lengths-twice"))
def test_valid_text_byte_by_byte(client, name):
    data = VALID[name].encode()
    client.send_pieces(bytewise(frame(TEXT, data)))
    assert client.recv_message() == (TEXT, data)


def test_big_text_of_characters_of_all_lengths(client):
    data = ("aé€😀" * 100000).encode()
    client.send_in_background(frame(TEXT, data))
    assert client.recv_message() == (TEXT, data)


@pytest.mark.parametrize("offset", range(0, 40))
def test_valid_character_at_any_offset(client, offset):
    """A fast path for ASCII works in blocks: the character stands before, across and behind borders."""
    text = "x" * offset + "é€😀" + "y" * 40
    client.send_text(text)
    assert client.recv_message() == (TEXT, text.encode())


# --- invalid ------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", ALL_BAD.values(), ids=ALL_BAD)
def test_bad_text_fails(client, data):
    client.send_frame(TEXT, data)
    client.expect_failed(1007)


@pytest.mark.parametrize("data", ALL_BAD.values(), ids=ALL_BAD)
def test_bad_text_after_valid_text_fails(client, data):
    client.send_frame(TEXT, "valid €".encode() + data)
    client.expect_failed(1007)


@pytest.mark.parametrize("data", INVALID.values(), ids=INVALID)
def test_bad_text_before_valid_text_fails(client, data):
    client.send_frame(TEXT, data + b" valid text that goes on for more than a register")
    client.expect_failed(1007)


@pytest.mark.parametrize("data", ALL_BAD.values(), ids=ALL_BAD)
def test_bad_text_in_fragments_of_one_byte_fails(client, data):
    frames = [frame(TEXT, b"ok ", fin=False)]
    frames += [frame(CONTINUATION, byte, fin=False) for byte in bytewise(data)]
    client.send_raw(b"".join(frames) + frame(CONTINUATION, b""))
    client.expect_failed(1007)


@pytest.mark.parametrize("data", ALL_BAD.values(), ids=ALL_BAD)
def test_bad_text_byte_by_byte_fails(echo_daemon, data):
    client = echo_daemon.open()
    client.send_pieces(bytewise(frame(TEXT, data)))
    client.expect_failed(1007)
    client.close()


@pytest.mark.parametrize("data", INVALID.values(), ids=INVALID)
def test_bad_text_is_seen_before_the_message_ends(client, data):
    """Bytes that can never become valid fail at once, before the rest of the frame."""
    client.send_frame(TEXT, "ok".encode() + data, length=1000, length_form=16)
    client.expect_failed(1007)


@pytest.mark.parametrize("offset", range(0, 40))
def test_bad_byte_at_any_offset_fails(echo_daemon, offset):
    client = echo_daemon.open()
    client.send_frame(TEXT, b"x" * offset + b"\xff" + b"y" * 40)
    client.expect_failed(1007)
    client.close()


def test_bad_byte_at_the_end_of_a_big_text_fails(client):
    client.send_in_background(frame(TEXT, b"x" * 1000000 + b"\xc3"))
    client.expect_failed(1007)


def test_character_may_not_continue_in_the_next_message(client):
    client.send_raw(frame(TEXT, b"\xe2\x82") + frame(TEXT, b"\xac"))
    client.expect_failed(1007)


def test_state_is_fresh_for_each_message(client):
    client.send_raw(frame(BIN, b"\xe2\x82") + frame(TEXT, "ok"))
    assert client.recv_message() == (BIN, b"\xe2\x82")
    assert client.recv_message() == (TEXT, b"ok")


# --- invalid text -------------------------------------------------------------------------------


@pytest.mark.parametrize("data", ALL_BAD.values(), ids=ALL_BAD)
def test_binary_may_hold_anything(client, data):
    client.send_frame(BIN, data)
    assert client.recv_message() == (BIN, data)


def test_binary_fragments_may_hold_anything(client):
    client.send_raw(frame(BIN, b"\xff", fin=False) + frame(CONTINUATION, b"\xc0\x80"))
    assert client.recv_message() == (BIN, b"\xff\xc0\x80")


def test_ping_inside_a_cut_character_may_hold_anything(client):
    client.send_raw(
        frame(TEXT, b"\xe2\x82", fin=False) + frame(PING, b"\xff\x80") + frame(CONTINUATION, b"\xac"))
    control = []
    while not control:
        got = client.recv_frame()
        if got.opcode == PONG:
            control.append(got)
    assert control == [Frame(True, PONG, b"\xff\x80")]


# --- in a close frame, 5.5.1 --------------------------------------------------------------------


@pytest.mark.parametrize("text", VALID.values(), ids=VALID)
def test_valid_reason_is_accepted(client, text):
    client.send_close(1000, text)
    client.expect_close(1000)
    client.expect_eof()


@pytest.mark.parametrize("data", ALL_BAD.values(), ids=ALL_BAD)
def test_bad_reason_fails(client, data):
    client.send_frame(8, close_payload(1000, data))
    client.expect_failed(1007)


# --- towards a stream peer ----------------------------------------------------------------------


def test_valid_start_of_a_bad_text_is_all_that_the_peer_may_get(run):
    peer = run(TcpPeer())
    daemon = run(Daemon(peer=peer.url))
    client = daemon.open()
    client.send_frame(TEXT, "start ", fin=False)
    connection = peer.accept()
    assert connection.recv_exactly(6) == b"start "
    client.send_frame(CONTINUATION, b"\xff")
    client.expect_failed(1007)
    assert connection.recv_all() == b""
