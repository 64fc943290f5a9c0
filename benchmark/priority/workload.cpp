#include "workload.hpp"

#include "../support/failure.hpp"
#include "../support/options.hpp"

namespace bench {

std::vector<std::string> priority_workload::to_arguments() const {
    return {echo ? "urgent_echo" : "urgent_handler",
            std::to_string(queued),
            std::to_string(handler_us),
            std::to_string(period_us),
            std::to_string(window_ms),
            std::to_string(load_core)};
}

priority_workload priority_workload::from_arguments(const std::vector<std::string>& args) {
    if (args.size() != 6) {
        throw failure("wants the six arguments that bench_priority gives");
    }
    const auto number = [&](std::size_t i) {
        return parse_number("argument", args[i], 0, 1 << 30);
    };
    priority_workload w;
    w.echo = args[0] == "urgent_echo";
    w.queued = number(1);
    w.handler_us = number(2);
    w.period_us = number(3);
    w.window_ms = number(4);
    w.load_core = static_cast<int>(number(5));
    return w;
}

}  // namespace bench
