"""`Seats`: members of a demonstration whose keys are handed out to whoever opens its page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a page asks for."""

    member: int | None = None
    """The seat that it had before it was loaded again."""


class Seats:
    """Handed out in order. For loopback only: whoever asks is given a private key."""

    def __init__(self, keys: dict[int, Path], genesis: str, nodes: Sequence[str]) -> None:
        """keys: member -> its key file. nodes: URLs to join by."""
        self._keys, self._genesis, self._nodes = keys, genesis, list(nodes)
        self.taken: set[int] = set()

    async def handle(self, request: web.Request) -> web.Response:
        """Answer a page. A seat that was given out goes again to the page that names it."""
        try:
            asked = msgspec.json.decode(await request.read() or b"{}", type=Request)
        except msgspec.DecodeError as error:
            raise web.HTTPBadRequest(text=f"cannot read the request: {error}") from error
        member = asked.member if asked.member in self.taken else self._free()
        if member is None:
            raise web.HTTPConflict(text=f"all {len(self._keys)} seats for pages are taken; start with more --tabs")
        self.taken.add(member)
        return web.json_response(self._seat(member), headers={"Cache-Control": "no-store"})

    def _free(self) -> int | None:
        return next((member for member in self._keys if member not in self.taken), None)

    def _seat(self, member: int) -> dict[str, Any]:
        key = self._keys[member].read_text("utf-8")
        return {"member": member, "key": key, "genesis": self._genesis, "nodes": self._nodes}
