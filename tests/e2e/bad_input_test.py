#!/usr/bin/env python3
"""Bad input from users and disks: a clear error that names the thing, and a cluster that goes on."""
import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import DATA, DREY, FLIGHTS_JAR, Cluster, Failure, main, until  # noqa: E402

AIRLINES = os.path.join(DATA, "airlines.csv.zst")
HEADER = ("year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,tailnum,origin,dest,air_time,"
          "distance,hour,minute,time_hour\n")
ROW = "2013,1,1,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z\n"


def expect(what, found, *words):
    text = str(found)
    for word in words:
        if word not in text:
            raise Failure(f"{what}: '{word}' is not in {text[:3000]}")


def zip_of(**entries):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        for name, content in entries.items():
            z.writestr(name.replace("__", "/"), content)
    return out.getvalue()


def with_declared_size(content, name, size):
    """The zip with another uncompressed size of the entry in both of its headers."""
    content = bytearray(content)
    for magic, size_at, name_at in ((b"PK\x03\x04", 22, 30), (b"PK\x01\x02", 24, 46)):
        at = content.find(magic)
        while at >= 0 and content[at + name_at:at + name_at + len(name)] != name.encode():
            at = content.find(magic, at + 1)
        content[at + size_at:at + size_at + 4] = size.to_bytes(4, "little")
    return bytes(content)


def bad_jars_are_uploaded_and_refused_by_plan_and_run():
    manifest = "Manifest-Version: 1.0\nprogram-class: flights\n"
    with zipfile.ZipFile(FLIGHTS_JAR) as jar:
        program = next(jar.read(n) for n in jar.namelist() if n.endswith(".so"))
    name = "lib/x86_64/a.so"
    bomb = zip_of(**{"META-INF/MANIFEST.MF": manifest, name: bytes(64 << 20)})
    bad = {
        "nozip": (b"this is no zip", ["not a zip archive"]),
        "nomanifest": (zip_of(a="b"), ["META-INF/MANIFEST.MF"]),
        "noentry": (zip_of(**{"META-INF/MANIFEST.MF": "Manifest-Version: 1.0\n", "lib/x86_64/a.so": program}), ["program-class"]),
        "noprogram": (zip_of(**{"META-INF/MANIFEST.MF": manifest}), ["no shared object"]),
        "otherarch": (zip_of(**{"META-INF/MANIFEST.MF": manifest, "lib/sparc/a.so": b"x"}), ["architecture"]),
        "noelf": (zip_of(**{"META-INF/MANIFEST.MF": manifest, "lib/x86_64/a.so": b"no elf"}), ["not a shared object"]),
        "nosymbol": (zip_of(**{"META-INF/MANIFEST.MF": manifest, "lib/x86_64/a.so": open("/lib/x86_64-linux-gnu/libz.so.1", "rb").read()}),
                     ["drey_module_entry"]),
        "leaves": (zip_of(**{"META-INF/MANIFEST.MF": manifest, "../../evil.so": b"x"}), ["leaves the directory"]),
        "java": (zip_of(**{"META-INF/MANIFEST.MF": manifest, "A.class": b"x"}), ["Java"]),
        "otherabi": (open(os.path.join(os.path.dirname(FLIGHTS_JAR), "other_abi.jar"), "rb").read(), ["version 2.0 of the job interface"]),
        "cycle": (open(os.path.join(os.path.dirname(FLIGHTS_JAR), "raw_program.jar"), "rb").read(), ["cycle", "'a'"]),
        "cut": (open(FLIGHTS_JAR, "rb").read()[:100_000], ["not a zip archive"]),
        "bombdeclared": (with_declared_size(bomb, name, 0x7fffffff), ["has 2147483647 bytes", "allowed"]),
        "bombreal": (with_declared_size(bomb, name, 1000), ["holds more bytes than it declares"]),
        "bombmanifest": (zip_of(**{"META-INF/MANIFEST.MF": manifest + " " * (64 << 20), name: program}), ["MANIFEST.MF", "allowed"]),
        "otherjob": (zip_of(**{"META-INF/MANIFEST.MF": "program-class: nothing\n", "lib/x86_64/a.so": program}), ["entry point class 'nothing' was not found in the jar file"]),
    }
    with Cluster("bad-jars") as cluster:
        for name, (content, words) in bad.items():
            path = os.path.join(cluster.base, f"{name}.jar")
            with open(path, "wb") as f:
                f.write(content)
            jar = cluster.upload(path)
            for verb, call in (("GET", "plan"), ("POST", "run")):
                status, answer = cluster.call(verb, f"/jars/{jar}/{call}")
                if status != 400 or list(answer) != ["errors"]:
                    raise Failure(f"{name} {call}: {status} {answer}")
                expect(f"{name} {call}", answer, *words)
        if len(cluster.get("/jars")["files"]) != len(bad):
            raise Failure("an uploaded jar has gone")
        if cluster.get("/jobs")["jobs"]:
            raise Failure("a job is left behind")
        until("unpacked files to go", 10, lambda: not os.listdir(os.path.join(cluster.directory, "cache")))
        status, answer = cluster.run(cluster.upload(FLIGHTS_JAR), ["--input", "relative.csv", "--airlines", AIRLINES, "--output", "/tmp/x"])
        expect("a relative path", (status, answer), "400", "relative.csv")


def run_flights(cluster, name, text, *more, interval="0"):
    path = os.path.join(cluster.base, f"{name}.csv")
    if text is not None:
        with open(path, "wb") as f:
            f.write(text if isinstance(text, bytes) else text.encode())
    out = os.path.join(cluster.base, f"out-{name}")
    jar = cluster.upload(FLIGHTS_JAR)
    status, answer = cluster.run(jar, ["--input", path, "--airlines", AIRLINES, "--output", out, "--checkpoint-interval", interval, *more])
    if status != 200:
        raise Failure(f"{name}: {status} {answer}")
    return answer["jobid"]


def ended(cluster, job):
    return until(f"the end of {job}", 30, lambda: (s := cluster.state(job)) in ("FINISHED", "FAILED", "CANCELED") and s)


def bad_rows_and_files_fail_the_job_by_file_line_and_column():
    cases = {
        "few": (HEADER + ROW + "2013,1,1\n", ["few.csv", "line=3", "3 fields"]),
        "many": (HEADER + ROW + ROW.replace("Z\n", "Z,1\n"), ["many.csv", "line=3", "20 fields"]),
        "number": (HEADER + ROW.replace(",517,", ",x17,"), ["number.csv", "line=2", "dep_time", "x17"]),
        "time": (HEADER + ROW.replace("2013-01-01T10", "2013-13-01T10"), ["line=2", "time_hour"]),
        "utf8": ((HEADER + ROW).encode().replace(b"EWR", b"E\xffR"), ["line=2", "origin", "UTF-8"]),
        "quote": (HEADER + ROW.replace(",UA,", ',"UA,'), ["line=2", "not closed"]),
        "column": (HEADER.replace("dep_delay", "delay") + ROW, ["dep_delay"]),
        "missing": (None, ["missing.csv"]),
        "truncated": (open(os.path.join(DATA, "flights.csv.zst"), "rb").read()[:100000], ["truncated"]),
    }
    with Cluster("bad-files", "-Drestart-strategy.type=none") as cluster:
        for name, (text, words) in cases.items():
            job = run_flights(cluster, name, text)
            if ended(cluster, job) != "FAILED":
                raise Failure(f"{name}: not FAILED")
            expect(name, cluster.get(f"/jobs/{job}/exceptions"), *words)


def a_file_that_grows_while_it_is_read_fails_the_attempt_and_is_read_whole_by_the_next():
    rows = 40_000
    with Cluster("growing") as cluster:
        job = run_flights(cluster, "growing", HEADER + ROW * rows, "--rate", "20000", interval="200ms")
        until("some rows", 20, lambda: cluster.get(f"/jobs/{job}/checkpoints")["counts"]["completed"] >= 2)
        with open(os.path.join(cluster.base, "growing.csv"), "a") as f:
            f.write(ROW)
        cluster.finish(job, 60)
        expect("growing", cluster.get(f"/jobs/{job}/exceptions"), "changed while it was read", "growing.csv")
        out = os.path.join(cluster.base, "out-growing", "departures")
        text = "".join(open(os.path.join(out, n)).read() for n in os.listdir(out) if not n.startswith("."))
        expect("the count", text, f"EWR,2013-01-01T10:00:00Z,{rows + 1},")


def a_jar_that_is_deleted_while_its_job_runs_is_not_missed():
    with Cluster("deleted-jar") as cluster:
        job = run_flights(cluster, "deleted", HEADER + ROW * 40_000, "--rate", "10000", interval="200ms")
        until("a checkpoint", 20, lambda: cluster.get(f"/jobs/{job}/checkpoints")["counts"]["completed"] >= 1)
        for jar in cluster.get("/jars")["files"]:
            cluster.call("DELETE", f"/jars/{jar['id']}")
        if cluster.get("/jars")["files"]:
            raise Failure("the jar is still there")
        os.kill(cluster.task_manager_pids()[0], signal.SIGKILL)
        cluster.finish(job, 60)


def a_damaged_checkpoint_is_passed_over_or_refused():
    with Cluster("bad-checkpoint") as cluster:
        jar = cluster.upload(FLIGHTS_JAR)
        folder = os.path.join(cluster.base, "chk")
        os.makedirs(folder)
        for content in (None, b"garbage", b"DREYCP1\ngarbage"):
            if content is not None:
                with open(os.path.join(folder, "_metadata"), "wb") as f:
                    f.write(content)
            status, answer = cluster.run(jar, ["--input", os.path.join(DATA, "flights.csv.zst"), "--airlines", AIRLINES, "--output",
                                               os.path.join(cluster.base, "out")], savepointPath=folder)
            expect("restore", (status, answer), "400", "_metadata")


def ports_directories_and_options_are_checked_before_anything_starts():
    with Cluster("first") as cluster:
        port = cluster.url.rsplit(":", 1)[1]
        second = subprocess.run([DREY, "up", "--dir", cluster.directory], capture_output=True, text=True, timeout=20)
        expect("a directory in use", (second.returncode, second.stderr), "2", str(cluster.process.pid))
        third = subprocess.run([DREY, "up", "--dir", os.path.join(cluster.base, "other"), f"-Drest.port={port}"], capture_output=True, text=True,
                               timeout=20)
        expect("a port in use", (third.returncode, third.stderr), "2", port)
        for option, word in (("rest.port=zz", "rest.port"), ("heartbeat.interval=soon", "heartbeat.interval"), ("rest.bind-address=0.0.0.0", "loopback")):
            bad = subprocess.run([DREY, "up", "--dir", os.path.join(cluster.base, "other"), f"-D{option}"], capture_output=True, text=True, timeout=20)
            expect(option, (bad.returncode, bad.stderr), "2", word)
        bad = subprocess.run([DREY, "up", "--dir", os.path.join(cluster.base, "other"), f"-Drest.port={port}", "-Dparalelism.default=2"],
                             capture_output=True, text=True, timeout=20)
        expect("an unknown key", bad.stderr, "paralelism.default", "parallelism.default")


def arguments_without_sense_are_refused_by_plan_with_operator_and_value():
    with Cluster("senseless") as cluster:
        jar = cluster.upload(os.path.join(os.path.dirname(FLIGHTS_JAR), "bad_programs.jar"))

        def planned(argument):
            body = {"entryClass": "senseless", "programArgsList": ["--argument", argument]}
            return cluster.call("POST", f"/jars/{jar}/plan", json.dumps(body).encode(), {"Content-Type": "application/json"})

        for argument, words in {
                "rows": ("'numbers'", "rows", "value=-5"), "rate": ("'numbers'", "rate", "value=-1"), "nan": ("'numbers'", "rate", "value=nan"),
                "disorder": ("'times'", "out_of_orderness_ms", "value=-5000"), "idle": ("'times'", "idle_timeout_ms", "value=-1000"),
                "lateness": ("'counts'", "allowed_lateness_ms", "value=-3600000"), "session": ("'counts'", "gap_ms", "value=9223372036854775807"),
                "offset": ("'counts'", "offset_ms", "value=-9223372036854775808"), "whole offset": ("'counts'", "offset_ms", "value=3600000"),
                "watch": ("'lines'", "watch_ms", "value=-1"), "passes": ("'lines'", "passes", "value=0")}.items():
            status, answer = planned(argument)
            if status != 400:
                raise Failure(f"{argument}: {status} {answer}")
            expect(argument, answer, *words)
        for argument in ("", "half", "two and a half", "huge"):
            status, answer = planned(argument)
            if status != 200:
                raise Failure(f"{argument}: {status} {answer}")
        _, answer = cluster.run(jar, ["--argument", "huge"], entryClass="senseless")
        cluster.finish(answer["jobid"], 20)
        began = time.monotonic()
        _, answer = cluster.run(jar, ["--argument", "two and a half"], entryClass="senseless")
        cluster.finish(answer["jobid"], 30)
        if time.monotonic() - began < 3:
            raise Failure("ten rows at 2.5 a second took less than three seconds")


def more_parallelism_than_slots_waits_and_then_fails_with_the_numbers():
    with Cluster("slots", "-Dslot.request.timeout=1s", "-Drestart-strategy.type=none") as cluster:
        jar = cluster.upload(FLIGHTS_JAR)
        status, answer = cluster.run(jar, ["--input", os.path.join(DATA, "flights.csv.zst"), "--airlines", AIRLINES, "--output",
                                           os.path.join(cluster.base, "out")], parallelism=9, flinkConfiguration={"restart-strategy.type": "none"})
        if status != 200:
            raise Failure(f"{status} {answer}")
        job = answer["jobid"]
        # The program asks for checkpoints, so it restarts unless told otherwise: the failure is in the history either way.
        until("the failure", 20, lambda: cluster.get(f"/jobs/{job}/exceptions")["exceptionHistory"]["entries"])
        expect("slots", cluster.get(f"/jobs/{job}/exceptions"), "9 slots", "4 are free")


def an_output_directory_that_cannot_be_written_fails_the_job_with_its_path():
    with Cluster("output", "-Drestart-strategy.type=none") as cluster:
        job = run_flights(cluster, "fine", HEADER + ROW)
        ended(cluster, job)
        blocked = os.path.join(cluster.base, "file")
        open(blocked, "w").close()
        jar = cluster.upload(FLIGHTS_JAR)
        _, answer = cluster.run(jar, ["--input", os.path.join(cluster.base, "fine.csv"), "--airlines", AIRLINES, "--output", blocked + "/out",
                                      "--checkpoint-interval", "0"])
        if ended(cluster, answer["jobid"]) != "FAILED":
            raise Failure("not FAILED")
        expect("output", cluster.get(f"/jobs/{answer['jobid']}/exceptions"), blocked)


def programs_that_misbehave_get_400_with_their_own_words():
    expected = {
        "exits": ["exited with code 7", "leaves early"],
        "throws": ["this program throws"],
        "loops": ["drey.program.timeout", "this program loops"],
        "shouts": ["printed too much"],
        "eats": ["drey.program.memory", "1073741824 bytes", "this program eats"],
        "nosink": ["no sink"],
        "twins": ["same uid 'same'"],
    }
    with Cluster("programs", "-Ddrey.program.timeout=3s") as cluster:
        jar = cluster.upload(os.path.join(os.path.dirname(FLIGHTS_JAR), "bad_programs.jar"))
        for entry, words in expected.items():
            status, answer = cluster.run(jar, [], entryClass=entry)
            if status != 400 or list(answer) != ["errors"]:
                raise Failure(f"{entry}: {status} {answer}")
            expect(entry, answer, *words)
        if cluster.get("/jobs")["jobs"] or cluster.get("/overview")["taskmanagers"] != 1:
            raise Failure("something is left behind, or gone")


def crashes_and_exceptions_of_user_code_are_failed_attempts():
    with Cluster("crash") as cluster:
        jar = cluster.upload(os.path.join(os.path.dirname(FLIGHTS_JAR), "bad_programs.jar"))
        for entry, words in {"fails": ["std::out_of_range", "row fifty thousand"],
                             "crashes": ["The job's code crashed", "SIGSEGV in Source: ", "NativeCrash", "writes_to_nowhere() (program.so, bad_programs.cc:",
                                         "goes_wrong(long) (program.so, bad_programs.cc:", "drey::runtime::Task::step"]}.items():
            status, answer = cluster.run(jar, [], entryClass=entry)
            if status != 200:
                raise Failure(f"{entry}: {status} {answer}")
            if ended(cluster, answer["jobid"]) != "FAILED":
                raise Failure(f"{entry}: not FAILED")
            expect(entry, cluster.get(f"/jobs/{answer['jobid']}/exceptions"), *words)
        until("another TaskManager", 10, lambda: cluster.get("/overview")["slots-available"] == 4)


if __name__ == "__main__":
    main([programs_that_misbehave_get_400_with_their_own_words,
          crashes_and_exceptions_of_user_code_are_failed_attempts,
          bad_jars_are_uploaded_and_refused_by_plan_and_run,
          bad_rows_and_files_fail_the_job_by_file_line_and_column,
          a_file_that_grows_while_it_is_read_fails_the_attempt_and_is_read_whole_by_the_next,
          a_jar_that_is_deleted_while_its_job_runs_is_not_missed,
          a_damaged_checkpoint_is_passed_over_or_refused,
          ports_directories_and_options_are_checked_before_anything_starts,
          arguments_without_sense_are_refused_by_plan_with_operator_and_value,
          more_parallelism_than_slots_waits_and_then_fails_with_the_numbers,
          an_output_directory_that_cannot_be_written_fails_the_job_with_its_path])
