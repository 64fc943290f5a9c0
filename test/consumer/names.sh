#!/bin/sh
# names.sh SOURCE_DIR: whether public_names.cpp uses each name that the public headers declare.
set -u
cd "$1" || exit
missing=$(awk -f test/consumer/names.awk include/rung/*.hpp | sort -u | while read -r name; do
    grep -qw "$name" test/consumer/public_names.cpp || echo "$name"
done)
[ -z "$missing" ] || { printf 'public_names.cpp does not use:\n%s\n' "$missing"; exit 1; }
