#include <boost/system/error_code.hpp>
#include <boost/test/unit_test.hpp>
#include <rung/error.hpp>
#include <set>
#include <string>

namespace {

constexpr rung::error all[] = {rung::error::abandoned, rung::error::wrong_thread,
                               rung::error::forked, rung::error::bad_option,
                               rung::error::backend_unavailable};

}  // namespace

BOOST_AUTO_TEST_CASE(an_error_becomes_an_error_code_of_the_rung_category) {
    for (const rung::error e : all) {
        const boost::system::error_code code = e;
        BOOST_TEST(code.failed());
        BOOST_TEST((code.category() == rung::error_category()));
        BOOST_TEST(code.value() == static_cast<int>(e));
        BOOST_TEST((code == e));
        BOOST_TEST(code.category().name() == std::string("rung"));
    }
}

BOOST_AUTO_TEST_CASE(every_error_has_a_message_of_its_own) {
    std::set<std::string> messages;
    for (const rung::error e : all) {
        const std::string message = make_error_code(e).message();
        BOOST_TEST(!message.empty());
        BOOST_TEST(message.find("unknown") == std::string::npos);
        messages.insert(message);
    }
    BOOST_TEST(messages.size() == std::size(all));
}

BOOST_AUTO_TEST_CASE(a_value_that_is_no_error_says_so) {
    BOOST_TEST(rung::error_category().message(12'345).find("unknown") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(errors_of_other_categories_are_not_equal) {
    const boost::system::error_code code = rung::error::abandoned;
    const boost::system::error_code other(static_cast<int>(rung::error::abandoned),
                                          boost::system::system_category());
    BOOST_TEST((code != other));
    BOOST_TEST((code != rung::error::bad_option));
}

BOOST_AUTO_TEST_CASE(a_system_error_carries_code_and_message) {
    const boost::system::system_error e(rung::error::wrong_thread, "context");
    BOOST_TEST((e.code() == rung::error::wrong_thread));
    BOOST_TEST(std::string(e.what()).find("context") != std::string::npos);
}
