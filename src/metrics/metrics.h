// Metrics: names and values of one component (a subtask, a process, a job) at a moment.
//
// A value has the form that Flink's has, which decides its text: whole "7", real "7.0", share (a
// float: "0.16666667"), truth "true", text. The names of a subtask are long and stay the same:
// lists of one origin share them. Threading: values.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "wire/field.h"

namespace drey::metrics {

using wire::field;
using wire::Fields;

enum class Form { kWhole, kReal, kShare, kTruth, kText };  // in the order of Value
using Number = std::variant<std::int64_t, double, float, bool>;
using Value = std::variant<std::int64_t, double, float, bool, std::string>;

// As a metrics endpoint shows it.
std::string text_of(const Value& value);
// For aggregates and Prometheus; nothing: it is no number. Flink aggregates no truth either.
std::optional<double> number_of(const Value& value);
// Eight bytes that say, with the form, which number it is.
std::int64_t raw_of(const Number& number);

struct Name {
  std::string text;         // whole: "Source__a.numRecordsIn"
  std::uint32_t scope = 0;  // so many bytes of it are the operator and its dot; 0: the component's own
  Form form = Form::kWhole;
  friend bool operator==(const Name&, const Name&) = default;
  static constexpr auto fields() {
    using M = Name;
    return Fields{field("text", &M::text), field("scope", &M::scope), field("form", &M::form)};
  }
};
static_assert(wire::EveryMemberHasARow<Name>);
using Names = std::vector<Name>;
using NamesRef = std::shared_ptr<const Names>;

class Metrics {
 public:
  Metrics() = default;
  Metrics(std::initializer_list<std::pair<std::string_view, Value>> metrics);
  // raw[i] is of names[i]. What comes from a peer may not fit: a list of other length, or with
  // texts, becomes empty.
  Metrics(NamesRef names, std::vector<std::int64_t> raw);

  void add(std::string_view name, Value value);
  std::size_t size() const { return raw_.size(); }
  bool empty() const { return raw_.empty(); }
  const Name& name(std::size_t i) const { return (*names_)[i]; }
  Value value(std::size_t i) const;
  std::optional<Value> find(std::string_view name) const;
  // 0 when there is no such number. Reals are cut.
  std::int64_t whole(std::string_view name) const;

  const NamesRef& names() const { return names_; }  // null when empty
  const std::vector<std::int64_t>& raw() const { return raw_; }

  // They are of the moment: no part of a record that is stored (TaskTotals are).
  static constexpr auto fields() { return Fields{}; }

 private:
  NamesRef names_;
  std::shared_ptr<Names> own_names_;  // the same, when add() made them
  std::vector<std::int64_t> raw_;     // of a text: its index
  std::vector<std::string> texts_;
};

// What is remembered of an attempt after its end.
struct TaskTotals {
  std::int64_t records_in = 0;
  std::int64_t records_out = 0;
  std::int64_t bytes_in = 0;
  std::int64_t bytes_out = 0;
  std::int64_t busy_ms = 0;
  std::int64_t idle_ms = 0;
  std::int64_t back_pressured_ms = 0;
  static constexpr auto fields() {
    using M = TaskTotals;
    return Fields{field("records-in", &M::records_in),
                  field("records-out", &M::records_out),
                  field("bytes-in", &M::bytes_in),
                  field("bytes-out", &M::bytes_out),
                  field("busy-ms", &M::busy_ms),
                  field("idle-ms", &M::idle_ms),
                  field("back-pressured-ms", &M::back_pressured_ms)};
  }
};
static_assert(wire::EveryMemberHasARow<TaskTotals>);

// Flink's spelling of an operator's name in metric names: blank, '.', ':' and ',' become '_'.
std::string scope_of(std::string_view operator_name);

}  // namespace drey::metrics
