"""A second, slow backtest: one event at a time, cash accounting, plain Python.

Written from the definitions in docs/methods.md, sharing no code with `analytics`; the tests hold
the two equal. Orders wait in a queue; every row fills them, pays funding, marks, then decides.
"""

import math
from collections import deque
from dataclasses import dataclass, field, fields
from types import SimpleNamespace

EIGHT_HOURS = 8 * 3600 * 1000
FEES = {"spot": 10.0, "futures": 4.0}


def plain(series):
    """Return the columns as lists of Python numbers."""
    columns = {f.name: getattr(series, f.name) for f in fields(series)}
    return SimpleNamespace(
        **{k: v.tolist() if hasattr(v, "tolist") else v for k, v in columns.items()}
    )


@dataclass
class Held:
    side: int
    signal_row: int
    fill_row: int
    beta: float
    qty_y: float
    qty_x: float
    paid_y: float
    paid_x: float
    fees: float = 0.0
    slippage: float = 0.0
    funding: float = 0.0
    mae: float = 0.0
    mfe: float = 0.0

    def live_through(self, s, p, t, funding):
        """Take a row's close: excursions, and funding unless entered on it; return the funding."""
        pnl = self.gross_at(s.price_y[t], s.price_x[t])
        self.mae, self.mfe = min(self.mae, pnl), max(self.mfe, pnl)
        if self.fill_row == t:
            return 0.0
        due = funding_due(s, p, t, funding)
        received = -(self.qty_y * s.price_y[t] * due[0] + self.qty_x * s.price_x[t] * due[1])
        self.funding += received
        return received

    def gross_at(self, price_y, price_x):
        return self.qty_y * (price_y - self.paid_y) + self.qty_x * (price_x - self.paid_x)


@dataclass
class Machine:
    """The state machine of docs/methods.md, in its own words."""

    side: int = 0
    entry_row: int = -1
    deadline: float = math.inf
    last_exit: float = -math.inf
    not_until_back: set = field(default_factory=set)  # sides that must re-arm

    def row(self, s, p, t, gates_pass):
        """Return ("exit", reason), ("enter", side) or None."""
        z = s.zscore[t]
        broken = s.start[t] == t and t > 0
        for side in list(self.not_until_back):
            changed_sign = z < 0 if side == -1 else z > 0
            if abs(z) <= p.exit or changed_sign:
                self.not_until_back.remove(side)
        if self.side:
            return self.maybe_leave(p, t, z, broken)
        side = self.wanted(s, p, t, z, broken)
        if side == 0:
            return None
        if p.stop > 0 and abs(z) >= p.stop:
            return None
        if t <= self.last_exit + p.cooldown:
            return None
        if side in self.not_until_back or not gates_pass:
            return None
        self.side, self.entry_row = side, t
        if p.max_hold is not None:
            self.deadline = t + p.max_hold
        elif math.isnan(s.half_life[t]):
            self.deadline = math.inf
        else:
            self.deadline = t + math.ceil(3 * s.half_life[t])
        return "enter", side

    def maybe_leave(self, p, t, z, broken):
        losing = z > 0 if self.side == -1 else z < 0
        changed_sign = z < 0 if self.side == -1 else z > 0
        if broken:
            reason = "gap"
        elif p.stop > 0 and losing and abs(z) >= p.stop:
            reason = "stop"
        elif abs(z) <= p.exit or changed_sign:
            reason = "reverted"
        elif t >= self.deadline:
            reason = "timeout"
        else:
            return None
        if reason in ("stop", "timeout"):
            self.not_until_back.add(self.side)
        self.side, self.last_exit = 0, t
        return "exit", reason

    def wanted(self, s, p, t, z, broken):
        if math.isnan(z):
            return 0
        if p.entry_mode == "touch":
            return -1 if z >= p.entry else 1 if z <= -p.entry else 0
        if t == 0 or broken or math.isnan(s.zscore[t - 1]):
            return 0
        before = s.zscore[t - 1]
        if before >= p.entry and p.exit < z < p.entry:
            return -1
        if before <= -p.entry and -p.entry < z < -p.exit:
            return 1
        return 0


def slow_backtest(s, p, market, *, lo=0, hi=None, record=None, gates=None, funding=None):
    """Return (trades, gross equity, net equity) over rows lo ≤ t < hi."""
    s = s if isinstance(s, SimpleNamespace) else plain(s)
    hi = len(s.ts) if hi is None else hi
    if record is None and "worth_it" in p.gates:
        record = slow_record(s, p, market, funding)
    gates = p.gates if gates is None else gates
    fee = (FEES[market] if p.fee_bps is None else p.fee_bps) / 1e4
    slip = p.slippage_bps / 1e4
    cash_gross = cash_net = p.capital
    machine, orders, held, done = Machine(), deque(), None, []
    gross_curve, net_curve = [], []

    def trade(t, price_y, price_x):
        """Execute every waiting order on row t at these prices."""
        nonlocal held, cash_gross, cash_net
        while orders:
            kind, what, signal_row = orders.popleft()
            if kind == "enter":
                held = open_position(s, p, what, signal_row, t, price_y, price_x)
                qty_y, qty_x = held.qty_y, held.qty_x
            else:
                qty_y, qty_x = -held.qty_y, -held.qty_x
            notional = abs(qty_y) * price_y + abs(qty_x) * price_x
            held.fees += fee * notional
            held.slippage += slip * notional
            flow = qty_y * price_y + qty_x * price_x
            cash_gross -= flow
            cash_net -= flow + (fee + slip) * notional
            if kind == "exit":
                done.append(close_row(s, p, held, signal_row, t, price_y, price_x, what))
                held = None

    for t in range(lo, hi):
        both_real = s.real_y[t] and s.real_x[t]
        if p.fill == "open" and both_real:
            trade(t, s.open_y[t], s.open_x[t])
        close_y, close_x = s.price_y[t], s.price_x[t]
        if held:
            cash_net += held.live_through(s, p, t, funding)
        if p.fill == "close" and both_real:
            trade(t, close_y, close_x)
        if t == hi - 1 and held:
            orders.clear()
            orders.append(("exit", "end", t))
            trade(t, close_y, close_x)
        value = held.qty_y * close_y + held.qty_x * close_x if held else 0.0
        gross_curve.append(cash_gross + value)
        net_curve.append(cash_net + value)
        ok = all(gate_passes(name, s, p, market, t, gates, record) for name in gates)
        event = machine.row(s, p, t, ok and not math.isnan(s.beta_trade[t]))
        if event:
            orders.append((*event, t))
    return done, gross_curve, net_curve


def open_position(s, p, side, signal_row, t, price_y, price_x):
    beta, whole = s.beta_trade[signal_row], p.capital * p.leverage
    if p.price_scale == "log":
        qty_y = whole / (1 + abs(beta)) / price_y
        qty_x = whole * abs(beta) / (1 + abs(beta)) / price_x
    else:
        qty_y = whole / (price_y + abs(beta) * price_x)
        qty_x = abs(beta) * qty_y
    sign = (beta > 0) - (beta < 0)
    return Held(side, signal_row, t, beta, side * qty_y, -side * sign * qty_x, price_y, price_x)


def close_row(s, p, held, signal_row, t, price_y, price_x, reason):
    gross = held.gross_at(price_y, price_x)
    net = gross - held.fees - held.slippage + held.funding
    in_bps = 1e4 / (p.capital * p.leverage)
    return {
        "side": {1: "LONG", -1: "SHORT"}[held.side],
        "entry_ts": s.ts[held.fill_row], "exit_ts": s.ts[t],
        "entry_z": s.zscore[held.signal_row], "exit_z": s.zscore[signal_row],
        "beta": held.beta, "qty_y": held.qty_y, "qty_x": held.qty_x,
        "entry_price_y": held.paid_y, "entry_price_x": held.paid_x,
        "exit_price_y": price_y, "exit_price_x": price_x,
        "gross_pnl": gross, "fees": held.fees, "slippage": held.slippage,
        "funding": held.funding, "net_pnl": net, "return_bps": net * in_bps,
        "bars_held": signal_row - held.signal_row,
        "mae_bps": held.mae * in_bps, "mfe_bps": held.mfe * in_bps, "exit_reason": reason,
        "exit_row": t, "gross_bps": gross * in_bps,
    }  # fmt: skip


def funding_due(s, p, t, funding):
    """Rates whose time falls into this row's bucket, or into a hole just before it."""
    start = s.ts[t]
    end = start + p.timeframe.ms
    since = s.ts[t - 1] + p.timeframe.ms if t else start
    out = []
    for symbol in (p.y, p.x):
        if funding and symbol in funding:
            times, rates = funding[symbol]
            out.append(sum(r for at, r in zip(times, rates, strict=True) if since <= at < end))
            continue
        first = -(-since // EIGHT_HOURS) * EIGHT_HOURS
        count = sum(1 for at in range(int(first), int(end), EIGHT_HOURS) if since <= at < end)
        out.append(count * p.funding_bps_8h / 1e4)
    return out


def slow_record(s, p, market, funding=None):
    """Past entries with the gates off: trades that ended before the last row's close."""
    known = len(s.ts) - (not s.closed[-1])
    done, _, _ = slow_backtest(s, p, market, hi=known, record=[], gates=("warm",), funding=funding)
    return [trade for trade in done if trade["exit_reason"] != "end"]


def regime(s, p, t):
    signal_lives = p.entry_mode == "touch"
    if p.stop > 0 and abs(s.zscore[t]) >= p.stop and signal_lives:
        return "broken"
    if s.beta_drift[t] > 0.3:
        return "broken"
    if s.correlation[t] < p.min_correlation:
        return "decoupled"
    if s.stationary[t] == 1 and s.half_life[t] <= p.window:
        return "mean_reverting"
    return "trending" if s.hurst[t] > 0.6 else "unclear"


def gate_passes(name, s, p, market, t, active, record):
    ratio = s.beta_trade[t]
    if p.price_scale == "raw":
        ratio = s.beta_trade[t] * s.price_x[t] / s.price_y[t]
    if name == "warm":
        known = not math.isnan(s.zscore[t])
        if "correlated" in active or "regime" in active:
            known &= not math.isnan(s.correlation[t])
        if "stationary" in active or "regime" in active:
            known &= s.tests_ts[t] >= 0
        if "regime" in active:
            known &= not math.isnan(s.beta_drift[t])
        return known
    if name == "fresh":
        return bool(s.fresh[t])
    if name == "correlated":
        return s.correlation[t] >= p.min_correlation
    if name == "stationary":
        return s.stationary[t] == 1
    if name == "regime":
        return regime(s, p, t) not in ("broken", "trending")
    if name == "hedged":
        return 0.1 <= ratio <= 10
    before = [trade for trade in record if trade["exit_row"] < t]
    if len(before) < 10 or math.isnan(s.zscore[t]):
        return False
    edge = sum(trade["gross_bps"] for trade in before) / len(before)
    fee = FEES[market] if p.fee_bps is None else p.fee_bps
    hours = sum(trade["bars_held"] for trade in before) / len(before) * p.timeframe.ms / 3.6e6
    side = -1 if s.zscore[t] > 0 else 1
    funding = side * (1 - ratio) / (1 + abs(ratio)) * p.funding_bps_8h * hours / 8
    return edge >= p.min_edge_ratio * (2 * (fee + p.slippage_bps) + funding)
