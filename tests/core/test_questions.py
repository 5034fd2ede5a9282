"""Whoever looks at signatures beforehand knows the answer to whatever the core asks."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Any

import pytest

from qorum.core import wire
from qorum.core.effects import Effect, Sign
from qorum.core.member import Engine, Member
from qorum.core.messages import Bundle, Join, Rekey, Value
from qorum.core.questions import Question, questions, questions_at_start
from qorum.core.state import ORIGIN
from tests.core.harness import Net, fake_verify, genesis_of, key, petition_of, proposal_of, votes_of


class Careful:
    """A `Verify` that knows what it was told before, and counts what it was not."""

    def __init__(self) -> None:
        self.answers: set[tuple[bytes, bytes, bytes]] = set()
        self.surprises = 0

    def learn(self, asked: Iterable[Question]) -> None:
        self.answers.update(asked)

    def __call__(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        self.surprises += (public_key, message, signature) not in self.answers
        return fake_verify(public_key, message, signature)


class CarefulNet(Net):
    """All its hosts look at signatures beforehand."""

    def __init__(self, members: int, seed: int = 0, **fields: Any) -> None:
        self.careful: dict[int, Careful] = {}
        super().__init__(members, seed, **fields)

    def _member(self, host: int) -> Member:
        careful = self.careful[host] = Careful()
        state, commit = self.kept.get(host, (None, None))
        roster = self.genesis.roster if state is None else state.roster
        careful.learn(questions_at_start(roster, commit, self.payloads[host]))
        member = Member(
            self.genesis, None, Engine(careful), Random(self.random.random()), key=self.keys[host], state=state,
            commit=commit, record=self.records.get(host), epochs=self.epochs[host],
            checkpoint=self.checkpoints.get(host), payloads=self.payloads[host],
        )  # fmt: skip
        receive = member.receive

        def look_first(peer: int, frame: bytes) -> list[Effect]:
            careful.learn(questions(member, frame))
            return receive(peer, frame)

        member.receive = look_first  # type: ignore[method-assign]
        return member

    def _carry_out(self, host: int, effect: Effect) -> None:
        if isinstance(effect, Sign):
            own = Question(self.keys[host], effect.data, self.sign(host, effect.data))
            self.careful[host].learn([own])
        super()._carry_out(host, effect)

    @property
    def surprises(self) -> int:
        return sum(careful.surprises for careful in self.careful.values())


@pytest.mark.parametrize("seed", range(6))
def test_nothing_surprises_a_federation_whose_members_stay(seed: int) -> None:
    net = CarefulNet(7, seed, sync_interval_ms=1_000)
    net.loss, net.duplicates = 0.2, 0.1
    for number in range(30):
        net.news(number % 7)
        net.run(0.3)
        if number in (8, 16):
            net.side.update({0: 1, 1: 1})
        if number in (12, 20):
            net.side.update(dict.fromkeys(range(7), 0))
        if number == 24:
            net.stop(3)
            net.restart(3)
    net.loss = 0.0
    assert net.run(60, lambda: min(net.rounds()) >= 5)
    assert net.surprises == 0


def test_nor_one_that_catches_up_over_several_memberships() -> None:
    net = CarefulNet(5, sync_interval_ms=1_000)
    net.stop(4)
    _rounds(net, 2)
    for number in range(2):
        newcomer = key(100 + number)
        net.newcomer(newcomer)
        change = petition_of(net.members[0].roster, Join(newcomer))
        net.careful[0].learn(questions(net.members[0], wire.encode(change)))
        net.perform(0, net.members[0].petition(change))
        _rounds(net, 12)
    surprises = net.surprises
    net.restart(4)
    assert net.run(60, lambda: net.members[4].state.round >= net.members[0].state.round)
    assert net.members[4].roster.epoch == 2
    assert net.surprises == surprises


def _rounds(net: CarefulNet, count: int) -> None:
    target = min(net.rounds()) + count
    while min(net.rounds()) < target:
        net.news(0)
        net.run(1)
        assert net.now < 600


def test_of_the_next_round_anybody_may_be_the_leader() -> None:
    genesis = genesis_of(4)
    member = Member(genesis, 0, Engine(fake_verify), Random(0))
    now, later = (proposal_of(genesis, _value(), round=round) for round in (1, 2))
    assert [one.public_key for one in questions(member, wire.encode(now))] == [key(genesis.roster.order(1)[0])]
    assert {one.public_key for one in questions(member, wire.encode(later))} == {key(me) for me in range(4)}


def test_broken_parts_of_a_bundle_hide_no_others() -> None:
    genesis = genesis_of(4)
    member = Member(genesis, 0, Engine(fake_verify), Random(0))
    stale = petition_of(genesis.roster, Rekey(9, 1, key(50)))
    votes = votes_of(genesis, [1, 2], 1)
    frame = wire.encode(Bundle((wire.encode(stale), wire.encode(votes))))
    assert len(questions(member, frame)) == 2


@pytest.mark.parametrize("frame", [b"", b"\xff" * 40, bytes(wire.MAX_FRAME + 1)])
def test_what_is_no_message_is_asked_nothing_about(frame: bytes) -> None:
    assert questions(Member(genesis_of(4), 0, Engine(fake_verify), Random(0)), frame) == []


def _value() -> bytes:
    """A value that nobody opens."""
    return wire.encode(Value(1, ORIGIN, 0, bytes(32), bytes(32), bytes(32)))
