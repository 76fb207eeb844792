#include "connectors/all.h"

#include "connectors/files/file_sink.h"
#include "connectors/files/file_source.h"
#include "connectors/socket/socket_source.h"

namespace drey::connectors {

void add_connector_kinds(operators::Registry& registry) {
  registry.add(files::file_sink_kind());
  registry.add(files::file_source_kind());
  registry.add(socket::socket_source_kind());
}

operators::Registry all_kinds() {
  operators::Registry registry;
  operators::add_builtin_kinds(registry);
  add_connector_kinds(registry);
  return registry;
}

}  // namespace drey::connectors
