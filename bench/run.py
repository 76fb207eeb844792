#!/usr/bin/env python3
"""Runs the benchmark cases and prints goal and measured value side by side: median of five, with the spread.

    bench/run.py                     all cases
    bench/run.py --only keyed_sum    cases whose name holds the text
    bench/run.py --json              one JSON object a case

Needs build/release (./bench.sh builds it). The files of the file cases are written once below build/bench-data.
"""
import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BENCH = os.path.join(ROOT, "build/release/bin/drey-bench")
DREY = os.path.join(ROOT, "build/release/bin/drey")
DATA = os.path.join(ROOT, "build/bench-data")
M = 1_000_000

# name, drey-bench case, rows, parallelism, more arguments, goal in rows per CPU-second, Flink 2.3.0 there
CASES = [
    ("generate", "generate", 100 * M, 2, [], None, None),
    ("exchange, parallelism 1", "exchange", 40 * M, 1, [], 80 * M, 4.7 * M),
    ("exchange", "exchange", 40 * M, 2, [], 40 * M, 4.7 * M),
    ("keyed_sum", "keyed_sum", 18 * M, 2, [], 15 * M, 1.2 * M),
    ("keyed_sum, checkpoint every second", "keyed_sum", 18 * M, 2, ["--checkpoint-ms", "1000", "--state-dir", "{state}"], 12 * M, None),
    ("chain", "chain", 80 * M, 2, [], 100 * M, 12 * M),
    ("window", "window", 24 * M, 2, [], 30 * M, 2.5 * M),
    ("wordcount", "wordcount", None, 2, ["--data", DATA], 20 * M, 2.0 * M),
    ("flights", "flights", None, 2, ["--data", DATA], 6 * M, 1.1 * M),
    ("flights_zst", "flights_zst", None, 2, ["--data", DATA], 4 * M, None),
]


def make_data():
    """drey-bench writes the words and the flights, once."""
    if not os.path.exists(os.path.join(DATA, "data.json")):
        print("writing the data of the file cases ...", file=sys.stderr)
        subprocess.run([BENCH, "data", DATA], check=True)


def once(case, rows, parallelism, more):
    state = os.path.join(ROOT, "build/bench-state")
    shutil.rmtree(state, ignore_errors=True)
    command = [BENCH, case, "--parallelism", str(parallelism)] + [a.replace("{state}", state) for a in more]
    if rows:
        command += ["--rows", str(rows)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stderr}")
    return json.loads(done.stdout)


def resident(pid):
    """Bytes of a process and its children."""
    total = 0
    for p in [pid] + [int(x) for x in subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()]:
        with open(f"/proc/{p}/status") as f:
            total += next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmRSS"))
    return total


def start_and_idle():
    """Seconds to the first 200 and to a registered TaskManager; bytes resident when idle."""
    base = os.path.join(ROOT, "build/bench-start")
    shutil.rmtree(base, ignore_errors=True)
    begin = time.monotonic()
    process = subprocess.Popen([DREY, "up", "--dir", base, "-Drest.port=18089"], stdout=subprocess.DEVNULL)
    first = registered = None
    while registered is None and time.monotonic() - begin < 20:
        try:
            overview = json.load(urllib.request.urlopen("http://127.0.0.1:18089/overview", timeout=1))
            first = first or time.monotonic() - begin
            if overview["taskmanagers"]:
                registered = time.monotonic() - begin
        except OSError:
            pass
    time.sleep(1)
    idle = resident(process.pid)
    process.send_signal(signal.SIGTERM)
    process.wait(20)
    return first, registered, idle


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if any(args.only in c[0] and DATA in c[4] for c in CASES):
        make_data()
    if not args.json:
        print(f"{'case (rows per CPU-second)':<38} {'goal':>8} {'measured':>9} {'spread':>17} {'Flink':>7} {'ratio':>6}")
    for name, case, rows, parallelism, more, goal, flink in CASES:
        if args.only not in name:
            continue
        runs = sorted(once(case, rows, parallelism, more)["rows_per_cpu_s"] for _ in range(args.runs))
        middle = statistics.median(runs)
        if args.json:
            print(json.dumps({"case": name, "goal": goal, "median": middle, "min": runs[0], "max": runs[-1]}), flush=True)
            continue
        show = lambda v: "-" if v is None else f"{v / M:.1f} M"
        print(f"{name:<38} {show(goal):>8} {show(middle):>9} {show(runs[0]) + ' .. ' + show(runs[-1]):>17} {show(flink):>7} "
              f"{'-' if flink is None else f'{middle / flink:.1f}':>6}", flush=True)
    if args.only in "start idle":
        all_runs = [start_and_idle() for _ in range(args.runs)]
        for i, (name, goal, unit, scale) in enumerate([("start: first 200 on /overview", "100", "ms", 1e3), ("start: TaskManager registered", "250", "ms", 1e3),
                                                       ("idle: resident, all processes", "50", "MB", 1e-6)]):
            values = sorted(r[i] * scale for r in all_runs)
            print(f"{name:<38} {'< ' + goal + ' ' + unit:>8} {statistics.median(values):>6.0f} {unit} {values[0]:>7.0f} .. {values[-1]:.0f}")


if __name__ == "__main__":
    main()
