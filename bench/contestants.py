# SPDX-License-Identifier: BSD-2-Clause
"""The bridges that are compared: how each is found and started, and what it costs.

Knows nothing about workloads. A contestant that is not installed says why and is skipped.
"""
import ctypes
import fcntl
import os
import pathlib
import re
import resource
import shutil
import socket
import struct
import subprocess
import tempfile
import time

BENCH = pathlib.Path(__file__).resolve().parent
CLONE_NEWNET = 0x40000000
PR_SET_CHILD_SUBREAPER = 36
START_SECONDS = 10
REAP_SECONDS = 5
IPV4 = "/proc/sys/net/ipv4/"


# ---- surroundings ----

def write_setting(path, value):
    try:
        pathlib.Path(path).write_text(value, encoding="ascii")
        return True
    except OSError:
        return False


def read_setting(path):
    try:
        return pathlib.Path(path).read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"


def loopback_up():
    flags_of = struct.pack("16sh14x", b"lo", 0x1 | 0x40)  # IFF_UP | IFF_RUNNING
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, 0x8914, flags_of)  # SIOCSIFFLAGS


def choose_congestion_control(allowed_before):
    """Inside a namespace only what the machine allows to everybody can be chosen."""
    if write_setting(IPV4 + "tcp_congestion_control", "cubic"):
        return ""
    # Reno does not pace either, which is what matters on loopback.
    reno = write_setting(IPV4 + "tcp_congestion_control", "reno")
    return f" (cubic is not among those allowed here: {allowed_before}" + (
        "; reno does not pace either)" if reno else ")")


def enter_namespace():
    """A network of our own with cubic. Returns a sentence about what was reached."""
    libc = ctypes.CDLL(None, use_errno=True)
    allowed = read_setting(IPV4 + "tcp_allowed_congestion_control")
    if os.geteuid() != 0 or libc.unshare(CLONE_NEWNET) != 0:
        now = read_setting(IPV4 + "tcp_congestion_control")
        return f"shared network, congestion control {now} (a namespace of our own needs root)"
    loopback_up()
    note = choose_congestion_control(allowed)
    # Thousands of short connections, both of whose ends are here.
    write_setting(IPV4 + "ip_local_port_range", "10000 65000")
    write_setting(IPV4 + "tcp_tw_reuse", "1")
    write_setting("/proc/sys/net/core/somaxconn", "4096")
    now = read_setting(IPV4 + "tcp_congestion_control")
    return f"network namespace of its own, congestion control {now}{note}"


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


# ---- accounting ----

def cgroup_root():
    """A cgroup v2 directory in which we may make groups, or None."""
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
        for line in mounts:
            before, after = line.split(" - ", 1)
            if after.split()[0] == "cgroup2":
                root = pathlib.Path(before.split()[4])
                group = root / f"websocksy-bench-{os.getpid()}"
                try:
                    group.mkdir()
                    usage_of(group)
                    return group
                except (OSError, KeyError):
                    return None
    return None


def usage_of(group):
    text = (group / "cpu.stat").read_text("ascii")
    return int(dict(line.split() for line in text.splitlines())["usage_usec"]) / 1e6


def children_of(pid):
    """The process and everything below it that lives."""
    found = [pid]
    for at in found:
        try:
            for task in os.listdir(f"/proc/{at}/task"):
                with open(f"/proc/{at}/task/{task}/children", encoding="ascii") as children:
                    found += [int(child) for child in children.read().split()]
        except OSError:
            pass
    return found


class Account:
    """CPU and memory of a process with all its children, those that have ended included."""

    root = None
    tried = False

    def __init__(self, name):
        if not Account.tried:
            Account.tried = True
            Account.root = cgroup_root()
        self.group = None
        self.pid = None
        if Account.root:
            self.group = Account.root / f"{name}-{time.monotonic_ns()}"
            self.group.mkdir()

    @staticmethod
    def describe():
        return "cgroup v2 (cpu.stat)" if Account.root else "/proc/PID/schedstat and stat"

    def enter(self):
        """Called in the new process."""
        if self.group:
            (self.group / "cgroup.procs").write_text("0", encoding="ascii")

    def cpu_seconds(self):
        if self.group:
            return usage_of(self.group)
        total = 0.0
        for pid in children_of(self.pid):
            total += self.threads_seconds(pid)
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text("utf-8").rpartition(")")[2].split()
        # cutime and cstime: children that have ended
        return total + (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")

    @staticmethod
    def threads_seconds(pid):
        total = 0
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as stat:
                    total += int(stat.read().split()[0])
        except OSError:
            pass
        return total / 1e9

    def memory_bytes(self):
        """Proportional set size: what is shared between children counts once. Of the process's own memory, since what it
        shares of a library depends on who else uses that just now; of all on kernels that cannot tell (before 5.3)."""
        total = 0
        for pid in children_of(self.pid):
            try:
                with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
                    sizes = dict(re.findall(r"^(\w+): +(\d+) kB", rollup.read(), re.MULTILINE))
                total += int(sizes.get("Pss_Anon", sizes["Pss"])) * 1024
            except OSError:
                pass
        return total

    def close(self):
        if self.group:
            for _ in range(50):
                try:
                    self.group.rmdir()
                    return
                except OSError:
                    time.sleep(0.02)  # children are still ending

    @staticmethod
    def close_all():
        if Account.root:
            try:
                Account.root.rmdir()
            except OSError:
                pass


# ---- processes ----

def prepare(core, account=None):
    def run():
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        os.setsid()
        if core is not None:
            os.sched_setaffinity(0, {core})
        if account:
            account.enter()
    return run


def wait_for_port(process, port, name):
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"{name} ended with status {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.01)
    raise RuntimeError(f"{name} does not listen")


def become_subreaper():
    """What a contestant's children leave behind comes to us, not to a process 1 that may not care."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap_group(group):
    """Waits for the orphans of a process group that has been killed."""
    end = time.monotonic() + REAP_SECONDS
    try:
        while time.monotonic() < end:
            if os.waitpid(-group, os.WNOHANG)[0] == 0:
                time.sleep(0.005)
    except ChildProcessError:
        pass


def stop_group(process):
    """Ends the process and its children; each has a session of its own."""
    for signal in (15, 9):
        try:
            os.killpg(process.pid, signal)
        except ProcessLookupError:
            break
        try:
            process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            pass
    process.wait()
    reap_group(process.pid)


class Certificates:
    """Two for the same name, P-256 and RSA of 2048 bits: which one is used is the client's choice. They
    are where haproxy looks for pairs that belong together."""

    def __init__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="websocksy-bench-")
        self.stem = pathlib.Path(self.directory.name) / "cert.pem"
        self.pairs = []  # of certificate and key
        self.missing = None
        if not find_program("openssl"):
            self.missing = "openssl is not installed"
            return
        self.make("ecdsa", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
        self.make("rsa", "rsa:2048")

    def make(self, kind, *newkey):
        cert = f"{self.stem}.{kind}"
        key = f"{cert}.key"
        subprocess.run(["openssl", "req", "-x509", "-newkey", *newkey, "-nodes", "-keyout", key, "-out",
                        cert, "-days", "9", "-subj", "/CN=localhost", "-addext",
                        "subjectAltName=DNS:localhost"], check=True, stderr=subprocess.DEVNULL)
        self.pairs.append((cert, key))

    def close(self):
        self.directory.cleanup()


class Peer:
    """The service behind all of them."""

    def __init__(self, programs, core):
        self.port = free_port()
        self.process = subprocess.Popen([programs / "peer", str(self.port)],
                                        preexec_fn=prepare(core))
        wait_for_port(self.process, self.port, "peer")

    def close(self):
        stop_group(self.process)


class Contestant:
    """One kind of bridge. Subclasses say what to run."""

    name = ""
    raw = False  # speaks TCP, not WebSocket
    tls = False  # with TLS towards the client
    forks = False  # a process for each connection
    only = None  # names of workloads it is for; None: all
    wrapper = ()  # strace, valgrind, ...

    def __init__(self, options):
        self.options = options
        self.process = None
        self.account = None
        self.port = None

    def missing(self):
        """Why it cannot run; None: it can."""
        return None

    def command(self, port, peer_port, directory):
        raise NotImplementedError

    def environment(self):
        return dict(os.environ)

    def start(self, peer_port, core):
        self.port = free_port()
        self.account = Account(self.name.replace(" ", "").replace("/", ""))
        self.directory = tempfile.TemporaryDirectory(prefix="websocksy-bench-")
        command = self.command(self.port, peer_port, pathlib.Path(self.directory.name))
        with open(pathlib.Path(self.directory.name) / "log", "wb") as log:
            self.process = subprocess.Popen(
                [*self.wrapper, *map(str, command)], stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, env=self.environment(), preexec_fn=prepare(core, self.account))
        self.account.pid = self.process.pid
        try:
            wait_for_port(self.process, self.port, self.name)
        except RuntimeError:
            self.stop()
            raise

    def stop(self):
        stop_group(self.process)
        self.account.close()
        self.directory.cleanup()


def find_program(name):
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    return shutil.which(name, path=path)


class Packaged(Contestant):
    """From a Debian package."""

    program = ""

    def missing(self):
        return None if find_program(self.program) else f"{self.program} is not installed"


class Websocksy(Contestant):
    name = "websocksy"

    def __init__(self, options):
        super().__init__(options)
        self.binary = options.websocksy.resolve()

    def missing(self):
        return None if os.access(self.binary, os.X_OK) else "it has not been built"

    def command(self, port, peer_port, directory):
        return [self.binary, "-q", "-l", "127.0.0.1", "-p", port,
                "-c", f"host=tcp://127.0.0.1:{peer_port}", "-c", "framing=binary"]


class WebsocksyTls(Websocksy):
    name = "websocksy (TLS)"
    tls = True

    def missing(self):
        return super().missing() or self.options.certificates.missing

    def command(self, port, peer_port, directory):
        files = [argument for cert, key in self.options.certificates.pairs
                 for argument in ("--cert", cert, "--key", key)]
        return [*super().command(port, peer_port, directory), *files]


def variants(text):
    """Another build of the daemon as contestants of its own, from NAME=PATH."""
    name, _, path = text.partition("=")

    def kind(base, title):
        class Variant(base):
            def __init__(self, options):
                super().__init__(options)
                self.name = title
                self.binary = pathlib.Path(path).resolve()

            def missing(self):
                return super().missing() and f"{path} is not a program"

        Variant.name = title
        return Variant

    return kind(Websocksy, name), kind(WebsocksyTls, f"{name} (TLS)")


class Rawfwd(Contestant):
    name = "rawfwd"
    raw = True

    def command(self, port, peer_port, directory):
        return [self.options.programs / "rawfwd", port, peer_port]


class RawfwdSplice(Contestant):
    name = "rawfwd --splice"
    raw = True
    only = ("echo-1m", "down", "up-64k")

    def command(self, port, peer_port, directory):
        return [self.options.programs / "rawfwd", "--splice", port, peer_port]


class Lighttpd(Packaged):
    name = "lighttpd mod_wstunnel"
    program = "lighttpd"

    def command(self, port, peer_port, directory):
        config = directory / "lighttpd.conf"
        config.write_text(f"""
server.modules = ("mod_wstunnel")
server.document-root = "{directory}"
server.bind = "127.0.0.1"
server.port = {port}
server.errorlog = "/dev/null"
server.max-fds = 20000
server.max-connections = 9500
server.listen-backlog = 4096
server.max-read-idle = 3600
server.max-write-idle = 3600
wstunnel.server = ("" => (("host" => "127.0.0.1", "port" => {peer_port})))
wstunnel.frame-type = "binary"
""", encoding="ascii")
        return [find_program("lighttpd"), "-D", "-f", config]


class Websockify(Packaged):
    name = "websockify"
    program = "websockify"
    forks = True

    def command(self, port, peer_port, directory):
        return [find_program("websockify"), f"127.0.0.1:{port}", f"127.0.0.1:{peer_port}"]


class Haproxy(Packaged):
    name = "haproxy (TCP)"
    program = "haproxy"
    raw = True

    def bind(self):
        """What stands behind the address."""
        return ""

    def command(self, port, peer_port, directory):
        config = directory / "haproxy.cfg"
        config.write_text(f"""
global
    maxconn 9500
    nbthread 1
defaults
    mode tcp
    timeout connect 10s
    timeout client 1h
    timeout server 1h
listen bench
    bind 127.0.0.1:{port}{self.bind()}
    server peer 127.0.0.1:{peer_port}
""", encoding="ascii")
        return [find_program("haproxy"), "-db", "-q", "-f", config]


class HaproxyTls(Haproxy):
    name = "haproxy (TLS)"
    tls = True

    def missing(self):
        return super().missing() or self.options.certificates.missing

    def bind(self):
        # It looks for the keys beside the certificates.
        return f" ssl crt {self.options.certificates.stem}"


class NginxTls(Packaged):
    name = "nginx stream (TLS)"
    program = "nginx"
    raw = True
    tls = True

    def module(self):
        return self.options.nginx_modules / "ngx_stream_module.so"

    def missing(self):
        if not self.module().exists():
            return super().missing() or f"{self.module()} is missing (libnginx-mod-stream)"
        return super().missing() or self.options.certificates.missing

    def command(self, port, peer_port, directory):
        config = directory / "nginx.conf"
        pairs = "".join(f"ssl_certificate {cert}; ssl_certificate_key {key};\n"
                        for cert, key in self.options.certificates.pairs)
        config.write_text(f"""
load_module {self.module()};
daemon off;
master_process off;
pid {directory}/pid;
error_log {directory}/error.log crit;
worker_rlimit_nofile 20000;
events {{ worker_connections 19000; }}
stream {{
    server {{
        listen 127.0.0.1:{port} ssl backlog=4096;
        ssl_protocols TLSv1.2 TLSv1.3;
        {pairs}
        proxy_pass 127.0.0.1:{peer_port};
        proxy_timeout 1h;
    }}
}}
""", encoding="ascii")
        return [find_program("nginx"), "-p", directory, "-c", config]


class Socat(Packaged):
    name = "socat (TCP)"
    program = "socat"
    raw = True
    forks = True

    def command(self, port, peer_port, directory):
        return [find_program("socat"),
                f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork,nodelay,backlog=4096",
                f"TCP:127.0.0.1:{peer_port},nodelay"]


class Node(Contestant):
    name = "node + ws"

    def environment(self):
        # The last is where Debian's node-ws is.
        places = [str(self.options.node_modules), os.environ.get("NODE_PATH", ""), "/usr/share/nodejs"]
        return {**os.environ, "NODE_PATH": os.pathsep.join(filter(None, places))}

    def missing(self):
        node = find_program("node")
        if not node:
            return "node is not installed"
        found = subprocess.run([node, "-e", "require('ws')"], env=self.environment(), cwd=BENCH,
                               capture_output=True, check=False)
        return None if found.returncode == 0 else (
            "the package ws is missing (Debian: node-ws)")

    def command(self, port, peer_port, directory):
        return [find_program("node"), BENCH / "node-bridge.js", port, peer_port]


ALL = (Rawfwd, Websocksy, RawfwdSplice, Lighttpd, Node, Websockify, Haproxy, Socat,
       WebsocksyTls, HaproxyTls, NginxTls)
