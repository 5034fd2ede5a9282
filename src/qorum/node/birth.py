"""What makes a host from what its node's store holds, at every start; and a member that goes on under a new key."""

from __future__ import annotations

from random import Random

from qorum.core.member import Engine, Member
from qorum.core.table import NO_SEAT, FederatedQTable, agent_for
from qorum.identity import Identity
from qorum.node.host import Host, Route, Witness
from qorum.store import Kept, Store

NOTHING = Kept(None, None, None, (), ())


def host_of(identity: Identity, store: Store, engine: Engine, route: Route, witness: Witness) -> Host:
    """The host of the member that goes by this identity, with all that it and its agent had when it last ran.

    An identity without a seat follows what the others agree on, until a round admits it. Raises `StoreError` if what
    is kept is damaged, or older than what was signed.
    """
    genesis, key = store.genesis, identity.public_key
    kept = store.load(key) or NOTHING
    random = Random()
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
    agent = agent_for(genesis.config, seed=random.getrandbits(32))
    experience, start = store.load_experience(key), store.starting_table()
    if experience is not None:
        agent.restore(experience)
    seat = NO_SEAT if member.me is None else member.me
    table = FederatedQTable(genesis, seat, engine, random, agent, member=member)
    if kept.state is None and start is not None:
        agent.adopt(start)
    return Host(table, identity, store, route, witness, random)


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
