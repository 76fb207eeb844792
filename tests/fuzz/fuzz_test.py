#!/usr/bin/env python3
"""Runs every fuzzer of build/fuzz for DREY_FUZZ_SECONDS (60) on its corpus in this folder, after its canary: a build with a
planted fault that must be caught in as much time. What is found is kept below build/fuzz/findings, what is learnt below
build/fuzz/corpus."""
import glob
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.join(os.path.dirname(os.path.dirname(HERE)), "build", "fuzz")
SECONDS = int(os.environ.get("DREY_FUZZ_SECONDS", "60"))
PLANTED = "the planted fault was reached"


def run(program, corpora, findings, more):
    os.makedirs(findings, exist_ok=True)
    command = [program, f"-max_total_time={SECONDS}", "-timeout=20", "-rss_limit_mb=2048", "-print_final_stats=1",
               f"-artifact_prefix={findings}/", *more, *corpora]
    # What a fuzzed program leaves running would be a finding too: the deadline ends it.
    return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=SECONDS + 120)


def canary(name, seed):
    # It knows nothing but the corpus of the repository, which stays as it is.
    learnt = os.path.join(BUILD, "canary", name)
    shutil.rmtree(learnt, ignore_errors=True)
    os.makedirs(learnt)
    done = run(os.path.join(BUILD, "bin/fuzz", f"{name}_canary"), [learnt, seed], learnt, ["-use_value_profile=1"])
    if PLANTED not in done.stderr:
        return f"failed {name}: the canary was not caught in {SECONDS} s: {done.stderr[-1500:]}"
    return None


def fuzz(name, seed):
    corpus = os.path.join(BUILD, "corpus", name)
    os.makedirs(corpus, exist_ok=True)
    done = run(os.path.join(BUILD, "bin/fuzz", name), [corpus, seed], os.path.join(BUILD, "findings"), [])
    if done.returncode != 0:
        found = re.findall(r"Test unit written to (\S+)", done.stderr)
        return f"failed {name}: {' '.join(found)} {done.stderr[-3000:]}"
    runs = re.search(r"stat::number_of_executed_units:\s+(\d+)", done.stderr)
    return f"ok {name} ({SECONDS} s, {runs.group(1) if runs else '?'} runs, its canary caught)"


def main():
    only = sys.argv[sys.argv.index("--test") + 1] if "--test" in sys.argv else ""
    failed = False
    for program in sorted(glob.glob(os.path.join(BUILD, "bin/fuzz/*_fuzz"))):
        name = os.path.basename(program)
        if only not in name:
            continue
        seed = os.path.join(HERE, name)
        try:
            line = f"failed {name}: it has no corpus" if not os.path.isdir(seed) else canary(name, seed) or fuzz(name, seed)
        except subprocess.TimeoutExpired:
            line = f"failed {name}: it did not end"
        failed = failed or line.startswith("failed")
        print(line, flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
