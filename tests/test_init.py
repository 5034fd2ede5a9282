"""What `import qorum` offers, and what it loads."""

import subprocess
import sys

import pytest

import qorum


@pytest.mark.parametrize("name", qorum.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(qorum, name).__name__ == name
    assert name in dir(qorum)


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = qorum.nothing


def test_the_package_alone_loads_nothing_else() -> None:
    loaded = "import sys, qorum; print([name for name in ('numpy', 'msgspec', 'asyncio') if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", loaded], text=True, timeout=60) == "[]\n"
