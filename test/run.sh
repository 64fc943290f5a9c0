#!/bin/sh
# sh test/run.sh [preset [test...]]: installs what is missing, builds, and runs the tests; only those
# named, if any, of which each is test/<name>.cpp.
# Presets: debug (if none is named), release, asan, tsan, coverage, tidy.
set -u
preset=${1:-debug}
[ $# -eq 0 ] || shift
cd "$(dirname "$0")/.." || exit
. test/support/setup.sh

for test in "$@"; do
    [ -f "test/$test.cpp" ] || { echo "there is no test/$test.cpp" >&2; exit 2; }
done
prepare "$preset" $(printf 'test_%s ' "$@" | sed 's/^test_ $//')
case $preset in
    # The sanitizers' shadow memory may collide with addresses that the kernel picks at random.
    asan | tsan) fixed_addresses=$(setarch -R echo 'setarch -R' 2>/dev/null) ;;
    *) fixed_addresses= ;;
esac
named=$(echo "$*" | tr ' ' '|')
exec $fixed_addresses ctest --preset "$preset" --parallel "$(nproc)" \
    ${named:+--tests-regex "^($named)\$"}
