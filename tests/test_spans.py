"""Intervals against a plain set of integers."""

from hypothesis import given
from hypothesis import strategies as st

from ingest.spans import Spans

intervals = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=12)


@given(added=intervals, asked=st.tuples(st.integers(0, 45), st.integers(0, 45)))
def test_missing_is_what_was_never_added(added, asked):
    spans, known = Spans(), set()
    for start, end in added:
        spans.add(start, end)
        known |= set(range(start, end))
    parts = spans.missing(*asked)
    assert [x for a, b in parts for x in range(a, b)] == sorted(set(range(*asked)) - known)
    assert all(a < b for a, b in parts)
    assert all(parts[i][1] < parts[i + 1][0] for i in range(len(parts) - 1))
