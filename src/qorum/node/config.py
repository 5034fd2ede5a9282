"""`NodeConfig`: what a node is told before it starts: one TOML file."""

from __future__ import annotations

import tomllib
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from qorum.errors import ConfigError
from qorum.node.budget import Budgets

PATHS = ("genesis", "data", "token", "assets")
TLS_PATHS = ("certificate", "key", "ca")

Address = Annotated[str, Meta(pattern=r"^(\[[0-9A-Fa-f:.%]+\]|[^\s:/\[\]@?#%]+):\d{1,5}$")]
"""host:port; an IPv6 address in brackets."""
Endpoint = Annotated[str, Meta(pattern=r"^(tcp|tls)/(\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]@?#%;]+):\d{1,5}$")]
"""tcp/host:port or tls/host:port, without the settings that Zenoh lets one append: these would go around the others."""


class Tls(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Files of PEM."""

    certificate: Path
    """Of this node, and after it those that lead to an authority, if there is one."""
    key: Path
    """Its private key; nobody else may read it."""
    ca: Path | None = None
    """An authority: then each end of a link must show a certificate of it, besides proving its members."""


class Zenoh(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a node's links go over Zenoh; a table of its configuration. Nodes find each other: no peers are named."""

    mode: Literal["peer", "client"] = "peer"
    """A client speaks to one router, and a peer to all it is connected to."""
    connect: tuple[Endpoint, ...] = ()
    """Routers, or peers, to connect to; a client takes the first that answers."""
    listen: tuple[Endpoint, ...] = ()
    """Where other peers may connect to this one; none for a client."""
    prefix: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$", max_length=128)] = "qorum"
    """First of all its key expressions; the federation comes next."""
    scout: bool = False
    """Let Zenoh look for peers by multicast, and tell each of the others."""
    tls: Tls | None = None
    """For endpoints with `tls/`, with an authority: both ends must show a certificate of it."""


class NodeConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One node. Paths are absolute, or relative to where the process runs."""

    genesis: Path
    """What the federation was founded with."""
    data: Path
    """Folder, or file, of all that the node must not forget."""
    listen: Address
    """Address of its one port; port 0 takes a free one."""
    members: Annotated[tuple[Path, ...], Meta(min_length=1, max_length=4096)]
    """Key files of the members that it hosts."""
    peers: tuple[Address, ...] = ()
    """Addresses of other nodes; of two nodes, one that knows the other suffices."""
    tls: Tls | None = None
    """None only on loopback, or with `insecure`."""
    zenoh: Zenoh | None = None
    """Links to other nodes go over Zenoh, and no longer over WebSockets at `listen`."""
    token: Path | None = None
    """File with what requests to the API must carry; needed where others than this machine can reach it."""
    assets: Path | None = None
    """Folder with the agent for browsers, served at /browser/; by default that of a clone, if it was built there."""
    insecure: bool = False
    """Speak to other machines without TLS: on a network that is closed to all others."""
    log: Literal["json", "text"] = "json"
    budgets: Budgets = Budgets()

    def __post_init__(self) -> None:
        """Raises `ValueError` for what excludes each other."""
        if self.zenoh is not None and self.peers:
            raise ValueError("with [zenoh] nodes find each other: leave `peers` out")


def load_config(path: str | PathLike[str]) -> NodeConfig:
    """The configuration in a file; paths in it are relative to it.

    Raises `ConfigError` if it cannot be read, or names a field that there is not, of a wrong type or out of range.
    """
    path = Path(path)
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration at {path}: {error.strerror}") from error
    except ValueError as error:  # no TOML, or no text
        raise ConfigError(f"{path} is not TOML: {error}") from error
    _check_names(path, fields)
    try:
        return msgspec.convert(_anchored(fields, path.parent), NodeConfig, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}") from error


def _check_names(path: Path, fields: dict[str, Any]) -> None:
    tables: dict[str, type[msgspec.Struct]] = {
        "": NodeConfig,
        "tls": Tls,
        "budgets": Budgets,
        "zenoh": Zenoh,
        "zenoh.tls": Tls,
    }
    for table, kind in tables.items():
        unknown = sorted(set(_table(fields, table)) - set(kind.__struct_fields__))
        if unknown:
            place = f" in [{table}]" if table else ""
            known = ", ".join(kind.__struct_fields__)
            raise ConfigError(f"{path}: unknown field {unknown[0]}{place}; the fields are: {known}")


def _table(fields: Any, name: str) -> dict[str, Any]:
    """A table by its dotted name; an empty one where there is none, or something else."""
    for part in filter(None, name.split(".")):
        fields = fields.get(part) if isinstance(fields, dict) else None
    return fields if isinstance(fields, dict) else {}


def _anchored(fields: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The same with paths that start from `folder`. Values of a wrong type are left for msgspec to refuse."""
    members, zenoh = fields.get("members"), fields.get("zenoh")
    fields = _with_tls(fields | {name: _join(folder, fields[name]) for name in PATHS if name in fields}, folder)
    if isinstance(members, list):
        fields["members"] = [_join(folder, member) for member in members]
    if isinstance(zenoh, dict):
        fields["zenoh"] = _with_tls(zenoh, folder)
    return fields


def _with_tls(fields: dict[str, Any], folder: Path) -> dict[str, Any]:
    tls = fields.get("tls")
    if not isinstance(tls, dict):
        return fields
    return fields | {"tls": tls | {name: _join(folder, tls[name]) for name in TLS_PATHS if name in tls}}


def _join(folder: Path, path: Any) -> Any:
    return folder / path if isinstance(path, str) else path


def _path(kind: type, value: Any) -> Any:
    """Strict: only what `_anchored` has made a path is one."""
    if isinstance(value, kind):
        return value
    raise ValueError(f"expected a path, got {value!r}")
