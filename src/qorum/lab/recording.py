"""`Recording`: a run as a file: all that fixes it, and the hash of its events, to run it again and compare."""

from __future__ import annotations

from pathlib import Path

import msgspec

from qorum import __version__
from qorum.errors import QorumError
from qorum.sim import campaign, faults, script
from qorum.sim.experiment import Experiment

VERSION = 1
"""Of the form of the file."""
WHAT = "run of qorum simulate"


class MeasuredRun(msgspec.Struct, frozen=True, tag="measured"):
    """A measured run."""

    experiment: Experiment
    script: faults.Script
    event_hash: str


class CampaignRun(msgspec.Struct, frozen=True, tag="campaign"):
    """One run of a campaign with random faults."""

    setup: campaign.Setup
    seed: int
    script: faults.Script
    event_hash: str


class StagedRun(msgspec.Struct, frozen=True, tag="lock-step"):
    """One run in lock-step, perhaps of a planted mutant."""

    script: script.Script
    event_hash: str
    mutant: str | None = None


AnyRun = MeasuredRun | CampaignRun | StagedRun


class Recording(msgspec.Struct, frozen=True):
    """The file."""

    run: AnyRun
    what: str = WHAT
    version: int = VERSION
    release: str = __version__
    """Of qorum, that made it: another one may well come to another hash."""


class _Head(msgspec.Struct):
    what: str = ""
    version: int = 0
    release: str = ""


def save(run: AnyRun, path: Path) -> None:
    """Write a run to a file, as indented JSON. Raises `QorumError` if that is not possible."""
    text = msgspec.json.format(msgspec.json.encode(Recording(run)), indent=1)
    try:
        path.write_bytes(text + b"\n")
    except OSError as error:
        raise QorumError(f"cannot write {path}: {error.strerror}") from error


def load(path: Path) -> Recording:
    """Undo `save`. Raises `QorumError` that says what is wrong with the file."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise QorumError(f"cannot read {path}: {error.strerror}") from error
    try:
        head = msgspec.json.decode(text, type=_Head)
    except msgspec.DecodeError as error:
        raise QorumError(f"{path} is not a recording: {error}") from error
    if head.what != WHAT:
        raise QorumError(f"{path} is not a recording: it was not written by qorum simulate --record")
    if head.version != VERSION:
        made = f"qorum {head.release}" if head.release else "another release"
        raise QorumError(f"{path} is of version {head.version}, made by {made}; this release reads version {VERSION}")
    try:
        return msgspec.json.decode(text, type=Recording)
    except msgspec.DecodeError as error:
        raise QorumError(f"{path} is damaged: {error}") from error
