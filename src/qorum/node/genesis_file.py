"""The genesis as a file: JSON that people can read, and that every node of a federation holds alike."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from qorum.config import FederationConfig
from qorum.core.genesis import Genesis
from qorum.errors import ConfigError


class GenesisFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the file holds."""

    federation: str
    """Id that follows from the rest, in hex: a file that was changed is noticed."""
    public_keys: tuple[str, ...]
    """Of the founding members, in hex."""
    config: FederationConfig


def save_genesis(genesis: Genesis, path: str | os.PathLike[str]) -> None:
    """Write a new file. Raises `ConfigError` if it exists (and leaves it as it is) or cannot be written."""
    keys = tuple(key.hex() for key in genesis.public_keys)
    content = GenesisFile(federation=genesis.federation.hex(), public_keys=keys, config=genesis.config)
    try:
        with open(path, "xb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(content)) + b"\n")
    except FileExistsError:
        raise ConfigError(f"{path} exists and was left as it is; choose another path") from None
    except OSError as error:
        raise ConfigError(f"cannot write the genesis to {path}: {error.strerror}") from error


def load_genesis(path: str | os.PathLike[str]) -> Genesis:
    """The genesis in a file. Raises `ConfigError` if it cannot be read or was changed since it was written."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read the genesis at {path}: {error.strerror}") from error
    return read_genesis(data, str(path))


def read_genesis(data: bytes, path: str) -> Genesis:
    """The genesis in a file's content. Raises `ConfigError`, naming `path`, if it is none or was changed."""
    try:
        content = msgspec.json.decode(data, type=GenesisFile)
        genesis = Genesis(tuple(map(bytes.fromhex, content.public_keys)), content.config)
    except ValueError as error:  # of msgspec, of hex, and of what a genesis may be
        raise ConfigError(f"{path} holds no genesis: {error}") from error
    if genesis.federation.hex() != content.federation:
        raise ConfigError(
            f"{path} was changed: it says federation {content.federation[:16]} and makes "
            f"{genesis.federation.hex()[:16]}; get it again from whoever founded the federation"
        )
    return genesis
