#!/usr/bin/env bash
# Fuzzes the readers of what may come from anywhere: the sweep file, the worker protocol, the ledger,
# the files that scripts log to.
#   scripts/fuzz.sh [SECONDS=600] [TARGET...]     targets: spec protocol ledger metrics
# Installs cargo-fuzz if it is not there. What it finds goes to fuzz/artifacts/; keep it as a test.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=${1:-600}
shift || true
targets=("$@")
((${#targets[@]})) || targets=(spec protocol ledger metrics)
cargo fuzz --version > /dev/null 2>&1 || cargo install --locked cargo-fuzz
# The sanitizer's flags are a nightly compiler's; this allows them on the one that is installed.
export RUSTC_BOOTSTRAP=1

mkdir -p fuzz/corpus/{spec,protocol,ledger,metrics}
cp sweeps/*.yaml fuzz/corpus/spec/
cat > fuzz/corpus/protocol/messages <<'LINES'
{"type":"hello","protocol":1,"program":"p","version":"1","device":"cpu","threads":1,"metrics":["a"],"libraries":["l 1"]}
LINES
printf '{"type":"epoch","trial":"k7m2p9x4qa-3","epoch":1,"values":{"val_loss":0.41,"x":"NaN"}}' > fuzz/corpus/protocol/epoch
printf '{"type":"failed","trial":"k7m2p9x4qa-3","kind":"out_of_memory","message":"m"}' > fuzz/corpus/protocol/failed
printf '{"type":"run","bundle":[{"trial":"k7m2p9x4qa-3","seed":3,"config":{"a.b":0.1,"c":"d","e":true,"f":3}}]}' > fuzz/corpus/protocol/run
# The first byte names the format (0 W&B, 1 TensorBoard, 2 CSV, ...).
(printf '\000'; cat tests/fixtures/metrics/run-fixture.wandb) > fuzz/corpus/metrics/wandb
(printf '\001'; head -c 4000 tests/fixtures/metrics/events.out.tfevents.1796055000.fixture) > fuzz/corpus/metrics/events
printf '\002epoch,step,loss\n0,1,\n1,,0.5\n' > fuzz/corpus/metrics/csv
printf '\003[{"epoch": 1, "loss": NaN}]' > fuzz/corpus/metrics/json
printf '\004{"log_history": [{"epoch": 0.5, "loss": 1}]}' > fuzz/corpus/metrics/state
printf '\005\r50%%|# |Epoch: 1 loss=0.5\n' > fuzz/corpus/metrics/output
printf '\006{"epoch": 1, "loss": 0.5}\n{"loss": "x"}\n' > fuzz/corpus/metrics/lines
for target in "${targets[@]}"; do
  printf '== %s, %s s\n' "$target" "$seconds"
  # The target folder is shared, so that the libraries are compiled once for all targets.
  cargo fuzz run --fuzz-dir fuzz "$target" -- -max_total_time="$seconds" -max_len=8192 -timeout=20 -rss_limit_mb=4096 -print_final_stats=1
done
