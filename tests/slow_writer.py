"""A program that stores trades until it is killed: python -m tests.slow_writer URL LAST_ID.

It resumes from the stored marks, as the feed does, and ends by itself after LAST_ID.
"""

import sys
import time

from model import Batch, Gap, Mark, Stream
from storage.store import Store
from tests.storage_rows import deltas, trade

SYMBOLS = ("BTCUSDT", "ETHUSDT")
BATCH = 40


def main(url: str, last_id: int) -> None:
    with Store.open(url, venue="binance-spot", stream=Stream.AGG_TRADE) as store:
        store.writer.start()
        following = {symbol: 1 for symbol in SYMBOLS}
        following |= {symbol: mark.next_id for symbol, mark in store.marks().items()}
        sys.stdout.write("started\n")
        sys.stdout.flush()
        while any(number <= last_id for number in following.values()):
            for symbol, number in following.items():
                end = min(number + BATCH, last_id + 1)
                trades = [trade(n, symbol=symbol) for n in range(number, end)]
                if trades:
                    mark = Mark(symbol, end, trades[-1].ts_ms, trades[-1].price)
                    gaps = {symbol: (Gap(symbol, -1, -1, 0, 250, "given_up"),)}
                    batch = Batch(trades, marks={symbol: mark}, gaps=gaps)
                    store.writer.put(batch, deltas(trades))
                following[symbol] = end
            time.sleep(0.001)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
