#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Checks the layers of the source tree.

    layers.py                    the #include lines, the table of files, and the imports of tests
    layers.py OBJECT_FOLDER      the object files as well

Layers, lowest first: base, websocket, network, http, plugin and builtins, service, config, bridge, supervisor, compat, websocksy.c. A
layer is the directory of that name and the file of that name at the top level. A file includes, and calls, only what is in
its own layer or in one below. Three further rules are read off the object files: the calls between files form no cycle,
files that must not touch descriptors call nothing that does, and no file has writable variables but those listed.
The table of files in docs/design.md has one row for each source file, and for each header without one. No test module
imports another.

Prints one line for each violation; the exit status is 0 if there is none.
"""
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LAYERS = {
    name: number
    for number, names in enumerate((
        ("base",), ("websocket",), ("network",), ("http",), ("plugin", "builtins"), ("service",), ("config",),
        ("bridge",), ("supervisor",), ("compat",), ("websocksy",)))
    for name in names
}
# The plugin interface: declarations alone, for everybody.
INTERFACES = ("websocksy.h", "websocksy_plugin.h")
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)
# | `base/text.c` | its subject |
TABLE_ROW = re.compile(r"^\| `([\w/]+\.[ch])` \| [^|]+ \|$", re.MULTILINE)
TEST_IMPORT = re.compile(r"^\s*(?:from|import) (test_\w+)", re.MULTILINE)
# Parsers and codecs: their tests feed them bytes, so they never see a descriptor.
WITHOUT_DESCRIPTORS = (
    "base/text", "base/address", "base/cidr", "base/number", "base/utf8", "base/utf8_block", "base/utf8_avx2",
    "base/base64", "base/base64_block", "base/base64_avx2", "base/bufq", "base/dynbuf",
    "base/log_escape", "base/log_line",
    "websocket", "websocket/unmask_avx2", "websocket/close", "websocket/key", "websocket/legacy",
    "network/proxy_protocol", "network/server_name", "http/basic", "http/client_view", "http/date", "http/extensions",
    "http/forwarded", "http/mime", "http/negotiate", "http/origin", "http/page_fields", "http/request",
    "http/response", "http/target", "config/ini")
INPUT_OUTPUT = set(
    "accept accept4 bind close connect creat epoll_create1 epoll_ctl epoll_wait fclose fdopen fopen "
    "fopen64 fread fwrite getsockname ioctl listen mkfifo open open64 openat openat64 pipe pipe2 poll "
    "pread read readv recv recvfrom recvmsg recvmmsg send sendmsg sendmmsg sendto shutdown socket "
    "socketpair splice stat write writev".split())
# The log level has to be reachable from everywhere, and the functions of the plugin interface take no
# context, so what they register is kept beside them.
WRITABLE = {"base/log", "plugin", "plugin/backend", "plugin/framings"}


def layer_of(name):
    """The number of the layer of a path like "base/loop" or "config"; None: no part of the daemon."""
    return LAYERS.get(name.split("/")[0])


def source_files():
    """{name: path} of everything that the daemon is made of, headers included."""
    found = {}
    for name in LAYERS:
        for path in [ROOT / f"{name}.c", ROOT / f"{name}.h", *sorted((ROOT / name).glob("*.[ch]"))]:
            if path.exists():
                found[str(path.relative_to(ROOT))] = path
    return found


def check_includes(files):
    for name, path in files.items():
        for included in INCLUDE.findall(path.read_text()):
            if included in INTERFACES:
                continue
            if included not in files:
                yield f"{name} includes \"{included}\", which is not a path from the top of the tree"
            elif layer_of(Path(included).with_suffix("").as_posix()) > layer_of(
                    Path(name).with_suffix("").as_posix()):
                yield f"{name} includes {included}, which is in a higher layer"


def check_table(files):
    """A header beside its source file needs no row."""
    rows = TABLE_ROW.findall((ROOT / "docs/design.md").read_text())
    wanted = {name for name in files if name.endswith(".c") or f"{name[:-2]}.c" not in files}
    for name in sorted(wanted - set(rows)):
        yield f"docs/design.md: the table of files has no row for {name}"
    for name in sorted(set(rows) - wanted):
        yield f"docs/design.md: the table of files has a row for {name}, which does not exist"
    for name in sorted({name for name in rows if rows.count(name) > 1}):
        yield f"docs/design.md: the table of files has several rows for {name}"


def check_tests():
    """Tools that several test modules use are in tests/e2e/tools/."""
    for path in sorted((ROOT / "tests/e2e").rglob("*.py")):
        for module in TEST_IMPORT.findall(path.read_text()):
            yield f"{path.relative_to(ROOT)} imports {module}, which is a test module"


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def read_symbols(paths):
    """{path: (defined, undefined)}: the global symbols of object files"""
    found = {str(path): (set(), set()) for path in paths}
    for line in run("nm", "-g", "-P", "-A", *found).splitlines():
        path, symbol = line.split(": ", 1)
        name, kind = symbol.split()[:2]
        found[path][kind in "Uvw"].add(name)
    return found


def writable_objects(paths):
    """(path, name) of the variables in .data and .bss."""
    path = None
    for line in run("objdump", "-t", *(str(path) for path in paths)).splitlines():
        header = re.match(r"(.*):     file format ", line)
        if header:
            path = header.group(1)
        match = re.match(r"[0-9a-f]+ .{6}O (\.data|\.bss)\s+[0-9a-f]+ +(?:\.hidden )?(\S+)$", line)
        if match:
            yield path, match.group(2)


def read_objects(folder, files):
    """{name: (defined, undefined)} of the files that have been compiled"""
    paths = {name[:-2]: folder / f"{name[:-2]}.o" for name in files if name.endswith(".c")}
    paths = {name: path for name, path in paths.items() if path.exists()}
    symbols = read_symbols(paths.values()) if paths else {}
    return {name: symbols[str(path)] for name, path in paths.items()}


def check_calls(objects):
    home = {symbol: name for name, (defined, _) in objects.items() for symbol in defined}
    calls = {name: {home[symbol]: symbol for symbol in undefined if symbol in home}
             for name, (_, undefined) in objects.items()}
    for name, called in sorted(calls.items()):
        for other, symbol in sorted(called.items()):
            if layer_of(other) > layer_of(name):
                yield f"{name}.c calls {symbol} of {other}.c, which is in a higher layer"
    yield from check_cycles(calls)


def check_cycles(calls):
    """Takes away the files that call no other file that is left; what cannot be taken away is in a cycle or above."""
    left = {name: set(called) - {name} for name, called in calls.items()}
    while left:
        free = [name for name, called in left.items() if not called & set(left)]
        if not free:
            yield "these files call each other in a cycle, or call such files: " + ", ".join(
                f"{name}.c" for name in sorted(left))
            return
        for name in free:
            del left[name]


def check_descriptors(objects):
    for name, (_, undefined) in sorted(objects.items()):
        if name in WITHOUT_DESCRIPTORS:
            for symbol in sorted(undefined & INPUT_OUTPUT):
                yield f"{name}.c calls {symbol}, but it must not touch descriptors"


def check_data(folder, objects):
    names = {str(folder / f"{name}.o"): name for name in sorted(set(objects) - WRITABLE)}
    for path, variable in writable_objects(names) if names else ():
        yield f"{names[path]}.c has a writable variable outside of its functions' arguments: {variable}"


def check_objects(folder, files):
    objects = read_objects(folder, files)
    for name in sorted(files):
        if name.endswith(".c") and name[:-2] not in objects:
            yield f"{name} has no object file: build first"
    for name in sorted({*WITHOUT_DESCRIPTORS, *WRITABLE} - set(objects)):
        yield f"layers.py names {name}.c, which does not exist"
    yield from check_calls(objects)
    yield from check_descriptors(objects)
    yield from check_data(folder, objects)


def main(folder=None):
    files = source_files()
    found = [*check_includes(files), *check_table(files), *check_tests()]
    if folder:
        found += check_objects(Path(folder), files)
    for line in found:
        print(line)
    return 1 if found or not files else 0


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit("usage: layers.py [OBJECT_FOLDER]")
    sys.exit(main(*sys.argv[1:]))
