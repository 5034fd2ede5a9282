"""`settings_of`: what Zenoh is set up with: all that it is not told to do is off."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from zenoh import Config

from qorum.errors import ConfigError
from qorum.node.certificates import client_context
from qorum.node.config import Tls, Zenoh
from qorum.node.loopback import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterable

ROUTER_MS = 2_000
"""Milliseconds that a client waits for a router, each time that it tries."""
FOREVER = -1
"""In place of milliseconds: with 0 Zenoh would try once."""
SHARED_MEMORY = "transport/shared_memory/enabled"
OFF = "false"


def settings_of(config: Zenoh, message_limit: int, *, insecure: bool) -> Config:
    """The configuration of a session. message_limit: bytes of the largest message that it takes.

    Raises `ConfigError` for what cannot work, and for plain text where others could attach, unless `insecure`.
    """
    _check(config, insecure=insecure)
    settings = Config()
    for name, value in _fields(config, message_limit).items():
        settings.insert_json5(name, json.dumps(value))
    # Shared memory would carry messages past TLS, to every user of the machine.
    if settings.get_json(SHARED_MEMORY) != OFF:
        raise ConfigError(f"[zenoh]: this Zenoh does not turn {SHARED_MEMORY} off; use another version of it")
    return settings


def _fields(config: Zenoh, message_limit: int) -> dict[str, Any]:
    endpoints = (*config.connect, *config.listen)
    is_client = config.mode == "client"
    return {
        "mode": config.mode,
        "connect/endpoints": config.connect,
        "listen/endpoints": config.listen,  # also where there are none: else a peer listens on all addresses
        "connect/timeout_ms": ROUTER_MS if is_client else FOREVER,  # a peer goes on trying while it is up
        "connect/exit_on_failure": is_client,
        "connect/retry": {"period_init_ms": 200, "period_max_ms": 2_000, "period_increase_factor": 2},
        "scouting/multicast/enabled": config.scout,
        "scouting/gossip/enabled": config.scout,
        "open/return_conditions": {"connect_scouted": False, "declares": True},
        "timestamping/enabled": False,
        "adminspace/enabled": False,
        "transport/link/protocols": sorted({endpoint.partition("/")[0] for endpoint in endpoints}),
        "transport/link/rx/max_message_size": message_limit,
        SHARED_MEMORY: False,
        **({} if config.tls is None else _tls_fields(config.tls)),
    }


def _tls_fields(tls: Tls) -> dict[str, Any]:
    table = "transport/link/tls"
    return {
        f"{table}/root_ca_certificate": str(tls.ca),
        f"{table}/enable_mtls": True,
        f"{table}/verify_name_on_connect": True,
        **{f"{table}/{role}_certificate": str(tls.certificate) for role in ("listen", "connect")},
        **{f"{table}/{role}_private_key": str(tls.key) for role in ("listen", "connect")},
    }


def _check(config: Zenoh, *, insecure: bool) -> None:
    endpoints = (*config.connect, *config.listen)
    if not endpoints:
        raise ConfigError("[zenoh] names no endpoint: give `connect`, or `listen`, such as tls/router.example:7447")
    if config.mode == "client" and (config.listen or not config.connect):
        raise ConfigError('[zenoh] with mode = "client" needs `connect`, a router\'s endpoint, and no `listen`')
    if any(endpoint.startswith("tls/") for endpoint in endpoints):
        _check_tls(config.tls)
    plain = _reachable(endpoint for endpoint in endpoints if endpoint.startswith("tcp/"))
    if plain and not insecure:
        raise ConfigError(
            f"[zenoh] has {plain}, where whoever gets there may attach: use tls/ and [zenoh.tls], or say "
            "`insecure = true` on a network that is closed to all others"
        )
    if config.scout and not insecure and any(endpoint.startswith("tcp/") for endpoint in endpoints):
        raise ConfigError("[zenoh] with `scout` looks for others beyond this machine: use tls/ endpoints only")


def _check_tls(tls: Tls | None) -> None:
    if tls is None or tls.ca is None:
        raise ConfigError("[zenoh] has tls/ endpoints: give `certificate`, `key` and `ca` in [zenoh.tls]")
    client_context(tls)


def _reachable(endpoints: Iterable[str]) -> str | None:
    """The first that is not of this machine alone."""
    for endpoint in endpoints:
        if not is_loopback(endpoint.partition("/")[2].rpartition(":")[0].strip("[]")):
            return endpoint
    return None
