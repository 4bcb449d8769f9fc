"""What a session makes of events, without a socket."""

import msgspec
import pytest

from backhaul.core.estimators import SmoothedMean
from region_agent.core.realtime_protocol import PROOF_ID
from region_agent.core.session_pulse import PulseConfig
from region_agent.first_audio import FirstAudioWatch
from region_agent.realtime import RealtimeCounters, RealtimeSession

CLEARED = {"type": "input_audio_buffer.cleared"}
UNKNOWN = {
    "type": "error",
    "error": {"type": "invalid_request_error", "code": "odd", "event_id": PROOF_ID},
}


class Told:
    """Counts how often a session proved that it answers."""

    def __init__(self) -> None:
        self.proofs = 0
        self.session = RealtimeSession(
            RealtimeCounters(),
            FirstAudioWatch(SmoothedMean()),
            PulseConfig(),
            join=lambda _: None,
        )

    def ask(self) -> None:
        self.session.prove(self.on_proven)

    def on_proven(self) -> None:
        self.proofs += 1

    def hear(self, event: object) -> None:
        self.session._on_message(msgspec.json.encode(event))


@pytest.mark.parametrize("answer", [CLEARED, UNKNOWN])
async def test_any_answer_to_the_question_is_a_proof(answer: object) -> None:
    told = Told()
    told.ask()
    told.hear(answer)
    told.hear(answer)
    assert told.proofs == 1


async def test_nothing_else_is_a_proof() -> None:
    told = Told()
    told.hear(CLEARED)
    told.ask()
    told.hear({"type": "rate_limits.updated"})
    told.hear({"type": "error", "error": {"type": "server_error"}})
    assert told.proofs == 0
