#!/bin/sh
# A training program in a shell: its last line is its result. Arguments come as name=value.
set -eu
for argument in "$@"; do eval "${argument%%=*}='${argument#*=}'"; done
echo "fitting with width=$width, seed $seed"
awk -v width="$width" -v seed="$seed" 'BEGIN {
  noise = seed * 7919 % 100 / 1000
  printf "{\"accuracy\": %.6f, \"loss\": %.6f}\n", 100 - (width - 8) ^ 2 - noise, (width - 8) ^ 2 + noise
}'
