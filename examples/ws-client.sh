#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A WebSocket client for lines of text that needs only bash and coreutils. Each line of standard input, including
# its LF, becomes a text message; received messages are written to standard output.
#
#   ws-client.sh ws://HOST[:PORT][/PATH]
#       until Ctrl-D, Ctrl-C or a close by the server
#   ws-client.sh -w TEXT [-t SECONDS] ws://...
#       until a message contains TEXT: status 0; status 1 after SECONDS (10) without data or after a close
#
# For tests only: no subprotocol, no TLS, NUL bytes are not displayed, and the masking key is always zero, which
# does not protect proxies as RFC 6455 intends.
set -euo pipefail
export LC_ALL=C # lengths are bytes

# Sample key and accept value of RFC 6455, section 1.3: checking the server needs no SHA-1.
key='dGhlIHNhbXBsZSBub25jZQ=='
accept='s3pPLMBiTxaQ9kYGzzhZRbK+xOo='
wait_seconds=10
silence_seconds=0 # 0: no limit
awaited=''
message=''
closed=''

fail() {
	printf 'ws-client: %s\n' "$1" >&2
	exit 1
}

usage() {
	printf 'usage: ws-client.sh [-w TEXT] [-t SECONDS] ws://HOST[:PORT][/PATH]\n' >&2
	exit 2
}

# Exactly $1 bytes of the connection; head reads no more than that.
receive() {
	timeout --foreground "$silence_seconds" head -c "$1" <&3
}

# The same as \xHH for each byte, which printf turns into bytes again and $((0xHH)) into numbers.
receive_escaped() {
	receive "$1" | od -An -v -tx1 | tr -d '\n' | sed 's/ /\\x/g'
}

# $1 as a number of $2 bytes in network order, escaped for printf.
escape_number() {
	local shift
	for((shift = ($2 - 1) * 8; shift >= 0; shift -= 8)); do
		printf '\\x%02x' $(($1 >> shift & 255))
	done
}

# Sends a frame: opcode, length of the payload in bytes, payload escaped for printf.
send_frame() {
	local header
	header=$(escape_number $((128 | $1)) 1)
	if(($2 < 126)); then
		header+=$(escape_number $((128 | $2)) 1)
	elif(($2 < 65536)); then
		header+="\\xfe$(escape_number "$2" 2)"
	else
		header+="\\xff$(escape_number "$2" 8)"
	fi
	printf '%b' "$header\\x00\\x00\\x00\\x00$3" >&3
}

send_close() {
	send_frame 8 2 '\x03\xe8' # 1000
}

send_lines() {
	local line
	while IFS= read -r line || [[ -n $line ]]; do
		send_frame 1 $((${#line} + 1)) "${line//\\/\\\\}\\n"
	done
	[[ -n $awaited ]] || send_close
}

handshake() {
	local line status='' accepted=''
	printf '%s\r\n' "GET $path HTTP/1.1" "Host: $authority" 'Upgrade: websocket' 'Connection: Upgrade' \
		"Sec-WebSocket-Key: $key" 'Sec-WebSocket-Version: 13' '' >&3
	IFS= read -r -t "$wait_seconds" -u 3 status || fail 'no response to the handshake'
	while IFS= read -r -t "$wait_seconds" -u 3 line && [[ $line != $'\r' ]]; do
		if [[ ${line,,} == sec-websocket-accept:* ]]; then
			accepted=${line#*:}
		fi
	done
	[[ $status == 'HTTP/1.1 101 '* ]] || fail "the server answers: ${status%$'\r'}"
	accepted=${accepted//[$' \t\r']/}
	[[ $accepted == "$accept" ]] || fail 'the server does not answer as a WebSocket server must'
}

# Reads one frame: data is stored in `message`, a ping is answered, a close sets `closed`. Status 1: end of stream.
read_frame() {
	local head length payload
	message=''
	head=$(receive_escaped 2) || return 1
	[[ ${#head} -eq 8 ]] || return 1
	length=$((0x${head:6:2}))
	if((length > 125)); then
		payload=$(receive_escaped $((length == 126 ? 2 : 8))) || return 1
		length=$((0x${payload//\\x/}))
	fi
	case $((0x${head:2:2} & 15)) in
	0 | 1 | 2)
		message=$(receive "$length" | tr -d '\0'; printf x) || return 1
		message=${message%x}
		;;
	8)
		payload=$(receive_escaped "$length") || return 1
		closed=1005
		((length < 2)) || closed=$((0x${payload:2:2} << 8 | 0x${payload:6:2}))
		send_frame 8 "$length" "$payload" 2>/dev/null || true # an echo, or ours was first
		return 1
		;;
	9)
		payload=$(receive_escaped "$length") || return 1
		send_frame 10 "$length" "$payload"
		;;
	*)
		receive "$length" >/dev/null || return 1
		;;
	esac
}

show_messages() {
	while read_frame; do
		[[ -z $message ]] || printf '%s\n' "${message%$'\n'}"
		if [[ -n $awaited && $message == *"$awaited"* ]]; then
			send_close
			while read_frame; do :; done
			[[ $closed == 1000 ]] || fail 'the server does not close as it must'
			return 0
		fi
	done
	[[ -z $awaited ]] || fail "no message with '$awaited' came"
	[[ -n $closed ]] || fail 'the connection was lost'
	printf 'ws-client: closed with code %s\n' "$closed" >&2
}

while getopts t:w: option; do
	case $option in
	t) wait_seconds=$OPTARG ;;
	w) awaited=$OPTARG ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[[ $wait_seconds =~ ^[1-9][0-9]*$ ]] || usage
[[ -z $awaited ]] || silence_seconds=$wait_seconds
pattern='^ws://((\[[0-9a-fA-F:.]+\]|[^]/?#:[]+)(:([0-9]+))?)(/[^# ]*)?$'
[[ $# -eq 1 && $1 =~ $pattern ]] || usage
authority=${BASH_REMATCH[1]} host=${BASH_REMATCH[2]} port=${BASH_REMATCH[4]:-80} path=${BASH_REMATCH[5]:-/}
host=${host#[} host=${host%]}

exec 3<>"/dev/tcp/$host/$port" || fail "cannot connect to $host port $port"
handshake
send_lines <&0 &
sender=$!
trap 'kill "$sender" 2>/dev/null || true' EXIT
show_messages
