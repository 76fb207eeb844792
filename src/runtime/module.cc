#include "runtime/module.h"

#include <dlfcn.h>
#include <elf.h>

#include <cstring>

#include <fmt/format.h>

#include "control/job_options.h"
#include "data/key.h"
#include "env/env.h"

struct drey_graph {
  drey::runtime::JobCode* code;
  const std::map<std::string, std::string>* configuration;
  drey::Status failure;
  std::string answer;
};

namespace drey::runtime {
namespace {

void record(drey_graph* graph, Status status) {
  if (graph->failure.ok()) graph->failure = std::move(status);
}

std::string text(const char* value) { return value != nullptr ? value : ""; }

std::uint32_t add_operator(drey_graph* graph, const drey_operator_spec* spec) {
  if (spec->release_closure != nullptr) {
    graph->code->releases.push_back([release = spec->release_closure, closure = spec->closure] { release(closure); });
  }
  graph::OperatorNode node;
  node.number = static_cast<std::uint32_t>(graph->code->graph.operators.size());
  node.kind = text(spec->kind);
  node.name = text(spec->name);
  node.uid = text(spec->uid);
  node.slot_sharing_group = text(spec->slot_sharing_group);
  node.parallelism = spec->parallelism;
  node.max_parallelism = spec->max_parallelism;
  node.chaining = static_cast<graph::Chaining>(spec->chaining);
  node.accumulator_bytes = spec->accumulator_bytes;
  node.has_code = spec->functions != nullptr;
  node.traits.commits_on_completion = node.has_code && spec->functions->on_checkpoint_complete != nullptr;
  for (std::uint32_t i = 0; i < spec->output_count; ++i) {
    auto schema = data::Schema::from_arrow(*spec->outputs[i]);
    if (!schema.ok()) {
      record(graph, schema.status().with_context(fmt::format("operator '{}', output {}", node.name, i)));
      return UINT32_MAX;
    }
    node.outputs.push_back(schema->to_string());
  }
  for (std::uint32_t i = 0; i < spec->option_count; ++i) {
    node.options[text(spec->options[2 * i])] = text(spec->options[2 * i + 1]);
  }
  graph->code->graph.operators.push_back(std::move(node));
  graph->code->operators.push_back({spec->functions, spec->closure});
  return graph->code->graph.operators.back().number;
}

int add_edge(drey_graph* graph, const drey_edge_spec* spec) {
  if (spec->release_closure != nullptr) {
    graph->code->releases.push_back([release = spec->release_closure, closure = spec->closure] { release(closure); });
  }
  auto& operators = graph->code->graph.operators;
  graph::OperatorEdge edge;
  edge.from = spec->from;
  edge.output = spec->output;
  edge.to = spec->to;
  edge.input = spec->input;
  edge.partitioner = static_cast<graph::Partitioner>(spec->partitioner);
  edge.key_columns.assign(spec->key_columns, spec->key_columns + spec->key_column_count);
  if (edge.partitioner == graph::Partitioner::kHash && edge.from < operators.size() &&
      edge.output < operators[edge.from].outputs.size()) {
    const auto schema = data::Schema::parse(operators[edge.from].outputs[edge.output]);
    if (Status status = data::check_key_columns(*schema, edge.key_columns); !status.ok()) {
      record(graph, status.with_context(fmt::format("key_by after operator '{}'", operators[edge.from].name)));
      return 1;
    }
  }
  graph->code->graph.edges.push_back(std::move(edge));
  graph->code->edges.push_back({spec->functions, spec->closure});
  return 0;
}

int set(drey_graph* graph, const char* key, const char* value) {
  if (std::strcmp(key, "pipeline.name") == 0) graph->code->graph.name = value;
  graph->code->graph.settings[config::current_name(key, control::job_options())] = value;
  return 0;
}

const char* get(drey_graph* graph, const char* text) {
  const std::string key = config::current_name(text, control::job_options());
  const auto& settings = graph->code->graph.settings;
  if (const auto found = settings.find(key); found != settings.end()) {
    graph->answer = found->second;
    return graph->answer.c_str();
  }
  if (const auto found = graph->configuration->find(key); found != graph->configuration->end()) {
    graph->answer = found->second;
    return graph->answer.c_str();
  }
  return nullptr;
}

void fail_graph(drey_graph* graph, const char* type, const char* message) {
  record(graph, fail(Code::kUserCode, text(message)).with_origin(text(type)));
}

constexpr drey_graph_builder kBuilder{
    sizeof(drey_graph_builder), DREY_ABI_VERSION, add_operator, add_edge, set, get, fail_graph};

// What dlopen would say in its own words, said first and clearly.
Status check_elf(const std::string& path) {
  DREY_TRY_ASSIGN(auto file, env::posix().files.open(path));
  Elf64_Ehdr header{};
  DREY_TRY_ASSIGN(const std::size_t got, file->read_at(0, reinterpret_cast<char*>(&header), sizeof header));
  const std::string name = env::base_name_of(path);
  if (got < sizeof header || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
    return fail(Code::kInvalidArgument, fmt::format("{} is not a shared object", name));
  }
#if defined(__x86_64__)
  constexpr int kMachine = EM_X86_64;
#else
  constexpr int kMachine = EM_AARCH64;
#endif
  if (header.e_machine != kMachine) {
    return fail(Code::kIncompatible, fmt::format("{} is built for another architecture: ELF machine {}, this one is {}",
                                                 name, header.e_machine, kMachine));
  }
  return {};
}

}  // namespace

JobCode::~JobCode() {
  for (const auto& release : releases) release();
}

Result<const drey_module*> load_module(const std::string& path) {
  DREY_TRY(check_elf(path));
  const std::string name = env::base_name_of(path);
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    return fail(Code::kInvalidArgument, fmt::format("{} cannot be loaded: {}", name, text(dlerror())));
  }
  auto entry = reinterpret_cast<drey_module_entry_fn>(dlsym(handle, DREY_MODULE_ENTRY));
  if (entry == nullptr) {
    return fail(Code::kInvalidArgument, fmt::format("{} has no symbol {}: define a job with DREY_JOB and build it with "
                                                    "drey_add_job",
                                                    name, DREY_MODULE_ENTRY));
  }
  const drey_module* module = entry(DREY_ABI_VERSION);
  if (module == nullptr || module->abi >> 16 != DREY_ABI_MAJOR || (module->abi & 0xffff) > DREY_ABI_MINOR) {
    const std::uint32_t abi = module != nullptr ? module->abi : 0;
    return fail(Code::kIncompatible,
                fmt::format("{} was built for version {}.{} of the job interface, this Drey has {}.{}: build it "
                            "again with this version's headers",
                            name, abi >> 16, abi & 0xffff, DREY_ABI_MAJOR, DREY_ABI_MINOR));
  }
  return module;
}

Result<std::shared_ptr<JobCode>> build_job(const drey_module& module, const BuildRequest& request) {
  const drey_job* job = nullptr;
  std::string names;
  for (std::uint32_t i = 0; i < module.job_count; ++i) {
    if (request.entry == module.jobs[i].name) job = &module.jobs[i];
    names += (names.empty() ? "" : ", ") + text(module.jobs[i].name);
  }
  if (job == nullptr && request.entry.empty() && module.job_count == 1) job = &module.jobs[0];
  if (job == nullptr) {
    return fail(
        Code::kNotFound,
        fmt::format("The program's entry point class '{}' was not found in the jar file.\nIt has these jobs: {}",
                    request.entry, names));
  }
  auto code = std::make_shared<JobCode>();
  code->graph.name = text(job->name);
  drey_graph graph{code.get(), &request.configuration, {}, {}};
  std::vector<const char*> arguments;
  for (const std::string& argument : request.arguments) arguments.push_back(argument.c_str());
  const int result = job->build(&graph, &kBuilder, static_cast<std::uint32_t>(arguments.size()), arguments.data());
  if (!graph.failure.ok()) return graph.failure;
  if (result != 0) return fail(Code::kUserCode, "The program failed without a message");
  if (code->graph.operators.empty()) return fail(Code::kInvalidArgument, "No jobs included in application.");
  code->graph.entry = text(job->name);
  code->graph.arguments = request.arguments;
  return code;
}

}  // namespace drey::runtime
