#!/usr/bin/env python3
"""What is made of the declared operations, by the tools of those who use it: an OpenAPI validator and the TypeScript compiler."""
import json
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from flink import DOWNLOADS  # noqa: E402
from cluster import DREY, Cluster, Failure, Skip, main  # noqa: E402

VALIDATOR = "openapi-spec-validator==0.9.0"
COMPILER = "typescript@7.0.2"


def printed(*words):
    done = subprocess.run([DREY, "openapi", *words], capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise Failure(done.stderr)
    return done.stdout


def validator():
    home = os.path.join(DOWNLOADS, "openapi")
    tool = os.path.join(home, "bin", "openapi-spec-validator")
    if not os.path.exists(tool):
        os.makedirs(DOWNLOADS, exist_ok=True)
        for command in ([sys.executable, "-m", "venv", "--clear", home], [os.path.join(home, "bin", "pip"), "install", "-q", VALIDATOR]):
            got = subprocess.run(command, capture_output=True, text=True, timeout=300)
            if got.returncode != 0:
                raise Skip(f"{' '.join(command[1:])}: {(got.stdout + got.stderr)[-300:]}")
    return tool


def openapi_is_valid_and_the_same_from_a_server():
    tool = validator()
    page = os.path.join(DOWNLOADS, "openapi.json")
    text = printed()
    with open(page, "w") as f:
        f.write(text)
    done = subprocess.run([tool, page], capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise Failure((done.stdout + done.stderr)[-2000:])
    # The validator can see.
    broken = json.loads(text)
    next(iter(broken["paths"].values())).popitem()[1].pop("responses", None)
    broken["paths"]["/jobs/{jobid}"]["get"]["parameters"] = []
    with open(page + ".broken", "w") as f:
        json.dump(broken, f)
    if subprocess.run([tool, page + ".broken"], capture_output=True, timeout=120).returncode == 0:
        raise Failure("the validator takes a broken page")
    with Cluster("openapi") as cluster:
        if cluster.get("/openapi.json") != json.loads(text):
            raise Failure("the server says something else")


def the_typescript_client_compiles():
    if shutil.which("npx") is None:
        raise Skip("no npx; by hand: apt-get install npm")
    folder = os.path.join(DOWNLOADS, "typescript")
    os.makedirs(folder, exist_ok=True)
    client = os.path.join(folder, "drey_client.ts")
    with open(client, "w") as f:
        f.write(printed("--typescript"))
    with open(os.path.join(folder, "use.ts"), "w") as f:
        f.write('import { DreyClient, DreyError } from "./drey_client";\n'
                "export async function rows(id: string): Promise<number> {\n"
                '  const drey = new DreyClient("http://localhost:8081");\n'
                '  const all = await drey.get_jobs_overview({ state: ["RUNNING"], limit: 5 });\n'
                '  await drey.post_jobs_jobid_stop({ jobid: all.jobs[0].jid }, { drain: true });\n'
                "  const job = await drey.get_jobs_jobid({ jobid: id });\n"
                "  if (job.vertices.length === 0) throw new DreyError(404, []);\n"
                '  return job.vertices[0].metrics["read-records"];\n'
                "}\n")
    compiler = ["npx", "--yes", "-p", COMPILER, "tsc", "--strict", "--noEmit", "--target", "es2022", "--module", "es2022", "--moduleResolution", "bundler",
                "--lib", "es2022,dom"]
    probe = subprocess.run([*compiler[:5], "--version"], capture_output=True, text=True, timeout=300)
    if probe.returncode != 0:
        raise Skip(f"no TypeScript compiler: {probe.stderr[-300:]}")
    done = subprocess.run([*compiler, os.path.join(folder, "use.ts")], capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise Failure(done.stdout[-2000:])


if __name__ == "__main__":
    main([openapi_is_valid_and_the_same_from_a_server, the_typescript_client_compiles])
