// The test framework itself, compiled once for all test programs. Its header-only form, because
// then the framework is of the same Boost and the same sanitizer as the tests.
#define BOOST_TEST_MODULE rung
#include <boost/test/included/unit_test.hpp>
