#pragma once

#include <unistd.h>

namespace test {

/// Kills the program if the test takes longer than any test may: for tests that would hang where
/// they fail.
class time_limit {
public:
    time_limit() { ::alarm(limit_s); }
    ~time_limit() { ::alarm(0); }
    time_limit(const time_limit&) = delete;
    time_limit& operator=(const time_limit&) = delete;

private:
    static constexpr unsigned limit_s = 50;
};

}  // namespace test
