#!/bin/sh
# sh newer_boost.sh PREFIX: puts Debian's newest Boost (headers, Boost.Context, Boost.Cobalt) into
# PREFIX, for a build with -DCMAKE_PREFIX_PATH=PREFIX. Exit code 77: it is not to be had here.
#
# apt works on a configuration and on state of its own, so that the system's stay as they are.
set -u
prefix=${1:?the directory to unpack into}
version() {
    sed -n 's/#define BOOST_LIB_VERSION "\(.*\)"/\1/p' "$prefix/include/boost/version.hpp" | tr _ .
}
skip() { echo "SKIP newer Boost: $*"; exit 77; }

if [ -f "$prefix/include/boost/version.hpp" ]; then
    echo "Boost $(version) is in $prefix"
    exit
fi
command -v apt-get >/dev/null || skip 'this system has no apt-get'
mirror=$(apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | grep -m 1 '/debian/*$') ||
    skip 'apt has no Debian mirror configured'
keys=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r "$keys" ] || skip "$keys is missing (package debian-archive-keyring)"

work=$(mktemp -d) || exit
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial" "$work/parts" "$work/root/usr"
for suite in sid trixie; do
    echo "deb [signed-by=$keys] $mirror $suite main"
done >"$work/sources.list"
{
    apt-config dump | grep '^Acquire::' # The host's proxy, if any.
    cat <<EOF
Acquire::Check-Valid-Until "false"; // A mirror may be a snapshot. Signatures are checked.
Dir::State "$work/state";
Dir::State::status "/dev/null";
Dir::Cache "$work/cache";
Dir::Etc::Main "/dev/null";
Dir::Etc::Parts "$work/parts";
Dir::Etc::SourceList "$work/sources.list";
Dir::Etc::SourceParts "$work/parts";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "$work/parts";
APT::Sandbox::User "root";
EOF
} >"$work/apt.conf"
export APT_CONFIG="$work/apt.conf"

apt-get update -q >/dev/null 2>"$work/errors" # The suite that can be read is enough.
newest=$(apt-cache pkgnames libboost1. | sed -n 's/^libboost\(1\.[0-9]*\)-dev$/\1/p' |
    sort -t . -k 2 -n | tail -n 1)
[ -n "$newest" ] || skip "$mirror offers none. $(head -n 1 "$work/errors")"
(cd "$work/cache" && apt-get download -q "libboost$newest-dev" "libboost-context$newest-dev" \
    "libboost-context$newest.0" "libboost-cobalt$newest-dev" "libboost-cobalt$newest.0" \
    >/dev/null) || exit
for package in "$work"/cache/*.deb; do
    dpkg-deb --extract "$package" "$work/root" || exit
done
rm -rf "$work/root/usr/share"
for library in "$work"/root/usr/lib/*/libboost_*.so.*; do
    if LD_LIBRARY_PATH=$(dirname "$library") ldd "$library" 2>&1 | grep -q 'not found'; then
        name=$(basename "${library%%.so*}")
        echo "$name $newest needs newer libraries than this system's; the static one serves"
        rm -rf "$work"/root/usr/lib/*/"$name".so* \
            "$work"/root/usr/lib/*/cmake/"${name#lib}"-*/*-variant-shared*.cmake \
            "$work"/root/usr/lib/*/cmake/"${name#lib}"-*-shared
    fi
done
mkdir -p "$(dirname "$prefix")" && cp -a "$work/root/usr" "$prefix.part" &&
    mv -T "$prefix.part" "$prefix" || exit
echo "Boost $(version) is now in $prefix"
