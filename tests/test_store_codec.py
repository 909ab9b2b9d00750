"""Packed decimals: whatever float goes in comes out, in few bytes where it is a short decimal."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.codec import LARGEST, SMALLEST, pack, unpack

storable = st.floats(SMALLEST, LARGEST, exclude_max=True)
decimal_texts = st.builds("{}.{}".format, st.integers(0, 10**7), st.text("0123456789", max_size=8))


def packed_at(value: float, decimals: int = 0) -> int:
    return int(pack(np.array([value]), np.array([decimals]))[0])


@given(st.lists(storable, min_size=1), st.integers(0, 14))
def test_unpack_returns_the_very_float_that_was_packed(values, decimals):
    packed = pack(np.array(values), np.full(len(values), decimals))
    assert (packed > 0).all()
    assert unpack(packed).tolist() == values
    assert unpack(-packed).tolist() == values


@given(decimal_texts, st.integers(0, 14))
def test_pack_of_exchange_decimals_comes_back_as_parsed_text(text, decimals):
    value = float(text)
    if value > 0:
        assert unpack(np.array([packed_at(value, decimals)]))[0] == value


@pytest.mark.parametrize(
    ("value", "decimals", "bits"),
    [(64123.45, 2, 31), (3_000.1, 2, 31), (0.00012, 5, 15), (9_999_999.0, 0, 31)],
)
def test_pack_of_short_decimals_needs_few_bytes(value, decimals, bits):
    """SQLite stores integers in 1, 2, 3, 4, 6 or 8 bytes; an exact float always takes 8."""
    assert packed_at(value, decimals).bit_length() <= bits


def test_pack_of_a_wrong_guess_of_decimals_still_finds_the_short_form():
    assert packed_at(0.00012345, 2) == 12345 << 4 | 8


@pytest.mark.parametrize(
    "value", [0.0, -1.0, np.nan, np.inf, -np.inf, 1e-20, 2.0**64, 5e-324, 1.7e308]
)
def test_pack_of_what_is_no_price_gives_zero(value):
    assert packed_at(value, 2) == 0
