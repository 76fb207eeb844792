#!/usr/bin/env python3
"""Flink 2.3's own dashboard on a live Drey, in headless Chromium: every page loads and none of its calls fails.

Pictures of the pages are left in build/e2e/dashboard/pages.
"""
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from flink import DOWNLOADS, dist_jar, start_flights  # noqa: E402
from cluster import Cluster, Failure, Skip, main, until  # noqa: E402

PLAYWRIGHT = "playwright-core@1.57.0"


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


def every_page_of_the_dashboard_loads():
    modules = node_modules()
    with Cluster("dashboard", f"-Ddrey.web-ui={dist_jar('2.3')}", "-Drest.flamegraph.enabled=true") as cluster:
        job = start_flights(cluster)
        until("a checkpoint", 20, lambda: cluster.get(f"/jobs/{job}/checkpoints")["counts"]["completed"] > 0)
        pictures = os.path.join(cluster.base, "pages")
        os.makedirs(pictures)
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "dashboard.js")
        done = subprocess.run(["node", script, cluster.url, pictures], capture_output=True, text=True, timeout=300, env={**os.environ, "NODE_PATH": modules})
        lines = done.stdout.splitlines()
        if done.returncode != 0 or not lines or not lines[-1].startswith("pages "):
            raise Failure((done.stdout + done.stderr)[-2000:])
        if len(lines) > 1:
            raise Failure(f"{len(lines) - 1} problems: " + "; ".join(sorted(set(lines[:-1]))[:40]))


if __name__ == "__main__":
    main([every_page_of_the_dashboard_loads])
