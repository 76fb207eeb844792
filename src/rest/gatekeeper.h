// Gatekeeper: who may call the API, when logins are configured.
//
// Basic logins come from an htpasswd file (bcrypt), bearer tokens from a file of "token role"
// lines; both are read again when they change. A peer with too many failed logins has to wait.
// Threading: any thread. Blocks: a password's first check takes its bcrypt cost.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "env/env.h"
#include "rest/router.h"

namespace drey::rest {

struct GatekeeperOptions {
  std::string htpasswd_file;       // "name:$2y$..." lines
  std::string token_file;          // "token role" lines
  std::vector<std::string> roles;  // "name:role"; a name without one is a viewer
};

struct Verdict {
  int status = 200;  // 401: log in; 403: not with this role; 429: too many failures
  std::string why;
};

class Gatekeeper {
 public:
  Gatekeeper(GatekeeperOptions options, env::Env& env);
  // Reads the files. FAILS WITH: kInvalidArgument, naming the line that does not fit.
  Status load();
  // A failed login is counted against the peer when `counts`: a request that is judged twice counts once.
  Verdict judge(std::string_view authorization, std::string_view peer, Access needed, bool counts = true);

 private:
  struct User {
    std::string hash;
    Access role = Access::kView;
  };
  struct Failures {
    int count = 0;
    Ticks since{};
  };
  Status load_locked();
  void reload_when_changed();
  // Lets go of the lock while a password is tried: others need not wait for it.
  std::optional<Access> role_of(std::string_view authorization, std::unique_lock<std::mutex>& lock);

  const GatekeeperOptions options_;
  env::Env& env_;
  std::mutex mutex_;
  // Guarded by mutex_.
  std::map<std::string, User, std::less<>> users_;
  std::vector<std::pair<std::string, Access>> tokens_;
  std::map<std::string, Access> proven_;                   // keyed digests of logins that were right
  std::map<std::string, Failures, std::less<>> failures_;  // by peer
  std::string stamp_;
  Ticks checked_{};
  std::uint64_t key_[2];
};

}  // namespace drey::rest
