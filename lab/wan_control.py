"""Changes a running WAN: one JSON object a line, one JSON answer a line."""

import asyncio
from typing import Annotated, Literal, Protocol, cast

import msgspec
from msgspec import Meta

from lab.wan_line import Direction

__all__ = ["Adjustable", "WanControl", "WanOrder"]

_MAX_LINE_BYTES = 4096
_Ms = Annotated[float, Meta(ge=0, le=60_000)]


class Adjustable(Protocol):
    """What can be changed while it runs."""

    def directions(self, name: str) -> tuple[Direction, Direction]:
        """Return both directions of a route, the one to its target first."""
        ...

    def set_blocked(self, direction: Direction, *, blocked: bool) -> None:
        """Let nothing through in a direction, or everything again."""
        ...


class WanOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is to be different on a route; what is left out stays."""

    route: str
    towards: Literal["target", "client", "both"] = "both"
    """Only for what goes to this end."""
    delay_ms: _Ms | None = None
    jitter_ms: _Ms | None = None
    loss: Annotated[float, Meta(ge=0, le=1)] | None = None
    """Share of datagrams; what TCP carries is late by a retransmission instead."""
    blocked: bool | None = None


class WanControl(asyncio.Protocol):
    """One control connection, such as ``{"route": "a>b", "delay_ms": 80}``."""

    def __init__(self, relay: Adjustable) -> None:
        self._relay = relay
        self._rest = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of where to answer."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Obey every whole line; a line without an end closes the connection."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._answer(self._obey(line))
        if len(self._rest) > _MAX_LINE_BYTES and self._transport is not None:
            self._transport.abort()

    def _obey(self, line: bytes) -> dict[str, object]:
        try:
            order = msgspec.json.decode(line, type=WanOrder)
            there, back = self._relay.directions(order.route)
        except msgspec.MsgspecError as exc:
            return {"error": str(exc)}
        except KeyError:
            return {"error": "no such route"}
        if order.towards in {"target", "both"}:
            self._change(there, order)
        if order.towards in {"client", "both"}:
            self._change(back, order)
        return {"ok": True}

    def _change(self, direction: Direction, order: WanOrder) -> None:
        if order.delay_ms is not None:
            direction.delay_s = order.delay_ms / 1000
        if order.jitter_ms is not None:
            direction.jitter_s = order.jitter_ms / 1000
        if order.loss is not None:
            direction.loss = order.loss
        if order.blocked is not None:
            self._relay.set_blocked(direction, blocked=order.blocked)

    def _answer(self, answer: dict[str, object]) -> None:
        if self._transport is not None:
            self._transport.write(msgspec.json.encode(answer) + b"\n")
