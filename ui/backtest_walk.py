"""The Walk-forward tab: choose on the past, trade what follows."""

from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from analytics.walkforward import WalkForward, walk_forward
from params import Params
from study import Span, load_funding
from ui import backtest_charts, charts, jobs, search, text
from ui.frame import guarded
from ui.numbers import moment, number
from ui.parts import Parts


@guarded
def draw(parts: Parts, params: Params, span: Span) -> None:
    """Choose on the past, trade what follows."""
    st.caption(
        "On each fold the best cell so far is chosen and traded on the bars that came after. "
        f"Only the out-of-sample curve counts. [How]({text.METHODS}#walk-forward)"
    )
    axes = search.axes_fields("walk")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        folds = st.number_input("Folds", 1, 50, 5, key="_folds", width=140)
        anchored = st.toggle(
            "Train on everything so far", value=True, key="_anchored", help="Else the last block."
        )

    def work(progress: jobs.Progress) -> WalkForward:
        return walk_forward(
            params,
            axes,
            folds=int(folds),
            is_anchored=anchored,
            series_of=partial(search.series_of, parts, span),
            market=parts.market,
            runner=parts.services.workers,
            start_ms=span.start_ms,
            end_ms=span.end_ms,
            funding=load_funding(parts.store, params),
            on_progress=lambda done, total: progress.report(done, total, f"{done} of {total}"),
            is_cancelled=progress.is_cancelled,
        )

    key = (params, span, axes, folds, anchored)
    result = search.finished("walk_forward", key, "Run the walk-forward", work)
    if result is not None:
        _walk_result(params, result)


def _walk_result(params: Params, result: WalkForward) -> None:
    if not result.folds:
        st.info("No fold could be finished.", icon=":material/info:")
        return
    ending = result.out_of_sample.net[-1] - params.capital if len(result.out_of_sample.net) else 0
    charts.cards(
        {
            "Out of sample": (number(float(ending), sign=True), "net PnL", ""),
            "Its Sharpe": (number(result.out_of_sample_sharpe), "annual, net", ""),
            "In sample": (number(result.in_sample_sharpe), "Sharpe it was chosen on", ""),
            "Cells per fold": (f"{result.cells:,}", f"{len(result.folds)} folds", ""),
        },
        columns=4,
    )
    with st.container(border=True):
        starts = np.array([fold.test_start_ms for fold in result.folds])
        charts.show(
            backtest_charts.folds(starts, result.in_sample, result.out_of_sample, params.capital),
            key="walk_curves",
            alt="Net equity in sample and out of sample",
        )
    frame = pd.DataFrame(
        {
            "from": moment(fold.test_start_ms, seconds=False),
            "to": moment(fold.test_end_ms, seconds=False),
            "window": fold.rule.window,
            "entry": fold.rule.entry,
            "exit": fold.rule.exit,
            "stop": fold.rule.stop,
            "method": text.choice(fold.rule.hedge_method),
            "Sharpe before": fold.in_sample_sharpe,
            "Sharpe after": fold.out_of_sample_sharpe,
            "net PnL after": fold.out_of_sample_pnl,
            "trades": fold.trades,
        }
        for fold in result.folds
    )
    two = st.column_config.NumberColumn(format="%.2f")
    st.dataframe(
        frame,
        hide_index=True,
        alt="One row per fold: the rule chosen and what it then did",
        column_config=dict.fromkeys(("Sharpe before", "Sharpe after", "net PnL after"), two),
    )
