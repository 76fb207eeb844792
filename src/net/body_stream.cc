#include "net/body_stream.h"

#include <utility>

namespace drey::net {

bool BodyStream::push(std::string_view piece) {
  std::function<void()> wake;
  {
    std::lock_guard guard(mutex_);
    if (ended_ || closed_ || pending_.size() + piece.size() > options_.bytes_max) return false;
    pending_ += piece;
    wake = std::exchange(wake_, nullptr);
  }
  if (wake) wake();
  return true;
}

void BodyStream::end(std::string_view last) {
  std::function<void()> wake;
  {
    std::lock_guard guard(mutex_);
    if (ended_ || closed_) return;
    pending_ += last;
    ended_ = true;
    wake = std::exchange(wake_, nullptr);
  }
  if (wake) wake();
}

bool BodyStream::is_open() const {
  std::lock_guard guard(mutex_);
  return !ended_ && !closed_;
}

BodyStream::Taken BodyStream::take() {
  std::lock_guard guard(mutex_);
  return {std::exchange(pending_, {}), ended_};
}

void BodyStream::on_ready(std::function<void()> wake) {
  {
    std::lock_guard guard(mutex_);
    if (pending_.empty() && !ended_) {
      wake_ = std::move(wake);
      return;
    }
  }
  wake();
}

void BodyStream::close() {
  std::function<void()> dropped;
  std::lock_guard guard(mutex_);
  closed_ = true;
  pending_.clear();
  // The connection holds the stream and the stream would hold the connection.
  dropped = std::exchange(wake_, nullptr);
}

}  // namespace drey::net
