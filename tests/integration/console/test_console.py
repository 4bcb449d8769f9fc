"""The console over real sockets: logins, streams, calls, orders and the telephone."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry

from backhaul.admin import admin_application
from backhaul.http import HttpListener
from backhaul.live import LiveView
from backhaul.news import News
from backhaul.settings import Secret
from console.abilities import Earpiece, PhoneOrder, PhoneProblemError, Voice
from console.server import Console
from console.settings import ConsoleSettings
from console.sources import Source

TOKEN = "the token of the console"
ADMIN = "the token of the edge"
SID = "CA" + "0" * 32
LONG_S = 30.0


@dataclass
class FakePhone:
    """Repeats what it hears, until either side has had enough."""

    orders: list[PhoneOrder] = field(default_factory=list)

    def offers(self) -> Mapping[str, Any]:
        return {"edges": ["edge-1"], "numbers": []}

    async def call(
        self, order: PhoneOrder, voice: Voice, earpiece: Earpiece
    ) -> Mapping[str, Any]:
        self.orders.append(order)
        if order.edge != "edge-1":
            raise PhoneProblemError("there is no such edge")
        earpiece.on_call(SID)
        pressed = ""
        while not voice.has_hung_up:
            earpiece.on_audio(voice.frame())
            pressed += voice.digits()
            await asyncio.sleep(0.005)
        return {"pressed": pressed + voice.digits()}


@dataclass
class FakeBreaker:
    done: list[tuple[str, str]] = field(default_factory=list)

    def offers(self) -> Sequence[Mapping[str, Any]]:
        return [{"target": "us-east", "done": len(self.done)}]

    async def perform(self, action: str, target: str) -> str:
        if action != "kill":
            raise KeyError(action)
        self.done.append((action, target))
        return f"{target} is dead"


class FakeEdge:
    """The admin listener of something that lives."""

    def __init__(self) -> None:
        self.news = News()
        view = LiveView(
            lambda: {"kind": "edge", "name": "edge-1"}, self.news, self.call
        )
        self.listener = HttpListener(
            admin_application(
                token=Secret(ADMIN), registry=CollectorRegistry(), views={}, live=view
            )
        )

    def call(self, call_sid: str) -> dict[str, Any] | None:
        return {"call_sid": call_sid, "edge": "edge-1"} if call_sid == SID else None

    def source(self) -> Source:
        return Source("edge-1", f"http://127.0.0.1:{self.listener.port}", ADMIN)


@dataclass
class Desk:
    """A console with everything, and a browser that is logged in."""

    console: Console
    edge: FakeEdge
    sources: list[Source]
    phone: FakePhone
    breaker: FakeBreaker
    http: aiohttp.ClientSession
    base: str

    async def log_in(self, token: str = TOKEN) -> int:
        async with self.http.post(f"{self.base}/login", json={"token": token}) as got:
            return got.status

    async def events(self) -> AsyncIterator[tuple[str, Any]]:
        async with self.http.get(f"{self.base}/api/stream") as stream:
            name = ""
            async for line in stream.content:
                text = line.decode().strip()
                if text.startswith("event: "):
                    name = text[7:]
                elif text:
                    yield name, json.loads(text[6:])

    async def until(self, wanted: Callable[[str, Any], bool]) -> Any:
        async with asyncio.timeout(LONG_S):
            async for name, said in self.events():
                if wanted(name, said):
                    return said
        raise AssertionError("the stream has ended")


@pytest_asyncio.fixture
async def desk() -> AsyncIterator[Desk]:
    edge = FakeEdge()
    await edge.listener.start("127.0.0.1", 0)
    sources = [edge.source()]
    phone, breaker = FakePhone(), FakeBreaker()
    console = Console(
        ConsoleSettings(token=Secret(TOKEN), trace_url="http://t/{trace_id}"),
        lambda: sources,
        phone=phone,
        breaker=breaker,
    )
    await console.start()
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as http:
        base = f"http://127.0.0.1:{console.port}"
        yield Desk(console, edge, sources, phone, breaker, http, base)
    await console.aclose()
    await edge.listener.aclose()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/stream"),
        ("GET", f"/api/calls/{SID}"),
        ("POST", "/api/break"),
        ("GET", "/api/phone"),
    ],
)
async def test_strangers_see_and_do_nothing(desk: Desk, method: str, path: str) -> None:
    async with desk.http.request(method, desk.base + path) as answer:
        assert answer.status == 401
    assert desk.breaker.done == []


async def test_a_wrong_token_opens_nothing(desk: Desk) -> None:
    assert await desk.log_in("a guess") == 401
    async with desk.http.get(desk.base) as answer:
        assert "log in" in await answer.text()


async def test_a_login_lasts_until_the_logout(desk: Desk) -> None:
    assert await desk.log_in() == 204
    async with desk.http.get(desk.base) as answer:
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert 'id="map"' in await answer.text()
    await desk.http.post(f"{desk.base}/logout")
    async with desk.http.get(desk.base) as answer:
        assert "log in" in await answer.text()


async def test_what_is_not_a_login_is_refused(desk: Desk) -> None:
    async with desk.http.post(f"{desk.base}/login", data=b"nonsense") as answer:
        assert answer.status == 400


async def test_files_are_not_sent_twice(desk: Desk) -> None:
    url = f"{desk.base}/static/app.js"
    async with desk.http.get(url) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        etag = answer.headers["ETag"]
    async with desk.http.get(url, headers={"If-None-Match": etag}) as answer:
        assert answer.status == 304
    async with desk.http.get(url, headers={"Accept-Encoding": "identity"}) as answer:
        assert "Content-Encoding" not in answer.headers
    async with desk.http.get(f"{desk.base}/static/../server.py") as answer:
        assert answer.status == 404


async def test_what_a_source_says_reaches_the_browser(desk: Desk) -> None:
    await desk.log_in()
    hello = await desk.until(lambda name, _: name == "hello")
    assert hello["trace_url"] == "http://t/{trace_id}"
    assert hello["breaker"][0]["target"] == "us-east"
    said = await desk.until(lambda name, _: name == "snapshot")
    assert said["key"] == "edge-1"
    assert said["said"]["name"] == "edge-1"


async def test_who_comes_later_hears_of_what_was_before(desk: Desk) -> None:
    await desk.log_in()
    await desk.until(lambda name, _: name == "snapshot")
    desk.edge.news.note("region.state_changed", {"new": "down"})
    said = await desk.until(lambda name, _: name == "history")
    assert said["said"]["news"]["events"][0][2] == "region.state_changed"


async def test_news_come_with_the_snapshots(desk: Desk) -> None:
    await desk.log_in()
    await desk.until(lambda name, _: name == "snapshot")
    asyncio.get_running_loop().call_later(
        1.5, desk.edge.news.measured, "first_audio", 0.5
    )
    said = await desk.until(
        lambda name, said: name == "snapshot" and said["said"]["news"]["samples"]
    )
    assert said["said"]["news"]["samples"][0][2:4] == ["first_audio", 0.5]


async def test_sources_come_and_go(desk: Desk) -> None:
    await desk.log_in()
    await desk.until(lambda name, _: name == "snapshot")
    await desk.edge.listener.aclose()
    assert (await desk.until(lambda name, _: name == "lost"))["key"] == "edge-1"
    desk.edge = FakeEdge()
    await desk.edge.listener.start("127.0.0.1", 0)
    desk.sources[:] = [desk.edge.source()]
    await desk.until(lambda name, _: name == "snapshot")


async def test_a_call_is_told_by_whoever_knows_it(desk: Desk) -> None:
    await desk.log_in()
    await desk.until(lambda name, _: name == "snapshot")
    async with desk.http.get(f"{desk.base}/api/calls/{SID}") as answer:
        assert await answer.json() == [{"call_sid": SID, "edge": "edge-1"}]
    for unknown in ("CA1", "..%2Flivez"):
        async with desk.http.get(f"{desk.base}/api/calls/{unknown}") as answer:
            assert answer.status == 404


async def test_orders_are_carried_out_and_told(desk: Desk) -> None:
    await desk.log_in()
    order = {"action": "kill", "target": "us-east"}
    async with desk.http.post(f"{desk.base}/api/break", json=order) as answer:
        told = await answer.json()
    assert told == {
        "done": "us-east is dead",
        "can": [{"target": "us-east", "done": 1}],
    }
    for nonsense in ({"action": "burn"}, {"order": "kill"}):
        async with desk.http.post(f"{desk.base}/api/break", json=nonsense) as answer:
            assert answer.status == 400


async def test_another_sites_page_gives_no_orders(desk: Desk) -> None:
    await desk.log_in()
    order = {"action": "kill", "target": "us-east"}
    strange = {"Origin": "http://elsewhere.example"}
    url = f"{desk.base}/api/break"
    async with desk.http.post(url, json=order, headers=strange) as answer:
        assert answer.status == 403
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await desk.http.ws_connect(f"{desk.base}/api/phone", headers=strange)
    assert desk.breaker.done == []


async def test_a_person_talks_over_a_websocket(desk: Desk) -> None:
    await desk.log_in()
    async with (
        asyncio.timeout(LONG_S),
        desk.http.ws_connect(f"{desk.base}/api/phone") as socket,
    ):
        await socket.send_json({"edge": "edge-1", "number": "+14155550100"})
        assert await socket.receive_json() == {"call_sid": SID}
        said = bytes(range(160))
        await socket.send_bytes(said)
        while (await socket.receive()).data != said:
            pass
        await socket.send_json({"digit": "7"})
        await socket.send_json({"hang_up": True})
        texts = [
            json.loads(message.data)
            async for message in socket
            if message.type is aiohttp.WSMsgType.TEXT
        ]
    assert texts == [{"ended": {"pressed": "7"}}, {"over": True}]
    assert desk.phone.orders == [PhoneOrder("edge-1", "+14155550100")]


async def test_a_call_that_cannot_be_placed_says_why(desk: Desk) -> None:
    await desk.log_in()
    async with desk.http.ws_connect(f"{desk.base}/api/phone") as socket:
        await socket.send_json({"edge": "nowhere", "number": "+14155550100"})
        assert await socket.receive_json() == {"problem": "there is no such edge"}


async def test_a_browser_that_goes_away_hangs_up(desk: Desk) -> None:
    await desk.log_in()
    async with desk.http.ws_connect(f"{desk.base}/api/phone") as socket:
        await socket.send_json({"edge": "edge-1", "number": "+14155550100"})
        await socket.receive_json()
    async with asyncio.timeout(LONG_S):
        while desk.console.calls:
            await asyncio.sleep(0.01)


async def test_nonsense_places_no_call(desk: Desk) -> None:
    await desk.log_in()
    async with desk.http.ws_connect(f"{desk.base}/api/phone") as socket:
        await socket.send_str("nonsense")
        message = await socket.receive()
        assert message.type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED}
    assert desk.phone.orders == []


async def test_the_admin_listener_shows_calls_and_history(desk: Desk) -> None:
    source = desk.edge.source()
    headers = {"Authorization": f"Bearer {ADMIN}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        async with http.get(f"{source.url}/api/calls/{SID}") as answer:
            assert (await answer.json())["edge"] == "edge-1"
        async with http.get(f"{source.url}/api/calls/CA1") as answer:
            assert answer.status == 404
        streams = [await http.get(f"{source.url}/api/live") for _ in range(15)]
        async with asyncio.timeout(LONG_S):
            status = 0
            while status != 503:
                stream = await http.get(f"{source.url}/api/live")
                streams.append(stream)
                status = stream.status
        for stream in streams:
            stream.close()
