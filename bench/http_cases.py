"""The cases of the REST API under load. Each yields (case, figures) for bench/run.py. Needs wrk for the requests per second."""
import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import threading
import time

from cluster_cases import JAR, Job, cpu_seconds, resident
from cluster import BUILD, Cluster, until

CONNECTIONS, SECONDS = 16, 8
THREE_METRICS = "get=numRecordsIn,numRecordsOut,busyTimeMsPerSecond"


def wrk(url):
    """Requests per second and the 99th percentile in seconds, over CONNECTIONS connections that are kept."""
    done = subprocess.run(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--latency", url], capture_output=True, text=True, timeout=SECONDS + 30, check=True)
    if re.search(r"Non-2xx|Socket errors", done.stdout):
        raise RuntimeError(f"{url}: {done.stdout}")
    late, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", done.stdout).groups()
    return {"requests_per_s": float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)[1]),
            "p99_s": float(late) * {"us": 1e-6, "ms": 1e-3, "s": 1}[unit]}


def request_of(cluster, path):
    host, port = cluster.url.removeprefix("http://").split(":")
    return (host, int(port)), f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


def read_answer(connection, buffer):
    """The body of one answer; what came behind it stays in the buffer."""
    while (end := buffer.find(b"\r\n\r\n")) < 0:
        buffer += connection.recv(1 << 16) or b"HTTP/1.1 0 closed\r\n\r\n"
    head = bytes(buffer[:end]).lower()
    if not head.startswith(b"http/1.1 200"):
        raise RuntimeError(head[:100])
    size = int(re.search(rb"content-length: (\d+)", head)[1])
    del buffer[:end + 4]
    while len(buffer) < size:
        more = connection.recv(1 << 20)
        if not more:
            raise RuntimeError("the connection was closed")
        buffer += more
    body = bytes(buffer[:size])
    del buffer[:size]
    return body


def latencies(cluster, path, count):
    """Seconds of `count` requests one after the other."""
    address, request = request_of(cluster, path)
    found, buffer = [], bytearray()
    with socket.create_connection(address, timeout=60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(count):
            begin = time.monotonic()
            connection.sendall(request)
            read_answer(connection, buffer)
            found.append(time.monotonic() - begin)
    return found


def throughput(runs):
    """3 vertices x 2 subtasks that touch little; the same paths again and again."""
    if not shutil.which("wrk"):
        yield "no wrk", []
        return
    with Cluster("bench-http") as cluster:
        jar = cluster.upload(JAR)
        job = Job(cluster, jar, ["state", "--keys", "1000", "--touch", "random", "--rate", "1000", "--parallelism", "2"])
        until("all tasks", 30, job.is_running)
        vertex = next(v["id"] for v in job.detail()["vertices"] if "touch" in v["name"])
        for name, path in (("/overview", "/overview"), ("/jobs/:jobid", f"/jobs/{job.id}"), ("/config", "/config"),
                           ("subtask metrics, 3 names", f"/jobs/{job.id}/vertices/{vertex}/subtasks/0/metrics?{THREE_METRICS}")):
            yield name, [wrk(cluster.url + path) for _ in range(runs)]
        job.cancel()


def saturated(runs, rate=500, seconds=6):
    """A constant rate of requests while a job takes all there is, and what the job loses by it.

    drey-load counts a latency from when its request was due. What the job loses is told in rows per CPU-second of all the
    cluster's processes, the one that answers included: what the client takes, or anybody else, does not count as the requests'.
    """
    with Cluster("bench-saturated") as cluster:
        jar = cluster.upload(JAR)
        job = Job(cluster, jar, ["keyed_sum", "--rows", "100000000000", "--keys", "1000000", "--parallelism", "2"])
        until("all tasks", 30, job.is_running)
        vertex = job.detail()["vertices"][-1]["id"]
        # What a dashboard asks for a job it shows.
        paths = ["/overview", "/jobs/overview", f"/jobs/{job.id}", f"/jobs/{job.id}/vertices/{vertex}/subtasks/metrics?{THREE_METRICS}"]

        def rows():
            return sum(v["metrics"]["read-records"] for v in job.detail()["vertices"])

        def speed(body):
            before, begin, cpu = rows(), time.monotonic(), cpu_seconds(cluster.process.pid)
            said = body()
            more = rows() - before
            return more / (time.monotonic() - begin), more / (cpu_seconds(cluster.process.pid) - cpu), said

        def load():
            command = [os.path.join(BUILD, "bin/drey-load"), cluster.url.rsplit(":", 1)[1], str(rate), str(seconds), *paths]
            return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds + 60).stdout)

        time.sleep(3)
        found = []
        _, alone, _ = speed(lambda: time.sleep(seconds))
        for _ in range(runs):
            before = alone
            per_s, with_load, said = speed(load)
            _, alone, _ = speed(lambda: time.sleep(seconds))
            without = (before + alone) / 2
            found.append({**said, "rows_per_s": per_s, "rows_per_cpu_s": with_load, "rows_per_cpu_s_without": without,
                          "client_cores": said["cpu_s"] / said["seconds"], "lost": 1 - with_load / without})
        yield f"{rate} requests/s, engine saturated", found
        job.cancel()


def upload(runs, megabytes=500):
    """A jar of that size against dd to the same disk: one before and one after each upload, since a disk is not always as fast."""
    with Cluster("bench-upload") as cluster:
        path = os.path.join(cluster.base, "big")
        with open(path, "wb") as f:
            block = os.urandom(1 << 20)
            for _ in range(megabytes):
                f.write(block)
            os.fsync(f.fileno())  # nothing of it is written while something else is measured
        with open(path, "rb") as f:  # into the page cache
            while f.read(1 << 22):
                pass
        address, _ = request_of(cluster, "/")
        head = b'--xyz\r\nContent-Disposition: form-data; name="jarfile"; filename="big.jar"\r\n\r\n'
        tail = b"\r\n--xyz--\r\n"
        size = len(head) + (megabytes << 20) + len(tail)

        def dd():
            copy = os.path.join(cluster.base, "copy")
            begin = time.monotonic()
            subprocess.run(["dd", f"if={path}", f"of={copy}", "bs=1M", "conv=fsync"], check=True, capture_output=True)
            seconds = time.monotonic() - begin
            os.remove(copy)
            return seconds

        found, after = [], dd()
        for _ in range(runs):
            before, idle = after, resident_of(cluster.process.pid)
            most = [idle]
            done = threading.Event()

            def watch():
                while not done.wait(0.02):
                    most[0] = max(most[0], resident_of(cluster.process.pid))

            watcher = threading.Thread(target=watch)
            watcher.start()
            begin = time.monotonic()
            with socket.create_connection(address, timeout=120) as connection, open(path, "rb") as f:
                connection.sendall(f"POST /jars/upload HTTP/1.1\r\nHost: {address[0]}\r\nContent-Type: multipart/form-data; boundary=xyz\r\n"
                                   f"Content-Length: {size}\r\n\r\n".encode() + head)
                connection.sendfile(f)
                connection.sendall(tail)
                answer = read_answer(connection, bytearray())
            seconds = time.monotonic() - begin
            done.set()
            watcher.join()
            for line in answer.decode().split('"'):
                if line.endswith("_big.jar"):
                    cluster.call("DELETE", "/jars/" + os.path.basename(line))
            after = dd()
            found.append({"seconds": seconds, "dd_s": (before + after) / 2, "part_of_dd": (before + after) / 2 / seconds, "more_bytes": most[0] - idle})
        os.remove(path)
        yield f"upload of {megabytes} MB", found


def resident_of(pid):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmRSS"))


def ended_jobs(runs, count=10_000):
    """/jobs/overview with so many ended jobs: one that ran, copied in the store."""
    with Cluster("bench-history", "-Djobstore.max-capacity=20000") as cluster:
        jar = cluster.upload(JAR)
        job = Job(cluster, jar, ["keyed_sum", "--rows", "2000", "--parallelism", "2"])
        cluster.finish(job.id, 60)
        cluster.stop()
        store = next(os.path.join(at, name) for at, _, names in os.walk(cluster.directory) for name in names if name.endswith((".db", ".sqlite")))
        database = sqlite3.connect(store)
        (blob,) = database.execute("SELECT job FROM jobs WHERE id=?", (job.id,)).fetchone()
        mine = bytes.fromhex(job.id)
        for i in range(1, count):
            other = i.to_bytes(16, "big")
            database.execute("INSERT INTO jobs(id, job) VALUES(?,?)", (other.hex(), blob.replace(mine, other)))
        database.commit()
        database.close()
        cluster.start()
        jobs = len(cluster.get("/jobs/overview")["jobs"])
        if jobs != count:
            raise RuntimeError(f"{jobs} jobs instead of {count}")
        found = []
        for _ in range(runs):
            time.sleep(0.2)  # so that none is answered from what was made before
            found.append({"seconds": latencies(cluster, "/jobs/overview", 1)[0], "resident_bytes": resident(cluster.process.pid)})
        yield f"/jobs/overview, {count} ended jobs", found


def wide(runs, parallelism=1024, rate=100_000):
    """A job of that parallelism with one hash edge."""
    with Cluster("bench-wide", f"-Dtaskmanager.numberOfTaskSlots={parallelism}") as cluster:
        jar = cluster.upload(JAR)
        begin = time.monotonic()
        arguments = ["exchange", "--rows", str(parallelism * 100_000_000), "--rate", str(rate), "--parallelism", str(parallelism)]
        status, answer = cluster.run(jar, arguments[1:], entryClass=arguments[0], parallelism=parallelism)
        if status != 200:
            raise RuntimeError(answer)
        job = answer["jobid"]

        def is_running():
            vertices = cluster.get(f"/jobs/{job}")["vertices"]
            return all(v["tasks"]["RUNNING"] == parallelism for v in vertices) and vertices[1]["metrics"]["read-records"] > 0 and vertices

        vertices = until("all tasks", 120, is_running)
        running = time.monotonic() - begin
        time.sleep(10)
        vertex = vertices[1]["id"]
        manager = cluster.task_manager_pids()[0]
        found = []
        for _ in range(runs):
            one = {"running_s": running, "task_manager_bytes": resident_of(manager), "job_manager_bytes": resident_of(cluster.process.pid)}
            for name, path in (("details", f"/jobs/{job}"), ("vertex", f"/jobs/{job}/vertices/{vertex}"),
                               ("metrics", f"/jobs/{job}/vertices/{vertex}/subtasks/metrics?{THREE_METRICS}")):
                time.sleep(0.2)
                one[f"{name}_s"] = latencies(cluster, path, 1)[0]
            found.append(one)
        cluster.call("PATCH", f"/jobs/{job}?mode=cancel")
        until("the job's end", 60, lambda: cluster.state(job) == "CANCELED")
        yield f"parallelism {parallelism}", found
