// Background: `drey up --daemon`: the cluster's process goes on behind the shell once it is up.
#pragma once

#include <functional>
#include <string>

namespace drey::apps {

// Runs `body` in a child process of a session of its own and returns its exit code, or 0 as soon as
// it has called on_ready(): until then its output is shown, from then on it goes to `output`. Call
// before any thread runs.
int run_in_background(const std::function<int(const std::function<void(const std::string& output)>& on_ready)>& body);

}  // namespace drey::apps
