#pragma once

#include <boost/asio/error.hpp>
#include <cstddef>
#include <rung/detail/asio_binding.hpp>
#include <rung/detail/intrusive_queue.hpp>
#include <rung/detail/io_handler.hpp>
#include <rung/executor.hpp>
#include <tuple>
#include <vector>

namespace rung::detail {

struct signal_set_state;
class signal_watcher;

/// A wait for a signal, with its handler.
class signal_operation : public linked_operation {
public:
    /// Frees what the result owns, for a handler that will not be called.
    void abandon() noexcept {}

    signal_set_state* set = nullptr;  // guarded by the lock of the process's signals
    int number = 0;                   // of the signal that came; 0: cancelled

protected:
    using linked_operation::linked_operation;
};

/// Waits for a signal. Arguments of its handler: `(error_code, int)`.
class signal_core : public signal_operation {
public:
    explicit signal_core(function_type f) noexcept : signal_operation(f, level::normal) {}
    std::tuple<boost::system::error_code, int> take_result() const noexcept {
        if (number == 0) {
            return {boost::asio::error::operation_aborted, 0};
        }
        return {boost::system::error_code(), number};
    }
};

/// The signals of a set and the waits for them. Guarded by the lock of the process's signals.
struct signal_set_state {
    struct entry {
        int number;
        std::size_t undelivered;  // came while nobody waited
    };
    std::vector<entry> entries;  // by number
    intrusive_queue<signal_operation> waits;
    signal_set_state* next = nullptr;  // of all sets
    signal_set_state* previous = nullptr;
    signal_watcher* watcher = nullptr;  // of the set's context
};

/// The process's signals. Every function may be called on any thread, but in a signal handler.
namespace signals {

constexpr int no_flags_wanted = -1;

/// To be called for each set, before and after everything else.
void construct(scheduler& s, signal_set_state& set);
void destroy(signal_set_state& set) noexcept;
/// Has `number` caught, with those `sigaction` flags or with whatever it is caught with already.
boost::system::error_code add(signal_set_state& set, int number, int flags);
/// Gives `number` back to its default action where no other set has it.
boost::system::error_code remove(signal_set_state& set, int number);
boost::system::error_code clear(signal_set_state& set);
/// Begins a wait. It completes once, through the run queue.
void wait(signal_set_state& set, signal_operation* op, cancel_link* link) noexcept;
/// Ends every wait with `operation_aborted`.
void cancel_all(signal_set_state& set) noexcept;
/// Ends the wait behind a slot handler, if it is still there.
void cancel(cancel_link& link) noexcept;
/// Ends the tie between a slot handler and its wait.
void unlink(cancel_link& link) noexcept;

}  // namespace signals

/// The native implementation behind Asio's signal sets.
///
/// Members have the names, the arguments and the errors of Asio's own signal set service. A signal
/// goes to every native set of the process that has it, whichever context that belongs to. Native
/// sets and sets of other executors do not know of each other: a signal is either's.
class signal_set_service {
public:
    using implementation_type = signal_set_state;
    using error_code = boost::system::error_code;

    template <native_executor Executor>
    explicit signal_set_service(const Executor& ex) noexcept
        : engine_(&executor_access::engine_of(inner_executor(ex))) {}

    void construct(implementation_type& set) { signals::construct(*engine_, set); }
    void destroy(implementation_type& set) noexcept { signals::destroy(set); }

    error_code add(implementation_type& set, int number, error_code& ec) {
        return ec = signals::add(set, number, signals::no_flags_wanted);
    }
    template <class Flags>
    error_code add(implementation_type& set, int number, Flags flags, error_code& ec) {
        return ec = signals::add(set, number, static_cast<int>(flags));
    }
    error_code remove(implementation_type& set, int number, error_code& ec) {
        return ec = signals::remove(set, number);
    }
    error_code clear(implementation_type& set, error_code& ec) { return ec = signals::clear(set); }
    error_code cancel(implementation_type& set, error_code& ec) {
        signals::cancel_all(set);
        return ec = {};
    }
    template <class Handler, class IoExecutor>
    void async_wait(implementation_type& set, Handler& handler, const IoExecutor& ex) {
        cancel_link* const link =
            connect_slot<&signals::cancel, &signals::unlink>(handler, *engine_);
        auto* const op = make_handler_operation<signal_core>(handler, ex);
        BOOST_ASIO_HANDLER_CREATION(
            (engine::context_of(*engine_), *op, "signal_set", &set, 0, "async_wait"));
        signals::wait(set, op, link);
    }

private:
    scheduler* engine_;
};

}  // namespace rung::detail
