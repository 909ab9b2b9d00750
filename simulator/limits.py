"""Request weight a minute: 429 when it is used up, 418 when that is ignored."""

import math
from dataclasses import dataclass, field

WEIGHT_LIMIT = {"spot": 6_000, "futures": 2_400}
_PATIENCE = 10  # requests after the first 429 of a minute before the ban
_FIRST_BAN_S = 120.0
_LONGEST_BAN_S = 3 * 86_400.0


@dataclass
class Limiter:
    """Counts weight in whole minutes of real time; there is one client, loopback.

    Args:
        limit: weight allowed in a minute.
    """

    limit: int
    used: int = 0
    _minute: int = -1
    _refused: int = 0
    _bans: int = 0
    _banned_until_s: float = field(default=-math.inf)

    def charge(self, weight: int, now_s: float) -> tuple[int, int]:
        """Count a request; return the HTTP status (200, 429, 418) and Retry-After seconds."""
        if now_s < self._banned_until_s:
            return 418, math.ceil(self._banned_until_s - now_s)
        minute = int(now_s // 60)
        if minute != self._minute:
            self._minute, self.used, self._refused = minute, 0, 0
        self.used += weight
        if self.used <= self.limit:
            return 200, 0
        self._refused += 1
        if self._refused > _PATIENCE:
            ban_s = min(_FIRST_BAN_S * 2**self._bans, _LONGEST_BAN_S)
            self._bans += 1
            self._banned_until_s = now_s + ban_s
            return 418, math.ceil(ban_s)
        return 429, math.ceil((minute + 1) * 60 - now_s)
