"""A host carries out what its member wants, keeps its disk, and dies and pauses where it is told to."""

from __future__ import annotations

from collections.abc import Sequence

from qorum.core.effects import Effect, Persist, Send, SetTimer, Sign, Timer, WindowOpened
from qorum.core.member import Member
from qorum.core.messages import Kind
from qorum.sim.host import Host


class Scripted(Member):
    """Wants what it is told to want."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def start(self) -> list[Effect]:
        return [Persist(b"start %d" % self.host.life)]

    def signed(self, request: Sign, signature: bytes) -> list[Effect]:
        return [Send((1,), signature)]


class Observer:
    """A world that writes down what it is asked for."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def send(self, host: Host, effect: Send) -> None:
        self.seen.append(f"send {effect.frame.decode()}")

    def set_timer(self, host: Host, timer: SetTimer) -> None:
        self.seen.append(timer.name.value)

    def window_opened(self, host: Host, round: int) -> None:
        self.seen.append(f"window {round}")

    def carried_out(self, host: Host, effect: Effect) -> None:
        self.seen.append(type(effect).__name__)


def host() -> tuple[Host, list[str]]:
    world = Observer()
    made = Host(0, 0, True, world, Scripted, lambda data: b"signed " + data)
    return made, world.seen


SIGN = Sign(Kind.FIRST_VOTE, 1, 0, b"", b"me")


def test_effects_are_carried_out_in_order_and_a_signature_leads_to_more() -> None:
    it, seen = host()
    it.perform([Persist(b"a"), SIGN, SetTimer(Timer.TICK, 1.0), WindowOpened(3)])
    assert seen == [
        "Persist", "Sign", "gossip tick", "SetTimer", "window 3", "WindowOpened", "send signed me", "Send"
    ]  # fmt: skip


def test_a_crash_stops_before_the_effect_and_the_disk_stays() -> None:
    it, seen = host()
    it.perform([Persist(b"a")])
    it.crash_before = lambda host, effect: isinstance(effect, Persist)
    it.perform([SetTimer(Timer.TICK, 1.0), Persist(b"b"), SIGN])
    assert not it.up
    assert it.disk.record == b"a"
    assert seen == ["Persist", "gossip tick", "SetTimer"]
    it.crash_before = lambda host, effect: False
    it.restart()
    assert (it.up, it.life, it.disk.record) == (True, 1, b"start 1")


def test_events_of_a_pause_happen_when_it_ends() -> None:
    it, seen = host()

    def event(number: int) -> Sequence[Effect]:
        return [Persist(b"%d" % number)]

    it.paused = True
    it.meet(lambda member: event(1))
    it.meet(lambda member: event(2))
    assert seen == []
    it.resume()
    assert (it.disk.before, it.disk.record) == (b"1", b"2")


def test_a_crash_forgets_what_piled_up_in_a_pause() -> None:
    it, _ = host()
    it.paused = True
    it.meet(lambda member: [Persist(b"x")])
    it.stop()
    it.restart()
    it.resume()
    assert it.disk.record == b"start 1"
