#include "connectors/all.h"

#include "connectors/files/file_sink.h"
#include "connectors/files/file_source.h"

namespace drey::connectors {

void add_connector_kinds(operators::Registry& registry) {
  registry.add(files::file_sink_kind());
  registry.add(files::file_source_kind());
}

}  // namespace drey::connectors
