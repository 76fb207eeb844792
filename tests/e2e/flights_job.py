"""The flights job on a cluster under test, and whether what it wrote equals what the independent program says."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "flights"))
import expected  # noqa: E402
from cluster import DATA, FLIGHTS_JAR, Failure, until  # noqa: E402

INPUT = os.path.join(DATA, "flights.csv.zst")
AIRLINES = os.path.join(DATA, "airlines.csv.zst")
# In a leap year the shifted data skips 29 February: what was less than 24 h out of order is less than 48 h there.
LEAP = ("--out-of-orderness", "48h")
RETRY = ("-Drestart-strategy.type=fixed-delay", "-Drestart-strategy.fixed-delay.attempts=1000", "-Drestart-strategy.fixed-delay.delay=100ms")


def arguments(output, *options):
    return ["--input", INPUT, "--airlines", AIRLINES, "--output", output, *[str(o) for o in options]]


def submit(cluster, output, *options, **body):
    """Uploads and starts it; `body` is the request's. Its id."""
    status, answer = cluster.run(cluster.upload(FLIGHTS_JAR), arguments(output, *options), **body)
    if status != 200:
        raise Failure(f"run: {status} {answer}")
    return answer["jobid"]


def check(output, years=1):
    problems = expected.compare(output, INPUT, AIRLINES, years)
    if problems:
        raise Failure(problems)


def completed_checkpoints(cluster, job):
    return cluster.get(f"/jobs/{job}/checkpoints")["counts"]["completed"]


def progressed(cluster, job, checkpoints=2):
    until(f"{checkpoints} checkpoints", 30, lambda: completed_checkpoints(cluster, job) >= checkpoints)


def restored(cluster, job):
    """The checkpoint that the running attempts went on from; None when they began at the beginning."""
    return cluster.get(f"/jobs/{job}/checkpoints")["latest"]["restored"]


def state_folder(cluster):
    """Where the checkpoints of the cluster's only job are."""
    root = os.path.join(cluster.directory, "checkpoints")
    return os.path.join(root, os.listdir(root)[0])


def state_files(cluster, newest_only):
    """Files of the newest checkpoint alone, or of all."""
    folder = state_folder(cluster)
    newest = max(int(name[4:]) for name in os.listdir(folder) if name.startswith("chk-"))
    return [os.path.join(folder, name) for name in os.listdir(folder)
            if name.endswith(".state") and (not newest_only or int(name.split("-")[2]) >= newest)]


def flip(path, from_end=None):
    """Turns over one bit, in the middle or so many bytes from the end."""
    with open(path, "r+b") as f:
        f.seek(os.path.getsize(path) - from_end if from_end else os.path.getsize(path) // 2)
        byte = f.read(1)
        f.seek(-1, os.SEEK_CUR)
        f.write(bytes([byte[0] ^ 0x10]))
