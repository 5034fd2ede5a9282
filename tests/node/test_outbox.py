"""Whatever is put in, an outbox holds no more than its limit, and what it gives is the newest, in order."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from qorum.node.outbox import Outbox


@given(st.lists(st.binary(min_size=1, max_size=60), max_size=60))
def test_the_oldest_are_dropped(messages: list[bytes]) -> None:
    async def scene() -> None:
        outbox = Outbox(100)
        dropped = 0
        for message in messages:
            dropped += outbox.put(message)
            assert outbox.size <= 100
        kept = messages[dropped:]
        assert [await outbox.get() for _ in kept] == kept
        assert outbox.size == 0

    asyncio.run(scene())


def test_a_reader_waits_for_the_next() -> None:
    async def scene() -> None:
        outbox = Outbox(100)
        reading = asyncio.create_task(outbox.get())
        await asyncio.sleep(0)
        assert not reading.done()
        outbox.put(b"message")
        async with asyncio.timeout(5):
            assert await reading == b"message"

    asyncio.run(scene())
