// A chat server of callbacks in plain Asio, made native by rung/as_default.hpp; its guests are stock
// Asio programs, one of which vanishes.

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

class participant;

/// Everybody who is there.
class room {
public:
    void join(std::shared_ptr<participant> p) { members_.insert(std::move(p)); }
    void leave(const std::shared_ptr<participant>& p) { members_.erase(p); }
    void say(const std::string& line);
    std::size_t size() const { return members_.size(); }

private:
    std::set<std::shared_ptr<participant>> members_;
};

/// A connection: lines come in, lines go out.
class participant : public std::enable_shared_from_this<participant> {
public:
    participant(tcp::socket socket, room& r) : socket_(std::move(socket)), room_(r) {}

    void start() {
        room_.join(shared_from_this());
        read();
    }
    void tell(const std::string& line) {
        out_.push_back(line);
        if (out_.size() == 1) {
            write();
        }
    }

private:
    void read() {
        asio::async_read_until(socket_, asio::dynamic_buffer(in_), '\n',
                               [self = shared_from_this()](error_code ec, std::size_t n) {
                                   self->heard(ec, n);
                               });
    }
    void heard(error_code ec, std::size_t n) {
        if (ec) {
            room_.leave(shared_from_this());
            return;
        }
        const std::string line = in_.substr(0, n);
        in_.erase(0, n);
        room_.say(line);
        read();
    }
    void write() {
        asio::async_write(socket_, asio::buffer(out_.front()),
                          [self = shared_from_this()](error_code ec, std::size_t) {
                              self->out_.pop_front();
                              if (ec) {
                                  self->room_.leave(self);
                              } else if (!self->out_.empty()) {
                                  self->write();
                              }
                          });
    }

    tcp::socket socket_;
    room& room_;
    std::string in_;
    std::deque<std::string> out_;
};

void room::say(const std::string& line) {
    for (const auto& p : members_) {
        p->tell(line);
    }
}

class server {
public:
    server(rung::io_context& context, room& r)
        : acceptor_(context, {asio::ip::address_v4::loopback(), 0}), room_(r) {
        accept();
    }
    tcp::endpoint endpoint() const { return acceptor_.local_endpoint(); }
    void close() { acceptor_.close(); }

private:
    void accept() {
        acceptor_.async_accept([this](error_code ec, tcp::socket socket) {
            if (!ec) {
                std::make_shared<participant>(std::move(socket), room_)->start();
                accept();
            }
        });
    }

    tcp::acceptor acceptor_;
    room& room_;
};

/// A guest on stock Asio, which blocks.
class guest {
public:
    explicit guest(const tcp::endpoint& e) : socket_(context_) { socket_.connect(e); }
    void say(const std::string& line) { asio::write(socket_, asio::buffer(line + "\n")); }
    std::string hear() {
        const std::size_t n = asio::read_until(socket_, asio::dynamic_buffer(in_), '\n');
        const std::string line = in_.substr(0, n - 1);
        in_.erase(0, n);
        return line;
    }
    void vanish() {
        socket_.set_option(asio::socket_base::linger(true, 0));  // a reset instead of an end
        socket_.close();
    }

private:
    asio::io_context context_;
    tcp::socket::rebind_executor<asio::any_io_executor>::other socket_;
    std::string in_;
};

BOOST_AUTO_TEST_CASE(everybody_hears_everything_in_the_same_order) {
    rung::io_context context;
    room r;
    server s(context, r);
    constexpr int guests = 4;
    constexpr int lines = 200;
    std::vector<std::vector<std::string>> heard(guests);
    std::thread outside([&] {
        std::vector<std::unique_ptr<guest>> all;
        for (int i = 0; i < guests; ++i) {
            all.push_back(std::make_unique<guest>(s.endpoint()));
            // Its own line tells that the server has let it in.
            all.back()->say("guest " + std::to_string(i));
            while (all.back()->hear() != "guest " + std::to_string(i)) {
            }
        }
        guest doomed(s.endpoint());
        doomed.say("farewell");
        doomed.vanish();
        for (int i = 0; i < lines; ++i) {
            all[static_cast<std::size_t>(i % guests)]->say(std::to_string(i));
        }
        for (std::size_t i = 0; i < guests; ++i) {
            while (heard[i].size() < lines) {
                const std::string line = all[i]->hear();
                if (line != "farewell" && !line.starts_with("guest")) {
                    heard[i].push_back(line);
                }
            }
        }
        all.clear();
        asio::post(context, [&] { s.close(); });
    });
    context.run();  // until the last guest has left
    outside.join();
    BOOST_TEST(r.size() == 0U);
    for (const auto& h : heard) {
        BOOST_TEST((h == heard[0]));
        BOOST_TEST(h.size() == lines);
    }
}

}  // namespace
