"""The agreed round: Tendermint's Algorithm 1 (Buchman, Kwon, Milosevic, arXiv 1807.04938) with merge rounds as heights.

Names differ from the paper: its height is our round, its round our term, prevote and precommit are first and second
vote, lockedValue and validValue are lock and best. Each rule cites the paper's line. `Consensus` decides on hashes;
whether a value is valid, and what a fresh one is, it asks its `Judge`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Sequence
from enum import Enum, IntEnum
from typing import Protocol

import msgspec

from qorum.core import wire
from qorum.core.effects import Effect, Persist, SetTimer, Sign, Timer
from qorum.core.genesis import Genesis
from qorum.core.messages import NIL, NO_TERM, Contribution, Kind, Proposal, Votes, bits
from qorum.core.roster import Roster
from qorum.core.state import contribution_bytes
from qorum.core.verify import Verify
from qorum.core.votes import FIRST, SECOND, TERMS_AHEAD, Counted, Tally
from qorum.errors import StoreError

VALUES_KEPT = 64
GATHER_SHARE = 1 / 3
"""Of the time that others wait for a proposal, how much its leader may spend on waiting for a cited certificate."""


class Verdict(Enum):
    """What a judge says of a value."""

    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN = "payload not yet held"


class Judge(Protocol):
    """The application side of consensus."""

    def fresh_value(self) -> bytes | None:
        """A new value for the current round, or None while fewer than a quorum have advanced."""

    def judge(self, value: bytes) -> Verdict:
        """Whether a value may be voted for in the current round."""

    def sketch(self, value: bytes) -> bytes:
        """A few bytes from which others rebuild the cut of a value."""

    def takes_part(self, member: int) -> bool:
        """Whether a member has been heard of in the current round."""

    def want(self, value_hash: bytes) -> None:
        """Fetch the body of a value that was voted for."""

    def compare_with(self, members: Sequence[int]) -> None:
        """Ask these members, of whom some may lie, for a newer first certificate than the best one."""

    def decide(self, value: bytes, certificate: Votes) -> None:
        """The current round is over."""


class Step(IntEnum):
    """How far this member is in its term; never goes back within one."""

    PROPOSE = 0
    FIRST_VOTE = 1
    SECOND_VOTE = 2


class Role(Enum):
    """The founding record's states of a member."""

    FOLLOWER = "follower"
    CANDIDATE = "candidate"
    LEADER = "leader"


class Lock(msgspec.Struct, frozen=True, array_like=True):
    """The value a member is bound to, and the term that bound it."""

    value: bytes
    term: int


class Signed(msgspec.Struct, frozen=True, array_like=True):
    """The last message signed of a kind: after a restart the same bytes are sent again, never others."""

    kind: int
    round: int
    term: int
    body: bytes


class Durable(msgspec.Struct, array_like=True):
    """What must survive a crash before anything it implies is sent."""

    round: int
    term: int
    step: int
    lock: Lock | None = None
    best: Votes | None = None
    """Newest first certificate of this round."""
    best_value: bytes = b""
    """Body of the value that `best` certifies, once held."""
    signed: dict[int, Signed] = {}
    """The last proposal and the last vote of each step."""
    own: tuple[Signed, ...] = ()
    """This member's contributions that no round has taken, oldest first: were one lost, its stream could not go on."""


_durable = msgspec.msgpack.Decoder(Durable)


class Consensus:
    """One member's part in agreeing on rounds. Call a method per event; `take_effects` afterwards."""

    def __init__(
        self,
        genesis: Genesis,
        me: int | None,
        judge: Judge,
        record: bytes | None = None,
        round: int = 1,
        roster: Roster | None = None,
        leaders: Sequence[int] | None = None,
    ) -> None:
        """me: None for an observer, that signs nothing. record: the last one persisted. round: the one after the newest
        agreed state, decided by `roster` (the founding members unless given), whose terms `leaders` lead in turn.
        """
        self._federation = genesis.federation
        self._config = genesis.config
        self._roster = roster or genesis.roster
        self._me = me
        self._judge = judge
        self._effects: list[Effect] = []
        self._dirty = False
        """Whether the durable record changed since it was last persisted."""
        self._leaders = leaders or self._roster.order(round)
        self.durable = _durable.decode(record) if record else Durable(round=round, term=0, step=Step.PROPOSE)
        if self.durable.round > round:
            raise StoreError(
                f"the record is of round {self.durable.round}, the state of {round - 1}: a newer state was lost"
            )
        if self.durable.round < round:  # the crash came after the state was kept and before the record was
            self.durable = self._at_start_of(round, self.durable.own)
        self._reset_round()

    def _at_start_of(self, round: int, own: tuple[Signed, ...]) -> Durable:
        return Durable(round=round, term=0, step=Step.PROPOSE, signed=self.durable.signed, own=own)

    def _reset_round(self) -> None:
        self.tally = Tally(self.round, self._roster.members, self._roster.quorum.size)
        self.proposals: dict[int, Proposal] = {}
        self.values: dict[bytes, bytes] = {}
        """Bodies by hash: those of proposals, and those fetched because a quorum voted for them."""
        self.decided = False
        self.window_closed = False
        """Whether this member waits no more for contributions to the round."""
        self.opening = 0
        """Term whose leader needs nobody's second votes of the one before."""
        self._timed: set[tuple[Timer, int]] = set()
        self._gathered = NO_TERM

    # --- where this member is ---

    @property
    def round(self) -> int:
        """k: the round being agreed on."""
        return self.durable.round

    @property
    def term(self) -> int:
        """t: the attempt inside the round; never goes back."""
        return self.durable.term

    @property
    def role(self) -> Role:
        """This member's part in the current term."""
        if not self._leads():
            return Role.FOLLOWER
        return Role.LEADER if self._elected() and not self._gathers() else Role.CANDIDATE

    def leader(self, term: int) -> int:
        """The member scheduled for a term of this round."""
        return self._leaders[term % len(self._leaders)]

    @property
    def best_term(self) -> int:
        """Term of the newest first certificate of this round; NO_TERM before the first."""
        return self.durable.best.term if self.durable.best else NO_TERM

    def body(self, value_hash: bytes) -> bytes | None:
        """An encoded value of this round, if it is held."""
        value, best = self.values.get(value_hash), self.durable.best
        if value is None and best is not None and best.value == value_hash:
            return self.durable.best_value or None
        return value

    # --- events ---

    def resume(self) -> None:
        """Take up where the durable record stands: the same timers, the same signed bytes."""
        for signed in (*self.durable.own, *self.durable.signed.values()) if self._me is not None else ():
            if signed.kind == Kind.CONTRIBUTION or signed.round == self.round:
                self._ask_signature(signed)
        if self.durable.best is not None:
            self.tally.add(self.durable.best, self.term)
        if self.term > 0:
            self._start_timer(Timer.PROPOSE)
        self.advance()

    def close_window(self) -> None:
        """The collection window of this round has closed in this member's own view."""
        if not self.window_closed:
            self.window_closed = True
            if self.term == 0 and self.durable.step == Step.PROPOSE and self._me is not None:
                self._open()
            self.advance()

    def on_proposal(self, proposal: Proposal) -> bool:
        """A verified proposal of this round by its term's leader. Returns whether it is news."""
        if proposal.term in self.proposals or not self.term - 1 <= proposal.term <= self.term + TERMS_AHEAD:
            return False
        self.proposals[proposal.term] = proposal
        self.on_value(proposal.value)
        self.tally.note(1 << self.leader(proposal.term), proposal.term)
        if proposal.cited is not None:
            self.tally.add(proposal.cited, self.term)
        self.advance()
        return True

    def on_value(self, value: bytes) -> None:
        """The body of a value, proposed or asked for."""
        self.values[_hash(value)] = value
        if len(self.values) > VALUES_KEPT:
            del self.values[next(iter(self.values))]  # the oldest; asked for again if it is needed after all

    def on_votes(self, votes: Votes) -> Counted:
        """Verified votes of this round."""
        counted = self.tally.add(votes, self.term)
        if counted.turning:
            self.advance()
        return counted

    def on_timer(self, timer: SetTimer) -> None:
        """A timer fired; it counts only if what it waited for is still outstanding."""
        if self.decided or self._me is None or (timer.round, timer.term) != (self.round, self.term):
            return
        step = self.durable.step
        if timer.name is Timer.PROPOSE and step == Step.PROPOSE:
            self._vote(FIRST, NIL)  # l. 57
        elif timer.name is Timer.FIRST and step == Step.FIRST_VOTE:
            self._vote_second_nil()  # l. 61
        elif timer.name is Timer.SECOND:
            self._enter(self.term + 1)  # l. 65
        elif timer.name is Timer.GATHER:
            self._gathered = self.term
        self.advance()

    def contribute(self, base: int, body: bytes, *, restates: bool, needed: Container[bytes] = ()) -> None:
        """Have the next item of this member's stream signed.

        restates: it links past the uncommitted ones, of which only those stay that a value of this round cites, their
        hashes being in `needed`: that value may be certified, and where all crash, its author alone still has the item.
        """
        signed = Signed(Kind.CONTRIBUTION, base, 0, body)
        kept = (own for own in self.durable.own if not restates or _hash(own.body) in needed)
        self.durable.own = (*kept, signed)
        self._persist()
        self._ask_signature(signed)

    def enter_round(
        self, round: int, own: tuple[Signed, ...], roster: Roster, leaders: Sequence[int], me: int | None
    ) -> None:
        """The round before is applied: start `round` at term 0, free of lock and best (l. 49-54).

        own: this member's contributions that are still to be committed. roster: who decides the round; leaders: who
        leads its terms, in turn; me: this member's seat, None if it has none.
        """
        self._roster, self._leaders, self._me = roster, leaders, me
        self.durable = self._at_start_of(round, own)
        self._persist()
        self._reset_round()

    # --- rules; each returns whether it changed anything ---

    def advance(self) -> None:
        """Apply the rules until none fires. A federation that is too small agrees on nothing; an observer votes not."""
        while self._roster.agrees and not self.decided and any(rule() for rule in self._rules()):
            pass  # a rule may end the round, and with it this member's part in the next one

    def _rules(self) -> tuple[Callable[[], bool], ...]:
        if self._me is None:
            return self._decide, self._note_best
        return (
            self._decide, self._note_best, self._skip, self._propose,
            self._vote_on_proposal, self._lock_and_vote, self._vote_nil, self._leave, self._start_vote_timers,
        )  # fmt: skip

    def _decide(self) -> bool:
        """l. 49: a quorum of second votes for one value, in any term of the round."""
        certificate = self.tally.decided()
        if certificate is None:
            return False
        value = self._body_of(certificate.value)
        if value is not None:
            self.decided = True
            self._judge.decide(value, certificate)
        return value is not None

    def _note_best(self) -> bool:
        """l. 42: any first certificate newer than the best one, at any step."""
        certificate = self.tally.newest_first(self.best_term)
        if certificate is not None:
            self.durable.best, self.durable.best_value = certificate, b""
        best = self.durable.best
        body = self._body_of(best.value) if best and not self.durable.best_value else None
        if body is not None:
            self.durable.best_value = body
        if certificate is None and body is None:
            return False
        self._persist()
        return True

    def _skip(self) -> bool:
        """l. 55: f + 1 members are in a later term, so an honest one is. Liars alone cannot move terms."""
        furthest = self.tally.terms_above(self._roster.quorum.tolerated + 1)
        if furthest <= self.term:
            return False
        self._enter(furthest)
        return True

    def _propose(self) -> bool:
        """l. 14-19: once per term, the best certified value if there is one, else a fresh one."""
        last = self.durable.signed.get(Kind.PROPOSAL)
        done = last is not None and (last.round, last.term) == (self.round, self.term)
        if done or self.durable.step != Step.PROPOSE or not self._leads() or not self._elected():
            return False
        if self._gathers():
            if self._start_timer(Timer.GATHER):
                self._judge.compare_with(self.tally.citers(self.term - 1, self.best_term))
            return False
        best = self.durable.best
        value = self._body_of(best.value) if best else self._judge.fresh_value()
        if value is None:
            return False
        proposal = Proposal(self.round, self.term, value, self._judge.sketch(value), best, bytes(64))
        self._sign(Kind.PROPOSAL, wire.encode(proposal))
        return True

    def _leads(self) -> bool:
        return self.leader(self.term) == self._me

    def _elected(self) -> bool:
        """In the first term of a round the window has closed; later a quorum is done with the term before."""
        opens = self.term == self.opening
        return self.window_closed if opens else self.tally.is_done(self.term - 1, SECOND)

    def _gathers(self) -> bool:
        """Whether the highest certificate that the election votes cite is still awaited."""
        return self.tally.cited(self.term - 1) > self.best_term and self._gathered != self.term

    def _vote_on_proposal(self) -> bool:
        """l. 22 and 28: the first vote of the term."""
        proposal = self.proposals.get(self.term)
        if proposal is None or self.durable.step != Step.PROPOSE:
            return False
        verdict = self._judge.judge(proposal.value)
        if verdict is Verdict.UNKNOWN:
            return False
        value = _hash(proposal.value)
        self._vote(
            FIRST, value if verdict is Verdict.VALID and self._lock_allows(value, proposal.cited) else NIL
        )
        return True

    def _lock_allows(self, value: bytes, cited: Votes | None) -> bool:
        lock = self.durable.lock
        if lock is None or lock.value == value:
            return True
        return cited is not None and cited.value == value and lock.term <= cited.term < self.term

    def _lock_and_vote(self) -> bool:
        """l. 36: a quorum of first votes of the current term locks, and is voted for.

        A member that has not cast its own first vote yet may skip it: the quorum stands without it.
        """
        if self.durable.step == Step.SECOND_VOTE:
            return False
        certificate = self.tally.certificate(self.term, FIRST)
        if certificate is None:
            return False
        self.durable.lock = Lock(certificate.value, self.term)
        self._vote(SECOND, certificate.value)
        return True

    def _vote_nil(self) -> bool:
        """l. 44: a quorum of first votes for nil."""
        if self.durable.step != Step.FIRST_VOTE or not self.tally.nil_quorum(self.term, FIRST):
            return False
        self._vote_second_nil()
        return True

    def _start_vote_timers(self) -> bool:
        """l. 34 and 47: a quorum voted, but not for one thing; wait a little for the rest."""
        if self.durable.step == Step.FIRST_VOTE and self.tally.is_done(self.term, FIRST):
            self._start_timer(Timer.FIRST)
        if self.tally.is_done(self.term, SECOND):
            self._start_timer(Timer.SECOND)
        return False

    def _leave(self) -> bool:
        """A quorum of second votes for nil: no value can have one in this term, so nobody waits for the rest."""
        if not self.tally.nil_quorum(self.term, SECOND):
            return False
        self._enter(self.term + 1)
        return True

    # --- what rules do ---

    def _open(self) -> None:
        """Begin with the first term whose leader takes part in the round; for those before it nobody has to wait.

        How a term is entered is of no matter to safety. Where members differ, those behind count those ahead as done
        with the terms between, and follow by their timers.
        """
        present = (term for term in range(TERMS_AHEAD) if self._judge.takes_part(self.leader(term)))
        self.opening = next(present, 0)
        if self.opening > 0:
            self._enter(self.opening)
        else:
            self._start_timer(Timer.PROPOSE)

    def _enter(self, term: int) -> None:
        """l. 11: start a term; the lock stays."""
        self.durable.term = term
        self.durable.step = Step.PROPOSE
        self._persist()
        self.proposals = {t: p for t, p in self.proposals.items() if t >= term - 1}
        self._start_timer(Timer.PROPOSE)

    def _vote_second_nil(self) -> None:
        self._vote(SECOND, NIL, self.best_term)

    def _vote(self, step: int, value: bytes, cited: int = NO_TERM) -> None:
        self.durable.step = Step.FIRST_VOTE if step == FIRST else Step.SECOND_VOTE
        assert self._me is not None
        voter = (1 << self._me).to_bytes(-(-self._roster.members // 8), "little")
        unsigned = Votes(step, self.round, self.term, value, cited, voter, bytes(64))
        self._sign(Kind.FIRST_VOTE if step == FIRST else Kind.SECOND_VOTE, wire.encode(unsigned))

    def _sign(self, kind: Kind, body: bytes) -> None:
        """Record first what is to be signed, then ask for the signature: no crash can make this member sign two."""
        signed = Signed(kind, self.round, self.term, body)
        self.durable.signed = {**self.durable.signed, kind: signed}
        self._persist()
        self._ask_signature(signed)

    def _ask_signature(self, signed: Signed) -> None:
        data = signed_data(self._federation, self._roster.epoch, signed)
        self._effects.append(Sign(Kind(signed.kind), signed.round, signed.term, signed.body, data))

    def _persist(self) -> None:
        self._dirty = True

    def take_effects(self) -> list[Effect]:
        """What is to be done since the last call: one record that covers everything, then what it implies."""
        if not (self._dirty or self._effects):
            return []
        record: list[Effect] = [Persist(wire.encode(self.durable))] if self._dirty else []
        effects, self._effects, self._dirty = record + self._effects, [], False
        return effects

    def _start_timer(self, name: Timer) -> bool:
        """Once per term. Delays grow with the term, so that some term is longer than the network is slow."""
        if (name, self.term) in self._timed:
            return False
        self._timed.add((name, self.term))
        waits_for_leader = name in (Timer.PROPOSE, Timer.GATHER)
        base = self._config.propose_timeout_ms if waits_for_leader else self._config.vote_timeout_ms
        grown = min(base + self.term * self._config.timeout_step_ms, self._config.timeout_cap_ms)
        share = GATHER_SHARE if name is Timer.GATHER else 1
        self._effects.append(SetTimer(name, grown * share / 1000, self.round, self.term))
        return True

    def _body_of(self, value_hash: bytes) -> bytes | None:
        value = self.body(value_hash)
        if value is None:
            self._judge.want(value_hash)
        return value


def signed_data(federation: bytes, epoch: int, signed: Signed) -> bytes:
    """What a signature over a recorded message covers."""
    if signed.kind == Kind.CONTRIBUTION:
        return contribution_bytes(federation, wire.decode_body(Contribution, signed.body), _hash(signed.body))
    message = wire.decode(signed.body)
    if isinstance(message, Votes):
        return vote_bytes(federation, epoch, message)
    assert isinstance(message, Proposal)
    return proposal_bytes(federation, epoch, message)


def vote_bytes(federation: bytes, epoch: int, votes: Votes) -> bytes:
    """What each voter of `votes` signed."""
    kind = Kind.FIRST_VOTE if votes.step == FIRST else Kind.SECOND_VOTE
    body = _hash(votes.value + votes.cited.to_bytes(8, "big", signed=True))
    return wire.signed_bytes(kind, federation, epoch, votes.round, votes.term, body)


def forged(votes: Votes, voters: int, roster: Roster, verify: Verify) -> int | None:
    """The first of `voters`, a mask, that did not sign its vote in this message; None if they all did."""
    data, by_voter = vote_bytes(roster.federation, roster.epoch, votes), votes.by_voter
    return next((voter for voter in bits(voters) if not verify(roster.key(voter), data, by_voter[voter])), None)


def proposal_bytes(federation: bytes, epoch: int, proposal: Proposal) -> bytes:
    """What the leader signed. The certificate it cites proves itself, the sketch is only a help."""
    cited = proposal.cited.term if proposal.cited else NO_TERM
    body = _hash(_hash(proposal.value) + cited.to_bytes(8, "big", signed=True))
    return wire.signed_bytes(Kind.PROPOSAL, federation, epoch, proposal.round, proposal.term, body)


def _hash(value: bytes) -> bytes:
    return hashlib.sha256(value).digest()
