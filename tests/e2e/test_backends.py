# SPDX-License-Identifier: BSD-2-Clause
"""Backends: the built-in one, files, and shared objects that tests compile, good and bad ones."""
import os
import shutil
import time

import pytest

from tools.daemon import Daemon, run_once
from tools.frames import BIN, TEXT
from tools.http import build_request
from tools.peers import TcpPeer, UnixPeer, echo
from tools.plugin_builder import CLASSIC_BACKEND, build_plugin
from tools.waiting import eventually, observed


def check_error(daemon, status, body, **request):
    answer = daemon.http(**request)
    assert answer.status == status, answer
    assert body in answer.body.decode(), answer
    return answer


def chosen(daemon, path="/", **request):
    """The subprotocol that an upgraded client was answered with."""
    client = daemon.open(path, **request)
    protocol = client.response.header("Sec-WebSocket-Protocol")
    client.close()
    return protocol


# --- the built-in backend -----------------------------------------------------------------------


def test_protocol_unset(run):
    """Only clients that offer none are accepted; the answer to others says so, and so does the log."""
    daemon = run(Daemon(peer="echo://"))
    assert chosen(daemon) is None
    check_error(daemon, 400, "subprotocols are not accepted, because none is configured", protocols="binary")
    daemon.wait_log(r'offers subprotocol "binary" is refused: backend option protocol is not set')


@pytest.mark.parametrize("offer, answer", (
    (None, None), ("binary", "binary"), ("base64", "base64"), ("base64, binary", "binary"),
    ("chat,binary", "binary"), ("x , base64 ,y", "base64"),
))
def test_protocol_list_is_in_order_of_preference(run, offer, answer):
    daemon = run(Daemon("-c", "protocol=binary, base64", peer="echo://"))
    assert chosen(daemon, protocols=offer) == answer


@pytest.mark.parametrize("offer", ("chat", "Binary", "binar", "binaryx", "binary2, bin"))
def test_protocol_that_is_not_in_the_list(run, offer):
    daemon = run(Daemon("-c", "protocol=binary,base64", peer="echo://"))
    check_error(daemon, 400, "none of the offered subprotocols is accepted", protocols=offer)
    daemon.wait_log(r'accepts only "binary,base64"')


@pytest.mark.parametrize("offer, answer", (
    (None, None), ("chat", "chat"), ("one, two", "one"), ("*", "*"), ("a!#$%&'*+-.^_`|~z", "a!#$%&'*+-.^_`|~z"),
))
def test_protocol_asterisk_takes_the_first(run, offer, answer):
    daemon = run(Daemon("-c", "protocol=*", peer="echo://"))
    assert chosen(daemon, protocols=offer) == answer


def test_protocols_in_several_headers(run):
    daemon = run(Daemon("-c", "protocol=three", peer="echo://"))
    extra = [("Sec-WebSocket-Protocol", "one, two"), ("sec-websocket-protocol", "three")]
    assert chosen(daemon, extra=extra) == "three"


def test_default_peer(run):
    """Without any option the peer is tcp://localhost:5900, the port of VNC; here mostly no service is there."""
    daemon = run(Daemon("--log-level=debug"))
    client = daemon.connect()
    client.send_raw(build_request())
    assert client.recv_http().status in (101, 502)
    daemon.wait_log(r"connect(ed)? to tcp://localhost:5900[,:]")


@pytest.mark.parametrize("option", ("nosuch=1", "host=", "port=0", "port=70000", "host"))
def test_bad_option_stops_the_start(option):
    result = run_once("-p", "0", "-l", "127.0.0.1", "-c", option)
    assert result.returncode == 1
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1 and option.split("=")[0] in lines[0], lines


# --- the file backend ---------------------------------------------------------------------------


class Routes:
    """A folder of route files whose peers are named: each sends its name to every client."""

    def __init__(self, run, folder):
        self.run = run
        self.folder = folder
        self.peers = {}

    def peer(self, name):
        if name not in self.peers:
            self.peers[name] = self.run(TcpPeer(lambda connection: greet(connection, name)))
        return self.peers[name].url

    def write(self, path, *lines):
        """A line is "NAME REST" with the name of a peer, or anything that begins with '#' or is odd."""
        text = ""
        for line in lines:
            name, _, rest = line.partition(" ")
            text += f"{self.peer(name)} {rest}\n" if name.isalpha() else line + "\n"
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def daemon(self, *expressions, path=None):
        options = [part for expression in expressions for part in ("-c", f"expression={expression}")]
        return self.run(Daemon("-b", "file", "-c", f"path={path or self.folder}", *options))


def greet(connection, name):
    connection.send(name.encode())
    connection.recv_all()


@pytest.fixture
def routes(run, tmp_path):
    folder = tmp_path / "routes"
    folder.mkdir()
    return Routes(run, folder)


def reached(daemon, path="/", **request):
    """The name of the peer that a client came to."""
    client = daemon.open(path, **request)
    name = client.recv_message()[1].decode()
    client.close()
    return name


@pytest.mark.parametrize("path", (
    "/chat", "//chat", "/chat?user=me", "/chat?", "/%63hat", "/ch%61t?x=%2F", "http://localhost/chat", "/chat#part"))
def test_endpoint(routes, path):
    routes.write("chat", "chat *")
    routes.write("other", "other *")
    daemon = routes.daemon("%endpoint%")
    if "#" in path:
        # A fragment has no place in a request; however it is handled, it must not be another route.
        client = daemon.connect()
        client.send_raw(build_request(path))
        assert client.recv_http().status in (101, 400)
        return
    assert reached(daemon, path) == "chat"


@pytest.mark.parametrize("path", ("/room/one", "/room%2Fone", "/room%2fone", "//room/one?x"))
def test_slashes_become_underscores(routes, path):
    routes.write("room_one", "right *")
    routes.write("room/one", "wrong *")
    assert reached(routes.daemon("%endpoint%"), path) == "right"


def test_percent_is_undone_once(routes):
    routes.write("a%2Fb", "right *")
    routes.write("a_b", "wrong *")
    assert reached(routes.daemon("%endpoint%"), "/a%252Fb") == "right"


@pytest.mark.parametrize("path", ("/chat/", "//chat//", "/chat/?x"))
def test_slashes_at_the_ends_do_not_count(routes, path):
    """A path with a slash at its end selects the same peer as the one without."""
    routes.write("chat", "right *")
    assert reached(routes.daemon("%endpoint%"), path) == "right"


@pytest.mark.parametrize("path, peer", (
    ("/websockify?token=vm1", "right"), ("/?a=b&token=%76m1", "right"), ("/?token=vm1&token=vm2", "right"),
    ("/websockify?token=", None), ("/websockify", None), ("/?token=../routes/vm1", None), ("/?token=.vm1", None),
    ("/?token=vm1%00", None)))
def test_query_parameter(routes, path, peer):
    """The query string can choose a peer, as websockify's token files do."""
    routes.write("vm1", "right *")
    routes.write("vm2", "wrong *")
    daemon = routes.daemon("%query:token%")
    if peer:
        assert reached(daemon, path) == peer
    else:
        check_error(daemon, 404, "no peer for this request", path=path)


@pytest.mark.parametrize("path", (
    "/", "/?chat", "/..", "/../secret", "/.hidden", "/%2e%2e/secret", "/%2E%2E%2Fsecret", "/..%2fsecret",
    "/chat%00", "/%00chat", "/chat%", "/chat%2", "/chat%zz", "/nosuch", "/Chat", "/folder", "/link-out",
    "/absolute", "/fifo", "/" + "x" * 300, "/" + "x" * 5000, "/chat%0a", "/%ff"))
def test_no_peer_for_this_path(run, routes, path):
    """404, and nothing outside of the folder is ever read, whatever the path says."""
    (routes.folder.parent / "secret").write_text("echo:// *\n")
    routes.write("chat", "chat *")
    (routes.folder / ".hidden").write_text("echo:// *\n")
    (routes.folder / "folder").mkdir()
    os.symlink("../secret", routes.folder / "link-out")
    os.symlink(routes.folder.parent / "secret", routes.folder / "absolute")
    os.mkfifo(routes.folder / "fifo")
    check_error(routes.daemon("%endpoint%"), 404, "no peer for this request", path=path)


def test_links_inside_of_the_folder(routes):
    routes.write("real/chat", "chat *")
    os.symlink("real/chat", routes.folder / "alias")
    assert reached(routes.daemon("%endpoint%"), "/alias") == "chat"


@pytest.mark.parametrize("cookies, peer", (
    (["session=abc"], "right"), (["a=b; session=abc"], "right"), (["session=abc; a=b"], "right"),
    (["xsession=no; session=abc"], "right"), (["a=b", "session=abc"], "right"), (["  session=abc ;a"], "right"),
    (["session=abc; session=other"], "right"), (["session=", "a=b"], None), (["Session=abc"], None),
    (["session=../abc"], None), (["sessio=abc"], None), (["session"], None), ([], None), (["session=%61bc"], None),
), ids=str)
def test_cookie(routes, cookies, peer):
    routes.write("users/abc", "right *")
    routes.write("users/other", "wrong *")
    routes.write("abc", "wrong *")
    daemon = routes.daemon("users/%cookie:session%")
    extra = [("Cookie" if number % 2 else "cookie", cookie) for number, cookie in enumerate(cookies)]
    if peer:
        assert reached(daemon, extra=extra) == peer
    else:
        check_error(daemon, 404, "no peer for this request", extra=extra)


def test_cookie_as_the_fiftieth_header(routes):
    routes.write("abc", "right *")
    extra = [(f"X-Header-{number}", "value") for number in range(49)] + [("Cookie", "session=abc")]
    assert reached(routes.daemon("%cookie:session%"), extra=extra) == "right"


@pytest.mark.parametrize("name, value, peer", (
    ("X-Remote-User", "alice", "right"), ("x-remote-user", "alice", "right"), ("X-REMOTE-USER", " alice ", "right"),
    ("X-Remote-User", "..", None), ("X-Remote-User", "../alice", None), ("X-Remote-User", ".alice", None),
    ("X-Remote-User", "", None), ("X-Remote-Users", "alice", None), ("X-Remote-User", "%61lice", None),
    ("X-Remote-User", "a/lice", None), ("X-Remote-User", "/alice", None),
))
def test_header(routes, name, value, peer):
    routes.write("users/alice/route", "right *")
    (routes.folder / "route").write_text("echo:// *\n")
    daemon = routes.daemon("users/%header:X-Remote-User%/route")
    if peer:
        assert reached(daemon, headers={name: value}) == peer
    else:
        check_error(daemon, 404, "no peer for this request", headers={name: value})


def test_expressions_are_tried_in_order(routes):
    routes.write("chat", "endpoint *")
    routes.write("alice-chat", "both *")
    routes.write("default", "default *")
    daemon = routes.daemon("%cookie:user%-%endpoint%", "%endpoint%", "default")
    assert reached(daemon, "/chat", headers={"Cookie": "user=alice"}) == "both"
    assert reached(daemon, "/chat", headers={"Cookie": "user=bob"}) == "endpoint"
    assert reached(daemon, "/chat") == "endpoint"
    assert reached(daemon, "/other", headers={"Cookie": "user=alice"}) == "default"
    assert reached(daemon, "/..") == "default"
    assert reached(daemon, "/") == "default"


@pytest.mark.parametrize("offer, peer, protocol", (
    (None, "first", None), ("chat", "second", "chat"), ("binary", "first", "binary"),
    ("binary, chat", "first", "binary"), ("chat, binary", "first", "binary"), ("other", "last", "other"),
    ("other, chat", "second", "chat"),
))
def test_first_line_that_matches_an_offer_counts(routes, offer, peer, protocol):
    routes.write("route", "# a comment", "", "first binary", "  ", "second chat newline lf", "last *")
    client = routes.daemon("route").open(protocols=offer)
    assert client.response.header("Sec-WebSocket-Protocol") == protocol
    if peer != "second":
        assert client.recv_message() == (BIN if protocol == "binary" else TEXT, peer.encode())


def test_no_line_matches(routes):
    routes.write("one", "first binary")
    routes.write("two", "second chat")
    daemon = routes.daemon("one", "two")
    assert reached(daemon, protocols="chat") == "second"
    check_error(daemon, 404, "no peer for this request", protocols="other")


def test_framing_of_a_route(run, routes):
    peer = run(TcpPeer())
    (routes.folder / "route").write_text(f"  {peer.url}\tchat   separator   \\r\\n. \\x2e  \r\n")
    client = routes.daemon("route").open(protocols="chat")
    peer.accept().send(b"a\r\n. .b")
    assert client.recv_message() == (BIN, b"a\r\n. .")


def test_lines_that_are_none_are_skipped(routes):
    (routes.folder / "route").write_bytes(b"alone\nbad\0 line *\n#echo:// *\n")
    daemon = routes.daemon("route")
    check_error(daemon, 404, "no peer for this request")
    daemon.wait_log(r"file: \S+/route:1: must be <peer> <subprotocol>")
    daemon.wait_log(r"file: \S+/route:2: must be")


def test_files_are_read_for_each_connection(routes):
    daemon = routes.daemon("%endpoint%")
    check_error(daemon, 404, "no peer", path="/chat")
    routes.write("chat", "one *")
    assert reached(daemon, "/chat") == "one"
    routes.write("chat", "two *")
    assert reached(daemon, "/chat") == "two"
    (routes.folder / "chat").unlink()
    check_error(daemon, 404, "no peer", path="/chat")


def test_route_without_port(routes):
    (routes.folder / "route").write_text("tcp://localhost *\n")
    daemon = routes.daemon("route")
    check_error(daemon, 502, "the address of the peer is wrong")
    daemon.wait_log('route:1: peer address "tcp://localhost": the port is missing')


@pytest.mark.parametrize("option", (
    "path=/no/such/folder", "expression=../%endpoint%", "expression=%nosuch%", "expression=100%", "expression=",
    "expression=%cookie:%", "nosuch=1"))
def test_bad_option_of_the_file_backend_stops_the_start(option):
    result = run_once("-p", "0", "-l", "127.0.0.1", "-b", "file", "-c", option)
    assert result.returncode == 1, result
    assert option.split("=")[0] in result.stderr


# --- shared objects -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A plugin directory with the backend of the documents."""
    path = tmp_path_factory.mktemp("backends")
    build_plugin(path, "backend_classic", CLASSIC_BACKEND)
    return path


def backend_daemon(run, folder, name, *options, **kwargs):
    arguments = [part for option in options for part in ("-c", option)]
    return run(Daemon(f"--plugin-path={folder}", "-b", name, *arguments, **kwargs))


def test_classic_backend(run, folder):
    peer = run(TcpPeer())
    daemon = backend_daemon(
        run, folder, "classic", "host=tcp://127.0.0.1", f"port={peer.port}", "framing=newline", "framing-config=lf")
    client = daemon.open()
    peer.accept().send(b"one\ntw")
    assert client.recv_message() == (TEXT, b"one\n")
    assert chosen(daemon, protocols="a, b") is None


def test_classic_backend_refuses_an_option(folder):
    result = run_once("-t", f"--plugin-path={folder}", "-b", "classic", "-c", "nosuch=1")
    assert result.returncode == 1
    assert "nosuch" in result.stderr and "classic" in result.stderr


def test_classic_backend_without_a_host_refuses(run, folder):
    daemon = backend_daemon(run, folder, "classic")
    check_error(daemon, 403, "refused by the backend")


HEADER = '#include <stdio.h>\n#include <string.h>\n#include <unistd.h>\n#include "websocksy.h"\n'
QUERY = """ws_peer_info query(char* endpoint, size_t protocols, char** protocol, size_t headers,
        ws_http_header* header, websocket* ws){
    ws_peer_info peer = {.host = NULL};
    (void) endpoint; (void) protocols; (void) protocol; (void) headers; (void) header; (void) ws;
"""
INIT = "uint64_t init(){ return WEBSOCKSY_API_VERSION; }\n"
ECHO = 'peer.host = strdup("echo://"); return peer; }\n'

SOURCES = {
    # tells all that it is told, then writes over it
    "tell": HEADER + INIT + QUERY + r"""
    fprintf(stderr, "endpoint <%s> of %s\n", endpoint, endpoint == ws->request_path ? "the view" : "itself");
    for(size_t i = 0; i < protocols; i++){
        fprintf(stderr, "protocol <%s>\n", protocol[i]);
    }
    for(size_t i = 0; i < headers; i++){
        fprintf(stderr, "header <%s> <%s>\n", header[i].tag, header[i].value);
    }
    fprintf(stderr, "view state %d version %u upgrade %u key %s headers %zu protocols %zu peer_fd %d fd %d\n",
        ws->state, ws->websocket_version, ws->want_upgrade, ws->socket_key, ws->headers, ws->protocols,
        ws->peer_fd, ws->ws_fd > 2);
    memset(endpoint, 'X', strlen(endpoint));
    for(size_t i = 0; i < protocols; i++){
        memset(protocol[i], 'X', strlen(protocol[i]));
    }
    for(size_t i = 0; i < headers; i++){
        memset(header[i].tag, 'X', strlen(header[i].tag));
        memset(header[i].value, 'X', strlen(header[i].value));
        header[i].tag = NULL;
    }
    memset(ws, 'X', sizeof(*ws));
    peer.protocol = 1;
    """ + ECHO,
    "last": HEADER + INIT + QUERY + "peer.protocol = protocols ? protocols - 1 : 0;" + ECHO,
    "beyond": HEADER + INIT + QUERY + "peer.protocol = (size_t) -1;" + ECHO,
    "plain": HEADER + INIT + QUERY + ECHO,
    "slow": HEADER + INIT + QUERY + "usleep(30000);" + ECHO,
    "refuse": HEADER + INIT + QUERY + "return peer; }",
    "teapot": HEADER + INIT + QUERY + 'core_refuse(ws, 418, "short and\\r\\nstout"); return peer; }',
    "wild": HEADER + INIT + QUERY + 'core_refuse(ws, 101, NULL); return peer; }',
    "regret": HEADER + INIT + QUERY + 'core_refuse(ws, 404, "not used");' + ECHO,
    "partial": HEADER + INIT + QUERY + 'peer.port = strdup("1"); peer.framing_config = strdup("x"); return peer; }',
    "version": HEADER + "uint64_t init(){ return 2; }\n" + QUERY + ECHO,
    "noinit": HEADER + QUERY + ECHO,
    "noquery": HEADER + INIT,
    "unresolved": HEADER + INIT + "extern int there_is_no_such_function(void);\n" + QUERY
                  + "there_is_no_such_function();" + ECHO,
    "own": HEADER + INIT + """
static int64_t pairs(uint8_t* data, size_t length, size_t last_read, ws_operation* opcode,
        void** state, const char* config){
    (void) last_read; (void) state; (void) config;
    if(!data){
        return 0;
    }
    *opcode = ws_frame_text;
    return length < 2 ? 0 : 2;
}
static char* where;
uint64_t configure(char* key, char* value){
    if(strcmp(key, "where")){
        return 1;
    }
    free(where);
    where = strdup(value);
    return 0;
}
void cleanup(){
    fprintf(stderr, "backend own cleaned up\\n");
    free(where);
}
""" + QUERY + "peer.framing = pairs; peer.host = strdup(where); return peer; }\n",
}


@pytest.fixture(scope="module")
def backends(tmp_path_factory):
    path = tmp_path_factory.mktemp("backends")
    for name, source in SOURCES.items():
        build_plugin(path, f"backend_{name}", source)
    return path


def test_backend_is_told_everything_and_may_write_to_it(run, backends):
    daemon = backend_daemon(run, backends, "tell")
    extra = [("X-Mixed-CASE", "Value with  blanks"), ("x-empty", ""), ("X-Mixed-CASE", "again")]
    extra += [(f"X-{number}", str(number)) for number in range(20)]
    forged = [("websocksy-client-ADDRESS", "6.6.6.6"), ("Websocksy-Other", "x"), ("Websocksy-", "x")]
    client = daemon.open("/a%20path?query=1", protocols="one, two,three", extra=[*forged, *extra])
    assert client.response.header("Sec-WebSocket-Protocol") == "two"
    client.send_text("x")
    assert client.recv_message() == (TEXT, b"x")
    log = daemon.log().splitlines()
    assert "endpoint </a%20path?query=1> of the view" in log
    assert [line for line in log if line.startswith("protocol")] == [
        "protocol <one>", "protocol <two>", "protocol <three>"]
    told = [line for line in log if line.startswith("header")]
    sent = build_request("/", protocols="one, two,three", extra=extra).decode().split("\r\n")[1:-2]
    fields = [f"header <{name}> <{value.strip()}>" for name, value in (line.split(":", 1) for line in sent)]
    # Our own fields are behind those of the client, and the client's of such names are gone.
    assert told == [*fields, "header <Websocksy-Client-Address> <127.0.0.1>"]
    assert ("view state 1 version 13 upgrade 1 key " + dict(line.split(": ", 1) for line in sent if ": " in line)[
        "Sec-WebSocket-Key"] + " headers 10 protocols 3 peer_fd -1 fd 1") in log


@pytest.mark.parametrize("name, offer, answer", (
    ("last", "a, b, c", "c"), ("last", "a", "a"), ("last", None, None), ("beyond", "a, b", None),
    ("plain", "a, b", "a"), ("plain", None, None),
))
def test_index_of_the_subprotocol(run, backends, name, offer, answer):
    assert chosen(backend_daemon(run, backends, name), protocols=offer) == answer


def test_backend_without_configure(run, backends):
    """It works, but takes no option."""
    client = backend_daemon(run, backends, "plain").open()
    client.send_text("x")
    assert client.recv_message() == (TEXT, b"x")
    result = run_once("-t", f"--plugin-path={backends}", "-b", "plain", "-c", "key=value")
    assert result.returncode == 1
    assert "plain" in result.stderr and "key" in result.stderr


@pytest.mark.parametrize("name, said", (
    ("version", "API version 2"), ("noinit", '"init"'), ("noquery", '"query"'),
    ("unresolved", "there_is_no_such_function"), ("nosuch", "No such file"), ("../plain", "letters, digits"),
    ("/tmp/x", "letters, digits"), ("plain.so", "letters, digits"),
))
def test_backend_that_cannot_be_used_stops_the_start(backends, name, said):
    result = run_once("-p", "0", "-l", "127.0.0.1", f"--plugin-path={backends}", "-b", name)
    assert result.returncode == 1
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1 and said in lines[0], lines


@pytest.mark.parametrize("name, status, body", (
    ("refuse", 403, "refused by the backend"), ("teapot", 418, "short and??stout"),
    ("wild", 403, "refused by the backend"), ("partial", 403, "refused by the backend"),
))
def test_refusal(run, backends, name, status, body):
    daemon = backend_daemon(run, backends, name)
    check_error(daemon, status, body)
    daemon.wait_log(rf"answered {status}: ")


def test_refusal_that_is_taken_back(run, backends):
    """What counts is the answer."""
    assert chosen(backend_daemon(run, backends, "regret")) is None


@pytest.mark.latency
def test_slow_query_is_logged(run, backends):
    daemon = backend_daemon(run, backends, "slow")
    with observed("slow query of a backend"):
        daemon.open()
        took = int(daemon.wait_log(r"warning: backend slow: query took (\d+) ms").group(1))
    assert 25 <= took


SLOW_QUERY = 0.02  # seconds; a query that took longer is logged


def test_quick_query_is_not_logged(run, backends):
    """The query takes less than the whole handshake does. On a busy machine this may be long, but not each time."""

    def was_quick():
        daemon = backend_daemon(run, backends, "plain")
        begun = time.monotonic()
        daemon.open()
        took = time.monotonic() - begun
        daemon.settle()
        quick = took < SLOW_QUERY
        assert not quick or "query took" not in daemon.log()
        daemon.stop()
        return quick

    eventually(was_quick, "a quick handshake")


def test_framing_function_of_the_backend_itself(run, backends):
    """It need not be registered; and cleanup() comes once, when the last connection is gone."""
    peer = run(TcpPeer())
    daemon = backend_daemon(run, backends, "own", f"where={peer.url}")
    client = daemon.open()
    connection = peer.accept()
    connection.send(b"abcde")
    assert client.recv_message() == (TEXT, b"ab")
    assert client.recv_message() == (TEXT, b"cd")
    connection.close()
    daemon.stop()
    assert daemon.log().count("backend own cleaned up") == 1


def test_second_backend_replaces_the_first(run, backends):
    """The first and its options are dropped: here it would refuse."""
    daemon = run(Daemon(f"--plugin-path={backends}", "-b", "own", "-c", "where=echo://", "-b", "plain"))
    daemon.wait_log("backend own cleaned up")
    daemon.open()


# --- what must never be loaded ------------------------------------------------------------------

EVIL = r"""
#include <fcntl.h>
#include <unistd.h>
#include "websocksy.h"
static void __attribute__((constructor)) pwn(void){
    close(open(MARKER, O_CREAT | O_WRONLY, 0600));
}
""" + HEADER + INIT + QUERY + ECHO


@pytest.fixture
def trap(tmp_path):
    """A folder to start in, with plugins everywhere where they might be searched for."""
    marker = tmp_path / "loaded"
    start = tmp_path / "start"
    (start / "plugins").mkdir(parents=True)
    source = build_plugin(tmp_path, "evil", EVIL, [f'-DMARKER="{marker}"'])
    for name in ("evil.so", "backend_evil.so", "backend_file.so", "json.so"):
        shutil.copy(source, start / "plugins" / name)
        shutil.copy(source, start / name)
    return start, marker


def test_plugins_of_the_working_directory_are_not_loaded(run, trap):
    start, marker = trap
    daemon = run(Daemon(peer="echo://", cwd=start))
    daemon.open()
    daemon.stop()
    assert not marker.exists()


def test_backend_of_the_working_directory_is_not_loaded(run, trap, tmp_path):
    start, marker = trap
    result = run_once("-p", "0", "-l", "127.0.0.1", "-b", "evil", cwd=start)
    assert result.returncode == 1 and "backend_evil.so" in result.stderr
    run(Daemon("-b", "file", "-c", f"path={tmp_path}", "-c", "expression=x", cwd=start))
    assert not marker.exists()


@pytest.mark.parametrize("name", ("plugins", "./plugins", ".", "", "../start/plugins"))
def test_plugin_path_that_is_relative_is_refused(trap, name):
    start, marker = trap
    result = run_once("-p", "0", "-l", "127.0.0.1", f"--plugin-path={name}", cwd=start)
    assert result.returncode == 1 and "absolute" in result.stderr, result
    assert not marker.exists()


def test_trap_works(run, trap):
    """The plugin does what the tests above look for, when it is asked for by its full name."""
    start, marker = trap
    run(Daemon(f"--plugin-path={start}/plugins", "-b", "evil")).open()
    eventually(marker.exists, "the marker")


def test_plugin_that_anybody_may_write_is_not_loaded(trap):
    start, marker = trap
    for name in os.listdir(start / "plugins"):
        os.chmod(start / "plugins" / name, 0o666)
    result = run_once("-p", "0", "-l", "127.0.0.1", f"--plugin-path={start}/plugins", "-b", "evil")
    assert result.returncode == 1 and "every user may write" in result.stderr, result
    assert not marker.exists()


def test_backend_and_unix_peer(run, tmp_path):
    """The shortest way through everything: a path in a file, a socket beside it."""
    peer = run(UnixPeer(tmp_path / "service", echo))
    (tmp_path / "route").write_text(f"{peer.url} *\n")
    daemon = run(Daemon("-b", "file", "-c", f"path={tmp_path}", "-c", "expression=route"))
    client = daemon.open()
    client.send_text("x")
    assert client.recv_message() == (TEXT, b"x")
