#!/usr/bin/env bash
# Builds and runs everything that guards a change. Ends with `N passed, N failed, N skipped`.
set -euo pipefail
cd "$(dirname "$0")"

usage() {
  cat <<'TEXT'
usage: ./test.sh [--lane LANE]... [--test TEXT] [--seed N] [--all]
  --lane release|asan|tsan|e2e|clang   only these lanes (default: release asan tsan e2e)
  --test TEXT                          only cases whose name holds TEXT
  --seed N                             simulation: only this seed
  --all                                also with the second compiler (clang)
examples:
  ./test.sh                            what CI runs
  ./test.sh --lane asan --test TaskState
TEXT
}

lanes=()
only=""
all=0
while [ $# -gt 0 ]; do
  case "$1" in
    --lane) lanes+=("$2"); shift 2 ;;
    --test) only="$2"; shift 2 ;;
    --seed) export DREY_SIM_SEED="$2"; shift 2 ;;
    --all) all=1; shift ;;
    --help|-h) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done
[ ${#lanes[@]} -eq 0 ] && lanes=(release asan tsan e2e)
[ "$all" -eq 1 ] && lanes+=(clang)

tools/install_packages.sh
tools/tidy.py || { echo "0 passed, 1 failed, 0 skipped"; exit 1; }
export CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=1
jobs=$(nproc)
begin=$SECONDS

build() {  # preset, targets
  local preset=$1; shift
  echo "== building $preset"
  cmake --preset "$preset" -DDREY_TESTS=ON >"build/$preset.configure.log" 2>&1 || { cat "build/$preset.configure.log"; exit 1; }
  ninja -C "build/$preset" -j"$jobs" "$@" >"build/$preset.build.log" 2>&1 || { grep -E "error|FAILED" -A5 "build/$preset.build.log" | head -60; tail -5 "build/$preset.build.log"; echo "0 passed, 1 failed, 0 skipped"; exit 1; }
}
mkdir -p build
programs=()
scripts=()
for lane in "${lanes[@]}"; do
  case "$lane" in
    release) build release all; programs+=(build/release) ;;
    asan|clang) build "$lane" drey_tests; programs+=("build/$lane") ;;
    tsan) build tsan drey_threaded_tests; programs+=(build/tsan) ;;
    e2e) build release all; scripts+=(tests/e2e) ;;
    *) usage >&2; exit 2 ;;
  esac
done
echo "== running (built in $((SECONDS - begin)) s)"
[ -d tests/e2e ] || scripts=()
python3 tools/run_tests.py --programs "${programs[@]}" --scripts "${scripts[@]}" --test "$only"
