"""`Tab`: one member in a page, put together: what `Node` is for a process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import msgspec

from qorum.agent import QAgent
from qorum.browser.actor import Actor
from qorum.browser.answers import Answers
from qorum.browser.key import Key
from qorum.browser.platform import Platform
from qorum.browser.shelf import Shelf
from qorum.browser.sockets import Sockets
from qorum.browser.tallies import Tallies
from qorum.core.effects import Blame, Committed, Equivocation
from qorum.core.genesis import Genesis
from qorum.core.member import Engine
from qorum.core.questions import questions, questions_at_start
from qorum.errors import QorumError
from qorum.node.birth import revived
from qorum.node.host import Host
from qorum.node.links import Links
from qorum.node.status import LinkStatus

INBOX = 4096
"""Frames that may wait; with more, the newest are dropped: gossip brings them again."""

log = logging.getLogger("qorum.browser")


class Tab:
    """A member of a federation, or a guest, that dials some nodes. Lives in the event loop it is made in."""

    def __init__(self, platform: Platform, genesis: Genesis, agent: QAgent, nodes: Sequence[str]) -> None:
        """nodes: addresses of their ports for peers, `ws://...` or `wss://...`."""
        self._platform, self._genesis, self._agent, self._nodes = platform, genesis, agent, nodes
        self._answers = Answers(platform)
        self._key = Key(platform, self._answers)
        self._shelf = Shelf(platform, genesis)
        self._inbox: list[tuple[int, bytes]] = []
        self._came = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.tallies = Tallies()
        self.revivals = 0
        """How often it has started again because of a signature that nobody foresaw."""
        self._links: Links | None = None

    # --- life ---

    async def start(self) -> None:
        """Come up, and dial. Raises `StoreError`, `ConfigError` or `IdentityError`."""
        self.host = await self._host()
        self.host.start()
        self._spawn(self._read())
        await self.dial()

    async def stop(self) -> None:
        """End: what the member said last still leaves, and what the agent has seen is kept."""
        await self.host.stop()
        await self.hang_up()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._shelf.settled()

    async def dial(self) -> None:
        """Reach for the nodes, from now on and whenever a link is lost."""
        if self._links is None:
            roster, identities = self.host.member.roster, [self._key]
            self._links = Links(
                roster, identities, Sockets(self._platform), self._nodes, self._deliver,
                on_lost=self._lost, metrics=self.tallies, verify=self._answers.check,
            )  # fmt: skip
            await self._links.start()

    async def hang_up(self) -> None:
        """Be cut off: no links, and none are made."""
        links, self._links = self._links, None
        if links is not None:
            await links.stop()

    async def _host(self) -> Host:
        await self._shelf.settled()
        kept = await self._shelf.load()
        roster = self._genesis.roster if kept.state is None else kept.state.roster
        await self._answers.learn(questions_at_start(roster, kept.commit, kept.payloads))
        engine = Engine(self._answers.verify)
        return revived(
            self._genesis, self._key, kept, self._agent, self._shelf, engine, self._route, self, Actor
        )  # fmt: skip

    def _spawn(self, work: asyncio._CoroutineLike[None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- frames ---

    def _route(self, sender: bytes, to: tuple[int, ...], frame: bytes) -> None:
        if self._links is not None:
            self._links.send(self._links.id_of(sender), to, frame)

    def _deliver(self, to: int, sender: int, frame: bytes) -> None:
        if len(self._inbox) < INBOX:
            self._inbox.append((sender, frame))
            self._came.set()

    async def _read(self) -> None:
        """Hand frames over once the signatures in them were looked at."""
        while True:
            await self._came.wait()
            self._came.clear()
            frames, self._inbox = self._inbox, []
            member = self.host.member
            try:
                await self._answers.learn(question for _, frame in frames for question in questions(member, frame))
            except QorumError as error:  # whoever can check no signature has no business here
                self.host.abandon()
                self._tell("failed", {"reason": str(error)})
                return
            for sender, frame in frames:
                self.host.receive(sender, frame)

    def _lost(self, members: frozenset[int]) -> None:
        self.host.lost(members)
        if not self.links or not any(link.members for link in self.links):
            self._tell("lost", {"members": sorted(members)})

    @property
    def links(self) -> tuple[LinkStatus, ...]:
        """Every link, and every address that none leads to."""
        return () if self._links is None else self._links.status()

    @property
    def reachable(self) -> list[int]:
        """Members at the other end of links, and this one."""
        return [] if self._links is None else sorted(self._links.reachable)

    # --- what happens: `host.Witness` ---

    def agreed(self, host: Host, committed: Committed, latencies: Sequence[float]) -> None:
        """A round is agreed and durable."""
        if committed.epochs and self._links is not None:
            self._links.update(committed.state.roster)
        self._tell("round", {"round": committed.state.round, "term": committed.term, "latencies_s": list(latencies)})

    def blamed(self, host: Host, blame: Blame) -> None:
        """A peer sent what no honest member sends."""
        log.warning("member %d is to blame: %s", blame.peer, blame.reason)
        if self._links is not None:
            self._links.blame(blame.peer, blame.reason)

    def equivocated(self, host: Host, proof: Equivocation) -> None:
        """A member signed two bodies for one slot."""
        self._tell("equivocation", {"member": proof.member})

    def failed(self, host: Host, reason: str) -> None:
        """The host has stopped by itself."""
        if self._answers.surprise is not None:
            self._spawn(self._revive())
        else:
            self._tell("failed", {"reason": reason})

    def reaches(self, member: int) -> bool:
        """Whether a message may get to a member: others pass on what pages tell each other."""
        return len(self.reachable) > 1

    async def _revive(self) -> None:
        """Start again, as after a crash, knowing what was asked."""
        question, self._answers.surprise = self._answers.surprise, None
        self.revivals += 1
        try:
            await self._answers.learn([] if question is None else [question])
            lies, self.host = self.lies, await self._host()
            self.lie(lies)
            self.host.start()
        except QorumError as error:
            self._tell("failed", {"reason": str(error)})

    @property
    def lies(self) -> bool:
        """Whether it does."""
        return isinstance(self.host.table, Actor) and self.host.table.lies

    def lie(self, lies: bool) -> None:
        """Whether to tell the others the opposite of what the agent has seen."""
        assert isinstance(self.host.table, Actor)
        self.host.table.lies = lies

    def _tell(self, event: str, facts: dict[str, object]) -> None:
        self._platform.tell(event, msgspec.json.encode(facts).decode())
