"""Download buttons. Files are made when they are asked for, off the page's own thread."""

from collections.abc import Callable, Sequence

import numpy as np
import streamlit as st

import csvtext
from model import Quality, Timeframe, Trade
from params import Params
from storage.export import bars_csv, trades_csv
from storage.trade_reader import TradeBlock
from ui.parts import Parts

SERIES = (
    *("price_y", "price_x", "alpha", "beta", "spread", "mean", "sd", "zscore", "correlation"),
    *("beta_ols", "beta_kalman", "beta_kalman_se"),
)


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
        rest = {"closed": series.closed, "quality": quality}
        return csvtext.table(csvtext.stamped(series.ts) | columns | rest)

    stem = f"{params.y}_{params.x}_{params.timeframe.value}_series"
    name = csvtext.file_name(stem, "csv", is_simulated=parts.is_simulated)
    button("Series", make, name, key="_csv_series", help="Every number of the pair on every bar.")


def bars_button(parts: Parts, symbol: str, timeframe: Timeframe) -> None:
    """One symbol's closed bars, all held in memory."""

    def make() -> bytes:
        engine = parts.services.engine
        bars = engine.bars(symbol, timeframe, limit=100_000, include_open=False)
        return b"".join(bars_csv([bars]))

    stem = f"{symbol}_{timeframe.value}_bars"
    name = csvtext.file_name(stem, "csv", is_simulated=parts.is_simulated)
    button(f"{symbol} bars", make, name, key=f"_csv_bars_{symbol}")


def trades_button(parts: Parts, symbol: str) -> None:
    """One symbol's last trades as shown; the whole stored history is on the Data page."""

    def make() -> bytes:
        feed = parts.services.feed
        trades = list(feed.last_ticks(symbol, 200)) if feed is not None else []
        return b"".join(trades_csv([_block(symbol, trades)]))

    name = csvtext.file_name(f"{symbol}_trades", "csv", is_simulated=parts.is_simulated)
    button(f"{symbol} trades", make, name, key=f"_csv_trades_{symbol}", help="The last 200.")


def _block(symbol: str, trades: Sequence[Trade]) -> TradeBlock:
    return TradeBlock(
        symbol,
        np.array([trade.id for trade in trades], np.int64),
        np.array([trade.ts_ms for trade in trades], np.int64),
        np.array([trade.price for trade in trades], np.float64),
        np.array([trade.qty for trade in trades], np.float64),
        np.array([trade.buyer_maker for trade in trades], np.bool_),
    )
