"""Which of an edge's workers has a call: the same one, whoever is asked."""

from zlib import crc32

__all__ = ["owner_of"]


def owner_of(name: str, *, workers: int) -> int:
    """Return the number of the worker that *name*, a CallSid or a token, belongs to.

    Args:
        name: Evenly distributed; a stranger may have chosen it.
        workers: How many there are, >= 1.
    """
    return crc32(name.encode("utf-8", "replace")) % workers
