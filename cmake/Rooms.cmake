# room(): one directory of src/ as one static library with a rank.
#
#   room(NAME data RANK 2 DEPS base wire [LIBS PkgConfig::XXHASH ...])
#
# Sources are all *.cc of the directory tree except *_test.cc; tests go into the target <name>_test. Each *_fuzz.cc is a
# libFuzzer program when DREY_FUZZ is on (preset fuzz), and a second one with the planted fault of tests/fuzz/fuzz.h.
# The fence: a dependency must be declared earlier and have a lower rank, and a room is compiled with
# only the include roots of its closure, so that an undeclared `#include "other/x.h"` does not compile.
# Each room's include root is a directory that holds one link, named after the room.

# What nearly every file includes, compiled once: for rooms by room base, for test programs by base_test, for executables
# each by itself. Only without ccache, which cannot keep what uses it; builds with ccache notice a missing #include.
set(DREY_PRECOMPILED <algorithm> <array> <atomic> <charconv> <chrono> <condition_variable> <cstdint> <cstring> <deque>
  <functional> <map> <memory> <mutex> <optional> <set> <span> <string> <string_view> <type_traits> <unordered_map> <utility>
  <variant> <vector> <fmt/format.h> <base/id.h> <base/status.h> <base/time.h>)
function(drey_precompiled target)  # [OWNER target] [HEADERS more...]
  cmake_parse_arguments(P "" "OWNER" "HEADERS" ${ARGN})
  if(DREY_CCACHE OR NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    return()
  endif()
  if(P_OWNER AND NOT P_OWNER STREQUAL target)
    target_precompile_headers(${target} REUSE_FROM ${P_OWNER})
  else()
    target_precompile_headers(${target} PRIVATE ${DREY_PRECOMPILED} ${P_HEADERS})
  endif()
endfunction()

define_property(TARGET PROPERTY DREY_RANK BRIEF_DOCS "rank of a room" FULL_DOCS "edges go down in rank")

function(room)
  cmake_parse_arguments(R "" "NAME;RANK" "DEPS;LIBS;TEST_DEPS" ${ARGN})
  set(target drey_${R_NAME})
  foreach(dep IN LISTS R_DEPS)
    if(NOT TARGET drey_${dep})
      message(FATAL_ERROR "room ${R_NAME} depends on room ${dep}, which is not declared above it")
    endif()
    get_target_property(dep_rank drey_${dep} DREY_RANK)
    if(NOT dep_rank LESS R_RANK)
      message(FATAL_ERROR "room ${R_NAME} (rank ${R_RANK}) may not depend on ${dep} (rank ${dep_rank})")
    endif()
  endforeach()

  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${R_NAME}/*.cc)
  set(tests ${sources})
  set(fuzzers ${sources})
  list(FILTER fuzzers INCLUDE REGEX "_fuzz\\.cc$")
  list(FILTER sources EXCLUDE REGEX "_(test|fuzz|main)\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")

  set(root ${CMAKE_BINARY_DIR}/rooms/${R_NAME})
  file(MAKE_DIRECTORY ${root})
  file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR}/${R_NAME} ${root}/${R_NAME} SYMBOLIC)

  file(GLOB_RECURSE headers CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${R_NAME}/*.h)
  list(TRANSFORM headers REPLACE "^${CMAKE_CURRENT_SOURCE_DIR}/" "${root}/")
  if(sources)
    add_library(${target} STATIC ${sources})
    drey_precompiled(${target} OWNER drey_base)
    set(scope PUBLIC)
  else()
    add_library(${target} INTERFACE)
    set(scope INTERFACE)
  endif()
  set_target_properties(${target} PROPERTIES DREY_RANK ${R_RANK})
  # The base of the header set is the include root; with CMAKE_VERIFY_INTERFACE_HEADER_SETS each header compiles alone.
  target_sources(${target} ${scope} FILE_SET HEADERS BASE_DIRS ${root} FILES ${headers})
  target_link_libraries(${target} ${scope} drey_flags)
  foreach(dep IN LISTS R_DEPS)
    target_link_libraries(${target} ${scope} drey_${dep})
  endforeach()
  if(R_LIBS)
    target_link_libraries(${target} ${scope} ${R_LIBS})
  endif()
  if(DREY_FUZZ)
    foreach(fuzzer IN LISTS fuzzers)
      drey_fuzz(${fuzzer} ${target})
    endforeach()
  endif()
  if(tests AND DREY_TESTS)
    drey_test(${R_NAME}_test SOURCES ${tests} LIBS ${target})
    drey_precompiled(${R_NAME}_test OWNER base_test HEADERS <gmock/gmock.h> <gtest/gtest.h>)
    foreach(dep IN LISTS R_TEST_DEPS)
      target_link_libraries(${R_NAME}_test PRIVATE drey_${dep})
    endforeach()
  endif()
endfunction()

# drey_test(name SOURCES ... LIBS ...): a GoogleTest program under bin/tests, run as one ctest entry.
add_custom_target(drey_tests)           # every test program
add_custom_target(drey_threaded_tests)  # those of rooms that have threads, for ThreadSanitizer
set(DREY_THREADED cluster_test env_test net_test rest_test runtime_test)

function(drey_test name)
  cmake_parse_arguments(T "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${T_SOURCES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin/tests)
  target_link_libraries(${name} PRIVATE ${T_LIBS} GTest::gmock GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE
    DREY_SOURCE_DIR="${CMAKE_SOURCE_DIR}" DREY_BINARY_DIR="${CMAKE_BINARY_DIR}")
  add_dependencies(drey_tests ${name})
  if(name IN_LIST DREY_THREADED)
    add_dependencies(drey_threaded_tests ${name})
  endif()
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES TIMEOUT 600)
endfunction()

# Two programs under bin/fuzz: <name>_fuzz and <name>_fuzz_canary.
add_custom_target(drey_fuzzers)
function(drey_fuzz source room)
  get_filename_component(name ${source} NAME_WE)
  foreach(program ${name} ${name}_canary)
    add_executable(${program} ${source})
    set_target_properties(${program} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin/fuzz)
    target_include_directories(${program} PRIVATE ${CMAKE_SOURCE_DIR}/tests/fuzz)
    target_link_libraries(${program} PRIVATE ${room})
    target_link_options(${program} PRIVATE -fsanitize=fuzzer)
    add_dependencies(drey_fuzzers ${program})
  endforeach()
  target_compile_definitions(${name}_canary PRIVATE DREY_CANARY)
endfunction()
