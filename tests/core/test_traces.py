"""Executions of the executable Tendermint specification, replayed on the core: it must say and keep the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest

from qorum.core import wire
from qorum.core.consensus import Consensus, Role, Step, Verdict
from qorum.core.effects import Effect, Persist, SetTimer, Sign, Timer
from qorum.core.messages import NIL, NO_TERM, Proposal, Votes
from qorum.core.quorum import Quorum
from qorum.core.votes import FIRST, SECOND, Tally
from tests.core.harness import genesis_of, proposal_of, sha, votes_of

# Where the core differs on purpose; in all else it is asserted equal.
# - Names: the specification's height is our round, its round our term, prevote and precommit (a polka is a quorum of
#   prevotes) are first and second vote, validValue and validRound are the value and term of best.
# - Its NoStep and UnstartedStep stand between two rounds, left by a NewRound input. A member goes from term to term in
#   one event, and from the start is in term 0, where it waits for its window to close: that is NewRound 0.
# - Its proposer asks for a value as an output and gets it as an input; a member asks its judge, until that has one.
# - Its inputs say that a quorum voted; a member hears votes one by one, and must stay silent until the last of them.
# - CommitStep: a decision is no step of the durable record, it goes to the judge.
# - Our second vote for nil also cites the term of best: none in these traces.
# - Its vote keeper weighs voters; our members have a vote each, so a voter is as many members as it weighs. Its outputs
#   are our certificates, new when the tally says that votes were turning; "any" has no certificate.

TRACES = Path(__file__).parents[1] / "traces"


class Fields(dict[Any, Any]):
    """A record or a map, which may be in a set."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))


def read(node: Any) -> Any:
    """A value of the Informal Trace Format; that of a sum type becomes (tag, value)."""
    match node:
        case {"#bigint": digits}:
            return int(digits)
        case {"#tup": items}:
            return tuple(read(item) for item in items)
        case {"#set": items}:
            return frozenset(read(item) for item in items)
        case {"#map": pairs}:
            return Fields((read(key), read(value)) for key, value in pairs)
        case {"tag": tag, "value": value}:
            return tag, read(value)
        case dict():
            return Fields((name, read(value)) for name, value in node.items() if name != "#meta")
        case list():
            return [read(item) for item in node]
        case _:
            return node


def states(name: str) -> Any:
    """The states of a trace."""
    return read(json.loads((TRACES / f"{name}.itf.json").read_text(encoding="utf-8"))["states"])


def test_an_itf_value_is_read_with_all_that_is_in_it() -> None:
    vote = {"by": "v1", "value": {"tag": "Nil", "value": {"#tup": []}}}
    pair = [{"#tup": ["a", True]}, {"#set": [vote, vote]}]
    state = {"#meta": {"index": 0}, "n": {"#bigint": "-12"}, "m": {"#map": [pair]}}
    assert read([state]) == [{"n": -12, "m": {("a", True): {Fields(by="v1", value=("Nil", ()))}}}]


# --- the consensus state machine ---

GENESIS = genesis_of(4)  # f = 1, q = 3: the three others are just a quorum
STEPS: dict[int, str] = {Step.PROPOSE: "Propose", Step.FIRST_VOTE: "Prevote", Step.SECOND_VOTE: "Precommit"}
TIMERS = {Timer.PROPOSE: "Propose", Timer.FIRST: "Prevote", Timer.SECOND: "Precommit"}
FIRING = {f"Timeout{name}CInput": timer for timer, name in TIMERS.items()}
VOTES = {FIRST: ("Prevote", ()), SECOND: ("Precommit", ())}
INVALID = "invalid"


class Judge:
    """An application that has a value when the trace gives it one."""

    def __init__(self) -> None:
        self.fresh: bytes | None = None
        self.asked = False
        self.decided: list[tuple[bytes, Votes]] = []

    def compare_with(self, members: Sequence[int]) -> None:
        """A trace says what is heard."""

    def takes_part(self, member: int) -> bool:
        return True

    def fresh_value(self) -> bytes | None:
        self.asked = True
        return self.fresh

    def judge(self, value: bytes) -> Verdict:
        return Verdict.INVALID if value == INVALID.encode() else Verdict.VALID

    def sketch(self, value: bytes) -> bytes:
        return b""

    def want(self, value_hash: bytes) -> None:
        raise AssertionError("no trace votes for a value before it is proposed")

    def decide(self, value: bytes, certificate: Votes) -> None:
        self.decided.append((value, certificate))


class Machine:
    """A member driven by the specification's inputs, which answers in the specification's outputs and states."""

    def __init__(self, name: str, height: int, role: Role) -> None:
        """role: its part in term 0."""
        self.name, self.judge = name, Judge()
        members = {me: Consensus(GENESIS, me, self.judge, round=height) for me in range(GENESIS.members)}
        self.me, self.consensus = next((me, member) for me, member in members.items() if member.role is role)
        self.term = self.consensus.term
        self.record: bytes | None = None
        self.timers: dict[tuple[Timer, int, int], SetTimer] = {}
        self.names: dict[bytes, tuple[str, Any]] = {NIL: ("Nil", ())}
        self.outputs: list[tuple[str, Any]] = []

    def take(self, event: tuple[str, Any]) -> None:
        """An input of the specification, as what a member of the fleet then hears."""
        match event:
            case ("NoConsensusInput", ()):
                pass
            case ("NewRoundCInput" | "NewRoundProposerCInput" as tag, term):
                if term == 0:
                    self.consensus.close_window()
                role = Role.FOLLOWER if tag == "NewRoundCInput" else Role.LEADER
                assert (self.consensus.term, self.consensus.role) == (term, role)
            case ("ProposeValueCInput", value):
                self.judge.fresh = value.encode()
                self.consensus.advance()
            case ("ProposalCInput", (term, ("Val", value))):
                self.propose(value, term)
            case ("ProposalInvalidCInput", ()):
                self.propose(INVALID, self.consensus.term)
            case ("PolkaAnyCInput", ()):
                self.vote(FIRST, [sha(b"another"), NIL, NIL])
            case ("PolkaNilCInput", ()):
                self.vote(FIRST, 3 * [NIL])
            case ("ProposalAndPolkaAndValidCInput", ("Val", value)):
                self.vote(FIRST, 3 * [sha(value.encode())])
            case ("PrecommitAnyCInput", ()):
                self.vote(SECOND, [sha(b"another"), NIL, NIL])
            case ("ProposalAndCommitAndValidCInput", (term, value)):
                self.vote(SECOND, 3 * [sha(value.encode())], term)
            case (tag, (height, term)) if tag in FIRING:
                self.consensus.on_timer(self.timers[FIRING[tag], height, term])
            case _:
                raise NotImplementedError(event)
        self.settle()

    def propose(self, value: str, term: int) -> None:
        """The leader of `term`, perhaps this member itself, proposes."""
        self.names[sha(value.encode())] = ("Val", value)
        self.consensus.on_proposal(proposal_of(GENESIS, value.encode(), round=self.consensus.round, term=term))

    def vote(self, step: int, values: Sequence[bytes], term: int | None = None) -> None:
        """All others vote, one after the other; its own vote, still being signed, does not count yet."""
        at = {"round": self.consensus.round, "term": self.consensus.term if term is None else term}
        others = [member for member in range(GENESIS.members) if member != self.me]
        for voter, value in zip(others, values, strict=True):
            self.settle()
            assert self.outputs == [], "fewer than a quorum"
            self.consensus.on_votes(votes_of(GENESIS, [voter], step, value, **at))

    def settle(self) -> None:
        """Note what the core did since the last time."""
        if self.term != self.consensus.term:
            self.term = self.consensus.term
            self.outputs.append(("SkipRoundOutput", self.term))
        for effect in self.consensus.take_effects():
            self.note(effect)
        self.outputs += [("DecidedOutput", (votes.term, value.decode())) for value, votes in self.judge.decided]
        self.judge.decided, self.judge.asked = [], False

    def note(self, effect: Effect) -> None:
        match effect:
            case Persist():
                self.record = effect.record
            case Sign():
                self.outputs.append(self.message(wire.decode(effect.body)))
            case SetTimer():
                self.timers[effect.name, effect.round, effect.term] = effect
                timeout = (f"{TIMERS[effect.name]}Timeout", ())
                asks = self.judge.asked and effect.name is Timer.PROPOSE
                get_value = ("GetValueAndScheduleTimeoutOutput", (effect.round, effect.term, timeout))
                self.outputs.append(get_value if asks else ("TimeoutOutput", (effect.term, timeout)))
            case _:
                raise NotImplementedError(effect)

    def message(self, message: object) -> tuple[str, Fields]:
        """What the member asks to sign."""
        assert isinstance(message, Proposal | Votes)
        said = Fields(height=message.round, round=message.term, srcAddress=self.name)
        if isinstance(message, Proposal):
            cited = message.cited.term if message.cited else NO_TERM
            return "ProposalOutput", Fields(said, proposal=message.value.decode(), validRound=cited)
        assert (message.mask, message.cited) == (1 << self.me, NO_TERM)
        return "VoteOutput", Fields(said, voteType=VOTES[message.step], valueId=self.names[message.value])

    def state(self) -> Fields:
        """What a restart would find in the record, which is what the running member acts on."""
        kept = Consensus(GENESIS, self.me, self.judge, self.record, round=self.consensus.round).durable
        assert kept == self.consensus.durable
        lock, best = kept.lock, kept.best
        assert best is None or best.value == sha(kept.best_value)
        return Fields(
            p=self.name,
            height=kept.round,
            round=kept.term,
            step=(f"{'Commit' if self.consensus.decided else STEPS[kept.step]}Step", ()),
            lockedRound=lock.term if lock else NO_TERM,
            lockedValue=self.names[lock.value if lock else NIL],
            validRound=best.term if best else NO_TERM,
            validValue=self.names[best.value if best else NIL],
        )


def between_rounds(state: Fields) -> bool:
    return state["step"] in (("NoStep", ()), ("UnstartedStep", ()))


def entered(state: Fields) -> Fields:
    """That state of the specification, but in the next round already if it is between two."""
    return Fields(state, round=state["round"] + 1, step=("ProposeStep", ())) if between_rounds(state) else state


@pytest.mark.parametrize("name", ["DecideNonProposerTest_0", "DecideNonProposerAtHeight2Test_1"])
def test_the_core_says_and_keeps_what_the_state_machine_does(name: str) -> None:
    trace = states(name)
    proposes = trace[1]["input"][0] == "NewRoundProposerCInput"
    start = trace[0]["state"]
    machine = Machine(start["p"], start["height"], Role.CANDIDATE if proposes else Role.FOLLOWER)
    for number, now in enumerate(trace):
        machine.take(now["input"])
        expected = [] if now["output"] == ("NoConsensusOutput", ()) else [now["output"]]
        said, machine.outputs = machine.outputs[:1], machine.outputs[1:]
        assert said == expected, number
        assert machine.state() == entered(now["state"]), number
        assert machine.outputs == [] or between_rounds(now["state"]), "only the timer of the term already entered"
    assert machine.outputs == []


# --- the vote keeper ---

SLOTS = {"Prevote": FIRST, "Precommit": SECOND}


class Keeper:
    """A tally that shows itself as the specification's vote keeper."""

    def __init__(self, height: int, weights: dict[str, int]) -> None:
        """weights: of each voter, who is as many members."""
        ends = list(accumulate(weights.values()))
        self.genesis = genesis_of(ends[-1])
        self.voters = {name: range(end - weights[name], end) for name, end in zip(weights, ends, strict=True)}
        self.tally = Tally(height, self.genesis.members, Quorum.of(self.genesis.members, 1 / 3).size)
        self.names: dict[tuple[bytes, int], tuple[str, Any]] = {}

    def hear(self, vote: Fields, current: int, *, together: bool) -> bool:
        """Count a vote, in one message or in one of each member; returns whether it was turning."""
        _, name = vote["valueId"]
        value = sha(name.encode())
        self.names[value, NO_TERM] = vote["valueId"]
        voters = list(self.voters[vote["srcAddress"]])
        turning = False
        for some in [voters] if together else [[voter] for voter in voters]:
            at = {"round": vote["height"], "term": vote["round"]}
            counted = self.tally.add(votes_of(self.genesis, some, SLOTS[vote["voteType"][0]], value, **at), current)
            assert counted.twice == []
            turning |= counted.turning
        return turning

    def among(self, mask: int) -> list[str]:
        """The voters in a mask of members."""
        return [name for name, voters in self.voters.items() if all(mask >> voter & 1 for voter in voters)]

    def emitted(self, term: int) -> frozenset[tuple[str, Any]]:
        """An output for each certificate."""
        kinds = {FIRST: "PolkaValueVKOutput", SECOND: "PrecommitValueVKOutput"}
        found = {kind: self.tally.certificate(term, step) for step, kind in kinds.items()}
        named = {kind: self.names[votes.value, votes.cited][1] for kind, votes in found.items() if votes}
        return frozenset((kind, (term, name)) for kind, name in named.items())

    def count(self, term: int, kind: str) -> Fields:
        """The votes of one type in one round."""
        slot = self.tally.slot(term, SLOTS[kind])
        vote = Fields(height=self.tally.round, round=term, voteType=(kind, ()))
        return Fields(
            totalWeight=self.genesis.members,
            valuesWeights=Fields((self.names[body], mask.bit_count()) for body, mask in slot.masks.items()),
            votesAddresses=frozenset(self.among(slot.seen)),
            receivedVotes=frozenset(
                Fields(vote, srcAddress=name, valueId=self.names[body])
                for body, mask in slot.masks.items()
                for name in self.among(mask)
            ),
        )

    def round(self, term: int) -> Fields:
        seen = self.tally.reached.get(term, 0)
        return Fields(
            height=self.tally.round,
            round=term,
            prevotes=self.count(term, "Prevote"),
            precommits=self.count(term, "Precommit"),
            emittedOutputs=self.emitted(term),
            votesAddressesWeights=Fields((name, len(self.voters[name])) for name in self.among(seen)),
        )

    def state(self) -> Fields:
        """All of it; that nobody voted twice was asserted on the way."""
        return Fields(
            height=self.tally.round,
            validatorSet=Fields((name, len(voters)) for name, voters in self.voters.items()),
            rounds=Fields((term, self.round(term)) for term in self.tally.reached),
            evidence=frozenset(),
        )


@pytest.mark.parametrize("together", [True, False], ids=["one message", "a message each"])
def test_the_tally_counts_and_certifies_what_the_vote_keeper_does(together: bool) -> None:
    start, *trace = states("synchronousConsensusTest_9")
    keeper = Keeper(start["bookkeeper"]["height"], start["bookkeeper"]["validatorSet"])
    assert keeper.state() == start["bookkeeper"]
    for number, now in enumerate(trace, 1):
        _, (vote, weight, term) = now["weightedVote"]
        assert weight == len(keeper.voters[vote["srcAddress"]])
        before = keeper.emitted(term)
        turning = keeper.hear(vote, term, together=together)
        new = keeper.emitted(term) - before
        assert new == {now["lastEmitted"]} - {("NoVKOutput", ())}, number
        assert turning == bool(new), number
        assert keeper.state() == now["bookkeeper"], number
