"""`Answers`: signatures that were looked at before the core asks about them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from qorum.browser.platform import Platform
from qorum.core.questions import Question
from qorum.errors import QorumError
from qorum.identity import strict_form

CAPACITY = 65_536
"""Answers kept; the oldest are forgotten first."""


class Unanswered(QorumError):  # noqa: N818 - says what happened
    """The core asked about a signature that nobody had looked at. Half of an event is done: the member must restart."""

    def __init__(self, question: Question) -> None:
        super().__init__(f"a signature by {question.public_key.hex()[:16]} that was not looked at beforehand")
        self.question = question


class Answers:
    """One member's. `verify` is what its engine asks."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._known: OrderedDict[Question, bool] = OrderedDict()
        self.surprise: Question | None = None
        """What the core asked and was not answered; the member that asked is of no more use."""

    async def learn(self, questions: Iterable[Question]) -> None:
        """Look at signatures, all at once. Raises `IdentityError` if the platform cannot."""
        unknown = {question for question in questions if question not in self._known and _is_strict(question)}
        if unknown:
            asked = list(unknown)
            for question, holds in zip(asked, await self._platform.verify(asked), strict=True):
                self.believe(question, holds)

    def believe(self, question: Question, holds: bool = True) -> None:
        """Remember an answer; of an own signature it is known."""
        self._known[question] = holds
        if len(self._known) > CAPACITY:
            self._known.popitem(last=False)

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """A `Verify` for the core. Raises `Unanswered` for a signature that was not looked at."""
        question = Question(public_key, message, signature)
        if not _is_strict(question):
            return False
        if question not in self._known:
            self.surprise = question
            raise Unanswered(question)
        self._known.move_to_end(question)
        return self._known[question]

    async def check(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Whether a signature holds, looked at now."""
        await self.learn([Question(public_key, message, signature)])
        return self.verify(public_key, message, signature)


def _is_strict(question: Question) -> bool:
    return strict_form(question.public_key, question.signature)
