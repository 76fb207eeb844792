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

#include "drey/testing_host.h"

namespace fake {

using namespace drey::testing;

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

// An instance of an operator.
struct Task : drey_task {
  const Spec* spec = nullptr;
  void* self = nullptr;
};

}  // namespace fake

struct drey_graph {
  std::vector<fake::Spec> operators;
  std::vector<fake::EdgeSpec> edges;
  std::map<std::string, std::string> settings;
  std::string failed_type, failed;
  std::string got;
  ~drey_graph();
};

namespace fake {

const drey_graph_builder* builder();

// Builds a job of this program. `failed` says what was wrong with it.
std::unique_ptr<drey_graph> build(const std::string& job, const std::vector<std::string>& args = {});

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

}  // namespace fake
