#!/usr/bin/env python3
"""Disks that are full or give back something else than what was written, for real."""
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import Cluster, Failure, Skip, main, until  # noqa: E402
from flights_job import RETRY, check, completed_checkpoints, flip, progressed, restored, state_files, state_folder, submit  # noqa: E402


class SmallDisk:
    """A file system of a few bytes at a directory of its own."""

    def __init__(self, path, size):
        self.path, self.size = path, size

    def __enter__(self):
        os.makedirs(self.path, exist_ok=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.size}", "tmpfs", self.path], capture_output=True, text=True)
        if done.returncode != 0:
            raise Skip(f"mounting a small file system does not work here: {done.stderr.strip()}")
        return self

    def grow(self, size):
        subprocess.run(["mount", "-o", f"remount,size={size}", self.path], check=True)

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", self.path], check=True)


def a_full_output_disk_fails_attempts_until_there_is_space_and_shows_no_half_file():
    with Cluster("full-output", *RETRY) as cluster, SmallDisk(os.path.join(cluster.base, "small"), "512k") as disk:
        output = os.path.join(disk.path, "out")
        job = submit(cluster, output, "--rate", "150000", "--checkpoint-interval", "200ms")
        text = until("the failure", 60, lambda: (t := str(cluster.get(f"/jobs/{job}/exceptions"))) and "No space left" in t and t)
        if disk.path not in text:
            raise Failure(f"the path is not named: {text[:400]}")
        for folder in os.listdir(output):
            for name in os.listdir(os.path.join(output, folder)):
                with open(os.path.join(output, folder, name), "rb") as f:
                    content = f.read()
                if not name.startswith(".") and not content.endswith(b"\n"):
                    raise Failure(f"{folder}/{name} is visible and not whole")
        disk.grow("200m")
        cluster.finish(job, 60)
        check(output)


def a_full_checkpoint_disk_fails_checkpoints_until_there_is_space():
    with Cluster("full-checkpoints", *RETRY, "-Dexecution.checkpointing.tolerable-failed-checkpoints=100000") as cluster:
        with SmallDisk(os.path.join(cluster.base, "small"), "64k") as disk:
            cluster.stop()
            cluster.properties.append(f"-Dexecution.checkpointing.dir={disk.path}")
            cluster.start()
            output = os.path.join(cluster.base, "out")
            job = submit(cluster, output, "--rate", "60000", "--checkpoint-interval", "200ms")
            failed = until("a failed checkpoint", 60, lambda: [c for c in cluster.get(f"/jobs/{job}/checkpoints")["history"]
                                                                if c["status"] == "FAILED" and "No space left" in c["failure_message"]])
            if disk.path not in failed[0]["failure_message"]:
                raise Failure(f"the path is not named: {failed[0]}")
            before = completed_checkpoints(cluster, job)
            disk.grow("500m")
            until("a checkpoint", 30, lambda: completed_checkpoints(cluster, job) > before)
            cluster.finish(job, 60)
            check(output)
            cluster.stop()


def truncate(path):
    os.truncate(path, os.path.getsize(path) // 2)


def a_checkpoint_with_a_flipped_bit_or_a_missing_or_cut_file_is_passed_over():
    for name, damage in {"flipped": flip, "missing": os.remove, "truncated": truncate}.items():
        with Cluster(f"damaged-{name}", "-Dexecution.checkpointing.num-retained=3", *RETRY) as cluster:
            output = os.path.join(cluster.base, "out")
            job = submit(cluster, output, "--rate", "100000", "--checkpoint-interval", "300ms")
            progressed(cluster, job, 4)
            # Held still, so that no newer checkpoint makes up for the damage.
            pid = cluster.task_manager_pids()[0]
            os.kill(pid, signal.SIGSTOP)
            files = state_files(cluster, newest_only=True)
            newest = max(int(n[4:]) for n in os.listdir(state_folder(cluster)) if n.startswith("chk-"))
            for path in files:
                damage(path)
            os.kill(pid, signal.SIGKILL)
            cluster.finish(job, 90)
            check(output)
            text = str(cluster.get(f"/jobs/{job}/exceptions"))
            if "damaged" not in text or not any(os.path.basename(path) in text for path in files):
                raise Failure(f"{name}: the exceptions do not name the damage: {text[:500]}")
            source = restored(cluster, job)
            if not source or source["id"] >= newest:
                raise Failure(f"{name}: restored from {source}, damaged was {newest}")


if __name__ == "__main__":
    main([a_full_output_disk_fails_attempts_until_there_is_space_and_shows_no_half_file,
          a_full_checkpoint_disk_fails_checkpoints_until_there_is_space,
          a_checkpoint_with_a_flipped_bit_or_a_missing_or_cut_file_is_passed_over])
