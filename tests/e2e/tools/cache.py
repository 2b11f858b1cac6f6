# SPDX-License-Identifier: BSD-2-Clause
"""What is costly to make and the same for all tests: made once, in a folder that the processes of a run share.

    place = kept("authority", name, maker)       # maker(folder) writes files; place is where they are
"""
import atexit
import functools
import hashlib
import os
import shutil
import tempfile
from pathlib import Path


@functools.lru_cache(maxsize=None)
def cache():
    """The folder of the whole run, or of this process."""
    if "TEST_CACHE" in os.environ:
        return Path(os.environ["TEST_CACHE"])
    folder = tempfile.mkdtemp(prefix="websocksy-cache-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def digest_of(*parameters):
    return hashlib.sha256(repr(parameters).encode()).hexdigest()


def kept(kind, digest, make):
    """The folder of this kind and digest. If it does not exist, make(folder) fills it; of several processes that do
    so at the same time, one counts, and it is complete from the first moment that another may see it."""
    place = cache() / f"{kind}-{digest}"
    if not place.exists():
        with tempfile.TemporaryDirectory(dir=cache()) as folder:
            new = Path(folder, "new")
            new.mkdir()
            make(new)
            try:
                new.rename(place)
            except OSError:
                assert place.exists()
    return place
