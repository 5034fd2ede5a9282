"""How the core is told to check a signature."""

from collections.abc import Callable

Verify = Callable[[bytes, bytes, bytes], bool]
"""(public key, message, signature) -> whether it holds, by the strict predicate."""
