"""What a node serves to browsers: the genesis to everybody, and files of one folder."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import ClientSession, web

from qorum.errors import ConfigError
from qorum.node import site
from qorum.node.site import MISSING, assets_folder, routes
from tests.node.fleet import fleet

Ask = Callable[[str], Awaitable[tuple[int, dict[str, str], bytes]]]


def asked(folder: Path | None, play: Callable[[Ask], Awaitable[None]]) -> None:
    async def scene() -> None:
        app = web.Application()
        app.add_routes(routes(b"{}", folder))
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with ClientSession() as session:

            async def ask(path: str) -> tuple[int, dict[str, str], bytes]:
                url = f"http://127.0.0.1:{runner.addresses[0][1]}{path}"
                async with session.get(url, allow_redirects=False) as answer:
                    return answer.status, dict(answer.headers), await answer.read()

            await play(ask)
        await runner.cleanup()

    asyncio.run(scene())


@pytest.fixture
def assets(tmp_path: Path) -> Path:
    folder = tmp_path / "assets"
    (folder / "page").mkdir(parents=True)
    for name in ("index.html", "index.js", "page/main.js", "python.wasm", "style.css", "wheel.whl"):
        (folder / name).write_text(name)
    (tmp_path / "secret").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    return folder


def test_files_have_their_types_and_a_policy(assets: Path) -> None:
    async def play(ask: Ask) -> None:
        types = {
            "": "text/html",
            "index.js": "text/javascript",
            "page/main.js": "text/javascript",
            "python.wasm": "application/wasm",
            "style.css": "text/css",
            "wheel.whl": "application/octet-stream",
        }
        for name, kind in types.items():
            status, headers, body = await ask(f"/browser/{name}")
            assert (status, headers["Content-Type"], body.decode()) == (200, kind, name or "index.html")
            assert "default-src 'none'" in headers["Content-Security-Policy"]
            assert headers["X-Content-Type-Options"] == "nosniff"
        status, headers, _ = await ask("/browser")
        assert (status, headers["Location"]) == (302, "/browser/")

    asked(assets, play)


@pytest.mark.parametrize("path", ["../secret", "..%2fsecret", "%2e%2e/secret", "link", "page", "page/", "nothing"])
def test_nothing_outside_of_the_folder_is_served(assets: Path, path: str) -> None:
    async def play(ask: Ask) -> None:
        status, _, body = await ask(f"/browser/{path}")
        assert status == 404
        assert b"secret" not in body

    asked(assets, play)


def test_without_the_files_it_says_how_to_get_them() -> None:
    async def play(ask: Ask) -> None:
        status, _, body = await ask("/browser/")
        assert (status, body.decode()) == (404, MISSING)

    asked(None, play)


def test_a_folder_that_is_named_has_to_have_them(
    assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert assets_folder(assets) == assets
    with pytest.raises(ConfigError, match=r"index\.js"):
        assets_folder(tmp_path)
    monkeypatch.setattr(site, "BUILT", tmp_path)
    assert assets_folder(None) is None
    monkeypatch.setattr(site, "BUILT", assets)
    assert assets_folder(None) == assets


def test_the_dashboard_is_at_the_root_and_needs_nothing_from_elsewhere() -> None:
    async def play(ask: Ask) -> None:
        status, headers, body = await ask("/")
        assert (status, headers["Content-Type"]) == (200, "text/html")
        for name in set(re.findall(rb'(?:src|href)="(/dashboard/[^"]+)"', body)):
            assert (await ask(name.decode()))[0] == 200
        assert b"https://" not in body
        assert (await ask("/dashboard/..%2fscene.py"))[0] == 404

    asked(None, play)


def test_any_node_tells_everybody_what_it_was_founded_with(tmp_path: Path) -> None:
    async def scene() -> None:
        async with fleet(tmp_path) as one, ClientSession() as session:
            node = next(iter(one.nodes.values()))
            async with session.get(f"http://{node.listen}/genesis") as answer:
                assert answer.headers["Access-Control-Allow-Origin"] == "*"
                assert await answer.read() == node.config.genesis.read_bytes()

    asyncio.run(scene())
