"""The cases that need a cluster of processes: start, idle, recover, checkpoint. Each yields (case, figures) for bench/run.py.

State of recover and checkpoint: 8 M keys of 100 bytes (job `state` of bench/jobs), two slots, exactly once, files on the local disk.
"""
import os
import signal
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests/e2e"))
from cluster import BUILD, Cluster, until  # noqa: E402
from pages import small_pages  # noqa: E402

JAR = os.path.join(BUILD, "examples", "bench_jobs.jar")
KEYS, RATE = 8_000_000, 16_000  # in 5 s one row in a hundred is touched
NO_DELAY = ("-Drestart-strategy.type=fixed-delay", "-Drestart-strategy.fixed-delay.attempts=1000000", "-Drestart-strategy.fixed-delay.delay=0s")


def tree(pid):
    """A process and its children."""
    found = [pid]
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat") as f:
                    if int(f.read().rsplit(")", 1)[1].split()[1]) == pid:
                        found.append(int(name))
            except OSError:
                pass
    return found


def resident(pid):
    total = 0
    for p in tree(pid):
        with open(f"/proc/{p}/status") as f:
            total += next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmRSS"))
    return total


def cpu_seconds(pid):
    total = 0
    for p in tree(pid):
        with open(f"/proc/{p}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


class Job:
    def __init__(self, cluster, jar, arguments, configuration=None):
        """arguments: the entry, then what the program gets."""
        self.cluster = cluster
        status, answer = cluster.run(jar, arguments[1:], entryClass=arguments[0], parallelism=2, flinkConfiguration=configuration or {})
        if status != 200:
            raise RuntimeError(f"{arguments}: {status} {answer}")
        self.id = answer["jobid"]

    def detail(self):
        return self.cluster.get(f"/jobs/{self.id}")

    def is_running(self):
        d = self.detail()
        return d["state"] == "RUNNING" and all(v["status"] == "RUNNING" and v["tasks"]["RUNNING"] == v["parallelism"] for v in d["vertices"])

    def rows(self):
        """That the keyed operator has read."""
        return next(v["metrics"]["read-records"] for v in self.detail()["vertices"] if "touch" in v["name"])

    def checkpoints(self):
        """Completed ones, oldest first."""
        history = self.cluster.get(f"/jobs/{self.id}/checkpoints")["history"]
        return sorted((h for h in history if h["status"] == "COMPLETED"), key=lambda h: h["id"])

    def checkpoint_after(self, time_ms, seconds=60):
        """The first completed one that was triggered after the instant."""
        return until("a checkpoint", seconds, lambda: next((h for h in self.checkpoints() if h["trigger_timestamp"] > time_ms), None))

    def cancel(self):
        self.cluster.call("PATCH", f"/jobs/{self.id}?mode=cancel")
        until("the job's end", 30, lambda: self.cluster.state(self.id) == "CANCELED")


def start(runs):
    """Seconds from exec to the first 200 on /overview and to a registered TaskManager; resident bytes a second later."""
    found = []
    for _ in range(runs):
        cluster = Cluster("bench-start")
        first = registered = None
        begin = time.monotonic()
        cluster.launch()
        try:
            while registered is None and time.monotonic() - begin < 20:
                url = cluster.address()
                if url is None:
                    continue
                cluster.url = url
                try:
                    overview = cluster.get("/overview")
                except OSError:
                    continue
                first = first or time.monotonic() - begin
                if overview["taskmanagers"]:
                    registered = time.monotonic() - begin
            time.sleep(1)
            found.append({"first_200_s": first, "registered_s": registered, "idle_bytes": resident(cluster.process.pid)})
        finally:
            cluster.stop()
    yield "start", found


def idle_after_jobs(jobs=20, wait=30):
    """Resident bytes of all processes, `wait` seconds after the last of `jobs` jobs has ended."""
    with Cluster("bench-idle") as cluster:
        jar = cluster.upload(JAR)
        for _ in range(jobs):
            job = Job(cluster, jar, ["keyed_sum", "--rows", "2000000", "--parallelism", "2"])
            cluster.finish(job.id, 60)
        time.sleep(wait)
        yield "idle_after_jobs", [{"idle_bytes": resident(cluster.process.pid), "jobs": jobs}]


def state_arguments(touch, rate):
    return ["state", "--keys", str(KEYS), "--touch", touch, "--rate", str(rate), "--parallelism", "2"]


def load(cluster, jar, touch, rate, interval=None):
    """(job with all keys loaded, seconds that took)"""
    begin = time.monotonic()
    more = {"execution.checkpointing.interval": interval} if interval else {}
    job = Job(cluster, jar, state_arguments(touch, rate), more)
    until("the keys", 120, lambda: job.rows() >= KEYS)
    return job, time.monotonic() - begin


def checkpoints(job, count):
    """`count` completed ones after a first that holds what was loaded."""
    base = job.checkpoint_after(time.time() * 1000)
    found = []
    last = base
    for _ in range(count):
        last = job.checkpoint_after(last["trigger_timestamp"])
        found.append({"seconds": last["end_to_end_duration"] / 1000, "written_bytes": last["checkpointed_size"],
                      "state_bytes": last["state_size"], "written_part": last["checkpointed_size"] / max(last["state_size"], 1)})
    return base, found


def recoveries(cluster, job, runs):
    found = []
    for _ in range(runs):
        pid = cluster.task_manager_pids()[0]
        begin = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        until("the loss to be noticed", 60, lambda: not job.is_running())
        noticed = time.monotonic() - begin
        until("RUNNING again", 120, job.is_running)
        found.append({"seconds": time.monotonic() - begin, "noticed_s": noticed})
        found[-1]["state_bytes"] = job.checkpoint_after(time.time() * 1000)["state_size"]  # all of it is there
    return found


def state_cluster():
    return Cluster("bench-state", *NO_DELAY, "-Dtaskmanager.memory.managed.size=12g")


def recover_and_checkpoint(runs, recover=True, checkpoint=True):
    if not recover and not checkpoint:
        return
    with state_cluster() as cluster:
        jar = cluster.upload(JAR)
        job, seconds = load(cluster, jar, "together", RATE, "5s")
        base, found = checkpoints(job, runs if checkpoint else 1)
        if checkpoint:
            yield "checkpoint, 1 % lying together", found
            yield "checkpoint, all", [{"seconds": base["end_to_end_duration"] / 1000, "written_bytes": base["checkpointed_size"], "load_s": seconds}]
        if recover:
            yield "recover", recoveries(cluster, job, runs)
        job.cancel()
        if checkpoint:
            yield from checkpoints_at_random(cluster, jar, runs)
    if recover:
        with small_pages(), state_cluster() as cluster:
            job, _ = load(cluster, cluster.upload(JAR), "together", RATE, "5s")
            checkpoints(job, 1)
            yield "recover, 4 KiB pages", recoveries(cluster, job, runs)
            job.cancel()


def checkpoints_at_random(cluster, jar, runs):
    job, _ = load(cluster, jar, "random", RATE, "5s")
    # Twice as many: pages are written as a whole now and then, and that belongs to it.
    yield "checkpoint, 1 % at random", checkpoints(job, 2 * runs)[1]
    job.cancel()
    speeds = {}
    for name, interval in (("without", None), ("with", "5s")):
        job, _ = load(cluster, jar, "random", 0, interval)
        if interval:
            job.checkpoint_after(time.time() * 1000)
        begin, rows, cpu = time.monotonic(), job.rows(), cpu_seconds(cluster.process.pid)
        time.sleep(20)
        rows, cpu = job.rows() - rows, cpu_seconds(cluster.process.pid) - cpu
        speeds[name] = {"rows_per_s": rows / (time.monotonic() - begin), "rows_per_cpu_s": rows / cpu}
        if interval:
            speeds[name]["checkpoints"] = [{"seconds": h["end_to_end_duration"] / 1000, "written_bytes": h["checkpointed_size"]}
                                           for h in job.checkpoints()[-4:]]
        job.cancel()
    yield "updates, checkpoint every 5 s", [{"part_of_speed": speeds["with"]["rows_per_s"] / speeds["without"]["rows_per_s"], **speeds}]
