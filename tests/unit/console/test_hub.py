"""What browsers are told."""

import json

from console.hub import Hub, Viewer, source_event
from console.sources import Source

EDGE = Source("edge-1", "http://127.0.0.1:1", "token")


def told(events: bytes) -> list[tuple[str, object]]:
    found = []
    for event in events.decode().split("\n\n")[:-1]:
        name, data = event.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data[6:])))
    return found


async def test_what_a_source_says_goes_on_as_it_is() -> None:
    hub, viewer = Hub(), Viewer()
    hub.add(viewer)
    hub.on_snapshot(EDGE, b'{"kind":"edge"}')
    hub.on_lost(EDGE)
    assert told(await viewer.next()) == [
        ("snapshot", {"key": "edge-1", "said": {"kind": "edge"}}),
        ("lost", {"key": "edge-1", "said": None}),
    ]


async def test_who_has_left_is_told_nothing() -> None:
    hub, viewer = Hub(), Viewer()
    hub.add(viewer)
    hub.remove(viewer)
    assert len(hub) == 0
    hub.on_lost(EDGE)
    viewer.close()
    assert await viewer.next() == b""


async def test_who_reads_too_slowly_is_sent_away() -> None:
    hub, viewer = Hub(), Viewer()
    hub.add(viewer)
    for _ in range(600):
        hub.on_snapshot(EDGE, b"{}")
    assert await viewer.next() == b""


async def test_a_console_that_ends_sends_everybody_away() -> None:
    hub, idle, full = Hub(), Viewer(), Viewer()
    hub.add(idle)
    hub.add(full)
    for _ in range(512):
        full.put(source_event("snapshot", "edge-1", b"{}"))
    hub.close()
    assert await idle.next() == b""
    assert await full.next() == b""


async def test_what_waits_before_the_end_is_still_told() -> None:
    viewer = Viewer()
    viewer.put(source_event("lost", "edge-1", b"null"))
    viewer.close()
    assert told(await viewer.next()) == [("lost", {"key": "edge-1", "said": None})]
