#!/usr/bin/env bash
# Proves `pentagrid export` with the tools that read it: pandas, polars, TensorBoard and Optuna from PyPI, in an environment of their own
# (kept in target/check-export). Exports a sweep with failed and diverged trials and one of the built-in task, and compares every number
# with the ledger.
#   scripts/check-export.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh
cargo build --locked --quiet --workspace --bins --example fake_worker
venv=target/check-export/venv
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/pip" install --quiet "optuna==5.0.*" "tensorboard==2.21.*" "pandas==3.1.*" "polars==2.1.*" "pyarrow==26.*" setuptools
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat > odd.yaml <<SPEC
name: odd
worker: ["$root/target/debug/examples/fake_worker"]
metric: {name: score, goal: maximize}
seeds: {tune: 2, final: 1}
limits: {retries: 0}
parameters: {x: {values: [1, 2.5, 3]}, epochs: {value: 3}, note: {values: ["a <b> & \"c\"", plain]}, flag: {value: true}}
arms:
  good: {}
  odd: {parameters: {behaviour: {values: [well, error, diverge]}}}
SPEC
cat > family.yaml <<'SPEC'
name: family
task: mnist-resnet18
metric: {name: val_accuracy, goal: maximize}
seeds: {tune: 2, final: 1}
parameters: {epochs: {value: 2}, batch_size: {value: 4}, train_images: {value: 8}, momentum: {value: 0.9}}
arms:
  hybrid: {parameters: {optimizer: {value: hybrid}, tl: {values: [1000.0, -1.0]}, lr1: {values: [0.002, 0.001]}, lr2: {value: 0.01}}}
  momentum: {parameters: {optimizer: {value: sgd_momentum}, lr: {value: 0.002}}}
SPEC
for name in odd family; do
    "$root/target/debug/pentagrid" run "$name.yaml" -q > /dev/null || [ $? = 3 ]
    for format in csv parquet tensorboard optuna junit; do
        "$root/target/debug/pentagrid" export "runs/$name" --format "$format" 2> /dev/null
    done
    echo "== $name"
    "$root/$venv/bin/python" "$root/scripts/check_export.py" "exports/$name" "runs/$name"
done
echo "== examples/from-optuna: Optuna's best, and ours"
cp "$root"/examples/from-optuna/* .
"$root/$venv/bin/python" before.py
"$root/target/debug/pentagrid" run sweep.yaml -q | grep "lr ="
