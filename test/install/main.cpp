#include <boost/asio/post.hpp>
#include <rung/io_context.hpp>

int main() {
    rung::io_context context;
    int handlers = 0;
    boost::asio::post(context, [&handlers] { ++handlers; });
    context.run();
    return handlers == 1 ? 0 : 1;
}
