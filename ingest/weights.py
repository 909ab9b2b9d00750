"""The exchange's budget of request weight per minute, shared by everything that asks over REST.

Rule 1: a request is sent only if its weight still fits the share its purpose may use, so that
history in the background can never starve the repair of a gap.
Rule 2: the exchange's own count (X-MBX-USED-WEIGHT-1M) wins over ours.
"""

import asyncio
from collections.abc import Awaitable, Callable

# Shares of the minute's weight up to which a purpose may go; the rest is left to the ones above.
REPAIR, HISTORY, BACKGROUND = 0.9, 0.7, 0.4
MINUTE_S = 60.0


class Budget:
    """Weight used in the current minute of the exchange's clock."""

    def __init__(
        self,
        per_minute: int,
        *,
        now_s: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Start with nothing used. `now_s` is the exchange's time in seconds."""
        self.per_minute = per_minute
        self._now_s, self._sleep = now_s, sleep
        self._minute = -1
        self._used = 0
        self._in_flight = 0
        self._blocked_until_s = 0.0

    @property
    def used(self) -> int:
        """Weight used in this minute, requests under way included."""
        self._roll()
        return self._used

    @property
    def blocked_s(self) -> float:
        """Seconds until the exchange wants to hear from us again, 0 if it does now."""
        return max(0.0, self._blocked_until_s - self._now_s())

    async def acquire(self, weight: int, *, share: float) -> None:
        """Wait until `weight` may be spent by a purpose with this share, and spend it."""
        while True:
            self._roll()
            room = self.per_minute * share
            if not self.blocked_s and (self._used == 0 or self._used + weight <= room):
                break
            now = self._now_s()
            until_next = MINUTE_S - now % MINUTE_S
            await self._sleep(max(self.blocked_s or until_next, 0.01))
        self._used += weight
        self._in_flight += weight

    def settle(self, weight: int, used: int | None) -> None:
        """Note an answer to a request of `weight`; `used` is the exchange's count if it said."""
        self._in_flight -= weight
        if used is not None:
            self._roll()
            self._used = used + self._in_flight

    def block(self, seconds: float) -> None:
        """Send nothing for `seconds`: the exchange said so."""
        self._blocked_until_s = max(self._blocked_until_s, self._now_s() + seconds)

    def _roll(self) -> None:
        minute = int(self._now_s() // MINUTE_S)
        if minute != self._minute:
            self._minute, self._used = minute, self._in_flight
