#pragma once

#include <fcntl.h>
#include <pty.h>
#include <sys/eventfd.h>
#include <termios.h>
#include <unistd.h>

#include <boost/asio/connect_pipe.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/readable_pipe.hpp>
#include <boost/asio/serial_port.hpp>
#include <boost/asio/writable_pipe.hpp>
#include <csignal>

#include "endings.hpp"

/// As endings.hpp, for descriptors that are no sockets.
namespace test {

template <class Loop>
using descriptor_of = asio::posix::basic_stream_descriptor<typename Loop::executor_type>;

/// Both ends of a pipe, of which one is used and the other brings about the ending.
template <class Loop>
class pipe_operation {
protected:
    pipe_operation(Loop& l, ending e) : ending_(e), source_(l.context()), target_(l.context()) {
        std::signal(SIGPIPE, SIG_IGN);
        asio::connect_pipe(source_, target_);
    }
    ending ending_;
    asio::basic_readable_pipe<typename Loop::executor_type> source_;
    asio::basic_writable_pipe<typename Loop::executor_type> target_;
};

template <class Loop>
class reading_pipe : private pipe_operation<Loop> {
public:
    reading_pipe(Loop& l, ending e) : pipe_operation<Loop>(l, e) {}
    template <class Token>
    auto start(Token&& token) {
        return this->source_.async_read_some(asio::buffer(in_), std::forward<Token>(token));
    }
    void cause() {
        if (this->ending_ == ending::success) {
            this->target_.write_some(asio::buffer("abc", 3));
        } else if (this->ending_ == ending::failure) {
            this->target_.close();
        } else {
            this->source_.cancel();
        }
    }
    bool expects(error_code ec) const { return is_expected(this->ending_, ec, {asio::error::eof}); }

private:
    char in_[8] = {};
};

/// To a pipe as such (`Plain` false) or as a descriptor.
template <class Loop, bool Plain>
class writing : private pipe_operation<Loop> {
public:
    writing(Loop& l, ending e)
        : pipe_operation<Loop>(l, e), plain_(l.context()), block_(pattern(4'096)) {
        const int fd = this->target_.native_handle();
        ::fcntl(fd, F_SETFL, O_NONBLOCK);
        while (::write(fd, block_.data(), block_.size()) > 0) {
        }
        if constexpr (Plain) {
            plain_.assign(this->target_.release());
        }
    }
    template <class Token>
    auto start(Token&& token) {
        return target().async_write_some(asio::buffer(block_), std::forward<Token>(token));
    }
    void cause() {
        if (this->ending_ == ending::success) {
            char in[8'192];
            this->source_.read_some(asio::buffer(in));
        } else if (this->ending_ == ending::failure) {
            this->source_.close();
        } else {
            target().cancel();
        }
    }
    bool expects(error_code ec) const {
        return is_expected(this->ending_, ec, {asio::error::broken_pipe});
    }

private:
    auto& target() {
        if constexpr (Plain) {
            return plain_;
        } else {
            return this->target_;
        }
    }

    descriptor_of<Loop> plain_;
    std::string block_;
};
template <class Loop>
using writing_pipe = writing<Loop, false>;
template <class Loop>
using writing_descriptor = writing<Loop, true>;

/// A terminal as a descriptor (`Serial` false) or as a serial port, which its far end hangs up.
template <class Loop, bool Serial>
class reading_terminal {
    using object = std::conditional_t<Serial, asio::basic_serial_port<typename Loop::executor_type>,
                                      descriptor_of<Loop>>;

public:
    reading_terminal(Loop& l, ending e) : ending_(e), near_(l.context()) {
        int slave = -1;
        termios raw{};
        ::cfmakeraw(&raw);
        BOOST_REQUIRE(::openpty(&far_, &slave, nullptr, &raw, nullptr) == 0);
        near_.assign(slave);
    }
    ~reading_terminal() { hang_up(); }
    reading_terminal(const reading_terminal&) = delete;
    reading_terminal& operator=(const reading_terminal&) = delete;
    template <class Token>
    auto start(Token&& token) {
        return near_.async_read_some(asio::buffer(in_), std::forward<Token>(token));
    }
    void cause() {
        if (ending_ == ending::success) {
            BOOST_TEST(::write(far_, "abc", 3) == 3);
        } else if (ending_ == ending::failure) {
            hang_up();
        } else {
            near_.cancel();
        }
    }
    bool expects(error_code ec) const {
        const error_code no_line(EIO, boost::system::system_category());
        return is_expected(ending_, ec, {asio::error::eof, no_line});
    }

private:
    void hang_up() {
        if (far_ != -1) {
            ::close(std::exchange(far_, -1));
        }
    }
    ending ending_;
    object near_;
    int far_ = -1;
    char in_[8] = {};
};
template <class Loop>
using reading_descriptor = reading_terminal<Loop, false>;
template <class Loop>
using reading_serial_port = reading_terminal<Loop, true>;

template <class Loop>
class waiting_for_descriptor {
public:
    waiting_for_descriptor(Loop& l, ending e)
        : ending_(e), counter_(l.context(), ::eventfd(0, EFD_NONBLOCK)) {
        if (e == ending::failure) {
            counter_.close();
        }
    }
    template <class Token>
    auto start(Token&& token) {
        return counter_.async_wait(counter_.wait_read, std::forward<Token>(token));
    }
    void cause() {
        if (ending_ == ending::success) {
            const std::uint64_t one = 1;
            counter_.write_some(asio::buffer(&one, sizeof one));
        } else if (ending_ == ending::cancellation) {
            counter_.cancel();
        }
    }
    bool expects(error_code ec) const {
        return is_expected(ending_, ec, {asio::error::bad_descriptor});
    }

private:
    ending ending_;
    descriptor_of<Loop> counter_;
};

}  // namespace test
