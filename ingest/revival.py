"""Streams that are silent although trades happen: told, subscribed anew, moved if that fails."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from ingest.intake import Intake
from ingest.line import Line
from ingest.liveness import Liveness
from ingest.protocol import Protocol
from ingest.rest import ExchangeError, Rest
from ingest.sequencer import LooseSequencer
from ingest.timing import Timing
from model import DataError

log = logging.getLogger(__name__)

Spawn = Callable[[Coroutine[Any, Any, None]], object]


class Revival:
    """Brings silent streams back.

    Attributes:
        errors: why the silence of a symbol could not be checked.
    """

    def __init__(
        self,
        protocol: Protocol,
        rest: Rest,
        intake: Intake,
        liveness: Liveness,
        lines: Sequence[Line],
        *,
        timing: Timing,
        spawn: Spawn,
    ) -> None:
        """`lines` is the owner's own list; `spawn` starts a task of the owner's."""
        self._protocol, self._rest, self._intake = protocol, rest, intake
        self._liveness, self._lines = liveness, lines
        self._timing, self._spawn = timing, spawn
        self._is_planned = False
        self.errors: dict[str, str] = {}

    def note_stalled(self, symbol: str) -> None:
        """The stream of `symbol` is silent although trades happen."""
        pulse = self._liveness.pulses.get(symbol)
        if pulse is None or not pulse.is_connected:
            return
        log.warning("%s is silent although trades happen", self._protocol.stream_name(symbol))
        pulse.is_stalled = True
        pulse.stalls += 1
        if not self._is_planned:
            # Others may follow in a moment: they are then revived together.
            self._is_planned = True
            self._spawn(self._revive())

    async def check_raw(self, symbol: str) -> None:
        """Ask REST whether the silence of a stream without gapless ids is true."""
        sequencer = self._intake.sequencers.get(symbol)
        if not isinstance(sequencer, LooseSequencer):
            return
        asked_ms = self._rest.now_ms()
        late_ms = asked_ms - round(self._timing.silence_s * 500)
        try:
            page = await self._rest.newest_trades(symbol, self._protocol.stream)
        except (ExchangeError, DataError) as error:
            self.errors[symbol] = f"{symbol}: {error}"
            return
        self.errors.pop(symbol, None)
        if sequencer.confirm(page.last_id):
            self._liveness.verified(symbol, asked_ms)
        elif any(sequencer.is_ahead(trade) and trade.ts_ms < late_ms for trade in page.trades):
            self._intake.interrupt(symbol)
            self.note_stalled(symbol)

    async def _revive(self) -> None:
        await asyncio.sleep(self._timing.tick_s)
        self._is_planned = False
        for line in list(self._lines):
            pulses = {s: p for s, p in self._liveness.pulses.items() if s in line.symbols}
            silent = [symbol for symbol, pulse in pulses.items() if pulse.is_stalled]
            if not silent:
                continue
            if len(silent) == len(pulses) or any(pulses[s].stalls % 2 == 0 for s in silent):
                line.hand_over()
            else:
                await line.unsubscribe(silent, for_good=False)
                await line.subscribe(silent)
