# SPDX-License-Identifier: BSD-2-Clause
"""Several addresses to listen on, each with a port and a mode of its own."""
import re
import ssl

import pytest

from tools import tls_files
from tools.client import RawClient
from tools.configuration import reload
from tools.daemon import Daemon, run_once
from tools.http import build_request
from tools.ports import free_port


@pytest.fixture
def pair():
    return tls_files.shared()


def options(pair):
    return f"--cert={pair[1].cert}", f"--key={pair[1].key}"


def status(port, request=None, tls=None, host="127.0.0.1"):
    """The response of a port; None: the connection ends without one."""
    try:
        with RawClient((host, port), tls=tls) as client:
            client.send_raw(request or build_request())
            return client.recv_http()
    except (AssertionError, OSError, ssl.SSLError):
        return None


def test_a_plain_port_redirects_to_the_tls_port(run, pair):
    """One process had one port, so port 80 needed a second process or a proxy."""
    plain, secure = free_port(), free_port()
    context = tls_files.client_context(pair[0])
    daemon = run(Daemon("-l", f"127.0.0.1:{plain},plain", "-l", f"127.0.0.1:{secure},tls", *options(pair),
                        "--redirect-https=yes", "-c", "host=echo://", defaults=False, tls=False))
    daemon.wait_log(f"listening on 127.0.0.1:{secure}")
    answer = status(plain, build_request("/x?y=1", headers={"Host": f"localhost:{plain}"}))
    assert answer.status == 308
    assert answer.header("Location") == f"https://localhost:{secure}/x?y=1"
    assert status(secure, tls=context).status == 101
    assert status(secure) is None  # no plain connection there
    assert status(plain, tls=context) is None


def test_a_plain_port_serves_beside_required_tls(run, pair):
    plain = free_port()
    run(Daemon("-l", f"127.0.0.1:{plain},plain", "--tls=required", *options(pair), "-c", "host=echo://",
               defaults=False, tls=False))
    assert status(plain).status == 101


@pytest.mark.parametrize("address, shown", (
    ("127.0.0.1:{}", r"127\.0\.0\.1:{}"), ("localhost:{},plain", r"\S+:{}"), ("*:{}", r"\S+:{}"),
    ("[::1]:{}", r"\[::1\]:{}"),
))
def test_the_port_of_an_address_has_precedence(run, address, shown):
    port = free_port()
    if "::1" in address and not open("/proc/net/if_inet6").read():
        pytest.skip("no IPv6")
    daemon = run(Daemon("-p", "1", "-l", address.format(port), "-c", "host=echo://", defaults=False, tls=False))
    daemon.wait_log("listening on " + shown.format(port))


def test_reload_adds_removes_and_changes(run, pair, tmp_path):
    first, second = free_port(), free_port()
    path = tmp_path / "a.conf"
    core = f"[core]\ncert = {pair[1].cert}\nkey = {pair[1].key}\n"
    path.write_text(f"{core}listen = 127.0.0.1:{first},plain\n[backend]\nhost = echo://\n")
    daemon = run(Daemon(path, defaults=False, tls=False))
    kept = RawClient(("127.0.0.1", first))
    path.write_text(f"{core}listen = 127.0.0.1:{first},tls\nlisten = 127.0.0.1:{second}\n[backend]\nhost = echo://\n")
    reload(daemon)
    context = tls_files.client_context(pair[0])
    assert status(first, tls=context).status == 101
    assert status(first) is None
    assert status(second).status == 101
    kept.send_raw(build_request())
    assert kept.recv_http().status == 101
    kept.close()
    path.write_text(f"{core}listen = 127.0.0.1:{second}\n[backend]\nhost = echo://\n")
    reload(daemon)
    assert status(first) is None
    assert status(second).status == 101


@pytest.mark.parametrize("address, error", (
    ("127.0.0.1:x", "has an invalid port"), ("127.0.0.1:65536", "has an invalid port"),
    ("::1:80:x", "a port goes behind brackets"), ("[localhost]:80", "only those may be in brackets"),
    ("a b:80", "is not an address"),
))
def test_invalid_addresses(address, error):
    result = run_once("-t", "-l", address)
    assert result.returncode == 1 and error in result.stderr


def test_tls_needs_a_certificate():
    result = run_once("-t", "-l", "*:443,tls")
    assert result.returncode == 1 and '",tls" needs a certificate' in result.stderr


def test_required_client_certificates_exclude_plain_ports(pair):
    result = run_once("-t", "-l", "*:80,plain", "--tls=required", *options(pair), "--client-verify=required",
                      f"--client-ca={pair[1].cert}")
    assert result.returncode == 1
    assert re.search("client-verify: .*plain connections get in without any certificate", result.stderr)


def test_dump_repeats_ports_and_modes():
    result = run_once("--dump-config", "-l", "*:80,plain", "-l", "[::1]:81", "-l", "[::1]", "-l", "unix:/a,mode=0600")
    listed = [line for line in result.stdout.splitlines() if line.startswith("listen")]
    assert listed == ["listen = *:80,plain", "listen = [::1]:81", "listen = ::1", "listen = unix:/a,mode=0600"]
