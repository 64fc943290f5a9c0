/// Many connections that receive much at a time: what the kernel would put out of the cache.

#include <algorithm>
#include <array>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <boost/test/unit_test.hpp>
#include <memory>
#include <vector>

#include "peers.hpp"
#include "rivals.hpp"

using namespace test;
namespace error = asio::error;

namespace {

constexpr std::size_t connections = 300;  // which ask for more than a megabyte together
constexpr std::size_t size = 4096;

/// A connection with a receive that fills its buffer.
template <class Loop>
struct connection {
    explicit connection(Loop& loop) : ends(local_pair(loop)) {}

    void receive() {
        asio::async_read(ends.second, asio::buffer(in), [this](error_code e, std::size_t n) {
            ++calls;
            ec = e;
            count += n;
        });
    }
    void send(char c) {
        out.fill(c);
        asio::write(ends.first, asio::buffer(out));
    }
    bool holds(char c) const {
        return std::all_of(in.begin(), in.end(), [&](char x) { return x == c; });
    }

    decltype(local_pair(std::declval<Loop&>())) ends;
    std::array<char, size> in{};
    std::array<char, size> out{};
    int calls = 0;
    std::size_t count = 0;
    error_code ec;
};

template <class Loop>
auto connect(Loop& loop) {
    std::vector<std::unique_ptr<connection<Loop>>> all;
    for (std::size_t i = 0; i < connections; ++i) {
        all.push_back(std::make_unique<connection<Loop>>(loop));
    }
    return all;
}

char letter(std::size_t i) { return static_cast<char>('a' + i % 26); }

}  // namespace

RUNG_RIVAL_CASE(every_receive_gets_its_own_bytes) {
    auto all = connect(loop);
    for (auto& c : all) {
        c->receive();
    }
    loop.poll();
    for (std::size_t i = 0; i < connections; ++i) {
        all[i]->send(letter(i));
    }
    loop.run();
    for (std::size_t i = 0; i < connections; ++i) {
        BOOST_TEST(all[i]->calls == 1);
        BOOST_TEST(all[i]->count == size);
        BOOST_TEST(all[i]->holds(letter(i)));
    }
}

RUNG_RIVAL_CASE(a_receive_that_was_announced_can_still_be_cancelled) {
    auto all = connect(loop);
    for (auto& c : all) {
        c->receive();
    }
    loop.poll();
    for (std::size_t i = 0; i < connections; i += 2) {
        all[i]->send(letter(i));
        all[i + 1]->ends.first.close();
    }
    // The first handler to run finds the others announced.
    asio::post(loop.context(), [&] {
        for (std::size_t i = 0; i < connections; i += 4) {
            all[i]->ends.second.cancel();
        }
    });
    loop.run();
    for (std::size_t i = 0; i < connections; ++i) {
        BOOST_TEST(all[i]->calls == 1);
        if (i % 2 != 0) {
            BOOST_TEST(all[i]->ec == error_code(error::eof));
        } else if (i % 4 != 0) {
            BOOST_TEST(all[i]->holds(letter(i)));
        } else {
            const bool one_or_the_other =
                all[i]->count == size || all[i]->ec == error_code(error::operation_aborted);
            BOOST_TEST(one_or_the_other);
        }
    }
}

RUNG_RIVAL_CASE(close_ends_what_waits_and_what_was_announced) {
    auto all = connect(loop);
    for (auto& c : all) {
        c->receive();
    }
    loop.poll();
    for (std::size_t i = 0; i < connections; i += 2) {
        all[i]->send(letter(i));
    }
    asio::post(loop.context(), [&] {
        for (auto& c : all) {
            c->ends.second.close();
        }
    });
    loop.run();
    for (auto& c : all) {
        BOOST_TEST(c->calls == 1);
    }
}

BOOST_AUTO_TEST_CASE(what_exceeds_the_cache_is_received_by_calls) {
    loop<rung::io_context> loop(modes[0]);
    auto all = connect(loop);
    for (auto& c : all) {
        c->receive();
    }
    loop.poll();
    const auto before = loop.context().statistics().speculated;
    for (auto& c : all) {
        c->send('x');
    }
    loop.run();
    BOOST_TEST(loop.context().statistics().speculated - before > connections / 2);
}
