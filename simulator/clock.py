"""The exchange's clock: UTC in milliseconds, or a clock that starts elsewhere and runs faster."""

import time


class Clock:
    """Milliseconds UTC of the exchange.

    Args:
        start_ms: time at which it starts; None is now.
        speed: exchange seconds per real second.
        is_held: whether it stands until `release`.
    """

    def __init__(
        self, *, start_ms: int | None = None, speed: float = 1.0, is_held: bool = False
    ) -> None:
        self.offset_ms = 0
        self.speed = speed
        self._start_ms = time.time() * 1_000 if start_ms is None else float(start_ms)
        self._origin_s = None if is_held else time.monotonic()

    def release(self, delay_s: float) -> None:
        """Let a held clock run, `delay_s` from now; a running one is left alone."""
        if self._origin_s is None:
            self._origin_s = time.monotonic() + delay_s

    def now_ms(self) -> int:
        """Return the exchange's time, `offset_ms` (a wrong clock on purpose) included."""
        elapsed_s = 0.0
        if self._origin_s is not None:
            elapsed_s = max(0.0, time.monotonic() - self._origin_s)
        return int(self._start_ms + elapsed_s * self.speed * 1_000) + self.offset_ms
