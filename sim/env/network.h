// Wires: the network between simulated processes. Ordered per connection; delays, losses of
// connections, partitions and ghosts of connection attempts follow from the seed and from what the
// faults ask for. Threading: the simulation's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "env/network.h"
#include "sim/env/scheduler.h"

namespace drey::sim {

struct NetworkOptions {
  Nanos delay_min = std::chrono::microseconds(20);
  Nanos delay_max = std::chrono::microseconds(300);
  double ghost_connects = 0.05;  // an attempt arrives twice; the second connection closes without a word
};

// What becomes of a frame on its way.
struct FrameFate {
  Nanos extra_delay{0};
  int copies = 1;  // 2: a duplicate. 0 is not offered: a connection that loses a frame loses all that follow
};
using FrameFault = std::function<FrameFate(const NodeState& from, const NodeState& to, std::string_view frame)>;

class SimConnection;

class Wires {
 public:
  Wires(Scheduler& scheduler, NetworkOptions options) : scheduler_(scheduler), options_(options) {}

  // Nothing arrives between two processes (by name) until they are joined again; then all that
  // waited arrives.
  void cut(const std::string& a, const std::string& b);
  void join(const std::string& a, const std::string& b);
  void join_all();
  bool is_cut(const NodeState& a, const NodeState& b) const;
  // Breaks all connections between two processes; what is under way is lost from some frame on.
  // Their number.
  int drop(const std::string& a, const std::string& b);
  // The process has ended: listeners go, peers learn it (unless silently: then only by their own
  // timeouts).
  void end_process(const NodeState& node, bool silently);
  void set_delay(Nanos min, Nanos max);
  void set_frame_fault(FrameFault fault) { frame_fault_ = std::move(fault); }
  // Forgets everything, before the end of the world.
  void clear();
  std::uint64_t frames() const { return frames_; }

 private:
  friend class SimConnection;
  friend class SimNetwork;
  struct Port {
    std::shared_ptr<NodeState> node;
    std::shared_ptr<Lane> lane;
    std::function<void(env::ConnectionRef)> on_accept;
  };
  Nanos draw_delay();
  std::pair<std::shared_ptr<SimConnection>, std::shared_ptr<SimConnection>> make_pair(std::shared_ptr<NodeState> a,
                                                                                      std::shared_ptr<Lane> lane_a,
                                                                                      std::shared_ptr<NodeState> b,
                                                                                      std::shared_ptr<Lane> lane_b);
  void release();

  Scheduler& scheduler_;
  NetworkOptions options_;
  FrameFault frame_fault_;
  std::map<std::uint16_t, Port> ports_;
  std::uint16_t next_port_ = 40'000;
  std::set<std::pair<std::string, std::string>> cuts_;
  std::map<std::uint64_t, std::shared_ptr<SimConnection>> connections_;  // open ends
  std::uint64_t next_connection_ = 1;
  std::uint64_t frames_ = 0;
};

// A process's view of the wires.
class SimNetwork final : public env::Network {
 public:
  SimNetwork(Wires& wires, std::shared_ptr<NodeState> node) : wires_(wires), node_(std::move(node)) {}
  Result<std::unique_ptr<env::Listener>> listen(env::Loop& loop, const std::string& host, std::uint16_t port,
                                                std::function<void(env::ConnectionRef)> on_accept) override;
  void connect(env::Loop& loop, const std::string& host, std::uint16_t port, Nanos timeout,
               std::function<void(Result<env::ConnectionRef>)> done) override;
  Result<std::unique_ptr<env::ByteStream>> open_stream(const std::string&, std::uint16_t) override {
    return fail(Code::kUnavailable, "The simulation has no servers to read from");
  }
  std::uint64_t frames_refused() const override { return 0; }

 private:
  Wires& wires_;
  std::shared_ptr<NodeState> node_;
};

}  // namespace drey::sim
