"""Measurements beside the field's own tools: `python -m benchmarks`; results in RESULTS.md."""
