#!/bin/sh
# run.sh COMPILER SOURCE_DIR LIBRARIES FLAGS…: a program that is compiled with Asio's switches, for its
# own back ends and for what it is to leave out, does what it is for, and ends.
set -u
compiler=$1 source=$2 libraries=$3
shift 3
work=$(mktemp -d) || exit
trap 'rm -rf "$work"' EXIT
failed=0

# try NAME OPTIONS…
try() {
    name=$1
    shift
    if ! "$compiler" -std=c++20 -O0 -pthread -I"$source/include" $flags "$@" \
        "$source/test/asio_backends/program.cpp" $libraries -o "$work/program" >"$work/log" 2>&1; then
        echo "$name: does not compile"
        grep -m 5 error "$work/log" || cat "$work/log"
        failed=1
        return
    fi
    round=0
    while [ $round -lt 3 ]; do
        round=$((round + 1))
        timeout 30 "$work/program" >"$work/log" 2>&1
        status=$?
        grep -v '^@asio|' "$work/log" >"$work/said" # what handler tracking writes
        if [ $status != 0 ] || [ "$(cat "$work/said")" != done ]; then
            echo "$name, round $round: status $status (124: it hung): $(cat "$work/log")"
            failed=1
            return
        fi
    done
    echo "$name: passed"
}
flags=$*

try 'epoll reactor'
try 'io_uring for files' -DBOOST_ASIO_HAS_IO_URING
try 'io_uring for everything' -DBOOST_ASIO_HAS_IO_URING -DBOOST_ASIO_DISABLE_EPOLL
try 'select reactor' -DBOOST_ASIO_DISABLE_EPOLL
try 'handler tracking' -DBOOST_ASIO_ENABLE_HANDLER_TRACKING
try 'nothing deprecated, no extensions' -DBOOST_ASIO_NO_DEPRECATED -DBOOST_ASIO_NO_EXTENSIONS
try 'no executors of the TS' -DBOOST_ASIO_NO_TS_EXECUTORS

if "$compiler" -std=c++20 -fsyntax-only -I"$source/include" $flags -DBOOST_ASIO_DISABLE_THREADS \
    "$source/test/asio_backends/program.cpp" >"$work/log" 2>&1 ||
    ! grep -q 'error.*concurrency hint' "$work/log"; then
    echo 'no threads: is not refused with a word on what to do instead'
    failed=1
fi
exit "$failed"
