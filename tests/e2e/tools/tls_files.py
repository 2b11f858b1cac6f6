# SPDX-License-Identifier: BSD-2-Clause
"""Authorities and certificates for the tests, made with openssl(1) in a folder of the caller.

    ca = Authority(tmp_path)
    pair = ca.issue("localhost")                 # pair.cert and pair.key are PEM files
    old = ca.issue("localhost", expired=True)
    alone = self_signed(tmp_path, "localhost")
"""
import atexit
import base64
import collections
import functools
import hashlib
import itertools
import shutil
import ssl
import subprocess
import tempfile
import time
import weakref
from pathlib import Path

from tools.cache import digest_of, kept

Pair = collections.namedtuple("Pair", "cert key")
DAY = 86400
KEYS = {
    "ec": ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
    "rsa": ("-newkey", "rsa:2048"),
}
CONFIG = """
[ca]
default_ca = here
[here]
database = {folder}/index
serial = {folder}/serial
new_certs_dir = {folder}
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
organizationName = optional
"""
EXTENSIONS = """
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = {purpose}
subjectAltName = {names}
"""


def openssl(*arguments):
    """Runs openssl and returns its standard output."""
    result = subprocess.run(
        ["openssl", *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False)
    assert result.returncode == 0, f"openssl {arguments}: {result.stderr}"
    return result.stdout


def alternative(name):
    """A name as subjectAltName has it; "DNS:..." for what looks like an address."""
    if name.startswith("DNS:"):
        return name
    literal = ":" in name or name.replace(".", "").isdigit()
    return f"IP:{name}" if literal else f"DNS:{name}"


def stamp(seconds):
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(seconds))


def self_signed(folder, name, key="ec"):
    """A self-signed certificate."""
    folder = Path(tempfile.mkdtemp(prefix="self-", dir=folder))
    pair = Pair(folder / "cert.pem", folder / "key.pem")
    openssl("req", "-x509", *KEYS[key], "-nodes", "-keyout", pair.key, "-out", pair.cert, "-days", "9",
            "-subj", f"/CN={name}", "-addext", f"subjectAltName={alternative(name)}")
    return pair


def write_config(folder, serial):
    """What `openssl ca` needs there."""
    (folder / "index").touch()
    (folder / "serial").write_text(f"{serial}\n")
    (folder / "config").write_text(CONFIG.format(folder=folder))


class Authority:
    """Signs certificates. `cert` is what those who trust it need.

    Authorities that exist at the same time are different ones. One that is gone, of the same name, may have had the
    same key: what has been made with the same parameters is copied.
    """

    existing = weakref.WeakSet()

    def __init__(self, folder, name="Test Authority"):
        self.folder = Path(tempfile.mkdtemp(prefix="ca-", dir=folder))
        self.cert, self.key = self.folder / "ca.pem", self.folder / "ca.key"
        self.numbers = itertools.count(1)
        self.issued = collections.Counter()
        used = {one.identity for one in Authority.existing}
        self.identity = next((name, number) for number in itertools.count() if (name, number) not in used)
        Authority.existing.add(self)
        made = kept("authority", digest_of(self.identity), functools.partial(self.make, name))
        for path in (self.cert, self.key):
            shutil.copy(made / path.name, path)
        write_config(self.folder, "1000")

    @staticmethod
    def make(name, place):
        openssl("req", "-x509", *KEYS["ec"], "-nodes", "-keyout", place / "ca.key", "-out", place / "ca.pem",
                "-days", "30", "-subj", f"/CN={name}")

    def issue(self, name, *more, key="ec", expired=False, early=False, organization=None,
              purpose="serverAuth, clientAuth"):
        """A certificate and key for `name` (its common name) and further names, as clients and servers
        use them. The file of the certificate has the authority behind it: a chain. `early`: it is not valid
        yet. Each call gives another certificate and key."""
        subject = (f"/O={organization}" if organization else "") + f"/CN={name}"
        names = ",".join(map(alternative, (name.replace(" ", "-"), *more)))
        extensions = EXTENSIONS.format(names=names, purpose=purpose)
        parameters = (subject, extensions, key, expired, early)
        digest = digest_of(self.identity, parameters, self.issued[parameters])
        self.issued[parameters] += 1
        made = kept("certificate", digest, functools.partial(self.sign, digest[:16], *parameters))
        stem = self.folder / f"{next(self.numbers)}"
        pair = Pair(stem.with_suffix(".pem"), stem.with_suffix(".key"))
        shutil.copy(made / "key.pem", pair.key)
        pair.cert.write_text((made / "cert.pem").read_text() + self.cert.read_text())
        return pair

    def sign(self, serial, subject, extensions, key, expired, early, place):
        (place / "extensions").write_text(extensions)
        write_config(place, serial)
        openssl("req", "-new", *KEYS[key], "-nodes", "-keyout", place / "key.pem", "-out", place / "request",
                "-subj", subject)
        now = time.time()
        first, last = (now - 9 * DAY, now - DAY) if expired else (now - DAY, now + 9 * DAY)
        first = now + DAY if early else first
        openssl("ca", "-batch", "-notext", "-preserveDN", "-config", place / "config", "-cert", self.cert,
                "-keyfile", self.key, "-in", place / "request", "-out", place / "cert.pem",
                "-extfile", place / "extensions", "-startdate", stamp(first), "-enddate", stamp(last))


def key_hash(pair):
    """What HPKP and browsers' options call the hash of a public key: base64 of SHA-256 of its DER."""
    lines = openssl("x509", "-in", pair.cert, "-noout", "-pubkey").splitlines()
    der = base64.b64decode("".join(line for line in lines if not line.startswith("-")))
    return base64.b64encode(hashlib.sha256(der).digest()).decode()


def client_context(ca=None, pair=None, version=None):
    """What Python's ssl needs to connect: verifying if there is an authority, with a certificate of its
    own if there is a pair, restricted to a version if there is one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca:
        context.load_verify_locations(ca.cert)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if pair:
        context.load_cert_chain(pair.cert, pair.key)
    if version:
        context.minimum_version = context.maximum_version = version
    return context


def server_context(pair, ca=None, version=None):
    """What Python's ssl needs to be a server: with an authority, clients have to prove who they are."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    if ca:
        context.load_verify_locations(ca.cert)
        context.verify_mode = ssl.CERT_REQUIRED
    if version:
        context.minimum_version = context.maximum_version = version
    return context


@functools.lru_cache(maxsize=None)
def shared():
    """One authority and one pair for 127.0.0.1 and localhost, for all tests of a run: (ca, pair)."""
    folder = tempfile.mkdtemp(prefix="websocksy-tls-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    ca = Authority(folder)
    return ca, ca.issue("localhost", "127.0.0.1", "::1")


def der(one):
    return ssl.PEM_cert_to_DER_cert(one.cert.read_text().split("-----END CERTIFICATE-----")[0]
                                    + "-----END CERTIFICATE-----\n")
