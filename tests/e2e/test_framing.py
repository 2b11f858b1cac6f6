# SPDX-License-Identifier: BSD-2-Clause
"""Framing functions end to end: streams cut everywhere, tails, errors in configurations and in code."""
import os
import signal
import struct

import pytest

from tools.daemon import Daemon, run_once
from tools.floods import Bridge
from tools.frames import BIN, CLOSE, PING, TEXT, bytewise, close_payload, cut_once
from tools.peers import TcpPeer, UdpPeer
from tools.plugin_builder import build_plugin


def is_text(data):
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def framing_daemon(run, peer, framing, config=None, *arguments):
    options = [] if config is None else ["-c", f"framing-config={config}"]
    return run(Daemon(*arguments, "-c", f"framing={framing}", *options, peer=peer.url))


def deliver(daemon, peer, pieces):
    """Sends the pieces so that the daemon reads each of them alone, then ends; returns the messages."""
    client = daemon.open()
    connection = peer.accept()
    for number, piece in enumerate(pieces):
        if number:
            daemon.settle()
        connection.send(piece)
    connection.finish()
    messages = client.messages_until_close(1000, fragments=False)
    connection.close()
    return messages


def deliver_all_ways(daemon, peer, stream):
    """(pieces, messages) for the stream whole, byte by byte, and cut in two at every offset."""
    for pieces in [[stream], bytewise(stream), *cut_once(stream)]:
        yield pieces, deliver(daemon, peer, pieces)


# --- functions that send what is there ----------------------------------------------------------

MIXED = "aß€😀".encode() + b"\xff\xc3(" + "ü".encode() + b"\xe2\x82"


def test_auto(run):
    """Each read is a message; its type follows from its bytes alone."""
    peer = run(TcpPeer())
    daemon = framing_daemon(run, peer, "auto")
    for pieces, messages in deliver_all_ways(daemon, peer, MIXED):
        assert messages == [(TEXT if is_text(piece) else BIN, piece) for piece in pieces]


def test_binary(run):
    peer = run(TcpPeer())
    daemon = framing_daemon(run, peer, "binary")
    for pieces, messages in deliver_all_ways(daemon, peer, MIXED):
        assert messages == [(BIN, piece) for piece in pieces]


def test_text_is_never_cut_inside_a_character(run):
    """Valid text stays text however it is cut, and characters stay whole."""
    stream = "aß€😀z\u0000ü".encode()
    peer = run(TcpPeer())
    daemon = framing_daemon(run, peer, "text")
    for _, messages in deliver_all_ways(daemon, peer, stream):
        assert b"".join(payload for _, payload in messages) == stream
        assert all(opcode == TEXT and is_text(payload) and payload for opcode, payload in messages)


def test_text_with_invalid_bytes(run):
    """Nothing is lost; invalid text is binary, and so is a character that the end cuts off."""
    peer = run(TcpPeer())
    daemon = framing_daemon(run, peer, "text")
    for _, messages in deliver_all_ways(daemon, peer, MIXED):
        assert b"".join(payload for _, payload in messages) == MIXED
        assert all(is_text(payload) or opcode == BIN for opcode, payload in messages)
        assert messages[-1][0] == BIN
    assert deliver(daemon, peer, [b"ok\xe2\x82"]) == [(TEXT, b"ok"), (BIN, b"\xe2\x82")]


# --- functions that look for an end -------------------------------------------------------------

JSON = [b'{"a":[1,"}]"],"b":{}}', b'["x\\"y","\xc3\x9f"]', b'"s\\\\"', b"true", b"[]", b"null"]


def segment(head, length_format, payload, value):
    return head + struct.pack(length_format, value) + payload


DYNAMIC = [
    segment(b"\x01", "!I", b"first", 5), segment(b"\x02", "!I", b"", 0),
    segment(b"\x03", "!I", b"third\0\xff", 7),
]
DYNAMIC_LITTLE = [segment(b"", "<I", b"abc", 7), segment(b"", "<I", b"", 4), segment(b"", "<I", b"z", 5)]

# framing, framing-config, messages, what is left at the end (None: nothing)
SCRIPTS = {
    "separator": ("separator", r"\r\n.\r\n", [
        (BIN, b"one\r\n.\r\n"), (BIN, b"\r\r\n.\r.\r\n.\r\n"), (BIN, b"\r\n.\r\n")], (BIN, b"rest\r\n.")),
    "separator of one byte": ("separator", r"\0", [
        (BIN, b"text\0"), (BIN, b"\0"), (BIN, b"\xff\0")], (BIN, b"rest")),
    "separator that overlaps itself": ("separator", r"\x61ab", [
        (BIN, b"aaab"), (BIN, b"baab"), (BIN, b"aab")], (BIN, b"aa")),
    "newline": ("newline", None, [
        (TEXT, b"a\r\n"), (TEXT, "ß\r€\n\r\r\n".encode()), (TEXT, b"\r\n"), (BIN, b"\xff\r\n")],
        (TEXT, "tä".encode())),
    "newline crlf, invalid tail": ("newline", "crlf", [(TEXT, b"a\r\n")], (BIN, b"t\xc3")),
    "newline lfcr": ("newline", "lfcr", [(TEXT, b"a\n\r"), (TEXT, b"\r\n\n\r"), (BIN, b"\xc0\x80\n\r")], (TEXT, b"\n")),
    "newline lf": ("newline", "lf", [(TEXT, b"\n"), (TEXT, b"a\r\n"), (BIN, b"\xed\xa0\x80\n")], None),
    "newline cr": ("newline", "cr", [(TEXT, b"\r"), (TEXT, "\n😀\r".encode())], (TEXT, b"\n")),
    "fixedlength": ("fixedlength", "4", [(BIN, b"abcd"), (BIN, b"\0\0\0\0"), (BIN, b"efgh")], (BIN, b"ij")),
    "fixedlength 1": ("fixedlength", "1", [(BIN, b"a"), (BIN, b"b"), (BIN, b"\xff")], None),
    "dynamic32": ("dynamic32", "offset=1,endian=big", [(BIN, part) for part in DYNAMIC], (BIN, b"\x04\0\0")),
    "dynamic32 static": ("dynamic32", "static=-4", [(BIN, part) for part in DYNAMIC_LITTLE], None),
    "json": ("json", None, [(TEXT, part) for part in JSON], (TEXT, b"12.5e3")),
    "json, cut off": ("json", None, [(TEXT, b'{"a":1}')], (BIN, b'{"b":')),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_messages_do_not_depend_on_reads(run, name):
    framing, config, messages, rest = SCRIPTS[name]
    stream = b"".join(payload for _, payload in messages) + (rest[1] if rest else b"")
    expected = messages + ([rest] if rest else [])
    peer = run(TcpPeer())
    daemon = framing_daemon(run, peer, framing, config)
    for pieces, got in deliver_all_ways(daemon, peer, stream):
        assert got == expected, pieces


def test_each_message_goes_out_as_soon_as_it_is_complete(run):
    peer = run(TcpPeer())
    daemon = framing_daemon(run, peer, "newline", "lf")
    client = daemon.open()
    connection = peer.accept()
    for number in range(50):
        connection.send(b"%d\nbegin" % number)
        assert client.recv_message() == (TEXT, b"begin%d\n" % number if number else b"0\n")


def test_many_messages_in_one_read(run):
    """More than one gathered write holds, and more than the marks of flow control."""
    peer = run(TcpPeer())
    daemon = framing_daemon(run, peer, "fixedlength", "3")
    client = daemon.open()
    connection = peer.accept()
    stream = b"".join(b"%03d" % (number % 1000) for number in range(100_000))
    connection.send(stream[:-1])
    daemon.settle()
    connection.send(stream[-1:])
    connection.finish()
    assert client.messages_until_close(1000, fragments=False) == [
        (BIN, stream[at:at + 3]) for at in range(0, len(stream), 3)]


@pytest.mark.parametrize("size", (16_383, 16_384, 16_385, 65_536, 262_144, 262_145, 3_000_000))
def test_long_message_in_many_reads(run, size):
    """Around the sizes at which the daemon keeps an incomplete message in another way."""
    peer = run(TcpPeer())
    daemon = framing_daemon(run, peer, "newline", "lf")
    client = daemon.open()
    connection = peer.accept()
    line = b"x" * (size - 1) + b"\n"
    for at in range(0, size, 50_000):
        connection.send(line[at:at + 50_000])
        if at < 400_000:
            daemon.settle()
    connection.send(b"next\n")
    assert client.recv_message() == (TEXT, line)
    assert client.recv_message() == (TEXT, b"next\n")


def test_slow_client_gets_every_message_in_order(run, flood, tmp_path):
    """The framing loop stops at the high mark and goes on where it stopped."""
    bridge = Bridge(run, tmp_path, "unix", "-c", "framing=newline", "-c", "framing-config=lf")
    client, connection = bridge.pair()
    lines = [b"line %d\n" % number for number in range(200_000)]
    feeder = flood(connection.sock, b"".join(lines))
    feeder.wait_stuck()
    for line in lines:
        assert client.recv_message() == (TEXT, line)
    feeder.wait_done()
    connection.finish()
    assert client.messages_until_close(1000, fragments=False) == []


def test_nothing_follows_the_close_frame(run, flood, tmp_path):
    """SIGTERM while lines wait behind a full backlog: after our close frame there is nothing more."""
    bridge = Bridge(run, tmp_path, "unix", "-c", "framing=newline", "-c", "framing-config=lf", "--buffer-high=64K",
                    "--buffer-low=16K")
    daemon = bridge.daemon
    client, connection = bridge.pair()
    feeder = flood(connection.sock, b"".join(b"line %d\n" % number for number in range(300_000)))
    feeder.wait_stuck()
    daemon.signal(signal.SIGTERM)
    daemon.wait_log("stopping")
    number = 0
    while True:
        got = client.recv_frame()
        if got.opcode == CLOSE:
            break
        assert got.payload == b"line %d\n" % number
        number += 1
    assert got.payload[:2] == close_payload(1001)
    client.send_close(1001)
    client.expect_eof()
    client.close()
    feeder.stop()
    connection.close()
    assert daemon.wait() == 0


def test_type_is_asked_for_anew_for_each_message(run):
    """A text line is followed by a binary one and the other way round, in one read."""
    peer = run(TcpPeer())
    daemon = framing_daemon(run, peer, "newline", "lf")
    assert deliver(daemon, peer, [b"t\n\xff\nt\n\xff\n"]) == [
        (TEXT, b"t\n"), (BIN, b"\xff\n"), (TEXT, b"t\n"), (BIN, b"\xff\n")]


# --- errors in the configuration ----------------------------------------------------------------


def test_unknown_framing_stops_the_start():
    result = run_once("-p", "0", "-l", "127.0.0.1", "-c", "host=echo://", "-c", "framing=nosuch")
    assert result.returncode == 1
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1 and "nosuch" in lines[0] and "framing" in lines[0], lines


@pytest.mark.parametrize("framing, config", (
    ("separator", ""), ("separator", None), ("separator", "\\"), ("separator", r"\q"), ("separator", r"\x4"),
    ("separator", r"\xzz"), ("newline", "crcr"), ("newline", "CRLF"), ("newline", "lf "),
    ("fixedlength", None), ("fixedlength", ""), ("fixedlength", "0"), ("fixedlength", "-1"), ("fixedlength", "4x"),
    ("fixedlength", "99999999999999999999"), ("dynamic32", "offset"), ("dynamic32", "offset=-1"),
    ("dynamic32", "static=x"), ("dynamic32", "endian=middle"), ("dynamic32", "offset=0;endian=big"),
    ("dynamic32", "size=4"),
), ids=repr)
def test_bad_framing_config_stops_the_start(framing, config):
    options = [] if config is None else ["-c", f"framing-config={config}"]
    result = run_once("-p", "0", "-l", "127.0.0.1", "-c", "host=echo://", "-c", f"framing={framing}", *options)
    assert result.returncode == 1
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1 and "framing-config" in lines[0], lines


ROUTES = {
    "unknown": ("nosuch", 502, "the answer of the backend is invalid", '"nosuch": there is none of that name'),
    "config": ("newline neither", 500, "framing of this peer is configured wrongly", "newline"),
    "missing": ("fixedlength", 500, "framing of this peer is configured wrongly", "fixedlength"),
}


@pytest.mark.parametrize("name", ROUTES)
def test_bad_framing_in_a_route(run, tmp_path, name):
    """That connection is refused with a line in the log; it never gets another framing function."""
    line, status, body, log = ROUTES[name]
    peer = run(TcpPeer())
    (tmp_path / "route").write_text(f"{peer.url} * {line}\n")
    daemon = run(Daemon("-b", "file", "-c", f"path={tmp_path}", "-c", "expression=route"))
    answer = daemon.http()
    assert answer.status == status and body in answer.body.decode(), answer
    daemon.wait_log(log)
    assert peer.connections == []
    # The error is the route's: once that is put right the next connection is served.
    (tmp_path / "route").write_text(f"{peer.url} * fixedlength 2\n")
    client = daemon.open()
    peer.accept().send(b"abc")
    assert client.recv_message() == (BIN, b"ab")


# --- functions of plugins, and their errors -----------------------------------------------------

PLUGIN = r"""
#include <stdio.h>
#include <string.h>
#include "websocksy.h"

/* The first byte says what to do: n, z, m: a wrong result; o: a wrong opcode; t: text that is none;
 * anything else: one message of everything. */
static int64_t mischief(uint8_t* data, size_t length, size_t last_read, ws_operation* opcode,
		void** framing_data, const char* config){
	(void) last_read; (void) framing_data; (void) config;
	if(!data){
		return 0;
	}
	switch(data[0]){
		case 'n': return -1;
		case 'N': return INT64_MIN;
		case 'm': return (int64_t) length + 1;
		case 'M': return INT64_MAX;
		case 'o': *opcode = ws_frame_ping; break;
		case 'c': *opcode = ws_frame_continuation; break;
		case 't': *opcode = ws_frame_text; break;
		case 'w': return 0;
	}
	return (int64_t) length;
}

/* Answers what it was told: a message of the configuration's length, if config is a string at all. */
static int64_t probe(uint8_t* data, size_t length, size_t last_read, ws_operation* opcode,
		void** framing_data, const char* config){
	char line[64];
	if(!data){
		fprintf(stderr, "probe freed, length %zu, last_read %zu\n", length, last_read);
		free(*framing_data);
		*framing_data = NULL;
		return 0;
	}
	if(!*framing_data){
		*framing_data = calloc(1, 16);
	}
	snprintf(line, sizeof(line), "length %zu new %zu opcode %d nul %d config %s", length, last_read,
		(int) *opcode, data[length] == 0, config ? config[0] ? config : "empty" : "NULL");
	fprintf(stderr, "probe: %s\n", line);
	return memchr(data, ';', length) ? (uint8_t*) memchr(data, ';', length) - data + 1 : 0;
}

/* Writes over all that it sees. The bytes of the message are the core's, but writable. */
static int64_t scribble(uint8_t* data, size_t length, size_t last_read, ws_operation* opcode,
		void** framing_data, const char* config){
	(void) last_read; (void) opcode; (void) framing_data; (void) config;
	if(data){
		memset(data, '#', length);
	}
	return (int64_t) length;
}

/* Lines; their ends are dropped, and so are comments. */
static int64_t strip(uint8_t* data, size_t length, size_t last_read, ws_operation* opcode,
		void** framing_data, const char* config){
	uint8_t* end = data ? memchr(data, '\n', length) : NULL;
	(void) last_read; (void) framing_data; (void) config;
	if(!data){
		return 0;
	}
	*opcode = data[0] == '#' || end == data ? ws_frame_discard : ws_frame_text;
	return !end ? 0 : end == data ? 1 : end - data;
}

static void __attribute__((constructor)) start(void){
	core_register_framing("strip", strip);
	core_register_framing("mischief", mischief);
	core_register_framing("probe", probe);
	core_register_framing("scribble", scribble);
}
"""


@pytest.fixture(scope="module")
def plugins(tmp_path_factory):
    folder = tmp_path_factory.mktemp("framings")
    build_plugin(folder, "mischief", PLUGIN)
    return folder


@pytest.mark.parametrize("order, reason", (
    (b"no", "returned an error"), (b"No", "returned an error"),
    (b"mo", "returned a length above that of the data"), (b"Mo", "returned a length above that of the data"),
    (b"o!", "set an opcode other than text, binary and discard"),
    (b"c!", "set an opcode other than text, binary and discard"),
), ids=("negative", "most negative", "one too many", "huge", "opcode ping", "opcode continuation"))
def test_wrong_result(run, plugins, order, reason):
    peer = run(TcpPeer())
    daemon = framing_daemon(run, peer, "mischief", None, f"--plugin-path={plugins}")
    client = daemon.open()
    connection = peer.accept()
    connection.send(b"good")
    assert client.recv_message() == (BIN, b"good")
    connection.send(order)
    client.expect_failed(1011)
    connection.expect_eof()
    daemon.wait_log(rf"error: .*framing function mischief {reason} \(2 bytes\)")
    other = daemon.open()
    peer.accept().send(b"good for others")
    assert other.recv_message() == (BIN, b"good for others")


def test_text_that_is_none_goes_out_as_binary(run, plugins):
    peer = run(TcpPeer())
    daemon = framing_daemon(run, peer, "mischief", None, f"--plugin-path={plugins}")
    client = daemon.open()
    connection = peer.accept()
    for payload, opcode in ((b"t\xff", BIN), (b"text", TEXT), (b"t\xed\xa0\x80", BIN), (b"t\xc3", BIN)):
        connection.send(payload)
        assert client.recv_message() == (opcode, payload)


@pytest.mark.parametrize("pieces", ("whole", "bytes"))
def test_discarded_bytes(run, plugins, pieces):
    """What a function returns as ws_frame_discard is cut off and does not reach the client."""
    stream = b"one\n#two\n\n\nthree\n#4\n#5\nsix\n"
    peer = run(TcpPeer())
    daemon = framing_daemon(run, peer, "strip", None, f"--plugin-path={plugins}")
    client = daemon.open()
    connection = peer.accept()
    for piece in [stream] if pieces == "whole" else [stream[at:at + 1] for at in range(len(stream))]:
        connection.send(piece)
        if pieces == "bytes":
            daemon.settle()
    connection.finish()
    got = client.messages_until_close(1000, fragments=False)
    assert got == [(TEXT, b"one"), (TEXT, b"three"), (TEXT, b"six")]
    daemon.wait_log("bytes_out=11 ")


@pytest.mark.parametrize("tail, messages", ((b"#tail", []), (b"tail", [(TEXT, b"tail")])))
def test_discarded_tail(run, plugins, tail, messages):
    """What is left when the peer closes is dropped if the function has said so."""
    peer = run(TcpPeer())
    daemon = framing_daemon(run, peer, "strip", None, f"--plugin-path={plugins}")
    client = daemon.open()
    connection = peer.accept()
    connection.send(tail)
    daemon.settle()
    connection.finish()
    assert client.messages_until_close(1000, fragments=False) == messages


def test_discarded_datagrams(run, plugins):
    peer = run(UdpPeer())
    daemon = framing_daemon(run, peer, "strip", None, f"--plugin-path={plugins}")
    client = daemon.open()
    client.send_binary(b"hello")
    _, address = peer.recv()
    for payload in (b"#comment", b"data", b"#comment\n", b"", b"more\n"):
        peer.send(payload, address)
    assert [client.recv_message() for _ in range(3)] == [(TEXT, b"data"), (BIN, b""), (TEXT, b"more\n")]


def test_what_a_function_is_told(run, plugins):
    """last_read, the opcode before each call, the NUL behind the bytes, no configuration, the end."""
    peer = run(TcpPeer())
    daemon = framing_daemon(run, peer, "probe", None, f"--plugin-path={plugins}")
    client = daemon.open()
    connection = peer.accept()
    for piece in (b"ab", b"c", b"d;ef;;g"):
        connection.send(piece)
        daemon.settle()
    for payload in (b"abcd;", b"ef;", b";"):
        assert client.recv_message() == (BIN, payload)
    connection.send(b"h;")
    assert client.recv_message() == (BIN, b"gh;")
    client.close_handshake()
    connection.close()
    daemon.wait_log("probe freed, length 0, last_read 0")
    calls = [line.split("probe: ")[1] for line in daemon.log().splitlines() if "probe: " in line]
    assert calls == [f"length {length} new {new} opcode 2 nul 1 config empty" for length, new in (
        (2, 2), (3, 1), (10, 7), (5, 5), (2, 2), (1, 1), (3, 2))]
    assert daemon.log().count("probe freed") == 1


@pytest.mark.parametrize("end", ("peer", "client", "reset", "sigterm"))
def test_state_of_a_function_is_freed_once(run, plugins, end):
    peer = run(TcpPeer())
    daemon = framing_daemon(run, peer, "probe", "x", f"--plugin-path={plugins}")
    client = daemon.open()
    connection = peer.accept()
    connection.send(b"incomplete")
    daemon.wait_log("probe: length 10 new 10 .* config x")
    if end == "peer":
        connection.finish()
        assert client.messages_until_close(1000, fragments=False) == [(BIN, b"incomplete")]
    elif end == "client":
        client.close_handshake()
    elif end == "reset":
        client.abort()
    else:
        daemon.signal(signal.SIGTERM)
        assert client.messages_until_close(1001, fragments=False) == []
    client.close()
    connection.close()
    daemon.wait_log("probe freed")
    if end == "sigterm":
        assert daemon.wait() == 0
    else:
        daemon.stop()
    assert daemon.log().count("probe freed") == 1


def test_function_may_write_into_its_bytes(run, plugins):
    peer = run(TcpPeer())
    daemon = framing_daemon(run, peer, "scribble", None, f"--plugin-path={plugins}")
    assert deliver(daemon, peer, [b"abc", b"de"]) == [(BIN, b"###"), (BIN, b"##")]


# --- a message without an end -------------------------------------------------------------------


@pytest.mark.parametrize("framing, config", (("newline", "lf"), ("separator", "END"), ("fixedlength", "100002")))
def test_message_that_never_ends(run, framing, config):
    peer = run(TcpPeer())
    daemon = framing_daemon(run, peer, framing, config, "--max-message=100000")
    client = daemon.open()
    connection = peer.accept()
    connection.send(b"x" * 100_000)
    daemon.settle()
    client.send_frame(PING, b"alive")
    assert client.recv_frame().payload == b"alive"
    connection.send(b"x")
    client.expect_failed(1009)
    daemon.wait_log(rf"framing function {framing} found no message in 100001 bytes .*\(max-message\)")


def test_limit_is_for_one_message(run):
    """Any number of messages may pass, each of them up to the limit."""
    peer = run(TcpPeer())
    daemon = framing_daemon(run, peer, "newline", "lf", "--max-message=1000")
    client = daemon.open()
    connection = peer.accept()
    line = b"x" * 999 + b"\n"
    for _ in range(50):
        connection.send(line[:600])
        daemon.settle()
        connection.send(line[600:])
        assert client.recv_message() == (TEXT, line)


def test_plugins_are_loaded_from_the_directory_given(run, plugins):
    assert os.listdir(plugins)
    result = run_once("-t", f"--plugin-path={plugins}", "-c", "framing=scribble")
    assert result.returncode == 0, result.stderr
    result = run_once("-t", f"--plugin-path={plugins}", "-c", "framing=json")
    assert result.returncode == 1, "json is not in that directory"
