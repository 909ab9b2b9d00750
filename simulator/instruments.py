"""What is traded: price, grid, rate and driving forces of every symbol.

Known symbols (sizes are of the log price, at average volatility; see paths.py):

| symbol  | level  | on the factor | of its own                                |
|---------|--------|---------------|-------------------------------------------|
| ETHUSDT | 3,400  | 1.0           | nothing: it is the factor                 |
| BTCUSDT | 97,000 | 0.8           | swings of 195 bps, and decoupled hours    |
| BNBUSDT | 640    | 0.7           | swings of 130 bps, and broken regimes     |
| SOLUSDT | 190    | 0.5           | a random walk of 25 bps a minute          |

So ln BTC - 0.8·ln ETH and, outside its breaks, ln BNB - 0.7·ln ETH are stationary; nothing with
SOL in it is. Over 300 minutes a test sees that of SOL on ETH (it passes in about 5 % of windows),
less well of ETH or BTC on SOL (a third to a half pass: the factor's waves weigh as much as its
walk in so short a time); there the correlation of returns tells.
Any other symbol gets a level, a loading of 0.2 to 0.9 and a walk of 8 to 20 bps from its name.
"""

from dataclasses import dataclass, replace

import numpy as np

from simulator.hashing import make_key, uniforms


@dataclass(frozen=True, slots=True)
class Instrument:
    """One symbol's constants.

    Args:
        level: price when every random part is zero.
        price_decimals, qty_decimals: the tick is 10^-price_decimals, the lot 10^-qty_decimals.
        weight: trade rate relative to the average symbol (default rate only).
        mean_qty: average quantity of a raw trade, in coins.
        loading: exposure of the log price to the common factor.
        walk_bps: own random walk, per minute.
        swing_bps: height of the swings of the own stationary part.
        breaks: whether its level breaks in some regimes.
        decouples: whether it leaves the factor for an hour or two now and then.
    """

    symbol: str
    level: float
    price_decimals: int
    qty_decimals: int
    weight: float
    mean_qty: float
    loading: float
    walk_bps: float = 0.0
    swing_bps: float = 0.0
    breaks: bool = False
    decouples: bool = False

    @property
    def base(self) -> str:
        """The coin, e.g. BTC."""
        return self.symbol.removesuffix("USDT")


_KNOWN = (
    Instrument("BTCUSDT", 97_000.0, 2, 5, 1.4, 0.02, 0.8, swing_bps=195.0, decouples=True),
    Instrument("ETHUSDT", 3_400.0, 2, 4, 1.2, 0.35, 1.0),
    Instrument("SOLUSDT", 190.0, 2, 3, 0.8, 6.0, 0.5, walk_bps=25.0),
    Instrument("BNBUSDT", 640.0, 2, 3, 0.6, 1.2, 0.7, swing_bps=130.0, breaks=True),
)
# Futures trade on other grids.
_FUTURES_DECIMALS = {"BTCUSDT": (2, 3), "ETHUSDT": (2, 3), "SOLUSDT": (3, 2), "BNBUSDT": (3, 2)}


def make_instrument(symbol: str, market: str, seed: int) -> Instrument:
    """Return the constants of `symbol`, made up from its name where it is not a known one."""
    for known in _KNOWN:
        if known.symbol == symbol and market == "spot":
            return known
        if known.symbol == symbol:
            price_decimals, qty_decimals = _FUTURES_DECIMALS[symbol]
            return replace(known, price_decimals=price_decimals, qty_decimals=qty_decimals)
    u = uniforms(make_key(seed, "instrument", symbol), np.arange(4))
    level = float(10.0 ** (3.5 * u[0] - 0.5))
    price_decimals = 2 if level > 100 else 4
    qty_decimals = 3 if level > 10 else 1
    return Instrument(
        symbol,
        level,
        price_decimals,
        qty_decimals,
        weight=0.6,
        mean_qty=float(1_000.0 / level),
        loading=float(0.2 + 0.7 * u[1]),
        walk_bps=float(8.0 + 12.0 * u[2]),
    )
