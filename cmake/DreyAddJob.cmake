# drey_add_job(NAME SOURCES a.cc ... ENTRY job [OUTPUT_DIRECTORY dir] [PLAIN])
#
# Builds a job's shared object against Drey's headers and packs it as NAME.jar: META-INF/MANIFEST.MF with the entry (the
# name given to DREY_JOB), lib/<arch>/NAME.so. The target NAME_jar makes the jar and is built by default.
# <drey/datastream.h> is compiled once for all later builds of the job, unless PLAIN says that its sources do not use it.
function(drey_add_job name)
  cmake_parse_arguments(J "PLAIN" "ENTRY;OUTPUT_DIRECTORY" "SOURCES" ${ARGN})
  if(NOT J_OUTPUT_DIRECTORY)
    set(J_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})
  endif()
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    set(arch x86_64)
  else()
    set(arch aarch64)
  endif()
  add_library(${name} MODULE ${J_SOURCES})
  target_compile_features(${name} PRIVATE cxx_std_20)
  target_compile_options(${name} PRIVATE -O2 -g1 -fno-omit-frame-pointer -fvisibility=hidden
    $<$<CXX_COMPILER_ID:GNU>:-fno-gnu-unique>)
  target_link_libraries(${name} PRIVATE Drey::headers)
  if(NOT CMAKE_CXX_COMPILER_LAUNCHER AND NOT J_PLAIN)  # ccache cannot keep what uses precompiled headers
    target_precompile_headers(${name} PRIVATE <drey/datastream.h>)
  endif()
  set(stage ${CMAKE_CURRENT_BINARY_DIR}/${name}.jar.d)
  set_target_properties(${name} PROPERTIES PREFIX "" SUFFIX ".so" LIBRARY_OUTPUT_DIRECTORY ${stage}/lib/${arch})
  file(MAKE_DIRECTORY ${stage}/META-INF)
  file(WRITE ${stage}/META-INF/MANIFEST.MF "Manifest-Version: 1.0\nprogram-class: ${J_ENTRY}\n")
  file(MAKE_DIRECTORY ${J_OUTPUT_DIRECTORY})
  add_custom_command(
    OUTPUT ${J_OUTPUT_DIRECTORY}/${name}.jar
    COMMAND ${CMAKE_COMMAND} -E tar cf ${J_OUTPUT_DIRECTORY}/${name}.jar --format=zip META-INF lib
    WORKING_DIRECTORY ${stage}
    DEPENDS ${name}
    COMMENT "Packing ${name}.jar")
  add_custom_target(${name}_jar ALL DEPENDS ${J_OUTPUT_DIRECTORY}/${name}.jar)
endfunction()
