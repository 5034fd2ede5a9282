"""Agents in browsers beside agents in nodes: shown, tested and measured."""
