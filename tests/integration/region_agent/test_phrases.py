"""Fixed phrases, as the Realtime stand-in speaks them."""

import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

from backhaul.batcher import Batcher
from backhaul.clock import monotonic_s
from backhaul.core.estimators import SmoothedMean
from backhaul.core.messages import Greeting, Script
from backhaul.core.profile import CallLength, Fallback, Profile, Recording, Silence
from backhaul.core.tools import Tool
from backhaul.read_group import ReadGroup
from backhaul.settings import Secret
from lab.realtime import RealtimeServer, RealtimeServerSettings
from lab.realtime_faults import Fault
from lab.speech_files import load_line
from region_agent.core.open_limiter import OpenLimiter
from region_agent.phrases import Phrases
from region_agent.realtime import RealtimeCounters
from region_agent.realtime_open import RealtimeEndpoint
from tests.integration.region_agent.bench import GREETING, PACED, eventually

QUICK = replace(PACED, audio_speed=100.0)
OPENING = load_line("opening-1")
PHRASES = [
    load_line(name)
    for name in (
        "filler-1",
        "silence-prompt",
        "silence-goodbye",
        "length-warning",
        "length-goodbye",
    )
]
DESK = Profile(
    "Be kind.",
    greeting=GREETING.text,
    recording=Recording("calls", announcement="This call is recorded."),
    tools=(
        Tool("look", "Look.", "https://tools.example.com/", filler=PHRASES[0].text),
    ),
)
QUIET = Profile("Be quiet.", silence=Silence(after_s=0), length=CallLength(warning_s=0))


@dataclass
class Bench:
    model: RealtimeServer
    phrases: Phrases
    pushed: list[Greeting | Script] = field(default_factory=list)

    def start(self) -> None:
        self.phrases.start()

    def rendered(self, name: str = "desk") -> list[str]:
        return [
            line.name
            for line in (OPENING, *PHRASES)
            if self.phrases.audio(name, line.text) == line.audio
        ]


ALL = [line.name for line in (OPENING, *PHRASES)]


@contextlib.asynccontextmanager
async def bench_with(
    profiles: dict[str, Profile], recorded: dict[str, Greeting] | None = None
) -> AsyncIterator[Bench]:
    async with RealtimeServer(RealtimeServerSettings(latency=QUICK)) as model:
        pushed: list[Greeting | Script] = []
        reads = ReadGroup(Batcher())
        phrases = Phrases(
            profiles,
            recorded or {},
            endpoint=RealtimeEndpoint(
                model.url, "gpt-realtime", Secret("sk-lab"), reads
            ),
            counters=RealtimeCounters(),
            limiter=OpenLimiter(
                opens_per_s=100.0, rng=random.Random(1), now=monotonic_s()
            ),
            first_audio=lambda _: SmoothedMean(),
            on_ready=pushed.append,
            rng=random.Random(1),
        )
        try:
            yield Bench(model, phrases, pushed)
        finally:
            await phrases.aclose()
            reads.close()


async def test_the_opening_comes_first_and_the_rest_in_one_session() -> None:
    async with bench_with({"desk": DESK}) as bench:
        assert bench.phrases.missing() == ["desk"]
        assert bench.phrases.waiting == len(ALL)
        bench.start()
        await eventually(lambda: not bench.phrases.missing())
        assert bench.pushed == [Greeting("desk", OPENING.text, OPENING.audio)]
        assert bench.phrases.ready == {"desk": bench.pushed[0]}
        await eventually(lambda: bench.rendered() == ALL)
        assert bench.phrases.waiting == 0
        spoken = [
            [response.line for response in session.responses]
            for session in bench.model.sessions
        ]
        assert spoken == [ALL[:1], ALL[1:]]
        assert not any(s.conversation.items for s in bench.model.sessions)
        assert len(bench.pushed) == 1


async def test_the_script_is_rendered_and_pushed_beside_the_opening() -> None:
    line = PHRASES[0]
    profile = Profile(
        "Be quiet.",
        fallback=Fallback(script=line.text),
        silence=Silence(after_s=0),
        length=CallLength(warning_s=0),
    )
    async with bench_with({"desk": profile}) as bench:
        bench.start()
        script = Script("desk", line.text, line.audio)
        await eventually(lambda: script in bench.pushed)
        assert bench.phrases.scripts == {"desk": script}


async def test_a_recorded_opening_is_not_rendered() -> None:
    recorded = Greeting("desk", OPENING.text, b"\xff" * 800)
    async with bench_with({"desk": DESK}, {"desk": recorded}) as bench:
        assert bench.phrases.missing() == []
        assert bench.phrases.audio("desk", OPENING.text) == recorded.audio
        bench.start()
        await eventually(lambda: bench.rendered() == ALL[1:])
        assert bench.phrases.audio("desk", OPENING.text) == recorded.audio
        assert bench.pushed == []


async def test_a_profile_without_an_opening_is_never_missing() -> None:
    async with bench_with({"quiet": QUIET}) as bench:
        assert bench.phrases.missing() == []
        bench.start()
        await eventually(lambda: bench.rendered("quiet") == ["length-goodbye"])
        assert bench.phrases.audio("quiet", "Are you still there?") is None
        assert bench.phrases.audio("unknown", PHRASES[0].text) is None


async def test_openings_come_at_once_and_the_rest_one_profile_at_a_time() -> None:
    profiles = {f"desk-{number}": DESK for number in range(4)}
    async with bench_with(profiles) as bench:
        bench.start()
        await eventually(lambda: all(bench.rendered(name) == ALL for name in profiles))
        sessions = bench.model.sessions
        openings = [s for s in sessions if s.responses[0].line == OPENING.name]
        others = [s for s in sessions if s not in openings]
        assert len(openings) == len(others) == len(profiles)
        closed = [session.closed_at for session in others]
        opened = [session.opened_at for session in others]
        for before, after in zip(closed, opened[1:], strict=False):
            assert before is not None
            assert before <= after


async def test_a_session_that_is_lost_is_replaced() -> None:
    async with bench_with({"desk": DESK}) as bench:
        bench.model.faults.plan(Fault.CLOSE_1011, count=2, seconds=0)
        bench.start()
        await eventually(lambda: bench.rendered() == ALL)
        assert bench.phrases.missing() == []


async def test_a_phrase_that_fails_holds_up_no_other() -> None:
    recorded = Greeting("desk", OPENING.text, OPENING.audio)
    async with bench_with({"desk": DESK}, {"desk": recorded}) as bench:
        bench.model.faults.plan(Fault.FAILED_RESPONSE, count=1, seconds=0)
        bench.start()
        await eventually(lambda: bench.rendered() == ALL)
        failed, *good = [r.line for s in bench.model.sessions for r in s.responses]
        assert failed == ""
        assert good == [*ALL[2:], ALL[1]]


async def test_sound_of_the_phrase_before_is_not_part_of_the_next() -> None:
    async with bench_with({"desk": DESK}) as bench:
        bench.model.faults.plan(Fault.DELTA_AFTER_DONE, count=9, seconds=0)
        bench.start()
        await eventually(lambda: bench.rendered() == ALL)


async def test_the_endpoint_says_how_long_to_wait() -> None:
    async with bench_with({"desk": DESK}) as bench:
        bench.model.faults.plan(Fault.RATE_LIMITED, count=1, seconds=2)
        began = monotonic_s()
        bench.start()
        await eventually(lambda: not bench.phrases.missing())
        assert monotonic_s() - began >= 2
