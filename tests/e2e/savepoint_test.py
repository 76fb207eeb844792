#!/usr/bin/env python3
"""Savepoints, stops and restores at other parallelisms of the flights job in real processes: always exact."""
import json
import os
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import flights_job  # noqa: E402
from cluster import DREY, FLIGHTS_JAR, Cluster, Failure, main, until  # noqa: E402
from flights_job import LEAP, RETRY, arguments, check, completed_checkpoints, progressed, restored  # noqa: E402

YEARS = 4
RATE = 150000


def submit(cluster, output, parallelism, *options, **body):
    """flights over some seconds, so that there is time for things to happen to it."""
    return flights_job.submit(cluster, output, "--years", YEARS, "--rate", RATE, "--checkpoint-interval", "500ms", *LEAP, *options,
                              parallelism=parallelism, **body)


def resume(cluster, output, parallelism, **body):
    """The same job, as fast as it can."""
    return flights_job.submit(cluster, output, "--years", YEARS, "--checkpoint-interval", "500ms", *LEAP, parallelism=parallelism, **body)


def savepoint(cluster, job, **body):
    body.setdefault("target-directory", os.path.join(cluster.base, "savepoints"))
    return cluster.result(f"/jobs/{job}/savepoints/" + cluster.post(f"/jobs/{job}/savepoints", body)["request-id"])


def stop(cluster, job, **body):
    body.setdefault("targetDirectory", os.path.join(cluster.base, "savepoints"))
    return cluster.result(f"/jobs/{job}/savepoints/" + cluster.post(f"/jobs/{job}/stop", body)["request-id"])


def directory_of(operation):
    if "location" not in operation:
        raise Failure(f"no savepoint: {operation.get('failure-cause', operation).get('stack-trace', operation)}")
    return operation["location"].removeprefix("file:")


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
                again = resume(cluster, output, parallelism, savepointPath=moved)
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
        again = resume(cluster, output, 3, savepointPath="file://" + path, claimMode="CLAIM")
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


def results_outlive_the_job_manager_and_known_ids_start_nothing():
    with Cluster("operations") as cluster:
        output = os.path.join(cluster.base, "out")
        job = submit(cluster, output, 2)
        progressed(cluster, job)
        mine = "0123456789ABCDEF0123456789abcdef"
        first = savepoint(cluster, job, triggerId=mine)
        if savepoint(cluster, job, triggerId=mine.lower(), **{"cancel-job": True}) != first or cluster.state(job) != "RUNNING":
            raise Failure("a known id has started something")
        checkpoint = cluster.post(f"/jobs/{job}/checkpoints", {"checkpointType": "FULL"})["request-id"]
        taken = cluster.result(f"/jobs/{job}/checkpoints/{checkpoint}")["checkpointId"]
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
        dispose = lambda p: cluster.result("/savepoint-disposal/" + cluster.post("/savepoint-disposal", {"savepoint-path": p})["request-id"])  # noqa: E731
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
    with Cluster("kill", *RETRY) as cluster:
        output = os.path.join(cluster.base, "out")
        job = submit(cluster, output, 2)
        progressed(cluster, job)
        target = os.path.join(cluster.base, "savepoints")
        for victim in ("taskmanager", "jobmanager"):
            trigger = cluster.post(f"/jobs/{job}/savepoints", {"target-directory": target})["request-id"]
            if victim == "taskmanager":
                os.kill(cluster.task_manager_pids()[0], signal.SIGKILL)
            else:
                cluster.kill()
                cluster.start()
            operation = cluster.result(f"/jobs/{job}/savepoints/{trigger}")
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
        again = json.loads(drey("run", "-d", "--json", "-p", "1", "-s", path, FLIGHTS_JAR,
                                *arguments(output, "--years", YEARS, "--rate", RATE, "--checkpoint-interval", "500ms", *LEAP)))["jobid"]
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
          results_outlive_the_job_manager_and_known_ids_start_nothing,
          killed_during_savepoints,
          the_command_line])
