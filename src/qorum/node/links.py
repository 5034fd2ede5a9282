"""`Links`: a node's links to the others: who is let in, one link for each pair of nodes, and which frame goes where.

A node dials every address it is given until a link leads there, and takes in whoever dials it. Two nodes that dial each
other at once both keep the link that the one with the smaller key has dialled. Members go by their index; newcomers and
observers, who have none, by ids beyond all seats: `GUEST` and up for those hosted here, `REMOTE` and up for others.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from random import Random
from typing import NamedTuple

from qorum.core.roster import MAX_SEATS, Roster
from qorum.identity import Signer, verify
from qorum.node.backoff import Backoff
from qorum.node.budget import Budgets
from qorum.node.conduct import Conduct
from qorum.node.counts import Counts
from qorum.node.debts import Debts
from qorum.node.envelope import Envelope, decode, encode
from qorum.node.handshakes import Handshakes
from qorum.node.hello import Check, Nonces, Party, Peer
from qorum.node.link import Link, Owed
from qorum.node.refusals import Refusals
from qorum.node.refused import Reason, Refused
from qorum.node.status import LinkStatus
from qorum.node.transport import Closed, Connection, Transport

GUEST = MAX_SEATS
"""First id of those without a seat that are hosted here,"""
REMOTE = 2 * MAX_SEATS
"""and of those that others host; none of these is used twice."""
RACE_S = 20.0
"""Links of one pair of nodes made within this time were dialled by both at once: later, the newer one counts."""
MODEST_S = 60.0
"""Seconds that a link without claims lasts, which sends little: by then the other end may know the seats."""
STEADY_S = 10.0
"""A link that has lasted so long was a success: the next dial does not wait long."""
UNFORGIVEN = {Reason.MALFORMED, Reason.OVERSIZED, Reason.TOO_FAST}
"""No honest node gives these reasons to end a link: its members are refused for a while."""
ENDS = "this node ends"
UNTRIED = "not dialled yet"
REKEYED = "a member of it has a new key, and proves it on another link"

OnFrame = Callable[[int, int, bytes], None]
"""(to, sender, frame): a frame has come for somebody hosted here. Must not raise."""
OnLost = Callable[[frozenset[int]], None]
"""(members): the last link to them is down. Must not raise."""

log = logging.getLogger("qorum.node")


class Dial:
    """An address that this node wants a link to."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.state = UNTRIED
        """For people, while no link leads there."""
        self.keys: tuple[bytes, ...] = ()
        """Whom the node there has proven to host."""
        self.as_guest = False
        """Whether to claim no seats there: the node knows nothing of these, so it is behind and has to be told."""


class Route(NamedTuple):
    """How to reach a member."""

    link: Link
    place: int
    """In the proof of the node at the other end."""


class Links:
    """All links of a node. Lives in the event loop that `start` is called in."""

    def __init__(
        self,
        roster: Roster,
        identities: Sequence[Signer],
        transport: Transport,
        peers: Sequence[str],
        on_frame: OnFrame,
        *,
        on_lost: OnLost = lambda members: None,
        metrics: Counts,
        budgets: Budgets | None = None,
        insecure: bool = False,
        verify: Check = verify,
    ) -> None:
        """identities: of all that are hosted here, at least one. peers: addresses to dial, as the transport has them.

        insecure: whether to make do without TLS where others could listen in.
        """
        self._roster, self._identities, self._transport = roster, tuple(identities), transport
        self._on_frame, self._on_lost = on_frame, on_lost
        self._metrics = metrics
        self._budgets = budgets or Budgets()
        self._refusals, self._nonces = Refusals(metrics), Nonces()
        # Each member hosted here may blame somebody for one and the same frame.
        self._conduct = Conduct(self._budgets.errors * len(self._identities), self._budgets.refuse_s)
        self._received, self._sent = Debts(), Debts()
        self._dials = [Dial(address) for address in peers]
        self._found: dict[str, tuple[Dial, asyncio.Task[None]]] = {}
        """By address: those that the transport has found by itself."""
        self._links: list[Link] = []
        """Proven ones, the oldest first."""
        self._routes: dict[int, Route] = {}
        """Id -> the newest link that proves it."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._handshakes, self._verify = Handshakes(insecure=insecure), verify
        self._ends = False
        self._next_guest = REMOTE
        self._random = Random()
        self._places = {identity.public_key: place for place, identity in enumerate(self._identities)}
        self._enroll_mine()

    # --- life ---

    async def start(self) -> None:
        """Take links in, and dial."""
        self._loop = asyncio.get_running_loop()
        await self._transport.start(self._accept, self._seen)
        for dial in self._dials:
            self._spawn(self._keep(dial))

    async def stop(self) -> None:
        """Close all links, in two or three seconds at most."""
        self._ends = True
        while tasks := list(self._tasks):
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        await self._transport.stop()

    def _spawn(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # --- frames ---

    def send(self, sender: int, to: Sequence[int], frame: bytes) -> None:
        """Put a frame of somebody hosted here on its way to others; each node gets it once. Returns at once.

        Whoever cannot be reached does not get it; gossip makes up for that. Raises `KeyError` for a foreign sender.
        """
        place = self._mine[sender]
        parcels: dict[Link, list[int]] = {}
        for id in dict.fromkeys(to):
            if id in self._mine:
                self._loop.call_soon(self._on_frame, id, sender, frame)
            elif route := self._routes.get(id):
                parcels.setdefault(route.link, []).append(route.place)
            else:
                self._metrics.dropped.labels("unreachable").inc()
        for link, places in parcels.items():
            link.put(encode(Envelope(place, tuple(places), frame)))

    def _on_message(self, link: Link, message: bytes) -> None:
        """An envelope has come: hand the frame in it over, if its sender is proven and welcome."""
        envelope = decode(message)
        if envelope.sender >= len(link.keys) or max(envelope.to) >= len(self._identities):
            self._metrics.dropped.labels("unproven").inc()
            self._charge(link, link.keys, "a frame from or to somebody that is not proven on its link")
            return
        if self._conduct.refuses(link.keys[envelope.sender], time.monotonic()):
            self._metrics.dropped.labels("muted").inc()
            return
        for place in envelope.to:
            self._on_frame(self._ids[place], link.ids[envelope.sender], envelope.frame)

    # --- conduct ---

    def blame(self, peer: int, reason: str) -> None:
        """A member, or guest, has sent what no honest one sends. One that does so often is refused for a while.

        So is its node, if that hosts nobody else.
        """
        route = self._routes.get(peer)
        if route is not None:
            self._charge(route.link, (route.link.keys[route.place],), reason)

    def _charge(self, link: Link, keys: Sequence[bytes], reason: str) -> None:
        now = time.monotonic()
        self._metrics.blames.inc()
        self._conduct.err(keys, now)
        if all(self._conduct.refuses(key, now) for key in link.keys):
            link.end(Refused(Reason.ERRORS, f"too many errors; the last: {reason}"))

    # --- who is who ---

    def id_of(self, key: bytes) -> int:
        """What somebody hosted here goes by: its seat, or an id from `GUEST` up while it has none."""
        return self._ids[self._places[key]]

    @property
    def reachable(self) -> frozenset[int]:
        """Members that are hosted here or at the end of a link."""
        return frozenset(id for id in {*self._mine, *self._routes} if id < MAX_SEATS)

    def reaches(self, member: int) -> bool:
        """Whether a member is one of `reachable`."""
        return member in self._mine or member in self._routes

    def update(self, roster: Roster) -> None:
        """The membership has changed. Guests that were admitted are members at once; who lost its seat has to go."""
        if roster.epoch <= self._roster.epoch:  # a member that catches up goes through old ones
            return
        self._roster = roster
        self._enroll_mine()
        for link in self._links:
            before = link.members
            self._enroll(link)
            if not set(before) <= set(link.members):
                link.end(Refused(Reason.UNKNOWN_MEMBER, f"a member of it has lost its seat or key in {roster.epoch}"))
        self._reroute()

    def replace(self, old: bytes, new: Signer) -> None:
        """Somebody hosted here has a new key: links that prove the old one give way to new ones."""
        self._identities = tuple(new if one.public_key == old else one for one in self._identities)
        self._places = {identity.public_key: place for place, identity in enumerate(self._identities)}
        self._enroll_mine()
        for link in self._links:
            link.end(Closed(REKEYED))

    def _enroll_mine(self) -> None:
        self._ids = self._seats(tuple(self._places), GUEST)
        self._mine = {id: place for place, id in enumerate(self._ids)}

    def _enroll(self, link: Link, owed: Owed | None = None) -> None:
        link.allow(self._seats(link.keys, link.first_guest), self._ids, owed)

    def _seats(self, keys: Sequence[bytes], first_guest: int) -> tuple[int, ...]:
        """The seat of each key, or an id that says it has none."""
        seats = [self._roster.seat_of(key) for key in keys]
        return tuple(first_guest + place if seat is None else seat for place, seat in enumerate(seats))

    def _reroute(self) -> None:
        """Find anew which link leads to whom; one that leads to nobody is of no use."""
        self._routes = {id: Route(link, place) for link in self._links for place, id in enumerate(link.ids)}
        used = {route.link for route in self._routes.values()}
        for link in self._links:
            if link not in used:
                link.end(Refused(Reason.DUPLICATE, "a newer link leads there"))
        self._metrics.links.set(len(self._links))
        self._metrics.reachable.set(len(self.reachable))

    # --- connections ---

    def _seen(self, address: str, is_there: bool) -> None:
        """The transport has found a node by itself, or lost it: dial it as long as it is there."""
        if is_there and address not in self._found and not self._ends:
            if len(self._found) < MAX_SEATS:  # a federation has no more nodes
                dial = Dial(address)
                self._dials.append(dial)
                self._found[address] = dial, self._spawn(self._keep(dial))
        elif not is_there and address in self._found:
            dial, keeping = self._found.pop(address)
            self._dials.remove(dial)
            keeping.cancel()

    async def _keep(self, dial: Dial) -> None:
        """Dial, and dial again, as long as no link leads there."""
        backoff = Backoff(self._random)
        while True:
            begun = time.monotonic()
            try:
                connection = await self._transport.connect(dial.address)
                self._metrics.dials.labels("connected").inc()
                await self._serve(connection, dial)
            except Closed as closed:
                self._metrics.dials.labels("failed").inc()
                dial.state = closed.why
            if time.monotonic() - begun > STEADY_S:
                backoff.reset()
            await asyncio.sleep(backoff.next())
            while link := self._link_to(dial.keys):
                await link.ended()

    def _link_to(self, keys: tuple[bytes, ...]) -> Link | None:
        return next((link for link in self._links if link.keys == keys), None)

    async def _accept(self, connection: Connection) -> None:
        """Somebody has dialled this node."""
        if self._ends:
            await connection.close(ENDS)
        else:
            await asyncio.wait([self._spawn(self._serve(connection, None))])

    async def _serve(self, connection: Connection, dial: Dial | None) -> None:
        """A connection, from the handshake to its end. dial: why it was made; None if the other end made it."""
        why, link = ENDS, None
        try:
            link = await self._introduce(connection, dial)
            await self._carry(link)
        except Refused as refused:
            why = refused.reason.value
            self._refusals.note(connection.peer, refused)
            if dial is not None:
                dial.state = f"refused it: {refused}"
        except Closed as closed:
            why = "closed"
            self._note_closed(connection, dial, closed, was_up=link is not None)
        except Exception:  # a fault in here, or in who is given frames, costs one link and not the node
            why = "a fault of this node"
            log.exception("link failed", extra={"facts": _facts(connection)})
        finally:
            await connection.close(why)

    async def _carry(self, link: Link) -> None:
        """A link, while it lasts."""
        self._add(link)
        if link.modest:
            self._loop.call_later(MODEST_S, link.end, Closed("comes again, and claims its seats"))
        try:
            await link.run(self._on_message)
        except Refused as refused:
            if refused.reason in UNFORGIVEN:
                self._conduct.refuse(link.keys, time.monotonic())
            raise
        finally:
            self._remove(link)

    def _note_closed(self, connection: Connection, dial: Dial | None, closed: Closed, *, was_up: bool) -> None:
        by_refusal = closed.why in set(Reason)
        level = logging.WARNING if by_refusal and closed.why != Reason.DUPLICATE else logging.DEBUG
        event = "refused by peer" if by_refusal else "closed"
        log.log(level, event, extra={"facts": _facts(connection, why=closed.why)})
        if dial is not None:
            dial.state = f"refused by it: {closed.why}" if by_refusal else f"closed: {closed.why}"
            # A link that was up was ended by news of the membership: whoever knows them too is a member at once.
            dial.as_guest = not was_up and closed.why in (Reason.UNKNOWN_MEMBER, Reason.WRONG_KEY)

    # --- letting in ---

    async def _introduce(self, connection: Connection, dial: Dial | None) -> Link:
        """Shake hands. Raises `Closed`, or `Refused` for whoever is not welcome."""
        party, dials, modest = self._party(), dial is not None, dial is not None and dial.as_guest
        admit = partial(self._admit, dial)
        peer = await self._handshakes.shake(connection, party, admit, dials=dials, as_guest=modest)
        if party.identities is not self._identities:
            raise Closed(REKEYED)
        link = Link(connection, peer, dialled=dials, budgets=self._budgets, metrics=self._metrics)
        link.modest = modest
        return link

    def _party(self) -> Party:
        takes = self._budgets
        rates = takes.bytes_per_second, takes.messages_per_second
        return Party(self._roster, self._identities, self._nonces, *rates, self._verify)

    def _admit(self, dial: Dial | None, peer: Peer) -> None:
        """Raise `Refused` if somebody who is proven is not welcome now."""
        now = time.monotonic()
        if all(self._conduct.refuses(key, now) for key in peer.keys):
            wait = self._conduct.remaining(peer.keys, now)
            raise Refused(Reason.ERRORS, f"its members broke the rules; welcome again in {wait:.0f} s")
        if dial is not None:
            dial.keys = peer.keys
        guests = sum(not link.members for link in self._links)
        if not any(map(self._has_seat, peer.keys)) and guests >= self._budgets.guests:
            raise Refused(Reason.UNKNOWN_MEMBER, f"it has no seat, and there is no room for more than {guests} guests")

    def _has_seat(self, key: bytes) -> bool:
        return self._roster.seat_of(key) is not None

    def _add(self, link: Link) -> None:
        """A link is up. Raises `Refused` if another one leads to the same node and is to be kept."""
        rival = self._link_to(link.keys)
        if rival is not None and not self._is_better(link, rival):
            raise Refused(Reason.DUPLICATE, "a link leads there")
        link.first_guest = self._next_guest
        self._next_guest += len(link.keys)
        self._enroll(link, self._owed(link.keys))
        self._links.append(link)
        self._reroute()
        log.info("link up", extra={"facts": _facts(link.connection, members=link.members, dialled=link.dialled)})

    def _is_better(self, link: Link, rival: Link) -> bool:
        """Whether to keep the newer one of two links that lead to the same node."""
        if link.dialled == rival.dialled or link.since - rival.since > RACE_S:
            return True  # who dials again knows that the older one is dead
        return link.dialled == (min(self._places) < min(link.keys))

    def _owed(self, keys: Sequence[bytes]) -> Owed:
        now = time.monotonic()
        return Owed(self._received.of(keys, now), self._sent.of(keys, now))

    def _remove(self, link: Link) -> None:
        self._links.remove(link)
        now = time.monotonic()
        for debts, owed_s in zip((self._received, self._sent), link.owed(now), strict=True):
            debts.note(link.member_keys, owed_s, now)
        self._reroute()
        self._on_lost(frozenset(link.members) - self.reachable)
        log.info("link down", extra={"facts": _facts(link.connection, members=link.members)})

    # --- telling ---

    def status(self) -> tuple[LinkStatus, ...]:
        """Every link, and every address that none leads to."""
        linked = {link.keys for link in self._links}
        missing = [dial for dial in self._dials if dial.keys not in linked]
        return (*map(_status, self._links), *map(_missing, missing))


def _status(link: Link) -> LinkStatus:
    return LinkStatus(
        peer=link.connection.peer,
        members=link.members,
        state="up" if link.members else "up, a guest",
        sent_bytes=link.sent_bytes,
        received_bytes=link.received_bytes,
        queued_bytes=link.outbox.size,
    )


def _missing(dial: Dial) -> LinkStatus:
    return LinkStatus(peer=dial.address, members=(), state=dial.state, sent_bytes=0, received_bytes=0, queued_bytes=0)


def _facts(connection: Connection, **facts: object) -> dict[str, object]:
    return {"peer": connection.peer, **facts}
