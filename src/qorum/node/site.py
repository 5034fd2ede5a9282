"""What a node serves to browsers: the dashboard, the genesis, and an agent that runs in WebAssembly."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from qorum.dashboard import static
from qorum.errors import ConfigError, MissingExtra

try:
    from aiohttp import web
except ImportError as error:
    raise MissingExtra("aiohttp", "node", "a node") from error

BROWSER = "/browser/"
BUILT = Path(__file__).resolve().parents[3] / "js" / "dist"
"""Where js/build.py puts the files, in a clone."""
DASHBOARD = Path(static.__path__[0])
TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".mjs": "text/javascript",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
}
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self' ws: wss:; "
    "style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",  # kept, and asked for again: that costs no bytes as long as it has not changed
}
MISSING = (
    "The files of the agent for browsers are not here. In a clone of qorum make them by python3 js/build.py, which "
    "needs npm; elsewhere name a folder with them as `assets` in the configuration of this node."
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def assets_folder(configured: Path | None) -> Path | None:
    """Where the files for browsers are. Raises `ConfigError` if a folder is named and has none."""
    if configured is None:
        return BUILT if (BUILT / "index.js").exists() else None
    if not (configured / "index.js").exists():
        raise ConfigError(f"assets is {configured}, which holds no agent for browsers: give the folder of its index.js")
    return configured


def routes(genesis: bytes, assets: Path | None) -> list[web.RouteDef]:
    """Addresses that need no token: everybody may know who the members are, and how to become one.

    genesis: content of the file. assets: as `assets_folder` gives it.
    """

    async def founded(request: web.Request) -> web.Response:
        headers = {"Access-Control-Allow-Origin": "*"}
        return web.Response(body=genesis, content_type="application/json", headers=headers)

    async def slash(request: web.Request) -> web.Response:
        raise web.HTTPFound(BROWSER)

    return [
        web.get("/genesis", founded),
        web.get("/", _files(DASHBOARD)),
        web.get("/dashboard/{name:.*}", _files(DASHBOARD)),
        web.get(BROWSER.rstrip("/"), slash),
        web.get(f"{BROWSER}{{name:.*}}", _files(assets)),
    ]


def _files(folder: Path | None) -> Handler:
    """A handler for the files in a folder, and nothing outside of it."""

    async def file(request: web.Request) -> web.StreamResponse:
        if folder is None:
            raise web.HTTPNotFound(text=MISSING)
        path = (folder / (request.match_info.get("name") or "index.html")).resolve()
        if not path.is_relative_to(folder.resolve()) or not path.is_file():
            raise web.HTTPNotFound(text="no such file")
        kind = TYPES.get(path.suffix, "application/octet-stream")
        return web.FileResponse(path, headers={**HEADERS, "Content-Type": kind})

    return file
