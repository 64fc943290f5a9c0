/// As answers_of_the_kernel.cpp, for descriptors that are no sockets: terminals, pipes, event
/// counters, files, what is always or never ready; and for receives that ask for more than there is.

#include <pty.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <termios.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <cstdint>
#include <cstdio>
#include <tuple>

#include "at_rest.hpp"
#include "rivals.hpp"

using namespace test;
namespace error = asio::error;

namespace {

template <class Loop>
using descriptor = asio::posix::basic_stream_descriptor<typename Loop::executor_type>;

/// A pseudo-terminal that passes bytes on as they are: its master and its slave.
std::pair<int, int> terminal() {
    int master = -1;
    int slave = -1;
    termios raw{};
    ::cfmakeraw(&raw);
    BOOST_REQUIRE(::openpty(&master, &slave, nullptr, &raw, nullptr) == 0);
    return {master, slave};
}

/// Writes much to `to`, which blocks unless somebody reads `from`, and then lets somebody.
template <class Loop>
void check_slow_reader(Loop& loop, int from, int to) {
    descriptor<Loop> reader(loop.context(), from);
    descriptor<Loop> writer(loop.context(), to);
    const std::string out = pattern(300'000);
    std::string in(out.size(), '\0');
    for (const bool gathers : {false, true}) {
        outcome written;
        if (gathers) {
            const std::array<asio::const_buffer, 2> two{asio::buffer(out, 100'000),
                                                        asio::buffer(out) + 100'000};
            asio::async_write(writer, two, into(written));
        } else {
            asio::async_write(writer, asio::buffer(out), into(written));
        }
        if (loop.threads() == 1) {
            check_rest(loop, written);
        }
        outcome read;
        asio::async_read(reader, asio::buffer(in), into(read));
        loop.run();
        BOOST_TEST(written == done(out.size()));
        BOOST_TEST(read == done(out.size()));
        BOOST_TEST((in == out));
    }
}

}  // namespace

RUNG_RIVAL_CASE(a_terminal_that_nobody_reads_does_not_stop_the_loop) {
    const auto [master, slave] = terminal();
    check_slow_reader(loop, master, slave);
}

RUNG_RIVAL_CASE(a_terminals_master_that_nobody_reads_does_not_stop_the_loop) {
    const auto [master, slave] = terminal();
    check_slow_reader(loop, slave, master);
}

RUNG_RIVAL_CASE(a_full_pipe_waits_for_its_reader_in_either_mode) {
    for (const bool blocks : {true, false}) {
        int ends[2];
        BOOST_REQUIRE(::pipe(ends) == 0);
        set_blocking(ends[0], blocks);
        set_blocking(ends[1], blocks);
        check_slow_reader(loop, ends[0], ends[1]);
    }
}

RUNG_RIVAL_CASE(an_empty_descriptor_is_read_once_it_has_something) {
    for (const bool blocks : {true, false}) {
        for (const char* kind : {"pipe", "terminal", "event counter", "inotify"}) {
            BOOST_TEST_CONTEXT(kind << (blocks ? "" : ", non-blocking")) {
                int ends[2] = {-1, -1};
                const std::string name(kind);
                if (name == "pipe") {
                    BOOST_REQUIRE(::pipe(ends) == 0);
                } else if (name == "terminal") {
                    std::tie(ends[1], ends[0]) = terminal();
                } else if (name == "event counter") {
                    ends[0] = ::eventfd(0, 0);
                    ends[1] = ::dup(ends[0]);
                } else {
                    ends[0] = ::inotify_init();
                    BOOST_REQUIRE(::inotify_add_watch(ends[0], "/", IN_CREATE) != -1);
                }
                set_blocking(ends[0], blocks);
                descriptor<Loop> d(loop.context(), ends[0]);
                char in[512];
                outcome read;
                d.async_read_some(asio::buffer(in), into(read));
                if (loop.threads() == 1) {
                    check_rest(loop, read);
                }
                const std::uint64_t one = 1;
                if (ends[1] != -1) {
                    BOOST_TEST(::write(ends[1], &one, sizeof one) == 8);
                    loop.run();
                    BOOST_TEST(read == done(8));
                } else {
                    d.cancel();
                    loop.run();
                    BOOST_TEST(read == failed(error::operation_aborted));
                }
                ::close(ends[1]);
            }
        }
    }
}

RUNG_RIVAL_CASE(a_full_event_counter_is_written_once_it_has_room) {
    for (const bool blocks : {true, false}) {
        descriptor<Loop> counter(loop.context(), ::eventfd(0, blocks ? 0 : EFD_NONBLOCK));
        const std::uint64_t most = UINT64_MAX - 1;
        BOOST_REQUIRE(::write(counter.native_handle(), &most, sizeof most) == 8);
        const std::uint64_t one = 1;
        outcome written;
        counter.async_write_some(asio::buffer(&one, sizeof one), into(written));
        if (loop.threads() == 1) {
            check_rest(loop, written);
        }
        std::uint64_t value = 0;
        BOOST_TEST(::read(counter.native_handle(), &value, sizeof value) == 8);
        BOOST_TEST(value == most);
        loop.run();
        BOOST_TEST(written == done(8));
    }
}

RUNG_RIVAL_CASE(a_wait_on_a_full_pipe_rests_until_its_reader_reads_or_goes) {
    for (const bool closes : {true, false}) {
        int ends[2];
        BOOST_REQUIRE(::pipe(ends) == 0);
        descriptor<Loop> writer(loop.context(), ends[1]);
        fill(ends[1]);
        outcome writable;
        writer.async_wait(writer.wait_write, into(writable));
        if (loop.threads() == 1) {
            check_rest(loop, writable);
        }
        if (closes) {
            ::close(ends[0]);
        } else {
            drain(ends[0], 1 << 20);
        }
        loop.run();
        BOOST_TEST(writable == done());
        if (!closes) {
            ::close(ends[0]);
        }
    }
}

RUNG_RIVAL_CASE(files_are_read_and_written_in_order) {
    std::FILE* const file = std::tmpfile();
    descriptor<Loop> d(loop.context(), ::dup(::fileno(file)));
    const std::string out = pattern(1'000'000);
    outcome written;
    asio::async_write(d, asio::buffer(out), into(written));
    loop.run();
    BOOST_TEST(written == done(out.size()));
    BOOST_REQUIRE(::lseek(d.native_handle(), 0, SEEK_SET) == 0);
    std::string in(out.size(), '\0');
    outcome read;
    asio::async_read(d, asio::buffer(in), into(read));
    loop.run();
    BOOST_TEST(read == done(out.size()));
    BOOST_TEST((in == out));
    outcome ended;
    d.async_read_some(asio::buffer(in), into(ended));
    loop.run();
    BOOST_TEST(ended == failed(error::eof));
    std::fclose(file);
}

RUNG_RIVAL_CASE(a_receive_that_asks_for_all_takes_what_there_is) {
    over_every_transport(loop, [&](auto a, auto b) {
        for (const bool first : {true, false}) {
            for (const bool scatters : {true, false}) {
                char in[8] = {};
                const std::array<asio::mutable_buffer, 2> two{asio::buffer(in, 4),
                                                              asio::buffer(in + 4, 4)};
                outcome received;
                const auto receive = [&, &b = b] {
                    if (scatters) {
                        b.async_receive(two, MSG_WAITALL, into(received));
                    } else {
                        b.async_receive(asio::buffer(in), MSG_WAITALL, into(received));
                    }
                };
                if (first) {
                    receive();
                    loop.poll();
                    a.send(asio::buffer("abc", 3));
                } else {
                    a.send(asio::buffer("abc", 3));
                    receive();
                }
                loop.run();
                BOOST_TEST(received == done(3));
                BOOST_TEST(std::string(in) == "abc");
            }
        }
    });
}

RUNG_RIVAL_CASE(what_is_always_ready_cannot_be_waited_for_to_have_an_error) {
    descriptor<Loop> d(loop.context(), ::open("/dev/null", O_RDWR | O_CLOEXEC));
    outcome o;
    d.async_wait(asio::posix::descriptor_base::wait_error, into(o));
    loop.run();
    BOOST_TEST(o == failed(error::operation_not_supported));
}
