// A client in TypeScript for a dashboard, from the declared endpoints: one type a message, one
// method an endpoint.
#pragma once

#include <string>
#include <vector>

#include "rest/router.h"

namespace drey::rest {

// One module without imports. Methods are named as OpenAPI's operationId.
std::string typescript_client(const std::vector<Endpoint>& endpoints);
// verb and route as one word: get_jobs_jobid.
std::string operation_id(const Endpoint& endpoint);

}  // namespace drey::rest
