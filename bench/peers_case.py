"""One case of `peers.py`: starts everything, lets it talk, adds up what was seen."""

import asyncio
import contextlib
import json
import shutil
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

from peers_audio import match_pulses
from peers_bed import Bed, FailedRunError, MissingPeerError, Running
from peers_processes import Cost, cost_of
from peers_share import hold_to_share
from peers_speed import unit_us
from peers_systems import System

from backhaul.clock import monotonic_s
from lab.figures import percentile

__all__ = ["Case", "measure"]

_HERE: Final = Path(__file__).parent
_PATIENCE_S: Final = 120.0
_IDLE_S: Final = 2.0
"""How long a system is looked at without calls."""
_SETTLE_S: Final = 2.0
_DRAIN_S: Final = 1.0
_LOSS_PERCENT: Final = 1.0
"""A call that loses more is not carried."""
_BUSY: Final = 0.6
"""How busy a core may be with calls; the rest is for bursts, and for neighbours."""
_SAMPLES_PER_S: Final = 100


@dataclass(frozen=True, slots=True)
class Case:
    """What is measured at a time."""

    system: System
    tls: bool
    calls: int
    seconds: float
    carriers: int
    calls_per_s: float
    regions: int = 1
    agents: int = 1
    profiles: Path | None = None
    """Where py-spy's samples of the system's processes go."""
    cores_each: float | None = None
    """What each process of the system may use of a core; None: all there is."""

    def bed(self, directory: Path, model_port: int = 0) -> Bed:
        """Return where the system is put."""
        return Bed(
            directory, model_port, self.tls, self.calls, self.regions, self.agents
        )


class End:
    """A carrier or the model: a process that takes its orders from us."""

    def __init__(self, process: Process, out: Path) -> None:
        self.pid = process.pid
        self._process = process
        self._out = out

    async def says(self) -> dict[str, Any]:
        """Return the next thing it prints.

        Raises:
            FailedRunError: If nothing comes.
        """
        assert self._process.stdout is not None  # noqa: S101 - narrows the type
        try:
            async with asyncio.timeout(_PATIENCE_S):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise FailedRunError("an end of the calls says nothing") from None
        if not line:
            raise FailedRunError("an end of the calls broke off")
        found: dict[str, Any] = json.loads(line)
        return found

    def set_window(self, from_s: float, until_s: float) -> None:
        """Name the time whose audio counts."""
        assert self._process.stdin is not None  # noqa: S101 - narrows the type
        order = json.dumps({"window": [from_s, until_s]})
        self._process.stdin.write(order.encode() + b"\n")

    async def figures(self) -> dict[str, Any]:
        """End it; return what it measured."""
        await self.aclose()
        found: dict[str, Any] = json.loads(self._out.read_text())
        return found

    async def aclose(self) -> None:
        """End it."""
        assert self._process.stdin is not None  # noqa: S101 - narrows the type
        self._process.stdin.close()
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._process.wait()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            raise


@asynccontextmanager
async def start_end(
    script: str, orders: dict[str, Any], out: Path
) -> AsyncIterator[End]:
    """Start a carrier or the model; it ends when its standard input does."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(_HERE / script),
        json.dumps({**orders, "out": str(out)}),
        stdin=PIPE,
        stdout=PIPE,
    )
    end = End(process, out)
    try:
        yield end
    finally:
        await end.aclose()


async def measure(case: Case, directory: Path) -> dict[str, Any]:
    """Return the figures of one case.

    Raises:
        MissingPeerError: If the system cannot be had.
        FailedRunError: If a part of the run broke off.
    """
    bed = case.bed(directory)
    bed.make_certificates()
    orders: dict[str, Any] = {"voice": case.system.voice}
    if case.tls:
        files = bed.files
        orders |= {"certificate": str(files.certificate), "key": str(files.key)}
    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(
            start_end("peers_model.py", orders, directory / "model.json")
        )
        port = (await model.says())["port"]
        bed = case.bed(directory, port)
        running = await stack.enter_async_context(case.system.start(bed))
        if case.cores_each is not None:
            pids = chain.from_iterable(running.roles.values())
            stack.enter_context(hold_to_share(case.cores_each, pids))
        began = cost_of(running.roles)
        await asyncio.sleep(_IDLE_S)
        idle = cost_of(running.roles)
        carriers = [
            await stack.enter_async_context(
                start_end("peers_carrier.py", one, directory / f"carrier-{n}.json")
            )
            for n, one in enumerate(carrier_orders(case, bed, running))
        ]
        for carrier in carriers:
            await carrier.says()
        await asyncio.sleep(_SETTLE_S)
        idle_ms = {
            role: (idle[role].cpu_s - began[role].cpu_s) / _IDLE_S * 1000
            for role in running.roles
        }
        row = await talk(case, running, idle, model, carriers)
        return row | {"idle_cpu_ms_per_second": by_role(idle_ms, 1, 1)}


def carrier_orders(case: Case, bed: Bed, running: Running) -> list[dict[str, Any]]:
    """Return the orders of each carrier."""
    count = 1 if case.system.voice == "pulses" else min(case.carriers, case.calls)
    shares = [case.calls // count + (n < case.calls % count) for n in range(count)]
    return [
        {
            "calls": share,
            "url": running.url,
            "voice": case.system.voice,
            "calls_per_s": case.calls_per_s / count,
            "auth_token": running.auth_token,
            "account_sid": running.account_sid,
            "ca": str(bed.files.ca) if case.tls else "",
        }
        for share in shares
    ]


async def talk(
    case: Case,
    running: Running,
    idle: dict[str, Cost],
    model: End,
    carriers: Sequence[End],
) -> dict[str, Any]:
    """Measure while everybody talks."""
    watched = {**running.roles, "model": (model.pid,)}
    watched |= {f"carrier-{n}": (one.pid,) for n, one in enumerate(carriers)}
    from_s = monotonic_s() + 0.2
    until_s = from_s + case.seconds
    for end in (model, *carriers):
        end.set_window(from_s, until_s)
    profilers = await start_profilers(case, running)
    await asyncio.sleep(from_s - monotonic_s())
    before, before_s = cost_of(watched), monotonic_s()
    pace_us = await unit_us(until_s)
    after, after_s = cost_of(watched), monotonic_s()
    await asyncio.sleep(_DRAIN_S)
    for profiler in profilers:
        await profiler.wait()
    called = [await carrier.figures() for carrier in carriers]
    heard = await model.figures()
    cores = {
        name: (after[name].cpu_s - before[name].cpu_s) / (after_s - before_s)
        for name in watched
    }
    grown = {role: after[role].rss_kb - idle[role].rss_kb for role in running.roles}
    found = row(case, cores, grown, heard, called)
    return found | {"machine_unit_us": pace_us}


async def start_profilers(case: Case, running: Running) -> list[Process]:
    """Sample the first process of each role while the window is open, if asked to.

    Processor time of such a run says nothing: being sampled costs time.
    """
    if case.profiles is None:
        return []
    case.profiles.mkdir(parents=True, exist_ok=True)
    found = []
    stem = f"{case.system.label}{'-tls' * case.tls}-{case.calls}"
    for role, pid in ((role, pids[0]) for role, pids in running.roles.items()):
        command = [
            _profiler(),
            *("record", "--format", "raw", "--native"),
            *("--pid", str(pid), "--output", str(case.profiles / f"{stem}-{role}.txt")),
            *("--rate", str(_SAMPLES_PER_S), "--duration", f"{case.seconds:.0f}"),
        ]
        process = await asyncio.create_subprocess_exec(*command, stdout=DEVNULL)
        found.append(process)
    return found


def _profiler() -> str:
    found = shutil.which("py-spy")
    if found is None:
        raise MissingPeerError("py-spy is not installed")
    return found


def row(
    case: Case,
    cores: dict[str, float],
    grown_kb: dict[str, float],
    heard: dict[str, Any],
    called: list[dict[str, Any]],
) -> dict[str, Any]:
    """Return all figures of a case."""
    calls = sum(one["calls"] - one["lost_calls"] for one in called)
    sent, up, down = delays_of(heard, called)
    first = [ms for one in called for ms in one["first_audio_ms"]]
    lost_percent = 100 * (1 - len(up) / sent) if sent else 100.0
    added = {f"p{rank}": percentile(up, rank) for rank in (50, 99)}
    answers = {f"p{rank}": percentile(down, rank) for rank in (50, 99)}
    carried = calls == case.calls and lost_percent < _LOSS_PERCENT
    cpu_ms = by_role(cores, calls, 1000)
    ends = ("model", *(name for name in cores if name.startswith("carrier")))
    return {
        "system": case.system.name,
        "transport": case.system.transport,
        "tls": case.tls,
        "calls": case.calls,
        "cpu_ms_per_call_second": cpu_ms,
        "calls_per_core": {
            role: _BUSY * 1000 / spent if spent else None
            for role, spent in cpu_ms.items()
        },
        "added_ms": added,
        "rss_kb_per_call": by_role(grown_kb, calls, 1),
        "back_ms": answers,
        "first_audio_ms": {f"p{rank}": percentile(first, rank) for rank in (50, 99)},
        "carried": carried,
        "failed_calls": case.calls - calls,
        "lost_percent": lost_percent,
        "failures": sorted({text for one in called for text in one["failed"]})[:3],
        "bench_cores": {name: cores[name] for name in ends},
        "carrier_late_p99_ms": max(one["late_p99_ms"] for one in called),
    }


def by_role(
    found: dict[str, float], calls: int, factor: float
) -> dict[str, float | None]:
    """Return figures per call of edge, agent and all of the system."""
    roles = [role for role in found if role != "model" and "carrier" not in role]
    share = factor / max(calls, 1)
    edge, agent = (found[r] * share if r in found else None for r in ("edge", "agent"))
    total = sum(found[role] for role in roles) * share
    return {"edge": edge, "agent": agent, "total": total}


def delays_of(
    heard: dict[str, Any], called: list[dict[str, Any]]
) -> tuple[int, list[float], list[float]]:
    """Return what callers sent (pieces), and delays to the model and back (ms)."""
    if "delays_ms" in heard:
        down = [delay for one in called for delay in one["delays_ms"]]
        return sum(one["sent"] for one in called), heard["delays_ms"], down
    (caller,) = called
    sent, up = match_pulses(caller["pulses_sent"], heard["pulses_heard"])
    return sent, up, match_pulses(heard["pulses_sent"], caller["pulses_heard"])[1]
