"""The operator's database of addresses (.mmdb), swapped when its file changes."""

import asyncio
import os
import re
import shutil
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any, Final

import structlog
from geoip2.database import Reader
from geoip2.errors import AddressNotFoundError
from maxminddb import MODE_MMAP, InvalidDatabaseError
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from backhaul.tasks import TaskOwner
from edge.core.caller_place import (
    Finding,
    NoPlace,
    PlaceSource,
    place_at_point,
    place_in_country,
)
from edge.core.geography import Point

__all__ = ["GeoDatabase", "GeoDatabaseCollector", "LoadOutcome"]

_MAX_BYTES: Final = 1 << 30
_PROBES: Final = ("1.1.1.1", "8.8.8.8", "81.2.69.142", "2001:4860:4860::8888")
"""Looked up before a database is used; what they are does not matter."""
_BROKEN: Final = (
    *(InvalidDatabaseError, struct.error),
    *(AttributeError, LookupError, RecursionError, TypeError, ValueError),
)
"""What geoip2 raises for files and entries that are not what they should be."""
_COUNTRY: Final = re.compile(r"[A-Z]{2}", re.ASCII)
_STATE: Final = re.compile(r"[A-Z0-9]{1,3}", re.ASCII)

_log = structlog.get_logger()


class LoadOutcome(StrEnum):
    """What became of a look at the database's file."""

    LOADED = "loaded"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    EMPTY = "empty"
    TOO_LARGE = "too_large"
    CORRUPT = "corrupt"
    WRONG_TYPE = "wrong_type"
    """It says nothing of places, such as one of networks' owners."""


class _UnusableError(Exception):
    def __init__(self, outcome: LoadOutcome, reason: str) -> None:
        super().__init__(reason)
        self.outcome, self.reason = outcome, reason


_Fingerprint = tuple[int, int, int]
"""When it was changed last, in content or in rights (ns), its size, and its inode."""


@dataclass(frozen=True, slots=True)
class _Database:
    reader: Reader
    find: Callable[[IPv4Address | IPv6Address], Any]
    """The method of *reader* for this type of database."""
    built_unix_s: float
    copy: int
    """File descriptor of the copy in memory; the memory is free once it is closed."""

    def look_up(self, address: IPv4Address | IPv6Address) -> Finding:
        """Return where *address* is; raises one of `_BROKEN` for a broken entry."""
        try:
            found = self.find(address)
        except AddressNotFoundError:
            return NoPlace.NOT_FOUND
        country = _checked(found.country.iso_code, _COUNTRY)
        location = getattr(found, "location", None)
        if location is not None and location.latitude is not None:
            state = _checked(found.subdivisions.most_specific.iso_code, _STATE)
            return place_at_point(
                Point(location.latitude, location.longitude),
                radius_km=location.accuracy_radius,
                country=country,
                state=f"{country}-{state}" if country and state else "",
            )
        if not country:
            return NoPlace.NOT_FOUND
        return place_in_country(PlaceSource.CLIENT_IP, country)


@dataclass(slots=True)
class GeoDatabase:
    """Looks addresses up; the file may appear, change, break and vanish meanwhile.

    The file is copied into memory and mapped from there. So a look-up never waits for
    a disk and may run on the event loop, and a file that is written over in place
    cannot tear the map that is being read, which would kill the process. So would some
    broken files, read by maxminddb's extension in C: the reader in Python is used.
    """

    path: Path
    check_every_s: float
    loads: dict[LoadOutcome, int] = field(
        default_factory=lambda: dict.fromkeys(LoadOutcome, 0)
    )
    """Changes of the file seen so far, by what became of them."""
    _database: _Database | None = None
    _seen: _Fingerprint | None = None
    _missing: bool = False
    _tasks: TaskOwner = field(default_factory=TaskOwner)

    @property
    def built_unix_s(self) -> float:
        """When the database in use was made (unix s); 0: there is none."""
        return self._database.built_unix_s if self._database else 0.0

    async def start(self) -> None:
        """Read the file, and look for changes from now on; no path: do nothing."""
        if self.path == Path():
            return
        await self._check()
        self._tasks.spawn(self._watch(), name="geo_database")

    async def aclose(self) -> None:
        """Look no more."""
        await self._tasks.aclose()
        await self._use(None)

    def look_up(self, address: str) -> Finding:
        """Return where *address* is, or why nobody knows. It takes microseconds."""
        if not address:
            return NoPlace.ABSENT
        try:
            parsed = ip_address(address)
        except ValueError:
            return NoPlace.MALFORMED
        if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        if not parsed.is_global:
            return NoPlace.NOT_PUBLIC
        if self._database is None:
            return NoPlace.NO_DATABASE
        try:
            return self._database.look_up(parsed)
        except _BROKEN:
            return NoPlace.DATABASE_BROKEN

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self.check_every_s)
            await self._check()

    async def _check(self) -> None:
        try:
            loaded = await asyncio.to_thread(_load, self.path, self._seen)
        except _UnusableError as exc:
            self._refuse(exc.outcome, exc.reason)
            return
        if loaded is None:
            return
        self._missing = False
        self._seen, found = loaded
        if isinstance(found, _UnusableError):
            self._refuse(found.outcome, found.reason)
            return
        await self._use(found)
        self.loads[LoadOutcome.LOADED] += 1
        _log.info("geo_database.loaded", built_unix_s=found.built_unix_s)

    def _refuse(self, outcome: LoadOutcome, reason: str) -> None:
        if outcome is LoadOutcome.MISSING:
            if self._missing:
                return  # said once is enough
            self._missing = True
            self._seen = None
        self.loads[outcome] += 1
        _log.error(
            "geo_database.refused",
            outcome=outcome.value,
            reason=reason,
            still_in_use=self._database is not None,
        )

    async def _use(self, database: _Database | None) -> None:
        # Look-ups run on this loop, each in one go: none is under way now.
        old, self._database = self._database, database
        if old is not None:
            old.reader.close()
            # To free so much memory takes tens of milliseconds.
            await asyncio.to_thread(os.close, old.copy)


def _load(
    path: Path, seen: _Fingerprint | None
) -> tuple[_Fingerprint, _Database | _UnusableError] | None:
    """Return the database in *path*, None if it is what was *seen* before.

    Raises:
        _UnusableError: If there is no file.
    """
    try:
        status = path.stat()
    except OSError as exc:
        raise _UnusableError(LoadOutcome.MISSING, str(exc.strerror)) from None
    fingerprint = (status.st_ctime_ns, status.st_size, status.st_ino)
    if fingerprint == seen:
        return None
    try:
        return fingerprint, _open(path, status.st_size)
    except _UnusableError as exc:
        return fingerprint, exc


def _open(path: Path, size: int) -> _Database:
    if not size:
        raise _UnusableError(LoadOutcome.EMPTY, "the file is empty")
    if size > _MAX_BYTES:
        raise _UnusableError(LoadOutcome.TOO_LARGE, f"more than {_MAX_BYTES} bytes")
    try:
        copy = os.memfd_create("geo_database")
    except OSError as exc:
        raise _UnusableError(LoadOutcome.UNREADABLE, f"no copy: {exc}") from None
    try:
        return _proven(_read(path, copy), copy)
    except _UnusableError:
        os.close(copy)
        raise


def _read(path: Path, copy: int) -> Reader:
    try:
        with path.open("rb") as source, os.fdopen(copy, "wb", closefd=False) as target:
            shutil.copyfileobj(source, target, 1 << 20)
        return Reader(f"/proc/self/fd/{copy}", mode=MODE_MMAP)
    except OSError as exc:
        reason = exc.strerror or "cannot be read"
        raise _UnusableError(LoadOutcome.UNREADABLE, reason) from None
    except _BROKEN as exc:
        raise _UnusableError(LoadOutcome.CORRUPT, str(exc)) from None


def _proven(reader: Reader, copy: int) -> _Database:
    metadata = reader.metadata()
    kind = metadata.database_type
    methods = {
        "City": reader.city,
        "Country": reader.country,
        "Enterprise": reader.enterprise,
    }
    find = next((method for name, method in methods.items() if name in kind), None)
    if find is None:
        raise _UnusableError(LoadOutcome.WRONG_TYPE, f"type {kind[:64]!r}")
    database = _Database(reader, find, float(metadata.build_epoch), copy)
    try:
        for probe in _PROBES:
            address = ip_address(probe)
            if address.version <= metadata.ip_version:
                database.look_up(address)
    except _BROKEN as exc:
        raise _UnusableError(LoadOutcome.CORRUPT, str(exc)) from None
    return database


def _checked(code: str | None, form: re.Pattern[str]) -> str:
    """Return *code* if it has the right form; anything else is none at all."""
    return code if code is not None and form.fullmatch(code) else ""


class GeoDatabaseCollector(Collector):
    """Prometheus metrics of the database of addresses."""

    def __init__(self, database: GeoDatabase) -> None:
        self._database = database

    def collect(self) -> Iterator[Metric]:
        """Return the present state as metric families."""
        loads = CounterMetricFamily(
            "edge_geo_database_loads",
            "Changes of the database of addresses seen, by what became of them.",
            labels=["outcome"],
        )
        for outcome, count in self._database.loads.items():
            loads.add_metric([outcome.value], count)
        yield loads
        yield GaugeMetricFamily(
            "edge_geo_database_built_timestamp_seconds",
            "When the database in use was made (unix time); 0: there is none.",
            self._database.built_unix_s,
        )
