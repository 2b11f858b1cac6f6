# SPDX-License-Identifier: BSD-2-Clause
"""What starting costs: time until the first connection is served, and memory, with a certificate and without.

Other work on the machine can only make a start slower, so the best of many counts, and they end as soon as one
is good enough. Processor time has a tight limit; time by the clock, which a busy machine stretches tenfold, has one
that shows whether anything is waited for. What the libraries need is not ours to choose: memory is compared with that of a program that
does nothing but load the same certificate.
"""
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

import tls_files
from harness import BINARY, SANITIZED, TIMEOUT, Daemon, environment, free_port

pytestmark = pytest.mark.skipif(SANITIZED, reason="a sanitizer starts slowly and keeps much memory")

PROCESSOR_SECONDS = 0.01  # measured: 0.0024
CLOCK_SECONDS = 0.1  # measured: 0.005 with a certificate, 0.003 without; the aim is 0.01
STARTS = 60
OWN_KB = 1024  # memory that no file is behind
BEYOND_LIBRARIES_KB = 1536  # all that is resident, beyond the bare program
BARE = """
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>
int main(int argc, char **argv) {
	char line[256];
	gnutls_certificate_credentials_t credentials;
	gnutls_priority_t priority;
	FILE *status;
	if(argc != 3 || gnutls_certificate_allocate_credentials(&credentials) < 0 ||
		gnutls_priority_init(&priority, NULL, NULL) < 0 ||
		gnutls_certificate_set_x509_key_file(
			credentials, argv[1], argv[2], GNUTLS_X509_FMT_PEM) < 0 ||
		!(status = fopen("/proc/self/status", "r"))) {
		return 1;
	}
	while(fgets(line, sizeof(line), status)) {
		fputs(line, stdout);
	}
	return 0;
}
"""


def seconds_to_answer(*arguments):
    """From the creation of the process to the first byte of its answer: by the clock, and on a processor."""
    port = free_port()
    command = [BINARY, "-q", "-l", "127.0.0.1", "-p", port, "-c", "host=echo://", *arguments]
    begin = time.perf_counter()
    with subprocess.Popen(list(map(str, command)), env=environment(), close_fds=False,
                          stderr=subprocess.DEVNULL) as process:
        try:
            client = connect(process, port, begin + TIMEOUT)
            with client:
                client.settimeout(TIMEOUT)
                client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert client.recv(1) == b"H"
                taken = time.perf_counter() - begin
                on_processor = Path(f"/proc/{process.pid}/schedstat").read_text().split()[0]
                return taken, int(on_processor) / 1e9
        finally:
            process.kill()


def connect(process, port, limit):
    """Without pauses, which would be counted."""
    while time.perf_counter() < limit:
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            assert process.poll() is None
    raise AssertionError("nobody listens")


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_start_is_quick(tls):
    _, pair = tls_files.shared()
    files = (f"--cert={pair.cert}", f"--key={pair.key}") if tls else ()
    clock, processor = seconds_to_answer(*files)
    for _ in range(STARTS):
        if clock <= CLOCK_SECONDS and processor <= PROCESSOR_SECONDS:
            break
        clock, processor = map(min, zip((clock, processor), seconds_to_answer(*files)))
    assert clock <= CLOCK_SECONDS
    assert processor <= PROCESSOR_SECONDS


def resident(status):
    """Kilobytes from the text of /proc/PID/status: all, and what no file is behind."""
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return [int(fields[name].split()[0]) for name in ("VmRSS", "RssAnon")]


def test_memory_at_start_is_that_of_the_libraries(run, tmp_path):
    compiler = shutil.which("gcc") or shutil.which("cc")
    if not compiler:
        pytest.skip("no compiler is installed")
    _, pair = tls_files.shared()
    bare = tmp_path / "bare"
    subprocess.run([compiler, "-x", "c", "-", "-o", bare, "-lgnutls"], input=BARE, text=True, check=True)
    report = subprocess.run([bare, pair.cert, pair.key], capture_output=True, text=True, check=True)
    least, _ = resident(report.stdout)
    daemon = run(Daemon(peer="echo://", tls=True))
    total, own = resident(Path(f"/proc/{daemon.process.pid}/status").read_text())
    assert own <= OWN_KB
    assert total <= least + BEYOND_LIBRARIES_KB
