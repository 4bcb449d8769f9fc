"""Twilio's end of a Media Stream socket: sends at once, receives by callback.

The `websockets` protocol runs without its own asyncio layer: a hundred calls send
fifty messages a second each, and every arrival must be timed where it happens.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, cast

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import parse_uri

from backhaul.clock import monotonic_s
from backhaul.errors import TwilioError

__all__ = ["MediaSocket", "SocketEnd", "StreamConnectError", "open_media_socket"]

_CONNECT_TIMEOUT, _REFUSED, _TLS, _HANDSHAKE = 31901, 31902, 31910, 31920
_CLOSE_ERROR, _PROTOCOL_ERROR = 31921, 31924
_NO_CLOSE_FRAME = 1006
_CLOSE_TIMEOUT_S = 2.0
_MAX_MESSAGE_BYTES = 1024 * 1024
_MAX_UNSENT_BYTES = 64 * 1024
"""About 3.4 s of caller audio: a peer this slow loses media, as with Twilio (31930)."""

_SLOW_BUFFER_BYTES = 16 * 1024
"""Receive buffer of a peer that will stop reading; the kernel's own would take
megabytes before anybody noticed."""

_Address = tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]
MessageHandler = Callable[[bytes, bool], None]
"""Takes a whole message and whether it was a text one."""


class StreamConnectError(TwilioError):
    """A Media Stream could not be opened.

    Attributes:
        twilio_code: 31901 timeout, 31902 refused, 31910 TLS, 31920 handshake.
    """

    code: ClassVar[str] = "media_stream_connect_failed"

    def __init__(self, twilio_code: int, reason: str) -> None:
        super().__init__(f"{twilio_code}: {reason}")
        self.twilio_code = twilio_code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class SocketEnd:
    """How a socket ended; `twilio_code` is 0 for a close as it should be."""

    close_code: int
    twilio_code: int


class MediaSocket(asyncio.Protocol):
    """One Media Stream socket.

    Attributes:
        opened: Done when the handshake is; fails with `StreamConnectError`.
        ended: Done, with a `SocketEnd`, when the TCP connection is gone.
        closed_at: When the peer said that it closes, None while it has not.
    """

    def __init__(
        self, url: str, headers: Mapping[str, str], on_message: MessageHandler
    ) -> None:
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[SocketEnd] = loop.create_future()
        self.closed_at: float | None = None
        self._headers = headers
        self._on_message = on_message
        self._protocol = ClientProtocol(parse_uri(url), max_size=_MAX_MESSAGE_BYTES)
        self._transport: asyncio.Transport | None = None
        self._got_eof = False
        self._parts: list[bytes] = []
        self._is_text = True
        self._abort_timer: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self._protocol.state is State.OPEN

    def send(self, text: bytes) -> bool:
        """Send one text message; return False when it had to be dropped."""
        transport = self._transport
        if transport is None or not self.is_open:
            return False
        if transport.get_write_buffer_size() > _MAX_UNSENT_BYTES:
            return False
        self._protocol.send_text(text)
        self._flush()
        return True

    def set_reading(self, *, reads: bool) -> None:
        """Stop or go on reading; what the peer sends meanwhile piles up at its end."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if reads and not transport.is_reading():
            transport.resume_reading()
        elif not reads and transport.is_reading():
            transport.pause_reading()

    def close(self, close_code: int) -> None:
        """Start the closing handshake; `ended` is done 2 s later at the latest."""
        self.set_reading(reads=True)
        if self.is_open:
            self._protocol.send_close(close_code)
            self._flush()

    def abort(self) -> None:
        """Drop the connection without a word."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the handshake."""
        # Not isinstance: uvloop's transports do not derive from asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        request = self._protocol.connect()
        request.headers.update(self._headers)
        self._protocol.send_request(request)
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Hand every whole message to the handler."""
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Response):
                self._on_response(event)
            elif isinstance(event, Frame):
                self._on_frame(event)
        self._flush()

    def eof_received(self) -> None:
        """Note that the peer sends no more; the transport closes by itself."""
        self._note_eof()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Resolve both futures."""
        self._note_eof()
        if not self.opened.done():
            reason = f"connection lost in the handshake: {exc}"
            self.opened.set_exception(StreamConnectError(_HANDSHAKE, reason))
        if self._abort_timer is not None:
            self._abort_timer.cancel()
        if not self.ended.done():
            self.ended.set_result(self._end())

    def _end(self) -> SocketEnd:
        close_code = self._protocol.close_code or _NO_CLOSE_FRAME
        if self._protocol.parser_exc is not None and not self._lost_midway():
            return SocketEnd(close_code, _PROTOCOL_ERROR)
        broken = close_code == _NO_CLOSE_FRAME
        return SocketEnd(close_code, _CLOSE_ERROR if broken else 0)

    def _lost_midway(self) -> bool:
        """Return whether the stream merely stopped, which is no fault of its bytes."""
        return isinstance(self._protocol.parser_exc, EOFError)

    def _on_response(self, response: Response) -> None:
        if self.opened.done():
            return
        if self._protocol.handshake_exc is None:
            self.opened.set_result(None)
        else:
            reason = f"handshake answered {response.status_code}"
            self.opened.set_exception(StreamConnectError(_HANDSHAKE, reason))

    def _on_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE and self.closed_at is None:
            self.closed_at = monotonic_s()
        if frame.opcode not in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
            return
        if frame.opcode is not Opcode.CONT:
            self._is_text = frame.opcode is Opcode.TEXT
        self._parts.append(bytes(frame.data))
        if frame.fin:
            message = b"".join(self._parts)
            self._parts.clear()
            self._on_message(message, self._is_text)

    def _note_eof(self) -> None:
        if not self._got_eof:
            self._got_eof = True
            self._protocol.receive_eof()

    def _flush(self) -> None:
        transport = self._transport
        for data in self._protocol.data_to_send():
            if transport is None or transport.is_closing():
                continue
            if data:
                transport.write(data)
            else:
                transport.close()
        if self._protocol.state is State.CLOSING and self._abort_timer is None:
            loop = asyncio.get_running_loop()
            self._abort_timer = loop.call_later(_CLOSE_TIMEOUT_S, self.abort)


async def open_media_socket(
    url: str,
    headers: Mapping[str, str],
    on_message: MessageHandler,
    *,
    ssl_context: ssl.SSLContext | None,
    timeout_s: float,
    reads_slowly: bool = False,
) -> MediaSocket:
    """Open a Media Stream socket without compression.

    One that *reads_slowly* takes little that is not read at once.

    Raises:
        StreamConnectError: It could not be opened within *timeout_s* seconds.
    """
    uri = parse_uri(url)
    media = MediaSocket(url, headers, on_message)
    loop = asyncio.get_running_loop()
    context = (ssl_context or ssl.create_default_context()) if uri.secure else None
    try:
        async with asyncio.timeout(timeout_s):
            tcp = await _connect(uri.host, uri.port, small_buffer=reads_slowly)
            name = uri.host if context is not None else None
            await loop.create_connection(
                lambda: media, sock=tcp, ssl=context, server_hostname=name
            )
            await media.opened
    except TimeoutError:
        raise StreamConnectError(
            _CONNECT_TIMEOUT, f"not open after {timeout_s:g} s"
        ) from None
    except ssl.SSLError as exc:
        raise StreamConnectError(_TLS, str(exc)) from None
    except OSError as exc:
        raise StreamConnectError(_REFUSED, str(exc)) from None
    finally:
        if (
            not media.opened.done()
            or media.opened.cancelled()
            or media.opened.exception() is not None
        ):
            media.abort()
    return media


async def _connect(host: str, port: int, *, small_buffer: bool) -> socket.socket:
    """Return a TCP socket connected to the first address of *host* that answers.

    Raises:
        OSError: None does.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    *others, last = found
    for family, _, _, _, address in others:
        with contextlib.suppress(OSError):
            return await _connect_to(family, address, small_buffer=small_buffer)
    return await _connect_to(last[0], last[4], small_buffer=small_buffer)


async def _connect_to(
    family: int, address: _Address, *, small_buffer: bool
) -> socket.socket:
    tcp = socket.socket(family, socket.SOCK_STREAM)
    try:
        tcp.setblocking(False)
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if small_buffer:
            # Before connecting: the window that was offered cannot be taken back.
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SLOW_BUFFER_BYTES)
        await asyncio.get_running_loop().sock_connect(tcp, address)
    except BaseException:
        tcp.close()
        raise
    return tcp
