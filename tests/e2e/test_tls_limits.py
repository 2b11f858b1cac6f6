# SPDX-License-Identifier: BSD-2-Clause
"""Limits of TLS: algorithms that are refused, certificates of clients that are too large, expired or revoked."""
import re
import signal
import ssl
import subprocess

import pytest

from tools import tls_files
from tools.client import chat, status_of
from tools.daemon import Daemon, failed_start, run_once
from tools.http import build_request
from tools.peers import TlsPeer
from tools.tls import open_tls
from tools.waiting import TIMEOUT

REFUSED = r"info: #\d+ \S+: TLS handshake failed: "


def s_client(daemon, *arguments):
    """The output of openssl s_client, which connects and ends."""
    result = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{daemon.port}", *map(str, arguments)],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    return result.stdout + result.stderr


# --- algorithms ---------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [
    ("-tls1_3", "-groups", "ffdhe2048"),
    ("-tls1_3", "-groups", "ffdhe8192"),
    ("-tls1_2", "-cipher", "DHE-RSA-AES256-GCM-SHA384"),
    ("-tls1_2", "-cipher", "AES256-GCM-SHA384"),
    ("-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA"),
], ids=["FFDHE 2048", "FFDHE 8192", "DHE", "RSA key transport", "CBC"])
def test_expensive_and_weak_key_exchanges_are_refused(serve, authority, arguments):
    """Small hellos made the daemon compute a finite-field key exchange of 8192 bits, which took a fifth of a
    second each; and clients could choose algorithms without forward secrecy."""
    daemon = serve(pairs=[authority.issue("localhost", key="rsa")])
    assert "Cipher is (NONE)" in s_client(daemon, *arguments)
    daemon.wait_log(REFUSED)


@pytest.mark.parametrize("key", ["ec", "rsa"])
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_usual_clients_are_served(serve, authority, key, version):
    """The default algorithms suffice for clients with either kind of certificate and either version."""
    daemon = serve(pairs=[authority.issue("localhost", key=key)])
    assert re.search(r"Cipher is (ECDHE-|TLS_)", s_client(daemon, version))


def test_order_of_the_server_counts(serve, authority):
    """The client's order of preference selected the algorithm."""
    daemon = serve(pairs=[authority.issue("localhost", key="rsa")])
    for order in ("ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384",
                  "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256"):
        assert "Cipher is ECDHE-RSA-AES256-GCM-SHA384" in s_client(daemon, "-tls1_2", "-cipher", order)


# --- client certificates ------------------------------------------------------------------------


@pytest.fixture
def people(tmp_path):
    return tls_files.Authority(tmp_path, "People")


def revoke(authority, *pairs):
    """Revokes certificates: the file of the authority's new list."""
    base = ("ca", "-config", authority.folder / "config", "-cert", authority.cert, "-keyfile", authority.key)
    for one in pairs:
        tls_files.openssl(*base, "-revoke", one.cert)
    path = authority.folder / "crl.pem"
    tls_files.openssl(*base, "-gencrl", "-crldays", "30", "-out", path)
    return path


@pytest.mark.parametrize("version, options", [
    ("-tls1_2", ("rsa_keygen_bits:2048", "rsa_keygen_pubexp:0x200000001")),
    ("-tls1_3", ("rsa_keygen_bits:2048", "rsa_keygen_pubexp:0x200000001")),
    ("-tls1_3", ("rsa_keygen_bits:4104",))], ids=["exponent, TLS 1.2", "exponent, TLS 1.3", "modulus"])
def test_key_of_a_client_is_limited_before_it_is_used(serve, people, tmp_path, options, version):
    """The signature of a client was verified with its key, however expensive, before the key was looked at:
    the reason is the key and not that the issuer is unknown."""
    daemon = serve(f"--client-ca={people.cert}", "--client-verify=optional")
    key, cert = tmp_path / "big.key", tmp_path / "big.pem"
    keygen = [part for option in options for part in ("-pkeyopt", option)]
    tls_files.openssl("genpkey", "-algorithm", "RSA", *keygen, "-out", key)
    tls_files.openssl("req", "-x509", "-key", key, "-out", cert, "-subj", "/CN=big", "-days", "9")
    s_client(daemon, "-cert", cert, "-key", key, version)
    daemon.wait_log(REFUSED + "the certificate is not trusted: a key is larger than 4096 bits, or its exponent")


def test_revoked_client_certificate(serve, authority, people):
    """A client certificate could not be revoked."""
    good, bad = people.issue("good"), people.issue("bad")
    daemon = serve(f"--client-ca={people.cert}", "--client-verify=required", "--tls=required",
                   f"--client-crl={revoke(people, bad)}")
    chat(open_tls(daemon, tls_files.client_context(authority, pair=good)))
    with pytest.raises((ssl.SSLError, ConnectionResetError, BrokenPipeError)):
        client = open_tls(daemon, tls_files.client_context(authority, pair=bad))
        client.sock.recv(1)
    daemon.wait_log(REFUSED + "the certificate is not trusted: it has been revoked")


@pytest.mark.parametrize("how", ["signal", "watch"])
def test_reload_ends_connections_of_revoked_certificates(serve, authority, people, how):
    """An open connection outlived the certificate that it was accepted for."""
    good, bad = people.issue("good"), people.issue("bad")
    daemon = serve(f"--client-ca={people.cert}", "--client-verify=required", "--tls=required",
                   f"--client-crl={revoke(people)}")
    clients = [open_tls(daemon, tls_files.client_context(authority, pair=one)) for one in (good, bad)]
    for client in clients:
        client.upgrade()
        client.round_trip()
    revoke(people, bad)
    if how == "signal":
        daemon.signal(signal.SIGHUP)
    clients[1].expect_close(1008)
    clients[0].round_trip()
    daemon.wait_log("the client's certificate is not valid any more: it has been revoked")
    daemon.wait_log("have been read again|has been read again")
    clients[0].close_handshake()


def test_errors_of_client_crl(pair, people, tmp_path):
    """A list that cannot be read, is none, or has no effect is an error with its option."""
    files = (f"--cert={pair.cert}", f"--key={pair.key}", f"--client-ca={people.cert}")
    verify = "--client-verify=optional"
    for arguments, text in (
            ((verify, f"--client-crl={tmp_path}/none"), f"cannot read {tmp_path}/none: No such file or directory"),
            ((verify, f"--client-crl={pair.cert}"), f"cannot read revoked certificates from {pair.cert}: "),
            ((f"--client-crl={people.cert}",), "has no effect without client-verify")):
        result = run_once(*files, *arguments, "-t")
        assert result.returncode == 1
        assert re.search("error: command line: --client-crl: " + re.escape(text), result.stderr), result.stderr


# --- names in client certificates ---------------------------------------------------------------


def curl(daemon, authority, pair, path="/", *more):
    """The status of a request of curl's, with a client certificate."""
    result = subprocess.run(
        ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", str(TIMEOUT), "--http1.1",
         "--resolve", f"localhost:{daemon.port}:127.0.0.1", "--cacert", authority.cert, "--cert", pair.cert,
         "--key", pair.key, *more, f"https://localhost:{daemon.port}{path}"],
        capture_output=True, text=True, timeout=2 * TIMEOUT, check=False)
    return int(result.stdout)


UPGRADE = ("-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Version: 13", "-H",
           "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==")


def test_common_names_of_clients(run, authority, pair, people, tmp_path):
    """Only clients with the names of client-name get in; a reload ends the connections of others."""
    jane, john = people.issue("Jane Doe"), people.issue("john")
    (tmp_path / "page").write_text("a page")
    config = tmp_path / "websocksy.conf"

    def configure(*lines):
        config.write_text("\n".join((
            "[core]", "port = 0", "listen = 127.0.0.1", "tls = required", "client-verify = required",
            f"cert = {pair.cert}", f"key = {pair.key}", f"client-ca = {people.cert}", f"web = {tmp_path}", *lines,
            "[backend]", "host = echo://", "protocol = *", "")))

    configure("client-name = Jane Doe", "client-name = john")
    daemon = run(Daemon(config, defaults=False, tls=False))
    first, second = (open_tls(daemon, tls_files.client_context(authority, pair=one)) for one in (jane, john))
    for client in (first, second):
        client.upgrade()
        client.round_trip()
    configure("client-name = Jane Doe")
    daemon.signal(signal.SIGHUP)
    second.expect_close(1008)
    daemon.wait_log("not valid any more: its name is not among client-name")
    first.round_trip()
    assert curl(daemon, authority, john, "/", *UPGRADE) == 403
    assert (curl(daemon, authority, jane, "/page"), curl(daemon, authority, john, "/page")) == (200, 403)
    configure("client-name = Jane Doe", "web-auth = no")
    daemon.signal(signal.SIGHUP)
    daemon.wait_log("read again", count=2)
    assert curl(daemon, authority, john, "/page") == 200
    assert curl(daemon, authority, john, "/", *UPGRADE) == 403
    first.close_handshake()


def test_ambiguous_common_names_are_refused(serve, authority, people, tmp_path):
    """Two names, or none: programs differ in the one that counts."""
    daemon = serve(f"--client-ca={people.cert}", "--client-verify=optional", "--client-name=jane",
                   "--client-name=Jane")
    for subject, status in (("/CN=jane", 101), ("/CN=jane/CN=john", 403), ("/CN=john/CN=jane", 403), ("/O=jane", 403),
                            ("/CN=janet", 403), ("/CN=jan", 403), ("/CN=Jane", 101)):
        one = tls_files.Pair(tmp_path / "one.pem", tmp_path / "one.key")
        tls_files.openssl("req", "-x509", "-CA", people.cert, "-CAkey", people.key, *tls_files.KEYS["ec"], "-nodes",
                          "-keyout", one.key, "-out", one.cert, "-days", "9", "-subj", subject)
        client = open_tls(daemon, tls_files.client_context(authority, pair=one))
        client.send_raw(build_request("/"))
        assert client.recv_http().status == status, subject
    client = open_tls(daemon, tls_files.client_context(authority))
    client.send_raw(build_request("/"))
    assert client.recv_http().status == 403


# --- encrypted keys -----------------------------------------------------------------------------


def encrypt(key, path, passphrase, *form):
    """A key that needs a passphrase, in the form of PKCS #8, or in the older one of OpenSSL."""
    tls_files.openssl(*(form or ("pkey",)), "-in", key, "-aes256", "-passout", f"pass:{passphrase}", "-out", path)
    path.chmod(0o600)
    return path


def test_encrypted_keys(serve, authority, tmp_path):
    """The lines of the file are tried in turn; one that is not encrypted needs none."""
    one, two = authority.issue("one.example"), authority.issue("two.example", key="rsa")
    plain = authority.issue("localhost")
    passphrases = tmp_path / "passphrases"
    passphrases.touch(0o600)
    passphrases.write_bytes("wrong\nfirst one\r\n\nzweite \u00fc".encode())
    pairs = [plain, tls_files.Pair(one.cert, encrypt(one.key, tmp_path / "one.key", "first one")),
             tls_files.Pair(two.cert, encrypt(two.key, tmp_path / "two.key", "zweite \u00fc", "rsa", "-traditional"))]
    daemon = serve(f"--key-password-file={passphrases}", pairs=pairs)
    for name in ("localhost", "one.example", "two.example"):
        output = s_client(daemon, "-servername", name, "-verify_hostname", name, "-CAfile", authority.cert)
        assert "Verify return code: 0 (ok)" in output, output
    passphrases.write_text("wrong\n")
    daemon.wait_log("error: key: the key in .*one.key is encrypted, and no line of .*passphrases is its passphrase; the "
                    "old certificates stay in use")
    assert "key-password-file" not in daemon.log()  # its mode


def test_errors_of_key_password_file(authority, pair, tmp_path):
    locked = encrypt(pair.key, tmp_path / "locked.key", "secret")
    passphrases = tmp_path / "passphrases"
    passphrases.write_text("wrong\n\n")
    passphrases.chmod(0o600)
    files = (f"--cert={pair.cert}", f"--key={locked}")
    for arguments, option, text in (
            (files, "key", f"the key in {locked} is encrypted with a passphrase: name a file with it "
             "(key-password-file)"),
            ((*files, f"--key-password-file={passphrases}"), "key",
             f"the key in {locked} is encrypted, and no line of {passphrases} is its passphrase"),
            ((*files, f"--key-password-file={tmp_path}/none"), "key-password-file",
             f"cannot read {tmp_path}/none: No such file or directory"),
            ((f"--key-password-file={passphrases}",), "key-password-file",
             "has no effect without a certificate (cert)")):
        assert failed_start(*arguments) == [f"command line: --{option}: {text}"]
    passphrases.chmod(0o644)
    passphrases.write_text("secret")
    result = run_once(*files, f"--key-password-file={passphrases}", "-t")
    assert result.returncode == 0
    assert re.search("warning: command line: --key-password-file: .*all users may read this file", result.stderr)


# --- peers --------------------------------------------------------------------------------------


def test_common_name_of_a_peer_does_not_count(run, tmp_path):
    """The common name of a peer's certificate without subjectAltName was accepted as its name."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    tls_files.openssl("req", "-x509", *tls_files.KEYS["ec"], "-nodes", "-keyout", key, "-out", cert,
                      "-days", "9", "-subj", "/CN=localhost")
    with TlsPeer(tls_files.server_context(tls_files.Pair(cert, key))) as peer:
        daemon = run(Daemon("-c", "protocol=*", peer=f"tls://localhost:{peer.port}?ca={cert}", tls=False))
        assert status_of(daemon)[0] == 502
        daemon.wait_log("it is for another name")


# --- messages -----------------------------------------------------------------------------------


def test_tls_on_a_port_without_tls(run):
    """TLS on a port for plain HTTP was logged as a control character in the request head."""
    daemon = run(Daemon("-c", "protocol=*", peer="echo://", tls=False))
    s_client(daemon)
    daemon.wait_log("answered 400: TLS handshake on a port without TLS")


def test_certificate_without_its_key(pair):
    """The message for a certificate without a key did not name the key."""
    lines = failed_start(f"--cert={pair.cert}")
    assert lines == [f"command line: --cert: there is no private key in {pair.cert}: name its file with key"]


def test_redirect_without_a_certificate_is_reported():
    """redirect-https without a certificate had no effect, and nothing said so."""
    result = run_once("--redirect-https=yes", "-t")
    assert result.returncode == 0
    assert "warning: command line: --redirect-https: has no effect without TLS (cert, tls) or a trusted-proxy" in result.stderr
