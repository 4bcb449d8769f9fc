"""Settings of one edge, and how they are found."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import Meta

from backhaul.core.profile import Profile
from backhaul.otlp_target import OTEL_VARIABLES, target_problems
from backhaul.settings import (
    DeploymentFile,
    Region,
    Secret,
    build,
    environment_values,
)
from backhaul.transports.base import LinkTransport
from edge.core.twilio_places import TwilioRegion
from edge.site import EdgeSite, url_problems

__all__ = ["EdgeSettings", "LinkStandby", "load_settings"]

_Positive = Annotated[float, Meta(gt=0)]
_Port = Annotated[int, Meta(ge=0, le=65535)]

LinkStandby = Literal["websocket", "http2", "none"]
"""The transports that may stand by: where UDP may be what failed, over TCP."""

_ALIASES = {
    "TWILIO_AUTH_TOKEN": "twilio_auth_tokens",
    "ECS_AGENT_URI": "ecs_agent_uri",
    **OTEL_VARIABLES,
}
_SITE_FIELDS = ("public_url", "media_url", "latitude", "longitude")


class EdgeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything one edge needs to know."""

    name: str
    """The edge's name; its table in the file is ``[edges.NAME]``."""
    public_url: str
    """Where Twilio reaches the webhooks, for example https://voice.example.com.
    Signatures are checked against it, so it must be exact."""
    twilio_auth_tokens: tuple[Secret, ...]
    """TWILIO_AUTH_TOKEN: one or more auth tokens, separated by commas. Several are
    needed while a token is being rotated, and for several Twilio Regions."""
    admin_token: Secret = Secret("")
    """Bearer token of the admin listener; without one there is no admin listener."""
    shared_url: str = ""
    """A second URL of the webhooks, of a name that leads to any of several edges; calls
    begin there, and go on at `public_url`. Empty: calls begin at `public_url` too."""
    media_url: str = ""
    """Where Twilio reaches the Media Streams; empty: `public_url` with wss. A proxy
    must lead /twilio/media/ to `media_port` and all else to `http_port`."""
    latitude: Annotated[float, Meta(ge=-90, le=90)] | None = None
    """Where the edge is (degrees), with `longitude`; see `backhaul.settings.Region`.
    Edges that say so hand calls over to each other, each to the one nearest to Twilio;
    without it this edge keeps its calls and gets no others. URLs and place of an edge
    must stand in its own table of the file, for the other edges to know them."""
    longitude: Annotated[float, Meta(ge=-180, le=180)] | None = None
    """Degrees, east is positive."""
    twilio_region: TwilioRegion = "us1"
    """Where Twilio processes the calls to your numbers, as set for them by Twilio's
    Routes API. The audio comes from there; a wrong one leads it a long way round."""
    geo_database: Path = Path()
    """A database of addresses in MaxMind's format (.mmdb, City or Country), to find out
    where SIP calls come from. It may be replaced while the edge runs, and is then used
    within seconds; one that cannot be used is refused, and the old one stays in use.
    Its size is taken in memory. Empty: SIP callers are located by their number."""
    geo_database_check_s: _Positive = 10.0
    """Between two looks at whether `geo_database` has changed (s)."""
    account_sid: str = ""
    """Accept webhooks of this Twilio account only; empty: of any that signs."""
    listen_host: str = "0.0.0.0"  # noqa: S104 - the carrier's side is public
    """Address of the webhook and Media Streams listeners."""
    http_port: _Port = 8080
    """Port of the webhook listener; 0 picks one."""
    media_port: _Port = 8081
    """Port of the Media Streams listener; 0 picks one."""
    workers: Annotated[int, Meta(ge=1, le=256)] = 1
    """Processes, one for each core, on the same public ports and with one admin
    listener. Each keeps links of its own to the agents."""
    tls_certificate: Path = Path()
    """Certificate chain (PEM) of both public listeners, with `tls_key`. Without it
    they speak plain HTTP and a proxy in front of them must end TLS."""
    tls_key: Path = Path()
    """Private key (PEM) to `tls_certificate`."""
    admin_host: str = "127.0.0.1"
    """Address of the admin listener; keep it off the public network."""
    admin_port: _Port = 8082
    """Port of the admin listener; 0 picks one."""
    pki_dir: Path = Path("pki")
    """Holds ca.pem, edge-NAME.pem and edge-NAME-key.pem for the links."""
    token_ttl_s: Annotated[float, Meta(gt=0, le=30)] = 30.0
    """From the webhook's answer to Twilio's `start` (s). Too low loses slow calls;
    too high keeps sessions leased for calls that never start."""
    start_timeout_s: _Positive = 5.0
    """From an accepted Media Stream to its `start` (s)."""
    away_timeout_s: _Positive = 30.0
    """From the purposeful end of a Media Stream, for a transfer or to send touch
    tones, to Twilio's next request (s); the ringing comes on top. Too low ends calls
    that are being transferred; too high keeps sessions for callers who are gone."""
    lease_timeout_s: _Positive = 1.0
    """For one agent to answer whether it has a warm session (s): a round trip. Too low
    passes over regions that are far away; too high keeps callers waiting for an agent
    that hangs."""
    webhook_budget_s: Annotated[float, Meta(gt=0, le=14)] = 2.5
    """For all agents together to answer a webhook (s); then the call is answered, and
    a session is opened for it behind the hold tone. Twilio's own patience ends after
    15 s, and then the caller hears Twilio's error."""
    find_timeout_s: _Positive = 1.0
    """For all agents to say whether they know of a call whose edge is gone (s). Too low
    gives up sessions that wait for their callers; too high keeps a caller waiting for
    an agent that hangs."""
    open_timeout_s: _Positive = 4.0
    """For one agent to open a session for a caller (s); three are tried. Too low gives
    up sessions that are nearly there; too high keeps callers on hold."""
    hysteresis: Annotated[float, Meta(ge=0, lt=1)] = 0.1
    """Share by which another region must be faster than the one that calls go to now.
    Too low: calls flap between regions that are alike; too high: they stay away from
    the nearest."""
    request_timeout_s: _Positive = 5.0
    """For a webhook's head, and then for its body, to arrive (s)."""
    media_idle_timeout_s: _Positive = 10.0
    """A Media Stream that says nothing for this long is pinged, and closed when as
    much time passes again without an answer (s). Twilio sends 50 frames a second."""
    max_message_bytes: Annotated[int, Meta(ge=1024)] = 64 * 1024
    """Largest Media Streams message and webhook body (bytes)."""
    max_bad_frames: Annotated[int, Meta(ge=0)] = 25
    """Unusable Media Streams messages before a stream is closed."""
    max_backlog_bytes: Annotated[int, Meta(ge=65536)] = 1024 * 1024
    """Audio that may wait in this process for Twilio to read it (bytes); beyond it
    the stream counts as lost. From 128 KiB on the agent is asked to hold its audio,
    so this is room for what is on its way by then: a minute of speech is 660 KB as
    sent. Too low loses calls on a slow network; too high costs memory."""
    max_agents_per_region: Annotated[int, Meta(ge=1, le=256)] = 8
    """Agents of one region to keep links to. Where agents tell of more, each edge has
    its own few, and each agent about as many edges as any other. Too low leaves
    little choice when agents fail; too high costs links, edges times agents."""
    link_transport: LinkTransport = "quic"
    """What links are dialled with. quic (UDP) keeps speech flowing on paths that lose
    packets; websocket (TCP) also passes where UDP is blocked, and costs less; http2
    (TCP) is for paths that want HTTP/2. Agents serve all on one port number. Calls use
    it while it is well; see `link_standby`."""
    link_standby: LinkStandby = "websocket"
    """What calls move to when `link_transport` stalls, breaks off or is clearly worse:
    a second set of links to every agent, always open. none, or the same transport
    again: no second set, and calls move between links of the first one only."""
    link_floor: Annotated[int, Meta(ge=1, le=64)] = 1
    """Links to each agent that can take another call, over each transport, always.
    Too low leaves bursts to crowd the links there are, too high costs heartbeats."""
    link_headroom: Annotated[int, Meta(ge=0, le=64)] = 1
    """Further ones of `link_transport`, on top of the floor: what calls move to
    within their transport when a link dies."""
    link_max_age_s: Annotated[float, Meta(ge=1)] = 900.0
    """A link is replaced at this age (s), up to a fifth earlier; its calls move and
    hear nothing of it. Too low costs handshakes; too high keeps calls on a path, or
    behind a balancer's choice, that is no longer the best."""
    link_max_dials: Annotated[int, Meta(ge=1)] = 16
    """Links that may be dialled at once, to all agents together, but for one slow dial
    of each agent and transport. Too low is slow to come back after an outage of many
    agents, too high floods them then."""
    heartbeat_interval_s: _Positive = 0.25
    """Between two heartbeats on a link (s); four times as long, at most half of
    `heartbeat_timeout_s`, while there are no calls with the peer."""
    heartbeat_timeout_s: _Positive = 2.0
    """Silence after which a link is given up (s). Too low gives up good links when
    a host stalls; too high leaves callers with a dead region."""
    agent_patience_s: Annotated[float, Meta(ge=0)] = 0.05
    """So long after the last of an agent's links fell silent (s), its live calls go on
    at another agent. A link counts as silent half a second after a heartbeat went
    unanswered, or three round trips. Too low moves calls whenever a host is busy; too
    high leaves callers alone with an agent that hangs."""
    surge_factor: Annotated[float, Meta(ge=1, le=10)] = 1.5
    """What the agents of a region that is back multiply their stock by, for as long as
    it heals. Too low: the calls that return find no session; too high: sessions are
    paid for that nobody needs, and the endpoint's rate limit is in the way."""
    healing_s: Annotated[float, Meta(ge=1, le=86_400)] = 300.0
    """For how long (s) a region that is back counts as healing. Too low and its next
    fall finds it unprepared; too high costs sessions."""
    link_connect_timeout_s: _Positive = 5.0
    """To open a link: the transport's handshakes and hello (s). The next dial does
    not wait for so long."""
    target_calls: Annotated[int, Meta(ge=1)] = 100
    """Calls that this process is trusted with, whatever it measures; how many more it
    carries, it learns from its own lateness. New calls beyond that go to other edges
    (see `latitude`), or hear the profile's script. Counts as `max_calls` when it is
    higher. Too high: calls wait for the processor; too low: the first calls of a burst
    go elsewhere."""
    max_calls: Annotated[int, Meta(ge=1)] = 1000
    """No new calls beyond these, however easily they are carried; those of other edges
    still come. Too high: a process that dies leaves many to the others; too low: it is
    not used to the full."""
    drain_timeout_s: Annotated[float, Meta(ge=0)] = 30.0
    """How long live calls may go on after SIGTERM (s)."""
    handover_s: Annotated[float, Meta(ge=0)] = 20.0
    """The last part of that time (s): calls that still go on then are handed to other
    edges, each in a quiet moment, and whoever is left 5 s before the end at once. Too
    low cuts into what is being said; too high moves calls that would end anyway."""
    drain_notice_s: Annotated[float, Meta(ge=0)] = 0.0
    """How long, of that time, calls are still taken while /readyz says no already (s).
    Too low turns away callers whom a balancer still sends here; too high takes calls
    that have no time left."""
    apology: str = "Sorry, we cannot take your call right now. Please call again."
    """Said when no region can answer, by profiles without a `fallback.script`."""
    cloudwatch_namespace: str = ""
    """Where CloudWatch keeps this process's metrics: a line of the log holds them every
    10 s, which CloudWatch Logs takes them from. Empty: no such lines."""
    ecs_agent_uri: str = ""
    """ECS_AGENT_URI, which ECS sets: while calls are live, ECS is asked there not to
    take this task away. Empty outside of ECS."""
    otlp_endpoint: str = ""
    """OTEL_EXPORTER_OTLP_ENDPOINT: a collector that takes OTLP over HTTP with protobuf,
    for example http://127.0.0.1:4318; traces go to its /v1/traces. Empty: none are
    made. Calls never wait for it."""
    otlp_headers: Secret = Secret("")
    """OTEL_EXPORTER_OTLP_HEADERS: what the collector wants to see beside the spans, as
    name=value with commas between; values are percent-encoded."""
    trace_ratio: Annotated[float, Meta(ge=0, le=1)] = 1.0
    """OTEL_TRACES_SAMPLER_ARG: share of calls that are traced, 0 to 1; agents follow.
    Too high costs CPU, some 20 microseconds for each span, and room at the collector;
    too low misses the slow call."""
    log_json: bool = True
    """JSON lines on stdout; false: readable lines."""

    regions: dict[str, Region] = {}
    """From the file's ``[regions]``."""
    numbers: dict[str, str] = {}
    """From the file's ``[numbers]``."""
    profiles: dict[str, Profile] = {}
    """From the file's ``[profiles]``."""
    edges: dict[str, EdgeSite] = {}
    """All edges, from the file's ``[edges]``."""

    @property
    def site(self) -> EdgeSite:
        """Where this edge is."""
        return EdgeSite(self.public_url, self.media_url, self.latitude, self.longitude)

    @property
    def link_transports(self) -> tuple[LinkTransport, ...]:
        """Return the transports to keep links over, the preferred one first."""
        if self.link_standby in {"none", self.link_transport}:
            return (self.link_transport,)
        return (self.link_transport, cast("LinkTransport", self.link_standby))

    @property
    def media_base_url(self) -> str:
        """The URL that stream URLs start with."""
        return self.site.media_base_url

    @property
    def public_base_url(self) -> str:
        """The public URL without a trailing slash."""
        return self.site.public_base_url

    def problems(self) -> tuple[str, ...]:
        """Return one line per value that cannot be used."""
        found = list(self.site.problems())
        for name, site in self.edges.items():
            if name != self.name and site.latitude is not None:
                found += [f"edges.{name}.{line}" for line in site.problems()]
        if not any(self.twilio_auth_tokens):
            found.append("twilio_auth_tokens: empty; set TWILIO_AUTH_TOKEN")
        found += [
            f"profiles.{name}.regions: no region {region!r}"
            for name, profile in self.profiles.items()
            for region in profile.regions
            if region not in self.regions
        ]
        if not self.numbers:
            found.append("numbers: empty; no call could be answered")
        seeds = [seed for one in self.regions.values() for seed in set(one.agents)]
        twice = sorted({seed for seed in seeds if seeds.count(seed) > 1})
        found += [f"regions: {seed} cannot be in two of them" for seed in twice]
        found += self._surroundings()
        if self.heartbeat_timeout_s < 2 * self.heartbeat_interval_s:
            found.append("heartbeat_timeout_s: less than two heartbeat_interval_s")
        found += target_problems(self.otlp_endpoint, self.otlp_headers)
        if (self.tls_certificate == Path()) != (self.tls_key == Path()):
            found.append("tls_certificate and tls_key: both or none")
        return tuple(found)

    def _surroundings(self) -> Iterator[str]:
        """Yield what is wrong with what stands around the edge."""
        if self.shared_url:
            yield from url_problems("shared_url", self.shared_url, "https", "http")
        if self.workers > 1 and self.ecs_agent_uri and not self.admin_token:
            yield "workers: without admin_token their calls cannot be protected on ECS"
        if self.drain_notice_s > self.drain_timeout_s:
            yield "drain_notice_s: above drain_timeout_s"
        if self.cloudwatch_namespace and not self.log_json:
            yield "cloudwatch_namespace: needs log_json"


def load_settings(
    deployment: DeploymentFile,
    name: str | None,
    *,
    environ: Mapping[str, str] | None = None,
) -> EdgeSettings:
    """Return the settings of the edge *name*.

    The environment (``EDGE_*``, ``TWILIO_AUTH_TOKEN``) wins over the edge's own
    table, which wins over ``[edge]``.

    Args:
        deployment: The configuration file.
        name: The edge's name; None: EDGE_NAME, or the only edge in the file.
        environ: Stands in for the process's environment.

    Raises:
        SettingsError: With one line per problem.
    """
    given = environment_values(
        EdgeSettings, prefix="EDGE_", aliases=_ALIASES, environ=environ
    )
    name = name or given.get("name") or _only(deployment.edges)
    shared = {
        "regions": deployment.regions,
        "numbers": deployment.numbers,
        "edges": _sites(deployment),
        "profiles": deployment.profiles,
    }
    own = deployment.edges.get(name, {})
    values = {**deployment.edge, **own, **given, **shared, "name": name}
    values.setdefault("pki_dir", "pki")
    for field in ("pki_dir", "tls_certificate", "tls_key", "geo_database"):
        if field in values:
            values[field] = deployment.directory / str(values[field])
    return build(EdgeSettings, values, where=f"edges.{name}")


def _sites(deployment: DeploymentFile) -> dict[str, dict[str, Any]]:
    """Return what the tables of all edges say of where they are."""
    tables = {
        name: {**deployment.edge, **own} for name, own in deployment.edges.items()
    }
    return {
        name: {field: table[field] for field in _SITE_FIELDS if field in table}
        for name, table in tables.items()
    }


def _only(edges: Mapping[str, object]) -> str:
    return next(iter(edges)) if len(edges) == 1 else ""
