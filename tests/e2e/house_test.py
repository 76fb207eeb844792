#!/usr/bin/env python3
"""What a newcomer does first, as the README says it: run.sh, a job of one's own; and what the build needs, told or installed."""
import json
import os
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import BUILD, DREY, ROOT, Cluster, Failure, Skip, folder, main  # noqa: E402


def expect(what, found, *words):
    for word in words:
        if word not in str(found):
            raise Failure(f"{what}: '{word}' is not in {str(found)[-2000:]}")


def equal(what, found, wanted):
    if found != wanted:
        raise Failure(f"{what}: {found} instead of {wanted}")


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as f:
        return f.read()


def run(command, seconds=300, **more):
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds, **more)


def blocks(text):
    """(language, text) of the fenced and (language None) of the indented blocks of a page."""
    fenced = re.findall(r"```(\w+)\n(.*?)```", text, re.S)
    indented = re.findall(r"(?:^    .*\n)+", re.sub(r"```.*?```", "", text, flags=re.S), re.M)
    return fenced + [(None, re.sub("^    ", "", block, flags=re.M)) for block in indented]


def a_job_written_from_the_readme_alone_builds_runs_and_is_shown():
    project = folder("readme")
    page = read(ROOT, "README.md")
    program, = [text for language, text in blocks(page) if language == "cpp" and "DREY_JOB" in text]
    build_file, = [text for language, text in blocks(page) if language == "cmake"]
    commands, = [text for language, text in blocks(page) if language is None and "drey up" in text]
    for name, text in (("count.cc", program), ("CMakeLists.txt", build_file)):
        with open(os.path.join(project, name), "w", encoding="utf-8") as f:
            f.write(text)
    # The commands as they stand there, but for the ports and the place of this test's cluster.
    build, up, submit, look = commands.strip().split("\n")
    expect("the README", up, "$DREY/build/release/bin/drey up &")
    output = os.path.join(project, "counts")
    with Cluster("readme-cluster") as cluster:
        host = cluster.url.removeprefix("http://")
        script = "\n".join(["set -e", build, submit.replace("drey run ", f"drey run -m {host} ").replace("/tmp/counts", output), look.replace("localhost:8081", host)])
        done = run(["bash", "-c", script], cwd=project, env={**os.environ, "DREY": ROOT})
        equal("the README's commands", (done.returncode, done.stderr[-2000:] if done.returncode else ""), (0, ""))
        expect("/jobs/overview", done.stdout, '"name":"count"', '"state":"FINISHED"')
    # A million rows within a second of event time, over 100 keys.
    rows = [line for name in os.listdir(output) if name.startswith("part-") for line in read(output, name).splitlines()[1:]]
    equal("rows", len(rows), 100)
    equal("a row", sorted(rows)[0], "0,1970-01-01T00:00:01Z,10000")


def run_sh_once_finishes_and_leaves_nothing_behind():
    # 8081 is not free: run.sh takes another port.
    with Cluster("run-sh-blocks", "-Drest.port=8081") if free(8081) else Nothing():
        begin = time.monotonic()
        done = run([os.path.join(ROOT, "run.sh"), "--once", "--", "--years", "1"])
        equal("run.sh --once", (done.returncode, done.stderr), (0, ""))
        print(f"  a further ./run.sh --once took {time.monotonic() - begin:.1f} s", file=sys.stderr)
    url = re.search(r"REST API: http://localhost:(\d+)", done.stdout)
    if not url or url.group(1) == "8081":
        raise Failure(f"not on another port: {done.stdout[:500]}")
    expect("run.sh --once", done.stdout, "rows/s  watermark", "checkpoints", "== departures: 19486 rows\n", "== punctuality: 5430 rows\n", "== streaks: 14100 rows\n",
           "EWR,2013-01-01T10:00:00Z,2,0,-1.000,2\n")
    for section in done.stdout.split("== ")[1:]:
        equal("lines shown of an output", len([line for line in section.splitlines()[1:] if "T" in line and "Z," in line]), 10)
    directory = re.search(r"Output: (\S+)/out", done.stdout).group(1)
    equal("processes left", run(["pgrep", "-f", directory]).stdout if shutil.which("pgrep") else "", "")
    for path in ("bin/drey", "examples/flights.jar", "install/bin/drey", "install/include/drey/datastream.h",
                 "install/lib/cmake/Drey/DreyConfig.cmake"):
        if not os.path.exists(os.path.join(BUILD, path)):
            raise Failure(f"build/release/{path} is not there")


def run_sh_once_tells_a_failed_job_by_its_exit_code():
    done = run([os.path.join(ROOT, "run.sh"), "--once", "--", "--years", "soon"])
    equal("a bad option of the job", done.returncode, 1)
    expect("a bad option of the job", done.stderr, "years", "soon")
    equal("usage", run([os.path.join(ROOT, "run.sh"), "--bogus"]).returncode, 2)


class Nothing:
    def __enter__(self):
        return None

    def __exit__(self, *_):
        pass


def free(port):
    return "0" == run(["bash", "-c", f"(exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null && echo 1 || echo 0"]).stdout.strip()


def tools_of(directory, **scripts):
    """A folder with these scripts and links to the few tools that install_packages.sh itself uses: a PATH of its own."""
    for tool in ("bash", "env", "grep", "dirname", "mktemp", "rm", "cat", "tail", "id"):
        os.symlink(shutil.which(tool), os.path.join(directory, tool))
    for name, text in scripts.items():
        path = os.path.join(directory, name.replace("_", "-"))
        if os.path.lexists(path):
            os.remove(path)
        with open(path, "w") as f:
            f.write("#!/bin/bash\n" + text)
        os.chmod(path, 0o755)
    return {**os.environ, "PATH": directory}


def what_cannot_be_installed_is_named_with_the_command():
    script = os.path.join(ROOT, "tools", "install_packages.sh")
    other = run(["bash", script], env=tools_of(folder("other-distribution")))
    equal("another distribution", other.returncode, 1)
    expect("another distribution", other.stderr, "neither Debian nor Ubuntu", "libsimdjson-dev", "DREY_PACKAGES_ARE_THERE=1")
    nothing = "exit 1\n"
    policy = 'case "$2" in libzip-dev) ;; *) echo "  Candidate: 1.0" ;; esac\n'
    unknown = run(["bash", script], env=tools_of(folder("unknown-package"), dpkg_query=nothing, apt_get="exit 0\n", apt_cache=policy, id="echo 0\n"))
    equal("a package that is not to be had", unknown.returncode, 1)
    expect("a package that is not to be had", unknown.stderr, "no package of these names: libzip-dev\n", "apt-get install -y")
    broken = run(["bash", script], env=tools_of(folder("broken-package"), apt_cache='echo "  Candidate: 1.0"\n', id="echo 0\n",
                                                dpkg_query='case "$*" in *mold*) exit 1 ;; *) echo "install ok installed" ;; esac\n',
                                                apt_get='case "$1" in install) echo "E: mold is broken"; exit 100 ;; esac\n'))
    equal("a package that does not install", broken.returncode, 1)
    expect("a package that does not install", broken.stderr, "E: mold is broken", "Could not install: mold. By hand:", "apt-get install -y mold")
    user = run(["bash", script], env=tools_of(folder("no-sudo"), dpkg_query=nothing, apt_get="exit 0\n", id="echo 1000\n"))
    equal("a user without sudo", user.returncode, 1)
    expect("a user without sudo", user.stderr, "no sudo", "As root run:")
    log = os.path.join(folder("sudo-log"), "log")
    asked = run(["bash", script], env=tools_of(folder("sudo"), apt_cache='echo "  Candidate: 1.0"\n', id="echo 1000\n", sudo=f'echo "$@" >>{log}\n',
                                               dpkg_query='case "$*" in *libboost*|*mold*) exit 1 ;; *) echo "install ok installed" ;; esac\n', apt_get="exit 1\n"))
    equal("a user with sudo", (asked.returncode, asked.stderr), (0, ""))
    expect("a user with sudo", read(log), "apt-get update", "apt-get install -y -qq --no-install-recommends libboost1.81-dev mold\n")
    there = run(["bash", script], env=tools_of(folder("all-there"), dpkg_query='echo "install ok installed"\n', apt_get="exit 1\n"))
    equal("all there", (there.returncode, there.stdout + there.stderr), (0, ""))


def the_list_of_packages_is_what_the_build_uses():
    if not shutil.which("dpkg-query"):
        raise Skip("no dpkg here")
    done = run([os.path.join(ROOT, "tools", "check_packages.py"), BUILD])
    equal("check_packages.py", (done.returncode, done.stderr), (0, ""))


def the_slowest_objects_are_printed_from_a_log_of_ninja():
    build = folder("slowest")
    tool = os.path.join(ROOT, "tools", "slowest_objects.py")
    with open(os.path.join(build, ".ninja_log"), "w", encoding="utf-8") as f:
        f.write("# ninja log v5\n0\t9000\t1\ta.cc.o\tff\n5\t1505\t1\ta.cc.o\tff\n0\t2500\t1\tb.cc.o\tff\n0\t9000\t1\tlib.a\tff\n")
    done = run([tool, "--build", build])
    equal("by time, last build of each", (done.returncode, done.stdout),
          (0, "     2.5 s  b.cc.o\n     1.5 s  a.cc.o\n     4.0 s  in all, 2 objects\n"))
    equal("as JSON", json.loads(run([tool, "--build", build, "--json", "--all"]).stdout)[0], {"output": "lib.a", "seconds": 9.0})
    equal("above the bound", run([tool, "--build", build, "--most", "2"]).returncode, 1)
    equal("within the bound", run([tool, "--build", build, "--most", "3"]).returncode, 0)
    missing = run([tool, "--build", os.path.join(build, "none")])
    equal("no log", missing.returncode, 2)
    expect("no log", missing.stderr, os.path.join(build, "none"), "No such file")


def an_older_processor_gets_a_sentence():
    qemu = shutil.which("qemu-x86_64")
    if not qemu:
        raise Skip("qemu-x86_64 (package qemu-user) is not here")
    old = run([qemu, "-cpu", "Nehalem", DREY, "--version"])
    equal("Nehalem", old.returncode, 2)
    expect("Nehalem", old.stderr, "x86-64-v3")
    new = run([qemu, "-cpu", "Haswell", DREY, "--version"])
    equal("Haswell", new.returncode, 0)


if __name__ == "__main__":
    main([a_job_written_from_the_readme_alone_builds_runs_and_is_shown,
          run_sh_once_finishes_and_leaves_nothing_behind,
          run_sh_once_tells_a_failed_job_by_its_exit_code,
          what_cannot_be_installed_is_named_with_the_command,
          the_list_of_packages_is_what_the_build_uses,
          the_slowest_objects_are_printed_from_a_log_of_ninja,
          an_older_processor_gets_a_sentence])
