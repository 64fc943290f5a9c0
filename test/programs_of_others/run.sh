#!/bin/sh
# sh run.sh CHECK DIRECTORY PROGRAM: runs a program that others wrote, and asks of it what it is for.
# sh run.sh --skip REASON
set -u
skip() { echo "SKIP: $*"; exit 77; }
[ "$1" != --skip ] || skip "$2"
check=$1 directory=$2 program=$3

work=$(mktemp -d) || exit
servers=
finish() {
    for server in $servers; do
        kill "$server" 2>/dev/null && wait "$server" 2>/dev/null
    done
    rm -rf "$work"
}
trap finish EXIT

fail() {
    echo "FAILED: $*"
    [ ! -s "$work/log" ] || sed 's/^/the server said: /' "$work/log"
    exit 1
}
expect() { [ "$1" = "$2" ] || fail "$3: expected '$1', got '$2'"; }

# serve NAME ARGUMENT...: starts a server, for which the argument PORT is a free port, and waits until
# it can be reached at $port.
serve() {
    server=$directory/$1
    shift
    tries=0
    while [ $tries -lt 20 ]; do
        tries=$((tries + 1))
        port=$((20000 + ($$ * 7 + tries * 101) % 12000))
        arguments=
        for argument in "$@"; do
            [ "$argument" != PORT ] || argument=$port
            arguments="$arguments $argument"
        done
        "$server" $arguments >"$work/log" 2>&1 &
        id=$!
        waits=0
        while kill -0 $id 2>/dev/null && [ $waits -lt 100 ]; do
            if listens; then
                servers="$servers $id"
                return
            fi
            waits=$((waits + 1))
            sleep 0.1
        done
        kill $id 2>/dev/null && fail "$server does not listen at port $port"
    done
    fail "$server ends as soon as it is started"
}

# Whether the server that was started last listens at $port, in whatever of its threads.
listens() {
    inode=$(awk -v port="$(printf ':%04X' "$port")" \
        '$4 == "0A" && substr($2, length($2) - 4) == port { print $10 }' /proc/net/tcp /proc/net/tcp6 |
        head -n 1)
    [ -n "$inode" ] && ls -l "/proc/$id/fd" 2>/dev/null | grep -q "socket:\[$inode\]"
}

has_curl() { command -v curl >/dev/null || skip 'this system has no curl'; }
ask() { curl -sS -k --max-time 20 --noproxy '*' "$@" || fail "curl $*"; }

# A tree of files to serve, and what is asked of a server that serves it at $1.
make_files() {
    mkdir "$work/files"
    echo '<p>hello</p>' >"$work/files/index.html"
    head -c 5000000 /dev/zero | tr '\0' x >"$work/files/large.txt"
}
ask_for_files() {
    expect '<p>hello</p>' "$(ask "$1/")" 'a file'
    ask "$1/large.txt" | cmp - "$work/files/large.txt" || fail 'a large file is not what it was'
    expect '200 5000000' "$(ask -I -o /dev/null -w '%{http_code} %header{content-length}' \
        "$1/large.txt")" 'a request for the head'
    expect 404 "$(ask -o /dev/null -w '%{http_code}' "$1/absent")" 'a file that is not there'
    expect 400 "$(ask -o /dev/null -w '%{http_code}' -d x "$1/")" 'a method that it does not know'
    expect '200 1 200 0 200 0 ' "$(ask -o /dev/null -o /dev/null -o /dev/null \
        -w '%{http_code} %{num_connects} ' "$1/" "$1/large.txt" "$1/")" \
        'requests over one connection'
    # A body in chunks, and a request after it on the same connection.
    head -c 9000 "$work/files/large.txt" >"$work/body"
    expect '200 1 200 0 ' "$(ask -X GET -H 'Transfer-Encoding: chunked' -o /dev/null -o /dev/null \
        --data-binary "@$work/body" -w '%{http_code} %{num_connects} ' "$1/" "$1/")" \
        'a body in chunks'
    expect '200 ' "$(ask -0 -o /dev/null -w '%{http_code} ' "$1/")" 'HTTP 1.0'
    clients=
    for i in 1 2 3 4 5 6 7 8; do
        ask "$1/large.txt" -o "$work/large.$i" &
        clients="$clients $!"
    done
    for client in $clients; do
        wait "$client" || fail 'one of several clients'
    done
    for i in 1 2 3 4 5 6 7 8; do
        cmp "$work/large.$i" "$work/files/large.txt" || fail 'one of several clients got something else'
    done
}

case $check in
    http_server | https_server)
        has_curl
        make_files
        case $program in
            *_sync) serve "$program" 127.0.0.1 PORT "$work/files" ;;
            *) serve "$program" 127.0.0.1 PORT "$work/files" 2 ;;
        esac
        ask_for_files "${check%_server}://127.0.0.1:$port"
        ;;
    http_server_fast)
        has_curl
        make_files
        serve "$program" 127.0.0.1 PORT "$work/files" 4 block
        expect '<p>hello</p>' "$(ask "http://127.0.0.1:$port/index.html")" 'a file'
        ask "http://127.0.0.1:$port/large.txt" | cmp - "$work/files/large.txt" || fail 'a large file'
        ;;
    http_counter)
        has_curl
        serve "$program" 127.0.0.1 PORT
        counts=$(for i in 1 2 3; do ask "http://127.0.0.1:$port/count"; done |
            sed -n 's/.*There have been \([0-9]*\) requests.*/\1/p' | tr '\n' ' ')
        expect '1 2 3 ' "$counts" 'the number of requests so far'
        expect 404 "$(ask -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port/absent")" '404'
        ;;
    http_client)
        make_files
        serve others_http_server_async 127.0.0.1 PORT "$work/files" 1
        "$directory/$program" 127.0.0.1 "$port" / >"$work/out" || fail 'the client'
        grep -q '<p>hello</p>' "$work/out" || fail "no answer in: $(cat "$work/out")"
        "$directory/$program" 127.0.0.1 "$port" /large.txt 1.0 >"$work/out" || fail 'the client'
        [ "$(wc -c <"$work/out")" -gt 5000000 ] || fail 'a large file'
        ;;
    websocket_server | websocket_client)
        case $check in
            websocket_server) server=$program client=others_websocket_client_async ;;
            websocket_client) server=others_websocket_server_awaitable client=$program ;;
        esac
        serve "$server" 127.0.0.1 PORT 2
        for text in hello 'some words' "$(head -c 60000 /dev/zero | tr '\0' x)"; do
            timeout 20 "$directory/$client" 127.0.0.1 "$port" "$text" >"$work/out" 2>&1 ||
                fail "the client: $(cat "$work/out")"
            [ "$(cat "$work/out")" = "$text" ] || fail "not echoed: $(head -c 300 "$work/out")"
        done
        ;;
    echo_server)
        serve "$program" PORT
        timeout 20 "$directory/others_peer" "$port" 'over and over
' 20 || fail 'the peer'
        ;;
    *)
        fail "no such check: $check"
        ;;
esac
echo "$program does what it is for"
