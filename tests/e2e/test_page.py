# SPDX-License-Identifier: BSD-2-Clause
"""The console page in a real browser: served by the daemon, connected to the daemon. With WEBSOCKSY_TLS=1 by
https and wss."""
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from tools.browser import PATIENCE
from tools.daemon import ROOT, Daemon
from tools.peers import TcpPeer
from tools.waiting import eventually

# One process runs them, so that one browser is started.
pytestmark = pytest.mark.xdist_group("browser")


@pytest.fixture(scope="module")
def peer(run_module):
    return run_module(TcpPeer())


@pytest.fixture(scope="module")
def page_daemon(run_module, peer):
    return run_module(Daemon(f"--web={ROOT / 'index.html'}", "-c", "protocol=*", peer=peer.url))


class Page:
    """The page's controls by their ids, and its log by what it says."""

    def __init__(self, browser, address):
        self.browser = browser
        browser.get_log("browser")  # of the page before
        browser.get(address)

    def at(self, name):
        return self.browser.find_element(By.ID, name)

    def wait_state(self, state):
        eventually(lambda: self.at("state").text == state, f"state {state}", PATIENCE)

    def entries(self, direction, kind=None):
        selector = f'#log .entry[data-direction="{direction}"]'
        if kind:
            selector += f'[data-type="{kind}"]'
        found = self.browser.find_elements(By.CSS_SELECTOR, selector)
        return [entry.find_element(By.CSS_SELECTOR, ".payload").text for entry in found]

    def wait_entry(self, direction, kind, text):
        eventually(lambda: any(text in entry for entry in self.entries(direction, kind)),
                   f"entry {direction} {kind} {text!r}", PATIENCE)

    def set(self, name, text):
        self.at(name).clear()
        self.at(name).send_keys(text)

    def connect(self):
        self.at("connect").click()
        self.wait_state("open")

    def complaints(self):
        """Errors in the browser's console."""
        return [entry for entry in self.browser.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.fixture
def page(browser, page_daemon):
    """The page, loaded from the daemon; its script must not have failed at the end."""
    page = Page(browser, page_daemon.url(scheme="http"))
    yield page
    assert page.complaints() == []
    browser.get("about:blank")  # leaves the connection


def test_opens(page, page_daemon):
    assert "websocksy" in page.browser.title
    assert page.at("state").text == "closed"
    assert page.at("address").get_attribute("value") == page_daemon.url()
    assert not page.at("send").is_enabled()


def test_connects_and_sends_text_and_shows_the_answer(page, peer):
    page.connect()
    connection = peer.accept()
    page.set("message", "hello from the page €")
    page.at("send").click()
    assert connection.recv_exactly(23) == "hello from the page €".encode()
    page.wait_entry("out", "text", "hello from the page €")
    connection.send("an answer 😀".encode())
    page.wait_entry("in", "text", "an answer 😀")


def test_answer_is_never_markup(page, peer):
    page.connect()
    peer.accept().send(b"<img src=x onerror=alert(1)><b>bold</b>")
    page.wait_entry("in", "text", "<img src=x onerror=alert(1)><b>bold</b>")
    assert not page.browser.find_elements(By.CSS_SELECTOR, "#log img, #log b")


def test_enter_sends_and_a_line_end_is_appended(page, peer):
    page.connect()
    connection = peer.accept()
    Select(page.at("lineend")).select_by_value("crlf")
    page.at("message").send_keys("a line", Keys.ENTER)
    assert connection.recv_exactly(8) == b"a line\r\n"


def test_sends_a_file_as_binary(page, peer, tmp_path):
    data = bytes(range(256)) * 1000
    (tmp_path / "data.bin").write_bytes(data)
    page.connect()
    connection = peer.accept()
    page.at("file").send_keys(str(tmp_path / "data.bin"))
    assert connection.recv_exactly(len(data)) == data
    eventually(lambda: page.entries("out", "binary"), "the sent file in the log", PATIENCE)


DROP = """
const files = new DataTransfer();
files.items.add(new File([new Uint8Array(arguments[0])], "dropped.bin"));
for (const type of ["dragover", "drop"]) {
	const event = new DragEvent(type, {dataTransfer: files, bubbles: true, cancelable: true});
	document.getElementById("log").dispatchEvent(event);
	if (!event.defaultPrevented) {
		throw new Error("the browser would open the file itself: " + type);
	}
}
"""


def test_sends_a_file_that_is_dropped(page, peer):
    data = bytes(range(256)) * 10
    page.connect()
    connection = peer.accept()
    page.browser.execute_script(DROP, list(data))
    assert connection.recv_exactly(len(data)) == data
    eventually(lambda: page.entries("out", "binary"), "the sent file in the log", PATIENCE)


def test_shows_binary_messages(page, peer):
    page.connect()
    peer.accept().send(b"\xff\x00\xfe\x41")
    page.wait_entry("in", "binary", "ff 00 fe 41")


def test_offers_subprotocols(page, peer):
    page.set("protocols", "chat, other")
    page.connect()
    peer.accept()
    page.wait_entry("info", "open", "subprotocol chat")


def test_disconnect_shows_the_code(page, peer):
    page.connect()
    connection = peer.accept()
    page.set("code", "4321")
    page.set("reason", "enough")
    page.at("disconnect").click()
    page.wait_state("closed")
    page.wait_entry("info", "close", "4321")
    connection.expect_eof()


def test_end_of_the_peer_shows_the_code(page, peer):
    page.connect()
    connection = peer.accept()
    connection.send(b"bye")
    connection.close()
    page.wait_entry("in", "text", "bye")
    page.wait_entry("info", "close", "1000")
    page.wait_state("closed")


def test_connects_again(page, peer):
    for _ in range(2):
        page.connect()
        peer.accept().close()
        page.wait_state("closed")
    eventually(lambda: len(page.entries("info", "close")) == 2, "two closes in the log", PATIENCE)


def test_echo_peer(browser, run):
    """The page against the built-in peer, from start to end of the daemon."""
    daemon = run(Daemon(f"--web={ROOT / 'index.html'}", peer="echo://"))
    page = Page(browser, daemon.url(scheme="http"))
    page.connect()
    page.set("message", "come back")
    page.at("send").click()
    page.wait_entry("in", "text", "come back")
    daemon.stop(close_clients=False)
    page.wait_entry("info", "close", "1001")
    browser.get("about:blank")


def test_failed_connection_is_shown(browser, run):
    daemon = run(Daemon(f"--web={ROOT / 'index.html'}", peer="unix:///nonexistent"))
    page = Page(browser, daemon.url(scheme="http"))
    page.at("connect").click()
    page.wait_entry("info", "close", "1006")
    page.wait_state("closed")
    browser.get("about:blank")


def test_page_is_served_as_what_it_is(page_daemon):
    answer = page_daemon.http(plain=True)
    assert answer.status == 200
    assert answer.header("Content-Type").startswith("text/html")
    assert answer.body == (ROOT / "index.html").read_bytes()
    assert page_daemon.http("/other", plain=True).status == 404
    client = page_daemon.open()
    client.round_trip()


def test_password_of_the_page_is_used_for_the_connection(browser, run, tmp_path):
    """Browsers send what was given for the page with a WebSocket to the same address too."""
    peer = run(TcpPeer())
    users = tmp_path / "users"
    # "secret"
    users.write_text("alice:$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n")
    daemon = run(Daemon(f"--web={ROOT / 'index.html'}", f"--auth-file={users}", "-c", "protocol=*", peer=peer.url))
    page = Page(browser, daemon.url(scheme="http").replace("//", "//alice:secret@"))
    page.connect()
    connection = peer.accept()
    page.set("message", "from alice")
    page.at("send").click()
    assert connection.recv_exactly(10) == b"from alice"
    daemon.wait_log('user "alice" authenticated')
    browser.get("about:blank")
