"""A watch feeds all invariants and lists what they report."""

from __future__ import annotations

from qorum.core.effects import Blame, Effect
from qorum.sim.host import Host
from qorum.sim.invariants.invariant import KEPT, Invariant, Scene
from qorum.sim.invariants.watch import INVARIANTS, Watch
from tests.sim.invariants.histories import History


class Nosy(Invariant):
    """Reports every hook."""

    name = "nosy"
    watches = (Blame,)

    def carried_out(self, host: Host, effect: Effect) -> None:
        self.violated(f"{host.seat} {type(effect).__name__}")

    def checked(self, scene: Scene) -> None:
        self.violated("checked")

    def healed(self, scene: Scene) -> None:
        self.violated("healed")

    def at_end(self, scene: Scene) -> None:
        self.violated("at end")


def test_every_hook_is_called_and_liars_are_left_out() -> None:
    history = History(liars=[1])
    watch = Watch(history.cluster, [Nosy])
    honest, liar = history.cluster.hosts[:2]
    for host in (honest, liar):
        watch.carried_out(host, Blame(1, "noise"))
    watch.carried_out(honest, history.effects[0][1])
    watch.healed()
    texts = [violation.text for violation in watch.end()]
    assert texts == ["0 Blame", "healed", "checked", "at end"]


def test_a_flood_of_reports_is_cut_short() -> None:
    watch = Watch(History().cluster, [Nosy])
    for _ in range(100):
        watch.check()
    assert len(watch.violations) == KEPT


def test_invariants_have_names_of_their_own_and_hold_in_a_good_history() -> None:
    names = [kind.name for kind in INVARIANTS]
    assert len(set(names)) == len(names)
    history = History()
    watch = Watch(history.cluster)
    for host, effect in history.effects:
        watch.carried_out(host, effect)
    assert watch.end() == []
