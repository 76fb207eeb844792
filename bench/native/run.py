#!/usr/bin/env python3
"""Runs native peers and Drey in turn on this machine, over the same rows, and prints the ratio of each case.

    bench/native/run.py                       all cases, five rounds
    bench/native/run.py --only window --runs 9
    bench/native/run.py --scale 0.1           a tenth of the rows
    bench/native/run.py --instructions        also instructions a row, counted by perf
    bench/native/run.py --json                one JSON line a run

Peers: timely dataflow (a program of our own, built by cargo) and bare loops of the same work on one core. Before anything is
measured, each case runs once with --verify: count and digest of its results must be Drey's. A round runs each program once;
the ratio is that of the two programs within a round, and its median over the rounds is printed. rows per CPU-second: user
and system time of the whole process, its start included. Settings and limits: README.md beside this file.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
DREY = os.path.join(ROOT, "build/release/bin/drey-bench")
WORK = os.path.join(ROOT, "build/native")
TIMELY = os.path.join(WORK, "release/timely_peer")
LOOPS = os.path.join(WORK, "bare_loops")
M = 1_000_000
VERIFY_ROWS = 2_048_000

# case, parallelism of Drey and workers of the peer (the loops have one), peer, rows, goal for the ratio
CASES = [
    ("generate", 1, "loop", 40 * M, None),
    ("generate", 1, "timely", 40 * M, None),
    ("exchange", 2, "loop", 40 * M, 0.6),
    ("exchange", 2, "timely", 40 * M, None),
    ("keyed_sum", 1, "loop", 36 * M, 0.6),
    ("keyed_sum", 1, "timely", 18 * M, None),
    ("window", 1, "timely", 20 * M, 1.2),
    ("window", 2, "timely", 20 * M, 1.2),
]


def build():
    os.makedirs(WORK, exist_ok=True)
    if shutil.which("cargo") is None:
        print("bench/native: skipped, cargo is not here (https://rustup.rs)")
        sys.exit(0)
    cargo = ["cargo", "build", "--release", "--locked", "--quiet", "--manifest-path", os.path.join(HERE, "timely/Cargo.toml"), "--target-dir", WORK]
    if subprocess.run(cargo).returncode != 0:
        sys.exit("bench/native: the timely program cannot be built; cargo needs crates.io, or a registry in its place")
    source = os.path.join(HERE, "bare_loops.cc")
    if not os.path.exists(LOOPS) or os.path.getmtime(LOOPS) < os.path.getmtime(source):
        subprocess.run(["c++", "-std=c++20", "-O3", "-march=native", source, "-o", LOOPS], check=True)


def drey(case, rows, parallelism):
    return [DREY, case, "--rows", str(rows), "--parallelism", str(parallelism)]


def peer(name, case, rows, parallelism):
    if name == "loop":
        return [LOOPS, case, "--rows", str(rows)]
    return [TIMELY, case, "--rows", str(rows), "--workers", str(parallelism)]


def run(command, cores):
    """What the program prints, with the CPU seconds of its process; pinned to `cores`."""
    child = subprocess.Popen(["taskset", "-c", ",".join(map(str, cores)), *command], stdout=subprocess.PIPE, text=True)
    printed = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"bench/native: {' '.join(command)} ended with {child.returncode}")
    return {**json.loads(printed), "cpu_seconds": usage.ru_utime + usage.ru_stime}


def instructions_per_row(command, rows):
    counted = subprocess.run(["perf", "stat", "-x", ",", "-e", "instructions:u", *command], capture_output=True, text=True)
    for line in counted.stderr.splitlines():
        if "instructions" in line and line.split(",")[0].isdigit():
            return f"{int(line.split(',')[0]) / rows:.0f}"
    return "?"


def verify(cases):
    for case, parallelism, name in cases:
        found = {}
        for who, command in (("Drey", drey(case, VERIFY_ROWS, parallelism)), (name, peer(name, case, VERIFY_ROWS, parallelism))):
            figures = run(command + ["--verify"], cores_of(parallelism))
            found[who] = (figures["results"], figures["digest"])
        if len(set(found.values())) != 1:
            sys.exit(f"bench/native: the results of {case} at {parallelism} differ: {found}")


def cores_of(parallelism):
    return sorted(os.sched_getaffinity(0))[-parallelism:]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--runs", type=int, default=5, help="rounds")
    parser.add_argument("--scale", type=float, default=1, help="part of the rows")
    parser.add_argument("--instructions", action="store_true")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    build()
    cases = [c for c in CASES if args.only in c[0]]
    verify(dict.fromkeys((case, parallelism, name) for case, parallelism, name, _, _ in cases))
    rows_of = {c: max(int(c[3] * args.scale) // 256_000, 1) * 256_000 for c in cases}
    speeds = {c: ([], []) for c in cases}
    for round_number in range(args.runs):
        for c in cases:
            case, parallelism, name, _, _ = c
            for who, command, values in (("Drey", drey(case, rows_of[c], parallelism), speeds[c][0]), (name, peer(name, case, rows_of[c], parallelism), speeds[c][1])):
                figures = run(command, cores_of(parallelism))
                values.append(rows_of[c] / figures["cpu_seconds"])
                if args.json:
                    print(json.dumps({"round": round_number, "who": who, "parallelism": parallelism, **figures, "rows_per_cpu_s": values[-1]}), flush=True)
    print(f"{'case / parallelism':<20} {'peer':<7} {'Drey':>9} {'peer':>9} {'ratio':>6} {'spread':>13} {'goal':>7}   M rows per CPU-second, medians of {args.runs}")
    for c in cases:
        case, parallelism, name, _, goal = c
        ours, theirs = speeds[c]
        ratios = [a / b for a, b in zip(ours, theirs)]
        notes = ""
        if args.instructions:
            notes = (f"instructions a row: {instructions_per_row(drey(case, rows_of[c], parallelism), rows_of[c])}"
                     f" and {instructions_per_row(peer(name, case, rows_of[c], parallelism), rows_of[c])}")
        print(f"{f'{case} / {parallelism}':<20} {name:<7} {statistics.median(ours) / M:>9.1f} {statistics.median(theirs) / M:>9.1f} {statistics.median(ratios):>6.2f} "
              f"{f'{min(ratios):.2f} .. {max(ratios):.2f}':>13} {'-' if goal is None else f'>= {goal}':>7}   {notes}")


if __name__ == "__main__":
    main()
