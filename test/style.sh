#!/bin/sh
# sh test/style.sh [ROOT]: what the house style asks for and no compiler or formatter checks. Prints
# each violation as file:line: message, and fails if there is one.
set -u
root=${1:-$(dirname "$0")/..}

# check DIRECTORY: prints the violations under it.
check() {
    (cd "$1" && find include src test benchmark example -type f \
        \( -name '*.hpp' -o -name '*.cpp' -o -name '*.sh' -o -name '*.in' -o -name '*.txt' \) \
        -exec awk "$rules" {} + 2>/dev/null)
}

rules='
function report(line, text) { print file ":" line ": " text }
function speaks_detail() { return file == binding || index(sources, file) }

# Ends the file that was read last.
function finish() {
    if (file == "") return
    if (lines > 400) report(lines, "a file has at most 400 lines")
    if (file ~ /\.hpp$/ && !once) report(1, "a header begins with #pragma once")
}

# The line without comments and without what is inside string and character literals.
function code_of(line,    out, c, i, end) {
    out = ""
    for (i = 1; i <= length(line); ++i) {
        if (in_comment || in_raw) {
            end = index(substr(line, i), in_comment ? "*/" : raw_end)
            if (!end) return out
            i += end + length(in_comment ? "*/" : raw_end) - 2
            in_comment = in_raw = 0
            continue
        }
        c = substr(line, i, 1)
        if (c == "/" && substr(line, i + 1, 1) == "/") return out
        if (c == "/" && substr(line, i + 1, 1) == "*") { in_comment = 1; ++i; continue }
        if (c == "\"" && substr(line, i - 1, 1) == "R") {
            end = index(substr(line, i), "(")
            raw_end = ")" substr(line, i + 1, end - 2) "\""
            in_raw = 1
            i += end - 1
            continue
        }
        if (c == "\"" || (c == "\047" && out !~ /[0-9A-Fa-f]$/)) {
            for (++i; i <= length(line) && substr(line, i, 1) != c; ++i)
                if (substr(line, i, 1) == "\\") ++i
            out = out c c
            continue
        }
        out = out c
    }
    return out
}

# Whether a block is the body of a function, given what stands between it and the statement before.
function is_function(head) {
    while (match(head, /template *<[^<>]*>/) || match(head, /<[^<>]*>/))
        head = substr(head, 1, RSTART - 1) substr(head, RSTART + RLENGTH)
    sub(/^[ \n]*((public|private|protected):|\[\[[^]]*\]\]|inline|typedef|[ \n])*/, "", head)
    return head ~ /\)/ && head !~ /=[ \n]*$/ &&
        head !~ /^(namespace|class|struct|union|enum|extern)[^A-Za-z0-9_]/
}

# Follows the braces, and measures the outermost functions.
function follow(code,    i, c) {
    for (i = 1; i <= length(code); ++i) {
        c = substr(code, i, 1)
        if (c == "{") {
            ++depth
            if (!function_depth && is_function(head)) { function_depth = depth; began = FNR }
            head = ""
        } else if (c == "}") {
            if (depth == function_depth) {
                if (FNR - began + 1 > 70) report(began, "a function has at most 70 lines")
                function_depth = 0
            }
            --depth
            head = ""
        } else if (c == ";" && head !~ /\([^)]*$/) head = ""
        else head = head c
    }
    head = head "\n"
}

FNR == 1 {
    finish()
    file = FILENAME
    cpp = file ~ /\.[hc]pp$/
    once = in_comment = in_raw = depth = function_depth = 0
    head = ""
}
{ lines = FNR }
/[ \t]$/ { report(FNR, "white space ends the line") }
/\t/ { report(FNR, "a tab") }
/(^|[^A-Za-z])(TO[D]O|FIX[M]E)([^A-Za-z]|$)/ { report(FNR, "unfinished work is not noted in code") }
!cpp { next }
length($0) > 0 && /^ *#/ {
    if (/#pragma once/) once = 1
    if (/<liburing/ && file !~ /^src\/ring[^\/]*$/ && file !~ /^benchmark\//)
        report(FNR, "only src/ring* speaks to liburing")
    if (/[<"]boost\/asio\/detail\// && !speaks_detail())
        report(FNR, "only " binding " and " sources " name what is in asio::detail")
    continued = /\\$/
    next
}
continued { continued = /\\$/; next }
{
    code = code_of($0)
    if (code ~ /asio::detail([^A-Za-z0-9_]|$)/ && code !~ /[A-Za-z0-9_]asio::detail/ &&
        !speaks_detail())
        report(FNR, "only " binding " and " sources " name what is in asio::detail")
    if (file ~ /^include\// && code ~ defaulted)
        report(FNR, "rung/as_default.hpp changes this type: name its executor")
    follow(code)
}
BEGIN {
    binding = "include/rung/detail/asio_binding.hpp"
    sources = "src/guests.cpp, src/context_service.cpp and src/asio_locks.cpp"
    defaulted = "asio::(steady_timer|system_timer|signal_set|yield_context)([^_A-Za-z]|$)" \
        "|(tcp|udp|_protocol)::(socket|acceptor|resolver)([^_A-Za-z]|$)"
}
END { finish() }
'

# lines N TEXT: the text, so many times.
lines() { awk -v n="$1" -v text="$2" 'BEGIN { while (n-- > 0) print text }'; }

# The rules must find each of these faults, and none in the sound file.
self_check() {
    bad=$(mktemp -d) || exit
    trap 'rm -rf "$bad"' EXIT
    mkdir -p "$bad/include/rung/detail" "$bad/src" "$bad/test" "$bad/benchmark" "$bad/example"
    lines 401 'int x;' >"$bad/src/long_file.cpp"
    { echo 'struct s {'; echo 'void f(int a) const {'; lines 69 'g();'; echo '}'; echo '};'
    } >"$bad/src/long_function.cpp"
    echo 'int x;' >"$bad/include/rung/no_once.hpp"
    { echo '#pragma once'; echo 'boost::asio::ip::tcp::socket x;'
    } >"$bad/include/rung/default.hpp"
    echo 'int x; ' >"$bad/test/trailing.cpp"
    printf '\tint x;\n' >"$bad/example/tab.cpp"
    echo '// TO''DO: later' >"$bad/test/unfinished.cpp"
    echo '#include <liburing.h>' >"$bad/src/scheduler.cpp"
    echo 'boost::asio::detail::thread_info_base* x;' >"$bad/src/names_detail.cpp"
    echo '#include <boost/asio/detail/config.hpp>' >"$bad/src/includes_detail.cpp"

    echo '#include <liburing.h>' >"$bad/src/ring_setup.cpp"
    echo '#include <liburing.h>' >"$bad/benchmark/raw.cpp"
    { echo '#pragma once'; echo 'boost::asio::detail::thread_info_base* x;'
    } >"$bad/include/rung/detail/asio_binding.hpp"
    echo 'boost::asio::detail::scheduler* x;' >"$bad/src/guests.cpp"
    { echo 'namespace a {'; echo 'template <class T = decltype(f())>'; echo 'class b : c<int()> {'
      lines 30 'int x = 1;'; echo 'void f() { s = "}{"; c = 1'\''000; } // boost::asio::detail'
      echo 'auto r = R"x(} " {)x";'; lines 40 'int y;'; echo '};'; echo '}'
      echo 'void g() {'; lines 68 'h();'; echo '}'
    } >"$bad/src/sound.cpp"

    found=$(check "$bad" | cut -d : -f 1 | sort | tr '\n' ' ')
    expected='example/tab.cpp include/rung/default.hpp include/rung/no_once.hpp '
    expected="$expected"'src/includes_detail.cpp src/long_file.cpp '
    expected="$expected"'src/long_function.cpp src/names_detail.cpp src/scheduler.cpp '
    expected="$expected"'test/trailing.cpp test/unfinished.cpp '
    [ "$found" = "$expected" ] || {
        printf 'The rules do not work. Expected: %s\nFound: %s\n' "$expected" "$found"
        exit 1
    }
}

self_check
violations=$(check "$root")
[ -z "$violations" ] || { echo "$violations"; exit 1; }
