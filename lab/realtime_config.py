"""The configuration of one Realtime session: its defaults and what may change when."""

from typing import Any

import msgspec

from lab.realtime_events import Json, RefusedEventError
from lab.realtime_schema import SessionUpdate
from lab.realtime_tools import check_tools
from lab.vad import VadConfig

__all__ = ["BYTES_PER_MS", "SessionConfig", "check_output_format"]

BYTES_PER_MS = {"audio/pcm": 48, "audio/pcmu": 8, "audio/pcma": 8}


def _defaults(model: str) -> Json:
    return {
        "type": "realtime",
        "model": model,
        "output_modalities": ["audio"],
        "instructions": "You are a helpful assistant.",
        "tools": [],
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "max_output_tokens": "inf",
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "include": None,
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "transcription": None,
                "noise_reduction": None,
                "turn_detection": {
                    "type": "server_vad",
                    "threshold": 0.5,
                    "prefix_padding_ms": 300,
                    "silence_duration_ms": 500,
                    "idle_timeout_ms": None,
                    "create_response": True,
                    "interrupt_response": True,
                },
            },
            "output": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "voice": "marin",
                "speed": 1.0,
            },
        },
    }


class SessionConfig:
    """What a client configured; *wire* is the session as the protocol shows it."""

    def __init__(self, model: str) -> None:
        self.wire: Json = _defaults(model)
        self.model = model

    @property
    def input(self) -> Json:
        """How the caller's audio is taken."""
        value: Json = self.wire["audio"]["input"]
        return value

    @property
    def output(self) -> Json:
        """How the model's audio is given."""
        value: Json = self.wire["audio"]["output"]
        return value

    @property
    def input_format(self) -> str:
        """The media type of the caller's audio."""
        return str(self.input["format"]["type"])

    @property
    def instructions(self) -> str:
        """What the model was told."""
        return str(self.wire["instructions"])

    @property
    def turn_detection(self) -> Json | None:
        """The turn detection with all its fields, None for manual turns."""
        value: Json | None = self.input["turn_detection"]
        return value

    def vad(self) -> VadConfig | None:
        """Return how turns are to be detected, None for manual turns."""
        detection = self.turn_detection
        if detection is None:
            return None
        if detection["type"] == "semantic_vad":
            return VadConfig.semantic(detection["eagerness"])
        return VadConfig(
            threshold=detection["threshold"],
            prefix_padding_ms=detection["prefix_padding_ms"],
            silence_duration_ms=detection["silence_duration_ms"],
        )

    def update(
        self, update: SessionUpdate, *, spoke: bool, heard: bool, responding: bool
    ) -> None:
        """Apply *update*, or nothing of it.

        Args:
            update: The client's wish.
            spoke: Whether the session already produced audio: the voice is fixed.
            heard: Whether audio was appended: its format is fixed.
            responding: Whether a response is active: the speed is fixed.

        Raises:
            RefusedEventError: If something in it cannot be changed (any more).
        """
        wish: Json = msgspec.to_builtins(update)
        audio: Json = wish.pop("audio", {})
        output: Json = audio.get("output", {})
        self._check_model_and_tracing(wish)
        check_output_format(output, "session.audio.output.format")
        if spoke:
            self.check_voice(output, "session.audio.output.voice")
        speed = self.output["speed"]
        if responding and output.get("speed", speed) != speed:
            raise _fixed("speed", "session.audio.output.speed", "while responding")
        chosen = audio.get("input", {}).get("format", self.input["format"])
        if heard and chosen != self.input["format"]:
            raise _fixed(
                "format", "session.audio.input.format", "once audio was appended"
            )
        merged = {**self.wire, **wish}
        check_tools(merged["tools"], merged["tool_choice"], "session")
        self.wire = {
            **merged,
            "audio": {
                "input": {**self.input, **audio.get("input", {})},
                "output": {**self.output, **output},
            },
        }

    def check_voice(self, output: Json, param: str) -> None:
        """Refuse a voice other than the one already heard.

        Raises:
            RefusedEventError: If *output* has another voice.
        """
        if output.get("voice", self.output["voice"]) != self.output["voice"]:
            raise RefusedEventError(
                "cannot_update_voice",
                "Cannot update a conversation's voice if assistant audio is present.",
                param=param,
            )

    def _check_model_and_tracing(self, wish: Json) -> None:
        if wish.get("model", self.model) != self.model:
            raise _fixed("model", "session.model", "during a session")
        enabled: Any = self.wire["tracing"]
        if enabled is not None and wish.get("tracing", enabled) != enabled:
            raise _fixed("tracing", "session.tracing", "once enabled")


def check_output_format(output: Json, param: str) -> None:
    """Refuse the one format this stand-in cannot speak.

    Raises:
        RefusedEventError: If *output* asks for it.
    """
    if output.get("format", {}).get("type") == "audio/pcma":
        raise RefusedEventError(
            "unsupported_by_stand_in",
            "This stand-in speaks audio/pcmu and audio/pcm only.",
            param=param,
        )


def _fixed(what: str, param: str, when: str) -> RefusedEventError:
    return RefusedEventError(
        "invalid_value", f"The {what} cannot be changed {when}.", param=param
    )
