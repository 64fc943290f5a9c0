/// What ThreadSanitizer is to leave out, since it cannot see into the standard library's binary.

extern "C" const char* __tsan_default_suppressions();

extern "C" const char* __tsan_default_suppressions() {
    // The reference count of an exception orders its last reader before its destruction, but is
    // changed inside libstdc++.so, which is not instrumented.
    return "race:std::__exception_ptr::exception_ptr::_M_release\n";
}
