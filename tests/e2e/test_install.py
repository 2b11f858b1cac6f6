# SPDX-License-Identifier: BSD-2-Clause
"""make install, into a root of its own: everything is there, fits its prefix, works, and goes away again."""
import contextlib
import fcntl
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tools.daemon import BINARY, ROOT, environment, run_once
from tools.waiting import TIMEOUT

# They install from one build and into one place; so one process runs them, if it is asked to (--dist loadgroup).
pytestmark = [pytest.mark.xdist_group("install"), pytest.mark.once]

# The build that is under test; installing from it costs one object and one link.
OUT = os.path.dirname(BINARY)
PREFIX = "/opt/bridge"


@contextlib.contextmanager
def build_to_ourselves():
    """Without --dist loadgroup, several processes install from this build, which links the binary for it."""
    with open(Path(OUT, "obj/settings"), encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make(*args, check=True):
    """Runs make with the settings of the build under test, so that none of its objects is built again."""
    env = {name: value for name, value in environment().items()
           if name not in ("MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "MAKELEVEL", "PLUGINPATH", "DESTDIR", "PREFIX")}
    settings = Path(OUT, "obj/settings").read_text().splitlines()
    with build_to_ourselves():
        result = subprocess.run(["make", "-C", ROOT, f"OUT={OUT}", *settings, *args], env=env, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=5 * TIMEOUT)
    assert not check or result.returncode == 0, result.stdout
    return result


def files_in(folder):
    return sorted(os.path.relpath(os.path.join(path, name), folder)
                  for path, _, names in os.walk(folder) for name in names)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("root")
    make("install", f"DESTDIR={folder}", f"PREFIX={PREFIX}")
    return folder


def path_in(root, *parts):
    return root / PREFIX[1:] / "/".join(parts)


def modes_of(paths):
    return {stat.S_IMODE(os.stat(path).st_mode) for path in paths}


def test_everything_is_beneath_the_prefix(root):
    assert all(name.startswith(PREFIX[1:] + "/") for name in files_in(root))


def version_of_the_header():
    return re.search(r'^#define WEBSOCKSY_VERSION "(.*)"$', (ROOT / "websocksy.h").read_text(), re.MULTILINE)[1]


def test_binary_and_headers(root):
    assert modes_of([path_in(root, "bin/websocksy")]) == {0o755}
    for name in ("websocksy.h", "websocksy_plugin.h"):
        header = path_in(root, "include") / name
        assert header.read_bytes() == (ROOT / name).read_bytes()
        assert modes_of([header]) == {0o644}


@pytest.mark.parametrize("name, place", (
    ("websocksy.8", "man8"), ("websocksy.conf.5", "man5"), ("websocksy-replay.1", "man1"),
    ("websocksy-http.7", "man7"), ("websocksy-jwt.7", "man7"), ("websocksy-redis.7", "man7"),
    ("websocksy-token.7", "man7"), ("websocksy-url.7", "man7"), ("websocksy-framings.7", "man7")))
def test_manuals_tell_the_version(root, name, place):
    page = path_in(root, f"share/man/{place}/{name}")
    assert modes_of([page]) == {0o644}
    source = (ROOT / "man" / name).read_text()
    assert page.read_text() == source.replace("\n.Os websocksy\n", f"\n.Os websocksy {version_of_the_header()}\n")
    assert page.read_text() != source


def test_one_version_number():
    """The header has it; the daemon and the list of changes agree."""
    version = version_of_the_header()
    assert run_once("--version").stdout.startswith(f"websocksy {version} ")
    assert re.search(r"^## \[(.*)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1] == version


def test_all_plugins_are_there(root):
    sources = sorted(path.stem for path in (ROOT / "plugins").glob("*.c"))
    assert "backend_file" in sources and "json" in sources
    folder = path_in(root, "lib/websocksy")
    assert sorted(path.name for path in folder.glob("*.so")) == [f"{name}.so" for name in sources]
    assert [path.name for path in (folder / "preload").iterdir()] == ["rebind.so"]
    # Plugins that others could write to are not loaded.
    assert not any(mode & 0o022 for mode in modes_of([folder, *folder.iterdir()]))


def test_names_of_websockify_lead_to_the_binary(root):
    for name in ("websockify", "run", "wsproxy"):
        link = path_in(root, "lib/websocksy/compat") / name
        assert link.is_symlink() and link.resolve() == path_in(root, "bin/websocksy").resolve()
        result = subprocess.run([link], capture_output=True, text=True, check=False)
        assert (result.returncode, result.stderr.splitlines()[-1]) == (2, f"{name}: error: Too few arguments")


def test_documentation_and_examples_are_there(root):
    folder = path_in(root, "share/doc/websocksy")
    there = files_in(folder)
    for name in ("README.md", "LICENSE.txt", "CHANGELOG.md", "docs/plugins.md", "docs/performance.svg",
                 "docs/notes/performance.md", "plugins/backend_file.md", "index.html",
                 "examples/websocksy.conf", "examples/websocksy-file.conf", "examples/nginx.conf",
                 "examples/framing_example.c", "examples/backend_example.c", "examples/routes/chat"):
        assert name in there, name
    compiled = [name for name in there if (folder / name).read_bytes().startswith(b"\x7fELF")]
    assert compiled == []


def test_links_lead_somewhere(root):
    """In the source tree all of them, among the installed files those to other documents."""
    folder = path_in(root, "share/doc/websocksy")
    pages = [name for name in files_in(folder) if name.endswith(".md")]
    assert "README.md" in pages
    for name in pages:
        for link in re.findall(r"\]\(([^)#]+)\)", (folder / name).read_text()):
            if "://" not in link:
                assert (ROOT / name).parent.joinpath(link).exists(), (name, link)
                if link.endswith((".md", ".txt", ".svg")):
                    assert (folder / name).parent.joinpath(link).exists(), (name, link)


def test_unit_starts_what_was_installed(root):
    text = path_in(root, "lib/systemd/system/websocksy.service").read_text()
    lines = re.findall(r"^ExecStart(?:Pre)?=(\S+)", text, re.MULTILINE)
    assert lines and set(lines) == {f"{PREFIX}/bin/websocksy"}
    assert path_in(root, "lib/systemd/system/websocksy.socket").exists()


def test_no_other_prefix_is_left_over(root):
    for folder in ("lib/systemd/system", "share/doc/websocksy/examples"):
        for name in files_in(path_in(root, folder)):
            if name.endswith((".conf", ".service", ".socket")):
                assert "/usr/local" not in path_in(root, folder, name).read_text(), name


def test_destdir_is_known_to_nothing(root):
    for name in files_in(root):
        assert os.fsencode(root) not in (root / name).read_bytes(), name


def default_plugin_path(binary):
    env = environment({"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "")})
    text = subprocess.run([binary, "--dump-config"], text=True, stdin=subprocess.DEVNULL, env=env,
                          capture_output=True, check=True, timeout=5 * TIMEOUT).stdout
    return re.search(r"^plugin-path = (.*)$", text, re.MULTILINE)[1]


def test_installed_binary_looks_for_the_installed_plugins(root):
    assert default_plugin_path(path_in(root, "bin/websocksy")) == f"{PREFIX}/lib/websocksy"


def test_binary_in_the_build_tree_stays_with_its_own(root):
    path = default_plugin_path(BINARY)
    assert not path.startswith(PREFIX)
    assert os.path.exists(f"{path}/backend_file.so")


def test_installed_binary_runs_with_the_installed_plugins(root, tmp_path):
    """The prefix itself is not writable for a test, so the path is given."""
    result = subprocess.run(
        [path_in(root, "bin/websocksy"), f"--plugin-path={path_in(root, 'lib/websocksy')}", "-b", "file",
         "-c", f"path={tmp_path}", "-c", "expression=%endpoint%", "-t"],
        text=True, capture_output=True, env=environment(), timeout=5 * TIMEOUT)
    assert result.returncode == 0, result.stderr


def test_installed_into_its_real_place(tmp_path):
    """Without DESTDIR the binary finds its plugins by itself."""
    prefix = tmp_path / "prefix"
    make("install", f"PREFIX={prefix}")
    routes = tmp_path / "routes"
    routes.mkdir()
    result = subprocess.run(
        [prefix / "bin/websocksy", "-b", "file", "-c", f"path={routes}", "-c", "expression=x", "-t"],
        text=True, capture_output=True, env=environment(), timeout=5 * TIMEOUT)
    assert result.returncode == 0, result.stderr
    make("uninstall", f"PREFIX={prefix}")
    assert files_in(prefix) == []


def test_header_is_enough_to_build_a_plugin(root, tmp_path):
    """What docs/plugins.md tells a user with the installed files."""
    compiler = os.environ.get("CC", "cc")
    if not shutil.which(compiler):
        pytest.skip("no C compiler")
    subprocess.run(
        [compiler, "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", f"-I{path_in(root, 'include')}", "-o",
         tmp_path / "example.so", path_in(root, "share/doc/websocksy/examples/framing_example.c")], check=True)
    name = re.search(r'core_register_framing\("(\w+)"', (ROOT / "examples/framing_example.c").read_text())[1]
    result = run_once(f"--plugin-path={tmp_path}", "-c", "host=echo://", "-c", f"framing={name}", "-t")
    assert result.returncode == 0, result.stderr


def test_uninstall_leaves_nothing(tmp_path):
    make("install", f"DESTDIR={tmp_path}", f"PREFIX={PREFIX}")
    assert files_in(tmp_path)
    make("uninstall", f"DESTDIR={tmp_path}", f"PREFIX={PREFIX}")
    assert files_in(tmp_path) == []
    own = [path for path, _, _ in os.walk(tmp_path) if path.endswith("/websocksy")]
    assert own == []
    make("uninstall", f"DESTDIR={tmp_path}", f"PREFIX={PREFIX}")  # again: nothing to do is not an error


def test_uninstall_leaves_what_is_not_ours(tmp_path):
    make("install", f"DESTDIR={tmp_path}", f"PREFIX={PREFIX}")
    mine = path_in(tmp_path, "lib/websocksy/mine.so")
    mine.write_text("")
    make("uninstall", f"DESTDIR={tmp_path}", f"PREFIX={PREFIX}")
    assert files_in(tmp_path) == [os.path.relpath(mine, tmp_path)]


def test_relative_prefix_is_refused(tmp_path):
    result = make("install", f"DESTDIR={tmp_path}/", "PREFIX=usr", check=False)
    assert result.returncode != 0 and "absolute" in result.stdout
    assert files_in(tmp_path) == []


def test_pluginpath_given_to_make(tmp_path):
    """A build of its own, in which the objects that do not know the path are those of the other: it is compiled
    into both binaries, and the plugins go there."""
    out, root, where = tmp_path / "out", tmp_path / "root", "/opt/elsewhere/plugins"
    with build_to_ourselves():
        for folder in ("obj", "plugins"):
            shutil.copytree(Path(OUT, folder), out / folder)
    args = (f"OUT={out}", f"PLUGINPATH={where}")
    make(*args, "-j2", "install", str(out / "websocksy"), f"DESTDIR={root}", f"PREFIX={PREFIX}")
    assert default_plugin_path(out / "websocksy") == where
    assert default_plugin_path(path_in(root, "bin/websocksy")) == where
    assert (root / where[1:] / "backend_file.so").exists()
    assert not list(path_in(root, "lib/websocksy").glob("*.so"))
    make(*args, "uninstall", f"DESTDIR={root}", f"PREFIX={PREFIX}")
    assert files_in(root) == []
