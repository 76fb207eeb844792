#include "connectors/socket/socket_source.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "formats/value_parser.h"
#include "operators/operator.h"
#include "operators/operator_context.h"
#include "operators/options.h"

namespace drey::connectors::socket {
namespace {

using operators::Budget;
using operators::Emitter;
using operators::Progress;

constexpr std::size_t kReadBytes = 64u << 10;
constexpr std::size_t kLineBytesMax = 64u << 20;
constexpr std::int64_t kPollMs = 5;  // how long a quiet connection is left alone

// Nothing is kept across a failure: a socket cannot be read twice (at most once).
class SocketSource final : public operators::Source {
 public:
  explicit SocketSource(operators::OperatorContext& context) : context_(context) {}

  Status open(operators::OperatorContext& context) override {
    operators::Options options(context.node());
    DREY_TRY_ASSIGN(host_, options.required("host"));
    DREY_TRY_ASSIGN(port_, options.whole("port", 0));
    delimiter_ = options.text("delimiter", "\n");
    DREY_TRY_ASSIGN(reconnects_left_, options.whole("reconnects", 0));
    DREY_TRY_ASSIGN(delay_ms_, options.whole("reconnect_delay_ms", 500));
    const auto bad = [&](std::string_view what) {
      return fail(Code::kInvalidArgument, fmt::format("Socket source '{}': {}", context.node().name, what));
    };
    if (port_ < 1 || port_ > 65535) return bad(fmt::format("no such port: {}", port_));
    if (delimiter_.empty()) return bad("the delimiter is empty");
    if (context.output_schema(0).size() != 1 || context.output_schema(0)[0].type.kind != data::TypeKind::kText) {
      return bad("its rows are one column of text");
    }
    skips_ = options.text("on_error", "fail") == "skip";
    errors_ = context.metric("numRecordsInErrors", DREY_COUNTER);
    return {};
  }

  Result<Progress> poll(Emitter& out, Budget budget) override {
    const std::int64_t now = context_.processing_time();
    if (stream_ == nullptr) {
      if (now < connect_at_) return idle_until(connect_at_);
      auto opened = context_.env().network.open_stream(host_, static_cast<std::uint16_t>(port_));
      if (!opened.ok()) return lost(opened.status(), out);
      stream_ = std::move(*opened);
    }
    if (!has_line()) {
      if (buffer_.size() > kLineBytesMax) {
        return fail(Code::kInvalidArgument,
                    fmt::format("A line from {}:{} is longer than {} bytes", host_, port_, kLineBytesMax));
      }
      searched_ = buffer_.size() - std::min(buffer_.size(), delimiter_.size() - 1);
      const std::size_t before = buffer_.size();
      buffer_.resize(before + kReadBytes);
      auto got = stream_->read(buffer_.data() + before, kReadBytes);
      buffer_.resize(before + (got.ok() ? *got : 0));
      if (!got.ok()) return lost(got.status(), out);
      if (*got == 0) {
        if (stream_->is_ended()) return lost({}, out);
        return idle_until(now + kPollMs);
      }
    }
    DREY_TRY(emit_lines(out, budget, false));
    return Progress::kBusy;
  }

  Status snapshot(std::int64_t) override { return {}; }

 private:
  bool has_line() const { return buffer_.find(delimiter_, searched_) != std::string::npos; }

  Result<Progress> idle_until(std::int64_t time) {
    context_.wake_at(time);
    return Progress::kIdle;
  }

  // The other side has closed the connection (why: ok), or it broke.
  Result<Progress> lost(const Status& why, Emitter& out) {
    stream_.reset();
    DREY_TRY(emit_lines(out, {}, true));
    if (reconnects_left_ == 0) {
      if (!why.ok()) return why.with_context(fmt::format("while reading from {}:{}", host_, port_));
      return Progress::kDone;
    }
    if (reconnects_left_ > 0) --reconnects_left_;
    connect_at_ = context_.processing_time() + delay_ms_;
    return idle_until(connect_at_);
  }

  Status emit_lines(Emitter& out, Budget budget, bool is_last) {
    data::BatchBuilder builder(context_.output_schema(0), budget.rows_max, context_.pool());
    std::size_t at = 0;
    while (!builder.is_full() && at < buffer_.size()) {
      const std::size_t end = buffer_.find(delimiter_, std::max(at, searched_));
      if (end == std::string::npos && !is_last) break;
      std::string_view line = std::string_view(buffer_).substr(at, end == std::string::npos ? end : end - at);
      at = end == std::string::npos ? buffer_.size() : end + delimiter_.size();
      ++line_;
      if (delimiter_ == "\n" && line.ends_with('\r')) line.remove_suffix(1);
      char* text = builder.text(line.size());
      if (!line.empty()) std::memcpy(text, line.data(), line.size());
      const char* problem = values_.parse({text, line.size()}, context_.output_schema(0)[0].type,
                                          builder.abi().columns[0], builder.rows());
      if (problem == nullptr) {
        ++builder.abi().rows;
      } else if (skips_) {
        ++*errors_;
        context_.accumulate("numRecordsInErrors", DREY_LONG_COUNTER, 1, 0);
      } else {
        return fail(Code::kInvalidArgument,
                    fmt::format("Cannot read a row: {}:{}, line={}: {}", host_, port_, line_, problem));
      }
    }
    buffer_.erase(0, at);
    searched_ = searched_ > at ? searched_ - at : 0;
    if (builder.rows() > 0) DREY_TRY(out.emit(builder.build()));
    return is_last && !buffer_.empty() ? emit_lines(out, budget, true) : Status();
  }

  operators::OperatorContext& context_;
  std::string host_;
  std::int64_t port_ = 0;
  std::string delimiter_;
  std::int64_t reconnects_left_ = 0;  // -1: for ever
  std::int64_t delay_ms_ = 0;
  bool skips_ = false;
  std::int64_t* errors_ = nullptr;
  std::unique_ptr<env::ByteStream> stream_;
  std::int64_t connect_at_ = 0;
  std::string buffer_;
  std::size_t searched_ = 0;  // no delimiter begins before
  std::uint64_t line_ = 0;
  formats::ValueParser values_;
};

}  // namespace

operators::OperatorKind socket_source_kind() {
  return {"source.socket", "Lines of text from a TCP server.", nullptr,
          [](operators::OperatorContext& context) -> Result<std::unique_ptr<operators::Source>> {
            if (context.parallelism() != 1) {
              return fail(Code::kInvalidArgument,
                          fmt::format("Socket source '{}' has parallelism 1", context.node().name));
            }
            return std::unique_ptr<operators::Source>(std::make_unique<SocketSource>(context));
          }};
}

}  // namespace drey::connectors::socket
