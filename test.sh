#!/usr/bin/env bash
# Builds and runs everything that guards a change. Ends with `N passed, N failed, N skipped`.
set -euo pipefail
cd "$(dirname "$0")"

usage() {
  cat <<'TEXT'
usage: ./test.sh [--lane LANE]... [--test TEXT] [--seed N] [--all] [--clients] [--fuzz [SECONDS]]
  --lane tidy|release|asan|tsan|e2e|clang|clients|fuzz   only these lanes (default: all but the last three)
  --test TEXT                               only cases whose name holds TEXT
  --seed N                                  simulation: only this seed
  --all                                     also with the second compiler (clang 14)
  --clients                                 also Flink's own command lines and dashboard against a live Drey
                                            (downloads; needs Java 17, for the dashboard chromium and npm)
  --fuzz [SECONDS]                          only the fuzzers, so long each (60), and as long at most each for its canary
examples:
  ./test.sh                            what CI runs
  ./test.sh --lane asan --test TaskState
  ./test.sh --lane release --test ClusterSim --seed 17
TEXT
}
refuse() {
  usage >&2
  exit 2
}

lanes=()
only=""
all=0
clients=0
while [ $# -gt 0 ]; do
  case "$1" in
    --lane) [ $# -ge 2 ] || refuse; lanes+=("$2"); shift 2 ;;
    --test) [ $# -ge 2 ] || refuse; only="$2"; shift 2 ;;
    --seed) [[ "${2:-}" =~ ^[0-9]+$ ]] || refuse; export DREY_SIM_SEED="$2"; shift 2 ;;
    --all) all=1; shift ;;
    --clients) clients=1; shift ;;
    --fuzz)
      lanes+=(fuzz)
      shift
      if [[ "${1:-}" =~ ^[0-9]+$ ]]; then export DREY_FUZZ_SECONDS="$1"; shift; fi
      ;;
    --help|-h) usage; exit 0 ;;
    *) refuse ;;
  esac
done
[ ${#lanes[@]} -eq 0 ] && lanes=(tidy release asan tsan e2e)
[ "$all" -eq 1 ] && lanes+=(clang)
[ "$clients" -eq 1 ] && lanes+=(clients)
has_lane() { [[ " ${lanes[*]} " == *" $1 "* ]]; }
for lane in "${lanes[@]}"; do
  [[ " tidy release asan tsan e2e clang clients fuzz " == *" $lane "* ]] || refuse
done

# Whatever ends this early is a failure, and the last line says so.
failed() {
  echo "FAILED $1"
  echo "0 passed, 1 failed, 0 skipped"
  exit 1
}
trap 'failed "test.sh, line $LINENO"' ERR
begin=$SECONDS
extra=()
has_lane clang && extra=(clang-14)
has_lane fuzz && extra=(clang-14 libclang-rt-14-dev)
tools/install_packages.sh "${extra[@]}" || failed "installing packages"
has_lane tidy && { tools/tidy.py || failed "tidy"; }
export CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=1
mkdir -p build

build() {  # preset, targets
  local preset=$1 from=$SECONDS; shift
  cmake --preset "$preset" -DDREY_TESTS=$([ "$preset" = fuzz ] && echo OFF || echo ON) >"build/$preset.configure.log" 2>&1 || { cat "build/$preset.configure.log"; failed "configuring $preset"; }
  ninja -C "build/$preset" "$@" >"build/$preset.build.log" 2>&1 || {
    grep -E "error|FAILED" -A5 "build/$preset.build.log" | head -60
    tail -5 "build/$preset.build.log"
    failed "building $preset"
  }
  echo "== built $preset ($((SECONDS - from)) s)"
}
arguments=(--test "$only")
programs=()
if has_lane release || has_lane e2e || has_lane clients; then build release all; fi
has_lane release && programs+=(build/release) && arguments+=(--listed build/release)
has_lane asan && build asan drey_tests && programs+=(build/asan)
has_lane clang && build clang drey_tests all_verify_interface_header_sets && programs+=(build/clang)
has_lane tsan && build tsan drey_threaded_tests && programs+=(build/tsan)
has_lane fuzz && build fuzz drey_fuzzers
[ ${#programs[@]} -gt 0 ] && arguments+=(--programs "${programs[@]}")
scripts=()
has_lane e2e && scripts+=(tests/e2e)
has_lane clients && scripts+=(tests/clients)
has_lane fuzz && scripts+=(tests/fuzz) && arguments+=(--script-seconds $((${DREY_FUZZ_SECONDS:-60} * 20 + 1200)))
[ ${#scripts[@]} -gt 0 ] && arguments+=(--scripts "${scripts[@]}")
if [ ${#arguments[@]} -eq 2 ]; then
  echo "1 passed, 0 failed, 0 skipped"  # tidy alone
  exit 0
fi
echo "== running (installed and built in $((SECONDS - begin)) s)"
exec python3 tools/run_tests.py "${arguments[@]}"
