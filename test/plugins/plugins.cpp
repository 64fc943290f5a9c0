// Shared objects that have the library in them, or share one, are loaded, used and unloaded.

#include <dlfcn.h>
#include <sys/stat.h>

#include <atomic>
#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <memory>
#include <rung/rung.hpp>
#include <string>
#include <thread>
#include <vector>

#include "time_limit.hpp"

namespace {

namespace fs = std::filesystem;

/// A copy of the plug-in, which the loader takes for another one.
class plugin {
public:
    explicit plugin(int number)
        : file_(fs::temp_directory_path() /
                ("rung_plugin_" + std::to_string(::getpid()) + "_" + std::to_string(number))) {
        fs::copy_file(RUNG_TEST_PLUGIN, file_, fs::copy_options::overwrite_existing);
        handle_ = ::dlopen(file_.c_str(), RTLD_NOW | RTLD_LOCAL);
        const char* const error = handle_ == nullptr ? ::dlerror() : nullptr;
        fs::remove(file_);
        BOOST_REQUIRE_MESSAGE(handle_ != nullptr, "plug-in " << number << ": " << error);
    }
    ~plugin() { ::dlclose(handle_); }
    plugin(const plugin&) = delete;
    plugin& operator=(const plugin&) = delete;

    int work(int threads) { return find<int (*)(int)>("plugin_work")(threads); }
    void* await_signal(int n) { return find<void* (*)(int)>("plugin_await_signal")(n); }
    int signal(void* wait) { return find<int (*)(void*)>("plugin_signal")(wait); }

private:
    template <class F>
    F find(const char* name) {
        return reinterpret_cast<F>(::dlsym(handle_, name));
    }
    fs::path file_;
    void* handle_ = nullptr;
};

constexpr int all_of_its_work = 4;

struct fixture : test::time_limit {};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(plugins, fixture)

BOOST_AUTO_TEST_CASE(any_number_of_them_can_be_loaded) {
    std::vector<std::unique_ptr<plugin>> all;
    for (int i = 0; i < 24; ++i) {
        all.push_back(std::make_unique<plugin>(i));
        BOOST_TEST(all.back()->work(1 + i % 2) == all_of_its_work);
    }
    // Beside the program's own.
    rung::io_context context;
    bool ran = false;
    boost::asio::post(context, [&] { ran = true; });
    context.run();
    BOOST_TEST(ran);
}

BOOST_AUTO_TEST_CASE(one_is_loaded_again) {
    for (int i = 0; i < 5; ++i) {
        plugin p(0);
        BOOST_TEST(p.work(2) == all_of_its_work);
    }
}

BOOST_AUTO_TEST_CASE(a_thread_that_has_used_one_ends_after_it_was_unloaded) {
    for (int i = 0; i < 3; ++i) {
        auto p = std::make_unique<plugin>(i);
        std::atomic<bool> used{false};
        std::atomic<bool> unloaded{false};
        std::thread user([&] {
            BOOST_TEST(p->work(1) == all_of_its_work);
            used = true;
            used.notify_one();
            unloaded.wait(false);
        });
        used.wait(false);
        p.reset();
        unloaded = true;
        unloaded.notify_one();
        user.join();
    }
}

BOOST_AUTO_TEST_CASE(each_gets_the_signals_that_it_waits_for) {
    plugin first(1);
    plugin second(2);
    void* const one = first.await_signal(SIGUSR1);
    void* const two = second.await_signal(SIGUSR2);
    std::raise(SIGUSR2);
    std::raise(SIGUSR1);
    BOOST_TEST(second.signal(two) == SIGUSR2);
    BOOST_TEST(first.signal(one) == SIGUSR1);
}

BOOST_AUTO_TEST_SUITE_END()
