"""`shrink`: the least that still breaks. Delta debugging (Zeller and Hildebrandt, 2002) over any sequence of records.

`shrunk` makes a sequence shorter and its records simpler while a predicate holds; it knows nothing of scripts, so
faults of a campaign shrink by it as well. `shrink_script` says what simpler means for a `Script`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import msgspec

from qorum.sim.script import Script, Step

T = TypeVar("T")

SECONDS = 30.0
"""Real time that shrinking may take, unless told otherwise."""


def shrunk(
    records: Sequence[T],
    fails: Callable[[tuple[T, ...]], bool],
    simpler: Callable[[T], Iterable[T]] = lambda record: (),
    seconds: float = SECONDS,
) -> tuple[T, ...]:
    """A subsequence of simplified records for which `fails` still holds, and of which no record can go any more.

    simpler: records to try in place of one, the simplest first; each must be simpler, or this runs until time is up.
    `fails(records)` must hold. After `seconds` of real time the best so far is returned.
    """
    end, best = time.monotonic() + seconds, tuple(records)
    improved = True
    while improved and time.monotonic() < end:
        shorter = _fewer(best, fails, end)
        simple = _simplified(shorter, fails, simpler, end)
        improved, best = simple != best, simple
    return best


def _fewer(records: tuple[T, ...], fails: Callable[[tuple[T, ...]], bool], end: float) -> tuple[T, ...]:
    """Leave out chunks, first large ones, in the end single records."""
    size = len(records)
    while size > 0:
        start = 0
        while start < len(records) and time.monotonic() < end:
            rest = records[:start] + records[start + size :]
            if fails(rest):
                records = rest
            else:
                start += size
        size = min(size // 2, len(records))
    return records


def _simplified(
    records: tuple[T, ...],
    fails: Callable[[tuple[T, ...]], bool],
    simpler: Callable[[T], Iterable[T]],
    end: float,
) -> tuple[T, ...]:
    """Replace each record by the simplest that will do, again and again."""
    at = 0
    while at < len(records) and time.monotonic() < end:
        tries = ((*records[:at], record, *records[at + 1 :]) for record in simpler(records[at]))
        found = next((candidate for candidate in tries if time.monotonic() < end and fails(candidate)), None)
        if found is None:
            at += 1
        else:
            records = found
    return records


# --- scripts ---


def shrink_script(script: Script, fails: Callable[[Script], bool], seconds: float = SECONDS) -> Script:
    """The smallest script found for which `fails` holds: fewer steps, then fewer faults in each, then all hear all."""
    steps = shrunk(
        script.steps,
        lambda steps: fails(msgspec.structs.replace(script, steps=steps)),
        simpler_steps,
        seconds,
    )
    return msgspec.structs.replace(script, steps=steps)


def simpler_steps(step: Step) -> Iterable[Step]:
    """Steps with one thing less: no fault at all, no partition, one crash or lie less, one set of hearers less."""
    for field, plain in _PLAIN.items():
        if getattr(step, field) != plain:
            yield msgspec.structs.replace(step, **{field: plain})
    for field in ("crashes", "jumps", "lies", "writes", "timers", "asleep"):
        yield from _one_less(step, field)
    for hearer in step.hears:
        rest = {other: heard for other, heard in step.hears.items() if other != hearer}
        yield msgspec.structs.replace(step, hears=rest)
    for number, lie in enumerate(step.lies):
        for address in lie.to if len(lie.to) > 1 else ():
            told = msgspec.structs.replace(lie, to=tuple(other for other in lie.to if other != address))
            yield msgspec.structs.replace(step, lies=(*step.lies[:number], told, *step.lies[number + 1 :]))


_PLAIN = {
    "crashes": (), "jumps": (), "lies": (), "writes": (), "asleep": (), "sides": (), "hears": {}, "timers": (),
    "lost": False,
}  # fmt: skip


def _one_less(step: Step, field: str) -> Iterable[Step]:
    records = getattr(step, field)
    for number in range(len(records) if len(records) > 1 else 0):
        yield msgspec.structs.replace(step, **{field: (*records[:number], *records[number + 1 :])})
