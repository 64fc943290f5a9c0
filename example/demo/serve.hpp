#pragma once

#include <functional>

#include "protocol.hpp"

namespace demo {

/// Told where a server listens, once it does.
using listening_function = std::function<void(ports)>;

/// Serves for ever, on the calling thread. Throws what a context or an acceptor throws.
using serve_function = void(ports p, const listening_function& listening);
serve_function serve_on_stock;
serve_function serve_on_rung;

}  // namespace demo
