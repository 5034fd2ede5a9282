"""`Shelf`: where a member in a page keeps what it must not forget, by name, in whatever the platform has.

Writes become durable in the order they are asked for: those that come while one is under way go together into the
next. Nothing is written after a write that failed.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import Future
from functools import cached_property
from typing import TypeVar

import msgspec

from qorum.browser.platform import Platform
from qorum.core import wire
from qorum.core.effects import Committed, Keep
from qorum.core.genesis import Genesis
from qorum.core.messages import Commit
from qorum.core.state import State
from qorum.errors import UNREADABLE, ProtocolError, QorumError, StoreError
from qorum.store.kept import Kept, Payload
from qorum.store.seal import damaged, seal, unseal

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

T = TypeVar("T")

EXPERIENCE = "experience"
"""Of the agent: one for whatever federation it is in."""
LEVEL = 1
"""Of compression."""


class _Newest(msgspec.Struct, frozen=True, array_like=True):
    """An agreed round."""

    state: bytes
    commit: Commit


_newest = msgspec.msgpack.Decoder(_Newest)
_epochs = msgspec.msgpack.Decoder(tuple[Commit, ...])
_payloads = msgspec.msgpack.Decoder(tuple[Payload, ...])


class Shelf:
    """One member's, in one federation: a `Disk`. Lives in the event loop."""

    def __init__(self, platform: Platform, genesis: Genesis) -> None:
        self.failed: str | None = None
        """Why nothing is written any more."""
        self._platform, self._genesis = platform, genesis
        self._epochs: tuple[Commit, ...] = ()
        self._payloads: tuple[Payload, ...] = ()
        self._waiting: dict[str, bytes | None] = {}
        self._asked: list[Future[None]] = []
        self._writing: asyncio.Task[None] | None = None

    @cached_property
    def _folder(self) -> str:
        return self._genesis.federation.hex()

    # --- reading ---

    async def load(self) -> Kept:
        """What the member kept. Raises `StoreError` if any of it is not as it was written."""
        try:
            newest = await self._part("newest", _newest.decode)
            self._epochs = await self._part("epochs", _epochs.decode) or ()
            self._payloads = await self._part("payloads", _payloads.decode) or ()
            state = None if newest is None else State.from_bytes(zstd.decompress(newest.state), self._genesis)
        except (*UNREADABLE, ProtocolError, zstd.ZstdError) as error:
            raise damaged(f"what this agent kept of federation {self._folder[:16]}") from error
        payloads = tuple(Keep(payload.cut, payload.items) for payload in self._payloads)
        record = await self._part("record", bytes)
        return Kept(state, None if newest is None else newest.commit, record, self._epochs, payloads)

    async def _part(self, name: str, decode: Callable[[bytes], T]) -> T | None:
        sealed = await self._platform.read(f"{self._folder}/{name}")
        return None if sealed is None else decode(unseal(sealed, f"{name} of federation {self._folder[:16]}"))

    async def settled(self) -> None:
        """Wait until nothing is being written."""
        while self._writing is not None:
            await asyncio.wait([self._writing])

    # --- writing: `Disk` ---

    def persist(self, key: bytes, record: bytes) -> Future[None]:
        """Keep the record in place of the one before."""
        return self._write({"record": record})

    def keep(self, key: bytes, keep: Keep) -> Future[None]:
        """Keep a payload until the next commit."""
        self._payloads += (Payload(keep.cut, keep.items),)
        return self._write({"payloads": msgspec.msgpack.encode(self._payloads)})

    def committed(self, key: bytes, committed: Committed) -> Future[None]:
        """Keep an agreed state with its proof."""
        state = zstd.compress(committed.state.to_bytes(), LEVEL)
        entries: dict[str, bytes | None] = {"newest": wire.encode(_Newest(state, committed.commit)), "payloads": None}
        self._payloads = ()
        if committed.epochs:
            self._epochs += committed.epochs
            entries["epochs"] = msgspec.msgpack.encode(self._epochs)
        return self._write(entries)

    def experience(self, key: bytes, experience: bytes) -> Future[None]:
        """Keep the agent's own experience."""
        return self._ask({EXPERIENCE: seal(experience)})

    def _write(self, entries: dict[str, bytes | None]) -> Future[None]:
        return self._ask(
            {f"{self._folder}/{name}": None if data is None else seal(data) for name, data in entries.items()}
        )

    def _ask(self, entries: dict[str, bytes | None]) -> Future[None]:
        done: Future[None] = Future()
        done.set_running_or_notify_cancel()
        if self.failed is not None:
            done.set_exception(StoreError(self.failed))
            return done
        self._waiting |= entries
        self._asked.append(done)
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write_all())
        return done

    async def _write_all(self) -> None:
        while self._asked:
            entries, asked, self._waiting, self._asked = self._waiting, self._asked, {}, []
            try:
                await self._platform.write(entries)
            except QorumError as error:
                self.failed = str(error)
                for done in [*asked, *self._asked]:
                    done.set_exception(StoreError(self.failed))
                self._asked = []
            else:
                for done in asked:
                    done.set_result(None)
        self._writing = None
