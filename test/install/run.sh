#!/bin/sh
# run.sh CMAKE SOURCE_DIR BUILD_DIR COMPILER PREFIX_PATH: installs the library built in BUILD_DIR into
# a temporary prefix and builds main.cpp against it with find_package and with pkg-config, and
# against SOURCE_DIR with add_subdirectory. The programs must run.
set -eu
cmake=$1 source=$2 build=$3 compiler=$4
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/prefix

"$cmake" --install "$build" --prefix "$prefix" >"$work/log"
pc=$(find "$prefix" -name rung.pc)
export LD_LIBRARY_PATH="${pc%/pkgconfig/*}" # For a shared library.

consume() {
    name=$1
    shift
    "$cmake" -S "$here" -B "$work/$name" -G Ninja -DCMAKE_CXX_COMPILER="$compiler" "$@" \
        >"$work/log" 2>&1 && "$cmake" --build "$work/$name" >"$work/log" 2>&1 ||
        { cat "$work/log"; echo "$name: does not build"; exit 1; }
    "$work/$name/consumer"
    echo "$name: builds and runs"
}

consume find_package -DCMAKE_PREFIX_PATH="$prefix;$5"
consume add_subdirectory -DRUNG_SOURCE_DIR="$source" -DCMAKE_PREFIX_PATH="$5" \
    -DRUNG_PRECOMPILE=ON

flags=$(PKG_CONFIG_PATH=${pc%/*} pkg-config --cflags --libs rung)
"$compiler" -std=c++20 "$here/main.cpp" $flags -o "$work/consumer"
"$work/consumer"
echo 'pkg-config: builds and runs'
