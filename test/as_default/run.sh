#!/bin/sh
# run.sh COMPILER NM SOURCE_DIR LIBRARIES FLAGS…: what must not compile or link with
# rung/as_default.hpp does not, and says why; what must, does.
set -u
compiler=$1 nm=$2 source=$3 libraries=$4
shift 4
work=$(mktemp -d) || exit
trap 'rm -rf "$work"' EXIT
cd "$work" || exit
failed=0

compile() { # compile NAME OPTIONS…: NAME.cpp to NAME.o
    name=$1
    shift
    "$compiler" -std=c++20 -pthread -I"$source/include" $flags "$@" -c "$name.cpp" -o "$name.o" 2>&1
}
link() { "$compiler" -pthread $flags "$@" $libraries -o program 2>&1; }
expect() { # expect WHAT STATUS OUTPUT PATTERN: failure, for the reason of PATTERN
    if [ "$2" = 0 ] || ! printf '%s\n' "$3" | grep -q "$4"; then
        printf '%s: expected a failure that says "%s", got status %s and:\n%s\n' "$1" "$4" "$2" "$3"
        failed=1
    fi
}
require() { # require WHAT STATUS OUTPUT: success
    [ "$2" = 0 ] || { printf '%s fails:\n%s\n' "$1" "$3"; failed=1; }
}
flags=$*

late='too late: include it before any header of Asio'
for first in boost/asio.hpp boost/asio/ip/tcp.hpp boost/asio/buffer.hpp rung/rung.hpp; do
    printf '#include <%s>\n#include <rung/as_default.hpp>\n' "$first" >late.cpp
    out=$(compile late -fsyntax-only)
    expect "as_default.hpp after $first" $? "$out" "$late"
done

cat >session.hpp <<'END'
#include <boost/asio/steady_timer.hpp>
struct session {
    boost::asio::steady_timer timer;
    void start();
};
END
cat >main.cpp <<'END'
#include <rung/rung.hpp>
#include "session.hpp"
int main() {
    rung::io_context context;
    session s{boost::asio::steady_timer(context.get_executor())};
    s.start();
    context.run();
}
END
body='void session::start() { timer.async_wait([](auto) {}); }'
printf '#include "session.hpp"\n%s\n' "$body" >plain.cpp
printf '#include <rung/rung.hpp>\n#include "session.hpp"\n%s\n' "$body" >aware.cpp
with='-include rung/as_default.hpp'

out=$(compile main $with && compile plain $with && compile aware $with)
require 'compiling with as_default.hpp' $? "$out"
cp plain.o plain_with.o && cp aware.o aware_with.o && cp main.o main_with.o
out=$(compile main && compile plain && compile aware)
require 'compiling without as_default.hpp' $? "$out"

agree=rung_every_file_must_agree_on_as_default
out=$(link main_with.o aware_with.o); require 'all with it' $? "$out"
out=$(./program); require 'a program with it' $? "$out"
out=$(link main_with.o plain_with.o); require 'all with it, some without a header of rung' $? "$out"
out=$(./program); require 'a program with it, one file of which knows nothing of rung' $? "$out"
out=$(link main.o aware.o); require 'none with it' $? "$out"
out=$(./program); require 'a program without it' $? "$out"
out=$(link main_with.o aware.o); expect 'a mix, main with it' $? "$out" "$agree"
out=$(link main.o aware_with.o); expect 'a mix, main without it' $? "$out" "$agree"

check() { sh "$source/src/check-defaults.sh" "$nm" "$@"; }
out=$(check main_with.o plain_with.o); require 'the check of objects that agree' $? "$out"
out=$(check main_with.o plain.o)
expect 'the check of an object that knows nothing of rung' $? "$out" '^plain.o: uses Asio'
ar rc mixed.a plain_with.o plain.o
out=$(check mixed.a); expect 'the check of an archive' $? "$out" 'mixed.a:plain.o: uses Asio'

[ "$failed" = 0 ] && echo 'as_default.hpp: order and mixes are caught'
exit "$failed"
