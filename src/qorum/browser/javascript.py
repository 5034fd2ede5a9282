"""`JavaScript`: the `Platform` that the page gives, an object of JavaScript. Imported inside Pyodide only."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, TypeVar

from pyodide.ffi import JsException, to_js

from qorum.core.questions import Question
from qorum.errors import IdentityError, QorumError, StoreError
from qorum.node.transport import Closed

T = TypeVar("T")


class JavaScript:
    """A `Platform`."""

    def __init__(self, platform: Any) -> None:
        """platform: what `Platform` in js/src/platform.ts says."""
        self._js = platform
        self.public_key: bytes = platform.publicKey.to_bytes()

    async def sign(self, message: bytes) -> bytes:
        """See `Platform`."""
        return _bytes(await _asked(self._js.sign(to_js(message)), IdentityError))

    async def verify(self, questions: Sequence[Question]) -> Sequence[bool]:
        """See `Platform`."""
        keys, messages, signatures = (b"".join(column) for column in zip(*questions, strict=True))
        lengths = to_js([len(question.message) for question in questions])
        asked = self._js.verify(to_js(keys), to_js(messages), lengths, to_js(signatures))
        return [bool(answer) for answer in _bytes(await _asked(asked, IdentityError))]

    async def read(self, name: str) -> bytes | None:
        """See `Platform`."""
        found = await _asked(self._js.read(name), StoreError)
        return None if found is None else _bytes(found)

    async def write(self, entries: Mapping[str, bytes | None]) -> None:
        """See `Platform`."""
        values = to_js([None if data is None else to_js(data) for data in entries.values()])
        await _asked(self._js.write(to_js(list(entries)), values), StoreError)

    async def dial(self, address: str) -> JavaScriptChannel:
        """See `Platform`."""
        return JavaScriptChannel(await _carried(self._js.dial(address)))

    def tell(self, event: str, body: str) -> None:
        """See `Platform`."""
        self._js.tell(event, body)


class JavaScriptChannel:
    """A `Channel`."""

    def __init__(self, channel: Any) -> None:
        self._js = channel

    async def send(self, message: bytes) -> None:
        """See `Channel`."""
        await _carried(self._js.send(to_js(message)))

    async def receive(self) -> bytes:
        """See `Channel`."""
        return _bytes(await _carried(self._js.receive()))

    async def close(self, why: str) -> None:
        """See `Channel`."""
        await _carried(self._js.close(why))


def _bytes(found: Any) -> bytes:
    data: bytes = found.to_bytes()
    return data


async def _asked(answer: Awaitable[T], kind: type[QorumError]) -> T:
    try:
        return await answer
    except JsException as error:
        raise kind(str(error)) from error


async def _carried(answer: Awaitable[T]) -> T:
    try:
        return await answer
    except JsException as error:
        raise Closed(error.message) from error
