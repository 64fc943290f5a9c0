// What the stackful styles need of a system: to spawn a function on a pooled stack, and a token
// that waits in it. The function takes a `scope`, of which asio::spawn's is its yield_context.
#pragma once

#include "system.hpp"

#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <utility>

#if RUNG_BENCHMARK_HAS_ASIO_SPAWN
#include <boost/asio/spawn.hpp>
#include <boost/context/pooled_fixedsize_stack.hpp>
#endif

namespace micro {

#if RUNG_BENCHMARK_HAS_ASIO_SPAWN
// asio::spawn at its best: stacks from a pool, a concrete executor, one thread.
template <class Base>
struct with_asio_spawn : Base {
    using scope = asio::basic_yield_context<typename Base::executor>;
    using stacks = boost::context::pooled_fixedsize_stack;

    template <class F>
    static void spawn(const typename Base::executor& executor, stacks& pool, F function) {
        asio::spawn(executor, std::allocator_arg, pool, std::move(function), asio::detached);
    }
    static void keep_stacks(std::size_t) {}
    static const scope& token(const scope& s) { return s; }
    static void yield(const scope& s) { asio::post(s.get_executor(), s); }
};

using asio_fibers = with_asio_spawn<asio_system>;
#endif

#if RUNG_BENCHMARK_HAS_RUNG
struct rung_fibers : rung_system {
    struct scope {};
    struct stacks {};

    template <class F>
    static void spawn(const executor& executor, stacks&, F function) {
        rung::spawn(executor, [f = std::move(function)]() mutable { f(scope()); });
    }
    static void keep_stacks(std::size_t number) {
        constexpr std::size_t by_default = rung::stack_pool_options().keep;
        rung::stack_pool::common().configure({.keep = std::max(number, by_default)});
    }
    static constexpr rung::use_fiber_t token(scope) { return rung::use_fiber; }
    static void yield(scope) { rung::this_fiber::yield(); }
};
using fiber_systems_with_nop = std::tuple<rung_fibers>;
#else
using fiber_systems_with_nop = std::tuple<>;
#endif

#if RUNG_BENCHMARK_HAS_RUNG && RUNG_BENCHMARK_HAS_ASIO_SPAWN
using fiber_systems = std::tuple<rung_fibers, asio_fibers>;
#elif RUNG_BENCHMARK_HAS_RUNG
using fiber_systems = std::tuple<rung_fibers>;
#else
using fiber_systems = std::tuple<>;
#endif

}  // namespace micro
