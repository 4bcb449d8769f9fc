"""``warmline twilio setup``: points Twilio's numbers at the edges."""

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from backhaul.errors import SettingsError
from backhaul.settings import DeploymentFile, read_deployment
from lab.number_plan import (
    DEFAULT_RETRIES,
    EGRESS_EDGES,
    NumberPlan,
    Retries,
    Webhooks,
    plan_number,
    shown,
)
from lab.twilio_account import CITIES, AccountError, Credentials, TwilioAccount

__all__ = ["SetupOptions", "run_setup"]

_E164 = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)


@dataclass(frozen=True, slots=True)
class SetupOptions:
    """What the operator asks for."""

    config: Path
    url: str = ""
    """Where calls begin; empty: the configuration's `shared_url` or `public_url`."""
    fallback_url: str = ""
    """Empty: an edge of the configuration that is not at `url`, else `url`."""
    regions: tuple[str, ...] = ()
    """Twilio's; none: the configuration's `twilio_region`."""
    egress: tuple[str, ...] = ()
    retries: int = DEFAULT_RETRIES
    yes: bool = False
    json: bool = False
    api_url: str = ""


def run_setup(
    options: SetupOptions, *, environ: Mapping[str, str] | None = None
) -> int:
    """Show what would change at Twilio, or change it; return the exit code.

    Returns:
        0: the numbers are as they should be, or the plan for it is shown; 1: Twilio
        refuses, or a number cannot be had; 2: the options or settings are wrong.
    """
    environ = os.environ if environ is None else environ
    try:
        deployment = read_deployment(options.config)
        webhooks = _webhooks(options, deployment)
        numbers = _numbers(deployment)
        accounts = _accounts(options, deployment, environ)
    except SettingsError as exc:
        sys.stderr.writelines(f"{line}\n" for line in exc.problems)
        return 2
    try:
        plans = [
            plan_number(region, number, account.find(number), webhooks)
            for region, account in accounts.items()
            for number in numbers
        ]
    except AccountError as exc:
        return _refuse(exc)
    if not options.json:
        _show(plans, yes=options.yes)
    impossible = any(plan.problem for plan in plans)
    error = _apply(plans, accounts) if options.yes and not impossible else None
    if options.json:
        _show_json(plans, applied=options.yes and not impossible and error is None)
    if error is not None:
        return _refuse(error)
    return 1 if impossible else 0


def _refuse(error: AccountError) -> int:
    sys.stderr.write(f"{error}\n")
    return 1


def _apply(
    plans: Sequence[NumberPlan], accounts: Mapping[str, TwilioAccount]
) -> AccountError | None:
    """Make all changes; stop at the first that fails, and return why."""
    try:
        for plan in plans:
            if plan.changes:
                accounts[plan.region].apply(plan)
                sys.stderr.write(f"{plan.number} in {plan.region}: done\n")
    except AccountError as exc:
        return exc
    return None


def _numbers(deployment: DeploymentFile) -> list[str]:
    numbers = [name for name in deployment.numbers if _E164.fullmatch(name)]
    if not numbers:
        raise SettingsError(("numbers: none in E.164, such as +14155550100",))
    return numbers


def _accounts(
    options: SetupOptions, deployment: DeploymentFile, environ: Mapping[str, str]
) -> dict[str, TwilioAccount]:
    regions = options.regions or (str(deployment.edge.get("twilio_region", "us1")),)
    problems = [
        f"--region: {region!r} is none of {', '.join(CITIES)}"
        for region in regions
        if region not in CITIES
    ]
    if problems:
        raise SettingsError(tuple(problems))
    account_sid = str(deployment.edge.get("account_sid", ""))
    try:
        return {
            region: TwilioAccount(
                region,
                Credentials.of(region, environ, account_sid=account_sid),
                api_url=options.api_url,
            )
            for region in dict.fromkeys(regions)
        }
    except AccountError as exc:
        raise SettingsError((str(exc),)) from None


def _webhooks(options: SetupOptions, deployment: DeploymentFile) -> Webhooks:
    known = list(dict.fromkeys(_public_urls(deployment)))
    shared = str(deployment.edge.get("shared_url", "")).rstrip("/")
    url = options.url.rstrip("/") or shared or (known[0] if known else "")
    others = [other for other in known if other != url]
    fallback = options.fallback_url or (others[0] if others else url)
    problems = [*_url_problems("--url", url), *_url_problems("--fallback", fallback)]
    if not (options.url or shared) and len(known) > 1:
        problems.append(
            "--url: the edges have several public URLs; say which one is Twilio's "
            "first, or the name that leads to the nearest"
        )
    if urlsplit(url).path:
        problems.append("--url: without a path; /twilio/voice is added")
    problems += [
        f"--egress: {place!r} is none of {', '.join(EGRESS_EDGES)}"
        for place in options.egress
        if place not in EGRESS_EDGES
    ]
    if problems:
        raise SettingsError(tuple(problems))
    retries = Retries(count=options.retries, egress=options.egress)
    return Webhooks(url, fallback, retries)


def _public_urls(deployment: DeploymentFile) -> Iterator[str]:
    for own in deployment.edges.values():
        url = str({**deployment.edge, **own}.get("public_url", ""))
        if url:
            yield url.rstrip("/")


def _url_problems(option: str, url: str) -> Iterator[str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        yield f"{option}: not a URL"
        return
    if parts.scheme != "https" or not parts.hostname:
        yield f"{option}: {shown(url)!r} is not an https:// URL"
    if parts.fragment:
        yield f"{option}: without a fragment; connection overrides are added"


def _show_json(plans: Sequence[NumberPlan], *, applied: bool) -> None:
    rows = [asdict(plan) | {"changes": _rows(plan)} for plan in plans]
    line = msgspec.json.encode({"applied": applied, "numbers": rows})
    sys.stdout.write(line.decode() + "\n")


def _show(plans: Sequence[NumberPlan], *, yes: bool) -> None:
    for plan in plans:
        sys.stdout.writelines(_lines(plan))
    count = sum(bool(plan.changes) for plan in plans)
    if count and not yes:
        sys.stdout.write(f"{count} to change; nothing was changed. Apply it: --yes\n")


def _rows(plan: NumberPlan) -> list[dict[str, str]]:
    return [
        {"setting": each.setting, "now": shown(each.now), "then": shown(each.then)}
        for each in plan.changes
    ]


def _lines(plan: NumberPlan) -> Iterator[str]:
    if plan.problem:
        yield f"{plan.number} in {plan.region}: {plan.problem}\n"
        return
    state = "to change" if plan.changes else "as it should be"
    yield f"{plan.number} in {plan.region}: {state}\n"
    for row in _rows(plan):
        now, then = row["now"] or "(empty)", row["then"] or "(empty)"
        yield f"  {row['setting']}: {now} -> {then}\n"
