#include "operators/builtin.h"

#include <algorithm>
#include <span>
#include <vector>

#include <fmt/format.h>

#include "operators/operator_context.h"
#include "operators/user_code.h"

namespace drey::operators {
namespace {

struct WatermarksOptions {
  std::int64_t time_column = -1;
  std::int64_t out_of_orderness_ms = 0;
  std::int64_t idle_timeout_ms = 0;

  static constexpr auto options() {
    using M = WatermarksOptions;
    using config::option;
    return config::Options{
        option("time_column", &M::time_column, "Number of the column of timestamps; -1: `row_times` gives the times.")
            .at_least(-1),
        option("out_of_orderness_ms", &M::out_of_orderness_ms, "How far behind the latest row watermarks stay.")
            .at_least(0),
        option("idle_timeout_ms", &M::idle_timeout_ms,
               "A split without rows for so long holds no watermark back; 0: it always does.")
            .at_least(0)};
  }
};
static_assert(config::EveryMemberIsAnOption<WatermarksOptions>);

// watermarks: gives rows their event time and follows it: after each batch the watermark is the largest time
// seen, less the bound, less 1 ms (a row with the watermark's own time is late, as in Flink). Of a source with several
// splits the one that has come least far counts; a split without rows for the idle timeout does not count until it has
// some.
class Watermarks final : public Operator {
 public:
  Watermarks(OperatorContext& context, const WatermarksOptions& options)
      : context_(context),
        time_column_(options.time_column),
        bound_ms_(options.out_of_orderness_ms),
        idle_ms_(options.idle_timeout_ms) {}

  Status open(OperatorContext& context) override {
    if (idle_ms_ > 0) context_.wake_at(context_.processing_time() + idle_ms_);
    if (time_column_ >= 0) return {};
    return code_.create(context, "row_times", context.functions() && context.functions()->row_times);
  }

  Status process(std::uint32_t, const data::BatchRef& batch, Emitter& out) override {
    if (idle_) {
      idle_ = false;
      DREY_TRY(out.set_idle(false));
    }
    std::int64_t largest = kMinWatermark;
    if (time_column_ >= 0) {
      DREY_TRY(check_times(*batch));
      const auto column = static_cast<std::size_t>(time_column_);
      largest = largest_of(*batch, batch->values<std::int64_t>(column));
      const std::span times(batch->values<std::int64_t>(column), batch->physical_rows());
      DREY_TRY(out.emit(data::RowBatch::with_times(batch, times, context_.pool())));
    } else {
      const std::uint32_t rows = batch->rows();
      scratch_.resize(rows);
      times_.resize(batch->physical_rows());
      DREY_TRY(code_.call(&drey_functions::row_times, &out, &batch, &batch->abi(), scratch_.data()));
      for (std::uint32_t i = 0; i < rows; ++i) times_[batch->physical(i)] = scratch_[i];
      largest = largest_of(*batch, times_.data());
      DREY_TRY(out.emit(data::RowBatch::with_times(batch, times_, context_.pool())));
    }
    const std::int64_t now = idle_ms_ > 0 ? context_.processing_time() : 0;
    follow_splits(now);
    Split& split = splits_[context_.splits().current];
    split.largest = std::max(split.largest, largest);
    if (split.mark != nullptr && split.largest > kMinWatermark + bound_ms_)
      OperatorContext::set(split.mark, split.largest - bound_ms_ - 1);
    if (idle_ms_ > 0) {
      split.active_until = now + idle_ms_;
      split.is_idle = false;
      context_.wake_at(split.active_until);
    }
    return advance(split.largest, out);
  }

  // Watermarks from upstream do not count, but the end of the input does.
  Status on_watermark(std::int64_t watermark, Emitter& out) override {
    return watermark == kMaxWatermark ? out.advance(watermark) : Status();
  }

  Status on_processing_time(std::int64_t now, Emitter& out) override {
    if (idle_ms_ <= 0 || idle_) return {};
    follow_splits(now);
    std::int64_t next = INT64_MAX;
    for (std::size_t s = 0; s < splits_.size(); ++s) {
      Split& split = splits_[s];
      split.is_idle = now >= split.active_until;
      if (!split.is_idle && context_.splits().active[s]) next = std::min(next, split.active_until);
    }
    if (next == INT64_MAX) {
      idle_ = true;
      return out.set_idle(true);
    }
    context_.wake_at(next);
    return advance(kMaxWatermark, out);
  }

 private:
  struct Split {
    std::int64_t largest = kMinWatermark;  // of the event times
    std::int64_t active_until = 0;         // then idle, unless rows come before
    bool is_idle = false;
    std::int64_t* mark = nullptr;  // its watermark, shown by the source; null: there is none
  };

  Status check_times(const data::RowBatch& batch) const {
    const auto column = static_cast<std::size_t>(time_column_);
    const std::uint64_t* valid = batch.validity(column);
    if (valid == nullptr) return {};
    for (std::uint32_t i = 0; i < batch.rows(); ++i) {
      if (data::is_valid(valid, batch.physical(i))) continue;
      return fail(Code::kInvalidArgument, fmt::format("Operator '{}': a row has no event time: column '{}' is null",
                                                      context_.node().name, context_.input_schema(0)[column].name));
    }
    return {};
  }

  static std::int64_t largest_of(const data::RowBatch& batch, const std::int64_t* times) {
    const std::uint32_t rows = batch.rows();
    std::int64_t largest[4] = {kMinWatermark, kMinWatermark, kMinWatermark, kMinWatermark};
    std::uint32_t i = 0;
    if (batch.selection() == nullptr) {  // four at a time, for each comparison waits for the one before
      for (; i + 4 <= rows; i += 4) {
        for (std::uint32_t k = 0; k < 4; ++k) largest[k] = std::max(largest[k], times[i + k]);
      }
    }
    for (; i < rows; ++i) largest[0] = std::max(largest[0], times[batch.physical(i)]);
    return *std::max_element(largest, largest + 4);
  }

  // The source's splits are known when it has been opened, which is after us.
  void follow_splits(std::int64_t now) {
    const std::size_t count = context_.splits().active.size();
    if (splits_.size() == count) return;
    splits_.assign(count, {.active_until = now + idle_ms_});
    for (std::size_t s = 0; s < count; ++s) {
      splits_[s].mark = context_.source_metric(fmt::format("split.{}.watermark.currentWatermark", s), DREY_GAUGE);
      if (splits_[s].mark != nullptr) OperatorContext::set(splits_[s].mark, kMinWatermark);
    }
  }

  // To `bound`, or as far as the slowest split allows.
  Status advance(std::int64_t bound, Emitter& out) {
    for (std::size_t s = 0; s < splits_.size(); ++s) {
      if (context_.splits().active[s] && !splits_[s].is_idle) bound = std::min(bound, splits_[s].largest);
    }
    return bound > kMinWatermark + bound_ms_ ? out.advance(bound - bound_ms_ - 1) : Status();
  }

  OperatorContext& context_;
  UserCode code_;
  const std::int64_t time_column_;
  const std::int64_t bound_ms_;
  const std::int64_t idle_ms_;
  std::vector<Split> splits_;  // as the source's
  bool idle_ = false;          // all that are active
  std::vector<std::int64_t> times_;
  std::vector<std::int64_t> scratch_;
};

}  // namespace

OperatorKind watermarks_kind() {
  return declare<WatermarksOptions>({
      .name = DREY_KIND_WATERMARKS,
      .doc = "Gives rows their event time, from a column or by `row_times`, and emits watermarks behind it.",
      .traits = {.gives_event_time = true, .accepts = graph::Changes::kAll, .produces = graph::Changes::kAsInput},
      .output_schema = [](const Schemas& inputs, const WatermarksOptions& options, const Schemas&) -> Result<Schemas> {
        const std::int64_t column = options.time_column;
        if (column >= 0 && (column >= static_cast<std::int64_t>(inputs[0].size()) ||
                            inputs[0][static_cast<std::size_t>(column)].type.kind != data::TypeKind::kTimestamp)) {
          return fail(Code::kInvalidArgument,
                      fmt::format("Option time_column must be the number of a column of timestamps: value={}", column));
        }
        return Schemas{inputs[0]};
      },
      .make_operator = [](OperatorContext& context,
                          const WatermarksOptions& options) { return std::make_unique<Watermarks>(context, options); },
  });
}

}  // namespace drey::operators
