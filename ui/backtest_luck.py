"""The Luck tab: the same rule on spreads that do not revert."""

import numpy as np
import streamlit as st

from analytics.montecarlo import MonteCarlo, monte_carlo
from params import Params
from study import Span
from ui import backtest_charts, charts, jobs, runs, search, text
from ui.frame import guarded
from ui.numbers import number
from ui.parts import Parts


@guarded
def draw(parts: Parts, params: Params, span: Span) -> None:
    """Monte Carlo: the same rule on spreads that do not revert."""
    st.caption(
        "The same rule on spreads with the same changes in another order, without a mean to come "
        f"back to. What it earns there is luck. [How]({text.METHODS}#monte-carlo)"
    )
    draws = st.number_input("Draws", 10, 1000, 100, step=10, key="_draws", width=160)

    def work(progress: jobs.Progress) -> MonteCarlo:
        found = runs.study(parts, params, span)
        return monte_carlo(
            found.bars_y,
            found.bars_x,
            params,
            market=parts.market,
            draws=int(draws),
            start_ms=span.start_ms,
            end_ms=span.end_ms,
            funding=found.funding,
            on_progress=lambda done, total: progress.report(done, total, f"{done} of {total}"),
            is_cancelled=progress.is_cancelled,
        )

    result = search.finished("luck", (params, span, draws), "Draw", work)
    if result is None:
        return
    charts.cards(
        {
            "p": (
                number(result.p_value, 3),
                "near 0: hard to get by luck",
                "Share of runs, the real one counted, that earned at least as much.",
            ),
            "Real net PnL": (number(result.net_pnl, sign=True), f"{result.trades:,} trades", ""),
            "Mean of draws": (
                number(float(np.mean(result.draw_net_pnl)), sign=True),
                f"{len(result.draw_net_pnl):,} draws",
                "",
            ),
        },
        columns=3,
    )
    with st.container(border=True):
        charts.show(
            backtest_charts.draws(result.draw_net_pnl, result.net_pnl),
            key="luck_chart",
            alt="Histogram of the draws' net PnL with the real one marked",
        )
