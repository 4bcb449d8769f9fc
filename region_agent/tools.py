"""Calls the functions that profiles declare, over connections that are open already."""

import asyncio
import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import httpcore2
import orjson
import structlog

from backhaul.clock import monotonic_s
from backhaul.core.backoff import Backoff
from backhaul.core.profile import Profile
from backhaul.core.warm_pool_events import WarmPoolConfig
from backhaul.errors import (
    EndpointRefusedError,
    EndpointUnreachableError,
    SettingsError,
)
from backhaul.tasks import TaskOwner
from region_agent.guarded_network import Endpoint, GuardedNetwork
from region_agent.tool_arguments import InvalidArgumentsError
from region_agent.tool_connections import TURNS, AnswerTooLargeError, ToolConnections
from region_agent.tool_function import (
    ToolFailedError,
    ToolFunction,
    ToolOutcome,
    ToolRequest,
    failure_of,
    output_of,
    prepare,
)

__all__ = [
    "DURATION_BOUNDS_S",
    "ToolCounters",
    "ToolOutcome",
    "ToolRequest",
    "ToolResult",
    "Tools",
]

DURATION_BOUNDS_S: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of `ToolCounters.durations`; the last bucket has none."""

_ATTEMPTS: Final = 2
_LAST_CALLS_S: Final = 5.0
"""So long calls under way may still take when the agent stops (s)."""
_RETRY = Backoff(first_s=0.2)
_OPEN_AGAIN = Backoff(first_s=0.2, max_s=30.0)

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What became of a function call."""

    output: str = field(repr=False)
    """For the model: the endpoint's own text, or JSON with an ``error``."""
    outcome: ToolOutcome
    duration_s: float
    """From the call to its result, all attempts included (s)."""
    attempts: int
    """Requests made; 0 when nothing was sent."""


@dataclass(slots=True)
class ToolCounters:
    """What has been called since the agent started."""

    calls: Counter[tuple[str, str, str]] = field(
        default_factory=Counter[tuple[str, str, str]]
    )
    """By profile, tool and outcome; a tool that does not exist is named ``""``."""
    retries: int = 0
    durations: Counter[int] = field(default_factory=Counter[int])
    """By index into `DURATION_BOUNDS_S`; calls that were sent only."""
    duration_sum_s: float = 0.0


@dataclass(slots=True)
class _Call:
    function: ToolFunction
    request: httpcore2.Request
    attempts: int = 0


class Tools:
    """Every function of every profile, and warm connections to their endpoints.

    Args:
        profiles: By name.
        environ: Where ``${NAME}`` in headers comes from.
        rng: Spreads retries and replacements.
        network: Opens connections; stands in for one with the system's resolver.

    Raises:
        SettingsError: With one line per tool's header or schema that cannot be used.
    """

    def __init__(
        self,
        profiles: Mapping[str, Profile],
        *,
        environ: Mapping[str, str],
        rng: random.Random,
        network: GuardedNetwork | None = None,
    ) -> None:
        self.counters = ToolCounters()
        self._rng = rng
        self._functions = _prepared(profiles, environ)
        self._connections = self._pools(network) if self._functions else {}
        self._calls = TaskOwner()

    @property
    def connections(self) -> tuple[ToolConnections, ...]:
        """The connections to each endpoint, for metrics."""
        return tuple(self._connections.values())

    def start(self) -> None:
        """Begin to open connections; needs a running event loop."""
        for connections in self._connections.values():
            connections.start()

    async def aclose(self) -> None:
        """Let what was begun end, within limits, and cut every connection."""
        await self._calls.wait_idle(_LAST_CALLS_S)
        for connections in self._connections.values():
            await connections.aclose()
        # Cut off, a call fails, and somebody is told.
        await self._calls.wait_idle(_LAST_CALLS_S)
        await self._calls.aclose()

    def begin(self, request: ToolRequest, told: Callable[[ToolResult], None]) -> None:
        """Call a function in the background; *told* learns what came of it."""
        self._calls.spawn(self._serve(request, told), name=f"tool:{request.call_id}")

    async def _serve(
        self, request: ToolRequest, told: Callable[[ToolResult], None]
    ) -> None:
        told(await self.call(request))

    async def call(self, request: ToolRequest) -> ToolResult:
        """Return what became of *request*; whatever goes wrong is a result too.

        It takes at most two timeouts of the tool and a fraction of a second.
        """
        began = monotonic_s()
        call: _Call | None = None
        reason: str | None = None
        try:
            call = self._prepare(request)
            output, outcome = await self._run(call), ToolOutcome.OK
        except ToolFailedError as exc:
            output = orjson.dumps({"error": exc.message}).decode()
            outcome, reason = exc.outcome, exc.reason
        attempts = call.attempts if call else 0
        result = ToolResult(output, outcome, monotonic_s() - began, attempts)
        self._count(request, result, reason)
        return result

    def _prepare(self, request: ToolRequest) -> _Call:
        function = self._functions.get((request.profile, request.name))
        if function is None:
            message = "There is no tool of this name."
            raise ToolFailedError(ToolOutcome.UNKNOWN_TOOL, message)
        try:
            return _Call(function, function.request(request))
        except InvalidArgumentsError as exc:
            message = f"The arguments do not fit, nothing was done. {exc}"
            raise ToolFailedError(ToolOutcome.BAD_ARGUMENTS, message) from None

    async def _run(self, call: _Call) -> str:
        while True:
            call.attempts += 1
            try:
                return await self._attempt(call)
            except ToolFailedError as exc:
                if not exc.retryable or call.attempts == _ATTEMPTS:
                    raise
            self.counters.retries += 1
            await asyncio.sleep(_RETRY.wait_s(call.attempts, rng=self._rng))

    async def _attempt(self, call: _Call) -> str:
        tool, endpoint = call.function.tool, call.function.endpoint
        try:
            async with asyncio.timeout(tool.timeout_s):
                answer = await self._connections[endpoint].exchange(
                    call.request, max_bytes=tool.max_result_bytes
                )
        except TimeoutError:
            message = "The tool did not answer in time."
            raise ToolFailedError(
                ToolOutcome.TIMEOUT, message, retryable=True
            ) from None
        except (EndpointRefusedError, EndpointUnreachableError) as exc:
            refused = isinstance(exc, EndpointRefusedError)
            raise ToolFailedError(
                ToolOutcome.REFUSED_ADDRESS if refused else ToolOutcome.UNREACHABLE,
                "The tool cannot be reached.",
                retryable=exc.retryable,
                reason=str(exc),
            ) from None
        except AnswerTooLargeError as exc:
            raise _too_large(exc.status) from None
        return output_of(answer)

    def _count(
        self, request: ToolRequest, result: ToolResult, reason: str | None
    ) -> None:
        known = (request.profile, request.name) in self._functions
        tool = request.name if known else ""
        self.counters.calls[request.profile, tool, result.outcome.value] += 1
        if result.attempts:
            bucket = bisect_left(DURATION_BOUNDS_S, result.duration_s)
            self.counters.durations[bucket] += 1
            self.counters.duration_sum_s += result.duration_s
        if result.outcome is not ToolOutcome.OK:
            _log.warning(
                "tool.failed",
                call_sid=request.call_sid,
                profile=request.profile,
                tool=tool,
                outcome=result.outcome.value,
                reason=reason,
                attempts=result.attempts,
                duration_s=round(result.duration_s, 3),
            )

    def _pools(self, network: GuardedNetwork | None) -> dict[Endpoint, ToolConnections]:
        network = network or GuardedNetwork()
        floors: dict[Endpoint, int] = {}
        for function in self._functions.values():
            floor = max(
                floors.get(function.endpoint, 0), function.tool.warm_connections
            )
            floors[function.endpoint] = floor
        return {
            endpoint: ToolConnections(
                endpoint,
                config=_pool_config(floor),
                network=network,
                rng=self._rng,
            )
            for endpoint, floor in floors.items()
        }


def _pool_config(floor: int) -> WarmPoolConfig:
    # Room for every request that has its turn, and for those that end or begin.
    return WarmPoolConfig(
        floor=floor, max_connections=TURNS + 2 * floor, backoff=_OPEN_AGAIN
    )


def _prepared(
    profiles: Mapping[str, Profile], environ: Mapping[str, str]
) -> dict[tuple[str, str], ToolFunction]:
    functions: dict[tuple[str, str], ToolFunction] = {}
    problems: list[str] = []
    for name, profile in profiles.items():
        for tool in profile.tools:
            function, found = prepare(tool, environ)
            problems += [f"profiles.{name}.tools.{tool.name}.{line}" for line in found]
            if function is not None:
                functions[name, tool.name] = function
    if problems:
        raise SettingsError(tuple(problems))
    return functions


def _too_large(status: int) -> ToolFailedError:
    if not 200 <= status < 300:  # noqa: PLR2004 - 2xx
        return failure_of(status)
    message = "The tool's answer was too long."
    return ToolFailedError(ToolOutcome.TOO_LARGE, message)
