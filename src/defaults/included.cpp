// See rung/detail/defaults.hpp.
extern "C" {
extern const char rung_as_default_included;
extern const char rung_every_file_must_agree_on_as_default;
const char rung_as_default_included = 0;
const char rung_every_file_must_agree_on_as_default = 0;
}
