// The floor: epoll, recv and send with nothing above them.

#include "server.hpp"

namespace bench {

void serve_raw_epoll(control_link& link, const role_arguments& args) {
    raw_epoll_server server(parse_transport(args.at(0)));
    link.ready({server.port()});
    for (;;) {
        server.poll(-1);
    }
}

}  // namespace bench
