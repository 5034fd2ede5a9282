"""`Values`: what a value of the current round stands for: its cut, the items it takes, the state it leads to.

A value names its cut by hash. Whoever holds the same items rebuilds the cut from a sketch of a few bytes; only where
that gives another hash, because an author signed two branches, the cut itself is fetched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from qorum.core import membership, wire
from qorum.core.effects import Keep
from qorum.core.genesis import Genesis
from qorum.core.messages import Advance, Change, Cut, Petition, Value
from qorum.core.roster import Roster
from qorum.core.state import Entry, State
from qorum.core.streams import Broken, Missing, Streams
from qorum.core.verify import Verify
from qorum.errors import ProtocolError

T = TypeVar("T")

KEPT = 64
"""Cuts, sketches and outcomes kept of one round: of the liars' proposals the oldest are forgotten."""
PATIENCE = 4
"""Ticks after which a sketch that led nowhere is given up, and the cut is fetched."""

Apply = Callable[[State, list[Entry], Change | None], State]


class Outcome(NamedTuple):
    """What a valid value leads to."""

    value: Value
    cut: tuple[Advance, ...]
    entries: list[Entry]
    state: State


class Values:
    """Values of one round at a time. Reads the streams, changes nothing in them."""

    def __init__(self, genesis: Genesis, streams: Streams, verify: Verify, apply: Apply) -> None:
        self._genesis = genesis
        self._streams = streams
        self._verify = verify
        self._apply = apply

    def enter(self, state: State, previous: bytes) -> None:
        """Begin the round after `state`; previous: hash of the value that led to it."""
        self._state, self._previous = state, previous
        self._cuts: dict[bytes, Cut] = {}
        self._sketches: dict[bytes, tuple[bytes, int]] = {}
        """Hash of a cut -> its sketch, and the ticks it is given."""
        self._outcomes: dict[bytes, Outcome | Broken] = {}
        self._handed_out: set[bytes] = set()
        """Hashes of values whose payload was."""

    @property
    def round(self) -> int:
        """The one that is being agreed on."""
        return self._state.round + 1

    # --- what is heard of a value ---

    def note_sketch(self, value: bytes, sketch: bytes) -> None:
        """A sketch came along with a value."""
        try:
            cut = wire.decode_body(Value, value).cut
        except ProtocolError:
            return  # judged broken when it is opened
        if sketch and cut not in self._sketches:
            _keep(self._sketches, cut, (sketch, PATIENCE))

    def on_cut(self, cut: bytes) -> None:
        """The body of a cut that was asked for. Raises `ProtocolError` if it is none."""
        _keep(self._cuts, _hash(cut), wire.decode_body(Cut, cut))

    def tick(self) -> None:
        """A tick has passed: sketches that led nowhere by now are misleading."""
        self._sketches = {cut: (sketch, max(0, left - 1)) for cut, (sketch, left) in self._sketches.items()}

    def cut_body(self, hash: bytes) -> bytes | None:
        """An encoded cut of this round, if it is known."""
        cut = self._cuts.get(hash)
        return None if cut is None else wire.encode(cut)

    # --- values ---

    def fresh(self, petition: Petition | None) -> bytes | None:
        """A new value: the furthest cut that can be proposed, once a quorum has advanced."""
        cut = Cut(self._streams.cut(self.round))
        if len(cut.advances) < self._state.roster.quorum.size:
            return None
        entries = self._streams.collect(cut.advances, self.round)
        change = None if petition is None else petition.change
        state = self._apply(self._state, entries, change)
        hash = _hash(wire.encode(cut))
        value = Value(
            self.round, self._previous, self._state.roster.epoch, hash, state.hash, state.roster.hash, petition
        )
        _keep(self._cuts, hash, cut)
        encoded = wire.encode(value)
        _keep(self._outcomes, _hash(encoded), Outcome(value, cut.advances, entries, state))
        return encoded

    def sketch(self, value: bytes) -> bytes:
        """What lets others rebuild the cut of a value; empty if it is not known here."""
        cut = self._cuts.get(wire.decode_body(Value, value).cut)
        if cut is None:
            return b""
        return self._streams.sketch((advance.member, advance.head.seq) for advance in cut.advances)

    def open(self, encoded: bytes) -> Outcome:
        """What a value leads to. Raises `Missing` while items or the cut are, `Broken` if it is not valid."""
        hash = _hash(encoded)
        if hash not in self._outcomes:
            try:
                _keep(self._outcomes, hash, self._open(wire.decode_body(Value, encoded)))
            except ProtocolError as error:
                _keep(self._outcomes, hash, Broken(str(error)))
            except Broken as broken:
                _keep(self._outcomes, hash, broken)
        outcome = self._outcomes[hash]
        if isinstance(outcome, Broken):
            raise outcome
        return outcome

    def payload(self, encoded: bytes) -> list[Keep]:
        """What must be durable before a vote for this value, which was opened; handed out once in a round."""
        if _hash(encoded) in self._handed_out:
            return []
        self._handed_out.add(_hash(encoded))
        outcome = self.open(encoded)
        return [Keep(wire.encode(Cut(outcome.cut)), tuple(entry.item for entry in outcome.entries))]

    def _open(self, value: Value) -> Outcome:
        roster = self._state.roster
        if (value.round, value.previous, value.epoch) != (self.round, self._previous, roster.epoch):
            raise Broken("value of another round, history or epoch")
        self._check_change(value.change, roster)
        cut = self._cut_of(value)
        if len(cut.advances) < roster.quorum.size:
            raise Broken(f"cut of {len(cut.advances)} origins; {roster.quorum.size} are needed")
        entries = self._streams.collect(cut.advances, value.round)
        state = self._apply(self._state, entries, None if value.change is None else value.change.change)
        if (state.hash, state.roster.hash) != (value.result, value.roster):
            raise Broken("its cut does not lead to its state")
        return Outcome(value, cut.advances, entries, state)

    def _check_change(self, petition: Petition | None, roster: Roster) -> None:
        if petition is not None:
            if not roster.has_room(self.round):
                raise Broken("changes the membership too soon after other changes")
            membership.check(petition, roster, self._verify)

    def _cut_of(self, value: Value) -> Cut:
        known = self._cuts.get(value.cut)
        if known is not None:
            return known
        sketch, left = self._sketches.get(value.cut, (b"", 0))
        try:
            cut = self._streams.rebuild(sketch) if left else None
        except ProtocolError:
            cut = None
        if cut is None or _hash(wire.encode(cut)) != value.cut:
            raise Missing([value.cut])
        _keep(self._cuts, value.cut, cut)
        return cut


def _keep(kept: dict[bytes, T], key: bytes, value: T) -> None:
    kept[key] = value
    if len(kept) > KEPT:
        del kept[next(iter(kept))]


def _hash(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
