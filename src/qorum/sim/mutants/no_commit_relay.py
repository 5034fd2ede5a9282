"""A decision kept to oneself."""

from qorum.core.gossip import Gossip
from qorum.core.member import Parts
from qorum.core.messages import Behind, Commit, Digest, Record
from qorum.core.service import Service
from qorum.sim.mutants.mutant import Mutant, made_of


class Discreet(Gossip):
    """Spreads all but commits."""

    def push(self, record: Record, width: int = 1) -> None:
        """Send, unless it is a commit."""
        if not isinstance(record, Commit):
            super().push(record, width)


class Reticent(Service):
    """Shows nobody why a round is over."""

    def help(self, peer: int, round: int, epoch: int, digest: Digest | None = None) -> None:
        """Do nothing."""

    def on_behind(self, peer: int, behind: Behind) -> None:
        """Do nothing."""


MUTANT = Mutant("no-commit-relay", "a message of an old round is answered with the certificate that ended it",
                made_of(Parts(gossip=Discreet, service=Reticent)))  # fmt: skip
