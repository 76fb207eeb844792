#include "operators/builtin.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "operators/options.h"
#include "operators/pacer.h"
#include "operators/user_code.h"

namespace drey::operators {
namespace {

// source.generator: rows first .. end-1 of a contiguous share of 0 .. rows-1, made by the job's generate().
// A source without end counts s, s + p, s + 2p ... in blocks of one batch.
//
// State: operator list "positions" of (share, shares, next): a share is the unit that moves on rescaling.
struct Share {
  std::int64_t next = 0;
  std::int64_t end = 0;  // exclusive; INT64_MAX without end
};

class GeneratorSource final : public Source {
 public:
  explicit GeneratorSource(OperatorContext& context) : context_(context) {}

  Status open(OperatorContext& context) override {
    Options options(context.node());
    DREY_TRY_ASSIGN(rows_, options.whole("rows", -1));
    DREY_TRY_ASSIGN(const std::int64_t rate, options.whole("rate", 0));
    pacer_ = Pacer(static_cast<double>(rate) / context.parallelism());
    DREY_TRY(code_.create(context, "generate", context.functions() && context.functions()->generate));
    DREY_TRY_ASSIGN(positions_, context.state().operator_list(context.operator_id(), "positions", false));
    if (context.state().is_restored()) {
      for (const std::string& element : positions_->elements()) {
        Share share;
        DREY_TRY(unpack(element, share));
        shares_.push_back(share);
      }
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

  Result<Progress> poll(Emitter& out, Budget budget) override {
    while (!shares_.empty() && shares_.back().next >= shares_.back().end) shares_.pop_back();
    if (shares_.empty()) return Progress::kDone;
    Share& share = shares_.back();
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
  static Status unpack(const std::string& text, Share& share) {
    const char* end = text.data() + text.size();
    const auto first = std::from_chars(text.data(), end, share.next);
    if (first.ec == std::errc() && first.ptr != end && *first.ptr == ' ' &&
        std::from_chars(first.ptr + 1, end, share.end).ptr == end) {
      return {};
    }
    return fail(Code::kCorrupt, fmt::format("Position of a generator cannot be read: {}", text));
  }

  OperatorContext& context_;
  UserCode code_;
  Pacer pacer_;
  std::int64_t rows_ = -1;
  std::vector<Share> shares_;
  state::OperatorList* positions_ = nullptr;
};

}  // namespace

OperatorKind generator_kind() {
  return {"source.generator", "Rows made by a function of their number.", nullptr,
          [](OperatorContext& context) -> Result<std::unique_ptr<Source>> {
            return std::unique_ptr<Source>(std::make_unique<GeneratorSource>(context));
          }};
}

}  // namespace drey::operators
