#include <cerrno>
#include <boost/system/system_error.hpp>
#include <fstream>
#include <memory>
#include <mutex>
#include <ostream>
#include <rung/clock.hpp>
#include <rung/detail/short_lock.hpp>
#include <rung/trace.hpp>
#include <vector>

namespace rung::detail {

std::atomic<bool> tracing{false};

namespace {

struct event {
    enum class kind : std::uint8_t { begin, end, operation };
    kind what;
    level track;
    operation_state state;
    std::int64_t time_ns;
    const void* subject;  // a name, or an operation
};

/// What one thread has recorded. It outlives the thread, until the next start.
struct recording {
    static constexpr std::size_t most = std::size_t{1} << 18;

    short_lock lock;
    std::vector<event> events;     // guarded by lock
    std::uint64_t dropped = 0;     // guarded by lock
    std::uint64_t generation = 0;  // of start(); guarded by lock

    void add(const event& e, std::uint64_t now) noexcept {
        const std::lock_guard held(lock);
        if (generation != now) {
            generation = now;
            events.clear();
            dropped = 0;
        }
        try {
            if (events.size() < most) {
                events.push_back(e);
                return;
            }
        } catch (const std::bad_alloc&) {
        }
        ++dropped;
    }
};

/// The recordings of all threads.
struct registry {
    std::mutex mutex;
    std::vector<std::shared_ptr<recording>> threads;  // guarded by mutex
    std::atomic<std::uint64_t> generation{0};

    static registry& instance() {
        static registry* const r = new registry;  // for threads that outlive the statics
        return *r;
    }
};

void add(const event& e) noexcept {
    registry& all = registry::instance();
    static thread_local std::shared_ptr<recording> own;
    if (own == nullptr) {
        try {
            auto fresh = std::make_shared<recording>();
            const std::lock_guard lock(all.mutex);
            all.threads.push_back(fresh);
            own = std::move(fresh);
        } catch (const std::bad_alloc&) {
            return;
        }
    }
    own->add(e, all.generation.load(std::memory_order_acquire));
}

const char* name_of(level l) noexcept {
    return l == level::high ? "high" : l == level::low ? "low" : "normal";
}

/// The number of a thread's track; those of a thread lie together, the urgent one first.
std::size_t track(std::size_t thread, level l) noexcept {
    return thread * 4 + static_cast<std::size_t>(l) + 1;
}

void write_event(std::ostream& out, const event& e, std::size_t thread) {
    out << ",\n{\"pid\":1,\"tid\":" << track(thread, e.track) << ",\"ts\":" << e.time_ns / 1000
        << '.' << static_cast<char>('0' + e.time_ns / 100 % 10)
        << static_cast<char>('0' + e.time_ns / 10 % 10) << static_cast<char>('0' + e.time_ns % 10);
    switch (e.what) {
        case event::kind::begin:
            out << ",\"ph\":\"B\",\"name\":\"" << static_cast<const char*>(e.subject) << "\"}";
            break;
        case event::kind::end:
            out << ",\"ph\":\"E\"}";
            break;
        case event::kind::operation:
            // An operation is an asynchronous event: begun pending, ended in its final state.
            out << ",\"ph\":\""
                << (e.state == operation_state::pending ? 'b'
                    : is_final(e.state)                 ? 'e'
                                                        : 'n')
                << R"(","cat":"operation","name":"operation","id":")" << e.subject
                << R"(","args":{"state":")" << e.state << "\"}}";
            break;
    }
}

}  // namespace

void trace_begin(const char* name, level l) noexcept {
    add({event::kind::begin, l, {}, clock::now_ns(), name});
}

void trace_end(level l) noexcept { add({event::kind::end, l, {}, clock::now_ns(), nullptr}); }

void trace_operation(const operation_core* which, operation_state to) noexcept {
    add({event::kind::operation, level::normal, to, clock::now_ns(), which});
}

}  // namespace rung::detail

namespace rung::trace {

void start() {
    rung::detail::registry::instance().generation.fetch_add(1, std::memory_order_acq_rel);
    rung::detail::tracing.store(true, std::memory_order_relaxed);
}

void stop() noexcept { rung::detail::tracing.store(false, std::memory_order_relaxed); }

void write(std::ostream& out) {
    using namespace rung::detail;
    stop();
    registry& all = registry::instance();
    const std::lock_guard lock(all.mutex);
    out << R"({"traceEvents":[{"ph":"M","pid":1,"name":"process_name","args":{"name":"rung"}})";
    for (std::size_t t = 0; t < all.threads.size(); ++t) {
        recording& r = *all.threads[t];
        const std::lock_guard held(r.lock);
        if (r.generation != all.generation.load(std::memory_order_acquire)) {
            continue;
        }
        for (const level l : {level::high, level::normal, level::low}) {
            out << ",\n"
                << R"({"ph":"M","pid":1,"tid":)" << track(t, l)
                << R"(,"name":"thread_name","args":{"name":"thread )" << t + 1 << ", " << name_of(l)
                << "\"}}";
        }
        for (const event& e : r.events) {
            write_event(out, e, t);
        }
    }
    out << "\n]}\n";
}

void save(const std::string& path) {
    std::ofstream file(path);
    write(file);
    file.close();
    if (!file) {
        throw boost::system::system_error(errno, boost::system::system_category(),
                                          "rung::trace: cannot write " + path);
    }
}

std::uint64_t dropped() noexcept {
    using namespace rung::detail;
    registry& all = registry::instance();
    const std::lock_guard lock(all.mutex);
    std::uint64_t n = 0;
    for (const auto& r : all.threads) {
        const std::lock_guard held(r->lock);
        n += r->dropped;
    }
    return n;
}

}  // namespace rung::trace
