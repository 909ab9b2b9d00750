"""Random numbers by counter: the n-th draw of a stream is a hash of (key, n).

Rule 1: no state. Any draw is reached in O(1), in any order, in any process.
Rule 2: draws are made elementwise on contiguous arrays, so that a value does not depend on which
other values were asked for with it.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Words = NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_LOW_32 = np.uint64(0xFFFFFFFF)


def make_key(*parts: int | str) -> int:
    """Return a 64-bit key for the stream of draws named by `parts`."""
    text = "\x1f".join(str(part) for part in parts).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def words(key: int, index: Ints) -> Words:
    """Return 64 random bits per counter in `index`, any shape (the splitmix64 finaliser)."""
    bits = np.ascontiguousarray(index).view(np.uint64) * _GOLDEN
    bits += np.uint64(key)
    bits ^= bits >> np.uint64(30)
    bits *= _MIX_1
    bits ^= bits >> np.uint64(27)
    bits *= _MIX_2
    bits ^= bits >> np.uint64(31)
    return bits


def uniforms(key: int, index: Ints) -> Floats:
    """Return one uniform per counter, strictly between 0 and 1."""
    return ((words(key, index) >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


def normals(key: int, index: Ints) -> Floats:
    """Return one standard normal per counter (Box-Muller on the two halves of one word)."""
    bits = words(key, index)
    radius = ((bits >> np.uint64(32)).astype(np.float64) + 0.5) * 2.0**-32
    angle = (bits & _LOW_32).astype(np.float64) * (2.0 * np.pi * 2.0**-32)
    return np.sqrt(-2.0 * np.log(radius)) * np.cos(angle)
