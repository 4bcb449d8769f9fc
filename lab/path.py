"""An emulated network path: two network namespaces and a relay of ours between them.

Kernel TCP and UDP really cross it, at any delay, loss or rate, changed while it runs::

    async with NetworkPath(delay_ms=40, loss=0.01) as path:
        server = await path.run_in("b", [sys.executable, "-m", "http.server"])
        await path.set(block_udp=True)             # both ways
        await path.set(towards="b", loss=1.0)      # a is not heard any more

It needs root. Processes are put into an end by `run_in`, sockets by `socket_in`.
"""

import asyncio
import contextlib
import shutil
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Self

import msgspec

from backhaul.child import start_child, stop_child
from lab.path_devices import ADDRESSES
from lab.path_namespaces import PathUnavailableError, inside, path_problem
from lab.path_report import Failed, LineReport, Order, PathReport, Ready, Side
from lab.path_rules import Conditions, changed

__all__ = ["LineReport", "NetworkPath", "PathReport", "PathUnavailableError", "Side"]

_START_TIMEOUT_S: Final = 60.0
_TIMEOUT_S: Final = 20.0
_STOP_GRACE_S: Final = 20.0
_MAX_ANSWER_BYTES: Final = 65536
_SENDER_TOWARDS: Final[dict[Side, Side]] = {"a": "b", "b": "a"}

_Answer = Ready | Failed | PathReport
_decoder: msgspec.json.Decoder[_Answer] = msgspec.json.Decoder(_Answer)


class NetworkPath:
    """A path between the ends ``a`` and ``b``, there while its context is entered."""

    addresses: Mapping[Side, str] = ADDRESSES
    """IPv4 address of each end; the same for every path, each being its own world."""

    def __init__(self, *, seed: int = 0, **conditions: float | bool | None) -> None:
        """Describe a path; entering it makes it.

        Args:
            seed: The same packets meet the same losses with the same seed.
            conditions: Fields of `Conditions`, for both directions.

        Raises:
            ValueError: If a condition is unknown or out of range.
        """
        first = changed(Conditions(), conditions)
        self._conditions: dict[Side, Conditions] = {"a": first, "b": first}
        self._seed = seed
        self._namespaces: dict[Side, str] = {}
        self._control: socket.socket
        self._relay: asyncio.subprocess.Process | None = None
        self._children: list[asyncio.subprocess.Process] = []
        self._orders = 0
        self._one_order = asyncio.Lock()

    async def __aenter__(self) -> Self:
        problem = path_problem()
        if problem is not None:
            raise PathUnavailableError(problem)
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setblocking(False)
        try:
            with theirs:
                self._relay = await self._start_relay(theirs.fileno())
            await self._await_ready()
            await self._order(self._conditions)
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()

    @property
    def namespaces(self) -> Mapping[Side, str]:
        """The network namespace of each end, for ``ip netns``; once entered."""
        return self._namespaces

    @property
    def relay_pid(self) -> int:
        """The process between the ends; 0 before the path is entered."""
        return 0 if self._relay is None else self._relay.pid

    async def set(
        self, *, towards: Side | None = None, **changes: float | bool | None
    ) -> None:
        """Change conditions from the next packet on.

        Args:
            towards: Only for what goes to this end; None: both ways.
            changes: Fields of `Conditions`; the others stay as they are.

        Raises:
            ValueError: If a field is unknown or its value out of range.
            PathUnavailableError: If the relay is gone.
        """
        new: dict[Side, Conditions] = {
            side: changed(conditions, changes)
            for side, conditions in self._conditions.items()
            if towards is None or side == _SENDER_TOWARDS[towards]
        }
        self._conditions |= new
        await self._order(new)

    async def report(self) -> PathReport:
        """Return what happened so far, by the end that packets left.

        Raises:
            PathUnavailableError: If the relay is gone.
        """
        return await self._order({})

    async def run_in(
        self,
        side: Side,
        arguments: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdout: int | None = asyncio.subprocess.DEVNULL,
        log_path: Path | None = None,
    ) -> asyncio.subprocess.Process:
        """Start a process at one end; it is stopped with the path, or with us.

        The arguments are those of `backhaul.child.start_child`.
        """
        program = shutil.which("ip") or "ip"
        process = await start_child(
            [program, "netns", "exec", self._namespaces[side], *arguments],
            env=env,
            stdout=stdout,
            log_path=log_path,
        )
        self._children.append(process)
        return process

    def socket_in(self, side: Side, kind: socket.SocketKind) -> socket.socket:
        """Return a new non-blocking IPv4 socket at one end; the caller closes it."""
        with inside(self._namespaces[side]):
            made = socket.socket(socket.AF_INET, kind)
        made.setblocking(False)
        return made

    async def _start_relay(self, control_fd: int) -> asyncio.subprocess.Process:
        return await start_child(
            [
                *(sys.executable, "-m", "lab.path_relay"),
                *("--control-fd", str(control_fd)),
                *("--seed", str(self._seed)),
            ],
            pass_fds=(control_fd,),
            tied=False,  # it ends with its control socket, after cleaning up
        )

    async def _await_ready(self) -> None:
        answer = await self._receive(_START_TIMEOUT_S)
        if isinstance(answer, Ready):
            self._namespaces = answer.namespaces
            return
        reason = answer.reason if isinstance(answer, Failed) else "no answer"
        raise PathUnavailableError(reason)

    async def _order(self, conditions: dict[Side, Conditions]) -> PathReport:
        self._orders += 1
        number = self._orders
        order = msgspec.json.encode(Order(number, conditions))
        async with self._one_order:
            try:
                await asyncio.get_running_loop().sock_sendall(self._control, order)
            except OSError as exc:
                raise PathUnavailableError(f"the relay is gone: {exc}") from None
            # An order that was given up may have left its answer.
            while isinstance(answer := await self._receive(_TIMEOUT_S), PathReport):
                if answer.number == number:
                    return answer
        raise PathUnavailableError("the relay did not answer")

    async def _receive(self, timeout_s: float) -> _Answer | None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                data = await loop.sock_recv(self._control, _MAX_ANSWER_BYTES)
        except (TimeoutError, OSError):
            return None
        return _decoder.decode(data) if data else None

    async def _end(self) -> None:
        for child in self._children:
            await stop_child(child, grace_s=_STOP_GRACE_S)
        self._control.close()  # the relay hears it, removes everything and ends
        if self._relay is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STOP_GRACE_S):
                    await self._relay.wait()
            await stop_child(self._relay, grace_s=_STOP_GRACE_S)
