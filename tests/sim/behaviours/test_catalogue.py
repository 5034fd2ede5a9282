"""What each behaviour makes of frames, peer by peer."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import msgspec
import numpy as np
import pytest

from qorum.core import wire
from qorum.core.consensus import proposal_bytes, vote_bytes
from qorum.core.messages import NIL, NO_TERM, Announce, Digest, Item, Items, Message, Proposal, Root, Votes
from qorum.errors import ProtocolError
from qorum.identity import strict_form
from qorum.sim.behaviours.behaviour import Behaviour, frame_of, parts_of
from qorum.sim.behaviours.catalogue import BEHAVIOURS
from qorum.sim.behaviours.equivocate import Equivocate
from qorum.sim.behaviours.false_digest import FalseDigest
from qorum.sim.behaviours.malformed import SMALL_ORDER, SPOILS, Malformed, _bad
from qorum.sim.behaviours.poison import Poison
from qorum.sim.behaviours.ring import PERIOD, Liar, Ring
from qorum.sim.behaviours.rush import Rush
from qorum.sim.behaviours.selective import Selective
from qorum.sim.behaviours.silent import Silent
from qorum.sim.behaviours.stale import Stale
from qorum.sim.behaviours.twin import Twin
from qorum.sim.behaviours.withhold import LONGEST, Withhold
from qorum.sim.cluster import Cluster, random_columns
from tests.sim.test_cluster import agree, cluster

LIAR = 3
VALUES = (b"\1" * 32, b"\2" * 32)


class Stage:
    """One liar among four, and what leaves it."""

    def __init__(self, kind: type[Behaviour]) -> None:
        self.cluster: Cluster = cluster(twins=(LIAR,))
        self.ring = Ring(self.cluster, "7")
        self.liar = Liar(self.cluster.hosts[LIAR], self.ring, [kind])
        self.behaviour = self.liar.behaviours[0]
        self.left: list[tuple[int, bytes]] = []
        self.cluster.network.send = self._note  # type: ignore[method-assign, assignment]

    def _note(self, sender: int, to: list[int], frame: bytes) -> None:
        if sender == LIAR:
            self.left += [(peer, frame) for peer in to]

    def says(self, message: Message, to: tuple[int, ...] = (0, 1, 2)) -> dict[int, list[Message]]:
        """What each peer gets in place of one message."""
        self.left.clear()
        self.liar.send(to, wire.encode(message))
        return {peer: [m for at, frame in self.left if at == peer for m in parts_of(frame)] for peer in to}

    def vote(self, step: int = 1, term: int = 0, value: bytes = VALUES[0], cited: int = NO_TERM) -> Votes:
        return self.ring.vote(LIAR, step, 1, term, value, cited)


def signed(stage: Stage, votes: Votes) -> bool:
    genesis, verify = stage.cluster.genesis, stage.cluster.keys.verify
    return all(
        verify(genesis.public_keys[voter], vote_bytes(genesis.federation, 0, votes), signature)
        for voter, signature in votes.by_voter.items()
    )


def both(stage: Stage, message: Votes) -> Iterator[Votes]:
    for said in stage.says(message).values():
        for vote in said:
            assert isinstance(vote, Votes)
            yield vote


def test_the_ring_signs_for_liars_only() -> None:
    stage = Stage(Silent)
    assert signed(stage, stage.vote())
    with pytest.raises(AssertionError):
        stage.ring.vote(0, 1, 1, 0, NIL)


def test_frames_come_apart_and_together_again() -> None:
    stage = Stage(Silent)
    messages: list[Message] = [stage.vote(), Announce(bytes(6))]
    assert list(parts_of(frame_of(messages))) == messages
    assert parts_of(frame_of(messages[:1])) == messages[:1]


def test_equivocate_votes_for_different_things_with_good_signatures() -> None:
    stage = Stage(Equivocate)
    stage.ring.note(1, VALUES[1])
    told: set[bytes] = set()
    for term in range(0, 12, 3):
        votes = list(both(stage, stage.vote(term=term)))
        assert all(signed(stage, vote) and vote.term == term for vote in votes)
        told |= {vote.value for vote in votes}
    assert told >= {VALUES[0], NIL} or told >= set(VALUES)


def test_equivocate_leaves_votes_of_others_alone() -> None:
    stage = Stage(Equivocate)
    others = msgspec.structs.replace(stage.vote(), voters=b"\1")
    assert all(said == [others] for said in stage.says(others).values())


def test_equivocate_proposes_two_valid_values_when_it_leads() -> None:
    stage = Stage(Equivocate)
    made = stage.cluster
    term = next(t for t in range(4) if made.genesis.leader(1, t) == LIAR)
    del made.network.__dict__["send"]
    for host in made.hosts[:4]:
        made.contribute(host, random_columns(Random(host.seat), 8, 2))
    made.run(made.now + 0.015)
    member = made.hosts[LIAR].member
    made.network.send = stage._note  # type: ignore[method-assign, assignment]
    for host in made.hosts[:3]:
        for entry in host.member.streams.newer(1):
            member._take_items([entry])
    value = member.fresh_value()
    assert value is not None
    proposal = stage.ring.propose(LIAR, Proposal(1, term, value, b"", None, bytes(64)))
    told = [said for messages in stage.says(proposal, (0, 1, 2, 4)).values() for said in messages]
    two = {said.value for said in told if isinstance(said, Proposal)}
    assert two <= {value, *(p.value for p in stage.ring.proposals[1, term].values())}
    assert len(stage.ring.proposals[1, term]) == 2
    for story in stage.ring.proposals[1, term].values():
        assert member.judge(story.value).value == "valid"
        data = proposal_bytes(made.genesis.federation, 0, story)
        assert made.keys.verify(made.genesis.public_keys[LIAR], data, story.signature)
    assert len({story.value for story in stage.ring.proposals[1, term].values()}) == 2


def test_a_twin_speaks_with_one_half_and_its_double_with_the_other() -> None:
    stage = Stage(Twin)
    double = Twin(stage.cluster.hosts[4], stage.ring)
    for address in range(3):
        mine, its = bool(list(stage.behaviour.sends(address, b"x"))), bool(list(double.sends(address, b"x")))
        assert mine != its
        assert stage.behaviour.hears(address, b"x") == mine
        assert double.hears(address, b"x") == its


def test_silence_and_selection_change_with_time() -> None:
    for kind in (Silent, Selective):
        stage = Stage(kind)
        reached = set[tuple[int, ...]]()
        for _ in range(12):
            reached.add(tuple(peer for peer, said in stage.says(stage.vote()).items() if said))
            stage.cluster.timeline.now += PERIOD
        assert len(reached) > 1
        assert kind is Selective or reached == {(), (0, 1, 2)}


def test_what_is_withheld_is_revealed_later_but_for_some() -> None:
    stage = Stage(Withhold)
    vote = stage.vote()
    at_once = sum(len(said) for _ in range(100) for said in stage.says(vote).values())
    stage.left.clear()
    stage.cluster.run(stage.cluster.now + LONGEST + 0.1)
    later = sum(frame == wire.encode(vote) for _, frame in stage.left)
    assert 80 < at_once < 160
    assert 100 < later < 190


def test_false_digests_are_false_and_of_good_form() -> None:
    stage = Stage(FalseDigest)
    digest = Digest(5, 2, wire.pack(wire.planes(np.array([1, 2, 3, 4]))), b"\1", b"\1", True, True, NO_TERM)
    told = [said for _ in range(20) for messages in stage.says(digest).values() for said in messages]
    assert all(isinstance(said, Digest) and said != digest for said in told)
    assert len({said.seqs for said in told if isinstance(said, Digest)}) > 10
    root = Root(1, 0, bytes(8))
    assert all(said != [root] for said in stage.says(root).values())
    assert all(len(said) == 2 for said in stage.says(Announce(bytes(6))).values())


def test_stale_frames_come_from_whoever_it_heard() -> None:
    stage = Stage(Stale)
    assert stage.behaviour.hears(0, b"old")
    sent = [frame for _ in range(50) for frame in stage.behaviour.sends(1, b"new")]
    assert sent.count(b"new") == 50
    assert 5 < sent.count(b"old") < 30


def test_spoilt_frames_are_blamed_or_mean_something_else() -> None:
    stage, random = Stage(Malformed), Random(1)
    frame = wire.encode(stage.vote())
    for spoil in SPOILS:
        for _ in range(50):
            spoilt = spoil(random, frame)
            try:
                wire.decode(spoilt)
            except ProtocolError:
                continue
            assert spoil.__name__ in ("_flipped", "_truncated", "_noise")


def test_malformed_messages_carry_bad_signatures_and_keep_coming() -> None:
    stage = Stage(Malformed)
    item = Item(b"body", bytes(64))
    for message in (stage.vote(), Items((item,)), item, Proposal(1, 0, b"v", b"", None, bytes(64))):
        stage.left.clear()
        for _ in range(60):
            stage.liar.send((0, 1, 2), wire.encode(message))
        told = [frame for _, frame in stage.left]
        assert wire.encode(message) in told
        assert len(set(told)) > 5


def test_bad_signatures_are_refused_by_form_or_by_equation() -> None:
    random, good = Random(2), bytes([9] * 32) + bytes(32)
    bad = [_bad(random, good) for _ in range(60)]
    assert good not in bad
    small = [signature for signature in bad if signature[:32] in SMALL_ORDER]
    assert len(small) > 10
    assert not any(strict_form(b"\7" * 32, signature) for signature in small)


def test_rushed_votes_are_of_terms_to_come() -> None:
    stage = Stage(Rush)
    told = [vote for _ in range(30) for vote in both(stage, stage.vote())]
    assert {vote.term for vote in told} >= {0, 1, 2, 2**31 - 1}
    assert all(signed(stage, vote) for vote in told)


def test_poison_is_extreme_and_of_good_form() -> None:
    stage = Stage(Poison)
    for _ in range(20):
        columns = stage.behaviour.write(random_columns(Random(1), 16, 4))
        genesis = stage.cluster.genesis
        type(columns).unpack(columns.pack(), genesis.config.n_actions)


@pytest.mark.parametrize("name", BEHAVIOURS)
def test_a_federation_agrees_in_spite_of_it(name: str) -> None:
    made = cluster(twins=(LIAR,) if name == Twin.name else ())
    ring = Ring(made, "7")
    liars = made.hosts[LIAR:]
    for host in liars:
        host.honest = False
    ring.seats = frozenset({LIAR})
    for host in liars:
        made.conduct[host.address] = Liar(host, ring, [BEHAVIOURS[name]])
    for round in (1, 2, 3):
        assert agree(made, round)
    assert len({host.member.state.hash for host in made.honest if host.member.state.round == 3}) == 1
