#!/usr/bin/env python3
"""The flights job in real processes, against the independent program: at rest, and while processes are killed."""
import os
import signal
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, Failure, main, until  # noqa: E402
from flights_job import LEAP, RETRY, check, completed_checkpoints, expected, flip, progressed, restored, state_files, submit  # noqa: E402


def equals_the_independent_program_at_parallelism_1_2_4():
    with Cluster("parallelism") as cluster:
        for parallelism in (1, 2, 4):
            output = os.path.join(cluster.base, f"out{parallelism}")
            job = submit(cluster, output, parallelism=parallelism)
            cluster.finish(job, 60)
            check(output)
            late = {a["name"]: a["value"] for a in cluster.get(f"/jobs/{job}/accumulators")["user-task-accumulators"]}
            if late.get("lateRows", "0") != "0":
                raise Failure(f"lateRows is {late['lateRows']}")


def places(cluster, job):
    """The TaskManagers on which its subtasks are."""
    return {s["taskmanager-id"] for v in cluster.get(f"/jobs/{job}")["vertices"]
            for s in cluster.get(f"/jobs/{job}/vertices/{v['id']}")["subtasks"]}


def year_reached(output):
    """The last year that the committed departures have come to."""
    folder = os.path.join(output, "departures")
    years = [0]
    for name in os.listdir(folder) if os.path.isdir(folder) else []:
        if expected.PART.fullmatch(name):
            with open(os.path.join(folder, name), "rb") as f:
                f.seek(-min(100, os.path.getsize(f.name)), os.SEEK_END)
                lines = f.read().decode().splitlines()
            years += [int(line.split(",")[1][:4]) for line in lines[-1:]]
    return max(years)


def equals_it_over_fifty_years_when_the_task_manager_is_killed_again_and_again():
    with Cluster("kill-tm", "-Drestart-strategy.type=fixed-delay", "-Drestart-strategy.fixed-delay.attempts=100",
                 "-Drestart-strategy.fixed-delay.delay=100ms") as cluster:
        output = os.path.join(cluster.base, "out")
        years = 50
        job = submit(cluster, output, "--years", years, "--rate", "1000000", "--checkpoint-interval", "500ms", *LEAP, parallelism=2)
        went_on_from = 0
        kills = 5
        for kill in range(kills):
            year = 2013 + years * (kill + 1) // (kills + 1)
            until(f"output of {year}", 60, lambda: year_reached(output) >= year)
            if cluster.state(job) != "RUNNING":
                raise Failure(f"the job is {cluster.state(job)} before kill {kill + 1}")
            pid = cluster.task_manager_pids()[0]
            os.kill(pid, signal.SIGKILL)
            until("another TaskManager", 20, lambda: [p for p in cluster.task_manager_pids() if p != pid])
            until("another restart", 20, lambda: (r := restored(cluster, job)) and r["id"] > went_on_from)
            went_on_from = restored(cluster, job)["id"]
        cluster.finish(job, 120)
        check(output, years)
        history = cluster.get(f"/jobs/{job}/exceptions")["exceptionHistory"]["entries"]
        if len(history) < kills:
            raise Failure(f"{len(history)} failures in the exception history instead of {kills}")


def equals_it_on_two_task_managers_whichever_is_killed():
    with Cluster("two-tms", "-Dminicluster.number-of-taskmanagers=2", "-Dtaskmanager.numberOfTaskSlots=2", *RETRY) as cluster:
        until("two TaskManagers", 10, lambda: len(cluster.get("/taskmanagers")["taskmanagers"]) == 2)
        # More slots than one TaskManager has: the job lies on both, and rows go from one to the other.
        output = os.path.join(cluster.base, "quiet")
        job = submit(cluster, output, parallelism=4)
        cluster.finish(job, 60)
        check(output)
        output = os.path.join(cluster.base, "killed")
        years = 4
        job = submit(cluster, output, "--years", years, "--rate", "100000", "--checkpoint-interval", "500ms", *LEAP, parallelism=2)
        for kill in range(4):
            before = completed_checkpoints(cluster, job)
            until("two more checkpoints", 30, lambda: completed_checkpoints(cluster, job) >= before + 2)
            if kill == 0 and len(places(cluster, job)) != 2:
                raise Failure(f"the job is not balanced over two TaskManagers: {places(cluster, job)}")
            pids = cluster.task_manager_pids()
            os.kill(pids[kill % 2], signal.SIGKILL)
            until("another TaskManager", 20, lambda: len(set(cluster.task_manager_pids()) - set(pids)) == 1)
        cluster.finish(job, 120)
        check(output, years)
        if not restored(cluster, job):
            raise Failure("the job began again instead of going on from a checkpoint")


def equals_it_when_the_job_manager_is_killed_and_started_again():
    for task_managers in (1, 2):
        with Cluster(f"kill-jm-{task_managers}", f"-Dminicluster.number-of-taskmanagers={task_managers}", "-Dtaskmanager.numberOfTaskSlots=2") as cluster:
            until("all TaskManagers", 10, lambda: len(cluster.get("/taskmanagers")["taskmanagers"]) == task_managers)
            output = os.path.join(cluster.base, "out")
            years = 2
            job = submit(cluster, output, "--years", years, "--rate", "100000", "--checkpoint-interval", "500ms", *LEAP, parallelism=2)
            progressed(cluster, job)
            if len(places(cluster, job)) != task_managers:
                raise Failure(f"the job is not balanced over {task_managers} TaskManagers: {places(cluster, job)}")
            cluster.kill()
            cluster.start()
            if cluster.state(job) in ("FINISHED", "FAILED", "CANCELED"):
                raise Failure(f"the job does not resume: {cluster.state(job)}")
            cluster.finish(job, 120)
            check(output, years)
            if not restored(cluster, job):
                raise Failure("the job began again instead of going on from a checkpoint")


def falls_back_to_the_checkpoint_before_a_damaged_one_and_never_begins_anew():
    for newest_only in (True, False):
        with Cluster("damaged", "-Dexecution.checkpointing.num-retained=3", *RETRY) as cluster:
            output = os.path.join(cluster.base, "out")
            years = 2
            job = submit(cluster, output, "--years", years, "--rate", "120000", "--checkpoint-interval", "400ms", *LEAP, parallelism=2)
            progressed(cluster, job, 4)
            cluster.kill()
            for path in state_files(cluster, newest_only):
                flip(path, from_end=3)
            cluster.start()
            if newest_only:
                cluster.finish(job, 120)
                check(output, years)
                text = str(cluster.get(f"/jobs/{job}/exceptions"))
            else:
                until("the failure", 60, lambda: cluster.state(job) == "FAILED")
                text = str(cluster.get(f"/jobs/{job}/exceptions"))
                if "No complete checkpoint is left" not in text:
                    raise Failure(text[:500])
            if "damaged" not in text:
                raise Failure(f"the exceptions do not name the damage: {text[:500]}")


if __name__ == "__main__":
    main([equals_the_independent_program_at_parallelism_1_2_4,
          equals_it_over_fifty_years_when_the_task_manager_is_killed_again_and_again,
          equals_it_on_two_task_managers_whichever_is_killed,
          equals_it_when_the_job_manager_is_killed_and_started_again,
          falls_back_to_the_checkpoint_before_a_damaged_one_and_never_begins_anew])
