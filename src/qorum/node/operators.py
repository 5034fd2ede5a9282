"""`Operators`: what those who run nodes ask for: that somebody joins, leaves, gets a new key, or has to go."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from qorum.core.messages import Change, Evict, Leave, Rekey
from qorum.errors import ConfigError
from qorum.identity import Identity
from qorum.node.canvass import POLL_S, Canvass, Outcome, command
from qorum.node.petition_file import Ask, PetitionFile, load_petition
from qorum.node.records import RosterView, SeatView
from qorum.node.succession import former_keys, next_key, next_path, swap

TAKEN_OVER_S = 10.0
"""Seconds that a node has to go over to a new key, before its operator is told to look after it."""


class Operators:
    """Those of the nodes with these configurations. `wait_s`: how long a round has to make a change."""

    def __init__(self, configs: Sequence[Path], tell: Callable[[str], None] = lambda line: None) -> None:
        """tell: called with a line for people while they wait. Raises `ConfigError` for what cannot be read."""
        self._canvass = Canvass(configs, tell)

    # --- who joins, leaves, or has to go ---

    def admit(self, path: Path, wait_s: float) -> Outcome:
        """Endorse what a newcomer asks for, and see to it once a quorum has."""
        return self._endorse(path, "join", wait_s)

    def evict(self, member: str, wait_s: float) -> Outcome:
        """Endorse that a member, by index, name or the file of a petition that others began, has to go."""
        if (path := Path(member)).is_file():
            return self._endorse(path, "evict", wait_s)
        roster = self._canvass.roster()
        seat = self._seat(member, roster)
        return self._begin(f"evict-{seat.index}.petition", Evict(seat.index, seat.incarnation), roster, None, wait_s)

    def leave(self, name: str, wait_s: float) -> Outcome:
        """Let a member that they host give up its seat."""
        roster = self._canvass.roster()
        identity = Identity.load(self._key_path(name, roster))
        seat = roster.seat_of(identity.public_key.hex())
        if seat is None:
            raise ConfigError(f"member {name} holds no seat that it could give up")
        petition = PetitionFile.of(_federation(roster), Leave(seat.index, seat.incarnation), identity)
        return self._canvass.put_before(petition, roster, None, wait_s)

    def _seat(self, member: str, roster: RosterView) -> SeatView:
        """A member by index, or by the name of a key file that they hold. Raises `ConfigError`."""
        if member.isdecimal():
            return _seat_at(int(member), roster)
        seat = roster.seat_of(Identity.load(self._key_path(member, roster)).public_key.hex())
        if seat is None:
            raise ConfigError(f"member {member} holds no seat: there is nothing to take away")
        return seat

    def _key_path(self, name: str, roster: RosterView | None = None) -> Path:
        """The key file of a member that they host, by its name, or its index in `roster`. Raises `ConfigError`."""
        paths = self._canvass.key_paths
        found = next((path for path in paths if path.stem == name), None)
        if found is None and roster is not None and name.isdecimal():
            key = _seat_at(int(name), roster).keys[-1]
            held = (path for path in paths if path.exists())
            found = next((path for path in held if Identity.load(path).public_key.hex() == key), None)
        if found is None:
            names = ", ".join(path.stem for path in paths)
            raise ConfigError(f"no member {name!r} in {self._canvass.names}; there are: {names}")
        return found

    # --- new keys ---

    def rekey(self, name: str, wait_s: float, *, lost: bool = False, seat: int | None = None) -> Outcome:
        """Give a member a new key, or endorse what the file `name` asks for.

        lost: its key or its store is lost, so its node, which must be down, goes by the new key at once. seat: which
        one it held, if its old key file is lost as well.
        """
        if (path := Path(name)).is_file():
            return self._endorse(path, "rekey", wait_s)
        if lost:
            return self._replace(name, seat)
        roster = self._canvass.roster()
        path = self._key_path(name, roster)
        held, heir = _succession(path, roster, seat)
        change = Rekey(held.index, held.incarnation + 1, heir.public_key)
        outcome = self._begin(f"rekey-{path.stem}.petition", change, roster, heir, wait_s)
        return self._taken_over(outcome, path) if outcome.made else outcome

    def _replace(self, name: str, seat: int | None) -> Outcome:
        """Swap the keys of a member at once; its node must be down, since it may not sign with the old one again."""
        path = self._key_path(name)
        file, is_up = self._canvass.node_of(path)
        if is_up:
            raise ConfigError(f"the node of {file} is up: end it first, for it must not sign with the old key any more")
        if not next_path(path).exists():
            Identity.generate().save(next_path(path))
        swap(path)
        again = f"qorum rekey {path.stem} {file}" + ("" if seat is None else f" --seat {seat}")
        todo = (
            f"move a damaged store away, start the node, which follows under its new key: qorum node {file}; then ask "
            f"for its seat: {again}"
        )
        return Outcome(
            ask=f"give {path.stem} a new key", made=False, member=seat, endorsements=0, quorum=None, petition=None,
            round=None, todo=todo,
        )  # fmt: skip

    def _taken_over(self, outcome: Outcome, path: Path) -> Outcome:
        """Once a member's node has put the new key in the old one's place; it does so as soon as it knows."""
        deadline = time.monotonic() + TAKEN_OVER_S
        while next_path(path).exists():
            file, is_up = self._canvass.node_of(path)
            if not is_up or time.monotonic() > deadline:
                down = f"the node of {file} is down, and takes the new key over when it starts"
                hangs = f"the node of {file} has not taken the new key over; its log says why"
                return msgspec.structs.replace(outcome, todo=hangs if is_up else down)
            time.sleep(POLL_S)
        return outcome

    # --- petitions ---

    def _endorse(self, path: Path, ask: Ask, wait_s: float) -> Outcome:
        """Carry on what others began. Raises `ConfigError` if it asks for something else than the operator thinks."""
        petition = load_petition(path)
        if petition.ask != ask:
            raise ConfigError(f"{path} asks to {petition.about}: if you want that, {command(petition, path)}")
        return self._canvass.carry(petition, path, wait_s)

    def _begin(
        self, file: str, change: Change, roster: RosterView, consents: Identity | None, wait_s: float
    ) -> Outcome:
        """Begin a petition, or go on with it; its file lies beside the first configuration until it is spent."""
        path = self._canvass.files[0].parent / file
        petition = PetitionFile.of(_federation(roster), change, consents)
        if path.exists():
            begun = load_petition(path)
            if (begun.change, begun.federation) == (petition.change, petition.federation):
                petition = begun
        outcome = self._canvass.carry(petition, path, wait_s)
        if outcome.made:
            path.unlink(missing_ok=True)
            outcome = msgspec.structs.replace(outcome, petition=None)
        return outcome


def _succession(path: Path, roster: RosterView, seat: int | None) -> tuple[SeatView, Identity]:
    """A seat, and the key that is to have it: the next one, made now if there is none.

    Where the old key is lost, it is the one in use, and the seat is that of a former key, or `seat`.
    """
    heir, held = next_key(path), roster.seat_of(Identity.load(path).public_key.hex())
    has_it = None if heir is None else roster.seat_of(heir.public_key.hex())
    if heir is not None and has_it is not None:  # only its node does not know yet
        return msgspec.structs.replace(has_it, keys=has_it.keys[:-1]), heir
    if held is not None:
        if heir is None:
            heir = Identity.generate()
            heir.save(next_path(path))
        return held, heir
    former = [roster.seat_of(identity.public_key.hex()) for identity in former_keys(path)]
    found = next(filter(None, former), None) or (None if seat is None else _seat_at(seat, roster))
    if found is None:
        raise ConfigError(f"no key of member {path.stem}, present or former, holds a seat; name it with --seat")
    return found, Identity.load(path)


def _seat_at(index: int, roster: RosterView) -> SeatView:
    if index >= len(roster.seats):
        raise ConfigError(f"there is no member {index}; the last one is {len(roster.seats) - 1}")
    return roster.seats[index]


def _federation(roster: RosterView) -> bytes:
    return bytes.fromhex(roster.federation)
