"""The console as a person meets it: in a real browser, over a real fabric."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.conftest import Looker

# Ten processes and a browser start here, on a machine that may be busy.
pytestmark = pytest.mark.timeout(300)

Look = Callable[..., Looker]

MAX_PAGE_BYTES = 150 * 1024
REGIONS = ("us-east", "eu-central", "ap-southeast")
REACHABLE = ("healthy", "suspect", "healing")
"""Regions of a machine that is busy with something else may be doubted."""
LIVE = "document.getElementById('live').dataset.mood === 'good'"
STARTED = "Number(document.documentElement.dataset.interactive)"
TRANSFERRED = """performance.getEntriesByType('resource')
    .concat(performance.getEntriesByType('navigation'))
    .filter(one => !one.name.includes('/api/'))
    .reduce((sum, one) => sum + one.encodedBodySize, 0)"""


AGENT_WORDS = """(name => [...document.querySelectorAll('#place p')]
    .map(one => one.textContent).find(words => words.startsWith(name)) ?? '')"""


def region_is(name: str, *states: str) -> str:
    mark = f"""document.querySelector('.place[aria-label^="region {name}:"]')"""
    return f"{json.dumps(states)}.includes({mark}?.dataset.state)"


def says(selector: str, words: str) -> str:
    found = f"document.querySelector({json.dumps(selector)})?.textContent"
    return f"({found} ?? '').includes({json.dumps(words)})"


def matches(selector: str, pattern: str) -> str:
    found = f"document.querySelector({json.dumps(selector)})?.textContent"
    return f"new RegExp('{pattern}').test({found} ?? '')"


def call(looker: Looker, profile: str) -> None:
    option = f"#phone-number option:has-text({json.dumps(profile)})"
    number = looker.page.get_attribute(option, "value")
    looker.page.select_option("#phone-number", number)
    looker.page.select_option("#phone-edge", "edge-ashburn")
    looker.page.click("#phone-call")


def hang_up(looker: Looker) -> None:
    looker.page.click("#phone-hang-up")
    looker.wait(says("#phone-state", "ended by caller"))
    looker.page.wait_for_selector("#phone-call:enabled")


def test_a_page_shows_the_fabric(look: Look) -> None:
    looker = look()
    looker.wait(LIVE)
    for region in REGIONS:
        looker.wait(region_is(region, *REACHABLE))
    looker.wait(says("#verdict-facts", "of 3 regions healthy"))
    assert "Waiting" not in looker.text("#verdict-words")
    looker.wait(says("#pools", "front-desk"))
    assert looker.page.evaluate(TRANSFERRED) < MAX_PAGE_BYTES


def test_only_who_has_the_token_sees_anything(look: Look, up: dict[str, Any]) -> None:
    base = up["console_url"].partition("#")[0]
    looker = look(base, ready=False)
    assert looker.page.request.get(f"{base}api/stream").status == 401
    assert looker.page.request.post(f"{base}api/break", data={}).status == 401
    page = looker.page.request.get(base)
    assert "default-src 'none'" in page.headers["content-security-policy"]
    looker.page.fill("#token", "not the token")
    looker.page.click("button")
    looker.wait(says("#problem", "not the token"))
    looker.page.fill("#token", up["console_url"].partition("token=")[2])
    looker.page.keyboard.press("Enter")
    looker.page.wait_for_selector("html[data-interactive]", state="attached")
    looker.page.click("#logout")
    looker.page.wait_for_selector("#token")


def test_a_person_talks_and_is_answered(look: Look) -> None:
    looker = look()
    call(looker, "front-desk")
    looker.wait(says("#phone-state", "You hear it"))
    looker.wait(says("#phone-falls", "turn 1 answered"))
    looker.wait(says("#phone-falls", "first audio greeting"))
    looker.wait(says("#phone-falls", "chosen"))
    hang_up(looker)


def test_a_warm_call_beside_a_cold_one(look: Look) -> None:
    looker = look()
    looker.page.click("#phone-compare")
    looker.wait(says("#phone-falls", "warm:"))
    looker.page.wait_for_selector("#phone-call:enabled")
    looker.wait(matches("#phone-falls", r"lease \\S+ cold"))
    looker.shoot("warm-and-cold", selector="#phone-card")
    figures = looker.page.locator("#phone-falls .big").all_inner_texts()
    assert [words.partition(":")[0] for words in figures] == ["cold", "warm"]


def test_who_talks_to_a_region_that_is_killed_goes_on_elsewhere(look: Look) -> None:
    looker = look()
    looker.page.click("#callers button:has-text('5')")
    looker.wait(says("#verdict-words", "5 callers are well"))
    call(looker, "front-desk")
    looker.wait(matches("#phone-falls", r"conversation \\S+-1"))
    told = looker.page.text_content("#phone-falls")
    region = told.partition("conversation ")[2].partition("-1")[0]
    looker.page.click(f'[aria-label="Kill {region}"]')
    looker.wait(says("#phone-falls", "failover"))
    looker.wait(region_is(region, "down", "suspect"))
    elsewhere = [f"{name}-1" for name in REGIONS if name != region]
    places = [says("#phone-falls", f"conversation {agent}") for agent in elsewhere]
    looker.wait(" || ".join(places))
    looker.wait(says("#verdict-words", "Callers are well"))
    looker.shoot("region-down", whole=True)
    looker.page.click(f'[aria-label="Heal {region}"]')
    looker.wait(region_is(region, "healing", "healthy"))
    looker.wait(says("#break-state", "healed"))
    hang_up(looker)
    assert "0 calls lost" in looker.text("#verdict-facts")
    looker.page.click("#callers button:has-text('0')")


def test_a_region_is_cut_off_from_udp_drained_and_healed(look: Look) -> None:
    looker = look()
    looker.wait(region_is("eu-central", *REACHABLE))
    looker.page.click('.place[aria-label^="edge edge-frankfurt:"]')
    looker.page.click('[aria-label="Block UDP eu-central"]')
    looker.wait(says("#break-state", "UDP blocked"))
    looker.wait(f"{AGENT_WORDS}('eu-central-1').includes('over websocket')")
    looker.page.click('[aria-label="Heal eu-central"]')
    looker.wait(says("#break-state", "eu-central: healed"))
    looker.page.click('[aria-label="Drain ap-southeast"]')
    looker.wait(says("#break-state", "SIGTERM to ap-southeast-1"))
    looker.wait(f"!{AGENT_WORDS}('ap-southeast-1').includes(' over ')")
    looker.page.click('[aria-label="Heal ap-southeast"]')
    looker.wait(says("#break-state", "1 started again"))
    looker.wait(f"{AGENT_WORDS}('ap-southeast-1').includes(' over ')")


def test_everything_is_reached_by_keyboard(look: Look) -> None:
    looker = look(color_scheme="dark")
    looker.wait(region_is("eu-central", *REACHABLE))
    looker.page.keyboard.press("Tab")
    assert looker.page.evaluate("document.activeElement.className") == "skip"
    looker.page.focus('.place[aria-label^="region eu-central:"]')
    looker.page.keyboard.press("Enter")
    looker.wait(says("#place", "eu-central-1"))
    looker.page.wait_for_selector("#calls tbody button")
    looker.page.focus("#calls tbody button")
    looker.page.keyboard.press("Enter")
    looker.page.wait_for_selector("#fall svg")
    looker.wait("document.activeElement.id === 'fall-close'")
    looker.shoot("waterfall", selector="#fall-card")
    looker.page.keyboard.press("Enter")
    looker.page.wait_for_selector("#fall-card", state="hidden")


def test_a_dark_page_on_a_phone(look: Look) -> None:
    looker = look(width=390, color_scheme="dark", has_touch=True)
    looker.wait(LIVE)
    ground = "getComputedStyle(document.body).backgroundColor"
    assert looker.page.evaluate(ground) == "rgb(20, 22, 26)"
    wide = "document.documentElement.scrollWidth > innerWidth"
    assert not looker.page.evaluate(wide)
    looker.shoot("phone")
    looker.page.click("#theme")
    assert looker.page.evaluate(ground) == "rgb(246, 245, 242)"
