// Descriptors that are no sockets: pipes, terminals, files, event counters.

#include <fcntl.h>
#include <pty.h>
#include <sys/eventfd.h>
#include <termios.h>
#include <unistd.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/connect_pipe.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/readable_pipe.hpp>
#include <boost/asio/writable_pipe.hpp>
#include <boost/asio/write.hpp>
#include <cstdlib>

#include "rivals.hpp"

using namespace test;
namespace error = asio::error;

namespace {

template <class Loop>
using stream_descriptor = asio::posix::basic_stream_descriptor<typename Loop::executor_type>;
template <class Loop>
using readable = asio::basic_readable_pipe<typename Loop::executor_type>;
template <class Loop>
using writable = asio::basic_writable_pipe<typename Loop::executor_type>;

template <class Loop>
auto pipe_pair(Loop& l) {
    readable<Loop> r(l.context());
    writable<Loop> w(l.context());
    asio::connect_pipe(r, w);
    return std::pair(std::move(r), std::move(w));
}

/// The two ends of a pseudo-terminal that passes bytes on as they are.
template <class Loop>
auto terminal(Loop& l) {
    int master = -1;
    int slave = -1;
    termios raw{};
    ::cfmakeraw(&raw);
    BOOST_REQUIRE(::openpty(&master, &slave, nullptr, &raw, nullptr) == 0);
    return std::pair(stream_descriptor<Loop>(l.context(), master),
                     stream_descriptor<Loop>(l.context(), slave));
}

/// Sends from `a` to `b`, before and after `b` reads.
template <class Loop, class From, class To>
void check_transfer(Loop& loop, From& a, To& b) {
    char in[16] = {};
    outcome waited;
    b.async_read_some(asio::buffer(in), into(waited));
    loop.poll();
    BOOST_TEST(waited == outcome{});
    outcome written;
    a.async_write_some(asio::buffer("hello", 5), into(written));
    loop.run();
    BOOST_TEST(written == done(5));
    BOOST_TEST(waited == done(5));
    BOOST_TEST(std::string(in, 5) == "hello");

    const std::array<asio::const_buffer, 2> out{asio::buffer("ab", 2), asio::buffer("cdef", 4)};
    outcome both;
    asio::async_write(a, out, into(both));
    loop.run();
    BOOST_TEST(both == done(6));
    const std::array<asio::mutable_buffer, 2> two{asio::buffer(in, 1), asio::buffer(in + 8, 5)};
    outcome ready;
    asio::async_read(b, two, into(ready));
    loop.run();
    BOOST_TEST(ready == done(6));
    BOOST_TEST(std::string(in, 1) + std::string(in + 8, 5) == "abcdef");
    outcome empty[2];
    a.async_write_some(asio::buffer(in, 0), into(empty[0]));
    b.async_read_some(asio::buffer(in, 0), into(empty[1]));
    loop.run();
    BOOST_TEST(empty[0] == done(0));
    BOOST_TEST(empty[1] == done(0));
}

RUNG_RIVAL_CASE(pipes_carry_bytes_to_their_end) {
    auto [r, w] = pipe_pair(loop);
    check_transfer(loop, w, r);
    char in[8];
    outcome ended;
    r.async_read_some(asio::buffer(in), into(ended));
    loop.poll();
    w.close();
    loop.run();
    BOOST_TEST(ended == failed(error::eof));
}

RUNG_RIVAL_CASE(terminals_carry_bytes_both_ways) {
    auto [master, slave] = terminal(loop);
    check_transfer(loop, master, slave);
    check_transfer(loop, slave, master);
    char in[8];
    outcome hung_up;
    slave.close();
    master.async_read_some(asio::buffer(in), into(hung_up));
    loop.run();
    BOOST_TEST(hung_up == failed(error_code(EIO, boost::system::system_category())));
}

RUNG_RIVAL_CASE(a_write_to_a_full_pipe_waits) {
    auto [r, w] = pipe_pair(loop);
    const std::string much = pattern(300'000);
    outcome written;
    asio::async_write(w, asio::buffer(much), into(written));
    loop.poll();
    BOOST_TEST(written == outcome{});
    std::string in(much.size(), '\0');
    outcome got;
    asio::async_read(r, asio::buffer(in), into(got));
    loop.run();
    BOOST_TEST(written == done(much.size()));
    BOOST_TEST(got == done(much.size()));
    BOOST_TEST((in == much));
}

RUNG_RIVAL_CASE(more_buffers_than_one_call_takes_arrive_whole) {
    const std::string out = pattern(20'000);
    std::string in(out.size(), '\0');
    std::vector<asio::const_buffer> from;
    std::vector<asio::mutable_buffer> to;
    for (std::size_t at = 0; at < out.size(); at += 10) {  // 2,000, where the system takes 1,024
        from.push_back(asio::buffer(&out[at], 10));
        to.push_back(asio::buffer(&in[at], 10));
    }
    auto [r, w] = pipe_pair(loop);
    outcome some;
    w.async_write_some(from, into(some));
    loop.run();
    BOOST_TEST(some == done(64 * 10));
    r.async_read_some(to, into(some = {}));
    loop.run();
    BOOST_TEST(some == done(64 * 10));
    outcome written;
    outcome got;
    asio::async_read(r, to, into(got));
    asio::async_write(w, from, into(written));
    loop.run();
    BOOST_TEST(written == done(out.size()));
    BOOST_TEST(got == done(out.size()));
    BOOST_TEST((in == out));
}

RUNG_RIVAL_CASE(a_write_without_a_reader_fails) {
    ::signal(SIGPIPE, SIG_IGN);
    auto [r, w] = pipe_pair(loop);
    r.close();
    outcome broken;
    w.async_write_some(asio::buffer("x", 1), into(broken));
    loop.run();
    BOOST_TEST(broken == failed(error::broken_pipe));
}

RUNG_RIVAL_CASE(reads_are_served_in_order) {
    auto [r, w] = pipe_pair(loop);
    constexpr int n = 10;
    int in[n];
    outcome got[n];
    for (int i = 0; i < n; ++i) {
        r.async_read_some(asio::buffer(&in[i], sizeof(int)), into(got[i]));
    }
    loop.poll();
    for (int i = 0; i < n; ++i) {
        w.write_some(asio::buffer(&i, sizeof i));
    }
    loop.run();
    for (int i = 0; i < n; ++i) {
        BOOST_TEST(got[i] == done(sizeof(int)));
        BOOST_TEST(in[i] == i);
    }
}

RUNG_RIVAL_CASE(an_event_counter_is_read_and_waited_for) {
    stream_descriptor<Loop> counter(loop.context(), ::eventfd(0, 0));
    outcome waited;
    outcome writable_at_once;
    counter.async_wait(counter.wait_read, into(waited));
    counter.async_wait(counter.wait_write, into(writable_at_once));
    loop.poll();
    BOOST_TEST(waited == outcome{});
    std::uint64_t n = 7;
    counter.write_some(asio::buffer(&n, sizeof n));
    loop.run();
    BOOST_TEST(waited == done());
    BOOST_TEST(writable_at_once == done());
    n = 0;
    outcome got;
    counter.async_read_some(asio::buffer(&n, sizeof n), into(got));
    loop.run();
    BOOST_TEST(got == done(sizeof n));
    BOOST_TEST(n == 7U);
    counter.wait(counter.wait_write);
}

RUNG_RIVAL_CASE(a_file_is_read_from_where_it_stands) {
    char name[] = "/tmp/rung_descriptor_XXXXXX";
    const int file = ::mkstemp(name);
    ::unlink(name);
    BOOST_REQUIRE(::write(file, "abcdef", 6) == 6);
    ::lseek(file, 2, SEEK_SET);
    stream_descriptor<Loop> d(loop.context(), file);
    char in[16];
    for (const std::size_t expected : {2U, 2U}) {
        outcome got;
        d.async_read_some(asio::buffer(in, 2), into(got));
        loop.run();
        BOOST_TEST(got == done(expected));
    }
    BOOST_TEST(std::string(in, 2) == "ef");
    outcome end;
    d.async_read_some(asio::buffer(in), into(end));
    loop.run();
    BOOST_TEST(end == failed(error::eof));
}

RUNG_RIVAL_CASE(null_buffers_wait_for_a_descriptor) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    auto [a, b] = terminal(loop);
    outcome read;
    outcome written;
    b.async_read_some(asio::null_buffers(), into(read));
    a.async_write_some(asio::null_buffers(), into(written));
    loop.poll();
    BOOST_TEST(read == outcome{});
    a.write_some(asio::buffer("x", 1));
    loop.run();
    BOOST_TEST(read == done());
    BOOST_TEST(written == done());
    BOOST_TEST(b.read_some(asio::null_buffers()) == 0U);
#pragma GCC diagnostic pop
}

enum class way { cancel, close, slot, release, destroy };

RUNG_RIVAL_CASE(what_is_in_flight_on_a_descriptor_can_be_ended) {
    for (const way how : {way::cancel, way::close, way::slot, way::release, way::destroy}) {
        for (const bool piped : {true, false}) {
            int ends[2];
            BOOST_REQUIRE((piped ? ::pipe(ends)
                                 : ::openpty(&ends[0], &ends[1], nullptr, nullptr, nullptr)) == 0);
            auto d = std::make_unique<stream_descriptor<Loop>>(loop.context(), ends[0]);
            asio::cancellation_signal signal;
            char in[8];
            outcome ended;
            outcome wait_ended;
            d->async_read_some(asio::buffer(in),
                               asio::bind_cancellation_slot(signal.slot(), into(ended)));
            if (how != way::slot) {
                d->async_wait(d->wait_read, into(wait_ended));
            }
            loop.poll();
            BOOST_TEST(ended == outcome{});
            switch (how) {
                case way::cancel:
                    d->cancel();
                    break;
                case way::close:
                    d->close();
                    BOOST_TEST(::fcntl(ends[0], F_GETFD) == -1);
                    break;
                case way::slot:
                    signal.emit(asio::cancellation_type::all);
                    break;
                case way::release:
                    BOOST_TEST(d->release() == ends[0]);
                    BOOST_TEST(!d->is_open());
                    ::close(ends[0]);
                    break;
                case way::destroy:
                    d.reset();
                    break;
            }
            loop.run();
            BOOST_TEST(ended == failed(error::operation_aborted));
            BOOST_TEST((how == way::slot || wait_ended == failed(error::operation_aborted)));
            ::close(ends[1]);
        }
    }
}

RUNG_RIVAL_CASE(a_pipe_that_moves_takes_its_read_along) {
    auto [r, w] = pipe_pair(loop);
    char in[8];
    outcome got;
    r.async_read_some(asio::buffer(in), into(got));
    loop.poll();
    readable<Loop> moved(std::move(r));
    readable<Loop> assigned(loop.context());
    assigned = std::move(moved);
    BOOST_TEST(!r.is_open());
    BOOST_TEST(!moved.is_open());
    w.write_some(asio::buffer("abc", 3));
    loop.run();
    BOOST_TEST(got == done(3));
}

RUNG_RIVAL_CASE(descriptors_fail_with_the_codes_that_they_have) {
    error_code ec;
    BOOST_TEST(stream_descriptor<Loop>(loop.context()).assign(999, ec) == error::bad_descriptor);
    stream_descriptor<Loop> d(loop.context());
    BOOST_TEST(d.cancel(ec) == error::bad_descriptor);
    char in[4];
    outcome closed[3];
    d.async_read_some(asio::buffer(in), into(closed[0]));
    d.async_write_some(asio::buffer(in), into(closed[1]));
    d.async_wait(d.wait_read, into(closed[2]));
    loop.run();
    for (const outcome& o : closed) {
        BOOST_TEST(o == failed(error::bad_descriptor));
    }
    d.assign(::eventfd(0, 0));
    BOOST_TEST(d.assign(0, ec) == error::already_open);
    d.non_blocking(true);
    BOOST_TEST(d.non_blocking());
    BOOST_TEST(d.read_some(asio::buffer(in), ec) == 0U);
    BOOST_TEST(ec == error::invalid_argument);
    std::uint64_t n = 0;
    BOOST_TEST(d.read_some(asio::buffer(&n, sizeof n), ec) == 0U);
    BOOST_TEST(ec == error::would_block);
    outcome got;
    d.async_read_some(asio::buffer(&n, sizeof n), into(got));
    loop.poll();
    BOOST_TEST(got == outcome{});
    n = 1;
    d.write_some(asio::buffer(&n, sizeof n));
    loop.run();
    BOOST_TEST(got == done(sizeof n));
    typename stream_descriptor<Loop>::bytes_readable readable_bytes;
    d.io_control(readable_bytes, ec);
    d.close();
    BOOST_TEST(!d.is_open());
}

RUNG_RIVAL_CASE(a_context_may_be_destroyed_with_reads_of_descriptors_in_flight) {
    auto held = std::make_shared<decltype(pipe_pair(loop))>(pipe_pair(loop));
    auto memory = std::make_shared<std::array<char, 64>>();
    held->first.async_read_some(asio::buffer(*memory),
                                [held, memory](error_code, std::size_t) { BOOST_TEST(false); });
    loop.poll();
    const std::weak_ptr<void> watch = held;
    held.reset();
    loop.destroy();
    BOOST_TEST(watch.expired());
}

}  // namespace
