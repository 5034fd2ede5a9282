"""A member that is behind, new, or cut off: how it comes to what is agreed, and what it says meanwhile."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest

from qorum.core import wire
from qorum.core.catchup import SNAPSHOT_ROUNDS, SURRENDER
from qorum.core.columns import Columns
from qorum.core.effects import Blame, Committed, SetTimer, Timer
from qorum.core.member import Member
from qorum.core.messages import (
    Behind,
    Chunk,
    Commit,
    Cut,
    CutBody,
    Epochs,
    Fetch,
    Items,
    Join,
    Manifest,
    Origin,
    Pull,
    Rekey,
    Value,
    ValueBody,
    place,
)
from qorum.core.roster import CHANGE_ROUNDS
from qorum.core.status import status
from qorum.core.streams import KEPT_ROUNDS
from qorum.core.values import PATIENCE
from qorum.core.votes import FIRST, SECOND
from tests.core.harness import ENGINE, GUEST, Net, columns, key, only, petition_of, sent, sha, votes_of
from tests.core.test_member import (
    FAST,
    GENESIS,
    ITEMS,
    OTHERS,
    VALUE,
    agreed,
    chain,
    cut_body,
    heal,
    member_of,
    proposal_of,
    proposed,
    signed,
    tell,
    value_of,
    voted,
)


def rounds(net: Net, count: int, hosts: list[int]) -> None:
    """So many further rounds, in each of which one of `hosts` has news."""
    for n in range(count):
        goal = max(net.members[host].state.round for host in hosts) + 1
        net.news(hosts[n % len(hosts)])
        assert net.run(20, lambda goal=goal: min(net.members[h].state.round for h in hosts) >= goal), net.rounds()


def change(net: Net, host: int, what: Any) -> None:
    net.perform(host, net.members[host].petition(petition_of(net.members[host].roster, what)))


def wide(count: int, seed: int = 0) -> Columns:
    """A contribution of so many cells."""
    random = np.random.default_rng(seed)
    states = np.unique(random.integers(0, 2**62, count, dtype=np.uint64))
    n = len(states)
    return Columns(
        known=np.zeros(0, dtype=np.int64),
        states=states,
        actions=np.zeros(n, dtype=np.uint8),
        value=random.integers(-(2**20), 2**20, n),
        visits=np.ones(n, dtype=np.int64),
        spread=random.integers(0, 2**18, n),
    )


# --- behind ---


def test_a_member_sixty_rounds_and_several_epochs_behind_catches_up_and_goes_on() -> None:
    net = Net(5, **FAST)
    rounds(net, 2, [0, 1, 2, 3])
    net.side[4] = 1
    others = [0, 1, 2, 3]
    for number in range(3):
        change(net, 0, Rekey(3, number + 1, key(200 + number)))
        rounds(net, 1, [0, 1, 2])
        others = [0, 1, 2, net.newcomer(key(200 + number))]
        assert net.run(20, lambda host=others[-1]: net.members[host].me == 3)
        rounds(net, 2 * CHANGE_ROUNDS, others)
    net.side[4] = 0
    behind, goal = net.members[4], net.members[0].state.round
    assert goal >= 62 > behind.state.round
    assert net.run(20, lambda: behind.state.round >= goal)
    assert behind.roster.epoch == net.members[0].roster.epoch == 3
    assert behind.state.hash == net.members[0].state.hash
    assert [wire.decode_body(Value, c.value).epoch for c in net.epochs[4]] == [0, 1, 2]
    rounds(net, 2, [4, 0, 1, 2])
    net.stop(4)
    net.restart(4)
    assert len(net.members[4].library.epochs) == 3
    rounds(net, 2, [4, 0, 1, 2])
    assert net.blames == []


def test_a_member_of_an_old_round_is_helped_though_all_others_have_been_restarted() -> None:
    """Nobody holds the items of the round any more; with one more member down, rounds depend on the one behind."""
    net = Net(4, **FAST)
    rounds(net, 2, [0, 1, 2, 3])
    net.side[3] = 1
    rounds(net, 1, [0, 1, 2])
    for host in (0, 1, 2):
        net.stop(host)
        net.restart(host)
    net.stop(2)
    net.side[3] = 0
    assert net.run(20, lambda: net.members[3].state.round == 3)
    rounds(net, 2, [0, 1, 3])
    assert net.blames == []


def test_a_state_of_many_frames_is_fetched_in_chunks_and_every_frame_stays_below_the_limit() -> None:
    net = Net(4, visit_budget_initial=40_000, **FAST)
    net.side[3] = 1
    for number in range(KEPT_ROUNDS + SNAPSHOT_ROUNDS):
        net.contribute(number % 3, wide(1_500, seed=number))
        goal = number + 1
        assert net.run(20, lambda goal=goal: min(net.rounds()[:3]) >= goal)
    state, limit = net.members[0].state, wire.frame_limit(4)
    assert len(state.to_bytes()) > 5 * limit
    chunks, watched = list[int](), net.watch

    def watch(host: int, effect: Any) -> None:
        watched(host, effect)
        chunks.extend(chunk.number for chunk in sent([effect], Chunk))

    net.watch, net.side[3] = watch, 0
    seen: list[str] = []
    assert net.run(60, lambda: seen.append(status(net.members[3])) or min(net.rounds()) >= goal)  # type: ignore[func-returns-value]
    assert any(line.startswith("fetching the state of round") for line in seen)
    assert len(set(chunks)) > 5
    assert net.members[3].state.hash == state.hash
    assert net.largest <= limit
    assert net.blames == []


def test_every_frame_of_a_wide_cut_stays_below_the_limit() -> None:
    net = Net(20, max_bytes_per_round=60_000, visit_budget_initial=40_000, **FAST)
    for host in range(0, 20, 2):
        net.contribute(host, wide(1_500, seed=host))
    assert net.run(30, lambda: min(net.rounds()) >= 1)
    assert net.largest <= wire.frame_limit(20)
    assert net.blames == []


def downloading() -> tuple[Member, Net]:
    """A member that has been offered a state, and asked for its chunks."""
    net = Net(4, visit_budget_initial=40_000, **FAST)
    for number in range(SNAPSHOT_ROUNDS):
        net.contribute(number % 4, wide(1_500, seed=number))
        assert net.run(20, lambda number=number: min(net.rounds()) > number)
    member = Member(net.genesis, 3, ENGINE, Random(0))
    member.start()
    (manifest,) = sent(net.members[0].receive(3, wire.encode(Behind(0, 0))), Manifest)
    assert sent(member.receive(0, wire.encode(manifest)), Fetch)
    return member, net


def test_a_forged_chunk_is_blamed_and_the_true_one_still_taken() -> None:
    member, net = downloading()
    download = member.catchup.download
    assert download is not None
    forged = Chunk(download.value.result, 0, wire.pack(b"anything"))
    assert only(member.receive(2, wire.encode(forged)), Blame)
    committed: list[Committed] = []
    for number in range(download.size):
        (chunk,) = sent(net.members[1].receive(3, wire.encode(Fetch(download.value.result, (number,)))), Chunk)
        net.members[1].timer(SetTimer(Timer.TICK, 0.0))
        member.timer(SetTimer(Timer.TICK, 0.0))
        committed += only(member.receive(1, wire.encode(chunk)), Committed)
    assert [(c.state.round, c.skipped, c.cut, c.entries) for c in committed] == [
        (SNAPSHOT_ROUNDS, SNAPSHOT_ROUNDS - 1, None, ())
    ]
    assert committed[0].state.hash == download.value.result


def test_a_download_that_nobody_serves_is_asked_of_others_and_in_the_end_given_up() -> None:
    member, net = downloading()
    asked: set[int] = set()
    for _ in range(SURRENDER + 1):
        for effect in member.timer(SetTimer(Timer.TICK, 0.0)):
            if sent([effect], Fetch):
                asked |= set(effect.to)  # type: ignore[union-attr]
    assert asked == {0, 1, 2}
    assert member.catchup.download is None
    (manifest,) = sent(net.members[0].receive(3, wire.encode(Behind(0, 0))), Manifest) or [None]
    assert manifest is None, "one answer a tick"


# --- newcomers with a checkpoint ---


def founded(changes: int = 2) -> tuple[Net, bytes]:
    """A federation that has changed, and the hash of the value of its newest change."""
    net = Net(5, **FAST)
    rounds(net, 1, [0, 1, 2, 3])
    for number in range(changes):
        change(net, 0, Rekey(3, number + 1, key(200 + number)))
        rounds(net, CHANGE_ROUNDS, [0, 1, 2, 4])
    return net, net.epochs[0][-1].certificate.value


def test_a_newcomer_with_a_checkpoint_needs_nothing_from_before_it() -> None:
    net, checkpoint = founded()
    rounds(net, KEPT_ROUNDS, [0, 1, 2, 4])
    new = net.newcomer(key(300), checkpoint)
    assert net.members[new].catchup.roster is None
    goal = net.members[0].state.round
    assert net.run(20, lambda: net.members[new].state.round >= goal)
    assert net.members[new].state.hash == net.members[0].state.hash
    change(net, 0, Join(key(300)))
    rounds(net, 2, [0, 1, 2, 4])
    assert net.run(20, lambda: net.members[new].me == 5)
    rounds(net, 1, [new, 0, 1, 2, 4])
    net.stop(new)
    net.restart(new)
    rounds(net, 2, [new, 0, 1, 2, 4])
    assert net.blames == []


def test_a_newcomer_that_began_from_a_checkpoint_tells_others_only_what_it_can_show() -> None:
    net, checkpoint = founded()
    rounds(net, KEPT_ROUNDS, [0, 1, 2, 4])
    new = net.newcomer(key(300), checkpoint)
    assert net.run(20, lambda: net.members[new].state.round == net.members[0].state.round)
    change(net, 0, Join(key(300)))
    rounds(net, CHANGE_ROUNDS, [0, 1, 2, 4])
    assert net.run(20, lambda: net.members[new].state.round == net.members[0].state.round)
    newest = net.epochs[0][-1].certificate.value
    for behind in (Behind(0, -1, newest), Behind(0, -1, checkpoint), Behind(1, 0)):
        answers = sent(net.members[new].receive(GUEST + 9, wire.encode(behind)), Origin)
        for origin in answers:
            assert sha(origin.roster) == wire.decode_body(Value, origin.value).roster


def test_after_a_restart_too_a_commit_that_was_only_trusted_is_not_shown() -> None:
    net, checkpoint = founded()
    new = net.newcomer(key(300), checkpoint)
    assert net.run(20, lambda: net.members[new].state.round > 0)
    net.stop(new)
    taken = net.members[new].last_commit
    assert taken is not None
    assert taken.certificate.value == checkpoint, "signed by members of before, whom the newcomer does not know"
    net.restart(new)
    net.restart(0)
    asked = wire.encode(Behind(0, 0))
    assert sent(net.members[0].receive(GUEST + 9, asked), Epochs) != []
    assert net.members[new].receive(GUEST + 9, asked) == []


def newcomer(net: Net, checkpoint: bytes) -> Member:
    member = Member(net.genesis, None, ENGINE, Random(0), key=key(300), checkpoint=checkpoint)
    member.start()
    return member


def test_a_newcomer_believes_no_history_before_it_knows_what_its_checkpoint_stands_for() -> None:
    """Another history, by all founding keys: they may be long lost to somebody."""
    net, checkpoint = founded()
    other = Net(5, seed=9, **FAST)
    assert other.genesis == net.genesis
    rounds(other, SNAPSHOT_ROUNDS, [0, 1, 2, 3])
    new, liar = newcomer(net, checkpoint), other.members[0]
    commits = list(liar.service._proofs.values())
    (manifest,) = sent(liar.receive(9, wire.encode(Behind(0, 0))), Manifest)
    first = commits[0]
    items = [entry.item for hash in liar.streams._retired[1] if (entry := liar.streams.get(hash))]
    for record in (*items, *commits, manifest, first.certificate, ValueBody(first.value)):
        assert only(new.receive(0, wire.encode(record)), Committed) == []
    assert (new.state.round, new.catchup.roster, new.catchup.download) == (0, None, None)


def test_a_newcomer_refuses_an_origin_that_is_not_its_checkpoints() -> None:
    net, checkpoint = founded()
    new = newcomer(net, checkpoint)
    (origin,) = sent(net.members[0].receive(GUEST + 9, wire.encode(Behind(1, -1, checkpoint))), Origin)
    forged = [
        Origin(net.epochs[0][0].value, origin.roster),
        Origin(origin.value, net.genesis.roster.to_bytes()),
    ]
    for record in forged:
        assert only(new.receive(0, wire.encode(record)), Blame)
        assert new.catchup.roster is None
    assert only(new.receive(0, wire.encode(origin)), Blame) == []
    assert new.catchup.roster == net.members[0].roster


def test_a_newcomer_takes_no_state_of_its_checkpoints_round_but_that() -> None:
    """The members of that time may sign a second history; of their round only the checkpoint is believed."""
    net = Net(4, **FAST)
    rounds(net, SNAPSHOT_ROUNDS, [0, 1, 2, 3])
    commit = net.members[0].last_commit
    assert commit is not None
    (good,) = sent(net.members[0].receive(3, wire.encode(Behind(0, 0))), Manifest)
    value = wire.decode_body(Value, commit.value)
    twin = wire.encode(Value(value.round, value.previous, value.epoch, sha(b"cut"), sha(b"chunks hash"), value.roster))
    forged = Manifest(Commit(twin, votes_of(net.genesis, [0, 1, 2], SECOND, sha(twin), round=value.round)), b"")
    new = newcomer(net, commit.certificate.value)
    (origin,) = sent(net.members[1].receive(GUEST, wire.encode(Behind(1, -1, commit.certificate.value))), Origin)
    new.receive(0, wire.encode(origin))
    new.receive(0, wire.encode(forged))
    assert new.catchup.download is None
    new.receive(0, wire.encode(good))
    assert new.catchup.download is not None


def test_epochs_must_follow_on_each_other() -> None:
    net, _ = founded(changes=2)
    member = Member(net.genesis, 4, ENGINE, Random(0))
    member.start()
    first, second = net.epochs[0]
    assert only(member.receive(0, wire.encode(Epochs((second,)))), Blame)
    assert member.catchup.roster == net.genesis.roster
    assert only(member.receive(0, wire.encode(Epochs((first, second)))), Blame) == []
    assert member.catchup.roster == net.members[0].roster
    assert only(member.receive(0, wire.encode(Epochs((first,)))), Blame) == [], "old, and no lie"


# --- cut off: restating ---


class Diary:
    """What one host says: of each cell the newest value; all that is not agreed on is said again when it must be."""

    def __init__(self, net: Net, host: int) -> None:
        self.net, self.host, self.said = net, host, dict[int, int]()

    def write(self, state: int, value: int) -> None:
        """Contribute a new value of one cell."""
        member = self.net.members[self.host]
        if not member.may_contribute:
            return
        self.said[state] = value
        cells = sorted(self.said) if member.restates else [state]
        self.net.contribute(self.host, many({cell: self.said[cell] for cell in cells}))

    @property
    def agreed(self) -> dict[int, int]:
        """Of its cells, what the agreed state of the first host holds."""
        state = self.net.members[0].state
        mine = state.registers.member == self.net.members[self.host].me
        names = state.cells.state_hash[state.registers.cell[mine]].tolist()
        held = dict(zip(names, state.registers.value[mine].tolist(), strict=True))
        return {name: held[name] for name in self.said if name in held}


def many(cells: dict[int, int]) -> Columns:
    parts = [columns(state, value) for state, value in sorted(cells.items())]
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in
              ("known", "states", "actions", "value", "visits", "spread")}  # fmt: skip
    return Columns(**joined)


def cut_off(net: Net, writes: int, *, restart_at: int | None = None) -> Diary:
    """Member 3 is alone, and goes on learning."""
    diary, random = Diary(net, 3), Random(1)
    net.side[3] = 1
    for number in range(writes):
        diary.write(random.randrange(30), random.getrandbits(18))
        net.run(0.02)
        assert net.members[3].uncommitted <= net.genesis.config.max_items_per_round
        if number == restart_at:
            net.stop(3)
            net.restart(3)
    return diary


@pytest.mark.parametrize("restart_at", [None, 50, 51, 52, 53])
def test_what_a_member_said_while_it_was_cut_off_is_agreed_on_after_it(restart_at: int | None) -> None:
    net = Net(4, **FAST)
    rounds(net, 1, [0, 1, 2, 3])
    diary = cut_off(net, 100, restart_at=restart_at)
    rounds(net, 2, [0, 1, 2])
    net.side[3] = 0
    assert net.run(20, lambda: net.members[3].state.round >= 3)
    diary.write(1, 12345)
    assert heal(net)
    assert diary.agreed == diary.said
    assert net.members[3].uncommitted <= 4
    assert all(len(bodies) == 1 for bodies in net.signed[3].values())
    assert (net.equivocations, net.blames) == ([], [])


def test_a_crash_while_an_item_that_restates_waits_for_its_signature() -> None:
    net = Net(4, **FAST)
    rounds(net, 1, [0, 1, 2, 3])
    diary = cut_off(net, 4)
    assert net.members[3].restates
    net.crash = lambda host, effect: host == 3 and type(effect).__name__ == "Sign"
    diary.write(31, 7)
    assert 3 in net.down
    net.crash = lambda host, effect: False
    net.restart(3)
    assert (net.members[3].uncommitted, net.members[3].restates) == (1, False)
    net.side[3] = 0
    assert heal(net)
    assert diary.agreed == diary.said
    assert all(len(bodies) == 1 for bodies in net.signed[3].values())


def test_too_few_members_exchange_contributions_for_ever() -> None:
    net = Net(2, **FAST)
    for number in range(60):
        net.contribute(number % 2, columns(number))
        assert net.run(5, lambda: len({tuple(m.streams.tips) for m in net.members}) == 1), number
    assert net.rounds() == [0, 0]
    assert [tip.seq for tip in net.members[0].streams.tips] == [30, 30]
    assert all(len(member.streams._entries) <= 2 * 3 * 4 for member in net.members)
    assert net.blames == []


def test_what_was_certified_before_a_long_partition_can_still_be_agreed_on_after_it() -> None:
    """Its authors have restated the items of it many times; they are kept while the round lasts."""
    net = Net(4, seed=5, **FAST)
    rounds(net, 1, [0, 1, 2, 3])
    net.news(0)
    assert net.run(5, lambda: any(member.consensus.best_term >= 0 for member in net.members))
    net.side.update({2: 1, 3: 1})
    value = next(member.consensus.durable.best for member in net.members if member.consensus.durable.best)
    for _ in range(60):
        for host in net.honest:
            net.news(host)
        net.run(0.1)
    assert min(net.rounds()) == 1
    net.side.update({2: 0, 3: 0})
    assert heal(net)
    assert {sha(net.commits[host][2]) for host in net.honest if 2 in net.commits[host]} == {value.value}


# --- cuts and sketches ---


def test_a_cut_is_rebuilt_from_its_sketch_without_asking() -> None:
    member = member_of()
    effects = tell(member, *ITEMS, proposed())
    assert voted(effects) == [(FIRST, sha(VALUE))]
    assert sent(effects, Pull) == []


def test_a_cut_of_another_branch_is_fetched_by_hash_and_then_its_item() -> None:
    member, liar = member_of(), OTHERS[0]
    other = chain(GENESIS, liar, 1, mark=1)[0]
    value = value_of([item for m, item in enumerate(ITEMS) if m != liar] + [other])
    effects = tell(member, *ITEMS, proposed(value))
    cut = sha(cut_body(value).cut)
    assert [pull.hashes for pull in sent(effects, Pull)][-1] == (cut,)
    assert voted(effects) == []
    effects = tell(member, cut_body(value))
    assert [pull.hashes for pull in sent(effects, Pull)] == [(other.hash,)]
    effects = tell(member, other)
    assert voted(effects) == [(FIRST, sha(value))]


def test_a_misleading_sketch_is_given_up_after_its_patience() -> None:
    member = member_of()
    seqs = [(m, 9) for m in range(4)]
    misleading = proposal_of(GENESIS, VALUE, sketch=member.streams.sketch(seqs))
    effects = tell(member, *ITEMS, misleading)
    assert {pull.items for pull in sent(effects, Pull)} == {b"".join(place(*at) for at in seqs)}
    effects = [e for _ in range(PATIENCE) for e in signed(member, member.timer(SetTimer(Timer.TICK, 0.0)))]
    asked = {hash for pull in sent(effects, Pull) for hash in pull.hashes}
    assert sha(cut_body(VALUE).cut) in asked
    assert voted(tell(member, cut_body(VALUE))) == [(FIRST, sha(VALUE))]


@pytest.mark.parametrize("sketch", [b"", b"junk", wire.pack(bytes(4))])
def test_a_sketch_that_is_none_costs_a_pull_of_the_cut(sketch: bytes) -> None:
    member = member_of()
    effects = tell(member, *ITEMS, proposal_of(GENESIS, VALUE, sketch=sketch))
    assert only(effects, Blame) == []
    assert {pull.hashes for pull in sent(effects, Pull)} == {(sha(cut_body(VALUE).cut),)}
    assert voted(tell(member, cut_body(VALUE))) == [(FIRST, sha(VALUE))]


def test_a_cut_nobody_asked_for_and_a_cut_of_bytes_change_nothing() -> None:
    member = member_of()
    tell(member, *ITEMS, proposal_of(GENESIS, VALUE))
    for body in (CutBody(b"cut"), CutBody(wire.encode(Cut(())))):
        assert tell(member, body) == []
    assert voted(tell(member, cut_body(VALUE))) == [(FIRST, sha(VALUE))]


def test_the_cut_of_a_past_round_is_served_while_its_items_are() -> None:
    member = member_of()
    tell(member, *ITEMS, agreed())
    assert member.state.round == 1
    asked = Pull(b"", (sha(cut_body(VALUE).cut),))
    assert sent(tell(member, asked), CutBody) == [cut_body(VALUE)]


def test_what_a_value_cites_is_kept_though_its_author_floods() -> None:
    member, liar = member_of(), OTHERS[0]
    assert voted(tell(member, *ITEMS, proposed())) == [(FIRST, sha(VALUE))]
    tell(member, *chain(GENESIS, liar, 40, mark=5))
    served = sent(tell(member, Pull(b"", (ITEMS[liar].hash,))), Items)
    assert [items.items for items in served] == [(ITEMS[liar],)]
