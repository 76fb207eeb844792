#include "runtime/data_exchange.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "data/batch_codec.h"
#include "env/log.h"
#include "wire/binary/codec.h"

namespace drey::runtime {
namespace {

using wire::field;
using wire::Fields;

constexpr std::uint32_t kDataVersion = 1;
constexpr int kItemsPerTurn = 16;                   // of one channel, then others have theirs
constexpr std::uint64_t kPartBytesMax = 64u << 20;  // a larger batch goes in parts
constexpr std::size_t kUnknownPeersMax = 1024;
constexpr std::size_t kNewestMax = 10'000;  // jobs whose last incarnation is remembered

struct Hello {
  std::uint32_t version = kDataVersion;
  std::string secret;
  JobId job;
  std::uint64_t incarnation = 0;
  std::uint32_t sender = 0;  // index into the deployment's hosts
  static constexpr auto fields() {
    using M = Hello;
    return Fields{field("version", &M::version), field("secret", &M::secret), field("job", &M::job),
                  field("incarnation", &M::incarnation), field("sender", &M::sender)};
  }
};
static_assert(wire::EveryMemberHasARow<Hello>);

struct Answer {
  bool accepted = false;
  std::string why;
  static constexpr auto fields() { return Fields{field("accepted", &Answer::accepted), field("why", &Answer::why)}; }
};
static_assert(wire::EveryMemberHasARow<Answer>);

// Producer to consumer: u32 edge, from, to, u8 kind, then the batch, the barrier or the i64 value.
// Consumer to producer: as often as needed u32 edge, from, to, u64 bytes.
constexpr std::size_t kNameBytes = 12;
constexpr std::size_t kCreditBytes = kNameBytes + 8;

void put_name(std::string& out, const ChannelName& name) {
  char bytes[kNameBytes];
  std::memcpy(bytes, &name.edge, 4);
  std::memcpy(bytes + 4, &name.from, 4);
  std::memcpy(bytes + 8, &name.to, 4);
  out.append(bytes, kNameBytes);
}

// Damage on the way is the network's; kCorrupt is for what a task reads back of its own.
Code code_of(const Status& why) { return why.code() == Code::kCorrupt ? Code::kIo : why.code(); }

ChannelName name_at(const char* bytes) {
  ChannelName name;
  std::memcpy(&name.edge, bytes, 4);
  std::memcpy(&name.from, bytes + 4, 4);
  std::memcpy(&name.to, bytes + 8, 4);
  return name;
}

}  // namespace

// The way from other threads to the loop; shut before the loop goes.
struct DataExchange::Door {
  std::mutex mutex;
  env::Loop* loop = nullptr;  // guarded by mutex
  void post(std::function<void()> function) {
    std::lock_guard lock(mutex);
    if (loop != nullptr) loop->post(std::move(function));
  }
};

struct DataExchange::Output {
  RemoteEnd end;
  Outgoing* link = nullptr;  // null: lost, or the deployment is gone
  bool has_ended = false;    // its end has been sent
  std::atomic<bool> is_posted{false};
};

struct DataExchange::Input {
  RemoteEnd end;
  Incoming* link = nullptr;
  bool has_ended = false;
  std::uint64_t pushed_bytes = 0;
  std::uint64_t credited_bytes = 0;
  std::atomic<bool> is_posted{false};
};

struct DataExchange::Outgoing {
  std::uint32_t peer = 0;
  std::string name;  // "host:port"
  env::ConnectionRef connection;
  bool is_open = false;  // the peer has said welcome
  bool is_lost = false;
  std::map<ChannelName, std::shared_ptr<Output>> outputs;
  bool has_ended() const {
    return std::all_of(outputs.begin(), outputs.end(), [](const auto& o) { return o.second->has_ended; });
  }
};

struct DataExchange::Incoming {
  std::uint32_t peer = 0;
  std::string name;
  std::shared_ptr<Peer> accepted;
  env::ConnectionRef connection;
  bool is_lost = false;
  std::string credit;  // frame under way
  bool is_flush_posted = false;
  std::map<ChannelName, std::shared_ptr<Input>> inputs;
  bool has_ended() const {
    return std::all_of(inputs.begin(), inputs.end(), [](const auto& i) { return i.second->has_ended; });
  }
};

struct DataExchange::Deployment {
  std::uint32_t me = 0;
  std::vector<std::pair<std::string, std::int32_t>> hosts;
  std::map<std::uint32_t, Outgoing> outgoing;
  std::map<std::uint32_t, Incoming> incoming;
  bool is_finished = false;

  // On the loop: who drops it without has ended the loop, and the connections with it.
  void close() {
    for (auto& [peer, link] : outgoing) {
      for (auto& [name, output] : link.outputs) output->link = nullptr;
      if (link.connection != nullptr) link.connection->close();
    }
    for (auto& [peer, link] : incoming) {
      for (auto& [name, input] : link.inputs) input->link = nullptr;
      if (link.connection != nullptr) link.connection->close();
    }
  }
};

// A connection that was accepted.
struct DataExchange::Peer {
  std::uint64_t number = 0;
  std::weak_ptr<env::Connection> connection;
  env::ConnectionRef kept;  // while unknown; then the link has it
  bool has_said_hello = false;
  Key key;
  std::uint32_t sender = 0;
};

DataExchange::DataExchange(DataExchangeOptions options, env::Env& env, std::shared_ptr<void> pools,
                           data::BlockPool& blocks)
    : options_(std::move(options)),
      env_(env),
      pools_(std::move(pools)),
      blocks_(blocks),
      credit_quantum_(std::max<std::uint64_t>(options_.channel_bytes / 8, 1)),
      door_(std::make_shared<Door>()),
      loop_(env.threads.make_loop("data")) {
  door_->loop = loop_.get();
}

DataExchange::~DataExchange() {
  {
    std::lock_guard lock(door_->mutex);
    door_->loop = nullptr;
  }
  listener_.reset();
  // Not loop_.reset(): it clears the pointer before it has waited for the loop, which reads it. It goes before all that
  // its work uses.
}

Status DataExchange::listen() {
  auto listener =
      env_.network.listen(*loop_, options_.host, options_.port, [this](const env::ConnectionRef& c) { on_accept(c); });
  if (!listener.ok()) return listener.status();
  listener_ = std::move(*listener);
  return {};
}

DataExchange::Deployment* DataExchange::find(const Key& key) {
  const auto found = deployments_.find(key);
  return found == deployments_.end() ? nullptr : found->second.get();
}

void DataExchange::add(RemoteDeployment remote) {
  auto made = std::make_shared<std::unique_ptr<Deployment>>(std::make_unique<Deployment>());
  Deployment& deployment = **made;
  deployment.me = remote.me;
  deployment.hosts = remote.hosts;
  const auto name_of = [&](std::uint32_t peer) {
    return fmt::format("{}:{}", deployment.hosts.at(peer).first, deployment.hosts.at(peer).second);
  };
  for (RemoteEnd& end : remote.outputs) {
    auto output = std::make_shared<Output>();
    // The channel owns its waker, the output owns the channel: the waker must not own the output.
    end.channel->set_consumer(
        std::make_shared<const Channel::Wake>([this, door = door_, weak = std::weak_ptr(output)](std::uint32_t) {
          const auto alive = weak.lock();
          if (alive == nullptr || alive->is_posted.exchange(true)) return;
          door->post([this, alive] {
            alive->is_posted = false;
            pump(alive);
          });
        }));
    Outgoing& link = deployment.outgoing[end.peer];
    link.peer = end.peer;
    link.name = name_of(end.peer);
    output->link = &link;
    output->end = std::move(end);
    link.outputs.emplace(output->end.name, output);
  }
  for (RemoteEnd& end : remote.inputs) {
    auto input = std::make_shared<Input>();
    end.channel->set_producer(
        std::make_shared<const Channel::Wake>([this, door = door_, weak = std::weak_ptr(input)](std::uint32_t) {
          const auto alive = weak.lock();
          if (alive == nullptr || alive->is_posted.exchange(true)) return;
          door->post([this, alive] {
            alive->is_posted = false;
            settle(alive);
          });
        }));
    Incoming& link = deployment.incoming[end.peer];
    link.peer = end.peer;
    link.name = name_of(end.peer);
    input->link = &link;
    input->end = std::move(end);
    link.inputs.emplace(input->end.name, input);
  }
  door_->post([this, key = Key{remote.job, remote.incarnation}, made] { add_on_loop(key, std::move(*made)); });
}

void DataExchange::add_on_loop(const Key& key, std::unique_ptr<Deployment> made) {
  remember(key);
  drop(key);
  Deployment& deployment = *(deployments_[key] = std::move(made));
  for (auto& [peer, link] : deployment.outgoing) connect(key, link);
  std::vector<std::shared_ptr<Peer>> waiting;
  for (const auto& [number, peer] : unknown_) {
    if (peer->has_said_hello && peer->key == key) waiting.push_back(peer);
  }
  for (const auto& peer : waiting) welcome(peer, deployment);
  loop_->after(options_.peer_timeout, [this, key] {
    Deployment* late = find(key);
    if (late == nullptr || late->is_finished) return;
    for (auto& [peer, link] : late->incoming) {
      if (link.connection != nullptr || link.is_lost || link.has_ended()) continue;
      lose(link, fail(Code::kTimeout,
                      fmt::format("The TaskManager at {} has not connected to send its rows within {} s", link.name,
                                  std::chrono::duration_cast<std::chrono::seconds>(options_.peer_timeout).count())));
    }
  });
}

void DataExchange::remember(const Key& key) {
  const auto [newest, is_new] = newest_.try_emplace(key.first, key.second);
  newest->second = std::max(newest->second, key.second);
  if (!is_new) std::erase(newest_order_, key.first);
  newest_order_.push_back(key.first);
  if (newest_order_.size() <= kNewestMax) return;
  newest_.erase(newest_order_.front());
  newest_order_.pop_front();
}

void DataExchange::finish(JobId job, std::uint64_t incarnation) {
  door_->post([this, key = Key{job, incarnation}] { finish_on_loop(key); });
}

void DataExchange::finish_on_loop(const Key& key) {
  Deployment* deployment = find(key);
  if (deployment == nullptr || deployment->is_finished) return;
  deployment->is_finished = true;
  for (auto& [peer, link] : deployment->incoming) {
    for (auto& [name, input] : link.inputs) input->end.on_lost = nullptr;
    if (link.connection != nullptr) link.connection->close();
    link.connection.reset();
    link.is_lost = true;
  }
  for (auto& [peer, link] : deployment->outgoing) {
    for (auto& [name, output] : link.outputs) output->end.on_lost = nullptr;
  }
  loop_->after(options_.peer_timeout, [this, key] { drop(key); });
  erase_when_quiet(key);
}

// What a task has sent before its end reaches the peer: the connection stays until the peer, which knows the ends of
// all its channels, closes it. Without their ends (the tasks failed or were cancelled) nobody waits for the rows.
void DataExchange::erase_when_quiet(const Key& key) {
  Deployment* deployment = find(key);
  if (deployment == nullptr || !deployment->is_finished) return;
  bool is_quiet = true;
  for (auto& [peer, link] : deployment->outgoing) {
    if (link.is_lost) continue;
    if (link.is_open) {
      for (auto& [name, output] : link.outputs) {
        while (!link.is_lost && !output->end.channel->is_empty()) pump(output);
      }
      if (!link.is_lost && !link.has_ended()) continue;
    }
    is_quiet = is_quiet && link.is_lost;
  }
  if (is_quiet) drop(key);
}

void DataExchange::drop(const Key& key) {
  const auto found = deployments_.find(key);
  if (found == deployments_.end()) return;
  found->second->close();
  deployments_.erase(found);
}

// --- the producer's side -------------------------------------------------------------------------

void DataExchange::connect(const Key& key, Outgoing& link) {
  const Deployment& deployment = *find(key);
  const auto& [host, port] = deployment.hosts.at(link.peer);
  env_.network.connect(*loop_, host, static_cast<std::uint16_t>(port), options_.connect_timeout,
                       [this, key, peer = link.peer](Result<env::ConnectionRef> connection) {
                         Deployment* alive = find(key);
                         if (alive == nullptr) {
                           if (connection.ok()) (*connection)->close();
                           return;
                         }
                         Outgoing& to = alive->outgoing.at(peer);
                         if (!connection.ok()) {
                           lose(to, fail(Code::kIo, fmt::format("Cannot reach the TaskManager at {} to send rows: {}",
                                                                to.name, connection.status().message())));
                           return erase_when_quiet(key);
                         }
                         to.connection = *connection;
                         env::Connection::Handler handler;
                         handler.on_frame = [this, key, peer](std::string_view frame) { on_answer(key, peer, frame); };
                         handler.on_closed = [this, key, peer](const Status& why) {
                           Deployment* there = find(key);
                           if (there == nullptr) return;
                           lose(there->outgoing.at(peer), why);
                           erase_when_quiet(key);
                         };
                         to.connection->set_handler(std::move(handler));
                         Hello hello;
                         hello.secret = options_.secret;
                         hello.job = key.first;
                         hello.incarnation = key.second;
                         hello.sender = alive->me;
                         to.connection->send(wire::encode(hello));
                       });
}

void DataExchange::on_answer(const Key& key, std::uint32_t peer, std::string_view frame) {
  Deployment* deployment = find(key);
  if (deployment == nullptr) return;
  Outgoing& link = deployment->outgoing.at(peer);
  if (link.is_lost) return;
  if (link.is_open) return on_credit(link, frame);
  const auto answer = wire::decode<Answer>(frame);
  if (!answer.ok() || !answer->accepted) {
    lose(link, fail(Code::kUnavailable, fmt::format("The TaskManager at {} refuses rows: {}", link.name,
                                                    answer.ok() ? answer->why : "its answer cannot be read")));
  } else {
    link.is_open = true;
    for (auto& [name, output] : link.outputs) pump(output);
  }
  erase_when_quiet(key);
}

void DataExchange::on_credit(Outgoing& link, std::string_view frame) {
  const auto garbage = [&] {
    lose(link, fail(Code::kIo, fmt::format("The TaskManager at {} sent a credit that cannot be", link.name)));
  };
  if (frame.size() % kCreditBytes != 0) return garbage();
  for (; !frame.empty(); frame.remove_prefix(kCreditBytes)) {
    const auto found = link.outputs.find(name_at(frame.data()));
    std::uint64_t bytes = 0;
    std::memcpy(&bytes, frame.data() + kNameBytes, 8);
    if (found == link.outputs.end() || bytes > found->second->end.channel->queued_bytes()) return garbage();
    found->second->end.channel->finish(bytes);
  }
}

void DataExchange::pump(const std::shared_ptr<Output>& output) {
  if (output->link == nullptr) return;
  Outgoing& link = *output->link;
  if (!link.is_open || link.is_lost) return;
  Item item;
  for (int i = 0; i < kItemsPerTurn; ++i) {
    if (!output->end.channel->pop(item)) return;
    if (item.kind == Item::Kind::kBatch) {
      if (!send_batch(link, *output, *item.batch)) return;
      continue;
    }
    std::string frame;
    put_name(frame, output->end.name);
    frame += static_cast<char>(item.kind);
    frame += item.kind == Item::Kind::kBarrier ? wire::encode(*item.barrier) : wire::encode(item.value);
    if (item.kind == Item::Kind::kEndOfChannel) output->has_ended = true;
    link.connection->send(std::move(frame));
  }
  if (!output->is_posted.exchange(true)) {
    loop_->post([this, output] {
      output->is_posted = false;
      pump(output);
    });
  }
}

bool DataExchange::send_batch(Outgoing& link, Output& output, const data::RowBatch& batch) {
  const std::uint64_t parts = batch.bytes() / kPartBytesMax + 1;
  const auto rows_max =
      static_cast<std::uint32_t>(std::clamp<std::uint64_t>(batch.rows() / parts, 1, data::kEncodedRowsMax));
  std::uint64_t bytes_left = batch.bytes();
  for (std::uint32_t first = 0; first < batch.rows();) {
    const std::uint32_t count = std::min(rows_max, batch.rows() - first);
    const bool is_last = first + count == batch.rows();
    const std::uint64_t bytes = is_last ? bytes_left : batch.bytes() / batch.rows() * count;
    bytes_left -= bytes;
    std::string frame;
    put_name(frame, output.end.name);
    frame += static_cast<char>(Item::Kind::kBatch);
    data::encode_batch(batch, *output.end.schema, first, count, bytes, frame);
    if (frame.size() > env::kFrameBytesMax) {
      lose(link, fail(Code::kResourceExhausted,
                      fmt::format("{} rows of {} bytes are more than can be sent to another TaskManager ({} bytes)",
                                  count, frame.size(), env::kFrameBytesMax)));
      return false;
    }
    bytes_sent_.fetch_add(frame.size(), std::memory_order_relaxed);
    link.connection->send(std::move(frame));
    first += count;
  }
  return true;
}

void DataExchange::lose(Outgoing& link, const Status& why) {
  if (link.is_lost) return;
  link.is_lost = true;
  if (link.connection != nullptr) link.connection->close();
  link.connection.reset();
  bool is_told = false;
  for (auto& [name, output] : link.outputs) {
    output->link = nullptr;
    if (output->has_ended) continue;
    const auto on_lost = std::exchange(output->end.on_lost, nullptr);
    if (on_lost == nullptr) continue;
    on_lost(fail(code_of(why), fmt::format("The connection that sends rows to the TaskManager at {} is lost: {}",
                                           link.name, why.message())));
    is_told = true;
  }
  if (is_told) env::log_warn("data", "Lost the connection that sends rows to {}: {}", link.name, why.message());
}

// --- the consumer's side -------------------------------------------------------------------------

void DataExchange::on_accept(const env::ConnectionRef& connection) {
  auto peer = std::make_shared<Peer>();
  peer->connection = connection;
  peer->kept = connection;
  peer->number = next_peer_++;
  if (unknown_.size() >= kUnknownPeersMax) return refuse(peer, false, "too many peers wait here");
  unknown_.emplace(peer->number, peer);
  env::Connection::Handler handler;
  // The peer owns the connection, which owns its handler.
  handler.on_frame = [this, weak = std::weak_ptr(peer)](std::string_view frame) {
    const auto alive = weak.lock();
    if (alive != nullptr) alive->has_said_hello ? on_item(alive, frame) : on_hello(alive, frame);
  };
  handler.on_closed = [this, weak = std::weak_ptr(peer)](const Status& why) {
    const auto closed = weak.lock();
    if (closed == nullptr) return;
    if (unknown_.erase(closed->number) != 0) {
      closed->kept.reset();
      ++refused_;
      return;
    }
    Deployment* deployment = find(closed->key);
    if (deployment == nullptr) return;
    const auto link = deployment->incoming.find(closed->sender);
    if (link != deployment->incoming.end() && link->second.connection == closed->connection.lock())
      lose(link->second, why);
  };
  connection->set_handler(std::move(handler));
  loop_->after(options_.connect_timeout, [this, weak = std::weak_ptr(peer)] {
    const auto silent = weak.lock();
    if (silent != nullptr && !silent->has_said_hello && unknown_.contains(silent->number))
      refuse(silent, false, "no word within the time");
  });
}

void DataExchange::refuse(const std::shared_ptr<Peer>& peer, bool is_stale, const std::string& why) {
  ++(is_stale ? stale_ : refused_);
  env::log_warn("data", "Refused a connection to the data port: {}", why);
  unknown_.erase(peer->number);
  const env::ConnectionRef connection = std::exchange(peer->kept, nullptr);
  if (connection == nullptr) return;
  connection->send(wire::encode(Answer{false, why}));
  connection->close();
}

void DataExchange::on_hello(const std::shared_ptr<Peer>& peer, std::string_view frame) {
  const auto hello = wire::decode<Hello>(frame);
  if (!hello.ok()) return refuse(peer, false, "it is no TaskManager of this version");
  if (!control::is_same_secret(hello->secret, options_.secret))
    return refuse(peer, false, "the secret of the cluster does not match");
  if (hello->version != kDataVersion)
    return refuse(peer, false, fmt::format("it has version {}, this one {}", hello->version, kDataVersion));
  peer->has_said_hello = true;
  peer->key = {hello->job, hello->incarnation};
  peer->sender = hello->sender;
  if (Deployment* deployment = find(peer->key)) return welcome(peer, *deployment);
  // Deployments come in order: one that is older than the newest has been here and is gone.
  const auto newest = newest_.find(hello->job);
  if (newest != newest_.end() && hello->incarnation <= newest->second) {
    return refuse(peer, true,
                  fmt::format("incarnation {} of job {} is gone", hello->incarnation, hello->job.to_string()));
  }
  loop_->after(options_.peer_timeout, [this, weak = std::weak_ptr(peer)] {
    const auto early = weak.lock();
    if (early != nullptr && unknown_.contains(early->number))
      refuse(early, true, "its deployment has not come within the time");
  });
}

void DataExchange::welcome(const std::shared_ptr<Peer>& peer, Deployment& deployment) {
  const auto found = deployment.incoming.find(peer->sender);
  if (deployment.is_finished) return refuse(peer, true, "the job's tasks here have ended");
  if (found == deployment.incoming.end() || found->second.connection != nullptr || found->second.is_lost) {
    return refuse(peer, true, fmt::format("no (other) rows are expected of TaskManager {}", peer->sender));
  }
  unknown_.erase(peer->number);
  found->second.accepted = peer;
  found->second.connection = std::exchange(peer->kept, nullptr);
  found->second.connection->send(wire::encode(Answer{true, ""}));
}

void DataExchange::on_item(const std::shared_ptr<Peer>& peer, std::string_view frame) {
  if (unknown_.contains(peer->number)) return refuse(peer, false, "it sent rows before it was welcome");
  Deployment* deployment = find(peer->key);
  if (deployment == nullptr) return;
  Incoming& link = deployment->incoming.at(peer->sender);
  if (link.is_lost || link.connection != peer->connection.lock()) return;
  bytes_received_.fetch_add(frame.size(), std::memory_order_relaxed);
  const auto garbage = [&](std::string_view what) {
    ++refused_;
    lose(link, fail(Code::kIo, fmt::format("it sent what cannot be read: {}", what)));
  };
  if (frame.size() <= kNameBytes) return garbage("a short frame");
  const auto found = link.inputs.find(name_at(frame.data()));
  if (found == link.inputs.end() || found->second->has_ended) return garbage("a channel that is not here");
  Input& input = *found->second;
  Item item;
  item.kind = static_cast<Item::Kind>(frame[kNameBytes]);
  const std::string_view rest = frame.substr(kNameBytes + 1);
  switch (item.kind) {
    case Item::Kind::kBatch: {
      auto batch = data::decode_batch(rest, *input.end.schema, blocks_);
      if (!batch.ok()) return garbage(batch.status().message());
      item.batch = std::move(*batch);
      input.pushed_bytes += item.batch->bytes();
      break;
    }
    case Item::Kind::kBarrier: {
      auto barrier = wire::decode<control::Barrier>(rest);
      if (!barrier.ok()) return garbage("a barrier");
      item.barrier = std::make_shared<const control::Barrier>(std::move(*barrier));
      break;
    }
    case Item::Kind::kWatermark:
    case Item::Kind::kIdle:
    case Item::Kind::kEndOfData:
    case Item::Kind::kEndOfChannel: {
      auto value = wire::decode<std::int64_t>(rest);
      if (!value.ok()) return garbage("a number");
      item.value = *value;
      input.has_ended = item.kind == Item::Kind::kEndOfChannel;
      break;
    }
    default:
      return garbage("an unknown kind of item");
  }
  const bool is_batch = item.batch.get() != nullptr;
  input.end.channel->push(std::move(item));
  if (is_batch) settle(found->second);
  if (input.has_ended && link.has_ended()) {
    // The producer waits for this.
    link.connection->close();
    link.connection.reset();
    link.is_lost = true;
  }
}

// Gives back what has been consumed, in lots, and asks to be woken when the next lot is.
void DataExchange::settle(const std::shared_ptr<Input>& input) {
  if (input->link == nullptr || input->link->is_lost) return;
  Channel& channel = *input->end.channel;
  while (true) {
    const std::uint64_t queued = channel.queued_bytes();
    std::uint64_t free = input->pushed_bytes - queued - input->credited_bytes;
    if (free >= credit_quantum_) {
      put_name(input->link->credit, input->end.name);
      char bytes[8];
      std::memcpy(bytes, &free, 8);
      input->link->credit.append(bytes, 8);
      input->credited_bytes += free;
      free = 0;
      flush_credit(*input->link);
    }
    const std::uint64_t missing = credit_quantum_ - std::min(free, credit_quantum_);
    // With less than a lot left the producer has credit enough without it.
    if (queued < missing || channel.wait_for_level(queued - missing)) return;
  }
}

void DataExchange::flush_credit(Incoming& link) {
  if (link.is_flush_posted || link.connection == nullptr) return;
  link.is_flush_posted = true;
  // Credits of all channels that this turn of the loop finds go together.
  loop_->post([weak = std::weak_ptr(link.connection), first = link.inputs.begin()->second] {
    Incoming* alive = first->link;
    const auto connection = weak.lock();
    if (alive == nullptr || connection == nullptr || alive->connection != connection) return;
    alive->is_flush_posted = false;
    connection->send(std::exchange(alive->credit, {}));
  });
}

void DataExchange::lose(Incoming& link, const Status& why) {
  if (link.is_lost) return;
  link.is_lost = true;
  if (link.connection != nullptr) link.connection->close();
  link.connection.reset();
  bool is_told = false;
  for (auto& [name, input] : link.inputs) {
    if (input->has_ended) continue;
    const auto on_lost = std::exchange(input->end.on_lost, nullptr);
    if (on_lost == nullptr) continue;
    on_lost(fail(code_of(why), fmt::format("The connection that brings rows from the TaskManager at {} is lost: {}",
                                           link.name, why.message())));
    is_told = true;
  }
  if (is_told) env::log_warn("data", "Lost the connection that brings rows from {}: {}", link.name, why.message());
}

}  // namespace drey::runtime
