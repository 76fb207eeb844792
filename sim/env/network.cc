#include "sim/env/network.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "sim/env/loops.h"

namespace drey::sim {

// One end of a connection.
class SimConnection final : public env::Connection, public std::enable_shared_from_this<SimConnection> {
 public:
  SimConnection(Wires& wires, std::uint64_t id, std::shared_ptr<NodeState> node, std::shared_ptr<Lane> lane)
      : wires_(wires), id_(id), node_(std::move(node)), lane_(std::move(lane)) {}

  void set_handler(Handler handler) override {
    handler_ = std::move(handler);
    has_handler_ = true;
    lane_->post([self = shared_from_this()] { self->deliver(); });
  }

  void send(std::string frame) override {
    if (is_closed_ || is_broken_ || !node_->acts()) return;
    Scheduler& scheduler = wires_.scheduler_;
    ++wires_.frames_;
    scheduler.note(XXH64(frame.data(), frame.size(), id_));
    FrameFate fate;
    const auto peer = peer_.lock();
    if (peer != nullptr && wires_.frame_fault_) fate = wires_.frame_fault_(*node_, *peer->node_, frame);
    for (int copy = 0; copy < fate.copies; ++copy) {
      queued_bytes_ += frame.size();
      push(copy + 1 < fate.copies ? frame : std::move(frame), fate.extra_delay);
    }
  }

  std::size_t queued_bytes() const override { return queued_bytes_; }

  void close() override {
    has_handler_ = false;
    handler_ = {};
    if (is_closed_) return;
    is_closed_ = true;
    if (!is_broken_ && node_->acts()) push(std::nullopt, Nanos(0));
    wires_.connections_.erase(id_);
  }

  // The connection or its process has gone: what is under way is lost from some moment on, then the
  // peer learns it.
  void break_off(bool tells_peer) {
    if (is_closed_ || is_broken_) return;
    const auto keep = shared_from_this();
    is_broken_ = true;
    Scheduler& scheduler = wires_.scheduler_;
    const std::int64_t now = scheduler.now().nanos;
    if (last_arrival_ > now)
      lost_from_ =
          now + static_cast<std::int64_t>(scheduler.prng().below(static_cast<std::uint64_t>(last_arrival_ - now)));
    if (tells_peer) {
      last_arrival_ = std::min(last_arrival_, lost_from_);
      push(std::nullopt, Nanos(0));
    }
    wires_.connections_.erase(id_);
  }

  // The other end does not answer any more.
  void learn_end(const Status& why) {
    if (is_closed_ || !why_.ok()) return;
    is_broken_ = true;
    why_ = why;
    wires_.connections_.erase(id_);
    lane_->post([self = shared_from_this()] { self->deliver(); });
  }

  void release_held() {
    auto held = std::exchange(held_, {});
    for (auto& item : held) arrive(std::move(item));
  }

  const NodeState& node() const { return *node_; }
  const NodeState* peer_node() const {
    const auto peer = peer_.lock();
    return peer == nullptr ? nullptr : peer->node_.get();
  }

 private:
  friend class Wires;
  using Item = std::optional<std::string>;  // nothing: the end

  void push(Item item, Nanos extra) {
    Scheduler& scheduler = wires_.scheduler_;
    const std::int64_t at = std::max(scheduler.now().nanos + (wires_.draw_delay() + extra).count(), last_arrival_);
    last_arrival_ = at;
    const bool is_end = !item.has_value();
    scheduler.at({at}, [self = shared_from_this(), item = std::move(item), at, is_end]() mutable {
      if (!is_end && at >= self->lost_from_) return;
      self->arrive(std::move(item));
    });
  }

  // This end's item comes to the peer.
  void arrive(Item item) {
    const auto peer = peer_.lock();
    if (peer == nullptr || !peer->node_->is_alive) return;
    if (wires_.is_cut(*node_, *peer->node_) || !held_.empty()) {
      // Also an end that is closed already: what it said before still waits.
      wires_.connections_.try_emplace(id_, shared_from_this());
      held_.push_back(std::move(item));
      return;
    }
    if (!item.has_value()) {
      peer->learn_end(fail(Code::kIo, "The peer closed the connection"));
      return;
    }
    queued_bytes_ -= std::min(queued_bytes_, item->size());
    if (queued_bytes_ == 0 && has_handler_ && handler_.on_drained) {
      lane_->post([self = shared_from_this()] {
        const auto on_drained = self->handler_.on_drained;
        if (on_drained) on_drained();
      });
    }
    if (peer->is_closed_ || !peer->why_.ok()) return;
    peer->inbox_.push_back(std::move(*item));
    peer->lane_->post([peer] { peer->deliver(); });
  }

  void deliver() {
    if (!has_handler_ || is_delivering_) return;
    is_delivering_ = true;
    while (has_handler_ && !inbox_.empty()) {
      const std::string frame = std::move(inbox_.front());
      inbox_.pop_front();
      const auto on_frame = handler_.on_frame;
      if (on_frame) on_frame(frame);
    }
    is_delivering_ = false;
    if (has_handler_ && !why_.ok()) {
      const auto on_closed = std::exchange(handler_.on_closed, nullptr);
      if (on_closed) on_closed(why_);
    }
  }

  Wires& wires_;
  std::uint64_t id_;
  std::shared_ptr<NodeState> node_;
  std::shared_ptr<Lane> lane_;
  std::weak_ptr<SimConnection> peer_;
  Handler handler_;
  bool has_handler_ = false;
  bool is_delivering_ = false;
  bool is_closed_ = false;  // by its owner
  bool is_broken_ = false;  // nothing goes out any more
  Status why_;
  std::deque<std::string> inbox_;  // came before the handler
  std::deque<Item> held_;          // of this end, stopped by a cut
  std::int64_t last_arrival_ = 0;
  std::int64_t lost_from_ = INT64_MAX;
  std::size_t queued_bytes_ = 0;
};

namespace {

std::pair<std::string, std::string> link_of(const std::string& a, const std::string& b) {
  return a < b ? std::pair(a, b) : std::pair(b, a);
}

class SimListener final : public env::Listener {
 public:
  SimListener(std::uint16_t port, std::function<void()> on_end) : port_(port), on_end_(std::move(on_end)) {}
  ~SimListener() override { on_end_(); }
  SimListener(const SimListener&) = delete;
  SimListener& operator=(const SimListener&) = delete;
  std::uint16_t port() const override { return port_; }

 private:
  std::uint16_t port_;
  std::function<void()> on_end_;
};

}  // namespace

void Wires::cut(const std::string& a, const std::string& b) { cuts_.insert(link_of(a, b)); }

void Wires::join(const std::string& a, const std::string& b) {
  cuts_.erase(link_of(a, b));
  release();
}

void Wires::join_all() {
  cuts_.clear();
  release();
}

void Wires::release() {
  const auto open = connections_;
  for (const auto& [id, connection] : open) {
    connection->release_held();
    if ((connection->is_closed_ || connection->is_broken_) && connection->held_.empty()) connections_.erase(id);
  }
}

bool Wires::is_cut(const NodeState& a, const NodeState& b) const {
  return !cuts_.empty() && cuts_.contains(link_of(a.name, b.name));
}

int Wires::drop(const std::string& a, const std::string& b) {
  int dropped = 0;
  const auto open = connections_;
  for (const auto& [id, connection] : open) {
    const NodeState* peer_node = connection->peer_node();
    if (peer_node == nullptr || link_of(connection->node().name, peer_node->name) != link_of(a, b)) continue;
    if (connection->is_closed_ || connection->is_broken_) continue;
    ++dropped;
    const auto peer = connection->peer_.lock();
    for (const auto& end : {connection, peer}) {
      if (end == nullptr || end->is_closed_ || end->is_broken_) continue;
      end->break_off(false);
      scheduler_.at(scheduler_.now() + draw_delay(),
                    [end] { end->learn_end(fail(Code::kIo, "The connection was reset")); });
    }
  }
  return dropped;
}

void Wires::end_process(const NodeState& node, bool silently) {
  std::erase_if(ports_, [&](const auto& port) { return port.second.node.get() == &node; });
  const auto open = connections_;
  for (const auto& [id, connection] : open) {
    if (&connection->node() == &node) connection->break_off(!silently);
  }
}

void Wires::clear() {
  const auto open = std::exchange(connections_, {});
  const auto ports = std::exchange(ports_, {});
  for (const auto& [id, connection] : open) {
    connection->has_handler_ = false;
    const auto handler = std::exchange(connection->handler_, {});
  }
}

void Wires::set_delay(Nanos min, Nanos max) {
  options_.delay_min = min;
  options_.delay_max = max;
}

Nanos Wires::draw_delay() {
  const auto span = static_cast<std::uint64_t>((options_.delay_max - options_.delay_min).count()) + 1;
  return options_.delay_min + Nanos(static_cast<std::int64_t>(scheduler_.prng().below(span)));
}

std::pair<std::shared_ptr<SimConnection>, std::shared_ptr<SimConnection>> Wires::make_pair(
    std::shared_ptr<NodeState> a, std::shared_ptr<Lane> lane_a, std::shared_ptr<NodeState> b,
    std::shared_ptr<Lane> lane_b) {
  const std::uint64_t id = next_connection_;
  next_connection_ += 2;
  auto first = std::make_shared<SimConnection>(*this, id, std::move(a), std::move(lane_a));
  auto second = std::make_shared<SimConnection>(*this, id + 1, std::move(b), std::move(lane_b));
  first->peer_ = second;
  second->peer_ = first;
  connections_[id] = first;
  connections_[id + 1] = second;
  return {first, second};
}

Result<std::unique_ptr<env::Listener>> SimNetwork::listen(env::Loop& loop, const std::string& host, std::uint16_t port,
                                                          std::function<void(env::ConnectionRef)> on_accept) {
  if (!node_->acts()) return fail(Code::kIo, "The process has been killed");
  if (port == 0) {
    do {
      port = wires_.next_port_++;
    } while (wires_.ports_.contains(port));
  }
  if (wires_.ports_.contains(port)) {
    return fail(Code::kUnavailable, fmt::format("Port {} on {} is in use", port, host));
  }
  wires_.ports_[port] = {node_, static_cast<SimLoop&>(loop).lane(), std::move(on_accept)};
  return std::unique_ptr<env::Listener>(std::make_unique<SimListener>(port, [this, port, node = node_] {
    const auto found = wires_.ports_.find(port);
    if (found != wires_.ports_.end() && found->second.node == node) wires_.ports_.erase(found);
  }));
}

void SimNetwork::connect(env::Loop& loop, const std::string& host, std::uint16_t port, Nanos timeout,
                         std::function<void(Result<env::ConnectionRef>)> done) {
  if (!node_->acts()) return;
  Scheduler& scheduler = wires_.scheduler_;
  const auto lane = static_cast<SimLoop&>(loop).lane();
  const Nanos there = wires_.draw_delay();
  const Nanos back = wires_.draw_delay();
  const bool has_ghost = scheduler.prng().chance(wires_.options_.ghost_connects);
  const Ticks asked = scheduler.now();
  const auto answer = [&scheduler, lane, done = std::move(done)](Ticks when, Result<env::ConnectionRef> result) {
    scheduler.at(when, [lane, done, result = std::move(result)] { lane->post([done, result] { done(result); }); });
  };
  scheduler.at(asked + there, [this, lane, host, port, timeout, there, back, has_ghost, asked, answer] {
    if (!node_->is_alive) return;
    const auto found = wires_.ports_.find(port);
    if (found != wires_.ports_.end() && wires_.is_cut(*node_, *found->second.node)) {
      answer(asked + timeout, fail(Code::kTimeout, fmt::format("Cannot connect to {}:{} in time", host, port)));
      return;
    }
    if (there + back > timeout) {
      answer(asked + timeout, fail(Code::kTimeout, fmt::format("Cannot connect to {}:{} in time", host, port)));
      return;
    }
    if (found == wires_.ports_.end()) {
      answer(asked + there + back,
             fail(Code::kIo, fmt::format("Cannot connect to {}:{}: errno=111 (Connection refused)", host, port)));
      return;
    }
    const Wires::Port& target = found->second;
    for (int i = 0; i < (has_ghost ? 2 : 1); ++i) {
      auto [mine, theirs] = wires_.make_pair(node_, lane, target.node, target.lane);
      target.lane->post([on_accept = target.on_accept, end = env::ConnectionRef(theirs)] { on_accept(end); });
      if (i == 0) {
        answer(asked + there + back, env::ConnectionRef(mine));
      } else {
        mine->close();
      }
    }
  });
}

}  // namespace drey::sim
