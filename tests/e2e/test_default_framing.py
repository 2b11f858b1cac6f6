# SPDX-License-Identifier: BSD-2-Clause
"""The framing of connections for which none is configured."""
import pytest

from tools.daemon import Daemon
from tools.frames import BIN, TEXT
from tools.peers import TcpPeer

GREETING = b"RFB 003.008\n"  # valid UTF-8 of a binary protocol


def greeting_type(daemon, protocol):
    client = daemon.open(protocols=protocol)
    opcode, payload = client.recv_message()
    assert payload == GREETING
    client.close()
    return opcode


def greet(connection):
    connection.send(GREETING)


@pytest.fixture(params=("built in", "file"))
def bridge(request, run, tmp_path):
    """Starts a daemon whose peer greets, without a framing or with one."""

    def start(protocol, framing=""):
        peer = run(TcpPeer(greet))
        if request.param == "file":
            (tmp_path / "route").write_text(f"{peer.url} {protocol} {framing}\n")
            return run(Daemon("-b", "file", "-c", f"path={tmp_path}", "-c", "expression=route"))
        options = ("-c", f"framing={framing}") if framing else ()
        return run(Daemon("-c", f"protocol={protocol}", *options, peer=peer.url))

    return start


@pytest.mark.parametrize("protocol", ("binary", "mqtt", "mqttv3.1"))
def test_subprotocols_of_binary_services_imply_binary_messages(bridge, protocol):
    """With `auto` the greeting of VNC was sent as text, which noVNC cannot read, and MQTT forbids text."""
    daemon = bridge("*")
    assert greeting_type(daemon, protocol) == BIN
    assert greeting_type(daemon, "chat") == TEXT
    assert greeting_type(daemon, None) == TEXT


def test_only_the_negotiated_subprotocol_counts(bridge):
    assert greeting_type(bridge("chat"), "binary, chat") == TEXT


def test_configured_framing_has_precedence(bridge):
    assert greeting_type(bridge("*", "auto"), "binary") == TEXT


def test_binary_is_encoded_where_base64_is_negotiated(run):
    """websockify has one command line for clients of both kinds."""
    peer = run(TcpPeer(greet))
    daemon = run(Daemon("-c", "framing=binary", "-c", "protocol=binary,base64", peer=peer.url))
    for protocol, message in ((None, (BIN, GREETING)), ("binary", (BIN, GREETING)),
                              ("base64", (TEXT, b"UkZCIDAwMy4wMDgK"))):
        client = daemon.open(protocols=protocol)
        assert client.recv_message() == message
