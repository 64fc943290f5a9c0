#include <rung/error.hpp>
#include <string>

namespace rung {

namespace {

class category final : public boost::system::error_category {
public:
    const char* name() const noexcept override { return "rung"; }
    std::string message(int value) const override {
        switch (static_cast<error>(value)) {
            case error::abandoned:
                return "the operation's producer went away without finishing it";
            case error::wrong_thread:
                return "the context was made for one thread (concurrency hint 1) and another runs "
                       "it";
            case error::forked:
                return "the context belongs to the process that forked this one";
            case error::bad_option:
                return "an option of the context cannot be used";
            case error::backend_unavailable:
                return "the backend is not available";
            case error::exception:
                return "the operation's producer threw an exception";
            case error::stack_limit:
                return "the stack pool has as many stacks as its limit allows";
            case error::bad_peer:
                return "the process at the other end sent what cannot be right";
        }
        return "unknown rung error";
    }
};

}  // namespace

const boost::system::error_category& error_category() noexcept {
    static const category instance;
    return instance;
}

}  // namespace rung
