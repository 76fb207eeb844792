#include "rest/gatekeeper.h"

#include <crypt.h>
#include <fmt/format.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <cstring>

#include "base/base64.h"
#include "env/log.h"

namespace drey::rest {
namespace {

constexpr int kFailuresMax = 10;
constexpr std::chrono::seconds kFailuresWindow{60};
constexpr std::size_t kPeersMax = 10'000;
constexpr std::size_t kProvenMax = 1'000;

// Takes as long for every text of the right length.
bool equal(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned different = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    different |= static_cast<unsigned>(static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]));
  return different == 0;
}

std::optional<Access> role_named(std::string_view name) {
  const auto found = std::find(kRoles.begin(), kRoles.end(), name);
  if (found == kRoles.end()) return std::nullopt;
  return static_cast<Access>(found - kRoles.begin());
}

// Runs `use(line, number)` for the lines that say something.
template <typename F>
Status for_each_line(const std::string& text, F use) {
  std::size_t at = 0;
  int number = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line(text.data() + at, end - at);
    at = end + 1;
    ++number;
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    if (!line.empty() && line.front() != '#') DREY_TRY(use(line, number));
  }
  return {};
}

bool bcrypt_matches(const std::string& password, const std::string& hash) {
  crypt_data data{};
  const char* got = crypt_r(password.c_str(), hash.c_str(), &data);
  return got != nullptr && equal(got, hash);
}

}  // namespace

Gatekeeper::Gatekeeper(GatekeeperOptions options, env::Env& env)
    : options_(std::move(options)), env_(env), key_{env.random.next(), env.random.next()} {}

Status Gatekeeper::load() {
  std::lock_guard guard(mutex_);
  return load_locked();
}

Status Gatekeeper::load_locked() {
  std::map<std::string, User, std::less<>> users;
  std::vector<std::pair<std::string, Access>> tokens;
  std::string stamp;
  const auto read = [&](const std::string& path) -> Result<std::string> {
    DREY_TRY_ASSIGN(const env::FileStat stat, env_.files.stat(path));
    stamp += fmt::format("{}:{};", stat.modified.millis, stat.size);
    return env_.files.read_all(path);
  };
  if (!options_.htpasswd_file.empty()) {
    DREY_TRY_ASSIGN(const std::string text, read(options_.htpasswd_file));
    DREY_TRY(for_each_line(text, [&](std::string_view line, int number) -> Status {
      const auto colon = line.find(':');
      const std::string_view hash = colon == std::string_view::npos ? line.substr(0, 0) : line.substr(colon + 1);
      if (!hash.starts_with("$2") || hash.size() < 59)
        return fail(Code::kInvalidArgument,
                    fmt::format("{}:{}: a line must be NAME:HASH with a bcrypt hash, as htpasswd -B "
                                "writes it",
                                options_.htpasswd_file, number));
      users[std::string(line.substr(0, colon))].hash = std::string(hash);
      return {};
    }));
  }
  if (!options_.token_file.empty()) {
    DREY_TRY_ASSIGN(const std::string text, read(options_.token_file));
    DREY_TRY(for_each_line(text, [&](std::string_view line, int number) -> Status {
      const auto blank = line.find(' ');
      const auto role = role_named(blank == std::string_view::npos ? "" : line.substr(blank + 1));
      if (!role || blank < 16)
        return fail(Code::kInvalidArgument, fmt::format("{}:{}: a line must be TOKEN ROLE, with a token of at least 16 "
                                                        "characters and one of {}",
                                                        options_.token_file, number, fmt::join(kRoles, ", ")));
      tokens.emplace_back(line.substr(0, blank), *role);
      return {};
    }));
  }
  for (const std::string& entry : options_.roles) {
    const auto colon = entry.rfind(':');
    const auto role = role_named(colon == std::string::npos ? "" : entry.substr(colon + 1));
    if (!role)
      return fail(Code::kInvalidArgument, fmt::format("drey.rest.auth.roles: {} is not NAME:ROLE with one of {}", entry,
                                                      fmt::join(kRoles, ", ")));
    if (const auto user = users.find(entry.substr(0, colon)); user != users.end()) user->second.role = *role;
  }
  users_ = std::move(users);
  tokens_ = std::move(tokens);
  proven_.clear();
  stamp_ = std::move(stamp);
  checked_ = env_.clock.ticks();
  return {};
}

void Gatekeeper::reload_when_changed() {
  const Ticks now = env_.clock.ticks();
  if (now - checked_ < std::chrono::seconds(1)) return;
  checked_ = now;
  std::string stamp;
  for (const std::string& path : {options_.htpasswd_file, options_.token_file}) {
    if (path.empty()) continue;
    const auto stat = env_.files.stat(path);
    if (!stat.ok()) return;  // in the middle of a change: what was read stays
    stamp += fmt::format("{}:{};", stat->modified.millis, stat->size);
  }
  if (stamp == stamp_) return;
  if (const Status status = load_locked(); !status.ok()) {
    env::log_error("rest", "Logins stay as they were: {}", status.to_string());
    stamp_ = stamp;
  }
}

std::optional<Access> Gatekeeper::role_of(std::string_view authorization, std::unique_lock<std::mutex>& lock) {
  if (authorization.starts_with("Bearer ")) {
    std::optional<Access> role;
    for (const auto& [token, of_token] : tokens_) {
      if (equal(authorization.substr(7), token)) role = of_token;
    }
    return role;
  }
  if (!authorization.starts_with("Basic ")) return std::nullopt;
  // A password is proven once: bcrypt costs tens of milliseconds by design.
  unsigned char digest[32];
  unsigned length = sizeof digest;
  HMAC(EVP_sha256(), key_, sizeof key_, reinterpret_cast<const unsigned char*>(authorization.data()),
       authorization.size(), digest, &length);
  std::string proof(reinterpret_cast<const char*>(digest), length);
  if (const auto known = proven_.find(proof); known != proven_.end()) return known->second;
  const auto login = from_base64(authorization.substr(6));
  const auto colon = login ? login->find(':') : std::string::npos;
  if (colon == std::string::npos) return std::nullopt;
  const auto user = users_.find(login->substr(0, colon));
  // An unknown name costs as much as a wrong password.
  static const std::string kNobody = "$2b$10$abcdefghijklmnopqrstuuDvDgnSXCv0aDXLVPUHQBfOTvC5LQNbm";
  const bool is_known = user != users_.end();
  const User tried = is_known ? user->second : User{kNobody, Access::kView};
  lock.unlock();
  const bool right = bcrypt_matches(login->substr(colon + 1), tried.hash) && is_known;
  lock.lock();
  if (!right) return std::nullopt;
  if (proven_.size() >= kProvenMax) proven_.clear();
  // The files may have been read again meanwhile: then it is tried anew next time.
  if (const auto still = users_.find(login->substr(0, colon));
      still != users_.end() && still->second.hash == tried.hash && still->second.role == tried.role)
    proven_.emplace(std::move(proof), tried.role);
  return tried.role;
}

Verdict Gatekeeper::judge(std::string_view authorization, std::string_view peer, Access needed, bool counts) {
  std::unique_lock lock(mutex_);
  reload_when_changed();
  const Ticks now = env_.clock.ticks();
  const auto failed = failures_.find(peer);
  if (failed != failures_.end() && now - failed->second.since > kFailuresWindow) {
    failures_.erase(failed);
  } else if (failed != failures_.end() && failed->second.count >= kFailuresMax) {
    return {429, "Too many failed logins from this address: try again in a minute."};
  }
  if (authorization.empty()) return {401, "A login is needed."};
  const auto role = role_of(authorization, lock);
  if (!role) {
    if (!counts) return {401, "The login is not right."};
    if (failures_.size() >= kPeersMax) failures_.clear();
    Failures& entry = failures_.try_emplace(std::string(peer), Failures{0, now}).first->second;
    ++entry.count;
    env::log_warn("rest", "A login from {} failed", peer);
    return {401, "The login is not right."};
  }
  if (*role < needed) {
    return {403, fmt::format("This needs the role {}, the login has {}.", kRoles[static_cast<std::size_t>(needed)],
                             kRoles[static_cast<std::size_t>(*role)])};
  }
  return {};
}

}  // namespace drey::rest
