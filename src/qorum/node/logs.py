"""Logs of a node: one JSON object a line, or plain text, on standard error."""

from __future__ import annotations

import logging
import sys
import time
from typing import Literal

import msgspec

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
