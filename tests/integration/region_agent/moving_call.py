"""A call whose edge keeps what the next agent needs: its checkpoint and its audio."""

from dataclasses import dataclass, field

from backhaul.core.checkpoint import Checkpoint, VoiceProgress
from backhaul.core.messages import (
    Clear,
    Cleared,
    CloseReason,
    Message,
    Open,
    Opened,
    Played,
)
from tests.integration.region_agent.bench import Call, EdgeEnd, eventually


@dataclass
class Leg(Call):
    """The part of a call that one agent has; it answers a clear at once, as an edge."""

    owner: "MovingCall" = field(kw_only=True)

    def on_audio(self, audio: bytes) -> None:
        super().on_audio(audio)
        self.owner.voice += audio

    def on_message(self, message: Message) -> None:
        super().on_message(message)
        match message:
            case Checkpoint():
                self.owner.kept = message
            case Clear():
                self.owner.clear()
            case _:
                pass

    def on_channel_closed(self, reason: CloseReason) -> None:
        super().on_channel_closed(reason)
        self.owner.closed.append(reason)


@dataclass
class MovingCall:
    """The edge's part of one call over all its agents."""

    call_sid: str
    profile: str
    greeting: str = ""
    greeting_bytes: int = 0
    epoch: int = 0
    caller: bytearray = field(default_factory=bytearray)
    """All that the caller said."""
    voice: bytearray = field(default_factory=bytearray)
    """All that the caller was given."""
    heard: int = 0
    kept: Checkpoint | None = None
    cleared: Cleared = Cleared(0, 0)  # noqa: RUF009 - it is frozen
    closed: list[CloseReason] = field(default_factory=list)
    legs: list[Leg] = field(default_factory=list)

    @property
    def leg(self) -> Leg:
        return self.legs[-1]

    async def open(self, edge: EdgeEnd) -> Leg:
        """Open the call for the first time, or go on with it."""
        self.epoch += 1
        lease_id = f"{self.call_sid}-{self.epoch}"
        await edge.lease(
            lease_id, self.profile, call_sid=self.call_sid, epoch=self.epoch, cold=True
        )
        kept = self.kept
        begin = kept.caller_position if kept else 0
        if kept is None:
            self.voice[:] = bytes(self.greeting_bytes)
        message = Open(
            lease_id,
            self.call_sid,
            self.profile,
            self.epoch,
            greeting_text="" if kept else self.greeting,
            greeting_bytes=0 if kept else self.greeting_bytes,
            checkpoint=kept,
            caller_position=begin,
            voice=self.progress() if kept else VoiceProgress(),
        )
        self.legs.append(Leg(owner=self))
        self.leg.channel = edge.open_link.open_channel(self.leg, message)
        self.leg.speak(bytes(self.caller[begin:]))
        await eventually(
            lambda: any(isinstance(one, Opened) for one in self.leg.messages)
        )
        return self.leg

    def progress(self) -> VoiceProgress:
        cleared = self.cleared
        return VoiceProgress(
            len(self.voice), self.heard, cleared.position, cleared.heard
        )

    def speak(self, audio: bytes) -> None:
        """The caller speaks; nobody hears it while there is no agent."""
        self.caller += audio
        self.leg.speak(audio)

    def play(self, position: int | None = None) -> None:
        """The caller has heard everything up to *position*; None: all there is."""
        self.heard = len(self.voice) if position is None else position
        self.send(Played(self.heard))

    def clear(self) -> None:
        cleared = Cleared(len(self.voice), self.heard)
        if self.heard < len(self.voice):
            self.cleared = cleared
        self.heard = len(self.voice)
        self.send(cleared)

    def send(self, message: Message) -> None:
        assert self.leg.channel is not None
        self.leg.channel.send(message)
