#pragma once

/// On whose thread stock objects are: that of our loop, or one that Asio keeps for them.

#include <boost/asio/execution_context.hpp>

// Whether stock objects wait in Asio's epoll reactor here, so that our loop can do that for them. With
// handler tracking its operations are larger than the library, which was built without, knows them.
#if defined(BOOST_ASIO_HAS_EPOLL) && !defined(BOOST_ASIO_HAS_IO_URING_AS_DEFAULT) && \
    !defined(BOOST_ASIO_ENABLE_HANDLER_TRACKING) && !defined(BOOST_ASIO_CUSTOM_HANDLER_TRACKING)
#define RUNG_ASIO_USES_EPOLL 1
#else
#define RUNG_ASIO_USES_EPOLL 0
#endif

namespace rung::detail {

/// How the thread ends that Asio keeps; null where there is none.
using guest_thread_end = void (*)(boost::asio::execution_context&);

/// Such an end. Of the program, for which Asio's scheduler may be larger than for the library.
inline void end_guest_thread(boost::asio::execution_context& c);

}  // namespace rung::detail
