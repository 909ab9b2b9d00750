"""A local exchange that speaks Binance's protocol: the demo, the test partner, the load generator.

Rule 1: it imports nothing of the project. Rule 2: it listens on loopback only.
Rule 3: the market is a pure function of (seed, UTC time); what is kept is caches.

From the price to the wire: hashing (draws by counter) · instruments (what is traded) · paths (log
prices by the minute) · outline (each minute's candle and ids) · drawing (the trades inside) · tape
(trades by id and time) · market (what is known at a time) · streams, rest, wire (how it is said) ·
hub, connection, site (who hears it) · faults, mangle, limits (what goes wrong) · replay
(recordings instead of the market) · exchange (all of it in a thread). Every parameter stands in
the docstring of the module that uses it.
"""
