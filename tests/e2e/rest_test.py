"""The REST API of a live cluster: logs, stacks, profiles, submission of graphs, logins, TLS, the end."""
import http.client
import json
import os
import re
import shutil
import ssl
import subprocess
import urllib.request

from cluster import DATA, DREY, FLIGHTS_JAR, Cluster, Failure, Skip, folder, main, until


def expect(what, wanted, found):
    if wanted != found:
        raise Failure(f"{what}: {found!r}, not {wanted!r}")


def plain(cluster, path, headers=None):
    """(status, headers, bytes) of a GET."""
    host, port = cluster.url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    connection.request("GET", path, headers=headers or {})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer, body


def flights(cluster, name, *arguments):
    return ["--input", os.path.join(DATA, "flights.csv.zst"), "--airlines", os.path.join(DATA, "airlines.csv.zst"), "--output",
            os.path.join(cluster.base, name), *[str(a) for a in arguments]]


def logs_stacks_and_profiles_of_a_running_job():
    with Cluster("rest_inspect") as cluster:
        status, answer = cluster.run(cluster.upload(FLIGHTS_JAR), flights(cluster, "out", "--years", 10000), parallelism=2)
        expect("run", 200, status)
        job = answer["jobid"]
        until("RUNNING", 30, lambda: cluster.state(job) == "RUNNING")
        # Logs of both processes, whole, in parts and their ends.
        manager = cluster.get("/taskmanagers")["taskmanagers"][0]
        expect("memory of the machine", os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), manager["hardware"]["physicalMemory"])
        tm = manager["id"]
        names = [log["name"] for log in cluster.get("/jobmanager/logs")["logs"]]
        if "jobmanager.log" not in names:
            raise Failure(names)
        expect("only its own", True, all(n["name"].startswith("taskmanager-1.") for n in cluster.get(f"/taskmanagers/{tm}/logs")["logs"]))
        for path in ("/jobmanager/log", "/jobmanager/logs/jobmanager.log", f"/taskmanagers/{tm}/log"):
            status, answer, body = plain(cluster, path)
            expect(path, (200, "text/plain"), (status, answer.getheader("content-type")))
            if not body:
                raise Failure(f"{path} is empty")
        expect("tail", 10, len(plain(cluster, "/jobmanager/log?tail=10")[2]))
        expect("stdout", 200, plain(cluster, f"/taskmanagers/{tm}/stdout")[0])
        # CVE-2020-17519 in all its spellings: no way out of the directory.
        for name in ("../cluster/secret", "..%2fsecret", "..%252fsecret", "%2e%2e%2fsecret", "..%252f..%252f..%252fetc%252fpasswd",
                     "%252e%252e%252fsecret", "..%5csecret", "..%255csecret", "secret%00", "..", "%252e%252e"):
            for base in ("/jobmanager/logs/", f"/taskmanagers/{tm}/logs/"):
                status, _, body = plain(cluster, base + name)
                if status not in (400, 404) or b"root:" in body:
                    raise Failure(f"{base}{name}: {status} {body[:80]}")
        # Stacks: of the right vertex, with the engine's names.
        vertex = next(v["id"] for v in cluster.get(f"/jobs/{job}")["vertices"] if v["name"].startswith("Source: flights"))

        def graph(kind):
            found = cluster.get(f"/jobs/{job}/vertices/{vertex}/flamegraph?type={kind}")
            return found if found["endTimestamp"] > 0 and found["data"]["value"] > 0 else None

        whole = until("a flame graph", 60, lambda: graph("full"))
        # Samples within a library without frame pointers (zstd) end at its border; others show the engine.
        until("the engine's names on the processor", 60, lambda: (g := graph("on_cpu")) and "drey::runtime::Task::step" in json.dumps(g))
        expect("names", ["name", "value", "children"], list(whole["data"]))
        dump = "".join(t["stringifiedThreadInfo"] for t in cluster.get(f"/taskmanagers/{tm}/thread-dump")["threadInfos"])
        if '"drey-worker-0" Id=' not in dump or "\n\tat " not in dump:
            raise Failure(dump[:500])
        if '"jobmanager" Id=' not in "".join(t["stringifiedThreadInfo"] for t in cluster.get("/jobmanager/thread-dump")["threadInfos"]):
            raise Failure("no thread of the JobManager")
        # A profile, and its page.
        status, started = cluster.call("POST", f"/taskmanagers/{tm}/profiler", b'{"mode":"ITIMER","duration":1}')
        expect("profile", (200, "RUNNING"), (status, started["status"]))

        def done():
            first = cluster.get(f"/taskmanagers/{tm}/profiler")["profilingList"][0]
            return first if first["status"] == "FINISHED" else None

        page = plain(cluster, f"/taskmanagers/{tm}/profiler/{until('the profile', 60, done)['outputFile']}")[2]
        if b"Task::step" not in page:
            raise Failure(page[:200])
        # What the metrics pages need.
        for path in ("/jobmanager/metrics", f"/taskmanagers/{tm}/metrics"):
            names = {m["id"] for m in cluster.get(path)}
            for name in ("Status.JVM.Memory.Heap.Used", "Status.JVM.Threads.Count", "Status.JVM.CPU.Time"):
                if name not in names:
                    raise Failure(f"{path} lacks {name}")
        get = "backPressuredTimeMsPerSecond,busyTimeMsPerSecond,numRecordsInPerSecond"
        expect("graph metrics", 3, len(cluster.get(f"/jobs/{job}/vertices/{vertex}/subtasks/metrics?get={get}")))
        text = plain(cluster, "/metrics")[2].decode()
        if f'flink_taskmanager_job_task_numRecordsIn{{job_id="{job}"' not in text:
            raise Failure(text[:300])


def metrics_of_a_running_job():
    both = lambda names: {n for name in names.split() for n in (name, name + "PerSecond")}
    with Cluster("rest_metrics") as cluster:
        job = cluster.run(cluster.upload(FLIGHTS_JAR), flights(cluster, "out", "--years", 10000, "--checkpoint-interval", "300ms"), parallelism=2)[1]["jobid"]
        until("checkpoints", 60, lambda: cluster.get(f"/jobs/{job}/checkpoints")["counts"]["completed"] >= 2)
        vertices = cluster.get(f"/jobs/{job}")["vertices"]

        def names(path):
            return {m["id"] for m in cluster.get(path)}

        def value(path, name):
            return cluster.get(f"{path}?get={name}")[0]["value"]

        def lacks(what, wanted, found):
            if wanted - found:
                raise Failure(f"{what} lacks {sorted(wanted - found)}")

        inputs = "numBytesInLocal numBytesInRemote numBuffersInLocal numBuffersInRemote"
        task = both(f"numRecordsIn numRecordsOut numBytesIn numBytesOut numBuffersOut numFiredTimers {inputs}")
        task |= {f"Shuffle.Netty.Input.{n}" for n in both(inputs)}
        task |= {f"Shuffle.Netty.Input.Buffers.{n}" for n in ("inPoolUsage", "inputQueueLength", "inputQueueSize", "inputExclusiveBuffersUsage")}
        task |= {f"Shuffle.Netty.Output.Buffers.{n}" for n in ("outPoolUsage", "outputQueueLength", "outputQueueSize")}
        task |= {f"buffers.{n}" for n in ("inPoolUsage", "inputQueueLength", "outPoolUsage", "outputQueueLength", "inputExclusiveBuffersUsage")}
        task |= set("""busyTimeMsPerSecond idleTimeMsPerSecond backPressuredTimeMsPerSecond softBackPressuredTimeMsPerSecond
            maxSoftBackPressureTimeMs isBackPressured accumulateBusyTimeMs accumulateIdleTimeMs accumulateBackPressuredTimeMs
            checkpointAlignmentTime checkpointStartDelayNanos initializationTime mailboxMailsPerSecond mailboxQueueSize""".split())
        task |= {f"mailboxLatencyMs_{n}" for n in "min max mean median stddev p75 p90 p95 p98 p99 p999".split()}
        everywhere = set()
        for vertex in vertices:
            for subtask in (0, 1):
                path = f"/jobs/{job}/vertices/{vertex['id']}/subtasks/{subtask}/metrics"
                found = until("a letter", 30, lambda: (lambda n: n if "mailboxLatencyMs_max" in n else None)(names(path)))
                lacks(f"{vertex['name']} {subtask}", task | (set() if vertex["name"].startswith("Source:") else {"currentInputWatermark"}), found)
                everywhere |= found
        operators = {name.split(".", 1)[1] for name in everywhere if "." in name}
        lacks("all operators", both("numRecordsIn numRecordsOut numBytesIn numBytesOut") | set(
            """currentInputWatermark currentOutputWatermark numRecordsSend numBytesSend currentSendTime pendingCommittables
            numLateRecordsDropped currentEmitEventTimeLag watermarkLag sourceIdleTime numRecordsInErrors
            split.0.watermark.currentWatermark""".split()), operators)
        path = f"/jobs/{job}/vertices/{next(v['id'] for v in vertices if not v['name'].startswith('Source:'))}/subtasks/0/metrics"
        for name, form in (("numRecordsIn", r"\d+"), ("numRecordsInPerSecond", r"\d+\.\d+(E\d+)?"), ("busyTimeMsPerSecond", r"\d+\.\d+"),
                           ("Shuffle.Netty.Input.Buffers.inPoolUsage", r"\d\.\d+(E-\d+)?"), ("isBackPressured", "true|false")):
            if not re.fullmatch(form, value(path, name)):
                raise Failure(f"{name} = {value(path, name)}")
        fired = sum(int(value(f"/jobs/{job}/vertices/{v['id']}/subtasks/{s}/metrics", "numFiredTimers")) for v in vertices for s in (0, 1))
        expect("windows fired", True, fired > 0)
        # Of the job: its last checkpoint.
        lacks("the job", set("""uptime downtime createdTime initializingTime deployingTime runningTime restartingTime failingTime cancellingTime
            allSubTasksRunningOrFinishedTime numRestarts numRescales fullRestarts lastCheckpointDuration lastCheckpointSize lastCheckpointFullSize
            lastCheckpointMetadataSize lastCheckpointProcessedData lastCheckpointExternalPath lastCheckpointCompletedTimestamp
            lastCheckpointRestoreTimestamp lastCompletedCheckpointId numberOfCompletedCheckpoints numberOfFailedCheckpoints
            numberOfInProgressCheckpoints totalNumberOfCheckpoints""".split()), names(f"/jobs/{job}/metrics"))

        def same_size():
            got = {m["id"]: m["value"] for m in cluster.get(f"/jobs/{job}/metrics?get=lastCheckpointExternalPath,lastCheckpointMetadataSize")}
            try:
                return os.path.getsize(got["lastCheckpointExternalPath"].removeprefix("file:") + "/_metadata") == int(got["lastCheckpointMetadataSize"])
            except FileNotFoundError:
                return False  # the next one is complete

        until("the size of the last checkpoint's metadata", 30, same_size)
        # Of the processes.
        process = {f"Status.JVM.{n}" for n in """CPU.Load CPU.Time Threads.Count ClassLoader.ClassesLoaded ClassLoader.ClassesUnloaded FileDescriptor.Open
            FileDescriptor.Max Memory.Heap.Used Memory.Heap.Committed Memory.Heap.Max Memory.NonHeap.Used Memory.Metaspace.Used Memory.Direct.Count
            Memory.Direct.MemoryUsed Memory.Direct.TotalCapacity Memory.Mapped.Count Memory.Mapped.MemoryUsed""".split()}
        segments = {f"Status.Shuffle.Netty.{w}Memory{s}" for w in ("Used", "Available", "Total") for s in ("", "Segments")}
        pools = segments | {"Status.Shuffle.Netty.RequestedMemoryUsage", "Status.Network.AvailableMemorySegments", "Status.Network.TotalMemorySegments",
                            "Status.Flink.Memory.Managed.Used", "Status.Flink.Memory.Managed.Total", "Status.JVM.GarbageCollector.All.Count",
                            "Status.JVM.GarbageCollector.All.Time", "Status.JVM.GarbageCollector.All.TimeMsPerSecond"}
        tm = f"/taskmanagers/{cluster.get('/taskmanagers')['taskmanagers'][0]['id']}"
        lacks("the TaskManager", process | pools, names(tm + "/metrics"))
        lacks("the JobManager", process | set("numRunningJobs numRegisteredTaskManagers taskSlotsTotal taskSlotsAvailable".split()), names("/jobmanager/metrics"))
        expect("pools of the JobManager", set(), pools & names("/jobmanager/metrics"))
        load = float(value(tm + "/metrics", "Status.JVM.CPU.Load"))
        expect("load of a TaskManager that works", True, 0 < load <= 1)
        trims = int(value(tm + "/metrics", "Status.JVM.GarbageCollector.All.Count"))
        heap, direct = (cluster.get(tm)["metrics"][k] for k in ("heapUsed", "directUsed"))
        expect("memory in use", True, heap > 0 and direct > 0)
        cluster.call("PATCH", f"/jobs/{job}?mode=cancel")
        until("memory given back", 30, lambda: int(value(tm + "/metrics", "Status.JVM.GarbageCollector.All.Count")) > trims)


def ranges_of_a_log():
    with Cluster("rest_range") as cluster:
        log = os.path.join(cluster.directory, "log", "big.log")
        with open(log, "wb") as f:
            f.write(bytes(range(256)) * 40000)  # more than one piece
        status, _, body = plain(cluster, "/jobmanager/logs/big.log")
        expect("whole", (200, 10240000, True), (status, len(body), body == bytes(range(256)) * 40000))
        status, answer, body = plain(cluster, "/jobmanager/logs/big.log", {"Range": "bytes=256-511"})
        expect("range", (206, bytes(range(256)), "bytes 256-511/10240000"), (status, body, answer.getheader("content-range")))
        expect("end", (206, b"\xfe\xff"), plain(cluster, "/jobmanager/logs/big.log", {"Range": "bytes=-2"})[::2])
        expect("behind", 416, plain(cluster, "/jobmanager/logs/big.log", {"Range": "bytes=99999999-"})[0])
        expect("long tail", 9000000, len(plain(cluster, "/jobmanager/logs/big.log?tail=9000000")[2]))


def a_graph_made_by_the_client_runs():
    with Cluster("rest_submit") as cluster:
        address = cluster.url.removeprefix("http://")
        done = subprocess.run([DREY, "run", "-m", address, "--plan-here", "-p", "2", FLIGHTS_JAR, *flights(cluster, "out")],
                              capture_output=True, text=True, timeout=120)
        expect("run --plan-here", 0, done.returncode)
        first = done.stdout.splitlines()[0]
        if not first.startswith("Job has been submitted with JobID "):
            raise Failure(done.stdout)
        details = cluster.get("/jobs/" + first.split()[-1])
        expect("state", "FINISHED", details["state"])
        expect("parallelism", 2, max(v["parallelism"] for v in details["vertices"]))
        expect("no cluster", 3, subprocess.run([DREY, "list", "-m", "127.0.0.1:1"], capture_output=True, timeout=30).returncode)
        expect("wrong use", 2, subprocess.run([DREY, "list", "--nonsense"], capture_output=True, timeout=30).returncode)


def a_job_whose_client_stays_away_is_cancelled():
    with Cluster("rest_heartbeat") as cluster:
        job = cluster.run(cluster.upload(FLIGHTS_JAR), flights(cluster, "out", "--years", 1000, "--rate", 10000))[1]["jobid"]
        until("RUNNING", 30, lambda: cluster.state(job) == "RUNNING")
        expect("heartbeat", 202, cluster.call("PATCH", f"/jobs/{job}/clientHeartbeat", b'{"expiredTimestamp":1}')[0])
        until("CANCELED", 30, lambda: cluster.state(job) == "CANCELED")


def delete_cluster_ends_all_processes():
    cluster = Cluster("rest_end")
    with cluster:
        children = cluster.task_manager_pids()
        expect("DELETE /cluster", (200, {}), cluster.call("DELETE", "/cluster"))
        expect("exit code", 0, cluster.process.wait(20))
        for pid in children:
            if os.path.exists(f"/proc/{pid}"):
                raise Failure(f"TaskManager {pid} is still there")


class Events:
    """A stream of server-sent events."""

    def __init__(self, cluster, path, last=None):
        host, port = cluster.url.removeprefix("http://").split(":")
        self.connection = http.client.HTTPConnection(host, int(port), timeout=30)
        self.connection.request("GET", path, headers={"Last-Event-ID": last} if last else {})
        self.answer = self.connection.getresponse()
        expect("the status", 200, self.answer.status)
        expect("the type", "text/event-stream", self.answer.getheader("content-type"))
        self.last = last

    def __iter__(self):
        """(name, data) of each event until the server ends the stream."""
        name, data = None, None
        while line := self.answer.readline():
            field, _, value = line.decode().rstrip("\n").partition(": ")
            if field == "id":
                self.last = value
            elif field == "event":
                name = value
            elif field == "data":
                data = json.loads(value)
            elif not field and name:
                yield name, data
                name, data = None, None


def events_tell_what_happens_to_a_job():
    with Cluster("rest_events", "-Ddrey.rest.events.max-streams=3") as cluster:
        whole = Events(cluster, "/events")
        status, answer = cluster.run(cluster.upload(FLIGHTS_JAR), flights(cluster, "out", "--years", 3, "--rate", 150000, "--checkpoint-interval", "300ms"),
                                     parallelism=1)
        expect("run", 200, status)
        job = answer["jobid"]
        stream = Events(cluster, f"/jobs/{job}/events")
        seen = []
        for name, data in stream:
            expect("the job", job, data["jid"])
            seen.append(name)
            if {"metrics", "job-state"} <= set(seen) and name == "checkpoint" and data["checkpoint"]["status"] == "COMPLETED":
                break
        stream.connection.close()
        # Goes on where it stopped: the next checkpoint is the next one.
        again = Events(cluster, f"/jobs/{job}/events", stream.last)
        following = next(d["checkpoint"]["id"] for n, d in again if n == "checkpoint")
        expect("the next checkpoint", data["checkpoint"]["id"] + 1, following)
        cluster.call("PATCH", f"/jobs/{job}/rescaling?parallelism=2")
        names = []
        for name, data in again:
            names.append((name, data.get("state") or data.get("rescale", {}).get("terminalState")))
        if ("rescale", "COMPLETED") not in names or ("job-state", "RESTARTING") not in names:
            raise Failure(names)
        expect("the last ones", [("job-state", "FINISHED"), ("end", None)], names[-2:])
        expect("of an ended job", ["job-state", "end"], [n for n, _ in Events(cluster, f"/jobs/{job}/events")])
        # As many as configured, the ended ones do not count.
        streams = [Events(cluster, "/events") for _ in range(2)]
        status, _, body = plain(cluster, "/events")
        expect("too many", 503, status)
        if b"drey.rest.events.max-streams" not in body:
            raise Failure(body)
        # The stream of the cluster has seen it all, and ends with the server.
        cluster.stop()
        expect("the others end too", "end", [n for n, _ in streams[1]][-1])
        all_of_it = [(n, d.get("state")) for n, d in whole if n in ("job-state", "end", "taskmanager")]
        for wanted in (("job-state", "RUNNING"), ("job-state", "FINISHED"), ("end", None)):
            if wanted not in all_of_it:
                raise Failure(f"{wanted} is not in {all_of_it}")


def logins_have_roles():
    tokens = os.path.join(folder("rest_tokens"), "tokens")
    with open(tokens, "w") as f:
        f.write("viewviewviewview viewer\nadminadminadmina admin\n")
    cluster = Cluster("rest_login", f"-Ddrey.rest.auth.token-file={tokens}")
    try:
        cluster.launch()
        cluster.url = until("the REST address", 10, cluster.address)
        viewer, admin = ({"Authorization": f"Bearer {t}"} for t in ("viewviewviewview", "adminadminadmina"))
        expect("nobody", 401, cluster.call("GET", "/overview")[0])
        until("a viewer", 10, lambda: cluster.call("GET", "/overview", headers=viewer)[0] == 200)
        expect("a viewer who deletes", 403, cluster.call("DELETE", "/cluster", headers=viewer)[0])
        environment = {**os.environ, "FLINK_REST_CLIENT_HEADERS": "Authorization: Bearer viewviewviewview"}
        address = cluster.url.removeprefix("http://")
        expect("drey list", 0, subprocess.run([DREY, "list", "-m", address], env=environment, capture_output=True, timeout=30).returncode)
        expect("drey run", 1, subprocess.run([DREY, "run", "-m", address, FLIGHTS_JAR], env=environment, capture_output=True, timeout=30).returncode)
        leftovers = [n for n in os.listdir(os.path.join(cluster.directory, "tmp")) if n.startswith(".upload")]
        expect("nothing of the refused upload", [], leftovers)
        expect("an admin", 200, cluster.call("DELETE", "/cluster", headers=admin)[0])
        cluster.process.wait(20)
    finally:
        cluster.stop()


def other_addresses_need_a_login():
    for more, code in (([], 2), (["-Ddrey.rest.auth.token-file=/nonexistent"], 2)):
        directory = os.path.join(Cluster("rest_bind").base, "cluster")
        done = subprocess.run([DREY, "up", "--dir", directory, "-Drest.port=0", "-Drest.bind-address=0.0.0.0", *more],
                              capture_output=True, text=True, timeout=30)
        expect("exit code", code, done.returncode)
        if not more and "--insecure" not in done.stderr:
            raise Failure(done.stderr)


def tls_from_pem_files():
    if not shutil.which("openssl"):
        raise Skip("no openssl program")
    cluster = Cluster("rest_tls")
    pem, key = os.path.join(cluster.base, "cert.pem"), os.path.join(cluster.base, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                    "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", pem], check=True, capture_output=True)
    cluster.properties += ["-Dsecurity.ssl.rest.enabled=true", f"-Ddrey.rest.ssl.certificate={pem}", f"-Ddrey.rest.ssl.key={key}"]
    try:
        cluster.launch()
        cluster.url = until("the REST address", 10, cluster.address)
        if not cluster.url.startswith("https://localhost:"):
            raise Failure(cluster.url)
        trust = ssl.create_default_context(cafile=pem)
        with urllib.request.urlopen(cluster.url + "/config", timeout=30, context=trust) as answer:
            expect("config", "2.3.0", json.load(answer)["flink-version"])
        environment = {**os.environ, "DREY_REST_CA": pem}
        expect("drey list", 0, subprocess.run([DREY, "list", "-m", cluster.url], env=environment, capture_output=True, timeout=30).returncode)
    finally:
        cluster.stop()


if __name__ == "__main__":
    main([logs_stacks_and_profiles_of_a_running_job, metrics_of_a_running_job, ranges_of_a_log, a_graph_made_by_the_client_runs,
          a_job_whose_client_stays_away_is_cancelled, delete_cluster_ends_all_processes, events_tell_what_happens_to_a_job, logins_have_roles,
          other_addresses_need_a_login, tls_from_pem_files])
