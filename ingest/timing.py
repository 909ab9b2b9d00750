"""Every interval of the feed in one place, so that tests need no patience."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """Intervals in seconds.

    Attributes:
        flush_s: longest time a trade waits for others before it is handed on.
        tick_s: how often clocks, rates and silences are looked at.
        first_retry_s, last_retry_s: first wait before a reconnect, and the longest.
        blocked_retry_s: wait after a refusal that is not going to change soon.
        stable_s: a connection that lived this long starts its retries from the first again.
        open_timeout_s, rest_timeout_s: how long to wait for a connection and for an answer.
        ping_s: silence after which the connection is pinged; dead_s: silence that ends it.
        max_age_s: age at which a connection is replaced; overlap_s: how long both are read.
        silence_s, doubt_s: see `Liveness`.
        clock_sync_s: how often the exchange's clock is measured.
        seam_s: how long after a bucket's end its candle is final.
        settle_s: how long a gap that was given up may still change before its candles are fetched.
        gap_grace_s: how long a gap may fill itself before it is asked for over REST.
        funding_pause_s: wait between two requests for funding rates, of which 500 are allowed in
            5 minutes. funding_late_s: how long after a full hour its rates are asked for.
        absent_retry_s: wait before ids the exchange did not return are asked for again.
    """

    flush_s: float = 0.05
    tick_s: float = 0.25
    first_retry_s: float = 0.5
    last_retry_s: float = 30.0
    blocked_retry_s: float = 300.0
    stable_s: float = 30.0
    open_timeout_s: float = 10.0
    rest_timeout_s: float = 10.0
    ping_s: float = 1.0
    dead_s: float = 10.0
    max_age_s: float = 23 * 3600.0
    overlap_s: float = 2.0
    silence_s: float = 10.0
    doubt_s: float = 3.0
    clock_sync_s: float = 300.0
    seam_s: float = 2.0
    settle_s: float = 5.0
    gap_grace_s: float = 0.3
    absent_retry_s: float = 0.5
    funding_pause_s: float = 0.7
    funding_late_s: float = 20.0
