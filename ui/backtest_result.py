"""The first tab of the Backtest page: what the rule would have earned."""

from collections.abc import Hashable
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

import csvtext
from analytics.backtest import BacktestResult
from analytics.doctor import examine
from analytics.metrics import NetResults, Results
from ui import backtest_charts, charts, downloads, report, text
from ui.frame import guarded
from ui.numbers import moment, number, percent
from ui.parts import Parts
from ui.runs import Study

COUNTS = ("max_drawdown_bars", "trades")


@guarded
def draw(parts: Parts, study: Study, result: BacktestResult) -> None:
    """Draw the whole tab."""
    # The figures first: they are what a moved level is watched for.
    head = st.container()
    about = (result.params.y, result.params.x, result.params.timeframe.value, study.span)
    left, right = st.columns([5, 2], gap="small")
    with left, st.container(border=True):
        holding = st.toggle("Buy and hold of each leg beside it", key="hold")
        chart = backtest_charts.equity(result, with_holding=holding)
        charts.show(
            chart,
            key="equity",
            alt=f"Equity of the run, ending at a net PnL of {result.metrics.net.pnl:.2f}",
            same=about,
        )
    with right, st.container(border=True, height="stretch"):
        charts.show(
            backtest_charts.waterfall(result),
            key="waterfall",
            alt="Waterfall from gross to net PnL through fees, slippage and funding",
        )
    with head:
        _head(result)
    _trades(about, result)
    with st.expander("All metrics, gross beside net"):
        st.dataframe(_metrics_table(result), height="content", alt="All metrics of the run")
    _downloads(parts, study, result)


def _head(result: BacktestResult) -> None:
    ts = result.equity.ts
    st.caption(
        f"{len(ts):,} closed bars, {moment(int(ts[0]), seconds=False)} to "
        f"{moment(int(ts[-1]), seconds=False)} UTC. Signal on a bar, both legs filled at the next "
        f"{result.params.fill}; β frozen at entry; {number(result.params.capital, 0)} × "
        f"{result.params.leverage:g} gross notional."
    )
    doubts = examine(result)
    if doubts:
        many = "One doubt" if len(doubts) == 1 else f"{len(doubts)} doubts"
        with st.expander(f"{many} about this result", icon=":material/stethoscope:"):
            st.markdown("\n".join(f"- {doubt}" for doubt in doubts))
    _cards(result)


def _cards(result: BacktestResult) -> None:
    net, gross, costs = result.metrics.net, result.metrics.gross, result.metrics.costs
    about = text.about("metrics")
    charts.cards(
        {
            "Net PnL": (number(net.pnl, sign=True), f"gross {number(gross.pnl, sign=True)}", about),
            "Return": (
                number(net.return_pct, sign=True, unit=" %"),
                f"gross {number(gross.return_pct, sign=True, unit=' %')}",
                about,
            ),
            "Sharpe": (
                number(net.sharpe_annual),
                f"{number(net.sharpe_low_annual, 1)} to {number(net.sharpe_high_annual, 1)}",
                f"Annual, net, and its 95 % interval. Gross {number(gross.sharpe_annual)}. {about}",
            ),
            "Max drawdown": (
                number(net.max_drawdown),
                f"{number(net.max_drawdown_pct, 1)} %",
                f"The longest lasted {net.max_drawdown_bars:,} bars. {about}",
            ),
            "Trades": (
                f"{net.trades:,}",
                f"{percent(net.win_rate, 0)} paid",
                f"After costs; before them {percent(gross.win_rate, 0)} paid. {about}",
            ),
            "Break-even": (
                number(costs.break_even_cost_multiple, unit="×"),
                f"costs {number(costs.total)}",
                f"How many times the costs the gross PnL would pay. {about}",
            ),
        }
    )


@st.fragment
def _trades(about: Hashable, result: BacktestResult) -> None:
    _linked_trades(about, result)


@guarded
def _linked_trades(about: Hashable, result: BacktestResult) -> None:
    """z with the marks above, the table below; a row chosen brings its trade close."""
    with st.container(border=True):
        slot = st.container()
        if not len(result.trades):
            chosen = None
            st.caption("No trades in this span. The doubts above say why.")
        else:
            chosen = _table(result)
        with slot:
            charts.show(
                backtest_charts.zscore(result, trade=chosen),
                key="z_trades",
                alt="z-score with the entries and exits of the run",
                same=(about, chosen),
            )


def _table(result: BacktestResult) -> int | None:
    frame = pd.DataFrame(result.trade_columns)
    for name in ("entry_ts", "exit_ts"):
        frame[name] = pd.to_datetime(frame[name], unit="ms")
    when = partial(st.column_config.DatetimeColumn, format="YYYY-MM-DD HH:mm:ss")
    event: Any = st.dataframe(
        frame,
        key="trades",
        height=280,
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        alt="Trades of the run; choose a row to see it on the z chart",
        column_config={
            **{name: text.words(name) for name in frame.columns},
            **{name: _column(name, "%+.2f") for name in ("entry_z", "exit_z")},
            **{name: _column(name, "%+.2f") for name in ("gross_pnl", "net_pnl", "funding")},
            **{name: _column(name, "%+.1f") for name in ("return_bps", "mae_bps", "mfe_bps")},
            **{name: _column(name, "%.2f") for name in ("fees", "slippage")},
            "beta": st.column_config.NumberColumn("β", format="%.4f"),
            "id": st.column_config.NumberColumn("#", width="small", pinned=True),
            "side": st.column_config.TextColumn(width="small", pinned=True),
            "entry_ts": when("entered"),
            "exit_ts": when("left"),
        },
    )
    rows = event.selection.rows if event is not None else []
    return int(rows[0]) if rows and rows[0] < len(frame) else None


def _column(name: str, form: str) -> Any:
    return st.column_config.NumberColumn(text.words(name), format=form)


def _metrics_table(result: BacktestResult) -> pd.DataFrame:
    metrics = result.metrics
    rows: dict[str, dict[str, str]] = {}
    for name in Results.__slots__:
        rows[name] = {
            "gross": _shown(name, getattr(metrics.gross, name)),
            "net": _shown(name, getattr(metrics.net, name)),
        }
    for name in NetResults.__slots__:
        rows[name] = {"gross": "", "net": _shown(name, getattr(metrics.net, name))}
    for leg, holding in ((result.params.y, metrics.hold_y), (result.params.x, metrics.hold_x)):
        for name in holding.__slots__:
            rows.setdefault(name, {})[f"hold {leg}"] = _shown(name, getattr(holding, name))
    frame = pd.DataFrame.from_dict(rows, orient="index").fillna("")
    return frame.rename(index=text.words)


def _shown(name: str, value: float) -> str:
    return f"{value:,}" if name in COUNTS else number(value, 4)


def _downloads(parts: Parts, study: Study, result: BacktestResult) -> None:
    simulated = parts.is_simulated
    name = partial(csvtext.file_name, is_simulated=simulated)
    stem = f"{result.params.y}_{result.params.x}_{result.params.timeframe.value}"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("Download", width="content")
        downloads.button(
            "Trades",
            partial(csvtext.table, result.trade_columns),
            name("backtest_pnl", "csv"),
            key="_dl_trades",
            help="One row per trade: backtest_pnl.csv.",
        )
        downloads.button(
            "Equity",
            partial(csvtext.table, result.equity.columns),
            name("backtest_equity", "csv"),
            key="_dl_equity",
        )
        downloads.button(
            "Bars used",
            partial(report.bars_used, study),
            name(f"{stem}_bars_used", "csv"),
            key="_dl_bars",
            help="Both legs' bars, warm-up included.",
        )
        downloads.button(
            "Everything",
            partial(report.bundle, study, result, is_simulated=simulated),
            name("backtest_bundle", "zip"),
            key="_dl_bundle",
            help="Parameters, versions, fingerprint of the data, tables and a one-file report.",
        )
