"""`Canvass`: gathers the endorsements of a petition, and puts it before the federation once a quorum has endorsed it.

What it can sign are the keys that some nodes' configurations list; the file is handed on to whoever has others. Who
counts as a quorum is up to the membership as a running node knows it, not to the genesis.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from qorum.errors import QorumError
from qorum.identity import Identity
from qorum.node.attach import Line, line_to
from qorum.node.config import load_config
from qorum.node.petition_file import PetitionFile, save_petition
from qorum.node.records import Filed, RosterView
from qorum.node.status import NodeStatus

POLL_S = 0.2
"""Seconds between two looks at the membership,"""
AGAIN_S = 3.0
"""and after which a node is asked once more: a change of membership by others may have made it forget."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How far a change of membership has come."""

    ask: str
    """What is asked for, in words."""
    made: bool
    """Whether a round has made the change."""
    member: int | None
    """The seat that it is about; None as long as a newcomer has none."""
    endorsements: int
    """Members that endorse it."""
    quorum: int | None
    """Members that have to; None if no node answered, or none have to."""
    petition: str | None
    """Where the petition lies; None once it is spent."""
    round: int | None
    """Newest agreed round."""
    todo: str
    """What to do next; empty once there is nothing left."""


class Canvass:
    """Among the members of the nodes with these configurations."""

    def __init__(self, files: Sequence[Path], tell: Callable[[str], None] = lambda line: None) -> None:
        """tell: called with a line for people while they wait. Raises `ConfigError` for what cannot be read."""
        self.files = list(files)
        self._tell = tell
        self._configs = [load_config(file) for file in files]
        self._lines = list(map(line_to, self._configs))
        self._line: Line | None = None
        """To a node that has answered."""

    @property
    def names(self) -> str:
        """The configurations, for people."""
        return ", ".join(map(str, self.files))

    @property
    def key_paths(self) -> list[Path]:
        """Key files of all their members."""
        return [path for config in self._configs for path in config.members]

    def identities(self) -> list[Identity]:
        """All these keys; those of lost files are left out. Raises `IdentityError`."""
        return [Identity.load(path) for path in self.key_paths if path.exists()]

    def roster(self) -> RosterView:
        """Who the members are, by the first of the nodes that answers. Raises `QorumError` if none does."""
        errors: list[str] = []
        for line in [self._line] if self._line is not None else self._lines:
            try:
                answer = line.ask("roster", RosterView)
            except QorumError as error:
                errors.append(str(error))
            else:
                self._line = line
                return answer
        raise QorumError("; ".join(errors))

    def node_of(self, path: Path) -> tuple[Path, bool]:
        """The configuration that lists a key file, and whether its node is up."""
        at = next(at for at, config in enumerate(self._configs) if path in config.members)
        try:
            self._lines[at].ask("roster", RosterView)
        except QorumError:
            return self.files[at], False
        return self.files[at], True

    # --- gathering ---

    def carry(self, petition: PetitionFile, path: Path, wait_s: float) -> Outcome:
        """Endorse a petition, keep it at `path`, and put it before the federation if that makes a quorum."""
        try:
            roster = self.roster()
        except QorumError as error:
            return self._endorse_unheard(petition, path, error)
        if petition.is_made(roster):
            return _outcome(petition, path, roster)
        petition.check(roster)
        seated = [one for one in self.identities() if roster.seat_of(one.public_key.hex()) is not None]
        petition = petition.endorsed(seated)
        save_petition(petition, path)
        if petition.is_endorsed(roster):
            return self.put_before(petition, roster, path, wait_s)
        todo = f"{len(petition.endorsers(roster))} of {roster.quorum} endorsements; {_hand_on(petition, path)}"
        if not seated:
            todo = f"no key in {self.names} holds a seat, so none endorses it; {todo}"
        return _outcome(petition, path, roster, todo)

    def _endorse_unheard(self, petition: PetitionFile, path: Path, error: QorumError) -> Outcome:
        """No node says who the members are: sign with every key there is, and let another operator find out."""
        petition = petition.endorsed(self.identities())
        save_petition(petition, path)
        todo = f"no node could be asked whether that is a quorum ({error}); {_hand_on(petition, path)}"
        return _outcome(petition, path, None, todo)

    # --- asking the federation ---

    def put_before(self, petition: PetitionFile, roster: RosterView, path: Path | None, wait_s: float) -> Outcome:
        """Ask the federation, through a node that has answered, and wait until a round has made the change.

        roster: the newest one. Raises `QorumError` if the change cannot be made.
        """
        petition.check(roster)
        begun, asked, now = time.monotonic(), None, roster
        while not petition.is_made(now):
            at = time.monotonic()
            if asked is None or at - asked > AGAIN_S:
                self._ask(petition, now)
                asked = at
            if at - begun > wait_s:
                return _outcome(petition, path, now, self._why_not(now, wait_s))
            time.sleep(POLL_S)
            now = self.roster()
        return _outcome(petition, path, now, endorsed_in=roster)

    def _ask(self, petition: PetitionFile, roster: RosterView) -> None:
        assert self._line is not None
        try:
            self._line.ask("petition", Filed, petition)
        except QorumError:
            if not petition.is_made(self.roster()):  # else a round was faster
                raise
        self._tell(f"asked for in round {roster.round}; waiting until a round has made the change")

    def _why_not(self, roster: RosterView, wait_s: float) -> str:
        """What may be in the way of a change that was asked for in vain."""
        assert self._line is not None
        node = self._line.ask("status", NodeStatus)
        room = f", and round {roster.room_from} is the next that may change the membership"
        return (
            f"asked for, and not made within {wait_s:.0f} s: the node is {node.state}, at round {roster.round}"
            f"{room if roster.room_from > roster.round + 1 else ''}; run this again to go on"
        )


def command(petition: PetitionFile, path: Path) -> str:
    """How other operators endorse it."""
    return f"qorum {'admit' if petition.ask == 'join' else petition.ask} {path} THEIR-CONFIG"


def _hand_on(petition: PetitionFile, path: Path) -> str:
    return f"hand {path} to those who run other members: {command(petition, path)}"


def _outcome(
    petition: PetitionFile,
    path: Path | None,
    roster: RosterView | None,
    todo: str = "",
    *,
    endorsed_in: RosterView | None = None,
) -> Outcome:
    """endorsed_in: whose quorum was needed, if `roster` is a later one."""
    voters = endorsed_in or roster
    seat = None if roster is None or petition.key is None else roster.seat_of(petition.key)
    return Outcome(
        ask=petition.about,
        made=roster is not None and petition.is_made(roster),
        member=petition.member if seat is None else seat.index,
        endorsements=len(petition.endorsements if voters is None else petition.endorsers(voters)),
        quorum=None if voters is None or petition.ask == "leave" else voters.quorum,
        petition=None if path is None else str(path),
        round=None if roster is None else roster.round,
        todo=todo,
    )
