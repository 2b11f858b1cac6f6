# SPDX-License-Identifier: BSD-2-Clause
"""Recordings: their formats, their files, disks that fail, and playing them."""
import base64
import json
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest

from tools.daemon import ROOT, Daemon, failed_start
from tools.frames import BIN, CONTINUATION, PING, PONG, TEXT, frame
from tools.peers import TcpPeer, UdpPeer, echo
from tools.waiting import TIMEOUT, eventually

REPLAY = ROOT / "tools/replay"
ALL_BYTES = bytes(range(256))
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")


def recording(run, folder, form, *arguments, name="%i", **kwargs):
    folder.mkdir(exist_ok=True)
    return run(Daemon(f"--record={folder}/{name}", f"--record-format={form}", *arguments, **kwargs))


def lines_of(path):
    """[(direction, opcode, data), ...]; times have to be in order."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["t"] for line in lines] == sorted(line["t"] for line in lines)
    return [(line["dir"], line["op"], base64.b64decode(line["data"], validate=True)) for line in lines]


def complete(daemon, path, end=b"\n"):
    """The file after the daemon, which writes all of it, has ended."""
    daemon.stop()
    assert path.read_bytes().endswith(end)
    return path


# --- formats ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ("echo", "tcp"))
def test_jsonl(run, tmp_path, kind):
    """Fragments are one message; control frames are not recorded; empty messages are."""
    peer = run(TcpPeer(echo))
    daemon = recording(run, tmp_path, "jsonl", peer="echo://" if kind == "echo" else peer.url)
    client = daemon.open()
    sent = [(TEXT, "grüße".encode()), (BIN, ALL_BYTES), (BIN, b"in two pieces"), (BIN, os.urandom(100000))]
    client.send_raw(frame(TEXT, sent[0][1]) + frame(PING, b"ping") + frame(BIN, sent[1][1]) +
                    frame(BIN, b"in two", fin=False) + frame(CONTINUATION, b" pieces"))
    client.send_raw(frame(BIN, sent[3][1]))
    total = sum(len(data) for _, data in sent)
    received, pongs = b"", 0
    while len(received) < total:
        got = client.recv_frame()
        pongs += got.opcode == PONG
        received += got.payload if got.opcode != PONG else b""
    assert pongs == 1 and received == b"".join(data for _, data in sent)
    client.close_handshake()
    lines = lines_of(complete(daemon, tmp_path / "1"))
    assert [(op, data) for side, op, data in lines if side == "rx"] == sent
    assert b"".join(data for side, _, data in lines if side == "tx") == received


def test_jsonl_of_datagrams_and_empty_messages(run, tmp_path):
    peer = run(UdpPeer())
    daemon = recording(run, tmp_path, "jsonl", peer=peer.url)
    client = daemon.open()
    client.send_frame(TEXT, b"")
    client.send_frame(BIN, b"x")
    peer.recv()
    peer.recv()
    client.close_handshake()
    assert lines_of(complete(daemon, tmp_path / "1")) == [("rx", TEXT, b""), ("rx", BIN, b"x")]


def test_novnc(run, tmp_path):
    """The file is JavaScript; node reads it as the playback page does."""
    node = shutil.which("node")
    if not node:
        pytest.skip("node is not installed")
    daemon = recording(run, tmp_path, "novnc", "-c", "framing=binary", peer=run(TcpPeer(echo)).url)
    client = daemon.open()
    tricky = ALL_BYTES + b"\\'\\\\x41}{'"
    client.send_binary(tricky)
    assert client.recv_bytes(len(tricky)) == tricky
    client.close_handshake()
    path = complete(daemon, tmp_path / "1", b"'EOF'];\n")
    assert path.read_bytes().isascii()
    program = f"""
        eval(require('fs').readFileSync({str(path)!r}, 'ascii') + '; globalThis.frames = VNC_frame_data');
        console.log(JSON.stringify(frames.map(one => Buffer.from(one, 'latin1').toString('base64'))));"""
    result = subprocess.run([node, "-e", program], capture_output=True, text=True, timeout=TIMEOUT, check=True)
    frames = [base64.b64decode(one) for one in json.loads(result.stdout)]
    assert frames.pop() == b"EOF"
    rx = b"".join(one.split(b"}", 2)[2] for one in frames if one[:1] == b"}")
    tx = b"".join(one.split(b"{", 2)[2] for one in frames if one[:1] == b"{")
    assert rx == tx == tricky
    assert all(re.match(rb"([{}])\d+\1", one) for one in frames)


@pytest.mark.parametrize("listen", ("127.0.0.1", "::1"))
def test_pcapng(run, tmp_path, listen):
    """tshark finds the WebSocket messages, and no fault with the packets."""
    tshark = shutil.which("tshark")
    if not tshark:
        pytest.skip("tshark is not installed")
    tmp_path.chmod(0o755)
    daemon = recording(run, tmp_path, "pcapng", "-p", "0", "-l", listen, peer="echo://", defaults=False, tls=False)
    port = int(daemon.wait_log(r"listening on \S+:(\d+)$")[1])
    client = daemon.open("/path", address=(listen, port))
    large = bytes(100000)
    for text in ("hello", "websocket"):
        client.send_text(text)
        assert client.recv_message() == (TEXT, text.encode())
    client.send_binary(large)
    assert client.recv_bytes(len(large)) == large
    client.close_handshake()
    daemon.stop()
    result = subprocess.run(
        [tshark, "-r", tmp_path / "1", "-d", f"tcp.port=={port},http", "-o", "tcp.check_checksum:TRUE",
         "-o", "ip.check_checksum:TRUE", "-T", "fields", "-e", "tcp.srcport", "-e", "websocket.opcode",
         "-e", "websocket.payload.text", "-e", "text", "-e", "_ws.expert.severity", "-e", "tcp.checksum.status"],
        capture_output=True, text=True, timeout=TIMEOUT, check=True)
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    opcodes = [(row[0] == str(port), row[1]) for row in rows if row[1]]
    assert opcodes == [(False, "1"), (True, "1"), (False, "1"), (True, "1"), (False, "2"), (True, "2")]
    assert {row[5] for row in rows} == {"1"}  # good


# --- files --------------------------------------------------------------------------------------


def test_names_and_modes(run, tmp_path):
    """No existing file is written to, whatever it is."""
    folder = tmp_path / "folder"
    folder.mkdir()
    target = tmp_path / "target"
    target.write_text("precious")
    (folder / "127.0.0.1%").symlink_to(target)
    (folder / "127.0.0.1%.1").write_text("old")
    daemon = recording(run, folder, "jsonl", peer="echo://", name="%a%%")
    before = os.umask(0)
    try:
        for _ in range(2):
            daemon.open().close_handshake()
    finally:
        os.umask(before)
    daemon.stop()
    assert target.read_text() == "precious" and (folder / "127.0.0.1%.1").read_text() == "old"
    for name in ("127.0.0.1%.2", "127.0.0.1%.3"):
        assert (folder / name).stat().st_mode & 0o7777 == 0o600


def test_time_in_names(run, tmp_path):
    daemon = recording(run, tmp_path, "jsonl", peer="echo://", name="%t-%i.jsonl")
    daemon.open().close_handshake()
    daemon.stop()
    assert [name for name in os.listdir(tmp_path) if re.fullmatch(r"\d{8}T\d{6}Z-1\.jsonl", name)]


def test_pages_are_not_recorded(run, tmp_path):
    daemon = recording(run, tmp_path / "folder", "jsonl", f"--web={tmp_path}", peer="echo://")
    daemon.http("/", plain=True)
    daemon.stop()
    assert os.listdir(tmp_path / "folder") == []


@pytest.mark.parametrize("value, error", (
    ("name", "is not an absolute path"),
    ("/var/%a/name", "has a % in its directory (%t, %i, %a and %% are for the name of the file)"),
    ("/var/rec/../name", "has a .. in its path"),
    ("/var/rec/..", "has a .. in its path"),
    ("/var/rec/", "has no name for the file (use /DIRECTORY/NAME with %t, %i, %a or %%)"),
    ("/var/rec/%s", "has an unknown escape (use %t, %i, %a or %%)"),
    ("/var/rec/x%", "has an unknown escape (use %t, %i, %a or %%)"),
))
def test_invalid_template(value, error):
    assert failed_start(f"--record={value}") == [f'command line: --record: "{value}" {error}']


def test_invalid_format():
    assert failed_start("--record-format=mp4") == [
        'command line: --record-format: "mp4" is none of novnc, jsonl, pcapng']


def test_reload_ends_no_recording_and_begins_others(run, tmp_path):
    config = tmp_path / "conf"
    config.write_text(f"[core]\nrecord = {tmp_path}/a%i\nrecord-format = jsonl\n")
    daemon = run(Daemon("--config", config, peer="echo://"))
    first = daemon.open()
    config.write_text("[core]\n")
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("has been read again")
    first.round_trip()
    first.send_text("last")
    first.recv_message()
    second = daemon.open()
    for client in (first, second):
        client.close_handshake()
    daemon.stop()
    assert lines_of(tmp_path / "a1")[-1] == ("tx", TEXT, b"last")
    assert not (tmp_path / "a2").exists()


# --- together with other options ----------------------------------------------------------------


def test_old_clients(run, tmp_path):
    """Text in frames of hixie-75, in base64: what is recorded is what came and went."""
    daemon = recording(run, tmp_path, "jsonl", "--legacy=hixie", "-c", "protocol=base64", peer=run(TcpPeer(echo)).url,
                       tls=False)
    client = daemon.connect()
    client.send_raw(b"GET / HTTP/1.1\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nHost: a\r\nOrigin: http://a\r\n"
                    b"WebSocket-Protocol: base64\r\n\r\n")
    while b"\r\n\r\n" not in client.buffer:
        client.fill()
    client.take(client.buffer.index(b"\r\n\r\n") + 4)
    client.send_raw(b"\0eHl6\xff")
    assert client.take(6) == b"\0eHl6\xff"
    client.close()
    daemon.wait_log("side=client")
    assert lines_of(complete(daemon, tmp_path / "1")) == [("rx", TEXT, b"eHl6"), ("tx", TEXT, b"eHl6")]


@pytest.mark.parametrize("kind", ("echo", "tcp"))
def test_little_memory(run, tmp_path, kind):
    """The recording of a message in many pieces is no reason to end a connection, and goes on itself."""
    peer = "echo://" if kind == "echo" else run(TcpPeer(echo)).url
    daemon = recording(run, tmp_path, "jsonl", "--max-memory=1M", "-c", "framing=binary", peer=peer)
    client = daemon.open()
    sent = []
    for _ in range(4):
        pieces = [os.urandom(50000) for _ in range(10)]
        sent.append((BIN, b"".join(pieces)))
        client.send_in_background(b"".join(
            frame(CONTINUATION if i else BIN, piece, fin=i == 9) for i, piece in enumerate(pieces)))
        assert client.recv_bytes(500000) == sent[-1][1]
    client.close_handshake()
    lines = lines_of(complete(daemon, tmp_path / "1"))
    assert [(op, data) for side, op, data in lines if side == "rx"] == sent
    assert b"".join(data for side, _, data in lines if side == "tx") == b"".join(data for _, data in sent)


# --- failures -----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ("novnc", "jsonl", "pcapng"))
def test_directory_that_is_gone(run, tmp_path, form):
    folder = tmp_path / "folder"
    daemon = recording(run, folder, form, peer="echo://")
    folder.rmdir()
    client = daemon.open()
    for _ in range(50):
        client.send_text("x")
        assert client.recv_message() == (TEXT, b"x")
    client.close_handshake()
    daemon.stop()
    assert daemon.log().count("the recording has ended: No such file or directory (record)") == 1
    assert "side=client code=1000" in daemon.log()


@ROOT_ONLY
@pytest.mark.parametrize("form", ("novnc", "jsonl", "pcapng"))
def test_full_disk(run, tmp_path, form):
    """One line, and the connection goes on; what has been recorded until then can be used."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", disk], check=True)
    try:
        daemon = recording(run, disk, form, peer="echo://")
        client = daemon.open()
        for i in range(100):
            client.send_text(f"{i:4}" + 8000 * "x")
            assert len(client.recv_message()[1]) == 8004
        client.close_handshake()
        daemon.stop()
        assert daemon.log().count("the recording has ended: No space left on device (record)") == 1
        data = (disk / "1").read_bytes()
        if form == "jsonl":
            assert lines_of(disk / "1")[0][2].startswith(b"   0x")
        elif form == "novnc":
            assert data.startswith(b"var VNC_frame_data = [\n'}")
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_many_at_once(run, tmp_path):
    daemon = recording(run, tmp_path, "jsonl", peer="echo://")
    clients = [daemon.open() for _ in range(200)]
    for turn in range(3):
        for number, client in enumerate(clients):
            client.send_text(f"{number} {turn}")
        for number, client in enumerate(clients):
            assert client.recv_message() == (TEXT, f"{number} {turn}".encode())
    for client in clients:
        client.close_handshake()
    daemon.stop()
    for number in range(200):
        lines = lines_of(tmp_path / str(number + 1))
        assert [data for side, _, data in lines if side == "tx"] == [f"{number} {turn}".encode() for turn in range(3)]
        assert len(lines) == 6


# --- playing ------------------------------------------------------------------------------------


def record_session(run, folder):
    """A session with a service that sends bytes of its own; the recording."""
    peer = run(TcpPeer())
    daemon = recording(run, folder, "jsonl", "-c", "framing=binary", peer=peer.url, tls=False)
    client = daemon.open()
    service = peer.accept()
    data = os.urandom(200000)
    service.send(b"hello")
    client.recv_bytes(5)
    client.send_text("text")
    client.send_binary(ALL_BYTES)
    assert service.recv_exactly(260) == b"text" + ALL_BYTES
    service.send(data)
    assert client.recv_bytes(len(data)) == data
    client.close_handshake()
    daemon.stop()
    return folder / "1", b"hello" + data


@pytest.mark.parametrize("fast", (True, False))
def test_replay_as_peer(run, tmp_path, fast):
    path, data = record_session(run, tmp_path)
    arguments = [sys.executable, REPLAY, "--peer", "0", "--once", *(["--fast"] if fast else []), path]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        port = int(process.stdout.readline().split()[-1])
        client = run(Daemon("-c", "framing=binary", peer=f"tcp://127.0.0.1:{port}")).open()
        assert client.recv_bytes(len(data)) == data
        client.expect_close(1000)
        client.send_close(1000)
        assert process.wait(TIMEOUT) == 0


def test_replay_as_client(run, tmp_path):
    path, _ = record_session(run, tmp_path / "first")
    daemon = recording(run, tmp_path / "second", "jsonl", peer="echo://", tls=False)
    subprocess.run([sys.executable, REPLAY, "--client", f"ws://127.0.0.1:{daemon.port}/x", "--fast", path],
                   check=True, timeout=TIMEOUT)
    daemon.stop()
    again = [line for line in lines_of(tmp_path / "second/1") if line[0] == "rx"]
    assert again == [("rx", TEXT, b"text"), ("rx", BIN, ALL_BYTES)]


def test_replay_to_a_server_that_closes(run, tmp_path):
    """Instead of an answer, and in the middle."""
    file = tmp_path / "file"
    file.write_text('{"t":0,"dir":"rx","op":2,"data":"' + base64.b64encode(bytes(1 << 20)).decode() + '"}\n')
    closing = run(TcpPeer(lambda connection: connection.recv()))
    limited = run(Daemon("--max-message=1k", peer=run(UdpPeer()).url, tls=False))
    for port, error in ((closing.port, "no upgrade: the server has closed the connection"),
                        (limited.port, "the server has closed the connection: 1009")):
        result = subprocess.run([sys.executable, REPLAY, "--client", f"ws://127.0.0.1:{port}/", "--fast", file],
                                capture_output=True, text=True, timeout=TIMEOUT, check=False)
        assert result.returncode == 1
        assert re.fullmatch(f"websocksy-replay: {error}\n", result.stderr), result.stderr


@pytest.mark.parametrize("arguments, error", (
    (("--client", "http://x/", "{file}"), '"http://x/" is not a WebSocket URL (use ws://HOST[:PORT]/PATH or wss://...)'),
    (("--client", "ws://x:99999/", "{file}"),
     '"ws://x:99999/" is not a WebSocket URL (use ws://HOST[:PORT]/PATH or wss://...)'),
    (("--peer", "x", "{file}"), '"x" is not an address to listen on (use [HOST:]PORT)'),
    (("--peer", "70000", "{file}"), '"70000" is not an address to listen on (use [HOST:]PORT)'),
    (("--peer", "0", "/absent"), "[Errno 2] No such file or directory: '/absent'"),
    (("--peer", "0", "{bad}"), "{bad}:1: not a message of a recording (record-format = jsonl)"),
))
def test_mistakes_of_replay(tmp_path, arguments, error):
    file, bad = tmp_path / "file", tmp_path / "bad"
    file.write_text("")
    bad.write_text("var VNC_frame_data = [\n'EOF'];\n")
    arguments = [one.format(file=file, bad=bad) for one in arguments]
    result = subprocess.run([sys.executable, REPLAY, *arguments], capture_output=True, text=True, timeout=TIMEOUT,
                            check=False)
    assert (result.returncode, result.stderr) == (1, f"websocksy-replay: {error.format(bad=bad)}\n")
