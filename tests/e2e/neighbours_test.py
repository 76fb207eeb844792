#!/usr/bin/env python3
"""Jobs beside others that misbehave or write to the same place: nobody loses a row, nobody waits."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import FLIGHTS_JAR, Cluster, Failure, main, until  # noqa: E402

PROGRAMS_JAR = os.path.join(os.path.dirname(FLIGHTS_JAR), "bad_programs.jar")
CHECKPOINTS = {"execution.checkpointing.interval": "100 ms"}


def start(cluster, jar, entry, arguments, **body):
    status, answer = cluster.run(jar, arguments, entryClass=entry, **body)
    if status != 200:
        raise Failure(answer)
    return answer["jobid"]


def numbers(directory):
    """What visible files hold, sorted."""
    found = []
    for name in os.listdir(directory):
        if not name.startswith("."):
            with open(os.path.join(directory, name), encoding="utf-8") as f:
                found += [int(line) for line in f if line.strip().isdigit()]
    return sorted(found)


def expect_rows(directory, wanted):
    found = numbers(directory)
    if found != sorted(wanted):
        raise Failure(f"{len(found)} rows, {len(set(found))} different ones, instead of {len(wanted)}")


def completed(cluster, job):
    return cluster.get(f"/jobs/{job}/checkpoints")["counts"]["completed"]


def cancel(cluster, job, seconds):
    cluster.call("PATCH", f"/jobs/{job}?mode=cancel")
    until(f"the cancellation of {job}", seconds, lambda: cluster.state(job) == "CANCELED")


def two_sinks_of_a_job_share_a_directory():
    with Cluster("two_sinks") as cluster:
        jar = cluster.upload(PROGRAMS_JAR)
        out = os.path.join(cluster.base, "out")
        for parallelism in (1, 2):
            cluster.finish(start(cluster, jar, "writes_twice", ["--output", out], parallelism=parallelism), 60)
            expect_rows(out, list(range(100_000)) * parallelism)


def two_jobs_whose_ids_begin_alike_share_a_directory():
    with Cluster("alike") as cluster:
        jar = cluster.upload(PROGRAMS_JAR)
        out = os.path.join(cluster.base, "out")
        jobs = [start(cluster, jar, "writes", ["--rows", 2000, "--rate", 2000, "--base", base, "--output", out], jobId=job,
                      flinkConfiguration=CHECKPOINTS)
                for job, base in (("00000000aaaaaaaa0000000000000001", 0), ("00000000bbbbbbbb0000000000000002", 100_000))]
        for job in jobs:
            cluster.finish(job, 60)
        expect_rows(out, list(range(2000)) + list(range(100_000, 102_000)))


def nobody_waits_for_a_slow_main():
    with Cluster("slow_main") as cluster:
        jar = cluster.upload(PROGRAMS_JAR)
        beside = start(cluster, jar, "writes", ["--rows", 1_000_000, "--rate", 1000, "--output", os.path.join(cluster.base, "out")],
                       flinkConfiguration=CHECKPOINTS)
        until("a checkpoint", 30, lambda: completed(cluster, beside) > 0)
        slow = start(cluster, jar, "slow_main", ["--seconds", 8])  # its plan has taken 8 s; the TaskManager begins
        before = completed(cluster, beside)
        until("checkpoints beside a slow main", 4, lambda: completed(cluster, beside) > before + 5)
        cancel(cluster, beside, 3)
        if cluster.state(slow) != "RUNNING" or cluster.get(f"/jobs/{slow}")["status-counts"]["RUNNING"] != 0:
            raise Failure("the main has returned too early for this test to tell")
        cluster.finish(slow, 60)


def nobody_waits_for_code_that_sleeps():
    with Cluster("sleeps", "-Dtaskmanager.numberOfTaskSlots=12") as cluster:
        jar = cluster.upload(PROGRAMS_JAR)
        for entry in (1, 2):  # more of them than there are workers
            start(cluster, jar, "sleeps", ["--seconds", 20], parallelism=4)
        beside = start(cluster, jar, "writes", ["--rows", 1_000_000, "--rate", 1000, "--output", os.path.join(cluster.base, "out")],
                       flinkConfiguration=CHECKPOINTS)
        until("a checkpoint", 8, lambda: completed(cluster, beside) > 5)
        cancel(cluster, beside, 3)


if __name__ == "__main__":
    main([two_sinks_of_a_job_share_a_directory,
          two_jobs_whose_ids_begin_alike_share_a_directory,
          nobody_waits_for_a_slow_main,
          nobody_waits_for_code_that_sleeps])
