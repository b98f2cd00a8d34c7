#!/usr/bin/env bash
# The page of `pentagrid serve` in a headless Chromium. Needs Node and Chromium; fetches Chromium where it may (root, apt-get).
# SHOTS=DIR keeps pictures.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

find_chromium() { command -v "${CHROMIUM:-chromium}" || command -v chromium-browser || command -v google-chrome; }
if ! find_chromium > /dev/null && [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } > /dev/null 2>&1 || true
fi
if ! CHROMIUM=$(find_chromium) || ! command -v node > /dev/null; then
  echo "SKIPPED: the page was not tested in a browser: Chromium or Node is missing (apt-get install chromium nodejs)" >&2
  exit 0
fi
export CHROMIUM
cargo build --locked --quiet --bin pentagrid --example fake_worker
[ -z "${SHOTS:-}" ] || mkdir -p "$SHOTS"
node tests/browser/page.mjs "$PWD/target/debug/pentagrid" "$PWD/target/debug/examples/fake_worker"
