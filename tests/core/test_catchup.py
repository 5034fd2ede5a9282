"""Catch-up: from an old roster, or a checkpoint, to a state that is checked to the last chunk."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import msgspec
import pytest

from qorum.core import wire
from qorum.core.catchup import (
    ASK_TICKS,
    FETCHED_AT_ONCE,
    PATIENCE,
    SNAPSHOT_ROUNDS,
    SNAPSHOTS,
    SURRENDER,
    CatchUp,
    Library,
)
from qorum.core.gossip import Gossip
from qorum.core.messages import (
    NO_TERM,
    Behind,
    Change,
    Chunk,
    Commit,
    Epochs,
    Fetch,
    Join,
    Leave,
    Manifest,
    Origin,
    Petition,
    Rekey,
    Value,
    Votes,
)
from qorum.core.roster import Roster
from qorum.core.state import ORIGIN, State
from qorum.core.votes import SECOND
from qorum.errors import ProtocolError
from tests.core.builders import Pen, columns_of, genesis_of
from tests.core.harness import fake_verify, key, petition_of, sends, sha, votes_of

MEMBERS = 4
GENESIS = genesis_of(MEMBERS)
LEARNER = 3
replace = msgspec.structs.replace


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """States of many chunks."""
    monkeypatch.setattr(wire, "CHUNK", 64)


class Story:
    """What a federation agreed on, round by round, and the library of a member that was there all along."""

    def __init__(self, told: float = 1.0) -> None:
        self.told = told
        """What member 0 says of a cell each round: another history where this differs."""
        self.states = [State.initial(GENESIS)]
        self.commits: list[Commit] = []
        self.library = Library(GENESIS, [])

    def go(self, rounds: int = 1, change: Change | None = None) -> Story:
        """Some rounds; the last one changes the membership."""
        for left in reversed(range(rounds)):
            before = self.states[-1]
            petition = None if change is None or left else petition_of(before.roster, change)
            entry = Pen(GENESIS, 0, before.heads[0], before.roster.key(0)).write(
                columns_of({}, {(before.round, 0): (self.told, 1, 0)}), base=before.round
            )
            state = before.apply([entry], petition and petition.change)
            commit = commit_of(state, before.roster, self.previous, petition)
            self.states.append(state)
            self.commits.append(commit)
            self.library.epochs += [commit] if petition else []
            self.library.keep(state, commit)
        return self

    @property
    def previous(self) -> bytes:
        return sha(self.commits[-1].value) if self.commits else ORIGIN

    def to(self, round: int, change: Change | None = None) -> Story:
        return self.go(round - self.states[-1].round, change)


def commit_of(state: State, roster: Roster, previous: bytes, petition: Petition | None = None) -> Commit:
    """Proof, by all of `roster`, of the round that led to a state."""
    value = wire.encode(Value(state.round, previous, roster.epoch, bytes(32), state.hash, state.roster.hash, petition))
    votes = votes_of(GENESIS, roster.active, SECOND, sha(value), round=state.round, term=2, roster=roster)
    return Commit(value, votes)


def check(commit: Commit, roster: Roster) -> Value:
    """What `Member` checks of a commit."""
    value, certificate = wire.decode_body(Value, commit.value), commit.certificate
    if (sha(commit.value), value.epoch) != (certificate.value, roster.epoch):
        raise ProtocolError("certificate of another value, or epoch")
    voters = list(certificate.by_voter)
    expected = votes_of(GENESIS, voters, SECOND, certificate.value, round=value.round, term=2, roster=roster)
    if certificate != expected or len(voters) < roster.quorum.size:
        raise ProtocolError("not a quorum")
    return value


class Learner:
    """One member that is behind, or a newcomer, among peers that know more."""

    def __init__(self, checkpoint: bytes | None = None, state: State | None = None) -> None:
        self.gossip = Gossip(GENESIS, LEARNER, Random(1))
        self.catchup = CatchUp(GENESIS, self.gossip, fake_verify, check, checkpoint)
        self.catchup.enter(state or State.initial(GENESIS))
        self.asked: list[int] = []
        """Whom it asked for chunks, in order."""

    def said(self) -> list[tuple[int, object]]:
        """What it sent since this was last asked, peer by peer."""
        effects, self.gossip.effects = self.gossip.effects, []
        return [(peer, message) for to, message in sends(effects) for peer in to]

    def talk(self, library: Library, messages: int = 1000) -> State | None:
        """Have its questions answered, by whomever they go to, until the state is here or it asks no more."""
        for _ in range(messages):
            answered = [state for peer, message in self.said() for state in self._answer(library, peer, message)]
            if answered:
                return answered[-1]
            if not self.gossip.effects:
                return None
        raise AssertionError("they talk for ever")

    def _answer(self, library: Library, peer: int, message: object) -> Iterator[State]:
        if isinstance(message, Fetch):
            self.asked.append(peer)
            for number in message.chunks:
                chunk = library.chunk(message.state, number)
                state = None if chunk is None else self.catchup.on_chunk(chunk)
                if state is not None:
                    yield state
        elif isinstance(message, Behind):
            answer = library.origin(message.checkpoint) if message.epoch < 0 else library.answer(message)
            self.hear(answer, peer)

    def hear(self, message: Origin | Epochs | Manifest | None, peer: int = 0) -> None:
        match message:
            case Origin():
                self.catchup.on_origin(peer, message)
            case Epochs():
                self.catchup.on_epochs(peer, message)
            case Manifest():
                self.catchup.on_manifest(peer, message)

    def refuses(self, message: Origin | Epochs | Manifest, match: str | None = None) -> None:
        with pytest.raises(ProtocolError, match=match):
            self.hear(message)

    @property
    def fetches(self) -> list[int]:
        """Numbers of the chunks it asks for."""
        return [number for _, message in self.said() if isinstance(message, Fetch) for number in message.chunks]


def manifest_of(story: Story) -> Manifest:
    manifest = story.library.answer(Behind(1, story.states[-1].roster.epoch))
    assert isinstance(manifest, Manifest)
    return manifest


def grown() -> Story:
    """40 rounds with three changes before the newest state that is kept, and one after."""
    return Story().go(3, Join(key(10))).to(14, Rekey(1, 1, key(11))).to(26, Leave(2, 0)).to(38, Join(key(12))).to(40)


# --- the library ---


def test_every_so_many_rounds_a_state_is_kept_and_the_newest_are() -> None:
    story = Story().to(3 * SNAPSHOT_ROUNDS + 5)
    kept = [state.round for state in story.states if story.library.chunk(state.hash, 0) is not None]
    assert kept == [2 * SNAPSHOT_ROUNDS, 3 * SNAPSHOT_ROUNDS]
    assert len(kept) == SNAPSHOTS
    newest = story.states[3 * SNAPSHOT_ROUNDS]
    assert manifest_of(story) == Manifest(story.commits[newest.round - 1], newest.chunk_hashes)


def test_a_young_federation_has_no_state_to_offer() -> None:
    story = Story().to(SNAPSHOT_ROUNDS - 1)
    assert story.library.answer(Behind(1, 0)) is None
    assert story.go().library.answer(Behind(1, 0)) is not None


def test_in_a_young_federation_the_state_after_the_newest_change_is_offered() -> None:
    story = Story().go(3, Join(key(10)))
    assert story.library.answer(Behind(1, 0)) == Manifest(story.commits[2], story.states[3].chunk_hashes)
    assert story.library.answer(Behind(4, 1)) is None
    story.go(2, Leave(0, 0))
    assert story.library.answer(Behind(1, 0)) == Epochs((story.commits[2],))
    assert story.library.answer(Behind(1, 1)) == Manifest(story.commits[4], story.states[5].chunk_hashes)


def test_after_a_restart_the_newest_state_is_offered_whatever_round_it_is_of() -> None:
    story = Story().to(5)
    library = Library(GENESIS, [])
    library.keep(story.states[5], story.commits[4], restarted=True)
    assert library.answer(Behind(1, 0)) == Manifest(story.commits[4], story.states[5].chunk_hashes)


def test_who_is_not_behind_the_newest_state_needs_none() -> None:
    story = Story().to(SNAPSHOT_ROUNDS + 4)
    assert isinstance(story.library.answer(Behind(SNAPSHOT_ROUNDS, 0)), Manifest)
    assert story.library.answer(Behind(SNAPSHOT_ROUNDS + 1, 0)) is None


def test_the_chunks_of_a_state_are_its_bytes() -> None:
    story = Story().to(2 * SNAPSHOT_ROUNDS)
    for state in (story.states[SNAPSHOT_ROUNDS], story.states[2 * SNAPSHOT_ROUNDS]) * 2:
        count = len(state.chunk_hashes) // 32
        chunks = [story.library.chunk(state.hash, number) for number in range(count)]
        assert [(c.state, c.number) for c in chunks if c] == [(state.hash, number) for number in range(count)]
        assert b"".join(wire.unpack(chunk.data, wire.CHUNK) for chunk in chunks if chunk) == state.to_bytes()
        assert story.library.chunk(state.hash, count) is story.library.chunk(state.hash, 2**31 - 1) is None
    assert story.library.chunk(story.states[5].hash, 0) is None


def test_only_the_changes_that_prove_the_newest_state_are_told_before_it() -> None:
    """A manifest is proven by the roster of its own epoch: who knew a later one could not check it."""
    story = grown()
    told = story.library.answer(Behind(1, 0))
    assert told == Epochs(tuple(story.library.epochs[:3]))
    assert story.library.answer(Behind(1, 2)) == Epochs((story.library.epochs[2],))
    assert isinstance(story.library.answer(Behind(1, 3)), Manifest)


def test_a_state_of_the_round_that_changes_the_membership_is_proven_by_the_members_before() -> None:
    story = Story().to(SNAPSHOT_ROUNDS, Join(key(10)))
    assert isinstance(story.library.answer(Behind(1, 0)), Manifest)
    state = asking(Learner()).talk(story.library)
    assert state is not None
    assert state.roster == story.states[-1].roster


@pytest.mark.parametrize("members", [4, 593, 781])
def test_changes_are_told_in_frames_that_everybody_takes(members: int) -> None:
    genesis = genesis_of(members)
    mask, signatures = b"\xff" * -(-members // 8), bytes(64 * members)
    commits = []
    for epoch in range(60):
        full = epoch % 3 == 2
        change = Petition(Leave(epoch, 0), bytes(64))
        if full:
            change = Petition(Join(sha(b"%d" % epoch)), b"", mask, signatures)
        value = wire.encode(Value(epoch, bytes(32), epoch, bytes(32), bytes(32), bytes(32), change))
        commits.append(Commit(value, Votes(2, epoch, 0, sha(value), NO_TERM, mask, signatures)))
    library, told, pages = Library(genesis, commits), list[Commit](), 0
    while (page := library.answer(Behind(1, len(told)))) is not None:
        assert isinstance(page, Epochs)
        assert len(wire.encode(page)) <= wire.frame_limit(members)
        told += page.commits
        pages += 1
    assert told == commits
    assert pages == 1 if members == 4 else pages > 10


# --- checkpoints ---


def test_a_checkpoint_is_a_change_of_membership_or_a_state_that_is_kept() -> None:
    story = grown()
    for round in (3, 14, 16, 26, 32, 38):
        origin = story.library.origin(story.commits[round - 1].certificate.value)
        assert origin == Origin(story.commits[round - 1].value, story.states[round].roster.to_bytes())
    for hash in (story.commits[4].certificate.value, bytes(32), b""):
        assert story.library.origin(hash) is None


def test_a_library_that_began_from_a_checkpoint_knows_no_rosters_of_old() -> None:
    story = grown()
    library = Library(GENESIS, story.library.epochs[2:])
    library.keep(story.states[32], story.commits[31])
    assert library.origin(story.commits[25].certificate.value) is None
    assert library.origin(story.commits[31].certificate.value) is not None
    assert library.answer(Behind(1, 2)) == Epochs((story.library.epochs[2],))
    assert isinstance(library.answer(Behind(1, 0)), Manifest), "it can do no more for who is further behind"


# --- asking ---


def asking(learner: Learner, peer: int = 0) -> Learner:
    learner.catchup.ask(peer)
    return learner


def test_who_is_behind_asks_a_peer_that_is_ahead_now_and_then() -> None:
    learner = Learner()
    learner.catchup.ask(2)
    learner.catchup.ask(1)
    assert learner.said() == [(2, Behind(1, 0))]
    for _ in range(ASK_TICKS - 1):
        learner.catchup.tick()
        learner.catchup.ask(1)
    assert learner.said() == []
    learner.catchup.tick()
    learner.catchup.ask(1)
    assert learner.said() == [(1, Behind(1, 0))]


def test_where_it_is_goes_with_the_question() -> None:
    story = grown()
    learner = asking(Learner(state=story.states[20]))
    assert learner.said() == [(0, Behind(21, 2))]


def test_a_newcomer_asks_by_itself_whom_it_draws() -> None:
    learner = Learner(bytes([5]) * 32)
    asked = set()
    for _ in range(40 * ASK_TICKS):
        learner.catchup.tick()
        for peer, message in learner.said():
            assert message == Behind(1, -1, bytes([5]) * 32)
            asked.add(peer)
    assert asked == {0, 1, 2}


# --- all the way ---


def test_who_is_behind_gets_to_the_newest_state_over_all_epochs() -> None:
    story = grown()
    learner = asking(Learner())
    state = learner.talk(story.library)
    assert state is not None
    assert (state.round, state.hash) == (32, story.states[32].hash)
    assert state.to_bytes() == story.states[32].to_bytes()
    assert learner.catchup.roster == story.states[32].roster
    assert learner.catchup.epochs == story.library.epochs[:3]
    assert learner.catchup.epochs_before(2) == tuple(story.library.epochs[:2])
    assert learner.catchup.download is None
    learner.catchup.enter(state)
    assert learner.catchup.epochs == []
    assert learner.talk(story.library) is None


def test_chunks_come_from_many_peers_some_at_a_time() -> None:
    story = grown()
    size = len(story.states[32].chunk_hashes) // 32
    assert size > 2 * FETCHED_AT_ONCE
    learner = Learner()
    learner.catchup.roster = story.states[32].roster
    learner.hear(manifest_of(story))
    download = learner.catchup.download
    assert download is not None
    assert download.size == size
    assert list(download.asked) == list(range(FETCHED_AT_ONCE))
    assert learner.talk(story.library) is not None
    assert set(learner.asked) == {0, 1, 2}
    assert len(learner.asked) == size, "each chunk once"


def test_a_newcomer_begins_from_its_checkpoint() -> None:
    story = grown()
    learner = Learner(story.commits[25].certificate.value)
    assert learner.catchup.roster is None
    learner.catchup.tick()
    state = learner.talk(story.library)
    assert state is not None
    assert state.hash == story.states[32].hash
    assert learner.catchup.epochs == []
    assert learner.catchup.roster == story.states[26].roster


def test_a_newcomer_of_a_young_federation_begins_with_the_state_that_admitted_it() -> None:
    story = Story().go(5, Join(key(10)))
    learner = Learner(story.commits[4].certificate.value)
    learner.catchup.tick()
    state = learner.talk(story.library)
    assert state is not None
    assert state.hash == story.states[5].hash


# --- checkpoints hold ---


def test_the_state_of_a_checkpoint_is_trusted_and_its_certificate_never_shown_on() -> None:
    story = Story().go(5, Join(key(10)))
    commit = story.commits[4]
    learner = Learner(commit.certificate.value)
    origin = story.library.origin(commit.certificate.value)
    assert origin is not None
    learner.hear(origin)
    unsigned = msgspec.structs.replace(commit.certificate, signatures=bytes(len(commit.certificate.signatures)))
    forged = msgspec.structs.replace(commit, certificate=unsigned)
    learner.hear(Manifest(forged, story.states[5].chunk_hashes))
    assert learner.catchup.download is not None
    assert not learner.catchup.download.proven


def test_to_a_newcomer_nobody_can_tell_anything_before_its_checkpoint() -> None:
    story = grown()
    learner = Learner(story.commits[25].certificate.value)
    learner.hear(Epochs((story.library.epochs[0],)))
    learner.hear(manifest_of(story))
    assert learner.catchup.roster is None
    assert learner.catchup.download is None
    assert learner.catchup.contradicts(1, story.commits[0].certificate.value)


def test_at_the_round_of_the_checkpoint_no_other_history_is_taken() -> None:
    story = grown()
    mine = story.commits[25].certificate.value
    learner = Learner(mine)
    origin = story.library.origin(mine)
    assert origin is not None
    learner.hear(origin)
    assert learner.catchup.contradicts(26, mine), "it begins with a state, and not with commits"
    learner.catchup.enter(story.states[25])
    assert learner.catchup.contradicts(26, bytes(32))
    assert not learner.catchup.contradicts(26, mine)
    assert not learner.catchup.contradicts(27, bytes(32))
    assert not Learner().catchup.contradicts(26, bytes(32)), "who was told nothing trusts the founding"


def test_a_manifest_that_contradicts_the_checkpoint_is_not_taken() -> None:
    story, other = Story().to(16), Story(told=2.0).to(16)
    learner = Learner(story.commits[15].certificate.value)
    origin = story.library.origin(story.commits[15].certificate.value)
    assert origin is not None
    learner.hear(origin)
    assert other.commits[15].certificate.value != story.commits[15].certificate.value
    learner.hear(manifest_of(other))
    assert learner.catchup.download is None
    learner.hear(manifest_of(story))
    assert learner.catchup.download is not None


def test_an_origin_that_is_not_the_checkpoints_is_refused() -> None:
    story = grown()
    learner = Learner(story.commits[25].certificate.value)
    origin, other = (story.library.origin(story.commits[round].certificate.value) for round in (25, 13))
    assert origin is not None
    assert other is not None
    learner.refuses(other, "not the checkpoint's")
    learner.refuses(Origin(origin.value, other.roster), "does not name")
    learner.refuses(Origin(origin.value, b""), "does not name")
    assert learner.catchup.roster is None
    learner.hear(origin)
    assert learner.said() == [(0, Behind(1, 3, story.commits[25].certificate.value))]
    learner.hear(other)
    assert learner.catchup.roster == story.states[26].roster, "it has heard enough"


# --- epochs ---


def test_changes_lead_from_roster_to_roster() -> None:
    story = grown()
    learner = Learner()
    for number, commit in enumerate(story.library.epochs):
        learner.hear(Epochs((commit,)), peer=2)
        assert learner.catchup.roster is not None
        assert learner.catchup.roster.epoch == number + 1
        assert learner.said() == [(2, Behind(1, number + 1))]
    assert learner.catchup.roster == story.states[38].roster
    learner.hear(Epochs(tuple(story.library.epochs)))
    assert learner.catchup.epochs == story.library.epochs, "what is known is no news"
    learner.said()
    learner.hear(Epochs(()))
    assert learner.said() == []


def test_a_change_of_a_later_epoch_is_refused() -> None:
    story = grown()
    learner = Learner()
    learner.refuses(Epochs((story.library.epochs[1],)), "epoch")
    assert learner.catchup.roster == GENESIS.roster


@pytest.mark.parametrize("voters", [[0], [0, 1], []])
def test_a_change_that_no_quorum_agreed_on_is_refused(voters: list[int]) -> None:
    good = grown().library.epochs[0]
    votes = votes_of(GENESIS, voters, SECOND, sha(good.value), round=3, term=2)
    learner = Learner()
    learner.refuses(Epochs((Commit(good.value, votes),)), "not a quorum")
    learner.refuses(Epochs((Commit(good.value, replace(good.certificate, signatures=bytes(256))),)), "not a quorum")
    assert learner.catchup.roster == GENESIS.roster


def test_a_commit_that_changes_nothing_ends_no_epoch() -> None:
    story = grown()
    Learner().refuses(Epochs((story.commits[0],)), "ends no epoch")


def test_a_change_that_was_not_entitled_to_happen_is_refused() -> None:
    """More lie than are tolerated, if it was agreed on at all."""
    before = Story().states[0]
    petition = petition_of(before.roster, Join(key(10)), endorsers=[0])
    commit = commit_of(before.apply([], petition.change), before.roster, ORIGIN, petition)
    learner = Learner()
    learner.refuses(Epochs((commit,)), "endorsed by 1")
    assert learner.catchup.roster == GENESIS.roster


def test_what_came_before_a_broken_change_is_kept() -> None:
    story = grown()
    learner = Learner()
    learner.refuses(Epochs((story.library.epochs[0], story.library.epochs[2])))
    assert learner.catchup.roster == story.states[3].roster
    assert learner.catchup.epochs == story.library.epochs[:1]


def test_changes_that_a_member_has_agreed_on_itself_meanwhile_are_passed() -> None:
    story = grown()
    learner = Learner()
    learner.hear(Epochs(tuple(story.library.epochs[:3])))
    learner.catchup.enter(story.states[14])
    assert learner.catchup.roster == story.states[26].roster, "what is proven stays"
    assert learner.catchup.epochs == [story.library.epochs[2]]
    learner.catchup.enter(story.states[38])
    assert learner.catchup.roster == story.states[38].roster
    assert learner.catchup.epochs == []


# --- manifests ---


def test_a_manifest_that_does_not_prove_its_state_is_refused() -> None:
    story = Story().to(16)
    good = manifest_of(story)
    chunks = good.chunks
    learner = Learner()
    for wrong in (b"", chunks[:-32], chunks + bytes(32), chunks[32:] + chunks[:32], chunks[:-1]):
        learner.refuses(Manifest(good.commit, wrong), "not of the state")
    few = votes_of(GENESIS, [0, 1], SECOND, sha(good.commit.value), round=16, term=2)
    learner.refuses(Manifest(Commit(good.commit.value, few), chunks), "not a quorum")
    learner.refuses(Manifest(Commit(b"no value", good.commit.certificate), chunks), "not a Value")
    other = Commit(story.commits[14].value, good.commit.certificate)
    learner.refuses(Manifest(other, chunks), "another value")
    assert learner.catchup.download is None
    learner.hear(good)
    assert learner.catchup.download is not None


@pytest.mark.parametrize("chunks", [b"", bytes(31), bytes(33)])
def test_hashes_of_half_a_chunk_or_none_are_refused_even_where_a_quorum_agreed_on_them(chunks: bytes) -> None:
    value = wire.encode(Value(9, ORIGIN, 0, bytes(32), sha(chunks), GENESIS.roster.hash))
    votes = votes_of(GENESIS, range(4), SECOND, sha(value), round=9, term=2)
    Learner().refuses(Manifest(Commit(value, votes), chunks), "not of the state")


def test_a_manifest_of_a_later_epoch_is_asked_about_first() -> None:
    story = grown()
    learner = Learner()
    learner.hear(manifest_of(story), peer=2)
    assert learner.catchup.download is None
    assert learner.said() == [(2, Behind(1, 0))]


def test_a_manifest_of_an_old_round_or_epoch_is_of_no_use() -> None:
    story = Story().to(16)
    old = manifest_of(story)
    learner = Learner(state=story.states[16])
    learner.hear(old)
    later = Learner()
    later.hear(Epochs((Story().go(3, Join(key(10))).commits[2],)))
    later.said()
    later.hear(old)
    assert learner.catchup.download is later.catchup.download is None
    assert learner.said() == later.said() == []


def test_one_download_at_a_time() -> None:
    first, second = Story().to(16), Story().to(32)
    learner = Learner()
    learner.hear(manifest_of(first))
    learner.hear(manifest_of(second))
    learner.catchup.ask(1)
    assert learner.catchup.download is not None
    assert learner.catchup.download.value.round == 16
    assert not any(isinstance(message, Behind) for _, message in learner.said())


def test_a_download_of_what_was_agreed_meanwhile_is_dropped() -> None:
    story = Story().to(32)
    learner = Learner()
    learner.hear(manifest_of(story))
    learner.catchup.enter(story.states[31])
    assert learner.catchup.download is not None
    learner.catchup.enter(story.states[32])
    assert learner.catchup.download is None


# --- chunks ---


def downloading() -> tuple[Story, Learner]:
    story, learner = Story().to(16), Learner()
    learner.hear(manifest_of(story))
    return story, learner


def chunk_of(story: Story, number: int) -> Chunk:
    chunk = story.library.chunk(story.states[16].hash, number)
    assert chunk is not None
    return chunk


def test_a_chunk_that_is_not_the_one_named_is_refused_and_asked_for_again() -> None:
    story, learner = downloading()
    assert 3 in learner.fetches
    good = chunk_of(story, 3)
    for data in (chunk_of(story, 4).data, wire.pack(b""), b"no frame", wire.pack(bytes(wire.CHUNK + 1))):
        with pytest.raises(ProtocolError):
            learner.catchup.on_chunk(replace(good, data=data))
    for _ in range(PATIENCE):
        learner.catchup.tick()
        assert 3 not in learner.fetches
    learner.catchup.tick()
    assert 3 in learner.fetches
    assert learner.catchup.on_chunk(good) is None
    assert learner.catchup.download is not None
    assert 3 in learner.catchup.download.chunks


def test_chunks_that_nobody_asked_for_are_ignored() -> None:
    story, learner = downloading()
    assert learner.catchup.download is not None
    late = learner.catchup.download.size - 1
    assert late >= FETCHED_AT_ONCE
    first = chunk_of(story, 0)
    for chunk in (chunk_of(story, late), replace(first, state=bytes(32)), replace(first, number=999)):
        assert learner.catchup.on_chunk(chunk) is None
    assert learner.catchup.download.chunks == {}
    assert Learner().catchup.on_chunk(chunk_of(story, 0)) is None
    learner.catchup.on_chunk(chunk_of(story, 0))
    learner.catchup.on_chunk(chunk_of(story, 0))
    assert list(learner.catchup.download.chunks) == [0], "twice is once"


def test_unanswered_chunks_are_asked_of_somebody_else() -> None:
    story, learner = downloading()
    peers: dict[int, set[int]] = {}
    for _ in range(60):
        learner.catchup.tick()
        for peer, message in learner.said():
            if isinstance(message, Fetch):
                for number in message.chunks:
                    peers.setdefault(number, set()).add(peer)
    assert set(peers) == set(range(FETCHED_AT_ONCE)), "no more at once than before"
    assert all(len(asked) >= 2 for asked in peers.values())
    assert learner.talk(story.library) is None
    for _ in range(PATIENCE + 1):
        learner.catchup.tick()
    assert learner.talk(story.library) is not None


def test_a_download_that_stands_still_is_given_up_and_asked_for_anew() -> None:
    story, learner = downloading()
    for _ in range(SURRENDER):
        learner.catchup.tick()
    assert learner.catchup.download is not None
    learner.catchup.on_chunk(chunk_of(story, 0))  # any chunk is a sign of life
    for _ in range(SURRENDER):
        learner.catchup.tick()
    assert learner.catchup.download is not None
    learner.catchup.tick()
    assert learner.catchup.download is None
    learner.said()
    learner.catchup.ask(1)
    assert learner.said() == [(1, Behind(1, 0))]
    learner.hear(manifest_of(story.to(32)))
    state = learner.talk(story.library)
    assert state is not None
    assert state.round == 32


def test_a_lone_member_asks_nobody() -> None:
    genesis = genesis_of(1)
    gossip = Gossip(genesis, 0, Random(0))
    catchup = CatchUp(genesis, gossip, fake_verify, check, bytes(32))
    catchup.tick()
    assert gossip.effects == []
    story = Story().to(16)
    catchup.roster = GENESIS.roster
    catchup.on_manifest(0, manifest_of(story))
    catchup.tick()
    assert gossip.effects == []
