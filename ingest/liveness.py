"""Is a silent stream quiet or dead, and up to when is a symbol known to be complete?

Rule 1: no I/O and no clock; every method is given the exchange's time.
Rule 2: silence closes bars only while it is believable. A stream that is quiet for much longer than
its habit is in doubt until REST says that nothing happened.
"""

from dataclasses import dataclass

# How far the memory for a stream's habit reaches back.
HABIT_MS = 300_000.0


@dataclass(slots=True)
class Pulse:
    """One stream's habit and what is known about it. Times are the exchange's, in ms."""

    is_connected: bool = False
    is_caught_up: bool = False
    is_stalled: bool = False
    stalls: int = 0
    arrived_ms: int = 0
    verified_ms: int = 0
    asked_ms: int = 0
    lag_ms: int = -1
    count: float = 0.0
    span_ms: float = 0.0

    @property
    def interval_ms(self) -> float:
        """Mean time between trades of late; 0 when unknown."""
        return self.span_ms / self.count if self.count >= 1.0 else 0.0


class Liveness:
    """The pulses of all symbols."""

    def __init__(self, *, silence_s: float, doubt_s: float, habit: float = 20.0) -> None:
        """Set when silence counts.

        Args:
            silence_s: shortest silence after which REST is asked whether it is true.
            doubt_s: shortest silence after which bars are no longer closed by the clock.
            habit: both need at least this many mean intervals of silence, too.
        """
        self._silence_ms, self._doubt_ms, self._habit = silence_s * 1000, doubt_s * 1000, habit
        self.pulses: dict[str, Pulse] = {}

    def add(self, symbol: str) -> None:
        """Watch `symbol` from now on."""
        self.pulses[symbol] = Pulse()

    def remove(self, symbol: str) -> None:
        """Watch `symbol` no longer."""
        self.pulses.pop(symbol, None)

    def connected(self, symbol: str, now_ms: int) -> None:
        """The stream of `symbol` was opened; whether anything was missed is not known yet."""
        pulse = self.pulses[symbol]
        pulse.is_connected, pulse.is_caught_up = True, False
        pulse.arrived_ms = pulse.asked_ms = now_ms

    def disconnected(self, symbol: str) -> None:
        """The stream of `symbol` ended."""
        pulse = self.pulses.get(symbol)
        if pulse is not None:
            pulse.is_connected = pulse.is_caught_up = False

    def arrived(self, symbol: str, count: int, lag_ms: int, now_ms: int) -> None:
        """`count` trades of `symbol` came over the stream, the newest `lag_ms` old."""
        pulse = self.pulses[symbol]
        since = max(0, now_ms - pulse.arrived_ms)
        fade = HABIT_MS / (HABIT_MS + since)
        pulse.count = (pulse.count + count) * fade
        pulse.span_ms = (pulse.span_ms + since) * fade
        pulse.arrived_ms, pulse.lag_ms = now_ms, lag_ms
        pulse.is_stalled, pulse.stalls = False, 0

    def verified(self, symbol: str, at_ms: int) -> None:
        """REST said at `at_ms` that there is nothing we do not have."""
        pulse = self.pulses[symbol]
        pulse.verified_ms = max(pulse.verified_ms, at_ms)
        pulse.is_caught_up = pulse.is_connected

    def to_verify(self, now_ms: int) -> list[str]:
        """Return the symbols silent for so long that REST should be asked, and note the asking."""
        found = []
        for symbol, pulse in self.pulses.items():
            if not pulse.is_connected:
                continue
            limit = self._limit(pulse, self._silence_ms)
            if now_ms - max(pulse.arrived_ms, pulse.asked_ms) >= limit:
                pulse.asked_ms = now_ms
                found.append(symbol)
        return found

    def complete_until_ms(self, symbol: str, heard_ms: int, now_ms: int) -> int:
        """Return the time up to which silence means that no trade happened; 0 = it never does.

        `heard_ms` is when the connection itself last gave a sign of life.
        """
        pulse = self.pulses[symbol]
        if not (pulse.is_connected and pulse.is_caught_up):
            return 0
        if now_ms - pulse.arrived_ms < self._limit(pulse, self._doubt_ms):
            return heard_ms
        return min(heard_ms, max(pulse.verified_ms, pulse.arrived_ms))

    def _limit(self, pulse: Pulse, floor_ms: float) -> float:
        habit = self._habit * pulse.interval_ms
        return min(max(floor_ms, habit), max(floor_ms, HABIT_MS))
