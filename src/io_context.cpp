#include <rung/io_context.hpp>

#if BOOST_VERSION >= 108800
#include <boost/asio/config.hpp>
#endif
#include <utility>

#include "guest_events.hpp"
#include "scheduler.hpp"

namespace rung {

io_context::io_context(const io_context_options& options, detail::guest_thread_end end) {
    set_up(options, end);
}

io_context::io_context(const io_context_options& options,
                       std::unique_ptr<detail::ring_backend> backend)
    : scheduler_(new detail::scheduler(*this, options, std::move(backend))) {
    detail::watch_forks(*this, *scheduler_);
}

void io_context::scheduler_deleter::operator()(detail::scheduler* s) const noexcept { delete s; }

void io_context::set_up(const io_context_options& options, detail::guest_thread_end end) {
    scheduler_.reset(new detail::scheduler(*this, options, nullptr));
    detail::watch_forks(*this, *scheduler_);
    if (end == nullptr && detail::host_guests(*this)) {
        scheduler_->expect_guests();
    } else {
        scheduler_->leave_guests_to_asio(end != nullptr ? end : hosting);
    }
}

/// As its configuration says, in versions of Asio that have such.
io_context_options io_context::configured() {
    io_context_options options;
#if BOOST_VERSION >= 108800
    options.concurrency_hint =
        boost::asio::config(*this).get("scheduler", "concurrency_hint", options.concurrency_hint);
#endif
    return options;
}

io_context::~io_context() {
    scheduler_->end_guest_thread(*this);
    // Handlers may own I/O objects and services' state, so they go while all of it still stands;
    // what the services' own end queues goes after.
    scheduler_->shutdown();
    shutdown();
    scheduler_->shutdown();
    destroy();
}

io_context::count_type io_context::run() {
    return scheduler_->run(detail::scheduler::forever, detail::scheduler::unlimited);
}
io_context::count_type io_context::run_one() {
    return scheduler_->run(detail::scheduler::forever, 1);
}
io_context::count_type io_context::run_before(clock::time_point deadline, count_type limit) {
    return scheduler_->run(std::chrono::nanoseconds(deadline.time_since_epoch()).count(), limit);
}
io_context::count_type io_context::poll() {
    return scheduler_->run(detail::scheduler::no_wait, detail::scheduler::unlimited);
}
io_context::count_type io_context::poll_one() {
    return scheduler_->run(detail::scheduler::no_wait, 1);
}

void io_context::stop() { scheduler_->stop(); }
bool io_context::stopped() const { return scheduler_->stopped(); }
void io_context::restart() { scheduler_->restart(); }

rung::backend io_context::backend() const noexcept { return scheduler_->backend(); }
rung::statistics io_context::statistics() const noexcept { return scheduler_->statistics(); }

}  // namespace rung
