#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <numeric>
#include <optional>
#include <span>
#include <vector>

#include "operators/key_index.h"
#include "operators/window.h"

namespace drey::operators {
namespace {

constexpr std::size_t kFireRows = 1024;
// What the windows that overlap may take beside their slices while one of them is put together.
constexpr std::size_t kMergeBytesMax = 16u << 20;

// Tumbling and sliding windows with the default trigger, on slices of gcd(size, slide): a row is added to the one slice
// it falls into, a window is put together from its slices when it fires. Windows follow from the slices that have rows,
// so there is one timer per window end, not per key.
//
// A window fires in parts of kFireRows keys, each a call of fire_more(); a checkpoint is taken between two windows.
// In processing time a window fires when its last millisecond has passed.
//
// State: the slices "~slices" by their ends; the union list "~fired" of (first key group, last key group, end up to
// which windows have fired) where fired windows leave slices behind, because windows share them or rows may be late.
class TimeWindows final : public Operator {
 public:
  TimeWindows(OperatorContext& context, WindowOptions options)
      : context_(context),
        options_(options),
        slice_ms_(std::gcd(options.size_ms, options.slide_ms)),
        shares_slices_(options.size_ms != slice_ms_) {}

  Status open(OperatorContext& context) override {
    DREY_TRY(accumulators_.open(context, shares_slices_));
    const bool fixed = accumulators_.form() == Accumulators::Form::kFixed;
    DREY_TRY_ASSIGN(slices_, context.state().slices(context.operator_id(), context.node().name, "~slices",
                                                    fixed ? accumulators_.fixed_bytes() : 0, "~windows"));
    late_dropped_ = context.metric("numLateRecordsDropped", DREY_COUNTER);
    if (shares_slices_ || (options_.event_time && options_.allowed_lateness_ms > 0)) {
      DREY_TRY_ASSIGN(fired_, context.state().operator_list(context.operator_id(), "~fired", true));
      if (options_.event_time) fired_up_to_ = behind(context.watermark());
      DREY_TRY(restore_fired());
    }
    // The checkpoint may have been taken while windows fired.
    if (options_.event_time) begin_firing(context.watermark());
    schedule();
    return {};
  }

  Status process(std::uint32_t, const data::BatchRef& batch, Emitter& out) override {
    DREY_TRY(check_event_time(context_, options_, *batch));
    keys_.encode(*batch, context_.key_columns(0));
    late_.clear();
    if (options_.event_time) {
      DREY_TRY(add_by_time(batch, batch->row_times(), out));
    } else {
      // A clock that is set back does not lead into windows that have fired.
      const std::int64_t now = std::max(context_.processing_time(), fired_up_to_);
      const std::int64_t end = slice_end_of(now);
      if (fate_of(end) == Fate::kInTime) DREY_TRY(add_all(batch, end, out));
    }
    DREY_TRY(give_late_rows(context_, options_, batch, late_, late_dropped_, out));
    schedule();
    return {};
  }

  Status on_watermark(std::int64_t watermark, Emitter& out) override {
    if (!options_.event_time) return out.advance(watermark);
    begin_firing(watermark);
    return is_firing() ? fire_more(out) : out.advance(watermark);
  }

  Status on_processing_time(std::int64_t now, Emitter& out) override {
    if (!options_.event_time) begin_firing(now - 1);
    if (is_firing()) return fire_more(out);
    schedule();
    return {};
  }

  bool is_firing() const override { return is_firing_; }

  Status fire_more(Emitter& out) override {
    for (std::size_t rows = 0; rows < kFireRows;) {
      if (!window_ && !begin_window()) {
        is_firing_ = false;
        if (options_.event_time) return out.advance(due_);
        schedule();
        return {};
      }
      DREY_TRY_ASSIGN(const std::size_t fired, fire_part(out));
      rows += fired + 1;
    }
    return {};
  }

  // A window that has begun to fire does so to its end.
  Status prepare_barrier(std::int64_t, Emitter& out) override {
    while (window_) DREY_TRY(fire_part(out).status());
    return {};
  }

  Status snapshot(std::int64_t) override {
    if (fired_ == nullptr) return {};
    const data::KeyGroupRange groups = context_.state().key_groups();
    fired_->assign({fmt::format("{} {} {}", groups.first, groups.last, fired_up_to_)});
    return {};
  }

 private:
  // What becomes of the rows of a slice.
  enum class Fate { kInTime, kFiresAgain, kTooLate, kInNoWindow };
  using Tables = std::map<std::int64_t, state::Table*>;

  // --- slices and windows ---

  // Windows that end here or before have fired at `time`.
  static std::int64_t behind(std::int64_t time) {
    return time == kMinWatermark || time == kMaxWatermark ? time : time + 1;
  }
  bool is_gone(std::int64_t window_end, std::int64_t time) const {
    if (time == kMinWatermark) return false;
    const std::int64_t lateness = options_.event_time && time != kMaxWatermark ? options_.allowed_lateness_ms : 0;
    return saturating_add(window_end - 1, lateness) <= time;
  }
  std::int64_t slice_end_of(std::int64_t time) const {
    return window_start(time, options_.offset_ms, slice_ms_) + slice_ms_;
  }
  // First and last of the windows that a slice belongs to (their ends).
  std::int64_t first_end(std::int64_t slice_end) const {
    const std::int64_t before = window_start(slice_end, options_.offset_ms + options_.size_ms, options_.slide_ms);
    return before == slice_end ? slice_end : before + options_.slide_ms;
  }
  std::int64_t last_end(std::int64_t slice_end) const {
    return window_start(slice_end - slice_ms_, options_.offset_ms, options_.slide_ms) + options_.size_ms;
  }
  // The next window that has rows and has not fired.
  std::optional<std::int64_t> next_end() const {
    const Tables& slices = slices_->tables();
    if (slices.empty() || fired_up_to_ == kMaxWatermark) return std::nullopt;
    std::int64_t end = first_end(slices.begin()->first);
    if (fired_up_to_ != kMinWatermark) end = std::max(end, first_end(fired_up_to_ + 1));
    const auto slice = slices.upper_bound(end - options_.size_ms);
    if (slice == slices.end()) return std::nullopt;
    return std::max(end, first_end(slice->first));
  }
  template <class F>
  void for_slices(std::int64_t window_end, F&& f) const {
    const Tables& slices = slices_->tables();
    for (auto it = slices.upper_bound(window_end - options_.size_ms); it != slices.end() && it->first <= window_end;
         ++it) {
      f(*it->second);
    }
  }

  // --- rows come in ---

  Fate fate_of(std::int64_t slice_end) const {
    const std::int64_t last = last_end(slice_end);
    if (last < slice_end) return Fate::kInNoWindow;  // slides larger than the size leave gaps
    if (!options_.event_time) return Fate::kInTime;
    const std::int64_t mark = context_.watermark();
    if (is_gone(last, mark)) return Fate::kTooLate;
    if (mark == kMinWatermark || first_end(slice_end) - 1 > mark) return Fate::kInTime;
    return Fate::kFiresAgain;
  }

  // Least and largest; four at a time, for each comparison waits for the one before.
  static std::pair<std::int64_t, std::int64_t> bounds_of(std::span<const std::int64_t> times) {
    std::int64_t least[4], most[4];
    std::fill_n(least, 4, times[0]);
    std::fill_n(most, 4, times[0]);
    std::size_t i = 0;
    for (; i + 4 <= times.size(); i += 4) {
      for (std::size_t k = 0; k < 4; ++k) {
        least[k] = std::min(least[k], times[i + k]);
        most[k] = std::max(most[k], times[i + k]);
      }
    }
    for (; i < times.size(); ++i) {
      least[0] = std::min(least[0], times[i]);
      most[0] = std::max(most[0], times[i]);
    }
    return {*std::min_element(least, least + 4), *std::max_element(most, most + 4)};
  }

  Status add_by_time(const data::BatchRef& batch, const std::int64_t* times, Emitter& out) {
    // Of most batches all rows fall into one slice. Rows that a selection leaves out may be looked at as well.
    const auto [least, most] = bounds_of({times, batch->physical_rows()});
    if (options_.has_windows(least) && options_.has_windows(most)) {
      const std::int64_t end = slice_end_of(least);
      if (most < end && fate_of(end) == Fate::kInTime) return add_all(batch, end, out);
    }
    // Else by runs of rows of one slice.
    rows_.clear();
    std::int64_t end = 0;
    Fate fate = Fate::kInNoWindow;
    bool is_known = false;
    for (std::uint32_t i = 0; i < batch->rows(); ++i) {
      const std::uint32_t row = batch->physical(i);
      const std::int64_t time = times[row];
      if (!options_.has_windows(time)) {
        late_.push_back(row);
        continue;
      }
      if (!is_known || time >= end || time < end - slice_ms_) {
        DREY_TRY(add(batch, end, out));
        end = slice_end_of(time);
        fate = fate_of(end);
        is_known = true;
      }
      if (fate == Fate::kTooLate) late_.push_back(row);
      if (fate != Fate::kInTime && fate != Fate::kFiresAgain) continue;
      rows_.push_back(i);
      if (fate == Fate::kFiresAgain) {
        DREY_TRY(add(batch, end, out));
        DREY_TRY(fire_again(i, end, out));
      }
    }
    return add(batch, end, out);
  }

  // All rows of a batch to one slice.
  Status add_all(const data::BatchRef& batch, std::int64_t slice_end, Emitter& out) {
    const std::uint32_t* ids = batch->selection();
    if (ids == nullptr) {
      const std::size_t known = all_ids_.size();
      if (known < batch->rows()) {
        all_ids_.resize(batch->rows());
        std::iota(all_ids_.begin() + static_cast<std::ptrdiff_t>(known), all_ids_.end(),
                  static_cast<std::uint32_t>(known));
      }
      ids = all_ids_.data();
    }
    return add_to(slices_->table(slice_end), batch, keys_.keys(), keys_.hashes(), ids, out);
  }

  // rows_ of a batch to one slice; takes them.
  Status add(const data::BatchRef& batch, std::int64_t slice_end, Emitter& out) {
    if (rows_.empty()) return {};
    some_keys_.clear();
    some_hashes_.clear();
    ids_.clear();
    for (const std::uint32_t i : rows_) {
      some_keys_.push_back(keys_.keys()[i]);
      some_hashes_.push_back(keys_.hashes()[i]);
      ids_.push_back(batch->physical(i));
    }
    rows_.clear();
    return add_to(slices_->table(slice_end), batch, some_keys_, some_hashes_, ids_.data(), out);
  }

  Status add_to(state::Table& slice, const data::BatchRef& batch, std::span<const data::View> keys,
                std::span<const std::uint64_t> hashes, const std::uint32_t* ids, Emitter& out) {
    const std::size_t n = keys.size();
    if (accumulators_.form() == Accumulators::Form::kFixed) {
      values_.resize(n);
      fresh_.resize(n);
      DREY_TRY(slice.values(keys, hashes, {}, true, values_.data(), fresh_.data()));
      return accumulators_.add(batch, static_cast<std::uint32_t>(n), ids, values_.data(), fresh_.data(), out);
    }
    for (std::size_t i = 0; i < n; ++i) {
      DREY_TRY_ASSIGN(state::Address row, slice.upsert(keys[i], hashes[i], 0, 0));
      DREY_TRY_ASSIGN(row, accumulators_.add_to_row(slice, row, 0, batch, ids[i], out));
    }
    return {};
  }

  // A row that came after windows it belongs to had fired: they fire again, for its key.
  Status fire_again(std::uint32_t i, std::int64_t slice_end, Emitter& out) {
    const std::int64_t mark = context_.watermark();
    const data::View& key = keys_.keys()[i];
    for (std::int64_t end = first_end(slice_end); end <= last_end(slice_end) && end - 1 <= mark;
         end += options_.slide_ms) {
      if (is_gone(end, mark)) continue;
      std::string whole;
      Status merged;
      for_slices(end, [&](const state::Table& slice) {
        const state::Address row = slice.find(key, keys_.hashes()[i]);
        if (row == state::kNoRow || !merged.ok()) return;
        if (whole.empty()) {
          whole = slice.value_of(row);
        } else {
          merged = accumulators_.merge(whole, slice.value_of(row), out);
        }
      });
      DREY_TRY(std::move(merged));
      DREY_TRY(accumulators_.fire({end - options_.size_ms, end}, {key}, {whole}, out));
    }
    return {};
  }

  // --- time goes on ---

  // The window that is firing: its keys are gathered in passes, and given in parts.
  struct Firing {
    std::int64_t end = 0;
    std::size_t passes = 1;
    std::size_t pass = 0;
    std::size_t given = 0;  // of the keys that this pass has put together
    bool is_put_together = false;
    state::Table::Position at;  // in the one slice of a window that shares none
  };

  void begin_firing(std::int64_t time) {
    if (time == kMinWatermark) return;
    due_ = time;
    const std::optional<std::int64_t> end = next_end();
    is_firing_ = end && *end - 1 <= due_;
    if (!is_firing_) pass_time();
  }

  // Nothing that ends by due_ waits any more; slices that no window needs are forgotten.
  void pass_time() {
    fired_up_to_ = std::max(fired_up_to_, behind(due_));
    forget(due_);
  }
  void forget(std::int64_t time) {
    const Tables& slices = slices_->tables();
    while (!slices.empty() && is_gone(last_end(slices.begin()->first), time)) slices_->erase(slices.begin()->first);
  }

  // Takes the next window that is due. Returns false when there is none, and time has passed.
  bool begin_window() {
    const std::optional<std::int64_t> end = next_end();
    if (!end || *end - 1 > due_) {
      pass_time();
      return false;
    }
    window_.emplace().end = *end;
    if (!shares_slices_) return true;
    std::size_t bytes = 0;
    for_slices(*end, [&](const state::Table& slice) {
      bytes += accumulators_.form() == Accumulators::Form::kFixed ? slice.rows() * (64 + accumulators_.fixed_bytes())
                                                                  : slice.bytes() + slice.rows() * 64;
    });
    window_->passes = 1 + bytes / kMergeBytesMax;
    return true;
  }

  // Gives up to kFireRows keys of the window that fires. Returns how many; when there are no more, the window is done.
  Result<std::size_t> fire_part(Emitter& out) {
    fire_keys_.clear();
    fire_values_.clear();
    DREY_TRY_ASSIGN(const bool is_done, shares_slices_ ? take_merged(out) : take_rows());
    const std::int64_t end = window_->end;
    const std::size_t fired = fire_keys_.size();
    context_.state().count_fired(fired);
    DREY_TRY(accumulators_.fire({end - options_.size_ms, end}, fire_keys_, fire_values_, out));
    if (is_done) {
      window_.reset();
      fired_up_to_ = end;
      // Not further than this window: what follows has not fired.
      forget(std::min(due_, end - 1));
    }
    return fired;
  }

  Result<bool> take_rows() {
    const auto slice = slices_->tables().find(window_->end);
    if (slice == slices_->tables().end()) return true;
    const state::Table& table = *slice->second;
    fire_rows_.clear();
    const bool has_more = table.next_rows(window_->at, kFireRows, fire_rows_);
    for (const state::Address row : fire_rows_) {
      const data::View key = table.key_of(row);
      if (has_fired(key, window_->end)) continue;
      fire_keys_.push_back(key);
      fire_values_.push_back(table.value_of(row));
    }
    return !has_more;
  }

  // Puts a window together, key by key; in passes over parts of the keys when it is large.
  Result<bool> take_merged(Emitter& out) {
    Firing& window = *window_;
    if (!window.is_put_together) {
      DREY_TRY(merge_pass(out));
      window.is_put_together = true;
      window.given = 0;
    }
    const std::vector<data::View>& keys = merge_keys_.keys();
    const std::size_t upto = std::min(window.given + kFireRows, keys.size());
    for (; window.given < upto; ++window.given) {
      fire_keys_.push_back(keys[window.given]);
      fire_values_.push_back(accumulators_.merged(window.given));
    }
    if (window.given < keys.size()) return false;
    window.is_put_together = false;
    return ++window.pass == window.passes;
  }

  Status merge_pass(Emitter& out) {
    merge_keys_.clear();
    accumulators_.begin_merge();
    Status merged;
    for_slices(window_->end, [&](const state::Table& slice) {
      slice.for_each([&](state::Address row) {
        if (!merged.ok()) return;
        const data::View key = slice.key_of(row);
        const std::uint64_t hash = data::hash_of(key);
        const std::size_t passes = window_->passes;
        if (passes > 1 && ((hash * 0x9E3779B97F4A7C15ULL) >> 32) % passes != window_->pass) return;
        if (has_fired(key, window_->end)) return;
        merged = accumulators_.merge_next(merge_keys_.number(key, hash), slice.value_of(row), out);
      });
    });
    return merged;
  }

  void schedule() {
    if (options_.event_time) return;
    if (const std::optional<std::int64_t> end = next_end()) context_.wake_at(*end);
  }

  // --- which windows had fired when the state was saved ---

  bool has_fired(const data::View& key, std::int64_t end) const {
    if (end > restored_fired_max_) return false;
    return end <= restored_fired_[data::key_group_of(data::hash_of(key), context_.max_parallelism())];
  }

  Status restore_fired() {
    if (fired_->elements().empty()) return {};
    restored_fired_.assign(context_.max_parallelism(), kMinWatermark);
    for (const std::string& element : fired_->elements()) {
      std::uint32_t first = 0;
      std::uint32_t last = 0;
      std::int64_t up_to = 0;
      if (std::sscanf(element.c_str(), "%u %u %ld", &first, &last, &up_to) != 3 || last >= restored_fired_.size()) {
        return fail(Code::kCorrupt,
                    fmt::format("State of window operator '{}' cannot be read: {}", context_.node().name, element));
      }
      for (std::uint32_t g = first; g <= last; ++g) restored_fired_[g] = up_to;
      restored_fired_max_ = std::max(restored_fired_max_, up_to);
    }
    fired_up_to_ = kMaxWatermark;
    const data::KeyGroupRange own = context_.state().key_groups();
    for (std::uint32_t g = own.first; g <= own.last; ++g) fired_up_to_ = std::min(fired_up_to_, restored_fired_[g]);
    return {};
  }

  OperatorContext& context_;
  const WindowOptions options_;
  const std::int64_t slice_ms_;
  const bool shares_slices_;  // windows have more than one slice
  Accumulators accumulators_;
  state::Slices* slices_ = nullptr;
  state::OperatorList* fired_ = nullptr;
  std::int64_t* late_dropped_ = nullptr;
  std::int64_t fired_up_to_ = kMinWatermark;  // window ends
  std::int64_t due_ = kMinWatermark;          // what ends by then fires
  bool is_firing_ = false;
  std::optional<Firing> window_;
  std::vector<std::int64_t> restored_fired_;  // by key group
  std::int64_t restored_fired_max_ = kMinWatermark;
  data::KeyVector keys_;
  // Of the batch under way: rows of one slice; physical rows that are late.
  std::vector<std::uint32_t> rows_;
  std::vector<std::uint32_t> late_;
  std::vector<data::View> some_keys_;
  std::vector<std::uint64_t> some_hashes_;
  std::vector<std::uint32_t> ids_;
  std::vector<std::uint32_t> all_ids_;  // 0, 1, 2, ...
  std::vector<void*> values_;
  std::vector<std::uint8_t> fresh_;
  KeyIndex merge_keys_;
  std::vector<state::Address> fire_rows_;
  std::vector<drey_view> fire_keys_;
  std::vector<std::string_view> fire_values_;
};

}  // namespace

Result<std::unique_ptr<Operator>> make_time_windows(OperatorContext& context, WindowOptions options) {
  return std::unique_ptr<Operator>(std::make_unique<TimeWindows>(context, options));
}

}  // namespace drey::operators
