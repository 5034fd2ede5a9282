"""A small federation's life, recorded: all effects that have to survive, and what must be there after each of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from random import Random

from qorum.config import FederationConfig
from qorum.core.effects import Committed, Effect, Keep, Persist
from qorum.core.genesis import Genesis
from qorum.core.member import Engine, Member
from qorum.sim.cluster import Cluster, random_columns
from qorum.sim.host import Disk, Host
from qorum.sim.keys import Keys, quick_keys
from qorum.sim.network import Links
from qorum.store import Kept, Store

MEMBERS = 4
ROUNDS = 4

Step = tuple[bytes, Persist | Keep | Committed]
"""Who has to keep what."""


@dataclass
class Recording:
    """Who had to keep what, in order."""

    genesis: Genesis
    keys: Keys
    steps: list[Step] = field(default_factory=list)

    def carried_out(self, host: Host, effect: Effect) -> None:
        """Take note of an effect that has to survive."""
        if isinstance(effect, Persist | Keep | Committed):
            self.steps.append((host.key, effect))

    @property
    def members(self) -> list[bytes]:
        """Public keys of all there were."""
        return list(dict.fromkeys(key for key, _ in self.steps))

    def of(self, key: bytes) -> list[Persist | Keep | Committed]:
        """What one member had to keep."""
        return [effect for who, effect in self.steps if who == key]


@cache
def recording() -> Recording:
    """Four members agree on rounds, and one more is admitted on the way. The same every time."""
    keys = quick_keys(1, MEMBERS)
    config = FederationConfig(collect_ms=20, propose_timeout_ms=200, gossip_tick_ms=100, gossip_flush_ms=10)
    made = Cluster(Genesis(keys.public, config), keys, 1, Links(delay=(0.005, 0.01)))
    story = Recording(made.genesis, keys)
    made.witnesses.append(story)
    made.start()
    for round in range(1, ROUNDS + 1):
        if round == 2:
            made.join(trusting=False)
        made.contribute(made.hosts[0], random_columns(Random(round), 8, 2))
        assert made.run(made.now + 60, lambda: min(host.member.state.round for host in made.hosts) >= round)  # noqa: B023
    assert made.newest.roster.members == MEMBERS + 1
    return story


def disk_after(effects: list[Persist | Keep | Committed]) -> Disk:
    """What the simulated disk of a member holds after these effects."""
    disk = Disk()
    for effect in effects:
        match effect:
            case Persist():
                disk.write(effect.record)
            case Keep():
                disk.payloads.append(effect)
            case Committed():
                disk.kept = effect.state, effect.commit
                disk.epochs += effect.epochs
                disk.payloads.clear()
    return disk


def write(store: Store, step: Step, *, wait: bool = True) -> None:
    """Carry out one step on a store."""
    key, effect = step
    match effect:
        case Persist():
            done = store.persist(key, effect.record)
        case Keep():
            done = store.keep(key, effect)
        case Committed():
            done = store.committed(key, effect)
    if wait:
        done.result(timeout=20)


def same(kept: Kept | None, disk: Disk) -> bool:
    """Whether a store gives back what the simulated disk holds."""
    if kept is None:
        return disk == Disk()
    state, commit = disk.kept or (None, None)
    hashes = [None if each is None else each.hash for each in (kept.state, state)]
    rest = (kept.commit, kept.record, kept.epochs, list(kept.payloads))
    return hashes[0] == hashes[1] and rest == (commit, disk.record, disk.epochs, disk.payloads)


def revive(key: bytes, kept: Kept | None) -> Member:
    """The member that goes on from there."""
    story = recording()
    kept = kept or Kept(None, None, None, (), ())
    return Member(
        story.genesis, None, Engine(story.keys.verify), Random(1), key=key, state=kept.state, commit=kept.commit,
        record=kept.record, epochs=kept.epochs, payloads=kept.payloads,
    )  # fmt: skip
