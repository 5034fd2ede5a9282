"""Random federations, merged round by round: the same in any Python that has NumPy and msgspec, or the bits differ."""

from __future__ import annotations

import hashlib
from random import Random

import numpy as np
from numpy.typing import NDArray

from qorum.config import FederationConfig
from qorum.core.columns import Columns
from qorum.core.genesis import Genesis
from qorum.core.messages import Contribution, Item
from qorum.core.state import Entry, State
from qorum.merge.accusation import accuse
from qorum.merge.outliers import outliers
from qorum.merge.registers import MEMBER_BITS, Registers
from qorum.merge.rule import Ground, merge
from qorum.merge.rules import Rules

STATES, ACTIONS = 25, 3
EXTREMES = (0, 1, -1, 1 << 20, -(1 << 20), (1 << 40) - 1, -(1 << 40))
SPREADS = (0, 1, 1 << 10, 1 << 19, 1 << 30)
VISITS = (0, 1, 1, 2, 8, 64, 511, 4_096, 65_535)


def hashes(first: int, count: int) -> list[str]:
    """Of the states that so many federations come to, one for each seed from `first` on; those of `large` come last."""
    return [*(state_of(seed).hash.hex() for seed in range(first, first + count)), *large()]


def state_of(seed: int) -> State:
    """What a federation drawn from a seed has agreed on after a few rounds."""
    random = Random(seed)
    members = random.choice((4, 5, 7, 10, 16, 40))
    config = FederationConfig.of(
        {
            "n_actions": ACTIONS,
            "gamma": random.choice((0.0, 0.5, 0.9, 0.99)),
            "r_min": -random.choice((0, 1, 100)),
            "r_max": random.choice((1, 20)),
            "initial_q": random.choice((0.0, 0.7, -3.3)),
            "byzantine_threshold": random.choice((0.0, 0.2, 0.33)),
            "evidence": random.choice(("replay", "implied", "q")),
        }
    )
    state = State.initial(Genesis(tuple(hashlib.sha256(b"%d" % me).digest() for me in range(members)), config))
    dense = random.random() < 0.2
    truth = [[random.gauss(0, 3) for _ in range(ACTIONS)] for _ in range(STATES)]
    for _ in range(random.randint(2, 6)):
        writers = [me for me in range(members) if random.random() < 0.8]
        state = state.apply([_entry(state, me, _columns(random, state, me, truth, dense)) for me in writers])
    return state


def _entry(state: State, me: int, columns: Columns) -> Entry:
    head = state.heads[me]
    body = Contribution(me, head.incarnation, head.seq + 1, head.hash, state.round, b"")
    name = hashlib.sha256(b"%d %d" % (me, head.seq + 1)).digest()
    return Entry(Item(b"", bytes(64)), name, body, columns)


def _columns(random: Random, state: State, me: int, truth: list[list[float]], dense: bool) -> Columns:
    """Claims near the truth, leaning, and at the limits; accusations that are due, and of whom it may be.

    dense: whether everybody claims every cell, which the outlier score asks for.
    """
    cells = [(number, action) for number in range(STATES) for action in range(ACTIONS)]
    cells = cells if dense else sorted(random.sample(cells, random.randint(0, 9)))
    members = len(state.heads)
    lies, leans = random.random() < (0.0 if dense else 0.3), 3.0 * (dense and me < members // 4)

    def value(number: int, action: int) -> int:
        if lies and random.random() < 0.5:
            return random.choice(EXTREMES)
        return round((truth[number][action] + leans + random.gauss(0, 0.5)) * (1 << 20))

    def mask(share: float) -> bytes:
        return _packed(np.array([random.random() < share for _ in range(members)]))

    accused, staked = state.accusations(me, steady=random.random() < 0.5)
    at_random = random.random() < 0.2
    return Columns(
        known=np.zeros(0, dtype=np.int64),
        states=np.array([number for number, _ in cells], dtype=np.uint64),
        actions=np.array([action for _, action in cells], dtype=np.uint8),
        value=np.array([value(*cell) for cell in cells], dtype=np.int64),
        visits=np.array([random.choice(VISITS[1:6] if dense else VISITS) for _ in cells], dtype=np.int64),
        spread=np.array([1 << 19 if dense else random.choice(SPREADS) for _ in cells], dtype=np.int64),
        accused=mask(0.2) if at_random else _packed(accused),
        staked=mask(0.1) if at_random else _packed(staked),
    )


def _packed(bits: NDArray[np.bool_]) -> bytes:
    return np.packbits(bits, bitorder="little").tobytes()


def large() -> list[str]:
    """Hashes of what is made of a table so large that its places need more than 31 bits."""
    cells, members = 40_000, 4
    key = (np.arange(cells, dtype=np.int64)[:, None] << MEMBER_BITS | np.arange(members)).ravel()
    noise = (key * 2_654_435_761 >> 7) % (1 << 20)
    registers = Registers(key, (key >> MEMBER_BITS << 8) + noise, 1 + noise % 97, noise, 0 * key + 1, 0 * key + 2)
    rules = Rules.of(FederationConfig.of({"n_actions": 4}), members, 1)
    ground = Ground(2, np.zeros(cells, np.int64), np.zeros(4, np.int64), np.zeros(members, dtype=bool))
    merged, everybody = merge(registers, ground, rules), np.arange(members, dtype=np.int64)
    accused = accuse(registers, everybody, everybody % 2 == 0, ground, rules)
    columns = merged.value, merged.support, outliers(registers, ground, rules), *accused
    return [hashlib.sha256(np.ascontiguousarray(column).tobytes()).hexdigest() for column in columns]
