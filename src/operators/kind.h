// OperatorKind: the one declaration of an operator kind: name, doc, traits, options, schemas of the outputs, factory.
//
//   struct PrintOptions {
//     std::string prefix;
//     static constexpr auto options() {
//       using M = PrintOptions;
//       using config::option;
//       return config::Options{option("prefix", &M::prefix, "What each line begins with.")};
//     }
//   };
//   static_assert(config::EveryMemberIsAnOption<PrintOptions>);
//
//   OperatorKind print_kind() {
//     return declare<PrintOptions>({
//         .name = DREY_KIND_PRINT,
//         .doc = "Writes one line a row to standard output.",
//         .traits = {.role = graph::Role::kSink, .accepts = graph::Changes::kAll},
//         .make_operator = [](OperatorContext& context, const PrintOptions& options) -> Made<Operator> {
//           return std::make_unique<Print>(context, options);
//         },
//     });
//   }
//
// Everything else follows from it: a graph is checked where it is submitted (registry.h), the traits travel with its
// nodes, the factory gets options that have been read, and docs/reference/operators.md is printed from it.
// Threading: values; factories are called by the threads of tasks.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/option.h"
#include "data/type.h"
#include "drey/kinds.h"
#include "graph/job_graph.h"
#include "operators/operator.h"

namespace drey::operators {

// What a factory returns. Any class derived from T converts.
template <typename T>
class Made {
 public:
  template <typename D>
  requires std::is_base_of_v<T, D> Made(std::unique_ptr<D> made)  // NOLINT(google-explicit-constructor)
      : result_(std::unique_ptr<T>(std::move(made))) {}
  Made(Result<std::unique_ptr<T>> result) : result_(std::move(result)) {}  // NOLINT(google-explicit-constructor)
  Made(Status why) : result_(std::move(why)) {}                            // NOLINT(google-explicit-constructor)
  operator Result<std::unique_ptr<T>>() && { return std::move(result_); }  // NOLINT(google-explicit-constructor)

 private:
  Result<std::unique_ptr<T>> result_;
};

using Schemas = std::vector<data::Schema>;

// A kind with the type of its options left out. Made by declare().
struct OperatorKind {
  std::string_view name;  // drey_operator_spec.kind
  std::string_view doc;
  graph::Traits traits;
  std::uint32_t inputs = 1;     // edges may enter inputs 0 .. inputs - 1
  config::OptionGroup options;  // for the reference page
  // FAILS WITH: kInvalidArgument naming option and value, or the key that is unknown and the nearest known one.
  std::function<Status(const config::Values&)> check_options;
  // As Declaration::output_schema.
  std::function<Result<Schemas>(const Schemas& inputs, const config::Values& options, const Schemas& declared)>
      output_schema;
  // One of the two is set. The context is alive until the instance is gone.
  std::function<Result<std::unique_ptr<Operator>>(OperatorContext&)> make_operator;
  std::function<Result<std::unique_ptr<Source>>(OperatorContext&)> make_source;
};

// Options of a kind that has none.
struct NoOptions {
  static constexpr auto options() { return config::Options{}; }
};

template <typename O>
struct Declaration {
  std::string_view name;
  std::string_view doc;
  graph::Traits traits = {};
  std::uint32_t inputs = 1;
  // Schemas that the outputs have, from those of the inputs, the options and what the program declared. Where only the
  // job's code knows (unset): what was declared. FAILS WITH: kInvalidArgument when inputs or options do not fit.
  std::function<Result<Schemas>(const Schemas& inputs, const O& options, const Schemas& declared)> output_schema = {};
  // One of the two. `options` are those of the context's node.
  std::function<Made<Operator>(OperatorContext&, const O& options)> make_operator = {};
  std::function<Made<Source>(OperatorContext&, const O& options)> make_source = {};
};

// Node that the context belongs to; for declare(), which does not see the context's class.
const graph::OperatorNode& node_of(const OperatorContext& context);
// FAILS WITH: kInvalidArgument naming operator, kind, option and value.
Status named(Status status, const graph::OperatorNode& node);

// Options of a node of this kind.
template <typename O>
Result<O> read_options(const graph::OperatorNode& node) {
  auto options = config::read_all<O>(node.options);
  if (!options.ok()) return named(options.status(), node);
  return options;
}

template <typename O>
OperatorKind declare(Declaration<O> declaration) {
  OperatorKind kind;
  kind.name = declaration.name;
  kind.doc = declaration.doc;
  kind.traits = declaration.traits;
  kind.inputs = declaration.inputs;
  kind.options = config::describe<O>();
  kind.check_options = [](const config::Values& values) { return config::read_all<O>(values).status(); };
  kind.output_schema = [of = std::move(declaration.output_schema)](const Schemas& inputs, const config::Values& values,
                                                                   const Schemas& declared) -> Result<Schemas> {
    if (!of) return declared;
    DREY_TRY_ASSIGN(const O options, config::read_all<O>(values));
    return of(inputs, options, declared);
  };
  if (declaration.make_operator) {
    kind.make_operator =
        [make = std::move(declaration.make_operator)](OperatorContext& context) -> Result<std::unique_ptr<Operator>> {
      DREY_TRY_ASSIGN(const O options, read_options<O>(node_of(context)));
      return make(context, options);
    };
  }
  if (declaration.make_source) {
    kind.make_source =
        [make = std::move(declaration.make_source)](OperatorContext& context) -> Result<std::unique_ptr<Source>> {
      DREY_TRY_ASSIGN(const O options, read_options<O>(node_of(context)));
      return make(context, options);
    };
  }
  return kind;
}

}  // namespace drey::operators
