"""How one cell of the agreed table came about: who says what, which of it counted and why, step by step."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from qorum.core.cells import UNKNOWN
from qorum.core.state import State
from qorum.errors import TableError
from qorum.merge.fixed import ONE
from qorum.merge.registers import Registers
from qorum.merge.rule import Ground, counted
from qorum.merge.rules import Rules

SHOWN = 500
"""Cells in one answer."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A cell of the agreed table."""

    state: str
    """Its hash: the numbers of JSON are too small for it."""
    action: int
    value: float
    before: float
    """In the round before."""
    visits: int
    """Behind the value."""
    reporters: int
    confirmed: bool


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What one member says of a cell."""

    member: int
    value: float
    visits: int
    spread: float
    """Standard deviation of one visit's target."""
    base: int
    """Round whose table it was computed on."""
    counts: bool
    why: str
    """Why it counts, or does not."""


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """One cell, explained."""

    cell: Row
    claims: list[Claim]
    steps: list[str]


def rows(state: State, first: int = 0, order: str = "value") -> list[Row]:
    """Some of the cells: by `value`, `visits`, `reporters`, or those that `moved` the most; the largest first."""
    merged = state.merged
    keys = {
        "value": merged.value,
        "visits": merged.support,
        "reporters": merged.reporters,
        "moved": np.abs(merged.value - state.before),
    }
    if order not in keys:
        raise TableError(f"order is {order!r}; allowed: {', '.join(keys)}")
    chosen = np.argsort(-keys[order], kind="stable")[first : first + SHOWN]
    return [_row(state, int(at)) for at in chosen]


def _row(state: State, at: int) -> Row:
    merged = state.merged
    return Row(
        state=str(int(state.cells.state_hash[at])),
        action=int(state.cells.action[at]),
        value=float(merged.value[at] / ONE),
        before=float(state.before[at] / ONE),
        visits=int(merged.support[at]),
        reporters=int(merged.reporters[at]),
        confirmed=bool(merged.confirmed[at]),
    )


def story(state: State, state_hash: int, action: int) -> Story:
    """Explain a cell. Raises `TableError` if nobody has ever been there."""
    known = action < state.cells.n_actions
    at = int(state.cells.find(np.array([state_hash], np.uint64), np.array([action], np.uint8))[0]) if known else UNKNOWN
    if at == UNKNOWN:
        raise TableError(f"nobody has reported action {action} in state {state_hash}")
    ground = _ground(state)
    claims, averaged = counted(state.registers, ground, state.rules)
    mine = claims.cell == at
    verdicts = dict(zip(claims.member[mine].tolist(), averaged[mine].tolist(), strict=True))
    said = state.registers.take(state.registers.cell == at)
    told = [_claim(said, row, verdicts, ground, state.rules) for row in range(len(said))]
    return Story(cell=_row(state, at), claims=told, steps=_steps(state, at, told, ground))


def _ground(state: State) -> Ground:
    """What the newest merge stood on."""
    standing = state.standing
    return Ground(
        round=state.round,
        previous=state.before,
        moves=state.moves[1:],
        excluded=standing.excluded,
        since=state.since,
        paired=standing.paired,
        joined=np.array([seat.joined for seat in state.roster.seats], dtype=np.int64),
    )


def _claim(said: Registers, row: int, verdicts: dict[int, bool], ground: Ground, rules: Rules) -> Claim:
    member, base, visits = int(said.member[row]), int(said.base[row]), int(said.visits[row])
    counts = verdicts.get(member, False)
    return Claim(
        member=member,
        value=float(said.value[row] / ONE),
        visits=visits,
        spread=float(said.spread[row] / ONE),
        base=base,
        counts=counts,
        why="it counts" if counts else _why_not(member, base, visits, ground, rules, judged=member in verdicts),
    )


def _why_not(member: int, base: int, visits: int, ground: Ground, rules: Rules, *, judged: bool) -> str:
    if judged:
        return "too many others contradict it, or it is too far below a claim that stands"
    if visits == 0:
        return "it was taken back"
    if ground.excluded[member]:
        return "its author was found lying"
    if ground.out[member]:
        return "its author is in an open dispute"
    if base < ground.since:
        return f"it rests on a table of before round {ground.since}, in which liars had a part"
    if base < ground.round - 1 - rules.base_window:
        return f"it rests on the table of round {base}, too old for round {ground.round}"
    return "its author has more visits than its budget allows"


def _steps(state: State, at: int, claims: Sequence[Claim], ground: Ground) -> list[str]:
    """The merge of one cell, told."""
    row, rules = _row(state, at), state.rules
    if state.since == state.round > 0:
        return [f"Round {state.round} has begun the table anew: liars had a part in the one before."]
    counting = [claim for claim in claims if claim.counts]
    remaining = ground.remaining(rules)
    steps = [
        f"{len(claims)} members have reported it; {len(claims) - len(counting)} of these claims do not count.",
        f"{rules.tolerated} members may lie, {remaining} of them may not be caught yet: a claim falls when more than "
        f"{remaining} others contradict it.",
    ]
    if counting:
        visits = sum(min(claim.visits, rules.visit_cap) for claim in counting)
        steps.append(f"The rest is averaged by visits, {visits} in all: {row.value:.6g}.")
    else:
        steps.append(f"No claim counts, so it stays as it was: {row.value:.6g}.")
    enough = f"{row.reporters} reporters are {'more' if row.confirmed else 'no more'} than twice {remaining}"
    steps.append(f"{enough}: liars alone {'could not' if row.confirmed else 'could'} have set it.")
    return steps
