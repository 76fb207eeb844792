# drey_flags: what every target of this repository is compiled with.
add_library(drey_flags INTERFACE)
target_compile_options(drey_flags INTERFACE
  -Wall -Wextra -Wconversion -Wshadow -Wno-sign-conversion -fno-omit-frame-pointer
  $<$<BOOL:${DREY_WERROR}>:-Werror>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")  # g++ 12 warns of std::variant and std::optional at -O2
  target_compile_options(drey_flags INTERFACE -Wno-maybe-uninitialized)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND NOT DREY_CCACHE)
  # g++ collects garbage from 128 MiB on: a fifth of the time of the large files, which then take a quarter less memory.
  target_compile_options(drey_flags INTERFACE --param=ggc-min-heapsize=262144)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  target_compile_options(drey_flags INTERFACE -Wthread-safety)
endif()
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  target_compile_options(drey_flags INTERFACE -march=x86-64-v3)
endif()
if(DREY_SANITIZE)
  target_compile_options(drey_flags INTERFACE -fsanitize=${DREY_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(drey_flags INTERFACE -fsanitize=${DREY_SANITIZE})
  if(DREY_SANITIZE MATCHES "thread")
    # ThreadSanitizer does not know fences. Asio's order its handlers a second time: its mutexes do already.
    target_compile_definitions(drey_flags INTERFACE BOOST_ASIO_DISABLE_FENCED_BLOCK)
  endif()
endif()
if(DREY_FUZZ)
  target_compile_options(drey_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
find_program(DREY_MOLD mold)
if(DREY_MOLD)
  target_link_options(drey_flags INTERFACE -fuse-ld=mold)
endif()
