#pragma once

// What a test of fibers begins with: the headers, and the names that it uses without saying whose
// they are.

#include <boost/asio.hpp>
#include <boost/system/system_error.hpp>
#include <chrono>
#include <rung/rung.hpp>

#include "contexts.hpp"
#include "thread_group.hpp"
#include "time_limit.hpp"

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using boost::system::system_error;
using rung::use_fiber;
