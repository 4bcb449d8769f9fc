"""Headers of a profile with the secrets that only the environment knows."""

import re
from collections.abc import Mapping

from backhaul.settings import Secret

__all__ = ["expand_headers"]

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
_HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?", re.ASCII)
_OWN = frozenset(
    {
        "accept",
        "accept-encoding",
        "connection",
        "content-length",
        "content-type",
        "expect",
        "host",
        "idempotency-key",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
    }
)
"""What the client itself sets, or what would change how the request is framed."""


def expand_headers(
    headers: Mapping[str, str], environ: Mapping[str, str]
) -> tuple[dict[str, Secret], tuple[str, ...]]:
    """Return *headers* with each ``${NAME}`` replaced, and one line per problem.

    No line quotes a value: it may hold a secret.

    Args:
        headers: As a profile has them.
        environ: The environment; an empty variable counts as missing.
    """
    expanded: dict[str, Secret] = {}
    problems: list[str] = []
    for name, template in headers.items():
        value, wrong = _expand(template, environ)
        wrong = wrong or _problem(name, value)
        if wrong:
            problems.append(f"headers.{name}: {wrong}")
        else:
            expanded[name] = Secret(value)
    return expanded, tuple(problems)


def _expand(template: str, environ: Mapping[str, str]) -> tuple[str, str | None]:
    names = dict.fromkeys(_VARIABLE.findall(template))
    missing = [name for name in names if not environ.get(name)]
    if missing:
        return "", f"the environment has no {', '.join(missing)}"
    if "${" in _VARIABLE.sub("", template):
        return "", "${ without the name of a variable and }"
    return _VARIABLE.sub(lambda match: environ[match[1]], template), None


def _problem(name: str, value: str) -> str | None:
    if not _HEADER_NAME.fullmatch(name):
        return "not the name of a header"
    if name.lower() in _OWN:
        return "set by the agent itself"
    if not _HEADER_VALUE.fullmatch(value):
        return "not a value that a header can have"
    return None
