#include <algorithm>
#include <cstring>
#include <vector>

#include <fmt/format.h>

#include "operators/window.h"

namespace drey::operators {
namespace {

constexpr std::size_t kFireRows = 1024;

// Tumbling and sliding windows. One table whose groups are the windows (by end); the table's groups are the timers:
// one per window end, not per key. A row that belongs to several windows is added to each.
class TimeWindows final : public Operator {
 public:
  TimeWindows(OperatorContext& context, WindowOptions options) : context_(context), options_(options) {}

  Status open(OperatorContext& context) override {
    DREY_TRY(accumulators_.open(context));
    const bool fixed = accumulators_.form() == Accumulators::Form::kFixed;
    DREY_TRY_ASSIGN(table_, context.state().table(context.operator_id(), context.node().name, "~windows",
                                                  {fixed ? accumulators_.fixed_bytes() : 0, true, false}));
    late_dropped_ = context.metric("numLateRecordsDropped", DREY_COUNTER);
    // Windows that lateness kept have fired before the restored watermark.
    const std::int64_t mark = context.watermark();
    if (mark != kMinWatermark) fired_up_to_ = mark == kMaxWatermark ? mark : mark + 1;
    schedule();
    return {};
  }

  Status process(std::uint32_t, const data::BatchRef& batch, Emitter& out) override {
    DREY_TRY(check_event_time(context_, options_, *batch));
    keys_.encode(*batch, context_.key_columns(0));
    const std::int64_t now = options_.event_time ? 0 : context_.processing_time();
    const std::int64_t mark = current_time();
    parts_used_ = 0;
    late_.clear();
    Part* last = nullptr;
    for (std::uint32_t i = 0; i < batch->rows(); ++i) {
      const std::int64_t time = options_.event_time ? batch->row_times()[batch->physical(i)] : now;
      bool taken = false;
      for (std::int64_t start = window_start(time, options_.offset_ms, options_.slide_ms); start > time - options_.size_ms;
           start -= options_.slide_ms) {
        const std::int64_t end = start + options_.size_ms;
        if (is_gone(end, mark)) break;  // earlier windows are gone, too
        taken = true;
        if (last == nullptr || last->end != end) last = &part_of(end);
        last->rows.push_back(i);
      }
      if (!taken) late_.push_back(batch->physical(i));
    }
    for (std::size_t p = 0; p < parts_used_; ++p) {
      DREY_TRY(add(batch, parts_[p], out));
      // A window that has fired already fires again for each late row it still takes.
      if (options_.event_time && parts_[p].end - 1 <= mark) DREY_TRY(fire_again(batch, parts_[p], out));
    }
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

 private:
  struct Part {
    std::int64_t end = 0;
    std::vector<std::uint32_t> rows;
  };

  std::int64_t current_time() const { return options_.event_time ? context_.watermark() : kMinWatermark; }
  bool is_gone(std::int64_t end, std::int64_t mark) const {
    return options_.event_time && mark != kMinWatermark && end - 1 <= mark - options_.allowed_lateness_ms;
  }

  Part& part_of(std::int64_t end) {
    for (std::size_t p = 0; p < parts_used_; ++p) {
      if (parts_[p].end == end) return parts_[p];
    }
    if (parts_used_ == parts_.size()) parts_.emplace_back();
    Part& part = parts_[parts_used_++];
    part.end = end;
    part.rows.clear();
    return part;
  }

  Status add(const data::BatchRef& batch, const Part& part, Emitter& out) {
    const std::size_t n = part.rows.size();
    part_keys_.resize(n);
    part_hashes_.resize(n);
    part_ids_.resize(n);
    for (std::size_t i = 0; i < n; ++i) {
      part_keys_[i] = keys_.keys()[part.rows[i]];
      part_hashes_[i] = keys_.hashes()[part.rows[i]];
      part_ids_[i] = batch->physical(part.rows[i]);
    }
    if (accumulators_.form() == Accumulators::Form::kFixed) {
      values_.resize(n);
      fresh_.resize(n);
      DREY_TRY(table_->values(part_keys_, part_hashes_, part.end, true, values_.data(), fresh_.data()));
      return accumulators_.add(batch, static_cast<std::uint32_t>(n), part_ids_.data(), values_.data(), fresh_.data(), out);
    }
    for (std::size_t i = 0; i < n; ++i) DREY_TRY(add_encoded(batch, i, part.end, out));
    return {};
  }

  Status add_encoded(const data::BatchRef& batch, std::size_t i, std::int64_t end, Emitter& out) {
    DREY_TRY_ASSIGN(state::Address row, table_->upsert(part_keys_[i], part_hashes_[i], end, 0));
    if (accumulators_.form() == Accumulators::Form::kElements) {
      std::string_view element;
      DREY_TRY(accumulators_.element(batch, part_ids_[i], element, out));
      const auto before = table_->value_of(row).size();
      const auto size = static_cast<std::uint32_t>(element.size());
      DREY_TRY_ASSIGN(row, table_->resize(row, static_cast<std::uint32_t>(before + 4 + size)));
      char* value = table_->writable_value(row) + before;
      std::memcpy(value, &size, 4);
      if (size != 0) std::memcpy(value + 4, element.data(), size);
      return {};
    }
    std::string bytes(table_->value_of(row));
    DREY_TRY(accumulators_.add_one(batch, part_ids_[i], bytes, out));
    DREY_TRY_ASSIGN(row, table_->resize(row, static_cast<std::uint32_t>(bytes.size())));
    if (!bytes.empty()) std::memcpy(table_->writable_value(row), bytes.data(), bytes.size());
    return {};
  }

  Status fire_again(const data::BatchRef&, const Part& part, Emitter& out) {
    for (const std::uint32_t i : part.rows) {
      const state::Address row = table_->find(keys_.keys()[i], keys_.hashes()[i], part.end);
      DREY_TRY(accumulators_.fire({part.end - options_.size_ms, part.end}, {table_->key_of(row)}, {table_->value_of(row)}, out));
    }
    return {};
  }

  Status advance(std::int64_t time, Emitter& out) {
    // Fire what became due since the last time, in order; then forget what no late row can reach any more.
    const auto& groups = table_->groups();
    std::vector<std::int64_t> due;
    for (auto it = groups.upper_bound(fired_up_to_); it != groups.end() && it->first - 1 <= time; ++it) {
      due.push_back(it->first);
    }
    for (const std::int64_t end : due) {
      DREY_TRY(fire(end, out));
      fired_up_to_ = std::max(fired_up_to_, end);
    }
    while (!groups.empty() && groups.begin()->first - 1 <= (time == kMaxWatermark ? time : time - options_.allowed_lateness_ms)) {
      table_->erase_group(groups.begin()->first);
    }
    return {};
  }

  Status fire(std::int64_t end, Emitter& out) {
    const std::vector<state::Address>& rows = table_->groups().at(end);
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

  void schedule() {
    if (!options_.event_time && !table_->groups().empty()) context_.wake_at(table_->groups().begin()->first - 1);
  }

  OperatorContext& context_;
  const WindowOptions options_;
  Accumulators accumulators_;
  state::Table* table_ = nullptr;
  std::int64_t* late_dropped_ = nullptr;
  std::int64_t fired_up_to_ = kMinWatermark;  // window ends
  data::KeyVector keys_;
  std::vector<Part> parts_;
  std::size_t parts_used_ = 0;
  std::vector<std::uint32_t> late_;
  std::vector<data::View> part_keys_;
  std::vector<std::uint64_t> part_hashes_;
  std::vector<std::uint32_t> part_ids_;
  std::vector<void*> values_;
  std::vector<std::uint8_t> fresh_;
  std::vector<drey_view> fire_keys_;
  std::vector<std::string_view> fire_values_;
};

}  // namespace

Result<std::unique_ptr<Operator>> make_time_windows(OperatorContext& context, WindowOptions options) {
  return std::unique_ptr<Operator>(std::make_unique<TimeWindows>(context, options));
}

}  // namespace drey::operators
