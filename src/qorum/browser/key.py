"""`Key`: a member's key, which JavaScript keeps and does not hand out."""

from __future__ import annotations

from qorum.browser.answers import Answers
from qorum.browser.platform import Platform
from qorum.core.questions import Question


class Key:
    """A `Signer`. Its own signatures need no check."""

    def __init__(self, platform: Platform, answers: Answers) -> None:
        self._platform, self._answers = platform, answers

    @property
    def public_key(self) -> bytes:
        """The 32 bytes others know it by."""
        return self._platform.public_key

    async def sign(self, message: bytes) -> bytes:
        """The 64-byte signature of `message`. Raises `IdentityError`."""
        signature = await self._platform.sign(message)
        self._answers.believe(Question(self.public_key, message, signature))
        return signature
