#!/usr/bin/env bash
# Builds a release and prints the benchmark tables: goal, measured (median of five), spread. Options: bench/run.py --help
set -euo pipefail
cd "$(dirname "$0")"
case "${1:-}" in
  --help|-h) python3 bench/run.py --help; exit 0 ;;
  --flink) echo "bench.sh: the side-by-side run with Flink is not part of this version." >&2; exit 2 ;;
esac
tools/install_packages.sh
export CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=1
mkdir -p build
cmake --preset release >build/bench.configure.log 2>&1 || { cat build/bench.configure.log; exit 1; }
ninja -C build/release drey drey-bench drey-api-bench bench_jobs_jar >build/bench.build.log 2>&1 || { grep -E "error" -A5 build/bench.build.log; exit 1; }
exec python3 bench/run.py "$@"
