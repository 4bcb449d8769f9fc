"""Whether a drill was passed: what became of its calls, and how long it took."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

from lab.drills.checker import Audit
from lab.drills.history import CallSeen, Change, History, SessionSeen
from lab.figures import percentile

__all__ = ["Figures", "Limits", "Since", "Timing", "figures_of", "result_of"]

_MS: Final = 1000
_BYTES_PER_MS: Final = 8
_SHOWN: Final = 4
"""Reasons that are spelt out."""
_LEFT: Final = frozenset({"holding", "moving"})


class Since(Enum):
    """From when times of a call count."""

    STRIKE = "strike"
    """The fault came to all at once."""
    CLOSE = "close"
    """Each call's session was closed for itself."""
    LEFT = "left"
    """Each call left its session, which still worked: nobody heard its caller from its
    last word on."""
    STREAM = "stream"
    """The strike; what counts is the call's next Media Stream."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a drill has to reach; None: it does not matter.

    Attributes:
        detect_ms: Until the loss was noticed, 99th percentile.
        restore_ms: Until the caller's audio came to the next session, likewise.
        recovered: Share of the calls.
    """

    detect_ms: float | None = None
    restore_ms: float | None = None
    recovered: float = 1.0


@dataclass(frozen=True, slots=True)
class Timing:
    """How one call fared that the fault hit (ms); None: it never was."""

    detect_ms: float | None
    restore_ms: float | None


@dataclass(slots=True)
class Figures:
    """What there is to judge; those of several rounds add up."""

    calls: int = 0
    broken: int = 0
    timings: list[Timing] = field(default_factory=list[Timing])
    lost_bytes: int = 0
    tools_twice: int = 0
    complaints: list[str] = field(default_factory=list[str])
    """What is wrong whatever the times are."""
    strict: list[str] = field(default_factory=list[str])
    """What is wrong, unless the machine is too busy: it took too long, or somebody was
    taken for dead who was only slow."""

    def add(self, other: "Figures") -> None:
        """Add the figures of another round."""
        self.calls += other.calls
        self.broken += other.broken
        self.timings += other.timings
        self.lost_bytes += other.lost_bytes
        self.tools_twice += other.tools_twice
        self.complaints += other.complaints
        self.strict += other.strict


def figures_of(
    history: History, audit: Audit, *, struck_at: float | None, since: Since
) -> Figures:
    """Return what the calls of one round come to.

    Args:
        history: Of them.
        audit: What was wrong with them.
        struck_at: When the fault came; None: it came to nobody at once.
        since: From when times count.
    """
    found = (_timing(call, history, struck_at, since) for call in history.calls)
    return Figures(
        calls=len(history.calls),
        broken=len(audit.broken & {call.call_sid for call in history.calls}),
        timings=[timing for timing in found if timing is not None],
        lost_bytes=sum(audit.lost_bytes.values()),
        tools_twice=audit.tools_twice,
        complaints=[str(violation) for violation in audit.violations],
    )


def _timing(
    call: CallSeen, history: History, struck_at: float | None, since: Since
) -> Timing | None:
    if since is Since.STREAM:
        return _stream_timing(call, struck_at)
    changes = history.changes_of(call.call_sid)
    left = [one for one in changes if one.old == "bridged" and one.new in _LEFT]
    if struck_at is not None:
        left = [one for one in left if one.at >= struck_at]
    if not left:
        return None
    before = _session_before(left[0], history)
    heard_from = _heard_from(left[0], history)
    match since:
        case Since.LEFT:
            until = None if before is None else before.heard_until
            return Timing(None, _ms(until, heard_from))
        case Since.CLOSE:
            began = None if before is None else before.closing_at
        case _:
            began = struck_at
    return Timing(_ms(began, left[0].at), _ms(began, heard_from))


def _ms(begin: float | None, end: float | None) -> float | None:
    """Return how long it took (ms), None if it is not known to be over."""
    return None if begin is None or end is None else max(end - begin, 0.0) * _MS


def _stream_timing(call: CallSeen, struck_at: float | None) -> Timing | None:
    if struck_at is None or call.ended_at < struck_at:
        return None
    later = [at for at in call.streams if at > struck_at]
    if not later:
        return None
    return Timing(None, (later[0] - struck_at) * _MS)


def _session_before(left: Change, history: History) -> SessionSeen | None:
    """Return the session that a call had until then."""
    owners = [one for one in history.owners_of(left.call_sid) if one.at <= left.at]
    return history.sessions.get(owners[-1].session_id) if owners else None


def _heard_from(left: Change, history: History) -> float | None:
    """Return when the next session began to hear the caller."""
    owners = [one for one in history.owners_of(left.call_sid) if one.at > left.at]
    seen = history.sessions.get(owners[0].session_id) if owners else None
    return None if seen is None else seen.heard_from


def result_of(
    drill: str, figures: Figures, limits: Limits, *, leniency: float | None
) -> dict[str, Any]:
    """Return the verdict, ready for JSON.

    Args:
        drill: Its name.
        figures: Of all rounds.
        limits: What is to be reached.
        leniency: By what times may be longer; None: they are told, but not judged.
    """
    detect = [t.detect_ms for t in figures.timings if t.detect_ms is not None]
    restore = [t.restore_ms for t in figures.timings if t.restore_ms is not None]
    recovered = figures.calls - figures.broken
    why: list[str] = []
    if not figures.calls:
        why.append("no call was placed")
    elif recovered < limits.recovered * figures.calls:
        why.append(f"{figures.broken} of {figures.calls} calls did not recover")
    if why or limits.recovered >= 1.0:
        why += _first(figures.complaints)
    slow = [
        *_too_late("detected", detect, limits.detect_ms, leniency or 1.0),
        *_too_late("restored", restore, limits.restore_ms, leniency or 1.0),
        *figures.strict,
    ]
    if leniency is not None:
        why += _first(slow)
    verdict = "fail" if why else "pass"
    if leniency is None:
        why.append("times were not judged")
    elif leniency != 1.0:
        why.append(f"times may be {leniency:g} times as long")
    return {
        "drill": drill,
        "calls": figures.calls,
        "recovered": recovered,
        "lost": figures.broken,
        "detect_ms": _percentiles(detect),
        "restore_ms": _percentiles(restore),
        "audio_lost_ms": round(figures.lost_bytes / _BYTES_PER_MS, 1),
        "tools_twice": figures.tools_twice,
        "verdict": verdict,
        "why": "; ".join(why),
    }


def _too_late(
    what: str, values: Sequence[float], limit_ms: float | None, leniency: float
) -> list[str]:
    p99 = percentile(values, 99)
    if limit_ms is None:
        return []
    if p99 is None:
        return [f"nothing was {what}"]
    if p99 <= limit_ms * leniency:
        return []
    return [f"{what} after {p99:.0f} ms (p99), limit {limit_ms * leniency:.0f} ms"]


def _percentiles(values: Sequence[float]) -> dict[str, float | None]:
    found = {f"p{p}": percentile(values, p) for p in (50, 99)}
    return {
        name: None if value is None else round(value, 1)
        for name, value in found.items()
    }


def _first(complaints: Sequence[str]) -> list[str]:
    more = len(complaints) - _SHOWN
    return [*complaints[:_SHOWN], *([f"and {more} more"] if more > 0 else [])]
