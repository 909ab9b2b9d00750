"""The words of the pages: one sentence per number and parameter, with the way to its formula."""

METHODS = "methods"

# Parameter → what it does, in one sentence.
PARAMETERS = {
    "y": "Dependent leg: the spread is Y − α − β·X.",
    "x": "Hedge leg.",
    "timeframe": "Length of a bar; every window counts bars of this length.",
    "window": "Rows of the z-score, the correlation and, unless set apart, the hedge fit.",
    "hedge_method": "How α and β are estimated: rolling OLS, static (calibrated once), Kalman, "
    "total least squares, or fixed by hand.",
    "entry": "A position is opened when |z| reaches this.",
    "exit": "A position is closed when |z| falls to this.",
    "stop": "A position is given up when z goes this far against it; 0 = never.",
    "price_scale": "Log prices make β an elasticity and z independent of price units.",
    "hedge_window": "Rows of the hedge fit; empty = the window.",
    "fixed_beta": "The hedge ratio to use with method fixed.",
    "delta": "Kalman: how fast β may move, Q = δ/(1−δ)·I; empty = by maximum likelihood.",
    "obs_var": "Kalman: observation variance R; given together with δ, or empty.",
    "calibration_start": "First bar (ms UTC) that static and Kalman are calibrated on.",
    "calibration_end": "Last bar (ms UTC) of the calibration; given together with the start.",
    "z_method": "Rolling mean and sd of the spread, or the Kalman filter's own innovation.",
    "entry_mode": "Touch enters when |z| reaches entry; reentry waits until it comes back inside.",
    "max_hold": "Rows after which a position is closed; empty = three half-lives.",
    "cooldown": "Rows after any exit without a new entry.",
    "max_carry": "Rows a leg without trades repeats its price; empty = 5 at 1s, else 2.",
    "gates": "Conditions an entry has to pass.",
    "min_correlation": "Least correlation of the legs for an entry.",
    "correlation_of": "Correlate returns (usual) or price levels.",
    "max_pvalue": "Largest p-value that still counts as stationary.",
    "stationarity_test": "Auto: Engle–Granger where β is estimated, ADF where it is given.",
    "test_window": "Rows of the cointegration test.",
    "test_every": "The tests run on every n-th bar and hold in between.",
    "min_edge_ratio": "Least expected edge as a multiple of the round-trip cost.",
    "capital": "Money behind one position, before leverage.",
    "leverage": "Gross notional = capital × leverage.",
    "fee_bps": "Fee of one fill in bps of its notional; empty = the venue's usual taker fee.",
    "slippage_bps": "Slippage of one fill in bps, half the bid–ask spread included.",
    "funding_bps_8h": "Futures funding assumed every 8 hours where no stored rate is known.",
    "fill": "Both legs are filled at the next bar's open, or at its close.",
}

LABELS = {
    "y": "Y – traded leg",
    "x": "X – hedge leg",
    "timeframe": "Timeframe",
    "window": "Window (bars)",
    "hedge_method": "Hedge ratio",
    "entry": "Entry |z|",
    "exit": "Exit |z|",
    "stop": "Stop |z|",
    "price_scale": "Price scale",
    "hedge_window": "Hedge window (bars)",
    "fixed_beta": "Fixed β",
    "delta": "Kalman δ",
    "obs_var": "Kalman R",
    "calibration_start": "Calibration start (ms UTC)",
    "calibration_end": "Calibration end (ms UTC)",
    "z_method": "z from",
    "entry_mode": "Entry mode",
    "max_hold": "Longest hold (bars)",
    "cooldown": "Cool-down (bars)",
    "max_carry": "Longest carry (bars)",
    "gates": "Active gates",
    "min_correlation": "Least correlation",
    "correlation_of": "Correlation of",
    "max_pvalue": "Largest p-value",
    "stationarity_test": "Stationarity test",
    "test_window": "Test window (bars)",
    "test_every": "Test every (bars)",
    "min_edge_ratio": "Least edge ÷ cost",
    "capital": "Capital",
    "leverage": "Leverage",
    "fee_bps": "Fee (bps per fill)",
    "slippage_bps": "Slippage (bps per fill)",
    "funding_bps_8h": "Funding (bps per 8 h)",
    "fill": "Fill at",
}

CHOICES = {
    "ols": "OLS, rolling",
    "static": "Static, calibrated once",
    "kalman": "Kalman filter",
    "tls": "Total least squares",
    "fixed": "Fixed by hand",
    "log": "Log prices",
    "raw": "Raw prices",
    "rolling": "Rolling window",
    "innovation": "Kalman innovation",
    "touch": "Touch",
    "reentry": "Re-entry",
    "returns": "Returns",
    "prices": "Prices",
    "auto": "Auto",
    "adf": "ADF",
    "cointegration": "Engle–Granger",
    "open": "Next open",
    "close": "Next close",
    "warm": "Warm",
    "fresh": "Fresh",
    "correlated": "Correlated",
    "stationary": "Stationary",
    "regime": "Regime",
    "hedged": "Hedged",
    "worth_it": "Worth it",
}

# Anchor on the Methods page → one sentence. Anchors are the headings of docs/methods.md.
NUMBERS = {
    "bars": "Prices in a bucket of time, stamped by its open.",
    "hedge-ratio": "How much of X offsets one of Y.",
    "spread": "What is left of Y after the hedge: Y − α − β·X.",
    "z-score": "Standard deviations of the spread from its mean over the window.",
    "correlation": "Pearson correlation of both legs' returns over the window.",
    "adf": "Augmented Dickey–Fuller p-value of the residual; descriptive where β was estimated.",
    "cointegration": "Engle–Granger p-value: low means that the spread returns.",
    "johansen": "Johansen trace statistic against its 95 % critical value.",
    "half-life": "Bars until half of a deviation is expected to be gone.",
    "hurst": "Below 0.5 the spread reverts, above it trends.",
    "beta-drift": "How much β moved over the window, relative to its mean.",
    "regime": "What the tests together say about the pair.",
    "confidence": "Share of past entries of this rule that paid after costs.",
    "metrics": "How a run did, gross and net of costs, annualised with 365 days.",
    "deflated-sharpe": "Chance that the best cell beats luck, given how many were tried.",
    "walk-forward": "The best past cell, traded on the time that followed.",
    "scanner": "False discovery rate over all pairs tested.",
    "quality": "Where a bar comes from: live, backfilled, kline, imported, partial or carried.",
}


def about(anchor: str) -> str:
    """Help text of a number: its sentence and a link to its formula."""
    return f"{NUMBERS[anchor]} [How it is computed]({METHODS}#{anchor})"


def choice(value: object) -> str:
    """A parameter's value as shown in a list."""
    return CHOICES.get(str(value), str(value))


WORDS = {
    **{"bps": "(bps)", "pct": "(%)", "pnl": "PnL", "cagr": "CAGR", "mae": "worst", "mfe": "best"},
    **{"id": "#", "qty": "coins", "y": "Y", "x": "X", "beta": "β"},
}


def words(name: str) -> str:
    """A column's name as a heading.

    >>> words("max_drawdown_pct"), words("qty_y")
    ('max drawdown (%)', 'coins Y')
    """
    return " ".join(WORDS.get(part, part) for part in name.split("_"))
