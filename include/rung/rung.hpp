#pragma once

#include <rung/all.hpp>
#include <rung/any.hpp>
#include <rung/clock.hpp>
#include <rung/config.hpp>
#include <rung/error.hpp>
#include <rung/executor.hpp>
#include <rung/io_context.hpp>
#include <rung/native.hpp>
#include <rung/operation.hpp>
#include <rung/operation_state.hpp>
#include <rung/priority.hpp>
#include <rung/statistics.hpp>
#include <rung/use_operation.hpp>
