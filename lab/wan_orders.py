"""Gives orders to a running WAN."""

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from backhaul.errors import WarmlineError
from lab.wan_control import WanOrder

__all__ = ["WanError", "order_wan"]

_TIMEOUT_S: Final = 5.0


class WanError(WarmlineError):
    """The WAN did not do what it was told."""

    code = "wan_failed"


async def order_wan(port: int, orders: Sequence[WanOrder]) -> None:
    """Give *orders* to the WAN that takes them on loopback *port*.

    Raises:
        WanError: It refuses one, or does not answer.
    """
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                for order in orders:
                    writer.write(msgspec.json.encode(order) + b"\n")
                answers = [await reader.readline() for _ in orders]
            finally:
                writer.close()
    except (TimeoutError, OSError) as exc:
        raise WanError(str(exc) or type(exc).__name__) from exc
    if not all(b'"ok":true' in answer for answer in answers):
        raise WanError("an order was refused")
