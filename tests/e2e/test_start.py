# SPDX-License-Identifier: BSD-2-Clause
"""What starting costs: processor time until the first connection is served, and memory, with a certificate and
without.

What the libraries need is not ours to choose, and how fast the machine is neither. So both are compared with a
program that does nothing but load the same libraries and the same certificate, as often as the daemon and in
turns with it: other work on the machine makes either dearer, and the cheapest of many counts. How long a start takes by
the clock is in bench/latency.py.
"""
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from tools import tls_files
from tools.daemon import BINARY, SANITIZED, Daemon, environment
from tools.waiting import TIMEOUT, observed

pytestmark = [
    pytest.mark.measures,
    pytest.mark.skipif(SANITIZED, reason="a sanitizer starts slowly and keeps much memory")]

PROCESSOR_RATIO = 2.5  # to the bare program; measured: 1.2, and 1.5 with a certificate
STARTS = 20
OWN_KB = 1024  # memory that no file is behind
BEYOND_LIBRARIES_KB = 1536  # all that is resident, beyond the bare program
BARE = """
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv) {
	char line[256];
	gnutls_certificate_credentials_t credentials;
	gnutls_priority_t priority;
	FILE *status;
	if(gnutls_certificate_allocate_credentials(&credentials) < 0 ||
		gnutls_priority_init(&priority, NULL, NULL) < 0 ||
		(argc == 3 && gnutls_certificate_set_x509_key_file(
			credentials, argv[1], argv[2], GNUTLS_X509_FMT_PEM) < 0) ||
		!(status = fopen("/proc/self/status", "r"))) {
		return 1;
	}
	while(fgets(line, sizeof(line), status)) {
		fputs(line, stdout);
	}
	fflush(stdout);
	pause();
	return 0;
}
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """The path of the bare program."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if not compiler:
        pytest.skip("no compiler is installed")
    path = tmp_path_factory.mktemp("bare") / "bare"
    # With the libraries of the daemon, used or not, and linked as it is.
    subprocess.run([compiler, "-x", "c", "-", "-o", path, "-Wl,-z,relro,-z,now", "-Wl,--no-as-needed",
                    "-lgnutls", "-lnettle", "-lcares", "-lcrypt"], input=BARE, text=True, check=True)
    return path


def processor_ns(process):
    return int(Path(f"/proc/{process.pid}/schedstat").read_text().split()[0])


def start_of_bare(bare, *files):
    """The program's processor time in nanoseconds, and what it has printed."""
    with subprocess.Popen([bare, *files], stdout=subprocess.PIPE, text=True, env=environment()) as process:
        try:
            text = ""
            while "nonvoluntary_ctxt_switches" not in text:  # the last line
                text += process.stdout.readline()
            return processor_ns(process), text
        finally:
            process.kill()


def start_of_daemon(*arguments):
    """The daemon's processor time, in nanoseconds, until its first answer has come."""
    command = [BINARY, "-l", "127.0.0.1", "-p", "0", "-c", "host=echo://", *map(str, arguments)]
    with observed("first answer after a start"), subprocess.Popen(
            command, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        try:
            port = int(re.search(r"listening on \S*:(\d+)", process.stderr.readline())[1])
            with socket.create_connection(("127.0.0.1", port), TIMEOUT) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert client.recv(1) == b"H"
                return processor_ns(process)
        finally:
            process.kill()


@pytest.mark.latency
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_start_is_quick(bare, tls):
    _, pair = tls_files.shared()
    files = (pair.cert, pair.key) if tls else ()
    options = (f"--cert={pair.cert}", f"--key={pair.key}") if tls else ()
    turns = [(start_of_bare(bare, *files)[0], start_of_daemon(*options)) for _ in range(STARTS)]
    reference, own = map(min, zip(*turns))
    assert own <= PROCESSOR_RATIO * reference, f"{own / reference:.2f}"


def resident(status):
    """Kilobytes from the text of /proc/PID/status: all, and what no file is behind."""
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return [int(fields[name].split()[0]) for name in ("VmRSS", "RssAnon")]


def test_memory_at_start_is_that_of_the_libraries(run, bare):
    _, pair = tls_files.shared()
    least, _ = resident(start_of_bare(bare, pair.cert, pair.key)[1])
    daemon = run(Daemon(peer="echo://", tls=True))
    total, own = resident(Path(f"/proc/{daemon.process.pid}/status").read_text())
    assert own <= OWN_KB
    assert total <= least + BEYOND_LIBRARIES_KB
