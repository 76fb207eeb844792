#!/usr/bin/env python3
"""Savepoints, stops, restores at other parallelisms and rescaling of the flights job in real processes: always exact."""
import json
import os
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import DREY, FLIGHTS_JAR, Cluster, Failure, main, until  # noqa: E402
from flights_test import AIRLINES, INPUT, LEAP, check, completed_checkpoints, restored  # noqa: E402

YEARS = 4
RATE = "150000"


def submit(cluster, output, parallelism, **body):
    """flights over some seconds, so that there is time for things to happen to it."""
    jar = cluster.upload(FLIGHTS_JAR)
    arguments = ["--input", INPUT, "--airlines", AIRLINES, "--output", output, "--years", YEARS, "--rate", RATE,
                 "--checkpoint-interval", "500ms", *LEAP]
    status, answer = cluster.run(jar, arguments, parallelism=parallelism, **body)
    if status != 200:
        raise Failure(f"run: {status} {answer}")
    return answer["jobid"]


def post(cluster, path, body, method="POST"):
    status, answer = cluster.call(method, path, json.dumps(body).encode() if body is not None else None, {"Content-Type": "application/json"})
    if status not in (200, 202):
        raise Failure(f"{method} {path}: {status} {answer}")
    return answer


def result(cluster, path, seconds=60):
    """The operation's result when it has come."""
    return until(f"the end of {path}", seconds, lambda: (a := cluster.get(path))["status"]["id"] == "COMPLETED" and a)["operation"]


def savepoint(cluster, job, **body):
    body.setdefault("target-directory", os.path.join(cluster.base, "savepoints"))
    return result(cluster, f"/jobs/{job}/savepoints/" + post(cluster, f"/jobs/{job}/savepoints", body)["request-id"])


def stop(cluster, job, **body):
    body.setdefault("targetDirectory", os.path.join(cluster.base, "savepoints"))
    return result(cluster, f"/jobs/{job}/savepoints/" + post(cluster, f"/jobs/{job}/stop", body)["request-id"])


def directory_of(operation):
    if "location" not in operation:
        raise Failure(f"no savepoint: {operation.get('failure-cause', operation).get('stack-trace', operation)}")
    return operation["location"].removeprefix("file:")


def progressed(cluster, job, checkpoints=2):
    until("some checkpoints", 30, lambda: completed_checkpoints(cluster, job) >= checkpoints)


def outputs_of(*directories, into):
    """What several jobs wrote one after another, as one output."""
    for directory in directories:
        for name in os.listdir(directory):
            os.makedirs(os.path.join(into, name), exist_ok=True)
            for part in os.listdir(os.path.join(directory, name)):
                if not part.startswith("."):
                    shutil.copy(os.path.join(directory, name, part), os.path.join(into, name, part))


def stopped_at_2_and_resumed_at_1_2_3_and_4_from_a_moved_directory():
    for form in ("CANONICAL", "NATIVE"):
        with Cluster(f"stop-{form.lower()}") as cluster:
            first = os.path.join(cluster.base, "first")
            job = submit(cluster, first, 2)
            progressed(cluster, job)
            path = directory_of(stop(cluster, job, formatType=form))
            if cluster.state(job) != "FINISHED":
                raise Failure(f"the job is {cluster.state(job)}")
            moved = os.path.join(cluster.base, "elsewhere")
            shutil.move(path, moved)
            shutil.copytree(moved, moved + "-again")
            for parallelism in (1, 2, 3, 4):
                output = os.path.join(cluster.base, f"out{parallelism}")
                if parallelism == 4:
                    shutil.rmtree(moved)
                    moved += "-again"
                os.makedirs(output)
                outputs_of(first, into=output)
                again = submit(cluster, output, parallelism, savepointPath=moved)
                cluster.finish(again, 120)
                check(output, YEARS)
                if not restored(cluster, again)["is_savepoint"]:
                    raise Failure("the job does not say that it was restored from a savepoint")


def a_drained_job_has_written_everything_up_to_where_it_stopped():
    with Cluster("drain") as cluster:
        output = os.path.join(cluster.base, "out")
        job = submit(cluster, output, 2)
        progressed(cluster, job)
        directory_of(stop(cluster, job, drain=True))
        if cluster.state(job) != "FINISHED":
            raise Failure(f"the job is {cluster.state(job)}")
        details = cluster.get(f"/jobs/{job}")
        written = sum(v["metrics"]["read-records"] for v in details["vertices"] if "departures" in v["name"].lower())
        names = [n for n in os.listdir(os.path.join(output, "departures"))]
        if any(n.startswith(".") for n in names) or not names:
            raise Failure(f"not committed: {names}, {written}")
        latest = cluster.get(f"/jobs/{job}/checkpoints")["latest"]["savepoint"]
        if latest["checkpoint_type"] != "SYNC_SAVEPOINT":
            raise Failure(latest)


def cancelled_with_a_savepoint_and_resumed():
    with Cluster("cancel") as cluster:
        output = os.path.join(cluster.base, "out")
        job = submit(cluster, output, 2)
        progressed(cluster, job)
        path = directory_of(savepoint(cluster, job, **{"cancel-job": True}))
        until("the end", 10, lambda: cluster.state(job) == "CANCELED")
        again = submit(cluster, output, 3, savepointPath="file://" + path, claimMode="CLAIM")
        cluster.finish(again, 120)
        check(output, YEARS)
        until("the claimed savepoint to go", 10, lambda: not os.path.exists(path))


def a_savepoint_that_cannot_be_written_lets_the_job_go_on():
    with Cluster("unwritable") as cluster:
        output = os.path.join(cluster.base, "out")
        job = submit(cluster, output, 2)
        progressed(cluster, job)
        for operation in (stop(cluster, job, targetDirectory="/proc/none"), stop(cluster, job, targetDirectory="zz://nowhere/x"),
                          savepoint(cluster, job, **{"target-directory": "/proc/none", "cancel-job": True})):
            if "failure-cause" not in operation or "CheckpointException" not in operation["failure-cause"]["stack-trace"]:
                raise Failure(operation)
        if cluster.state(job) != "RUNNING":
            raise Failure(cluster.state(job))
        cluster.finish(job, 120)
        check(output, YEARS)


def rescaled_1_4_2_while_it_runs():
    with Cluster("rescale") as cluster:
        output = os.path.join(cluster.base, "out")
        job = submit(cluster, output, 1)
        for parallelism in (4, 2):
            before = completed_checkpoints(cluster, job)
            until("a checkpoint", 30, lambda: completed_checkpoints(cluster, job) > before)
            trigger = post(cluster, f"/jobs/{job}/rescaling?parallelism={parallelism}", None, "PATCH")["request-id"]
            operation = result(cluster, f"/jobs/{job}/rescaling/{trigger}")
            if operation:
                raise Failure(operation)
            if {v["parallelism"] for v in cluster.get(f"/jobs/{job}")["vertices"]} != {parallelism}:
                raise Failure(cluster.get(f"/jobs/{job}")["vertices"])
        cluster.finish(job, 120)
        check(output, YEARS)


def bounds_are_kept_when_slots_come_and_go():
    with Cluster("bounds", "-Djobmanager.adaptive-scheduler.executing.cooldown-after-rescaling=500ms",
                 "-Djobmanager.adaptive-scheduler.submission.resource-stabilization-timeout=500ms", "-Drestart-strategy.type=fixed-delay",
                 "-Drestart-strategy.fixed-delay.attempts=100", "-Drestart-strategy.fixed-delay.delay=100ms") as cluster:
        output = os.path.join(cluster.base, "out")
        job = submit(cluster, output, 1)
        progressed(cluster, job, 1)
        path = f"/jobs/{job}/resource-requirements"
        bounds = cluster.get(path)
        if {b["parallelism"]["lowerBound"] for b in bounds.values()} != {1}:
            raise Failure(bounds)
        post(cluster, path, {v: {"parallelism": {"lowerBound": 1, "upperBound": 8}} for v in bounds}, "PUT")
        width = lambda: {v["parallelism"] for v in cluster.get(f"/jobs/{job}")["vertices"]}  # noqa: E731
        until("as wide as there are slots", 30, lambda: width() == {4})
        if cluster.get(path) != {v: {"parallelism": {"lowerBound": 1, "upperBound": 8}} for v in bounds}:
            raise Failure(cluster.get(path))
        status, answer = cluster.call("PUT", path, json.dumps({"0" * 32: {"parallelism": {"lowerBound": 0, "upperBound": 1}}}).encode())
        if status != 400 or "was not found in the JobGraph." not in str(answer) or "is incomplete" not in str(answer):
            raise Failure((status, answer))
        post(cluster, path, {v: {"parallelism": {"lowerBound": 1, "upperBound": 2}} for v in bounds}, "PUT")
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
        trigger = post(cluster, f"/jobs/{job}/rescaling?parallelism=3", None, "PATCH")["request-id"]
        equal("rescaling", result(cluster, f"/jobs/{job}/rescaling/{trigger}"), {})
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
        post(cluster, path, bounds, "PUT")
        until("the next one", 30, lambda: brief() == [asked, asked, initial])
        post(cluster, path, bounds, "PUT")
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


def results_outlive_the_job_manager_and_known_ids_start_nothing():
    with Cluster("operations") as cluster:
        output = os.path.join(cluster.base, "out")
        job = submit(cluster, output, 2)
        progressed(cluster, job)
        mine = "0123456789ABCDEF0123456789abcdef"
        first = savepoint(cluster, job, triggerId=mine)
        if savepoint(cluster, job, triggerId=mine.lower(), **{"cancel-job": True}) != first or cluster.state(job) != "RUNNING":
            raise Failure("a known id has started something")
        checkpoint = post(cluster, f"/jobs/{job}/checkpoints", {"checkpointType": "FULL"})["request-id"]
        taken = result(cluster, f"/jobs/{job}/checkpoints/{checkpoint}")["checkpointId"]
        cluster.kill()
        cluster.start()
        if cluster.get(f"/jobs/{job}/savepoints/{mine}")["operation"] != first:
            raise Failure("the savepoint's result is lost")
        if cluster.get(f"/jobs/{job}/checkpoints/{checkpoint}")["operation"] != {"checkpointId": taken}:
            raise Failure("the checkpoint's result is lost")
        status, answer = cluster.call("GET", f"/jobs/{'0' * 32}/savepoints/{mine}")
        if status != 404 or "There is no savepoint operation with triggerId" not in str(answer):
            raise Failure((status, answer))
        # Disposal removes exactly its files, and only of a savepoint.
        path = directory_of(first)
        stranger = os.path.join(path, "mine.txt")
        open(stranger, "w").close()
        dispose = lambda p: result(cluster, "/savepoint-disposal/" + post(cluster, "/savepoint-disposal", {"savepoint-path": p})["request-id"])  # noqa: E731
        if dispose("file://" + path) or os.listdir(path) != ["mine.txt"]:
            raise Failure(os.listdir(path))
        for wrong in (path, cluster.base, "x/y", "zz://x", ""):
            if "failure-cause" not in dispose(wrong):
                raise Failure(f"{wrong} was disposed of")
        if not os.path.exists(stranger):
            raise Failure("disposal deletes what is not its own")
        cluster.finish(job, 120)
        check(output, YEARS)


def killed_during_savepoints():
    with Cluster("kill", "-Drestart-strategy.type=fixed-delay", "-Drestart-strategy.fixed-delay.attempts=100",
                 "-Drestart-strategy.fixed-delay.delay=100ms") as cluster:
        output = os.path.join(cluster.base, "out")
        job = submit(cluster, output, 2)
        progressed(cluster, job)
        target = os.path.join(cluster.base, "savepoints")
        for victim in ("taskmanager", "jobmanager"):
            trigger = post(cluster, f"/jobs/{job}/savepoints", {"target-directory": target})["request-id"]
            if victim == "taskmanager":
                os.kill(cluster.task_manager_pids()[0], signal.SIGKILL)
            else:
                cluster.kill()
                cluster.start()
            operation = result(cluster, f"/jobs/{job}/savepoints/{trigger}")
            if "location" in operation and not os.path.exists(os.path.join(directory_of(operation), "_metadata")):
                raise Failure(f"the result names a savepoint that is not there: {operation}")
            before = completed_checkpoints(cluster, job)
            until("the job to go on", 30, lambda: completed_checkpoints(cluster, job) > before)
        cluster.finish(job, 120)
        check(output, YEARS)


def the_command_line():
    with Cluster("command-line") as cluster:
        def drey(*words, expect=0):
            done = subprocess.run([DREY, words[0], "-m", cluster.url.removeprefix("http://"), *words[1:]], capture_output=True, text=True, timeout=120)
            if done.returncode != expect:
                raise Failure(f"drey {' '.join(words)}: {done.returncode} {done.stdout} {done.stderr}")
            return done.stdout + done.stderr

        output = os.path.join(cluster.base, "out")
        target = os.path.join(cluster.base, "savepoints")
        job = submit(cluster, output, 2)
        progressed(cluster, job, 1)
        path = json.loads(drey("savepoint", "--json", job, target))["location"]
        if "disposed" not in drey("savepoint", "-d", path) or "Could not dispose" not in drey("savepoint", "-d", path, expect=1):
            raise Failure("disposal")
        if "Checkpoint " not in drey("checkpoint", "--full", job) or "parallelism 3" not in drey("rescale", job, "3"):
            raise Failure("checkpoint or rescale")
        drey("rescale", job, "1000", expect=1)
        drey("savepoint", "-t", "zz", job, expect=2)
        path = drey("stop", "-p", target, job).split("Path: file:")[1].strip()
        again = json.loads(drey("run", "-d", "--json", "-p", "1", "-s", path, FLIGHTS_JAR, "--input", INPUT, "--airlines", AIRLINES, "--output", output,
                                "--years", str(YEARS), "--rate", RATE, "--checkpoint-interval", "500ms", *LEAP))["jobid"]
        progressed(cluster, again, 1)
        if "Cancelled job" not in drey("cancel", "-s", target, again):
            raise Failure("cancel -s")
        for verb in ("savepoint", "stop", "checkpoint", "rescale", "cancel"):
            if "example" not in drey(verb, "--help"):
                raise Failure(verb)


if __name__ == "__main__":
    main([stopped_at_2_and_resumed_at_1_2_3_and_4_from_a_moved_directory,
          a_drained_job_has_written_everything_up_to_where_it_stopped,
          cancelled_with_a_savepoint_and_resumed,
          a_savepoint_that_cannot_be_written_lets_the_job_go_on,
          rescaled_1_4_2_while_it_runs,
          bounds_are_kept_when_slots_come_and_go,
          rescalings_are_remembered_over_job_managers,
          results_outlive_the_job_manager_and_known_ids_start_nothing,
          killed_during_savepoints,
          the_command_line])
