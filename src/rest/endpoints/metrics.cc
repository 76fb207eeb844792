#include "rest/messages/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <deque>
#include <map>
#include <unordered_set>

#include "rest/client_endpoints.h"
#include "rest/job_metrics.h"
#include "rest/job_views.h"
#include "rest/messages/enum_texts.h"
#include "rest/vertex_path.h"

namespace drey::rest {
namespace {

using gateway::ClusterGateway;
using gateway::JobModel;
using gateway::Metrics;

struct MetricQuery {
  std::optional<std::vector<std::string>> get;
  static constexpr auto fields() {
    return Fields{field("get", &MetricQuery::get, "Names of the metrics wanted; without it the names are listed.")};
  }
};

using Modes = std::vector<OneOf<kAggregations>>;

std::vector<MetricEntry> plain(const MetricQuery& query, const Metrics& metrics) {
  std::vector<MetricEntry> out;
  if (!query.get) {
    for (std::size_t i = 0; i < metrics.size(); ++i) out.push_back({metrics.name(i).text, std::nullopt});
    return out;
  }
  for (const std::string& wanted : *query.get) {
    if (const auto value = metrics.find(wanted)) out.push_back({wanted, metrics::text_of(*value)});
  }
  return out;
}

// Of a collector's third metric the dashboard of 1.12 makes a collector of its own.
Metrics known_to(Dialect dialect, const Metrics& metrics) {
  if (dialect == Dialect::kFull) return metrics;
  Metrics known;
  for (std::size_t i = 0; i < metrics.size(); ++i) {
    const std::string& name = metrics.name(i).text;
    if (name.starts_with("Status.JVM.GarbageCollector.") && name.ends_with(".TimeMsPerSecond")) continue;
    known.add(name, metrics.value(i));
  }
  return known;
}

std::vector<AggregatedMetric> aggregate(const std::optional<std::vector<std::string>>& get, const Modes& modes,
                                        const std::vector<const Metrics*>& components) {
  std::vector<AggregatedMetric> out;
  if (!get) {
    std::unordered_set<std::string_view> known;
    const metrics::Names* before = nullptr;
    for (const Metrics* component : components) {
      // Subtasks share their names.
      if (component->names().get() == before) continue;
      before = component->names().get();
      for (std::size_t i = 0; i < component->size(); ++i) {
        const std::string& name = component->name(i).text;
        if (known.insert(name).second) out.emplace_back().id = name;
      }
    }
    return out;
  }
  const auto wants = [&](std::string_view mode) {
    return modes.empty() || std::any_of(modes.begin(), modes.end(), [&](const auto& m) { return m == mode; });
  };
  for (const std::string& wanted : *get) {
    std::vector<double> values;
    for (const Metrics* component : components) {
      const auto value = component->find(wanted);
      if (const auto number = value ? metrics::number_of(*value) : std::nullopt) values.push_back(*number);
    }
    if (values.empty()) return {};  // one that is missing, or no number, empties the answer
    double sum = 0;
    for (const double v : values) sum += v;
    const double average = sum / static_cast<double>(values.size());
    double deviation = 0;
    for (const double v : values) deviation += std::fabs(v - average);
    deviation /= static_cast<double>(values.size());
    AggregatedMetric row;
    row.id = wanted;
    if (wants("min")) row.min = *std::min_element(values.begin(), values.end());
    if (wants("max")) row.max = *std::max_element(values.begin(), values.end());
    if (wants("avg")) row.avg = average;
    if (wants("sum")) row.sum = sum;
    if (wants("skew")) row.skew = average == 0 ? 0.0 : std::min(deviation / std::fabs(average) * 100.0, 100.0);
    out.push_back(std::move(row));
  }
  return out;
}

// "1", "5-9": inclusive ranges; what does not parse is passed over. No items: all.
std::vector<bool> chosen_subtasks(const std::optional<std::vector<std::string>>& items, std::size_t count) {
  std::vector<bool> chosen(count, !items.has_value());
  if (!items) return chosen;
  for (const std::string& item : *items) {
    const auto dash = item.find('-');
    const auto first = Json(item.substr(0, dash)).whole();
    const auto last = dash == std::string::npos ? first : Json(item.substr(dash + 1)).whole();
    if (!first || !last || *first < 0) continue;
    for (std::int64_t i = *first; i <= std::min<std::int64_t>(*last, static_cast<std::int64_t>(count) - 1); ++i)
      chosen[static_cast<std::size_t>(i)] = true;
  }
  return chosen;
}

// Metrics of what does not exist, or has ended, are an empty list, never 404.
template <typename T>
void with_vertex_or_empty(JobId job, VertexId vertex, ClusterGateway& cluster, const Reply<std::vector<T>>& reply,
                          std::function<void(const gateway::VertexModel&)> use) {
  cluster.job(job).then([reply, vertex, use = std::move(use)](Result<gateway::JobModelRef> model) {
    if (model.ok() && !(*model)->is_terminal()) {
      for (const auto& v : (*model)->vertices) {
        if (v.vertex.id == vertex) return use(v);
      }
    }
    reply({});
  });
}

// --- operations ---

struct PlainCall {
  static constexpr bool kShared = true;
  static constexpr Access kAccess = Access::kView;
  using Query = MetricQuery;
  using Response = std::vector<MetricEntry>;
};
struct AggregatedCall {
  static constexpr bool kShared = true;
  static constexpr Access kAccess = Access::kView;
  using Response = std::vector<AggregatedMetric>;
};

struct GetJobManagerMetrics : PlainCall {
  static constexpr Route kRoute{"GET", "/jobmanager/metrics", 200, "Metrics of the JobManager."};
  static void handle(const Call<None, Query>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    cluster.metrics().then([reply, query = call.query](Result<Metrics> metrics) {
      reply(plain(query, known_to(reply.dialect(), metrics.value_or({}))));
    });
  }
};

struct GetJobMetrics : PlainCall {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/metrics", 200, "Metrics of a job."};
  using Path = JobPath;
  static void handle(const Call<JobPath, Query>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    cluster.job(call.path.jobid).then([reply, query = call.query](Result<gateway::JobModelRef> job) {
      reply(job.ok() && !(*job)->is_terminal() ? plain(query, job_metrics(**job)) : Response());
    });
  }
};

struct GetMetricsOverJobs : AggregatedCall {
  static constexpr Route kRoute{"GET", "/jobs/metrics", 200, "Metrics over jobs."};
  struct Query {
    std::optional<std::vector<std::string>> get;
    Modes agg;
    std::vector<JobId> jobs;
    static constexpr auto fields() {
      return Fields{field("get", &Query::get, "Names of the metrics wanted; without it the names are listed."),
                    field("agg", &Query::agg, "Which aggregations; all when left out."),
                    field("jobs", &Query::jobs, "Which jobs; all when left out.")};
    }
  };
  static void handle(const Call<None, Query>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    cluster.running_jobs().then([reply, query = call.query](Result<std::vector<gateway::JobModelRef>> jobs) {
      if (!jobs.ok()) return reply.refuse(jobs.status(), ErrorForm::kBare);
      std::deque<Metrics> chosen;
      std::vector<const Metrics*> components;
      for (const auto& job : *jobs) {
        const auto& ids = query.jobs;
        if (!ids.empty() && std::find(ids.begin(), ids.end(), job->id) == ids.end()) continue;
        components.push_back(&chosen.emplace_back(job_metrics(*job)));
      }
      reply(aggregate(query.get, query.agg, components));
    });
  }
};

struct GetVertexMetrics : PlainCall {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/vertices/:vertexid/metrics", 200,
                                "Metrics of a vertex, by subtask."};
  using Path = VertexPath;
  static void handle(const Call<VertexPath, Query>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    with_vertex_or_empty(
        call.path.jobid, call.path.vertexid, cluster, reply,
        [reply, query = call.query](const gateway::VertexModel& vertex) {
          Response list;
          if (query.get) {
            for (const std::string& wanted : *query.get) {
              // "<subtask>.<metric>"
              const auto dot = std::min(wanted.find('.'), wanted.size());
              const auto index = Json(wanted.substr(0, dot)).whole();
              if (!index || *index < 0 || static_cast<std::size_t>(*index) >= vertex.subtasks.size()) continue;
              const auto& metrics = vertex.subtasks[static_cast<std::size_t>(*index)].back().metrics;
              if (const auto value = metrics.find(std::string_view(wanted).substr(std::min(dot + 1, wanted.size()))))
                list.push_back({wanted, metrics::text_of(*value)});
            }
            return reply(list);
          }
          for (std::size_t i = 0; i < vertex.subtasks.size(); ++i) {
            const Metrics& metrics = vertex.subtasks[i].back().metrics;
            for (std::size_t m = 0; m < metrics.size(); ++m)
              list.push_back({fmt::format("{}.{}", i, metrics.name(m).text), std::nullopt});
          }
          reply(list);
        });
  }
};

// Metrics of the part of a vertex that runs beside the JobMaster: no operator here has one.
struct GetCoordinatorMetrics : PlainCall {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/vertices/:vertexid/jm-operator-metrics", 200,
                                "Metrics of a vertex's coordinators."};
  using Path = VertexPath;
  static void handle(const Call<VertexPath, Query>&, ClusterGateway&, const Reply<Response>& reply) { reply({}); }
};

struct GetMetricsOverSubtasks : endpoints::GetMetricsOverSubtasks {
  static constexpr bool kShared = true;
  static void handle(const Call<VertexPath, Query>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    with_vertex_or_empty(call.path.jobid, call.path.vertexid, cluster, reply,
                         [reply, query = call.query](const gateway::VertexModel& vertex) {
                           const auto chosen = chosen_subtasks(query.subtasks, vertex.subtasks.size());
                           std::vector<const Metrics*> components;
                           for (std::size_t i = 0; i < vertex.subtasks.size(); ++i) {
                             if (chosen[i]) components.push_back(&vertex.subtasks[i].back().metrics);
                           }
                           reply(aggregate(query.get, query.agg, components));
                         });
  }
};

struct GetSubtaskMetrics : PlainCall {
  static constexpr Route kRoute{"GET", "/jobs/:jobid/vertices/:vertexid/subtasks/:subtaskindex/metrics", 200,
                                "Metrics of a subtask."};
  using Path = SubtaskPath;
  static void handle(const Call<SubtaskPath, Query>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    const auto index = static_cast<std::size_t>(call.path.subtaskindex.value);
    with_vertex_or_empty(
        call.path.jobid, call.path.vertexid, cluster, reply,
        [reply, query = call.query, index](const gateway::VertexModel& vertex) {
          reply(index < vertex.subtasks.size() ? plain(query, vertex.subtasks[index].back().metrics) : Response());
        });
  }
};

struct GetMetricsOverTaskManagers : AggregatedCall {
  static constexpr Route kRoute{"GET", "/taskmanagers/metrics", 200, "Metrics over TaskManagers."};
  struct Query {
    std::optional<std::vector<std::string>> get;
    Modes agg;
    std::vector<std::string> taskmanagers;
    static constexpr auto fields() {
      return Fields{field("get", &Query::get, "Names of the metrics wanted; without it the names are listed."),
                    field("agg", &Query::agg, "Which aggregations; all when left out."),
                    field("taskmanagers", &Query::taskmanagers, "Which TaskManagers; all when left out.")};
    }
  };
  static void handle(const Call<None, Query>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    cluster.task_managers().then([reply, query = call.query](Result<std::vector<gateway::TaskManagerModel>> all) {
      if (!all.ok()) return reply.refuse(all.status(), ErrorForm::kBare);
      std::vector<const Metrics*> components;
      for (const auto& tm : *all) {
        const auto& ids = query.taskmanagers;
        if (ids.empty() || std::find(ids.begin(), ids.end(), tm.id) != ids.end()) components.push_back(&tm.metrics);
      }
      reply(aggregate(query.get, query.agg, components));
    });
  }
};

struct GetTaskManagerMetrics : PlainCall {
  static constexpr Route kRoute{"GET", "/taskmanagers/:taskmanagerid/metrics", 200, "Metrics of a TaskManager."};
  struct Path {
    std::string id;
    static constexpr auto fields() { return Fields{field("taskmanagerid", &Path::id, "Id of a TaskManager.")}; }
  };
  static void handle(const Call<Path, Query>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    cluster.task_managers().then(
        [reply, query = call.query, id = call.path.id](Result<std::vector<gateway::TaskManagerModel>> all) {
          const auto list = all.value_or({});
          for (const auto& tm : list) {
            if (tm.id == id) return reply(plain(query, known_to(reply.dialect(), tm.metrics)));
          }
          reply({});
        });
  }
};

// --- Prometheus ---

// Samples in the text format, up to a bound.
class PrometheusPage {
 public:
  static constexpr std::size_t kSamplesMax = 50'000;

  // All metrics of a component. Texts are no samples, and a truth is 1 or 0.
  void add(std::string_view scope, const std::string& labels, const Metrics& metrics) {
    for (std::size_t i = 0; i < metrics.size(); ++i) {
      const metrics::Name& name = metrics.name(i);
      const metrics::Value value = metrics.value(i);
      if (name.form == metrics::Form::kText) continue;
      const std::string text =
          name.form == metrics::Form::kTruth ? (std::get<bool>(value) ? "1" : "0") : metrics::text_of(value);
      if (name.scope == 0) {
        add(scope, name.text, labels, text);
      } else {
        add(fmt::format("{}_operator", scope), std::string_view(name.text).substr(name.scope),
            labels + "," + label("operator_name", std::string_view(name.text).substr(0, name.scope - 1)), text);
      }
    }
  }
  void add(std::string_view scope, std::string_view metric, const std::string& labels, std::string_view value) {
    if (samples_ >= kSamplesMax) {
      ++dropped_;
      return;
    }
    ++samples_;
    std::string name = fmt::format("flink_{}_{}", scope, metric);
    for (char& c : name) {
      const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
      if (!plain) c = '_';
    }
    // Samples of a name lie together, as the format wants them.
    fmt::format_to(std::back_inserter(by_name_[std::move(name)]), "{{{}}} {}\n", labels, value);
  }
  std::string text() const {
    std::string out;
    for (const auto& [name, lines] : by_name_) {
      fmt::format_to(std::back_inserter(out), "# TYPE {} gauge\n", name);
      std::size_t at = 0;
      while (at < lines.size()) {
        const std::size_t end = lines.find('\n', at) + 1;
        out += name;
        out.append(lines, at, end - at);
        at = end;
      }
    }
    fmt::format_to(std::back_inserter(out), "# TYPE drey_samples_dropped gauge\ndrey_samples_dropped {}\n", dropped_);
    return out;
  }
  // `name="value"`, quoted as the format wants it.
  static std::string label(std::string_view name, std::string_view value) {
    std::string quoted;
    for (const char c : value) {
      if (c == '\n') {
        quoted += "\\n";
        continue;
      }
      if (c == '"' || c == '\\') quoted += '\\';
      quoted += c;
    }
    return fmt::format("{}=\"{}\"", name, quoted);
  }

 private:
  std::map<std::string, std::string> by_name_;
  std::size_t samples_ = 0;
  std::size_t dropped_ = 0;
};

void add_job(const JobModel& job, PrometheusPage& page) {
  const std::string of_job =
      PrometheusPage::label("job_id", job.id.to_string()) + "," + PrometheusPage::label("job_name", job.name);
  page.add("jobmanager_job", of_job, job_metrics(job));
  for (const auto& vertex : job.vertices) {
    const std::string of_task = of_job + "," + PrometheusPage::label("task_id", vertex.vertex.id.to_string()) + "," +
                                PrometheusPage::label("task_name", vertex.vertex.name);
    for (std::size_t i = 0; i < vertex.subtasks.size(); ++i) {
      const gateway::AttemptModel& attempt = vertex.subtasks[i].back();
      const std::string labels = of_task + "," + PrometheusPage::label("tm_id", attempt.task_manager) +
                                 fmt::format(",subtask_index=\"{}\"", i);
      page.add("taskmanager_job_task", labels, attempt.metrics);
    }
  }
}

struct GetPrometheus {
  static constexpr Route kRoute{"GET", "/metrics", 200, "All metrics as Prometheus reads them."};
  static constexpr Access kAccess = Access::kView;
  using Response = TextReply;
  static void handle(const Call<>& call, ClusterGateway& cluster, const Reply<Response>& reply) {
    auto page = std::make_shared<PrometheusPage>();
    cluster.metrics().then([page, reply, &cluster, router = call.raw.router](Result<Metrics> own) {
      if (!own.ok()) return reply.refuse(own.status());
      page->add("jobmanager", "", *own);
      cluster.task_managers().then([page, reply, &cluster, router](Result<std::vector<gateway::TaskManagerModel>> all) {
        if (!all.ok()) return reply.refuse(all.status());
        for (const auto& tm : *all) page->add("taskmanager", PrometheusPage::label("tm_id", tm.id), tm.metrics);
        cluster.running_jobs().then([page, reply, router](Result<std::vector<gateway::JobModelRef>> jobs) {
          if (!jobs.ok()) return reply.refuse(jobs.status());
          for (const auto& job : *jobs) add_job(*job, *page);
          TextReply text;
          text.text = page->text();
          if (router != nullptr) text.text += router->endpoint_metrics();
          text.type = "text/plain; version=0.0.4; charset=utf-8";
          reply(text);
        });
      });
    });
  }
};

}  // namespace

std::vector<Endpoint> metric_endpoints() {
  return endpoint_list<GetJobManagerMetrics, GetJobMetrics, GetMetricsOverJobs, GetVertexMetrics, GetCoordinatorMetrics,
                       GetMetricsOverSubtasks, GetSubtaskMetrics, GetMetricsOverTaskManagers, GetTaskManagerMetrics,
                       GetPrometheus>();
}

}  // namespace drey::rest
