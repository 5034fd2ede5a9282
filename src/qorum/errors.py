"""Every error that qorum raises on purpose. Each message says what happened, where, and what to do."""

from __future__ import annotations

import msgspec

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are no record: the second for text in them that is none, the third for depth."""


class QorumError(Exception):
    """Base of all errors raised on purpose by qorum."""


class ConfigError(QorumError, ValueError):
    """A configuration field is out of its allowed range; names the field, the value and the range."""


class TableError(QorumError, ValueError):
    """A Q-table was given values, actions or arrays it cannot hold; the table is unchanged."""


class EncodingError(QorumError, ValueError):
    """An observation does not belong to the space it is encoded for."""


class EvidenceError(QorumError, ValueError):
    """A piece of experience or evidence is not what the merge can use."""


class IdentityError(QorumError, ValueError):
    """A key or signature is malformed."""


class ProtocolError(QorumError):
    """Bytes from a peer that break the protocol; the peer is to blame, never the caller."""


class StoreError(QorumError):
    """What a member made durable is missing or older than what it has signed since; it must not sign again."""


class MissingExtra(QorumError, ImportError):  # noqa: N818 - says what it is about
    """An optional library is needed for this call; names the extra to install."""

    def __init__(self, library: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs {library}: pip install 'qorum[{extra}]'")
