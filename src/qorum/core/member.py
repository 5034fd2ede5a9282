"""`Member`: one member's whole protocol. Events in, effects out.

Theory of operation. A member holds the agreed `State`, the `Streams` of contributions beyond it, and its part in the
`Consensus` on the next round. Contributions travel by gossip; the first with news opens the window of a round; the
leader proposes a cut once the window closes; two votes later the cut is agreed, every member applies it by the same
pure function, and the next window may open. Whoever is behind is shown commits one by one, or a snapshot.

Every method returns the effects to carry out, in order. Whatever comes from a peer is checked in this order: size and
form (while decoding), whether it is news (most messages arrive more than once), signatures, meaning.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from random import Random
from typing import NamedTuple

import msgspec

from qorum.core import wire
from qorum.core.antientropy import delta_for, digest_of, root_of
from qorum.core.columns import Columns
from qorum.core.consensus import (
    EPOCH,
    Consensus,
    Signed,
    Verdict,
    contribution_bytes,
    proposal_bytes,
    vote_bytes,
)
from qorum.core.effects import (
    Blame,
    Committed,
    Effect,
    Equivocation,
    SetTimer,
    Sign,
    Timer,
    WindowOpened,
)
from qorum.core.genesis import Genesis
from qorum.core.gossip import Gossip
from qorum.core.messages import (
    NIL,
    Announce,
    Bundle,
    Commit,
    Contribution,
    Digest,
    Item,
    Items,
    Kind,
    Message,
    Proposal,
    Pull,
    Root,
    Snapshot,
    Value,
    ValueBody,
    Votes,
)
from qorum.core.state import ORIGIN, Entry, State
from qorum.core.streams import BACKLOG, KEPT_ROUNDS, Broken, Missing, Streams
from qorum.core.votes import FIRST, SECOND, Tally, well_formed
from qorum.errors import ProtocolError, QorumError

Verify = Callable[[bytes, bytes, bytes], bool]
"""(public key, message, signature) -> whether it holds, by the strict predicate."""


EARLY_BYTES = 4 << 20
"""Bytes of messages of the next round that are kept; what does not fit comes again by anti-entropy."""


class Engine(NamedTuple):
    """The costly pure functions. A simulator passes versions that remember their results."""

    verify: Verify
    read: Callable[[Item, Genesis], Entry] = Entry.read
    apply: Callable[[State, list[Entry]], State] = State.apply
    decode: Callable[[bytes], Message] = wire.decode


class Member:
    """One member of a federation with fixed membership."""

    def __init__(
        self,
        genesis: Genesis,
        me: int,
        engine: Engine,
        random: Random,
        *,
        state: State | None = None,
        commit: Commit | None = None,
        record: bytes | None = None,
    ) -> None:
        """After a restart: state and commit of the newest `Committed`, record of the newest `Persist`.

        Raises `StoreError` if the state is older than the record.
        """
        self.genesis = genesis
        self.me = me
        self.state = state or State.initial(genesis)
        self.streams = Streams(genesis, self.state.heads)
        self.consensus = Consensus(genesis, me, self, record, self.state.round + 1)
        self.gossip = Gossip(genesis, me, random)
        self._engine = engine
        self._effects: list[Effect] = []
        self.last_commit = commit
        """Proof of the newest agreed round; None before the first."""
        self._history: dict[int, Commit] = {}
        """Proofs of the rounds whose items are still held."""
        self._previous = ORIGIN if commit is None else _hash(commit.value)
        """Hash of the last committed value."""
        self._early: list[tuple[int, Message]] = []
        """Messages of the next round; bounded, replayed on entering it."""
        self._early_bytes = 0
        self._twofaced: set[int] = set()
        """Terms of this round whose leader signed two proposals."""
        self._verdicts: dict[bytes, Verdict] = {}
        self._gaps: dict[bytes, tuple[bytes, ...]] = {}
        """Value -> items it cites that are not yet held."""
        self._undelivered: tuple[bytes, Votes] | None = None
        """A decided value whose items are still being fetched."""
        self._window = 0
        """Round whose window this member has seen open."""
        self._collecting = 0
        self._own_seq = max(map(_seq, self.consensus.durable.own), default=0)
        """Seq of the last contribution this member signed, or is about to."""
        self._teacher: int | None = None
        self._just_entered = False
        """No tick has passed in this round yet: who is still in the one before hears of its end anyway."""

    # --- events ---

    def start(self) -> list[Effect]:
        """The first event of a member's life, and after every restart."""
        self.gossip.tick()
        self.consensus.resume()
        return self._done()

    def receive(self, peer: int, frame: bytes) -> list[Effect]:
        """A frame from a connected member. Never raises: a broken frame is blamed on the peer."""
        try:
            self._handle(peer, self._engine.decode(frame))
        except ProtocolError as error:
            self._effects.append(Blame(peer, str(error)))
        return self._done()

    def contribute(self, columns: Columns) -> list[Effect]:
        """Sign and send this member's next stream item. Raises `QorumError` unless `may_contribute`."""
        if not self.may_contribute:
            raise QorumError(f"contribution {self._own_seq} is not signed yet, or too many wait; see may_contribute")
        tip = self.streams.tips[self.me]
        payload = (
            columns.pack() if len(columns.value) or columns.affirmed or columns.accused is not None else b""
        )
        body = Contribution(self.me, tip.incarnation, tip.seq + 1, tip.hash, self.state.round, payload)
        self._own_seq = body.seq
        self.consensus.contribute(body.base, wire.encode(body))
        return self._done()

    @property
    def may_contribute(self) -> bool:
        """Whether all contributions signed so far, also before a restart, are held, and not too many uncommitted."""
        all_held = self.streams.tips[self.me].seq >= self._own_seq
        return all_held and not self.backlog_is_full

    @property
    def backlog_is_full(self) -> bool:
        """Whether as many own contributions wait to be committed as others will hold."""
        return self.uncommitted >= self.genesis.config.max_items_per_round * BACKLOG

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
        """Own contributions that no round has taken yet."""
        return self.streams.tips[self.me].seq - self.state.heads[self.me].seq

    def signed(self, request: Sign, signature: bytes) -> list[Effect]:
        """The answer to a `Sign` effect: the message is taken note of and sent."""
        if request.kind is Kind.CONTRIBUTION:
            entry = self._engine.read(Item(request.body, signature), self.genesis)
            if not self._is_past(entry):
                self._take_item(entry)
        else:
            self._say(wire.decode(request.body), signature)
        return self._done()

    def _say(self, unsigned: Message, signature: bytes) -> None:
        """Send an own vote or proposal, and count it."""
        if isinstance(unsigned, Votes):
            votes = msgspec.structs.replace(unsigned, signatures=signature)
            self.gossip.push(votes)
            if votes.round == self.consensus.round:
                self.consensus.on_votes(votes)
        elif isinstance(unsigned, Proposal):
            proposal = msgspec.structs.replace(unsigned, signature=signature)
            self.gossip.push(proposal)
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
        agreed = [effect for effect in self._effects if isinstance(effect, Committed)]
        others = [effect for effect in self._effects if not isinstance(effect, Committed)]
        effects = [*agreed, *self.consensus.take_effects(), *others, *self.gossip.effects]
        self._effects, self.gossip.effects = [], []
        return effects

    # --- messages ---

    def _handle(self, peer: int, message: Message) -> None:
        match message:
            case Votes():
                self._on_votes(peer, message)
            case Announce():
                self.gossip.hear((h for h in message.items if h not in self.streams), peer)
            case Items():
                for item in message.items:
                    self._on_item(item)
            case Pull():
                self._on_pull(peer, message)
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
                self._on_item(message)
            case ValueBody():
                self._on_value_body(message)
            case Snapshot():
                self._on_snapshot(message)

    def _on_bundle(self, peer: int, bundle: Bundle) -> None:
        for part in bundle.parts:
            message = self._engine.decode(part)
            if isinstance(message, Bundle):
                raise ProtocolError("a bundle inside a bundle")
            self._handle(peer, message)

    def _of_this_round(self, peer: int, round: int, message: Message) -> bool:
        """Whether a message is of the current round; others are kept, answered with help, or ask for it."""
        if round < self.consensus.round:
            if not self._just_entered:
                self._help(peer, round)
        elif round == self.consensus.round + 1 and self._keep_early(peer, message):
            pass
        elif round > self.consensus.round and self.gossip.may_serve(peer, "ask for help"):
            self.gossip.send([peer], self._root())
        return round == self.consensus.round

    def _keep_early(self, peer: int, message: Message) -> bool:
        size = len(wire.encode(message))
        fits = len(self._early) < 4 * self.genesis.members and self._early_bytes + size <= EARLY_BYTES
        if fits:
            self._early.append((peer, message))
            self._early_bytes += size
        return fits

    def _on_votes(self, peer: int, votes: Votes) -> None:
        if not well_formed(votes, self.genesis.members):
            raise ProtocolError("votes without a voter, a signature a voter, or with a citation out of place")
        if not self._of_this_round(peer, votes.round, votes):
            return
        tally = self.consensus.tally
        news = tally.news(votes)
        if not news and max(tally.highest[v] for v in votes.by_voter) >= votes.term:
            return
        self._verify_votes(votes, news)
        settled = tally.has_certificate(votes)
        counted = self.consensus.on_votes(votes)
        if counted.fresh and not settled:  # past a quorum, votes travel by anti-entropy alone
            self.gossip.relay((votes.round, votes.term, votes.step, wire.vote_body(votes)), counted.fresh)
        self._effects += [Equivocation(v, _two_votes(tally, votes, v)) for v in counted.twice]

    def _verify_votes(self, votes: Votes, voters: int) -> None:
        """Raise `ProtocolError` unless each of `voters` signed. Whoever sends votes has checked them itself."""
        data = vote_bytes(self.genesis.federation, votes)
        for voter, signature in votes.by_voter.items():
            if voters >> voter & 1 and not self._engine.verify(
                self.genesis.public_keys[voter], data, signature
            ):
                raise ProtocolError(
                    f"vote of member {voter} in {votes.round}.{votes.term} is not signed by it"
                )

    def _verify_certificate(self, votes: Votes, step: int) -> None:
        known = votes.round == self.consensus.round and self.consensus.tally.holds(votes)
        enough = votes.mask.bit_count() >= self.genesis.quorum.size
        if (
            not well_formed(votes, self.genesis.members)
            or votes.step != step
            or not enough
            or votes.value == NIL
        ):
            raise ProtocolError(f"certificate of {votes.round}.{votes.term} is not a quorum for a value")
        if not known:
            self._verify_votes(votes, votes.mask)

    def _on_proposal(self, peer: int, proposal: Proposal) -> None:
        if not self._of_this_round(peer, proposal.round, proposal):
            return
        held = self.consensus.proposals.get(proposal.term)
        data = proposal_bytes(self.genesis.federation, proposal)
        if held is not None and (
            proposal.term in self._twofaced or data == proposal_bytes(self.genesis.federation, held)
        ):
            return
        leader = self.genesis.leader(proposal.round, proposal.term)
        if not self._engine.verify(self.genesis.public_keys[leader], data, proposal.signature):
            raise ProtocolError(
                f"proposal of {proposal.round}.{proposal.term} is not signed by its leader {leader}"
            )
        if held is not None:
            self._twofaced.add(proposal.term)
            self._effects.append(Equivocation(leader, (wire.encode(held), wire.encode(proposal))))
            return
        self._verify_citation(proposal)
        if self.consensus.on_proposal(proposal):
            self.gossip.push(proposal)

    def _verify_citation(self, proposal: Proposal) -> None:
        cited = proposal.cited
        if cited is not None:
            if (cited.round, cited.value) != (
                proposal.round,
                _hash(proposal.value),
            ) or cited.term >= proposal.term:
                raise ProtocolError("proposal cites a certificate for something else")
            self._verify_certificate(cited, FIRST)

    def _on_commit(self, peer: int, commit: Commit) -> None:
        certificate = commit.certificate
        if certificate.round < self.consensus.round or self._undelivered is not None:
            return
        if certificate.value != _hash(commit.value):
            raise ProtocolError("commit certificate is for another value")
        if not self._of_this_round(peer, certificate.round, commit):
            return
        self._verify_certificate(certificate, SECOND)
        self._teacher = peer
        self.consensus.on_value(commit.value)
        self.consensus.tally.add(certificate, certificate.term)
        self.consensus.advance()

    def _on_value_body(self, body: ValueBody) -> None:
        if self.gossip.wanted(_hash(body.value)):
            self.gossip.got(_hash(body.value))
            self.consensus.on_value(body.value)
            self.consensus.advance()

    def _on_pull(self, peer: int, pull: Pull) -> None:
        items: list[Item] = []
        for hash in dict.fromkeys(pull.hashes):
            entry, value = self.streams.get(hash), self.consensus.body(hash)
            if entry is not None and self.gossip.may_spend(peer, len(entry.item.body)):
                items.append(entry.item)
            elif value is not None and self.gossip.may_spend(peer, len(value)):
                self.gossip.send([peer], ValueBody(value))
        if items:
            self.gossip.send([peer], Items(tuple(items)))

    # --- contributions ---

    def _on_item(self, item: Item) -> None:
        if item.hash in self.streams:
            return
        entry = self._engine.read(item, self.genesis)
        needed = self.gossip.wanted(entry.hash)
        if not (needed or self.streams.accepts(entry)) or self._is_past(entry):
            return
        data = contribution_bytes(self.genesis.federation, entry.body.base, item.body)
        if not self._engine.verify(self.genesis.public_keys[entry.body.member], data, item.signature):
            raise ProtocolError(f"contribution of member {entry.body.member} is not signed by it")
        self._take_item(entry)

    def _is_past(self, entry: Entry) -> bool:
        """Whether the committed stream has passed this item."""
        return entry.body.seq <= self.state.heads[entry.body.member].seq and not self.gossip.wanted(
            entry.hash
        )

    def _take_item(self, entry: Entry) -> None:
        self.gossip.got(entry.hash)
        if entry.hash in self.streams:
            return
        branches = self.streams.add(entry)
        if branches is not None:
            first, second = (wire.encode(branch.item) for branch in branches)
            self._effects.append(Equivocation(entry.body.member, (first, second)))
        self.gossip.announce(entry.hash)
        if entry.is_news:
            self._open_window()
        self._watch_window()
        if self._undelivered is not None:
            self._deliver()
        elif self.consensus.proposals:
            self.consensus.advance()

    def _open_window(self) -> None:
        if self.genesis.agrees and self._window < self.consensus.round:
            self._window = self.consensus.round
            self._effects.append(WindowOpened(self._window))

    def _watch_window(self) -> None:
        """Close the window when all have advanced, or `collect_ms` after a quorum has."""
        advanced = self.streams.advanced(self.consensus.round)
        if self._window < self.consensus.round or advanced < self.genesis.quorum.size:
            return
        if advanced == self.genesis.members:
            self.consensus.close_window()
        elif self._collecting < self.consensus.round:
            self._collecting = self.consensus.round
            delay = self.genesis.config.collect_ms / 1000
            self._effects.append(SetTimer(Timer.COLLECT, delay, self.consensus.round))

    # --- the judge that consensus asks ---

    def fresh_value(self) -> bytes | None:
        """The furthest cut that can be proposed, once a quorum has advanced."""
        round = self.consensus.round
        cut = self.streams.cut(round)
        if len(cut) < self.genesis.quorum.size:
            return None
        result = self._engine.apply(self.state, self.streams.collect(cut, round))
        return wire.encode(Value(round, self._previous, EPOCH, cut, result.hash))

    def judge(self, value: bytes) -> Verdict:
        """Whether a value is valid: right place, enough origins, sound streams, and the result recomputed is equal."""
        hash = _hash(value)
        if hash not in self._verdicts:
            if self._lacks(hash):
                return Verdict.UNKNOWN
            try:
                verdict = Verdict.VALID if self._is_valid(wire.decode_body(Value, value)) else Verdict.INVALID
            except Missing as gap:
                self._fetch(hash, gap, None)
                return Verdict.UNKNOWN
            except (Broken, ProtocolError):
                verdict = Verdict.INVALID
            self._verdicts[hash] = verdict
        return self._verdicts[hash]

    def _lacks(self, value_hash: bytes) -> bool:
        return any(item not in self.streams for item in self._gaps.get(value_hash, ()))

    def _fetch(self, value_hash: bytes, gap: Missing, source: int | None) -> None:
        self._gaps[value_hash] = gap.hashes
        self.gossip.want(gap.hashes, source)

    def _is_valid(self, value: Value) -> bool:
        place = (value.round, value.previous, value.epoch) == (self.consensus.round, self._previous, EPOCH)
        if not place or len(value.cut) < self.genesis.quorum.size:
            return False
        entries = self.streams.collect(value.cut, value.round)
        return self._engine.apply(self.state, entries).hash == value.result

    def want(self, value_hash: bytes) -> None:
        """Fetch the body of a value that a quorum voted for."""
        self.gossip.want([value_hash], None)

    def decide(self, value: bytes, certificate: Votes) -> None:
        """The round is over: apply the value once all its items are here."""
        self._undelivered = (value, certificate)
        self.gossip.push(Commit(value, certificate))
        self._deliver()

    def _deliver(self) -> None:
        assert self._undelivered is not None
        raw, certificate = self._undelivered
        if self._lacks(certificate.value):
            return
        try:
            value = wire.decode_body(Value, raw)
            entries = self.streams.collect(value.cut, value.round)
            state = self._engine.apply(self.state, entries)
        except Missing as gap:
            self._fetch(certificate.value, gap, self._teacher)
        except (Broken, ProtocolError) as error:
            self._halt(certificate, str(error))
        else:
            if state.hash != value.result:
                self._halt(certificate, "its cut does not lead to its state")
                return
            self.streams.commit(entries, state.heads)
            self._enter(state, Commit(raw, certificate), skipped=0)

    def _halt(self, certificate: Votes, reason: str) -> None:
        """More members lie than are tolerated: take no further part, unless a later state is proven."""
        self._undelivered = None
        leader = self.genesis.leader(certificate.round, certificate.term)
        self._effects.append(Blame(leader, f"round {certificate.round} was agreed on a bad value: {reason}"))

    def _enter(self, state: State, commit: Commit, skipped: int) -> None:
        """Take over an agreed state and begin the next round."""
        self._just_entered = True
        self.state, self._undelivered, self._previous = state, None, _hash(commit.value)
        self._history[state.round] = self.last_commit = commit
        self._history = {k: c for k, c in self._history.items() if k > state.round - KEPT_ROUNDS}
        self._verdicts.clear()
        self._gaps.clear()
        self._twofaced.clear()
        self.gossip.want_nothing()
        own = self.consensus.durable.own
        self.consensus.enter_round(state.round + 1, tuple(s for s in own if _seq(s) > state.heads[self.me].seq))
        self._effects.append(Committed(state, commit.certificate.term, skipped, commit))
        if self._teacher is not None:
            self.gossip.send([self._teacher], self._root())
            self._teacher = None
        if any(entry.is_news for entry in self.streams.newer(self.consensus.round)):
            self._open_window()
        self._watch_window()
        early, self._early, self._early_bytes = self._early, [], 0
        for peer, message in early:
            try:
                self._handle(peer, message)
            except ProtocolError as error:
                self._effects.append(Blame(peer, str(error)))

    # --- anti-entropy ---

    def _tick(self) -> None:
        self.gossip.tick()
        self._just_entered = False
        peer = self.gossip.any_peer()
        if peer is not None:
            self.gossip.send([peer], self._root())
        if self._undelivered is None:
            self.consensus.advance()

    def _root(self) -> Root:
        return root_of(self.streams, self.consensus)

    def _on_root(self, peer: int, root: Root) -> None:
        if root.round < self.consensus.round:
            self._help(peer, root.round)
        elif root != self._root() and self.gossip.may_serve(peer, "digest"):
            self.gossip.send([peer], self._digest(answer=True))

    def _digest(self, *, answer: bool) -> Digest:
        return digest_of(self.streams, self.consensus, answer=answer)

    def _on_digest(self, peer: int, digest: Digest) -> None:
        if len(digest.seqs) != 4 * self.genesis.members:
            raise ProtocolError(
                f"digest of {len(digest.seqs) // 4} members; there are {self.genesis.members}"
            )
        if digest.round < self.consensus.round:
            self._help(peer, digest.round)
            return
        if digest.round == self.consensus.round and self.gossip.may_serve(peer, "delta"):
            for record in delta_for(peer, digest, self.streams, self.consensus, self.genesis):
                self.gossip.send([peer], record)
        if digest.answer and self.gossip.may_serve(peer, "digest"):
            self.gossip.send([peer], self._digest(answer=False))

    def _relayed_votes(self) -> list[Votes]:
        """Votes queued for relay, as messages; those of an old round or term are of no use any more."""
        tally, messages = self.consensus.tally, list[Votes]()
        for (round, term, step, body), mask in self.gossip.take_relayed().items():
            if round == self.consensus.round and body in tally.slot(term, step).masks:
                messages.append(tally.votes(term, step, body, mask))
        return messages

    def _help(self, peer: int, round: int) -> None:
        """Show a member of an old round why it is over: never a refusal without showing why."""
        commit, last = self._history.get(round), self.last_commit
        if commit is not None:
            if self.gossip.may_serve(peer, f"help {round}"):
                self.gossip.send([peer], commit)
        elif last is not None and self.gossip.may_send_snapshot(peer):
            self.gossip.send([peer], Snapshot(last.value, last.certificate, self.state.packed))

    def _on_snapshot(self, snapshot: Snapshot) -> None:
        """Jump to a state proven by its certificate; the streams beyond it go on."""
        certificate = snapshot.certificate
        if certificate.round < self.consensus.round:
            return
        if certificate.value != _hash(snapshot.value):
            raise ProtocolError("snapshot certificate is for another value")
        self._verify_certificate(certificate, SECOND)
        value = wire.decode_body(Value, snapshot.value)
        data = wire.unpack(snapshot.state, wire.MAX_UNPACKED)
        if _hash(data) != value.result or value.round != certificate.round:
            raise ProtocolError("snapshot is not the state that its certificate proves")
        skipped = value.round - self.state.round - 1
        state = State.from_bytes(data, self.genesis.rules)
        self.streams.restart(state.heads)
        self._enter(state, Commit(snapshot.value, certificate), skipped)


def _seq(signed: Signed) -> int:
    return wire.decode_body(Contribution, signed.body).seq


def _two_votes(tally: Tally, votes: Votes, voter: int) -> tuple[bytes, bytes]:
    """Two messages, each with one vote of `voter`, for two bodies in the slot of `votes`."""
    held = tally.slot(votes.term, votes.step).masks.items()
    bodies = [body for body, mask in held if mask >> voter & 1]
    first, second = (wire.encode(tally.votes(votes.term, votes.step, body, 1 << voter)) for body in bodies[:2])
    return first, second


def _hash(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
