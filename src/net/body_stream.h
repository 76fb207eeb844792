// BodyStream: the body of an answer that comes piece by piece while its connection stays open.
//
// One side pushes, from any thread; the connection takes what there is and writes it as it comes.
// Bounds: pieces that are not written yet hold at most `bytes_max`; a push beyond that is refused
// and keeps nothing: the pusher says what becomes of a reader that lags. Lifetime: shared by both
// sides; when the connection goes, the stream is closed and pushes are refused.
#pragma once

#include <functional>
#include <mutex>
#include <string>

#include "base/time.h"

namespace drey::net {

struct BodyStreamOptions {
  std::size_t bytes_max = 256u << 10;
  // Written when nothing else was for so long, so that both ends notice a dead connection.
  std::string idle_piece = {};
  Millis idle_pause{15'000};
  // The last piece when the server ends first.
  std::string goodbye = {};
};

class BodyStream {
 public:
  explicit BodyStream(BodyStreamOptions options) : options_(std::move(options)) {}
  const BodyStreamOptions& options() const { return options_; }

  // False when the reader lags too far behind, or has gone.
  bool push(std::string_view piece);
  // Nothing comes after `last`, which is taken whatever the bound says. Later calls do nothing.
  void end(std::string_view last = {});
  // Whether somebody still reads.
  bool is_open() const;

  // For the connection: what is to be written now. `ended`: nothing will come after it.
  struct Taken {
    std::string bytes;
    bool ended = false;
  };
  Taken take();
  // `wake` is called, on any thread, when there is something to take; at once when there is
  // already.
  void on_ready(std::function<void()> wake);
  void close();

 private:
  const BodyStreamOptions options_;
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::string pending_;
  bool ended_ = false;
  bool closed_ = false;
  std::function<void()> wake_;
};

}  // namespace drey::net
