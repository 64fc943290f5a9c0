#pragma once

namespace rung {

/// Has the process say which fiber overflowed its stack before that kills it.
///
/// Installs a handler of SIGSEGV and SIGBUS, which writes the fiber's name, the size of its stack
/// and what to change to standard error, and then lets the handler that was there before (or the
/// default, and with it a core dump) have the signal. Faults elsewhere go to that at once. Each
/// thread that runs fibers gets an alternative signal stack when it starts its first one after this
/// call, unless it has one. Works where stacks have guard pages. Thread-safety: safe. Throws
/// `system_error` if a handler cannot be installed. Calling it again does nothing.
///
/// Example: `rung::report_stack_overflows();` at the beginning of `main`.
void report_stack_overflows();

}  // namespace rung
