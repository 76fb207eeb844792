#!/usr/bin/env python3
"""Runs the benchmark cases and prints goal and measured value side by side: median of five, with the spread.

    bench/run.py                     all cases
    bench/run.py --only keyed_sum    cases whose name holds the text; `http`: those of the REST API
    bench/run.py --json              one JSON line a run and one a case, instead of the table

Needs build/release (./bench.sh builds it). The files of the file cases are written once below build/bench-data.
`generator` beside a figure: the share of its CPU time that making the rows alone costs (case generate, which is therefore run
with every case over generated rows); `reading`: the same of the file cases, reading and decompressing alone. "4 KiB pages":
without pages of 2 MiB, where memory growth matters.
"""
import argparse
import contextlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys

import cluster_cases
import http_cases
from pages import kernel_gives_large_pages, small_pages

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BENCH = os.path.join(ROOT, "build/release/bin/drey-bench")
API_BENCH = os.path.join(ROOT, "build/release/bin/drey-api-bench")
DATA = os.path.join(ROOT, "build/bench-data")
M = 1_000_000
CKPT_1S = ["--checkpoint-ms", "1000"]

FOLDERS = {"wordcount": "words"}  # of the data, where it is not the case's name
GENERATE = ("generate", "generate", 100 * M, 2, [], None, None)
SMALL = ", 4 KiB pages"

# name, drey-bench case, rows, parallelism, more arguments, goal in rows per CPU-second, Flink 2.3.0 there
CASES = [
    GENERATE,
    ("exchange@1core", "exchange", 40 * M, 1, [], 80 * M, 4.7 * M),
    ("exchange", "exchange", 40 * M, 2, [], 40 * M, 4.7 * M),
    ("keyed_sum@1core", "keyed_sum", 18 * M, 1, [], 15 * M, 1.2 * M),
    ("keyed_sum", "keyed_sum", 36 * M, 2, [], 15 * M, 1.2 * M),
    ("keyed_sum" + SMALL, "keyed_sum", 36 * M, 2, [], None, None),
    ("keyed_sum, checkpoint every second", "keyed_sum", 36 * M, 2, CKPT_1S, 12 * M, None),
    ("keyed_sum@ckpt", "keyed_sum@ckpt", 200 * M, 2, [], 12 * M, None),
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
    command = [BENCH, case, "--parallelism", str(parallelism), *more]
    if "--checkpoint-ms" in more or case.endswith("@ckpt"):
        command += ["--state-dir", state]
    if rows:
        command += ["--rows", str(rows)]
    if parallelism == 1:
        command = ["taskset", "-c", "1"] + command  # worker and helpers on one core, as Flink's @1core cases
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stderr}")
    return json.loads(done.stdout)


def read(folder):
    """What the files alone cost, decompression included."""
    return json.loads(subprocess.run([BENCH, "read", folder], check=True, capture_output=True, text=True, timeout=600).stdout)


class Table:
    def __init__(self, as_json):
        self.as_json = as_json
        self.title = None  # not printed yet

    def head(self, title):
        """Of the lines that follow, if any do."""
        self.title = title

    def line(self, name, goal, values, show, flink="-", notes=""):
        middle = statistics.median(values)
        if self.as_json:
            print(json.dumps({"case": name, "goal": goal, "median": middle, "min": min(values), "max": max(values), "runs": len(values)}), flush=True)
            return
        if self.title:
            print(f"\n{self.title:<40} {'goal':>10} {'measured':>10} {'spread':>20}  {'Flink 2.3.0':<26} notes")
            self.title = None
        print(f"{name:<40} {goal:>10} {show(middle):>10} {show(min(values)) + ' .. ' + show(max(values)):>20}  {flink:<26} {notes}", flush=True)

    def run(self, figures):
        if self.as_json:
            print(json.dumps(figures), flush=True)


def millions(v):
    return f"{v / M:.1f} M"


def speed(table, only, runs):
    """Returns what the generator makes in a CPU-second, if it was asked."""
    wanted = [c for c in CASES if only in c[0]]
    if any(c[2] for c in wanted) and GENERATE not in wanted:
        wanted.insert(0, GENERATE)
    table.head("rows per CPU-second")
    generator = None
    for name, case, rows, parallelism, more, goal, flink in wanted:
        if DATA in more:
            make_data()
        found = []
        for _ in range(runs):
            with small_pages() if name.endswith(SMALL) else contextlib.nullcontext():
                figures = once(case, rows, parallelism, more)
            table.run({**figures, "name": name})
            found.append(figures)
        values = [f["rows_per_cpu_s"] for f in found]
        middle = statistics.median(values)
        notes = [f"{millions(statistics.median(f['rows_per_s'] for f in found))} rows/s", f"{max(f['peak_rss_bytes'] for f in found) / 1e6:.0f} MB"]
        if case == "generate":
            generator = middle
        elif rows and generator:
            notes.append(f"generator {100 * middle / generator:.0f} %")
        elif DATA in more:
            reading = [read(os.path.join(DATA, FOLDERS.get(case, case))) for _ in range(runs)]
            share = statistics.median(f["cpu_seconds"] for f in reading) / statistics.median(f["cpu_seconds"] for f in found)
            notes.append(f"reading {100 * share:.0f} %, {statistics.median(f['bytes_per_cpu_s'] for f in reading) / M:.0f} MB/s")
        ratio = "-" if flink is None else f"{millions(flink)} (x {middle / flink:.1f})"
        if name == "keyed_sum" and not kernel_gives_large_pages():
            notes.append("this kernel gives no pages of 2 MiB")
        table.line(name, "-" if goal is None else ">= " + millions(goal), values, millions, ratio, ", ".join(notes))
    return generator


def latency(table, only, runs):
    if only not in "latency":
        return
    found = [once("latency", 130_000, 2, []) for _ in range(runs)]
    for figures in found:
        table.run(figures)
    due = statistics.median(f["us_since_due"]["p99"] for f in found) / 1000
    for key, name, goal, flink, notes in (("p50", "latency p50", "-", "84; 1.1; 0.04 ms", ""),
                                          ("p99", "latency p99", "< 0.25 ms", "182; 2.1; 0.24 ms", f"{due:.2f} ms from when the row was due"),
                                          ("p99_9", "latency p99.9", "< 2 ms", "199; 4.3; 2.3 ms", "Flink: default; 1 ms; each row flushed")):
        table.line(name, goal, [f["us_since_made"][key] / 1000 for f in found], lambda v: f"{v:.2f} ms", flink, notes)


def api(table, only, runs):
    if only not in "api":
        return
    found = [[json.loads(line) for line in subprocess.run([API_BENCH], check=True, capture_output=True, text=True).stdout.splitlines()]
             for _ in range(runs)]
    for figures in zip(*found):
        for one in figures:
            table.run(one)
        title, goal = {"api_map_filter": ("api: map and filter against a loop", 1.5),
                       "api_keyed_reduce": ("api: keyed reduce against the engine's", 1.3)}[figures[0]["case"]]
        row = statistics.median(f["ns_per_row"] for f in figures)
        table.line(title, f"<= {goal:.2f}", [f["ratio"] for f in figures], lambda v: f"{v:.2f}", notes=f"{row:.2f} ns a row")


# What a job's compiler sees must not hold these (paths of headers).
HEAVY = ("/boost/", "/fmt/", "/iostream")


def compile_time(table, only, runs):
    """CPU seconds of a plain compiler run over a job, with the options of drey_add_job."""
    if only not in "compile":
        return
    command = ["c++", "-std=c++20", "-O2", "-g1", "-fno-omit-frame-pointer", "-fvisibility=hidden", "-fPIC", "-I", os.path.join(ROOT, "include")]
    source = os.path.join(ROOT, "bench/jobs/delays.cc")
    found = []
    for _ in range(runs):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*command, "-c", source, "-o", os.devnull], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        table.run({"case": "compile", "cpu_seconds": found[-1]})
    headers = subprocess.run([*command, "-M", source], check=True, capture_output=True, text=True).stdout.split()
    heavy = [h for h in headers if any(part in h for part in HEAVY)]
    version = subprocess.run(["c++", "-dumpfullversion"], check=True, capture_output=True, text=True).stdout.strip()
    table.line("api: compile a job", "< 10 s", found, lambda v: f"{v:.2f} s", notes=f"CPU time, c++ {version}")
    table.line("api: headers of Boost, fmt, iostream", "0", [len(heavy)], str, notes=f"of {len(headers) - 2}")


def cluster(table, only, runs, generator):
    def wanted(*names):
        return any(only in name for name in names)

    def add(cases):
        for name, found in cases:
            table.run({"case": name, "runs": found})
            yield name, found

    def ms(v):
        return f"{v * 1e3:.0f} ms"

    def seconds(v):
        return f"{v:.2f} s"

    def megabytes(v):
        return f"{v / 1e6:.0f} MB"

    if wanted("start", "idle"):
        for _, found in add(cluster_cases.start(runs)):
            table.line("start: first 200 on /overview", "< 100 ms", [f["first_200_s"] for f in found], ms, "5.6 s")
            table.line("start: TaskManager registered", "< 250 ms", [f["registered_s"] for f in found], ms, "5.8 s")
            table.line("idle: resident, all processes", "< 50 MB", [f["idle_bytes"] for f in found], megabytes, "555 MiB")
    if wanted("idle after 20 jobs"):
        for _, found in add(cluster_cases.idle_after_jobs()):
            table.line("idle: 30 s after the last of 20 jobs", "< 80 MB", [f["idle_bytes"] for f in found], megabytes, "-", "one run")
    for name, found in add(cluster_cases.recover_and_checkpoint(runs, recover=wanted("recover"), checkpoint=wanted("checkpoint"))):
        times = [f["seconds"] for f in found if "seconds" in f]
        if name.startswith("recover"):
            notes = f"noticed after {statistics.median(f['noticed_s'] for f in found) * 1000:.0f} ms; {found[0]['state_bytes'] / 1e6:.0f} MB again"
            table.line(name, "-" if name.endswith(SMALL) else "< 3 s", times, seconds, "36 s (heap), 14 s (RocksDB)", notes)
        elif name.startswith("updates"):
            one = found[0]
            notes = ", ".join(f"{which} {millions(one[which]['rows_per_s'])}/s ({millions(one[which]['rows_per_cpu_s'])} per CPU-s)" for which in ("without", "with"))
            if generator:
                notes += f"; generator {100 * one['without']['rows_per_cpu_s'] / generator:.0f} %"
            table.line("checkpoint: speed with / without", ">= 0.80", [one["part_of_speed"]], lambda v: f"{v:.2f}", "0.33 (heap), 0.56", notes)
        elif name == "checkpoint, all":
            table.line(name, "-", times, seconds, "3.1 s", f"{found[0]['written_bytes'] / 1e6:.0f} MB; keys loaded in {found[0]['load_s']:.1f} s")
        else:
            together = "together" in name
            notes = f"{100 * statistics.median(f['written_part'] for f in found):.1f} % written"
            table.line(name, "< 0.2 s" if together else "< 1 s", times, seconds, "2.3 s (heap), 0.3 s (RocksDB)", notes)


def http(table, only, runs):
    def wanted(name):
        return only in f"http: {name}"

    def count(v):
        return f"{v / 1000:.1f} k"

    def ms(v):
        return f"{v * 1e3:.2f} ms"

    def percent(v):
        return f"{100 * v:.1f} %"

    def megabytes(v):
        return f"{v / 1e6:.0f} MB"

    def add(name, cases):
        if not wanted(name):
            return
        for case, found in cases():
            table.run({"case": f"http: {case}", "runs": found})
            if not found:
                print(f"http: left out, {case} here (Debian package wrk)")
                continue
            yield case, found

    # Requests per second: goal in thousands, Flink 2.3.0 there.
    goals = {"/overview": (100, "7 k"), "/jobs/:jobid": (70, "34 k, from a cache of 3 s"), "/config": (100, "60 k"),
             "subtask metrics, 3 names": (80, "39 k")}
    for case, found in add("requests a second", lambda: http_cases.throughput(runs)):
        goal, flink = goals[case]
        table.line(f"http: {case}, req/s", f">= {goal} k", [f["requests_per_s"] for f in found], count, flink)
        table.line(f"http: {case}, p99", "< 2 ms", [f["p99_s"] for f in found], ms, "4-8 ms")
    for case, found in add("saturated", lambda: http_cases.saturated(min(runs, 3))):
        rows = statistics.median(f["rows_per_s"] for f in found)
        table.line(f"http: {case}, p99", "< 20 ms", [f["p99_s"] for f in found], ms, notes=f"median {ms(statistics.median(f['median_s'] for f in found))}")
        client = statistics.median(f["client_cores"] for f in found)
        table.line("http: what the engine loses by it", "< 5 %", [f["lost"] for f in found], percent,
                   notes=f"by rows per CPU-second; {millions(rows)} rows/s, client {percent(client)} of a core")
    for case, found in add("upload", lambda: http_cases.upload(runs)):
        table.line(f"http: {case}, part of dd's speed", ">= 70 %", [f["part_of_dd"] for f in found], percent,
                   notes=f"{statistics.median(f['seconds'] for f in found):.2f} s, dd {statistics.median(f['dd_s'] for f in found):.2f} s")
        table.line("http: memory above idle meanwhile", "< 10 MB", [f["more_bytes"] for f in found], megabytes)
    for case, found in add("ended jobs", lambda: http_cases.ended_jobs(runs)):
        table.line(f"http: {case}", "< 20 ms", [f["seconds"] for f in found], ms, notes=f"{megabytes(found[0]['resident_bytes'])} in all")
    for case, found in add("wide", lambda: http_cases.wide(runs)):
        for name in ("details", "vertex", "metrics"):
            table.line(f"http: {case}, {name}", "< 50 ms", [f[f"{name}_s"] for f in found], ms)
        table.line(f"http: {case}, TaskManager", "< 1500 MB", [f["task_manager_bytes"] for f in found], megabytes,
                   notes=f"all tasks after {found[0]['running_s']:.1f} s, JobManager {megabytes(found[0]['job_manager_bytes'])}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    table = Table(args.json)
    generator = speed(table, args.only, args.runs)
    table.head("the rest")
    latency(table, args.only, args.runs)
    api(table, args.only, args.runs)
    compile_time(table, args.only, args.runs)
    cluster(table, args.only, args.runs, generator)
    http(table, args.only, args.runs)


if __name__ == "__main__":
    main()
