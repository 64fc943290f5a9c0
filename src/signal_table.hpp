#pragma once

#include <signal.h>

#include <array>
#include <boost/asio/execution_context.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <mutex>
#include <optional>
#include <rung/detail/io_operation.hpp>
#include <rung/detail/signal_set_service.hpp>

namespace rung::detail {

/// What the process has caught. Guarded by its mutex.
struct signal_table {
    struct caught {
        std::size_t sets = 0;  // that have the signal
        int flags = signals::no_flags_wanted;
    };

    static signal_table& get() {
        static signal_table& table = *new signal_table;  // outlives every static object
        return table;
    }

    void open();
    void close() noexcept;
    /// Passes on what has come.
    void deliver();
    void deliver(int number);
    /// One set more has the signal, which is caught with those flags.
    boost::system::error_code catch_for(int number, int flags);
    /// One set less has it.
    boost::system::error_code forget(int number);

    std::mutex mutex;
    int read_end = -1;
    std::array<caught, NSIG> table{};
    signal_set_state* sets = nullptr;
    signal_watcher* watchers = nullptr;

private:
    signal_table();
    void reopen() noexcept;
};

/// A context's view of the pipe.
class signal_watcher final : public boost::asio::execution_context::service {
public:
    using key_type = signal_watcher;
    static boost::asio::execution_context::id id;

    explicit signal_watcher(boost::asio::execution_context& c);
    ~signal_watcher() override;

    // With the table locked.
    bool over() const noexcept { return over_; }
    void begin_wait() noexcept;
    /// Ends a wait that has begun.
    void end(signal_operation* op, int number) noexcept;
    /// Hands the result, 0 for none, to the handler.
    void finish(signal_operation* op, int number) noexcept;
    void detach() noexcept { engine::detach(engine_, watched_); }

    signal_watcher* next = nullptr;

private:
    /// A wait for the pipe to be filled. It keeps the context at work while there are waits.
    class watch : public io_operation {
    public:
        watch(signal_watcher& w, int descriptor_to_watch) noexcept
            : io_operation(&watch::finish, level::normal), watcher_(w) {
            kind = io_kind::wait;
            by_poll = true;
            events = POLLIN;
            descriptor = descriptor_to_watch;
        }

    private:
        static void finish(operation* base, action what) {
            static_cast<watch*>(base)->watcher_.watch_ended(what == action::complete);
        }
        signal_watcher& watcher_;
    };

    void shutdown() override;
    void watch_ended(bool running);
    void start_watch() noexcept;

    scheduler& engine_;
    std::optional<watch> watch_;
    io_list watched_;
    std::size_t waits_ = 0;
    bool over_ = false;  // the context is being destroyed
};

}  // namespace rung::detail
