"""Soak runs: minutes to hours over real sockets, each with a report in `benchmarks/reports/`.

`python -m benchmarks.soak [load|hold|flat|faults|fuzz|kill …]`; see `__main__.py`. For one
side-by-side table, `benchmarks.soak.flat.flat_out()` returns the rate of the whole chain from
socket to committed row, in one process, fed as fast as it reads.
"""
