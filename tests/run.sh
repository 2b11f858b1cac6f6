#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Installs what the tests need, builds, runs everything, and ends with one line: N passed, N failed.
#
#   run.sh             everything
#   run.sh --fast      one build, no sanitizers, no static analysis
#   run.sh -k EXPR     only the end-to-end tests that match (as pytest's -k), on one build
#
# Each check writes its output to build/test/NAME.log, which is shown if it fails. Checks run side by side, and
# so do the end-to-end tests, except those that measure: these come last and have the machine to themselves.
# No check has a time limit. One that makes no progress for ten minutes is stopped.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root" || exit 1
logs=build/test
e2e=tests/e2e
# What a check may take without any progress, and the interval between two reports, in seconds.
stuck_seconds=600
report_seconds=30
fast=''
filter=''

packages=(gcc g++ clang clang-tidy cppcheck make pkg-config binutils nettle-dev libc-ares-dev libgnutls28-dev
	libcrypt-dev libcmocka-dev libssl-dev openssl gnutls-bin
	python3 python3-pytest python3-pytest-xdist python3-websockets python3-websocket python3-selenium node-ws
	chromium chromium-driver nginx haproxy mandoc curl ca-certificates strace valgrind apache2-utils whois
	mosquitto clang-format git fail2ban novnc iproute2 openbsd-inetd systemd bc busybox redis-server inetutils-telnetd
	openssh-server openssh-client tigervnc-standalone-server logrotate tshark nodejs python3-jwt
	python3-cryptography postgresql ngircd)
# Clients from the npm registry, if there is an npm that reaches it. Without them two tests are skipped.
modules=(irc-framework@4.14.0 @neondatabase/serverless@1.2.0)

usage() {
	sed -n '4,12s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
}

while [[ $# -gt 0 ]]; do
	case $1 in
	--fast) fast=1 ;;
	-k)
		[[ $# -ge 2 ]] || { usage >&2; exit 2; }
		filter=$2
		shift
		;;
	-h | --help)
		usage
		exit 0
		;;
	*)
		usage >&2
		exit 2
		;;
	esac
	shift
done

# ---- what is needed ----

# Where there is a terminal, sudo may ask on it.
as_root() {
	if [[ $(id -u) -eq 0 ]]; then
		"$@"
	elif (: </dev/tty) 2>/dev/null; then
		sudo "$@"
	else
		sudo -n "$@"
	fi
}

# Each package is named on the terminal as it is fetched and set up.
show_packages() {
	tee >(sed -u -n 's/^\(Get:\|Unpacking \|Setting up \|E: \|W: \)/      &/p' >&3)
}

# Packages of servers start them, unless this script of Debian's policy forbids it. Here they are only run by tests.
policy=/usr/sbin/policy-rc.d

allow_services() {
	as_root rm -f "$policy"
}

forbid_services() {
	[[ ! -e $policy ]] || return 0
	trap allow_services EXIT
	printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null && as_root chmod 755 "$policy"
}

install_packages() {
	local missing=() package installed
	command -v dpkg-query >/dev/null || {
		echo "      this is not Debian; required: ${packages[*]}" | tee /dev/fd/3
		return 0
	}
	installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${packages[@]}" 2>/dev/null)
	for package in "${packages[@]}"; do
		grep -qx "$package installed" <<<"$installed" || missing+=("$package")
	done
	[[ ${#missing[@]} -gt 0 ]] || return 0
	echo "      installing ${#missing[@]} packages: ${missing[*]}" | tee /dev/fd/3
	(
		forbid_services &&
			as_root env DEBIAN_FRONTEND=noninteractive apt-get -q update &&
			as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends \
				"${missing[@]}"
	) 2>&1 | show_packages
}

# Tests do without them where there is no npm, or no way to the registry.
install_modules() {
	local installed=build/npm/installed
	[[ $(cat "$installed" 2>/dev/null) != "${modules[*]}" ]] || return 0
	command -v npm >/dev/null || {
		echo "      there is no npm; tests of ${modules[*]} are skipped" | tee /dev/fd/3
		return 0
	}
	if timeout 120 npm install --prefix build/npm --no-save --ignore-scripts --no-audit --no-fund --fetch-retries=0 \
		--fetch-timeout=10000 "${modules[@]}"; then
		echo "${modules[*]}" >"$installed"
	else
		echo "      npm cannot install ${modules[*]}; their tests are skipped" | tee /dev/fd/3
	fi
	return 0
}

# ---- running checks ----

# check NAME COMMAND...: runs it, keeps its output, and records NAME.result ("PASSED FAILED"). The command
# may write its own counts to the file that $counts names; otherwise it counts as one. What it writes to
# the file that $progress names is shown by the reports of watch_checks.
check() {
	local name=$1 pid status begun=$SECONDS passed=1 failed=0
	shift
	local counts=$logs/$name.counts
	rm -f "$counts"
	echo "      $name ..."
	# In the background, because bash runs a trap only between commands or while it waits.
	counts=$counts progress=$logs/$name.progress "$@" >"$logs/$name.log" 2>&1 </dev/null &
	pid=$!
	echo "$pid" >"$logs/$name.running"
	wait "$pid"
	status=$?
	rm -f "$logs/$name.running"
	[[ $status -eq 0 ]] || { passed=0 failed=1; }
	if [[ -s $counts ]]; then
		read -r passed failed <"$counts"
		[[ $status -eq 0 || $failed -gt 0 ]] || failed=1
	fi
	echo "$passed $failed" >"$logs/$name.result"
	report "$name" "$passed" "$failed" $((SECONDS - begun))
	[[ $failed -eq 0 ]]
}

# One write, so that checks that run at the same time do not mix their lines.
report() {
	local text
	if [[ $3 -eq 0 ]]; then
		printf -v text 'ok    %-18s %5d passed  %4d s\n' "$1" "$2" "$4"
	else
		printf -v text 'FAIL  %-18s %5d passed, %d failed%s\n%s\n' "$1" "$2" "$3" "${4:+  $4 s}" \
			"$(tail -n 100 "$logs/$1.log" | sed 's/^/      /')"
	fi
	printf '%s' "$text"
}

# Reports now and then what is being done, and stops the checks that have made no progress for too long:
# neither a line of output nor a test that has ended.
watch_checks() {
	local file name state now text reported=$SECONDS
	local -A seen=() since=()
	trap 'kill $! 2>/dev/null; exit' TERM
	while true; do
		sleep 5 &
		wait $!
		text=''
		for file in "$logs"/*.running; do
			[[ -e $file ]] || continue
			name=${file##*/} name=${name%.running}
			now=$(cat "$logs/$name.progress" 2>/dev/null)
			text+="${text:+, }$name${now:+ $now}"
			state="$now $(stat -c %s "$logs/$name.log" 2>/dev/null)"
			if [[ ${seen[$name]-} != "$state" ]]; then
				seen[$name]=$state since[$name]=$SECONDS
			elif ((SECONDS - since[$name] >= stuck_seconds)); then
				echo "run.sh: stopped, no progress for $stuck_seconds s" >>"$logs/$name.log"
				kill_tree "$(cat "$file")"
			fi
		done
		if [[ $text ]] && ((SECONDS - reported >= report_seconds)); then
			reported=$SECONDS
			echo "      ${SECONDS} s: $text"
		fi
	done
}

finish() {
	local passed=0 failed=0 p f file
	for file in "$logs"/*.result; do
		[[ -e $file ]] || continue
		read -r p f <"$file"
		passed=$((passed + p))
		failed=$((failed + f))
		# Once more at the end: what was shown at the time may be far up by now.
		[[ $f -eq 0 ]] || report "$(basename "$file" .result)" "$p" "$f"
	done
	clean_up
	echo "$passed passed, $failed failed"
	[[ $failed -eq 0 && $passed -gt 0 ]]
	exit
}

descendants() {
	local child
	for child in $(cat "/proc/$1/task/$1/children" 2>/dev/null); do
		echo "$child"
		descendants "$child"
	done
}

# Parents first, so that they start nothing in place of what has ended.
kill_tree() {
	local pids
	pids=$(descendants "$1")
	# shellcheck disable=SC2086  # a list
	kill -TERM "$1" $pids 2>/dev/null
}

# What has lost its parent is known by the directory for temporary files, which is this run's alone.
kill_strays() {
	local environment pid
	for environment in $(grep -lsz "^TMPDIR=$TMPDIR\$" /proc/[0-9]*/environ); do
		pid=${environment#/proc/} pid=${pid%/environ}
		[[ $pid == "$$" ]] || kill "-$1" "$pid" 2>/dev/null
	done
}

# Nothing that was started outlives the run, and nothing that it wrote stays in the directory for
# temporary files.
clean_up() {
	trap '' INT TERM HUP
	trap - EXIT
	# shellcheck disable=SC2046  # a list
	kill -TERM $(descendants $$) 2>/dev/null
	kill_strays KILL
	# What has just been killed may be about to write its last file.
	rm -rf "$TMPDIR" || { sleep 1; rm -rf "$TMPDIR"; }
}

# ---- the checks ----

build() {
	local out=$1
	shift
	make -j"$(nproc)" OUT="build/$out" WERROR=1 "$@"
}

build_with_units() {
	build "$@" all unit
}

show_unit() {
	printf '== %s (%d)\n' "${1##*/}" "$2"
	cat "$1"
}

# Runs cmocka's programs side by side and sums what they say; one that ends without saying so has failed.
run_units() {
	local folder=$1 outputs=$counts.d program status total=0 bad=0 ran passed broken=()
	mkdir -p "$outputs"
	# The names of those that have ended are the progress.
	for program in "$folder"/test_* "$folder"/*/test_*; do
		[[ ! -f $program || ! -x $program ]] || printf '%s\0' "$program"
	done | xargs -0 -P "$(nproc)" -n 1 sh -c \
		'folder=${1%/*}; name=${folder##*/}.${1##*/}
		"$1" >"$0/$name" 2>&1; echo "$?" >"$0/$name.status"; echo "$name"' "$outputs"
	for status in "$outputs"/*.status; do
		[[ -e $status ]] || continue
		program=${status%.status} status=$(<"$status")
		ran=$(sed -n 's/^\[==========\] \(.*: \)\{0,1\}\([0-9]*\) test(s) run\..*/\2/p' "$program" |
			awk '{n += $1} END {print n + 0}')
		passed=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test(s)\..*/\1/p' "$program" |
			awk '{n += $1} END {print n + 0}')
		total=$((total + passed))
		if [[ $status -ne 0 || $ran -eq 0 || $ran -ne $passed ]]; then
			bad=$((bad + (ran > passed ? ran - passed : 1)))
			broken+=("$program")
		fi
		show_unit "$program" "$status"
	done
	# Once more at the end, where a report of failures looks.
	for program in "${broken[@]}"; do
		show_unit "$program" "$(<"$program.status")"
	done
	rm -rf "$outputs"
	echo "$total $bad" >"$counts"
	[[ $total -gt 0 && $bad -eq 0 ]]
}

# Compiles the tests once: otherwise each process of each run does so, at the same time as the others.
compile_tests() {
	(
		flock 9
		[[ ! -s $TEST_CACHE/tests ]] || exit
		/usr/bin/python3 -m pytest -q -p no:cacheprovider --collect-only "$e2e" >"$TEST_CACHE/tests"
	) 9>"$TEST_CACHE/tests.lock"
}

# run_e2e BINARY PART [pytest arguments]. PART is `parallel`, the tests that do not mind each other, or
# `measures`. Those that do not depend on how the daemon was built are run without sanitizers only. What is
# skipped is shown in the log and counts as neither.
run_e2e() {
	run_e2e_files "$@" "$e2e"
}

run_e2e_files() {
	local binary=$1 part=$2 xml=$counts.xml select status
	shift 2
	if [[ $part == measures ]]; then
		select=(-m measures)
	else
		# Most tests wait for most of their time.
		select=(-m "not measures${SANITIZED:+ and not once}" -n $((2 * $(nproc))) --dist loadgroup)
	fi
	compile_tests
	WEBSOCKSY=$root/$binary PYTHONUNBUFFERED=1 TEST_PROGRESS=$progress \
		/usr/bin/python3 -m pytest -q -p no:cacheprovider -rfEs --durations=10 --junitxml="$xml" \
		--basetemp="$TMPDIR/$(basename "$counts" .counts)" "${select[@]}" "$@"
	status=$?
	[[ $status -ne 5 ]] || status=0 # no test is in this part
	[[ ! -s $xml ]] || /usr/bin/python3 - "$xml" >"$counts" <<'PYTHON'
import sys
from xml.etree import ElementTree

suite = next(ElementTree.parse(sys.argv[1]).iter("testsuite"))
total, failures, errors, skipped = (
    int(suite.get(name)) for name in ("tests", "failures", "errors", "skipped"))
print(max(total - failures - errors - skipped, 0), failures + errors)
PYTHON
	rm -f "$xml"
	return "$status"
}

use_sanitizers() {
	export SANITIZED=1
	export ASAN_OPTIONS=detect_leaks=1:halt_on_error=1:detect_stack_use_after_return=1:strict_string_checks=1
	export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
}

run_e2e_sanitized() {
	use_sanitizers
	run_e2e "$@"
}

# What every client relies on, and the clients themselves, once more with every byte encrypted.
conformance=(test_handshake.py test_frames.py test_utf8.py test_close.py test_clients.py test_page.py)

run_e2e_tls() {
	export WEBSOCKSY_TLS=1
	run_e2e_files "$1" parallel "${conformance[@]/#/$e2e/}"
}

run_e2e_tls_sanitized() {
	use_sanitizers
	run_e2e_tls "$@"
}

# The frames of RFC 6455 once more, through a TCP service that sends everything back.
run_e2e_typed() {
	export WEBSOCKSY_TYPED=1
	run_e2e_files "$1" parallel "$e2e/test_frames.py" "$e2e/test_utf8.py"
}

# Figures are worth as much as the load generator that checks the bytes.
run_bench_tests() {
	make -C bench OUT="$root/build/bench" WERROR=1 &&
		BENCH_BIN=$root/build/bench PYTHONUNBUFFERED=1 \
			/usr/bin/python3 -m pytest -q -p no:cacheprovider --basetemp="$TMPDIR/bench" bench/test_load.py
}

warnings=(-std=gnu11 -O2 -D_GNU_SOURCE -Wall -Wextra -Werror -fPIC -shared -I.)

# Plugins of users are built against the header alone, by either compiler.
compile_plugins() {
	local source compiler folder=build/test/plugins
	mkdir -p "$folder"
	for source in "$@"; do
		for compiler in gcc clang; do
			echo "$compiler $source"
			"$compiler" "${warnings[@]}" -o "$folder/$(basename "$source" .c).so" "$source" || return 1
		done
	done
	[[ $# -gt 0 ]]
}

compile_examples() {
	local plugins=()
	mapfile -t plugins < <(ls examples/*_example.c)
	compile_plugins "${plugins[@]}" &&
		gcc -std=gnu11 -O2 -D_GNU_SOURCE -Wall -Wextra -Werror -o build/test/chat-server \
			examples/chat-server.c
}

# The code in the documentation: each ```c block that begins with the comment "file: NAME.c".
compile_documentation() {
	# Plugins may be written in C++.
	g++ -std=c++17 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -x c++ websocksy_plugin.h || return
	local folder=build/test/documentation
	rm -rf "$folder"
	mkdir -p "$folder"
	awk -v folder="$folder" '
		/^```c$/ { block = 1; first = 1; next }
		/^```/ { block = 0; file = ""; next }
		block && first {
			first = 0
			if(match($0, /file: [A-Za-z0-9_]+\.c/)) {
				file = folder "/" substr($0, RSTART + 6, RLENGTH - 6)
			}
		}
		block && file { print > file }' docs/plugins.md
	compile_plugins "$folder"/*.c
}

sources=(./*.c base/*.c websocket/*.c network/*.c http/*.c plugin/*.c service/*.c config/*.c bridge/*.c
	supervisor/*.c compat/*.c plugins/*.c plugins/*/*.c preload/*.c examples/*.c)

# One source for each start: with several, the check of va_list takes those of the second for uninitialized.
run_clang_tidy() {
	local found=$logs/clang-tidy.found status
	rm -f "$found"
	printf '%s\0' "${sources[@]}" |
		xargs -0 -P "$(nproc)" -n 1 sh -c \
			'echo "$1"; output=$(clang-tidy --quiet "$1" -- -std=gnu11 -D_GNU_SOURCE -I. 2>&1) ||
			{ echo "$output" >>"$0"; exit 1; }' "$found"
	status=$?
	# At the end, where a report of failures looks.
	[[ ! -e $found ]] || cat "$found"
	return "$status"
}

run_cppcheck() {
	cppcheck --quiet --enable=warning,performance,portability --inline-suppr --std=c11 -D_GNU_SOURCE \
		--suppressions-list=tests/cppcheck.txt --error-exitcode=1 -I. "${sources[@]}"
}

# mandoc ends with an error only from some level on; here a warning is one.
run_mandoc() {
	local output
	output=$(mandoc -T lint -W warning man/*.[1-9])
	[[ -z $output ]] || { echo "$output"; return 1; }
}

run_quickstart() {
	examples/quickstart.sh --check
}

# ---- what is run ----

run_filtered() {
	check build-gcc build gcc CC=gcc || return
	check e2e-gcc run_e2e build/gcc/websocksy parallel -k "$filter"
	check measures-gcc run_e2e build/gcc/websocksy measures -k "$filter"
}

run_fast() {
	check build-gcc build_with_units gcc CC=gcc || return
	check unit-gcc run_units build/gcc/unit
	check layers /usr/bin/python3 tests/layers.py build/gcc/obj
	check examples compile_examples
	check documentation compile_documentation
	check manual run_mandoc
	check bench run_bench_tests
	check e2e-gcc run_e2e build/gcc/websocksy parallel
	check measures-gcc run_e2e build/gcc/websocksy measures
	check quickstart run_quickstart
}

# What needs no daemon that runs.
run_static() {
	# Nothing of it is run: the warnings are what counts, and the unit tests are not linked.
	check build-clang build clang CC=clang CFLAGS=-O1 all unit-objects
	check cppcheck run_cppcheck
	check examples compile_examples
	check documentation compile_documentation
	check manual run_mandoc
	check clang-tidy run_clang_tidy
	check bench run_bench_tests
}

run_gcc() {
	check layers /usr/bin/python3 tests/layers.py build/gcc/obj
	check unit-gcc run_units build/gcc/unit
	check e2e-gcc run_e2e build/gcc/websocksy parallel
	check e2e-tls run_e2e_tls build/gcc/websocksy
	check e2e-typed run_e2e_typed build/gcc/websocksy
}

run_asan() {
	check unit-asan run_units build/asan/unit
	check e2e-asan run_e2e_sanitized build/asan/websocksy parallel
	check e2e-tls-asan run_e2e_tls_sanitized build/asan/websocksy
}

run_all() {
	local built_gcc='' built_asan='' chains=()
	check build-gcc build_with_units gcc CC=gcc && built_gcc=1
	check build-asan build_with_units asan CC=gcc SANITIZE=address,undefined && built_asan=1
	run_static &
	chains+=($!)
	if [[ $built_gcc ]]; then
		run_gcc &
		chains+=($!)
	fi
	if [[ $built_asan ]]; then
		run_asan &
		chains+=($!)
	fi
	wait "${chains[@]}"
	if [[ $built_gcc ]]; then
		check measures-gcc run_e2e build/gcc/websocksy measures
	fi
	if [[ $built_asan ]]; then
		check measures-asan run_e2e_sanitized build/asan/websocksy measures
	fi
	check quickstart run_quickstart
}

TMPDIR=$(mktemp -d "${TMPDIR:-/tmp}/wsy.XXXXXX") || exit 1
export TMPDIR
# For all runs of the tests: their bytecode, and plugins that they compile.
export TEST_CACHE=$TMPDIR/cache PYTHONPYCACHEPREFIX=$TMPDIR/cache/python
unset PYTHONDONTWRITEBYTECODE
# Some tests run programs as another user, who has to get there.
chmod 711 "$TMPDIR"
trap clean_up EXIT
trap 'exit 130' INT TERM HUP
exec 3>&1
rm -rf "$logs"
mkdir -p "$logs" "$TEST_CACHE"
watch_checks &
check packages install_packages || finish
check modules install_modules
if [[ $filter ]]; then
	run_filtered
elif [[ $fast ]]; then
	run_fast
else
	run_all
fi
finish
