// The floor: epoll, recv and send with nothing above them.

#include "server.hpp"

namespace bench {

void serve_raw_epoll(control_link& link, const role_arguments&) {
    raw_epoll_server server;
    link.ready({server.port()});
    for (;;) {
        server.poll(-1);
    }
}

}  // namespace bench
