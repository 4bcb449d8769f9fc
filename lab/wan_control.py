"""Changes a running WAN: one JSON object a line, one JSON answer a line."""

import asyncio
from typing import Protocol, cast

import msgspec

__all__ = ["Adjustable", "WanControl"]

_MAX_LINE_BYTES = 4096


class Adjustable(Protocol):
    """What can be changed while it runs."""

    def set_delay(self, name: str, delay_ms: float) -> None:
        """Change the one-way delay of a route (ms)."""
        ...

    def block(self, name: str) -> None:
        """Let nothing through a route."""
        ...

    def unblock(self, name: str) -> None:
        """Let a route carry again."""
        ...


class _Order(msgspec.Struct, forbid_unknown_fields=True):
    route: str
    delay_ms: float | None = None
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
            order = msgspec.json.decode(line, type=_Order)
            if order.delay_ms is not None:
                self._relay.set_delay(order.route, order.delay_ms)
            if order.blocked is not None:
                change = self._relay.block if order.blocked else self._relay.unblock
                change(order.route)
        except msgspec.MsgspecError as exc:
            return {"error": str(exc)}
        except KeyError:
            return {"error": "no such route"}
        return {"ok": True}

    def _answer(self, answer: dict[str, object]) -> None:
        if self._transport is not None:
            self._transport.write(msgspec.json.encode(answer) + b"\n")
