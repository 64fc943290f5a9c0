#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/system/system_error.hpp>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <mutex>
#include <rung/stack_overflow.hpp>
#include <string_view>

#include "fiber.hpp"

namespace rung {

namespace {

struct sigaction previous_segv;
struct sigaction previous_bus;

/// A line put together without memory or locks, for a signal handler.
class line {
public:
    line& operator<<(std::string_view text) noexcept {
        const std::size_t n = std::min(text.size(), text_.size() - used_);
        std::memcpy(text_.data() + used_, text.data(), n);
        used_ += n;
        return *this;
    }
    line& operator<<(std::size_t number) noexcept {
        std::array<char, 24> digits;
        const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
        return *this << std::string_view(digits.data(),
                                         static_cast<std::size_t>(end - digits.data()));
    }
    void write() const noexcept {
        static_cast<void>(::write(STDERR_FILENO, text_.data(), used_) == 0);
    }

private:
    std::array<char, 512> text_;
    std::size_t used_ = 0;
};

void report(const detail::fiber& f) noexcept {
    const std::string_view name = f.name();
    line l;
    l << "rung: stack overflow in fiber '" << (name.empty() ? "(without a name)" : name)
      << "', whose stack has " << f.memory().size << " bytes: raise "
      << (f.own() != nullptr ? "the size of its stack allocator"
                             : "fiber_options::stack_size or stack_pool_options::stack_size")
      << "\n";
    l.write();
}

bool below_stack(const detail::fiber& f, const void* address) noexcept {
    // Only the page below is told from other faults; a frame larger than that may step over it.
    const auto* const bottom = static_cast<const char*>(f.memory().bottom);
    const auto* const at = static_cast<const char*>(address);
    // An allocator of Boost.Context may count its guard page as part of the stack.
    const std::size_t counted = f.own() != nullptr ? detail::page_size() : 0;
    return at < bottom + counted && at >= bottom - detail::page_size();
}

void on_fault(int signal, siginfo_t* info, void*) {
    const detail::fiber* const f = detail::fiber::current();
    if (f != nullptr && below_stack(*f, info->si_addr)) {
        report(*f);
    }
    // The instruction faults again, under the handler that was there before.
    ::sigaction(signal, signal == SIGSEGV ? &previous_segv : &previous_bus, nullptr);
    if (info->si_code <= 0) {
        ::raise(signal);  // but for one that somebody has sent
    }
}

void install(int signal, struct sigaction& previous) {
    struct sigaction action = {};
    action.sa_sigaction = &on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    ::sigemptyset(&action.sa_mask);
    if (::sigaction(signal, &action, &previous) != 0) {
        throw boost::system::system_error(errno, boost::system::system_category(),
                                          "rung::report_stack_overflows");
    }
}

}  // namespace

void report_stack_overflows() {
    static std::once_flag once;
    std::call_once(once, [] {
        install(SIGSEGV, previous_segv);
        install(SIGBUS, previous_bus);
        detail::signal_stacks_wanted.store(true, std::memory_order_relaxed);
    });
    detail::signal_stack::provide();  // for this thread, which may have had fibers already
}

}  // namespace rung

namespace rung::detail {

std::atomic<bool> signal_stacks_wanted{false};

/// Gives the calling thread a stack for signal handlers, until it ends.
void signal_stack::provide() noexcept {
    static thread_local signal_stack mine;
    static_cast<void>(mine);
}

signal_stack::signal_stack() noexcept {
    constexpr std::size_t size = std::size_t{64} << 10;
    stack_t present = {};
    if (::sigaltstack(nullptr, &present) == 0 && (present.ss_flags & SS_DISABLE) == 0) {
        return;
    }
    void* const at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (at == MAP_FAILED) {
        return;
    }
    stack_t wanted = {};
    wanted.ss_sp = at;
    wanted.ss_size = size;
    if (::sigaltstack(&wanted, nullptr) == 0) {
        memory_ = at;
        size_ = size;
    } else {
        ::munmap(at, size);
    }
}

signal_stack::~signal_stack() {
    if (memory_ != nullptr) {
        stack_t none = {};
        none.ss_flags = SS_DISABLE;
        ::sigaltstack(&none, nullptr);
        ::munmap(memory_, size_);
    }
}

}  // namespace rung::detail
