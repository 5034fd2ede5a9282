"""qorum in WebAssembly: a member of a federation inside a web page, or in node. The core and the links are unchanged.

Theory of operation. Pyodide runs this package; JavaScript calls an `Endpoint` and gives it a `Platform`: keys, a place
for what must not be lost, sockets. All of these take a wait, and the core waits for nothing. So a frame is held back
until the signatures in it were looked at (`Answers`), and a host's line of effects until a signature or a write is
there. Should the core ask about a signature that nobody foresaw, the member crashes and starts again with the answer:
that is always safe, and rare.
"""
