#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Compares the object files with the table of files and floors in docs/design.md.

    layers.py OBJECT_FOLDER

For every undefined symbol of an object that another object defines, the table has to allow the call:
the other file is named in the row's "may call" (or the row says "all") and stands on a lower floor.
Every source file has its row and every row its file. Files said to use no descriptors or to open no
files call nothing that does. No file has writable data but those below.

Prints one line for each violation; the exit status is 0 if there is none.
"""
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROW = re.compile(r"\| *(\d+) *\| *`(\w+)\.c` *\| *(.*?) *\| *(.*?) *\|$")
# Rows that have no source yet.
INPUT_OUTPUT = set(
    "accept accept4 bind close connect creat epoll_create1 epoll_ctl epoll_wait fclose fdopen fopen "
    "fopen64 fread fwrite getsockname ioctl listen mkfifo open open64 openat openat64 pipe pipe2 poll "
    "pread read readv recv recvfrom recvmsg recvmmsg send sendmsg sendmmsg sendto shutdown socket "
    "socketpair splice stat write writev".split())
# The log level has to be reachable from everywhere, and the functions of the plugin interface take no
# context, so what they register is kept beside them.
WRITABLE = {"log", "plugin"}


def read_table(text):
    """{file: (floor, what it owns, set of files that it may call)}"""
    rows = {}
    for line in text.splitlines():
        match = ROW.match(line)
        if match:
            floor, name, owns, calls = match.groups()
            rows[name] = (int(floor), owns, set(re.findall(r"\w+", calls)))
    return rows


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def read_symbols(path):
    """(defined, undefined) global symbols of an object file"""
    defined, undefined = set(), set()
    for line in run("nm", "-g", "-P", str(path)).splitlines():
        name, kind = line.split()[:2]
        (undefined if kind in "Uvw" else defined).add(name)
    return defined, undefined


def writable_objects(path):
    """Names of the variables in .data and .bss."""
    found = []
    for line in run("objdump", "-t", str(path)).splitlines():
        match = re.match(r"[0-9a-f]+ .{6}O (\.data|\.bss)\s+[0-9a-f]+ +(?:\.hidden )?(\S+)$", line)
        if match:
            found.append(match.group(2))
    return found


def check_rows(rows, sources, objects):
    for name in sorted(sources - set(rows)):
        yield f"{name}.c has no row in docs/design.md"
    for name in sorted(set(rows) - sources):
        yield f"docs/design.md has a row for {name}.c, which does not exist"
    for name in sorted(sources - set(objects)):
        yield f"{name}.c has no object file: build first"
    for name, (floor, _, calls) in sorted(rows.items()):
        for other in sorted(calls - {"all"}):
            if other not in rows:
                yield f"docs/design.md lets {name} call {other}, which has no row"
            elif rows[other][0] >= floor:
                yield f"docs/design.md lets {name} (floor {floor}) call {other} (floor {rows[other][0]})"


def check_calls(rows, objects):
    home = {symbol: name for name, (defined, _) in objects.items() for symbol in defined}
    for name, (_, undefined) in sorted(objects.items()):
        floor, owns, calls = rows.get(name, (0, "", set()))
        for symbol in sorted(undefined & set(home)):
            other = home[symbol]
            if other not in calls and "all" not in calls:
                yield f"{name} calls {symbol} of {other}, which docs/design.md does not allow"
            elif other in rows and rows[other][0] >= floor:
                yield f"{name} (floor {floor}) calls {symbol} of {other} (floor {rows[other][0]})"
        if "no descriptors" in owns or "opens no files" in owns:
            for symbol in sorted(undefined & INPUT_OUTPUT):
                yield f"{name} calls {symbol} though docs/design.md says: {owns}"


def check_data(folder, objects):
    for name in sorted(set(objects) - WRITABLE):
        for variable in writable_objects(folder / f"{name}.o"):
            yield f"{name}.c has a writable variable outside of its functions' arguments: {variable}"


def main(folder):
    rows = read_table((ROOT / "docs" / "design.md").read_text())
    if not rows:
        print("docs/design.md has no table of files")
        return 1
    sources = {path.stem for path in ROOT.glob("*.c")}
    objects = {name: read_symbols(folder / f"{name}.o") for name in sources
               if (folder / f"{name}.o").exists()}
    found = [*check_rows(rows, sources, objects), *check_calls(rows, objects),
             *check_data(folder, objects)]
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: layers.py OBJECT_FOLDER")
    sys.exit(main(Path(sys.argv[1])))
