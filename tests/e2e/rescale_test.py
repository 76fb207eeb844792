#!/usr/bin/env python3
"""Rescaling of the flights job in real processes, asked for or for want of slots: always exact."""
import json
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import flights_job  # noqa: E402
from cluster import DREY, Cluster, Failure, main, until  # noqa: E402
from flights_job import LEAP, RETRY, check, completed_checkpoints, progressed, restored  # noqa: E402

YEARS = 4
RATE = 150000
SECRET = "of these tests"


def submit(cluster, output, parallelism, *options, **body):
    """flights over some seconds, so that there is time for things to happen to it."""
    return flights_job.submit(cluster, output, "--years", YEARS, "--rate", RATE, "--checkpoint-interval", "500ms", *LEAP, *options,
                              parallelism=parallelism, **body)


def rescaled_1_4_2_while_it_runs():
    with Cluster("rescale") as cluster:
        output = os.path.join(cluster.base, "out")
        job = submit(cluster, output, 1)
        for parallelism in (4, 2):
            before = completed_checkpoints(cluster, job)
            until("a checkpoint", 30, lambda: completed_checkpoints(cluster, job) > before)
            trigger = cluster.post(f"/jobs/{job}/rescaling?parallelism={parallelism}", None, "PATCH")["request-id"]
            operation = cluster.result(f"/jobs/{job}/rescaling/{trigger}")
            if operation:
                raise Failure(operation)
            if {v["parallelism"] for v in cluster.get(f"/jobs/{job}")["vertices"]} != {parallelism}:
                raise Failure(cluster.get(f"/jobs/{job}")["vertices"])
        cluster.finish(job, 120)
        check(output, YEARS)


def bounds_are_kept_when_slots_come_and_go():
    with Cluster("bounds", "-Djobmanager.adaptive-scheduler.executing.cooldown-after-rescaling=500ms",
                 "-Djobmanager.adaptive-scheduler.submission.resource-stabilization-timeout=500ms", *RETRY) as cluster:
        output = os.path.join(cluster.base, "out")
        job = submit(cluster, output, 1)
        progressed(cluster, job, 1)
        path = f"/jobs/{job}/resource-requirements"
        bounds = cluster.get(path)
        if {b["parallelism"]["lowerBound"] for b in bounds.values()} != {1}:
            raise Failure(bounds)
        cluster.post(path, {v: {"parallelism": {"lowerBound": 1, "upperBound": 8}} for v in bounds}, "PUT")
        width = lambda: {v["parallelism"] for v in cluster.get(f"/jobs/{job}")["vertices"]}  # noqa: E731
        until("as wide as there are slots", 30, lambda: width() == {4})
        if cluster.get(path) != {v: {"parallelism": {"lowerBound": 1, "upperBound": 8}} for v in bounds}:
            raise Failure(cluster.get(path))
        status, answer = cluster.call("PUT", path, json.dumps({"0" * 32: {"parallelism": {"lowerBound": 0, "upperBound": 1}}}).encode())
        if status != 400 or "was not found in the JobGraph." not in str(answer) or "is incomplete" not in str(answer):
            raise Failure((status, answer))
        cluster.post(path, {v: {"parallelism": {"lowerBound": 1, "upperBound": 2}} for v in bounds}, "PUT")
        until("as wide as allowed", 30, lambda: width() == {2})
        cluster.finish(job, 120)
        check(output, YEARS)


def rescalings_are_remembered_over_job_managers():
    with Cluster("rescalings", "-Djobmanager.adaptive-scheduler.executing.cooldown-after-rescaling=500ms") as cluster:
        output = os.path.join(cluster.base, "out")
        job = submit(cluster, output, 1)
        progressed(cluster, job, 1)
        base = f"/jobs/{job}/rescales/"
        history = lambda: cluster.get(base + "history")  # noqa: E731
        brief = lambda: [(r["triggerCause"], r["terminalState"], r["terminatedReason"]) for r in history()]  # noqa: E731
        initial = ("INITIAL_SCHEDULE", "COMPLETED", "SUCCEEDED")
        asked = ("UPDATE_REQUIREMENT", "COMPLETED", "SUCCEEDED")
        waits = ("UPDATE_REQUIREMENT", None, None)

        def equal(what, found, wanted):
            if found != wanted:
                raise Failure(f"{what}: {found}, not {wanted}")

        equal("at first", brief(), [initial])
        trigger = cluster.post(f"/jobs/{job}/rescaling?parallelism=3", None, "PATCH")["request-id"]
        equal("rescaling", cluster.result(f"/jobs/{job}/rescaling/{trigger}"), {})
        equal("after PATCH", brief(), [asked, initial])
        details = cluster.get(base + "details/" + history()[0]["rescaleUuid"])
        vertex = next(iter(details["vertices"].values()))
        equal("one vertex", [vertex[k + "Parallelism"] for k in ("desired", "sufficient", "preRescale", "postRescale")], [3, 3, 1, 3])
        slots = next(iter(details["slots"].values()))
        equal("its slots", [slots[k] for k in ("desiredSlots", "preRescaleSlots", "postRescaleSlots")], [3, 1, 3])
        stages = [s["state"] for s in details["schedulerStates"]]
        equal("the states", stages, ["Executing", "Restarting", "WaitingForResources", "CreatingExecutionGraph"])
        if any(s["durationInMillis"] < 0 or s["stringifiedException"] for s in details["schedulerStates"]):
            raise Failure(details["schedulerStates"])
        path = f"/jobs/{job}/resource-requirements"
        bounds = {v: {"parallelism": {"lowerBound": 1, "upperBound": 8}} for v in cluster.get(path)}
        cluster.post(path, bounds, "PUT")
        until("the next one", 30, lambda: brief() == [asked, asked, initial])
        cluster.post(path, bounds, "PUT")
        equal("more than there are slots", brief(), [waits, asked, asked, initial])
        equal("counts", cluster.get(base + "overview")["rescalesCounts"], {"ignored": 0, "inProgress": 1, "completed": 3, "failed": 0})
        before = history()
        cluster.kill()
        cluster.start()
        until("RUNNING", 30, lambda: cluster.state(job) == "RUNNING")
        equal("after a crash", history(), before)
        cluster.finish(job, 120)
        check(output, YEARS)
        equal("at the end", brief(), [("UPDATE_REQUIREMENT", "IGNORED", "JOB_FINISHED"), asked, asked, initial])
        calls = ("history", "overview", "summary", "config", "details/" + before[1]["rescaleUuid"])
        ended = [cluster.get(base + call) for call in calls]
        if ended[2]["completedRescalesDurationStatsInMillis"]["p50"] == "NaN" or ended[3]["executingCooldownTimeoutInMillis"] != 500:
            raise Failure(ended[2:4])
        cluster.stop()
        cluster.properties[-1] = "-Djobmanager.adaptive-scheduler.executing.cooldown-after-rescaling=700ms"
        cluster.start()
        equal("by another JobManager", [cluster.get(base + call) for call in calls], ended)
        # The job's own configuration, not the one of the JobManager that tells it.
        own = {e["key"]: e["value"] for e in cluster.get(f"/jobs/{job}/jobmanager/config")}
        equal("its configuration", own["jobmanager.adaptive-scheduler.executing.cooldown-after-rescaling"], "500ms")
        options = cluster.get(f"/jobs/{job}/jobmanager/environment")["jvm"]["options"]
        if "-Djobmanager.adaptive-scheduler.executing.cooldown-after-rescaling=500ms" not in options:
            raise Failure(options)
        # Too old now.
        cluster.stop()
        cluster.properties[-1] = "-Dhistoryserver.archive.retained-ttl=1ms"
        cluster.start()
        equal("forgotten", cluster.call("GET", f"/jobs/{job}")[0], 404)


class Joined:
    """A TaskManager of two slots that nobody starts again when it has gone."""

    def __init__(self, cluster, name):
        out = open(os.path.join(cluster.base, f"{name}.out"), "ab")
        self.process = subprocess.Popen([DREY, "taskmanager", "--id", name, "--job-manager", f"127.0.0.1:{cluster.rpc_port()}", "--slots", "2"], stdout=out, stderr=out,
                                        env={**os.environ, "DREY_SECRET": SECRET})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def a_task_manager_that_leaves_for_good(wants):
    """Four subtasks on two TaskManagers, and then only one; `wants(cluster, job)` tells what the job is to do."""
    with Cluster(f"fewer-{wants.__name__}", "-Dminicluster.number-of-taskmanagers=0", f"-Ddrey.cluster.secret={SECRET}", "-Dslot.request.timeout=3s",
                 "-Djobmanager.adaptive-scheduler.executing.cooldown-after-rescaling=500ms",
                 "-Djobmanager.adaptive-scheduler.submission.resource-stabilization-timeout=500ms", *RETRY) as cluster:
        with Joined(cluster, "stays"), Joined(cluster, "leaves") as leaves:
            until("both TaskManagers", 10, lambda: cluster.get("/overview")["slots-total"] == 4)
            output = os.path.join(cluster.base, "out")
            job = submit(cluster, output, 4)
            wants(cluster, job, lambda: leaves.process.send_signal(signal.SIGKILL))
            cluster.finish(job, 120)
            check(output, YEARS)
            if not restored(cluster, job):
                raise Failure("the job began again instead of going on from a checkpoint")


def widths(cluster, job):
    return {v["parallelism"] for v in cluster.get(f"/jobs/{job}")["vertices"]}


def goes_on(cluster, job, leave):
    bounds = {v: {"parallelism": {"lowerBound": 1, "upperBound": 4}} for v in cluster.get(f"/jobs/{job}/resource-requirements")}
    cluster.post(f"/jobs/{job}/resource-requirements", bounds, "PUT")
    progressed(cluster, job)
    leave()
    latest = until("the job on half as many slots", 30, lambda: widths(cluster, job) == {2} and (
        found := cluster.get(f"/jobs/{job}/rescales/history")[0])["terminalState"] and found)
    if (latest["triggerCause"], latest["terminalState"]) != ("RECOVERABLE_FAILOVER", "COMPLETED"):
        raise Failure(latest)
    # Slots that come are taken, up to the upper bound.
    with Joined(cluster, "comes"):
        until("as wide as before", 30, lambda: widths(cluster, job) == {4})
        cluster.finish(job, 120)


def waits(cluster, job, leave):
    bounds = {v: {"parallelism": {"lowerBound": 3, "upperBound": 4}} for v in cluster.get(f"/jobs/{job}/resource-requirements")}
    cluster.post(f"/jobs/{job}/resource-requirements", bounds, "PUT")
    progressed(cluster, job)
    leave()
    # It keeps the slots it has. It has waited its whole time, longer than it waits for all its slots when fewer would do, and tries again.
    until("the end of the first wait", 30, lambda: "the job needs 2 slots, 0 are free" in str(cluster.get(f"/jobs/{job}/exceptions")))
    if cluster.state(job) != "RESTARTING" or widths(cluster, job) != {4}:
        raise Failure((cluster.state(job), widths(cluster, job)))
    with Joined(cluster, "comes"):
        until("the job to go on", 30, lambda: cluster.state(job) == "RUNNING")
        cluster.finish(job, 120)


def goes_on_with_fewer_slots_when_its_bounds_allow_it():
    a_task_manager_that_leaves_for_good(goes_on)


def waits_for_slots_when_there_are_fewer_than_its_lower_bound():
    a_task_manager_that_leaves_for_good(waits)


if __name__ == "__main__":
    main([rescaled_1_4_2_while_it_runs,
          bounds_are_kept_when_slots_come_and_go,
          rescalings_are_remembered_over_job_managers,
          goes_on_with_fewer_slots_when_its_bounds_allow_it,
          waits_for_slots_when_there_are_fewer_than_its_lower_bound])
