#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "../failure.hpp"
#include "../histogram.hpp"
#include "../options.hpp"
#include "../report.hpp"
#include "../rounds.hpp"
#include "../series.hpp"
#include "../spread.hpp"

BOOST_AUTO_TEST_SUITE(benchmark_support)

BOOST_AUTO_TEST_CASE(an_empty_histogram_has_zero_quantiles) {
    const bench::histogram h;
    BOOST_TEST(h.count() == 0u);
    BOOST_TEST(h.max() == 0u);
    BOOST_TEST(h.quantile(0.5) == 0u);
}

BOOST_AUTO_TEST_CASE(a_single_value_is_every_quantile_within_half_a_percent) {
    for (std::uint64_t value = 1; value < bench::histogram::limit; value += value / 3 + 1) {
        bench::histogram h;
        h.record(value);
        for (const double fraction : {0.0, 0.5, 0.999, 1.0}) {
            const double error =
                std::abs(static_cast<double>(h.quantile(fraction)) - static_cast<double>(value));
            BOOST_TEST_INFO("value " << value << " fraction " << fraction);
            BOOST_TEST(error <= 0.005 * static_cast<double>(value));
        }
    }
}

BOOST_AUTO_TEST_CASE(quantiles_of_a_uniform_range_are_where_they_should_be) {
    bench::histogram h;
    for (std::uint64_t value = 1; value <= 100'000; ++value) {
        h.record(value);
    }
    BOOST_TEST(static_cast<double>(h.quantile(0.5)) == 50'000.0,
               boost::test_tools::tolerance(0.005));
    BOOST_TEST(static_cast<double>(h.quantile(0.99)) == 99'000.0,
               boost::test_tools::tolerance(0.005));
    BOOST_TEST(h.quantile(0.0) == 1u);
    BOOST_TEST(h.max() == 100'000u);
}

BOOST_AUTO_TEST_CASE(small_values_are_exact_and_a_rank_is_rounded_up) {
    bench::histogram h;
    for (const std::uint64_t value : {1, 2, 3, 255}) {
        h.record(value);
    }
    BOOST_TEST(h.quantile(0.25) == 1u);
    BOOST_TEST(h.quantile(0.26) == 2u);
    BOOST_TEST(h.quantile(0.75) == 3u);
    BOOST_TEST(h.quantile(0.76) == 255u);
}

BOOST_AUTO_TEST_CASE(values_beyond_the_limit_are_counted_and_the_maximum_is_exact) {
    bench::histogram h;
    h.record(std::numeric_limits<std::uint64_t>::max());
    BOOST_TEST(h.count() == 1u);
    BOOST_TEST(h.max() == std::numeric_limits<std::uint64_t>::max());
    BOOST_TEST(h.quantile(1.0) > bench::histogram::limit / 2);
}

BOOST_AUTO_TEST_CASE(merged_histograms_count_together_and_reset_forgets) {
    bench::histogram a;
    bench::histogram b;
    a.record(10);
    b.record(20);
    a.merge(b);
    BOOST_TEST(a.count() == 2u);
    BOOST_TEST(a.quantile(0.5) == 10u);
    BOOST_TEST(a.max() == 20u);
    a.reset();
    BOOST_TEST(a.count() == 0u);
    BOOST_TEST(a.max() == 0u);
}

BOOST_AUTO_TEST_CASE(a_spread_interpolates_between_values) {
    const bench::spread s = bench::spread_of({4, 1, 3, 2});
    BOOST_TEST(s.q1 == 1.75);
    BOOST_TEST(s.median == 2.5);
    BOOST_TEST(s.q3 == 3.25);
    BOOST_TEST(bench::spread_of({}).median == 0);
    BOOST_TEST(bench::spread_of({7}).q3 == 7);
}

BOOST_AUTO_TEST_CASE(ratios_are_taken_round_by_round) {
    struct sample {
        double speed;
    };
    struct series {
        std::string system;
        std::vector<sample> rounds;
    };
    const std::vector<series> all = {{"base", {{1}, {10}, {100}}}, {"other", {{2}, {20}, {200}}}};
    const series* base = bench::find_series(all, "base");
    BOOST_REQUIRE(base != nullptr);
    BOOST_TEST(bench::find_series(all, "none") == nullptr);
    const bench::spread ratio = bench::ratio_over_rounds(base, all[1], &sample::speed);
    BOOST_TEST(ratio.q1 == 2);
    BOOST_TEST(ratio.q3 == 2);
}

BOOST_AUTO_TEST_CASE(numbers_outside_their_range_or_with_rubbish_are_refused) {
    BOOST_TEST(bench::parse_number("--n", "12", 1, 20) == 12u);
    for (const char* text :
         {"", "0", "21", "-1", "+1", "1x", " 1", "1.5", "99999999999999999999"}) {
        BOOST_TEST_INFO("'" << text << "'");
        BOOST_CHECK_THROW(bench::parse_number("--n", text, 1, 20), bench::failure);
    }
}

BOOST_AUTO_TEST_CASE(lists_are_split_at_commas_and_empty_items_are_refused) {
    const std::vector<std::size_t> expected = {1, 32, 256};
    BOOST_TEST(bench::parse_numbers("--n", "1,32,256", 1, 1000) == expected);
    for (const char* text : {"", ",", "1,", ",1", "1,,2"}) {
        BOOST_TEST_INFO("'" << text << "'");
        BOOST_CHECK_THROW(bench::split_list("--n", text), bench::failure);
    }
}

BOOST_AUTO_TEST_CASE(options_are_found_in_both_spellings_and_nothing_is_ignored) {
    bench::run_options options;
    bench::option_parser parser("program", "purpose");
    bench::add_run_options(parser, options);
    const auto parse = [&](std::vector<const char*> arguments) {
        arguments.insert(arguments.begin(), "program");
        return parser.parse(static_cast<int>(arguments.size()), arguments.data());
    };
    BOOST_TEST(parse({"--quick", "--json", "out.json", "--rounds=3", "--systems", "a,b"}));
    BOOST_TEST(options.quick);
    BOOST_TEST(options.json_path == "out.json");
    BOOST_TEST(options.rounds == 3u);
    BOOST_TEST(options.systems == (std::vector<std::string>{"a", "b"}),
               boost::test_tools::per_element());
    BOOST_CHECK_THROW(parse({"--unknown"}), bench::failure);
    BOOST_CHECK_THROW(parse({"stray"}), bench::failure);
    BOOST_CHECK_THROW(parse({"--json"}), bench::failure);
    BOOST_CHECK_THROW(parse({"--json", ""}), bench::failure);
    BOOST_CHECK_THROW(parse({"--quick=yes"}), bench::failure);
    BOOST_CHECK_THROW(parse({"--rounds", "0"}), bench::failure);
}

BOOST_AUTO_TEST_CASE(systems_are_chosen_by_name_by_default_or_all) {
    const std::vector<bench::system> known = {
        {"a", "p", true}, {"b", "p", false}, {"c", "p", true}};
    const auto names = [&](const bench::run_options& options) {
        std::string text;
        for (const bench::system& s : bench::choose_systems(known, options)) {
            text += s.name;
        }
        return text;
    };
    bench::run_options options;
    BOOST_TEST(names(options) == "ac");
    options.systems = {"b", "a"};
    BOOST_TEST(names(options) == "ab");
    options.systems = {"all"};
    BOOST_TEST(names(options) == "abc");
    options.systems = {"a", "d"};
    BOOST_CHECK_THROW(names(options), bench::failure);
}

BOOST_AUTO_TEST_CASE(a_json_row_escapes_strings_and_has_no_word_for_infinity) {
    bench::json_row row;
    row.add("text", "a\"b\\c\n").add("whole", 3u).add("part", 0.25).add("none", 1.0 / 0.0);
    BOOST_TEST(row.text() ==
               R"({"text": "a\"b\\c\u000a", "whole": 3, "part": 0.25, "none": null})");
}

BOOST_AUTO_TEST_CASE(numbers_are_printed_for_people) {
    BOOST_TEST(bench::format_number(0.5) == "0.50");
    BOOST_TEST(bench::format_number(12.34) == "12.3");
    BOOST_TEST(bench::format_number(123) == "123");
    BOOST_TEST(bench::format_number(1234567) == "1,234,567");
}

BOOST_AUTO_TEST_SUITE_END()
