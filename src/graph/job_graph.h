// JobGraph: what a program hands in: operators, edges and settings, as a value.
//
// Chained operators make vertices (Flink's rules); vertices are what is scheduled and what REST shows. A graph
// never changes after submission. Threading: values. Errors: kInvalidArgument, naming the operator.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/enums.h"
#include "base/id.h"
#include "base/status.h"
#include "wire/field.h"

namespace drey::graph {

using wire::field;
using wire::Fields;

enum class Partitioner { kForward, kRebalance, kRescale, kHash, kBroadcast, kGlobal, kShuffle, kCustom };
constexpr auto enum_table(Partitioner) {
  return std::array{EnumRow{Partitioner::kForward, "FORWARD"},     EnumRow{Partitioner::kRebalance, "REBALANCE"},
                    EnumRow{Partitioner::kRescale, "RESCALE"},     EnumRow{Partitioner::kHash, "HASH"},
                    EnumRow{Partitioner::kBroadcast, "BROADCAST"}, EnumRow{Partitioner::kGlobal, "GLOBAL"},
                    EnumRow{Partitioner::kShuffle, "SHUFFLE"},     EnumRow{Partitioner::kCustom, "CUSTOM"}};
}

enum class Chaining { kAlways, kHead, kNever };

enum class Role : std::uint8_t { kSource, kOperator, kSink };
constexpr auto enum_table(Role) {
  return std::array{EnumRow{Role::kSource, "source"}, EnumRow{Role::kOperator, "operator"},
                    EnumRow{Role::kSink, "sink"}};
}

// Rows that an operator takes or makes: additions only, additions and retractions, or (made) what it was given.
enum class Changes : std::uint8_t { kInserts, kAll, kAsInput };
constexpr auto enum_table(Changes) {
  return std::array{EnumRow{Changes::kInserts, "inserts"}, EnumRow{Changes::kAll, "all"},
                    EnumRow{Changes::kAsInput, "as its input"}};
}

// What the engine has to know of an operator's kind. Each kind declares them (operators/kind.h); they are noted in the
// nodes where a graph is submitted, so that nobody else looks at names of kinds.
struct Traits {
  Role role = Role::kOperator;
  bool commits_on_completion = false;  // makes its results visible when a checkpoint is complete: it gets a final one
  bool gives_event_time = false;       // its rows have event times, and watermarks follow them
  bool is_keyed = false;               // what enters its input 0 comes over HASH edges
  bool needs_code = false;             // runs functions of the job
  Changes accepts = Changes::kInserts;
  Changes produces = Changes::kInserts;

  static constexpr auto fields() {
    using M = Traits;
    return Fields{field("role", &M::role),
                  field("commits-on-completion", &M::commits_on_completion),
                  field("gives-event-time", &M::gives_event_time),
                  field("is-keyed", &M::is_keyed),
                  field("needs-code", &M::needs_code),
                  field("accepts", &M::accepts),
                  field("produces", &M::produces)};
  }
};
static_assert(wire::EveryMemberHasARow<Traits>);

struct OperatorNode {
  std::uint32_t number = 0;  // position in JobGraph::operators
  std::string kind;
  std::string name;
  std::string uid;  // empty: none
  std::string slot_sharing_group;
  std::int32_t parallelism = 0;      // 0 until resolve()
  std::int32_t max_parallelism = 0;  // likewise
  Chaining chaining = Chaining::kAlways;
  std::uint32_t accumulator_bytes = 0;
  std::vector<std::string> outputs;  // schemas (data::Schema::to_string)
  std::map<std::string, std::string> options;
  bool has_code = false;
  Traits traits;  // of its kind; as they are by default until operators::check() has noted them

  bool is_source() const { return traits.role == Role::kSource; }
  static constexpr auto fields() {
    using M = OperatorNode;
    return Fields{field("number", &M::number),
                  field("kind", &M::kind),
                  field("name", &M::name),
                  field("uid", &M::uid),
                  field("slot-sharing-group", &M::slot_sharing_group),
                  field("parallelism", &M::parallelism),
                  field("max-parallelism", &M::max_parallelism),
                  field("chaining", &M::chaining),
                  field("accumulator-bytes", &M::accumulator_bytes),
                  field("outputs", &M::outputs),
                  field("options", &M::options),
                  field("has-code", &M::has_code),
                  field("traits", &M::traits)};
  }
};
static_assert(wire::EveryMemberHasARow<OperatorNode>);

struct OperatorEdge {
  std::uint32_t from = 0;
  std::uint32_t output = 0;
  std::uint32_t to = 0;
  std::uint32_t input = 0;
  Partitioner partitioner = Partitioner::kForward;
  std::vector<std::uint32_t> key_columns;

  static constexpr auto fields() {
    using M = OperatorEdge;
    return Fields{
        field("from", &M::from),   field("output", &M::output),           field("to", &M::to),
        field("input", &M::input), field("partitioner", &M::partitioner), field("key-columns", &M::key_columns)};
  }
};
static_assert(wire::EveryMemberHasARow<OperatorEdge>);

struct JobGraph {
  std::string name = "Drey Streaming Job";
  std::vector<OperatorNode> operators;
  std::vector<OperatorEdge> edges;
  std::map<std::string, std::string> settings;  // Flink's option names, as the program set them
  // How to build the closures again in a TaskManager.
  std::string jar;  // server-side id of the jar; empty: none
  std::string entry;
  std::vector<std::string> arguments;

  // Everything a rebuilt graph must agree on: operators, edges, not where the jar lies.
  std::uint64_t digest() const;

  static constexpr auto fields() {
    using M = JobGraph;
    return Fields{field("name", &M::name),
                  field("operators", &M::operators),
                  field("edges", &M::edges),
                  field("settings", &M::settings),
                  field("jar", &M::jar),
                  field("entry", &M::entry),
                  field("arguments", &M::arguments)};
  }
};
static_assert(wire::EveryMemberHasARow<JobGraph>);

// Whether an operator of the graph makes its results visible only when a checkpoint is complete.
bool commits_on_completion(const JobGraph& graph);

// REQUIRES: the nodes have the traits of their kinds. Fills in parallelism (0 -> default), max parallelism and slot
// sharing groups, and checks the graph: no cycle, no two equal uids, at least one operator, every sink reached, edges
// between existing operators, parallelism within bounds.
Status resolve(JobGraph& graph, std::int32_t default_parallelism, std::int32_t default_max_parallelism);

// Flink's default: 1.5 times the parallelism, up to the next power of two, within [128, 32768].
std::int32_t default_max_parallelism(std::int32_t parallelism);

// Stable over runs of the same program: from the uid, else from the position in the graph. Reads all edges: ask for
// the ids of many operators at once.
OperatorId operator_id_of(const JobGraph& graph, std::uint32_t number);
std::vector<OperatorId> operator_ids_of(const JobGraph& graph);

// By operator: schema of the columns that its input is keyed by (data::Schema::to_string); empty: not keyed.
std::vector<std::string> key_schemas_of(const JobGraph& graph);

// --- Vertices ------------------------------------------------------------------------------------

struct Vertex {
  VertexId id;
  std::string name;         // "Source: a -> b -> c"
  std::string description;  // the chain as a tree, one operator a line
  std::int32_t parallelism = 1;
  std::int32_t max_parallelism = 128;
  std::string slot_sharing_group;
  std::vector<std::uint32_t> operators;  // numbers, head first, in topological order

  static constexpr auto fields() {
    using M = Vertex;
    return Fields{field("id", &M::id),
                  field("name", &M::name),
                  field("description", &M::description),
                  field("parallelism", &M::parallelism),
                  field("max-parallelism", &M::max_parallelism),
                  field("slot-sharing-group", &M::slot_sharing_group),
                  field("operators", &M::operators)};
  }
};
static_assert(wire::EveryMemberHasARow<Vertex>);

// An operator edge that crosses vertices.
struct VertexEdge {
  std::uint32_t from = 0;  // index of the vertex
  std::uint32_t to = 0;
  std::uint32_t edge = 0;  // index in JobGraph::edges

  static constexpr auto fields() {
    using M = VertexEdge;
    return Fields{field("from", &M::from), field("to", &M::to), field("edge", &M::edge)};
  }
};
static_assert(wire::EveryMemberHasARow<VertexEdge>);

struct Plan {
  std::vector<Vertex> vertices;  // topological order, sources first
  std::vector<VertexEdge> edges;

  static constexpr auto fields() {
    using M = Plan;
    return Fields{field("vertices", &M::vertices), field("edges", &M::edges)};
  }
};
static_assert(wire::EveryMemberHasARow<Plan>);

// REQUIRES: resolve() passed. Chains where Flink does: forward edge, equal parallelism, same slot sharing group, the
// consumer has one input edge and does not start a chain, neither refuses chaining.
Plan plan_of(const JobGraph& graph);

// Gives the vertices other parallelisms; chains stay as they are. A forward edge between vertices that differ becomes a
// rebalance. REQUIRES: one per vertex, within [1, its maximum].
void set_parallelism(JobGraph& graph, Plan& plan, const std::vector<std::int32_t>& parallelism);

// Which consumers producer `from` of `producers` sends to: all, but for forward and rescale edges.
std::vector<std::uint32_t> consumers_of(Partitioner partitioner, std::uint32_t from, std::uint32_t producers,
                                        std::uint32_t consumers);

// What must be restarted together: subtasks that edges connect, directly or not. [vertex][subtask] -> number of the
// region, counted from 0 in the order of the subtasks.
std::vector<std::vector<std::uint32_t>> regions_of(const JobGraph& graph, const Plan& plan);

}  // namespace drey::graph
