/* Names of the operator kinds that the C++ API builds graphs of: drey_operator_spec.kind. What each does and its
 * options: docs/reference/operators.md. The host's declarations use these names too; a kind that only the host knows
 * has its name in its declaration. */
#pragma once

#define DREY_KIND_USER "user"
#define DREY_KIND_WATERMARKS "watermarks"
#define DREY_KIND_WINDOW "window"
#define DREY_KIND_GENERATOR "source.generator"
#define DREY_KIND_FILE_SOURCE "source.files"
#define DREY_KIND_SOCKET_SOURCE "source.socket"
#define DREY_KIND_FILE_SINK "sink.files"
#define DREY_KIND_PRINT "sink.print"
#define DREY_KIND_DISCARD "sink.discard"
#define DREY_KIND_COLLECT "sink.collect" /* of drey/testing.h: clusters do not have it */
