import pytest

from qorum.core import wire
from qorum.core.effects import Effect, Persist, Sign
from qorum.core.messages import Kind, Proposal, Votes
from qorum.sim.adversary import draw_script
from qorum.sim.host import Host
from qorum.sim.mutants.mutant import FIVE, HONEST, LIAR, SEVEN, TWIN
from qorum.sim.play import HEALING, play, story
from qorum.sim.script import NEWEST, Boast, Certify, Crash, Jump, Propose, Say, Script, Setup, Step
from qorum.sim.stage import Stage

ALL_TIMERS = Step(timers=("propose", "first", "second"))


class Note:
    """What hosts signed and persisted."""

    def __init__(self) -> None:
        self.effects: list[tuple[int, Effect]] = []

    def carried_out(self, host: Host, effect: Effect) -> None:
        self.effects.append((host.address, effect))

    def signers(self, kind: Kind) -> set[int]:
        return {who for who, effect in self.effects if isinstance(effect, Sign) and effect.kind is kind}


def opened(setup: Setup = HONEST) -> tuple[Stage, Note]:
    stage, note = Stage(setup), Note()
    stage.witnesses.append(note)
    stage.open()
    return stage, note


def rounds(stage: Stage) -> list[int]:
    return [host.member.state.round for host in stage.hosts]


def leader_of(stage: Stage, term: int = 0) -> int:
    return stage.genesis.leader(1, term)


def test_a_phase_is_a_step() -> None:
    stage, note = opened()
    assert note.signers(Kind.PROPOSAL) == {leader_of(stage)}
    assert note.signers(Kind.FIRST_VOTE) == {leader_of(stage)}
    stage.step(Step())
    assert note.signers(Kind.FIRST_VOTE) == {0, 1, 2, 3}
    assert note.signers(Kind.SECOND_VOTE) == set()
    stage.step(Step())
    assert note.signers(Kind.SECOND_VOTE) == {0, 1, 2, 3}
    assert rounds(stage) == [0, 0, 0, 0]
    stage.step(Step())
    assert rounds(stage) == [1, 1, 1, 1]


def test_the_next_round_follows_of_itself() -> None:
    stage, _ = opened()
    for _ in range(9):
        stage.step(Step())
    assert min(rounds(stage)) >= 2


def test_only_who_hears_the_proposal_votes() -> None:
    stage, note = opened()
    leader = leader_of(stage)
    deaf = next(host for host in range(4) if host != leader)
    stage.step(Step(hears={deaf: ()}))
    assert note.signers(Kind.FIRST_VOTE) == {0, 1, 2, 3} - {deaf}


def test_what_is_held_arrives_later_and_what_is_lost_never() -> None:
    for lost, voters in ((False, {0, 1, 2, 3}), (True, set())):
        stage, note = opened()
        leader = leader_of(stage)
        stage.step(Step(sides=((leader,),), lost=lost))
        stage.step(Step())
        assert note.signers(Kind.FIRST_VOTE) == voters | {leader}


def test_timers_fire_when_the_script_says_so_and_not_for_sleepers() -> None:
    stage, note = opened()
    leader = leader_of(stage)
    alone = Step(sides=((leader,),), lost=True)
    stage.step(alone)
    assert note.signers(Kind.FIRST_VOTE) == {leader}
    sleeper = next(host for host in range(4) if host != leader)
    stage.step(Step(sides=((leader,),), lost=True, timers=("propose",), asleep=(sleeper,)))
    assert note.signers(Kind.FIRST_VOTE) == {0, 1, 2, 3} - {sleeper}


def test_a_term_without_proposal_leads_to_the_next_leader() -> None:
    stage, note = opened()
    stage.step(Step(sides=((leader_of(stage),),), lost=True, timers=("propose",)))
    for _ in range(6):
        stage.step(ALL_TIMERS)
    assert leader_of(stage, 1) in note.signers(Kind.PROPOSAL)


def test_fetching_takes_no_step() -> None:
    stage, _ = opened()
    stage.step(Step(writes=(0,)))
    assert all(host.member.streams.tips[0].seq == 2 for host in stage.hosts)


def test_twins_have_one_key_and_two_minds() -> None:
    _, note = opened(Setup(4, twins=(leader_of(Stage(HONEST)),)))
    proposals = [
        wire.decode(effect.body)
        for _, effect in note.effects
        if isinstance(effect, Sign) and effect.kind is Kind.PROPOSAL
    ]
    assert len(proposals) == 2
    assert all(isinstance(proposal, Proposal) for proposal in proposals)
    assert len(set(proposals)) == 2


@pytest.mark.parametrize("after", [False, True])
def test_a_crash_comes_at_the_effect_that_the_script_names(after: bool) -> None:
    stage, note = opened()
    host = stage.hosts[next(host for host in range(4) if host != leader_of(stage))]
    record = host.disk.record
    note.effects.clear()
    stage.step(Step(crashes=(Crash(host.address, "Persist", after=after, steps=2),)))
    assert not host.up
    assert (host.disk.record != record) is after
    kinds = [type(effect) for who, effect in note.effects if who == host.address]
    assert kinds.count(Persist) == after
    assert Sign not in kinds
    stage.step(Step())
    assert not host.up
    stage.step(Step())
    assert host.up
    assert host.life == 1


def test_a_crash_after_the_last_effect_of_a_step() -> None:
    stage, _ = opened()
    host = stage.hosts[0]
    stage.step(Step())
    stage.step(Step(crashes=(Crash(0, "Send", after=True, skip=0),)))
    assert not host.up


def test_a_voter_that_crashed_votes_the_same_again() -> None:
    stage, note = opened()
    voter = next(host for host in range(4) if host != leader_of(stage))
    stage.step(Step(crashes=(Crash(voter, "Sign", after=True),)))
    for _ in range(3):
        stage.step(Step())
    votes = [
        effect.data
        for who, effect in note.effects
        if who == voter and isinstance(effect, Sign) and (effect.kind, effect.round) == (Kind.FIRST_VOTE, 1)
    ]
    assert len(votes) > 1
    assert len(set(votes)) == 1


def votes_held(stage: Stage, host: int, step: int, term: int = 0) -> dict[bytes, int]:
    return {value: mask for (value, _), mask in stage.hosts[host].member.consensus.tally.slot(term, step).masks.items()}


def test_a_liar_votes_one_thing_here_and_another_there() -> None:
    stage, _ = opened(LIAR)
    stage.step(Step(sides=((3,),), lies=(Say(3, (0,), 1, NEWEST), Say(3, (1,), 1))))
    assert any(mask >> 3 & 1 for value, mask in votes_held(stage, 0, 1).items() if value)
    assert any(mask >> 3 & 1 for value, mask in votes_held(stage, 1, 1).items() if not value)


@pytest.mark.parametrize("evicting", [True, False])
def test_a_liar_that_is_caught_loses_its_seat_if_it_can_be_spared(evicting: bool) -> None:
    stage, _ = opened(Setup(4, liars=(3,), evicting=evicting))
    stage.step(Step(lies=(Say(3, (0, 1, 2), 1, NEWEST), Say(3, (0, 1, 2), 1))))
    for _ in range(12):
        stage.step(Step())
    for host in stage.honest:
        assert host.member.roster.seats[3].active is not evicting
        assert (stage.known_as(host.member.roster, stage.hosts[3]) == 3) is not evicting
        assert host.member.state.round >= 3


def test_one_who_crashes_once_a_payload_is_kept_comes_back_with_it() -> None:
    stage, _ = opened()
    voter = next(host for host in range(4) if host != leader_of(stage))
    stage.step(Step(crashes=(Crash(voter, "Keep", after=True),)))
    host = stage.hosts[voter]
    assert host.disk.payloads
    stage.step(Step())
    assert all(item.hash in host.member.streams for keep in host.disk.payloads for item in keep.items)


def test_a_claim_of_a_far_term_is_one_voice_and_moves_nobody() -> None:
    stage, _ = opened(LIAR)
    stage.step(Step(lies=(Say(3, (0, 1, 2), 1, ahead=7, times=5),)))
    assert [host.member.consensus.tally.reached[7] for host in stage.honest] == [1 << 3] * 3
    assert [host.member.consensus.term for host in stage.honest] == [0, 0, 0]


def test_a_liar_that_leads_proposes_two_values() -> None:
    leader = leader_of(Stage(HONEST))
    stage, note = opened(Setup(4, liars=(leader,)))
    others = [host for host in range(4) if host != leader]
    lies = (Propose(leader, tuple(others[:1]), 8), Propose(leader, tuple(others[1:]), 9))
    stage.step(Step(sides=tuple((other,) for other in others), lost=True, lies=lies))
    firsts = {
        votes.value
        for who, effect in note.effects
        if who in others and isinstance(effect, Sign) and effect.kind is Kind.FIRST_VOTE
        for votes in [wire.decode(effect.body)]
        if isinstance(votes, Votes)
    }
    assert len(firsts) == 2


@pytest.mark.parametrize("kind", ["foreign", "forged", "few"])
def test_certificates_that_are_none_count_nothing(kind: str) -> None:
    stage, _ = opened(LIAR)
    stage.step(Step(lies=(Certify(3, (0, 1, 2), 2, 0, kind),)))
    assert rounds(stage) == [0, 0, 0, 0]
    honest = sum(mask & 0b0111 for mask in votes_held(stage, 0, 2).values())
    assert honest == 0


def test_a_boast_moves_no_version() -> None:
    stage, _ = opened(LIAR)
    stage.step(Step(sides=((3,),), lies=(Boast(3, (0, 1, 2)),)))
    assert all(tip.seq == 1 for host in stage.honest for tip in host.member.streams.tips)


def test_a_stage_that_nothing_is_done_to_heals() -> None:
    stage, _ = opened(LIAR)
    assert stage.heal() is None
    assert all(host.member.state.round >= 1 for host in stage.honest)


def test_healing_fails_where_too_many_are_silent() -> None:
    stage, _ = opened(Setup(4, liars=(2, 3)))
    hangs = stage.heal()
    assert hangs is not None
    assert "have not agreed on round 1" in hangs


@pytest.mark.parametrize("setup", [LIAR, TWIN, HONEST, FIVE, SEVEN])
def test_equal_scripts_give_equal_runs(setup: Setup) -> None:
    script = draw_script(setup, 11)
    first, again = play(script), play(Script.from_json(script.to_json()))
    assert first == again
    assert play(draw_script(setup, 12)).event_hash != first.event_hash


def test_a_jump_of_the_wall_clock_changes_nothing() -> None:
    script = draw_script(LIAR, 3)
    jumped = Script(LIAR, tuple(Step(**{**{f: getattr(s, f) for f in s.__struct_fields__},
                                        "jumps": (Jump(0, 3600.0),)}) for s in script.steps))  # fmt: skip
    assert play(jumped).event_hash == play(script).event_hash


@pytest.mark.parametrize("setup", [LIAR, TWIN, HONEST, FIVE, SEVEN, Setup(5, crash_only=True), Setup(6, liars=(1,))])
def test_the_core_stands_the_adversary(setup: Setup) -> None:
    for seed in range(6):
        script = draw_script(setup, seed)
        outcome = play(script)
        assert not outcome.violations, story(script, outcome)


@pytest.mark.long
@pytest.mark.parametrize("setup", [LIAR, TWIN, HONEST, FIVE, SEVEN, Setup(5, crash_only=True), Setup(6, liars=(1,))])
def test_the_core_stands_the_adversary_for_long(setup: Setup) -> None:
    for seed in range(1000, 1400):
        script = draw_script(setup, seed)
        outcome = play(script)
        assert not outcome.violations, story(script, outcome)


def test_a_story_tells_what_each_step_led_to() -> None:
    script = Script(Setup(4, liars=(2, 3)), (Step(lies=(Say(3, (0,), 1),)),))
    outcome = play(script)
    assert [wrong.name for wrong in outcome.violations] == [HEALING]
    told = story(script, outcome)
    assert "first vote v0 (1.0)" in told
    assert "step 1: all hear all; liar D signs first vote nil to A" in told
    assert "lock v0 (1.0)" in told
    assert "violated: healing: hosts [0, 1] have not agreed on round" in told
