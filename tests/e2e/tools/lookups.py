# SPDX-License-Identifier: BSD-2-Clause
"""Servers that backends ask for peers: Debian's redis-server, and an HTTP server that is told its responses."""
import os
import re
import shutil
import socket
import subprocess

from tools.peers import TcpPeer
from tools.ports import free_port
from tools.waiting import TIMEOUT, eventually


class Redis:
    """redis-server with a password, on a Unix socket, on a TCP port and, with a certificate, on a second one with TLS."""

    PASSWORD = "correct horse"

    def __init__(self, folder, pair):
        self.folder = folder
        self.socket = f"{folder}/redis.sock"
        self.port = free_port()
        self.tls_port = free_port()
        self.arguments = [
            "--dir", str(folder), "--save", "", "--bind", "127.0.0.1", "--port", str(self.port),
            "--unixsocket", self.socket, "--requirepass", self.PASSWORD, "--tls-port", str(self.tls_port),
            "--tls-cert-file", str(pair.cert), "--tls-key-file", str(pair.key), "--tls-auth-clients", "no"]
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        binary = shutil.which("redis-server")
        assert binary, "redis-server is missing"
        with open(self.folder / "redis.log", "ab") as log:
            self.process = subprocess.Popen(
                [binary, *self.arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        eventually(self.listens, "redis-server to listen")

    def stop(self):
        self.process.kill()
        self.process.wait(TIMEOUT)
        if os.path.exists(self.socket):
            os.unlink(self.socket)

    def listens(self):
        assert self.process.poll() is None, (self.folder / "redis.log").read_text()
        try:
            self.command()
        except OSError:
            return False
        return True

    def command(self, *words, db=0):
        """Sends a command, after the password and the database; returns the first line of the last reply."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(TIMEOUT)
            sock.connect(self.socket)
            commands = [("AUTH", self.PASSWORD), ("SELECT", str(db))] + ([words] if words else [])
            for command in commands:
                text = f"*{len(command)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in command)
                sock.sendall(text.encode())
            with sock.makefile("rb") as replies:
                lines = [replies.readline() for _ in commands]
            assert not lines[-1].startswith(b"-"), lines
            return lines[-1]


class HttpServer(TcpPeer):
    """Responds to GET requests from the dictionary `responses` (target: bytes, or a function of the head), otherwise
    with 404; `heads` lists the requests."""

    NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot found"

    def __init__(self, **kwargs):
        self.responses = {}
        self.heads = []
        super().__init__(self.respond, **kwargs)

    def respond(self, connection):
        while not connection.eof:
            head = b""
            while b"\r\n\r\n" not in head:
                data = connection.recv()
                if not data:
                    return
                head += data
            head = head.decode("latin-1")
            self.heads.append(head)
            target = re.match(r"GET (\S+) HTTP/1\.1\r\n", head).group(1)
            response = self.responses.get(target, self.NOT_FOUND)
            connection.sock.sendall(response(head) if callable(response) else response)


def found(text, status="200 OK"):
    """A response with a length."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()
