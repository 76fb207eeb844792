#!/usr/bin/env bash
# Builds a release and prints the benchmark tables: goal, measured (median of five), spread. Options: bench/run.py --help
# --flink: runs Apache Flink (downloaded; needs Java 17) and Drey in turn over the same data. Options: bench/flink/run.py --help
# --native: runs timely dataflow and bare loops (needs cargo) and Drey in turn over the same rows. Options: bench/native/run.py --help
set -euo pipefail
cd "$(dirname "$0")"
table=bench/run.py
case "${1:-}" in
  --flink) table=bench/flink/run.py; shift ;;
  --native) table=bench/native/run.py; shift ;;
esac
case "${1:-}" in
  --help|-h) exec python3 "$table" --help ;;
esac
tools/install_packages.sh
tools/install_packages.sh wrk || echo "Without wrk the requests per second of the REST API are not measured." >&2
export CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=1
mkdir -p build
cmake --preset release >build/bench.configure.log 2>&1 || { cat build/bench.configure.log; exit 1; }
ninja -C build/release drey drey-bench drey-api-bench drey-load bench_jobs_jar >build/bench.build.log 2>&1 || { grep -E "error" -A5 build/bench.build.log; exit 1; }
exec python3 "$table" "$@"
