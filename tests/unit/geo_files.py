"""Databases of addresses for tests, written by `mmdb-writer`."""

from pathlib import Path
from typing import Any

from mmdb_writer import MMDBWriter
from netaddr import IPSet

BERLIN = {
    "country": {"iso_code": "DE"},
    "subdivisions": [{"iso_code": "BE"}],
    "location": {"latitude": 52.5, "longitude": 13.4, "accuracy_radius": 20},
}
TOKYO = {
    "country": {"iso_code": "JP"},
    "location": {"latitude": 35.7, "longitude": 139.7, "accuracy_radius": 200},
}


def write_database(
    path: Path, entries: dict[str, Any], *, kind: str = "Test-City", version: int = 6
) -> None:
    """Write a database at *path*: network -> entry."""
    writer = MMDBWriter(
        ip_version=version, ipv4_compatible=version == 6, database_type=kind
    )
    for network, entry in entries.items():
        writer.insert_network(IPSet([network]), entry)
    temporary = path.with_suffix(".new")
    writer.to_db_file(str(temporary))
    temporary.replace(path)
