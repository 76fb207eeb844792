#!/usr/bin/env python3
"""The dashboards of Flink 2.3 and 1.12 on a live Drey, in headless Chromium: every page, tab and drawer; no call fails, no error in the console.

Pictures of the pages are left in build/e2e/dashboard-RELEASE/pages.
"""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from flink import DOWNLOADS, dist_jar, flights_arguments, start_flights  # noqa: E402
from cluster import FLIGHTS_JAR, Cluster, Failure, Skip, main, until  # noqa: E402

PLAYWRIGHT = "playwright-core@1.57.0"
COMPAT = {"2.3": "auto", "1.12": "1.12"}


def node_modules():
    """Where playwright-core is installed; the browser is Debian's."""
    if not os.path.exists("/usr/bin/chromium"):
        raise Skip("no chromium; by hand: apt-get install chromium")
    if shutil.which("npm") is None:
        raise Skip("no npm; by hand: apt-get install npm")
    os.makedirs(DOWNLOADS, exist_ok=True)
    if not os.path.isdir(os.path.join(DOWNLOADS, "node_modules", "playwright-core")):
        done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", DOWNLOADS, PLAYWRIGHT], capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            raise Skip(f"npm could not install {PLAYWRIGHT}: {done.stderr[-300:]}")
    return os.path.join(DOWNLOADS, "node_modules")


def walk(release):
    """Every page, what opens on it, and a jar from its upload to its end."""
    modules = node_modules()
    with Cluster(f"dashboard-{release}", f"-Ddrey.web-ui={dist_jar(release)}", "-Drest.flamegraph.enabled=true", "-Drest.profiling.enabled=true",
                 "-Dtaskmanager.numberOfTaskSlots=4", "-Dweb.refresh-interval=700", f"-Drest.compat={COMPAT[release]}") as cluster:
        job = start_flights(cluster)
        until("a checkpoint", 20, lambda: cluster.get(f"/jobs/{job}/checkpoints")["counts"]["completed"] > 0)
        pictures = os.path.join(cluster.base, "pages")
        os.makedirs(pictures)
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "dashboard.js")
        jar = shutil.copy(FLIGHTS_JAR, os.path.join(cluster.base, "dashboard.jar"))
        arguments = " ".join(flights_arguments(cluster, "out-of-the-dashboard"))
        done = subprocess.run(["node", script, release, cluster.url, jar, arguments, pictures], capture_output=True, text=True, timeout=600,
                              env={**os.environ, "NODE_PATH": modules})
        *problems, last = done.stdout.splitlines() or [""]
        if done.returncode != 0 or not last.startswith("pages "):
            raise Failure((done.stdout + done.stderr)[-2000:])
        print(f"  dashboard of {release}: {last}")
        if problems:
            raise Failure(f"{len(problems)} problems: " + "; ".join(sorted(set(problems))[:40]))


def dashboard_of_2_3():
    walk("2.3")


def dashboard_of_1_12():
    walk("1.12")


if __name__ == "__main__":
    main([dashboard_of_2_3, dashboard_of_1_12])
