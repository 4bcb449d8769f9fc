"""Machines that are broken on purpose: the simulation must find each of them."""

from typing import Any

from msgspec.structs import replace

from backhaul.core.checkpoint import Called, Checkpoint
from backhaul.core.handover import Handover, HandoverReason
from edge.core.audio_ring import AudioRing
from edge.core.call_events import (
    CallAction,
    CallEvent,
    CallState,
    ChannelClosed,
    CloseChannel,
    PlayGreeting,
    StreamStopped,
)
from edge.core.call_machine import CallMachine
from edge.core.call_memory import CallMemory
from edge.core.move_budget import MoveBudget, MoveKind
from edge.core.region_health import (
    HealthAction,
    RegionHealth,
    RegionState,
    Sighting,
    Stalled,
)
from region_agent.core.attachment import Attachment
from region_agent.core.conversation import Conversation
from region_agent.core.conversation_events import (
    CallBegan,
    CallTaken,
    CallTool,
    ConversationAction,
    ConversationEvent,
    SendEvent,
    SendMessage,
)
from region_agent.core.epoch_fence import EpochFence
from region_agent.core.pool_events import (
    CallEnded,
    PoolAction,
    PoolEvent,
    RetireSession,
)
from region_agent.core.session_pool import SessionPool
from region_agent.core.session_pulse import PulseAction, SessionPulse
from region_agent.core.write_ahead import WriteAhead
from tests.simulation.world import Machines


class _RepeatsAudio(CallMemory):
    def unheard(self) -> tuple[int, tuple[bytes, ...]]:
        self.audio.release(0)
        return self.audio.after(0)

    def keep(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint


class _LosesAudio(CallMemory):
    def unheard(self) -> tuple[int, tuple[bytes, ...]]:
        return self.audio.end, ()


class _MistakesAudio(CallMemory):
    def unheard(self) -> tuple[int, tuple[bytes, ...]]:
        start, frames = super().unheard()
        return start, frames[1:]


class _HoardsAudio(CallMemory):
    def __init__(self) -> None:
        super().__init__()
        self.audio = AudioRing(1 << 30)


class _LosesCheckpoints(CallMemory):
    def keep(self, checkpoint: Checkpoint) -> None:
        super().keep(replace(checkpoint, items=checkpoint.items[:-1]))


class _AsksAtOnce(WriteAhead):
    def called(self, call: CallTool, *, version: int) -> tuple[CallTool, ...]:
        super().called(call, version=version)
        return (call,)

    def kept(self, version: int) -> tuple[CallTool, ...]:
        super().kept(version)
        return ()


class _AdmitsEverybody(EpochFence):
    def is_stale(self, call_sid: str, epoch: int) -> bool:
        del call_sid, epoch
        return False


class _GivesUp(CallMachine):
    def _next(self, event: CallEvent, *, now: float) -> CallState:
        if isinstance(event, ChannelClosed) and self.state is CallState.BRIDGED:
            return CallState.FALLBACK
        return super()._next(event, now=now)


class _KeepsOldChannel(CallMachine):
    def _talk(self, old: CallState, event: CallEvent | None) -> tuple[CallAction, ...]:
        given = super()._talk(old, event)
        return tuple(one for one in given if not isinstance(one, CloseChannel))


class _GreetsAgain(CallMachine):
    def _talk(self, old: CallState, event: CallEvent | None) -> tuple[CallAction, ...]:
        given = super()._talk(old, event)
        return (PlayGreeting(), *given) if old is CallState.HOLDING else given


class _NeverEnds(CallMachine):
    def handle(self, event: CallEvent, *, now: float) -> tuple[CallAction, ...]:
        if isinstance(event, StreamStopped) and self.moves:
            return ()
        return super().handle(event, now=now)


class _Unbounded(MoveBudget):
    def take(self, kind: MoveKind, *, now: float) -> bool:
        super().take(kind, now=now)
        return True


class _MovesAtWill(CallMachine):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._moves = _Unbounded(
            at_once=3, every_s=60.0, at_most=12, asked_every_s=5.0, now=0.0
        )


class _NeverForgives(RegionHealth):
    def handle(
        self, event: Sighting | Stalled, *, now: float
    ) -> tuple[HealthAction, ...]:
        if isinstance(event, Sighting) and self.state is RegionState.DOWN:
            event = Sighting(reachable=False)
        return super().handle(event, now=now)


class _KeepsSessions(SessionPool):
    def handle(self, event: PoolEvent, *, now: float) -> tuple[PoolAction, ...]:
        if isinstance(event, CallEnded):
            return ()
        return super().handle(event, now=now)


class _ForgetsSessions(SessionPool):
    def handle(self, event: PoolEvent, *, now: float) -> tuple[PoolAction, ...]:
        given = super().handle(event, now=now)
        return tuple(one for one in given if not isinstance(one, RetireSession))


class _ForgetsKeys(Conversation):
    def checkpoint(self, *, now: float) -> Checkpoint:
        kept = super().checkpoint(now=now)
        items = (
            replace(one, key=f"{one.key}-again") if isinstance(one, Called) else one
            for one in kept.items
        )
        return replace(kept, items=tuple(items))


class _TurnsAround(Conversation):
    def checkpoint(self, *, now: float) -> Checkpoint:
        kept = super().checkpoint(now=now)
        return replace(kept, items=kept.items[::-1])


class _BeginsAnew(Conversation):
    def handle(
        self, event: ConversationEvent, *, now: float
    ) -> tuple[ConversationAction, ...]:
        if isinstance(event, CallBegan):
            event = CallBegan(resumed=event.resumed, voice=event.voice)
        return super().handle(event, now=now)


class _IsDumb(Conversation):
    def handle(
        self, event: ConversationEvent, *, now: float
    ) -> tuple[ConversationAction, ...]:
        given = super().handle(event, now=now)
        asks = b'{"type":"response.create"'
        return tuple(
            one
            for one in given
            if not (isinstance(one, SendEvent) and one.event.startswith(asks))
        )


class _WaitsForEver(Conversation):
    _accepts = HandoverReason.MODEL_SILENT

    def handle(
        self, event: ConversationEvent, *, now: float
    ) -> tuple[ConversationAction, ...]:
        return self._without_asking(super().handle(event, now=now))

    def expire(self, *, now: float) -> tuple[ConversationAction, ...]:
        return self._without_asking(super().expire(now=now))

    def _without_asking(
        self, given: tuple[ConversationAction, ...]
    ) -> tuple[ConversationAction, ...]:
        asks = SendMessage(Handover(self._accepts))
        return tuple(one for one in given if one != asks)


class _SpeaksInVain(_WaitsForEver):
    _accepts = HandoverReason.MODEL_DEAF


class _LetsGo(Attachment):
    def __init__(self, *, grace_s: float, reserved_s: float) -> None:
        super().__init__(grace_s=grace_s / 100, reserved_s=reserved_s)


class _IsDeaf(SessionPulse):
    def expire(self, *, now: float) -> tuple[PulseAction, ...]:  # noqa: ARG002
        return ()

    def next_deadline(self) -> float | None:
        return None


class _StaysStranded(Conversation):
    def handle(
        self, event: ConversationEvent, *, now: float
    ) -> tuple[ConversationAction, ...]:
        return () if isinstance(event, CallTaken) else super().handle(event, now=now)


BROKEN: dict[str, tuple[Machines, str]] = {
    "audio is sent again": (Machines(call_memory=_RepeatsAudio), "turn known twice"),
    "audio is lost": (Machines(call_memory=_LosesAudio), "audio lost and not told"),
    "audio has a hole": (Machines(call_memory=_MistakesAudio), "audio out of order"),
    "audio is hoarded": (Machines(call_memory=_HoardsAudio), "ring too large"),
    "an item is lost": (Machines(call_memory=_LosesCheckpoints), "turn forgotten"),
    "no fence": (Machines(epoch_fence=_AdmitsEverybody), "stale epoch served"),
    "a loss is the end": (Machines(call_machine=_GivesUp), "call lost"),
    "two owners": (
        Machines(call_machine=_KeepsOldChannel),
        "an earlier owner was heard",
    ),
    "another greeting": (Machines(call_machine=_GreetsAgain), "greeted twice"),
    "calls never end": (Machines(call_machine=_NeverEnds), "call never ended"),
    "no budget": (Machines(call_machine=_MovesAtWill), "moved too often"),
    "no forgiveness": (Machines(region_health=_NeverForgives), "region not forgiven"),
    "sessions are kept": (Machines(session_pool=_KeepsSessions), "not released"),
    "sessions are forgotten": (
        Machines(session_pool=_ForgetsSessions),
        "session leaked",
    ),
    "nothing is held back": (Machines(write_ahead=_AsksAtOnce), "tool executed twice"),
    "other keys": (Machines(conversation=_ForgetsKeys), "tool executed twice"),
    "items turned around": (Machines(conversation=_TurnsAround), "turns out of order"),
    "nothing is told": (Machines(conversation=_BeginsAnew), "turn forgotten"),
    "no grace": (Machines(attachment=_LetsGo), "session not kept"),
    "stranded for ever": (Machines(conversation=_StaysStranded), "not answered"),
    "silence is never noticed": (Machines(session_pulse=_IsDeaf), "not answered"),
    "the voice is dumb": (Machines(conversation=_IsDumb), "not answered"),
    "patience has no end": (Machines(conversation=_WaitsForEver), "not answered"),
    "nobody is heard": (Machines(conversation=_SpeaksInVain), "turn forgotten"),
}
"""What is broken, and what that violates."""
