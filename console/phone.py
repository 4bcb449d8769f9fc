"""The softphone's WebSocket: a person in a browser, talking in a call."""

import asyncio
from collections import deque
from typing import Any, Final

import msgspec
import orjson
from aiohttp import WSMsgType, web

from console.abilities import Phone, PhoneOrder, PhoneProblemError

__all__ = ["PhoneLine", "phone_socket", "read_order", "serve_phone"]

_FRAME_BYTES: Final = 160
"""20 ms of mu-law."""
_SILENT_FRAME: Final = b"\xff" * _FRAME_BYTES
_MAX_UNSAID_FRAMES: Final = 25
"""Half a second of the person's voice; what comes late is better left out."""
_MAX_UNHEARD_EVENTS: Final = 250
_MAX_MESSAGE_BYTES: Final = 4096
_ORDER_S: Final = 10.0
_SEND_S: Final = 5.0
_KEYS: Final = frozenset("0123456789*#")


class _Order(msgspec.Struct, forbid_unknown_fields=True):
    edge: str
    number: str
    recorded: bool = False


class _Said(msgspec.Struct, forbid_unknown_fields=True):
    digit: str = ""
    hang_up: bool = False


class PhoneLine:
    """Both ends of a person's line: a `Voice` and an `Earpiece`.

    Attributes:
        has_hung_up: Whether the person wants the call to end.
    """

    def __init__(self) -> None:
        self.has_hung_up = False
        self._unsaid: deque[bytes] = deque(maxlen=_MAX_UNSAID_FRAMES)
        self._rest = b""
        self._keys = ""
        self._unheard: asyncio.Queue[bytes | str] = asyncio.Queue(_MAX_UNHEARD_EVENTS)

    # The voice

    def frame(self) -> bytes:
        """See `Voice`."""
        return self._unsaid.popleft() if self._unsaid else _SILENT_FRAME

    def digits(self) -> str:
        """See `Voice`."""
        pressed, self._keys = self._keys, ""
        return pressed

    # The earpiece

    def on_call(self, call_sid: str) -> None:
        """See `Earpiece`."""
        self.tell(call_sid=call_sid)

    def on_audio(self, audio: bytes) -> None:
        """See `Earpiece`."""
        self._put(audio)

    # The browser's side

    def speak(self, audio: bytes) -> None:
        """Say *audio*, mu-law of any length."""
        self._rest += audio
        while len(self._rest) >= _FRAME_BYTES:
            self._unsaid.append(self._rest[:_FRAME_BYTES])
            self._rest = self._rest[_FRAME_BYTES:]

    def obey(self, text: str) -> None:
        """Do what the page says; what cannot be understood ends the call."""
        try:
            said = msgspec.json.decode(text, type=_Said)
        except msgspec.MsgspecError:
            self.has_hung_up = True
            return
        self.has_hung_up |= said.hang_up
        if said.digit in _KEYS:
            self._keys += said.digit

    def tell(self, **facts: Any) -> None:  # noqa: ANN401 - whatever the page wants
        """Tell the page something."""
        self._put(orjson.dumps(facts).decode())

    async def next(self) -> bytes | str:
        """Return what the browser gets next: audio, or a text."""
        return await self._unheard.get()

    def _put(self, event: bytes | str) -> None:
        if self._unheard.full():  # a browser that has stopped reading
            self.has_hung_up = True
        else:
            self._unheard.put_nowait(event)


async def serve_phone(
    socket: web.WebSocketResponse, phone: Phone, order: PhoneOrder
) -> None:
    """Hold a call over *socket* until either side ends it."""
    line = PhoneLine()
    async with asyncio.TaskGroup() as group:
        listening = group.create_task(_listen(socket, line), name="phone:listen")
        telling = group.create_task(_tell(socket, line), name="phone:tell")
        try:
            line.tell(ended=dict(await phone.call(order, line, line)))
        except PhoneProblemError as exc:
            line.tell(problem=str(exc))
        line.tell(over=True)
        listening.cancel()
        await asyncio.wait({telling}, timeout=_SEND_S)
        telling.cancel()


async def read_order(socket: web.WebSocketResponse) -> PhoneOrder | None:
    """Return the page's first message; None: it cannot be understood."""
    try:
        wanted = msgspec.json.decode(
            await socket.receive_str(timeout=_ORDER_S), type=_Order
        )
    except (TypeError, TimeoutError, msgspec.MsgspecError):
        return None
    return PhoneOrder(wanted.edge, wanted.number, recorded=wanted.recorded)


def phone_socket() -> web.WebSocketResponse:
    """Return a WebSocket with limits that fit."""
    return web.WebSocketResponse(
        heartbeat=15.0, max_msg_size=_MAX_MESSAGE_BYTES, compress=False
    )


async def _listen(socket: web.WebSocketResponse, line: PhoneLine) -> None:
    async for message in socket:
        if message.type is WSMsgType.BINARY:
            line.speak(message.data)
        elif message.type is WSMsgType.TEXT:
            line.obey(message.data)
    line.has_hung_up = True


async def _tell(socket: web.WebSocketResponse, line: PhoneLine) -> None:
    over = orjson.dumps({"over": True}).decode()
    try:
        while True:
            event = await line.next()
            async with asyncio.timeout(_SEND_S):
                if isinstance(event, bytes):
                    await socket.send_bytes(event)
                else:
                    await socket.send_str(event)
            if event == over:
                return
    except (ConnectionError, TimeoutError):
        line.has_hung_up = True
