#!/usr/bin/env python3
"""Runs Apache Flink 2.3.0 and Drey in turn on this machine, over the same data, and prints the ratio of each case.

    bench/flink/run.py                        all cases, three runs each
    bench/flink/run.py --only keyed_sum,flights --runs 1 --scale 0.1
    bench/flink/run.py --verify --scale 0.1   also compares count and digest of the results with each other
    bench/flink/run.py --json                 one JSON line a run

Downloads Flink (the package apache-flink-libraries of pip) once below build/flink; needs Java 17 with javac. A case gets a fresh
TaskManager, and its runs follow each other on that one: the first is the coldest. rows per CPU-second: Flink's is that of the
TaskManager alone, from /proc; Drey's is that of the whole process. Settings and limits: README.md beside this file.
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

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import flink_dist  # noqa: E402

BENCH = os.path.join(ROOT, "build/release/bin/drey-bench")
DATA = os.path.join(ROOT, "build/bench-data")
WORK = os.path.join(ROOT, "build/flink")
VERSION = "2.3.0"
PORT = int(os.environ.get("PORT", "28081"))
URL = f"http://127.0.0.1:{PORT}"
CLUSTER = {"PEERBENCH_WORK": WORK, "PORT": str(PORT)}
M = 1_000_000
WORDS, FLIGHTS = 24 * M, 336_776 * 20  # of drey-bench data without options
PINNED = {"SLOTS": "1", "PIN": "1"}
CKPT = {"execution.checkpointing.interval": "10s"}
TERMINAL = {"FINISHED", "FAILED", "CANCELED"}

# name, rows, folder of the data, settings of the cluster, settings of the job
CASES = [
    ("generate", 200 * M, None, {}, {}),
    ("exchange", 90 * M, None, {}, {}),
    ("keyed_sum", 36 * M, None, {}, {}),
    ("chain", 150 * M, None, {}, {}),
    ("window", 50 * M, None, {}, {}),
    ("wordcount", WORDS, "words", {}, {}),
    ("flights", FLIGHTS, "flights", {}, {}),
    ("exchange@1core", 40 * M, None, PINNED, {}),
    ("keyed_sum@1core", 12 * M, None, PINNED, {}),
    ("chain@1core", 90 * M, None, PINNED, {}),
    ("window@1core", 20 * M, None, PINNED, {}),
    ("keyed_sum@ckpt", 30 * M, None, {}, CKPT),
]


def log(text):
    print(text, file=sys.stderr, flush=True)


def build():
    """The distribution, our jobs as a jar in its lib folder, and the data."""
    if shutil.which("javac") is None:
        sys.exit("bench/flink: javac is missing; by hand: apt-get install openjdk-17-jdk-headless")
    flink = os.path.join(WORK, "flink")
    if not os.path.isdir(flink):
        log("downloading Flink ...")
        os.makedirs(WORK, exist_ok=True)
        try:
            flink_dist.fetch(f"apache-flink-libraries=={VERSION}", flink)
        except RuntimeError as why:
            sys.exit(f"bench/flink: {why}")
    classes = os.path.join(WORK, "classes")
    jar = os.path.join(WORK, "jars", "peerbench.jar")
    java = os.path.join(HERE, "java", "peerbench")
    sources = [os.path.join(java, name) for name in sorted(os.listdir(java))]
    if not os.path.exists(jar) or os.path.getmtime(jar) < max(map(os.path.getmtime, sources)):
        shutil.rmtree(classes, ignore_errors=True)
        os.makedirs(os.path.dirname(jar), exist_ok=True)
        subprocess.run(["javac", "--release", "17", "-nowarn", "-cp", f"{flink}/lib/*", "-d", classes, *sources], check=True)
        subprocess.run(["jar", "cf", jar, "-C", classes, "."], check=True)
        # In lib as well, loaded parent first: code compiled by the JVM then outlives one job.
        shutil.copy(jar, os.path.join(flink, "lib"))
    if not os.path.exists(os.path.join(DATA, "data.json")):
        log("writing the data ...")
        subprocess.run([BENCH, "data", DATA], check=True)


def script(verb, settings):
    subprocess.run([os.path.join(HERE, "flink_cluster.sh"), verb], check=True, env={**os.environ, **CLUSTER, **settings}, stdout=sys.stderr)


def rest(path, body=None):
    data = json.dumps(body).encode() if body is not None else None
    with urllib.request.urlopen(urllib.request.Request(URL + path, data, {"Content-Type": "application/json"}), timeout=120) as reply:
        return json.load(reply)


def upload():
    """Flink's names for our jar."""
    reply = subprocess.run(["curl", "-sf", "-F", f"jarfile=@{WORK}/jars/peerbench.jar", f"{URL}/jars/upload"], check=True, capture_output=True, text=True)
    return os.path.basename(json.loads(reply.stdout)["filename"])


def task_manager_cpu():
    with open(f"{WORK}/run/{PORT}/tm.pid") as f:
        pid = f.read().strip()
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run_flink(jar, case, rows, folder, slots, conf, verify):
    arguments = ["--case", case.partition("@")[0]] + (["--path", f"{DATA}/{folder}"] if folder else ["--rows", str(rows)])
    before = task_manager_cpu()
    job = rest(f"/jars/{jar}/run", {"entryClass": "peerbench.StreamCases", "programArgsList": arguments + (["--verify"] if verify else []),
                                    "parallelism": slots, "flinkConfiguration": conf})["jobid"]
    end = time.monotonic() + 600
    while (detail := rest(f"/jobs/{job}"))["state"] not in TERMINAL:
        if time.monotonic() > end:
            sys.exit(f"{case}: Flink's job did not end within 600 s")
        time.sleep(0.25)
    cpu = task_manager_cpu() - before
    if detail["state"] != "FINISHED":
        sys.exit(f"{case}: Flink's job is {detail['state']}: {rest(f'/jobs/{job}/exceptions')}")
    seconds = detail["duration"] / 1000
    out = {"engine": "flink", "case": case, "rows": rows, "parallelism": slots, "seconds": seconds, "rows_per_s": rows / seconds,
           "cpu_seconds": cpu, "rows_per_cpu_s": rows / cpu}
    if verify:
        tally = {a["name"]: int(a["value"]) for a in rest(f"/jobs/{job}/accumulators")["user-task-accumulators"]}
        out.update(results=tally["results"], digest=tally["digest"])
    return out


def run_drey(case, rows, folder, slots, pin, verify):
    state = os.path.join(WORK, "drey-state")
    shutil.rmtree(state, ignore_errors=True)
    command = [BENCH, case, "--parallelism", str(slots), "--data", DATA] + ([] if folder else ["--rows", str(rows)])
    command += (["--state-dir", state] if case.endswith("@ckpt") else []) + (["--verify"] if verify else [])
    done = subprocess.run((["taskset", "-c", pin] if pin else []) + command, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stderr}")
    return {"engine": "drey", **json.loads(done.stdout), "case": case}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="cases, with commas between them")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="part of the rows of the generator cases")
    parser.add_argument("--verify", action="store_true")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that Flink does not outlive us
    names = {c[0] for c in CASES}
    only = set(filter(None, args.only.split(","))) or names
    if only - names:
        parser.error(f"no such case: {', '.join(sorted(only - names))}; there are {', '.join(c[0] for c in CASES)}")
    build()
    if not args.json:
        print(f"{'case':<18} {'Flink ' + VERSION:>22} {'Drey':>22} {'ratio':>13}\n{'':<18} {'rows/s  per CPU-s':>22} {'rows/s  per CPU-s':>22} {'wall    CPU':>13}")
    differ = []
    try:
        for case, rows, folder, settings, conf in CASES:
            if case not in only:
                continue
            slots = int(settings.get("SLOTS", "2"))
            if folder is None:
                rows = max(int(rows * args.scale) // slots, 1) * slots
            script("start", settings)
            jar = upload()
            runs = {"flink": [], "drey": []}
            for _ in range(args.runs):
                runs["flink"].append(run_flink(jar, case, rows, folder, slots, conf, args.verify))
                runs["drey"].append(run_drey(case, rows, folder, slots, settings.get("PIN"), args.verify))
                for engine in ("flink", "drey"):
                    if args.json:
                        print(json.dumps(runs[engine][-1]), flush=True)
            script("stop", settings)
            if args.verify and len({(r["results"], r["digest"]) for r in runs["flink"] + runs["drey"]}) != 1:
                differ.append(case)
            wall, cpu = ({e: statistics.median(r[key] for r in runs[e]) for e in runs} for key in ("rows_per_s", "rows_per_cpu_s"))
            if not args.json:
                print(f"{case:<18}" + "".join(f" {wall[e] / M:>11.2f} M {cpu[e] / M:>6.2f} M" for e in ("flink", "drey"))
                      + f" {wall['drey'] / wall['flink']:>5.1f} {cpu['drey'] / cpu['flink']:>7.1f}", flush=True)
    finally:
        script("stop", {})
    if differ:
        sys.exit(f"the results differ: {', '.join(differ)}")
    if args.verify:
        log("counts and digests are the same")


if __name__ == "__main__":
    main()
