"""qorum: a fleet of tabular Q-learning agents learns as one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qorum.agent import QAgent
from qorum.config import FederationConfig
from qorum.core.table import ConsensusState, FederatedQTable, SyncResult
from qorum.encoding import encoder_for, hash_observation
from qorum.errors import QorumError
from qorum.evidence import Evidence
from qorum.federation import create_federated_qtable, federated_sync
from qorum.merge.pairwise import merge_qtables
from qorum.qtable import QTable, QUpdate

if TYPE_CHECKING:
    from qorum.node.attach import attach
    from qorum.node.join import join, join_async

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


def __getattr__(name: str) -> Any:
    """Import the node only where it is used."""
    if name == "attach":
        from qorum.node.attach import attach

        return attach
    if name in ("join", "join_async"):
        from qorum.node import join

        return getattr(join, name)
    raise AttributeError(f"module 'qorum' has no attribute {name!r}")
