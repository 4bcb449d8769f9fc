"""What must hold in every world, whatever goes wrong in it."""

from typing import TYPE_CHECKING

from backhaul.core.messages import HandoverReason, LeaseRequest
from edge.core.audio_ring import MAX_RING_BYTES
from edge.core.call_events import CallState
from edge.core.region_health import RegionState
from edge.placement import COLD_TRIES
from region_agent.core.hearing import UNHEARD_MS
from region_agent.core.patience import PATIENCE_S
from tests.simulation.call import CONFIG
from tests.simulation.script import BYTES_PER_S

if TYPE_CHECKING:
    from tests.simulation.agent import Agent
    from tests.simulation.bridge import Bridge
    from tests.simulation.call import Call
    from tests.simulation.carrier import Carrier
    from tests.simulation.edge import Edge
    from tests.simulation.world import World

_UNTOLD = "(The caller said something"
_ANSWERED_S = 9.0
"""So long (s) after the last fault every caller is answered again."""
_ALL_GIVE_UP_S = 1.9
"""An edge that stands still for so long (s) has no link left when it goes on."""
_OF_EDGES = ("kill edge", "drain edge")
_MOVES_AT_ONCE = 3
"""Within a minute, which is longer than any call lasts here."""
_MOVES = (("bridged", "holding"), ("bridged", "moving"))
_PATIENCE_S = PATIENCE_S + 2.0
"""So long (s) does a caller wait for the voice of a call's first session ..."""
_LATER_PATIENCE_S = 4 * PATIENCE_S + 4.0
"""... and of one that comes after another, which may have kept them waiting, too."""
_MISSES_MS = 2 * UNHEARD_MS
"""So much may a session fail to notice; what was said long ago counts for less."""
_MOVES_OF_DEAF = 2
"""So often may a call have another session because one does not hear."""
_BRIEF_S = 3.0
"""Shorter pauses of a caller need not count as waiting (s)."""
_REMEMBERED_S = 3.0
"""So long (s) after a session has got a call it knows all that was said."""


class Checker:
    """Watches one world."""

    def __init__(self, world: "World") -> None:
        self.violations: list[str] = []
        self._world = world
        self._opened: dict[str, list[tuple[float, Bridge]]] = {}
        self._epochs: dict[int, int] = {}
        """By session."""
        self._heard: dict[str, int] = {}
        """By call, the epoch that was heard last."""
        self._asked: dict[tuple[int, str], int] = {}
        """By process of an agent and call, the latest epoch it was asked for."""

    def _violated(self, what: str, *facts: object) -> None:
        self._world.violated(what, *facts)

    # While it happens

    def on_asked(self, agent: "Agent", request: LeaseRequest) -> None:
        """An agent is asked for a session."""
        key = agent.instance, request.call_sid
        self._asked[key] = max(self._asked.get(key, 0), request.epoch)

    def on_granted(self, agent: "Agent", request: LeaseRequest) -> None:
        """An agent lends one."""
        if request.epoch < self._asked[agent.instance, request.call_sid]:
            self._violated("stale epoch served", request.call_sid, request.epoch)

    def on_opened(self, bridge: "Bridge") -> None:
        """An agent has got a call."""
        message, world = bridge.message, self._world
        world.note("opened", message.call_sid, message.epoch, bridge.agent.address)
        opened = self._opened.setdefault(message.call_sid, [])
        for _, other in opened:
            same = other.agent is bridge.agent
            if same and other is not bridge and other.epoch >= message.epoch:
                self._violated("stale epoch served", message.call_sid, message.epoch)
        opened.append((world.clock.now, bridge))
        self._epochs[bridge.session.number] = message.epoch

    def owner(self, call_sid: str) -> "Bridge | None":
        """Return who has got a call last."""
        opened = self._opened.get(call_sid)
        return opened[-1][1] if opened else None

    def on_open(self, call: "Call", start: int) -> None:
        """An edge opens a call at an agent, with the caller's audio from *start*."""
        memory = call.memory
        kept = memory.checkpoint
        covered = 0 if kept is None else kept.caller_position
        if start > covered + memory.lost or start > memory.audio.end:
            self._violated("audio lost and not told", call.search.call_sid, start)
        if memory.audio.size > MAX_RING_BYTES:
            self._violated("ring too large", call.search.call_sid)

    def on_left(self, bridge: "Bridge", reason: HandoverReason) -> None:
        """An agent asks for another session."""
        hears = not (bridge.session.deaf or bridge.session.mute)
        if reason is HandoverReason.MODEL_DEAF and hears:
            self._violated("left though it hears", bridge.call_sid)

    def on_heard(self, carrier: "Carrier", session: int) -> None:
        """A caller is given audio of a session; of none, it is the greeting."""
        sid = carrier.script.call_sid
        if session == 0:
            greetings = [one for one in carrier.heard if one[1] == 0]
            if len(greetings) > 1:
                self._violated("greeted twice", sid)
            return
        epoch = self._epochs.get(session, 0)
        if epoch < self._heard.get(sid, 0):
            self._violated("an earlier owner was heard", sid, epoch)
        self._heard[sid] = epoch

    # At the end

    def at_the_end(self) -> None:
        """Look at what is left, and at how each call went."""
        for turn, done in self._world.tools.executed.items():
            blind = done[0].key.partition("-")[0] in self._world.faults.blind
            if len(done) > 1 and not blind:
                self._violated("tool executed twice", turn, *done)
        for carrier in self._world.carriers:
            self._check_call(carrier)
        for agent in self._world.agents.values():
            self._check_released(agent)
        for edge in self._world.edges:
            if edge.alive and (edge.calls or edge.placement):
                self._violated("call left at an edge", edge.name, list(edge.calls))
            if edge.alive:
                self._check_regions(edge)

    def _check_call(self, carrier: "Carrier") -> None:
        sid, faults = carrier.script.call_sid, self._world.faults
        call = carrier.call
        if call is not None:
            self._check_moves(sid)
        if carrier.rescued and not carrier.kept_session:
            self._check_session_kept(carrier)
        if carrier.outcome == "hung up" and call is not None:
            if call.state is not CallState.ENDED and call.edge.alive:
                self._violated("call never ended", sid, call.state)
            self._check_memory(carrier, call)
            return
        if faults.edge_killed and not carrier.edge.alive:
            return
        if faults.safe and not self._excused(carrier):
            self._violated("call lost", sid, carrier.outcome)

    def _check_session_kept(self, carrier: "Carrier") -> None:
        """Check that a call kept its session if nothing failed but its edge."""
        happened = self._world.faults.happened
        if all(kind in _OF_EDGES for kind in happened):
            self._violated("session not kept", carrier.script.call_sid)

    def _excused(self, carrier: "Carrier") -> bool:
        """Tell whether a call was given up for a reason that was agreed upon."""
        call, sid = carrier.call, carrier.script.call_sid
        broken = self._world.faults.broken_streams.get(sid, 0)
        if carrier.outcome == "nobody knows":
            # But the edge that is gone, or whoever did was in trouble as well.
            return sid not in self._opened or len(self._world.faults.happened) > 1
        if broken > 1 or (call is not None and call.machine.moves >= 3):
            return True
        unheard = call is not None and call.attached_once and not call.was_heard
        if call is not None and unheard and len(call.search.attempts) >= COLD_TRIES:
            return True  # it has as many tries as a new one
        still_s = carrier.edge.stood_still_s
        if still_s > _ALL_GIVE_UP_S:
            unsure = call is None or not call.was_heard or broken > 0
            return unsure or still_s > CONFIG.hold_limit_s / 2
        return False

    def _check_moves(self, sid: str) -> None:
        """Check that a call moves at its leisure once a minute, and is bounded."""
        steps = [one for one in self._world.log if one[1:3] == ("call", sid)]
        moves = losses = 0
        for step in steps:
            if step[3] == "ringing":
                moves = losses = 0  # at an edge that knows nothing of those at another
            elif step[3:5] in _MOVES:
                moves += 1
                losses += step[4] == "holding"
                if moves > 1 and step[5] == "move_wanted":
                    self._violated("moved too often", sid, moves)
                if losses > _MOVES_AT_ONCE:
                    self._violated("moved too often", sid, losses)

    def _check_memory(self, carrier: "Carrier", call: "Call") -> None:
        """Check that the last session knew what was said, and that it answered."""
        script = carrier.script
        opened = self._opened.get(script.call_sid, [])
        last = max(opened, key=lambda one: (one[1].message.epoch, one[0]), default=None)
        hung_up_at = self._hung_up_at(script.call_sid)
        if last is None or hung_up_at - last[0] < _REMEMBERED_S:
            return
        if self._may_be_deaf(last[1], hung_up_at):
            return
        if self._world.faults.ended_at > hung_up_at - _ANSWERED_S:
            return
        self._check_known(carrier, call, last[1])
        said_at = hung_up_at - (script.length - script.turns[-1].end) / BYTES_PER_S
        heard = [one for one in carrier.heard if one[0] >= said_at and one[1]]
        if not heard and not self._may_wait_on(carrier):
            self._violated("not answered", script.call_sid)

    def _may_be_deaf(self, bridge: "Bridge", hung_up_at: float) -> bool:
        """Tell whether a deaf session has missed too little, or is just left."""
        sid, reason = bridge.call_sid, HandoverReason.MODEL_DEAF
        # The next session may be deaf as well, which takes as long to know again.
        log, lately = self._world.log, hung_up_at - 2 * _REMEMBERED_S
        left = [one[0] for one in log if one[1:] == ("handover", sid, reason)]
        just_left = any(isinstance(at, float) and at > lately for at in left)
        moves = sum(one[1:3] == ("call", sid) and one[-1] == reason for one in log)
        too_often = moves >= _MOVES_OF_DEAF
        # No caller waits here as long as it takes to know that a turn is over.
        early = bridge.missed_ms < _MISSES_MS or bridge.session.speaking
        return bridge.session.deaf and (early or just_left or too_often)

    def _may_wait_on(self, carrier: "Carrier") -> bool:
        """Tell whether a session that says nothing has had less time than it gets."""
        opened = self._opened[carrier.script.call_sid]
        patience_s = _PATIENCE_S if len(opened) == 1 else _LATER_PATIENCE_S
        if "model slow" in self._world.faults.happened:
            patience_s *= 2
        return opened[-1][1].session.wordless and self._waited_s(carrier) < patience_s

    def _waited_s(self, carrier: "Carrier") -> float:
        """Return how long a caller was quiet at the end, and owed an answer (s)."""
        script = carrier.script
        answered_at = max((at for at, _, size in carrier.heard if size), default=0.0)
        for at, kind, *facts in self._world.log:
            by_call = kind == "tool_called" and script.call_sid in str(facts)
            if by_call and isinstance(at, float):
                answered_at = max(answered_at, at)
        began_at = self._hung_up_at(script.call_sid) - script.length / BYTES_PER_S
        turns = [
            turn
            for turn in script.turns
            if began_at + turn.end / BYTES_PER_S > answered_at
        ]
        if not turns:
            return self._hung_up_at(script.call_sid) - answered_at
        begins = [*(turn.start for turn in turns[1:]), script.length]
        ends = (turn.end for turn in turns)
        pauses = ((b - e) / BYTES_PER_S for b, e in zip(begins, ends, strict=True))
        return sum(pause_s for pause_s in pauses if pause_s > _BRIEF_S)

    def _hung_up_at(self, sid: str) -> float:
        ends = (one for one in self._world.log if one[1:] == ("over", sid, "hung up"))
        at = next(ends)[0]
        assert isinstance(at, float)
        return at

    def _check_known(self, carrier: "Carrier", call: "Call", bridge: "Bridge") -> None:
        script, items = carrier.script, bridge.session.items
        faults = self._world.faults
        told = [item.text for item in items if item.role == "user"]
        wordless = sum(text.startswith(_UNTOLD) for text in told)
        known = [text for text in told if not text.startswith(_UNTOLD)]
        texts = [turn.text for turn in script.turns]
        if len(known) != len(set(known)):
            self._violated("turn known twice", script.call_sid, known)
        missing = [text for text in texts if text not in known]
        excused = call.memory.lost or script.call_sid in faults.between_edges
        if len(missing) > wordless and not excused:
            self._violated("turn forgotten", script.call_sid, missing)
        if known != [text for text in texts if text in known]:
            self._violated("turns out of order", script.call_sid, known)

    def _check_regions(self, edge: "Edge") -> None:
        """Check that a region that is well again is used again."""
        for name, region in edge.regions.items():
            down = (edge.name, name, "suspect", "down")
            falls = sum(one[1:] == ("region", *down) for one in self._world.log)
            if falls == 1 and region.health.state is RegionState.DOWN:
                self._violated("region not forgiven", edge.name, name)

    def _check_released(self, agent: "Agent") -> None:
        stock = agent.pool.stock()
        left = agent.capacity.in_use, stock.leased, stock.in_call
        if any(left) or agent.leases or agent.bridges:
            facts = agent.address, left, list(agent.leases), len(agent.bridges)
            self._violated("not released", *facts)
        paid = [one for one in agent.model.sessions if one._agent is agent]
        known = stock.configured + stock.verified + sum(left[1:])
        if agent.alive and len(paid) != known:
            self._violated("session leaked", agent.address, len(paid))
