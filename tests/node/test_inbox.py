"""A bounded queue from threads into an event loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from qorum.node.inbox import OVERHEAD, Inbox
from qorum.node.transport import Closed


def test_what_threads_put_in_comes_out_in_order() -> None:
    async def scene() -> None:
        inbox = Inbox(1 << 20)
        with ThreadPoolExecutor(1) as thread:
            messages = [bytes([number]) for number in range(100)]
            thread.submit(lambda: [inbox.put(message) for message in messages])
            assert [await inbox.get() for _ in messages] == messages

    asyncio.run(asyncio.wait_for(scene(), 10))


def test_it_takes_so_many_bytes_and_no_more() -> None:
    async def scene() -> None:
        inbox = Inbox(2 * (OVERHEAD + 1))
        assert [inbox.put(b"a"), inbox.put(b"b"), inbox.put(b"")] == [True, True, False]
        assert await inbox.get() == b"a"
        assert inbox.put(b"c")
        assert [await inbox.get(), await inbox.get()] == [b"b", b"c"]

    asyncio.run(scene())


def test_after_its_end_what_is_there_can_be_taken_and_then_the_first_reason_is_raised() -> None:
    async def scene() -> None:
        inbox = Inbox(1 << 10)
        inbox.put(b"last")
        inbox.end(Closed("first reason"))
        inbox.end(Closed("second"))
        inbox.put(b"too late")
        assert await inbox.get() == b"last"
        for _ in range(2):
            with pytest.raises(Closed, match="first reason"):
                await inbox.get()

    asyncio.run(scene())


def test_an_end_wakes_who_waits_and_one_after_the_loop_is_no_fault() -> None:
    async def scene() -> Inbox:
        inbox = Inbox(1 << 10)
        asyncio.get_running_loop().call_later(0.01, inbox.end, Closed("over"))
        with pytest.raises(Closed):
            await inbox.get()
        return inbox

    inbox = asyncio.run(asyncio.wait_for(scene(), 10))
    inbox.put(b"nobody reads")
    inbox.end(Closed("nobody waits"))
