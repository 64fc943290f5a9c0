set(RUNG_CHECK_DEFAULTS ${CMAKE_CURRENT_LIST_DIR}/check-defaults.sh CACHE INTERNAL "")

# rung_use_as_default(TARGET): compiles every file of TARGET with rung/as_default.hpp, and refuses to
# link or to archive it where one of its objects uses Asio without.
function(rung_use_as_default target)
    target_compile_options(${target} PRIVATE
        "$<$<COMPILE_LANGUAGE:CXX>:SHELL:-include rung/as_default.hpp>")
    target_link_libraries(${target} PRIVATE rung::rung)
    add_custom_command(TARGET ${target} PRE_LINK
        COMMAND sh ${RUNG_CHECK_DEFAULTS} ${CMAKE_NM} $<TARGET_OBJECTS:${target}>
        COMMAND_EXPAND_LISTS VERBATIM)
endfunction()
