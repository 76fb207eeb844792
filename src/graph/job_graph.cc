#include "graph/job_graph.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <set>

#include <fmt/format.h>

#include "base/prng.h"
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

// Topological order, smallest number first. Shorter than the graph when there is a cycle.
std::vector<std::uint32_t> order_of(const JobGraph& graph) {
  std::vector<int> waiting(graph.operators.size());
  for (const OperatorEdge& edge : graph.edges) ++waiting[edge.to];
  std::set<std::uint32_t> ready;
  for (std::uint32_t i = 0; i < waiting.size(); ++i) {
    if (waiting[i] == 0) ready.insert(i);
  }
  std::vector<std::uint32_t> order;
  while (!ready.empty()) {
    const std::uint32_t next = *ready.begin();
    ready.erase(ready.begin());
    order.push_back(next);
    for (const OperatorEdge& edge : graph.edges) {
      if (edge.from == next && --waiting[edge.to] == 0) ready.insert(edge.to);
    }
  }
  return order;
}

bool chains(const JobGraph& graph, const OperatorEdge& edge) {
  const OperatorNode& from = graph.operators[edge.from];
  const OperatorNode& to = graph.operators[edge.to];
  const auto inputs =
      std::count_if(graph.edges.begin(), graph.edges.end(), [&](const OperatorEdge& e) { return e.to == edge.to; });
  const auto options = config::read<PipelineOptions>(graph.settings);
  return edge.partitioner == Partitioner::kForward && inputs == 1 && from.parallelism == to.parallelism &&
         from.slot_sharing_group == to.slot_sharing_group && from.chaining != Chaining::kNever &&
         to.chaining == Chaining::kAlways && !to.is_source() && (!options.ok() || options->chaining);
}

// Flink's name of an operator: sources carry their role.
std::string shown_name(const OperatorNode& node) {
  if (node.is_source()) return "Source: " + node.name;
  if (node.kind.starts_with("sink.")) return node.name + ": Writer";
  return node.name;
}

}  // namespace

std::uint64_t JobGraph::digest() const {
  std::string bytes;
  wire::encode_value(bytes, operators);
  wire::encode_value(bytes, edges);
  return hash_text(bytes, 3);
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
  if (order_of(graph).size() != graph.operators.size()) {
    std::set<std::uint32_t> in_order;
    for (std::uint32_t n : order_of(graph)) in_order.insert(n);
    for (const OperatorNode& node : graph.operators) {
      if (!in_order.contains(node.number))
        return bad(fmt::format("The graph has a cycle through operator {}", describe(node)));
    }
  }
  return {};
}

std::string key_schema_of(const JobGraph& graph, std::uint32_t number) {
  for (const OperatorEdge& edge : graph.edges) {
    if (edge.to != number || edge.partitioner != Partitioner::kHash) continue;
    // Columns of the producer's schema: "name:type;name:type".
    std::vector<std::string> columns;
    std::string_view rest = graph.operators[edge.from].outputs[edge.output];
    while (!rest.empty()) {
      const auto end = rest.find(';');
      columns.emplace_back(rest.substr(0, end));
      rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    }
    std::string key;
    for (const std::uint32_t column : edge.key_columns) {
      if (column < columns.size()) key += (key.empty() ? "" : ";") + columns[column];
    }
    return key;
  }
  return "";
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
  const OperatorNode& node = graph.operators[number];
  if (!node.uid.empty()) return id_of<OperatorId>("uid:" + node.uid);
  std::string text = fmt::format("{}:{}:{}", node.number, node.kind, node.outputs.size());
  for (const OperatorEdge& edge : graph.edges) {
    if (edge.to == number) text += fmt::format("<{}:{}", edge.from, edge.input);
  }
  return id_of<OperatorId>(text);
}

Plan plan_of(const JobGraph& graph) {
  Plan plan;
  std::vector<std::uint32_t> vertex_of(graph.operators.size());
  std::vector<std::uint32_t> depth_of(graph.operators.size());
  for (const std::uint32_t number : order_of(graph)) {
    const OperatorNode& node = graph.operators[number];
    const OperatorEdge* chained = nullptr;
    for (const OperatorEdge& edge : graph.edges) {
      if (edge.to == number && chains(graph, edge)) chained = &edge;
    }
    if (chained != nullptr) {
      vertex_of[number] = vertex_of[chained->from];
      depth_of[number] = depth_of[chained->from] + 1;
      plan.vertices[vertex_of[number]].operators.push_back(number);
      continue;
    }
    vertex_of[number] = static_cast<std::uint32_t>(plan.vertices.size());
    Vertex vertex;
    vertex.id = VertexId(operator_id_of(graph, number).bytes());
    vertex.parallelism = node.parallelism;
    vertex.max_parallelism = node.max_parallelism;
    vertex.slot_sharing_group = node.slot_sharing_group;
    vertex.operators = {number};
    plan.vertices.push_back(std::move(vertex));
  }
  for (Vertex& vertex : plan.vertices) {
    // Flink's names: "a -> b -> c", and "a -> (b, c -> d)" where a chain forks.
    const std::function<std::string(std::uint32_t)> name = [&](std::uint32_t number) {
      std::vector<std::string> nexts;
      for (const std::uint32_t other : vertex.operators) {
        for (const OperatorEdge& edge : graph.edges) {
          if (edge.from == number && edge.to == other && chains(graph, edge)) nexts.push_back(name(other));
        }
      }
      std::string text = shown_name(graph.operators[number]);
      if (nexts.size() == 1) return text + " -> " + nexts[0];
      if (nexts.size() > 1) text += fmt::format(" -> ({})", fmt::join(nexts, ", "));
      return text;
    };
    vertex.name = name(vertex.operators[0]);
    for (const std::uint32_t number : vertex.operators) {
      if (depth_of[number] > 0) vertex.description += std::string(3 * (depth_of[number] - 1), ' ') + "+- ";
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
  for (const VertexEdge& edge : plan.edges) {
    const auto producers = static_cast<std::uint32_t>(plan.vertices[edge.from].parallelism);
    const auto consumers = static_cast<std::uint32_t>(plan.vertices[edge.to].parallelism);
    for (std::uint32_t from = 0; from < producers; ++from) {
      for (const std::uint32_t to : consumers_of(graph.edges[edge.edge].partitioner, from, producers, consumers)) {
        parent[root(first[edge.from] + from)] = root(first[edge.to] + to);
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
