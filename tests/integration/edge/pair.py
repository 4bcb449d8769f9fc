"""Two edges that give each other calls, as Twilio sees them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from twilio.request_validator import RequestValidator
from websockets.asyncio.client import connect

from edge.site import EdgeSite
from lab.free_port import free_port
from tests.integration.edge.streams import AUTH_TOKEN

if TYPE_CHECKING:
    from tests.integration.conftest import Bench, MakeBench

ASHBURN, FRANKFURT = (39.04, -77.49), (50.11, 8.68)


@dataclass
class Pair:
    """An edge in Frankfurt that gets the webhooks, one at Twilio's Region."""

    far: "Bench"
    near: "Bench"

    async def ring(self, number: int = 1, **form: str) -> "Answer":
        _, text = await self.far.post(form=self.far.sids(number) | form)
        return Answer.of(text)

    @property
    def near_url(self) -> str:
        return self.far.settings.edges["near"].media_base_url


@dataclass
class Answer:
    """What TwiML tells Twilio to do."""

    stream_url: str
    action_url: str

    @classmethod
    def of(cls, text: str) -> "Answer":
        connecting = ET.fromstring(text)[0]  # noqa: S314 - our own
        if not len(connecting):
            return cls("", "")
        return cls(connecting[0].get("url", ""), connecting.get("action", ""))

    def connect(self, signed_url: str = "", key: str = AUTH_TOKEN) -> connect:
        url = signed_url or self.stream_url
        signature = RequestValidator(key).compute_signature(url, {})
        return connect(
            self.stream_url,
            additional_headers={"x-twilio-signature": signature},
            compression=None,
        )


async def make_pair(
    make_bench: "MakeBench", wait: Any, *, agent_of_near: str = "", **changes: Any
) -> Pair:
    """Start both edges; *agent_of_near*: the process of the agent near is linked to."""
    ports = {name: (free_port(), free_port()) for name in ("far", "near")}
    sites = {
        name: EdgeSite(
            f"http://127.0.0.1:{ports[name][0]}",
            f"ws://127.0.0.1:{ports[name][1]}",
            *place,
        )
        for name, place in (("far", FRANKFURT), ("near", ASHBURN))
    }
    benches: dict[str, Bench] = {}
    for name, site in sites.items():
        if agent_of_near and benches:
            benches["far"].agent.instance = agent_of_near
        benches[name] = await make_bench(
            beside=benches.get("far"),
            name=name,
            public_url=site.public_url,
            media_url=site.media_url,
            http_port=ports[name][0],
            media_port=ports[name][1],
            latitude=site.latitude,
            longitude=site.longitude,
            edges=sites,
            **changes.get(name, {}),
        )
    far = benches["far"]
    (agent,) = far.edge.links.agents.values()
    await wait(lambda: "near" in agent.edges)
    return Pair(far, benches["near"])
