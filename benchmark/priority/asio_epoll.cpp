// Stock Asio on epoll: first in, first out.

#include "asio_stack.hpp"

#include <boost/asio/io_context.hpp>

namespace bench {

void serve_asio_epoll_priority(control_link& link, const std::vector<std::string>& args) {
    serve_stock_asio<asio::io_context>(link, args);
}

}  // namespace bench
