#!/usr/bin/env python3
"""A cluster from the outside: up, status, down, the directory, options, what user code may use, and what is left after an end."""
import os
import re
import shutil
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import DREY, FLIGHTS_JAR, ROOT, Cluster, Failure, folder, main, until  # noqa: E402
from flights_job import LEAP, arguments, check, progressed, restored, submit  # noqa: E402

PROGRAMS_JAR = os.path.join(os.path.dirname(FLIGHTS_JAR), "bad_programs.jar")


def expect(what, found, *words):
    for word in words:
        if word not in str(found):
            raise Failure(f"{what}: '{word}' is not in {str(found)[:2000]}")


def equal(what, found, wanted):
    if found != wanted:
        raise Failure(f"{what}: {found} instead of {wanted}")


def drey(*words, environment=None, seconds=60):
    return subprocess.run([DREY, *words], capture_output=True, text=True, timeout=seconds, env={**os.environ, **(environment or {})})


def processes_with(word):
    """Ids of the processes that have the word in their command line."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                if word.encode() in f.read() and int(pid) != os.getpid():
                    found.append(int(pid))
        except OSError:
            pass
    return found


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as f:
        return f.read()


def up_in_the_background_status_and_down():
    base = folder("background")
    directory = os.path.join(base, "cluster")
    started = drey("up", "--daemon", "--dir", directory, "-Drest.port=0")
    equal("up --daemon", started.returncode, 0)
    expect("up says", started.stdout, "Drey is up: http://localhost:", directory, os.path.join(directory, "log", "jobmanager.log"),
           f"drey down --dir {directory}")
    url = re.search(r"http://\S+", started.stdout).group()
    equal("the mode of the directory", os.stat(directory).st_mode & 0o777, 0o700)
    status = drey("status", "--dir", directory)
    equal("status", status.returncode, 0)
    expect("status says", status.stdout, url, '"taskmanagers":')
    second = drey("up", "--dir", directory)
    equal("a second up", second.returncode, 2)
    expect("a second up says", second.stderr, "in use by the drey with pid", read(directory, "lock").strip())
    equal("down", drey("down", "--dir", directory).returncode, 0)
    equal("processes left", processes_with(directory), [])
    equal("status after down", drey("status", "--dir", directory).returncode, 3)
    equal("down after down", drey("down", "--dir", directory).returncode, 3)
    # What goes wrong before the cluster is up is told to whoever started it.
    bad = drey("up", "--daemon", "--dir", directory, "-Drest.port=x")
    equal("a bad option", bad.returncode, 2)
    expect("a bad option", bad.stderr + bad.stdout, "rest.port", "a whole number", "command line")


def directories_of_others_and_of_newer_versions_are_refused():
    base = folder("directories")
    other = os.path.join(base, "other")
    os.makedirs(other)
    with open(os.path.join(other, "thesis.txt"), "w") as f:
        f.write("years of work")
    refused = drey("up", "--dir", other)
    equal("a directory with other things", refused.returncode, 2)
    expect("a directory with other things", refused.stderr, "not a cluster's", "thesis.txt")
    newer = os.path.join(base, "newer")
    os.makedirs(newer)
    with open(os.path.join(newer, "format"), "w") as f:
        f.write("99\n")
    refused = drey("up", "--dir", newer)
    equal("a newer format", refused.returncode, 2)
    expect("a newer format", refused.stderr, "newer drey", "format 99", newer)
    refused = drey("up", "--dir", "relative")
    equal("a relative directory", refused.returncode, 2)
    expect("a relative directory", refused.stderr, "absolute path", "relative")


def what_a_crash_left_is_removed_and_counted():
    with Cluster("orphans") as cluster:
        cluster.kill()
        leftovers = [os.path.join(cluster.directory, *p) for p in (("tmp", "upload"), ("tmp", "program-1.task"), ("log", "taskmanager-1-1.crash"))]
        for path in leftovers:
            open(path, "w").close()
        cluster.start()
        equal("left over", [p for p in leftovers if os.path.exists(p)], [])
        expect("up says", read(cluster.base, "up.log"), "removed    3 files that a crash had left")


def files_of_checkpoints_that_never_completed_go_when_the_job_resumes():
    with Cluster("orphan-state") as cluster:
        output = os.path.join(cluster.base, "out")
        job = submit(cluster, output, "--years", 2, "--rate", "150000", "--checkpoint-interval", "300ms", *LEAP, parallelism=2)
        progressed(cluster, job)
        cluster.kill()
        state = os.path.join(cluster.directory, "checkpoints", job)
        os.makedirs(os.path.join(state, "chk-9999"))
        leftovers = [os.path.join(state, *p) for p in (("chk-9999", "_metadata"), ("vertex-0-9999.state",))]
        for path in leftovers:
            open(path, "w").close()
        cluster.start()
        until("the removal", 10, lambda: not any(os.path.exists(p) for p in [os.path.join(state, "chk-9999"), *leftovers]))
        expect("the log", read(cluster.directory, "log", "jobmanager.log"), f"files of checkpoints of job {job} that a crash left incomplete")
        cluster.finish(job, 60)
        check(output, 2)


def task_managers_end_with_the_job_manager():
    with Cluster("children", "-Ddrey.taskmanagers=2") as cluster:
        until("two TaskManagers", 10, lambda: cluster.get("/overview")["taskmanagers"] == 2)
        children = cluster.task_manager_pids()
        equal("children", len(children), 2)
        for pid in children:
            with open(f"/proc/{pid}/cmdline") as f:
                equal("the program", f.read().split("\0")[0], os.path.realpath(DREY))
        cluster.kill()
        until("the end of the children", 10, lambda: not processes_with(cluster.directory))


def jobs_are_suspended_by_a_signal_and_resume():
    for number in (signal.SIGTERM, signal.SIGINT):
        with Cluster(f"suspend-{number.name}") as cluster:
            output = os.path.join(cluster.base, "out")
            job = submit(cluster, output, "--years", 2, "--rate", "150000", "--checkpoint-interval", "300ms", *LEAP, parallelism=2)
            progressed(cluster, job)
            cluster.process.send_signal(number)
            equal(f"the exit code after {number.name}", cluster.process.wait(20), 0)
            equal("processes left", processes_with(cluster.directory), [])
            cluster.start()
            cluster.finish(job, 60)
            if not restored(cluster, job):
                raise Failure("the job began again instead of going on from a checkpoint")
            check(output, 2)


def the_store_remembers_jobs_exceptions_checkpoints_and_jars():
    with Cluster("store", "-Drestart-strategy.type=none") as cluster:
        done = submit(cluster, os.path.join(cluster.base, "out"), parallelism=2)
        cluster.finish(done, 60)
        jar = cluster.upload(PROGRAMS_JAR)
        _, answer = cluster.run(jar, [], entryClass="fails")
        failed = answer["jobid"]
        until("the failure", 30, lambda: cluster.state(failed) == "FAILED")
        cancelled = submit(cluster, os.path.join(cluster.base, "out2"), "--rate", "1000", parallelism=2)
        until("the third job", 30, lambda: cluster.state(cancelled) == "RUNNING")
        cluster.call("PATCH", f"/jobs/{cancelled}?mode=cancel")
        until("the cancellation", 30, lambda: cluster.state(cancelled) == "CANCELED")
        paths = ["/jars", "/jobs/overview"] + [f"/jobs/{job}{part}" for job in (done, failed, cancelled) for part in ("", "/exceptions", "/checkpoints", "/accumulators")]

        def answers():
            # Times since the start of something that has ended do not move; "now" does.
            found = {path: cluster.get(path) for path in paths}
            for answer in found.values():
                if isinstance(answer, dict):
                    answer.pop("now", None)
                    answer.pop("address", None)  # of the REST API: another port
            return found

        before = answers()
        expect("the failure", before[f"/jobs/{failed}/exceptions"], "row fifty thousand")
        if before[f"/jobs/{done}/checkpoints"]["counts"]["completed"] < 1:
            raise Failure("no checkpoint to remember")
        cluster.kill()
        cluster.start()
        after = answers()
        for path in paths:
            equal(path, after[path], before[path])


def options_have_an_origin_and_the_command_line_comes_first():
    base = folder("origins")
    path = os.path.join(base, "config.yaml")
    with open(path, "w") as f:
        f.write("rest:\n  port: 1\nheartbeat.timeout: 7 s\nslot.request.timeout: 8 s\nsome.password: hunter2\n")
    shown = drey("config", "--config", path, "-Drest.port=3", environment={"DREY_PROPERTIES": "rest.port=2\nheartbeat.timeout=9 s\n"})
    equal("config", shown.returncode, 0)
    expect("config", shown.stdout, "rest.port = 3  (command line)\n", "heartbeat.timeout = 9 s  (environment)\n",
           f"slot.request.timeout = 8 s  ({path})\n", "parallelism.default = 1  (default)\n", "some.password = ******")
    with Cluster("origins-up", "--config", path) as cluster:
        log = read(cluster.directory, "log", "jobmanager.log")
        expect("the log", log, "Option rest.port = 0 (command line)", f"Option heartbeat.timeout = 7 s ({path})", "Option some.password = ******")
        if "hunter2" in log or "hunter2" in str(cluster.get("/jobmanager/config")):
            raise Failure("a password is shown")
    missing = drey("up", "--dir", os.path.join(base, "x"), "--config", path + "x")
    equal("a missing file", missing.returncode, 2)
    expect("a missing file", missing.stderr, path + "x")


def an_option_is_the_same_by_its_old_name():
    base = folder("old-names-savepoints")
    with Cluster("old-names", "-Dstate.checkpoints.num-retained=3", f"-Dstate.savepoints.dir=file://{base}",
                 "-Dexecution.checkpointing.interval=100ms", "-Drestart-strategy=none") as cluster:
        expect("the configuration", cluster.get("/jobmanager/config"), "execution.checkpointing.num-retained")

        def kept(job):
            return len([name for name in os.listdir(os.path.join(cluster.directory, "checkpoints", job)) if name.startswith("chk-")])

        for body, wanted in (({}, 3), ({"flinkConfiguration": {"state.checkpoints.num-retained": "2"}}, 2),
                             ({"flinkConfiguration": {"execution.checkpointing.num-retained": "5"}}, 5)):
            job = submit(cluster, os.path.join(cluster.base, f"out{wanted}"), "--rate", "2000", "--checkpoint-interval", "100ms", **body)
            progressed(cluster, job, 8)
            until(f"{wanted} checkpoints kept with {body}", 10, lambda: kept(job) == wanted)
            taken = cluster.post(f"/jobs/{job}/savepoints", {})["request-id"]
            location = cluster.result(f"/jobs/{job}/savepoints/{taken}")["location"]
            expect("the savepoint", location, base)
            cluster.call("PATCH", f"/jobs/{job}?mode=cancel")
            until("the cancellation", 20, lambda: cluster.state(job) == "CANCELED")


def a_savepoint_without_a_place_goes_where_its_job_says():
    base = folder("savepoints-of-a-job")
    with Cluster("no-savepoint-directory") as cluster:
        job = submit(cluster, os.path.join(cluster.base, "out"), "--rate", "2000",
                     flinkConfiguration={"state.savepoints.dir": base})
        progressed(cluster, job, 1)
        taken = cluster.post(f"/jobs/{job}/savepoints", {})["request-id"]
        expect("the savepoint", cluster.result(f"/jobs/{job}/savepoints/{taken}")["location"], base)
        other = submit(cluster, os.path.join(cluster.base, "out2"), "--rate", "2000")
        progressed(cluster, other, 1)
        status, refused = cluster.call("POST", f"/jobs/{other}/stop", b"{}", {"Content-Type": "application/json"})
        equal("without a place", status, 400)
        expect("without a place", refused, "Config key [execution.checkpointing.savepoint-dir] is not set. Property [targetDirectory] must be provided.")


def the_reference_of_options_is_fresh():
    page = drey("config", "--reference").stdout
    if page != read(ROOT, "docs", "reference", "configuration.md"):
        raise Failure("run `build/release/bin/drey config --reference > docs/reference/configuration.md`")


def the_reference_of_operators_is_fresh():
    page = drey("operators", "--reference").stdout
    if page != read(ROOT, "docs", "reference", "operators.md"):
        raise Failure("run `build/release/bin/drey operators --reference > docs/reference/operators.md`")


def the_reference_of_metrics_is_fresh():
    page = drey("metrics", "--reference").stdout
    if page != read(ROOT, "docs", "reference", "metrics.md"):
        raise Failure("run `build/release/bin/drey metrics --reference > docs/reference/metrics.md`")


def a_job_manager_alone_and_task_managers_that_join_it():
    base = folder("roles")
    directory = os.path.join(base, "cluster")
    started = drey("jobmanager", "--daemon", "--dir", directory, "-Drest.port=0", "-Ddrey.cluster.secret=of ours")
    try:
        equal("jobmanager", started.returncode, 0)
        url = re.search(r"http://\S+", started.stdout).group()
        rpc = re.search(r"--job-manager (\S+)", started.stdout).group(1)
        equal("the secret", read(directory, "secret"), "of ours")
        joined = [subprocess.Popen([DREY, "taskmanager", "--id", f"tm-{i}", "--job-manager", rpc, "--slots", "2"], env={**os.environ, "DREY_SECRET": "of ours"})
                  for i in range(2)]
        try:
            until("both TaskManagers", 10, lambda: '"taskmanagers":2,"slots-total":4' in drey("status", "--dir", directory).stdout)
            output = os.path.join(base, "out")
            ran = drey("run", "-m", url.removeprefix("http://"), "-p", "2", FLIGHTS_JAR, *arguments(output))
            equal("run", (ran.returncode, ran.stderr), (0, ""))
            check(output, 1)
        finally:
            for process in joined:
                process.terminate()
            equal("the TaskManagers' exit codes", [process.wait(20) for process in joined], [0, 0])
    finally:
        drey("down", "--dir", directory)


def a_task_manager_refuses_numbers_that_are_none():
    slots = "Option taskmanager.numberOfTaskSlots must be"
    for words, problem in ((["--job-manager", "localhost"], "HOST:PORT"), (["--job-manager", "localhost:2026-11-27"], "HOST:PORT: value=localhost:2026-11-27"),
                           (["--job-manager", "localhost:70000"], "HOST:PORT"), (["--job-manager", "localhost:1", "--slots", "two"], f"{slots} a whole number: value=two"),
                           (["--job-manager", "localhost:1", "--slots", "0"], f"{slots} within 1..100000: value=0"),
                           (["--job-manager", "localhost:1", "-Dtaskmanager.memory.managed.size=lots"], "taskmanager.memory.managed.size must be a size like 512m: value=lots")):
        refused = drey("taskmanager", "--id", "x", *words)
        equal(str(words), refused.returncode, 2)
        expect(str(words), refused.stderr, problem)


def run_waits_detaches_and_tells_by_its_exit_code():
    with Cluster("run", "-Drestart-strategy.type=none", "-Dminicluster.number-of-taskmanagers=2") as cluster:
        target = ["-m", cluster.url.removeprefix("http://")]
        job_arguments = arguments(os.path.join(cluster.base, "out"))
        ran = drey("run", *target, FLIGHTS_JAR, *job_arguments)
        equal("FINISHED", ran.returncode, 0)
        expect("FINISHED", ran.stdout, "Job has been submitted with JobID ", "RUNNING", "rows/s  watermark ", "checkpoints", "is FINISHED")
        failed = drey("run", *target, "-c", "talks", PROGRAMS_JAR)
        equal("FAILED", failed.returncode, 1)
        expect("FAILED", failed.stdout + failed.stderr, "is FAILED", "enough said")
        named = re.findall(r"log/(taskmanager-\d+\.out) and \.log", failed.stderr)
        equal("files that are named", len(named), 1)
        expect("what user code prints", read(cluster.directory, "log", named[0]), "what user code prints", "what user code complains of")
        detached = drey("run", *target, "-d", FLIGHTS_JAR, *job_arguments, "--rate", "1000")
        equal("-d", detached.returncode, 0)
        job = re.findall(r"[0-9a-f]{32}", detached.stdout)[0]
        expect("-d", detached.stdout, f"Job has been submitted with JobID {job}\n")
        equal("cancel", drey("cancel", *target, job).returncode, 0)
        until("the cancellation", 20, lambda: cluster.state(job) == "CANCELED")
        warned = drey("run", *target, "-d", "-Dparallelism.defalt=2", "-Drest.port=1", FLIGHTS_JAR, *job_arguments)
        equal("options without effect", warned.returncode, 0)
        expect("options without effect", warned.stderr, "unknown option parallelism.defalt", "did you mean parallelism.default?",
               "option rest.port has no effect: it is the cluster's")
        equal("usage", drey("run", *target).returncode, 2)
        equal("usage", drey("run", "--bogus").returncode, 2)
    equal("no cluster", drey("run", *target, FLIGHTS_JAR).returncode, 3)


def cancellation_ends_the_process_when_user_code_does_not_let_go():
    with Cluster("holds", "-Dtask.cancellation.timeout=500ms") as cluster:
        _, answer = cluster.run(cluster.upload(PROGRAMS_JAR), [], entryClass="holds")
        job = answer["jobid"]
        out = os.path.join(cluster.directory, "log", "taskmanager-1.out")
        until("the program's word", 20, lambda: os.path.exists(out) and "holds on" in read(out))
        pid = cluster.task_manager_pids()[0]
        cluster.call("PATCH", f"/jobs/{job}?mode=cancel")
        until("the cancellation", 20, lambda: cluster.state(job) == "CANCELED")
        until("another TaskManager", 20, lambda: cluster.get("/overview")["slots-available"] == 4)
        if pid in cluster.task_manager_pids():
            raise Failure("the TaskManager is still the same")
        expect("the log", read(cluster.directory, "log", "taskmanager-1.log"), "does not stop: user code has not returned for 500 ms")


def state_beyond_its_memory_fails_the_job_by_operator_bytes_and_option():
    with Cluster("hoards", "-Dtaskmanager.memory.managed.size=32m", "-Drestart-strategy.type=none") as cluster:
        _, answer = cluster.run(cluster.upload(PROGRAMS_JAR), [], entryClass="hoards")
        job = answer["jobid"]
        pid = cluster.task_manager_pids()[0]
        until("the failure", 60, lambda: cluster.state(job) == "FAILED")
        expect("the failure", cluster.get(f"/jobs/{job}/exceptions"), "State has outgrown its managed memory", "hoard", "state 'seen'", "bytes",
               "taskmanager.memory.managed.size")
        equal("the TaskManager", cluster.task_manager_pids(), [pid])
        equal("slots", cluster.get("/overview")["slots-available"], 4)


if __name__ == "__main__":
    main([up_in_the_background_status_and_down,
          directories_of_others_and_of_newer_versions_are_refused,
          what_a_crash_left_is_removed_and_counted,
          files_of_checkpoints_that_never_completed_go_when_the_job_resumes,
          task_managers_end_with_the_job_manager,
          jobs_are_suspended_by_a_signal_and_resume,
          the_store_remembers_jobs_exceptions_checkpoints_and_jars,
          options_have_an_origin_and_the_command_line_comes_first,
          an_option_is_the_same_by_its_old_name,
          a_savepoint_without_a_place_goes_where_its_job_says,
          the_reference_of_options_is_fresh, the_reference_of_metrics_is_fresh, the_reference_of_operators_is_fresh,
          a_job_manager_alone_and_task_managers_that_join_it,
          a_task_manager_refuses_numbers_that_are_none,
          run_waits_detaches_and_tells_by_its_exit_code,
          cancellation_ends_the_process_when_user_code_does_not_let_go,
          state_beyond_its_memory_fails_the_job_by_operator_bytes_and_option])
