"""The feed's health, put together from its parts; may run on any thread."""

import time

from ingest.health import FeedHealth, FeedState, SymbolHealth
from ingest.session import Run, Session

LARGE_OFFSET_MS = 1000


def health(
    session: Session,
    *,
    is_alive: bool = True,
    fault: str = "",
    retry_s: float = 0.0,
) -> FeedHealth:
    """Return the state of everything; `fault` is why nothing runs at the moment."""
    run = session.current
    lines = list(run.lines) if run is not None else []
    waits = [line.retry_at_s - time.monotonic() for line in lines if line.retry_at_s]
    messages_per_s, trades_per_s = _rates(session)
    stalled = _stalled(session)
    troubles = [fault, *(line.error for line in lines), *stalled]
    return FeedHealth(
        state=state(session) if is_alive and not fault else "stopped",
        reconnects=session.earlier_reconnects + sum(line.reconnects for line in lines),
        symbols={symbol: _symbol(session, symbol) for symbol in list(session.roster.symbols)},
        symbols_info=dict(session.roster.infos),
        is_alive=is_alive,
        is_faulted=bool(fault),
        messages_per_s=messages_per_s,
        trades_per_s=trades_per_s,
        rejected=dict(session.intake.rejected),
        ignored=dict(session.intake.ignored),
        clock_offset_ms=session.time.offset_ms,
        last_error=next((text for text in troubles if text), ""),
        next_retry_s=max(0.0, retry_s, *waits),
        history_pending=run.history.pending if run is not None else 0,
        warnings=(*session.roster.warnings(), *stalled, *_warnings(session, run)),
    )


def state(session: Session) -> FeedState:
    """Return the one word for the feed as a whole: the worst of its parts."""
    known = session.roster.known()
    states = {line.state for line in list(session.current.lines)} if session.current else set()
    if "blocked" in states or (session.roster.symbols and not known):
        return "blocked"
    if states != {"open"}:
        return "connecting"
    pulses = [session.liveness.pulses.get(symbol) for symbol in known]
    if any(pulse.is_stalled for pulse in pulses if pulse):
        return "stalled"
    sequencers = [session.intake.sequencers.get(symbol) for symbol in known]
    has_gaps = any(sequencer.open_gaps for sequencer in sequencers if sequencer)
    if has_gaps or not all(pulse.is_caught_up for pulse in pulses if pulse):
        return "backfilling"
    return "live"


def _symbol(session: Session, symbol: str) -> SymbolHealth:
    sequencer, pulse = session.intake.sequencers.get(symbol), session.liveness.pulses.get(symbol)
    if sequencer is None or pulse is None:
        return SymbolHealth()
    mark = sequencer.mark
    return SymbolHealth(
        trades=sequencer.accepted,
        last_id=mark.next_id - 1 if mark else -1,
        last_ts=mark.last_ts_ms if mark else -1,
        lag_ms=pulse.lag_ms,
        gaps_open=len(sequencer.open_gaps),
        gaps_filled=sequencer.gaps_filled,
        duplicates=sequencer.duplicates,
        rejected=session.intake.rejected_of[symbol] + sequencer.implausible,
    )


def _rates(session: Session) -> tuple[float, float]:
    seen = list(session.rates)
    if len(seen) < 2 or seen[-1][0] <= seen[0][0]:
        return 0.0, 0.0
    span = seen[-1][0] - seen[0][0]
    return (seen[-1][1] - seen[0][1]) / span, (seen[-1][2] - seen[0][2]) / span


def _stalled(session: Session) -> list[str]:
    return [
        f"{session.protocol.stream_name(symbol)} is silent although trades happen"
        for symbol, pulse in list(session.liveness.pulses.items())
        if pulse.is_stalled
    ]


def _warnings(session: Session, run: Run | None) -> list[str]:
    found = [
        f"{symbol}: ids went back, the exchange has reset them; start a new database"
        for symbol, sequencer in list(session.intake.sequencers.items())
        if sequencer.went_back
    ]
    if run is not None:
        errors = list(run.backfill.errors.items())
        found += [f"{symbol} is not repaired: {why}" for symbol, why in errors]
        found += list(run.backfill.notes.values())
        found += list(run.history.notes.values())
        found += list(run.funding.notes.values())
        found += list(run.revival.errors.values())
        if run.rest.budget.blocked_s:
            wait = run.rest.budget.blocked_s
            found.append(f"the exchange asked for silence over REST for {wait:.0f} s more")
    if session.time.error:
        found.append(session.time.error)
    offset_ms = session.time.offset_ms
    if abs(offset_ms) > LARGE_OFFSET_MS:
        way = "behind" if offset_ms > 0 else "ahead of"
        text = f"this computer's clock is {abs(offset_ms) / 1000:.1f} s {way} the exchange's"
        found.append(f"{text}; corrected")
    return found
