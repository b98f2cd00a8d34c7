#!/usr/bin/env bash
# Runs the tests that train at three levels of the processor's instructions, since libtorch picks its arithmetic by them:
#   native   all that this processor has
#   avx2     libtorch, oneDNN and MKL held down to AVX2
#   sse41    held down to what every x86-64 processor of the last fifteen years has
# What a test asserts must hold at each. Levels may be named: `scripts/test-processors.sh sse41`. After each level the narrowest
# margins are shown: by what factor the bound of a comparison was larger than the distance that was measured.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly SHOWN=5

say() { printf 'test-processors: %s\n' "$*" >&2; }

scripts/setup.sh

levels=("$@")
[ $# -gt 0 ] || levels=(native avx2 sse41)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

held_down() {
  case "$1" in
    native) shift; "$@" ;;
    avx2) shift; ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_CBWR=AVX2 "$@" ;;
    # The C library's own mathematics too, which random numbers and some statistics are made with.
    sse41) shift
      ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 MKL_CBWR=COMPATIBLE \
        GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX,-AVX2,-FMA,-FMA4,-AVX512F "$@" ;;
    *) say "no such level: $1 (native, avx2, sse41)"; exit 2 ;;
  esac
}

# The last message of a small trial, without its times: other instructions round otherwise.
trial() {
  held_down "$1" target/debug/pentagrid-trainer \
    --config '{"optimizer": "sgd", "lr": 0.01, "epochs": 1, "batch_size": 60, "train_images": 120}' --seed 1 \
    | tail -n 1 | sed 's/"[a-z_]*seconds":[^,}]*//g'
}

# As `cargo test` builds them, so that nothing is compiled twice: the trainer's own tests, and the program that the tests start.
cargo test --locked --workspace --no-run

if printf '%s\n' "${levels[@]}" | grep -qx sse41 && grep -qw avx2 /proc/cpuinfo; then
  if [ "$(trial native)" = "$(trial sse41)" ]; then
    say "libtorch computes the same bits natively and held down to SSE4.1: the variables have no effect, so this tests nothing"
    exit 1
  fi
fi

for level in "${levels[@]}"; do
  say "$level"
  margins="$work/$level"
  PENTAGRID_MARGINS="$margins" held_down "$level" cargo test --locked --workspace --bin pentagrid-trainer
  held_down "$level" cargo test --locked --workspace --test together
  # What tests of the comparisons themselves compare is no margin.
  grep -vE $'\t(near|far)$' "$margins" | sort -g | awk -F'\t' -v most="$SHOWN" -v level="$level" \
    'NR <= most { printf "test-processors: %s: %.0f times within its bound: %s\n", level, $1, $4 }' >&2
done
