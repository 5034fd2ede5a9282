"""Service: what a member shows others, who ask for it or are behind: items, bodies, proofs of rounds, states."""

from __future__ import annotations

from qorum.core import wire
from qorum.core.antientropy import root_of
from qorum.core.catchup import Library
from qorum.core.consensus import Consensus
from qorum.core.gossip import Gossip
from qorum.core.messages import (
    Behind,
    Commit,
    CutBody,
    Digest,
    Fetch,
    Message,
    Pull,
    Value,
    ValueBody,
    Votes,
    places,
)
from qorum.core.state import State
from qorum.core.streams import KEPT_ROUNDS, Streams
from qorum.core.values import Values


class Service:
    """Answers from what the other parts of a member hold; each peer gets so much in a tick, see `Gossip.may_serve`."""

    def __init__(
        self, gossip: Gossip, streams: Streams, values: Values, consensus: Consensus, library: Library
    ) -> None:
        self._gossip, self._streams, self._values, self._consensus = gossip, streams, values, consensus
        self._library = library
        self._proofs: dict[int, Commit] = {}
        """Of the rounds whose items are still held."""

    def note(self, state: State, commit: Commit, *, proven: bool) -> None:
        """A round is over. What is not proven is not shown to others."""
        if proven:
            self._proofs[state.round] = commit
            self._library.keep(state, commit)
        self._proofs = {round: proof for round, proof in self._proofs.items() if round > state.round - KEPT_ROUNDS}

    # --- for whoever asks ---

    def on_pull(self, peer: int, pull: Pull) -> None:
        """Send what is held of what a peer wants, as far as its allowance goes."""
        entries = [self._streams.at(place) for place in places(pull.items)]
        for hash in dict.fromkeys(pull.hashes):
            entry, body = self._streams.get(hash), self._body(hash)
            if entry is not None:
                entries.append(entry)
            elif body is not None and self._gossip.may_spend(peer, len(wire.encode(body))):
                self._gossip.send([peer], body)
        items = {entry.hash: entry.item for entry in entries if entry is not None}.values()
        self._gossip.send_items([peer], [item for item in items if self._gossip.may_spend(peer, len(item.body))])

    def _body(self, hash: bytes) -> ValueBody | CutBody | None:
        """A value or a cut, by hash."""
        value, cut = self._consensus.body(hash), self._values.cut_body(hash)
        if value is not None:
            return ValueBody(value)
        return CutBody(cut) if cut is not None else self._past_body(hash)

    def _past_body(self, hash: bytes) -> ValueBody | CutBody | None:
        for round, proof in self._proofs.items():
            if proof.certificate.value == hash:
                return ValueBody(proof.value)
            if wire.decode_body(Value, proof.value).cut == hash:
                cut = self._streams.past_cut(round)
                return None if cut is None else CutBody(wire.encode(cut))
        return None

    def on_fetch(self, peer: int, fetch: Fetch) -> None:
        """Send chunks of a state, as far as the peer's allowance goes."""
        for number in fetch.chunks:
            chunk = self._library.chunk(fetch.state, number)
            if chunk is None or not self._gossip.may_spend(peer, len(chunk.data)):
                return  # packing the next one, only to refuse it too, costs more than asking does
            self._gossip.send([peer], chunk)

    # --- for whoever is behind ---

    def help(self, peer: int, round: int, epoch: int, digest: Digest | None = None) -> None:
        """Show a member of an old round why it is over: never a refusal without showing why.

        epoch: this member's own; whoever is in an older one says so, see `on_behind`.
        """
        proof = self._proofs.get(round)
        if proof is None:
            if self._gossip.may_serve(peer, "help"):
                # It says how far behind it is, see `CatchUp`; if it has, no commit can help it, but a state can.
                state = None if digest is None else self._library.answer(Behind(round, epoch))
                self._gossip.send([peer], state or root_of(self._streams, self._consensus))
        elif self._gossip.may_serve(peer, f"help {round}"):
            self._gossip.send([peer], _lacking(proof, digest))

    def on_behind(self, peer: int, behind: Behind) -> None:
        """Send the next thing that whoever is far behind needs to know."""
        begins = behind.checkpoint and behind.round == 1
        if behind.epoch < 0:
            due = self._gossip.may_serve(peer, "origin")
            answer: Message | None = self._library.origin(behind.checkpoint) if due else None
        elif behind.round in self._proofs and not begins:
            answer = self._proofs[behind.round]
        else:
            answer = self._library.answer(behind)
        if answer is not None and self._gossip.may_serve(peer, type(answer).__name__):
            self._gossip.send([peer], answer)


def _lacking(commit: Commit, digest: Digest | None) -> Commit | Votes:
    """What of a commit a member with this digest does not know yet."""
    certificate = commit.certificate
    if digest is not None and digest.holds_proposal and digest.term == certificate.term:
        return certificate.beyond(int.from_bytes(digest.second, "little")) or commit
    return commit
