#!/bin/sh
# run.sh COMPILER LEVEL SOURCE_DIR FLAG...: whether public_names.cpp, a program that is not ours,
# compiles against our headers without a warning at the optimisation level given. Exit code 77: there
# is no such compiler.
set -u
compiler=$1 level=$2 source=$3
shift 3
command -v "$compiler" >/dev/null || { echo "SKIP: $compiler is not installed"; exit 77; }
exec "$compiler" -std=c++20 "$level" -Wall -Wextra -Wpedantic -Wshadow -Wconversion \
    -Wsign-conversion -Werror -I "$source/include" "$@" \
    -c "$source/test/consumer/public_names.cpp" -o /dev/null
