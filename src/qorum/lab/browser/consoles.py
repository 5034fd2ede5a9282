"""Where JavaScript is run, one piece after another: a process of node, and tabs of a headless Chromium."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import ClientSession, ClientWebSocketResponse, web

from qorum.errors import ConfigError
from qorum.lab.browser.assets import built
from qorum.node.site import routes

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ANSWER_S = 90.0
"""Seconds that a piece of JavaScript has."""
PORT_FILE = "DevToolsActivePort"
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-default-apps", "--disable-sync", "--remote-debugging-port=0",
    "--disable-features=OptimizationHints,MediaRouter", "--window-size=1280,1600",
    "--host-resolver-rules=MAP plain.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip
NODE = """
import { createInterface } from "node:readline";
globalThis.qorum = await import(process.argv[1]);
for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    answer = { result: await eval(`(async () => {${JSON.parse(line)}})()`) };
  } catch (error) {
    answer = { error: { code: error.code, reason: error.reason, message: String(error.message) } };
  }
  console.log("\\n=" + JSON.stringify(answer));
}
"""


class Thrown(Exception):  # noqa: N818 - says what happened
    """What JavaScript threw."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error.get("message"))
        self.code, self.reason = error.get("code"), error.get("reason")


def program(*names: str) -> str:
    """The first of these programs that there is. Raises `ConfigError`."""
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        raise ConfigError(f"{names[0]} is not installed here")
    return found


class NodeConsole:
    """A process of node in which `qorum` is the package. `async with`."""

    def __init__(self, folder: Path, trusted: Path | None = None) -> None:
        """folder: where its agents are kept. trusted: a certificate, in PEM, that it is to believe."""
        self.folder = folder
        self._environment = os.environ | ({} if trusted is None else {"NODE_EXTRA_CA_CERTS": str(trusted)})

    async def __aenter__(self) -> Self:
        module = (await asyncio.to_thread(built)) / "index.js"
        command = [program("node"), "--input-type=module", "-e", NODE, "--", str(module)]
        pipe = subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, cwd=self.folder, limit=1 << 24, env=self._environment
        )
        return self

    async def run(self, code: str, within_s: float = ANSWER_S) -> Any:
        """What the body of an async function returns. Raises `Thrown`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(code).encode() + b"\n")
        async with asyncio.timeout(within_s):
            while not (line := await self._process.stdout.readline()).startswith(b"="):
                assert line, "node has ended"
        return _result(json.loads(line[1:]))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._process.kill()
        await self._process.wait()


class Tab:
    """A page that is open."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket, self._calls = socket, 0
        self.complaints: list[str] = []
        """What the page said to its console as an error."""

    async def command(self, method: str, within_s: float = ANSWER_S, **given: Any) -> Any:
        """A command of the DevTools protocol."""
        self._calls += 1
        await self._socket.send_json({"id": self._calls, "method": method, "params": given})
        async with asyncio.timeout(within_s):
            while True:
                answer = await self._socket.receive_json()
                if answer.get("id") == self._calls:
                    assert "error" not in answer, answer
                    return answer["result"]
                self._note(answer)

    def _note(self, event: dict[str, Any]) -> None:
        given = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(given["exceptionDetails"])[:1000])
        if event.get("method") == "Log.entryAdded" and given["entry"]["level"] == "error":
            self.complaints.append(given["entry"]["text"])

    async def run(self, code: str, within_s: float = ANSWER_S) -> Any:
        """What the body of an async function returns. Raises `Thrown`."""
        wrapped = f"""(async () => {{
          try {{ return JSON.stringify({{ result: await (async () => {{{code}}})() }}); }}
          catch (error) {{
            const {{ code, reason, message }} = error;
            return JSON.stringify({{ error: {{ code, reason, message: String(message) }} }});
          }}
        }})()"""
        given = {"expression": wrapped, "awaitPromise": True, "returnByValue": True}
        answer = await self.command("Runtime.evaluate", within_s, **given)
        assert "value" in answer["result"], answer
        return _result(json.loads(answer["result"]["value"]))

    async def open(self, address: str) -> None:
        """Go to an address, and wait until its document is there."""
        await self.command("Page.navigate", url=address)
        for _ in range(600):
            if await self.run("return document.readyState === 'complete' && location.href !== 'about:blank'"):
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"{address} does not load")

    async def screenshot(self, path: Path) -> None:
        """A picture of the page, as PNG."""
        shot = await self.command("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(shot["data"]))

    async def let_go(self) -> None:
        """Say no more to it; it stays open."""
        await self._socket.close()


class Chromium:
    """A browser that reaches nothing but this machine, which goes by `plain.test` too. `async with`."""

    def __init__(self) -> None:
        self._scratch = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.log = Path(self._scratch.name) / "net.json"
        """What it asked the network for, once it has ended."""
        self._tabs: list[Tab] = []

    async def __aenter__(self) -> Self:
        browser, profile = program(*BROWSERS), Path(self._scratch.name)
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        options = (*FLAGS, f"--user-data-dir={profile}", f"--log-net-log={self.log}", "about:blank")
        self._process = await asyncio.create_subprocess_exec(browser, *options, **quiet)  # type: ignore[arg-type]
        self._session = ClientSession()
        async with asyncio.timeout(ANSWER_S):
            while not (profile / PORT_FILE).exists() or "\n" not in (profile / PORT_FILE).read_text():
                await asyncio.sleep(0.05)
        self._address = f"http://127.0.0.1:{(profile / PORT_FILE).read_text().split()[0]}"
        return self

    async def tab(self, address: str) -> Tab:
        """A new tab at an address."""
        async with self._session.put(f"{self._address}/json/new?about:blank") as answer:
            found = await answer.json()
        socket = await self._session.ws_connect(found["webSocketDebuggerUrl"], max_msg_size=1 << 26)
        tab = Tab(socket)
        self._tabs.append(tab)
        for domain in ("Runtime", "Log", "Page"):
            await tab.command(f"{domain}.enable")
        await tab.open(address)
        return tab

    async def end(self) -> None:
        """As a person does; afterwards its log is whole."""
        async with self._session.get(f"{self._address}/json/version") as answer:
            found = await answer.json()
        async with self._session.ws_connect(found["webSocketDebuggerUrl"]) as socket:
            await socket.send_json({"id": 1, "method": "Browser.close"})
            await socket.receive()
        async with asyncio.timeout(ANSWER_S):
            await self._process.wait()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        for tab in self._tabs:
            await tab.let_go()
        await self._session.close()
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        self._scratch.cleanup()


@asynccontextmanager
async def served(folder: Path) -> AsyncIterator[str]:
    """The files of the package on loopback, as a node serves them, and an empty page; its address."""

    async def empty(request: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>empty</title>", content_type="text/html")

    app = web.Application()
    app.add_routes([web.get("/empty", empty), *routes(b"", folder)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/empty"
    finally:
        await runner.cleanup()


Console = NodeConsole | Tab

LOAD = "globalThis.qorum = await import('/browser/index.js')"
"""What a tab runs at the address of `served` to have the package as `qorum`."""


@asynccontextmanager
async def console(engine: str, folder: Path) -> AsyncIterator[Console]:
    """Where the package is `qorum`, in "node" or in "chromium". folder: where agents in node are kept."""
    async with AsyncExitStack() as stack:
        if engine == "node":
            yield await stack.enter_async_context(NodeConsole(folder))
            return
        address = await stack.enter_async_context(served(await asyncio.to_thread(built)))
        browser = await stack.enter_async_context(Chromium())
        tab = await browser.tab(address)
        await tab.run(LOAD)
        yield tab


def _result(answer: dict[str, Any]) -> Any:
    if "error" in answer:
        raise Thrown(answer["error"])
    return answer.get("result")


