#include "operators/window.h"

#include <charconv>
#include <cstring>

#include <fmt/format.h>

#include "operators/builtin.h"

namespace drey::operators {

Result<WindowOptions> WindowOptions::parse(const graph::OperatorNode& node) {
  Options options(node);
  WindowOptions out;
  const std::string assigner = options.text("assigner", "tumbling");
  const auto bad = [&](std::string_view what) {
    return fail(Code::kInvalidArgument, fmt::format("Window operator '{}': {}", node.name, what));
  };
  if (assigner == "tumbling") {
    out.assigner = Assigner::kTumbling;
  } else if (assigner == "sliding") {
    out.assigner = Assigner::kSliding;
  } else if (assigner == "session") {
    out.assigner = Assigner::kSession;
  } else if (assigner == "global") {
    out.assigner = Assigner::kGlobal;
  } else {
    return bad("unknown assigner: " + assigner);
  }
  out.event_time = options.text("time", "event") != "processing";
  DREY_TRY_ASSIGN(out.size_ms, options.whole("size_ms", 0));
  DREY_TRY_ASSIGN(out.slide_ms, options.whole("slide_ms", out.size_ms));
  DREY_TRY_ASSIGN(out.offset_ms, options.whole("offset_ms", 0));
  DREY_TRY_ASSIGN(out.gap_ms, options.whole("gap_ms", 0));
  DREY_TRY_ASSIGN(out.allowed_lateness_ms, options.whole("allowed_lateness_ms", 0));
  DREY_TRY_ASSIGN(out.late_output, options.whole("late_output", -1));
  out.purge = options.flag("purge");
  DREY_TRY_ASSIGN(out.trigger_bytes, options.whole("trigger_bytes", 0));
  const std::string trigger = options.text("trigger", "default");
  const std::string_view kind = std::string_view(trigger).substr(0, trigger.find(':'));
  if (kind.size() < trigger.size()) {
    const char* end = trigger.data() + trigger.size();
    if (std::from_chars(trigger.data() + kind.size() + 1, end, out.count).ptr != end || out.count <= 0) {
      return bad("a trigger needs a positive number: " + trigger);
    }
  }
  const bool counts = out.count > 0;
  out.is_default = trigger == "default";
  if (trigger == "default") {
    out.trigger = out.assigner == Assigner::kGlobal ? Trigger::kNever
                  : out.event_time                  ? Trigger::kEventTime
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
    return bad("unknown trigger: " + trigger);
  }
  const bool is_continuous =
      out.trigger == Trigger::kContinuousEventTime || out.trigger == Trigger::kContinuousProcessingTime;
  if (is_continuous && out.assigner == Assigner::kGlobal) {
    return bad(
        "global windows never end, so a continuous trigger would fire for ever at the end of the input: use count(n) "
        "or a trigger of your own");
  }
  if (out.trigger == Trigger::kNever) {
    return bad("a global window never fires without a trigger: use count(n) or a trigger of your own");
  }
  out.is_default = out.is_default ||
                   (!out.purge && out.trigger == (out.event_time ? Trigger::kEventTime : Trigger::kProcessingTime));
  if (out.trigger_bytes < 0 || out.trigger_bytes > (1 << 16)) return bad("trigger_bytes must be between 0 and 65536");
  const bool timed = out.assigner == Assigner::kTumbling || out.assigner == Assigner::kSliding;
  if (timed && (out.size_ms <= 0 || out.slide_ms <= 0)) return bad("size and slide must be positive");
  if (out.assigner == Assigner::kSession && out.gap_ms <= 0) return bad("the session gap must be positive");
  return out;
}

Status Accumulators::open(OperatorContext& context, bool merges) {
  const graph::OperatorNode& node = context.node();
  const drey_functions* f = context.functions();
  fixed_bytes_ = node.accumulator_bytes;
  const std::string form = Options(node).text("accumulate", fixed_bytes_ > 0 ? "fixed" : "encoded");
  form_ = form == "elements" ? Form::kElements : form == "encoded" ? Form::kEncoded : Form::kFixed;
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
    char* value = table.writable_value(row) + at;
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
  return {"window", "Keyed windows: tumbling, sliding, session, global.",
          [](OperatorContext& context) -> Result<std::unique_ptr<Operator>> {
            DREY_TRY_ASSIGN(const WindowOptions options, WindowOptions::parse(context.node()));
            if (context.key_columns(0).empty()) {
              return fail(Code::kInvalidArgument,
                          fmt::format("Window operator '{}' has no key: call key_by first", context.node().name));
            }
            switch (options.assigner) {
              case WindowOptions::Assigner::kSession:
                return make_session_windows(context, options);
              case WindowOptions::Assigner::kGlobal:
              case WindowOptions::Assigner::kTumbling:
              case WindowOptions::Assigner::kSliding:
                break;
            }
            const bool once = options.is_default && options.assigner != WindowOptions::Assigner::kGlobal;
            return once ? make_time_windows(context, options) : make_triggered_windows(context, options);
          },
          nullptr};
}

}  // namespace drey::operators
