// Asynchronous sends and receives that succeed: whole, in pieces, in order.

#include <sys/mman.h>

#include <atomic>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/write.hpp>

#include "rivals.hpp"

using namespace test;
namespace error = asio::error;

namespace {

RUNG_RIVAL_CASE(a_receive_completes_whether_it_waits_or_the_data_is_there) {
    over_every_transport(loop, [&](auto a, auto b) {
        char in[8] = {};
        outcome waited;
        b.async_receive(asio::buffer(in), into(waited));
        loop.poll();
        BOOST_TEST(waited == outcome{});
        outcome sent;
        a.async_send(asio::buffer("hello", 5), into(sent));
        loop.run();
        BOOST_TEST(sent == done(5));
        BOOST_TEST(waited == done(5));
        BOOST_TEST(std::string(in, 5) == "hello");

        a.send(asio::buffer("more", 4));
        outcome ready;
        b.async_read_some(asio::buffer(in), into(ready));
        loop.run();
        BOOST_TEST(ready == done(4));
        BOOST_TEST(std::string(in, 4) == "more");
    });
}

RUNG_RIVAL_CASE(no_handler_runs_inside_its_initiating_function) {
    auto [a, b] = local_pair(loop);
    a.send(asio::buffer("xyz", 3));
    std::atomic<int> calls{0};
    char in[4];
    const auto note = [&](error_code, std::size_t = 0) { ++calls; };
    int seen = 0;
    asio::post(loop.context(), [&, &a = a, &b = b] {
        b.async_receive(asio::buffer(in, 1), note);
        b.async_receive(asio::buffer(in, 0), note);
        a.async_send(asio::buffer(in, 1), note);
        a.async_wait(a.wait_write, note);
        if (loop.threads() == 1) {
            seen = calls;
        }
    });
    loop.run();
    BOOST_TEST(seen == 0);
    BOOST_TEST(calls == 4);
}

RUNG_RIVAL_CASE(receive_flags_mean_what_they_mean) {
    over_every_transport(loop, [&](auto a, auto b) {
        char in[4] = {};
        outcome peeked;
        b.async_receive(asio::buffer(in), b.message_peek, into(peeked));
        loop.poll();
        a.send(asio::buffer("abc", 3));
        loop.run();
        BOOST_TEST(peeked == done(3));
        outcome again;
        b.async_receive(asio::buffer(in), b.message_peek, into(again));
        loop.run();
        BOOST_TEST(again == done(3));
        BOOST_TEST(b.available() == 3U);
    });
}

RUNG_RIVAL_CASE(up_to_64_buffers_go_in_one_operation) {
    over_every_transport(loop, [&](auto a, auto b) {
        for (std::size_t n = 1; n <= 70; n += n < 6 || n > 60 ? 1 : 9) {
            std::string out = pattern(5 * n);
            std::string in(out.size(), '\0');
            std::vector<asio::const_buffer> from;
            std::vector<asio::mutable_buffer> to;
            for (std::size_t i = 0; i < n; ++i) {
                from.push_back(asio::buffer(&out[5 * i], 5));
                to.push_back(asio::buffer(&in[5 * i], 5));
            }
            outcome received;
            outcome sent;
            b.async_receive(to, into(received));
            loop.poll();  // the description of the buffers must outlive this call
            to.assign(n, {});
            a.async_send(from, into(sent));
            from.assign(n, {});
            loop.run();
            const std::size_t at_most_64 = 5 * std::min<std::size_t>(n, 64);
            BOOST_TEST(sent == done(at_most_64));
            BOOST_TEST(received == done(at_most_64));
            BOOST_TEST((in.substr(0, at_most_64) == out.substr(0, at_most_64)));
        }
    });
}

RUNG_RIVAL_CASE(empty_buffers_complete_at_once_with_nothing) {
    over_every_transport(loop, [&](auto a, auto b) {
        char byte = 'x';
        std::array<outcome, 6> o;
        b.async_receive(asio::buffer(&byte, 0), into(o[0]));
        b.async_receive(std::vector<asio::mutable_buffer>{}, into(o[1]));
        b.async_receive(std::array<asio::mutable_buffer, 2>{}, into(o[2]));
        a.async_send(asio::buffer(&byte, 0), into(o[3]));
        a.async_send(std::vector<asio::const_buffer>{}, into(o[4]));
        asio::async_write(a, asio::buffer(&byte, 0), into(o[5]));
        loop.run();
        for (const outcome& one : o) {
            BOOST_TEST(one == done());
        }
        // Empty buffers among others do no harm.
        std::array<asio::mutable_buffer, 3> some{
            asio::mutable_buffer(), asio::buffer(&byte, 1), {}};
        outcome received;
        b.async_receive(some, into(received));
        a.send(asio::buffer("y", 1));
        loop.run();
        BOOST_TEST(received == done(1));
        BOOST_TEST(byte == 'y');
    });
}

RUNG_RIVAL_CASE(a_buffer_of_four_gigabytes_is_not_an_empty_one) {
    constexpr std::size_t size = std::size_t{1} << 32U;
    void* const memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    BOOST_REQUIRE(memory != MAP_FAILED);
    over_every_transport(loop, [&](auto a, auto b) {
        outcome received;
        b.async_receive(asio::buffer(memory, size), into(received));
        loop.poll();
        BOOST_TEST(received == outcome{});
        a.send(asio::buffer("abc", 3));
        loop.run();
        BOOST_TEST(received == done(3));

        // As much goes as fits, when the peer has made room again.
        a.non_blocking(true);
        error_code ec;
        std::string block = pattern(65'536);
        std::size_t filled = 0;
        while (!ec) {
            filled += a.send(asio::buffer(block), 0, ec);
        }
        outcome sent;
        a.async_send(asio::buffer(memory, size), into(sent));
        loop.poll();
        BOOST_TEST(sent == outcome{});
        std::string in(filled, '\0');
        asio::read(b, asio::buffer(in));
        b.close();
        loop.run();
        BOOST_TEST(sent.calls == 1);
        BOOST_TEST((sent.count > 0 || sent.ec));
    });
    ::munmap(memory, size);
}

RUNG_RIVAL_CASE(receives_of_one_socket_complete_in_the_order_of_their_start) {
    over_every_transport(loop, [&](auto a, auto b) {
        constexpr std::size_t n = 20;
        std::array<char, n> in{};
        std::array<outcome, n> received;
        for (std::size_t i = 0; i < n; ++i) {
            b.async_receive(asio::buffer(&in[i], 1), into(received[i]));
            if (i % 3 == 0) {
                loop.poll();
            }
        }
        loop.poll();
        const std::string out = pattern(n);
        for (std::size_t i = 0; i < n; ++i) {
            a.send(asio::buffer(&out[i], 1));
            loop.poll();
        }
        loop.run();
        BOOST_TEST(std::string(in.begin(), in.end()) == out);
        for (const outcome& one : received) {
            BOOST_TEST(one == done(1));
        }
    });
}

RUNG_RIVAL_CASE(sends_of_one_socket_keep_their_order_when_they_have_to_wait) {
    over_every_transport(loop, [&](auto a, auto b) {
        a.set_option(asio::socket_base::send_buffer_size(4096));
        constexpr std::size_t n = 40;
        constexpr std::size_t size = 50'000;
        std::vector<std::string> out;
        std::vector<outcome> sent(n);
        for (std::size_t i = 0; i < n; ++i) {
            out.emplace_back(size, static_cast<char>('A' + i));
            a.async_send(asio::buffer(out[i]), into(sent[i]));
        }
        loop.poll();
        std::string in;
        std::string block(10'000, '\0');
        b.non_blocking(true);
        while (std::any_of(sent.begin(), sent.end(), [](auto& o) { return o.calls == 0; })) {
            error_code ec;
            const std::size_t got = b.read_some(asio::buffer(block), ec);
            in.append(block, 0, got);
            loop.poll();
        }
        b.non_blocking(false);
        a.close();
        error_code ec;
        asio::read(b, asio::dynamic_buffer(in), ec);
        BOOST_TEST(ec == error_code(error::eof));
        std::string expected;
        for (std::size_t i = 0; i < n; ++i) {
            BOOST_TEST(!sent[i].ec);
            expected.append(out[i], 0, sent[i].count);
        }
        BOOST_TEST((in == expected));
    });
}

RUNG_RIVAL_CASE(megabytes_pass_both_ways_at_once_in_partial_transfers) {
    over_every_transport(loop, [&](auto a, auto b) {
        const std::string to_b = pattern(5'000'003);
        const std::string to_a(3'000'001, 'z');
        std::string at_a(to_a.size(), '\0');
        std::string at_b(to_b.size(), '\0');
        std::array<outcome, 4> o;
        // Each socket is used by two chains, so it has a strand where two threads run.
        const auto sa = asio::make_strand(loop.executor());
        const auto sb = asio::make_strand(loop.executor());
        const auto write = [&](auto& s, auto& strand, auto&& buffers, outcome& to) {
            asio::post(strand, [&, buffers] {
                asio::async_write(s, buffers, asio::bind_executor(strand, into(to)));
            });
        };
        const auto read = [&](auto& s, auto& strand, auto&& buffers, outcome& to) {
            asio::post(strand, [&, buffers] {
                asio::async_read(s, buffers, asio::bind_executor(strand, into(to)));
            });
        };
        write(a, sa, asio::buffer(to_b), o[0]);
        read(a, sa, asio::buffer(at_a), o[1]);
        read(b, sb, asio::buffer(at_b), o[2]);
        write(b, sb, asio::buffer(to_a), o[3]);
        loop.run();
        BOOST_TEST(o[0] == done(to_b.size()));
        BOOST_TEST(o[1] == done(to_a.size()));
        BOOST_TEST(o[2] == done(to_b.size()));
        BOOST_TEST(o[3] == done(to_a.size()));
        BOOST_TEST((at_a == to_a));
        BOOST_TEST((at_b == to_b));
    });
}

/// Sends `out` from pieces, and receives it into pieces, of which the one at place `i` has `size(i)`
/// bytes.
template <class Loop, class Socket, class Size>
void transfer_in_pieces(Loop& loop, Socket& a, Socket& b, const std::string& out, Size size) {
    std::string in(out.size(), '\0');
    std::vector<asio::const_buffer> from;
    std::vector<asio::mutable_buffer> to;
    for (std::size_t at = 0, i = 0; at < out.size(); ++i) {
        const std::size_t n = std::min(out.size() - at, size(i));
        from.push_back(asio::buffer(&out[at], n));
        to.push_back(asio::buffer(&in[at], n));
        at += n;
    }
    outcome sent;
    outcome received;
    asio::async_read(b, to, into(received));
    asio::async_write(a, from, into(sent));
    loop.run();
    BOOST_TEST(sent == done(out.size()));
    BOOST_TEST(received == done(out.size()));
    BOOST_TEST((in == out));
}

RUNG_RIVAL_CASE(scattered_megabytes_arrive_whole) {
    over_every_transport(loop, [&](auto a, auto b) {
        transfer_in_pieces(loop, a, b, pattern(1'500'000),
                           [](std::size_t i) { return 1 + (i * 7919) % 30'000; });
    });
}

RUNG_RIVAL_CASE(more_buffers_than_one_call_takes_arrive_whole) {
    over_every_transport(loop, [&](auto a, auto b) {
        transfer_in_pieces(loop, a, b, pattern(20'000), [](std::size_t) {
            return std::size_t{10};  // 2,000 of them; the system takes 1,024
        });
    });
}

RUNG_RIVAL_CASE(waits_complete_when_the_socket_is_ready_and_take_nothing) {
    over_every_transport(loop, [&](auto a, auto b) {
        outcome readable;
        outcome writable;
        b.async_wait(b.wait_read, into(readable));
        b.async_wait(b.wait_write, into(writable));
        while (writable.calls == 0) {
            loop.poll();
        }
        BOOST_TEST(writable == done());
        BOOST_TEST(readable == outcome{});
        a.send(asio::buffer("x", 1));
        loop.run();
        BOOST_TEST(readable == done());
        BOOST_TEST(b.available() == 1U);
        outcome at_end;
        char byte = 0;
        b.receive(asio::buffer(&byte, 1));
        b.async_wait(b.wait_read, into(at_end));
        a.close();
        loop.run();
        BOOST_TEST(at_end == done());
    });
}

#if !defined(BOOST_ASIO_NO_DEPRECATED)
RUNG_RIVAL_CASE(null_buffers_wait_as_they_used_to) {
    over_every_transport(loop, [&](auto a, auto b) {
        outcome readable;
        outcome writable;
        b.async_receive(asio::null_buffers(), into(readable));
        b.async_send(asio::null_buffers(), into(writable));
        while (writable.calls == 0) {
            loop.poll();
        }
        BOOST_TEST(writable == done());
        BOOST_TEST(readable == outcome{});
        a.send(asio::buffer("x", 1));
        loop.run();
        BOOST_TEST(readable == done());
        BOOST_TEST(b.receive(asio::null_buffers()) == 0U);
        BOOST_TEST(b.available() == 1U);
    });
}
#endif

}  // namespace
