// Path parameters of calls about vertices, subtasks and attempts.
#pragma once

#include "base/id.h"
#include "rest/endpoint.h"

namespace drey::rest {

struct VertexPath {
  JobId jobid;
  VertexId vertexid;
  static constexpr auto fields() {
    using M = VertexPath;
    return Fields{job_field(&M::jobid), vertex_field(&M::vertexid)};
  }
};

struct SubtaskPath {
  JobId jobid;
  VertexId vertexid;
  Index subtaskindex;
  static constexpr auto fields() {
    using M = SubtaskPath;
    return Fields{job_field(&M::jobid), vertex_field(&M::vertexid),
                  field("subtaskindex", &M::subtaskindex, "Number of a subtask, from 0.")};
  }
};

struct AttemptPath {
  JobId jobid;
  VertexId vertexid;
  Index subtaskindex;
  std::int32_t attempt = 0;
  static constexpr auto fields() {
    using M = AttemptPath;
    return Fields{job_field(&M::jobid), vertex_field(&M::vertexid),
                  field("subtaskindex", &M::subtaskindex, "Number of a subtask, from 0."),
                  field("attempt", &M::attempt, "Number of an attempt, from 0.")};
  }
};

}  // namespace drey::rest
