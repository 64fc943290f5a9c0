#!/bin/sh
# sh gdb.sh PROGRAM SCRIPT: whether gdb, with the script, lists the program's fibers and shows where
# each of them waits. Exit code 77: not to be found out here.
set -u
program=$1
script=$2
skip() { echo "SKIP: $*"; exit 77; }

command -v gdb >/dev/null || skip 'gdb is not installed'
gdb -batch -ex 'python print(1)' 2>&1 | grep -q '^1$' || skip 'gdb has no Python'
gdb -batch -ex 'info line everybody_waits' "$program" 2>&1 | grep -q 'fibers.cpp' ||
    skip 'the program has no debugging information'

said=$(gdb -batch -nx -ex 'set debuginfod enabled off' -ex 'break everybody_waits' -ex run \
    -ex "source $script" -ex fibers -ex 'echo ---\n' -ex 'fibers bt' "$program" 2>&1)
case $said in
    *ptrace*'not permitted'*) skip 'this process may not trace another' ;;
esac
listed=${said%%---*}
traced=${said#*---}
expect() {
    case $2 in
        *"$1"*) ;;
        *) echo "$said"; echo "FAILED: '$1' is missing"; exit 1 ;;
    esac
}
for fiber in hungry curious asleep elsewhere; do
    expect "waiting '$fiber'" "$listed"
done
expect wait_for_supper "$traced"
expect wait_for_post "$traced"
expect sleep_until "$traced"
