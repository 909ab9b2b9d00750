"""Soak runs: minutes to hours over real sockets, each with a report in `benchmarks/reports/`.

`python -m benchmarks.soak [load|hold|faults|kill|fuzz …]`; see `__main__.py`. The flat-out rate of
the chain from socket to committed row, beside other clients, is `benchmarks/wire.py`.
"""
