"""What is seen of a federation at one moment."""

from __future__ import annotations

from random import Random

from qorum.core.member import Engine, Member
from qorum.dashboard.scene import Phase, Standing, scene_of, standings
from tests.core.harness import Net, fake_verify, genesis_of


def test_before_anything_has_happened_all_are_abreast() -> None:
    member = Member(genesis_of(5), 2, Engine(fake_verify), Random(0))
    scene = scene_of(member, [2], [2, 3])
    assert (scene.observer, scene.agreed, scene.round, scene.term) == (2, 0, 1, 0)
    assert scene.phase is Phase.NEWS
    assert sorted(scene.standings) == ["A"] * 4 + ["L"]
    assert scene.standings[scene.leader] == Standing.LEADER
    assert (scene.here, scene.reachable, scene.quorum, scene.tolerated) == ([2], [2, 3], 4, 1)


def test_a_round_goes_through_its_phases_in_order() -> None:
    net, seen = Net(4, sync_interval_ms=1_000), []
    net.news(0)
    watched = net.members[1]

    def look() -> bool:
        scene = scene_of(watched, [1], range(4))
        if scene.round == 1 and (not seen or seen[-1] != scene.phase):
            seen.append(scene.phase)
        return watched.state.round > 0

    assert net.run(10, look)
    order = [phase for phase in Phase if phase in seen]
    assert seen == order
    assert seen[0] in (Phase.NEWS, Phase.CONTRIBUTIONS)
    assert seen[-1] is Phase.SECOND_VOTES


def test_who_is_away_lags_and_then_is_gone() -> None:
    net = Net(4, sync_interval_ms=1_000)
    net.stop(3)
    letters = []
    for _ in range(13):
        round = net.members[0].state.round
        net.news(0)
        assert net.run(30, lambda round=round: net.members[0].state.round > round)
        letters.append(standings(net.members[0].state, 0)[3])
    assert letters[0] == Standing.LAGGING
    assert letters[-1] == Standing.GONE
    assert letters == sorted(letters)


def test_masks_name_those_who_were_heard() -> None:
    net = Net(4, sync_interval_ms=1_000)
    net.news(2)
    assert net.run(5, lambda: scene_of(net.members[0], [0], []).phase is Phase.CONTRIBUTIONS)
    assert int(scene_of(net.members[0], [0], []).contributed, 16) >> 2 & 1
