# SPDX-License-Identifier: BSD-2-Clause
"""The targets of the Makefile, in a copy of the sources: settings, missing libraries, checks, the Git hook."""
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tools.daemon import BINARY, ROOT, environment
from tools.waiting import TIMEOUT

# What stands for the compiler: each object file is the command that would have made it.
COMPILER = """#!/bin/sh
for argument; do
	case $argument in
	-E) exec cat ;;
	-o) out= ;;
	*) [ -n "${out-x}" ] || out=$argument ;;
	esac
done
printf '%s ' "$@" >"$out"
"""


# The Makefile, not what it builds: once is enough, whatever the daemon was built with.
pytestmark = pytest.mark.once


@pytest.fixture
def tree(tmp_path):
    """The sources without build products."""
    folder = tmp_path / "tree"
    ignored = shutil.ignore_patterns(".git", "build", "obj", "unit", "*.so", "node_modules", "__pycache__", "websocksy")
    shutil.copytree(ROOT, folder, ignore=ignored)
    return folder


@pytest.fixture
def small(tree):
    """Those at the top, a plugin and one of each layer; and a compiler that only writes down how it was called."""
    for layer in ("base", "websocket", "network", "http", "plugin", "service", "config", "bridge", "plugins"):
        for path in sorted((tree / layer).glob("*.c"))[1:]:
            path.unlink()
    compiler = tree.parent / "cc"
    compiler.write_text(COMPILER)
    compiler.chmod(0o755)
    return tree


def make(folder, *args, **variables):
    names = ("MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "MAKELEVEL", "CPPFLAGS", "CFLAGS", "SANITIZE", "CC", "OUT")
    env = {name: value for name, value in environment().items() if name not in names}
    return subprocess.run(["make", "-C", folder, *args], env={**env, **variables}, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=5 * TIMEOUT)


def build(folder, *args, **variables):
    result = make(folder, f"CC={folder.parent / 'cc'}", "-j2", "all", *args, **variables)
    assert result.returncode == 0, result.stdout
    return result.stdout


def commands(folder):
    """{source: the command that compiled it}"""
    return {path: path.read_text() for path in [*folder.glob("obj/*.o"), *folder.glob("plugins/*.so")]}


def test_blank_in_the_path(tree):
    """Thirty lines of warnings did not tell what is wrong."""
    folder = tree.rename(tree.parent / "a b")
    result = make(folder, "all")
    assert result.returncode != 0
    lines = [line for line in result.stdout.splitlines() if "directory `" not in line and "directory '" not in line]
    assert len(lines) == 1 and "path contains a blank" in lines[0] and "a b" in lines[0], result.stdout


def test_variables_of_packagers_are_used(small):
    build(small, CPPFLAGS="-D_FORTIFY_SOURCE=2", CFLAGS="-O1", LDFLAGS="-Wl,-O1")
    found = commands(small)
    assert len(found) > 5
    assert all("-D_FORTIFY_SOURCE=2" in command and "-O1" in command for command in found.values())
    assert "-Wl,-O1" in (small / "websocksy").read_text()


def test_protections_are_the_default(small):
    """The default build had neither a stack protector nor checked library calls."""
    build(small)
    for path, command in commands(small).items():
        assert "-fstack-protector" in command and "-D_FORTIFY_SOURCE=2" in command, path
    for path in (small / "websocksy", *small.glob("plugins/*.so")):
        assert "-Wl,-z,relro,-z,now" in path.read_text(), path


@pytest.mark.parametrize("setting", ("CFLAGS=-O0", "SANITIZE=address", "CPPFLAGS=-D_FORTIFY_SOURCE=3"))
def test_checked_library_calls_give_way(small, setting):
    """They need optimization, exclude sanitizers, and a value of the packager counts."""
    build(small, setting)
    assert not any("-D_FORTIFY_SOURCE=2" in command for command in commands(small).values())


@pytest.mark.skipif(not shutil.which("readelf"), reason="no binutils")
def test_plugins_bind_all_symbols_at_once():
    """They had lazy binding, so their table of functions stayed writable."""
    plugins = list(Path(BINARY).parent.glob("plugins/*.so"))
    for path in (Path(BINARY), *plugins):
        dynamic = subprocess.run(["readelf", "-Wdl", path], capture_output=True, text=True, check=True).stdout
        assert "BIND_NOW" in dynamic and "GNU_RELRO" in dynamic, path
    assert plugins


def test_nothing_is_built_twice(small):
    build(small)
    assert " -o " not in build(small)


@pytest.mark.parametrize("setting", ("CFLAGS=-O0", "SANITIZE=address", "CPPFLAGS=-DX=1", "LDLIBS=-lm"))
def test_other_settings_build_anew(small, setting):
    build(small)
    before = commands(small)
    build(small, setting)
    wanted = setting.split("=", 1)[1]
    assert all(command != before[path] for path, command in commands(small).items()
               if setting.startswith(("CFLAGS", "CPPFLAGS", "SANITIZE")))
    assert wanted in (small / "websocksy").read_text()


@pytest.mark.parametrize("goal", ("all", "install", "unit"))
def test_a_missing_library_is_one_line(small, goal):
    fake = small.parent / "pkg-config"
    fake.write_text("#!/bin/sh\nfor last; do :; done\n[ \"$last\" != libcares ]\n")
    fake.chmod(0o755)
    result = make(small, f"CC={small.parent / 'cc'}", f"PKG_CONFIG={fake}", goal)
    assert result.returncode != 0
    lines = [line for line in result.stdout.splitlines() if not line.startswith("make: ")]
    assert len(lines) == 1 and "not found: libcares." in lines[0] and "libc-ares-dev" in lines[0]
    assert make(small, f"PKG_CONFIG={fake}", "clean").returncode == 0


def test_a_missing_compiler_is_one_line(small):
    result = make(small, "CC=no-such-compiler")
    assert result.returncode != 0 and "not found: no-such-compiler" in result.stdout


def test_sources_of_plugins_at_the_top_are_not_compiled(small):
    (small / "paragraph.c").write_text("#error this is a plugin\n")
    assert "paragraph" not in build(small)


def test_targets_do_something():
    """`make test` that does nothing would be taken for tests that have passed."""
    for goal, command in (("test", "tests/run.sh"), ("check", "tests/layers.py"), ("format", "clang-format -i"),
                          ("debug", "address,undefined")):
        assert command in make(ROOT, "-n", goal).stdout, goal
    assert "-DLOOP_CHECK" in make(ROOT, "-n", "debug").stdout


# --- format and layers -----------------------------------------------------------------------------

needs_formatter = pytest.mark.skipif(not shutil.which("clang-format"), reason="no clang-format")


@needs_formatter
def test_sources_are_formatted(tree):
    result = make(tree, "check-format")
    assert result.returncode == 0, result.stdout


@needs_formatter
def test_format_repairs(small):
    with open(small / "websocksy.c", "a") as source:
        source.write("int  badly_formatted ;\n")
    assert make(small, "check-format").returncode != 0
    assert make(small, "format").returncode == 0
    assert make(small, "check-format").returncode == 0


def git(folder, *args):
    names = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
    env = {name: value for name, value in os.environ.items() if name not in names}
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "core.hooksPath=tools")
    return subprocess.run(["git", *identity, *args], cwd=folder, env=env, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=TIMEOUT)


@needs_formatter
@pytest.mark.skipif(not shutil.which("git"), reason="no git")
@pytest.mark.parametrize("line, problem", (
    ("int  badly_formatted ;\n", "is not formatted"), ('#include "bridge/bridge.h"\n', "in a higher layer")))
def test_hook_refuses_commits(tree, line, problem):
    git(tree, "init", "-q")
    git(tree, "add", ".")
    assert git(tree, "commit", "-q", "-m", "start", "--no-verify").returncode == 0
    path = tree / "base/log.c"
    path.write_text(path.read_text() + "\n")
    path.write_text(path.read_text().rstrip("\n") + "\n" + line)
    git(tree, "add", ".")
    result = git(tree, "commit", "-q", "-m", "change")
    assert result.returncode != 0 and problem in result.stdout
