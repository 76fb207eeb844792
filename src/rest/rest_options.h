// RestOptions: where the REST API listens and what it says of itself.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/enums.h"
#include "config/option.h"

namespace drey::rest {

// Whose Flink's answers are made for.
enum class Compat { kAuto, kFull, k112, k111 };
constexpr auto enum_table(Compat) {
  return std::array{EnumRow{Compat::kAuto, "auto"}, EnumRow{Compat::kFull, "2.x"}, EnumRow{Compat::k112, "1.12"},
                    EnumRow{Compat::k111, "1.11"}};
}

struct RestOptions {
  std::uint16_t port = 8081;
  std::string address = "127.0.0.1";
  std::optional<std::string> bind_address;
  std::vector<std::string> allowed_hosts;
  std::string allow_origin = "*";
  std::int64_t refresh_interval = 3000;
  std::optional<std::string> web_ui;
  Compat compat = Compat::kAuto;
  config::Bytes max_content_length{104'857'600};
  config::Bytes max_upload{std::uint64_t{4} << 30};
  config::Bytes upload_quota{std::uint64_t{64} << 30};
  std::int32_t max_connections = 1000;
  std::int32_t event_streams_max = 100;
  bool access_log = false;
  std::string flink_version = "2.3.0";
  std::string flink_revision = "c0f8d1a @ 2026-06-14T16:29:03+02:00";

  static constexpr std::string_view kTitle = "REST API";
  static constexpr auto options() {
    using M = RestOptions;
    using config::option;
    return config::Options{
        option("rest.port", &M::port, "Port of the REST API; 0: any free one, which is printed.").between(0, 65'535),
        option("rest.address", &M::address, "The address to listen on, unless rest.bind-address says another."),
        option("rest.bind-address", &M::bind_address, "The address to listen on; loopback only.")
            .defaults_to("rest.address"),
        option("rest.allowed-hosts", &M::allowed_hosts,
               "Names that requests may come for, beside IP addresses and localhost."),
        option("web.access-control-allow-origin", &M::allow_origin,
               "The Access-Control-Allow-Origin header of answers."),
        option("web.refresh-interval", &M::refresh_interval, "Milliseconds between two requests of a dashboard.")
            .at_least(1),
        option("drey.web-ui", &M::web_ui,
               "Flink's dashboard to serve: a flink-dist or flink-runtime-web jar, or a folder with "
               "its index.html (drey up --web-ui).")
            .defaults_to("none"),
        option("rest.compat", &M::compat,
               "Whose Flink answers are made for: 2.x, 1.12, 1.11, or auto, which tells old Java "
               "clients by their requests."),
        option("rest.server.max-content-length", &M::max_content_length,
               "The longest body of a request that is no upload."),
        option("drey.rest.max-upload", &M::max_upload, "The longest upload."),
        option("drey.rest.upload-quota", &M::upload_quota,
               "What jars and uploads that are under way may hold on the disk together; what is "
               "beyond it gets 507."),
        option("drey.rest.max-connections", &M::max_connections,
               "Connections at a time; further ones are closed at once.")
            .between(1, 100'000),
        option("drey.rest.events.max-streams", &M::event_streams_max,
               "Event streams at a time; further ones are refused with 503.")
            .between(0, 100'000),
        option("drey.rest.access-log", &M::access_log, "Whether each request gets a log line."),
        option("drey.flink-version", &M::flink_version, "The version of Flink that answers name."),
        option("drey.flink-revision", &M::flink_revision, "The revision of Flink that answers name."),
    };
  }
};
static_assert(config::EveryMemberIsAnOption<RestOptions>);

// Who may use the REST API, and how the way there is protected.
struct RestSecurityOptions {
  std::string htpasswd_file;
  std::string token_file;
  std::vector<std::string> roles;
  bool ssl = false;
  std::string certificate;
  std::string key;
  std::string client_authority;

  bool has_logins() const { return !htpasswd_file.empty() || !token_file.empty(); }

  static constexpr std::string_view kTitle = "REST API: logins and TLS";
  static constexpr auto options() {
    using M = RestSecurityOptions;
    using config::option;
    return config::Options{
        option("drey.rest.auth.htpasswd-file", &M::htpasswd_file,
               "Logins: NAME:HASH lines with bcrypt hashes, as htpasswd -B writes them.")
            .defaults_to("none"),
        option("drey.rest.auth.token-file", &M::token_file, "Bearer tokens: TOKEN ROLE lines.").defaults_to("none"),
        option("drey.rest.auth.roles", &M::roles,
               "NAME:ROLE of logins; roles are viewer, operator, submitter and admin, without one "
               "a login is a viewer."),
        option("security.ssl.rest.enabled", &M::ssl, "Whether the REST API speaks TLS."),
        option("drey.rest.ssl.certificate", &M::certificate,
               "PEM file with the certificate chain; read again when it changes."),
        option("drey.rest.ssl.key", &M::key, "PEM file with the private key."),
        option("drey.rest.ssl.client-authority", &M::client_authority,
               "PEM file; callers must show a certificate that it signs.")
            .defaults_to("none"),
    };
  }
};
static_assert(config::EveryMemberIsAnOption<RestSecurityOptions>);

}  // namespace drey::rest
