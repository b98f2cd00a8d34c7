#!/usr/bin/env bash
# Fuzzes the readers of what may come from anywhere: the sweep file, the worker protocol, the ledger.
#   scripts/fuzz.sh [SECONDS=600] [TARGET...]     targets: spec protocol ledger
# Installs cargo-fuzz if it is not there. What it finds goes to fuzz/artifacts/; keep it as a test.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=${1:-600}
shift || true
targets=("$@")
((${#targets[@]})) || targets=(spec protocol ledger)
cargo fuzz --version > /dev/null 2>&1 || cargo install --locked cargo-fuzz
# The sanitizer's flags are a nightly compiler's; this allows them on the one that is installed.
export RUSTC_BOOTSTRAP=1

mkdir -p fuzz/corpus/{spec,protocol,ledger}
cp sweeps/*.yaml fuzz/corpus/spec/
cat > fuzz/corpus/protocol/messages <<'LINES'
{"type":"hello","protocol":1,"program":"p","version":"1","device":"cpu","threads":1,"metrics":["a"],"libraries":["l 1"]}
LINES
printf '{"type":"epoch","trial":"k7m2p9x4qa-3","epoch":1,"values":{"val_loss":0.41,"x":"NaN"}}' > fuzz/corpus/protocol/epoch
printf '{"type":"failed","trial":"k7m2p9x4qa-3","kind":"out_of_memory","message":"m"}' > fuzz/corpus/protocol/failed
printf '{"type":"run","bundle":[{"trial":"k7m2p9x4qa-3","seed":3,"config":{"a.b":0.1,"c":"d","e":true,"f":3}}]}' > fuzz/corpus/protocol/run
for target in "${targets[@]}"; do
  printf '== %s, %s s\n' "$target" "$seconds"
  # The target folder is shared, so that the libraries are compiled once for all targets.
  cargo fuzz run --fuzz-dir fuzz "$target" -- -max_total_time="$seconds" -max_len=8192 -timeout=20 -rss_limit_mb=4096 -print_final_stats=1
done
