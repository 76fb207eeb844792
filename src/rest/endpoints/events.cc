#include "rest/messages/events.h"

#include "rest/endpoint.h"
#include "rest/event_hub.h"

namespace drey::rest {
namespace {

using gateway::ClusterGateway;

template <typename C>
void stream(const C& call, std::optional<JobId> job, const Reply<TextReply>& reply) {
  call.raw.router->events()
      .subscribe(job, call.raw.head->header("last-event-id"))
      .then([reply](Result<EventHub::Stream> stream) {
        if (!stream.ok()) {
          const bool unknown = stream.status().code() == Code::kNotFound;
          return reply.refuse(stream.status(), unknown ? ErrorForm::kNotFoundClass : ErrorForm::kBare);
        }
        TextReply events;
        events.type = "text/event-stream";
        events.stream = std::move(*stream);
        reply(events);
      });
}

struct StreamEvents {
  static constexpr Route kRoute{
      "GET", "/events", 200,
      "What happens in the cluster, as server-sent events: job-state, checkpoint, exception, "
      "rescale, taskmanager, each second metrics; missed, lagged and end of the stream itself."};
  static constexpr Access kAccess = Access::kView;
  using Response = TextReply;
  static void handle(const Call<>& call, ClusterGateway&, const Reply<Response>& reply) {
    stream(call, std::nullopt, reply);
  }
};

struct StreamEventsOfJob {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/events", 200,
                                "What happens to one job, as server-sent events; ends with the job."};
  static constexpr Access kAccess = Access::kView;
  using Path = JobPath;
  using Response = TextReply;
  static void handle(const Call<JobPath>& call, ClusterGateway&, const Reply<Response>& reply) {
    stream(call, call.path.jobid, reply);
  }
};

}  // namespace

std::vector<Endpoint> event_endpoints() { return endpoint_list<StreamEvents, StreamEventsOfJob>(); }

}  // namespace drey::rest
