#pragma once

#include <atomic>
#include <cstdint>
#include <rung/detail/io_handler.hpp>
#include <rung/executor.hpp>
#include <tuple>
#include <utility>

namespace rung::detail {

/// Waits through the ring until somebody wakes a word that has a value; see `waits_for_futexes`.
class futex_core : public io_operation {
public:
    futex_core(function_type f, std::atomic<std::uint32_t>& word, std::uint32_t expected) noexcept
        : io_operation(f, level::normal) {
        kind = io_kind::futex_wait;
        address = &word;
        length = expected;
    }
    std::tuple<boost::system::error_code> take_result() const noexcept { return {error()}; }
};

/// Calls `handler(error_code)` when the word, which processes may share, is woken; with
/// `would_block` if it had another value by then. It may be for nothing. The operation joins `list`
/// by which it can be cancelled; the word must be there until it has ended.
template <class Handler>
void async_futex_wait(const executor& ex, std::atomic<std::uint32_t>& word, std::uint32_t expected,
                      io_list& list, Handler handler) {
    engine::start(executor_access::engine_of(ex),
                  make_handler_operation<futex_core>(handler, ex, word, expected), &list, nullptr);
}

}  // namespace rung::detail
