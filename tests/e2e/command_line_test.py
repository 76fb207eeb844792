#!/usr/bin/env python3
"""The commands of a client: what they show, what they say when something is wrong, and their exit codes."""
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import DREY, FLIGHTS_JAR, Cluster, Failure, folder, main, until  # noqa: E402
from flights_job import arguments  # noqa: E402

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


def each_command_has_its_own_help():
    seen = set()
    for command in ("run", "list", "info", "jars", "exceptions", "cancel", "stop", "savepoint", "checkpoint", "rescale"):
        done = drey(command, "--help")
        equal(command, (done.returncode, done.stderr), (0, ""))
        expect(command, done.stdout, f"drey {command}", "example")
        seen.add(done.stdout)
    equal("texts", len(seen), 10)
    for command in ("run", "info", "exceptions"):
        done = drey(command)
        equal(f"{command} alone", (done.returncode, done.stdout), (2, ""))
        expect(f"{command} alone", done.stderr, f"drey {command} ")
    unknown = drey("lst\x1b[31m")
    equal("an unknown command", unknown.returncode, 2)
    expect("an unknown command", unknown.stderr, r"unknown command 'lst\x1b[31m'")


def lists_show_what_the_flags_say_and_names_escaped():
    with Cluster("lists") as cluster:
        target = ["-m", cluster.url.removeprefix("http://")]
        name = "red\x1b[31m\nand \x07\u009b31m \u00e9"
        slow = drey("run", *target, "-d", f"-Dpipeline.name={name}", FLIGHTS_JAR, *arguments(os.path.join(cluster.base, "out")), "--rate", "1000")
        equal("a slow job", (slow.returncode, slow.stderr), (0, ""))
        job = re.findall(r"[0-9a-f]{32}", slow.stdout)[0]
        until("RUNNING", 20, lambda: cluster.state(job) == "RUNNING")
        failed = drey("run", *target, "-Drestart-strategy.type=none", "-c", "fails", PROGRAMS_JAR)
        equal("a job that fails", failed.returncode, 1)
        ended = re.findall(r"JobID ([0-9a-f]{32})", failed.stdout)[0]
        shown = drey("list", *target).stdout
        expect("the name", shown, r"red\x1b[31m\x0aand \x07\xc2\x9b31m " + "\u00e9")
        equal("the lines", len(shown.splitlines()), 1)
        jobs = lambda *flags: sorted(j["jid"] for j in json.loads(drey("list", *target, "--json", *flags).stdout)["jobs"])  # noqa: E731
        equal("--json", jobs(), sorted([job, ended]))
        equal("-a --json", jobs("-a"), sorted([job, ended]))
        equal("-r --json", jobs("-r"), [job])
        equal("-s --json", jobs("-s"), [])
        exceptions = drey("exceptions", *target, ended)
        equal("exceptions", exceptions.returncode, 0)
        expect("exceptions", exceptions.stdout, "row fifty thousand")
        expect("exceptions --json", json.loads(drey("exceptions", *target, "--json", ended).stdout), "row fifty thousand")
        expect("no exceptions", drey("exceptions", *target, job).stdout, "has had no failure")
        equal("exceptions of no job", drey("exceptions", *target, "0" * 32).returncode, 1)
        plan = drey("info", *target, FLIGHTS_JAR, *arguments(os.path.join(cluster.base, "plan")))
        equal("info", plan.returncode, 0)
        if "<br/>" in plan.stdout or "&gt;" in plan.stdout or "nodes" not in plan.stdout:
            raise Failure(f"the plan is for a browser: {plan.stdout[:500]}")


def run_says_what_a_job_fails_on_and_waits_for():
    with Cluster("troubles", "-Drestart-strategy.type=fixed-delay", "-Drestart-strategy.fixed-delay.attempts=1",
                 "-Drestart-strategy.fixed-delay.delay=3s") as cluster:
        target = ["-m", cluster.url.removeprefix("http://")]
        failed = drey("run", *target, "-c", "fails", PROGRAMS_JAR)
        equal("exit code", failed.returncode, 1)
        expect("the failure, before the end", failed.stderr.split("log/")[0], "failed in ", "row fifty thousand")
        waiting = subprocess.Popen([DREY, "run", *target, "-p", "20", FLIGHTS_JAR, *arguments(os.path.join(cluster.base, "out"))],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            line = waiting.stderr.readline()
        finally:
            waiting.terminate()
            waiting.wait(10)
        expect("what it waits for", line, "wait for slots", "the cluster has 4 in 1 TaskManagers")


def a_login_that_is_missing_is_said():
    tokens = os.path.join(folder("tokens"), "tokens")
    with open(tokens, "w", encoding="utf-8") as f:
        f.write("adminadminadmina admin\n")
    cluster = Cluster("login", f"-Ddrey.rest.auth.token-file={tokens}")
    try:
        cluster.launch()
        cluster.url = until("the REST address", 10, cluster.address)
        target = ["-m", cluster.url.removeprefix("http://")]
        commands = [["status", "--dir", cluster.directory], ["status", "--dir", cluster.directory, "--json"], ["list", *target], ["list", "--json", *target],
                    ["jars", *target], ["run", "-d", *target, FLIGHTS_JAR], ["info", *target, FLIGHTS_JAR], ["exceptions", *target, "0" * 32],
                    *[[verb, *target, "0" * 32] for verb in ("cancel", "stop", "savepoint", "checkpoint")], ["rescale", *target, "0" * 32, "2"]]
        for words in commands:
            done = drey(*words)
            equal(f"{words} without a login", (done.returncode, done.stdout), (1, ""))
            expect(f"{words} without a login", done.stderr, "login", "FLINK_REST_CLIENT_HEADERS")
        admin = {"FLINK_REST_CLIENT_HEADERS": "Authorization: Bearer adminadminadmina"}
        equal("status with a login", drey("status", "--dir", cluster.directory, environment=admin).returncode, 0)
        equal("list with a login", drey("list", *target, environment=admin).returncode, 0)
    finally:
        cluster.stop()


if __name__ == "__main__":
    main([each_command_has_its_own_help, lists_show_what_the_flags_say_and_names_escaped, run_says_what_a_job_fails_on_and_waits_for,
          a_login_that_is_missing_is_said])
