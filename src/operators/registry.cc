#include "operators/registry.h"

#include <fmt/format.h>

#include "base/check.h"
#include "operators/builtin.h"

namespace drey::operators {
namespace {

using graph::Changes;
using graph::OperatorEdge;
using graph::OperatorNode;
using graph::Role;

Status bad(const OperatorNode& node, std::string what) {
  return named(fail(Code::kInvalidArgument, std::move(what)), node);
}

Status check_node(const OperatorNode& node, const OperatorKind& kind) {
  if (Status options = kind.check_options(node.options); !options.ok()) return named(options, node);
  if (kind.traits.needs_code && !node.has_code) return bad(node, "it has no code, which this kind runs");
  if (kind.traits.role == Role::kSink && !node.outputs.empty()) return bad(node, "a sink has no outputs");
  if (kind.traits.role == Role::kSource && node.outputs.empty()) return bad(node, "a source has an output");
  return {};
}

// Numbers in topological order, those of a cycle left out: graph::resolve() refuses it.
std::vector<std::uint32_t> in_order(const graph::JobGraph& graph,
                                    const std::vector<std::vector<std::uint32_t>>& entering) {
  std::vector<std::vector<std::uint32_t>> leaving(graph.operators.size());
  std::vector<std::size_t> waiting(graph.operators.size());
  for (std::uint32_t to = 0; to < entering.size(); ++to) {
    waiting[to] = entering[to].size();
    for (const std::uint32_t e : entering[to]) leaving[graph.edges[e].from].push_back(to);
  }
  std::vector<std::uint32_t> order;
  for (std::uint32_t i = 0; i < waiting.size(); ++i) {
    if (waiting[i] == 0) order.push_back(i);
  }
  for (std::size_t at = 0; at < order.size(); ++at) {
    for (const std::uint32_t to : leaving[order[at]]) {
      if (--waiting[to] == 0) order.push_back(to);
    }
  }
  return order;
}

// Code of the job that hears of complete checkpoints commits, whatever its kind.
graph::Traits traits_of(const OperatorKind& kind, const OperatorNode& node) {
  graph::Traits traits = kind.traits;
  traits.commits_on_completion |= node.has_code && node.traits.commits_on_completion;
  return traits;
}

}  // namespace

void Registry::add(OperatorKind kind) {
  DREY_CHECK((kind.make_operator != nullptr) != (kind.make_source != nullptr));
  DREY_CHECK((kind.make_source != nullptr) == (kind.traits.role == Role::kSource));
  const auto [at, added] = kinds_.emplace(std::string(kind.name), std::move(kind));
  DREY_CHECK(added);
}

const OperatorKind* Registry::find(std::string_view name) const {
  const auto found = kinds_.find(name);
  return found == kinds_.end() ? nullptr : &found->second;
}

void Registry::note_traits(graph::JobGraph& graph) const {
  for (OperatorNode& node : graph.operators) {
    if (const OperatorKind* kind = find(node.kind); kind != nullptr) node.traits = traits_of(*kind, node);
  }
}

Status Registry::check(graph::JobGraph& graph) const {
  for (OperatorNode& node : graph.operators) {
    const OperatorKind* kind = find(node.kind);
    if (kind == nullptr) {
      std::vector<std::string_view> names;
      for (const auto& [name, known] : kinds_) names.push_back(name);
      return bad(node,
                 fmt::format("there is no such kind of operator; did you mean {}?", config::nearest(node.kind, names)));
    }
    node.traits = traits_of(*kind, node);
    DREY_TRY(check_node(node, *kind));
  }
  std::vector<std::vector<std::uint32_t>> entering(graph.operators.size());
  for (std::uint32_t e = 0; e < graph.edges.size(); ++e) {
    const OperatorEdge& edge = graph.edges[e];
    if (edge.from < graph.operators.size() && edge.to < graph.operators.size()) entering[edge.to].push_back(e);
  }
  std::vector<bool> makes_changes(graph.operators.size());
  std::vector<Schemas> outputs(graph.operators.size());
  for (const std::uint32_t number : in_order(graph, entering)) {
    OperatorNode& node = graph.operators[number];
    const OperatorKind& kind = *find(node.kind);
    if (entering[number].empty() && kind.traits.role != Role::kSource) continue;  // graph::resolve() names it
    Schemas inputs(kind.inputs);
    bool gets_changes = false;
    for (const std::uint32_t e : entering[number]) {
      const OperatorEdge& edge = graph.edges[e];
      const OperatorNode& from = graph.operators[edge.from];
      if (edge.output >= outputs[edge.from].size()) continue;  // graph::resolve() names it
      if (edge.input >= kind.inputs) {
        return bad(node, fmt::format("it has no input {}: this kind has {}", edge.input, kind.inputs));
      }
      if (kind.traits.is_keyed && edge.input == 0 && edge.partitioner != graph::Partitioner::kHash) {
        return bad(node, fmt::format("its input from '{}' has no key: call key_by first", from.name));
      }
      if (makes_changes[edge.from] && kind.traits.accepts == Changes::kInserts) {
        return bad(node, fmt::format("it takes only rows that are added, but '{}' also retracts rows", from.name));
      }
      gets_changes = gets_changes || makes_changes[edge.from];
      inputs[edge.input] = outputs[edge.from][edge.output];
    }
    makes_changes[number] =
        kind.traits.produces == Changes::kAll || (kind.traits.produces == Changes::kAsInput && gets_changes);
    Schemas declared;
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      auto schema = data::Schema::parse(node.outputs[i]);
      if (!schema.ok()) return bad(node, fmt::format("output {}: {}", i, schema.status().message()));
      declared.push_back(std::move(*schema));
    }
    auto made = kind.output_schema(inputs, node.options, declared);
    if (!made.ok()) return named(made.status(), node);
    if (node.outputs.empty()) {
      for (const data::Schema& schema : *made) node.outputs.push_back(schema.to_string());
    } else if (made->size() != declared.size()) {
      return bad(node, fmt::format("it is declared with {} outputs and has {}", declared.size(), made->size()));
    } else {
      for (std::size_t i = 0; i < declared.size(); ++i) {
        if ((*made)[i] == declared[i]) continue;
        return bad(node, fmt::format("output {} is declared as {} and is {}", i, declared[i].to_string(),
                                     (*made)[i].to_string()));
      }
    }
    outputs[number] = std::move(*made);
  }
  return {};
}

std::string Registry::reference() const {
  std::string out =
      "# Operator kinds\n\n"
      "Generated by `drey operators --reference` from the declarations of the kinds; a test compares it.\n\n"
      "What `drey_operator_spec.kind` may be, and its options (pairs of texts). An option that is absent has its "
      "default; an\n"
      "unknown one is refused where the job is submitted, as is a value out of bounds. An input is keyed when the "
      "edges that\n"
      "enter it are HASH edges; their key columns make the key. A text source has one column of text; its name does "
      "not\n"
      "matter. What each format holds: [formats](../formats.md).\n";
  for (const auto& [name, kind] : kinds_) {
    const graph::Traits& traits = kind.traits;
    out += fmt::format("\n## {}\n\n{}\n\nRole: {}.", name, kind.doc, to_text(traits.role));
    if (traits.needs_code) out += " Runs code of the job.";
    if (traits.is_keyed) out += " Its input is keyed.";
    if (traits.gives_event_time) out += " Gives rows their event time.";
    if (traits.commits_on_completion) out += " Commits when a checkpoint is complete.";
    if (traits.role != Role::kSource) out += fmt::format(" Takes changes: {}.", to_text(traits.accepts));
    if (traits.role != Role::kSink) out += fmt::format(" Makes changes: {}.", to_text(traits.produces));
    out += "\n";
    if (kind.options.options.empty()) continue;
    out += "\n| option | default | what | values |\n|---|---|---|---|\n";
    for (const config::OptionText& option : kind.options.options) {
      std::string fallback = option.fallback.empty() ? "" : fmt::format("`{}`", option.fallback);
      if (option.is_required) fallback = "required";
      std::string values = option.type;
      if (!option.bounds.empty()) values += ", " + option.bounds;
      out += fmt::format("| `{}` | {} | {} | {} |\n", option.key, fallback, option.doc, values);
    }
  }
  return out;
}

void add_builtin_kinds(Registry& registry) {
  for (const auto make : kBuiltinKinds) registry.add(make());
}

}  // namespace drey::operators
