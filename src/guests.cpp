/// Guests: stock I/O objects, with Asio's own services behind them, on our loop.
///
/// Asio gives such services a `detail::scheduler`, and that a thread, when it finds none in the
/// context. We put one there first, without a thread. Its handlers run in turns: operations of our
/// run queue, each of which has it run one, or some while nothing else is to be done. A turn is
/// queued when the reactor's epoll descriptor, which our ring watches, becomes readable, and when
/// something is posted to Asio's scheduler.

#include <atomic>
#include <boost/asio/detail/op_queue.hpp>
#include <boost/asio/detail/scheduler.hpp>
// Needs the scheduler to be known.
#include <boost/asio/detail/reactor.hpp>
#include <boost/asio/detail/scheduler_operation.hpp>
#include <boost/asio/detail/scheduler_task.hpp>
#include <boost/asio/detail/scheduler_thread_info.hpp>
#include <boost/asio/detail/thread_context.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/ip/icmp.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <memory>
#include <new>
#include <rung/io_context.hpp>
#include <type_traits>
#include <utility>

#include "asio_locks.hpp"
#include "guest_events.hpp"
#include "scheduler.hpp"

// Where one pool of threads serves the resolvers of all protocols: newer versions of Boost.
#if __has_include(<boost/asio/detail/resolver_thread_pool.hpp>)
#include <boost/asio/detail/resolver_thread_pool.hpp>
#define RUNG_ASIO_POOLS_RESOLVERS 1
#else
#define RUNG_ASIO_POOLS_RESOLVERS 0
#endif

namespace rung::detail {

using asio_scheduler = boost::asio::detail::scheduler;

#if RUNG_ASIO_USES_EPOLL

namespace {

using asio_operation = boost::asio::detail::scheduler_operation;
using asio_reactor = boost::asio::detail::epoll_reactor;
using asio_queue = boost::asio::detail::op_queue<asio_operation>;
using asio_thread_info = boost::asio::detail::scheduler_thread_info;

/// What is in the queue of Asio's scheduler beside its task, which stands there for the reactor.
enum class remainder {
    none,
    handlers,
    unknown  // the task is with another turn, which adds what it finds, and looks for more after it
};
/// If that is nothing, it calls the task's `interrupt()` for the first thing that is posted.
remainder settle_queue(asio_scheduler& s);
/// Has it call `interrupt()` for what is queued behind the handler that runs next.
void share_queue(asio_scheduler& s);
/// Has it run one handler, or look at its task. False if there was none.
bool poll_one(asio_scheduler& s, asio_thread_info& thread);
int descriptor_of(const asio_reactor& r) noexcept;

/// The members are private. An explicit instantiation may name them all the same, and does not
/// compile should a Boost of the future have others.
template <auto Mutex, auto Queue, auto Task, auto Interrupted, auto PollOne>
class scheduler_parts {
    using mutex = std::remove_reference_t<decltype(std::declval<asio_scheduler&>().*Mutex)>;
    using lock = typename mutex::scoped_lock;

    static remainder settle(asio_scheduler& s) {
        const lock l(s.*Mutex);
        asio_queue& queue = s.*Queue;
        if (queue.front() != &(s.*Task)) {
            return queue.empty() ? remainder::unknown : remainder::handlers;
        }
        queue.pop();
        const bool nothing_else = queue.empty();
        queue.push(&(s.*Task));
        if (nothing_else) {
            s.*Interrupted = false;
        }
        return nothing_else ? remainder::none : remainder::handlers;
    }
    static void share(asio_scheduler& s) {
        const lock l(s.*Mutex);
        const asio_operation* const next = (s.*Queue).front();
        if (next != nullptr && next != &(s.*Task)) {
            s.*Interrupted = false;
        }
    }

    static bool poll(asio_scheduler& s, asio_thread_info& thread) {
        lock l(s.*Mutex);
        return (s.*PollOne)(l, thread, boost::system::error_code()) != 0;
    }

    friend bool poll_one(asio_scheduler& s, asio_thread_info& t) { return poll(s, t); }
    friend remainder settle_queue(asio_scheduler& s) { return settle(s); }
    friend void share_queue(asio_scheduler& s) { share(s); }
};
template class scheduler_parts<&asio_scheduler::mutex_, &asio_scheduler::op_queue_,
                               &asio_scheduler::task_operation_, &asio_scheduler::task_interrupted_,
                               &asio_scheduler::do_poll_one>;

template <auto Descriptor>
struct reactor_parts {
    friend int descriptor_of(const asio_reactor& r) noexcept { return r.*Descriptor; }
};
template struct reactor_parts<&asio_reactor::epoll_fd_>;

/// What Asio knows of the thread that runs a turn.
struct turn_info : asio_thread_info {
    bool paused = false;  // what ran last was no handler, but our pause
};

/// While it lives, this thread is one that runs Asio's scheduler. Unlike Asio's own `poll_one` it
/// leaves the memory that `info` has for operations to the next turn.
class asio_turn : private boost::asio::detail::thread_context {
public:
    asio_turn(asio_scheduler& s, turn_info& info) : entry_(&s, info) {}

    /// Of the innermost turn on this thread. Precondition: there is one.
    static turn_info& info(asio_scheduler& s) noexcept {
        return static_cast<turn_info&>(*thread_call_stack::contains(&s));
    }

private:
    thread_call_stack::context entry_;
};

/// The reactor's place in our loop. Made with the first guest.
class guest_host final : public boost::asio::execution_context::service,
                         public boost::asio::detail::scheduler_task,
                         public guest_events {
public:
    static boost::asio::execution_context::id id;

    explicit guest_host(boost::asio::execution_context& context)
        : service(context),
          guest_events(descriptor_of(boost::asio::use_service<asio_reactor>(context))),
          engine_(executor_access::engine_of(static_cast<io_context&>(context).get_executor())),
          asio_(boost::asio::use_service<asio_scheduler>(context)),
          reactor_(boost::asio::use_service<asio_reactor>(context)),
          turns_(new turn(*this)),
          fork_locks_(asio_locks::of(context)) {
        asio_.work_started();  // without any, it would stop
        engine_.watch(this);
        post_turn();
    }

    ~guest_host() {
        const turn* t = turns_.load(std::memory_order_relaxed);
        while (t != nullptr) {
            delete std::exchange(t, t->another);
        }
    }

    /// What Asio's scheduler is made with.
    static boost::asio::detail::scheduler_task* of(boost::asio::execution_context& context) {
        return &boost::asio::use_service<guest_host>(context);
    }

private:
    /// Some of Asio's work in our run queue.
    struct turn final : operation {
        explicit turn(guest_host& h) noexcept : operation(&turn::finish, level::normal), host(h) {
            info.private_outstanding_work = 0;
        }
        static void finish(operation* base, action what) {
            auto* const self = static_cast<turn*>(base);
            self->host.note_run();
            if (what == action::complete) {
                self->host.take(*self);
            } else {
                self->release();
            }
        }
        void release() noexcept {
            taken.store(false, std::memory_order_release);
        }  // see free_turn()

        guest_host& host;
        turn_info info;                  // of the thread that runs the turn
        std::atomic<bool> taken{false};  // queued, or running
        turn* another = nullptr;         // of the host's; never written once it is among them
    };

    /// Goes ahead of what the reactor brings, so that the turn ends before any of it runs, and other
    /// threads can run the rest.
    struct pause final : asio_operation {
        pause() noexcept : asio_operation(&pause::finish) {}
        static void finish(void* owner, asio_operation*, const boost::system::error_code&,
                           std::size_t) {
            if (owner != nullptr) {
                asio_turn::info(*static_cast<asio_scheduler*>(owner)).paused = true;
            }
        }
    };

    void shutdown() override {
        engine_.watch(nullptr);
        fork_locks_.reset();  // before the reactor goes
    }
    void notify_fork(boost::asio::execution_context::fork_event event) override {
        if (event == boost::asio::execution_context::fork_child) {
            watch_instead(descriptor_of(reactor_));  // which has a new one, being told before us
        }
    }

    /// The reactor's part of Asio's queue; never waits, since our loop does.
    void run(long, asio_queue& ready) override {
        asio_queue found;
        reactor_.run(0, found);
        if (!found.empty()) {
            if (engine_.several_threads()) {
                asio_.work_started();  // its end will be counted
                ready.push(&pause_);
            }
            ready.push(found);
        }
    }
    void interrupt() override { post_turn(); }

    operation* ready() noexcept override { return free_turn(); }
    operation* entered() noexcept override {
        newcomer_.store(true, std::memory_order_relaxed);
        return free_turn();
    }

    /// A turn to queue. There are as many as were ever needed at once, which is one that is queued
    /// for each that runs, at most. Null for want of memory: each that is taken looks for more
    /// after it.
    turn* free_turn() noexcept {
        turn* t = turns_.load(std::memory_order_acquire);  // pairs with add_turn()
        while (t != nullptr && t->taken.exchange(true, std::memory_order_acq_rel)) {
            t = t->another;
        }
        if (t == nullptr) {
            t = add_turn();
        }
        if (t != nullptr) {
            note_queued();
        }
        return t;
    }
    turn* add_turn() noexcept {
        turn* const t = new (std::nothrow) turn(*this);
        if (t != nullptr) {
            t->taken.store(true, std::memory_order_relaxed);
            t->another = turns_.load(std::memory_order_relaxed);
            while (!turns_.compare_exchange_weak(t->another, t, std::memory_order_acq_rel,
                                                 std::memory_order_relaxed)) {
            }
        }
        return t;
    }
    void post_turn() noexcept {
        if (turn* const t = free_turn()) {
            engine_.post(t);
        }
    }

    void take(turn& t) {
        bool more = true;
        try {
            more = poll(t.info);
        } catch (...) {
            t.release();
            post_turn();
            throw;
        }
        t.release();
        if (queued() != 0) {
            return;  // the turn that is queued looks for more as well
        }
        const remainder left = more ? remainder::handlers : settle_queue(asio_);
        if (left == remainder::handlers) {
            post_turn();
        } else if (newcomer_.load(std::memory_order_relaxed)) {
            // The turn that has the task may have begun when its thread was alone, and runs the
            // first of what it finds without sharing the others.
            if (left == remainder::unknown) {
                post_turn();
            } else {
                newcomer_.store(false, std::memory_order_relaxed);
            }
        }
    }

    /// True if there may be more to run.
    bool poll(turn_info& info) {
        constexpr unsigned most = 16;
        const asio_turn here(asio_, info);
        if (engine_.several_threads()) {
            share_queue(asio_);
        }
        unsigned n = 0;
        bool more = true;
        do {
            more = poll_one(asio_, info);
            n += more && !std::exchange(info.paused, false) ? 1 : 0;
        } while (more && n < most && engine_.nothing_else(queued()));
        engine::count_as(engine_, n);
        return more;
    }

    scheduler& engine_;
    asio_scheduler& asio_;
    asio_reactor& reactor_;
    pause pause_;
    std::atomic<turn*> turns_;           // owned; a list to which turns are added only
    std::atomic<bool> newcomer_{false};  // a thread has entered since the task was last seen
    std::unique_ptr<asio_locks> fork_locks_;
};

boost::asio::execution_context::id guest_host::id;

}  // namespace

bool host_guests(io_context& context) {
    using task_source = asio_scheduler::get_task_func_type;
    if constexpr (std::is_constructible_v<asio_scheduler, io_context&, int, bool, task_source>) {
        boost::asio::make_service<asio_scheduler>(context, 0, false, &guest_host::of);
    } else {  // Boost 1.88 and newer
        boost::asio::make_service<asio_scheduler>(context, false, &guest_host::of);
    }
    return true;
}

bool has_quiet_guests(io_context& context) noexcept {
    using boost::asio::has_service;
    boost::asio::execution_context& c = context;
#if RUNG_ASIO_POOLS_RESOLVERS
    return has_service<boost::asio::detail::resolver_thread_pool>(c);
#else
    namespace ip = boost::asio::ip;
    using boost::asio::detail::resolver_service;
    return has_service<resolver_service<ip::tcp>>(c) || has_service<resolver_service<ip::udp>>(c) ||
           has_service<resolver_service<ip::icmp>>(c);
#endif
}

void watch_quiet_guests(io_context& context) {
    boost::asio::execution_context& c = context;
    boost::asio::use_service<asio_scheduler>(c).init_task();
}

#else

bool host_guests(io_context&) { return false; }
bool has_quiet_guests(io_context&) noexcept { return false; }
void watch_quiet_guests(io_context&) {}

#endif

}  // namespace rung::detail
