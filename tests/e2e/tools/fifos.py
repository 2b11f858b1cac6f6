# SPDX-License-Identifier: BSD-2-Clause
"""The other ends of fifo peers."""
import errno
import os

from tools.waiting import eventually


class FifoEnd:
    def __init__(self, path, flags):
        self.path = str(path)
        if not os.path.exists(self.path):
            os.mkfifo(self.path)
        self.flags = flags
        self.fd = None

    def __enter__(self):
        self.fd = os.open(self.path, self.flags | os.O_NONBLOCK)
        return self

    def close(self):
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None

    def __exit__(self, *_):
        self.close()


class FifoReader(FifoEnd):
    """Makes the fifo if needed and opens it for reading, which does not wait for a writer."""

    def __init__(self, path):
        super().__init__(path, os.O_RDONLY)
        self.received = bytearray()

    @property
    def url(self):
        return f"fifotx://{self.path}"

    def recv_exactly(self, size):
        start = len(self.received)

        def complete():
            if len(self.received) - start >= size:
                return True
            try:
                self.received += os.read(self.fd, size - (len(self.received) - start))
            except BlockingIOError:
                pass
            return len(self.received) - start >= size

        eventually(complete, f"{size} bytes from {self.path}")
        return bytes(self.received[start:])


class FifoWriter(FifoEnd):
    """Makes the fifo if needed; the writing end is opened by open(), once the daemon reads."""

    def __init__(self, path):
        super().__init__(path, os.O_WRONLY)

    @property
    def url(self):
        return f"fiforx://{self.path}"

    def __enter__(self):
        return self

    def open(self):
        def opened():
            try:
                self.fd = os.open(self.path, self.flags | os.O_NONBLOCK)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                return False
            return True

        eventually(opened, f"a reader of {self.path}")
        os.set_blocking(self.fd, True)

    def send(self, data):
        if self.fd is None:
            self.open()
        view = memoryview(data)
        while view:
            view = view[os.write(self.fd, view):]
