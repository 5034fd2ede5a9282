"""Virtual time and links."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from qorum.sim.network import Links, Network, Timeline


def network(links: Links, members: int = 4) -> tuple[Network, list[tuple[float, int, int, bytes]]]:
    timeline, arrived = Timeline(), list[tuple[float, int, int, bytes]]()

    def deliver(to: int, sender: int, frame: bytes) -> None:
        arrived.append((timeline.now, to, sender, frame))

    return Network(timeline, links, Random(1), members, deliver), arrived


def drain(net: Network) -> None:
    while net.timeline.step():
        pass


@given(st.lists(st.floats(0, 100), max_size=30))
def test_events_happen_in_order_of_time_and_then_of_planning(delays: list[float]) -> None:
    timeline, happened = Timeline(), list[tuple[float, int]]()
    for number, delay in enumerate(delays):
        timeline.after(delay, lambda number=number, delay=delay: happened.append((delay, number)))
    while timeline.step():
        pass
    assert happened == sorted((delay, number) for number, delay in enumerate(delays))


def test_frames_arrive_within_the_delay_of_the_links_and_are_counted() -> None:
    net, arrived = network(Links(delay=(0.02, 0.08)))
    net.send(0, [1, 2, 3], b"12345")
    drain(net)
    assert sorted((to, sender, frame) for _, to, sender, frame in arrived) == [(to, 0, b"12345") for to in (1, 2, 3)]
    assert all(0.02 <= time <= 0.08 for time, *_ in arrived)
    assert [(traffic.frames, traffic.bytes) for traffic in net.traffic] == [(0, 0), (1, 5), (1, 5), (1, 5)]


def test_loss_takes_its_share() -> None:
    net, arrived = network(Links(loss=0.3))
    for _ in range(2_000):
        net.send(0, [1], b"x")
    drain(net)
    assert len(arrived) + net.frames_lost == 2_000
    assert 0.25 < net.frames_lost / 2_000 < 0.35


def test_a_partition_lets_only_one_side_hear_itself_until_it_heals() -> None:
    net, arrived = network(Links())
    net.partition([0, 1])
    net.send(0, [1, 2, 3], b"cut")
    net.send(2, [3, 0], b"rest")
    drain(net)
    assert sorted((to, frame) for _, to, _, frame in arrived) == [(1, b"cut"), (3, b"rest")]
    net.heal()
    net.send(0, [2], b"healed")
    drain(net)
    assert arrived[-1][1:] == (2, 0, b"healed")


def test_what_is_under_way_when_the_cut_happens_is_lost() -> None:
    net, arrived = network(Links())
    net.send(0, [3], b"late")
    net.partition([0, 1])
    drain(net)
    assert arrived == []
    assert net.frames_lost == 1


def test_a_stopped_member_neither_hears_nor_speaks() -> None:
    net, arrived = network(Links())
    net.send(1, [0], b"before")
    net.stop(0)
    net.send(0, [1], b"silent")
    drain(net)
    assert arrived == []
    assert net.is_stopped(0)
    assert not net.is_stopped(1)


def test_a_heavy_tail_makes_some_frames_late_and_none_endless() -> None:
    net, arrived = network(Links(delay=(0.01, 0.02), tail=1.0))
    for _ in range(500):
        net.send(0, [1], b"x")
    drain(net)
    times = sorted(time for time, *_ in arrived)
    assert times[250] < 0.06
    assert 0.2 < times[-1] <= 1.0


def test_frames_overtake_each_other_and_some_come_twice() -> None:
    net, arrived = network(Links(duplicates=0.5))
    for number in range(200):
        net.send(0, [1], bytes([number]))
    drain(net)
    order = [frame[0] for *_, frame in arrived]
    assert set(order) == set(range(200))
    assert 250 < len(order) < 350
    assert order != sorted(order)


def test_blocks_go_one_way_and_add_up() -> None:
    net, arrived = network(Links())
    for _ in range(2):
        net.block([(0, 1)])
    net.send(0, [1], b"swallowed")
    net.send(1, [0], b"back")
    drain(net)
    net.unblock([(0, 1)])
    net.send(0, [1], b"still")
    drain(net)
    net.unblock([(0, 1), (2, 3)])
    net.send(0, [1], b"free")
    drain(net)
    assert [frame for *_, frame in arrived] == [b"back", b"free"]


def test_a_clogged_link_lets_go_of_everything_in_order() -> None:
    net, arrived = network(Links(delay=(0.01, 0.01)))
    net.clog([(0, 1)])
    for number in range(5):
        net.send(0, [1], bytes([number]))
    net.send(2, [1], b"other")
    drain(net)
    assert [frame for *_, frame in arrived] == [b"other"]
    net.unclog([(0, 1)])
    drain(net)
    assert [frame for *_, frame in arrived[1:]] == [bytes([number]) for number in range(5)]


def test_healing_ends_partitions_blocks_clogs_and_sieves() -> None:
    net, arrived = network(Links())
    net.partition([0])
    net.block([(0, 2)])
    net.clog([(0, 3)])
    net.sieves.append(lambda sender, to, frame: True)
    net.heal()
    net.send(0, [1, 2, 3], b"x")
    drain(net)
    assert sorted(to for _, to, *_ in arrived) == [1, 2, 3]


def test_a_sieve_catches_what_it_names() -> None:
    net, arrived = network(Links())
    net.sieves.append(lambda sender, to, frame: frame == b"bad")
    for frame in (b"bad", b"good"):
        net.send(0, [1], frame)
    drain(net)
    assert [frame for *_, frame in arrived] == [b"good"]
    assert net.frames_lost == 1


def test_old_frames_arrive_again_when_they_are_replayed() -> None:
    net, arrived = network(Links())
    net.remembers = True
    net.send(0, [1, 2], b"old")
    drain(net)
    net.replay(10)
    drain(net)
    assert sorted(to for _, to, *_ in arrived) == [1, 1, 2, 2]
