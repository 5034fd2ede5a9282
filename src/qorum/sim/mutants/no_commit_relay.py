"""A decision kept to oneself."""

from qorum.core.gossip import Gossip
from qorum.core.member import Member, Parts
from qorum.core.messages import Behind, Commit, Digest, Record
from qorum.sim.mutants.mutant import Mutant


class Discreet(Gossip):
    """Spreads all but commits."""

    def push(self, record: Record, width: int = 1) -> None:
        """Send, unless it is a commit."""
        if not isinstance(record, Commit):
            super().push(record, width)


class Silent(Member):
    """Shows nobody why a round is over."""

    parts = Parts(gossip=Discreet)

    def _help(self, peer: int, round: int, digest: Digest | None = None) -> None:
        pass

    def _on_behind(self, peer: int, behind: Behind) -> None:
        pass


MUTANT = Mutant("no-commit-relay", "a message of an old round is answered with the certificate that ended it", Silent)
