// What the client's commands have in common: whom they ask, and how an answer or a refusal is shown.
#pragma once

#include <string>

#include "base/status.h"
#include "commands.h"
#include "rest/client.h"
#include "rest/client_endpoints.h"

namespace drey::apps {

// -m HOST:PORT or http(s)://HOST:PORT, else the cluster of the default directory, else localhost:8081.
// FLINK_REST_CLIENT_HEADERS (Name:Value lines) and DREY_REST_CA come from the environment.
Result<rest::Client> client_of(const Arguments& args);
// Holds what every request to the cluster at HOST:PORT or http(s)://HOST:PORT has: address, certificates, headers.
Result<net::HttpCall> call_to(std::string address);

// FAILS WITH: kInvalidArgument for what is no id.
Result<JobId> job_id_of(const std::string& text);

// An answer as the server sent it.
template <typename T>
std::string json_of(const T& answer) {
  std::string out;
  rest::write_json(rest::kShapeOf<T>, &answer, rest::Dialect::kFull, out);
  return out;
}

// Text of others, such as a job's name, for a terminal: control characters are shown escaped ("\x1b").
std::string printable(std::string_view text);

// Says what went wrong and, where it is known, the way out; the exit code: 3 when nobody answers, else 1.
int failed(const Status& status);

}  // namespace drey::apps
