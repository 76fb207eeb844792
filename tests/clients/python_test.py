#!/usr/bin/env python3
"""The Python packages flink-rest-client and flink-job-manager-api against a live Drey: every call that reads."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from flink import DOWNLOADS, start_flights  # noqa: E402
from cluster import Cluster, Failure, Skip, main, until  # noqa: E402

PACKAGES = ["flink-rest-client==1.0.8", "flink-job-manager-api==1.0.2"]
# What the models of flink-job-manager-api cannot parse in the answers of a real Flink 2.3 either.
UNPARSABLE = {"get_checkpoint_config", "get_checkpoint_statistic_details", "get_checkpointing_statistics", "get_job_details", "get_job_manager_metrics",
              "get_job_manager_operator_metrics", "get_job_metrics", "get_job_vertex_metrics", "get_job_vertex_watermarks", "get_subtask_metrics",
              "get_task_manager_metrics"}


def python():
    """A Python of its own with the packages."""
    home = os.path.join(DOWNLOADS, "python")
    done = os.path.join(home, "installed")
    if not os.path.exists(done):
        os.makedirs(DOWNLOADS, exist_ok=True)
        for command in ([sys.executable, "-m", "venv", "--clear", home], [os.path.join(home, "bin", "pip"), "install", "-q", *PACKAGES]):
            got = subprocess.run(command, capture_output=True, text=True, timeout=300)
            if got.returncode != 0:
                raise Skip(f"{' '.join(command[1:])}: {(got.stdout + got.stderr)[-300:]}")
        open(done, "w").close()
    return os.path.join(home, "bin", "python")


def problems(package):
    """Lines `call: problem` of a walk through the package against a running job."""
    interpreter = python()
    with Cluster(f"python-{package}") as cluster:
        job = start_flights(cluster)
        until("a checkpoint", 20, lambda: cluster.get(f"/jobs/{job}/checkpoints")["counts"]["completed"] > 0)
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "python_walk.py")
        done = subprocess.run([interpreter, script, package, cluster.url, job], capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise Failure(done.stderr[-1500:])
        return [line for line in done.stdout.splitlines() if ": " in line or line.startswith("called ")]


def flink_rest_client_gets_an_answer_to_every_call():
    found = problems("flink_rest_client")
    if found:
        raise Failure("; ".join(sorted(set(found))))


def flink_job_manager_api_parses_what_it_can_parse_of_flink():
    *found, last = problems("flink_job_manager_api")
    if not last.startswith("called ") or int(last.split()[1]) < 45:
        raise Failure(f"the walk ended early: {last}")
    others = [line for line in found if line.split(":")[0] not in UNPARSABLE]
    if others:
        raise Failure("; ".join(others))


if __name__ == "__main__":
    main([flink_rest_client_gets_an_answer_to_every_call, flink_job_manager_api_parses_what_it_can_parse_of_flink])
