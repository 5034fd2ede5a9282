"""An agent in WebAssembly has NumPy and msgspec, and none of the libraries that nodes and commands use."""

from __future__ import annotations

import subprocess
import sys

ABSENT = """
import sys

ABSENT = {
    "aiohttp", "cryptography", "prometheus_client", "typer", "rich", "sqlite3", "_sqlite3", "ssl", "_ssl", "gymnasium",
    "matplotlib", "zenoh", "pyarrow",
}

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ABSENT:
            raise ImportError(f"no {name} here")

sys.meta_path.insert(0, Absent())
"""
LIVE = """
import asyncio, json
from qorum.browser.endpoint import Endpoint

class Platform:
    public_key = bytes(32)

agent = Endpoint(Platform(), json.dumps({"n_actions": 2, "sync_interval_ms": 100}))
for step in range(20):
    agent.learn(step % 3, step % 2, 1.0, (step + 1) % 3, False)
print(json.loads(asyncio.run(agent.sync(10)))["agreed"], "lab" in str(sorted(sys.modules)))
"""


def test_an_agent_lives_and_agrees_without_them() -> None:
    done = subprocess.run([sys.executable, "-c", ABSENT + LIVE], capture_output=True, text=True, timeout=60)
    assert (done.stdout.split(), done.stderr) == (["True", "False"], "")
