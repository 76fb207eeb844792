#include "sim/cluster_sim.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/prng.h"
#include "cluster/job_manager.h"
#include "operators/registry.h"
#include "operators/sink.h"
#include "runtime/task_manager.h"
#include "sim/env/world.h"
#include "wire/binary/codec.h"

namespace drey::sim {
namespace {

using wire::field;
using wire::Fields;

constexpr std::int64_t kRowsPerSource = 5000;
constexpr std::int64_t kRowsPerPoll = 4;
constexpr std::int64_t kKeys = 50;
// Two subtasks of each vertex on one TaskManager, the third on the other one.
constexpr std::uint32_t kParallelism = 3;
constexpr std::int32_t kSlots = 2;
constexpr const char* kTaskManagers[] = {"tm1", "tm2"};
constexpr std::uint16_t kRpcPort = 6123;
constexpr std::int64_t kFaultsMin = 5;

// The second part of the job: each source counts for itself, with its sink a region of its own.
constexpr std::int64_t kCountedRows = 5000;
constexpr std::int64_t kCountedKey = 1000;

std::int64_t key_of(std::int64_t row) {
  return static_cast<std::int64_t>(mix64(static_cast<std::uint64_t>(row)) % kKeys);
}
std::int64_t value_of(std::int64_t row) {
  return static_cast<std::int64_t>(mix64(static_cast<std::uint64_t>(row)) >> 50);
}

// What is outside: it survives every crash and judges at the end.
struct Ledger {
  struct Entry {
    std::int64_t key, count, sum;
  };
  struct Transaction {
    std::string sink;
    std::uint32_t subtask = 0;
    std::int64_t checkpoint = 0;
    std::vector<Entry> entries;
  };
  std::map<std::string, Transaction> transactions;
  bool commits_early = false;
  bool may_roll_back = false;  // a checkpoint was unreadable for once
  std::string problem;

  // A transaction of before the crash stays as it is.
  void commit(const std::string& name, Transaction transaction) { transactions.emplace(name, std::move(transaction)); }

  // The sink goes on from this checkpoint. What it committed after it will be written again: as file sinks do, it takes
  // that back; but a checkpoint that was complete may be left only when it could not be read.
  void go_on_from(const std::string& sink, std::uint32_t subtask, std::uint32_t parallelism, std::int64_t checkpoint) {
    const auto gone = std::erase_if(transactions, [&](const auto& t) {
      return t.second.sink == sink && t.second.subtask % parallelism == subtask && t.second.checkpoint > checkpoint &&
             !commits_early;
    });
    if (gone != 0 && !may_roll_back)
      problem = fmt::format("restored checkpoint {} though a later one was complete", checkpoint);
  }

  std::string verdict() const {
    std::map<std::int64_t, std::int64_t> counts;
    std::map<std::int64_t, std::int64_t> sums;
    for (std::int64_t row = 0; row < kRowsPerSource * kParallelism; ++row) {
      ++counts[key_of(row)];
      sums[key_of(row)] += value_of(row);
    }
    for (std::uint32_t s = 0; s < kParallelism; ++s) counts[kCountedKey + s] = sums[kCountedKey + s] = kCountedRows;
    if (!problem.empty()) return problem;
    std::map<std::int64_t, std::map<std::int64_t, std::int64_t>> seen;  // key -> count -> sum
    for (const auto& [name, transaction] : transactions) {
      for (const Entry& e : transaction.entries) {
        if (!seen[e.key].emplace(e.count, e.sum).second)
          return fmt::format("key {} has count {} twice", e.key, e.count);
      }
    }
    for (const auto& [key, count] : counts) {
      const auto& got = seen[key];
      if (static_cast<std::int64_t>(got.size()) != count || got.rbegin()->first != count) {
        return fmt::format("key {} has {} rows instead of {}", key, got.size(), count);
      }
      if (got.rbegin()->second != sums[key])
        return fmt::format("key {} has the sum {} instead of {}", key, got.rbegin()->second, sums[key]);
    }
    return "";
  }
};

// --- the job's operators -------------------------------------------------------------------------

// Rows key, value of its part of the input; or, counting, rows key, count, sum of its own.
class SimSource final : public operators::Source {
 public:
  SimSource(operators::OperatorContext& context, bool counts) : context_(context), counts_(counts) {}
  Status open(operators::OperatorContext& context) override {
    DREY_TRY_ASSIGN(position_, context.state().operator_list(context.operator_id(), "position", false));
    if (!context.state().is_restored()) {
      const std::int64_t rows = counts_ ? kCountedRows : kRowsPerSource;
      ranges_ = {{context.subtask() * rows, (context.subtask() + 1) * rows}};
    }
    for (const std::string& element : position_->elements()) {
      DREY_TRY_ASSIGN(const auto range, (wire::decode<std::pair<std::int64_t, std::int64_t>>(element)));
      ranges_.push_back(range);
    }
    return {};
  }
  Result<operators::Progress> poll(operators::Emitter& out, operators::Budget) override {
    while (!ranges_.empty() && ranges_.back().first == ranges_.back().second) ranges_.pop_back();
    if (ranges_.empty()) return operators::Progress::kDone;
    auto& [next, end] = ranges_.back();
    const std::int64_t now = context_.processing_time();
    if (now < not_before_) {
      context_.wake_at(not_before_);
      return operators::Progress::kIdle;
    }
    not_before_ = now + 2;
    const std::int64_t count = std::min(kRowsPerPoll, end - next);
    data::BatchBuilder builder(context_.output_schema(0), static_cast<std::uint32_t>(count), context_.pool());
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t row = next + i;
      builder.values<std::int64_t>(0)[i] = counts_ ? kCountedKey + row / kCountedRows : key_of(row);
      builder.values<std::int64_t>(1)[i] = counts_ ? row % kCountedRows + 1 : value_of(row);
      if (counts_) builder.values<std::int64_t>(2)[i] = row % kCountedRows + 1;
    }
    builder.abi().rows = static_cast<std::uint32_t>(count);
    next += count;
    DREY_TRY(out.emit(builder.build()));
    return operators::Progress::kBusy;
  }
  Status snapshot(std::int64_t) override {
    std::vector<std::string> elements;
    for (const auto& range : ranges_) elements.push_back(wire::encode(range));
    position_->assign(std::move(elements));
    return {};
  }

 private:
  operators::OperatorContext& context_;
  const bool counts_;
  state::OperatorList* position_ = nullptr;
  std::vector<std::pair<std::int64_t, std::int64_t>>
      ranges_;  // next row, end; several after a restore with fewer subtasks
  std::int64_t not_before_ = 0;
};

class SimSum final : public operators::Operator {
 public:
  explicit SimSum(operators::OperatorContext& context) : context_(context) {}
  Status open(operators::OperatorContext& context) override {
    DREY_TRY_ASSIGN(table_, context.state().table(context.operator_id(), "sum", "sum", {16, false, false}));
    return {};
  }
  Status process(std::uint32_t, const data::BatchRef& batch, operators::Emitter& out) override {
    keys_.encode(*batch, context_.key_columns(0));
    std::vector<void*> rows(batch->rows());
    DREY_TRY(table_->values(keys_.keys(), keys_.hashes(), {}, true, rows.data(), nullptr));
    data::BatchBuilder builder(context_.output_schema(0), batch->rows(), context_.pool());
    for (std::uint32_t i = 0; i < batch->rows(); ++i) {
      const std::uint32_t row = batch->physical(i);
      auto* state = static_cast<std::int64_t*>(rows[i]);
      state[0] += 1;
      state[1] += batch->values<std::int64_t>(1)[row];
      builder.values<std::int64_t>(0)[i] = batch->values<std::int64_t>(0)[row];
      builder.values<std::int64_t>(1)[i] = state[0];
      builder.values<std::int64_t>(2)[i] = state[1];
    }
    builder.abi().rows = batch->rows();
    return out.emit(builder.build());
  }

 private:
  operators::OperatorContext& context_;
  state::Table* table_ = nullptr;
  data::KeyVector keys_;
};

// A committable of the ledger's sink.
struct PendingTransaction {
  std::int64_t checkpoint = 0;
  std::uint32_t subtask = 0;
  std::string sink;
  std::string name;
  std::vector<std::int64_t> numbers;  // key, count, sum
  static constexpr auto fields() {
    using M = PendingTransaction;
    return Fields{field("checkpoint", &M::checkpoint), field("subtask", &M::subtask), field("sink", &M::sink),
                  field("name", &M::name), field("numbers", &M::numbers)};
  }
};
static_assert(wire::EveryMemberHasARow<PendingTransaction>);

class LedgerCommitter final : public operators::Committer {
 public:
  LedgerCommitter(Ledger& ledger, env::Env& env) : ledger_(ledger), env_(env) {}
  Status commit(const std::vector<std::string>& committables) override {
    // What it writes to is out now and then, also between two committables of a call.
    const bool breaks = env_.random.next() % 16 == 0;
    const std::uint64_t breaks_at = env_.random.next() % committables.size();
    for (const std::string& committable : committables) {
      if (breaks && &committable == &committables[breaks_at]) return fail(Code::kUnavailable, "The ledger is out");
      DREY_TRY_ASSIGN(const PendingTransaction pending, wire::decode<PendingTransaction>(committable));
      Ledger::Transaction transaction{pending.sink, pending.subtask, pending.checkpoint, {}};
      for (std::size_t i = 0; i + 2 < pending.numbers.size(); i += 3) {
        transaction.entries.push_back({pending.numbers[i], pending.numbers[i + 1], pending.numbers[i + 2]});
      }
      ledger_.commit(pending.name, std::move(transaction));
    }
    return {};
  }

 private:
  Ledger& ledger_;
  env::Env& env_;
};

class LedgerWriter final : public operators::SinkWriter {
 public:
  LedgerWriter(operators::OperatorContext& context, Ledger& ledger) : context_(context), ledger_(ledger) {}
  Status open(const operators::RestoredSink& restored) override {
    if (!restored.is_restored) return {};
    ledger_.go_on_from(context_.node().name, context_.subtask(), context_.parallelism(),
                       context_.restored_checkpoint());
    return {};
  }
  Status write(const data::BatchRef& batch) override {
    for (std::uint32_t i = 0; i < batch->rows(); ++i) {
      for (std::size_t c = 0; c < 3; ++c) rows_.push_back(batch->values<std::int64_t>(c)[batch->physical(i)]);
    }
    return {};
  }
  Result<std::vector<std::string>> prepare_commit(std::int64_t checkpoint_id) override {
    if (rows_.empty()) return std::vector<std::string>();
    const std::string name =
        fmt::format("{}-{}-{}-{}", context_.node().name, context_.subtask(), context_.attempt(), checkpoint_id);
    std::string pending = wire::encode(
        PendingTransaction{checkpoint_id, context_.subtask(), context_.node().name, name, std::exchange(rows_, {})});
    if (!ledger_.commits_early) return std::vector<std::string>{std::move(pending)};
    while (!LedgerCommitter(ledger_, context_.env()).commit({pending}).ok()) {
    }
    return std::vector<std::string>();
  }

 private:
  operators::OperatorContext& context_;
  Ledger& ledger_;
  std::vector<std::int64_t> rows_;
};

operators::Registry registry_of(Ledger& ledger) {
  operators::Registry registry;
  using operators::NoOptions;
  for (const bool counts : {false, true}) {
    registry.add(operators::declare<NoOptions>({
        .name = counts ? "sim.count" : "sim.rows",
        .doc = "",
        .traits = {.role = graph::Role::kSource},
        .make_source = [counts](operators::OperatorContext& c,
                                const NoOptions&) { return std::make_unique<SimSource>(c, counts); },
    }));
  }
  registry.add(operators::declare<NoOptions>({
      .name = "sim.sum",
      .doc = "",
      .make_operator = [](operators::OperatorContext& c, const NoOptions&) { return std::make_unique<SimSum>(c); },
  }));
  registry.add(operators::declare<NoOptions>({
      .name = "sim.ledger",
      .doc = "",
      .traits = {.role = graph::Role::kSink, .commits_on_completion = true},
      .make_operator = [&ledger](operators::OperatorContext& c,
                                 const NoOptions&) -> operators::Made<operators::Operator> {
        return operators::make_sink(c, std::make_unique<LedgerWriter>(c, ledger),
                                    std::make_shared<LedgerCommitter>(ledger, c.env()));
      },
  }));
  return registry;
}

graph::JobGraph job_graph(std::int32_t parallelism) {
  graph::JobGraph graph;
  graph.name = "simulated";
  const auto node = [&](const char* kind, const char* name, std::vector<std::string> outputs) {
    graph::OperatorNode n;
    n.kind = kind;
    n.name = name;
    n.uid = name;
    n.parallelism = parallelism;
    n.max_parallelism = 16;
    n.outputs = std::move(outputs);
    graph.operators.push_back(std::move(n));
  };
  node("sim.rows", "rows", {"key:l;value:l"});
  node("sim.sum", "sum", {"key:l;count:l;sum:l"});
  node("sim.ledger", "ledger", {});
  node("sim.count", "counter", {"key:l;count:l;sum:l"});
  node("sim.ledger", "counted", {});
  graph.edges = {{0, 0, 1, 0, graph::Partitioner::kHash, {0}},
                 {1, 0, 2, 0, graph::Partitioner::kForward, {}},
                 {3, 0, 4, 0, graph::Partitioner::kForward, {}}};
  graph.settings = {{"execution.checkpointing.interval", "15 ms"},
                    {"execution.checkpointing.timeout", "400 ms"},
                    {"execution.checkpointing.tolerable-failed-checkpoints", "1000000"},
                    {"execution.checkpointing.num-retained", "2"},
                    {"restart-strategy.type", "fixed-delay"},
                    {"restart-strategy.fixed-delay.attempts", "1000000"},
                    {"restart-strategy.fixed-delay.delay", "10 ms"}};
  return graph;
}

class NoRunner final : public cluster::ProgramRunner {
 public:
  void plan(env::Loop&, Request, std::function<void(Result<graph::JobGraph>)> done) override {
    done(fail(Code::kUnavailable, "no programs in the simulation"));
  }
};

struct TaskManagerNode {
  operators::Registry registry;
  std::unique_ptr<runtime::TaskManager> manager;
};

class ClusterSim {
 public:
  explicit ClusterSim(const ClusterSimOptions& options)
      : world_({.seed = options.seed}),
        stored_(std::make_shared<cluster::StoreMemory>()),
        disk_(std::make_shared<Disk>()) {
    ledger_.commits_early = options.commits_early;
  }

  ClusterSimResult run() {
    // Messages of the cluster come late, and twice. Rows do not: a connection never says a thing twice.
    world_.wires().set_frame_fault([this](const NodeState& from, const NodeState& to, std::string_view) {
      FrameFate fate;
      Prng& prng = world_.prng();
      if (prng.chance(0.01)) fate.extra_delay = Millis(static_cast<std::int64_t>(prng.below(5)));
      if ((from.name == "jm" || to.name == "jm") && prng.chance(0.01)) fate.copies = 2;
      return fate;
    });
    start_job_manager();
    for (const char* name : kTaskManagers) start_task_manager(name);
    manager()->submit(job_graph(kParallelism), "", job_, "", [this](Result<JobId> id) {
      if (!id.ok()) result_.problem = "submit: " + id.status().to_string();
    });
    // Safety: anything may happen, nothing may go wrong.
    while (result_.faults < kFaultsMin || world_.prng().chance(0.7)) {
      world_.run_for(Millis(30 + static_cast<std::int64_t>(world_.prng().below(150))));
      if (ended()) break;
      fault();
    }
    // Liveness: the world heals; the job must come to its end.
    const bool ends_in_peace = !has_ended();
    heal();
    if (!world_.run_until([this] { return ended(); }, std::chrono::seconds(60))) {
      result_.problem = "the job did not end within 60 s of virtual time after the faults";
    } else if (result_.problem.empty() && last_state_ != "FINISHED") {
      result_.problem = "the job is " + last_state_ + ": " + last_failure_;
    }
    world_.run_for(Millis(200));
    count_checkpoints();
    if (result_.problem.empty()) result_.problem = ledger_.verdict();
    const std::string left = "/checkpoints/" + job_.to_string();
    const auto is_gone = [&] { return disk_->find(left) == nullptr; };
    // What a slow disk still has to do may take a while.
    if (ends_in_peace && result_.problem.empty() && !world_.run_until(is_gone, std::chrono::seconds(3))) {
      result_.problem =
          fmt::format("the job has ended and {} holds {}", left, fmt::join(disk_->children(left, true), ", "));
    }
    result_.trace = world_.trace();
    return result_;
  }

 private:
  cluster::JobManager* manager() {
    return world_.is_alive("jm") ? static_cast<cluster::JobManager*>(world_.root("jm").get()) : nullptr;
  }

  void start_job_manager() {
    world_.start("jm", disk_, [this](env::Env& env, const auto&) -> std::shared_ptr<void> {
      cluster::JobManagerOptions options;
      options.cluster.rpc_port = kRpcPort;
      options.cluster.secret = "secret";
      options.checkpoint_directory = "/checkpoints";
      options.cluster.heartbeat_interval = Millis(20);
      options.cluster.heartbeat_timeout = Millis(200);
      options.cluster.slot_timeout = std::chrono::hours(1);
      options.cluster.slot_stabilization = Millis(50);
      options.cluster.rescale_cooldown = Millis(100);
      auto jm = std::make_shared<cluster::JobManager>(options, env, kinds_, cluster::make_memory_store(stored_),
                                                      std::make_unique<cluster::Jars>("/jars", "/cache", env),
                                                      std::make_unique<NoRunner>());
      if (Status started = jm->start(); !started.ok()) result_.problem = "start: " + started.to_string();
      return jm;
    });
  }

  void start_task_manager(const std::string& name) {
    const std::string id = fmt::format("{}-{}", name, ++task_managers_);
    world_.start(name, disk_, [this, id](env::Env& env, const auto&) -> std::shared_ptr<void> {
      auto node = std::make_shared<TaskManagerNode>();
      node->registry = registry_of(ledger_);
      runtime::TaskManagerOptions options;
      options.id = id;
      options.job_manager_port = kRpcPort;
      options.secret = "secret";
      options.slots = kSlots;
      options.channel_bytes = 1024;
      options.peer_timeout = Millis(1000);
      node->manager = std::make_unique<runtime::TaskManager>(options, env, node->registry);
      if (Status started = node->manager->start([](const std::string&) {}); !started.ok())
        result_.problem = "start: " + started.to_string();
      return node;
    });
  }

  // The state as the JobManager's record has it; counts what it has completed.
  bool ended() {
    cluster::JobManager* jm = manager();
    if (jm == nullptr) return false;
    // The record is large: a look now and then is enough.
    if (world_.now() < next_look_) return has_ended();
    next_look_ = world_.now() + Millis(5);
    jm->job(job_).then([this, asked = job_](Result<gateway::JobModelRef> model) {
      if (!model.ok() || asked != job_) return;
      last_state_ = (*model)->state;
      last_failure_ = (*model)->failure.stacktrace;
      last_widths_.clear();
      all_run_ = true;
      for (const gateway::VertexModel& vertex : (*model)->vertices) {
        last_widths_.insert(static_cast<std::int32_t>(vertex.subtasks.size()));
        for (const auto& attempts : vertex.subtasks) all_run_ = all_run_ && attempts.back().state == "RUNNING";
      }
      const std::int64_t done = (*model)->checkpoints.completed;
      if (done < checkpoints_here_) checkpoints_before_ += checkpoints_here_;
      checkpoints_here_ = done;
    });
    return has_ended();
  }
  bool has_ended() const { return last_state_ == "FINISHED" || last_state_ == "FAILED" || last_state_ == "CANCELED"; }
  void count_checkpoints() { result_.checkpoints = checkpoints_before_ + checkpoints_here_; }

  void fault() {
    const bool was_slow = std::exchange(is_slow_, false);
    draw_fault();
    if (was_slow && !is_slow_) world_.slow_disk("jm", Nanos(0));
  }

  void draw_fault() {
    Prng& prng = world_.prng();
    std::string what;
    const std::string tm = kTaskManagers[prng.below(2)];
    const std::string other = tm == kTaskManagers[0] ? kTaskManagers[1] : kTaskManagers[0];
    const auto pause = [&](std::int64_t longest = 60) {
      world_.run_for(Millis(1 + static_cast<std::int64_t>(prng.below(static_cast<std::uint64_t>(longest)))));
    };
    switch (prng.below(23)) {
      case 22: {
        // A job with bounds goes on with the slots that are left, and is as wide as before when they are back.
        what = "slots of " + tm + " leave a job with bounds";
        if (!set_bounds(1, kParallelism) || has_ended()) return;
        world_.kill(tm);
        const bool goes_on =
            world_.run_until([this] { return is_running_on(kSlots) || ended(); }, std::chrono::seconds(20));
        if (!goes_on && result_.problem.empty())
          result_.problem = what + ": it does not go on with those left within 20 s";
        start_task_manager(tm);
        const bool grows =
            world_.run_until([this] { return is_running_on(kParallelism) || ended(); }, std::chrono::seconds(20));
        if (!grows && result_.problem.empty()) result_.problem = what + ": it does not grow again within 20 s";
        if (goes_on && !has_ended()) ++result_.narrowed;
        break;
      }
      case 19:
      case 20: {
        // Now and then longer than checkpoints may take.
        const bool is_long = prng.chance(0.2);
        const auto longest = static_cast<std::int64_t>(5 + prng.below(is_long ? 900 : 60));
        what = fmt::format("slow disk of the jobmanager, up to {} ms", longest);
        world_.slow_disk("jm", Millis(longest));
        is_slow_ = !is_long && prng.chance(0.8);
        if (is_slow_) return note(what);  // the next fault meets it
        pause(300);
        world_.slow_disk("jm", Nanos(0));
        break;
      }
      case 21:
        what = "kill jobmanager while it writes";
        world_.kill_at_operation("jm", 1 + static_cast<std::int64_t>(prng.below(12)));
        world_.run_until([&] { return !world_.is_alive("jm"); }, std::chrono::seconds(2));
        if (world_.is_alive("jm")) world_.kill("jm");
        forget_jobmanager();
        pause();
        start_job_manager();
        break;
      case 15:
      case 16: {
        const auto parallelism = static_cast<std::int32_t>(1 + prng.below(4));
        what = fmt::format("rescale to {}", parallelism);
        trigger(gateway::RescaleRequest{parallelism});
        if (prng.chance(0.5)) return note(what);  // the next fault meets it
        await(what);
        break;
      }
      case 17: {
        gateway::SavepointRequest request{"/savepoints", prng.chance(0.5), false, false, false};
        what = request.canonical ? "canonical savepoint" : "native savepoint";
        trigger(request);
        if (prng.chance(0.5)) return note(what);
        await(what);
        break;
      }
      case 18: {
        gateway::SavepointRequest request{"/savepoints", prng.chance(0.5), false, false, false};
        request.stop = prng.chance(0.7);
        request.cancel_job = !request.stop;
        const auto parallelism = static_cast<std::int32_t>(1 + prng.below(4));
        what = fmt::format("{} with savepoint and go on at {}", request.stop ? "stop" : "cancel", parallelism);
        trigger(request);
        if (const auto operation = await(what); operation && operation->failure_class.empty())
          go_on_from(operation->location, parallelism);
        break;
      }
      case 0:
        what = "kill " + tm;
        world_.kill(tm);
        pause();
        start_task_manager(tm);
        break;
      case 1:
        what = "kill silently " + tm;
        world_.kill(tm, true);
        pause();
        start_task_manager(tm);
        break;
      case 2:
        what = "pause " + tm;
        world_.pause(tm);
        pause(450);
        world_.resume(tm);
        break;
      case 3:
        what = "kill jobmanager";
        world_.kill("jm");
        forget_jobmanager();
        pause();
        start_job_manager();
        break;
      case 4:
        what = "drop connections to the jobmanager of " + tm;
        world_.wires().drop("jm", tm);
        break;
      case 5:
        what = "drop data connections";
        world_.wires().drop(tm, other);
        break;
      case 6:
        what = "delay frames";
        world_.wires().set_delay(Millis(1), Millis(1 + static_cast<std::int64_t>(prng.below(30))));
        pause();
        world_.wires().set_delay(std::chrono::microseconds(20), std::chrono::microseconds(300));
        break;
      case 7:
        what = "cut data connections";
        world_.wires().cut(tm, other);
        pause(300);
        world_.wires().join_all();
        break;
      case 8:
        what = "cut from the jobmanager " + tm;
        world_.wires().cut("jm", tm);
        pause(400);
        world_.wires().join_all();
        break;
      case 9:
        what = "power loss";
        world_.lose_power(disk_);
        forget_jobmanager();
        pause();
        start_job_manager();
        for (const char* name : kTaskManagers) start_task_manager(name);
        break;
      case 10:
        what = "full disk";
        disk_->set_capacity(disk_->used_bytes() + prng.below(2000));
        pause(220);
        disk_->set_capacity(UINT64_MAX);
        break;
      case 11:
        what = "slow " + tm;
        world_.starve(tm, 0.9);
        pause(100);
        world_.starve(tm, 0);
        break;
      case 12:
        // The newest checkpoint is given up: another one must be there.
        if (checkpoints_here_ < checkpoints_at_flip_ + 2) return;
        what = "bit flip on read-back";
        ledger_.may_roll_back = true;
        disk_->flip_next_read(".state");
        // Both: a narrow job may have no task on one of them, and the flip would meet a later restore.
        for (const char* name : kTaskManagers) world_.kill(name);
        for (const char* name : kTaskManagers) start_task_manager(name);
        // A flip that nobody has read yet must not meet the next fault: two of them may leave no checkpoint.
        world_.run_until([this] { return !disk_->has_flip_to_come() || ended(); }, std::chrono::seconds(2));
        world_.run_for(Millis(10));
        static_cast<void>(ended());
        checkpoints_at_flip_ = checkpoints_here_;
        break;
      case 13:
        what = "kill both taskmanagers";
        world_.kill(tm);
        pause(5);
        world_.kill(other);
        pause();
        for (const char* name : kTaskManagers) start_task_manager(name);
        break;
      default:
        what = "kill while it writes " + tm;
        world_.kill_at_operation(tm, 1 + static_cast<std::int64_t>(prng.below(20)));
        world_.run_until([&] { return !world_.is_alive(tm); }, std::chrono::seconds(2));
        if (world_.is_alive(tm)) world_.kill(tm);
        pause();
        start_task_manager(tm);
        break;
    }
    note(what);
  }

  void note(const std::string& what) {
    ++result_.faults;
    result_.fault_list += (result_.fault_list.empty() ? "" : ", ") + what;
  }

  using Action = decltype(gateway::OperationRequest::action);
  void trigger(Action action) {
    if (manager() == nullptr) return;
    operation_ = TriggerId::from_halves(9, ++operations_);
    kind_ = static_cast<gateway::OperationKind>(std::holds_alternative<gateway::RescaleRequest>(action) ? 3 : 0);
    manager()->trigger({job_, operation_, std::move(action)}).then([this](Result<TriggerId> id) {
      if (!id.ok()) result_.problem = "trigger: " + id.status().to_string();
    });
  }

  // Bounds for the parallelism of all vertices; false: the job cannot be told.
  bool set_bounds(std::int32_t lower, std::int32_t upper) {
    if (manager() == nullptr) return false;
    const auto done = std::make_shared<bool>(false);
    manager()->resource_requirements(job_).then(
        [this, lower, upper, done](Result<gateway::ResourceRequirements> bounds) {
          if (!bounds.ok() || manager() == nullptr) return;
          for (auto& [vertex, b] : *bounds) b = {lower, upper};
          manager()->set_resource_requirements(job_, *bounds).then([done](Result<bool> set) { *done = set.ok(); });
        });
    world_.run_until([&] { return *done; }, Millis(500));
    return *done;
  }

  // Every vertex is so wide, and all subtasks run.
  bool is_running_on(std::int32_t parallelism) {
    static_cast<void>(ended());
    return last_state_ == "RUNNING" && last_widths_ == std::set<std::int32_t>{parallelism} && all_run_;
  }

  // What came of it. It must come: checkpoints expire, tasks that do not answer are given up.
  std::optional<gateway::OperationModel> await(const std::string& what) {
    // Answers may come after this call.
    const auto found = std::make_shared<std::optional<gateway::OperationModel>>();
    const bool came = world_.run_until(
        [&] {
          if (manager() == nullptr) return true;
          manager()->operation(kind_, job_, operation_).then([found](Result<gateway::OperationModel> operation) {
            if (operation.ok() && operation->done) *found = std::move(*operation);
          });
          return found->has_value();
        },
        std::chrono::seconds(20));
    if (!came && result_.problem.empty()) result_.problem = what + ": nothing came of it within 20 s";
    return *found;
  }

  // The same program from its savepoint, as another job.
  void go_on_from(const std::string& savepoint, std::int32_t parallelism) {
    if (!world_.run_until(
            [this] {
              next_look_ = {};
              return ended();
            },
            std::chrono::seconds(20))) {
      result_.problem = "the stopped job does not end";
      return;
    }
    job_ = JobId::from_halves(1, ++jobs_);
    last_state_.clear();
    forget_jobmanager();
    manager()->submit(job_graph(parallelism), "", job_, savepoint, [this](Result<JobId> id) {
      if (!id.ok()) result_.problem = "resume: " + id.status().to_string();
    });
  }

  // Another JobManager counts from its own beginning.
  void forget_jobmanager() {
    checkpoints_before_ += checkpoints_here_;
    checkpoints_here_ = 0;
    checkpoints_at_flip_ = 0;
  }

  void heal() {
    world_.wires().join_all();
    disk_->set_capacity(UINT64_MAX);
    world_.slow_disk("jm", Nanos(0));
    if (!world_.is_alive("jm")) start_job_manager();
    for (const char* name : kTaskManagers) {
      if (!world_.is_alive(name)) start_task_manager(name);
    }
  }

  ClusterSimResult result_;
  Ledger ledger_;
  const operators::Registry kinds_ = registry_of(ledger_);
  JobId job_ = JobId::from_halves(1, 2);
  std::uint64_t jobs_ = 2;
  TriggerId operation_;
  gateway::OperationKind kind_ = gateway::OperationKind::kSavepoint;
  std::uint64_t operations_ = 0;
  std::string last_state_;
  std::string last_failure_;
  std::set<std::int32_t> last_widths_;
  bool all_run_ = false;
  Ticks next_look_{};
  std::int64_t checkpoints_here_ = 0;
  std::int64_t checkpoints_at_flip_ = 0;
  std::int64_t checkpoints_before_ = 0;
  int task_managers_ = 0;
  bool is_slow_ = false;  // the JobManager's disk
  World world_;
  std::shared_ptr<cluster::StoreMemory> stored_;
  DiskRef disk_;
};

}  // namespace

ClusterSimResult run_cluster_sim(const ClusterSimOptions& options) { return ClusterSim(options).run(); }

}  // namespace drey::sim
