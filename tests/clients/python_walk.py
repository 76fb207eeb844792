"""Calls what two Python packages for Flink's API offer, against a running job, and prints a line for each call that fails.

    python_walk.py flink_rest_client URL JOB
    python_walk.py flink_job_manager_api URL JOB      every generated call that only reads

Run with the Python that has the packages (python_test.py makes one).
"""
import importlib
import inspect
import pkgutil
import sys
import urllib.parse


def attempt(name, call):
    try:
        return call()
    except Exception as problem:  # the client's own errors are what is looked for
        print(f"{name}: {type(problem).__name__} {str(problem)[:200]}")
        return None


def rest_client(url, job):
    from flink_rest_client import FlinkRestClient

    parts = urllib.parse.urlparse(url)
    client = FlinkRestClient.get(host="127.0.0.1", port=parts.port)
    jobs, managers, manager = client.jobs, client.taskmanagers, client.jobmanager
    calls = {"overview": client.overview, "config": client.config, "datasets": client.datasets, "jars.all": client.jars.all,
             "jobmanager.config": manager.config, "jobmanager.logs": manager.logs, "jobmanager.metrics": manager.metrics,
             "jobs.all": jobs.all, "jobs.job_ids": jobs.job_ids, "jobs.overview": jobs.overview, "jobs.metrics": jobs.metrics,
             "taskmanagers.all": managers.all, "taskmanagers.metrics": managers.metrics}
    for name in ("get", "get_config", "get_exceptions", "get_execution_result", "get_metrics", "get_plan", "get_vertex_ids", "get_accumulators",
                 "get_checkpointing_configuration", "get_checkpoints", "get_checkpoint_ids"):
        calls[f"jobs.{name}"] = lambda name=name: getattr(jobs, name)(job)
    for name, call in calls.items():
        attempt(name, call)
    for checkpoint in (attempt("ids", lambda: jobs.get_checkpoint_ids(job)) or [])[:1]:
        attempt("checkpoint details", lambda: jobs.get_checkpoint_details(job, checkpoint, show_subtasks=True))
    for identity in attempt("ids", managers.taskmanager_ids) or []:
        for name in ("get", "get_logs", "get_metrics", "get_thread_dump"):
            attempt(f"taskmanagers.{name}", lambda name=name: getattr(managers, name)(identity))
    for vertex in attempt("ids", lambda: jobs.get_vertex_ids(job)) or []:
        one = jobs.get_vertex(job, vertex)
        for name in ("details", "backpressure", "metric_names", "metrics", "subtasktimes", "taskmanagers", "watermarks"):
            attempt(f"vertex.{name}", getattr(one, name))
        for name in ("subtask_ids", "accumulators", "metric_names", "metrics"):
            attempt(f"subtasks.{name}", getattr(one.subtasks, name))
        for name in ("get", "get_attempt", "get_attempt_accumulators"):
            attempt(f"subtasks.{name}", lambda name=name: getattr(one.subtasks, name)(0))


def generated(url, job):
    import flink_job_manager_api.api.default as package
    from flink_job_manager_api import Client

    client = Client(base_url=url.replace("localhost", "127.0.0.1"), raise_on_unexpected_status=True)
    http = client.get_httpx_client()
    details = http.get(f"/jobs/{job}").json()
    known = {"jobid": job, "vertexid": details["vertices"][-1]["id"], "subtaskindex": 0, "attempt": 0,
             "taskmanagerid": http.get("/taskmanagers").json()["taskmanagers"][0]["id"],
             "checkpointid": http.get(f"/jobs/{job}/checkpoints").json()["latest"]["completed"]["id"]}
    called = 0
    for module in sorted(m.name for m in pkgutil.iter_modules(package.__path__)):
        call = importlib.import_module(f"{package.__name__}.{module}")
        wanted = [name for name, p in inspect.signature(call.sync_detailed).parameters.items() if p.default is inspect.Parameter.empty and name != "client"]
        arguments = {name: known.get(name) for name in wanted}
        if not set(wanted) <= set(known):
            continue
        if call._get_kwargs(**arguments)["method"] != "get":
            continue
        called += 1
        attempt(module, lambda: call.sync_detailed(client=client, **arguments))
    print(f"called {called}")


if __name__ == "__main__":
    {"flink_rest_client": rest_client, "flink_job_manager_api": generated}[sys.argv[1]](sys.argv[2], sys.argv[3])
