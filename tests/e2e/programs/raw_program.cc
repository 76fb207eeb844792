// A program on the C interface alone, for tests/e2e: what the typed layer cannot express. MODULE_ABI is the version it
// claims.
#include <drey/abi.h>
#include <drey/kinds.h>

#ifndef MODULE_ABI
#define MODULE_ABI DREY_ABI_VERSION
#endif

namespace {

drey_operator_spec spec_of(const char* kind, const char* name) {
  drey_operator_spec spec{};
  spec.size = sizeof spec;
  spec.kind = kind;
  spec.name = name;
  return spec;
}

// source -> a -> b -> a, and a sink behind b.
int build_cycle(drey_graph* graph, const drey_graph_builder* builder, uint32_t, const char* const*) {
  ArrowSchema number{};
  number.format = "l";
  number.name = "n";
  ArrowSchema* children[] = {&number};
  ArrowSchema row{};
  row.format = "+s";
  row.name = "";
  row.n_children = 1;
  row.children = children;
  const ArrowSchema* outputs[] = {&row};
  const char* options[] = {"rows", "1"};
  static const drey_functions functions{};
  uint32_t numbers[4];
  const char* kinds[] = {DREY_KIND_GENERATOR, DREY_KIND_USER, DREY_KIND_USER, DREY_KIND_DISCARD};
  const char* names[] = {"rows", "a", "b", "out"};
  for (int i = 0; i < 4; ++i) {
    drey_operator_spec spec = spec_of(kinds[i], names[i]);
    if (i < 3) {
      spec.outputs = outputs;
      spec.output_count = 1;
      spec.functions = &functions;
    }
    if (i == 0) {
      spec.options = options;
      spec.option_count = 1;
    }
    numbers[i] = builder->add_operator(graph, &spec);
  }
  const int edges[][2] = {{0, 1}, {1, 2}, {2, 1}, {2, 3}};
  for (const auto& [from, to] : edges) {
    drey_edge_spec edge{};
    edge.size = sizeof edge;
    edge.from = numbers[from];
    edge.to = numbers[to];
    if (builder->add_edge(graph, &edge) != 0) return 1;
  }
  return 0;
}

const drey_job kJobs[] = {{"cycle", "a graph with a cycle", build_cycle}};
const drey_module kModule{sizeof(drey_module), MODULE_ABI, 1, 0, kJobs, "raw"};

}  // namespace

extern "C" __attribute__((visibility("default"))) const drey_module* drey_module_entry(uint32_t) { return &kModule; }
