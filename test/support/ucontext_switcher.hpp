#pragma once

#include <rung/config.hpp>

/// A switcher that rung knows nothing of, from POSIX's `ucontext`: an executor, on which functions
/// run on stacks of their own, and a completion token, which leaves that stack until the operation
/// has ended. One thread. The sanitizers cannot follow it.
#if !defined(RUNG_ASAN) && !defined(RUNG_TSAN)
#define RUNG_HAS_UCONTEXT 1

#include <ucontext.h>

#include <boost/asio.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <rung/rung.hpp>
#include <tuple>
#include <type_traits>
#include <utility>

namespace test {

/// A function on a stack of the common pool. It belongs to whoever resumes it.
class ucontext_task : public std::enable_shared_from_this<ucontext_task> {
public:
    explicit ucontext_task(std::function<void()> f) : function_(std::move(f)) {
        ::getcontext(&here_);
        here_.uc_stack.ss_sp = stack_.bottom;
        here_.uc_stack.ss_size = stack_.size;
        here_.uc_link = &caller_;
        ::makecontext(&here_, &ucontext_task::enter, 0);
    }
    ~ucontext_task() { rung::stack_pool::common().deallocate(stack_); }
    ucontext_task(const ucontext_task&) = delete;
    ucontext_task& operator=(const ucontext_task&) = delete;

    static ucontext_task& current() noexcept { return *current_; }

    /// Runs it until it suspends itself or ends.
    void resume() {
        const std::shared_ptr<ucontext_task> self = shared_from_this();
        ucontext_task* const outer = std::exchange(current_, this);
        ::swapcontext(&caller_, &here_);
        current_ = outer;
    }
    void suspend() { ::swapcontext(&here_, &caller_); }

private:
    static void enter() { std::exchange(current_->function_, nullptr)(); }

    static inline ucontext_task* current_ = nullptr;
    std::function<void()> function_;
    rung::stack stack_ = rung::stack_pool::common().allocate();
    ucontext_t here_{};
    ucontext_t caller_{};
};

/// The executor: a `rung::executor` that gives each function a task.
class ucontext_executor : public rung::executor {
public:
    explicit ucontext_executor(const rung::executor& ex) : rung::executor(ex) {}

    template <class Function>
    void execute(Function f) const {
        rung::executor::execute([own = std::make_shared<Function>(std::move(f))] {
            std::make_shared<ucontext_task>([own] { std::move(*own)(); })->resume();
        });
    }
    template <class Property>
    ucontext_executor require(const Property& p) const
    requires requires(const rung::executor& ex) { ex.require(p); }
    {
        return ucontext_executor(rung::executor::require(p));
    }
};

/// The token.
struct use_ucontext_t {};
inline constexpr use_ucontext_t use_ucontext;

}  // namespace test

namespace boost::asio {

template <class... Args>
class async_result<test::use_ucontext_t, void(Args...)> {
    using arguments = std::tuple<std::decay_t<Args>...>;

public:
    /// The last argument, or nothing where there is none but an error.
    template <class Initiation, class... Given>
    static auto initiate(Initiation&& initiation, test::use_ucontext_t, Given&&... given) {
        arguments result;
        bool ended = false;
        bool waits = false;
        auto task = test::ucontext_task::current().shared_from_this();
        std::forward<Initiation>(initiation)(
            [&, task](Args... args) {
                result = arguments(std::move(args)...);
                ended = true;
                if (waits) {
                    task->resume();
                }
            },
            std::forward<Given>(given)...);
        if (!ended) {
            waits = true;
            task->suspend();
        }
        if constexpr (sizeof...(Args) > 1) {
            return std::get<sizeof...(Args) - 1>(std::move(result));
        }
    }
};

}  // namespace boost::asio

#endif
