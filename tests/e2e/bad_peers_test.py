#!/usr/bin/env python3
"""Peers on the RPC port that do not belong to the cluster: refused, logged, counted; the cluster goes on."""
import os
import socket
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cluster import DREY, Cluster, Failure, main, until  # noqa: E402


def log_of(cluster):
    with open(os.path.join(cluster.directory, "log", "jobmanager.log")) as f:
        return f.read()


def refused(cluster):
    return int(cluster.get("/jobmanager/metrics?get=Status.Drey.refusedPeers")[0]["value"])


def is_unharmed(cluster):
    managers = cluster.get("/taskmanagers")["taskmanagers"]
    return len(managers) == 1 and cluster.get("/overview")["slots-available"] == 4


def garbage_on_the_rpc_port_is_refused_and_counted():
    with Cluster("rpc") as cluster:
        for bytes_ in (b"GET / HTTP/1.1\r\n\r\n", b"\x04\x00\x00\x00\x00\x00\x00\x00abcd", os.urandom(4096)):
            with socket.create_connection(("127.0.0.1", cluster.rpc_port()), timeout=5) as s:
                s.sendall(bytes_)
                s.shutdown(socket.SHUT_WR)
                while s.recv(4096):
                    pass
        until("three refused peers", 5, lambda: refused(cluster) == 3)
        if log_of(cluster).count("A connection to the RPC port ended before it registered") + log_of(cluster).count("sent something else") != 3:
            raise Failure("the refused peers are not in the log")
        if not is_unharmed(cluster):
            raise Failure("the TaskManager is gone")


def a_task_manager_without_the_secret_or_with_an_id_that_is_taken_is_refused():
    with Cluster("peers") as cluster:
        with open(f"/proc/{cluster.task_manager_pids()[0]}/environ") as f:
            secret = next(v[12:] for v in f.read().split("\0") if v.startswith("DREY_SECRET="))
        taken = cluster.get("/taskmanagers")["taskmanagers"][0]["id"]
        cases = [("none", "stranger", None, "the secret of the cluster does not match"),
                 ("wrong", "stranger", secret[:-1] + ("0" if secret[-1] != "0" else "1"), "the secret of the cluster does not match"),
                 ("longer", "stranger", secret + "0", "the secret of the cluster does not match"),
                 ("twin", taken, secret, f"the id {taken} is registered already")]
        for number, (name, id_, word, why) in enumerate(cases, 1):
            environment = {k: v for k, v in os.environ.items() if k != "DREY_SECRET"}
            if word is not None:
                environment["DREY_SECRET"] = word
            peer = subprocess.run([DREY, "taskmanager", "--id", id_, "--job-manager", f"127.0.0.1:{cluster.rpc_port()}", "--slots", "7"],
                                  env=environment, capture_output=True, text=True, timeout=20)
            if peer.returncode != 1 or why not in peer.stderr:
                raise Failure(f"{name}: exit {peer.returncode}, {peer.stderr}")
            if f"Refused TaskManager {id_}: " not in log_of(cluster) or why not in log_of(cluster):
                raise Failure(f"{name}: not in the log")
            until(f"{name} in the count", 5, lambda: refused(cluster) == number)
            if not is_unharmed(cluster):
                raise Failure(f"{name}: the cluster has another TaskManager, or none")
        if secret in log_of(cluster):
            raise Failure("the log holds the secret")


if __name__ == "__main__":
    main([garbage_on_the_rpc_port_is_refused_and_counted,
          a_task_manager_without_the_secret_or_with_an_id_that_is_taken_is_refused])
