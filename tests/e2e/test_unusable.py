# SPDX-License-Identifier: BSD-2-Clause
"""Configurations with which every client would be refused, and errors that are easy to make."""
import re

import pytest

from tools.daemon import Daemon, run_once


def messages(result):
    return [re.sub(r"^\S+Z ", "", line) for line in result.stderr.splitlines()]


REFUSED = "error: the configuration is not usable: every client would be refused"


@pytest.mark.parametrize("options, warning", (
    (("-b", "file"), r"path: is not set"),
    (("-b", "file", "-c", "path=/"), r"expression: is not set|expression.*is not set"),
    (("-c", "host=http://localhost"), r'"http://localhost": .*; clients will get 502'),
    (("-c", "host=localhost:notaport"), r'"localhost:notaport": .*; clients will get 502'),
    (("-c", "host=tls://localhost:1?ca=/none"), r"/none.*; clients will get 502"),
))
def test_testing_fails_if_every_client_would_be_refused(run, options, warning):
    """`-t` said that the configuration is fine, so a reload followed and locked everybody out."""
    lines = messages(run_once("-t", *options))
    assert run_once("-t", *options).returncode == 1
    assert lines[-1] == REFUSED
    assert any(re.search(f"^warning: .*{warning}", line) for line in lines), lines
    run(Daemon(*options)).wait_log(warning)  # the start only warns


def test_testing_what_can_serve_clients_succeeds():
    result = run_once("-t", "-c", "host=tcp://localhost:1")
    assert result.returncode == 0 and "fine" in result.stderr


@pytest.mark.parametrize("options, warning", (
    (("--plugin-path=/none",), r'--plugin-path: "/none": No such file or directory; no plugins are loaded'),
    (("-c", "protocol=a b"), r'protocol: "a b" is not the name of a subprotocol'),
    (("--redirect-https=yes",), r"--redirect-https: has no effect without TLS"),
))
def test_options_without_effect_are_reported(options, warning):
    result = run_once("-t", *options)
    assert result.returncode == 0
    assert any(re.search(f"^warning: .*{warning}", line) for line in messages(result)), result


@pytest.mark.parametrize("options, error", (
    (("-c", "hots=x"), r"-c hots: the backend \(built in\) has no such option "
                       r"\(options: host, port, framing, framing-config, protocol\)"),
    (("-c", "origin=same"), r"-c origin: the backend \(built in\) has no such option; it belongs to \[core\]"),
    (("-b", "file", "-c", "origin=same"), r"origin: the backend \(file\) has no such option; it belongs to \[core\]"),
    (("6080", "localhost:5900"), r'FILE: cannot read "6080" \(to listen on a port .* -p PORT -c host='),
))
def test_errors_tell_what_would_be_right(options, error):
    result = run_once(*options)
    assert result.returncode == 1
    assert any(re.search(f"^error: .*{error}", line) for line in messages(result)), result


def dumped_backend(*options):
    result = run_once("--dump-config", *options)
    assert result.returncode == 0, result
    return result.stdout.partition("[backend]\n")[2].splitlines()


def test_dump_shows_the_options_of_the_backend_in_effect(tmp_path):
    """The section of the backend was empty, although host and port have defaults."""
    lines = dumped_backend()
    assert lines[:2] == ["host = tcp://localhost", "port = 5900"]
    lines = dumped_backend("-c", "host=echo://", "-c", "host=tcp://a", "-c", "protocol=x")
    assert "host = tcp://a" in lines and "protocol = x" in lines and len(lines) == 5
    path = tmp_path / "dump.conf"
    path.write_text(run_once("--dump-config").stdout)
    assert run_once("--dump-config", path).stdout == path.read_text()
