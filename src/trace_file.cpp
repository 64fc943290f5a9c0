/// The recordings as JSON in the trace event format.
/// Source: the Chromium project, "Trace Event Format".

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <boost/system/system_error.hpp>
#include <cerrno>
#include <charconv>
#include <concepts>
#include <iterator>
#include <mutex>
#include <ostream>
#include <rung/trace.hpp>
#include <set>
#include <streambuf>
#include <string_view>
#include <tuple>

#include "trace_events.hpp"

namespace rung::detail {

namespace {

using kind = trace_event::kind;

const char* name_of(level l) noexcept {
    return l == level::high ? "high" : l == level::low ? "low" : "normal";
}

/// Text on its way into a stream; not by the stream's formats, which depend on its locale and flags.
class text {
public:
    explicit text(std::ostream& out) : out_(out) {}
    ~text() { flush(); }
    text(const text&) = delete;
    text& operator=(const text&) = delete;

    text& operator<<(std::string_view s) {
        if (buffer_.size() + s.size() > most) {
            flush();
        }
        buffer_ += s;
        return *this;
    }
    text& operator<<(const char* s) { return *this << std::string_view(s); }
    text& operator<<(char c) { return *this << std::string_view(&c, 1); }
    template <std::integral Number>
    text& operator<<(Number n) {
        return number(n, 10);
    }
    text& operator<<(const void* p) {
        *this << "0x";
        return number(reinterpret_cast<std::uintptr_t>(p), 16);
    }

private:
    static constexpr std::size_t most = std::size_t{1} << 16;

    template <class Number>
    text& number(Number n, int base) {
        char digits[24];
        return *this << std::string_view(
                   digits, static_cast<std::size_t>(
                               std::to_chars(digits, std::end(digits), n, base).ptr - digits));
    }
    void flush() {
        out_.write(buffer_.data(), static_cast<std::streamsize>(buffer_.size()));
        buffer_.clear();
    }

    std::ostream& out_;
    std::string buffer_;
};

/// Text as a JSON string holds it.
struct quoted {
    const char* content;

    friend text& operator<<(text& out, const quoted& q) {
        constexpr const char* digits = "0123456789abcdef";
        out << '"';
        for (const char* at = q.content; *at != '\0'; ++at) {
            const auto c = static_cast<unsigned char>(*at);
            if (c == '"' || c == '\\') {
                out << '\\' << *at;
            } else if (c < ' ') {
                out << "\\u00" << digits[c / 16] << digits[c % 16];
            } else {
                out << *at;
            }
        }
        return out << '"';
    }
};

/// What happened, on which thread.
struct located_event {
    const trace_event* event;
    std::size_t thread;
};

class writer {
public:
    writer(std::ostream& out, const trace_registry& all) : out_(out) {
        for (std::size_t t = 0; t < all.threads.size(); ++t) {
            trace_recording& r = *all.threads[t];
            const std::lock_guard held(r.lock);
            if (!r.events.empty()) {
                kept_.push_back(r.events);
                threads_.push_back(t);
                fibers_.insert(r.fibers.begin(), r.fibers.end());
            }
        }
        for (std::size_t k = 0; k < kept_.size(); ++k) {
            for (const trace_event& e : kept_[k]) {
                events_.push_back({&e, threads_[k]});
            }
        }
        // A thread's events lie in the order in which they happened.
        std::sort(events_.begin(), events_.end(),
                  [](const located_event& a, const located_event& b) {
                      return std::tie(a.event->time_ns, a.thread, a.event) <
                             std::tie(b.event->time_ns, b.thread, b.event);
                  });
    }

    void write() {
        out_ << R"({"traceEvents":[{"ph":"M","pid":)" << pid_
             << R"(,"name":"process_name","args":{"name":"rung"}})";
        for (const std::size_t t : threads_) {
            for (const level l : {level::high, level::normal, level::low}) {
                name_track(t, l);
            }
        }
        for (const located_event& e : events_) {
            write(e);
        }
        out_ << "\n]}\n";
    }

private:
    using fiber_key = trace_recording::fiber_key;

    /// The number of a thread's track; those of a thread lie together, the urgent one first.
    static std::size_t track(std::size_t thread, level l) noexcept {
        return thread * 4 + static_cast<std::size_t>(l) + 1;
    }
    static fiber_key key_of(const trace_event& e) noexcept { return {e.subject, e.number}; }

    void name_track(std::size_t thread, level l) {
        out_ << ",\n"
             << R"({"ph":"M","pid":)" << pid_ << R"(,"tid":)" << track(thread, l)
             << R"(,"name":"thread_name","args":{"name":"thread )" << thread + 1 << ", "
             << name_of(l) << "\"}},\n"
             << R"({"ph":"M","pid":)" << pid_ << R"(,"tid":)" << track(thread, l)
             << R"(,"name":"thread_sort_index","args":{"sort_index":)" << track(thread, l) << "}}";
    }
    /// What is the same in each event, up to its phase.
    text& head(const located_event& e, char phase) {
        const std::int64_t ns = e.event->time_ns;
        return out_ << ",\n{\"pid\":" << pid_ << ",\"tid\":" << track(e.thread, e.event->track)
                    << ",\"ts\":" << ns / 1000 << '.' << static_cast<char>('0' + ns / 100 % 10)
                    << static_cast<char>('0' + ns / 10 % 10) << static_cast<char>('0' + ns % 10)
                    << R"(,"ph":")" << phase << '"';
    }
    void slice_begins(const located_event& e, const char* name) {
        ++open_slices_[track(e.thread, e.event->track)];
        head(e, 'B') << R"(,"name":)" << quoted{name} << "}";
    }
    /// What was under way when the recording began has an end without a beginning.
    void slice_ends(const located_event& e) {
        unsigned& open = open_slices_[track(e.thread, e.event->track)];
        if (open != 0) {
            --open;
            head(e, 'E') << "}";
        }
    }
    /// On the track that a fiber has beside those of its thread: what spans several of its turns.
    text& fiber_head(const located_event& e, char phase) {
        return head(e, phase) << R"(,"cat":"fiber","id":")" << e.event->subject << '.'
                              << e.event->number << '"';
    }
    void fiber_begins(const located_event& e, const char* name) {
        open_in_fibers_[key_of(*e.event)].push_back(name);
        fiber_head(e, 'b') << R"(,"name":)" << quoted{name} << "}";
    }
    void fiber_ends(const located_event& e) {
        auto& open = open_in_fibers_[key_of(*e.event)];
        if (!open.empty()) {
            fiber_head(e, 'e') << R"(,"name":)" << quoted{open.back()} << "}";
            open.pop_back();
        }
    }
    const char* fiber_name_of(const trace_event& e) const {
        const auto found = fibers_.find(key_of(e));
        return found != fibers_.end() ? found->second.data() : "fiber";
    }
    void fiber_goes(const located_event& e) {
        const char* const name = fiber_name_of(*e.event);
        if (open_in_fibers_[key_of(*e.event)].empty()) {
            fiber_begins(e, name);  // its life
        }
        slice_begins(e, name);
    }
    void write(const located_event& e) {
        switch (e.event->what) {
            case kind::begin:
                return slice_begins(e, e.event->name);
            case kind::end:
                return slice_ends(e);
            case kind::operation:
                return write_operation(e);
            case kind::fiber_goes:
                return fiber_goes(e);
            case kind::fiber_waits:
                return slice_ends(e);
            case kind::fiber_ends:
                slice_ends(e);
                return fiber_ends(e);
            case kind::fiber_begin:
                return fiber_begins(e, e.event->name);
            case kind::fiber_end:
                return fiber_ends(e);
        }
    }
    /// An operation is an asynchronous event: begun pending, ended in its final state.
    void write_operation(const located_event& e) {
        const operation_state at = e.event->state;
        if (at == operation_state::pending) {
            open_operations_.insert(e.event->subject);
            return write_operation(e, 'b');
        }
        // One that was there when the recording began is left out.
        const auto found = open_operations_.find(e.event->subject);
        if (found == open_operations_.end()) {
            return;
        }
        if (is_final(at)) {
            open_operations_.erase(found);
        }
        write_operation(e, is_final(at) ? 'e' : 'n');
    }
    void write_operation(const located_event& e, char phase) {
        head(e, phase) << R"(,"cat":"operation","name":"operation","id":")" << e.event->subject
                       << R"(","args":{"state":")" << to_string(e.event->state) << "\"}}";
    }

    text out_;
    const pid_t pid_ = ::getpid();
    std::vector<std::vector<trace_event>> kept_;
    std::vector<std::size_t> threads_;  // which of them have recorded something
    std::vector<located_event> events_;
    std::map<fiber_key, fiber_name> fibers_;
    std::map<std::size_t, unsigned> open_slices_;  // of each track
    std::set<const void*> open_operations_;
    std::map<fiber_key, std::vector<const char*>> open_in_fibers_;
};

/// A file as the buffer of a stream. It keeps the first error, of which the stream tells no more
/// than that there was one.
class file_buffer final : public std::streambuf {
public:
    explicit file_buffer(const std::string& path)
        : fd_(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)),
          error_(fd_ == -1 ? errno : 0) {}
    ~file_buffer() override { close(); }
    file_buffer(const file_buffer&) = delete;
    file_buffer& operator=(const file_buffer&) = delete;

    /// Closes it. Gives the first error, or 0.
    int close() noexcept {
        if (fd_ != -1 && ::close(std::exchange(fd_, -1)) != 0) {
            note(errno);
        }
        return error_;
    }

private:
    std::streamsize xsputn(const char* from, std::streamsize n) override {
        std::streamsize written = 0;
        while (written < n && error_ == 0) {
            const ssize_t some =
                ::write(fd_, from + written, static_cast<std::size_t>(n - written));
            if (some >= 0) {
                written += some;
            } else if (errno != EINTR) {
                note(errno);
            }
        }
        return written;
    }
    int_type overflow(int_type c) override {
        const char one = traits_type::to_char_type(c);
        return xsputn(&one, 1) == 1 ? c : traits_type::eof();
    }
    void note(int error) noexcept { error_ = error_ != 0 ? error_ : error; }

    int fd_;
    int error_;
};

}  // namespace

}  // namespace rung::detail

namespace rung::trace {

void write(std::ostream& out) {
    stop();
    auto& all = rung::detail::trace_registry::instance();
    const std::lock_guard lock(all.mutex);
    rung::detail::writer(out, all).write();
}

void save(const std::string& path) {
    rung::detail::file_buffer file(path);
    std::ostream out(&file);
    write(out);
    if (const int error = file.close()) {
        throw boost::system::system_error(error, boost::system::system_category(),
                                          "rung::trace: cannot write " + path);
    }
}

}  // namespace rung::trace
