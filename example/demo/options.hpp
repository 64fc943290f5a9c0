#pragma once

#include <string>

#include "measure.hpp"
#include "serve.hpp"

namespace demo {

struct options {
    plan measured;
    std::string svg = "demo.svg";
    serve_function* serve = nullptr;  // instead of measuring
    bool help = false;
};

/// Throws `std::invalid_argument` that names the option.
options parse(int argc, char** argv);

inline constexpr const char* help =
    R"help(demo: the same Asio server on asio::io_context and on rung::io_context, side by side

  --seconds N    how long to measure (default 16)
  --clients N    bulk clients of each server (default 200)
  --svg FILE     where the picture goes (default demo.svg)
  --quick        two seconds
  --serve        no measurement: the rung server on ports 4711 and 4712 until Ctrl-C
  --serve-stock  the same with the stock server, for comparison by hand
)help";

inline constexpr ports fixed_ports{4711, 4712};

inline constexpr const char* by_hand = R"help(Serving until Ctrl-C. From another terminal:

Bulk port, which answers a line with its checksum:
  echo hello | nc -q 1 127.0.0.1 4711
Control port, whose connections are urgent:
  echo hello | nc -q 1 127.0.0.1 4712
  curl http://127.0.0.1:4712/
How long an urgent request takes while bulk ones flood the server:
  line=$(head -c 4000 /dev/zero | tr '\0' x)
  for i in $(seq 100); do yes $line | nc 127.0.0.1 4711 >/dev/null & done
  curl -w '%{time_total} s\n' http://127.0.0.1:4712/
  pkill -x nc
)help";

}  // namespace demo
