// Sources and sinks.
//
//   auto flights = env.from(drey::csv<Flight>("/data/flights.csv.zst").null("NA"));
//   auto lines   = env.from(drey::text_lines("/data/words"));
//   auto rows    = env.from(drey::generator<Row>(1'000'000, [](std::int64_t n) { return Row{n};
//   }).rate(50'000)); auto few     = env.from(drey::from<std::int64_t>({1, 2, 3}));
//   results.to(drey::csv_files("/out/results").overwrite());
#pragma once

#include "drey/graph.h"

namespace drey {
inline namespace api {
namespace detail {
inline std::string last_part(const std::string& path) {
  const auto at = path.find_last_of('/', path.size() < 2 ? 0 : path.size() - 2);
  std::string name = at == std::string::npos ? path : path.substr(at + 1);
  while (name.size() > 1 && name.back() == '/') name.pop_back();
  return name;
}
inline std::string number(double v) {
  char text[40];
  std::snprintf(text, sizeof text, "%.17g", v);
  return text;
}
}  // namespace detail

// How timestamps stand in text. iso (2013-01-01T10:00:00Z) and sql (2013-01-01 10:00:00) read each other, with offsets
// from UTC, and numbers of JSON as milliseconds.
enum class TimeFormat { iso, sql, epoch_seconds, epoch_millis, epoch_micros };
namespace detail {
inline const char* name_of(TimeFormat format) {
  constexpr const char* kNames[] = {"iso-8601", "sql", "epoch-seconds", "epoch-millis", "epoch-micros"};
  return kNames[static_cast<int>(format)];
}
}  // namespace detail

// Files: one, or all of a directory; plain, gzip or zstd (told by content). The columns that are
// decoded are those of T, found by name (csv with header, json) or in order (csv without header).
template <class T>
class FileSource {
 public:
  using Row = T;
  FileSource(const char* format, std::string path) : format_(format), path_(std::move(path)) { set("path", path_); }

  // Text that is read as null. Default: an empty field without quotes.
  FileSource& null(std::string text) { return set("null", std::move(text)); }
  // Newlines inside quotes. Makes each file one split.
  FileSource& multiline() { return set("multiline", "true"); }
  // Rows that cannot be read are counted and left out. Default: the job fails with file, line and
  // column.
  FileSource& on_error_skip() { return set("on_error", "skip"); }
  // CSV: whether the first line has the names of the columns (default), and what separates fields (a comma).
  FileSource& header(bool has) { return set("header", has ? "true" : "false"); }
  FileSource& delimiter(char c) { return set("delimiter", std::string(1, c)); }
  FileSource& time_format(TimeFormat format) { return set("time_format", detail::name_of(format)); }
  // A longer row is one that cannot be read. Default: 16 MiB.
  FileSource& row_bytes_max(std::uint32_t bytes) { return set("row_bytes_max", std::to_string(bytes)); }
  // Looks for new files in the directory at this interval, without end.
  FileSource& watch(Millis interval) { return set("watch_ms", std::to_string(interval.count())); }
  // Rows a second over all subtasks, may be a fraction.
  FileSource& rate(double rows_per_second) { return set("rate", detail::number(rows_per_second)); }
  // Reads everything n times; in pass k the member is moved by k calendar years.
  template <class M>
  FileSource& passes(std::int64_t n, M detail::ClassOf<T>::*time) {
    static_assert(std::is_same_v<M, Timestamp> || std::is_same_v<M, std::optional<Timestamp>>,
                  "drey: passes(n, &T::time): the member must be a drey::Timestamp");
    set("passes", std::to_string(n));
    return set("pass_shift_years_column", std::to_string(detail::column_of<T>(time)));
  }
  FileSource& passes(std::int64_t n) { return set("passes", std::to_string(n)); }
  FileSource& set(const char* key, std::string value) {
    options_.push_back({key, std::move(value)});
    return *this;
  }

  detail::Node& build(detail::Graph& g) const {
    detail::Node& n = g.add(DREY_KIND_FILE_SOURCE, detail::last_part(path_));
    n.set("format", format_);
    for (const auto& [k, v] : options_) n.set(k.c_str(), v);
    return n;
  }

 private:
  const char* format_;
  std::string path_;
  std::vector<std::pair<std::string, std::string>> options_;
};

template <class T>
FileSource<T> csv(std::string path) {
  return {"csv", std::move(path)};
}
template <class T>
FileSource<T> json_lines(std::string path) {
  return {"json", std::move(path)};
}
inline FileSource<Text> text_lines(std::string path) { return {"text", std::move(path)}; }

// Rows number 0 .. rows-1 (without end: rows = -1) as a function of the number. Each subtask makes
// a contiguous range of the numbers.
template <class T, class F>
class GeneratorSource {
 public:
  using Row = T;
  GeneratorSource(std::int64_t rows, F fn) : rows_(rows), fn_(std::move(fn)) {}
  // Rows a second over all subtasks, may be a fraction.
  GeneratorSource& rate(double rows_per_second) {
    rate_ = rows_per_second;
    return *this;
  }
  detail::Node& build(detail::Graph& g) const {
    detail::Node& n = g.add(DREY_KIND_GENERATOR, "generator");
    n.set("rows", std::to_string(rows_));
    if (rate_) n.set("rate", detail::number(*rate_));
    n.code<detail::GenerateOp<F, T>>(fn_);
    return n;
  }

 private:
  std::int64_t rows_;
  F fn_;
  std::optional<double> rate_;
};
template <class T, class F>
GeneratorSource<T, F> generator(std::int64_t rows, F fn) {
  static_assert(std::is_convertible_v<std::invoke_result_t<F&, std::int64_t>, T>,
                "drey::generator<T>(rows, fn): fn(std::int64_t number) must return a T");
  return {rows, std::move(fn)};
}

// The given rows. Text in them must outlive the job's main (literals do).
template <class T>
class CollectionSource {
 public:
  using Row = T;
  explicit CollectionSource(std::vector<T> rows) : rows_(std::make_shared<const std::vector<T>>(std::move(rows))) {}
  detail::Node& build(detail::Graph& g) const {
    detail::Node& n = g.add(DREY_KIND_GENERATOR, "collection");
    n.set("rows", std::to_string(rows_->size()));
    n.parallelism = 1;
    n.code<detail::GenerateOp<detail::Collection<T>, T>>(detail::Collection<T>{rows_});
    return n;
  }

 private:
  std::shared_ptr<const std::vector<T>> rows_;
};
template <class T>
CollectionSource<T> from(std::vector<T> rows) {
  return CollectionSource<T>(std::move(rows));
}
template <class T>
CollectionSource<T> from(std::initializer_list<T> rows) {
  return CollectionSource<T>(std::vector<T>(rows));
}

// Lines of text from a TCP server. Parallelism 1; not replayed after a failure. The stream ends when
// the server closes the connection.
//
//   env.from(drey::socket_text("localhost", 9999).reconnect(10, 1s))
class SocketSource {
 public:
  using Row = Text;
  SocketSource(std::string host, int port) : host_(std::move(host)), port_(port) {
    if (port < 1 || port > 65535) throw JobError("drey::socket_text: no such port: " + std::to_string(port));
  }
  // What is between two rows. Default: a newline, with or without a carriage return before it.
  SocketSource& delimiter(std::string text) {
    if (text.empty()) throw JobError("drey::socket_text: the delimiter is empty");
    return set("delimiter", std::move(text));
  }
  // How often to connect again when the connection cannot be made or has ended; -1: for ever.
  // Default: never; then a connection that cannot be made fails the job.
  SocketSource& reconnect(int times, Millis delay = Millis(500)) {
    set("reconnects", std::to_string(times));
    return set("reconnect_delay_ms", std::to_string(delay.count()));
  }
  // Rows that are no UTF-8 are counted and left out. Default: the job fails.
  SocketSource& on_error_skip() { return set("on_error", "skip"); }
  detail::Node& build(detail::Graph& g) const {
    detail::Node& n = g.add(DREY_KIND_SOCKET_SOURCE, "socket " + host_ + ":" + std::to_string(port_));
    n.set("host", host_);
    n.set("port", std::to_string(port_));
    for (const auto& [k, v] : options_) n.set(k, v);
    n.parallelism = 1;
    return n;
  }

 private:
  SocketSource& set(const char* key, std::string value) {
    options_.push_back({key, std::move(value)});
    return *this;
  }
  std::string host_;
  int port_;
  std::vector<std::pair<const char*, std::string>> options_;
};
inline SocketSource socket_text(std::string host, int port) { return {std::move(host), port}; }

// A sink is its kind and options.
class Sink {
 public:
  Sink(const char* kind, std::string name) : kind_(kind), name_(std::move(name)) {}
  Sink& set(const char* key, std::string value) {
    options_.push_back({key, std::move(value)});
    return *this;
  }
  // Files: removes what lies in the directory before the job writes. Default: it stays.
  Sink& overwrite(bool yes = true) { return yes ? set("overwrite", "true") : *this; }
  // CSV files: as the source of the same name has it. Default: a header, a comma, an empty field for null.
  Sink& header(bool yes) { return set("header", yes ? "true" : "false"); }
  Sink& delimiter(char c) { return set("delimiter", std::string(1, c)); }
  Sink& null(std::string text) { return set("null", std::move(text)); }
  // CSV and JSON files. Default: iso.
  Sink& time_format(TimeFormat format) { return set("time_format", detail::name_of(format)); }
  detail::Node& build(detail::Graph& g) const {
    detail::Node& n = g.add(kind_, name_);
    for (const auto& [k, v] : options_) n.set(k.c_str(), v);
    return n;
  }

 private:
  const char* kind_;
  std::string name_;
  std::vector<std::pair<std::string, std::string>> options_;
};
// Exactly-once files in a directory: visible when the checkpoint that covers them is complete. csv<T> and json_lines<T>
// read them.
inline Sink csv_files(std::string path) {
  Sink s(DREY_KIND_FILE_SINK, detail::last_part(path));
  s.set("format", "csv").set("header", "true").set("path", std::move(path));
  return s;
}
inline Sink json_files(std::string path) {
  Sink s(DREY_KIND_FILE_SINK, detail::last_part(path));
  s.set("format", "json").set("path", std::move(path));
  return s;
}
// One line a row on the TaskManager's standard output.
inline Sink print(std::string prefix = "") {
  Sink s(DREY_KIND_PRINT, "Print to Std. Out");
  if (!prefix.empty()) s.set("prefix", std::move(prefix));
  return s;
}
inline Sink discard() { return Sink(DREY_KIND_DISCARD, "discard"); }
// Hands rows to drey/testing.h under a name.
inline Sink collect(std::string name) {
  Sink s(DREY_KIND_COLLECT, "collect " + name);
  s.set("name", std::move(name));
  return s;
}

}  // namespace api
}  // namespace drey
