// EventHub: what happens in the cluster, told to any number of readers as server-sent events.
//
// A stream begins with the state as it is (one job-state event per job that is told of), then come
// events as they happen. Ids are <epoch>-<number>; whoever comes again with the last one it saw
// (Last-Event-ID) gets what it missed, or, when that is not remembered any more or another
// JobManager told it, an event `missed`. Metrics come each second and have no id. Bounds:
// `readers_max` streams at a time (kUnavailable beyond); a stream that lags by more than
// `bytes_max` ends with an event `lagged`; `remembered_max` events for those who come again. A
// stream of one job ends with it, all end with the server, each with an event `end`. Threading: any
// thread; the destructor ends all streams.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "gateway/cluster_gateway.h"
#include "net/body_stream.h"

namespace drey::rest {

struct EventHubOptions {
  std::size_t readers_max = 100;
  std::size_t bytes_max = 256u << 10;
  std::size_t remembered_max = 1000;
};

class EventHub {
 public:
  using Stream = std::shared_ptr<net::BodyStream>;

  EventHub(gateway::ClusterGateway& gateway, EventHubOptions options);
  ~EventHub();
  // Of one job, or of the whole cluster. FAILS WITH: kNotFound (no such job), kUnavailable.
  gateway::Future<Stream> subscribe(std::optional<JobId> job, std::string_view last_event_id);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace drey::rest
