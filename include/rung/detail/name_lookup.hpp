#pragma once

#include <netdb.h>
#include <sys/socket.h>

#include <boost/system/error_code.hpp>
#include <memory>
#include <rung/detail/cancel_link.hpp>
#include <string>
#include <utility>

namespace rung::detail {

class lookup_operation;

/// A question to the resolver of the C library, and its answer.
///
/// It is apart from the operation that asks, so that the handler need not wait for the answer where
/// the lookup is cancelled. Whoever works on it has it to himself.
struct name_question {
    name_question(std::string host_name, std::string service_name, const addrinfo& wanted);
    name_question(const void* address_bytes, socklen_t address_size, int socket_type) noexcept;
    ~name_question();
    name_question(const name_question&) = delete;
    name_question& operator=(const name_question&) = delete;

    /// Finds the answer, waiting for files and servers as long as it takes.
    void answer() noexcept;
    /// Whether `answer()` would not wait: an address as text, and a number for the port.
    bool is_numeric() const noexcept;
    /// The same question, though another thread may have been at work on this one.
    std::shared_ptr<name_question> repeat() const;

    bool reverse;  // asks for the names of an address
    std::string host;
    std::string service;
    addrinfo hints{};
    addrinfo* addresses = nullptr;  // owned
    sockaddr_storage address{};
    socklen_t size = 0;
    int type = 0;
    boost::system::error_code error;

    // Guarded by the lock of the context's lookups.
    lookup_operation* asker = nullptr;    // null: nobody wants to know any more
    std::shared_ptr<name_question> next;  // in the queue for a helper thread
};

/// The lookups under way of one resolver. Guarded by the lock of the context's lookups.
class lookup_list {
public:
    lookup_list() = default;
    lookup_list(const lookup_list&) = delete;
    lookup_list& operator=(const lookup_list&) = delete;

    lookup_operation* front = nullptr;
};

/// A lookup that has a handler.
class lookup_operation : public linked_operation {
public:
    /// Frees what the result owns, for a handler that will not be called.
    void abandon() noexcept {}

    std::shared_ptr<name_question> question;  // null: cancelled
    lookup_operation** before = nullptr;
    lookup_operation* after = nullptr;

protected:
    template <class... Args>
    lookup_operation(function_type f, Args&&... args)
        : linked_operation(f, level::normal),
          question(std::make_shared<name_question>(std::forward<Args>(args)...)) {}
};

/// The lookups of a context. Every function may be called on any thread.
namespace lookups {

/// To be called for each resolver. Throws `std::bad_alloc`.
void prepare(scheduler& s);
/// Begins a lookup. It completes once, through the run queue.
void start(scheduler& s, lookup_list& list, lookup_operation* op, cancel_link* link) noexcept;
/// Ends every lookup on the list with `operation_aborted`.
void cancel_all(scheduler& s, lookup_list& list) noexcept;
void move(scheduler& s, lookup_list& to, lookup_list& from) noexcept;
/// Ends the lookup behind a slot handler, if it is still there.
void cancel(cancel_link& link) noexcept;
/// Ends the tie between a slot handler and its lookup.
void unlink(cancel_link& link) noexcept;

}  // namespace lookups

}  // namespace rung::detail
