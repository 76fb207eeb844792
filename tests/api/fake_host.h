// A small host for tests of include/drey: records the graph that a job builds and runs it in this
// thread, one operator after the other, with state in std::map. Time: rows as they come, then the
// end of time.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "drey/abi.h"

namespace fake {

struct Column {
  const ArrowSchema* schema = nullptr;
  std::vector<char> values;
  std::vector<std::uint64_t> validity;
  std::vector<drey_builder_column> child_columns;
  std::vector<std::unique_ptr<Column>> children;
  ArrowArray array{};
  const void* buffers[2] = {nullptr, nullptr};
  std::vector<ArrowArray*> array_children;

  void make(const ArrowSchema* s, std::uint32_t capacity);
  void bind(drey_builder_column& c, std::uint32_t capacity);
  void seal(const drey_builder_column& c, std::uint32_t rows);
};

struct Batch {
  const ArrowSchema* schema = nullptr;
  std::vector<std::unique_ptr<Column>> columns;
  std::vector<drey_builder_column> builder_columns;
  std::vector<ArrowArray*> arrays;
  std::vector<std::int64_t> times;
  std::vector<std::int8_t> kinds;
  std::deque<std::string> text;
  std::vector<drey_span> arenas;
  std::vector<std::uint32_t> selection;
  std::shared_ptr<Batch> base;  // emit_rows: the rows are this one's
  drey_builder builder{};
  drey_batch view{};
};

struct Spec {
  std::string kind, name, uid, group;
  bool has_uid = false;
  int parallelism = 0, max_parallelism = 0, chaining = 0;
  std::uint32_t accumulator_bytes = 0;
  std::vector<const ArrowSchema*> outputs;
  std::map<std::string, std::string> options;
  const drey_functions* functions = nullptr;
  void* closure = nullptr;
  void (*release)(void*) = nullptr;
};
struct EdgeSpec {
  std::uint32_t from, output, to, input;
  drey_partitioner partitioner;
  std::vector<std::uint32_t> keys;
};

struct Timer {
  std::int64_t time;
  std::string key;
  int kind;
  auto operator<=>(const Timer&) const = default;
};

}  // namespace fake

struct drey_state {
  drey_task* task = nullptr;
  drey_state_kind kind{};
  std::uint32_t fixed = 0;
  std::map<std::string, std::unique_ptr<std::vector<std::uint64_t>>> rows;
  std::map<std::string, std::string> values;
  std::map<std::string, std::vector<std::string>> lists;
  std::map<std::string, std::map<std::string, std::string>> maps;
  std::vector<std::string> items;
};

struct drey_task {
  const fake::Spec* spec = nullptr;
  void* self = nullptr;
  std::vector<std::vector<std::shared_ptr<fake::Batch>>> out;
  std::map<std::string, std::unique_ptr<drey_state>> states;
  std::set<fake::Timer> timers;
  std::int64_t watermark = INT64_MIN;
  std::shared_ptr<fake::Batch> input;
  std::map<std::string, std::int64_t> accumulators;
  std::map<std::string, std::int64_t> metrics;
  std::vector<std::pair<int, std::string>> logs;
  std::string failed_type, failed;
};

struct drey_graph {
  std::vector<fake::Spec> operators;
  std::vector<fake::EdgeSpec> edges;
  std::map<std::string, std::string> settings;
  std::string failed_type, failed;
  std::string got;
  ~drey_graph();
};

namespace fake {

const drey_host* host();
const drey_graph_builder* builder();

// Builds a job of this program. `failed` says what was wrong with it.
std::unique_ptr<drey_graph> build(const std::string& job,
                                  const std::vector<std::string>& args = {});

// Runs a job; what its sink.collect operators got, as text: one string a row, columns joined by
// `|`.
struct Run {
  std::map<std::string, std::vector<std::string>> rows;
  std::map<std::string, std::int64_t> accumulators;
  std::string failed_type, failed;
};
// `files`: rows for source.files by path (columns of text, in the order of the schema).
using Files = std::map<std::string, std::vector<std::vector<std::string>>>;
Run run(drey_graph& graph, const Files& files = {});
Run run(const std::string& job, const std::vector<std::string>& args = {}, const Files& files = {});

std::string row_text(const Batch& b, std::uint32_t physical);
std::shared_ptr<Batch> start_batch(const ArrowSchema* schema, std::uint32_t capacity);
void seal_batch(Batch& b);

}  // namespace fake
