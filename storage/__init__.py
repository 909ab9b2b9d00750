"""The database: one writer, read-only readers, and everything that is kept between two starts.

Rule 1: only `writer.py`'s thread writes while it runs; it owns the one write connection.
Rule 2: readers cannot write, and hold a transaction no longer than one bounded read.
Rule 3: a trade, the bars it changes, its mark and its gaps are committed together or not at all.
"""
