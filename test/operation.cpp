// The state machine by itself: each transition, what each state tells, and the two ends' lives.

#include "allocations.hpp"

#include <boost/test/unit_test.hpp>
#include <memory>
#include <rung/operation.hpp>
#include <stdexcept>
#include <string>
#include <thread>

#include "child_process.hpp"
#include "outcomes.hpp"
#include "time_limit.hpp"

using namespace std::chrono_literals;
using namespace test;
using rung::make_operation;

namespace {

BOOST_AUTO_TEST_CASE(it_begins_pending) {
    auto [source, op] = make_operation<int>();
    BOOST_TEST(op.valid());
    BOOST_TEST(source.valid());
    BOOST_TEST(op.state() == state::pending);
    BOOST_TEST(!op.ready());
    BOOST_TEST(op.error() == no_error);
    BOOST_TEST(op.value() == nullptr);
    BOOST_TEST(op.changes() == 0U);
    BOOST_TEST(!source.cancel_requested());
}

BOOST_AUTO_TEST_CASE(it_runs_and_is_done) {
    auto [source, op] = make_operation<std::string>();
    source.set_running();
    BOOST_TEST(op.state() == state::running);
    source.set_done("result");
    BOOST_TEST(op.state() == state::done);
    BOOST_TEST(op.ready());
    BOOST_TEST(op.error() == no_error);
    BOOST_TEST(*op.value() == "result");
    BOOST_TEST(op.changes() == 2U);
    BOOST_TEST(!source.valid());
}

BOOST_AUTO_TEST_CASE(each_way_to_the_end_is_open_from_pending_and_from_running) {
    for (const bool runs : {false, true}) {
        const auto finish = [runs](auto f) {
            auto [source, op] = make_operation<int>();
            if (runs) {
                source.set_running();
            }
            f(source);
            return op.state();
        };
        BOOST_TEST(finish([](auto& s) { s.set_done(1); }) == state::done);
        BOOST_TEST(finish([](auto& s) { s.set_failed(refused); }) == state::failed);
        BOOST_TEST(finish([](auto& s) { s.set_cancelled(); }) == state::cancelled);
        BOOST_TEST(finish([](auto& s) { s = {}; }) == state::failed);
    }
}

BOOST_AUTO_TEST_CASE(running_may_be_said_again) {
    auto [source, op] = make_operation();
    source.set_running();
    source.set_running();
    BOOST_TEST(op.state() == state::running);
    BOOST_TEST(op.changes() == 2U);
    source.set_done();
    BOOST_TEST(op.state() == state::done);
}

BOOST_AUTO_TEST_CASE(a_failure_has_its_error) {
    auto [source, op] = make_operation<int>();
    source.set_failed(refused);
    BOOST_TEST(op.state() == state::failed);
    BOOST_TEST(op.error() == refused);
    BOOST_TEST(op.reason() == refused);
    BOOST_TEST(op.value() == nullptr);
    BOOST_TEST(thrown_by([&op = op] { op.get(); }) == refused);
}

BOOST_AUTO_TEST_CASE(a_failure_may_say_what_was_achieved) {
    auto [source, op] = make_operation<std::size_t>();
    source.set_failed(boost::asio::error::eof, 3U);
    BOOST_TEST(op.error() == error_code(boost::asio::error::eof));
    BOOST_TEST(*op.value() == 3U);
    BOOST_TEST(thrown_by([&op = op] { op.get(); }) == error_code(boost::asio::error::eof));
}

BOOST_AUTO_TEST_CASE(a_failure_may_be_an_exception) {
    auto [source, op] = make_operation<int>();
    source.set_failed(std::make_exception_ptr(std::runtime_error("from the producer")));
    BOOST_TEST(op.error() == error_code(rung::error::exception));
    BOOST_CHECK_THROW(op.get(), std::runtime_error);
    auto [second_source, second] = make_operation<int>();
    second_source.set_failed(std::make_exception_ptr(boost::system::system_error(refused)));
    BOOST_TEST(second.error() == refused);
    BOOST_TEST(thrown_by([&op = second] { op.get(); }) == refused);
}

BOOST_AUTO_TEST_CASE(a_cancelled_one_says_why) {
    auto [source, op] = make_operation<int>();
    source.set_cancelled(timed_out);
    BOOST_TEST(op.state() == state::cancelled);
    BOOST_TEST(op.error() == aborted);
    BOOST_TEST(op.reason() == timed_out);
    BOOST_TEST(thrown_by([&op = op] { op.get(); }) == aborted);
    auto [second_source, second] = make_operation<int>();
    second_source.set_cancelled();
    BOOST_TEST(second.reason() == aborted);
}

BOOST_AUTO_TEST_CASE(a_dropped_source_fails_its_operation) {
    rung::operation<int> op;
    BOOST_TEST(!op.valid());
    {
        auto ends = make_operation<int>();
        op = std::move(ends.second);
        ends.first.set_running();
    }
    BOOST_TEST(op.state() == state::failed);
    BOOST_TEST(op.error() == abandoned);
}

BOOST_AUTO_TEST_CASE(a_source_that_is_assigned_to_abandons_what_it_had) {
    auto [first, first_op] = make_operation<int>();
    auto [second, second_op] = make_operation<int>();
    first = std::move(second);
    BOOST_TEST(first_op.error() == abandoned);
    BOOST_TEST(second_op.state() == state::pending);
    first.set_done(2);
    BOOST_TEST(second_op.get() == 2);
}

BOOST_AUTO_TEST_CASE(a_finished_source_that_is_dropped_changes_nothing) {
    auto ends = std::make_unique<decltype(make_operation<int>())>(make_operation<int>());
    auto op = std::move(ends->second);
    ends->first.set_done(7);
    ends.reset();
    BOOST_TEST(op.get() == 7);
}

BOOST_AUTO_TEST_CASE(the_operation_may_go_first) {
    auto [source, op] = make_operation<std::string, std::string>();
    op = {};
    source.set_running();
    source.set_progress("unseen");
    BOOST_TEST(!source.cancel_requested());
    source.set_done("unseen");
}

#if !defined(NDEBUG)
BOOST_AUTO_TEST_CASE(a_call_on_a_source_that_has_ended_its_operation_asserts) {
    const auto aborts = [](auto f) {
        child_process child([&] {
            ::close(STDERR_FILENO);
            std::signal(SIGABRT, SIG_DFL);
            auto [source, op] = make_operation<int, int>();
            source.set_done(1);
            f(source);
        });
        const int status = child.wait();
        return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
    };
    BOOST_TEST(aborts([](auto& s) { s.set_running(); }));
    BOOST_TEST(aborts([](auto& s) { s.set_progress(1); }));
    BOOST_TEST(aborts([](auto& s) { s.set_done(2); }));
    BOOST_TEST(aborts([](auto& s) { s.set_failed(refused); }));
    BOOST_TEST(aborts([](auto& s) { s.set_cancelled(); }));
    BOOST_TEST(aborts([](auto& s) { s.on_cancel([] {}); }));
    BOOST_TEST(aborts([](auto& s) { std::tie(s, std::ignore) = make_operation<int, int>(),
                                    s.set_failed(error_code()); }));  // no error
    BOOST_TEST(!aborts([](auto& s) { s.cancel_requested(); }));
}
#else
BOOST_AUTO_TEST_CASE(a_final_state_is_final) {
    auto [source, op] = make_operation<int, int>();
    source.set_done(1);
    source.set_done(2);
    source.set_running();
    source.set_progress(3);
    source.set_failed(refused);
    source.set_cancelled();
    BOOST_TEST(op.state() == state::done);
    BOOST_TEST(op.get() == 1);
    BOOST_TEST(op.progress() == 0);
    BOOST_TEST(op.changes() == 1U);
}
#endif

BOOST_AUTO_TEST_CASE(a_value_whose_construction_throws_leaves_the_operation_as_it_was) {
    struct picky {
        explicit picky(int i) : value(i) {
            if (i < 0) {
                throw std::invalid_argument("negative");
            }
        }
        int value;
    };
    auto [source, op] = make_operation<picky>();
    BOOST_CHECK_THROW(source.set_done(-1), std::invalid_argument);
    BOOST_TEST(op.state() == state::pending);
    source.set_done(1);
    BOOST_TEST(op.get().value == 1);
}

BOOST_AUTO_TEST_CASE(progress_is_the_latest_in_pending_and_in_running) {
    auto [source, op] = make_operation<void, double>();
    BOOST_TEST(op.progress() == 0.0);
    source.set_progress(0.1);
    BOOST_TEST(op.state() == state::pending);
    BOOST_TEST(op.progress() == 0.1);
    source.set_running();
    BOOST_TEST(op.progress() == 0.1);
    source.set_progress(0.5);
    source.set_progress(0.7);
    BOOST_TEST(op.progress() == 0.7);
    BOOST_TEST(op.changes() == 4U);
    source.set_done();
    BOOST_TEST(op.progress() == 0.7);
}

BOOST_AUTO_TEST_CASE(progress_may_be_of_any_type) {
    struct counts {
        std::uint64_t done, total, failed;
    };
    auto [large_source, large] = make_operation<void, counts>();
    large_source.set_progress({1, 2, 3});
    BOOST_TEST(large.progress().failed == 3U);
    large_source.set_progress({4, 5, 6});
    BOOST_TEST(large.progress().done == 4U);

    auto [text_source, text] = make_operation<void, std::string>();
    BOOST_TEST(text.progress().empty());
    for (int i = 0; i < 20; ++i) {
        text_source.set_progress("a text that is too long for a string to hold without memory");
        text_source.set_progress("another");
    }
    BOOST_TEST(text.progress() == "another");

    struct odd {
        char bytes[3];
    };
    auto [odd_source, small] = make_operation<void, odd>();
    odd_source.set_progress({{1, 2, 3}});
    BOOST_TEST(static_cast<int>(small.progress().bytes[2]) == 3);
}

BOOST_AUTO_TEST_CASE(cancel_is_a_request_that_can_be_polled) {
    auto [source, op] = make_operation<int>();
    op.cancel();
    BOOST_TEST(op.state() == state::pending);
    BOOST_TEST(source.cancel_requested());
    source.set_done(5);  // too late
    BOOST_TEST(op.get() == 5);
    BOOST_TEST(!source.cancel_requested());
}

BOOST_AUTO_TEST_CASE(cancel_calls_back_once) {
    auto [source, op] = make_operation<int>();
    int calls = 0;
    source.on_cancel([&] { ++calls; });
    BOOST_TEST(calls == 0);
    op.cancel();
    op.cancel();
    BOOST_TEST(calls == 1);
}

BOOST_AUTO_TEST_CASE(a_callback_that_comes_after_the_request_is_called_at_once) {
    auto [source, op] = make_operation<int>();
    op.cancel();
    int calls = 0;
    source.on_cancel([&] { ++calls; });
    BOOST_TEST(calls == 1);
}

BOOST_AUTO_TEST_CASE(the_second_callback_replaces_the_first) {
    auto [source, op] = make_operation<int>();
    int first = 0;
    int second = 0;
    source.on_cancel([&] { ++first; });
    source.on_cancel([&] { ++second; });
    op.cancel();
    BOOST_TEST(first == 0);
    BOOST_TEST(second == 1);
}

BOOST_AUTO_TEST_CASE(a_callback_may_end_the_operation) {
    auto [source, op] = make_operation<int>();
    source.on_cancel([&source = source] { source.set_cancelled(); });
    op.cancel();
    BOOST_TEST(op.state() == state::cancelled);
}

BOOST_AUTO_TEST_CASE(a_callback_is_dropped_at_the_end) {
    auto [source, op] = make_operation<int>();
    const auto token = std::make_shared<int>(0);
    source.on_cancel([token] { ++*token; });
    BOOST_TEST(token.use_count() == 2);
    source.set_done(1);
    BOOST_TEST(token.use_count() == 1);
    op.cancel();
    BOOST_TEST(*token == 0);
}

BOOST_AUTO_TEST_CASE(the_value_is_copied_out_of_an_lvalue_and_moved_out_of_an_rvalue) {
    auto [source, op] = make_operation<std::shared_ptr<int>>();
    const auto value = std::make_shared<int>(1);
    source.set_done(value);
    BOOST_TEST(op.get() == value);
    BOOST_TEST(op.get() == value);
    BOOST_TEST(value.use_count() == 2);
    BOOST_TEST(std::move(op).get() == value);
    op = {};
    BOOST_TEST(value.use_count() == 1);
}

BOOST_AUTO_TEST_CASE(a_value_may_be_of_a_type_that_only_moves) {
    auto [source, op] = make_operation<std::unique_ptr<int>>();
    source.set_done(std::make_unique<int>(3));
    BOOST_TEST(**op.value() == 3);
    BOOST_TEST(*op.get() == 3);
}

BOOST_AUTO_TEST_CASE(wait_for_says_whether_it_has_ended) {
    const test::time_limit limit;
    auto [source, op] = make_operation<int>();
    BOOST_TEST(!op.wait_for(0s));
    BOOST_TEST(!op.wait_for(1ms));
    BOOST_TEST(!op.wait_for(1ms, 1ms));
    BOOST_TEST(!op.wait_until(std::chrono::steady_clock::now() - 1s));
    source.set_done(1);
    BOOST_TEST(op.wait_for(0s));
    BOOST_TEST(op.wait_for(std::chrono::hours::max()));
    BOOST_TEST(op.wait() == state::done);
}

BOOST_AUTO_TEST_CASE(a_thread_sleeps_until_the_end) {
    const test::time_limit limit;
    for (const auto spin : {0ns, 1'000'000ns}) {
        auto [source, op] = make_operation<int>();
        std::thread producer([s = std::move(source)]() mutable {
            std::this_thread::sleep_for(2ms);
            s.set_running();
            std::this_thread::sleep_for(2ms);
            s.set_done(8);
        });
        BOOST_TEST(op.wait_for(std::chrono::hours::max(), spin));
        BOOST_TEST(op.get() == 8);
        producer.join();
    }
}

BOOST_AUTO_TEST_CASE(it_needs_one_block_of_recycled_memory) {
    BOOST_TEST(needs_no_new_memory([] {
        auto [source, op] = make_operation<int, double>();
        source.set_running();
        source.set_progress(0.5);
        source.on_cancel([] {});
        source.set_done(1);
        BOOST_TEST_REQUIRE(op.get() == 1);
    }));
}

/// An allocator over one piece of memory of its own.
template <class T>
struct arena_allocator {
    using value_type = T;
    explicit arena_allocator(void* m) noexcept : memory(m) {}
    template <class U>
    arena_allocator(const arena_allocator<U>& other) noexcept : memory(other.memory) {}
    T* allocate(std::size_t n) {
        if (n * sizeof(T) > 512) {
            throw std::bad_alloc();
        }
        return static_cast<T*>(memory);
    }
    void deallocate(T*, std::size_t) noexcept {}
    template <class U>
    bool operator==(const arena_allocator<U>& other) const noexcept {
        return memory == other.memory;
    }
    void* memory;
};

BOOST_AUTO_TEST_CASE(its_memory_may_be_supplied) {
    alignas(std::max_align_t) unsigned char memory[512];
    for (int i = 0; i < 3; ++i) {
        auto [source, op] = make_operation<int, std::string>(arena_allocator<void>(memory));
        source.set_progress("half");
        source.set_done(i);
        BOOST_TEST(op.get() == i);
    }
}

}  // namespace
