"""Settings: every problem in one go, secrets hidden, nothing unknown accepted."""

from pathlib import Path

import msgspec
import pytest

from backhaul.errors import SettingsError
from backhaul.settings import (
    Secret,
    build,
    environment_values,
    masked,
    read_deployment,
)

GOOD = """
[numbers]
"+14155550100" = "desk"
[profiles.desk]
instructions = "Be kind."
[regions.us-east]
agents = ["127.0.0.1:8443", "[::1]:8443"]
[edges.edge-1]
public_url = "https://voice.example.com"
"""


class Example(msgspec.Struct, frozen=True):
    name: str
    port: int = 1
    keys: tuple[Secret, ...] = ()
    where: Path = Path("x")

    def problems(self) -> tuple[str, ...]:
        return ("port: must not be 13",) if self.port == 13 else ()


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "warmline.toml"
    path.write_text(text)
    return path


def test_a_good_file(tmp_path: Path) -> None:
    deployment = read_deployment(written(tmp_path, GOOD))
    assert deployment.profiles["desk"].voice == "marin"
    assert deployment.regions["us-east"].agents == ("127.0.0.1:8443", "[::1]:8443")
    assert deployment.directory == tmp_path


def test_every_problem_is_named_at_once(tmp_path: Path) -> None:
    bad = """
colour = "red"
regions = 5
[numbers]
"+1" = "nobody"
[profiles.a]
voice = 5
[profiles.b]
instructions = " "
greeting_file = "x.wav"
[profiles.c]
instructions = "x"
speed = 9
typo = 1
[profiles.c.turn_detection]
type = "server_vad"
threshold = 2.0
[edges]
e = 1
"""
    with pytest.raises(SettingsError) as caught:
        read_deployment(written(tmp_path, bad))
    starts = sorted(line.partition(":")[0] for line in caught.value.problems)
    assert starts == [
        "colour",
        "edges.e",
        "numbers",
        "profiles.a.instructions",
        "profiles.a.voice",
        "profiles.b.greeting_file needs greeting, the text that it speaks",
        "profiles.b.instructions must not be empty",
        "profiles.c.speed",
        "profiles.c.turn_detection",
        "profiles.c.typo",
        "regions",
    ]


@pytest.mark.parametrize(
    "address", ["host", "host:", ":1", "host:0", "host:70000", "host:x", "host:\u0661"]
)
def test_an_address_needs_host_and_port(tmp_path: Path, address: str) -> None:
    text = GOOD.replace("127.0.0.1:8443", address)
    with pytest.raises(SettingsError, match="is not host:port"):
        read_deployment(written(tmp_path, text))


def test_a_region_may_say_where_it_is(tmp_path: Path) -> None:
    place = 'agents = ["a:1"]\nlatitude = 39.0\n'
    text = GOOD.replace('agents = ["127.0.0.1:8443", "[::1]:8443"]\n', place)
    with pytest.raises(SettingsError, match="latitude and longitude: both or none"):
        read_deployment(written(tmp_path, text))
    whole = text.replace("latitude", "longitude = -77.5\nlatitude")
    region = read_deployment(written(tmp_path, whole)).regions["us-east"]
    assert (region.latitude, region.longitude) == (39.0, -77.5)


@pytest.mark.parametrize("text", ["a = ", "\udcff"])
def test_a_file_that_is_no_toml(tmp_path: Path, text: str) -> None:
    path = tmp_path / "warmline.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(SettingsError, match=r"warmline\.toml"):
        read_deployment(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        read_deployment(tmp_path / "nothing.toml")


def test_text_from_the_environment_becomes_what_the_field_is() -> None:
    found = environment_values(
        Example,
        prefix="X_",
        aliases={"API_KEYS": "keys"},
        environ={"X_NAME": "n", "X_PORT": "7", "API_KEYS": "a, b", "OTHER": "z"},
    )
    built = build(Example, found)
    assert (built.name, built.port) == ("n", 7)
    assert [key.reveal() for key in built.keys] == ["a", "b"]


@pytest.mark.parametrize("first", ["X_NAME", "NAME"])
def test_our_own_variable_wins_over_one_that_others_read_too(first: str) -> None:
    both = {"X_NAME": "ours", "NAME": "theirs"}
    found = environment_values(
        Example,
        prefix="X_",
        aliases={"NAME": "name"},
        environ={first: both[first], **both},
    )
    assert found == {"name": "ours"}


def test_an_unknown_variable_with_the_prefix_is_refused() -> None:
    with pytest.raises(SettingsError, match="X_PROT"):
        environment_values(Example, prefix="X_", aliases={}, environ={"X_PROT": "7"})


def test_build_names_missing_unknown_and_ill_typed_values() -> None:
    with pytest.raises(SettingsError) as caught:
        build(Example, {"port": "x", "nmae": "y"}, where="here")
    assert [line.partition(":")[0] for line in caught.value.problems] == [
        "here.nmae",
        "here.name",
        "here.port",
    ]


def test_checks_across_fields_come_last() -> None:
    with pytest.raises(SettingsError, match="must not be 13"):
        build(Example, {"name": "n", "port": 13})


def test_secrets_are_never_shown() -> None:
    secret = Secret("hush")
    assert "hush" not in f"{secret} {secret!r}"
    assert secret.reveal() == "hush"
    shown = masked(Example(name="n", keys=(secret,), where=Path("a/b"))).decode()
    assert "hush" not in shown
    assert '"***"' in shown
    assert "a/b" in shown
