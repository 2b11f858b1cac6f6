# SPDX-License-Identifier: BSD-2-Clause
"""Requests to the daemon, and its responses, strict about their syntax."""
import base64
import hashlib
import re

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
# Sixteen bytes as RFC 6455, section 1.3, has them, so that a dump can be compared with the text.
KEY = base64.b64encode(b"the sample nonce").decode()


def accept_for(key):
    """Sec-WebSocket-Accept for a key, RFC 6455 section 4.2.2."""
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


UPGRADE_HEADERS = (
    ("Host", "localhost"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", KEY),
    ("Sec-WebSocket-Version", "13"),
)


def build_request(path="/", method="GET", version="HTTP/1.1", headers=None, remove=(), extra=(),
                  protocols=None, plain=False, eol="\r\n", raw=None):
    """An upgrade request as bytes.

    headers     {name: value} that replace those of UPGRADE_HEADERS of the same name, or are added;
                the name is written as it is given
    remove      names to leave out
    extra       (name, value) pairs to append, duplicates included
    protocols   value of Sec-WebSocket-Protocol
    plain       no upgrade: only Host, and Connection: close
    raw         bytes to append after the headers, before the empty line
    """
    fields = [UPGRADE_HEADERS[0], ("Connection", "close")] if plain else list(UPGRADE_HEADERS)
    headers = dict(headers or {})
    if protocols is not None:
        headers["Sec-WebSocket-Protocol"] = protocols
    gone = {name.lower() for name in remove}
    lines = []
    for name, value in fields:
        for given in list(headers):
            if given.lower() == name.lower():
                name, value = given, headers.pop(given)
        lines.append((name, value))
    lines += list(headers.items()) + list(extra)
    text = f"{method} {path} {version}{eol}"
    text += "".join(f"{name}: {value}{eol}" for name, value in lines if name.lower() not in gone)
    return text.encode("latin-1") + (raw or b"") + eol.encode()


class HttpResponse:
    """An HTTP answer: version, status, reason, headers (list of pairs), body."""

    def __init__(self, head, body=b""):
        lines = head.decode("latin-1").split("\r\n")
        match = re.fullmatch(r"(HTTP/\d\.\d) (\d{3}) (.*)", lines[0])
        assert match, f"status line {lines[0]!r}"
        self.version, self.status, self.reason = match[1], int(match[2]), match[3]
        self.headers = []
        for line in lines[1:]:
            match = re.fullmatch(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*", line)
            assert match, f"header line {line!r}"
            self.headers.append((match[1], match[2]))
        self.body = body

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name):
        values = self.all(name)
        assert len(values) <= 1, f"{name} occurs {len(values)} times"
        return values[0] if values else None

    def tokens(self, name):
        """The elements of a list header, in lower case."""
        return [part.strip().lower() for value in self.all(name) for part in value.split(",")]

    def __repr__(self):
        return f"<HTTP {self.status} {self.headers} {self.body[:200]!r}>"
