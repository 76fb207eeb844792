// The arguments of a job: `--key value`, `--key=value`, and flags (`--overwrite`).
//
//   auto input = args.path("input");                        // required, absolute
//   auto years = args.get<int>("years", 1);
//   auto interval = args.duration("interval", 1s);          // "500 ms", "1 s", "5 min", "2h";
//   bare: ms bool fresh = args.flag("overwrite"); args.done(); // anything else is an error
#pragma once

#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace drey {
inline namespace api {

// A wrong or missing argument. Its text is what the person who submits the job reads.
struct ArgumentError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

class ProgramArgs {
 public:
  ProgramArgs() = default;
  explicit ProgramArgs(std::vector<std::string> words) {
    for (std::size_t i = 0; i < words.size(); ++i) {
      const std::string& w = words[i];
      if (is_value(w)) {
        throw ArgumentError("unexpected argument '" + w + "': options are --name value");
      }
      std::string key = w.substr(w[1] == '-' ? 2 : 1);
      if (key.empty()) throw ArgumentError("unexpected argument '" + w + "'");
      if (const auto eq = key.find('='); eq != std::string::npos) {
        std::string value = key.substr(eq + 1);
        key.resize(eq);
        add(key, std::move(value), true);
      } else if (i + 1 < words.size() && is_value(words[i + 1])) {
        add(key, words[i + 1], true);
        ++i;
      } else {
        add(key, "", false);
      }
    }
  }

  bool has(std::string_view key) const { return find(key) != nullptr; }

  // Present without a value, or with the value true or false.
  bool flag(std::string_view key) const {
    const Option* o = find(key);
    if (o == nullptr) return false;
    if (!o->has_value || o->value == "true") return true;
    if (o->value == "false") return false;
    throw wrong(key, o->value, "true or false");
  }

  std::string required(std::string_view key) const {
    const Option* o = find(key);
    if (o == nullptr) throw ArgumentError("missing option --" + std::string(key));
    if (!o->has_value) throw ArgumentError("option --" + std::string(key) + " needs a value");
    return o->value;
  }

  // The value as T: an integer, double, bool or std::string.
  template <class T>
  T get(std::string_view key) const {
    return parse<T>(key, required(key));
  }
  template <class T>
  T get(std::string_view key, T otherwise) const {
    return find(key) == nullptr ? otherwise : get<T>(key);
  }
  std::string get(std::string_view key, const char* otherwise) const { return get<std::string>(key, otherwise); }

  // An absolute path: /p, file:/p or file:///p. The job runs elsewhere than it is submitted, so a
  // relative one is refused; the message has the absolute form.
  std::string path(std::string_view key) const { return to_path(key, required(key)); }
  std::string path(std::string_view key, const std::string& otherwise) const {
    return find(key) == nullptr ? otherwise : path(key);
  }

  std::chrono::milliseconds duration(std::string_view key) const { return to_duration(key, required(key)); }
  std::chrono::milliseconds duration(std::string_view key, std::chrono::milliseconds otherwise) const {
    return find(key) == nullptr ? otherwise : duration(key);
  }

  // Options that were given but never asked for are an error.
  void done() const {
    for (const Option& o : options_) {
      if (!asked_.contains(o.key)) {
        std::string known;
        for (const auto& k : asked_) known += (known.empty() ? "--" : ", --") + k;
        throw ArgumentError("unknown option --" + o.key + "; this job knows " + (known.empty() ? "none" : known));
      }
    }
  }

 private:
  struct Option {
    std::string key, value;
    bool has_value;
  };

  // Not the name of an option: also "-", "-5", "-2h", "-.5", "-inf".
  static bool is_value(const std::string& w) {
    if (w.size() < 2 || w[0] != '-' || w[1] == '.' || (w[1] >= '0' && w[1] <= '9')) return true;
    char* end = nullptr;
    std::strtod(w.c_str(), &end);
    return end == w.c_str() + w.size();
  }
  void add(const std::string& key, std::string value, bool has_value) {
    for (const Option& o : options_) {
      if (o.key == key) throw ArgumentError("option --" + key + " is given twice");
    }
    options_.push_back({key, std::move(value), has_value});
  }
  const Option* find(std::string_view key) const {
    asked_.emplace(key);
    for (const Option& o : options_) {
      if (o.key == key) return &o;
    }
    return nullptr;
  }
  static ArgumentError wrong(std::string_view key, const std::string& value, const char* wanted) {
    return ArgumentError("option --" + std::string(key) + ": '" + value + "' is not " + wanted);
  }

  template <class T>
  static T parse(std::string_view key, const std::string& s) {
    if constexpr (std::is_same_v<T, std::string>) {
      return s;
    } else if constexpr (std::is_same_v<T, bool>) {
      if (s == "true") return true;
      if (s == "false") return false;
      throw wrong(key, s, "true or false");
    } else if constexpr (std::is_integral_v<T>) {
      errno = 0;
      char* end = nullptr;
      const long long v = std::strtoll(s.c_str(), &end, 10);
      if (s.empty() || *end != 0) throw wrong(key, s, "a whole number");
      if (errno != 0 || !std::in_range<T>(v)) throw wrong(key, s, "in range");
      return static_cast<T>(v);
    } else {
      static_assert(std::is_floating_point_v<T>, "drey: args.get<T>: an integer, double, bool or std::string");
      char* end = nullptr;
      const double v = std::strtod(s.c_str(), &end);
      if (s.empty() || *end != 0) throw wrong(key, s, "a number");
      return static_cast<T>(v);
    }
  }

  static std::string to_path(std::string_view key, std::string p) {
    if (p.starts_with("file://")) {
      p = p.substr(7);
    } else if (p.starts_with("file:")) {
      p = p.substr(5);
    }
    if (!p.starts_with('/')) {
      char here[4096];
      std::string base = ::getcwd(here, sizeof here) != nullptr ? here : "";
      while (p.starts_with("./")) p = p.substr(2);
      throw ArgumentError("option --" + std::string(key) + ": the path '" + p + "' is relative; give it as " + base +
                          "/" + p);
    }
    while (p.starts_with("//")) p = p.substr(1);
    return p;
  }

  static std::chrono::milliseconds to_duration(std::string_view key, const std::string& s) {
    char* end = nullptr;
    errno = 0;
    const long long n = std::strtoll(s.c_str(), &end, 10);
    std::string unit(end);
    while (!unit.empty() && unit.front() == ' ') unit.erase(0, 1);
    const std::pair<const char*, long long> units[] = {{"", 1},           {"ms", 1},           {"milli", 1},
                                                       {"millis", 1},     {"s", 1000},         {"sec", 1000},
                                                       {"second", 1000},  {"seconds", 1000},   {"m", 60'000},
                                                       {"min", 60'000},   {"minute", 60'000},  {"minutes", 60'000},
                                                       {"h", 3'600'000},  {"hour", 3'600'000}, {"hours", 3'600'000},
                                                       {"d", 86'400'000}, {"day", 86'400'000}, {"days", 86'400'000}};
    for (const auto& [name, ms] : units) {
      if (end == s.c_str() || errno != 0 || n < -INT64_MAX / 86'400'000 || n > INT64_MAX / 86'400'000) break;
      if (unit == name) return std::chrono::milliseconds(n * ms);
    }
    throw wrong(key, s, "a duration such as 500 ms, 1 s, 5 min, 2 h");
  }

  std::vector<Option> options_;
  mutable std::set<std::string, std::less<>> asked_;
};

}  // namespace api
}  // namespace drey
