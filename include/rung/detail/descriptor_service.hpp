#pragma once

#include <poll.h>

#include <boost/asio/error.hpp>
#include <boost/asio/posix/descriptor_base.hpp>
#include <rung/detail/io_service.hpp>
#include <rung/detail/transfer_buffers.hpp>
#include <tuple>
#include <type_traits>

namespace rung::detail {

/// Reads. Arguments of its handler: `(error_code, std::size_t)`; the end of the file is `eof`.
template <class Buffers>
class read_core : public io_operation {
public:
    read_core(function_type f, const Buffers& buffers) noexcept
        : io_operation(f, level::normal),
          buffers_(*this, io_kind::read, io_kind::read_vector, buffers) {
        events = POLLIN;
    }
    bool trivial() const noexcept { return buffers_.empty(); }
    std::tuple<boost::system::error_code, std::size_t> take_result() const noexcept {
        if (result == 0 && !buffers_.empty()) {
            return {boost::asio::error::eof, 0};
        }
        return {error(), count()};
    }

private:
    vector_buffers<boost::asio::mutable_buffer, Buffers> buffers_;
};

/// Writes. Arguments of its handler: `(error_code, std::size_t)`.
template <class Buffers>
class write_core : public io_operation {
public:
    write_core(function_type f, const Buffers& buffers) noexcept
        : io_operation(f, level::normal),
          buffers_(*this, io_kind::write, io_kind::write_vector, buffers) {
        events = POLLOUT;
    }
    bool trivial() const noexcept { return buffers_.empty(); }
    std::tuple<boost::system::error_code, std::size_t> take_result() const noexcept {
        return {error(), count()};
    }

private:
    vector_buffers<boost::asio::const_buffer, Buffers> buffers_;
};

/// The native implementation behind Asio's `posix` descriptors and its pipes.
///
/// Members have the names, the arguments and the errors of Asio's own descriptor service. Unlike
/// that, asynchronous operations leave the descriptor's blocking mode as it is.
class descriptor_service : public io_service_base {
    using descriptor_base = boost::asio::posix::descriptor_base;
    using wait_type = descriptor_base::wait_type;

public:
    using implementation_type = io_object_state;

    template <native_executor Executor>
    explicit descriptor_service(const Executor& ex) noexcept
        : io_service_base(executor_access::engine_of(inner_executor(ex))) {}

    void destroy(implementation_type& d) noexcept;
    void move_construct(implementation_type& to, implementation_type& from) noexcept {
        take(to, *this, from);
    }
    void converting_move_construct(implementation_type& to, descriptor_service& from_service,
                                   implementation_type& from) noexcept {
        take(to, from_service, from);
    }
    void move_assign(implementation_type& to, descriptor_service& from_service,
                     implementation_type& from) noexcept {
        destroy(to);
        take(to, from_service, from);
    }

    error_code assign(implementation_type& d, int descriptor, error_code& ec) {
        return adopt(d, descriptor, descriptor_ops::possible_dup, ec);
    }
    error_code close(implementation_type& d, error_code& ec);
    using io_service_base::release;
    native_handle_type release(implementation_type& d) {
        error_code ignored;
        return release(d, ignored);
    }

    template <class Command>
    error_code io_control(implementation_type& d, Command& command, error_code& ec) {
        descriptor_ops::ioctl(d.descriptor, d.flags, command.name(),
                              static_cast<ioctl_arg_type*>(command.data()), ec);
        return ec;
    }
    bool non_blocking(const implementation_type& d) const noexcept {
        return (d.flags & descriptor_ops::user_set_non_blocking) != 0;
    }
    error_code non_blocking(implementation_type& d, bool mode, error_code& ec) {
        descriptor_ops::set_user_non_blocking(d.descriptor, d.flags, mode, ec);
        return ec;
    }
    bool native_non_blocking(const implementation_type& d) const noexcept {
        return (d.flags & descriptor_ops::internal_non_blocking) != 0;
    }
    error_code native_non_blocking(implementation_type& d, bool mode, error_code& ec) {
        descriptor_ops::set_internal_non_blocking(d.descriptor, d.flags, mode, ec);
        return ec;
    }
    error_code wait(implementation_type& d, wait_type w, error_code& ec);

    template <class Buffers>
    std::size_t write_some(implementation_type& d, const Buffers& buffers, error_code& ec) {
        if constexpr (is_null_buffers<Buffers>) {
            wait(d, descriptor_base::wait_write, ec);
            return 0;
        } else {
            buffer_sequence_adapter<boost::asio::const_buffer, Buffers> b(buffers);
            return descriptor_ops::sync_write(d.descriptor, d.flags, b.buffers(), b.count(),
                                              b.all_empty(), ec);
        }
    }
    template <class Buffers>
    std::size_t read_some(implementation_type& d, const Buffers& buffers, error_code& ec) {
        if constexpr (is_null_buffers<Buffers>) {
            wait(d, descriptor_base::wait_read, ec);
            return 0;
        } else {
            buffer_sequence_adapter<boost::asio::mutable_buffer, Buffers> b(buffers);
            return descriptor_ops::sync_read(d.descriptor, d.flags, b.buffers(), b.count(),
                                             b.all_empty(), ec);
        }
    }

    template <class Handler, class IoExecutor>
    void async_wait(implementation_type& d, wait_type w, Handler& handler, const IoExecutor& ex) {
        begin_wait(d, {"descriptor", "async_wait"}, w, handler, ex);
    }
    template <class Buffers, class Handler, class IoExecutor>
    void async_write_some(implementation_type& d, const Buffers& buffers, Handler& handler,
                          const IoExecutor& ex) {
        constexpr operation_name name{"descriptor", "async_write_some"};
        if constexpr (is_null_buffers<Buffers>) {
            begin_wait<null_buffers_core>(d, name, descriptor_base::wait_write, handler, ex);
        } else {
            begin_transfer<write_core<Buffers>>(d, name, handler, ex, buffers);
        }
    }
    template <class Buffers, class Handler, class IoExecutor>
    void async_read_some(implementation_type& d, const Buffers& buffers, Handler& handler,
                         const IoExecutor& ex) {
        constexpr operation_name name{"descriptor", "async_read_some"};
        if constexpr (is_null_buffers<Buffers>) {
            begin_wait<null_buffers_core>(d, name, descriptor_base::wait_read, handler, ex);
        } else {
            begin_transfer<read_core<Buffers>>(d, name, handler, ex, buffers);
        }
    }
};

}  // namespace rung::detail
