"""qorum: a fleet of tabular Q-learning agents learns as one."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qorum.agent import QAgent
    from qorum.config import FederationConfig
    from qorum.core.table import ConsensusState, FederatedQTable, SyncResult
    from qorum.encoding import encoder_for, hash_observation
    from qorum.errors import QorumError
    from qorum.evidence import Evidence
    from qorum.federation import create_federated_qtable, federated_sync
    from qorum.merge.pairwise import merge_qtables
    from qorum.node.attach import attach
    from qorum.node.join import join, join_async
    from qorum.qtable import QTable, QUpdate

__version__ = "0.1.0"

__all__ = [
    "ConsensusState",
    "Evidence",
    "FederatedQTable",
    "FederationConfig",
    "QAgent",
    "QTable",
    "QUpdate",
    "QorumError",
    "SyncResult",
    "attach",
    "create_federated_qtable",
    "encoder_for",
    "federated_sync",
    "hash_observation",
    "join",
    "join_async",
    "merge_qtables",
]

_HOMES = {
    "ConsensusState": "core.table",
    "Evidence": "evidence",
    "FederatedQTable": "core.table",
    "FederationConfig": "config",
    "QAgent": "agent",
    "QTable": "qtable",
    "QUpdate": "qtable",
    "QorumError": "errors",
    "SyncResult": "core.table",
    "attach": "node.attach",
    "create_federated_qtable": "federation",
    "encoder_for": "encoding",
    "federated_sync": "federation",
    "hash_observation": "encoding",
    "join": "node.join",
    "join_async": "node.join",
    "merge_qtables": "merge.pairwise",
}
"""Name -> the module that defines it, imported when the name is first used: no command loads what it does not need."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'qorum' has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(f"qorum.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
