// RestOptions: where the REST API listens and what it says of itself.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "config/option.h"

namespace drey::rest {

struct RestOptions {
  std::uint16_t port = 8081;
  std::string address = "127.0.0.1";
  std::optional<std::string> bind_address;
  std::vector<std::string> allowed_hosts;
  std::string allow_origin = "*";
  std::int64_t refresh_interval = 3000;
  std::optional<std::string> web_ui;
  std::string flink_version = "2.3.0";
  std::string flink_revision = "c0f8d1a @ 2026-06-14T16:29:03+02:00";

  static constexpr std::string_view kTitle = "REST API";
  static constexpr auto options() {
    using M = RestOptions;
    using config::option;
    return std::tuple{
        option("rest.port", &M::port, "Port of the REST API; 0: any free one, which is printed.")
            .between(0, 65'535),
        option("rest.address", &M::address,
               "The address to listen on, unless rest.bind-address says another."),
        option("rest.bind-address", &M::bind_address, "The address to listen on; loopback only.")
            .defaults_to("rest.address"),
        option("rest.allowed-hosts", &M::allowed_hosts,
               "Names that requests may come for, beside IP addresses and localhost."),
        option("web.access-control-allow-origin", &M::allow_origin,
               "The Access-Control-Allow-Origin header of answers."),
        option("web.refresh-interval", &M::refresh_interval,
               "Milliseconds between two requests of a dashboard.")
            .at_least(1),
        option("drey.web-ui", &M::web_ui,
               "Flink's dashboard to serve: a flink-dist or flink-runtime-web jar, or a folder with "
               "its index.html (drey up --web-ui).")
            .defaults_to("none"),
        option("drey.flink-version", &M::flink_version, "The version of Flink that answers name."),
        option("drey.flink-revision", &M::flink_revision,
               "The revision of Flink that answers name."),
    };
  }
};
static_assert(config::EveryMemberIsAnOption<RestOptions>);

}  // namespace drey::rest
