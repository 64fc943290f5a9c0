# Sourced by test/run.sh and example/run.sh, in the project's root: sees to what a build needs.

compiler=${CXX:-c++}

# What is not there, as names of Debian packages.
missing_packages() {
    has_command "$compiler" || echo g++
    has_command cmake || echo cmake
    has_command ninja || echo ninja-build
    has_command pkg-config || echo pkg-config
    pkg-config --exists 'liburing >= 2.3' 2>/dev/null || echo liburing-dev
    has_header boost/version.hpp 'BOOST_VERSION >= 108100' || echo "libboost$(boost_release)-dev"
    has_library boost_context || echo "libboost-context$(boost_release)-dev"
    has_library boost_coroutine || echo "libboost-coroutine$(boost_release)-dev"
    dpkg -s "libboost$(boost_release)-doc" >/dev/null 2>&1 || echo "libboost$(boost_release)-doc"
    has_command curl || echo curl
    has_header openssl/ssl.h || echo libssl-dev
    has_library benchmark || echo libbenchmark-dev
}

has_command() { command -v "$1" >/dev/null; }

# A header that can be included; with a second argument, one after which this condition holds.
has_header() {
    printf '#include <%s>\n#if !(%s)\n#error\n#endif\n' "$1" "${2:-1}" |
        "$compiler" -I "${CMAKE_PREFIX_PATH:-/usr}/include" -E -x c++ - >/dev/null 2>&1
}

# The compiler prints the path of a library that it finds, and the bare name otherwise.
has_library() {
    case $("$compiler" -print-file-name="lib$1.so" 2>/dev/null) in /*) ;; *) false ;; esac
}

# Nothing where the distribution's own Boost is new enough, else the newest that it has beside it.
boost_release() {
    own=$(apt-cache show libboost-dev 2>/dev/null | sed -n 's/^Version: //p' | head -n 1)
    dpkg --compare-versions "${own:-0}" ge 1.81 2>/dev/null ||
        apt-cache pkgnames libboost1. 2>/dev/null |
        sed -n 's/^libboost\(1\.[0-9]*\)-dev$/\1/p' | sort -t . -k 2 -n | awk -F . '
            $2 >= 81 { newest = $0 } END { print newest }'
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        env DEBIAN_FRONTEND=noninteractive "$@"
    else
        sudo env DEBIAN_FRONTEND=noninteractive "$@"
    fi
}

# Installs packages, but never at the price of removing others.
install_packages() {
    echo "installing $*"
    as_root apt-get install -y -q --no-install-recommends --no-remove "$@" >/dev/null
}

install_missing() {
    if [ -z "$(missing_packages)" ]; then
        return
    elif ! has_command apt-get; then
        echo 'Without apt-get nothing can be installed here.' >&2
    elif [ "$(id -u)" -ne 0 ] && ! has_command sudo; then
        echo 'Without root and without sudo nothing can be installed here.' >&2
    else
        as_root apt-get update -q >/dev/null || echo 'apt-get update failed; going on.' >&2
        install_packages $(missing_packages) || for package in $(missing_packages); do
            install_packages "$package" || echo "$package cannot be installed." >&2
        done
    fi
}

# One line for each thing that is still missing and that no build can do without.
obstacles() {
    for package in $(missing_packages); do
        case $package in
            libssl-dev | libbenchmark-dev | curl) ;;
            libboost-context* | libboost-coroutine* | libboost*-doc) ;;
            libboost*)
                echo "Boost 1.81 or newer: $package if that is new enough, or a release of your own" \
                    'and CMAKE_PREFIX_PATH set to where it is installed' ;;
            liburing-dev)
                echo 'liburing 2.3 or newer: liburing-dev if that is new enough, or its source' ;;
            *) echo "$package" ;;
        esac
    done
    cmake --version 2>/dev/null | awk 'NR == 1 && split($3, v, ".") && v[1] * 1000 + v[2] < 3025 {
        print "CMake 3.25 or newer; here is " $3 }'
    printf '#include <coroutine>\nstatic_assert(__cpp_concepts >= 201907L);' |
        "$compiler" -std=c++20 -fsyntax-only -x c++ - 2>/dev/null ||
        echo "a compiler for C++20, g++ 12 or clang 19 for instance"
}

# prepare PRESET [TARGET...]: installs what is missing, configures and builds.
prepare() {
    install_missing
    if [ -n "$(obstacles)" ]; then
        printf 'Please install what is still missing:\n%s\n' "$(obstacles)" >&2
        exit 1
    fi
    preset=$1
    shift
    cmake --preset "$preset" || exit
    cmake --build --preset "$preset" ${1:+--target "$@"} || exit
}
