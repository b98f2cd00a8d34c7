#!/usr/bin/env bash
# What `pentagrid serve` takes beside a sweep of the paper's size (79,575 trials of 15 epochs, a worker that computes a formula):
# how long each update of a running sweep takes the server, and each answer of a finished one. About two minutes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cargo build --locked --quiet --bins --examples
programs="$PWD/target/debug"
work=$(mktemp -d)
trap 'kill $(jobs -p) 2> /dev/null || true; rm -rf "$work"' EXIT
cd "$work"

axis='{values: [1, 2, 3, 4, 5]}'
cat > big.yaml <<YAML
name: big
worker: ["$programs/examples/fake_worker"]
metric: {name: score, goal: maximize}
seeds: {tune: 5, final: 10}
parameters: {epochs: {value: 15}}
arms:
  sgd: {parameters: {x: $axis}}
  momentum: {parameters: {x: $axis, b: $axis}}
  adam: {parameters: {x: $axis, c: $axis, d: $axis}}
  adahessian: {parameters: {x: $axis, e: $axis, f: $axis}}
  hybrid: {parameters: {x: $axis, g: $axis, h: $axis, i: $axis, j: $axis, k: $axis}}
YAML

"$programs/pentagrid" run big.yaml -q --devices cpu:2 > /dev/null &
run=$!
until [ -s runs/big/spec.yaml ]; do sleep 0.1; done
PENTAGRID_LOG=pentagrid=debug "$programs/pentagrid" --log-format json serve runs/big --port 0 > url 2> log &
until [ -s url ]; do sleep 0.1; done
url=$(cat url)
curl -sN "${url}events" > /dev/null &
wait "$run"
sleep 2
python3 - "$url" log <<'PY'
"""Times of the updates in the server's log, and of answers."""
import json, re, statistics, sys, time, urllib.request

url, log = sys.argv[1:]
units = {"ns": 1e-6, "µs": 1e-3, "ms": 1, "s": 1000}
took = []
for line in open(log):
    found = re.search(r'"took":"([\d.]+)(ns|µs|ms|s)"', line)
    if found:
        took.append(float(found[1]) * units[found[2]])
took.sort()
assert took, "no update was logged"
print(f"updates: {len(took)}; median {statistics.median(took):.1f} ms, 95 % below {took[int(len(took) * 0.95)]:.1f} ms, longest {took[-1]:.1f} ms")
for path in ["", "api/overview", "api/trials?count=100", "api/trials?count=100&sort=metric&descending=true", "api/trials?count=100&from=40000&sort=metric&descending=true",
             "api/trials?count=100&q=hybrid+x%3E3+g%3D1", "api/curves", "api/parameters?arm=hybrid"]:
    times = []
    for _ in range(5):
        begin = time.monotonic()
        size = len(urllib.request.urlopen(url + path).read())
        times.append(1000 * (time.monotonic() - begin))
    print(f"{times[0]:7.1f} ms first, {min(times):7.1f} ms best of 5  {size:7d} bytes  /{path}")
PY
grep -E 'VmHWM' "/proc/$(pgrep -f "serve runs/big --port 0" | head -1)/status" || true
