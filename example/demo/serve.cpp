/// The one server, compiled for each context. Both are told that one thread runs them, which is
/// where both are fastest.

#include "serve.hpp"

#include <boost/asio/io_context.hpp>
#include <rung/io_context.hpp>
#include <stdexcept>
#include <string>

#include "server.hpp"

namespace demo {

namespace {

template <class Context>
server<Context> listen(Context& context, ports p) try {
    return server<Context>(context, p);
} catch (const boost::system::system_error& e) {
    throw std::runtime_error("cannot listen on ports " + std::to_string(p.bulk) + " and " +
                             std::to_string(p.control) + " of 127.0.0.1: " + e.code().message());
}

template <class Context>
void serve(ports p, const listening_function& listening) {
    Context context(1);
    server<Context> s = listen(context, p);
    s.start();
    listening(s.listening_on());
    context.run();
}

}  // namespace

void serve_on_stock(ports p, const listening_function& listening) {
    serve<boost::asio::io_context>(p, listening);
}

void serve_on_rung(ports p, const listening_function& listening) {
    serve<rung::io_context>(p, listening);
}

}  // namespace demo
