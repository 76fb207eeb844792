// DataExchange: a TaskManager's door for rows: channels whose ends lie in two TaskManager processes.
//
// A remote channel is a local Channel at each end and this class between them: the consumer of the producer's, the
// producer of the consumer's. A batch counts at the producer from push until the far consumer has finished it: credit
// comes back in bytes, so the bound of a channel is one bound over both processes, an empty channel takes a batch of
// any size, and no channel waits for another one's credit. Control items (watermarks, barriers, ends) travel in order
// between the batches.
//
// One connection for each deployment (job and incarnation) and ordered pair of TaskManagers carries all their channels;
// the producer's side connects. It opens with the cluster's secret and the deployment's name; a deployment that has
// been here and gone is refused and counted, one that is not here yet is waited for. A connection that ends before its
// channels have ended loses them: `on_lost` of each end is called, and the tasks fail.
//
// Threading: listen() before anything else; add() and finish() from any one thread; the rest on a loop of its own.
// Lifetime: channels handed over may outlive it; they then lead nowhere.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "control/messages.h"
#include "data/type.h"
#include "env/env.h"
#include "runtime/channel.h"

namespace drey::runtime {

struct ChannelName {
  std::uint32_t edge = 0;  // number in JobGraph::edges
  std::uint32_t from = 0;  // subtask that produces
  std::uint32_t to = 0;    // subtask that consumes
  friend auto operator<=>(const ChannelName&, const ChannelName&) = default;
};

// This process's end of a remote channel.
struct RemoteEnd {
  ChannelName name;
  std::uint32_t peer = 0;  // whose index into Deployment::hosts has the other end
  std::shared_ptr<Channel> channel;
  std::shared_ptr<const data::Schema> schema;
  std::function<void(const Status& why)> on_lost;  // on the exchange's loop, at most once
};

struct RemoteDeployment {
  JobId job;
  std::uint64_t incarnation = 0;
  std::uint32_t me = 0;
  std::vector<std::pair<std::string, std::int32_t>> hosts;  // host, data port
  std::vector<RemoteEnd> outputs;                           // produced here
  std::vector<RemoteEnd> inputs;                            // consumed here
};

struct DataExchangeOptions {
  std::string host = "127.0.0.1";  // to listen on
  std::uint16_t port = 0;          // 0: any free one
  std::string secret;
  std::uint64_t channel_bytes = 512u << 10;
  Nanos connect_timeout = std::chrono::seconds(10);  // also for a peer's first word
  // How long a peer whose deployment is not here yet is kept, one that should come is waited for, and rows of a job
  // that has ended are still sent: it covers what loading a program may take.
  Nanos peer_timeout = std::chrono::seconds(120);
};

class DataExchange {
 public:
  // `pools` is kept as long as rows are under way; `blocks` is where rows that come are put.
  DataExchange(DataExchangeOptions options, env::Env& env, std::shared_ptr<void> pools, data::BlockPool& blocks);
  ~DataExchange();
  DataExchange(const DataExchange&) = delete;
  DataExchange& operator=(const DataExchange&) = delete;

  // FAILS WITH: kUnavailable naming the port that is in use.
  Status listen();
  std::uint16_t port() const { return listener_ == nullptr ? 0 : listener_->port(); }

  // Before the tasks that use the channels run.
  void add(RemoteDeployment deployment);
  // No task of it runs any more: what is queued is sent, then its connections close.
  void finish(JobId job, std::uint64_t incarnation);

  // --- any thread ---
  std::int64_t refused() const { return refused_; }  // peers without the secret, of another version, that sent garbage
  std::int64_t stale() const { return stale_; }      // peers of deployments that are gone
  std::uint64_t bytes_sent() const { return bytes_sent_; }
  std::uint64_t bytes_received() const { return bytes_received_; }

 private:
  using Key = std::pair<JobId, std::uint64_t>;
  struct Door;
  struct Output;
  struct Input;
  struct Outgoing;
  struct Incoming;
  struct Deployment;
  struct Peer;

  void add_on_loop(const Key& key, std::unique_ptr<Deployment> deployment);
  void remember(const Key& key);
  void finish_on_loop(const Key& key);
  void erase_when_quiet(const Key& key);
  void drop(const Key& key);
  Deployment* find(const Key& key);

  // Producer's side.
  void connect(const Key& key, Outgoing& link);
  void on_answer(const Key& key, std::uint32_t peer, std::string_view frame);
  void on_credit(Outgoing& link, std::string_view frame);
  void pump(const std::shared_ptr<Output>& output);
  bool send_batch(Outgoing& link, Output& output, const data::RowBatch& batch);
  void lose(Outgoing& link, const Status& why);

  // Consumer's side.
  void on_accept(const env::ConnectionRef& connection);
  void on_hello(const std::shared_ptr<Peer>& peer, std::string_view frame);
  void refuse(const std::shared_ptr<Peer>& peer, bool is_stale, const std::string& why);
  void welcome(const std::shared_ptr<Peer>& peer, Deployment& deployment);
  void on_item(const std::shared_ptr<Peer>& peer, std::string_view frame);
  void settle(const std::shared_ptr<Input>& input);
  void flush_credit(Incoming& link);
  void lose(Incoming& link, const Status& why);

  const DataExchangeOptions options_;
  env::Env& env_;
  const std::shared_ptr<void> pools_;
  data::BlockPool& blocks_;
  const std::uint64_t credit_quantum_;
  std::map<Key, std::unique_ptr<Deployment>> deployments_;
  std::map<JobId, std::uint64_t> newest_;  // incarnation that has been here
  std::deque<JobId> newest_order_;         // the job that was deployed longest ago first: it is forgotten first
  std::map<std::uint64_t, std::shared_ptr<Peer>>
      unknown_;  // not said yet who they are, or came before their deployment
  std::uint64_t next_peer_ = 0;
  std::atomic<std::int64_t> refused_{0};
  std::atomic<std::int64_t> stale_{0};
  std::atomic<std::uint64_t> bytes_sent_{0};
  std::atomic<std::uint64_t> bytes_received_{0};
  std::shared_ptr<Door> door_;
  std::unique_ptr<env::Loop> loop_;
  std::unique_ptr<env::Listener> listener_;  // after the loop: it goes first
};

}  // namespace drey::runtime
