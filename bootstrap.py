#!/usr/bin/env python3
"""Run qorum, or its tests, from a fresh clone. Nothing but Python 3.11 and pip has to be there.

    python3 bootstrap.py demo               the demonstration: a fleet that learns as one
    python3 bootstrap.py test               all quick checks: ruff, mypy, pytest, coverage
    python3 bootstrap.py test ARG...        pytest ARG... (test -m long: the tests left out above)
    python3 bootstrap.py COMMAND ARG...     any other command of qorum; --help lists them

The first run makes a virtual environment in .venv beside this file. Later runs find it ready and hand over
at once. All set-up output goes to standard error, so standard output belongs to the command alone.

Theory of operation. `.venv` is ready when its stamp says so. The stamp names all that the environment was
made from; it is removed before the environment is touched and written after the last step succeeded.
So a set-up that was interrupted has no stamp, and the next run builds it anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NoReturn

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = VENV / "qorum-ready.json"
LOCK = ROOT / ".venv.lock"  # beside .venv, not in it: .venv may be deleted while the lock is held

OLDEST = (3, 11)
STEP_LIMIT_S = 1800.0
LOCK_LIMIT_S = 1800.0
PROBE_LIMIT_S = 120.0
COVERAGE_FLOOR = 95  # per cent of lines and branches, of the packages below
COVERED = "*/qorum/core/*,*/qorum/merge/*"

NO_PIP = """this Python has no pip that can fill .venv (22.3 or newer), and no ensurepip. Install pip:
  Debian, Ubuntu   apt-get install python3-pip
  Fedora           dnf install python3-pip
  elsewhere        python3 -m ensurepip --upgrade
Then run the same command again."""
RETRY = """The lines above say why. If it is the network or the package registry: `python3 -m pip config list`
shows the settings in use. Running the same command again is safe: it starts over where it has to."""


class SetupError(Exception):
    """Set-up cannot go on; the text says at which step, why, and what to do."""


def main(arguments: Sequence[str]) -> int:
    """Set up what the command needs, then become that command. Return an exit code if it never got there."""
    if complaint := too_old(sys.version_info[:2]):
        say(complaint)
        return 1
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        prepare(extra_for(arguments))
        if arguments[0] == "test":
            return test(arguments[1:])
        hand_over(qorum_command(arguments))
    except (SetupError, OSError) as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("interrupted. Running the same command again is safe.")
        return 130


def too_old(version: tuple[int, int]) -> str | None:
    """Return the complaint about an interpreter older than qorum supports, or None."""
    if version >= OLDEST:
        return None
    needed, found = (".".join(map(str, numbers)) for numbers in (OLDEST, version))
    return (
        f"qorum needs Python {needed} or newer; {sys.executable} is {found}. "
        "Run bootstrap.py with a newer one, for example: python3.12 bootstrap.py demo"
    )


def extra_for(arguments: Sequence[str]) -> str:
    """Return the extra of pyproject.toml that a command needs."""
    return "dev" if arguments[0] == "test" else "demo"


def say(text: str) -> None:
    """Tell the person at the keyboard, never the program that reads standard output."""
    print(f"[bootstrap] {text}", file=sys.stderr, flush=True)


# --- the stamp -------------------------------------------------------------------------------------------


def wanted_stamp(extra: str) -> dict[str, str]:
    """Return all that decides whether an environment fits: this clone, this Python, these requirements."""
    requirements = (ROOT / "pyproject.toml").read_bytes()
    return {
        "clone": str(ROOT),  # an environment cannot be moved
        "python": sys.version,
        "requirements": hashlib.sha256(requirements).hexdigest(),
        "extra": extra,
    }


def read_stamp() -> dict[str, str] | None:
    """Return the stamp of .venv; None if it was never finished or its interpreter is gone."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return stamp if isinstance(stamp, dict) and PYTHON.exists() else None


def is_ready(extra: str) -> bool:
    """Tell whether .venv has everything of `extra`; `dev` contains `demo`."""
    return read_stamp() in (wanted_stamp(extra), wanted_stamp("dev"))


def can_update() -> bool:
    """Tell whether .venv was once finished, by this Python in this clone: then pip can update it."""
    stamp, wanted = read_stamp(), wanted_stamp("dev")
    return stamp is not None and all(stamp.get(key) == wanted[key] for key in ("clone", "python"))


# --- set-up ----------------------------------------------------------------------------------------------


def prepare(extra: str) -> None:
    """Make .venv ready for `extra`. Quick and silent if it already is."""
    if is_ready(extra):
        return
    with locked(LOCK_LIMIT_S):
        if not is_ready(extra):  # another bootstrap may just have done it
            build(extra)


def build(extra: str) -> None:
    """Create or update .venv. Until the last line it carries no stamp."""
    updating = can_update()
    if VENV.is_dir():
        STAMP.unlink(missing_ok=True)
    if updating:
        say(f"{VENV} is behind pyproject.toml or lacks {extra}: updating it")
    else:
        say(f"setting up {VENV} (once; a minute or two)")
        remove(VENV)
        step("creating .venv", [base_python(), "-m", "venv", "--without-pip", str(VENV)])
    step(f"installing qorum[{extra}] into .venv", [*pip(), "install", "--editable", f".[{extra}]"])
    STAMP.write_text(json.dumps(wanted_stamp(extra)), encoding="utf-8")
    say("ready")


def remove(path: Path) -> None:
    """Delete a file, a link or a whole folder, if it is there."""
    import shutil

    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def base_python() -> str:
    """Return the interpreter to build with: not .venv's own, which may be about to be deleted."""
    return str(getattr(sys, "_base_executable", None) or sys.executable)


def pip() -> list[str]:
    """Return the command of a pip that installs into .venv.

    On a bare Debian the system's pip may not install for the system and `venv` cannot bring a pip along
    (no ensurepip), but the system's pip may fill a virtual environment. Elsewhere it may be the reverse.
    """
    from_outside = [base_python(), "-m", "pip", "--python", str(PYTHON)]
    if works([*from_outside, "--version"]):
        return from_outside
    if works([str(PYTHON), "-m", "ensurepip", "--default-pip"]):
        return [str(PYTHON), "-m", "pip"]
    raise SetupError(NO_PIP)


def works(command: Sequence[str]) -> bool:
    """Tell whether a command succeeds, whatever it prints."""
    quiet = subprocess.DEVNULL
    try:
        subprocess.run(command, cwd=ROOT, stdout=quiet, stderr=quiet, timeout=PROBE_LIMIT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def step(what: str, command: Sequence[str]) -> None:
    """Run one step of set-up, its output on standard error; raise SetupError naming the step if it fails."""
    say(what)
    settings = os.environ | {"PIP_USER": "0", "PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    try:
        subprocess.run(
            command,
            cwd=ROOT,
            env=settings,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            close_fds=False,  # it inherits the lock: if only bootstrap.py is killed, its step still holds it
            timeout=STEP_LIMIT_S,
            check=True,
        )
    except subprocess.TimeoutExpired:
        raise SetupError(f"set-up stopped at: {what} (not done in {STEP_LIMIT_S:.0f} s). {RETRY}") from None
    except subprocess.CalledProcessError as error:
        raise SetupError(f"set-up stopped at: {what} (exit code {error.returncode}). {RETRY}") from None


# --- one set-up at a time --------------------------------------------------------------------------------


@contextlib.contextmanager
def locked(limit_s: float) -> Iterator[None]:
    """Keep other bootstraps of this clone out; raise SetupError if one keeps us out for `limit_s` seconds.

    The operating system lets go of the lock when its holder ends, however it ends.
    """
    with LOCK.open("a") as file:
        deadline, told = time.monotonic() + limit_s, False
        while not try_lock(file):
            if time.monotonic() >= deadline:
                raise SetupError(
                    f"another bootstrap.py has been setting up {VENV} for {limit_s:.0f} s. Wait for it or "
                    "stop it, then run the same command again."
                )
            if not told:
                say(f"waiting for another bootstrap.py to set up {VENV} (at most {limit_s:.0f} s)")
                told = True
            time.sleep(0.1)
        yield


def try_lock(file: IO[str]) -> bool:
    """Take the lock on an open file without waiting; it lasts until the file is closed."""
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    os.set_inheritable(file.fileno(), True)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


# --- commands --------------------------------------------------------------------------------------------


def qorum_command(arguments: Sequence[str]) -> list[str]:
    """Return the command line of `qorum ARGUMENTS`. -P: no module of the current folder gets in the way."""
    return [str(PYTHON), "-P", "-m", "qorum.cli", *arguments]


def test(arguments: Sequence[str]) -> int:
    """Run pytest with the given arguments, or, without any, every quick check up to the first that fails."""
    if arguments:
        if not Path.cwd().is_relative_to(ROOT):
            os.chdir(ROOT)
        hand_over([str(PYTHON), "-m", "pytest", *arguments])
    os.chdir(ROOT)
    for what, command in quick_checks():
        say(what)
        if code := subprocess.run([str(PYTHON), "-m", *command]).returncode:
            say(f"failed: {what}")
            return code
    return 0


def quick_checks() -> list[tuple[str, list[str]]]:
    """Return (what it is, module and arguments) of every quick check, in order."""
    coverage = ["coverage", "report", f"--include={COVERED}", f"--fail-under={COVERAGE_FLOOR}"]
    return [
        ("ruff", ["ruff", "check", "."]),
        ("mypy", ["mypy"]),
        ("pytest", ["pytest", "-n", "2", "--cov", "--cov-report="]),
        (f"coverage of core and merge, at least {COVERAGE_FLOOR} %", coverage),
    ]


def hand_over(command: list[str]) -> NoReturn:
    """Become the command: same terminal, same signals, same exit code."""
    if os.name == "nt":  # execv there returns to the shell before the command is done
        sys.exit(subprocess.run(command).returncode)
    os.execv(command[0], command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
