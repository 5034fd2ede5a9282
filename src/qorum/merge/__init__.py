"""Registers in, agreed table out: fixed point, the merge of a cell, accusations and the gate."""
