"""How liars lie: one behaviour a file, played by `ring.Liar` on top of a member that keeps the protocol."""
