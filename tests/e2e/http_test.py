#!/usr/bin/env python3
"""HTTP as Flink's clients expect it, byte by byte on sockets of its own against a live cluster; what it bears is in attack_test.py."""
import email.utils
import gzip
import json
import os
import re
import signal
import socket
import sys
import time
import zipfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import FLIGHTS_JAR, Cluster, Failure, main, until  # noqa: E402
from flights_job import arguments  # noqa: E402

JSON = "application/json; charset=UTF-8"
PAGE = b"<p>the page</p>" + b" " * 3000


def equal(what, wanted, found):
    if wanted != found:
        raise Failure(f"{what}: {found!r}, not {wanted!r}")


class Wire:
    """One connection: what is sent and what comes, as bytes."""

    def __init__(self, cluster):
        host, port = cluster.url.removeprefix("http://").split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=30)
        self.come = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, text):
        self.socket.sendall(text if isinstance(text, bytes) else text.encode())

    def more(self):
        piece = self.socket.recv(1 << 16)
        self.come += piece
        return piece

    def answer(self, has_body=True):
        """(status, [(name, value)], body); names as they were sent."""
        while b"\r\n\r\n" not in self.come:
            if not self.more():
                raise Failure(f"closed after {self.come!r}")
        head, _, self.come = self.come.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = [tuple(line.split(": ", 1)) for line in lines]
        length = int(dict(headers).get("content-length", 0)) if has_body else 0
        while len(self.come) < length:
            if not self.more():
                raise Failure(f"closed after {len(self.come)} of {length} bytes")
        body, self.come = self.come[:length], self.come[length:]
        version, status = first.split()[:2]
        equal("the version", "HTTP/1.1", version)
        return int(status), headers, body

    def is_closed(self):
        return self.come == b"" and self.more() == b""


def ask(cluster, method, target, *headers, body=b"", version="1.1"):
    """One request on a connection of its own: (status, headers as a dictionary, body)."""
    with Wire(cluster) as wire:
        lines = [f"{method} {target} HTTP/{version}", "Host: localhost", "Connection: close", *headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        wire.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        status, found, text = wire.answer(method != "HEAD")
        if not wire.is_closed():
            raise Failure(f"{method} {target}: something follows the answer: {wire.come!r}")
    return status, dict(found), text


def web_ui(cluster, files):
    """The dashboard's files in a folder and in a jar as Flink's lies in one."""
    folder = os.path.join(cluster.base, "web")
    jar = os.path.join(cluster.base, "flink-dist-test.jar")
    with zipfile.ZipFile(jar, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\n")
        z.writestr("org/apache/flink/Other.class", b"\xca\xfe\xba\xbe")
        for name, content in files.items():
            z.writestr(f"web/{name}", content)
            os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
            with open(os.path.join(folder, name), "wb") as f:
                f.write(content)
    return folder, jar


def answers_and_headers_are_flinks():
    with Cluster("answers") as cluster:
        with Wire(cluster) as wire:
            wire.send("GET /config HTTP/1.1\r\nHost: localhost\r\n\r\n")
            status, headers, body = wire.answer()
            equal("status", 200, status)
            # These, so written, in this order, and no other.
            equal("headers", [("content-type", JSON), ("access-control-allow-origin", "*"), ("connection", "keep-alive"), ("content-length", str(len(body)))],
                  headers)
            equal("what it says", "2.3.0", json.loads(body)["flink-version"])
            # The same connection goes on, also after a refusal.
            wire.send("GET /v1/zz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            status, headers, body = wire.answer()
            equal("unknown path", (404, ["errors"], "keep-alive"), (status, list(json.loads(body)), dict(headers)["connection"]))
            wire.send("GET /jobs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            status, headers, body = wire.answer()
            equal("the last", (200, False, b'{"jobs":[]}'), (status, "connection" in dict(headers), body))
            equal("closed", True, wire.is_closed())
        for version, header, kept in (("1.0", "", False), ("1.0", "Connection: keep-alive\r\n", True), ("1.1", "", True)):
            with Wire(cluster) as wire:
                wire.send(f"GET /jobs HTTP/{version}\r\nHost: localhost\r\n{header}\r\n")
                status, headers, _ = wire.answer()
                equal(f"{version} {header}", (200, kept), (status, dict(headers).get("connection") == "keep-alive"))
                if kept:
                    wire.send(f"GET /jobs HTTP/{version}\r\nHost: localhost\r\n{header}\r\n")
                    equal("again", 200, wire.answer()[0])
                else:
                    equal("closed", True, wire.is_closed())
        # The dashboard's and the clients' forms of one path.
        for target in ("/jobs", "/v1/jobs", "//jobs/", "/jobs%2f", "/%6aobs", "/v1/jobs?x=y"):
            equal(target, 200, ask(cluster, "GET", target)[0])
        for target in ("/v2/jobs", "/V1/jobs", "/v1", "/jobs//overview", "/./jobs", "http://localhost/jobs", "/Jobs"):
            equal(target, 404, ask(cluster, "GET", target)[0])


def verbs_without_a_route_are_unknown_paths():
    with Cluster("verbs") as cluster:
        with Wire(cluster) as wire:
            wire.send("HEAD /overview HTTP/1.1\r\nHost: localhost\r\n\r\nGET /jobs HTTP/1.1\r\nHost: localhost\r\n\r\n")
            status, headers, _ = wire.answer(has_body=False)
            equal("HEAD", (404, JSON), (status, dict(headers)["content-type"]))
            equal("HEAD has the length of what GET's refusal would say", True, int(dict(headers)["content-length"]) > 20)
            equal("no body came with it", (200, b'{"jobs":[]}'), wire.answer()[::2])
        for method, target in (("OPTIONS", "/overview"), ("TRACE", "/overview"), ("PUT", "/overview"), ("DELETE", "/jobs"), ("PATCH", "/config"),
                               ("POST", "/jobs/overview"), ("get", "/overview"), ("BREW", "/overview"), ("POST", "/index.html")):
            status, headers, body = ask(cluster, method, target)
            equal(f"{method} {target}", (404, {"errors": [f"Not found: {target}"]}, "*", None),
                  (status, json.loads(body), headers.get("access-control-allow-origin"), headers.get("allow")))
        # What the static files would answer for has no CORS header.
        status, headers, body = ask(cluster, "GET", "/nothing?x=1")
        equal("GET of nothing", (404, False), (status, "access-control-allow-origin" in headers))


def bodies_on_every_verb_are_read_as_flinks_clients_send_them():
    with Cluster("bodies") as cluster:
        for headers in (["content-type: " + JSON], [], ["Content-Type: text/plain"], ["content-type: multipart/form-data"]):
            equal(f"GET with a body, {headers}", 200, ask(cluster, "GET", "/v1/overview", *headers, body=b"{}")[0])
        for body, status in ((b"\xef\xbb\xbf{}", 200), (b"{} {", 200), (b'{"x":1}', 200), (b"[]", 400), (b'"x"', 400), (b"{", 400), (b"null", 400)):
            got, _, text = ask(cluster, "GET", "/overview", body=body)
            equal(f"GET with {body}", status, got)
            if status == 400 and b"Request did not match expected format EmptyRequestBody." not in text:
                raise Failure(text)
        equal("DELETE with a body", 400, ask(cluster, "DELETE", "/jars/none.jar", body=b"{}")[0])
        # In chunks, with a trailer; the next request begins where it ends.
        with Wire(cluster) as wire:
            wire.send("POST /jars/none.jar/run HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                      "1\r\n{\r\n1;why=not\r\n}\r\n0\r\nX-Trailer: y\r\n\r\nGET /jobs HTTP/1.1\r\nHost: localhost\r\n\r\n")
            status, _, body = wire.answer()
            equal("in chunks", (400, True), (status, b"none.jar" in body))
            equal("the next one", 200, wire.answer()[0])


def expectations_and_limits():
    with Cluster("limits", "-Drest.server.max-content-length=2000") as cluster:
        head = "POST /jars/none.jar/run HTTP/1.1\r\nHost: localhost\r\n"
        with Wire(cluster) as wire:
            wire.send(head + "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
            while b"\r\n\r\n" not in wire.come:
                wire.more()
            equal("to go on", b"HTTP/1.1 100 Continue\r\n\r\n", wire.come)
            wire.come = b""
            wire.send("{}")
            equal("after it", 400, wire.answer()[0])
        for name, more, status in (("announced", "Content-Length: 2001\r\n\r\n", 413), ("expected", "Content-Length: 2001\r\nExpect: 100-continue\r\n\r\n", 413),
                                   ("in chunks", "Transfer-Encoding: chunked\r\n\r\n7d1\r\n" + " " * 2001 + "\r\n0\r\n\r\n", 413),
                                   ("of another kind", "Content-Length: 2\r\nExpect: tea\r\n\r\n{}", 417)):
            with Wire(cluster) as wire:
                wire.send(head + more)
                got, headers, body = wire.answer()
                equal(name, (status, b"", False), (got, body, "access-control-allow-origin" in dict(headers)))
                wire.socket.shutdown(socket.SHUT_WR)
                equal(f"{name}: what follows is no request", True, wire.is_closed())
        equal("just as long", 400, ask(cluster, "POST", "/jars/none.jar/run", body=b"{}" + b" " * 1998)[0])
        # Uploads have a limit of their own.
        cluster.upload(FLIGHTS_JAR)
        # The request line up to 64 KiB, the head up to 96.
        path = "/jobs/metrics?get="
        equal("60 KB", 200, ask(cluster, "GET", path + "a" * 60_000)[0])
        for size in (66_000, 90_000, 500_000):
            with Wire(cluster) as wire:
                wire.send(f"GET {path}{'a' * size} HTTP/1.1\r\nHost: localhost\r\n\r\n")
                equal(f"{size} bytes", 414, wire.answer()[0])
        for size, status in ((20_000, 200), (120_000, 431)):
            with Wire(cluster) as wire:
                wire.send(f"GET /jobs HTTP/1.1\r\nHost: localhost\r\nX: {'a' * size}\r\n\r\n")
                equal(f"a header of {size} bytes", status, wire.answer()[0])
        equal("the cluster goes on", 200, ask(cluster, "GET", "/overview")[0])


def pipelined_requests_are_answered_in_order():
    with Cluster("pipeline") as cluster, Wire(cluster) as wire:
        paths = ["/config", "/jobs", "/zz", "/overview", "/jobmanager/thread-dump", "/taskmanagers", "/jobs/overview", "/jobmanager/logs"] * 10
        wire.send("".join(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n" for path in paths))
        keys = {"/config": "refresh-interval", "/zz": "errors", "/overview": "taskmanagers", "/jobmanager/thread-dump": "threadInfos", "/jobmanager/logs": "logs"}
        for path in paths:
            equal(path, keys.get(path, path.split("/")[1]), next(iter(json.loads(wire.answer()[2]))))


def long_answers_are_gzipped_for_who_asks():
    with Cluster("gzip") as cluster:
        plain = ask(cluster, "GET", "/openapi.json")
        equal("not asked", None, plain[1].get("content-encoding"))
        for wanted, zipped in (("gzip", True), ("deflate, gzip;q=0.5, br", True), ("*", None), ("gzip;q=0", False), ("identity", False), ("br", False)):
            status, headers, body = ask(cluster, "GET", "/openapi.json", f"Accept-Encoding: {wanted}")
            equal(wanted, 200, status)
            is_zipped = headers.get("content-encoding") == "gzip"
            if zipped is not None:
                equal(wanted, zipped, is_zipped)
            if is_zipped:
                equal("smaller", True, len(body) * 3 < len(plain[2]))
                equal("may differ by who asks", "accept-encoding", headers["vary"])
                body = gzip.decompress(body)
            equal("the same", json.loads(plain[2]), json.loads(body))
        # A short answer is longer when it is zipped.
        equal("a short one", None, ask(cluster, "GET", "/jobs", "Accept-Encoding: gzip")[1].get("content-encoding"))


def a_dashboard_is_served_from_a_folder_or_a_jar():
    files = {"index.html": PAGE, "main.js": b"let x;", "styles.css": b"p{}", "favicon.ico": b"\0\0", "assets/images/flink.svg": b"<svg/>", ".hidden": b"secret",
             "assets/a b.txt": b"blank"}
    for kind in ("folder", "jar"):
        cluster = Cluster(f"web-{kind}")
        cluster.properties += ["--web-ui", web_ui(cluster, files)[kind == "jar"]]
        with cluster:
            before = time.time()
            status, headers, body = ask(cluster, "GET", "/")
            equal("/", (200, PAGE), (status, body))
            seconds = lambda name: email.utils.parsedate_to_datetime(headers[name]).timestamp()  # noqa: E731
            equal("names", {"content-type", "date", "expires", "cache-control", "last-modified", "content-length"}, set(headers))
            equal("/", ("text/html", "private, max-age=300", 300.0), (headers["content-type"], headers["cache-control"], seconds("expires") - seconds("date")))
            if not before - 2 < seconds("date") < time.time() + 2 or seconds("last-modified") > time.time() + 2:
                raise Failure(headers)
            if not re.fullmatch(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT", headers["date"]):
                raise Failure(headers["date"])
            modified = headers["last-modified"]
            with Wire(cluster) as wire:
                wire.send(f"GET /index.html HTTP/1.1\r\nHost: localhost\r\nIf-Modified-Since: {modified}\r\n\r\n")
                status, headers, body = wire.answer(has_body=False)
                equal("not modified", (304, b"", "close"), (status, body, dict(headers)["connection"]))
                if "date" not in dict(headers) or not wire.is_closed():
                    raise Failure(headers)
            for since in ("Thu, 01 Jan 1970 00:00:00 GMT", "soon", "", "Sun, 31 Feb 2013 25:61:61 GMT"):
                equal(f"since {since}", 200, ask(cluster, "GET", "/index.html", f"If-Modified-Since: {since}")[0])
            for path, kind_of_file in (("/main.js", "text/javascript"), ("/styles.css", "text/css"), ("/favicon.ico", "application/octet-stream"),
                                       ("/assets/images/flink.svg", "image/svg+xml"), ("/index.html?v=1", "text/html"), ("//index.html", "text/html")):
                status, headers, body = ask(cluster, "GET", path)
                equal(path, (200, files[path.lstrip("/").split("?")[0]]), (status, body))
                if path == "/main.js":
                    equal(path, True, headers["content-type"] in ("text/javascript", "application/javascript"))
                else:
                    equal(path, kind_of_file, headers["content-type"])
            for path in ("/.hidden", "/assets", "/assets/", "/v1/index.html", "/v1/", "/index.html/x", "/org/apache/flink/Other.class", "/META-INF/MANIFEST.MF",
                         "/nope.js"):
                status, headers, body = ask(cluster, "GET", path)
                equal(path, (404, JSON, False), (status, headers["content-type"], "access-control-allow-origin" in headers))
                if b"secret" in body:
                    raise Failure(body)
            equal("POST", 404, ask(cluster, "POST", "/index.html")[0])
            equal("HEAD", 404, ask(cluster, "HEAD", "/index.html")[0])
            equal("ranges are not served", (200, PAGE), ask(cluster, "GET", "/", "Range: bytes=0-3")[::2])
            equal("the API beside it", 200, ask(cluster, "GET", "/overview")[0])
    # What is no dashboard is refused before anything starts.
    for name, content in (("missing", None), ("folder", ""), ("no.jar", b"no zip")):
        cluster = Cluster("web-refused")
        path = os.path.join(cluster.base, name)
        if content == "":
            os.makedirs(path)
        elif content:
            with open(path, "wb") as f:
                f.write(content)
        cluster.properties += ["--web-ui", path]
        cluster.launch()
        equal(f"exit code for {name}", 2, cluster.process.wait(20))
        with open(os.path.join(cluster.base, "up.log"), encoding="utf-8") as log:
            if path not in (text := log.read()):
                raise Failure(f"{name} is not named: {text}")


def small_things_that_clients_trip_over():
    """What the rest of the tests cannot see: see the checklist of traps in the guide to Flink's API."""
    with Cluster("traps") as cluster:
        _, answer = cluster.run(cluster.upload(FLIGHTS_JAR), arguments(os.path.join(cluster.base, "out"), "--rate", "1000", "--checkpoint-interval", "0"))
        job = answer["jobid"]
        until("RUNNING", 20, lambda: {v["status"] for v in cluster.get(f"/jobs/{job}")["vertices"]} == {"RUNNING"})
        equal("a text that is no number", "NaN", cluster.get(f"/jobs/{job}/checkpoints")["summary"]["end_to_end_duration"]["p50"])
        details = cluster.get(f"/jobs/{job}")
        order = [v["id"] for v in details["vertices"]]
        nodes = [n["id"] for n in details["plan"]["nodes"]]
        equal("sources first", True, details["vertices"][0]["name"].startswith("Source: ") and order.index(nodes[0]) > order.index(nodes[-1]))
        inputs = {n["id"]: [i["id"] for i in n.get("inputs", [])] for n in details["plan"]["nodes"]}
        equal("sinks first", True, all(nodes.index(of) > nodes.index(n) for n, all_of_it in inputs.items() for of in all_of_it))
        equal("no key beside it", ["jobs"], list(cluster.get("/jobs/overview")))
        # Enums in any case where Flink upper-cases them, in bodies as they are.
        vertex = order[0]
        for path in (f"/jobs/{job}/vertices/{vertex}/subtasks/metrics?get=numRecordsIn&agg=mAx,MIN", f"/jobs/{job}/vertices/{vertex}/flamegraph?type=Full"):
            equal(path, 200, ask(cluster, "GET", path)[0])
        told = until("what it counts", 10, lambda: cluster.get(f"/jobs/{job}/vertices/{vertex}/subtasks/metrics?get=numRecordsIn&agg=mAx,MIN"))
        equal("agg", ["id", "min", "max"], list(told[0]))
        equal("in a body", 400, ask(cluster, "POST", f"/jobs/{job}/checkpoints", body=b'{"checkpointType":"full"}')[0])
        for dump in ("/jobmanager/thread-dump", f"/taskmanagers/{cluster.get('/taskmanagers')['taskmanagers'][0]['id']}/thread-dump"):
            for thread in cluster.get(dump)["threadInfos"]:
                equal("the end of a thread", "\n\n", thread["stringifiedThreadInfo"][-2:])
        equal("cancel in any case", 202, ask(cluster, "PATCH", f"/jobs/{job}?mode=Cancel")[0])
        until("CANCELED", 20, lambda: cluster.state(job) == "CANCELED")
        equal("a second time", 202, ask(cluster, "PATCH", f"/jobs/{job}")[0])


def a_server_that_ends_answers_what_it_has_taken():
    with Cluster("drain", "-Ddrey.program.timeout=2s") as cluster:
        jar = cluster.upload(os.path.join(os.path.dirname(FLIGHTS_JAR), "bad_programs.jar"))
        with Wire(cluster) as busy, Wire(cluster) as idle, Wire(cluster) as half:
            idle.send("GET /jobs HTTP/1.1\r\nHost: localhost\r\n\r\n")
            equal("before", 200, idle.answer()[0])
            body = b'{"entryClass":"loops"}'
            busy.send(f"POST /jars/{jar}/plan HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            half.send("GET /jo")
            until("the program", 10, lambda: [p for p in children_of(cluster.process.pid) if "program" in p])
            cluster.process.send_signal(signal.SIGTERM)
            equal("who waits for nothing is let go", True, idle.is_closed())
            status, headers, text = busy.answer()
            if (status, b"drey.program.timeout" in text) != (400, True) and status != 503:
                raise Failure(f"{status} {text}")
            equal("and closed after its answer", True, busy.is_closed())
        equal("the exit code", 0, cluster.process.wait(20))


def children_of(pid):
    """Command lines of the processes that a process has started."""
    found = []
    for child in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{child}/stat") as stat, open(f"/proc/{child}/cmdline") as words:
                if int(stat.read().rsplit(")", 1)[1].split()[1]) == pid:
                    found.append(words.read().replace("\0", " "))
        except OSError:
            pass
    return found


def connections_beyond_the_limit_are_closed_until_there_is_a_place():
    with Cluster("connections", "-Ddrey.rest.max-connections=20") as cluster:
        slow = [Wire(cluster) for _ in range(20)]
        for wire in slow:
            wire.send("GET /overview HTTP/1.1\r\nHost: localhost\r\n")
        with Wire(cluster) as late:
            equal("one too many", True, late.is_closed())
        for wire in slow[:10]:
            wire.socket.close()
        until("a place", 10, lambda: served(cluster))
        for wire in slow[10:]:
            wire.socket.close()


def served(cluster):
    try:
        return ask(cluster, "GET", "/overview")[0] == 200
    except (OSError, Failure):
        return False


if __name__ == "__main__":
    main([answers_and_headers_are_flinks, verbs_without_a_route_are_unknown_paths, bodies_on_every_verb_are_read_as_flinks_clients_send_them,
          expectations_and_limits, pipelined_requests_are_answered_in_order, long_answers_are_gzipped_for_who_asks,
          a_dashboard_is_served_from_a_folder_or_a_jar, small_things_that_clients_trip_over, a_server_that_ends_answers_what_it_has_taken, connections_beyond_the_limit_are_closed_until_there_is_a_place])
