"""What does it cost a webhook to know where the caller is, and to seal a ticket?

Everything measured here runs on the event loop, between two media frames of other
calls. ``--database`` names an .mmdb; without it the bench takes the real one of the
development package ``maxminddb-geolite2``, or writes a small one.
"""

import argparse
import asyncio
import importlib.util
import json
import random
import tempfile
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from time import perf_counter_ns

from mmdb_writer import MMDBWriter
from netaddr import IPSet

from edge.caller_number import load_numbering_plans, place_of_number
from edge.core.caller_place import CallerPlace, PlaceSource
from edge.core.edge_choice import EdgeOption, choose_edge
from edge.core.geography import Point
from edge.core.twilio_places import TWILIO_EDGES
from edge.geo_database import GeoDatabase
from edge.tickets import Ticket, Tickets

NOW = 1_790_000_000.0
NUMBERS = ("+14155550123", "+493012345678", "+6561234567", "+5511912345678", "client:a")


Row = dict[str, object]


def measure(name: str, run: Callable[[object], object], on: Iterable[object]) -> Row:
    """Return what one call of *run* takes (us), over the items of *on*."""
    taken: list[float] = []
    for item in on:
        begun = perf_counter_ns()
        run(item)
        taken.append((perf_counter_ns() - begun) / 1000)
    taken.sort()
    last = len(taken) - 1
    p50, p99 = taken[last // 2], taken[int(last * 0.99)]
    return {"name": name, "p50_us": round(p50, 1), "p99_us": round(p99, 1)}


def public_database() -> Path | None:
    """Return the development package's database."""
    found = importlib.util.find_spec("_maxminddb_geolite2")
    if found is None or found.origin is None:
        return None
    return Path(found.origin).with_name("GeoLite2-City.mmdb")


def small_database(directory: Path) -> Path:
    """Write a database of a few networks."""
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type="Small-City")
    location = {"latitude": 52.5, "longitude": 13.4, "accuracy_radius": 20}
    entry = {"country": {"iso_code": "DE"}, "location": location}
    writer.insert_network(IPSet(["81.0.0.0/8"]), entry)
    path = directory / "small.mmdb"
    writer.to_db_file(str(path))
    return path


def addresses(count: int) -> list[str]:
    """Return public addresses, the same in every run."""
    rng = random.Random(1)  # noqa: S311 - spreads look-ups, keeps no secret
    return [
        f"{rng.randint(11, 99)}.{rng.randint(0, 255)}.{rng.randint(0, 255)}.1"
        for _ in range(count)
    ]


async def longest_pause_ms(work: Awaitable[object]) -> float:
    """Return for how long the loop did not turn while *work* went on (ms)."""
    task = asyncio.ensure_future(work)  # noqa: TID251 - a bench owns its one task
    longest, last = 0, perf_counter_ns()
    while not task.done():
        await asyncio.sleep(0)
        now = perf_counter_ns()
        longest, last = max(longest, now - last), now
    return longest / 1e6


async def lookups(path: Path, count: int) -> list[Row]:
    """Measure a database: to load it, and to look addresses up."""
    database = GeoDatabase(path, check_every_s=3600)
    begun = perf_counter_ns()
    await database.start()
    loaded_ms = (perf_counter_ns() - begun) / 1e6
    size_mb = path.stat().st_size / 1e6  # noqa: ASYNC240 - nothing else runs here
    given = addresses(count)
    rows: list[Row] = [
        {"name": f"load {path.name}", "ms": round(loaded_ms, 1)},
        {"name": f"size of {path.name}", "mb": round(size_mb, 1)},
        measure(
            "address, first look-up", lambda one: database.look_up(str(one)), given
        ),
        measure("address, again", lambda one: database.look_up(str(one)), given),
    ]
    database._seen = None  # noqa: SLF001 - as if the file had changed
    pause_ms = await longest_pause_ms(database._check())  # noqa: SLF001
    rows.append({"name": "swap: longest pause of the loop", "ms": round(pause_ms, 2)})
    await database.aclose()
    return rows


def numbers(count: int) -> list[Row]:
    """Measure numbers: to load the numbering plans, and to place callers."""
    begun = perf_counter_ns()
    load_numbering_plans()
    loaded_ms = (perf_counter_ns() - begun) / 1e6
    loaded: Row = {"name": "load numbering plans", "ms": round(loaded_ms, 1)}
    given = [NUMBERS[n % len(NUMBERS)] for n in range(count)]
    return [
        loaded,
        measure("number", lambda one: place_of_number(str(one)), given),
    ]


def choices(count: int) -> list[Row]:
    """Measure the choice among Twilio's own eight places."""
    options = [EdgeOption(name, edge.place) for name, edge in TWILIO_EDGES.items()]
    caller = CallerPlace(PlaceSource.NUMBER, 0.6, Point(41.0, -74.0))
    region = TWILIO_EDGES["ashburn"].place

    def choose(_: object) -> object:
        return choose_edge(options[0], options[1:], region=region, caller=caller)

    return [measure("choice among 8 edges", choose, range(count))]


def sealing(count: int) -> list[Row]:
    """Measure tickets."""
    ours, theirs = (
        Tickets(("1" * 32,), edge="a"),
        Tickets(("0" * 32, "1" * 32), edge="b"),
    )
    ticket = Ticket(
        call_sid="CA" + "7" * 32,
        profile="front-desk",
        lease_id="edge-frankfurt-4711",
        instance="0123456789abcdef",
        warm=True,
        epoch=1,
        caller="+14155550123",
        called="+14155550100",
        over_sip=False,
        traceparent=f"00-{1:032x}-{2:016x}-01",
        answered_by="edge-frankfurt",
        answered_unix_s=NOW,
        leased_s=0.012,
        expires_unix_s=NOW + 30,
        place_source=PlaceSource.NUMBER,
        place_confidence=0.6,
        country="US",
        state="US-CA",
    )
    sealed: list[str] = []

    def seal(_: object) -> None:
        sealed.append(ours.seal(ticket, edge="b") or "")

    return [
        measure("seal a ticket", seal, range(count)),
        measure(
            "redeem a ticket, second key",
            lambda text: theirs.redeem(str(text), now=NOW),
            sealed,
        ),
        {"name": "length of a ticket", "characters": len(sealed[0])},
    ]


def main() -> None:
    """Print a line for each question, or one JSON object with all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", type=Path)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        path = chosen.database or public_database() or small_database(Path(directory))
        rows = asyncio.run(lookups(path, chosen.count))
    rows += [*numbers(chosen.count), *choices(chosen.count), *sealing(chosen.count)]
    if chosen.json:
        print(json.dumps(rows))
        return
    for row in rows:
        name, *figures = row.items()
        shown = "   ".join(f"{key} {value:>7}" for key, value in figures)
        print(f"{name[1]:32} {shown}")


if __name__ == "__main__":
    main()
