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
# ninja's status lines as they come: in one place on a terminal, else one for each tenth of the work.
progress() {
  local line percent shown=0
  while IFS= read -r line; do
    [[ $line =~ ^\[([0-9]+)/([0-9]+)\]\ (.*) ]] || continue
    if [ -t 1 ]; then
      printf '\r\033[K%s' "${line:0:100}"
    elif percent=$((100 * BASH_REMATCH[1] / BASH_REMATCH[2])) && [ $((percent / 10)) -gt "$shown" ]; then
      shown=$((percent / 10))
      echo "  $percent %  [${BASH_REMATCH[1]}/${BASH_REMATCH[2]}]"
    fi
  done
  [ ! -t 1 ] || printf '\r\033[K'
}
echo "Building (the first time takes some minutes) ..."
if ! { cmake --preset release >build/run.configure.log 2>&1 && ninja -C build/release product 2>&1 | tee build/run.build.log | progress; }; then
  grep -hE "error:|CMake Error|FAILED:" -A5 build/run.configure.log build/run.build.log | head -40 >&2
  echo "The build failed; build/run.configure.log and build/run.build.log have it all." >&2
  exit 1
fi

drey="$PWD/build/release/bin/drey"
run="$PWD/build/run/$(date +%Y%m%d-%H%M%S)"
while ! mkdir -p "${run%/*}" || ! mkdir "$run" 2>/dev/null; do run="$run+"; done
# 8081 when it is free, else any free port.
port=8081
if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then port=0; fi
"$drey" up --dir "$run/cluster" -Drest.port=$port >"$run/up.log" 2>&1 &
up=$!
client=""
stop() {
  kill $client "$up" 2>/dev/null || true
  wait 2>/dev/null || true
}
trap stop EXIT
trap 'exit 130' INT TERM
for _ in $(seq 100); do
  [ -s "$run/cluster/rest.address" ] && break
  kill -0 "$up" 2>/dev/null || break
  sleep 0.1
done
[ -s "$run/cluster/rest.address" ] || { cat "$run/up.log" >&2; exit 1; }
url=$(cat "$run/cluster/rest.address")
echo "REST API: $url"

data="$PWD/examples/flights/data"
code=0
"$drey" run -m "${url#http://}" build/release/examples/flights.jar --input "$data/flights.csv.zst" --airlines "$data/airlines.csv.zst" \
  --output "$run/out" "${job_options[@]}" &
client=$!
wait "$client" || code=$?
client=""
for name in departures punctuality streaks; do
  if compgen -G "$run/out/$name/part-*" >/dev/null; then
    echo "== $name: $(cat "$run/out/$name"/part-* | wc -l) rows"
    cat "$run/out/$name"/part-* | head -10 || true
  fi
done
echo "Output: $run/out"
[ "$once" -eq 1 ] && exit "$code"
echo "The cluster stays up at $url until Ctrl-C."
wait "$up"
