#!/usr/bin/env python3
"""Known attacks on the REST port of a live cluster: each must fail, name nothing it should not and leave the cluster as it was."""
import io
import json
import os
import re
import socket
import sys
import zipfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import FLIGHTS_JAR, Cluster, Failure, main, until  # noqa: E402

MARK = b"squirrel-secret"
# One dot, one slash, in every spelling that some server has taken for one: plain, once and twice encoded, overlong, full width.
DOTS = ["..", "%2e%2e", "%252e%252e", ".%2e", "%c0%ae%c0%ae", "%25c0%25ae%25c0%25ae", "%e0%80%ae%e0%80%ae", "%uff0e%uff0e", "..%00", "..%2500", "..;"]
SLASHES = ["/", "%2f", "%252f", "%25252f", "\\", "%5c", "%255c", "%c0%af", "%25c0%25af", "%e2%88%95"]


def raw(cluster, data):
    """What comes back on one connection until the server closes it."""
    host, port = cluster.url.removeprefix("http://").split(":")
    answer = b""
    with socket.create_connection((host, int(port)), timeout=20) as s:
        s.sendall(data)
        while piece := s.recv(1 << 16):
            answer += piece
    return answer


def ask(cluster, method, target, headers="", body=b""):
    """(status, head, body) with the target as it is."""
    answer = raw(cluster, f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body)
    head, _, rest = answer.partition(b"\r\n\r\n")
    if not head:
        raise Failure(f"{method} {target}: no answer")
    return int(head.split()[1]), head, rest


def files_below(directory):
    return {os.path.join(at, name) for at, _, names in os.walk(directory) for name in names}


def equal(what, expected, got):
    if expected != got:
        raise Failure(f"{what}: {got} instead of {expected}")


def is_unharmed(cluster):
    if cluster.get("/overview")["slots-total"] != 4:
        raise Failure("the cluster is not what it was")


def spellings(depth):
    for dots in DOTS:
        for slash in SLASHES:
            yield (dots + slash) * depth
    yield "/" * depth
    yield "%2f%2f"


def no_name_in_a_path_leaves_its_directory():
    """CVE-2020-17519 on everything that a path names: logs, profiles, jars, files of the dashboard."""
    cluster = Cluster("attack_paths")
    web = os.path.join(cluster.base, "web")
    cluster.properties.append(f"-Ddrey.web-ui={web}")
    os.makedirs(web)
    with open(os.path.join(web, "index.html"), "w") as f:
        f.write("<p>page</p>")
    os.symlink("/etc/passwd", os.path.join(web, "passwd"))
    os.symlink(cluster.base, os.path.join(web, "up"))
    with open(os.path.join(cluster.base, "mark"), "wb") as f:
        f.write(MARK)
    try:
        cluster.start()
        with open(os.path.join(cluster.directory, "mark"), "wb") as f:
            f.write(MARK)
        with open(os.path.join(cluster.directory, "mark.jar"), "wb") as f:
            f.write(MARK)
        os.symlink(os.path.join(cluster.directory, "mark"), os.path.join(cluster.directory, "log", "linked.log"))
        manager = cluster.get("/taskmanagers")["taskmanagers"][0]["id"]
        before = files_below(cluster.directory)
        count = 0
        for base in ("/jobmanager/logs/", f"/taskmanagers/{manager}/logs/", "/jobmanager/profiler/", f"/taskmanagers/{manager}/profiler/", "/", "/jars/"):
            names = [up + name for depth in (1, 2) for up in spellings(depth) for name in ("mark", "etc/passwd")]
            for name in [*names, "linked.log", "passwd", "up/mark", ".", "..", "%2e", "%252e%252e", "%00", "mark%00.log", "~root", "file:%252f%252f%252fetc%252fpasswd"]:
                if base == "/jars/":
                    status, head, body = ask(cluster, "DELETE", base + name + ".jar")
                else:
                    status, head, body = ask(cluster, "GET", base + name)
                count += 1
                if MARK in body or b"root:" in body:
                    raise Failure(f"{base}{name}: {status} {body[:80]}")
                # The dashboard's own page may be there; a file that is none of its business never.
                if status not in (400, 404) and not (base == "/" and body == b"<p>page</p>"):
                    raise Failure(f"{base}{name}: {status} {body[:80]}")
        for path in (f"/jars/..{s}mark.jar/{what}" for s in SLASHES for what in ("plan", "run")):
            status, _, body = ask(cluster, "POST", path)
            if status not in (400, 404) or MARK in body:
                raise Failure(f"{path}: {status} {body[:80]}")
        grown = {f for f in files_below(cluster.directory) - before if "/log/" not in f}
        if count < 2000 or grown or not files_below(cluster.directory) >= before:
            raise Failure(f"{count} names; new: {grown}, gone: {before - files_below(cluster.directory)}")
        is_unharmed(cluster)
    finally:
        cluster.stop()


def upload_of(cluster, disposition, content=b"PK"):
    body = b"--b\r\nContent-Disposition: form-data; " + disposition + b"\r\n\r\n" + content + b"\r\n--b--\r\n"
    return ask(cluster, "POST", "/jars/upload", "Content-Type: multipart/form-data; boundary=b\r\n", body)


def no_name_of_an_upload_chooses_where_it_is_written():
    """CVE-2020-17518."""
    with Cluster("attack_upload") as cluster:
        outside = files_below(cluster.base)
        jars = os.path.join(cluster.directory, "jars")
        names = [up.encode() + b"evil.jar" for depth in (1, 4) for up in spellings(depth)]
        names += [b"/tmp/evil.jar", b"C:\\evil.jar", b"evil\0.jar", b"\xc0\xae\xc0\xae\xc0\xafevil.jar", b"a/../../evil.jar", b"evil.jar\r\nX-Injected: 1", b"x" * 300 + b".jar"]
        kept = 0
        for name in names:
            for form in (b'name="jarfile"; filename="%s"', b"name=jarfile; filename*=UTF-8''%s", b'name="../../%s"; filename="evil.jar"'):
                status, head, body = upload_of(cluster, form % name)
                if b"x-injected" in head.lower():
                    raise Failure(f"{name}: {head}")
                if status == 200:
                    path = json.loads(body)["filename"]
                    if os.path.dirname(os.path.realpath(path)) != os.path.realpath(jars) or not os.path.exists(path):
                        raise Failure(f"{name}: {path}")
                    kept += 1
                elif status != 400:
                    raise Failure(f"{name}: {status} {body[:200]}")
        new = {f for f in files_below(cluster.base) - outside if not f.startswith(jars + "/") and "/log/" not in f}
        if new:
            raise Failure(f"written outside: {new}")
        equal("jars", kept, len(os.listdir(jars)))
        equal("listed", kept, len(cluster.get("/jars")["files"]))
        if os.path.exists("/tmp/evil.jar") or any("/" in f["name"] or "\\" in f["name"] for f in cluster.get("/jars")["files"]):
            raise Failure("a name with a slash")
        is_unharmed(cluster)


def archives_do_not_leave_their_directory_or_fill_the_disk():
    with Cluster("attack_zip") as cluster:
        before = files_below(cluster.base)
        for entry in ("../evil.so", "lib/../../../evil.so", "/tmp/evil.so", "lib\\..\\..\\evil.so", "lib/x86_64/../../../../evil.so"):
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as z:
                z.writestr("META-INF/MANIFEST.MF", "program-class: evil\n")
                z.writestr("lib/x86_64/a.so", b"ELF")
                z.writestr(zipfile.ZipInfo(entry), b"ELF" * 100)
            jar = json.loads(upload_of(cluster, b'name=f; filename="slip.jar"', packed.getvalue())[2])["filename"]
            status, answer = cluster.call("POST", f"/jars/{os.path.basename(jar)}/run", b"{}")
            if status != 400 or "leaves the directory" not in answer["errors"][0]:
                raise Failure(f"{entry}: {status} {answer}")
        bomb = io.BytesIO()
        with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as z:
            z.writestr("META-INF/MANIFEST.MF", "program-class: evil\n")
            with z.open("lib/x86_64/a.so", "w", force_zip64=True) as f:
                for _ in range(600):
                    f.write(bytes(1 << 20))
        jar = json.loads(upload_of(cluster, b'name=f; filename="bomb.jar"', bomb.getvalue())[2])["filename"]
        status, answer = cluster.call("POST", f"/jars/{os.path.basename(jar)}/run", b"{}")
        if status != 400 or "at most" not in answer["errors"][0]:
            raise Failure(f"bomb: {status} {answer}")
        new = {f for f in files_below(cluster.base) - before if "/jars/" not in f and "/log/" not in f}
        if new or os.path.exists("/tmp/evil.so"):
            raise Failure(f"written: {new}")
        is_unharmed(cluster)


def requests_of_other_sites_do_nothing():
    with Cluster("attack_sites") as cluster:
        _, answer = cluster.run(cluster.upload(FLIGHTS_JAR), ["--input", "/nonexistent", "--output", cluster.base])
        job = answer["jobid"] if "jobid" in answer else "0" * 32
        authority = cluster.url.removeprefix("http://")
        writes = [("PATCH", f"/jobs/{job}"), ("GET", f"/jobs/{job}/yarn-cancel"), ("GET", f"/jobs/{job}/yarn-stop"), ("POST", "/jars/upload"),
                  ("POST", "/jars/a.jar/run"), ("DELETE", "/jars/a.jar"), ("POST", f"/jobs/{job}/savepoints"), ("POST", f"/jobs/{job}/stop"),
                  ("PUT", f"/jobs/{job}/resource-requirements"), ("POST", "/savepoint-disposal"), ("POST", "/jobmanager/profiler"), ("DELETE", "/cluster")]
        for method, path in writes:
            for origin in ("http://evil.example", f"http://{authority}.evil.example", f"http://evil.example/{authority}", "null", f"http://x@{authority}", "http://localhost:1"):
                equal(f"{method} {path} from {origin}", 403, ask(cluster, method, path, f"Origin: {origin}\r\n")[0])
            equal(f"{method} {path} for another name", 403, int(raw(cluster, f"{method} {path} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n".encode()).split()[1]))
        # Reads are told apart by their name only, and no page of another site may read them.
        equal("rebinding", 403, int(raw(cluster, b"GET /overview HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n").split()[1]))
        equal("preflight", 404, ask(cluster, "OPTIONS", f"/jobs/{job}", "Origin: http://evil.example\r\nAccess-Control-Request-Method: PATCH\r\n")[0])
        is_unharmed(cluster)


def what_is_smuggled_is_not_a_second_request():
    with Cluster("attack_smuggling") as cluster:
        hidden = b"DELETE /cluster HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for head in (b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", b"Content-Length: 0\r\nContent-Length: 44\r\n",
                     b"Transfer-Encoding: xchunked\r\n", b"Transfer-Encoding:\x0bchunked\r\n", b"Transfer-Encoding : chunked\r\n", b"Transfer-Encoding: chunked, identity\r\n",
                     b"X: y\r\n Content-Length: 44\r\n", b"Content-Length: 0, 44\r\n", b"Content-Length: +0\r\n", b"X: y\nContent-Length: 44\r\n"):
            answer = raw(cluster, b"POST /jars/a.jar/run HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n0\r\n\r\n" + hidden)
            if not answer.startswith(b"HTTP/1.1 400") or answer.count(b"HTTP/1.1") != 1:
                raise Failure(f"{head}: {answer[:200]}")
        is_unharmed(cluster)


def no_input_makes_a_line_of_a_log_or_a_header():
    with Cluster("attack_lines", "-Ddrey.rest.access-log=true") as cluster:
        evil = "%0d%0aX-Injected:%201%0d%0a2026-01-01 00:00:00,000 INFO forged".replace(" ", "%20")
        for path in (f"/{evil}", f"/jars/{evil}.jar", f"/jobs/{evil}", f"/jobmanager/logs/{evil}", f"/jobs/overview?x={evil}", f"/taskmanagers/{evil}"):
            for encoded in (path, path.replace("%", "%25")):
                for method in ("GET", "DELETE", "OPTIONS"):
                    _, head, _ = ask(cluster, method, encoded)
                    if b"x-injected" in head.lower():
                        raise Failure(f"{method} {encoded}: {head}")
        upload_of(cluster, b'name=f; filename="a\nforged.jar"')
        cluster.call("POST", "/jars/x.jar/run", json.dumps({"entryClass": "a\r\n2026-01-01 forged", "programArgsList": ["\n2026 forged"]}).encode())
        log = os.path.join(cluster.directory, "log", "jobmanager.log")

        def lines():
            with open(log, "rb") as f:
                return f.read().split(b"\n")

        until("the access log", 10, lambda: any(b"overview" in line for line in lines()))
        for line in lines():
            if line and not re.match(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (DEBUG|INFO |WARN |ERROR) ", line):
                raise Failure(f"a line of somebody else's: {line}")
            if line.startswith(b"2026-01-01 00:00:00,000"):
                raise Failure(f"a forged line: {line}")


def secrets_are_told_to_nobody():
    word = "top-squirrel-word"
    with Cluster("attack_secrets", f"-Ddrey.cluster.secret={word}", f"-Ds3.secret-key={word}", f"-Dmy.password={word}", f"-Dfs.azure.account.key.x={word}",
                 f"-Dapi-key={word}", f"-Dauth.token={word}") as cluster:
        jar = cluster.upload(FLIGHTS_JAR)
        _, answer = cluster.run(jar, ["--input", "/nonexistent", "--output", cluster.base, "--password", word],
                                flinkConfiguration={"sink.password": word, "s3.access-key.secret": word})
        paths = ["/jobmanager/config", "/jobmanager/environment", "/config", "/metrics", "/jobmanager/log", "/jobs/overview", "/openapi.json"]
        if "jobid" in answer:
            job = answer["jobid"]
            until("the job's end", 30, lambda: cluster.state(job) in ("FAILED", "FINISHED", "CANCELED"))
            paths += [f"/jobs/{job}", f"/jobs/{job}/config", f"/jobs/{job}/exceptions", f"/jobs/{job}/jobmanager/config", f"/jobs/{job}/jobmanager/environment"]
        for path in paths:
            status, _, body = ask(cluster, "GET", path)
            if word.encode() in body:
                at = body.find(word.encode())
                raise Failure(f"{path}: {status} {body[max(at - 80, 0):at + 40]}")
        for manager in cluster.get("/taskmanagers")["taskmanagers"]:
            if word.encode() in ask(cluster, "GET", f"/taskmanagers/{manager['id']}/log")[2]:
                raise Failure("the log of a TaskManager")


if __name__ == "__main__":
    main([no_name_in_a_path_leaves_its_directory, no_name_of_an_upload_chooses_where_it_is_written, archives_do_not_leave_their_directory_or_fill_the_disk,
          requests_of_other_sites_do_nothing, what_is_smuggled_is_not_a_second_request, no_input_makes_a_line_of_a_log_or_a_header,
          secrets_are_told_to_nobody])
