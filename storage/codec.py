"""Prices and quantities as integers: exact, self-describing and small.

A value v is stored as `m << 4 | e` with v = m / 10^e, m < 2^53 and e ≤ 14. The quotient of two
integers that are exact as floats is correctly rounded, so it is the very float that parsing the
exchange's decimal text gives: nothing is lost, and no scale has to be known beforehand or changed
later. SQLite stores an integer in as few bytes as it needs, so 64123.45 takes 4 instead of 8.

A float that is no short decimal (0.1 + 0.2) has e = 15, and m holds its own 52 bits of fraction
under 7 bits of exponent: any value from 2^-63 to 2^64 comes back as it was.
"""

import numpy as np

from model import Floats, Ints

TAG_BITS = 4
TAG_MASK = (1 << TAG_BITS) - 1
RAW = 15
MAX_MANTISSA = float(2**53)
POWERS = np.append(10.0 ** np.arange(RAW), np.nan)
FRACTION_BITS = 52
LEAST_EXPONENT = 1023 - 63
SMALLEST, LARGEST = 2.0**-63, 2.0**64


def pack(values: Floats, decimals: Ints) -> Ints:
    """Return the stored form of positive floats.

    Args:
        values: (n,) prices or quantities.
        decimals: (n,) decimals to try first (those the symbol was seen to need); any are correct.
    Returns:
        (n,) packed integers > 0; 0 where a value is none: not positive, not finite, or so large
        or small (beyond 2^-63 … 2^64) that it is no price or quantity.
    """
    packed = _pack_at(values, decimals)
    left = np.flatnonzero(packed == 0)
    for tried in range(RAW):
        if not len(left):
            break
        packed[left] = _pack_at(values[left], np.full(len(left), tried))
        left = left[packed[left] == 0]
    if len(left):
        packed[left] = _pack_raw(values[left])
    return packed


def _pack_at(values: Floats, decimals: Ints) -> Ints:
    powers = POWERS[decimals]
    with np.errstate(over="ignore", invalid="ignore"):
        mantissa = np.rint(values * powers)
        is_exact = (mantissa > 0) & (mantissa < MAX_MANTISSA) & (mantissa / powers == values)
    whole: Ints = np.where(is_exact, mantissa, 0.0).astype(np.int64)
    return np.where(is_exact, whole << TAG_BITS | decimals, 0)


def _pack_raw(values: Floats) -> Ints:
    is_storable = (values >= SMALLEST) & (values < LARGEST)
    bits = np.where(is_storable, values, 1.0).view(np.int64) - (LEAST_EXPONENT << FRACTION_BITS)
    return np.where(is_storable, bits << TAG_BITS | RAW, 0)


def unpack(packed: Ints) -> Floats:
    """Return the floats that `pack` was given; the sign is ignored.

    >>> unpack(pack(np.array([64123.45, 0.00012]), np.array([2, 0])))
    array([6.412345e+04, 1.200000e-04])
    """
    size = np.abs(packed)
    tag = size & TAG_MASK
    values: Floats = (size >> TAG_BITS) / POWERS[tag]
    is_raw = tag == RAW
    if is_raw.any():
        bits = (size[is_raw] >> TAG_BITS) + (LEAST_EXPONENT << FRACTION_BITS)
        values[is_raw] = bits.view(np.float64)
    return values


def decimals_of(packed: Ints) -> Ints:
    """Return the decimals each packed value is stored with, 0 for one that is no short decimal."""
    tag: Ints = np.abs(packed) & TAG_MASK
    return np.where(tag == RAW, 0, tag)
