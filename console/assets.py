"""The page's own files, read once, compressed once."""

import gzip
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

__all__ = ["Asset", "load_assets"]

_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "svg": "image/svg+xml",
}
"""What is served; licences lie beside it for those who read the source."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One file."""

    content: bytes
    compressed: bytes
    """With gzip."""
    media_type: str
    etag: str


def load_assets() -> dict[str, Asset]:
    """Return every file of the page by its path, as in ``vendor/uplot.min.js``."""
    return dict(_walk(files("console") / "static", ""))


def _walk(directory: Traversable, prefix: str) -> list[tuple[str, Asset]]:
    found: list[tuple[str, Asset]] = []
    for entry in directory.iterdir():
        name = prefix + entry.name
        if entry.is_dir():
            found += _walk(entry, f"{name}/")
        elif media_type := _TYPES.get(name.rpartition(".")[2]):
            found.append((name, _asset(entry.read_bytes(), media_type)))
    return found


def _asset(content: bytes, media_type: str) -> Asset:
    etag = hashlib.sha256(content).hexdigest()[:24]
    return Asset(content, gzip.compress(content, mtime=0), media_type, etag)
