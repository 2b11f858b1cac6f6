# SPDX-License-Identifier: BSD-2-Clause
"""Chromium without a window, controlled by WebDriver."""
import os

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from tools import tls_files
from tools.daemon import TLS
from tools.waiting import TIMEOUT

# A browser may be slow to start and to draw on a busy machine.
PATIENCE = 3 * TIMEOUT

FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
         "--window-size=1200,900")


def start(folder):
    """A driver; its files are in `folder`."""
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    for flag in (*FLAGS, f"--user-data-dir={folder}/profile"):
        options.add_argument(flag)
    if TLS:
        # Chromium has authorities of its own; with this it takes this one key, and no other.
        options.add_argument(
            f"--ignore-certificate-errors-spki-list={tls_files.key_hash(tls_files.shared()[1])}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    environment = dict(os.environ, HOME=str(folder), XDG_CONFIG_HOME=str(folder), XDG_CACHE_HOME=str(folder))
    driver = webdriver.Chrome(
        service=Service("/usr/bin/chromedriver", env=environment), options=options)
    driver.set_page_load_timeout(PATIENCE)
    return driver
