"""Flink's own command line and dashboard, as its releases ship them, for tests against a live Drey.

Needs Java 17 and the network once; what cannot be had is a Skip that says so.
"""
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
sys.path.insert(0, os.path.join(ROOT, "tools"))
import flink_dist  # noqa: E402
from cluster import DATA, FLIGHTS_JAR, Failure, Skip  # noqa: E402

DOWNLOADS = os.path.join(ROOT, "build", "clients")
# The wheel of 1.12 is made for Python 3.8; only its jars are wanted.
RELEASES = {
    "2.3": ("apache-flink-libraries==2.3.0", ()),
    "1.12": ("apache-flink==1.12.5", ("--only-binary=:all:", "--python-version", "38", "--platform", "manylinux1_x86_64")),
}


def distribution(release):
    """The folder of a release's jars."""
    package, options = RELEASES[release]
    os.makedirs(DOWNLOADS, exist_ok=True)
    try:
        return flink_dist.fetch(package, os.path.join(DOWNLOADS, f"flink-{release}"), *options)
    except RuntimeError as why:
        raise Skip(str(why)) from why


def dist_jar(release):
    lib = os.path.join(distribution(release), "lib")
    return next(os.path.join(lib, name) for name in sorted(os.listdir(lib)) if name.startswith("flink-dist"))


class CommandLine:
    """`flink` of one release, pointed at a cluster."""

    def __init__(self, release, cluster):
        if shutil.which("java") is None:
            raise Skip("no java; by hand: apt-get install openjdk-17-jre-headless")
        self.lib = os.path.join(distribution(release), "lib")
        self.address = cluster.url.removeprefix("http://").replace("localhost", "127.0.0.1")
        self.conf = os.path.join(cluster.base, f"conf-{release}")
        os.makedirs(self.conf, exist_ok=True)
        host, port = self.address.rsplit(":", 1)
        for name in ("config.yaml", "flink-conf.yaml"):
            with open(os.path.join(self.conf, name), "w") as f:
                f.write(f"jobmanager.rpc.address: {host}\nrest.address: {host}\nrest.port: {port}\n")

    def __call__(self, *arguments, expect=0):
        """What it prints; a Failure unless it exits with `expect`."""
        verb, *rest = arguments
        command = ["java", "--add-opens=java.base/java.lang=ALL-UNNAMED", "--add-opens=java.base/java.util=ALL-UNNAMED", "-cp", f"{self.lib}/*",
                   "org.apache.flink.client.cli.CliFrontend", verb, "-m", self.address, *rest]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, env={**os.environ, "FLINK_CONF_DIR": self.conf})
        if done.returncode != expect:
            raise Failure(f"flink {' '.join(arguments)}: exit {done.returncode}: {(done.stdout + done.stderr)[-1500:]}")
        return done.stdout + done.stderr


def flights_arguments(cluster, output="out"):
    """A flights job that runs for minutes."""
    return ["--input", os.path.join(DATA, "flights.csv.zst"), "--airlines", os.path.join(DATA, "airlines.csv.zst"),
            "--output", os.path.join(cluster.base, output), "--years", "200", "--rate", "200000", "--overwrite"]


def start_flights(cluster, *options):
    """Starts it at parallelism 2. Its id."""
    status, answer = cluster.run(cluster.upload(FLIGHTS_JAR), [*flights_arguments(cluster), *options], parallelism=2)
    if status != 200:
        raise Failure(f"run: {status} {answer}")
    return answer["jobid"]
