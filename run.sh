#!/usr/bin/env bash
# From a clone to a running job: installs what is missing, builds a release, starts `drey up`, runs the flights example.
set -euo pipefail
cd "$(dirname "$0")"

usage() {
  cat <<'TEXT'
usage: ./run.sh [--once] [-- options of the flights job]
  --once   end when the job is finished (exit 0 only if it FINISHED); otherwise the cluster stays up until Ctrl-C
examples:
  ./run.sh
  ./run.sh --once -- --parallelism 2 --years 5 --rate 200000
TEXT
}

once=0
job_options=()
while [ $# -gt 0 ]; do
  case "$1" in
    --once) once=1; shift ;;
    --help|-h) usage; exit 0 ;;
    --) shift; job_options=("$@"); break ;;
    *) usage >&2; exit 2 ;;
  esac
done
[ ${#job_options[@]} -eq 0 ] && job_options=(--years 30 --rate 1000000)

tools/install_packages.sh
export CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=1
mkdir -p build
echo "Building (the first time takes some minutes) ..."
if ! { cmake --preset release -DDREY_TESTS=OFF >build/run.configure.log 2>&1 && ninja -C build/release >build/run.build.log 2>&1; }; then
  grep -E "error|CMake Error" -A5 build/run.configure.log build/run.build.log | head -40 >&2
  echo "The build failed; build/run.configure.log and build/run.build.log have it all." >&2
  exit 1
fi

drey="$PWD/build/release/bin/drey"
run="$PWD/build/run/$(date +%Y%m%d-%H%M%S)"
mkdir -p "$run"
# 8081 when it is free, else any free port.
port=8081
if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then port=0; fi
"$drey" up --dir "$run/cluster" -Drest.port=$port >"$run/up.log" 2>&1 &
up=$!
stop() {
  kill "$up" 2>/dev/null || true
  wait "$up" 2>/dev/null || true
}
trap stop EXIT
trap 'exit 130' INT TERM
for _ in $(seq 100); do
  [ -s "$run/cluster/rest.address" ] && break
  kill -0 "$up" 2>/dev/null || { cat "$run/up.log" >&2; exit 1; }
  sleep 0.1
done
url=$(cat "$run/cluster/rest.address")
echo "REST API: $url"

data="$PWD/examples/flights/data"
jar=$(curl -sf -F "jarfile=@build/release/examples/flights.jar" "$url/jars/upload" | python3 -c 'import json,os,sys; print(os.path.basename(json.load(sys.stdin)["filename"]))')
body=$(python3 - "$data" "$run/out" "${job_options[@]}" <<'PY'
import json, sys
data, out, *more = sys.argv[1:]
arguments = ["--input", f"{data}/flights.csv.zst", "--airlines", f"{data}/airlines.csv.zst", "--output", out]
body = {}
if "--parallelism" in more:
    body["parallelism"] = int(more[more.index("--parallelism") + 1])
print(json.dumps({"programArgsList": arguments + more, **body}))
PY
)
answer=$(curl -s -X POST -H 'Content-Type: application/json' -d "$body" "$url/jars/$jar/run")
job=$(echo "$answer" | python3 -c 'import json,sys; print(json.load(sys.stdin).get("jobid", ""))')
[ -n "$job" ] || { echo "The job was not accepted: $answer" >&2; exit 1; }
echo "Job $job"

state=$(python3 - "$url" "$job" <<'PY'
import json, sys, time, urllib.request
from datetime import datetime, timezone

url, job = sys.argv[1:]
get = lambda path: json.load(urllib.request.urlopen(url + path, timeout=30))
begin, before = time.monotonic(), 0
while True:
    details = get(f"/jobs/{job}")
    source = max(details["vertices"], key=lambda v: v["metrics"]["write-records"] if v["name"].startswith("Source") else -1)
    metrics = f"/jobs/{job}/vertices/{source['id']}/subtasks/metrics"
    names = [m["id"] for m in get(metrics) if m["id"].startswith("Source__") and m["id"].endswith(".numRecordsOut")]
    answer = get(f"{metrics}?get={names[0]}&agg=sum") if names else []
    rows = int(answer[0]["sum"]) if answer else before
    marks = [int(m["value"]) for v in details["vertices"] for m in get(f"/jobs/{job}/vertices/{v['id']}/watermarks")]
    marks = [m for m in marks if -(1 << 62) < m < (1 << 62)]
    mark = datetime.fromtimestamp(min(marks) / 1000, timezone.utc).strftime("%Y-%m-%d") if marks else "-"
    done = get(f"/jobs/{job}/checkpoints")["counts"]["completed"]
    elapsed = time.monotonic() - begin
    sys.stderr.write(f"\r{details['state']:<10} {rows:>12,} rows  {rows / max(elapsed, 0.1):>12,.0f} rows/s  watermark {mark:<10}  {done} checkpoints  ")
    sys.stderr.flush()
    before = rows
    if details["state"] in ("FINISHED", "FAILED", "CANCELED"):
        break
    time.sleep(0.5)
sys.stderr.write("\n")
print(details["state"])
PY
)
for name in departures punctuality streaks; do
  if compgen -G "$run/out/$name/part-*" >/dev/null; then
    echo "== $name: $(cat "$run/out/$name"/part-* | wc -l) rows"
    cat "$run/out/$name"/part-* | head -10 || true
  fi
done
echo "The job is $state. Output: $run/out"
if [ "$once" -eq 1 ]; then
  [ "$state" = FINISHED ]
  exit
fi
echo "The cluster stays up at $url until Ctrl-C."
wait "$up"
