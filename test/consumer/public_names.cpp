/// A program of somebody else's, of which only the warnings are looked at: it uses every public name
/// of every public header, so that the templates are instantiated. names.awk lists the names.

#include <array>
#include <boost/asio.hpp>
#include <chrono>
#include <future>
#include <iostream>
#include <memory>
#include <memory_resource>
#include <mutex>
#include <rung/rung.hpp>
#include <string>
#include <utility>
#include <vector>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using rung::use_fiber;
using rung::use_operation;

namespace consumer {

template <class... T>
void use(T&&...) {}

/// A handler for whatever comes.
struct any_handler {
    template <class... T>
    void operator()(T&&...) const {}
};

void contexts() {
    rung::io_context_options options;
    options.concurrency_hint = 1;
    options.backend = rung::backend::io_uring;
    options.backend = rung::backend::epoll;
    options.ring_entries = 64;
    options.low_io_in_flight = 8;
    options.spin_before_sleep = 1us;
    options.starvation_limit = 64;
    options.resolver_threads = 1;
    options.measure_time = true;
    rung::io_context ctx(options), plain, hinted(2);
#if BOOST_VERSION >= 108800
    rung::io_context allocated(std::allocator_arg, std::allocator<void>());
#endif
    static_assert(std::is_same_v<rung::io_context::executor_type, rung::executor>);
    using with_allocator = rung::io_context::basic_executor_type<std::allocator<int>, 0>;
    use(std::is_same_v<with_allocator, rung::executor>);
    rung::io_context::count_type n = ctx.run() + ctx.run_for(1ms) + ctx.run_one() + ctx.poll();
    n += ctx.run_until(std::chrono::system_clock::now() + 1ms) + ctx.poll_one();
    n += ctx.run_one_for(1ms) + ctx.run_one_until(rung::clock::now() + 1ms);
#if !defined(BOOST_ASIO_NO_EXTENSIONS) && !defined(BOOST_ASIO_NO_TS_EXECUTORS)
    rung::io_context::strand serial(ctx);
    use(serial.context(), serial.wrap(any_handler()));
    serial.post([] {});
    serial.dispatch([] {});
#endif
#if RUNG_ASIO_HAS_DEPRECATED
    rung::io_context::work kept(ctx);
    use(kept.get_io_context());
#endif
    ctx.stop();
    use(n, ctx.stopped(), ctx.backend());
    ctx.restart();
    ctx.notify_fork(asio::execution_context::fork_prepare);

    const rung::statistics s = ctx.statistics();
    use(rung::statistics::levels, s.handlers, s.queued, s.submissions, s.completions, s.in_flight,
        s.speculated, s.system_calls, s.sleeps, s.wake_ups, s.remote_posts, s.submission_overflows,
        s.completion_overflows, s.restarts, s.timers, s.lock_borrows, s.extra_runners, s.guest_thread,
        s.handler_time_ns, s.sleep_time_ns);
}

void clocks_and_errors() {
    using clock = rung::clock;
    const clock::time_point start = clock::now();
    const clock::duration d{clock::rep{clock::period::den}};
    use(clock::is_steady, clock::now_ns(), clock::uses_time_stamp_counter(), start + d);
    for (const rung::error e :
         {rung::error::abandoned, rung::error::wrong_thread, rung::error::forked,
          rung::error::bad_option, rung::error::backend_unavailable, rung::error::exception,
          rung::error::stack_limit, rung::error::bad_peer}) {
        use(make_error_code(e).category() == rung::error_category(), error_code(e).message());
    }
}

void executors(rung::io_context& ctx) {
    const rung::executor ex = ctx.get_executor();
    use(ex.context(), ex.running_in_this_thread(), ex == ex);
    ex.execute([] {});
    ex.dispatch([] {}, std::allocator<int>());
    ex.post([] {}, std::allocator<int>());
    ex.defer([] {}, std::allocator<int>());
    ex.on_work_started();
    ex.on_work_finished();
    auto urgent = asio::require(
        ex, rung::priority::high, rung::io_priority::high, asio::execution::blocking.never,
        asio::execution::relationship.continuation, asio::execution::outstanding_work.tracked);
    urgent = ex.require(rung::priority::low).require(rung::io_priority::low);
    urgent = ex.require(rung::priority::normal).require(rung::io_priority::normal);
    use(urgent.query(rung::priority()).value(), urgent.query(rung::io_priority()).value(),
        ex.query(asio::execution::mapping), ex.query(asio::execution::allocator));
    std::pmr::monotonic_buffer_resource memory;
    asio::require(ex, asio::execution::allocator(std::pmr::polymorphic_allocator<char>(&memory)))
        .execute([] {});
    const asio::any_io_executor any =
        rung::with_priority(asio::any_io_executor(ex), rung::priority::high);
    asio::post(rung::with_priority(asio::make_strand(ex), rung::priority::high), [] {});
    asio::post(any, asio::bind_executor(ex, [] {}));
    asio::dispatch(ex, asio::bind_executor(any, [] {}));
    asio::defer(ex, asio::bind_allocator(std::pmr::polymorphic_allocator<char>(&memory), [] {}));
}

/// Each kind of native object, with handlers that have executors of each kind.
void objects(rung::io_context& ctx) {
    using asio::ip::tcp;
    using asio::ip::udp;
    rung::native<tcp::socket> socket(ctx);
    rung::native<tcp::acceptor> acceptor(ctx);
    rung::native<tcp::resolver> resolver(ctx);
    rung::native<udp::socket> datagrams(ctx);
    rung::native<asio::steady_timer> timer(ctx);
    rung::native<asio::signal_set> signals(ctx);
    rung::native<asio::serial_port> port(ctx);
    rung::native<asio::posix::stream_descriptor> descriptor(ctx);
    rung::native<asio::readable_pipe> readable(ctx);
    rung::native<asio::writable_pipe> writable(ctx);
    std::array<char, 64> data{};
    const auto each = [&](auto handler) {
        socket.async_connect(tcp::endpoint(), handler);
        socket.async_wait(tcp::socket::wait_read, handler);
        asio::async_read(socket, asio::buffer(data), handler);
        asio::async_write(socket, asio::buffer(data), handler);
        acceptor.async_accept(socket, handler);
        resolver.async_resolve("host", "port", any_handler());
        udp::endpoint from;
        datagrams.async_receive_from(asio::buffer(data), from, handler);
        datagrams.async_send_to(asio::buffer(data), from, handler);
        timer.async_wait(handler);
        signals.async_wait(handler);
        port.async_read_some(asio::buffer(data), handler);
        descriptor.async_read_some(asio::buffer(data), handler);
        readable.async_read_some(asio::buffer(data), handler);
        writable.async_write_some(asio::buffer(data), handler);
    };
    each(any_handler());
    each(asio::bind_executor(ctx.get_executor(), any_handler()));
    each(asio::bind_executor(asio::any_io_executor(ctx.get_executor()), any_handler()));
    each(asio::bind_executor(asio::make_strand(ctx.get_executor()), any_handler()));
    each(asio::bind_executor(rung::fiber_executor(ctx), any_handler()));
    asio::co_spawn(
        ctx,
        [&]() -> asio::awaitable<void> {
            co_await timer.async_wait(asio::use_awaitable);
            const std::size_t n =
                co_await socket.async_read_some(asio::buffer(data), asio::use_awaitable);
            use(n, co_await acceptor.async_accept(asio::use_awaitable));
        },
        asio::detached);
}

struct stack_allocator {
    struct context {
        void* sp;
        std::size_t size;
    };
    context allocate() { return {new char[65'536] + 65'536, 65'536}; }
    void deallocate(context& c) noexcept { delete[](static_cast<char*>(c.sp) - c.size); }
};

void stacks() {
    rung::report_stack_overflows();
    rung::stack_pool_options limits;
    limits.stack_size = rung::stack_pool::smallest;
    limits.limit = 10;
    limits.keep = 1;
    limits.guard_pages = true;
    rung::stack_memory memory;
    rung::stack_pool pool(limits, &memory);
    rung::stack_pool::common().configure(limits);
    const rung::stack stack = pool.allocate(rung::stack_pool::largest);
    use(stack.bottom, stack.size, pool.store());
    pool.deallocate(stack);
    pool.trim();
    memory.release(memory.map(4096), 4096);
    memory.unmap(nullptr, 0);
    const rung::stack_statistics s = pool.statistics();
    use(s.in_use, s.idle, s.most_in_use, s.deepest_use, s.resident, s.mapped, s.released,
        s.refused);
}

void fibers(rung::io_context& ctx) {
    rung::stack_pool pool;
    rung::fiber_options options;
    options.stack_size = 32'768;
    options.stacks = &pool;
    options.name = "named";
    const rung::fiber_executor fx(ctx, options), on_executor(ctx.get_executor());
    use(fx.get_inner_executor(), fx.context(), fx == on_executor, fx.carrier(), fx.settings(),
        fx.query(rung::priority()), fx.require(rung::priority::high));
    fx.execute([] {});
    asio::post(fx, [] {});

    static rung::fiber_local<int> local;
    const auto body = [] {
        namespace here = rung::this_fiber;
        *local = 1;
        local.get() = *local.operator->();
        here::yield();
        here::sleep_for(1ms);
        here::sleep_until(rung::clock::now());
        here::set_priority(here::get_priority());
        here::set_name(here::get_name());
        here::throw_if_cancelled();
        here::reset_cancellation();
        const rung::fiber_id id = here::get_id();
        std::cout << id;
        use(here::exists(), here::get_executor(), here::cancelled(),
            std::hash<rung::fiber_id>()(id));
        return 1;
    };
    rung::spawn(ctx, body);
    rung::spawn(ctx.get_executor(), options, body, any_handler());
    rung::spawn(fx, body, asio::use_future).get();
    rung::spawn(ctx, std::allocator_arg, stack_allocator(), body);
    rung::spawn(asio::make_strand(ctx), std::allocator_arg, stack_allocator(), body,
                asio::bind_executor(asio::system_executor(), any_handler()));
    rung::spawn(ctx, options, [&ctx, body] {
        std::array<char, 64> data{};
        rung::native<asio::ip::tcp::socket> socket(ctx);
        std::size_t n = asio::async_read(socket, asio::buffer(data), use_fiber.after(1s));
        n += socket.async_read_some(asio::buffer(data), use_fiber.until(rung::clock::now()));
        auto [error, sent] = socket.async_write_some(asio::buffer(data), asio::as_tuple(use_fiber));
        error_code ec;
        n += socket.async_read_some(asio::buffer(data), asio::redirect_error(use_fiber, ec));
        auto object = rung::use_fiber_t::as_default_on(std::move(socket));
        static_assert(
            std::is_same_v<decltype(object), rung::use_fiber_t::as_default_on_t<decltype(socket)>>);
        using with_default = rung::use_fiber_t::executor_with_default<rung::executor>;
        static_assert(
            std::is_same_v<with_default::default_completion_token_type, rung::use_fiber_t>);
        n += object.async_read_some(asio::buffer(data));
        use(n, error, sent, use_fiber.deadline(), rung::spawn(ctx, body, use_fiber));
    });
}

void meetings(rung::io_context& ctx) {
    rung::mutex m(ctx);
    m.async_lock(any_handler());
    use(m.try_lock());
    std::unique_lock lock(m);
    m.unlock();
    m.lock();
    rung::condition_variable changed;
    changed.wait(lock);
    changed.wait(lock, [] { return true; });
    changed.async_wait(m, any_handler());
    changed.notify_one();
    changed.notify_all();
    rung::semaphore permits(ctx, 2);
    permits.acquire();
    permits.async_acquire(any_handler());
    use(permits.try_acquire(), permits.available());
    permits.release();
    rung::event e(ctx);
    e.set();
    e.reset();
    e.wait();
    e.async_wait(any_handler());
    use(e.is_set());
    rung::latch all_here(ctx, 2);
    all_here.count_down();
    all_here.wait();
    all_here.async_wait(any_handler());
    use(all_here.try_wait());
    rung::channel<std::string> words(ctx, 4);
    rung::channel<std::string>::value_type word = "word";
    use(words.try_send(word), words.try_send(std::string("moved")), words.send(word),
        words.try_receive(), words.receive(), words.is_open(), words.capacity(), words.size());
    words.async_send(word, any_handler());
    words.async_receive(any_handler());
    rung::spawn(ctx, [&] { words.async_send(words.async_receive(use_fiber), use_fiber); });
    words.cancel();
    words.close();
}

template <class T, class Progress, class Finish>
void one_operation(Finish finish) {
    std::pair<rung::operation_source<T, Progress>, rung::operation<T, Progress>> ends =
        rung::make_operation<T, Progress>(std::allocator<void>());
    auto& [source, op] = ends;
    using op_type = rung::operation<T, Progress>;
    static_assert(std::is_same_v<typename op_type::progress_type, Progress>);
    static_assert(std::is_same_v<typename op_type::change_signature, void(rung::operation_state)>);
    static_assert(!std::is_void_v<typename op_type::end_signature>);
    source.set_running();
    source.on_cancel([] {});
    use(source.valid(), source.cancel_requested(), op.valid(), op.state(), op.ready(), op.changes(),
        op.error(), op.reason(), op.wait(1us), op.wait_for(1ms),
        op.wait_until(std::chrono::steady_clock::now()), rung::is_final(op.state()),
        to_string(op.state()));
    op.async_wait(any_handler());
    op.async_next(any_handler());
    op.async_next(op.changes(), any_handler());
    op.watch(any_handler(), rung::delivery::latest);
    op.watch(any_handler(), rung::delivery::each);
    const rung::cancel_scope scope(source, [] {});
    op.cancel();
    finish(source, op);
    using executor = asio::any_io_executor;
    op.watch(asio::bind_executor(executor(asio::system_executor()), any_handler()));
    op.async_wait(asio::bind_executor(executor(asio::system_executor()), any_handler()));
    op.get();
}

void operations(rung::io_context& ctx) {
    for (const rung::operation_state s :
         {rung::operation_state::pending, rung::operation_state::running,
          rung::operation_state::done, rung::operation_state::failed,
          rung::operation_state::cancelled}) {
        use(to_string(s));
    }
    one_operation<void, void>([](auto& source, auto&) { source.set_done(); });
    one_operation<int, double>([](auto& source, auto& op) {
        source.set_progress(0.5);
        use(op.progress(), op.value(), typename std::decay_t<decltype(op)>::value_type());
        source.set_failed(asio::error::eof);
    });
    one_operation<std::string, int>([](auto& source, auto&) { source.set_cancelled(); });
    one_operation<std::unique_ptr<int>, void>(
        [](auto& source, auto&) { source.set_failed(std::make_exception_ptr(1)); });

    asio::thread_pool pool(1);
    rung::operation<int> seven = rung::offload(pool, [] { return 7; });
    rung::operation<int, double> slow =
        rung::offload<double>(pool, [](rung::offload_handle<double>& handle) {
            handle.set_progress(0.5);
            handle.throw_if_cancelled();
            handle.on_cancel([] {});
            const rung::cancel_scope scope(handle, [] {});
            return handle.cancel_requested() ? 1 : 2;
        });
    rung::native<asio::steady_timer> timer(ctx);
    rung::operation<> waited = timer.async_wait(use_operation);
    static_assert(std::is_same_v<decltype(use_operation), const rung::use_operation_t>);
    rung::operation<> started =
        rung::as_operation([&](auto token) { return timer.async_wait(token); });
    rung::operation<int> old = rung::as_operation(pool, std::async([] { return 1; }));
    rung::operation<int> coroutine =
        rung::as_operation(ctx, []() -> asio::awaitable<int> { co_return 1; }());
    auto both = rung::all(std::move(seven), std::move(waited), std::move(slow));
    auto either = rung::any(std::move(started), std::move(old));
    auto first = rung::any(std::move(coroutine), rung::offload(pool, [] { return 2; }));
    std::vector<rung::operation<int>> many(3);
    auto all_of_them = rung::all(std::move(many));
    std::vector<rung::operation<int>> more(3);
    auto one_of_them = rung::any(std::move(more));
    const rung::any_result<int> result = one_of_them.get();
    use(both.get(), either.get(), first.get(), all_of_them.get(), result.index, result.value);
    std::vector<rung::operation<int>> in_order(3);
    rung::completions ended(std::move(in_order));
    use(ended.next(), ended.size(), ended[0], ended.take(0));
}

void other_processes(rung::io_context& ctx) {
    rung::ipc::server_options options;
    options.slots = 1;
    options.capacity = 64;
    options.max_clients = 1;
    options.other_users = false;
    const rung::ipc::service serve = [](rung::ipc::bytes b) {
        auto [source, op] = rung::make_operation<rung::ipc::bytes, rung::ipc::progress>();
        rung::ipc::progress p;
        p.done = p.total;
        source.set_progress(p);
        source.set_done(std::move(b));
        return std::move(op);
    };
    rung::ipc::server server(ctx, "@address", serve, options);
    rung::ipc::client client(ctx, "@address");
    use(server.clients(), server.refused(), client.connected(), client.start({}).get());
}

void traces() {
    rung::trace::start();
    { const rung::trace::span span("name"); }
    rung::trace::stop();
    rung::trace::write(std::cout);
    rung::trace::save("file");
    use(rung::trace::dropped(), rung::trace::enabled());
}

}  // namespace consumer
