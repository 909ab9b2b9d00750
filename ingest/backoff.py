"""How long to wait before trying again."""

import random
from collections.abc import Callable, Iterator


def delays(
    first_s: float = 0.5, cap_s: float = 30.0, *, draw: Callable[[], float] = random.random
) -> Iterator[float]:
    """Yield waits that double from `first_s` to `cap_s`, each cut to a random part of itself.

    Full jitter keeps many clients from coming back in step; a tenth is always waited, so that a
    server that refuses at once is not hammered.
    """
    limit = first_s
    while True:
        yield limit * (0.1 + 0.9 * draw())
        limit = min(cap_s, limit * 2)
