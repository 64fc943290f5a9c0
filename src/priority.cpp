#include <boost/asio/query.hpp>
#include <boost/asio/require.hpp>
#include <boost/asio/strand.hpp>
#include <rung/io_context.hpp>
#include <rung/priority.hpp>

namespace rung {

namespace {

using boost::asio::any_io_executor;
using boost::asio::strand;

/// The property applied to what `ex` holds, where that is one of ours.
template <class Property>
any_io_executor reach_inside(const any_io_executor& ex, const Property& p) {
    if (const auto* const plain = ex.target<executor>()) {
        return boost::asio::require(*plain, p);
    }
    if (const auto* const in_strand = ex.target<strand<executor>>()) {
        return boost::asio::require(*in_strand, p);
    }
    if (const auto* const in_strand = ex.target<strand<any_io_executor>>()) {
        return boost::asio::prefer(*in_strand, p);
    }
    return ex;
}

template <class Property>
Property ask_inside(const any_io_executor& ex) noexcept {
    if (const auto* const plain = ex.target<executor>()) {
        return boost::asio::query(*plain, Property());
    }
    if (const auto* const in_strand = ex.target<strand<executor>>()) {
        return boost::asio::query(*in_strand, Property());
    }
    if (const auto* const in_strand = ex.target<strand<any_io_executor>>()) {
        return ask_inside<Property>(in_strand->get_inner_executor());
    }
    return {};
}

}  // namespace

any_io_executor priority::prefer_inside(const any_io_executor& ex, const priority& p) {
    return reach_inside(ex, p);
}

any_io_executor io_priority::prefer_inside(const any_io_executor& ex, const io_priority& p) {
    return reach_inside(ex, p);
}

priority priority::query_inside(const any_io_executor& ex) noexcept {
    return ask_inside<priority>(ex);
}

io_priority io_priority::query_inside(const any_io_executor& ex) noexcept {
    return ask_inside<io_priority>(ex);
}

}  // namespace rung
