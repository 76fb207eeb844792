#include "operators/builtin.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "operators/operator_context.h"
#include "operators/pacer.h"
#include "operators/user_code.h"

namespace drey::operators {
namespace {

struct GeneratorOptions {
  std::int64_t rows = -1;
  double rate = 0;

  static constexpr auto options() {
    using M = GeneratorOptions;
    using config::option;
    return config::Options{
        option("rows", &M::rows,
               "How many rows; each subtask makes a contiguous range of their numbers. "
               "-1: without end.")
            .at_least(-1),
        option("rate", &M::rate, "Rows a second over all subtasks, may be a fraction; 0: unlimited.").at_least(0)};
  }
};
static_assert(config::EveryMemberIsAnOption<GeneratorOptions>);

// source.generator: rows first .. end-1 of a contiguous share of 0 .. rows-1, made by the job's generate().
// A source without end counts s, s + p, s + 2p ... in blocks of one batch.
//
// State: union list "positions" of (next, end). After a restore each subtask sees what is left of all shares and takes
// its part of it: any parallelism has the same work to do.
struct Share {
  std::int64_t next = 0;
  std::int64_t end = 0;  // exclusive; INT64_MAX without end
};

class GeneratorSource final : public Source {
 public:
  GeneratorSource(OperatorContext& context, const GeneratorOptions& options)
      : context_(context), pacer_(options.rate / context.parallelism()), rows_(options.rows) {}

  Status open(OperatorContext& context) override {
    DREY_TRY(code_.create(context, "generate", context.functions() && context.functions()->generate));
    DREY_TRY_ASSIGN(positions_, context.state().operator_list(context.operator_id(), "positions", true));
    if (rows_ >= 0) pending_ = context.metric("pendingRecords", DREY_GAUGE);
    DREY_TRY(open_shares(context));
    show_pending();
    return {};
  }

  Result<Progress> poll(Emitter& out, Budget budget) override {
    // In turn, so that event time advances in all of them.
    std::vector<bool>& active = context_.splits().active;
    std::size_t looked_at = 0;
    for (; looked_at < shares_.size() && shares_[turn_].next >= shares_[turn_].end; ++looked_at) {
      active[turn_] = false;
      turn_ = (turn_ + 1) % shares_.size();
    }
    if (looked_at == shares_.size()) return Progress::kDone;
    Share& share = shares_[turn_];
    context_.splits().current = static_cast<std::uint32_t>(turn_);
    std::int64_t count = std::min<std::int64_t>(share.end - share.next, budget.rows_max);
    if (pacer_.is_limited()) {
      count = std::min(count, pacer_.allowed(context_.env().clock.ticks()));
      if (count == 0) {
        context_.wake_at(context_.processing_time() + 1);
        return Progress::kIdle;
      }
      pacer_.spend(count);
    }
    data::BatchBuilder builder(context_.output_schema(0), static_cast<std::uint32_t>(count), context_.pool());
    DREY_TRY(code_.call(&drey_functions::generate, &out, nullptr, &builder.abi(), share.next,
                        static_cast<std::uint32_t>(count)));
    share.next += count;
    if (pending_ != nullptr) OperatorContext::add(pending_, -count);
    turn_ = (turn_ + 1) % shares_.size();
    if (builder.rows() > 0) DREY_TRY(out.emit(builder.build()));
    return Progress::kBusy;
  }

  Status snapshot(std::int64_t) override {
    std::vector<std::string> elements;
    for (const Share& share : shares_) {
      if (share.next < share.end) elements.push_back(fmt::format("{} {}", share.next, share.end));
    }
    positions_->assign(std::move(elements));
    return {};
  }

 private:
  Status open_shares(OperatorContext& context) {
    if (context.state().is_restored()) {
      for (const std::string& element : positions_->elements()) {
        Share share;
        DREY_TRY(unpack(element, share));
        shares_.push_back(share);
      }
      take_part();
      context.splits().active.assign(shares_.size(), true);
      return {};
    }
    const std::int64_t p = context.parallelism();
    const std::int64_t s = context.subtask();
    if (rows_ < 0) {
      // Ranges of 2^40 rows each: no source gets there.
      shares_.push_back({s << 40, std::numeric_limits<std::int64_t>::max()});
    } else {
      // Shares differ by at most one row, and are equal when p divides the rows.
      const auto bound = [&](std::int64_t i) {
        __extension__ using Wide = __int128;
        return static_cast<std::int64_t>(static_cast<Wide>(rows_) * i / p);
      };
      shares_.push_back({bound(s), bound(s + 1)});
    }
    return {};
  }

  // What is left of a source that has an end.
  void show_pending() {
    if (pending_ == nullptr) return;
    std::int64_t left = 0;
    for (const Share& share : shares_) left += share.end - share.next;
    OperatorContext::set(pending_, left);
  }

  static Status unpack(const std::string& text, Share& share) {
    const char* end = text.data() + text.size();
    const auto first = std::from_chars(text.data(), end, share.next);
    if (first.ec == std::errc() && first.ptr != end && *first.ptr == ' ' &&
        std::from_chars(first.ptr + 1, end, share.end).ptr == end) {
      return {};
    }
    return fail(Code::kCorrupt, fmt::format("Position of a generator cannot be read: {}", text));
  }

  // Of `shares_` as a whole, this subtask's part. Endless shares cannot be cut: they are dealt out.
  void take_part() {
    std::sort(shares_.begin(), shares_.end(), [](const Share& a, const Share& b) { return a.next < b.next; });
    const std::uint32_t p = context_.parallelism();
    std::vector<Share> mine;
    if (rows_ < 0) {
      for (std::size_t i = context_.subtask(); i < shares_.size(); i += p) mine.push_back(shares_[i]);
      shares_ = std::move(mine);
      return;
    }
    std::int64_t left = 0;
    for (const Share& share : shares_) left += share.end - share.next;
    const auto bound = [&](std::uint32_t subtask) {
      __extension__ using Wide = __int128;
      return static_cast<std::int64_t>(static_cast<Wide>(left) * subtask / p);
    };
    const std::int64_t from = bound(context_.subtask()), to = bound(context_.subtask() + 1);
    std::int64_t at = 0;
    for (const Share& share : shares_) {
      const std::int64_t size = share.end - share.next;
      const std::int64_t first = std::max(from, at), last = std::min(to, at + size);
      if (first < last) mine.push_back({share.next + first - at, share.next + last - at});
      at += size;
    }
    shares_ = std::move(mine);
  }

  OperatorContext& context_;
  UserCode code_;
  Pacer pacer_;
  const std::int64_t rows_;
  std::vector<Share> shares_;
  std::size_t turn_ = 0;
  state::OperatorList* positions_ = nullptr;
  std::int64_t* pending_ = nullptr;
};

}  // namespace

OperatorKind generator_kind() {
  return declare<GeneratorOptions>({
      .name = DREY_KIND_GENERATOR,
      .doc = "Rows that the job's `generate` makes of their numbers.",
      .traits = {.role = graph::Role::kSource, .needs_code = true},
      .make_source =
          [](OperatorContext& context, const GeneratorOptions& options) {
            return std::make_unique<GeneratorSource>(context, options);
          },
  });
}

}  // namespace drey::operators
