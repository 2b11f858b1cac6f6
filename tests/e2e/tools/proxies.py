# SPDX-License-Identifier: BSD-2-Clause
"""Other proxies: haproxy and nginx."""
import os
import re
import shutil
import subprocess

from tools.client import RawClient
from tools.daemon import ROOT
from tools.ports import free_port
from tools.waiting import TIMEOUT, eventually

MAIN = """
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr notice;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


def replace_once(text, old, new):
    assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times in the example"
    return text.replace(old, new)


def is_listening(port):
    """Without a connection, which the proxy would log."""
    with open("/proc/net/tcp") as table:
        return any(f":{port:04X} 00000000:0000 0A" in line for line in table)


class Nginx:
    """nginx as the user who runs the tests, listening on a Unix socket, with the example site."""

    def __init__(self, folder, upstream, authority=None):
        """With an authority nginx speaks TLS to the daemon, which has a certificate of it."""
        self.folder = folder
        self.socket = f"{folder}/nginx.sock"
        site = (ROOT / "examples" / "nginx.conf").read_text()
        if authority:
            site = replace_once(site, "\t\tproxy_pass http:", "\t\t#proxy_pass http:")
            site, count = re.subn(r"\t\t#(proxy_pass https|proxy_ssl_)", r"\t\t\1", site)
            assert count == 5
            site = replace_once(site, "/etc/ssl/certs/ca-certificates.crt;", f"{authority.cert};")
            site = replace_once(site, "proxy_ssl_name example.org;", "proxy_ssl_name localhost;")
        site = replace_once(site, "server 127.0.0.1:8001;", f"server {upstream};")
        site = replace_once(site, "\tlisten 80;", f"\tlisten unix:{self.socket};")
        (folder / "site.conf").write_text(site)
        # Workers of a root process would change to a user who may not enter our folder.
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(MAIN.format(folder=folder, user=user))

    def __enter__(self):
        binary = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")
        assert binary, "nginx is missing"
        self.log = open(self.folder / "nginx.log", "wb")
        self.process = subprocess.Popen(
            [binary, "-p", str(self.folder), "-c", str(self.folder / "nginx.conf"), "-g", "daemon off;"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        eventually(self.listens, "nginx to listen")
        return self

    def listens(self):
        assert self.process.poll() is None, (self.folder / "nginx.log").read_text()
        try:
            RawClient(self.socket).close()
        except OSError:
            return False
        return True

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(TIMEOUT)
        self.log.close()


class Haproxy:
    """haproxy that passes TCP connections from `port` on, with additions to its bind and server lines."""

    def __init__(self, folder, server, bind_more="", server_more=""):
        self.folder = folder
        self.port = free_port()
        (folder / "haproxy.cfg").write_text(
            "defaults\n mode tcp\n timeout connect 100s\n timeout client 100s\n timeout server 100s\n"
            f"listen it\n bind 127.0.0.1:{self.port} {bind_more}\n server one {server} {server_more}\n")

    def __enter__(self):
        binary = shutil.which("haproxy", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")
        assert binary, "haproxy is missing"
        self.log = open(self.folder / "haproxy.log", "wb")
        self.process = subprocess.Popen(
            [binary, "-db", "-f", str(self.folder / "haproxy.cfg")], stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=self.log)
        eventually(self.listens, "haproxy to listen")
        return self

    def listens(self):
        assert self.process.poll() is None, (self.folder / "haproxy.log").read_text()
        return is_listening(self.port)

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(TIMEOUT)
        self.log.close()


class TcpNginx(Nginx):
    """The example site on a TCP port."""

    def __init__(self, folder, upstream):
        super().__init__(folder, upstream)
        self.port = free_port()
        site = folder / "site.conf"
        site.write_text(replace_once(
            site.read_text(), f"\tlisten unix:{self.socket};",
            f"\tlisten unix:{self.socket};\n\tlisten 127.0.0.1:{self.port};"))

    def listens(self):
        return super().listens() and is_listening(self.port)


class TellingNginx(TcpNginx):
    """nginx that takes PROXY headers on its TCP port and answers with whom they name."""

    def __init__(self, folder):
        super().__init__(folder, "127.0.0.1:1")
        (folder / "site.conf").write_text(
            f"server {{ listen unix:{self.socket}; listen 127.0.0.1:{self.port} proxy_protocol;\n"
            "location / { return 200 \"<$proxy_protocol_addr $proxy_protocol_port>\"; } }\n")
