# SPDX-License-Identifier: BSD-2-Clause
"""Framings for both directions: lines, length, typed and guacamole, with services that use them.

The test with npm's IRC client needs it in build/npm, where tests/run.sh installs it.
"""
import contextlib
import os
import shutil
import struct
import subprocess
import sys
import threading

import pytest

from tools.daemon import ROOT, SANITIZED, TLS, Daemon, run_once
from tools.frames import BIN, CONTINUATION, TEXT, bytewise, frame
from tools.peers import TcpPeer, UdpPeer
from tools.ports import free_port
from tools.waiting import TIMEOUT, eventually

NODE = {**os.environ, "NODE_PATH": "/usr/share/nodejs"}
IRC_CLIENT = ROOT / "build/npm/node_modules/irc-framework"
IRC_SCRIPT = """
global.WebSocket = require("ws");
const {Client} = require(process.argv[1]);
const transport = require(process.argv[1] + "/src/transports/websocket");
const client = new Client();
client.on("registered", () => client.join("#lines"));
client.on("join", event => {
    if (event.nick === client.user.nick) { console.log("joined", event.channel); }
});
client.on("privmsg", event => {
    console.log(event.nick, event.message);
    client.say("#lines", "grüße zurück");
    client.quit("bye");
});
client.on("socket close", () => process.exit(0));
client.connect({host: "127.0.0.1", port: +process.argv[2], nick: "framework", transport, auto_reconnect: false,
    websocket_protocol: "text.ircv3.net"});
"""
IRC_CONFIG = """
[Global]
Name = irc.test
Info = test
Listen = 127.0.0.1
Ports = {port}
MotdPhrase = hello
ServerUID = {user}
ServerGID = {group}
PidFile =
[Limits]
MaxConnectionsIP = 0
[Options]
DNS = no
Ident = no
PAM = no
"""


def framing_daemon(peer, framing, config=None, *more):
    options = ["-c", f"framing={framing}", "-c", "protocol=*"]
    if config is not None:
        options += ["-c", f"framing-config={config}"]
    return Daemon(*more, *options, peer=peer)


@pytest.fixture(scope="module")
def service(run_module):
    return run_module(TcpPeer())


@pytest.fixture(scope="module")
def daemons(run_module, service):
    """One daemon for each framing, made when the first test needs it."""
    made = {}

    def get(framing, config=None):
        if (framing, config) not in made:
            made[framing, config] = run_module(framing_daemon(service.url, framing, config))
        return made[framing, config]

    return get


# framing, configuration, messages of the peer and their bytes; in the other direction they are the same
FRAMINGS = {
    "lines": ("lines", None, [(TEXT, "grüße".encode()), (TEXT, b""), (BIN, b"\xff\r")], "grüße\n\n".encode() + b"\xff\r\n"),
    "lines crlf": ("lines", "crlf", [(TEXT, b"a\nb"), (TEXT, b"")], b"a\nb\r\n\r\n"),
    "length": ("length", None, [(BIN, b"abc"), (BIN, b"")], b"\0\0\0\x03abc\0\0\0\0"),
    "length varint": (
        "length", "width=varint,max=1000", [(BIN, b"x" * 300), (BIN, b"")], b"\xac\x02" + b"x" * 300 + b"\0"),
    "length little": ("length", "width=2,endian=little", [(BIN, b"ab"), (BIN, b"c")], b"\2\0ab\1\0c"),
    "typed": ("typed", None, [(TEXT, b"text"), (BIN, b""), (TEXT, b""), (BIN, b"\xff")],
              b"\1\0\0\0\4text\2\0\0\0\0\1\0\0\0\0\2\0\0\0\1\xff"),
    "guacamole": ("guacamole", None, [(TEXT, "4.name,7.Désktop;".encode()), (TEXT, b"4.sync,8.31548563;")],
                  "4.name,7.Désktop;4.sync,8.31548563;".encode()),
}


@pytest.mark.parametrize("name", FRAMINGS)
def test_both_directions(daemons, service, name):
    framing, config, messages, stream = FRAMINGS[name]
    client = daemons(framing, config).open()
    peer = service.accept()
    for opcode, payload in messages:
        client.send_raw(frame(opcode, payload))
    assert peer.recv_exactly(len(stream)) == stream
    for opcode, payload in messages:
        client.send_raw(frame(opcode, payload[:1], fin=False) + frame(CONTINUATION, payload[1:]))
    assert peer.recv_exactly(len(stream)) == stream
    for pieces in ([stream], bytewise(stream)):
        for piece in pieces:
            peer.send(piece)
        for message in messages:
            assert client.recv_message() == message
    client.close_handshake(1000)
    peer.expect_eof()


@pytest.mark.parametrize("framing, config, data, code", (
    ("length", None, b"\0\0\0\2x", 1011), ("length", "width=varint,max=1000", b"\xe9\7", 1009),
    ("typed", None, b"\3\0\0\0\0", 1011), ("typed", None, b"\2\0\0\0\2x", 1011),
    ("guacamole", None, b"3.nop", 1011), ("guacamole", None, b"3.nops;", 1011)))
def test_invalid_data_of_the_peer(daemons, service, framing, config, data, code):
    client = daemons(framing, config).open()
    peer = service.accept()
    peer.send(data)
    peer.finish()
    client.expect_failed(code)
    peer.close()


@pytest.mark.parametrize("framing, config, payload, code", (
    ("lines", None, b"a\nb", 1007), ("length", "width=varint,max=1000", b"x" * 1001, 1009),
    ("guacamole", None, b"3.no", 1007), ("guacamole", None, b"a message", 1007)))
def test_invalid_messages_of_the_client(daemons, service, framing, config, payload, code):
    client = daemons(framing, config).open()
    client.send_raw(frame(TEXT, payload))
    client.expect_failed(code)
    assert service.accept().recv_all() == b""


@pytest.mark.parametrize("framing, config", (("typed", None), ("length", None)))
def test_nothing_of_an_invalid_message_is_sent_with_a_length(daemons, service, framing, config):
    """A length that an error has overwritten is not one."""
    client = daemons(framing, config).open()
    client.send_raw(frame(TEXT, b"ok ", fin=False) + frame(CONTINUATION, b"\xc3", fin=False) + frame(CONTINUATION, b""))
    client.expect_failed(1007)
    assert service.accept().recv_all() == b""


def test_a_large_message_is_not_kept(daemons, service):
    """Its length is known from its frame, so it is sent as it arrives."""
    daemon = daemons("typed")
    client = daemon.open()
    peer = service.accept()
    before = daemon.rss()
    data = bytes(4 << 20)
    client.send_in_background(frame(BIN, data, length_form=64, length=1 << 30))
    assert peer.recv_exactly(5) == struct.pack("!BI", 2, 1 << 30)
    assert peer.recv_exactly(len(data))[:10]
    assert daemon.rss() < before + (32 << 20 if SANITIZED else 2 << 20)
    client.close()
    peer.close()


def test_datagrams(run):
    """Each datagram is one message, and each message one datagram."""
    peer = run(UdpPeer())
    client = run(framing_daemon(peer.url, "lines", "crlf")).open()
    client.send_text("hello")
    data, address = peer.sock.recvfrom(100)
    assert data == b"hello\r\n"
    for payload in (b"a\r\nb\r\n", b"c"):
        peer.sock.sendto(payload, address)
    assert client.recv_message() == (TEXT, b"a\r\nb")
    assert client.recv_message() == (TEXT, b"c")


@pytest.mark.once
@pytest.mark.parametrize("framing, config, text", (
    ("lines", "cr", "must be lf or crlf"), ("length", "width=3", "width must be 1, 2, 4, 8 or varint"),
    ("length", "max=0", "max must be a number of bytes above 0"), ("length", "width", "must be width=1"),
    ("typed", "x", "must be empty"), ("guacamole", "x", "must be empty")))
def test_errors_in_the_configuration(tmp_path, framing, config, text):
    path = tmp_path / "conf"
    path.write_text(f"[backend]\nhost = tcp://127.0.0.1:1\nframing = {framing}\nframing-config = {config}\n")
    result = run_once("-t", path)
    assert result.returncode == 1
    assert f"{path}:4: framing-config" in result.stderr and text in result.stderr, result.stderr


@contextlib.contextmanager
def started(words):
    """A command that ends at the latest after the time of any wait."""
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=NODE)
    limit = threading.Timer(TIMEOUT, process.kill)
    limit.start()
    yield process
    limit.cancel()
    process.kill()
    process.communicate()


# --- with services of others --------------------------------------------------------------------


@pytest.fixture(scope="module")
def redis(run_module, tmp_path_factory):
    folder = tmp_path_factory.mktemp("redis")
    path = f"{folder}/redis.sock"
    process = subprocess.Popen(
        ["redis-server", "--dir", folder, "--save", "", "--port", "0", "--unixsocket", path],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    eventually(lambda: os.path.exists(path), "redis-server to listen")
    yield run_module(framing_daemon(f"unix://{path}", "lines", "crlf"))
    process.kill()
    process.wait(TIMEOUT)


@pytest.mark.skipif(TLS, reason="the commands connect without TLS")
@pytest.mark.parametrize("words, command", (
    ([sys.executable, "-m", "websockets"], "INCR python\n"), (["wscat", "-x", "INCR wscat", "-c"], "")),
    ids=("python", "wscat"))
def test_inline_commands_of_redis(run, redis, words, command):
    """A client for the terminal is enough: each line is a command, each line of the reply a message."""
    process = run(started([*words, f"ws://127.0.0.1:{redis.port}/"]))
    process.stdin.write(command)
    process.stdin.flush()
    assert any(":1" in line for line in process.stdout)


class Ngircd:
    def __init__(self, folder):
        self.port = free_port()
        self.config = folder / "ngircd.conf"
        self.config.write_text(IRC_CONFIG.format(port=self.port, user=os.getuid(), group=os.getgid()))
        self.log = folder / "log"

    def __enter__(self):
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [shutil.which("ngircd") or "/usr/sbin/ngircd", "-n", "-f", str(self.config)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        eventually(self.listens, "ngircd to listen")
        return self

    def listens(self):
        assert self.process.poll() is None, self.log.read_text()
        return b"Now listening" in self.log.read_bytes()

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(TIMEOUT)


@pytest.fixture(scope="module")
def irc(run_module, tmp_path_factory):
    server = run_module(Ngircd(tmp_path_factory.mktemp("ngircd")))
    return run_module(Daemon("-c", "framing=lines", "-c", "framing-config=crlf", "-c",
                             "protocol=text.ircv3.net,binary.ircv3.net", peer=f"tcp://127.0.0.1:{server.port}"))


class IrcClient:
    """Speaks as the subprotocols of IRCv3 say: one line for each message, without CR LF."""

    def __init__(self, daemon, protocol, nick):
        self.client = daemon.connect()
        response = self.client.upgrade(headers={"Sec-WebSocket-Protocol": protocol})
        assert response.header("Sec-WebSocket-Protocol") == protocol
        self.opcode = BIN if protocol.startswith("binary") else TEXT
        self.send(f"NICK {nick}")
        self.send(f"USER {nick} 0 * :{nick}")
        self.wait(" 001 ")
        self.send("JOIN #lines")
        self.wait(" 366 ")

    def send(self, line):
        self.client.send_raw(frame(self.opcode, line.encode()))

    def wait(self, word):
        while True:
            _, payload = self.client.recv_message()
            line = payload.decode()
            assert "\r" not in line and "\n" not in line
            if word in line:
                return line


def test_irc_clients_chat(irc):
    one = IrcClient(irc, "text.ircv3.net", "one")
    two = IrcClient(irc, "binary.ircv3.net", "two")
    one.wait("JOIN")
    one.send("PRIVMSG #lines :schöne grüße")
    assert two.wait("PRIVMSG").endswith("PRIVMSG #lines :schöne grüße")
    two.send("PRIVMSG one :back")
    assert one.wait("PRIVMSG").endswith("PRIVMSG one :back")
    for client in (one, two):
        client.send("QUIT")
        client.wait("ERROR")


@pytest.mark.skipif(not IRC_CLIENT.exists(), reason="npm's irc-framework is not in build/npm")
@pytest.mark.skipif(TLS, reason="the client connects without TLS")
def test_irc_framework(run, irc):
    other = IrcClient(irc, "text.ircv3.net", "other")
    process = run(started(["node", "-e", IRC_SCRIPT, str(IRC_CLIENT), str(irc.port)]))
    assert process.stdout.readline() == "joined #lines\n"
    other.wait("framework")
    other.send("PRIVMSG #lines :grüße")
    assert process.stdout.readline() == "other grüße\n"
    assert other.wait("PRIVMSG").endswith("PRIVMSG #lines :grüße zurück")
