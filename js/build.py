"""Build the package `qorum` for browsers and node into js/dist: python3 js/build.py. Needs npm, nothing else.

js/dist is whole: what TypeScript is compiled to, Pyodide, NumPy, msgspec and qorum itself. Serve it, or import it.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import wheels

JS = Path(__file__).resolve().parent
SOURCE = JS.parent / "src"
MODULES = JS / "node_modules"
DIST = JS / "dist"
STAMP = DIST / "built"
LIMIT_S = 600.0
SOURCES = {".ts", ".json", ".py", ".html", ".css", ".svg"}

PYODIDE = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip", "pyodide-lock.json")
WITHIN = ("browser", "core", "merge", "node", "sim", "store")
"""Packages of qorum that agents in pages are made of; not `lab`, and no commands."""
SIMULATED = ("__init__", "keys", "network", "swarm")
"""Of `sim`: what a federation in one process needs."""
PAGE = (".html", ".css", ".svg")


def main() -> None:
    """Fetch what is not there, and build what has changed."""
    with (JS / ".building").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        inputs = _inputs()
        if not STAMP.exists() or STAMP.read_text("utf-8") != inputs:
            STAMP.unlink(missing_ok=True)
            _build()
            STAMP.write_text(inputs, "utf-8")


def _inputs() -> str:
    """A hash of all that the package is made from."""
    files = [path for path in JS.glob("*.*") if path.is_file()]
    files += [path for folder in (JS / "src", JS / "page", SOURCE / "qorum") for path in folder.rglob("*.*")]
    digest = hashlib.sha256()
    for path in sorted(path for path in files if path.suffix in SOURCES):
        digest.update(f"{path.relative_to(JS.parent)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _build() -> None:
    if not shutil.which("npm"):
        raise SystemExit("js/build.py needs npm: install Node.js 20 or newer (Debian: apt-get install nodejs npm)")
    _run("npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts")
    wheels.main(MODULES / "pyodide")
    _run(str(MODULES / ".bin" / "tsc"), "--pretty", "false")
    _copy_python()
    _zip_qorum(DIST / "qorum.zip")
    for file in sorted((JS / "page").glob("*")):
        if file.suffix in PAGE:
            shutil.copy(file, DIST / file.name)


def _copy_python() -> None:
    source, target = MODULES / "pyodide", DIST / "pyodide"
    target.mkdir(parents=True, exist_ok=True)
    for name in (*PYODIDE, next(source.glob("numpy-*.whl")).name):
        shutil.copy(source / name, target / name)
    shutil.copy(next(source.glob("msgspec-*.whl")), DIST / "msgspec.zip")


def _zip_qorum(target: Path) -> None:
    """The same bytes whenever the sources are the same."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted((SOURCE / "qorum").rglob("*.py")):
            name = path.relative_to(SOURCE)
            if _is_needed(name):
                archive.writestr(zipfile.ZipInfo(name.as_posix()), path.read_bytes(), zipfile.ZIP_DEFLATED)


def _is_needed(path: Path) -> bool:
    _, *within, _ = path.parts
    if not within:
        return not path.stem.endswith("cli")
    return within[0] in WITHIN and (within[0] != "sim" or (len(within) == 1 and path.stem in SIMULATED))


def _run(*command: str) -> None:
    done = subprocess.run(command, cwd=JS, capture_output=True, text=True, timeout=LIMIT_S)
    if done.returncode:
        sys.exit(f"js/build.py: {' '.join(command)} failed:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    main()
