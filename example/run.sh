#!/bin/sh
# sh example/run.sh [argument...]: installs what is missing, builds a release, and runs the demo.
set -u
root=$(dirname "$0")/..
(cd "$root" && . test/support/setup.sh && prepare release demo) || exit
exec "$root/build/release/example/demo" "$@"
