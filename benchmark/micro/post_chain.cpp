// A handler that posts itself again: one handler in the queue at any time.
#include "system.hpp"

#include <boost/asio/post.hpp>

namespace micro {
namespace {

constexpr std::int64_t batch = 10'000;

template <class System>
struct link {
    typename System::executor executor;
    std::int64_t* left;
    std::uint64_t* done;

    void operator()() const {
        ++*done;
        if (--*left > 0)
            asio::post(executor, *this);
    }
};

template <class System>
void post_chain(System, benchmark::State& state) {
    typename System::context context{System::alone};
    std::uint64_t done = 0;
    while (state.KeepRunningBatch(batch)) {
        std::int64_t left = batch;
        asio::post(context.get_executor(), link<System>{context.get_executor(), &left, &done});
        context.run();
        context.restart();
    }
    finish(state, done);
}

const bool registered = register_for<systems_alone>(
    "post_chain", [](auto system, auto& state) { post_chain(system, state); });

}  // namespace
}  // namespace micro
