// Serial ports, on the far end of a pseudo-terminal.

#include <fcntl.h>
#include <pty.h>
#include <unistd.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/serial_port.hpp>
#include <boost/asio/write.hpp>
#include <cstdlib>

#include "rivals.hpp"

using namespace test;
namespace error = asio::error;
using base = asio::serial_port_base;

namespace {

template <class Loop>
using serial_port = asio::basic_serial_port<typename Loop::executor_type>;

/// The other end of the line, and the name of the device.
class line {
public:
    line() : master_(::posix_openpt(O_RDWR | O_NOCTTY)) {
        BOOST_REQUIRE(::grantpt(master_) == 0);
        BOOST_REQUIRE(::unlockpt(master_) == 0);
    }
    ~line() { ::close(master_); }
    line(const line&) = delete;
    line& operator=(const line&) = delete;

    std::string device() const { return ::ptsname(master_); }
    void send(const std::string& s) const {
        BOOST_TEST(::write(master_, s.data(), s.size()) == static_cast<ssize_t>(s.size()));
    }
    std::string receive() const {
        char in[64];
        const ssize_t n = ::read(master_, in, sizeof in);
        return std::string(in, n < 0 ? 0 : static_cast<std::size_t>(n));
    }

private:
    int master_;
};

RUNG_RIVAL_CASE(lines_go_both_ways_over_a_port) {
    const line far;
    serial_port<Loop> port(loop.context(), far.device());
    std::string in;
    outcome got;
    asio::async_read_until(port, asio::dynamic_buffer(in), '\n', into(got));
    loop.poll();
    far.send("T = 21");
    loop.poll();
    BOOST_TEST(got == outcome{});
    far.send(".5 C\n");
    loop.run();
    BOOST_TEST(got == done(11));
    BOOST_TEST(in.substr(0, 11) == "T = 21.5 C\n");
    outcome written;
    asio::async_write(port, asio::buffer("ok\n", 3), into(written));
    loop.run();
    BOOST_TEST(written == done(3));
    BOOST_TEST(far.receive() == "ok\n");
}

RUNG_RIVAL_CASE(options_are_stored_in_the_line) {
    const line far;
    serial_port<Loop> port(loop.context());
    port.open(far.device());
    port.set_option(base::baud_rate(9600));
    port.set_option(base::stop_bits(base::stop_bits::two));
    port.set_option(base::flow_control(base::flow_control::software));
    port.set_option(base::parity(base::parity::none));
    base::baud_rate rate;
    base::stop_bits stop;
    base::flow_control flow;
    port.get_option(rate);
    port.get_option(stop);
    port.get_option(flow);
    BOOST_TEST(rate.value() == 9600U);
    BOOST_TEST(stop.value() == base::stop_bits::two);
    BOOST_TEST(flow.value() == base::flow_control::software);
    error_code ec;
    port.set_option(base::baud_rate(12'345), ec);
    BOOST_TEST(ec == error::invalid_argument);
    port.send_break(ec);
    BOOST_TEST(!ec);
}

RUNG_RIVAL_CASE(a_port_that_is_none_is_refused) {
    serial_port<Loop> port(loop.context());
    error_code ec;
    port.open("/dev/there_is_no_such_port", ec);
    BOOST_TEST(ec == error_code(ENOENT, boost::system::system_category()));
    port.open("/dev/null", ec);
    BOOST_TEST(ec == error_code(ENOTTY, boost::system::system_category()));
    BOOST_TEST(!port.is_open());
    base::baud_rate rate;
    port.get_option(rate, ec);
    BOOST_TEST(ec == error::bad_descriptor);
    const line far;
    port.open(far.device());
    port.open(far.device(), ec);
    BOOST_TEST(ec == error::already_open);
}

RUNG_RIVAL_CASE(a_read_of_a_port_ends_with_cancel_close_and_its_slot) {
    for (const int how : {0, 1, 2}) {
        const line far;
        serial_port<Loop> port(loop.context(), far.device());
        asio::cancellation_signal signal;
        char in[8];
        outcome ended;
        port.async_read_some(asio::buffer(in),
                             asio::bind_cancellation_slot(signal.slot(), into(ended)));
        loop.poll();
        if (how == 0) {
            port.cancel();
        } else if (how == 1) {
            port.close();
        } else {
            signal.emit(asio::cancellation_type::total);
        }
        loop.run();
        BOOST_TEST(ended == failed(error::operation_aborted));
    }
}

RUNG_RIVAL_CASE(a_port_moves_with_its_read) {
    const line far;
    serial_port<Loop> port(loop.context(), far.device());
    char in[8];
    outcome got;
    port.async_read_some(asio::buffer(in), into(got));
    loop.poll();
    serial_port<Loop> moved(std::move(port));
    far.send("abc");
    loop.run();
    BOOST_TEST(got == done(3));
}

}  // namespace
