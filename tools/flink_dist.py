"""The jars of a released Apache Flink, from its Python package: downloaded once, for the peer benchmark and the tests with Flink's clients."""
import os
import shutil
import subprocess
import sys
import zipfile


def fetch(requirement, target, *options):
    """Unpacks pyflink/ of the wheel `requirement` ("apache-flink-libraries==2.3.0") into `target`, unless it is there.

    `options` go to `pip download`. Raises RuntimeError when the package cannot be had; nothing half unpacked stays behind.
    """
    if os.path.isdir(target):
        return target
    partial = target + ".partial"
    shutil.rmtree(partial, ignore_errors=True)
    os.makedirs(partial)
    got = subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", partial, *options, requirement], capture_output=True, text=True)
    wheels = [f for f in os.listdir(partial) if f.endswith(".whl")]
    if got.returncode != 0 or not wheels:
        shutil.rmtree(partial)
        raise RuntimeError(f"pip could not download {requirement}: {got.stderr.strip()[-300:]}")
    with zipfile.ZipFile(os.path.join(partial, wheels[0])) as wheel:
        names = [n for n in wheel.namelist() if n.startswith(("pyflink/lib/", "pyflink/opt/", "pyflink/plugins/", "pyflink/bin/"))]
        wheel.extractall(partial, names)
    os.remove(os.path.join(partial, wheels[0]))
    os.rename(os.path.join(partial, "pyflink"), target)
    os.rmdir(partial)
    return target
