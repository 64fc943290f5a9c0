#pragma once

/// A mark in every file that includes rung: which executor Asio's class templates have by default.
///
/// The library defines each of the two symbols in an archive member of its own, and with either
/// `rung_every_file_must_agree_on_as_default`. So a program whose files disagree gets both members
/// and does not link. A file whose types nobody shares may leave the mark out.
#if !defined(RUNG_NO_DEFAULTS_CHECK)
#if defined(RUNG_AS_DEFAULT)
extern "C" const char rung_as_default_included;
#else
extern "C" const char rung_as_default_not_included;
#endif

namespace rung::detail {
#if defined(RUNG_AS_DEFAULT)
[[gnu::used]] static const char* const defaults_of_this_file = &rung_as_default_included;
#else
[[gnu::used]] static const char* const defaults_of_this_file = &rung_as_default_not_included;
#endif
}  // namespace rung::detail
#endif
