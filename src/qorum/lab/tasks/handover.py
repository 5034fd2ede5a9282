"""Handover between two cells: when should a moving terminal change its serving cell?"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from qorum.lab.tasks.table_env import TableEnv
from qorum.lab.tasks.task import Task, continuing

DIMS = (16, 2, 2, 2, 7, 2)
"""Position, direction, speed, serving cell, shadowing, interruption."""
TIME_LIMIT = 200

SITE_DISTANCE_M = 500.0
SEGMENTS = np.array([1, 2])
"""Road segments that a terminal of each speed passes in a step."""
POWER_DBM, NOISE_DBM = 46.0, -95.0
LOAD = 0.5
"""Share of the time that the other cell transmits, and so interferes."""
SHADOWING_DB = np.linspace(-9.0, 9.0, DIMS[4])
"""How much stronger than its path loss says cell 0 is received, compared with cell 1."""
PEAK = 6.0
"""The highest spectral efficiency [bit/s/Hz]."""
FAILURE_SINR_DB = -6.0
"""Here the radio link fails in every second step."""

HANDOVER_COST, FAILURE_COST = 1.0, 4.0
TURN, CHANGE_SPEED = 0.02, 0.05


class HandoverEnv(TableEnv):
    """A terminal travels to and fro on the road between two base stations 500 m apart; 1,792 states, 2 actions.

    Observation, MultiDiscrete([16, 2, 2, 2, 7, 2]):

    - position: the road segment, 0 beside base station 0 to 15 beside base station 1, each 31.25 m long;
    - direction: 0 towards base station 1, 1 towards base station 0. It turns at the ends, and anywhere with
      probability 0.02 a step;
    - speed: 0 for one segment a step, 1 for two; changes with probability 0.05 a step;
    - serving: the cell it is connected to;
    - shadowing: which cell obstacles favour, from 0 (cell 1, by 9 dB) by 3 dB each to 6 (cell 0, by 9 dB); a random
      walk that tends to 3, where they favour none;
    - interruption: 1 in the step after a handover, in which no data flow.

    Action: 0 stays with the serving cell, 1 hands over to the other one. During an interruption both stay.

    Reward, all of the state before the step: the throughput as a share of the highest (0..1; 0 during an
    interruption), minus 1 for a handover, minus 4 times the probability that the radio link fails, which is a half at
    an SINR of -6 dB. Changing too often costs interruptions, too late costs failures: the optimum knows where the
    terminal is heading, which no hysteresis on signal strengths does (`a3`).

    Signals: path loss 128.1 + 37.6 log10(d / km) dB of 3GPP TR 36.942, 46 dBm of transmission power, the other cell
    interfering half of the time, noise of -95 dBm; throughput by Shannon's formula up to 6 bit/s/Hz.

    Nothing terminates; an episode is truncated after 200 steps and begins in any state, all alike.
    """

    def __init__(self) -> None:
        super().__init__(handover())


@cache
def handover() -> Task:
    """The task `Handover`: what `HandoverEnv` walks; gamma 0.95."""
    interrupted = _dimensions()[5]
    link = np.where(interrupted == 1, 0.0, _throughput() - FAILURE_COST * _failure())
    changes = np.stack([np.zeros_like(interrupted), 1 - interrupted], axis=1)[:, :, None]  # of the cell, [S,A,1]
    return continuing(
        "Handover",
        probability=_chances(),
        next_state=_next_states(changes),
        reward=link[:, None, None] - HANDOVER_COST * changes,
        time_limit=TIME_LIMIT,
        dims=DIMS,
        environment=HandoverEnv,
    )


def a3(hysteresis_db: float) -> NDArray[np.int64]:
    """int[S]: the usual rule, event A3 of 3GPP TS 36.331: hand over if the other cell is that much stronger [dB]."""
    serving, other = _received()
    return np.asarray(other - serving > hysteresis_db, dtype=np.int64)


def _dimensions() -> tuple[NDArray[np.int64], ...]:
    """i64[S] for each dimension: its number in every state."""
    return np.unravel_index(np.arange(np.prod(DIMS)), DIMS)


def _outcomes() -> NDArray[np.int64]:
    """i64[3,28]: of each outcome, whether it turns, whether it changes its speed, and what shadowing becomes."""
    return np.indices((2, 2, DIMS[4])).reshape(3, -1)


def _chances() -> NDArray[np.float64]:
    """f64[S,1,28]: probability of each outcome."""
    turns, varies, shadow = _outcomes()
    chance = np.where(turns, TURN, 1 - TURN) * np.where(varies, CHANGE_SPEED, 1 - CHANGE_SPEED)
    walk = _shadowing_walk()[_dimensions()[4]]
    return np.asarray((chance * walk[:, shadow])[:, None])


def _next_states(changes: NDArray[np.int64]) -> NDArray[np.int64]:
    """i64[S,A,28], given i64[S,A,1] whether the serving cell changes."""
    turns, varies, shadow = _outcomes()
    position, direction, speed, serving, _, _ = (part[:, None, None] for part in _dimensions())
    moved = position + np.where(direction == 0, 1, -1) * SEGMENTS[speed]
    heading = np.select([moved >= DIMS[0], moved < 0], [1, 0], direction ^ turns)
    after = moved.clip(0, DIMS[0] - 1), heading, speed ^ varies, serving ^ changes, shadow, changes
    return np.ravel_multi_index(np.broadcast_arrays(*after), DIMS)


def _received() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """f64[S] each: power received from the serving and from the other cell [dBm]."""
    position, _, _, serving, shadowing, _ = _dimensions()
    metres = (position + 0.5) / DIMS[0] * SITE_DISTANCE_M
    first = POWER_DBM - _path_loss(metres) + SHADOWING_DB[shadowing] / 2
    second = POWER_DBM - _path_loss(SITE_DISTANCE_M - metres) - SHADOWING_DB[shadowing] / 2
    return np.where(serving == 0, first, second), np.where(serving == 0, second, first)


def _path_loss(metres: NDArray[np.float64]) -> NDArray[np.float64]:
    return 128.1 + 37.6 * np.log10(metres / 1000)


def _sinr() -> NDArray[np.float64]:
    """f64[S]: signal to interference and noise, as a ratio."""
    serving, other = (10 ** (power / 10) for power in _received())
    return serving / (LOAD * other + 10 ** (NOISE_DBM / 10))


def _throughput() -> NDArray[np.float64]:
    """f64[S]: as a share of the highest."""
    return np.minimum(np.log2(1 + _sinr()), PEAK) / PEAK


def _failure() -> NDArray[np.float64]:
    """f64[S]: probability that the radio link fails."""
    return 1 / (1 + np.exp(10 * np.log10(_sinr()) - FAILURE_SINR_DB))


def _shadowing_walk() -> NDArray[np.float64]:
    """f64[7,7]: transition probabilities of shadowing, a rounded autoregression with coefficient 0.75."""
    level = np.arange(DIMS[4])
    middle = (DIMS[4] - 1) / 2
    mean = middle + 0.75 * (level - middle)
    weight = np.exp(-0.5 * (level - mean[:, None]) ** 2)
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))
