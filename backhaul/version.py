"""Which version runs here; read once, for it is read from disk."""

from importlib.metadata import version
from typing import Final

__all__ = ["VERSION"]

VERSION: Final = version("warmline")
