// asio::ssl::stream over native sockets, in both directions; OpenSSL's own programs as peers.

#include <openssl/ssl.h>

#include <boost/asio.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/test/unit_test.hpp>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <rung/rung.hpp>
#include <string>
#include <thread>
#include <tuple>

#include "certificate.hpp"
#include "time_limit.hpp"

namespace asio = boost::asio;
namespace ssl = asio::ssl;
using namespace asio::experimental::awaitable_operators;
using asio::awaitable;
using asio::use_awaitable;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr auto try_awaitable = asio::as_tuple(use_awaitable);

/// The two ends of a connection over loopback, and the context that both run on.
template <class Socket>
struct pair_of : test::time_limit {
    using stream = ssl::stream<Socket>;

    explicit pair_of(int hint = -1) : context(hint) {
        server_ssl.use_certificate_chain_file(certificate.path());
        server_ssl.use_private_key_file(certificate.path(), ssl::context::pem);
        client_ssl.load_verify_file(certificate.path());
        client_ssl.set_verify_mode(ssl::verify_peer);
    }

    void allow_only(int version) {
        for (SSL_CTX* const c : {server_ssl.native_handle(), client_ssl.native_handle()}) {
            SSL_CTX_set_min_proto_version(c, version);
            SSL_CTX_set_max_proto_version(c, version);
        }
    }
    /// Connects; no handshake yet.
    void connect() {
        tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
        client.emplace(Socket(context), client_ssl);
        server.emplace(Socket(context), server_ssl);
        client->next_layer().connect(acceptor.local_endpoint());
        acceptor.accept(server->next_layer());
    }
    awaitable<void> handshake() {
        co_await (client->async_handshake(stream::client, use_awaitable) &&
                  server->async_handshake(stream::server, use_awaitable));
    }
    awaitable<void> shutdown() {
        // Whoever hears of the other's shutdown first answers it.
        co_await (client->async_shutdown(try_awaitable) && server->async_shutdown(try_awaitable));
    }
    void run(awaitable<void> all) {
        asio::co_spawn(context, std::move(all), [](const std::exception_ptr& e) {
            if (e) {
                std::rethrow_exception(e);
            }
        });
        context.restart();
        context.run();
    }

    test::certificate certificate;
    ssl::context server_ssl{ssl::context::tls_server};
    ssl::context client_ssl{ssl::context::tls_client};
    rung::io_context context;
    std::optional<stream> client;
    std::optional<stream> server;
};

using native_pair = pair_of<rung::native<tcp::socket>>;
using guest_pair = pair_of<tcp::socket>;

/// Sends from one end to the other, which must get just that.
template <class Stream>
awaitable<void> send(Stream& from, Stream& to, std::string text) {
    std::string back(text.size(), '\0');
    co_await (asio::async_write(from, asio::buffer(text), use_awaitable) &&
              asio::async_read(to, asio::buffer(back), use_awaitable));
    BOOST_TEST((back == text));
}

std::string large(char c) { return std::string(2'000'000, c); }

int key_updates_received = 0;

void count_key_updates(int sent, int, int type, const void* message, std::size_t size, SSL*,
                       void*) {
    if (sent == 0 && type == SSL3_RT_HANDSHAKE && size != 0 &&
        *static_cast<const unsigned char*>(message) == SSL3_MT_KEY_UPDATE) {
        ++key_updates_received;
    }
}

/// Runs a command and gives what it prints.
std::string output_of(const std::string& command) {
    std::string all;
    std::FILE* const pipe = ::popen(command.c_str(), "r");
    for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) {
        all += static_cast<char>(c);
    }
    ::pclose(pipe);
    return all;
}

bool has_openssl() {
    const bool has = std::system("command -v openssl >/dev/null") == 0;
    BOOST_WARN_MESSAGE(has, "this system has no program openssl");
    return has;
}

}  // namespace

using pairs = std::tuple<native_pair, guest_pair>;

BOOST_AUTO_TEST_CASE_TEMPLATE(data_goes_both_ways_at_once, Pair, pairs) {
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        for (const int hint : {1, -1}) {
            Pair p(hint);
            p.allow_only(version);
            p.connect();
            p.run([](auto& q) -> awaitable<void> {
                co_await q.handshake();
                co_await (send(*q.client, *q.server, large('c')) &&
                          send(*q.server, *q.client, large('s')));
                co_await q.shutdown();
            }(p));
            BOOST_TEST(SSL_version(p.client->native_handle()) == version);
        }
    }
}

BOOST_AUTO_TEST_CASE(a_peer_that_shuts_down_is_at_its_end) {
    native_pair p;
    p.connect();
    p.run([](auto& q) -> awaitable<void> {
        co_await q.handshake();
        co_await send(*q.client, *q.server, "last words");
        char c = 0;
        const auto reads = [&]() -> awaitable<void> {
            const auto [ec, n] =
                co_await q.server->async_read_some(asio::buffer(&c, 1), try_awaitable);
            BOOST_TEST(ec == asio::error::eof);
            BOOST_TEST(n == 0U);
            co_await q.server->async_shutdown(try_awaitable);
        };
        co_await (reads() && q.client->async_shutdown(use_awaitable));
    }(p));
}

BOOST_AUTO_TEST_CASE(keys_are_updated_in_mid_stream) {
    native_pair p;
    p.allow_only(TLS1_3_VERSION);
    SSL_CTX_set_msg_callback(p.server_ssl.native_handle(), &count_key_updates);
    p.connect();
    key_updates_received = 0;
    constexpr int times = 20;
    p.run([](auto& q) -> awaitable<void> {
        co_await q.handshake();
        for (int i = 0; i < times; ++i) {
            BOOST_TEST(SSL_key_update(q.client->native_handle(), SSL_KEY_UPDATE_REQUESTED) == 1);
            co_await send(*q.client, *q.server, std::string(50'000, 'c'));
            co_await send(*q.server, *q.client, "with the server's new keys");
        }
        BOOST_TEST(SSL_key_update(q.server->native_handle(), SSL_KEY_UPDATE_REQUESTED) == 1);
        co_await (send(*q.server, *q.client, large('s')) && send(*q.client, *q.server, large('c')));
    }(p));
    BOOST_TEST(key_updates_received >= times);
}

BOOST_AUTO_TEST_CASE(sessions_are_resumed) {
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        native_pair p;
        p.allow_only(version);
        SSL_SESSION* session = nullptr;
        for (const bool resumed : {false, true}) {
            p.connect();
            if (session != nullptr) {
                BOOST_TEST(SSL_set_session(p.client->native_handle(), session) == 1);
            }
            p.run([](auto& q) -> awaitable<void> {
                co_await q.handshake();
                co_await send(*q.server, *q.client, "and a ticket with it");
                co_await send(*q.client, *q.server, "thanks");
                co_await q.shutdown();
            }(p));
            BOOST_TEST((SSL_session_reused(p.client->native_handle()) == 1) == resumed);
            BOOST_TEST((SSL_session_reused(p.server->native_handle()) == 1) == resumed);
            SSL_SESSION_free(session);
            session = SSL_get1_session(p.client->native_handle());
        }
        SSL_SESSION_free(session);
    }
}

#if defined(SSL_OP_ALLOW_CLIENT_RENEGOTIATION)
BOOST_AUTO_TEST_CASE(a_connection_is_renegotiated_where_that_is_allowed) {
    native_pair p;
    p.allow_only(TLS1_2_VERSION);
    SSL_CTX_set_options(p.server_ssl.native_handle(), SSL_OP_ALLOW_CLIENT_RENEGOTIATION);
    p.connect();
    p.run([](auto& q) -> awaitable<void> {
        co_await q.handshake();
        co_await send(*q.client, *q.server, "before");
        BOOST_TEST(SSL_renegotiate(q.client->native_handle()) == 1);
        const auto client = [&]() -> awaitable<void> {
            co_await q.client->async_handshake(ssl::stream_base::client, use_awaitable);
            co_await asio::async_write(*q.client, asio::buffer("after", 5), use_awaitable);
        };
        std::string in(5, '\0');
        co_await (client() && asio::async_read(*q.server, asio::buffer(in), use_awaitable));
        BOOST_TEST(in == "after");
        co_await send(*q.server, *q.client, large('s'));
    }(p));
    BOOST_TEST(SSL_num_renegotiations(p.client->native_handle()) == 1);
}
#endif

BOOST_AUTO_TEST_CASE(a_renegotiation_is_refused_where_it_is_not_allowed) {
    native_pair p;
    p.allow_only(TLS1_2_VERSION);
    SSL_CTX_set_options(p.server_ssl.native_handle(), SSL_OP_NO_RENEGOTIATION);
    p.connect();
    error_code refused;
    error_code ended;
    p.run([](auto& q, error_code& at_client, error_code& at_server) -> awaitable<void> {
        co_await q.handshake();
        BOOST_TEST(SSL_renegotiate(q.client->native_handle()) == 1);
        const auto client = [&]() -> awaitable<void> {
            const auto [ec] =
                co_await q.client->async_handshake(ssl::stream_base::client, try_awaitable);
            at_client = ec;
            q.client->next_layer().close();
        };
        char c = 0;
        const auto server = [&]() -> awaitable<void> {
            const auto [ec, n] =
                co_await q.server->async_read_some(asio::buffer(&c, 1), try_awaitable);
            at_server = ec;
        };
        co_await (client() && server());
    }(p, refused, ended));
    BOOST_TEST((refused.category() == asio::error::get_ssl_category()));
    BOOST_TEST(ERR_GET_REASON(static_cast<unsigned long>(refused.value())) ==
               SSL_R_NO_RENEGOTIATION);
    BOOST_TEST(ended.failed());
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_peer_that_vanishes_in_mid_handshake_is_an_error, Pair, pairs) {
    // The first bytes of a handshake message of 512, then nothing.
    const std::string beginning("\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 9);
    for (const bool client_waits : {false, true}) {
        for (const bool reset : {false, true}) {
            Pair p;
            p.connect();
            auto& waits = client_waits ? *p.client : *p.server;
            auto& vanishes = (client_waits ? *p.server : *p.client).next_layer();
            error_code ec;
            waits.async_handshake(
                client_waits ? ssl::stream_base::client : ssl::stream_base::server,
                [&](error_code e) { ec = e; });
            p.context.poll();
            asio::write(vanishes, asio::buffer(beginning));
            p.context.run_for(std::chrono::milliseconds(5));
            BOOST_TEST(!ec);
            if (reset) {
                vanishes.set_option(asio::socket_base::linger(true, 0));
            } else {
                std::string unread(vanishes.available(), '\0');
                asio::read(vanishes, asio::buffer(unread));
            }
            vanishes.close();
            p.context.run();
            BOOST_TEST(ec == (reset ? error_code(asio::error::connection_reset)
                                    : error_code(ssl::error::stream_truncated)));
        }
    }
}

BOOST_AUTO_TEST_CASE(a_handshake_ends_with_cancel_and_with_its_context) {
    for (const int hint : {1, -1}) {
        native_pair p(hint);
        p.connect();
        error_code ec;
        p.server->async_handshake(ssl::stream_base::server, [&](error_code e) { ec = e; });
        p.context.poll();
        p.server->next_layer().cancel();
        p.context.run();
        BOOST_TEST(ec == asio::error::operation_aborted);

        p.context.restart();
        bool called = false;
        p.server->async_handshake(ssl::stream_base::server, [&](error_code) { called = true; });
        p.context.poll();
        BOOST_TEST(!called);
    }
}

BOOST_AUTO_TEST_CASE(openssl_s_client_is_served) {
    if (!has_openssl()) {
        return;
    }
    for (const std::string version : {"-tls1_2", "-tls1_3"}) {
        native_pair p;
        rung::native<tcp::acceptor> acceptor(p.context, {asio::ip::address_v4::loopback(), 0});
        std::string answer;
        std::thread client([&] {
            answer = output_of("printf 'hello\\n' | timeout 20 openssl s_client -quiet " + version +
                               " -connect 127.0.0.1:" +
                               std::to_string(acceptor.local_endpoint().port()) + " 2>/dev/null");
        });
        p.run([](auto& q, auto& from) -> awaitable<void> {
            q.server.emplace(co_await from.async_accept(use_awaitable), q.server_ssl);
            co_await q.server->async_handshake(ssl::stream_base::server, use_awaitable);
            std::string line;
            co_await asio::async_read_until(*q.server, asio::dynamic_buffer(line), '\n',
                                            use_awaitable);
            co_await asio::async_write(*q.server, asio::buffer("you said " + line), use_awaitable);
            co_await q.server->async_shutdown(try_awaitable);
        }(p, acceptor));
        client.join();
        BOOST_TEST(answer == "you said hello\n");
    }
}

BOOST_AUTO_TEST_CASE(openssl_s_server_serves) {
    if (!has_openssl()) {
        return;
    }
    for (const std::string version : {"-tls1_2", "-tls1_3"}) {
        native_pair p;
        const std::string command = "timeout 20 openssl s_server " + version +
                                    " -accept 127.0.0.1:0 -rev -naccept 1 -cert " +
                                    p.certificate.path() + " -key " + p.certificate.path();
        std::FILE* const server = ::popen((command + " 2>/dev/null").c_str(), "r");
        unsigned short port = 0;
        char line[256];
        while (port == 0 && std::fgets(line, sizeof line, server) != nullptr) {
            const std::string text(line);
            if (text.starts_with("ACCEPT ")) {
                port = static_cast<unsigned short>(std::stoi(text.substr(text.rfind(':') + 1)));
            }
        }
        p.run([](auto& q, unsigned short to) -> awaitable<void> {
            q.client.emplace(rung::native<tcp::socket>(q.context), q.client_ssl);
            co_await q.client->next_layer().async_connect({asio::ip::address_v4::loopback(), to},
                                                          use_awaitable);
            co_await q.client->async_handshake(ssl::stream_base::client, use_awaitable);
            co_await asio::async_write(*q.client, asio::buffer("hello\n", 6), use_awaitable);
            std::string in;
            co_await asio::async_read_until(*q.client, asio::dynamic_buffer(in), '\n',
                                            use_awaitable);
            BOOST_TEST(in == "olleh\n");
            co_await q.client->async_shutdown(try_awaitable);
        }(p, port));
        ::pclose(server);
    }
}
