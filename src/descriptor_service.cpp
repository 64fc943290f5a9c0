#include <rung/detail/descriptor_service.hpp>

namespace rung::detail {

void descriptor_service::destroy(implementation_type& d) noexcept {
    error_code ignored;
    close(d, ignored);
}

descriptor_service::error_code descriptor_service::close(implementation_type& d, error_code& ec) {
    ec = {};
    if (is_open(d)) {
        engine::detach(engine(), d.operations);
        // The descriptor is gone even where close reports an error.
        descriptor_ops::close(d.descriptor, d.flags, ec);
        d.descriptor = -1;
        d.flags = 0;
    }
    return ec;
}

descriptor_service::error_code descriptor_service::wait(implementation_type& d, wait_type w,
                                                        error_code& ec) {
    switch (w) {
        case descriptor_base::wait_read:
            descriptor_ops::poll_read(d.descriptor, d.flags, ec);
            break;
        case descriptor_base::wait_write:
            descriptor_ops::poll_write(d.descriptor, d.flags, ec);
            break;
        case descriptor_base::wait_error:
            descriptor_ops::poll_error(d.descriptor, d.flags, ec);
            break;
        default:
            ec = boost::asio::error::invalid_argument;
            break;
    }
    return ec;
}

}  // namespace rung::detail
