"""What is traded: price, grid, rate and driving forces of every symbol.

Known symbols (all sizes are per minute at average volatility, of the log price):

| symbol  | level  | on the factor | own stationary part                        | own walk  |
|---------|--------|---------------|--------------------------------------------|-----------|
| ETHUSDT | 3,400  | 1.0           | none: it is the factor                     | none      |
| BTCUSDT | 97,000 | 0.8           | `SPREAD_BPS`, half-life tens of minutes    | none      |
| BNBUSDT | 640    | 0.7           | 45 bps, half-life ~20 min, broken regimes  | in breaks |
| SOLUSDT | 190    | 0.35          | none                                       | 20 bps    |

Any other symbol gets a level, a loading of 0.2 to 0.9 and a walk of 8 to 20 bps from its name.
"""

from dataclasses import dataclass

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
        spread_bps: sd of the own stationary part; `cycle_min`, `damping` shape it (see paths.py).
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
    spread_bps: float = 0.0
    cycle_min: float = 80.0
    damping: float = 0.985
    breaks: bool = False
    decouples: bool = False

    @property
    def base(self) -> str:
        """The coin, e.g. BTC."""
        return self.symbol.removesuffix("USDT")


_KNOWN = {
    "BTCUSDT": ((97_000.0, 1.4, 0.02, 0.8), {"spread_bps": 75.0, "decouples": True}),
    "ETHUSDT": ((3_400.0, 1.2, 0.35, 1.0), {}),
    "SOLUSDT": ((190.0, 0.8, 6.0, 0.35), {"walk_bps": 20.0}),
    "BNBUSDT": (
        (640.0, 0.6, 1.2, 0.7),
        {"spread_bps": 45.0, "cycle_min": 60.0, "damping": 0.98, "breaks": True},
    ),
}
_DECIMALS = {
    "spot": {"BTCUSDT": (2, 5), "ETHUSDT": (2, 4), "SOLUSDT": (2, 3), "BNBUSDT": (2, 3)},
    "futures": {"BTCUSDT": (2, 3), "ETHUSDT": (2, 3), "SOLUSDT": (3, 2), "BNBUSDT": (3, 2)},
}


def make_instrument(symbol: str, market: str, seed: int) -> Instrument:
    """Return the constants of `symbol`, made up from its name where it is not a known one."""
    if symbol in _KNOWN:
        (level, weight, mean_qty, loading), extra = _KNOWN[symbol]
        price_decimals, qty_decimals = _DECIMALS[market][symbol]
        return Instrument(
            symbol, level, price_decimals, qty_decimals, weight, mean_qty, loading, **extra
        )
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
