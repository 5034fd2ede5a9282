"""Attacks: what a liar states instead of its evidence. One file each; a function from evidence to evidence."""
