"""A petition as a file: a change of membership, who consents, and who endorses it so far.

Operators hand it to each other and each adds signatures, offline, until a quorum has endorsed it; then a running
node puts it before the federation. Endorsements are named by keys, not by seats, so that whatever happens to others
meanwhile leaves them good.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self

import msgspec
from msgspec import Meta

from qorum.core.membership import consent_bytes, endorsement_bytes
from qorum.core.messages import Change, Evict, Join, Leave, Petition, Rekey
from qorum.core.roster import MAX_SEATS
from qorum.errors import UNREADABLE, ConfigError
from qorum.identity import Identity, verify
from qorum.node.records import RosterView

SHOWN = 16
"""Hex digits of a key that people are shown."""

Ask = Literal["join", "leave", "rekey", "evict"]
KeyHex = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
SignatureHex = Annotated[str, Meta(pattern="^[0-9a-f]{128}$")]


class PetitionFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the file holds, and what a node is asked with."""

    federation: KeyHex
    """Hash of the genesis, in hex."""
    ask: Ask
    member: Annotated[int, Meta(ge=0, lt=MAX_SEATS)] | None = None
    """The seat that it is about; None to join."""
    incarnation: Annotated[int, Meta(ge=0, lt=1 << 31)] | None = None
    """Of that seat: to re-key the next one, else the present one. So nothing signed for one key holds for another."""
    key: KeyHex | None = None
    """To join or re-key: the new one."""
    consent: SignatureHex | None = None
    """By the new key, or by that of the member that leaves."""
    endorsements: Annotated[dict[KeyHex, SignatureHex], Meta(max_length=MAX_SEATS)] = {}
    """Key of a member -> its signature."""

    def __post_init__(self) -> None:
        """Raise `ValueError` for fields that do not go together."""
        has = [self.member is not None, self.incarnation is not None, self.key is not None, self.consent is not None]
        if has != _HAS[self.ask]:
            raise ValueError(f"a petition to {self.ask} that lacks a field, or has one too many")

    # --- making and changing it ---

    @classmethod
    def of(cls, federation: bytes, change: Change, consents: Identity | None = None) -> Self:
        """A petition that nobody has endorsed yet. consents: the key that the change concerns; None to evict."""
        return cls(
            federation=federation.hex(),
            ask=_ASKS[type(change)],
            member=None if isinstance(change, Join) else change.member,
            incarnation=None if isinstance(change, Join) else change.incarnation,
            key=change.key.hex() if isinstance(change, Join | Rekey) else None,
            consent=None if consents is None else consents.sign(consent_bytes(federation, change)).hex(),
        )

    def endorsed(self, identities: Iterable[Identity]) -> Self:
        """The same, endorsed by these as well."""
        data = endorsement_bytes(bytes.fromhex(self.federation), self.change)
        more = {identity.public_key.hex(): identity.sign(data).hex() for identity in identities}
        return msgspec.structs.replace(self, endorsements={**self.endorsements, **more})

    # --- what it says ---

    @property
    def change(self) -> Change:
        """What is asked for."""
        member, incarnation, key = self.member or 0, self.incarnation or 0, bytes.fromhex(self.key or "")
        match self.ask:
            case "join":
                return Join(key)
            case "rekey":
                return Rekey(member, incarnation, key)
            case "leave":
                return Leave(member, incarnation)
            case "evict":
                return Evict(member, incarnation)

    @property
    def about(self) -> str:
        """What is asked for, for people."""
        key = (self.key or "")[:SHOWN]
        return {
            "join": f"admit key {key}",
            "rekey": f"give member {self.member} the key {key}",
            "leave": f"let member {self.member} leave",
            "evict": f"evict member {self.member}",
        }[self.ask]

    def endorsers(self, roster: RosterView) -> dict[int, str]:
        """Seat -> signature of those endorsements that count in `roster`, by ascending seat."""
        held = {seat.index: seat.keys[-1] for seat in roster.seats if seat.active}
        return {seat: self.endorsements[key] for seat, key in held.items() if key in self.endorsements}

    def is_endorsed(self, roster: RosterView) -> bool:
        """Whether enough members endorse it; leaving needs nobody."""
        return self.ask == "leave" or len(self.endorsers(roster)) >= roster.quorum

    def is_made(self, roster: RosterView) -> bool:
        """Whether this change is part of `roster`."""
        if self.key is not None:
            return roster.seat_of(self.key) is not None
        return self.member is not None and self.member < len(roster.seats) and not roster.seats[self.member].active

    def petition(self, roster: RosterView) -> Petition:
        """What the federation is asked with: signatures of a quorum, or of as many as there are."""
        endorsers = dict(list(self.endorsers(roster).items())[: roster.quorum]) if self.ask != "leave" else {}
        mask = sum(1 << seat for seat in endorsers).to_bytes(-(-len(roster.seats) // 8), "little")
        signatures = bytes.fromhex("".join(endorsers.values()))
        return Petition(self.change, bytes.fromhex(self.consent or ""), mask if endorsers else b"", signatures)

    # --- checking it ---

    def check_signatures(self) -> None:
        """Raise `ConfigError` if a signature in it is not of its key: then it was changed, or cut short."""
        federation = bytes.fromhex(self.federation)
        data = endorsement_bytes(federation, self.change)
        for key, signature in self.endorsements.items():
            if not verify(bytes.fromhex(key), data, bytes.fromhex(signature)):
                raise ConfigError(f"the endorsement by key {key[:SHOWN]} is not signed by it; get the petition again")
        data, consent = consent_bytes(federation, self.change), bytes.fromhex(self.consent or "")
        if self.key is not None and not verify(bytes.fromhex(self.key), data, consent):
            raise ConfigError(f"key {self.key[:SHOWN]} has not signed its consent; get the petition again")

    def check(self, roster: RosterView) -> None:
        """Raise `ConfigError`, which says what to do, if it can't come true from `roster` on whoever endorses it."""
        if self.federation != roster.federation:
            raise ConfigError(
                f"the petition is for federation {self.federation[:SHOWN]}, and the node belongs to "
                f"{roster.federation[:SHOWN]}: give the configuration of a node of the former"
            )
        if self.member is not None:
            self._check_seat(roster, self.member)
        if self.key is not None:
            self._check_key(roster, self.key)
        if self.ask in ("leave", "evict") and roster.active <= roster.least:
            raise ConfigError(f"{roster.active} members, and rounds need {roster.least}: admit somebody else first")

    def _check_key(self, roster: RosterView, key: str) -> None:
        seat = roster.seat_of(key)
        if seat is not None:
            raise ConfigError(f"key {key[:SHOWN]} is that of member {seat.index} already: there is nothing left to do")
        if roster.knows(key):
            raise ConfigError(f"key {key[:SHOWN]} was a member's before, and no key comes back: make a new one")
        if self.ask == "join" and len(roster.seats) >= MAX_SEATS:
            raise ConfigError(f"all {MAX_SEATS} seats were given away: found a new federation")

    def _check_seat(self, roster: RosterView, member: int) -> None:
        if member >= len(roster.seats):
            raise ConfigError(f"there is no member {member}; the last one is {len(roster.seats) - 1}")
        seat = roster.seats[member]
        if not seat.active:
            raise ConfigError(f"member {member} has no seat any more: there is nothing left to do")
        made = self.ask == "rekey" and seat.keys[-1] == self.key
        if self.incarnation != seat.incarnation + (self.ask == "rekey") and not made:
            raise ConfigError(
                f"the petition is out of date: member {member} has changed its key {seat.incarnation} times by now; "
                "begin a new petition"
            )


_ASKS: dict[type[Change], Ask] = {Join: "join", Leave: "leave", Rekey: "rekey", Evict: "evict"}
_HAS = {
    "join": [False, False, True, True],
    "rekey": [True, True, True, True],
    "leave": [True, True, False, True],
    "evict": [True, True, False, False],
}
"""What each ask comes with: member, incarnation, key, consent."""


def load_petition(path: Path) -> PetitionFile:
    """The petition in a file. Raises `ConfigError` if it cannot be read, or a signature in it does not hold."""
    try:
        file = msgspec.json.decode(path.read_bytes(), type=PetitionFile)
    except OSError as error:
        raise ConfigError(f"cannot read the petition at {path}: {error.strerror}") from error
    except UNREADABLE as error:
        raise ConfigError(f"{path} holds no petition: {error}") from error
    try:
        file.check_signatures()
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    return file


def save_petition(file: PetitionFile, path: Path) -> None:
    """Write it, in place of what was there; all of it or nothing. Raises `ConfigError` if that fails."""
    try:
        handle, scratch = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as out:
                out.write(msgspec.json.format(msgspec.json.encode(file)) + b"\n")
                out.flush()
                os.fsync(out.fileno())
            os.chmod(scratch, 0o644)  # nothing in it is secret, and others are to read it
            os.replace(scratch, path)
        except BaseException:
            os.unlink(scratch)
            raise
    except OSError as error:
        raise ConfigError(f"cannot write the petition to {path}: {error.strerror}") from error
