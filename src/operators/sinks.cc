#include <charconv>
#include <cstdio>

#include <fmt/format.h>

#include "base/time.h"
#include "data/text.h"
#include "operators/builtin.h"
#include "operators/send_metrics.h"

namespace drey::operators {
namespace {

// sink.discard: takes rows and forgets them.
class Discard final : public Operator {
 public:
  Status open(OperatorContext& context) override {
    send_metrics_.open(context);
    return {};
  }
  Status process(std::uint32_t, const data::BatchRef& batch, Emitter&) override {
    send_metrics_.add(batch->rows(), batch->bytes());
    return {};
  }

 private:
  SendMetrics send_metrics_;
};

struct PrintOptions {
  std::string prefix;

  static constexpr auto options() {
    using M = PrintOptions;
    using config::option;
    return config::Options{option("prefix", &M::prefix, "What each line begins with.")};
  }
};
static_assert(config::EveryMemberIsAnOption<PrintOptions>);

// sink.print: one line a row on standard output: "+I[a, 1]" as Flink's print sink writes rows, with the
// subtask in front when there are several.
class Print final : public Operator {
 public:
  Print(OperatorContext& context, const PrintOptions& options) : context_(context), prefix_(options.prefix) {
    if (context.parallelism() > 1) {
      prefix_ += prefix_.empty() ? "" : ":";
      prefix_ += fmt::format("{}", context.subtask() + 1);
    }
    if (!prefix_.empty()) prefix_ += "> ";
  }

  Status open(OperatorContext& context) override {
    send_metrics_.open(context);
    return {};
  }

  Status process(std::uint32_t, const data::BatchRef& batch, Emitter&) override {
    static constexpr const char* kKinds[] = {"+I", "-U", "+U", "-D"};
    const data::Schema& schema = context_.input_schema(0);
    std::string lines;
    for (std::uint32_t i = 0; i < batch->rows(); ++i) {
      const std::uint32_t row = batch->physical(i);
      lines += prefix_;
      lines += kKinds[batch->row_kinds() != nullptr ? batch->row_kinds()[row] & 3 : 0];
      lines += '[';
      for (std::size_t c = 0; c < schema.size(); ++c) {
        if (c > 0) lines += ", ";
        if (!data::append_text(lines, schema[c].type, batch->column(c), row)) lines += "null";
      }
      lines += "]\n";
    }
    std::fwrite(lines.data(), 1, lines.size(), stdout);
    std::fflush(stdout);
    send_metrics_.add(batch->rows(), lines.size());
    return {};
  }

 private:
  SendMetrics send_metrics_;
  OperatorContext& context_;
  std::string prefix_;
};

}  // namespace

OperatorKind discard_kind() {
  return declare<NoOptions>({
      .name = DREY_KIND_DISCARD,
      .doc = "Takes rows and forgets them.",
      .traits = {.role = graph::Role::kSink, .accepts = graph::Changes::kAll},
      .make_operator = [](OperatorContext&, const NoOptions&) { return std::make_unique<Discard>(); },
  });
}

OperatorKind print_kind() {
  return declare<PrintOptions>({
      .name = DREY_KIND_PRINT,
      .doc = "Writes one line a row to the TaskManager's standard output: `+I[a, 1]`, with the subtask in front when "
             "there are several.",
      .traits = {.role = graph::Role::kSink, .accepts = graph::Changes::kAll},
      .make_operator = [](OperatorContext& context,
                          const PrintOptions& options) { return std::make_unique<Print>(context, options); },
  });
}

}  // namespace drey::operators
