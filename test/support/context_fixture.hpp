#pragma once

#include <dirent.h>

#include <boost/asio/post.hpp>
#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <memory>
#include <rung/rung.hpp>

namespace test {

/// How many descriptors the process has open.
inline std::size_t open_descriptors() {
    std::size_t n = 0;
    DIR* const dir = ::opendir("/proc/self/fd");
    while (dir != nullptr && ::readdir(dir) != nullptr) {
        ++n;
    }
    ::closedir(dir);
    return n;
}

/// A context that ends, with the test, without work and without a descriptor left behind.
class context_fixture {
public:
    context_fixture() : context_fixture(rung::io_context_options{}) {}
    explicit context_fixture(const rung::io_context_options& options)
        : descriptors_(open_descriptors()), context_(std::make_unique<rung::io_context>(options)) {}
    ~context_fixture() {
        const rung::statistics s = context_->statistics();
        BOOST_TEST(s.in_flight == 0U);
        BOOST_TEST(s.timers == 0U);
        BOOST_TEST(s.queued[0] + s.queued[1] + s.queued[2] == 0U);
        context_.reset();
        BOOST_TEST(open_descriptors() == descriptors_);
    }
    context_fixture(const context_fixture&) = delete;
    context_fixture& operator=(const context_fixture&) = delete;

    rung::io_context& context() { return *context_; }

private:
    std::size_t descriptors_;
    std::unique_ptr<rung::io_context> context_;
};

}  // namespace test
