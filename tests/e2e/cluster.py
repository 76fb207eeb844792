"""A real cluster for end-to-end tests: `drey up` in a directory of its own, on loopback, with a deadline on every wait."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(ROOT, "build", "release")
DREY = os.path.join(BUILD, "bin", "drey")
FLIGHTS_JAR = os.path.join(BUILD, "examples", "flights.jar")
DATA = os.path.join(ROOT, "examples", "flights", "data")


class Failure(Exception):
    pass


class Skip(Exception):
    """What this machine does not allow."""


def until(what, seconds, probe):
    """The first true answer of probe(), asked again and again."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = probe()
        if answer:
            return answer
        time.sleep(0.05)
    raise Failure(f"{what}: not within {seconds} s")


def folder(name):
    """A fresh directory below the script's own: scripts run side by side."""
    script = os.path.splitext(os.path.basename(sys.argv[0]))[0]
    path = os.path.join(ROOT, "build", "e2e", script, name)
    # A run that was killed may have left a small disk mounted there.
    with open("/proc/mounts", encoding="utf-8") as mounts:
        for place in [line.split()[1] for line in mounts if line.split()[1].startswith(path + "/")]:
            subprocess.run(["umount", "-l", place], check=False)
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path


class Cluster:
    def __init__(self, name, *properties):
        self.base = folder(name)
        self.directory = os.path.join(self.base, "cluster")
        self.properties = ["-Drest.port=0", "-Dtaskmanager.numberOfTaskSlots=4", *properties]
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def launch(self):
        """Starts the processes and waits for nothing."""
        address = os.path.join(self.directory, "rest.address")
        if os.path.exists(address):
            os.remove(address)
        log = open(os.path.join(self.base, "up.log"), "ab")
        self.process = subprocess.Popen([DREY, "up", "--dir", self.directory, *self.properties], stdout=log, stderr=log)

    def address(self):
        """The URL, or None as long as there is none."""
        try:
            with open(os.path.join(self.directory, "rest.address")) as f:
                text = f.read()
        except OSError:
            return None
        return text.strip() if text.endswith("\n") else None

    def start(self):
        self.launch()
        self.url = until("the REST address", 10, self.address)
        if "-Dminicluster.number-of-taskmanagers=0" not in self.properties:
            until("a TaskManager", 10, lambda: self.get("/overview")["slots-total"] > 0)

    def rpc_port(self):
        def logged():
            with open(os.path.join(self.directory, "log", "jobmanager.log"), encoding="utf-8") as log:
                return re.findall(r"RPC port (\d+)\n", log.read())

        return int(until("the RPC port in the log", 10, logged)[-1])

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode

    def kill(self):
        self.process.kill()
        self.process.wait()

    def call(self, method, path, body=None, headers=None):
        """(status, JSON) of one call."""
        request = urllib.request.Request(self.url + path, method=method, data=body, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")

    def get(self, path):
        status, answer = self.call("GET", path)
        if status != 200:
            raise Failure(f"GET {path}: {status} {answer}")
        return answer

    def post(self, path, body, method="POST"):
        """The answer of a call that starts something."""
        status, answer = self.call(method, path, json.dumps(body).encode() if body is not None else None, {"Content-Type": "application/json"})
        if status not in (200, 202):
            raise Failure(f"{method} {path}: {status} {answer}")
        return answer

    def result(self, path, seconds=60):
        """What a started operation came to."""
        return until(f"the end of {path}", seconds, lambda: (a := self.get(path))["status"]["id"] == "COMPLETED" and a)["operation"]

    def upload(self, path, name=None):
        with open(path, "rb") as f:
            content = f.read()
        head = f'--xyz\r\nContent-Disposition: form-data; name="jarfile"; filename="{name or os.path.basename(path)}"\r\n\r\n'
        status, answer = self.call("POST", "/jars/upload", head.encode() + content + b"\r\n--xyz--\r\n",
                                   {"Content-Type": "multipart/form-data; boundary=xyz"})
        if status != 200:
            raise Failure(f"upload: {status} {answer}")
        return os.path.basename(answer["filename"])

    def run(self, jar, arguments, **body):
        body["programArgsList"] = [str(a) for a in arguments]
        return self.call("POST", f"/jars/{jar}/run", json.dumps(body).encode(), {"Content-Type": "application/json"})

    def state(self, job):
        return self.get(f"/jobs/{job}/status")["status"]

    def finish(self, job, seconds):
        state = until(f"the end of {job}", seconds, lambda: (s := self.state(job)) in ("FINISHED", "FAILED", "CANCELED") and s)
        if state != "FINISHED":
            history = self.get(f"/jobs/{job}/exceptions")["exceptionHistory"]["entries"]
            raise Failure(f"{state}: {history[:1]}")

    def task_manager_pids(self):
        found = []
        for pid in os.listdir("/proc"):
            if not pid.isdigit():
                continue
            try:
                with open(f"/proc/{pid}/stat") as stat, open(f"/proc/{pid}/cmdline") as cmdline:
                    parent = int(stat.read().rsplit(")", 1)[1].split()[1])
                    words = cmdline.read().split("\0")
            except OSError:
                continue
            if parent == self.process.pid and len(words) > 1 and words[1] == "taskmanager":
                found.append(int(pid))
        return found


def main(cases):
    """Runs the cases (functions without arguments) whose name holds --test TEXT."""
    only = sys.argv[sys.argv.index("--test") + 1] if "--test" in sys.argv else ""
    failed = 0
    for case in cases:
        if only not in case.__name__:
            continue
        begin = time.monotonic()
        try:
            case()
            print(f"ok {case.__name__} ({time.monotonic() - begin:.1f} s)", flush=True)
        except Skip as why:
            print(f"skipped {case.__name__}: {why}", flush=True)
        except Exception as problem:  # whatever it is, the other cases still run
            failed += 1
            print(f"failed {case.__name__}: {type(problem).__name__} {problem}", flush=True)
    sys.exit(1 if failed else 0)
