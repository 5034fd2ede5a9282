"""The process of a node. `qorum node` becomes it: what reads a command line is a seventh of a node's memory."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

import msgspec

from qorum.errors import QorumError


class Errand(msgspec.Struct, frozen=True):
    """What to run; its one argument, as JSON."""

    config: str
    """Path."""
    task: str | None = None
    """What its agents live in; None: they are somebody else's."""
    rate: float = 20.0
    seed: int = 0
    as_json: bool = False
    """Whether to print the account at the end."""


def become(errand: Errand) -> NoReturn:
    """Go on as the process of a node, under the same id."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [sys.executable, "-m", "qorum.node", msgspec.json.encode(errand).decode()])


def main() -> None:
    """Run the errand; an error of qorum's own ends it with its message and exit code 1."""
    from qorum.node.config import load_config  # not by whoever is still to become a node
    from qorum.node.daemon import Lives, run
    from qorum.node.logs import log_to_stderr

    errand = msgspec.json.decode(sys.argv[1], type=Errand)
    try:
        settings = load_config(Path(errand.config))
        log_to_stderr(settings.log)
        account = run(settings, lives=None if errand.task is None else Lives(errand.task, errand.rate, errand.seed))
    except QorumError as error:
        raise SystemExit(f"qorum: {error}") from None
    if errand.as_json:
        print(msgspec.json.encode(account).decode())


if __name__ == "__main__":
    main()
