"""The protocol without input or output: events in, effects out.

Nothing here reads a clock, a socket, a file or a random source; whoever runs a `Member` passes those in and carries
out the effects that come back. So the same code runs in the simulator, in a daemon and in a browser.
"""
