"""Fragmented messages: joined within bounds, refused beyond them."""

import pytest

from backhaul.core.fragments import MessageAssembler
from backhaul.errors import RemoteProtocolError


def assembler() -> MessageAssembler:
    return MessageAssembler(max_bytes=10, max_fragments=3)


def test_a_whole_message_passes_through() -> None:
    assert assembler().add(b"0123456789", first=True, final=True) == b"0123456789"


def test_fragments_are_joined() -> None:
    parts = assembler()
    assert parts.add(b"ab", first=True, final=False) is None
    assert parts.add(b"cd", first=False, final=False) is None
    assert parts.add(b"ef", first=False, final=True) == b"abcdef"
    assert parts.add(b"again", first=True, final=True) == b"again"


def test_a_message_beyond_the_limit_is_refused_whole_or_in_parts() -> None:
    with pytest.raises(RemoteProtocolError):
        assembler().add(b"0123456789x", first=True, final=True)
    parts = assembler()
    parts.add(b"01234567", first=True, final=False)
    with pytest.raises(RemoteProtocolError):
        parts.add(b"89x", first=False, final=False)


def test_too_many_fragments_are_refused() -> None:
    parts = assembler()
    parts.add(b"", first=True, final=False)
    parts.add(b"", first=False, final=False)
    parts.add(b"", first=False, final=False)
    with pytest.raises(RemoteProtocolError):
        parts.add(b"", first=False, final=False)


@pytest.mark.parametrize("first", [True, False])
def test_mixed_messages_are_refused(*, first: bool) -> None:
    parts = assembler()
    if first:
        parts.add(b"a", first=True, final=False)
    with pytest.raises(RemoteProtocolError):
        parts.add(b"b", first=first, final=True)
