"""How rounds are taken down as they happen, and what is said while they do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from qorum.dashboard.timeline import POINTS, ROUNDS, Course, Timeline
from tests.core.harness import Net


def watched(net: Net, host: int = 1) -> Timeline:
    timeline, member = Timeline(), net.members[host]
    before = net.watch

    def watch(at: int, effect: object) -> None:
        before(at, effect)  # type: ignore[arg-type]
        if at == host:
            timeline.note(member, net.now)

    net.watch = watch
    return timeline


def rounds(net: Net, count: int) -> None:
    for _ in range(count):
        round = net.members[0].state.round
        net.news(0)
        assert net.run(30, lambda round=round: min(net.rounds()) > round)


def test_a_course_begins_with_the_first_word_and_ends_with_the_commit() -> None:
    net = Net(4, sync_interval_ms=1_000)
    timeline = watched(net)
    rounds(net, 3)
    net.run(1)
    done = [course for course in timeline.courses if course.took_s is not None]
    assert [course.round for course in done] == [1, 2, 3]
    for course in done:
        assert 0 < (course.took_s or 0) < 5
        assert course.part >= 3
        times = [point.after_s for point in course.points]
        assert times == sorted(times)
        assert course.points[-1].first >= course.points[0].first
        assert max(point.contributed for point in course.points) >= 3


def test_only_so_much_is_remembered() -> None:
    net = Net(4, sync_interval_ms=1_000)
    timeline = watched(net)
    timeline.courses.extend(Course(round=-number, begun_s=0.0, took_s=1.0) for number in range(2 * ROUNDS))
    rounds(net, 1)
    assert len(timeline.courses) == ROUNDS
    assert all(len(course.points) <= POINTS for course in timeline.courses)


def test_nothing_new_is_noted_once() -> None:
    net = Net(4)
    timeline = Timeline()
    timeline.note(net.members[0], 0.0)
    changes = timeline.changes
    timeline.note(net.members[0], 1.0)
    assert timeline.changes == changes


def test_what_is_waited_for_is_said_in_words() -> None:
    net = Net(4, sync_interval_ms=1_000)
    timeline = watched(net, 0)
    net.stop(2)
    net.stop(3)
    net.news(0)
    net.run(4)
    member = net.members[0]
    alerts = timeline.alerts(member, 2, net.now)
    assert alerts[0] == "2 of 3 members are within reach: no round can be agreed on"
    assert alerts[1].startswith("round 1.0 waits for 1 more contributions, for ")
    assert timeline.alerts(member, 4, net.now)[0].startswith("round 1.0 waits")


def test_members_found_lying_are_named() -> None:
    net = Net(4, sync_interval_ms=1_000)
    timeline = watched(net, 0)
    rounds(net, 1)
    member = net.members[0]
    member.state = replace(member.state, outliers=np.arange(4) == 2)
    assert timeline.alerts(member, 4, net.now) == ["found lying and not counted: member 2"]
