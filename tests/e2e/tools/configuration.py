# SPDX-License-Identifier: BSD-2-Clause
"""Configuration files of the daemon."""
import re
import signal

from tools.daemon import Daemon

BASE = (("port", "0"), ("listen", "127.0.0.1"))
ECHO = (("host", "echo://"),)
READ_AGAIN = r"notice: the configuration has been read again"
UNCHANGED = r"error: the new configuration is not usable; nothing has changed"


def write_config(folder, core=(), backend=(), raw="", name="test.conf"):
    """Writes a file of options, (name, value) pairs, and `raw` behind them; returns its path. It is renamed over
    the old one, as editors do: a reload never sees half a file."""
    fresh = folder / f"{name}.new"
    fresh.write_text(
        "[core]\n" + "".join(f"{key} = {value}\n" for key, value in core)
        + "[backend]\n" + "".join(f"{key} = {value}\n" for key, value in backend) + raw)
    return fresh.rename(folder / name)


def starter(run, folder, way):
    """A function that starts a daemon with these options, either as "flags" or from a "file"."""

    def start(*core, peer="echo://", backend=(), defaults=True, **kwargs):
        backend = (("host", peer), *backend) if peer else tuple(backend)
        if defaults:
            core = (*BASE, *core)
        if way == "flags":
            args = [f"--{key}={value}" for key, value in core]
            for key, value in backend:
                args += ["-c", f"{key}={value}"]
        else:
            args = [write_config(folder, core, backend)]
        daemon = Daemon(*args, defaults=False, **kwargs)
        daemon.peer = peer  # for settle()
        return run(daemon)

    return start


def routes_daemon(run, tmp_path, routes, *arguments):
    """A daemon whose file backend has one file for each path."""
    for name, line in routes.items():
        (tmp_path / name).write_text(line + "\n")
    return run(Daemon(*arguments, "-b", "file", "-c", f"path={tmp_path}", "-c", "expression=%endpoint%"))


def reload(daemon, line=READ_AGAIN):
    """Sends SIGHUP and waits for what comes of it; returns the lines that were logged meanwhile."""
    before = daemon.log()
    daemon.signal(signal.SIGHUP)
    daemon.wait_log(line, count=len(re.findall(line, before)) + 1)
    return daemon.log()[len(before):]
