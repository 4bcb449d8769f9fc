"""What all calls of an agent saw, added up."""

from collections import Counter
from dataclasses import dataclass, field

from backhaul.core.messages import HandoverReason

__all__ = ["BridgeCounters"]


@dataclass(slots=True)
class BridgeCounters:
    """What all bridges of an agent saw."""

    audio_frames_in: int = 0
    """Frames from callers."""
    audio_frames_out: int = 0
    """Frames to callers."""
    audio_bytes_in: int = 0
    audio_bytes_out: int = 0
    interruptions: int = 0
    """Times a caller cut the voice."""
    false_starts: int = 0
    """Sounds of callers that were too short to cut it."""
    stale_deltas: int = 0
    """Model audio of a response that was interrupted, over or not the current one."""
    overlapping_responses: int = 0
    responses_failed: int = 0
    responses_retried: int = 0
    transcripts_caller: int = 0
    transcripts_model: int = 0
    """Items written down."""
    tool_calls_repeated: int = 0
    """Calls of functions that came a second time and were not made again."""
    digits_dropped: int = 0
    """Keys beyond what one message holds."""
    audio_overflowed_bytes: int = 0
    """Model audio beyond what may wait for a caller."""
    handovers_asked: Counter[HandoverReason] = field(
        default_factory=Counter[HandoverReason]
    )
    """Times that an edge was asked to take a call to another session."""
