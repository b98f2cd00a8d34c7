#!/usr/bin/env bash
# Installs what the tests of launchers need (Slurm and sshd), where that may be done: as root, with apt-get. Prints the variables that
# tell the tests to expect it; says loudly what they will skip. Usage: eval "$(scripts/slurm/install.sh)"
set -u
PATH=$PATH:/usr/sbin:/sbin

say() { printf 'test: %s\n' "$*" >&2; }
here() { local program; for program in "$@"; do command -v "$program" > /dev/null 2>&1 || return 1; done; }

# NAME VARIABLE PACKAGES PROGRAMS...: what the tests may expect.
provide() {
  local name=$1 variable=$2 packages=$3
  shift 3
  if ! here "$@" && [ "$(id -u)" = 0 ] && here apt-get; then
    say "installing $name ($packages)"
    # shellcheck disable=SC2086
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages; } > /dev/null 2>&1 \
      || say "apt-get could not install $packages"
  fi
  if here "$@"; then
    echo "export $variable=expected"
  else
    say "=============================================================================="
    say "SKIPPED: the tests with a real $name, which is not here (Debian: $packages)"
    say "=============================================================================="
  fi
}

provide Slurm PENTAGRID_SLURM "slurmctld slurmd slurm-client munge" slurmctld slurmd srun munged
provide sshd PENTAGRID_SSHD "openssh-server openssh-client" sshd ssh ssh-keygen
