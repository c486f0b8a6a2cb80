#!/usr/bin/env bash
# Start-up time and idle memory of Standalone, PostgreSQL included, on a built clone. Linux.
#
#   dotnet build -c Release Wave16.Standalone && bench/standalone.sh
set -euo pipefail
cd "$(dirname "$0")/.."
port=${PORT:-5916}
url=http://localhost:$port
data=$(mktemp -d)
chmod 755 "$data"
run=""
# Standalone is a child of dotnet run, PostgreSQL of Standalone.
tree() { local p; for p in "$@"; do echo "$p"; tree $(pgrep -P "$p" || true); done; }
stop() { [ -z "$run" ] || { pkill -TERM -P "$run" || true; wait "$run" || true; }; }
trap 'stop; rm -rf "$data"' EXIT

start() {
  local began=$(date +%s%N)
  dotnet run -c Release --no-build --project Wave16.Standalone -- --urls "$url" --contentRoot "$data" --Logging:LogLevel:Default=Warning >"$data/log" 2>&1 &
  run=$!
  until curl -s -m 1 "$url/health" | grep -q '"status":"healthy"'; do
    kill -0 "$run" 2>/dev/null || { cat "$data/log" >&2; exit 1; }
    sleep 0.02
  done
  took=$(( ($(date +%s%N) - began) / 1000000 ))
}

memory() { # MB of proportional set size below a process, whose name matches
  local total=0 p
  for p in $(tree "$1"); do
    [ -r "/proc/$p/smaps_rollup" ] || continue
    grep -qE "$2" "/proc/$p/comm" || continue
    total=$(( total + $(awk '/^Pss:/ { print $2 }' "/proc/$p/smaps_rollup") ))
  done
  echo $(( total / 1024 ))
}

echo "$(date +%F), $(nproc) cores, $(awk '/MemTotal/ { printf "%.0f GiB", $2/1048576 }' /proc/meminfo), .NET $(dotnet --version), $(postgres --version 2>/dev/null || echo 'PostgreSQL version unknown')"
echo
echo "| | |"
echo "|---|---|"
start
echo "| first start, new data directory, to healthy | $((took / 1000)).$(printf %03d $((took % 1000))) s |"
stop; run=""
start
echo "| start on existing data, to healthy | $((took / 1000)).$(printf %03d $((took % 1000))) s |"
sleep 30
echo "| idle memory after 30 s (PSS): Standalone | $(memory "$run" 'Wave16') MB |"
echo "| idle memory after 30 s (PSS): PostgreSQL | $(memory "$run" 'postgres') MB |"
