#include "graph/job_graph.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <optional>
#include <queue>
#include <span>

#include <fmt/format.h>

#include "base/prng.h"
#include "data/type.h"
#include "graph/pipeline_options.h"
#include "wire/binary/codec.h"

namespace drey::graph {
namespace {

std::uint64_t hash_text(std::string_view text, std::uint64_t seed) {
  std::uint64_t h = seed;
  for (const char c : text) h = mix64(h ^ static_cast<unsigned char>(c));
  return mix64(h ^ text.size());
}

template <typename IdType>
IdType id_of(std::string_view text) {
  return IdType::from_halves(hash_text(text, 1), hash_text(text, 2));
}

std::string describe(const OperatorNode& node) { return fmt::format("'{}' (number {})", node.name, node.number); }

Status bad(std::string text) { return fail(Code::kInvalidArgument, std::move(text)); }

// The edges of each operator: looking them up costs what is found, not the whole list of edges.
class EdgesByOperator {
 public:
  // `end` says which end of the edge names the operator. REQUIRES: every edge's ends exist.
  EdgesByOperator(const JobGraph& graph, std::uint32_t OperatorEdge::*end)
      : first_(graph.operators.size() + 1), edges_(graph.edges.size()) {
    for (const OperatorEdge& edge : graph.edges) ++first_[edge.*end + 1];
    std::partial_sum(first_.begin(), first_.end(), first_.begin());
    std::vector<std::uint32_t> next(first_.begin(), first_.end() - 1);
    for (const OperatorEdge& edge : graph.edges) edges_[next[edge.*end]++] = &edge;
  }
  // In the order of JobGraph::edges.
  std::span<const OperatorEdge* const> of(std::uint32_t number) const {
    return {edges_.data() + first_[number], edges_.data() + first_[number + 1]};
  }

 private:
  std::vector<std::uint32_t> first_;  // where an operator's edges begin in edges_; one entry more than operators
  std::vector<const OperatorEdge*> edges_;
};

// Topological order, smallest number first. Shorter than the graph when there is a cycle.
std::vector<std::uint32_t> order_of(const JobGraph& graph, const EdgesByOperator& outputs) {
  std::vector<std::uint32_t> waiting(graph.operators.size());
  for (const OperatorEdge& edge : graph.edges) ++waiting[edge.to];
  std::priority_queue<std::uint32_t, std::vector<std::uint32_t>, std::greater<>> ready;
  for (std::uint32_t i = 0; i < waiting.size(); ++i) {
    if (waiting[i] == 0) ready.push(i);
  }
  std::vector<std::uint32_t> order;
  while (!ready.empty()) {
    const std::uint32_t next = ready.top();
    ready.pop();
    order.push_back(next);
    for (const OperatorEdge* edge : outputs.of(next)) {
      if (--waiting[edge->to] == 0) ready.push(edge->to);
    }
  }
  return order;
}

// REQUIRES: the job chains operators at all, and the edge is the only one into its consumer.
bool may_chain(const JobGraph& graph, const OperatorEdge& edge) {
  const OperatorNode& from = graph.operators[edge.from];
  const OperatorNode& to = graph.operators[edge.to];
  return edge.partitioner == Partitioner::kForward && from.parallelism == to.parallelism &&
         from.slot_sharing_group == to.slot_sharing_group && from.chaining != Chaining::kNever &&
         to.chaining == Chaining::kAlways && !to.is_source();
}

// Flink's name of an operator: sources carry their role.
std::string shown_name(const OperatorNode& node) {
  if (node.is_source()) return "Source: " + node.name;
  if (node.traits.role == Role::kSink) return node.name + ": Writer";
  return node.name;
}

// A description stops to indent here, so that its length stays linear in a long chain.
constexpr std::uint32_t kIndentMax = 100;

// Flink's names: "a -> b -> c", and "a -> (b, c -> d)" where a chain forks. Chains may be long: no recursion.
std::string chain_name(const JobGraph& graph, const std::vector<std::vector<std::uint32_t>>& chained,
                       std::uint32_t head) {
  struct Part {
    std::string_view text;                // where there is no operator
    std::optional<std::uint32_t> number;  // an operator and what is chained to it
  };
  std::string name;
  std::vector<Part> left{{{}, head}};  // the next one last
  while (!left.empty()) {
    const Part part = left.back();
    left.pop_back();
    if (!part.number) {
      name += part.text;
      continue;
    }
    name += shown_name(graph.operators[*part.number]);
    const auto& nexts = chained[*part.number];
    if (nexts.empty()) continue;
    if (nexts.size() > 1) left.push_back({")", {}});
    for (std::size_t i = nexts.size(); i-- > 0;) {
      left.push_back({{}, nexts[i]});
      if (i > 0) left.push_back({", ", {}});
    }
    left.push_back({nexts.size() > 1 ? " -> (" : " -> ", {}});
  }
  return name;
}

// Stable over runs of the same program: from the uid, else from the position in the graph.
template <typename Edges>
OperatorId id_of(const OperatorNode& node, std::uint32_t number, const Edges& inputs) {
  if (!node.uid.empty()) return id_of<OperatorId>("uid:" + node.uid);
  std::string text = fmt::format("{}:{}:{}", number, node.kind, node.outputs.size());
  for (const OperatorEdge* edge : inputs) text += fmt::format("<{}:{}", edge->from, edge->input);
  return id_of<OperatorId>(text);
}

}  // namespace

std::uint64_t JobGraph::digest() const {
  std::string bytes;
  wire::encode_value(bytes, operators);
  wire::encode_value(bytes, edges);
  return hash_text(bytes, 3);
}

bool commits_on_completion(const JobGraph& graph) {
  return std::any_of(graph.operators.begin(), graph.operators.end(),
                     [](const OperatorNode& node) { return node.traits.commits_on_completion; });
}

std::int32_t default_max_parallelism(std::int32_t parallelism) {
  const auto wanted = static_cast<std::uint32_t>(parallelism + parallelism / 2);
  return static_cast<std::int32_t>(std::clamp<std::uint32_t>(std::bit_ceil(wanted), 128, 32768));
}

Status resolve(JobGraph& graph, std::int32_t default_parallelism, std::int32_t default_max) {
  if (graph.operators.empty()) return bad("The program defines no operators: a job needs a source and a sink");
  std::map<std::string, std::string> uids;
  for (std::size_t i = 0; i < graph.operators.size(); ++i) {
    OperatorNode& node = graph.operators[i];
    node.number = static_cast<std::uint32_t>(i);
    if (node.parallelism < 0)
      return bad(fmt::format("Operator {}: parallelism {} is negative", describe(node), node.parallelism));
    if (node.parallelism == 0) node.parallelism = default_parallelism;
    if (node.max_parallelism == 0) {
      node.max_parallelism = default_max > 0 ? default_max : default_max_parallelism(node.parallelism);
    }
    if (node.max_parallelism < 1 || node.max_parallelism > 32768) {
      return bad(fmt::format("Operator {}: maximum parallelism {} is not within [1, 32768]", describe(node),
                             node.max_parallelism));
    }
    if (node.parallelism > node.max_parallelism) {
      return bad(fmt::format("Operator {}: parallelism {} exceeds its maximum parallelism {}", describe(node),
                             node.parallelism, node.max_parallelism));
    }
    if (node.slot_sharing_group.empty()) node.slot_sharing_group = "default";
    if (!node.uid.empty()) {
      const auto [at, added] = uids.emplace(node.uid, node.name);
      if (!added) {
        return bad(fmt::format("Operators '{}' and '{}' have the same uid '{}': a uid must be unique within the job",
                               at->second, node.name, node.uid));
      }
    }
  }
  std::vector<int> inputs(graph.operators.size());
  std::vector<int> outputs(graph.operators.size());
  for (OperatorEdge& edge : graph.edges) {
    if (edge.from >= graph.operators.size() || edge.to >= graph.operators.size()) {
      return bad(fmt::format("An edge names an operator that does not exist: from={}, to={}", edge.from, edge.to));
    }
    const OperatorNode& from = graph.operators[edge.from];
    const OperatorNode& to = graph.operators[edge.to];
    if (edge.output >= from.outputs.size()) {
      return bad(fmt::format("Operator {} has no output {}", describe(from), edge.output));
    }
    if (edge.input > 1) return bad(fmt::format("Operator {} has no input {}", describe(to), edge.input));
    if (edge.partitioner == Partitioner::kHash && edge.key_columns.empty()) {
      return bad(fmt::format("The edge from {} to {} is keyed but names no key", describe(from), describe(to)));
    }
    // What the program did not say otherwise is forward where it can be, as in Flink.
    if (edge.partitioner == Partitioner::kForward && from.parallelism != to.parallelism) {
      edge.partitioner = Partitioner::kRebalance;
    }
    ++outputs[edge.from];
    ++inputs[edge.to];
  }
  bool has_sink = false;
  for (const OperatorNode& node : graph.operators) {
    if (node.is_source() && inputs[node.number] != 0) return bad(fmt::format("Source {} has an input", describe(node)));
    if (!node.is_source() && inputs[node.number] == 0)
      return bad(fmt::format("Operator {} has no input", describe(node)));
    has_sink = has_sink || node.outputs.empty();
  }
  if (!has_sink) return bad("The program defines no sink: end a stream with to(...), print() or discard()");
  const auto order = order_of(graph, EdgesByOperator(graph, &OperatorEdge::from));
  if (order.size() != graph.operators.size()) {
    std::vector<bool> in_order(graph.operators.size());
    for (const std::uint32_t number : order) in_order[number] = true;
    const auto first = std::find(in_order.begin(), in_order.end(), false) - in_order.begin();
    return bad(fmt::format("The graph has a cycle through operator {}",
                           describe(graph.operators[static_cast<std::size_t>(first)])));
  }
  return {};
}

std::vector<std::string> key_schemas_of(const JobGraph& graph) {
  std::vector<std::string> schemas(graph.operators.size());
  std::vector<bool> is_found(graph.operators.size());
  for (const OperatorEdge& edge : graph.edges) {
    if (edge.partitioner != Partitioner::kHash || is_found[edge.to]) continue;
    is_found[edge.to] = true;
    const auto columns = data::Schema::parse(graph.operators[edge.from].outputs[edge.output]);
    if (!columns.ok()) continue;
    std::vector<data::Field> key;
    for (const std::uint32_t column : edge.key_columns) {
      if (column < columns->size()) key.push_back((*columns)[column]);
    }
    schemas[edge.to] = data::Schema(std::move(key)).to_string();
  }
  return schemas;
}

void set_parallelism(JobGraph& graph, Plan& plan, const std::vector<std::int32_t>& parallelism) {
  for (std::size_t v = 0; v < plan.vertices.size(); ++v) {
    plan.vertices[v].parallelism = parallelism[v];
    for (const std::uint32_t number : plan.vertices[v].operators) graph.operators[number].parallelism = parallelism[v];
  }
  for (OperatorEdge& edge : graph.edges) {
    if (edge.partitioner == Partitioner::kForward &&
        graph.operators[edge.from].parallelism != graph.operators[edge.to].parallelism) {
      edge.partitioner = Partitioner::kRebalance;
    }
  }
}

OperatorId operator_id_of(const JobGraph& graph, std::uint32_t number) {
  std::vector<const OperatorEdge*> inputs;
  for (const OperatorEdge& edge : graph.edges) {
    if (edge.to == number) inputs.push_back(&edge);
  }
  return id_of(graph.operators[number], number, inputs);
}

std::vector<OperatorId> operator_ids_of(const JobGraph& graph) {
  const EdgesByOperator inputs(graph, &OperatorEdge::to);
  std::vector<OperatorId> ids;
  for (std::uint32_t i = 0; i < graph.operators.size(); ++i) {
    ids.push_back(id_of(graph.operators[i], i, inputs.of(i)));
  }
  return ids;
}

Plan plan_of(const JobGraph& graph) {
  const EdgesByOperator inputs(graph, &OperatorEdge::to);
  const EdgesByOperator outputs(graph, &OperatorEdge::from);
  const std::vector<OperatorId> ids = operator_ids_of(graph);
  const auto options = config::read<PipelineOptions>(graph.settings);
  const bool chaining = !options.ok() || options->chaining;
  Plan plan;
  std::vector<std::uint32_t> vertex_of(graph.operators.size());
  std::vector<std::uint32_t> depth_of(graph.operators.size());
  std::vector<std::vector<std::uint32_t>> chained(graph.operators.size());  // consumers in the same vertex
  for (const std::uint32_t number : order_of(graph, outputs)) {
    const OperatorNode& node = graph.operators[number];
    const auto edges = inputs.of(number);
    if (chaining && edges.size() == 1 && may_chain(graph, *edges[0])) {
      const std::uint32_t from = edges[0]->from;
      chained[from].push_back(number);
      vertex_of[number] = vertex_of[from];
      depth_of[number] = depth_of[from] + 1;
      plan.vertices[vertex_of[number]].operators.push_back(number);
      continue;
    }
    vertex_of[number] = static_cast<std::uint32_t>(plan.vertices.size());
    Vertex vertex;
    vertex.id = VertexId(ids[number].bytes());
    vertex.parallelism = node.parallelism;
    vertex.max_parallelism = node.max_parallelism;
    vertex.slot_sharing_group = node.slot_sharing_group;
    vertex.operators = {number};
    plan.vertices.push_back(std::move(vertex));
  }
  for (Vertex& vertex : plan.vertices) {
    vertex.name = chain_name(graph, chained, vertex.operators[0]);
    for (const std::uint32_t number : vertex.operators) {
      const std::uint32_t depth = std::min(depth_of[number], kIndentMax);
      if (depth > 0) vertex.description += std::string(3 * (depth - 1), ' ') + "+- ";
      vertex.description += shown_name(graph.operators[number]) + "\n";
    }
  }
  for (std::uint32_t e = 0; e < graph.edges.size(); ++e) {
    const OperatorEdge& edge = graph.edges[e];
    if (vertex_of[edge.from] != vertex_of[edge.to]) plan.edges.push_back({vertex_of[edge.from], vertex_of[edge.to], e});
  }
  return plan;
}

std::vector<std::uint32_t> consumers_of(Partitioner partitioner, std::uint32_t from, std::uint32_t producers,
                                        std::uint32_t consumers) {
  std::vector<std::uint32_t> out;
  if (partitioner == Partitioner::kForward) {
    out.push_back(from);
  } else if (partitioner == Partitioner::kRescale) {
    // Contiguous ranges: consumer c belongs to producer c * producers / consumers, and the other way round.
    for (std::uint32_t to = 0; to < consumers; ++to) {
      const bool mine =
          producers >= consumers ? from * consumers / producers == to : to * producers / consumers == from;
      if (mine) out.push_back(to);
    }
  } else {
    for (std::uint32_t to = 0; to < consumers; ++to) out.push_back(to);
  }
  return out;
}

std::vector<std::vector<std::uint32_t>> regions_of(const JobGraph& graph, const Plan& plan) {
  std::vector<std::uint32_t> first;  // number of a vertex's first subtask
  std::uint32_t count = 0;
  for (const Vertex& vertex : plan.vertices) {
    first.push_back(count);
    count += static_cast<std::uint32_t>(vertex.parallelism);
  }
  std::vector<std::uint32_t> parent(count);
  for (std::uint32_t i = 0; i < count; ++i) parent[i] = i;
  const auto root = [&](std::uint32_t i) {
    while (parent[i] != i) i = parent[i] = parent[parent[i]];
    return i;
  };
  const auto join = [&](std::uint32_t a, std::uint32_t b) { parent[root(a)] = root(b); };
  for (const VertexEdge& edge : plan.edges) {
    const auto producers = static_cast<std::uint32_t>(plan.vertices[edge.from].parallelism);
    const auto consumers = static_cast<std::uint32_t>(plan.vertices[edge.to].parallelism);
    const Partitioner partitioner = graph.edges[edge.edge].partitioner;
    if (partitioner != Partitioner::kForward && partitioner != Partitioner::kRescale) {
      // All to all: everybody with the first consumer.
      for (std::uint32_t from = 0; from < producers; ++from) join(first[edge.from] + from, first[edge.to]);
      for (std::uint32_t to = 0; to < consumers; ++to) join(first[edge.to] + to, first[edge.to]);
      continue;
    }
    for (std::uint32_t from = 0; from < producers; ++from) {
      for (const std::uint32_t to : consumers_of(partitioner, from, producers, consumers)) {
        join(first[edge.from] + from, first[edge.to] + to);
      }
    }
  }
  std::map<std::uint32_t, std::uint32_t> number;
  std::vector<std::vector<std::uint32_t>> regions;
  for (std::uint32_t v = 0; v < plan.vertices.size(); ++v) {
    regions.emplace_back();
    for (std::uint32_t s = 0; s < static_cast<std::uint32_t>(plan.vertices[v].parallelism); ++s) {
      regions.back().push_back(
          number.emplace(root(first[v] + s), static_cast<std::uint32_t>(number.size())).first->second);
    }
  }
  return regions;
}

}  // namespace drey::graph
