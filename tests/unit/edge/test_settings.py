"""The edge's settings: where values come from, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from backhaul.core.profile import Profile
from backhaul.errors import SettingsError
from backhaul.settings import DeploymentFile, Region
from edge.core.geography import Point
from edge.settings import EdgeSettings, load_settings

SECRETS = {"TWILIO_AUTH_TOKEN": "one,two", "EDGE_ADMIN_TOKEN": "admin"}


def deployment(**edge: Any) -> DeploymentFile:
    own = {"public_url": "https://voice.example.com"}
    return DeploymentFile(
        regions={"us-east": Region(agents=("127.0.0.1:1",))},
        profiles={},
        numbers={"*": "desk"},
        edges={"edge-1": own | edge, "edge-2": own},
        edge={"http_port": 80, "media_port": 81},
        region_agent={},
        directory=Path("/etc/warmline"),
    )


def load(environ: dict[str, str] | None = None, **edge: Any) -> EdgeSettings:
    return load_settings(
        deployment(**edge), "edge-1", environ=SECRETS | (environ or {})
    )


def test_environment_wins_over_own_table_over_common_table_over_default() -> None:
    settings = load({"EDGE_MEDIA_PORT": "4"}, http_port=3, media_port=2)
    assert (settings.http_port, settings.media_port) == (3, 4)
    assert load().http_port == 80
    assert load().admin_port == 8082


def test_links_are_dialled_over_the_transport_that_is_named() -> None:
    assert load().link_transport == "quic"
    assert load({"EDGE_LINK_TRANSPORT": "http2"}).link_transport == "http2"
    with pytest.raises(SettingsError, match="link_transport"):
        load(link_transport="carrier pigeon")


def test_a_standby_over_another_transport_is_kept() -> None:
    assert load().link_transports == ("quic", "websocket")
    assert load(link_transport="websocket").link_transports == ("websocket",)
    both = load(link_transport="websocket", link_standby="http2")
    assert both.link_transports == ("websocket", "http2")
    alone = load({"EDGE_LINK_STANDBY": "none"})
    assert alone.link_transports == ("quic",)


def test_several_auth_tokens_and_relative_paths() -> None:
    settings = load(tls_certificate="chain.pem", tls_key="/keys/key.pem")
    assert settings.tls_certificate == Path("/etc/warmline/chain.pem")
    assert settings.tls_key == Path("/keys/key.pem")
    assert [key.reveal() for key in settings.twilio_auth_tokens] == ["one", "two"]
    assert settings.pki_dir == Path("/etc/warmline/pki")
    assert settings.media_base_url == "wss://voice.example.com"


def test_the_name_may_come_from_the_environment() -> None:
    settings = load_settings(
        deployment(), None, environ=SECRETS | {"EDGE_NAME": "edge-2"}
    )
    assert settings.name == "edge-2"


@pytest.mark.parametrize(
    ("edge", "problem"),
    [
        ({"public_url": "voice.example.com"}, "public_url"),
        ({"public_url": "http://voice.example.com"}, "Twilio needs https"),
        ({"public_url": "https://h?x=1"}, "query"),
        ({"public_url": "https://h:99999"}, "is not a URL"),
        ({"media_url": "https://h"}, "media_url"),
        ({"heartbeat_timeout_s": 0.1}, "heartbeat_timeout_s"),
        ({"tls_certificate": "x.pem"}, "both or none"),
        ({"shared_url": "http://edge.example.com"}, "shared_url: Twilio needs https"),
        ({"drain_notice_s": 31}, "drain_notice_s: above drain_timeout_s"),
        (
            {"cloudwatch_namespace": "Warmline", "log_json": False},
            "cloudwatch_namespace: needs log_json",
        ),
        ({"http_port": -5}, "http_port"),
        ({"token_ttl_s": 600}, "token_ttl_s"),
        ({"heartbeat_interval_s": 0}, "heartbeat_interval_s"),
        ({"latitude": 39.0}, "latitude and longitude: both or none"),
        ({"latitude": 99.0, "longitude": 0.0}, "latitude"),
        ({"hysteresis": 1.0}, "hysteresis"),
        ({"open_timeout_s": 0}, "open_timeout_s"),
        ({"link_standby": "quic"}, "link_standby"),
        ({"link_floor": 0}, "link_floor"),
        ({"link_headroom": -1}, "link_headroom"),
        ({"link_max_age_s": 0.5}, "link_max_age_s"),
        ({"link_max_dials": 0}, "link_max_dials"),
        ({"unheard_of": 1}, "unheard_of: unknown key"),
    ],
)
def test_what_cannot_be_is_refused(edge: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        load(**edge)


def test_an_address_belongs_to_one_region() -> None:
    known = deployment()
    regions = {**known.regions, "us-west": Region(agents=("127.0.0.1:1", "a:1"))}
    twice = replace(known, regions=regions)
    with pytest.raises(SettingsError, match=r"127\.0\.0\.1:1 cannot be in two"):
        load_settings(twice, "edge-1", environ=SECRETS)


def test_residency_names_regions_that_there_are() -> None:
    home = Profile("Help.", regions=("us-east",))
    typo = Profile("Help.", regions=("us-east", "us-eats"))
    known = replace(deployment(), profiles={"desk": home})
    settings = load_settings(known, "edge-1", environ=SECRETS)
    assert settings.profiles["desk"].regions == ("us-east",)
    with pytest.raises(SettingsError, match=r"desk\.regions: no region 'us-eats'"):
        load_settings(
            replace(known, profiles={"desk": typo}), "edge-1", environ=SECRETS
        )


def test_missing_secrets_are_named() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(deployment(), "edge-1", environ={})
    assert [line.split(":")[0] for line in caught.value.problems] == [
        "edges.edge-1.twilio_auth_tokens",
    ]


def test_plain_http_is_for_this_host_alone() -> None:
    assert load(public_url="http://127.0.0.1:8080").media_base_url == (
        "ws://127.0.0.1:8080"
    )


def test_every_edge_knows_the_urls_and_places_of_all() -> None:
    media_url = "wss://media.example.com/"
    settings = load(media_url=media_url, latitude=50.11, longitude=8.68)
    own, other = settings.edges["edge-1"], settings.edges["edge-2"]
    assert own.media_base_url == "wss://media.example.com"
    assert own.point == settings.site.point == Point(50.11, 8.68)
    assert other.public_base_url == "https://voice.example.com"
    assert other.media_base_url == "wss://voice.example.com"
    assert other.point is None


def test_an_edges_place_is_both_figures_on_earth() -> None:
    with pytest.raises(SettingsError, match="both or none"):
        load(latitude=1.0)
    with pytest.raises(SettingsError, match="latitude"):
        load(latitude=91.0, longitude=0.0)
    given = load({"EDGE_LATITUDE": "1.5", "EDGE_LONGITUDE": "-2"})
    assert given.site.point == Point(1.5, -2.0)


def test_what_is_wrong_in_another_edges_table_is_said_with_its_name() -> None:
    known, placed = deployment(), {"latitude": 1.0, "longitude": 1.0}
    wrong = replace(known, edges=known.edges | {"edge-2": placed})
    with pytest.raises(SettingsError, match=r"edges\.edge-2\.public_url"):
        load_settings(wrong, "edge-1", environ=SECRETS)
    elsewhere = replace(known, edges=known.edges | {"edge-2": {"http_port": 1}})
    settings = load_settings(elsewhere, "edge-1", environ=SECRETS)
    assert settings.edges["edge-2"].point is None


def test_a_twilio_region_is_one_of_three_and_paths_are_relative_to_the_file() -> None:
    assert load(twilio_region="au1").twilio_region == "au1"
    with pytest.raises(SettingsError, match="twilio_region"):
        load(twilio_region="us2")
    given = load(geo_database="city.mmdb").geo_database
    assert given == Path("/etc/warmline/city.mmdb")
    assert load().geo_database == Path()


def test_traces_are_off_until_a_collector_is_named() -> None:
    assert load().otlp_endpoint == ""
    settings = load(
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318",
            "OTEL_EXPORTER_OTLP_HEADERS": "api-key=secret",
            "OTEL_TRACES_SAMPLER_ARG": "0.25",
        }
    )
    assert settings.otlp_endpoint == "http://127.0.0.1:4318"
    assert settings.otlp_headers.reveal() == "api-key=secret"
    assert settings.trace_ratio == 0.25


@pytest.mark.parametrize(
    ("edge", "problem"),
    [
        ({"otlp_endpoint": "127.0.0.1:4318"}, "otlp_endpoint"),
        ({"otlp_headers": "secret"}, "otlp_headers"),
        ({"trace_ratio": 1.5}, "trace_ratio"),
    ],
)
def test_a_collector_that_cannot_be(edge: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(**edge)
    (line,) = caught.value.problems
    assert line.startswith(f"edges.edge-1.{problem}: ")
    assert "secret" not in line
