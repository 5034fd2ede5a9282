"""Logs of a node: one JSON object a line, or plain text, on standard error."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping
from typing import Literal

import msgspec

from qorum.node.budget import Bucket

LOGGED = 20
"""Events of one kind that others can cause at will and that are logged in a row;"""
LOGGED_EVERY_S = 10.0
"""then one in so many seconds."""

LogFormat = Literal["json", "text"]


class JsonLines(logging.Formatter):
    """time (seconds since 1970), level, event, and the facts that were given with it as `extra={"facts": ...}`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line = {"time": round(record.created, 3), "level": record.levelname.lower(), "event": record.getMessage()}
        line |= getattr(record, "facts", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


class Text(logging.Formatter):
    """The same for people."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and a traceback if there is one."""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        facts = " ".join(f"{name}={fact}" for name, fact in getattr(record, "facts", {}).items())
        line = f"{clock} {record.levelname.lower():7} {record.getMessage()} {facts}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def log_to_stderr(form: LogFormat, level: int = logging.INFO) -> None:
    """Send what qorum logs to standard error, and nothing else of it anywhere."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else Text())
    logger = logging.getLogger("qorum")
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False


class Sampled:
    """Logs events of one kind without filling the disk: the first few, then one now and then, and how many were not."""

    def __init__(self, log: logging.Logger) -> None:
        self._log, self._unlogged = log, 0
        self._allowed = Bucket(1 / LOGGED_EVERY_S, LOGGED, time.monotonic())

    def __call__(self, level: int, event: str, facts: Mapping[str, object], error: BaseException | None = None) -> None:
        """One more. error: whose traceback is logged as well."""
        if not self._allowed.take(1, time.monotonic()):
            self._unlogged += 1
            return
        self._log.log(level, event, exc_info=error, extra={"facts": {**facts, "unlogged": self._unlogged}})
        self._unlogged = 0
