"""Pyodide in node and in Chromium: what they need is fetched once, into `js/node_modules`."""

from __future__ import annotations

import fcntl
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, Queue
from typing import Any, ClassVar
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parents[2]
HERE, JS = ROOT / "tests" / "js", ROOT / "js"
PYODIDE = JS / "node_modules" / "pyodide"
ANSWER_S = 540.0
"""Seconds that an engine has for all cases."""
FETCH_S = 600.0
TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".mjs": "text/javascript",
    ".wasm": "application/wasm",
}


def program(*names: str) -> str:
    """The first of these programs that there is; without one the test is skipped, but not in CI."""
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None and os.environ.get("CI"):
        pytest.fail(f"CI has to have {names[0]}")
    return found or pytest.skip(f"needs {names[0]}, which is not installed")


def pyodide() -> Path:
    """The folder of Pyodide with its wheels."""
    npm = program("npm")
    with (JS / ".fetching").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (PYODIDE / "pyodide.mjs").exists():
            command = [npm, "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
            subprocess.run(command, cwd=JS, check=True, capture_output=True, timeout=FETCH_S)
        outside = getattr(sys, "_base_executable", sys.executable)  # a virtual environment may have no pip
        subprocess.run([outside, JS / "wheels.py", PYODIDE], check=True, capture_output=True, timeout=FETCH_S)
    return PYODIDE


def archive() -> bytes:
    """qorum and the cases, as they are in this tree, in a zip."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as zip:
        for path in sorted((ROOT / "src").rglob("*.py")):
            zip.write(path, path.relative_to(ROOT / "src"))
        zip.write(HERE / "cases.py", "cases.py")
    return made.getvalue()


def in_node(first: int, count: int) -> list[str]:
    """`cases.hashes` in node."""
    node, folder = program("node"), pyodide()
    with tempfile.NamedTemporaryFile(suffix=".zip") as file:
        file.write(archive())
        file.flush()
        command = [node, HERE / "run.mjs", folder, file.name, str(first), str(count)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_S)
    assert done.returncode == 0, done.stderr[-2_000:]
    return list(json.loads(done.stdout)["hashes"])


def in_chromium(first: int, count: int) -> list[str]:
    """`cases.hashes` in a page, which gets everything from a server on loopback and posts what it finds."""
    browser, folder = program("chromium", "chromium-browser", "google-chrome"), pyodide()
    scratch = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)  # a browser that is killed may still write there
    with _serving(folder) as (address, told), scratch as profile:
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
        page = f"http://{address}/page.html?first={first}&count={count}"
        command = [browser, *options, f"--user-data-dir={profile}", page]
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            result = told.get(timeout=ANSWER_S)
        except Empty:
            raise AssertionError(f"the page said nothing for {ANSWER_S:.0f} s") from None
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # with all its helpers
            process.wait(10)
    assert "hashes" in result, result
    return list(result["hashes"])


@contextmanager
def _serving(folder: Path) -> Iterator[tuple[str, Queue[Any]]]:
    wheel = next(folder.glob("msgspec-*.whl"))
    told: Queue[Any] = Queue()
    made = {"/qorum.zip": archive(), "/msgspec.whl": wheel.read_bytes()}
    handler = type("Handler", (_Handler,), {"folder": folder, "told": told, "made": made})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}", told
        finally:
            server.shutdown()
            thread.join(10)


class _Handler(BaseHTTPRequestHandler):
    folder: ClassVar[Path]
    made: ClassVar[dict[str, bytes]]
    told: ClassVar[Queue[Any]]

    def do_GET(self) -> None:
        path = unquote(self.path.partition("?")[0])
        name = Path(path).name
        body = self.made.get(path)
        for file in (self.folder / name, HERE / name):
            if body is None and file.is_file():
                body = file.read_bytes()
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Type", TYPES.get(Path(path).suffix, "application/octet-stream"))
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def do_POST(self) -> None:
        self.told.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""
