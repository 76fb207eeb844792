#!/usr/bin/env bash
# A Flink session cluster on loopback: one JobManager, one TaskManager.
#
#   ./flink_cluster.sh start | stop | restart-tm | status
#
# Settings, from the environment:
#   SLOTS=2            task slots, and the default parallelism
#   PIN=               CPU list for the TaskManager (taskset); empty: not pinned
#   BACKEND=hashmap    state backend: hashmap (64 MiB managed memory) or rocksdb (2 GiB)
#   CKPT=off           checkpoint interval, such as 10s, or off
#   PRETOUCH=0         1: -XX:+AlwaysPreTouch
#   TM_MEM=8g          memory of the TaskManager process
#   REUSE=true         object reuse
#   PORT=28081         REST port; the next five ports are used too
#   PEERBENCH_WORK     scratch folder, with flink/ and jars/ (bench/flink/run.py makes it)
set -euo pipefail
work=${PEERBENCH_WORK:?}
slots=${SLOTS:-2} pin=${PIN:-} backend=${BACKEND:-hashmap} ckpt=${CKPT:-off} pretouch=${PRETOUCH:-0}
port=${PORT:-28081} tm_mem=${TM_MEM:-8g} reuse=${REUSE:-true}
home=$work/flink run=$work/run/$port
export FLINK_PLUGINS_DIR=$home/plugins FLINK_LIB_DIR=$home/lib FLINK_CONF_DIR=$run/conf FLINK_LOG_DIR=$run/log

# What Flink's own scripts add for Java 17.
opens=(--add-exports=java.rmi/sun.rmi.registry=ALL-UNNAMED --add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED)
for p in lang net io nio lang.reflect text time util util.concurrent util.concurrent.atomic util.concurrent.locks; do
  opens+=(--add-opens=java.base/java.$p=ALL-UNNAMED)
done
opens+=(--add-opens=java.base/sun.nio.ch=ALL-UNNAMED)

write_conf() {
  mkdir -p "$run/conf" "$run/log" "$run/tmp" "$run/upload" "$run/checkpoints"
  local managed=64m interval=
  [ "$backend" = rocksdb ] && managed=2g
  [ "$ckpt" != off ] && interval="execution.checkpointing.interval: $ckpt"
  cat > "$run/conf/config.yaml" <<CONF
jobmanager.bind-host: 127.0.0.1
jobmanager.rpc.address: 127.0.0.1
jobmanager.rpc.port: $((port + 1))
jobmanager.memory.process.size: 2g
blob.server.port: '$((port + 2))'
rest.address: 127.0.0.1
rest.bind-address: 127.0.0.1
rest.port: $port
web.upload.dir: $run/upload
taskmanager.bind-host: 127.0.0.1
taskmanager.host: 127.0.0.1
taskmanager.rpc.port: '$((port + 3))'
taskmanager.data.port: $((port + 4))
taskmanager.collect-sink.port: $((port + 5))
taskmanager.numberOfTaskSlots: $slots
taskmanager.memory.process.size: $tm_mem
taskmanager.memory.managed.size: $managed
taskmanager.memory.network.min: 256m
taskmanager.memory.network.max: 256m
taskmanager.memory.jvm-overhead.max: 512m
parallelism.default: $slots
pipeline.object-reuse: $reuse
state.backend.type: $backend
execution.checkpointing.incremental: true
execution.checkpointing.dir: file://$run/checkpoints
$interval
restart-strategy.type: none
classloader.resolve-order: parent-first
metrics.fetcher.update-interval: 500
io.tmp.dirs: $run/tmp
CONF
  cat > "$run/conf/log4j.properties" <<'LOG'
rootLogger.level = INFO
rootLogger.appenderRef.file.ref = file
appender.file.name = file
appender.file.type = File
appender.file.fileName = ${sys:log.file}
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d %-5p %c{1} %m%n
LOG
  echo "slots=$slots pin=${pin:-none} backend=$backend ckpt=$ckpt pretouch=$pretouch tm_mem=$tm_mem reuse=$reuse" > "$run/settings"
}

# The JVM's memory flags and Flink's -D settings, computed by Flink itself: params JM|TM -> two lines
params() {
  java -cp "$home/bin/bash-java-utils.jar:$home/lib/*" org.apache.flink.runtime.util.bash.BashJavaUtils \
    "GET_$1_RESOURCE_PARAMS" --configDir "$run/conf" 2>> "$run/log/params.log" | sed -n 's/^BASH_JAVA_UTILS_EXEC_RESULT://p'
}

launch() { # launch NAME MAIN JVM_FLAGS DYNAMIC [PREFIX...]
  local name=$1 main=$2 flags=$3 dynamic=$4
  shift 4
  # shellcheck disable=SC2086  # flags and settings are lists of words
  setsid "$@" java $flags -XX:+UseG1GC "-Xlog:gc:file=$run/log/$name-gc.log:uptime" -Dlog.file="$run/log/$name.log" \
    -Dlog4j.configurationFile="file:$run/conf/log4j.properties" "${opens[@]}" -classpath "$home/lib/*" \
    "$main" --configDir "$run/conf" $dynamic > "$run/log/$name.out" 2>&1 < /dev/null &
  echo $! > "$run/$name.pid"
}

start_one() { # start_one JM|TM
  local both
  mapfile -t both < <(params "$1")
  if [ "$1" = JM ]; then
    launch jm org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint "${both[0]}" "${both[1]}"
  else
    local touch=() prefix=()
    [ "$pretouch" = 1 ] && touch=(-XX:+AlwaysPreTouch)
    [ -n "$pin" ] && prefix=(taskset -c "$pin")
    launch tm org.apache.flink.runtime.taskexecutor.TaskManagerRunner "${both[0]} ${touch[*]-}" "${both[1]}" "${prefix[@]}"
  fi
}

stop_one() {
  local f=$run/$1.pid pid
  [ -e "$f" ] || return 0
  pid=$(cat "$f")
  if kill "$pid" 2> /dev/null; then
    for _ in $(seq 100); do kill -0 "$pid" 2> /dev/null || break; sleep 0.1; done
    kill -9 "$pid" 2> /dev/null || true
  fi
  rm -f "$f"
}

wait_ready() {
  for _ in $(seq 300); do
    curl -sf "http://127.0.0.1:$port/overview" 2> /dev/null | grep -q "\"slots-available\":$slots[,}]" && return
    sleep 0.2
  done
  echo "no $slots free slots after 60 s; see $run/log" >&2
  return 1
}

case ${1:-} in
  start) stop_one tm; stop_one jm; rm -rf "$run"; write_conf; start_one JM; start_one TM; wait_ready ;;
  restart-tm)
    stop_one tm
    # The JobManager must have noticed, or it would count the old one's slots.
    for _ in $(seq 150); do
      curl -sf "http://127.0.0.1:$port/overview" | grep -q '"taskmanagers":0[,}]' && break
      sleep 0.2
    done
    start_one TM; wait_ready ;;
  stop) stop_one tm; stop_one jm ;;
  status) cat "$run/settings" 2> /dev/null; curl -s "http://127.0.0.1:$port/overview"; echo ;;
  *) sed -n '2,17s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
