"""`lay_out` and `lay_out_newcomer`: the files of a new federation, and of a node that is to join one.

Keys, genesis, certificates, one configuration for each node, and petitions for the seats of newcomers.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import ascii_lowercase

import msgspec

from qorum.config import FederationConfig
from qorum.core.genesis import Genesis
from qorum.core.messages import Join
from qorum.errors import ConfigError
from qorum.identity import Identity
from qorum.node.certificates import write_certificate
from qorum.node.genesis_file import save_genesis
from qorum.node.loopback import is_loopback
from qorum.node.petition_file import PetitionFile, save_petition

GENESIS = "genesis.json"
TOKEN_BYTES = 24


class NodeFiles(msgspec.Struct, frozen=True, kw_only=True):
    """One node of the new federation."""

    config: str
    """Path of its configuration."""
    address: str
    members: tuple[str, ...]
    """Names of its members."""


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """What was written."""

    federation: str
    """Hash of the genesis, in hex."""
    genesis: str
    """Path."""
    nodes: tuple[NodeFiles, ...]
    petitions: tuple[str, ...] = ()
    """Paths, where the node is to join: one for each member."""


def lay_out(
    folder: Path,
    config: FederationConfig,
    members: int,
    addresses: Sequence[str],
    *,
    tls: bool,
    endpoints: Sequence[str] = (),
) -> Layout:
    """Write all files for `members` agents on as many nodes as there are addresses, `host:port` each.

    Nodes get the same number of members, the first ones one more. tls: whether nodes speak it to each other and to
    agents. endpoints: `tcp/host:port` of each node, if they link over Zenoh. Raises `ConfigError` if the folder has
    something in it, or a number makes no sense.
    """
    _check(folder, members, addresses)
    _check_addresses(addresses)
    folder.mkdir(parents=True, exist_ok=True)
    identities = [Identity.generate() for _ in range(members)]
    genesis = Genesis(tuple(identity.public_key for identity in identities), config)
    save_genesis(genesis, folder / GENESIS)
    names = [f"agent-{me:0{len(str(members - 1))}d}" for me in range(members)]
    hosts, nodes = _names(len(addresses)), []
    for number, host in enumerate(hosts):
        mine = range(number * members // len(hosts), (number + 1) * members // len(hosts))
        peers = [address for other, address in enumerate(addresses) if other != number]
        own = {names[me]: identities[me] for me in mine}
        zenoh = _zenoh(endpoints, number) if endpoints else []
        peers = [] if endpoints else peers
        nodes.append(_node(folder, host, own, addresses[number], peers, tls=tls, zenoh=zenoh))
    return Layout(federation=genesis.federation.hex(), genesis=str(folder / GENESIS), nodes=tuple(nodes))


def lay_out_newcomer(
    folder: Path, genesis: Genesis, members: int, address: str, peers: Sequence[str], *, tls: bool
) -> Layout:
    """Write all files for a node that asks for `members` seats in a federation there is, and one petition for each.

    address: its own, `host:port`. peers: addresses of nodes that it dials. Raises `ConfigError` as `lay_out` does.
    """
    _check(folder, members, [address])
    _check_addresses([address, *peers])
    if not peers:
        raise ConfigError("a newcomer dials others: name the address of a node, or more, with --peer")
    folder.mkdir(parents=True, exist_ok=True)
    save_genesis(genesis, folder / GENESIS)
    identities = [Identity.generate() for _ in range(members)]
    named = {f"agent-{identity.public_key.hex()[:8]}": identity for identity in identities}
    petitions = []
    for name, identity in named.items():
        petitions.append(str(folder / f"{name}.petition"))
        petition = PetitionFile.of(genesis.federation, Join(identity.public_key), identity)
        save_petition(petition, Path(petitions[-1]))
    return Layout(
        federation=genesis.federation.hex(),
        genesis=str(folder / GENESIS),
        nodes=(_node(folder, "node", named, address, peers, tls=tls),),
        petitions=tuple(petitions),
    )


def _node(
    folder: Path,
    name: str,
    members: dict[str, Identity],
    address: str,
    peers: Sequence[str],
    *,
    tls: bool,
    zenoh: Sequence[str] = (),
) -> NodeFiles:
    """Write what one node needs: keys, certificate, token, and its configuration."""
    own, config = folder / name, folder / f"{name}.toml"
    (own / "keys").mkdir(parents=True, mode=0o700)
    for member, identity in members.items():
        identity.save(own / "keys" / f"{member}.pem")
    if tls:
        write_certificate(own / "certificate.pem", own / "key.pem", _host(address))
    text = _config(name, list(members), address, peers, tls=tls, token=_token(own, address))
    config.write_text("\n".join([text, *zenoh]), encoding="utf-8")
    return NodeFiles(config=str(config), address=address, members=tuple(members))


def _check(folder: Path, members: int, addresses: Sequence[str]) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} exists and was left as it is; name a new folder, or an empty one")
    if not 1 <= len(addresses) <= members:
        raise ConfigError(f"{len(addresses)} nodes for {members} members; allowed: 1 to {members}")


def _check_addresses(addresses: Sequence[str]) -> None:
    if len(set(addresses)) != len(addresses):
        raise ConfigError(f"two nodes with the address {max(addresses, key=addresses.count)}; give each its own")
    for address in addresses:
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal() or not 1 <= int(port) <= 65535:
            raise ConfigError(f"address {address!r} is not host:port, as 10.0.0.1:7400")


def _names(count: int) -> list[str]:
    """host-a, host-b, ...; host-001, ... where the letters do not suffice."""
    if count <= len(ascii_lowercase):
        return [f"host-{letter}" for letter in ascii_lowercase[:count]]
    return [f"host-{number:0{len(str(count))}d}" for number in range(1, count + 1)]


def _host(address: str) -> str:
    return address.rpartition(":")[0].strip("[]")


def _token(folder: Path, address: str) -> bool:
    """Write a token for the API, where others than this machine can reach it."""
    if is_loopback(_host(address)):
        return False
    handle = os.open(folder / "token", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(f"{secrets.token_urlsafe(TOKEN_BYTES)}\n")
    return True


def _config(host: str, names: list[str], address: str, peers: Sequence[str], *, tls: bool, token: bool) -> str:
    """The configuration of a node, as text. Paths are relative to the file."""
    lines = [
        "# A node of a qorum federation. Start it with: qorum node THIS-FILE",
        f'genesis = "{GENESIS}"',
        f'data = "{host}/data"',
        f'listen = "{address}"',
        f"members = [{_quoted(f'{host}/keys/{name}.pem' for name in names)}]",
        f"peers = [{_quoted(peers)}]",
    ]
    if token:
        lines.append(f'token = "{host}/token"')
    if tls:
        lines += ["", "[tls]", f'certificate = "{host}/certificate.pem"', f'key = "{host}/key.pem"']
    return "\n".join([*lines, ""])


def _zenoh(endpoints: Sequence[str], own: int) -> list[str]:
    """Lines of a configuration: of two nodes, the later one connects."""
    return ["[zenoh]", f'listen = ["{endpoints[own]}"]', f"connect = [{_quoted(endpoints[:own])}]", ""]


def _quoted(texts: Iterable[str]) -> str:
    return ", ".join(f'"{text}"' for text in texts)
