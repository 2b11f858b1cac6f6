# SPDX-License-Identifier: BSD-2-Clause
"""The backends token, jwt and url: clients reach the peers that files, tokens and URLs name."""
import time
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tools.daemon import BINARY, TLS, Daemon, run_once
from tools.dns import NameServer
from tools.frames import BIN, frame
from tools.http import build_request
from tools.peers import TcpPeer, UnixPeer

SECRET = b"a secret of the tests that is long enough for HS512, which wants 64 bytes"
SPECIAL = ("127.0.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "169.254.169.254", "10.0.0.1", "fd00::1")


def backend(name, *options, core=(), **kwargs):
    arguments = [part for option in options for part in ("-c", option)]
    return Daemon("-b", name, *core, *arguments, **kwargs)


def status_of(daemon, path, **fields):
    with daemon.connect() as client:
        client.send_raw(build_request(path, **fields))
        return client.recv_http().status


def expect_echo(daemon, path, service, **fields):
    with daemon.connect() as client:
        client.send_raw(build_request(path, **fields))
        client.recv_upgrade()
        client.send_raw(frame(BIN, b"ping"))
        connection = service.accept()
        assert connection.recv_exactly(4) == b"ping"
        connection.send(b"pong")
        assert client.recv_message()[1] == b"pong"


@pytest.fixture(scope="module")
def service(run_module):
    return run_module(TcpPeer())


# ---- token ----


class Tokens:
    def __init__(self, path, run, service):
        self.file = path / "tokens"
        self.names = path / "names"
        self.sockets = path / "sockets"
        self.names.mkdir()
        self.sockets.mkdir()
        self.write(f"desk: 127.0.0.1:{service.port}\n")
        (self.names / "named").write_text(f"127.0.0.1:{service.port}\n")
        (path / "secret").write_text(f"127.0.0.1:{service.port}\n")
        self.local = run(UnixPeer(self.sockets / "local"))
        self.daemon = run(backend("token", f"file={self.file}", f"names={self.names}", f"sockets={self.sockets}"))

    def write(self, text):
        self.file.write_text(text)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory, run_module, service):
    return Tokens(tmp_path_factory.mktemp("tokens"), run_module, service)


def test_tokens_of_a_file_and_of_names(tokens, service):
    expect_echo(tokens.daemon, "/websockify?token=desk", service)
    expect_echo(tokens.daemon, "/?token=named", service)
    expect_echo(tokens.daemon, "/?token=local", tokens.local)


@pytest.mark.parametrize("path", ("/", "/?token=", "/?token=other", "/desk", "/?token=..%2Fsecret", "/?token=..",
                                  "/?token=%2Fetc%2Fpasswd", "/?token=desk%00", "/?token=../secret"))
def test_unknown_tokens(tokens, path):
    assert status_of(tokens.daemon, path) == 404


def test_a_file_that_changes(tokens, service):
    tokens.write(f"new-token: 127.0.0.1:{service.port}\n")
    assert status_of(tokens.daemon, "/?token=desk") == 404
    expect_echo(tokens.daemon, "/?token=new-token", service)
    tokens.file.unlink()
    assert status_of(tokens.daemon, "/?token=new-token") == 503
    tokens.daemon.wait_log("tokens: No such file or directory; the client is refused")
    tokens.write(f"broken\ndesk: 127.0.0.1:{service.port}\n")
    expect_echo(tokens.daemon, "/?token=desk", service)
    tokens.daemon.wait_log("tokens:1: must be TOKEN: HOST:PORT")


def test_errors_in_the_configuration_of_tokens(tmp_path):
    ended = run_once("-t", "-b", "token")
    assert ended.returncode and "file: one of the options file, directory, names and sockets" in ended.stderr
    ended = run_once("-t", "-b", "token", "-c", f"file={tmp_path / 'missing'}")
    assert ended.returncode and "No such file or directory" in ended.stderr
    ended = run_once("-t", "-b", "token", "-c", "ttl=soon")
    assert ended.returncode and "must be a time" in ended.stderr


@pytest.mark.skipif(TLS, reason="websockify's command line has its own options for TLS")
def test_a_token_file_of_websockify(tokens, run, service):
    daemon = run(Daemon("--token-plugin", "TokenFile", "--token-source", tokens.file, "0", defaults=False, tls=False,
                        program=Path(BINARY).parent / "compat/websockify"))
    expect_echo(daemon, "/websockify?token=desk", service)
    assert status_of(daemon, "/websockify?token=other") == 404


# ---- jwt ----


KEYS = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def pem_of(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


class Signed:
    def __init__(self, path, run, service):
        self.claims = {"host": "127.0.0.1", "port": service.port}
        self.secret = path / "secret"
        self.secret.write_bytes(SECRET + b"\n")
        self.secret.chmod(0o600)
        self.daemon = run(backend("jwt", f"key={self.secret}", "alg=HS256", "alg=HS512", "audience=console"))

    def path(self, algorithm="HS256", key=SECRET, **claims):
        token = jwt.encode({**self.claims, "aud": "console", **claims}, key, algorithm=algorithm)
        return f"/?token={token}"


@pytest.fixture(scope="module")
def signed(tmp_path_factory, run_module, service):
    return Signed(tmp_path_factory.mktemp("jwt"), run_module, service)


def test_signed_tokens(signed, service):
    expect_echo(signed.daemon, signed.path(), service)
    expect_echo(signed.daemon, signed.path("HS512", exp=time.time() + 3600), service)
    expect_echo(signed.daemon, signed.path(port=str(service.port)), service)
    expect_echo(signed.daemon, signed.path(peer=service.url, host=None), service)


def test_invalid_tokens(signed):
    unsigned = jwt.encode({**signed.claims, "aud": "console"}, None, algorithm="none")
    for path in ("/", "/?token=x", f"/?token={unsigned}", signed.path("HS384"), signed.path(key=b"another"),
                 signed.path(exp=time.time() - 1), signed.path(nbf=time.time() + 3600), signed.path(aud="x"),
                 signed.path(host="a?b"), signed.path(port=0), signed.path()[:-1],
                 signed.path("ES256", KEYS["ES256"])):
        assert status_of(signed.daemon, path) == 403, path
    assert status_of(signed.daemon, "/?token=a.b.c.d.e") == 403
    signed.daemon.wait_log(r"Encrypted tokens \(JWE\) are not supported")
    assert status_of(signed.daemon, signed.path(peer="unix:///x")) == 502
    assert "eyJ" not in signed.daemon.log()


def test_a_connection_ends_with_its_token(signed, service):
    """Closed with 1008 at `exp`; the token is refused from then on."""
    expires = int(time.time()) + 3
    path = signed.path(exp=expires)
    with signed.daemon.open(path) as client:
        service.accept()
        client.expect_close(1008)
        assert time.time() >= expires
    assert status_of(signed.daemon, path) == 403


@pytest.mark.parametrize("algorithm", KEYS)
def test_public_keys(tmp_path, run, signed, service, algorithm):
    key = tmp_path / "key.pem"
    key.write_bytes(pem_of(KEYS[algorithm]))
    daemon = run(backend("jwt", f"key={key}", f"alg={algorithm}"))
    expect_echo(daemon, signed.path(algorithm, KEYS[algorithm]), service)
    assert status_of(daemon, signed.path()) == 403


def test_the_session_key_is_a_claim(tmp_path, run, signed, service):
    """With one connection for each key, a new one ends that which has the same claim."""
    daemon = run(backend("jwt", f"key={signed.secret}", "alg=HS256", "audience=console", "session=sub",
                         core=("--max-per-key=1", "--max-per-key-action=evict")))
    first = daemon.open(signed.path(sub="alice"))
    other = daemon.open(signed.path(sub="bob"))
    second = daemon.open(signed.path(sub="alice", jti="2"))
    first.expect_close(1008)
    for client in (second, other):
        client.close_handshake()
    assert status_of(daemon, signed.path()) == 403
    for _ in range(3):
        service.accept()


def test_a_public_key_is_no_secret(tmp_path):
    key = tmp_path / "key.pem"
    key.write_bytes(pem_of(KEYS["RS256"]))
    ended = run_once("-t", "-b", "jwt", "-c", f"key={key}", "-c", "alg=RS256", "-c", "alg=HS256")
    assert ended.returncode and "alg: HS256 needs a secret" in ended.stderr
    ended = run_once("-t", "-b", "jwt", "-c", f"key={key}", "-c", "alg=none")
    assert ended.returncode and "must be one of HS256" in ended.stderr


# ---- url ----


class Targets:
    def __init__(self, run, service):
        port = service.port
        self.dns = run(NameServer({
            "good.test": {"A": ["127.0.0.1"]},
            **{f"n{i}.special.test": {"AAAA" if ":" in text else "A": [text]} for i, text in enumerate(SPECIAL)},
        }))
        self.daemon = run(backend("url", f"allow=127.0.0.0/8:{port}", "allow=*.special.test:5432",
                                  core=(f"--resolver={self.dns.address}",)))


@pytest.fixture(scope="module")
def targets(run_module, service):
    return Targets(run_module, service)


@pytest.mark.parametrize("path", ("/v1?address=127.0.0.1:{}", "/?host=127.0.0.1&port={}", "/127.0.0.1:{}",
                                  "/wsproxy/127.0.0.1:{}", "/v2?address=%5B::ffff:127.0.0.1%5D:{}",
                                  "/v1?address=good.test:{}"))
def test_targets(targets, service, path):
    expect_echo(targets.daemon, path.format(service.port), service)


def test_a_name_is_looked_up_once(targets, service):
    before = targets.dns.count("good.test", "A")
    expect_echo(targets.daemon, f"/v1?address=good.test:{service.port}", service)
    assert targets.dns.count("good.test", "A") <= before + 1


def test_special_addresses_behind_names(targets):
    for i in range(len(SPECIAL)):
        assert status_of(targets.daemon, f"/v1?address=n{i}.special.test:5432") == 403
    assert targets.dns.count() > 0


def test_targets_that_are_not_allowed(targets, service):
    before = len(targets.dns.queries)
    for path, status in (("/v1?address=127.0.0.1:1", 403), ("/v1?address=good.test:1", 403), ("/[::1]:5432", 403),
                         ("/v1?address=169.254.169.254:80", 403), (f"/v1?address=2130706433:{service.port}", 400),
                         (f"/v1?address=127.1:{service.port}", 400), ("/", 400), ("/v1?address=a", 400),
                         (f"/v1?address=0x7f000001:{service.port}", 400)):
        assert status_of(targets.daemon, path) == status, path
    assert len(targets.dns.queries) == before
    assert status_of(targets.daemon, f"/v1?address=unknown.test:{service.port}") == 502


def test_errors_in_rules():
    ended = run_once("-t", "-b", "url")
    assert ended.returncode and "allow: is required" in ended.stderr
    ended = run_once("-t", "-b", "url", "-c", "allow=10.0.0.1/8")
    assert ended.returncode and "must be HOST, *.SUFFIX, an address or a range" in ended.stderr
