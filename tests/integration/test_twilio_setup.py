"""``warmline twilio setup`` through Twilio's own package, against a stand-in."""

import asyncio
import json
import tomllib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import tomli_w
from typer.testing import CliRunner

from lab.cli import app
from lab.number_setup import SetupOptions, run_setup
from lab.twilio_account import AccountError, Credentials, TwilioAccount
from lab.twilio_api import TwilioApi, TwilioApiRegion

ACCOUNT = "AC" + "0" * 32
ONE, TWO = "+14155550100", "+353015550100"
SHARED = "https://any.example.com"
SECRET = "hush-hush-0123456789"
FRAGMENT = "#ct=2000&rt=4000&rc=2&rp=all"
ENVIRON = {
    "TWILIO_ACCOUNT_SID": ACCOUNT,
    "TWILIO_API_KEY": "SK" + "1" * 32,
    "TWILIO_API_SECRET": SECRET,
    "TWILIO_API_KEY_IE1": "SK" + "2" * 32,
    "TWILIO_API_SECRET_IE1": SECRET + "-ie1",
}


@pytest_asyncio.fixture
async def api() -> AsyncIterator[TwilioApi]:
    api = TwilioApi(
        ACCOUNT,
        regions={
            "us1": TwilioApiRegion({"SK" + "1" * 32: SECRET}),
            "ie1": TwilioApiRegion({"SK" + "2" * 32: SECRET + "-ie1"}),
        },
    )
    for region in api.regions:
        api.add_number(region, ONE)
        api.add_number(region, TWO)
    await api.start()
    yield api
    await api.aclose()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "warmline.toml"
    path.write_text(
        tomli_w.dumps(
            {
                "numbers": {ONE: "desk", TWO: "desk", "*": "desk"},
                "profiles": {"desk": {"instructions": "Be brief."}},
                "regions": {"us": {"agents": ["127.0.0.1:7443"]}},
                "edges": {
                    "one": {"public_url": "https://edge.example.com"},
                    "two": {"public_url": "https://edge.example.com"},
                },
            }
        )
    )
    return path


async def run(api: TwilioApi, config: Path, **options: object) -> int:
    wanted = SetupOptions(config, api_url=api.url, **options)  # type: ignore[arg-type]
    return await asyncio.to_thread(run_setup, wanted, environ=ENVIRON)


def rewrite(config: Path, change: Callable[[dict[str, Any]], None]) -> None:
    tables = tomllib.loads(config.read_text())
    change(tables)
    config.write_text(tomli_w.dumps(tables))


def settings(api: TwilioApi, region: str, number: str) -> dict[str, object]:
    every = api.regions[region].numbers.values()
    return next(one for one in every if one["phone_number"] == number)


def changes(api: TwilioApi) -> int:
    return sum(request.method == "POST" for request in api.requests)


async def test_a_plan_is_shown_and_nothing_is_changed(
    api: TwilioApi, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run(api, config) == 0
    out = capsys.readouterr().out
    assert f"-> https://edge.example.com/twilio/voice{FRAGMENT}" in out
    assert "2 to change; nothing was changed. Apply it: --yes" in out
    assert changes(api) == 0


async def test_numbers_are_pointed_at_the_fabric_and_then_left_alone(
    api: TwilioApi, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run(api, config, yes=True) == 0
    for number in (ONE, TWO):
        kept = settings(api, "us1", number)
        assert kept["voice_url"] == f"https://edge.example.com/twilio/voice{FRAGMENT}"
        assert kept["voice_fallback_url"] == kept["voice_url"]
        assert (
            kept["status_callback"]
            == f"https://edge.example.com/twilio/status{FRAGMENT}"
        )
        assert kept["sms_url"] == "https://sms.example.com/in"
    assert changes(api) == 2
    assert await run(api, config, yes=True) == 0
    assert "as it should be" in capsys.readouterr().out
    assert changes(api) == 2


async def test_every_region_has_settings_and_keys_of_its_own(
    api: TwilioApi, config: Path
) -> None:
    assert await run(api, config, yes=True, regions=("ie1",), egress=("dublin",)) == 0
    expected = f"https://edge.example.com/twilio/voice{FRAGMENT}&e=dublin"
    assert settings(api, "ie1", ONE)["voice_url"] == expected
    assert settings(api, "us1", ONE)["voice_url"] != expected
    assert {request.region for request in api.requests} == {"ie1"}


async def test_the_region_is_the_one_that_is_configured(
    api: TwilioApi, config: Path
) -> None:
    rewrite(config, lambda tables: tables.update(edge={"twilio_region": "ie1"}))
    assert await run(api, config) == 0
    assert {request.region for request in api.requests} == {"ie1"}


async def test_what_takes_calls_away_from_the_webhook_goes(
    api: TwilioApi, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings(api, "us1", ONE)["voice_application_sid"] = "AP" + "3" * 32
    settings(api, "us1", TWO)["trunk_sid"] = "TK" + "4" * 32
    assert await run(api, config, yes=True) == 0
    assert settings(api, "us1", ONE)["voice_application_sid"] is None
    assert settings(api, "us1", TWO)["trunk_sid"] is None
    assert f"trunk_sid: TK{'4' * 32} -> (empty)" in capsys.readouterr().out


async def test_json_tells_the_plan_and_whether_it_was_applied(
    api: TwilioApi, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run(api, config, json=True) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["applied"] is False
    assert plan["numbers"][0]["changes"][0] == {
        "setting": "voice_url",
        "now": "https://demo.twilio.com/welcome/voice/",
        "then": f"https://edge.example.com/twilio/voice{FRAGMENT}",
    }
    assert await run(api, config, json=True, yes=True) == 0
    assert json.loads(capsys.readouterr().out)["applied"] is True


async def test_a_number_that_is_not_there_keeps_all_from_changing(
    api: TwilioApi, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del api.regions["us1"].numbers[str(settings(api, "us1", TWO)["sid"])]
    assert await run(api, config, yes=True) == 1
    assert f"{TWO} in us1: not a number of this account" in capsys.readouterr().out
    assert changes(api) == 0


async def test_a_number_is_found_on_any_page_and_not_by_half(
    api: TwilioApi, config: Path
) -> None:
    longer = ONE + "7"
    every = api.regions["us1"].numbers
    every.clear()
    for _ in range(60):
        api.add_number("us1", longer)
    api.add_number("us1", ONE)
    api.add_number("us1", TWO)
    assert await run(api, config, yes=True) == 0
    assert (
        settings(api, "us1", ONE)["voice_url"]
        != settings(api, "us1", longer)["voice_url"]
    )
    assert changes(api) == 2


async def test_calls_begin_at_the_shared_name_and_fall_back_to_an_edge(
    api: TwilioApi, config: Path
) -> None:
    rewrite(config, lambda tables: tables.update(edge={"shared_url": SHARED + "/"}))
    assert await run(api, config, yes=True) == 0
    kept = settings(api, "us1", ONE)
    assert kept["voice_url"] == f"{SHARED}/twilio/voice{FRAGMENT}"
    fallback = f"https://edge.example.com/twilio/voice{FRAGMENT}"
    assert kept["voice_fallback_url"] == fallback


async def test_of_several_public_urls_one_must_be_chosen(
    api: TwilioApi, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = {"public_url": "https://two.example.com"}
    rewrite(config, lambda tables: tables["edges"].update(two=other))
    assert await run(api, config) == 2
    assert "--url: the edges have several public URLs" in capsys.readouterr().err
    assert await run(api, config, url="https://two.example.com", yes=True) == 0
    kept = settings(api, "us1", ONE)
    assert kept["voice_url"] == f"https://two.example.com/twilio/voice{FRAGMENT}"
    fallback = f"https://edge.example.com/twilio/voice{FRAGMENT}"
    assert kept["voice_fallback_url"] == fallback


async def test_wrong_credentials_are_told_without_them(
    api: TwilioApi, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    api.regions["us1"].credentials["SK" + "1" * 32] = "another"
    assert await run(api, config, yes=True) == 1
    err = capsys.readouterr().err
    assert "Twilio in us1: refuses the credentials (HTTP 401)" in err
    assert SECRET not in err


async def test_a_refusal_is_told_in_twilios_words(
    api: TwilioApi, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    api.failures.append(500)
    assert await run(api, config, yes=True) == 1
    err = capsys.readouterr().err
    assert "HTTP 500, error 20500" in err
    assert "Traceback" not in err


async def test_a_change_that_is_not_kept_is_an_error(
    api: TwilioApi, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    api.forgets.add("voice_url")
    assert await run(api, config, yes=True, json=True) == 1
    captured = capsys.readouterr()
    assert "kept its own voice_url" in captured.err
    assert json.loads(captured.out)["applied"] is False


async def test_twilio_is_asked_again_when_it_is_busy(api: TwilioApi) -> None:
    waits: list[float] = []
    account = TwilioAccount(
        "us1", Credentials.of("us1", ENVIRON), api_url=api.url, wait=waits.append
    )
    api.failures.extend([429, 503, 429])
    found = await asyncio.to_thread(account.find, ONE)
    assert found is not None
    assert waits == [1.0, 1.0, 1.0]
    api.failures.extend([429] * 4)
    with pytest.raises(AccountError, match="HTTP 429, error 20429"):
        await asyncio.to_thread(account.find, ONE)


async def test_nobody_at_the_other_end_is_told(
    api: TwilioApi, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await api.aclose()
    assert await run(api, config) == 1
    assert "Twilio in us1: no answer (ConnectionError)" in capsys.readouterr().err


async def test_the_command_takes_its_keys_from_the_environment(
    api: TwilioApi, config: Path
) -> None:
    arguments = ["twilio", "setup", "--config", str(config), "--api", api.url]
    arguments += ["--region", "us1", "--region", "ie1", "--yes"]
    runner = CliRunner()
    result = await asyncio.to_thread(runner.invoke, app, arguments, env=ENVIRON)
    assert (result.exit_code, changes(api)) == (0, 4)
    assert SECRET not in result.output


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"url": "http://edge.example.com"}, "--url: 'http://edge.example.com' is not"),
        ({"url": "https://edge.example.com/x"}, "--url: without a path"),
        ({"url": "https://edge.example.com#rc=1"}, "--url: without a fragment"),
        ({"fallback_url": "ftp://x"}, "--fallback: 'ftp://x' is not an https:// URL"),
        ({"regions": ("us1", "de1")}, "--region: 'de1' is none of us1, ie1, au1"),
        ({"egress": ("london",)}, "--egress: 'london' is none of"),
    ],
)
async def test_wrong_options_are_told_before_anybody_is_asked(
    api: TwilioApi,
    config: Path,
    capsys: pytest.CaptureFixture[str],
    options: dict[str, object],
    line: str,
) -> None:
    assert await run(api, config, **options) == 2
    assert line in capsys.readouterr().err
    assert api.requests == []
