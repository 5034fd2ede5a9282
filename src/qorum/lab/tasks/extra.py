"""Gymnasium, for the modules that cannot do without it."""

from __future__ import annotations

from qorum.errors import MissingExtra

try:
    import gymnasium
except ImportError as missing:
    raise MissingExtra("gymnasium", "gym", "a lab task") from missing

__all__ = ["gymnasium"]
