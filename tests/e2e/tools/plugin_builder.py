# SPDX-License-Identifier: BSD-2-Clause
"""Compiles plugins that a test needs, against websocksy.h and nothing else."""
import os
import shutil
import subprocess

from tools.cache import digest_of, kept
from tools.daemon import ROOT


def build_plugin(folder, name, source, flags=()):
    """Compiles `source` to FOLDER/NAME.so, without a warning, and returns its path. What has been compiled
    before is copied: a plugin has a file of its own in each test."""
    target = os.path.join(folder, f"{name}.so")
    text = os.path.join(folder, f"{name}.c")
    with open(text, "w") as file:
        file.write(source)
    command = [os.environ.get("CC") or "cc", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror",
               "-g", "-fPIC", "-shared", f"-I{ROOT}", *flags]

    def compile_source(place):
        result = subprocess.run([*command, "-o", place / "plugin.so", text], capture_output=True, text=True)
        assert result.returncode == 0, result.stderr

    return shutil.copy(kept("plugin", digest_of(command, source), compile_source) / "plugin.so", target)


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
