# SPDX-License-Identifier: BSD-2-Clause
"""A VNC session in noVNC, recorded, and played by noVNC: the picture is the same."""
import shutil
from pathlib import Path

import pytest

from tools.browser import PATIENCE
from tools.daemon import TLS, Daemon
from tools.ports import free_port
from tools.waiting import eventually

NOVNC = Path("/usr/share/novnc")
PAGE = Path(__file__).parent / "tools/playback.html"

pytestmark = [pytest.mark.xdist_group("browser"), pytest.mark.once,
              pytest.mark.skipif(TLS, reason="nothing of it depends on TLS"),
              pytest.mark.skipif(not NOVNC.exists(), reason="needs the package novnc")]

# All pixels of the screen, if they are not all the same.
PICTURE = """
const canvas = document.querySelector("#screen canvas");
if (!canvas || !canvas.width || !canvas.height) {
    return null;
}
const pixels = new Uint32Array(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.buffer);
return new Set(pixels).size > 1 ? [canvas.width, canvas.height, Array.from(pixels).join(" ")] : null;
"""


def picture(browser):
    return eventually(lambda: browser.execute_script(PICTURE), "a picture", PATIENCE)


def test_recorded_session_has_the_same_picture(run, tmp_path, browser):
    """noVNC shows an update as a whole, and nothing changes on this screen after the first one."""
    pages, recordings = tmp_path / "pages", tmp_path / "pages/recordings"
    for name in ("core", "vendor"):
        shutil.copytree(NOVNC / name, pages / name)
    shutil.copy(PAGE, pages)
    recordings.mkdir()
    port = free_port()
    # -retro: a pattern as background.
    daemon = run(Daemon(
        f"--web={pages}", f"--record={recordings}/session%i.js", "--record-format=novnc", "-c", "framing=binary",
        f"--wrap-port={port}", "--", "Xtigervnc", f":{port}", "-rfbport", str(port), "-geometry", "96x64", "-retro",
        "-SecurityTypes", "None", "-nolisten", "tcp", env={"HOME": str(tmp_path)}))
    daemon.wait_log("the program listens on ")
    browser.get(daemon.url("/playback.html?live", scheme="http"))
    live = picture(browser)
    assert live[:2] == [96, 64]
    browser.execute_script("leave()")
    session = eventually(
        lambda: next((path for path in recordings.iterdir() if b"'EOF'];" in path.read_bytes()), None),
        "the end of the recording", PATIENCE)
    browser.get(daemon.url(f"/playback.html?data={session.name}", scheme="http"))
    eventually(lambda: browser.title not in ("", "screen"), "the end of the session", PATIENCE)
    assert browser.title == "played"
    assert picture(browser) == live
    browser.get("about:blank")
