"""`Chronicle`: what happened at the members of a node, for its status, its log, and whoever measures it."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence

import msgspec

from qorum.core.effects import Blame, Committed, Equivocation
from qorum.node.host import Host
from qorum.node.logs import Sampled
from qorum.node.memory import resident_mb

ROUNDS = 1024
"""Newest rounds of each member that are remembered,"""
LATENCIES = 4096
"""and newest sync latencies of all of them."""

log = logging.getLogger("qorum.node")


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """All of it, as a node writes it down when it ends."""

    members: dict[int, dict[int, str]]
    """Member -> round -> hash of the agreed state, in hex."""
    latencies_s: list[float]
    """From a contribution to the commit that holds it, at its author."""
    rss_mb: float
    cpu_s: float
    """Of processors, since the process began."""
    bytes: int
    """That have come over links, without those of TLS and below."""
    errors: list[str]
    """What ought not to have happened."""


class Chronicle:
    """A witness of all hosts of a node."""

    def __init__(self) -> None:
        self.rounds: dict[int, dict[int, str]] = {}
        self.latencies: deque[float] = deque(maxlen=LATENCIES)
        self.newest = 0
        """Newest round that any of them agreed on."""
        self.committed = 0
        """Rounds agreed on since the start, by the member that saw most."""
        self.blames = 0
        self.errors: deque[str] = deque(maxlen=64)
        self._count: dict[int, int] = {}
        self._blamed = Sampled(log)

    def agreed(self, host: Host, committed: Committed, latencies: Sequence[float]) -> None:
        """A round is agreed and durable."""
        state, rounds = committed.state, self.rounds.setdefault(host.me, {})
        rounds[state.round] = state.hash.hex()
        if len(rounds) > ROUNDS:
            del rounds[next(iter(rounds))]
        self.newest = max(self.newest, state.round)
        self.latencies += latencies
        self._count[host.me] = self._count.get(host.me, 0) + 1
        self.committed = max(self.committed, self._count[host.me])
        facts = {"member": host.me, "round": state.round, "term": committed.term, "state": state.hash.hex()[:16]}
        log.info("agreed", extra={"facts": {**facts, "cells": len(state.cells), "skipped": committed.skipped}})

    def blamed(self, host: Host, blame: Blame) -> None:
        """A peer sent what no honest member sends."""
        self.blames += 1
        facts = self._err("blamed", host, peer=blame.peer, reason=blame.reason)
        self._blamed(logging.WARNING, "blamed", facts)

    def equivocated(self, host: Host, proof: Equivocation) -> None:
        """A member signed two bodies for one slot."""
        log.warning("equivocated", extra={"facts": self._err("equivocated", host, peer=proof.member)})

    def failed(self, host: Host, reason: str) -> None:
        """A host has stopped by itself."""
        log.warning("stopped", extra={"facts": self._err("stopped", host, reason=reason)})

    def _err(self, what: str, host: Host, **facts: object) -> dict[str, object]:
        """Remember what ought not to have happened; the facts of it, for the log."""
        self.errors.append(f"member {host.me} {what}: {', '.join(f'{name} {fact}' for name, fact in facts.items())}")
        return {"member": host.me, **facts}

    def account(self, bytes: int) -> Account:
        """All of it. bytes: that have come over links."""
        return Account(
            members=self.rounds,
            latencies_s=list(self.latencies),
            rss_mb=resident_mb(),
            cpu_s=time.process_time(),
            bytes=bytes,
            errors=list(self.errors),
        )
