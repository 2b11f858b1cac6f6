# SPDX-License-Identifier: BSD-2-Clause
"""Files of the system, such as /etc/hosts, that a daemon sees with other content than the machine has.

    mounts = system_files(tmp_path, {"/etc/hosts": "127.0.0.1 peer.test\\n"})
    daemon = run(Daemon(..., preexec_fn=mounts.enter))
    mounts.write("/etc/hosts", "...")

Needs a mount namespace; a test is skipped where the kernel allows none.
"""
import ctypes
import os
import subprocess

import pytest

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18

libc = ctypes.CDLL(None, use_errno=True)


def check(result):
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


class SystemFiles:
    def __init__(self, folder, files):
        self.paths = {target: folder / target.strip("/").replace("/", "-") for target in files}
        for target, text in files.items():
            self.write(target, text)

    def write(self, target, text):
        """Rewrites the file in place: what is mounted is the file, not its name."""
        self.paths[target].write_text(text)

    def enter(self):
        check(libc.unshare(CLONE_NEWNS | (CLONE_NEWUSER if os.geteuid() else 0)))
        check(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
        for target, path in self.paths.items():
            check(libc.mount(os.fsencode(path), os.fsencode(target), None, MS_BIND, None))


def system_files(folder, files):
    for target in files:
        if not os.path.exists(target):
            pytest.skip(f"no {target} to mount over")
    result = SystemFiles(folder, files)
    if not can_mount(result):
        pytest.skip("no mount namespace")
    return result


def can_mount(files):
    try:
        subprocess.run(["true"], preexec_fn=files.enter, check=True)
        return True
    except (OSError, subprocess.SubprocessError):
        return False


def system_folder(folder, target):
    """`folder` in place of the folder `target` of the system, such as /run."""
    result = SystemFiles(folder, {})
    result.paths[target] = folder
    if not can_mount(result):
        pytest.skip("no mount namespace")
    return result
