#include "connectors/socket/socket_source.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "env/log.h"
#include "formats/format.h"
#include "formats/value_parser.h"
#include "operators/operator.h"
#include "operators/operator_context.h"

namespace drey::connectors::socket {
namespace {

using operators::Budget;
using operators::Emitter;
using operators::Progress;

constexpr std::size_t kReadBytes = 64u << 10;
constexpr std::size_t kLineBytesMax = 64u << 20;
constexpr std::int64_t kSkippedRowsLogged = 5;
constexpr std::int64_t kPollMs = 5;  // how long a quiet connection is left alone

enum class OnError { kFail, kSkip };
constexpr auto enum_table(OnError) {
  return std::array{EnumRow{OnError::kFail, "fail"}, EnumRow{OnError::kSkip, "skip"}};
}

struct SocketSourceOptions {
  std::string host;
  std::uint16_t port = 0;
  std::string delimiter = "\n";
  std::int64_t reconnects = 0;
  std::int64_t reconnect_delay_ms = 500;
  OnError on_error = OnError::kFail;

  static constexpr auto options() {
    using M = SocketSourceOptions;
    using config::option;
    return config::Options{
        option("host", &M::host, "Name or address of the server.").required(),
        option("port", &M::port, "Its port.").between(1, 65'535).required(),
        option("delimiter", &M::delimiter, "What is between two rows.").defaults_to("a newline"),
        option("reconnects", &M::reconnects, "How often to connect again; -1: for ever.").at_least(-1),
        option("reconnect_delay_ms", &M::reconnect_delay_ms, "How long to wait before.").between(0, 86'400'000),
        option("on_error", &M::on_error, "Whether a row that is no UTF-8 fails the job or is counted and left out.")};
  }
  std::string problem() const { return delimiter.empty() ? "Option delimiter is empty" : ""; }
};
static_assert(config::EveryMemberIsAnOption<SocketSourceOptions>);

// Nothing is kept across a failure: a socket cannot be read twice (at most once).
class SocketSource final : public operators::Source {
 public:
  SocketSource(operators::OperatorContext& context, const SocketSourceOptions& options)
      : context_(context),
        host_(options.host),
        port_(options.port),
        delimiter_(options.delimiter),
        reconnects_left_(options.reconnects),
        delay_ms_(options.reconnect_delay_ms),
        skips_(options.on_error == OnError::kSkip) {}

  Status open(operators::OperatorContext& context) override {
    errors_ = context.metric("numRecordsInErrors", DREY_COUNTER);
    return {};
  }

  Result<Progress> poll(Emitter& out, Budget budget) override {
    const std::int64_t now = context_.processing_time();
    if (stream_ == nullptr) {
      if (now < connect_at_) return idle_until(connect_at_);
      auto opened = context_.env().network.open_stream(host_, port_);
      if (!opened.ok()) return lost(opened.status(), out);
      stream_ = std::move(*opened);
      at_start_ = true;
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
      if (std::exchange(at_start_, false)) line.remove_prefix(formats::byte_order_mark_bytes(line));
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
        if (*errors_ <= kSkippedRowsLogged) {
          env::log_warn("socket", "Cannot read a row: {}:{}, line={}: {} (the row is skipped)", host_, port_, line_,
                        problem);
        }
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
  const std::string host_;
  const std::uint16_t port_;
  const std::string delimiter_;
  std::int64_t reconnects_left_;  // -1: for ever
  const std::int64_t delay_ms_;
  const bool skips_;
  std::int64_t* errors_ = nullptr;
  std::unique_ptr<env::ByteStream> stream_;
  std::int64_t connect_at_ = 0;
  std::string buffer_;
  std::size_t searched_ = 0;  // no delimiter begins before
  std::uint64_t line_ = 0;
  bool at_start_ = true;  // of what a connection sends
  formats::ValueParser values_;
};

}  // namespace

operators::OperatorKind socket_source_kind() {
  return operators::declare<SocketSourceOptions>({
      .name = DREY_KIND_SOCKET_SOURCE,
      .doc =
          "Lines of text from a TCP server, at parallelism 1 and at most once: nothing is read again after a failure.",
      .traits = {.role = graph::Role::kSource},
      .output_schema = [](const operators::Schemas&, const SocketSourceOptions&,
                          const operators::Schemas& declared) -> Result<operators::Schemas> {
        if (declared.size() != 1 || declared[0].size() != 1 || declared[0][0].type.kind != data::TypeKind::kText) {
          return fail(Code::kInvalidArgument, "its rows are one column of text");
        }
        return declared;
      },
      .make_source = [](operators::OperatorContext& context,
                        const SocketSourceOptions& options) -> operators::Made<operators::Source> {
        if (context.parallelism() != 1) {
          return fail(Code::kInvalidArgument, fmt::format("Socket source '{}' has parallelism 1", context.node().name));
        }
        return std::make_unique<SocketSource>(context, options);
      },
  });
}

}  // namespace drey::connectors::socket
