"""The fixed numbers that the reference and the trainer share: weights, sketch vectors, probes. No torch here.

`splitmix` is splitmix64 (Steele, Lea & Flood 2014) as a counter: value i of key k is mix(k + (i + 1) G). The probes are the
trainer's own streams: ChaCha12, keyed by blake3 of the seed and the purpose (crates/trainer/src/rng.rs).
"""

import blake3
import numpy as np

GAMMA, FIRST, SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
WEIGHTS_KEY, SKETCH_KEY = 1, 2
SKETCHES = 8


def splitmix(key: int, count: int) -> np.ndarray:
    """Values 0 .. count of the key."""
    z = np.uint64(key) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(GAMMA)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(FIRST)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(SECOND)
    return z ^ (z >> np.uint64(31))


def weights(index: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The tensor at that place among parameters (in torchvision's order), then running statistics: centre + spread u with u
    uniform on [-1, 1), from the upper 24 bits of each value of key splitmix(1)[index]; rounded to single precision."""
    key = int(splitmix(WEIGHTS_KEY, index + 1)[index])
    u = (splitmix(key, int(np.prod(shape))) >> np.uint64(40)).astype(np.float64) * 2.0**-23 - 1.0
    if name == "conv1.weight":
        centre, spread = 0.0, 1.0 / 7.0
    elif len(shape) == 4:  # He's variance, 2 / fan_out
        centre, spread = 0.0, np.sqrt(6.0 / (shape[0] * shape[2] * shape[3]))
    elif name.startswith("fc."):
        centre, spread = 0.0, 1.0 / np.sqrt(512.0)
    elif name.endswith((".weight", ".running_var")):
        centre, spread = 1.0, 0.25
    else:
        centre, spread = 0.0, 0.1
    return (u * spread + centre).astype(np.float32).reshape(shape)


def sketch_signs(count: int) -> np.ndarray:
    """[8, count]: sign k of element i is -1 where bit k of value i of key 2 is set, else 1."""
    bits = splitmix(SKETCH_KEY, count)
    return np.stack([1.0 - 2.0 * ((bits >> np.uint64(k)) & np.uint64(1)).astype(np.float64) for k in range(SKETCHES)])


def chacha12(key: bytes, words: int) -> np.ndarray:
    """The first 32-bit words of ChaCha (Bernstein 2008) with twelve rounds, nonce 0, 64-bit counter from 0."""
    blocks = -(-words // 16)
    counter = np.arange(blocks, dtype=np.uint64)
    fixed = np.concatenate([np.frombuffer(b"expand 32-byte k", "<u4"), np.frombuffer(key, "<u4")])
    start = [np.full(blocks, word, dtype=np.uint32) for word in fixed]
    start += [counter.astype(np.uint32), (counter >> np.uint64(32)).astype(np.uint32)]
    start += [np.zeros(blocks, dtype=np.uint32)] * 2
    x = [word.copy() for word in start]

    def turn(value: np.ndarray, bits: int) -> np.ndarray:
        return (value << np.uint32(bits)) | (value >> np.uint32(32 - bits))

    def quarter(a: int, b: int, c: int, d: int) -> None:
        for to, other, into, bits in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)]:
            x[to] = x[to] + x[other]
            x[into] = turn(x[into] ^ x[to], bits)

    for _ in range(6):
        for a in range(4):
            quarter(a, 4 + a, 8 + a, 12 + a)
        for a in range(4):
            quarter(a, 4 + (a + 1) % 4, 8 + (a + 2) % 4, 12 + (a + 3) % 4)
    return np.stack([word + first for word, first in zip(x, start)], axis=1).reshape(-1)[:words]


def probes(seed: int, step: int, shapes: list[tuple[int, ...]]) -> list[np.ndarray]:
    """The trainer's signs z of a step (from 1): a bit an element, from the low bits up, -1 where it is set; each tensor begins at
    a new 32-bit word of the stream `hutchinson/<step>`."""
    material = seed.to_bytes(8, "little") + f"hutchinson/{step}".encode()
    key = blake3.blake3(material, derive_key_context="pentagrid trainer 1: random streams").digest()
    counts = [int(np.prod(shape)) for shape in shapes]
    stream = chacha12(key, sum(-(-count // 32) for count in counts)).astype("<u4").tobytes()
    signs, at = [], 0
    for count, shape in zip(counts, shapes):
        length = 4 * -(-count // 32)
        bits = np.unpackbits(np.frombuffer(stream[at : at + length], np.uint8), bitorder="little")[:count]
        signs.append((1 - 2 * bits.astype(np.int8)).reshape(shape))
        at += length
    return signs
