#!/usr/bin/env python3
"""Runs GoogleTest programs, tests that CMake lists, and Python end-to-end tests; ends with `N passed, N failed, N skipped`.

    run_tests.py --programs build/release build/asan     all test programs below these build folders
    run_tests.py --scripts tests/e2e                     every *_test.py there; each prints its own cases
    run_tests.py --listed build/release                  what add_test() lists that is no test program (needs ctest)
    run_tests.py --programs build/dev --test JobGraph    only cases whose name holds the text

Programs and scripts run side by side, long ones first; what each prints stays in one piece. A script keeps to loopback ports
that the system chooses and to its own folder below build/e2e.
"""
import argparse
import concurrent.futures
import json
import os
import re
import subprocess
import sys
import tempfile
import time

PROGRAM_SECONDS = 900
# Long first, so that nothing long is left alone at the end. A name that is not here counts as short.
LONG = ["asan/api_engine_test", "savepoint_test.py", "flights_test.py", "asan/sim_test", "rescale_test.py", "golden_test.py", "tsan/runtime_test",
        "release/sim_test", "clang/sim_test", "house_test.py", "tsan/net_test", "asan/state_test", "bad_disk_test.py", "operation_test.py",
        "asan/connectors_test", "bad_input_test.py", "rest_test.py", "attack_test.py"]
# Programs compute, scripts mostly wait: one more at a time than there are cores.
WORKERS = (os.cpu_count() or 1) + 1


class Outcome:
    def __init__(self, passed=0, failed=(), skipped=0, output=""):
        self.passed, self.failed, self.skipped, self.output = passed, list(failed), skipped, output


def run_program(path, only):
    """One GoogleTest program."""
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        command = [path, f"--gtest_output=json:{report.name}", "--gtest_brief=1"]
        if only:
            command.append(f"--gtest_filter=*{only}*")
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=PROGRAM_SECONDS)
        except subprocess.TimeoutExpired:
            return Outcome(failed=[f"{path}: timed out after {PROGRAM_SECONDS} s"])
        try:
            cases = [c for s in json.load(report).get("testsuites", []) for c in s["testsuite"]]
        except ValueError:
            return Outcome(failed=[f"{path}: ended without a report (exit {done.returncode})"], output=done.stdout[-4000:] + done.stderr[-4000:])
    failed = [f"{os.path.basename(path)} {c['classname']}.{c['name']}" for c in cases if "failures" in c]
    skipped = sum(1 for c in cases if c.get("result") == "SKIPPED")
    passed = len(cases) - len(failed) - skipped
    if done.returncode != 0 and not failed:
        failed = [f"{path}: exit {done.returncode}"]
    output = done.stdout[-6000:] + done.stderr[-4000:] if failed else ""
    if not failed:  # what a simulation says of itself
        output = "".join(f"    {line}\n" for line in done.stdout.splitlines() if "fresh" in line)
    return Outcome(passed, failed, skipped, output)


def run_script(path, only, seconds):
    """A script prints `ok NAME`, `failed NAME: why` or `skipped NAME: why` a case and exits 0 unless one failed."""
    command = [sys.executable, path] + (["--test", only] if only else [])
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=seconds)
    except subprocess.TimeoutExpired as late:
        return Outcome(failed=[f"{path}: timed out after {seconds} s"], output=(late.stdout or b"").decode(errors="replace")[-4000:])
    lines = done.stdout.splitlines()
    passed = sum(1 for line in lines if line.startswith("ok "))
    failed = [f"{os.path.basename(path)} {line[7:]}" for line in lines if line.startswith("failed ")]
    skipped = [line for line in lines if line.startswith("skipped ")]
    if done.returncode != 0 and not failed:
        failed = [f"{path}: exit {done.returncode}"]
    return Outcome(passed, failed, len(skipped), done.stdout[-6000:] + done.stderr[-6000:] if failed else "".join(f"    {s}\n" for s in skipped))


def run_listed(build, only):
    """Tests of CMake's list that are no GoogleTest programs."""
    command = ["ctest", "--test-dir", build, "--output-on-failure", "-E", "_test$", "-j", str(os.cpu_count() or 1)]
    if only:
        command += ["-R", re.escape(only)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=PROGRAM_SECONDS)
    results = re.findall(r"Test\s+#\d+: (\S+) \.*\**\s*(Passed|Skipped|\*\*\*\S+|Failed)", done.stdout)
    failed = [name for name, result in results if result not in ("Passed", "Skipped")]
    if done.returncode != 0 and not failed:
        failed = [f"ctest in {build}: exit {done.returncode}"]
    return Outcome(sum(r == "Passed" for _, r in results), failed, sum(r == "Skipped" for _, r in results), done.stdout[-6000:] if failed else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", nargs="*", default=[])
    parser.add_argument("--scripts", nargs="*", default=[])
    parser.add_argument("--listed", nargs="*", default=[])
    parser.add_argument("--test", default="")
    parser.add_argument("--script-seconds", type=int, default=1200)
    args = parser.parse_args()
    total = Outcome()

    def take(name, outcome, begin):
        total.passed += outcome.passed
        total.skipped += outcome.skipped
        total.failed += outcome.failed
        print(f"  {name}: {outcome.passed} passed" + (f", {len(outcome.failed)} FAILED" if outcome.failed else "")
              + (f", {outcome.skipped} skipped" if outcome.skipped else "") + f" ({time.monotonic() - begin:.1f} s)", flush=True)
        if outcome.output:
            print(outcome.output.rstrip("\n"), flush=True)

    work = []  # name, function, its arguments
    for build in args.programs:
        folder = os.path.join(build, "bin", "tests")
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        if not names:
            total.failed.append(f"{build}: no test programs")
        work += [(f"{os.path.basename(build)}/{n}", run_program, os.path.join(folder, n), args.test) for n in names]
    work += [(f"{os.path.basename(build)}/listed by CMake", run_listed, build, args.test) for build in args.listed]
    for folder in args.scripts:
        work += [(n, run_script, os.path.join(folder, n), args.test, args.script_seconds) for n in sorted(os.listdir(folder)) if n.endswith("_test.py")]
    work.sort(key=lambda w: LONG.index(w[0]) if w[0] in LONG else len(LONG))

    def timed(run, *arguments):
        begin = time.monotonic()
        return run(*arguments), begin

    with concurrent.futures.ThreadPoolExecutor(max_workers=WORKERS) as pool:
        started = {pool.submit(timed, *rest): name for name, *rest in work}
        for done in concurrent.futures.as_completed(started):
            outcome, begin = done.result()
            take(started[done], outcome, begin)
    for name in total.failed:
        print(f"FAILED {name}")
    if total.passed == 0 and not total.failed:
        total.failed.append("no test ran")
        print("FAILED no test ran")
    print(f"{total.passed} passed, {len(total.failed)} failed, {total.skipped} skipped")
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
