# SPDX-License-Identifier: BSD-2-Clause
"""The commands in README.md and the manual pages, as they stand there, against real services.

Only ports, passwords that a person would type and the folder of noVNC are replaced; websocksy is the binary under test.
"""
import base64
import re
import shlex
import shutil
import socketserver
import ssl
import struct
import subprocess
import threading

import pytest
import websocket

from tools.daemon import ROOT, Daemon, environment, run_once
from tools.peers import TcpPeer
from tools.ports import free_port
from tools.waiting import TIMEOUT, eventually

TEXT, BIN = websocket.ABNF.OPCODE_TEXT, websocket.ABNF.OPCODE_BINARY


def blocks(section):
    """The indented blocks below a heading, up to the next one."""
    text = (ROOT / "README.md").read_text()
    body = re.search(rf"^#+ {re.escape(section)}\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)[1]
    return [re.sub(r"^    ", "", block, flags=re.MULTILINE)
            for block in re.findall(r"^    .*\n(?:\n*    .*\n)*", body, re.MULTILINE)]


def commands(section):
    return [line for block in blocks(section) for line in block.replace("\\\n", " ").splitlines()]


def manual(page, beginning):
    """The example of a manual page whose introduction begins so, as it is displayed."""
    text = (ROOT / "man" / page).read_text().partition("\n.Sh EXAMPLES\n")[2]
    block = re.search(rf"^{re.escape(beginning)}.*?^\.Bd [^\n]*\n(.*?)^\.Ed$", text, re.MULTILINE | re.DOTALL)[1]
    return block.replace("\\e", "\\").replace("\\&", "")


class Shell:
    """Runs commands in a folder that has what they name; `websocksy` becomes a Daemon on a port of its own."""

    def __init__(self, folder, run):
        self.folder, self.run, self.daemon, self.servers = folder, run, None, []
        for name in ("examples", "index.html"):
            (folder / name).symlink_to(ROOT / name)

    def execute(self, section, replace=(), keyboard=""):
        """Runs all commands of a section; the result is what the last one printed."""
        return self.run_commands(commands(section), replace, keyboard)

    def execute_manual(self, beginning, replace=()):
        """Runs the command of an example in websocksy(8)."""
        text = manual("websocksy.8", beginning).replace("\\\n", " ")
        self.run_commands([line.removeprefix("$ ") for line in text.splitlines()], replace)

    def run_commands(self, lines, replace, keyboard=""):
        output = ""
        for command in lines:
            for old, new in replace:
                command = command.replace(old, new)
            if command.startswith("websocksy "):
                args = shlex.split(command.removesuffix("&"))[1:]
                assert args.count("-p") <= 1
                self.daemon = self.run(Daemon(*args, "-p", "0", "-l", "127.0.0.1", defaults=False, tls=False,
                                              cwd=self.folder))
            elif command.endswith("&"):
                self.servers.append(subprocess.Popen(
                    shlex.split(command[:-1]), cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            else:
                output = self.shell(command, keyboard)
        return output

    def shell(self, command, keyboard=""):
        if self.daemon:
            command = command.replace("localhost:8001", f"localhost:{self.daemon.port}")
        result = subprocess.run(["bash", "-ec", command], cwd=self.folder, env=environment(), input=keyboard, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT)
        assert result.returncode == 0, (command, result.stdout)
        return result.stdout

    def connect(self, path="/", scheme="ws", **options):
        return websocket.create_connection(f"{scheme}://localhost:{self.daemon.port}{path}", timeout=TIMEOUT,
                                           **options)


@pytest.fixture
def shell(tmp_path, run):
    needed = Shell(tmp_path, run)
    yield needed
    for server in needed.servers:
        server.terminate()
        server.wait()


def serve(handler, request):
    """A TCP service on a port of the kernel's choice; `handler(read, write)` is one connection."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            handler(self.rfile, self.wfile)

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,)).start()
    request.addfinalizer(server.server_close)
    request.addfinalizer(server.shutdown)
    return f"localhost:{server.server_address[1]}"


def rfb(read, write):
    """The beginning of RFC 6143: version, security types (none), result."""
    write.write(b"RFB 003.008\n")
    if read.read(12) == b"RFB 003.008\n":
        write.write(b"\x01\x01")
        if read.read(1) == b"\x01":
            write.write(b"\x00\x00\x00\x00")


def lines(read, write):
    for line in read:
        write.write(line)


def check_vnc(client):
    for expected, answer in ((b"RFB 003.008\n", b"RFB 003.008\n"), (b"\x01\x01", b"\x01"), (b"\x00" * 4, b"")):
        assert client.recv_data() == (BIN, expected)
        client.send_binary(answer)


def check_chat(client):
    client.send("hello\nworld\n")
    assert client.recv_data() == (TEXT, b"hello\n")
    assert client.recv_data() == (TEXT, b"world\n")
    client.close()


@pytest.mark.parametrize("offered", ([], ["binary"]), ids=("new", "old"))
def test_novnc(shell, request, tmp_path, offered):
    """Clients of this kind offered the subprotocol `binary` in former times and offer none today."""
    (tmp_path / "vnc.html").write_text("the page")
    shell.execute("noVNC", [("/usr/share/novnc", str(tmp_path)), ("localhost:5900", serve(rfb, request))])
    assert shell.shell("curl -s http://localhost:8001/vnc.html") == "the page"
    client = shell.connect("/websockify", subprotocols=offered)
    assert client.getsubprotocol() == (offered[0] if offered else None)
    check_vnc(client)


@pytest.mark.parametrize("offered", ([], ["binary"]), ids=("new", "old"))
def test_novnc_in_the_manual(shell, request, tmp_path, offered):
    shell.execute_manual("A VNC server for noVNC", [
        ("/usr/share/novnc", str(tmp_path)), ("localhost:5900", serve(rfb, request))])
    check_vnc(shell.connect("/websockify", subprotocols=offered))


def test_novnc_in_the_manual_of_the_file(tmp_path, shell, request, run):
    text = manual("websocksy.conf.5", "A VNC server for the pages of one site")
    for old, new in (("tcp://[::1]:5900", f"tcp://{serve(rfb, request)}"), ("/run/websocksy", str(tmp_path))):
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "vnc.conf"
    path.write_text(text)
    shell.daemon = run(Daemon("-p", "0", path, defaults=False, tls=False))
    check_vnc(shell.connect(origin="https://pages.example.org"))


@pytest.fixture
def broker(shell, tmp_path):
    """The port of an MQTT broker."""
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if not program:
        pytest.skip("no mosquitto")
    port = free_port()
    log = tmp_path / "broker.log"
    with open(log, "wb") as output:
        shell.servers.append(subprocess.Popen([program, "-v", "-p", str(port)], stdout=output, stderr=output))
    eventually(lambda: "running" in log.read_text(), "the broker to start")
    return port


def test_mqtt(shell, broker):
    shell.execute("MQTT", [("localhost:1883", f"localhost:{broker}")])
    check_mqtt(shell)


def test_mqtt_in_the_manual(shell, broker):
    shell.execute_manual("An MQTT broker:", [("localhost:1883", f"localhost:{broker}")])
    check_mqtt(shell)


def test_mqtt_in_the_manual_of_the_file(tmp_path, shell, broker, run):
    text = manual("websocksy.conf.5", "An MQTT broker:")
    path = tmp_path / "mqtt.conf"
    path.write_text(text.replace("port = 9001", "port = 0").replace("localhost:1883", f"localhost:{broker}"))
    shell.daemon = run(Daemon(path, defaults=False, tls=False))
    check_mqtt(shell)


def check_mqtt(shell):
    client = shell.connect(subprotocols=["mqtt"])
    assert client.getsubprotocol() == "mqtt"
    body = b"\x00\x04MQTT\x04\x02\x00\x3c" + struct.pack("!H", 4) + b"test"
    client.send_binary(b"\x10" + bytes([len(body)]) + body)
    assert client.recv_data() == (BIN, b"\x20\x02\x00\x00")  # CONNACK, accepted
    client.send_binary(b"\x82\x06\x00\x01\x00\x01t\x00")
    assert client.recv_data() == (BIN, b"\x90\x03\x00\x01\x00")  # SUBACK
    client.send_binary(b"\x30\x05\x00\x01thi")
    assert client.recv_data() == (BIN, b"\x30\x05\x00\x01thi")


def test_chat(shell):
    if not shutil.which("cc"):
        pytest.skip("no C compiler")
    port = free_port()
    names = [("./chat-server", f"./chat-server {port}"), ("localhost:9000", f"localhost:{port}"),
             ("ws-client.sh", f"ws-client.sh -t {TIMEOUT:.0f} -w everybody")]
    printed = shell.execute("A line-based chat", names, "hello everybody\n")
    assert "hello everybody" in printed
    assert "<title>websocksy console</title>" in shell.shell("curl -s http://localhost:8001/")


def test_irc(shell, request):
    shell.execute("IRC", [("localhost:6667", serve(lines, request))])
    client = shell.connect(subprotocols=["text.ircv3.net"])
    assert client.getsubprotocol() == "text.ircv3.net"
    client.send("PING 1")
    client.send("PING 2")
    assert client.recv_data() == (TEXT, b"PING 1")
    assert client.recv_data() == (TEXT, b"PING 2")
    client.close()


def test_tls_and_a_password(shell, request, tmp_path):
    page = shell.execute("TLS and a password", [("localhost:9000", serve(lines, request)),
                                                ("htpasswd -B -c", "htpasswd -i -B -c"),
                                                ("alice https", "alice:secret https")], "secret\n")
    assert "<title>websocksy console</title>" in page
    # Firefox refuses the certificate of an authority as that of a server.
    assert "CA:FALSE" in shell.shell("openssl x509 -in cert.pem -noout -ext basicConstraints")
    trust = {"ca_certs": str(tmp_path / "cert.pem"), "cert_reqs": ssl.CERT_REQUIRED}
    credentials = [f"Authorization: Basic {base64.b64encode(b'alice:secret').decode()}"]
    own = f"https://localhost:{shell.daemon.port}"  # the console's, in a browser
    check_chat(shell.connect(scheme="wss", sslopt=trust, header=credentials, origin=own))
    check_chat(shell.connect(scheme="wss", sslopt=trust, header=credentials, suppress_origin=True))
    for origin, header, status in (
            (own, [], 401), ("https://other.example", credentials, 403)):
        with pytest.raises(websocket.WebSocketBadStatusException) as refused:
            shell.connect(scheme="wss", sslopt=trust, header=header, origin=origin)
        assert refused.value.status_code == status
    shell.shell("! curl -s http://localhost:8001/")


def test_several_targets(shell, request):
    shell.execute("Several targets, chosen by the path", [
        ("localhost:5900", serve(rfb, request)), ("localhost:9000", serve(lines, request))])
    check_vnc(shell.connect("/vnc"))
    check_chat(shell.connect("/chat"))
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        shell.connect("/other")
    assert refused.value.status_code == 404


def test_configuration_file(tmp_path, shell, request, run):
    text = blocks("Configuration file")[0].replace("localhost:9000", serve(lines, request))
    path = tmp_path / "chat.conf"
    path.write_text(text)
    assert run_once("-t", path).returncode == 0
    shell.daemon = run(Daemon("-p", "0", path, defaults=False, tls=False))
    check_chat(shell.connect(origin="https://chat.example.org"))
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        shell.connect(origin="https://other.example.org")
    assert refused.value.status_code == 403


def test_packages_are_those_of_the_quick_start():
    line = next(line for line in commands("Build and install") if "apt-get" in line)
    script = (ROOT / "examples/quickstart.sh").read_text()
    assert sorted(line.split()[3:]) == sorted(re.search(r"packages=\(([^)]+)\)", script)[1].split())


def test_scripts_are_there():
    for command in commands("Quick start"):
        assert (ROOT / command).stat().st_mode & 0o111, command


# --- the client for the terminal ----------------------------------------------------------------


def ws_client(*arguments):
    return subprocess.run([ROOT / "examples/ws-client.sh", *arguments], input="", capture_output=True, text=True,
                          timeout=TIMEOUT)


def test_client_for_the_terminal_gives_up(run):
    """Both before the handshake and behind it, after as many seconds as it is told."""
    silent = run(TcpPeer())
    result = ws_client("-t", "1", "-w", "hello", silent.url.replace("tcp:", "ws:"))
    assert (result.returncode, result.stderr) == (1, "ws-client: no response to the handshake\n")
    daemon = run(Daemon(peer=silent.url, tls=False))
    result = ws_client("-t", "1", "-w", "hello", daemon.url())
    assert (result.returncode, result.stderr) == (1, "ws-client: no message with 'hello' came\n")


@pytest.mark.parametrize("seconds", ("0", "", "x", "-1"))
def test_client_for_the_terminal_takes_seconds(seconds):
    result = ws_client("-t", seconds, "-w", "x", "ws://127.0.0.1:1/")
    assert result.returncode == 2 and result.stderr.startswith("usage: ")
