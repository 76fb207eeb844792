#!/usr/bin/env python3
"""Runs GoogleTest programs and Python end-to-end tests, and prints `N passed, N failed, N skipped` at the end.

    run_tests.py --programs build/release build/asan     all test programs below these build folders
    run_tests.py --scripts tests/e2e                     every *_test.py there; each prints its own cases
    run_tests.py --programs build/dev --test JobGraph    only cases whose name holds the text
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time


def run_program(path, only):
    """(passed, failed names, skipped) of one GoogleTest program."""
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        command = [path, f"--gtest_output=json:{report.name}", "--gtest_brief=1"]
        if only:
            command.append(f"--gtest_filter=*{only}*")
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=900)
        except subprocess.TimeoutExpired:
            return 0, [f"{path}: timed out after 900 s"], 0, ""
        try:
            cases = [c for s in json.load(report).get("testsuites", []) for c in s["testsuite"]]
        except ValueError:
            return 0, [f"{path}: ended without a report (exit {done.returncode})"], 0, done.stdout[-4000:] + done.stderr[-4000:]
    failed = [f"{os.path.basename(path)} {c['classname']}.{c['name']}" for c in cases if "failures" in c]
    skipped = sum(1 for c in cases if c.get("result") == "SKIPPED")
    if done.returncode != 0 and not failed:
        failed = [f"{path}: exit {done.returncode}"]
    output = done.stdout[-6000:] + done.stderr[-4000:] if failed else ""
    return len(cases) - len(failed) - skipped, failed, skipped, output


def run_script(path, only):
    """A script prints `ok NAME`, `failed NAME: why` or `skipped NAME: why` a case and exits 0 unless one failed."""
    command = [sys.executable, path] + (["--test", only] if only else [])
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=1200)
    except subprocess.TimeoutExpired as late:
        return 0, [f"{path}: timed out"], 0, (late.stdout or b"").decode(errors="replace")[-4000:]
    lines = done.stdout.splitlines()
    passed = sum(1 for line in lines if line.startswith("ok "))
    failed = [f"{os.path.basename(path)} {line[7:]}" for line in lines if line.startswith("failed ")]
    skipped = [line for line in lines if line.startswith("skipped ")]
    for line in skipped:
        print("  " + line)
    if done.returncode != 0 and not failed:
        failed = [f"{path}: exit {done.returncode}"]
    return passed, failed, len(skipped), done.stdout[-6000:] + done.stderr[-6000:] if failed else ""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", nargs="*", default=[])
    parser.add_argument("--scripts", nargs="*", default=[])
    parser.add_argument("--test", default="")
    args = parser.parse_args()
    jobs = []
    for build in args.programs:
        folder = os.path.join(build, "bin", "tests")
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        if not names:
            jobs.append((f"{build}: no test programs", None, None))
        jobs += [(f"{os.path.basename(build)}/{n}", run_program, os.path.join(folder, n)) for n in names]
    for folder in args.scripts:
        jobs += [(n, run_script, os.path.join(folder, n)) for n in sorted(os.listdir(folder)) if n.endswith("_test.py")]
    passed = skipped = 0
    failures = []
    for name, run, path in jobs:
        begin = time.monotonic()
        p, f, s, output = run(path, args.test) if run else (0, [name], 0, "")
        passed, skipped = passed + p, skipped + s
        failures += f
        print(f"  {name}: {p} passed" + (f", {len(f)} FAILED" if f else "") + f" ({time.monotonic() - begin:.1f} s)", flush=True)
        if output:
            print(output)
    for name in failures:
        print(f"FAILED {name}")
    if passed == 0 and not failures:
        failures.append("no test ran")
    print(f"{passed} passed, {len(failures)} failed, {skipped} skipped")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
