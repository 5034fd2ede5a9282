"""Tasks read from the transition tables of Gymnasium's toy_text environments."""

from __future__ import annotations

from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from qorum.lab.tasks.task import Task, from_transitions

if TYPE_CHECKING:
    import gymnasium

TOY_TEXT = MappingProxyType(
    {
        "Taxi-v4": ("Taxi-v4", {}),
        "FrozenLake-v1": ("FrozenLake-v1", {}),
        "FrozenLake-v1-deterministic": ("FrozenLake-v1", {"is_slippery": False}),
        "FrozenLake8x8-v1": ("FrozenLake8x8-v1", {}),
        "CliffWalking-v1": ("CliffWalking-v1", {}),
        "CliffWalkingSlippery-v1": ("CliffWalkingSlippery-v1", {}),
    }
)
"""Task name -> (Gymnasium id, keyword arguments of gymnasium.make)."""


def toy_text(name: str) -> Task:
    """The task of a name in `TOY_TEXT`, with the time limit under which Gymnasium registers it; gamma 0.95.

    Raises:
        MissingExtra: Gymnasium is not installed.
    """
    make = partial(_make, name)
    env = make()
    time_limit = None if env.spec is None else env.spec.max_episode_steps
    table, start = env.unwrapped.P, env.unwrapped.initial_state_distrib  # type: ignore[attr-defined]
    return from_transitions(name, table, start, time_limit, environment=make)


def _make(name: str) -> gymnasium.Env[Any, Any]:
    from qorum.lab.tasks.extra import gymnasium

    gym_id, options = TOY_TEXT[name]
    env: gymnasium.Env[Any, Any] = gymnasium.make(gym_id, disable_env_checker=True, **options)
    return env
