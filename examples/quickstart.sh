#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Installs missing packages, builds, and runs a chat server with websocksy and its test page in front of it, until
# Ctrl-C. Only the packages and the build remain.
#
#   quickstart.sh [PORT]           the port of websocksy; default 8001, or a free one if that is in use
#   quickstart.sh --check [PORT]   exchanges a message through the bridge and exits with status 0 or 1
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
client=$root/examples/ws-client.sh
default_port=8001
start_seconds=60
stop_seconds=3
work=''
children=()
found=''
bridge_port=''
packages=()

say() {
	printf '%s\n' "$*"
}

fail() {
	printf 'quickstart: %s\n' "$1" >&2
	exit 1
}

# Runs at every exit. Processes that do not terminate in time are killed.
clean_up() {
	local status=$? pid n
	trap '' INT TERM HUP
	for pid in "${children[@]}"; do
		kill -TERM "$pid" 2>/dev/null || true
	done
	for((n = 0; n < stop_seconds * 10; n++)); do
		any_child_left || break
		sleep 0.1
	done
	for pid in "${children[@]}"; do
		kill -KILL "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	[[ -z $work ]] || rm -rf "$work"
	trap - EXIT
	exit "$status"
}

any_child_left() {
	local pid
	for pid in "${children[@]}"; do
		if kill -0 "$pid" 2>/dev/null; then
			return 0
		fi
	done
	return 1
}

# libcrypt is detected by its header, because not every distribution has a pkg-config file for it.
compiler_works() {
	printf '#include <crypt.h>\n' | cc -E - >/dev/null 2>&1
}

libraries() {
	printf 'nettle libcares gnutls'
}

everything_is_there() {
	local -a needed
	read -r -a needed <<<"$(libraries)"
	compiler_works && command -v make >/dev/null && command -v pkg-config >/dev/null &&
		pkg-config --exists "${needed[@]}"
}

as_root() {
	if [[ $(id -u) -eq 0 ]]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		fail "run this as root or install sudo; what has to be installed: ${packages[*]}"
	fi
}

install_missing() {
	packages=(gcc libc6-dev make pkg-config nettle-dev libc-ares-dev libgnutls28-dev libcrypt-dev)
	if everything_is_there; then
		return 0
	fi
	command -v apt-get >/dev/null ||
		fail "needed: a C compiler, make, pkg-config and the development files of: libcrypt $(libraries)"
	say "Installing: ${packages[*]}"
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install \
		"${packages[@]}" >"$work/apt.log" 2>&1 || { cat "$work/apt.log" >&2 && fail 'apt-get failed'; }
	everything_is_there || fail "still missing after the installation: one of libcrypt, $(libraries), cc, make, pkg-config"
}

build() {
	say 'Building'
	make -s -C "$root" -j"$(nproc)" || fail 'the build failed'
	make -s -C "$root" -f - examples/chat-server <<<'examples/chat-server: examples/chat-server.c
	cc -std=gnu11 -O2 -D_GNU_SOURCE -o $@ $<' || fail 'the chat server does not build'
}

# Waits until the log of a child names a port on the loopback address, and stores it in `found`.
wait_for_port() {
	local log=$1 pid=$2 n
	local pattern='listening on 127\.0\.0\.1:([0-9]+)'
	for((n = 0; n < start_seconds * 10; n++)); do
		if [[ $(<"$log") =~ $pattern ]]; then
			found=${BASH_REMATCH[1]}
			return 0
		fi
		kill -0 "$pid" 2>/dev/null || return 1
		sleep 0.1
	done
	return 1
}

start_chat() {
	"$root/examples/chat-server" 0 >"$work/chat.log" 2>&1 </dev/null &
	children+=($!)
	: >>"$work/chat.log"
	wait_for_port "$work/chat.log" $! || fail "the chat server does not start: $(<"$work/chat.log")"
	chat_port=$found
}

# The kernel chooses the port if $1 is 0. A bridge that exits at once is removed from the children, because run()
# waits for the first child that exits.
start_bridge() {
	: >"$work/bridge.log"
	"$root/websocksy" -l 127.0.0.1 -p "$1" --web="$root/index.html" --grace=1 \
		-c host="tcp://127.0.0.1:$chat_port" -c framing=newline -c framing-config=lf -c protocol='*' \
		2>"$work/bridge.log" </dev/null &
	children+=($!)
	if ! wait_for_port "$work/bridge.log" $!; then
		kill -TERM $! 2>/dev/null || true
		wait $! || true
		unset 'children[-1]'
		return 1
	fi
	bridge_port=$found
}

start_bridge_somewhere() {
	if [[ -n $port ]]; then
		start_bridge "$port" || fail "the bridge does not start: $(<"$work/bridge.log")"
	elif ! start_bridge "$default_port"; then
		start_bridge 0 || fail "the bridge does not start: $(<"$work/bridge.log")"
		say "Port $default_port is taken, using $bridge_port"
	fi
}

check_page() {
	local page
	exec 4<>"/dev/tcp/127.0.0.1/$bridge_port"
	printf 'GET / HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nConnection: close\r\n\r\n' "$bridge_port" >&4
	page=$(timeout "$start_seconds" cat <&4 | tr -d '\0')
	exec 4>&-
	[[ $page == 'HTTP/1.1 200 '* && $page == *'<title>websocksy console</title>'* ]] ||
		fail "the page is not served: ${page%%$'\r'*}"
}

check() {
	local line="checked by process $$"
	check_page
	say "$line" | "$client" -w "> $line" -t "$start_seconds" "ws://127.0.0.1:$bridge_port/" ||
		{ cat "$work/bridge.log" >&2 && fail 'the message did not come back'; }
	say 'OK: the page is served, and a message went through the bridge and came back'
}

run() {
	say ''
	say 'A chat server is running behind the bridge. Open this address, twice if you are alone:'
	say "    http://127.0.0.1:$bridge_port/#lineend=lf"
	say 'Or use the client for the terminal:'
	say "    $client ws://127.0.0.1:$bridge_port/"
	say 'Ctrl-C stops both servers. The log of websocksy:'
	tail -n +1 -f "$work/bridge.log" &
	children+=($!)
	wait -n "${children[@]}" || true
	fail 'a server has exited unexpectedly'
}

checking=no
port=''
for argument in "$@"; do
	case $argument in
	--check) checking=yes ;;
	[0-9]*) port=$argument ;;
	*)
		say 'usage: quickstart.sh [--check] [PORT]' >&2
		exit 2
		;;
	esac
done

trap 'exit 130' INT
trap 'exit 143' TERM HUP
trap clean_up EXIT
work=$(mktemp -d)
install_missing
build
start_chat
start_bridge_somewhere
if [[ $checking == yes ]]; then
	check
else
	run
fi
