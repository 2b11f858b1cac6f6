# SPDX-License-Identifier: BSD-2-Clause
"""TLS 1.3 as Python's ssl cannot speak it: messages of the protocol itself are sent when the test says so, and
leave in one piece with what is around them. Client or server over a blocking socket.

    session = GnutlsSession(sock)                  # or GnutlsSession(sock, pair): a server
    session.handshake()
    session.update_key()                           # RFC 8446, section 4.6.3
    session.send(b"data")
    session.flush()                                # all of it in one send()
"""
import ctypes
import ctypes.util
import errno

KEY_UPDATES = 8  # so many within a second GnuTLS accepts
CERTIFICATE = 1  # GNUTLS_CRD_CERTIFICATE
AGAIN = -28  # GNUTLS_E_AGAIN
PEM = 1  # GNUTLS_X509_FMT_PEM
SERVER, CLIENT = 1, 2
PRIORITY = b"NORMAL:-VERS-ALL:+VERS-TLS1.3"
TRANSFER = ctypes.CFUNCTYPE(ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)

gnutls = ctypes.CDLL(ctypes.util.find_library("gnutls"))
gnutls.gnutls_record_send.restype = gnutls.gnutls_record_recv.restype = ctypes.c_ssize_t
gnutls.gnutls_record_send.argtypes = gnutls.gnutls_record_recv.argtypes = (
    ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t)
gnutls.gnutls_strerror.restype = ctypes.c_char_p


def checked(status):
    assert status >= 0, gnutls.gnutls_strerror(int(status)).decode()
    return status


class GnutlsSession:
    def __init__(self, sock, pair=None):
        self.sock = sock
        self.outgoing = bytearray()
        self.session, self.credentials = ctypes.c_void_p(), ctypes.c_void_p()
        self.callbacks = TRANSFER(self.pull), TRANSFER(self.push)  # kept alive
        checked(gnutls.gnutls_certificate_allocate_credentials(ctypes.byref(self.credentials)))
        if pair:
            checked(gnutls.gnutls_certificate_set_x509_key_file(
                self.credentials, str(pair.cert).encode(), str(pair.key).encode(), PEM))
        checked(gnutls.gnutls_init(ctypes.byref(self.session), SERVER if pair else CLIENT))
        checked(gnutls.gnutls_priority_set_direct(self.session, PRIORITY, None))
        checked(gnutls.gnutls_credentials_set(self.session, CERTIFICATE, self.credentials))
        gnutls.gnutls_transport_set_pull_function(self.session, self.callbacks[0])
        gnutls.gnutls_transport_set_push_function(self.session, self.callbacks[1])

    def pull(self, _, data, cap):
        try:
            self.flush()
            got = self.sock.recv(cap)
        except OSError as error:
            gnutls.gnutls_transport_set_errno(self.session, error.errno or errno.ETIMEDOUT)
            return -1
        ctypes.memmove(data, got, len(got))
        return len(got)

    def push(self, _, data, size):
        self.outgoing += ctypes.string_at(data, size)
        return size

    def flush(self):
        data = bytes(self.outgoing)
        self.outgoing.clear()
        self.sock.sendall(data)

    def handshake(self):
        checked(gnutls.gnutls_handshake(self.session))
        self.flush()

    def update_key(self):
        checked(gnutls.gnutls_session_key_update(self.session, 0))

    def send(self, data):
        checked(gnutls.gnutls_record_send(self.session, data, len(data)))

    def recv(self, size=65536):
        buffer = ctypes.create_string_buffer(size)
        got = AGAIN
        while got == AGAIN:  # a ticket has come, and no data
            got = gnutls.gnutls_record_recv(self.session, buffer, size)
        return buffer.raw[:checked(got)]

    def send_and_fail(self, data):
        """One write: `data`, and behind it a new key more than GnuTLS takes, an error that it reports once."""
        for _ in range(KEY_UPDATES):
            self.update_key()
        self.send(data)
        self.update_key()
        self.flush()

    def close(self):
        gnutls.gnutls_deinit(self.session)
        gnutls.gnutls_certificate_free_credentials(self.credentials)
