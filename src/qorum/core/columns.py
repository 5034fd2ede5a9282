"""`Columns`: the payload of a contribution, from evidence to bytes and back.

Cells that the agreed table already has are named by their id in it (ids never change, cells are only appended), others
by state hash and action.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from qorum.core import wire
from qorum.core.messages import Record
from qorum.errors import UNREADABLE, ProtocolError
from qorum.merge.fixed import VALUE_LIMIT, Ints

MASK_BYTES = 512
MAX_RANGES = 8
ROW_BYTES = 40  # generous bound of one unpacked row
MAX_ROWS = 1 << 12


class _Packed(Record, frozen=True):
    rows: Annotated[int, Meta(ge=0, le=MAX_ROWS)]
    known: bytes
    states: bytes
    actions: bytes
    value: bytes
    visits: bytes
    spread: bytes
    affirmed: tuple[tuple[int, int], ...]
    accused: bytes
    staked: bytes = b""


_decoder = msgspec.msgpack.Decoder(_Packed)


@dataclass(frozen=True)
class Columns:
    """Rows of register writes: first those of known cells, then those of new ones."""

    known: Ints
    """int64[a], ids ascending and unique."""
    states: NDArray[np.uint64]
    """uint64[b], with `actions`: the new cells, ascending and unique."""
    actions: NDArray[np.uint8]
    value: Ints
    """int64[a + b], units of 2^-20, |value| <= 2^40."""
    visits: Ints
    """int64[a + b], 0 erases."""
    spread: Ints
    affirmed: tuple[tuple[int, int], ...] = ()
    accused: bytes | None = None
    """Bit mask of the members the author has caught, little endian; None where it has not changed."""
    staked: bytes = b""
    """With `accused`: those against whom the author stakes its own standing, as far as any bit is set."""

    @property
    def says_anything(self) -> bool:
        """Whether it writes, affirms or accuses."""
        return bool(len(self.value) or self.affirmed or self.accused is not None)

    @property
    def is_news(self) -> bool:
        """Whether it writes or accuses; what only affirms, or is empty, opens no round."""
        return len(self.value) > 0 or self.accused is not None

    def take(self, rows: NDArray[np.bool_]) -> Columns:
        """Some of the rows, everything else unchanged."""
        known, new = rows[: len(self.known)], rows[len(self.known) :]
        return Columns(
            self.known[known], self.states[new], self.actions[new],
            self.value[rows], self.visits[rows], self.spread[rows], self.affirmed, self.accused, self.staked,
        )  # fmt: skip

    def pack(self) -> bytes:
        """Compressed bytes for `Contribution.payload`."""
        packed = _Packed(
            rows=len(self.value),
            known=wire.planes(np.diff(self.known, prepend=0)),
            states=wire.planes(self.states),
            actions=self.actions.tobytes(),
            value=wire.planes(wire.zigzag(self.value)),
            visits=wire.planes(self.visits),
            spread=wire.planes(self.spread),
            affirmed=self.affirmed,
            accused=b"" if self.accused is None else b"\x01" + self.accused,
            staked=self.staked,
        )
        return wire.pack(wire.encode(packed))

    @classmethod
    def unpack(cls, payload: bytes, n_actions: int) -> Columns:
        """Columns from the network, every bound checked. Raises `ProtocolError`."""
        if not payload:
            return EMPTY
        try:
            packed = _decoder.decode(wire.unpack(payload, MAX_ROWS * ROW_BYTES))
        except UNREADABLE as error:
            raise ProtocolError(f"payload is not columns: {error}") from error
        rows, new = packed.rows, len(packed.actions)
        _demand(new <= rows, "no more actions than rows")
        columns = cls(
            known=np.cumsum(wire.from_planes(packed.known, rows - new, 4, "known")),
            states=wire.from_planes(packed.states, new, 8, "states").view(np.uint64),
            actions=np.frombuffer(packed.actions, dtype=np.uint8),
            value=wire.from_zigzag(wire.from_planes(packed.value, rows, 8, "value")),
            visits=wire.from_planes(packed.visits, rows, 2, "visits"),
            spread=wire.from_planes(packed.spread, rows, 8, "spread"),
            affirmed=packed.affirmed,
            accused=packed.accused[1:] if packed.accused else None,
            staked=packed.staked,
        )
        columns._check(n_actions)
        return columns

    def _check(self, n_actions: int) -> None:
        _demand(bool((np.diff(self.known) > 0).all()), "known cells ascending and unique")
        _demand(bool((self.actions < n_actions).all()), f"actions below {n_actions}")
        _demand(_ascending(self.states, self.actions), "new cells ascending and unique")
        _demand(
            bool((np.abs(self.value + (self.value == -(1 << 63))) <= VALUE_LIMIT).all()),
            "values within ±2^20",
        )
        _demand(
            bool(((self.spread >= 0) & (self.spread <= 2 * VALUE_LIMIT)).all()), "spreads within 0 .. 2^21"
        )
        in_order = all(0 <= low < high < 2**31 for low, high in self.affirmed)
        _demand(len(self.affirmed) <= MAX_RANGES and in_order, f"at most {MAX_RANGES} rising affirmed ranges")
        _demand(self.accused is None or 0 < len(self.accused) <= MASK_BYTES, "a mask of one bit a member")
        _demand(len(self.staked) <= (MASK_BYTES if self.accused is not None else 0), "stakes with an accusation")


def _ascending(states: NDArray[np.uint64], actions: NDArray[np.uint8]) -> bool:
    same = states[1:] == states[:-1]
    return bool(((states[1:] > states[:-1]) | (same & (actions[1:] > actions[:-1]))).all())


def _demand(holds: bool, what: str) -> None:
    if not holds:
        raise ProtocolError(f"payload breaks the form: expected {what}")


_no = np.zeros(0, dtype=np.int64)
EMPTY = Columns(_no, _no.astype(np.uint64), _no.astype(np.uint8), _no, _no, _no)
