"""Virtual time: whole federations in one process, with a network that delays, loses and cuts, from one seed."""
