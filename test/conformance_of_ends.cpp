// Every operation, ended by a slot, by its object's end and by its context's; see conformance.cpp.

#include <atomic>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <memory>
#include <optional>

#include "token_table.hpp"

using namespace test;

namespace {

RUNG_RIVAL_CASE(slots) {
    for_each_operation<Loop>([&]<class Operation>(std::type_identity<Operation>) {
        Operation operation(loop, ending::cancellation);
        seen s;
        asio::cancellation_signal signal;
        operation.start(asio::bind_cancellation_slot(signal.slot(), s.handler()));
        loop.poll();
        signal.emit(asio::cancellation_type::terminal);
        loop.run();
        check_called_once(s);
        check_expected(operation.expects(s.ec), s.ec);
    });
}

RUNG_RIVAL_CASE(objects_destroyed_in_flight) {
    for_each_operation<Loop>([&]<class Operation>(std::type_identity<Operation>) {
        std::optional<Operation> operation(std::in_place, loop, ending::cancellation);
        seen s;
        operation->start(s.handler());
        loop.poll();
        const bool pending = s.calls == 0;
        operation.reset();
        loop.run();
        check_called_once(s);
        // What its peer does, which goes too, may come first.
        check_expected(
            !pending || s.ec || requires { Operation::may_succeed_in_any_case; }, s.ec);
    });
}

void check_destroyed(bool no_calls, bool gone) {
    BOOST_TEST(no_calls);
    BOOST_TEST(gone);
}

/// Owns an operation, which holds on to it in turn, in a context that is destroyed.
template <class Loop>
void check_destruction(const mode& m) {
    for_each_operation<Loop>([&]<class Operation>(std::type_identity<Operation>) {
        Loop loop(m);
        auto operation = std::make_shared<Operation>(loop, ending::cancellation);
        const std::weak_ptr<void> alive = operation;
        std::atomic<int> calls{0};
        operation->start([operation, &calls](auto&&...) { ++calls; });
        loop.poll();
        const int expected = calls;
        operation.reset();
        loop.destroy();
        check_destroyed(calls == expected, alive.expired());
    });
}

BOOST_AUTO_TEST_CASE_TEMPLATE(contexts_destroyed_with_operations_in_flight, Loop, loops) {
    for (const mode& m : modes) {
        BOOST_TEST_CONTEXT(m.name) { check_destruction<Loop>(m); }
    }
}

}  // namespace
