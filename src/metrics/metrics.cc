#include "metrics/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>

#include "wire/json/json.h"

namespace drey::metrics {
namespace {

// Java's text of a float: its shortest digits, written as those of a double are.
std::string java_float(float value) {
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
  double same = value;
  std::from_chars(digits, end, same);
  return wire::java_double(same);
}

Value value_of(Form form, std::int64_t raw) {
  switch (form) {
    case Form::kReal:
      return std::bit_cast<double>(raw);
    case Form::kShare:
      return static_cast<float>(std::bit_cast<double>(raw));
    case Form::kTruth:
      return raw != 0;
    case Form::kWhole:
    case Form::kText:
      break;
  }
  return raw;
}

}  // namespace

std::string text_of(const Value& value) {
  switch (static_cast<Form>(value.index())) {
    case Form::kWhole:
      return fmt::format("{}", std::get<std::int64_t>(value));
    case Form::kReal:
      return wire::java_double(std::get<double>(value));
    case Form::kShare:
      return java_float(std::get<float>(value));
    case Form::kTruth:
      return std::get<bool>(value) ? "true" : "false";
    case Form::kText:
      break;
  }
  return std::get<std::string>(value);
}

std::optional<double> number_of(const Value& value) {
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return static_cast<double>(*whole);
  if (const auto* real = std::get_if<double>(&value)) return *real;
  if (const auto* share = std::get_if<float>(&value)) return *share;
  return std::nullopt;
}

std::int64_t raw_of(const Number& number) {
  if (const auto* real = std::get_if<double>(&number)) return std::bit_cast<std::int64_t>(*real);
  if (const auto* share = std::get_if<float>(&number)) return std::bit_cast<std::int64_t>(double{*share});
  if (const auto* truth = std::get_if<bool>(&number)) return *truth ? 1 : 0;
  return std::get<std::int64_t>(number);
}

Metrics::Metrics(std::initializer_list<std::pair<std::string_view, Value>> metrics) {
  for (const auto& [name, value] : metrics) add(name, value);
}

Metrics::Metrics(NamesRef names, std::vector<std::int64_t> raw) {
  if (names == nullptr || names->size() != raw.size()) return;
  const bool fits = std::all_of(names->begin(), names->end(), [](const Name& name) {
    return name.form >= Form::kWhole && name.form < Form::kText && name.scope <= name.text.size();
  });
  if (!fits) return;
  names_ = std::move(names);
  raw_ = std::move(raw);
}

void Metrics::add(std::string_view name, Value value) {
  // Shared names stay as they are.
  if (own_names_ == nullptr || names_.use_count() > 2) {
    own_names_ = names_ == nullptr ? std::make_shared<Names>() : std::make_shared<Names>(*names_);
    names_ = own_names_;
  }
  own_names_->push_back({std::string(name), 0, static_cast<Form>(value.index())});
  if (auto* text = std::get_if<std::string>(&value)) {
    raw_.push_back(static_cast<std::int64_t>(texts_.size()));
    texts_.push_back(std::move(*text));
    return;
  }
  std::visit(
      [this](const auto& number) {
        if constexpr (!std::is_same_v<std::remove_cvref_t<decltype(number)>, std::string>)
          raw_.push_back(raw_of(number));
      },
      value);
}

Value Metrics::value(std::size_t i) const {
  const Form form = name(i).form;
  return form == Form::kText ? Value(texts_[static_cast<std::size_t>(raw_[i])]) : value_of(form, raw_[i]);
}

std::optional<Value> Metrics::find(std::string_view wanted) const {
  for (std::size_t i = 0; i < size(); ++i) {
    if (name(i).text == wanted) return value(i);
  }
  return std::nullopt;
}

std::int64_t Metrics::whole(std::string_view wanted) const {
  const auto found = find(wanted);
  if (!found) return 0;
  if (const auto* whole = std::get_if<std::int64_t>(&*found)) return *whole;
  return static_cast<std::int64_t>(number_of(*found).value_or(0));
}

std::string scope_of(std::string_view operator_name) {
  std::string out(operator_name);
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c == ' ' || c == '.' || c == ':' || c == ','; }, '_');
  return out;
}

}  // namespace drey::metrics
