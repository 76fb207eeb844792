// Parts that window operators share. Internal to operators/.
#pragma once

#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "operators/kind.h"
#include "operators/operator_context.h"
#include "operators/user_code.h"

namespace drey::operators {

// Sums of times end at the least and the last of them.
inline std::int64_t saturating_add(std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return b < 0 ? INT64_MIN : INT64_MAX;
}

struct WindowOptions {
  enum class Assigner { kTumbling, kSliding, kSession, kGlobal };
  enum class Trigger {
    kEventTime,
    kProcessingTime,
    kCount,
    kContinuousEventTime,
    kContinuousProcessingTime,
    kCustom,
    kNever
  };
  Assigner assigner = Assigner::kTumbling;
  bool event_time = true;
  std::int64_t size_ms = 0;
  std::int64_t slide_ms = 0;
  std::int64_t offset_ms = 0;
  std::int64_t gap_ms = 0;
  Trigger trigger = Trigger::kEventTime;
  bool is_default = true;          // fires once, when its time has passed the window's end
  std::int64_t count = 0;          // rows, or milliseconds between firings
  std::int64_t trigger_bytes = 0;  // state of a custom trigger
  bool purge = false;              // built-in triggers: the window is empty after it has fired
  std::int64_t allowed_lateness_ms = 0;
  std::int64_t late_output = -1;

  // Last instant of a window, and the time from which on nothing can reach it.
  static std::int64_t last_of(std::int64_t end) { return end == INT64_MAX ? end : end - 1; }
  std::int64_t cleanup_of(std::int64_t end) const {
    if (end == INT64_MAX) return end;
    return event_time ? saturating_add(end - 1, allowed_lateness_ms) : end - 1;
  }
  // Whether windows that hold `time` have ends that are times. A row without is late for all of them.
  bool has_windows(std::int64_t time) const {
    const std::int64_t margin = saturating_add(saturating_add(size_ms, slide_ms), std::abs(offset_ms));
    return time > saturating_add(INT64_MIN, saturating_add(margin, margin)) && time < INT64_MAX - margin;
  }
  bool is_gone(std::int64_t end, std::int64_t watermark) const {
    return event_time && watermark != INT64_MIN && end != INT64_MAX && cleanup_of(end) <= watermark;
  }
};

constexpr auto enum_table(WindowOptions::Assigner) {
  using A = WindowOptions::Assigner;
  return std::array{EnumRow{A::kTumbling, "tumbling"}, EnumRow{A::kSliding, "sliding"}, EnumRow{A::kSession, "session"},
                    EnumRow{A::kGlobal, "global"}};
}

// The user's accumulator behind one face, whether it lies in place, is encoded, or is the list of elements.
class Accumulators {
 public:
  enum class Form { kFixed, kEncoded, kElements };

  // FAILS WITH: kIncompatible when the job's functions lack what the form needs, or merge where it
  // `merges`.
  Status open(OperatorContext& context, bool merges);
  Form form() const { return form_; }
  std::uint32_t fixed_bytes() const { return fixed_bytes_; }
  UserCode& code() { return code_; }

  // Fixed: adds physical rows ids[i] to the accumulators at rows[i].
  Status add(const data::BatchRef& batch, std::uint32_t n, const std::uint32_t* ids, void* const* rows,
             const std::uint8_t* fresh, Emitter& out);
  // Any form: `bytes` is the accumulator (empty: none yet) before and after.
  Status add_one(const data::BatchRef& batch, std::uint32_t id, std::string& bytes, Emitter& out);
  Status merge(std::string& into, std::string_view from, Emitter& out);
  // The same for an accumulator that lies in a row of a table, behind `offset` bytes. Returns where
  // the row is now.
  Result<state::Address> add_to_row(state::Table& table, state::Address row, std::uint32_t offset,
                                    const data::BatchRef& batch, std::uint32_t id, Emitter& out);

  // Merging many by number: begin_merge, merge_next with numbers that grow by one at most, then
  // merged(number).
  void begin_merge();
  Status merge_next(std::uint32_t number, std::string_view accumulator, Emitter& out);
  std::string_view merged(std::size_t number) const;

  // Calls fire for accumulators[i] (bytes of each).
  Status fire(drey_window window, const std::vector<drey_view>& keys, const std::vector<std::string_view>& accumulators,
              Emitter& out);

 private:
  UserCode code_;
  Form form_ = Form::kFixed;
  // The bytes that one element adds behind the others (elements form).
  Status element(const data::BatchRef& batch, std::uint32_t id, std::string_view& bytes, Emitter& out);

  std::uint32_t fixed_bytes_ = 0;
  std::vector<std::uint64_t> scratch_;
  std::vector<std::uint64_t> merged_fixed_;  // each takes scratch_.size() words
  std::vector<std::string> merged_;
  std::size_t merged_count_ = 0;
};

constexpr auto enum_table(Accumulators::Form) {
  using F = Accumulators::Form;
  return std::array{EnumRow{F::kFixed, "fixed"}, EnumRow{F::kEncoded, "encoded"}, EnumRow{F::kElements, "elements"}};
}

// Start of the tumbling window of that slide which holds `time`.
inline std::int64_t window_start(std::int64_t time, std::int64_t offset, std::int64_t slide) {
  const std::int64_t rest = (time - offset) % slide;
  return time - (rest < 0 ? rest + slide : rest);
}

// When windows fire: the built-in triggers and the job's own behind one face. What a trigger remembers of a window
// (its part) is bytes() of state that the caller keeps beside the accumulator; zeroed at first, then begin().
class Triggers {
 public:
  // Bits of an answer.
  static constexpr int kContinue = 0;
  static constexpr int kFire = 1;
  static constexpr int kPurge = 2;
  struct Timers {
    std::int64_t event;  // DREY_NO_TIME: none
    std::int64_t processing;
  };

  // FAILS WITH: kIncompatible when the job's functions lack what a custom trigger needs.
  Status open(OperatorContext& context, const WindowOptions& options, UserCode& code);
  std::uint32_t bytes() const { return bytes_; }
  void begin(char* part) const;
  static Timers timers_of(const char* part);

  // `time`: event time of the row, or DREY_NO_TIME.
  Result<int> on_element(drey_window window, const data::BatchRef& batch, std::uint32_t id, std::int64_t time,
                         char* part, Emitter& out);
  // A timer of the window is due; it is no longer set.
  Result<int> on_time(state::TimeKind kind, drey_window window, std::int64_t time, char* part, Emitter& out);
  // Two windows become one; on_element follows. Timers are not kept.
  Status merge(char* into, const char* from, Emitter& out);

 private:
  struct Part;
  Result<int> ask(drey_trigger_event event, drey_window window, const data::BatchRef* batch, std::uint32_t id,
                  std::int64_t time, char* part, Emitter& out);

  OperatorContext* context_ = nullptr;
  const WindowOptions* options_ = nullptr;
  UserCode* code_ = nullptr;
  std::uint32_t bytes_ = 0;
};

// Rows without event time cannot enter event-time windows. FAILS WITH: kInvalidArgument naming the operator.
Status check_event_time(const OperatorContext& context, const WindowOptions& options, const data::RowBatch& batch);
// Late rows (physical ids) go to their side output, or are counted as dropped.
Status give_late_rows(OperatorContext& context, const WindowOptions& options, const data::BatchRef& batch,
                      const std::vector<std::uint32_t>& late, std::int64_t* dropped, Emitter& out);

Result<std::unique_ptr<Operator>> make_time_windows(OperatorContext& context, WindowOptions options);
Result<std::unique_ptr<Operator>> make_session_windows(OperatorContext& context, WindowOptions options);
Result<std::unique_ptr<Operator>> make_triggered_windows(OperatorContext& context, WindowOptions options);

}  // namespace drey::operators
