"""Timers: the newest counts, and whoever is late waits longer."""

from __future__ import annotations

import asyncio
import time

from qorum.core.effects import SetTimer, Timer
from qorum.node.timers import PATIENCE, Timers

TICK, VOTE = SetTimer(Timer.TICK, 0.01, 0, 0), SetTimer(Timer.FIRST, 0.02, 1, 0)


def test_each_name_fires_once_and_the_newest_counts() -> None:
    async def scene() -> list[SetTimer]:
        fired: list[SetTimer] = []
        timers, loop = Timers(fired.append), asyncio.get_running_loop()
        again = SetTimer(Timer.TICK, 0.03, 1, 1)
        for timer in (TICK, VOTE, again):
            timers.set(loop, timer)
        await asyncio.sleep(0.2)
        return fired

    assert asyncio.run(scene()) == [VOTE, SetTimer(Timer.TICK, 0.03, 1, 1)]


def test_what_is_cancelled_does_not_fire() -> None:
    async def scene() -> list[SetTimer]:
        fired: list[SetTimer] = []
        timers = Timers(fired.append)
        timers.set(asyncio.get_running_loop(), TICK)
        timers.cancel()
        await asyncio.sleep(0.05)
        return fired

    assert asyncio.run(scene()) == []


def test_a_wait_in_vain_ends_at_once_and_only_once() -> None:
    async def scene() -> list[SetTimer]:
        fired: list[SetTimer] = []
        timers = Timers(fired.append)
        timers.set(asyncio.get_running_loop(), SetTimer(Timer.PROPOSE, 60.0, 1, 0))
        timers.hasten(Timer.FIRST)
        assert fired == []
        timers.hasten(Timer.PROPOSE)
        timers.hasten(Timer.PROPOSE)
        return fired

    assert asyncio.run(scene()) == [SetTimer(Timer.PROPOSE, 60.0, 1, 0)]


def test_who_was_late_waits_longer_until_it_is_in_time_again() -> None:
    async def scene() -> None:
        fired: list[float] = []
        timers, loop = Timers(lambda _: fired.append(loop.time())), asyncio.get_running_loop()
        timers.set(loop, TICK)
        time.sleep(0.11)  # the loop is busy with something else
        await asyncio.sleep(0.001)
        late = timers.late_s
        assert late >= 0.09
        set_at = loop.time()
        timers.set(loop, TICK)
        async with asyncio.timeout(30):
            while len(fired) < 2:
                await asyncio.sleep(0.01)
        assert fired[1] - set_at >= TICK.delay + PATIENCE * late
        assert timers.late_s < late

    asyncio.run(scene())
