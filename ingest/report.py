"""The feed's health, put together from its parts; may run on any thread."""

import time

from ingest.health import FeedHealth, FeedState, SymbolHealth
from ingest.session import Session

LARGE_OFFSET_MS = 1000


def health(
    session: Session,
    *,
    is_alive: bool = True,
    fault: str = "",
    retry_s: float = 0.0,
) -> FeedHealth:
    """Return the state of everything; `fault` is why nothing runs at the moment."""
    lines = list(session.lines)
    waits = [line.retry_at_s - time.monotonic() for line in lines if line.retry_at_s]
    messages_per_s, trades_per_s = _rates(session)
    history = session.history
    return FeedHealth(
        state=state(session) if is_alive and not fault else "stopped",
        reconnects=session.lost_count + sum(line.reconnects for line in lines),
        symbols={symbol: _symbol(session, symbol) for symbol in list(session.symbols)},
        symbols_info=dict(session.infos),
        is_alive=is_alive,
        is_faulted=bool(fault),
        messages_per_s=messages_per_s,
        trades_per_s=trades_per_s,
        rejected=dict(session.intake.rejected),
        ignored=dict(session.intake.ignored),
        clock_offset_ms=session.offset_ms,
        last_error=fault or next((line.error for line in lines if line.error), ""),
        next_retry_s=max(0.0, retry_s, *waits),
        history_pending=history.pending if history is not None else 0,
        warnings=tuple(_warnings(session)),
    )


def state(session: Session) -> FeedState:
    """Return the one word for the feed as a whole: the worst of its parts."""
    states = {line.state for line in list(session.lines)}
    known = session.known()
    if "blocked" in states or (session.symbols and not known):
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


def _warnings(session: Session) -> list[str]:
    name = session.venue.name
    found = [f"{s} is not listed on {name}; it is not streamed" for s in sorted(session.unknown)]
    found += [
        f"{info.symbol} is not trading ({info.status})"
        for info in list(session.infos.values())
        if info.status != "TRADING" and info.symbol in session.symbols
    ]
    found += [
        f"{session.protocol.stream_name(symbol)} is silent although trades happen"
        for symbol, pulse in list(session.liveness.pulses.items())
        if pulse.is_stalled
    ]
    found += [
        f"{symbol}: ids went back, the exchange has reset them; start a new database"
        for symbol, sequencer in list(session.intake.sequencers.items())
        if sequencer.went_back
    ]
    if session.backfill is not None:
        found += [f"{s} is not repaired: {why}" for s, why in list(session.backfill.errors.items())]
        found += list(session.backfill.notes.values())
    if session.history is not None:
        found += list(session.history.notes.values())
    found += list(session.errors.values())
    wait = session.rest.budget.blocked_s if session.rest is not None else 0.0
    if wait:
        found.append(f"the exchange asked for silence over REST for {wait:.0f} s more")
    if abs(session.offset_ms) > LARGE_OFFSET_MS:
        way = "behind" if session.offset_ms > 0 else "ahead of"
        seconds = abs(session.offset_ms) / 1000
        found.append(f"this computer's clock is {seconds:.1f} s {way} the exchange's; corrected")
    return found
