// Tests of jobs and functions inside one process: no cluster, one thread for a function, a
// debugger's breakpoints work.
//
// A function alone, with rows, watermarks and time as given (needs nothing but these headers):
//
//   drey::testing::Harness h(Sessions{}, &Hit::user);          // keyed by a member, or a function
//   h.process({"/a", "ann", 10, {0}}, drey::Timestamp{0});     // a row and its event time
//   h.watermark(drey::Timestamp{0} + 30min);                   // fires the timers
//   EXPECT_EQ(h.take().at(0).hits, 1);                         // what was emitted since the last
//   take() const auto saved = h.snapshot(); h.restore(saved); // as after a failure: a new instance
//
// A whole job (link drey_embedded):
//
//   drey::testing::Job job("hits");
//   auto& pages = job.collect<PerPage>("pages");               // of .to(drey::collect("pages"))
//   job.run({"--input", "/tmp/hits.csv"});                     // throws Failure when the job fails
//   EXPECT_EQ(pages.size(), 3);
#pragma once

#include "drey/datastream.h"
#include "drey/testing_abi.h"
#include "drey/testing_host.h"

namespace drey {
inline namespace api {
namespace testing {

// A function or a job has failed: the text is what the job's exceptions would show.
struct Failure : std::runtime_error {
  Failure(std::string what_type, const std::string& message)
      : std::runtime_error(what_type + ": " + message), type(std::move(what_type)) {}
  std::string type;
};

// What a function leaves behind: its state and timers.
struct Snapshot {
  std::map<std::string, StateData> states;
  std::set<TimerKey> timers;
};

namespace detail {
using namespace drey::detail;

template <class F>
constexpr auto first_input() {
  if constexpr (requires { typename F::Input; }) {
    return std::type_identity<typename F::Input>{};
  } else {
    return std::type_identity<typename F::Input1>{};
  }
}
template <class F>
constexpr auto second_input() {
  if constexpr (requires { typename F::Broadcast; }) {
    return std::type_identity<typename F::Broadcast>{};
  } else if constexpr (requires { typename F::Input2; }) {
    return std::type_identity<typename F::Input2>{};
  } else {
    return std::type_identity<void>{};
  }
}

// The bytes of a key as abi.h has them; false: the null key of one column.
template <class K>
bool encode_key_column(std::string& to, const K& k) {
  if constexpr (kIsOptional<K>) {
    return k.has_value() && encode_key_column(to, *k);
  } else if constexpr (Viewlike<K> || std::is_same_v<K, std::string>) {
    to.append(k.data(), k.size());
    return true;
  } else {
    encode(to, k);
    return true;
  }
}
template <class K>
bool encode_key(std::string& to, const K& k) {
  if constexpr (Shape<K>::kColumns == 1) {
    return encode_key_column(to, Shape<K>::template get<0>(k));
  } else {
    for_columns<K>([&](auto i) {
      const auto& part = Shape<K>::template get<i>(k);
      if constexpr (kIsOptional<std::remove_cvref_t<decltype(part)>>) {
        encode(to, part);  // a byte and the value
      } else {
        to.push_back(1);
        encode(to, part);
      }
    });
    return true;
  }
}
}  // namespace detail

// One instance of a process function: Process, KeyedProcess, CoProcess, BroadcastProcess.
template <class F>
class Harness {
 public:
  using In = typename decltype(detail::first_input<F>())::type;
  using Second = typename decltype(detail::second_input<F>())::type;
  using O = typename F::Output;

  explicit Harness(F fn) : closure_{std::move(fn)} { start({}); }
  template <class Key>
  Harness(F fn, Key key) : closure_{std::move(fn)} {
    key_by<In>(keys_[0], key);
    start({});
  }
  // CoProcess on two keyed streams.
  template <class Key, class Key2>
  Harness(F fn, Key key, Key2 key2) : closure_{std::move(fn)} {
    key_by<In>(keys_[0], key);
    key_by<Second>(keys_[1], key2);
    start({});
  }
  Harness(const Harness&) = delete;
  Harness& operator=(const Harness&) = delete;
  ~Harness() { stop(); }

  // A row of the first input, with or without event time.
  void process(const In& row) { push<In>(0, row, std::nullopt); }
  void process(const In& row, Timestamp time) { push<In>(0, row, time); }
  // A row of the second, or the broadcast, input.
  template <class B>
  void process2(const B& row) {
    push<Second>(1, row, std::nullopt);
  }
  template <class B>
  void process2(const B& row, Timestamp time) {
    push<Second>(1, row, time);
  }
  // Event time has come to `at`: timers fire.
  void watermark(Timestamp at) {
    task_.watermark = std::max(task_.watermark, at.ms);
    fire(DREY_EVENT_TIME, task_.watermark);
    call(table().on_watermark, at.ms);
  }
  // The clock shows `at`: timers in processing time fire.
  void processing_time(Timestamp at) {
    task_.processing_time = std::max(task_.processing_time, at.ms);
    fire(DREY_PROCESSING_TIME, at.ms);
  }
  void end_input(int input = 0) { call(table().on_input_end, static_cast<std::uint32_t>(input)); }
  void finish() { call(table().finish); }

  // What has been emitted since the last take; views in it are valid until the next one.
  std::vector<O> take() {
    std::vector<O> rows;
    for (auto& [row, time] : take_timed()) rows.push_back(std::move(row));
    return rows;
  }
  std::vector<std::pair<O, std::optional<Timestamp>>> take_timed() { return taken<O>(0); }
  template <class S>
  std::vector<S> take(const SideOutput<S>& tag) {
    std::vector<S> rows;
    for (std::size_t i = 0; i < closure_.sides->rows.size(); ++i) {
      if (closure_.sides->rows[i].name != tag.name) continue;
      for (auto& [row, time] : taken<S>(i + 1)) rows.push_back(std::move(row));
    }
    return rows;
  }

  std::int64_t accumulator(const std::string& name) const {
    const auto it = task_.whole.find(name);
    return it == task_.whole.end() ? 0 : it->second;
  }
  std::int64_t metric(const std::string& name) const {
    const auto it = task_.metrics.find(name);
    return it == task_.metrics.end() ? 0 : it->second;
  }
  std::size_t timers() const { return task_.timers.size(); }

  Snapshot snapshot() {
    call(table().snapshot, std::int64_t{1});
    Snapshot s;
    for (const auto& [name, state] : task_.states) s.states.emplace(name, state);
    s.timers = task_.timers;
    return s;
  }
  // A new instance with the state of a snapshot; watermark and outputs start anew.
  void restore(const Snapshot& snapshot) {
    stop();
    start(snapshot);
  }

 private:
  using Op = detail::ProcessOp<F, In, Second, O>;
  struct Key {
    std::function<bool(std::string&, const void* row)> encode;
  };

  static const drey_functions& table() { return *detail::Functions<Op>::get(); }

  template <class Row, class M>
  void key_by(Key& to, M key) {
    using K = std::remove_cvref_t<std::invoke_result_t<M&, const Row&>>;
    closure_.key_type = detail::type_tag<K>();
    to.encode = [key](std::string& bytes, const void* row) {
      return detail::encode_key<K>(bytes, std::invoke(key, *static_cast<const Row*>(row)));
    };
  }

  void start(const Snapshot& snapshot) {
    task_ = drey_task{};
    for (const auto& [name, data] : snapshot.states) static_cast<StateData&>(task_.states[name]) = data;
    task_.timers = snapshot.timers;
    task_.outputs = {schema_of<O>()};
    task_.out.resize(1);
    for (const auto& row : closure_.sides->rows) declare(row.schema);
    closure_.sides->undeclared = [this](detail::SideTable& table, detail::SideTable::Row row) {
      table.rows.push_back(row);
      declare(row.schema);
    };
    self_ = table().create(&closure_, &task_, host());
    done(self_ == nullptr ? 1 : 0);
    call(table().open);
  }
  void declare(const ArrowSchema* schema) {
    task_.outputs.push_back(schema);
    task_.out.emplace_back();
  }
  void stop() {
    if (self_ != nullptr) table().destroy(self_);
    self_ = nullptr;
  }

  template <class Row>
  void push(std::uint32_t input, const Row& row, std::optional<Timestamp> time) {
    auto batch = start_batch(schema_of<Row>(), 1);
    Out<Row> out;
    out.attach(&task_, host(), 0);
    out.fill(&batch->builder, 1, [&](std::uint32_t) { return row; });
    if (time) {
      batch->times[0] = time->ms;
      batch->builder.has_row_times = 1;
    }
    seal_batch(*batch);
    task_.input = batch;
    std::string bytes;
    drey_view view{};
    std::uint64_t hash = 0;
    const bool keyed = keys_[input].encode != nullptr;
    if (keyed) {
      view = key_view(bytes, keys_[input].encode(bytes, &row));
      hash = host()->hash_key(&view);
    }
    const drey_keys keys{&view, &hash};
    const int rc = table().process(self_, input, &batch->view, keyed ? &keys : nullptr);
    task_.input = nullptr;
    done(rc);
  }
  static drey_view key_view(const std::string& bytes, bool present) {
    drey_view v = view_of(bytes);
    if (!present) std::memset(v.u.inlined, 0xff, 4);
    return v;
  }
  void fire(drey_time_kind kind, std::int64_t up_to) {
    while (true) {
      std::vector<TimerKey> due;
      for (const TimerKey& t : task_.timers) {
        if (t.kind == kind && t.time <= up_to) due.push_back(t);
      }
      if (due.empty()) return;
      std::vector<drey_timer> timers;
      for (const TimerKey& t : due) {
        task_.timers.erase(t);
        drey_timer x{};
        x.time = t.time;
        x.key = view_of(t.key);
        x.hash = host()->hash_key(&x.key);
        x.kind = static_cast<std::uint32_t>(kind);
        timers.push_back(x);
      }
      if (table().on_timers == nullptr) throw Failure("std::logic_error", "a timer is due, but there is no on_timer");
      done(table().on_timers(self_, static_cast<std::uint32_t>(timers.size()), timers.data()));
    }
  }

  template <class... A>
  void call(int (*f)(void*, A...), A... a) {
    if (f != nullptr) done(f(self_, a...));
  }
  void done(int rc) {
    if (rc == 0 && task_.failed_type.empty()) return;
    Failure failure(task_.failed_type, task_.failed);
    task_.failed_type.clear();
    task_.failed.clear();
    throw failure;
  }

  template <class T>
  std::vector<std::pair<T, std::optional<Timestamp>>> taken(std::size_t output) {
    std::vector<std::pair<T, std::optional<Timestamp>>> rows;
    kept_[output] = std::move(task_.out[output]);
    task_.out[output].clear();
    for (const auto& b : kept_[output]) {
      const RowReader<T> reader(b->view);
      detail::for_rows(b->view, [&](std::uint32_t i, std::uint32_t) {
        std::optional<Timestamp> time;
        if (b->view.row_times != nullptr) time = Timestamp{b->view.row_times[i]};
        rows.emplace_back(reader.read(i), time);
      });
    }
    return rows;
  }

  detail::Closure<F> closure_;
  Key keys_[2];
  drey_task task_;
  void* self_ = nullptr;
  std::map<std::size_t, std::vector<std::shared_ptr<Batch>>> kept_;
};

// A job of this program, run to its end by the engine in this process. Link drey_embedded.
class Job {
 public:
  explicit Job(std::string name) : name_(std::move(name)) {}
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  // Rows of the sink drey::collect(name), there after run().
  template <class T>
  const std::vector<T>& collect(const std::string& name) {
    auto collector = std::make_unique<Collector<T>>();
    const auto& rows = collector->rows;
    collectors_[name] = std::move(collector);
    return rows;
  }
  Job& parallelism(int p) { return parallelism_ = p, *this; }
  // Checkpoints lie in a directory, which must exist.
  Job& checkpoints(std::string directory, Millis interval) {
    directory_ = std::move(directory);
    interval_ = interval;
    return *this;
  }

  // After a failure the job goes on from its last complete checkpoint, once for each number, at
  // that parallelism; collected rows are then those of checkpoints: none twice, none lost.
  Job& restart_at(std::vector<std::uint32_t> parallelism) {
    restarts_ = std::move(parallelism);
    return *this;
  }

  // Throws Failure when the job cannot be built or fails.
  void run(const std::vector<std::string>& args = {}) {
    std::vector<const char*> argv;
    for (const std::string& a : args) argv.push_back(a.c_str());
    drey_test_job job{};
    job.size = sizeof job;
    job.parallelism = static_cast<std::uint32_t>(parallelism_);
    job.module = drey::detail::this_module();
    job.job = name_.c_str();
    job.argc = static_cast<std::uint32_t>(argv.size());
    job.argv = argv.data();
    job.checkpoint_interval_ms = interval_.count();
    job.state_directory = directory_.empty() ? nullptr : directory_.c_str();
    job.restart_count = static_cast<std::uint32_t>(restarts_.size());
    job.restart_parallelism = restarts_.data();
    job.self = this;
    job.rows = [](void* self, const char* name, const drey_batch* batch) {
      auto& collectors = static_cast<Job*>(self)->collectors_;
      if (const auto it = collectors.find(name); it != collectors.end()) it->second->add(*batch);
    };
    job.accumulator = [](void* self, const char* name, std::int64_t whole, double) {
      static_cast<Job*>(self)->accumulators_[name] = whole;
    };
    job.failed = [](void* self, const char* message) { static_cast<Job*>(self)->failed_ = message; };
    if (drey_test_run(&job) != 0) throw Failure("job " + name_, failed_);
  }
  std::int64_t accumulator(const std::string& name) const {
    const auto it = accumulators_.find(name);
    return it == accumulators_.end() ? 0 : it->second;
  }

 private:
  struct AnyCollector {
    virtual ~AnyCollector() = default;
    virtual void add(const drey_batch& batch) = 0;
  };
  template <class T>
  struct Collector : AnyCollector {
    std::vector<T> rows;
    drey::detail::Scratch scratch;  // text of the rows
    void add(const drey_batch& batch) override {
      const RowReader<T> reader(batch);
      drey::detail::for_rows(batch, [&](std::uint32_t i, std::uint32_t) {
        drey::detail::Buffer bytes;
        drey::detail::encode(bytes, reader.read(i));
        rows.push_back(drey::detail::Decoder(scratch.keep(bytes), &scratch).get<T>());
      });
    }
  };

  std::string name_, directory_, failed_;
  int parallelism_ = 0;
  std::vector<std::uint32_t> restarts_;
  Millis interval_{0};
  std::map<std::string, std::unique_ptr<AnyCollector>> collectors_;
  std::map<std::string, std::int64_t> accumulators_;
};

}  // namespace testing
}  // namespace api
}  // namespace drey
