"""qorum: a fleet of tabular Q-learning agents learns as one."""

from __future__ import annotations

from qorum.agent import QAgent
from qorum.config import FederationConfig
from qorum.core.table import ConsensusState, FederatedQTable, SyncResult
from qorum.encoding import encoder_for, hash_observation
from qorum.errors import QorumError
from qorum.evidence import Evidence
from qorum.federation import create_federated_qtable, federated_sync
from qorum.merge.pairwise import merge_qtables
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
    "create_federated_qtable",
    "encoder_for",
    "federated_sync",
    "hash_observation",
    "merge_qtables",
]
