"""Members in one event loop, wired directly, with disks in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from random import Random

from qorum.config import FederationConfig
from qorum.core.effects import Blame, Committed, Equivocation, Keep
from qorum.core.genesis import Genesis
from qorum.core.member import Engine, Member
from qorum.core.messages import Bundle, Commit, Proposal
from qorum.core.sharing import shared_engine
from qorum.core.state import State
from qorum.core.table import FederatedQTable, agent_for
from qorum.errors import StoreError
from qorum.identity import Identity, verify
from qorum.node.host import Host

QUICK = FederationConfig(
    n_actions=4, sync_interval_ms=200, collect_ms=100, gossip_tick_ms=50, gossip_flush_ms=5, vote_timeout_ms=200,
    propose_timeout_ms=300, timeout_step_ms=50, r_min=-1, r_max=1,
)  # fmt: skip
"""Rounds in a fraction of a second."""


GUEST = 4096
"""Id of the one newcomer that there may be."""


@dataclass
class MemoryDisk:
    """What a crash leaves behind; writes come back at a later turn of the loop, as those of a disk do."""

    loop: asyncio.AbstractEventLoop
    records: dict[bytes, bytes] = field(default_factory=dict)
    kept: dict[bytes, tuple[State, Commit]] = field(default_factory=dict)
    epochs: dict[bytes, tuple[Commit, ...]] = field(default_factory=dict)
    payloads: dict[bytes, list[Keep]] = field(default_factory=dict)
    experiences: dict[bytes, bytes] = field(default_factory=dict)
    failed: str | None = None
    held: list[Callable[[], None]] | None = None
    """Writes that wait, where a test holds them back."""

    def persist(self, key: bytes, record: bytes) -> Future[None]:
        return self._write(lambda: self.records.__setitem__(key, record))

    def keep(self, key: bytes, keep: Keep) -> Future[None]:
        return self._write(lambda: self.payloads.setdefault(key, []).append(keep))

    def committed(self, key: bytes, committed: Committed) -> Future[None]:
        def write() -> None:
            self.kept[key] = committed.state, committed.commit
            self.epochs[key] = self.epochs.get(key, ()) + committed.epochs
            self.payloads.pop(key, None)

        return self._write(write)

    def experience(self, key: bytes, experience: bytes) -> Future[None]:
        return self._write(lambda: self.experiences.__setitem__(key, experience))

    def _write(self, write: Callable[[], None]) -> Future[None]:
        done: Future[None] = Future()

        def now() -> None:
            if self.failed is not None:
                done.set_exception(StoreError(self.failed))
            else:
                write()
                done.set_result(None)

        if self.held is None:
            self.loop.call_soon(now)
        else:
            self.held.append(now)
        return done

    def release(self) -> None:
        """Carry out what was held back."""
        held, self.held = self.held or [], None
        for write in held:
            write()


@dataclass
class Notes:
    """A witness that writes everything down."""

    rounds: list[tuple[int, int, bytes]] = field(default_factory=list)
    """(member, round, hash of the state)."""
    latencies: list[float] = field(default_factory=list)
    blames: list[Blame] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    unreachable: set[int] = field(default_factory=set)

    def agreed(self, host: Host, committed: Committed, latencies: Sequence[float]) -> None:
        self.rounds.append((host.me, committed.state.round, committed.state.hash))
        self.latencies += latencies

    def blamed(self, host: Host, blame: Blame) -> None:
        self.blames.append(blame)

    def equivocated(self, host: Host, proof: Equivocation) -> None:
        raise AssertionError(f"member {proof.member} equivocates")

    def failed(self, host: Host, reason: str) -> None:
        self.failures.append(reason)

    def reaches(self, member: int) -> bool:
        return member not in self.unreachable


class Neighbours:
    """Hosts of one federation, each with a disk of its own, wired directly in the running loop."""

    def __init__(self, members: int, config: FederationConfig = QUICK) -> None:
        self.identities = [Identity.from_seed(bytes([me]) * 32) for me in range(members)]
        self.genesis = Genesis(tuple(identity.public_key for identity in self.identities), config)
        self.loop = asyncio.get_running_loop()
        self.disks = [MemoryDisk(self.loop) for _ in range(members)]
        self.notes = Notes()
        self.engine: Engine = shared_engine(self.genesis, verify)
        self.sent: list[tuple[int, bytes]] = []
        """(sender, frame)."""
        self.hosts: dict[int, Host] = {}
        for me in range(members):
            self.boot(me)

    def boot(self, me: int) -> Host:
        """Start a member from what its disk holds."""
        disk, key = self.disks[me], self.identities[me].public_key
        state, commit = disk.kept.get(key, (None, None))
        member = Member(
            self.genesis, me, self.engine, Random(me), state=state, commit=commit, record=disk.records.get(key),
            epochs=disk.epochs.get(key, ()), payloads=disk.payloads.get(key, ()),
        )  # fmt: skip
        agent = agent_for(self.genesis.config, me)
        if key in disk.experiences:
            agent.restore(disk.experiences[key])
        table = FederatedQTable(self.genesis, me, self.engine, Random(me), agent, member=member)
        self.hosts[me] = host = Host(table, self.identities[me], disk, self.route, self.notes, Random(me))
        host.start()
        return host

    def route(self, key: bytes, to: tuple[int, ...], frame: bytes) -> None:
        sender = self.id_of(key)
        self.sent.append((sender, frame))
        for member in to:
            self.loop.call_soon(self._deliver, sender, member, frame)

    def id_of(self, key: bytes) -> int:
        """Seat of a key by the newest membership that anybody knows of; a guest's id without one."""
        newest = max((host.member.state for host in self.hosts.values()), key=lambda state: state.round)
        seat = newest.roster.seat_of(key)
        return GUEST if seat is None else seat

    def _deliver(self, sender: int, to: int, frame: bytes) -> None:
        for host in list(self.hosts.values()):
            if self.id_of(host.key) == to:
                host.receive(sender, frame)

    def stop_proposals_of(self, member: int) -> None:
        """From now on nobody gets any."""
        deliver = self._deliver

        def withhold(sender: int, to: int, frame: bytes) -> None:
            message = self.engine.decode(frame)
            parts = [self.engine.decode(part) for part in message.parts] if isinstance(message, Bundle) else [message]
            if sender != member or not any(isinstance(part, Proposal) for part in parts):
                deliver(sender, to, frame)

        self._deliver = withhold  # type: ignore[method-assign]

    def live(self, me: int, steps: int = 12) -> None:
        """Let an agent take steps of its own."""
        host = self.hosts[me]
        for step in range(steps):
            host.table.agent.learn(step % 5, (me + step) % 4, 0.5, (step + 1) % 5, False)
        host.lived()

    def crash(self, me: int) -> None:
        self.hosts.pop(me).abandon()

    def hashes(self) -> set[tuple[int, bytes]]:
        return {(host.member.state.round, host.member.state.hash) for host in self.hosts.values()}

    async def until(self, holds: Callable[[], bool], why: str, timeout_s: float = 10.0) -> None:
        await until(holds, why, timeout_s)

    def end(self) -> None:
        for me in list(self.hosts):
            self.crash(me)


async def until(holds: Callable[[], bool], why: str, timeout_s: float = 10.0) -> None:
    """Wait for something, with a deadline."""
    try:
        async with asyncio.timeout(timeout_s):
            while not holds():
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"in vain, for {timeout_s} s: {why}") from None
