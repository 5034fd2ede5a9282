"""bootstrap.py, in a throw-away clone: nothing is installed and no network is used."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "bootstrap.py"
posix = pytest.mark.skipif(sys.platform == "win32", reason="stands a shell script in for the interpreter")


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("bootstrap", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    root = tmp_path / "a clone [with] spaces"
    root.mkdir()
    shutil.copy(SCRIPT, root)
    (root / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    return root


@pytest.fixture
def boot(clone: Path) -> ModuleType:
    return load(clone / "bootstrap.py")


@pytest.fixture
def steps(boot: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The steps of set-up that were asked for; the interpreter appears, nothing else happens."""
    asked: list[str] = []

    def pretend(what: str, command: list[str]) -> None:
        asked.append(what)
        make_interpreter(boot, "")

    monkeypatch.setattr(boot, "step", pretend)
    monkeypatch.setattr(boot, "pip", lambda: ["pip"])
    return asked


def make_interpreter(boot: ModuleType, script: str) -> None:
    boot.PYTHON.parent.mkdir(parents=True, exist_ok=True)
    boot.PYTHON.write_text(f"#!/bin/sh\n{script}\n")
    boot.PYTHON.chmod(0o755)


def make_ready(boot: ModuleType, extra: str, script: str = "") -> None:
    make_interpreter(boot, script)
    boot.STAMP.write_text(json.dumps(boot.wanted_stamp(extra)))


CREATE = "creating .venv"
INSTALL_DEMO = "installing qorum[demo] into .venv"
INSTALL_DEV = "installing qorum[dev] into .venv"


class TestStamp:
    def test_nothing_is_ready_in_a_fresh_clone(self, boot: ModuleType) -> None:
        assert not boot.is_ready("demo")
        assert not boot.can_update()

    def test_dev_serves_demo_but_not_the_reverse(self, boot: ModuleType) -> None:
        make_ready(boot, "dev")
        assert boot.is_ready("demo")
        make_ready(boot, "demo")
        assert boot.is_ready("demo")
        assert not boot.is_ready("dev")

    @pytest.mark.parametrize("damage", ["", "{", "null", '"text"', "{}"])
    def test_a_damaged_stamp_counts_as_none(self, boot: ModuleType, damage: str) -> None:
        make_ready(boot, "demo")
        boot.STAMP.write_text(damage)
        assert not boot.is_ready("demo")
        assert not boot.can_update()

    def test_a_missing_interpreter_is_noticed(self, boot: ModuleType) -> None:
        make_ready(boot, "demo")
        boot.PYTHON.unlink()
        assert not boot.is_ready("demo")
        assert not boot.can_update()

    def test_changed_requirements_call_for_an_update(self, boot: ModuleType, clone: Path) -> None:
        make_ready(boot, "demo")
        (clone / "pyproject.toml").write_text("[project]\nname = 'y'\n")
        assert not boot.is_ready("demo")
        assert boot.can_update()

    def test_another_python_calls_for_a_new_environment(
        self, boot: ModuleType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make_ready(boot, "demo")
        monkeypatch.setattr(sys, "version", "3.99")
        assert not boot.is_ready("demo")
        assert not boot.can_update()

    def test_a_moved_clone_calls_for_a_new_environment(self, boot: ModuleType, clone: Path) -> None:
        make_ready(boot, "demo")
        moved = load(clone.rename(clone.with_name("moved")) / "bootstrap.py")
        assert not moved.is_ready("demo")
        assert not moved.can_update()


class TestSetUp:
    def test_from_nothing_then_silent(
        self, boot: ModuleType, steps: list[str], capfd: pytest.CaptureFixture[str]
    ) -> None:
        boot.prepare("demo")
        assert steps == [CREATE, INSTALL_DEMO]
        capfd.readouterr()
        boot.prepare("demo")
        assert steps == [CREATE, INSTALL_DEMO]
        assert capfd.readouterr() == ("", "")

    def test_more_is_added_to_a_finished_environment(self, boot: ModuleType, steps: list[str]) -> None:
        boot.prepare("demo")
        boot.prepare("dev")
        assert steps == [CREATE, INSTALL_DEMO, INSTALL_DEV]

    def test_an_interrupted_set_up_starts_over(
        self, boot: ModuleType, steps: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        boot.prepare("demo")
        leftover = boot.VENV / "half-installed"
        leftover.touch()
        with monkeypatch.context() as patch:
            patch.setattr(boot, "pip", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                boot.prepare("dev")
        assert not boot.is_ready("demo")
        boot.prepare("dev")
        assert steps == [CREATE, INSTALL_DEMO, CREATE, INSTALL_DEV]
        assert not leftover.exists()

    def test_a_file_in_the_way_is_replaced(self, boot: ModuleType, steps: list[str]) -> None:
        boot.VENV.write_text("not a folder")
        boot.prepare("demo")
        assert boot.is_ready("demo")

    def test_output_of_a_step_goes_to_standard_error(
        self, boot: ModuleType, capfd: pytest.CaptureFixture[str]
    ) -> None:
        boot.step("talking", [sys.executable, "-c", "print('words')"])
        out, err = capfd.readouterr()
        assert out == ""
        assert "talking" in err
        assert "words" in err

    def test_a_failed_step_is_named_with_what_to_do(self, boot: ModuleType) -> None:
        with pytest.raises(boot.SetupError, match=r"stopped at: failing \(exit code 3\)") as caught:
            boot.step("failing", [sys.executable, "-c", "raise SystemExit(3)"])
        assert "network" in str(caught.value)
        assert "again is safe" in str(caught.value)

    def test_a_step_has_a_time_limit(self, boot: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(boot, "STEP_LIMIT_S", 0.05)
        with pytest.raises(boot.SetupError, match="stopped at: sleeping"):
            boot.step("sleeping", [sys.executable, "-c", "import time; time.sleep(30)"])

    def test_without_any_pip_it_says_what_to_install(
        self, boot: ModuleType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(boot, "works", lambda command: False)
        with pytest.raises(boot.SetupError, match="apt-get install python3-pip"):
            boot.pip()


class TestLock:
    def test_a_second_bootstrap_waits_and_gives_up_with_a_reason(
        self, boot: ModuleType, capfd: pytest.CaptureFixture[str]
    ) -> None:
        with boot.locked(0.0):
            with pytest.raises(boot.SetupError, match=r"another bootstrap\.py"), boot.locked(0.15):
                pass
            assert "waiting for another" in capfd.readouterr().err
        with boot.locked(0.0):
            pass

    def test_work_done_meanwhile_is_not_done_again(
        self, boot: ModuleType, steps: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answers = iter([False, True])
        monkeypatch.setattr(boot, "is_ready", lambda extra: next(answers))
        boot.prepare("demo")
        assert steps == []


class TestCommands:
    def test_only_test_needs_the_development_tools(self, boot: ModuleType) -> None:
        assert boot.extra_for(["test", "-k", "demo"]) == "dev"
        assert boot.extra_for(["demo"]) == "demo"
        assert boot.extra_for(["--help"]) == "demo"

    def test_no_argument_shows_usage_without_set_up(
        self, boot: ModuleType, steps: list[str], capfd: pytest.CaptureFixture[str]
    ) -> None:
        assert boot.main([]) == 2
        out, err = capfd.readouterr()
        assert out == ""
        assert "bootstrap.py demo" in err
        assert steps == []

    @pytest.mark.parametrize("version", [(3, 7), (3, 10)])
    def test_an_old_python_is_told_so(self, boot: ModuleType, version: tuple[int, int]) -> None:
        complaint = boot.too_old(version)
        assert "needs Python 3.11" in complaint
        assert ".".join(map(str, version)) in complaint

    @pytest.mark.parametrize("version", [(3, 11), (3, 14), (4, 0)])
    def test_newer_pythons_are_welcome(self, boot: ModuleType, version: tuple[int, int]) -> None:
        assert boot.too_old(version) is None

    def test_a_failed_set_up_ends_with_a_message_not_a_traceback(
        self, boot: ModuleType, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(boot, "STEP_LIMIT_S", 0.0)
        assert boot.main(["demo"]) == 1
        out, err = capfd.readouterr()
        assert out == ""
        assert "[bootstrap] set-up stopped at: creating .venv" in err

    @posix
    def test_hands_over_arguments_output_and_exit_code(
        self, boot: ModuleType, clone: Path, tmp_path: Path
    ) -> None:
        make_ready(boot, "demo", script='printf "%s|" "$@"; pwd; exit 7')
        done = subprocess.run(
            [sys.executable, clone / "bootstrap.py", "demo", "--out", "a b", "--json"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.stdout == f"-P|-m|qorum.cli|demo|--out|a b|--json|{tmp_path}\n"
        assert done.stderr == ""
        assert done.returncode == 7

    @posix
    def test_arguments_of_test_go_to_pytest(self, boot: ModuleType, clone: Path, tmp_path: Path) -> None:
        make_ready(boot, "dev", script='printf "%s|" "$@"; pwd; exit 5')
        done = subprocess.run(
            [sys.executable, clone / "bootstrap.py", "test", "-m", "long"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.stdout == f"-m|pytest|-m|long|{clone}\n"
        assert done.returncode == 5

    @posix
    def test_plain_test_stops_at_the_first_failed_check(
        self, boot: ModuleType, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        make_ready(boot, "dev", script='echo "$2"; test "$2" != mypy || exit 4')
        monkeypatch.chdir(boot.ROOT)
        assert boot.main(["test"]) == 4
        out, err = capfd.readouterr()
        assert out.split() == ["ruff", "mypy"]
        assert "failed: mypy" in err
