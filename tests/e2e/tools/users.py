# SPDX-License-Identifier: BSD-2-Clause
"""Password files, credentials, and the responses to them."""
import base64
import ctypes
import functools

from tools.cache import digest_of, kept
from tools.frames import TEXT
from tools.http import build_request

LIBCRYPT = ctypes.CDLL("libcrypt.so.1")
LIBCRYPT.crypt.restype = ctypes.c_char_p
SALT = "abcdefghijklmnopqrstuu"
CHALLENGE = 'Basic realm="websocksy", charset="UTF-8"'
PAGE = b"<p>for users only"
KINDS = {
    "bcrypt-a": f"$2a$04${SALT}", "bcrypt-y": f"$2y$04${SALT}", "bcrypt-b": f"$2b$04${SALT}", "sha512": "$6$rounds=1000$salt",
    "sha512-plain": "$6$salt", "sha256": "$5$rounds=1000$salt", "yescrypt": "$y$j75$F5Jx5fExrKuPp53xLKQ..1",
}
SLOW = f"$2y$12${SALT}"  # a quarter of a second, more or less
SLOWER = f"$2y$14${SALT}"  # four times that: what is to happen meanwhile has happened


@functools.lru_cache(None)
def hashed(password, setting=KINDS["bcrypt-y"]):
    def write(place):
        (place / "hash").write_bytes(LIBCRYPT.crypt(password.encode(), setting.encode()))

    return (kept("hash", digest_of(password, setting), write) / "hash").read_text()


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def write_users(path, **users):
    """users: name=password, or name=(password, setting)"""
    lines = ["# users of a test", ""]
    for name, password in users.items():
        lines.append(f"{name}:{hashed(*([password] if isinstance(password, str) else password))}")
    path.write_text("\n".join(lines) + "\n")
    return path


def check_challenge(answer):
    assert answer.status == 401, answer
    assert answer.header("WWW-Authenticate") == CHALLENGE
    assert PAGE not in answer.body


def check_open(daemon, **request):
    client = daemon.open(**request)
    client.send_text("through")
    assert client.recv_message() == (TEXT, b"through")
    client.close_handshake()


def begin(daemon, user, password, **request):
    client = daemon.connect()
    client.send_raw(build_request(headers=basic(user, password), **request))
    return client
