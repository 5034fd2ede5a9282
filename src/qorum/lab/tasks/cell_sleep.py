"""Cell sleep: when should a lightly loaded cell switch its transmitter off to save energy?"""

from __future__ import annotations

from functools import cache
from math import factorial

import numpy as np
from numpy.typing import NDArray

from qorum.lab.tasks.table_env import TableEnv
from qorum.lab.tasks.task import Task, continuing

DIMS = (9, 4, 3, 3)
"""Queue, time of day, mode, steps until awake."""
TIME_LIMIT = 200

QUEUE = DIMS[0] - 1
ARRIVALS = np.array([0.15, 0.8, 1.6, 2.2])
"""Mean packets per step at night, in the morning, by day and in the evening."""
MOST_ARRIVALS = QUEUE + 2
SERVED = 3
"""Packets that a cell which is on can send in a step."""
WAKING_STEPS = np.array([0, 1, 2])
"""Steps that waking takes from each mode."""
POWER = np.array([1.0, 0.45, 0.12])
"""Power in each mode, while nothing is sent or woken."""
IDLE_POWER, WAKING_POWER = 0.6, 1.2
DELAY_COST, LOSS_COST = 1.5, 2.0
NEXT_PHASE = 0.03


class CellSleepEnv(TableEnv):
    """A cell buffers packets and may sleep; traffic follows the time of day; 324 states, 3 actions.

    Observation, MultiDiscrete([9, 4, 3, 3]):

    - queue: packets that wait, 0 to 8;
    - time of day: 0 night, 1 morning, 2 day, 3 evening, with 0.15, 0.8, 1.6 and 2.2 arrivals a step in the mean
      (Poisson, cut off at 10); the next one follows with probability 0.03 a step;
    - mode: 0 on, 1 light sleep, 2 deep sleep;
    - waking: steps until it is awake, 0 to 2; while it wakes it does not listen to actions.

    Action: the mode to be in. 0 in a cell that is on sends up to 3 packets; in one that sleeps it begins to wake, which
    takes 1 step from light sleep and 2 from deep sleep. 1 and 2 go to sleep, or from one sleep to the other.

    Reward: minus the energy of the step (0.6 to 1 by load when sending, 1.2 when waking, 0.45 in light sleep, 0.12 in
    deep sleep, 1 when falling asleep), minus 1.5 times the share of the queue that is full before the step, minus 2 for
    every packet that arrives at a full queue and is lost. Sleep pays at night, if it ends in time.

    Nothing terminates; an episode is truncated after 200 steps and begins in any state, all alike.
    """

    def __init__(self) -> None:
        super().__init__(cell_sleep())


@cache
def cell_sleep() -> Task:
    """The task `CellSleep`: what `CellSleepEnv` walks; gamma 0.95."""
    queue, phase = (part[:, None, None] for part in _dimensions()[:2])
    sent, power, mode, waking = (part[:, :, None] for part in _controlled())
    arrivals, later = _arrivals()
    waiting = queue - sent + arrivals
    after = np.minimum(waiting, QUEUE), (phase + later) % DIMS[1], mode, waking
    lost = np.maximum(waiting - QUEUE, 0)
    return continuing(
        "CellSleep",
        probability=_chances(),
        next_state=np.ravel_multi_index(np.broadcast_arrays(*after), DIMS),
        reward=-power - DELAY_COST * queue / QUEUE - LOSS_COST * lost,
        time_limit=TIME_LIMIT,
        dims=DIMS,
        environment=CellSleepEnv,
    )


def threshold(mode: int, wake_at: int) -> NDArray[np.int64]:
    """int[S]: the usual rule: sleep in `mode` 1 or 2 when the queue is empty, wake when `wake_at` packets wait."""
    queue, _, now, _ = _dimensions()
    keep = np.where(now == 0, np.where(queue == 0, mode, 0), now)
    return np.where(queue >= wake_at, 0, keep)


def _dimensions() -> tuple[NDArray[np.int64], ...]:
    """i64[S] for each dimension: its number in every state."""
    return np.unravel_index(np.arange(np.prod(DIMS)), DIMS)


def _controlled() -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """[S,A] each: what actions decide: packets sent, power, and the next mode and waking time."""
    queue, _, mode, waking = (part[:, None] for part in _dimensions())
    action = np.arange(3)
    sends = (waking == 0) & (mode == 0) & (action == 0)
    wakes = (waking == 0) & (mode > 0) & (action == 0)
    sent = np.where(sends, np.minimum(queue, SERVED), 0)
    sending_power = IDLE_POWER + (POWER[0] - IDLE_POWER) * sent / SERVED
    power = np.select([(waking > 0) | wakes, sends], [WAKING_POWER, sending_power], POWER[mode])
    next_waking = np.select([waking > 0, wakes], [waking - 1, WAKING_STEPS[mode] - 1], 0)
    return sent, power, np.where(waking > 0, 0, action), next_waking


def _arrivals() -> NDArray[np.int64]:
    """i64[2,22]: of each outcome, how many packets arrive, and whether the time of day goes on."""
    return np.indices((MOST_ARRIVALS + 1, 2)).reshape(2, -1)


def _chances() -> NDArray[np.float64]:
    """f64[S,1,22]: probability of each outcome, packets by a Poisson distribution that is cut off."""
    arrivals, later = _arrivals()
    number = np.arange(MOST_ARRIVALS + 1)
    weight = ARRIVALS[:, None] ** number / [factorial(k) for k in number]
    packets = (weight / weight.sum(axis=1, keepdims=True))[_dimensions()[1]]
    return np.asarray((packets[:, arrivals] * np.where(later, NEXT_PHASE, 1 - NEXT_PHASE))[:, None])
