"""Coins of a position, rounded to what the exchange accepts, and said in words."""

import math

from analytics.trades import legs
from model import SymbolInfo

QUOTES = ("FDUSD", "USDT", "USDC", "TUSD", "BUSD", "USD", "EUR", "TRY", "BTC", "ETH", "BNB")


def base_asset(symbol: str) -> str:
    """Return the coin of a symbol.

    >>> base_asset("ETHUSDT"), base_asset("ETHBTC"), base_asset("XYZ")
    ('ETH', 'ETH', 'XYZ')
    """
    for quote in QUOTES:
        if symbol.endswith(quote) and len(symbol) > len(quote):
            return symbol.removesuffix(quote)
    return symbol


def to_lots(qty: float, lot_size: float) -> float:
    """Return `qty` rounded towards 0 to a multiple of the lot size, free of binary dust.

    A lot size that is not positive leaves `qty` as it is.

    >>> to_lots(0.0817, 0.001), to_lots(-1.449, 0.01), to_lots(7.0, 0.0)
    (0.081, -1.44, 7.0)
    """
    if not lot_size > 0 or not math.isfinite(qty):
        return qty
    lots = math.floor(abs(qty) / lot_size + 1e-9)
    decimals = max(0, math.ceil(-math.log10(lot_size) - 1e-9))
    return round(math.copysign(lots * lot_size, qty), decimals)


def size(
    side: int,
    *,
    beta: float,
    price_y: float,
    price_x: float,
    notional: float,
    is_raw: bool,
    info_y: SymbolInfo,
    info_x: SymbolInfo,
) -> tuple[float, float]:
    """Return the signed coins of Y and X for a position of this gross notional, in whole lots.

    Args:
        side: 1 long the spread, −1 short, 0 none.
        beta: of the trade; NaN sizes nothing.
        price_y, price_x: in quote currency.
        notional: gross, both legs together, in quote currency.
    """
    if side == 0 or not all(map(math.isfinite, (beta, price_y, price_x))):
        return 0.0, 0.0
    qty_y, qty_x = legs(side, beta, price_y, price_x, notional, is_raw)
    return to_lots(qty_y, info_y.lot_size), to_lots(qty_x, info_x.lot_size)


def in_coins(signal: str, y: str, x: str, qty_y: float, qty_x: float) -> str:
    """Return what a signal means in coins.

    >>> in_coins("SELL", "BTCUSDT", "ETHUSDT", -0.081, 1.44)
    'SELL = short 0.081 BTC, long 1.44 ETH.'
    """
    parts = [
        f"{'long' if qty > 0 else 'short'} {abs(qty):.12g} {base_asset(symbol)}"
        for symbol, qty in ((y, qty_y), (x, qty_x))
        if qty != 0
    ]
    if not parts:
        return f"{signal} = nothing: the capital is below one lot."
    return f"{signal} = {', '.join(parts)}."
