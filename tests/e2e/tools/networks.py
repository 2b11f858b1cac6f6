# SPDX-License-Identifier: BSD-2-Clause
"""Networks of a test's own.

    here, there = run(Network()), run(Network())
    here.connect(there, "192.0.2.1", "192.0.2.2")
    daemon = run(Daemon(..., preexec_fn=here.enter))
    client = here.call(daemon.open)

Sockets that call() makes are in the network, whoever uses them afterwards. Only root may make one; a test
is skipped for others.
"""
import concurrent.futures
import ctypes
import os
import subprocess
import threading

import pytest

CLONE_NEWNET = 0x40000000

libc = ctypes.CDLL(None, use_errno=True)


class Network:
    """One with a loopback interface. A thread lives in it."""

    def __enter__(self):
        if os.geteuid() != 0:
            pytest.skip("only root makes networks")
        self.thread = concurrent.futures.ThreadPoolExecutor(1)
        if self.call(libc.unshare, CLONE_NEWNET) != 0:
            pytest.skip("the kernel makes no network")
        path = f"/proc/self/task/{self.call(threading.get_native_id)}/ns/net"
        self.handle = os.open(path, os.O_RDONLY)
        self.ip("link", "set", "lo", "up")
        return self

    def __exit__(self, *_):
        self.thread.shutdown()
        os.close(self.handle)

    def call(self, function, *args, **kwargs):
        return self.thread.submit(function, *args, **kwargs).result()

    def enter(self):
        """For preexec_fn."""
        if libc.setns(self.handle, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")

    def ip(self, *args):
        self.call(subprocess.run, ["ip", *args], check=True)

    def connect(self, other, address, other_address):
        """A cable to another network, called "cable" in both."""
        inside = f"/proc/{os.getpid()}/fd/{other.handle}"
        self.ip("link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", inside)
        for network, own in ((self, address), (other, other_address)):
            network.ip("address", "add", f"{own}/24", "dev", "cable")
            network.ip("link", "set", "cable", "up")
