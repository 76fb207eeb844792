#include "operators/window.h"

#include <array>
#include <charconv>
#include <cstring>
#include <optional>

#include <fmt/format.h>

#include "operators/builtin.h"

namespace drey::operators {

namespace {

enum class WindowTime { kEvent, kProcessing };
constexpr auto enum_table(WindowTime) {
  return std::array{EnumRow{WindowTime::kEvent, "event"}, EnumRow{WindowTime::kProcessing, "processing"}};
}

constexpr std::int64_t kSpanMax = 315'576'000'000'000;  // 10,000 years: a sum of some and of a time is a time

// The options as they are declared; WindowOptions is what they amount to.
struct DeclaredOptions {
  WindowOptions::Assigner assigner = WindowOptions::Assigner::kTumbling;
  WindowTime time = WindowTime::kEvent;
  std::int64_t size_ms = 0;
  std::optional<std::int64_t> slide_ms;
  std::int64_t offset_ms = 0;
  std::int64_t gap_ms = 0;
  std::string trigger = "default";
  std::int64_t trigger_bytes = 0;
  bool purge = false;
  std::int64_t allowed_lateness_ms = 0;
  std::int64_t late_output = -1;
  std::optional<Accumulators::Form> accumulate;

  static constexpr auto options() {
    using M = DeclaredOptions;
    using config::option;
    return config::Options{
        option("assigner", &M::assigner, "Which windows a row belongs to."),
        option("time", &M::time, "Whether windows are of event time or of the clock."),
        option("size_ms", &M::size_ms, "Length of tumbling and sliding windows.").between(1, kSpanMax),
        option("slide_ms", &M::slide_ms, "Time between the starts of sliding windows.")
            .between(1, kSpanMax)
            .defaults_to("size_ms"),
        option("offset_ms", &M::offset_ms,
               "Tumbling and sliding windows start at this distance from the epoch; smaller than the slide.")
            .between(-kSpanMax, kSpanMax),
        option("gap_ms", &M::gap_ms, "A session ends after so long without rows.").between(1, kSpanMax),
        option("trigger", &M::trigger,
               "When windows fire: `default` (once, at the end), `event_time`, `processing_time`, `count:N`, "
               "`continuous_event_time:MS`, `continuous_processing_time:MS`, `custom` (`on_trigger`)."),
        option("trigger_bytes", &M::trigger_bytes, "State of a custom trigger.").between(0, 1 << 16),
        option("purge", &M::purge, "Whether windows are empty after a built-in trigger has fired."),
        option("allowed_lateness_ms", &M::allowed_lateness_ms,
               "Windows stay so long after the watermark has passed them, and fire again for late rows.")
            .at_least(0),
        option("late_output", &M::late_output, "Number of the side output for rows that are too late; -1: dropped.")
            .at_least(-1),
        option("accumulate", &M::accumulate,
               "How the accumulator is kept: in place (`accumulator_bytes`), encoded, or as all elements.")
            .defaults_to("fixed with accumulator_bytes, else encoded")};
  }
  Result<WindowOptions> meaning() const;
  std::string problem() const {
    const auto whole = meaning();
    return whole.ok() ? "" : whole.status().message();
  }
};
static_assert(config::EveryMemberIsAnOption<DeclaredOptions>);

Result<WindowOptions> DeclaredOptions::meaning() const {
  using Assigner = WindowOptions::Assigner;
  using Trigger = WindowOptions::Trigger;
  const auto bad = [](std::string what) { return fail(Code::kInvalidArgument, std::move(what)); };
  WindowOptions out;
  out.assigner = assigner;
  out.event_time = time == WindowTime::kEvent;
  out.size_ms = size_ms;
  out.slide_ms = slide_ms.value_or(size_ms);
  out.offset_ms = offset_ms;
  out.gap_ms = gap_ms;
  out.allowed_lateness_ms = allowed_lateness_ms;
  out.late_output = late_output;
  out.purge = purge;
  out.trigger_bytes = trigger_bytes;
  const std::string_view kind = std::string_view(trigger).substr(0, trigger.find(':'));
  if (kind.size() < trigger.size()) {
    const char* end = trigger.data() + trigger.size();
    if (std::from_chars(trigger.data() + kind.size() + 1, end, out.count).ptr != end || out.count <= 0) {
      return bad("Option trigger needs a positive number: value=" + trigger);
    }
  }
  const bool counts = out.count > 0;
  out.is_default = trigger == "default";
  if (trigger == "default") {
    out.trigger = assigner == Assigner::kGlobal ? Trigger::kNever
                  : out.event_time              ? Trigger::kEventTime
                                                : Trigger::kProcessingTime;
  } else if (trigger == "event_time") {
    out.trigger = Trigger::kEventTime;
  } else if (trigger == "processing_time") {
    out.trigger = Trigger::kProcessingTime;
  } else if (kind == "count" && counts) {
    out.trigger = Trigger::kCount;
  } else if (kind == "continuous_event_time" && counts) {
    out.trigger = Trigger::kContinuousEventTime;
  } else if (kind == "continuous_processing_time" && counts) {
    out.trigger = Trigger::kContinuousProcessingTime;
  } else if (trigger == "custom") {
    out.trigger = Trigger::kCustom;
  } else {
    return bad("Option trigger names no trigger: value=" + trigger);
  }
  const bool is_continuous =
      out.trigger == Trigger::kContinuousEventTime || out.trigger == Trigger::kContinuousProcessingTime;
  if (is_continuous && assigner == Assigner::kGlobal) {
    return bad(
        "global windows never end, so a continuous trigger would fire for ever at the end of the input: use count(n) "
        "or a trigger of your own");
  }
  if (is_continuous && out.count > kSpanMax) {
    return bad(fmt::format("Option trigger has an interval of more than {} ms: value={}", kSpanMax, trigger));
  }
  if (out.trigger == Trigger::kNever) {
    return bad("a global window never fires without a trigger: use count(n) or a trigger of your own");
  }
  out.is_default = out.is_default ||
                   (!out.purge && out.trigger == (out.event_time ? Trigger::kEventTime : Trigger::kProcessingTime));
  if (assigner == Assigner::kTumbling || assigner == Assigner::kSliding) {
    if (size_ms == 0) return bad("Option size_ms is required: tumbling and sliding windows have a size");
    if (offset_ms <= -out.slide_ms || offset_ms >= out.slide_ms) {
      return bad(
          fmt::format("Option offset_ms must be smaller than the slide of {} ms: value={}", out.slide_ms, offset_ms));
    }
  }
  if (assigner == Assigner::kSession && gap_ms == 0) return bad("Option gap_ms is required: sessions end by it");
  return out;
}

Result<Schemas> output_schema(const Schemas& inputs, const DeclaredOptions& options, const Schemas& declared) {
  const std::int64_t late = options.late_output;
  if (late >= static_cast<std::int64_t>(declared.size()) || late == 0) {
    return fail(Code::kInvalidArgument, fmt::format("Option late_output names no side output: value={}", late));
  }
  Schemas outputs = declared;
  if (late > 0) outputs[static_cast<std::size_t>(late)] = inputs[0];
  return outputs;
}

}  // namespace

Status Accumulators::open(OperatorContext& context, bool merges) {
  const graph::OperatorNode& node = context.node();
  const drey_functions* f = context.functions();
  fixed_bytes_ = node.accumulator_bytes;
  DREY_TRY_ASSIGN(const DeclaredOptions options, read_options<DeclaredOptions>(node));
  form_ = options.accumulate.value_or(fixed_bytes_ > 0 ? Form::kFixed : Form::kEncoded);
  bool there = f != nullptr && f->fire != nullptr;
  if (there && form_ == Form::kFixed) there = f->accumulate != nullptr && (!merges || f->merge != nullptr);
  if (there && form_ == Form::kEncoded)
    there = f->accumulate_encoded != nullptr && (!merges || f->merge_encoded != nullptr);
  if (there && form_ == Form::kElements) there = f->encode_element != nullptr;
  DREY_TRY(code_.create(context, merges ? "fire, accumulate and merge" : "fire and accumulate", there));
  scratch_.resize((fixed_bytes_ + 7) / 8);
  return {};
}

Status Accumulators::add(const data::BatchRef& batch, std::uint32_t n, const std::uint32_t* ids, void* const* rows,
                         const std::uint8_t* fresh, Emitter& out) {
  return code_.call(&drey_functions::accumulate, &out, &batch, &batch->abi(), n, ids, rows, fresh);
}

Status Accumulators::element(const data::BatchRef& batch, std::uint32_t id, std::string_view& bytes, Emitter& out) {
  drey_span span{};
  DREY_TRY(code_.call(&drey_functions::encode_element, &out, &batch, &batch->abi(), id, &span));
  bytes = {span.data, span.size};
  return {};
}

Status Accumulators::add_one(const data::BatchRef& batch, std::uint32_t id, std::string& bytes, Emitter& out) {
  if (form_ == Form::kElements) {
    std::string_view one;
    DREY_TRY(element(batch, id, one, out));
    const auto size = static_cast<std::uint32_t>(one.size());
    bytes.append(reinterpret_cast<const char*>(&size), 4).append(one);
    return {};
  }
  if (form_ == Form::kEncoded) {
    drey_span after{};
    DREY_TRY(code_.call(&drey_functions::accumulate_encoded, &out, &batch, &batch->abi(), id,
                        drey_span{bytes.data(), bytes.size()}, &after));
    bytes = std::string(after.data, after.size);
    return {};
  }
  const std::uint8_t fresh = bytes.empty() ? 1 : 0;
  bytes.resize(fixed_bytes_);
  std::memcpy(scratch_.data(), bytes.data(), fixed_bytes_);
  void* row = scratch_.data();
  DREY_TRY(add(batch, 1, &id, &row, &fresh, out));
  std::memcpy(bytes.data(), scratch_.data(), fixed_bytes_);
  return {};
}

Status Accumulators::merge(std::string& into, std::string_view from, Emitter& out) {
  if (form_ == Form::kElements) {
    into += from;
    return {};
  }
  if (form_ == Form::kEncoded) {
    drey_span merged{};
    DREY_TRY(code_.call(&drey_functions::merge_encoded, &out, nullptr, drey_span{into.data(), into.size()},
                        drey_span{from.data(), from.size()}, &merged));
    into = std::string(merged.data, merged.size);
    return {};
  }
  std::vector<std::uint64_t> other(scratch_.size());
  std::memcpy(scratch_.data(), into.data(), fixed_bytes_);
  std::memcpy(other.data(), from.data(), fixed_bytes_);
  DREY_TRY(code_.call(&drey_functions::merge, &out, nullptr, static_cast<void*>(scratch_.data()),
                      static_cast<const void*>(other.data())));
  std::memcpy(into.data(), scratch_.data(), fixed_bytes_);
  return {};
}

Result<state::Address> Accumulators::add_to_row(state::Table& table, state::Address row, std::uint32_t offset,
                                                const data::BatchRef& batch, std::uint32_t id, Emitter& out) {
  const std::string_view before = table.value_of(row);
  if (form_ == Form::kElements) {
    std::string_view one;
    DREY_TRY(element(batch, id, one, out));
    const auto at = static_cast<std::uint32_t>(before.size());
    const auto size = static_cast<std::uint32_t>(one.size());
    DREY_TRY_ASSIGN(row, table.resize(row, at + 4 + size));
    char* value = table.writable_part(row, at, 4 + size);
    std::memcpy(value, &size, 4);
    if (size != 0) std::memcpy(value + 4, one.data(), size);
    return row;
  }
  std::string bytes(before.substr(offset));
  DREY_TRY(add_one(batch, id, bytes, out));
  DREY_TRY_ASSIGN(row, table.resize(row, static_cast<std::uint32_t>(offset + bytes.size())));
  if (!bytes.empty()) std::memcpy(table.writable_value(row) + offset, bytes.data(), bytes.size());
  return row;
}

void Accumulators::begin_merge() { merged_count_ = 0; }

Status Accumulators::merge_next(std::uint32_t number, std::string_view accumulator, Emitter& out) {
  const std::size_t words = scratch_.size();
  if (number == merged_count_) {
    ++merged_count_;
    if (form_ == Form::kFixed) {
      if (merged_fixed_.size() < merged_count_ * words) merged_fixed_.resize(merged_count_ * words * 2);
      std::memcpy(merged_fixed_.data() + number * words, accumulator.data(), accumulator.size());
    } else {
      if (merged_.size() < merged_count_) merged_.emplace_back();
      merged_[number] = accumulator;
    }
    return {};
  }
  if (form_ != Form::kFixed) return merge(merged_[number], accumulator, out);
  return code_.call(&drey_functions::merge, &out, nullptr, static_cast<void*>(merged_fixed_.data() + number * words),
                    static_cast<const void*>(accumulator.data()));
}

std::string_view Accumulators::merged(std::size_t number) const {
  if (form_ != Form::kFixed) return merged_[number];
  return {reinterpret_cast<const char*>(merged_fixed_.data() + number * scratch_.size()), fixed_bytes_};
}

Status Accumulators::fire(drey_window window, const std::vector<drey_view>& keys,
                          const std::vector<std::string_view>& accumulators, Emitter& out) {
  if (keys.empty()) return {};
  std::vector<const void*> pointers(keys.size());
  std::vector<drey_span> spans(keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    spans[i] = {accumulators[i].data(), accumulators[i].size()};
    pointers[i] = form_ == Form::kFixed ? static_cast<const void*>(accumulators[i].data()) : &spans[i];
  }
  return code_.call(&drey_functions::fire, &out, nullptr, window, static_cast<std::uint32_t>(keys.size()), keys.data(),
                    pointers.data());
}

Status check_event_time(const OperatorContext& context, const WindowOptions& options, const data::RowBatch& batch) {
  if (!options.event_time || batch.row_times() != nullptr) return {};
  return fail(Code::kInvalidArgument,
              fmt::format("Window operator '{}' needs event time, but its rows have none: call watermarks(...) on the "
                          "stream before the window",
                          context.node().name));
}

Status give_late_rows(OperatorContext& context, const WindowOptions& options, const data::BatchRef& batch,
                      const std::vector<std::uint32_t>& late, std::int64_t* dropped, Emitter& out) {
  if (late.empty()) return {};
  if (options.late_output >= 0) {
    return out.emit(static_cast<std::uint32_t>(options.late_output),
                    data::RowBatch::select(batch, late, context.pool()));
  }
  *dropped += static_cast<std::int64_t>(late.size());
  return {};
}

OperatorKind window_kind() {
  return declare<DeclaredOptions>({
      .name = DREY_KIND_WINDOW,
      .doc = "Keyed windows: one accumulator per key and window (`accumulate`, `merge`), results by `fire`.",
      .traits = {.is_keyed = true, .needs_code = true},
      .output_schema = output_schema,
      .make_operator = [](OperatorContext& context, const DeclaredOptions& declared) -> Made<Operator> {
        DREY_TRY_ASSIGN(const WindowOptions options, declared.meaning());
        if (options.assigner == WindowOptions::Assigner::kSession) return make_session_windows(context, options);
        const bool once = options.is_default && options.assigner != WindowOptions::Assigner::kGlobal;
        return once ? make_time_windows(context, options) : make_triggered_windows(context, options);
      },
  });
}

}  // namespace drey::operators
