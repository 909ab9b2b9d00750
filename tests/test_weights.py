"""The weight budget: never above the limit, never starving repairs, obeying the exchange."""

import asyncio

from ingest.weights import BACKGROUND, HISTORY, REPAIR, Budget


class Minutes:
    """A clock in seconds that sleeping moves."""

    def __init__(self) -> None:
        self.now_s = 600.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        """Move on at once."""
        self.slept.append(seconds)
        self.now_s += seconds


def spend(budget: Budget, weights: list[int], share: float) -> None:
    """Acquire and settle one after another."""

    async def work() -> None:
        for weight in weights:
            await budget.acquire(weight, share=share)
            budget.settle(weight, None)

    asyncio.run(work())


def test_purposes_stop_at_their_share_and_leave_room_for_repairs():
    clock = Minutes()
    budget = Budget(100, now_s=clock, sleep=clock.sleep)
    spend(budget, [10] * 4, BACKGROUND)
    assert not clock.slept
    spend(budget, [10] * 3, HISTORY)
    spend(budget, [10] * 2, REPAIR)
    assert not clock.slept
    assert budget.used == 90
    spend(budget, [10], BACKGROUND)
    assert clock.now_s == 660.0
    assert budget.used == 10


def test_a_minute_never_sees_more_than_the_limit():
    clock = Minutes()
    budget = Budget(100, now_s=clock, sleep=clock.sleep)
    spend(budget, [30] * 10, REPAIR)
    assert len(clock.slept) == 3, "three fit in each minute"


def test_a_request_heavier_than_the_share_goes_alone():
    clock = Minutes()
    budget = Budget(10, now_s=clock, sleep=clock.sleep)
    spend(budget, [25, 25], BACKGROUND)
    assert len(clock.slept) == 1


def test_the_exchange_s_own_count_wins():
    clock = Minutes()
    budget = Budget(100, now_s=clock, sleep=clock.sleep)

    async def work() -> None:
        await budget.acquire(10, share=REPAIR)
        await budget.acquire(10, share=REPAIR)
        budget.settle(10, 85)
        assert budget.used == 95, "one request is still under way"
        budget.settle(10, 95)
        await budget.acquire(10, share=REPAIR)

    asyncio.run(work())
    assert clock.now_s == 660.0


def test_a_block_is_waited_out_whole():
    clock = Minutes()
    budget = Budget(100, now_s=clock, sleep=clock.sleep)
    budget.block(500.0)
    budget.block(20.0)
    assert budget.blocked_s == 500.0
    spend(budget, [1], REPAIR)
    assert clock.now_s == 1100.0
    assert budget.blocked_s == 0.0
