"""Which agents of a large region an edge keeps links to."""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

__all__ = ["choose_subset"]

_DIGEST_BYTES: Final = 8
_SEPARATOR: Final = b"\0"


def choose_subset(
    edge_name: str, addresses: Iterable[str], *, size: int
) -> tuple[str, ...]:
    """Return the at most *size* addresses that *edge_name* keeps links to, best first.

    Every pair of edge and address has a fixed score, and the highest win. So no edge
    needs to know of others, each agent is chosen by about as many edges as any other,
    and an agent that comes or goes changes one place in some subsets and none in the
    rest. The order of *addresses* does not matter.

    Source: D. Thaler, C. Ravishankar, "Using Name-Based Mappings to Increase Hit
    Rates" (rendezvous hashing).
    """
    ranked = sorted(set(addresses), key=lambda one: (_score(edge_name, one), one))
    return tuple(reversed(ranked[-size:])) if size > 0 else ()


def _score(edge_name: str, address: str) -> bytes:
    key = edge_name.encode() + _SEPARATOR + address.encode()
    return blake2b(key, digest_size=_DIGEST_BYTES).digest()
