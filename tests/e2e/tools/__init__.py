# SPDX-License-Identifier: BSD-2-Clause
"""Tools of the end-to-end tests: the daemon as a process, peers with real sockets, a strict client.

    daemon          Daemon runs the binary under test and reads its log
    configuration   configuration files and reloads
    service         a service manager: NOTIFY_SOCKET, passed sockets
    client          RawClient, a blocking WebSocket client that checks every byte from the server
    frames, http    frames, requests and responses as bytes
    peers           TcpPeer, TlsPeer, UnixPeer: stream services, driven by the test or by a handler function;
                    UdpPeer, UnixDgramPeer: datagram services
    fifos           FifoReader for fifotx:// peers, FifoWriter for fiforx:// peers
    ports           free_port, ClosedPort (refuses connections), StuckPort (never answers a SYN)
    sockets         kernel buffers, waiting for bytes in them
    dns             NameServer, a name server that follows a script
    tls, tls_files  TlsSocket; authorities and certificates
    gnutls_session  TLS with GnuTLS, for protocol messages that Python's ssl does not send
    plugin_builder  compiles plugins
    cache           what is made once in a run
    proxies         Haproxy, Nginx, PROXY headers
    browser         Chromium, for the fixture `browser` (conftest.py)
    floods          transfers that are larger than all buffers on the way
    counting        system calls and library calls of the daemon
    waiting         eventually, observed, and the limit of every wait

Most are context managers. A test gets them through the fixture `run` (conftest.py), which closes what it
started, last first:

    def test_echo(run):
        peer = run(TcpPeer(echo))
        daemon = run(Daemon(peer=peer.url))
        client = daemon.open()                  # connected and upgraded
        client.send_text("hello")
        assert client.recv_message() == (TEXT, b"hello")
        client.close_handshake(1000)

Rules that keep the suite reliable on a slow and on a loaded machine:

- No sleep stands for "now it must have happened"; wait for something that can be seen (a log line, a byte, an
  end of file) with `eventually`, `wait_log`, or a receive.
- Every wait has a limit, TIMEOUT, which only a failing test reaches. It is the time without any progress.
- No assertion is an upper bound on elapsed time. A test may take a time with `observed`; the limits are in
  bench/latency.py, which `make bench-check` runs on a quiet machine. Lower bounds are fine.
- A deadline of the daemon that has to expire is short. One that must not expire while the test does something
  is LONG_MS or more; where a transfer has to outlive it, the transfer is slow by intention.
- Tests run side by side, except those marked `measures`. What they share (a port that is not chosen by the
  kernel, an abstract name) is reserved or has a name of its own.
- Test modules do not import each other. What two of them need is here, fixtures are in conftest.py.

With WEBSOCKSY_TLS=1 all of it happens over TLS: daemons get a certificate, and the clients that they make
(connect(), open(), http()) encrypt. Leaving a Daemon's block stops it by SIGTERM and fails the test if the
exit status is not 0 or the log holds a sanitizer report or a failed assertion.

With WEBSOCKSY_TYPED=1 the fixture echo_daemon has a TCP peer that sends everything back, with the framing `typed`,
in place of `echo://`.
"""
