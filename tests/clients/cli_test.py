#!/usr/bin/env python3
"""The command lines of Flink 2.3 and of 1.12 against a live Drey: each verb does what its user expects."""
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from flink import CommandLine, start_flights  # noqa: E402
from cluster import Cluster, Failure, main, until  # noqa: E402


def running(cluster, job):
    until("the job to run with a checkpoint", 20, lambda: cluster.get(f"/jobs/{job}/checkpoints")["counts"]["completed"] > 0)


def wants(text, pattern):
    found = re.search(pattern, text)
    if not found:
        raise Failure(f"{pattern!r} is not in: {text[-1500:]}")
    return found


def list_and_cancel(release):
    with Cluster(f"cli-{release}-cancel") as cluster:
        flink = CommandLine(release, cluster)
        wants(flink("list"), "No running jobs")
        job = start_flights(cluster)
        running(cluster, job)
        wants(flink("list", "-r"), f"{job} : flights \\(RUNNING\\)")
        wants(flink("cancel", job), f"Cancelled job {job}")
        until("the end", 10, lambda: cluster.state(job) == "CANCELED")
        wants(flink("list", "-a"), f"{job} : flights \\(CANCELED\\)")
        wants(flink("cancel", "0" * 32, expect=1), "could not|Could not")


def savepoint_restore_and_dispose(release):
    with Cluster(f"cli-{release}-savepoint") as cluster:
        flink = CommandLine(release, cluster)
        job = start_flights(cluster)
        running(cluster, job)
        path = wants(flink("savepoint", job, os.path.join(cluster.base, "savepoints")), r"Savepoint completed. Path: (\S+)").group(1)
        directory = path.removeprefix("file:")
        if not os.path.exists(os.path.join(directory, "_metadata")):
            raise Failure(f"no savepoint at {path}")
        wants(flink("savepoint", "-d", path), "disposed")
        if os.path.exists(directory):
            raise Failure(f"{path} is still there")
        flink("cancel", job)


def stop_with_savepoint(release):
    for drain in ((), ("-d",)):
        with Cluster(f"cli-{release}-stop") as cluster:
            flink = CommandLine(release, cluster)
            job = start_flights(cluster)
            running(cluster, job)
            wants(flink("stop", "-p", os.path.join(cluster.base, "savepoints"), *drain, job), r"Savepoint completed. Path: (\S+)")
            until("the end", 10, lambda: cluster.state(job) == "FINISHED")


def list_and_cancel_of_2_3():
    list_and_cancel("2.3")


def list_and_cancel_of_1_12():
    list_and_cancel("1.12")


def savepoints_of_2_3():
    savepoint_restore_and_dispose("2.3")


def savepoints_of_1_12():
    savepoint_restore_and_dispose("1.12")


def stop_of_2_3():
    stop_with_savepoint("2.3")


def stop_of_1_12():
    stop_with_savepoint("1.12")


def checkpoint_of_2_3():
    with Cluster("cli-2.3-checkpoint") as cluster:
        flink = CommandLine("2.3", cluster)
        job = start_flights(cluster, "--checkpoint-interval", "1h")
        until("the job to run", 20, lambda: cluster.state(job) == "RUNNING")
        wants(flink("checkpoint", job), "Checkpoint completed|checkpointId|Checkpoint \\d+ for job")
        if cluster.get(f"/jobs/{job}/checkpoints")["counts"]["completed"] != 1:
            raise Failure("no checkpoint was taken")


if __name__ == "__main__":
    main([list_and_cancel_of_2_3, list_and_cancel_of_1_12, savepoints_of_2_3, savepoints_of_1_12, stop_of_2_3, stop_of_1_12, checkpoint_of_2_3])
