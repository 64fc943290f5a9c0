// Services of a program's own, which Asio's contexts keep, and ours as well.

#include <algorithm>
#include <array>
#include <boost/asio.hpp>
#include <boost/test/unit_test.hpp>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "contexts.hpp"

namespace asio = boost::asio;
using boost::test_tools::per_element;

namespace {

/// As Asio's documentation has it: the base inside the context, and the context to the constructor.
template <class Context>
struct with_context : Context::service {
    static inline typename Context::id id;
    explicit with_context(Context& c) : Context::service(c) {}
    Context& owner() { return this->get_io_context(); }
};

/// Over the general base, which takes any context; this one is for one kind.
template <class Context>
struct general final : asio::execution_context::service {
    static inline asio::execution_context::id id;
    explicit general(Context& c)
        : service(c), owner(c), base(asio::use_service<with_context<Context>>(c)) {}
    void shutdown() override {}
    Context& owner;
    with_context<Context>& base;
};

/// For any context, with an argument, and known by its type.
struct named : asio::execution_context::service {
    using key_type = named;
    static inline asio::execution_context::id id;
    explicit named(asio::execution_context& c, std::string n = "unnamed")
        : service(c), name(std::move(n)) {}
    void shutdown() override {}
    std::string name;
};

/// Notes what happens to it.
template <class Context, int Number>
struct noting : Context::service {
    static inline typename Context::id id;
    static inline std::vector<std::string>* notes = nullptr;
    explicit noting(Context& c) : Context::service(c) {}
    ~noting() override { note("end"); }
    void note(const char* what) const { notes->push_back(what + std::to_string(Number)); }
    void shutdown() override { note("shutdown"); }
    void notify_fork(asio::execution_context::fork_event event) override {
        note(event == asio::execution_context::fork_prepare ? "prepare" : "parent");
    }
};

template <class Context>
struct failing : Context::service {
    static inline typename Context::id id;
    explicit failing(Context& c) : Context::service(c) { throw std::runtime_error("no"); }
};

#if RUNG_ASIO_HAS_DEPRECATED
template <class Context>
struct older : Context::service {
    static inline typename Context::id id;
    older(Context& c) : Context::service(c) {}
    void shutdown_service() override { ++*calls; }
    void fork_service(asio::execution_context::fork_event) override { ++*calls; }
    int* calls = nullptr;
};
#endif

}  // namespace

BOOST_AUTO_TEST_SUITE(context_services)

BOOST_AUTO_TEST_CASE_TEMPLATE(a_service_is_made_with_its_context, Context, test::contexts) {
    using base = std::conditional_t<std::is_base_of_v<rung::io_context, Context>, rung::io_context,
                                    asio::io_context>;
    Context context;
    base& c = context;
    BOOST_TEST(!asio::has_service<with_context<base>>(context));
    auto& made = asio::use_service<with_context<base>>(context);
    BOOST_TEST(asio::has_service<with_context<base>>(context));
    BOOST_TEST(&made.owner() == &c);
    BOOST_TEST(&made.context() == &context);
    BOOST_TEST(&asio::use_service<with_context<base>>(c) == &made);

    auto& other = asio::use_service<general<base>>(context);
    BOOST_TEST(&other.owner == &c);
    BOOST_TEST(&other.base == &made);
    BOOST_TEST(&asio::use_service<general<base>>(context) == &other);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_service_may_be_made_or_added_by_the_program, Context,
                              test::shared_contexts) {
    Context context;
    auto& made = asio::make_service<named>(context, "made");
    BOOST_TEST(made.name == "made");
    BOOST_TEST(&asio::use_service<named>(context) == &made);
    BOOST_TEST(&asio::use_service<named>(static_cast<asio::execution_context&>(context)) == &made);
    BOOST_CHECK_THROW(asio::make_service<named>(context), asio::service_already_exists);

    auto* const added = new with_context<Context>(context);
    asio::add_service(context, added);
    BOOST_TEST(asio::has_service<with_context<Context>>(context));
    BOOST_TEST(&asio::use_service<with_context<Context>>(context) == added);
    auto* const twice = new general<Context>(context);
    asio::add_service(context, twice);
    BOOST_TEST(&asio::use_service<general<Context>>(context) == twice);

    Context another;
    BOOST_TEST(!asio::has_service<named>(another));
    auto foreign = std::make_unique<with_context<Context>>(context);
    BOOST_CHECK_THROW(asio::add_service(another, foreign.get()), asio::invalid_service_owner);
    BOOST_TEST(asio::use_service<named>(another).name == "unnamed");
}

BOOST_AUTO_TEST_CASE_TEMPLATE(services_are_told_of_forks_and_end_latest_first, Context,
                              test::shared_contexts) {
    using first = noting<Context, 1>;
    using second = noting<Context, 2>;
    std::vector<std::string> notes;
    first::notes = second::notes = &notes;
    {
        Context context;
        asio::use_service<first>(context);
        asio::use_service<second>(context);
        context.notify_fork(asio::execution_context::fork_prepare);
        context.notify_fork(asio::execution_context::fork_parent);
    }
    const std::vector<std::string> expected{"prepare2",  "prepare1",  "parent1", "parent2",
                                            "shutdown2", "shutdown1", "end2",    "end1"};
    BOOST_TEST(notes == expected, per_element());
}

BOOST_AUTO_TEST_CASE_TEMPLATE(threads_that_meet_at_a_service_get_the_same, Context,
                              test::shared_contexts) {
    Context context;
    std::array<with_context<Context>*, 4> got{};
    std::vector<std::thread> threads;
    for (auto& g : got) {
        threads.emplace_back([&] { g = &asio::use_service<with_context<Context>>(context); });
    }
    for (std::thread& t : threads) {
        t.join();
    }
    BOOST_TEST(std::count(got.begin(), got.end(), got[0]) == 4);
}

BOOST_AUTO_TEST_CASE_TEMPLATE(a_service_that_cannot_be_made_is_not_there, Context,
                              test::shared_contexts) {
    Context context;
    BOOST_CHECK_THROW(asio::use_service<failing<Context>>(context), std::runtime_error);
    BOOST_TEST(!asio::has_service<failing<Context>>(context));
}

#if RUNG_ASIO_HAS_DEPRECATED

BOOST_AUTO_TEST_CASE_TEMPLATE(the_older_names_of_what_services_override_are_called, Context,
                              test::shared_contexts) {
    int calls = 0;
    {
        Context context;
        asio::use_service<older<Context>>(context).calls = &calls;
        context.notify_fork(asio::execution_context::fork_prepare);
        context.notify_fork(asio::execution_context::fork_parent);
        BOOST_TEST(calls == 2);
    }
    BOOST_TEST(calls == 3);
}

#endif

BOOST_AUTO_TEST_SUITE_END()
