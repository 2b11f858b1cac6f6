# SPDX-License-Identifier: BSD-2-Clause
"""Clients of Neon's proxy reach a PostgreSQL server through the backend `url`.

The test with the client itself needs it in build/npm, where tests/run.sh installs it.
"""
import contextlib
import glob
import os
import pwd
import shutil
import struct
import subprocess
import tempfile

import pytest

from tools.daemon import ROOT, Daemon
from tools.ports import free_port
from tools.waiting import TIMEOUT, eventually

CLIENT = ROOT / "build/npm/node_modules/@neondatabase/serverless"
SCRIPT = """
const neon = require(process.argv[1]);
neon.neonConfig.webSocketConstructor = require("ws");
neon.neonConfig.useSecureWebSocket = false;
neon.neonConfig.wsProxy = (host, port) => `127.0.0.1:${process.argv[2]}/v1?address=${host}:${port}`;
(async () => {
    const client = new neon.Client({host: "127.0.0.1", port: +process.argv[3], user: "tester", password: "secret",
        database: "postgres"});
    await client.connect();
    const text = "x".repeat(300000);
    const {rows} = await client.query("SELECT length($1::text) AS length, $1::text AS text", [text]);
    console.log(rows[0].length, rows[0].text === text);
    await client.end();
})();
"""
"""The server does not start for root; Debian's package has a user for it."""
USER = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


def program(name):
    return sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))[-1]


class Postgres:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="postgres-")
        shutil.chown(self.folder, USER)
        password = os.path.join(self.folder, "password")
        with open(password, "w", encoding="ascii") as file:
            file.write("secret\n")
        shutil.chown(password, USER)
        self.data = os.path.join(self.folder, "data")
        self.port = free_port()
        self.log = os.path.join(self.folder, "log")
        self.process = None

    def command(self, *arguments, **kwargs):
        user = USER if os.geteuid() == 0 else None
        return subprocess.Popen(arguments, user=user, cwd=self.folder, stdout=subprocess.DEVNULL, **kwargs)

    def __enter__(self):
        init = self.command(program("initdb"), "-D", self.data, "-U", "tester", "-A", "password", "-N",
                            "--no-instructions", f"--pwfile={self.folder}/password")
        assert init.wait(TIMEOUT * 4) == 0
        with open(self.log, "w", encoding="ascii") as log:
            self.process = self.command(program("postgres"), "-D", self.data, "-p", str(self.port), "-k", self.folder,
                                        "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", stderr=log)
        eventually(self.is_ready, "the server accepts connections")
        return self

    def is_ready(self):
        with open(self.log, encoding="utf-8") as log:
            return "ready to accept connections" in log.read()

    def __exit__(self, *_):
        if self.process:
            self.process.send_signal(2)
            self.process.wait(TIMEOUT)
        shutil.rmtree(self.folder)


@pytest.fixture(scope="module")
def postgres(run_module):
    return run_module(Postgres())


@pytest.fixture(scope="module")
def daemon(run_module, postgres):
    return run_module(Daemon("-b", "url", "-c", f"allow=127.0.0.1:{postgres.port}"))


def message(kind, payload):
    return kind + struct.pack("!I", len(payload) + 4) + payload


def take_messages(client, data):
    """Messages of the server up to ReadyForQuery, from frames cut anywhere."""
    found = []
    while not found or found[-1][0] != b"Z":
        while len(data) < 5 or len(data) < 1 + struct.unpack("!I", data[1:5])[0]:
            data += client.recv_message()[1]
        size = 1 + struct.unpack("!I", data[1:5])[0]
        found.append((data[:1], data[5:size]))
        data = data[size:]
    return found


def test_startup_and_password_in_one_message(daemon, postgres):
    """As @neondatabase/serverless sends them: the password without waiting for the server."""
    startup = struct.pack("!I", 0x30000) + b"user\0tester\0database\0postgres\0\0"
    with contextlib.closing(daemon.open(f"/v2?address=127.0.0.1:{postgres.port}")) as client:
        client.send_binary(struct.pack("!I", len(startup) + 4) + startup + message(b"p", b"secret\0"))
        kinds = [kind for kind, _ in take_messages(client, b"")]
        assert kinds.count(b"R") == 2 and b"E" not in kinds
        client.send_binary(message(b"Q", b"SELECT 6 * 7\0"))
        assert (b"D", struct.pack("!HI", 1, 2) + b"42") in take_messages(client, b"")


@pytest.mark.skipif(not CLIENT.exists(), reason="npm's @neondatabase/serverless is not in build/npm")
def test_the_client_of_neon(daemon, postgres):
    ended = subprocess.run(
        ["node", "-e", SCRIPT, str(CLIENT), str(daemon.port), str(postgres.port)],
        env={**os.environ, "NODE_PATH": "/usr/share/nodejs"}, capture_output=True, text=True, timeout=TIMEOUT * 2,
        check=False)
    assert (ended.stdout, ended.stderr) == ("300000 true\n", "")
