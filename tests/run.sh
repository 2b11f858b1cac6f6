#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Installs what the tests need, builds, runs everything, and ends with one line: N passed, N failed.
#
#   run.sh             everything
#   run.sh --fast      one build, no sanitizers, no static analysis
#   run.sh -k EXPR     only the end-to-end tests that match (as pytest's -k), on one build
#
# Each check writes its output to build/test/NAME.log, which is shown if it fails. Checks that may run at
# the same time do; the end-to-end tests have the machine to themselves, as some of them measure.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root" || exit 1
logs=build/test
e2e=tests/e2e
check_seconds=480
fast=''
filter=''

packages=(gcc clang clang-tidy cppcheck make pkg-config binutils nettle-dev libc-ares-dev libgnutls28-dev
	libcrypt-dev libcmocka-dev libssl-dev openssl gnutls-bin
	python3 python3-pytest python3-websockets python3-websocket python3-selenium
	chromium chromium-driver nginx haproxy mandoc curl ca-certificates strace valgrind apache2-utils whois mosquitto clang-format git)

usage() {
	sed -n '5,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
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

is_installed() {
	[[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

install_packages() {
	local missing=() package
	command -v dpkg-query >/dev/null || {
		echo "run.sh: this is no Debian; needed are: ${packages[*]} nodejs npm" >&2
		return 0
	}
	for package in "${packages[@]}"; do
		is_installed "$package" || missing+=("$package")
	done
	command -v node >/dev/null || missing+=(nodejs)
	command -v npm >/dev/null || missing+=(npm)
	[[ ${#missing[@]} -gt 0 ]] || return 0
	echo "installing: ${missing[*]}"
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q update &&
		as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends \
			"${missing[@]}"
}

install_node_client() {
	[[ -d $e2e/node_modules/ws ]] && return 0
	npm install --no-save --no-package-lock --no-audit --no-fund --prefix "$e2e" ws@8
}

# ---- running checks ----

# check NAME COMMAND...: runs it, keeps its output, and records NAME.result ("PASSED FAILED"). The command
# may write its own counts to the file that $counts names; otherwise it counts as one.
check() {
	local name=$1 status begun=$SECONDS passed=1 failed=0
	shift
	local counts=$logs/$name.counts
	rm -f "$counts"
	# In the background, because bash runs a trap only between commands or while it waits.
	counts=$counts "$@" >"$logs/$name.log" 2>&1 </dev/null &
	wait $!
	status=$?
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
		printf -v text 'FAIL  %-18s %5d passed, %d failed  %d s\n%s\n' "$1" "$2" "$3" "$4" \
			"$(tail -n 100 "$logs/$1.log" | sed 's/^/      /')"
	fi
	printf '%s' "$text"
}

finish() {
	local passed=0 failed=0 p f file
	for file in "$logs"/*.result; do
		[[ -e $file ]] || continue
		read -r p f <"$file"
		passed=$((passed + p))
		failed=$((failed + f))
	done
	echo "$passed passed, $failed failed"
	[[ $failed -eq 0 && $passed -gt 0 ]]
	exit
}

# What was started does not outlive the run. timeout(1) leads groups of its own, which no Ctrl-C reaches.
kill_children() {
	local child
	for child in $(cat "/proc/$1/task/$1/children" 2>/dev/null); do
		kill_children "$child"
		kill -TERM "$child" 2>/dev/null
	done
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

# Sums what cmocka's programs say; one that ends without saying so has failed.
run_units() {
	local folder=$1 program output status total=0 bad=0 ran passed
	for program in "$folder"/test_* "$folder"/*/test_*; do
		[[ -f $program && -x $program ]] || continue
		output=$(timeout -k 5 120 "$program" 2>&1)
		status=$?
		printf '== %s (%d)\n%s\n' "${program##*/}" "$status" "$output"
		ran=$(sed -n 's/^\[==========\] \(.*: \)\{0,1\}\([0-9]*\) test(s) run\..*/\2/p' <<<"$output" |
			awk '{n += $1} END {print n + 0}')
		passed=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test(s)\..*/\1/p' <<<"$output" |
			awk '{n += $1} END {print n + 0}')
		total=$((total + passed))
		if [[ $status -ne 0 || $ran -eq 0 || $ran -ne $passed ]]; then
			bad=$((bad + (ran > passed ? ran - passed : 1)))
		fi
	done
	echo "$total $bad" >"$counts"
	[[ $total -gt 0 && $bad -eq 0 ]]
}

# run_e2e BINARY [pytest arguments]. What is skipped is shown in the log and counts as neither.
run_e2e() {
	run_e2e_files "$@" "$e2e"
}

run_e2e_files() {
	local binary=$1 xml=$logs/e2e-$$-$RANDOM.xml status
	shift
	WEBSOCKSY=$root/$binary PYTHONDONTWRITEBYTECODE=1 timeout -k 10 "$check_seconds" \
		/usr/bin/python3 -m pytest -q -p no:cacheprovider -rfEs --durations=10 --junitxml="$xml" "$@"
	status=$?
	[[ $status -ne 124 && $status -ne 137 ]] || echo "end-to-end tests: not done after $check_seconds s"
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
	run_e2e_files "$1" "${conformance[@]/#/$e2e/}"
}

run_e2e_tls_sanitized() {
	use_sanitizers
	run_e2e_tls "$@"
}

# Figures are worth as much as the load generator that checks the bytes.
run_bench_tests() {
	make -C bench OUT="$root/build/bench" WERROR=1 &&
		BENCH_BIN=$root/build/bench PYTHONDONTWRITEBYTECODE=1 timeout -k 10 "$check_seconds" \
			/usr/bin/python3 -m pytest -q -p no:cacheprovider bench
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

sources=(./*.c base/*.c network/*.c http/*.c service/*.c config/*.c bridge/*.c plugins/*.c examples/*.c)

run_clang_tidy() {
	printf '%s\0' "${sources[@]}" |
		xargs -0 -P "$(nproc)" -n 1 sh -c \
			'clang-tidy --quiet "$1" -- -std=gnu11 -D_GNU_SOURCE -I. 2>"$0/tidy-$$.err" ||
			{ cat "$0/tidy-$$.err"; exit 1; }' "$logs"
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
	timeout -k 10 "$check_seconds" examples/quickstart.sh --check
}

# ---- what is run ----

run_filtered() {
	check build-gcc build gcc CC=gcc && check e2e-gcc run_e2e build/gcc/websocksy -k "$filter"
}

run_fast() {
	check build-gcc build_with_units gcc CC=gcc || return
	check unit-gcc run_units build/gcc/unit
	check layers /usr/bin/python3 tests/layers.py build/gcc/obj
	check examples compile_examples
	check documentation compile_documentation
	check manual run_mandoc
	check bench run_bench_tests
	check e2e-gcc run_e2e build/gcc/websocksy
	check quickstart run_quickstart
}

run_all() {
	local built_gcc='' built_asan=''
	check build-gcc build_with_units gcc CC=gcc && built_gcc=1
	check build-clang build_with_units clang CC=clang
	check build-asan build_with_units asan CC=gcc SANITIZE=address,undefined && built_asan=1
	check clang-tidy run_clang_tidy
	check cppcheck run_cppcheck
	check examples compile_examples
	check documentation compile_documentation
	check manual run_mandoc
	check bench run_bench_tests
	if [[ $built_gcc ]]; then
		check layers /usr/bin/python3 tests/layers.py build/gcc/obj
		check unit-gcc run_units build/gcc/unit &
	fi
	if [[ $built_asan ]]; then
		check unit-asan run_units build/asan/unit &
	fi
	wait
	if [[ $built_gcc ]]; then
		check e2e-gcc run_e2e build/gcc/websocksy &
	fi
	if [[ $built_asan ]]; then
		check e2e-asan run_e2e_sanitized build/asan/websocksy &
	fi
	wait
	if [[ $built_gcc ]]; then
		check e2e-tls run_e2e_tls build/gcc/websocksy &
	fi
	if [[ $built_asan ]]; then
		check e2e-tls-asan run_e2e_tls_sanitized build/asan/websocksy &
	fi
	wait
	check quickstart run_quickstart
}

trap 'kill_children $$; exit 130' INT TERM
rm -rf "$logs"
mkdir -p "$logs"
check packages install_packages || finish
check node-client install_node_client
if [[ $filter ]]; then
	run_filtered
elif [[ $fast ]]; then
	run_fast
else
	run_all
fi
finish
