// A program that asks an instrument on a serial line, with time-outs and repetitions, in plain Asio,
// made native by rung/as_default.hpp; the instrument is a stock Asio program.

#include <fcntl.h>
#include <unistd.h>

#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

/// Asks for a value until an answer comes, waiting a little for each.
class asker {
public:
    asker(rung::io_context& context, const std::string& device, int questions)
        : port_(context, device), timer_(context), left_(questions) {
        port_.set_option(asio::serial_port::baud_rate(115'200));
    }
    void start() { ask(); }
    const std::vector<std::string>& answers() const { return answers_; }
    int repetitions() const { return repetitions_; }

private:
    void ask() {
        question_ = "value?\n";
        asio::async_write(port_, asio::buffer(question_), [this](error_code ec, std::size_t) {
            BOOST_TEST(!ec);
            listen();
        });
    }
    void listen() {
        timer_.expires_after(std::chrono::milliseconds(50));
        timer_.async_wait([this](error_code ec) {
            if (!ec) {
                port_.cancel();
            }
        });
        asio::async_read_until(port_, asio::dynamic_buffer(in_), '\n',
                               [this](error_code ec, std::size_t n) { answered(ec, n); });
    }
    void answered(error_code ec, std::size_t n) {
        timer_.cancel();
        if (ec == asio::error::operation_aborted) {
            ++repetitions_;
            ask();
            return;
        }
        BOOST_TEST(!ec);
        answers_.push_back(in_.substr(0, n - 1));
        in_.erase(0, n);
        if (--left_ > 0) {
            ask();
        }
    }

    asio::serial_port port_;
    asio::steady_timer timer_;
    int left_;
    int repetitions_ = 0;
    std::string question_;
    std::string in_;
    std::vector<std::string> answers_;
};

/// Hears questions on the far end of the line and leaves every fifth unanswered. Gives the number of
/// those that it did not understand.
int answer(int line, int questions) {
    asio::io_context context;
    asio::posix::basic_stream_descriptor<asio::any_io_executor> far(context, ::dup(line));
    std::string in;
    int misheard = 0;
    for (int heard = 1, value = 0; value < questions; ++heard) {
        const std::size_t n = asio::read_until(far, asio::dynamic_buffer(in), '\n');
        misheard += in.substr(0, n) == "value?\n" ? 0 : 1;
        in.erase(0, n);
        if (heard % 5 != 0) {
            asio::write(far, asio::buffer(std::to_string(++value) + "\n"));
        }
    }
    return misheard;
}

BOOST_AUTO_TEST_CASE(every_value_arrives_though_some_answers_do_not) {
    const int line = ::posix_openpt(O_RDWR | O_NOCTTY);
    BOOST_REQUIRE(::grantpt(line) == 0);
    BOOST_REQUIRE(::unlockpt(line) == 0);
    constexpr int questions = 12;
    rung::io_context context;
    asker a(context, ::ptsname(line), questions);
    a.start();
    int misheard = 0;
    std::thread instrument([&] { misheard = answer(line, questions); });
    context.run();
    instrument.join();
    ::close(line);  // the end of a line takes along what has not been read
    BOOST_TEST(misheard == 0);
    BOOST_TEST(a.answers().size() == questions);
    BOOST_TEST(a.repetitions() >= 2);
    for (std::size_t i = 0; i < a.answers().size(); ++i) {
        BOOST_TEST(a.answers()[i] == std::to_string(i + 1));
    }
}

}  // namespace
