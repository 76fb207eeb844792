// Path parameters of calls about vertices, subtasks and attempts.
#pragma once

#include "base/id.h"
#include "rest/shape.h"

namespace drey::rest {

struct VertexPath {
  JobId jobid;
  VertexId vertexid;
  static constexpr auto fields() {
    using M = VertexPath;
    return std::tuple{field("jobid", &M::jobid, "Id of a job: 32 hexadecimal digits."),
                      field("vertexid", &M::vertexid, "Id of a vertex: 32 hexadecimal digits.")};
  }
};

struct SubtaskPath {
  JobId jobid;
  VertexId vertexid;
  Index subtaskindex;
  static constexpr auto fields() {
    using M = SubtaskPath;
    return std::tuple{field("jobid", &M::jobid, "Id of a job: 32 hexadecimal digits."),
                      field("vertexid", &M::vertexid, "Id of a vertex: 32 hexadecimal digits."),
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
    return std::tuple{field("jobid", &M::jobid, "Id of a job: 32 hexadecimal digits."),
                      field("vertexid", &M::vertexid, "Id of a vertex: 32 hexadecimal digits."),
                      field("subtaskindex", &M::subtaskindex, "Number of a subtask, from 0."),
                      field("attempt", &M::attempt, "Number of an attempt, from 0.")};
  }
};

}  // namespace drey::rest
