# SPDX-License-Identifier: BSD-2-Clause
"""Compiles plugins that a test needs, against websocksy.h and nothing else."""
import atexit
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tools.daemon import ROOT


@functools.lru_cache(maxsize=None)
def cache():
    """The folder of what has been compiled: that of the whole run, or of this process."""
    if "TEST_CACHE" in os.environ:
        return Path(os.environ["TEST_CACHE"])
    folder = tempfile.mkdtemp(prefix="websocksy-cache-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def build_plugin(folder, name, source, flags=()):
    """Compiles `source` to FOLDER/NAME.so, without a warning, and returns its path. What has been compiled
    before is copied: a plugin has a file of its own in each test."""
    target = os.path.join(folder, f"{name}.so")
    text = os.path.join(folder, f"{name}.c")
    with open(text, "w") as file:
        file.write(source)
    command = [os.environ.get("CC") or "cc", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror",
               "-g", "-fPIC", "-shared", f"-I{ROOT}", *flags]
    digest = hashlib.sha256("\0".join((*command, source)).encode()).hexdigest()
    compiled = cache() / f"plugin-{digest}.so"
    if not compiled.exists():
        result = subprocess.run([*command, "-o", target, text], capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        # Complete from the first moment that another process may see it.
        with tempfile.TemporaryDirectory(dir=cache()) as place:
            os.rename(shutil.copy(target, place), compiled)
    return shutil.copy(compiled, target)


# A backend as the documents of the first releases describe one: init() and cleanup() with empty
# parentheses, an answer whose fields come from calloc(), options through configure().
CLASSIC_BACKEND = r"""
#include <string.h>
#include "websocksy.h"

static char* host = NULL;
static char* port = NULL;
static char* framing = NULL;
static char* framing_config = NULL;
static int transport = peer_transport_detect;

static char* copy(char* text){
    char* result = text ? calloc(strlen(text) + 1, sizeof(char)) : NULL;
    if(result){
        strcpy(result, text);
    }
    return result;
}

uint64_t init(){
    return WEBSOCKSY_API_VERSION;
}

uint64_t configure(char* key, char* value){
    char** target = !strcmp(key, "host") ? &host : !strcmp(key, "port") ? &port
        : !strcmp(key, "framing") ? &framing : !strcmp(key, "framing-config") ? &framing_config : NULL;
    if(!strcmp(key, "transport")){
        transport = atoi(value);
        return 0;
    }
    if(!target){
        return 1;
    }
    free(*target);
    *target = copy(value);
    return 0;
}

ws_peer_info query(char* endpoint, size_t protocols, char** protocol, size_t headers,
        ws_http_header* header, websocket* ws){
    ws_peer_info peer = {
        .transport = (peer_transport) transport
    };
    (void) endpoint;
    (void) protocol;
    (void) headers;
    (void) header;
    (void) ws;
    peer.host = copy(host);
    peer.port = copy(port);
    peer.framing = framing ? core_framing(framing) : NULL;
    peer.framing_config = copy(framing_config);
    peer.protocol = protocols;
    return peer;
}

void cleanup(){
    free(host);
    free(port);
    free(framing);
    free(framing_config);
}
"""
