"""``warmline links``: every link of an edge, live."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import msgspec
import uvloop
from rich.console import Console
from rich.live import Live
from rich.table import Table

from lab.fabric_file import recall_fabric

__all__ = ["run_links"]

_EVERY_S: Final = 0.5
_TIMEOUT_S: Final = 5.0
_STYLES: Final[Mapping[str, str]] = {
    "ready": "green",
    "standby": "cyan",
    "stalled": "bold red",
    "draining": "yellow",
    "opening": "dim",
}
_HEADS: Final = (
    *("region", "agent", "transport", "state", "RTT ms", "loss % there", "back"),
    *("late p99 ms there", "back", "age s", "calls"),
)
_TEXTS: Final = 4
"""Columns of text; those that follow are numbers."""


class _UnreachableError(Exception):
    """The edge cannot be asked; says why."""


def run_links(edge: str, *, json: bool) -> int:
    """Show the links of the edge at *edge* until interrupted; return the exit code.

    Args:
        edge: URL of its admin listener, or for an edge of the running local fabric
            its public URL.
        json: Print one snapshot as JSON and end.
    """
    base, token = _admin(edge.rstrip("/"))
    if urlsplit(base).scheme not in {"http", "https"}:
        return _refuse(f"--edge: {base!r} is not an http(s) URL")
    if not token:
        return _refuse("no admin token: set EDGE_ADMIN_TOKEN")
    try:
        uvloop.run(_show(base, token, json=json))
    except _UnreachableError as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


def _admin(base: str) -> tuple[str, str]:
    """Return the admin URL and its token: of the running fabric, else our own."""
    for known in recall_fabric().get("edges", []):
        if base in {known["public_url"], known["admin_url"]}:
            return known["admin_url"], known["admin_token"]
    return base, os.environ.get("EDGE_ADMIN_TOKEN", "")


def _refuse(reason: str) -> int:
    sys.stderr.write(f"{reason}\n")
    return 2


async def _show(base: str, token: str, *, json: bool) -> None:
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as http:
        first = await _snapshot(http, base)
        if json:
            sys.stdout.write(msgspec.json.encode(first).decode() + "\n")
            return
        console = Console()
        if not console.is_terminal:
            console.print(_table(first))
            return
        with Live(_table(first), console=console, auto_refresh=False) as live:
            while True:
                await asyncio.sleep(_EVERY_S)
                live.update(_table(await _snapshot(http, base)), refresh=True)


async def _snapshot(http: aiohttp.ClientSession, base: str) -> dict[str, Any]:
    try:
        async with http.get(f"{base}/api/links") as response:
            if response.status == HTTPStatus.UNAUTHORIZED:
                raise _UnreachableError(f"{base} refuses the admin token")
            if response.status != HTTPStatus.OK:
                raise _UnreachableError(f"{base}/api/links answers {response.status}")
            return msgspec.json.decode(await response.read(), type=dict[str, Any])
    except (aiohttp.ClientError, TimeoutError, OSError, msgspec.MsgspecError) as exc:
        raise _UnreachableError(f"{base}: {str(exc) or type(exc).__name__}") from exc


def _table(snapshot: Mapping[str, Any]) -> Table:
    # An edge of several processes tells of each.
    parts: Sequence[Mapping[str, Any]] = snapshot.get("workers", [snapshot])
    links = [link for part in parts for link in part.get("links", ())]
    names = {part["edge"] for part in parts if "edge" in part}
    table = Table(title=f"{', '.join(names)}: {len(links)} links")
    for index, head in enumerate(_HEADS):
        table.add_column(head, justify="left" if index < _TEXTS else "right")
    for link in links:
        state = str(link["state"])
        table.add_row(
            *(str(link[name]) for name in ("region", "agent", "transport")),
            f"[{_STYLES.get(state, '')}]{state}" if state in _STYLES else state,
            _figure(link["rtt_ms"], 1),
            _figure(link["loss_sent_percent"], 2),
            _figure(link["loss_received_percent"], 2),
            _figure(link["late_p99_sent_ms"], 1),
            _figure(link["late_p99_received_ms"], 1),
            _figure(link["age_s"], 0),
            str(link["channels"]),
        )
    return table


def _figure(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
