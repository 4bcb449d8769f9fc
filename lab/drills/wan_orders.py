"""Gives orders to the WAN of a running fabric."""

import asyncio
from typing import Any, Final

import msgspec

from backhaul.errors import WarmlineError
from lab.wan_control import WanOrder

__all__ = ["WanRefusedError", "order_wan"]

_TIMEOUT_S: Final = 10.0


class WanRefusedError(WarmlineError):
    """The WAN did not do as it was told."""

    code = "wan_refused"


async def order_wan(port: int, *orders: WanOrder) -> None:
    """Have *orders* carried out, one after the other, by the WAN at *port*.

    Raises:
        WanRefusedError: It does not answer, or not as it should.
    """
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                for order in orders:
                    writer.write(_encode(order))
                for _ in orders:
                    answer: dict[str, Any] = msgspec.json.decode(
                        await reader.readline()
                    )
                    if not answer.get("ok"):
                        raise WanRefusedError(str(answer))
            finally:
                writer.close()
    except (OSError, TimeoutError, msgspec.MsgspecError) as exc:
        raise WanRefusedError(f"{type(exc).__name__}: {exc}") from None


def _encode(order: WanOrder) -> bytes:
    given = {
        name: value
        for name, value in msgspec.to_builtins(order).items()
        if value is not None
    }
    return msgspec.json.encode(given) + b"\n"
