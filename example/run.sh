#!/bin/sh
# sh example/run.sh [argument...]: installs what is missing, builds a release, runs the demo, and says
# how to drive its server by hand. The arguments go to the demo; see --help.
set -u
root=$(cd "$(dirname "$0")/.." && pwd) || exit
(cd "$root" && . test/support/setup.sh && prepare release demo) || exit
demo=$root/build/release/example/demo
if [ $# -gt 0 ]; then
    exec "$demo" "$@"
fi
"$demo" --svg "$root/build/demo.svg" || exit
cat <<END

To drive the server by hand, start it:
  $demo --serve
and from another terminal:
  echo hello | nc -q 1 127.0.0.1 4711    the bulk port answers with a checksum
  echo hello | nc -q 1 127.0.0.1 4712    the control port is urgent
  curl http://127.0.0.1:4712/            and speaks HTTP
--serve prints how to flood it meanwhile, and --serve-stock serves on asio::io_context instead.
END
