"""A local exchange that speaks Binance's protocol: the demo, the test partner, the load generator.

Rule 1: it imports nothing of the project. Rule 2: it listens on loopback only.
"""
