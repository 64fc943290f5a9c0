// Every operation of every I/O object as an operation of ours, with each of its endings: on stock
// Asio's context, on ours, and of stock objects that are guests on ours.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/post.hpp>
#include <memory>
#include <optional>

#include "object_endings.hpp"
#include "outcomes.hpp"

using namespace test;

namespace {

/// Our context with the objects of stock Asio.
class guest_loop : public loop<rung::io_context> {
public:
    using executor_type = asio::any_io_executor;
    template <class Protocol>
    using socket_of = asio::basic_stream_socket<Protocol, executor_type>;
    using tcp_socket = socket_of<tcp>;
    using tcp_acceptor = asio::basic_socket_acceptor<tcp, executor_type>;
    using local_socket = socket_of<local_stream>;
    using timer =
        asio::basic_waitable_timer<std::chrono::steady_clock,
                                   asio::wait_traits<std::chrono::steady_clock>, executor_type>;
    using loop::loop;
};

using every_loop = std::tuple<loop<asio::io_context>, loop<rung::io_context>, guest_loop>;

/// Whether the state is the one that belongs to the error.
template <class Client>
bool is_consistent(const Client& op) {
    return op.error() == no_error  ? op.state() == state::done
           : op.error() == aborted ? op.state() == state::cancelled
                                   : op.state() == state::failed;
}

template <class Loop, class Body>
void in_every_mode_of(Body body) {
    for (const mode& m : modes) {
        BOOST_TEST_CONTEXT(m.name) {
            Loop l(m);
            body(l);
        }
    }
}

BOOST_AUTO_TEST_CASE_TEMPLATE(each_ends_as_the_handler_would_be_told, Loop, every_loop) {
    in_every_mode_of<Loop>([](Loop& loop) {
        for_each_operation<Loop>([&]<class Operation>(std::type_identity<Operation>) {
            for (const ending e : endings) {
                BOOST_TEST_CONTEXT(e) {
                    Operation operation(loop, e);
                    auto op = operation.start(rung::use_operation);
                    BOOST_TEST(op.state() == state::running);
                    loop.poll();
                    operation.cause();
                    loop.run();
                    BOOST_TEST_REQUIRE(op.ready());
                    BOOST_TEST(operation.expects(op.error()), op.error() << " is not expected");
                    BOOST_TEST(is_consistent(op));
                }
            }
        });
    });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(each_is_cancelled_by_its_client, Loop, every_loop) {
    in_every_mode_of<Loop>([](Loop& loop) {
        for_each_operation<Loop>([&]<class Operation>(std::type_identity<Operation>) {
            for (const bool begun : {false, true}) {
                Operation operation(loop, ending::cancellation);
                auto op = operation.start(rung::use_operation);
                if (begun) {
                    loop.poll();
                }
                op.cancel();
                loop.poll();  // several threads that run its executor would not be a strand
                loop.run();
                BOOST_TEST_REQUIRE(op.ready());
                BOOST_TEST(operation.expects(op.error()), op.error() << " is not expected");
                BOOST_TEST(is_consistent(op));
            }
        });
    });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(each_ends_with_its_object, Loop, every_loop) {
    in_every_mode_of<Loop>([](Loop& loop) {
        for_each_operation<Loop>([&]<class Operation>(std::type_identity<Operation>) {
            std::optional<Operation> operation(std::in_place, loop, ending::cancellation);
            auto op = operation->start(rung::use_operation);
            loop.poll();
            const bool pending = !op.ready();
            operation.reset();
            loop.run();
            BOOST_TEST_REQUIRE(op.ready());
            // What its peer does, which goes too, may come first.
            BOOST_TEST(
                (!pending || op.error() || requires { Operation::may_succeed_in_any_case; }));
            BOOST_TEST(is_consistent(op));
        });
    });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(each_outlives_its_context, Loop, every_loop) {
    for (const mode& m : modes) {
        BOOST_TEST_CONTEXT(m.name) {
            for_each_operation<Loop>([&]<class Operation>(std::type_identity<Operation>) {
                Loop loop(m);
                auto operation = std::make_shared<Operation>(loop, ending::cancellation);
                auto op = operation->start(rung::use_operation);
                loop.poll();
                const bool pending = !op.ready();
                // Goes with the context, as an object must.
                asio::post(loop.context(), [operation = std::move(operation)] {});
                loop.destroy();
                BOOST_TEST_REQUIRE(op.ready());
                BOOST_TEST((!pending || op.error() == abandoned || op.error() == aborted));
                op.cancel();
            });
        }
    }
}

}  // namespace
