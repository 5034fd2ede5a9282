"""`Behaviour`: what a liar does with what its member would say, hear and write. The base of all is honest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import TYPE_CHECKING, ClassVar

from qorum.core import wire
from qorum.core.columns import Columns
from qorum.core.messages import Bundle, Message
from qorum.sim.host import Host

if TYPE_CHECKING:
    from qorum.sim.behaviours.ring import Ring


class Behaviour:
    """One way to lie. Each hook sees one frame on its way to or from one peer."""

    name: ClassVar[str]

    def __init__(self, host: Host, ring: Ring) -> None:
        """host: the liar; ring: all that collude."""
        self.host = host
        self.ring = ring
        self.random = Random(f"{ring.seed} {self.name} {host.address}")

    def says(self, to: int, message: Message) -> Iterable[Message]:
        """What address `to` is told in place of one message."""
        return (message,)

    def sends(self, to: int, frame: bytes) -> Iterable[bytes]:
        """The frames that leave at once in place of one frame."""
        return (frame,)

    def hears(self, sender: int, frame: bytes) -> bool:
        """Whether the member is given a frame from address `sender`."""
        return True

    def write(self, columns: Columns) -> Columns:
        """What is contributed in place of these columns."""
        return columns


def parts_of(frame: bytes) -> Sequence[Message]:
    """The messages of a frame, bundled or not."""
    message = wire.decode(frame)
    if isinstance(message, Bundle):
        return [part for raw in message.parts for part in parts_of(raw)]
    return [message]


def frame_of(messages: Sequence[Message]) -> bytes:
    """Messages as one frame."""
    if len(messages) == 1:
        return wire.encode(messages[0])
    return wire.encode(Bundle(tuple(wire.encode(message) for message in messages)))
