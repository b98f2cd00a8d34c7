#!/usr/bin/env bash
# Sets up what the build needs beyond Rust and a C++ compiler: libtorch 2.11.0 in .libtorch/.
# Idempotent: a second call only checks. LIBTORCH in the environment wins over .libtorch/.
#   PENTAGRID_TORCH=cpu|cuda   force the slim or the full libtorch (default: full if a GPU is found)
set -euo pipefail

readonly TORCH_VERSION=2.11.0
readonly CUDA_WHEELS="13.0"

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target="$top/.libtorch"

say() { printf 'setup: %s\n' "$*" >&2; }
die() { printf 'setup: %s\n' "$@" >&2; exit 1; }

check_tools() {
  local missing=()
  command -v cargo >/dev/null 2>&1 || missing+=("cargo (Rust 1.95 or newer): install it with rustup, then open a new shell")
  if ! command -v c++ >/dev/null 2>&1 && ! command -v g++ >/dev/null 2>&1; then
    missing+=("a C++ compiler: on Debian or Ubuntu 'sudo apt-get install g++'")
  fi
  if ! command -v python3 >/dev/null 2>&1; then
    missing+=("python3: on Debian or Ubuntu 'sudo apt-get install python3 python3-pip'")
  elif [[ -z "${LIBTORCH:-}" ]] && ! python3 -m pip --version >/dev/null 2>&1; then
    missing+=("pip for python3: on Debian or Ubuntu 'sudo apt-get install python3-pip'")
  fi
  if ((${#missing[@]})); then
    printf 'setup: missing: %s\n' "${missing[@]}" >&2
    exit 1
  fi
  if [[ "$(uname -sm)" != "Linux x86_64" ]]; then
    [[ -n "${LIBTORCH:-}" ]] || die "this script knows Linux on x86_64, not $(uname -sm)." \
      "Unpack libtorch $TORCH_VERSION yourself and set LIBTORCH to its folder."
  fi
}

# Where an own libtorch is named, only check that it is one and that it is the right one.
check_own_libtorch() {
  [[ -f "$LIBTORCH/lib/libtorch.so" || -f "$LIBTORCH/lib/libtorch.dylib" ]] \
    || die "LIBTORCH=$LIBTORCH holds no lib/libtorch.so." "Unset it to let this script install libtorch in .libtorch/, or correct it."
  local found=""
  [[ -f "$LIBTORCH/build-version" ]] && found=$(head -n 1 "$LIBTORCH/build-version")
  [[ -z "$found" || "$found" == "$TORCH_VERSION"* ]] \
    || die "LIBTORCH=$LIBTORCH is version $found; pentagrid needs $TORCH_VERSION." "Unset LIBTORCH to let this script install it."
  say "using libtorch from LIBTORCH=$LIBTORCH"
}

wants_cuda() {
  case "${PENTAGRID_TORCH:-auto}" in
    cpu) return 1 ;;
    cuda) return 0 ;;
    auto) [[ -n "$(ls /proc/driver/nvidia/gpus 2>/dev/null)" ]] || { command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L >/dev/null 2>&1; } ;;
    *) die "PENTAGRID_TORCH=${PENTAGRID_TORCH} is neither cpu nor cuda" ;;
  esac
}

# The wheel alone plus two small CUDA wheels that libtorch_cpu.so links against: 450 MB instead of 4.8 GB.
install_slim() {
  local work
  work=$(mktemp -d "$top/.libtorch.XXXXXX")
  # shellcheck disable=SC2064
  trap "rm -rf '$work'" EXIT
  say "fetching the torch $TORCH_VERSION wheel (about 530 MB) ..."
  python3 -m pip download --quiet --no-deps --dest "$work/wheels" \
    "torch==$TORCH_VERSION" "nvidia-cuda-runtime==$CUDA_WHEELS.*" "nvidia-cuda-cupti==$CUDA_WHEELS.*" \
    || die "pip could not fetch torch $TORCH_VERSION (see above)." \
           "It needs Python 3.10 to 3.14 on Linux x86_64; yours is $(python3 --version 2>&1). Or set LIBTORCH to a libtorch of your own."
  say "unpacking ..."
  python3 - "$work/wheels" "$work/libtorch" "$TORCH_VERSION" <<'PY'
"""Take from the wheels only what a CPU build of tch needs."""
import pathlib, shutil, sys, zipfile

wheels, target, version = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3]
libraries = {"libtorch_cpu.so", "libc10.so", "libtorch.so", "libgomp.so.1", "libcudart.so.13", "libcupti.so.13"}
missing = set(libraries)
for wheel in sorted(wheels.glob("*.whl")):
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            path = pathlib.PurePosixPath(member.filename)
            if path.parts[:2] == ("torch", "include") and not member.is_dir():
                to = target.joinpath(*path.parts[1:])
            elif path.name in libraries and "lib" in path.parts:
                to = target / "lib" / path.name
                missing.discard(path.name)
            else:
                continue
            to.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, open(to, "wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
if missing:
    sys.exit(f"the wheels hold no {', '.join(sorted(missing))}")
(target / "build-version").write_text(version + "\n")
PY
  rm -rf "$target"
  mv "$work/libtorch" "$target"
}

# The wheel with its dependencies in a virtual environment; torch's libraries find CUDA's beside them.
install_cuda() {
  local venv="$top/.libtorch-venv"
  say "a GPU was found: installing torch $TORCH_VERSION with CUDA in .libtorch-venv/ (about 4.8 GB) ..."
  python3 -m venv "$venv" || die "python3 -m venv failed: on Debian or Ubuntu 'sudo apt-get install python3-venv'"
  "$venv/bin/python" -m pip install --quiet "torch==$TORCH_VERSION" || die "pip could not install torch $TORCH_VERSION (see above)"
  local package
  package=$("$venv/bin/python" -c 'import pathlib, torch; print(pathlib.Path(torch.__file__).parent)')
  printf '%s\n' "$TORCH_VERSION" > "$package/build-version"
  rm -rf "$target"
  ln -s "$package" "$target"
}

is_ready() { [[ -f "$target/lib/libtorch.so" && "$(cat "$target/build-version" 2>/dev/null)" == "$TORCH_VERSION" ]]; }

check_tools
if [[ -n "${LIBTORCH:-}" ]]; then
  check_own_libtorch
elif wants_cuda; then
  if is_ready && [[ -f "$target/lib/libtorch_cuda.so" ]]; then say "libtorch $TORCH_VERSION with CUDA is ready"; else install_cuda; say "libtorch $TORCH_VERSION with CUDA is ready"; fi
elif is_ready; then
  say "libtorch $TORCH_VERSION is ready"
else
  install_slim
  say "libtorch $TORCH_VERSION is ready"
fi
