"""The exchange's clock: UTC in milliseconds, or a clock that starts elsewhere and runs faster."""

import time


class Clock:
    """Milliseconds UTC of the exchange.

    Args:
        start_ms: time at which it starts; None is now.
        speed: exchange seconds per real second.
    """

    def __init__(self, *, start_ms: int | None = None, speed: float = 1.0) -> None:
        self.speed = speed
        self.offset_ms = 0
        self._origin_s = time.monotonic()
        self._start_ms = time.time() * 1_000 if start_ms is None else float(start_ms)

    def now_ms(self) -> int:
        """Return the exchange's time, `offset_ms` (a wrong clock on purpose) included."""
        elapsed_s = time.monotonic() - self._origin_s
        return int(self._start_ms + elapsed_s * self.speed * 1_000) + self.offset_ms
