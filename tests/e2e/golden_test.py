"""What a real Flink was recorded to answer (tests/contract/golden), asked of a live Drey.

    golden_test.py [--test flink_1_12] [--dump FILE] [--only REGEX]

Differences from Flink are listed with their reasons in tests/contract/golden/differences.txt; one that is not listed fails
the test, and so does an entry that no longer applies. --dump writes every difference found, listed or not.
"""
import concurrent.futures
import email.utils
import http.client
import io
import json
import os
import re
import socket
import sys
import urllib.parse
import zipfile

from cluster import BUILD, ROOT, Cluster, Failure, main, until

GOLDEN = os.path.join(ROOT, "tests", "contract", "golden")
PROGRAM = os.path.join(BUILD, "examples", "golden_jobs.jar")


# What the command lines of 1.12 and 1.11 read so strictly that a key they do not know makes them fail (in a job's plan
# and in the items of the overview they bear it). No entry of differences.txt may allow one there.
STRICT = re.compile(r"(/v1)?(/jobs/(?!metrics)[^/?]+(\?.*|/execution-result|/stop|/savepoints(/.*)?|/yarn-(cancel|stop))?|/savepoint-disposal(/.*)?|/jars/[^/]+/run)")

# --- Shapes: see make_cases.py, which writes them ---

def kind_of(value):
    return {bool: "b", int: "i", float: "d", str: "s", type(None): "n", dict: "object", list: "array"}.get(type(value), "bytes")


def compare(shape, value, at=""):
    """How a value differs from a shape, as texts."""
    if isinstance(shape, dict) and "=any" in shape:
        tries = [list(compare(s, value, at)) for s in shape["=any"]]
        yield from min(tries, key=len)
    elif isinstance(shape, dict) and "=ids" in shape:
        if not isinstance(value, list):
            yield f"type {at or '.'} array -> {kind_of(value)}"
            return
        ids = {x.get("id") for x in value}
        for name in shape["=ids"]:
            if name not in ids:
                yield "metric " + re.sub(r"^\d+\.", "", name)
        for x in value:
            yield from compare(shape["=of"], x, at + "[]")
    elif isinstance(shape, dict):
        if not isinstance(value, dict):
            yield f"type {at or '.'} object -> {kind_of(value)}"
            return
        if "*" in shape:
            if shape["*"] is None and value:
                yield f"filled {at}"
            elif shape["*"] is not None and not value and "0" not in shape:
                yield f"empty {at}"
            for x in value.values():
                if shape["*"] is not None:
                    yield from compare(shape["*"], x, at + "{}")
            return
        wanted = {k.rstrip("?"): s for k, s in shape.items()}
        for k in shape:
            if not k.endswith("?") and k not in value:
                yield f"missing {at}.{k}"
        for k, x in value.items():
            if k not in wanted:
                yield f"extra {at}.{k}"
            else:
                yield from compare(wanted[k], x, f"{at}.{k}")
        order = [k for k in wanted if k in value]
        if order != [k for k in value if k in wanted] and not all(re.fullmatch("[A-Z]+", k) for k in order) and "created" not in order \
                and ".aggregated" not in at:
            yield f"order {at or '.'}"
    elif isinstance(shape, list):
        if not isinstance(value, list):
            yield f"type {at or '.'} array -> {kind_of(value)}"
        elif not shape and value:
            yield f"filled {at or '.'}"
        elif len(shape) == 1 and not value:
            yield f"empty {at or '.'}"
        else:
            for x in value:
                yield from compare(shape[0], x, at + "[]")
    else:
        kinds = shape.split("|")
        exact = [k[1:] for k in kinds if k.startswith("=")]
        kind = kind_of(value)
        if kind == "s" and exact and "s" not in kinds:
            if value not in exact:
                yield f"value {at} {'|'.join(exact)} -> {value}"
        elif kind not in kinds:
            yield f"type {at or '.'} {shape} -> {kind}"


# --- Requests, byte for byte ---


def exchange(address, message, method, deadline=20):
    """(status, headers, body) of the answer to these bytes; status None when the connection is closed without one."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=deadline) as connection:
        connection.sendall(message)
        answer = http.client.HTTPResponse(connection, method=method)
        try:
            answer.begin()
        except http.client.RemoteDisconnected:
            return None, {}, b""
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()


def jar(entry="drey.Job", kind="program-class"):
    """The program's jar with another manifest."""
    made = io.BytesIO()
    with zipfile.ZipFile(PROGRAM) as old, zipfile.ZipFile(made, "w") as new:
        for item in old.infolist():
            content = old.read(item)
            if item.filename == "META-INF/MANIFEST.MF":
                content = b"Manifest-Version: 1.0\n" + (f"{kind}: {entry}\n".encode() if entry else b"")
            new.writestr(item.filename, content)
    return made.getvalue()


class World:
    """A live cluster and what the recorded names mean there."""

    def __init__(self, version, cluster, roles):
        self.version, self.cluster, self.roles = version, cluster, roles
        self.names = {}
        self.vertices = {}
        self.main_class, self.second_class = ("drey.Job", "drey.Second") if version == "2.3" else ("golden.Jobs", "golden.Batch")

    def content(self, name, size=None):
        """What a recorded file of this name held, natively."""
        if size == 0:
            return b""
        if "garbage" in name or "not-a-zip" in name or (size or 100) < 30:
            return b"this is no archive"
        if "noentry" in name or "nomain" in name:
            return jar(entry=None)
        if "multi" in name or "two_entries" in name:
            return jar(f"{self.main_class},{self.second_class}")
        for example in ("TopSpeedWindowing", "WordCount"):
            if example in name:
                return jar(example)
        return jar(self.main_class)

    def job(self, role):
        if f"job.{role}" not in self.names:
            if role not in self.roles:
                raise Failure(f"nothing here is like the recorded job '{role}'")
            arguments, parallelism = self.roles[role]
            status, answer = self.cluster.run(self.jar(f"{role}.jar"), arguments, parallelism=parallelism, entryClass=self.main_class)
            if status != 200:
                raise Failure(f"run of {role}: {status} {answer}")
            self.names[f"job.{role}"] = answer["jobid"]
        return self.names[f"job.{role}"]

    def wait(self, state):
        """ROLE: the state that it is to have; ROLE+: and a complete checkpoint; ROLE~: and one under way; ROLE#: after a restart; ROLE!: cancel it; ROLE.: cancelled by a case."""
        role = state.rstrip("+~#!.")
        job, wanted = self.job(role), "CANCELED" if state[-1] in "!." else WANTED.get(role, "RUNNING")
        if state.endswith("!"):
            self.cluster.call("PATCH", f"/jobs/{job}")
        until(f"{role} {wanted}", 30, lambda: re.fullmatch(wanted, self.cluster.state(job)))
        if state.endswith("#"):
            attempt = f"/jobs/{job}/vertices/{self.vertex(role, 1)}/subtasks/0/attempts/1"
            until(f"a second attempt of {role}", 30, lambda: (a := self.cluster.call("GET", attempt))[0] == 200 and a[1]["status"] == "RUNNING")
        if state.endswith("~"):
            until(f"a checkpoint of {role} under way", 30, lambda: self.cluster.get(f"/jobs/{job}/checkpoints")["counts"]["in_progress"] > 0)
            until(f"load of {role}", 30, lambda: self.cluster.get(f"/jobs/{job}/vertices/{self.vertex(role, 0)}/backpressure")["status"] == "ok")
        if state.endswith("+"):
            until(f"a checkpoint of {role}", 30, lambda: self.cluster.get(f"/jobs/{job}/checkpoints")["counts"]["completed"] > 0)

    def jar(self, name):
        key = f"jar.{name}"
        if key not in self.names:
            base = name.split("#")[0]
            path = os.path.join(self.cluster.base, "upload.jar")
            with open(path, "wb") as f:
                f.write(self.content(base))
            self.names[key] = self.cluster.upload(path, base)
        return self.names[key]

    def vertex(self, role, index):
        job = self.job(role)
        if not self.vertices.get(job):
            self.vertices[job] = [v["id"] for v in self.cluster.get(f"/jobs/{job}")["vertices"]]
        return self.vertices[job][index]

    def savepoint(self, key):
        if key not in self.names:
            job = self.job("running")
            trigger = self.cluster.call("POST", f"/jobs/{job}/savepoints", b"{}")[1]["request-id"]

            def done():
                found = self.cluster.get(f"/jobs/{job}/savepoints/{trigger}")
                return found if found["status"]["id"] == "COMPLETED" else None

            self.names[key] = until("a savepoint", 20, done)["operation"]["location"]
        return self.names[key]

    def checkpoint(self, role, kind):
        found = self.cluster.get(f"/jobs/{self.job(role)}/checkpoints")
        for c in found["history"]:
            if c.get("className", c.get("@class")) == {"completed": "completed", "savepoint": "completed", "failed": "failed", "pending": "in_progress"}[kind] \
                    and c["is_savepoint"] == (kind == "savepoint"):
                return str(c["id"])
        raise Failure(f"the job '{role}' has no such checkpoint: {kind}")

    def asked(self, name, role):
        """The id of an operation that was asked for, but not by a recorded case."""
        if name not in self.names:
            kind, chosen = name.split(".")[1:]
            body = {"savepoints": {}, "checkpoints": {}, "stop": {"drain": True}, "savepoint-disposal": {"savepoint-path": "relative/path"}}[kind]
            if kind != "savepoint-disposal":
                body["triggerId"] = chosen
            path = f"/{kind}" if kind == "savepoint-disposal" else f"/jobs/{self.job(role)}/{kind}"
            self.names[name] = self.cluster.call("POST", path, json.dumps(body).encode())[1]["request-id"]
        return self.names[name]

    def meaning(self, name, role):
        """What {name} stands for; role is that of the job in the path."""
        kind, _, rest = name.partition(".")
        if kind in ("job", "JOB"):
            return self.job(rest) if kind == "job" else self.job(rest).upper()
        if re.fullmatch(r"v\d", name):
            return self.vertex(role or "running", int(name[1]))
        if kind == "jar":
            return self.jar(rest)
        if kind == "savepoint":
            return self.savepoint(name)
        if kind == "checkpoint":
            return self.checkpoint(role, rest)
        if kind in ("trigger", "TRIGGER"):
            found = self.names.get(f"trigger.{rest}")
            if found is None:
                raise Failure(f"{rest} was not asked before")
            return found.upper() if kind == "TRIGGER" else found
        if kind == "asked":
            return self.asked(name, role)
        if kind.startswith("tm"):
            managers = self.cluster.get("/taskmanagers")["taskmanagers"]
            return managers[0]["id"].replace(":", name[2:] or ":")
        if name == "rescale":
            return self.cluster.get(f"/jobs/{self.job(role)}/rescales/history")[0]["rescaleUuid"]
        if name == "profile":
            done = lambda: [p for p in self.cluster.get("/jobmanager/profiler")["profilingList"] if p["status"] == "FINISHED"]
            return until("a profile", 20, done)[0]["outputFile"]
        if name == "dir":
            return self.cluster.base
        if name == "jobmanager":
            return "jobmanager"
        if name == "taskmanager":
            return [log["name"] for log in self.cluster.get("/jobmanager/logs")["logs"] if log["name"].startswith("taskmanager")][0][:-4]
        raise Failure(f"the name {{{name}}} means nothing")

    def role(self, case):
        found = re.search(r"\{job\.([^}]*)\}", case.get("path", ""))
        return found[1] if found else None

    def fill(self, text, case):
        return re.sub(r"\{([a-zA-Z]+[0-9]?(?:%\d*3A)?(?:\.[^{}]*)?)\}", lambda m: self.meaning(m[1], self.role(case)), text)

    def pattern(self, text, case):
        """A regular expression for an error text."""
        text = re.sub(r"127\.0\.0\.1:1[89]081", self.cluster.url.removeprefix("http://"), text)
        parts = re.split(r"(\{[a-zA-Z0-9_.#%-]+\})", text)
        out = ""
        for part in parts:
            if part == "{path}":
                out += r"[^\s'\",)]+"
            elif part == "{hash}":
                out += r"[0-9a-f]+"
            elif re.fullmatch(r"\{v\d\}", part):  # which one is named first is the order of a map
                out += "[0-9a-f]{32}"
            elif re.fullmatch(r"\{[a-zA-Z].*\}", part):
                try:
                    out += re.escape(self.fill(part, case))
                except Failure:
                    out += ".*"
            else:
                out += re.escape(part)
        return out

    def message(self, case):
        """The bytes of a case's request."""
        if "raw" in case:
            return case["raw"].replace("Host: x\r", f"Host: {self.cluster.url.removeprefix('http://')}\r").encode("latin-1")
        path = self.fill(case["path"], case)
        host = self.cluster.url.removeprefix("http://")
        path = path.replace("127.0.0.1:18081", host).replace("127.0.0.1:19081", host)
        headers = [["Host", host]]
        for k, v in case.get("headers", []):
            headers += [[f"X-{i}", "x"] for i in range(int(v))] if k == "X-*" else [[k, v]]
        body = None
        if "multipart" in case:
            boundary = next((v.split("boundary=")[1] for k, v in headers if k.lower() == "content-type" and "boundary=" in v), "none")
            body = b""
            for part in case["multipart"]:
                head = "".join(f"{k}: {v}\r\n" for k, v in part["headers"])
                name = re.search(r'filename="([^"]*)"', head)
                content = part["text"].encode() if "text" in part else self.content(name[1] if name else "", part["bytes"])
                body += f"--{boundary}\r\n{head}\r\n".encode() + content + b"\r\n"
            body += f"--{boundary}--\r\n".encode()
        elif "body" in case:
            body = self.fill(case["body"], case).encode("utf-8" if case["name"] != "http-utf8-bom" else "latin-1")
        if case["name"] == "http-chunked-request":
            headers.append(["Transfer-Encoding", "chunked"])
            body = b"2\r\n{}\r\n0\r\n\r\n"
        elif case["name"] == "http-body-over-limit-expect":
            headers.append(["Content-Length", "104857601"])
        elif body is not None:
            headers.append(["Content-Length", str(len(body))])
        if case.get("cut"):
            body = body[: len(body) // 2]
            headers[-1][1] = str(len(body))
        version = case.get("version", "HTTP/1.1")
        return (f"{case['method']} {path} {version}\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers) + "\r\n").encode() + (body or b"")

    def ask(self, case):
        """(difference, ...) of one case."""
        method = case.get("method") or case["raw"].split()[0]
        message = self.message(case)
        status, headers, body = exchange(self.cluster.url, message, method)
        polled = case["status"] == 200 and '"=COMPLETED"' in json.dumps(case.get("shape", "")) and re.search(
            r"/(savepoints|checkpoints|savepoint-disposal|rescaling|datasets/delete)/[^/]*$", case.get("path", ""))
        if polled and status == 200 and b'"IN_PROGRESS"' in body:
            status, headers, body = until(f"the end of {case['name']}", 15, lambda: (
                again := exchange(self.cluster.url, message, method)) and b'"IN_PROGRESS"' not in again[2] and again)
        try:
            answer = json.loads(body) if body else None
        except ValueError:
            answer = body
        self.bind(case, answer)
        out = []
        if status != case["status"]:
            out.append(f"status {case['status']} -> {status}")
        if headers.get("content-type") != case.get("type"):
            out.append(f"content-type {case.get('type')} -> {headers.get('content-type')}")
        if ("access-control-allow-origin" in headers) != case["cors"]:
            out.append(f"cors {case['cors']} -> {not case['cors']}")
        failed = isinstance(answer, dict) and list(answer) == ["errors"]
        if "error" in case:
            if not failed:
                if status == case["status"]:
                    out.append("no error text")
            else:
                said = answer["errors"][0].split("\n")[0]
                if case["status"] == 500 and status < 500:
                    # What Flink says in its trace, without the classes in front.
                    said = re.sub(r"^org\.apache\.flink\.runtime\.rest\.[A-Za-z.]+: ", "", said)
                    parts = case["error"][-1].split(": ")
                    if not any(re.fullmatch(self.pattern(": ".join(parts[i:]), case), said) for i in range(len(parts))):
                        out.append(f"text {case['error'][-1]} -> {said}")
                elif not re.fullmatch(self.pattern(case["error"][0], case), said):
                    out.append(f"text {case['error'][0]} -> {said}")
        elif failed:
            out.append(f"error {answer['errors'][0].splitlines()[0]}")
        if "shape" in case and not failed:
            out += dict.fromkeys(compare(case["shape"], answer))
        return out

    def bind(self, case, answer):
        for key, name in case.get("binds", {}).items():
            if not isinstance(answer, dict):
                return
            value = answer.get(key) or ((answer.get("operation") or {}).get(key) if isinstance(answer.get("operation"), dict) else None)
            if isinstance(value, str) and re.fullmatch(r"\{[^{}]*\}", name):
                self.names[name[1:-1]] = os.path.basename(value) if key == "filename" else value


# --- The list of differences ---


class Entry:
    def __init__(self, title):
        self.title, self.excludes = title.removeprefix("excluded: "), title.startswith("excluded: ")
        self.cases, self.differs, self.reason, self.used = [], [], "", 0

    def matches(self, case, difference=None):
        return any(re.fullmatch(c, case) for c in self.cases) and (difference is None or any(re.fullmatch(d, difference, re.S) for d in self.differs))


def listed():
    entries = []
    with open(os.path.join(GOLDEN, "differences.txt"), encoding="utf-8") as f:
        for line in f:
            line = line.rstrip("\n")
            if line.startswith("#") or not line:
                continue
            if line.startswith("[") and line.endswith("]"):
                entries.append(Entry(line[1:-1]))
            elif line.startswith("cases: "):
                entries[-1].cases.append(line[7:])
            elif line.startswith("differs: "):
                entries[-1].differs.append(line[9:])
            else:
                entries[-1].reason += line.strip() + " "
    for e in entries:
        if not e.cases or not e.reason or bool(e.differs) == e.excludes:
            raise Failure(f"differences.txt: [{e.title}] lacks cases, a reason, or what differs")
    return entries


def load(version):
    with open(os.path.join(GOLDEN, f"cases-{version}.jsonl"), encoding="utf-8") as f:
        text = f.read()
    head, _, rest = text.partition("\n]}\n")
    shapes = json.loads(head + "]}")["shapes"]
    cases = [json.loads(line) for line in rest.splitlines()]
    for case in cases:
        if "shape" in case:
            case["shape"] = shapes[case["shape"]]
    return cases


# --- The recorded jobs, and the order of what was asked ---


class Scenario:
    """A cluster on which cases of one version are replayed."""

    def __init__(self, version, name, cases, roles=None, steps=(("", ""),), properties=()):
        self.version, self.name, self.cases = version, name, cases
        self.roles, self.steps, self.properties = roles or {}, steps, properties


def words(text):
    return [w.replace("_", " ") for w in text.split()]


# A job that sleeps in its code has its worker for itself: a cluster of its own.
SCENARIOS = [
    Scenario("2.3", "slow", r".*\{job\.slow\}.*", {}, [
        (r"jars-run--backpressured", ""),
        ("", "slow~"),
        (r"savepoint--long-running.*", ""),
        (r"job-yarn-cancel--.*", ""),
        (r"job--cancelling.*", ""),
    ]),
    Scenario("2.3", "plain", r"defaults-.*", {"running": (words("--p 2 --checkpoint 1000 --restart default --name drey_defaults"), None)},
             [("defaults-jars.*", ""), ("", ""), (r"defaults-job-yarn-cancel.*", "")], ["-Dweb.cancel.enable=false"]),
    Scenario("2.3", "none", r"adaptive-(jars-upload|jars-run--no-taskmanager|taskmanagers--none|.*created-no-slots)", {},
             [("adaptive-jars.*", ""), ("", "")], ["-Dminicluster.number-of-taskmanagers=0"]),
    Scenario("2.3", "main", ".*", {
        "running": (words("--p 2 --checkpoint 2000 --restart fixed-delay --name drey_running"), None),
        "failed": (words("--p 2 --fail-every 100 --rate 1000 --checkpoint 2000 --name drey_failing"), None),
        "stopped": (words("--p 2 --checkpoint 60000 --name drey_stopped"), None),
        "drained": (words("--p 1 --checkpoint 60000 --name drey_drained"), None),
        "restarting": (words("--p 2 --fail-every 100 --rate 1000 --checkpoint 2000 --restart fixed-delay --attempts 2 --delay 600000 "
                             "--name drey_restarting"), None),
        "secrets": (words("--p 1 --password p --api-key k --token t --my.secret s --fs.azure.account.key a --name drey_skewed"), None),
        "skewed": (words("--p 4 --keys 1 --name drey_skewed"), None),
        "adaptive": (words("--p 2 --checkpoint 2000 --restart fixed-delay --attempts 20 --name drey_adaptive"), None),
    }, [
        # Asked in this order; what no line names comes where the empty one is. A step waits for the states it names first.
        (r"startup-.*|.*--empty-cluster|.*--plain|datasets--empty|jars--empty|jobmanager-profiler--empty", ""),
        (r"jars-upload--ok|jars-upload--.*", ""),
        (r"jars-run--(bounded|failing-with-restarts|job-default-restart|to-cancel|to-cancel-with-savepoint|topspeed.*|"
         r"wordcount|statemachine|batch-mode|thirty-failures|heartbeat-target|more-slots-than-there-are|as-the-dashboard.*)", ""),
        (r"(savepoint|checkpoint)-trigger--.*", "running stopped failed finished"),
        (r"savepoint--.*|checkpoint-status--.*|savepoint-status--.*", ""),
        (r"stop-trigger--ok", ""),
        (r"stop-trigger--.*", ""),
        (r"stop--.*", ""),
        (r"jars-run--(restore-other.*|legacy.*|restore-mode.*|claim-and.*)", ""),
        (r"savepoint-disposal-trigger--.*", ""),
        (r"savepoint-disposal--.*", ""),
        (r"jobmanager-profiler-start--.*|taskmanager-profiler-start--ok", ""),
        (r"job-cancel--ok", ""),
        (r"dataset-delete--.*", ""),
        ("", "running+ restored+ canceled restarted fails-often stopped restarting plain+ adaptive+"),
        (r"rescaling-trigger--ok|adaptive-resource-requirements-put--.*", ""),
        (r"client-heartbeat--.*|job-status--after-heartbeat.*", ""),
        (r"job-yarn-cancel--.*", ""),
        (r".*after-(rescaling|minus-one|put)|adaptive-.*(rescaled|just-after-put|more-than-slots).*", ""),
        (r"application-cancel--.*|jars-delete--.*|adaptive-job-cancel", ""),
        (r"adaptive-.*canceled.*", ""),
        (r"adaptive-cluster-shutdown--.*", ""),
    ], ["-Dslot.request.timeout=1 s"]),
]
OLD_ROLES = {
    "running": (words("--name golden_endless --retain true --password geheim --api-token x"), 2),
    "stopped": (words("--name golden_to_stop"), 2),
    "healed": (words("--name golden_healed --failAt 120 --fails 1 --restarts 2 --delay 100"), 2),
    "restarting": (words("--name golden_restarting --failAt 120 --restarts 2 --delay 6000000"), 2),
    **{f"cli{n}": (words(f"--name golden_cli{n}"), 1) for n in ("", "-2", "-3")},
    "cli-attached": (words("--name golden_cli_attached --max 10"), 1),
    "cli-failed": (words("--name golden_cli_failing --failAt 10"), 1),
}
OLD_STEPS = [
    (r"jobs-empty|overview-no-jobs|routing-(double-leading|trailing)-slash", ""),
    (r"jars-upload|jars-upload-.*", ""),
    (r"jars-run|jars-run-(failing|finish|no-checkpoints|to-.*)|checkpoints-early|.*-first", ""),
    (r"savepoint-trigger.*|savepoint-unknown-(job|scheme)|savepoint-unwritable-directory|cli-(savepoint|stop)-.*-?1", "running+ stopped finished failed"),
    (r"savepoint-status-.*|savepoint-(?!disposal).*-result|cli-(savepoint|stop)-.*-?2", ""),
    (r"stop|stop-unknown-job|cli-stop-.*1", ""),
    (r"stop-.*result|cli-stop-.*2", ""),
    (r"cli-savepoint-dispose-1|jars-run-restore", ""),
    (r"savepoint-disposal", ""),
    (r"savepoint-disposal-(status-first|result)", ""),
    (r"savepoint-disposal-(again|missing)", ""),
    (r"cli-run-.*-[23]", ""),
    (r"cancel-patch|cancel-patch-no-mode|yarn-cancel|cli-cancel-1", "restored+"),
    ("", "running+ restored canceled stopped drained failed cli-attached cli-failed unchecked restarting healed#"),
    (r"savepoint-cancel-job", ""),
    (r"job-canceled-with-savepoint.*", "restored."),
    (r"jars-delete.*", ""),
    (r"cluster-delete", ""),
]
for version in ("1.12", "1.11"):
    one = ["-Dminicluster.number-of-taskmanagers=1", "-Dtaskmanager.numberOfTaskSlots=32"]
    SCENARIOS += [
        Scenario(version, "slow", r".*\{job\.(slow|backpressured)\}.*", {}, [
            (r"jars-run-.*", ""), (r"savepoint-trigger-slow", "slow~ backpressured"), ("", ""), (r"job-cancelling.*|savepoint-status-job-canceled", "slow!")], one),
        Scenario(version, "waiting", r".*\{job\.waiting\}.*|waiting-.*|jobs-overview-waiting", {}, [
            ("jars-run-no-slots", ""), (r"savepoint-of-waiting-job", ""), ("", ""), (r"job-canceled-while-waiting", "waiting!")],
                 ["-Dminicluster.number-of-taskmanagers=1", "-Dtaskmanager.numberOfTaskSlots=4"]),
        Scenario(version, "none", r"job-no-taskmanager.*", {"no-tm": (words("--name golden_no_tm"), 1)},
                 [("", "")], ["-Dminicluster.number-of-taskmanagers=0"]),
        Scenario(version, "main", ".*", OLD_ROLES, OLD_STEPS, one),
    ]
WANTED = {"unchecked": "FINISHED", "cli-attached": "FINISHED", "cli-failed": "FAILED", "failed": "FAILED", "finished": "FINISHED", "stopped": "FINISHED|RUNNING", "canceled": "CANCELED", "restarted": "FAILED",
          "fails-often": "FAILED", "batch": "FINISHED", "restarting": "RESTARTING", "drained": "FINISHED"}


def play(scenario, cases, whole):
    """(case, difference) of all cases. Roles and states are only waited for when the whole scenario is played."""
    found = []
    grouped = [[] for _ in scenario.steps]
    rest = next(i for i, (pattern, _) in enumerate(scenario.steps) if not pattern)
    for case in cases:
        grouped[next((i for i, (pattern, _) in enumerate(scenario.steps) if pattern and re.fullmatch(pattern, case["name"])), rest)].append(case)
    name = f"golden_{scenario.version}_{scenario.name}"
    base = Cluster(name).base
    dashboard = base + "_ui"
    for path in {case["path"].lstrip("/").split("?")[0] or "index.html" for case in cases
                 if case["name"].startswith(("http-", "routing-")) and case["status"] == 200 and "json; charset" not in case.get("type", "json; charset")}:
        file = os.path.join(dashboard, "index.html" if path == "assets" else path)
        os.makedirs(os.path.dirname(file), exist_ok=True)
        with open(file, "w", encoding="utf-8") as f:
            f.write("a file of the dashboard")
        for case in cases:  # as old as a browser is told that it is
            known = dict(case.get("headers", [])).get("If-Modified-Since")
            if case["status"] == 304 and case["path"].lstrip("/") == path:
                os.utime(file, (email.utils.parsedate_to_datetime(known).timestamp(),) * 2)
    properties = [*scenario.properties]
    for default in ("-Dminicluster.number-of-taskmanagers=2", "-Dtaskmanager.numberOfTaskSlots=16"):
        if not any(p.startswith(default.split("=")[0]) for p in properties):
            properties.append(default)
    if os.path.isdir(dashboard):
        properties.append(f"-Ddrey.web-ui={dashboard}")
    if scenario.name != "plain":
        properties += [f"-Dexecution.checkpointing.savepoint-dir=file://{base}/sp", f"-Dexecution.checkpointing.dir=file://{base}/cp"]
    if scenario.version != "2.3":
        properties.append(f"-Drest.compat={scenario.version}")
    with Cluster(name, *properties) as cluster:
        world = World(scenario.version, cluster, scenario.roles)
        for number, ((_, states), group) in enumerate(zip(scenario.steps, grouped)):
            if number == 1 and whole:
                for role in scenario.roles:
                    world.job(role)
            for state in states.split() if whole else ():
                try:
                    world.wait(state)
                except Failure as problem:
                    found.append(("states", f"not reached: {problem}"))
            for case in group:
                try:
                    found += [(case["name"], d) for d in world.ask(case)]
                except (Failure, OSError, http.client.HTTPException) as problem:
                    found.append((case["name"], f"not asked: {type(problem).__name__} {problem}"))
    return found


def replay(version):
    dump, only = option("--dump"), option("--only")
    entries = listed()
    scenarios = [s for s in SCENARIOS if s.version == version]
    parts = {s: [] for s in scenarios}
    replayed = excluded = 0
    for case in load(version):
        out = next((e for e in entries if e.excludes and e.matches(f"{version} {case['name']}")), None)
        if out:
            out.used += 1
            excluded += 1
        elif not only or re.search(only, case["name"]):
            replayed += 1
            parts[next(s for s in scenarios if re.fullmatch(s.cases, case["name"]) or re.fullmatch(s.cases, json.dumps(case)))].append(case)
    found = []
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for part in [pool.submit(play, s, cases, not only) for s, cases in parts.items() if cases]:
            found += part.result()
    unlisted = []
    strict = set() if version == "2.3" else {case["name"] for part in parts.values() for case in part if STRICT.fullmatch(case.get("path", ""))}
    for name, difference in found:
        never = name in strict and re.match(r"extra (?!\.plan\.|\.jobs\[\]\.)", difference)
        entry = None if never else next((e for e in entries if not e.excludes and e.matches(f"{version} {name}", difference)), None)
        if entry:
            entry.used += 1
        else:
            unlisted.append(f"{name}: {difference}")
    if dump:
        with open(dump, "w", encoding="utf-8") as f:
            f.writelines(f"{d}\t{n}\n" for n, d in found)
    unused = [] if only else [e.title for e in entries if not e.used and not e.title.startswith("moment: ") and any(re.fullmatch(c.split(" ")[0], version) for c in e.cases)]
    print(f"{version}: {replayed} cases replayed, {sum(bool(e.used) for e in entries if not e.excludes)} differences listed, {excluded} excluded")
    if unlisted or unused:
        for line in unlisted[:200]:
            print("  " + line[:300])
        raise Failure(f"{len(unlisted)} differences that are not listed; listed but gone: {unused}")


def option(name):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else None


def flink_2_3():
    replay("2.3")


def flink_1_12():
    replay("1.12")


def flink_1_11():
    replay("1.11")


if __name__ == "__main__":
    main([flink_2_3, flink_1_12, flink_1_11])
