// The job's graph while main() describes it; handed to the host when main() has ended. Not for job
// authors.
#pragma once

#include <algorithm>
#include <functional>
#include <map>

#include "drey/args.h"
#include "drey/kinds.h"
#include "drey/operators.h"

namespace drey {
inline namespace api {

// The job is wrong; the text is what the person who submits it reads.
struct JobError : std::invalid_argument {
  using std::invalid_argument::invalid_argument;
};

namespace detail {

struct Node;

struct Edge {
  Node* from = nullptr;
  std::uint32_t output = 0;
  std::uint32_t input = 0;
  drey_partitioner partitioner = DREY_FORWARD;
  std::vector<std::uint32_t> keys;
  const drey_functions* functions = nullptr;
  std::function<void*()> closure;  // makes one for each edge
  void (*release)(void*) = nullptr;
};

struct Node {
  std::string kind, name, uid, group;
  bool has_uid = false;
  std::int32_t parallelism = 0, max_parallelism = 0, chaining = 0;
  std::uint32_t accumulator_bytes = 0;
  std::vector<const ArrowSchema*> outputs;
  std::vector<std::pair<std::string, std::string>> options;
  const drey_functions* functions = nullptr;
  void* closure = nullptr;
  void (*release)(void*) = nullptr;
  std::shared_ptr<SideTable> sides;
  std::vector<Edge> inputs;
  std::uint32_t number = 0;
  bool needs_watermarks = false;
  bool gives_event_time = false;
  bool emits_sides = false;          // its function has a context
  std::vector<SideTable::Row> late;  // windows: the late rows, output 1

  Node() = default;
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  ~Node() {
    if (closure != nullptr && release != nullptr) release(closure);
  }
  void set(const char* key, std::string value) { options.push_back({key, std::move(value)}); }
  template <class Op, class F>
  void code(F&& fn, const void* key_type = nullptr) {
    using C = typename Op::Closure;
    auto* c = new C{std::forward<F>(fn)};
    c->key_type = key_type;
    closure = c;
    sides = c->sides;
    release = [](void* p) { delete static_cast<C*>(p); };
    functions = Functions<Op>::get();
  }
};

class Graph {
 public:
  Graph(drey_graph* graph, const drey_graph_builder* builder) : graph_(graph), builder_(builder) {}

  Node& add(const char* kind, std::string name) {
    nodes_.push_back(std::make_unique<Node>());
    Node& n = *nodes_.back();
    n.kind = kind;
    n.name = std::move(name);
    return n;
  }
  void set(const std::string& key, const std::string& value) {
    check(builder_->set(graph_, key.c_str(), value.c_str()));
  }
  std::optional<std::string> get(const std::string& key) const {
    const char* v = builder_->get(graph_, key.c_str());
    return v == nullptr ? std::nullopt : std::optional<std::string>(v);
  }

  void hand_over() {
    verify();
    for (auto& n : nodes_) add_operator(*n);
    for (auto& n : nodes_) {
      for (Edge& e : n->inputs) add_edge(e, *n);
    }
  }

 private:
  void verify() const {
    std::map<std::string, const Node*> uids;
    for (const auto& n : nodes_) {
      if (n->has_uid && n->uid.empty()) throw JobError("operator '" + n->name + "': the uid is empty");
      if (n->has_uid) {
        const auto [it, fresh] = uids.insert({n->uid, n.get()});
        if (!fresh) {
          throw JobError("operators '" + it->second->name + "' and '" + n->name + "' have the same uid '" + n->uid +
                         "'");
        }
      }
      if (n->needs_watermarks) {
        for (const Edge& e : n->inputs) {
          if (!has_watermarks(*e.from)) {
            throw JobError("operator '" + n->name + "' works in event time, but its input from '" + e.from->name +
                           "' has no watermarks: call .watermarks(...) on the stream before it");
          }
        }
      }
    }
  }
  static bool has_watermarks(const Node& n) {
    if (n.gives_event_time) return true;
    if (n.inputs.empty()) return false;
    for (const Edge& e : n.inputs) {
      if (!has_watermarks(*e.from)) return false;
    }
    return true;
  }

  void add_operator(Node& n) {
    std::vector<const char*> options;
    for (const auto& [k, v] : n.options) {
      options.push_back(k.c_str());
      options.push_back(v.c_str());
    }
    drey_operator_spec s{};
    s.size = sizeof s;
    s.output_count = static_cast<std::uint32_t>(n.outputs.size());
    s.kind = n.kind.c_str();
    s.name = n.name.c_str();
    s.uid = n.has_uid ? n.uid.c_str() : nullptr;
    s.slot_sharing_group = n.group.empty() ? nullptr : n.group.c_str();
    s.parallelism = n.parallelism;
    s.max_parallelism = n.max_parallelism;
    s.chaining = n.chaining;
    s.accumulator_bytes = n.accumulator_bytes;
    s.outputs = n.outputs.data();
    s.options = options.data();
    s.option_count = static_cast<std::uint32_t>(n.options.size());
    s.functions = n.functions;
    s.closure = n.closure;
    s.release_closure = n.release;
    n.closure = nullptr;  // the host's from here on
    n.number = builder_->add_operator(graph_, &s);
    if (n.number == UINT32_MAX) throw HostFailure{};
  }
  void add_edge(const Edge& e, const Node& to) {
    drey_edge_spec s{};
    s.size = sizeof s;
    s.from = e.from->number;
    s.output = e.output;
    s.to = to.number;
    s.input = e.input;
    s.partitioner = e.partitioner;
    s.key_columns = e.keys.data();
    s.key_column_count = static_cast<std::uint32_t>(e.keys.size());
    s.functions = e.functions;
    s.closure = e.closure ? e.closure() : nullptr;
    s.release_closure = e.release;
    check(builder_->add_edge(graph_, &s));
  }

  drey_graph* graph_;
  const drey_graph_builder* builder_;
  std::vector<std::unique_ptr<Node>> nodes_;
};

// A pointer to a member of T can be written for scalar T, too (and never be had).
struct NoClass {};
template <class T>
using ClassOf = std::conditional_t<std::is_class_v<T>, T, NoClass>;

// Number of the column that a member is.
template <class T, class M>
std::uint32_t column_of(M ClassOf<T>::*member) {
  static_assert(HasFields<T>, "drey: a member names a column only in a record with a table (DREY_FIELDS or fields())");
  std::uint32_t found = UINT32_MAX;
  for_columns<T>([&](auto i) {
    constexpr auto f = row_at<i.value>(kFieldsOf<T>);
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(f.member)>, M T::*>) {
      if (f.member == member) found = static_cast<std::uint32_t>(i);
    }
  });
  if (found == UINT32_MAX) throw JobError("a member is used as a column, but the record's table has no such member");
  return found;
}

}  // namespace detail
}  // namespace api
}  // namespace drey
