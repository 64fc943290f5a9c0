// Every sequence of calls up to a length, by the producer and the client, against a model that does
// nothing but follow the rules.

#include <boost/test/unit_test.hpp>
#include <memory>
#include <rung/operation.hpp>
#include <string>
#include <vector>

#include "outcomes.hpp"

using namespace test;

namespace {

enum class call {
    set_running,
    set_progress,
    set_done,
    set_failed,
    set_exception,
    set_cancelled,
    drop_source,
    on_cancel,
    cancel,
    wait,
    next,
    watch,
};
constexpr call last_call = call::watch;

const char* name_of(call c) {
    constexpr const char* names[] = {"set_running",   "set_progress", "set_done",    "set_failed",
                                     "set_exception", "set_cancelled", "drop_source", "on_cancel",
                                     "cancel",        "wait",         "next",        "watch"};
    return names[static_cast<int>(c)];
}

/// What has been seen of an operation, and what should have been.
struct observed {
    state at = state::pending;
    error_code error;
    error_code reason;
    int progress = 0;
    std::uint32_t changes = 0;
    bool has_value = false;
    int requests = 0;            // calls of functions for the request to cancel
    int ends = 0;                // of handlers that wait for the end
    int nexts = 0;               // of those that wait for a change
    std::vector<state> watched;  // by functions that are told of each change

    bool operator==(const observed&) const = default;
    friend std::ostream& operator<<(std::ostream& out, const observed& o) {
        out << o.at << ", " << o.error << ", " << o.reason << ", progress " << o.progress
            << ", changes " << o.changes << ", value " << o.has_value << ", requests "
            << o.requests << ", ends " << o.ends << ", nexts " << o.nexts << ", watched";
        for (const state s : o.watched) {
            out << ' ' << s;
        }
        return out;
    }
};

/// The rules.
class model {
public:
    const observed& seen() const { return seen_; }
    /// Whether a call is allowed: the producer's are until the end.
    bool allows(call c) const { return c >= call::cancel || !is_final(seen_.at); }

    void make(call c) {
        switch (c) {
            case call::set_running:
                return change(state::running);
            case call::set_progress:
                ++seen_.progress;
                return change(seen_.at);
            case call::set_done:
                seen_.has_value = true;
                return change(state::done);
            case call::set_failed:
                seen_.error = seen_.reason = refused;
                return change(state::failed);
            case call::set_exception:
                seen_.error = seen_.reason = rung::error::exception;
                return change(state::failed);
            case call::set_cancelled:
                seen_.error = aborted;
                seen_.reason = timed_out;
                return change(state::cancelled);
            case call::drop_source:
                seen_.error = seen_.reason = abandoned;
                return change(state::failed);
            case call::on_cancel:
                has_function_ = !asked_;
                seen_.requests += asked_ ? 1 : 0;
                return;
            case call::cancel:
                seen_.requests += has_function_ && !asked_ && !is_final(seen_.at) ? 1 : 0;
                asked_ = true;
                return;
            case call::wait:
                return static_cast<void>(is_final(seen_.at) ? ++seen_.ends : ++waiting_);
            case call::next:
                return static_cast<void>(is_final(seen_.at) ? ++seen_.nexts : ++next_);
            case call::watch:
                if (is_final(seen_.at)) {
                    seen_.watched.push_back(seen_.at);
                } else {
                    ++watching_;
                }
                return;
        }
    }

private:
    void change(state to) {
        seen_.at = to;
        ++seen_.changes;
        seen_.nexts += std::exchange(next_, 0);
        seen_.watched.insert(seen_.watched.end(), static_cast<std::size_t>(watching_), to);
        if (is_final(to)) {
            seen_.ends += std::exchange(waiting_, 0);
            watching_ = 0;
        }
    }

    observed seen_;
    bool asked_ = false;
    bool has_function_ = false;
    int waiting_ = 0;
    int next_ = 0;
    int watching_ = 0;
};

/// The same calls on a real operation.
class real {
public:
    real() { std::tie(source_, op_) = rung::make_operation<int, int>(); }

    observed seen() const {
        observed now = told_;
        now.at = op_.state();
        now.error = op_.error();
        now.reason = op_.reason();
        now.progress = op_.progress();
        now.changes = op_.changes();
        now.has_value = op_.value() != nullptr;
        return now;
    }
    void make(call c) {
        switch (c) {
            case call::set_running:
                return source_.set_running();
            case call::set_progress:
                return source_.set_progress(op_.progress() + 1);
            case call::set_done:
                return source_.set_done(1);
            case call::set_failed:
                return source_.set_failed(refused);
            case call::set_exception:
                return source_.set_failed(std::make_exception_ptr(1));
            case call::set_cancelled:
                return source_.set_cancelled(timed_out);
            case call::drop_source:
                source_ = {};
                return;
            case call::on_cancel:
                return source_.on_cancel([this] { ++told_.requests; });
            case call::cancel:
                return op_.cancel();
            case call::wait:
                return op_.async_wait([this](error_code, int) { ++told_.ends; });
            case call::next:
                return op_.async_next([this](state) { ++told_.nexts; });
            case call::watch:
                return op_.watch([this](state s, int) { told_.watched.push_back(s); });
        }
    }

private:
    observed told_;  // of which the calls below are
    rung::operation_source<int, int> source_;
    rung::operation<int, int> op_;
};

/// Makes the calls on a fresh pair, and compares after each.
void check(const std::vector<call>& calls) {
    model expected;
    real actual;
    for (const call c : calls) {
        if (!expected.allows(c)) {
            return;
        }
        expected.make(c);
        actual.make(c);
        if (!(actual.seen() == expected.seen())) {
            std::string text;
            for (const call made : calls) {
                text += std::string(" ") + name_of(made);
            }
            BOOST_FAIL("after" << text << ":\n  is        " << actual.seen() << "\n  should be "
                               << expected.seen());
        }
    }
}

BOOST_AUTO_TEST_CASE(every_sequence_of_calls_follows_the_rules) {
    constexpr int longest = 5;
    constexpr int kinds = static_cast<int>(last_call) + 1;
    int sequences = 0;
    std::vector<call> calls(longest);
    int total = 1;
    for (int i = 0; i < longest; ++i) {
        total *= kinds;
    }
    for (int number = 0; number < total; ++number, ++sequences) {
        for (int i = 0, rest = number; i < longest; ++i, rest /= kinds) {
            calls[static_cast<std::size_t>(i)] = static_cast<call>(rest % kinds);
        }
        check(calls);
    }
    BOOST_TEST(sequences == 248'832);
}

}  // namespace
