"""Operators ask until a round grants it, with signatures that count."""

from __future__ import annotations

from qorum.core import membership
from qorum.sim.operators import PERIOD
from tests.sim.test_cluster import advance, cluster


def test_a_petition_is_entitled_to_happen() -> None:
    made = cluster()
    made.join(trusting=False)
    [wish] = made.operators.wishes
    petition = made.operators.petition(wish, made.roster)
    assert petition is not None
    membership.check(petition, made.roster, made.keys.verify)


def test_without_the_keys_of_a_quorum_nothing_is_asked_for() -> None:
    made = cluster()
    made.hosts[0].lose()
    made.hosts[1].lose()
    made.join(trusting=False)
    assert made.operators.petition(made.operators.wishes[0], made.roster) is None


def test_operators_of_liars_endorse_nothing() -> None:
    made = cluster(twins=(2, 3))
    made.join(trusting=False)
    assert made.operators.petition(made.operators.wishes[0], made.roster) is None


def test_wishes_come_true_one_after_the_other_and_are_then_forgotten() -> None:
    made = cluster(5)
    made.leave(made.hosts[4])
    newcomer = made.join(trusting=True)
    assert len(made.operators.wishes) == 2
    for _ in range(16):
        assert advance(made, 1)
        made.run(made.now + PERIOD)
    assert made.roster.epoch == 2
    assert made.operators.wishes == []
    assert made.roster.seat_of(newcomer.key) == 5
    assert not made.roster.seats[4].active


def test_a_key_nobody_wants_any_more_is_asked_for_no_longer() -> None:
    made = cluster()
    made.rekey(made.hosts[1])
    made.hosts[1].lose()
    made.replace(made.hosts[1], trusting=False)
    assert [wish.due(made.roster) is None for wish in made.operators.wishes] == [True, False]
