#pragma once

#include <rung/clock.hpp>
#include <rung/config.hpp>
#include <rung/error.hpp>
#include <rung/executor.hpp>
#include <rung/io_context.hpp>
#include <rung/native.hpp>
#include <rung/priority.hpp>
#include <rung/statistics.hpp>
