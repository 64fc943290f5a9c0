#!/bin/sh
# sh check-defaults.sh NM FILE…: which objects (or archive members) use Asio without having included
# rung/as_default.hpp. Prints them, and fails if there is one. What includes rung itself carries a
# mark, by which the linker finds those that disagree; this finds the files that include Asio alone.
set -u
nm=${1:?the path of nm}
shift
"$nm" -A "$@" 2>/dev/null | awk '
    # FILE:VALUE TYPE NAME, or ARCHIVE:MEMBER:VALUE TYPE NAME, in which a value may be blank.
    { match($0, /:[0-9a-f ]* [A-Za-z] [^ ]*$/); object = substr($0, 1, RSTART - 1) }
    /N5boost4asio/ { asio[object] }
    / U rung_as_default_included$/ { marked[object] }
    END {
        for (object in asio)
            if (!(object in marked)) {
                print object ": uses Asio and does not include rung/as_default.hpp"
                found = 1
            }
        exit found
    }'
