"""What makes a host from what is kept of it, at every start; and a member that goes on under a new key."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from qorum.agent import QAgent
from qorum.core.genesis import Genesis
from qorum.core.member import Engine, Member
from qorum.core.table import NO_SEAT, FederatedQTable, agent_for
from qorum.identity import Identity, Signer
from qorum.node.host import Disk, Host, Route, Witness
from qorum.store.kept import Kept

if TYPE_CHECKING:
    from qorum.store import Store


def host_of(identity: Identity, store: Store, engine: Engine, route: Route, witness: Witness) -> Host:
    """The host of the member that goes by this identity, with all that it and its agent had when it last ran.

    An identity without a seat follows what the others agree on, until a round admits it. Raises `StoreError` if what
    is kept is damaged, or older than what was signed.
    """
    genesis, key = store.genesis, identity.public_key
    kept, start = store.load(key) or Kept(), store.starting_table()
    agent = agent_for(genesis.config, seed=Random().getrandbits(32))
    experience = store.load_experience(key)
    if experience is not None:
        agent.restore(experience)
    host = revived(genesis, identity, kept, agent, store, engine, route, witness)
    if kept.state is None and start is not None:
        agent.adopt(start)
    return host


def revived(
    genesis: Genesis,
    identity: Signer,
    kept: Kept,
    agent: QAgent,
    disk: Disk,
    engine: Engine,
    route: Route,
    witness: Witness,
    table_class: type[FederatedQTable] = FederatedQTable,
) -> Host:
    """The host of a member that goes on from what was kept, with an agent that has its own experience.

    Raises `StoreError` if what is kept is older than what was signed, and `ConfigError` if the agent learns something
    else than the federation agreed on.
    """
    key, random = identity.public_key, Random()
    member = Member(
        genesis,
        None,
        engine,
        random,
        key=key,
        state=kept.state,
        commit=kept.commit,
        record=kept.record,
        epochs=kept.epochs,
        payloads=kept.payloads,
    )
    seat = NO_SEAT if member.me is None else member.me
    table = table_class(genesis, seat, engine, random, agent, member=member)
    return Host(table, identity, disk, route, witness, random)


def heir_of(member: Member, key: bytes, engine: Engine) -> Member:
    """Who goes on from what a member has agreed on, under a key that has said nothing yet."""
    return Member(
        member.genesis,
        None,
        engine,
        Random(),
        key=key,
        state=member.state,
        commit=member.last_commit,
        epochs=member.library.epochs,
    )
