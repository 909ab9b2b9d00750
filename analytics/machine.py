"""The position state machine: FLAT, LONG or SHORT the spread, one transition per closed row.

Rule 1: every rule about entering and leaving a position lives in `_step`, and nowhere else. The
decision, the alerts, the paper position, the record, the backtest and the sweep all run it.
Rule 2: a row's outcome depends on that row, the row before it and the state. Nothing looks ahead.
Rule 3: an unknown z (NaN) neither enters nor leaves a position.
Rule 4: kernels of this file call no compiled function of another file: numba's cache would keep
the old one after an upgrade. Those inside others are inlined: a walk is a fifth faster for it.
"""

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numba import njit

from model import Codes, Floats, Ints
from params import Params

# More rows than any grid has, yet far from overflow when counted on.
FOREVER = 1 << 40


class Event(IntEnum):
    """What happened on a row: an entry, or an exit and its reason."""

    NONE = 0
    ENTRY = 1
    GAP = 2
    STOP = 3
    REVERTED = 4
    TIMEOUT = 5
    END = 6

    @property
    def label(self) -> str:
        """Lower-case name, as in the trade table."""
        return self.name.lower()


EVENT_LABELS = tuple(event.label for event in Event)


class Block(IntEnum):
    """Why a z beyond the entry level would not enter, were the machine FLAT."""

    NONE = 0
    BEYOND_STOP = 1
    COOLING = 2
    NOT_REARMED = 3
    GATED = 4


class Levels(NamedTuple):
    """The machine's own parameters. `stop` 0 = none, `max_hold` −1 = from the half-life."""

    entry: float
    exit: float
    stop: float
    is_reentry: bool
    max_hold: int
    cooldown: int

    @classmethod
    def of(cls, params: Params) -> "Levels":
        """Return the levels of a rule."""
        return cls(
            float(params.entry),
            float(params.exit),
            float(params.stop),
            params.entry_mode == "reentry",
            -1 if params.max_hold is None else params.max_hold,
            params.cooldown,
        )


class State(NamedTuple):
    """Where the machine stands after a row. Counts rows, so it survives a restart.

    Args:
        side: −1 SHORT, 0 FLAT, 1 LONG.
        held: rows since the signal row of the position.
        limit: rows after which it times out, −1 = never.
        idle: rows since the last exit's row.
        barred: bit 1 = SHORT, bit 2 = LONG must re-arm before it may enter again.
    """

    side: int = 0
    held: int = 0
    limit: int = -1
    idle: int = FOREVER
    barred: int = 0


class Outcome(NamedTuple):
    """What a row did: its event, what z alone says, what it would do were it FLAT, and why not."""

    event: Event
    ungated: int
    would: int
    block: Block


@dataclass(frozen=True, slots=True)
class Walk:
    """The machine's run over rows lo ≤ t < hi.

    `entry_row`, `exit_row`, `side`, `reason` hold one item per position, oldest first; a position
    still open has exit_row −1 and reason NONE. `position` (after the row), `event`, `ungated`,
    `would` and `block` hold one code per row of the whole series, 0 outside lo … hi; they are
    empty unless asked for.
    """

    entry_row: Ints
    exit_row: Ints
    side: Codes
    reason: Codes
    position: Codes
    event: Codes
    ungated: Codes
    would: Codes
    block: Codes
    state: State

    def __len__(self) -> int:
        return len(self.entry_row)


@njit(nogil=True, cache=True, error_model="numpy", forceinline=True)
def _step(  # type: ignore[no-untyped-def]  # noqa: C901 - the whole machine, kept in one place
    side, held, limit, idle, barred, z, before, ok, broken, half_life,
    entry, exit_, stop, is_reentry, max_hold, cooldown,
):  # fmt: skip
    event = 0
    idle += 1
    if side != 0:
        held += 1
        against = -side * z  # grows as the position loses; NaN fails every comparison
        if broken:
            event = 2
        elif stop > 0.0 and against >= stop:
            event = 3
        elif against <= exit_:
            event = 4
        elif 0 <= limit <= held:
            event = 5
        if event != 0:
            if event == 3 or event == 5:
                barred |= 1 if side < 0 else 2
            side, held, limit, idle = 0, 0, -1, 0
    if z <= exit_:
        barred &= 2
    if z >= -exit_:
        barred &= 1

    ungated = 0
    if not is_reentry:
        if z >= entry:
            ungated = -1
        elif z <= -entry:
            ungated = 1
    elif not broken:
        if before >= entry and exit_ < z < entry:
            ungated = -1
        elif before <= -entry and -entry < z < -exit_:
            ungated = 1

    would, block = 0, 0
    if ungated != 0:
        if stop > 0.0 and abs(z) >= stop:
            block = 1
        elif idle <= cooldown:  # also on an exit's own row: one transition per row
            block = 2
        elif barred & (1 if ungated < 0 else 2):
            block = 3
        elif not ok:
            block = 4
        else:
            would = ungated
    if side == 0 and would != 0:
        event, side, held = 1, would, 0
        if max_hold >= 0:
            limit = max_hold
        elif half_life < 1e9:
            limit = max(1, math.ceil(3.0 * half_life))
        else:
            limit = -1
    return side, held, limit, idle, barred, event, ungated, would, block


@njit(nogil=True, cache=True, error_model="numpy", forceinline=True)
def _quiet(  # type: ignore[no-untyped-def]
    z, t, end, side, before, entry, exit_, losing, is_reentry
):
    """Return the first row ≥ t on which `_step`, with nothing barred, could change the side."""
    if side != 0:
        while t < end and exit_ < -side * z[t] < losing:
            t += 1
    elif not is_reentry:
        while t < end and abs(z[t]) < entry:
            t += 1
    else:
        while t < end and abs(z[t]) < entry and abs(before) < entry:
            before = z[t]
            t += 1
    return t


@njit(nogil=True, cache=True, error_model="numpy", forceinline=True)
def _flat_until(  # type: ignore[no-untyped-def]
    z, t, end, asked, a, barred, entry, exit_, is_reentry
):
    """Return the first row ≥ t on which `_step`, while FLAT, could change anything.

    With one side barred that is where it re-arms: until there the other cannot enter either.
    """
    if barred == 0:
        while not is_reentry and a < len(asked) and abs(z[asked[a]]) < entry:
            a += 1
        return min(end, asked[a]) if a < len(asked) else end
    sign = 1.0 if barred == 1 else -1.0
    while barred != 3 and t < end and not sign * z[t] <= exit_:
        t += 1
    return t


@njit(nogil=True, cache=True, error_model="numpy", forceinline=True)
def _from(asked, a, t):  # type: ignore[no-untyped-def]
    """Return the place of the first row ≥ t in `asked`, from place `a` on."""
    while a < len(asked) and asked[a] < t:
        a += 1
    return a


@njit(nogil=True, cache=True, error_model="numpy")
def _walk(  # type: ignore[no-untyped-def]
    z, asked, breaks, half_life, a, b, lo, hi, side, held, limit, idle, barred,
    entry, exit_, stop, is_reentry, max_hold, cooldown,
    position, events, ungateds, woulds, blocks,
):  # fmt: skip
    most = (hi - lo) // 2 + 1
    entry_row = np.empty(most, np.int64)
    exit_row = np.empty(most, np.int64)
    sides = np.empty(most, np.int8)
    reasons = np.empty(most, np.int8)
    detail = len(position) > 0
    losing = stop if stop > 0.0 else np.inf
    n, t = 0, lo
    while t < hi:
        next_break = breaks[b] if b < len(breaks) else hi
        before = z[t - 1] if t > 0 else np.nan
        end = min(hi, next_break)
        if limit >= 0:
            end = min(end, t + limit - held - 1)
        if barred == 0 and (side == 0 if detail else side != 0):
            until = _quiet(z, t, end, side, before, entry, exit_, losing, is_reentry)
        elif side == 0 and not detail:
            a = _from(asked, a, t)
            until = _flat_until(z, t, end, asked, a, barred, entry, exit_, is_reentry)
        else:
            until = t
        if until > t:
            idle += until - t
            held += until - t
            t = until
            if t == hi:
                break
            before = z[t - 1]
        broken = t == next_break
        if broken:
            b += 1
        a = _from(asked, a, t)
        # The half-life is read only where it counts: a row far from the last one read is not in
        # the processor's cache.
        side, held, limit, idle, barred, event, ungated, would, block = _step(
            side, held, limit, idle, barred, z[t], before, a < len(asked) and asked[a] == t, broken,
            half_life[t] if max_hold < 0 else np.nan,
            entry, exit_, stop, is_reentry, max_hold, cooldown,
        )  # fmt: skip
        if event == 1:
            entry_row[n], exit_row[n], sides[n], reasons[n] = t, -1, side, 0
            n += 1
        elif event != 0:
            exit_row[n - 1], reasons[n - 1] = t, event
        if detail:
            position[t], events[t] = side, event
            ungateds[t], woulds[t], blocks[t] = ungated, would, block
        t += 1
    state = (side, held if side != 0 else 0, limit, idle, barred)
    return entry_row[:n], exit_row[:n], sides[:n], reasons[:n], state


def break_rows(start: Ints) -> Ints:
    """Return the rows at which a new unbroken run of the grid begins, row 0 aside.

    Args:
        start: (n,) first row of the run each row is in.
    """
    if len(start) and start[0] == start[-1]:  # runs follow each other: there is only one
        return np.empty(0, dtype=np.int64)
    return np.flatnonzero(start[1:] != start[:-1]) + 1


def readonly(column: np.ndarray) -> np.ndarray:
    """Return a read-only view, so that a kernel is compiled once for all callers."""
    if not column.flags.writeable:
        return column
    view = column.view()
    view.flags.writeable = False
    return view


def walk(
    zscore: Floats,
    asked: Ints,
    breaks: Ints,
    half_life: Floats,
    levels: Levels,
    *,
    lo: int = 0,
    hi: int | None = None,
    with_rows: bool = False,
) -> Walk:
    """Run the machine, FLAT at first, over the rows lo ≤ t < hi of one grid.

    Args:
        zscore: (n,) standardised spread; NaN where unknown.
        asked: the rows on which every active gate passes, ascending. Only those count on which
            |z|, or with re-entry the |z| of the row before, is at the entry or beyond.
        breaks: rows that begin a new run of the grid, ascending (`break_rows`).
        half_life: (n,) rows; sets the time-out at entry where `levels.max_hold` is −1.
        lo, hi: half-open range of rows; hi None = n. The row before `lo` may be looked at.
        with_rows: fill the per-row codes as well.
    Returns:
        Walk; each row's codes use rows ≤ t only.
    Raises:
        ValueError: the columns differ in length, or the range is outside them.
    """
    n = len(zscore)
    hi = n if hi is None else hi
    if len(half_life) != n:
        raise ValueError("zscore and half_life must have the same length")
    if not 0 <= lo <= hi <= n:
        raise ValueError(f"lo and hi must be 0 ≤ lo ≤ hi ≤ {n}, was {lo} and {hi}")
    rows = [np.zeros(n if with_rows else 0, dtype=np.int8) for _ in range(5)]
    columns = (zscore, asked, breaks, half_life)
    # Numbers written into the kernel itself would have its parts compiled twice: as constants too.
    places = (int(np.searchsorted(asked, lo)), int(np.searchsorted(breaks, lo)))
    entries, exits, sides, reasons, state = _walk(
        *map(readonly, columns), *places, lo, hi, *State(), *levels, *rows
    )
    position, event, ungated, would, block = rows
    return Walk(
        entries, exits, sides, reasons, position, event, ungated, would, block, State(*state)
    )


def advance(
    state: State,
    levels: Levels,
    *,
    z: float,
    z_before: float = math.nan,
    ok: bool = True,
    is_break: bool = False,
    half_life: float = math.nan,
) -> tuple[State, Outcome]:
    """Take one row: the same step as `walk`, for callers that keep the state themselves.

    Args:
        state: after the row before.
        z, z_before: standardised spread of this row and of the row before.
        ok: every active gate passes on this row.
        is_break: the grid was broken just before this row.
    Returns:
        The state after this row, and what the row did.
    """
    out = _step(*state, z, z_before, ok, is_break, half_life, *levels)
    return State(*out[:5]), Outcome(Event(out[5]), out[6], out[7], Block(out[8]))
