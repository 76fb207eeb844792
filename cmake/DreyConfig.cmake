# find_package(Drey): the headers for job authors as Drey::headers, and drey_add_job().
get_filename_component(Drey_PREFIX "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
if(NOT TARGET Drey::headers)
  add_library(Drey::headers INTERFACE IMPORTED)
  target_include_directories(Drey::headers SYSTEM INTERFACE ${Drey_PREFIX}/include)
endif()
set(Drey_EXECUTABLE ${Drey_PREFIX}/bin/drey)
include(${CMAKE_CURRENT_LIST_DIR}/DreyAddJob.cmake)
set(Drey_FOUND TRUE)
