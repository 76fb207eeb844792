// What the client's commands have in common: whom they ask, and how an answer or a refusal comes back.
#pragma once

#include <cstdint>
#include <string>

#include "base/status.h"
#include "commands.h"
#include "net/http.h"
#include "wire/json/json.h"

namespace drey::apps {

struct Target {
  net::HttpCall call;  // host, port, TLS, headers of every call
};

// -m HOST:PORT or http(s)://HOST:PORT, else the cluster of the default directory, else localhost:8081.
// FLINK_REST_CLIENT_HEADERS (Name:Value lines) and DREY_REST_CA come from the environment.
Result<Target> target_of(const Arguments& args);

// The answer's JSON; an "errors" object becomes a Status with its texts.
Result<wire::Json> call(net::HttpCall call);
Result<wire::Json> call(const Target& target, const std::string& method, const std::string& path, std::string body = "");

// Says what went wrong; the exit code: 3 when nobody answers, else 1.
int failed(const Status& status);

}  // namespace drey::apps
