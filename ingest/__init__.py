"""Trades in: from frames and REST rows to batches of trades accepted exactly once.

`Feed` is the way in; the other modules are its parts and may be used alone.
"""
