#!/bin/sh
# sh test/run.sh [preset]: installs what is missing, builds, and runs the tests.
# Presets: debug (if none is named), release, asan, tsan, coverage, tidy.
set -u
preset=${1:-debug}
cd "$(dirname "$0")/.." || exit
. test/support/setup.sh

prepare "$preset"
case $preset in
    # The sanitizers' shadow memory may collide with addresses that the kernel picks at random.
    asan | tsan) fixed_addresses=$(setarch -R echo 'setarch -R' 2>/dev/null) ;;
    *) fixed_addresses= ;;
esac
exec $fixed_addresses ctest --preset "$preset" --parallel "$(nproc)"
