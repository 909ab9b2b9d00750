"""Download buttons. Files are made when they are asked for, off the page's own thread."""

from collections.abc import Callable

import numpy as np
import streamlit as st

from model import Bars, Quality, Timeframe
from params import Params
from ui.csvfile import table
from ui.parts import Parts
from ui.text import file_name

SERIES = (
    *("price_y", "price_x", "alpha", "beta", "spread", "mean", "sd", "zscore", "correlation"),
    *("beta_ols", "beta_kalman", "beta_kalman_se"),
)
BARS = ("open", "high", "low", "close", "volume", "quote_volume", "trades")


def button(label: str, make: Callable[[], bytes], name: str, *, key: str, help: str = "") -> None:
    """A download that neither blocks nor reruns the page."""
    mime = "text/csv" if name.endswith(".csv") else "application/octet-stream"
    st.download_button(
        label,
        data=make,
        file_name=name,
        mime=mime,
        key=key,
        icon=":material/download:",
        on_click="ignore",
        help=help or None,
    )


def series_button(parts: Parts, params: Params) -> None:
    """The pair's series, all rows held."""

    def make() -> bytes:
        series = parts.view(params).series
        columns = {name: getattr(series, name) for name in SERIES}
        quality = [Quality(code).label for code in series.quality]
        return table(series.ts, {**columns, "closed": series.closed, "quality": quality})

    stem = f"{params.y}_{params.x}_{params.timeframe.value}_series"
    name = file_name(stem, "csv", is_simulated=parts.is_simulated)
    button("Series", make, name, key="_csv_series", help="Every number of the pair on every bar.")


def bars_button(parts: Parts, symbol: str, timeframe: Timeframe) -> None:
    """One symbol's bars, all held in memory."""

    def make() -> bytes:
        return bars_csv(parts.services.engine.bars(symbol, timeframe, limit=100_000))

    stem = f"{symbol}_{timeframe.value}_bars"
    name = file_name(stem, "csv", is_simulated=parts.is_simulated)
    button(f"{symbol} bars", make, name, key=f"_csv_bars_{symbol}")


def trades_button(parts: Parts, symbol: str) -> None:
    """One symbol's last trades as shown; the whole stored history is on the Data page."""

    def make() -> bytes:
        feed = parts.services.feed
        trades = list(feed.last_ticks(symbol, 200)) if feed is not None else []
        columns = {
            "symbol": [symbol] * len(trades),
            "trade_id": [trade.id for trade in trades],
            "price": [trade.price for trade in trades],
            "qty": [trade.qty for trade in trades],
            "buyer_maker": [trade.buyer_maker for trade in trades],
        }
        return table(np.array([trade.ts_ms for trade in trades], dtype=np.int64), columns)

    name = file_name(f"{symbol}_trades", "csv", is_simulated=parts.is_simulated)
    button(f"{symbol} trades", make, name, key=f"_csv_trades_{symbol}", help="The last 200.")


def bars_csv(bars: Bars) -> bytes:
    """Bars under the contract's columns."""
    lead = {"symbol": [bars.symbol] * len(bars), "timeframe": [bars.timeframe.value] * len(bars)}
    columns = {name: getattr(bars, name) for name in BARS}
    quality = [Quality(code).label for code in bars.quality]
    return table(bars.ts, {**lead, **columns, "quality": quality})
