"""`attach`: agents of other processes on this machine, or others, share a running node over its API."""

from __future__ import annotations

import ssl
import time
import urllib.error
import urllib.request
from os import PathLike
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec

from qorum.agent import QAgent
from qorum.core.table import SyncResult
from qorum.errors import UNREADABLE, ConfigError, QorumError
from qorum.node.config import NodeConfig, load_config
from qorum.node.records import Columns, Heard, Steps, Task
from qorum.node.status import NodeStatus
from qorum.qtable import QTable

T = TypeVar("T")

ANSWER_S = 30.0
"""Seconds that the node has to answer; a sync has those it waits for on top."""
LINGER_S = 1.0
"""Seconds after which steps are handed over however few they are, at the next one."""
ROOT = "/api/v1"


class Line:
    """Requests to one member of a node."""

    def __init__(self, address: str, member: str | int, token: str | None, trust: ssl.SSLContext | None) -> None:
        scheme = "https" if trust is not None else "http"
        self._root = f"{address if '://' in address else f'{scheme}://{address}'}{ROOT}"
        self._member = member
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]  # nodes are near
        if trust is not None:
            handlers.append(urllib.request.HTTPSHandler(context=trust))
        self._opener = urllib.request.build_opener(*handlers)
        self._headers = {"Content-Type": "application/json"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"

    def ask(
        self, what: str, type: type[T], body: object = None, timeout_s: float = 0.0, *, answer_s: float = ANSWER_S
    ) -> T:
        """Get `what`, or post `body` to it. Raises `QorumError` with what the node says.

        timeout_s: that it may wait for something itself; answer_s: and be slow.
        """
        url = f"{self._root}/{what.format(member=self._member)}"
        data = None if body is None else msgspec.json.encode(body)
        request = urllib.request.Request(url, data, self._headers)
        try:
            with self._opener.open(request, timeout=timeout_s + answer_s) as answer:
                return msgspec.json.decode(answer.read(), type=type, strict=False)
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")
            raise QorumError(f"node at {self._root}: {error.code} {said}") from error
        except (OSError, *UNREADABLE) as error:
            raise QorumError(f"node at {self._root} does not answer: {error}; is it up, at this port?") from error


class Reporter(QAgent):
    """A `QAgent` that hands what it lives through to its member, and acts on what comes back."""

    def __init__(self, line: Line, task: Task, n_actions: int, **fields: Any) -> None:
        super().__init__(n_actions, **fields)
        self._line, self._batch = line, task.sync_after_interactions
        self._steps: list[tuple[int, int, float, int, bool]] = []
        self._handed_over = time.monotonic()
        self._round = -1

    def hand_over(self) -> None:
        """Give the node all steps it has not been given, and act on the newest view. Raises `QorumError`."""
        steps = self._steps
        if steps:
            body = Steps(**dict(zip(Steps.__struct_fields__, zip(*steps, strict=True), strict=True)))
            heard = self._line.ask("members/{member}/observe", Heard, body)
            self._steps, self._handed_over = [], time.monotonic()
            if heard.round == self._round:
                return
        self.refresh()

    def refresh(self) -> None:
        """Act on the member's newest view."""
        shown = self._line.ask("members/{member}/table", Columns)
        self._round = shown.round
        self.adopt(shown.table)

    def _apply(self, state: int, action: int, reward: float, next_state: int, terminated: bool, target: float) -> None:
        super()._apply(state, action, reward, next_state, terminated, target)
        self._steps.append((state, action, reward, next_state, terminated))
        if len(self._steps) >= self._batch or time.monotonic() - self._handed_over > LINGER_S:
            self.hand_over()


class Attached:
    """A member of a node in another process. A context manager: leaving it hands over the last steps."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._agents: list[Reporter] = []
        self._task = line.ask("members/{member}", Task)

    def agent(self, n_actions: int | None = None, **fields: Any) -> QAgent:
        """An agent that learns for the member and acts on its view; `fields` as for `QAgent`. Several may share it.

        `learn` raises `QorumError` when the node does not answer; the steps are kept and go with the next ones.
        """
        task = self._task
        agreed = {name: getattr(task, name) for name in ("gamma", "alpha", "initial_q", "evidence")}
        count = task.n_actions if n_actions is None else n_actions
        for name, given in {"n_actions": count, **fields}.items():
            if hasattr(task, name) and given != getattr(task, name):
                raise QorumError(f"agent has {name} {given!r}, the federation {getattr(task, name)!r}; use the same")
        agent = Reporter(self._line, task, count, **{**agreed, **fields})
        agent.refresh()
        self._agents.append(agent)
        return agent

    def sync(self, timeout_s: float = 10.0) -> SyncResult:
        """Hand over all steps, contribute, wait until a round is agreed or `timeout_s` has passed, and report."""
        for agent in self._agents:
            agent.hand_over()
        result = self._line.ask("members/{member}/sync", SyncResult, {"timeout_s": timeout_s}, timeout_s)
        for agent in self._agents:
            agent.refresh()
        return result

    def status(self) -> NodeStatus:
        """What the node says of itself."""
        return self._line.ask("status", NodeStatus)

    @property
    def agreed_table(self) -> QTable:
        """The newest table that the federation agreed on."""
        return self._line.ask("members/{member}/table?what=agreed", Columns).table

    def close(self) -> None:
        """Hand over what is left."""
        for agent in self._agents:
            agent.hand_over()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def attach(
    address: str | PathLike[str],
    member: str | int = 0,
    *,
    token: str | None = None,
    certificate: str | PathLike[str] | None = None,
) -> Attached:
    """Share a running node. member: name or index of one that it hosts.

    address: `host:port`; or the configuration file of a node on this machine, which says all the rest.
    token: what the node's API asks for. certificate: the file of the node's own certificate, where it speaks TLS;
    nothing else is trusted.

    Raises `QorumError` if the node does not answer, or hosts no such member.
    """
    if Path(address).suffix == ".toml":
        return Attached(line_to(load_config(address), member))
    return Attached(Line(str(address), member, token, None if certificate is None else _trust(Path(certificate))))


def line_to(config: NodeConfig, member: str | int = 0) -> Line:
    """Requests to the node of a configuration, on this machine."""
    host, _, port = config.listen.rpartition(":")
    here = host if host not in ("", "0.0.0.0", "[::]") else "127.0.0.1"
    token = None if config.token is None else read_token(config.token)
    return Line(f"{here}:{port}", member, token, None if config.tls is None else _trust(Path(config.tls.certificate)))


def read_token(path: str | PathLike[str]) -> str:
    """The token in a file. Raises `ConfigError` if there is none."""
    try:
        token = Path(path).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the token at {path}: {error}") from error
    if not token:
        raise ConfigError(f"the token file {path} is empty; write a long random word to it")
    return token


def _trust(certificate: Path) -> ssl.SSLContext:
    """Trust in one certificate, whatever names it bears."""
    try:
        context = ssl.create_default_context(cafile=certificate)
    except OSError as error:
        raise QorumError(f"cannot read the certificate at {certificate}: {error}") from error
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
