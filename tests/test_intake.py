"""Batches: what is handed on, when, and that it can always be continued from."""

import json

import pytest

from ingest.intake import BATCH_TRADES, Intake
from ingest.liveness import Liveness
from ingest.protocol import Protocol
from ingest.rows import Page
from model import Bar, Batch, Gap, Mark, Market, Quality, Stream, Timeframe, Trade
from tests.ingest_fakes import Ledger

T0 = 1_700_000_000_000


def trade(trade_id: int, symbol: str = "BTCUSDT") -> Trade:
    """A trade 10 ms after the one before it."""
    return Trade(symbol, trade_id, 100.0, 1.0, T0 + 10 * trade_id, False)


def frame(trade_id: int, symbol: str = "BTCUSDT", kind: str = "aggTrade", **more: object) -> str:
    """The frame that carries `trade(trade_id)`."""
    made = trade(trade_id, symbol)
    data = {"e": kind, "s": symbol, "a": made.id, "t": made.id, "p": "100.0", "q": "1.0"}
    return json.dumps({"stream": "x", "data": data | {"T": made.ts_ms, "m": False} | more})


class Bench:
    """An intake with a clock, a receiver and a connection that is alive."""

    def __init__(
        self,
        *,
        market: Market = Market.SPOT,
        stream: Stream = Stream.AGG_TRADE,
        marks: dict[str, Mark] | None = None,
        gaps: tuple[Gap, ...] = (),
    ) -> None:
        self.now_ms = T0
        protocol = Protocol(market, stream)
        self.ledger = Ledger(has_gapless_ids=protocol.has_gapless_ids)
        self.fails = False
        self.liveness = Liveness(silence_s=10, doubt_s=3)
        self.intake = Intake(
            protocol,
            self.liveness,
            marks=marks or {},
            gaps=gaps,
            on_batch=self._receive,
            now_ms=lambda: self.now_ms,
        )
        self.intake.heard_ms = lambda _: self.now_ms
        for symbol in ("BTCUSDT", "ETHUSDT"):
            self.liveness.add(symbol)
            self.intake.add(symbol)
            self.liveness.connected(symbol, T0)

    def _receive(self, batch: Batch) -> None:
        if self.fails:
            raise OSError("disk full")
        self.ledger(batch)

    def take(self, *ids: int, symbol: str = "BTCUSDT") -> None:
        """Let trades arrive, and hand them on."""
        for trade_id in ids:
            self.intake.take(frame(trade_id, symbol))
        self.intake.flush()


def test_trades_wait_for_one_another_up_to_a_full_batch():
    bench = Bench()
    waiting = []
    bench.intake.on_waiting = lambda: waiting.append(len(bench.ledger.batches))
    for trade_id in range(1, 2 * BATCH_TRADES + 3):
        bench.intake.take(frame(trade_id, ("BTCUSDT", "ETHUSDT")[trade_id % 2]))
    assert [len(batch.trades) for batch in bench.ledger.batches] == [BATCH_TRADES] * 2
    assert waiting == [0, 1, 2]
    bench.intake.flush()
    bench.intake.flush()
    assert len(bench.ledger.batches) == 3
    batch = bench.ledger.batches[-1]
    assert [trade.id for trade in batch.trades] == [2001, 2002]
    assert not batch.is_backfill
    assert set(batch.marks) == set(batch.closed_ms) == {"BTCUSDT", "ETHUSDT"}
    assert batch.marks["BTCUSDT"].next_id == 2003


def test_duplicates_and_foreign_symbols_are_not_handed_on():
    bench = Bench()
    bench.take(5, 5, 6)
    bench.intake.take(frame(1, "DOGEUSDT"))
    bench.intake.flush()
    assert bench.ledger.ids("BTCUSDT") == [5, 6]
    assert bench.intake.sequencers["BTCUSDT"].duplicates == 1
    assert bench.intake.ignored["other symbol"] == 1
    assert "DOGEUSDT" not in bench.ledger.held


def test_gaps_are_handed_on_only_when_they_changed():
    bench = Bench()
    seen = []
    bench.intake.on_gaps = lambda symbol, gaps: seen.append((symbol, len(gaps)))
    bench.take(1)
    bench.take(2)
    bench.take(5)
    assert [sorted(batch.gaps) for batch in bench.ledger.batches] == [["BTCUSDT"], [], ["BTCUSDT"]]
    assert seen == [("BTCUSDT", 1), ("BTCUSDT", 2)]


def test_what_waits_is_handed_on_before_what_was_fetched():
    """Otherwise the fetched batch's mark would claim trades nobody has stored."""
    bench = Bench()
    bench.ledger.void.add(4)
    bench.take(1)
    bench.intake.take(frame(5))
    assert bench.intake.backfill("BTCUSDT", Page([trade(i) for i in (1, 2, 3)], [4], 0, 4)) == 2
    live, fetched = bench.ledger.batches[1:]
    assert [trade.id for trade in live.trades] == [5]
    assert [trade.id for trade in fetched.trades] == [2, 3]
    assert (live.is_backfill, fetched.is_backfill) == (False, True)
    assert [gap.state for gap in fetched.gaps["BTCUSDT"]] == ["given_up"]
    assert bench.intake.sequencers["BTCUSDT"].duplicates == 0


def test_fetched_rows_without_news_are_not_handed_on():
    bench = Bench()
    bench.take(1, 2)
    assert bench.intake.backfill("BTCUSDT", Page([trade(1), trade(2)], [], 0, 2)) == 0
    assert len(bench.ledger.batches) == 1


def test_rejected_and_ignored_records_are_counted():
    bench = Bench()
    bench.take(1)
    bench.intake.take(frame(2, p="-1"))
    bench.intake.take(b"{")
    bench.intake.take(frame(3, kind="depthUpdate"))
    assert bench.intake.rejected == {"price out of range": 1, "not JSON": 1}
    assert bench.intake.rejected_of == {"BTCUSDT": 1}
    assert bench.intake.ignored == {"depthUpdate": 1}
    bench.intake.backfill("BTCUSDT", Page([], [], 2, 2))
    assert bench.intake.rejected["unusable REST row"] == 2


def test_controls_come_back_to_the_caller():
    bench = Bench()
    assert bench.intake.take(b'{"result":null,"id":7}') == (7, None)
    assert bench.intake.take(b'{"e":"serverShutdown"}') == ()
    assert bench.intake.take(frame(1)) is None


def test_time_is_closed_by_trades_by_the_clock_and_never_over_a_gap():
    bench = Bench()
    bench.take(1)
    assert bench.ledger.closed_ms["BTCUSDT"] == T0 + 10
    bench.now_ms = T0 + 5000
    bench.liveness.verified("BTCUSDT", T0 + 4500)
    bench.intake.tick()
    assert bench.ledger.closed_ms["BTCUSDT"] == T0 + 2500
    assert bench.ledger.batches[-1].trades == []
    count = len(bench.ledger.batches)
    bench.now_ms += 100
    bench.intake.tick()
    assert len(bench.ledger.batches) == count, "once a second is enough"
    bench.take(5)
    assert bench.ledger.closed_ms["BTCUSDT"] == T0 + 10
    bench.now_ms += 10_000
    bench.intake.tick()
    assert bench.ledger.closed_ms["BTCUSDT"] == T0 + 10
    bench.intake.give_up("BTCUSDT", 2, 4)
    assert bench.ledger.closed_ms["BTCUSDT"] >= T0 + 50


def test_a_clock_that_runs_ahead_does_not_close_what_still_arrives():
    bench = Bench()
    bench.now_ms = T0 + 5010
    bench.take(1)
    bench.now_ms += 1000
    bench.intake.tick()
    assert bench.ledger.closed_ms["BTCUSDT"] == T0 + 10, "the lag of 5 s is waited for, too"


def test_a_lost_connection_closes_nothing_by_the_clock():
    bench = Bench()
    bench.take(1)
    bench.liveness.disconnected("BTCUSDT")
    bench.intake.interrupt("BTCUSDT")
    bench.now_ms += 60_000
    bench.intake.tick()
    assert bench.ledger.closed_ms["BTCUSDT"] == T0 + 10


def test_a_receiver_that_fails_loses_nothing():
    """What was not handed on is forgotten, so that it is fetched again."""
    bench = Bench()
    bench.take(1, 2)
    bench.fails = True
    bench.intake.take(frame(3))
    bench.intake.take(frame(9))
    with pytest.raises(OSError, match="disk full"):
        bench.intake.flush()
    bench.intake.take(frame(10))
    bench.fails = False
    bench.intake.go_back()
    assert bench.intake.sequencers["BTCUSDT"].mark == bench.ledger.marks["BTCUSDT"]
    bench.intake.backfill("BTCUSDT", Page([trade(i) for i in range(3, 11)], [], 0, 8))
    assert bench.ledger.ids("BTCUSDT") == list(range(1, 11))


def test_marks_and_gaps_of_an_earlier_session_are_continued():
    mark = Mark("BTCUSDT", 10, T0, 5.0)
    gap = Gap("BTCUSDT", 3, 4, T0 - 50, T0 - 20)
    bench = Bench(marks={"BTCUSDT": mark}, gaps=(gap,))
    bench.ledger.marks["BTCUSDT"], bench.ledger.gaps["BTCUSDT"] = mark, (gap,)
    sequencer = bench.intake.sequencers["BTCUSDT"]
    assert (sequencer.mark, sequencer.gaps) == (mark, (gap,))
    bench.take(10)
    assert bench.ledger.batches[-1].closed_ms["BTCUSDT"] == T0 - 50
    assert bench.intake.sequencers["ETHUSDT"].mark is None


def test_last_ticks_are_the_newest_in_order():
    bench = Bench()
    bench.take(*range(100, 300))
    bench.take(305)
    bench.intake.backfill("BTCUSDT", Page([trade(i) for i in range(300, 305)], [], 0, 5))
    bench.intake.extend_back("BTCUSDT", Page([trade(i) for i in range(50, 100)], [], 0, 50))
    ticks = bench.intake.last_ticks("BTCUSDT", 8)
    assert [tick.id for tick in ticks] == list(range(298, 306))
    assert len(bench.intake.last_ticks("BTCUSDT", 999)) == 200
    assert bench.intake.last_ticks("NOSUCH", 5) == []


def test_removed_symbols_hand_on_what_waits_and_then_nothing():
    bench = Bench()
    bench.intake.take(frame(1))
    bench.intake.remove("BTCUSDT")
    assert bench.ledger.ids("BTCUSDT") == [1]
    bench.take(2)
    assert bench.ledger.ids("BTCUSDT") == [1]
    bench.intake.add("BTCUSDT")
    bench.take(2)
    assert bench.ledger.ids("BTCUSDT") == [1, 2], "from where its mark was"
    assert [gap.first_id for gap in bench.ledger.gaps["BTCUSDT"]] == [-1]


def test_candles_are_handed_on_alone():
    bench = Bench()
    bar = Bar("BTCUSDT", Timeframe.M1, T0, 1, 2, 1, 2, 3, 4, 5, -1, -1, Quality.KLINE)
    bench.intake.take(frame(1))
    bench.intake.klines([bar])
    bench.intake.klines([])
    live, candles = bench.ledger.batches
    assert (len(live.trades), live.klines) == (1, ())
    assert (candles.trades, candles.klines) == ([], (bar,))


def test_raw_futures_a_frame_that_cannot_be_read_may_have_been_a_trade():
    bench = Bench(market=Market.FUTURES, stream=Stream.TRADE)
    for symbol in ("BTCUSDT", "ETHUSDT"):
        bench.intake.take(frame(1, symbol, "trade"))
    bench.intake.take(b"{broken")
    bench.intake.take(frame(3, "BTCUSDT", "trade"))
    bench.intake.take(frame(2, "BTCUSDT", "trade", p="nan"))
    bench.intake.take(frame(4, "ETHUSDT", "trade"))
    bench.intake.take(frame(7, "BTCUSDT", "trade"))
    bench.intake.flush()
    spans = {
        s: [(g.start_ms - T0, g.end_ms - T0) for g in gaps[1:]]
        for s, gaps in bench.ledger.gaps.items()
    }
    assert spans == {"BTCUSDT": [(10, 30), (30, 70)], "ETHUSDT": [(10, 40)]}
    bench.intake.take(frame(8, "BTCUSDT", "trade", X="NA", p="0"))
    bench.intake.take(frame(9, "BTCUSDT", "trade"))
    bench.intake.flush()
    assert len(bench.ledger.gaps["BTCUSDT"]) == 3, "what is no trade hides none"
