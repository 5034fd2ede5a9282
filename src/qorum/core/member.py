"""`Member`: one member's whole protocol. Events in, effects out.

Theory of operation. A member holds the agreed `State`, the `Streams` of contributions beyond it, and its part in the
`Consensus` on the next round. Contributions travel by gossip; the first with news opens the window of a round; the
leader proposes a cut once the window closes; two votes later the cut is agreed, every member applies it by the same
pure function, and the next window may open. Whoever is behind is shown commits one by one, or a state in chunks.

Every method returns the effects to carry out, in order. Whatever comes from a peer is checked in this order: size and
form (while decoding), whether it is news (most messages arrive more than once), signatures, meaning.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from random import Random
from typing import ClassVar, NamedTuple

import msgspec

from qorum.core import membership, wire
from qorum.core.antientropy import Drought, delta_for, digest_of, root_of
from qorum.core.catchup import CatchUp, Library
from qorum.core.columns import Columns
from qorum.core.consensus import Consensus, Signed, Verdict, forged, proposal_bytes, vote_bytes
from qorum.core.docket import Docket
from qorum.core.effects import (
    Blame,
    Committed,
    Effect,
    Equivocation,
    Keep,
    SetTimer,
    Sign,
    Timer,
    WindowOpened,
)
from qorum.core.genesis import Genesis
from qorum.core.gossip import AUTHOR_SHARE, OPENER_SHARE, STRAIGHT, VOTER_SHARE, Gossip
from qorum.core.messages import (
    NIL,
    Announce,
    Behind,
    Bundle,
    Change,
    Chunk,
    Commit,
    Contribution,
    CutBody,
    Digest,
    Epochs,
    Evidence,
    Fetch,
    Item,
    Items,
    Kind,
    Manifest,
    Message,
    Origin,
    Petition,
    Proposal,
    Pull,
    Root,
    Value,
    ValueBody,
    Votes,
    place,
)
from qorum.core.roster import Roster
from qorum.core.service import Service
from qorum.core.state import ORIGIN, Entry, State, contribution_bytes
from qorum.core.streams import Broken, Missing, Streams
from qorum.core.values import Values
from qorum.core.verify import Verify
from qorum.core.votes import FIRST, SECOND, Tally, well_formed
from qorum.errors import ProtocolError, QorumError

EARLY_BYTES = 4 << 20
"""Bytes of messages of the next round that are kept; what does not fit comes again by anti-entropy."""
REFILL_TICKS = 25
"""Ticks between two refills of what each member may add to its stream while no round is agreed."""
RELAYED_SHARE = 1 / 2
"""Of a quorum of votes, how much is relayed; past that they travel by anti-entropy alone."""
BUSY_HASTE = 1
"""How many times sooner, less one, the next tick comes while a round is under way,"""
TIGHT_HASTE = 3
"""and while it is with hardly more members than a quorum."""
DRY_PEERS = 1
"""At most so many members to compare with at a time when it has."""
CLAIMS = 16
"""Petitions, and pieces of evidence, of one peer that are checked in a tick."""
CITERS = 16
"""Of those who cite a certificate that a leader lacks, how many it asks."""
NOBODY = -1
"""In place of a peer, where an allowance is for all of them together."""


class Engine(NamedTuple):
    """The costly pure functions. A simulator passes versions that remember their results."""

    verify: Verify
    forged: Callable[[Votes, int, Roster, Verify], int | None] = forged
    read: Callable[[Item, bytes, Genesis, Verify], Entry] = Entry.read
    apply: Callable[[State, list[Entry], Change | None], State] = State.apply
    decode: Callable[[bytes], Message] = wire.decode


class Parts(NamedTuple):
    """What a member is made of; a subclass of `Member` may put others in their place."""

    consensus: type[Consensus] = Consensus
    streams: type[Streams] = Streams
    values: type[Values] = Values
    gossip: type[Gossip] = Gossip
    service: type[Service] = Service


class Member:
    """One member of a federation, or an observer that holds no seat, or none yet."""

    parts: ClassVar[Parts] = Parts()

    def __init__(
        self,
        genesis: Genesis,
        me: int | None,
        engine: Engine,
        random: Random,
        *,
        key: bytes | None = None,
        state: State | None = None,
        commit: Commit | None = None,
        record: bytes | None = None,
        epochs: Sequence[Commit] = (),
        payloads: Sequence[Keep] = (),
        checkpoint: bytes | None = None,
    ) -> None:
        """Founding member `me`, or whoever holds the public `key`: a member once a round has admitted it.

        After a restart: state and commit of the newest `Committed`, record of the newest `Persist`, the epochs of all
        `Committed` so far, and the payloads of every `Keep` since the last one. checkpoint: hash of a value that a
        newcomer was told to trust. Raises `StoreError` if the state is older than the record.
        """
        self._engine = engine
        self.genesis = genesis
        self.key = genesis.public_keys[me] if key is None and me is not None else key
        self.state = state or State.initial(genesis)
        self.me = self._seat()
        self.streams = self.parts.streams(genesis, self.state.heads)
        self.values = self.parts.values(genesis, self.streams, engine.verify, engine.apply)
        self.consensus = self.parts.consensus(
            genesis, self.me, self, record, self.state.round + 1, self.roster, self.state.leaders
        )
        self.gossip = self.parts.gossip(genesis, self.me, random, self.roster)
        self.library = Library(genesis, epochs)
        if commit is not None and self._can_show(commit):
            self.library.keep(self.state, commit, restarted=True)
        self.service = self.parts.service(self.gossip, self.streams, self.values, self.consensus, self.library)
        self.catchup = CatchUp(genesis, self.gossip, engine.verify, self._proven, checkpoint)
        self.catchup.enter(self.state)
        self._agreed: list[Committed] = []
        """Comes before all other effects of an event."""
        self._effects: list[Effect] = []
        self.last_commit = commit
        """Proof of the newest agreed round; None before the first."""
        self.values.enter(self.state, ORIGIN if commit is None else _hash(commit.value))
        self._keeps: list[Keep] = []
        """Payloads of values that have to be durable before this member votes for them."""
        self._recall(payloads)
        self._early: list[tuple[int, Message]] = []
        """Messages of the next round; bounded, replayed on entering it."""
        self._early_bytes = 0
        self._twofaced: set[int] = set()
        """Terms of this round whose leader signed two proposals."""
        self.docket = Docket(self.roster, engine.verify)
        self._gaps: dict[bytes, Missing] = {}
        """Value -> what it cites that is not yet held."""
        self._undelivered: tuple[bytes, Votes] | None = None
        """A decided value whose items are still being fetched."""
        self._window = 0
        """Round whose window this member has seen open."""
        self._collecting = 0
        own = list(map(_seq, self.consensus.durable.own))
        self._own_seq = max([self._head_seq(), *own])
        """Seq of the last contribution this member signed, or is about to."""
        self._unsigned = set(own)
        """Seqs of contributions whose signature is awaited."""
        self._teacher: int | None = None
        self._ticks = 0
        self._drought = Drought()

    def _can_show(self, commit: Commit) -> bool:
        """Whether a commit from before a restart is proven: a newcomer's checkpoint was only trusted."""
        try:
            return commit in self.library.epochs or self._proven(commit, self.roster) is not None
        except ProtocolError:
            return False

    def _recall(self, payloads: Sequence[Keep]) -> None:
        """Hold again what was kept before a restart."""
        for payload in payloads:
            self.values.on_cut(payload.cut)
            for item in payload.items:
                body = wire.contribution(item)
                known = item.hash in self.streams or body.incarnation != self.roster.seats[body.member].incarnation
                if not known and not self._is_past(body):
                    key = self.roster.key(body.member)
                    self.streams.add(self._engine.read(item, key, self.genesis, self._engine.verify))

    @property
    def roster(self) -> Roster:
        """Who decides the current round."""
        return self.state.roster

    def _seat(self) -> int | None:
        return None if self.key is None else self.roster.seat_of(self.key)

    def _head_seq(self) -> int:
        return 0 if self.me is None else self.state.heads[self.me].seq

    # --- events ---

    def start(self) -> list[Effect]:
        """The first event of a member's life, and after every restart."""
        self.gossip.tick(0)
        self.consensus.resume()
        return self._done()

    def receive(self, peer: int, frame: bytes) -> list[Effect]:
        """A frame from a connected member, or from a guest with an id of its own beyond all seats.

        Never raises: a broken frame is blamed on the peer.
        """
        try:
            limit = wire.MAX_FRAME if self.me is None else self.gossip.frame_limit
            if len(frame) > limit:
                raise ProtocolError(f"frame of {len(frame)} bytes; the limit is {limit}")
            self._handle(peer, self._engine.decode(frame))
        except ProtocolError as error:
            self._effects.append(Blame(peer, str(error)))
        return self._done()

    def contribute(self, columns: Columns) -> list[Effect]:
        """Sign and send this member's next stream item. Raises `QorumError` unless `may_contribute`.

        Where `restates` is true, the columns must say all over again what no round has taken yet.
        """
        if not self.may_contribute or self.me is None:
            raise QorumError(f"contribution {self._own_seq} is not signed yet, or this member has no seat")
        restates, head = self.restates, self.state.heads[self.me]
        tip = head if restates else self.streams.tips[self.me]
        previous = b"" if tip == head else tip.hash
        self._own_seq += 1
        self._unsigned.add(self._own_seq)
        payload = columns.pack() if columns.says_anything else b""
        body = Contribution(self.me, tip.incarnation, self._own_seq, previous, self.state.round, payload)
        needed = self.streams.needed
        self.consensus.contribute(body.base, wire.encode(body), restates=restates, needed=needed)
        return self._done()

    @property
    def may_contribute(self) -> bool:
        """Whether this member has a seat, and all it has said so far, also before a restart, is signed."""
        return self.me is not None and not self._unsigned

    @property
    def restates(self) -> bool:
        """Whether the next contribution has to take the place of all that no round has taken.

        So it is when no more would fit into one round, and when a round took an earlier one than it links to.
        """
        if self.me is None:
            return False
        beyond_tip = self._own_seq > self.streams.tips[self.me].seq
        return beyond_tip or self.uncommitted >= self.genesis.config.max_items_per_round

    @property
    def catching_up(self) -> bool:
        """Whether the current round is decided and some of its contributions are still being fetched."""
        return self._undelivered is not None

    @property
    def halted(self) -> bool:
        """Whether the current round was decided on a bad value: more members lie than are tolerated."""
        return self.consensus.decided and self._undelivered is None

    @property
    def uncommitted(self) -> int:
        """Own contributions that no round has taken yet, and that were not restated since."""
        return 0 if self.me is None else self.streams.waiting(self.me)

    def petition(self, petition: Petition) -> list[Effect]:
        """Ask for a change of membership. Raises `ProtocolError` unless it is entitled to happen.

        Whoever asks again has everybody told again: those who could not be reached, or were not there yet.
        """
        self.docket.hear_petition(msgspec.structs.replace(petition, epoch=self.roster.epoch))
        for held in self.docket.petitions:
            if held.change == petition.change:
                self._tell_of(held)
        return self._done()

    def signed(self, request: Sign, signature: bytes) -> list[Effect]:
        """The answer to a `Sign` effect: the message is taken note of and sent."""
        if request.kind is Kind.CONTRIBUTION:
            self._say_item(Item(request.body, signature))
        else:
            self._say(wire.decode(request.body), signature)
        return self._done()

    def _say_item(self, item: Item) -> None:
        self._unsigned.discard(wire.decode_body(Contribution, item.body).seq)
        assert self.key is not None
        entry = self._engine.read(item, self.key, self.genesis, self._engine.verify)
        if not self._is_past(entry.body):
            self.gossip.spread(item)
            self._take_items([entry])

    def _say(self, unsigned: Message, signature: bytes) -> None:
        """Send an own vote or proposal, and count it."""
        if isinstance(unsigned, Votes):
            votes = unsigned.signed(signature)
            self.gossip.push(votes, VOTER_SHARE)
            if votes.round == self.consensus.round:
                self.consensus.on_votes(votes)
        elif isinstance(unsigned, Proposal):
            proposal = unsigned.signed(signature)
            self.values.note_sketch(proposal.value, proposal.sketch)
            self.gossip.push(proposal, AUTHOR_SHARE)
            if proposal.round == self.consensus.round:
                self.consensus.on_proposal(proposal)

    def timer(self, timer: SetTimer) -> list[Effect]:
        """A timer set by a `SetTimer` effect fired."""
        if timer.name is Timer.TICK:
            self._tick()
        elif timer.name is Timer.FLUSH:
            self.gossip.flush(self._relayed_votes())
        elif timer.name is Timer.COLLECT:
            if timer.round == self.consensus.round:
                self.consensus.close_window()
        else:
            self.consensus.on_timer(timer)
        return self._done()

    def _done(self) -> list[Effect]:
        """The agreed state, then the record, then what these imply."""
        self._convict_voters()
        done: list[Effect] = [*self._agreed, *self._keeps, *self.consensus.take_effects(), *self._effects]
        self._agreed, self._keeps, self._effects = [], [], []
        return done + self.gossip.take_effects()

    # --- messages ---

    def _handle(self, peer: int, message: Message) -> None:
        match message:
            case Votes():
                self._on_votes(peer, message)
            case Announce():
                self.gossip.hear(self.streams.lacking(message.items), peer)
            case Items():
                self._on_items(message.items)
            case Pull():
                self.service.on_pull(peer, message)
            case Digest():
                self._on_digest(peer, message)
            case Bundle():
                self._on_bundle(peer, message)
            case Root():
                self._on_root(peer, message)
            case Commit():
                self._on_commit(peer, message)
            case Proposal():
                self._on_proposal(peer, message)
            case Item():
                self._on_items((message,))
            case ValueBody():
                self._on_value_body(message)
            case CutBody():
                self._on_cut_body(message)
            case Evidence():
                self._on_evidence(peer, message)
            case Petition():
                self._on_petition(peer, message)
            case _:
                self._on_catching_up(peer, message)

    def _on_bundle(self, peer: int, bundle: Bundle) -> None:
        for part in bundle.parts:
            message = self._engine.decode(part)
            if isinstance(message, Bundle):
                raise ProtocolError("a bundle inside a bundle")
            self._handle(peer, message)

    def _on_catching_up(self, peer: int, message: Message) -> None:
        match message:
            case Behind():
                self.service.on_behind(peer, message)
            case Fetch():
                self.service.on_fetch(peer, message)
            case Origin():
                self.catchup.on_origin(peer, message)
            case Epochs():
                self.catchup.on_epochs(peer, message)
            case Manifest():
                self.catchup.on_manifest(peer, message)
            case Chunk():
                self._on_chunk(message)

    def _of_this_round(self, peer: int, round: int, message: Message) -> bool:
        """Whether a message is of the current round; others are kept, answered with help, or ask for it."""
        current = self.consensus.round
        if round == current:
            return True
        if round < current:
            if self.gossip.may_serve(peer, "root"):  # it asks for what it lacks, see `_on_root`
                self.gossip.send([peer], self._root())
        elif round == current + 1 and self._keep_early(peer, message):
            pass
        elif self.gossip.may_serve(peer, "ask for help"):
            self.gossip.send([peer], self._digest(answer=True))
        return False

    def _keep_early(self, peer: int, message: Message) -> bool:
        size = len(wire.encode(message))
        fits = len(self._early) < 4 * self.roster.members and self._early_bytes + size <= EARLY_BYTES
        if fits:
            self._early.append((peer, message))
            self._early_bytes += size
        return fits

    # --- votes ---

    def _on_votes(self, peer: int, votes: Votes) -> None:
        if not self._of_this_round(peer, votes.round, votes):
            return
        if not well_formed(votes, self.roster.active_mask):
            raise ProtocolError("votes without a voter, a signature a voter, or with a citation out of place")
        tally = self.consensus.tally
        news = tally.news(votes)
        if not news and votes.mask & tally.seen_from(votes.term):
            return
        self._verify_votes(votes, news, self.roster)
        enough = self.roster.quorum.size * (1 if self._is_tight else RELAYED_SHARE)
        settled = tally.slot(votes.term, votes.step).seen.bit_count() >= enough
        counted = self.consensus.on_votes(votes)
        self._drought.news += counted.fresh.bit_count()
        if counted.fresh and not settled:  # past that, votes travel by anti-entropy alone
            self.gossip.relay((votes.round, votes.term, votes.step, wire.vote_body(votes)), counted.fresh)

    def _convict_voters(self) -> None:
        tally = self.consensus.tally
        for votes, voter in tally.take_twice():
            both = _two_votes(tally, votes, voter, self.roster)
            if len(both) == 2:  # else a jump of terms in the same event has made the tally forget them
                self._convict(voter, *both)

    def _verify_votes(self, votes: Votes, voters: int, roster: Roster) -> None:
        """Raise `ProtocolError` unless each of `voters` signed. Whoever sends votes has checked them itself."""
        voter = self._engine.forged(votes, voters, roster, self._engine.verify)
        if voter is not None:
            raise ProtocolError(
                f"vote of member {voter} in {votes.round}.{votes.term} is not signed by it"
            )

    def _verify_certificate(self, votes: Votes, step: int, roster: Roster) -> None:
        """Raise `ProtocolError` unless these are the votes of a quorum of `roster` for a value."""
        enough = votes.mask.bit_count() >= roster.quorum.size
        formed = well_formed(votes, roster.active_mask)
        if not formed or votes.step != step or not enough or votes.value == NIL:
            raise ProtocolError(f"certificate of {votes.round}.{votes.term} is not a quorum for a value")
        known = votes.round == self.consensus.round and self.consensus.tally.holds(votes)
        if not known:
            self._verify_votes(votes, votes.mask, roster)

    def _proven(self, commit: Commit, roster: Roster) -> Value:
        """The value of a commit, once it is proven that a quorum of `roster` agreed on it."""
        certificate = commit.certificate
        if certificate.value != _hash(commit.value):
            raise ProtocolError("commit certificate is for another value")
        value = wire.decode_body(Value, commit.value)
        if (value.round, value.epoch) != (certificate.round, roster.epoch):
            raise ProtocolError(f"commit of round {value.round} is of another round or epoch than its certificate")
        self._verify_certificate(certificate, SECOND, roster)
        return value

    def _relayed_votes(self) -> list[Votes]:
        """Votes queued for relay, as messages, but for those of slots that have been left or settled since."""
        tally, messages = self.consensus.tally, list[Votes]()
        for (round, term, step, body), mask in self.gossip.take_relayed().items():
            held = mask & tally.slot(term, step).masks.get(body, 0)
            if round == self.consensus.round and held and not tally.has_quorum(term, step):
                messages.append(tally.votes(term, step, body, held))
        return messages

    # --- proposals ---

    def _on_proposal(self, peer: int, proposal: Proposal) -> None:
        if not self._of_this_round(peer, proposal.round, proposal):
            return
        held = self.consensus.proposals.get(proposal.term)
        data = self._proposal_bytes(proposal)
        if held is not None and (proposal.term in self._twofaced or data == self._proposal_bytes(held)):
            return
        leader = self.consensus.leader(proposal.term)
        if not self._engine.verify(self.roster.key(leader), data, proposal.signature):
            raise ProtocolError(
                f"proposal of {proposal.round}.{proposal.term} is not signed by its leader {leader}"
            )
        if held is not None:
            self._twofaced.add(proposal.term)
            both = (self._proposal_bytes(held), held.signature), (data, proposal.signature)
            self._convict(leader, *both)
            return
        self._verify_citation(proposal)
        self.values.note_sketch(proposal.value, proposal.sketch)
        if self.consensus.on_proposal(proposal):
            self.gossip.push(proposal)

    def _proposal_bytes(self, proposal: Proposal) -> bytes:
        return proposal_bytes(self.genesis.federation, self.roster.epoch, proposal)

    def _verify_citation(self, proposal: Proposal) -> None:
        cited = proposal.cited
        if cited is not None:
            place = (cited.round, cited.value)
            if place != (proposal.round, _hash(proposal.value)) or cited.term >= proposal.term:
                raise ProtocolError("proposal cites a certificate for something else")
            self._verify_certificate(cited, FIRST, self.roster)

    def _on_commit(self, peer: int, commit: Commit) -> None:
        certificate = commit.certificate
        if certificate.round < self.consensus.round or self._undelivered is not None:
            return
        if self.catchup.contradicts(certificate.round, certificate.value):
            return
        if not self._of_this_round(peer, certificate.round, commit):
            return
        self._proven(commit, self.roster)
        self._teacher = peer
        self.values.note_sketch(commit.value, commit.sketch)
        self.consensus.on_value(commit.value)
        self.consensus.tally.add(certificate, certificate.term)
        self.consensus.advance()

    # --- what is fetched ---

    def _on_value_body(self, body: ValueBody) -> None:
        if self.gossip.wanted(_hash(body.value)):
            self.gossip.got([_hash(body.value)])
            self.consensus.on_value(body.value)
            self.consensus.advance()

    def _on_cut_body(self, body: CutBody) -> None:
        if self.gossip.wanted(_hash(body.cut)):
            self.gossip.got([_hash(body.cut)])
            self.values.on_cut(body.cut)
            self._go_on()

    # --- contributions ---

    def _on_items(self, items: Sequence[Item]) -> None:
        entries: list[Entry] = []
        try:
            for item in items:
                if item.hash in self.streams:
                    continue
                body = wire.contribution(item)
                if self._has_use_for(body, item.hash):
                    key = self.roster.key(body.member)
                    entries.append(self._engine.read(item, key, self.genesis, self._engine.verify))
        finally:  # those before a broken one count
            self.gossip.announce(entry.place for entry in entries)
            self._take_items(entries)

    def _has_use_for(self, body: Contribution, hash: bytes) -> bool:
        """Whether an item is of a member under the key in force, beyond what is committed, and not too many are."""
        seats = self.roster.seats
        if body.member >= len(seats) and body.base > self.state.round:
            return False  # of a newcomer, seated by a round that this member has yet to hear of
        if body.member >= len(seats):
            raise ProtocolError(f"contribution of member {body.member}; there are {len(seats)}")
        seat = seats[body.member]
        of_use = seat.active and body.incarnation == seat.incarnation and not self._is_past(body)
        if of_use and (self.streams.takes(body.member) or self.gossip.wanted(place(body.member, body.seq))):
            return True
        return self.gossip.wanted(hash)

    def _is_past(self, body: Contribution) -> bool:
        """Whether the committed stream has passed this item."""
        head = self.state.heads[body.member]
        return (body.incarnation, body.seq) <= (head.incarnation, head.seq)

    def _take_items(self, entries: Sequence[Entry]) -> None:
        self.gossip.got(name for entry in entries for name in (entry.hash, entry.place))
        for entry in entries:
            if entry.hash not in self.streams:
                self._hold(entry)
        self._watch_window()
        if self._undelivered is not None or self.consensus.proposals:
            self._go_on()

    def _hold(self, entry: Entry) -> None:
        self._drought.news += 1
        branches = self.streams.add(entry)
        if branches is not None:
            self._convict(entry.body.member, *map(self._signed_item, branches))
        if entry.is_news and self._open_window() and self.roster.members > STRAIGHT:
            self.gossip.push(Items((entry.item,)), OPENER_SHARE)  # whole and at once, so that everybody joins in time

    def _signed_item(self, entry: Entry) -> tuple[bytes, bytes]:
        return contribution_bytes(self.genesis.federation, entry.body, entry.hash), entry.item.signature

    def _go_on(self) -> None:
        """Something that was missing has come."""
        if self._undelivered is not None:
            self._deliver()
        else:
            self.consensus.advance()

    def _open_window(self) -> bool:
        """Open this round's window, if it is not; whether it was opened."""
        opens = self._window < self.consensus.round and self.roster.agrees
        if opens:
            self._window = self.consensus.round
            self._effects.append(WindowOpened(self._window))
        return opens

    def _watch_window(self) -> None:
        """Close the window when all have advanced, or `collect_ms` after a quorum has."""
        if self._window < self.consensus.round:
            return
        advanced = self.streams.advanced(self.consensus.round)
        if advanced < self.roster.quorum.size:
            return
        if advanced == len(self.roster.active):
            self.consensus.close_window()
        elif self._collecting < self.consensus.round:
            self._collecting = self.consensus.round
            delay = self.genesis.config.collect_ms / 1000
            self._effects.append(SetTimer(Timer.COLLECT, delay, self.consensus.round))

    # --- the judge that consensus asks ---

    def fresh_value(self) -> bytes | None:
        """The furthest cut that can be proposed, once a quorum has advanced, and the change that is due."""
        return self.values.fresh(self.docket.due(self.consensus.round))

    def sketch(self, value: bytes) -> bytes:
        """What lets others rebuild the cut of a value."""
        return self.values.sketch(value)

    def judge(self, value: bytes) -> Verdict:
        """Whether a value is valid: right place, enough origins, sound streams, and the result recomputed is equal."""
        if self._lacks(_hash(value)):
            return Verdict.UNKNOWN
        try:
            outcome = self.values.open(value)
        except Missing as gap:
            self._fetch(_hash(value), gap, None)
            self.gossip.hint(gap.names, self._proposers(value))
            return Verdict.UNKNOWN
        except Broken:
            return Verdict.INVALID
        self.streams.needed.update(entry.hash for entry in outcome.entries)  # others may ask for them
        self._keeps += self.values.payload(value)
        return Verdict.VALID

    def _proposers(self, value: bytes) -> list[int]:
        """Who proposed a value: they must hold what it cites, if nobody else does."""
        terms = (term for term, proposal in self.consensus.proposals.items() if proposal.value == value)
        return [leader for leader in map(self.consensus.leader, terms) if leader != self.me]

    def _lacks(self, value_hash: bytes) -> bool:
        gap = self._gaps.get(value_hash)
        return gap is not None and (
            any(hash not in self.streams and self.values.cut_body(hash) is None for hash in gap.hashes)
            or bool(self.streams.lacking(b"".join(gap.places)))
        )

    def _fetch(self, value_hash: bytes, gap: Missing, source: int | None) -> None:
        self._gaps[value_hash] = gap
        self.streams.needed.update(gap.hashes)
        self.gossip.want(gap.names, source)

    def takes_part(self, member: int) -> bool:
        """Whether a contribution of a member to the current round is held."""
        return self.streams.has_advanced(member, self.consensus.round)

    def want(self, value_hash: bytes) -> None:
        """Fetch the body of a value that a quorum voted for."""
        self.gossip.want([value_hash], None)

    def compare_with(self, members: Sequence[int]) -> None:
        """Ask members, as far as it is any use, what they hold that this one does not."""
        self.gossip.send(self.gossip.among(members, CITERS), self._digest(answer=False))

    def decide(self, value: bytes, certificate: Votes) -> None:
        """The round is over: apply the value once all its items are here."""
        if not self.catchup.contradicts(certificate.round, certificate.value):
            self._undelivered = (value, certificate)
            self._deliver()

    def _deliver(self) -> None:
        assert self._undelivered is not None
        raw, certificate = self._undelivered
        if self._lacks(certificate.value):
            return
        try:
            outcome = self.values.open(raw)
        except Missing as gap:
            self._fetch(certificate.value, gap, self._teacher)
        except Broken as broken:
            self._halt(certificate, str(broken))
        else:
            commit = Commit(raw, certificate, self.values.sketch(raw))
            self.streams.commit(outcome.value.round, outcome.entries, outcome.state.heads)
            epochs = () if outcome.value.change is None else (commit,)
            effect = Committed(
                outcome.state, certificate.term, 0, commit, outcome.cut, tuple(outcome.entries), epochs
            )
            self._enter(effect)

    def _halt(self, certificate: Votes, reason: str) -> None:
        """More members lie than are tolerated: take no further part, unless a later state is proven."""
        self._undelivered = None
        leader = self.consensus.leader(certificate.term)
        self._effects.append(Blame(leader, f"round {certificate.round} was agreed on a bad value: {reason}"))

    def _enter(self, committed: Committed, proven: bool = True) -> None:
        """Take over an agreed state and begin the next round. What is not proven is not shown to others."""
        state, commit = committed.state, committed.commit
        self._convict_voters()
        changed = state.roster.epoch != self.roster.epoch
        self.state, self._undelivered, self.last_commit = state, None, commit
        self.service.note(state, commit, proven=proven)
        self.library.epochs += committed.epochs
        self._begin_round(state, _hash(commit.value))
        self._agreed.append(committed)
        if changed:
            self._meet()
        if self._teacher is None and committed.cut is not None and self.roster.members <= STRAIGHT:
            self.gossip.push(commit)
        if self._teacher is not None:
            self.gossip.send([self._teacher], self._root())
            self._teacher = None
        if self.docket.petitions or any(entry.is_news for entry in self.streams.newer(self.consensus.round)):
            self._open_window()
        self._watch_window()
        self._replay_early()

    def _begin_round(self, state: State, previous: bytes) -> None:
        self._gaps.clear()
        self._keeps.clear()
        self._twofaced.clear()
        self.gossip.want_nothing()
        self.values.enter(state, previous)
        self.catchup.enter(state)
        self.me = self._seat()
        own = self.consensus.durable.own if self.me is not None else ()
        own = tuple(signed for signed in own if _seq(signed) > self._head_seq())
        self.consensus.enter_round(state.round + 1, own, state.roster, state.leaders, self.me)

    def _meet(self) -> None:
        """The membership has changed."""
        self.gossip.meet(self.roster, self.me)
        self.docket.meet(self.roster)
        self._own_seq = max(self._own_seq, self._head_seq()) if self.me is not None else 0

    def _replay_early(self) -> None:
        early, self._early, self._early_bytes = self._early, [], 0
        for peer, message in early:
            try:
                self._handle(peer, message)
            except ProtocolError as error:
                self._effects.append(Blame(peer, str(error)))

    # --- membership ---

    def _convict(self, member: int, first: tuple[bytes, bytes], second: tuple[bytes, bytes]) -> None:
        """A member signed two bodies for one slot; each is (signed bytes, signature)."""
        self._take_evidence(membership.evidence_of(member, (first[0], second[0]), (first[1], second[1])))

    def _on_evidence(self, peer: int, evidence: Evidence) -> None:
        if self.gossip.may_serve(peer, "evidence", CLAIMS) and self.docket.hear_evidence(evidence):
            self._tell(evidence)

    def _take_evidence(self, evidence: Evidence) -> None:
        if self.docket.note(evidence):
            self._tell(evidence)

    def _tell(self, evidence: Evidence) -> None:
        self._effects.append(Equivocation(evidence))
        self.gossip.push(evidence)

    def _on_petition(self, peer: int, petition: Petition) -> None:
        if self.gossip.may_serve(peer, "petition", CLAIMS) and self.docket.hear_petition(petition):
            self._tell_of(petition)

    def _tell_of(self, petition: Petition) -> None:
        self.gossip.push(msgspec.structs.replace(petition, epoch=self.roster.epoch))
        self._open_window()

    # --- anti-entropy ---

    def _tick(self) -> None:
        self._ticks += 1
        busy = self._window == self.consensus.round or self._undelivered is not None
        self.gossip.tick(0 if not busy else TIGHT_HASTE if self._is_tight else BUSY_HASTE)
        self.values.tick()
        self._gaps.clear()  # what came may have made room again, what a sketch named may not exist
        self.catchup.tick()
        if self._ticks % REFILL_TICKS == 0:
            self.streams.refill()
        self._compare(busy)
        self._go_on()

    def _compare(self, busy: bool) -> None:
        """Anti-entropy: while a round is under way only once gossip runs dry, and the more the longer it does."""
        runs_dry = self._drought.tick(self.consensus, self.roster.members, busy=busy)
        if not busy:
            self.gossip.send(self.gossip.some(1), self._root())
        elif runs_dry:
            peers = self.gossip.some(min(self._drought.ticks, DRY_PEERS) + self._is_tight)
            self.gossip.send(peers, self._digest(answer=self._is_tight))

    @property
    def _is_tight(self) -> bool:
        """Whether about as many members as make a quorum are heard of, so that everything has to reach everybody.

        While the window gathers, and has not run dry yet, as many are expected as the last round heard of.
        """
        quorum, gathers = self.roster.quorum, self._window == self.consensus.round and not self.consensus.window_closed
        expects = gathers and self._drought.ticks == 0
        heard = int(self.state.origins.sum()) if expects else self.streams.advanced(self.consensus.round)
        return abs(heard - quorum.size) < quorum.tolerated // 2

    def _root(self) -> Root:
        return root_of(self.streams, self.consensus)

    def _on_root(self, peer: int, root: Root) -> None:
        if root.round < self.consensus.round:
            self.service.help(peer, root.round, self.roster.epoch)
        elif root.round > self.consensus.round + 1:
            self.catchup.ask(peer)
        elif root.round > self.consensus.round:
            if self.gossip.may_serve(NOBODY, "behind"):  # many say so at once
                self.gossip.send([peer], self._digest(answer=False))
        elif root != self._root() and self.gossip.may_serve(peer, "digest"):
            self.gossip.send([peer], self._digest(answer=True))

    def _digest(self, *, answer: bool) -> Digest:
        return digest_of(self.streams, self.consensus, answer=answer)

    def _on_digest(self, peer: int, digest: Digest) -> None:
        if digest.round < self.consensus.round:
            self.service.help(peer, digest.round, self.roster.epoch, digest)
            return
        if digest.round == self.consensus.round and self.gossip.may_serve(peer, "delta"):
            for record in delta_for(peer, digest, self.streams, self.consensus):
                self.gossip.send([peer], record)
        if digest.round > self.consensus.round + 1:
            self.catchup.ask(peer)
        elif digest.answer and self.gossip.may_serve(peer, "digest"):
            self.gossip.send([peer], self._digest(answer=False))

    def _on_chunk(self, chunk: Chunk) -> None:
        """Jump to a state whose every chunk has come; the streams beyond it go on."""
        download = self.catchup.download
        state = self.catchup.on_chunk(chunk)
        if state is None or download is None:
            return
        if (state.round, state.roster.hash) != (download.value.round, download.value.roster):
            raise ProtocolError("state of another round or roster than its value names")
        skipped = state.round - self.state.round - 1
        epochs = self.catchup.epochs_before(download.value.epoch)
        if download.value.change is not None and download.proven:
            epochs = (*epochs, download.manifest.commit)
        self.streams.restart(state.heads)
        commit = download.manifest.commit
        self._enter(Committed(state, commit.certificate.term, skipped, commit, None, (), epochs), download.proven)


def _seq(signed: Signed) -> int:
    return wire.decode_body(Contribution, signed.body).seq


def _two_votes(tally: Tally, votes: Votes, voter: int, roster: Roster) -> list[tuple[bytes, bytes]]:
    """(signed bytes, signature) of two votes of `voter` for two bodies in the slot of `votes`."""
    held = tally.slot(votes.term, votes.step).bodies
    bodies = [body for body, by_voter in held.items() if voter in by_voter]
    both = [tally.votes(votes.term, votes.step, body, 1 << voter) for body in bodies[:2]]
    return [(vote_bytes(roster.federation, roster.epoch, one), one.signatures) for one in both]


def _hash(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
