"""The serialized-throwable of a failed job, read by a real JVM with Java's own ObjectInputStream."""
import json
import os
import shutil
import subprocess

from cluster import FLIGHTS_JAR, Cluster, Failure, Skip, main, until

# The class as Flink's clients have it: same name, same serialVersionUID, same fields.
THROWABLE = """
package org.apache.flink.util;
public class SerializedThrowable extends Exception {
  private static final long serialVersionUID = 7284183123441947635L;
  private final String originalErrorClassName = null;
  private final byte[] serializedException = null;
  private final String fullStringifiedStackTrace = null;
  public String trace() { return fullStringifiedStackTrace; }
  public String toString() { return originalErrorClassName + ": " + getMessage(); }
  public boolean isBare() { return serializedException == null && getCause() == null; }
}
"""
READER = """
import java.io.*;
import java.util.Base64;
public class Reader {
  public static void main(String[] args) throws Exception {
    byte[] bytes = Base64.getDecoder().decode(System.in.readAllBytes());
    Object read = new ObjectInputStream(new ByteArrayInputStream(bytes)).readObject();
    var throwable = (org.apache.flink.util.SerializedThrowable) read;
    PrintStream out = new PrintStream(System.out, true, "UTF-8");
    out.println(throwable.isBare() + "|" + throwable);
    out.print(throwable.trace());
  }
}
"""


def java_reads_why_a_job_failed():
    if not shutil.which("javac") or not shutil.which("java"):
        raise Skip("no Java here")
    with Cluster("throwable") as cluster:
        jar = cluster.upload(FLIGHTS_JAR)
        missing = "/nonexistent/\u00e4\U0001f600.csv"  # two bytes in UTF-8, and two surrogates in Java
        status, answer = cluster.run(jar, ["--input", missing, "--airlines", missing, "--output", cluster.base + "/out"],
                                     flinkConfiguration={"restart-strategy.type": "none"})
        if status != 200:
            raise Failure(answer)
        job = answer["jobid"]
        until("the failure", 60, lambda: cluster.state(job) == "FAILED")
        cause = cluster.get(f"/jobs/{job}/execution-result")["job-execution-result"]["failure-cause"]
        if list(cause) != ["class", "stack-trace", "serialized-throwable"]:
            raise Failure(list(cause))
        work = os.path.join(cluster.base, "java")
        os.makedirs(os.path.join(work, "org/apache/flink/util"))
        for name, text in {"org/apache/flink/util/SerializedThrowable.java": THROWABLE, "Reader.java": READER}.items():
            with open(os.path.join(work, name), "w") as f:
                f.write(text)
        subprocess.run(["javac", "-d", work, "Reader.java", "org/apache/flink/util/SerializedThrowable.java"], cwd=work, check=True,
                       timeout=120)
        read = subprocess.run(["java", "-cp", work, "Reader"], input=cause["serialized-throwable"].encode(), stdout=subprocess.PIPE,
                              check=True, timeout=120).stdout.decode()
        first, trace = read.split("\n", 1)
        if not first.startswith("true|" + cause["class"] + ": ") or "\u00e4\U0001f600.csv" not in first:
            raise Failure(first)
        if trace != cause["stack-trace"]:
            raise Failure(f"{trace!r} is not {json.dumps(cause['stack-trace'])}")


if __name__ == "__main__":
    main([java_reads_why_a_job_failed])
