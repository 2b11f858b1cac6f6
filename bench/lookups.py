#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What a lookup through the backends redis, http, token and jwt costs the daemon.

    WEBSOCKSY=build/gcc/websocksy bench/lookups.py [CLIENTS]

Prints for each backend the processor time of the daemon per client that is looked up and refused, from accept() to
close(), and how many of them one core can do in a second; for those that wait for a server, the memory of a client that
waits, above that of one whose request is not complete yet. Tokens are unknown, those of jwt have a signature that is
verified (HS256) and wrong. Processor time is counted, not elapsed time, so that other processes and
the servers, which run beside it, do not matter much.
"""
import base64
import hashlib
import hmac
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "e2e"))

from tools import tls_files  # noqa: E402
from tools.daemon import Daemon  # noqa: E402
from tools.http import build_request  # noqa: E402
from tools.lookups import HttpServer, Redis  # noqa: E402
from tools.peers import TcpPeer  # noqa: E402

BATCH = 50
REQUEST = build_request("/?token=unknown")


def web_token(key):
    """A JSON Web Token as other programs make it."""
    def encode(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")
    claims = {"host": "127.0.0.1", "port": 5900, "exp": int(time.time()) + 3600}
    text = b".".join(encode(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    return (text + b"." + encode(hmac.digest(key, text, hashlib.sha256))).decode()


def processor_time(daemon, clients, request, status):
    """Nanoseconds for each of the clients, which come BATCH at a time."""
    before = daemon.cpu_ns()
    for _ in range(clients // BATCH):
        batch = [daemon.connect() for _ in range(BATCH)]
        for client in batch:
            client.send_raw(request)
        for client in batch:
            assert client.recv_http(head_only=True).status == status
        daemon.close_clients()
    return (daemon.cpu_ns() - before) / (clients // BATCH * BATCH)


def memory(daemon, clients):
    """Bytes for each client that waits, in addition to one that has sent a part of its request."""
    warm = [daemon.connect() for _ in range(clients)]
    for client in warm:
        client.send_raw(REQUEST[:-2])
    daemon.settle()
    before = daemon.rss()
    for client in warm:
        client.send_raw(REQUEST[-2:])
    daemon.settle()
    return (daemon.rss() - before) / clients


def report(name, options, silent, clients, request=REQUEST, status=404):
    with Daemon("-b", name, *options) as daemon:
        processor_time(daemon, clients // 4, request, status)
        spent = processor_time(daemon, clients, request, status)
    line = f"{name:8} {spent / 1000:8.1f} us {1e9 / spent:10.0f} /s"
    if silent:
        with Daemon("-b", name, *silent) as daemon:
            line += f" {memory(daemon, 2000):8.0f} bytes"
    print(line, flush=True)


def main():
    clients = int(sys.argv[1]) if len(sys.argv) > 1 else 10000
    with tempfile.TemporaryDirectory() as folder:
        pair = tls_files.Authority(folder).issue("localhost")
        with Redis(Path(folder), pair) as redis, HttpServer() as server, TcpPeer() as silent:
            print("backend   processor    one core    memory of a waiting client")
            report("redis", ("-c", f"server=unix:{redis.socket}", "-c", f"password={redis.PASSWORD}"),
                   ("-c", f"server=127.0.0.1:{silent.port}", "-c", "timeout=1h"), clients)
            report("http", ("-c", f"url=http://127.0.0.1:{server.port}/%s"),
                   ("-c", f"url=http://127.0.0.1:{silent.port}/%s", "-c", "connections=2000", "-c", "timeout=1h"),
                   clients)
        tokens, key = Path(folder, "tokens"), Path(folder, "key")
        tokens.write_text("".join(f"token{number}: 127.0.0.1:5900\n" for number in range(1000)))
        tokens.chmod(0o600)
        report("token", ("-c", f"file={tokens}"), None, clients)
        key.write_bytes(b"k" * 32)
        key.chmod(0o600)
        report("jwt", ("-c", f"key={key}", "-c", "alg=HS256"), None, clients,
               build_request(f"/?token={web_token(b'x' * 32)}"), 403)


if __name__ == "__main__":
    main()
