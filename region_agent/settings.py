"""Settings of one region agent, and how they are found."""

import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from backhaul.core.agent_address import is_dialable
from backhaul.core.profile import Profile
from backhaul.errors import SettingsError
from backhaul.otlp_target import OTEL_VARIABLES, target_problems
from backhaul.settings import DeploymentFile, Secret, build, environment_values
from region_agent.core.pool_config import PoolConfig
from region_agent.core.realtime_protocol import MAX_SESSION_S
from region_agent.core.session_pulse import PulseConfig
from region_agent.core.usage import DEFAULT_PRICES, ModelPrices

__all__ = ["RegionAgentSettings", "load_settings"]

_ALIASES = {
    "OPENAI_API_KEY": "openai_api_key",
    "REDIS_URL": "redis_url",
    "ECS_AGENT_URI": "ecs_agent_uri",
    **OTEL_VARIABLES,
}

_MAX_PROOF_SHARE = 0.25
"""What is left of an interval after the latest question, less the time to replace."""

_QUIET_SHARE = 0.4
"""How much of an interval a session in a call may be silent before it is asked."""

_Positive = Annotated[float, Meta(gt=0)]
_Count = Annotated[int, Meta(ge=1)]
_Port = Annotated[int, Meta(ge=0, le=65535)]


class RegionAgentSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything one region agent needs to know."""

    region: str
    """The region this agent serves; one of the file's ``[regions]``."""
    openai_api_key: Secret
    """OPENAI_API_KEY: opens the Realtime sessions."""
    admin_token: Secret = Secret("")
    """Bearer token of the admin listener; without one there is no admin listener."""
    agent_id: str = ""
    """The agent's name in logs, metrics and the registry; empty: the host's name. Two
    agents with one name hide each other in the registry."""
    listen_host: str = "0.0.0.0"  # noqa: S104 - edges come from other networks
    """Address of the link listener; edges must show a certificate."""
    listen_port: _Port = 7443
    """Port of the link listener; 0 picks one."""
    workers: _Count = 1
    """Processes, one for each core. Each is an agent of its own: its id ends in its
    number, its ports (of `listen_port` and `advertise_address`) are higher by it, and
    sessions, calls and opens are counted for it alone. The admin listener is one for
    all. Edges find them by `advertise_address`, or name every port."""
    listen_quic: bool = True
    """Serve QUIC on the UDP port of the same number; edges choose by their
    `link_transport`. Without it they have to use TCP."""
    advertise_address: str = ""
    """host:port at which edges reach the link listener. Edges of the region are told to
    dial it; empty: they reach this agent by their configuration only."""
    admin_host: str = "127.0.0.1"
    """Address of the admin listener; keep it off the public network."""
    admin_port: _Port = 7444
    """Port of the admin listener; 0 picks one."""
    pki_dir: Path = Path("pki")
    """Holds ca.pem, region-agent-REGION.pem and region-agent-REGION-key.pem."""
    realtime_url: str = "wss://api.openai.com/v1/realtime"
    """The Realtime endpoint: OpenAI's global or residency host, or another that
    speaks the same protocol."""
    model: str = "gpt-realtime-2.1"
    """Model of the profiles that name none."""
    realtime_headers: dict[str, Secret] = {}
    """Further headers of the handshake, for example OpenAI-Project; file only."""
    realtime_open_timeout_s: _Positive = 10.0
    """For each step of opening a session (s). Too low fails slow but good opens."""
    redis_url: Secret = Secret("")
    """REDIS_URL: the region's registry; empty starts an embedded one."""
    register_ttl_s: Annotated[float, Meta(ge=1)] = 15.0
    """An agent that stops is forgotten by the registry after this (s)."""
    members_interval_s: Annotated[float, Meta(gt=0, le=5)] = 1.0
    """Between two reports of the region's agents to the edges (s). Too low costs
    bandwidth in large regions; too high lets edges learn late of new agents."""
    max_warm_age_s: _Positive = 1200.0
    """A session in stock is replaced before it is this old (s). Too low opens sessions
    for nothing; too high leaves calls little of the session's hour."""
    min_call_time_left_s: _Positive = 1800.0
    """Never start a call on a session with less time left (s). Too low makes calls
    change sessions often; too high leaves no time in which a session may be used."""
    rollover_lead_s: Annotated[float, Meta(ge=0)] = 120.0
    """So long before the server ends a session (s) its call begins to look for a quiet
    moment to go on in another one; shorter than `min_call_time_left_s`. Too low moves
    callers in mid-sentence, or too late; too high moves long calls more often."""
    miss_probability: Annotated[float, Meta(gt=0, le=0.5)] = 0.01
    """Share of calls that may find no session ready, by the rate at which they came
    lately. Too low keeps many sessions that nobody uses; too high makes calls wait
    until one is opened."""
    stock_headroom: Annotated[float, Meta(ge=0, le=10)] = 0.25
    """Share of sessions kept ready beyond what that asks for, against bursts that the
    measured rate does not know yet."""
    stock_factor: Annotated[float, Meta(ge=1, le=10)] = 1.0
    """Over-provisioning of the whole stock, `warm_sessions` of the profiles included,
    for example 1.5 while another region is being repaired."""
    proof_interval_s: Annotated[float, Meta(ge=1)] = 10.0
    """A session that stops to answer is replaced within this (s): in stock each is
    asked at 40 to 70 % of it for something that costs nothing; in a call it is asked
    when it has been silent for 40 %. Too low asks more often than it helps; too high
    lets dead sessions stand in stock, and callers talk to nobody, for longer."""
    proof_timeout_s: _Positive = 2.0
    """A session that takes longer to answer is closed (s); well before, it is not lent
    any more. Too low closes sessions whenever the network stumbles."""
    opens_per_s: _Positive = 10.0
    """Sessions opened per second, over time, for all profiles together. Too low
    refills slowly after a burst; too high runs into the endpoint's rate limit."""
    max_concurrent_opens: _Count = 8
    """Opens of one profile under way at once."""
    lease_ttl_s: _Positive = 40.0
    """From a granted lease to its call (s); longer than an edge's `token_ttl_s`. Too
    low takes sessions from ringing calls; too high blocks them after lost ones."""
    lease_wait_s: _Positive = 3.0
    """How long a lease that may be cold waits for its session (s); shorter than an
    edge's `lease_timeout_s`, or the answer comes too late."""
    target_calls: _Count = 50
    """Calls that this agent is trusted with, ringing ones included, whatever it
    measures; how many more it carries, it learns from its own lateness. Beyond that,
    edges ask another agent. Counts as `max_calls` when it is higher. Too high: calls
    wait for the processor; too low: the first calls of a burst are sent elsewhere."""
    max_calls: _Count = 300
    """Never more calls at once, however easily they are carried. Too high: a process
    that dies takes many calls with it; too low: it is not used to the full."""
    stock_interval_s: _Positive = 0.25
    """Between two reports of the stock to the edges (s)."""
    heartbeat_interval_s: _Positive = 0.25
    """Between two heartbeats on a link (s); four times as long, at most half of
    `heartbeat_timeout_s`, while there are no calls with the peer."""
    heartbeat_timeout_s: _Positive = 2.0
    """Silence after which a link is given up (s). Too low drops calls when a host
    stalls; too high keeps sessions busy for an edge that is gone."""
    orphan_grace_s: _Positive = 15.0
    """How long a call waits, when its edge is gone, for that or another edge (s); its
    model says nothing meanwhile. Twilio tries twice for 5 s to reach a host that does
    not answer, before it asks elsewhere: less loses the session of such calls. Too
    high keeps sessions for callers who are gone."""
    drain_timeout_s: Annotated[float, Meta(ge=0)] = 30.0
    """How long calls may take after SIGTERM to go on at other agents (s), each at a
    quiet moment. Too low lets them lose their session, in mid-sentence; the process is
    gone as soon as the last one is."""
    events_flush_s: Annotated[float, Meta(ge=0)] = 5.0
    """How long events of calls may take to be delivered when the agent stops (s);
    what is left then is lost."""
    recording_spool: Path = Path("recordings-spool")
    """Where recordings wait until they are uploaded to S3; keep it over restarts."""
    prices: dict[str, ModelPrices] = {}
    """By model, in dollars per million tokens, for the cost of a call; file only. It
    adds to, and wins over, the list prices this version knows."""
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
    """OTEL_TRACES_SAMPLER_ARG: share of calls that are traced, 0 to 1. An edge decides
    for the calls that it traces itself, this for those of edges that trace none. Too
    high costs CPU, some 20 microseconds for each span, and room at the collector; too
    low misses the slow call."""
    log_json: bool = True
    """JSON lines on stdout; false: readable lines."""

    def problems(self) -> tuple[str, ...]:
        """Return one line per value that cannot be used."""
        found = [*_endpoint_problems(self.realtime_url), *self._pool_problems()]
        if not self.openai_api_key:
            found.append("openai_api_key: empty; set OPENAI_API_KEY")
        if self.cloudwatch_namespace and not self.log_json:
            found.append("cloudwatch_namespace: needs log_json")
        if self.heartbeat_timeout_s < 2 * self.heartbeat_interval_s:
            found.append("heartbeat_timeout_s: less than two heartbeat_interval_s")
        found += self._worker_problems()
        if self.advertise_address and not is_dialable(self.advertise_address):
            found.append("advertise_address: not host:port that edges could dial")
        if self.redis_url and not _is_redis_url(self.redis_url.reveal()):
            found.append("redis_url: not a redis://, rediss:// or unix:// URL")
        found += target_problems(self.otlp_endpoint, self.otlp_headers)
        for model, prices in self.prices.items():
            found += [f"prices.{model}.{line}" for line in prices.problems()]
        return tuple(found)

    def _worker_problems(self) -> Iterator[str]:
        if self.workers == 1:
            return
        ports = range(self.listen_port, self.listen_port + self.workers)
        if self.listen_port and self.admin_port in ports:
            yield f"admin_port: {self.admin_port} is the link port of a worker"
        if self.ecs_agent_uri and not self.admin_token:
            yield "workers: without admin_token their calls cannot be protected on ECS"

    def _pool_problems(self) -> list[str]:
        found: list[str] = []
        if self.max_warm_age_s + self.min_call_time_left_s > MAX_SESSION_S:
            found.append(
                "max_warm_age_s and min_call_time_left_s: more than "
                f"{MAX_SESSION_S:g} s together, the life of a session"
            )
        if self.proof_timeout_s > _MAX_PROOF_SHARE * self.proof_interval_s:
            found.append(
                f"proof_timeout_s: more than {_MAX_PROOF_SHARE:g} of proof_interval_s"
            )
        if self.rollover_lead_s >= self.min_call_time_left_s:
            found.append("rollover_lead_s: not below min_call_time_left_s")
        if self.lease_wait_s >= self.lease_ttl_s:
            found.append("lease_wait_s: not below lease_ttl_s")
        return found

    @property
    def pulse_config(self) -> PulseConfig:
        """Return how soon a session in a call is found to answer nothing."""
        quiet_s = _QUIET_SHARE * self.proof_interval_s
        return PulseConfig(quiet_s, self.proof_timeout_s)

    def all_prices(self) -> dict[str, ModelPrices]:
        """Return the prices of all models that have one."""
        return {**DEFAULT_PRICES, **self.prices}

    def pool_config(self, profile: Profile) -> PoolConfig:
        """Return the figures of the pool of *profile*."""
        return PoolConfig(
            floor=profile.warm_sessions,
            miss_probability=self.miss_probability,
            headroom=self.stock_headroom,
            factor=self.stock_factor,
            max_stock=self.max_calls,
            proof_interval_s=self.proof_interval_s,
            proof_timeout_s=self.proof_timeout_s,
            max_warm_age_s=self.max_warm_age_s,
            min_call_time_left_s=self.min_call_time_left_s,
            max_concurrent_opens=self.max_concurrent_opens,
            lease_ttl_s=self.lease_ttl_s,
            lease_wait_s=self.lease_wait_s,
        )


def _endpoint_problems(url: str) -> tuple[str, ...]:
    try:
        parts = urlsplit(url)
        port_known = parts.port is None or parts.port > 0
    except ValueError:
        return ("realtime_url: not a URL",)
    if parts.scheme not in {"wss", "ws"} or not parts.hostname or not port_known:
        return (f"realtime_url: {url!r} is not a wss:// URL",)
    if parts.scheme == "ws" and parts.hostname not in {"127.0.0.1", "localhost", "::1"}:
        return ("realtime_url: the key needs wss:// for any host but this one",)
    return ()


def _is_redis_url(url: str) -> bool:
    try:
        return urlsplit(url).scheme in {"redis", "rediss", "unix"}
    except ValueError:
        return False


def load_settings(
    deployment: DeploymentFile, *, environ: Mapping[str, str] | None = None
) -> RegionAgentSettings:
    """Return the settings of this agent.

    The environment (``REGION_AGENT_*``, ``OPENAI_API_KEY``, ``REDIS_URL``) wins over
    the file's ``[region_agent]``.

    Args:
        deployment: The configuration file.
        environ: Stands in for the process's environment.

    Raises:
        SettingsError: With one line per problem.
    """
    given = environment_values(
        RegionAgentSettings, prefix="REGION_AGENT_", aliases=_ALIASES, environ=environ
    )
    values = {**deployment.region_agent, **given}
    for field, default in (
        ("pki_dir", "pki"),
        ("recording_spool", "recordings-spool"),
    ):
        values[field] = deployment.directory / str(values.get(field, default))
    values["agent_id"] = values.get("agent_id") or socket.gethostname()
    settings = build(RegionAgentSettings, values, where="region_agent")
    problems: list[str] = []
    if settings.region not in deployment.regions:
        problems.append(f"region_agent.region: no region {settings.region!r}")
    if not deployment.profiles:
        problems.append("profiles: empty; no call could be answered")
    if problems:
        raise SettingsError(tuple(problems))
    return settings
