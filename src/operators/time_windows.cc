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

// Tumbling and sliding windows with the default trigger, on slices of gcd(size, slide): a row is
// added to the one slice it falls into, a window is put together from its slices when it fires. One
// table whose groups are the slices (by end); windows follow from the slices that have rows, so
// there is one timer per window end, not per key.
//
// State: table "~windows"; in processing time, when slices are shared by windows, the union list
// "~fired" of (first key group, last key group, end up to which windows have fired).
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
    DREY_TRY_ASSIGN(table_, context.state().table(context.operator_id(), context.node().name, "~windows",
                                                  {fixed ? accumulators_.fixed_bytes() : 0, true, false}));
    late_dropped_ = context.metric("numLateRecordsDropped", DREY_COUNTER);
    if (options_.event_time) {
      // Windows that ended before the restored watermark have fired.
      fired_up_to_ = behind(context.watermark());
    } else if (shares_slices_) {
      DREY_TRY_ASSIGN(fired_, context.state().operator_list(context.operator_id(), "~fired", true));
      DREY_TRY(restore_fired());
    }
    schedule();
    return {};
  }

  Status process(std::uint32_t, const data::BatchRef& batch, Emitter& out) override {
    DREY_TRY(check_event_time(context_, options_, *batch));
    keys_.encode(*batch, context_.key_columns(0));
    const std::int64_t now = options_.event_time ? 0 : context_.processing_time();
    const std::int64_t* times = options_.event_time ? batch->row_times() : nullptr;
    const std::uint32_t* selection = batch->selection();
    rows_.resize(batch->rows());
    slices_.resize(batch->rows());
    late_.clear();
    std::size_t in_time = 0;
    std::int64_t begin = 0;  // of the slice that the last row fell into
    Fate fate = Fate::kUnknown;
    for (std::uint32_t i = 0; i < batch->rows(); ++i) {
      const std::uint32_t row = selection != nullptr ? selection[i] : i;
      const std::int64_t time = times != nullptr ? times[row] : now;
      if (fate == Fate::kUnknown || time < begin || time - begin >= slice_ms_) {
        begin = window_start(time, options_.offset_ms, slice_ms_);
        fate = fate_of(begin + slice_ms_);
      }
      if (fate == Fate::kInTime) [[likely]] {
        rows_[in_time] = i;
        slices_[in_time++] = begin + slice_ms_;
      } else if (fate == Fate::kTooLate) {
        late_.push_back(row);
      } else if (fate == Fate::kFiresAgain) {
        // What came before it counts in what it fires.
        DREY_TRY(add(batch, {rows_.data(), in_time}, slices_, out));
        in_time = 0;
        const std::int64_t slice_end = begin + slice_ms_;
        DREY_TRY(add(batch, {&i, 1}, {&slice_end, 1}, out));
        DREY_TRY(fire_again(i, slice_end, out));
      }
    }
    DREY_TRY(add(batch, {rows_.data(), in_time}, slices_, out));
    DREY_TRY(give_late_rows(context_, options_, batch, late_, late_dropped_, out));
    schedule();
    return {};
  }

  Status on_watermark(std::int64_t watermark, Emitter& out) override {
    if (options_.event_time) DREY_TRY(advance(watermark, out));
    return out.advance(watermark);
  }

  Status on_processing_time(std::int64_t now, Emitter& out) override {
    if (!options_.event_time) DREY_TRY(advance(now, out));
    schedule();
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
  enum class Fate { kUnknown, kInTime, kFiresAgain, kTooLate, kInNoWindow };

  // --- slices and windows ---

  std::int64_t current_time() const { return options_.event_time ? context_.watermark() : kMinWatermark; }
  // Windows that end here or before have fired at `time`.
  static std::int64_t behind(std::int64_t time) {
    return time == kMinWatermark || time == kMaxWatermark ? time : time + 1;
  }
  bool is_gone(std::int64_t window_end, std::int64_t time) const {
    if (time == kMinWatermark) return false;
    const std::int64_t lateness = options_.event_time && time != kMaxWatermark ? options_.allowed_lateness_ms : 0;
    return window_end - 1 <= time - lateness;
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
    const auto& slices = table_->groups();
    if (slices.empty()) return std::nullopt;
    std::int64_t end = first_end(slices.begin()->first);
    if (fired_up_to_ == kMaxWatermark) return std::nullopt;
    if (fired_up_to_ != kMinWatermark) end = std::max(end, first_end(fired_up_to_ + 1));
    const auto slice = slices.upper_bound(end - options_.size_ms);
    if (slice == slices.end()) return std::nullopt;
    return std::max(end, first_end(slice->first));
  }
  template <class F>
  void for_slices(std::int64_t window_end, F&& f) const {
    const auto& slices = table_->groups();
    for (auto it = slices.upper_bound(window_end - options_.size_ms); it != slices.end() && it->first <= window_end;
         ++it) {
      f(it->first, it->second);
    }
  }

  // --- rows come in ---

  Fate fate_of(std::int64_t slice_end) const {
    const std::int64_t last = last_end(slice_end);
    if (last < slice_end) return Fate::kInNoWindow;  // slides larger than the size leave gaps
    if (!options_.event_time) return Fate::kInTime;
    const std::int64_t mark = current_time();
    if (is_gone(last, mark)) return Fate::kTooLate;
    if (mark == kMinWatermark || first_end(slice_end) - 1 > mark) return Fate::kInTime;
    return Fate::kFiresAgain;
  }

  // Adds rows of a batch, each to its slice.
  Status add(const data::BatchRef& batch, std::span<const std::uint32_t> rows, std::span<const std::int64_t> slice_ends,
             Emitter& out) {
    const std::size_t n = rows.size();
    if (n == 0) return {};
    slice_ends = slice_ends.first(n);
    std::span<const data::View> keys = keys_.keys();
    std::span<const std::uint64_t> hashes = keys_.hashes();
    if (n != batch->rows()) {  // of most batches all rows are in time
      some_keys_.resize(n);
      some_hashes_.resize(n);
      for (std::size_t i = 0; i < n; ++i) {
        some_keys_[i] = keys[rows[i]];
        some_hashes_[i] = hashes[rows[i]];
      }
      keys = some_keys_;
      hashes = some_hashes_;
    }
    ids_.resize(n);
    for (std::size_t i = 0; i < n; ++i) ids_[i] = batch->physical(rows[i]);
    if (accumulators_.form() == Accumulators::Form::kFixed) {
      values_.resize(n);
      fresh_.resize(n);
      DREY_TRY(table_->values(keys, hashes, slice_ends, true, values_.data(), fresh_.data()));
      return accumulators_.add(batch, static_cast<std::uint32_t>(n), ids_.data(), values_.data(), fresh_.data(), out);
    }
    for (std::size_t i = 0; i < n; ++i) {
      DREY_TRY_ASSIGN(state::Address row, table_->upsert(keys[i], hashes[i], slice_ends[i], 0));
      DREY_TRY_ASSIGN(row, accumulators_.add_to_row(*table_, row, 0, batch, ids_[i], out));
    }
    return {};
  }

  // A row that came after windows it belongs to had fired: they fire again, for its key.
  Status fire_again(std::uint32_t i, std::int64_t slice_end, Emitter& out) {
    const std::int64_t mark = current_time();
    const data::View& key = keys_.keys()[i];
    for (std::int64_t end = first_end(slice_end); end <= last_end(slice_end) && end - 1 <= mark;
         end += options_.slide_ms) {
      if (is_gone(end, mark)) continue;
      std::string whole;
      Status merged;
      for_slices(end, [&](std::int64_t slice, const auto&) {
        const state::Address row = table_->find(key, keys_.hashes()[i], slice);
        if (row == state::kNoRow || !merged.ok()) return;
        if (whole.empty()) {
          whole = table_->value_of(row);
        } else {
          merged = accumulators_.merge(whole, table_->value_of(row), out);
        }
      });
      DREY_TRY(std::move(merged));
      DREY_TRY(accumulators_.fire({end - options_.size_ms, end}, {key}, {whole}, out));
    }
    return {};
  }

  // --- time goes on ---

  // Fires what became due since the last time, in order; then forgets what no window needs any
  // more.
  Status advance(std::int64_t time, Emitter& out) {
    while (const std::optional<std::int64_t> end = next_end()) {
      if (*end - 1 > time) break;
      DREY_TRY(shares_slices_ ? fire_merged(*end, out) : fire_slice(*end, out));
      fired_up_to_ = *end;
    }
    fired_up_to_ = std::max(fired_up_to_, behind(time));
    const auto& slices = table_->groups();
    while (!slices.empty() && is_gone(last_end(slices.begin()->first), time))
      table_->erase_group(slices.begin()->first);
    return {};
  }

  Status fire_slice(std::int64_t end, Emitter& out) {
    const auto slice = table_->groups().find(end);
    if (slice == table_->groups().end()) return {};
    const std::vector<state::Address>& rows = slice->second;
    context_.state().count_fired(rows.size());
    for (std::size_t begin = 0; begin < rows.size(); begin += kFireRows) {
      fire_keys_.clear();
      fire_values_.clear();
      for (std::size_t i = begin; i < std::min(begin + kFireRows, rows.size()); ++i) {
        fire_keys_.push_back(table_->key_of(rows[i]));
        fire_values_.push_back(table_->value_of(rows[i]));
      }
      DREY_TRY(accumulators_.fire({end - options_.size_ms, end}, fire_keys_, fire_values_, out));
    }
    return {};
  }

  // Puts a window together, key by key; in passes over parts of the keys when it is large.
  Status fire_merged(std::int64_t end, Emitter& out) {
    std::size_t bytes = 0;
    for_slices(end, [&](std::int64_t, const std::vector<state::Address>& rows) {
      bytes += rows.size() * (64 + accumulators_.fixed_bytes());
      if (accumulators_.form() == Accumulators::Form::kFixed) return;
      for (const state::Address row : rows) bytes += table_->value_of(row).size();
    });
    const std::size_t passes = 1 + bytes / kMergeBytesMax;
    for (std::size_t pass = 0; pass < passes; ++pass) {
      merge_keys_.clear();
      accumulators_.begin_merge();
      Status merged;
      for_slices(end, [&](std::int64_t, const std::vector<state::Address>& rows) {
        for (const state::Address row : rows) {
          if (!merged.ok()) return;
          const data::View key = table_->key_of(row);
          const std::uint64_t hash = data::hash_of(key);
          if (passes > 1 && ((hash * 0x9E3779B97F4A7C15ULL) >> 32) % passes != pass) continue;
          if (has_fired(hash, end)) continue;
          merged = accumulators_.merge_next(merge_keys_.number(key, hash), table_->value_of(row), out);
        }
      });
      DREY_TRY(std::move(merged));
      const std::vector<data::View>& keys = merge_keys_.keys();
      context_.state().count_fired(keys.size());
      for (std::size_t begin = 0; begin < keys.size(); begin += kFireRows) {
        const std::size_t n = std::min(kFireRows, keys.size() - begin);
        fire_keys_.assign(keys.begin() + static_cast<std::ptrdiff_t>(begin),
                          keys.begin() + static_cast<std::ptrdiff_t>(begin + n));
        fire_values_.clear();
        for (std::size_t i = begin; i < begin + n; ++i) fire_values_.push_back(accumulators_.merged(i));
        DREY_TRY(accumulators_.fire({end - options_.size_ms, end}, fire_keys_, fire_values_, out));
      }
    }
    return {};
  }

  void schedule() {
    if (options_.event_time) return;
    if (const std::optional<std::int64_t> end = next_end()) context_.wake_at(*end - 1);
  }

  // --- processing time: which windows had fired when the state was saved ---

  bool has_fired(std::uint64_t hash, std::int64_t end) const {
    if (end > restored_fired_max_) return false;
    return end <= restored_fired_[data::key_group_of(hash, context_.max_parallelism())];
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
  state::Table* table_ = nullptr;
  state::OperatorList* fired_ = nullptr;
  std::int64_t* late_dropped_ = nullptr;
  std::int64_t fired_up_to_ = kMinWatermark;  // window ends
  std::vector<std::int64_t> restored_fired_;  // by key group
  std::int64_t restored_fired_max_ = kMinWatermark;
  data::KeyVector keys_;
  // Of the batch under way: rows in time and the ends of their slices; physical rows that are late.
  std::vector<std::uint32_t> rows_;
  std::vector<std::int64_t> slices_;
  std::vector<std::uint32_t> late_;
  std::vector<data::View> some_keys_;
  std::vector<std::uint64_t> some_hashes_;
  std::vector<std::uint32_t> ids_;
  std::vector<void*> values_;
  std::vector<std::uint8_t> fresh_;
  KeyIndex merge_keys_;
  std::vector<drey_view> fire_keys_;
  std::vector<std::string_view> fire_values_;
};

}  // namespace

Result<std::unique_ptr<Operator>> make_time_windows(OperatorContext& context, WindowOptions options) {
  return std::unique_ptr<Operator>(std::make_unique<TimeWindows>(context, options));
}

}  // namespace drey::operators
