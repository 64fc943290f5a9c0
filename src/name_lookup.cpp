/// Name look-up on helper threads: the C library's resolver knows no other way than to wait.

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <boost/asio/error.hpp>
#include <boost/asio/execution_context.hpp>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <rung/detail/asio_binding.hpp>
#include <rung/detail/name_lookup.hpp>
#include <system_error>
#include <thread>
#include <vector>

#include "scheduler.hpp"

namespace rung::detail {

name_question::name_question(std::string host_name, std::string service_name,
                             const addrinfo& wanted)
    : reverse(false), host(std::move(host_name)), service(std::move(service_name)), hints(wanted) {}

name_question::name_question(const void* address_bytes, socklen_t address_size,
                             int socket_type) noexcept
    : reverse(true), size(std::min<socklen_t>(address_size, sizeof address)), type(socket_type) {
    std::memcpy(&address, address_bytes, size);
}

name_question::~name_question() {
    if (addresses != nullptr) {
        ::freeaddrinfo(addresses);
    }
}

void name_question::answer() noexcept {
    if (!reverse) {
        socket_ops::getaddrinfo(host.c_str(), service.c_str(), hints, &addresses, error);
        return;
    }
    std::array<char, NI_MAXHOST> host_name{};
    std::array<char, NI_MAXSERV> service_name{};
    socket_ops::sync_getnameinfo(&address, size, host_name.data(), host_name.size(),
                                 service_name.data(), service_name.size(), type, error);
    try {
        host = host_name.data();
        service = service_name.data();
    } catch (const std::bad_alloc&) {
        error = boost::asio::error::no_memory;
    }
}

bool name_question::is_numeric() const noexcept {
    if (reverse) {
        return false;
    }
    const bool number =
        std::all_of(service.begin(), service.end(), [](char c) { return c >= '0' && c <= '9'; });
    in6_addr bytes{};
    return number && (host.empty() || ::inet_pton(AF_INET, host.c_str(), &bytes) == 1 ||
                      ::inet_pton(AF_INET6, host.c_str(), &bytes) == 1);
}

namespace {

/// No signal handler of the program is to run on a helper thread, as on those of Asio.
class signals_blocked {
public:
    signals_blocked() noexcept {
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    ~signals_blocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    signals_blocked(const signals_blocked&) = delete;
    signals_blocked& operator=(const signals_blocked&) = delete;

private:
    sigset_t before_{};
};

/// The lookups of one context and the threads that see to them.
class lookup_pool final : public boost::asio::execution_context::service {
public:
    using key_type = lookup_pool;
    static boost::asio::execution_context::id id;

    explicit lookup_pool(boost::asio::execution_context& c) : service(c) {}
    ~lookup_pool() override { join(); }

    /// Waits for the threads to end, each with the lookup that it is at.
    void join();
    /// Whether this is a child process, in which the threads and what they work on do not exist.
    bool left_behind() const noexcept { return generation_ != fork_generation(); }

    void start(scheduler& s, lookup_list& list, lookup_operation* op, cancel_link* link) noexcept;
    void cancel_all(scheduler& s, lookup_list& list) noexcept;
    void move(lookup_list& to, lookup_list& from) noexcept;
    void cancel(cancel_link& link) noexcept;
    void unlink(cancel_link& link) noexcept;

private:
    void shutdown() override;
    void notify_fork(boost::asio::execution_context::fork_event event) override;
    void add_thread(scheduler& s);
    void serve(scheduler& s);
    static void leave(lookup_operation* op) noexcept;
    static void end(scheduler& s, lookup_operation* op) noexcept;
    static void abort(scheduler& s, lookup_operation* op) noexcept;
    std::shared_ptr<name_question> next_question() noexcept;

    std::mutex mutex_;  // guards everything below, lists and links
    std::condition_variable asked_;
    std::shared_ptr<name_question> first_;  // the queue
    name_question* last_ = nullptr;
    std::size_t waiting_ = 0;  // in the queue
    std::size_t idle_ = 0;     // threads without a question
    bool stopping_ = false;
    bool over_ = false;  // the context is being destroyed
    scheduler* engine_ = nullptr;
    std::vector<std::thread> threads_;
    unsigned generation_ = fork_generation();  // in which the threads live
};

boost::asio::execution_context::id lookup_pool::id;

lookup_pool& pool_of(scheduler& s) {
    return boost::asio::use_service<lookup_pool>(
        static_cast<boost::asio::execution_context&>(s.context()));
}

void lookup_pool::start(scheduler& s, lookup_list& list, lookup_operation* op,
                        cancel_link* link) noexcept {
    const std::lock_guard lock(mutex_);
    if (over_) {
        op->question.reset();
        engine::post(s, op);
        return;
    }
    engine::work_started(s);
    engine_ = &s;
    op->question->asker = op;
    op->after = list.front;
    op->before = &list.front;
    if (list.front != nullptr) {
        list.front->before = &op->after;
    }
    list.front = op;
    if (link != nullptr) {
        link->op.store(op, std::memory_order_release);
        op->link = link;
    }
    (first_ == nullptr ? first_ : last_->next) = op->question;
    last_ = op->question.get();
    ++waiting_;
    if (!stopping_ && waiting_ > idle_ && threads_.size() < s.options().resolver_threads) {
        add_thread(s);
    }
    asked_.notify_one();
}

/// One thread more, if the system has one to give. Without any, the queue fails.
void lookup_pool::add_thread(scheduler& s) {
    try {
        const signals_blocked none;
        threads_.reserve(threads_.size() + 1);
        threads_.emplace_back([this, &s] { serve(s); });
    } catch (const std::exception&) {
        while (threads_.empty() && first_ != nullptr) {
            const auto question = next_question();
            question->error = boost::asio::error::try_again;
            if (question->asker != nullptr) {
                end(s, question->asker);
            }
        }
    }
}

std::shared_ptr<name_question> lookup_pool::next_question() noexcept {
    auto question = std::move(first_);
    first_ = std::move(question->next);
    --waiting_;
    return question;
}

void lookup_pool::serve(scheduler& s) {
    std::unique_lock lock(mutex_);
    for (;;) {
        ++idle_;
        asked_.wait(lock, [this] { return stopping_ || first_ != nullptr; });
        --idle_;
        if (stopping_) {
            return;
        }
        const auto question = next_question();
        if (question->asker == nullptr) {
            continue;
        }
        lock.unlock();
        question->answer();
        lock.lock();
        if (question->asker != nullptr) {
            end(s, question->asker);
        }
    }
}

/// Takes an operation off its list and parts it from its question's thread and its slot.
void lookup_pool::leave(lookup_operation* op) noexcept {
    op->question->asker = nullptr;
    *op->before = op->after;
    if (op->after != nullptr) {
        op->after->before = op->before;
    }
    op->unlink_slot();
}

void lookup_pool::end(scheduler& s, lookup_operation* op) noexcept {
    leave(op);
    engine::post(s, op);
    engine::work_finished(s);
}

/// Ends an operation without its answer.
void lookup_pool::abort(scheduler& s, lookup_operation* op) noexcept {
    leave(op);
    op->question.reset();
    engine::post(s, op);
    engine::work_finished(s);
}

void lookup_pool::cancel_all(scheduler& s, lookup_list& list) noexcept {
    if (left_behind()) {
        return;
    }
    const std::lock_guard lock(mutex_);
    while (lookup_operation* const op = list.front) {
        abort(s, op);
    }
}

void lookup_pool::move(lookup_list& to, lookup_list& from) noexcept {
    const std::lock_guard lock(mutex_);
    to.front = std::exchange(from.front, nullptr);
    if (to.front != nullptr) {
        to.front->before = &to.front;
    }
}

void lookup_pool::cancel(cancel_link& link) noexcept {
    if (left_behind()) {
        return;
    }
    scheduler& s = *link.engine;
    const std::lock_guard lock(mutex_);
    auto* const op = static_cast<lookup_operation*>(link.op.load(std::memory_order_relaxed));
    if (op != nullptr) {
        abort(s, op);
    }
}

void lookup_pool::unlink(cancel_link& link) noexcept {
    if (left_behind()) {
        return;
    }
    const std::lock_guard lock(mutex_);
    if (linked_operation* const op = link.op.load(std::memory_order_relaxed)) {
        op->unlink_slot();
    }
}

void lookup_pool::join() {
    if (left_behind()) {
        for (std::thread& t : threads_) {
            t.detach();
        }
        threads_.clear();
        return;
    }
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    asked_.notify_all();
    for (std::thread& t : threads_) {
        t.join();
    }
    threads_.clear();
}

void lookup_pool::shutdown() {
    if (left_behind()) {
        return;
    }
    {
        const std::lock_guard lock(mutex_);
        over_ = true;
        while (first_ != nullptr) {
            if (const auto question = next_question(); question->asker != nullptr) {
                end(*engine_, question->asker);  // to be destroyed with what else is queued
            }
        }
    }
    join();
}

void lookup_pool::notify_fork(boost::asio::execution_context::fork_event event) {
    if (event == boost::asio::execution_context::fork_prepare) {
        return;  // see end_lookup_threads()
    }
    generation_ = fork_generation();  // the threads have ended before
    const std::lock_guard lock(mutex_);
    stopping_ = false;
    if (first_ != nullptr) {
        add_thread(*engine_);
    }
}

}  // namespace

void end_lookup_threads(io_context& context) {
    boost::asio::execution_context& c = context;
    if (boost::asio::has_service<lookup_pool>(c)) {
        boost::asio::use_service<lookup_pool>(c).join();
    }
}

namespace lookups {

void prepare(scheduler& s) { static_cast<void>(pool_of(s)); }

void start(scheduler& s, lookup_list& list, lookup_operation* op, cancel_link* link) noexcept {
    if (op->question->is_numeric()) {
        op->question->answer();
        engine::post(s, op);
    } else {
        pool_of(s).start(s, list, op, link);
    }
}

void cancel_all(scheduler& s, lookup_list& list) noexcept { pool_of(s).cancel_all(s, list); }
void move(scheduler& s, lookup_list& to, lookup_list& from) noexcept { pool_of(s).move(to, from); }
void cancel(cancel_link& link) noexcept { pool_of(*link.engine).cancel(link); }
void unlink(cancel_link& link) noexcept { pool_of(*link.engine).unlink(link); }

}  // namespace lookups

}  // namespace rung::detail
